//! `-R`: the rules on standard input, one command line each.

use std::io::BufRead;

/// The words of one line of rules and where it stands.
pub(super) struct Rule {
    /// The number of the line, from 1.
    pub(super) line: usize,
    /// Its words; a rule may begin with `ipvsadm`, which is left out.
    pub(super) words: Vec<String>,
}

/// Reads rules line by line. There are no quotes and no comments, only blanks between words.
pub(super) struct Rules<'a> {
    input: &'a mut dyn BufRead,
    line: usize,
}

impl<'a> Rules<'a> {
    pub(super) fn new(input: &'a mut dyn BufRead) -> Self {
        Rules { input, line: 0 }
    }
}

impl Iterator for Rules<'_> {
    type Item = Rule;

    /// The next line; `None` at the end of the input or where it cannot be read any further.
    fn next(&mut self) -> Option<Rule> {
        let mut bytes = Vec::new();
        self.input.read_until(b'\n', &mut bytes).ok()?;
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() || is_lost(&line) {
            return None;
        }
        self.line += 1;
        let words = line
            .split([' ', '\t', '\r', '\n'])
            .filter(|word| !word.is_empty() && *word != "ipvsadm")
            .map(str::to_owned)
            .collect();
        Some(Rule {
            line: self.line,
            words,
        })
    }
}

/// A last line without an end that has more than one blank after its last word is lost to
/// the original, which looks for another word and finds the end of the file.
fn is_lost(line: &str) -> bool {
    let blanks = line
        .bytes()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .count();
    !line.ends_with('\n') && blanks >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(input: &str) -> Vec<Vec<String>> {
        Rules::new(&mut input.as_bytes())
            .map(|rule| rule.words)
            .collect()
    }

    #[test]
    fn rules_are_split_at_blanks_alone() {
        assert_eq!(
            words("ipvsadm -A\t-t \"a b\"\r\n\n-C"),
            [vec!["-A", "-t", "\"a", "b\""], vec![], vec!["-C"]]
        );
    }

    #[test]
    fn a_last_line_that_ends_in_blanks_is_lost_as_in_the_original() {
        assert_eq!(words("-C "), [vec!["-C"]]);
        assert_eq!(words("-C  "), Vec::<Vec<String>>::new());
        assert_eq!(words("-C  \n"), [vec!["-C"]]);
    }
}
