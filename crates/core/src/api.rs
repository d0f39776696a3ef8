//! The control protocol between `elver run` and those who steer it.
//!
//! One request, one response, each a JSON value on a line of its own, over a Unix
//! stream socket that only root can open. A connection may carry several pairs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lb::RealServerPattern;
use crate::service::{ConnectionState, Edit, EditError};

/// How many edits a request may have, so that nobody else waits for long.
pub const MOST_EDITS: usize = 256;
/// How many connections a request may have, for the same reason.
pub const MOST_CONNECTIONS: usize = 1024;

/// What a client asks of the running director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Change the table of services, as `ipvsadm` does: one edit after the other, each of
    /// which is made or refused by itself. At most [`MOST_EDITS`].
    Edit(Vec<Edit>),
    /// Read the configuration file again.
    Reload,
    /// Tell what reading this file, by its absolute path, would change.
    Difference(PathBuf),
    /// Take over connections of another director, and persistence templates, which come first.
    /// At most [`MOST_CONNECTIONS`].
    Adopt(Vec<ConnectionState>),
    /// Let real servers have no more new connections.
    Drain {
        /// Which ones.
        which: RealServerPattern,
        /// When they are taken out, with what connections they have left.
        deadline: Option<Duration>,
    },
    /// Let them serve again.
    Undrain(RealServerPattern),
    /// Let the program that is installed now take the director's place in its process. There
    /// is an answer only where that cannot be done; otherwise the connection ends.
    Upgrade,
    /// Tell what runs, for a person to read.
    Status,
}

/// The director's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Done.
    Done,
    /// The answer to [`Request::Edit`]: for each edit why it was refused, if it was.
    Edited(Vec<Option<EditError>>),
    /// The answer to [`Request::Adopt`].
    Adopted {
        /// How many go on here.
        entered: usize,
        /// Which ones, by their place in the request, have a real server that is not in the
        /// table, or not yet.
        without_real_server: Vec<usize>,
    },
    /// The request failed for another reason, in words.
    Failed(String),
    /// The answer to [`Request::Difference`]: a line for each change, in the order in which
    /// they would be made.
    Difference(Vec<String>),
    /// The answer to [`Request::Status`].
    Status(Status),
}

/// What runs in a director.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// VRRP instances in the order of the configuration: name, state in keepalived's words.
    pub instances: Vec<(String, String)>,
    /// Real servers under check: service, real server, `up` or `down`, the last result in words.
    pub checks: Vec<CheckStatus>,
    /// Process ids by role.
    pub processes: Vec<(String, u32)>,
    /// Devices with the kind of attachment.
    pub devices: Vec<(String, String)>,
    /// How connections of real servers have ended.
    pub endings: Vec<EndingStatus>,
    /// Who is drained.
    pub drains: Vec<DrainStatus>,
    /// What became of packets, by name, where it happened at all.
    pub packets: Vec<(String, u64)>,
}

/// How the TCP connections of a real server have ended, since the director started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingStatus {
    /// The real server.
    pub real_server: SocketAddr,
    /// In order.
    pub completed: u64,
    /// Before there was one: the real server did not answer, or the client did not go on.
    pub unanswered: u64,
    /// By a reset.
    pub reset: u64,
}

/// Real servers that are drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Which ones.
    pub which: RealServerPattern,
    /// The connections that they have left, of all services.
    pub connections: u64,
    /// Whether the deadline has come, and they were taken out.
    pub is_over: bool,
}

/// One real server under check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The virtual service.
    pub service: String,
    /// The real server.
    pub real_server: String,
    /// Whether it takes connections.
    pub up: bool,
    /// The last result, in words.
    pub detail: String,
}
