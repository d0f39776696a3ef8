//! Links, addresses and what happens to them, by rtnetlink.
//!
//! A [`Netlink`] asks and changes; a [`NetlinkEvents`] listens. Each belongs to the
//! network namespace of the thread that opened it, and stays there. The kernel
//! answers a request before `sendto` returns, so asking does not wait for anything
//! and needs no executor.
//!
//! Everything is spelt in this module's own types: the crates that know the message
//! formats appear nowhere else.

mod channel;
mod events;
mod kernel_ipvs;
mod policy;
mod route;
mod stacked;

pub use events::{NetlinkEvent, NetlinkEvents, Topic};
pub use kernel_ipvs::{KernelDestination, KernelIpvs, KernelService};
pub use policy::{Encapsulation, Envelope, Insertion, NextHop, Route, RouteKind, Rule, RuleAction};
pub use route::RouteTo;
pub use stacked::{IpvlanPeers, Stacked};

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{
    InfoData, InfoVrf, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use channel::Channel;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, where that has six octets.
    pub mac: Option<[u8; 6]>,
    /// Its MTU, in octets.
    pub mtu: u32,
    /// It is administratively up.
    pub up: bool,
    /// It is operational: it has a carrier and may send.
    pub running: bool,
    /// It is a loopback device.
    pub loopback: bool,
    /// It does not do ARP.
    pub no_arp: bool,
    /// The kind of a virtual device: `veth`, `bridge`, `vlan` …
    pub kind: Option<String>,
    /// Index of the bridge or bond that it is a port of.
    pub controller: Option<u32>,
    /// Index of the device that this one stands on: of a VLAN or macvlan, for instance; of a
    /// veth, its peer.
    pub lower: Option<u32>,
    /// The routing table of a VRF.
    pub vrf_table: Option<u32>,
}

/// How far an address is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// Within the site.
    Site,
    /// On the link.
    Link,
    /// On this host.
    Host,
    /// Another value of the kernel.
    Other(u8),
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Index of the interface.
    pub interface: u32,
    /// The address itself, not that of a peer.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_length: u8,
    /// Its scope.
    pub scope: Scope,
    /// Its label, for IPv4; the name of the interface unless set.
    pub label: Option<String>,
    /// It is a secondary address of its subnet.
    pub secondary: bool,
    /// Duplicate address detection has not finished, or has failed.
    pub tentative: bool,
}

/// What is special about an address: a flag of ip-address(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFlag {
    /// The home address of a mobile node (RFC 6275), for IPv6.
    Home,
    /// Duplicate address detection is done first, for IPv6.
    DuplicateDetection,
    /// Temporary addresses are made beside it (RFC 8981), for IPv6.
    ManageTemporary,
    /// It brings no route to its subnet.
    NoPrefixRoute,
    /// The groups of its multicast address are joined.
    JoinGroups,
}

/// What an address is added with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressOptions<'a> {
    /// Its label, which begins with the name of the interface; for IPv4.
    pub label: Option<&'a str>,
    /// Its scope, as rtnetlink(7) counts: 0 is global; for IPv4.
    pub scope: u8,
    /// The broadcast address of its subnet, for IPv4.
    pub broadcast: Option<Ipv4Addr>,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// How long connections from this host may choose it as their source, for IPv6; none for
    /// ever. It is valid for ever.
    pub preferred_lifetime: Option<Duration>,
    /// What else is special about it.
    pub flags: &'a [AddressFlag],
}

/// A host on the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, while it is known to be right, or believed to be.
    pub mac: Option<[u8; 6]>,
    /// It was right once, and nobody has confirmed it of late.
    pub stale: bool,
}

/// A socket to ask and to change.
#[derive(Debug)]
pub struct Netlink(Channel);

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    pub fn open() -> io::Result<Netlink> {
        // NETLINK_ROUTE, which is 0.
        Ok(Netlink(Channel::open(None)?))
    }

    /// All links.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let messages = self
            .0
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewLink(link) => Some(read_link(&link)),
                _ => None,
            })
            .collect())
    }

    /// All addresses of all links, those of one link in the kernel's order: the primary
    /// address of a subnet before its secondary ones.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn addresses(&mut self) -> io::Result<Vec<InterfaceAddress>> {
        let messages = self
            .0
            .dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(address) => read_address(&address),
                _ => None,
            })
            .collect())
    }

    /// Adds an address; returns false if the interface has it already.
    ///
    /// IPv6 addresses skip duplicate address detection unless it is asked for, as they move
    /// between hosts.
    ///
    /// # Errors
    /// `ENODEV` for an unknown interface, `EPERM` without the right, and what else the
    /// kernel answers.
    pub fn add_address(
        &mut self,
        interface: u32,
        address: IpAddr,
        prefix_length: u8,
        options: AddressOptions<'_>,
    ) -> io::Result<bool> {
        let mut message = address_message(interface, address, prefix_length, options.peer);
        let mut flags = AddressFlags::empty();
        for flag in options.flags {
            flags |= match flag {
                AddressFlag::Home => AddressFlags::Homeaddress,
                AddressFlag::DuplicateDetection => AddressFlags::empty(),
                AddressFlag::ManageTemporary => AddressFlags::Managetempaddr,
                AddressFlag::NoPrefixRoute => AddressFlags::Noprefixroute,
                AddressFlag::JoinGroups => AddressFlags::Mcautojoin,
            };
        }
        if address.is_ipv4() {
            message.header.scope = AddressScope::from(options.scope);
            let label = options.label.map(str::to_owned);
            message
                .attributes
                .extend(label.map(AddressAttribute::Label));
            message
                .attributes
                .extend(options.broadcast.map(AddressAttribute::Broadcast));
        }
        if address.is_ipv6() {
            flags.set(
                AddressFlags::Nodad,
                !options.flags.contains(&AddressFlag::DuplicateDetection),
            );
            if let Some(preferred) = options.preferred_lifetime {
                let mut lifetimes = CacheInfo::default();
                lifetimes.ifa_valid = u32::MAX;
                lifetimes.ifa_preferred = u32::try_from(preferred.as_secs()).unwrap_or(u32::MAX);
                message
                    .attributes
                    .push(AddressAttribute::CacheInfo(lifetimes));
            }
        }
        if !flags.is_empty() {
            message.attributes.push(AddressAttribute::Flags(flags));
        }
        let new = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        match self
            .0
            .request(RouteNetlinkMessage::NewAddress(message), new)
        {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an address; returns false if the interface, or its address, is not there.
    ///
    /// # Errors
    /// `EPERM` without the right, and what else the kernel answers.
    pub fn remove_address(
        &mut self,
        interface: u32,
        address: IpAddr,
        prefix_length: u8,
        peer: Option<IpAddr>,
    ) -> io::Result<bool> {
        let message = address_message(interface, address, prefix_length, peer);
        match self.0.request(
            RouteNetlinkMessage::DelAddress(message),
            NLM_F_REQUEST | NLM_F_ACK,
        ) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EADDRNOTAVAIL | libc::ENODEV | libc::ENXIO)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// All neighbours, of both families.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn neighbours(&mut self) -> io::Result<Vec<Neighbour>> {
        let messages = self.0.dump(RouteNetlinkMessage::GetNeighbour(
            NeighbourMessage::default(),
        ))?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewNeighbour(neighbour) => read_neighbour(&neighbour, true),
                _ => None,
            })
            .collect())
    }

    /// Has the kernel confirm a neighbour that it knows, as if something had been sent to it.
    ///
    /// # Errors
    /// `EPERM` without the right, and what else the kernel answers.
    pub fn confirm_neighbour(&mut self, interface: u32, address: IpAddr) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = interface;
        message.header.flags = NeighbourFlags::Use;
        let destination = match address {
            IpAddr::V4(address) => {
                message.header.family = AddressFamily::Inet;
                NeighbourAddress::Inet(address)
            }
            IpAddr::V6(address) => {
                message.header.family = AddressFamily::Inet6;
                NeighbourAddress::Inet6(address)
            }
        };
        message
            .attributes
            .push(NeighbourAttribute::Destination(destination));
        self.0.request(
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_REQUEST | NLM_F_ACK,
        )
    }
}

/// The kernel's Local is an address of this host, and its Address that of the other end: the
/// same where there is no other end.
fn address_message(
    interface: u32,
    address: IpAddr,
    prefix_length: u8,
    peer: Option<IpAddr>,
) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.index = interface;
    message.header.prefix_len = prefix_length;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(address));
    message
        .attributes
        .push(AddressAttribute::Address(peer.unwrap_or(address)));
    message
}

fn read_link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Running),
        loopback: flags.contains(LinkFlags::Loopback),
        no_arp: flags.contains(LinkFlags::Noarp),
        kind: None,
        controller: None,
        lower: None,
        vrf_table: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(octets) => link.mac = octets.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(index) => link.controller = Some(*index),
            LinkAttribute::Link(index) => link.lower = Some(*index),
            LinkAttribute::LinkInfo(info) => {
                for info in info {
                    match info {
                        LinkInfo::Kind(kind) => link.kind = Some(kind.to_string()),
                        LinkInfo::Data(InfoData::Vrf(vrf)) => {
                            link.vrf_table = vrf.iter().find_map(|vrf| match vrf {
                                InfoVrf::TableId(table) => Some(*table),
                                _ => None,
                            });
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn read_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let (mut local, mut other, mut label) = (None, None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link, Address is that of the peer.
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => other = Some(*address),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    Some(InterfaceAddress {
        interface: message.header.index,
        address: local.or(other)?,
        prefix_length: message.header.prefix_len,
        scope: match message.header.scope {
            AddressScope::Universe => Scope::Global,
            AddressScope::Site => Scope::Site,
            AddressScope::Link => Scope::Link,
            AddressScope::Host => Scope::Host,
            other => Scope::Other(other.into()),
        },
        label,
        secondary: flags.contains(AddressFlags::Secondary),
        tentative: flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
    })
}

fn read_neighbour(message: &NeighbourMessage, present: bool) -> Option<Neighbour> {
    let known = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    );
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ipv4)) => {
                address = Some(IpAddr::V4(*ipv4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ipv6)) => {
                address = Some(IpAddr::V6(*ipv6));
            }
            NeighbourAttribute::LinkLayerAddress(octets) if present && known => {
                mac = octets.as_slice().try_into().ok();
            }
            _ => {}
        }
    }
    Some(Neighbour {
        interface: message.header.ifindex,
        address: address?,
        mac,
        stale: present && message.header.state == NeighbourState::Stale,
    })
}
