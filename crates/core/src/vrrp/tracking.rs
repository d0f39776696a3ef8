//! What interfaces and scripts make of the priority of an instance, or of its taking part.

use super::advertisement::PRIORITY_OWNER;
use crate::config::model::{Tracked, Tracker};

/// What the tracked things of an instance come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The priority with all weights.
    pub(super) priority: u8,
    /// Something without a weight is bad: the instance is in fault.
    pub(super) fault: bool,
    /// Something without a weight is not known yet: the instance does not start before.
    pub(super) unknown: bool,
}

/// Weighs what is tracked; a weight that is positive is added while the thing is good, and
/// one that is negative while it is bad. The owner of the addresses keeps its priority.
pub(super) fn weigh(
    base: u8,
    tracked: &[Tracked],
    known: impl Fn(&Tracker) -> Option<bool>,
) -> Verdict {
    let mut priority = i32::from(base);
    let (mut fault, mut unknown) = (false, false);
    for Tracked {
        tracker,
        weight,
        reverse,
    } in tracked
    {
        let Some(good) = known(tracker) else {
            // Only what can take the instance to fault holds its start back.
            unknown |= *weight == 0;
            continue;
        };
        let good = good != *reverse;
        match weight {
            0 => fault |= !good,
            weight if (*weight > 0) == good => priority += i32::from(*weight),
            _ => {}
        }
    }
    let priority = if base == PRIORITY_OWNER {
        PRIORITY_OWNER
    } else {
        u8::try_from(priority.clamp(1, 254)).unwrap_or(base)
    };
    Verdict {
        priority,
        fault,
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        let tracker = || Tracker::Script("s".to_owned());
        let cases = [
            // Base, weight, reverse, good → priority, fault.
            (100, 10, false, Some(true), 110, false),
            (100, 10, false, Some(false), 100, false),
            (100, -10, false, Some(true), 100, false),
            (100, -10, false, Some(false), 90, false),
            (100, -10, true, Some(true), 90, false),
            (100, 10, true, Some(false), 110, false),
            (100, 0, false, Some(true), 100, false),
            (100, 0, false, Some(false), 100, true),
            (100, 0, true, Some(true), 100, true),
            (250, 10, false, Some(true), 254, false),
            (5, -10, false, Some(false), 1, false),
            (255, -10, false, Some(false), 255, false),
            (255, 0, false, Some(false), 255, true),
            (100, -10, false, None, 100, false),
            (100, 0, false, None, 100, false),
        ];
        for (base, weight, reverse, good, priority, fault) in cases {
            let tracked = [Tracked {
                tracker: tracker(),
                weight,
                reverse,
            }];
            let verdict = weigh(base, &tracked, |_| good);
            let expected = Verdict {
                priority,
                fault,
                // keepalived starts instances before a weight is known.
                unknown: good.is_none() && weight == 0,
            };
            assert_eq!(verdict, expected, "{base} {weight} {reverse} {good:?}");
        }
    }
}
