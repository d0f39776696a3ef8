//! Routes and rules of the configuration as the kernel takes them.

use std::io;

use elver_core::config::model::{
    Configuration, Encapsulation, Envelope, Insertion, Prefix, Realms, Route, RouteKind,
    RoutingTable, Rule, RuleAction,
};
use elver_sys::netlink::{self, Link, Netlink};

/// Takes all routes and rules of a configuration out of force: for the director, when no vrrp
/// process is there to do it.
///
/// # Errors
/// In words, which and why.
pub(crate) fn withdraw(netlink: &mut Netlink, configuration: &Configuration) -> Result<(), String> {
    let links = netlink.links().map_err(|error| error.to_string())?;
    let link = |name: &str| named(&links, name);
    let mut failures = Vec::new();
    for instance in &configuration.instances {
        failures.extend(remove(netlink, &instance.routes, &instance.rules, link));
    }
    let statics = &configuration.statics;
    failures.extend(remove(netlink, &statics.routes, &statics.rules, link));
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

/// Puts routes and rules in force.
///
/// # Errors
/// In words, which and why.
pub(super) fn add<'l>(
    netlink: &mut Netlink,
    routes: &[Route],
    rules: &[Rule],
    link: impl Fn(&str) -> io::Result<&'l Link>,
) -> Vec<String> {
    let mut failures = Vec::new();
    for route in routes {
        let added = in_the_kernel(route, &link).and_then(|route| netlink.add_route(&route));
        if let Err(error) = added {
            failures.push(format!(
                "cannot add the route to {}: {error}",
                route.destination
            ));
        }
    }
    for rule in rules {
        if let Err(error) = netlink.add_rule(&rule_in_the_kernel(rule)) {
            failures.push(format!("cannot add the rule {}: {error}", words(rule)));
        }
    }
    failures
}

/// Takes routes and rules out of force. Where the interface of a route is gone, so is the
/// route.
///
/// # Errors
/// In words, which and why.
pub(super) fn remove<'l>(
    netlink: &mut Netlink,
    routes: &[Route],
    rules: &[Rule],
    link: impl Fn(&str) -> io::Result<&'l Link>,
) -> Vec<String> {
    let mut failures = Vec::new();
    for rule in rules {
        if let Err(error) = remove_rule(netlink, rule) {
            failures.push(format!("cannot remove the rule {}: {error}", words(rule)));
        }
    }
    for route in routes {
        let Ok(in_the_kernel) = in_the_kernel(route, &link) else {
            continue;
        };
        if let Err(error) = netlink.remove_route(&in_the_kernel) {
            failures.push(format!(
                "cannot remove the route to {}: {error}",
                route.destination
            ));
        }
    }
    failures
}

/// Takes a rule out of force; false if it is not there.
pub(crate) fn remove_rule(netlink: &mut Netlink, rule: &Rule) -> io::Result<bool> {
    netlink.remove_rule(&rule_in_the_kernel(rule))
}

/// Takes a route out of force; false if it, or the interface that it leads over, is not there.
pub(crate) fn remove_route(netlink: &mut Netlink, route: &Route) -> io::Result<bool> {
    let links = netlink.links()?;
    match in_the_kernel(route, |name| named(&links, name)) {
        Ok(route) => netlink.remove_route(&route),
        Err(_) => Ok(false),
    }
}

/// The interface of a name among these.
///
/// # Errors
/// `ENODEV` where there is none.
pub(super) fn named<'l>(
    links: impl IntoIterator<Item = &'l Link>,
    name: &str,
) -> io::Result<&'l Link> {
    let mut links = links.into_iter();
    let link = links.find(|link| link.name == name);
    link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

fn in_the_kernel<'l>(
    route: &Route,
    link: impl Fn(&str) -> io::Result<&'l Link>,
) -> io::Result<netlink::Route> {
    let index = |name: &str| link(name).map(|link| link.index);
    let mut hops = Vec::new();
    for hop in &route.hops {
        hops.push(netlink::NextHop {
            router: hop.router,
            interface: hop.interface.as_deref().map(&index).transpose()?,
            on_link: hop.on_link,
            weight: hop.weight.unwrap_or(1),
            realms: hop.realms.map(of_source_and_destination),
            encapsulation: hop.encapsulation.as_ref().map(encapsulation),
        });
    }
    Ok(netlink::Route {
        kind: match route.kind {
            RouteKind::Unicast => netlink::RouteKind::Unicast,
            RouteKind::Blackhole => netlink::RouteKind::Blackhole,
            RouteKind::Unreachable => netlink::RouteKind::Unreachable,
            RouteKind::Prohibit => netlink::RouteKind::Prohibit,
            RouteKind::Throw => netlink::RouteKind::Throw,
            RouteKind::Local => netlink::RouteKind::Local,
            RouteKind::Broadcast => netlink::RouteKind::Broadcast,
            RouteKind::Anycast => netlink::RouteKind::Anycast,
            RouteKind::Multicast => netlink::RouteKind::Multicast,
        },
        destination: pair(route.destination),
        hops,
        source: route.source,
        table: match &route.table {
            RoutingTable::Number(number) => *number,
            RoutingTable::OfVrf(name) => link(name)?
                .vrf_table
                .ok_or_else(|| io::Error::other(format!("{name} is no VRF")))?,
        },
        metric: route.metric,
        scope: route.scope,
        protocol: route.protocol,
        metrics: route
            .metrics
            .iter()
            .map(|(metric, value)| (*metric as u16, value.value))
            .collect(),
        locked_metrics: locked(route),
        congestion_control: route
            .congestion_control
            .as_ref()
            .map(|algorithm| algorithm.value.clone()),
        tos: route.tos,
        from: route.from.map(pair),
        lifetime: route.lifetime,
        router_preference: route.router_preference,
        propagate_ttl: route.propagate_ttl,
        insertion: match route.insertion {
            Insertion::Prepend => netlink::Insertion::Prepend,
            Insertion::Append => netlink::Insertion::Append,
            Insertion::Add => netlink::Insertion::Add,
        },
    })
}

/// The bits of the metrics that are locked.
fn locked(route: &Route) -> u32 {
    /// `RTAX_CC_ALGO` of linux/rtnetlink.h.
    const CONGESTION_CONTROL: u32 = 16;
    let metrics = route.metrics.iter();
    let metrics = metrics.filter(|(_, value)| value.locked);
    let algorithm = route.congestion_control.as_ref();
    let algorithm = algorithm.filter(|algorithm| algorithm.locked);
    metrics
        .map(|(metric, _)| *metric as u32)
        .chain(algorithm.map(|_| CONGESTION_CONTROL))
        .fold(0, |bits, number| bits | 1 << number)
}

fn of_source_and_destination(realms: Realms) -> (u16, u16) {
    (realms.source, realms.destination)
}

fn encapsulation(encapsulation: &Encapsulation) -> netlink::Encapsulation {
    match encapsulation {
        Encapsulation::Ip(outer) => netlink::Encapsulation::Ip(envelope(outer)),
        Encapsulation::Ip6(outer) => netlink::Encapsulation::Ip6(envelope(outer)),
        Encapsulation::Mpls(labels) => netlink::Encapsulation::Mpls(labels.clone()),
        Encapsulation::Ila(locator) => netlink::Encapsulation::Ila(*locator),
    }
}

fn envelope<A: Copy>(envelope: &Envelope<A>) -> netlink::Envelope<A> {
    netlink::Envelope {
        id: envelope.id,
        destination: envelope.destination,
        source: envelope.source,
        traffic_class: envelope.traffic_class,
        hop_limit: envelope.hop_limit,
        flags: envelope.flags,
    }
}

fn rule_in_the_kernel(rule: &Rule) -> netlink::Rule {
    netlink::Rule {
        ipv6: rule.ipv6,
        inverted: rule.inverted,
        from: rule.from.map(pair),
        to: rule.to.map(pair),
        input: rule.input.clone(),
        output: rule.output.clone(),
        mark: rule.mark,
        tos: rule.tos,
        tunnel: rule.tunnel,
        users: rule.users,
        protocol: rule.protocol,
        source_ports: rule.source_ports,
        destination_ports: rule.destination_ports,
        realms: rule.realms.map(of_source_and_destination),
        suppressed_length: rule.suppressed_length,
        suppressed_group: rule.suppressed_group,
        maker: rule.maker,
        preference: rule.preference,
        action: match rule.action {
            RuleAction::Table(table) => netlink::RuleAction::Table(table),
            RuleAction::Goto(preference) => netlink::RuleAction::Goto(preference),
            RuleAction::Blackhole => netlink::RuleAction::Blackhole,
            RuleAction::Unreachable => netlink::RuleAction::Unreachable,
            RuleAction::Prohibit => netlink::RuleAction::Prohibit,
            RuleAction::Nothing => netlink::RuleAction::Nothing,
            RuleAction::TableOfInterface => netlink::RuleAction::TableOfInterface,
        },
    }
}

fn pair(prefix: Prefix) -> (std::net::IpAddr, u8) {
    (prefix.address, prefix.length)
}

/// A rule by what tells it from others.
pub(crate) fn words(rule: &Rule) -> String {
    let mut words = vec![format!("preference {}", rule.preference)];
    words.extend(rule.from.map(|from| format!("from {from}")));
    words.extend(rule.to.map(|to| format!("to {to}")));
    words.join(" ")
}
