//! From a line to its words and braces.

use std::ops::Range;

use super::{Reader, Token, Word};
use crate::config::definitions;
use crate::config::line::{BLANKS, Line};
use crate::config::source::Span;

impl Reader<'_> {
    /// Splits a line into statements and braces.
    pub(super) fn tokenize(&mut self, line: Line) {
        let bytes = line.text.as_bytes();
        let indentation = match bytes.first() {
            Some(_) => self.indentation(line.span(0..1)),
            None => return,
        };
        let mut quoted = false;
        let mut from = 0;
        // The byte after a `${NAME}` that nothing defines: its braces are no braces.
        let mut reference_end = 0;
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => quoted = !quoted,
                b'$' if !quoted && bytes.get(at + 1) == Some(&b'{') => {
                    let reference = definitions::reference(&line.text[at..]);
                    reference_end = at + reference.map_or(0, |reference| reference.length);
                }
                b'{' if !quoted && at >= reference_end => {
                    self.statement(&line, from..at, indentation);
                    self.tokens.push_back(Token::Open(line.span(at..at + 1)));
                    from = at + 1;
                }
                b'}' if !quoted && at >= reference_end => {
                    self.statement(&line, from..at, indentation);
                    let span = line.span(at..at + 1);
                    self.tokens.push_back(Token::Close {
                        span,
                        indentation: (at == 0).then_some(indentation),
                    });
                    from = at + 1;
                }
                _ => {}
            }
        }
        self.statement(&line, from..bytes.len(), indentation);
    }

    fn indentation(&self, span: Span) -> u32 {
        self.files.get(span.file).indentation(span.start)
    }

    fn statement(&mut self, line: &Line, part: Range<usize>, indentation: u32) {
        let words = words(line, part);
        if words.is_empty() {
            return;
        }
        for word in words.iter().filter(|word| !word.quoted) {
            if let Some(reference) = word
                .text
                .find('$')
                .and_then(|at| definitions::reference(&word.text[at..]))
                && word.text.len() == reference.length
            {
                self.report
                    .advice(word.span, format!("`{}` is not defined", word.text))
                    .help(format!(
                        "define it before this line: ${}=value; as it is, it stands for itself",
                        reference.name
                    ));
            }
        }
        self.tokens.push_back(Token::Words { words, indentation });
    }
}

/// The words of a part of a line: separated by blanks and by double quotes,
/// within which blanks are part of the word.
fn words(line: &Line, part: Range<usize>) -> Vec<Word> {
    let Range {
        start: from,
        end: to,
    } = part;
    let text = &line.text;
    let mut words = Vec::new();
    let mut at = from;
    loop {
        let rest = &text[at..to];
        at += rest.len() - rest.trim_start_matches(BLANKS).len();
        if at >= to {
            return words;
        }
        let rest = &text[at..to];
        let (range, next, quoted) = match rest.strip_prefix('"') {
            Some(inner) => {
                let length = inner.find('"').unwrap_or(inner.len());
                let end = at + 1 + length;
                (at + 1..end, (end + 1).min(to), true)
            }
            None => {
                let separator = |c: char| BLANKS.contains(&c) || c == '"';
                let end = at + rest.find(separator).unwrap_or(rest.len());
                (at..end, end, false)
            }
        };
        words.push(Word {
            text: text.part(range.clone()),
            span: line.span(if quoted { at..next } else { range }),
            quoted,
        });
        at = next;
    }
}
