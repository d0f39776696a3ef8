//! From files to words: comments, `include`, conditions, definitions and repetitions.
//!
//! Two things follow from keepalived's parser and hold here too: a statement is a
//! line, and a brace outside double quotes is a line of its own, wherever it stands.

mod inclusion;
mod statements;

use std::collections::VecDeque;

use super::definitions::{self, Definition, Definitions, Repetition};
use super::diagnostic::Report;
use super::keyword;
use super::line::{BLANKS, Line};
use super::source::{FileId, Files, Source, Span, Text};
use crate::random::Random;
use inclusion::Strictness;

/// As many lines may come out of definitions and repetitions.
const MOST_GENERATED_LINES: usize = 1_000_000;
/// A line may have this many bytes, as it stands or grown by definitions; keepalived
/// takes 1023. What is done with a line may take time in the square of its length.
const LONGEST_LINE: usize = 16 * 1024;
/// As many definitions may be put into one line, at once or one after another.
const MOST_REPLACEMENTS: usize = 1000;
/// As many bytes of lines may be written anew to put definitions in, in all: a hundred for each
/// line of the largest configurations that there are.
const MOST_REWRITTEN: usize = 256 << 20;

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: Text,
    pub(crate) span: Span,
    /// Whether it stood in double quotes.
    pub(crate) quoted: bool,
}

/// What a configuration consists of.
#[derive(Debug)]
pub(crate) enum Token {
    /// The words of a line, or of the part of it before a brace; at least one.
    Words {
        words: Vec<Word>,
        /// Blanks before the first word on its line.
        indentation: u32,
    },
    /// `{`.
    Open(Span),
    /// `}`, with the blanks before it if it is the first on its line.
    Close {
        span: Span,
        indentation: Option<u32>,
    },
}

/// Where lines come from.
#[derive(Debug)]
enum Input {
    File {
        file: FileId,
        next: usize,
        directory: String,
        /// What `include` insisted on before the file was opened, and does again after it.
        strictness: Strictness,
    },
    Lines(VecDeque<Line>),
    Repetition(Repetition),
}

/// Reads tokens.
pub(crate) struct Reader<'s> {
    source: &'s dyn Source,
    pub(crate) files: Files,
    pub(crate) report: Report,
    inputs: Vec<Input>,
    definitions: Definitions,
    /// The definition whose further lines are being read.
    defining: Option<(String, Vec<Line>)>,
    tokens: VecDeque<Token>,
    generated_lines: usize,
    rewritten: usize,
    read: usize,
    strictness: Strictness,
    /// Where `random_seed` has been said: what `${_RANDOM}` is taken from.
    random: Option<Random>,
    /// Where `instance` has been said: its name.
    instance: Option<String>,
}

impl<'s> Reader<'s> {
    /// A reader of one file and all that it includes. Whether that file can be read at all is in the report.
    pub(crate) fn new(source: &'s dyn Source, path: &str) -> Reader<'s> {
        let mut reader = Reader {
            source,
            files: Files::default(),
            report: Report::default(),
            inputs: Vec::new(),
            definitions: Definitions::new(),
            defining: None,
            tokens: VecDeque::new(),
            generated_lines: 0,
            rewritten: 0,
            read: 0,
            strictness: match source.includes_all() {
                true => Strictness::ALL,
                false => Strictness::default(),
            },
            random: None,
            instance: None,
        };
        if let Err(why) = reader.open(path) {
            reader
                .report
                .error_without_place(format!("{path} cannot be read: {why}"))
                .help("name another file with -f, or make this one readable");
        }
        reader
    }

    /// The next token, unless everything has been read.
    pub(crate) fn next_token(&mut self) -> Option<Token> {
        while self.tokens.is_empty() {
            let line = self.next_line()?;
            self.process(line);
        }
        self.tokens.pop_front()
    }

    fn open(&mut self, path: &str) -> Result<(), String> {
        let bytes = self.source.read(path)?;
        self.read += bytes.len();
        if bytes.len() > u32::MAX as usize / 2 {
            return Err("it is larger than 2 GiB".to_owned());
        }
        let (text, valid_up_to) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => (
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
                Some(error.utf8_error().valid_up_to() as u32),
            ),
        };
        let byte_order_mark = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let file = self.files.add(path.to_owned(), text);
        if let Some(at) = valid_up_to {
            let span = Span {
                file,
                start: at,
                end: at + 3,
            };
            self.report
                .advice(span, "this is not UTF-8")
                .help("save the file as UTF-8; bytes that are not are read as `\u{fffd}`");
        }
        let directory = match path.rfind('/') {
            Some(0) => "/".to_owned(),
            Some(at) => path[..at].to_owned(),
            None => String::new(),
        };
        self.inputs.push(Input::File {
            file,
            next: byte_order_mark,
            directory,
            strictness: self.strictness,
        });
        Ok(())
    }

    /// The next line with its comment taken away; it may be empty.
    fn next_line(&mut self) -> Option<Line> {
        loop {
            match self.inputs.last_mut()? {
                Input::File { file, next, .. } => {
                    let text = &self.files.get(*file).text;
                    if *next < text.len() {
                        let start = *next;
                        let rest = &text[start..];
                        let end = rest.find('\n').unwrap_or(rest.len());
                        let length = rest[..end].trim_end_matches('\r').len();
                        let text = text.part(start..start + length);
                        *next = start + end + 1;
                        let line = Line::verbatim(text, *file, start as u32);
                        if length > LONGEST_LINE {
                            self.too_long(&line);
                            continue;
                        }
                        return Some(self.decommented(line));
                    }
                }
                Input::Lines(lines) => {
                    if let Some(line) = lines.pop_front() {
                        return Some(line);
                    }
                }
                Input::Repetition(repetition) => {
                    if let Some(values) = repetition.next() {
                        let line = repetition.line.clone();
                        for (name, value) in values {
                            self.definitions.insert(name, Definition::Text(value));
                        }
                        if self.may_generate(&line, 1) {
                            return Some(line);
                        }
                    }
                }
            }
            if let Some(Input::File { strictness, .. }) = self.inputs.pop() {
                self.strictness = strictness;
            }
        }
    }

    fn too_long(&mut self, line: &Line) {
        let first = line.text.chars().next().map_or(0, char::len_utf8);
        self.report
            .error(line.span(0..first), "this line is too long")
            .help(format!(
                "a line may have {LONGEST_LINE} bytes, with its definitions put in; does one refer to itself?"
            ));
    }

    /// Counts lines that no file holds. Too many, and there are no more.
    fn may_generate(&mut self, line: &Line, count: usize) -> bool {
        if self.generated_lines > MOST_GENERATED_LINES {
            return false;
        }
        self.generated_lines += count;
        if self.generated_lines > MOST_GENERATED_LINES {
            self.report
                .error(
                    line.whole(),
                    format!(
                        "definitions and repetitions make more than {MOST_GENERATED_LINES} lines"
                    ),
                )
                .help("does a definition refer to itself, or is an end of ~SEQ mistyped?");
            return false;
        }
        true
    }

    /// Counts bytes of lines that are written anew. Too many, and definitions stay as they are.
    fn may_rewrite(&mut self, line: &Line, count: usize) -> bool {
        if self.rewritten > MOST_REWRITTEN {
            return false;
        }
        self.rewritten += count;
        if self.rewritten > MOST_REWRITTEN {
            self.report
                .error(line.whole(), "the definitions take too long to put in")
                .label("from here on they are not")
                .help("do definitions refer to each other, or does one stand in very many lines?");
            return false;
        }
        true
    }

    fn decommented(&mut self, line: Line) -> Line {
        let (line, open_quote) = line.without_comment();
        let Some(at) = open_quote else {
            return line;
        };
        self.report
            .warning(line.whole(), "the double quote is not closed on this line")
            .label("what stands behind it is left out")
            .help("add the missing `\"`; a string cannot go on in the next line");
        let name = line.text.split(BLANKS).next().unwrap_or_default();
        if keyword::may_be_secret(name) {
            let rest = line.slice(at..line.text.len());
            self.report.keep_secret(rest.whole());
        }
        line.slice(0..line.text[..at].trim_end_matches(BLANKS).len())
    }

    /// Does what a line says, if it speaks to the reader, or puts its tokens into the queue.
    fn process(&mut self, line: Line) {
        let mut line = line;
        if self.defining.is_some() {
            self.continue_definition(line);
            return;
        }
        for _ in 0..MOST_REPLACEMENTS {
            if line.text.starts_with('@') {
                match self.conditional(line) {
                    Some(rest) => line = rest,
                    None => return,
                }
            }
            if let Some((name, value)) = definitions::defining(&line.text) {
                let name = name.to_owned();
                let value = line.slice(value..line.text.len());
                self.define(name, value);
                return;
            }
            if line.text.starts_with("~SEQ") || line.text.starts_with("~LST") {
                self.repeat(&line);
                return;
            }
            match self.expanded(&line) {
                Some(expanded) => line = self.decommented(expanded),
                None => {
                    if !self.include(&line) {
                        if line.text.starts_with("include_check") {
                            self.include_check(&line);
                        }
                        self.tokenize(line);
                    }
                    return;
                }
            }
        }
        self.report
            .error(
                line.whole(),
                "the definitions in this line never come to an end",
            )
            .help("a definition refers to itself");
    }

    /// What follows a condition that holds.
    ///
    /// keepalived.conf(5): a line that starts with `@name` stands only if `name` is
    /// the config-id; with `@^name` only if it is not.
    fn conditional(&mut self, line: Line) -> Option<Line> {
        let condition = &line.text[1..];
        let (negated, name) = match condition.strip_prefix('^') {
            Some(name) => (true, name),
            None => (false, condition),
        };
        let end = name.find([' ', '\t'])?;
        let holds = self.source.config_id().as_deref() == Some(&name[..end]);
        if holds == negated {
            return None;
        }
        let rest = name[end..].trim_start_matches([' ', '\t']);
        Some(line.slice(line.text.len() - rest.len()..line.text.len()))
    }

    fn define(&mut self, name: String, value: Line) {
        match value.text.strip_suffix('\\') {
            Some(first) => {
                let end = first.trim_end_matches(BLANKS).len();
                let lines = match end {
                    0 => Vec::new(),
                    _ => vec![value.slice(0..end)],
                };
                self.defining = Some((name, lines));
            }
            None => {
                self.definitions
                    .insert(name, Definition::Text(value.text.to_string()));
            }
        }
    }

    fn continue_definition(&mut self, line: Line) {
        let Some((_, lines)) = &mut self.defining else {
            return;
        };
        let (end, goes_on) = match line.text.strip_suffix('\\') {
            Some(rest) => (rest.trim_end_matches(BLANKS).len(), true),
            None => (line.text.len(), false),
        };
        if end > 0 {
            lines.push(line.slice(0..end));
        }
        if !goes_on && let Some((name, lines)) = self.defining.take() {
            self.definitions.insert(name, Definition::Lines(lines));
        }
    }

    fn repeat(&mut self, line: &Line) {
        let result = definitions::repetition(line, |numbers| {
            let parameters = Line::verbatim(Text::from(numbers.to_owned()), FileId::default(), 0);
            self.expanded(&parameters)
                .unwrap_or(parameters)
                .text
                .to_string()
        });
        match result {
            Ok(repetition) => self.inputs.push(Input::Repetition(repetition)),
            Err(why) => {
                self.report
                    .warning(line.whole(), format!("this repetition is ignored: {why}"))
                    .help("~SEQ(NAME, [START, [STEP,]] END) or ~LST(NAME, VALUE, …), then what is repeated");
            }
        }
    }

    /// The line with every reference to a definition replaced, once; nothing if there is none.
    fn expanded(&mut self, line: &Line) -> Option<Line> {
        let mut at = line.text.find('$')?;
        let mut expanded: Option<Line> = None;
        let mut replacements = 0;
        loop {
            let line = expanded.as_ref().unwrap_or(line);
            let Some(found) = line.text[at..].find('$') else {
                break;
            };
            at += found;
            let Some(reference) = definitions::reference(&line.text[at..]) else {
                at += 1;
                continue;
            };
            let place = at..at + reference.length;
            let text = match self.definitions.get(reference.name) {
                Some(Definition::Text(text)) => text.clone(),
                Some(Definition::Lines(lines)) if place.end == line.text.len() => {
                    let mut lines: VecDeque<Line> = lines.iter().cloned().collect();
                    let first = lines.pop_front();
                    if !self.may_generate(line, lines.len() + 1) {
                        return None;
                    }
                    let mut line = line.clone();
                    match first {
                        Some(first) if place.start == 0 => line = first,
                        Some(first) => line.replace(place, &first.text),
                        None => line.replace(place, ""),
                    }
                    self.inputs.push(Input::Lines(lines));
                    return Some(line);
                }
                Some(Definition::Lines(_)) => {
                    at += 1;
                    continue;
                }
                None => match self.predefined(reference.name, reference.parameters) {
                    Some(text) => text,
                    None => {
                        at += 1;
                        continue;
                    }
                },
            };
            replacements += 1;
            if line.text.len() + text.len() > LONGEST_LINE || replacements > MOST_REPLACEMENTS {
                let line = line.clone();
                self.too_long(&line);
                return None;
            }
            let line = line.clone();
            if !self.may_rewrite(&line, line.text.len() + text.len()) {
                return None;
            }
            let mut edited = line;
            edited.replace(place, &text);
            at += text.len();
            let repeats = text.trim_start().starts_with('~');
            expanded = Some(edited);
            if repeats {
                break;
            }
        }
        expanded
    }

    /// From here on random numbers are those of a seed.
    pub(crate) fn seed(&mut self, seed: u32) {
        self.random = Some(Random::new(seed.into()));
    }

    /// From here on the instance has this name.
    pub(crate) fn name_instance(&mut self, name: &str) {
        self.instance = Some(name.to_owned());
    }

    /// The names that need no definition.
    fn predefined(&mut self, name: &str, parameters: &str) -> Option<String> {
        match name {
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_PWD" => self.inputs.iter().rev().find_map(|input| match input {
                Input::File { directory, .. } if directory.is_empty() => Some(".".to_owned()),
                Input::File { directory, .. } => Some(directory.clone()),
                _ => None,
            }),
            "_INSTANCE" => {
                let named = self.instance.clone().or_else(|| self.source.instance());
                Some(named.unwrap_or_default())
            }
            "_ENV" => Some(self.source.environment(parameters).unwrap_or_default()),
            "_RANDOM" => {
                let mut bounds = parameters.split_whitespace().map(str::parse::<u64>);
                let least = bounds.next().unwrap_or(Ok(0)).ok()?;
                let most = bounds.next().unwrap_or(Ok(32767)).ok()?.max(least);
                let count = (most - least).saturating_add(1);
                let random = match &mut self.random {
                    Some(random) => random.number(),
                    None => self.source.random(),
                };
                Some((least + random % count).to_string())
            }
            _ => None,
        }
    }
}
