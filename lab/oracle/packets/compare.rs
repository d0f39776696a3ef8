//! Whether the same came out of both directors: octet by octet, but for what may differ.
//!
//! - The identification of packets that the director itself makes (the outer ones of tunnels,
//!   ICMP errors) and that may be fragmented, since it is random, with the header checksum.
//! - Checksums of tunnels, which the kernel leaves to the device: those are finished here.
//! - The source port of GUE packets, which is a hash of the kernel's own, and the checksum over it.
//! - The checksum of UDP datagrams that came without one: IPVS computes it.
//! - What an Ethernet frame has after its packet.
//! - In the packet that an ICMP error quotes, the transport's checksum, which IPVS leaves as it
//!   was when it translates the rest; and with it that of the error, which Linux 6.1 makes wrong
//!   for "packet too big" in any case. Those of elver have to be right.
//! - The flow label of ICMPv6 errors, which is a hash of the kernel's own.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::{
    DONT_FRAGMENT, GRE, ICMP, ICMPV6, IPIP, IPV6, SCTP, TCP, UDP, internet_checksum, pseudo_header,
};

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

/// The destination port of GUE in every case.
pub(super) const GUE_PORT: u16 = 6080;

/// The source ports that a GUE packet may have, of both.
const GUE_SOURCES: std::ops::RangeInclusive<u16> = 32768..=60999;

/// A frame with what may differ made the same, or what is wrong with it.
struct Comparable {
    octets: Vec<u8>,
    /// Where the transport's header begins.
    transport: usize,
    protocol: u8,
    /// Whether the checksums of an ICMP error and of what it quotes are right.
    is_right: bool,
}

/// What is different in the frames that came out, if anything. `unchecked` says that what
/// went in was a UDP datagram without a checksum.
pub(super) fn difference(
    kernel: &[Vec<u8>],
    elver: &[Vec<u8>],
    unchecked: bool,
) -> Result<(), String> {
    let is_same = kernel.len() == elver.len()
        && kernel
            .iter()
            .zip(elver)
            .map(|(kernel, elver)| is_same(kernel, elver, unchecked))
            .collect::<Result<Vec<bool>, String>>()?
            .iter()
            .all(|same| *same);
    if is_same {
        return Ok(());
    }
    Err(format!(
        "the kernel:\n{}elver:\n{}",
        text(kernel),
        text(elver)
    ))
}

/// Frames for a reader.
pub(super) fn text(frames: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for frame in frames {
        for part in frame.chunks(4) {
            for octet in part {
                write!(text, "{octet:02x}").expect("memory takes it");
            }
            text.push(' ');
        }
        text.push('\n');
    }
    if frames.is_empty() {
        text.push_str("(nothing)\n");
    }
    text
}

fn is_same(kernel: &[u8], elver: &[u8], unchecked: bool) -> Result<bool, String> {
    let mut kernel = comparable(&finished(kernel))?;
    let elver = comparable(elver)?;
    if !elver.is_right {
        return Err(format!(
            "an ICMP error with a wrong checksum, with which it came:\n{}",
            text(&[elver.octets])
        ));
    }
    if unchecked && kernel.protocol == UDP && elver.protocol == UDP {
        let place = kernel.transport + 6;
        let has_none = elver.octets.get(place..place + 2) == Some(&[0; 2]);
        if has_none && kernel.octets.get(place..place + 2) != Some(&[0; 2]) {
            if !is_udp_right(&kernel.octets, kernel.transport) {
                return Err(format!(
                    "a wrong UDP checksum of the kernel's:\n{}",
                    text(&[kernel.octets])
                ));
            }
            kernel.octets[place..place + 2].fill(0);
        }
    }
    Ok(kernel.octets == elver.octets)
}

/// A frame of the kernel's whose tunnel has a checksum, which it leaves to the device that sends
/// it: here there is none.
fn finished(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let (transport, protocol) = if frame[ETHERNET] >> 4 == 6 {
        (ETHERNET + 40, frame[20])
    } else {
        (ETHERNET + usize::from(frame[ETHERNET] & 15) * 4, frame[23])
    };
    let (source, destination) = addresses(&frame);
    let segment = &frame[transport..];
    let pseudo = pseudo_header(source, destination, UDP, segment.len());
    // What stands in the checksum's place until a device puts it there.
    let (place, unfinished, covered) = match protocol {
        GRE if segment[0] & 0x80 != 0 => (4, 0, segment.to_vec()),
        UDP => {
            let sum = !internet_checksum(&[&pseudo]);
            (6, sum, [&pseudo, segment].concat())
        }
        _ => return frame,
    };
    if segment[place..place + 2] == unfinished.to_be_bytes() {
        let start = covered.len() - segment.len() + place;
        let mut covered = covered;
        covered[start..start + 2].fill(0);
        let checksum = internet_checksum(&[&covered]);
        frame[transport + place..transport + place + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    frame
}

fn comparable(frame: &[u8]) -> Result<Comparable, String> {
    let wrong = |what: &str| format!("{what}:\n{}", text(&[frame.to_vec()]));
    let is_ipv6 = frame[ETHERNET] >> 4 == 6;
    let word = |place: usize| usize::from(u16::from_be_bytes([frame[place], frame[place + 1]]));
    let (length, header) = if is_ipv6 {
        (40 + word(ETHERNET + 4), 40)
    } else {
        (word(ETHERNET + 2), usize::from(frame[ETHERNET] & 15) * 4)
    };
    let mut octets = frame
        .get(..ETHERNET + length)
        .ok_or_else(|| wrong("a packet longer than its frame"))?
        .to_vec();
    let transport = ETHERNET + header;
    let protocol = if is_ipv6 { frame[20] } else { frame[23] };
    let is_gue = protocol == UDP && word(transport + 2) == usize::from(GUE_PORT);
    if !is_ipv6 {
        if internet_checksum(&[&octets[ETHERNET..transport]]) != 0 {
            return Err(wrong("a wrong checksum of the IP header"));
        }
        let is_ours = is_gue
            || matches!(protocol, IPIP | IPV6 | GRE)
            || (protocol == ICMP && matches!(octets[transport], 3 | 11));
        if is_ours && word(ETHERNET + 6) & usize::from(DONT_FRAGMENT) == 0 {
            octets[ETHERNET + 4..ETHERNET + 6].fill(0);
            octets[ETHERNET + 10..ETHERNET + 12].fill(0);
        }
    }
    if is_gue {
        if !GUE_SOURCES.contains(&(word(transport) as u16)) {
            return Err(wrong(
                "a source port of GUE that is none of those to be used",
            ));
        }
        if octets[transport + 6..transport + 8] != [0; 2] {
            if !is_udp_right(&octets, transport) {
                return Err(wrong("a wrong checksum of GUE"));
            }
            // It covers the port.
            octets[transport + 6..transport + 8].fill(0xff);
        }
        octets[transport..transport + 2].fill(0);
    }
    let mut comparable = Comparable {
        octets,
        transport,
        protocol,
        is_right: true,
    };
    comparable.level_error();
    Ok(comparable)
}

impl Comparable {
    /// Of an ICMP error, looks at the checksums and makes those that may differ the same.
    fn level_error(&mut self) {
        let start = self.transport;
        let is_error = match (self.protocol, self.octets.get(start)) {
            (ICMP, Some(kind)) => matches!(kind, 3 | 4 | 11 | 12),
            (ICMPV6, Some(kind)) => *kind < 128,
            _ => false,
        };
        let quoted = start + 8;
        if !is_error || self.octets.len() < quoted + 20 {
            return;
        }
        let pseudo = if self.protocol == ICMPV6 {
            let (source, destination) = addresses(&self.octets);
            pseudo_header(source, destination, ICMPV6, self.octets.len() - start)
        } else {
            Vec::new()
        };
        if self.protocol == ICMPV6 {
            self.octets[ETHERNET + 1] &= 0xf0;
            self.octets[ETHERNET + 2..ETHERNET + 4].fill(0);
        }
        self.is_right = internet_checksum(&[&pseudo, &self.octets[start..]]) == 0;
        self.octets[start + 2..start + 4].fill(0);
        let (protocol, header) = match self.octets[quoted] >> 4 {
            4 => {
                let header = usize::from(self.octets[quoted] & 15) * 4;
                (self.octets[quoted + 9], header)
            }
            _ => (self.octets[quoted + 6], 40),
        };
        let checksum = match protocol {
            TCP => 16..18,
            UDP => 6..8,
            SCTP => 8..12,
            _ => return,
        };
        let place = quoted + header + checksum.start..quoted + header + checksum.end;
        if place.end <= self.octets.len() {
            self.octets[place].fill(0);
        }
    }
}

/// The packet in a frame, without what stands behind it.
pub(super) fn packet(frame: &[u8]) -> &[u8] {
    let word = |place: usize| usize::from(u16::from_be_bytes([frame[place], frame[place + 1]]));
    let length = if frame[ETHERNET] >> 4 == 6 {
        40 + word(ETHERNET + 4)
    } else {
        word(ETHERNET + 2)
    };
    &frame[ETHERNET..(ETHERNET + length).min(frame.len())]
}

fn addresses(frame: &[u8]) -> (IpAddr, IpAddr) {
    let packet = &frame[ETHERNET..];
    let v4 = |place: usize| -> IpAddr {
        Ipv4Addr::from(*packet[place..].first_chunk().expect("a whole header")).into()
    };
    let v6 = |place: usize| -> IpAddr {
        Ipv6Addr::from(*packet[place..].first_chunk().expect("a whole header")).into()
    };
    if packet[0] >> 4 == 6 {
        (v6(8), v6(24))
    } else {
        (v4(12), v4(16))
    }
}

fn is_udp_right(frame: &[u8], transport: usize) -> bool {
    let (source, destination) = addresses(frame);
    let segment = &frame[transport..];
    let pseudo = pseudo_header(source, destination, UDP, segment.len());
    internet_checksum(&[&pseudo, segment]) == 0
}

/// Where a frame without a tunnel goes, with the port, if it has one of TCP, UDP or SCTP.
pub(super) fn destination(frame: &[u8]) -> Option<(u8, std::net::SocketAddr)> {
    let Comparable {
        octets,
        transport,
        protocol,
        ..
    } = comparable(frame).ok()?;
    let has_ports = matches!(protocol, TCP | UDP | SCTP);
    let port = has_ports.then(|| octets[transport + 2..].first_chunk())??;
    let (_, address) = addresses(frame);
    Some((protocol, (address, u16::from_be_bytes(*port)).into()))
}
