//! The rules of one check.
//!
//! ```text
//!             time            connected, failed, not run, time
//!  Waiting ─────────► Running ────────────────────────────────► Waiting
//!   until              until connect_timeout
//! ```
//!
//! A failure counts at once while no retry is left; otherwise it takes one. So the
//! only state beside the phase is: up or down, whether there was a result yet, and
//! how many retries the current row of failures has used.

use std::time::{Duration, Instant};

use super::messages::{Begin, News};
use super::{Failure, Health, Outcome};
use crate::config::model::TcpCheck;

/// Time from the start of a check process, or from the reload that brings a check,
/// to the earliest first check (keepalived's `BOOTSTRAP_DELAY`).
pub const BOOTSTRAP_DELAY: Duration = Duration::from_secs(1);

/// One check.
#[derive(Debug, Clone)]
pub struct Machine {
    check: TcpCheck,
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
    /// Connect, and pass the outcome to [`Machine::handle`].
    Connect,
    /// The connection took too long: give it up. The machine has counted it as a failure.
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

/// Whether two checks ask the same question of the same place, so that the answers to
/// one hold for the other (`compare_conn_opts`); how often they ask may differ.
pub fn asks_the_same(one: &TcpCheck, other: &TcpCheck) -> bool {
    one.connect_to == other.connect_to && one.connect_timeout == other.connect_timeout
}

impl Machine {
    /// A check that begins as `begin` says and connects first at `first`.
    pub fn new(check: TcpCheck, begin: Begin, first: Instant) -> Machine {
        let (health, has_run, retries_used) = match begin {
            // check_data.c: "For non alpha mode, one failure is enough initially."
            Begin::Start(health) => (health, false, check.retries),
            Begin::Added => (Health::Up, false, 0),
            Begin::Resume(health) => (health, true, 0),
        };
        Machine {
            check,
            health,
            has_run,
            retries_used,
            phase: Phase::Waiting { until: first },
            detail: String::new(),
        }
    }

    /// What it does and how often.
    pub fn check(&self) -> &TcpCheck {
        &self.check
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
                    until: now + self.check.connect_timeout,
                };
                Due::Connect
            }
            Phase::Running { until } if until <= now => {
                Due::Abandon(self.failed(now, Failure::TimedOut))
            }
            Phase::Waiting { .. } | Phase::Running { .. } => Due::Nothing,
        }
    }

    /// The attempt that [`Due::Connect`] asked for has ended.
    ///
    /// An outcome that nothing waits for (the attempt was given up) changes nothing.
    pub fn handle(&mut self, now: Instant, outcome: Outcome) -> Option<Verdict> {
        if let Phase::Waiting { .. } = self.phase {
            return None;
        }
        match outcome {
            Outcome::Connected => self.connected(now),
            Outcome::Failed(failure) => self.failed(now, failure),
            Outcome::NotRun(why) => {
                self.wait(now, self.check.interval);
                self.news(format!("not checked: {why}"))
            }
        }
    }

    /// Goes on with other times; for a check that [`asks_the_same`].
    pub fn adopt(&mut self, now: Instant, check: TcpCheck) {
        // check_api.c, migrate_checkers: "If we have already had sufficient retries for
        // the new retry value, we hadn't already failed, so just require one more
        // failure to trigger failed state."
        if self.retries_used > 0 && check.retries > 0 {
            self.retries_used = self.retries_used.min(check.retries - 1);
        }
        if let Phase::Waiting { until } = &mut self.phase {
            let longest = check.interval.max(check.delay_before_retry);
            *until = (*until).min(now + longest.max(BOOTSTRAP_DELAY + check.warmup));
        }
        self.check = check;
    }

    fn connected(&mut self, now: Instant) -> Option<Verdict> {
        self.wait(now, self.check.interval);
        self.retries_used = 0;
        let detail = "connected".to_owned();
        if self.health == Health::Up && self.has_run {
            return self.news(detail);
        }
        self.has_run = true;
        self.health = Health::Up;
        self.decide(News::Succeeded, detail)
    }

    fn failed(&mut self, now: Instant, failure: Failure) -> Option<Verdict> {
        let undecided = self.health == Health::Up || !self.has_run;
        if undecided && self.retries_used >= self.check.retries {
            let retries = if self.has_run { self.check.retries } else { 0 };
            self.wait(now, self.check.interval);
            self.retries_used = 0;
            self.has_run = true;
            self.health = Health::Down;
            return self.decide(News::FailedFinally { retries }, failure.to_string());
        }
        self.has_run = true;
        if self.health == Health::Down {
            self.wait(now, self.check.interval);
            return self.news(failure.to_string());
        }
        self.wait(now, self.check.delay_before_retry);
        self.retries_used += 1;
        let detail = format!(
            "{failure}, retry {} of {} to come",
            self.retries_used, self.check.retries
        );
        self.news(detail)
    }

    fn wait(&mut self, now: Instant, how_long: Duration) {
        self.phase = Phase::Waiting {
            until: now + how_long,
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
