//! The time of day where this machine stands, for log lines.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A moment in local time, by the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    weekday: usize,
    year: i32,
    month: usize,
    day: i32,
    hour: i32,
    minute: i32,
    second: i32,
}

/// This moment.
pub fn now() -> LocalTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    of(since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or_default()))
}

/// The moment so many seconds after 1970 began in Greenwich.
fn of(seconds: i64) -> LocalTime {
    // SAFETY: a `tm` of zeros is one: numbers, and a pointer to the name of the zone, which
    // may be null and is not read here.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to what they say, for the time of the call. A result of null leaves
    // `parts` as it was.
    unsafe { libc::localtime_r(&seconds, &mut parts) };
    let number = |number: i32| usize::try_from(number).unwrap_or_default();
    LocalTime {
        weekday: number(parts.tm_wday) % WEEKDAYS.len(),
        year: parts.tm_year + 1900,
        month: number(parts.tm_mon) % MONTHS.len(),
        day: parts.tm_mday,
        hour: parts.tm_hour,
        minute: parts.tm_min,
        second: parts.tm_sec,
    }
}

impl LocalTime {
    /// As lines of syslog(3) have it: `Nov  3 04:45:00`.
    pub fn syslog(&self) -> String {
        format!(
            "{} {:2} {:02}:{:02}:{:02}",
            MONTHS[self.month], self.day, self.hour, self.minute, self.second
        )
    }

    /// As ctime(3) has it: `Tue Nov  3 04:45:00 2026`.
    pub fn full(&self) -> String {
        format!("{} {} {}", WEEKDAYS[self.weekday], self.syslog(), self.year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_in_every_log() {
        let moment = LocalTime {
            weekday: 2,
            year: 2026,
            month: 10,
            day: 3,
            hour: 4,
            minute: 45,
            second: 0,
        };
        assert_eq!(moment.syslog(), "Nov  3 04:45:00");
        assert_eq!(moment.full(), "Tue Nov  3 04:45:00 2026");
    }

    #[test]
    fn the_time_of_day_is_that_of_date() {
        let seconds = 1_700_000_000;
        let output = std::process::Command::new("date")
            .args(["-d", &format!("@{seconds}"), "+%a %b %e %H:%M:%S %Y"])
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(of(seconds).full(), text.trim_end());
    }
}
