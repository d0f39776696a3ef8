//! The Stream Control Transmission Protocol (RFC 9260, section 3), as much of it as a
//! director reads.
//!
//! ```text
//! common header  | 0 source port (2) | 2 destination port (2) | 4 verification tag (4) |
//!                | 8 checksum: CRC32c, least significant octet first (4) | 12 chunks
//! chunk          | 0 type | 1 flags | 2 length with this header (2) | 4 value, padded to 4
//! ```

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The head of a chunk.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SctpChunk {
    /// What it is.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Octets of the chunk without its padding.
    pub length: U16,
}

/// The common header and the head of the first chunk.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SctpStart {
    /// Source and destination port, as they stand in memory.
    pub ports: [u8; 4],
    /// The verification tag.
    pub tag: [u8; 4],
    /// The checksum, as it stands in memory.
    pub checksum: [u8; 4],
    /// The first chunk.
    pub chunk: SctpChunk,
}

impl SctpChunk {
    /// Octets of the head of a chunk.
    pub const LENGTH: u32 = 4;
}

impl SctpStart {
    /// Octets of the common header.
    pub const COMMON_LENGTH: u32 = 12;
    /// Octets from the start of the header to the checksum.
    pub const CHECKSUM: u32 = 8;
}
