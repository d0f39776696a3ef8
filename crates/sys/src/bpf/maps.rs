//! The maps of an instance, mapped into this process.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use aya::maps::lpm_trie::{self, LpmTrie};
use aya::maps::{HashMap, Map, MapData, MapType, PerCpuArray};
use elver_packet::host::{Slice, entry};
use elver_packet::reason::Reason;
use elver_packet::table::access::{ADDRESS_BITS, Access, AccessKey};
use elver_packet::table::fragment::{Endpoint, FragmentKey, Remembered};
use elver_packet::table::locality::LocalityKey;
use elver_packet::table::service::ServiceKey;
use elver_packet::table::settings::VERSION_WORD;
use elver_packet::table::{
    LAYOUT_VERSION, Tables, Traffic, connection, destination, mark, service, settings,
};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::time::{ClockId, clock_gettime};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{BpfError, directory};

/// The totals of a destination: connections, packets in, out, octets in, out.
pub type Totals = [u64; destination::STATISTICS_WORDS];

/// The octets of a key of the index of services.
type KeyOctets = [u8; size_of::<ServiceKey>()];

/// The octets of what tells the fragments of a packet from all others.
type FragmentOctets = [u8; size_of::<FragmentKey>()];

/// The octets of an end of connections.
type EndpointOctets = [u8; size_of::<Endpoint>()];

/// The octets of a key of the lists of access.
type AccessOctets = [u8; size_of::<AccessKey>()];

/// A network in the lists of access: a service's id or
/// [`EVERY_SERVICE`](elver_packet::table::access::EVERY_SERVICE), the family, the network, and
/// the length of its prefix.
pub type AccessNetwork = (AccessKey, u32);

/// The maps of an instance.
pub struct Maps {
    settings: Mapping,
    services: Mapping,
    mark_rules: Mapping,
    members: Mapping,
    destinations: Mapping,
    estimates: Mapping,
    connections: Mapping,
    index: HashMap<MapData, KeyOctets, u32>,
    access: LpmTrie<MapData, AccessOctets, u32>,
    fragments: HashMap<MapData, FragmentOctets, u64>,
    endpoints: HashMap<MapData, EndpointOctets, u32>,
    statistics: PerCpuArray<MapData, Totals>,
    reasons: PerCpuArray<MapData, u64>,
}

impl Maps {
    /// Opens what is pinned for the instance.
    ///
    /// # Errors
    /// Nothing is pinned, its layout is another one, or the kernel refuses.
    pub fn open(instance: &str) -> Result<Maps, BpfError> {
        let directory = directory(instance);
        if !directory.join("SETTINGS").exists() {
            return Err(BpfError::NotLoaded(instance.to_owned()));
        }
        refuse_other_layouts(instance)?;
        let pin = |name: &str| pinned(&directory, name);
        let settings = Mapping::new(&pin("SETTINGS")?, settings::WORDS)?;
        let maps = Maps {
            settings,
            services: Mapping::new(&pin("SERVICES")?, service::WORDS)?,
            mark_rules: Mapping::new(&pin("MARK_RULES")?, mark::WORDS)?,
            members: Mapping::new(&pin("MEMBERS")?, 1)?,
            destinations: Mapping::new(&pin("DESTINATIONS")?, destination::WORDS)?,
            estimates: Mapping::new(&pin("ESTIMATES")?, destination::ESTIMATE_WORDS)?,
            connections: Mapping::new(&pin("CONNECTIONS")?, connection::WORDS)?,
            index: HashMap::try_from(Map::HashMap(pin("SERVICE_INDEX")?))
                .map_err(opening("SERVICE_INDEX"))?,
            access: LpmTrie::try_from(Map::LpmTrie(pin("ACCESS")?)).map_err(opening("ACCESS"))?,
            fragments: HashMap::try_from(Map::LruHashMap(pin("FRAGMENTS")?))
                .map_err(opening("FRAGMENTS"))?,
            endpoints: HashMap::try_from(Map::HashMap(pin("ENDPOINTS")?))
                .map_err(opening("ENDPOINTS"))?,
            statistics: PerCpuArray::try_from(Map::PerCpuArray(pin("STATISTICS")?))
                .map_err(opening("STATISTICS"))?,
            reasons: PerCpuArray::try_from(Map::PerCpuArray(pin("REASONS")?))
                .map_err(opening("REASONS"))?,
        };
        Ok(maps)
    }

    /// The settings.
    pub fn settings(&self) -> Option<Slice<'_>> {
        entry(&self.settings, 0, settings::WORDS)
    }

    /// The slot of a service.
    pub fn service(&self, id: u32) -> Option<Slice<'_>> {
        entry(&self.services, id, service::WORDS)
    }

    /// A rule that gives packets a firewall mark.
    pub fn mark_rule(&self, number: u32) -> Option<Slice<'_>> {
        entry(&self.mark_rules, number, mark::WORDS)
    }

    /// The slot of a destination.
    pub fn destination(&self, id: u32) -> Option<Slice<'_>> {
        entry(&self.destinations, id, destination::WORDS)
    }

    /// What is kept to estimate the rates of a destination.
    pub fn estimate(&self, id: u32) -> Option<Slice<'_>> {
        entry(&self.estimates, id, destination::ESTIMATE_WORDS)
    }

    /// A place of the member lists.
    pub fn member(&self, place: u32) -> Option<u32> {
        entry(&self.members, place, 1)
            .map(|words| elver_packet::table::Words::load(words, 0) as u32)
    }

    /// A line of the connection table.
    pub fn connection(&self, index: u32) -> Option<Slice<'_>> {
        entry(&self.connections, index, connection::WORDS)
    }

    /// How many services there is room for.
    pub fn services(&self) -> u32 {
        self.services.entries
    }

    /// How many destinations there is room for.
    pub fn destinations(&self) -> u32 {
        self.destinations.entries
    }

    /// How many places the member lists have.
    pub fn member_places(&self) -> u32 {
        self.members.entries
    }

    /// Lines of the connection table, headers included.
    pub fn connection_lines(&self) -> u32 {
        self.connections.entries
    }

    /// Writes a place of the member lists.
    pub fn set_member(&self, place: u32, destination: u32) {
        if let Some(words) = entry(&self.members, place, 1) {
            elver_packet::table::Words::store(words, 0, u64::from(destination));
        }
    }

    /// Enters a service into the index.
    ///
    /// # Errors
    /// The index is full.
    pub fn index_service(&mut self, key: &ServiceKey, id: u32) -> Result<(), BpfError> {
        self.index
            .insert(octets(key), id, 0)
            .map_err(|error| BpfError::kernel("entering a service into the index", error))
    }

    /// Takes a service out of the index.
    ///
    /// # Errors
    /// It was not there.
    pub fn unindex_service(&mut self, key: &ServiceKey) -> Result<(), BpfError> {
        self.index
            .remove(&octets(key))
            .map_err(|error| BpfError::kernel("taking a service out of the index", error))
    }

    /// The ends of connections.
    pub fn endpoints(&self) -> BTreeSet<Endpoint> {
        let keys = self.endpoints.keys().filter_map(Result::ok);
        keys.filter_map(|key| Endpoint::read_from_bytes(&key).ok())
            .collect()
    }

    /// Enters an end of connections; one that is there already stays.
    ///
    /// # Errors
    /// There are too many.
    pub fn add_endpoint(&mut self, endpoint: Endpoint) -> Result<(), BpfError> {
        self.endpoints
            .insert(octets(&endpoint), 0, 0)
            .map_err(|error| BpfError::kernel("entering an end of connections", error))
    }

    /// Takes an end of connections out.
    ///
    /// # Errors
    /// It was not there.
    pub fn remove_endpoint(&mut self, endpoint: Endpoint) -> Result<(), BpfError> {
        self.endpoints
            .remove(&octets(&endpoint))
            .map_err(|error| BpfError::kernel("taking an end of connections out", error))
    }

    /// The networks in the lists of access.
    pub fn access_networks(&self) -> Vec<AccessNetwork> {
        self.access
            .keys()
            .filter_map(|key| {
                let key = key.ok()?;
                let length = key.prefix_len().checked_sub(ADDRESS_BITS)?;
                Some((AccessKey::read_from_bytes(&key.data()).ok()?, length))
            })
            .collect()
    }

    /// Writes what the lists of access say of a network.
    ///
    /// # Errors
    /// The lists are full.
    pub fn set_access(&mut self, network: &AccessNetwork, access: Access) -> Result<(), BpfError> {
        self.access
            .insert(&trie_key(network), access as u32, 0)
            .map_err(|error| BpfError::kernel("writing a list of access", error))
    }

    /// Takes a network out of the lists of access.
    ///
    /// # Errors
    /// It was not there.
    pub fn clear_access(&mut self, network: &AccessNetwork) -> Result<(), BpfError> {
        self.access
            .remove(&trie_key(network))
            .map_err(|error| BpfError::kernel("writing a list of access", error))
    }

    /// The totals of a destination, of all processors.
    pub fn totals(&self, destination: u32) -> Totals {
        let mut sum = Totals::default();
        if let Ok(values) = self.statistics.get(&destination, 0) {
            for value in values.iter() {
                for (total, part) in sum.iter_mut().zip(value) {
                    *total += part;
                }
            }
        }
        sum
    }

    /// Sets the totals of a destination to 0.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn clear_totals(&mut self, destination: u32) -> Result<(), BpfError> {
        let refused =
            |error: &dyn std::fmt::Display| BpfError::kernel("clearing statistics", error);
        let processors = self
            .statistics
            .get(&destination, 0)
            .map_err(|error| refused(&error))?
            .len();
        let zeros = aya::maps::PerCpuValues::try_from(vec![Totals::default(); processors])
            .map_err(|error| refused(&error))?;
        self.statistics
            .set(destination, zeros, 0)
            .map_err(|error| refused(&error))
    }

    /// How often a reason was counted, by all processors.
    pub fn reason(&self, reason: Reason) -> u64 {
        self.reasons
            .get(&(reason as u32), 0)
            .map_or(0, |values| values.iter().sum())
    }
}

/// Refuses what another version of elver has pinned for the instance in a layout of its own.
/// Only where the version stands is the same in all of them. That nothing is pinned is fine.
pub(super) fn refuse_other_layouts(instance: &str) -> Result<(), BpfError> {
    let directory = directory(instance);
    if !directory.join("SETTINGS").exists() {
        return Ok(());
    }
    let map = pinned(&directory, "SETTINGS")?;
    let info = map.info().map_err(opening("SETTINGS"))?;
    let words = info.value_size() as usize / size_of::<u64>();
    let settings = Mapping::new(&map, words)?;
    let version = entry(&settings, 0, words).map_or(0, |words| {
        elver_packet::table::Words::load(words, VERSION_WORD)
    });
    match version as u32 {
        // 0: somebody died between making the maps and setting them up.
        0 | LAYOUT_VERSION => Ok(()),
        found => Err(BpfError::Layout {
            instance: instance.to_owned(),
            found,
            needed: LAYOUT_VERSION,
        }),
    }
}

fn octets<const LENGTH: usize>(key: &(impl IntoBytes + Immutable)) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    octets.copy_from_slice(key.as_bytes());
    octets
}

fn trie_key((key, length): &AccessNetwork) -> lpm_trie::Key<AccessOctets> {
    lpm_trie::Key::new(ADDRESS_BITS + length, octets(key))
}

fn opening<E: std::fmt::Display>(name: &'static str) -> impl Fn(E) -> BpfError {
    move |error| BpfError::kernel(format!("opening the map {name}"), error)
}

pub(super) fn pinned(directory: &Path, name: &str) -> Result<MapData, BpfError> {
    let path = directory.join(name);
    MapData::from_pin(&path)
        .map_err(|error| BpfError::kernel(format!("opening {}", path.display()), error))
}

impl<'a> Tables for &'a Maps {
    type Words = Slice<'a>;

    fn nanoseconds(&self) -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }

    fn settings(&self) -> Option<Slice<'a>> {
        Maps::settings(self)
    }

    fn service_id(&self, key: &ServiceKey) -> Option<u32> {
        self.index.get(&octets(key), 0).ok()
    }

    // Only programs let clients in.
    fn access(&self, _key: &AccessKey) -> u32 {
        0
    }

    fn fragment(&self, key: &FragmentKey) -> Option<Remembered> {
        let remembered = self.fragments.get(&octets(key), 0);
        remembered.ok().map(Remembered)
    }

    // Only programs see fragments come.
    fn remember_fragment(&self, _key: &FragmentKey, _remembered: Remembered) {}

    // Only programs choose by locality.
    fn locality(&self, _key: &LocalityKey) -> Option<Slice<'a>> {
        None
    }

    fn new_locality(&self, _key: &LocalityKey) -> Option<Slice<'a>> {
        None
    }

    // Only programs send.
    fn next_hop(&self, _place: u32) -> Option<Slice<'a>> {
        None
    }

    fn is_endpoint(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.get(&octets(endpoint), 0).is_ok()
    }

    fn mark_rule(&self, number: u32) -> Option<Slice<'a>> {
        Maps::mark_rule(self, number)
    }

    fn service(&self, id: u32) -> Option<Slice<'a>> {
        Maps::service(self, id)
    }

    fn member(&self, place: u32) -> Option<u32> {
        Maps::member(self, place)
    }

    fn destination(&self, id: u32) -> Option<Slice<'a>> {
        Maps::destination(self, id)
    }

    fn connection(&self, index: u32) -> Option<Slice<'a>> {
        Maps::connection(self, index)
    }

    // The counters of traffic are the programs' own; the controller moves no packets.
    fn count(&self, _destination: u32, _event: Traffic) {}

    fn count_reason(&self, _reason: Reason) {}
}

/// A map's memory.
pub(super) struct Mapping {
    start: *const AtomicU64,
    words: usize,
    entries: u32,
}

// SAFETY: the memory is shared with the kernel and other processors anyway; it is only
// reached through atomic words.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(map: &MapData, words: usize) -> Result<Mapping, BpfError> {
        let refused =
            |error: &dyn std::fmt::Display| BpfError::kernel("mapping a map into memory", error);
        let info = map.info().map_err(|error| refused(&error))?;
        let entries = info.max_entries();
        if info.map_type().map_err(|error| refused(&error))? != MapType::Array
            || info.value_size() as usize != words * size_of::<u64>()
        {
            return Err(refused(&"its shape is not that of this version of elver"));
        }
        let words = entries as usize * words;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                words * size_of::<u64>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|error| refused(&error))?;
        Ok(Mapping {
            start: start.cast_const().cast(),
            words,
            entries,
        })
    }
}

impl std::ops::Deref for Mapping {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has so many words, aligned to a page, and lives as long as self.
        unsafe { std::slice::from_raw_parts(self.start, self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference outlives self. A failure would leave
        // it mapped, which harms nobody.
        let _ = unsafe {
            rustix::mm::munmap(self.start.cast_mut().cast(), self.words * size_of::<u64>())
        };
    }
}
