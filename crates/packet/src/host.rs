//! The tables on the host: in memory of our own for tests and simulation, or in the
//! kernel's memory, mapped.

mod configure;
mod frame;

pub use configure::{Ground, Method, Persistence, RealServer, VirtualService, folded};
pub use frame::{Departure, HostFrame, Journey};

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::reason::Reason;
use crate::table::access::{Access, AccessKey};
use crate::table::fragment::{Endpoint, FragmentKey, Remembered};
use crate::table::locality::{self, LocalityKey};
use crate::table::service::ServiceKey;
use crate::table::{Tables, Traffic, Words, connection, destination, hop, mark, service, settings};

/// An entry of a shared map.
pub type Slice<'a> = &'a [AtomicU64];

impl Words for &[AtomicU64] {
    fn load(self, word: usize) -> u64 {
        // The programs in the kernel publish by an exchange; this pairs with it.
        self.get(word)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(self, word: usize, value: u64) {
        if let Some(word) = self.get(word) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn exchange(self, word: usize, value: u64) -> u64 {
        self.get(word)
            .map_or(0, |word| word.swap(value, Ordering::SeqCst))
    }

    fn compare_exchange(self, word: usize, expected: u64, new: u64) -> bool {
        self.get(word).is_some_and(|word| {
            word.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        })
    }

    fn fetch_add(self, word: usize, amount: u64) -> u64 {
        self.get(word)
            .map_or(0, |word| word.fetch_add(amount, Ordering::SeqCst))
    }
}

/// Words in memory of our own.
#[derive(Debug, Default)]
pub struct SharedWords(Vec<AtomicU64>);

impl SharedWords {
    /// So many words, all 0.
    pub fn new(words: usize) -> SharedWords {
        SharedWords((0..words).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

impl SharedWords {
    /// The entry with this number, of so many words.
    pub fn entry(&self, number: u32, words: usize) -> Option<Slice<'_>> {
        entry(self, number, words)
    }
}

/// The entry with this number of a map whose entries have so many words.
pub fn entry(map: &[AtomicU64], number: u32, words: usize) -> Option<Slice<'_>> {
    let start = usize::try_from(number).ok()?.checked_mul(words)?;
    map.get(start..start.checked_add(words)?)
}

/// How many addresses lblc and lblcr remember here.
const LOCALITIES: usize = 256;

/// The tables of a data plane that lives in this process.
#[derive(Debug)]
pub struct HostTables {
    /// The clock that handshakes are measured by.
    pub nanoseconds: AtomicU64,
    /// `SETTINGS`.
    pub settings: SharedWords,
    /// `SERVICES`.
    pub services: SharedWords,
    /// `MEMBERS`.
    pub members: SharedWords,
    /// `DESTINATIONS`.
    pub destinations: SharedWords,
    /// `CONNECTIONS`.
    pub connections: SharedWords,
    /// `STATISTICS`.
    pub statistics: SharedWords,
    /// `REASONS`.
    pub reasons: SharedWords,
    /// `SERVICE_INDEX`.
    pub index: Mutex<HashMap<ServiceKey, u32>>,
    /// `MARK_RULES`.
    pub mark_rules: SharedWords,
    /// `FRAGMENTS`.
    pub fragments: Mutex<HashMap<FragmentKey, Remembered>>,
    /// `LOCALITY`: the number of an address's entry, and the entries.
    pub localities: Mutex<HashMap<LocalityKey, u32>>,
    /// The entries of `LOCALITY`.
    pub locality_entries: SharedWords,
    /// `NEXT_HOPS`.
    pub next_hops: SharedWords,
    /// `ENDPOINTS`.
    pub endpoints: Mutex<HashSet<Endpoint>>,
    /// `ACCESS`: networks, each with the length of its prefix in bits.
    pub access: Mutex<Vec<(AccessKey, u32, Access)>>,
}

impl HostTables {
    /// Empty tables: so many services and destinations, and `sets` (a power of two) sets
    /// of connections.
    pub fn new(services: usize, destinations: usize, sets: usize) -> HostTables {
        HostTables {
            nanoseconds: AtomicU64::new(0),
            settings: SharedWords::new(settings::WORDS),
            services: SharedWords::new(services * service::WORDS),
            members: SharedWords::new(destinations),
            destinations: SharedWords::new(destinations * destination::WORDS),
            connections: SharedWords::new(sets * connection::STRIDE as usize * connection::WORDS),
            statistics: SharedWords::new(destinations * destination::STATISTICS_WORDS),
            reasons: SharedWords::new(Reason::COUNT),
            index: Mutex::new(HashMap::new()),
            mark_rules: SharedWords::new(mark::RULES as usize * mark::WORDS),
            fragments: Mutex::new(HashMap::new()),
            localities: Mutex::new(HashMap::new()),
            locality_entries: SharedWords::new(LOCALITIES * locality::WORDS),
            next_hops: SharedWords::new(hop::NEXT_HOPS as usize * hop::WORDS),
            endpoints: Mutex::new(HashSet::new()),
            access: Mutex::new(Vec::new()),
        }
    }

    /// How often a reason was counted.
    pub fn reason(&self, reason: Reason) -> u64 {
        self.reasons.as_words().load(reason as usize)
    }
}

impl SharedWords {
    fn as_words(&self) -> Slice<'_> {
        &self.0
    }
}

impl<'a> Tables for &'a HostTables {
    type Words = Slice<'a>;

    fn nanoseconds(&self) -> u64 {
        self.nanoseconds.load(Ordering::Relaxed)
    }

    fn settings(&self) -> Option<Slice<'a>> {
        self.settings.entry(0, settings::WORDS)
    }

    fn service_id(&self, key: &ServiceKey) -> Option<u32> {
        self.index
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
    }

    fn access(&self, key: &AccessKey) -> u32 {
        let networks = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |[first, second]: [u64; 2]| {
            u128::from(u64::from_be(first)) << 64 | u128::from(u64::from_be(second))
        };
        let address = number(key.address);
        let holds = |(network, length, _): &&(AccessKey, u32, Access)| {
            let shift = 128u32.saturating_sub(*length);
            let network_address = number(network.address);
            (network.service, network.family) == (key.service, key.family)
                && address.checked_shr(shift) == network_address.checked_shr(shift)
        };
        let longest = networks
            .iter()
            .filter(holds)
            .max_by_key(|(_, length, _)| *length);
        longest.map_or(0, |(_, _, access)| *access as u32)
    }

    fn fragment(&self, key: &FragmentKey) -> Option<Remembered> {
        let fragments = self.fragments.lock();
        let fragments = fragments.unwrap_or_else(PoisonError::into_inner);
        fragments.get(key).copied()
    }

    fn remember_fragment(&self, key: &FragmentKey, remembered: Remembered) {
        let fragments = self.fragments.lock();
        let mut fragments = fragments.unwrap_or_else(PoisonError::into_inner);
        fragments.insert(*key, remembered);
    }

    fn is_endpoint(&self, endpoint: &Endpoint) -> bool {
        let endpoints = self.endpoints.lock();
        let endpoints = endpoints.unwrap_or_else(PoisonError::into_inner);
        endpoints.contains(endpoint)
    }

    fn locality(&self, key: &LocalityKey) -> Option<Slice<'a>> {
        let localities = self.localities.lock();
        let localities = localities.unwrap_or_else(PoisonError::into_inner);
        let number = localities.get(key).copied()?;
        self.locality_entries.entry(number, locality::WORDS)
    }

    fn new_locality(&self, key: &LocalityKey) -> Option<Slice<'a>> {
        let localities = self.localities.lock();
        let mut localities = localities.unwrap_or_else(PoisonError::into_inner);
        let number = u32::try_from(localities.len()).ok()?;
        let entry = self.locality_entries.entry(number, locality::WORDS)?;
        localities.insert(*key, number);
        Some(entry)
    }

    fn next_hop(&self, place: u32) -> Option<Slice<'a>> {
        self.next_hops.entry(place, hop::WORDS)
    }

    fn mark_rule(&self, number: u32) -> Option<Slice<'a>> {
        self.mark_rules.entry(number, mark::WORDS)
    }

    fn service(&self, id: u32) -> Option<Slice<'a>> {
        self.services.entry(id, service::WORDS)
    }

    fn member(&self, place: u32) -> Option<u32> {
        Some(self.members.entry(place, 1)?.load(0) as u32)
    }

    fn destination(&self, id: u32) -> Option<Slice<'a>> {
        self.destinations.entry(id, destination::WORDS)
    }

    fn connection(&self, index: u32) -> Option<Slice<'a>> {
        self.connections.entry(index, connection::WORDS)
    }

    fn count(&self, destination: u32, event: Traffic) {
        let Some(totals) = self
            .statistics
            .entry(destination, destination::STATISTICS_WORDS)
        else {
            return;
        };
        match event {
            Traffic::Connection => {
                totals.fetch_add(0, 1);
            }
            Traffic::In(octets) => {
                totals.fetch_add(1, 1);
                totals.fetch_add(3, u64::from(octets));
            }
            Traffic::MoreIn(octets) => {
                totals.fetch_add(3, u64::from(octets));
            }
            Traffic::Out(octets) => {
                totals.fetch_add(2, 1);
                totals.fetch_add(4, u64::from(octets));
            }
            Traffic::MoreOut(octets) => {
                totals.fetch_add(4, u64::from(octets));
            }
        }
    }

    fn count_reason(&self, reason: Reason) {
        self.reasons.as_words().fetch_add(reason as usize, 1);
    }
}
