//! The connection table.
//!
//! A set-associative table in a plain array. A set is 512 octets: a header and seven
//! entries, each one cache line. An entry can stand in either of two sets, which a
//! seeded hash of its key names; a look-up reads the two headers, and an entry only if
//! the header has its tag. In a table that is not crowded most entries stand in the way of
//! their first set that the hash *expects* them in, so that a look-up asks memory for the
//! header and for that line at once.
//!
//! ```text
//! header   word 0    when the connection was opened that came last ([`handshake`])
//!          word 1…7  control of ways 1…7: phase 8 | generation 24 | tag 32
//! entry    word 0    expires, in ticks 32 | state 8 | flags 8 | generation 16
//!          word 1    IPv4: sender 32 | receiver 32                 IPv6: sender …
//!          word 2    IPv4: spare                                   IPv6: … sender
//!          word 3    IPv4: spare                                   IPv6: receiver …
//!          word 4    IPv4: spare                                   IPv6: … receiver
//!          word 5    sender's port 16 | receiver's port 16 | protocol 8 | class 8 | direction 8 | method 8
//!          word 6    destination id 32 | its generation 16 | template's generation 16
//!          word 7    peer entry 32 | template entry 32
//!                    of reverse entries in the places of the template: the stamp under which the
//!                    next hop to the client was learned, and its name ([`super::hop`])
//!                    of a template: connections that it holds 32 | spare 16 | generation 15 | 1
//! ```
//!
//! # Who may write what
//! A way is *free*, *busy* or *live*, and its control word tells which. Whoever turns it
//! from free or live to busy by compare-and-exchange owns it alone until it is given
//! back. An entry becomes live by an exchange, after everything else has been written,
//! and goes from live to free by way of busy: whoever took it gives back what it counts
//! for, so that happens once. The generation changes each time a way is freed.
//!
//! Word 0 of a live entry changes by compare-and-exchange only. It has the lower bits of
//! the generation in it, so that nobody renews an entry that has become another one. Whoever
//! takes an entry out ends its life before anything else, by an exchange: that is how
//! renewals stop, and how a reader knows that the words it has read belong together
//! ([`Found::is_same`]). It looks only after it has read the last of them.
//!
//! The count of a template changes by compare-and-exchange while it has the template's
//! generation beside it, for the same reason.
//!
//! A connection by NAT stands twice: *forward*, as the client sends, and
//! *reverse*, as the real server answers. Each names the other as its peer. The forward
//! entry has the state; the pair is taken by taking the forward entry, and goes as a whole.
//! By direct routing, by a tunnel, or for one packet only, there is no reverse entry, and
//! the peer is 0. Towards real servers the destination has the next hop.

use core::num::NonZeroU32;

use crate::family::Family;
use crate::reason::Reason;
use crate::table::destination::{Activity, Destination};
use crate::table::settings::{Settings, Ticks, ticks_between};
use crate::table::{Tables, Words, part};

/// Words of an entry, and of a header.
pub const WORDS: usize = 8;
/// Ways of a set, the header among them: the stride of sets.
pub const STRIDE: u32 = 8;
/// Ways of a set that hold entries.
pub const WAYS: u32 = STRIDE - 1;

const LIFE_WORD: usize = 0;
const PORTS_WORD: usize = 5;
const DESTINATION_WORD: usize = 6;
const PEER_WORD: usize = 7;

/// The state of a template under which a connection has come about
/// (`IP_VS_CTPL_S_ASSURED` in the kernel).
pub const TEMPLATE_ASSURED: u8 = 1;

/// The part of [`PORTS_WORD`] that belongs to the key.
const PORTS_KEY_MASK: u64 = 0x0000_ffff_ffff_ffff;

mod claim;
mod entry;
pub mod handshake;
mod reclaim;

pub use claim::{Claim, claim, is_contended, rival};
pub use entry::{Direction, Entry, Life, Links, flags};
pub use reclaim::{free_abandoned, reclaim, reclaim_seen};

/// What a way is used for: the lowest octet of its control word.
mod phase {
    pub(super) const FREE: u64 = 0;
    pub(super) const BUSY: u64 = 1;
    pub(super) const LIVE: u64 = 2;
}

/// The control word of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control(pub u64);

impl Control {
    const PHASE: u64 = 0xff;
    const TAG_AND_PHASE: u64 = 0xffff_ffff_0000_00ff;

    #[inline(always)]
    fn phase(self) -> u64 {
        self.0 & Self::PHASE
    }

    /// Whether the way holds an entry that can be found.
    #[inline(always)]
    pub fn is_live(self) -> bool {
        self.phase() == phase::LIVE
    }

    /// Whether someone is at work on the way.
    pub fn is_busy(self) -> bool {
        self.phase() == phase::BUSY
    }

    #[inline(always)]
    fn is_free(self) -> bool {
        self.phase() == phase::FREE
    }

    /// 1 if the way is free, else 0; computed without a branch.
    #[inline(always)]
    fn free_bit(self) -> u32 {
        const { assert!(phase::FREE == 0 && phase::BUSY == 1 && phase::LIVE == 2) };
        !(self.0 | self.0 >> 1) as u32 & 1
    }

    /// How often the way has been freed; 24 bits.
    #[inline(always)]
    pub fn generation(self) -> u32 {
        part(self.0, 8, 0xff_ffff) as u32
    }

    #[inline(always)]
    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Live, with this tag, of any generation.
    #[inline(always)]
    fn shows(self, tag: u32) -> bool {
        self.0 & Self::TAG_AND_PHASE == u64::from(tag) << 32 | phase::LIVE
    }

    #[inline(always)]
    fn busy(self) -> Control {
        Control(self.0 & !Self::PHASE | phase::BUSY)
    }

    #[inline(always)]
    fn live(self) -> Control {
        Control(self.0 & !Self::PHASE | phase::LIVE)
    }

    /// Free, with the next generation.
    #[inline(always)]
    fn freed(self) -> Control {
        Control(u64::from(self.generation().wrapping_add(1) & 0xff_ffff) << 8 | phase::FREE)
    }

    /// Busy, claimed for an entry with this tag.
    #[inline(always)]
    fn claimed(self, tag: u32) -> Control {
        Control(u64::from(tag) << 32 | u64::from(self.generation()) << 8 | phase::BUSY)
    }
}

/// The key of an entry: a packet's addresses and ports as its sender wrote them, or a
/// client and a service that persistence ties together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<F: Family> {
    /// Who sends.
    pub sender: F::Address,
    /// Who receives.
    pub receiver: F::Address,
    /// The sender's port in the lower half, the receiver's in the upper one, as in memory.
    pub ports: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// Whether it is a persistence template's; then the sender's port is 0.
    pub template: bool,
}

impl<F: Family> Key<F> {
    /// The key under which packets in the other direction are found.
    #[inline(always)]
    pub fn reversed(&self) -> Key<F> {
        Key {
            sender: self.receiver,
            receiver: self.sender,
            ports: self.ports.rotate_left(16),
            ..*self
        }
    }

    #[inline(always)]
    fn ports_word(&self) -> u64 {
        let class = if self.template {
            F::NUMBER | 0x80
        } else {
            F::NUMBER
        };
        u64::from(self.ports) | u64::from(self.protocol) << 32 | u64::from(class) << 40
    }

    #[inline(always)]
    fn is_of<W: Words>(&self, line: W) -> bool {
        line.load(PORTS_WORD) & PORTS_KEY_MASK == self.ports_word()
            && F::same_addresses(line, self.sender, self.receiver)
    }

    /// Where an entry with this key can stand.
    #[inline(always)]
    pub fn place<W: Words>(&self, settings: Settings<W>) -> Place {
        let hash = F::hash(Hash::new(settings.seeds()), self.sender, self.receiver)
            .absorb(self.ports_word())
            .finish();
        let first = hash as u32 & settings.set_mask();
        // The second set is told by the tag and the first, as different from it as can be.
        let tag = (hash >> 32) as u32;
        let second =
            (tag.wrapping_mul(0x9e37_79b1) ^ hash as u32).rotate_left(13) & settings.set_mask();
        Place {
            sets: [first, second],
            tag,
        }
    }
}

/// A seeded hash of words, good enough to spread what strangers choose: multiplication
/// by an odd number and a shift for each word.
#[derive(Clone, Copy)]
pub struct Hash(u64);

impl Hash {
    /// A hash of no words yet.
    #[inline(always)]
    pub fn new(seed: u64) -> Hash {
        Hash(seed)
    }

    /// Takes a word in.
    #[inline(always)]
    pub fn absorb(self, word: u64) -> Hash {
        let mixed = (self.0 ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
        Hash(mixed ^ mixed >> 32)
    }

    /// The hash of the words.
    #[inline(always)]
    pub fn finish(self) -> u64 {
        let mixed = self.0.wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ mixed >> 29
    }
}

/// The two sets in which an entry can stand, and its tag in their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Numbers of the sets; they can be the same.
    pub sets: [u32; 2],
    /// The tag.
    pub tag: u32,
}

/// An entry that was found.
#[derive(Clone, Copy)]
pub struct Found<W> {
    /// Where it stands.
    pub index: u32,
    /// The lower bits of its generation when it was found.
    pub generation: u16,
    /// What is in it.
    pub entry: Entry<W>,
}

impl<W: Words> Found<W> {
    /// Whether nobody has taken the entry out since it was found: then whatever was read of
    /// it meanwhile belongs to it.
    #[inline(always)]
    pub fn is_same(&self) -> bool {
        let life = self.entry.life();
        life.generation == self.generation && !life.has_ended()
    }
}

/// The index of a set's header.
#[inline(always)]
fn header_index(set: u32) -> u32 {
    set.wrapping_mul(STRIDE)
}

/// The control word of an entry, by the entry's index.
#[inline(always)]
fn control_of<T: Tables>(tables: &T, index: u32) -> Option<(T::Words, usize)> {
    let header = tables.connection(index & !(STRIDE - 1))?;
    Some((header, (index & (STRIDE - 1)) as usize))
}

/// Reads the control word of an entry.
pub fn control<T: Tables>(tables: &T, index: u32) -> Option<Control> {
    let (header, way) = control_of(tables, index)?;
    Some(Control(header.load(way)))
}

/// The live entry with this key, expired or not.
#[inline(always)]
pub fn find<F: Family, T: Tables>(
    tables: &T,
    key: &Key<F>,
    place: &Place,
) -> Option<Found<T::Words>> {
    expect(tables, place);
    let [first, second] = place.sets;
    find_in_way(tables, key, place.tag, first, expected_way(place.tag))
        .or_else(|| find_in_set(tables, key, place.tag, first))
        .or_else(|| find_in_set(tables, key, place.tag, second))
}

/// The way of its first set in which an entry with this tag is looked for before the others.
///
/// Of a product by the number of ways itself the compiler would make a shift and a subtraction,
/// and the verifier in the kernel would not know how little it can be. It does of this.
#[inline(always)]
fn expected_way(tag: u32) -> u32 {
    const SCALE: u32 = 28;
    const FACTOR: u32 = (WAYS << SCALE) / (1 << 16) - 1;
    1 + (((tag >> 16) * FACTOR) >> SCALE)
}

/// Asks memory for what a look-up at this place, or a [`claim`], is going to read. From there
/// it takes longer than all that is done with a packet, and the processor waits for several
/// lines no longer than for one, if nothing it is asked for depends on another.
#[inline(always)]
pub fn expect<T: Tables>(tables: &T, place: &Place) {
    let [first, second] = place.sets;
    let entry = header_index(first) + expected_way(place.tag);
    for index in [header_index(first), entry, header_index(second)] {
        if let Some(line) = tables.connection(index) {
            line.load(LIFE_WORD);
        }
    }
}

#[inline(always)]
fn find_in_way<F: Family, T: Tables>(
    tables: &T,
    key: &Key<F>,
    tag: u32,
    set: u32,
    way: u32,
) -> Option<Found<T::Words>> {
    let header = tables.connection(header_index(set))?;
    // The verifier in the kernel does not always know that it is no more than that.
    let control = Control(header.load((way & (STRIDE - 1)) as usize));
    if !control.shows(tag) {
        return None;
    }
    let index = header_index(set) + way;
    let line = tables.connection(index)?;
    key.is_of(line).then_some(Found {
        index,
        generation: control.generation() as u16,
        entry: Entry(line),
    })
}

#[inline(always)]
fn find_in_set<F: Family, T: Tables>(
    tables: &T,
    key: &Key<F>,
    tag: u32,
    set: u32,
) -> Option<Found<T::Words>> {
    let mut way = 1;
    while way < STRIDE {
        let found = find_in_way(tables, key, tag, set, way);
        if found.is_some() {
            return found;
        }
        way += 1;
    }
    None
}

/// The index of what [`find`] finds, for where a connection is opened and not on every packet's way.
///
/// A function of its own, and its answer a number of which the verifier in the kernel knows
/// nothing: else it would follow the rest of the program once for each way of both sets.
#[inline(never)]
pub fn locate<F: Family, T: Tables>(tables: &T, key: &Key<F>, place: &Place) -> Option<NonZeroU32> {
    let unknown_zero = Settings(tables.settings()?).zero() as u32;
    let found = find(tables, key, place)?;
    NonZeroU32::new(found.index ^ unknown_zero)
}

/// Whether the entry counts as absent.
#[inline(always)]
pub fn has_expired(life: Life, now: Ticks) -> bool {
    ticks_between(life.expires, now) >= 0
}

/// What a connection counts as for its destination.
#[inline(always)]
fn activity_of(life: Life) -> Activity {
    if life.flags & flags::INACTIVE != 0 {
        Activity::Inactive
    } else {
        Activity::Active
    }
}

/// The destination of an entry, if it is still the same one.
#[inline(always)]
pub fn destination_of<T: Tables>(
    tables: &T,
    entry: Entry<T::Words>,
) -> Option<Destination<T::Words>> {
    let (id, generation) = entry.destination();
    let destination = Destination(tables.destination(id)?);
    (destination.heading().generation() == generation).then_some(destination)
}

/// The live entry with this index, if there is one.
#[inline(always)]
pub fn found_at<T: Tables>(tables: &T, index: u32) -> Option<Found<T::Words>> {
    let (header, way) = control_of(tables, index)?;
    let control = Control(header.load(way));
    let entry = Entry(tables.connection(index)?);
    (way != 0 && control.is_live()).then_some(Found {
        index,
        generation: control.generation() as u16,
        entry,
    })
}

/// A connection comes under a template; false if the template is gone, or too many come at once.
#[inline(always)]
pub fn hold<W: Words>(template: &Found<W>) -> bool {
    template.entry.hold(template.generation)
}

/// A connection under a template has come about: the template counts as assured
/// (`ip_vs_control_assure_ct` in the kernel).
#[inline(never)]
pub fn assure_template<T: Tables>(tables: &T, connection: Entry<T::Words>) {
    let Some(line) = tables.connection(connection.template()) else {
        return;
    };
    let life = Entry(line).life();
    if life.generation == connection.template_generation() && !life.has_ended() {
        let state = TEMPLATE_ASSURED;
        Entry(line).renew(life, Life { state, ..life });
    }
}

/// A connection under a template has not come about.
#[inline(always)]
pub fn release<W: Words>(template: &Found<W>) {
    template.entry.release(template.generation);
}

/// Counts a reason that stands beside a packet's outcome.
fn note<T: Tables>(tables: &T, reason: Reason) {
    tables.count_reason(reason);
}
