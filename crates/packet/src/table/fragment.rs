//! What is remembered of packets that come in fragments: only the first of them has ports.
//!
//! ```text
//! FRAGMENTS   hash: FragmentKey to ports 32, as in a packet | when the first one came 32
//! ENDPOINTS   hash: Endpoint to nothing
//! ```
//!
//! A fragment that comes before the first of its packet is held only if one of its ends is a
//! virtual address or a real server's: all others are none of a director's business.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::family::{Family, Packet, Piece};
use crate::table::settings::Ticks;

/// How many packets in fragments are remembered; the one idle longest is forgotten first.
pub const FRAGMENTS: u32 = 1 << 14;

/// Tells the fragments of a packet from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FragmentKey {
    source: [u8; 16],
    destination: [u8; 16],
    identification: u32,
    protocol: u8,
    family: u8,
    unused: [u8; 2],
}

impl FragmentKey {
    /// The key of a packet's fragments.
    #[inline(always)]
    pub fn of<F: Family>(packet: &Packet<F>, piece: Piece) -> FragmentKey {
        FragmentKey {
            source: F::to_octets(packet.source),
            destination: F::to_octets(packet.destination),
            identification: piece.identification,
            protocol: packet.protocol,
            family: F::NUMBER,
            unused: [0; 2],
        }
    }
}

/// An address whose packets may be connections' that are known here; or a real server's address
/// and port, from which answers come.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Endpoint {
    /// The address; IPv4 in the first four octets.
    pub address: [u8; 16],
    /// The port, as in a packet; 0 for the address alone.
    pub port: [u8; 2],
    /// The protocol of the port; 0 for any, which services of firewall marks have.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
}

impl Endpoint {
    /// The endpoint with this address.
    #[inline(always)]
    pub fn of<F: Family>(address: F::Address) -> Endpoint {
        Endpoint {
            address: F::to_octets(address),
            port: [0; 2],
            protocol: 0,
            family: F::NUMBER,
        }
    }

    /// The real server at a port of this address, as in a packet.
    #[inline(always)]
    pub fn at_port(self, port: [u8; 2], protocol: u8) -> Endpoint {
        Endpoint {
            port,
            protocol,
            ..self
        }
    }
}

/// What is remembered of a first fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered(pub u64);

impl Remembered {
    /// Its ports, as in a packet, and when it came.
    #[inline(always)]
    pub fn new(ports: u32, now: Ticks) -> Remembered {
        Remembered(u64::from(ports) | u64::from(now) << 32)
    }

    /// The ports, unless they are from too long ago: identifications come again.
    #[inline(always)]
    pub fn ports(self, now: Ticks, limit: Ticks) -> Option<u32> {
        let age = now.wrapping_sub((self.0 >> 32) as u32);
        (age <= limit).then_some(self.0 as u32)
    }
}
