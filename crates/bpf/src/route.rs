//! What the kernel's routes and neighbours say.

use core::ffi::c_void;
use core::mem::{MaybeUninit, size_of};

use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH,
    BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup,
};
use aya_ebpf::helpers::generated as helpers;
use elver_packet::family::Family;
use elver_packet::frame::{NextHop, Route, RouteQuery, Way};

use crate::octets::Aligned;

/// `AF_INET` and `AF_INET6` of `bits/socket.h`.
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

/// Where routes lead a packet that came in by a device; `context` is the program's own.
#[inline(always)]
pub(crate) fn route<F: Family>(context: *mut c_void, device: u32, query: &RouteQuery<F>) -> Route {
    let mut found = Found {
        neighbour: [0; 2],
        device,
        largest: 0,
        family: 0,
        next_hop: NextHop([0; 2]),
    };
    let answer = look_up(context, query, &mut found);
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

/// What the kernel's routes say, in as little room as it takes: the stack has none to spare.
/// Before they are asked, `device` is the one that the packet came in by.
struct Found {
    neighbour: [u64; 2],
    device: u32,
    largest: u16,
    family: u8,
    next_hop: NextHop,
}

/// Asks the kernel's routes; gives its answer's code.
///
/// A function of its own, since the query is large for the caller's stack frame and it is
/// asked once a second and real server. One that returned more than a number would leave
/// a pointer into its own frame in the register that returns it.
#[inline(never)]
fn look_up<F: Family>(context: *mut c_void, query: &RouteQuery<F>, found: &mut Found) -> u32 {
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
    ask.ifindex = found.device;
    ask.family = if F::NUMBER == 4 { AF_INET } else { AF_INET6 };
    // An IPv4 address is the first word.
    ask.__bindgen_anon_3.ipv6_src = four_words(F::to_words(query.source));
    ask.__bindgen_anon_4.ipv6_dst = four_words(F::to_words(query.destination));
    // SAFETY: the context is valid and the length is that of the query.
    let answer =
        unsafe { helpers::bpf_fib_lookup(context, ask, size_of::<bpf_fib_lookup>() as i32, 0) };
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

#[inline(always)]
fn four_words([first, second]: [u64; 2]) -> [u32; 4] {
    [
        first as u32,
        (first >> 32) as u32,
        second as u32,
        (second >> 32) as u32,
    ]
}
