//! The connection table under concurrency: every interleaving of processors that run the
//! packet function on the same entries.

mod support;

use std::net::{IpAddr, SocketAddr};

use elver_packet::frame::Verdict;
use elver_packet::host::{HostFrame, HostTables, Persistence};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::table::connection::{self, Direction, Entry, STRIDE};
use elver_packet::table::settings::Ticks;
use elver_packet::table::{Tables, Words};
use support::consistency::assert_consistent;
use support::explorer::{Explored, ExploredTables, Processor, at_rest, explore};
use support::packet::{describe, segment};
use support::{Director, SECOND, address, routes, socket};

const CLIENT: &str = "10.1.0.2:1000";
const OTHER: &str = "10.1.0.3:2000";
const VIP: &str = "10.1.0.100:80";
const OTHER_VIP: &str = "10.1.0.101:80";
const SERVER: &str = "10.2.0.11:80";
const OTHER_SERVER: &str = "10.2.0.12:80";

/// What a processor made of its task.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Done {
    /// A packet left, from one socket to another.
    Forwarded(SocketAddr, SocketAddr),
    Passed,
    Dropped,
    /// No packet.
    Swept,
}

/// A packet arrives.
fn arrive(
    source: &str,
    destination: &str,
    flags: &'static str,
    now: Ticks,
) -> Processor<'static, Done> {
    let octets = segment(source, destination, flags).octets();
    Box::new(move |tables| {
        let mut frame = HostFrame::new(octets.clone(), routes);
        match process(&mut frame, tables, now) {
            Verdict::Pass => Done::Passed,
            Verdict::Drop => Done::Dropped,
            Verdict::Punt => panic!("there is no hook behind this one"),
            Verdict::Leave => {
                assert!(describe(&frame.octets).contains("header sum right"));
                let address = |at: usize| {
                    IpAddr::from(<[u8; 4]>::try_from(&frame.octets[at..at + 4]).unwrap())
                };
                let port = |at: usize| u16::from_be_bytes([frame.octets[at], frame.octets[at + 1]]);
                Done::Forwarded(
                    SocketAddr::new(address(26), port(34)),
                    SocketAddr::new(address(30), port(36)),
                )
            }
        }
    })
}

/// Somebody takes the entry with this index out: a controller that sweeps, or makes room.
fn take_out(index: u32) -> Processor<'static, Done> {
    Box::new(move |tables| {
        connection::reclaim(tables, index);
        Done::Swept
    })
}

/// One after the other.
fn then(
    first: Processor<'static, Done>,
    second: Processor<'static, Done>,
) -> Processor<'static, Done> {
    Box::new(move |tables| {
        first(tables);
        second(tables)
    })
}

/// A director with two services of one real server each.
fn director() -> Director {
    director_with(2)
}

fn director_with(sets: usize) -> Director {
    let mut director = Director::over(HostTables::new(2, 2, sets));
    director.add(socket(VIP), None, &[socket(SERVER)]);
    director.add(socket(OTHER_VIP), None, &[socket(OTHER_SERVER)]);
    director
}

/// The index of the entry of that direction; there is only one.
fn index_of(director: &Director, wanted: Direction) -> u32 {
    let mut found = director
        .entries()
        .into_iter()
        .filter(|(_, direction, _)| *direction == wanted);
    let (index, _, _) = found.next().expect("there is such an entry");
    assert_eq!(found.next().map(|(index, _, _)| index), None);
    index
}

/// Leaves so many ways free, each set alike: others are busy with what nobody works on.
fn fill(memory: &mut [u64], tables: &ExploredTables, free: u32) -> u32 {
    // The lowest phase but free and live, as in `Control`.
    const BUSY: u64 = 1;
    let filled = at_rest(memory, || {
        let lines = tables.connection_lines();
        let mut filled = Vec::new();
        for set in (0..lines).step_by(STRIDE as usize) {
            let header = tables.connection(set).unwrap();
            let ways: Vec<usize> = (1..STRIDE as usize)
                .filter(|way| header.load(*way) as u8 == 0)
                .collect();
            assert!(ways.len() >= free as usize);
            filled.extend(
                ways[..ways.len() - free as usize]
                    .iter()
                    .map(|way| header.address(*way)),
            );
        }
        filled
    });
    for word in &filled {
        memory[*word] |= BUSY;
    }
    filled.len() as u32
}

fn run(
    director: &Director,
    free: Option<u32>,
    processors: &[Processor<'static, Done>],
    check: impl Fn(&ExploredTables, &[Done]),
) -> Explored {
    let (tables, mut memory) = ExploredTables::of(&director.tables);
    let filled = free.map_or(0, |free| fill(&mut memory, &tables, free));
    // Two find every race that three do in what is tested here, and three take minutes.
    let preemptions = 2;
    let explored = explore(&tables, &memory, processors, preemptions, |done| {
        assert_consistent(
            &tables,
            tables.connection_lines(),
            tables.destinations(),
            filled,
        );
        check(&tables, done);
    });
    assert!(
        explored.states > 50,
        "the processors did not meet: {explored:?}"
    );
    explored
}

fn forwarded(source: &str, destination: &str) -> Done {
    Done::Forwarded(socket(source), socket(destination))
}

#[test]
fn one_connection_opened_twice_at_once() {
    let director = director();
    let syn = || arrive(CLIENT, VIP, "S", director.now);
    run(&director, Some(2), &[syn(), syn()], |tables, done| {
        for done in done {
            assert!(
                [forwarded(CLIENT, SERVER), Done::Dropped].contains(done),
                "{done:?}"
            );
        }
        let dropped = done.iter().filter(|done| **done == Done::Dropped).count() as u64;
        assert_eq!(tables.reason(Reason::Contended), dropped);
        assert_eq!(tables.reason(Reason::ForwardedToServer), 2 - dropped);
    });
}

#[test]
fn two_connections_that_want_the_same_ways() {
    let director = director();
    for free in [1, 2] {
        let syns = [
            arrive(CLIENT, VIP, "S", director.now),
            arrive(OTHER, OTHER_VIP, "S", director.now),
        ];
        run(&director, Some(free), &syns, |_, done| {
            assert!(
                [forwarded(CLIENT, SERVER), Done::Dropped].contains(&done[0]),
                "{done:?}"
            );
            assert!(
                [forwarded(OTHER, OTHER_SERVER), Done::Dropped].contains(&done[1]),
                "{done:?}"
            );
        });
    }
}

#[test]
fn two_virtual_addresses_of_one_real_server_at_once() {
    let mut director = Director::over(HostTables::new(2, 2, 2));
    director.add(socket(VIP), None, &[socket(SERVER)]);
    director.add(socket(OTHER_VIP), None, &[socket(SERVER)]);
    let syns = [
        arrive(CLIENT, VIP, "S", director.now),
        arrive(CLIENT, OTHER_VIP, "S", director.now),
    ];
    run(&director, Some(2), &syns, |_, _| {});
}

/// The connection goes away while a packet of it changes its state: it must not be counted
/// twice.
#[test]
fn a_renewal_meets_a_reclaim() {
    let mut director = director();
    director.process(segment(CLIENT, VIP, "S").octets());
    let index = index_of(&director, Direction::Forward);
    for (source, destination, flags) in [(CLIENT, VIP, "FA"), (SERVER, CLIENT, "RA")] {
        let now = director.now + 1;
        let processors = [arrive(source, destination, flags, now), take_out(index)];
        run(&director, Some(1), &processors, |_, _| {});
    }
}

/// A connection comes while another goes: however they meet, the destination is overloaded
/// afterwards if and only if there is a connection.
#[test]
fn a_threshold_that_is_reached_and_left_at_once() {
    let mut director = Director::over(HostTables::new(1, 1, 2));
    director.add(socket(VIP), None, &[socket(SERVER)]);
    director.process(segment(CLIENT, VIP, "S").octets());
    director.rewrite(0, |server| server.thresholds = [2, 2]);
    let index = index_of(&director, Direction::Forward);
    let processors = [arrive(OTHER, VIP, "S", director.now), take_out(index)];
    run(&director, None, &processors, |_, done| {
        assert_eq!(done[0], forwarded(OTHER, SERVER));
    });
}

#[test]
fn two_renewals_and_a_reclaim() {
    let mut director = director();
    director.process(segment(CLIENT, VIP, "S").octets());
    let index = index_of(&director, Direction::Forward);
    let processors = [
        arrive(CLIENT, VIP, "FA", director.now),
        arrive(SERVER, CLIENT, "RA", director.now),
        take_out(index),
    ];
    run(&director, Some(1), &processors, |_, _| {});
}

/// A connection goes away, and another one takes its ways, while packets of it are looked up.
#[test]
fn no_packet_follows_the_entry_of_another_connection() {
    // One set, so that the second connection can have nothing but the ways of the first.
    let mut director = director_with(1);
    director.process(segment(CLIENT, VIP, "S").octets());
    let index = index_of(&director, Direction::Forward);
    for (source, target, right) in [
        (CLIENT, VIP, forwarded(CLIENT, SERVER)),
        (SERVER, CLIENT, forwarded(VIP, CLIENT)),
    ] {
        for flags in ["A", "FA"] {
            let processors = [
                arrive(source, target, flags, director.now),
                then(take_out(index), arrive(OTHER, OTHER_VIP, "S", director.now)),
            ];
            run(&director, Some(0), &processors, |_, done| {
                assert!([right.clone(), Done::Passed].contains(&done[0]), "{done:?}");
                assert_eq!(done[1], forwarded(OTHER, OTHER_SERVER));
            });
        }
    }
}

#[test]
fn full_sets_give_way_once() {
    let mut director = director();
    director.process(segment(CLIENT, VIP, "S").octets());
    let expired = director.now.wrapping_add(60 * SECOND);
    for now in [director.now, expired] {
        let processors = [
            arrive(OTHER, OTHER_VIP, "S", now),
            arrive("10.1.0.4:3000", OTHER_VIP, "S", now),
        ];
        run(&director, Some(0), &processors, |_, _| {});
    }
}

fn persistent_director() -> Director {
    let mut director = Director::over(HostTables::new(2, 2, 2));
    let persistence = Some(Persistence {
        ticks: 50 * SECOND,
        prefix: 24,
    });
    director.add(
        socket(VIP),
        persistence,
        &[socket(SERVER), socket(OTHER_SERVER)],
    );
    director
}

/// Neighbours that come at once get one template, and with it one real server.
#[test]
fn one_template_opened_twice_at_once() {
    let director = persistent_director();
    let processors = [
        arrive(CLIENT, VIP, "S", director.now),
        arrive(OTHER, VIP, "S", director.now),
    ];
    run(&director, Some(3), &processors, |_, done| {
        let servers: Vec<IpAddr> = done
            .iter()
            .filter_map(|done| match done {
                Done::Forwarded(_, server) => Some(server.ip()),
                _ => None,
            })
            .collect();
        assert!(
            servers.windows(2).all(|pair| pair[0] == pair[1]),
            "{done:?}"
        );
        assert!(
            servers
                .iter()
                .all(|server| [address("10.2.0.11"), address("10.2.0.12")].contains(server))
        );
    });
}

/// A template goes away while a connection comes under it.
#[test]
fn a_template_that_is_reclaimed_while_it_is_taken_up() {
    let mut director = persistent_director();
    director.process(segment(CLIENT, VIP, "S").octets());
    let (template, _, _) = director
        .entries()
        .into_iter()
        .find(|(index, _, _)| Entry((&director.tables).connection(*index).unwrap()).is_template())
        .unwrap();
    let processors = [arrive(OTHER, VIP, "S", director.now), take_out(template)];
    run(&director, Some(2), &processors, |_, _| {});
}
