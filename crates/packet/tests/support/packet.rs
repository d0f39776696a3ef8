//! Packets, made and read by `etherparse`, which shares no code with what is tested.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header,
    NetSlice, SlicedPacket, TcpHeader, TransportSlice,
};

/// A TCP segment in an Ethernet frame.
#[derive(Debug, Clone)]
pub struct Segment {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// Of `F`, `S`, `R`, `P`, `A`, `U`.
    pub flags: &'static str,
    pub sequence: u32,
    pub time_to_live: u8,
    pub traffic_class: u8,
    pub identification: u16,
    pub dont_fragment: bool,
    /// IPv4 options, whole words of them.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
    /// Added to the right TCP checksum, in one's complement.
    pub checksum_error: u16,
    /// Octets after the packet.
    pub padding: usize,
}

/// A segment from one socket to another.
pub fn segment(source: &str, destination: &str, flags: &'static str) -> Segment {
    Segment::new(super::socket(source), super::socket(destination), flags)
}

impl Segment {
    pub fn new(source: SocketAddr, destination: SocketAddr, flags: &'static str) -> Segment {
        Segment {
            source,
            destination,
            flags,
            sequence: 0x0102_0304,
            time_to_live: 64,
            traffic_class: 0,
            identification: 0x1234,
            dont_fragment: true,
            options: Vec::new(),
            payload: Vec::new(),
            checksum_error: 0,
            padding: 0,
        }
    }

    pub fn time_to_live(self, time_to_live: u8) -> Segment {
        Segment {
            time_to_live,
            ..self
        }
    }

    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Segment {
        Segment {
            payload: payload.into(),
            ..self
        }
    }

    /// A payload that makes the TCP checksum this value.
    pub fn with_checksum(self, wanted: u16) -> Segment {
        let found = |last: u16| {
            let segment = self.clone().payload(last.to_be_bytes());
            (transport_checksum(&segment.octets()) == wanted).then_some(segment)
        };
        (0..=u16::MAX)
            .find_map(found)
            .expect("some payload has this checksum")
    }

    /// The frame.
    pub fn octets(&self) -> Vec<u8> {
        let mut tcp = TcpHeader::new(
            self.source.port(),
            self.destination.port(),
            self.sequence,
            0x2000,
        );
        tcp.acknowledgment_number = 0x0506_0708;
        for flag in self.flags.chars() {
            match flag {
                'F' => tcp.fin = true,
                'S' => tcp.syn = true,
                'R' => tcp.rst = true,
                'P' => tcp.psh = true,
                'A' => tcp.ack = true,
                'U' => tcp.urg = true,
                _ => panic!("no TCP flag {flag}"),
            }
        }
        let mut frame = Vec::new();
        let mut ethernet = Ethernet2Header {
            source: [2, 0, 0, 0, 9, 9],
            destination: [2, 0, 0, 0, 1, 1],
            ether_type: EtherType::IPV4,
        };
        let length = tcp.header_len() + self.payload.len();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut ip = Ipv4Header {
                    source: source.octets(),
                    destination: destination.octets(),
                    time_to_live: self.time_to_live,
                    identification: self.identification,
                    dont_fragment: self.dont_fragment,
                    protocol: IpNumber::TCP,
                    options: Ipv4Options::try_from(self.options.as_slice()).unwrap(),
                    ..Ipv4Header::default()
                };
                ip.dscp = (self.traffic_class >> 2).try_into().unwrap();
                ip.ecn = (self.traffic_class & 3).try_into().unwrap();
                ip.set_payload_len(length).unwrap();
                ip.header_checksum = ip.calc_header_checksum();
                tcp.checksum = tcp.calc_checksum_ipv4(&ip, &self.payload).unwrap();
                ethernet.write(&mut frame).unwrap();
                ip.write(&mut frame).unwrap();
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ip = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(0x5_4321).unwrap(),
                    payload_length: length as u16,
                    next_header: IpNumber::TCP,
                    hop_limit: self.time_to_live,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                tcp.checksum = tcp.calc_checksum_ipv6(&ip, &self.payload).unwrap();
                ethernet.ether_type = EtherType::IPV6;
                ethernet.write(&mut frame).unwrap();
                ip.write(&mut frame).unwrap();
            }
            _ => panic!(
                "{} and {} are of two families",
                self.source, self.destination
            ),
        }
        let wrong = u32::from(tcp.checksum) + u32::from(self.checksum_error);
        tcp.checksum = (wrong % 0xffff + u32::from(wrong == 0xffff) * 0xffff) as u16;
        tcp.write(&mut frame).unwrap();
        frame.extend_from_slice(&self.payload);
        frame.resize(frame.len() + self.padding, 0xee);
        frame
    }
}

/// The checksum in a frame's TCP header.
pub fn transport_checksum(octets: &[u8]) -> u16 {
    let packet = SlicedPacket::from_ethernet(octets).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        panic!("not TCP")
    };
    tcp.checksum()
}

/// How far, in one's complement, a frame's TCP checksum is from the right one.
pub fn transport_error(octets: &[u8]) -> u16 {
    let packet = SlicedPacket::from_ethernet(octets).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        panic!("not TCP")
    };
    let right = match packet.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let (source, destination) = (ip.header().source(), ip.header().destination());
            tcp.calc_checksum_ipv4(source, destination).unwrap()
        }
        NetSlice::Ipv6(ip) => {
            let (source, destination) = (ip.header().source(), ip.header().destination());
            tcp.calc_checksum_ipv6(source, destination).unwrap()
        }
        NetSlice::Arp(_) => panic!("not IP"),
    };
    let difference = u32::from(tcp.checksum()) + u32::from(!right);
    (difference % 0xffff) as u16
}

/// Whether an IPv4 frame's header checksum is right; an IPv6 header has none.
pub fn header_is_right(octets: &[u8]) -> bool {
    match SlicedPacket::from_ethernet(octets).unwrap().net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            header.calc_header_checksum() == header.header_checksum
        }
        NetSlice::Ipv6(_) => true,
        NetSlice::Arp(_) => panic!("not IP"),
    }
}

/// What an IP packet carries that is not TCP, in words.
fn contents(packet: &SlicedPacket) -> String {
    let Some(payload) = packet.ip_payload() else {
        return "nothing".to_owned();
    };
    let octets = payload.payload;
    match (payload.ip_number.0, &packet.transport) {
        (4 | 41, _) => format!("carries {{ {} }}", describe(&inner(octets))),
        (47, _) => {
            let (header, packet) = octets.split_at(4);
            format!(
                "GRE {} carries {{ {} }}",
                hex(header),
                describe(&inner(packet))
            )
        }
        (17, Some(TransportSlice::Udp(udp))) if udp.destination_port() == GUE_PORT => {
            let (header, packet) = udp.payload().split_at(4);
            format!(
                "UDP {} > {GUE_PORT} length {} sum {:#06x}, GUE {} carries {{ {} }}",
                udp.source_port(),
                udp.length(),
                udp.checksum(),
                hex(header),
                describe(&inner(packet))
            )
        }
        (17, Some(TransportSlice::Udp(udp))) => {
            let (ports, length) = ((udp.source_port(), udp.destination_port()), udp.length());
            let sum = match udp.checksum() {
                0 => "none".to_owned(),
                sum if udp_is_right(packet) => format!("{sum:#06x} right"),
                sum => format!("{sum:#06x} WRONG"),
            };
            format!("UDP {} > {} length {length} sum {sum}", ports.0, ports.1)
        }
        (132, _) if octets.len() >= 16 => {
            let port = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
            let sum = if super::datagram::sctp_is_right(octets) {
                "right"
            } else {
                "WRONG"
            };
            format!(
                "SCTP {} > {} chunk {} sum {} {sum}",
                port(0),
                port(2),
                octets[12],
                hex(&octets[8..12])
            )
        }
        (number, _) => format!("protocol {number}"),
    }
}

/// The port of GUE tunnels.
pub const GUE_PORT: u16 = 6080;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A packet without its frame, in one.
pub fn inner(packet: &[u8]) -> Vec<u8> {
    let ether_type = match packet.first().map(|first| first >> 4) {
        Some(6) => [0x86, 0xdd],
        _ => [0x08, 0x00],
    };
    [&[0; 12], &ether_type[..], packet].concat()
}

/// Whether a UDP checksum is right; 0xffff stands for 0 (RFC 768).
pub fn udp_is_right(packet: &SlicedPacket) -> bool {
    let Some(TransportSlice::Udp(udp)) = &packet.transport else {
        panic!("not UDP")
    };
    let header = udp.to_header();
    let right = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => header.calc_checksum_ipv4_raw(
            ip.header().source(),
            ip.header().destination(),
            udp.payload(),
        ),
        NetSlice::Ipv6(ip) => header.calc_checksum_ipv6_raw(
            ip.header().source(),
            ip.header().destination(),
            udp.payload(),
        ),
        NetSlice::Arp(_) => panic!("not IP"),
    };
    right.unwrap() == udp.checksum()
}

/// A frame in words.
pub fn describe(octets: &[u8]) -> String {
    let Ok(packet) = SlicedPacket::from_ethernet(octets) else {
        return format!("{} octets that are no packet", octets.len());
    };
    let (addresses, mut text) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let addresses: (IpAddr, IpAddr) = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            let mut text = format!(
                "ttl {} tos {:#04x} id {:#06x}",
                header.ttl(),
                header.dcp().value() << 2 | header.ecn().value(),
                header.identification()
            );
            if header.dont_fragment() {
                text += " DF";
            }
            if header.is_fragmenting_payload() {
                text += " fragment";
            }
            if !header.options().is_empty() {
                text += &format!(" options {}", header.options().len());
            }
            text += &format!(" length {}", header.total_len());
            (addresses, text)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let addresses = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            let text = format!(
                "hops {} class {:#04x} label {:#07x} length {}",
                header.hop_limit(),
                header.traffic_class(),
                header.flow_label().value(),
                40 + header.payload_length()
            );
            (addresses, text)
        }
        _ => return format!("{} octets that are not IP", octets.len()),
    };
    let header = if header_is_right(octets) {
        ", header sum right"
    } else {
        ", HEADER SUM WRONG"
    };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else {
        let (source, destination) = addresses;
        let contents = contents(&packet);
        return format!("{source} > {destination} {text}{header}, {contents}");
    };
    let flags: String = [
        (tcp.fin(), 'F'),
        (tcp.syn(), 'S'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.ack(), 'A'),
        (tcp.urg(), 'U'),
    ]
    .into_iter()
    .filter_map(|(set, letter)| set.then_some(letter))
    .collect();
    text += header;
    text += &match transport_error(octets) {
        0 => format!(", TCP sum {:#06x} right", tcp.checksum()),
        error => format!(", TCP sum {:#06x} wrong by {error:#06x}", tcp.checksum()),
    };
    let source = SocketAddr::new(addresses.0, tcp.source_port());
    let destination = SocketAddr::new(addresses.1, tcp.destination_port());
    format!("{source} > {destination} [{flags}] {text}")
}
