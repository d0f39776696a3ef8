//! What a captured frame says, for a test to ask and for a person to read in one line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// The protocol number of VRRP (RFC 3768 section 5.2.4).
const VRRP: u8 = 112;

/// The meaning of a frame, as far as a lab needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A TCP segment.
    Tcp(Tcp),
    /// A VRRP version 2 or 3 advertisement.
    Vrrp(Vrrp),
    /// An ARP packet for IPv4 on Ethernet.
    Arp(Arp),
    /// An ICMP or ICMPv6 message.
    Icmp {
        /// The sender.
        source: IpAddr,
        /// The receiver.
        destination: IpAddr,
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// A UDP datagram.
    Udp {
        /// The sender.
        source: SocketAddr,
        /// The receiver.
        destination: SocketAddr,
    },
    /// An IP packet of another protocol, or a fragment without ports.
    Ip {
        /// The sender.
        source: IpAddr,
        /// The receiver.
        destination: IpAddr,
        /// The protocol number.
        protocol: u8,
    },
    /// Anything else, or what is cut off too short.
    Other,
}

/// A TCP segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// The sender.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// PSH.
    pub psh: bool,
    /// The sequence number.
    pub sequence: u32,
    /// Bytes of data, by the IP header's word; 0 for an IPv6 segment cut off by the capture.
    pub length: usize,
}

/// A VRRP advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vrrp {
    /// The sender.
    pub source: IpAddr,
    /// The receiver: 224.0.0.18, or a unicast peer.
    pub destination: IpAddr,
    /// The time to live.
    pub ttl: u8,
    /// The protocol's version.
    pub version: u8,
    /// The virtual router's id.
    pub router: u8,
    /// The priority; 0 says that the sender gives up.
    pub priority: u8,
    /// The virtual IPv4 addresses.
    pub addresses: Vec<Ipv4Addr>,
}

/// An ARP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arp {
    /// Whether it asks (operation 1) rather than answers.
    pub request: bool,
    /// The hardware address that it gives for `sender`.
    pub hardware: [u8; 6],
    /// The address that it speaks for.
    pub sender: Ipv4Addr,
    /// The address that it asks for, or answers to.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Whether it announces the sender's own address to everybody.
    pub fn is_gratuitous(&self) -> bool {
        self.sender == self.target
    }
}

/// Reads an Ethernet frame, which may have been cut off by the capture.
pub fn decode(frame: &[u8]) -> Decoded {
    read(frame).unwrap_or(Decoded::Other)
}

fn read(frame: &[u8]) -> Option<Decoded> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (source, destination, payload, ttl, total) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let total = usize::from(header.total_len()).checked_sub(header.slice().len())?;
            let (from, to) = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            (from, to, ip.payload(), header.ttl(), total)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (from, to) = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            (
                from,
                to,
                ip.payload(),
                header.hop_limit(),
                ip.payload().payload.len(),
            )
        }
        LaxNetSlice::Arp(arp) => return read_arp(arp.slice()).map(Decoded::Arp),
    };
    let protocol = payload.ip_number.0;
    Some(match packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Decoded::Tcp(Tcp {
            source: SocketAddr::new(source, tcp.source_port()),
            destination: SocketAddr::new(destination, tcp.destination_port()),
            syn: tcp.syn(),
            ack: tcp.ack(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            psh: tcp.psh(),
            sequence: tcp.sequence_number(),
            length: total.saturating_sub(tcp.header_slice().len()),
        }),
        Some(TransportSlice::Udp(udp)) => Decoded::Udp {
            source: SocketAddr::new(source, udp.source_port()),
            destination: SocketAddr::new(destination, udp.destination_port()),
        },
        Some(TransportSlice::Icmpv4(icmp)) => Decoded::Icmp {
            source,
            destination,
            kind: icmp.type_u8(),
            code: icmp.code_u8(),
        },
        Some(TransportSlice::Icmpv6(icmp)) => Decoded::Icmp {
            source,
            destination,
            kind: icmp.type_u8(),
            code: icmp.code_u8(),
        },
        _ if protocol == VRRP && !payload.fragmented => {
            Decoded::Vrrp(read_vrrp(source, destination, ttl, payload.payload)?)
        }
        _ => Decoded::Ip {
            source,
            destination,
            protocol,
        },
    })
}

/// RFC 826, for Ethernet (hardware 1, length 6) and IPv4 (protocol 0x0800, length 4):
/// 8 bytes of fixed header with the operation at 6, then both addresses of the sender,
/// then both of the target.
fn read_arp(packet: &[u8]) -> Option<Arp> {
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    Some(Arp {
        request: packet.get(6..8)? == [0, 1],
        hardware: packet.get(8..14)?.try_into().ok()?,
        sender: read_ipv4(packet.get(14..18)?)?,
        target: read_ipv4(packet.get(24..28)?)?,
    })
}

/// RFC 3768 section 5.1 and RFC 5798 section 5.1: version and type in one byte, virtual
/// router id, priority, count of addresses; the addresses from offset 8 on.
fn read_vrrp(source: IpAddr, destination: IpAddr, ttl: u8, packet: &[u8]) -> Option<Vrrp> {
    let &[version_and_type, router, priority, count, ..] = packet else {
        return None;
    };
    let addresses = match source {
        IpAddr::V4(_) => packet.get(8..8 + 4 * usize::from(count))?,
        IpAddr::V6(_) => &[],
    };
    Some(Vrrp {
        source,
        destination,
        ttl,
        version: version_and_type >> 4,
        router,
        priority,
        addresses: addresses.chunks_exact(4).filter_map(read_ipv4).collect(),
    })
}

fn read_ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))
}

impl fmt::Display for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => tcp.fmt(f),
            Self::Vrrp(vrrp) => vrrp.fmt(f),
            Self::Arp(arp) => arp.fmt(f),
            Self::Icmp {
                source,
                destination,
                kind,
                code,
            } => {
                write!(f, "{source} > {destination}: ICMP type {kind} code {code}")
            }
            Self::Udp {
                source,
                destination,
            } => write!(f, "{source} > {destination}: UDP"),
            Self::Ip {
                source,
                destination,
                protocol,
            } => {
                write!(f, "{source} > {destination}: IP protocol {protocol}")
            }
            Self::Other => f.write_str("another protocol"),
        }
    }
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.syn, "SYN"),
            (self.fin, "FIN"),
            (self.rst, "RST"),
            (self.psh, "PSH"),
            (self.ack, "ACK"),
        ];
        let flags: Vec<_> = flags
            .iter()
            .filter(|flag| flag.0)
            .map(|flag| flag.1)
            .collect();
        let (source, destination) = (self.source.to_string(), self.destination.to_string());
        write!(
            f,
            "{source:>21} > {destination:<21} TCP {:<7}",
            flags.join(",")
        )?;
        if self.length > 0 {
            write!(f, " {} bytes", self.length)?;
        }
        Ok(())
    }
}

impl fmt::Display for Vrrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            destination,
            ttl,
            version,
            router,
            priority,
            addresses,
        } = self;
        write!(
            f,
            "{source} > {destination}: VRRPv{version} vrid {router} priority {priority} ttl {ttl}"
        )?;
        addresses
            .iter()
            .try_for_each(|address| write!(f, " {address}"))
    }
}

impl fmt::Display for Arp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            request,
            sender,
            target,
            ..
        } = self;
        if self.is_gratuitous() {
            write!(f, "ARP announces {sender} at ")?;
            write_hardware(f, self.hardware)
        } else if *request {
            write!(f, "ARP who has {target}? tell {sender}")
        } else {
            write!(f, "ARP {sender} is at ")?;
            write_hardware(f, self.hardware)
        }
    }
}

fn write_hardware(f: &mut fmt::Formatter<'_>, [a, b, c, d, e, g]: [u8; 6]) -> fmt::Result {
    write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syn() -> Vec<u8> {
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([172, 17, 42, 110], [172, 17, 42, 200], 64)
            .tcp(40000, 3306, 7, 1000)
            .syn();
        let mut frame = Vec::new();
        builder
            .write(&mut frame, &[0; 300])
            .expect("a packet into memory");
        frame
    }

    #[test]
    fn a_segment_is_read_in_full_and_cut_off() {
        let frame = syn();
        for frame in [&frame[..], &frame[..96]] {
            let Decoded::Tcp(tcp) = decode(frame) else {
                panic!("{}", decode(frame))
            };
            assert_eq!(
                tcp.destination,
                "172.17.42.200:3306".parse().expect("an address")
            );
            assert!(tcp.syn && !tcp.ack);
            assert_eq!((tcp.sequence, tcp.length), (7, 300));
        }
    }

    #[test]
    fn a_line_shows_both_ends() {
        assert_eq!(
            decode(&syn()).to_string(),
            "  172.17.42.110:40000 > 172.17.42.200:3306    TCP SYN     300 bytes"
        );
    }

    #[test]
    fn an_advertisement_is_read() {
        // As keepalived 2.2.7 sends it: vrid 51, priority 100, one address, "1111" as the password.
        let vrrp = [
            0x21, 51, 100, 1, 1, 1, 0x00, 0x00, 172, 17, 42, 200, b'1', b'1', b'1', b'1', 0, 0, 0,
            0,
        ];
        let mut frame = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [1, 0, 0x5e, 0, 0, 18])
            .ipv4([172, 17, 42, 111], [224, 0, 0, 18], 255)
            .write(&mut frame, etherparse::IpNumber(112), &vrrp)
            .expect("a packet into memory");
        assert_eq!(
            decode(&frame).to_string(),
            "172.17.42.111 > 224.0.0.18: VRRPv2 vrid 51 priority 100 ttl 255 172.17.42.200"
        );
    }

    #[test]
    fn a_gratuitous_arp_is_read() {
        let mut frame = vec![0xff; 6];
        frame.extend([
            2, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1,
        ]);
        frame.extend([172, 17, 42, 200, 0, 0, 0, 0, 0, 0, 172, 17, 42, 200]);
        assert_eq!(
            decode(&frame).to_string(),
            "ARP announces 172.17.42.200 at 02:00:00:00:00:01"
        );
    }

    #[test]
    fn no_prefix_of_a_frame_is_too_short_to_be_read() {
        let frame = syn();
        for length in 0..frame.len() {
            decode(&frame[..length]);
        }
        assert_eq!(decode(&[]), Decoded::Other);
    }
}
