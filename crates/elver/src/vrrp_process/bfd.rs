//! The machine of [`elver_core::bfd`] on this host's sockets.
//!
//! It runs in the vrrp process, so that an instance hears of a neighbour that is gone without a
//! way through another process; the director tells checks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Instant;

use elver_core::bfd::{self, Effect, Input, Received, Sessions, State};
use elver_core::config::model::BfdInstance;
use elver_sys::bfd_socket::{BfdDatagram, BfdReceiver, BfdSender};
use tracing::{info, warn};

/// Where these lines of the log come from.
pub(super) const MODULE: &str = module_path!();

/// At most this many datagrams of one socket are looked at before the timers are.
const DATAGRAMS_BEFORE_TIMERS: usize = 256;

/// A port that is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Listening {
    ipv6: bool,
    multihop: bool,
}

/// The sessions, with the sockets that they need.
pub(super) struct Bfd {
    sessions: Sessions,
    receivers: BTreeMap<Listening, BfdReceiver>,
    senders: BTreeMap<String, (BfdInstance, BfdSender)>,
    /// Sessions whose last packet could not be sent, of which it has been said.
    unsent: BTreeSet<String>,
    news: VecDeque<(String, bool)>,
}

impl Bfd {
    pub(super) fn new(seed: u64) -> Bfd {
        Bfd {
            sessions: Sessions::new(seed),
            receivers: BTreeMap::new(),
            senders: BTreeMap::new(),
            unsent: BTreeSet::new(),
            news: VecDeque::new(),
        }
    }

    /// Runs these sessions from now on; returns what an operator must know.
    pub(super) fn configure(&mut self, instances: Vec<BfdInstance>) -> Vec<String> {
        let wanted: BTreeSet<Listening> = instances.iter().map(listening).collect();
        self.receivers
            .retain(|listening, _| wanted.contains(listening));
        let mut problems = Vec::new();
        for listening in wanted {
            if self.receivers.contains_key(&listening) {
                continue;
            }
            let port = port(listening.multihop);
            match BfdReceiver::open(listening.ipv6, port) {
                Ok(receiver) => {
                    self.receivers.insert(listening, receiver);
                }
                Err(error) => problems.push(format!(
                    "BFD: port {port} cannot be listened on, so its sessions stay down: {error}"
                )),
            }
        }
        // Ends of sessions are sent by the sockets that they had.
        self.handle(Input::Configure(instances.clone()));
        self.senders
            .retain(|_, (instance, _)| instances.contains(instance));
        problems
    }

    /// Ends all sessions, which their neighbours are told.
    pub(super) fn shut_down(&mut self) {
        self.handle(Input::Shutdown);
        self.news.clear();
    }

    /// Waits for a datagram and takes it in. Nothing is lost when this is cancelled.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        let receivers = &self.receivers;
        let (is_multihop, datagram) = poll_fn(|context| {
            for (listening, receiver) in receivers {
                if let Poll::Ready(datagram) = receiver.poll_receive(context) {
                    return Poll::Ready((listening.multihop, datagram));
                }
            }
            Poll::Pending
        })
        .await;
        self.received(is_multihop, &datagram?);
        self.receive_pending();
        Ok(())
    }

    /// Takes what the kernel holds.
    pub(super) fn receive_pending(&mut self) {
        let mut pending = Vec::new();
        for (listening, receiver) in &self.receivers {
            for _ in 0..DATAGRAMS_BEFORE_TIMERS {
                match receiver.try_receive() {
                    Ok(Some(datagram)) => pending.push((listening.multihop, datagram)),
                    // What is wrong with the socket is said where it is waited for.
                    Ok(None) | Err(_) => break,
                }
            }
        }
        for (is_multihop, datagram) in pending {
            self.received(is_multihop, &datagram);
        }
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.poll_timeout()
    }

    /// Lets the timers run out that are due.
    pub(super) fn handle_timeout(&mut self) {
        self.sessions.handle_timeout(Instant::now());
        self.carry_out();
    }

    /// A session that has come up or gone down, and which.
    pub(super) fn poll_news(&mut self) -> Option<(String, bool)> {
        self.news.pop_front()
    }

    fn received(&mut self, is_multihop: bool, datagram: &BfdDatagram) {
        self.handle(Input::Received(Received {
            source: datagram.source,
            hop_limit: datagram.hop_limit,
            is_multihop,
            payload: &datagram.payload,
        }));
    }

    fn handle(&mut self, input: Input<'_>) {
        self.sessions.handle(Instant::now(), input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.sessions.poll_effect() {
            match effect {
                Effect::Send { session, payload } => self.send(&session, &payload),
                Effect::Changed { session, up } => self.news.push_back((session, up)),
                Effect::Entered {
                    session,
                    state,
                    diagnostic,
                    remote_diagnostic,
                } if state <= State::Down => warn!(
                    "BFD_Instance({session}) Entering {state} state (Local diagnostic - \
                     {diagnostic}, Remote diagnostic - {remote_diagnostic})"
                ),
                Effect::Entered { session, state, .. } => {
                    info!("BFD_Instance({session}) Entering {state} state");
                }
            }
        }
    }

    /// Sends by the socket of a session, which is opened when it is first needed: its address
    /// may come later than the session.
    fn send(&mut self, session: &BfdInstance, payload: &[u8]) {
        let name = &session.name;
        let sent = match self.sender(session) {
            Ok(sender) => sender.send(payload),
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => {
                self.unsent.remove(name);
            }
            Err(error) => {
                if self.unsent.insert(name.clone()) {
                    let neighbor = session.neighbor;
                    warn!("BFD_Instance({name}) cannot send to {neighbor}: {error}");
                }
            }
        }
    }

    fn sender(&mut self, session: &BfdInstance) -> io::Result<&BfdSender> {
        let is_as_wanted = |known: &(BfdInstance, BfdSender)| {
            let (known, _) = known;
            (
                known.source,
                known.neighbor,
                known.hop_limit,
                known.multihop,
            ) == (
                session.source,
                session.neighbor,
                session.hop_limit,
                session.multihop,
            )
        };
        if !self.senders.get(&session.name).is_some_and(is_as_wanted) {
            let neighbor = SocketAddr::new(session.neighbor, port(session.multihop));
            let sender = BfdSender::open(session.source, neighbor, session.hop_limit)?;
            self.senders
                .insert(session.name.clone(), (session.clone(), sender));
        }
        match self.senders.get(&session.name) {
            Some((_, sender)) => Ok(sender),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn listening(instance: &BfdInstance) -> Listening {
    Listening {
        ipv6: instance.neighbor.is_ipv6(),
        multihop: instance.multihop,
    }
}

fn port(multihop: bool) -> u16 {
    match multihop {
        false => bfd::PORT,
        true => bfd::MULTIHOP_PORT,
    }
}
