//! Taking a packet out of the tunnel in which a director sent it.
//!
//! The layouts are those of [`crate::forward::tunnel`]. The kernel does the same with the modules
//! ipip, ip_gre and fou and a device for each; here a packet goes on at the device that it came
//! by, so that a filter of sources (`rp_filter`) sees the client where its answers go.
//!
//! Checksums of the tunnel's own headers are not looked at: the packet inside has its own.

use super::{AddressKey, GUE_PORTS, GUE_PORTS_WORD, Outcome, RoleTables, VIP_ROOM_WORD, vip};
use crate::checksum::Difference;
use crate::family::{Family, Packet, V4, V6};
use crate::frame::{Frame, Route, RouteQuery};
use crate::icmp::Icmp;
use crate::process::tunnel_error::{content, headers};
use crate::table::Words;
use crate::wire::{Ethernet, protocol};

/// The mark that a router leaves on what comes through a congested link (RFC 3168, section 5).
const CONGESTION_EXPERIENCED: u8 = 3;

/// What becomes of a packet of the family `O` that arrives: one in a tunnel to a virtual address
/// comes out, if a director sent it. None for what is not in such a tunnel.
#[inline(always)]
pub(super) fn arrive<O: Icmp, P: Frame, T: RoleTables>(
    frame: &mut P,
    tables: &T,
) -> Option<Outcome> {
    if !frame.addressed_to_us() {
        return None;
    }
    let (packet, piece) = O::parse_piece(frame).ok()?;
    let carrier = match packet.protocol {
        // The header of a later fragment of IPv6 says what the packet is.
        protocol::FRAGMENT => {
            let [carrier] = frame.read::<[u8; 1]>(packet.transport)?;
            carrier
        }
        carrier => carrier,
    };
    match carrier {
        protocol::IPIP | protocol::IPV6 | protocol::GRE => {}
        // Ports stand in the first fragment only.
        protocol::UDP if piece.offset == 0 && is_gue(frame, tables, packet.transport) => {}
        _ => return None,
    }
    let is_from_director = tables.is_director(&AddressKey::of::<O>(packet.source));
    if piece.is_fragment() {
        let is_ours = is_from_director && is_for_host(frame, &packet);
        return is_ours.then_some(Outcome::FragmentedTunnel);
    }
    let begin = packet.transport + headers(frame, carrier, packet.transport);
    let end = Ethernet::LENGTH + packet.length;
    let inside = match content(frame, carrier, packet.transport) {
        protocol::IPIP => look::<V4, P, T>(frame, tables, begin, end),
        protocol::IPV6 => look::<V6, P, T>(frame, tables, begin, end),
        _ if carrier == protocol::UDP => Inside::Malformed,
        // GRE of another kind: it has a key, or carries frames.
        _ => return None,
    };
    if matches!(inside, Inside::ForAnother) || !is_for_host(frame, &packet) {
        return None;
    }
    Some(match (inside, is_from_director) {
        // What others send each other in tunnels is theirs.
        (Inside::Malformed, false) => return None,
        (_, false) => Outcome::NotFromDirector,
        (Inside::Malformed, true) => Outcome::MalformedTunnel,
        (Inside::Nested, true) => Outcome::NestedTunnel,
        (Inside::V6, true) => take_out::<V6, O, P, T>(frame, tables, begin),
        (_, true) => take_out::<V4, O, P, T>(frame, tables, begin),
    })
}

/// What a packet in a tunnel is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Inside {
    /// IPv4, for a virtual address.
    V4,
    /// IPv6, for a virtual address.
    V6,
    /// For a virtual address, and a tunnel itself.
    Nested,
    /// Not for a virtual address.
    ForAnother,
    /// Cut off, or contradicts itself.
    Malformed,
}

/// What the packet of the family `F` is that begins and ends there.
#[inline(never)]
fn look<F: Icmp, P: Frame, T: RoleTables>(frame: &P, tables: &T, begin: u32, end: u32) -> Inside {
    frame.reach(begin);
    let Some(packet) = F::quoted(frame, begin) else {
        return Inside::Malformed;
    };
    let header = packet.transport.wrapping_sub(begin);
    if packet.length < header || begin + packet.length > end {
        return Inside::Malformed;
    }
    if vip::<F, T>(tables, packet.destination).is_none() {
        return Inside::ForAnother;
    }
    match packet.protocol {
        protocol::IPIP | protocol::IPV6 | protocol::GRE => Inside::Nested,
        protocol::UDP if !packet.is_later_fragment && is_gue(frame, tables, packet.transport) => {
            Inside::Nested
        }
        _ if F::NUMBER == 4 => Inside::V4,
        _ => Inside::V6,
    }
}

/// Whether a UDP header that begins there names a port of GUE.
#[inline(always)]
fn is_gue<P: Frame, T: RoleTables>(frame: &P, tables: &T, at: u32) -> bool {
    let (Some([_, port]), Some(role)) = (frame.read::<[u16; 2]>(at), tables.role()) else {
        return false;
    };
    let ports = role.load(GUE_PORTS_WORD);
    let mut place = 0;
    while place < GUE_PORTS {
        if port != 0 && (ports >> (16 * place)) as u16 == port {
            return true;
        }
        place += 1;
    }
    false
}

/// Whether a packet is for an address of this host, and not to be forwarded.
#[inline(always)]
fn is_for_host<O: Family, P: Frame>(frame: &P, packet: &Packet<O>) -> bool {
    let route = frame.route(&RouteQuery::<O> {
        source: packet.source,
        destination: packet.destination,
        protocol: packet.protocol,
        length: 0,
    });
    matches!(route, Route::LocalOrNone | Route::NotForwarding)
}

/// Takes the packet of the family `F` that begins there out of the one of the family `O`.
#[inline(never)]
fn take_out<F: Icmp, O: Icmp, P: Frame, T: RoleTables>(
    frame: &mut P,
    tables: &T,
    begin: u32,
) -> Outcome {
    let overhead = begin - Ethernet::LENGTH;
    if congestion::<O, P>(frame, Ethernet::LENGTH) == CONGESTION_EXPERIENCED {
        match congestion::<F, P>(frame, begin) {
            0 => return Outcome::Congestion,
            CONGESTION_EXPERIENCED => {}
            _ if mark::<F, P>(frame, begin) => {}
            _ => return Outcome::NotWritable,
        }
    }
    learn_room::<F, P, T>(frame, tables, begin);
    let is_out = frame.strip(overhead, O::NUMBER, F::NUMBER)
        && frame.write(Ethernet::ETHER_TYPE, &F::ETHER_TYPE.0.to_be_bytes());
    if is_out {
        Outcome::Decapsulated
    } else {
        Outcome::NotWritable
    }
}

/// Remembers with the virtual address how large a packet may be that comes through this tunnel.
#[inline(always)]
fn learn_room<F: Icmp, P: Frame, T: RoleTables>(frame: &P, tables: &T, begin: u32) {
    let Some(packet) = F::quoted(frame, begin) else {
        return;
    };
    let (Some(vip), Some(device)) = (
        vip::<F, T>(tables, packet.destination),
        tables.device(frame.device()),
    ) else {
        return;
    };
    let largest = u64::from(device.load(0) as u32);
    let room = largest.saturating_sub(u64::from(begin - Ethernet::LENGTH));
    let known = vip.load(VIP_ROOM_WORD);
    if room != 0 && (known == 0 || room < known) {
        vip.store(VIP_ROOM_WORD, room);
    }
}

/// Where in the second octet of an IP header the mark of congestion stands, which is the
/// last of its traffic class.
#[inline(always)]
const fn congestion_shift<F: Family>() -> u32 {
    if F::NUMBER == 4 { 0 } else { 4 }
}

/// The mark of congestion of the packet that begins there; 0 if its sender does not know of it.
#[inline(always)]
fn congestion<F: Family, P: Frame>(frame: &P, at: u32) -> u8 {
    let octet = frame.read::<[u8; 1]>(at + 1);
    octet.map_or(0, |[octet]| {
        (octet >> congestion_shift::<F>()) & CONGESTION_EXPERIENCED
    })
}

/// Marks the packet that begins there (RFC 6040, section 4.2, as `INET_ECN_decapsulate` in the
/// kernel).
#[inline(always)]
fn mark<F: Family, P: Frame>(frame: &mut P, at: u32) -> bool {
    const CHECKSUM: u32 = 10;
    let Some([first, second]) = frame.read::<[u8; 2]>(at) else {
        return false;
    };
    let marked = [
        first,
        second | CONGESTION_EXPERIENCED << congestion_shift::<F>(),
    ];
    let is_sealed = F::NUMBER != 4
        || frame
            .read::<[u8; 2]>(at + CHECKSUM)
            .is_some_and(|checksum| {
                let old = u16::from_ne_bytes([first, second]);
                let difference = Difference::of_half(old, u16::from_ne_bytes(marked));
                let checksum = difference.apply(u16::from_ne_bytes(checksum));
                frame.write(at + CHECKSUM, &checksum.to_ne_bytes())
            });
    is_sealed && frame.write(at, &marked)
}
