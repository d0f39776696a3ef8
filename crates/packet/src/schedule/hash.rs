//! Slots that a hash names, as the kernel's IPVS computes it: a client comes to the same
//! real server by either.

use core::num::NonZeroU32;

use super::{Chosen, Client, is_open};
use crate::table::Tables;
use crate::table::destination::Destination;
use crate::table::service::{Service, flags};
use crate::table::settings::Settings;

/// Slots of sh and dh (`IP_VS_SH_TAB_SIZE`, `IP_VS_DH_TAB_SIZE`).
pub const SLOTS: u32 = 256;
/// Slots of mh: the prime that Debian's kernels use (`CONFIG_IP_VS_MH_TAB_INDEX` 12).
pub const MAGLEV_SLOTS: u32 = 4093;

/// Keys of the two hashes of mh (`generate_hash_secret` in `ip_vs_mh.c`).
pub(super) const MAGLEV_KEYS: [u64; 2] = [2_654_435_761, 2_654_446_892];

/// How many other slots mh tries for a client whose own server takes no connection. The
/// kernel tries 4093, which matters where fewer than one slot in fifteen can be used.
const MAGLEV_TRIES: u32 = 64;

/// The slot of sh: of the client's address and, if the service says so, port
/// (`ip_vs_sh_hashkey`).
#[inline(always)]
pub(super) fn source_slot(client: &Client, service_flags: u32) -> u32 {
    multiplicative_slot(client.address.wrapping_add(port(client, service_flags)))
}

/// The slot of dh: of the virtual address (`ip_vs_dh_hashkey`).
#[inline(always)]
pub(super) fn destination_slot(client: &Client) -> u32 {
    multiplicative_slot(client.virtual_address)
}

/// The slot of mh, at some offset (`ip_vs_mh_hashkey`).
#[inline(always)]
pub(super) fn maglev_slot(client: &Client, service_flags: u32, offset: u32) -> u32 {
    let value = client
        .address
        .wrapping_add(port(client, service_flags))
        .wrapping_add(offset);
    short_siphash(value, MAGLEV_KEYS[0]) % MAGLEV_SLOTS
}

#[inline(always)]
fn port(client: &Client, service_flags: u32) -> u32 {
    if service_flags & flags::SCHEDULER_2 != 0 {
        client.port
    } else {
        0
    }
}

/// The upper eight bits of a product with the golden ratio (`hash_32` of `linux/hash.h`).
#[inline(always)]
fn multiplicative_slot(value: u32) -> u32 {
    value.wrapping_mul(0x61c8_8647) >> 24
}

/// SipHash-1-3 of a 32-bit number, with both halves of the key the same, cut to its lower
/// half: what `hsiphash` is on 64-bit machines.
#[inline(always)]
pub(super) fn short_siphash(value: u32, key: u64) -> u32 {
    let mut state = [
        0x736f_6d65_7073_6575 ^ key,
        0x646f_7261_6e64_6f6d ^ key,
        0x6c79_6765_6e65_7261 ^ key,
        0x7465_6462_7974_6573 ^ key,
    ];
    // The length goes into the last octet of the only block.
    let block = u64::from(value) | 4 << 56;
    state[3] ^= block;
    state = sip_round(state);
    state[0] ^= block;
    state[2] ^= 0xff;
    state = sip_round(sip_round(sip_round(state)));
    (state[0] ^ state[1] ^ state[2] ^ state[3]) as u32
}

#[inline(always)]
fn sip_round([a, b, c, d]: [u64; 4]) -> [u64; 4] {
    let a = a.wrapping_add(b);
    let b = b.rotate_left(13) ^ a;
    let a = a.rotate_left(32);
    let c = c.wrapping_add(d);
    let d = d.rotate_left(16) ^ c;
    let a = a.wrapping_add(d);
    let d = d.rotate_left(21) ^ a;
    let c = c.wrapping_add(b);
    let b = b.rotate_left(17) ^ c;
    let c = c.rotate_left(32);
    [a, b, c, d]
}

/// The first server that takes the connection, in the order of slots that hashes with an
/// offset name (`ip_vs_mh_get_fallback`).
#[inline(never)]
pub(super) fn search_maglev<T: Tables>(
    tables: &T,
    service_id: u32,
    client: &Client,
) -> Option<Chosen> {
    let unknown_zero = Settings(tables.settings()?).zero() as u32;
    let service = Service(tables.service(service_id)?);
    let (first, members) = service.members();
    let service_flags = service.flags();
    let members = NonZeroU32::new(members)?.get();
    let mut offset = maglev_slot(client, service_flags, 0) ^ unknown_zero;
    let mut tries = 0u64;
    while tries < u64::from(MAGLEV_TRIES) {
        let slot = maglev_slot(client, service_flags, offset) % members;
        let id = tables.member(first.wrapping_add(slot))?;
        let destination = Destination(tables.destination(id)?);
        if is_open(destination.heading()) {
            return Chosen::new(id ^ unknown_zero);
        }
        offset = (offset.wrapping_add(1) % MAGLEV_SLOTS) ^ unknown_zero;
        tries += 1;
    }
    None
}
