//! Ethernet II (IEEE 802.3).
//!
//! ```text
//! | 0 destination (6) | 6 source (6) | 12 type (2) | 14 payload
//! ```

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A link-layer address.
pub type MacAddress = [u8; 6];

/// What the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: EtherType = EtherType(0x0800);
    /// Address resolution (RFC 826).
    pub const ARP: EtherType = EtherType(0x0806);
    /// A VLAN tag (IEEE 802.1Q).
    pub const VLAN: EtherType = EtherType(0x8100);
    /// A service provider's VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: EtherType = EtherType(0x88a8);
    /// IPv6 (RFC 2464).
    pub const IPV6: EtherType = EtherType(0x86dd);
}

/// An Ethernet header.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// Who is to receive the frame.
    pub destination: MacAddress,
    /// Who sent it.
    pub source: MacAddress,
    ether_type: U16,
}

impl Ethernet {
    /// Octets of the header.
    pub const LENGTH: u32 = 14;
    /// Octets from the start of the header to the type.
    pub const ETHER_TYPE: u32 = 12;

    /// A header for a frame between two stations.
    pub fn new(destination: MacAddress, source: MacAddress, ether_type: EtherType) -> Ethernet {
        Ethernet {
            destination,
            source,
            ether_type: U16::new(ether_type.0),
        }
    }

    /// What the payload is.
    pub fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type.get())
    }
}
