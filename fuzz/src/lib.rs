//! Whatever reads octets that somebody else has written, as functions of those octets: they end,
//! do not panic, and what they have read they say again.
//!
//! `make fuzz TARGET=name` looks for octets that lead to places where none has been; those worth
//! keeping are in `corpus`, and `cargo test` replays them.

mod configuration;
mod dialogues;
mod listings;
mod messages;
mod packets;
#[path = "../../crates/packet/tests/support/mod.rs"]
mod support;

/// Takes octets, and panics where what must hold does not.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 6] = [
    ("advertisements", messages::advertisement),
    ("bfd", messages::bfd),
    ("configuration", configuration::read),
    ("dialogues", dialogues::hold),
    ("listings", listings::read),
    ("packets", packets::meet),
];
