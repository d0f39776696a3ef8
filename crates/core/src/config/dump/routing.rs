//! Routes and rules.

use std::fmt::Write;

use super::{Quoted, Writer};
use crate::config::model::{Route, RouteKind, Rule, RuleAction, Statics};

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
    let mut line = match route.kind {
        RouteKind::Unicast => "",
        RouteKind::Blackhole => "blackhole ",
        RouteKind::Unreachable => "unreachable ",
        RouteKind::Prohibit => "prohibit ",
        RouteKind::Throw => "throw ",
    }
    .to_owned();
    // Writing into a String does not fail.
    let _ = write!(line, "{} table {}", route.destination, route.table);
    for (name, value) in [
        ("metric", route.metric),
        ("scope", route.scope.map(u32::from)),
        ("protocol", route.protocol.map(u32::from)),
        ("mtu", route.mtu),
        ("advmss", route.advertised_segment_size),
    ] {
        if let Some(value) = value {
            let _ = write!(line, " {name} {value}");
        }
    }
    if let Some(source) = route.source {
        let _ = write!(line, " src {source}");
    }
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
    }
    line
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
    let _ = write!(line, " preference {}", rule.preference);
    let _ = match rule.action {
        RuleAction::Table(table) => write!(line, " table {table}"),
        RuleAction::Goto(rule) => write!(line, " goto {rule}"),
        RuleAction::Blackhole => write!(line, " blackhole"),
        RuleAction::Unreachable => write!(line, " unreachable"),
        RuleAction::Prohibit => write!(line, " prohibit"),
    };
    if !rule.restore {
        line += " no_track";
    }
    line
}
