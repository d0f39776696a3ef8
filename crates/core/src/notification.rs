//! What others are told when something changes.

use crate::config::model::Script;

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// For the pipes of events, without the end of the line.
    pub line: String,
    /// To be started in this order; nobody waits for their ends.
    pub scripts: Vec<Script>,
}
