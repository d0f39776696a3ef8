//! A director with every method, protocol and family; frames that lead everywhere in it; and what
//! must hold of whatever becomes of a frame.

use std::sync::OnceLock;

use elver_packet::frame::Verdict;
use elver_packet::host::{HostFrame, HostTables, Method, Persistence, VirtualService};
use elver_packet::reason::Reason;
use elver_packet::table::connection::WORDS;
use elver_packet::table::destination::tunnel;
use elver_packet::wire::protocol;

use super::consistency::assert_consistent;
use super::datagram::{Datagram, Transport, datagram};
use super::icmp::{Error, packet};
use super::packet::{GUE_PORT, header_is_right, transport_error};
use super::{Director, SECOND, address, routes, socket};

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

/// Addresses of clients, virtual services and real servers, by family.
const CLIENT: [&str; 2] = ["10.1.0.2", "fd00:1::2"];
const VIP: [&str; 2] = ["10.1.0.100", "fd00:1::100"];
const SERVER: [&str; 2] = ["10.2.0.11", "fd00:2::11"];

fn at(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// Every method for every protocol in both families, tunnels also to the other family; the
/// method is the port. Persistent is what has a port above 90.
pub fn director() -> Director {
    let mut director = Director::over(HostTables::new(64, 64, 4));
    for family in [0, 1] {
        for protocol in [protocol::TCP, protocol::UDP, protocol::SCTP] {
            for (number, server, method) in methods() {
                let tunnel = matches!(method, Method::Tunnel { .. });
                if !tunnel && server != family {
                    continue;
                }
                let vip = socket(&at(VIP[family], 80 + number));
                let service = VirtualService {
                    protocol,
                    persistence: (number > 10).then_some(Persistence {
                        ticks: 50 * SECOND,
                        prefix: 24,
                    }),
                    ..VirtualService::new(vip.ip(), vip.port())
                };
                let server = socket(&at(SERVER[server], 8080));
                director.add_service(&service, &[(server, method)]);
            }
        }
    }
    director
}

/// Ports, counted from 80, with the family of the real server and the method.
fn methods() -> Vec<(u16, usize, Method)> {
    let mut methods = vec![
        (0, 0, Method::Nat),
        (0, 1, Method::Nat),
        (1, 0, Method::Direct),
        (1, 1, Method::Direct),
        (11, 0, Method::Nat),
        (11, 1, Method::Nat),
    ];
    for (server, source) in [(0, "10.2.0.1"), (1, "fd00:2::1")] {
        for (number, kind) in [(2, tunnel::IPIP), (4, tunnel::GRE), (6, tunnel::GUE)] {
            let method = Method::Tunnel {
                kind,
                port: if kind == tunnel::GUE { GUE_PORT } else { 0 },
                source: address(source),
            };
            methods.push((number + server as u16, server, method));
        }
    }
    methods
}

/// Right frames of every kind: what a director takes, what it makes of it, and errors about
/// that.
pub fn corpus() -> &'static [Vec<u8>] {
    static CORPUS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let mut director = director();
        let mut frames = Vec::new();
        for family in [0, 1] {
            for number in [0, 1, 2, 3, 4, 5, 6, 7, 11] {
                let vip = at(VIP[family], 80 + number);
                let client = at(CLIENT[family], 2000);
                for transport in [
                    Transport::Tcp("S"),
                    Transport::Tcp("A"),
                    Transport::Tcp("FA"),
                    Transport::Udp,
                    Transport::Sctp(1),
                    Transport::Sctp(0),
                ] {
                    let there = datagram(&client, &vip, transport.clone());
                    frames.push(there.octets());
                    let out = director.process(there.octets()).octets;
                    let back = Datagram {
                        source: socket(&at(SERVER[family], 8080)),
                        destination: socket(&client),
                        ..datagram(&client, &vip, transport)
                    };
                    frames.push(back.octets());
                    frames.extend(errors(family, &there.octets(), &out, &back.octets()));
                }
            }
            let (client, vip) = (at(CLIENT[family], 2001), at(VIP[family], 80));
            let long = datagram(&client, &vip, Transport::Udp).payload(vec![7; 1400]);
            frames.push(long.octets());
            frames.push(tagged(&long.octets(), 1));
            frames.push(tagged(&long.octets(), 2));
        }
        let mut fragment = datagram("10.1.0.2:2002", "10.1.0.100:80", Transport::Udp).octets();
        fragment[ETHERNET + 6..ETHERNET + 8].copy_from_slice(&[0x20, 0]);
        frames.push(fragment.clone());
        fragment[ETHERNET + 6..ETHERNET + 8].copy_from_slice(&[0, 9]);
        frames.push(fragment);
        frames
    })
}

/// Errors about what came, what went, and the answer.
fn errors(family: usize, there: &[u8], out: &[u8], back: &[u8]) -> Vec<Vec<u8>> {
    let kinds = [[(3, 3), (3, 4), (11, 0)], [(1, 4), (2, 0), (3, 0)]][family];
    let router = ["10.2.0.77", "fd00:2::77"][family];
    let own = ["10.2.0.1", "fd00:2::1"][family];
    let mut frames = Vec::new();
    for (number, code) in kinds {
        let error = Error::new(number, code, 1300);
        for quoted in [packet(there), packet(out), packet(back)] {
            let is_other = (quoted[0] >> 4 == 6) != (family == 1);
            for to in [CLIENT[family], VIP[family], own] {
                if !is_other {
                    frames.push(error.about(router, to, &quoted[..quoted.len().min(200)]));
                }
            }
        }
    }
    frames
}

/// A frame with VLAN tags.
fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for number in 0..tags {
        tagged.extend([0x81, 0, 0, number as u8 + 1]);
    }
    tagged.extend(&frame[12..]);
    tagged
}

/// Where the packet of a frame without tags ends by its own length, if that is in the frame.
fn end(frame: &[u8]) -> Option<usize> {
    let word = |place: usize| {
        Some(usize::from(u16::from_be_bytes(
            *frame.get(place..)?.first_chunk()?,
        )))
    };
    let length = match word(12)? {
        0x0800 => word(ETHERNET + 2)?,
        0x86dd => 40 + word(ETHERNET + 4)?,
        _ => return None,
    };
    Some(ETHERNET + length).filter(|end| *end <= frame.len())
}

/// Whether a frame has a TCP segment, whole and right behind an IPv4 header.
fn is_plain_tcp(frame: &[u8]) -> bool {
    let Some(length) = end(frame).and_then(|end| end.checked_sub(ETHERNET + 20)) else {
        return false;
    };
    frame[12..15] == [0x08, 0x00, 0x45]
        && frame[ETHERNET + 9] == protocol::TCP
        && frame[ETHERNET + 6] & 0x3f == 0
        && frame[ETHERNET + 7] == 0
        && length >= 20
        && (20..=length).contains(&(usize::from(frame[ETHERNET + 32] >> 4) * 4))
}

fn outcomes(director: &Director) -> u64 {
    let beside = [
        Reason::ReplacedExpired,
        Reason::ReplacedEmbryonic,
        Reason::ReplacedLive,
        Reason::ReplacedTemplate,
        Reason::Answered,
        Reason::AnswerWithheld,
        Reason::RelatedError,
    ];
    Reason::ALL
        .iter()
        .filter(|reason| !beside.contains(reason))
        .map(|reason| director.tables.reason(*reason))
        .sum()
}

/// Two directors to which the same packets come, with other octets behind them.
pub struct Twins {
    pub one: Director,
    pub other: Director,
}

impl Twins {
    pub fn new() -> Twins {
        Twins {
            one: director(),
            other: director(),
        }
    }

    /// A frame comes, in which `behind` stands behind the packet.
    pub fn meet(&mut self, mut octets: Vec<u8>, behind: &[u8]) {
        let mut others = octets.clone();
        if let Some(end) = end(&octets) {
            octets.truncate(end);
            octets.extend(behind);
            others.truncate(end);
            others.extend(behind.iter().map(|octet| !octet));
        }
        let before = outcomes(&self.one);
        let outcome = self
            .one
            .process_frame(HostFrame::new(octets.clone(), routes));
        let other = self.other.process_frame(HostFrame::new(others, routes));
        assert_eq!(
            outcomes(&self.one),
            before + 1,
            "one outcome for each frame"
        );
        assert_eq!(
            outcome.verdict, other.verdict,
            "by what is behind the packet"
        );
        // Why a packet is none of ours may be seen a few octets behind its end.
        if outcome.verdict != Verdict::Pass {
            assert_eq!(
                outcome.counted, other.counted,
                "by what is behind the packet"
            );
        }
        assert_eq!(
            outcome.departure.is_some(),
            outcome.verdict == Verdict::Leave,
            "what leaves has a way, and nothing else has"
        );
        if outcome.verdict == Verdict::Leave {
            let out = &outcome.octets;
            let end = end(out).expect("what leaves is a whole packet");
            assert_eq!(
                out[ETHERNET..end],
                other.octets[ETHERNET..end],
                "by what is behind the packet"
            );
            if is_plain_tcp(&octets) && is_plain_tcp(out) {
                assert_eq!(header_is_right(out), header_is_right(&octets));
                assert_eq!(transport_error(out), transport_error(&octets));
            }
        } else {
            assert_eq!(outcome.octets, octets, "what does not leave is not touched");
        }
    }

    /// So long nothing comes.
    pub fn wait(&mut self, ticks: u32) {
        for director in [&mut self.one, &mut self.other] {
            director.wait(ticks);
            if ticks > 100 {
                director.sweep();
            }
        }
    }

    /// Whether the tables are right after all that came, and the same.
    pub fn assert_right(&self) {
        let lines = (self.one.tables.connections.len() / WORDS) as u32;
        let destinations = self.one.destinations().end;
        assert_consistent(&&self.one.tables, lines, destinations, 0);
        assert_eq!(self.one.entries(), self.other.entries());
    }
}
