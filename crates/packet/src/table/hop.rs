//! A next hop that the programs remember, in three words of an entry.

use super::{Words, part};
use crate::frame::NextHop;

/// Which words.
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
