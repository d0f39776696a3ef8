//! Frames from a seed: a few flows over a few services.

use super::cases::PROTOCOLS;
use super::compare::GUE_PORT;
use super::network::SERVERS;
use super::packet::{DONT_FRAGMENT, Packet, chunk};
use super::{Action, Place};
use crate::random::Random;

/// How many flows there are of each protocol to each service.
const FLOWS: usize = 4;
/// Settings of IPVS, with values.
const SETTINGS: [(&str, &[&str]); 5] = [
    ("conn_reuse_mode", &["0", "1", "2", "3"]),
    ("expire_nodest_conn", &["0", "1"]),
    ("secure_tcp", &["0", "3"]),
    ("sloppy_tcp", &["0", "1"]),
    ("sloppy_sctp", &["0", "1"]),
];
/// The ports of the services.
const PORTS: [u16; 3] = [80, 81, 82];

/// So many actions: settings, services of each protocol, by a method that is drawn, with every
/// real server, and then packets of their flows, between which real servers come, go and change.
pub(super) fn actions(random: &mut Random, place: Place, count: usize) -> Vec<Action> {
    let gue = format!("-i --tun-type gue --tun-port {GUE_PORT}");
    let mut actions = Vec::new();
    for (setting, values) in SETTINGS {
        if random.below(2) == 0 {
            actions.push(Action::Set(setting, random.one_of(values)));
        }
    }
    let mut servers = Vec::new();
    for protocol in PROTOCOLS {
        for port in PORTS {
            // None that counts connections: one that gives way to a new one counts for IPVS until
            // a timer has run, which may be before or after the new one is scheduled.
            let scheduler = random.one_of(&["-s rr", "-s wrr", "-s sh", "-s rr -p 600"]);
            let (method, server_port) = random.one_of(&[
                ("-m", port),
                ("-m", port),
                ("-m", 8000 + port),
                ("-m", 8000 + port),
                ("-g", port),
                ("-i", port),
                ("-i --tun-type gre", port),
                (&gue, port),
            ]);
            actions.push(place.add(protocol, port, scheduler));
            actions.extend(place.add_servers(protocol, port, server_port, method));
            servers.extend((0..SERVERS).map(|number| {
                let server = place.server(number, server_port);
                let service = place.service(protocol, port);
                (format!("{service} -r {server}"), method.to_owned())
            }));
        }
    }
    actions.extend((0..count).map(|_| match random.below(15) {
        0 => change(random, &servers),
        _ => packet(random, place),
    }));
    actions
}

/// A real server of a service comes, goes, or gets another weight.
fn change(random: &mut Random, servers: &[(String, String)]) -> Action {
    let (server, method) = &servers[random.below(servers.len())];
    let weight = random.below(4);
    Action::Command(match random.below(4) {
        0 => format!("-d {server}"),
        1 => format!("-a {server} {method} -w {weight}"),
        _ => format!("-e {server} {method} -w {weight}"),
    })
}

fn packet(random: &mut Random, place: Place) -> Action {
    let client = place.client(2000 + random.below(FLOWS) as u16);
    let vip = place.vip(random.one_of(&PORTS));
    let is_answer = random.below(3) == 0;
    let (source, destination) = if is_answer {
        (vip, client)
    } else {
        (client, vip)
    };
    let packet = match random.below(4) {
        0 | 1 => {
            let flags = [
                "S", "S", "S", "SA", "SA", "A", "A", "PA", "PA", "FA", "FA", "R", "RA",
            ];
            let packet = Packet::tcp(source, destination, random.one_of(&flags));
            packet.payload(random.one_of(&[0, 0, 1, 100]))
        }
        2 => Packet::udp(source, destination).payload(random.below(200)),
        _ => Packet::sctp(
            source,
            destination,
            random.one_of(&[
                chunk::INIT,
                chunk::INIT,
                chunk::INIT_ACK,
                chunk::COOKIE_ECHO,
                chunk::COOKIE_ACK,
                chunk::DATA,
                chunk::SHUTDOWN,
                chunk::SHUTDOWN_ACK,
                chunk::SHUTDOWN_COMPLETE,
                chunk::ABORT,
            ]),
        ),
    };
    let packet = packet
        .class(random.below(256) as u8)
        .hops(2 + random.below(254) as u8)
        .id(random.below(0x10000) as u16)
        .fragment(random.one_of(&[0, DONT_FRAGMENT]));
    if is_answer {
        Action::Answer(packet)
    } else {
        Action::Send(packet)
    }
}
