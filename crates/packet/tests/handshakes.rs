//! How long real servers take for TCP's handshake, as the table learns it.

mod support;

use std::sync::atomic::Ordering;

use elver_packet::host::{Method, VirtualService};
use elver_packet::wire::protocol;
use support::datagram::{Transport, datagram};
use support::{Director, address, socket};

const CLIENT: &str = "10.1.0.2:1000";
const OTHER_CLIENT: &str = "10.1.0.2:1001";
const VIP: &str = "10.1.0.100:80";
const SERVER: &str = "10.2.0.11:80";
const CLIENT6: &str = "[fd00:1::2]:1000";
const VIP6: &str = "[fd00:1::100]:80";
const SERVER6: &str = "[fd00:2::11]:80";

/// The unit of what is learned, in nanoseconds.
const UNIT: u64 = 128;

/// A director with one service of one real server, and with so many sets of connections.
fn director(vip: &str, server: &str, method: Method, sets: u32) -> Director {
    let mut director = Director::new(sets);
    let service = VirtualService {
        protocol: protocol::TCP,
        ..VirtualService::new(socket(vip).ip(), socket(vip).port())
    };
    director.add_service(&service, &[(socket(server), method)]);
    director
}

/// A packet comes so many units of time after the one before.
fn after(director: &mut Director, units: u64, from: &str, to: &str, flags: &'static str) {
    let clock = &director.tables.nanoseconds;
    clock.fetch_add(units * UNIT, Ordering::Relaxed);
    let packet = datagram(from, to, Transport::Tcp(flags));
    director.process(packet.octets());
}

fn learned(director: &Director) -> u32 {
    director.destination(0).handshake()
}

#[test]
fn by_nat_it_lasts_until_the_real_servers_answer() {
    for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
        let mut director = director(vip, server, Method::Nat, 16);
        after(&mut director, 0, client, vip, "S");
        after(&mut director, 300, server, client, "SA");
        assert_eq!(learned(&director), 300, "{server}");
        // Neither what the client takes for its part counts, nor an answer that comes again.
        after(&mut director, 1000, server, client, "SA");
        after(&mut director, 5000, client, vip, "A");
        after(&mut director, 9000, server, client, "A");
        assert_eq!(learned(&director), 300, "{server}");
    }
}

#[test]
fn where_answers_pass_elsewhere_it_lasts_until_the_client_acknowledges_them() {
    let tunnel = Method::Tunnel {
        kind: 0,
        port: 0,
        source: address("10.2.0.1"),
    };
    for method in [Method::Direct, tunnel] {
        let mut director = director(VIP, SERVER, method, 16);
        after(&mut director, 0, CLIENT, VIP, "S");
        assert_eq!(learned(&director), 0);
        after(&mut director, 700, CLIENT, VIP, "A");
        after(&mut director, 9000, CLIENT, VIP, "A");
        assert_eq!(learned(&director), 700);
    }
}

#[test]
fn a_refusal_is_no_handshake() {
    let mut director = director(VIP, SERVER, Method::Nat, 16);
    after(&mut director, 0, CLIENT, VIP, "S");
    after(&mut director, 300, SERVER, CLIENT, "RA");
    assert_eq!(learned(&director), 0);
}

#[test]
fn a_syn_that_is_sent_again_does_not_start_the_time_anew() {
    let mut director = director(VIP, SERVER, Method::Nat, 16);
    after(&mut director, 0, CLIENT, VIP, "S");
    after(&mut director, 1000, CLIENT, VIP, "S");
    after(&mut director, 20, SERVER, CLIENT, "SA");
    assert_eq!(learned(&director), 1020);
}

#[test]
fn what_is_kept_follows_what_is_seen_by_an_eighth() {
    let mut director = director(VIP, SERVER, Method::Nat, 16);
    let handshake = |director: &mut Director, port: u16, took: u64| {
        let client = format!("10.1.0.2:{port}");
        after(director, 0, &client, VIP, "S");
        after(director, took, SERVER, &client, "SA");
    };
    handshake(&mut director, 1, 800);
    handshake(&mut director, 2, 1600);
    assert_eq!(learned(&director), 900);
    handshake(&mut director, 3, 100);
    assert_eq!(learned(&director), 800);
    for port in 4..200 {
        handshake(&mut director, port, 240);
    }
    assert_eq!(learned(&director), 240);
}

/// The header of a set has room for one: a time that is not its own is nobody's.
#[test]
fn a_connection_that_another_one_followed_into_its_set_is_not_measured() {
    let mut director = director(VIP, SERVER, Method::Direct, 1);
    after(&mut director, 0, CLIENT, VIP, "S");
    after(&mut director, 500, OTHER_CLIENT, VIP, "S");
    after(&mut director, 500, CLIENT, VIP, "A");
    assert_eq!(learned(&director), 0);
    after(&mut director, 100, OTHER_CLIENT, VIP, "A");
    assert_eq!(learned(&director), 600);
}
