//! Bidirectional Forwarding Detection (RFC 5880) between this host and its neighbours: a
//! session tells within a few lost packets that the other side, or the way to it, is gone.
//!
//! [`Sessions`] is all sessions of a process without their sockets; [`session`] holds the rules
//! of one, and [`packet`] is what is on the wire. Single hop is RFC 5881, several hops RFC 5883.
//!
//! ```text
//!                    remote AdminDown, Down                    (RFC 5880 section 6.2)
//!                         ┌──────┐
//!                         │      ▼   remote Down
//!                       ┌─┴──────────┐──────────►┌──────────┐
//!          ┌───────────►│    Down    │           │   Init   │◄─┐ remote Down
//!          │            └────────────┘◄──────────└──────────┘──┘
//!          │                   │   expired, AdminDown   │
//!          │ expired,          │ remote Init            │ remote Init, Up
//!          │ remote Down,      ▼                        │
//!          │ AdminDown  ┌────────────┐◄─────────────────┘
//!          └────────────│     Up     │
//!                       └────────────┘
//! ```
//!
//! Not met:
//!
//! - Demand mode of our own, the Echo function and authentication (RFC 5880 sections 6.4, 6.6,
//!   6.7): keepalived has none of them. A neighbour that asks for demand mode is obeyed.
//! - RFC 5881 section 5 wants a TTL of 255 on arrival. As with keepalived, it may be `max_hops`
//!   lower than the TTL that this side sends with, and is not looked at where that is 255.

mod packet;
mod session;
mod sessions;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use packet::{ControlPacket, Malformed};
pub use sessions::{Effect, Input, Received, Sessions};

/// UDP port of control packets over a single hop (RFC 5881 section 4).
pub const PORT: u16 = 3784;
/// That over several hops (RFC 5883 section 5).
pub const MULTIHOP_PORT: u16 = 4784;

/// The state of a session (`Sta`, RFC 5880 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// The session is held down by an operator.
    AdminDown,
    /// Nothing is heard, or not from a neighbour that hears us.
    Down,
    /// The neighbour is heard, and has not said yet that it hears us.
    Init,
    /// Both hear each other.
    Up,
}

impl fmt::Display for State {
    /// keepalived's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        })
    }
}

/// Why a session has last left the state Up (`Diag`, RFC 5880 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// It has not.
    pub const NONE: Diagnostic = Diagnostic(0);
    /// No packet came in the detection time.
    pub const EXPIRED: Diagnostic = Diagnostic(1);
    /// The neighbour has said that it does not hear us, or ends the session.
    pub const NEIGHBOR_DOWN: Diagnostic = Diagnostic(3);
    /// An operator has ended the session.
    pub const ADMIN_DOWN: Diagnostic = Diagnostic(7);
}

impl fmt::Display for Diagnostic {
    /// The words of RFC 5880.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            _ => "Reserved",
        })
    }
}
