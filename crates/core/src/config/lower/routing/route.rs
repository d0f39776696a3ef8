//! A line of `virtual_routes` or `static_routes`.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Words, is_ipv6};
use crate::config::diagnostic::Verdict;
use crate::config::directive::Context;
use crate::config::lower::address::{SCOPES, scope_of};
use crate::config::model::{
    Insertion, MetricValue, NextHop, Prefix, Route, RouteKind, RouteMetric, RoutingTable,
};
use crate::config::reader::Word;
use crate::config::tree::Statement;

/// A route that is put back when it vanishes. keepalived does that only for those that name an
/// interface before their first `nexthop`.
pub(in crate::config::lower) fn kept_route(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<Route> {
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

fn route(context: &mut Context<'_>, statement: &Statement) -> Option<Route> {
    let ipv6 = is_ipv6(statement);
    let mut words = Words::new(context, statement);
    let mut hops = vec![NextHop::default()];
    let mut destination = None;
    let nowhere = Prefix {
        address: Ipv4Addr::UNSPECIFIED.into(),
        length: 0,
    };
    let mut route = Route::to(nowhere);
    while let Some(option) = words.words.next() {
        if way(&mut words, option, &mut hops)
            || property(&mut words, option, &mut route)
            || metric(&mut words, option, &mut route)
        {
            continue;
        }
        let mut names = RouteKind::NAMES.into_iter();
        let kind = names.rfind(|(_, name)| *name == &*option.text);
        match (&*option.text, kind) {
            ("inet" | "inet6", _) => words.family(option),
            (_, Some((kind, _))) => route.kind = kind,
            ("to", _) => {
                let to = words.value(option);
                destination = to.and_then(|word| words.prefix(word, ipv6));
            }
            (text, _) if destination.is_none() && may_be_prefix(text) => {
                destination = words.prefix(option, ipv6);
            }
            (other, _) => {
                let message = format!("`{other}` is no option of a route");
                words.wrong(option, message);
            }
        }
    }
    let Some(destination) = destination else {
        if !words.broken {
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
    let ways = hops.iter().filter_map(|hop| hop.router);
    let mut addresses = ways
        .chain(route.source)
        .chain(route.from.map(|from| from.address));
    let other = addresses.find(|address| address.is_ipv6() != destination.address.is_ipv6());
    if let Some(other) = other {
        let message = format!("{other} is not of the family of {destination}");
        words.wrong(statement.name(), message);
    }
    let of_ipv6 = route.lifetime.is_some() || route.router_preference.is_some();
    if of_ipv6 && destination.address.is_ipv4() {
        let message = "`expires` and `pref` are for routes of IPv6".to_owned();
        words.wrong(statement.name(), message);
    }
    if destination.address.is_ipv6() && hops.iter().any(|hop| hop.realms.is_some()) {
        words.wrong(statement.name(), "routes of IPv6 have no realms".to_owned());
    }
    words.judge_maker(statement, route.protocol, route.restore);
    if route.kind == RouteKind::Unicast && hops.is_empty() && !words.broken {
        let message = "this route has no way: neither `via` nor `dev`".to_owned();
        words.wrong(statement.name(), message);
    }
    (!words.broken).then_some(Route {
        destination,
        hops,
        ..route
    })
}

/// Whether a word that is no option may be meant as a destination.
fn may_be_prefix(text: &str) -> bool {
    matches!(text, "default" | "default6" | "all" | "any")
        || text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':')
}

/// An option of the last way.
fn way(words: &mut Words<'_, '_, '_>, option: &Word, hops: &mut Vec<NextHop>) -> bool {
    if matches!(&*option.text, "nexthop" | "or") {
        hops.push(NextHop::default());
    }
    let Some(hop) = hops.last_mut() else {
        return false;
    };
    match &*option.text {
        "nexthop" => {}
        // `or ROUTER`: a second way of the same weight.
        "via" | "gw" | "or" => {
            // The family may be said before the address.
            let _ = words.follows("inet") || words.follows("inet6");
            hop.router = words.address(option);
        }
        "dev" | "oif" => hop.interface = words.value(option).map(|word| word.text.to_string()),
        "onlink" => hop.on_link = true,
        "weight" => {
            let weight = words.number_of(option, 1..=256);
            hop.weight = weight.and_then(|weight| u16::try_from(weight).ok());
        }
        "realms" => hop.realms = words.realms(option),
        "encap" => hop.encapsulation = words.encapsulation(option),
        _ => return false,
    }
    if matches!(&*option.text, "gw" | "or") {
        let now = if &*option.text == "gw" {
            "via"
        } else {
            "nexthop via"
        };
        words
            .context
            .report
            .advice(option.span, format!("`{}` is an old name", option.text))
            .keepalived(Verdict::Complains)
            .help(format!("write `{now}`"));
    }
    true
}

/// An option of the whole route.
fn property(words: &mut Words<'_, '_, '_>, option: &Word, route: &mut Route) -> bool {
    match &*option.text {
        "src" => route.source = words.address(option),
        "from" => {
            let from = words.value(option);
            route.from = from.and_then(|word| words.prefix(word, true));
            if route.from.is_some_and(|from| from.address.is_ipv4()) {
                words.wrong(option, "a route of IPv4 cannot say `from`".to_owned());
            }
        }
        "table" => {
            if let Some(number) = words.table(option) {
                route.table = RoutingTable::Number(number);
            }
        }
        "metric" | "priority" | "preference" => route.metric = words.number(option),
        "tos" | "dsfield" => route.tos = words.traffic_class(option).unwrap_or(0),
        "scope" => {
            if let Some(word) = words.value(option) {
                route.scope = scope_of(words.context, word);
                if route.scope.is_none() {
                    words.wrong(word, format!("`{}` is no scope: {SCOPES}", word.text));
                }
            }
        }
        "proto" | "protocol" => {
            route.protocol = words.maker(option);
        }
        "expires" => {
            let lifetime = words.number(option);
            route.lifetime = lifetime.map(|seconds| Duration::from_secs(seconds.into()));
        }
        "pref" => {
            route.router_preference = if words.follows("medium") {
                Some(0)
            } else if words.follows("high") {
                Some(1)
            } else if words.follows("low") {
                Some(3)
            } else {
                words.octet(option)
            };
        }
        "ttl-propagate" => match words.value(option).map(|word| (word, &*word.text)) {
            Some((_, "enabled")) => route.propagate_ttl = Some(true),
            Some((_, "disabled")) => route.propagate_ttl = Some(false),
            Some((word, other)) => {
                let message = format!("`ttl-propagate` is enabled or disabled, not `{other}`");
                words.wrong(word, message);
            }
            None => {}
        },
        "add" => route.insertion = Insertion::Add,
        "append" => route.insertion = Insertion::Append,
        "prepend" => route.insertion = Insertion::Prepend,
        "as" => {
            let _ = words.follows("to");
            words.value(option);
            words
                .context
                .report
                .warning(option.span, "`as` is for routes of MPLS: ignored")
                .help("take it away");
        }
        "vrf" => {
            if let Some(word) = words.value(option) {
                route.table = RoutingTable::OfVrf(word.text.to_string());
            }
        }
        "no_track" => route.restore = false,
        _ => return false,
    }
    true
}

/// What the kernel is told about the way: one of the metrics.
fn metric(words: &mut Words<'_, '_, '_>, option: &Word, route: &mut Route) -> bool {
    if &*option.text == "congctl" {
        let locked = words.follows("lock");
        route.congestion_control = words.value(option).map(|word| MetricValue {
            value: word.text.to_string(),
            locked,
        });
        return true;
    }
    let mut all = RouteMetric::ALL.into_iter();
    let Some(metric) = all.find(|metric| metric.keyword() == &*option.text) else {
        return false;
    };
    let locked = may_be_locked(metric) && words.follows("lock");
    let value = match metric {
        RouteMetric::Features => feature(words, option),
        RouteMetric::RoundTripTime => time(words, option, 8),
        RouteMetric::RoundTripTimeVariance => time(words, option, 4),
        RouteMetric::LeastRetransmissionTimeout => time(words, option, 1),
        RouteMetric::HopLimit => words.number_of(option, 0..=255),
        RouteMetric::QuickAcknowledgement | RouteMetric::FastOpenWithoutCookie => {
            words.number_of(option, 0..=1)
        }
        _ => words.number(option),
    };
    if let Some(value) = value {
        route.metrics.insert(metric, MetricValue { value, locked });
    }
    true
}

fn may_be_locked(metric: RouteMetric) -> bool {
    !matches!(
        metric,
        RouteMetric::HopLimit
            | RouteMetric::Window
            | RouteMetric::InitialCongestionWindow
            | RouteMetric::InitialReceiveWindow
            | RouteMetric::Features
            | RouteMetric::QuickAcknowledgement
            | RouteMetric::FastOpenWithoutCookie
    )
}

/// `RTAX_FEATURE_ECN`, the only one.
fn feature(words: &mut Words<'_, '_, '_>, option: &Word) -> Option<u32> {
    let word = words.value(option)?;
    if &*word.text == "ecn" {
        return Some(1);
    }
    words
        .context
        .report
        .warning(word.span, format!("`{}` is no feature: ignored", word.text))
        .help("the kernel has the feature ecn");
    None
}

/// A time in the kernel's unit, of which `per_millisecond` make a millisecond: a bare number is
/// in that unit already. The kernel's bounds hold.
fn time(words: &mut Words<'_, '_, '_>, option: &Word, per_millisecond: u32) -> Option<u32> {
    const LEAST: u32 = 200;
    const MOST: u32 = 120_000;
    let word = words.value(option)?;
    let text = word.text.to_ascii_lowercase();
    let with_unit = ["msecs", "msec", "ms", "secs", "sec", "s"].into_iter();
    let with_unit = with_unit
        .filter_map(|unit| Some((text.strip_suffix(unit)?, unit.starts_with('m'))))
        .next();
    let value = match with_unit {
        Some((number, is_milliseconds)) => number.parse::<f64>().ok().and_then(|number| {
            let milliseconds = if is_milliseconds {
                number
            } else {
                number * 1e3
            };
            let most = f64::from(MOST * per_millisecond);
            let fits = (0.0..=most).contains(&milliseconds);
            // Within bounds that a u32 holds.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            fits.then(|| (milliseconds.round() as u32).min(MOST) * per_millisecond)
        }),
        None => text
            .parse()
            .ok()
            .filter(|raw| *raw <= MOST * per_millisecond),
    };
    if value.is_none() {
        let message = format!(
            "`{}` takes a time, not `{}`; it is bounded by 200ms and 120s",
            option.text, word.text
        );
        words.wrong(word, message);
    }
    value.map(|value: u32| value.max(LEAST * per_millisecond))
}
