//! Connections through the virtual service.

use std::collections::BTreeSet;
use std::time::Instant;

use elver_lab::capture::Capture;
use elver_lab::client::Conversation;
use elver_lab::decode::Decoded;
use elver_lab::nat::{SERVICE, VIP};

use crate::configuration::Configuration;
use crate::site::{LIMIT, Site, wait_for_real_servers, wait_until_master};

/// What is moved through the virtual service in either direction.
const BULK: u64 = 1 << 30;

#[test]
fn a_real_server_answers_as_the_virtual_service() {
    let site = Site::new("answers", 1);
    let director = site.serve();
    let back = Capture::start(director.host(), "eth1").expect("a capture");
    let mut conversation = site.connect().expect("a connection");
    let client = conversation.local_address().expect("an address");
    let greeting = conversation.greeting().clone();
    assert!(
        site.addresses()
            .iter()
            .any(|address| greeting.at == (*address, 3306).into())
    );
    assert_eq!(
        greeting.sees, client,
        "NAT leaves the client's address alone"
    );
    conversation.echo("hello").expect("an echo");
    let leak = back.finish().into_iter().find(|frame| {
        matches!(frame.decode(), Decoded::Tcp(tcp)
            if tcp.source.ip() == VIP || tcp.destination.ip() == VIP)
    });
    assert_eq!(leak, None, "the real servers' side never sees the VIP");
}

#[test]
fn the_scheduler_goes_round() {
    let site = Site::new("round-robin", 1);
    let _director = site.serve();
    let answers: Vec<_> = (0..6).map(|_| site.who_answers()).collect();
    for pair in answers.windows(2) {
        assert_ne!(pair[0], pair[1], "{answers:?}");
    }
}

#[test]
fn persistence_keeps_a_client_with_its_real_server() {
    let site = Site::new("persistence", 1);
    let configuration = Configuration {
        persistence: Some(50),
        ..Configuration::new(&site.addresses())
    };
    let director = site.start(0, &configuration);
    wait_until_master(&director);
    wait_for_real_servers(&director, &site.addresses());
    let answers: BTreeSet<_> = (0..6).map(|_| site.who_answers()).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn a_gigabyte_passes_intact_in_either_direction() {
    let site = Site::new("gigabyte", 1);
    let director = site.serve();
    // The same client, wire and real server, but by the director's plain routing.
    let through = |name: &str, conversation: &mut Conversation| {
        let start = Instant::now();
        conversation.upload(BULK).expect("an upload");
        let up = start.elapsed();
        conversation.download(BULK).expect("a download");
        let down = start.elapsed() - up;
        let rate = |time: std::time::Duration| (BULK as f64 * 8e-9) / time.as_secs_f64();
        println!(
            "{name}: {:.1} Gbit/s up, {:.1} Gbit/s down",
            rate(up),
            rate(down)
        );
    };
    through(
        "virtual service",
        &mut site.connect().expect("a connection"),
    );
    site.client
        .ip(&["route", "add", "172.18.0.0/16", "via", "172.17.42.111"])
        .expect("a route");
    let real = std::net::SocketAddrV4::new(site.real_servers[0].address, 3306);
    let routed = Conversation::open(&site.client, real, LIMIT);
    through("plain routing", &mut routed.expect("a routed connection"));
    director.check_running().expect("the director lives");
}

#[test]
fn a_port_without_a_service_is_not_forwarded() {
    let site = Site::new("other-port", 1);
    let _director = site.serve();
    let other = std::net::SocketAddrV4::new(VIP, SERVICE.port() + 1);
    let refused = Conversation::open(&site.client, other, LIMIT).expect_err("nobody listens");
    assert!(refused.to_string().contains("refused"), "{refused}");
}
