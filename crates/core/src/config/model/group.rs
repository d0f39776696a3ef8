//! Virtual servers with several addresses (`virtual_server_group`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::VirtualServer;
use crate::service::{Family, ForwardingMethod, Protocol, ServiceKey, ServiceSettings};

/// The services of a `virtual_server group`: they share real servers, checks and a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceGroup {
    /// The name of the `virtual_server_group`.
    pub name: String,
    /// Which of the virtual servers with this group it is, from 0; part of its name in
    /// keepalived's log.
    pub number: u32,
    /// Addresses in the order of the file, then firewall marks, as keepalived goes through
    /// them; at least one.
    pub members: Vec<GroupMember>,
}

/// A line of a `virtual_server_group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupMember {
    /// Addresses from the first to the last, of one family; one alone is both.
    Addresses {
        /// The first.
        first: IpAddr,
        /// The last.
        last: IpAddr,
        /// The port of each; 0 for every port.
        port: u16,
    },
    /// A firewall mark.
    Mark {
        /// The mark.
        mark: u32,
        /// The family of its packets.
        family: Family,
    },
}

impl GroupMember {
    /// How many services it stands for.
    pub fn count(&self) -> u128 {
        match self {
            GroupMember::Addresses { first, last, .. } => number(*last) - number(*first) + 1,
            GroupMember::Mark { .. } => 1,
        }
    }

    /// The services that it stands for, in order; those of addresses are of `protocol`.
    pub fn services(self, protocol: Protocol) -> impl Iterator<Item = ServiceKey> {
        let (mark, addresses) = match self {
            GroupMember::Mark { mark, family } => (Some(ServiceKey::Mark { mark, family }), None),
            GroupMember::Addresses { first, last, port } => {
                let all = number(first)..=number(last);
                let keys = all.map(move |value| ServiceKey::Address {
                    protocol,
                    address: SocketAddr::new(address(value, Family::of(first)), port),
                });
                (None, Some(keys))
            }
        };
        mark.into_iter().chain(addresses.into_iter().flatten())
    }
}

/// An address as a number, in the order of addresses.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(number: u128, family: Family) -> IpAddr {
    match family {
        Family::Inet => Ipv4Addr::from(number as u32).into(),
        Family::Inet6 => Ipv6Addr::from(number).into(),
    }
}

impl VirtualServer {
    /// Every service that it stands for, its [`key`](Self::key) first.
    pub fn services(&self) -> impl Iterator<Item = ServiceKey> {
        let protocol = match self.key {
            ServiceKey::Address { protocol, .. } => protocol,
            // Members with an address come before those with a mark.
            ServiceKey::Mark { .. } => Protocol::Udp,
        };
        let members = self.group.iter().flat_map(|group| &group.members);
        let alone = self.group.is_none().then_some(self.key);
        alone
            .into_iter()
            .chain(members.flat_map(move |member| member.services(protocol)))
    }

    /// Whether one of its services is at this address and port.
    pub(crate) fn is_at(&self, address: IpAddr, port: u16) -> bool {
        let is_here =
            |service: ServiceKey| service.virtual_address() == Some(SocketAddr::new(address, port));
        match &self.group {
            None => is_here(self.key),
            Some(group) => group.members.iter().any(|member| match *member {
                GroupMember::Addresses {
                    first,
                    last,
                    port: virtual_port,
                } => {
                    let is_within = first.is_ipv4() == address.is_ipv4()
                        && (number(first)..=number(last)).contains(&number(address));
                    is_within && (port == virtual_port || port == 0)
                }
                GroupMember::Mark { .. } => false,
            }),
        }
    }

    /// The settings of one of its services: a netmask of clients holds for one family, and
    /// those of the other stand each for itself.
    pub fn settings_of(&self, service: &ServiceKey) -> ServiceSettings {
        let mut settings = self.settings.clone();
        if service.family() != self.key.family()
            && let Some(persistence) = &mut settings.persistence
        {
            persistence.prefix_length = service.family().address_bits();
        }
        settings
    }
}

/// Where a real server at `address` takes the packets of `service`; `None` if it cannot.
///
/// Only NAT translates ports, and a real server without one has that of the service; only
/// tunnels go from one family to another (`ip_vs_ctl.c`, `ip_vs_add_dest`).
pub fn destination_of(
    service: &ServiceKey,
    address: SocketAddr,
    method: ForwardingMethod,
) -> Option<SocketAddr> {
    let tunnels = matches!(method, ForwardingMethod::Tunnel(_));
    if !tunnels && Family::of(address.ip()) != service.family() {
        return None;
    }
    let virtual_port = service
        .virtual_address()
        .map_or(0, |address| address.port());
    let port = match (method, address.port()) {
        (ForwardingMethod::Nat, port @ 1..) => port,
        _ => virtual_port,
    };
    Some(SocketAddr::new(address.ip(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(first: &str, last: &str) -> GroupMember {
        GroupMember::Addresses {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            port: 80,
        }
    }

    #[test]
    fn a_range_stands_for_each_of_its_addresses() {
        let named = |member: GroupMember| -> Vec<String> {
            let services = member.services(Protocol::Tcp);
            services.map(|service| service.to_string()).collect()
        };
        assert_eq!(
            named(addresses("192.0.2.254", "192.0.3.1")),
            [
                "TCP 192.0.2.254:80",
                "TCP 192.0.2.255:80",
                "TCP 192.0.3.0:80",
                "TCP 192.0.3.1:80"
            ]
        );
        assert_eq!(
            named(addresses("2001:db8::ffff", "2001:db8::1:0")),
            ["TCP [2001:db8::ffff]:80", "TCP [2001:db8::1:0]:80"]
        );
        assert_eq!(addresses("2001:db8::", "2001:db8::ff").count(), 256);
        assert_eq!(addresses("255.255.255.255", "255.255.255.255").count(), 1);
    }

    #[test]
    fn only_nat_translates_ports_and_only_tunnels_families() {
        let service = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: "192.0.2.1:80".parse().unwrap(),
        };
        let of = |address: &str, method| {
            destination_of(&service, address.parse().unwrap(), method)
                .map(|address| address.to_string())
        };
        let ipip = ForwardingMethod::Tunnel(crate::service::Tunnel::Ipip);
        assert_eq!(
            of("10.0.0.1:8080", ForwardingMethod::Nat).unwrap(),
            "10.0.0.1:8080"
        );
        assert_eq!(
            of("10.0.0.1:0", ForwardingMethod::Nat).unwrap(),
            "10.0.0.1:80"
        );
        assert_eq!(of("10.0.0.1:8080", ipip).unwrap(), "10.0.0.1:80");
        assert_eq!(of("[2001:db8::1]:80", ipip).unwrap(), "[2001:db8::1]:80");
        assert_eq!(of("[2001:db8::1]:80", ForwardingMethod::Nat), None);
    }
}
