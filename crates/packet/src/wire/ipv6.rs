//! The Internet Protocol, version 6 (RFC 8200).
//!
//! ```text
//! | 0 version 4, traffic class 8, flow label 20 | 4 payload length (2) | 6 next header | 7 hop limit |
//! | 8 source (16) | 24 destination (16) | 40
//! ```

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header of a fragment (RFC 8200, section 4.5).
///
/// ```text
/// | 0 next header | 1 reserved | 2 offset 13, reserved 2, more 1 | 4 identification (4) |
/// ```
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Fragment {
    /// What the packet carries.
    pub next_header: u8,
    reserved: u8,
    offset_and_more: U16,
    /// Identification, for reassembly.
    pub identification: [u8; 4],
}

impl Ipv6Fragment {
    /// Octets of the header.
    pub const LENGTH: u32 = 8;

    /// Whether more fragments of the same packet follow behind this one.
    #[inline(always)]
    pub fn more_fragments(&self) -> bool {
        self.offset_and_more.get() & 1 != 0
    }

    /// Where in its packet's fragmentable part the fragment begins, in octets.
    #[inline(always)]
    pub fn fragment_offset(&self) -> u32 {
        u32::from(self.offset_and_more.get() & !7)
    }
}

/// An IPv6 header.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    version_class_label: [u8; 4],
    /// Octets after this header.
    pub payload_length: U16,
    /// What follows.
    pub next_header: u8,
    /// Hops that are left.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

impl Ipv6 {
    /// Octets of the header.
    pub const LENGTH: u32 = 40;

    /// Octets from the start of the header to the hop limit.
    pub const HOP_LIMIT: u32 = 7;
    /// Octets from the start of the header to the source address.
    pub const SOURCE: u32 = 8;
    /// Octets from the start of the header to the destination address.
    pub const DESTINATION: u32 = 24;

    /// A header with flow label 0; lengths and addresses are the caller's.
    pub fn new(next_header: u8, hop_limit: u8, traffic_class: u8) -> Ipv6 {
        Ipv6 {
            version_class_label: [0x60 | traffic_class >> 4, traffic_class << 4, 0, 0],
            payload_length: U16::ZERO,
            next_header,
            hop_limit,
            source: [0; 16],
            destination: [0; 16],
        }
    }

    /// DSCP and ECN.
    pub fn traffic_class(&self) -> u8 {
        let [first, second, ..] = self.version_class_label;
        first << 4 | second >> 4
    }

    /// The version field; 6 in a header that is what it claims to be.
    pub fn version(&self) -> u8 {
        self.version_class_label[0] >> 4
    }
}
