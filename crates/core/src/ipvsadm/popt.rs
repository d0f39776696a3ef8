//! Takes a command line apart as the library popt does, with which ipvsadm reads its own:
//! long options unabbreviated, short ones bundled, arguments in the same word or the next,
//! other words collected wherever they stand.

use super::options::{Argument, SPELLINGS, Spelling};

/// Why a word was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScanError {
    #[error("missing argument")]
    MissingArgument,
    #[error("option does not take an argument")]
    UnwantedArgument,
    #[error("unknown option")]
    UnknownOption,
}

/// Goes through the words of a command line, without the program's name.
pub(super) struct Scanner<'a> {
    words: &'a [String],
    next: usize,
    /// What is left of a word of bundled short options.
    bundle: Option<&'a str>,
    /// After `--` every word is an operand.
    only_operands: bool,
    operands: Vec<&'a str>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(words: &'a [String]) -> Self {
        Scanner {
            words,
            next: 0,
            bundle: None,
            only_operands: false,
            operands: Vec::new(),
        }
    }

    /// The next option with its argument; `None` at the end.
    pub(super) fn next_option(
        &mut self,
    ) -> Option<Result<(&'static Spelling, Option<&'a str>), ScanError>> {
        loop {
            if let Some(bundle) = self.bundle.take() {
                return Some(self.short_option(bundle));
            }
            let word = self.words.get(self.next)?.as_str();
            self.next += 1;
            if self.only_operands || word == "-" || !word.starts_with('-') {
                self.operands.push(word);
            } else if word == "--" {
                self.only_operands = true;
            } else if let Some(long) = word.strip_prefix("--") {
                return Some(self.long_option(long));
            } else {
                self.bundle = Some(&word[1..]);
            }
        }
    }

    /// The word that was read last, which messages about options name.
    pub(super) fn last_word(&self) -> &'a str {
        self.next
            .checked_sub(1)
            .and_then(|last| self.words.get(last))
            .map_or("", |word| word)
    }

    /// Words that are not options, once [`Scanner::next_option`] has come to the end.
    pub(super) fn operands(&self) -> &[&'a str] {
        &self.operands
    }

    fn long_option(
        &mut self,
        word: &'a str,
    ) -> Result<(&'static Spelling, Option<&'a str>), ScanError> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let spelling = SPELLINGS
            .iter()
            .find(|spelling| spelling.long == name)
            .ok_or(ScanError::UnknownOption)?;
        self.with_argument(spelling, value)
    }

    fn short_option(
        &mut self,
        bundle: &'a str,
    ) -> Result<(&'static Spelling, Option<&'a str>), ScanError> {
        let mut characters = bundle.chars();
        let short = characters.next();
        let spelling = SPELLINGS
            .iter()
            .find(|spelling| spelling.short.is_some() && spelling.short == short)
            .ok_or(ScanError::UnknownOption)?;
        let rest = Some(characters.as_str()).filter(|rest| !rest.is_empty());
        if spelling.argument == Argument::None {
            if rest.is_some_and(|rest| rest.starts_with('=')) {
                return Err(ScanError::UnwantedArgument);
            }
            self.bundle = rest;
            return Ok((spelling, None));
        }
        let value = rest.map(|rest| rest.strip_prefix('=').unwrap_or(rest));
        self.with_argument(spelling, value)
    }

    /// Completes an option whose own word gave `value`.
    fn with_argument(
        &mut self,
        spelling: &'static Spelling,
        value: Option<&'a str>,
    ) -> Result<(&'static Spelling, Option<&'a str>), ScanError> {
        if spelling.argument == Argument::None {
            return match value {
                Some(_) => Err(ScanError::UnwantedArgument),
                None => Ok((spelling, None)),
            };
        }
        if value.is_some() {
            return Ok((spelling, value));
        }
        let optional = spelling.argument == Argument::Optional;
        match self.words.get(self.next) {
            None if optional => Ok((spelling, None)),
            None => Err(ScanError::MissingArgument),
            Some(word) if optional && word.starts_with('-') => Ok((spelling, None)),
            Some(word) => {
                self.next += 1;
                Ok((spelling, Some(word)))
            }
        }
    }
}
