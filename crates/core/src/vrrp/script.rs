//! A script whose outcome instances track: when it runs, and what its outcomes say.

use std::time::{Duration, Instant};

use crate::config::model::TrackedScript;

/// Time from SIGTERM to SIGKILL for a script that does not end.
const GRACE: Duration = Duration::from_secs(2);

/// What is to be done with a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptAction {
    /// Start it.
    Run,
    /// Ask the running one to end.
    Terminate,
    /// End the running one without its consent.
    Kill,
}

/// How often a script has succeeded or failed in a row, and when it runs next.
#[derive(Debug)]
pub(super) struct ScriptTracker {
    pub(super) configuration: TrackedScript,
    /// Whether it is good; not known before it has run.
    pub(super) good: Option<bool>,
    /// Successes while it is bad, failures while it is good.
    contrary: u32,
    /// The next start, unless it still runs then.
    due: Instant,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// When patience ends next.
    until: Instant,
    /// What was done when it ended last.
    asked: Option<ScriptAction>,
}

impl ScriptTracker {
    pub(super) fn new(configuration: TrackedScript, now: Instant) -> ScriptTracker {
        ScriptTracker {
            good: configuration.starts_failed.then_some(false),
            configuration,
            contrary: 0,
            due: now,
            running: None,
        }
    }

    /// What it does now, in keepalived's words.
    pub(super) fn doing(&self) -> &'static str {
        match self.running.as_ref().map(|running| running.asked) {
            None => "idle",
            Some(None | Some(ScriptAction::Run)) => "running",
            Some(Some(ScriptAction::Terminate)) => "requested termination",
            Some(Some(ScriptAction::Kill)) => "forcing termination",
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.running {
            None => Some(self.due),
            Some(running) if running.asked == Some(ScriptAction::Kill) => None,
            Some(running) => Some(running.until),
        }
    }

    /// Whether the outcome is another one now, and what is to be done.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> (bool, Option<ScriptAction>) {
        if self.next_timeout().is_none_or(|at| at > now) {
            return (false, None);
        }
        let Some(running) = &mut self.running else {
            self.running = Some(Running {
                until: now + self.configuration.timeout,
                asked: None,
            });
            self.due = now + self.configuration.interval;
            return (false, Some(ScriptAction::Run));
        };
        let first = running.asked.is_none();
        let action = if first {
            ScriptAction::Terminate
        } else {
            ScriptAction::Kill
        };
        running.asked = Some(action);
        running.until = now + GRACE;
        // One that hangs has failed, whether or not it can be ended.
        (first && self.count(false), Some(action))
    }

    /// It has ended, or could not be started. Whether the outcome is another one now.
    pub(super) fn ended(&mut self, now: Instant, succeeded: bool) -> bool {
        let Some(running) = self.running.take() else {
            return false;
        };
        self.due = self.due.max(now);
        running.asked.is_none() && self.count(succeeded)
    }

    fn count(&mut self, succeeded: bool) -> bool {
        let Some(good) = self.good else {
            self.good = Some(succeeded);
            return true;
        };
        if good == succeeded {
            self.contrary = 0;
            return false;
        }
        self.contrary += 1;
        let needed = if succeeded {
            self.configuration.rise
        } else {
            self.configuration.fall
        };
        if self.contrary < needed {
            return false;
        }
        self.contrary = 0;
        self.good = Some(succeeded);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Script;

    fn tracker(rise: u32, fall: u32, starts_failed: bool) -> (ScriptTracker, Instant) {
        let now = Instant::now();
        let configuration = TrackedScript {
            name: "s".to_owned(),
            script: Script {
                command: vec!["/bin/true".to_owned()],
                user: None,
            },
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            starts_failed,
        };
        (ScriptTracker::new(configuration, now), now)
    }

    /// One letter for each outcome: what the tracker says after it.
    fn outcomes(rise: u32, fall: u32, starts_failed: bool, given: &str) -> String {
        let (mut tracker, mut now) = tracker(rise, fall, starts_failed);
        let outcome = |outcome: char| {
            assert_eq!(tracker.handle_timeout(now).1, Some(ScriptAction::Run));
            tracker.ended(now, outcome == '+');
            now += Duration::from_secs(2);
            match tracker.good {
                None => '?',
                Some(true) => '+',
                Some(false) => '-',
            }
        };
        given.chars().map(outcome).collect()
    }

    #[test]
    fn rise_and_fall_count_outcomes_in_a_row() {
        assert_eq!(outcomes(1, 1, false, "+-+"), "+-+");
        assert_eq!(outcomes(3, 2, false, "+-+--++-+++"), "++++------+");
        // The first outcome decides at once.
        assert_eq!(outcomes(3, 3, false, "-"), "-");
        assert_eq!(outcomes(2, 1, true, "+++"), "-++");
    }

    #[test]
    fn a_script_that_hangs_fails_and_is_ended() {
        let (mut tracker, start) = tracker(1, 1, false);
        let seconds = Duration::from_secs;
        assert_eq!(
            tracker.handle_timeout(start),
            (false, Some(ScriptAction::Run))
        );
        assert_eq!(tracker.next_timeout(), Some(start + seconds(1)));
        assert_eq!(
            tracker.handle_timeout(start + seconds(1)),
            (true, Some(ScriptAction::Terminate))
        );
        assert_eq!(tracker.good, Some(false));
        assert_eq!(
            tracker.handle_timeout(start + seconds(3)),
            (false, Some(ScriptAction::Kill))
        );
        assert_eq!(tracker.next_timeout(), None);
        // What it says in the end does not count, and the next one runs at once.
        assert!(!tracker.ended(start + seconds(9), true));
        assert_eq!(tracker.next_timeout(), Some(start + seconds(9)));
        assert_eq!(tracker.good, Some(false));
    }
}
