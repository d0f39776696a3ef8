//! All sessions of a process.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use super::session::{Session, Told};
use super::{ControlPacket, Diagnostic, State};
use crate::config::model::BfdInstance;
use crate::random::Random;

/// A datagram that has come in on the port of BFD.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Where it is from.
    pub source: IpAddr,
    /// Its TTL or hop limit on arrival.
    pub hop_limit: u8,
    /// Whether it came to the port of several hops.
    pub is_multihop: bool,
    /// What is behind its UDP header.
    pub payload: &'a [u8],
}

/// Something that happens to the sessions.
#[derive(Debug)]
pub enum Input<'a> {
    /// These are the sessions from now on; those with the same name and neighbour go on.
    Configure(Vec<BfdInstance>),
    /// A datagram has come in.
    Received(Received<'a>),
    /// All sessions end; their neighbours are told.
    Shutdown,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send these octets to the neighbour of a session.
    Send {
        /// Its settings, which say from where and to where.
        session: Box<BfdInstance>,
        /// What goes behind the UDP header.
        payload: Vec<u8>,
    },
    /// A session has come up, or is down; said for the first time once that is known.
    Changed {
        /// Name of the session.
        session: String,
        /// Whether it is up.
        up: bool,
    },
    /// A session has entered a state, for the log.
    Entered {
        /// Name of the session.
        session: String,
        /// The state.
        state: State,
        /// Why it last left Up.
        diagnostic: Diagnostic,
        /// Why the neighbour's did.
        remote_diagnostic: Diagnostic,
    },
}

/// The sessions of a process.
#[derive(Debug)]
pub struct Sessions {
    sessions: Vec<Session>,
    effects: VecDeque<Effect>,
    random: Random,
}

impl Sessions {
    /// No sessions yet. `seed` decides about discriminators, which nobody should guess, and
    /// about the jitter.
    pub fn new(seed: u64) -> Sessions {
        Sessions {
            sessions: Vec::new(),
            effects: VecDeque::new(),
            random: Random::new(seed),
        }
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Configure(instances) => self.configure(now, instances),
            Input::Received(received) => self.received(now, received),
            Input::Shutdown => self.configure(now, Vec::new()),
        }
    }

    /// When [`Self::handle_timeout`] is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.iter().filter_map(Session::next_timeout).min()
    }

    /// Lets the timers run out that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for position in 0..self.sessions.len() {
            let session = &mut self.sessions[position];
            if session.next_timeout().is_some_and(|at| at <= now) {
                let before = session.state;
                let (told, packet) = session.handle_timeout(now);
                self.follow(now, position, before, told, packet);
            }
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Every session with its state, in the order of the configuration.
    pub fn states(&self) -> impl Iterator<Item = (&str, State)> {
        let sessions = self.sessions.iter();
        sessions.map(|session| (session.configuration.name.as_str(), session.state))
    }

    fn configure(&mut self, now: Instant, instances: Vec<BfdInstance>) {
        let mut before = std::mem::take(&mut self.sessions);
        for instance in instances {
            let goes_on = |session: &Session| {
                let known = &session.configuration;
                (&known.name, known.neighbor, known.multihop)
                    == (&instance.name, instance.neighbor, instance.multihop)
            };
            let session = match before.iter().position(goes_on) {
                Some(position) => {
                    let mut session = before.swap_remove(position);
                    session.reconfigure(now, instance);
                    session
                }
                None => {
                    let discriminator = self.discriminator();
                    Session::new(now, instance, discriminator)
                }
            };
            self.sessions.push(session);
        }
        for mut session in before {
            if let Some(packet) = session.farewell() {
                self.send(&session.configuration, &packet);
            }
        }
    }

    fn received(&mut self, now: Instant, received: Received<'_>) {
        // A packet that breaks a rule moves nothing.
        let Ok(packet) = ControlPacket::parse(received.payload) else {
            return;
        };
        // "If the Your Discriminator field is nonzero, it MUST be used to select the session
        // with which this BFD packet is associated. […] If the Your Discriminator field is
        // zero, the session MUST be selected based on some combination of other fields" (RFC
        // 5880 section 6.8.6): the addresses, which have to be right in the other case as well.
        let is_meant = |session: &Session| {
            let configuration = &session.configuration;
            configuration.neighbor == received.source
                && configuration.multihop == received.is_multihop
                && [0, session.discriminator].contains(&packet.your_discriminator)
        };
        let Some(position) = self.sessions.iter().position(is_meant) else {
            return;
        };
        let session = &mut self.sessions[position];
        if !session.accepts_hop_limit(received.hop_limit) {
            return;
        }
        let before = session.state;
        let (told, answer) = session.receive(now, packet);
        self.follow(now, position, before, told, answer);
    }

    /// What follows from something that has happened to a session.
    fn follow(
        &mut self,
        now: Instant,
        position: usize,
        before: State,
        told: Told,
        packet: Option<ControlPacket>,
    ) {
        let jitter = self.random.fraction();
        let session = &mut self.sessions[position];
        let name = session.configuration.name.clone();
        if session.state != before {
            self.effects.push_back(Effect::Entered {
                session: name.clone(),
                state: session.state,
                diagnostic: session.diagnostic,
                remote_diagnostic: session.remote_diagnostic(),
            });
        }
        if let Told::Up(up) = told {
            self.effects
                .push_back(Effect::Changed { session: name, up });
        }
        if let Some(packet) = packet {
            session.sent(now, jitter);
            let configuration = session.configuration.clone();
            self.send(&configuration, &packet);
        }
    }

    fn send(&mut self, session: &BfdInstance, packet: &ControlPacket) {
        self.effects.push_back(Effect::Send {
            session: Box::new(session.clone()),
            payload: packet.to_octets().to_vec(),
        });
    }

    fn discriminator(&mut self) -> u32 {
        loop {
            let discriminator = (self.random.number() >> 32) as u32;
            let mut taken = self.sessions.iter().map(|session| session.discriminator);
            if discriminator != 0 && !taken.any(|taken| taken == discriminator) {
                return discriminator;
            }
        }
    }
}

#[cfg(test)]
mod tests;
