//! `$NAME=value` definitions, and the `~SEQ` and `~LST` lines that repeat themselves.

use std::collections::BTreeMap;

use super::line::Line;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Definition {
    /// The rest of the defining line.
    Text(String),
    /// Several lines, of which the definition's own line may hold the first.
    Lines(Vec<Line>),
}

/// The definitions so far, by name.
pub(crate) type Definitions = BTreeMap<String, Definition>;

/// `NAME=` at the start of a line after its `$`: the name, and the byte after the equals sign.
pub(crate) fn defining(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    let name = &rest[..name_length(rest)?];
    let after = &rest[name.len()..];
    let value = after.trim_start_matches([' ', '\t']).strip_prefix('=')?;
    // A blank before the equals sign makes it no definition.
    (after.len() == value.len() + 1).then_some((name, text.len() - value.len()))
}

/// The length of the name at the start of a text.
pub(crate) fn name_length(text: &str) -> Option<usize> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return None;
    }
    Some(
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len()),
    )
}

/// A reference to a definition within a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    /// `${NAME parameters}`.
    pub(crate) parameters: &'a str,
    /// How many bytes the reference takes, its `$` included.
    pub(crate) length: usize,
}

/// The reference that starts with the `$` at the beginning of a text.
///
/// keepalived.conf(5): `$NAME` has to be followed by a blank or the end of the
/// line (its parser takes `,` and `)` too), `${NAME}` by anything.
pub(crate) fn reference(text: &str) -> Option<Reference<'_>> {
    let rest = text.strip_prefix('$')?;
    if let Some(inner) = rest.strip_prefix('{') {
        let name = &inner[..name_length(inner)?];
        let close = inner.find('}')?;
        let parameters = inner.get(name.len()..close)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '\t');
        if !parameters.chars().all(fits) {
            return None;
        }
        return Some(Reference {
            name,
            parameters: parameters.trim(),
            length: close + 3,
        });
    }
    let name = &rest[..name_length(rest)?];
    let after = rest[name.len()..].chars().next();
    matches!(after, None | Some(' ' | '\t' | ',' | ')')).then_some(Reference {
        name,
        parameters: "",
        length: name.len() + 1,
    })
}

/// A line that is read again and again, with other values each time.
#[derive(Debug)]
pub(crate) struct Repetition {
    /// What is repeated.
    pub(crate) line: Line,
    names: Vec<String>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Numbers {
        next: Option<i64>,
        step: i64,
        last: i64,
        hexadecimal: bool,
    },
    Lists(std::vec::IntoIter<Vec<String>>),
}

impl Iterator for Repetition {
    /// The names that get new values for the next round.
    type Item = Vec<(String, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let values = match &mut self.values {
            Values::Numbers {
                next,
                step,
                last,
                hexadecimal,
            } => {
                let value = (*next)?;
                *next = value.checked_add(*step).filter(|next| {
                    if *step > 0 {
                        next <= last
                    } else {
                        next >= last
                    }
                });
                vec![if *hexadecimal {
                    format!("{value:x}")
                } else {
                    value.to_string()
                }]
            }
            Values::Lists(lists) => lists.next()?,
        };
        Some(self.names.iter().cloned().zip(values).collect())
    }
}

/// The repetition that a line asks for, with the references among its parameters
/// already replaced by `expand`. An error says what is wrong, as a sentence.
pub(crate) fn repetition(
    line: &Line,
    expand: impl FnOnce(&str) -> String,
) -> Result<Repetition, &'static str> {
    let text = &*line.text;
    let (is_list, rest) = match (text.strip_prefix("~SEQ"), text.strip_prefix("~LST")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err("it is neither ~SEQ nor ~LST"),
    };
    let hexadecimal = !is_list && rest.starts_with('x');
    let rest = rest
        .strip_prefix('x')
        .filter(|_| hexadecimal)
        .unwrap_or(rest);
    let rest = rest
        .trim_start()
        .strip_prefix('(')
        .ok_or("there is no `(` after its name")?;
    let close = rest.find(')').ok_or("its `)` is missing")?;
    let after = text.len() - rest.len() + close + 1;
    let line = line.slice(after + blank_prefix(&text[after..])..text.len());
    if is_list {
        let (names, values) = lists(&rest[..close])?;
        return Ok(Repetition {
            line,
            names,
            values: Values::Lists(values.into_iter()),
        });
    }
    let (name, numbers) = rest[..close]
        .split_once(',')
        .ok_or("it needs a name and at least one number")?;
    let name = name.trim();
    if name.is_empty() {
        return Err("its name is missing");
    }
    let numbers = numbers_of(&expand(numbers))?;
    let (next, step, last) = match numbers[..] {
        [last] => (
            if last < 0 { -1 } else { 1 },
            if last < 1 { -1 } else { 1 },
            last,
        ),
        [first, last] => (first, if first <= last { 1 } else { -1 }, last),
        [first, step, last] => (first, step, last),
        _ => return Err("it takes one to three numbers: [start, [step,]] end"),
    };
    if step == 0 || (next < last && step < 0) || (next > last && step > 0) {
        return Err("its step leads away from its end");
    }
    if hexadecimal && (next < 0 || last < 0) {
        return Err("~SEQx counts numbers from 0 up only");
    }
    Ok(Repetition {
        line,
        names: vec![name.to_owned()],
        values: Values::Numbers {
            next: Some(next),
            step,
            last,
            hexadecimal,
        },
    })
}

fn blank_prefix(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

fn numbers_of(text: &str) -> Result<Vec<i64>, &'static str> {
    text.split(',')
        .map(|number| integer(number.trim()).ok_or("one of its numbers is no number"))
        .collect()
}

/// A number as C's strtol reads it: decimal, 0x hexadecimal or 0 octal.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = if let Some(hexadecimal) = digits.strip_prefix("0x") {
        i64::from_str_radix(hexadecimal, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

type NamesAndValues = (Vec<String>, Vec<Vec<String>>);

/// `name, value, value …` or `{name, name}, {value, value}, …`.
fn lists(text: &str) -> Result<NamesAndValues, &'static str> {
    let mut groups = Vec::new();
    let mut rest = text.trim();
    loop {
        let group;
        if let Some(inner) = rest.strip_prefix('{') {
            let close = inner.find('}').ok_or("its `}` is missing")?;
            group = &inner[..close];
            rest = inner[close + 1..].trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            group = &rest[..end];
            rest = &rest[end..];
        }
        groups.push(
            group
                .split(',')
                .map(|word| word.trim().to_owned())
                .collect::<Vec<_>>(),
        );
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => break,
            None => return Err("a comma is missing"),
        }
    }
    let names = groups.remove(0);
    if names.iter().any(String::is_empty) {
        return Err("one of its names is missing");
    }
    if groups.is_empty() {
        return Err("it has no values");
    }
    if groups.iter().any(|values| values.len() > names.len()) {
        return Err("it has more values than names");
    }
    for values in &mut groups {
        values.resize(names.len(), String::new());
    }
    Ok((names, groups))
}
