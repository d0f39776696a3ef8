//! The devices that instances have for themselves: with the hardware address of the virtual
//! router (`use_vmac`), or with that of the interface (`use_ipvlan`).
//!
//! 9568-8.1.2-a, 9568-8.2.2-a, 3768-8.2-a: a master answers for its addresses with the virtual
//! router's MAC address and never with the interface's. 9568-7.3-b: the virtual router's MAC
//! address goes with the role, so that no neighbour has to learn another one. It lives on a
//! macvlan device on the instance's interface, as with keepalived. Devices are there as long as
//! the instance is, whatever its state; only the virtual addresses on them come and go.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use elver_core::config::model::{IpvlanNeighbourhood, VirtualMac, VrrpInstance};
use elver_core::vrrp::{addresses_of, is_ipv6};
use elver_sys::netlink::{AddressOptions, IpvlanPeers, Link, Netlink, Stacked};
use tracing::{info, warn};

use super::kernel_settings::{KernelSettings, of_interface};

/// How the kernel has to treat addresses on a device with a virtual MAC address: answer for them
/// with its MAC address alone, and take what comes in for them although the way back is another.
const OF_THE_DEVICE: [(&str, &str); 4] = [
    ("arp_ignore", "1"),
    ("accept_local", "1"),
    ("rp_filter", "0"),
    ("promote_secondaries", "1"),
];
/// On the interface below: it must not answer for addresses that are not its own, nor ask in
/// their names, by which neighbours would learn its MAC address for them.
const OF_THE_INTERFACE: [(&str, &str); 3] = [
    ("arp_ignore", "1"),
    ("arp_filter", "1"),
    ("arp_announce", "2"),
];

/// A value of `addr_gen_mode` (ip-sysctl). 9568-7.4-a: a virtual router's MAC address "MUST NOT be
/// used" to make a link-local address, which all its routers would have.
const NO_LINK_LOCAL_ADDRESS: &str = "1";

/// A device that an instance has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    /// Name of the interface below.
    base: String,
    device: Stacked,
    source: Source,
    /// There are addresses of IPv6 on it.
    ipv6: bool,
}

/// The address from which a device sends advertisements.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// What it has by itself, or it sends none.
    Itself,
    /// The link-local address of the interface below.
    Lent,
    /// One of its own, with the length of its prefix.
    Own(IpAddr, u8),
}

impl Wanted {
    fn with_mac(mac: &VirtualMac, base: &str, source: Source) -> Wanted {
        Wanted {
            name: mac.interface.clone(),
            base: base.to_owned(),
            device: Stacked::Macvlan(mac.address),
            source,
            ipv6: false,
        }
    }

    fn is_macvlan(&self) -> bool {
        matches!(self.device, Stacked::Macvlan(_))
    }
}

/// The device of an instance, and those of its addresses that have their own.
fn devices(instance: &VrrpInstance) -> Vec<Wanted> {
    let source = match is_ipv6(instance) {
        true => Source::Lent,
        false => Source::Itself,
    };
    let own = instance.virtual_mac.iter();
    let own = own.map(|mac| Wanted::with_mac(mac, &instance.interface, source.clone()));
    let ipvlan = instance.ipvlan.iter().map(|ipvlan| Wanted {
        name: ipvlan.interface.clone(),
        base: instance.interface.clone(),
        device: Stacked::Ipvlan(match ipvlan.neighbourhood {
            IpvlanNeighbourhood::Bridge => IpvlanPeers::Direct,
            IpvlanNeighbourhood::Private => IpvlanPeers::Never,
            IpvlanNeighbourhood::Vepa => IpvlanPeers::BySwitch,
        }),
        source: match ipvlan.address {
            Some((address, prefix_length)) => Source::Own(address, prefix_length),
            None => Source::Itself,
        },
        ipv6: false,
    });
    let mut wanted: Vec<Wanted> = own.chain(ipvlan).collect();
    for device in &mut wanted {
        // Its advertisements leave there, if nothing else.
        device.ipv6 = is_ipv6(instance);
    }
    let addresses = instance.virtual_addresses.iter();
    for address in addresses.chain(&instance.excluded_addresses) {
        let Some(mac) = &address.virtual_mac else {
            continue;
        };
        if wanted.iter().all(|other| other.name != mac.interface) {
            let base = address.interface.as_ref().unwrap_or(&instance.interface);
            wanted.push(Wanted::with_mac(mac, base, Source::Itself));
        }
    }
    for held in addresses_of(instance) {
        if let Some(device) = wanted.iter_mut().find(|each| each.name == held.interface) {
            device.ipv6 |= held.address.is_ipv6();
        }
    }
    wanted
}

/// The names of an instance's devices.
pub(super) fn names(instance: &VrrpInstance) -> impl Iterator<Item = String> {
    devices(instance).into_iter().map(|wanted| wanted.name)
}

/// The paths of the settings that are changed for an instance's devices, but for those that
/// go with a device.
pub(super) fn settings(instance: &VrrpInstance) -> impl Iterator<Item = String> {
    devices(instance)
        .into_iter()
        .filter(Wanted::is_macvlan)
        .flat_map(|wanted| OF_THE_INTERFACE.map(|(setting, _)| of_interface(&wanted.base, setting)))
}

/// The devices that this process has made or found, and what it has changed for them.
#[derive(Debug, Default)]
pub(super) struct InstanceDevices {
    /// Of those instances that have one.
    wanted: Vec<Wanted>,
    made: Vec<Wanted>,
    settings: KernelSettings,
}

impl InstanceDevices {
    /// Takes those of these instances in, and removes the devices of others.
    pub(super) fn configure(&mut self, netlink: &mut Netlink, instances: &[VrrpInstance]) {
        self.wanted = instances.iter().flat_map(devices).collect();
        let (made, gone) = std::mem::take(&mut self.made)
            .into_iter()
            .partition::<Vec<_>, _>(|made| self.wanted.contains(made));
        self.made = made;
        for Wanted { name, .. } in gone {
            remove(netlink, &name);
        }
    }

    /// Whether a device is the base of one of these, or one of them.
    pub(super) fn concerns(&self, name: &str) -> bool {
        self.wanted
            .iter()
            .any(|wanted| wanted.base == name || wanted.name == name)
    }

    /// Makes the devices that are not there and whose interface is. One that an earlier
    /// process has left is taken over. `source` gives the link-local address of an interface,
    /// once it may be used.
    ///
    /// # Errors
    /// In words, which and why.
    pub(super) fn make(
        &mut self,
        netlink: &mut Netlink,
        source: impl Fn(&str) -> Option<Ipv6Addr>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for wanted in self.wanted.clone() {
            let source = source(&wanted.base);
            if let Err(error) = self.make_one(netlink, &wanted, source) {
                let Wanted { name, base, .. } = wanted;
                problems.push(format!("cannot make {name} on {base}: {error}"));
            }
        }
        problems
    }

    fn make_one(
        &mut self,
        netlink: &mut Netlink,
        wanted: &Wanted,
        link_local: Option<Ipv6Addr>,
    ) -> io::Result<()> {
        let Wanted { name, base, .. } = wanted;
        let mut links = netlink.links()?;
        let Some(below) = links.iter().find(|link| link.name == *base).cloned() else {
            return Ok(());
        };
        if let Some(there) = links.iter().find(|link| link.name == *name) {
            if there.kind.as_deref() != Some(wanted.device.kind()) {
                return Err(io::Error::other("there is another device of that name"));
            }
            let is_it = match wanted.device {
                Stacked::Macvlan(mac) => there.mac == Some(mac),
                Stacked::Ipvlan(_) => there.lower == Some(below.index),
            };
            if !is_it {
                netlink.remove_link(there.index)?;
                links = netlink.links()?;
            }
        }
        if !links.iter().any(|link| link.name == *name) {
            let is_vrf = |link: &&Link| link.vrf_table.is_some();
            let above = links
                .iter()
                .find(|link| below.controller == Some(link.index));
            let vrf = above.filter(is_vrf).map(|link| link.index);
            netlink.add_stacked(name, (below.index, vrf), wanted.device)?;
            links = netlink.links()?;
        }
        if !self.made.contains(wanted) {
            self.made.push(wanted.clone());
        }
        if wanted.is_macvlan() {
            for (setting, value) in OF_THE_DEVICE {
                self.settings.set(name, setting, value);
            }
            for (setting, value) in OF_THE_INTERFACE {
                self.settings.set(base, setting, value);
            }
        }
        let has_no_ipv6 = if wanted.ipv6 { "0" } else { "1" };
        self.settings.set_ipv6(name, "disable_ipv6", has_no_ipv6);
        if wanted.is_macvlan() {
            self.settings
                .set_ipv6(name, "addr_gen_mode", NO_LINK_LOCAL_ADDRESS);
        }
        let Some(link) = links.iter().find(|link| link.name == *name) else {
            return Ok(());
        };
        if !link.up && below.up {
            let kind = match wanted.device {
                Stacked::Macvlan(_) => "VMAC",
                Stacked::Ipvlan(_) => "ipvlan",
            };
            info!("Success creating {kind} interface {name}");
            netlink.set_up(link.index)?;
        }
        if !below.up {
            return Ok(());
        }
        match (&wanted.source, link_local) {
            (Source::Lent, Some(source)) => lend_source(netlink, link.index, source),
            (Source::Own(address, prefix_length), _) => {
                // keepalived-2.2.7: nothing else is to choose one of IPv6.
                let options = AddressOptions {
                    preferred_lifetime: address.is_ipv6().then_some(Duration::ZERO),
                    ..AddressOptions::default()
                };
                let added = netlink.add_address(link.index, *address, *prefix_length, options);
                added.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Removes all the devices, and leaves the interfaces below as they were.
    pub(super) fn remove(&mut self, netlink: &mut Netlink) {
        for Wanted { name, .. } in std::mem::take(&mut self.made) {
            remove(netlink, &name);
        }
        self.settings.restore();
    }
}

/// Lends the device the link-local address of the interface below, from which advertisements of
/// IPv6 are sent: as the only address of a prefix, so that nothing else chooses it.
fn lend_source(netlink: &mut Netlink, device: u32, source: Ipv6Addr) -> io::Result<()> {
    let options = AddressOptions {
        preferred_lifetime: Some(Duration::ZERO),
        ..AddressOptions::default()
    };
    netlink
        .add_address(device, source.into(), 128, options)
        .map(drop)
}

fn remove(netlink: &mut Netlink, name: &str) {
    match remove_device(netlink, name) {
        Ok(_) => info!("Removed the interface {name}"),
        Err(error) => warn!("cannot remove {name}: {error}"),
    }
}

/// Removes the device of an instance; false if it is not there, or another one.
pub(crate) fn remove_device(netlink: &mut Netlink, name: &str) -> io::Result<bool> {
    let links = netlink.links()?;
    let is_ours = |kind: &str| kind == "macvlan" || kind == "ipvlan";
    let is_it = |link: &&Link| link.name == name && link.kind.as_deref().is_some_and(is_ours);
    match links.iter().find(is_it) {
        Some(link) => netlink.remove_link(link.index),
        None => Ok(false),
    }
}
