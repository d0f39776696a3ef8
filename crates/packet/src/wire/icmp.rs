//! The Internet Control Message Protocol: RFC 792 for IPv4, RFC 4443 for IPv6.
//!
//! ```text
//! | 0 type | 1 code | 2 checksum (2) | 4 what the type says (4) | 8 an error: the packet it is about
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a message is: its type and its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpKind {
    /// The type.
    pub number: u8,
    /// The code.
    pub code: u8,
}

/// The head of a message.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IcmpHeader {
    /// The type.
    pub number: u8,
    /// The code.
    pub code: u8,
    /// The checksum, as it stands in memory.
    pub checksum: [u8; 2],
    /// What it is depends on the type.
    pub rest: [u8; 4],
}

impl IcmpHeader {
    /// Octets of the header.
    pub const LENGTH: u32 = 8;
    /// Octets from the start of the header to the checksum.
    pub const CHECKSUM: u32 = 2;

    /// What the message is.
    pub fn kind(&self) -> IcmpKind {
        IcmpKind {
            number: self.number,
            code: self.code,
        }
    }
}
