//! A packet at a tc hook.

use core::mem::{offset_of, size_of};

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_GRE, BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO,
    BPF_F_INGRESS, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    bpf_redir_neigh,
};
use aya_ebpf::helpers::generated as helpers;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use elver_packet::checksum::{Difference, fold};
use elver_packet::family::Family;
use elver_packet::frame::{
    Encapsulation, Frame, HANDED_OVER_ROOM, HandedOver, InternetChecksum, LARGEST_HANDED_OVER,
    LOOPBACK, Notes, Route, RouteQuery, Way,
};
use elver_packet::wire::protocol;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::notes;
use crate::octets::{Octets, seen};
use crate::route::{AF_INET, AF_INET6, route};

/// `PACKET_HOST` of `linux/if_packet.h`.
const PACKET_HOST: u32 = 0;
/// What stands in the traffic control index of what has been looped back: nobody but classful
/// queues on the same device sees it.
const LOOPED_BACK: u32 = 0xe1e7;
/// Octets of the largest header that is read behind the network header.
const LARGEST_HEADER: u32 = 20;

/// A socket buffer whose data begin with an Ethernet header.
pub(crate) struct Skb {
    skb: *mut __sk_buff,
}

impl Skb {
    /// A frame of the buffer, with so many octets of it in linear memory, if it has as many.
    #[inline(always)]
    pub(crate) fn new(skb: *mut __sk_buff, reach: u32) -> Skb {
        let frame = Skb { skb };
        let wanted = frame.length().min(reach);
        if frame.octets().at(0, wanted as usize).is_none() {
            // SAFETY: the context is valid; a failure shows when the headers are read.
            unsafe { helpers::bpf_skb_pull_data(skb, wanted) };
        }
        frame
    }

    #[inline(always)]
    fn octets(&self) -> Octets {
        const DATA: usize = offset_of!(__sk_buff, data);
        const END: usize = offset_of!(__sk_buff, data_end);
        // SAFETY: the context is valid, and these are its members.
        unsafe { Octets::of_context::<_, DATA, END>(self.skb) }
    }
}

impl Frame for Skb {
    const IS_FAST_PATH: bool = false;

    #[inline(always)]
    fn addressed_to_us(&self) -> bool {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).pkt_type == PACKET_HOST }
    }

    #[inline(always)]
    fn is_tagged(&self) -> bool {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).vlan_present != 0 }
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).gso_size }
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).mark }
    }

    #[inline(always)]
    fn reach(&self, offset: u32) {
        let wanted = self.length().min(offset + LARGEST_HEADER);
        if self.octets().at(0, wanted as usize).is_none() {
            // SAFETY: the context is valid; a failure shows when the headers are read.
            unsafe { helpers::bpf_skb_pull_data(self.skb, wanted) };
        }
    }

    #[inline(always)]
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T> {
        self.octets().read(offset)
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> bool {
        self.octets().write(offset, value)
    }

    #[inline(always)]
    fn update_transport_checksum(
        &mut self,
        offset: u32,
        kind: InternetChecksum,
        addresses: Difference,
        ports: Difference,
    ) -> bool {
        let zero = match kind {
            InternetChecksum::Always => 0,
            InternetChecksum::ZeroIsNone => u64::from(BPF_F_MARK_MANGLED_0),
        };
        let replace = |difference: Difference, flags: u64| {
            // SAFETY: the context is valid. A field width of 0 makes `to` a difference.
            unsafe {
                helpers::bpf_l4_csum_replace(
                    self.skb,
                    offset,
                    0,
                    difference.folded_to_word().into(),
                    flags | zero,
                ) == 0
            }
        };
        (addresses == Difference::NONE || replace(addresses, BPF_F_PSEUDO_HDR.into()))
            && (ports == Difference::NONE || replace(ports, 0))
    }

    #[inline(always)]
    fn grow(&mut self, room: Encapsulation) -> bool {
        let outer = if room.family == 4 {
            BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
        } else {
            BPF_F_ADJ_ROOM_ENCAP_L3_IPV6
        };
        let between = match room.protocol {
            protocol::UDP => BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
            protocol::GRE => BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
            _ => 0,
        };
        self.adjust(room.octets as i32, outer | between)
    }

    #[inline(always)]
    fn device(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).ifindex }
    }

    #[inline(always)]
    fn sum(&self, offset: u32, octets: u32) -> Option<u16> {
        let sum = sum_of(self.skb, offset, octets);
        if sum < 0 {
            return None;
        }
        Some(fold(sum as u64))
    }

    #[inline(always)]
    fn is_unfinished(&mut self, offset: u32) -> bool {
        let Some(before) = self.read::<[u8; 2]>(offset) else {
            return false;
        };
        // Nothing tells so; but the kernel leaves an unfinished checksum alone when data
        // under it change, and changes any other.
        // SAFETY: the context is valid. A field width of 0 makes `to` a difference.
        unsafe { helpers::bpf_l4_csum_replace(self.skb, offset, 0, 1, 0) };
        let Some(after) = self.read::<[u8; 2]>(offset) else {
            return false;
        };
        self.write(offset, &before) && u16::from_ne_bytes(before) == u16::from_ne_bytes(after)
    }

    #[inline(always)]
    fn cut(&mut self, length: u32) -> bool {
        // SAFETY: the context is valid.
        let change = |length| unsafe { helpers::bpf_skb_change_tail(self.skb, length, 0) } == 0;
        // Only when the length changes does the kernel forget the sum over the whole frame that
        // the device may have computed.
        let has_changed = length != self.length() || change(length + 1);
        length <= self.length() && has_changed && change(length)
    }

    #[inline(always)]
    fn insert(&mut self, octets: u32) -> bool {
        self.adjust(octets as i32, 0)
    }

    #[inline(always)]
    fn strip(&mut self, octets: u32, outer: u8, inner: u8) -> bool {
        /// What the kernel adds or takes away when it makes one family of the other.
        const HEADERS_DIFFER_BY: u32 = 20;
        if outer == inner {
            return self.adjust(-(octets as i32), 0);
        }
        // The kernel writes the Ethernet header by what it believes the packet to be. Flags that
        // tell it so are not in Linux 6.1.
        let (protocol, octets) = if inner == 6 {
            (ETHER_TYPE_IPV6, octets + HEADERS_DIFFER_BY)
        } else {
            (ETHER_TYPE_IPV4, octets.wrapping_sub(HEADERS_DIFFER_BY))
        };
        // SAFETY: the context is valid.
        let is_changed =
            unsafe { helpers::bpf_skb_change_proto(self.skb, protocol.to_be(), 0) } == 0;
        is_changed && self.adjust(-(octets as i32), 0)
    }

    #[inline(always)]
    fn identification(&self) -> u16 {
        // SAFETY: a helper without arguments.
        unsafe { helpers::bpf_get_prandom_u32() as u16 }
    }

    #[inline(always)]
    fn can_leave_by(&self, _device: u32) -> bool {
        true
    }

    #[inline(always)]
    fn transmit(&mut self, device: u32) {
        // SAFETY: a helper that takes numbers only. It keeps them for when the program is done.
        unsafe { helpers::bpf_redirect(device, 0) };
    }

    #[inline(always)]
    fn resolve(&mut self, way: &Way) {
        // SAFETY: all zeros is a valid parameter block.
        let mut parameters: bpf_redir_neigh = unsafe { core::mem::zeroed() };
        let [first, second] = way.neighbour;
        parameters.nh_family = if way.family == 4 { AF_INET } else { AF_INET6 }.into();
        parameters.__bindgen_anon_1.ipv6_nh = [
            first as u32,
            (first >> 32) as u32,
            second as u32,
            (second >> 32) as u32,
        ];
        // SAFETY: the kernel copies the block.
        unsafe {
            helpers::bpf_redirect_neigh(
                way.device,
                &mut parameters,
                size_of::<bpf_redir_neigh>() as i32,
                0,
            )
        };
    }

    #[inline(always)]
    fn loop_back(&mut self) {
        // SAFETY: the context is valid; the second is a helper that takes numbers only.
        unsafe {
            (*self.skb).tc_index = LOOPED_BACK;
            helpers::bpf_redirect(LOOPBACK, BPF_F_INGRESS.into())
        };
    }

    #[inline(always)]
    fn is_looped_back(&self) -> bool {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).tc_index == LOOPED_BACK && (*self.skb).ifindex == LOOPBACK }
    }

    #[inline(always)]
    fn hand_over(&mut self, largest: u32) -> bool {
        hand_over(self.skb, largest)
    }

    #[inline(always)]
    fn note(&mut self, notes: &Notes) {
        notes::keep(notes);
    }

    #[inline(always)]
    fn noted(&self) -> Notes {
        notes::kept()
    }

    #[inline(always)]
    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route {
        // SAFETY: the context is valid.
        let device = unsafe { (*self.skb).ifindex };
        route(self.skb.cast(), device, query)
    }
}

impl Skb {
    /// Makes room behind the Ethernet header, or takes it away.
    #[inline(always)]
    fn adjust(&mut self, octets: i32, flags: u32) -> bool {
        let flags = u64::from(BPF_F_ADJ_ROOM_FIXED_GSO | flags);
        // SAFETY: the context is valid.
        unsafe { helpers::bpf_skb_adjust_room(self.skb, octets, BPF_ADJ_ROOM_MAC, flags) == 0 }
    }
}

/// The largest run of octets that is summed.
const MOST: u32 = 1536;
/// As many octets as the kernel sums at a time (`MAX_BPF_STACK` in 6.1).
const PIECE: u32 = 512;

/// Room for octets that are summed.
#[map]
static SUMMED: PerCpuArray<[u32; MOST as usize / 4 + 1]> = PerCpuArray::with_max_entries(1, 0);

/// The sum over so many octets of a frame, not yet folded; negative if it does not have as many,
/// or they are too many.
#[inline(never)]
fn sum_of(skb: *mut __sk_buff, offset: u32, octets: u32) -> i64 {
    // Linux 6.1 learns from a comparison with 0 only that a number is not 0, and wants to see
    // that it is 1 at the least.
    let less_one = seen(octets.wrapping_sub(1));
    if less_one >= MOST {
        return -1;
    }
    let octets = less_one + 1;
    let Some(room) = SUMMED.get_ptr_mut(0) else {
        return -1;
    };
    let room = room.cast::<u8>();
    // A sum is of whole words: zeros at the end do not change it.
    // SAFETY: the room is that of this processor, and a word larger than what is summed.
    unsafe { room.add((octets & !3) as usize).cast::<u32>().write(0) };
    // SAFETY: the context is valid, and there is room for as many octets.
    if unsafe { helpers::bpf_skb_load_bytes(skb.cast(), offset, room.cast(), octets) } < 0 {
        return -1;
    }
    let words = octets.next_multiple_of(4);
    let first = sum_piece(room, words.min(PIECE), 0);
    // SAFETY: these lie within the room.
    let (second, third) = unsafe { (room.add(PIECE as usize), room.add(2 * PIECE as usize)) };
    let both = sum_piece(second, words.saturating_sub(PIECE).min(PIECE), first);
    sum_piece(third, words.saturating_sub(2 * PIECE), both)
}

/// Adds a piece of the room to a sum.
#[inline(always)]
fn sum_piece(at: *mut u8, octets: u32, sum: i64) -> i64 {
    let octets = seen(octets);
    if octets > PIECE {
        return sum;
    }
    // SAFETY: the caller has as many octets there.
    unsafe { helpers::bpf_csum_diff(core::ptr::null_mut(), 0, at.cast(), octets, sum as u32) }
}

/// Frames for the controller.
#[map]
static HANDED_OVER: RingBuf = RingBuf::pinned(HANDED_OVER_ROOM, 0);

/// Gives a frame to the controller, if there is room for it.
#[inline(never)]
fn hand_over(skb: *mut __sk_buff, largest: u32) -> bool {
    // SAFETY: the context is valid.
    let octets = unsafe { (*skb).len };
    let less_one = seen(octets.wrapping_sub(1));
    if less_one >= LARGEST_HANDED_OVER {
        return false;
    }
    let Some(mut room) = HANDED_OVER.reserve::<HandedOver>(0) else {
        return false;
    };
    let at = room.as_mut_ptr();
    // SAFETY: there is room for the heading, and for as many octets behind it.
    let loaded = unsafe {
        (&raw mut (*at).largest).write(largest);
        (&raw mut (*at).length).write(less_one + 1);
        let octets = (&raw mut (*at).octets).cast();
        helpers::bpf_skb_load_bytes(skb.cast(), 0, octets, less_one + 1)
    };
    if loaded < 0 {
        room.discard(0);
        return false;
    }
    room.submit(0);
    true
}

/// `ETH_P_IP` and `ETH_P_IPV6` of `linux/if_ether.h`.
const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
