//! Who does not own the virtual addresses takes no packets to them, unless it is to accept them
//! (`no_accept`, `strict_mode`).
//!
//! 9568-6.4.3-g, 3768-6.4.3-c: a master "MUST accept packets addressed to the IPvX address(es)
//! associated with the Virtual Router if it is the IPvX address owner or if Accept_Mode is True.
//! Otherwise, it MUST NOT accept these packets": rules of netfilter see to it, the same as
//! keepalived's.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addressing::addresses_of;
use super::advertisement::PRIORITY_OWNER;
use super::effect::HeldAddress;
use crate::config::model::{Nftables, VrrpInstance};

/// Writes a line. Writing into a string does not fail.
macro_rules! put {
    ($text:expr, $($format:tt)*) => {
        let _ = writeln!($text, $($format)*);
    };
}

/// The tables that drop packets to and from the addresses of those instances that do not
/// accept them, as nft(8) reads them; none if all accept. Tables of that name that are there
/// already are replaced at once.
///
/// An address is in them whether it is held or not: packets to one that is not held never come
/// to this host's own sockets, and so the rules are always there before the address.
pub fn refusal(instances: &[VrrpInstance], nftables: &Nftables) -> Option<String> {
    let refused: Vec<HeldAddress> = instances
        .iter()
        .filter(|instance| !instance.accept && instance.priority != PRIORITY_OWNER)
        .flat_map(addresses_of)
        .collect();
    let (mut ipv4, mut ipv6) = (BTreeSet::new(), BTreeSet::new());
    let mut link_local = BTreeSet::new();
    for HeldAddress {
        address, interface, ..
    } in &refused
    {
        match address {
            IpAddr::V4(address) => drop(ipv4.insert(*address)),
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                link_local.insert((*address, interface.as_str()));
            }
            IpAddr::V6(address) => drop(ipv6.insert(*address)),
        }
    }
    if refused.is_empty() {
        return None;
    }
    let mut text = removal(nftables);
    if !ipv4.is_empty() {
        for_ipv4(&mut text, nftables, &ipv4);
    }
    if !ipv6.is_empty() || !link_local.is_empty() {
        for_ipv6(&mut text, nftables, &ipv6, &link_local);
    }
    Some(text)
}

/// What takes the tables away, whether they are there or not.
pub fn removal(nftables: &Nftables) -> String {
    let name = &nftables.table;
    let mut text = String::new();
    for family in ["ip", "ip6"] {
        // Making one that is there changes nothing, and so the next line cannot fail.
        put!(text, "table {family} {name} {{ }}");
        put!(text, "delete table {family} {name}");
    }
    text
}

fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// The verdict on a packet that a rule fits.
fn verdict(nftables: &Nftables) -> &'static str {
    match nftables.counters {
        true => "counter drop",
        false => "drop",
    }
}

fn for_ipv4(text: &mut String, nftables: &Nftables, addresses: &BTreeSet<Ipv4Addr>) {
    let (name, priority) = (&nftables.table, nftables.priority);
    let drop = verdict(nftables);
    put!(text, "table ip {name} {{");
    put!(
        text,
        "  set vips {{ type ipv4_addr; elements = {{ {} }}; }}",
        words(addresses)
    );
    for (chain, hook, field) in [("out", "output", "saddr"), ("in", "input", "daddr")] {
        put!(text, "  chain {chain} {{");
        put!(
            text,
            "    type filter hook {hook} priority {priority}; policy accept;"
        );
        put!(text, "    ip {field} @vips {drop}");
        put!(text, "  }}");
    }
    put!(text, "}}");
}

/// A link-local address is one only together with its interface. Neighbours may ask for all of
/// them: 9568-6.1-a and 9568-6.4.3-e, "IPv6 Neighbor Solicitations and Neighbor Advertisements MUST NOT be dropped
/// when Accept_Mode is False".
fn for_ipv6(
    text: &mut String,
    nftables: &Nftables,
    addresses: &BTreeSet<Ipv6Addr>,
    link_local: &BTreeSet<(Ipv6Addr, &str)>,
) {
    let (name, priority) = (&nftables.table, nftables.priority);
    let drop = verdict(nftables);
    put!(text, "table ip6 {name} {{");
    put!(
        text,
        "  set vips {{ type ipv6_addr; {} }}",
        elements(addresses)
    );
    let pairs = link_local
        .iter()
        .map(|(address, interface)| format!("{address} . \"{interface}\""));
    put!(
        text,
        "  set vips_link_local {{ type ipv6_addr . ifname; {} }}",
        elements(pairs)
    );
    put!(
        text,
        "  set neighbor-discovery {{ type icmpv6_type; flags constant; \
         elements = {{ nd-neighbor-solicit, nd-neighbor-advert }}; }}"
    );
    for (chain, field, interface) in [("out", "saddr", "oifname"), ("in", "daddr", "iifname")] {
        put!(text, "  chain {chain}_link_local {{");
        put!(
            text,
            "    ip6 {field} . {interface} @vips_link_local {drop}"
        );
        put!(text, "  }}");
    }
    for (chain, hook, field) in [("out", "output", "saddr"), ("in", "input", "daddr")] {
        put!(text, "  chain {chain} {{");
        put!(
            text,
            "    type filter hook {hook} priority {priority}; policy accept;"
        );
        put!(text, "    icmpv6 type @neighbor-discovery accept");
        put!(text, "    ip6 {field} fe80::/10 goto {chain}_link_local");
        put!(text, "    ip6 {field} @vips {drop}");
        put!(text, "  }}");
    }
    put!(text, "}}");
}

/// A set may have none.
fn elements<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items = words(items);
    match items.is_empty() {
        true => String::new(),
        false => format!("elements = {{ {items} }};"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::config::model::VirtualAddress;

    fn instance(accept: bool, priority: u8, addresses: &[&str]) -> VrrpInstance {
        let address = |text: &&str| VirtualAddress::new(text.parse().unwrap(), 32);
        VrrpInstance {
            accept,
            priority,
            virtual_addresses: addresses.iter().map(address).collect(),
            ..VrrpInstance::new("A", "eth0", 51)
        }
    }

    #[test]
    fn who_accepts_and_who_owns_needs_no_rules() {
        let nftables = Nftables::default();
        let all = [
            instance(true, 100, &["192.0.2.1"]),
            instance(false, 255, &["192.0.2.2"]),
        ];
        assert_eq!(refusal(&all, &nftables), None);
    }

    #[test]
    fn the_rules_are_those_of_keepalived() {
        let nftables = Nftables {
            counters: true,
            ..Nftables::default()
        };
        let addresses = ["192.0.2.1", "192.0.2.2"];
        let rules = refusal(&[instance(false, 100, &addresses)], &nftables);
        expect![[r#"
            table ip keepalived { }
            delete table ip keepalived
            table ip6 keepalived { }
            delete table ip6 keepalived
            table ip keepalived {
              set vips { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 }; }
              chain out {
                type filter hook output priority -1; policy accept;
                ip saddr @vips counter drop
              }
              chain in {
                type filter hook input priority -1; policy accept;
                ip daddr @vips counter drop
              }
            }
        "#]]
        .assert_eq(&rules.unwrap());
    }

    #[test]
    fn link_local_addresses_count_on_their_interface_alone() {
        let nftables = Nftables::default();
        let rules = refusal(&[instance(false, 100, &["fe80::1"])], &nftables).unwrap();
        assert!(
            rules.contains(r#"elements = { fe80::1 . "eth0" };"#),
            "{rules}"
        );
        assert!(rules.contains("set vips { type ipv6_addr;  }"), "{rules}");
    }
}
