//! A packet at a tc hook.

use core::arch::asm;
use core::intrinsics::is_val_statically_known;
use core::mem::{MaybeUninit, size_of};

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_GRE, BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO,
    BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_FIB_LKUP_RET_FRAG_NEEDED,
    BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED,
    BPF_FIB_LKUP_RET_SUCCESS, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, bpf_fib_lookup, bpf_redir_neigh,
};
use aya_ebpf::helpers::generated as helpers;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use elver_packet::checksum::{Difference, fold};
use elver_packet::family::Family;
use elver_packet::frame::{
    Encapsulation, FARTHEST_HEADER, Frame, InternetChecksum, NextHop, Notes, Route, RouteQuery, Way,
};
use elver_packet::wire::protocol;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `PACKET_HOST` of `linux/if_packet.h`.
const PACKET_HOST: u32 = 0;
/// Octets of the largest header that is read behind the network header.
const LARGEST_HEADER: u32 = 20;

/// What a stage tells the next.
#[map]
static NOTES: PerCpuArray<Notes> = PerCpuArray::with_max_entries(1, 0);

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
        if frame.at(0, wanted as usize).is_none() {
            // SAFETY: the context is valid; a failure shows when the headers are read.
            unsafe { helpers::bpf_skb_pull_data(skb, wanted) };
        }
        frame
    }

    /// The address of so many octets, if they are all there.
    #[inline(always)]
    fn at(&self, offset: u32, octets: usize) -> Option<*mut u8> {
        if offset > FARTHEST_HEADER {
            return None;
        }
        // Linux 6.1 forgets what the comparison says of a number that has been on the stack.
        // The compiler does not, and would leave the mask out.
        let offset = if is_val_statically_known(offset) {
            offset
        } else {
            seen(offset) & 0x1ff
        };
        // SAFETY: the context is valid.
        let (data, end) = unsafe { ((*self.skb).data as usize, (*self.skb).data_end as usize) };
        let mut start = data + offset as usize;
        // The comparison below and the access have to be of the same register, or the
        // verifier does not see what the one says about the other.
        // SAFETY: no instruction.
        unsafe { asm!("/* {0} */", inout(reg) start, options(pure, nomem, nostack)) };
        if start + octets > end {
            None
        } else {
            Some(start as *mut u8)
        }
    }
}

/// Room for a header that may be written in whole words.
#[repr(C, align(8))]
struct Aligned<T>(MaybeUninit<T>);

/// Copies a header between the packet and the stack in the largest pieces there are.
/// Packet memory may be read at any address on the machines that BPF is compiled for here.
#[inline(always)]
unsafe fn copy(source: *const u8, target: *mut u8, octets: usize) {
    let mut done = 0;
    while done + 4 <= octets {
        // SAFETY: the caller vouches for both ranges.
        unsafe {
            target
                .add(done)
                .cast::<u32>()
                .write(source.add(done).cast::<u32>().read())
        };
        done += 4;
    }
    if done + 2 <= octets {
        // SAFETY: as above.
        unsafe {
            target
                .add(done)
                .cast::<u16>()
                .write(source.add(done).cast::<u16>().read())
        };
        done += 2;
    }
    if done < octets {
        // SAFETY: as above.
        unsafe { target.add(done).write(source.add(done).read()) };
    }
}

impl Frame for Skb {
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
        if self.at(0, wanted as usize).is_none() {
            // SAFETY: the context is valid; a failure shows when the headers are read.
            unsafe { helpers::bpf_skb_pull_data(self.skb, wanted) };
        }
    }

    #[inline(always)]
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T> {
        let at = self.at(offset, size_of::<T>())?;
        let mut value = Aligned(MaybeUninit::<T>::uninit());
        // SAFETY: `at` says that the packet has the octets; every pattern of them is a T.
        unsafe {
            copy(at, value.0.as_mut_ptr().cast(), size_of::<T>());
            Some(value.0.assume_init())
        }
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> bool {
        let Some(at) = self.at(offset, size_of::<T>()) else {
            return false;
        };
        // SAFETY: `at` says that the packet has room; T has no octets that are not its own.
        unsafe { copy((value as *const T).cast(), at, size_of::<T>()) };
        true
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
    fn note(&mut self, notes: &Notes) {
        if let Some(kept) = NOTES.get_ptr_mut(0) {
            // SAFETY: the pointer is that of this processor's value, and nothing else runs here
            // until the packet is done with.
            unsafe { kept.write(*notes) };
        }
    }

    #[inline(always)]
    fn noted(&self) -> Notes {
        // SAFETY: as in `note`.
        NOTES
            .get_ptr(0)
            .map_or(Notes::default(), |kept| unsafe { kept.read() })
    }

    #[inline(always)]
    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route {
        let mut found = Found {
            neighbour: [0; 2],
            device: 0,
            largest: 0,
            family: 0,
            next_hop: NextHop([0; 2]),
        };
        let answer = self.look_up(query, &mut found);
        let way = Way {
            device: found.device,
            family: found.family,
            neighbour: found.neighbour,
        };
        match answer {
            BPF_FIB_LKUP_RET_SUCCESS => Route::Neighbour {
                next_hop: found.next_hop,
                way,
                largest: found.largest,
            },
            BPF_FIB_LKUP_RET_NO_NEIGH => Route::Unresolved(way),
            BPF_FIB_LKUP_RET_FRAG_NEEDED => Route::TooBig(found.largest),
            BPF_FIB_LKUP_RET_NOT_FWDED => Route::LocalOrNone,
            BPF_FIB_LKUP_RET_FWD_DISABLED => Route::NotForwarding,
            _ => Route::None,
        }
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

/// The value in a register of its own, so that the verifier sees in it what comparisons say.
#[inline(always)]
fn seen(mut value: u32) -> u32 {
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// What the kernel's routes say, in as little room as it takes: the stack has none to spare.
struct Found {
    neighbour: [u64; 2],
    device: u32,
    largest: u16,
    family: u8,
    next_hop: NextHop,
}

impl Skb {
    /// Makes room behind the Ethernet header, or takes it away.
    #[inline(always)]
    fn adjust(&mut self, octets: i32, flags: u32) -> bool {
        let flags = u64::from(BPF_F_ADJ_ROOM_FIXED_GSO | flags);
        // SAFETY: the context is valid.
        unsafe { helpers::bpf_skb_adjust_room(self.skb, octets, BPF_ADJ_ROOM_MAC, flags) == 0 }
    }

    /// Asks the kernel's routes; gives its answer's code.
    ///
    /// A function of its own, since the query is large for the caller's stack frame and it is
    /// asked once a second and real server. One that returned more than a number would leave
    /// a pointer into its own frame in the register that returns it.
    #[inline(never)]
    fn look_up<F: Family>(&self, query: &RouteQuery<F>, found: &mut Found) -> u32 {
        let mut ask = Aligned(MaybeUninit::<bpf_fib_lookup>::uninit());
        const { assert!(size_of::<bpf_fib_lookup>().is_multiple_of(8)) };
        let mut word = 0;
        while word < size_of::<bpf_fib_lookup>() / 8 {
            // SAFETY: the word is one of the query's. Written one by one, since a call of
            // memset would take a frame of its own from a stack that is full.
            unsafe { ask.0.as_mut_ptr().cast::<u64>().add(word).write_volatile(0) };
            word += 1;
        }
        // SAFETY: all zeros is a valid query.
        let ask = unsafe { ask.0.assume_init_mut() };
        ask.l4_protocol = query.protocol;
        ask.__bindgen_anon_1.tot_len = query.length as u16;
        // SAFETY: the context is valid.
        ask.ifindex = unsafe { (*self.skb).ifindex };
        let source = F::to_octets(query.source);
        let destination = F::to_octets(query.destination);
        if F::NUMBER == 4 {
            ask.family = AF_INET;
            ask.__bindgen_anon_3.ipv4_src = first_word(&source);
            ask.__bindgen_anon_4.ipv4_dst = first_word(&destination);
        } else {
            ask.family = AF_INET6;
            ask.__bindgen_anon_3.ipv6_src = four_words(&source);
            ask.__bindgen_anon_4.ipv6_dst = four_words(&destination);
        }
        // SAFETY: the context is valid and the length is that of the query.
        let answer = unsafe {
            helpers::bpf_fib_lookup(self.skb.cast(), ask, size_of::<bpf_fib_lookup>() as i32, 0)
        };
        // The kernel has put the router's address in the place of the destination's, if the
        // way leads over one.
        // SAFETY: the unions' members are plain integers.
        let (largest, [a, b, c, d]) = unsafe {
            (
                ask.__bindgen_anon_1.mtu_result,
                ask.__bindgen_anon_4.ipv6_dst,
            )
        };
        found.device = ask.ifindex;
        found.family = if ask.family == AF_INET { 4 } else { 6 };
        found.neighbour = [
            u64::from(a) | u64::from(b) << 32,
            u64::from(c) | u64::from(d) << 32,
        ];
        found.next_hop = NextHop::new(ask.ifindex, ask.dmac, ask.smac);
        found.largest = largest;
        answer as u32
    }
}

/// `ETH_P_IP` and `ETH_P_IPV6` of `linux/if_ether.h`.
const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// `AF_INET` and `AF_INET6` of `bits/socket.h`.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

#[inline(always)]
fn first_word(octets: &[u8; 16]) -> u32 {
    let [a, b, c, d, ..] = *octets;
    u32::from_ne_bytes([a, b, c, d])
}

#[inline(always)]
fn four_words(octets: &[u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *octets;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
        u32::from_ne_bytes([m, n, o, p]),
    ]
}
