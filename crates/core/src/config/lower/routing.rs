//! Routes and rules, in the words of ip-route(8) and ip-rule(8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{address_and_prefix, not_an_address, scope_of};
use crate::config::directive::Context;
use crate::config::model::{NextHop, Prefix, Route, RouteKind, Rule, RuleAction};
use crate::config::reader::Word;
use crate::config::route_names::{RouteName, number};
use crate::config::tree::Statement;

/// The table that packets are looked up in unless a rule says otherwise.
const MAIN: u32 = 254;

/// The words of a line, one after the other.
struct Words<'c, 'r, 't> {
    context: &'c mut Context<'r>,
    words: std::slice::Iter<'t, Word>,
    /// Something was wrong, so that the line means nothing.
    broken: bool,
}

impl<'t> Words<'_, '_, 't> {
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
        if matches!(&*word.text, "default" | "all" | "any") {
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
        let word = self.value(option)?;
        let number = number(&word.text);
        if number.is_none() {
            let message = format!("`{}` takes a number, not `{}`", option.text, word.text);
            self.wrong(word, message);
        }
        number
    }

    /// A number or a name of one of the files of iproute2.
    fn named(&mut self, option: &Word, kind: RouteName, what: &str, file: &str) -> Option<u32> {
        let word = self.value(option)?;
        let number = self.context.route_number(kind, word);
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
    let said = || statement.words.iter().any(|word| &*word.text == "inet6");
    first.map_or_else(said, |address| address.is_ipv6())
}

/// A line of `virtual_routes` or `static_routes`.
fn route(context: &mut Context<'_>, statement: &Statement) -> Option<Route> {
    let mut words = Words {
        context,
        words: statement.words.iter(),
        broken: false,
    };
    let ipv6 = is_ipv6(statement);
    let (mut kind, mut destination) = (RouteKind::Unicast, None);
    let mut hops = vec![NextHop::default()];
    let mut route = Route {
        kind,
        destination: Prefix {
            address: Ipv4Addr::UNSPECIFIED.into(),
            length: 0,
        },
        hops: Vec::new(),
        source: None,
        table: MAIN,
        metric: None,
        scope: None,
        protocol: None,
        mtu: None,
        advertised_segment_size: None,
        restore: true,
    };
    while let Some(option) = words.words.next() {
        let hop = hops.last_mut();
        match &*option.text {
            "unicast" => kind = RouteKind::Unicast,
            "blackhole" => kind = RouteKind::Blackhole,
            "unreachable" => kind = RouteKind::Unreachable,
            "prohibit" => kind = RouteKind::Prohibit,
            "throw" => kind = RouteKind::Throw,
            "inet" | "inet6" => {}
            "to" => {
                let to = words.value(option);
                destination = to.and_then(|word| words.prefix(word, ipv6));
            }
            "via" | "gw" => {
                let router = words.address(option);
                hop.into_iter().for_each(|hop| hop.router = router);
            }
            // `or ROUTER`: a second way of the same weight.
            "or" => {
                let router = words.address(option);
                let interface = None;
                hops.push(NextHop {
                    router,
                    interface,
                    ..NextHop::default()
                });
            }
            "nexthop" => hops.push(NextHop::default()),
            "dev" | "oif" => {
                let interface = words.value(option).map(|word| word.text.to_string());
                hop.into_iter()
                    .for_each(|hop| hop.interface.clone_from(&interface));
            }
            "onlink" => hop.into_iter().for_each(|hop| hop.on_link = true),
            "weight" => {
                let weight = words.number(option).and_then(|n| u16::try_from(n).ok());
                match weight {
                    Some(weight @ 1..=256) => {
                        hop.into_iter().for_each(|hop| hop.weight = Some(weight))
                    }
                    _ => words.wrong(option, "`weight` is from 1 to 256".to_owned()),
                }
            }
            "src" => route.source = words.address(option),
            "table" => route.table = words.table(option).unwrap_or(MAIN),
            "metric" | "priority" | "preference" => route.metric = words.number(option),
            "scope" => {
                if let Some(word) = words.value(option) {
                    route.scope = scope_of(words.context, word);
                    words.broken |= route.scope.is_none();
                }
            }
            "proto" | "protocol" => {
                let kind = RouteName::Protocol;
                let number = words.named(option, kind, "protocol of routes", "rt_protos");
                route.protocol = number.and_then(|number| u8::try_from(number).ok());
            }
            "mtu" => route.mtu = words.number(option),
            "advmss" => route.advertised_segment_size = words.number(option),
            "no_track" => route.restore = false,
            _ if destination.is_none()
                && option.text.starts_with(|c: char| {
                    c.is_ascii_hexdigit() || c == ':' || c == 'd' || c == 'a'
                }) =>
            {
                destination = words.prefix(option, ipv6);
            }
            other => {
                let message = format!("`{other}` of a route is not supported");
                words.wrong(option, message);
            }
        }
    }
    let broken = words.broken;
    let Some(destination) = destination else {
        if !broken {
            words.wrong(statement.name(), "this route goes nowhere".to_owned());
        }
        return None;
    };
    hops.retain(|hop| *hop != NextHop::default());
    // The interface that is named once holds for every way that names none.
    let interface = hops.iter().find_map(|hop| hop.interface.clone());
    for hop in &mut hops {
        hop.interface = hop.interface.take().or_else(|| interface.clone());
    }
    if kind == RouteKind::Unicast && hops.is_empty() && !broken {
        let message = "this route has no way: neither `via` nor `dev`".to_owned();
        words.wrong(statement.name(), message);
        return None;
    }
    (!broken).then_some(Route {
        kind,
        destination,
        hops,
        ..route
    })
}

/// A route that is put back when it vanishes. keepalived does that only for those that name an
/// interface before their first `nexthop`.
pub(super) fn kept_route(context: &mut Context<'_>, statement: &Statement) -> Option<Route> {
    let route = route(context, statement)?;
    let mut whole = statement.words.iter().map(|word| &*word.text);
    let names_interface = whole
        .by_ref()
        .take_while(|word| *word != "nexthop")
        .any(|word| word == "dev" || word == "oif");
    if route.restore && !names_interface {
        context
            .report
            .warning(statement.name().span, "this route names no interface")
            .label("keepalived does not put it back when it vanishes; elver does")
            .help("add `dev INTERFACE`, or `no_track`");
    }
    Some(route)
}

/// A line of `virtual_rules` or `static_rules`.
pub(super) fn rule(context: &mut Context<'_>, statement: &Statement) -> Option<Rule> {
    let mut words = Words {
        context,
        words: statement.words.iter(),
        broken: false,
    };
    let ipv6 = is_ipv6(statement);
    let (mut action, mut preference) = (None, None);
    let mut rule = Rule {
        ipv6,
        inverted: false,
        from: None,
        to: None,
        input: None,
        output: None,
        mark: None,
        preference: 0,
        action: RuleAction::Table(MAIN),
        restore: true,
    };
    while let Some(option) = words.words.next() {
        match &*option.text {
            "inet" | "inet6" | "type" => {}
            "not" => rule.inverted = true,
            "from" => {
                let from = words.value(option);
                rule.from = from.and_then(|word| words.prefix(word, ipv6));
            }
            "to" => {
                let to = words.value(option);
                rule.to = to.and_then(|word| words.prefix(word, ipv6));
            }
            "iif" | "dev" => rule.input = words.value(option).map(|word| word.text.to_string()),
            "oif" => rule.output = words.value(option).map(|word| word.text.to_string()),
            "fwmark" => rule.mark = mark(&mut words, option),
            "preference" | "priority" | "order" => preference = words.number(option),
            "table" | "lookup" => action = words.table(option).map(RuleAction::Table),
            "goto" => action = words.number(option).map(RuleAction::Goto),
            "blackhole" => action = Some(RuleAction::Blackhole),
            "unreachable" => action = Some(RuleAction::Unreachable),
            "prohibit" => action = Some(RuleAction::Prohibit),
            "no_track" => rule.restore = false,
            other => {
                let message = format!("`{other}` of a rule is not supported");
                words.wrong(option, message);
            }
        }
    }
    if words.broken {
        return None;
    }
    let Some(action) = action else {
        let message = "this rule does nothing: it names no `table`".to_owned();
        words.wrong(statement.name(), message);
        return None;
    };
    let preference = preference.unwrap_or_else(|| {
        let context = words.context;
        let preference = context.rule_preferences.take(ipv6);
        context
            .report
            .warning(statement.name().span, "this rule has no `preference`")
            .label(format!("it gets {preference}, as from keepalived"))
            .help("write `preference NUMBER`: without, it depends on the rules before this one");
        preference
    });
    Some(Rule {
        action,
        preference,
        ..rule
    })
}

/// `MARK[/MASK]`.
fn mark(words: &mut Words<'_, '_, '_>, option: &Word) -> Option<(u32, u32)> {
    let word = words.value(option)?;
    let (mark, mask) = match word.text.split_once('/') {
        Some((mark, mask)) => (number(mark), number(mask)),
        None => (number(&word.text), Some(u32::MAX)),
    };
    let mark = mark.zip(mask);
    if mark.is_none() {
        words.wrong(word, format!("`{}` is no mark", word.text));
    }
    mark
}
