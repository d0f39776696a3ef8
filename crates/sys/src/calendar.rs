//! Dates of this host's time zone and of UTC.

use std::io;
use std::mem::MaybeUninit;

/// A second of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalendarTime {
    /// The year.
    pub year: i32,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1; a larger number is a day of a later month.
    pub day: u8,
    /// Hour, minute and second.
    pub time: (u8, u8, u8),
}

/// The calendar at a time in seconds since 1970, of this host's time zone or of UTC.
///
/// # Errors
/// A year beyond what the C library counts.
pub fn calendar_at(seconds: i64, utc: bool) -> io::Result<CalendarTime> {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both read the time and write the parts, which live through the call.
    let done = unsafe {
        match utc {
            true => libc::gmtime_r(&seconds, parts.as_mut_ptr()),
            false => libc::localtime_r(&seconds, parts.as_mut_ptr()),
        }
    };
    if done.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed, which is a value, and has been filled in.
    let parts = unsafe { parts.assume_init() };
    let small = |part: libc::c_int| u8::try_from(part).unwrap_or_default();
    Ok(CalendarTime {
        year: parts.tm_year + 1900,
        month: small(parts.tm_mon + 1),
        day: small(parts.tm_mday),
        time: (
            small(parts.tm_hour),
            small(parts.tm_min),
            small(parts.tm_sec),
        ),
    })
}

/// The seconds since 1970 of a time of this host's time zone or of UTC. Of one that the zone has
/// twice, one of the two; one that it skips is the one an hour later.
///
/// # Errors
/// A time beyond what the C library counts.
pub fn seconds_of(calendar: CalendarTime, utc: bool) -> io::Result<i64> {
    let (hour, minute, second) = calendar.time;
    // SAFETY: it is made of numbers and a pointer that may be null; zeros are a value of it.
    let mut parts: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
    parts.tm_year = calendar.year - 1900;
    parts.tm_mon = libc::c_int::from(calendar.month) - 1;
    parts.tm_mday = calendar.day.into();
    parts.tm_hour = hour.into();
    parts.tm_min = minute.into();
    parts.tm_sec = second.into();
    // The C library finds out whether summer time is in force.
    parts.tm_isdst = -1;
    // SAFETY: both read and normalise the parts, which live through the call.
    let seconds = unsafe {
        match utc {
            true => libc::timegm(&mut parts),
            false => libc::mktime(&mut parts),
        }
    };
    match seconds {
        -1 => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_there_and_back() {
        for utc in [true, false] {
            for seconds in [0, 951_782_400, 1_790_000_000] {
                let calendar = calendar_at(seconds, utc).unwrap();
                assert_eq!(seconds_of(calendar, utc).unwrap(), seconds, "{calendar:?}");
            }
        }
        let leap = CalendarTime {
            year: 2000,
            month: 2,
            day: 29,
            time: (0, 0, 0),
        };
        assert_eq!(seconds_of(leap, true).unwrap(), 951_782_400);
        let after = CalendarTime { day: 30, ..leap };
        assert_eq!(seconds_of(after, true).unwrap(), 951_782_400 + 86_400);
    }
}
