//! Which addresses belong to an instance, and where they live.

use std::net::IpAddr;

use super::advertisement::{GROUP_IPV4, GROUP_IPV6};
use super::effect::HeldAddress;
use crate::config::model::{VirtualAddress, VrrpInstance};

/// Whether the virtual addresses of an instance are IPv6; one family each.
pub fn is_ipv6(configuration: &VrrpInstance) -> bool {
    configuration
        .virtual_addresses
        .first()
        .is_some_and(|first| first.address.is_ipv6())
}

/// The virtual addresses of an instance with the interfaces that they live on.
pub fn addresses_of(configuration: &VrrpInstance) -> Vec<HeldAddress> {
    configuration
        .virtual_addresses
        .iter()
        .chain(&configuration.excluded_addresses)
        .map(|address| held(address, interface_of(configuration)))
        .collect()
}

/// The interface that the virtual addresses of an instance live on, unless they say otherwise.
pub fn interface_of(configuration: &VrrpInstance) -> &str {
    match &configuration.virtual_mac {
        Some(mac) => &mac.interface,
        None => hears_on(configuration),
    }
}

/// The interface that an instance listens on, whose condition is its own, and whose address its
/// advertisements come from.
pub fn hears_on(configuration: &VrrpInstance) -> &str {
    let ipvlan = configuration.ipvlan.as_ref();
    ipvlan.map_or(&configuration.interface, |ipvlan| &ipvlan.interface)
}

/// An address as it is held, on `interface` unless it has its own.
pub(super) fn held(address: &VirtualAddress, interface: &str) -> HeldAddress {
    let own = address.virtual_mac.as_ref().map(|mac| &*mac.interface);
    let own = own.or(address.interface.as_deref());
    HeldAddress {
        interface: own.unwrap_or(interface).to_owned(),
        address: address.address,
        prefix_length: address.prefix_length,
        label: address.label.clone(),
        scope: address.scope,
        broadcast: address.broadcast,
        peer: address.peer,
        preferred_lifetime: address.preferred_lifetime,
        flags: address.flags.clone(),
        restore: address.restore,
    }
}

/// The group that the advertisements of an instance go to, if they do not go to peers.
pub fn group_of(configuration: &VrrpInstance) -> IpAddr {
    let usual = match is_ipv6(configuration) {
        true => IpAddr::from(GROUP_IPV6),
        false => IpAddr::from(GROUP_IPV4),
    };
    configuration.multicast_group.unwrap_or(usual)
}
