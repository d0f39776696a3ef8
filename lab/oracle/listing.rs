//! What `ipvsadm -Lnc` prints, made comparable.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How much the remaining time of a connection may differ: one side is asked after the
/// other, and a packet repeated by a slow machine begins the time anew.
const TOLERANCE: Duration = Duration::from_secs(45);

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection {
    /// Everything but the time, with the client's port made a name.
    what: String,
    expires: Duration,
}

/// The connections of a list to the virtual addresses that are `wanted`, sorted. `name` gives a
/// known client's name. Ports of clients that nobody heard of are those of half open connections.
pub(crate) fn connections(
    list: &str,
    wanted: impl Fn(IpAddr) -> bool,
    name: impl Fn(SocketAddr) -> Option<String>,
) -> Vec<Connection> {
    let mut lines = list.lines();
    assert_eq!(lines.next(), Some("IPVS connection entries"), "{list}");
    assert_eq!(
        lines.next(),
        Some("pro expire state       source             virtual            destination"),
        "{list}"
    );
    let mut connections: Vec<Connection> = lines
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [protocol, expires, state, client, service, destination] = words[..] else {
                panic!("not a connection: {line}");
            };
            let virtual_address: SocketAddr = service.parse().expect("a service's address");
            if !wanted(virtual_address.ip()) || is_ghost(virtual_address) {
                return None;
            }
            let address: SocketAddr = client.parse().expect("a client's address");
            let client = match name(address) {
                Some(name) => name,
                None if address.port() == 0 => client.to_owned(),
                None => format!("{} half open", address.ip()),
            };
            Some(Connection {
                what: format!("{protocol} {state} {client} {service} {destination}"),
                expires: time(expires),
            })
        })
        .collect();
    connections.sort();
    connections
}

/// A template whose real server is gone, which IPVS gives this port so that no client finds it
/// (ip_vs_check_template), and lists until its time is over.
fn is_ghost(virtual_address: SocketAddr) -> bool {
    virtual_address.port() == u16::MAX
}

/// A time written as MINUTES:SECONDS.
fn time(text: &str) -> Duration {
    let (minutes, seconds) = text.split_once(':').expect("minutes and seconds");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    Duration::from_secs(number(minutes) * 60 + number(seconds))
}

/// Whether both lists have the same connections, that expire at about the same time.
pub(crate) fn same(one: &[Connection], other: &[Connection]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.what == other.what && one.expires.abs_diff(other.expires) <= TOLERANCE
        })
}

/// A list for a reader.
pub(crate) fn text(connections: &[Connection]) -> String {
    connections.iter().fold(String::new(), |mut text, one| {
        let seconds = one.expires.as_secs();
        writeln!(text, "{:2}:{:02} {}", seconds / 60, seconds % 60, one.what)
            .expect("memory takes it");
        text
    })
}
