//! The processes that the director starts, and what becomes of them.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use elver_sys::{process, socket_passing};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::instance::Instance;
use crate::log::Log;
use crate::message_stream::{self, Messages};

/// How long a process may live on after its socket has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// One that lived this long did not die of how it was started.
const LIVED_WELL: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// VRRP: the process that holds virtual addresses.
    Vrrp,
    /// Health checks.
    Check,
}

impl Role {
    /// The word for it on the command line and in messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Vrrp => "vrrp",
            Role::Check => "check",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The end of a child.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What it did.
    pub(crate) role: Role,
    /// How it ended.
    pub(crate) status: io::Result<ExitStatus>,
}

impl Ended {
    /// Whether it ended as it should when it is told to.
    pub(crate) fn in_order(&self) -> bool {
        self.status.as_ref().is_ok_and(ExitStatus::success)
    }

    /// How it ended, in words that follow the name of the process.
    pub(crate) fn words(&self) -> String {
        match &self.status {
            Ok(status) => format!("ended ({status})"),
            Err(error) => format!("was lost ({error})"),
        }
    }
}

/// A running child that takes messages of type `Down`.
///
/// When this is dropped the child sees the end of its socket, and ends.
#[derive(Debug)]
pub(crate) struct Child<Down> {
    id: u32,
    started: Instant,
    messages: Option<mpsc::UnboundedSender<Down>>,
    /// The socket itself, for the next program in this process.
    socket: UnixStream,
}

impl<Down: Serialize + Send + Sync + 'static> Child<Down> {
    /// Starts a child, which is given `descriptor` if there is one. What it says goes to
    /// `said`; after its last message its end goes to `ended`.
    pub(crate) fn start<Up: DeserializeOwned + Send + 'static>(
        role: Role,
        instance: &Instance,
        log: &Log,
        descriptor: Option<OwnedFd>,
        said: mpsc::UnboundedSender<Up>,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> io::Result<Child<Down>> {
        let mut arguments = vec!["process", role.word(), "--instance", instance.name()];
        let log = serde_json::to_string(log)?;
        if role == Role::Vrrp {
            arguments.extend(["--log", &log]);
        }
        let (command, socket) = process::this_program(arguments)?;
        let mut process = tokio::process::Command::from(command).spawn()?;
        let id = process.id().unwrap_or_default();
        if let Some(descriptor) = &descriptor {
            socket_passing::give(&socket, descriptor.as_fd())?;
        }
        let (read, write) = message_stream::halves(socket.try_clone()?)?;
        tokio::spawn(async move {
            let mut messages = Messages::<Up>::new(read);
            loop {
                match messages.next().await {
                    Ok(Some(message)) => {
                        if said.send(message).is_err() {
                            break;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::error!("{role} process {id}: {error}");
                        break;
                    }
                }
            }
            let status = match tokio::time::timeout(LAST_WORDS, process.wait()).await {
                Ok(status) => status,
                Err(_) => {
                    tracing::error!("{role} process {id} has closed its socket but lives: killed");
                    match process.start_kill() {
                        Ok(()) => process.wait().await,
                        Err(error) => Err(error),
                    }
                }
            };
            // Nobody listens when the director itself ends.
            let _ = ended.send(Ended { role, status });
        });
        Ok(Child {
            id,
            started: Instant::now(),
            messages: Some(message_stream::queue(write)),
            socket,
        })
    }

    /// Lets its socket outlive this program, and gives back the number of that.
    pub(crate) fn keep_across_exec(&self) -> io::Result<RawFd> {
        process::keep_across_exec(&self.socket)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells it something. That it does not hear any more shows in [`Ended`].
    pub(crate) fn tell(&self, message: Down) {
        if let Some(messages) = &self.messages {
            let _ = messages.send(message);
        }
    }

    /// Ends its socket, by which it ends itself; [`Ended`] follows.
    pub(crate) fn dismiss(&mut self) {
        self.messages = None;
    }

    /// Ends it without its consent; [`Ended`] follows.
    pub(crate) fn kill(&self) {
        process::kill(self.id);
    }
}

/// When a child that died is started again: at once, unless it keeps dying.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    in_a_row: u32,
}

impl Restarts {
    /// How long to wait before the next start of a child that lived for `lived`.
    pub(crate) fn pause_after(&mut self, lived: Duration) -> Duration {
        if lived >= LIVED_WELL {
            self.in_a_row = 0;
        }
        let before = self.in_a_row;
        self.in_a_row = self.in_a_row.saturating_add(1);
        match before {
            0 => Duration::ZERO,
            more => FIRST_PAUSE
                .saturating_mul(1 << (more - 1).min(8))
                .min(LONGEST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_starts_again_at_once_unless_it_keeps_dying() {
        let mut restarts = Restarts::default();
        let mut after = |seconds| restarts.pause_after(Duration::from_secs(seconds));
        assert_eq!(after(3600), Duration::ZERO);
        assert_eq!(after(0), Duration::from_millis(100));
        assert_eq!(after(0), Duration::from_millis(200));
        assert_eq!(after(0), Duration::from_millis(400));
        for _ in 0..100 {
            after(0);
        }
        assert_eq!(after(0), LONGEST_PAUSE);
        assert_eq!(after(10), Duration::ZERO);
    }
}
