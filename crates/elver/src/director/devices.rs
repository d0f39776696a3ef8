//! The part of the director that follows the devices and addresses of the host, and puts
//! the data plane on them.

use std::collections::{BTreeMap, BTreeSet};

use elver_packet::frame::LOOPBACK;
use elver_sys::netlink::{Link, Neighbour, NetlinkEvent, NetlinkEvents};

use super::address_record::addresses_of;
use super::forwarding::THERE;
use super::hook::{self, FastPath, Hook};
use super::{AttachedDevice, Director};
use crate::data_plane::{DataPlane, Device};
use crate::failure::Failure;

impl Director {
    /// Logs an address that comes or goes, in keepalived's words.
    fn report_address(&self, event: &NetlinkEvent) {
        let (address, what) = match event {
            NetlinkEvent::AddressAdded(address) => (address, "added to"),
            NetlinkEvent::AddressRemoved(address) => (address, "removed from"),
            _ => return,
        };
        let links = self.network.by_index();
        let link = links.get(&address.interface);
        let name = link.map_or("an interface that is gone", |link| link.name.as_str());
        let address = address.address;
        tracing::info!("Netlink reflector reports IP {address} {what} {name}");
    }

    pub(super) async fn network_events(
        &mut self,
        first: NetlinkEvent,
        events: &mut NetlinkEvents,
    ) -> Result<(), Failure> {
        let (mut next, mut links, mut ways) = (Some(first), false, false);
        // What is there already is taken in one go: links come with many addresses.
        while let Some(event) = next {
            links |= matches!(
                event,
                NetlinkEvent::LinkChanged(_) | NetlinkEvent::LinkRemoved(_) | NetlinkEvent::Overrun
            );
            ways |= !matches!(event, NetlinkEvent::NeighbourChanged(_));
            if let NetlinkEvent::NeighbourChanged(neighbour) = &event {
                self.confirm(neighbour);
            }
            if self.manner.report_addresses {
                self.report_address(&event);
            }
            self.network
                .follow(event, &mut self.network_netlink)
                .map_err(Failure::system("reading interfaces and addresses"))?;
            next = tokio::select! {
                biased;
                event = events.next() => {
                    Some(event.map_err(Failure::system("listening to the network"))?)
                }
                () = std::future::ready(()) => None,
            };
        }
        self.addresses_changed();
        if links {
            self.links_changed();
        }
        if ways {
            self.data_plane.find_ways();
        }
        self.watch_leaving();
        self.data_plane.routes_changed();
        Ok(())
    }

    pub(super) fn addresses_changed(&mut self) {
        let held = self.network.held(&addresses_of(&self.configuration));
        if self.held != held {
            self.data_plane.set_held(&held);
            self.held = held;
            self.suspend_checks();
        }
    }

    /// Attaches to the devices that there are now.
    pub(super) fn links_changed(&mut self) {
        let forwarding = std::mem::take(&mut self.forwarding);
        let entered = forwarding.run(|| self.attach_to_links());
        self.forwarding = forwarding;
        if let Err(error) = entered {
            tracing::error!("{THERE}: {error}");
        }
    }

    fn attach_to_links(&mut self) {
        let suitable = self.network.suitable();
        self.attached.retain(|index, AttachedDevice { name, .. }| {
            let stays = suitable.get(index).is_some_and(|link| link.name == *name);
            if !stays {
                self.data_plane.detach(*index);
                tracing::info!("{name}: detached");
            }
            stays
        });
        self.refused.retain(|index, _| suitable.contains_key(index));
        let links = self.network.by_index();
        for (index, link) in suitable {
            let device = Device {
                index,
                name: link.name.clone(),
            };
            if let Some(attached) = self.attached.get_mut(&index) {
                // A VLAN may have been put on it.
                if attached.fast_path == FastPath::Attached
                    && let Some(objection) = self.hook.objection(link, &links)
                {
                    self.data_plane.detach_xdp(index);
                    tracing::info!("{}: XDP detached: {objection}", device.name);
                    attached.fast_path = FastPath::Absent(objection);
                }
                continue;
            }
            match self.data_plane.attach(&device) {
                Ok(kind) => {
                    let fast_path = put_xdp(&mut self.data_plane, self.hook, &device, &links);
                    match &fast_path {
                        FastPath::Attached => {
                            tracing::info!("{}: attached (XDP, {kind})", device.name);
                        }
                        FastPath::Absent(why) => {
                            tracing::info!("{}: attached ({kind}), no XDP: {why}", device.name);
                        }
                    }
                    self.refused.remove(&index);
                    self.attached.insert(
                        index,
                        AttachedDevice {
                            name: device.name,
                            kind,
                            fast_path,
                        },
                    );
                }
                Err(error) => {
                    let words = error.to_string();
                    if self.refused.get(&index) != Some(&words) {
                        tracing::error!("{}: cannot be attached to: {words}", device.name);
                        self.refused.insert(index, words);
                    }
                }
            }
        }
        self.tell_xdp();
    }

    /// Has answers of real servers that are this host looked at, now that there may be any.
    pub(super) fn watch_leaving(&mut self) {
        let devices = self.attached.iter();
        let devices = devices.map(|(index, device)| (*index, device.name.as_str()));
        let watched = self
            .forwarding
            .run(|| self.data_plane.watch_leaving(devices));
        match watched {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{error}"),
            Err(error) => tracing::error!("{THERE}: {error}"),
        }
    }

    /// Tells XDP whom it serves and where it may send to. Some of what a driver can do changes
    /// without a word.
    pub(super) fn tell_xdp(&mut self) {
        let has_xdp = self.devices_with_xdp();
        if has_xdp.is_empty() && self.redirects.is_empty() {
            return;
        }
        let stations = hook::stations(&self.network.by_index(), &has_xdp);
        let redirects = if has_xdp.is_empty() {
            BTreeSet::new()
        } else {
            hook::redirects(&self.network.suitable(), &has_xdp)
        };
        if self.stations == stations && self.redirects == redirects {
            return;
        }
        if let Err(error) = self.data_plane.tell_xdp(&stations, &redirects) {
            tracing::error!("{error}");
            return;
        }
        (self.stations, self.redirects) = (stations, redirects);
        for neighbour in self.network_netlink.neighbours().unwrap_or_default() {
            self.confirm(&neighbour);
        }
    }

    /// XDP sends to neighbours behind the kernel's back, and so the kernel would never ask
    /// whether they are still there.
    fn confirm(&mut self, neighbour: &Neighbour) {
        if neighbour.stale && self.redirects.contains(&neighbour.interface) {
            let Neighbour {
                interface, address, ..
            } = *neighbour;
            // It may be gone; then XDP does not send to it either.
            if let Err(error) = self.network_netlink.confirm_neighbour(interface, address) {
                tracing::debug!("confirming the neighbour {address}: {error}");
            }
        }
    }

    fn devices_with_xdp(&self) -> BTreeSet<u32> {
        self.attached
            .iter()
            .filter(|(_, device)| device.fast_path == FastPath::Attached)
            .map(|(index, _)| *index)
            .collect()
    }

    /// Ends the start, and leaves nothing behind, if a device has no XDP.
    pub(super) fn insist_on_xdp(&mut self) -> Result<(), Failure> {
        let cards = self
            .attached
            .iter()
            .filter(|(index, _)| **index != LOOPBACK);
        let without = cards.map(|(_, device)| device).find_map(|device| {
            let FastPath::Absent(why) = &device.fast_path else {
                return None;
            };
            Some((device.name.clone(), why.clone()))
        });
        let Some((device, cause)) = without else {
            return Ok(());
        };
        if !self.data_plane.is_of_use() {
            let unloaded = self.forwarding.run(|| DataPlane::unload(&self.instance));
            unloaded.map_err(Failure::system(THERE))??;
        }
        Err(Failure::NoXdp { device, cause })
    }
}

/// Attaches XDP to a device, if that is to be, or takes off what an earlier director attached.
fn put_xdp(
    data_plane: &mut DataPlane,
    hook: Hook,
    device: &Device,
    links: &BTreeMap<u32, &Link>,
) -> FastPath {
    let link = links.get(&device.index);
    let objection = link.and_then(|link| hook.objection(link, links));
    if let Some(objection) = objection {
        data_plane.detach_xdp(device.index);
        return FastPath::Absent(objection);
    }
    match data_plane.attach_xdp(device) {
        Ok(()) => FastPath::Attached,
        Err(error) => FastPath::Absent(error.to_string()),
    }
}
