//! The check process: [`elver_core::check::Checks`] with sockets.
//!
//! It owns nothing but the connections that it is making. It runs as `elver`, or
//! `nobody` where there is no such user, without capabilities, and ends when the
//! director does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use elver_core::check::messages::{FromChecks, ToChecks};
use elver_core::check::{Attempt, Checks, Effect, Failure, Input, Outcome};
use elver_sys::privilege::{self, User};
use elver_sys::process;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::message_stream::{self, Messages};

/// The users as which checks may run, best first.
const USERS: [&str; 2] = ["elver", "nobody"];

/// Runs checks for the director at the other end of `socket`, until it goes.
pub(crate) fn run(socket: UnixStream) -> io::Result<()> {
    process::raise_descriptor_limit()?;
    let user = User::first_of(&USERS)?.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "neither the user elver nor nobody is in /etc/passwd, and checks do not run as root",
        )
    })?;
    privilege::drop_to(&user)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(socket))
}

async fn serve(socket: UnixStream) -> io::Result<()> {
    let (read, write) = message_stream::halves(socket)?;
    let mut from_director = Messages::<ToChecks>::new(read);
    let mut connections = Connections {
        to_director: message_stream::queue(write),
        running: JoinSet::new(),
        handles: BTreeMap::new(),
    };
    let seed = u64::from(std::process::id()) << 32 | u64::from(subsecond_nanos());
    let mut checks = Checks::new(seed);
    loop {
        while let Some(effect) = checks.poll_effect() {
            connections.carry_out(effect);
        }
        let due = checks.poll_timeout();
        tokio::select! {
            message = from_director.next() => match message? {
                Some(ToChecks::Configure(assignments)) => {
                    checks.handle(Instant::now(), Input::Configure(assignments));
                }
                None => return Ok(()),
            },
            Some((attempt, outcome)) = connections.next() => {
                checks.handle(Instant::now(), Input::Ended(attempt, outcome));
            }
            () = sleep_until(due), if due.is_some() => checks.handle_timeout(Instant::now()),
        }
    }
}

/// The connections that are being made.
struct Connections {
    to_director: mpsc::UnboundedSender<FromChecks>,
    running: JoinSet<(Attempt, Outcome)>,
    handles: BTreeMap<Attempt, AbortHandle>,
}

impl Connections {
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { attempt, to } => {
                let handle = self
                    .running
                    .spawn(async move { (attempt, connect(to).await) });
                self.handles.insert(attempt, handle);
            }
            Effect::Abandon(attempt) => {
                if let Some(handle) = self.handles.remove(&attempt) {
                    handle.abort();
                }
            }
            Effect::Report(report) => {
                // A director that has gone shows where its messages are read.
                let _ = self.to_director.send(FromChecks::Report(report));
            }
        }
    }

    /// The next attempt that has ended by itself; `None` while there is none to wait for.
    async fn next(&mut self) -> Option<(Attempt, Outcome)> {
        loop {
            // An error is an attempt that was given up.
            if let Ok((attempt, outcome)) = self.running.join_next().await? {
                self.handles.remove(&attempt);
                return Some((attempt, outcome));
            }
        }
    }
}

/// Makes a connection and closes it at once: an orderly FIN, as keepalived does.
async fn connect(to: SocketAddr) -> Outcome {
    match TcpStream::connect(to).await {
        Ok(_) => Outcome::Connected,
        Err(error) => outcome_of(&error),
    }
}

/// What an error of connect(2) says, and of whom: the same errors as with keepalived
/// (`layer4.c`) speak against the real server.
fn outcome_of(error: &io::Error) -> Outcome {
    let ours = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EAGAIN,
        libc::EADDRNOTAVAIL,
        libc::EPERM,
        libc::EACCES,
        libc::EINVAL,
        libc::EAFNOSUPPORT,
    ];
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Failed(Failure::Refused),
        Some(libc::ETIMEDOUT) => Outcome::Failed(Failure::TimedOut),
        Some(libc::EHOSTUNREACH) => Outcome::Failed(Failure::HostUnreachable),
        Some(libc::ENETUNREACH) => Outcome::Failed(Failure::NetworkUnreachable),
        Some(libc::ECONNRESET) => Outcome::Failed(Failure::Reset),
        Some(number) if ours.contains(&number) => Outcome::NotRun(error.to_string()),
        _ => Outcome::Failed(Failure::Other(error.to_string())),
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn subsecond_nanos() -> u32 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_speak_against_the_real_server_or_not() {
        let of = |number| outcome_of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ECONNREFUSED), Outcome::Failed(Failure::Refused));
        assert_eq!(of(libc::ETIMEDOUT), Outcome::Failed(Failure::TimedOut));
        assert!(matches!(
            of(libc::EHOSTDOWN),
            Outcome::Failed(Failure::Other(_))
        ));
        assert!(matches!(of(libc::EMFILE), Outcome::NotRun(_)));
        assert!(matches!(of(libc::EPERM), Outcome::NotRun(_)));
    }
}
