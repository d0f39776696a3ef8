//! One of two equal networks, balanced by the kernel's IPVS or by elver.
//!
//! ```text
//! client 0  10.1.0.10 ── eth0 ┌──────────┐ back ── servers, all on one host
//! client 1  10.1.1.10 ── eth1 │ director │         10.2.0.11, 10.2.0.12, 10.2.0.13
//! client 2  10.1.2.10 ── eth2 └──────────┘ 10.2.0.1, their gateway
//!                              VIPs 10.9.0.1 to 10.9.0.20
//! ```
//!
//! Client 0 has the addresses up to 10.1.0.25 as well.
//!
//! What the servers answer to client 2 gets lost, so that its connections stay half open.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use elver_lab::client::Conversation;
use elver_lab::service::Service;
use elver_lab::traffic::Traffic;
use elver_lab::{Host, Lab};

use crate::balanced::{BalancedHost, Balancer, LIMIT};

/// How many virtual addresses there are.
pub(crate) const VIPS: u8 = 60;
/// The virtual ports.
pub(crate) const PORTS: [u16; 2] = [80, 81];
/// The port of every real server.
pub(crate) const REAL_PORT: u16 = 8080;
/// How many clients there are; the last one never hears an answer.
pub(crate) const CLIENTS: usize = 3;
/// How many addresses client 0 has.
pub(crate) const ADDRESSES: u8 = 16;
/// How many real servers there are.
pub(crate) const SERVERS: u8 = 3;

/// How long one waits for an answer that never comes.
const IN_VAIN: Duration = Duration::from_secs(1);

/// A virtual address, counted from 0.
pub(crate) fn vip(number: u8) -> Ipv4Addr {
    assert!(number < VIPS, "there are {VIPS} virtual addresses");
    Ipv4Addr::new(10, 9, 0, 1 + number)
}

/// An address of client 0, counted from 0.
pub(crate) fn client_address(number: u8) -> Ipv4Addr {
    assert!(number < ADDRESSES, "there are {ADDRESSES} addresses");
    Ipv4Addr::new(10, 1, 0, 10 + number)
}

/// The address of a real server, counted from 0.
pub(crate) fn server(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 2, 0, 11 + number), REAL_PORT)
}

/// A network with its balancer.
pub(crate) struct Side {
    clients: Vec<Host>,
    /// The host that balances.
    pub(crate) director: BalancedHost,
    _services: Vec<Service>,
    lab: Lab,
}

impl Side {
    /// Builds the network; elver is not started yet.
    pub(crate) fn new(name: &str, balancer: Balancer<'_>) -> Side {
        let lab = Lab::new(name).expect("a lab");
        let director = lab.host("director").expect("a host");
        let servers = lab.host("servers").expect("a host");
        lab.link((&director, "back"), (&servers, "eth0"))
            .expect("a link");
        director
            .add_address("back", "10.2.0.1/24")
            .expect("an address");
        for number in 0..SERVERS {
            servers
                .add_address("eth0", &format!("{}/24", server(number).ip()))
                .expect("an address");
        }
        servers
            .add_default_route(Ipv4Addr::new(10, 2, 0, 1))
            .expect("a route");
        let clients: Vec<Host> = (0..CLIENTS)
            .map(|number| {
                let client = lab.host(&format!("client{number}")).expect("a host");
                let interface = format!("eth{number}");
                lab.link((&client, "eth0"), (&director, &interface))
                    .expect("a link");
                client
                    .add_address("eth0", &format!("10.1.{number}.10/24"))
                    .expect("an address");
                director
                    .add_address(&interface, &format!("10.1.{number}.1/24"))
                    .expect("an address");
                client
                    .add_default_route(format!("10.1.{number}.1").parse().expect("an address"))
                    .expect("a route");
                client
            })
            .collect();
        for number in 1..ADDRESSES {
            clients[0]
                .add_address("eth0", &format!("{}/24", client_address(number)))
                .expect("an address");
        }
        servers
            .ip(&["route", "add", "blackhole", "10.1.2.0/24"])
            .expect("a route");
        for number in 0..VIPS {
            director
                .add_address("eth0", &format!("{}/32", vip(number)))
                .expect("an address");
        }
        director
            .set_sysctl("net/ipv4/ip_forward", "1")
            .expect("forwarding");
        let services = (0..SERVERS)
            .map(|number| {
                Service::start(&servers, &format!("server{number}"), server(number))
                    .expect("a service")
            })
            .collect();
        let director = BalancedHost::new(&lab, director, balancer);
        Side {
            clients,
            director,
            _services: services,
            lab,
        }
    }

    /// Starts elver and waits until it serves.
    pub(crate) fn start(&mut self, elver: &Path) {
        self.director.start(&self.lab, elver, CLIENTS + 1);
    }

    /// So many connections of a client to a service over which data flows.
    pub(crate) fn traffic(&self, client: usize, to: SocketAddrV4, connections: u32) -> Traffic {
        Traffic::start(&self.clients[client], to, connections, LIMIT).expect("the connections")
    }

    /// Connects a client to a service; the error is in words that do not depend on
    /// who balances.
    pub(crate) fn connect(&self, client: usize, to: SocketAddrV4) -> Result<Conversation, String> {
        let limit = if client + 1 == CLIENTS {
            IN_VAIN
        } else {
            LIMIT
        };
        Conversation::open(&self.clients[client], to, limit).map_err(|error| error.to_string())
    }

    /// The same for client 0 from an address and port of its own.
    pub(crate) fn connect_from(
        &self,
        from: SocketAddrV4,
        to: SocketAddrV4,
    ) -> Result<Conversation, String> {
        Conversation::open_from(&self.clients[0], from, to, LIMIT)
            .map_err(|error| error.to_string())
    }
}
