//! The kernel shell of what a real server does with packets: entry points and maps.
//!
//! An object of its own, with maps of its own, so that a host that is no director has nothing
//! of one. There are no decisions here: [`elver_packet::real_server`] makes them. On the host
//! the crate builds to an empty program.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    allow(
        internal_features,
        reason = "the target has no other atomic operations"
    )
)]

#[cfg(target_arch = "bpf")]
#[path = "../notes.rs"]
mod notes;
#[cfg(target_arch = "bpf")]
#[path = "../octets.rs"]
mod octets;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
#[path = "../route.rs"]
mod route;
#[cfg(target_arch = "bpf")]
#[path = "../shared.rs"]
mod shared;
#[cfg(target_arch = "bpf")]
#[path = "../skb.rs"]
mod skb;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier would refuse a program in which this can be reached.
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
