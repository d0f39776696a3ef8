//! Telling the hosts of a link where an address lives now.
//!
//! For IPv4 a gratuitous ARP request as keepalived sends it, 42 octets:
//!
//! ```text
//! Ethernet  ff:ff:ff:ff:ff:ff ← our MAC, type 0x0806
//! ARP       hardware 1, protocol 0x0800, lengths 6 and 4, operation 1 (request)
//!           sender: our MAC, the address     target: ff:ff:ff:ff:ff:ff, the address
//! ```
//!
//! For IPv6 an unsolicited neighbour advertisement (RFC 4861, section 4.4), 86 octets:
//!
//! ```text
//! Ethernet  33:33:00:00:00:01 ← our MAC, type 0x86dd
//! IPv6      the address → ff02::1, hop limit 255, next header 58
//! ICMPv6    type 136, override flag (and router), target: the address, option 2: our MAC
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame_sender::FrameSender;

const BROADCAST: [u8; 6] = [0xff; 6];
/// The Ethernet group of ff02::1 (RFC 2464, section 7).
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;

#[derive(IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Ethernet {
    destination: [u8; 6],
    source: [u8; 6],
    kind: U16,
}

#[derive(IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ArpRequest {
    ethernet: Ethernet,
    hardware: U16,
    protocol: U16,
    hardware_length: u8,
    protocol_length: u8,
    operation: U16,
    sender_mac: [u8; 6],
    sender: [u8; 4],
    target_mac: [u8; 6],
    target: [u8; 4],
}

#[derive(IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct NeighbourAdvertisement {
    ethernet: Ethernet,
    version_class_and_flow: [u8; 4],
    payload_length: U16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
    icmp: NeighbourAdvertisementMessage,
}

#[derive(IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct NeighbourAdvertisementMessage {
    kind: u8,
    code: u8,
    checksum: U16,
    flags: [u8; 4],
    target: [u8; 16],
    option: u8,
    option_length: u8,
    mac: [u8; 6],
}

/// Sends announcements; one for all interfaces of a network namespace.
#[derive(Debug)]
pub struct GratuitousArp {
    sender: FrameSender,
}

impl GratuitousArp {
    /// Opens a packet socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub fn open() -> io::Result<GratuitousArp> {
        let sender = FrameSender::open()?;
        Ok(GratuitousArp { sender })
    }

    /// Says once, on an interface (by index), that `address` is at `mac`. With IPv6, the
    /// announcement also says whether this host is a `router` there.
    ///
    /// # Errors
    /// `ENETDOWN` while the interface is down, `ENXIO` or `ENODEV` if it is not there,
    /// `EWOULDBLOCK` or `ENOBUFS` while its queue is full.
    pub fn announce(
        &self,
        interface: u32,
        mac: [u8; 6],
        address: IpAddr,
        router: bool,
    ) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => self
                .sender
                .send(interface, arp_request(mac, address).as_bytes()),
            IpAddr::V6(address) => self.sender.send(
                interface,
                neighbour_advertisement(mac, address, router).as_bytes(),
            ),
        }
    }
}

fn arp_request(mac: [u8; 6], address: Ipv4Addr) -> ArpRequest {
    ArpRequest {
        ethernet: Ethernet {
            destination: BROADCAST,
            source: mac,
            kind: U16::new(0x0806),
        },
        hardware: U16::new(1),
        protocol: U16::new(0x0800),
        hardware_length: 6,
        protocol_length: 4,
        operation: U16::new(1),
        sender_mac: mac,
        sender: address.octets(),
        target_mac: BROADCAST,
        target: address.octets(),
    }
}

fn neighbour_advertisement(
    mac: [u8; 6],
    address: Ipv6Addr,
    router: bool,
) -> NeighbourAdvertisement {
    let mut icmp = NeighbourAdvertisementMessage {
        kind: 136,
        code: 0,
        checksum: U16::new(0),
        // Override, so that what the neighbours knew is forgotten, and perhaps Router. A host
        // that is a router must say so, or its neighbours drop it from their default routes.
        flags: [if router { 0xa0 } else { 0x20 }, 0, 0, 0],
        target: address.octets(),
        option: 2,
        option_length: 1,
        mac,
    };
    let length = size_of::<NeighbourAdvertisementMessage>() as u16;
    let words = |octets: &[u8]| -> u32 {
        let words = octets.as_chunks::<2>().0.iter();
        words.map(|word| u32::from(u16::from_be_bytes(*word))).sum()
    };
    let sum = words(icmp.as_bytes())
        + words(&address.octets())
        + words(&ALL_NODES.octets())
        + u32::from(length)
        + u32::from(ICMPV6);
    let folded = (sum & 0xffff) + (sum >> 16);
    icmp.checksum = U16::new(!((folded & 0xffff) + (folded >> 16)) as u16);
    NeighbourAdvertisement {
        ethernet: Ethernet {
            destination: ALL_NODES_MAC,
            source: mac,
            kind: U16::new(0x86dd),
        },
        version_class_and_flow: [0x60, 0, 0, 0],
        payload_length: U16::new(length),
        next_header: ICMPV6,
        hop_limit: 255,
        source: address.octets(),
        destination: ALL_NODES.octets(),
        icmp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0xae, 0xe4, 0xb4, 0x71, 0x0d, 0x0e];

    #[test]
    fn the_request_is_byte_for_byte_that_of_keepalived() {
        // Captured from keepalived 2.2.7.
        let captured = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xae, 0xe4, 0xb4, 0x71, 0x0d, 0x0e, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0xae, 0xe4, 0xb4, 0x71, 0x0d, 0x0e,
            0x0a, 0x09, 0x00, 0x6e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a, 0x09, 0x00, 0x6e,
        ];
        assert_eq!(
            arp_request(MAC, Ipv4Addr::new(10, 9, 0, 110)).as_bytes(),
            captured
        );
    }

    #[test]
    fn a_neighbour_advertisement_sums_to_all_ones() {
        let advertisement = neighbour_advertisement(MAC, "fd00::6e".parse().unwrap(), true);
        let octets = advertisement.as_bytes();
        assert_eq!(octets.len(), 86);
        let mut sum: u32 = 58 + 32;
        // From the addresses of the IPv6 header to the end.
        for word in octets[22..].as_chunks::<2>().0 {
            sum += u32::from(u16::from_be_bytes(*word));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff);
    }
}
