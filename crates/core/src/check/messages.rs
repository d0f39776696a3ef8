//! What the director and the check process say to each other.
//!
//! Each message is one JSON value on a line of its own, on the stream socket that
//! the process was started with. The director speaks first.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Attempt, CheckName, Failure, Health, Outcome};
use crate::config::model::{Check, OwnSettings};

/// From the director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToChecks {
    /// A program that was asked for has ended, or could not be run.
    ScriptEnded(Attempt, ScriptOutcome),
    /// What `SSL_GET` shows of itself from now on. The first message is this one.
    Certificate(CertificateTexts),
    /// What the process has to see to itself from now on.
    Own(OwnSettings),
    /// These are the checks from now on; those that go on as they were keep their state.
    Configure(Vec<Assignment>),
    /// The checks are others now as far as this says; the rest go on as they are.
    Change(CheckChanges),
}

/// A client's certificate and what belongs to it, as PEM.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CertificateTexts {
    /// Its certificate, and those above it.
    pub chain: Option<String>,
    /// Its private key.
    pub key: Option<String>,
    /// The password of the key.
    pub password: Option<String>,
    /// Authorities that complete the chain.
    pub authorities: Option<String>,
}

impl std::fmt::Debug for CertificateTexts {
    // A key is in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateTexts(redacted)")
    }
}

/// How the checks of a configuration differ from those of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckChanges {
    /// Checks that are no more.
    pub ended: Vec<CheckName>,
    /// New ones, and those of the same name that ask something else or at other times.
    pub assigned: Vec<Assignment>,
}

impl CheckChanges {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.assigned.is_empty()
    }
}

/// From the check process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromChecks {
    /// Run the program of this check. The director knows which one that is, so that it is
    /// not for this process to say.
    RunScript(CheckName, Attempt),
    /// End that program; nothing waits for it any more.
    EndScript(Attempt),
    /// It came this much too late for something that was due.
    Late(Duration),
    /// A check has something new to say.
    Report(Report),
}

/// From the check process, beside the socket of an attempt that needs the director: to be
/// marked, or to be led to its real server. It is bound already. The director knows what the
/// check asks for, so that it is not for this process to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketRequest {
    /// Whose socket it is.
    pub attempt: Attempt,
    /// Which check it is for.
    pub name: CheckName,
}

/// From the director: what became of a [`SocketRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketAnswer {
    /// Whose socket it is.
    pub attempt: Attempt,
    /// Where the socket is to be connected to, or why it could not be made ready.
    pub to: Result<SocketAddr, String>,
}

/// How a program has ended, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptOutcome {
    /// Its real server is well.
    Passed(String),
    /// Its real server is not.
    Failed(String),
    /// It could not be run.
    NotRun(String),
}

impl From<ScriptOutcome> for Outcome {
    fn from(outcome: ScriptOutcome) -> Outcome {
        match outcome {
            ScriptOutcome::Passed(words) => Outcome::Passed(words),
            ScriptOutcome::Failed(words) => Outcome::Failed(Failure::Other(words)),
            ScriptOutcome::NotRun(words) => Outcome::NotRun(words),
        }
    }
}

/// One check that is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which check it is.
    pub name: CheckName,
    /// What to do.
    pub check: Check,
    /// Where to begin, if the process does not run this check already.
    pub begin: Begin,
}

/// Where a check begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begin {
    /// With the daemon: the real server is taken to be so, and the first result decides.
    Start(Health),
    /// By a reload: the real server is taken to be so, and the check has all its retries.
    Added(Health),
    /// Where a check process that has died left it.
    Resume(Health),
}

impl Begin {
    /// What the real server is taken to be.
    pub fn health(self) -> Health {
        let (Begin::Start(health) | Begin::Added(health) | Begin::Resume(health)) = self;
        health
    }
}

/// News of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which check.
    pub name: CheckName,
    /// What the real server is now taken to be.
    pub health: Health,
    /// What makes this worth a report.
    pub news: News,
    /// The last result, in words.
    pub detail: String,
}

/// What makes a report worth sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// The first success, or the first after a failure.
    Succeeded,
    /// A failure took the real server down, after this many repetitions.
    FailedFinally {
        /// Repetitions that failed as well.
        retries: u32,
    },
    /// A failure that is yet to be repeated, of a check whose every failure is to be logged.
    FailedOnce,
    /// The check could not be made, for another reason than before: nothing is known anew of
    /// the real server.
    NotMade,
    /// Only the words have changed: another cause, or a failure that is yet to be repeated.
    Detail,
}
