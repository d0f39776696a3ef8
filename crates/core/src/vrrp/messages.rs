//! What the director and the vrrp process say to each other.
//!
//! Each message is a JSON value on a line of its own, over a Unix stream socket
//! that only these two hold. When the socket ends, the other one is dead.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{State, Statistics};
use crate::config::model::{
    DumpFiles, OwnSettings, Pacing, RouterSettings, Statics, SyncGroup, Trackers, VrrpInstance,
};
use crate::notification::Mail;

/// From the director to the vrrp process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "commands are few, and on their way as text"
)]
pub enum Command {
    /// Run these instances. The first message is this one; sent again, it replaces what
    /// was configured: instances that are the same keep their state, instances that are
    /// gone withdraw.
    Configure {
        /// The instances, in the order of the configuration.
        instances: Vec<VrrpInstance>,
        /// The groups that bind them.
        sync_groups: Vec<SyncGroup>,
        /// What is held whoever is master.
        statics: Statics,
        /// What they track.
        trackers: Trackers,
        /// How far announcements are apart.
        pacing: Pacing,
        /// No instance becomes master before that: a reading of the clock of
        /// [`Resume::died_at`].
        not_before: Duration,
        /// What concerns all instances together.
        settings: RouterSettings,
        /// What the process has to see to itself.
        own: OwnSettings,
        /// How others are told of changes.
        notifying: Notifying,
        /// What is known of the instances of a vrrp process that has just died.
        resume: Vec<Resume>,
    },
    /// Answer with [`Notice::Alive`].
    ReportAlive,
    /// Answer with [`Notice::Statistics`].
    ReportStatistics,
    /// Write a file of what the instances are and do.
    Dump(Dump),
    /// Withdraw from everything and exit.
    Shutdown,
}

/// A file that an operator asks for by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dump {
    /// What the instances, groups and trackers are and do, as text.
    Data,
    /// What the instances have counted, as text.
    Statistics,
    /// The same, and then they begin to count anew.
    StatisticsOnce,
    /// What they are, do and have counted, as JSON.
    Json,
}

/// How others are told of changes, and of what is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notifying {
    /// Paths of named pipes that are there.
    pub fifos: Vec<String>,
    /// Whether scripts that others than root could change are kept from running as root.
    pub script_security: bool,
    /// The permissions that files of scripts do not get, if that is said.
    pub umask: Option<u16>,
    /// Whether scripts have all groups of their user.
    pub supplementary_groups: bool,
    /// Where the files are that are written when somebody asks for them.
    pub dump_files: DumpFiles,
}

/// The last that the director knows of an instance of a dead vrrp process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Name of the instance.
    pub instance: String,
    /// Its last state.
    pub state: State,
    /// When the process died, or was found dead: a reading of `CLOCK_MONOTONIC`, which
    /// all processes of a host share.
    pub died_at: Duration,
    /// It was ended so that this one takes its place, and has advertised until then.
    pub was_succeeded: bool,
}

/// From the vrrp process to the director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The configuration is in force; the states before this message are all settled.
    Configured,
    /// An instance has changed its state.
    StateChanged {
        /// Name of the instance.
        instance: String,
        /// Its state.
        state: State,
        /// Its effective priority.
        priority: u8,
    },
    /// A sync group has changed its state.
    GroupStateChanged {
        /// Name of the group.
        group: String,
        /// Its state.
        state: State,
    },
    /// A session of BFD has come up, or is down.
    SessionChanged {
        /// Name of the session.
        session: String,
        /// Whether it is up.
        up: bool,
    },
    /// Something that an operator must know: what is wrong and what follows from it, in
    /// words that name instance and interface.
    Problem(String),
    /// The process is there, and comes to read its commands.
    Alive,
    /// It came this much too late for something that was due.
    Late(Duration),
    /// Something to be mailed.
    Mail(Mail),
    /// What each instance has counted.
    Statistics(Vec<(String, Statistics)>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notify_deleted_without_a_script_arrives() {
        for deleted in [None, Some(None)] {
            let mut instance = VrrpInstance::new("VI_1", "eth0", 1);
            instance.notify.deleted = deleted;
            let line = serde_json::to_string(&instance).unwrap();
            let arrived: VrrpInstance = serde_json::from_str(&line).unwrap();
            assert_eq!(arrived, instance);
        }
    }
}
