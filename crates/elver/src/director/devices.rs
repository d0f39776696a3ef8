//! The part of the director that follows the devices and addresses of the host, and puts
//! the data plane on them.

use elver_sys::netlink::{NetlinkEvent, NetlinkEvents};

use super::Director;
use crate::data_plane::Device;
use crate::failure::Failure;

impl Director {
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
            self.network
                .follow(event, &mut self.netlink)
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
        self.data_plane.routes_changed();
        Ok(())
    }

    pub(super) fn addresses_changed(&mut self) {
        let held = self.network.held();
        if self.held != held {
            self.data_plane.set_held(&held);
            self.held = held;
            self.suspend_checks();
        }
    }

    pub(super) fn links_changed(&mut self) {
        let suitable = self.network.suitable();
        self.attached.retain(|index, (name, _)| {
            let stays = suitable.get(index).is_some_and(|link| link.name == *name);
            if !stays {
                self.data_plane.detach(*index);
                tracing::info!("{name}: detached");
            }
            stays
        });
        self.refused.retain(|index, _| suitable.contains_key(index));
        for (index, link) in suitable {
            if self.attached.contains_key(&index) {
                continue;
            }
            let device = Device {
                index,
                name: link.name.clone(),
            };
            match self.data_plane.attach(&device) {
                Ok(kind) => {
                    tracing::info!("{}: attached ({kind})", device.name);
                    self.refused.remove(&index);
                    self.attached.insert(index, (device.name, kind));
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
    }
}
