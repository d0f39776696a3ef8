//! Hosts, cables and addresses of a planned network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use elver_core::config::model::Prefix;
use elver_core::topology::{Node, Route, Topology};

use crate::{Error, Host, Lab, Result};

/// The first of the tables for routes that hold for one source alone.
const FIRST_TABLE: usize = 100;

/// The hosts of a planned network.
pub(super) struct Network {
    pub(super) client: Host,
    pub(super) router: Host,
    pub(super) director: Host,
    /// In the order of the plan; none for the director itself.
    pub(super) servers: Vec<Option<Host>>,
}

impl Network {
    /// Makes everything that the plan has.
    pub(super) fn build(lab: &Lab, topology: &Topology) -> Result<Network> {
        let network = Network {
            client: lab.host("client")?,
            router: lab.host("router")?,
            director: lab.host("director")?,
            servers: topology
                .servers
                .iter()
                .map(|server| {
                    server
                        .node
                        .as_ref()
                        .map(|_| lab.host(&server.name))
                        .transpose()
                })
                .collect::<Result<_>>()?,
        };
        let nodes: Vec<(&Host, &Node)> = network
            .nodes(topology)
            .filter_map(|(_, node, host)| Some((host?, node)))
            .collect();
        for (host, _) in &nodes {
            // Nobody else has the addresses: no need to wait until that is found out.
            host.set_sysctl("net/ipv6/conf/default/accept_dad", "0")?;
            host.set_sysctl("net/ipv6/conf/default/accept_ra", "0")?;
        }
        for host in [&network.router, &network.director] {
            host.set_sysctl("net/ipv4/ip_forward", "1")?;
            host.set_sysctl("net/ipv6/conf/all/forwarding", "1")?;
        }
        for segment in 0..topology.segments.len() {
            let ends = nodes.iter().flat_map(|(host, node)| {
                let interfaces = node.interfaces.iter();
                let here = interfaces.filter(|interface| interface.segment == segment);
                here.map(|interface| (*host, interface.name.as_str()))
            });
            let ends: Vec<(&Host, &str)> = ends.collect();
            lab.segment(&format!("segment{segment}"), &ends)?;
        }
        for (host, node) in nodes {
            configure(host, node)?;
        }
        Ok(network)
    }

    /// Every host with its name and its place.
    pub(super) fn nodes<'a>(
        &'a self,
        topology: &'a Topology,
    ) -> impl Iterator<Item = (&'a str, &'a Node, Option<&'a Host>)> {
        let servers = topology.servers.iter().zip(&self.servers);
        let servers = servers.filter_map(|(server, host)| {
            Some((server.name.as_str(), server.node.as_ref()?, host.as_ref()))
        });
        [
            ("client", &topology.client, Some(&self.client)),
            ("router", &topology.router, Some(&self.router)),
            ("director", &topology.director, Some(&self.director)),
        ]
        .into_iter()
        .chain(servers)
    }

    /// The link-layer addresses of the servers.
    pub(super) fn own_macs(&self) -> Result<BTreeSet<[u8; 6]>> {
        let servers = self.servers.iter().flatten();
        servers.map(|host| mac(host, "eth0")).collect()
    }
}

/// Gives a host its addresses and routes.
fn configure(host: &Host, node: &Node) -> Result<()> {
    for interface in &node.interfaces {
        for prefix in &interface.addresses {
            let address = prefix.to_string();
            let mut words = vec!["address", "add", &address, "dev", &interface.name];
            match prefix.address {
                IpAddr::V4(_) if prefix.length < 31 => words.extend(["brd", "+"]),
                IpAddr::V4(_) => {}
                IpAddr::V6(_) => words.push("nodad"),
            }
            host.ip(&words)?;
        }
    }
    let mut tables = BTreeMap::new();
    for route in &node.routes {
        let table = match route.from {
            None => None,
            Some(from) => {
                let next = FIRST_TABLE + tables.len();
                let table = *tables.entry(from).or_insert(next);
                let (family, source) = (family(from), from.to_string());
                let number = table.to_string();
                host.ip(&[family, "rule", "add", "from", &source, "lookup", &number])?;
                Some(number)
            }
        };
        add_route(host, node, route, table.as_deref())?;
    }
    Ok(())
}

fn add_route(host: &Host, node: &Node, route: &Route, table: Option<&str>) -> Result<()> {
    let Prefix { address, .. } = route.destination;
    let destination = route.destination.to_string();
    let mut words = vec![family(address), "route", "add", &destination];
    let via = route.via.map(|via| via.to_string());
    match (&via, route.via) {
        (Some(text), Some(via)) if via.is_ipv6() && address.is_ipv4() => {
            words.extend(["via", "inet6", text]);
        }
        (Some(text), _) => words.extend(["via", text]),
        (None, _) => {}
    }
    let interface = node.interfaces.get(route.interface);
    words.extend(["dev", interface.map_or("", |interface| &interface.name)]);
    // The gateway may be an address that the director brings later.
    if route.via.is_some() {
        words.push("onlink");
    }
    if let Some(table) = table {
        words.extend(["table", table]);
    }
    host.ip(&words).map(drop)
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "-4" } else { "-6" }
}

/// The link-layer address of an interface.
fn mac(host: &Host, interface: &str) -> Result<[u8; 6]> {
    let listing = host.ip(&["-oneline", "link", "show", "dev", interface])?;
    let mut words = listing.split_whitespace();
    let word = words.find(|word| *word == "link/ether").and(words.next());
    let octets = word.and_then(|word| {
        let octets = word
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).ok());
        octets.collect::<Option<Vec<u8>>>()?.try_into().ok()
    });
    octets.ok_or_else(|| Error::Unexpected {
        expected: format!("the link-layer address of {interface} of {}", host.name()),
        seen: listing,
    })
}
