//! Sockets of checks that need what the check process may not: a firewall mark, or a way to
//! their real server as clients' packets have it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use elver_core::check::messages::{SocketAnswer, SocketRequest};
use elver_core::config::model::CheckPath;
use elver_sys::socket_passing::Channel;
use socket2::{Protocol, SockRef};
use tokio::sync::{mpsc, oneshot};

use super::Director;
use crate::data_plane::CheckConnection;

/// A socket that is to be made ready.
pub(super) struct Unready {
    request: SocketRequest,
    socket: OwnedFd,
    answer: oneshot::Sender<SocketAnswer>,
}

/// Takes sockets from a check process, until it goes.
pub(super) async fn serve(channel: Channel, to_director: mpsc::UnboundedSender<Unready>) {
    loop {
        let (words, socket) = match channel.receive().await {
            Ok(Some(received)) => received,
            Ok(None) => return,
            Err(error) => {
                tracing::error!("sockets of checks: {error}");
                return;
            }
        };
        let (Ok(request), Some(socket)) = (serde_json::from_slice(&words), socket) else {
            tracing::error!("the check process asks for something that is no socket's");
            return;
        };
        let (answer, answered) = oneshot::channel();
        let unready = Unready {
            request,
            socket,
            answer,
        };
        // A director that ends answers nobody.
        let (Ok(()), Ok(answer)) = (to_director.send(unready), answered.await) else {
            return;
        };
        let Ok(words) = serde_json::to_vec(&answer) else {
            return;
        };
        if channel.send(&words, None).await.is_err() {
            return;
        }
    }
}

impl Director {
    pub(super) fn make_ready(&mut self, unready: Unready) {
        let Unready {
            request,
            socket,
            answer,
        } = unready;
        // Who asked may have gone.
        let _ = answer.send(SocketAnswer {
            attempt: request.attempt,
            to: self.made_ready(&request, &SockRef::from(&socket)),
        });
    }

    /// Where the socket is to be connected to.
    fn made_ready(
        &mut self,
        request: &SocketRequest,
        socket: &SockRef<'_>,
    ) -> Result<SocketAddr, String> {
        let name = &request.name;
        let Some(standing) = self.health.standing(name) else {
            return Err("the check is no more".to_owned());
        };
        let connection = &standing.check.connection;
        let (mark, path, direct) = (connection.mark, connection.path, connection.to);
        if mark != 0 {
            let marked = socket.set_mark(mark);
            marked.map_err(|error| format!("fwmark {mark}: {error}"))?;
        }
        let CheckPath::Forwarding { virtual_address } = path else {
            return Ok(direct);
        };
        // Elsewhere nobody forwards the packets, and there are no clients either.
        if !self.data_plane.forwards(&name.service) {
            return Ok(direct);
        }
        let place = self.servers.find(&name.service);
        let server = place.and_then(|place| self.configuration.virtual_servers.get(place));
        let mut reals = server.iter().flat_map(|server| &server.real_servers);
        let Some(real) = reals.find(|real| real.address == name.real_server) else {
            return Err("the real server is no more".to_owned());
        };
        let no_address = || "check_path forwarding: the socket has no address".to_owned();
        let from = socket.local_addr().map_err(|error| error.to_string())?;
        let from = from.as_socket().ok_or_else(no_address)?;
        if from.ip().is_unspecified() || from.port() == 0 {
            return Err(no_address());
        }
        let to = SocketAddr::new(virtual_address, direct.port());
        if from.ip() == to.ip() {
            return Err(format!(
                "check_path forwarding: this host has no address but {} towards the real \
                 server, and answers have to come back to another one; `bindto` names one",
                to.ip()
            ));
        }
        let protocol = match socket.protocol() {
            Ok(Some(Protocol::UDP)) => elver_core::service::Protocol::Udp,
            _ => elver_core::service::Protocol::Tcp,
        };
        let connection = CheckConnection {
            protocol: protocol.number(),
            from,
            to,
        };
        match self.data_plane.lead(name, &real.settings, connection) {
            Ok(true) => Ok(to),
            Ok(false) => Ok(direct),
            Err(error) => Err(format!("check_path forwarding: {error}")),
        }
    }

    /// Takes out of the tables what was there for checks that are no more.
    pub(super) fn end_check_paths(&mut self) {
        let health = &self.health;
        let goes_on = |name: &_| {
            let standing = health.standing(name);
            standing.is_some_and(|standing| standing.check.connection.needs_director())
        };
        if let Err(error) = self.data_plane.end_check_paths(goes_on) {
            tracing::error!("{error}");
        }
    }
}
