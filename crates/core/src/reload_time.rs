//! When a configuration is to be read again, as `reload_time_file` says it.

use std::str::FromStr;

/// A time of day, perhaps of one day only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadTime {
    /// Year, month and day; every day without.
    pub date: Option<(i32, u8, u8)>,
    /// Hour, minute and second.
    pub time: (u8, u8, u8),
    /// Whether it is UTC, and not the time zone of the host.
    pub utc: bool,
}

/// Why a line is no such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is none of HH:MM:SS, YY-MM-DD HH:MM:SS and YYYY-MM-DD HH:MM:SS, each with a Z or without"
)]
pub struct NoTime;

impl FromStr for ReloadTime {
    type Err = NoTime;

    /// As keepalived.conf(5) has it, to the letter.
    fn from_str(line: &str) -> Result<ReloadTime, NoTime> {
        let (rest, utc) = match line.strip_suffix('Z') {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let (date, time) = match rest.split_once(' ') {
            Some((date, time)) => (Some(read_date(date).ok_or(NoTime)?), time),
            None => (None, rest),
        };
        let [hour, minute, second] = read_three(time, ':', &[2]).ok_or(NoTime)?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(NoTime);
        }
        let octet = |number: u16| u8::try_from(number).unwrap_or_default();
        Ok(ReloadTime {
            date,
            time: (octet(hour), octet(minute), octet(second)),
            utc,
        })
    }
}

fn read_date(text: &str) -> Option<(i32, u8, u8)> {
    let [year, month, day] = read_three(text, '-', &[2, 4])?;
    let century = if text.len() == "YY-MM-DD".len() {
        2000
    } else {
        0
    };
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    let date = (
        i32::from(year) + century,
        u8::try_from(month).ok()?,
        u8::try_from(day).ok()?,
    );
    is_date.then_some(date)
}

/// Three numbers; the first has one of these numbers of digits, the others two.
fn read_three(text: &str, between: char, first: &[usize]) -> Option<[u16; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (position, number) in numbers.iter_mut().enumerate() {
        let part = parts.next()?;
        let lengths = if position == 0 { first } else { &[2] };
        let are_digits = part.bytes().all(|octet| octet.is_ascii_digit());
        if !are_digits || !lengths.contains(&part.len()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_keepalived_takes() {
        let time = |date, utc| ReloadTime {
            date,
            time: (1, 2, 3),
            utc,
        };
        for (line, expected) in [
            ("01:02:03", time(None, false)),
            ("01:02:03Z", time(None, true)),
            ("26-11-23 01:02:03", time(Some((2026, 11, 23)), false)),
            ("2026-11-23 01:02:03Z", time(Some((2026, 11, 23)), true)),
        ] {
            assert_eq!(line.parse(), Ok(expected), "{line}");
        }
        for line in [
            "",
            "1:02:03",
            "01:02",
            "24:00:00",
            "01:60:00",
            "01:02:03 ",
            " 01:02:03",
            "2026-11-23  01:02:03",
            "2026-13-01 01:02:03",
            "026-11-23 01:02:03",
            "01:02:03z",
            "+1:02:03",
            "01:02:03:04",
        ] {
            assert_eq!(line.parse::<ReloadTime>(), Err(NoTime), "{line}");
        }
    }
}
