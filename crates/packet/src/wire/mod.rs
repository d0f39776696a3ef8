//! Headers as they are on the wire.
//!
//! A header is a value that is read out of a frame and written back; nothing here
//! refers to packet memory. Multi-byte fields are big endian.

mod arp;
mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod sctp;
mod tcp;
mod udp;

pub use arp::Arp;
pub use ethernet::{EtherType, Ethernet, MacAddress};
pub use icmp::{IcmpHeader, IcmpKind};
pub use ipv4::Ipv4;
pub use ipv6::{Ipv6, Ipv6Fragment};
pub use sctp::{SctpChunk, SctpStart};
pub use tcp::{TcpFlags, TcpStart};
pub use udp::UdpHeader;

/// IP protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 inside IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Generic routing encapsulation.
    pub const GRE: u8 = 47;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}
