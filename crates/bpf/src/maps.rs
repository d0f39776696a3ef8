//! The maps. Their sizes here are placeholders; the loader sets them.

use core::mem::size_of;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use elver_packet::reason::Reason;
use elver_packet::table::access::AccessKey;
use elver_packet::table::fragment::{Endpoint, FRAGMENTS, FragmentKey, Remembered};
use elver_packet::table::locality::{ADDRESSES, LocalityKey};
use elver_packet::table::service::ServiceKey;
use elver_packet::table::settings::{Settings, Ticks};
use elver_packet::table::{
    Tables, Traffic, connection, destination, hop, locality, mark, service, settings,
};

use crate::shared::Entry;

#[map]
static SETTINGS: Array<[u64; settings::WORDS]> = Array::pinned(1, BPF_F_MMAPABLE);
#[map]
static SERVICE_INDEX: HashMap<ServiceKey, u32> = HashMap::pinned(1, 0);
#[map]
static MARK_RULES: Array<[u64; mark::WORDS]> = Array::pinned(mark::RULES, BPF_F_MMAPABLE);
#[map]
static ACCESS: LpmTrie<AccessKey, u32> = LpmTrie::pinned(1, 0);
#[map(name = "FRAGMENTS")]
static FIRST_FRAGMENTS: LruHashMap<FragmentKey, u64> = LruHashMap::pinned(FRAGMENTS, 0);
#[map]
static LOCALITY: LruHashMap<LocalityKey, [u64; locality::WORDS]> = LruHashMap::pinned(ADDRESSES, 0);
/// What nothing is remembered of: too much for the stack.
static NOTHING: [u64; locality::WORDS] = [0; locality::WORDS];
/// Only programs use it.
#[map]
static NEXT_HOPS: Array<[u64; hop::WORDS]> = Array::pinned(hop::NEXT_HOPS, 0);
#[map]
static ENDPOINTS: HashMap<Endpoint, u32> = HashMap::pinned(1, BPF_F_NO_PREALLOC);
#[map]
static SERVICES: Array<[u64; service::WORDS]> = Array::pinned(1, BPF_F_MMAPABLE);
#[map]
static MEMBERS: Array<u64> = Array::pinned(1, BPF_F_MMAPABLE);
#[map]
static DESTINATIONS: Array<[u64; destination::WORDS]> = Array::pinned(1, BPF_F_MMAPABLE);
#[map]
static CONNECTIONS: Array<[u64; connection::WORDS]> = Array::pinned(8, BPF_F_MMAPABLE);
#[map]
static STATISTICS: PerCpuArray<[u64; destination::STATISTICS_WORDS]> = PerCpuArray::pinned(1, 0);
/// Only the controller uses it; it is here so that there is one place where maps are made.
#[map]
static ESTIMATES: Array<[u64; destination::ESTIMATE_WORDS]> = Array::pinned(1, BPF_F_MMAPABLE);
#[map]
static REASONS: PerCpuArray<u64> = PerCpuArray::pinned(Reason::COUNT as u32, 0);

/// The maps of this data plane, with the settings looked up.
pub(crate) struct Maps {
    settings: Entry<{ settings::WORDS }>,
}

impl Maps {
    #[inline(always)]
    pub(crate) fn open() -> Option<Maps> {
        let settings = SETTINGS.get_ptr_mut(0).map(|entry| Entry(entry.cast()))?;
        Some(Maps { settings })
    }

    /// The time.
    #[inline(always)]
    pub(crate) fn now(&self) -> Ticks {
        // SAFETY: a helper without arguments.
        let jiffies = unsafe { bpf_jiffies64() };
        (jiffies >> Settings(self.settings).tick_shift()) as Ticks
    }
}

impl Tables for Maps {
    // Entries differ in length only; the verifier holds every access to its map's own.
    type Words = Entry<{ settings::WORDS }>;

    #[inline(always)]
    fn nanoseconds(&self) -> u64 {
        // SAFETY: a helper without arguments.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn settings(&self) -> Option<Self::Words> {
        Some(self.settings)
    }

    #[inline(always)]
    fn service_id(&self, key: &ServiceKey) -> Option<u32> {
        // SAFETY: the value is an aligned word that the controller writes once.
        unsafe { SERVICE_INDEX.get(key) }.copied()
    }

    #[inline(always)]
    fn access(&self, key: &AccessKey) -> u32 {
        ACCESS
            .get(Key::new(8 * size_of::<AccessKey>() as u32, *key))
            .copied()
            .unwrap_or(0)
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<Remembered> {
        // SAFETY: the value is an aligned word.
        unsafe { FIRST_FRAGMENTS.get(key) }.copied().map(Remembered)
    }

    #[inline(always)]
    fn remember_fragment(&self, key: &FragmentKey, remembered: Remembered) {
        // Without room the later ones are held until they are given up.
        let _ = FIRST_FRAGMENTS.insert(key, &remembered.0, 0);
    }

    #[inline(always)]
    fn is_endpoint(&self, endpoint: &Endpoint) -> bool {
        ENDPOINTS.get_ptr(endpoint).is_some()
    }

    #[inline(always)]
    fn locality(&self, key: &LocalityKey) -> Option<Self::Words> {
        LOCALITY.get_ptr_mut(key).map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn new_locality(&self, key: &LocalityKey) -> Option<Self::Words> {
        LOCALITY.insert(key, &NOTHING, BPF_NOEXIST.into()).ok()?;
        self.locality(key)
    }

    #[inline(always)]
    fn next_hop(&self, place: u32) -> Option<Self::Words> {
        NEXT_HOPS
            .get_ptr_mut(place)
            .map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn mark_rule(&self, number: u32) -> Option<Self::Words> {
        MARK_RULES
            .get_ptr_mut(number)
            .map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn service(&self, id: u32) -> Option<Self::Words> {
        SERVICES.get_ptr_mut(id).map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn member(&self, place: u32) -> Option<u32> {
        // SAFETY: the pointer is that of a map's value.
        MEMBERS
            .get_ptr(place)
            .map(|member| unsafe { core::ptr::read_volatile(member) } as u32)
    }

    #[inline(always)]
    fn destination(&self, id: u32) -> Option<Self::Words> {
        DESTINATIONS
            .get_ptr_mut(id)
            .map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn connection(&self, index: u32) -> Option<Self::Words> {
        CONNECTIONS
            .get_ptr_mut(index)
            .map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn count(&self, destination: u32, event: Traffic) {
        let Some(totals) = STATISTICS.get_ptr_mut(destination) else {
            return;
        };
        // SAFETY: the pointer is that of this processor's value.
        let [connections, packets_in, packets_out, octets_in, octets_out] = unsafe { &mut *totals };
        match event {
            Traffic::Connection => *connections = connections.wrapping_add(1),
            Traffic::In(octets) => {
                *packets_in = packets_in.wrapping_add(1);
                *octets_in = octets_in.wrapping_add(u64::from(octets));
            }
            Traffic::MoreIn(octets) => *octets_in = octets_in.wrapping_add(u64::from(octets)),
            Traffic::Out(octets) => {
                *packets_out = packets_out.wrapping_add(1);
                *octets_out = octets_out.wrapping_add(u64::from(octets));
            }
            Traffic::MoreOut(octets) => *octets_out = octets_out.wrapping_add(u64::from(octets)),
        }
    }

    #[inline(always)]
    fn count_reason(&self, reason: Reason) {
        if let Some(counter) = REASONS.get_ptr_mut(reason as u32) {
            // SAFETY: the pointer is that of this processor's value.
            unsafe { *counter = (*counter).wrapping_add(1) };
        }
    }
}
