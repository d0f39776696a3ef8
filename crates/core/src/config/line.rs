//! A line of configuration that knows where each of its bytes was written,
//! also after definitions were put in.

use std::ops::Range;

use super::source::{FileId, Span, Text};

/// The text of a line, with its origin.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) text: Text,
    file: FileId,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    /// Byte `i` of the text is byte `start + i` of the file.
    Verbatim { start: u32 },
    /// Byte `i` of the text comes from these bytes of the file.
    Edited(Vec<(u32, u32)>),
}

impl Line {
    /// A line as it stands in a file.
    pub(crate) fn verbatim(text: Text, file: FileId, start: u32) -> Line {
        Line {
            text,
            file,
            origin: Origin::Verbatim { start },
        }
    }

    /// Where a part of the line was written.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let (start, end) = match &self.origin {
            Origin::Verbatim { start } => (start + range.start as u32, start + range.end as u32),
            Origin::Edited(bytes) => {
                let last = bytes.last().map_or(0, |byte| byte.1);
                let start = bytes.get(range.start).map_or(last, |byte| byte.0);
                let end = match range.end.checked_sub(1) {
                    Some(at) if at >= range.start => bytes.get(at).map_or(last, |byte| byte.1),
                    _ => start,
                };
                (start, end.max(start))
            }
        };
        Span {
            file: self.file,
            start,
            end,
        }
    }

    /// Where the whole line was written.
    pub(crate) fn whole(&self) -> Span {
        self.span(0..self.text.len())
    }

    /// A part of the line.
    pub(crate) fn slice(&self, range: Range<usize>) -> Line {
        Line {
            text: self.text.part(range.clone()),
            file: self.file,
            origin: match &self.origin {
                Origin::Verbatim { start } => Origin::Verbatim {
                    start: start + range.start as u32,
                },
                Origin::Edited(bytes) => Origin::Edited(bytes[range].to_vec()),
            },
        }
    }

    /// Puts other text in the place of a part; all of it then comes from where that part was written.
    pub(crate) fn replace(&mut self, range: Range<usize>, text: &str) {
        let origin = self.span(range.clone());
        if let Origin::Verbatim { start } = self.origin {
            let bytes = (start..start + self.text.len() as u32).map(|at| (at, at + 1));
            self.origin = Origin::Edited(bytes.collect());
        }
        let mut edited = self.text.to_string();
        edited.replace_range(range.clone(), text);
        self.text = Text::from(edited);
        if let Origin::Edited(bytes) = &mut self.origin {
            bytes.splice(
                range,
                std::iter::repeat_n((origin.start, origin.end), text.len()),
            );
        }
    }

    /// Takes away the comment, blanks at both ends, and the backslash of `\#` and `\!`.
    ///
    /// keepalived.conf(5): comments start with `#` or `!` anywhere outside double quotes.
    /// Where a double quote is left open, if one is, is the answer.
    pub(crate) fn without_comment(self) -> (Line, Option<usize>) {
        let bytes = self.text.as_bytes();
        let mut quote = None;
        let mut escapes = Vec::new();
        let mut end = bytes.len();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => quote = quote.xor(Some(at)),
                b'\\' => {
                    if quote.is_none() && matches!(bytes.get(at + 1), Some(b'#' | b'!')) {
                        escapes.push(at);
                    }
                    at += 1;
                }
                b'#' | b'!' if quote.is_none() => {
                    end = at;
                    break;
                }
                _ => {}
            }
            at += 1;
        }
        end -= escapes.len();
        let mut line = self;
        for escape in escapes.iter().rev() {
            line.replace(*escape..escape + 1, "");
        }
        let kept = &line.text[..end];
        let start = kept.len() - kept.trim_start_matches(BLANKS).len();
        let end = kept.trim_end_matches(BLANKS).len().max(start);
        if start > 0 || end < line.text.len() {
            line = line.slice(start..end);
        }
        // What is taken away stood before it.
        (line, quote.map(|at| at - escapes.len() - start))
    }
}

/// What separates words.
pub(crate) const BLANKS: [char; 6] = [' ', '\t', '\u{b}', '\u{c}', '\r', '\n'];
