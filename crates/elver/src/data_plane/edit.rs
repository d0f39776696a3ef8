//! Changes of the table of services.
//!
//! A program may run between any two stores: a service or destination is complete before
//! anything leads to it, and led to no longer before it changes hands.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use elver_core::edit_rules::{self, EditedTable};

use elver_core::service::{
    DestinationSettings, Edit, EditError, Family, Origin, ServiceKey, ServiceSettings,
    SyncDaemonSettings, SyncRole, Timeouts,
};
use elver_packet::schedule::list::member_list;
use elver_packet::table::destination::Destination;
use elver_packet::table::service::Service;
use elver_packet::table::settings::{TCP_TIMEOUTS_WORD, UDP_TIMEOUT_WORD};
use elver_packet::table::{Words, destination, service};
use elver_sys::bpf::BpfError;

use super::{DataPlane, Inventory, Slots, add, estimates, layout};

impl EditedTable for DataPlane {
    fn has_service(&self, service: &ServiceKey) -> bool {
        self.inventory.services.contains_key(service)
    }

    fn has_destination(&self, service: &ServiceKey, address: SocketAddr) -> bool {
        let slots = self.inventory.services.get(service);
        slots.is_some_and(|slots| {
            self.inventory
                .destination_at(&slots.destinations, address)
                .is_some()
        })
    }

    fn has_mixed_families(&self) -> bool {
        let family_of = |id: &u32| {
            let words = self.inventory.maps.destination(*id)?;
            Some(Family::of(layout::destination_address(words).ip()))
        };
        self.inventory.services.iter().any(|(key, slots)| {
            let mut families = slots.destinations.iter().filter_map(family_of);
            families.any(|family| family != key.family())
        })
    }

    fn has_sync_daemon(&self, role: SyncRole) -> bool {
        self.inventory.sync_daemons.has(role)
    }

    fn has_interface(&self, name: &str) -> bool {
        elver_sys::names::index_of_interface(name).is_some()
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.held.contains(&address)
    }
}

impl DataPlane {
    /// Makes a change of an operator's, or refuses it and changes nothing.
    ///
    /// # Errors
    /// Those of `ipvsadm`, a table that is full, or what this data plane cannot do.
    pub(crate) fn apply(&mut self, edit: &Edit) -> Result<(), EditError> {
        self.make(edit, Origin::Operator)
    }

    /// Makes a change of the configuration's. A destination that was taken away by an operator
    /// comes back with the settings that the configuration now has for it, as with keepalived.
    ///
    /// # Errors
    /// As of [`DataPlane::apply`]; also where an operator was faster.
    pub(crate) fn configure(&mut self, edit: &Edit) -> Result<(), EditError> {
        let outcome = match (edit, self.make(edit, Origin::Configuration)) {
            (
                &Edit::EditDestination {
                    service,
                    address,
                    settings,
                },
                Err(EditError::NoSuchDestination),
            ) => {
                let again = Edit::AddDestination {
                    service,
                    address,
                    settings,
                };
                self.make(&again, Origin::Configuration)
            }
            (_, outcome) => outcome,
        };
        self.configured.record(edit, &outcome);
        outcome
    }

    fn make(&mut self, edit: &Edit, origin: Origin) -> Result<(), EditError> {
        edit_rules::check(edit, self)?;
        let result = self.carry_out(edit, origin);
        self.tell_marks();
        result
    }

    fn carry_out(&mut self, edit: &Edit, origin: Origin) -> Result<(), EditError> {
        match edit {
            Edit::AddService { service, settings } => {
                self.add_service(service, settings, origin)?;
                self.tell_of_service(service).map_err(system)?;
                self.write_access().map_err(system)
            }
            Edit::EditService { service, settings } => self.edit_service(service, settings),
            Edit::RemoveService { service } => {
                self.endpoint_may_go();
                self.remove_service(service)
            }
            Edit::AddDestination {
                service,
                address,
                settings,
            } => {
                self.add_destination(service, *address, settings, origin)?;
                self.tell_of_real_server(service, *address, settings)
                    .map_err(system)
            }
            Edit::EditDestination {
                service,
                address,
                settings,
            } => {
                self.edit_destination(service, *address, settings)?;
                self.endpoint_may_go();
                self.tell_of_real_server(service, *address, settings)
                    .map_err(system)
            }
            Edit::RemoveDestination { service, address } => {
                self.endpoint_may_go();
                self.remove_destination(service, *address)
            }
            Edit::Flush => {
                self.endpoint_may_go();
                let keys: Vec<ServiceKey> = self.inventory.services.keys().copied().collect();
                keys.iter().try_for_each(|key| self.remove_service(key))
            }
            Edit::Zero { service } => self.zero(service.as_ref()),
            Edit::SetTimeouts(timeouts) => {
                self.set_timeouts(self.inventory.timeouts().changed_by(*timeouts));
                Ok(())
            }
            Edit::StartSyncDaemon(settings) => {
                self.start_sync_daemon(settings)?;
                self.stand_by();
                Ok(())
            }
            Edit::StopSyncDaemon { role } => {
                let stopped = self.inventory.sync_daemons.stop(*role);
                stopped.map_err(not_recorded)?;
                self.stand_by();
                Ok(())
            }
        }
    }

    fn add_service(
        &mut self,
        key: &ServiceKey,
        settings: &ServiceSettings,
        origin: Origin,
    ) -> Result<(), EditError> {
        // A service that comes back finds its slot, and so the connections of destinations
        // that come back with it.
        let slots = match self.inventory.past.remove(key) {
            Some(slots) => slots,
            None => Slots {
                service: self.free_service()?,
                ..Slots::default()
            },
        };
        let held = self.holds(key);
        let words = self.inventory.maps.service_words(slots.service)?;
        for word in [
            service::MEMBERS_WORD,
            service::CURSOR_WORD,
            service::ROOM_WORD,
            service::SCHEDULER_WORD,
        ] {
            words.store(word, 0);
        }
        layout::write_service(words, key, settings, origin, held, self.inventory.clock);
        warn_of_engine(key, settings);
        // Its statistics begin anew, those of destinations that come back as well (`ip_vs_zero_stats`
        // in the kernel).
        self.inventory.clear_statistics(&slots)?;
        self.places.release(slots.service);
        self.inventory
            .maps
            .index_service(&layout::index_key(key), slots.service)
            .map_err(system)?;
        self.inventory.services.insert(*key, slots);
        Ok(())
    }

    fn edit_service(
        &mut self,
        key: &ServiceKey,
        settings: &ServiceSettings,
    ) -> Result<(), EditError> {
        let slots = self
            .inventory
            .services
            .get(key)
            .ok_or(EditError::NoSuchService)?;
        let words = self.inventory.maps.service_words(slots.service)?;
        let flags = words.load(service::FLAGS_WORD) as u32;
        let origin = layout::origin(flags, service::flags::FROM_CONFIGURATION);
        let held = flags & service::flags::HELD != 0;
        let scheduler = layout::scheduler_number(settings.scheduler);
        check_count(scheduler, slots.destinations.len())?;
        if Service(words).scheduler() != scheduler {
            self.publish_members(key, scheduler)?;
        }
        let words = self
            .inventory
            .maps
            .service_words(self.slots(key)?.service)?;
        layout::write_service(words, key, settings, origin, held, self.inventory.clock);
        warn_of_engine(key, settings);
        Ok(())
    }

    fn remove_service(&mut self, key: &ServiceKey) -> Result<(), EditError> {
        let Some(mut slots) = self.inventory.services.remove(key) else {
            return Err(EditError::NoSuchService);
        };
        self.inventory
            .maps
            .unindex_service(&layout::index_key(key))
            .map_err(system)?;
        let words = self.inventory.maps.service_words(slots.service)?;
        layout::change_flags(words, 0, service::flags::LIVE | service::flags::HELD);
        words.exchange(service::MEMBERS_WORD, 0);
        for id in std::mem::take(&mut slots.destinations) {
            layout::change_flags(
                self.inventory.maps.destination_words(id)?,
                0,
                destination::flags::AVAILABLE,
            );
            slots.tombstones.push(id);
        }
        self.places.release(slots.service);
        words.store(service::ROOM_WORD, 0);
        self.inventory.past.insert(*key, slots);
        Ok(())
    }

    fn add_destination(
        &mut self,
        key: &ServiceKey,
        address: SocketAddr,
        settings: &DestinationSettings,
        origin: Origin,
    ) -> Result<(), EditError> {
        let slots = self
            .inventory
            .services
            .get(key)
            .ok_or(EditError::ServiceNotDefined)?;
        let service_id = slots.service;
        let scheduler = self.scheduler(slots)?;
        check_count(scheduler, slots.destinations.len() + 1)?;
        let held = self.holds(key);
        // One that was removed and comes back has its connections and totals again.
        let revived = self.inventory.destination_at(&slots.tombstones, address);
        let id = match revived {
            Some(id) => id,
            None => self.free_destination()?,
        };
        if revived.is_none() {
            self.inventory.maps.clear_totals(id).map_err(system)?;
            estimates::clear(&self.inventory.maps, id);
            layout::write_destination(
                self.inventory.maps.destination_words(id)?,
                service_id,
                address,
            );
        }
        let words = self.inventory.maps.destination_words(id)?;
        self.sequence = self.sequence.wrapping_add(1);
        layout::write_first_destination_settings(words, settings, self.sequence);
        super::find_way(&mut self.netlink, words);
        self.leaving.look_at(words);
        let mut flags = destination::flags::LIVE | destination::flags::AVAILABLE;
        if held {
            flags |= destination::flags::HELD;
        }
        if origin == Origin::Configuration {
            flags |= destination::flags::FROM_CONFIGURATION;
        }
        layout::change_flags(
            words,
            flags,
            destination::flags::FROM_CONFIGURATION & !flags,
        );
        if let Some(slots) = self.inventory.services.get_mut(key) {
            slots.tombstones.retain(|tombstone| *tombstone != id);
            slots.destinations.insert(0, id);
        }
        self.publish_members(key, scheduler).inspect_err(|_| {
            // There is no room for it in a member list: all is as it was.
            if let Some(words) = self.inventory.maps.destination(id) {
                let gone = if revived.is_some() {
                    destination::flags::AVAILABLE
                } else {
                    u32::MAX
                };
                layout::change_flags(words, 0, gone);
            }
            if let Some(slots) = self.inventory.services.get_mut(key) {
                slots.destinations.retain(|member| *member != id);
                if revived.is_some() {
                    slots.tombstones.push(id);
                } else {
                    self.free_destinations.push(id);
                }
            }
        })
    }

    fn edit_destination(
        &mut self,
        key: &ServiceKey,
        address: SocketAddr,
        settings: &DestinationSettings,
    ) -> Result<(), EditError> {
        let slots = self
            .inventory
            .services
            .get(key)
            .ok_or(EditError::ServiceNotDefined)?;
        let id = self
            .inventory
            .destination_at(&slots.destinations, address)
            .ok_or(EditError::NoSuchDestination)?;
        let scheduler = self.scheduler(slots)?;
        let words = self.inventory.maps.destination_words(id)?;
        layout::write_destination_settings(words, settings, layout::sequence(words));
        self.leaving.look_at(words);
        self.publish_members(key, scheduler)
    }

    fn remove_destination(
        &mut self,
        key: &ServiceKey,
        address: SocketAddr,
    ) -> Result<(), EditError> {
        let slots = self
            .inventory
            .services
            .get(key)
            .ok_or(EditError::ServiceNotDefined)?;
        let id = self
            .inventory
            .destination_at(&slots.destinations, address)
            .ok_or(EditError::NoSuchDestination)?;
        let scheduler = self.scheduler(slots)?;
        if let Some(slots) = self.inventory.services.get_mut(key) {
            slots.destinations.retain(|member| *member != id);
            slots.tombstones.push(id);
        }
        self.publish_members(key, scheduler)?;
        layout::change_flags(
            self.inventory.maps.destination_words(id)?,
            0,
            destination::flags::AVAILABLE,
        );
        Ok(())
    }

    pub(super) fn slots(&self, key: &ServiceKey) -> Result<&Slots, EditError> {
        self.inventory
            .services
            .get(key)
            .ok_or(EditError::NoSuchService)
    }

    fn scheduler(&self, slots: &Slots) -> Result<u8, EditError> {
        let words = self.inventory.maps.service_words(slots.service)?;
        Ok(Service(words).scheduler())
    }

    /// Writes the member list from which a scheduler chooses.
    fn publish_members(&mut self, key: &ServiceKey, scheduler: u8) -> Result<(), EditError> {
        let slots = self.slots(key)?;
        let service_id = slots.service;
        let mut candidates = Vec::with_capacity(slots.destinations.len());
        for id in &slots.destinations {
            let words = self.inventory.maps.destination_words(*id)?;
            candidates.push(layout::candidate(*id, words));
        }
        let list = member_list(scheduler, &candidates);
        if self
            .places
            .write(&self.inventory.maps, service_id, scheduler, &list)
        {
            return Ok(());
        }
        Err(full(
            "the table of member lists",
            self.inventory.maps.member_places(),
        ))
    }

    fn zero(&mut self, only: Option<&ServiceKey>) -> Result<(), EditError> {
        if let Some(key) = only
            && !self.inventory.services.contains_key(key)
        {
            return Err(EditError::NoSuchService);
        }
        let services = self.inventory.services.iter();
        let chosen: Vec<Slots> = services
            .filter(|(key, _)| only.is_none_or(|only| only == *key))
            .map(|(_, slots)| slots.clone())
            .collect();
        for slots in &chosen {
            self.inventory.clear_statistics(slots)?;
        }
        Ok(())
    }

    fn start_sync_daemon(&mut self, settings: &SyncDaemonSettings) -> Result<(), EditError> {
        let links = self
            .netlink
            .links()
            .map_err(|error| EditError::System(format!("reading interfaces: {error}")))?;
        let mut links = links.iter();
        let link = links
            .find(|link| link.name == settings.interface)
            .ok_or(EditError::NoSuchDevice)?;
        let daemons = &mut self.inventory.sync_daemons;
        daemons
            .start(settings.resolve(link.mtu))
            .map_err(not_recorded)?;
        daemons.tell();
        Ok(())
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) {
        let Some(settings) = self.inventory.maps.settings() else {
            return;
        };
        let clock = self.inventory.clock;
        let tcp = |state: u8| TCP_TIMEOUTS_WORD + usize::from(state);
        settings.store(
            tcp(layout::ESTABLISHED),
            layout::timeout_word(clock, timeouts.tcp),
        );
        settings.store(
            tcp(layout::FIN_WAIT),
            layout::timeout_word(clock, timeouts.tcp_fin),
        );
        settings.store(UDP_TIMEOUT_WORD, layout::timeout_word(clock, timeouts.udp));
    }

    /// Gives the slots of removed destinations back that no connection refers to any more,
    /// and those of removed services without such destinations.
    ///
    /// Only at the second look: a program that has just chosen a destination may be about
    /// to count a connection there.
    pub(super) fn bury(&mut self) {
        let inventory = &mut self.inventory;
        let maps = &mut inventory.maps;
        let mut unreferenced = BTreeSet::new();
        for slots in inventory
            .services
            .values_mut()
            .chain(inventory.past.values_mut())
        {
            let service_id = slots.service;
            slots.tombstones.retain(|id| {
                let Some(words) = maps.destination(*id) else {
                    return false;
                };
                let destination = Destination(words);
                if destination.connections() != (0, 0) || destination.templates() != 0 {
                    return true;
                }
                if !self.unreferenced.contains(id) {
                    unreferenced.insert(*id);
                    return true;
                }
                layout::change_flags(words, 0, u32::MAX);
                // The service keeps what the destination counted.
                if let Some(words) = maps.service(service_id) {
                    let mut past = layout::past_totals(words);
                    add(&mut past, &maps.totals(*id));
                    layout::write_past_totals(words, &past);
                }
                self.free_destinations.push(*id);
                false
            });
        }
        inventory.past.retain(|_, slots| {
            if slots.tombstones.is_empty() {
                self.free_services.push(slots.service);
            }
            !slots.tombstones.is_empty()
        });
        self.unreferenced = unreferenced;
    }

    fn free_service(&mut self) -> Result<u32, EditError> {
        let capacity = self.inventory.maps.services();
        self.free_services.pop().ok_or_else(|| {
            full(
                "the table of virtual services (`services` in elver.toml)",
                capacity,
            )
        })
    }

    pub(super) fn free_destination(&mut self) -> Result<u32, EditError> {
        let capacity = self.inventory.maps.destinations();
        self.free_destinations.pop().ok_or_else(|| {
            full(
                "the table of destinations (`destinations` in elver.toml)",
                capacity,
            )
        })
    }
}

/// Says what becomes of a persistence engine, which can be named but does nothing here.
fn warn_of_engine(key: &ServiceKey, settings: &ServiceSettings) {
    if let Some(engine) = &settings.persistence_engine {
        tracing::warn!(
            "{key}: the persistence engine {engine} is not there yet; clients are told apart by their address"
        );
    }
}

/// Refuses more destinations than a scheduler can compare.
fn check_count(scheduler: u8, count: usize) -> Result<(), EditError> {
    match layout::most_destinations(scheduler) {
        Some(most) if count > most as usize => Err(full(
            "the list of destinations that the service's scheduler compares",
            most,
        )),
        _ => Ok(()),
    }
}

fn full(table: &str, capacity: u32) -> EditError {
    EditError::Full {
        table: table.to_owned(),
        capacity,
    }
}

fn not_recorded(error: io::Error) -> EditError {
    EditError::System(format!("the record of sync daemons: {error}"))
}

pub(super) fn system(error: BpfError) -> EditError {
    EditError::System(error.to_string())
}

/// Entries that are there because their ids came from the maps.
pub(super) trait Slot {
    fn service_words(&self, id: u32) -> Result<elver_packet::host::Slice<'_>, EditError>;
    fn destination_words(&self, id: u32) -> Result<elver_packet::host::Slice<'_>, EditError>;
}

impl Slot for elver_sys::bpf::Maps {
    fn service_words(&self, id: u32) -> Result<elver_packet::host::Slice<'_>, EditError> {
        self.service(id)
            .ok_or_else(|| EditError::System(format!("there is no service slot {id}")))
    }

    fn destination_words(&self, id: u32) -> Result<elver_packet::host::Slice<'_>, EditError> {
        self.destination(id)
            .ok_or_else(|| EditError::System(format!("there is no destination slot {id}")))
    }
}

impl Inventory {
    /// Lets the statistics of a service, and of all destinations that it has or had, begin anew.
    fn clear_statistics(&mut self, slots: &Slots) -> Result<(), EditError> {
        let words = self.maps.service_words(slots.service)?;
        layout::write_past_totals(words, &Default::default());
        for id in slots.destinations.iter().chain(&slots.tombstones) {
            self.maps.clear_totals(*id).map_err(system)?;
            estimates::zero(&self.maps, *id);
        }
        Ok(())
    }
}
