//! What a client asks: every service at an address of its own, or by a firewall mark at one that
//! packets are marked for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::network::{Networks, is_routable};
use super::{Call, Destination, Mark};
use crate::config::model::{Check, Configuration, DnsProbe, Probe, VirtualServer, destination_of};
use crate::service::{Family, ForwardingMethod, Protocol, Scheduler, ServiceKey};

/// So many services of one virtual server are asked, of a range of addresses.
const MOST_SERVICES: usize = 64;
/// As many rules of marks as a director takes (elver.toml(5)).
const MOST_MARKS: usize = 32;
/// The fewest and the most connections that a client makes to a service.
const CONNECTIONS: (usize, usize) = (4, 48);

/// What is asked, and which real servers are meant by it.
pub(super) struct Calls {
    pub(super) calls: Vec<Call>,
    /// Of each call: who may answer, of which the numbers of servers are not known yet.
    pub(super) destinations: Vec<Vec<Destination>>,
    pub(super) marks: Vec<Mark>,
    pub(super) unasked: Vec<(String, String)>,
}

/// Everything that clients can ask.
pub(super) fn plan(
    configuration: &Configuration,
    networks: &Networks,
    remarks: &mut Vec<String>,
) -> Calls {
    let mut planning = Planning {
        configuration,
        networks,
        used: configuration
            .virtual_servers
            .iter()
            .filter_map(|server| server.key.virtual_address())
            .collect(),
        calls: Calls {
            calls: Vec::new(),
            destinations: Vec::new(),
            marks: Vec::new(),
            unasked: Vec::new(),
        },
    };
    for server in &configuration.virtual_servers {
        let services = server.group.as_ref().map_or(1, |group| {
            let counts = group.members.iter().map(|member| member.count());
            counts.fold(0, u128::saturating_add)
        });
        if services > MOST_SERVICES as u128 {
            remarks.push(format!(
                "{}: the first {MOST_SERVICES} of its {services} services are asked",
                server.key
            ));
        }
        for service in server.services().take(MOST_SERVICES) {
            planning.service(server, &service);
        }
    }
    remarks.extend(planning.calls.marks.iter().map(|mark| {
        let Mark { mark, protocol, to } = mark;
        format!("{protocol} to {to} carries the firewall mark {mark}, by a rule of elver.toml")
    }));
    planning.calls
}

struct Planning<'a> {
    configuration: &'a Configuration,
    networks: &'a Networks,
    /// Where services are, so that no mark takes their packets.
    used: BTreeSet<SocketAddr>,
    calls: Calls,
}

impl Planning<'_> {
    fn service(&mut self, server: &VirtualServer, service: &ServiceKey) {
        let name = service.to_string();
        let asked = match *service {
            ServiceKey::Address { protocol, address } => {
                let port = match address.port() {
                    0 => any_port(server, protocol),
                    port => port,
                };
                Ok((protocol, SocketAddr::new(address.ip(), port)))
            }
            ServiceKey::Mark { mark, family } => self.marked(server, mark, family),
        };
        let asked = asked.and_then(|(protocol, to)| {
            if is_routable(to.ip()) {
                return Ok((protocol, to));
            }
            Err(format!("a client behind a router cannot reach {}", to.ip()))
        });
        match asked {
            Ok((protocol, to)) => self.call(server, service, protocol, to),
            Err(why) => self.calls.unasked.push((name, why)),
        }
    }

    fn call(
        &mut self,
        server: &VirtualServer,
        service: &ServiceKey,
        protocol: Protocol,
        to: SocketAddr,
    ) {
        let mut destinations = Vec::new();
        let real_servers = server
            .real_servers
            .iter()
            .map(|real_server| (real_server.address, real_server.settings, false));
        let sorry = server
            .sorry_server
            .iter()
            .map(|sorry| (sorry.address, sorry.settings, true));
        for (address, settings, is_sorry) in real_servers.chain(sorry) {
            let Some(address) = destination_of(service, address, settings.method) else {
                continue;
            };
            // Only NAT translates ports; of a service without one the client chooses.
            let port = match (settings.method, address.port()) {
                (ForwardingMethod::Nat, port @ 1..) => port,
                _ => to.port(),
            };
            destinations.push(Destination {
                server: 0,
                address: SocketAddr::new(address.ip(), port),
                method: settings.method,
                weight: settings.weight,
                is_sorry,
            });
        }
        if destinations.is_empty() {
            let why = "no real server can take its packets".to_owned();
            self.calls.unasked.push((service.to_string(), why));
            return;
        }
        let real_servers = destinations.iter().filter(|one| !one.is_sorry);
        let weights: usize = match server.settings.scheduler {
            Scheduler::Wrr | Scheduler::Wlc => real_servers.map(|one| one.weight as usize).sum(),
            _ => 0,
        };
        let (least, most) = CONNECTIONS;
        self.calls.calls.push(Call {
            service: service.to_string(),
            protocol,
            to,
            question: (protocol == Protocol::Udp)
                .then(|| question(server))
                .flatten(),
            is_one_way: server.settings.one_packet
                && protocol == Protocol::Udp
                && destinations
                    .iter()
                    .any(|one| one.method == ForwardingMethod::Nat),
            connections: weights.max(2 * destinations.len()).clamp(least, most),
            destinations: Vec::new(),
        });
        self.calls.destinations.push(destinations);
    }

    /// An address and a port whose packets are marked: a virtual address that follows VRRP, if
    /// there is one without a service on this port.
    fn marked(
        &mut self,
        server: &VirtualServer,
        mark: u32,
        family: Family,
    ) -> Result<(Protocol, SocketAddr), String> {
        if self.calls.marks.len() >= MOST_MARKS {
            return Err(format!("there are more than {MOST_MARKS} firewall marks"));
        }
        let protocol = match checks(server).all(|check| is_datagram(&check.probe))
            && checks(server).next().is_some()
        {
            true => Protocol::Udp,
            false => Protocol::Tcp,
        };
        let port = any_port(server, protocol);
        let instances = self.configuration.instances.iter();
        let held = instances
            .flat_map(|instance| &instance.virtual_addresses)
            .map(|address| address.address);
        let invented = (1..=254).map(|number| invented(number, family));
        let address = held
            .chain(invented.filter(|address| !self.networks.is_taken(*address)))
            .filter(|address| Family::of(*address) == family && is_routable(*address))
            .map(|address| SocketAddr::new(address, port))
            .find(|address| !self.used.contains(address))
            .ok_or("there is no address left for its packets")?;
        self.used.insert(address);
        self.calls.marks.push(Mark {
            mark,
            protocol,
            to: address,
        });
        Ok((protocol, address))
    }
}

/// Addresses for packets that are marked (RFC 5737 and RFC 3849: for documentation).
fn invented(number: u8, family: Family) -> IpAddr {
    match family {
        Family::Inet => Ipv4Addr::new(203, 0, 113, number).into(),
        Family::Inet6 => Ipv6Addr::new(0x2001, 0xdb8, 0xfada, 0, 0, 0, 0, u16::from(number)).into(),
    }
}

fn checks(server: &VirtualServer) -> impl Iterator<Item = &Check> {
    server.real_servers.iter().flat_map(|server| &server.checks)
}

fn is_datagram(probe: &Probe) -> bool {
    matches!(probe, Probe::Udp(_) | Probe::Dns(_))
}

/// The port at which a service that takes every port is asked: one that real servers or their
/// checks have.
fn any_port(server: &VirtualServer, protocol: Protocol) -> u16 {
    let own = server.real_servers.iter().map(|one| one.address.port());
    let checked = checks(server)
        .filter(|check| is_datagram(&check.probe) == (protocol == Protocol::Udp))
        .map(|check| check.connection.to.port());
    own.chain(checked)
        .find(|port| *port != 0)
        .unwrap_or(match protocol {
            Protocol::Tcp => 80,
            Protocol::Udp => 53,
            Protocol::Sctp => 3868,
        })
}

/// What checks ask of DNS servers.
fn question(server: &VirtualServer) -> Option<DnsProbe> {
    checks(server).find_map(|check| match &check.probe {
        Probe::Dns(probe) => Some(probe.clone()),
        _ => None,
    })
}
