//! How an entry comes into the table.

use core::num::NonZeroU32;

use super::reclaim::{Replaced, make_room};
use super::{
    Control, Direction, Entry, Key, Life, Links, Place, STRIDE, control_of, expected_way,
    header_index, locate, note,
};
use crate::family::Family;
use crate::table::settings::Ticks;
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

    /// Writes an entry, all of it: which direction's packets find it, and the forwarding
    /// method. The generation in `life` is set to the way's own.
    #[inline(always)]
    pub fn fill<F: Family, T: Tables>(
        self,
        tables: &T,
        key: &Key<F>,
        (direction, method): (Direction, u8),
        life: Life,
        links: &Links,
    ) {
        let Some((header, way)) = control_of(tables, self.index()) else {
            return;
        };
        let Some(line) = tables.connection(self.index()) else {
            return;
        };
        let generation = Control(header.load(way)).generation() as u16;
        let entry = Entry(line);
        entry.set_life(Life { generation, ..life });
        entry.set_key(key, direction, method);
        entry.set_links(links);
        if key.template {
            entry.begin_count(generation, links.persistence);
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

/// Claims a way for an entry at that place: the one where it is expected, or a free one in
/// the emptier of its sets, or one whose entry has to go. None if others were faster each time.
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
    let [first, second] = place.sets;
    let free_in_first = free_ways(tables, first);
    let expected = expected_way(place.tag);
    let (set, way) = if free_in_first >> expected & 1 != 0 && has_room(free_in_first) {
        (first, expected & (STRIDE - 1))
    } else {
        let free_in_second = free_ways(tables, second);
        let (set, free) = if free_in_first.count_ones() >= free_in_second.count_ones() {
            (first, free_in_first)
        } else {
            (second, free_in_second)
        };
        if free == 0 {
            return None;
        }
        (set, lowest_way(free))
    };
    let header = tables.connection(header_index(set))?;
    let free = Control(header.load(way as usize));
    let claimed = free.claimed(place.tag);
    if !free.is_free() || !header.compare_exchange(way as usize, free.0, claimed.0) {
        return None;
    }
    NonZeroU32::new(header_index(set) + way).map(Claim)
}

/// The ways of a set that are free, a bit for each.
///
/// Without a branch, or the verifier in the kernel would follow every combination of free
/// ways to the end of the program.
#[inline(always)]
fn free_ways<T: Tables>(tables: &T, set: u32) -> u32 {
    let Some(header) = tables.connection(header_index(set)) else {
        return 0;
    };
    let mut free = 0;
    let mut way = 1;
    while way < STRIDE {
        free |= Control(header.load(way as usize)).free_bit() << way;
        way += 1;
    }
    free
}

/// Whether three ways are free at least. The last two of a set are for whoever has no better
/// place: so no more entries meet two full sets than if all stood in the emptier one.
#[inline(always)]
fn has_room(free: u32) -> bool {
    let without_lowest = free & free.wrapping_sub(1);
    without_lowest & without_lowest.wrapping_sub(1) != 0
}

/// The lowest way of a set of ways that is not empty.
///
/// The lowest bit, multiplied by a de Bruijn sequence, has three bits that tell where it is.
/// The target has no instruction for this, and the compiler's own way is a table that the
/// verifier does not see through.
#[inline(always)]
fn lowest_way(ways: u32) -> u32 {
    const SEQUENCE: u32 = 0b0001_0111;
    const WAYS: u32 = 0x5637_4210;
    let lowest = ways & ways.wrapping_neg();
    let position = (lowest.wrapping_mul(SEQUENCE) >> 5) & 7;
    (WAYS >> (4 * position)) & 7
}

/// Whether another processor is about to publish an entry at the place of a claim, with the
/// same tag: both have to step back.
///
/// Claims are visible before this is asked, so of two processors that insert the same key
/// at least one sees the other.
#[inline(always)]
pub fn is_contended<T: Tables>(tables: &T, place: &Place, claim: Claim) -> bool {
    is_claimed_elsewhere(tables, place, claim.index())
}

/// Whether the key of a claim that is filled and not yet published stands elsewhere as
/// well: the index of the entry that is there already, or 0 if [`is_contended`].
#[inline(always)]
pub fn rival<F: Family, T: Tables>(
    tables: &T,
    key: &Key<F>,
    place: &Place,
    claim: Claim,
) -> Option<u32> {
    if is_contended(tables, place, claim) {
        return Some(0);
    }
    locate(tables, key, place).map(NonZeroU32::get)
}

#[inline(never)]
fn is_claimed_elsewhere<T: Tables>(tables: &T, place: &Place, index: u32) -> bool {
    let claimed_in = |set: u32| {
        let Some(header) = tables.connection(header_index(set)) else {
            return false;
        };
        // The way of our own claim, if it is in this set, else no way's number.
        let own = index ^ header_index(set);
        let mut way = 1;
        while way < STRIDE {
            let control = Control(header.load(way as usize));
            if control.is_busy() && control.tag() == place.tag && way != own {
                return true;
            }
            way += 1;
        }
        false
    };
    let [first, second] = place.sets;
    claimed_in(first) || claimed_in(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_every_set_of_ways_is_found() {
        for ways in 1..256 {
            assert_eq!(lowest_way(ways), ways.trailing_zeros(), "{ways:#010b}");
            assert_eq!(has_room(ways), ways.count_ones() >= 3, "{ways:#010b}");
        }
    }

    /// In a table that is half full, half of all entries are found with one look; and hardly
    /// more meet two full sets than if each stood in the emptier one.
    #[cfg(feature = "host")]
    #[test]
    fn entries_stand_where_they_are_expected_while_there_is_room() {
        use crate::host::HostTables;
        use crate::table::connection::{Hash, WAYS};

        const SETS: u32 = 1 << 14;
        let tables = HostTables::new(1, 1, SETS as usize);
        let mut in_emptier = vec![0; SETS as usize];
        let (mut expected, mut refused, mut refused_by_emptier) = (0, 0, 0);
        for number in 0..SETS * WAYS * 3 / 4 {
            let hash = Hash::new(991).absorb(number.into()).finish();
            let place = Place {
                sets: [hash, hash >> 16].map(|part| part as u32 & (SETS - 1)),
                tag: (hash >> 32) as u32,
            };
            let [first, _] = place.sets;
            match claim_free(&&tables, &place) {
                Some(claim) => {
                    claim.publish(&&tables);
                    let at = header_index(first) + expected_way(place.tag);
                    expected += u32::from(claim.index() == at);
                }
                None => refused += 1,
            }
            if number + 1 == SETS * WAYS / 2 {
                assert!(expected > number / 2, "{expected} of {number}");
                assert_eq!(refused, 0);
            }
            let emptier = place.sets.map(|set| set as usize);
            let emptier = emptier.into_iter().min_by_key(|set| in_emptier[*set]);
            match emptier.filter(|set| in_emptier[*set] < WAYS) {
                Some(set) => in_emptier[set] += 1,
                None => refused_by_emptier += 1,
            }
        }
        assert!(refused_by_emptier > 0, "too few to compare");
        assert!(
            refused <= 2 * refused_by_emptier,
            "{refused}, and {refused_by_emptier} by the emptier set alone"
        );
    }
}
