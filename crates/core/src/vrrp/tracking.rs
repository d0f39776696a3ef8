//! What everything that is tracked makes of the priority of an instance, or of its taking part.

use super::advertisement::PRIORITY_OWNER;
use crate::config::model::{Tracked, Tracker};

/// What the tracked things of an instance come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The priority with all weights.
    pub(super) priority: u8,
    /// The same without the bounds of a priority.
    pub(super) total: i64,
    /// Things that take the instance to fault.
    pub(super) faults: u32,
    /// Things that are not known yet without which the instance does not start.
    pub(super) unknown: u32,
}

/// What something that is tracked says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is good, or bad.
    Good(bool),
    /// A number, which is good while it is zero.
    Number(i64),
}

/// A sum from which on an instance cannot take part, whatever its priority.
const FAULT: i64 = -254;
/// The most that a number in a file adds to a priority.
const MOST: i64 = 253;

/// Weighs what is tracked. A weight that is positive is added while the thing is good, and
/// one that is negative while it is bad; `reverse` turns its sign, or, without a weight, good
/// and bad. A number is multiplied by its weight. The owner of the addresses keeps its
/// priority.
pub(super) fn weigh(
    base: u8,
    tracked: &[Tracked],
    known: impl Fn(&Tracker) -> Option<Reading>,
) -> Verdict {
    let mut total = i64::from(base);
    let (mut faults, mut unknown) = (0, 0);
    for Tracked {
        tracker,
        weight,
        reverse,
    } in tracked
    {
        let Some(reading) = known(tracker) else {
            // What can take the instance to fault holds its start back, and what will be
            // known in a moment. A script may take long.
            unknown += u32::from(*weight == 0 || !matches!(tracker, Tracker::Script(_)));
            continue;
        };
        let sign = if *reverse { -1 } else { 1 };
        let signed = i64::from(*weight) * sign;
        match (reading, *weight) {
            (Reading::Good(good), 0) => faults += u32::from(good == *reverse),
            (Reading::Number(number), 0) => faults += u32::from((number != 0) != *reverse),
            (Reading::Good(good), weight) if (weight > 0) == good => total += signed,
            (Reading::Good(_), _) => {}
            (Reading::Number(number), _) => match number.saturating_mul(signed) {
                sum if sum <= FAULT => faults += 1,
                sum => total += sum.min(MOST),
            },
        }
    }
    let priority = if base == PRIORITY_OWNER {
        PRIORITY_OWNER
    } else {
        // 9568-5.2.4-b, 3768-5.3.4-c: backups "MUST use priority values between 1-254".
        u8::try_from(total.clamp(1, 254)).unwrap_or(base)
    };
    Verdict {
        priority,
        total,
        faults,
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(base: u8, weight: i16, reverse: bool, reading: Option<Reading>) -> Verdict {
        let tracked = [Tracked {
            tracker: Tracker::Script("s".to_owned()),
            weight,
            reverse,
        }];
        weigh(base, &tracked, |_| reading)
    }

    /// As keepalived 2.2.7 computes it: what is reversed lowers the priority while it is
    /// good, or raises it while it is bad.
    #[test]
    fn weights() {
        let cases = [
            // Base, weight, reverse, good → priority, fault.
            (100, 10, false, Some(true), 110, false),
            (100, 10, false, Some(false), 100, false),
            (100, -10, false, Some(true), 100, false),
            (100, -10, false, Some(false), 90, false),
            (100, -10, true, Some(true), 100, false),
            (100, -10, true, Some(false), 110, false),
            (100, 10, true, Some(true), 90, false),
            (100, 10, true, Some(false), 100, false),
            (100, 0, false, Some(true), 100, false),
            (100, 0, false, Some(false), 100, true),
            (100, 0, true, Some(true), 100, true),
            (100, 0, true, Some(false), 100, false),
            (250, 10, false, Some(true), 254, false),
            (5, -10, false, Some(false), 1, false),
            (255, -10, false, Some(false), 255, false),
            (255, 0, false, Some(false), 255, true),
            (100, -10, false, None, 100, false),
            (100, 0, false, None, 100, false),
        ];
        for (base, weight, reverse, good, priority, fault) in cases {
            let Verdict {
                priority: got,
                faults,
                unknown,
                ..
            } = verdict(base, weight, reverse, good.map(Reading::Good));
            // keepalived starts instances before the weight of a script is known.
            let waits = good.is_none() && weight == 0;
            assert_eq!(
                (got, faults > 0, unknown > 0),
                (priority, fault, waits),
                "{base} {weight} {reverse} {good:?}"
            );
        }
    }

    #[test]
    fn numbers_are_multiplied_by_their_weight() {
        let cases = [
            // Weight, reverse, number → priority, fault.
            (1, false, 0, 100, false),
            (1, false, 20, 120, false),
            (1, false, -20, 80, false),
            (2, false, -20, 60, false),
            (2, true, -20, 140, false),
            (1, false, -253, 1, false),
            (1, false, -254, 100, true),
            (-254, false, 1, 100, true),
            (254, false, 1, 254, false),
            (254, false, i64::MAX, 254, false),
            (-2, false, i64::MAX, 100, true),
            (0, false, 0, 100, false),
            (0, false, 1, 100, true),
            (0, true, 0, 100, true),
            (0, true, -1, 100, false),
        ];
        for (weight, reverse, number, priority, fault) in cases {
            let verdict = verdict(100, weight, reverse, Some(Reading::Number(number)));
            assert_eq!(
                (verdict.priority, verdict.faults > 0, verdict.unknown),
                (priority, fault, 0),
                "{weight} {reverse} {number}"
            );
        }
    }

    #[test]
    fn what_is_known_in_a_moment_is_waited_for() {
        let tracked = [Tracked {
            tracker: Tracker::File("f".to_owned()),
            weight: 10,
            reverse: false,
        }];
        assert_eq!(weigh(100, &tracked, |_| None).unknown, 1);
    }
}
