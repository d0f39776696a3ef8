//! The programs at XDP do what the packet function does on the fast path of the host: the same
//! frames and tables in, the same frames, verdicts, connections and counters out. Needs root.
//!
//! The histories are random but for their seeds, which a failure names. Packets leave, by all
//! methods, or are punted.

use std::net::IpAddr;
use std::process::Command;

use elver_packet::frame::{NextHop, Route, Verdict, Way};
use elver_packet::host::{
    Ground, HostFrame, HostTables, Journey, Method, Persistence, RealServer, SharedWords,
    VirtualService,
};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::schedule::list::{Candidate, member_list};
use elver_packet::table::connection::{self, Entry, Life, STRIDE, control, reclaim};
use elver_packet::table::destination::tunnel;
use elver_packet::table::service::{Service, flags, scheduler};
use elver_packet::table::settings::{CLOCK_WORD, JIFFIES_WORD, SIZE_AND_EPOCH_WORD, Ticks};
use elver_packet::table::{Tables, Words, destination, service, settings};
use elver_sys::bpf::{Attachments, Maps, Sizes, load, unload};
use elver_sys::namespace::NetworkNamespace;

const SERVICES: u32 = 16;
const DESTINATIONS: u32 = 32;
const SETS: u32 = 16;
/// Places of a list by a hash, but for the longest.
const SHORT: u32 = 256;
const SECOND: Ticks = 8;
/// So far are jiffies shifted that the clock stands still while a history runs.
const SHIFT: u32 = 40;
/// The largest packet on the link to the real servers.
const MTU: u16 = 1400;

const SCHEDULERS: [u8; 13] = [
    scheduler::ROUND_ROBIN,
    scheduler::WEIGHTED_ROUND_ROBIN,
    scheduler::LEAST_CONNECTION,
    scheduler::WEIGHTED_LEAST_CONNECTION,
    scheduler::LOCALITY_BASED,
    scheduler::DESTINATION_HASHING,
    scheduler::SOURCE_HASHING,
    scheduler::SHORTEST_EXPECTED_DELAY,
    scheduler::NEVER_QUEUE,
    scheduler::FAILOVER,
    scheduler::OVERFLOW,
    scheduler::MAGLEV_HASHING,
    scheduler::POWER_OF_TWO_CHOICES,
];

/// `XDP_DROP`, `XDP_PASS` and `XDP_REDIRECT` of `linux/bpf.h`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// Random numbers that a seed repeats (S. Vigna's splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A director's namespace: device 1 towards the clients, device 2 towards the real servers.
struct Namespace {
    name: String,
    devices: [u32; 2],
}

impl Namespace {
    fn new() -> Namespace {
        let name = format!("elver-differential-xdp-{}", std::process::id());
        ip(&format!("netns add {name}"));
        let mut namespace = Namespace {
            name,
            devices: [0; 2],
        };
        for side in [1, 2] {
            let device = format!("side{side}");
            namespace.ip(&format!(
                "link add {device} address 02:00:00:00:0{side}:01 type veth peer name peer{side}"
            ));
            // The peers say nothing of their own accord: XDP would count it.
            namespace.enter(|| {
                let path = format!("/proc/sys/net/ipv6/conf/peer{side}/disable_ipv6");
                std::fs::write(path, "1").unwrap();
            });
            namespace.ip(&format!("link set peer{side} up"));
            namespace.ip(&format!("link set {device} up"));
            namespace.ip(&format!("addr add 10.{side}.0.1/16 dev {device}"));
            namespace.ip(&format!("addr add fd00:{side}::1/32 dev {device} nodad"));
            for host in (2..8).chain(11..15) {
                let neighbour =
                    format!("lladdr 02:00:00:00:0{side}:{host:02} dev {device} nud permanent");
                namespace.ip(&format!("neigh replace 10.{side}.0.{host} {neighbour}"));
                namespace.ip(&format!("neigh replace fd00:{side}::{host} {neighbour}"));
            }
            let shown = namespace.ip(&format!("-o link show {device}"));
            let index = shown
                .split(':')
                .next()
                .and_then(|index| index.trim().parse().ok());
            namespace.devices[side - 1] = index.expect("the device has an index");
        }
        namespace.ip(&format!("link set side2 mtu {MTU}"));
        namespace.ip(&format!("link set peer2 mtu {MTU}"));
        namespace.enter(|| {
            for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{forwarding}"), "1").unwrap();
            }
        });
        namespace
    }

    fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = std::path::PathBuf::from(format!("/run/netns/{}", self.name));
        NetworkNamespace::open(&path).unwrap().run(work).unwrap()
    }

    /// What the namespace's routes and neighbours say.
    fn routes(&self) -> impl Fn(&Journey) -> Route + Clone + 'static {
        let devices = self.devices;
        move |journey: &Journey| {
            let (side, host) = match journey.destination {
                IpAddr::V4(address) => match address.octets() {
                    [10, side @ (1 | 2), 0, host] => (side, host),
                    [10, side @ (1 | 2), ..] => (side, 0),
                    // For bpf_fib_lookup no route and a local one are the same.
                    _ => return Route::LocalOrNone,
                },
                IpAddr::V6(address) => match address.segments() {
                    [0xfd00, side @ (1 | 2), 0, 0, 0, 0, 0, host] if host < 0x100 => {
                        // Hosts are written in decimal digits, and so read.
                        (side as u8, (host / 16 * 10 + host % 16) as u8)
                    }
                    [0xfd00, side @ (1 | 2), ..] => (side as u8, 0),
                    _ => return Route::LocalOrNone,
                },
            };
            if host == 1 {
                return Route::LocalOrNone;
            }
            let mtu = if side == 1 { 1500 } else { MTU };
            let device = devices[usize::from(side) - 1];
            let way = way(device, journey.destination);
            if journey.length > u32::from(mtu) {
                return Route::TooBig(mtu);
            }
            if !matches!(host, 2..8 | 11..15) {
                return Route::Unresolved(way);
            }
            let in_decimal_digits = host / 10 * 16 + host % 10;
            let next_hop = NextHop {
                device,
                destination: [2, 0, 0, 0, side, in_decimal_digits],
                source: [2, 0, 0, 0, side, 1],
            };
            Route::Neighbour {
                next_hop,
                way,
                largest: mtu,
            }
        }
    }
}

/// The way to a neighbour on a device.
fn way(device: u32, neighbour: IpAddr) -> Way {
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

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Takes the pins away, whatever happens.
struct Instance(String);

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = unload(&self.0) {
            eprintln!("{error}");
        }
    }
}

fn tunnelled(kind: u8, source: &str) -> Method {
    Method::Tunnel {
        kind,
        port: 5555,
        source: source.parse().unwrap(),
    }
}

/// Both data planes.
struct Pair {
    /// The only device that XDP does not send to.
    closed_device: Option<u32>,
    maps: Maps,
    programs: Attachments,
    host: HostTables,
    now: Ticks,
    devices: [u32; 2],
    destinations: Vec<RealServer>,
    /// With the ids of their destinations, newest first.
    services: Vec<(VirtualService, Vec<u32>)>,
}

impl Pair {
    fn new(instance: &str, devices: [u32; 2], seeds: u64) -> Pair {
        let sizes = Sizes {
            services: SERVICES,
            destinations: DESTINATIONS,
            connections: SETS * connection::WAYS,
            ..Sizes::default()
        };
        let (maps, programs) = load(instance, sizes).unwrap();
        assert_eq!(maps.connection_lines(), SETS * STRIDE);
        let mut host = HostTables::new(SERVICES as usize, DESTINATIONS as usize, SETS as usize);
        host.members = SharedWords::new(maps.member_places() as usize);
        let ground = Ground {
            seeds,
            sets: SETS,
            ticks_per_second: SECOND,
        };
        let settings = maps.settings().unwrap();
        ground.write(settings);
        ground.write((&host).settings().unwrap());
        settings.store(CLOCK_WORD, u64::from(SHIFT));
        let now = (settings.load(JIFFIES_WORD) >> SHIFT) as Ticks;
        let mut pair = Pair {
            closed_device: None,
            maps,
            programs,
            host,
            now,
            devices,
            destinations: Vec::new(),
            services: Vec::new(),
        };
        pair.enter_services();
        // The kernel runs XDP on a frame only for a device that is set up for it.
        for (device, name) in devices.iter().zip(["side1", "side2"]) {
            pair.programs.attach_xdp(*device, name).unwrap();
        }
        let stations = (1..).zip(devices);
        let stations = stations.map(|(side, device)| (device, [2, 0, 0, 0, side, 1]));
        pair.programs.set_stations(&stations.collect()).unwrap();
        pair.close_device(None);
        pair
    }

    /// Lets XDP send to all devices but this one.
    fn close_device(&mut self, closed: Option<u32>) {
        let open = self
            .devices
            .into_iter()
            .filter(|device| Some(*device) != closed);
        self.programs.set_redirects(&open.collect()).unwrap();
        self.closed_device = closed;
    }

    fn enter_services(&mut self) {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let persistence = |prefix| {
            Some(Persistence {
                ticks: 50 * SECOND,
                prefix,
            })
        };
        for (vip, port, persistence, servers) in [
            (
                "10.1.0.100",
                80,
                None,
                &["10.2.0.11", "10.2.0.12", "10.2.0.13"][..],
            ),
            ("10.1.0.100", 0, None, &["10.2.0.14"][..]),
            (
                "10.1.0.101",
                80,
                persistence(31),
                &["10.2.0.11", "10.2.0.12", "10.2.0.99"][..],
            ),
            ("10.1.0.102", 80, None, &[][..]),
            (
                "10.1.0.103",
                80,
                None,
                &["10.2.0.1", "10.9.0.1", "10.2.0.11"][..],
            ),
            (
                "fd00:1::100",
                80,
                None,
                &["fd00:2::11", "fd00:2::12", "fd00:2::99"][..],
            ),
            (
                "fd00:1::101",
                80,
                persistence(127),
                &["fd00:2::11", "fd00:2::13", "fd00:2::1"][..],
            ),
        ] {
            let service = VirtualService {
                persistence,
                ..VirtualService::new(address(vip), port)
            };
            let id = self.services.len() as u32;
            let first = self.destinations.len() as u32;
            for server in servers {
                // Some keep the port of the packet.
                let port = if server.ends_with('2') { 0 } else { 8080 };
                self.destinations.push(RealServer {
                    service: id,
                    address: address(server),
                    port,
                    method: Method::Nat,
                    generation: 3,
                    available: true,
                    held: true,
                    local: false,
                    weight: 1,
                    thresholds: [0; 2],
                });
                self.change_destination(self.destinations.len() - 1, |_| {});
            }
            let members: Vec<u32> = (first..self.destinations.len() as u32).rev().collect();
            self.host.enter_service(id, &service, 0, &[]);
            service.write(self.maps.service(id).unwrap());
            self.maps.index_service(&service.key(), id).unwrap();
            self.services.push((service, members));
            self.publish(id);
        }
    }

    /// Writes the member list of a service. Those with the longest lists share a place, so
    /// that one may find the members of another.
    fn publish(&self, id: u32) {
        let (service, members) = &self.services[id as usize];
        let candidates: Vec<Candidate> = (members.iter())
            .map(|id| self.destinations[*id as usize].candidate(*id))
            .collect();
        let list = member_list(service.scheduler, &candidates).members;
        let first = if list.len() > SHORT as usize {
            SERVICES * SHORT
        } else {
            id * SHORT
        };
        for (place, member) in (first..).zip(&list) {
            self.maps.set_member(place, *member);
            let word = self.host.members.entry(place, 1).unwrap();
            word.store(0, u64::from(*member));
        }
        for words in [
            self.maps.service(id).unwrap(),
            (&self.host).service(id).unwrap(),
        ] {
            VirtualService::set_members(words, first, list.len() as u32);
        }
    }

    fn change_destination(&mut self, id: usize, change: impl FnOnce(&mut RealServer)) {
        change(&mut self.destinations[id]);
        self.destinations[id].write(self.maps.destination(id as u32).unwrap());
        self.host
            .enter_destination(id as u32, &self.destinations[id]);
    }

    /// Lets every entry grow older.
    fn age(&self, ticks: Ticks) {
        for index in (0..SETS * STRIDE).filter(|index| index % STRIDE != 0) {
            for line in [self.maps.connection(index), (&self.host).connection(index)] {
                let entry = Entry(line.unwrap());
                let life = entry.life();
                entry.set_life(Life {
                    expires: life.expires.wrapping_sub(ticks),
                    ..life
                });
            }
        }
    }

    /// Something that a controller does.
    fn edit(&mut self, random: &mut Random) {
        match random.below(9) {
            0 => self.age(random.one_of(&[1, 8, 400, 1000])),
            1 => {
                let id = random.below(self.destinations.len() as u64) as usize;
                self.change_destination(id, |server| server.available = !server.available);
            }
            2 => {
                let id = random.below(self.destinations.len() as u64) as usize;
                self.change_destination(id, |server| server.held = !server.held);
            }
            3 => {
                let id = random.below(7) as u32;
                for words in [
                    self.maps.service(id).unwrap(),
                    (&self.host).service(id).unwrap(),
                ] {
                    let flags = words.load(service::FLAGS_WORD);
                    words.store(service::FLAGS_WORD, flags ^ u64::from(service::flags::HELD));
                }
            }
            4 => {
                let index = random.below(u64::from(SETS * STRIDE)) as u32;
                if !index.is_multiple_of(STRIDE) {
                    assert_eq!(reclaim(&&self.maps, index), reclaim(&&self.host, index));
                }
            }
            5 => {
                let id = random.below(self.destinations.len() as u64) as usize;
                let weight = random.one_of(&[0, 1, 1, 2, 5, 300]);
                let thresholds = random.one_of(&[[0, 0], [0, 0], [1, 0], [3, 2], [8, 1]]);
                self.change_destination(id, |server| {
                    server.weight = weight;
                    server.thresholds = thresholds;
                });
                self.publish(self.destinations[id].service);
            }
            6 | 7 => {
                let id = random.below(self.services.len() as u64) as u32;
                let (service, _) = &mut self.services[id as usize];
                service.scheduler = random.one_of(&SCHEDULERS);
                let any = random.next() as u32;
                service.scheduler_flags = any & (flags::SCHEDULER_1 | flags::SCHEDULER_2);
                for words in [
                    self.maps.service(id).unwrap(),
                    (&self.host).service(id).unwrap(),
                ] {
                    service.write(words);
                    Service(words).set_cursor(0);
                }
                self.publish(id);
            }
            _ => {
                for words in [
                    self.maps.settings().unwrap(),
                    (&self.host).settings().unwrap(),
                ] {
                    let word = words.load(SIZE_AND_EPOCH_WORD);
                    words.store(SIZE_AND_EPOCH_WORD, word.wrapping_add(1 << 32));
                }
            }
        }
    }

    /// Something that a controller does, and that matters to XDP.
    fn edit_fast_path(&mut self, random: &mut Random) {
        match random.below(4) {
            0 => {
                let id = random.below(self.destinations.len() as u64) as usize;
                let source = match self.destinations[id].address {
                    IpAddr::V4(_) => "10.2.0.1",
                    IpAddr::V6(_) => "fd00:2::1",
                };
                let method = random.one_of(&[
                    Method::Nat,
                    Method::Direct,
                    tunnelled(tunnel::IPIP, source),
                    tunnelled(tunnel::GUE, source),
                    tunnelled(tunnel::GRE, source),
                ]);
                self.change_destination(id, |server| server.method = method);
            }
            1 => {
                let [first, second] = self.devices;
                self.close_device(random.one_of(&[
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    Some(first),
                    Some(second),
                ]));
            }
            2 => {
                for id in 0..self.destinations.len() {
                    self.change_destination(id, |server| {
                        (server.held, server.available) = (true, true);
                    });
                }
                for id in 0..SERVICES {
                    for words in [self.maps.service(id), (&self.host).service(id)] {
                        let words = words.unwrap();
                        let flags = words.load(service::FLAGS_WORD);
                        words.store(service::FLAGS_WORD, flags | u64::from(service::flags::HELD));
                    }
                }
            }
            _ => {
                let word = random.one_of(&[0, 0, 0, 0, 0, 0, 0, settings::flags::MARKS]);
                for words in [self.maps.settings(), (&self.host).settings()] {
                    words.unwrap().store(settings::FLAGS_WORD, word);
                }
            }
        }
    }

    /// Hands a frame to both, and compares what they make of it.
    fn arrive(
        &mut self,
        side: u8,
        octets: &[u8],
        routes: &(impl Fn(&Journey) -> Route + Clone),
    ) -> Verdict {
        let is_ours = octets[..6] == [2, 0, 0, 0, side, 1];
        let device = self.devices[usize::from(side) - 1];
        let mut frame = HostFrame::on_fast_path(octets.to_vec(), routes.clone());
        frame.addressed_to_us = is_ours;
        frame.is_tagged = matches!(octets[12..14], [0x81, 0x00] | [0x88, 0xa8]);
        frame.closed_device = self.closed_device;
        let verdict = process(&mut frame, &&self.host, self.now);
        let (action, mut left) = self.programs.test_run_xdp(device, octets).unwrap();
        let expected = match verdict {
            Verdict::Pass | Verdict::Punt => XDP_PASS,
            Verdict::Drop => XDP_DROP,
            Verdict::Leave => XDP_REDIRECT,
        };
        assert_eq!(action, expected, "the host says {verdict:?}");
        if left.len() > octets.len() && left[12..14] == [0x08, 0x00] {
            // The outer header's identification is random, and its checksum with it.
            for at in [18, 19, 24, 25] {
                (left[at], frame.octets[at]) = (0, 0);
            }
        }
        assert_eq!(left, frame.octets, "the host says {verdict:?}");
        verdict
    }

    /// Compares everything in memory.
    fn compare_tables(&self) {
        for index in 0..SETS * STRIDE {
            let [kernel, host] = [
                self.maps.connection(index).unwrap(),
                (&self.host).connection(index).unwrap(),
            ]
            .map(|line| {
                (0..connection::WORDS)
                    .map(|word| line.load(word))
                    .collect::<Vec<_>>()
            });
            assert_eq!(kernel, host, "line {index} of the connection table");
        }
        for id in 0..DESTINATIONS {
            let [kernel, host] = [
                self.maps.destination(id).unwrap(),
                (&self.host).destination(id).unwrap(),
            ]
            .map(|line| {
                (0..destination::WORDS)
                    .map(|word| line.load(word))
                    .collect::<Vec<_>>()
            });
            assert_eq!(kernel, host, "destination {id}");
        }
        for id in 0..SERVICES {
            let [kernel, host] = [
                self.maps.service(id).unwrap(),
                (&self.host).service(id).unwrap(),
            ]
            .map(|line| {
                [service::CURSOR_WORD, service::SCHEDULER_WORD].map(|word| line.load(word))
            });
            assert_eq!(kernel, host, "what the scheduler of service {id} remembers");
        }
    }

    /// Compares all counters.
    fn compare_counters(&self) {
        for reason in Reason::ALL {
            assert_eq!(
                self.maps.reason(*reason),
                self.host.reason(*reason),
                "{}",
                reason.name()
            );
        }
        for id in 0..DESTINATIONS {
            let totals = self
                .host
                .statistics
                .entry(id, destination::STATISTICS_WORDS)
                .unwrap();
            let host: Vec<u64> = (0..destination::STATISTICS_WORDS)
                .map(|word| totals.load(word))
                .collect();
            assert_eq!(
                self.maps.totals(id).as_slice(),
                host,
                "statistics of destination {id}"
            );
        }
    }
}

/// A frame as it may come from one side, or something worse.
fn frame(random: &mut Random, side: u8) -> Vec<u8> {
    if random.once_in(50) {
        return (0..15 + random.below(120))
            .map(|_| random.next() as u8)
            .collect();
    }
    let v6 = random.once_in(3);
    let client_port = 1000 + random.below(24) as u16;
    let (sender, receiver, ports) = if side == 1 {
        let sender = (1, random.one_of(&[2, 3, 4, 5]));
        let receiver = (
            1,
            random.one_of(&[0x64, 0x64, 0x65, 0x65, 0x66, 0x67, 0x68]),
        );
        (
            sender,
            receiver,
            [client_port, random.one_of(&[80, 80, 80, 443])],
        )
    } else {
        let sender = (2, random.one_of(&[11, 12, 13, 14]));
        (
            sender,
            (1, random.one_of(&[2, 3, 4, 5])),
            [random.one_of(&[80, 8080, 443]), client_port],
        )
    };
    // IPv6 hosts have their numbers in decimal digits.
    let digits = |host: u8| match host {
        0x64.. => u16::from_be_bytes([1, host - 0x64]),
        _ => u16::from(host / 10 * 16 + host % 10),
    };
    let flags = random.one_of(&[
        0x02, 0x02, 0x02, 0x10, 0x10, 0x18, 0x11, 0x12, 0x04, 0x14, 0x06, 0x00,
    ]);
    // What opens no connection is all the same to XDP.
    let flags = if random.once_in(2) {
        if side == 1 { 0x02 } else { 0x12 }
    } else {
        flags
    };
    let payload = match random.below(12) {
        0 => 1360 + random.below(100) as usize,
        1 => random.below(64) as usize,
        _ => 0,
    };
    let options = if random.once_in(12) {
        4 * (1 + random.below(10)) as usize
    } else {
        0
    };
    let mut frame = vec![2, 0, 0, 0, side, 1, 2, 0, 0, 0, side, 9];
    let time_to_live = random.one_of(&[64, 64, 64, 64, 64, 255, 2, 1, 0]);
    let any = random.next() as u16;
    let sum = random.one_of(&[0, 0xffff, 0xfffe, 1, any, any]);
    if v6 {
        frame.extend([
            0x86,
            0xdd,
            0x60 | random.below(16) as u8,
            random.next() as u8,
            0,
            0,
        ]);
        frame.extend((20 + payload as u16).to_be_bytes());
        frame.extend([6, time_to_live]);
        for (network, host) in [sender, receiver] {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[0xfd, 0, 0, network]);
            address[14..].copy_from_slice(&digits(host).to_be_bytes());
            frame.extend(address);
        }
    } else {
        let fragment = if random.once_in(25) {
            random.next() as u16
        } else {
            random.one_of(&[0, 0x4000])
        };
        frame.extend([0x08, 0x00, 0x45 + (options / 4) as u8, random.next() as u8]);
        frame.extend((40 + options as u16 + payload as u16).to_be_bytes());
        frame.extend((random.next() as u16).to_be_bytes());
        frame.extend(fragment.to_be_bytes());
        frame.extend([time_to_live, 6]);
        let any = random.next() as u16;
        frame.extend(random.one_of(&[0, 0xffff, 0xfeff, any]).to_be_bytes());
        for (network, host) in [sender, receiver] {
            frame.extend([10, network, 0, host]);
        }
        frame.extend(vec![1; options]);
    }
    for port in ports {
        frame.extend(port.to_be_bytes());
    }
    frame.extend(random.next().to_be_bytes());
    frame.extend([0x50, flags, 0x20, 0]);
    frame.extend(sum.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend((0..payload).map(|_| random.next() as u8));
    match random.below(40) {
        // The kernel takes no test frame that ends within its network header.
        0 => {
            let least = if v6 { 54 } else { 34 };
            frame.truncate(least + random.below((frame.len() - least) as u64) as usize);
        }
        1 => {
            let at = random.below(frame.len().min(80) as u64) as usize;
            frame[at] = random.next() as u8;
        }
        2 => frame.extend([0xee; 6]),
        _ => {}
    }
    frame
}

/// What became of the packets of some histories.
struct Seen {
    pass: u64,
    drop: u64,
    leave: u64,
    punt: u64,
    /// How often each reason was counted.
    reasons: Vec<u64>,
}

fn run_histories() -> Seen {
    const PACKETS: u64 = 9000;
    let namespace = Namespace::new();
    let routes = namespace.routes();
    let mut seen = Seen {
        pass: 0,
        drop: 0,
        leave: 0,
        punt: 0,
        reasons: vec![0; Reason::COUNT],
    };
    for seed in 1..=3u64 {
        let instance = format!("test-differential-xdp-{}-{seed}", std::process::id());
        let instance = Instance(instance);
        namespace.enter(|| {
            let mut random = Random(seed);
            let mut pair = Pair::new(&instance.0, namespace.devices, random.next());
            for number in 0..PACKETS {
                let side = if random.once_in(3) { 2 } else { 1 };
                let octets = frame(&mut random, side);
                let told = Told(seed, number, &octets);
                match pair.arrive(side, &octets, &routes) {
                    Verdict::Pass => seen.pass += 1,
                    Verdict::Drop => seen.drop += 1,
                    Verdict::Leave => seen.leave += 1,
                    Verdict::Punt => seen.punt += 1,
                }
                pair.compare_tables();
                if number % 16 == 0 {
                    pair.compare_counters();
                }
                drop(told);
                if random.once_in(20) {
                    pair.edit(&mut random);
                }
                if random.once_in(40) {
                    pair.edit_fast_path(&mut random);
                }
            }
            pair.compare_counters();
            let live =
                (0..SETS * STRIDE).filter(|index| control(&&pair.host, *index).unwrap().is_live());
            assert!(live.count() > 20, "hardly a connection is left");
            for (sum, reason) in seen.reasons.iter_mut().zip(Reason::ALL) {
                *sum += pair.host.reason(*reason);
            }
        });
    }
    seen
}

#[test]
fn kernel_and_host_do_the_same() {
    let seen = run_histories();
    assert_eq!(seen.pass, 0);
    assert!(
        seen.leave > 1000 && seen.punt > 1000,
        "forward, punt: {}, {}",
        seen.leave,
        seen.punt
    );
    // What a test frame cannot be, or these histories do not reach.
    let unreached = [Reason::PuntNotReady, Reason::PuntTagged, Reason::PuntLocal];
    let punts = Reason::ALL.iter().zip(seen.reasons);
    for (reason, times) in punts.filter(|(reason, _)| reason.is_punt()) {
        assert!(
            times != 0 || unreached.contains(reason),
            "{} never came",
            reason.name()
        );
    }
}

/// Names the packet that a failure is about.
struct Told<'a>(u64, u64, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.2.iter().map(|octet| format!("{octet:02x}")).collect();
            eprintln!("seed {}, packet {}: {hex}", self.0, self.1);
        }
    }
}
