//! The fields of an entry.

use super::{DESTINATION_WORD, Key, LIFE_WORD, PEER_WORD, PORTS_WORD};
use crate::family::Family;
use crate::frame::NextHop;
use crate::table::settings::Ticks;
use crate::table::{Tables, Words, hop, part};

/// Bits of an entry's flags.
pub mod flags {
    /// The connection counts as inactive for its destination.
    pub const INACTIVE: u8 = 1 << 0;
    /// Persistence: the entry's template counts it.
    pub const CONTROLLED: u8 = 1 << 1;
    /// The real server has answered.
    pub const ANSWERED: u8 = 1 << 2;
    /// One-packet scheduling: the entry goes with the packet that made it.
    pub const ONE_PACKET: u8 = 1 << 3;
    /// The client is on this host.
    pub const CLIENT_HERE: u8 = 1 << 4;
    /// The entry has been taken out, or is about to be.
    pub(super) const ENDED: u8 = 1 << 7;
}

/// Marks the count of a template, and has its generation behind it. No index of an entry
/// is that large.
const fn template_mark(generation: u16) -> u64 {
    (generation as u64 | 0x8000) << 48
}

/// How often a processor tries to change a count that others change as well.
const ATTEMPTS: u32 = 4;

/// How an entry is told apart from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// As the client sends; also a template.
    Forward,
    /// As the real server answers.
    Reverse,
}

/// What changes while a connection lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it expires.
    pub expires: Ticks,
    /// The state, by the numbers of its protocol.
    pub state: u8,
    /// Of [`flags`].
    pub flags: u8,
    /// The lower bits of the way's generation.
    pub generation: u16,
}

impl Life {
    /// Whether the entry has been taken out, or is about to be.
    #[inline(always)]
    pub fn has_ended(self) -> bool {
        self.flags & flags::ENDED != 0
    }

    #[inline(always)]
    fn to_word(self) -> u64 {
        u64::from(self.expires)
            | u64::from(self.state) << 32
            | u64::from(self.flags) << 40
            | u64::from(self.generation) << 48
    }

    #[inline(always)]
    fn from_word(word: u64) -> Life {
        Life {
            expires: word as u32,
            state: part(word, 32, 0xff) as u8,
            flags: part(word, 40, 0xff) as u8,
            generation: part(word, 48, 0xffff) as u16,
        }
    }
}

/// What an entry refers to. 0 is no entry, since it is a header's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Links {
    /// The destination's id.
    pub destination: u32,
    /// The destination's generation.
    pub destination_generation: u16,
    /// The entry of the other direction.
    pub peer: u32,
    /// The entry of the persistence template.
    pub template: u32,
    /// The lower bits of the template's generation.
    pub template_generation: u16,
    /// Of a template: how long each new connection lets it last, in ticks.
    pub persistence: Ticks,
}

/// An entry, read where it is used.
#[derive(Clone, Copy)]
pub struct Entry<W>(pub W);

impl<W: Words> Entry<W> {
    /// What changes.
    #[inline(always)]
    pub fn life(self) -> Life {
        Life::from_word(self.0.load(LIFE_WORD))
    }

    /// Writes the first life of an entry that is not live yet.
    #[inline(always)]
    pub fn set_life(self, life: Life) {
        self.0.store(LIFE_WORD, life.to_word());
    }

    /// Replaces the life; false if it has changed meanwhile.
    #[inline(always)]
    pub fn renew(self, old: Life, new: Life) -> bool {
        self.0
            .compare_exchange(LIFE_WORD, old.to_word(), new.to_word())
    }

    /// Ends the life of an entry that is being taken out: nobody renews it any more. Gives
    /// the life that it had last.
    #[inline(always)]
    pub(super) fn end(self) -> Life {
        let ended = Life {
            flags: flags::ENDED,
            ..self.life()
        };
        Life::from_word(self.0.exchange(LIFE_WORD, ended.to_word()))
    }

    /// Writes the key of an entry that is not live yet.
    #[inline(always)]
    pub fn set_key<F: Family>(self, key: &Key<F>, direction: Direction, method: u8) {
        F::store_addresses(self.0, key.sender, key.receiver);
        let direction = match direction {
            Direction::Forward => 0,
            Direction::Reverse => 1u64 << 48,
        };
        self.0.store(
            PORTS_WORD,
            key.ports_word() | direction | u64::from(method) << 56,
        );
    }

    /// The forwarding method, of [`method`](crate::table::destination::method).
    #[inline(always)]
    pub fn method(self) -> u8 {
        part(self.0.load(PORTS_WORD), 56, 0xff) as u8
    }

    /// IP protocol number.
    #[inline(always)]
    pub fn protocol(self) -> u8 {
        part(self.0.load(PORTS_WORD), 32, 0xff) as u8
    }

    /// The key.
    #[inline(always)]
    pub fn key<F: Family>(self) -> Key<F> {
        let (sender, receiver) = F::load_addresses(self.0);
        let ports = self.0.load(PORTS_WORD);
        Key {
            sender,
            receiver,
            ports: ports as u32,
            protocol: part(ports, 32, 0xff) as u8,
            template: self.is_template(),
        }
    }

    /// Whether it is a persistence template.
    #[inline(always)]
    pub fn is_template(self) -> bool {
        self.0.load(PORTS_WORD) & (0x80 << 40) != 0
    }

    /// 4 or 6.
    #[inline(always)]
    pub fn family(self) -> u8 {
        part(self.0.load(PORTS_WORD), 40, 0x7f) as u8
    }

    /// Which direction's packets find it.
    #[inline(always)]
    pub fn direction(self) -> Direction {
        if self.0.load(PORTS_WORD) & (1 << 48) == 0 {
            Direction::Forward
        } else {
            Direction::Reverse
        }
    }

    /// The destination's id and generation.
    #[inline(always)]
    pub fn destination(self) -> (u32, u16) {
        let word = self.0.load(DESTINATION_WORD);
        (word as u32, part(word, 32, 0xffff) as u16)
    }

    /// The generation of the template, as it was when the connection came under it.
    #[inline(always)]
    pub(super) fn template_generation(self) -> u16 {
        part(self.0.load(DESTINATION_WORD), 48, 0xffff) as u16
    }

    /// The entry of the other direction.
    #[inline(always)]
    pub fn peer(self) -> u32 {
        self.0.load(PEER_WORD) as u32
    }

    /// The entry of the template.
    #[inline(always)]
    pub(super) fn template(self) -> u32 {
        (self.0.load(PEER_WORD) >> 32) as u32
    }

    /// Writes what an entry that is not live yet refers to.
    #[inline(always)]
    pub(super) fn set_links(self, links: &Links) {
        let destination = u64::from(links.destination)
            | u64::from(links.destination_generation) << 32
            | u64::from(links.template_generation) << 48;
        self.0.store(DESTINATION_WORD, destination);
        self.0.store(
            PEER_WORD,
            u64::from(links.peer) | u64::from(links.template) << 32,
        );
    }

    /// Takes the peer away from an entry that is being freed.
    #[inline(always)]
    pub(super) fn clear_peer(self) {
        self.0.store(PEER_WORD, 0);
    }

    /// Begins the count of a template that is not live yet, and says how long it lasts. One half
    /// of that stands beside the count, and the other where connections have the generation of
    /// their template.
    #[inline(always)]
    pub(super) fn begin_count(self, generation: u16, persistence: Ticks) {
        let lower = part(persistence.into(), 0, 0xffff);
        self.0
            .store(PEER_WORD, template_mark(generation) | lower << 32);
        let destination = part(self.0.load(DESTINATION_WORD), 0, 0xffff_ffff_ffff);
        let upper = u64::from(persistence >> 16);
        self.0.store(DESTINATION_WORD, destination | upper << 48);
    }

    /// Of a template: how long each new connection lets it last, in ticks. Templates of older
    /// builds say 0.
    #[inline(always)]
    pub fn persistence(self) -> Ticks {
        let lower = part(self.0.load(PEER_WORD), 32, 0xffff);
        let upper = part(self.0.load(DESTINATION_WORD), 48, 0xffff);
        (upper << 16 | lower) as u32
    }

    /// How many connections a template holds.
    #[inline(always)]
    pub fn held_connections(self) -> u64 {
        part(self.0.load(PEER_WORD), 0, 0xffff_ffff)
    }

    /// A connection comes under a template of this generation; false if it is another entry
    /// by now, or others were faster each time.
    #[inline(always)]
    pub(super) fn hold(self, generation: u16) -> bool {
        self.change_count(generation, 1) == Some(true)
    }

    /// A connection under a template of this generation is gone.
    #[inline(always)]
    pub(super) fn release(self, generation: u16) {
        // A count that others change so often is still that of the template.
        if self.change_count(generation, 1u64.wrapping_neg()) == Some(false) {
            self.0.fetch_add(PEER_WORD, 1u64.wrapping_neg());
        }
    }

    /// Whether the change was made; nothing if this is no such template.
    #[inline(always)]
    fn change_count(self, generation: u16, change: u64) -> Option<bool> {
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let word = self.0.load(PEER_WORD);
            if word >> 48 << 48 != template_mark(generation) {
                return None;
            }
            if self
                .0
                .compare_exchange(PEER_WORD, word, word.wrapping_add(change))
            {
                return Some(true);
            }
            attempt += 1;
        }
        Some(false)
    }

    /// Of a reverse entry: the next hop to the client, if it was learned under this stamp and takes
    /// packets of `length` octets.
    #[inline(always)]
    pub fn next_hop<T: Tables>(self, tables: &T, stamp: u16, length: u32) -> Option<NextHop> {
        if self.template_generation() != stamp {
            return None;
        }
        hop::named(tables, self.template(), length)
    }

    /// Remembers the next hop of a reverse entry, and the largest packet that it takes.
    #[inline(always)]
    pub fn remember_next_hop<T: Tables>(
        self,
        tables: &T,
        next_hop: &NextHop,
        largest: u16,
        stamp: u16,
    ) {
        let Some(name) = hop::put(tables, next_hop, largest) else {
            return;
        };
        // The entry may be another one by now, which has other words. The name comes first: who
        // finds the stamp finds it.
        let peer = self.0.load(PEER_WORD);
        let named = part(peer, 0, 0xffff_ffff) | u64::from(name) << 32;
        let destination = self.0.load(DESTINATION_WORD);
        let stamped = part(destination, 0, 0xffff_ffff_ffff) | u64::from(stamp) << 48;
        if self.0.compare_exchange(PEER_WORD, peer, named) {
            self.0
                .compare_exchange(DESTINATION_WORD, destination, stamped);
        }
    }
}
