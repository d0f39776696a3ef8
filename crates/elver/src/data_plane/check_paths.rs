//! The way of checks that go as clients' packets do (`check_path forwarding`).
//!
//! Such a check is a connection from this host to a virtual address. Before its first packet
//! it is entered in the connection table, bound to the one real server that it is for, as if
//! a scheduler had chosen that one: so its packets are forwarded like those of clients on this
//! host, by the same programs. Two things are different:
//!
//! - It is bound to a destination of its own, which is in no member list. So it is there
//!   while the real server is taken out, no client comes there, and what checks do is counted
//!   for nobody.
//! - Answers by direct routing and from tunnels come from the virtual address, which the stack
//!   of a host that holds it does not take. So there is an entry for answers as of NAT, which
//!   leaves the addresses as they are and brings the packet to the client on this host.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use elver_core::check::CheckName;
use elver_core::service::{DestinationSettings, EditError, ServiceKey};
use elver_packet::family::{V4, V6};
use elver_packet::table::connection::{flags, reclaim_seen};
use elver_packet::table::destination::{self, Destination};

use super::edit::{Slot, system};
use super::entering::{Opening, enter};
use super::{DataPlane, find_way, layout};

/// The state of a connection before its first packet.
const FIRST_STATE: u8 = 0;

/// What is in the tables for checks.
#[derive(Default)]
pub(super) struct CheckPaths {
    /// The destinations of real servers, by their services.
    destinations: BTreeMap<(ServiceKey, SocketAddr), u32>,
    /// The last connection of each check: its entry and the entry's generation.
    connections: BTreeMap<CheckName, (u32, u16)>,
}

/// A connection of a check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckConnection {
    /// IP protocol number.
    pub(crate) protocol: u8,
    /// The address and port that it comes from.
    pub(crate) from: SocketAddr,
    /// The virtual address and the port that it goes to.
    pub(crate) to: SocketAddr,
}

impl DataPlane {
    /// Whether packets to the service's virtual address are forwarded here.
    pub(crate) fn forwards(&self, service: &ServiceKey) -> bool {
        self.inventory.services.contains_key(service) && self.holds(service)
    }

    /// Leads a connection that a check is about to make to its real server. Whether it is
    /// led: a real server on this host gets its packets from the stack.
    ///
    /// # Errors
    /// A table is full, or others are changing it at the same place.
    pub(crate) fn lead(
        &mut self,
        check: &CheckName,
        settings: &DestinationSettings,
        connection: CheckConnection,
    ) -> Result<bool, EditError> {
        let id = self.check_destination(check, settings)?;
        if let Some((index, generation)) = self.check_paths.connections.remove(check) {
            reclaim_seen(&self.maps(), index, generation);
        }
        let maps = &self.inventory.maps;
        let destination = Destination(maps.destination_words(id)?);
        if destination.heading().flags() & destination::flags::LOCAL != 0 {
            return Ok(false);
        }
        let clock = self.inventory.clock;
        let opening = Opening {
            protocol: connection.protocol,
            from: connection.from,
            to: connection.to,
            answered_from: Some(connection.to),
            destination: id,
            state: FIRST_STATE,
            flags: flags::CLIENT_HERE,
            expires_in: None,
            replaces: true,
        };
        let entered = match connection.from {
            SocketAddr::V4(_) => enter::<V4>(maps, clock, &opening, None),
            SocketAddr::V6(_) => enter::<V6>(maps, clock, &opening, None),
        };
        let entered = entered.ok_or_else(|| {
            EditError::System("the connection table has no place for it just now".to_owned())
        })?;
        self.check_paths.connections.insert(*check, entered);
        Ok(true)
    }

    /// The destination for checks of a real server, as the configuration and the host's
    /// routes have it now.
    fn check_destination(
        &mut self,
        check: &CheckName,
        settings: &DestinationSettings,
    ) -> Result<u32, EditError> {
        let service = self.slots(&check.service)?.service;
        let key = (check.service, check.real_server);
        let id = match self.check_paths.destinations.get(&key) {
            Some(id) => *id,
            None => {
                let id = self.free_destination()?;
                let words = self.inventory.maps.destination_words(id)?;
                layout::write_destination(words, service, check.real_server);
                self.check_paths.destinations.insert(key, id);
                id
            }
        };
        let words = self.inventory.maps.destination_words(id)?;
        // Whoever drains a real server still wants to know whether it is well.
        let settings = DestinationSettings {
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            ..*settings
        };
        layout::write_first_destination_settings(words, &settings, 0);
        find_way(&mut self.netlink, words);
        let flags = destination::flags::LIVE
            | destination::flags::AVAILABLE
            | destination::flags::HELD
            | destination::flags::FOR_CHECKS;
        layout::change_flags(words, flags, 0);
        Ok(id)
    }

    /// Takes out what is there for checks that are no more.
    ///
    /// # Errors
    /// The totals of a slot cannot be cleared.
    pub(crate) fn end_check_paths(
        &mut self,
        goes_on: impl Fn(&CheckName) -> bool,
    ) -> Result<(), EditError> {
        let maps = &self.inventory.maps;
        let paths = &mut self.check_paths;
        paths.connections.retain(|check, (index, generation)| {
            let stays = goes_on(check);
            if !stays {
                reclaim_seen(&maps, *index, *generation);
            }
            stays
        });
        let used = |key: &(ServiceKey, SocketAddr)| {
            let mut checks = paths.connections.keys();
            checks.any(|check| (check.service, check.real_server) == *key)
        };
        let gone: Vec<_> = paths
            .destinations
            .keys()
            .filter(|key| !used(key))
            .copied()
            .collect();
        for key in gone {
            if let Some(id) = self.check_paths.destinations.remove(&key) {
                let words = self.inventory.maps.destination_words(id)?;
                layout::change_flags(words, 0, u32::MAX);
                self.inventory.maps.clear_totals(id).map_err(system)?;
                self.free_destinations.push(id);
            }
        }
        Ok(())
    }
}
