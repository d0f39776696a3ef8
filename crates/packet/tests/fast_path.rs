//! The fast path in front of the hook that does everything: nobody can tell that it is there.

mod support;

use std::sync::atomic::Ordering;

use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{Departure, HostFrame, Journey, Method, Persistence, SharedWords};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::table::destination::tunnel;
use elver_packet::table::settings::{BEHAVIOUR_WORD, HAS_MARK_SERVICES};
use elver_packet::table::{Tables, Words};
use proptest::prelude::*;
use support::packet::segment;
use support::{Director, SECOND, address, routes, socket};

const VIPS: [&str; 5] = [
    "10.1.0.100:80",
    "10.1.0.101:80",
    "10.1.0.102:80",
    "[fd00:1::100]:80",
    "[fd00:1::101]:80",
];

/// Services of all methods, two of them persistent, with real servers of every kind that the
/// fast path cannot send to.
fn director() -> Director {
    let mut director = Director::new(4);
    let persistence = Some(Persistence {
        ticks: 50 * SECOND,
        prefix: 31,
    });
    let v4 = ["11", "12", "99", "13", "98", "97", "96"].map(|host| format!("10.2.0.{host}:8080"));
    let v6 = ["11", "99", "96"].map(|host| format!("[fd00:2::{host}]:80"));
    let sockets =
        |servers: &[String]| -> Vec<_> { servers.iter().map(|server| socket(server)).collect() };
    director.add(socket(VIPS[0]), None, &sockets(&v4));
    director.add(socket(VIPS[1]), persistence, &sockets(&v4[..5]));
    let (_, direct) = director.add(socket(VIPS[2]), None, &sockets(&v4[..5]));
    director.add(socket(VIPS[3]), None, &sockets(&v6));
    director.add(socket(VIPS[4]), persistence, &sockets(&v6[..2]));
    for id in direct..direct + 2 {
        director.rewrite(id, |server| server.method = Method::Direct);
    }
    for id in direct + 2..direct + 5 {
        director.rewrite(id, |server| server.method = gue());
    }
    director
}

fn gue() -> Method {
    Method::Tunnel {
        kind: tunnel::GUE,
        port: 5555,
        source: address("10.2.0.1"),
    }
}

/// What happens to both directors.
#[derive(Debug, Clone)]
enum Event {
    FromClient {
        client: u8,
        port: u16,
        vip: usize,
        flags: &'static str,
        payload: usize,
        hops: u8,
    },
    FromServer {
        server: u8,
        port: u16,
        client: u8,
        client_port: u16,
        v6: bool,
        flags: &'static str,
    },
    Wait(u32),
    Sweep,
    SetWeight(u32, u32),
    SetAvailable(u32, bool),
    Hold(u32, bool),
    Close(Option<u32>),
    Marks(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let flags = || prop::sample::select(vec!["S", "S", "S", "SA", "A", "PA", "FA", "R", ""]);
    let port = || 1000u16..1010;
    let client = || 2u8..5;
    prop_oneof![
        24 => (client(), port(), 0usize..6, flags(), prop_oneof![4 => Just(0usize), 1 => Just(700)], prop_oneof![6 => Just(64u8), 1 => 0u8..3])
            .prop_map(|(client, port, vip, flags, payload, hops)| Event::FromClient { client, port, vip, flags, payload, hops }),
        12 => (prop::sample::select(vec![11u8, 12, 13, 96]), client(), port(), any::<bool>(), flags())
            .prop_map(|(server, client, client_port, v6, flags)| Event::FromServer {
                server, port: if v6 { 80 } else { 8080 }, client, client_port, v6, flags,
            }),
        3 => prop_oneof![1u32..20, 400u32..1200].prop_map(Event::Wait),
        1 => Just(Event::Sweep),
        1 => (0u32..22, 0u32..2).prop_map(|(id, weight)| Event::SetWeight(id, weight)),
        1 => (0u32..22, any::<bool>()).prop_map(|(id, available)| Event::SetAvailable(id, available)),
        1 => (0u32..5, any::<bool>()).prop_map(|(id, held)| Event::Hold(id, held)),
        1 => prop_oneof![2 => Just(None), 1 => (1u32..3).prop_map(Some)].prop_map(Event::Close),
        1 => prop::bool::weighted(0.3).prop_map(Event::Marks),
    ]
}

/// All of the tables but the counters of reasons.
fn words(director: &Director) -> Vec<Vec<u64>> {
    let tables = &director.tables;
    let read = |words: &SharedWords| -> Vec<u64> {
        words
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect()
    };
    [
        &tables.connections,
        &tables.destinations,
        &tables.services,
        &tables.statistics,
    ]
    .map(read)
    .into()
}

/// A director whose packets meet the fast path first, and one without.
struct Pair {
    with: Director,
    without: Director,
    closed_device: Option<u32>,
    /// Packets that left from the fast path, by outcome, and those that it punted.
    left: u64,
    punted: u64,
}

impl Pair {
    fn both(&mut self, change: impl Fn(&mut Director)) {
        change(&mut self.with);
        change(&mut self.without);
    }

    fn arrive(&mut self, octets: Vec<u8>) {
        let (before, entries) = (words(&self.with), self.with.entries().len());
        let mut frame = HostFrame::on_fast_path(octets.clone(), routes as fn(&Journey) -> Route);
        frame.closed_device = self.closed_device;
        let verdict = process(&mut frame, &&self.with.tables, self.with.now);
        let alone = self.without.process(octets.clone());
        match verdict {
            Verdict::Punt => {
                self.punted += 1;
                assert_eq!(frame.octets, octets, "a punted frame was rewritten");
                // What counts as absent may have been cleared away.
                if self.with.entries().len() == entries {
                    assert_eq!(words(&self.with), before, "a punt has left a trace");
                }
                let behind = self.with.process(octets);
                assert_eq!(behind.verdict, alone.verdict);
                assert_eq!(behind.octets, alone.octets);
                assert_eq!(behind.departure, alone.departure);
            }
            Verdict::Leave => {
                self.left += 1;
                assert_eq!(alone.verdict, Verdict::Leave);
                assert_eq!(frame.octets.get(14..), alone.octets.get(14..));
                let Some(Departure::Transmit { device }) = frame.departure else {
                    panic!("the fast path resolves no neighbour");
                };
                assert_ne!(Some(device), self.closed_device);
                let alone_by = match alone.departure {
                    Some(Departure::Transmit { device }) => device,
                    Some(Departure::Resolve(way)) => way.device,
                    other => panic!("it leaves by no device: {other:?}"),
                };
                assert_eq!(device, alone_by);
            }
            Verdict::Drop => assert_eq!(alone.verdict, Verdict::Drop),
            Verdict::Pass => panic!("the fast path decides that nothing passes"),
        }
        assert_eq!(words(&self.with), words(&self.without));
        for reason in Reason::ALL.iter().filter(|reason| !reason.is_punt()) {
            let [with, without] = [&self.with, &self.without].map(|one| one.tables.reason(*reason));
            assert_eq!(with, without, "{}", reason.name());
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::FromClient {
                client,
                port,
                vip,
                flags,
                payload,
                hops,
            } => {
                let vip = VIPS.get(vip).copied().unwrap_or("10.1.0.109:80");
                let source = if vip.starts_with('[') {
                    format!("[fd00:1::{client}]:{port}")
                } else {
                    format!("10.1.0.{client}:{port}")
                };
                let mut segment = segment(&source, vip, flags);
                segment.payload = vec![7; payload];
                segment.time_to_live = hops;
                self.arrive(segment.octets());
            }
            Event::FromServer {
                server,
                port,
                client,
                client_port,
                v6,
                flags,
            } => {
                let (source, target) = if v6 {
                    (
                        format!("[fd00:2::{server}]:{port}"),
                        format!("[fd00:1::{client}]:{client_port}"),
                    )
                } else {
                    (
                        format!("10.2.0.{server}:{port}"),
                        format!("10.1.0.{client}:{client_port}"),
                    )
                };
                self.arrive(segment(&source, &target, flags).octets());
            }
            Event::Wait(ticks) => self.both(|one| one.wait(ticks)),
            Event::Sweep => self.both(Director::sweep),
            Event::SetWeight(id, weight) => {
                self.both(|one| one.rewrite(id, |server| server.weight = weight));
            }
            Event::SetAvailable(id, available) => {
                self.both(|one| one.rewrite(id, |server| server.available = available));
            }
            Event::Hold(id, held) => self.both(|one| one.hold_service(id, held)),
            Event::Close(device) => self.closed_device = device,
            Event::Marks(present) => self.both(|one| {
                let settings = (&one.tables).settings().unwrap();
                settings.store(BEHAVIOUR_WORD, if present { HAS_MARK_SERVICES } else { 0 });
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With the fast path or without, the same packets leave, and the same is entered and
    /// counted; what it leaves to the hook behind it, it leaves as if it had not been there.
    #[test]
    fn the_fast_path_makes_no_difference(events in proptest::collection::vec(event(), 1..200)) {
        let mut pair = Pair {
            with: director(),
            without: director(),
            closed_device: None,
            left: 0,
            punted: 0,
        };
        for event in &events {
            pair.happen(event);
        }
    }
}

/// What the fast path does is done there, by every method, from the first packet on.
#[test]
fn connections_are_opened_and_forwarded_on_the_fast_path() {
    for (method, vip, server) in [
        (Method::Nat, VIPS[0], "10.2.0.11:8080"),
        (Method::Direct, VIPS[0], "10.2.0.11:80"),
        (gue(), VIPS[0], "10.2.0.11:80"),
        (Method::Nat, VIPS[3], "[fd00:2::11]:8080"),
        (Method::Direct, VIPS[3], "[fd00:2::11]:80"),
        (gue(), VIPS[3], "10.2.0.11:80"),
    ] {
        let mut director = Director::new(16);
        let (_, id) = director.add(socket(vip), None, &[socket(server)]);
        director.rewrite(id, |server| server.method = method);
        let client = if vip.starts_with('[') {
            "[fd00:1::2]:1000"
        } else {
            "10.1.0.2:1000"
        };
        let mut packets = vec![segment(client, vip, "S"), segment(client, vip, "A")];
        if matches!(method, Method::Nat) {
            packets.push(segment(server, client, "SA"));
        }
        for packet in packets {
            let mut frame =
                HostFrame::on_fast_path(packet.octets(), routes as fn(&Journey) -> Route);
            let verdict = process(&mut frame, &&director.tables, director.now);
            assert_eq!(verdict, Verdict::Leave, "{method:?} for {vip}");
            assert!(matches!(frame.departure, Some(Departure::Transmit { .. })));
        }
    }
}

/// Each of the reasons that the fast path has of its own is reached.
#[test]
fn a_punt_says_why() {
    type FastFrame = HostFrame<fn(&Journey) -> Route, true>;
    let count = |change: fn(&mut FastFrame), reason: Reason| {
        let mut director = Director::new(16);
        director.add(socket(VIPS[0]), None, &[socket("10.2.0.11:80")]);
        if reason == Reason::PuntMark {
            let settings = (&director.tables).settings().unwrap();
            settings.store(BEHAVIOUR_WORD, HAS_MARK_SERVICES);
        }
        let octets = segment("10.1.0.2:1000", VIPS[0], "S").octets();
        let mut frame = HostFrame::on_fast_path(octets, routes as fn(&Journey) -> Route);
        change(&mut frame);
        let verdict = process(&mut frame, &&director.tables, director.now);
        assert_eq!(verdict, Verdict::Punt, "{}", reason.name());
        for other in Reason::ALL {
            let expected = u64::from(*other == reason);
            assert_eq!(director.tables.reason(*other), expected, "{}", other.name());
        }
    };
    count(|frame| frame.closed_device = Some(2), Reason::PuntDevice);
    count(|_| {}, Reason::PuntMark);
    count(|frame| frame.addressed_to_us = false, Reason::PuntNotForUs);
    count(|frame| frame.is_tagged = true, Reason::PuntTagged);
    count(|frame| frame.octets[23] = 1, Reason::PuntNotTransport);
    count(|frame| frame.octets[22] = 1, Reason::PuntTimeToLive);
    count(
        |frame| frame.routes = |journey| Route::Unresolved(support::way(2, journey.destination)),
        Reason::PuntUnresolved,
    );
    count(
        |frame| frame.routes = |_| Route::TooBig(576),
        Reason::PuntTooBig,
    );
    count(|frame| frame.routes = |_| Route::None, Reason::PuntNoRoute);
}
