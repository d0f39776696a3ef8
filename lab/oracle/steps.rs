//! Steps that pass or fail, one after the other, and what became of them.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// The steps so far.
pub(crate) struct Steps {
    only: Option<String>,
    passed: usize,
    failed: Vec<String>,
}

impl Steps {
    /// No step yet. With `only`, steps are left out that do not have it in their name.
    pub(crate) fn new(only: Option<String>) -> Steps {
        Steps {
            only,
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// Whether any step whose name begins so is to be run.
    pub(crate) fn wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// Does a step, which fails by panicking.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce()) {
        self.step_with(name, || {
            work();
            Some(())
        });
    }

    /// Does a step that leaves something to those after it; nothing where it has failed or
    /// is left out.
    pub(crate) fn step_with<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        if !self.wanted(name) {
            return None;
        }
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let seconds = started.elapsed().as_secs();
        let left = if let Ok(left) = outcome {
            self.passed += 1;
            println!("pass: {name} ({seconds} s)");
            left
        } else {
            self.failed.push(name.to_owned());
            println!("FAIL: {name} ({seconds} s)");
            None
        };
        // Whoever watches sees it now, and not when the buffer is full.
        let _ = std::io::stdout().flush();
        left
    }

    /// How many have failed so far.
    pub(crate) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Says what became of all of them. That nothing was done is a failure as well.
    pub(crate) fn end(self) -> ExitCode {
        println!();
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
