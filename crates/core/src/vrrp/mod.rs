//! The Virtual Router Redundancy Protocol: version 2 (RFC 3768) and version 3
//! (RFC 9568), with the sync groups of keepalived.
//!
//! [`VirtualRouters`] is the machine: every instance of a process with the groups
//! that bind them. It is fed with [`Input`]s and the time, and gives back
//! [`Effect`]s; it never touches a socket, an interface or a clock:
//!
//! 1. [`VirtualRouters::handle`] for everything that happens,
//! 2. [`VirtualRouters::handle_timeout`] when [`VirtualRouters::poll_timeout`] says so,
//! 3. after either, [`VirtualRouters::poll_effect`] until it gives nothing more;
//!    effects are carried out in this order.
//!
//! One instance goes through these states. Where keepalived adds to the RFC (the
//! FAULT state), keepalived is followed.
//!
//! ```text
//!            configured                 interface unusable
//!  Initialize ─────────────┬──────────────────────────────▶ Fault
//!      ▲                   │ priority 255                   ▲  │ usable again
//!      │ stopped           │   ┌──────────────────┐         │  ▼
//!   (any state)            ├──▶│      Master      │──────────(to Backup)
//!                          │   └──────────────────┘         │
//!                          │      ▲            │ higher     │
//!                          │      │ down timer ▼ priority   │
//!                          │   ┌──────────────────┐         │
//!                          └──▶│      Backup      │─────────┘
//!                              └──────────────────┘
//! ```
//!
//! `docs/vrrp-clauses.md` has every clause of both RFCs, and why some are not met. The code
//! cites them by the ids of that table: `9568-6.4.2-h`.

mod acceptance;
mod addressing;
mod advertisement;
mod announcing;
mod authentication_header;
mod configuring;
mod dump;
mod effect;
mod group;
mod hearing;
mod holding;
mod instance;
mod links;
pub mod messages;
mod notification;
mod pacing;
mod process;
mod receipt;
mod receiving;
mod routers;
mod script;
mod sending;
#[cfg(test)]
mod tests;
pub mod timers;
mod tracking;
mod trailer;

pub use acceptance::{refusal, removal};
pub use addressing::{addresses_of, group_of, hears_on, interface_of, is_ipv6};
pub use advertisement::{
    Advertisement, DecodeError, Envelope, GROUP_IPV4, GROUP_IPV6, HOP_LIMIT, PRIORITY_OWNER,
    PRIORITY_STOP, PROTOCOL,
};
pub use authentication_header::{PROTOCOL_AH, SEALED_FROM};
pub use dump::Moment;
pub use effect::{Effect, Event, HeldAddress, Report};
pub use instance::Statistics;
pub use receipt::{Packet, Rejection, RejectionKind};
pub use routers::{Input, InstanceView, InterfaceCondition, VirtualRouters};
pub use script::ScriptAction;

use serde::{Deserialize, Serialize};

/// The state of an instance or of a sync group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Not started, or stopped.
    Initialize,
    /// Another router holds the addresses, or is believed to.
    Backup,
    /// This router holds the addresses and advertises.
    Master,
    /// The interface cannot be used; the instance takes no part.
    Fault,
}

impl std::fmt::Display for State {
    /// The word that keepalived has for the state.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Initialize => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
        })
    }
}
