//! Words of a map, shared between processors.
//!
//! The compiler hides compare-and-exchange for this target, and LLVM cannot select an
//! atomic load; the intrinsics and volatile accesses are what is left.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};
use core::ptr::{read_volatile, write_volatile};

use elver_packet::table::Words;

/// An entry of `N` words.
#[derive(Clone, Copy)]
pub(crate) struct Entry<const N: usize>(pub(crate) *mut [u64; N]);

impl<const N: usize> Entry<N> {
    #[inline(always)]
    fn word(self, word: usize) -> Option<*mut u64> {
        // SAFETY: the pointer is that of a map's value of N words, and the word is one of them.
        if word < N {
            Some(unsafe { self.0.cast::<u64>().add(word) })
        } else {
            None
        }
    }
}

impl<const N: usize> Words for Entry<N> {
    #[inline(always)]
    fn load(self, word: usize) -> u64 {
        // SAFETY: as in `word`; an aligned volatile load is a single one.
        self.word(word)
            .map_or(0, |word| unsafe { read_volatile(word) })
    }

    #[inline(always)]
    fn store(self, word: usize, value: u64) {
        if let Some(word) = self.word(word) {
            // SAFETY: as in `word`; an aligned volatile store is a single one.
            unsafe { write_volatile(word, value) }
        }
    }

    #[inline(always)]
    fn exchange(self, word: usize, value: u64) -> u64 {
        // SAFETY: as in `word`.
        self.word(word).map_or(0, |word| unsafe {
            atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(word, value)
        })
    }

    #[inline(always)]
    fn compare_exchange(self, word: usize, expected: u64, new: u64) -> bool {
        self.word(word).is_some_and(|word| {
            // SAFETY: as in `word`.
            let (before, _) = unsafe {
                atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                    word, expected, new,
                )
            };
            before == expected
        })
    }

    #[inline(always)]
    fn fetch_add(self, word: usize, amount: u64) -> u64 {
        // SAFETY: as in `word`.
        self.word(word).map_or(0, |word| unsafe {
            atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(word, amount)
        })
    }
}
