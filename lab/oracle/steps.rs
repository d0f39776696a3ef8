//! Steps that pass or fail, one after the other, and what became of them.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// The steps so far.
pub(crate) struct Steps {
    only: Option<Vec<String>>,
    passed: usize,
    failed: Vec<String>,
}

impl Steps {
    /// No step yet. With `only`, steps are left out whose name begins with none of what it
    /// has between its commas.
    pub(crate) fn new(only: Option<&str>) -> Steps {
        Steps {
            only: only.map(|only| only.split(',').map(str::to_owned).collect()),
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// Whether a step may be run whose name begins with `group`.
    pub(crate) fn wanted(&self, group: &str) -> bool {
        self.only.as_ref().is_none_or(|only| {
            only.iter()
                .any(|only| only.starts_with(group) || group.starts_with(only))
        })
    }

    /// Does a step, which fails by panicking.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce()) {
        if self
            .only
            .as_ref()
            .is_some_and(|only| !only.iter().any(|only| name.starts_with(only)))
        {
            return;
        }
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let seconds = started.elapsed().as_secs();
        if outcome.is_ok() {
            self.passed += 1;
            println!("pass: {name} ({seconds} s)");
        } else {
            self.failed.push(name.to_owned());
            println!("FAIL: {name} ({seconds} s)");
        }
        // Whoever watches sees it now, and not when the buffer is full.
        let _ = std::io::stdout().flush();
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
