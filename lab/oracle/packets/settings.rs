//! What IPVS does only where a setting says so: `net.ipv4.vs.*` there, `[ipvs]` of `elver.toml`
//! here.

use super::cases::Case;
use super::complaint::Complainant::Router;
use super::complaint::{Complaint, Kind};
use super::network::{End, FAMILIES, Family};
use super::packet::{Packet, chunk};
use super::walks::tcp;
use super::{Action, Place};

const V4: &[Family] = &[Family::V4];

pub(super) fn all() -> Vec<Case> {
    let case = |name, families, actions| Case {
        name,
        families,
        actions,
    };
    vec![
        case("secure_tcp by NAT", V4, secure_by_nat),
        case("secure_tcp by direct routing", V4, secure_direct),
        case("drop_packet", &FAMILIES, dropped),
        case("nat_icmp_send", &FAMILIES, strays),
        case("schedule_icmp", &FAMILIES, opening_errors),
        case("backup_only", V4, standby),
        case("sloppy_tcp and sloppy_sctp", V4, sloppy),
        case("conn_reuse_mode", V4, reuse),
        case("expire_nodest_conn", V4, expire_nodest),
    ]
}

fn secured(mut actions: Vec<Action>) -> Vec<Action> {
    actions.insert(0, Action::Set("secure_tcp", "3"));
    actions
}

fn secure_by_nat(place: Place) -> Vec<Action> {
    secured(tcp(
        place,
        "-m",
        &[
            ">S >S <SA >A >PA <PA >FA <A <FA >A",
            ">S <SA >A >A <A <FA >A >FA <A",
            ">S <SA >A <A >FA <FA >A >S",
            ">S <SA >R",
            ">S <SA >A <R",
            ">S >A >A",
            ">S <SA <FA",
            ">S >FA",
            ">S <S <SA >A",
        ],
    ))
}

fn secure_direct(place: Place) -> Vec<Action> {
    secured(tcp(
        place,
        "-g",
        &[
            ">S >A >PA >FA >A",
            ">S >S >A >R",
            ">S >FA >A >S",
            ">S >R >A",
        ],
    ))
}

/// A service of one protocol with one real server.
fn serve(place: Place, protocol: &str, method: &str) -> Vec<Action> {
    let (service, server) = (place.service(protocol, 80), place.server(0, 8080));
    vec![
        place.add(protocol, 80, "-s rr"),
        Action::Command(format!("-a {service} -r {server} {method}")),
    ]
}

fn dropped(place: Place) -> Vec<Action> {
    let mut actions = vec![
        Action::Set("am_droprate", "3"),
        Action::Set("drop_packet", "3"),
    ];
    for protocol in ["-t", "-u"] {
        actions.extend(serve(place, protocol, "-m"));
    }
    for from in 2000..2012 {
        let packet = Packet::tcp(place.client(from), place.vip(80), "S");
        actions.push(Action::Send(packet));
    }
    for from in 2000..2006 {
        let packet = Packet::udp(place.client(from), place.vip(80)).payload(3);
        actions.push(Action::Send(packet));
    }
    actions
}

fn strays(place: Place) -> Vec<Action> {
    let mut actions = vec![Action::Set("nat_icmp_send", "1")];
    for protocol in ["-t", "-u"] {
        actions.extend(serve(place, protocol, "-m"));
    }
    let (client, server) = (place.client(2000), place.server(0, 8080));
    let (elsewhere, other) = (place.server(1, 8080), place.server(0, 8081));
    for packet in [
        Packet::tcp(server, client, "A"),
        Packet::tcp(server, client, "S"),
        Packet::tcp(server, client, "FA").payload(7),
        Packet::tcp(server, client, "RA"),
        Packet::udp(server, client).payload(30),
        Packet::tcp(other, client, "A"),
        Packet::tcp(elsewhere, client, "A"),
        Packet::sctp(server, client, chunk::DATA),
    ] {
        actions.push(Action::Stray(packet));
    }
    actions
}

fn opening_errors(place: Place) -> Vec<Action> {
    let mut actions = vec![Action::Set("schedule_icmp", "1")];
    for protocol in ["-t", "-u"] {
        actions.extend(serve(place, protocol, "-m"));
    }
    let vip = place.vip(80);
    for (from, kind) in (2000..).zip([Kind::NoPort, Kind::NoHost, Kind::TooBig(1290)]) {
        let client = place.client(from);
        let complain = |about| {
            let complaint = Complaint::new(End::Clients, Router, kind);
            Action::Complain(complaint.about(about))
        };
        // What the client sends next goes the same way; by TCP at once, since its connection
        // has no state yet, in which it lasts two seconds.
        actions.push(complain(Packet::tcp(vip, client, "A").payload(9)));
        actions.push(Action::Send(Packet::tcp(client, vip, "A")));
        actions.push(complain(Packet::udp(vip, client).payload(9)));
        actions.push(Action::Tables);
        actions.push(Action::Send(Packet::udp(client, vip).payload(1)));
    }
    let other = Packet::tcp(place.vip(81), place.client(2000), "A");
    let complaint = Complaint::new(End::Clients, Router, Kind::NoPort);
    actions.push(Action::Complain(complaint.about(other)));
    actions
}

fn standby(place: Place) -> Vec<Action> {
    let mut actions = serve(place, "-u", "-m");
    actions.push(Action::Set("backup_only", "1"));
    let send = |from| Action::Send(Packet::udp(place.client(from), place.vip(80)).payload(3));
    actions.push(send(2000));
    let daemon = "backup --mcast-interface back --syncid 7";
    actions.push(Action::Command(format!("--start-daemon {daemon}")));
    actions.push(send(2001));
    actions.push(Action::Command("--stop-daemon backup".to_owned()));
    actions.push(send(2002));
    actions
}

fn sloppy(place: Place) -> Vec<Action> {
    let mut actions = vec![
        Action::Set("sloppy_tcp", "1"),
        Action::Set("sloppy_sctp", "1"),
    ];
    for protocol in ["-t", "--sctp-service"] {
        actions.extend(serve(place, protocol, "-m"));
    }
    for (from, flags) in (2000..).zip(["A", "PA", "FA", "RA", "SA"]) {
        let packet = Packet::tcp(place.client(from), place.vip(80), flags);
        actions.push(Action::Send(packet));
    }
    for (from, kind) in (2000..).zip([chunk::DATA, chunk::COOKIE_ECHO, chunk::ABORT]) {
        let packet = Packet::sctp(place.client(from), place.vip(80), kind);
        actions.push(Action::Send(packet));
    }
    actions
}

fn reuse(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for mode in ["0", "1", "2", "3"] {
        actions.push(Action::Command("-C".to_owned()));
        actions.push(Action::Set("conn_reuse_mode", mode));
        actions.push(place.add("-t", 80, "-s rr"));
        actions.extend(place.add_servers("-t", 80, 80, "-g"));
        let from: u16 = mode.parse().expect("a digit");
        for (number, walk) in (0..).zip([&["S", "A", "FA", "S"][..], &["S", "A", "FA", "R", "S"]]) {
            let client = place.client(2000 + 10 * from + number);
            for flags in walk {
                actions.push(Action::Send(Packet::tcp(client, place.vip(80), flags)));
            }
        }
        actions.push(Action::Tables);
    }
    actions
}

fn expire_nodest(place: Place) -> Vec<Action> {
    let mut actions = vec![Action::Set("expire_nodest_conn", "1")];
    actions.push(place.add("-u", 80, "-s rr"));
    actions.extend(place.add_servers("-u", 80, 80, "-m"));
    let send = |from| Action::Send(Packet::udp(place.client(from), place.vip(80)).payload(3));
    actions.extend((2000..2003).map(send));
    let (service, server) = (place.service("-u", 80), place.server(0, 80));
    actions.push(Action::Command(format!("-d {service} -r {server}")));
    actions.extend((2000..2003).map(send));
    actions
}
