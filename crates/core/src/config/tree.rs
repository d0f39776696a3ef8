//! From words and braces to statements with blocks, whatever is missing or too much.

use super::diagnostic::{Report, Verdict};
use super::keyword;
use super::reader::{Reader, Token, Word};
use super::source::{Files, Source, Span};

/// Blocks may be this deep; the language itself needs five.
const DEEPEST_BLOCK: usize = 64;

/// A line, and the block that it opens.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// At least one.
    pub(crate) words: Vec<Word>,
    pub(crate) block: Option<Block>,
}

/// What stands between two braces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub(crate) open: Span,
    pub(crate) statements: Vec<Statement>,
}

impl Statement {
    /// The word that says what the statement is about.
    pub(crate) fn name(&self) -> &Word {
        &self.words[0]
    }

    /// All of its words.
    pub(crate) fn span(&self) -> Span {
        let last = &self.words[self.words.len() - 1];
        self.words[0].span.to(last.span)
    }
}

/// A block that has been opened and not closed yet.
struct Open {
    statement: Statement,
    /// Column in which its line starts.
    indentation: u32,
}

/// Builds the tree, one statement of the outermost level at a time.
pub(crate) struct Tree<'s> {
    reader: Reader<'s>,
    /// A token that was read too early.
    waiting: Option<Token>,
    /// The first closing brace of this outermost block that is not where its opening line starts,
    /// with the word that opened the block that it closes.
    displaced: Option<Displaced>,
}

struct Displaced {
    brace: Span,
    opener: Word,
    /// Whether an outer block starts in the brace's column: then it was meant for that one.
    fits_outer: bool,
}

impl<'s> Tree<'s> {
    pub(crate) fn new(source: &'s dyn Source, path: &str) -> Tree<'s> {
        Tree {
            reader: Reader::new(source, path),
            waiting: None,
            displaced: None,
        }
    }

    /// The findings so far.
    pub(crate) fn report(&mut self) -> &mut Report {
        &mut self.reader.report
    }

    /// What has just been said about what is read from here on.
    pub(crate) fn adapt(&mut self, seed: Option<u32>, instance: Option<&str>) {
        if let Some(seed) = seed {
            self.reader.seed(seed);
        }
        if let Some(name) = instance {
            self.reader.name_instance(name);
        }
    }

    /// The files and the findings, when everything has been read.
    pub(crate) fn finish(self) -> (Files, Report) {
        (self.reader.files, self.reader.report)
    }

    fn token(&mut self) -> Option<Token> {
        self.waiting.take().or_else(|| self.reader.next_token())
    }

    /// The next statement of the outermost level with all that is in it.
    pub(crate) fn next_statement(&mut self) -> Option<Statement> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let Some(token) = self.token() else {
                return self.close_all(open, None);
            };
            match token {
                Token::Words { words, indentation } => {
                    if !open.is_empty() && begins_outermost(&words, &open) {
                        let span = words[0].span;
                        let name = words[0].text.to_string();
                        self.waiting = Some(Token::Words { words, indentation });
                        return self.close_all(open, Some((span, &name)));
                    }
                    if open.is_empty() {
                        self.displaced = None;
                    }
                    let mut statement = Statement { words, block: None };
                    match self.token() {
                        Some(Token::Open(span)) if open.len() < DEEPEST_BLOCK => {
                            statement.block = Some(Block {
                                open: span,
                                statements: Vec::new(),
                            });
                            open.push(Open {
                                statement,
                                indentation,
                            });
                            continue;
                        }
                        other => self.waiting = other,
                    }
                    match innermost(&mut open) {
                        Some(block) => block.statements.push(statement),
                        None => return Some(statement),
                    }
                }
                Token::Open(span) => {
                    self.report()
                        .warning(span, "this `{` opens no block")
                        .help("a block is `keyword arguments {`; take the brace away, or write what it belongs to before it");
                }
                Token::Close { span, indentation } => {
                    let Some(closed) = open.pop() else {
                        self.extra(span);
                        continue;
                    };
                    self.compare(span, indentation, &closed, &open);
                    match innermost(&mut open) {
                        Some(block) => block.statements.push(closed.statement),
                        None => return Some(closed.statement),
                    }
                }
            }
        }
    }

    /// Remembers the first brace that stands elsewhere than the line that it closes.
    fn compare(&mut self, brace: Span, indentation: Option<u32>, closed: &Open, outer: &[Open]) {
        if let Some(indentation) = indentation
            && indentation != closed.indentation
            && self.displaced.is_none()
        {
            self.displaced = Some(Displaced {
                brace,
                opener: closed.statement.words[0].clone(),
                fits_outer: outer.iter().any(|open| open.indentation == indentation),
            });
        }
    }

    fn extra(&mut self, span: Span) {
        let displaced = self
            .displaced
            .take()
            .filter(|displaced| !displaced.fits_outer);
        let finding = self.report().warning(
            span,
            "this `}` closes nothing: every block is closed already",
        );
        finding.label("no block is open here");
        match displaced {
            Some(displaced) => {
                finding
                    .related(
                        displaced.opener.span,
                        format!("`{}` starts here", displaced.opener.text),
                    )
                    .related(
                        displaced.brace,
                        "and is closed here, in another column: perhaps this brace is the one too many",
                    )
                    .help("take one of the two braces away");
            }
            None => {
                finding.help("take it away, or look for a block above that is closed too early");
            }
        }
    }

    /// Closes every open block, because the file ends or because something begins
    /// that is never inside a block.
    fn close_all(&mut self, mut open: Vec<Open>, next: Option<(Span, &str)>) -> Option<Statement> {
        let innermost = open.last()?;
        let displaced = self
            .displaced
            .take()
            .filter(|displaced| displaced.fits_outer);
        // A brace that was meant for an outer block shows which inner one was left open.
        let opener = displaced
            .as_ref()
            .map_or(&innermost.statement.words[0], |displaced| &displaced.opener)
            .clone();
        let count = open.len();
        let braces = if count == 1 {
            "a `}` is".to_owned()
        } else {
            format!("{count} `}}` are")
        };
        let finding = match next {
            Some((span, name)) => self
                .report()
                .warning(
                    span,
                    format!("{braces} missing before this `{name}`, which is never inside a block"),
                )
                .label(format!("taken as the end of `{}`", opener.text)),
            None => self
                .report()
                .warning(
                    opener.span,
                    format!("{braces} missing: the file ends inside `{}`", opener.text),
                )
                .label("this block is not closed"),
        };
        if next.is_some() {
            finding.related(opener.span, format!("`{}` is not closed", opener.text));
        }
        if let Some(displaced) = displaced {
            finding.related(
                displaced.brace,
                "the `}` here seems to be meant for an outer block",
            );
        }
        finding.keepalived(Verdict::Complains).help(format!(
            "add the missing brace at the end of `{}`",
            opener.text
        ));
        while open.len() > 1 {
            let closed = open.pop()?.statement;
            open.last_mut()?
                .statement
                .block
                .get_or_insert_default()
                .statements
                .push(closed);
        }
        Some(open.pop()?.statement)
    }
}

fn innermost(open: &mut [Open]) -> Option<&mut Block> {
    open.last_mut()
        .map(|open| open.statement.block.get_or_insert_default())
}

/// Whether a line can only be at the outermost level, so that the blocks around it must have ended.
fn begins_outermost(words: &[Word], open: &[Open]) -> bool {
    let name = &*words[0].text;
    !words[0].quoted
        && keyword::only_outermost(name)
        // Where blocks are nested too deep nothing is certain.
        && open.len() < DEEPEST_BLOCK
}
