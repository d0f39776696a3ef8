//! The clock of the programs: jiffies, which cost nothing to read in the kernel.

use std::time::Duration;

use elver_packet::table::Words;
use elver_packet::table::settings::{CLOCK_WORD, JIFFIES_WORD, NANOSECONDS_WORD, Ticks};
use rustix::time::{ClockId, clock_gettime};

/// Tells ticks as the programs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    hertz: u64,
    shift: u32,
    jiffies: u64,
    nanoseconds: u64,
}

/// The values that `CONFIG_HZ` can have.
const HERTZ: [u64; 4] = [100, 250, 300, 1000];
/// Jiffies begin five minutes before their lower 32 bits wrap (`INITIAL_JIFFIES`).
const SECONDS_BEFORE_WRAP: u64 = 300;

impl Clock {
    /// Finds out how fast jiffies go from one reading of both clocks: they began together,
    /// at boot, at a known value.
    ///
    /// None if no rate fits, which is so for a moment around the wrap.
    pub fn measure(jiffies: u64, nanoseconds: u64) -> Option<Clock> {
        let error = |hertz: u64| {
            let start = i128::from(1u64 << 32) - i128::from(SECONDS_BEFORE_WRAP * hertz);
            let expected = start + i128::from(nanoseconds) * i128::from(hertz) / 1_000_000_000;
            (i128::from(jiffies) - expected).unsigned_abs()
        };
        let best = HERTZ.into_iter().min_by_key(|hertz| error(*hertz))?;
        let others = HERTZ
            .into_iter()
            .filter(|hertz| *hertz != best)
            .map(error)
            .min()?;
        // A tick's worth of uncertainty, and far from the second best.
        if error(best) > u128::from(best) || others < 10 * (error(best) + 1) {
            return None;
        }
        Some(Clock::of(best, jiffies, nanoseconds))
    }

    /// Finds out how fast jiffies go from two readings of both clocks, some seconds apart: where
    /// the kernel has lost ticks at boot, as in a virtual machine that had to wait, jiffies are not
    /// what [`Clock::measure`] expects.
    ///
    /// None if no rate fits.
    pub fn between(earlier: (u64, u64), later: (u64, u64)) -> Option<Clock> {
        let jiffies = u128::from(later.0.checked_sub(earlier.0)?);
        let nanoseconds = u128::from(later.1.checked_sub(earlier.1)?);
        let rate = (jiffies * 1_000_000_000).checked_div(nanoseconds)?;
        // No two rates are closer to each other than a sixth.
        let fits = |hertz: &u64| u128::from(*hertz).abs_diff(rate) * 20 < u128::from(*hertz);
        let hertz = HERTZ.into_iter().find(fits)?;
        Some(Clock::of(hertz, later.0, later.1))
    }

    fn of(hertz: u64, jiffies: u64, nanoseconds: u64) -> Clock {
        Clock {
            hertz,
            // Makes a tick closest to an eighth of a second from above.
            shift: (hertz / 8).ilog2() + 1,
            jiffies,
            nanoseconds,
        }
    }

    /// The clock that the settings tell of.
    pub fn from_settings<W: Words>(settings: W) -> Clock {
        let word = settings.load(CLOCK_WORD);
        Clock {
            shift: (word & 0xff) as u32,
            hertz: (word >> 8) & 0xffff,
            jiffies: settings.load(JIFFIES_WORD),
            nanoseconds: settings.load(NANOSECONDS_WORD),
        }
    }

    /// Writes what [`Clock::from_settings`] reads.
    pub fn store<W: Words>(self, settings: W) {
        settings.store(JIFFIES_WORD, self.jiffies);
        settings.store(NANOSECONDS_WORD, self.nanoseconds);
        settings.exchange(CLOCK_WORD, u64::from(self.shift) | self.hertz << 8);
    }

    /// Now, in the programs' ticks.
    pub fn now(self) -> Ticks {
        let now = clock_gettime(ClockId::Monotonic);
        let nanoseconds = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        let since = nanoseconds.saturating_sub(self.nanoseconds);
        let jiffies =
            self.jiffies + (u128::from(since) * u128::from(self.hertz) / 1_000_000_000) as u64;
        (jiffies >> self.shift) as Ticks
    }

    /// A time in ticks, rounded up.
    pub fn ticks(self, duration: Duration) -> Ticks {
        let jiffies = duration.as_nanos() * u128::from(self.hertz) / 1_000_000_000;
        u32::try_from((jiffies + (1 << self.shift) - 1) >> self.shift).unwrap_or(Ticks::MAX / 2)
    }

    /// Ticks as a time.
    pub fn duration(self, ticks: Ticks) -> Duration {
        let jiffies = u128::from(ticks) << self.shift;
        Duration::from_nanos((jiffies * 1_000_000_000 / u128::from(self.hertz.max(1))) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jiffies(hertz: u64, nanoseconds: u64) -> u64 {
        let since_boot = u128::from(nanoseconds) * u128::from(hertz) / 1_000_000_000;
        (1u64 << 32) - SECONDS_BEFORE_WRAP * hertz + since_boot as u64
    }

    /// A virtual machine that was kept waiting at boot had lost more than a second's ticks, and no
    /// director started there.
    #[test]
    fn lost_ticks_at_boot_do_not_matter() {
        for hertz in HERTZ {
            let reading = |seconds: u64| {
                let nanoseconds = seconds * 1_000_000_000 + 77_000_000;
                (jiffies(hertz, nanoseconds) - 7 * hertz, nanoseconds)
            };
            let [earlier, later] = [100, 102].map(reading);
            assert_eq!(Clock::measure(later.0, later.1), None);
            let clock = Clock::between(earlier, later).unwrap();
            assert_eq!(clock.hertz, hertz);
            assert_eq!(clock.jiffies, later.0);
        }
        assert_eq!(Clock::between((5, 5), (5, 5)), None);
        assert_eq!(Clock::between((0, 0), (500, 1_000_000_000)), None);
    }

    #[test]
    fn every_rate_is_recognised() {
        for hertz in HERTZ {
            for seconds in [1, 60, 290, 310, 86_400, 400 * 86_400] {
                let nanoseconds = seconds * 1_000_000_000 + 123;
                let clock = Clock::measure(jiffies(hertz, nanoseconds), nanoseconds);
                assert_eq!(
                    clock.map(|clock| clock.hertz),
                    Some(hertz),
                    "{hertz} Hz after {seconds} s"
                );
            }
        }
    }

    #[test]
    fn at_the_wrap_every_rate_fits_and_none_is_chosen() {
        let nanoseconds = SECONDS_BEFORE_WRAP * 1_000_000_000;
        assert_eq!(Clock::measure(jiffies(250, nanoseconds), nanoseconds), None);
    }

    #[test]
    fn durations_survive_the_way_through_ticks() {
        for hertz in HERTZ {
            let nanoseconds = 1_000_000_000_000;
            let clock = Clock::measure(jiffies(hertz, nanoseconds), nanoseconds).unwrap();
            for seconds in [1, 3, 50, 900, 2_678_400] {
                let there = clock.duration(clock.ticks(Duration::from_secs(seconds)));
                let over = there.checked_sub(Duration::from_secs(seconds)).unwrap();
                assert!(
                    over < Duration::from_millis(300),
                    "{seconds} s at {hertz} Hz became {there:?}"
                );
            }
        }
    }
}
