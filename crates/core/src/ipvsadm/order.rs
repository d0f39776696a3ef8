//! The order of lists, which is that of libipvs.
//!
//! Its comparisons subtract unsigned numbers into a signed 32-bit one, so 200.0.0.1 comes
//! before 10.0.0.1, and three addresses can even go round in a circle. A merge sort as the C
//! library has it takes that in its stride, and so comes out the same; the sort of the
//! standard library panics on it.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

use crate::service::{DestinationState, Family, ServiceKey, ServiceState};

/// Puts services into the order of lists: addresses of TCP, UDP and SCTP, IPv4 before IPv6,
/// then firewall marks.
pub(super) fn sort_services(services: &mut Vec<ServiceState>) {
    merge_sort(services, |a, b| compare_services(&a.key, &b.key));
}

/// Puts the destinations of a service into the order of lists.
pub(super) fn sort_destinations(destinations: &mut Vec<DestinationState>) {
    merge_sort(destinations, |a, b| {
        let (a, b) = (a.address, b.address);
        // What is compared of a mixed pair depends on the family of its first half.
        let length = if a.is_ipv6() { 4 } else { 1 };
        by_difference(&words(a.ip())[..length], &words(b.ip())[..length])
            .then(a.port().cmp(&b.port()))
    });
}

fn compare_services(a: &ServiceKey, b: &ServiceKey) -> Ordering {
    let key = |service: &ServiceKey| -> (u32, Family, u8, SocketAddr) {
        match *service {
            ServiceKey::Address { protocol, address } => {
                (0, service.family(), protocol.number(), address)
            }
            ServiceKey::Mark { mark, family } => {
                (mark, family, 0, SocketAddr::new(family.unspecified(), 0))
            }
        }
    };
    let (mark_a, family_a, protocol_a, address_a) = key(a);
    let (mark_b, family_b, protocol_b, address_b) = key(b);
    by_difference(&[mark_a], &[mark_b])
        .then(family_a.cmp(&family_b))
        .then(protocol_a.cmp(&protocol_b))
        .then_with(|| by_difference(&words(address_a.ip()), &words(address_b.ip())))
        .then(address_a.port().cmp(&address_b.port()))
}

/// An address as 32-bit words, the way a union of both families lies in memory.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => [v4.to_bits(), 0, 0, 0],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
        }
    }
}

/// Compares the first words that differ by the sign of their 32-bit difference.
fn by_difference(a: &[u32], b: &[u32]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| a.wrapping_sub(*b).cast_signed().cmp(&0))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Sorts by merging halves, the smaller half in front, as glibc's `qsort` does.
fn merge_sort<T>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering + Copy) {
    if items.len() < 2 {
        return;
    }
    let mut right = items.split_off(items.len() / 2);
    let mut left = std::mem::take(items);
    merge_sort(&mut left, compare);
    merge_sort(&mut right, compare);
    items.reserve_exact(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    let mut right = right.into_iter().peekable();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(a, b).is_le() {
            left.next()
        } else {
            right.next()
        };
        items.extend(next);
    }
    items.extend(left);
    items.extend(right);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Protocol;

    fn sorted(keys: &[ServiceKey]) -> Vec<String> {
        let mut keys = keys.to_vec();
        merge_sort(&mut keys, compare_services);
        keys.iter().map(ToString::to_string).collect()
    }

    fn service(protocol: Protocol, address: &str) -> ServiceKey {
        ServiceKey::Address {
            protocol,
            address: address.parse().expect(address),
        }
    }

    fn mark(mark: u32, family: Family) -> ServiceKey {
        ServiceKey::Mark { mark, family }
    }

    #[test]
    fn protocols_families_and_marks_follow_each_other() {
        assert_eq!(
            sorted(&[
                mark(3, Family::Inet6),
                mark(3, Family::Inet),
                service(Protocol::Tcp, "[2001:db8::1]:80"),
                service(Protocol::Sctp, "10.0.0.1:80"),
                service(Protocol::Udp, "10.0.0.1:80"),
                service(Protocol::Tcp, "10.0.0.1:443"),
                service(Protocol::Tcp, "10.0.0.1:80"),
                mark(u32::MAX, Family::Inet),
            ]),
            [
                "FWM 4294967295",
                "TCP 10.0.0.1:80",
                "TCP 10.0.0.1:443",
                "UDP 10.0.0.1:80",
                "SCTP 10.0.0.1:80",
                "TCP [2001:db8::1]:80",
                "FWM 3",
                "FWM 3 IPv6",
            ]
        );
    }

    #[test]
    fn high_addresses_come_before_low_ones() {
        assert_eq!(
            sorted(&[
                service(Protocol::Tcp, "10.0.0.1:80"),
                service(Protocol::Tcp, "200.0.0.1:80"),
            ]),
            ["TCP 200.0.0.1:80", "TCP 10.0.0.1:80"]
        );
    }

    #[test]
    fn addresses_in_a_circle_are_all_kept() {
        // Each is "less" than the next one, and the last than the first.
        let circle = ["1.0.0.1:80", "80.0.0.1:80", "170.0.0.1:80", "250.0.0.1:80"];
        let keys = circle.map(|address| service(Protocol::Tcp, address));
        let mut all: Vec<String> = sorted(&keys);
        all.sort();
        let mut expected: Vec<String> = keys.iter().map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(all, expected);
    }
}
