//! Whom each scheduler chooses: the same as the kernel's IPVS.
//!
//! The expected choices are those of Linux 6.1 for the same real servers, in the order in
//! which they were added, and the same clients. They are named by the last octet of the
//! real server's address; `-` is a client that nobody took.

mod support;

use std::net::{IpAddr, SocketAddr};

use elver_packet::frame::{NextHop, Route, Verdict};
use elver_packet::host::{
    Ground, HostFrame, HostTables, Journey, Method, Persistence, RealServer, VirtualService, folded,
};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::schedule::list::{Candidate, MemberList, Position, member_list};
use elver_packet::table::destination::{Activity, Destination};
use elver_packet::table::service::{self, flags, scheduler};
use elver_packet::table::settings::Ticks;
use elver_packet::table::{Tables, Words, destination};
use support::packet::Segment;
use support::{SECOND, socket, way};

const NOW: Ticks = 5000;
const V4: &str = "10.1.0.100:80";
const V6: &str = "[fd01::100]:80";

fn everywhere(journey: &Journey) -> Route {
    let next_hop = NextHop {
        device: 2,
        destination: [2, 0, 0, 0, 2, 9],
        source: [2, 0, 0, 0, 2, 1],
    };
    Route::Neighbour {
        next_hop,
        way: way(2, journey.destination),
        largest: 1500,
    }
}

/// A service, and the controller that edits it.
struct Service {
    tables: HostTables,
    address: SocketAddr,
    scheduler: u8,
    flags: u32,
    persistence: Option<Persistence>,
    /// Ids, newest first.
    members: Vec<u32>,
    servers: Vec<RealServer>,
    list: MemberList,
    begun_at: u32,
    /// The next port of the one client of [`Service::choose`].
    port: u16,
    now: Ticks,
}

impl Service {
    fn new(address: &str, scheduler: u8, flags: u32) -> Service {
        let tables = HostTables::new(4, 1 << 14, 1 << 10);
        Ground {
            seeds: 0x0123_4567_89ab_cdef,
            sets: 1 << 10,
            ticks_per_second: SECOND,
        }
        .write((&tables).settings().unwrap());
        let service = Service {
            tables,
            address: socket(address),
            scheduler,
            flags,
            persistence: None,
            members: Vec::new(),
            servers: Vec::new(),
            list: MemberList::default(),
            begun_at: 0,
            port: 3000,
            now: NOW,
        };
        service
            .tables
            .enter_service(0, &service.virtual_service(), 0, &[]);
        service
    }

    /// With real servers .11, .12 and so on of these weights.
    fn weighted(address: &str, scheduler: u8, flags: u32, weights: &[u32]) -> Service {
        let mut service = Service::new(address, scheduler, flags);
        for weight in weights {
            service.add(*weight, [0; 2]);
        }
        service
    }

    fn virtual_service(&self) -> VirtualService {
        VirtualService {
            persistence: self.persistence,
            scheduler: self.scheduler,
            scheduler_flags: self.flags,
            ..VirtualService::new(self.address.ip(), self.address.port())
        }
    }

    /// Adds the next real server.
    fn add(&mut self, weight: u32, thresholds: [u32; 2]) {
        let id = self.servers.len() as u32;
        let host = 11 + id as u8;
        let address: IpAddr = match self.address {
            SocketAddr::V4(_) => [10, 2, 0, host].into(),
            SocketAddr::V6(_) => [0xfd02, 0, 0, 0, 0, 0, 0, host.into()].into(),
        };
        self.servers.push(RealServer {
            service: 0,
            address,
            port: 8080,
            method: Method::Nat,
            generation: 7,
            available: true,
            held: true,
            local: false,
            weight,
            thresholds,
        });
        self.members.insert(0, id);
        self.edit(11 + id, |_| {});
    }

    /// Changes a real server, named by its last octet.
    fn edit(&mut self, host: u32, change: impl FnOnce(&mut RealServer)) {
        let id = host - 11;
        let server = &mut self.servers[id as usize];
        change(server);
        self.tables.enter_destination(id, server);
        self.publish();
    }

    fn remove(&mut self, host: u32) {
        self.members.retain(|id| *id != host - 11);
        self.edit(host, |server| server.available = false);
    }

    fn reschedule(&mut self, scheduler: u8) {
        self.scheduler = scheduler;
        self.list = MemberList::default();
        self.service().set_cursor(0);
        self.begun_at = 0;
        self.virtual_service().write(self.service().0);
        self.publish();
    }

    fn service(&self) -> service::Service<&[std::sync::atomic::AtomicU64]> {
        service::Service((&self.tables).service(0).unwrap())
    }

    fn destination(&self, host: u32) -> Destination<&[std::sync::atomic::AtomicU64]> {
        Destination((&self.tables).destination(host - 11).unwrap())
    }

    fn publish(&mut self) {
        let candidates: Vec<Candidate> = (self.members.iter())
            .map(|id| {
                let server = &self.servers[*id as usize];
                Candidate {
                    id: *id,
                    weight: server.weight,
                    last_weight: self.destination(11 + id).last_weight(),
                    address: folded(server.address),
                    port: server.port,
                }
            })
            .collect();
        let list = member_list(self.scheduler, &candidates);
        let position = Position {
            cursor: self.service().cursor(),
            begun_at: self.begun_at,
        };
        let position = list.position_after(self.scheduler, &self.list, position);
        for (place, member) in (0..).zip(&list.members) {
            let word = self.tables.members.entry(place, 1).unwrap();
            word.store(0, u64::from(*member));
        }
        self.service().set_cursor(position.cursor);
        VirtualService::set_members(self.service().0, 0, list.members.len() as u32);
        self.list = list;
        self.begun_at = position.begun_at;
    }

    /// Whom a client's first packet goes to.
    fn connect(&mut self, client: SocketAddr) -> Option<u8> {
        let octets = Segment::new(client, self.address, "S").octets();
        let mut frame = HostFrame::new(octets, everywhere as fn(&Journey) -> Route);
        let unserved = self.tables.reason(Reason::NoDestination);
        let verdict = process(&mut frame, &&self.tables, self.now);
        match verdict {
            Verdict::Leave => Some(match self.address {
                SocketAddr::V4(_) => frame.octets[33],
                SocketAddr::V6(_) => frame.octets[53],
            }),
            _ => {
                assert_eq!(verdict, Verdict::Drop);
                assert_eq!(self.tables.reason(Reason::NoDestination), unserved + 1);
                None
            }
        }
    }

    /// Whom several clients go to.
    fn clients(&mut self, clients: impl IntoIterator<Item = SocketAddr>) -> String {
        let chosen = clients
            .into_iter()
            .map(|client| match self.connect(client) {
                Some(host) => host.to_string(),
                None => "-".to_owned(),
            });
        chosen.collect::<Vec<_>>().join(" ")
    }

    /// Whom so many connections of one client go to.
    fn choose(&mut self, connections: u16) -> String {
        let ports = self.port..self.port + connections;
        self.port = ports.end;
        self.clients(ports.map(|port| SocketAddr::new([10, 1, 0, 2].into(), port)))
    }
}

/// Clients .2, .3 and so on, each from a port of its own.
fn hosts(count: u8) -> impl Iterator<Item = SocketAddr> {
    (0..count).map(|n| SocketAddr::new([10, 1, 0, 2 + n].into(), 3000 + 7 * u16::from(n)))
}

/// One client's ports.
fn ports(client: &str) -> impl Iterator<Item = SocketAddr> {
    let client: IpAddr = client.parse().unwrap();
    (4000..4040).map(move |port| SocketAddr::new(client, port))
}

/// Four clients in turn, eight times.
fn hosts_of_ipv6() -> impl Iterator<Item = SocketAddr> {
    (0..8u16).map(|n| SocketAddr::new([0xfd01, 0, 0, 0, 0, 0, 0, 2 + n % 4].into(), 3000 + n))
}

#[test]
fn connections_that_stay_half_open_are_dealt_out_as_by_the_kernel() {
    for (scheduler, weights, expected) in [
        (
            scheduler::ROUND_ROBIN,
            [1, 1, 1],
            "13 12 11 13 12 11 13 12 11 13 12 11 13 12",
        ),
        (
            scheduler::ROUND_ROBIN,
            [1, 0, 1],
            "13 11 13 11 13 11 13 11 13 11 13 11 13 11",
        ),
        (
            scheduler::WEIGHTED_ROUND_ROBIN,
            [3, 1, 2],
            "13 12 11 11 13 11 13 12 11 11 13 11 13 12",
        ),
        (
            scheduler::WEIGHTED_ROUND_ROBIN,
            [1, 2, 4],
            "13 12 11 13 13 13 12 13 12 11 13 13 13 12",
        ),
        (
            scheduler::WEIGHTED_ROUND_ROBIN,
            [4, 2, 1],
            "13 12 11 11 11 12 11 13 12 11 11 11 12 11",
        ),
        (
            scheduler::LEAST_CONNECTION,
            [1, 1, 1],
            "13 12 11 13 12 11 13 12 11 13 12 11 13 12",
        ),
        (
            scheduler::LEAST_CONNECTION,
            [1, 5, 1],
            "13 12 11 13 12 11 13 12 11 13 12 11 13 12",
        ),
        (
            scheduler::WEIGHTED_LEAST_CONNECTION,
            [1, 1, 1],
            "13 12 11 13 12 11 13 12 11 13 12 11 13 12",
        ),
        (
            scheduler::WEIGHTED_LEAST_CONNECTION,
            [1, 2, 4],
            "13 12 11 13 13 12 13 13 12 11 13 13 12 13",
        ),
        (
            scheduler::SHORTEST_EXPECTED_DELAY,
            [1, 2, 3],
            "13 12 13 13 12 11 13 12 13 13 12 11 13 12",
        ),
        (
            scheduler::NEVER_QUEUE,
            [1, 2, 3],
            "13 12 11 13 13 12 13 12 13 13 12 11 13 12",
        ),
        (
            scheduler::FAILOVER,
            [1, 3, 2],
            "12 12 12 12 12 12 12 12 12 12 12 12 12 12",
        ),
        (
            scheduler::OVERFLOW,
            [3, 2, 1],
            "11 11 11 11 12 12 12 13 13 - - - - -",
        ),
        (
            scheduler::OVERFLOW,
            [1, 1, 1],
            "13 13 12 12 11 11 - - - - - - - -",
        ),
        (
            scheduler::LOCALITY_BASED,
            [1, 1, 1],
            "13 13 12 12 11 11 11 11 11 11 11 11 11 11",
        ),
        (
            scheduler::LOCALITY_BASED,
            [1, 2, 4],
            "13 13 13 13 13 12 12 12 11 11 11 11 11 11",
        ),
    ] {
        let mut service = Service::weighted(V4, scheduler, 0, &weights);
        assert_eq!(
            service.choose(14),
            expected,
            "scheduler {scheduler}, {weights:?}"
        );
    }
}

#[test]
fn weighted_round_robin_goes_on_after_edits() {
    let mut service = Service::weighted(V4, scheduler::WEIGHTED_ROUND_ROBIN, 0, &[3, 1, 2]);
    assert_eq!(service.choose(4), "13 12 11 11");
    service.edit(12, |server| server.weight = 6);
    assert_eq!(service.choose(9), "12 11 13 12 11 13 12 11 12");
    service.add(4, [0; 2]);
    assert_eq!(service.choose(12), "12 12 14 12 14 12 11 14 13 12 11 14");
    service.remove(11);
    assert_eq!(service.choose(12), "14 13 12 12 14 12 14 13 12 12 14 12");
    assert_eq!(service.choose(5), "14 13 12 12 14");
    service.reschedule(scheduler::ROUND_ROBIN);
    assert_eq!(service.choose(5), "14 13 12 14 13");
    service.reschedule(scheduler::WEIGHTED_ROUND_ROBIN);
    assert_eq!(service.choose(9), "12 14 12 14 13 12 12 14 12");
}

#[test]
fn overloaded_servers_are_passed_over() {
    let mut service = Service::new(V4, scheduler::WEIGHTED_ROUND_ROBIN, 0);
    for (weight, upper) in [(3, 2), (1, 0), (2, 3)] {
        service.add(weight, [upper, 0]);
    }
    assert_eq!(
        service.choose(14),
        "13 12 11 11 13 13 12 12 12 12 12 12 12 12"
    );

    let mut service = Service::new(V4, scheduler::WEIGHTED_ROUND_ROBIN, 0);
    for (weight, upper) in [(3, 1), (1, 1), (2, 3)] {
        service.add(weight, [upper, 0]);
    }
    assert_eq!(service.choose(8), "13 12 11 13 13 - - -");
    service.edit(11, |server| server.thresholds = [9, 0]);
    assert_eq!(service.choose(3), "11 11 11");

    let mut service = Service::new(V4, scheduler::ROUND_ROBIN, 0);
    service.add(1, [4, 2]);
    service.add(1, [0; 2]);
    assert_eq!(service.choose(12), "12 11 12 11 12 11 12 11 12 12 12 12");

    let mut service = Service::new(V4, scheduler::FAILOVER, 0);
    for (weight, upper) in [(1, 0), (3, 0), (2, 2)] {
        service.add(weight, [upper, 0]);
    }
    assert_eq!(service.choose(4), "12 12 12 12");
    service.edit(12, |server| server.weight = 0);
    assert_eq!(service.choose(4), "13 13 11 11");
}

#[test]
fn every_scheduler_passes_over_whom_it_must() {
    let all = (0..=scheduler::POWER_OF_TWO_CHOICES).filter(|number| *number != 5);
    for number in all {
        let mut service = Service::new(V4, number, flags::SCHEDULER_1 | flags::SCHEDULER_2);
        service.add(1, [1, 0]);
        assert_eq!(service.choose(1), "11", "scheduler {number}");
        service.edit(11, |server| server.weight = 0);
        service.add(7, [0; 2]);
        if number == scheduler::DESTINATION_HASHING {
            // There is no flag by which it falls back: half of the slots take nobody.
            continue;
        }
        // The overloaded or quiescent one is never chosen.
        assert_eq!(service.choose(8), ["12"; 8].join(" "), "scheduler {number}");
        service.edit(12, |server| server.weight = 0);
        assert_eq!(service.choose(2), "- -", "scheduler {number}");
    }
}

#[test]
fn thresholds_are_looked_at_when_they_are_edited() {
    let mut service = Service::weighted(V4, scheduler::ROUND_ROBIN, 0, &[1]);
    let set = |service: &mut Service, upper, lower| {
        service.edit(11, |server| server.thresholds = [upper, lower]);
    };
    assert_eq!(service.choose(5), "11 11 11 11 11");
    set(&mut service, 3, 0);
    assert_eq!(service.choose(3), "- - -");
    set(&mut service, 10, 0);
    assert_eq!(service.choose(3), "11 11 11");
    set(&mut service, 4, 0);
    assert_eq!(service.choose(2), "- -");
    set(&mut service, 5, 2);
    assert_eq!(service.choose(2), "- -");
    set(&mut service, 0, 0);
    assert_eq!(service.choose(2), "11 11");
}

#[test]
fn source_hashing_takes_a_client_where_the_kernel_does() {
    for (sched_flags, weights, of_hosts, of_ports, of_ipv6, of_ipv6_ports) in [
        (
            0,
            [1, 2, 3],
            "12 11 13 11 13 13 13 13 13 13 12 13 12 13 13 12 13 12 11 12 11 12 11 13 12 13 13 11 13 11 13 12 13 13 13 13",
            "12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12",
            "13 12 13 12 13 12 13 12",
            "12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12",
        ),
        (
            flags::SCHEDULER_2,
            [2, 1, 4],
            "13 12 12 12 12 11 11 11 11 11 11 11 11 13 13 13 13 13 13 12 11 11 11 11 11 11 11 11 13 13 13 13 13 13 13 13",
            "11 13 13 12 12 13 11 11 11 13 13 12 12 12 13 11 13 13 13 12 12 12 13 13 13 13 13 11 12 13 13 13 13 13 13 11 11 13 13 13",
            "11 13 13 12 13 12 13 13",
            "12 13 13 13 13 13 13 11 11 13 13 13 13 13 11 11 11 13 13 13 13 13 11 11 11 13 13 13 13 13 11 11 11 13 13 12 12 13 11 11",
        ),
    ] {
        let of =
            |address| Service::weighted(address, scheduler::SOURCE_HASHING, sched_flags, &weights);
        assert_eq!(of(V4).clients(hosts(36)), of_hosts);
        assert_eq!(of(V4).clients(ports("10.1.0.2")), of_ports);
        assert_eq!(of(V6).clients(hosts_of_ipv6()), of_ipv6);
        assert_eq!(of(V6).clients(ports("fd01::3")), of_ipv6_ports);
    }
}

#[test]
fn maglev_hashing_takes_a_client_where_the_kernel_does() {
    for (sched_flags, weights, of_hosts, of_ports, of_ipv6, of_ipv6_ports) in [
        (
            0,
            [5, 2, 1],
            "11 12 11 11 11 11 11 13 11 11 12 11 11 11 11 11 11 11 11 12 12 12 11 13 11 11 11 11 11 11 11 11 13 11 12 11",
            "11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11",
            "11 12 11 12 11 12 11 12",
            "12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12 12",
        ),
        (
            flags::SCHEDULER_2,
            [1000, 3, 70],
            "11 11 12 11 11 11 11 11 13 11 11 11 11 13 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 13 11 11 11 11",
            "11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 13 11 11 11 11 11 11 11 12 11 11 11 11 13 11 11 11 11 11 11 11 11",
            "11 11 11 11 11 11 11 11",
            "11 11 11 11 11 11 11 13 11 11 11 11 11 11 13 11 12 11 13 11 11 11 11 13 11 11 13 11 11 11 13 11 11 11 11 11 11 11 11 11",
        ),
    ] {
        let of =
            |address| Service::weighted(address, scheduler::MAGLEV_HASHING, sched_flags, &weights);
        assert_eq!(of(V4).clients(hosts(36)), of_hosts);
        assert_eq!(of(V4).clients(ports("10.1.0.2")), of_ports);
        assert_eq!(of(V6).clients(hosts_of_ipv6()), of_ipv6);
        assert_eq!(of(V6).clients(ports("fd01::3")), of_ipv6_ports);
    }
}

#[test]
fn destination_hashing_takes_a_virtual_address_where_the_kernel_does() {
    let of = |address| Service::weighted(address, scheduler::DESTINATION_HASHING, 0, &[1, 1, 1]);
    assert_eq!(of(V4).clients(hosts(36)), ["13"; 36].join(" "));
    assert_eq!(of(V6).clients(hosts_of_ipv6()), ["12"; 8].join(" "));
}

#[test]
fn clients_of_a_quiescent_server_fall_back_where_the_kernel_lets_them() {
    for (scheduler, sched_flags, expected) in [
        (
            scheduler::SOURCE_HASHING,
            flags::SCHEDULER_2,
            "11 13 13 - - 13 11 11 11 13 13 - - - 13 11 13 13 13 - - - 13 13 13 13 13 11 - 13 13 13 13 13 13 11 11 13 13 13",
        ),
        (
            scheduler::SOURCE_HASHING,
            flags::SCHEDULER_1 | flags::SCHEDULER_2,
            "11 13 13 13 13 13 11 11 11 13 13 13 11 11 13 11 13 13 13 13 11 11 13 13 13 13 13 11 11 13 13 13 13 13 13 11 11 13 13 13",
        ),
        (
            scheduler::MAGLEV_HASHING,
            flags::SCHEDULER_2,
            "- - 11 13 13 13 - 13 - 11 13 13 13 13 11 13 13 11 13 - 13 - 11 13 - - - 13 - 11 11 13 13 - - - 13 11 11 13",
        ),
        (
            scheduler::MAGLEV_HASHING,
            flags::SCHEDULER_1 | flags::SCHEDULER_2,
            "13 11 11 13 13 13 13 13 11 11 13 13 13 13 11 13 13 11 13 13 13 13 11 13 13 11 13 13 13 11 11 13 13 13 11 13 13 11 11 13",
        ),
    ] {
        let mut service = Service::weighted(V4, scheduler, sched_flags, &[2, 3, 4]);
        service.edit(12, |server| server.weight = 0);
        assert_eq!(
            service.clients(ports("10.1.0.2")),
            expected,
            "scheduler {scheduler}"
        );
    }
}

#[test]
fn inactive_connections_count_for_least_connection_and_not_for_delay() {
    for (scheduler, expected) in [
        (scheduler::LEAST_CONNECTION, "11"),
        (scheduler::WEIGHTED_LEAST_CONNECTION, "11"),
        (scheduler::SHORTEST_EXPECTED_DELAY, "12"),
        (scheduler::NEVER_QUEUE, "12"),
    ] {
        let mut service = Service::weighted(V4, scheduler, 0, &[1, 1]);
        // 257 against 256: an active connection is one of all, and 256 more.
        service.destination(12).bind(Activity::Active);
        for _ in 0..256 {
            service.destination(11).bind(Activity::Inactive);
        }
        if expected == "12" {
            service.destination(11).bind(Activity::Active);
        }
        assert_eq!(service.choose(1), expected, "scheduler {scheduler}");
    }
}

#[test]
fn the_less_loaded_of_two_is_the_one_with_less_for_its_weight() {
    let number = scheduler::POWER_OF_TWO_CHOICES;
    let mut service = Service::weighted(V4, number, 0, &[1, 1, 2]);
    for _ in 0..1000 {
        service.destination(12).bind(Activity::Active);
    }
    // 12 is chosen only where it was drawn twice: about once in sixteen times.
    let chosen = service.choose(400);
    let times = |host: &str| chosen.split(' ').filter(|one| *one == host).count();
    assert!((5..60).contains(&times("12")), "{chosen}");
    assert!(times("13") > times("11"), "{chosen}");
    assert_eq!(times("-"), 0, "{chosen}");
}

#[test]
fn lblc_forgets_what_nobody_asked_for_in_a_day() {
    let mut service = Service::weighted(V4, scheduler::LOCALITY_BASED, 0, &[1, 1]);
    assert_eq!(service.choose(1), "12");
    service.destination(12).unbind(Activity::Active);
    service.destination(12).bind(Activity::Inactive);
    service.now = service.now.wrapping_add(86_300 * 8);
    assert_eq!(service.choose(1), "12");
    service.now = service.now.wrapping_add(86_401 * 8);
    assert_eq!(service.choose(1), "11");
}

#[test]
fn persistent_clients_are_scheduled_once() {
    for (number, expected) in [
        (scheduler::ROUND_ROBIN, "12 12 12 11 11 11 12 12"),
        (
            scheduler::WEIGHTED_LEAST_CONNECTION,
            "12 12 12 11 11 11 12 12",
        ),
        (
            scheduler::SHORTEST_EXPECTED_DELAY,
            "12 12 12 11 11 11 12 12",
        ),
    ] {
        let mut service = Service::weighted(V4, number, 0, &[1, 1]);
        service.persistence = Some(Persistence {
            ticks: 50 * SECOND,
            prefix: 32,
        });
        service.virtual_service().write(service.service().0);
        let client = |host: u8, port| SocketAddr::new([10, 1, 0, host].into(), port);
        let clients = [2, 2, 2, 3, 3, 3, 2, 2].into_iter().zip(3000..);
        let chosen = service.clients(clients.map(|(host, port)| client(host, port)));
        assert_eq!(chosen, expected, "scheduler {number}");
        // Neither a threshold nor weight 0 keeps a client away that has been there.
        for host in [11, 12] {
            service.edit(host, |server| server.thresholds = [1, 0]);
        }
        let client_of_12 = client(2, 4000);
        assert_eq!(service.clients([client_of_12, client(4, 4000)]), "12 -");
        service.edit(12, |server| server.weight = 0);
        assert_eq!(service.clients([client(2, 4001), client(4, 4001)]), "12 -");
    }
}

#[test]
fn lblc_stays_with_an_overloaded_server_while_no_other_has_room() {
    let mut service = Service::weighted(V4, scheduler::LOCALITY_BASED, 0, &[1, 1]);
    assert_eq!(service.choose(4), "12 12 11 11");
    for host in [11, 12] {
        service.edit(host, |server| server.thresholds = [1, 0]);
    }
    assert_eq!(service.choose(2), "11 11");
}

#[test]
fn round_robin_goes_on_after_more_turns_than_32_bits_count() {
    let mut service = Service::weighted(V4, scheduler::ROUND_ROBIN, 0, &[1, 1, 1]);
    service.service().set_cursor((1 << 32) - 1);
    assert_eq!(service.choose(4), "13 12 11 13");
    service.edit(12, |server| server.weight = 0);
    service.service().set_cursor((1 << 32) - 1);
    assert_eq!(service.choose(4), "13 11 13 11");
}

#[test]
fn a_server_is_found_behind_many_that_take_nobody() {
    for scheduler in [scheduler::ROUND_ROBIN, scheduler::WEIGHTED_ROUND_ROBIN] {
        // The list of wrr has 2400 turns of the others first.
        let mut service = Service::new(V4, scheduler, 0);
        service.add(1, [0; 2]);
        for _ in 0..60 {
            service.add(40, [1, 0]);
        }
        service.choose(61);
        let more = service.choose(30);
        assert_eq!(more, ["11"; 30].join(" "), "scheduler {scheduler}");
    }
}

#[test]
fn a_choice_on_a_packet_is_not_used_for_another() {
    let mut service = Service::weighted(V4, scheduler::ROUND_ROBIN, 0, &[1, 1]);
    let client = SocketAddr::new([10, 1, 0, 2].into(), 3000);
    let octets = Segment::new(client, service.address, "S").octets();
    let mut frame = HostFrame::new(octets, everywhere as fn(&Journey) -> Route);
    // Left by whoever used the note before.
    frame.notes = [1, 0, 0, 0];
    process(&mut frame, &&service.tables, service.now);
    assert_eq!(frame.octets[33], 12);
    assert_eq!(service.choose(1), "12", "the first one's packet again");
    assert_eq!(service.choose(2), "11 12");
}

#[test]
fn a_threshold_is_no_bar_to_a_connection_that_is_there() {
    let mut service = Service::new(V4, scheduler::ROUND_ROBIN, 0);
    service.add(1, [1, 0]);
    assert_eq!(service.choose(2), "11 -");
    service.port = 3000;
    assert_eq!(service.choose(1), "11");
    let word = service.destination(11).0.load(destination::FLAGS_WORD);
    assert_ne!(word & u64::from(destination::flags::OVERLOADED), 0);
}
