//! Connections of checks that have nothing to say (`TCP_CHECK`): most checks of large sites.
//!
//! A real server nearby answers within a fraction of a millisecond. So a connection that has
//! been begun is looked at when the next [`TICK`] comes, together with all others of that tick,
//! by one system call; only those that are not decided by then are waited for one by one.
//! In the usual case a check costs what a connection costs.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use elver_core::check::dialogue::connected;
use elver_core::check::{Attempt, Outcome};
use elver_core::config::model::Connection;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use socket2::SockRef;
use tokio::io::Interest;

use super::exchange::{outcome_of, source};

/// What is due within this time is done at once.
const TICK: Duration = Duration::from_millis(2);

/// Connections that were begun since the last tick.
pub(super) struct Connects {
    started: Instant,
    begun: Vec<(Attempt, OwnedFd)>,
    /// When they are looked at.
    due: Option<Instant>,
}

/// How the connections of a tick stand.
pub(super) enum Stand {
    /// It is decided.
    Ended(Outcome),
    /// It has to be waited for.
    Open(OwnedFd),
}

impl Connects {
    pub(super) fn new() -> Connects {
        Connects {
            started: Instant::now(),
            begun: Vec::new(),
            due: None,
        }
    }

    /// The tick at which something is done that is due at `at`.
    pub(super) fn tick(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.started).as_nanos();
        let ticks = since.div_ceil(TICK.as_nanos());
        u32::try_from(ticks).map_or(at, |ticks| self.started + TICK * ticks)
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// How it has ended at once.
    pub(super) fn begin(
        &mut self,
        attempt: Attempt,
        connection: &Connection,
    ) -> Result<(), Outcome> {
        let socket = begun(connection).map_err(|error| outcome_of(&error))?;
        self.begun.push((attempt, socket));
        self.due.get_or_insert_with(|| Instant::now() + TICK);
        Ok(())
    }

    /// Drops a connection; whether it was one of these.
    pub(super) fn abandon(&mut self, attempt: Attempt) -> bool {
        let before = self.begun.len();
        self.begun.retain(|(each, _)| *each != attempt);
        self.begun.len() != before
    }

    /// When [`Connects::look`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How the connections stand that were begun since the last look.
    pub(super) fn look(&mut self) -> Vec<(Attempt, Stand)> {
        self.due = None;
        let begun = std::mem::take(&mut self.begun);
        let mut looked_at: Vec<PollFd<'_>> = begun
            .iter()
            .map(|(_, socket)| PollFd::new(socket, PollFlags::OUT))
            .collect();
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // Those of which nothing is known are waited for.
        let _ = poll(&mut looked_at, Some(&at_once));
        let decided: Vec<bool> = looked_at
            .iter()
            .map(|socket| !socket.revents().is_empty())
            .collect();
        let each = begun.into_iter().zip(decided);
        let stands = each.map(|((attempt, socket), is_decided)| {
            let stand = match is_decided {
                true => Stand::Ended(ended(&socket)),
                false => Stand::Open(socket),
            };
            (attempt, stand)
        });
        stands.collect()
    }
}

/// Waits until a connection is decided.
pub(super) async fn wait(socket: OwnedFd) -> Outcome {
    let waited = async {
        let stream = tokio::net::TcpStream::from_std(TcpStream::from(socket))?;
        stream.ready(Interest::WRITABLE).await?;
        Ok(ended(&stream))
    };
    waited
        .await
        .unwrap_or_else(|error: io::Error| outcome_of(&error))
}

fn begun(connection: &Connection) -> io::Result<OwnedFd> {
    let family = match connection.to.is_ipv4() {
        true => AddressFamily::INET,
        false => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if let Some(interface) = &connection.interface {
        SockRef::from(&socket).bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(source) = source(connection)? {
        let socket = SockRef::from(&socket);
        // A fixed port is wanted again while the last connection is in TIME-WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&source.into())?;
    }
    match rustix::net::connect(&socket, &connection.to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

fn ended(socket: &impl std::os::fd::AsFd) -> Outcome {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Ok(())) => connected(),
        Ok(Err(error)) | Err(error) => outcome_of(&error.into()),
    }
}
