//! The Internet Protocol, version 4 (RFC 791).
//!
//! ```text
//! | 0 version 4, header words 4 | 1 DSCP 6, ECN 2 | 2 total length (2) |
//! | 4 identification (2) | 6 reserved, DF, MF, fragment offset 13 |
//! | 8 TTL | 9 protocol | 10 header checksum (2) |
//! | 12 source (4) | 16 destination (4) | 20 options
//! ```

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::fold;

/// An IPv4 header without its options.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    version_and_words: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Octets of header and payload.
    pub total_length: U16,
    /// Identification, for reassembly.
    pub identification: U16,
    flags_and_offset: U16,
    /// Time to live, in hops.
    pub time_to_live: u8,
    /// What the payload is.
    pub protocol: u8,
    /// The header's checksum, as it stands in memory.
    pub checksum: [u8; 2],
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

impl Ipv4 {
    /// Octets of a header without options.
    pub const LENGTH: u32 = 20;
    const DONT_FRAGMENT: u16 = 0x4000;
    const MORE_FRAGMENTS: u16 = 0x2000;
    const OFFSET: u16 = 0x1fff;

    /// A header without options; checksum, lengths and addresses are the caller's.
    pub fn new(protocol: u8, time_to_live: u8, dont_fragment: bool) -> Ipv4 {
        Ipv4 {
            version_and_words: 0x45,
            traffic_class: 0,
            total_length: U16::ZERO,
            identification: U16::ZERO,
            flags_and_offset: U16::new(if dont_fragment {
                Self::DONT_FRAGMENT
            } else {
                0
            }),
            time_to_live,
            protocol,
            checksum: [0; 2],
            source: [0; 4],
            destination: [0; 4],
        }
    }

    /// Writes the checksum of a header without options.
    #[inline(always)]
    pub fn seal(&mut self) {
        let half = |high: u8, low: u8| u64::from(u16::from_ne_bytes([high, low]));
        let [a, b, c, d] = self.source;
        let [e, f, g, h] = self.destination;
        let [length_high, length_low] = self.total_length.to_bytes();
        let [id_high, id_low] = self.identification.to_bytes();
        let [flags_high, flags_low] = self.flags_and_offset.to_bytes();
        let sum = half(self.version_and_words, self.traffic_class)
            + half(length_high, length_low)
            + half(id_high, id_low)
            + half(flags_high, flags_low)
            + half(self.time_to_live, self.protocol)
            + half(a, b)
            + half(c, d)
            + half(e, f)
            + half(g, h);
        self.checksum = (!fold(sum)).to_ne_bytes();
    }

    /// The version field; 4 in a header that is what it claims to be.
    pub fn version(&self) -> u8 {
        self.version_and_words >> 4
    }

    /// Octets of the header with its options; less than 20 only in a malformed one.
    pub fn header_length(&self) -> u32 {
        u32::from(self.version_and_words & 0xf) * 4
    }

    /// Whether routers may not fragment the packet.
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset.get() & Self::DONT_FRAGMENT != 0
    }

    /// Whether the packet is a later part of a larger one, without a transport header.
    pub fn is_later_fragment(&self) -> bool {
        self.flags_and_offset.get() & Self::OFFSET != 0
    }

    /// Whether more fragments of the same packet follow behind this one.
    #[inline(always)]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset.get() & Self::MORE_FRAGMENTS != 0
    }

    /// Where in its packet's payload the fragment begins, in octets.
    #[inline(always)]
    pub fn fragment_offset(&self) -> u32 {
        u32::from(self.flags_and_offset.get() & Self::OFFSET) << 3
    }
}
