//! Next hops that the programs remember: towards a real server in three words of its destination,
//! towards clients in a table that all connections share, since few routers lead to many clients.
//!
//! ```text
//! NEXT_HOPS   array   word 0   the next hop …
//!                     word 1   … next hop
//!                     word 2   the largest packet that it takes 16
//! ```
//!
//! A connection knows its next hop by its *name*, a hash of these words, of which the lower bits
//! are its place. Whoever reads a place makes sure that it has what the name stands for: another
//! next hop may have come there, or be coming there at this moment.

use super::connection::Hash;
use super::{Tables, Words, part};
use crate::frame::NextHop;

/// Places for next hops of clients.
pub const NEXT_HOPS: u32 = 1024;
/// Words of a place.
pub const WORDS: usize = 4;

/// The name of a next hop that takes packets of so many octets.
#[inline(always)]
fn name(next_hop: NextHop, largest: u64) -> u32 {
    let NextHop([first, second]) = next_hop;
    let hash = Hash::new(largest).absorb(first).absorb(second);
    hash.finish() as u32
}

/// The next hop of this name, if it is still there and takes packets of `length` octets.
#[inline(always)]
pub(super) fn named<T: Tables>(tables: &T, wanted: u32, length: u32) -> Option<NextHop> {
    let place = tables.next_hop(wanted & (NEXT_HOPS - 1))?;
    let next_hop = NextHop([place.load(0), place.load(1)]);
    let largest = place.load(2);
    let is_it = name(next_hop, largest) == wanted;
    (is_it && u64::from(length) <= largest).then_some(next_hop)
}

/// Puts a next hop in its place; gives its name.
#[inline(always)]
pub(super) fn put<T: Tables>(tables: &T, next_hop: &NextHop, largest: u16) -> Option<u32> {
    let name = name(*next_hop, largest.into());
    let place = tables.next_hop(name & (NEXT_HOPS - 1))?;
    let NextHop([first, second]) = *next_hop;
    let wanted = [first, second, largest.into()];
    // Many connections have it, and most find it there.
    if [place.load(0), place.load(1), place.load(2)] != wanted {
        let [first, second, largest] = wanted;
        place.store(0, first);
        place.store(1, second);
        place.store(2, largest);
    }
    Some(name)
}

/// Which words of a destination.

#[derive(Debug, Clone, Copy)]
pub(super) struct NextHopWords {
    /// Largest packet 16 | stamp 16 | not ours 32.
    pub(super) stamp: usize,
    /// The first of the two with the addresses and the device.
    pub(super) hop: usize,
}

/// The stamp of a next hop that is being written.
pub(super) const WRITING: u64 = 1 << 16;
/// The part of the word with the stamp that is the next hop's.
const OURS: u64 = 0xffff_ffff;

/// The next hop, if it was learned under this stamp and takes packets of `length` octets.
#[inline(always)]
pub(super) fn read<W: Words>(
    entry: W,
    words: NextHopWords,
    stamp: u16,
    length: u32,
) -> Option<NextHop> {
    let word = entry.load(words.stamp);
    if part(word, 16, 0xffff) != u64::from(stamp) || length > part(word, 0, 0xffff) as u32 {
        return None;
    }
    Some(NextHop([entry.load(words.hop), entry.load(words.hop + 1)]))
}

/// Remembers a next hop and the largest packet that it takes, unless somebody else does so
/// at this moment.
///
/// Under one stamp it is written once: a reader that finds its stamp before the words were
/// read has read them whole.
#[inline(always)]
pub(super) fn write<W: Words>(
    entry: W,
    words: NextHopWords,
    next_hop: &NextHop,
    largest: u16,
    stamp: u16,
) {
    let before = entry.load(words.stamp);
    let is_current = part(before, 16, 0xffff) == u64::from(stamp);
    let rest = before & !OURS;
    let is_being_written = before & OURS == WRITING;
    if is_current
        || is_being_written
        || !entry.compare_exchange(words.stamp, before, rest | WRITING)
    {
        return;
    }
    let NextHop([first, second]) = *next_hop;
    entry.store(words.hop, first);
    entry.store(words.hop + 1, second);
    entry.exchange(
        words.stamp,
        rest | u64::from(largest) | u64::from(stamp) << 16,
    );
}
