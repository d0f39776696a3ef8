//! Tunnels (`ip_vs_tunnel_xmit`, `ip_vs_prepare_tunneled_skb` in the kernel): the packet
//! travels to the real server inside another one.
//!
//! ```text
//! ipip  | outer IP | packet                                     RFC 2003, RFC 2473, RFC 4213
//! gre   | outer IP | 0 flags 0 (2) | 2 EtherType (2) | packet   RFC 2784
//! gue   | outer IP | UDP, checksum 0 | 0 version 0, header words 0 | 1 protocol | 2 flags 0 (2) | packet
//! ```

use zerocopy::{Immutable, IntoBytes};

use super::Exit;
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
/// same for all packets of a connection.
#[inline(always)]
pub fn encapsulate<F: Family, O: Family, P: Frame, W: Words>(
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
    let inner = F::enter_tunnel(frame)?;
    let octets = overhead::<O, W>(destination);
    let after_outer = outer_protocol::<F, W>(destination);
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
                let header = Gue {
                    source: (port as u16).to_be_bytes(),
                    destination: destination.tunnel_port().to_ne_bytes(),
                    length: ((inner.length + UdpHeader::LENGTH + GUE_HEADER) as u16).to_be_bytes(),
                    checksum: [0; 2],
                    gue: [0, F::IN_IP, 0, 0],
                };
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
