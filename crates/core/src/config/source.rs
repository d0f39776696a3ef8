//! Where configuration text comes from, and how a place in it is named.

use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// What the configuration language needs of the world outside.
///
/// Paths are those of the caller's file system; the language joins relative
/// ones to the directory of the file that names them.
pub trait Source {
    /// The content of a file, or one sentence that says why it cannot be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The names in a directory, for `include` with wildcards. Empty where there is no such directory.
    fn list(&self, directory: &str) -> Vec<String>;

    /// An environment variable, for `${_ENV NAME}`.
    fn environment(&self, _name: &str) -> Option<String> {
        None
    }

    /// What `@name` lines are compared with: `-i`, or the first label of the host name.
    fn config_id(&self) -> Option<String> {
        None
    }

    /// Whether a file that is to be included and is not there is always an error.
    fn includes_all(&self) -> bool {
        false
    }

    /// `${_INSTANCE}`.
    fn instance(&self) -> Option<String> {
        None
    }

    /// A number for `${_RANDOM}`, of which the language uses the remainder.
    fn random(&self) -> u64 {
        0
    }
}

/// A file of the configuration, by the order in which the files were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub(crate) u32);

/// A place in the configuration: bytes `start..end` of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// From the start of this place to the end of another one in the same file.
    pub fn to(self, end: Span) -> Span {
        if self.file == end.file && end.end >= self.start {
            Span {
                end: end.end,
                ..self
            }
        } else {
            self
        }
    }
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One file as it was read.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: Text,
    /// Byte at which each line starts.
    line_starts: Vec<u32>,
}

/// All files of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: Vec<File>,
}

impl Files {
    /// Takes a file in.
    pub(crate) fn add(&mut self, path: String, text: String) -> FileId {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at as u32 + 1))
            .collect();
        self.files.push(File {
            path,
            text: Text::from(text),
            line_starts,
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file that was asked for, if it could be read.
    pub(crate) fn first(&self) -> Option<FileId> {
        (!self.files.is_empty()).then_some(FileId(0))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// The file of that number.
    pub(crate) fn get(&self, file: FileId) -> &File {
        &self.files[file.0 as usize]
    }
}

impl File {
    /// The line and column of a byte.
    pub(crate) fn position(&self, byte: u32) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= byte) - 1;
        let start = self.line_starts[line] as usize;
        let before = self.text.get(start..byte as usize).unwrap_or("");
        Position {
            line: line as u32 + 1,
            column: before.chars().count() as u32 + 1,
        }
    }

    /// The bytes of a line without its end, by its number counted from 1.
    pub(crate) fn line_range(&self, number: u32) -> Range<usize> {
        let index = number.saturating_sub(1) as usize;
        let bound = |index: usize| {
            self.line_starts
                .get(index)
                .map_or(self.text.len(), |start| *start as usize)
        };
        let line = &self.text[bound(index)..bound(index + 1)];
        bound(index)..bound(index) + line.trim_end_matches(['\n', '\r']).len()
    }

    /// Blanks between the start of the line and its first other character, for the line of a byte.
    pub(crate) fn indentation(&self, byte: u32) -> u32 {
        let before = &self.text.as_bytes()[..(byte as usize).min(self.text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n');
        // A tab counts as eight columns, which is how most editors show it.
        before[start.map_or(0, |newline| newline + 1)..]
            .iter()
            .map_while(|byte| match byte {
                b' ' => Some(1),
                b'\t' => Some(8),
                _ => None,
            })
            .sum()
    }
}

/// A part of a text that many share: the file, as long as nothing in it was replaced.
#[derive(Clone)]
pub(crate) struct Text {
    whole: Rc<str>,
    start: u32,
    end: u32,
}

impl Text {
    /// A part of this part.
    pub(crate) fn part(&self, range: Range<usize>) -> Text {
        // Out of bounds is out of bounds here, not where the part is looked at.
        let length = self[range.clone()].len() as u32;
        let start = self.start + range.start as u32;
        Text {
            whole: Rc::clone(&self.whole),
            start,
            end: start + length,
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text {
            end: text.len() as u32,
            start: 0,
            whole: text.into(),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.whole[self.start as usize..self.end as usize]
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        **self == **other
    }
}

impl Eq for Text {}
