//! What holds for every packet by every protocol and method, and under a flood.

mod support;

use std::net::{IpAddr, SocketAddr};

use elver_packet::checksum::{fold, sum};
use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{HostFrame, Journey, Method, Persistence, VirtualService};
use elver_packet::reason::Reason;
use elver_packet::table::connection::{STRIDE, WORDS};
use elver_packet::table::destination::tunnel;
use elver_packet::wire::protocol;
use proptest::prelude::*;
use support::consistency::assert_consistent;
use support::datagram::{Datagram, Transport, datagram};
use support::packet::GUE_PORT;
use support::{Director, SECOND, address, routes, socket};

const VIPS: [&str; 2] = ["10.1.0.100:80", "[fd00:1::100]:80"];
const SERVERS: [&str; 2] = ["10.2.0.11:8080", "[fd00:2::11]:8080"];

/// The methods whose packets reach the real server in one piece, by the real server's family.
fn methods(server_v6: bool) -> [Method; METHODS] {
    let source = address(if server_v6 { "fd00:2::1" } else { "10.2.0.1" });
    let tunnel = |kind| Method::Tunnel {
        kind,
        port: if kind & 0xf == tunnel::GUE {
            GUE_PORT
        } else {
            0
        },
        source,
    };
    [
        Method::Nat,
        Method::Direct,
        tunnel(tunnel::IPIP),
        tunnel(tunnel::GUE),
        tunnel(tunnel::GRE),
        tunnel(tunnel::GUE | tunnel::REMOTE_CHECKSUM),
        tunnel(tunnel::GUE | tunnel::CHECKSUM),
        tunnel(tunnel::GRE | tunnel::CHECKSUM),
    ]
}

const METHODS: usize = 8;

fn protocol_of(transport: &Transport) -> u8 {
    match transport {
        Transport::Tcp(_) => protocol::TCP,
        Transport::Udp | Transport::UdpUnsummed => protocol::UDP,
        Transport::Sctp(_) => protocol::SCTP,
    }
}

fn director(protocol: u8, vip: &str, server: &str, method: Method, sets: u32) -> Director {
    let mut director = Director::new(sets);
    let service = VirtualService {
        protocol,
        ..VirtualService::new(socket(vip).ip(), socket(vip).port())
    };
    director.add_service(&service, &[(socket(server), method)]);
    director
}

/// Packets that open connections, with everything that a packet can have.
fn original() -> impl Strategy<Value = Datagram> {
    let transport = prop_oneof![
        Just(Transport::Tcp("S")),
        Just(Transport::Udp),
        Just(Transport::UdpUnsummed),
        Just(Transport::Sctp(1)),
    ];
    let kinds = prop_oneof![
        Just(protocol::HOP_BY_HOP),
        Just(protocol::ROUTING),
        Just(protocol::DESTINATION_OPTIONS),
        Just(protocol::AUTHENTICATION),
    ];
    let extensions = proptest::collection::vec((kinds, 0u8..3), 0..4);
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    let fields = (2u8.., any::<u8>(), any::<u16>(), any::<bool>(), 0usize..8);
    let client = (any::<u16>(), 21u16..);
    (
        transport,
        any::<bool>(),
        extensions,
        0usize..11,
        payload,
        fields,
        client,
    )
        .prop_map(
            |(transport, v6, extensions, words, payload, fields, (host, port))| {
                let (time_to_live, traffic_class, identification, dont_fragment, padding) = fields;
                let [a, b] = host.to_be_bytes();
                let client = if v6 {
                    IpAddr::from([0xfd00, 1, 0, 0, 7, 7, 7, host])
                } else {
                    IpAddr::from([10, 1, a, b])
                };
                let whole = |(kind, units): (u8, u8)| {
                    let octets = match kind {
                        protocol::AUTHENTICATION => 8 + 4 * usize::from(2 * units),
                        _ => 8 + 8 * usize::from(units),
                    };
                    let length = if kind == protocol::AUTHENTICATION {
                        2 * units
                    } else {
                        units
                    };
                    let mut header = vec![0; octets];
                    header[1] = length;
                    (kind, header)
                };
                Datagram {
                    source: SocketAddr::new(client, port),
                    payload,
                    time_to_live,
                    traffic_class,
                    identification,
                    dont_fragment,
                    padding,
                    options: if v6 { Vec::new() } else { vec![1; 4 * words] },
                    extensions: if v6 {
                        extensions.into_iter().map(whole).collect()
                    } else {
                        Vec::new()
                    },
                    ..datagram("10.1.0.2:1000", VIPS[usize::from(v6)], transport)
                }
            },
        )
}

/// Whether a tunnel's checksum can be told: of a segment with a checksum of its own, and of an
/// IPv4 datagram without one.
fn is_summed(original: &Datagram) -> bool {
    match original.transport {
        Transport::Sctp(_) => false,
        Transport::UdpUnsummed if original.source.is_ipv6() => false,
        _ => original.extensions.is_empty(),
    }
}

/// The packet inside what left by a tunnel, after headers that are what they have to be.
fn decapsulated<'a>(left: &'a [u8], kind: u8, original: &Datagram) -> &'a [u8] {
    let packet = &left[14..];
    let (header, next) = match packet[0] >> 4 {
        4 => (20, packet[9]),
        _ => (40, packet[6]),
    };
    let addresses = match packet[0] >> 4 {
        4 => &packet[12..20],
        _ => &packet[8..40],
    };
    let (number, ether_type) = if original.source.is_ipv6() {
        (41, [0x86, 0xdd])
    } else {
        (4, [8, 0])
    };
    let behind = &packet[header..];
    let has_checksum = kind & tunnel::CHECKSUM != 0 && is_summed(original);
    match kind & 0xf {
        tunnel::GUE => {
            assert_eq!(next, 17);
            let length = usize::from(u16::from_be_bytes([behind[4], behind[5]]));
            assert_eq!(behind[2..4], GUE_PORT.to_be_bytes());
            assert_eq!(behind[8..12], [0, number, 0, 0]);
            assert_eq!(behind[6..8] != [0, 0], has_checksum);
            if has_checksum {
                let pseudo_header = [addresses, &[0, 17], &behind[4..6]].concat();
                let total = sum(&pseudo_header) + sum(&behind[..length]);
                assert_eq!(fold(total), 0xffff);
            }
            &behind[12..]
        }
        tunnel::GRE if has_checksum => {
            assert_eq!(next, 47);
            assert_eq!(behind[..4], [[0x80, 0], ether_type].concat()[..]);
            assert_eq!(behind[6..8], [0, 0]);
            let length = match packet[0] >> 4 {
                4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])) - header,
                _ => usize::from(u16::from_be_bytes([packet[4], packet[5]])),
            };
            assert_eq!(fold(sum(&behind[..length])), 0xffff, "{packet:02x?}");
            &behind[8..]
        }
        tunnel::GRE => {
            assert_eq!(next, 47);
            assert_eq!(behind[..4], [[0, 0], ether_type].concat()[..]);
            &behind[4..]
        }
        _ => {
            assert_eq!(next, number);
            behind
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// By NAT the real server gets what the client would have sent to it with checksums summed
    /// anew; sent back as it came, the client gets its own packet, two hops older.
    #[test]
    fn the_reverse_of_forward_is_identity(original in original()) {
        let v6 = original.source.is_ipv6();
        let (vip, server) = (VIPS[usize::from(v6)], SERVERS[usize::from(v6)]);
        let mut director = director(protocol_of(&original.transport), vip, server, Method::Nat, 16);
        let there = director.process(original.octets());
        prop_assert_eq!(there.verdict, Verdict::Leave);
        let expected = Datagram {
            destination: socket(server),
            time_to_live: original.time_to_live - 1,
            ..original.clone()
        };
        prop_assert_eq!(&there.octets[14..], &expected.octets()[14..]);

        let answer = Datagram {
            source: socket(server),
            destination: original.source,
            ..original.clone()
        };
        let back = director.process(answer.octets());
        prop_assert_eq!(back.verdict, Verdict::Leave);
        let expected = Datagram {
            source: socket(vip),
            time_to_live: answer.time_to_live - 1,
            ..answer
        };
        prop_assert_eq!(&back.octets[14..], &expected.octets()[14..]);
    }

    /// What comes out of a tunnel, or past it by direct routing, is what the client sent, one
    /// hop older.
    #[test]
    fn decapsulating_gives_the_original(original in original(), server_v6 in any::<bool>(), method in 1..METHODS) {
        let v6 = original.source.is_ipv6();
        let method = methods(server_v6)[method];
        let server = match method {
            Method::Tunnel { .. } => SERVERS[usize::from(server_v6)],
            _ => SERVERS[usize::from(v6)],
        };
        let mut director = director(protocol_of(&original.transport), VIPS[usize::from(v6)], server, method, 16);
        let outcome = director.process(original.octets());
        prop_assert_eq!(outcome.verdict, Verdict::Leave, "{}", outcome.counted);
        let inner = match method {
            Method::Tunnel { kind, .. } => decapsulated(&outcome.octets, kind, &original),
            _ => &outcome.octets[14..],
        };
        let expected = original.clone().time_to_live(original.time_to_live - 1).octets();
        prop_assert_eq!(inner, &expected[14..]);
    }

    /// Whatever arrives has a verdict and exactly one outcome, and is not touched unless it
    /// leaves or its destination is this host itself.
    #[test]
    fn every_frame_has_an_outcome(
        original in original(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in proptest::option::of(any::<prop::sample::Index>()),
        mark in prop_oneof![Just(0u32), Just(7)],
        server_v6 in any::<bool>(),
        method in 0..METHODS,
        (local, one_packet, persistent) in any::<(bool, bool, bool)>(),
    ) {
        let v6 = original.source.is_ipv6();
        let mut octets = original.octets();
        let headers = octets.len().min(120);
        for (at, value) in changes {
            octets[at.index(headers)] = value;
        }
        if let Some(length) = length {
            octets.truncate(length.index(octets.len()));
        }
        let method = methods(server_v6)[method];
        let server = match method {
            Method::Tunnel { .. } => SERVERS[usize::from(server_v6)],
            _ => SERVERS[usize::from(v6)],
        };
        let mut director = Director::new(2);
        for vip in VIPS {
            for protocol in [protocol::TCP, protocol::UDP, protocol::SCTP] {
                let service = VirtualService {
                    protocol,
                    one_packet,
                    persistence: persistent.then_some(Persistence { ticks: 50 * SECOND, prefix: 24 }),
                    ..VirtualService::new(socket(vip).ip(), 80)
                };
                if socket(vip).is_ipv6() == v6 {
                    let (id, first) = director.add_service(&service, &[(socket(server), method)]);
                    director.rewrite(first, |server| server.local = local);
                    if mark != 0 && protocol == protocol::TCP {
                        director.mark(id, mark, if v6 { 6 } else { 4 });
                    }
                }
            }
        }
        let frame = HostFrame { mark, ..HostFrame::new(octets.clone(), routes as fn(&Journey) -> Route) };
        let outcome = director.process_frame(frame);
        let is_touched = outcome.verdict == Verdict::Leave || outcome.counted.starts_with("delivered_here");
        if !is_touched {
            prop_assert_eq!(&outcome.octets, &octets);
        }
        if outcome.verdict != Verdict::Leave {
            prop_assert_eq!(outcome.octets.len(), octets.len());
        }
        let outcomes: u64 = Reason::ALL.iter().map(|reason| director.tables.reason(*reason)).sum();
        prop_assert_eq!(outcomes, 1);
        check(&director);
    }
}

fn check(director: &Director) {
    let lines = (director.tables.connections.len() / WORDS) as u32;
    assert_consistent(&&director.tables, lines, director.destinations().end, 0);
}

/// A flood of ten times the table pushes out its own kind: connections that carry data stay.
/// `opening` makes a connection, `data` is what it carries, `answers` whether its real server's
/// answers come through here.
fn flood(method: Method, opening: &[Transport], data: Transport, answers: bool) {
    const SETS: u32 = 64;
    const CONNECTIONS: u16 = 60;
    let vip = VIPS[0];
    let server = SERVERS[0];
    let mut director = director(protocol_of(&data), vip, server, method, SETS);
    let packet = |client: SocketAddr, transport: &Transport| Datagram {
        source: client,
        ..datagram("10.1.0.2:1000", vip, transport.clone())
    };
    let friend = |port| SocketAddr::new(address("10.1.0.2"), port);
    for port in 1000..1000 + CONNECTIONS {
        for transport in opening {
            let outcome = director.process(packet(friend(port), transport).octets());
            assert_eq!(outcome.verdict, Verdict::Leave, "{}", outcome.counted);
        }
        if answers {
            let answer = Datagram {
                destination: friend(port),
                ..datagram(server, "10.1.0.2:1000", data.clone())
            };
            let outcome = director.process(answer.octets());
            assert_eq!(outcome.verdict, Verdict::Leave, "{}", outcome.counted);
        }
    }
    for number in 0..10 * SETS * (STRIDE - 1) {
        let client = IpAddr::from((0x0a01_8000 + number / 7 % 0x7fff).to_be_bytes());
        let stranger = SocketAddr::new(client, (2000 + number) as u16);
        director.process(packet(stranger, &opening[0]).octets());
        if number % 64 == 0 {
            director.wait(1);
            for port in 1000..1000 + CONNECTIONS {
                // A connection that is gone would open anew, and that is counted.
                let outcome = director.process(packet(friend(port), &data).octets());
                assert_eq!(outcome.verdict, Verdict::Leave, "connection {port}");
                let is_new = outcome.counted.contains("connections +1");
                assert!(!is_new, "connection {port} after {number} packets");
            }
        }
    }
    assert_eq!(director.tables.reason(Reason::ReplacedLive), 0);
    assert!(director.tables.reason(Reason::ReplacedEmbryonic) > 1000);
    check(&director);
}

#[test]
fn connections_by_nat_survive_a_flood() {
    let tcp = [Transport::Tcp("S"), Transport::Tcp("A")];
    flood(Method::Nat, &tcp, Transport::Tcp("PA"), true);
    flood(Method::Nat, &[Transport::Udp], Transport::Udp, true);
    let sctp = [Transport::Sctp(1), Transport::Sctp(10)];
    flood(Method::Nat, &sctp, Transport::Sctp(11), true);
}

#[test]
fn connections_past_us_survive_a_flood() {
    for method in &methods(false)[1..] {
        let tcp = [Transport::Tcp("S"), Transport::Tcp("A")];
        flood(*method, &tcp, Transport::Tcp("PA"), false);
        flood(*method, &[Transport::Udp], Transport::Udp, false);
        let sctp = [Transport::Sctp(1), Transport::Sctp(10)];
        flood(*method, &sctp, Transport::Sctp(0), false);
    }
}
