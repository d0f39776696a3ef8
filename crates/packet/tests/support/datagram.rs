//! Packets of every protocol, made by `etherparse` but for SCTP and extension headers, which
//! it does not write; and a witness for SCTP's checksum, which is computed whole.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header,
    TcpHeader, UdpHeader,
};

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Of `F`, `S`, `R`, `P`, `A`.
    Tcp(&'static str),
    Udp,
    /// Without a checksum.
    UdpUnsummed,
    /// The type of its first chunk.
    Sctp(u8),
}

/// A packet in an Ethernet frame.
#[derive(Debug, Clone)]
pub struct Datagram {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub transport: Transport,
    pub payload: Vec<u8>,
    pub time_to_live: u8,
    pub traffic_class: u8,
    pub identification: u16,
    pub dont_fragment: bool,
    /// IPv4 options, whole words of them.
    pub options: Vec<u8>,
    /// IPv6 extension headers: protocol number, octets. Their next header is filled in.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// Octets after the packet.
    pub padding: usize,
}

pub fn datagram(source: &str, destination: &str, transport: Transport) -> Datagram {
    Datagram {
        source: super::socket(source),
        destination: super::socket(destination),
        transport,
        payload: b"hello".to_vec(),
        time_to_live: 64,
        traffic_class: 0,
        identification: 0x1234,
        dont_fragment: true,
        options: Vec::new(),
        extensions: Vec::new(),
        padding: 0,
    }
}

/// CRC32c bit by bit, as RFC 9260, appendix A, defines it.
pub fn crc32c(data: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for octet in data {
        register ^= u32::from(*octet);
        for _ in 0..8 {
            register = (register >> 1) ^ (0x82f6_3b78 * (register & 1));
        }
    }
    !register
}

/// Whether an SCTP packet's checksum is right.
pub fn sctp_is_right(packet: &[u8]) -> bool {
    let mut zeroed = packet.to_vec();
    zeroed[8..12].fill(0);
    crc32c(&zeroed).to_le_bytes() == packet[8..12]
}

impl Datagram {
    pub fn time_to_live(self, time_to_live: u8) -> Datagram {
        Datagram {
            time_to_live,
            ..self
        }
    }

    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Datagram {
        Datagram {
            payload: payload.into(),
            ..self
        }
    }

    fn protocol(&self) -> IpNumber {
        match self.transport {
            Transport::Tcp(_) => IpNumber::TCP,
            Transport::Udp | Transport::UdpUnsummed => IpNumber::UDP,
            Transport::Sctp(_) => IpNumber(132),
        }
    }

    /// Transport header and payload.
    fn transport_octets(&self) -> Vec<u8> {
        let (from, to) = (self.source.port(), self.destination.port());
        let mut octets = Vec::new();
        match self.transport {
            Transport::Tcp(flags) => {
                let mut tcp = TcpHeader::new(from, to, 0x0102_0304, 0x2000);
                tcp.acknowledgment_number = 0x0506_0708;
                tcp.fin = flags.contains('F');
                tcp.syn = flags.contains('S');
                tcp.rst = flags.contains('R');
                tcp.psh = flags.contains('P');
                tcp.ack = flags.contains('A');
                tcp.checksum = match (self.source.ip(), self.destination.ip()) {
                    (IpAddr::V4(source), IpAddr::V4(destination)) => tcp
                        .calc_checksum_ipv4_raw(
                            source.octets(),
                            destination.octets(),
                            &self.payload,
                        )
                        .unwrap(),
                    (IpAddr::V6(source), IpAddr::V6(destination)) => tcp
                        .calc_checksum_ipv6_raw(
                            source.octets(),
                            destination.octets(),
                            &self.payload,
                        )
                        .unwrap(),
                    _ => panic!("two families"),
                };
                tcp.write(&mut octets).unwrap();
                octets.extend_from_slice(&self.payload);
            }
            Transport::Udp | Transport::UdpUnsummed => {
                let mut udp =
                    UdpHeader::without_ipv4_checksum(from, to, self.payload.len()).unwrap();
                if self.transport == Transport::Udp {
                    udp.checksum = match (self.source.ip(), self.destination.ip()) {
                        (IpAddr::V4(source), IpAddr::V4(destination)) => udp
                            .calc_checksum_ipv4_raw(
                                source.octets(),
                                destination.octets(),
                                &self.payload,
                            )
                            .unwrap(),
                        (IpAddr::V6(source), IpAddr::V6(destination)) => udp
                            .calc_checksum_ipv6_raw(
                                source.octets(),
                                destination.octets(),
                                &self.payload,
                            )
                            .unwrap(),
                        _ => panic!("two families"),
                    };
                }
                udp.write(&mut octets).unwrap();
                octets.extend_from_slice(&self.payload);
            }
            Transport::Sctp(kind) => {
                octets.extend(from.to_be_bytes());
                octets.extend(to.to_be_bytes());
                octets.extend([0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0]);
                octets.extend([kind, 0]);
                octets.extend((4 + self.payload.len() as u16).to_be_bytes());
                octets.extend_from_slice(&self.payload);
                octets.resize(octets.len().next_multiple_of(4), 0);
                let sum = crc32c(&octets).to_le_bytes();
                octets[8..12].copy_from_slice(&sum);
            }
        }
        octets
    }

    /// The frame.
    pub fn octets(&self) -> Vec<u8> {
        let transport = self.transport_octets();
        let mut ethernet = Ethernet2Header {
            source: [2, 0, 0, 0, 9, 9],
            destination: [2, 0, 0, 0, 1, 1],
            ether_type: EtherType::IPV4,
        };
        let mut frame = Vec::new();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut ip = Ipv4Header {
                    source: source.octets(),
                    destination: destination.octets(),
                    time_to_live: self.time_to_live,
                    identification: self.identification,
                    dont_fragment: self.dont_fragment,
                    protocol: self.protocol(),
                    options: Ipv4Options::try_from(self.options.as_slice()).unwrap(),
                    ..Ipv4Header::default()
                };
                ip.dscp = (self.traffic_class >> 2).try_into().unwrap();
                ip.ecn = (self.traffic_class & 3).try_into().unwrap();
                ip.set_payload_len(transport.len()).unwrap();
                ip.header_checksum = ip.calc_header_checksum();
                ethernet.write(&mut frame).unwrap();
                ip.write(&mut frame).unwrap();
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let kinds = self.extensions.iter().map(|(kind, _)| *kind);
                let mut next = kinds.chain([self.protocol().0]);
                let first = next.next().unwrap();
                let mut extensions = Vec::new();
                for ((_, octets), next) in self.extensions.iter().zip(next) {
                    extensions.push(next);
                    extensions.extend_from_slice(&octets[1..]);
                }
                let ip = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(0x5_4321).unwrap(),
                    payload_length: (extensions.len() + transport.len()) as u16,
                    next_header: IpNumber(first),
                    hop_limit: self.time_to_live,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                ethernet.ether_type = EtherType::IPV6;
                ethernet.write(&mut frame).unwrap();
                ip.write(&mut frame).unwrap();
                frame.extend(extensions);
            }
            _ => panic!("two families"),
        }
        frame.extend(transport);
        frame.resize(frame.len() + self.padding, 0xee);
        frame
    }
}
