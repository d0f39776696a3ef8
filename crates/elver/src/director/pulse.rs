//! Whether the vrrp process still does anything: one that hangs, or was stopped, holds its
//! addresses while a peer takes them over.

use std::time::{Duration, Instant};

/// The process answers within this time on any machine that can do VRRP at all; and so long
/// addresses may be held by somebody who has died.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
/// After doubt, so long an answer that has come in already may take to be read.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// Asking the process, and waiting for its answers.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// None while there is nothing to watch.
    state: Option<Watched>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    /// How long an answer may take.
    patience: Duration,
    /// When it has answered last, or was first asked.
    alive: Instant,
    at: Instant,
    next: Next,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Ask,
    Doubt,
    GiveUp,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Ask it.
    Ask,
    /// It has not answered since this moment: it holds its addresses no longer.
    Hung(Instant),
    /// Nothing.
    Wait,
}

impl Pulse {
    /// Watches a process whose peers wait for advertisements that come with this interval;
    /// none where it holds no addresses.
    pub(super) fn watch(&mut self, now: Instant, interval: Option<Duration>) {
        // A peer waits for three intervals and more, of which one may have gone by unseen.
        let patience = interval.map(|interval| interval.max(LEAST_PATIENCE));
        if self.state.map(|state| state.patience) != patience {
            self.state = patience.map(|patience| Watched {
                patience,
                alive: now,
                at: now,
                next: Next::Ask,
            });
        }
    }

    /// It has answered.
    pub(super) fn answered(&mut self, now: Instant) {
        if let Some(state) = &mut self.state {
            *state = Watched {
                alive: now,
                at: now + state.patience / 4,
                next: Next::Ask,
                ..*state
            };
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state.map(|state| state.at)
    }

    pub(super) fn deadline_reached(&mut self, now: Instant) -> Beat {
        let Some(state) = self.state.as_mut().filter(|state| state.at <= now) else {
            return Beat::Wait;
        };
        match state.next {
            Next::Ask => {
                // Late or not, the time of its answer begins with the question.
                state.alive = now;
                state.at = now + state.patience;
                state.next = Next::Doubt;
                Beat::Ask
            }
            Next::Doubt => {
                // If this process was late itself, the answer waits to be read.
                state.at = now + SECOND_LOOK;
                state.next = Next::GiveUp;
                Beat::Wait
            }
            Next::GiveUp => {
                let alive = state.alive;
                self.state = None;
                Beat::Hung(alive)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_answer_in_time_hangs() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pulse = Pulse::default();
        assert_eq!(pulse.deadline(), None);
        pulse.watch(start, Some(Duration::from_secs(2)));
        assert_eq!(pulse.deadline_reached(start), Beat::Ask);
        assert_eq!(pulse.deadline(), Some(at(2000)));
        pulse.answered(at(3));
        assert_eq!(pulse.deadline(), Some(at(503)));
        assert_eq!(pulse.deadline_reached(at(510)), Beat::Ask);
        assert_eq!(pulse.deadline_reached(at(510)), Beat::Wait);
        // Doubt, and a second look, in which an answer still counts.
        assert_eq!(pulse.deadline_reached(at(2600)), Beat::Wait);
        pulse.answered(at(2601));
        assert_eq!(pulse.deadline_reached(at(3101)), Beat::Ask);
        assert_eq!(pulse.deadline_reached(at(5101)), Beat::Wait);
        assert_eq!(pulse.deadline_reached(at(5121)), Beat::Hung(at(3101)));
        assert_eq!(pulse.deadline(), None);
    }

    #[test]
    fn who_holds_nothing_is_not_watched() {
        let start = Instant::now();
        let mut pulse = Pulse::default();
        pulse.watch(start, Some(Duration::from_millis(10)));
        assert_eq!(pulse.deadline_reached(start), Beat::Ask);
        assert_eq!(pulse.deadline(), Some(start + LEAST_PATIENCE));
        pulse.watch(start, None);
        assert_eq!(pulse.deadline(), None);
    }
}
