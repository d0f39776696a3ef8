//! The hosts on the segments: servers, director, router and client, with their addresses and
//! routes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{CLIENTS, Place, Segments};
use crate::config::model::Prefix;
use crate::topology::network::{alone, network};
use crate::topology::{Interface, Node, ROUTER, Route};

impl Segments {
    /// The address that real servers of NAT have as their gateway.
    fn gateway(&self, place: Place) -> Option<IpAddr> {
        let segment = &self.all[place.segment];
        segment.interface.as_ref()?;
        let mut subnets = segment.subnets.iter();
        let subnet = subnets.find(|subnet| subnet.network == place.subnet)?;
        Some(subnet.held.unwrap_or(subnet.director))
    }

    /// A host at this address, which answers clients by the router, or by NAT through the
    /// director, or both.
    pub(in crate::topology) fn host(&self, address: IpAddr, place: Place, by: Ways) -> Node {
        let subnet = place.subnet;
        let mut routes = Vec::new();
        let gateway = self.gateway(place).filter(|_| by.director);
        for family in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Ipv6Addr::UNSPECIFIED.into(),
        ] {
            let is_own = family.is_ipv4() == address.is_ipv4();
            let everywhere = Prefix {
                address: family,
                length: 0,
            };
            let route = |via, from| Route {
                destination: everywhere,
                via: Some(via),
                interface: 0,
                from,
            };
            match gateway.filter(|_| is_own) {
                Some(gateway) if !by.router => routes.push(route(gateway, None)),
                Some(gateway) => {
                    // Answers by NAT come from the real server's own address.
                    routes.push(route(gateway, Some(address)));
                    routes.push(route(ROUTER.into(), None));
                }
                None => routes.push(route(ROUTER.into(), None)),
            }
        }
        Node {
            interfaces: vec![Interface {
                name: "eth0".to_owned(),
                segment: place.segment,
                addresses: vec![Prefix {
                    address,
                    length: subnet.length,
                }],
            }],
            routes,
        }
    }

    /// Everybody but the servers: names of the segments, and director, router and client.
    pub(in crate::topology) fn hosts(self) -> (Vec<String>, [Node; 3]) {
        let clients = self.client_networks();
        let director = self.director(&clients);
        let outside = self.all.len();
        let router = self.router(outside, &clients);
        let client = client(outside, &clients);
        let mut names: Vec<String> = self.all.into_iter().map(|segment| segment.name).collect();
        names.push("outside".to_owned());
        (names, [director, router, client])
    }

    /// Networks that no file's address is in.
    fn client_networks(&self) -> Vec<Prefix> {
        let ipv4 = [
            (198, 18),
            (198, 19),
            (100, 100),
            (10, 200),
            (172, 30),
            (192, 168),
        ];
        let ipv4 = ipv4.map(|(one, two)| network(Ipv4Addr::new(one, two, 0, 0).into(), 16));
        let ipv6 = [0x2001_0db8_c11e_u64, 0xfd00_c11e_0000, 0xfd00_c11e_0001];
        let ipv6 = ipv6.map(|high| network(Ipv6Addr::from_bits(u128::from(high) << 80).into(), 48));
        [&ipv4[..], &ipv6[..]]
            .iter()
            .filter_map(|candidates| {
                let mut candidates = candidates.iter().copied();
                candidates.find(|candidate| {
                    !self.networks.has_any_in(*candidate) && !self.overlaps(*candidate)
                })
            })
            .collect()
    }

    fn director(&self, clients: &[Prefix]) -> Node {
        let mut node = Node::default();
        for (number, segment) in self.all.iter().enumerate() {
            let Some(name) = &segment.interface else {
                continue;
            };
            let mut addresses: Vec<Prefix> = segment
                .subnets
                .iter()
                .map(|subnet| Prefix {
                    address: subnet.director,
                    length: subnet.network.length,
                })
                .collect();
            let beside = self.own.iter().chain(&self.added);
            for (address, at) in beside {
                let is_there = addresses.iter().any(|prefix| prefix.address == *address);
                if *at == number && !is_there && !self.held.contains_key(address) {
                    addresses.push(alone(*address));
                }
            }
            node.interfaces.push(Interface {
                name: name.clone(),
                segment: number,
                addresses,
            });
        }
        let remote = self.remote.map(|number| &self.all[number].subnets);
        let far = remote.into_iter().flatten().map(|subnet| subnet.network);
        for destination in clients.iter().copied().chain(far) {
            node.routes.push(self.route_by_router(destination));
        }
        node
    }

    /// By the router, on the first of the director's segments that has a network of the family.
    fn route_by_router(&self, destination: Prefix) -> Route {
        let is_ipv4 = destination.address.is_ipv4();
        let with_interface = self
            .all
            .iter()
            .filter(|segment| segment.interface.is_some());
        let found = with_interface.enumerate().find_map(|(interface, segment)| {
            let mut subnets = segment.subnets.iter();
            let subnet = subnets.find(|subnet| subnet.network.address.is_ipv4() == is_ipv4)?;
            Some((interface, subnet.router))
        });
        let (interface, via) = found.unwrap_or((0, ROUTER.into()));
        Route {
            destination,
            via: Some(via),
            interface,
            from: None,
        }
    }

    fn router(&self, outside: usize, clients: &[Prefix]) -> Node {
        let mut node = Node::default();
        for (number, segment) in self.all.iter().enumerate() {
            let mut addresses: BTreeMap<IpAddr, u8> = segment
                .subnets
                .iter()
                .map(|subnet| (subnet.router, subnet.network.length))
                .collect();
            for router in &self.routers {
                if let Some(place) = self.with(*router).filter(|place| place.segment == number) {
                    addresses.insert(*router, place.subnet.length);
                }
            }
            addresses.insert(ROUTER.into(), 64);
            let addresses = addresses.into_iter();
            node.interfaces.push(Interface {
                name: format!("to-{number}"),
                segment: number,
                addresses: addresses
                    .map(|(address, length)| Prefix { address, length })
                    .collect(),
            });
        }
        // What is on a segment without being in one of its networks.
        for (address, segment) in self.held.iter().chain(&self.added) {
            let place = self.with(*address);
            if place.is_none_or(|place| place.segment != *segment) {
                node.routes.push(Route {
                    destination: alone(*address),
                    via: None,
                    interface: *segment,
                    from: None,
                });
            }
        }
        node.interfaces.push(Interface {
            name: "outside".to_owned(),
            segment: outside,
            addresses: clients
                .iter()
                .map(|network| numbered(*network, 0, 1))
                .collect(),
        });
        node
    }
}

/// By which ways a host answers.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::topology) struct Ways {
    pub(in crate::topology) director: bool,
    pub(in crate::topology) router: bool,
}

fn client(outside: usize, clients: &[Prefix]) -> Node {
    let addresses = clients
        .iter()
        .flat_map(|network| (1..=CLIENTS).map(move |number| numbered(*network, number, 10)));
    let routes = clients.iter().map(|network| Route {
        destination: Prefix {
            address: match network.address {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            },
            length: 0,
        },
        via: Some(numbered(*network, 0, 1).address),
        interface: 0,
        from: None,
    });
    Node {
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            segment: outside,
            addresses: addresses.collect(),
        }],
        routes: routes.collect(),
    }
}

/// A host of one of the many networks in the client's, of 24 or 64 bits.
fn numbered(network: Prefix, number: u8, host: u8) -> Prefix {
    let (number, host) = (u128::from(number), u128::from(host));
    let address = match network.address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits() | (number << 8 | host) as u32).into()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | number << 64 | host).into(),
    };
    Prefix {
        address,
        length: network.length,
    }
}
