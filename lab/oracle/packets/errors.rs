//! ICMP, case by case: what the director itself tells senders, and errors of others that it
//! passes on.

use super::cases::{Case, PROTOCOLS};
use super::compare::GUE_PORT;
use super::complaint::Complainant::{Receiver, Router};
use super::complaint::{Complaint, Kind};
use super::network::{End, FAMILIES, Family};
use super::packet::{DONT_FRAGMENT, Packet, chunk};
use super::{Action, Place};

const V4: &[Family] = &[Family::V4];

pub(super) fn all() -> Vec<Case> {
    let case = |name, families, actions| Case {
        name,
        families,
        actions,
    };
    vec![
        case("errors of real servers about NAT", &FAMILIES, of_servers),
        case("errors of clients about NAT", &FAMILIES, of_clients),
        case("errors about direct routing", &FAMILIES, about_direct),
        case(
            "errors about tunnelled connections",
            &FAMILIES,
            about_tunnelled,
        ),
        case("errors about nothing known", &FAMILIES, about_nothing),
        case("no real server to be used", &FAMILIES, nobody),
        case("hops that are used up", &FAMILIES, hops),
        case("packets that are too large", &FAMILIES, too_large),
        case("errors about packets in tunnels", V4, in_tunnels),
    ]
}

/// What is said in either family.
const KINDS: [Kind; 4] = [
    Kind::NoPort,
    Kind::NoHost,
    Kind::TooBig(1290),
    Kind::Expired,
];

/// Where the quote of a packet ends of which there is no more than the ports.
fn shortest(place: Place) -> usize {
    match place.family {
        Family::V4 => 28,
        Family::V6 => 48,
    }
}

/// A service with one real server, so that it is known where packets go.
fn serve(place: Place, protocol: &str, port: u16, server_port: u16, more: &str) -> Vec<Action> {
    let (service, server) = (place.service(protocol, port), place.server(0, server_port));
    vec![
        place.add(protocol, port, "-s rr"),
        Action::Command(format!("-a {service} -r {server} {more}")),
    ]
}

/// The first packet of a connection, and one that follows it there and back.
fn packets(place: Place, protocol: &str, from: u16, port: u16) -> [Packet; 3] {
    let (client, vip) = (place.client(from), place.vip(port));
    match protocol {
        "-t" => [
            Packet::tcp(client, vip, "S"),
            Packet::tcp(client, vip, "PA").payload(30),
            Packet::tcp(vip, client, "PA").payload(41),
        ],
        "-u" => [
            Packet::udp(client, vip).payload(9),
            Packet::udp(client, vip).payload(30),
            Packet::udp(vip, client).payload(41),
        ],
        _ => [
            Packet::sctp(client, vip, chunk::INIT),
            Packet::sctp(client, vip, chunk::DATA),
            Packet::sctp(vip, client, chunk::DATA),
        ],
    }
}

fn of_servers(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for (port, server_port) in [(80, 8080), (81, 81)] {
        for protocol in PROTOCOLS {
            actions.extend(serve(place, protocol, port, server_port, "-m"));
            let [first, next, _] = packets(place, protocol, 2000, port);
            actions.push(Action::Send(first));
            let mut kinds = KINDS.to_vec();
            kinds.push(Kind::BadHeader);
            if place.family == Family::V4 {
                kinds.extend([Kind::SourceQuench, Kind::Redirect]);
            }
            for kind in kinds {
                // The last may have been an answer.
                actions.push(Action::Send(next.clone()));
                for by in [Receiver, Router] {
                    let complaint = Complaint::new(End::Servers, by, kind);
                    actions.push(Action::Complain(complaint.clone()));
                    let short = complaint.quoting(shortest(place));
                    actions.push(Action::Complain(short));
                }
            }
        }
    }
    actions
}

fn of_clients(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for protocol in PROTOCOLS {
        actions.extend(serve(place, protocol, 80, 8080, "-m"));
        let [first, next, back] = packets(place, protocol, 2000, 80);
        actions.push(Action::Send(first));
        actions.push(Action::Send(next));
        actions.push(Action::Answer(back));
        for kind in KINDS {
            for by in [Receiver, Router] {
                let complaint = Complaint::new(End::Clients, by, kind);
                actions.push(Action::Complain(complaint.clone()));
                let short = complaint.quoting(shortest(place));
                actions.push(Action::Complain(short));
            }
        }
    }
    actions
}

/// Errors of clients about what real servers have sent past the director.
fn past_the_director(place: Place, port: u16, more: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    for protocol in ["-t", "-u"] {
        actions.extend(serve(place, protocol, port, port, more));
        let [first, next, back] = packets(place, protocol, 2000, port);
        actions.push(Action::Send(first));
        actions.push(Action::Send(next));
        for kind in KINDS {
            for by in [Receiver, Router] {
                let complaint = Complaint::new(End::Clients, by, kind).about(back.clone());
                actions.push(Action::Complain(complaint.clone()));
                let short = complaint.quoting(shortest(place));
                actions.push(Action::Complain(short));
            }
        }
    }
    actions
}

fn about_direct(place: Place) -> Vec<Action> {
    past_the_director(place, 80, "-g")
}

/// The kinds of tunnels, each with a port of its own.
fn tunnels() -> [(u16, String); 3] {
    [
        (80, "-i".to_owned()),
        (81, "-i --tun-type gre".to_owned()),
        (82, format!("-i --tun-type gue --tun-port {GUE_PORT}")),
    ]
}

fn about_tunnelled(place: Place) -> Vec<Action> {
    tunnels()
        .iter()
        .flat_map(|(port, more)| past_the_director(place, *port, more))
        .collect()
}

fn about_nothing(place: Place) -> Vec<Action> {
    let mut actions = serve(place, "-t", 80, 8080, "-m");
    let [first, _, back] = packets(place, "-t", 2000, 80);
    let stranger = packets(place, "-t", 2999, 80)[2].clone();
    actions.push(Action::Send(first));
    actions.push(Action::Answer(back));
    let complain = |packet| {
        let complaint = Complaint::new(End::Clients, Router, Kind::NoPort);
        Action::Complain(complaint.about(packet))
    };
    actions.push(complain(stranger.clone()));
    let other_service = packets(place, "-t", 2000, 81)[2].clone();
    actions.push(complain(other_service));
    // Too short to have ports.
    let about_first = Complaint::new(End::Clients, Router, Kind::NoPort);
    let too_short = about_first.quoting(shortest(place) - 6);
    actions.push(Action::Complain(too_short));
    actions
}

fn nobody(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for protocol in PROTOCOLS {
        actions.push(place.add(protocol, 80, "-s rr"));
        actions.extend(serve(place, protocol, 81, 81, "-m -w 0"));
        actions.extend(serve(place, protocol, 82, 82, "-g -w 0"));
        for port in [80, 81, 82] {
            let [first, next, _] = packets(place, protocol, 2000, port);
            actions.push(Action::Send(first));
            actions.push(Action::Send(next.class(0xb8)));
        }
    }
    actions
}

fn methods() -> Vec<(u16, String)> {
    let mut methods = vec![(83, "-m".to_owned()), (84, "-g".to_owned())];
    methods.extend(tunnels());
    methods
}

fn hops(place: Place) -> Vec<Action> {
    let mut actions = vec![Action::NoStatistics];
    for (port, more) in methods() {
        for protocol in ["-t", "-u"] {
            actions.extend(serve(place, protocol, port, port, &more));
            let [first, next, _] = packets(place, protocol, 2000, port);
            // Of a connection that it opens, and of one that is there.
            actions.push(Action::Send(first.clone().hops(1)));
            actions.push(Action::Send(first));
            actions.push(Action::Send(next.clone().hops(1)));
            actions.push(Action::Send(next.hops(2)));
        }
    }
    actions
}

fn too_large(place: Place) -> Vec<Action> {
    /// What goes out towards the real servers.
    const MTU: u16 = 1400;
    let mut actions = vec![Action::NoStatistics];
    for (port, more) in methods() {
        for protocol in ["-t", "-u"] {
            actions.extend(serve(place, protocol, port, port, &more));
        }
    }
    actions.push(Action::Mtu(MTU));
    for (port, _) in methods() {
        for protocol in ["-t", "-u"] {
            let [first, next, _] = packets(place, protocol, 2000, port);
            actions.push(Action::Send(first));
            // With headers of 60 octets at the most, and up to 40 of a tunnel.
            for length in [1200, 1301, 1341, 1381, 1420] {
                let packet = next.clone().fragment(DONT_FRAGMENT).payload(length);
                actions.push(Action::Send(packet));
            }
            if protocol == "-u" {
                let [first, ..] = packets(place, protocol, 2001, port);
                actions.push(Action::Send(first.payload(1420)));
            }
        }
    }
    actions
}

fn in_tunnels(place: Place) -> Vec<Action> {
    let mut actions = vec![Action::NoStatistics];
    for (port, more) in tunnels() {
        for protocol in ["-t", "-u"] {
            actions.extend(serve(place, protocol, port, port, &more));
            let [first, next, _] = packets(place, protocol, 2000, port);
            actions.push(Action::Send(first));
            actions.push(Action::Send(next));
            let complain = |by, kind| Complaint::new(End::Servers, by, kind);
            for (by, kind) in [
                (Router, Kind::NoHost),
                (Receiver, Kind::NoPort),
                (Router, Kind::Expired),
            ] {
                actions.push(Action::Complain(complain(by, kind)));
                // Nobody can tell whose packet it was.
                actions.push(Action::Complain(complain(by, kind).quoting(28)));
            }
        }
        // The kernel tells a client of it when its next packet is too large, elver at once.
        // Before there is a tunnel of another kind to the same real server: the kernel looks
        // at errors of one kind only.
        let [_, next, _] = packets(place, "-t", 2000, port);
        actions.push(Action::Send(next.clone()));
        let complaint = Complaint::new(End::Servers, Router, Kind::TooBig(1300));
        actions.push(Action::Complain(complaint.uncompared()));
        actions.push(Action::Send(next.fragment(DONT_FRAGMENT).payload(1320)));
    }
    actions
}
