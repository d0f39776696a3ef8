//! What connections become, packet by packet: the tables are compared after each.

use super::cases::Case;
use super::network::{FAMILIES, Family};
use super::packet::{Packet, chunk};
use super::{Action, Place};

pub(super) fn all() -> Vec<Case> {
    let case = |name, families, actions| Case {
        name,
        families,
        actions,
    };
    vec![
        case("states of TCP by NAT", &FAMILIES, tcp_by_nat),
        case("states of TCP by direct routing", &[Family::V4], tcp_direct),
        case(
            "states of TCP through tunnels",
            &[Family::V6],
            tcp_tunnelled,
        ),
        case("states of SCTP by NAT", &[Family::V4], sctp_by_nat),
        case(
            "states of SCTP by direct routing",
            &[Family::V4],
            sctp_direct,
        ),
    ]
}

/// Packets of one connection after the other: what the client sends is written `>S`, what the
/// real server sends `<SA`.
pub(super) fn tcp(place: Place, method: &str, walks: &[&str]) -> Vec<Action> {
    let vip = place.vip(80);
    let mut actions = vec![place.add("-t", 80, "-s rr")];
    actions.extend(place.add_servers("-t", 80, 80, method));
    // All walks go on at once, so that the tables, which are slow to read, are read once for
    // all of them.
    let walks: Vec<Vec<&str>> = walks
        .iter()
        .map(|walk| walk.split_whitespace().collect())
        .collect();
    let longest = walks.iter().map(Vec::len).max().unwrap_or(0);
    for step in 0..longest {
        for (number, walk) in (0..).zip(&walks) {
            let client = place.client(2000 + number);
            match walk.get(step).map(|word| word.split_at(1)) {
                Some((">", flags)) => actions.push(Action::Send(Packet::tcp(client, vip, flags))),
                Some(("<", flags)) => actions.push(Action::Answer(Packet::tcp(vip, client, flags))),
                Some(other) => panic!("{other:?} is no packet"),
                None => {}
            }
        }
        actions.push(Action::Tables);
    }
    actions
}

fn tcp_by_nat(place: Place) -> Vec<Action> {
    tcp(
        place,
        "-m",
        &[
            ">S >S <SA >A >PA <PA >FA <A <FA >A",
            ">S <SA >A <FA >A >FA <A",
            ">S <SA >A >FA <FA >A >S",
            ">S <SA >R",
            ">S <SA >A <R",
            ">S <R",
            ">S >A",
            ">S <SA <FA",
            ">S >FA",
            ">S <SA >A >RA >A",
            ">S <S <SA >A",
            ">SA <A >A",
            ">SPA <SA >A",
            ">S <SA >A >FA <RA",
        ],
    )
}

fn one_way() -> [&'static str; 6] {
    [
        ">S >A >PA >FA >A",
        ">S >S >A >R",
        ">S >FA >A >S",
        ">S >R >A",
        ">SA >A >FA",
        ">S >A >FA >R >S",
    ]
}

fn tcp_direct(place: Place) -> Vec<Action> {
    tcp(place, "-g", &one_way())
}

fn tcp_tunnelled(place: Place) -> Vec<Action> {
    tcp(place, "-i", &one_way())
}

/// One connection with these chunks: `true` is what the client sends.
fn sctp(place: Place, method: &str, walks: &[&[(bool, u8)]]) -> Vec<Action> {
    let (protocol, vip) = ("--sctp-service", place.vip(80));
    let mut actions = vec![place.add(protocol, 80, "-s rr")];
    actions.extend(place.add_servers(protocol, 80, 80, method));
    let longest = walks.iter().map(|walk| walk.len()).max().unwrap_or(0);
    for step in 0..longest {
        for (number, walk) in (0..).zip(walks) {
            let client = place.client(2000 + number);
            match walk.get(step) {
                Some((true, chunk)) => {
                    actions.push(Action::Send(Packet::sctp(client, vip, *chunk)));
                }
                Some((false, chunk)) => {
                    actions.push(Action::Answer(Packet::sctp(vip, client, *chunk)));
                }
                None => {}
            }
        }
        actions.push(Action::Tables);
    }
    actions
}

fn sctp_by_nat(place: Place) -> Vec<Action> {
    let begin = [
        (true, chunk::INIT),
        (false, chunk::INIT_ACK),
        (true, chunk::COOKIE_ECHO),
        (false, chunk::COOKIE_ACK),
    ];
    let shut_by_client = [
        (true, chunk::SHUTDOWN),
        (false, chunk::SHUTDOWN_ACK),
        (true, chunk::SHUTDOWN_COMPLETE),
    ];
    let shut_by_server = [
        (false, chunk::SHUTDOWN),
        (true, chunk::SHUTDOWN_ACK),
        (false, chunk::SHUTDOWN_COMPLETE),
    ];
    sctp(
        place,
        "-m",
        &[
            &[&begin[..], &shut_by_client].concat(),
            &[&begin[..], &shut_by_server].concat(),
            &[&begin[..], &[(true, chunk::ABORT), (true, chunk::INIT)]].concat(),
            &[&begin[..], &[(false, chunk::ABORT)]].concat(),
            &[
                (true, chunk::INIT),
                (true, chunk::INIT),
                (false, chunk::ABORT),
            ],
            &[
                (true, chunk::INIT),
                (false, chunk::INIT),
                (true, chunk::DATA),
            ],
        ],
    )
}

fn sctp_direct(place: Place) -> Vec<Action> {
    sctp(
        place,
        "-g",
        &[
            &[
                (true, chunk::INIT),
                (true, chunk::COOKIE_ECHO),
                (true, chunk::DATA),
                (true, chunk::SHUTDOWN),
                (true, chunk::SHUTDOWN_COMPLETE),
            ],
            &[
                (true, chunk::INIT),
                (true, chunk::COOKIE_ECHO),
                (true, chunk::SHUTDOWN_ACK),
            ],
            &[
                (true, chunk::INIT),
                (true, chunk::ABORT),
                (true, chunk::INIT),
            ],
            &[(true, chunk::INIT), (true, chunk::COOKIE_ACK)],
        ],
    )
}
