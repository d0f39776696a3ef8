//! The client: connections to a service, and who answered them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use elver_core::config::model::DnsProbe;
use elver_core::service::Protocol;
use elver_core::topology::{Call, Topology};

use super::listen::Witness;
use crate::client::connect_from;
use crate::wait::limit_here;
use crate::{Error, Host, Result};

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a datagram may be under way, of which no answer is to be expected.
const UNDER_WAY: Duration = Duration::from_millis(300);
/// How often a datagram is sent, since one may be lost.
const SENDINGS: usize = 2;
/// So many failures in a row say enough.
const ENOUGH_FAILURES: usize = 3;
/// As much of an answer as is read.
const LONGEST_ANSWER: u64 = 1 << 16;

/// Why an answer does not come (`ip_vs_core.c`: there is no connection that it belongs to).
pub(super) const ONE_WAY: &str = "by NAT, one-packet scheduling (ops) brings no answer back";

/// What became of one connection.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The client's address and port.
    pub(super) from: Option<SocketAddr>,
    /// The number of the server that answered, or why none did.
    pub(super) outcome: std::result::Result<usize, String>,
}

/// A client of the lab.
pub(super) struct Asking<'a> {
    client: &'a Host,
    topology: &'a Topology,
    witness: &'a Witness,
}

/// A connection on which nothing has been asked yet.
enum Open {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        client: &'a Host,
        topology: &'a Topology,
        witness: &'a Witness,
    ) -> Asking<'a> {
        Asking {
            client,
            topology,
            witness,
        }
    }

    /// Makes all connections of a call, and then asks on each: schedulers that count see that
    /// they are there.
    pub(super) fn ask(&self, call: &Call) -> Result<Vec<Answer>> {
        self.client.run(|| {
            let mut open = Vec::new();
            let mut failures = 0;
            for number in 0..call.connections {
                if failures == ENOUGH_FAILURES {
                    break;
                }
                let opened = self.open(call, number);
                failures = if opened.is_ok() { 0 } else { failures + 1 };
                open.push(opened);
            }
            let mut answers = Vec::new();
            failures = 0;
            for opened in open {
                if failures == ENOUGH_FAILURES {
                    break;
                }
                let answer = self.answer(call, opened);
                failures = if answer.outcome.is_ok() {
                    0
                } else {
                    failures + 1
                };
                answers.push(answer);
            }
            Ok(answers)
        })?
    }

    /// The address that a connection comes from: each is a client of its own.
    fn source(&self, call: &Call, number: usize) -> Result<IpAddr> {
        let addresses = self.topology.client.addresses();
        let all: Vec<IpAddr> = addresses
            .map(|prefix| prefix.address)
            .filter(|address| address.is_ipv4() == call.to.is_ipv4())
            .collect();
        let place = number
            .checked_rem(all.len())
            .and_then(|place| all.get(place));
        place.copied().ok_or_else(|| Error::Unexpected {
            expected: format!("a client with an address of the family of {}", call.to),
            seen: "none".to_owned(),
        })
    }

    fn open(&self, call: &Call, number: usize) -> io::Result<Open> {
        let from = self.source(call, number).map_err(io::Error::other)?;
        let from = SocketAddr::new(from, 0);
        match call.protocol {
            Protocol::Tcp => {
                let stream = connect_from(from, call.to, limit_here(ANSWER_LIMIT))?;
                stream.set_read_timeout(Some(limit_here(ANSWER_LIMIT)))?;
                Ok(Open::Stream(stream))
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(from)?;
                socket.connect(call.to)?;
                let limit = if call.is_one_way {
                    UNDER_WAY
                } else {
                    ANSWER_LIMIT
                };
                socket.set_read_timeout(Some(limit_here(limit)))?;
                Ok(Open::Datagrams(socket))
            }
            Protocol::Sctp => Err(io::Error::other("the lab has no client for SCTP")),
        }
    }

    fn answer(&self, call: &Call, opened: io::Result<Open>) -> Answer {
        let mut from = None;
        let octets = opened.and_then(|open| match open {
            Open::Stream(stream) => {
                from = stream.local_addr().ok();
                converse(stream, call)
            }
            Open::Datagrams(socket) => {
                from = socket.local_addr().ok();
                exchange(&socket, call)
            }
        });
        let reached = from.and_then(|from| self.witness.reached(call.protocol, from));
        let outcome = match (octets, reached) {
            (Ok(octets), Some(server)) => self.is_of(&octets, call, server),
            (Ok(_), None) => Err("something answered that is no server of the lab".to_owned()),
            (Err(error), None) => Err(words(&error)),
            (Err(_), Some(server)) if call.is_one_way => match &call.question {
                // That it came is all that there is to see, unless it was a question.
                None => Ok(server),
                Some(_) => Err(format!("it reached {}; {ONE_WAY}", self.name(server))),
            },
            (Err(error), Some(server)) => Err(format!(
                "it reached {}, whose answer did not come: {}",
                self.name(server),
                words(&error)
            )),
        };
        Answer { from, outcome }
    }

    fn name(&self, server: usize) -> &str {
        let server = self.topology.servers.get(server);
        server.map_or("a server", |server| &server.name)
    }

    /// A stream names its server; a datagram came from the address that was asked.
    fn is_of(
        &self,
        octets: &[u8],
        call: &Call,
        server: usize,
    ) -> std::result::Result<usize, String> {
        let name = self.name(server).as_bytes();
        let is_named = octets.windows(name.len()).any(|part| part == name);
        if call.protocol == Protocol::Tcp && !is_named {
            let shown = String::from_utf8_lossy(&octets[..octets.len().min(60)]);
            return Err(format!(
                "{} did not send this: {shown:?}",
                self.name(server)
            ));
        }
        Ok(server)
    }
}

/// Asks for a page; a mail server greets before it has been asked.
fn converse(mut stream: TcpStream, call: &Call) -> io::Result<Vec<u8>> {
    let request = format!("GET /elver-lab HTTP/1.0\r\nHost: {}\r\n\r\n", call.to);
    stream.write_all(request.as_bytes())?;
    let mut octets = Vec::new();
    // Ends with the greeting's first line, or with the page.
    let mut block = [0; 1024];
    while !octets.ends_with(b"\n") || octets.starts_with(b"HTTP/") {
        let length = match stream.read(&mut block) {
            Ok(0) => break,
            Ok(length) => length,
            // What came before it says who it was.
            Err(_) if !octets.is_empty() => break,
            Err(error) => return Err(error),
        };
        octets.extend_from_slice(&block[..length]);
        if octets.len() as u64 > LONGEST_ANSWER {
            break;
        }
    }
    match octets.is_empty() {
        true => Err(io::Error::other(
            "the connection was closed without an answer",
        )),
        false => Ok(octets),
    }
}

/// Sends a datagram, and gives what comes back.
fn exchange(socket: &UdpSocket, call: &Call) -> io::Result<Vec<u8>> {
    let request = match &call.question {
        Some(question) => query(question),
        None => b"elver lab: who are you? ".to_vec(),
    };
    let mut octets = vec![0; 2048];
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    // Each one that is scheduled alone would be a connection of its own.
    let sendings = if call.is_one_way { 1 } else { SENDINGS };
    for _ in 0..sendings {
        let received = socket.send(&request).and_then(|_| socket.recv(&mut octets));
        match received {
            Ok(length) => {
                octets.truncate(length);
                return Ok(octets);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A query with one question (RFC 1035 section 4.1).
fn query(question: &DnsProbe) -> Vec<u8> {
    let mut octets = vec![0x65, 0x6c, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in question.name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        octets.push(label.len() as u8);
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets.extend_from_slice(&question.record_type.to_be_bytes());
    octets.extend_from_slice(&1_u16.to_be_bytes());
    octets
}

/// An error as a user would say it.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        _ => error.to_string(),
    }
}
