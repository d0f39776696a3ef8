//! How long a real server takes for TCP's handshake.
//!
//! An entry has no room for the moment at which its connection was opened. The header of its
//! set remembers that of one entry, the one that came into the set last: a handshake is
//! measured unless another connection is opened in the same set before it is over. Which ones
//! are missed has nothing to do with how long they take.
//!
//! ```text
//! word 0 of a header   way 3 | generation of its entry 16 | when it was opened, in 128 ns 45
//! ```

use super::{Control, control_of};
use crate::table::{Tables, Words};

/// The word of a header.
pub const OPENED_WORD: usize = 0;
/// Bits of the way and the generation; the others are the time.
pub const NAME_BITS: u32 = 19;
/// The unit of measured times, as a power of two of nanoseconds.
pub const UNIT_SHIFT: u32 = 7;

/// How the header names an entry.
#[inline(always)]
fn name(way: usize, generation: u16) -> u64 {
    way as u64 | u64::from(generation) << 3
}

/// A connection is opened: the entry with this index has been claimed for it.
#[inline(always)]
pub fn begin<T: Tables>(tables: &T, index: u32) {
    let Some((header, way)) = control_of(tables, index) else {
        return;
    };
    let generation = Control(header.load(way)).generation() as u16;
    let opened = tables.nanoseconds() >> UNIT_SHIFT;
    header.store(OPENED_WORD, opened << NAME_BITS | name(way, generation));
}

/// The handshake of the entry with this index and generation is over: how long it took, in
/// units of 128 ns, if that was measured.
#[inline(always)]
pub fn end<T: Tables>(tables: &T, index: u32, generation: u16) -> Option<u32> {
    let (header, way) = control_of(tables, index)?;
    let word = header.load(OPENED_WORD);
    if word & ((1 << NAME_BITS) - 1) != name(way, generation) {
        return None;
    }
    let now = tables.nanoseconds() >> UNIT_SHIFT << NAME_BITS;
    let took = now.wrapping_sub(word & !((1 << NAME_BITS) - 1)) >> NAME_BITS;
    // Nine minutes: no handshake of TCP takes as long.
    u32::try_from(took).ok()
}
