//! As much of the shell as the scripts of the transcripts are written in: simple commands,
//! variables, quotes, `for`, `$((p+1))` and `$($IPVSADM …)`. Anything else panics.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What runs ipvsadm for a script and keeps the record.
pub(crate) trait Recorder {
    /// `t`: runs and records; `input` is there for `ti`.
    fn record(&mut self, words: &[String], input: Option<&str>, filter: &str);
    /// Runs without a record and gives the standard output.
    fn run(&mut self, words: &[String]) -> String;
    /// Takes root's rights away, as `setpriv` does in the scripts.
    fn drop_privileges(&mut self);
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Variable(String),
    Increment(String),
    Output(Vec<Word>),
}

type Word = Vec<Part>;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(Word),
    End,
}

pub(crate) struct Shell<'a> {
    variables: BTreeMap<String, String>,
    recorder: &'a mut dyn Recorder,
}

/// Runs a script.
pub(crate) fn run(script: &str, recorder: &mut dyn Recorder) {
    let mut variables = BTreeMap::new();
    variables.insert("IPVSADM".to_owned(), "ipvsadm".to_owned());
    let tokens = tokens(&mut script.chars().peekable());
    let mut shell = Shell {
        variables,
        recorder,
    };
    shell.statements(&tokens);
}

impl Shell<'_> {
    fn statements(&mut self, tokens: &[Token]) {
        let mut position = 0;
        while position < tokens.len() {
            position += match keyword(&tokens[position]) {
                Some("for") => self.for_loop(&tokens[position..]),
                _ => self.simple_command(&tokens[position..]),
            };
        }
    }

    /// `for NAME in WORDS; do …; done`. Gives the number of tokens.
    fn for_loop(&mut self, tokens: &[Token]) -> usize {
        let name = keyword(&tokens[1]).expect("a name after for").to_owned();
        assert_eq!(keyword(&tokens[2]), Some("in"));
        let find = |word| {
            tokens
                .iter()
                .position(|token| keyword(token) == Some(word))
                .unwrap_or_else(|| panic!("for without {word}"))
        };
        let (start, end) = (find("do"), find("done"));
        for token in &tokens[3..start] {
            if let Token::Word(word) = token {
                let value = self.expand(word);
                self.variables.insert(name.clone(), value);
                self.statements(&tokens[start + 1..end]);
            }
        }
        end + 1
    }

    /// Gives the number of tokens.
    fn simple_command(&mut self, tokens: &[Token]) -> usize {
        let length = tokens
            .iter()
            .position(|token| *token == Token::End)
            .unwrap_or(tokens.len());
        let mut words: Vec<String> = Vec::new();
        let mut filter = String::new();
        for token in &tokens[..length] {
            let Token::Word(word) = token else { continue };
            let expanded = self.expand(word);
            match assignment(word) {
                Some(name) if words.is_empty() => {
                    let value = expanded[name.len() + 1..].to_owned();
                    if name == "FILTER" {
                        filter = value;
                    } else {
                        self.assign(name, value);
                    }
                }
                _ => words.push(expanded),
            }
        }
        words.retain(|word| word != "2>/dev/null");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => {}
            [".", library] if library.ends_with("/lib.sh") => {}
            ["t", rest @ ..] => self.recorder.record(&owned(rest), None, &filter),
            ["ti", input, rest @ ..] => self.recorder.record(&owned(rest), Some(input), &filter),
            ["ipvsadm", rest @ ..] => {
                self.recorder.run(&owned(rest));
            }
            other => panic!("the shell of the tests does not know {other:?}"),
        }
        length + 1
    }

    fn assign(&mut self, name: &str, value: String) {
        if name == "IPVSADM" {
            assert!(value.starts_with("setpriv --reuid 65534"), "{value}");
            self.recorder.drop_privileges();
        }
        self.variables.insert(name.to_owned(), value);
    }

    fn expand(&mut self, word: &Word) -> String {
        let mut text = String::new();
        for part in word {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name) => text.push_str(&self.variables[name]),
                Part::Increment(name) => {
                    let number: u32 = self.variables[name].parse().expect("a number");
                    text.push_str(&(number + 1).to_string());
                }
                Part::Output(words) => {
                    let words: Vec<String> = words.iter().map(|word| self.expand(word)).collect();
                    let (program, rest) = words.split_first().expect("a command");
                    assert_eq!(program, "ipvsadm");
                    text.push_str(self.recorder.run(rest).trim_end_matches('\n'));
                }
            }
        }
        text
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The text of a word that is nothing but text.
fn keyword(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => match word.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        },
        Token::End => None,
    }
}

/// The name in `NAME=value`.
fn assignment(word: &Word) -> Option<&str> {
    let Some(Part::Text(text)) = word.first() else {
        return None;
    };
    let (name, _) = text.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
    is_name.then_some(name)
}

fn tokens(source: &mut Peekable<Chars<'_>>) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some(&next) = source.peek() {
        match next {
            ' ' => {
                source.next();
            }
            '\n' | ';' => {
                source.next();
                tokens.push(Token::End);
            }
            _ => {
                let word = word(source);
                // What follows these begins a new command.
                let begins = matches!(word.as_slice(), [Part::Text(t)] if t == "do");
                tokens.push(Token::Word(word));
                if begins {
                    tokens.push(Token::End);
                }
            }
        }
    }
    tokens
}

/// A word, up to a blank, an end or a closing parenthesis outside of quotes.
fn word(source: &mut Peekable<Chars<'_>>) -> Word {
    let mut word = Word::new();
    while let Some(&next) = source.peek() {
        match next {
            ' ' | '\n' | ';' | ')' => break,
            '\'' => {
                source.next();
                let quoted: String = source.by_ref().take_while(|c| *c != '\'').collect();
                push(&mut word, Part::Text(quoted));
            }
            '"' => {
                source.next();
                loop {
                    match source.peek() {
                        None => panic!("a quote is not closed"),
                        Some('"') => break,
                        Some('$') => dollar(source, &mut word),
                        Some(_) => push(&mut word, Part::Text(source.next().into_iter().collect())),
                    }
                }
                source.next();
            }
            '$' => dollar(source, &mut word),
            _ => push(&mut word, Part::Text(source.next().into_iter().collect())),
        }
    }
    word
}

/// `$NAME`, `$((NAME+1))`, `$(COMMAND)`; `$0` is of no interest.
fn dollar(source: &mut Peekable<Chars<'_>>, word: &mut Word) {
    source.next();
    if source.peek() == Some(&'(') {
        source.next();
        if source.peek() == Some(&'(') {
            source.next();
            let expression: String = source.by_ref().take_while(|c| *c != ')').collect();
            assert_eq!(source.next(), Some(')'));
            let name = expression.strip_suffix("+1").expect("an increment");
            push(word, Part::Increment(name.to_owned()));
            return;
        }
        let mut words = Vec::new();
        loop {
            match source.peek() {
                None => panic!("a substitution is not closed"),
                Some(')') => break,
                Some(' ') => {
                    source.next();
                }
                Some(_) => words.push(self::word(source)),
            }
        }
        source.next();
        if words[0] == [Part::Text("dirname".to_owned())] {
            return;
        }
        push(word, Part::Output(words));
        return;
    }
    let mut name = String::new();
    while let Some(c) = source.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    push(word, Part::Variable(name));
}

/// Appends a part, joining text with text.
fn push(word: &mut Word, part: Part) {
    match (word.last_mut(), part) {
        (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
        (_, part) => word.push(part),
    }
}
