//! Programs that check real servers (`MISC_CHECK`), run for the check process.

use elver_core::check::messages::{FromChecks, ScriptOutcome, ToChecks};
use elver_core::check::{Attempt, CheckName, Weighing};
use elver_core::config::model::Probe;

use super::child::Role;
use super::{Director, ScriptName};
use crate::scripts::Ended;

/// The exit status of a failure; with `misc_dynamic` those above are weights.
const FAILED: i32 = 1;
/// The exit status that says a weight of 0.
const WEIGHT_ZERO: i32 = 2;

impl Director {
    /// The check process has said something. What it reports changes the plan.
    pub(super) fn check_said(&mut self, said: FromChecks) {
        match said {
            FromChecks::Report(report) => self.checked(&report),
            FromChecks::Late(late) => self.came_late(Role::Check, late),
            FromChecks::RunScript(check, attempt) => self.run_program(check, attempt),
            FromChecks::EndScript(attempt) => {
                if let Some(name) = self.program_named(attempt) {
                    self.scripts.end(&name);
                }
            }
        }
    }

    fn check_process(&self) -> Option<u32> {
        self.check.child.as_ref().map(|child| child.id())
    }

    fn program_named(&self, wanted: Attempt) -> Option<ScriptName> {
        let current = self.check_process()?;
        let is_it = |name: &&ScriptName| {
            matches!(name, ScriptName::Check { process, attempt, .. }
                if *process == current && *attempt == wanted)
        };
        self.scripts.running().find(is_it).cloned()
    }

    fn run_program(&mut self, check: CheckName, attempt: Attempt) {
        let Some(process) = self.check_process() else {
            return;
        };
        let standing = self.health.standing(&check);
        // Otherwise a reload has taken the check away meanwhile.
        if let Some(Probe::Misc(probe)) = standing.map(|standing| &standing.check.probe) {
            let name = ScriptName::Check {
                process,
                attempt,
                check: Box::new(check),
            };
            self.scripts.run(name, probe.script.clone());
        }
    }

    /// The programs of check processes that are no more have nobody to tell.
    pub(super) fn end_programs(&self) {
        let current = self.check_process();
        for name in self.scripts.running() {
            if let ScriptName::Check { process, .. } = name
                && Some(*process) != current
            {
                self.scripts.end(name);
            }
        }
    }

    pub(super) fn script_ended(&mut self, ended: &Ended<ScriptName>) {
        match &ended.name {
            ScriptName::Reader(path) => self.notifications.reader_ended(path, &ended.words()),
            ScriptName::Check {
                process,
                attempt,
                check,
            } if Some(*process) == self.check_process() => {
                let outcome = self.program_outcome(check, ended);
                if let Some(child) = &self.check.child {
                    child.tell(ToChecks::ScriptEnded(*attempt, outcome));
                }
            }
            ScriptName::Check { .. } => {}
        }
    }

    /// What the end of a program says of its real server; a weight is taken over at once.
    fn program_outcome(&mut self, check: &CheckName, ended: &Ended<ScriptName>) -> ScriptOutcome {
        let status = match &ended.status {
            Ok(status) => status,
            Err(error) => return ScriptOutcome::NotRun(error.to_string()),
        };
        let Some(code) = status.code() else {
            return ScriptOutcome::Failed(status.to_string());
        };
        let words = format!("exited with status {code}");
        let standing = self.health.standing(check);
        let probe = standing.map(|standing| &standing.check.probe);
        let is_dynamic = matches!(probe, Some(Probe::Misc(probe)) if probe.dynamic);
        if code == 0 {
            self.weigh(check, Weighing::None);
            return ScriptOutcome::Passed(words);
        }
        if code == FAILED || !is_dynamic {
            return ScriptOutcome::Failed(words);
        }
        let weight = u32::try_from(code - WEIGHT_ZERO).unwrap_or(0);
        self.weigh(check, Weighing::To(weight));
        ScriptOutcome::Passed(words)
    }

    /// A program gives its real server another weight, or its usual one.
    fn weigh(&mut self, check: &CheckName, weighing: Weighing) {
        if self.health.weigh(check, weighing) {
            self.changed.insert(check.service);
            self.carry_out_changes();
        }
    }

    /// Carries out what reports have changed.
    pub(super) fn carry_out_changes(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.carry_out_plan(&changed);
    }
}
