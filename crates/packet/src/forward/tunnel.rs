//! Tunnels (`ip_vs_tunnel_xmit`, `ip_vs_prepare_tunneled_skb` in the kernel): the packet
//! travels to the real server inside another one.
//!
//! ```text
//! ipip  | outer IP | packet                                     RFC 2003, RFC 2473, RFC 4213
//! gre   | outer IP | 0 C, flags 0 (2) | 2 EtherType (2) | with C: 4 checksum (2) | 6 reserved (2) | packet   RFC 2784
//! gue   | outer IP | UDP, checksum 0 or not | 0 version 0, header words 0 | 1 protocol | 2 flags 0 (2) | packet
//! ```

use zerocopy::{Immutable, IntoBytes};

use super::Exit;
use crate::checksum::{fold, sum_of_words};
use crate::family::{Family, Outer};
use crate::frame::{Encapsulation, Frame, Verdict};
use crate::reason::Reason;
use crate::table::Words;
use crate::table::destination::{Destination, TUNNEL_SOURCE_WORD, tunnel};
use crate::table::settings::{Settings, behaviour};
use crate::wire::{Ethernet, UdpHeader, protocol};

/// Octets of a GUE header without extensions (draft-ietf-intarea-gue, section 3.1).
const GUE_HEADER: u32 = 4;
/// Octets of a GRE header without options.
const GRE_HEADER: u32 = 4;
/// Octets of the checksum in a GRE header, and of what is reserved beside it.
const GRE_CHECKSUM: u32 = 4;
/// The bit C of the first two octets of a GRE header: it has a checksum.
const GRE_HAS_CHECKSUM: [u8; 2] = [0x80, 0];

/// The source ports of GUE packets, which tell connections apart for routers that spread
/// them: those that the kernel gives out by default (`ip_local_port_range`).
const FIRST_SOURCE_PORT: u32 = 32768;
const SOURCE_PORTS: u32 = 28232;

/// The least packet that IPv6 takes whole everywhere (RFC 8200, section 5).
pub const LEAST_IPV6_LINK: u32 = 1280;

/// Octets that a tunnel to this destination adds to a packet.
#[inline(always)]
pub fn overhead<O: Family, W: Words>(destination: Destination<W>) -> u32 {
    O::HEADER
        + match destination.tunnel() {
            tunnel::GUE => UdpHeader::LENGTH + GUE_HEADER,
            tunnel::GRE if destination.has_tunnel_checksum() => GRE_HEADER + GRE_CHECKSUM,
            tunnel::GRE => GRE_HEADER,
            _ => 0,
        }
}

/// The source that packets to this destination's end of the tunnel have.
#[inline(always)]
pub fn source<O: Family, W: Words>(destination: Destination<W>) -> O::Address {
    let first = destination.0.load(TUNNEL_SOURCE_WORD);
    let second = destination.0.load(TUNNEL_SOURCE_WORD + 1);
    O::from_words(first, second)
}

/// The protocol after the outer header of a tunnel that carries `F`.
#[inline(always)]
pub fn outer_protocol<F: Family, W: Words>(destination: Destination<W>) -> u8 {
    match destination.tunnel() {
        tunnel::GUE => protocol::UDP,
        tunnel::GRE => protocol::GRE,
        _ => F::IN_IP,
    }
}

/// Puts a packet of the family `F` into one of the family `O`, and sends it. `flow` is the
/// same for all packets of a connection. With a checksum, `SUMS`, if the tunnel is to have one
/// and the packet's sum can be told; the kernel's headers of segments that are cut later have
/// no place for theirs.
#[inline(always)]
pub fn encapsulate<F: Family, O: Family, P: Frame, W: Words, const SUMS: bool>(
    frame: &mut P,
    destination: Destination<W>,
    exit: Exit,
    flow: u32,
    settings: Settings<W>,
) -> Result<Verdict, Reason> {
    let discovers_mtu = settings.behaviour() & behaviour::NO_PMTU_DISC == 0;
    if exit.is_here() {
        return exit.send::<F, P>(frame);
    }
    let sum = if SUMS && destination.has_tunnel_checksum() && frame.segment_payload() == 0 {
        sum_in_tunnel::<F, P>(frame)
    } else {
        NO_SUM
    };
    let inner = F::enter_tunnel(frame)?;
    let after_outer = outer_protocol::<F, W>(destination);
    let mut octets = overhead::<O, W>(destination);
    if SUMS && after_outer == protocol::GRE && destination.has_tunnel_checksum() && sum == NO_SUM {
        octets -= GRE_CHECKSUM;
    }
    let room = Encapsulation {
        octets,
        family: O::NUMBER,
        protocol: after_outer,
    };
    if !frame.grow(room) {
        return Err(Reason::NotWritable);
    }
    let outer = Outer::<O> {
        source: source::<O, W>(destination),
        destination: super::address_of::<O, W>(destination),
        protocol: after_outer,
        hops: inner.hops,
        traffic_class: without_congestion(inner.traffic_class),
        dont_fragment: inner.dont_fragment && discovers_mtu,
        payload: inner.length + octets - O::HEADER,
    };
    let after = Ethernet::LENGTH + O::HEADER;
    let is_written = O::write_outer(frame, &outer)
        && match after_outer {
            protocol::UDP => {
                let port = FIRST_SOURCE_PORT + ((spread(flow) * SOURCE_PORTS) >> 16);
                let mut header = Gue {
                    source: (port as u16).to_be_bytes(),
                    destination: destination.tunnel_port().to_ne_bytes(),
                    length: ((inner.length + UdpHeader::LENGTH + GUE_HEADER) as u16).to_be_bytes(),
                    checksum: [0; 2],
                    gue: [0, F::IN_IP, 0, 0],
                };
                if SUMS && sum != NO_SUM {
                    header.checksum = header.seal(&outer, sum).to_ne_bytes();
                }
                put(frame, after, &header)
            }
            protocol::GRE if SUMS && sum != NO_SUM => {
                let [first, second] = GRE_HAS_CHECKSUM;
                let [high, low] = F::ETHER_TYPE.0.to_be_bytes();
                let own = half(GRE_HAS_CHECKSUM) + half([high, low]);
                let [sum_first, sum_second] = (!fold(sum + own)).to_ne_bytes();
                let header = [first, second, high, low, sum_first, sum_second, 0, 0];
                put(frame, after, &header)
            }
            protocol::GRE => {
                let [high, low] = F::ETHER_TYPE.0.to_be_bytes();
                put(frame, after, &[0, 0, high, low])
            }
            _ => true,
        };
    if !is_written {
        return Err(Reason::NotWritable);
    }
    exit.send::<O, P>(frame)
}

/// UDP and GUE headers.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Gue {
    source: [u8; 2],
    destination: [u8; 2],
    length: [u8; 2],
    checksum: [u8; 2],
    gue: [u8; 4],
}

impl Gue {
    /// The UDP checksum (RFC 768; RFC 8200, section 8.1), of which the data after these headers
    /// have this sum.
    #[inline(always)]
    fn seal<O: Family>(&self, outer: &Outer<O>, sum: u64) -> u16 {
        let [version, protocol, first_flags, second_flags] = self.gue;
        let all = sum
            + sum_of_words(O::to_words(outer.source))
            + sum_of_words(O::to_words(outer.destination))
            + half([0, protocol::UDP])
            + 2 * half(self.length)
            + half(self.source)
            + half(self.destination)
            + half([version, protocol])
            + half([first_flags, second_flags]);
        match !fold(all) {
            0 => u16::MAX,
            checksum => checksum,
        }
    }
}

/// Stands for the sum of a packet that cannot be told; no packet's own, since none is all zeros.
const NO_SUM: u64 = 0;

/// The sum over a packet as it will be in a tunnel, one hop further; [`NO_SUM`] if it cannot be
/// told.
///
/// A function of its own, for its stack.
#[inline(never)]
fn sum_in_tunnel<F: Family, P: Frame>(frame: &P) -> u64 {
    match F::sum_in_tunnel(frame) {
        Some(sum) => u64::from(fold(sum)),
        None => NO_SUM,
    }
}

/// Two octets as a sum takes them.
#[inline(always)]
fn half(octets: [u8; 2]) -> u64 {
    u16::from_ne_bytes(octets).into()
}

#[inline(always)]
fn put<P: Frame, T: IntoBytes + Immutable>(frame: &mut P, at: u32, header: &T) -> bool {
    frame.write(at, header)
}

/// 16 bits of 32.
#[inline(always)]
fn spread(flow: u32) -> u32 {
    flow.wrapping_mul(0x9e37_79b1) >> 16
}

/// The outer packet's traffic class: what it says of congestion begins anew, since nobody
/// in the tunnel has met any (`INET_ECN_encapsulate` in the kernel).
#[inline(always)]
fn without_congestion(traffic_class: u8) -> u8 {
    const EXPERIENCED: u8 = 3;
    const CAPABLE: u8 = 2;
    if traffic_class & EXPERIENCED == EXPERIENCED {
        traffic_class & !EXPERIENCED | CAPABLE
    } else {
        traffic_class
    }
}
