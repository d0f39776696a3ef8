//! The data plane in the kernel and the one on the host, with the same services.

use elver_packet::checksum::{fold, sum};
use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{Ground, HostFrame, HostTables, Journey, RealServer, VirtualService};
use elver_packet::process::process;
use elver_packet::reason::Reason;
use elver_packet::table::connection::{self, Entry, Life, STRIDE, reclaim};
use elver_packet::table::service::ServiceKey;
use elver_packet::table::settings::{CLOCK_WORD, JIFFIES_WORD, SIZE_AND_EPOCH_WORD, Ticks};
use elver_packet::table::{Tables, Words, destination, service};
use elver_sys::bpf::{Attachments, Maps, Sizes, load};

use crate::frames::{Arriving, Random};
use crate::services::{self, Offer};

const SERVICES: u32 = 32;
const DESTINATIONS: u32 = 96;
pub(crate) const SECOND: Ticks = 8;
/// So far are jiffies shifted that the clock stands still while a history runs.
const SHIFT: u32 = 40;

/// `TC_ACT_UNSPEC`, `TC_ACT_SHOT` and `TC_ACT_REDIRECT` of `linux/pkt_cls.h`.
const PASS: i32 = -1;
const DROP: i32 = 2;
const REDIRECT: i32 = 7;

/// Both data planes.
pub(crate) struct Pair {
    pub(crate) maps: Maps,
    programs: Attachments,
    pub(crate) host: HostTables,
    now: Ticks,
    devices: [u32; 2],
    /// Sets of the connection table.
    sets: u32,
    services: u32,
    destinations: Vec<RealServer>,
}

impl Pair {
    pub(crate) fn new(instance: &str, devices: [u32; 2], sets: u32, seeds: u64) -> Pair {
        let sizes = Sizes {
            services: SERVICES,
            destinations: DESTINATIONS,
            connections: sets * connection::WAYS,
        };
        let (maps, programs) = load(instance, sizes).unwrap();
        // The loader makes no table that small; the rest of it stays empty.
        let most = maps.connection_lines() / STRIDE;
        assert!(most >= sets);
        let host = HostTables::new(SERVICES as usize, DESTINATIONS as usize, most as usize);
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
            maps,
            programs,
            host,
            now,
            devices,
            sets,
            services: 0,
            destinations: Vec::new(),
        };
        pair.enter_services();
        pair
    }

    fn enter_services(&mut self) {
        let mut place = 0;
        for Offer {
            mark,
            service,
            servers,
        } in services::all()
        {
            let id = self.services;
            let first = self.destinations.len() as u32;
            for server in servers {
                self.destinations.push(RealServer {
                    service: id,
                    ..server
                });
                self.change_destination(self.destinations.len() - 1, |_| {});
            }
            let members: Vec<u32> = (first..self.destinations.len() as u32).rev().collect();
            self.host.enter_service(id, &service, place, &members);
            let words = self.maps.service(id).unwrap();
            service.write(words);
            for (place, member) in (place..).zip(&members) {
                self.maps.set_member(place, *member);
            }
            VirtualService::set_members(words, place, members.len() as u32);
            let key = match mark {
                0 => service.key(),
                _ => ServiceKey::of_mark(mark, service.key().family),
            };
            let mut index = self.host.index.lock().unwrap();
            index.retain(|_, entered| *entered != id);
            index.insert(key, id);
            self.maps.index_service(&key, id).unwrap();
            place += members.len() as u32;
            self.services += 1;
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
        match random.below(6) {
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
                let id = random.below(self.services.into()) as u32;
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
    ) -> Verdict {
        let Arriving { octets, mark } = arriving;
        let mut frame = HostFrame::new(octets.clone(), routes.clone());
        frame.addressed_to_us = octets[..6] == [2, 0, 0, 0, side, 1];
        frame.mark = *mark;
        let verdict = process(&mut frame, &&self.host, self.now);
        let device = self.devices[usize::from(side) - 1];
        let (action, left) = self.programs.test_run(device, *mark, octets).unwrap();
        let expected = match verdict {
            Verdict::Pass => PASS,
            Verdict::Drop => DROP,
            Verdict::Leave => REDIRECT,
        };
        assert_eq!(action, expected, "the host says {verdict:?}");
        if frame.octets.len() > octets.len() {
            take_identification(&mut frame.octets, &left);
        }
        assert_eq!(left, frame.octets, "the host says {verdict:?}");
        verdict
    }

    /// Compares everything in memory.
    pub(crate) fn compare_tables(&self) {
        for index in 0..self.sets * STRIDE {
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
            .map(|line| line.load(service::CURSOR_WORD));
            assert_eq!(kernel, host, "cursor of service {id}");
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

/// The kernel identifies tunnel packets that may be fragmented by random numbers: the host's
/// gets the same one.
fn take_identification(host: &mut [u8], kernel: &[u8]) {
    const DONT_FRAGMENT: u8 = 0x40;
    let is_ipv4 = host[14] >> 4 == 4;
    if !is_ipv4 || host[20] & DONT_FRAGMENT != 0 || kernel.len() != host.len() {
        return;
    }
    host[18..20].copy_from_slice(&kernel[18..20]);
    host[24..26].fill(0);
    let checksum = !fold(sum(&host[14..34]));
    host[24..26].copy_from_slice(&checksum.to_ne_bytes());
}
