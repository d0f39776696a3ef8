//! Whom each scheduler chooses, and where real servers come, go and are overloaded.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::generate::Action;
use super::{connect, service};
use crate::side::{ADDRESSES, PORTS, client_address, server};

/// What is done with each scheduler, by its name.
pub(super) fn all() -> Vec<(&'static str, Vec<Action>)> {
    vec![
        ("wrr", edited("-s wrr", [3, 1, 2])),
        ("lc", edited("-s lc", [1, 1, 1])),
        ("wlc", edited("", [1, 2, 4])),
        ("sed", edited("-s sed", [1, 2, 3])),
        ("nq", edited("-s nq", [1, 2, 3])),
        ("fo", edited("-s fo", [1, 3, 2])),
        ("ovf", edited("-s ovf", [4, 3, 3])),
        ("lblc", edited("-s lblc", [1, 2, 4])),
        ("lblcr", edited("-s lblcr", [1, 2, 4])),
        ("lblcr with a set of servers", replicated()),
        ("dh", edited("-s dh", [1, 2, 4])),
        ("sh", hashed("-s sh", 20_000, false)),
        ("sh by ports", hashed("-s sh -b sh-port", 20_100, true)),
        (
            "sh with others to fall back on",
            quiescent("-s sh -b sh-port,sh-fallback", 20_400),
        ),
        ("mh", hashed("-s mh", 20_200, false)),
        ("mh by ports", hashed("-s mh -b mh-port", 20_300, true)),
        (
            "mh with others to fall back on",
            quiescent("-s mh -b mh-port,mh-fallback", 20_500),
        ),
        ("a scheduler after another", rescheduled()),
        ("rr under thresholds", thresholds()),
    ]
}

fn with_servers(scheduler: &str, weights: [u32; 3]) -> Vec<Action> {
    let service = service(PORTS[0]);
    let mut actions = vec![Action::command(&format!("-A {service} {scheduler}"))];
    actions.extend((0..).zip(weights).map(|(number, weight)| {
        Action::command(&format!(
            "-a {service} -r {} -m -w {weight}",
            server(number)
        ))
    }));
    actions
}

fn edit(number: u8, more: &str) -> Action {
    Action::command(&format!(
        "-e {} -r {} -m {more}",
        service(PORTS[0]),
        server(number)
    ))
}

/// Connections that stay, connections that close, and edits of every kind between them.
fn edited(scheduler: &str, weights: [u32; 3]) -> Vec<Action> {
    let mut actions = with_servers(scheduler, weights);
    actions.extend((0..6).map(|number| connect(number % 2)));
    actions.extend([Action::Close(1), Action::Close(3)]);
    actions.extend([connect(0), connect(1)]);
    actions.push(edit(1, "-w 6"));
    actions.extend((0..3).map(|number| connect(number % 2)));
    actions.push(Action::command(&format!(
        "-d {} -r {}",
        service(PORTS[0]),
        server(0)
    )));
    actions.extend([connect(0), connect(1)]);
    actions.push(Action::command(&format!(
        "-a {} -r {} -m -w 5",
        service(PORTS[0]),
        server(0)
    )));
    actions.extend([connect(0), connect(1)]);
    actions
}

/// An address that comes to be served by all, of which some close, leave and come back.
fn replicated() -> Vec<Action> {
    let mut actions = with_servers("-s lblcr", [1, 1, 2]);
    actions.extend((0..12).map(|number| connect(number % 2)));
    actions.extend((0..6).map(Action::Close));
    actions.extend((0..4).map(|number| connect(number % 2)));
    actions.push(edit(2, "-w 0"));
    actions.extend((0..4).map(|number| connect(number % 2)));
    actions.push(edit(2, "-w 9"));
    actions.extend((0..4).map(|number| connect(number % 2)));
    actions
}

/// Many clients: by their addresses, or by the ports of two of them. Each step has ports of
/// its own, since a real server tells its clients apart by nothing else.
fn hashed(scheduler: &str, first_port: u16, by_port: bool) -> Vec<Action> {
    let mut actions = with_servers(scheduler, [1, 2, 4]);
    actions.push(Action::ConnectFrom(if by_port {
        ports(client_address(3), first_port)
            .chain(ports(client_address(4), first_port))
            .collect()
    } else {
        (0..ADDRESSES)
            .map(|number| SocketAddrV4::new(client_address(number), first_port))
            .collect()
    }));
    actions
}

/// Clients whose real server takes no new connections, or none at all any more.
fn quiescent(scheduler: &str, first_port: u16) -> Vec<Action> {
    let mut actions = with_servers(scheduler, [2, 3, 4]);
    actions.push(edit(1, "-w 0"));
    actions.push(Action::ConnectFrom(
        ports(client_address(5), first_port).collect(),
    ));
    actions.push(edit(2, "-w 4 -x 1"));
    actions.push(Action::ConnectFrom(
        ports(client_address(6), first_port).collect(),
    ));
    actions
}

fn ports(client: Ipv4Addr, first: u16) -> impl Iterator<Item = SocketAddrV4> {
    (first..first + 12).map(move |port| SocketAddrV4::new(client, port))
}

fn rescheduled() -> Vec<Action> {
    let mut actions = with_servers("-s wrr", [3, 1, 2]);
    actions.extend((0..4).map(|_| connect(0)));
    for scheduler in ["-s fo", "-s rr", "-s lblc", "-s wrr", "-s sh", "-s wlc"] {
        let service = service(PORTS[0]);
        actions.push(Action::command(&format!("-E {service} {scheduler}")));
        actions.extend([connect(0), connect(1), connect(0)]);
    }
    actions
}

fn thresholds() -> Vec<Action> {
    let mut actions = with_servers("-s rr", [1, 1, 1]);
    actions.push(edit(1, "-x 2 -y 1"));
    actions.push(edit(2, "-x 1"));
    actions.extend((0..6).map(|_| connect(0)));
    actions.push(Action::command("-Ln --thresholds"));
    // A threshold below what is there counts at once, and so does one above it.
    actions.push(edit(0, "-x 2"));
    actions.push(edit(2, "-x 9"));
    actions.extend((0..3).map(|_| connect(1)));
    actions.push(edit(0, "-x 0"));
    actions.extend((0..3).map(|_| connect(1)));
    actions.push(edit(1, "-x 5 -y 6"));
    actions
}
