//! Routes and rules, in the words of ip-route(8) and ip-rule(8).

mod encapsulation;
mod route;
mod rule;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

pub(super) use self::route::kept_route;
pub(super) use self::rule::rule;

use super::address::{address_and_prefix, not_an_address};
use crate::config::diagnostic::Verdict;
use crate::config::directive::Context;
use crate::config::model::{Prefix, Realms};
use crate::config::reader::Word;
use crate::config::route_names::{RouteName, number};
use crate::config::tree::Statement;

/// The words of a line, one after the other.
struct Words<'c, 'r, 't> {
    context: &'c mut Context<'r>,
    words: std::slice::Iter<'t, Word>,
    /// Something was wrong, so that the line means nothing.
    broken: bool,
}

impl<'c, 'r, 't> Words<'c, 'r, 't> {
    fn new(context: &'c mut Context<'r>, statement: &'t Statement) -> Words<'c, 'r, 't> {
        Words {
            context,
            words: statement.words.iter(),
            broken: false,
        }
    }

    /// The next word, if it is `expected`.
    fn follows(&mut self, expected: &str) -> bool {
        let follows = self.peek().is_some_and(|word| &*word.text == expected);
        if follows {
            self.words.next();
        }
        follows
    }

    /// `inet` or `inet6`: which family it is has been found out before.
    fn family(&mut self, option: &Word) {
        if self.peek().is_some() {
            let finding = self.context.report.advice(
                option.span,
                format!("keepalived skips the word behind `{}`", option.text),
            );
            finding
                .keepalived(Verdict::Complains)
                .help("write it at the end of the line to be understood by both");
        }
    }

    /// `protocol`: who has made what the line is about.
    fn maker(&mut self, option: &Word) -> Option<u8> {
        let kind = RouteName::Protocol;
        let number = self.named(option, kind, "protocol of routes", "rt_protos")?;
        u8::try_from(number).ok()
    }

    /// keepalived puts back only what bears its own name, and sees to it that it does.
    fn judge_maker(&mut self, statement: &Statement, maker: Option<u8>, restore: bool) {
        /// `RTPROT_KEEPALIVED` of linux/rtnetlink.h.
        const KEEPALIVED: u8 = 18;
        if restore && maker.is_some_and(|maker| maker != KEEPALIVED) {
            self.context
                .report
                .advice(
                    statement.name().span,
                    "keepalived makes the `protocol` of this one its own",
                )
                .keepalived(Verdict::Complains)
                .help("add `no_track`, or take `protocol` away, to mean the same to both");
        }
    }

    fn peek(&self) -> Option<&'t Word> {
        self.words.clone().next()
    }

    /// The word behind an option.
    fn value(&mut self, option: &Word) -> Option<&'t Word> {
        let value = self.words.next();
        if value.is_none() {
            self.wrong(option, format!("`{}` needs a value", option.text))
        }
        value
    }

    fn wrong(&mut self, word: &Word, message: String) {
        self.broken = true;
        self.context
            .report
            .error(word.span, message)
            .help("every route and every rule stands on a line of its own, in the words of ip(8)");
    }

    fn address(&mut self, option: &Word) -> Option<IpAddr> {
        let word = self.value(option)?;
        let address = word.text.parse().ok();
        if address.is_none() {
            not_an_address(self.context, word);
            self.broken = true;
        }
        address
    }

    /// A network; `default` and `all` are that of all addresses.
    fn prefix(&mut self, word: &Word, ipv6: bool) -> Option<Prefix> {
        if matches!(&*word.text, "default" | "default6" | "all" | "any") {
            let address = match ipv6 {
                true => IpAddr::from(Ipv6Addr::UNSPECIFIED),
                false => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            };
            return Some(Prefix { address, length: 0 });
        }
        let read = address_and_prefix(self.context, word);
        self.broken |= read.is_none();
        let (address, length) = read?;
        let prefix = Prefix { address, length };
        Some(without_host_bits(prefix))
    }

    fn number(&mut self, option: &Word) -> Option<u32> {
        self.number_of(option, 0..=u32::MAX)
    }

    fn number_of(&mut self, option: &Word, range: RangeInclusive<u32>) -> Option<u32> {
        let word = self.value(option)?;
        let number = number(&word.text).filter(|number| range.contains(number));
        if number.is_none() {
            let (name, least, most) = (&option.text, range.start(), range.end());
            let message = match *most {
                u32::MAX => format!("`{name}` takes a number, not `{}`", word.text),
                _ => format!(
                    "`{name}` takes a number from {least} to {most}, not `{}`",
                    word.text
                ),
            };
            self.wrong(word, message);
        }
        number
    }

    fn octet(&mut self, option: &Word) -> Option<u8> {
        let number = self.number_of(option, 0..=u8::MAX.into())?;
        u8::try_from(number).ok()
    }

    /// `FIRST-LAST`, or one number.
    fn range<T: std::str::FromStr + Copy>(&mut self, option: &Word) -> Option<(T, T)> {
        let word = self.value(option)?;
        let (first, last) = word
            .text
            .split_once('-')
            .unwrap_or((&word.text, &word.text));
        let range = first.parse().ok().zip(last.parse().ok());
        if range.is_none() {
            let message = format!("`{}` takes FIRST-LAST, not `{}`", option.text, word.text);
            self.wrong(word, message);
        }
        range
    }

    /// A number or a name of one of the files of iproute2.
    fn named(&mut self, option: &Word, kind: RouteName, what: &str, file: &str) -> Option<u32> {
        let word = self.value(option)?;
        let number = self.context.route_number(kind, &word.text);
        if number.is_none() {
            self.broken = true;
            self.context
                .report
                .error(word.span, format!("`{}` is no {what}", word.text))
                .help(format!(
                    "write its number, or a name of /etc/iproute2/{file}"
                ));
        }
        number
    }

    /// An IP protocol, by its number or its name.
    fn protocol(&mut self, option: &Word) -> Option<u8> {
        /// Those that people write rules for, of the registry of assigned numbers.
        const NAMES: [(&str, u8); 11] = [
            ("icmp", 1),
            ("igmp", 2),
            ("ipip", 4),
            ("tcp", 6),
            ("udp", 17),
            ("dccp", 33),
            ("gre", 47),
            ("esp", 50),
            ("ah", 51),
            ("ipv6-icmp", 58),
            ("sctp", 132),
        ];
        let word = self.value(option)?;
        let mut names = NAMES.into_iter();
        let name = names.find(|(name, _)| word.text.eq_ignore_ascii_case(name));
        let protocol = name
            .map(|(_, number)| number)
            .or_else(|| word.text.parse().ok());
        if protocol.is_none() {
            self.context
                .report
                .error(word.span, format!("`{}` is no IP protocol", word.text))
                .help("write its number, from 0 to 255");
            self.broken = true;
        }
        protocol
    }

    fn traffic_class(&mut self, option: &Word) -> Option<u8> {
        let kind = RouteName::TrafficClass;
        let number = self.named(option, kind, "TOS", "rt_dsfield")?;
        let octet = u8::try_from(number).ok();
        if octet.is_none() {
            self.wrong(option, format!("{number} is no TOS: it is from 0 to 255"));
        }
        octet
    }

    /// `[SOURCE/]DESTINATION`.
    fn realms(&mut self, option: &Word) -> Option<Realms> {
        let word = self.value(option)?;
        let (source, destination) = word.text.split_once('/').unwrap_or(("0", &word.text));
        let mut realm = |text: &str| {
            let number = self.context.route_number(RouteName::Realm, text)?;
            u16::try_from(number).ok()
        };
        let realms = realm(source).zip(realm(destination));
        let Some((source, destination)) = realms else {
            let message = format!("`{}` are no realms", word.text);
            self.wrong(word, message);
            return None;
        };
        Some(Realms {
            source,
            destination,
        })
    }

    fn table(&mut self, option: &Word) -> Option<u32> {
        self.named(option, RouteName::Table, "routing table", "rt_tables")
    }
}

/// The kernel takes no route to an address with bits behind its prefix.
fn without_host_bits(prefix: Prefix) -> Prefix {
    let address = match prefix.address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.length));
            IpAddr::from(Ipv4Addr::from(address.to_bits() & mask.unwrap_or(0)))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.length));
            IpAddr::from(Ipv6Addr::from(address.to_bits() & mask.unwrap_or(0)))
        }
    };
    Prefix { address, ..prefix }
}

fn is_ipv6(statement: &Statement) -> bool {
    // An address decides; `inet6` does where there is none.
    let first = statement.words.iter().find_map(|word| {
        let address = word.text.split('/').next()?;
        address.parse::<IpAddr>().ok()
    });
    let said = || {
        let mut words = statement.words.iter();
        words.any(|word| matches!(&*word.text, "inet6" | "default6"))
    };
    first.map_or_else(said, |address| address.is_ipv6())
}
