//! An ICMP error about a packet of ours that carries another one to a real server
//! (`ip_vs_in_icmp` in the kernel): the client that sent the inner packet is told.

use super::Decision;
use super::answer;
use super::error::{self, key_of};
use crate::checksum::fold;
use crate::forward::{self, tunnel};
use crate::frame::Frame;
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::connection::{self, Direction, destination_of, found_at, has_expired};
use crate::table::destination::{self, method};
use crate::table::settings::Ticks;
use crate::wire::{EtherType, Ethernet, UdpHeader, protocol};

/// Octets between an outer header and the packet, of GRE without options.
const GRE: u32 = 4;
/// The first word of a GRE header: no flags, and what follows.
const IPV4_IN_GRE: u32 = EtherType::IPV4.0 as u32;
/// The same, where IPv6 follows.
const IPV6_IN_GRE: u32 = EtherType::IPV6.0 as u32;
/// The bit there that says that there is a checksum.
const HAS_CHECKSUM: u32 = 1 << 31;
/// The same of GUE without extensions.
const GUE: u32 = UdpHeader::LENGTH + 4;

/// What a packet of this protocol carries, if it is one in a tunnel: [`protocol::IPIP`] or
/// [`protocol::IPV6`], else 0. `at` is where what follows its IP header begins.
#[inline(always)]
pub(crate) fn content<P: Frame>(frame: &P, protocol: u8, at: u32) -> u8 {
    match protocol {
        protocol::IPIP | protocol::IPV6 => protocol,
        protocol::GRE => {
            let header = frame
                .read::<[u8; 4]>(at)
                .map_or(u32::MAX, u32::from_be_bytes);
            // With other flags there would be more in the header.
            match header & !HAS_CHECKSUM {
                IPV4_IN_GRE => protocol::IPIP,
                IPV6_IN_GRE => protocol::IPV6,
                _ => 0,
            }
        }
        protocol::UDP => match frame.read::<[u8; 4]>(at + UdpHeader::LENGTH) {
            Some([0, content, 0, 0]) => content,
            _ => 0,
        },
        _ => 0,
    }
}

/// Octets between an IP header and the packet that one in a tunnel carries; `at` as for
/// [`content`].
#[inline(always)]
pub(crate) fn headers<P: Frame>(frame: &P, protocol: u8, at: u32) -> u32 {
    match protocol {
        protocol::GRE => gre(frame, at),
        protocol::UDP => GUE,
        _ => 0,
    }
}

/// Octets of a GRE header, which a checksum makes longer by 4.
#[inline(always)]
fn gre<P: Frame>(frame: &P, at: u32) -> u32 {
    let first = frame.read::<[u8; 4]>(at).map_or(0, u32::from_be_bytes);
    GRE + ((first & HAS_CHECKSUM) >> 29)
}

/// An error about a packet that carried one of the family `F` in one of the family `O`.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn relay<F: Icmp, O: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let (message, settings) = error::Message::<O>::read(frame, tables)?;
    let outer = &message.quoted;
    let begin = outer.transport + headers(frame, outer.protocol, outer.transport);
    // No header begins that far; Linux 6.1 forgets what a comparison of a number says once it
    // has been on the stack, and has to know that it is small.
    let begin = settings.blur(begin.into()) as u32 & 0x1ff;
    let inner = F::quoted(frame, begin).ok_or(Reason::Unrelated)?;
    let key = key_of(frame, &inner).ok_or(Reason::Unrelated)?;
    let index = connection::locate(tables, &key, &key.place(settings)).ok_or(Reason::Unrelated)?;
    let found = found_at(tables, index.get()).ok_or(Reason::Unrelated)?;
    let destination = destination_of(tables, found.entry).ok_or(Reason::Unrelated)?;
    let heading = destination.heading();
    let is_ours = found.entry.direction() == Direction::Forward
        && found.entry.method() == method::TUNNEL
        && heading.family() == O::NUMBER
        && forward::address_of::<O, _>(destination) == outer.destination
        && tunnel::source::<O, _>(destination) == outer.source
        && tunnel::outer_protocol::<F, _>(destination) == outer.protocol;
    if !is_ours || has_expired(found.entry.life(), now) || !found.is_same() {
        return Err(Reason::Unrelated);
    }
    if heading.flags() & destination::flags::HELD == 0 {
        return Err(Reason::NotHeld);
    }
    if outer.protocol == protocol::UDP {
        let port: [u8; 2] = frame.read(outer.transport + 2).ok_or(Reason::Unrelated)?;
        if u16::from_ne_bytes(port) != destination.tunnel_port() {
            return Err(Reason::Unrelated);
        }
    }
    let packet = &message.packet;
    let length = packet.length + Ethernet::LENGTH - packet.transport;
    let sum = u64::from(
        frame
            .sum(packet.transport, length)
            .ok_or(Reason::Unrelated)?,
    ) + O::pseudo_header(packet.source, packet.destination, length);
    if fold(sum) != 0xffff {
        return Err(Reason::Malformed);
    }
    let told = if message.header.kind() == O::TOO_BIG {
        let largest = O::largest_named(message.header.rest);
        if largest == 0 {
            // A router from before RFC 1191 does not say.
            return Err(Reason::Unrelated);
        }
        let largest = largest.clamp(O::LEAST_LARGEST, 0xffff);
        destination.learn_largest_beyond(largest as u16, now);
        let overhead = tunnel::overhead::<O, _>(destination);
        answer::Message {
            kind: F::TOO_BIG,
            rest: F::naming_largest(largest.saturating_sub(overhead)),
            is_relayed: true,
        }
    } else if F::NUMBER == O::NUMBER {
        answer::Message {
            kind: message.header.kind(),
            rest: [0; 4],
            is_relayed: true,
        }
    } else {
        answer::Message {
            kind: F::HOST_UNREACHABLE,
            rest: [0; 4],
            is_relayed: true,
        }
    };
    tables.count_reason(Reason::TunnelError);
    if !frame.strip(begin - Ethernet::LENGTH, O::NUMBER, F::NUMBER) {
        return Ok(Decision::Refused(Reason::NotWritable, 0));
    }
    Ok(Decision::Later(told.send::<F, P>(frame)))
}
