//! The control protocol between `elver run` and those who steer it.
//!
//! One request, one response, each a JSON value on a line of its own, over a Unix
//! stream socket that only root can open. A connection may carry several pairs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::service::{Edit, EditError};

/// How many edits a request may have, so that nobody else waits for long.
pub const MOST_EDITS: usize = 256;

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
    /// What became of packets, by name, where it happened at all.
    pub packets: Vec<(String, u64)>,
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
