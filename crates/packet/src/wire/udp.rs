//! The User Datagram Protocol (RFC 768).
//!
//! ```text
//! | 0 source port (2) | 2 destination port (2) | 4 length (2) | 6 checksum (2), 0 for none
//! ```

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A UDP header.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UdpHeader {
    /// Source and destination port, as they stand in memory.
    pub ports: [u8; 4],
    /// Octets of header and payload.
    pub length: U16,
    /// The checksum, as it stands in memory; 0 if the sender made none.
    pub checksum: [u8; 2],
}

impl UdpHeader {
    /// Octets of the header.
    pub const LENGTH: u32 = 8;
    /// Octets from the start of the header to the checksum.
    pub const CHECKSUM: u32 = 6;
}
