//! A director on the host, with clients on one side and real servers on the other.
//!
//! | what | IPv4 | IPv6 | device |
//! |---|---|---|---|
//! | clients | 10.1.0.0/16 | fd00:1::/32 | 1 |
//! | virtual addresses | 10.1.0.100 … | fd00:1::100 … | 1 |
//! | real servers | 10.2.0.0/16 | fd00:2::/32 | 2 |
//!
//! Among the real servers' addresses those that end in these octets are special: 99 has a
//! neighbour that is not resolved, 98 is the director's own, 97 has no route, 96 is behind
//! a link that takes 600 octets.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses a part of it"
)]

pub mod consistency;
pub mod datagram;
pub mod everything;
pub mod explorer;
pub mod icmp;
pub mod packet;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use elver_packet::frame::{NextHop, Route, Verdict, Way};
use elver_packet::host::{
    Departure, Ground, HostFrame, HostTables, Journey, Method, Persistence, RealServer,
    VirtualService,
};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::table::connection::{self, Direction, Entry, Life, STRIDE, control};
use elver_packet::table::destination::{Destination, STATISTICS_WORDS};
use elver_packet::table::service::ServiceKey;
use elver_packet::table::settings::Ticks;
use elver_packet::table::{Tables, Words, service};

/// What a second is on the director's clock.
pub const SECOND: Ticks = 8;

/// The largest packet on an ordinary link.
const MTU: u16 = 1500;

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The routes of the director.
pub fn routes(journey: &Journey) -> Route {
    let (network, host) = match journey.destination {
        IpAddr::V4(address) => {
            let [a, b, _, host] = address.octets();
            ([a, b], host)
        }
        IpAddr::V6(address) => {
            let [a, _, _, b, .., host] = address.octets();
            // Read as decimal what is written in hexadecimal, so that both families look alike.
            (
                [if a == 0xfd { 10 } else { 0 }, b],
                host / 16 * 10 + host % 16,
            )
        }
    };
    let device = match network {
        [10, device @ (1 | 2)] => u32::from(device),
        _ => return Route::None,
    };
    let next_hop = NextHop::new(
        device,
        [2, 0, 0, 0, device as u8, host],
        [2, 0, 0, 0, device as u8, 1],
    );
    let way = way(device, journey.destination);
    let largest = if (device, host) == (2, 96) { 600 } else { MTU };
    match (device, host) {
        (2, 99) => Route::Unresolved(way),
        (2, 98) => Route::LocalOrNone,
        (2, 97) => Route::None,
        _ if journey.length > u32::from(largest) => Route::TooBig(largest),
        _ => Route::Neighbour {
            next_hop,
            way,
            largest,
        },
    }
}

/// The way to a neighbour on a device.
pub fn way(device: u32, neighbour: IpAddr) -> Way {
    let octets = match neighbour {
        IpAddr::V4(address) => u128::from(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => u128::from_ne_bytes(address.octets()),
    };
    Way {
        device,
        family: if neighbour.is_ipv4() { 4 } else { 6 },
        neighbour: [octets as u64, (octets >> 64) as u64],
    }
}

/// Everything that counts, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counters {
    reasons: Vec<u64>,
    destinations: Vec<[i64; STATISTICS_WORDS + 3]>,
}

/// What became of a frame.
pub struct Outcome {
    pub verdict: Verdict,
    pub departure: Option<Departure>,
    pub octets: Vec<u8>,
    /// Every counter that moved, and by how much.
    pub counted: String,
}

/// A director.
pub struct Director {
    pub tables: HostTables,
    pub now: Ticks,
    /// What happened, for a golden file.
    pub transcript: String,
    services: u32,
    destinations: Vec<RealServer>,
    places: u32,
}

impl Director {
    /// A director without services, whose connection table has so many sets.
    pub fn new(sets: u32) -> Director {
        Director::over(HostTables::new(16, 32, sets as usize))
    }

    /// A director over these empty tables.
    pub fn over(tables: HostTables) -> Director {
        let sets = (tables.connections.len() / connection::WORDS) as u32 / STRIDE;
        Ground {
            seeds: 0x0123_4567_89ab_cdef,
            sets,
            ticks_per_second: SECOND,
        }
        .write((&tables).settings().unwrap());
        Director {
            tables,
            // Close to where the clock wraps.
            now: Ticks::MAX - 100,
            transcript: String::new(),
            services: 0,
            destinations: Vec::new(),
            places: 0,
        }
    }

    /// Adds a service for TCP with real servers by NAT; the last one is the newest. Gives the
    /// ids of the service and of the first real server.
    pub fn add(
        &mut self,
        address: SocketAddr,
        persistence: Option<Persistence>,
        real_servers: &[SocketAddr],
    ) -> (u32, u32) {
        let virtual_service = VirtualService {
            persistence,
            ..VirtualService::new(address.ip(), address.port())
        };
        let servers: Vec<_> = (real_servers.iter())
            .map(|server| (*server, Method::Nat))
            .collect();
        self.add_service(&virtual_service, &servers)
    }

    /// The same for any service, and real servers by any method.
    pub fn add_service(
        &mut self,
        virtual_service: &VirtualService,
        real_servers: &[(SocketAddr, Method)],
    ) -> (u32, u32) {
        let (service, first) = (self.services, self.destinations.len() as u32);
        for (real_server, method) in real_servers {
            self.destinations.push(RealServer {
                service,
                address: real_server.ip(),
                port: real_server.port(),
                method: *method,
                generation: 7,
                available: true,
                held: true,
                local: false,
                weight: 1,
                thresholds: [0; 2],
            });
            self.rewrite(self.destinations.len() as u32 - 1, |_| {});
        }
        let members: Vec<u32> = (first..self.destinations.len() as u32).rev().collect();
        self.tables
            .enter_service(service, virtual_service, self.places, &members);
        self.services += 1;
        self.places += members.len() as u32;
        (service, first)
    }

    /// Makes a service that of a firewall mark, instead of its address.
    pub fn mark(&mut self, service: u32, mark: u32, family: u8) {
        let mut index = self.tables.index.lock().unwrap();
        index.retain(|_, id| *id != service);
        index.insert(ServiceKey::of_mark(mark, family), service);
    }

    /// Gives a service another member list, in the order of the scheduler.
    pub fn set_members(&mut self, service: u32, members: &[u32]) {
        for (place, member) in (self.places..).zip(members) {
            self.tables
                .members
                .entry(place, 1)
                .unwrap()
                .store(0, u64::from(*member));
        }
        let words = (&self.tables).service(service).unwrap();
        VirtualService::set_members(words, self.places, members.len() as u32);
        self.places += members.len() as u32;
    }

    /// Changes a destination.
    pub fn rewrite(&mut self, id: u32, change: impl FnOnce(&mut RealServer)) {
        change(&mut self.destinations[id as usize]);
        self.tables
            .enter_destination(id, &self.destinations[id as usize]);
    }

    /// Changes whether a service's address is held, in the service only.
    pub fn hold_service(&self, id: u32, held: bool) {
        let words = (&self.tables).service(id).unwrap();
        let flags = words.load(service::FLAGS_WORD);
        let bit = u64::from(service::flags::HELD);
        words.store(
            service::FLAGS_WORD,
            if held { flags | bit } else { flags & !bit },
        );
    }

    pub fn destination(&self, id: u32) -> Destination<&[std::sync::atomic::AtomicU64]> {
        Destination((&self.tables).destination(id).unwrap())
    }

    /// The ids of all destinations.
    pub fn destinations(&self) -> std::ops::Range<u32> {
        0..self.destinations.len() as u32
    }

    fn counters(&self) -> Counters {
        let destinations = self.destinations().map(|id| {
            let mut all = [0; STATISTICS_WORDS + 3];
            let totals = self.tables.statistics.entry(id, STATISTICS_WORDS).unwrap();
            for (word, total) in all.iter_mut().take(STATISTICS_WORDS).enumerate() {
                *total = totals.load(word) as i64;
            }
            let (active, inactive) = self.destination(id).connections();
            all[STATISTICS_WORDS] = active.into();
            all[STATISTICS_WORDS + 1] = inactive.into();
            all[STATISTICS_WORDS + 2] = self.destination(id).templates().into();
            all
        });
        Counters {
            reasons: Reason::ALL
                .iter()
                .map(|reason| self.tables.reason(*reason))
                .collect(),
            destinations: destinations.collect(),
        }
    }

    /// Hands a frame to the packet function.
    pub fn process(&mut self, octets: Vec<u8>) -> Outcome {
        self.process_frame(HostFrame::new(octets, routes))
    }

    /// Hands a frame of any kind to the packet function.
    pub fn process_frame(&mut self, mut frame: HostFrame<fn(&Journey) -> Route>) -> Outcome {
        let before = self.counters();
        let verdict = process(&mut frame, &&self.tables, self.now);
        let counted = moved(&before, &self.counters());
        Outcome {
            verdict,
            departure: frame.departure,
            octets: frame.octets,
            counted,
        }
    }

    /// Hands a frame to the packet function and writes down what became of it.
    pub fn send(&mut self, who: &str, octets: Vec<u8>) -> Outcome {
        self.send_frame(who, HostFrame::new(octets, routes))
    }

    /// The same for a frame of any kind.
    pub fn send_frame(&mut self, who: &str, frame: HostFrame<fn(&Journey) -> Route>) -> Outcome {
        let before = frame.octets.clone();
        let outcome = self.process_frame(frame);
        let text = &mut self.transcript;
        writeln!(text, "{who}: {}", packet::describe(&before)).unwrap();
        let forwarded = |device: u32, how: &str| {
            // The kernel has yet to write the Ethernet header for a neighbour that it resolves.
            let left = packet::describe(&packet::inner(&outcome.octets[14..]));
            let mut lines = format!("  {how} {device}: {left}\n");
            for line in outcome.octets.chunks(32) {
                let hex: String = line.iter().map(|octet| format!("{octet:02x}")).collect();
                lines += &format!("    {hex}\n");
            }
            lines
        };
        match (outcome.verdict, outcome.departure) {
            (Verdict::Leave, Some(Departure::Transmit { device })) => {
                text.push_str(&forwarded(device, "transmit on"));
            }
            (Verdict::Leave, Some(Departure::Resolve(way))) => {
                text.push_str(&forwarded(way.device, "resolve on"));
            }
            (Verdict::Pass, None) => text.push_str("  pass\n"),
            (Verdict::Drop, None) => text.push_str("  drop\n"),
            (verdict, departure) => panic!("{verdict:?} with {departure:?}"),
        }
        if outcome.verdict != Verdict::Leave {
            assert_eq!(
                outcome.octets, before,
                "a frame that is not forwarded was rewritten"
            );
        }
        writeln!(text, "  counted: {}", outcome.counted).unwrap();
        outcome
    }

    /// Writes a heading into the transcript.
    pub fn heading(&mut self, text: &str) {
        writeln!(self.transcript, "\n== {text}").unwrap();
    }

    /// Lets time pass.
    pub fn wait(&mut self, ticks: Ticks) {
        self.now = self.now.wrapping_add(ticks);
        writeln!(self.transcript, "{} ticks later", ticks).unwrap();
    }

    /// Every live entry: its index and what it is.
    pub fn entries(&self) -> Vec<(u32, Direction, Life)> {
        let lines = self.tables.connections.len() as u32 / connection::WORDS as u32;
        let live = |index: &u32| {
            !index.is_multiple_of(STRIDE) && control(&&self.tables, *index).unwrap().is_live()
        };
        let read = |index: u32| {
            let entry = Entry((&self.tables).connection(index).unwrap());
            (index, entry.direction(), entry.life())
        };
        (0..lines).filter(live).map(read).collect()
    }

    /// What a controller does once a second: takes out what has expired.
    pub fn sweep(&mut self) {
        for (index, direction, life) in self.entries() {
            let entry = Entry((&self.tables).connection(index).unwrap());
            // The entry may have gone with its peer.
            let live = control(&&self.tables, index).unwrap().is_live();
            if live && direction == Direction::Forward && connection::has_expired(life, self.now) {
                if entry.is_template() && entry.held_connections() != 0 {
                    let expires = self.now.wrapping_add(60 * SECOND);
                    entry.renew(life, Life { expires, ..life });
                } else {
                    connection::reclaim(&&self.tables, index);
                }
            }
        }
    }
}

/// Every counter that differs, by how much.
fn moved(before: &Counters, after: &Counters) -> String {
    let mut parts = Vec::new();
    for (reason, (before, after)) in Reason::ALL
        .iter()
        .zip(before.reasons.iter().zip(&after.reasons))
    {
        if before != after {
            parts.push(format!("{} {}", reason.name(), after - before));
        }
    }
    const NAMES: [&str; STATISTICS_WORDS + 3] = [
        "connections",
        "packets in",
        "packets out",
        "octets in",
        "octets out",
        "active",
        "inactive",
        "templates",
    ];
    for (id, (before, after)) in before
        .destinations
        .iter()
        .zip(&after.destinations)
        .enumerate()
    {
        let changes: Vec<String> = (NAMES.iter().zip(before.iter().zip(after)))
            .filter(|(_, (before, after))| before != after)
            .map(|(name, (before, after))| format!("{name} {:+}", after - before))
            .collect();
        if !changes.is_empty() {
            parts.push(format!("real server {id}: {}", changes.join(", ")));
        }
    }
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join("; ")
    }
}
