//! Health checks of real servers.
//!
//! [`Checks`] is the whole of a check process without its sockets: it says when to
//! connect where, hears how that went ([`dialogue::Dialogue`] says what to say there), and reports what it means for the real
//! server. [`machine::Machine`] holds the rules for one check; they are those of
//! keepalived (`check_tcp.c`, `check_data.c`, `check_api.c`):
//!
//! - The first check of a check starts one second after the start plus a random
//!   part of `warmup`, so that many checks spread out.
//! - A real server is taken to be up until its first result. At the start of the
//!   daemon that result decides by itself; afterwards a failure is repeated
//!   `retry` times, `delay_before_retry` apart, before it counts.
//! - Any success counts at once.
//! - After a success, and while the real server is down, `delay_loop` passes until
//!   the next check.
//!
//! No clock: callers pass the time, and the random part of `warmup` comes from a
//! seed.

mod checks;
mod clients;
pub mod dialogue;
mod health;
pub mod machine;
pub mod messages;

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::service::ServiceKey;

pub use checks::{Attempt, Checks, Effect, Input};
pub use clients::{Encounter, Endings, OBSERVED};
pub use health::{HealthRecord, Seen, Standing, Weighing};

/// What a check says of its real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Health {
    /// It does not answer as it should.
    Down,
    /// It answers.
    Up,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Down => "down",
            Health::Up => "up",
        })
    }
}

/// Which check: the how-manieth of which real server of which virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckName {
    /// The virtual service.
    pub service: ServiceKey,
    /// The real server: RIP and rport.
    pub real_server: SocketAddr,
    /// Its place among the checks of that real server in the file, from 0.
    pub number: u16,
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The host answered with a reset: nothing listens there.
    Refused,
    /// No answer in the time that the configuration gives.
    TimedOut,
    /// The host, or a router, says that the host cannot be reached, or it does not answer ARP.
    HostUnreachable,
    /// There is no route, or a router says so.
    NetworkUnreachable,
    /// The connection was reset.
    Reset,
    /// It answers, but not as it should, in words.
    WrongAnswer(String),
    /// Another error, in the words of the system.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Refused => "connection refused",
            Failure::TimedOut => "connection timed out",
            Failure::HostUnreachable => "host unreachable",
            Failure::NetworkUnreachable => "network unreachable",
            Failure::Reset => "connection reset",
            Failure::WrongAnswer(words) | Failure::Other(words) => words,
        })
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The real server answers as it should; how, in words.
    Passed(String),
    /// This speaks against the real server.
    Failed(Failure),
    /// Nothing was sent, for a reason on our side, such as no free descriptor, in
    /// the words of the system: this says nothing of the real server.
    NotRun(String),
}
