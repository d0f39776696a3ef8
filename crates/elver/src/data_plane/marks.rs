//! The rules of elver.toml that give packets a firewall mark.

use std::net::IpAddr;

use elver_core::service::Protocol;
use elver_packet::table::Words;
use elver_packet::table::mark::RULES;
use elver_packet::table::settings::HAS_MARK_RULES;

use super::access::masked;
use super::{DataPlane, Network, layout};

/// How many rules there can be.
pub(crate) const MOST_RULES: usize = RULES as usize;

/// What gives a packet a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkRule {
    /// The mark, not 0.
    pub(crate) mark: u32,
    /// The protocol, or any.
    pub(crate) protocol: Option<Protocol>,
    /// Where the packet goes.
    pub(crate) destination: Network,
    /// Where it comes from, of the same family.
    pub(crate) source: Network,
    /// First and last destination port.
    pub(crate) ports: (u16, u16),
}

impl DataPlane {
    /// Makes these rules those that the programs follow, [`MOST_RULES`] at the most.
    pub(crate) fn set_mark_rules(&mut self, rules: &[MarkRule]) {
        let maps = &self.inventory.maps;
        // A packet may come between any two stores: it finds the old rules, none, or the new.
        self.replace_behaviour(HAS_MARK_RULES, 0);
        for number in 0..RULES {
            let Some(words) = maps.mark_rule(number) else {
                continue;
            };
            words.exchange(0, 0);
            if let Some(rule) = rules.get(number as usize) {
                write(words, rule);
            }
        }
        if !rules.is_empty() {
            self.replace_behaviour(HAS_MARK_RULES, HAS_MARK_RULES);
        }
    }
}

fn write<W: Words>(words: W, rule: &MarkRule) {
    let (first, last) = rule.ports;
    words.store(1, u64::from(first) | u64::from(last) << 16);
    for (word, (address, length)) in [(2, rule.destination), (6, rule.source)] {
        let ones = if address.is_ipv4() {
            IpAddr::from([0xff; 4])
        } else {
            IpAddr::from([0xff; 16])
        };
        let parts = [masked(address, length), masked(ones, length)];
        for (word, address) in (word..).step_by(2).zip(parts) {
            let (first, second) = layout::address_words(address);
            words.store(word, first);
            words.store(word + 1, second);
        }
    }
    let (address, _) = rule.destination;
    let family = if address.is_ipv4() { 4 } else { 6 };
    let protocol = rule.protocol.map_or(0, Protocol::number);
    words.exchange(
        0,
        1 | family << 8 | u64::from(protocol) << 16 | u64::from(rule.mark) << 32,
    );
}
