//! What holds for every packet and every history.

mod support;

use std::net::{IpAddr, SocketAddr};

use elver_packet::frame::Verdict;
use elver_packet::host::{HostFrame, HostTables, Method, Persistence, VirtualService};
use elver_packet::reason::Reason;
use elver_packet::table::connection::{STRIDE, WORDS, reclaim};
use elver_packet::table::destination::tunnel;
use elver_packet::wire::protocol;
use proptest::prelude::*;
use support::consistency::assert_consistent;
use support::datagram::{Transport, datagram};
use support::packet::{Segment, header_is_right, segment, transport_error};
use support::{Director, SECOND, icmp, routes, socket};

const VIPS: [&str; 3] = ["10.1.0.100:80", "10.1.0.101:80", "10.1.0.102:0"];
const SERVERS: [&str; 3] = ["10.2.0.11:8080", "10.2.0.12:0", "10.2.0.13:8080"];
const FLAGS: [&str; 8] = ["S", "S", "SA", "A", "PA", "FA", "R", ""];
const CHUNKS: [u8; 8] = [1, 1, 2, 10, 11, 0, 7, 6];

/// Three services, the second persistent; they share real servers.
fn director(sets: u32) -> Director {
    let mut director = Director::new(sets);
    let servers = SERVERS.map(socket);
    director.add(socket(VIPS[0]), None, &servers);
    director.add(
        socket(VIPS[1]),
        Some(Persistence {
            ticks: 50 * SECOND,
            prefix: 31,
        }),
        &servers,
    );
    director.add(socket(VIPS[2]), None, &servers[1..]);
    director
}

/// The same services for UDP and SCTP, by other methods: direct routing with persistence, and
/// each packet on its own.
fn with_other_protocols(mut director: Director) -> Director {
    let tunnel = Method::Tunnel {
        kind: tunnel::GUE,
        port: 6080,
        source: socket("10.2.0.1:0").ip(),
    };
    let persistence = Some(Persistence {
        ticks: 50 * SECOND,
        prefix: 31,
    });
    for (protocol, methods) in [
        (protocol::UDP, [Method::Nat, Method::Direct, Method::Nat]),
        (protocol::SCTP, [tunnel, Method::Nat, Method::Direct]),
    ] {
        for (number, method) in methods.into_iter().enumerate() {
            let vip = socket(VIPS[number]);
            let service = VirtualService {
                protocol,
                persistence: persistence.filter(|_| number == 1),
                one_packet: number == 2,
                ..VirtualService::new(vip.ip(), vip.port())
            };
            director.add_service(&service, &SERVERS.map(|server| (socket(server), method)));
        }
    }
    director
}

/// A packet of any protocol; flags make the event.
fn any_packet(source: &str, target: &str, flags: usize, transport: u8) -> Vec<u8> {
    match transport {
        0 | 1 => segment(source, target, FLAGS[flags]).octets(),
        2 => datagram(source, target, Transport::Udp).octets(),
        _ => datagram(source, target, Transport::Sctp(CHUNKS[flags])).octets(),
    }
}

impl Director {
    fn assert_consistent(&self) {
        let lines = (self.tables.connections.len() / WORDS) as u32;
        assert_consistent(&&self.tables, lines, self.destinations().end, 0);
    }
}

/// What happens to a director.
#[derive(Debug, Clone)]
enum Event {
    FromClient {
        client: u8,
        port: u16,
        vip: usize,
        flags: usize,
        transport: u8,
    },
    FromServer {
        server: u8,
        port: u16,
        client: u8,
        client_port: u16,
        flags: usize,
        transport: u8,
    },
    Wait(u32),
    Sweep,
    TakeOut(u32),
    Remove(u32),
    Return(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let port = || 1000u16..1012;
    prop_oneof![
        12 => (2u8..6, port(), 0usize..3, 0usize..8, 0u8..4).prop_map(
            |(client, port, vip, flags, transport)| Event::FromClient { client, port, vip, flags, transport }
        ),
        8 => (11u8..14, prop_oneof![Just(8080u16), Just(80)], 2u8..6, port(), 0usize..8, 0u8..4).prop_map(
            |(server, port, client, client_port, flags, transport)| {
                Event::FromServer { server, port, client, client_port, flags, transport }
            }
        ),
        2 => prop_oneof![1u32..20, 400u32..1200].prop_map(Event::Wait),
        1 => Just(Event::Sweep),
        1 => (0u32..2 * STRIDE).prop_map(Event::TakeOut),
        1 => (0u32..26).prop_map(Event::Remove),
        1 => (0u32..26).prop_map(Event::Return),
    ]
}

fn happen(director: &mut Director, event: &Event) {
    match *event {
        Event::FromClient {
            client,
            port,
            vip,
            flags,
            transport,
        } => {
            let source = format!("10.1.0.{client}:{port}");
            let target = if vip == 2 { "10.1.0.102:80" } else { VIPS[vip] };
            director.process(any_packet(&source, target, flags, transport));
        }
        Event::FromServer {
            server,
            port,
            client,
            client_port,
            flags,
            transport,
        } => {
            let (source, target) = (
                format!("10.2.0.{server}:{port}"),
                format!("10.1.0.{client}:{client_port}"),
            );
            director.process(any_packet(&source, &target, flags, transport));
        }
        Event::Wait(ticks) => director.wait(ticks),
        Event::Sweep => director.sweep(),
        Event::TakeOut(index) if index % STRIDE != 0 => _ = reclaim(&&director.tables, index),
        Event::TakeOut(_) => {}
        Event::Remove(id) => director.rewrite(id, |server| server.available = false),
        Event::Return(id) => director.rewrite(id, |server| server.available = true),
    }
}

/// The frame with other sockets and one hop less, its checksums summed anew by `etherparse`.
fn witness(original: &Segment, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let time_to_live = original.time_to_live - 1;
    Segment {
        source,
        destination,
        time_to_live,
        ..original.clone()
    }
    .octets()
}

fn original(v6: bool) -> impl Strategy<Value = Segment> {
    let payload = proptest::collection::vec(any::<u8>(), 0..100);
    let options =
        (0usize..11).prop_map(move |words| if v6 { Vec::new() } else { vec![1; words * 4] });
    let rest = (
        2u8..,
        any::<u8>(),
        any::<u16>(),
        any::<bool>(),
        any::<u32>(),
        0usize..8,
    );
    // An FTP server's data connections, which no service takes, come from port 20.
    let port = (1u16..).prop_filter("FTP's data", |port| *port != 20);
    (payload, options, rest, any::<u16>(), port).prop_map(
        move |(
            payload,
            options,
            (time_to_live, traffic_class, identification, dont_fragment, sequence, padding),
            host,
            port,
        )| {
            let [a, b] = host.to_be_bytes();
            let (client, vip) = if v6 {
                (
                    IpAddr::from([0xfd00, 1, 0, 0, 7, 7, 7, host]),
                    "[fd00:1::100]:80",
                )
            } else {
                (IpAddr::from([10, 1, a, b]), "10.1.0.100:80")
            };
            Segment {
                time_to_live,
                traffic_class,
                identification,
                dont_fragment,
                sequence,
                padding,
                options,
                payload,
                ..Segment::new(SocketAddr::new(client, port), socket(vip), "S")
            }
        },
    )
}

fn forwarded(verdict: Verdict) -> bool {
    verdict == Verdict::Leave
}

/// There and back again: what arrives at the real server and at the client is what a
/// translation with checksums summed anew gives.
fn there_and_back(original: &Segment, vip: &str, server: &str) {
    let mut director = Director::new(16);
    let (vip, server) = (socket(vip), socket(server));
    director.add(vip, None, &[server]);
    let there = director.process(original.octets());
    assert!(forwarded(there.verdict));
    // The next hop stands in the frame only when it is remembered.
    assert_eq!(
        there.octets[14..],
        witness(original, original.source, server)[14..]
    );
    assert!(header_is_right(&there.octets) && transport_error(&there.octets) == 0);

    let answer = Segment {
        source: server,
        destination: original.source,
        flags: "SA",
        ..original.clone()
    };
    let back = director.process(answer.octets());
    assert!(forwarded(back.verdict));
    assert_eq!(
        back.octets[14..],
        witness(&answer, vip, original.source)[14..]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ipv4_there_and_back(original in original(false)) {
        there_and_back(&original, "10.1.0.100:80", "10.2.0.11:8080");
        there_and_back(&original, "10.1.0.100:80", "10.2.0.11:80");
    }

    #[test]
    fn ipv6_there_and_back(original in original(true)) {
        there_and_back(&original, "[fd00:1::100]:80", "[fd00:2::11]:8080");
    }

    /// A wrong checksum stays wrong by as much.
    #[test]
    fn errors_are_kept(original in original(false), checksum_error in 1u16..0xffff) {
        let mut director = Director::new(16);
        director.add(socket("10.1.0.100:80"), None, &[socket("10.2.0.11:8080")]);
        let wrong = Segment { checksum_error, ..original }.octets();
        let outcome = director.process(wrong.clone());
        prop_assert_eq!(transport_error(&outcome.octets), transport_error(&wrong));
    }

    /// Whatever arrives has a verdict and exactly one outcome, and is not touched unless it
    /// leaves: translated, in its own length, or as the ICMP error that answers it.
    #[test]
    fn every_frame_has_an_outcome(
        mut octets in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            original(false).prop_map(|segment| segment.octets()),
            original(true).prop_map(|segment| segment.octets()),
        ],
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        for (at, value) in changes {
            if !octets.is_empty() {
                let at = at.index(octets.len().min(80));
                octets[at] = value;
            }
        }
        if cut && !octets.is_empty() {
            octets.truncate(length.index(octets.len()));
        }
        let mut director = director(2);
        let outcome = director.process_frame(HostFrame::new(octets.clone(), routes));
        if !forwarded(outcome.verdict) {
            prop_assert_eq!(outcome.octets, octets);
        } else if outcome.octets.len() != octets.len() {
            // What the answer is about may have been wrong before.
            let answer = icmp::describe(&outcome.octets);
            let (answer, _) = answer.split_once(", about").unwrap();
            prop_assert!(answer.contains("ICMP") && !answer.contains("WRONG"), "{}", answer);
        }
        let beside = [Reason::Answered, Reason::RelatedError];
        let outcomes = Reason::ALL.iter().filter(|reason| !beside.contains(*reason));
        let outcomes: u64 = outcomes.map(|reason| director.tables.reason(*reason)).sum();
        prop_assert_eq!(outcomes, 1, "{}", outcome.counted);
        director.assert_consistent();
    }

    /// Through every history of packets, waiting, sweeps and edits the counts are those of
    /// what is in the table, which is so small that it overflows.
    #[test]
    fn the_tables_stay_consistent(events in proptest::collection::vec(event(), 1..300), sets in prop_oneof![Just(1u32), Just(2), Just(8)]) {
        let mut director = with_other_protocols(director(sets));
        for event in &events {
            if matches!(event, Event::TakeOut(index) if *index >= sets * STRIDE) {
                continue;
            }
            happen(&mut director, event);
            director.assert_consistent();
        }
        // When nothing comes any more, everything goes.
        for _ in 0..3 {
            director.wait(1000 * SECOND);
            director.sweep();
        }
        prop_assert_eq!(director.entries().len(), 0);
        director.assert_consistent();
    }
}

/// Fills a director of one set with so many connections, established or not, and gives the
/// ports of its clients.
fn fill(director: &mut Director, established: &[bool]) {
    for (port, established) in (1000..).zip(established) {
        let client = format!("10.1.0.2:{port}");
        assert!(forwarded(
            director
                .process(segment(&client, VIPS[0], "S").octets())
                .verdict
        ));
        if *established {
            director.process(segment(&client, VIPS[0], "A").octets());
        }
        director.wait(1);
    }
}

/// Whether a client's connection is still there: its acknowledgments are forwarded.
fn is_there(director: &mut Director, port: u16) -> bool {
    forwarded(
        director
            .process(segment(&format!("10.1.0.2:{port}"), VIPS[0], "A").octets())
            .verdict,
    )
}

/// One set has room for three connections.
fn full(established: [bool; 3]) -> Director {
    let mut director = Director::over(HostTables::new(4, 8, 1));
    director.add(socket(VIPS[0]), None, &[socket("10.2.0.11:80")]);
    fill(&mut director, &established);
    // A seventh way is left over: a connection takes two.
    assert_eq!(director.entries().len(), 6);
    director
}

#[test]
fn an_expired_connection_goes_first() {
    let mut director = full([true, false, true]);
    director.wait(61 * SECOND);
    let outcome = director.process(segment("10.1.0.3:1", VIPS[0], "S").octets());
    assert!(
        outcome.counted.contains("replaced_expired 1;"),
        "{}",
        outcome.counted
    );
    assert_eq!(
        [1000, 1001, 1002].map(|port| is_there(&mut director, port)),
        [true, false, true]
    );
}

#[test]
fn then_one_that_has_not_come_about() {
    let mut director = full([true, false, true]);
    let outcome = director.process(segment("10.1.0.3:1", VIPS[0], "S").octets());
    assert!(
        outcome.counted.contains("replaced_embryonic 1;"),
        "{}",
        outcome.counted
    );
    assert_eq!(
        [1000, 1001, 1002].map(|port| is_there(&mut director, port)),
        [true, false, true]
    );
}

#[test]
fn then_the_one_idle_longest() {
    let mut director = full([true, true, true]);
    assert!(is_there(&mut director, 1000));
    let outcome = director.process(segment("10.1.0.3:1", VIPS[0], "S").octets());
    assert!(
        outcome.counted.contains("replaced_live 1;"),
        "{}",
        outcome.counted
    );
    assert_eq!(
        [1000, 1001, 1002].map(|port| is_there(&mut director, port)),
        [true, false, true]
    );
}

#[test]
fn and_a_template_last() {
    let mut director = Director::over(HostTables::new(4, 8, 1));
    let persistence = Some(Persistence {
        ticks: 50 * SECOND,
        prefix: 32,
    });
    director.add(socket(VIPS[0]), persistence, &[socket("10.2.0.11:80")]);
    // Seven ways: each client's template and connection take three.
    for client in 2..9 {
        let syn = segment(&format!("10.1.0.{client}:1000"), VIPS[0], "S");
        assert!(
            forwarded(director.process(syn.octets()).verdict),
            "client {client}"
        );
        director.assert_consistent();
    }
    // The last connection has two ways; templates have the others.
    assert_eq!(director.entries().len(), 7);
    assert_eq!(director.tables.reason(Reason::ReplacedTemplate), 2);
    assert_eq!(director.tables.reason(Reason::ReplacedLive), 0);
}
