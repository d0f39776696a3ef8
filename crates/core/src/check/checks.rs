//! All checks of a process, and when each is due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::machine::{BOOTSTRAP_DELAY, Due, Machine, Verdict, asks_the_same};
use super::messages::{Assignment, Begin, CheckChanges, Report};
use super::{CheckName, Outcome};
use crate::config::model::Check;
use crate::random::Random;

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
        /// Whose attempt it is; one of them, where several share it.
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
/// Checks that ask the same at the same times, such as those of one real server in many
/// virtual services, are one run: it is made once, and its news are reported for each.
///
/// Costs the logarithm of the number of checks per event, so tens of thousands of
/// them are no burden.
#[derive(Debug)]
pub struct Checks {
    names: BTreeMap<CheckName, RunId>,
    runs: BTreeMap<RunId, Run>,
    /// The runs that others may join.
    shared: BTreeMap<Arc<Check>, RunId>,
    deadlines: BTreeSet<(Instant, RunId)>,
    attempts: BTreeMap<Attempt, RunId>,
    next_run: u64,
    next_attempt: u64,
    random: Random,
    effects: VecDeque<Effect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RunId(u64);

#[derive(Debug)]
struct Run {
    machine: Machine,
    attempt: Option<Attempt>,
    /// At least one.
    names: BTreeSet<CheckName>,
}

impl Checks {
    /// No checks yet. `seed` decides how first checks spread over their `warmup`.
    pub fn new(seed: u64) -> Checks {
        Checks {
            names: BTreeMap::new(),
            runs: BTreeMap::new(),
            shared: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            attempts: BTreeMap::new(),
            next_run: 0,
            next_attempt: 0,
            random: Random::new(seed),
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
        while let Some((at, run)) = self.deadlines.first().copied()
            && at <= now
        {
            self.with_machine(run, |machine| machine.handle_timeout(now), Self::due);
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
        let names = self.names.keys().copied();
        let changes = CheckChanges {
            ended: names.filter(|name| !named.contains(name)).collect(),
            assigned: assignments,
        };
        self.change(now, changes);
    }

    fn change(&mut self, now: Instant, changes: CheckChanges) {
        for name in changes.ended {
            self.leave(name);
        }
        let mut named = BTreeSet::new();
        for assignment in changes.assigned {
            // Of two with one name the first counts.
            if named.insert(assignment.name) {
                self.assign(now, assignment);
            }
        }
    }

    fn assign(&mut self, now: Instant, assignment: Assignment) {
        let Assignment { name, check, begin } = assignment;
        let check = Arc::new(check);
        let before = self.names.get(&name).copied();
        let before = before.and_then(|id| self.runs.get(&id).map(|run| (id, run)));
        let machine = match before {
            Some((_, run)) if *run.machine.check() == check => return,
            Some((id, run)) if asks_the_same(run.machine.check(), &check) => {
                if run.names.len() == 1 && !self.shared.contains_key(&check) {
                    self.adopt(now, id, check);
                    return;
                }
                Some(run.machine.split(now, check.clone()))
            }
            _ => None,
        };
        self.leave(name);
        if let Some(id) = self.shared.get(&check).copied() {
            self.join(id, name, begin);
            return;
        }
        let machine = machine.unwrap_or_else(|| {
            let first = now + BOOTSTRAP_DELAY + check.timing.warmup.mul_f64(self.random.fraction());
            Machine::new(check.clone(), begin, first)
        });
        let id = RunId(self.next_run);
        self.next_run += 1;
        if check.probe.is_shared() {
            self.shared.insert(check, id);
        }
        self.deadlines.insert((machine.poll_timeout(), id));
        self.names.insert(name, id);
        let run = Run {
            machine,
            attempt: None,
            names: BTreeSet::from([name]),
        };
        self.runs.insert(id, run);
    }

    /// A run that nobody shares goes on with other times.
    fn adopt(&mut self, now: Instant, id: RunId, check: Arc<Check>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(run.machine.poll_timeout(), id));
        if self.shared.remove(run.machine.check()).is_some() {
            self.shared.insert(check.clone(), id);
        }
        run.machine.adopt(now, check);
        self.deadlines.insert((run.machine.poll_timeout(), id));
    }

    /// Lets a check have part in a run, and tells of it what is known already.
    fn join(&mut self, id: RunId, name: CheckName, begin: Begin) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.names.insert(name);
        self.names.insert(name, id);
        if let Some(verdict) = run.machine.verdict(begin.health()) {
            self.effects.push_back(Effect::Report(verdict.of(name)));
        }
    }

    /// Ends the part of a check in its run, and with its last part the run.
    fn leave(&mut self, name: CheckName) {
        let Some(id) = self.names.remove(&name) else {
            return;
        };
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.names.remove(&name);
        if !run.names.is_empty() {
            return;
        }
        if let Some(run) = self.runs.remove(&id) {
            self.deadlines.remove(&(run.machine.poll_timeout(), id));
            if run.machine.check().probe.is_shared() {
                self.shared.remove(run.machine.check());
            }
            if let Some(attempt) = run.attempt {
                self.attempts.remove(&attempt);
                self.effects.push_back(Effect::Abandon(attempt));
            }
        }
    }

    fn ended(&mut self, now: Instant, attempt: Attempt, outcome: Outcome) {
        let Some(id) = self.attempts.remove(&attempt) else {
            return;
        };
        self.with_machine(
            id,
            |machine| machine.handle(now, outcome),
            |checks, id, verdict| {
                if let Some(run) = checks.runs.get_mut(&id) {
                    run.attempt = None;
                }
                checks.report(id, verdict);
            },
        );
    }

    fn due(&mut self, id: RunId, due: Due) {
        match due {
            Due::Nothing => {}
            Due::Ask => {
                let random = self.random.number();
                let Some(run) = self.runs.get_mut(&id) else {
                    return;
                };
                let Some(name) = run.names.first() else {
                    return;
                };
                let attempt = Attempt(self.next_attempt);
                self.next_attempt += 1;
                run.attempt = Some(attempt);
                self.attempts.insert(attempt, id);
                self.effects.push_back(Effect::Ask {
                    attempt,
                    name: *name,
                    check: run.machine.check().clone(),
                    question: run.machine.question(),
                    random,
                });
            }
            Due::Abandon(verdict) => {
                if let Some(run) = self.runs.get_mut(&id)
                    && let Some(attempt) = run.attempt.take()
                {
                    self.attempts.remove(&attempt);
                    self.effects.push_back(Effect::Abandon(attempt));
                }
                self.report(id, verdict);
            }
        }
    }

    fn report(&mut self, id: RunId, verdict: Option<Verdict>) {
        if let (Some(verdict), Some(run)) = (verdict, self.runs.get(&id)) {
            let reports = run.names.iter().map(|name| verdict.clone().of(*name));
            self.effects.extend(reports.map(Effect::Report));
        }
    }

    /// Lets a machine act, keeps its deadline true, and passes on what it gave back.
    fn with_machine<T>(
        &mut self,
        id: RunId,
        act: impl FnOnce(&mut Machine) -> T,
        then: impl FnOnce(&mut Self, RunId, T),
    ) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(run.machine.poll_timeout(), id));
        let result = act(&mut run.machine);
        self.deadlines.insert((run.machine.poll_timeout(), id));
        then(self, id, result);
    }
}

#[cfg(test)]
mod tests;
