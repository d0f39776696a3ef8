//! ICMP errors that others send about packets of the director's.

use std::fmt;
use std::net::IpAddr;

use super::network::End;
use super::packet::{ICMP, ICMPV6, Packet, internet_checksum, pseudo_header};

/// What somebody has to say about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NoPort,
    NoHost,
    /// It does not fit; this size would.
    TooBig(u16),
    Expired,
    /// Known to IPv4 alone.
    SourceQuench,
    /// An error about a field of the header.
    BadHeader,
    /// Known to IPv4 alone, and not an error.
    Redirect,
}

impl Kind {
    /// Type and code, and the four octets after the checksum (RFC 792, RFC 4443).
    fn words(self, is_ipv6: bool) -> ([u8; 2], [u8; 4]) {
        let size = |mtu: u16| u32::from(mtu).to_be_bytes();
        match (self, is_ipv6) {
            (Kind::NoPort, false) => ([3, 3], [0; 4]),
            (Kind::NoPort, true) => ([1, 4], [0; 4]),
            (Kind::NoHost, false) => ([3, 1], [0; 4]),
            (Kind::NoHost, true) => ([1, 3], [0; 4]),
            (Kind::TooBig(mtu), false) => ([3, 4], size(mtu)),
            (Kind::TooBig(mtu), true) => ([2, 0], size(mtu)),
            (Kind::Expired, false) => ([11, 0], [0; 4]),
            (Kind::Expired, true) => ([3, 0], [0; 4]),
            (Kind::BadHeader, false) => ([12, 0], [9, 0, 0, 0]),
            (Kind::BadHeader, true) => ([4, 0], [0, 0, 0, 6]),
            (Kind::SourceQuench, false) => ([4, 0], [0; 4]),
            (Kind::Redirect, false) => ([5, 1], [10, 2, 0, 12]),
            (Kind::SourceQuench | Kind::Redirect, true) => panic!("IPv6 has no {self:?}"),
        }
    }
}

/// Who complains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complainant {
    /// Whom the packet was for.
    Receiver,
    /// A router before that.
    Router,
}

/// An ICMP error about a packet that the director sent, or seems to have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Where it comes from.
    pub(super) end: End,
    pub(super) by: Complainant,
    pub(super) kind: Kind,
    /// The packet; `None`: the last that came out there.
    about: Option<Packet>,
    /// How many octets of the packet it quotes at the most.
    quoted: usize,
    /// Whether what the directors make of it is compared.
    pub(super) is_compared: bool,
}

impl Complaint {
    /// About the last packet that came out at an end, which it quotes as a whole.
    pub(super) fn new(end: End, by: Complainant, kind: Kind) -> Complaint {
        Complaint {
            end,
            by,
            kind,
            about: None,
            quoted: 1000,
            is_compared: true,
        }
    }

    /// About a packet that the director has not seen.
    pub(super) fn about(mut self, packet: Packet) -> Complaint {
        self.about = Some(packet);
        self
    }

    /// Quotes so many octets at the most.
    pub(super) fn quoting(mut self, octets: usize) -> Complaint {
        self.quoted = octets;
        self
    }

    /// What the directors make of it is not compared: only what they do later is.
    pub(super) fn uncompared(mut self) -> Complaint {
        self.is_compared = false;
        self
    }

    /// The packet with the error, where `last` came out last.
    pub(super) fn octets(&self, last: Option<&[u8]>) -> Vec<u8> {
        let built = self.about.as_ref().map(Packet::octets);
        let about = built
            .as_deref()
            .or(last)
            .unwrap_or_else(|| panic!("{self}: nothing has come out there"));
        let is_ipv6 = about[0] >> 4 == 6;
        let (sender, receiver) = ends(about);
        let source = match self.by {
            Complainant::Receiver => receiver,
            Complainant::Router => self.end.router(is_ipv6),
        };
        let (kind, rest) = self.kind.words(is_ipv6);
        let quoted = &about[..about.len().min(self.quoted)];
        let mut message = [&kind[..], &[0; 2], &rest, quoted].concat();
        let pseudo = if is_ipv6 {
            pseudo_header(source, sender, ICMPV6, message.len())
        } else {
            Vec::new()
        };
        let checksum = internet_checksum(&[&pseudo, &message]);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = header(source, sender, message.len() as u16);
        packet.extend(message);
        packet
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at the end of {:?} complains: {:?} about ",
            self.by, self.end, self.kind
        )?;
        match &self.about {
            Some(packet) => write!(f, "{packet}")?,
            None => write!(f, "the last packet")?,
        }
        write!(f, ", quoting {} octets", self.quoted)
    }
}

/// Source and destination of a packet.
fn ends(packet: &[u8]) -> (IpAddr, IpAddr) {
    let v4 = |place: usize| -> IpAddr {
        let octets: [u8; 4] = *packet[place..].first_chunk().expect("a whole header");
        octets.into()
    };
    let v6 = |place: usize| -> IpAddr {
        let octets: [u8; 16] = *packet[place..].first_chunk().expect("a whole header");
        octets.into()
    };
    if packet[0] >> 4 == 6 {
        (v6(8), v6(24))
    } else {
        (v4(12), v4(16))
    }
}

/// An IP header before an ICMP message of so many octets.
fn header(source: IpAddr, destination: IpAddr, length: u16) -> Vec<u8> {
    let mut header = match source {
        IpAddr::V4(_) => {
            let total = (20 + length).to_be_bytes();
            vec![
                0x45, 0, total[0], total[1], 0x12, 0x34, 0x40, 0, 64, ICMP, 0, 0,
            ]
        }
        IpAddr::V6(_) => {
            let length = length.to_be_bytes();
            vec![0x60, 0, 0, 0, length[0], length[1], ICMPV6, 64]
        }
    };
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => header.extend(address.octets()),
            IpAddr::V6(address) => header.extend(address.octets()),
        }
    }
    if source.is_ipv4() {
        let checksum = internet_checksum(&[&header]);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    header
}
