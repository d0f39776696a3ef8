//! The check process: [`elver_core::check::Checks`] with sockets.
//!
//! It owns nothing but the connections of its checks. It runs as `elver`, or
//! `nobody` where there is no such user, without capabilities, and ends when the
//! director does.

mod connects;
mod exchange;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use elver_core::check::messages::{CertificateTexts, FromChecks, ToChecks};
use elver_core::check::{Attempt, Checks, Effect, Input, Outcome};
use elver_core::config::model::Probe;
use elver_sys::privilege::{self, User};
use elver_sys::{process, socket_passing};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::message_stream::{self, Messages};
use crate::own_process::OwnProcess;
use connects::{Connects, Stand};
pub(crate) use exchange::TlsContexts;
use exchange::{Ask, Means};
use sockets::Sockets;

/// Its name in the kernel's list of processes, where it is given no other.
pub(crate) const NAME: &CStr = c"elver-check";

/// The users as which checks may run, best first.
const USERS: [&str; 2] = ["elver", "nobody"];

/// Runs checks for the director at the other end of `socket`, until it goes.
pub(crate) fn run(socket: UnixStream) -> io::Result<()> {
    process::raise_descriptor_limit()?;
    let channel = socket_passing::take(&socket)?;
    privilege::drop_to(&user()?)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(socket, channel))
}

/// The user as which checks run.
pub(crate) fn user() -> io::Result<User> {
    User::first_of(&USERS)?.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "neither the user elver nor nobody is in /etc/passwd, and checks do not run as root",
        )
    })
}

async fn serve(socket: UnixStream, channel: OwnedFd) -> io::Result<()> {
    let (read, write) = message_stream::halves(socket)?;
    let mut from_director = Messages::<ToChecks>::new(read);
    let mut connections = Connections {
        to_director: message_stream::queue(write),
        connects: Connects::new(),
        running: JoinSet::new(),
        handles: BTreeMap::new(),
        scripts: BTreeSet::new(),
        means: Means {
            tls: TlsContexts::new(&CertificateTexts::default())?,
            sockets: Sockets::new(channel)?,
        },
    };
    let seed = u64::from(std::process::id()) << 32 | u64::from(subsecond_nanos());
    let mut checks = Checks::new(seed);
    let mut own = OwnProcess::named(NAME);
    loop {
        while let Some(effect) = checks.poll_effect() {
            if let Some((attempt, outcome)) = connections.carry_out(effect) {
                checks.handle(Instant::now(), Input::Ended(attempt, outcome));
            }
        }
        // What is due at nearly the same time is done together.
        let due = checks.poll_timeout();
        let due = due.map(|at| connections.connects.tick(at));
        let look = connections.connects.due();
        tokio::select! {
            message = from_director.next() => match message? {
                Some(ToChecks::Certificate(texts)) => {
                    connections.means.tls = TlsContexts::new(&texts)?;
                }
                Some(ToChecks::Own(settings)) => {
                    for problem in own.configure(settings) {
                        tracing::error!("{problem}");
                    }
                }
                Some(ToChecks::Configure(assignments)) => {
                    checks.handle(Instant::now(), Input::Configure(assignments));
                }
                Some(ToChecks::Change(changes)) => {
                    checks.handle(Instant::now(), Input::Change(changes));
                }
                Some(ToChecks::ScriptEnded(attempt, outcome)) => {
                    connections.scripts.remove(&attempt);
                    checks.handle(Instant::now(), Input::Ended(attempt, outcome.into()));
                }
                None => return Ok(()),
            },
            Some((attempt, outcome)) = connections.next() => {
                checks.handle(Instant::now(), Input::Ended(attempt, outcome));
            }
            () = sleep_until(earliest(due, look)), if due.or(look).is_some() => {
                for (attempt, outcome) in connections.look() {
                    checks.handle(Instant::now(), Input::Ended(attempt, outcome));
                }
                let now = Instant::now();
                if let Some(late) = own.lateness(earliest(due, look), now) {
                    let _ = connections.to_director.send(FromChecks::Late(late));
                }
                checks.handle_timeout(now);
            }
        }
    }
}

/// The connections that are open.
struct Connections {
    to_director: mpsc::UnboundedSender<FromChecks>,
    connects: Connects,
    running: JoinSet<(Attempt, Outcome)>,
    handles: BTreeMap<Attempt, AbortHandle>,
    /// Attempts that are programs, which the director runs: this process may not become
    /// their users.
    scripts: BTreeSet<Attempt>,
    means: Means,
}

impl Connections {
    /// Carries out an effect. An attempt that has ended by that is given back.
    fn carry_out(&mut self, effect: Effect) -> Option<(Attempt, Outcome)> {
        match effect {
            Effect::Ask {
                attempt,
                name,
                check,
                ..
            } if matches!(check.probe, Probe::Misc(_)) => {
                self.scripts.insert(attempt);
                let _ = self.to_director.send(FromChecks::RunScript(name, attempt));
            }
            Effect::Ask { attempt, check, .. }
                if check.probe == Probe::Tcp && !check.connection.needs_director() =>
            {
                let begun = self.connects.begin(attempt, &check.connection);
                return begun.err().map(|outcome| (attempt, outcome));
            }
            Effect::Ask {
                attempt,
                name,
                check,
                question,
                random,
            } => {
                let means = self.means.clone();
                let ask = Ask {
                    attempt,
                    name,
                    check,
                    question,
                    random,
                };
                let handle = self
                    .running
                    .spawn(async move { (attempt, exchange::attempt(&ask, &means).await) });
                self.handles.insert(attempt, handle);
            }
            Effect::Abandon(attempt) => {
                if let Some(handle) = self.handles.remove(&attempt) {
                    handle.abort();
                } else if !self.connects.abandon(attempt) && self.scripts.remove(&attempt) {
                    let _ = self.to_director.send(FromChecks::EndScript(attempt));
                }
            }
            Effect::Report(report) => {
                // A director that has gone shows where its messages are read.
                let _ = self.to_director.send(FromChecks::Report(report));
            }
        }
        None
    }

    /// The attempts that have ended by now, of connections that were begun a moment ago.
    fn look(&mut self) -> Vec<(Attempt, Outcome)> {
        let mut ended = Vec::new();
        for (attempt, stand) in self.connects.look() {
            match stand {
                Stand::Ended(outcome) => ended.push((attempt, outcome)),
                Stand::Open(socket) => {
                    let waiting = async move { (attempt, connects::wait(socket).await) };
                    self.handles.insert(attempt, self.running.spawn(waiting));
                }
            }
        }
        ended
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

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
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
