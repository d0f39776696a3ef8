//! What a check says to a real server, and what it makes of the answers.
//!
//! A [`Dialogue`] is one attempt at one question over a connection that somebody else
//! made. It is told what arrived, and its [`Turn`] says what to do next:
//!
//! ```text
//!  Send ──► Receive ──► Send … ──► Done
//! ```
//!
//! Whatever the peer sends, what a dialogue remembers stays below fixed bounds; how long
//! one may take is for the caller to bound.

mod datagram;
mod http;
mod smtp;

use super::{Failure, Outcome};
use crate::config::model::{Check, Probe, UdpProbe};

/// What a dialogue wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Send these octets (over UDP: as one datagram).
    Send(Vec<u8>),
    /// Pass on what arrives, or that the peer has closed the connection.
    Receive,
    /// The attempt is over.
    Done(Outcome),
}

/// One attempt at one question.
#[derive(Debug)]
pub struct Dialogue(Kind);

#[derive(Debug)]
enum Kind {
    /// That the connection was made is all there was to see.
    Connected,
    Http(Box<http::Http>),
    Smtp(smtp::Smtp),
    Datagram(datagram::Datagram),
}

/// How a check has ended that wants nothing but a connection, and has got it.
pub fn connected() -> Outcome {
    Outcome::Passed("connected".to_owned())
}

impl Dialogue {
    /// The question number `question` of `check`, from 0. `random` is for identifiers that
    /// others are not to guess.
    pub fn new(check: &Check, question: usize, random: u64) -> Dialogue {
        let to = check.connection.to;
        Dialogue(match &check.probe {
            // A program is its own dialogue, and what is followed has none.
            Probe::Tcp | Probe::Misc(_) | Probe::File(_) | Probe::Bfd { .. } => Kind::Connected,
            Probe::Http(probe) => match probe.urls.get(question) {
                Some(url) => Kind::Http(Box::new(http::Http::new(url, probe.version, to))),
                None => Kind::Connected,
            },
            Probe::Smtp { helo_name } => Kind::Smtp(smtp::Smtp::new(helo_name)),
            Probe::Udp(probe) => Kind::Datagram(datagram::Datagram::udp(probe, random)),
            Probe::Dns(probe) => Kind::Datagram(datagram::Datagram::dns(probe, random)),
            Probe::Ping => Kind::Datagram(datagram::Datagram::echo(to.is_ipv6(), random)),
        })
    }

    /// What to do next. Asked again without anything having happened, a dialogue that has
    /// sent its part wants to receive.
    pub fn turn(&mut self) -> Turn {
        match &mut self.0 {
            Kind::Connected => Turn::Done(connected()),
            Kind::Http(http) => http.turn(),
            Kind::Smtp(smtp) => smtp.turn(),
            Kind::Datagram(datagram) => datagram.turn(),
        }
    }

    /// These octets have arrived: the next part of a stream, or one datagram.
    pub fn received(&mut self, octets: &[u8]) {
        match &mut self.0 {
            Kind::Connected => {}
            Kind::Http(http) => http.received(octets),
            Kind::Smtp(smtp) => smtp.received(octets),
            Kind::Datagram(datagram) => datagram.received(octets),
        }
    }

    /// The peer sends no more.
    pub fn ended(&mut self) {
        match &mut self.0 {
            Kind::Connected | Kind::Datagram(_) => {}
            Kind::Http(http) => http.ended(),
            Kind::Smtp(smtp) => smtp.ended(),
        }
    }
}

/// What it means that no dialogue of `probe` has come to an end in time.
///
/// A UDP service that is not made to reply has passed when no host has refused.
pub fn silence(probe: &Probe) -> Outcome {
    match probe {
        Probe::Udp(UdpProbe { reply: None, .. }) => Outcome::Passed("nobody refuses".to_owned()),
        Probe::Misc(_) => Outcome::Failed(Failure::Other("timed out".to_owned())),
        _ => Outcome::Failed(Failure::TimedOut),
    }
}

fn wrong(words: impl Into<String>) -> Outcome {
    Outcome::Failed(Failure::WrongAnswer(words.into()))
}

#[cfg(test)]
mod tests;
