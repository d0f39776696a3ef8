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
        .map(|address| held_on(home_of(address, configuration), address))
        .collect()
}

/// The interface that advertisements of an instance leave by as those of its virtual router.
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

/// The interface that a virtual address of an instance lives on.
///
/// keepalived-2.2.7: those of the instance's family on its interface live on the device with its
/// virtual MAC address, if it has one; all others where they say, and with an ipvlan device as
/// well on the interface below.
pub(super) fn home_of<'c>(address: &'c VirtualAddress, configuration: &'c VrrpInstance) -> &'c str {
    if let Some(own) = &address.virtual_mac {
        return &own.interface;
    }
    let interface = address.interface.as_ref();
    if let Some(elsewhere) = interface.filter(|name| **name != configuration.interface) {
        return elsewhere;
    }
    match &configuration.virtual_mac {
        Some(mac) if address.address.is_ipv6() == is_ipv6(configuration) => &mac.interface,
        _ => &configuration.interface,
    }
}

/// An address as it is held on an interface.
pub(super) fn held_on(interface: &str, address: &VirtualAddress) -> HeldAddress {
    HeldAddress {
        interface: interface.to_owned(),
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
