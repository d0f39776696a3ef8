//! What the director knows of the network around it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use elver_core::vrrp::HeldAddress;
use elver_sys::netlink::{Link, Netlink, NetlinkEvent};

/// Links and addresses of the network namespace, kept true by events.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: BTreeMap<u32, Link>,
    addresses: BTreeSet<(u32, IpAddr, u8)>,
}

impl Network {
    /// Asks for everything anew.
    pub(crate) fn read(&mut self, netlink: &mut Netlink) -> io::Result<()> {
        let links = netlink.links()?;
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        let addresses = netlink.addresses()?.into_iter();
        self.addresses = addresses
            .map(|address| (address.interface, address.address, address.prefix_length))
            .collect();
        Ok(())
    }

    /// Follows an event; [`NetlinkEvent::Overrun`] asks for everything anew.
    pub(crate) fn follow(&mut self, event: NetlinkEvent, netlink: &mut Netlink) -> io::Result<()> {
        match event {
            NetlinkEvent::LinkChanged(link) => {
                self.links.insert(link.index, link);
            }
            NetlinkEvent::LinkRemoved(link) => {
                self.links.remove(&link.index);
                self.addresses.retain(|(index, _, _)| *index != link.index);
            }
            NetlinkEvent::AddressAdded(address) => {
                let interface = address.interface;
                self.addresses
                    .insert((interface, address.address, address.prefix_length));
            }
            NetlinkEvent::AddressRemoved(address) => {
                let interface = address.interface;
                self.addresses
                    .remove(&(interface, address.address, address.prefix_length));
            }
            NetlinkEvent::RoutesChanged | NetlinkEvent::NeighbourChanged(_) => {}
            NetlinkEvent::Overrun => self.read(netlink)?,
        }
        Ok(())
    }

    /// Every address that is on an interface here.
    ///
    /// One that VRRP is to hold on another interface does not count on the loopback device:
    /// there a real server has it, to take what a director sends it by direct routing. Were
    /// it balanced again while this host is no master, two hosts that are directors and real
    /// servers would send it to each other until its time to live ran out.
    pub(crate) fn held(&self, by_vrrp: &[HeldAddress]) -> BTreeSet<IpAddr> {
        let is_of_real_server = |index: &u32, address: &IpAddr| {
            let link = self.links.get(index).filter(|link| link.loopback);
            link.is_some_and(|link| {
                by_vrrp
                    .iter()
                    .any(|held| held.address == *address && held.interface != link.name)
            })
        };
        self.addresses
            .iter()
            .filter(|(index, address, _)| !is_of_real_server(index, address))
            .map(|(_, address, _)| *address)
            .collect()
    }

    /// The links where packets are to be looked at, by index: Ethernet, except for ports of
    /// a bridge or bond, whose packets are seen on the bridge or bond itself; and the loopback
    /// device, for clients on this host and for what is handed in again.
    pub(crate) fn suitable(&self) -> BTreeMap<u32, &Link> {
        let is_port = |link: &Link| {
            let controller = link.controller.and_then(|index| self.links.get(&index));
            controller
                .and_then(|link| link.kind.as_deref())
                .is_some_and(|kind| matches!(kind, "bridge" | "bond" | "team"))
        };
        self.links
            .iter()
            .filter(|(_, link)| link.mac.is_some() && !is_port(link))
            .map(|(index, link)| (*index, link))
            .collect()
    }

    /// The addresses of an interface, by its index.
    pub(crate) fn addresses_of(&self, interface: u32) -> impl Iterator<Item = IpAddr> {
        let addresses = self.addresses.iter();
        addresses
            .filter(move |(index, _, _)| *index == interface)
            .map(|(_, address, _)| *address)
    }

    /// All links, by index.
    pub(crate) fn by_index(&self) -> BTreeMap<u32, &Link> {
        self.links
            .iter()
            .map(|(index, link)| (*index, link))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: Option<&str>, controller: Option<u32>) -> (u32, Link) {
        let link = Link {
            index,
            name: format!("device{index}"),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            running: true,
            loopback: index == 1,
            no_arp: false,
            kind: kind.map(str::to_owned),
            controller,
            lower: None,
            vrf_table: None,
        };
        (index, link)
    }

    #[test]
    fn the_loopback_device_has_what_a_real_server_is_sent() {
        let mut network = Network::default();
        network
            .links
            .extend([link(1, None, None), link(2, None, None)]);
        let [ours, theirs]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        network.addresses.extend([(1, ours, 32), (1, theirs, 32)]);
        let by_vrrp = |interface: &str| HeldAddress {
            interface: interface.to_owned(),
            address: theirs,
            prefix_length: 32,
            label: None,
            scope: 0,
            broadcast: None,
            peer: None,
            preferred_lifetime: None,
            flags: BTreeSet::new(),
            restore: false,
        };
        let held = |network: &Network, interface| network.held(&[by_vrrp(interface)]);
        assert_eq!(held(&network, "device2"), [ours].into());
        assert_eq!(
            held(&network, "device1"),
            [ours, theirs].into(),
            "it is to be there"
        );
        assert_eq!(
            network.held(&[]),
            [ours, theirs].into(),
            "nobody else has it"
        );
        network.addresses.insert((2, theirs, 32));
        assert_eq!(
            held(&network, "device2"),
            [ours, theirs].into(),
            "as the master"
        );
    }

    #[test]
    fn packets_are_looked_at_once() {
        let mut network = Network::default();
        network.links.extend([
            link(1, None, None),
            link(2, None, None),
            link(3, Some("bridge"), None),
            link(4, Some("veth"), Some(3)),
            link(5, Some("bond"), None),
            link(6, None, Some(5)),
            link(7, Some("vrf"), None),
            link(8, Some("veth"), Some(7)),
            link(9, Some("tun"), None),
        ]);
        network.links.get_mut(&9).unwrap().mac = None;
        let suitable: Vec<u32> = network.suitable().into_keys().collect();
        assert_eq!(suitable, [1, 2, 3, 5, 7, 8]);
    }
}
