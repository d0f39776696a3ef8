//! A line of `virtual_rules` or `static_rules`.

use super::{Words, is_ipv6};
use crate::config::diagnostic::Verdict;
use crate::config::directive::Context;
use crate::config::model::{Rule, RuleAction};
use crate::config::reader::Word;
use crate::config::route_names::{RouteName, number};
use crate::config::tree::Statement;

/// A rule for the choice of a table.
pub(in crate::config::lower) fn rule(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<Rule> {
    let ipv6 = is_ipv6(statement);
    let mut words = Words::new(context, statement);
    let (mut said, mut preference) = (None, None);
    let mut rule = Rule::of(ipv6, 0, RuleAction::Nothing);
    while let Some(option) = words.words.next() {
        if condition(&mut words, option, &mut rule) {
            continue;
        }
        match &*option.text {
            "inet" | "inet6" => words.family(option),
            "type" => {}
            "preference" | "priority" | "order" => preference = words.number(option),
            "no_track" => rule.restore = false,
            "protocol" => rule.maker = words.maker(option),
            _ => match action(&mut words, option) {
                Some(_) if said.is_some() => {
                    let message = format!("`{}`: this rule does something already", option.text);
                    words.wrong(option, message);
                }
                Some(action) => said = Some(action),
                None if words.broken => {}
                None => {
                    let message = format!("`{}` is no option of a rule", option.text);
                    words.wrong(option, message);
                }
            },
        }
    }
    if words.broken {
        return None;
    }
    let Some(action) = said else {
        let message = "this rule does nothing: it names no `table`".to_owned();
        words.wrong(statement.name(), message);
        return None;
    };
    let goes_back = match (action, preference) {
        (RuleAction::Goto(next), Some(preference)) => next <= preference,
        (RuleAction::Goto(_), None) => true,
        _ => false,
    };
    if goes_back {
        let message = "`goto` leads to a rule with a higher `preference` than this one's";
        words.wrong(statement.name(), message.to_owned());
        return None;
    }
    let of_tables = rule.realms.is_some()
        || rule.suppressed_length.is_some()
        || rule.suppressed_group.is_some();
    if of_tables && !matches!(action, RuleAction::Table(_) | RuleAction::TableOfInterface) {
        words
            .context
            .report
            .warning(
                statement.name().span,
                "this rule is left out, as by keepalived",
            )
            .label("`realms` and `suppress_…` are for rules with a `table`")
            .help("take them away, or say which `table`");
        return None;
    }
    let mut ends = rule.from.into_iter().chain(rule.to);
    if ends.any(|end| end.address.is_ipv6() != ipv6) {
        let message = "this rule is of IPv4 and of IPv6".to_owned();
        words.wrong(statement.name(), message);
        return None;
    }
    words.judge_maker(statement, rule.maker, rule.restore);
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

/// What packets are to be like.
fn condition(words: &mut Words<'_, '_, '_>, option: &Word, rule: &mut Rule) -> bool {
    let ipv6 = rule.ipv6;
    match &*option.text {
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
        "fwmark" => rule.mark = mark(words, option),
        "tos" | "dsfield" => rule.tos = words.traffic_class(option).unwrap_or(0),
        "tunnel-id" => rule.tunnel = words.tunnel(option),
        "uidrange" => {
            let word = words.peek();
            rule.users = words.range(option);
            if let Some(word) = word.filter(|word| !word.text.contains('-')) {
                words.wrong(word, format!("`{}` is no range: FIRST-LAST", word.text));
            }
        }
        "ipproto" => rule.protocol = words.protocol(option),
        // So keepalived.conf(5) says, and keepalived does not know it.
        "ip_proto" => {
            rule.protocol = words.protocol(option);
            words
                .context
                .report
                .advice(option.span, "keepalived knows this as `ipproto` alone")
                .keepalived(Verdict::Complains)
                .help("write `ipproto` to be understood by both");
        }
        "sport" => rule.source_ports = ports(words, option),
        "dport" => rule.destination_ports = ports(words, option),
        "realms" => {
            rule.realms = words.realms(option);
            if ipv6 {
                words.wrong(option, "rules of IPv6 have no realms".to_owned());
            }
        }
        "suppress_prefixlength" | "sup_pl" => {
            rule.suppressed_length = words.number_of(option, 0..=i32::MAX.unsigned_abs());
        }
        "suppress_ifgroup" | "sup_group" => {
            let kind = RouteName::Group;
            rule.suppressed_group = words.named(option, kind, "group of interfaces", "group");
        }
        _ => return false,
    }
    true
}

fn action(words: &mut Words<'_, '_, '_>, option: &Word) -> Option<RuleAction> {
    Some(match &*option.text {
        "table" | "lookup" => {
            let table = words.table(option)?;
            if table == 0 {
                words.wrong(option, "there is no table 0".to_owned());
            }
            RuleAction::Table(table)
        }
        "goto" => RuleAction::Goto(words.number(option)?),
        "nop" => RuleAction::Nothing,
        "l3mdev" => RuleAction::TableOfInterface,
        "blackhole" => RuleAction::Blackhole,
        "unreachable" => RuleAction::Unreachable,
        "prohibit" => RuleAction::Prohibit,
        _ => return None,
    })
}

/// `FIRST-LAST`, or one port, which keepalived means to take and does not.
fn ports(words: &mut Words<'_, '_, '_>, option: &Word) -> Option<(u16, u16)> {
    let word = words.peek();
    let range = words.range(option)?;
    if let Some(word) = word.filter(|word| !word.text.contains('-')) {
        words
            .context
            .report
            .advice(word.span, "keepalived ignores a port that stands alone")
            .keepalived(Verdict::Complains)
            .help(format!(
                "write {}-{} to be understood by both",
                range.0, range.1
            ));
    }
    Some(range)
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
