//! Processes whose number instances track: when there are enough of them.

use std::time::Instant;

use crate::config::model::TrackedProcess;

/// How many processes there are, and since when that says something else.
#[derive(Debug)]
pub(super) struct ProcessTracker {
    pub(super) configuration: TrackedProcess,
    /// Whether there are enough and not too many; not known before they were counted.
    pub(super) good: Option<bool>,
    /// How many there are.
    pub(super) count: u32,
    /// When the other of good and bad begins to count, unless it ends before.
    changes_at: Option<Instant>,
}

impl ProcessTracker {
    pub(super) fn new(configuration: TrackedProcess) -> ProcessTracker {
        ProcessTracker {
            configuration,
            good: None,
            count: 0,
            changes_at: None,
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.changes_at
    }

    /// There are this many now. Whether the outcome is another one; the first counts at once.
    pub(super) fn counted(&mut self, now: Instant, count: u32) -> bool {
        self.count = count;
        let TrackedProcess { least, most, .. } = self.configuration;
        let good = count >= least && most.is_none_or(|most| count <= most);
        let Some(before) = self.good else {
            self.good = Some(good);
            return true;
        };
        if good == before {
            self.changes_at = None;
            return false;
        }
        let delay = if good {
            self.configuration.rise_delay
        } else {
            self.configuration.fall_delay
        };
        self.changes_at.get_or_insert(now + delay);
        self.handle_timeout(now)
    }

    /// Whether the outcome is another one now.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.changes_at.is_none_or(|at| at > now) {
            return false;
        }
        self.changes_at = None;
        self.good = self.good.map(|good| !good);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_quorum_counts_after_its_delay_unless_it_ends_before() {
        let now = Instant::now();
        let seconds = |seconds| now + Duration::from_secs(seconds);
        let mut tracker = ProcessTracker::new(TrackedProcess {
            name: "p".to_owned(),
            program: "p".to_owned(),
            by_command_line: false,
            parameters: Vec::new(),
            parameter_match: None,
            least: 2,
            most: Some(3),
            rise_delay: Duration::from_secs(5),
            fall_delay: Duration::from_secs(1),
        });
        assert!(tracker.counted(now, 2));
        assert_eq!(tracker.good, Some(true));
        assert!(!tracker.counted(now, 4));
        assert_eq!(tracker.next_timeout(), Some(seconds(1)));
        assert!(!tracker.counted(now, 3), "a fork that was soon over");
        assert_eq!(tracker.next_timeout(), None);
        assert!(!tracker.counted(seconds(2), 1));
        assert!(!tracker.counted(seconds(2), 0));
        assert!(tracker.handle_timeout(seconds(3)));
        assert_eq!(tracker.good, Some(false));
        assert!(!tracker.counted(seconds(4), 2));
        assert!(!tracker.handle_timeout(seconds(8)));
        assert!(tracker.handle_timeout(seconds(9)));
        assert_eq!(tracker.good, Some(true));
    }
}
