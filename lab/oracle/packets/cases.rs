//! Forwarding methods and fields of headers, case by case.

use super::compare::GUE_PORT;
use super::network::{FAMILIES, Family, SERVERS};
use super::packet::{DONT_FRAGMENT, Packet, SCTP, chunk};
use super::{Action, Place};

/// A run that has a name, in one family or in both.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) families: &'static [Family],
    pub(super) actions: fn(Place) -> Vec<Action>,
}

const V4: &[Family] = &[Family::V4];
const V6: &[Family] = &[Family::V6];

pub(super) fn all() -> Vec<Case> {
    let case = |name, families, actions| Case {
        name,
        families,
        actions,
    };
    vec![
        case("NAT there and back", &FAMILIES, nat),
        case("NAT to another port", &FAMILIES, nat_to_another_port),
        case("NAT of unusual IPv4 headers", V4, ipv4_fields),
        case("NAT of options", V4, ipv4_options),
        case(
            "NAT of traffic classes and hop limits",
            &FAMILIES,
            class_and_hops,
        ),
        case("NAT of lengths", &FAMILIES, lengths),
        case("NAT of padded frames", &FAMILIES, padding),
        case("NAT of wrong checksums", &FAMILIES, corrupt),
        case("NAT of UDP without a checksum", V4, unchecked),
        case("direct routing", &FAMILIES, direct),
        case("ipip", &FAMILIES, ipip),
        case("gre", &FAMILIES, gre),
        case("gre with a checksum", &FAMILIES, gre_with_checksum),
        case("gue with a checksum", &FAMILIES, gue_with_checksum),
        case("gue", &FAMILIES, gue),
        case("tunnels to the other family", &FAMILIES, crossed),
        case("tunnels and padding", &FAMILIES, padded_tunnels),
        case("a firewall mark", &FAMILIES, mark),
        case("a persistent firewall mark", &FAMILIES, persistent_mark),
        case("persistence over ports", &FAMILIES, persistence),
        case("persistence of networks", V4, persistence_of_networks),
        case("persistence of prefixes", V6, persistence_of_prefixes),
        case("one-packet scheduling", &FAMILIES, one_packet),
        case("weight 0", &FAMILIES, weight_zero),
        case("a removed real server", &FAMILIES, removed),
        case("a removed service", V4, removed_service),
        case("connections that are used again", &FAMILIES, reused),
        case("packets that open nothing", &FAMILIES, not_first),
    ]
}

impl Place {
    /// A service: `-t`, `-u` or `--sctp-service` with its port.
    pub(super) fn service(self, protocol: &str, port: u16) -> String {
        format!("{protocol} {}", self.vip(port))
    }

    /// Adds a service with these options.
    pub(super) fn add(self, protocol: &str, port: u16, more: &str) -> Action {
        Action::Command(format!("-A {} {more}", self.service(protocol, port)))
    }

    /// Adds real servers to a service.
    pub(super) fn add_servers(
        self,
        protocol: &str,
        port: u16,
        server_port: u16,
        more: &str,
    ) -> Vec<Action> {
        let service = self.service(protocol, port);
        (0..SERVERS)
            .map(|number| {
                let server = self.server(number, server_port);
                Action::Command(format!("-a {service} -r {server} {more}"))
            })
            .collect()
    }
}

/// The protocols, as ipvsadm names services of them.
pub(super) const PROTOCOLS: [&str; 3] = ["-t", "-u", "--sctp-service"];

/// Services of all protocols on a port, with every real server.
fn services(place: Place, port: u16, server_port: u16, more: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    for protocol in PROTOCOLS {
        actions.push(place.add(protocol, port, "-s rr"));
        actions.extend(place.add_servers(protocol, port, server_port, more));
    }
    actions
}

/// A connection of each protocol from these ports, there and, where the real server answers
/// through the director, back.
fn conversations(place: Place, ports: std::ops::Range<u16>, port: u16, both: bool) -> Vec<Action> {
    let vip = place.vip(port);
    let mut actions = Vec::new();
    for from in ports {
        let client = place.client(from);
        let there = |packet| Action::Send(packet);
        let back = |packet| both.then_some(Action::Answer(packet));
        let tcp = |flags| there(Packet::tcp(client, vip, flags));
        let tcp_back = |flags| back(Packet::tcp(vip, client, flags));
        actions.push(tcp("S"));
        actions.extend(tcp_back("SA"));
        actions.push(tcp("A"));
        actions.push(there(Packet::tcp(client, vip, "PA").payload(100)));
        actions.extend(back(Packet::tcp(vip, client, "PA").payload(333)));
        actions.push(tcp("FA"));
        actions.extend(tcp_back("FA"));
        actions.push(tcp("A"));
        actions.push(there(Packet::udp(client, vip).payload(5)));
        actions.extend(back(Packet::udp(vip, client).payload(64)));
        actions.push(there(Packet::udp(client, vip)));
        let sctp = |chunk| there(Packet::sctp(client, vip, chunk));
        let sctp_back = |chunk| back(Packet::sctp(vip, client, chunk));
        actions.push(sctp(chunk::INIT));
        actions.extend(sctp_back(chunk::INIT_ACK));
        actions.push(sctp(chunk::COOKIE_ECHO));
        actions.extend(sctp_back(chunk::COOKIE_ACK));
        actions.push(sctp(chunk::DATA));
        actions.extend(sctp_back(chunk::DATA));
        actions.push(sctp(chunk::SHUTDOWN));
        actions.extend(sctp_back(chunk::SHUTDOWN_ACK));
        actions.push(sctp(chunk::SHUTDOWN_COMPLETE));
    }
    actions
}

fn nat(place: Place) -> Vec<Action> {
    let mut actions = services(place, 80, 80, "-m");
    actions.extend(conversations(place, 2000..2004, 80, true));
    actions
}

fn nat_to_another_port(place: Place) -> Vec<Action> {
    let mut actions = services(place, 80, 8080, "-m");
    actions.extend(conversations(place, 2000..2003, 80, true));
    actions
}

/// Packets of one established connection and of one that each opens, changed by `change`;
/// there and back.
fn varied(place: Place, number: u16, change: impl Fn(Packet) -> Packet) -> Vec<Action> {
    let (old, new, vip) = (
        place.client(2000),
        place.client(3000 + number),
        place.vip(80),
    );
    vec![
        Action::Send(change(Packet::tcp(old, vip, "A").payload(20))),
        Action::Answer(change(Packet::tcp(vip, old, "A").payload(31))),
        Action::Send(change(Packet::udp(new, vip).payload(9))),
        Action::Answer(change(Packet::udp(vip, new).payload(10))),
    ]
}

/// [`varied`] needs these.
fn opened(place: Place, more: &str) -> Vec<Action> {
    let (client, vip) = (place.client(2000), place.vip(80));
    let mut actions = services(place, 80, 8080, more);
    actions.push(Action::Send(Packet::tcp(client, vip, "S")));
    actions.push(Action::Answer(Packet::tcp(vip, client, "SA")));
    actions
}

fn ipv4_fields(place: Place) -> Vec<Action> {
    let mut actions = opened(place, "-m");
    let fields = [
        (0, DONT_FRAGMENT),
        (0, 0),
        (1, 0),
        (0xffff, 0),
        (0xffff, DONT_FRAGMENT),
        // The reserved bit.
        (0x4321, 0x8000),
    ];
    for (number, (id, fragment)) in (0..).zip(fields) {
        actions.extend(varied(place, number, |packet| {
            packet.id(id).fragment(fragment)
        }));
    }
    actions
}

fn ipv4_options(place: Place) -> Vec<Action> {
    let mut actions = opened(place, "-m");
    let options: [&[u8]; 4] = [
        // No operations and an end of the list.
        &[1, 1, 1, 0],
        // A router alert (RFC 2113).
        &[148, 4, 0, 0],
        // An unknown option, of the greatest length.
        &[
            0x5e, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
            22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
        ],
        // A stream identifier (RFC 791).
        &[136, 4, 0, 7],
    ];
    for (number, options) in (0..).zip(options) {
        actions.extend(varied(place, number, |packet| packet.options(options)));
    }
    actions
}

fn class_and_hops(place: Place) -> Vec<Action> {
    let mut actions = opened(place, "-m");
    let fields = [(0, 2), (1, 255), (2, 128), (3, 64), (0xb8, 2), (0xff, 3)];
    for (number, (class, hops)) in (0..).zip(fields) {
        actions.extend(varied(place, number, |packet| {
            packet.class(class).hops(hops)
        }));
    }
    actions
}

fn lengths(place: Place) -> Vec<Action> {
    let mut actions = opened(place, "-m");
    for (number, length) in (0..).zip([0, 1, 2, 3, 255, 256, 1000, 1399]) {
        actions.extend(varied(place, number, |packet| packet.payload(length)));
    }
    actions
}

fn padding(place: Place) -> Vec<Action> {
    let (client, vip) = (place.client(2000), place.vip(80));
    let mut actions = opened(place, "-m");
    for packet in [
        Packet::tcp(client, vip, "A"),
        Packet::tcp(client, vip, "A").payload(3),
        Packet::udp(client, vip).payload(2),
        Packet::udp(client, vip).payload(3),
        Packet::sctp(client, vip, chunk::INIT),
    ] {
        actions.push(Action::SendPadded(packet));
    }
    actions
}

fn corrupt(place: Place) -> Vec<Action> {
    let client = place.client(2000);
    let mut actions = opened(place, "-m");
    actions.extend(varied(place, 0, Packet::corrupt));
    // Where IPVS changes the port of SCTP it computes the checksum, which was wrong, anew.
    let (service, server) = (place.service("--sctp-service", 81), place.server(0, 81));
    let vip = place.vip(81);
    actions.push(place.add("--sctp-service", 81, "-s rr"));
    actions.push(Action::Command(format!("-a {service} -r {server} -m")));
    actions.push(Action::Send(
        Packet::sctp(client, vip, chunk::INIT).corrupt(),
    ));
    actions.push(Action::Answer(
        Packet::sctp(vip, client, chunk::INIT_ACK).corrupt(),
    ));
    actions
}

fn unchecked(place: Place) -> Vec<Action> {
    let (client, vip) = (place.client(2000), place.vip(80));
    let mut actions = opened(place, "-m");
    for length in [0, 1, 2, 99] {
        actions.push(Action::Send(
            Packet::udp_unchecked(client, vip).payload(length),
        ));
        actions.push(Action::Answer(
            Packet::udp_unchecked(vip, client).payload(length),
        ));
    }
    actions
}

/// Packets of every kind that a client sends, where answers do not pass.
fn outward(place: Place, more: &str) -> Vec<Action> {
    let mut actions = outward_with_right_checksums(place, more);
    let (client, vip) = (place.client(2100), place.vip(80));
    actions.push(Action::Send(Packet::tcp(client, vip, "A").corrupt()));
    actions
}

/// Of a packet with a wrong checksum the sum is not what the others' is, from which elver
/// computes a tunnel's checksum.
fn outward_with_right_checksums(place: Place, more: &str) -> Vec<Action> {
    let vip = place.vip(80);
    let mut actions = services(place, 80, 80, more);
    actions.extend(conversations(place, 2000..2003, 80, false));
    let client = place.client(2100);
    actions.push(Action::Send(Packet::tcp(client, vip, "S")));
    for class in [0, 1, 2, 3, 0x12, 0xb8, 0xff] {
        for (id, fragment) in [(0x77, DONT_FRAGMENT), (0x78, 0)] {
            let packet = Packet::tcp(client, vip, "A").payload(17);
            actions.push(Action::Send(packet.class(class).id(id).fragment(fragment)));
        }
    }
    for hops in [2, 3, 255] {
        actions.push(Action::Send(Packet::tcp(client, vip, "A").hops(hops)));
    }
    for length in [0, 1, 2, 700] {
        actions.push(Action::Send(Packet::udp(client, vip).payload(length)));
    }
    if place.family == Family::V4 {
        actions.push(Action::Send(Packet::udp_unchecked(client, vip).payload(7)));
        let packet = Packet::udp(client, vip).payload(7);
        actions.push(Action::Send(packet.options(&[148, 4, 0, 0])));
    }
    actions
}

/// What comes back with its service has connections, and counts from 0.
fn removed_service(place: Place) -> Vec<Action> {
    let mut actions = opened(place, "-m");
    actions.push(Action::Tables);
    actions.push(Action::Command(format!("-D {}", place.service("-t", 80))));
    actions.push(Action::Tables);
    actions.push(place.add("-t", 80, "-s rr"));
    actions.extend(place.add_servers("-t", 80, 8080, "-m"));
    actions.push(Action::Tables);
    let packet = Packet::tcp(place.client(2000), place.vip(80), "A");
    actions.push(Action::Send(packet));
    actions
}

fn direct(place: Place) -> Vec<Action> {
    outward(place, "-g")
}

fn ipip(place: Place) -> Vec<Action> {
    outward(place, "-i")
}

fn gre(place: Place) -> Vec<Action> {
    outward(place, "-i --tun-type gre")
}

fn gue(place: Place) -> Vec<Action> {
    outward(place, &format!("-i --tun-type gue --tun-port {GUE_PORT}"))
}

fn gre_with_checksum(place: Place) -> Vec<Action> {
    with_checksum(place, "-i --tun-type gre --tun-csum")
}

/// All but SCTP, which has no sum that a tunnel's could be computed from: elver lets it go without.
fn with_checksum(place: Place, more: &str) -> Vec<Action> {
    let mut actions = outward_with_right_checksums(place, more);
    actions.retain(|action| !matches!(action, Action::Send(packet) if packet.protocol() == SCTP));
    actions
}

fn gue_with_checksum(place: Place) -> Vec<Action> {
    let more = format!("-i --tun-type gue --tun-port {GUE_PORT} --tun-csum");
    with_checksum(place, &more)
}

/// Real servers of the other family than the service.
fn crossed(place: Place) -> Vec<Action> {
    let other = match place.family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    let mut actions = Vec::new();
    for (port, more) in [
        (80, "-i".to_owned()),
        (81, "-i --tun-type gre".to_owned()),
        (82, format!("-i --tun-type gue --tun-port {GUE_PORT}")),
    ] {
        let (client, vip) = (place.client(2000), place.vip(port));
        for protocol in ["-t", "-u"] {
            let service = place.service(protocol, port);
            let server = Place {
                family: other,
                ..place
            }
            .server(0, port);
            actions.push(place.add(protocol, port, "-s rr"));
            actions.push(Action::Command(format!("-a {service} -r {server} {more}")));
        }
        actions.push(Action::Send(Packet::tcp(client, vip, "S")));
        for (class, fragment) in [(0, 0), (0x13, DONT_FRAGMENT), (0xff, 0)] {
            let packet = Packet::tcp(client, vip, "A").payload(40);
            actions.push(Action::Send(packet.class(class).fragment(fragment)));
        }
        for hops in [2, 255] {
            actions.push(Action::Send(Packet::udp(client, vip).payload(3).hops(hops)));
        }
    }
    actions
}

fn padded_tunnels(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for (port, more) in [
        (80, "-i".to_owned()),
        (81, "-i --tun-type gre".to_owned()),
        (82, format!("-i --tun-type gue --tun-port {GUE_PORT}")),
        (83, "-g".to_owned()),
    ] {
        let (client, vip) = (place.client(2000), place.vip(port));
        actions.push(place.add("-u", port, "-s rr"));
        actions.extend(place.add_servers("-u", port, port, &more));
        for length in [0, 1, 8] {
            actions.push(Action::SendPadded(Packet::udp(client, vip).payload(length)));
        }
    }
    actions
}

/// A service of a firewall mark, as ipvsadm has it.
fn marked(place: Place) -> String {
    match place.family {
        Family::V4 => format!("-f {}", place.mark()),
        Family::V6 => format!("-f {} -6", place.mark()),
    }
}

fn with_mark(place: Place, more: &str, ports: [u16; 2]) -> Vec<Action> {
    let service = marked(place);
    let mut actions = vec![
        Action::Mark(place.mark()),
        Action::Command(format!("-A {service} -s rr {more}")),
    ];
    for (number, port) in (0..).zip(ports) {
        let server = place.server(number, port);
        actions.push(Action::Command(format!("-a {service} -r {server} -m")));
    }
    for port in [80, 443] {
        // A real server could not tell two virtual ports of one client port apart.
        let (client, vip) = (place.client(2000 + port), place.vip(port));
        actions.extend([
            Action::Send(Packet::tcp(client, vip, "S")),
            Action::Answer(Packet::tcp(vip, client, "SA")),
            Action::Send(Packet::tcp(client, vip, "A")),
            Action::Send(Packet::udp(client, vip).payload(4)),
            Action::Answer(Packet::udp(vip, client).payload(8)),
        ]);
    }
    actions
}

fn mark(place: Place) -> Vec<Action> {
    // The packet's own port, and another one.
    with_mark(place, "", [0, 8080])
}

fn persistent_mark(place: Place) -> Vec<Action> {
    with_mark(place, "-p 600", [0, 0])
}

fn persistence(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for protocol in ["-t", "-u"] {
        actions.push(place.add(protocol, 0, "-s rr -p 600"));
        actions.extend(place.add_servers(protocol, 0, 0, "-m"));
    }
    for number in 0..4 {
        let client = place.other_client(number % 2, 2000 + u16::from(number));
        for port in [80, 443, 9999] {
            let vip = place.vip(port);
            actions.extend([
                Action::Send(Packet::tcp(client, vip, "S")),
                Action::Answer(Packet::tcp(vip, client, "SA")),
                Action::Send(Packet::udp(client, vip).payload(4)),
                Action::Answer(Packet::udp(vip, client).payload(8)),
            ]);
        }
    }
    actions
}

/// Persistence by a mask, with clients that differ before it and behind it.
fn by_network(place: Place, mask: &str) -> Vec<Action> {
    let vip = place.vip(80);
    let mut actions = vec![place.add("-t", 80, &format!("-s rr -p 600 -M {mask}"))];
    actions.extend(place.add_servers("-t", 80, 8080, "-m"));
    for number in [0, 1, 2, 3, 64, 65] {
        let client = place.other_client(number, 2000);
        actions.push(Action::Send(Packet::tcp(client, vip, "S")));
    }
    actions
}

fn persistence_of_networks(place: Place) -> Vec<Action> {
    by_network(place, "255.255.254.0")
}

fn persistence_of_prefixes(place: Place) -> Vec<Action> {
    by_network(place, "15")
}

fn one_packet(place: Place) -> Vec<Action> {
    let mut actions = Vec::new();
    for (port, more) in [(53, "-m"), (54, "-g"), (55, "-i")] {
        let (client, vip) = (place.client(2000), place.vip(port));
        actions.push(place.add("-u", port, "-s rr -o"));
        actions.extend(place.add_servers("-u", port, port, more));
        for _ in 0..5 {
            actions.push(Action::Send(Packet::udp(client, vip).payload(5)));
        }
    }
    // No connection tells that this is an answer.
    let (client, vip) = (place.client(2000), place.vip(53));
    actions.push(Action::Answer(Packet::udp(vip, client).payload(6)));
    actions
}

fn weight_zero(place: Place) -> Vec<Action> {
    let vip = place.vip(80);
    let mut actions = vec![place.add("-t", 80, "-s rr")];
    actions.extend(place.add_servers("-t", 80, 80, "-m"));
    let client = |number: u16| place.client(2000 + number);
    actions.extend((0..3).map(|number| Action::Send(Packet::tcp(client(number), vip, "S"))));
    for number in 0..2 {
        let (service, server) = (place.service("-t", 80), place.server(number, 80));
        actions.push(Action::Command(format!("-e {service} -r {server} -m -w 0")));
    }
    for number in 0..6 {
        actions.push(Action::Send(Packet::tcp(client(number), vip, "S")));
        actions.push(Action::Answer(Packet::tcp(vip, client(number), "SA")));
        actions.push(Action::Send(Packet::tcp(client(number), vip, "A")));
    }
    actions
}

fn removed(place: Place) -> Vec<Action> {
    let vip = place.vip(80);
    let client = |number: u16| place.client(2000 + number);
    let service = place.service("-t", 80);
    let mut actions = vec![place.add("-t", 80, "-s rr")];
    actions.extend(place.add_servers("-t", 80, 80, "-m"));
    for number in 0..3 {
        actions.push(Action::Send(Packet::tcp(client(number), vip, "S")));
        actions.push(Action::Answer(Packet::tcp(vip, client(number), "SA")));
        actions.push(Action::Send(Packet::tcp(client(number), vip, "A")));
    }
    let talk = || {
        (0..3).flat_map(|number| {
            [
                Action::Send(Packet::tcp(client(number), vip, "PA").payload(12)),
                Action::Answer(Packet::tcp(vip, client(number), "PA").payload(13)),
            ]
        })
    };
    let server = place.server(1, 80);
    actions.push(Action::Command(format!("-d {service} -r {server}")));
    actions.extend(talk());
    actions.push(Action::Tables);
    actions.push(Action::Command(format!("-a {service} -r {server} -m")));
    actions.extend(talk());
    actions.push(Action::Tables);
    actions.push(Action::Command(format!("-D {service}")));
    // Another one, so that the kernel goes on looking at packets at all.
    actions.push(place.add("-t", 81, "-s rr"));
    actions.extend(talk());
    actions
}

fn reused(place: Place) -> Vec<Action> {
    let (client, vip) = (place.client(2000), place.vip(80));
    let mut actions = vec![place.add("-t", 80, "-s rr")];
    actions.extend(place.add_servers("-t", 80, 80, "-m"));
    let there = |flags| Action::Send(Packet::tcp(client, vip, flags));
    let back = |flags| Action::Answer(Packet::tcp(vip, client, flags));
    // A connection that was closed by both ends, one that was reset, one that is half
    // closed, and one that is established.
    for end in [
        vec![there("FA"), back("FA"), there("A")],
        vec![there("R")],
        vec![back("R")],
        vec![there("FA")],
        vec![back("FA")],
        vec![],
    ] {
        actions.extend([there("S"), back("SA"), there("A")]);
        actions.extend(end);
        actions.push(Action::Tables);
    }
    actions.push(there("S"));
    actions
}

fn not_first(place: Place) -> Vec<Action> {
    let mut actions = services(place, 80, 80, "-m");
    let vip = place.vip(80);
    for (number, flags) in (0..).zip(["A", "R", "SA", "FA", "RA", "SR", "SF", "SPA", "SEC", "F"]) {
        let client = place.client(2000 + number);
        actions.push(Action::Send(Packet::tcp(client, vip, flags)));
    }
    // The data connections of FTP begin at port 20.
    actions.push(Action::Send(Packet::tcp(place.client(20), vip, "S")));
    actions.push(Action::Send(Packet::udp(place.client(20), vip)));
    // No service is there.
    actions.push(Action::Send(Packet::tcp(
        place.client(2000),
        place.vip(81),
        "S",
    )));
    for chunk in [
        chunk::DATA,
        chunk::INIT_ACK,
        chunk::COOKIE_ECHO,
        chunk::SHUTDOWN_ACK,
    ] {
        actions.push(Action::Send(Packet::sctp(place.client(2000), vip, chunk)));
    }
    actions
}
