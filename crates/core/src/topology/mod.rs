//! The network that a configuration speaks of, as data: hosts, addresses, who listens where, and
//! what a client asks. `elver lab -f` builds it of network namespaces.
//!
//! ```text
//! client ── router ──┬── director
//!                    ├── real servers: of direct routing, and of NAT in the director's networks
//!                    └── remote ── real servers of tunnels
//! director ── real servers of NAT in a network of their own
//! ```
//!
//! Every interface of the file is one of the director's, with a segment of its own, to which the
//! router is connected as well. A file seldom says how long prefixes are: what it does not say
//! is 24 or 64 bits. Hosts that the file does not know get addresses that it does not use.

mod calls;
mod listeners;
mod network;
mod rehearsed;
mod segments;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::config::model::{Configuration, DnsProbe, Prefix};
use crate::service::{ForwardingMethod, Protocol};

use self::network::Networks;
use self::segments::Segments;

/// The router's link-local address on every segment: a way for either family, whatever addresses
/// there are.
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xffff, 1);

/// A network, and what happens in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// What the director runs: the file's configuration without what would act on the machine
    /// beside the network, such as scripts.
    pub configuration: Configuration,
    /// Whether that is less than what the file says; otherwise the file itself can be run.
    pub is_changed: bool,
    /// What is not as in the file, and why, in words.
    pub remarks: Vec<String>,
    /// Names of the segments.
    pub segments: Vec<String>,
    /// The director.
    pub director: Node,
    /// The router between the client and everybody else.
    pub router: Node,
    /// The client, with many addresses: each is a client of its own for what is persistent.
    pub client: Node,
    /// Real servers, sorry servers and whom checks ask.
    pub servers: Vec<Server>,
    /// Which packets carry a firewall mark.
    pub marks: Vec<Mark>,
    /// What the client asks.
    pub calls: Vec<Call>,
    /// Services that no client can ask, and why.
    pub unasked: Vec<(String, String)>,
}

/// A host and its place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Its routes, beside those that its addresses make.
    pub routes: Vec<Route>,
}

/// An interface of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The number of its segment.
    pub segment: usize,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
}

/// A route of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where packets go.
    pub destination: Prefix,
    /// The next router, which may be of the other family; without one it is on the link.
    pub via: Option<IpAddr>,
    /// The number of the interface.
    pub interface: usize,
    /// The source that packets have to have, if it is for such alone.
    pub from: Option<IpAddr>,
}

/// A host that answers clients or checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, of lower-case letters, digits and hyphens.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its place in the network; none for the director itself.
    pub node: Option<Node>,
    /// What it is for direct routing and tunnels, if it takes any.
    pub role: Option<Role>,
    /// Who listens, by protocol and port.
    pub listeners: BTreeMap<(Protocol, u16), Listener>,
}

/// What makes a host a real server for direct routing and tunnels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Role {
    /// The virtual addresses.
    pub vips: BTreeSet<IpAddr>,
    /// Where tunnels may come from.
    pub directors: BTreeSet<IpAddr>,
    /// The ports on which GUE arrives.
    pub gue_ports: BTreeSet<u16>,
}

/// What is said on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// HTTP, and the same over TLS.
    Web {
        /// Pages that are not as any other, by path.
        pages: BTreeMap<String, Page>,
    },
    /// SMTP.
    Mail,
    /// To each datagram an answer: a DNS query is answered as such.
    Datagrams {
        /// What the answer is, if it is not what came.
        reply: Option<Vec<u8>>,
    },
    /// SCTP, of which nothing but an association is asked.
    Associations,
}

/// A page of a web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// What stands in it.
    pub text: String,
}

/// A rule that gives packets a firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The mark.
    pub mark: u32,
    /// The protocol of the packets.
    pub protocol: Protocol,
    /// Where they go.
    pub to: SocketAddr,
}

/// What a client asks of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service, as lists of services name it.
    pub service: String,
    /// The protocol.
    pub protocol: Protocol,
    /// Where the client connects to.
    pub to: SocketAddr,
    /// A question that DNS servers understand, if they are some.
    pub question: Option<DnsProbe>,
    /// How many connections it makes.
    pub connections: usize,
    /// Whether there are real servers whose answers no client gets: each packet is scheduled
    /// alone and, by NAT, what comes back belongs to no connection.
    pub is_one_way: bool,
    /// Who may answer.
    pub destinations: Vec<Destination>,
}

/// A server that may answer a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The number of the server.
    pub server: usize,
    /// Where packets are sent.
    pub address: SocketAddr,
    /// How.
    pub method: ForwardingMethod,
    /// Its weight in the file.
    pub weight: u32,
    /// Whether it serves only while nobody else does.
    pub is_sorry: bool,
}

/// Plans the network that a configuration speaks of.
pub fn plan(configuration: &Configuration) -> Topology {
    let mut remarks = Vec::new();
    let rehearsed = rehearsed::without_side_effects(configuration, &mut remarks);
    let is_changed = rehearsed != *configuration;
    let networks = Networks::of(&rehearsed);
    let mut calls = calls::plan(&rehearsed, &networks, &mut remarks);
    let mut segments = Segments::of(&rehearsed, networks, &calls, &mut remarks);
    let mut servers = servers::plan(&rehearsed, &mut calls, &mut segments, &mut remarks);
    listeners::plan(&rehearsed, &calls.calls, &mut servers, &mut remarks);
    let (names, [director, router, client]) = segments.hosts();
    let directors: BTreeSet<IpAddr> = director.addresses().map(|prefix| prefix.address).collect();
    for role in servers.iter_mut().filter_map(|server| server.role.as_mut()) {
        role.directors.clone_from(&directors);
    }
    Topology {
        configuration: rehearsed,
        is_changed,
        remarks,
        segments: names,
        director,
        router,
        client,
        servers,
        marks: calls.marks,
        calls: calls.calls,
        unasked: calls.unasked,
    }
}

impl Node {
    /// All of its addresses, with the lengths of their prefixes.
    pub fn addresses(&self) -> impl Iterator<Item = Prefix> {
        let addresses = self.interfaces.iter().map(|interface| &interface.addresses);
        addresses.flatten().copied()
    }
}
