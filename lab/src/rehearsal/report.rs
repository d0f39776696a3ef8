//! What answered, and by which way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use elver_core::service::{ForwardingMethod, Protocol};
use elver_core::topology::{Call, Destination, Topology};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use serde::Serialize;

use super::ask::{Answer, ONE_WAY};
use super::part;
use crate::capture::Frame;

/// What came of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is not as in the file.
    pub remarks: Vec<String>,
    /// The services, in the order of the file.
    pub services: Vec<ServiceReport>,
    /// Services that no client can ask, and why.
    pub unasked: Vec<Unasked>,
}

/// A service that was not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unasked {
    /// Its name.
    pub service: String,
    /// Why.
    pub why: String,
}

/// What came of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceReport {
    /// Its name, as lists of services have it.
    pub service: String,
    /// Where the client connected to.
    pub asked_at: SocketAddr,
    /// Connections that the client wanted to make.
    pub connections: usize,
    /// Those of them that were answered.
    pub answered: usize,
    /// Who may answer.
    pub servers: Vec<ServerReport>,
    /// Why connections were not answered, each reason once.
    pub failures: Vec<String>,
}

/// What a real server, or a sorry server, has done for a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerReport {
    /// Its name in the lab.
    pub name: String,
    /// Where packets are sent.
    pub address: SocketAddr,
    /// How.
    pub method: &'static str,
    /// How many connections it answered.
    pub answered: usize,
    /// By which way its answers came, if any did.
    pub way: Option<Way>,
    /// Why it has answered nothing, or nothing that arrived.
    pub why_not: Option<String>,
}

/// The way of answers, as seen by the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the real server to the client.
    Straight,
    /// Back through the director.
    ThroughDirector,
    /// Some so, and some so.
    Both,
}

/// Packets of answers: from which service, to which client, by whose link-layer address.
type Seen = BTreeMap<(Protocol, SocketAddr, SocketAddr), BTreeSet<[u8; 6]>>;

impl Report {
    /// Puts together what the client, the router and the director have seen.
    pub(super) fn new(
        topology: &Topology,
        answers: &[Vec<Answer>],
        frames: &[Frame],
        own_macs: &BTreeSet<[u8; 6]>,
        status: &str,
    ) -> Report {
        let seen = senders(frames);
        let services = topology.calls.iter().zip(answers).map(|(call, answers)| {
            let servers = call.destinations.iter();
            let servers = servers.map(|destination| {
                server(
                    topology,
                    call,
                    destination,
                    answers,
                    &seen,
                    own_macs,
                    status,
                )
            });
            let failures = answers
                .iter()
                .filter_map(|answer| answer.outcome.clone().err());
            ServiceReport {
                service: call.service.clone(),
                asked_at: call.to,
                connections: call.connections,
                answered: answers
                    .iter()
                    .filter(|answer| answer.outcome.is_ok())
                    .count(),
                servers: servers.collect(),
                failures: failures.collect::<BTreeSet<_>>().into_iter().collect(),
            }
        });
        let unasked = topology.unasked.iter().map(|(service, why)| Unasked {
            service: service.clone(),
            why: why.clone(),
        });
        Report {
            remarks: topology.remarks.clone(),
            services: services.collect(),
            unasked: unasked.collect(),
        }
    }

    /// Whether every service answered every connection.
    pub fn is_complete(&self) -> bool {
        self.unasked.is_empty() && self.services.iter().all(ServiceReport::is_complete)
    }

    /// For programs.
    pub fn to_json(&self) -> String {
        // Plain words and numbers can always be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl ServiceReport {
    /// Whether every connection was answered.
    pub fn is_complete(&self) -> bool {
        self.answered == self.connections
    }
}

fn server(
    topology: &Topology,
    call: &Call,
    destination: &Destination,
    answers: &[Answer],
    seen: &Seen,
    own_macs: &BTreeSet<[u8; 6]>,
    status: &str,
) -> ServerReport {
    let clients: Vec<SocketAddr> = answers
        .iter()
        .filter(|answer| answer.outcome.as_ref().ok() == Some(&destination.server))
        .filter_map(|answer| answer.from)
        .collect();
    let senders: BTreeSet<bool> = clients
        .iter()
        .filter_map(|client| seen.get(&(call.protocol, call.to, *client)))
        .flatten()
        .map(|mac| own_macs.contains(mac))
        .collect();
    let way = match (senders.contains(&true), senders.contains(&false)) {
        (true, false) => Some(Way::Straight),
        (false, true) => Some(Way::ThroughDirector),
        (true, true) => Some(Way::Both),
        (false, false) => None,
    };
    let why_not = match (clients.is_empty(), way) {
        (true, _) => Some(why_not(destination, status)),
        (false, None) if call.is_one_way => Some(format!("packets arrive, and {ONE_WAY}")),
        (false, _) => None,
    };
    ServerReport {
        name: topology.servers[destination.server].name.clone(),
        address: destination.address,
        method: match destination.method {
            ForwardingMethod::Nat => "NAT",
            ForwardingMethod::DirectRouting => "DR",
            ForwardingMethod::Tunnel(_) => "TUN",
        },
        answered: clients.len(),
        way,
        why_not,
    }
}

/// What the file or the director says of a server that answered nobody.
fn why_not(destination: &Destination, status: &str) -> String {
    if destination.is_sorry {
        return "it is the sorry server, for when nobody else serves".to_owned();
    }
    if destination.weight == 0 {
        return "its weight is 0".to_owned();
    }
    let address = destination.address.ip().to_string();
    let mut checks = part(status, "Real servers");
    let down = checks.find_map(|line| {
        let (names, detail) = line.split_once(" down ")?;
        let is_its = names.split_whitespace().any(|word| word.contains(&address));
        is_its.then(|| format!("it is down: {}", detail.trim()))
    });
    down.unwrap_or_else(|| "no connection was sent to it".to_owned())
}

/// Who sent answers into the router.
fn senders(frames: &[Frame]) -> Seen {
    let mut seen = Seen::new();
    for frame in frames.iter().filter(|frame| !frame.outgoing) {
        let Ok(packet) = SlicedPacket::from_ethernet(&frame.bytes) else {
            continue;
        };
        let (source, destination) = match packet.net {
            Some(NetSlice::Ipv4(ip)) => {
                let header = ip.header();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                )
            }
            Some(NetSlice::Ipv6(ip)) => {
                let header = ip.header();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                )
            }
            _ => continue,
        };
        let (protocol, from, to) = match packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                (Protocol::Tcp, tcp.source_port(), tcp.destination_port())
            }
            Some(TransportSlice::Udp(udp)) => {
                (Protocol::Udp, udp.source_port(), udp.destination_port())
            }
            _ => continue,
        };
        let mac = frame
            .bytes
            .get(6..12)
            .and_then(|mac| <[u8; 6]>::try_from(mac).ok());
        let key = (
            protocol,
            SocketAddr::new(source, from),
            SocketAddr::new(destination, to),
        );
        seen.entry(key).or_default().extend(mac);
    }
    seen
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for service in &self.services {
            write!(f, "{service}")?;
        }
        for Unasked { service, why } in &self.unasked {
            writeln!(f, "{service}: not asked: {why}")?;
        }
        let complete = self.services.iter().filter(|service| service.is_complete());
        let all = self.services.len() + self.unasked.len();
        match (complete.count(), all) {
            (_, 0) => writeln!(f, "The file has no virtual service."),
            (count, all) if count == all => writeln!(f, "\nEvery service answered ({all})."),
            (count, all) => writeln!(f, "\n{count} of {all} services answered."),
        }
    }
}

impl fmt::Display for ServiceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_complete() { "ok" } else { "FAILED" };
        write!(f, "{verdict}: {}", self.service)?;
        if !self.service.ends_with(&format!(" {}", self.asked_at)) {
            write!(f, ", asked at {}", self.asked_at)?;
        }
        writeln!(
            f,
            ": {} of {} connections answered",
            self.answered, self.connections
        )?;
        for server in &self.servers {
            write!(
                f,
                "  {:<16} {:<28} {:<3} {:>3}",
                server.name,
                server.address.to_string(),
                server.method,
                server.answered
            )?;
            match (server.way, &server.why_not) {
                (Some(Way::Straight), _) => write!(f, "  straight to the client")?,
                (Some(Way::ThroughDirector), _) => write!(f, "  through the director")?,
                (Some(Way::Both), _) => write!(f, "  straight, and through the director")?,
                (None, Some(why_not)) => write!(f, "  {why_not}")?,
                (None, None) => {}
            }
            writeln!(f)?;
        }
        for failure in &self.failures {
            writeln!(f, "  not answered: {failure}")?;
        }
        Ok(())
    }
}
