//! The intervals of RFC 3768 section 6.1 and RFC 9568 section 6.1.

use std::time::Duration;

use crate::config::model::VrrpVersion;

/// Time by which a backup of lower priority waits longer than one of higher priority.
///
/// 3768-6.1-a: "( (256 - Priority) / 256 )" seconds.
/// 9568-6.1-b: the same fraction of the interval of the master.
pub fn skew_time(version: VrrpVersion, priority: u8, master_interval: Duration) -> Duration {
    let unit = match version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => master_interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// Time without an advertisement after which a backup declares the master dead:
/// `advertisements` intervals (3, unless `down_timer_adverts` says otherwise) and the skew.
///
/// 3768-6.1-b, 9568-6.1-c, Master_Down_Interval: "(3 * Advertisement_Interval) + Skew_time".
///
/// `master_interval` is the interval of the master, which version 3 learns from its
/// advertisements.
pub fn master_down_interval(
    version: VrrpVersion,
    priority: u8,
    master_interval: Duration,
    advertisements: u32,
) -> Duration {
    master_interval * advertisements + skew_time(version, priority, master_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_skews_by_fractions_of_a_second_whatever_the_interval() {
        let interval = Duration::from_secs(5);
        assert_eq!(
            skew_time(VrrpVersion::V2, 255, interval),
            Duration::from_micros(3906) + Duration::from_nanos(250)
        );
        assert_eq!(
            skew_time(VrrpVersion::V2, 128, interval),
            Duration::from_millis(500)
        );
        assert_eq!(
            master_down_interval(VrrpVersion::V2, 100, Duration::from_secs(1), 3),
            Duration::from_nanos(3_609_375_000)
        );
    }

    #[test]
    fn version_3_skews_by_fractions_of_the_interval() {
        let interval = Duration::from_millis(10);
        assert_eq!(
            skew_time(VrrpVersion::V3, 128, interval),
            Duration::from_millis(5)
        );
        assert_eq!(
            master_down_interval(VrrpVersion::V3, 128, interval, 3),
            Duration::from_millis(35)
        );
    }
}
