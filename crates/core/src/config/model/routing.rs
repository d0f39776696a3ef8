//! Routes and rules that are held like addresses.

use std::net::IpAddr;

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
    /// The table; 254 is the main one.
    pub table: u32,
    /// `metric`: of several routes the one with the least counts.
    pub metric: Option<u32>,
    /// How far the destination is, a value of rtnetlink(7); the kernel's rule without one.
    pub scope: Option<u8>,
    /// Who has made it, a number of rt_protos; keepalived's 18 without one.
    pub protocol: Option<u8>,
    /// `mtu`, in octets.
    pub mtu: Option<u32>,
    /// `advmss`, in octets.
    pub advertised_segment_size: Option<u32>,
    /// `no_track` makes it false: a route that vanishes is not put back.
    pub restore: bool,
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
    /// Its place among the rules; the kernel chooses one without it.
    pub preference: u32,
    /// What becomes of them.
    pub action: RuleAction,
    /// `no_track` makes it false: a rule that vanishes is not put back.
    pub restore: bool,
}
