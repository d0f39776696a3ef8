//! Devices with the hardware address of a virtual router (`use_vmac`).
//!
//! 9568-8.1.2-a, 9568-8.2.2-a, 3768-8.2-a: a master answers for its addresses with the virtual
//! router's MAC address and never with the interface's. 9568-7.3-b: the virtual router's MAC address goes with the role, so that no
//! neighbour has to learn another one. It lives on a macvlan device on the instance's
//! interface, as with keepalived. Such a device is there as long as the instance is, whatever
//! its state; only the addresses on it come and go.

use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;

use elver_core::config::model::{VirtualMac, VrrpInstance};
use elver_core::vrrp::is_ipv6;
use elver_sys::netlink::{AddressOptions, Link, Netlink};
use tracing::{info, warn};

use super::kernel_settings::{KernelSettings, of_interface};

/// How the kernel has to treat addresses on such a device: answer for them with its MAC
/// address alone, and take what comes in for them although the way back is another.
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

/// A device that an instance has.
#[derive(Debug, Clone)]
struct Wanted {
    /// Name of the interface below.
    base: String,
    mac: VirtualMac,
    /// Whether advertisements of IPv6 leave by it.
    lends_source: bool,
}

/// The device of an instance, and those of its addresses that have their own.
fn devices(instance: &VrrpInstance) -> Vec<Wanted> {
    let own = instance.virtual_mac.iter().map(|mac| Wanted {
        base: instance.interface.clone(),
        mac: mac.clone(),
        lends_source: is_ipv6(instance),
    });
    let mut wanted: Vec<Wanted> = own.collect();
    let addresses = instance.virtual_addresses.iter();
    for address in addresses.chain(&instance.excluded_addresses) {
        let Some(mac) = &address.virtual_mac else {
            continue;
        };
        if wanted
            .iter()
            .all(|other| other.mac.interface != mac.interface)
        {
            let base = address.interface.as_ref().unwrap_or(&instance.interface);
            wanted.push(Wanted {
                base: base.clone(),
                mac: mac.clone(),
                lends_source: false,
            });
        }
    }
    wanted
}

/// The names of an instance's devices.
pub(super) fn names(instance: &VrrpInstance) -> impl Iterator<Item = String> {
    devices(instance)
        .into_iter()
        .map(|wanted| wanted.mac.interface)
}

/// The paths of the settings that are changed for an instance's devices, but for those that
/// go with a device.
pub(super) fn settings(instance: &VrrpInstance) -> impl Iterator<Item = String> {
    devices(instance)
        .into_iter()
        .flat_map(|wanted| OF_THE_INTERFACE.map(|(setting, _)| of_interface(&wanted.base, setting)))
}

/// The devices that this process has made or found, and what it has changed for them.
#[derive(Debug, Default)]
pub(super) struct VirtualMacs {
    /// Of those instances that have one.
    wanted: Vec<Wanted>,
    /// By name.
    made: Vec<String>,
    settings: KernelSettings,
}

impl VirtualMacs {
    /// Takes those of these instances in, and removes the devices of others.
    pub(super) fn configure(&mut self, netlink: &mut Netlink, instances: &[VrrpInstance]) {
        self.wanted = instances.iter().flat_map(devices).collect();
        let wanted = &self.wanted;
        let is_wanted = |name: &String| wanted.iter().any(|wanted| wanted.mac.interface == *name);
        let (made, gone) = std::mem::take(&mut self.made)
            .into_iter()
            .partition::<Vec<_>, _>(is_wanted);
        self.made = made;
        for name in gone {
            remove(netlink, &name);
        }
    }

    /// Whether a device is the base of one of these, or one of them.
    pub(super) fn concerns(&self, name: &str) -> bool {
        self.wanted
            .iter()
            .any(|wanted| wanted.base == name || wanted.mac.interface == name)
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
            let Wanted { base, mac, .. } = wanted;
            let source = if wanted.lends_source {
                source(&base)
            } else {
                None
            };
            if let Err(error) = self.make_one(netlink, &base, &mac, source) {
                problems.push(format!("cannot make {} on {base}: {error}", mac.interface));
            }
        }
        problems
    }

    fn make_one(
        &mut self,
        netlink: &mut Netlink,
        base: &str,
        mac: &VirtualMac,
        source: Option<Ipv6Addr>,
    ) -> io::Result<()> {
        let name = &mac.interface;
        let mut links = netlink.links()?;
        let Some(below) = links.iter().find(|link| link.name == base).cloned() else {
            return Ok(());
        };
        if let Some(there) = links.iter().find(|link| link.name == *name) {
            if there.kind.as_deref() != Some("macvlan") {
                return Err(io::Error::other("there is another device of that name"));
            }
            if there.mac != Some(mac.address) {
                netlink.remove_link(there.index)?;
                links = netlink.links()?;
            }
        }
        if !links.iter().any(|link| link.name == *name) {
            netlink.add_macvlan(name, below.index, mac.address)?;
            links = netlink.links()?;
        }
        if !self.made.contains(name) {
            self.made.push(name.clone());
        }
        for (setting, value) in OF_THE_DEVICE {
            self.settings.set(name, setting, value);
        }
        for (setting, value) in OF_THE_INTERFACE {
            self.settings.set(base, setting, value);
        }
        let Some(link) = links.iter().find(|link| link.name == *name) else {
            return Ok(());
        };
        if !link.up && below.up {
            info!("Success creating VMAC interface {name}");
            netlink.set_up(link.index)?;
        }
        match source {
            Some(source) if below.up => lend_source(netlink, link.index, source),
            _ => Ok(()),
        }
    }

    /// Removes all the devices, and leaves the interfaces below as they were.
    pub(super) fn remove(&mut self, netlink: &mut Netlink) {
        for name in std::mem::take(&mut self.made) {
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
        Ok(_) => info!("Removed VMAC interface {name}"),
        Err(error) => warn!("cannot remove {name}: {error}"),
    }
}

/// Removes a device with a virtual MAC address; false if it is not there, or another one.
pub(crate) fn remove_device(netlink: &mut Netlink, name: &str) -> io::Result<bool> {
    let links = netlink.links()?;
    let is_it = |link: &&Link| link.name == name && link.kind.as_deref() == Some("macvlan");
    match links.iter().find(is_it) {
        Some(link) => netlink.remove_link(link.index),
        None => Ok(false),
    }
}
