//! Which host is where: segments, the networks on them, and everybody's addresses.

mod hosts;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) use self::hosts::Ways;
use super::calls::Calls;
use super::network::{Networks, bits, contains, is_routable, network, overlap};
use crate::config::model::{Configuration, Prefix, VirtualAddress, VrrpInstance};

/// How long prefixes are that the file does not say.
const USUAL_LENGTHS: (u8, u8) = (24, 64);
/// Longer ones leave no room for a director, a router and real servers.
const LONGEST: (u8, u8) = (28, 120);
/// So many addresses the client has, each in a network of its own.
const CLIENTS: u8 = 16;
/// So many addresses a remark lists.
const SHOWN: usize = 4;

/// Where a host stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: usize,
    pub(super) subnet: Prefix,
}

#[derive(Debug)]
struct Segment {
    name: String,
    /// The director's interface; none where only the router is connected.
    interface: Option<String>,
    subnets: Vec<Subnet>,
}

#[derive(Debug)]
struct Subnet {
    network: Prefix,
    director: IpAddr,
    router: IpAddr,
    /// A virtual address of VRRP in it, which real servers can have as their gateway.
    held: Option<IpAddr>,
}

/// The segments so far.
#[derive(Debug)]
pub(super) struct Segments {
    all: Vec<Segment>,
    networks: Networks,
    /// Addresses that are the director's own, by the number of the segment.
    own: BTreeMap<IpAddr, usize>,
    /// Addresses on the director that no VRRP instance and no static address brings.
    added: BTreeMap<IpAddr, usize>,
    /// Virtual addresses that are on the director by VRRP or as static ones.
    held: BTreeMap<IpAddr, usize>,
    /// Where it is not said, addresses are behind this.
    remote: Option<usize>,
    /// Routers that the file names.
    routers: BTreeSet<IpAddr>,
}

impl Segments {
    /// Those of the director's interfaces, with the networks of what is on them.
    pub(super) fn of(
        configuration: &Configuration,
        networks: Networks,
        calls: &Calls,
        remarks: &mut Vec<String>,
    ) -> Segments {
        let mut segments = Segments {
            all: Vec::new(),
            networks,
            own: BTreeMap::new(),
            added: BTreeMap::new(),
            held: BTreeMap::new(),
            remote: None,
            routers: BTreeSet::new(),
        };
        let names = interfaces(configuration);
        for name in &names {
            segments.add_interface(name.clone());
        }
        if names.is_empty() {
            segments.add_interface("eth0".to_owned());
            remarks.push("the file names no interface: the director's is eth0".to_owned());
        }
        let hops = configuration
            .instances
            .iter()
            .flat_map(|instance| &instance.routes)
            .chain(&configuration.statics.routes)
            .flat_map(|route| &route.hops);
        segments.routers.extend(hops.filter_map(|hop| hop.router));
        // The director's own addresses are to be known before its networks are made.
        for instance in &configuration.instances {
            let segment = segments.named(&instance.interface);
            let source = instance.source.iter();
            segments.own.extend(source.map(|source| (*source, segment)));
        }
        segments.hold(configuration, remarks);
        for instance in &configuration.instances {
            segments.speak(instance);
        }
        segments.add_sources(configuration);
        for call in &calls.calls {
            segments.add_virtual_address(call.to.ip());
        }
        segments.tell_added(remarks);
        segments
    }

    fn add_interface(&mut self, name: String) -> usize {
        self.all.push(Segment {
            name: name.clone(),
            interface: Some(name),
            subnets: Vec::new(),
        });
        self.all.len() - 1
    }

    fn named(&self, interface: &str) -> usize {
        let is_it = |segment: &Segment| segment.interface.as_deref() == Some(interface);
        // Every name of the file has one; what is on none stands with the first.
        self.all.iter().position(is_it).unwrap_or(0)
    }

    /// Addresses that VRRP and `static_ipaddress` bring, those with networks first.
    fn hold(&mut self, configuration: &Configuration, remarks: &mut Vec<String>) {
        let instances = configuration.instances.iter().flat_map(|instance| {
            let addresses = instance
                .virtual_addresses
                .iter()
                .chain(&instance.excluded_addresses);
            addresses.map(move |address| (address, instance.interface.as_str()))
        });
        let statics = configuration.statics.addresses.iter();
        let mut all: Vec<(&VirtualAddress, &str)> = instances
            .chain(statics.map(|address| (address, "")))
            .collect();
        all.sort_by_key(|(address, _)| bits(address.address) == address.prefix_length);
        for (address, of_instance) in all {
            let interface = match address.interface.as_deref() {
                // A device with a virtual MAC address stands on that of its instance.
                Some(name)
                    if self
                        .all
                        .iter()
                        .any(|s| s.interface.as_deref() == Some(name)) =>
                {
                    name
                }
                _ => of_instance,
            };
            if !is_routable(address.address) {
                continue;
            }
            let segment = self.named(interface);
            self.held.insert(address.address, segment);
            if self
                .subnet(segment, address.address, Some(address.prefix_length))
                .is_none()
            {
                remarks.push(format!(
                    "{} on {interface} is in a network of another interface: the router has a route \
                     to it alone",
                    address.address
                ));
            }
        }
    }

    /// An instance needs an address to speak from.
    fn speak(&mut self, instance: &VrrpInstance) {
        let segment = self.named(&instance.interface);
        if let Some(source) = instance.source.filter(|source| is_routable(*source)) {
            self.subnet(segment, source, None);
        }
        let mut addresses = instance.virtual_addresses.iter();
        let is_ipv6 = addresses.any(|address| address.address.is_ipv6());
        let has_ipv4 = self.all[segment]
            .subnets
            .iter()
            .any(|subnet| subnet.network.address.is_ipv4());
        if !is_ipv6 && !has_ipv4 {
            self.invented_subnet(segment, true);
        }
    }

    /// A network of which the file has no address (RFC 1918; RFC 3849: for documentation).
    fn invented_subnet(&mut self, segment: usize, is_ipv4: bool) {
        let free = (0..=255).find_map(|number| {
            let network = if is_ipv4 {
                network(Ipv4Addr::new(192, 168, number, 0).into(), USUAL_LENGTHS.0)
            } else {
                let address = Ipv6Addr::new(0x2001, 0xdb8, 0xd1ec, u16::from(number), 0, 0, 0, 0);
                network(address.into(), USUAL_LENGTHS.1)
            };
            let is_free = !self.networks.has_any_in(network) && !self.overlaps(network);
            is_free.then_some(network)
        });
        if let Some(network) = free {
            self.add_subnet(segment, network);
        }
    }

    /// Addresses that checks come from.
    fn add_sources(&mut self, configuration: &Configuration) {
        let servers = &configuration.virtual_servers;
        let checks = servers
            .iter()
            .flat_map(|server| &server.real_servers)
            .flat_map(|server| &server.checks);
        for connection in checks.map(|check| &check.connection) {
            if let Some(source) = connection.source.filter(|source| is_routable(*source))
                && !self.is_on_director(source)
            {
                let segment = connection
                    .interface
                    .as_deref()
                    .map_or(0, |name| self.named(name));
                self.own.insert(source, segment);
                self.subnet(segment, source, None);
            }
        }
    }

    fn add_virtual_address(&mut self, address: IpAddr) {
        if self.is_on_director(address) {
            return;
        }
        let segment = self.with(address).map_or(0, |place| place.segment);
        self.subnet(segment, address, None);
        self.added.insert(address, segment);
    }

    fn tell_added(&self, remarks: &mut Vec<String>) {
        let mut by_segment: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (address, segment) in &self.added {
            by_segment
                .entry(*segment)
                .or_default()
                .push(address.to_string());
        }
        for (segment, addresses) in by_segment {
            let (shown, left) = addresses.split_at(addresses.len().min(SHOWN));
            let more = match left.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            remarks.push(format!(
                "no VRRP instance brings {}{more}: the lab puts what nobody brings on {} of the \
                 director",
                shown.join(", "),
                self.all[segment].name
            ));
        }
    }

    /// Whether the director itself has an address.
    pub(super) fn is_on_director(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || [&self.own, &self.added, &self.held]
                .iter()
                .any(|addresses| addresses.contains_key(&address))
    }

    /// Where an address is by the networks that there are.
    pub(super) fn with(&self, address: IpAddr) -> Option<Place> {
        let all = self.all.iter().enumerate().flat_map(|(segment, one)| {
            let subnets = one.subnets.iter();
            subnets.map(move |subnet| Place {
                segment,
                subnet: subnet.network,
            })
        });
        all.filter(|place| contains(place.subnet, address))
            .max_by_key(|place| place.subnet.length)
    }

    /// A place for an address beside a virtual address, in its segment.
    pub(super) fn beside(&mut self, virtual_address: IpAddr, address: IpAddr) -> Option<Place> {
        let segment = [&self.held, &self.added, &self.own]
            .iter()
            .find_map(|addresses| addresses.get(&virtual_address).copied())
            .unwrap_or(0);
        self.subnet(segment, address, None)
    }

    /// A place for an address behind the director.
    pub(super) fn behind_director(&mut self, address: IpAddr) -> Option<Place> {
        let has_interface = |segment: &Segment| segment.interface.is_some();
        let unused = self
            .all
            .iter()
            .position(|segment| has_interface(segment) && segment.subnets.is_empty());
        // Interfaces after the first are behind, of those that the file does not say it of.
        let segment = match unused {
            Some(segment) => segment,
            None if self.all.iter().filter(|s| has_interface(s)).count() > 1 => {
                self.all.iter().rposition(has_interface).unwrap_or(0)
            }
            None => {
                let names: BTreeSet<_> = self.all.iter().map(|s| s.name.as_str()).collect();
                let name = (1..).map(|number| format!("eth{number}"));
                let mut free = name.filter(|name| !names.contains(name.as_str()));
                let name = free.next().unwrap_or_default();
                self.add_interface(name)
            }
        };
        self.subnet(segment, address, None)
    }

    /// A place for an address far from the director, which gets an address of the family to
    /// send from.
    pub(super) fn far_away(&mut self, address: IpAddr) -> Option<Place> {
        let mut near = self
            .all
            .iter()
            .filter(|segment| segment.interface.is_some());
        let has_family = near.any(|segment| {
            let mut subnets = segment.subnets.iter();
            subnets.any(|subnet| subnet.network.address.is_ipv4() == address.is_ipv4())
        });
        if !has_family {
            self.invented_subnet(0, address.is_ipv4());
        }
        let segment = self.remote.unwrap_or_else(|| {
            self.all.push(Segment {
                name: "remote".to_owned(),
                interface: None,
                subnets: Vec::new(),
            });
            self.all.len() - 1
        });
        self.remote = Some(segment);
        self.subnet(segment, address, None)
    }

    fn overlaps(&self, network: Prefix) -> bool {
        let mut all = self.all.iter().flat_map(|segment| &segment.subnets);
        all.any(|subnet| overlap(subnet.network, network))
    }

    /// The network of an address on a segment, made if there is none: as long a prefix as the
    /// file says, or as is usual, or longer where that would be in another segment too.
    ///
    /// None if another segment has the address in a network of its own.
    fn subnet(&mut self, segment: usize, address: IpAddr, length: Option<u8>) -> Option<Place> {
        if let Some(place) = self.with(address) {
            return (place.segment == segment).then_some(place);
        }
        let of_family = |(ipv4, ipv6)| if address.is_ipv4() { ipv4 } else { ipv6 };
        let longest = of_family(LONGEST);
        let usual = of_family(USUAL_LENGTHS);
        let first = length.filter(|length| (1..=longest).contains(length));
        let subnet = (first.unwrap_or(usual)..=longest)
            .map(|length| network(address, length))
            .find(|network| !self.overlaps(*network))?;
        self.add_subnet(segment, subnet)
    }

    fn add_subnet(&mut self, segment: usize, network: Prefix) -> Option<Place> {
        let own = self.own.iter();
        let own = own
            .filter(|(address, at)| **at == segment && contains(network, **address))
            .map(|(address, _)| *address)
            .next();
        let director = match own {
            Some(own) => own,
            None => self.networks.take_free(network)?,
        };
        let mut routers = self.routers.iter().copied();
        let router = match routers.find(|router| contains(network, *router)) {
            Some(router) => router,
            None => self.networks.take_free(network)?,
        };
        let mut held = self.held.iter();
        let held = held
            .find(|(address, at)| **at == segment && contains(network, **address))
            .map(|(address, _)| *address);
        self.all[segment].subnets.push(Subnet {
            network,
            director,
            router,
            held,
        });
        Some(Place {
            segment,
            subnet: network,
        })
    }
}

/// The director's interfaces that the file names, in its order.
fn interfaces(configuration: &Configuration) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut made: BTreeSet<&str> = BTreeSet::from(["lo", ""]);
    for instance in &configuration.instances {
        let addresses = instance
            .virtual_addresses
            .iter()
            .chain(&instance.excluded_addresses);
        let own = instance.virtual_mac.iter();
        let devices = own.chain(addresses.clone().filter_map(|a| a.virtual_mac.as_ref()));
        made.extend(devices.map(|device| device.interface.as_str()));
        names.push(&instance.interface);
        names.extend(addresses.filter_map(|address| address.interface.as_deref()));
        let tracked = instance.tracked.iter();
        names.extend(tracked.map(|tracked| tracked.tracker.name()));
        let hops = instance.routes.iter().flat_map(|route| &route.hops);
        names.extend(hops.filter_map(|hop| hop.interface.as_deref()));
        let rules = instance.rules.iter();
        names.extend(
            rules
                .flat_map(|rule| rule.input.iter().chain(&rule.output))
                .map(String::as_str),
        );
    }
    let statics = &configuration.statics;
    names.extend(
        statics
            .addresses
            .iter()
            .filter_map(|a| a.interface.as_deref()),
    );
    let hops = statics.routes.iter().flat_map(|route| &route.hops);
    names.extend(hops.filter_map(|hop| hop.interface.as_deref()));
    let rules = statics.rules.iter();
    names.extend(
        rules
            .flat_map(|rule| rule.input.iter().chain(&rule.output))
            .map(String::as_str),
    );
    let servers = configuration.virtual_servers.iter();
    let checks = servers
        .flat_map(|server| &server.real_servers)
        .flat_map(|server| &server.checks);
    names.extend(checks.filter_map(|check| check.connection.interface.as_deref()));
    let mut seen = made;
    names.retain(|name| seen.insert(name));
    names.into_iter().map(str::to_owned).collect()
}
