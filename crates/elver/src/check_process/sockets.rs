//! Sockets that the director makes ready: this process has no privileges to do it itself.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use elver_core::check::messages::{SocketAnswer, SocketRequest};
use elver_core::check::{Attempt, CheckName, Outcome};
use elver_core::config::model::{CheckPath, Connection};
use elver_sys::socket_passing::Channel;
use tokio::sync::oneshot;

/// The attempts whose sockets are with the director.
type Waiting = BTreeMap<Attempt, oneshot::Sender<Result<SocketAddr, String>>>;

/// The director's help with sockets.
pub(super) struct Sockets {
    channel: Channel,
    waiting: Mutex<Waiting>,
}

impl Sockets {
    /// Help over this end of a channel.
    pub(super) fn new(channel: OwnedFd) -> io::Result<Arc<Sockets>> {
        let sockets = Arc::new(Sockets {
            channel: Channel::new(channel)?,
            waiting: Mutex::default(),
        });
        let answers = sockets.clone();
        tokio::spawn(async move {
            // That the director has gone shows where its messages are read.
            while let Ok(Some((words, _))) = answers.channel.receive().await {
                if let Ok(SocketAnswer { attempt, to }) = serde_json::from_slice(&words)
                    && let Some(waiting) = answers.waiting().remove(&attempt)
                {
                    let _ = waiting.send(to);
                }
            }
            // Nobody answers those any more: they are not made.
            answers.waiting().clear();
        });
        Ok(sockets)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the socket of an attempt made ready, if its check needs that. Where to connect it
    /// to.
    ///
    /// # Errors
    /// The attempt is not made.
    pub(super) async fn make_ready(
        &self,
        (attempt, name): (Attempt, CheckName),
        connection: &Connection,
        socket: &impl AsFd,
    ) -> Result<SocketAddr, Outcome> {
        if !connection.needs_director() {
            return Ok(connection.to);
        }
        let lost = |error: io::Error| Outcome::NotRun(format!("asking the director: {error}"));
        let words = serde_json::to_vec(&SocketRequest { attempt, name })
            .map_err(|error| lost(error.into()))?;
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(attempt, answer);
        // Also when the attempt is given up meanwhile.
        let _forget = Forget(self, attempt);
        let sent = self.channel.send(&words, Some(socket.as_fd())).await;
        sent.map_err(lost)?;
        match answered.await {
            Ok(answer) => answer.map_err(Outcome::NotRun),
            Err(_) => Err(lost(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

struct Forget<'a>(&'a Sockets, Attempt);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}

/// The address that this host has towards the real server, for a check that is to go to the
/// virtual address: the stack would choose that one itself.
pub(super) fn own_address(connection: &Connection) -> io::Result<Option<SocketAddr>> {
    if connection.path == CheckPath::Direct {
        return Ok(None);
    }
    let mut any = connection.to;
    any.set_ip(match any {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    });
    any.set_port(0);
    // Nothing is sent by this.
    let socket = UdpSocket::bind(any)?;
    socket.connect(connection.to)?;
    let mut own = socket.local_addr()?;
    own.set_port(0);
    Ok(Some(own))
}
