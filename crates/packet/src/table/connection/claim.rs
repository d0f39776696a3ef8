//! How an entry comes into the table.

use core::num::NonZeroU32;

use super::reclaim::{Replaced, make_room};
use super::{Control, Direction, Entry, Key, Life, Links, Place, STRIDE, control_of, find, header_index, note};
use crate::family::Family;
use crate::table::settings::{Settings, Ticks};
use crate::table::{Tables, Words};

/// A way that is ours alone to fill: the index of its entry.
///
/// Only a number, so that in the kernel it travels in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim(NonZeroU32);

impl Claim {
    /// Where the entry stands.
    #[inline(always)]
    pub fn index(self) -> u32 {
        self.0.get()
    }

    /// Writes an entry, all of it. The generation in `life` is set to the way's own.
    #[inline(always)]
    pub fn fill<F: Family, T: Tables>(
        self,
        tables: &T,
        key: &Key<F>,
        direction: Direction,
        life: Life,
        links: &Links,
    ) {
        let Some((header, way)) = control_of(tables, self.index()) else { return };
        let Some(line) = tables.connection(self.index()) else { return };
        let generation = Control(header.load(way)).generation() as u16;
        let entry = Entry(line);
        entry.set_life(Life { generation, ..life });
        entry.set_key(key, direction);
        entry.set_links(links);
        if key.template {
            entry.begin_count(generation);
        }
    }

    /// Gives the way back, unused.
    #[inline(always)]
    pub fn abandon<T: Tables>(self, tables: &T) {
        if let Some((header, way)) = control_of(tables, self.index()) {
            header.exchange(way, Control(header.load(way)).freed().0);
        }
    }

    /// Lets the entry be found.
    #[inline(always)]
    pub fn publish<T: Tables>(self, tables: &T) {
        if let Some((header, way)) = control_of(tables, self.index()) {
            header.exchange(way, Control(header.load(way)).live().0);
        }
    }
}

/// Claims a way for an entry at that place: a free one in the emptier of its sets, or
/// one whose entry has to go. None if others were faster each time.
#[inline(never)]
pub fn claim<T: Tables>(tables: &T, place: &Place, now: Ticks) -> Option<Claim> {
    // Once more for a way that another processor took at the same moment.
    if let Some(claim) = claim_free(tables, place) {
        return Some(claim);
    }
    if let Some(claim) = claim_free(tables, place) {
        return Some(claim);
    }
    let replaced = make_room(tables, place, now)?;
    note(tables, Replaced::reason(replaced));
    claim_free(tables, place)
}

#[inline(never)]
fn claim_free<T: Tables>(tables: &T, place: &Place) -> Option<Claim> {
    let zero = Settings(tables.settings()?).zero() as u32;
    let [first, second] = place.sets;
    let (first_free, first_way) = free_ways(tables, first, zero);
    let (second_free, second_way) = free_ways(tables, second, zero);
    let (set, way) = if first_free >= second_free { (first, first_way) } else { (second, second_way) };
    let way = way & (STRIDE - 1);
    if way == 0 {
        return None;
    }
    let header = tables.connection(header_index(set))?;
    let free = Control(header.load(way as usize));
    let claimed = free.claimed(place.tag);
    if !free.is_free() || !header.compare_exchange(way as usize, free.0, claimed.0) {
        return None;
    }
    NonZeroU32::new(header_index(set) + way).map(Claim)
}

/// How many ways of a set are free, and one of them; 0 where none is.
///
/// `zero` is [`Settings::zero`]: the sums begin with a number that the verifier does not
/// know, or it would follow every combination of free ways to the end of the program.
#[inline(always)]
fn free_ways<T: Tables>(tables: &T, set: u32, zero: u32) -> (u32, u32) {
    let (mut free, mut last) = (zero, zero);
    if let Some(header) = tables.connection(header_index(set)) {
        let mut way = 1;
        while way < STRIDE {
            if Control(header.load(way as usize)).is_free() {
                free += 1;
                last = way + zero;
            }
            way += 1;
        }
    }
    (free, last)
}

#[inline(always)]
fn is_claimed_elsewhere<T: Tables>(tables: &T, tag: u32, set: u32, index: u32) -> bool {
    let Some(header) = tables.connection(header_index(set)) else { return false };
    let mut way = 1;
    while way < STRIDE {
        let control = Control(header.load(way as usize));
        if control.is_busy() && control.tag() == tag && header_index(set) + way != index {
            return true;
        }
        way += 1;
    }
    false
}

/// Whether another processor is about to publish an entry at the place of a claim, with the
/// same tag: both have to step back.
///
/// Claims are visible before this is asked, so of two processors that insert the same key
/// at least one sees the other.
#[inline(never)]
pub fn is_contended<T: Tables>(tables: &T, place: &Place, claim: Claim) -> bool {
    let [first, second] = place.sets;
    let index = claim.index();
    is_claimed_elsewhere(tables, place.tag, first, index) || is_claimed_elsewhere(tables, place.tag, second, index)
}

/// Whether the key of a claim that is filled and not yet published stands elsewhere as
/// well: the index of the entry that is there already, or 0 if [`is_contended`].
#[inline(never)]
pub fn rival<F: Family, T: Tables>(tables: &T, key: &Key<F>, place: &Place, claim: Claim) -> Option<u32> {
    if is_contended(tables, place, claim) {
        return Some(0);
    }
    find(tables, key, place).map(|found| found.index)
}
