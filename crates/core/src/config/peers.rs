//! Two directors' configurations beside each other: what keeps them from being a pair.

use super::diagnostic::Diagnostic;
use super::model::{Configuration, VirtualAddress, VrrpInstance};
use crate::vrrp::is_ipv6;

/// What does not go together in the virtual routers that two directors share: the
/// configuration of one, and that of the other in the file `peer`.
pub fn compare(one: &Configuration, other: &Configuration, peer: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for instance in &one.instances {
        let same = |candidate: &&VrrpInstance| {
            candidate.virtual_router_id == instance.virtual_router_id
                && is_ipv6(candidate) == is_ipv6(instance)
        };
        match other.instances.iter().find(same) {
            Some(partner) => compare_instances(instance, partner, peer, &mut found),
            None => found.push(Diagnostic::about_the_host(
                format!(
                    "({}) {peer} has no instance with virtual_router_id {}",
                    instance.name, instance.virtual_router_id
                ),
                "the same virtual router has the same id on all directors",
            )),
        }
    }
    found
}

fn compare_instances(
    one: &VrrpInstance,
    other: &VrrpInstance,
    peer: &str,
    found: &mut Vec<Diagnostic>,
) {
    let name = &one.name;
    let mut say = |what: String, help: &str| {
        found.push(Diagnostic::about_the_host(format!("({name}) {what}"), help));
    };
    if one.priority == other.priority {
        say(
            format!("its priority is {} in {peer} as well", one.priority),
            "of two with the same priority the one with the higher address is master, which \
             nobody has decided; give them different ones",
        );
    }
    if one.version != other.version {
        say(
            format!("{peer} has another version of VRRP"),
            "the two do not understand each other, and both would be master",
        );
    }
    if one.authentication != other.authentication {
        say(
            format!("{peer} has another password, or one of the two has none"),
            "each takes the other for a stranger, and both would be master",
        );
    }
    if one.advertisement_interval != other.advertisement_interval {
        say(
            format!(
                "its advertisements come every {:?}, in {peer} every {:?}",
                one.advertisement_interval, other.advertisement_interval
            ),
            "write the same advert_int on both",
        );
    }
    let addresses = |instance: &VrrpInstance| {
        let all = instance.virtual_addresses.iter();
        let mut all: Vec<_> = all.map(|VirtualAddress { address, .. }| *address).collect();
        all.sort();
        all
    };
    if addresses(one) != addresses(other) {
        say(
            format!("its virtual addresses are others in {peer}"),
            "write the same virtual_ipaddress on both",
        );
    }
    if one.unicast_peers.is_empty() != other.unicast_peers.is_empty() {
        say(
            format!("one of it and {peer} speaks by unicast and the other by multicast"),
            "write unicast_peer on both, or on none",
        );
    }
}
