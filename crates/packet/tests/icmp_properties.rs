//! What holds for every packet that is answered by ICMP, and for every ICMP error.

mod support;

use elver_packet::frame::Verdict;
use elver_packet::host::Method;
use elver_packet::table::destination::tunnel;
use proptest::prelude::*;
use support::icmp::{Error, describe, packet};
use support::packet::segment;
use support::{Director, address, socket};

const METHODS: usize = 5;
const CLIENTS: [&str; 2] = ["10.1.0.2:1000", "[fd00:1::2]:1000"];
const VIPS: [&str; 2] = ["10.1.0.100:80", "[fd00:1::100]:80"];
const SERVERS: [&str; 2] = ["10.2.0.11:8080", "[fd00:2::11]:8080"];
const ENDS: [&str; 2] = ["10.2.0.1", "fd00:2::1"];

/// A director with one connection, and what left of its first packet.
fn connected(family: usize, method: usize, payload: &[u8]) -> (Director, Vec<u8>) {
    let mut director = Director::new(16);
    let (_, id) = director.add(socket(VIPS[family]), None, &[socket(SERVERS[family])]);
    director.rewrite(id, |server| {
        let tunnel = |kind| Method::Tunnel {
            kind,
            port: 6080,
            source: address(ENDS[family]),
        };
        server.method = match method {
            0 => Method::Nat,
            1 => Method::Direct,
            2 => tunnel(tunnel::IPIP),
            3 => tunnel(tunnel::GUE),
            _ => tunnel(tunnel::GRE),
        };
    });
    let syn = segment(CLIENTS[family], VIPS[family], "S").payload(payload);
    let outcome = director.process(syn.octets());
    assert_eq!(outcome.verdict, Verdict::Leave);
    (director, outcome.octets)
}

fn host(socket: &str) -> String {
    support::socket(socket).ip().to_string()
}

proptest! {
    /// A sender is told with right checksums, of no more than the packet has, whatever its size.
    #[test]
    fn answers_are_right(family in 0usize..2, payload in prop::collection::vec(any::<u8>(), 0..1400), padding in 0usize..8) {
        let mut director = Director::new(16);
        director.add(socket(VIPS[family]), None, &[]);
        let syn = support::packet::Segment {
            padding,
            ..segment(CLIENTS[family], VIPS[family], "S").payload(payload)
        };
        let outcome = director.process(syn.octets());
        prop_assert_eq!(outcome.verdict, Verdict::Leave);
        let seen = describe(&outcome.octets);
        prop_assert!(!seen.contains("WRONG") && seen.contains("ICMP"), "{}", seen);
        let most = if family == 0 { 576 } else { 1280 };
        prop_assert!(outcome.octets.len() <= 14 + most);
    }

    /// An error about a packet that left, cut off anywhere, is forwarded with right checksums or
    /// left alone.
    #[test]
    fn errors_stay_right(
        family in 0usize..2, method in 0..METHODS, kind in 0u8..6, code in 0u8..5, rest in 0u32..3000,
        cut in 0usize..700, payload in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (mut director, sent) = connected(family, method, &payload);
        let sent = packet(&sent);
        let about = &sent[..cut.min(sent.len())];
        let to = if method < 2 { host(CLIENTS[family]) } else { ENDS[family].to_owned() };
        let error = Error::new(kind, code, rest).about(&host(SERVERS[family]), &to, about);
        let outcome = director.process(error.clone());
        if outcome.verdict == Verdict::Leave {
            let seen = describe(&outcome.octets);
            prop_assert!(!seen.contains("WRONG"), "{} became {}", describe(&error), seen);
        } else if outcome.verdict == Verdict::Pass {
            prop_assert_eq!(outcome.octets, error);
        }
    }

    /// An error about an answer, from the client's side, likewise.
    #[test]
    fn errors_about_answers_stay_right(
        family in 0usize..2, method in 0..METHODS, kind in 1u8..4, cut in 0usize..700,
        payload in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (mut director, _) = connected(family, method, &[]);
        let answer = segment(VIPS[family], CLIENTS[family], "A").payload(payload).octets();
        let about = &packet(&answer)[..cut.min(answer.len() - 14)];
        let error = Error::new(kind, 0, 0).about(&host(CLIENTS[family]), &host(VIPS[family]), about);
        let outcome = director.process(error);
        let seen = describe(&outcome.octets);
        prop_assert!(outcome.verdict != Verdict::Leave || !seen.contains("WRONG"), "{}", seen);
    }

    /// No error, however broken, does more than be passed, dropped or sent.
    #[test]
    fn broken_errors_do_no_harm(
        family in 0usize..2, method in 0..METHODS, kind in 0u8..6, cut in 0usize..300,
        broken in prop::collection::vec((0usize..300, any::<u8>()), 1..6),
    ) {
        let (mut director, sent) = connected(family, method, b"some payload");
        let to = if method < 2 { host(CLIENTS[family]) } else { ENDS[family].to_owned() };
        let mut error = Error::new(kind, 4, 1300).about(&host(SERVERS[family]), &to, packet(&sent));
        for (at, octet) in broken {
            let at = at % error.len();
            error[at] = octet;
        }
        error.truncate(error.len().saturating_sub(cut).max(14));
        director.process(error);
    }
}
