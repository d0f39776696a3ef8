//! Arithmetic of prefixes, and which addresses a file uses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::model::{Configuration, GroupMember, Prefix};

/// So many bits are an address of the family of this one.
pub(super) fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address alone.
pub(super) fn alone(address: IpAddr) -> Prefix {
    Prefix {
        address,
        length: bits(address),
    }
}

/// The network that an address is in.
pub(super) fn network(address: IpAddr, length: u8) -> Prefix {
    let kept = |bits: u32| u128::MAX.checked_shl(bits).unwrap_or(0);
    let address = match address {
        IpAddr::V4(address) => {
            let mask = kept(32 - u32::from(length.min(32))) as u32;
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = kept(128 - u32::from(length.min(128)));
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    };
    Prefix { address, length }
}

/// Whether an address is in a network.
pub(super) fn contains(network_: Prefix, address: IpAddr) -> bool {
    network_.address.is_ipv4() == address.is_ipv4()
        && network(address, network_.length).address == network_.address
}

/// Whether two networks have addresses in common.
pub(super) fn overlap(one: Prefix, other: Prefix) -> bool {
    contains(one, other.address) || contains(other, one.address)
}

/// Whether an address can be that of a host which others reach by routes.
pub(super) fn is_routable(address: IpAddr) -> bool {
    let is_local = match address {
        IpAddr::V4(address) => {
            address.is_link_local() || address.is_broadcast() || address.octets()[0] == 0
        }
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(is_local || address.is_unspecified() || address.is_multicast() || address.is_loopback())
}

/// The addresses that a file uses, and those that were given to hosts since.
#[derive(Debug)]
pub(super) struct Networks {
    /// Ranges with both ends included.
    taken: Vec<(IpAddr, IpAddr)>,
}

impl Networks {
    /// Those of a file.
    pub(super) fn of(configuration: &Configuration) -> Networks {
        let mut single: Vec<IpAddr> = Vec::new();
        let mut taken = Vec::new();
        for instance in &configuration.instances {
            let addresses = instance
                .virtual_addresses
                .iter()
                .chain(&instance.excluded_addresses);
            single.extend(addresses.map(|address| address.address));
            single.extend(instance.unicast_peers.iter().map(|peer| peer.address));
            single.extend(instance.source);
        }
        let statics = &configuration.statics;
        single.extend(statics.addresses.iter().map(|address| address.address));
        let routes = configuration
            .instances
            .iter()
            .flat_map(|instance| &instance.routes);
        for route in statics.routes.iter().chain(routes) {
            single.extend(route.hops.iter().filter_map(|hop| hop.router));
            single.extend(route.source);
        }
        let sessions = &configuration.trackers.sessions;
        single.extend(sessions.iter().map(|session| session.neighbor));
        single.extend(sessions.iter().filter_map(|session| session.source));
        for server in &configuration.virtual_servers {
            single.extend(server.key.virtual_address().map(|address| address.ip()));
            for member in server.group.iter().flat_map(|group| &group.members) {
                if let GroupMember::Addresses { first, last, .. } = *member {
                    taken.push((first, last));
                }
            }
            single.extend(server.sorry_server.iter().map(|sorry| sorry.address.ip()));
            for real_server in &server.real_servers {
                single.push(real_server.address.ip());
                for check in &real_server.checks {
                    single.push(check.connection.to.ip());
                    single.extend(check.connection.source);
                }
            }
        }
        taken.extend(single.into_iter().map(|address| (address, address)));
        Networks { taken }
    }

    /// Notes an address as used.
    pub(super) fn take(&mut self, address: IpAddr) {
        self.taken.push((address, address));
    }

    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        let mut ranges = self.taken.iter();
        ranges.any(|(first, last)| {
            first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
        })
    }

    /// Whether an address of this network is used.
    pub(super) fn has_any_in(&self, network: Prefix) -> bool {
        let mut ranges = self.taken.iter();
        ranges.any(|&(first, last)| {
            contains(network, first)
                || contains(network, last)
                || (first.is_ipv4() == network.address.is_ipv4()
                    && (first..=last).contains(&network.address))
        })
    }

    /// Takes an address of a network that nobody uses, from its upper end.
    pub(super) fn take_free(&mut self, network: Prefix) -> Option<IpAddr> {
        let host_bits = u32::from(bits(network.address).saturating_sub(network.length));
        // Wide enough for any file, and short enough to be read.
        let size = 1_u128 << host_bits.min(16);
        let found = (1..size.saturating_sub(1)).rev().find_map(|offset| {
            let address: IpAddr = match network.address {
                IpAddr::V4(address) => {
                    Ipv4Addr::from_bits(address.to_bits() | offset as u32).into()
                }
                IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | offset).into(),
            };
            (!self.is_taken(address)).then_some(address)
        })?;
        self.take(found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').expect("a length");
        network(address.parse().unwrap(), length.parse().unwrap())
    }

    #[test]
    fn networks_contain_and_overlap() {
        assert!(contains(
            prefix("192.0.2.0/24"),
            "192.0.2.255".parse().unwrap()
        ));
        assert!(!contains(
            prefix("192.0.2.0/24"),
            "192.0.3.0".parse().unwrap()
        ));
        assert!(!contains(prefix("::/0"), "192.0.3.0".parse().unwrap()));
        assert!(overlap(prefix("10.0.0.0/8"), prefix("10.9.0.0/16")));
        assert!(overlap(prefix("10.9.0.0/16"), prefix("10.0.0.0/8")));
        assert!(!overlap(prefix("10.9.0.0/16"), prefix("10.8.0.0/16")));
        assert!(overlap(prefix("0.0.0.0/0"), prefix("10.8.0.0/16")));
    }

    #[test]
    fn free_addresses_are_those_that_nobody_has() {
        let mut networks = Networks { taken: Vec::new() };
        networks.take("192.0.2.6".parse().unwrap());
        let free: Vec<String> = std::iter::from_fn(|| networks.take_free(prefix("192.0.2.0/29")))
            .map(|address| address.to_string())
            .collect();
        assert_eq!(
            free,
            [
                "192.0.2.5",
                "192.0.2.4",
                "192.0.2.3",
                "192.0.2.2",
                "192.0.2.1"
            ]
        );
    }
}
