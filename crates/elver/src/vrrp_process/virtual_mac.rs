//! Devices with the hardware address of a virtual router (`use_vmac`).
//!
//! RFC 9568 section 7.3: the virtual router's MAC address goes with the role, so that no
//! neighbour has to learn another one. It lives on a macvlan device on the instance's
//! interface, as with keepalived. Such a device is there as long as the instance is, whatever
//! its state; only the addresses on it come and go.

use std::collections::BTreeMap;
use std::io;

use elver_core::config::model::{VirtualMac, VrrpInstance};
use elver_sys::netlink::Netlink;
use tracing::{info, warn};

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

/// The devices that this process has made or found, and what it has changed for them.
#[derive(Debug, Default)]
pub(super) struct VirtualMacs {
    /// Instances that have one: interface below, name, MAC address.
    wanted: Vec<(String, VirtualMac)>,
    /// By name.
    made: Vec<String>,
    /// By path, what a setting was before.
    changed: BTreeMap<String, String>,
}

impl VirtualMacs {
    /// Takes those of these instances in, and removes the devices of others.
    pub(super) fn configure(&mut self, netlink: &mut Netlink, instances: &[VrrpInstance]) {
        self.wanted = instances
            .iter()
            .filter_map(|instance| {
                let virtual_mac = instance.virtual_mac.clone()?;
                Some((instance.interface.clone(), virtual_mac))
            })
            .collect();
        let wanted = &self.wanted;
        let is_wanted = |name: &String| wanted.iter().any(|(_, mac)| mac.interface == *name);
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
            .any(|(base, mac)| base == name || mac.interface == name)
    }

    /// Makes the devices that are not there and whose interface is. One that an earlier
    /// process has left is taken over.
    ///
    /// # Errors
    /// In words, which and why.
    pub(super) fn make(&mut self, netlink: &mut Netlink) -> Vec<String> {
        let mut problems = Vec::new();
        for (base, mac) in self.wanted.clone() {
            match self.make_one(netlink, &base, &mac) {
                Ok(()) => {}
                Err(error) => {
                    problems.push(format!("cannot make {} on {base}: {error}", mac.interface))
                }
            }
        }
        problems
    }

    fn make_one(&mut self, netlink: &mut Netlink, base: &str, mac: &VirtualMac) -> io::Result<()> {
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
            self.set(name, setting, value);
        }
        for (setting, value) in OF_THE_INTERFACE {
            self.set(base, setting, value);
        }
        let link = links.iter().find(|link| link.name == *name);
        match link.filter(|link| !link.up) {
            Some(link) if below.up => {
                info!("Success creating VMAC interface {name}");
                netlink.set_up(link.index)
            }
            _ => Ok(()),
        }
    }

    fn set(&mut self, interface: &str, setting: &str, value: &str) {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/{setting}");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        if before.trim() == value {
            return;
        }
        match std::fs::write(&path, value) {
            Ok(()) => {
                self.changed.entry(path).or_insert(before);
            }
            Err(error) => warn!("{path} cannot be set to {value}: {error}"),
        }
    }

    /// Removes all the devices, and leaves the interfaces below as they were.
    pub(super) fn remove(&mut self, netlink: &mut Netlink) {
        for name in std::mem::take(&mut self.made) {
            remove(netlink, &name);
        }
        for (path, before) in std::mem::take(&mut self.changed) {
            // Those of the devices themselves have gone with them.
            let _ = std::fs::write(path, before);
        }
    }
}

fn remove(netlink: &mut Netlink, name: &str) {
    let removed = netlink.links().and_then(|links| {
        let link = links.iter().find(|link| link.name == name);
        link.map_or(Ok(false), |link| netlink.remove_link(link.index))
    });
    match removed {
        Ok(_) => info!("Removed VMAC interface {name}"),
        Err(error) => warn!("cannot remove {name}: {error}"),
    }
}
