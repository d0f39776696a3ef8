//! The Address Resolution Protocol for IPv4 over Ethernet (RFC 826).
//!
//! ```text
//! | 0 hardware 1 (2) | 2 protocol 0x0800 (2) | 4 octets of a MAC, 6 | 5 of an address, 4 |
//! | 6 operation (2) | 8 sender's MAC (6) | 14 sender (4) | 18 target's MAC (6) | 24 target (4)
//! ```

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::MacAddress;

/// An ARP packet.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Arp {
    kinds_and_lengths: [u8; 6],
    operation: U16,
    /// The sender's link-layer address.
    pub sender_mac: MacAddress,
    /// The sender's address.
    pub sender: [u8; 4],
    /// The target's link-layer address.
    pub target_mac: MacAddress,
    /// The target's address.
    pub target: [u8; 4],
}

impl Arp {
    /// Octets from the start of the packet to the sender's address.
    pub const SENDER: u32 = 14;
    /// What stands before the operation: Ethernet, IPv4, and the lengths of their addresses.
    const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];
    const REQUEST: u16 = 1;
    const REPLY: u16 = 2;

    /// Whether it asks for a target's link-layer address.
    pub fn is_request(&self) -> bool {
        self.is(Self::REQUEST)
    }

    /// Whether it tells the sender's.
    pub fn is_reply(&self) -> bool {
        self.is(Self::REPLY)
    }

    fn is(&self, operation: u16) -> bool {
        self.kinds_and_lengths == Self::IPV4_OVER_ETHERNET && self.operation.get() == operation
    }
}
