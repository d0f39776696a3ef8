//! Services and destinations as the words of their maps, without a controller: for tests
//! and simulation, over memory of our own or the kernel's.

use std::net::IpAddr;

use crate::host::HostTables;
use crate::schedule::list::Candidate;
use crate::table::destination::Destination;
use crate::table::service::ServiceKey;
use crate::table::settings::{self, Ticks};
use crate::table::{LAYOUT_VERSION, Words, destination, service};
use crate::wire::protocol;

/// What holds for the whole data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ground {
    /// Seeds of the connection table's hash.
    pub seeds: u64,
    /// Sets of the connection table, a power of two.
    pub sets: u32,
    /// How many ticks a second has.
    pub ticks_per_second: Ticks,
}

impl Ground {
    /// Writes the settings and lets the tables be used. The clock's own words stay as they are.
    pub fn write<W: Words>(&self, words: W) {
        words.store(settings::SEEDS_WORD, self.seeds);
        words.store(settings::SIZE_AND_EPOCH_WORD, u64::from(self.sets - 1));
        words.store(
            settings::BEHAVIOUR_WORD,
            settings::behaviour::DEFAULT.into(),
        );
        for (word, seconds) in settings::default_timeouts() {
            let ticks = u64::from(seconds * self.ticks_per_second);
            words.store(word, ticks | u64::from(seconds) << 32);
        }
        let expiration = u64::from(settings::LOCALITY_SECONDS * self.ticks_per_second);
        words.store(settings::LOCALITY_WORD, expiration << 32 | expiration);
        words.exchange(
            settings::VERSION_WORD,
            (1 << 32) | u64::from(LAYOUT_VERSION),
        );
    }
}

/// How a service keeps its clients with their destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// How long a template lasts.
    pub ticks: Ticks,
    /// Leading bits of an address that tell clients apart.
    pub prefix: u8,
}

/// A virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualService {
    /// IP protocol number.
    pub protocol: u8,
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 for every port.
    pub port: u16,
    /// Whether the address is one of this host's.
    pub held: bool,
    /// Whether clients keep their destination.
    pub persistence: Option<Persistence>,
    /// Whether each packet is scheduled on its own.
    pub one_packet: bool,
    /// The scheduler, of [`service::scheduler`].
    pub scheduler: u8,
    /// The scheduler's flags, of [`service::flags`].
    pub scheduler_flags: u32,
}

impl VirtualService {
    /// One for TCP whose address is held, by round robin.
    pub fn new(address: IpAddr, port: u16) -> VirtualService {
        VirtualService {
            protocol: protocol::TCP,
            address,
            port,
            held: true,
            persistence: None,
            one_packet: false,
            scheduler: service::scheduler::ROUND_ROBIN,
            scheduler_flags: 0,
        }
    }

    /// Its key in the index of services.
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            address: octets(self.address),
            mark: 0,
            port: self.port.to_be_bytes(),
            protocol: self.protocol,
            family: family(self.address),
        }
    }

    /// Writes it into its slot, all but the member list and the scheduler's cursor.
    pub fn write<W: Words>(&self, words: W) {
        let mut flags = service::flags::LIVE | self.scheduler_flags;
        if self.held {
            flags |= service::flags::HELD;
        }
        if self.persistence.is_some() {
            flags |= service::flags::PERSISTENT;
        }
        if self.one_packet {
            flags |= service::flags::ONE_PACKET;
        }
        let (ticks, prefix) = self.persistence.map_or((0, 0), |persistence| {
            (persistence.ticks, u32::from(persistence.prefix))
        });
        let granularity = match self.address {
            IpAddr::V4(_) => u32::MAX.checked_shl(32 - prefix).map_or(0, u32::to_be),
            IpAddr::V6(_) => prefix,
        };
        write_address(words, service::ADDRESS_WORD, self.address);
        words.store(service::PERSISTENCE_WORD, ticks.into());
        words.store(
            service::PORT_WORD,
            u64::from(self.port.to_be()) | u64::from(family(self.address)) << 16,
        );
        words.store(service::GRANULARITY_WORD, granularity.into());
        let scheduler = u64::from(self.scheduler) << 48;
        let protocol = u64::from(self.protocol) << 56;
        words.exchange(service::FLAGS_WORD, u64::from(flags) | scheduler | protocol);
    }

    /// Makes a run of places its member list.
    pub fn set_members<W: Words>(words: W, first: u32, members: u32) {
        words.exchange(
            service::MEMBERS_WORD,
            u64::from(first) | u64::from(members) << 32,
        );
    }
}

/// A forwarding method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Masquerading.
    Nat,
    /// Direct routing.
    Direct,
    /// A tunnel.
    Tunnel {
        /// Of [`destination::tunnel`].
        kind: u8,
        /// The UDP port of a GUE tunnel.
        port: u16,
        /// The director's end of the tunnel.
        source: IpAddr,
    },
}

/// A destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealServer {
    /// The id of its service.
    pub service: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 keeps the packet's own.
    pub port: u16,
    /// How packets are forwarded to it.
    pub method: Method,
    /// Changes when the slot is given to another destination.
    pub generation: u16,
    /// Whether it belongs to its service.
    pub available: bool,
    /// Whether the virtual address is one of this host's.
    pub held: bool,
    /// Whether its own address is one of this host's.
    pub local: bool,
    /// Its share of new connections.
    pub weight: u32,
    /// From so many connections on it is overloaded, and until it has fewer than the other
    /// number; 0 each where there is none.
    pub thresholds: [u32; 2],
}

impl RealServer {
    /// Writes it into its slot, all but its numbers of connections and templates.
    pub fn write<W: Words>(&self, words: W) {
        let mut flags = destination::flags::LIVE;
        if self.weight == 0 {
            flags |= destination::flags::QUIESCENT;
        }
        if self.available {
            flags |= destination::flags::AVAILABLE;
        }
        if self.held {
            flags |= destination::flags::HELD;
        }
        if self.local {
            flags |= destination::flags::LOCAL;
        }
        let (method, tunnel_port) = match self.method {
            Method::Nat => (destination::method::NAT, 0),
            Method::Direct => (destination::method::DIRECT, 0),
            Method::Tunnel { kind, port, source } => {
                words.store(destination::WAY_WORD, u64::from(kind) << 32);
                write_address(words, destination::TUNNEL_SOURCE_WORD, source);
                (destination::method::TUNNEL, port)
            }
        };
        words.store(
            destination::SERVICE_WORD,
            u64::from(self.service)
                | u64::from(self.port.to_be()) << 32
                | u64::from(tunnel_port.to_be()) << 48,
        );
        write_address(words, destination::ADDRESS_WORD, self.address);
        if self.weight != 0 {
            words.store(destination::WEIGHT_WORD, self.weight.into());
        }
        let [upper, lower] = self.thresholds;
        words.store(
            destination::THRESHOLDS_WORD,
            u64::from(upper) | u64::from(lower) << 32,
        );
        let method = u64::from(method) << 48;
        let family = u64::from(family(self.address)) << 56;
        let generation = u64::from(self.generation) << 32;
        words.exchange(
            destination::FLAGS_WORD,
            u64::from(flags) | generation | method | family,
        );
        Destination(words).judge_overload();
    }

    /// The destination as a scheduler sees it.
    pub fn candidate(&self, id: u32) -> Candidate {
        Candidate {
            id,
            weight: self.weight,
            last_weight: self.weight,
            address: folded(self.address),
            port: self.port,
        }
    }
}

impl HostTables {
    /// Enters a service under an id, with its member list: destinations by id, in the order
    /// in which the scheduler takes them, from this place on.
    ///
    /// # Panics
    /// The tables have no room for it.
    pub fn enter_service(&self, id: u32, service: &VirtualService, first: u32, members: &[u32]) {
        let words = self
            .services
            .entry(id, service::WORDS)
            .expect("room for the service");
        service.write(words);
        for (place, member) in (first..).zip(members) {
            let word = self.members.entry(place, 1).expect("room for the member");
            word.store(0, u64::from(*member));
        }
        VirtualService::set_members(words, first, members.len() as u32);
        self.index
            .lock()
            .expect("no test panics with the index")
            .insert(service.key(), id);
    }

    /// Enters or changes a destination.
    ///
    /// # Panics
    /// The tables have no room for it.
    pub fn enter_destination(&self, id: u32, destination: &RealServer) {
        let words = self.destinations.entry(id, destination::WORDS);
        destination.write(words.expect("room for the destination"));
    }
}

/// An address as hashing schedulers see it.
pub fn folded(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
        }
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 4 } else { 6 }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn write_address<W: Words>(words: W, first: usize, address: IpAddr) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets(address);
    words.store(first, u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    words.store(first + 1, u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
}
