//! Adding and removing routes, and rules that choose their table.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST,
};
use netlink_packet_route::route::{
    MplsLabel, RouteAttribute, RouteFlags, RouteIp6Tunnel, RouteIp6TunnelFlags, RouteIpTunnel,
    RouteIpTunnelFlags, RouteLwEnCapType, RouteLwTunnelEncap, RouteMessage, RouteMetric,
    RouteMplsIpTunnel, RouteMplsTtlPropagation, RouteNextHop, RouteNextHopFlags, RoutePreference,
    RouteProtocol, RouteRealm, RouteScope, RouteType,
};
use netlink_packet_route::rule::{
    RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange,
};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};

use super::Netlink;

/// `RTPROT_KEEPALIVED` of linux/rtnetlink.h: who has made a route.
const KEEPALIVED: u8 = 18;
/// linux/ila.h.
const ILA_ATTR_LOCATOR: u16 = 1;

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
    /// What else is said about the way: numbers of `RTAX_…` in linux/rtnetlink.h, with their
    /// values in the units of the kernel.
    pub metrics: Vec<(u16, u32)>,
    /// Bits of the metrics that the kernel does not change by what it learns: the first one is
    /// that of number 0.
    pub locked_metrics: u32,
    /// The algorithm that governs congestion.
    pub congestion_control: Option<String>,
    /// It is for packets with this TOS only, for IPv4.
    pub tos: u8,
    /// It is for packets from there only, for IPv6.
    pub from: Option<(IpAddr, u8)>,
    /// When it vanishes, for IPv6; in whole seconds.
    pub lifetime: Option<Duration>,
    /// How good the router is (RFC 4191), for IPv6; 0 is medium, 1 high, 3 low.
    pub router_preference: Option<u8>,
    /// Whether the TTL goes into the labels of MPLS and out of them.
    pub propagate_ttl: Option<bool>,
    /// Its place among others.
    pub insertion: Insertion,
}

/// Where a route stands among those for the same destination with the same metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// Before them.
    Prepend,
    /// Behind them.
    Append,
    /// It is added only where there is none.
    Add,
}

/// What packets are put into on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encapsulation {
    /// IPv4, for an interface that takes tunnels from its routes.
    Ip(Envelope<Ipv4Addr>),
    /// IPv6, likewise.
    Ip6(Envelope<Ipv6Addr>),
    /// MPLS: labels of 20 bits, the outermost first.
    Mpls(Vec<u32>),
    /// Identifier-locator addressing: the locator.
    Ila(u64),
}

/// The outer header of an [`Encapsulation`], as far as the route decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<A> {
    /// Number of the tunnel.
    pub id: Option<u64>,
    /// Its other end.
    pub destination: Option<A>,
    /// Its end here.
    pub source: Option<A>,
    /// TOS or traffic class.
    pub traffic_class: Option<u8>,
    /// TTL or hop limit.
    pub hop_limit: Option<u8>,
    /// `TUNNEL_…` of linux/if_tunnel.h.
    pub flags: Option<u16>,
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
    Local,
    Broadcast,
    Anycast,
    Multicast,
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
    /// Realms of source and destination that its packets are counted in, for IPv4.
    pub realms: Option<(u16, u16)>,
    /// What packets are put into.
    pub encapsulation: Option<Encapsulation>,
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
    /// Their TOS or traffic class; 0 for any.
    pub tos: u8,
    /// The number of the tunnel that they have come out of.
    pub tunnel: Option<u64>,
    /// Whose socket has sent them: user ids, first and last.
    pub users: Option<(u32, u32)>,
    /// Their protocol.
    pub protocol: Option<u8>,
    /// Their source port, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// Their destination port, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// Realms of source and destination that they are counted in, for IPv4.
    pub realms: Option<(u16, u16)>,
    /// Routes with prefixes of this length and shorter do not count.
    pub suppressed_length: Option<u32>,
    /// Routes over interfaces of this group do not count.
    pub suppressed_group: Option<u32>,
    /// Who has made it; keepalived without one.
    pub maker: Option<u8>,
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
    /// The next rule decides.
    Nothing,
    /// They are looked up in the table of the VRF of their interface.
    TableOfInterface,
}

const ADD: u16 = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
const REMOVE: u16 = NLM_F_REQUEST | NLM_F_ACK;

impl Netlink {
    /// Adds a route; false if there is the same one already, or, where it is to be the only
    /// one, another one for its destination, metric and table.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn add_route(&mut self, route: &Route) -> io::Result<bool> {
        let message = RouteNetlinkMessage::NewRoute(route_message(route, true));
        let flags = match route.insertion {
            Insertion::Prepend => ADD & !NLM_F_EXCL,
            Insertion::Append => (ADD & !NLM_F_EXCL) | NLM_F_APPEND,
            Insertion::Add => ADD,
        };
        unless(self.0.request(message, flags), &[libc::EEXIST])
    }

    /// Removes a route; false if it is not there.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn remove_route(&mut self, route: &Route) -> io::Result<bool> {
        let message = RouteNetlinkMessage::DelRoute(route_message(route, false));
        unless(
            self.0.request(message, REMOVE),
            &[libc::ESRCH, libc::ENODEV, libc::ENOENT],
        )
    }

    /// Adds a rule; false if there is the same one already.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn add_rule(&mut self, rule: &Rule) -> io::Result<bool> {
        let message = RouteNetlinkMessage::NewRule(rule_message(rule));
        unless(self.0.request(message, ADD), &[libc::EEXIST])
    }

    /// Removes a rule; false if it is not there.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn remove_rule(&mut self, rule: &Rule) -> io::Result<bool> {
        let message = RouteNetlinkMessage::DelRule(rule_message(rule));
        unless(
            self.0.request(message, REMOVE),
            &[libc::ENOENT, libc::ESRCH],
        )
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
    header.tos = route.tos;
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
        RouteKind::Local => RouteType::Local,
        RouteKind::Broadcast => RouteType::Broadcast,
        RouteKind::Anycast => RouteType::Anycast,
        RouteKind::Multicast => RouteType::Multicast,
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
    if let Some((from, length)) = route.from {
        message.header.source_prefix_length = length;
        if length > 0 {
            attributes.push(RouteAttribute::Source(from.into()));
        }
    }
    let lifetime = route.lifetime.map(|lifetime| lifetime.as_secs());
    let lifetime = lifetime.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    attributes.extend(lifetime.map(RouteAttribute::Expires));
    let preference = route.router_preference.map(RoutePreference::from);
    attributes.extend(preference.map(RouteAttribute::Preference));
    let propagate = route.propagate_ttl.map(|propagate| match propagate {
        true => RouteMplsTtlPropagation::Enabled,
        false => RouteMplsTtlPropagation::Disabled,
    });
    attributes.extend(propagate.map(RouteAttribute::TtlPropagate));
    let metrics = metrics(route);
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
            attributes.extend(extras(hop));
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
    made.attributes.extend(extras(hop));
    made
}

/// The metrics, and behind them which of them are locked.
fn metrics(route: &Route) -> Vec<RouteMetric> {
    let numbers = route.metrics.iter();
    let numbers = numbers.map(|(number, value)| {
        RouteMetric::Other(DefaultNla::new(*number, value.to_ne_bytes().to_vec()))
    });
    let algorithm = route.congestion_control.clone().map(RouteMetric::CcAlgo);
    let mut metrics: Vec<RouteMetric> = numbers.chain(algorithm).collect();
    if route.locked_metrics != 0 {
        metrics.push(RouteMetric::Lock(route.locked_metrics));
    }
    metrics
}

/// What is rare about a way.
fn extras(hop: &NextHop) -> Vec<RouteAttribute> {
    let mut attributes = Vec::new();
    attributes.extend(
        hop.realms
            .map(|realms| RouteAttribute::Realm(realm(realms))),
    );
    let (kind, encapsulation) = match &hop.encapsulation {
        None => return attributes,
        Some(Encapsulation::Ip(envelope)) => {
            let options = [
                envelope.id.map(RouteIpTunnel::Id),
                envelope.destination.map(RouteIpTunnel::Destination),
                envelope.source.map(RouteIpTunnel::Source),
                envelope.traffic_class.map(RouteIpTunnel::Tos),
                envelope.hop_limit.map(RouteIpTunnel::Ttl),
                envelope
                    .flags
                    .map(|flags| RouteIpTunnel::Flags(RouteIpTunnelFlags::from_bits_retain(flags))),
            ];
            let options = options.into_iter().flatten();
            let options = options.map(RouteLwTunnelEncap::Ip).collect();
            (RouteLwEnCapType::Ip, options)
        }
        Some(Encapsulation::Ip6(envelope)) => {
            let options = [
                envelope.id.map(RouteIp6Tunnel::Id),
                envelope.destination.map(RouteIp6Tunnel::Destination),
                envelope.source.map(RouteIp6Tunnel::Source),
                envelope.traffic_class.map(RouteIp6Tunnel::Tc),
                envelope.hop_limit.map(RouteIp6Tunnel::Hoplimit),
                envelope.flags.map(|flags| {
                    RouteIp6Tunnel::Flags(RouteIp6TunnelFlags::from_bits_retain(flags))
                }),
            ];
            let options = options.into_iter().flatten();
            let options = options.map(RouteLwTunnelEncap::Ip6).collect();
            (RouteLwEnCapType::Ip6, options)
        }
        Some(Encapsulation::Mpls(labels)) => {
            let last = labels.len().saturating_sub(1);
            let labels = labels.iter().enumerate().map(|(index, label)| MplsLabel {
                label: *label,
                traffic_class: 0,
                bottom_of_stack: index == last,
                ttl: 0,
            });
            let stack = RouteMplsIpTunnel::Destination(labels.collect());
            (
                RouteLwEnCapType::Mpls,
                vec![RouteLwTunnelEncap::Mpls(stack)],
            )
        }
        Some(Encapsulation::Ila(locator)) => {
            let locator = DefaultNla::new(ILA_ATTR_LOCATOR, locator.to_be_bytes().to_vec());
            (
                RouteLwEnCapType::Ila,
                vec![RouteLwTunnelEncap::Other(locator)],
            )
        }
    };
    attributes.push(RouteAttribute::Encap(encapsulation));
    attributes.push(RouteAttribute::EncapType(kind));
    attributes
}

fn realm((source, destination): (u16, u16)) -> RouteRealm {
    RouteRealm {
        source,
        destination,
    }
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
    message.header.tos = rule.tos;
    attributes.extend(rule.tunnel.map(RuleAttribute::TunId));
    let users = rule.users;
    attributes
        .extend(users.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
    let protocol = rule.protocol.map(i32::from).map(IpProtocol::from);
    attributes.extend(protocol.map(RuleAttribute::IpProtocol));
    let ports = |(start, end): (u16, u16)| RulePortRange { start, end };
    let (source, destination) = (rule.source_ports, rule.destination_ports);
    attributes.extend(source.map(ports).map(RuleAttribute::SourcePortRange));
    attributes.extend(
        destination
            .map(ports)
            .map(RuleAttribute::DestinationPortRange),
    );
    attributes.extend(
        rule.realms
            .map(|realms| RuleAttribute::Realm(realm(realms))),
    );
    let (length, group) = (rule.suppressed_length, rule.suppressed_group);
    attributes.extend(length.map(RuleAttribute::SuppressPrefixLen));
    attributes.extend(group.map(RuleAttribute::SuppressIfGroup));
    attributes.push(RuleAttribute::Priority(rule.preference));
    let maker = RouteProtocol::from(rule.maker.unwrap_or(KEEPALIVED));
    attributes.push(RuleAttribute::Protocol(maker));
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
        RuleAction::Nothing => Action::Nop,
        RuleAction::TableOfInterface => {
            attributes.push(RuleAttribute::L3MDev(true));
            Action::ToTable
        }
    };
    message
}
