//! What is wrong with a configuration, said so that it can be put right.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::source::{FileId, Files, Span};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing to repair.
    Note,
    /// Something is ignored or surprising; the rest runs.
    Warning,
    /// There is no configuration because of it.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// What keepalived's configuration test thinks of the same thing; of several
/// findings the last one here decides its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It says nothing of it.
    Accepts,
    /// It cannot run.
    Refuses,
    /// It complains and goes on.
    Complains,
    /// Scripts would run as root that others can write.
    Insecure,
    /// It stops reading in the middle.
    Stops,
    /// A file is missing that it was told to insist on.
    NoConfiguration,
}

impl Verdict {
    /// What `keepalived -t` (2.2.7) exits with.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Accepts => 0,
            Verdict::Refuses => 4,
            Verdict::Complains => 5,
            Verdict::Insecure | Verdict::NoConfiguration => 6,
            Verdict::Stops => 2,
        }
    }
}

/// A place in a file, with the line that a reader wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's path as it was opened.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column of the first character, counted from 1 in characters.
    pub column: u32,
    /// The line without secrets.
    pub text: String,
    /// What is meant within `text`, in bytes.
    #[serde(skip)]
    pub underlined: Range<usize>,
}

/// One thing that the reader of a configuration should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where; nowhere if it concerns no line.
    pub place: Option<Place>,
    /// What is said beside the underlined place.
    pub label: Option<String>,
    /// Other places that belong to it, and why.
    pub related: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// What keepalived's own test says of it.
    pub keepalived: Verdict,
}

impl fmt::Display for Diagnostic {
    /// One line, for a log: `file:line:column: severity: message; help`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file, place.line, place.column)?;
        }
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// Something suspicious that concerns no line of a file.
    pub fn about_the_host(message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            message: message.into(),
            place: None,
            label: None,
            related: Vec::new(),
            help: Some(help.into()),
            keepalived: Verdict::Accepts,
        }
    }
}

/// A diagnostic as a terminal shows it, with the line and the place underlined.
pub fn render(diagnostic: &Diagnostic, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level
        .primary_title(&diagnostic.message)
        .elements(None::<Snippet<'_, annotate_snippets::Annotation<'_>>>);
    if let Some(place) = &diagnostic.place {
        let mut primary = AnnotationKind::Primary.span(place.underlined.clone());
        if let Some(label) = &diagnostic.label {
            primary = primary.label(label);
        }
        group = group.element(
            Snippet::source(&place.text)
                .line_start(place.line as usize)
                .path(&place.file)
                .annotation(primary),
        );
    }
    for (place, why) in &diagnostic.related {
        group = group.element(
            Snippet::source(&place.text)
                .line_start(place.line as usize)
                .path(&place.file)
                .annotation(
                    AnnotationKind::Context
                        .span(place.underlined.clone())
                        .label(why),
                ),
        );
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&[group]).to_string()
}

/// A diagnostic whose places are still spans.
#[derive(Debug)]
pub(crate) struct Finding {
    severity: Severity,
    message: String,
    span: Option<Span>,
    label: Option<String>,
    related: Vec<(Span, String)>,
    help: Option<String>,
    keepalived: Verdict,
}

impl Finding {
    /// Words beside the underlined place.
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// What to do.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that belongs to it.
    pub(crate) fn related(&mut self, span: Span, why: impl Into<String>) -> &mut Self {
        self.related.push((span, why.into()));
        self
    }

    /// What keepalived says, where it is not a complaint.
    pub(crate) fn keepalived(&mut self, verdict: Verdict) -> &mut Self {
        self.keepalived = verdict;
        self
    }
}

/// All findings of one load, and the words that no output may show.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Kept,
    others: Kept,
    secrets: BTreeSet<Span>,
}

/// Findings of which only the first ones are kept.
#[derive(Debug, Default)]
struct Kept {
    findings: Vec<Finding>,
    /// How many there are beside these.
    more: usize,
}

/// As many errors are kept, and as many others; nobody reads more, and a file that is no
/// configuration at all has one in every line.
const MOST_FINDINGS: usize = 500;

impl Kept {
    fn add(&mut self, finding: Finding) -> &mut Finding {
        if self.findings.len() > MOST_FINDINGS {
            // The one that is one too many gives way to the next.
            self.findings.pop();
            self.more += 1;
        }
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn count(&self) -> usize {
        self.findings.len() + self.more
    }
}

impl Report {
    fn add(
        &mut self,
        severity: Severity,
        span: Option<Span>,
        message: impl Into<String>,
        keepalived: Verdict,
    ) -> &mut Finding {
        let kept = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning | Severity::Note => &mut self.others,
        };
        kept.add(Finding {
            severity,
            message: message.into(),
            span,
            label: None,
            related: Vec::new(),
            help: None,
            keepalived,
        })
    }

    /// Something because of which there is no configuration.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, Some(span), message, Verdict::Complains)
    }

    /// An error that concerns no line: the file that was asked for cannot be read,
    /// of which keepalived's test says nothing.
    pub(crate) fn error_without_place(&mut self, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, None, message, Verdict::Accepts)
    }

    /// Something that is ignored, of which keepalived complains too.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, Some(span), message, Verdict::Complains)
    }

    /// Something suspicious that keepalived does not look for.
    pub(crate) fn advice(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, Some(span), message, Verdict::Accepts)
    }

    /// Something worth knowing.
    pub(crate) fn note(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Note, Some(span), message, Verdict::Accepts)
    }

    /// No output shows the text of this place.
    pub(crate) fn keep_secret(&mut self, span: Span) {
        self.secrets.insert(span);
    }

    /// Paths of the files that have words which no output may show.
    pub(crate) fn files_with_secrets(&self, files: &Files) -> Vec<String> {
        let mut with: Vec<FileId> = self.secrets.iter().map(|secret| secret.file).collect();
        with.dedup();
        with.iter()
            .map(|file| files.get(*file).path.clone())
            .collect()
    }

    /// Whether there is anything because of which there is no configuration.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// Whether keepalived goes on without whatever is in error here.
    pub(crate) fn keepalived_leaves_errors_out(&self) -> bool {
        let mut kept = self.errors.findings.iter();
        self.errors.more == 0 && kept.all(|error| error.keepalived == Verdict::Complains)
    }

    /// How many such things there are.
    pub(crate) fn errors(&self) -> usize {
        self.errors.count()
    }

    /// The findings in the order of the files, with their lines.
    pub(crate) fn into_diagnostics(mut self, files: &Files) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for (kept, severity, what) in [
            (&mut self.errors, Severity::Error, "errors"),
            (&mut self.others, Severity::Warning, "warnings and notes"),
        ] {
            findings.append(&mut kept.findings);
            if kept.more > 0 {
                findings.pop();
                findings.push(Finding {
                    severity,
                    message: format!("there are {} more {what} that are not shown", kept.more + 1),
                    span: None,
                    label: None,
                    related: Vec::new(),
                    help: Some("repair these first".to_owned()),
                    keepalived: Verdict::Accepts,
                });
            }
        }
        findings.sort_by_key(|finding| finding.span.map(|span| (span.file, span.start)));
        let place = |span: Span| place(files, &self.secrets, span);
        findings
            .iter()
            .map(|finding| Diagnostic {
                severity: finding.severity,
                message: finding.message.clone(),
                place: finding.span.map(place),
                label: finding.label.clone(),
                related: finding
                    .related
                    .iter()
                    .map(|(span, why)| (place(*span), why.clone()))
                    .collect(),
                help: finding.help.clone(),
                keepalived: finding.keepalived,
            })
            .collect()
    }
}

const REDACTED: &str = "<redacted>";

/// A span's place, with secrets on its line replaced by a fixed word, so that
/// not even their length shows.
fn place(files: &Files, secrets: &BTreeSet<Span>, span: Span) -> Place {
    let file = files.get(span.file);
    let position = file.position(span.start);
    let line = file.line_range(position.line);
    let from_here = Span {
        file: span.file,
        start: line.start as u32,
        end: 0,
    };
    let mut hidden: Vec<Range<usize>> = Vec::new();
    let on_this_line = secrets
        .range(from_here..)
        .take_while(|secret| secret.file == span.file && (secret.start as usize) < line.end)
        .map(|secret| secret.start as usize..(secret.end as usize).min(line.end));
    for secret in on_this_line {
        match hidden.last_mut() {
            // Two words of one definition were both written where it is referred to.
            Some(before) if secret.start < before.end => before.end = before.end.max(secret.end),
            _ => hidden.push(secret),
        }
    }

    let mut text = String::with_capacity(line.len());
    let mut copied = line.start;
    for secret in &hidden {
        text.push_str(&file.text[copied..secret.start]);
        text.push_str(REDACTED);
        copied = secret.end;
    }
    text.push_str(&file.text[copied..line.end]);

    // Where a byte of the file ends up in `text`.
    let moved = |byte: u32| {
        let byte = (byte as usize).clamp(line.start, line.end);
        let mut moved = byte - line.start;
        for secret in hidden.iter().take_while(|secret| byte > secret.start) {
            moved += REDACTED.len();
            moved -= byte.min(secret.end) - secret.start;
        }
        moved
    };
    Place {
        file: file.path.clone(),
        line: position.line,
        column: position.column,
        underlined: moved(span.start)..moved(span.end),
        text,
    }
}
