//! The table of services, in the maps that the programs in the kernel read.
//!
//! The pinned maps are all there is: what an operator or the configuration put there is
//! read back from them, by the next director or by `ipvsadm` without one. A service keeps
//! its slot while any of its destinations, removed ones included, is still referred to by a
//! connection.

mod access;
mod adoption;
mod check_paths;
mod defence;
mod edit;
mod endpoints;
mod entering;
mod estimates;
mod fast_path;
mod layout;
mod leaving;
mod marks;
mod member_places;
mod observation;
mod sweep;
mod sync_daemons;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use elver_core::lb::Configured;
use elver_core::metrics::TableUse;
use elver_core::service::{
    ConnectionState, DestinationState, ServiceKey, ServiceState, Statistics, SyncDaemon, SyncRole,
    Timeouts,
};
use elver_packet::host::Slice;
use elver_packet::reason::Reason;
use elver_packet::table::destination::Destination;
use elver_packet::table::settings::{
    BEHAVIOUR_WORD, LOCALITY_WORD, ON_STANDBY, SIZE_AND_EPOCH_WORD, TCP_TIMEOUTS_WORD,
    UDP_TIMEOUT_WORD, VERSION_WORD, behaviour as flags,
};
use elver_packet::table::{Words, destination, service};
use elver_sys::bpf::{Attachments, BpfError, Clock, Direction, Maps, Sizes, Totals};

use elver_sys::netlink::Netlink;

pub(crate) use access::{AccessLists, Network};
pub(crate) use adoption::Adoption;
pub(crate) use check_paths::CheckConnection;
pub(crate) use defence::{Defence, When};
pub(crate) use marks::{MOST_RULES, MarkRule};

use crate::instance::Instance;
use crate::ipvsadm::Reader;
use member_places::MemberPlaces;
use sync_daemons::SyncDaemons;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Device {
    /// Its index.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
}

/// How packets are treated where IPVS has a setting for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// Flags of [`behaviour`](elver_packet::table::settings::behaviour).
    pub(crate) flags: u32,
    /// After how long lblc and lblcr forget an address.
    pub(crate) locality_expirations: [Duration; 2],
    /// While there is a backup sync daemon, packets are left alone.
    pub(crate) backup_only: bool,
    /// What is done about floods.
    pub(crate) defence: Defence,
}

/// A service's slot, and those of its destinations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Slots {
    service: u32,
    /// Destinations that the service has, newest first.
    destinations: Vec<u32>,
    /// Destinations that were removed while connections still refer to them.
    tombstones: Vec<u32>,
}

/// What of the maps is read without writing: enough to list.
pub(crate) struct Inventory {
    maps: Maps,
    clock: Clock,
    /// Services that exist.
    services: BTreeMap<ServiceKey, Slots>,
    /// Services that were removed while connections still refer to their destinations.
    past: BTreeMap<ServiceKey, Slots>,
    sync_daemons: SyncDaemons,
}

/// The data plane of an instance, as its director sees it.
pub(crate) struct DataPlane {
    inventory: Inventory,
    attachments: Attachments,
    netlink: Netlink,
    places: MemberPlaces,
    held: BTreeSet<IpAddr>,
    access: AccessLists,
    endpoints: endpoints::Endpoints,
    check_paths: check_paths::CheckPaths,
    sequence: u32,
    /// Slots to be used next, from the end.
    free_services: Vec<u32>,
    free_destinations: Vec<u32>,
    /// Removed destinations to which nothing referred at the last look.
    unreferenced: BTreeSet<u32>,
    sweep: sweep::Sweep,
    configured: Configured,
    leaving: leaving::Leaving,
    defence: Defence,
    defending: defence::Defending,
    backup_only: bool,
}

impl Inventory {
    /// Reads what is pinned for an instance.
    ///
    /// # Errors
    /// Nothing is, or it is of another layout.
    pub(crate) fn open(instance: &Instance) -> Result<Inventory, BpfError> {
        let maps = Maps::open(instance.name())?;
        Ok(Inventory::read(maps, SyncDaemons::of(instance)))
    }

    fn read(maps: Maps, sync_daemons: SyncDaemons) -> Inventory {
        let clock = maps
            .settings()
            .map_or_else(Clock::default, Clock::from_settings);
        let mut slots: HashMap<u32, Slots> = HashMap::new();
        let mut sequences = HashMap::new();
        for id in 0..maps.destinations() {
            let Some(words) = maps.destination(id) else {
                continue;
            };
            let flags = Destination(words).heading().flags();
            // Those of checks are no service's; their director has ended.
            let of_service = flags & destination::flags::FOR_CHECKS == 0;
            if flags & destination::flags::LIVE == 0 || !of_service {
                continue;
            }
            let of = slots.entry(Destination(words).service()).or_default();
            let list = if flags & destination::flags::AVAILABLE != 0 {
                &mut of.destinations
            } else {
                &mut of.tombstones
            };
            list.push(id);
            sequences.insert(id, layout::sequence(words));
        }
        let (mut services, mut past) = (BTreeMap::new(), BTreeMap::new());
        for id in 0..maps.services() {
            let Some(words) = maps.service(id) else {
                continue;
            };
            let Some(key) = layout::service_key(words) else {
                continue;
            };
            let mut slots = slots.remove(&id).unwrap_or_default();
            slots.service = id;
            slots
                .destinations
                .sort_by_key(|id| std::cmp::Reverse(sequences.get(id).copied()));
            if layout::is_live(words) {
                services.insert(key, slots);
            } else if !slots.tombstones.is_empty() {
                past.insert(key, slots);
            }
        }
        Inventory {
            maps,
            clock,
            services,
            past,
            sync_daemons,
        }
    }

    /// Every service, in the order of their keys, its destinations newest first.
    pub(crate) fn services(&self) -> Vec<ServiceState> {
        self.services
            .iter()
            .filter_map(|(key, slots)| self.state(key, slots))
            .collect()
    }

    fn state(&self, key: &ServiceKey, slots: &Slots) -> Option<ServiceState> {
        let words = self.maps.service(slots.service)?;
        let destinations: Vec<DestinationState> = slots
            .destinations
            .iter()
            .filter_map(|id| self.destination_state(*id))
            .collect();
        let mut totals = layout::past_totals(words);
        for id in slots.destinations.iter().chain(&slots.tombstones) {
            add(&mut totals, &self.maps.totals(*id));
        }
        Some(ServiceState {
            key: *key,
            settings: layout::service_settings(words),
            origin: layout::origin(
                words.load(service::FLAGS_WORD) as u32,
                service::flags::FROM_CONFIGURATION,
            ),
            destinations,
            statistics: statistics(&totals),
            rates: estimates::of_service(&self.maps, slots),
        })
    }

    fn destination_state(&self, id: u32) -> Option<DestinationState> {
        let words = self.maps.destination(id)?;
        let destination = Destination(words);
        let (active, inactive) = destination.connections();
        Some(DestinationState {
            address: layout::destination_address(words),
            settings: layout::destination_settings(words),
            origin: layout::origin(
                destination.heading().flags(),
                destination::flags::FROM_CONFIGURATION,
            ),
            active,
            inactive,
            persistent: destination.templates(),
            handshake: layout::handshake(destination),
            statistics: statistics(&self.maps.totals(id)),
            rates: estimates::of_destination(&self.maps, id),
        })
    }

    /// How often each outcome of a packet was counted, 0 included.
    pub(crate) fn outcomes(&self) -> Vec<(String, u64)> {
        let count = |reason: &Reason| (reason.name().to_owned(), self.maps.reason(*reason));
        Reason::ALL.iter().map(count).collect()
    }

    /// How full the tables are.
    pub(crate) fn table_use(&self) -> Vec<TableUse> {
        let slots = || self.services.values().chain(self.past.values());
        let destinations = slots().map(|each| each.destinations.len() + each.tombstones.len());
        let (connections, capacity) = sweep::occupancy(&self.maps);
        let usage = |table, entries, capacity: u32| TableUse {
            table,
            entries,
            capacity: capacity.into(),
        };
        vec![
            usage("connections", connections, capacity),
            usage("services", slots().count() as u64, self.maps.services()),
            usage(
                "destinations",
                destinations.sum::<usize>() as u64,
                self.maps.destinations(),
            ),
        ]
    }

    /// Every connection, in the order of the table.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionState> + '_ {
        sweep::connections(&self.maps, self.clock)
    }

    /// How long idle connections stay.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let settings = self.maps.settings();
        let of = |word: usize| layout::timeout(settings.map_or(0, |words| words.load(word)));
        Timeouts {
            tcp: of(TCP_TIMEOUTS_WORD + usize::from(layout::ESTABLISHED)),
            tcp_fin: of(TCP_TIMEOUTS_WORD + usize::from(layout::FIN_WAIT)),
            udp: of(UDP_TIMEOUT_WORD),
        }
    }
}

impl Reader for Inventory {
    fn services(&self) -> Vec<ServiceState> {
        Inventory::services(self)
    }

    fn connections(&self) -> Box<dyn Iterator<Item = ConnectionState> + '_> {
        Box::new(Inventory::connections(self))
    }

    fn timeouts(&self) -> Timeouts {
        Inventory::timeouts(self)
    }

    fn sync_daemons(&self) -> Vec<SyncDaemon> {
        self.sync_daemons.all().to_vec()
    }
}

impl DataPlane {
    /// Loads the programs over the instance's maps: new ones, or those that an earlier
    /// director left, with their services and connections.
    ///
    /// # Errors
    /// The kernel refuses or lacks something, or the maps are of another layout.
    pub(crate) fn open(
        instance: &Instance,
        sizes: Sizes,
        netlink: Netlink,
    ) -> Result<DataPlane, BpfError> {
        let (maps, attachments) = elver_sys::bpf::load(instance.name(), sizes)?;
        let inventory = Inventory::read(maps, SyncDaemons::of(instance));
        inventory.sync_daemons.tell();
        layout::set_default_timeouts(&inventory.maps, inventory.clock);
        let sequence = inventory.highest_sequence();
        let (free_services, free_destinations) = inventory.free_slots();
        let configured = Configured::of_table(&inventory.services());
        let places = MemberPlaces::read(
            &inventory.maps,
            inventory.services.values().chain(inventory.past.values()),
        );
        let mut data_plane = DataPlane {
            inventory,
            attachments,
            netlink,
            places,
            held: BTreeSet::new(),
            access: AccessLists::default(),
            endpoints: endpoints::Endpoints::default(),
            check_paths: check_paths::CheckPaths::default(),
            sequence,
            free_services,
            free_destinations,
            unreferenced: BTreeSet::new(),
            sweep: sweep::Sweep::default(),
            configured,
            leaving: leaving::Leaving::default(),
            defence: Defence::default(),
            defending: defence::Defending::default(),
            backup_only: false,
        };
        data_plane.find_ways();
        data_plane.collect_endpoints()?;
        Ok(data_plane)
    }

    /// Every service, in the order of their keys, its destinations newest first.
    pub(crate) fn services(&self) -> Vec<ServiceState> {
        self.inventory.services()
    }

    /// What the configuration has put there.
    pub(crate) fn configured(&self) -> &Configured {
        &self.configured
    }

    /// The sync daemons whose settings are kept.
    pub(crate) fn sync_daemons(&self) -> &[SyncDaemon] {
        self.inventory.sync_daemons.all()
    }

    /// The maps, to be read.
    pub(crate) fn maps(&self) -> &Maps {
        &self.inventory.maps
    }

    /// What became of packets, by name, where it happened at all.
    pub(crate) fn packets(&self) -> Vec<(String, u64)> {
        let mut outcomes = self.inventory.outcomes();
        outcomes.retain(|(_, count)| *count != 0);
        outcomes
    }

    /// Tells which addresses are this host's. A service takes packets while its address is
    /// one of them.
    pub(crate) fn set_held(&mut self, addresses: &BTreeSet<IpAddr>) {
        self.held.clone_from(addresses);
        for (key, slots) in &self.inventory.services {
            layout::set_held(&self.inventory.maps, slots, self.holds(key));
        }
    }

    fn holds(&self, key: &ServiceKey) -> bool {
        // Packets with a mark can have any address; the programs ask for each.
        key.virtual_address()
            .is_none_or(|address| self.held.contains(&address.ip()))
    }

    /// Has packets treated so from now on.
    pub(crate) fn set_behaviour(&mut self, behaviour: &Behaviour) {
        let all = !flags::SECURE_TCP;
        self.replace_behaviour(all.into(), behaviour.flags.into());
        self.defence = behaviour.defence;
        self.backup_only = behaviour.backup_only;
        self.stand_by();
        let [lblc, lblcr] = behaviour
            .locality_expirations
            .map(|time| u64::from(self.inventory.clock.ticks(time)));
        if let Some(settings) = self.inventory.maps.settings() {
            settings.store(LOCALITY_WORD, lblc | lblcr << 32);
        }
    }

    /// Has the programs leave packets alone, or look at them again, whichever is due.
    fn stand_by(&self) {
        let is_backup = self.inventory.sync_daemons.has(SyncRole::Backup);
        if let Some(settings) = self.inventory.maps.settings() {
            let version = settings.load(VERSION_WORD) & !ON_STANDBY;
            let standby = if self.backup_only && is_backup {
                ON_STANDBY
            } else {
                0
            };
            settings.exchange(VERSION_WORD, version | standby);
        }
    }

    /// Replaces what the settings' word of behaviour has in the places of `mask`.
    fn replace_behaviour(&self, mask: u64, bits: u64) {
        if let Some(settings) = self.inventory.maps.settings() {
            let others = settings.load(BEHAVIOUR_WORD) & !mask;
            settings.exchange(BEHAVIOUR_WORD, others | bits);
        }
    }

    /// Attaches to a device; gives the kind of attachment.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn attach(&mut self, device: &Device) -> Result<&'static str, BpfError> {
        let (index, name) = (device.index, &device.name);
        let attachment = self.attachments.attach(index, name, Direction::Arriving)?;
        if self.leaving.is_watched {
            self.watch_leaving_by(index, name)?;
        } else {
            // What an earlier director may have needed.
            self.attachments.detach_from(index, Direction::Leaving)?;
        }
        Ok(attachment.name())
    }

    /// Ends the programs of earlier directors, once no device has them any more.
    pub(crate) fn end_succeeded(&mut self) {
        if let Err(error) = self.attachments.end_succeeded() {
            tracing::warn!("{error}");
        }
    }

    /// Takes the data plane off a device.
    pub(crate) fn detach(&mut self, index: u32) {
        if let Err(error) = self.attachments.detach(index) {
            tracing::warn!("{error}");
        }
    }

    /// Finds the ways to all real servers anew.
    pub(crate) fn find_ways(&mut self) {
        let all = self
            .inventory
            .services
            .values()
            .chain(self.inventory.past.values());
        for id in all.flat_map(|slots| slots.destinations.iter().chain(&slots.tombstones)) {
            if let Some(words) = self.inventory.maps.destination(*id) {
                find_way(&mut self.netlink, words);
                self.leaving.look_at(words);
            }
        }
    }

    /// Next hops that connections remember are void: a route, neighbour or link changed.
    pub(crate) fn routes_changed(&mut self) {
        if let Some(settings) = self.inventory.maps.settings() {
            settings.fetch_add(SIZE_AND_EPOCH_WORD, 1 << 32);
        }
    }

    /// Whether there is anything that would be lost if it were unloaded: services, or sync
    /// daemons.
    pub(crate) fn is_of_use(&self) -> bool {
        !self.inventory.services.is_empty() || !self.inventory.sync_daemons.all().is_empty()
    }

    /// Removes every pin and filter of an instance; works without a director. Names what
    /// was removed.
    ///
    /// # Errors
    /// What could not be removed.
    pub(crate) fn unload(instance: &Instance) -> Result<Vec<String>, BpfError> {
        if let Err(error) = SyncDaemons::forget(instance) {
            tracing::warn!("the record of sync daemons cannot be removed: {error}");
        }
        elver_sys::bpf::unload(instance.name())
    }
}

impl Inventory {
    /// Slots of services and destinations that are not in use, the lowest last.
    fn free_slots(&self) -> (Vec<u32>, Vec<u32>) {
        let all = || self.services.values().chain(self.past.values());
        let services: BTreeSet<u32> = all().map(|slots| slots.service).collect();
        let destinations: BTreeSet<u32> = all()
            .flat_map(|slots| slots.destinations.iter().chain(&slots.tombstones))
            .copied()
            .collect();
        let free = |count: u32, used: &BTreeSet<u32>| {
            (0..count).rev().filter(|id| !used.contains(id)).collect()
        };
        (
            free(self.maps.services(), &services),
            free(self.maps.destinations(), &destinations),
        )
    }

    fn highest_sequence(&self) -> u32 {
        let all = self.services.values().chain(self.past.values());
        let ids = all.flat_map(|slots| slots.destinations.iter().chain(&slots.tombstones));
        ids.filter_map(|id| Some(layout::sequence(self.maps.destination(*id)?)))
            .max()
            .unwrap_or(0)
    }

    /// The destination of a service that has this address.
    fn destination_at(&self, ids: &[u32], address: SocketAddr) -> Option<u32> {
        let at = |id: u32| Some(layout::destination_address(self.maps.destination(id)?));
        ids.iter().copied().find(|id| at(*id) == Some(address))
    }
}

/// Writes how packets get to a destination, as the host's routes have it now.
fn find_way(netlink: &mut Netlink, words: Slice<'_>) {
    let address = layout::destination_address(words).ip();
    match netlink.route_to(address) {
        Ok(route) => layout::write_way(words, route),
        Err(error) => tracing::warn!("cannot ask for the route to {address}: {error}"),
    }
}

fn add(sum: &mut Totals, part: &Totals) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum = sum.wrapping_add(*part);
    }
}

fn statistics(totals: &Totals) -> Statistics {
    let [connections, packets_in, packets_out, bytes_in, bytes_out] = *totals;
    Statistics {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
    }
}
