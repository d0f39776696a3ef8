//! The configuration language: `keepalived.conf`.
//!
//! A file becomes a configuration in four steps, none of which stops at a
//! problem: lines (`reader`: comments, include, definitions), statements with
//! blocks (`tree`), directives (`directive`: held against the one table of
//! keywords in `keyword`), and the typed model (`lower`). Every word knows where
//! it was written, so that each step can say what is wrong in the words of a
//! [`Diagnostic`].

mod definitions;
mod diagnostic;
mod directive;
mod dump;
mod explain;
mod glob;
pub mod keyword;
mod line;
mod lower;
mod manual;
pub mod model;
mod peers;
mod reader;
mod route_names;
mod source;
mod tree;

pub use diagnostic::{Diagnostic, Place, Severity, Verdict, render};
pub use dump::{Secrets, dump, without_secrets};
pub use explain::explain;
pub use manual::manual;
pub use peers::compare;
pub use source::{FileId, Position, Source, Span};

use lower::Lowering;
use model::{Configuration, Script, ScriptUser};

use tree::Tree;

/// What came of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration, unless one of the diagnostics is an error.
    pub configuration: Option<Configuration>,
    /// Where errors forbid the configuration: what is left of it without the lines in error,
    /// if keepalived leaves each of them out as well and goes on. For a start, which is better
    /// with a part than with nothing; never in the place of a whole one that runs.
    pub remainder: Option<Configuration>,
    /// Everything that there is to say, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Scripts that nothing tracks, at which keepalived's test looks all the same.
    pub untracked_scripts: Vec<Script>,
    /// `script_user`: that of scripts that name none.
    pub script_user: Option<ScriptUser>,
    /// Paths of the files with a password in them, in the order in which they were opened.
    pub files_with_secrets: Vec<String>,
}

impl Loaded {
    /// What keepalived's configuration test says of the same files.
    ///
    /// It looks at the machine as well (whether interfaces and scripts exist),
    /// which is the caller's part.
    pub fn keepalived(&self) -> Verdict {
        self.diagnostics
            .iter()
            .map(|diagnostic| diagnostic.keepalived)
            .max()
            .unwrap_or(Verdict::Accepts)
    }
}

/// Reads a configuration with everything that it includes.
///
/// Reading goes on after every problem, so that all of them are in
/// [`Loaded::diagnostics`]. With an error among them there is no
/// configuration, and whoever runs one already keeps it.
pub fn load(source: &dyn Source, path: &str) -> Loaded {
    let mut tree = Tree::new(source, path);
    let mut lowering = Lowering::default();
    let mut start: Option<Span> = None;
    while let Some(statement) = tree.next_statement() {
        start.get_or_insert(statement.name().span);
        lowering.statement(&statement, source, tree.report());
        let seed = lowering.new_random_seed();
        tree.adapt(seed, lowering.instance());
    }
    let (files, mut report) = tree.finish();
    // Where nothing stands in a file that could be read, its beginning is the place.
    let start = start.or(files.first().map(|file| Span {
        file,
        ..Span::default()
    }));
    let script_user = lowering.script_user().cloned();
    let (left, untracked_scripts) = lowering.finish(start, &mut report);
    let (configuration, remainder) = match left {
        Some(left) if report.has_errors() => (None, Some(left)),
        left => (left, None),
    };
    Loaded {
        configuration,
        remainder,
        untracked_scripts,
        script_user,
        files_with_secrets: report.files_with_secrets(&files),
        diagnostics: report.into_diagnostics(&files),
    }
}
