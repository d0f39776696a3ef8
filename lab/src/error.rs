//! What can go wrong in a lab.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// The outcome of work in a lab.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was being done, as it goes on after "cannot".
        doing: String,
        /// The refusal.
        source: io::Error,
    },
    /// A program that the lab ran to its end failed.
    #[error("`{command}` ended with {status}: {complaint}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error (or to standard output, if that is all).
        complaint: String,
    },
    /// Something did not become so in time.
    #[error("waited {} s for {awaited}; last seen: {seen}", limit.as_secs())]
    Unmet {
        /// What was waited for.
        awaited: String,
        /// What there was instead at the end.
        seen: String,
        /// The bound that passed.
        limit: Duration,
    },
    /// Something is not as it must be.
    #[error("expected {expected}; seen: {seen}")]
    Unexpected {
        /// What must be.
        expected: String,
        /// What is.
        seen: String,
    },
    /// The lab has been taken down, by a signal.
    #[error("the lab has been taken down")]
    TakenDown,
    /// A lab of this name runs already in this process.
    #[error(
        "a lab named `{0}` runs in this process already: labs in one process need distinct names"
    )]
    NameTaken(String),
    /// The name cannot be part of a namespace's name.
    #[error(
        "`{0}` cannot name a lab or a host: use lower-case letters, digits after the first letter, and hyphens"
    )]
    BadName(String),
}

impl Error {
    /// Names what was being done when the operating system refused.
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}
