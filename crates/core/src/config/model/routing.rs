//! Routes and rules that are held like addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::VirtualAddress;

/// What is held as long as this host does VRRP, whoever is master (`static_…`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statics {
    /// `static_ipaddress`; each has an interface.
    pub addresses: Vec<VirtualAddress>,
    /// `static_routes`.
    pub routes: Vec<Route>,
    /// `static_rules`.
    pub rules: Vec<Rule>,
}

/// A network: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// The length of the prefix, in bits.
    pub length: u8,
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What becomes of packets that a route fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RouteKind {
    /// They are sent on.
    #[default]
    Unicast,
    /// They vanish.
    Blackhole,
    /// Their senders are told that there is no way.
    Unreachable,
    /// Their senders are told that it is forbidden.
    Prohibit,
    /// The next rule decides.
    Throw,
    /// They are for this host.
    Local,
    /// They are for this host, and go out as broadcasts.
    Broadcast,
    /// They are for this host, which is one of several with the address.
    Anycast,
    /// They go to a group.
    Multicast,
}

impl RouteKind {
    /// Each with its name in ip-route(8).
    pub const NAMES: [(RouteKind, &'static str); 9] = [
        (RouteKind::Unicast, "unicast"),
        (RouteKind::Blackhole, "blackhole"),
        (RouteKind::Unreachable, "unreachable"),
        (RouteKind::Prohibit, "prohibit"),
        (RouteKind::Throw, "throw"),
        (RouteKind::Local, "local"),
        (RouteKind::Broadcast, "broadcast"),
        (RouteKind::Anycast, "anycast"),
        (RouteKind::Multicast, "multicast"),
    ];
}

/// What the kernel is told about ways, apart from where they lead: `RTAX_…` of
/// linux/rtnetlink.h, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RouteMetric {
    /// The largest packet, in octets.
    Mtu = 2,
    /// The largest window that is advertised, in octets.
    Window = 3,
    /// The round-trip time, in eighths of a millisecond.
    RoundTripTime = 4,
    /// How far it varies, in quarters of a millisecond.
    RoundTripTimeVariance = 5,
    /// Where slow start ends, in segments.
    SlowStartThreshold = 6,
    /// The largest congestion window, in segments.
    CongestionWindow = 7,
    /// The segment size that peers are told, in octets.
    AdvertisedSegmentSize = 8,
    /// How many packets may overtake one before it counts as lost.
    Reordering = 9,
    /// The TTL or hop limit.
    HopLimit = 10,
    /// The congestion window of a new connection, in segments.
    InitialCongestionWindow = 11,
    /// Features: 1 is ECN.
    Features = 12,
    /// The least time before something is sent again, in milliseconds.
    LeastRetransmissionTimeout = 13,
    /// The window that a new connection advertises, in segments.
    InitialReceiveWindow = 14,
    /// Whether acknowledgements are sent at once.
    QuickAcknowledgement = 15,
    /// Whether TCP Fast Open goes without a cookie.
    FastOpenWithoutCookie = 17,
}

impl RouteMetric {
    /// All of them.
    pub const ALL: [RouteMetric; 15] = [
        RouteMetric::Mtu,
        RouteMetric::Window,
        RouteMetric::RoundTripTime,
        RouteMetric::RoundTripTimeVariance,
        RouteMetric::SlowStartThreshold,
        RouteMetric::CongestionWindow,
        RouteMetric::AdvertisedSegmentSize,
        RouteMetric::Reordering,
        RouteMetric::HopLimit,
        RouteMetric::InitialCongestionWindow,
        RouteMetric::Features,
        RouteMetric::LeastRetransmissionTimeout,
        RouteMetric::InitialReceiveWindow,
        RouteMetric::QuickAcknowledgement,
        RouteMetric::FastOpenWithoutCookie,
    ];

    /// How ip-route(8) writes it.
    pub fn keyword(self) -> &'static str {
        match self {
            RouteMetric::Mtu => "mtu",
            RouteMetric::Window => "window",
            RouteMetric::RoundTripTime => "rtt",
            RouteMetric::RoundTripTimeVariance => "rttvar",
            RouteMetric::SlowStartThreshold => "ssthresh",
            RouteMetric::CongestionWindow => "cwnd",
            RouteMetric::AdvertisedSegmentSize => "advmss",
            RouteMetric::Reordering => "reordering",
            RouteMetric::HopLimit => "hoplimit",
            RouteMetric::InitialCongestionWindow => "initcwnd",
            RouteMetric::Features => "features",
            RouteMetric::LeastRetransmissionTimeout => "rto_min",
            RouteMetric::InitialReceiveWindow => "initrwnd",
            RouteMetric::QuickAcknowledgement => "quickack",
            RouteMetric::FastOpenWithoutCookie => "fastopen_no_cookie",
        }
    }
}

/// A value of a [`RouteMetric`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricValue<T = u32> {
    /// The value, in the unit of the metric.
    pub value: T,
    /// `lock`: the kernel does not change it by what it learns.
    pub locked: bool,
}

/// Realms that packets are counted in, of their source and their destination; 0 is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realms {
    /// That of where they come from.
    pub source: u16,
    /// That of where they go.
    pub destination: u16,
}

impl std::fmt::Display for Realms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.source, self.destination)
    }
}

/// Where a route stands among those for the same destination with the same metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Insertion {
    /// Before them.
    #[default]
    Prepend,
    /// Behind them.
    Append,
    /// It is added only where there is none.
    Add,
}

/// `encap`: what packets are put into on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encapsulation {
    /// IPv4, for an interface that takes tunnels from its routes.
    Ip(Envelope<Ipv4Addr>),
    /// IPv6, likewise.
    Ip6(Envelope<Ipv6Addr>),
    /// MPLS: labels of 20 bits, the outermost first.
    Mpls(Vec<u32>),
    /// Identifier-locator addressing: the locator, the first half of an IPv6 address.
    Ila(u64),
}

/// The outer header of an [`Encapsulation`], as far as the route decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A table of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RoutingTable {
    /// `table`: that of this number.
    Number(u32),
    /// `vrf`: that of the VRF of this name.
    OfVrf(String),
}

impl RoutingTable {
    /// The table that packets are looked up in unless a rule says otherwise.
    pub const MAIN: RoutingTable = RoutingTable::Number(254);
}

/// A route, as ip-route(8) describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What becomes of the packets.
    pub kind: RouteKind,
    /// Where they go.
    pub destination: Prefix,
    /// By which ways, of which each takes its share; none for most kinds.
    pub hops: Vec<NextHop>,
    /// `src`: the address that packets of this host come from.
    pub source: Option<IpAddr>,
    /// The table that it is in.
    pub table: RoutingTable,
    /// `metric`: of several routes the one with the least counts.
    pub metric: Option<u32>,
    /// How far the destination is, a value of rtnetlink(7); the kernel's rule without one.
    pub scope: Option<u8>,
    /// Who has made it, a number of rt_protos; keepalived's 18 without one.
    pub protocol: Option<u8>,
    /// What else the kernel is told about the way.
    pub metrics: BTreeMap<RouteMetric, MetricValue>,
    /// `congctl`: the algorithm that governs congestion.
    pub congestion_control: Option<MetricValue<String>>,
    /// `tos`: it is for packets with this TOS only, for IPv4.
    pub tos: u8,
    /// `from`: it is for packets from there only, for IPv6.
    pub from: Option<Prefix>,
    /// `expires`: when it vanishes, for IPv6.
    pub lifetime: Option<Duration>,
    /// `pref`: how good the router is (RFC 4191), for IPv6; 0 is medium, 1 high, 3 low.
    pub router_preference: Option<u8>,
    /// `ttl-propagate`: whether the TTL goes into the labels of MPLS and out of them.
    pub propagate_ttl: Option<bool>,
    /// Its place among others.
    pub insertion: Insertion,
    /// `no_track` makes it false: a route that vanishes is not put back.
    pub restore: bool,
}

impl Route {
    /// A route to somewhere about which nothing else is said yet.
    pub fn to(destination: Prefix) -> Route {
        Route {
            kind: RouteKind::Unicast,
            destination,
            hops: Vec::new(),
            source: None,
            table: RoutingTable::MAIN,
            metric: None,
            scope: None,
            protocol: None,
            metrics: BTreeMap::new(),
            congestion_control: None,
            tos: 0,
            from: None,
            lifetime: None,
            router_preference: None,
            propagate_ttl: None,
            insertion: Insertion::Prepend,
            restore: true,
        }
    }
}

/// A way to somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextHop {
    /// `via`: the router; none for what is on the link.
    pub router: Option<IpAddr>,
    /// `dev`: the interface, where the kernel does not find it out.
    pub interface: Option<String>,
    /// `onlink`: the router is on the link, whatever its address looks like.
    pub on_link: bool,
    /// `weight`: its share, 1 to 256.
    pub weight: Option<u16>,
    /// `realms`, for IPv4.
    pub realms: Option<Realms>,
    /// What packets are put into.
    pub encapsulation: Option<Encapsulation>,
}

/// What a rule does with packets that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `nop`: the next rule decides.
    Nothing,
    /// `l3mdev`: they are looked up in the table of the VRF of their interface.
    TableOfInterface,
}

/// A rule for the choice of a table, as ip-rule(8) describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whether it is of IPv6.
    pub ipv6: bool,
    /// `not`: it fits what it would not.
    pub inverted: bool,
    /// Where packets come from.
    pub from: Option<Prefix>,
    /// Where they go.
    pub to: Option<Prefix>,
    /// `iif`: the interface that they have come in by.
    pub input: Option<String>,
    /// `oif`: the interface that their socket is bound to.
    pub output: Option<String>,
    /// `fwmark`: their mark and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// `tos`: their TOS or traffic class, where it counts.
    pub tos: u8,
    /// `tunnel-id`: the number of the tunnel that they have come out of.
    pub tunnel: Option<u64>,
    /// `uidrange`: whose socket has sent them, first and last.
    pub users: Option<(u32, u32)>,
    /// `ipproto`: their protocol.
    pub protocol: Option<u8>,
    /// `sport`: their source port, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// `dport`: their destination port, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// `realms` that they are counted in, for IPv4.
    pub realms: Option<Realms>,
    /// `suppress_prefixlength`: routes with prefixes of this length and shorter do not count.
    pub suppressed_length: Option<u32>,
    /// `suppress_ifgroup`: routes over interfaces of this group do not count.
    pub suppressed_group: Option<u32>,
    /// `protocol`: who has made it, a number of rt_protos; keepalived's 18 without one.
    pub maker: Option<u8>,
    /// Its place among the rules; the kernel chooses one without it.
    pub preference: u32,
    /// What becomes of them.
    pub action: RuleAction,
    /// `no_track` makes it false: a rule that vanishes is not put back.
    pub restore: bool,
}

impl Rule {
    /// A rule that fits every packet of a family.
    pub fn of(ipv6: bool, preference: u32, action: RuleAction) -> Rule {
        Rule {
            ipv6,
            inverted: false,
            from: None,
            to: None,
            input: None,
            output: None,
            mark: None,
            tos: 0,
            tunnel: None,
            users: None,
            protocol: None,
            source_ports: None,
            destination_ports: None,
            realms: None,
            suppressed_length: None,
            suppressed_group: None,
            maker: None,
            preference,
            action,
            restore: true,
        }
    }
}
