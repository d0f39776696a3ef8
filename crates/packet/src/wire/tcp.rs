//! The Transmission Control Protocol (RFC 9293), as much of it as a director reads.
//!
//! ```text
//! | 0 source port (2) | 2 destination port (2) | 4 sequence number (4) |
//! | 8 acknowledgment number (4) | 12 data offset 4, reserved 4 | 13 flags | 14 window (2) |
//! | 16 checksum (2) | 18 urgent pointer (2)
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The flags that decide over a connection's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;

    /// Whether any of these flags is set.
    pub fn any(self, flags: u8) -> bool {
        self.0 & flags != 0
    }
}

/// The first 14 octets of a TCP header.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TcpStart {
    /// Source and destination port, as they stand in memory.
    pub ports: [u8; 4],
    /// Sequence number.
    pub sequence: [u8; 4],
    /// Acknowledgment number.
    pub acknowledgment: [u8; 4],
    /// Words of the header, in the upper half.
    pub data_offset: u8,
    /// The flags.
    pub flags: u8,
}

impl TcpStart {
    /// Octets of a whole header without options.
    pub const LEAST_LENGTH: u32 = 20;
    /// Octets from the start of the TCP header to its checksum.
    pub const CHECKSUM: u32 = 16;

    /// Octets of the header with its options.
    pub fn header_length(&self) -> u32 {
        u32::from(self.data_offset >> 4) * 4
    }
}
