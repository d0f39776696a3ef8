//! `auth_hmac`.

use std::time::Duration;

use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{TrailerAuthentication, TrailerKey, TrailerMode};
use crate::config::reader::Word;

/// Fewest and most octets of a key.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 32..=64;
/// The shortest window that follows from the interval of advertisements, in seconds, and the
/// longest one.
const WINDOWS: (u64, u64) = (5, 300);

/// The block as the file has it.
#[derive(Default)]
pub(super) struct ReadTrailer {
    keys: Vec<TrailerKey>,
    active_key: Option<u8>,
    window: Option<Duration>,
    monotonic: bool,
    mode: TrailerMode,
}

pub(super) fn read(context: &mut Context<'_>, block: &Directive<'_>) -> ReadTrailer {
    let mut read = ReadTrailer::default();
    for directive in context.directives(BlockKind::AuthenticationHmac, block.statements()) {
        match directive.keyword.name {
            "key" => {
                let key = key(context, &directive, &read.keys);
                read.keys.extend(key);
            }
            "active_key" => read.active_key = octet(&directive),
            "time_window" => read.window = directive.time(),
            "anti_replay" => read.monotonic = directive.choice() == Some("monotonic"),
            "mode" => {
                read.mode = match directive.choice() {
                    Some("permissive") => TrailerMode::Permissive,
                    Some("receive-only") => TrailerMode::ReceiveOnly,
                    _ => TrailerMode::Enforce,
                };
            }
            _ => {}
        }
    }
    read
}

fn octet(directive: &Directive<'_>) -> Option<u8> {
    directive
        .number()
        .and_then(|number| u8::try_from(number).ok())
}

/// `key ID KEY`: text, octets behind `hex:`, or a file with either behind `file:`.
fn key(
    context: &mut Context<'_>,
    directive: &Directive<'_>,
    others: &[TrailerKey],
) -> Option<TrailerKey> {
    let id = octet(directive)?;
    let word = directive.word(1)?;
    if others.iter().any(|other| other.id == id) {
        context
            .report
            .warning(word.span, format!("there is a key {id} already: ignored"))
            .help("give one of the two another id");
        return None;
    }
    let file = word.text.strip_prefix("file:").map(str::to_owned);
    let text = match &file {
        None => word.text.to_string(),
        Some(path) => read_file(context, word, path)?,
    };
    let secret = match text.strip_prefix("hex:") {
        None => Some(text.into_bytes()),
        Some(digits) => octets(digits),
    };
    let secret = secret.filter(|secret| KEY_LENGTHS.contains(&secret.len()));
    if secret.is_none() {
        context
            .report
            .warning(
                word.span,
                format!("key {id} does not have 32 to 64 octets: ignored"),
            )
            .help(
                "write 64 hexadecimal digits behind `hex:`, as `openssl rand -hex 32` makes them",
            );
    }
    let secret = secret?;
    Some(TrailerKey { id, secret, file })
}

fn read_file(context: &mut Context<'_>, word: &Word, path: &str) -> Option<String> {
    match context.source.read(path) {
        Ok(octets) => {
            let text = String::from_utf8_lossy(&octets);
            Some(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        Err(why) => {
            context
                .report
                .warning(word.span, format!("{path} cannot be read: {why}"))
                .help("without its key the instance does not authenticate");
            None
        }
    }
}

/// Octets of pairs of hexadecimal digits.
fn octets(digits: &str) -> Option<Vec<u8>> {
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.len().is_multiple_of(2) && are_digits;
    let octet = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let octets = (0..digits.len()).step_by(2).map(octet);
    if pairs { octets.collect() } else { None }
}

impl ReadTrailer {
    /// What it comes to, unless the key that is to be used is not there, of which the id is given
    /// back. `interval` is that of the advertisements.
    pub(super) fn finish(
        self,
        interval: Duration,
        strict: bool,
    ) -> Result<TrailerAuthentication, u8> {
        let active_key = self.active_key.unwrap_or(0);
        if self.keys.iter().all(|key| key.id != active_key) {
            return Err(active_key);
        }
        let (shortest, longest) = WINDOWS;
        let usual = (3 * interval.as_secs()).clamp(shortest, longest);
        let window = self.window.unwrap_or(Duration::from_secs(usual));
        Ok(TrailerAuthentication {
            keys: self.keys,
            active_key,
            window: (!self.monotonic).then_some(window),
            mode: if strict {
                TrailerMode::Enforce
            } else {
                self.mode
            },
        })
    }
}
