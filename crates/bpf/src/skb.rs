//! A packet at a tc hook.

use core::arch::asm;
use core::mem::{MaybeUninit, size_of};

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_PSEUDO_HDR, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH,
    BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup,
};
use aya_ebpf::helpers::generated as helpers;
use elver_packet::checksum::Difference;
use elver_packet::family::Family;
use elver_packet::frame::{Frame, NextHop, Route, RouteQuery};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `PACKET_HOST` of `linux/if_packet.h`.
const PACKET_HOST: u32 = 0;
/// Headers up to the transport's fixed part, with IPv4 options.
const HEADERS: u32 = 14 + 60 + 20;
/// No header begins beyond this.
const LARGEST_OFFSET: u32 = 256;

/// A socket buffer whose data begin with an Ethernet header.
pub(crate) struct Skb {
    skb: *mut __sk_buff,
}

impl Skb {
    /// A frame of the buffer, with its headers in linear memory.
    #[inline(always)]
    pub(crate) fn new(skb: *mut __sk_buff) -> Skb {
        let frame = Skb { skb };
        let wanted = frame.length().min(HEADERS);
        if frame.at(0, wanted as usize).is_none() {
            // SAFETY: the context is valid; a failure shows when the headers are read.
            unsafe { helpers::bpf_skb_pull_data(skb, wanted) };
        }
        frame
    }

    /// The address of so many octets, if they are all there.
    #[inline(always)]
    fn at(&self, offset: u32, octets: usize) -> Option<*mut u8> {
        if offset > LARGEST_OFFSET {
            return None;
        }
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
        addresses: Difference,
        ports: Difference,
    ) -> bool {
        let replace = |difference: Difference, flags: u64| {
            // SAFETY: the context is valid. A field width of 0 makes `to` a difference.
            unsafe {
                helpers::bpf_l4_csum_replace(
                    self.skb,
                    offset,
                    0,
                    difference.folded_to_word().into(),
                    flags,
                ) == 0
            }
        };
        (addresses == Difference::NONE || replace(addresses, BPF_F_PSEUDO_HDR.into()))
            && (ports == Difference::NONE || replace(ports, 0))
    }

    // Asked for once a second and flow; its query is large for the caller's stack frame.
    #[inline(never)]
    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route {
        // SAFETY: all zeros is a valid query.
        let mut ask: bpf_fib_lookup = unsafe { core::mem::zeroed() };
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
            helpers::bpf_fib_lookup(
                self.skb.cast(),
                &mut ask,
                size_of::<bpf_fib_lookup>() as i32,
                0,
            )
        };
        match answer as u32 {
            BPF_FIB_LKUP_RET_SUCCESS => {
                let next_hop = NextHop {
                    device: ask.ifindex,
                    destination: ask.dmac,
                    source: ask.smac,
                };
                // SAFETY: the union's members are plain integers.
                Route::Neighbour(next_hop, unsafe { ask.__bindgen_anon_1.mtu_result })
            }
            BPF_FIB_LKUP_RET_NO_NEIGH => Route::Unresolved(ask.ifindex),
            BPF_FIB_LKUP_RET_FRAG_NEEDED => Route::TooBig,
            BPF_FIB_LKUP_RET_NOT_FWDED => Route::Local,
            _ => Route::None,
        }
    }
}

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

/// Sends the packet over a device to the neighbour that its route names; the program's
/// return value.
#[inline(always)]
pub(crate) fn redirect_to_neighbour(device: u32) -> i32 {
    // SAFETY: without parameters the kernel looks the route up itself.
    unsafe { helpers::bpf_redirect_neigh(device, core::ptr::null_mut(), 0, 0) as i32 }
}

/// Sends the packet out of a device as it is; the program's return value.
#[inline(always)]
pub(crate) fn redirect(device: u32) -> i32 {
    // SAFETY: a helper that takes numbers only.
    unsafe { helpers::bpf_redirect(device, 0) as i32 }
}
