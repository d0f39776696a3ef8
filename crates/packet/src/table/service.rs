//! Virtual services.
//!
//! ```text
//! word 0    flags 32 | spare 16 | scheduler 8 | protocol 8
//! word 1    first place of the member list 32 | members 32      (one store switches lists)
//! word 2    the scheduler's cursor
//! word 3    persistence timeout in ticks 32 | persistence timeout in seconds 32
//! word 4    VIP (IPv4: its first 32 bits) …
//! word 5    … VIP
//! word 6    vport 16 | family 8 (4 or 6) | spare 8 | firewall mark 32
//! word 7    places of the member list that are reserved for this service 32
//! words 8…12   totals of destinations that are gone: connections, packets in, out, octets in, out
//! word 13   of wrr: the cursor at which the list was begun 32 | by how much the weight falls from turn to turn 32
//! word 14   granularity of persistence: IPv4: the netmask, as in a packet 32; IPv6: the length of a prefix 32
//! word 15   spare
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Words, part};

/// Words of a service.
pub const WORDS: usize = 16;
/// The word with flags, scheduler and protocol.
pub const FLAGS_WORD: usize = 0;
/// The word with the member list.
pub const MEMBERS_WORD: usize = 1;
/// The word with the scheduler's cursor.
pub const CURSOR_WORD: usize = 2;
/// The word with the time that persistence lasts.
pub const PERSISTENCE_WORD: usize = 3;
/// The first word of the virtual address.
pub const ADDRESS_WORD: usize = 4;
/// The word with the virtual port and more of the key.
pub const PORT_WORD: usize = 6;
/// The word with the room of the member list.
pub const ROOM_WORD: usize = 7;
/// The first of the totals of destinations that are gone.
pub const PAST_WORD: usize = 8;
/// The word with what else a scheduler remembers.
pub const SCHEDULER_WORD: usize = 13;
/// The word that tells which bits of their addresses tell clients apart.
pub const GRANULARITY_WORD: usize = 14;

/// Bits of a service's flags.
pub mod flags {
    /// The entry is in use.
    pub const LIVE: u32 = 1 << 0;
    /// The virtual address is one of this host's.
    pub const HELD: u32 = 1 << 1;
    /// Clients keep their destination.
    pub const PERSISTENT: u32 = 1 << 2;
    /// The configuration file put it here, not an operator.
    pub const FROM_CONFIGURATION: u32 = 1 << 3;
    /// Clients are to be told apart by what the SIP persistence engine finds in their packets.
    /// There is no such engine here: the flag is kept for who lists services.
    pub const SIP_ENGINE: u32 = 1 << 5;
    /// One-packet scheduling: each packet is scheduled on its own.
    pub const ONE_PACKET: u32 = 1 << 4;
    /// The scheduler's flag 1: sh and mh fall back on other servers.
    pub const SCHEDULER_1: u32 = 1 << 8;
    /// The scheduler's flag 2: sh and mh look at the client's port as well.
    pub const SCHEDULER_2: u32 = 1 << 9;
    /// The scheduler's flag 3; no scheduler uses it.
    pub const SCHEDULER_3: u32 = 1 << 10;
}

/// Numbers of the schedulers in a service's first word.
pub mod scheduler {
    /// Round robin, rr.
    pub const ROUND_ROBIN: u8 = 0;
    /// Weighted round robin, wrr.
    pub const WEIGHTED_ROUND_ROBIN: u8 = 1;
    /// Least connection, lc.
    pub const LEAST_CONNECTION: u8 = 2;
    /// Weighted least connection, wlc.
    pub const WEIGHTED_LEAST_CONNECTION: u8 = 3;
    /// Locality-based least connection, lblc.
    pub const LOCALITY_BASED: u8 = 4;
    /// Locality-based least connection with replication, lblcr.
    pub const LOCALITY_BASED_WITH_REPLICATION: u8 = 5;
    /// Destination hashing, dh.
    pub const DESTINATION_HASHING: u8 = 6;
    /// Source hashing, sh.
    pub const SOURCE_HASHING: u8 = 7;
    /// Shortest expected delay, sed.
    pub const SHORTEST_EXPECTED_DELAY: u8 = 8;
    /// Never queue, nq.
    pub const NEVER_QUEUE: u8 = 9;
    /// Weighted failover, fo.
    pub const FAILOVER: u8 = 10;
    /// Weighted overflow, ovf.
    pub const OVERFLOW: u8 = 11;
    /// Maglev hashing, mh.
    pub const MAGLEV_HASHING: u8 = 12;
    /// Power of two choices, twos.
    pub const POWER_OF_TWO_CHOICES: u8 = 13;
}

/// The key of the index of services.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct ServiceKey {
    /// The virtual address; IPv4 in the first four octets, the others 0.
    pub address: [u8; 16],
    /// The firewall mark, or 0 for a service that has an address.
    pub mark: u32,
    /// The virtual port, as in a packet; 0 for every port.
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
}

impl ServiceKey {
    /// The key of the service of a firewall mark.
    #[inline(always)]
    pub fn of_mark(mark: u32, family: u8) -> ServiceKey {
        ServiceKey {
            address: [0; 16],
            mark,
            port: [0; 2],
            protocol: 0,
            family,
        }
    }
}

/// A virtual service, read where it is used.
#[derive(Clone, Copy)]
pub struct Service<W>(pub W);

impl<W: Words> Service<W> {
    /// Its flags.
    #[inline(always)]
    pub fn flags(self) -> u32 {
        self.0.load(FLAGS_WORD) as u32
    }

    /// Where its member list begins and how long it is.
    #[inline(always)]
    pub fn members(self) -> (u32, u32) {
        let word = self.0.load(MEMBERS_WORD);
        (word as u32, (word >> 32) as u32)
    }

    /// The scheduler, of [`scheduler`].
    #[inline(always)]
    pub fn scheduler(self) -> u8 {
        part(self.0.load(FLAGS_WORD), 48, 0xff) as u8
    }

    /// The cursor's position.
    #[inline(always)]
    pub fn cursor(self) -> u64 {
        self.0.load(CURSOR_WORD)
    }

    /// Puts the cursor somewhere else.
    #[inline(always)]
    pub fn set_cursor(self, cursor: u64) {
        self.0.store(CURSOR_WORD, cursor);
    }

    /// The cursor's position, which moves on by one.
    #[inline(always)]
    pub fn advance_cursor(self) -> u64 {
        self.0.fetch_add(CURSOR_WORD, 1)
    }

    /// The cursor moves on by so many.
    #[inline(always)]
    pub fn advance_cursor_by(self, places: u64) {
        self.0.fetch_add(CURSOR_WORD, places);
    }

    /// The cursor moves back by so many turns that were taken and are not used.
    #[inline(always)]
    pub fn give_turns_back(self, turns: u32) {
        if turns != 0 {
            self.0
                .fetch_add(CURSOR_WORD, u64::from(turns).wrapping_neg());
        }
    }

    /// How long a persistence template lasts, in ticks.
    #[inline(always)]
    pub fn persistence_ticks(self) -> u32 {
        self.0.load(PERSISTENCE_WORD) as u32
    }

    /// The virtual port as in a packet; 0 for every port.
    #[inline(always)]
    pub fn port(self) -> u16 {
        self.0.load(PORT_WORD) as u16
    }

    /// Which bits of a client's address tell clients apart, for [`Family::network`].
    ///
    /// [`Family::network`]: crate::family::Family::network
    #[inline(always)]
    pub fn granularity(self) -> u32 {
        self.0.load(GRANULARITY_WORD) as u32
    }
}
