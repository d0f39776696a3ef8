//! Rules that give packets a firewall mark.

mod support;

use std::net::SocketAddr;

use elver_packet::family::V4;
use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{HostFrame, Journey};
use elver_packet::table::connection::Key;
use elver_packet::table::settings::{BEHAVIOUR_WORD, HAS_MARK_RULES};
use elver_packet::table::{Tables, Words};
use support::packet::segment;
use support::{Director, routes, socket};

/// A rule for TCP over IPv4: mark, destination and source with their masks, ports.
struct Rule(u32, [[u8; 4]; 2], [[u8; 4]; 2], (u16, u16));

impl Director {
    fn rule(&mut self, number: u32, rule: &Rule) {
        let settings = (&self.tables).settings().unwrap();
        settings.store(
            BEHAVIOUR_WORD,
            settings.load(BEHAVIOUR_WORD) | HAS_MARK_RULES,
        );
        let Rule(mark, destination, source, (first, last)) = rule;
        let words = (&self.tables).mark_rule(number).unwrap();
        words.store(0, 1 | 4 << 8 | 6 << 16 | u64::from(*mark) << 32);
        words.store(1, u64::from(*first) | u64::from(*last) << 16);
        for (word, address) in [
            (2, destination[0]),
            (4, destination[1]),
            (6, source[0]),
            (8, source[1]),
        ] {
            words.store(word, u32::from_ne_bytes(address).into());
        }
    }
}

fn key(source: &str, destination: &str) -> Key<V4> {
    let parts = |text: &str| match socket(text) {
        SocketAddr::V4(address) => (
            u32::from_ne_bytes(address.ip().octets()),
            u32::from(address.port().to_be()),
        ),
        SocketAddr::V6(_) => panic!("{text}"),
    };
    let ((sender, source_port), (receiver, destination_port)) = (parts(source), parts(destination));
    Key {
        sender,
        receiver,
        ports: source_port | destination_port << 16,
        protocol: 6,
        template: false,
    }
}

const ALL: [u8; 4] = [255; 4];
const ANY: [[u8; 4]; 2] = [[0; 4]; 2];

#[test]
fn the_first_rule_that_fits_counts() {
    let mut director = Director::new(16);
    director.rule(0, &Rule(7, [[10, 1, 0, 100], ALL], ANY, (80, 90)));
    director.rule(
        1,
        &Rule(8, ANY, [[10, 1, 2, 0], [255, 255, 255, 0]], (0, 65535)),
    );
    director.rule(2, &Rule(9, [[10, 1, 0, 100], ALL], ANY, (85, 85)));
    for (source, destination, mark) in [
        ("10.1.0.2:1000", "10.1.0.100:80", 7),
        ("10.1.0.2:1000", "10.1.0.100:90", 7),
        ("10.1.2.2:1000", "10.1.0.100:85", 7),
        ("10.1.0.2:1000", "10.1.0.100:79", 0),
        ("10.1.0.2:1000", "10.1.0.100:91", 0),
        ("10.1.2.2:1000", "10.1.0.100:91", 8),
        ("10.1.2.2:1000", "10.1.0.101:80", 8),
        ("10.1.3.2:1000", "10.1.0.101:80", 0),
    ] {
        let found =
            elver_packet::table::mark::mark_of(&&director.tables, &key(source, destination));
        assert_eq!(found, mark, "{source} to {destination}");
    }
}

/// The virtual address is this host's own.
fn local_vip(journey: &Journey) -> Route {
    if journey.destination.to_string() == "10.1.0.100" {
        Route::LocalOrNone
    } else {
        routes(journey)
    }
}

#[test]
fn a_marked_packet_finds_the_service_of_its_mark() {
    let mut director = Director::new(16);
    let (service, _) = director.add(socket("10.1.0.200:0"), None, &[socket("10.2.0.11:0")]);
    director.mark(service, 7, 4);
    director.rule(0, &Rule(7, [[10, 1, 0, 100], ALL], ANY, (80, 81)));
    let mut to = |destination: &str| {
        let octets = segment("10.1.0.2:1000", destination, "S").octets();
        let frame = HostFrame::new(octets, local_vip as fn(&Journey) -> Route);
        director.process_frame(frame).verdict
    };
    assert_eq!(to("10.1.0.100:80"), Verdict::Leave);
    assert_eq!(to("10.1.0.100:81"), Verdict::Leave);
    assert_eq!(to("10.1.0.100:82"), Verdict::Pass);
}
