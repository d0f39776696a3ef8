//! A statement held against the table of keywords.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::diagnostic::{Finding, Report, Verdict};
use super::keyword::{self, Argument, BlockKind, Body, Keyword, State};
use super::reader::Word;
use super::route_names::{RouteName, RouteNames};
use super::source::{Source, Span};
use super::tree::{Block, Statement};

/// A statement whose keyword is known and whose arguments are what it takes.
pub(crate) struct Directive<'t> {
    pub(crate) keyword: &'static Keyword,
    pub(crate) statement: &'t Statement,
    values: Vec<Value<'t>>,
}

/// An argument that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'t> {
    Word(&'t Word),
    Number(i64),
    Time(Duration),
    Boolean(bool),
    Choice(&'static str),
    Address(IpAddr),
    Port(u16),
}

impl<'t> Directive<'t> {
    /// The keyword's own word.
    pub(crate) fn name(&self) -> &'t Word {
        self.statement.name()
    }

    /// The statements of its block.
    pub(crate) fn statements(&self) -> &'t [Statement] {
        self.statement
            .block
            .as_ref()
            .map_or(&[], |block| block.statements.as_slice())
    }

    /// The word at that place, if it is a word that the table asks for.
    pub(crate) fn word(&self, index: usize) -> Option<&'t Word> {
        match self.values.get(index) {
            Some(Value::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// The place of an argument, or of the keyword where there is none.
    pub(crate) fn argument_span(&self, index: usize) -> Span {
        self.statement
            .words
            .get(index + 1)
            .map_or(self.name().span, |word| word.span)
    }

    pub(crate) fn number(&self) -> Option<i64> {
        match self.values.first() {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn time(&self) -> Option<Duration> {
        match self.values.first() {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }

    /// A boolean that is true where it is left out.
    pub(crate) fn boolean(&self) -> bool {
        !matches!(self.values.first(), Some(Value::Boolean(false)))
    }

    pub(crate) fn choice(&self) -> Option<&'static str> {
        match self.values.first() {
            Some(Value::Choice(choice)) => Some(choice),
            _ => None,
        }
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.values.first() {
            Some(Value::Address(address)) => Some(*address),
            _ => None,
        }
    }

    pub(crate) fn port(&self) -> Option<u16> {
        match self.values.first() {
            Some(Value::Port(port)) => Some(*port),
            _ => None,
        }
    }

    /// The words after those that the table names one by one.
    pub(crate) fn rest(&self, from: usize) -> &'t [Word] {
        self.statement.words.get(from + 1..).unwrap_or(&[])
    }
}

/// What has been said about keywords that are not acted on.
#[derive(Debug, Default)]
pub(crate) struct NotActedOn {
    /// First place and number of places, by name.
    seen: BTreeMap<&'static str, (Span, usize, State)>,
}

impl NotActedOn {
    /// One finding for each name.
    pub(crate) fn report(self, report: &mut Report) {
        for (name, (span, count, state)) in self.seen {
            let times = match count {
                1 => String::new(),
                _ => format!(" ({count} times in this configuration)"),
            };
            let message = format!("`{name}` is accepted but not acted on yet{times}");
            match state {
                State::Missing(instead) => {
                    report.advice(span, message).label(instead);
                }
                State::NothingToDo(why) => {
                    let message = format!("`{name}` has nothing to change in elver{times}");
                    report.note(span, message).label(why);
                }
                _ => {
                    report.note(span, message);
                }
            }
        }
    }
}

/// Where findings about statements go.
pub(crate) struct Context<'r> {
    pub(crate) report: &'r mut Report,
    pub(crate) not_acted_on: &'r mut NotActedOn,
    pub(crate) source: &'r dyn Source,
    pub(crate) route_names: &'r mut RouteNames,
    pub(crate) rule_preferences: &'r mut RulePreferences,
}

/// What rules without a preference get, as keepalived has it: of either family the first one
/// 16384, and each later one a place before it.
#[derive(Debug)]
pub(crate) struct RulePreferences {
    ipv4: u32,
    ipv6: u32,
}

impl Default for RulePreferences {
    fn default() -> RulePreferences {
        const FIRST: u32 = 16384;
        RulePreferences {
            ipv4: FIRST,
            ipv6: FIRST,
        }
    }
}

impl RulePreferences {
    /// The preference of the next rule that has none.
    pub(crate) fn take(&mut self, is_ipv6: bool) -> u32 {
        let next = if is_ipv6 {
            &mut self.ipv6
        } else {
            &mut self.ipv4
        };
        let preference = *next;
        *next = next.saturating_sub(1);
        preference
    }
}

impl Context<'_> {
    /// The number of a routing table, protocol or scope.
    pub(crate) fn route_number(&mut self, kind: RouteName, word: &str) -> Option<u32> {
        self.route_names.number(self.source, kind, word)
    }

    /// The directives among the statements of a block; about the others there is a finding.
    pub(crate) fn directives<'t>(
        &mut self,
        block: BlockKind,
        statements: &'t [Statement],
    ) -> Vec<Directive<'t>> {
        statements
            .iter()
            .filter_map(|statement| self.directive(block, statement))
            .collect()
    }

    /// The statement as a directive of that kind of block.
    ///
    /// Whatever is in the block of a keyword that is not acted on is held against
    /// the table here, so that the caller sees only what it has to act on.
    pub(crate) fn directive<'t>(
        &mut self,
        block: BlockKind,
        statement: &'t Statement,
    ) -> Option<Directive<'t>> {
        let name = statement.name();
        let Some(keyword) = keyword::find(block, &name.text) else {
            self.unknown(block, statement);
            return None;
        };
        if keyword.is_secret() {
            self.keep_secret(&statement.words[1..]);
            if let Some(block) = &statement.block {
                self.hide(block, &|_| true);
            }
        }
        if let State::Dropped { why, instead } = keyword.state {
            self.report
                .warning(name.span, format!("`{}` is ignored: {why}", keyword.name))
                .help(instead);
            return None;
        }
        if let Some(instead) = keyword.deprecated {
            self.report
                .advice(name.span, format!("`{}` is an old name", keyword.name))
                .keepalived(keyword.if_deprecated)
                .help(format!("write `{instead}`"));
        }
        self.check_block(keyword, statement);
        let acted_on = keyword.state == State::ActedOn;
        if !acted_on {
            self.not_acted_on
                .seen
                .entry(keyword.name)
                .or_insert((name.span, 0, keyword.state))
                .1 += 1;
            if let (Body::Keywords(inner), Some(block)) = (keyword.body, &statement.block) {
                self.directives(inner, &block.statements);
            }
        }
        let values = self.values(keyword, statement)?;
        Some(Directive {
            keyword,
            statement,
            values,
        })
    }

    fn check_block(&mut self, keyword: &Keyword, statement: &Statement) {
        match (keyword.body, &statement.block) {
            (Body::None, Some(block)) => {
                self.report
                    .warning(block.open, format!("`{}` has no block", keyword.name))
                    .help(
                        "what is between the braces is ignored; is a `}` missing before this line?",
                    );
            }
            (Body::Keywords(_) | Body::List, None) => {
                self.report
                    .warning(
                        statement.name().span,
                        format!("the `{{` of `{}` is missing", keyword.name),
                    )
                    .help("it belongs at the end of this line or alone on the next one");
            }
            _ => {}
        }
    }

    fn keep_secret(&mut self, words: &[Word]) {
        for word in words {
            self.report.keep_secret(word.span);
        }
    }

    fn unknown(&mut self, block: BlockKind, statement: &Statement) {
        let name = statement.name();
        let nearest = keyword::nearest(block, &name.text);
        let elsewhere = keyword::BLOCKS
            .iter()
            .find(|other| keyword::find(**other, &name.text).is_some());
        let may_be_secret = matches!(
            block,
            BlockKind::Authentication | BlockKind::AuthenticationHmac | BlockKind::Ssl
        ) || keyword::may_be_secret(&name.text);
        if may_be_secret {
            self.keep_secret(&statement.words[1..]);
        }
        if let Some(block) = &statement.block {
            self.hide(block, &|name| keyword::may_be_secret(name));
        }
        let ignored = match statement.block {
            Some(_) => "its block is ignored",
            None => "this line is ignored",
        };
        let shown: String = name.text.chars().take(60).collect();
        let finding = self
            .report
            .warning(name.span, format!("unknown keyword `{shown}`: {ignored}"));
        match (nearest, elsewhere) {
            (Some(nearest), _) => {
                finding
                    .label(format!("did you mean `{}`?", nearest.name))
                    .help(format!("write `{}`", nearest.name));
            }
            (None, Some(other)) => {
                finding.label("not a keyword here").help(format!(
                    "`{}` belongs into {}; is a brace too much or missing above?",
                    name.text,
                    match other {
                        BlockKind::Outermost => "the outermost level".to_owned(),
                        other => format!("a `{}` block", keyword::opener(*other)),
                    }
                ));
            }
            (None, None) => {
                finding.label("not a keyword of keepalived.conf");
            }
        }
    }

    /// A block that nobody reads may hold passwords all the same: keeps the words of those
    /// statements secret that `is_secret` says it of.
    fn hide(&mut self, block: &Block, is_secret: &dyn Fn(&str) -> bool) {
        for statement in &block.statements {
            let name = &statement.name().text;
            if is_secret(name) {
                let named = usize::from(keyword::may_be_secret(name));
                self.keep_secret(&statement.words[named..]);
            }
            if let Some(block) = &statement.block {
                self.hide(block, is_secret);
            }
        }
    }

    /// The arguments, unless one is missing or not what it has to be.
    fn values<'t>(
        &mut self,
        keyword: &'static Keyword,
        statement: &'t Statement,
    ) -> Option<Vec<Value<'t>>> {
        let mut words = statement.words[1..].iter();
        let mut values = Vec::with_capacity(keyword.arguments.len());
        for argument in keyword.arguments {
            let (argument, optional) = match argument {
                Argument::Rest(_) => {
                    if let (Some(verdict), 1) = (keyword.if_missing, statement.words.len()) {
                        self.unusable(keyword, statement.name().span, || {
                            format!("`{}` needs {}", keyword.name, argument)
                        })
                        .keepalived(verdict);
                        return None;
                    }
                    return Some(values);
                }
                Argument::Optional(argument) => (*argument, true),
                argument => (argument, false),
            };
            let Some(word) = words.next() else {
                if optional {
                    break;
                }
                self.unusable(keyword, statement.name().span, || {
                    format!("`{}` needs {}", keyword.name, argument)
                })
                .keepalived(keyword.if_missing.unwrap_or(Verdict::Stops));
                return None;
            };
            match value(argument, word) {
                Ok(value) => values.push(value),
                Err(why) => {
                    self.unusable(keyword, word.span, || {
                        let wanted = argument;
                        match why {
                            Unreadable::Is(what) => {
                                format!(
                                    "`{}` takes {wanted}, and `{}` is {what}",
                                    keyword.name, word.text
                                )
                            }
                            Unreadable::OutOfRange => {
                                format!("`{}` takes {wanted}, not `{}`", keyword.name, word.text)
                            }
                        }
                    });
                    return None;
                }
            }
        }
        let left = words.as_slice();
        if let (Some(first), Some(last)) = (left.first(), left.last()) {
            // Statements that share a line, one of them with a password.
            if let Some(at) = left
                .iter()
                .position(|word| keyword::may_be_secret(&word.text))
            {
                self.keep_secret(&left[at + 1..]);
            }
            let (span, message) = (
                first.span.to(last.span),
                format!("`{}` takes no more words", keyword.name),
            );
            if keyword.takes_no_other_words {
                self.report
                    .warning(span, message)
                    .label("all of it is ignored, as keepalived does")
                    .help("quote a name that has blanks, in double quotes");
                return None;
            }
            self.report
                .advice(span, message)
                .label("ignored")
                .help("every statement stands on a line of its own; quote a word that has blanks");
        }
        Some(values)
    }

    /// What cannot be read is an error where it would be acted on.
    fn unusable(
        &mut self,
        keyword: &Keyword,
        span: Span,
        message: impl FnOnce() -> String,
    ) -> &mut Finding {
        if keyword.state == State::ActedOn {
            self.report.error(span, message())
        } else {
            self.report.warning(span, message())
        }
    }
}

/// Why a word is not the argument.
enum Unreadable {
    /// It is something else.
    Is(&'static str),
    /// It is too small, too large, or none of the choices.
    OutOfRange,
}

fn value<'t>(argument: &Argument, word: &'t Word) -> Result<Value<'t>, Unreadable> {
    let text = &*word.text;
    match argument {
        Argument::Word(_) | Argument::Secret(_) | Argument::Rest(_) => Ok(Value::Word(word)),
        Argument::Number { least, most } => {
            let number: i64 = text
                .parse()
                .map_err(|_| Unreadable::Is("no whole number"))?;
            if (*least..=*most).contains(&number) {
                Ok(Value::Number(number))
            } else {
                Err(Unreadable::OutOfRange)
            }
        }
        Argument::Seconds {
            least,
            most,
            decimal,
        } => {
            let time = seconds(text, *decimal).ok_or(Unreadable::Is("none"))?;
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            if (*least..=*most).contains(&micros) {
                Ok(Value::Time(time))
            } else {
                Err(Unreadable::OutOfRange)
            }
        }
        Argument::Milliseconds { least, most } => {
            let time = seconds(text, true).ok_or(Unreadable::Is("none"))? / 1000;
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            if (*least..=*most).contains(&micros) {
                Ok(Value::Time(Duration::from_micros(micros)))
            } else {
                Err(Unreadable::OutOfRange)
            }
        }
        Argument::Boolean => match text {
            "on" | "true" | "yes" => Ok(Value::Boolean(true)),
            "off" | "false" | "no" => Ok(Value::Boolean(false)),
            _ => Err(Unreadable::OutOfRange),
        },
        Argument::Choice(words) => words
            .iter()
            .find(|word| **word == text)
            .map(|word| Value::Choice(word))
            .ok_or(Unreadable::OutOfRange),
        Argument::Address => text
            .parse()
            .map(Value::Address)
            .map_err(|_| Unreadable::Is("none")),
        Argument::Port => text
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .map(Value::Port)
            .ok_or(Unreadable::OutOfRange),
        Argument::Optional(argument) => value(argument, word),
    }
}

/// A number of seconds, to the microsecond; what is smaller is rounded.
fn seconds(text: &str, decimal: bool) -> Option<Duration> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if decimal && !(whole.is_empty() && fraction.is_empty()) => {
            (whole, fraction)
        }
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    // Seven digits: six count, and the seventh rounds.
    let tenths: u64 = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(7)
        .fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
    Duration::from_secs(whole).checked_add(Duration::from_micros((tenths + 5) / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_decimals_only_where_they_may() {
        let micros = |text| seconds(text, true).map(|time| time.as_micros());
        assert_eq!(micros("1"), Some(1_000_000));
        assert_eq!(micros("0.25"), Some(250_000));
        assert_eq!(micros(".5"), Some(500_000));
        assert_eq!(micros("2."), Some(2_000_000));
        assert_eq!(micros("0.0000015"), Some(2));
        assert_eq!(micros("99999999999999999999"), None);
        for text in ["", ".", "-1", "1e3", "1s", "+1", "1.5.5"] {
            assert_eq!(micros(text), None, "{text}");
        }
        assert_eq!(seconds("1.5", false), None);
    }
}
