//! Rules of netfilter that hold for the kernel's IPVS and not for elver.
//!
//! IPVS takes packets after netfilter's INPUT; the programs of elver take them before all of
//! netfilter. A rule that kept clients from a virtual service, or gave their packets a firewall
//! mark, would silently have no effect any more. [`nft`] and [`iptables`] read the rules from
//! what the programs of these names print, and [`review`] tells which of them would have
//! mattered to which service, and what to write to `elver.toml` in their place.
//!
//! A condition that is not understood counts as one that may hold: a rule is rather named
//! without need than passed over.

pub mod iptables;
pub mod nft;
mod review;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use review::{Finding, Written, review};

/// A network: an address and the length of its prefix.
pub type Network = (IpAddr, u8);

/// A table of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it is called, with the program that shows it: `nft: table inet filter`.
    pub name: String,
    /// Whether only packets of IPv4 (`true`) or of IPv6 (`false`) meet it.
    pub is_ipv4: Option<bool>,
    /// Its chains, by their names.
    pub chains: BTreeMap<String, Chain>,
}

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Whether packets that arrive for this host meet it by themselves, before IPVS would.
    pub is_met: bool,
    /// Whether what no rule decides about is dropped.
    pub drops: bool,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// As the program shows it.
    pub text: String,
    /// What it asks of a packet.
    pub conditions: Conditions,
    /// What it does, in order.
    pub actions: Vec<Action>,
}

/// What a rule asks of a packet: all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Of its transport protocol, by number.
    pub protocols: Vec<Condition<u8>>,
    /// Of its source address.
    pub sources: Vec<Condition<Network>>,
    /// Of its destination address.
    pub destinations: Vec<Condition<Network>>,
    /// Of its destination port: the first and the last.
    pub ports: Vec<Condition<(u16, u16)>>,
    /// There is more, which elver does not understand or has no word for.
    pub more: bool,
}

impl Conditions {
    /// Both.
    fn and(&self, other: &Conditions) -> Conditions {
        fn join<T: Clone>(one: &[T], other: &[T]) -> Vec<T> {
            [one, other].concat()
        }
        Conditions {
            protocols: join(&self.protocols, &other.protocols),
            sources: join(&self.sources, &other.sources),
            destinations: join(&self.destinations, &other.destinations),
            ports: join(&self.ports, &other.ports),
            more: self.more || other.more,
        }
    }
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition<T> {
    /// One of these.
    pub any_of: Vec<T>,
    /// None of these.
    pub is_negated: bool,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The chain has decided: the packet goes on.
    Accept,
    /// The packet goes no further, with or without a word to its sender.
    Drop,
    /// It may drop packets or not, by what elver does not understand.
    Decide,
    /// The packet gets a firewall mark, if it can be told which.
    Mark(Option<u32>),
    /// The packet gets another destination.
    Redirect,
    /// Another chain, and then this one again.
    Jump(String),
    /// Another chain.
    Goto(String),
    /// Back to the chain before.
    Return,
}

/// The number of a protocol, by its number or one of the names that rules have for it.
fn protocol_number(word: &str) -> Option<u8> {
    match word {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "icmpv6" | "ipv6-icmp" => Some(58),
        "sctp" => Some(132),
        other => other.parse().ok(),
    }
}

/// `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/MASK` of a mask without holes.
fn network(text: &str) -> Option<Network> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => bits,
        Some(length) => match length.parse::<u8>() {
            Ok(length) => length,
            Err(_) => prefix_length(length.parse().ok()?)?,
        },
    };
    (length <= bits).then_some((address, length))
}

/// How many bits a mask has, if they are its first.
fn prefix_length(mask: IpAddr) -> Option<u8> {
    let (mask, bits) = number(mask);
    let inverse = !mask & (u128::MAX >> (128 - bits));
    (inverse & inverse.wrapping_add(1) == 0).then(|| (bits - inverse.count_ones()) as u8)
}

/// An address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

/// The networks that together are all from one address to another; none if they are of two
/// families.
fn networks_between(first: IpAddr, last: IpAddr) -> Vec<Network> {
    let ((mut first, bits), (last, other_bits)) = (number(first), number(last));
    let mut networks = Vec::new();
    while bits == other_bits && first <= last {
        let mut size = if first == 0 {
            bits
        } else {
            first.trailing_zeros().min(bits)
        };
        while size > 0 && (size == 128 || first + ((1 << size) - 1) > last) {
            size -= 1;
        }
        let address: IpAddr = match bits {
            32 => std::net::Ipv4Addr::from(first as u32).into(),
            _ => std::net::Ipv6Addr::from(first).into(),
        };
        networks.push((address, (bits - size) as u8));
        match first.checked_add(1 << size) {
            Some(next) => first = next,
            None => break,
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_lengths_and_masks() {
        let v4 = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(network("10.0.0.0/8"), Some((v4("10.0.0.0"), 8)));
        assert_eq!(network("10.0.0.0/255.0.0.0"), Some((v4("10.0.0.0"), 8)));
        assert_eq!(network("0.0.0.0/0.0.0.0"), Some((v4("0.0.0.0"), 0)));
        assert_eq!(network("10.0.0.1"), Some((v4("10.0.0.1"), 32)));
        assert_eq!(network("2001:db8::/32"), Some((v4("2001:db8::"), 32)));
        for wrong in ["10.0.0.0/255.0.255.0", "10.0.0.0/33", "example.org", ""] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_is_as_many_networks_as_it_takes() {
        let between = |first: &str, last: &str| {
            let networks = networks_between(
                first.parse().expect("an address"),
                last.parse().expect("an address"),
            );
            networks
                .iter()
                .map(|(address, length)| format!("{address}/{length}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            between("10.1.0.0", "10.1.0.9"),
            ["10.1.0.0/29", "10.1.0.8/31"]
        );
        assert_eq!(between("10.1.0.5", "10.1.0.5"), ["10.1.0.5/32"]);
        assert_eq!(between("0.0.0.0", "255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(between("fd00::", "fd00::1"), ["fd00::/127"]);
        let whole = between("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert_eq!(whole, ["::/1", "8000::/1"]);
        assert_eq!(between("10.1.0.9", "10.1.0.0"), [""; 0]);
        assert_eq!(between("10.1.0.9", "fd00::"), [""; 0]);
    }
}
