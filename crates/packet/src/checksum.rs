//! The Internet checksum (RFC 1071), and how it changes when the data does (RFC 1624).
//!
//! Sums are of 16-bit words as they stand in memory: a one's complement sum does not
//! care for byte order as long as nobody changes it on the way (RFC 1071, section 2 (B)).

/// A difference between two states of the data under a checksum, not yet folded.
///
/// `sum(new) - sum(old)` in one's complement arithmetic; adding two differences is
/// plain [`Difference::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Difference(u64);

impl Difference {
    /// Nothing changed.
    pub const NONE: Difference = Difference(0);

    /// A 32-bit word at an even offset changed, given as it stands in memory.
    #[inline(always)]
    pub fn of_word(old: u32, new: u32) -> Difference {
        Difference(u64::from(!old) + u64::from(new))
    }

    /// A 16-bit word at an even offset changed, given as it stands in memory.
    #[inline(always)]
    pub fn of_half(old: u16, new: u16) -> Difference {
        Difference(u64::from(!old) + u64::from(new))
    }

    /// Both changes.
    #[inline(always)]
    #[allow(
        clippy::should_implement_trait,
        reason = "an operator would hide that this is no integer sum"
    )]
    pub fn add(self, other: Difference) -> Difference {
        Difference(self.0 + other.0)
    }

    /// The difference as a 32-bit one's complement number, as `bpf_l4_csum_replace` takes it.
    #[inline(always)]
    pub fn folded_to_word(self) -> u32 {
        let once = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((once & 0xffff_ffff) + (once >> 32)) as u32
    }

    /// The checksum after the change: `HC' = ~(~HC + ~m + m')`, RFC 1624, equation 3.
    #[inline(always)]
    pub fn apply(self, checksum: u16) -> u16 {
        !fold(u64::from(!checksum) + u64::from(self.folded_to_word()))
    }
}

/// The sum of data as a number that [`fold`] takes; a last odd octet is padded with 0.
pub fn sum(data: &[u8]) -> u64 {
    let mut total = 0u64;
    let mut words = data.chunks_exact(2);
    for word in &mut words {
        if let [first, second] = *word {
            total += u64::from(u16::from_ne_bytes([first, second]));
        }
    }
    if let [last] = *words.remainder() {
        total += u64::from(u16::from_ne_bytes([last, 0]));
    }
    total
}

/// The sum of an address in two words, as a number that [`fold`] takes.
#[inline(always)]
pub fn sum_of_words([first, second]: [u64; 2]) -> u64 {
    let half = |word: u64| (word & 0xffff_ffff) + (word >> 32);
    half(first) + half(second)
}

/// A sum folded to 16 bits, not complemented.
#[inline(always)]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1624, section 4: the case in which equation 2 of RFC 1141 gives 0xffff.
    #[test]
    fn rfc1624_section_4_example() {
        let difference = Difference::of_half(0x5555, 0x3285);
        assert_eq!(difference.apply(0xdd2f), 0x0000);
    }

    proptest! {
        /// Updating agrees with summing anew, but for the two forms of zero.
        #[test]
        fn incremental_equals_whole(mut data in proptest::collection::vec(any::<u8>(), 8..64), at in 0usize..16, new: u32) {
            let at = (at * 4).min(data.len() / 4 * 4 - 4);
            let before = !fold(sum(&data));
            let old = u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
            data[at..at + 4].copy_from_slice(&new.to_ne_bytes());
            let after = Difference::of_word(old, new).apply(before);
            // The checksum of the data with the checksum in it is 0 in one's complement: 0 or 0xffff.
            let total = fold(sum(&data) + u64::from(after));
            prop_assert!(total == 0xffff || total == 0, "{total:#x}");
        }

        /// The 32-bit form, folded, is the same difference.
        #[test]
        fn word_form_is_the_same(old: u32, new: u32, old_port: u16, new_port: u16, checksum: u16) {
            let difference = Difference::of_word(old, new).add(Difference::of_half(old_port, new_port));
            let by_hand = !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new) + u64::from(!old_port) + u64::from(new_port));
            prop_assert_eq!(difference.apply(checksum), by_hand);
        }
    }
}
