//! `auth_hmac`: advertisements that carry a hash with a key.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How advertisements are authenticated by a trailer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailerAuthentication {
    /// The keys that are known, each with an id of its own.
    pub keys: Vec<TrailerKey>,
    /// The id of the one that is used for sending.
    pub active_key: u8,
    /// `time_window`: how far the clocks of sender and receiver may be apart; without it
    /// (`anti_replay monotonic`) sequences only have to grow.
    pub window: Option<Duration>,
    /// `mode`: what is sent, and what may come.
    pub mode: TrailerMode,
}

/// A key, and its id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailerKey {
    /// 1 to 255.
    pub id: u8,
    /// 32 to 64 octets.
    pub secret: Vec<u8>,
    /// The file that it was read from, if it does not stand in the configuration.
    pub file: Option<String>,
}

impl fmt::Debug for TrailerKey {
    // A key is in no log and no dump.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrailerKey")
            .field("id", &self.id)
            .field("secret", &"redacted")
            .field("file", &self.file)
            .finish()
    }
}

/// What is sent, and what may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TrailerMode {
    /// Every advertisement has a trailer.
    #[default]
    Enforce,
    /// Ours have one, others need not.
    Permissive,
    /// Ours have none, and others need not; one that is there has to be right.
    ReceiveOnly,
}
