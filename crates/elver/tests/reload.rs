//! What a reload writes into the tables that packets are met with, counted entry by entry.
//! Needs root.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use elver_lab::Lab;
use elver_lab::director::Director;
use elver_lab::wait::until_true;
use elver_packet::table::{Words, destination, service};
use elver_sys::bpf::Maps;

const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const LIMIT: Duration = Duration::from_secs(60);
const SERVICES: usize = 500;
const REAL_SERVERS: usize = 10;

/// Many virtual servers; `weight` is that of one real server of one of them.
fn configuration(weight: u32) -> String {
    let mut text = String::new();
    for server in 0..SERVICES {
        let (high, low) = (server / 250, server % 250);
        let _ = writeln!(
            text,
            "virtual_server 10.{high}.{low}.1 80 {{\n lb_algo wlc\n lb_kind NAT\n protocol TCP"
        );
        for real in 0..REAL_SERVERS {
            let weight = match (server, real) {
                (300, 7) => weight,
                _ => 1,
            };
            let _ = writeln!(
                text,
                " real_server 10.9.{low}.{} 80 {{\n  weight {weight}\n }}",
                real + 1
            );
        }
        text.push_str("}\n");
    }
    text
}

/// Every word of every entry: services, destinations, and the places of member lists.
#[derive(PartialEq)]
struct Tables {
    services: Vec<[u64; service::WORDS]>,
    destinations: Vec<[u64; destination::WORDS]>,
    members: Vec<Option<u32>>,
}

impl Tables {
    fn read(instance: &str) -> Tables {
        let maps = Maps::open(instance).unwrap();
        let service = |id| maps.service(id).map(|w| std::array::from_fn(|n| w.load(n)));
        let destination = |id| {
            maps.destination(id)
                .map(|w| std::array::from_fn(|n| w.load(n)))
        };
        Tables {
            services: (0..maps.services()).filter_map(service).collect(),
            destinations: (0..maps.destinations()).filter_map(destination).collect(),
            members: (0..maps.member_places())
                .map(|place| maps.member(place))
                .collect(),
        }
    }
}

/// The positions at which two lists differ.
fn changed<T: PartialEq>(before: &[T], after: &[T]) -> Vec<usize> {
    assert_eq!(before.len(), after.len());
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter(|(_, (before, after))| before != after)
        .map(|(position, _)| position)
        .collect()
}

#[test]
fn a_change_of_one_line_changes_one_destination() {
    let lab = Lab::new("reload-counted").unwrap();
    let interface = ("e0", "10.9.0.1/16");
    let (host, _peer) = lab.host_and_peer("director", &[interface]).unwrap();
    let file = lab.directory().join("elver.conf");
    std::fs::write(&file, configuration(1)).unwrap();
    let director = Director::start(&lab, &host, Path::new(ELVER), &file).unwrap();
    let seen = || director.program().log();
    until_true("an answer", LIMIT, || Ok(director.status().is_ok()), seen).unwrap();
    let reload = || {
        let reloaded = director.command(&["ctl", "reload"]).unwrap();
        reloaded.success().unwrap();
        Tables::read(director.instance())
    };
    let start = Tables::read(director.instance());
    let in_use = |flags: &u64| *flags != 0;
    let flags = start
        .destinations
        .iter()
        .map(|words| words[destination::FLAGS_WORD]);
    assert_eq!(flags.filter(in_use).count(), SERVICES * REAL_SERVERS);

    assert!(reload() == start, "a file that is the same changes nothing");
    std::fs::write(&file, configuration(1) + "# and a comment\n").unwrap();
    assert!(reload() == start, "nor does a comment");

    std::fs::write(&file, configuration(7)).unwrap();
    let after = reload();
    let destinations = changed(&start.destinations, &after.destinations);
    let services = changed(&start.services, &after.services);
    let [destination] = destinations[..] else {
        panic!("{destinations:?}");
    };
    let words = changed(
        &start.destinations[destination],
        &after.destinations[destination],
    );
    assert_eq!(words, [destination::WEIGHT_WORD]);
    // Its service gets a list with the new weights, by one store; the old list stays.
    let [service] = services[..] else {
        panic!("{services:?}");
    };
    let words = changed(&start.services[service], &after.services[service]);
    assert_eq!(words, [service::MEMBERS_WORD]);
    let places: BTreeSet<usize> = changed(&start.members, &after.members)
        .into_iter()
        .collect();
    assert!(places.len() <= REAL_SERVERS, "{places:?}");
}
