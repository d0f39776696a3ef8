//! The entry points at tc hooks, and their maps.

use core::mem::size_of;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::programs::TcContext;
use elver_packet::frame::Verdict;
use elver_packet::real_server::{
    self, AddressKey, DEVICE_WORDS, Outcome, REACH, ROLE_WORDS, RoleTables, VIP_WORDS,
};

use crate::shared::Entry;
use crate::skb::Skb;

/// How many virtual addresses there may be.
const VIPS_ROOM: u32 = 4096;
/// How many networks tunnels may come from.
const DIRECTORS_ROOM: u32 = 1024;
/// How many devices there may be.
const DEVICES_ROOM: u32 = 4096;
/// The words of the longest entry. They differ in length only; the verifier holds every access
/// to its map's own.
const WORDS: usize = 2;

#[map]
static ROLE: Array<[u64; ROLE_WORDS]> = Array::pinned(1, BPF_F_MMAPABLE);
#[map]
static VIPS: HashMap<AddressKey, [u64; VIP_WORDS]> = HashMap::pinned(VIPS_ROOM, 0);
#[map]
static DIRECTORS: LpmTrie<AddressKey, u32> = LpmTrie::pinned(DIRECTORS_ROOM, 0);
#[map]
static DEVICES: HashMap<u32, [u64; DEVICE_WORDS]> = HashMap::pinned(DEVICES_ROOM, 0);
#[map]
static OUTCOMES: PerCpuArray<u64> = PerCpuArray::pinned(Outcome::COUNT as u32, 0);

/// What arrives at a device.
#[classifier]
pub(crate) fn elver_real_server_arrive(context: TcContext) -> i32 {
    let mut frame = Skb::new(context.skb.skb, REACH);
    conclude(real_server::arrive(&mut frame, &Maps))
}

/// What leaves by a device.
#[classifier]
pub(crate) fn elver_real_server_leave(context: TcContext) -> i32 {
    let mut frame = Skb::new(context.skb.skb, REACH);
    conclude(real_server::leave(&mut frame, &Maps))
}

#[inline(always)]
fn conclude(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Drop => TC_ACT_SHOT,
        // Other programs on the device, a director's among them, and then the stack.
        Verdict::Pass | Verdict::Punt | Verdict::Leave => TC_ACT_UNSPEC,
    }
}

/// The maps of this role.
struct Maps;

impl RoleTables for Maps {
    type Words = Entry<WORDS>;

    #[inline(always)]
    fn role(&self) -> Option<Self::Words> {
        ROLE.get_ptr_mut(0).map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn vip(&self, address: &AddressKey) -> Option<Self::Words> {
        VIPS.get_ptr_mut(address).map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn is_director(&self, address: &AddressKey) -> bool {
        const BITS: u32 = 8 * size_of::<AddressKey>() as u32;
        DIRECTORS.get(Key::new(BITS, *address)).is_some()
    }

    #[inline(always)]
    fn device(&self, index: u32) -> Option<Self::Words> {
        DEVICES.get_ptr_mut(index).map(|entry| Entry(entry.cast()))
    }

    #[inline(always)]
    fn count(&self, outcome: Outcome) {
        if let Some(counter) = OUTCOMES.get_ptr_mut(outcome as u32) {
            // SAFETY: the pointer is that of this processor's value.
            unsafe { *counter = (*counter).wrapping_add(1) };
        }
    }
}
