//! All checks of a process, and when each is due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::machine::{BOOTSTRAP_DELAY, Due, Machine, Verdict, asks_the_same};
use super::messages::{Assignment, CheckChanges, Report};
use super::{CheckName, Outcome};
use crate::config::model::Check;

/// One attempt to connect. No two of a process are equal, so an answer that comes
/// late is known as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(u64);

/// What happens to the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// These are the checks from now on.
    Configure(Vec<Assignment>),
    /// They are others now as far as this says.
    Change(CheckChanges),
    /// An attempt has ended.
    Ended(Attempt, Outcome),
}

/// What is to be done for the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make the check's connection, hold the [`Dialogue`](super::dialogue::Dialogue) of the
    /// question over it, close it, and say how it went.
    Ask {
        /// The name under which to say so.
        attempt: Attempt,
        /// Whose attempt it is.
        name: CheckName,
        /// Where to, and what for.
        check: Arc<Check>,
        /// Which of its questions, from 0.
        question: usize,
        /// For identifiers in the dialogue.
        random: u64,
    },
    /// Drop that connection; nothing waits for it any more.
    Abandon(Attempt),
    /// Tell the director.
    Report(Report),
}

/// All checks of a process.
///
/// Costs the logarithm of the number of checks per event, so tens of thousands of
/// them are no burden.
#[derive(Debug)]
pub struct Checks {
    running: BTreeMap<CheckName, Entry>,
    deadlines: BTreeSet<(Instant, CheckName)>,
    attempts: BTreeMap<Attempt, CheckName>,
    next_attempt: u64,
    random: u64,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
struct Entry {
    machine: Machine,
    attempt: Option<Attempt>,
}

impl Checks {
    /// No checks yet. `seed` decides how first checks spread over their `warmup`.
    pub fn new(seed: u64) -> Checks {
        Checks {
            running: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            attempts: BTreeMap::new(),
            next_attempt: 0,
            random: seed,
            effects: VecDeque::new(),
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Configure(assignments) => self.configure(now, assignments),
            Input::Change(changes) => self.change(now, changes),
            Input::Ended(attempt, outcome) => self.ended(now, attempt, outcome),
        }
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<CheckName> = self
            .deadlines
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, name)| *name)
            .collect();
        for name in due {
            self.with_machine(name, |machine| machine.handle_timeout(now), Self::due);
        }
    }

    /// When [`Checks::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// What is to be done next, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn configure(&mut self, now: Instant, assignments: Vec<Assignment>) {
        let named: BTreeSet<CheckName> = assignments.iter().map(|each| each.name).collect();
        let running = self.running.keys().copied();
        let changes = CheckChanges {
            ended: running.filter(|name| !named.contains(name)).collect(),
            assigned: assignments,
        };
        self.change(now, changes);
    }

    fn change(&mut self, now: Instant, changes: CheckChanges) {
        for name in changes.ended {
            let ended = self.take(name);
            self.forget(ended);
        }
        let mut named = BTreeSet::new();
        for Assignment { name, check, begin } in changes.assigned {
            // Of two with one name the first counts.
            if !named.insert(name) {
                continue;
            }
            let entry = match self.take(name) {
                Some(mut entry) if asks_the_same(entry.machine.check(), &check) => {
                    entry.machine.adopt(now, check);
                    entry
                }
                other => {
                    self.forget(other);
                    let first = now + BOOTSTRAP_DELAY + self.part_of(check.timing.warmup);
                    Entry {
                        machine: Machine::new(check, begin, first),
                        attempt: None,
                    }
                }
            };
            self.deadlines.insert((entry.machine.poll_timeout(), name));
            self.running.insert(name, entry);
        }
    }

    /// Takes a check out of those that run, with its deadline.
    fn take(&mut self, name: CheckName) -> Option<Entry> {
        let entry = self.running.remove(&name)?;
        self.deadlines.remove(&(entry.machine.poll_timeout(), name));
        Some(entry)
    }

    /// Drops what is under way for a check that is no more.
    fn forget(&mut self, entry: Option<Entry>) {
        if let Some(attempt) = entry.and_then(|entry| entry.attempt) {
            self.attempts.remove(&attempt);
            self.effects.push_back(Effect::Abandon(attempt));
        }
    }

    fn ended(&mut self, now: Instant, attempt: Attempt, outcome: Outcome) {
        let Some(name) = self.attempts.remove(&attempt) else {
            return;
        };
        self.with_machine(
            name,
            |machine| machine.handle(now, outcome),
            |checks, name, verdict| {
                if let Some(entry) = checks.running.get_mut(&name) {
                    entry.attempt = None;
                }
                checks.report(name, verdict);
            },
        );
    }

    fn due(&mut self, name: CheckName, due: Due) {
        match due {
            Due::Nothing => {}
            Due::Ask => {
                let random = self.random();
                let Some(entry) = self.running.get_mut(&name) else {
                    return;
                };
                let attempt = Attempt(self.next_attempt);
                self.next_attempt += 1;
                entry.attempt = Some(attempt);
                self.attempts.insert(attempt, name);
                self.effects.push_back(Effect::Ask {
                    attempt,
                    name,
                    check: Arc::new(entry.machine.check().clone()),
                    question: entry.machine.question(),
                    random,
                });
            }
            Due::Abandon(verdict) => {
                if let Some(entry) = self.running.get_mut(&name)
                    && let Some(attempt) = entry.attempt.take()
                {
                    self.attempts.remove(&attempt);
                    self.effects.push_back(Effect::Abandon(attempt));
                }
                self.report(name, verdict);
            }
        }
    }

    fn report(&mut self, name: CheckName, verdict: Option<Verdict>) {
        if let Some(Verdict {
            health,
            news,
            detail,
        }) = verdict
        {
            self.effects.push_back(Effect::Report(Report {
                name,
                health,
                news,
                detail,
            }));
        }
    }

    /// Lets a machine act, keeps its deadline true, and passes on what it gave back.
    fn with_machine<T>(
        &mut self,
        name: CheckName,
        act: impl FnOnce(&mut Machine) -> T,
        then: impl FnOnce(&mut Self, CheckName, T),
    ) {
        let Some(entry) = self.running.get_mut(&name) else {
            return;
        };
        self.deadlines.remove(&(entry.machine.poll_timeout(), name));
        let result = act(&mut entry.machine);
        self.deadlines.insert((entry.machine.poll_timeout(), name));
        then(self, name, result);
    }

    /// A random part of `whole`.
    fn part_of(&mut self, whole: Duration) -> Duration {
        // 32 random bits are finer than anyone's warmup.
        whole.mul_f64(f64::from((self.random() >> 32) as u32) / f64::from(u32::MAX))
    }

    /// splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    /// 2014.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests;
