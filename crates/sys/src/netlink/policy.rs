//! Adding and removing routes, and rules that choose their table.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Netlink;

/// `RTPROT_KEEPALIVED` of linux/rtnetlink.h: who has made a route.
const KEEPALIVED: u8 = 18;

/// A route, as ip-route(8) describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Where they go: an address and the length of its prefix.
    pub destination: (IpAddr, u8),
    /// By which ways.
    pub hops: Vec<NextHop>,
    /// The address that packets of this host come from.
    pub source: Option<IpAddr>,
    /// The table.
    pub table: u32,
    /// Of several routes the one with the least counts.
    pub metric: Option<u32>,
    /// A value of rtnetlink(7); global without one, as keepalived has it.
    pub scope: Option<u8>,
    /// Who has made it; keepalived without one.
    pub protocol: Option<u8>,
    /// In octets.
    pub mtu: Option<u32>,
    /// In octets.
    pub advertised_segment_size: Option<u32>,
}

/// What becomes of packets that a route fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of ip-route(8)")]
pub enum RouteKind {
    Unicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
}

/// A way to somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The router.
    pub router: Option<IpAddr>,
    /// Index of the interface.
    pub interface: Option<u32>,
    /// The router is on the link, whatever its address looks like.
    pub on_link: bool,
    /// Its share, 1 to 256.
    pub weight: u16,
}

/// A rule for the choice of a table, as ip-rule(8) describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is of IPv6.
    pub ipv6: bool,
    /// It fits what it would not.
    pub inverted: bool,
    /// Where packets come from.
    pub from: Option<(IpAddr, u8)>,
    /// Where they go.
    pub to: Option<(IpAddr, u8)>,
    /// Name of the interface that they have come in by.
    pub input: Option<String>,
    /// Name of the interface that their socket is bound to.
    pub output: Option<String>,
    /// Their mark and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// Its place among the rules.
    pub preference: u32,
    /// What becomes of them.
    pub action: RuleAction,
}

/// What a rule does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// They are looked up in this table.
    Table(u32),
    /// The rule with this preference is next.
    Goto(u32),
    /// They vanish.
    Blackhole,
    /// Their senders are told that there is no way.
    Unreachable,
    /// Their senders are told that it is forbidden.
    Prohibit,
}

const ADD: u16 = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
const REMOVE: u16 = NLM_F_REQUEST | NLM_F_ACK;

impl Netlink {
    /// Adds a route; false if there is one already for this destination, metric and table.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn add_route(&mut self, route: &Route) -> io::Result<bool> {
        let message = RouteNetlinkMessage::NewRoute(route_message(route, true));
        unless(self.request(message, ADD), &[libc::EEXIST])
    }

    /// Removes a route; false if it is not there.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn remove_route(&mut self, route: &Route) -> io::Result<bool> {
        let message = RouteNetlinkMessage::DelRoute(route_message(route, false));
        unless(
            self.request(message, REMOVE),
            &[libc::ESRCH, libc::ENODEV, libc::ENOENT],
        )
    }

    /// Adds a rule; false if there is the same one already.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn add_rule(&mut self, rule: &Rule) -> io::Result<bool> {
        let message = RouteNetlinkMessage::NewRule(rule_message(rule));
        unless(self.request(message, ADD), &[libc::EEXIST])
    }

    /// Removes a rule; false if it is not there.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn remove_rule(&mut self, rule: &Rule) -> io::Result<bool> {
        let message = RouteNetlinkMessage::DelRule(rule_message(rule));
        unless(self.request(message, REMOVE), &[libc::ENOENT, libc::ESRCH])
    }
}

/// Whether it was done; false where it failed because there was nothing to do.
fn unless(result: io::Result<()>, nothing_to_do: &[i32]) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(code) if nothing_to_do.contains(&code) => Ok(false),
            _ => Err(error),
        },
    }
}

fn family(ipv6: bool) -> AddressFamily {
    match ipv6 {
        true => AddressFamily::Inet6,
        false => AddressFamily::Inet,
    }
}

/// The octet that a table's number has in a header; larger ones stand in an attribute alone.
fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

fn route_message(route: &Route, add: bool) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (address, length) = route.destination;
    let header = &mut message.header;
    header.address_family = family(address.is_ipv6());
    header.destination_prefix_length = length;
    header.table = short_table(route.table);
    header.protocol = RouteProtocol::from(route.protocol.unwrap_or(KEEPALIVED));
    header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    };
    header.scope = match route.scope {
        Some(scope) => RouteScope::from(scope),
        // Any scope fits what is removed.
        None if !add => RouteScope::NoWhere,
        None => RouteScope::Universe,
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    if length > 0 {
        attributes.push(RouteAttribute::Destination(address.into()));
    }
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    let source = route
        .source
        .map(|source| RouteAttribute::PrefSource(source.into()));
    attributes.extend(source);
    let metrics = [
        route.mtu.map(RouteMetric::Mtu),
        route.advertised_segment_size.map(RouteMetric::Advmss),
    ];
    let metrics: Vec<_> = metrics.into_iter().flatten().collect();
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    match &route.hops[..] {
        [] => {}
        [hop] => {
            attributes.extend(
                hop.router
                    .map(|router| RouteAttribute::Gateway(router.into())),
            );
            attributes.extend(hop.interface.map(RouteAttribute::Oif));
            if hop.on_link {
                message.header.flags |= RouteFlags::Onlink;
            }
        }
        hops => attributes.push(RouteAttribute::MultiPath(
            hops.iter().map(next_hop).collect(),
        )),
    }
    message
}

fn next_hop(hop: &NextHop) -> RouteNextHop {
    let mut made = RouteNextHop::default();
    made.interface_index = hop.interface.unwrap_or(0);
    made.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    if hop.on_link {
        made.flags |= RouteNextHopFlags::Onlink;
    }
    let router = hop
        .router
        .map(|router| RouteAttribute::Gateway(router.into()));
    made.attributes.extend(router);
    made
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.ipv6);
    if rule.inverted {
        message.header.flags |= RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    if let Some((address, length)) = rule.from {
        message.header.src_len = length;
        attributes.push(RuleAttribute::Source(address));
    }
    if let Some((address, length)) = rule.to {
        message.header.dst_len = length;
        attributes.push(RuleAttribute::Destination(address));
    }
    attributes.extend(rule.input.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.output.clone().map(RuleAttribute::Oifname));
    if let Some((mark, mask)) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    attributes.push(RuleAttribute::Priority(rule.preference));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(KEEPALIVED)));
    message.header.action = match rule.action {
        RuleAction::Table(table) => {
            message.header.table = short_table(table);
            attributes.push(RuleAttribute::Table(table));
            Action::ToTable
        }
        RuleAction::Goto(preference) => {
            attributes.push(RuleAttribute::Goto(preference));
            Action::Goto
        }
        RuleAction::Blackhole => Action::Blackhole,
        RuleAction::Unreachable => Action::Unreachable,
        RuleAction::Prohibit => Action::Prohibit,
    };
    message
}
