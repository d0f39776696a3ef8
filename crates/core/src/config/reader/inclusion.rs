//! `include` and its variants, and `include_check`, which says how strict they are.

use super::{Input, Reader};
use crate::config::diagnostic::Verdict;
use crate::config::glob;
use crate::config::line::{BLANKS, Line};
use crate::config::source::Span;

/// As many files may be read, one that is included twice counted twice.
const MOST_FILES: usize = 10_000;
/// And as many bytes.
const MOST_READ: usize = 1 << 30;
/// Files may include files this deep.
const DEEPEST_INCLUDE: usize = 32;

/// What an `include` insists on (keepalived.conf(5), `include_check`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Strictness(u8);

impl Strictness {
    /// Files that are there can be read.
    const READABLE: Strictness = Strictness(1);
    /// A file that is named without wildcards is there.
    const MATCH: Strictness = Strictness(2);
    /// Wildcards match a file.
    const WILDCARD_MATCH: Strictness = Strictness(4);
    /// So does each alternative in braces.
    const BRACE_MATCH: Strictness = Strictness(8);
    pub(super) const ALL: Strictness = Strictness(15);

    /// By the letter behind `include`.
    fn of_variant(letter: Option<char>) -> Strictness {
        let more = match letter {
            None => return Strictness::default(),
            Some('m') => Strictness::MATCH,
            Some('w') => Strictness::MATCH.with(Strictness::WILDCARD_MATCH),
            Some('b') => Strictness::BRACE_MATCH,
            Some('a') => Strictness::ALL,
            Some(_) => Strictness::READABLE,
        };
        more.with(Strictness::READABLE)
    }

    /// By its name in `include_check`; the manual page and the source of keepalived do not
    /// agree about the first.
    fn named(word: &str) -> Option<Strictness> {
        Some(match word {
            "read" | "readable" => Strictness::READABLE,
            "match" => Strictness::MATCH,
            "wildcard_match" => Strictness::WILDCARD_MATCH,
            "brace_match" => Strictness::BRACE_MATCH,
            _ => return None,
        })
    }

    fn with(self, other: Strictness) -> Strictness {
        Strictness(self.0 | other.0)
    }

    fn without(self, other: Strictness) -> Strictness {
        Strictness(self.0 & !other.0)
    }

    fn wants(self, other: Strictness) -> bool {
        self.0 & other.0 != 0
    }
}

impl Reader<'_> {
    /// Follows an `include_check` line; what else there is to say about it is said where
    /// keywords are read.
    pub(super) fn include_check(&mut self, line: &Line) {
        let mut words = line.text.split(BLANKS).filter(|word| !word.is_empty());
        if words.next() != Some("include_check") {
            return;
        }
        let mut words = words.peekable();
        if words.peek().is_none() {
            self.strictness = Strictness::ALL;
        }
        for (at, word) in words.enumerate() {
            let (sign, name) = match word.as_bytes().first() {
                Some(sign @ (b'+' | b'-')) => (Some(*sign), &word[1..]),
                _ => (None, word),
            };
            if sign.is_none() && at == 0 {
                self.strictness = Strictness::default();
            }
            let Some(named) = Strictness::named(name) else {
                self.report
                    .warning(
                        line.whole(),
                        format!("`{name}` is no check of include: ignored"),
                    )
                    .help("there are readable, match, wildcard_match and brace_match");
                continue;
            };
            self.strictness = match sign {
                Some(b'-') => self.strictness.without(named),
                _ => self.strictness.with(named),
            };
        }
    }

    /// Opens what an `include` line names. Whether it is such a line is the answer.
    pub(super) fn include(&mut self, line: &Line) -> bool {
        let Some(rest) = line.text.strip_prefix("include") else {
            return false;
        };
        let variant = rest.chars().next().filter(|c| "rmwba".contains(*c));
        let rest = &rest[variant.map_or(0, char::len_utf8)..];
        if !rest.starts_with(BLANKS) {
            return false;
        }
        let path = rest.trim_matches(BLANKS);
        let start = line.text.len() - rest.trim_start_matches(BLANKS).len();
        let span = line.span(start..start + path.len());
        let path = path.trim_matches('"');
        let (depth, directory) = self.place_of_inclusion();
        if depth >= DEEPEST_INCLUDE {
            self.report.error(
                span,
                format!("files are included more than {DEEPEST_INCLUDE} deep"),
            );
            return true;
        }
        if self.files.count() >= MOST_FILES || self.read > MOST_READ {
            self.report
                .error(
                    span,
                    format!(
                        "more than {MOST_FILES} files or {} MiB are included",
                        MOST_READ >> 20
                    ),
                )
                .help("does a file include itself by way of others?");
            return true;
        }
        let pattern = glob::join(&directory, path);
        let strictness = self.strictness.with(Strictness::of_variant(variant));
        let named = glob::matches(&pattern, &|directory| self.source.list(directory));
        let (mut found, missing): (Vec<String>, Vec<String>) =
            named.into_iter().partition(|path| self.exists(path));
        let has_braces = path.contains('{');
        if let [first, ..] = &missing[..]
            && (found.is_empty() || has_braces)
        {
            let wanted = match has_braces {
                true => Strictness::BRACE_MATCH,
                false => Strictness::MATCH,
            };
            let message = match found.is_empty() {
                true => format!("no file matches {pattern}"),
                false => format!("there is no {first}"),
            };
            self.not_included(span, strictness.wants(wanted), message);
            if strictness.wants(wanted) {
                return true;
            }
        } else if found.is_empty() {
            let insists = strictness.wants(Strictness::WILDCARD_MATCH);
            self.not_included(span, insists, format!("no file matches {pattern}"));
        }
        // The last one opened is the first one read.
        found.reverse();
        for path in found {
            if self.is_open(&path) {
                self.report
                    .error(span, format!("{path} includes itself"))
                    .help("take this line away");
            } else if let Err(why) = self.open(&path) {
                let message = format!("{path} cannot be read: {why}");
                let insists = strictness.wants(Strictness::READABLE);
                self.not_included(span, insists, message);
            }
        }
        true
    }

    fn exists(&self, path: &str) -> bool {
        let (directory, name) = match path.rfind('/') {
            Some(0) => ("/", &path[1..]),
            Some(at) => path.split_at(at),
            None => (".", path),
        };
        let name = name.trim_start_matches('/');
        self.source
            .list(directory)
            .iter()
            .any(|there| there == name)
    }

    /// How many files are open, and the directory of the innermost.
    fn place_of_inclusion(&self) -> (usize, String) {
        let mut directories = self.inputs.iter().filter_map(|input| match input {
            Input::File { directory, .. } => Some(directory),
            _ => None,
        });
        let innermost = directories.next_back().cloned().unwrap_or_default();
        (directories.count() + 1, innermost)
    }

    fn is_open(&self, path: &str) -> bool {
        self.inputs.iter().any(|input| match input {
            Input::File { file, .. } => self.files.get(*file).path == path,
            _ => false,
        })
    }

    /// keepalived.conf(5): plain `include` never fails; `includer` wants the files readable,
    /// `includem`, `includew`, `includeb` and `includea` want the pattern to match.
    fn not_included(&mut self, span: Span, insists: bool, message: String) {
        if insists {
            self.report
                .error(span, message)
                .keepalived(Verdict::NoConfiguration)
                .help(
                    "plain `include` goes on without the file, unless `include_check` forbids it",
                );
        } else {
            self.report
                .advice(span, message)
                .help("keepalived goes on without the file; `includea` insists on it");
        }
    }
}
