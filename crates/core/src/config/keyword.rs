//! Every keyword of the language: where it stands, what it takes, and what becomes of it.
//!
//! One table for the parser, for suggestions and for the documentation.

mod checks;
mod global;
mod servers;
mod vrrp;

use std::fmt;

use super::diagnostic::Verdict;

/// A kind of block, by the keyword that opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are those of the keywords")]
pub enum BlockKind {
    /// Outside of every block.
    Outermost,
    GlobalDefs,
    TrackGroup,
    TrackFile,
    TrackProcess,
    Script,
    GarpGroup,
    SyncGroup,
    Instance,
    Authentication,
    AuthenticationHmac,
    Bfd,
    Ssl,
    VirtualServer,
    RealServer,
    HttpGet,
    Url,
    TcpCheck,
    SmtpCheck,
    SmtpHost,
    DnsCheck,
    MiscCheck,
    BfdCheck,
    PingCheck,
    UdpCheck,
    FileCheck,
}

/// What a keyword's block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// It has no block.
    None,
    /// Keywords of their own.
    Keywords(BlockKind),
    /// Lines without keywords: addresses, names, routes.
    List,
}

/// One argument of a keyword.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// One word; the string says what it is.
    Word(&'static str),
    /// A word that no output may show.
    Secret(&'static str),
    /// All words that are left, also none.
    Rest(&'static str),
    /// A whole number.
    Number {
        /// The least that is accepted.
        least: i64,
        /// The most that is accepted.
        most: i64,
    },
    /// A time in seconds, with decimals where `decimal`.
    Seconds {
        /// Microseconds.
        least: u64,
        /// Microseconds.
        most: u64,
        /// Whether decimals are accepted.
        decimal: bool,
    },
    /// A time in milliseconds, with decimals.
    Milliseconds {
        /// Microseconds.
        least: u64,
        /// Microseconds.
        most: u64,
    },
    /// `on`, `off`, `true`, `false`, `yes` or `no`.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IPv4 or IPv6 address.
    Address,
    /// A port, 1 to 65535.
    Port,
    /// May be left out.
    Optional(&'static Argument),
}

impl fmt::Display for Argument {
    /// In the words of a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Argument::Word(what) | Argument::Secret(what) | Argument::Rest(what) => {
                f.write_str(what)
            }
            Argument::Number { least, most } if *most >= i64::from(i32::MAX) => {
                write!(f, "a number from {least} up")
            }
            Argument::Number { least, most } => write!(f, "a number from {least} to {most}"),
            Argument::Seconds {
                least,
                most,
                decimal,
            } => {
                f.write_str(if *decimal {
                    "a number of seconds"
                } else {
                    "a whole number of seconds"
                })?;
                let seconds = |micros: u64| micros as f64 / 1e6;
                match (least, most) {
                    (least, ..=1_000_000_000) => {
                        write!(f, " from {} to {}", seconds(*least), seconds(*most))
                    }
                    (0, _) => Ok(()),
                    (1, _) => f.write_str(" above 0"),
                    (least, _) => write!(f, " from {} up", seconds(*least)),
                }
            }
            Argument::Milliseconds { least, most } => write!(
                f,
                "a number of milliseconds from {} to {}",
                least / 1000,
                most / 1000
            ),
            Argument::Boolean => f.write_str("on, off, true, false, yes or no"),
            Argument::Choice(words) => f.write_str(&words.join(" or ")),
            Argument::Address => f.write_str("an IPv4 or IPv6 address"),
            Argument::Port => f.write_str("a port from 1 to 65535"),
            Argument::Optional(argument) => argument.fmt(f),
        }
    }
}

/// What becomes of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// elver does what it says.
    ActedOn,
    /// elver knows it and does nothing about it yet.
    NotActedOn,
    /// elver knows it and does nothing about it yet, and what runs differs
    /// from what the file says; the string says how.
    Missing(&'static str),
    /// There is nothing for elver to do about it; the string says why.
    NothingToDo(&'static str),
    /// keepalived does not know it any more, or never did.
    Dropped {
        /// Why it is ignored, to go after a colon.
        why: &'static str,
        /// What to do about it.
        instead: &'static str,
    },
}

/// A keyword in one kind of block.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// What it takes on its line.
    pub arguments: &'static [Argument],
    /// What its block holds.
    pub body: Body,
    /// What becomes of it.
    pub state: State,
    /// The name that is to be used instead of this one.
    pub deprecated: Option<&'static str>,
    /// What keepalived says of a deprecated name.
    pub if_deprecated: Verdict,
    /// Keepalived complains of a line that has fewer words or more, and passes over its block.
    pub takes_no_other_words: bool,
    /// What keepalived says where a word is missing that it needs, if that is not what it says
    /// of most keywords, which stop it; of those that take any number of words, if it needs one.
    pub if_missing: Option<Verdict>,
}

impl Keyword {
    const fn opens(mut self, block: BlockKind) -> Keyword {
        self.body = Body::Keywords(block);
        self
    }

    const fn list(mut self) -> Keyword {
        self.body = Body::List;
        self
    }

    /// An old name of which keepalived complains.
    const fn use_instead(mut self, name: &'static str) -> Keyword {
        self.deprecated = Some(name);
        self.if_deprecated = Verdict::Complains;
        self
    }

    /// An old name that keepalived takes without a word.
    const fn now_called(mut self, name: &'static str) -> Keyword {
        self.deprecated = Some(name);
        self
    }

    const fn takes_no_other_words(mut self) -> Keyword {
        self.takes_no_other_words = true;
        self.if_missing = Some(Verdict::Complains);
        self
    }

    const fn complains_if_missing(mut self) -> Keyword {
        self.if_missing = Some(Verdict::Complains);
        self
    }

    const fn stops_if_missing(mut self) -> Keyword {
        self.if_missing = Some(Verdict::Stops);
        self
    }

    const fn ignored_if_missing(mut self) -> Keyword {
        self.if_missing = Some(Verdict::Accepts);
        self
    }

    /// Whether one of its arguments must not be shown.
    pub fn is_secret(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| matches!(argument, Argument::Secret(_)))
    }
}

const fn keyword(name: &'static str, arguments: &'static [Argument], state: State) -> Keyword {
    Keyword {
        name,
        arguments,
        body: Body::None,
        state,
        deprecated: None,
        if_deprecated: Verdict::Accepts,
        takes_no_other_words: false,
        if_missing: None,
    }
}

/// A keyword that elver acts on.
const fn acted(name: &'static str, arguments: &'static [Argument]) -> Keyword {
    keyword(name, arguments, State::ActedOn)
}

/// A keyword that elver does not act on yet.
const fn known(name: &'static str, arguments: &'static [Argument]) -> Keyword {
    keyword(name, arguments, State::NotActedOn)
}

/// A keyword that elver does not act on yet, so that something else happens than the file says.
const fn missing(
    name: &'static str,
    arguments: &'static [Argument],
    instead: &'static str,
) -> Keyword {
    keyword(name, arguments, State::Missing(instead))
}

/// A keyword that has nothing to change in elver.
const fn idle(name: &'static str, arguments: &'static [Argument], why: &'static str) -> Keyword {
    keyword(name, arguments, State::NothingToDo(why))
}

/// A keyword of older versions.
const fn dropped(name: &'static str, why: &'static str, instead: &'static str) -> Keyword {
    keyword(
        name,
        &[Argument::Rest("words")],
        State::Dropped { why, instead },
    )
}

/// The largest number that keepalived keeps in an unsigned int.
const UNSIGNED: i64 = u32::MAX as i64;
/// keepalived's `UINT_MAX / TIMER_HZ`, the most seconds of an integer timer.
const MOST_SECONDS: u64 = 4294 * 1_000_000;
/// keepalived's TIMER_MAXIMUM: as long as matters.
const LONGEST: u64 = u32::MAX as u64 * 1_000_000;

const fn number(least: i64, most: i64) -> Argument {
    Argument::Number { least, most }
}

/// Seconds with decimals; the bounds in microseconds.
const fn seconds(least: u64, most: u64) -> Argument {
    Argument::Seconds {
        least,
        most,
        decimal: true,
    }
}

/// Whole seconds.
const fn whole_seconds(least: u64, most: u64) -> Argument {
    Argument::Seconds {
        least: least * 1_000_000,
        most: most * 1_000_000,
        decimal: false,
    }
}

const OPTIONAL_BOOLEAN: Argument = Argument::Optional(&Argument::Boolean);
const NAME: Argument = Argument::Word("a name");
const INTERFACE: Argument = Argument::Word("an interface");
const PATH: Argument = Argument::Word("a path");
/// A script with its arguments in quotes, and the user and group that it runs as.
const SCRIPT: Argument = Argument::Rest("SCRIPT [USER [GROUP]]");

/// The keywords of a kind of block.
pub fn keywords(block: BlockKind) -> &'static [Keyword] {
    match block {
        BlockKind::Outermost => global::OUTERMOST,
        BlockKind::GlobalDefs => global::GLOBAL_DEFS,
        BlockKind::Bfd => global::BFD,
        BlockKind::TrackGroup => vrrp::TRACK_GROUP,
        BlockKind::TrackFile => vrrp::TRACK_FILE,
        BlockKind::TrackProcess => vrrp::TRACK_PROCESS,
        BlockKind::Script => vrrp::SCRIPT_BLOCK,
        BlockKind::GarpGroup => vrrp::GARP_GROUP,
        BlockKind::SyncGroup => vrrp::SYNC_GROUP,
        BlockKind::Instance => vrrp::INSTANCE,
        BlockKind::Authentication => vrrp::AUTHENTICATION,
        BlockKind::AuthenticationHmac => vrrp::AUTHENTICATION_HMAC,
        BlockKind::Ssl => servers::SSL,
        BlockKind::VirtualServer => servers::VIRTUAL_SERVER,
        BlockKind::RealServer => servers::REAL_SERVER,
        BlockKind::HttpGet => checks::HTTP_GET,
        BlockKind::Url => checks::URL,
        BlockKind::TcpCheck => checks::TCP_CHECK,
        BlockKind::SmtpCheck => checks::SMTP_CHECK,
        BlockKind::SmtpHost => checks::SMTP_HOST,
        BlockKind::DnsCheck => checks::DNS_CHECK,
        BlockKind::MiscCheck => checks::MISC_CHECK,
        BlockKind::BfdCheck => checks::BFD_CHECK,
        BlockKind::PingCheck => checks::PING_CHECK,
        BlockKind::UdpCheck => checks::UDP_CHECK,
        BlockKind::FileCheck => checks::FILE_CHECK,
    }
}

/// Every kind of block.
pub const BLOCKS: &[BlockKind] = &[
    BlockKind::Outermost,
    BlockKind::GlobalDefs,
    BlockKind::TrackGroup,
    BlockKind::TrackFile,
    BlockKind::TrackProcess,
    BlockKind::Script,
    BlockKind::GarpGroup,
    BlockKind::SyncGroup,
    BlockKind::Instance,
    BlockKind::Authentication,
    BlockKind::AuthenticationHmac,
    BlockKind::Bfd,
    BlockKind::Ssl,
    BlockKind::VirtualServer,
    BlockKind::RealServer,
    BlockKind::HttpGet,
    BlockKind::Url,
    BlockKind::TcpCheck,
    BlockKind::SmtpCheck,
    BlockKind::SmtpHost,
    BlockKind::DnsCheck,
    BlockKind::MiscCheck,
    BlockKind::BfdCheck,
    BlockKind::PingCheck,
    BlockKind::UdpCheck,
    BlockKind::FileCheck,
];

/// The keyword of that name in a kind of block.
pub fn find(block: BlockKind, name: &str) -> Option<&'static Keyword> {
    keywords(block).iter().find(|keyword| keyword.name == name)
}

/// Whether a name opens a block at the outermost level and stands nowhere else.
pub(crate) fn only_outermost(name: &str) -> bool {
    find(BlockKind::Outermost, name).is_some_and(|keyword| keyword.body != Body::None)
        && BLOCKS[1..].iter().all(|block| find(*block, name).is_none())
}

/// The keywords that open a kind of block.
pub fn opener(block: BlockKind) -> &'static str {
    BLOCKS
        .iter()
        .flat_map(|outer| keywords(*outer))
        .find(|keyword| keyword.body == Body::Keywords(block))
        .map_or("the outermost level", |keyword| keyword.name)
}

/// The keyword of a block that a misspelt name most likely means.
pub(crate) fn nearest(block: BlockKind, name: &str) -> Option<&'static Keyword> {
    let most = (name.len() / 3).max(1);
    keywords(block)
        .iter()
        .filter(|keyword| !matches!(keyword.state, State::Dropped { .. }))
        .filter_map(|keyword| Some((distance(name, keyword.name, most)?, keyword)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, keyword)| keyword)
}

/// Whether a name is, or may be meant to be, that of a keyword whose arguments nobody may see.
pub(crate) fn may_be_secret(name: &str) -> bool {
    BLOCKS
        .iter()
        .flat_map(|block| keywords(*block))
        .filter(|keyword| keyword.is_secret())
        .any(|keyword| distance(name, keyword.name, (name.len() / 3).max(1)).is_some())
}

/// How many letters have to be inserted, left out, replaced or swapped with their
/// neighbour to make one word of another, unless it is more than `most`.
pub(crate) fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let one: Vec<u8> = one.bytes().map(|b| b.to_ascii_lowercase()).collect();
    let other: Vec<u8> = other.bytes().map(|b| b.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut next = vec![i];
        for j in 1..=other.len() {
            let replaced = row[j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    Some(row[other.len()]).filter(|distance| *distance <= most)
}
