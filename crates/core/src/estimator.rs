//! Rates of connections, packets and octets, as the kernel estimates them
//! (`net/netfilter/ipvs/ip_vs_est.c`).
//!
//! Every [`INTERVAL`] the average moves a quarter of the way to what was counted since the
//! last time: `average += (rate - average) / 4`. Numbers are per second, in fixed point:
//! connections and packets with ten bits behind the point, octets with five.

use std::time::Duration;

use crate::service::Rates;

/// How often the estimate is brought up to date.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// Connections, packets in and out, octets in and out.
pub type Counts = [u64; 5];

/// Bits behind the point of each.
const FRACTION: [u32; 5] = [10, 10, 10, 5, 5];
/// What is added before the fraction is cut off: just less than a half.
const ROUNDING: [u64; 5] = [0x1ff, 0x1ff, 0x1ff, 0xf, 0xf];

/// What is known of one destination's rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// The totals at the last time.
    pub last: Counts,
    /// The averages, in fixed point.
    pub averages: Counts,
}

impl Estimate {
    /// Takes the totals of now in, [`INTERVAL`] after the last time.
    pub fn advance(&mut self, totals: &Counts) {
        let all = self.averages.iter_mut().zip(&mut self.last).zip(totals);
        for (((average, last), total), fraction) in all.zip(FRACTION) {
            let counted = total.saturating_sub(*last);
            // Two seconds: one bit less is the number of one.
            let rate = counted << (fraction - 1);
            let step = (rate as i64).wrapping_sub(*average as i64) >> 2;
            *average = average.wrapping_add_signed(step);
            *last = *total;
        }
    }

    /// The totals were set to 0; the rates stay.
    pub fn zero(&mut self) {
        self.last = Counts::default();
    }
}

/// The rates of these averages, taken together.
pub fn rates<'a>(estimates: impl IntoIterator<Item = &'a Estimate>) -> Rates {
    let mut sum = Counts::default();
    for estimate in estimates {
        for (sum, average) in sum.iter_mut().zip(estimate.averages) {
            *sum = sum.wrapping_add(average);
        }
    }
    for ((sum, rounding), fraction) in sum.iter_mut().zip(ROUNDING).zip(FRACTION) {
        *sum = (*sum + rounding) >> fraction;
    }
    let [connections, packets_in, packets_out, bytes_in, bytes_out] = sum;
    Rates {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As seen on kernel IPVS: ten packets at once show as one a second, then fade.
    #[test]
    fn ten_packets_at_once_fade() {
        let mut estimate = Estimate::default();
        let seen: Vec<u64> = (0..6)
            .map(|_| {
                estimate.advance(&[1, 10, 0, 500, 0]);
                rates([&estimate]).packets_in
            })
            .collect();
        assert_eq!(seen, [1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_steady_rate_is_found() {
        let mut estimate = Estimate::default();
        for second in 1..=60u64 {
            let so_far = 2 * second;
            estimate.advance(&[so_far * 3, so_far * 40, so_far * 20, so_far * 60_000, 0]);
        }
        let rates = rates([&estimate]);
        assert_eq!(
            (rates.connections, rates.packets_in, rates.packets_out),
            (3, 40, 20)
        );
        // The steps are cut off, so the average stays a little below.
        assert!(
            (59_990..=60_000).contains(&rates.bytes_in),
            "{}",
            rates.bytes_in
        );
    }

    #[test]
    fn zeroing_keeps_the_rates() {
        let mut estimate = Estimate::default();
        estimate.advance(&[100, 100, 100, 100, 100]);
        let before = rates([&estimate]);
        estimate.zero();
        assert_eq!(rates([&estimate]), before);
        estimate.advance(&Counts::default());
        assert!(rates([&estimate]).connections < before.connections);
    }
}
