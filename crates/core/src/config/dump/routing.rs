//! Routes and rules.

use std::fmt::{Display, Write};

use super::{Quoted, Writer};
use crate::config::model::{
    Encapsulation, Envelope, Insertion, MetricValue, Route, RouteKind, RouteMetric, RoutingTable,
    Rule, RuleAction, Statics,
};

/// Blocks of what is held whoever is master.
pub(super) fn statics(w: &mut Writer, statics: &Statics) {
    if !statics.addresses.is_empty() {
        w.block(format_args!("static_ipaddress"), |w| {
            for address in &statics.addresses {
                w.virtual_address(address);
            }
        });
    }
    routes(w, "static_routes", &statics.routes);
    rules(w, "static_rules", &statics.rules);
}

/// A block of routes, if there are any.
pub(super) fn routes(w: &mut Writer, block: &str, routes: &[Route]) {
    if !routes.is_empty() {
        w.block(format_args!("{block}"), |w| {
            for route in routes {
                w.line(format_args!("{}", route_line(route)));
            }
        });
    }
}

/// A block of rules, if there are any.
pub(super) fn rules(w: &mut Writer, block: &str, rules: &[Rule]) {
    if !rules.is_empty() {
        w.block(format_args!("{block}"), |w| {
            for rule in rules {
                w.line(format_args!("{}", rule_line(rule)));
            }
        });
    }
}

fn route_line(route: &Route) -> String {
    let mut names = RouteKind::NAMES.into_iter();
    let mut line = match names.find(|(kind, _)| *kind == route.kind) {
        Some((kind, name)) if kind != RouteKind::Unicast => format!("{name} "),
        _ => String::new(),
    };
    // Writing into a String does not fail.
    let _ = match &route.table {
        RoutingTable::Number(number) => write!(line, "{} table {number}", route.destination),
        RoutingTable::OfVrf(name) => write!(line, "{} vrf {}", route.destination, Quoted(name)),
    };
    for (name, value) in [
        ("metric", route.metric),
        ("scope", route.scope.map(u32::from)),
        ("protocol", route.protocol.map(u32::from)),
        ("tos", (route.tos != 0).then_some(route.tos.into())),
        ("pref", route.router_preference.map(u32::from)),
    ] {
        if let Some(value) = value {
            let _ = write!(line, " {name} {value}");
        }
    }
    for (metric, MetricValue { value, locked }) in &route.metrics {
        let lock = if *locked { " lock" } else { "" };
        let _ = match metric {
            RouteMetric::Features => write!(line, " features ecn"),
            metric => write!(line, " {}{lock} {value}", metric.keyword()),
        };
    }
    if let Some(MetricValue { value, locked }) = &route.congestion_control {
        let lock = if *locked { " lock" } else { "" };
        let _ = write!(line, " congctl{lock} {}", Quoted(value));
    }
    if let Some(lifetime) = route.lifetime {
        let _ = write!(line, " expires {}", lifetime.as_secs());
    }
    if let Some(propagate) = route.propagate_ttl {
        let word = if propagate { "enabled" } else { "disabled" };
        let _ = write!(line, " ttl-propagate {word}");
    }
    if let Some(source) = route.source {
        let _ = write!(line, " src {source}");
    }
    if let Some(from) = route.from {
        let _ = write!(line, " from {from}");
    }
    line += match route.insertion {
        Insertion::Prepend => "",
        Insertion::Append => " append",
        Insertion::Add => " add",
    };
    if !route.restore {
        line += " no_track";
    }
    for hop in &route.hops {
        if route.hops.len() > 1 {
            line += " nexthop";
        }
        if let Some(router) = hop.router {
            let _ = write!(line, " via {router}");
        }
        if let Some(interface) = &hop.interface {
            let _ = write!(line, " dev {}", Quoted(interface));
        }
        if hop.on_link {
            line += " onlink";
        }
        if let Some(weight) = hop.weight {
            let _ = write!(line, " weight {weight}");
        }
        if let Some(realms) = hop.realms {
            let _ = write!(line, " realms {realms}");
        }
        match &hop.encapsulation {
            None => {}
            Some(Encapsulation::Ip(envelope)) => envelope_words(&mut line, "ip", envelope),
            Some(Encapsulation::Ip6(envelope)) => envelope_words(&mut line, "ip6", envelope),
            Some(Encapsulation::Mpls(labels)) => {
                let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
                let _ = write!(line, " encap mpls {}", labels.join("/"));
            }
            Some(Encapsulation::Ila(locator)) => {
                let group = |shift: u32| locator >> shift & 0xffff;
                let [a, b, c, d] = [48, 32, 16, 0].map(group);
                let _ = write!(line, " encap ila {a:x}:{b:x}:{c:x}:{d:x}");
            }
        }
    }
    line
}

fn envelope_words<A: Display>(line: &mut String, kind: &str, envelope: &Envelope<A>) {
    let Envelope {
        id,
        destination,
        source,
        traffic_class,
        hop_limit,
        flags,
    } = envelope;
    let (class, limit) = if kind == "ip" {
        ("tos", "ttl")
    } else {
        ("tc", "hoplimit")
    };
    let _ = write!(line, " encap {kind}");
    for (name, value) in [
        ("id", id.map(|id| id.to_string())),
        ("dst", destination.as_ref().map(A::to_string)),
        ("src", source.as_ref().map(A::to_string)),
        (class, traffic_class.map(|class| class.to_string())),
        (limit, hop_limit.map(|limit| limit.to_string())),
        ("flags", flags.map(|flags| flags.to_string())),
    ] {
        if let Some(value) = value {
            let _ = write!(line, " {name} {value}");
        }
    }
}

fn rule_line(rule: &Rule) -> String {
    let mut line = if rule.ipv6 { "inet6" } else { "inet" }.to_owned();
    if rule.inverted {
        line += " not";
    }
    for (name, prefix) in [("from", rule.from), ("to", rule.to)] {
        if let Some(prefix) = prefix {
            let _ = write!(line, " {name} {prefix}");
        }
    }
    for (name, interface) in [("iif", &rule.input), ("oif", &rule.output)] {
        if let Some(interface) = interface {
            let _ = write!(line, " {name} {}", Quoted(interface));
        }
    }
    if let Some((mark, mask)) = rule.mark {
        let _ = write!(line, " fwmark {mark}/{mask}");
    }
    let range = |range: Option<(u32, u32)>| range.map(|(first, last)| format!("{first}-{last}"));
    let ports = |ports: Option<(u16, u16)>| range(ports.map(|(a, b)| (a.into(), b.into())));
    for (name, value) in [
        ("tos", (rule.tos != 0).then(|| rule.tos.to_string())),
        ("tunnel-id", rule.tunnel.map(|id| id.to_string())),
        ("uidrange", range(rule.users)),
        ("ipproto", rule.protocol.map(|number| number.to_string())),
        ("sport", ports(rule.source_ports)),
        ("dport", ports(rule.destination_ports)),
        ("realms", rule.realms.map(|realms| realms.to_string())),
        (
            "suppress_prefixlength",
            rule.suppressed_length.map(|length| length.to_string()),
        ),
        (
            "suppress_ifgroup",
            rule.suppressed_group.map(|group| group.to_string()),
        ),
        ("protocol", rule.maker.map(|maker| maker.to_string())),
    ] {
        if let Some(value) = value {
            let _ = write!(line, " {name} {value}");
        }
    }
    let _ = write!(line, " preference {}", rule.preference);
    let _ = match rule.action {
        RuleAction::Table(table) => write!(line, " table {table}"),
        RuleAction::Goto(rule) => write!(line, " goto {rule}"),
        RuleAction::Blackhole => write!(line, " blackhole"),
        RuleAction::Unreachable => write!(line, " unreachable"),
        RuleAction::Prohibit => write!(line, " prohibit"),
        RuleAction::Nothing => write!(line, " nop"),
        RuleAction::TableOfInterface => write!(line, " l3mdev"),
    };
    if !rule.restore {
        line += " no_track";
    }
    line
}
