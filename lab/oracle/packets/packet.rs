//! Packets built by hand, so that every field can be what no host would send.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Transport protocols, by their numbers.
pub(super) const ICMP: u8 = 1;
pub(super) const IPIP: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const IPV6: u8 = 41;
pub(super) const GRE: u8 = 47;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// "Don't fragment", in the word of flags and fragment offset.
pub(super) const DONT_FRAGMENT: u16 = 0x4000;

/// Types of SCTP chunks (RFC 9260, section 3.2).
pub(super) mod chunk {
    pub(in crate::packets) const DATA: u8 = 0;
    pub(in crate::packets) const INIT: u8 = 1;
    pub(in crate::packets) const INIT_ACK: u8 = 2;
    pub(in crate::packets) const ABORT: u8 = 6;
    pub(in crate::packets) const SHUTDOWN: u8 = 7;
    pub(in crate::packets) const SHUTDOWN_ACK: u8 = 8;
    pub(in crate::packets) const COOKIE_ECHO: u8 = 10;
    pub(in crate::packets) const COOKIE_ACK: u8 = 11;
    pub(in crate::packets) const SHUTDOWN_COMPLETE: u8 = 14;
}

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Transport {
    /// A TCP segment with these flags.
    Tcp { flags: u8 },
    /// A UDP datagram, with a checksum or with 0 in its place.
    Udp { checksum: bool },
    /// An SCTP packet of one chunk.
    Sctp { chunk: u8 },
}

/// A packet, and what is unusual about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    source: SocketAddr,
    destination: SocketAddr,
    transport: Transport,
    /// Time to live, or hop limit.
    hops: u8,
    /// Type of service, or traffic class.
    class: u8,
    /// The identification, of IPv4 alone.
    id: u16,
    /// Flags and fragment offset, of IPv4 alone.
    fragment: u16,
    /// Options of the IPv4 header: whole words.
    options: Vec<u8>,
    payload: Vec<u8>,
    /// What is added to the transport's checksum to make it wrong.
    error: u8,
}

impl Packet {
    fn new(source: SocketAddr, destination: SocketAddr, transport: Transport) -> Packet {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "one family");
        Packet {
            source,
            destination,
            transport,
            hops: 64,
            class: 0,
            id: 0x1234,
            fragment: DONT_FRAGMENT,
            options: Vec::new(),
            payload: Vec::new(),
            error: 0,
        }
    }

    /// A TCP segment; its flags by their first letters.
    pub(super) fn tcp(source: SocketAddr, destination: SocketAddr, flags: &str) -> Packet {
        let flags = flags
            .chars()
            .map(|flag| match "FSRPAUEC".find(flag) {
                Some(bit) => 1 << bit,
                None => panic!("TCP has no flag {flag}"),
            })
            .sum();
        Packet::new(source, destination, Transport::Tcp { flags })
    }

    /// A UDP datagram.
    pub(super) fn udp(source: SocketAddr, destination: SocketAddr) -> Packet {
        Packet::new(source, destination, Transport::Udp { checksum: true })
    }

    /// A UDP datagram without a checksum.
    pub(super) fn udp_unchecked(source: SocketAddr, destination: SocketAddr) -> Packet {
        Packet::new(source, destination, Transport::Udp { checksum: false })
    }

    /// An SCTP packet with one chunk of this type.
    pub(super) fn sctp(source: SocketAddr, destination: SocketAddr, chunk: u8) -> Packet {
        Packet::new(source, destination, Transport::Sctp { chunk })
    }

    pub(super) fn hops(mut self, hops: u8) -> Packet {
        self.hops = hops;
        self
    }

    pub(super) fn class(mut self, class: u8) -> Packet {
        self.class = class;
        self
    }

    pub(super) fn id(mut self, id: u16) -> Packet {
        self.id = id;
        self
    }

    pub(super) fn fragment(mut self, fragment: u16) -> Packet {
        self.fragment = fragment;
        self
    }

    pub(super) fn options(mut self, options: &[u8]) -> Packet {
        assert_eq!(options.len() % 4, 0, "options are whole words");
        options.clone_into(&mut self.options);
        self
    }

    /// So many octets of data, all different from their neighbours.
    pub(super) fn payload(mut self, length: usize) -> Packet {
        self.payload = (0..length).map(|place| (place * 7 + 1) as u8).collect();
        self
    }

    /// With a checksum of the transport that is wrong.
    pub(super) fn corrupt(mut self) -> Packet {
        self.error = 0x21;
        self
    }

    /// Who sends it.
    pub(super) fn source(&self) -> SocketAddr {
        self.source
    }

    /// Whom it is for.
    pub(super) fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// The same from somebody else.
    pub(super) fn from(mut self, source: SocketAddr) -> Packet {
        self.source = source;
        self
    }

    /// Whether it is a UDP datagram without a checksum.
    pub(super) fn is_unchecked(&self) -> bool {
        self.transport == Transport::Udp { checksum: false }
    }

    /// The number of its transport protocol.
    pub(super) fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp { .. } => TCP,
            Transport::Udp { .. } => UDP,
            Transport::Sctp { .. } => SCTP,
        }
    }

    /// The packet, from its IP header on.
    pub(super) fn octets(&self) -> Vec<u8> {
        let segment = self.segment();
        let length = segment.len() as u16;
        let mut octets = Vec::new();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = 20 + self.options.len() as u16;
                octets.extend([0x40 + (header / 4) as u8, self.class]);
                octets.extend((header + length).to_be_bytes());
                octets.extend(self.id.to_be_bytes());
                octets.extend(self.fragment.to_be_bytes());
                octets.extend([self.hops, self.protocol(), 0, 0]);
                octets.extend(source.octets());
                octets.extend(destination.octets());
                octets.extend(&self.options);
                let checksum = internet_checksum(&[&octets]);
                octets[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let word = 0x6000_0000 | u32::from(self.class) << 20 | 0x54321;
                octets.extend(word.to_be_bytes());
                octets.extend(length.to_be_bytes());
                octets.extend([self.protocol(), self.hops]);
                octets.extend(source.octets());
                octets.extend(destination.octets());
            }
            _ => unreachable!("one family"),
        }
        octets.extend(segment);
        octets
    }

    /// The transport's part.
    fn segment(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        let place = match self.transport {
            Transport::Tcp { flags } => {
                segment.extend(1000_u32.to_be_bytes());
                segment.extend(if flags & 0x10 == 0 {
                    [0; 4]
                } else {
                    [0, 0, 4, 0]
                });
                segment.extend([0x50, flags, 2, 0, 0, 0, 0, 0]);
                Some(16)
            }
            Transport::Udp { checksum } => {
                segment.extend((8 + self.payload.len() as u16).to_be_bytes());
                segment.extend([0; 2]);
                checksum.then_some(6)
            }
            Transport::Sctp { chunk } => {
                // The verification tag, which an INIT must not have.
                let tag: u32 = if chunk == chunk::INIT { 0 } else { 0x0102_0304 };
                segment.extend(tag.to_be_bytes());
                segment.extend([0; 4]);
                segment.extend([chunk, 0, 0, 20]);
                segment.extend(7_u32.to_be_bytes());
                segment.extend([0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 9]);
                None
            }
        };
        segment.extend(&self.payload);
        if let Some(place) = place {
            let pseudo = pseudo_header(
                self.source.ip(),
                self.destination.ip(),
                self.protocol(),
                segment.len(),
            );
            let checksum = match internet_checksum(&[&pseudo, &segment]) {
                0 if self.protocol() == UDP => 0xffff,
                checksum => checksum,
            };
            segment[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
            segment[place] ^= self.error;
        } else if self.protocol() == SCTP {
            let checksum = crc32c(&segment).to_le_bytes();
            segment[8..12].copy_from_slice(&checksum);
            segment[8] ^= self.error;
        }
        segment
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: ", self.source, self.destination)?;
        match self.transport {
            Transport::Tcp { flags } => {
                let names = "FSRPAUEC".chars().enumerate();
                let set = names.filter(|(bit, _)| flags & 1 << bit != 0);
                write!(f, "TCP {}", set.map(|(_, name)| name).collect::<String>())?;
            }
            Transport::Udp { checksum: true } => write!(f, "UDP")?,
            Transport::Udp { checksum: false } => write!(f, "UDP without a checksum")?,
            Transport::Sctp { chunk } => write!(f, "SCTP chunk {chunk}")?,
        }
        write!(
            f,
            ", {} octets, hops {}, class {:#x}, id {:#x}, fragment {:#x}, options {:02x?}{}",
            self.payload.len(),
            self.hops,
            self.class,
            self.id,
            self.fragment,
            self.options,
            if self.error == 0 { "" } else { ", corrupt" }
        )
    }
}

/// An ICMP echo request.
pub(super) fn echo_request(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    identifier: u16,
    sequence: u16,
) -> Vec<u8> {
    let mut octets = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, ICMP, 0, 0];
    octets.extend(source.octets());
    octets.extend(destination.octets());
    let checksum = internet_checksum(&[&octets]);
    octets[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut message = vec![8, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    let checksum = internet_checksum(&[&message]);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    octets.extend(message);
    octets
}

/// The pseudo-header of TCP and UDP (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub(super) fn pseudo_header(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    length: usize,
) -> Vec<u8> {
    let mut octets = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => octets.extend(address.octets()),
            IpAddr::V6(address) => octets.extend(address.octets()),
        }
    }
    octets.extend((length as u32).to_be_bytes());
    octets.extend([0, 0, 0, protocol]);
    octets
}

/// The internet checksum (RFC 1071) over parts, of which only the last may have odd length.
pub(super) fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for word in part.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// CRC32c (RFC 9260, appendix A).
fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0_u32, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}
