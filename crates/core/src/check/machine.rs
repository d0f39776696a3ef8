//! The rules of one check.
//!
//! ```text
//!             time              passed, failed, not run, time
//!  Waiting ─────────► Running ────────────────────────────────► Waiting
//!   until              until connect_timeout
//! ```
//!
//! A check with several questions (the urls of HTTP) asks one in each attempt, and has
//! succeeded with the last; a question that fails is repeated, and once it has counted and
//! is answered after all, the questions begin anew (`check_http.c`, `epilog`).
//!
//! A failure counts at once while no retry is left; otherwise it takes one. So the
//! only state beside the phase is: up or down, whether there was a result yet, and
//! how many retries the current row of failures has used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::{Begin, News, Report};
use super::{CheckName, Failure, Health, Outcome, dialogue};
use crate::config::model::{Check, Probe};

/// Time from the start of a check process, or from the reload that brings a check,
/// to the earliest first check (keepalived's `BOOTSTRAP_DELAY`).
pub const BOOTSTRAP_DELAY: Duration = Duration::from_secs(1);

/// One check.
#[derive(Debug, Clone)]
pub struct Machine {
    check: Arc<Check>,
    /// The question that is asked next, and the one whose failure counted.
    question: usize,
    failed_question: Option<usize>,
    health: Health,
    has_run: bool,
    retries_used: u32,
    phase: Phase,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until it is time to connect.
    Waiting { until: Instant },
    /// Until the connection is made, refused, or given up at this time.
    Running { until: Instant },
}

/// What is to be done when time has run out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing: it is too early.
    Nothing,
    /// Ask [`Machine::question`], and pass the outcome to [`Machine::handle`].
    Ask,
    /// The attempt took too long: give it up. The machine has counted what that means.
    Abandon(Option<Verdict>),
}

/// What a result means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the real server is now taken to be.
    pub health: Health,
    /// What has changed.
    pub news: News,
    /// The last result, in words.
    pub detail: String,
}

impl Verdict {
    /// The report of it for the check `name`.
    pub fn of(self, name: CheckName) -> Report {
        Report {
            name,
            health: self.health,
            news: self.news,
            detail: self.detail,
        }
    }
}

/// Whether two checks ask the same question of the same place, so that the answers to
/// one hold for the other (`compare_conn_opts`); how often they ask may differ.
pub fn asks_the_same(one: &Check, other: &Check) -> bool {
    one.connection == other.connection && one.probe == other.probe
}

impl Machine {
    /// A check that begins as `begin` says and connects first at `first`.
    pub fn new(check: Arc<Check>, begin: Begin, first: Instant) -> Machine {
        let (health, has_run, retries_used) = match begin {
            // check_data.c: "For non alpha mode, one failure is enough initially."
            Begin::Start(health) if check.timing.alpha => (health, false, 0),
            Begin::Start(health) => (health, false, check.timing.retries),
            Begin::Added(health) => (health, false, 0),
            Begin::Resume(health) => (health, true, 0),
        };
        Machine {
            check,
            question: 0,
            failed_question: None,
            health,
            has_run,
            retries_used,
            phase: Phase::Waiting { until: first },
            detail: String::new(),
        }
    }

    /// What it does and how often.
    pub fn check(&self) -> &Arc<Check> {
        &self.check
    }

    /// What is known, for somebody who takes the real server to be `believed`; none before
    /// the first result.
    pub fn verdict(&self, believed: Health) -> Option<Verdict> {
        let news = match self.health {
            health if health == believed => News::Detail,
            Health::Up => News::Succeeded,
            Health::Down => News::FailedFinally { retries: 0 },
        };
        self.has_run.then(|| Verdict {
            health: self.health,
            news,
            detail: self.detail.clone(),
        })
    }

    /// One that knows the same, goes on with other times as with [`Machine::adopt`], and has
    /// nothing under way.
    pub fn split(&self, now: Instant, check: Arc<Check>) -> Machine {
        let mut other = self.clone();
        if let Phase::Running { .. } = other.phase {
            other.phase = Phase::Waiting { until: now };
        }
        other.adopt(now, check);
        other
    }

    /// The number of the question that is asked next, from 0.
    pub fn question(&self) -> usize {
        self.question
    }

    /// What the real server is taken to be.
    pub fn health(&self) -> Health {
        self.health
    }

    /// When [`Machine::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Instant {
        match self.phase {
            Phase::Waiting { until } | Phase::Running { until } => until,
        }
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self.phase {
            Phase::Waiting { until } if until <= now => {
                self.phase = Phase::Running {
                    until: now + self.check.connection.timeout,
                };
                Due::Ask
            }
            Phase::Running { until } if until <= now => {
                Due::Abandon(self.handle(now, dialogue::silence(&self.check.probe)))
            }
            Phase::Waiting { .. } | Phase::Running { .. } => Due::Nothing,
        }
    }

    /// The attempt that [`Due::Ask`] asked for has ended.
    ///
    /// An outcome that nothing waits for (the attempt was given up) changes nothing.
    pub fn handle(&mut self, now: Instant, outcome: Outcome) -> Option<Verdict> {
        if let Phase::Waiting { .. } = self.phase {
            return None;
        }
        match outcome {
            Outcome::Passed(detail) => self.passed(now, detail),
            Outcome::Failed(failure) => self.failed(now, failure),
            Outcome::NotRun(why) => {
                self.wait(now, self.check.timing.interval);
                let detail = format!("not checked: {why}");
                (self.detail != detail)
                    .then(|| self.decide(News::NotMade, detail))
                    .flatten()
            }
        }
    }

    /// Goes on with other times; for a check that [`asks_the_same`].
    pub fn adopt(&mut self, now: Instant, check: Arc<Check>) {
        // check_api.c, migrate_checkers: "If we have already had sufficient retries for
        // the new retry value, we hadn't already failed, so just require one more
        // failure to trigger failed state."
        if self.retries_used > 0 && check.timing.retries > 0 {
            self.retries_used = self.retries_used.min(check.timing.retries - 1);
        }
        if let Phase::Waiting { until } = &mut self.phase {
            let longest = check.timing.interval.max(check.timing.delay_before_retry);
            *until = (*until).min(now + longest.max(BOOTSTRAP_DELAY + check.timing.warmup));
        }
        self.check = check;
    }

    fn passed(&mut self, now: Instant, detail: String) -> Option<Verdict> {
        let recovering = self.health == Health::Down || !self.has_run;
        let pause = if recovering && self.check.probe.fast_recovery() {
            Duration::ZERO
        } else {
            self.check.timing.interval
        };
        self.retries_used = if self.has_run {
            0
        } else {
            self.check.timing.retries
        };
        if self.failed_question.take().is_some() && self.check.probe.begins_anew() {
            self.question = 0;
            self.wait(now, pause);
            return self.news(detail);
        }
        self.question += 1;
        if self.question < self.check.probe.questions() {
            self.wait(now, pause);
            return self.news(detail);
        }
        self.question = 0;
        self.retries_used = 0;
        self.wait(now, self.check.timing.interval);
        if self.health == Health::Up && self.has_run {
            return self.news(detail);
        }
        self.has_run = true;
        self.health = Health::Up;
        self.decide(News::Succeeded, detail)
    }

    fn failed(&mut self, now: Instant, failure: Failure) -> Option<Verdict> {
        let undecided = self.health == Health::Up || !self.has_run;
        if undecided && self.retries_used >= self.check.timing.retries {
            let retries = if self.has_run {
                self.check.timing.retries
            } else {
                0
            };
            self.wait(now, self.check.timing.interval);
            self.retries_used = 0;
            self.failed_question = Some(self.question);
            self.has_run = true;
            self.health = Health::Down;
            return self.decide(News::FailedFinally { retries }, failure.to_string());
        }
        self.has_run = true;
        if self.health == Health::Down {
            self.failed_question = Some(self.question);
            self.wait(now, self.check.timing.interval);
            return self.news(failure.to_string());
        }
        self.wait(now, self.check.timing.delay_before_retry);
        self.retries_used += 1;
        let detail = format!(
            "{failure}, retry {} of {} to come",
            self.retries_used, self.check.timing.retries
        );
        if self.check.timing.log_all_failures {
            return self.decide(News::FailedOnce, detail);
        }
        self.news(detail)
    }

    fn wait(&mut self, now: Instant, how_long: Duration) {
        // check_misc.c counts from the last start of the program, not from its end.
        let started = match (self.phase, &self.check.probe) {
            (Phase::Running { until }, Probe::Misc(_)) => {
                until.checked_sub(self.check.connection.timeout)
            }
            _ => None,
        };
        let until = started.unwrap_or(now) + how_long;
        self.phase = Phase::Waiting {
            until: until.max(now),
        };
    }

    fn decide(&mut self, news: News, detail: String) -> Option<Verdict> {
        self.detail = detail;
        Some(Verdict {
            health: self.health,
            news,
            detail: self.detail.clone(),
        })
    }

    fn news(&mut self, detail: String) -> Option<Verdict> {
        if self.detail == detail {
            return None;
        }
        self.decide(News::Detail, detail)
    }
}

#[cfg(test)]
mod tests;
