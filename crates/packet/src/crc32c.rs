//! CRC32c (RFC 9260, appendix A), as it changes when the data does.
//!
//! A CRC is linear: that of data with some bits turned over differs from that of the data by
//! the CRC, without its initial and final complement, of those bits alone. What is behind
//! them counts by its length only, so no packet is read through for a new port.

/// The polynomial 0x1EDC6F41, its highest power in the lowest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// 1, the lowest power, in that representation.
const ONE: u32 = 1 << 31;

/// The product of two polynomials, modulo the CRC's.
const fn multiply(left: u32, right: u32) -> u32 {
    let mut product = 0;
    let mut right = right;
    let mut bit = 0;
    while bit < 32 {
        if left >> (31 - bit) & 1 != 0 {
            product ^= right;
        }
        right = if right & 1 != 0 {
            (right >> 1) ^ POLYNOMIAL
        } else {
            right >> 1
        };
        bit += 1;
    }
    product
}

/// For 1, 2, 4 … 2¹⁵ octets: what each half octet of a register becomes when so many octets
/// of zeros go through it. One row after the other, 128 entries for each number of octets.
static STEPS: [u32; 16 * 128] = {
    let mut steps = [0; 16 * 128];
    // x to the power of 8: one octet.
    let mut power = ONE >> 8;
    let mut step = 0;
    while step < 16 {
        let mut entry = 0;
        while entry < 128 {
            let half_octet = (entry as u32 & 0xf) << (4 * (entry / 16));
            steps[128 * step + entry] = multiply(half_octet, power);
            entry += 1;
        }
        power = multiply(power, power);
        step += 1;
    }
    steps
};

/// How the CRC of data changes (by exclusive or) when four octets of it do, with `after`
/// octets behind them, fewer than 65532. The four are given as they stand in memory.
#[inline(never)]
pub fn change(old: u32, new: u32, after: u32) -> u32 {
    let mut register = u32::from_le_bytes((old ^ new).to_ne_bytes());
    let octets = after.wrapping_add(4);
    let mut step = 0;
    while step < 16 {
        let mut moved = 0;
        let mut half = 0;
        while half < 8 {
            let entry = 128 * step + 16 * half + (register >> (4 * half) & 0xf);
            moved ^= STEPS.get(entry as usize).copied().unwrap_or(0);
            half += 1;
        }
        // Without a branch, or the verifier in the kernel would follow two for each step.
        let counts = (octets >> step & 1).wrapping_neg();
        register = moved & counts | register & !counts;
        step += 1;
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit, as the RFC defines it.
    fn crc32c(data: &[u8]) -> u32 {
        let mut register = u32::MAX;
        for octet in data {
            register ^= u32::from(*octet);
            for _ in 0..8 {
                register = (register >> 1) ^ (POLYNOMIAL * (register & 1));
            }
        }
        !register
    }

    /// The check value of the catalogue of parametrised CRC algorithms.
    #[test]
    fn the_witness_is_right() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn changing_equals_summing_anew(mut data in proptest::collection::vec(any::<u8>(), 4..3000), new: u32) {
            let before = crc32c(&data);
            let old = u32::from_ne_bytes(data[..4].try_into().unwrap());
            data[..4].copy_from_slice(&new.to_ne_bytes());
            prop_assert_eq!(before ^ change(old, new, data.len() as u32 - 4), crc32c(&data));
        }
    }
}
