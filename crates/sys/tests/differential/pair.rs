//! The data plane in the kernel and the one on the host, with the same services.

use std::net::IpAddr;

use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{
    Ground, HostFrame, HostTables, Journey, Method, RealServer, SharedWords, VirtualService,
};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::schedule::list::{Candidate, member_list};
use elver_packet::table::access::{Access, AccessKey, EVERY_SERVICE};
use elver_packet::table::connection::{self, Entry, Life, STRIDE, handshake, reclaim};
use elver_packet::table::destination::Destination;
use elver_packet::table::fragment::Endpoint;
use elver_packet::table::service::{Service, ServiceKey, flags, scheduler};
use elver_packet::table::settings::{
    BEHAVIOUR_WORD, CLOCK_WORD, DROP_RATE_WORD, HAS_ACCESS_LISTS, HAS_MARK_SERVICES, JIFFIES_WORD,
    SIZE_AND_EPOCH_WORD, Ticks, behaviour,
};
use elver_packet::table::{Tables, Words, destination, service};
use elver_sys::bpf::{Attachments, Maps, Sizes, load};

use crate::frames::{Arriving, Random};
use crate::services::{self, Offer};

const SERVICES: u32 = 32;
const DESTINATIONS: u32 = 160;
/// Places of a list by a hash, but for the longest.
const SHORT: u32 = 256;
pub(crate) const SECOND: Ticks = 8;
/// So far are jiffies shifted that the clock stands still while a history runs.
const SHIFT: u32 = 40;

const SCHEDULERS: [u8; 14] = [
    scheduler::ROUND_ROBIN,
    scheduler::WEIGHTED_ROUND_ROBIN,
    scheduler::LEAST_CONNECTION,
    scheduler::WEIGHTED_LEAST_CONNECTION,
    scheduler::LOCALITY_BASED,
    scheduler::LOCALITY_BASED_WITH_REPLICATION,
    scheduler::DESTINATION_HASHING,
    scheduler::SOURCE_HASHING,
    scheduler::SHORTEST_EXPECTED_DELAY,
    scheduler::NEVER_QUEUE,
    scheduler::FAILOVER,
    scheduler::OVERFLOW,
    scheduler::MAGLEV_HASHING,
    scheduler::POWER_OF_TWO_CHOICES,
];

/// `TC_ACT_UNSPEC`, `TC_ACT_SHOT` and `TC_ACT_REDIRECT` of `linux/pkt_cls.h`.
const PASS: i32 = -1;
const DROP: i32 = 2;
const REDIRECT: i32 = 7;

/// `XDP_DROP`, `XDP_PASS` and `XDP_REDIRECT` of `linux/bpf.h`.
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
const XDP_REDIRECT: i32 = 4;

/// Where packets are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Tc,
    Xdp,
}

/// Both data planes.
pub(crate) struct Pair {
    hook: Hook,
    /// The only device that XDP does not send to.
    closed_device: Option<u32>,
    pub(crate) maps: Maps,
    programs: Attachments,
    pub(crate) host: HostTables,
    now: Ticks,
    devices: [u32; 2],
    /// Sets of the connection table.
    sets: u32,
    /// With the ids of their destinations, newest first.
    services: Vec<(VirtualService, Vec<u32>)>,
    destinations: Vec<RealServer>,
    /// Whether a list keeps some clients out.
    denies: bool,
}

impl Pair {
    pub(crate) fn new(
        hook: Hook,
        instance: &str,
        devices: [u32; 2],
        sets: u32,
        seeds: u64,
    ) -> Pair {
        let sizes = Sizes {
            services: SERVICES,
            // Room for member lists comes with destinations.
            destinations: 1024,
            connections: sets * connection::WAYS,
            ..Sizes::default()
        };
        let (maps, programs) = load(instance, sizes).unwrap();
        // The loader makes no table that small; the rest of it stays empty.
        let most = maps.connection_lines() / STRIDE;
        assert!(most >= sets);
        let mut host = HostTables::new(SERVICES as usize, DESTINATIONS as usize, most as usize);
        host.members = SharedWords::new(maps.member_places() as usize);
        let ground = Ground {
            seeds,
            sets,
            ticks_per_second: SECOND,
        };
        let settings = maps.settings().unwrap();
        ground.write(settings);
        ground.write((&host).settings().unwrap());
        settings.store(CLOCK_WORD, u64::from(SHIFT));
        let now = (settings.load(JIFFIES_WORD) >> SHIFT) as Ticks;
        let mut pair = Pair {
            hook,
            closed_device: None,
            maps,
            programs,
            host,
            now,
            devices,
            sets,
            services: Vec::new(),
            destinations: Vec::new(),
            denies: false,
        };
        pair.enter_services();
        if hook == Hook::Xdp {
            pair.set_up_xdp();
        }
        pair
    }

    fn set_up_xdp(&mut self) {
        // The kernel runs XDP on a frame only for a device that is set up for it.
        for (device, name) in self.devices.iter().zip(["side1", "side2"]) {
            self.programs.attach_xdp(*device, name).unwrap();
        }
        let stations = (1..).zip(self.devices);
        let stations = stations.map(|(side, device)| (device, [2, 0, 0, 0, side, 1]));
        self.programs.set_stations(&stations.collect()).unwrap();
        self.close_device(None);
    }

    /// Lets XDP send to all devices but this one.
    fn close_device(&mut self, closed: Option<u32>) {
        let open = self.devices.into_iter();
        let open = open.filter(|device| Some(*device) != closed);
        self.programs.set_redirects(&open.collect()).unwrap();
        self.closed_device = closed;
    }

    fn enter_services(&mut self) {
        for Offer {
            mark,
            service,
            servers,
        } in services::all()
        {
            let id = self.services.len() as u32;
            let first = self.destinations.len() as u32;
            for server in servers {
                self.destinations.push(RealServer {
                    service: id,
                    ..server
                });
                self.change_destination(self.destinations.len() - 1, |_| {});
                if server.method == Method::Nat {
                    let protocol = if mark == 0 { service.protocol } else { 0 };
                    self.tell_of(&server, protocol);
                }
            }
            let members: Vec<u32> = (first..self.destinations.len() as u32).rev().collect();
            self.host.enter_service(id, &service, 0, &[]);
            service.write(self.maps.service(id).unwrap());
            let key = match mark {
                0 => service.key(),
                _ => ServiceKey::of_mark(mark, service.key().family),
            };
            let mut index = self.host.index.lock().unwrap();
            index.retain(|_, entered| *entered != id);
            index.insert(key, id);
            drop(index);
            self.maps.index_service(&key, id).unwrap();
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

    /// Keeps some clients out, or lets them in again.
    fn toggle_access(&mut self) {
        self.denies = !self.denies;
        let address = [u32::from_ne_bytes([10, 1, 0, 4]).into(), 0];
        let key = AccessKey {
            service: EVERY_SERVICE,
            family: 4,
            address,
        };
        let mut networks = self.host.access.lock().unwrap();
        networks.clear();
        if self.denies {
            networks.push((key, 31, Access::Denied));
            self.maps.set_access(&(key, 31), Access::Denied).unwrap();
        } else {
            self.maps.clear_access(&(key, 31)).unwrap();
        }
        self.set_behaviour(HAS_ACCESS_LISTS, self.denies);
    }

    /// Switches what IPVS does only where a setting says so.
    fn change_settings(&self, random: &mut Random) {
        let flag = random.one_of(&[
            behaviour::EXPIRE_NODEST_CONN,
            behaviour::SLOPPY_TCP,
            behaviour::SECURE_TCP,
            behaviour::NAT_ICMP_SEND,
            behaviour::SCHEDULE_ICMP,
        ]);
        self.set_behaviour(flag.into(), random.once_in(2));
        let rate = random.one_of(&[0, 0, 3, 10]);
        for words in [
            self.maps.settings().unwrap(),
            (&self.host).settings().unwrap(),
        ] {
            words.store(DROP_RATE_WORD, rate);
        }
    }

    /// Tells of a real server by NAT, from whose port answers come.
    fn tell_of(&mut self, server: &RealServer, protocol: u8) {
        let (address, family) = match server.address {
            IpAddr::V4(address) => {
                let mut octets = [0; 16];
                octets[..4].copy_from_slice(&address.octets());
                (octets, 4)
            }
            IpAddr::V6(address) => (address.octets(), 6),
        };
        let endpoint = Endpoint {
            address,
            port: server.port.to_be_bytes(),
            protocol,
            family,
        };
        self.maps.add_endpoint(endpoint).unwrap();
        self.host.endpoints.lock().unwrap().insert(endpoint);
    }

    /// Sets or clears a bit of the settings.
    fn set_behaviour(&self, bit: u64, is_set: bool) {
        for words in [
            self.maps.settings().unwrap(),
            (&self.host).settings().unwrap(),
        ] {
            let others = words.load(BEHAVIOUR_WORD) & !bit;
            words.store(BEHAVIOUR_WORD, others | if is_set { bit } else { 0 });
        }
    }

    /// Something that a controller does, and that matters to XDP.
    pub(crate) fn edit_fast_path(&mut self, random: &mut Random) {
        match random.below(3) {
            0 => {
                let [first, second] = self.devices.map(Some);
                let closed = random.one_of(&[None, None, None, None, None, None, first, second]);
                self.close_device(closed);
            }
            // Else packets would hardly ever come through.
            1 => {
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
            _ => self.set_behaviour(HAS_MARK_SERVICES, random.once_in(8)),
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
        for index in (0..self.sets * STRIDE).filter(|index| index % STRIDE != 0) {
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
    pub(crate) fn edit(&mut self, random: &mut Random) {
        match random.below(12) {
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
                let id = random.below(self.services.len() as u64) as u32;
                for words in [
                    self.maps.service(id).unwrap(),
                    (&self.host).service(id).unwrap(),
                ] {
                    let flags = words.load(service::FLAGS_WORD);
                    words.store(service::FLAGS_WORD, flags ^ u64::from(service::flags::HELD));
                }
            }
            4 => {
                let index = random.below(u64::from(self.sets * STRIDE)) as u32;
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
            8 => self.toggle_access(),
            9 => self.change_settings(random),
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

    /// Hands a frame to both, and compares what they make of it.
    pub(crate) fn arrive(
        &mut self,
        side: u8,
        arriving: &Arriving,
        routes: &(impl Fn(&Journey) -> Route + Clone),
    ) -> (Verdict, Vec<u8>) {
        match self.hook {
            Hook::Tc => self.arrive_at::<false>(side, arriving, routes),
            Hook::Xdp => self.arrive_at::<true>(side, arriving, routes),
        }
    }

    fn arrive_at<const FAST: bool>(
        &mut self,
        side: u8,
        arriving: &Arriving,
        routes: &(impl Fn(&Journey) -> Route + Clone),
    ) -> (Verdict, Vec<u8>) {
        let Arriving { octets, mark } = arriving;
        let mut frame = HostFrame::<_, FAST>::at_hook(octets.clone(), routes.clone());
        frame.addressed_to_us = octets[..6] == [2, 0, 0, 0, side, 1];
        let device = self.devices[usize::from(side) - 1];
        frame.device = device;
        let (action, left) = if FAST {
            // No device has taken a tag off, and nobody has set a mark.
            frame.is_tagged = matches!(octets[12..14], [0x81, 0x00] | [0x88, 0xa8]);
            frame.closed_device = self.closed_device;
            let (action, left) = self.programs.test_run_xdp(device, octets).unwrap();
            (action as i32, left)
        } else {
            frame.mark = *mark;
            self.programs.test_run(device, *mark, octets).unwrap()
        };
        // Of packets that the programs make it is a random number.
        frame.identification = left
            .get(18..20)
            .map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
        let verdict = process(&mut frame, &&self.host, self.now);
        let expected = match (self.hook, verdict) {
            (Hook::Tc, Verdict::Pass) => PASS,
            (Hook::Tc, Verdict::Drop) => DROP,
            (Hook::Tc, Verdict::Leave) => REDIRECT,
            (Hook::Tc, Verdict::Punt) => panic!("there is no hook behind tc"),
            (Hook::Xdp, Verdict::Pass | Verdict::Punt) => XDP_PASS,
            (Hook::Xdp, Verdict::Drop) => XDP_DROP,
            (Hook::Xdp, Verdict::Leave) => XDP_REDIRECT,
        };
        assert_eq!(action, expected, "the host says {verdict:?}");
        assert_eq!(left, frame.octets, "the host says {verdict:?}");
        (verdict, left)
    }

    /// Compares everything in memory.
    pub(crate) fn compare_tables(&self) {
        for index in 0..self.sets * STRIDE {
            let [kernel, host] = [
                self.maps.connection(index).unwrap(),
                (&self.host).connection(index).unwrap(),
            ]
            .map(|line| {
                let mut words: Vec<u64> =
                    (0..connection::WORDS).map(|word| line.load(word)).collect();
                if index % STRIDE == 0 {
                    // Each has its own clock.
                    words[handshake::OPENED_WORD] &= (1 << handshake::NAME_BITS) - 1;
                }
                words
            });
            assert_eq!(kernel, host, "line {index} of the connection table");
        }
        for id in 0..DESTINATIONS {
            let [kernel, host] = [
                self.maps.destination(id).unwrap(),
                (&self.host).destination(id).unwrap(),
            ]
            .map(|line| {
                let destination = Destination(line);
                let mut words: Vec<u64> = (0..destination::WORDS)
                    .map(|word| line.load(word))
                    .collect();
                // How long handshakes take is told by each one's own clock.
                words[destination::TEMPLATES_WORD] = destination.templates().into();
                (words, destination.handshake() != 0)
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
    pub(crate) fn compare_counters(&self) {
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
