//! Making devices that stand on another one, and removing them.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanFlags, IpVlanMode, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage, MacVlanMode,
};

use super::Netlink;

/// A device that stands on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stacked {
    /// `macvlan` in private mode, with a hardware address of its own.
    Macvlan([u8; 6]),
    /// `ipvlan` in mode L2, with the hardware address of the other one.
    Ipvlan(IpvlanPeers),
}

/// How `ipvlan` devices on one device reach each other; the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanPeers {
    /// Directly: `bridge`.
    Direct,
    /// Not at all: `private`.
    Never,
    /// By a switch: `vepa`.
    BySwitch,
}

impl Stacked {
    /// The kind, as the kernel names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Stacked::Macvlan(_) => "macvlan",
            Stacked::Ipvlan(_) => "ipvlan",
        }
    }
}

impl Netlink {
    /// Makes a device on the one with index `base`, and of the VRF with the other index.
    ///
    /// # Errors
    /// `EEXIST` where there is a device of that name, `EOPNOTSUPP` or `ENOTSUPP` where the
    /// kernel has no such devices, and what else it answers.
    pub fn add_stacked(
        &mut self,
        name: &str,
        (base, vrf): (u32, Option<u32>),
        device: Stacked,
    ) -> io::Result<()> {
        let (kind, data) = match device {
            Stacked::Macvlan(_) => {
                let mode = InfoMacVlan::Mode(MacVlanMode::Private);
                (InfoKind::MacVlan, InfoData::MacVlan(vec![mode]))
            }
            Stacked::Ipvlan(peers) => {
                let flags = match peers {
                    IpvlanPeers::Direct => IpVlanFlags::empty(),
                    IpvlanPeers::Never => IpVlanFlags::Private,
                    IpvlanPeers::BySwitch => IpVlanFlags::Vepa,
                };
                let data = vec![InfoIpVlan::Mode(IpVlanMode::L2), InfoIpVlan::Flags(flags)];
                (InfoKind::IpVlan, InfoData::IpVlan(data))
            }
        };
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Link(base),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]),
        ];
        message
            .attributes
            .extend(vrf.map(LinkAttribute::Controller));
        if let Stacked::Macvlan(mac) = device {
            let mac = LinkAttribute::Address(mac.to_vec());
            message.attributes.push(mac);
        }
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.0.request(RouteNetlinkMessage::NewLink(message), flags)
    }

    /// Sets a device up.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.0.request(
            RouteNetlinkMessage::SetLink(message),
            NLM_F_REQUEST | NLM_F_ACK,
        )
    }

    /// Removes a virtual device, with everything on it; false if it is not there.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn remove_link(&mut self, index: u32) -> io::Result<bool> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let message = RouteNetlinkMessage::DelLink(message);
        match self.0.request(message, NLM_F_REQUEST | NLM_F_ACK) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
