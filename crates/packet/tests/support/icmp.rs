//! ICMP errors, made and read without the code that is tested: headers by `etherparse`, sums by
//! the definition in RFC 1071.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice};

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

/// The one's complement sum over all of these.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut total = 0u32;
    for word in parts.concat().chunks(2) {
        total += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => header.extend(address.octets()),
            IpAddr::V6(address) => header.extend(address.octets()),
        }
    }
    header.extend((length as u32).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    header
}

/// An ICMP error, by its type, its code and the word behind the checksum.
#[derive(Debug, Clone, Copy)]
pub struct Error {
    pub kind: [u8; 2],
    pub rest: u32,
    pub time_to_live: u8,
}

impl Error {
    pub fn new(number: u8, code: u8, rest: u32) -> Error {
        Error {
            kind: [number, code],
            rest,
            time_to_live: 64,
        }
    }

    /// A frame with the error about a packet, which may be cut off.
    pub fn about(self, source: &str, destination: &str, packet: &[u8]) -> Vec<u8> {
        let (source, destination) = (super::address(source), super::address(destination));
        let mut message = self.kind.to_vec();
        message.extend([0, 0]);
        message.extend(self.rest.to_be_bytes());
        message.extend(packet);
        let pseudo = pseudo_header(source, destination, 58, message.len());
        let total = if source.is_ipv4() {
            sum(&[&message])
        } else {
            sum(&[&pseudo, &message])
        };
        message[2..4].copy_from_slice(&(!total).to_be_bytes());
        let mut frame = vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 9, 9];
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut ip = Ipv4Header {
                    source: source.octets(),
                    destination: destination.octets(),
                    time_to_live: self.time_to_live,
                    identification: 0x1234,
                    dont_fragment: true,
                    protocol: IpNumber::ICMP,
                    ..Ipv4Header::default()
                };
                ip.set_payload_len(message.len()).unwrap();
                ip.header_checksum = ip.calc_header_checksum();
                frame.extend([0x08, 0]);
                ip.write(&mut frame).unwrap();
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ip = Ipv6Header {
                    payload_length: message.len() as u16,
                    next_header: IpNumber::IPV6_ICMP,
                    hop_limit: self.time_to_live,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                frame.extend([0x86, 0xdd]);
                ip.write(&mut frame).unwrap();
            }
            _ => panic!("{source} and {destination} are of two families"),
        }
        frame.extend(message);
        frame
    }
}

/// The packet in a frame.
pub fn packet(frame: &[u8]) -> &[u8] {
    &frame[ETHERNET..]
}

/// A frame in words, with the packets inside it.
pub fn describe(frame: &[u8]) -> String {
    describe_packet(packet(frame))
}

/// Says what a sum is, of which all ones stand for right.
fn right(sum: u16) -> &'static str {
    if sum == 0xffff { "right" } else { "WRONG" }
}

fn describe_packet(packet: &[u8]) -> String {
    if packet.len() < 20 || packet[0] >> 4 == 6 && packet.len() < 40 {
        return format!("{} octets", packet.len());
    }
    let (source, destination, protocol, header, total): (IpAddr, IpAddr, u8, usize, usize);
    let mut text;
    if packet.first().is_some_and(|first| first >> 4 == 4) {
        let ip = Ipv4HeaderSlice::from_slice(packet).unwrap();
        (source, destination) = (ip.source_addr().into(), ip.destination_addr().into());
        (protocol, header) = (ip.protocol().0, ip.slice().len());
        total = ip.total_len().into();
        let flag = if ip.dont_fragment() { " DF" } else { "" };
        text = format!(
            "{source} > {destination} ttl {} tos {:#04x}{flag} length {total}, header sum {}",
            ip.ttl(),
            packet[1],
            right(sum(&[ip.slice()]))
        );
    } else {
        let ip = Ipv6HeaderSlice::from_slice(packet).unwrap();
        (source, destination) = (ip.source_addr().into(), ip.destination_addr().into());
        (protocol, header) = (ip.next_header().0, ip.slice().len());
        total = header + usize::from(ip.payload_length());
        text = format!(
            "{source} > {destination} hops {} class {:#04x} length {total}",
            ip.hop_limit(),
            ip.traffic_class()
        );
    }
    // What a link adds is no part of it.
    let packet = &packet[..total.min(packet.len())];
    let content = &packet[header..];
    let pseudo = pseudo_header(source, destination, protocol, total - header);
    let whole_sum = |covers: bool| match (packet.len() >= total, covers) {
        (false, _) => "cut off",
        (true, true) => right(sum(&[&pseudo, content])),
        (true, false) => right(sum(&[content])),
    };
    text += &match (protocol, content) {
        (1 | 58, [number, code, _, _, a, b, c, d, about @ ..]) => format!(
            ", ICMP {number}/{code} {:#x}, sum {}, about {} octets of {{{}}}",
            u32::from_be_bytes([*a, *b, *c, *d]),
            whole_sum(protocol == 58),
            about.len(),
            describe_packet(about)
        ),
        (4 | 41, inner) => format!(" with {{{}}}", describe_packet(inner)),
        (47, [0x80, _, _, _, _, _, _, _, inner @ ..]) => format!(
            " GRE, sum {}, with {{{}}}",
            whole_sum(false),
            describe_packet(inner)
        ),
        (47, [_, _, _, _, inner @ ..]) => {
            format!(" GRE with {{{}}}", describe_packet(inner))
        }
        (17, [_, _, 0x17, 0xc0, _, _, 0, 0, _, _, _, _, inner @ ..]) => {
            format!(" GUE with {{{}}}", describe_packet(inner))
        }
        (17, [_, _, 0x17, 0xc0, _, _, _, _, _, _, _, _, inner @ ..]) => format!(
            " GUE, sum {}, with {{{}}}",
            whole_sum(true),
            describe_packet(inner)
        ),
        (6 | 17, [a, b, c, d, ..]) => format!(
            ", {} {} > {}, sum {}",
            if protocol == 6 { "TCP" } else { "UDP" },
            u16::from_be_bytes([*a, *b]),
            u16::from_be_bytes([*c, *d]),
            whole_sum(true)
        ),
        _ => format!(", {} octets of protocol {protocol}", content.len()),
    };
    text
}
