//! What others are told when something changes.

use serde::{Deserialize, Serialize};

use crate::config::model::Script;

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// For the pipes of events, without the end of the line.
    pub line: String,
    /// To be started in this order; nobody waits for their ends.
    pub scripts: Vec<Script>,
    /// For those who get mail, where they are to.
    pub mail: Option<Mail>,
}

/// A mail, in keepalived's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Its subject, without the name of the director.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// Whether it is about a fault, of which not everybody wants to hear.
    pub about_fault: bool,
}
