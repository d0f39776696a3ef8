//! What differs between ICMP for IPv4 and ICMP for IPv6.

use crate::checksum::{Difference, sum_of_words};
use crate::family::{Family, V4, V6};
use crate::frame::Frame;
use crate::wire::{
    Ethernet, IcmpHeader, IcmpKind, Ipv4, Ipv6, SctpStart, TcpStart, UdpHeader, protocol,
};

/// The header of a packet that may be cut off after it: one in an ICMP error.
#[derive(Clone, Copy)]
pub struct Quoted<F: Family> {
    /// Who sent it.
    pub source: F::Address,
    /// Whom it was for.
    pub destination: F::Address,
    /// IP protocol number of what follows.
    pub protocol: u8,
    /// Where the transport header begins, in octets from the start of the frame.
    pub transport: u32,
    /// Octets that it says it has, from its header on.
    pub length: u32,
    /// DSCP and ECN; of IPv6, where nothing hangs on them, 0.
    pub traffic_class: u8,
    /// Whether routers may not fragment it.
    pub must_stay_whole: bool,
    /// Whether it is a later fragment, in which no transport header follows.
    pub is_later_fragment: bool,
}

/// An end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// ICMP of an Internet protocol.
pub trait Icmp: Family {
    /// Its IP protocol number.
    const PROTOCOL: u8;
    /// Octets of the packet that an error is about, at most, so that the whole is no larger
    /// than every link takes: 576 octets (RFC 1812, section 4.3.2.3), 1280 (RFC 4443, section
    /// 3).
    const QUOTE: u32;
    /// DSCP and ECN of an error about a packet with these (RFC 1812, section 4.3.2.5: "An ICMP
    /// error message SHOULD have its type of service bits set to the same value", with
    /// precedence 6, internetwork control; for IPv6 the kernel takes none).
    fn traffic_class_of_error(packet: u8) -> u8;

    /// Nobody answers at the port.
    const PORT_UNREACHABLE: IcmpKind;
    /// There is no way to the host.
    const HOST_UNREACHABLE: IcmpKind;
    /// The packet had no hop left.
    const TIME_EXCEEDED: IcmpKind;
    /// The packet is larger than the next link takes.
    const TOO_BIG: IcmpKind;
    /// Whether the checksum covers the addresses too, in a pseudo-header.
    const COVERS_ADDRESSES: bool;
    /// The least packet that is believed to be the largest that a way takes.
    const LEAST_LARGEST: u32;

    /// Whether a message of this type is an error that concerns a connection.
    fn is_error(number: u8) -> bool;

    /// The head's last four octets, in an error that names the largest packet that fits.
    fn naming_largest(octets: u32) -> [u8; 4];

    /// The largest packet that an error names.
    fn largest_named(rest: [u8; 4]) -> u32;

    /// The sum over a message's pseudo-header, if it has one.
    fn pseudo_header(source: Self::Address, destination: Self::Address, length: u32) -> u64;

    /// Whether the address may be that of one host, to which an error can be sent.
    fn is_a_host(address: Self::Address) -> bool;

    /// Whether routers may not fragment the frame's packet.
    fn must_stay_whole<P: Frame>(frame: &P) -> bool;

    /// Reads the header of a packet that begins there.
    fn quoted<P: Frame>(frame: &P, offset: u32) -> Option<Quoted<Self>>;

    /// Writes one address of a packet that begins there, and keeps its header's own checksum
    /// right. Gives how the sum over all that changed.
    fn readdress<P: Frame>(
        frame: &mut P,
        offset: u32,
        end: End,
        old: Self::Address,
        new: Self::Address,
    ) -> Option<Difference>;
}

/// Where a protocol has its checksum, in octets from the start of its header; nothing of a
/// protocol without ports.
#[inline(always)]
pub fn checksum_of(transport: u8) -> Option<u32> {
    match transport {
        protocol::TCP => Some(TcpStart::CHECKSUM),
        protocol::UDP => Some(UdpHeader::CHECKSUM),
        protocol::SCTP => Some(SctpStart::CHECKSUM),
        _ => None,
    }
}

impl Icmp for V4 {
    const PROTOCOL: u8 = protocol::ICMP;
    const QUOTE: u32 = 576 - Ipv4::LENGTH - IcmpHeader::LENGTH;
    const PORT_UNREACHABLE: IcmpKind = IcmpKind { number: 3, code: 3 };
    const HOST_UNREACHABLE: IcmpKind = IcmpKind { number: 3, code: 1 };
    const TIME_EXCEEDED: IcmpKind = IcmpKind {
        number: 11,
        code: 0,
    };
    const TOO_BIG: IcmpKind = IcmpKind { number: 3, code: 4 };
    const COVERS_ADDRESSES: bool = false;
    /// `min_pmtu` in the kernel: less is rather an attack than a link.
    const LEAST_LARGEST: u32 = 552;

    /// Destination unreachable, source quench, time exceeded (`ip_vs_in_icmp` in the kernel).
    #[inline(always)]
    fn traffic_class_of_error(packet: u8) -> u8 {
        const TYPE_OF_SERVICE: u8 = 0x1e;
        const INTERNETWORK_CONTROL: u8 = 0xc0;
        packet & TYPE_OF_SERVICE | INTERNETWORK_CONTROL
    }

    #[inline(always)]
    fn is_error(number: u8) -> bool {
        matches!(number, 3 | 4 | 11)
    }

    #[inline(always)]
    fn naming_largest(octets: u32) -> [u8; 4] {
        let [high, low] = (octets as u16).to_be_bytes();
        [0, 0, high, low]
    }

    #[inline(always)]
    fn largest_named([_, _, high, low]: [u8; 4]) -> u32 {
        u16::from_be_bytes([high, low]).into()
    }

    #[inline(always)]
    fn pseudo_header(_source: u32, _destination: u32, _length: u32) -> u64 {
        0
    }

    /// RFC 1812, section 4.3.2.7: no error about "a packet whose source address does not
    /// uniquely identify a single host".
    #[inline(always)]
    fn is_a_host(address: u32) -> bool {
        let [first, ..] = address.to_ne_bytes();
        first != 0 && first != 127 && first < 224
    }

    #[inline(always)]
    fn must_stay_whole<P: Frame>(frame: &P) -> bool {
        const FLAGS: u32 = 6;
        const DONT_FRAGMENT: u8 = 0x40;
        let flags: Option<u8> = frame.read(Ethernet::LENGTH + FLAGS);
        flags.is_some_and(|flags| flags & DONT_FRAGMENT != 0)
    }

    #[inline(always)]
    fn quoted<P: Frame>(frame: &P, offset: u32) -> Option<Quoted<V4>> {
        let header: Ipv4 = frame.read(offset)?;
        if header.version() != 4 || header.header_length() < Ipv4::LENGTH {
            return None;
        }
        Some(Quoted {
            source: u32::from_ne_bytes(header.source),
            destination: u32::from_ne_bytes(header.destination),
            protocol: header.protocol,
            transport: offset + header.header_length(),
            length: header.total_length.get().into(),
            traffic_class: header.traffic_class,
            must_stay_whole: header.dont_fragment(),
            is_later_fragment: header.is_later_fragment(),
        })
    }

    #[inline(always)]
    fn readdress<P: Frame>(
        frame: &mut P,
        offset: u32,
        end: End,
        old: u32,
        new: u32,
    ) -> Option<Difference> {
        const CHECKSUM: u32 = 10;
        const SOURCE: u32 = 12;
        const DESTINATION: u32 = 16;
        let at = offset
            + match end {
                End::Source => SOURCE,
                End::Destination => DESTINATION,
            };
        let address = Difference::of_word(old, new);
        let before = u16::from_ne_bytes(frame.read(offset + CHECKSUM)?);
        let after = address.apply(before);
        let is_written = frame.write(offset + CHECKSUM, &after.to_ne_bytes())
            && frame.write(at, &new.to_ne_bytes());
        is_written.then_some(address.add(Difference::of_half(before, after)))
    }
}

impl Icmp for V6 {
    const PROTOCOL: u8 = protocol::ICMPV6;
    const QUOTE: u32 = 1280 - Ipv6::LENGTH - IcmpHeader::LENGTH;
    const PORT_UNREACHABLE: IcmpKind = IcmpKind { number: 1, code: 4 };
    const HOST_UNREACHABLE: IcmpKind = IcmpKind { number: 1, code: 3 };
    const TIME_EXCEEDED: IcmpKind = IcmpKind { number: 3, code: 0 };
    const TOO_BIG: IcmpKind = IcmpKind { number: 2, code: 0 };
    const COVERS_ADDRESSES: bool = true;
    /// RFC 8201, section 4: a node "must not reduce its estimate of the Path MTU below the
    /// IPv6 minimum link MTU".
    const LEAST_LARGEST: u32 = 1280;

    /// RFC 4443, section 2.1: "Error messages are identified as such by a zero in the
    /// high-order bit of their message Type field values".
    #[inline(always)]
    fn traffic_class_of_error(_packet: u8) -> u8 {
        0
    }

    #[inline(always)]
    fn is_error(number: u8) -> bool {
        number < 128
    }

    #[inline(always)]
    fn naming_largest(octets: u32) -> [u8; 4] {
        octets.to_be_bytes()
    }

    #[inline(always)]
    fn largest_named(rest: [u8; 4]) -> u32 {
        u32::from_be_bytes(rest)
    }

    #[inline(always)]
    fn pseudo_header(source: [u64; 2], destination: [u64; 2], length: u32) -> u64 {
        sum_of_words(source)
            + sum_of_words(destination)
            + u64::from(length.to_be())
            + u64::from(u32::from(Self::PROTOCOL).to_be())
    }

    /// RFC 4443, section 2.4 (e.6): no error about a packet "whose source address does not
    /// uniquely identify a single node".
    #[inline(always)]
    fn is_a_host([first, second]: [u64; 2]) -> bool {
        let [high, ..] = first.to_ne_bytes();
        let is_unspecified_or_loopback = first == 0 && u64::from_be(second) <= 1;
        high != 0xff && !is_unspecified_or_loopback
    }

    #[inline(always)]
    fn must_stay_whole<P: Frame>(_frame: &P) -> bool {
        true
    }

    #[inline(always)]
    fn quoted<P: Frame>(frame: &P, offset: u32) -> Option<Quoted<V6>> {
        let header: Ipv6 = frame.read(offset)?;
        if header.version() != 6 {
            return None;
        }
        Some(Quoted {
            source: V6::from_octets(header.source),
            destination: V6::from_octets(header.destination),
            protocol: header.next_header,
            transport: offset + Ipv6::LENGTH,
            length: Ipv6::LENGTH + u32::from(header.payload_length.get()),
            traffic_class: 0,
            must_stay_whole: true,
            is_later_fragment: false,
        })
    }

    #[inline(always)]
    fn readdress<P: Frame>(
        frame: &mut P,
        offset: u32,
        end: End,
        old: [u64; 2],
        new: [u64; 2],
    ) -> Option<Difference> {
        const SOURCE: u32 = 8;
        const DESTINATION: u32 = 24;
        let at = offset
            + match end {
                End::Source => SOURCE,
                End::Destination => DESTINATION,
            };
        let is_written = frame.write(at, &V6::to_octets(new));
        is_written.then_some(V6::difference(old, new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_go_to_single_hosts_only() {
        let v4 = |address: [u8; 4]| V4::is_a_host(u32::from_ne_bytes(address));
        assert!(v4([10, 1, 0, 2]) && v4([223, 255, 255, 255]));
        for address in [[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
            assert!(!v4(address), "{address:?}");
        }
        let v6 = |first: u8, last: u8| {
            let mut address = [0; 16];
            (address[0], address[15]) = (first, last);
            V6::is_a_host(V6::from_octets(address))
        };
        assert!(v6(0xfd, 1) && v6(0, 2) && v6(0x20, 0));
        assert!(!v6(0, 0) && !v6(0, 1) && !v6(0xff, 1));
    }
}
