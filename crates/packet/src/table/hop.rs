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
    let [a, b, c, d, e, f, g, h] = entry.load(words.hop).to_ne_bytes();
    let [i, j, k, l, device @ ..] = entry.load(words.hop + 1).to_ne_bytes();
    Some(NextHop {
        device: u32::from_ne_bytes(device),
        destination: [a, b, c, d, e, f],
        source: [g, h, i, j, k, l],
    })
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
    let [a, b, c, d, e, f] = next_hop.destination;
    let [g, h, i, j, k, l] = next_hop.source;
    let [m, n, o, p] = next_hop.device.to_ne_bytes();
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
    entry.store(words.hop, u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    entry.store(words.hop + 1, u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
    entry.exchange(
        words.stamp,
        rest | u64::from(largest) | u64::from(stamp) << 16,
    );
}
