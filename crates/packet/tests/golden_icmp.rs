//! What senders are told by ICMP, and what becomes of ICMP errors: transcripts in `tests/golden`.
//!
//! What kernel IPVS does in the same places was recorded in traces; where a test says so, it is
//! what they show.

mod support;

use std::fmt::Write;

use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{HostFrame, Journey, Method};
use elver_packet::reason::Reason;
use elver_packet::table::destination::tunnel;
use elver_packet::table::settings::ANSWERS_PER_TICK;
use expect_test::{ExpectFile, expect_file};
use support::icmp::{Error, describe, packet};
use support::packet::{Segment, segment};
use support::{Director, SECOND, address, routes, socket};

const CLIENT: &str = "10.1.0.2:1000";
const VIP: &str = "10.1.0.100:80";
const SERVER: &str = "10.2.0.11:8080";
const CLIENT6: &str = "[fd00:1::2]:1000";
const VIP6: &str = "[fd00:1::100]:80";
const SERVER6: &str = "[fd00:2::11]:8080";

impl Director {
    /// Hands a frame to the packet function and writes down what became of it.
    fn see(&mut self, who: &str, octets: Vec<u8>) -> Vec<u8> {
        self.see_frame(who, HostFrame::new(octets, routes as fn(&Journey) -> Route))
    }

    fn see_frame(&mut self, who: &str, frame: HostFrame<fn(&Journey) -> Route>) -> Vec<u8> {
        let before = describe(&frame.octets);
        let outcome = self.process_frame(frame);
        writeln!(self.transcript, "{who}: {before}").unwrap();
        match outcome.verdict {
            Verdict::Leave => writeln!(
                self.transcript,
                "  {:?}\n  {:02x?}: {}",
                outcome.departure.unwrap(),
                &outcome.octets[..14],
                describe(&outcome.octets)
            ),
            verdict => writeln!(self.transcript, "  {verdict:?}"),
        }
        .unwrap();
        writeln!(self.transcript, "  counted: {}", outcome.counted).unwrap();
        if outcome.verdict == Verdict::Leave {
            let packet = etherparse::IpSlice::from_slice(packet(&outcome.octets)).unwrap();
            let length = match &packet {
                etherparse::IpSlice::Ipv4(ip) => usize::from(ip.header().total_len()),
                etherparse::IpSlice::Ipv6(ip) => 40 + usize::from(ip.header().payload_length()),
            };
            assert!(outcome.counted.contains("forwarded") || length + 14 == outcome.octets.len());
        }
        outcome.octets
    }

    /// A service whose only real server is reached by this method.
    fn add_by(&mut self, vip: &str, server: &str, method: Method) -> u32 {
        let (_, id) = self.add(socket(vip), None, &[socket(server)]);
        self.rewrite(id, |server| server.method = method);
        id
    }
}

fn check(director: &Director, golden: ExpectFile) {
    assert!(
        !director.transcript.contains("WRONG"),
        "{}",
        director.transcript
    );
    golden.assert_eq(director.transcript.trim_start());
}

fn tunnel_to(kind: u8, source: &str) -> Method {
    Method::Tunnel {
        kind,
        port: 6080,
        source: address(source),
    }
}

fn of_octets(source: &str, destination: &str, flags: &'static str, length: usize) -> Segment {
    let headers = if socket(source).is_ipv4() { 40 } else { 60 };
    segment(source, destination, flags).payload(vec![7; length - headers])
}

/// As IPVS does, down to which copy of the hop count is quoted.
#[test]
fn senders_are_told() {
    let mut director = Director::new(16);
    director.add(socket(VIP), None, &[]);
    director.add(socket("10.1.0.101:80"), None, &[socket("10.2.0.11:80")]);
    director.add(socket("10.1.0.102:80"), None, &[socket("10.2.0.97:80")]);
    director.add(socket("10.1.0.103:80"), None, &[socket("10.2.0.96:80")]);
    director.add(socket(VIP6), None, &[]);
    director.add(
        socket("[fd00:1::101]:80"),
        None,
        &[socket("[fd00:2::11]:80")],
    );
    director.add(
        socket("[fd00:1::102]:80"),
        None,
        &[socket("[fd00:2::97]:80")],
    );
    director.add(
        socket("[fd00:1::103]:80"),
        None,
        &[socket("[fd00:2::96]:80")],
    );
    director.heading("nobody to take the connection");
    director.see("client", segment(CLIENT, VIP, "S").octets());
    director.see("client", segment(CLIENT6, VIP6, "S").octets());
    director.heading("no hop left");
    let last_hop = |source, vip| segment(source, vip, "S").time_to_live(1).octets();
    director.see("client", last_hop(CLIENT, "10.1.0.101:80"));
    director.see("client", last_hop(CLIENT6, "[fd00:1::101]:80"));
    director.heading("no route");
    director.see("client", segment(CLIENT, "10.1.0.102:80", "S").octets());
    director.see("client", segment(CLIENT6, "[fd00:1::102]:80", "S").octets());
    director.heading("too large");
    director.see(
        "client",
        of_octets(CLIENT, "10.1.0.103:80", "S", 1200).octets(),
    );
    director.see(
        "client",
        of_octets(CLIENT6, "[fd00:1::103]:80", "S", 1360).octets(),
    );
    director.heading("too large, and routers may cut it: nobody is told");
    let whole = of_octets(CLIENT, "10.1.0.103:80", "S", 1200);
    director.see(
        "client",
        Segment {
            dont_fragment: false,
            ..whole
        }
        .octets(),
    );
    director.heading("nobody in particular sent it");
    for source in ["224.0.0.1:1000", "0.0.0.0:1000", "127.0.0.1:1000"] {
        director.see("stranger", segment(source, VIP, "S").octets());
    }
    director.see("stranger", segment("[ff02::1]:1000", VIP6, "S").octets());
    director.heading("options and octets after the packet");
    let odd = Segment {
        options: vec![1; 40],
        padding: 6,
        ..segment(CLIENT, VIP, "S")
    };
    director.see("client", odd.payload(*b"odd").octets());
    check(&director, expect_file!["golden/icmp_answers.txt"]);
}

/// What a tunnel adds is not the client's.
#[test]
fn the_size_that_fits_into_a_tunnel() {
    let mut director = Director::new(16);
    let with_checksum = tunnel::GRE | tunnel::CHECKSUM;
    let kinds = [tunnel::IPIP, tunnel::GUE, tunnel::GRE, with_checksum];
    for (number, kind) in kinds.into_iter().enumerate() {
        let vip = format!("10.1.0.{}:80", 100 + number);
        director.add_by(&vip, "10.2.0.96:80", tunnel_to(kind, "10.2.0.1"));
        director.see("client", of_octets(CLIENT, &vip, "S", 590).octets());
        let vip = format!("[fd00:1::10{number}]:80");
        director.add_by(&vip, "[fd00:2::96]:80", tunnel_to(kind, "fd00:2::1"));
        director.see("client", of_octets(CLIENT6, &vip, "S", 590).octets());
    }
    director.add_by(
        "[fd00:1::109]:80",
        "10.2.0.96:80",
        tunnel_to(tunnel::GUE, "10.2.0.1"),
    );
    director.see(
        "client",
        of_octets(CLIENT6, "[fd00:1::109]:80", "S", 590).octets(),
    );
    check(&director, expect_file!["golden/icmp_tunnel_sizes.txt"]);
}

/// Errors to strangers are made for so many packets a tick only; those about sizes for all.
#[test]
fn answers_are_limited() {
    let mut director = Director::new(16);
    director.add(socket(VIP), None, &[]);
    director.add(socket("10.1.0.103:80"), None, &[socket("10.2.0.96:80")]);
    let told = |director: &mut Director, octets: Vec<u8>| {
        (director.process(octets).verdict == Verdict::Leave) as u32
    };
    let syn = || segment(CLIENT, VIP, "S").octets();
    let count: u32 = (0..300).map(|_| told(&mut director, syn())).sum();
    assert_eq!(count, ANSWERS_PER_TICK);
    let withheld = director.tables.reason(Reason::AnswerWithheld);
    assert_eq!(withheld, u64::from(300 - ANSWERS_PER_TICK));
    let large = of_octets(CLIENT, "10.1.0.103:80", "S", 1200).octets();
    assert_eq!(told(&mut director, large), 1);
    director.wait(1);
    assert_eq!(told(&mut director, syn()), 1);
}

/// A packet whose checksum a device has yet to finish: when it is finished, over what is left of
/// the packet, the error's checksum is right.
#[test]
fn an_unfinished_checksum_is_taken_for_what_it_will_be() {
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        for length in [80, 81, 700, 3000] {
            let mut director = Director::new(16);
            director.add(socket(vip), None, &[]);
            let mut octets = of_octets(client, vip, "S", length).octets();
            let (begin, answer) = if socket(vip).is_ipv4() {
                (34, 28)
            } else {
                (54, 48)
            };
            // The sum of the pseudo-header, as a sender leaves it for its device.
            let segment = octets[begin..].to_vec();
            let payload: u32 = (segment.chunks(2).enumerate())
                .filter(|(word, _)| *word != 8)
                .map(|(_, word)| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
                .sum();
            let complete = u16::from_be_bytes([segment[16], segment[17]]);
            let pseudo = (u32::from(!complete) + 0xffff * 4000 - payload) % 0xffff;
            octets[begin + 16..][..2].copy_from_slice(&(pseudo as u16).to_be_bytes());
            let frame = HostFrame {
                is_unfinished: true,
                segment_payload: 500,
                ..HostFrame::new(octets, routes as fn(&Journey) -> Route)
            };
            let mut left = director.process_frame(frame).octets;
            // What the device does.
            let transport = begin + answer;
            let mut total: u32 = (left[transport..].chunks(2))
                .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
                .sum();
            while total > 0xffff {
                total = (total & 0xffff) + (total >> 16);
            }
            left[transport + 16..][..2].copy_from_slice(&(!total as u16).to_be_bytes());
            let seen = describe(&left);
            assert!(
                seen.contains("/3 0x0, sum right") || seen.contains("/4 0x0, sum right"),
                "{seen}"
            );
        }
    }
}

/// IPVS: "from a router or the real server → client", "→ virtual address".
#[test]
fn errors_about_connections_by_nat() {
    let mut director = Director::new(16);
    for (client, vip, server, is_v4) in
        [(CLIENT, VIP, SERVER, true), (CLIENT6, VIP6, SERVER6, false)]
    {
        let host = |socket: &str| support::socket(socket).ip().to_string();
        let (client_host, vip_host, server_host) = (host(client), host(vip), host(server));
        let (beyond, router) = if is_v4 {
            ("10.2.0.12", "10.1.0.9")
        } else {
            ("fd00:2::12", "fd00:1::9")
        };
        let (unreachable, exceeded, too_big) = if is_v4 {
            (
                Error::new(3, 3, 0),
                Error::new(11, 0, 0),
                Error::new(3, 4, 1200),
            )
        } else {
            (
                Error::new(1, 4, 0),
                Error::new(3, 0, 0),
                Error::new(2, 0, 1300),
            )
        };
        director.add(socket(vip), None, &[socket(server)]);
        director.see("client", segment(client, vip, "S").octets());
        let sent = segment(client, server, "S")
            .time_to_live(63)
            .payload(*b"odd")
            .octets();
        let answered = segment(server, client, "A").time_to_live(63);
        let answered = Segment {
            source: socket(vip),
            ..answered
        }
        .payload(*b"odd")
        .octets();
        let headers = if is_v4 { 20 } else { 40 };
        director.heading("from the real server, and from a router before it");
        director.see(
            "server",
            unreachable.about(&server_host, &client_host, packet(&sent)),
        );
        director.see(
            "router",
            exceeded.about(beyond, &client_host, &packet(&sent)[..headers + 8]),
        );
        director.heading("from the client, and from a router before it");
        director.see(
            "client",
            unreachable.about(&client_host, &vip_host, packet(&answered)),
        );
        director.see(
            "router",
            too_big.about(router, &vip_host, &packet(&answered)[..headers + 8]),
        );
        director.heading("no hop left, too short, no connection, no error, to somebody else");
        let last_hop = Error {
            time_to_live: 1,
            ..too_big
        };
        director.see(
            "router",
            last_hop.about(router, &vip_host, packet(&answered)),
        );
        director.see(
            "router",
            too_big.about(router, &vip_host, &packet(&answered)[..headers + 3]),
        );
        let other = Segment {
            source: socket(vip),
            ..segment(server, client, "A")
        };
        let other = Segment {
            destination: std::net::SocketAddr::new(other.destination.ip(), 4),
            ..other
        };
        director.see(
            "router",
            too_big.about(router, &vip_host, packet(&other.octets())),
        );
        let echo = if is_v4 {
            Error::new(8, 0, 1)
        } else {
            Error::new(128, 0, 1)
        };
        director.see(
            "client",
            echo.about(&client_host, &vip_host, packet(&answered)),
        );
        director.see(
            "router",
            too_big.about(router, &client_host, packet(&answered)),
        );
        director.heading("IPv6");
    }
    check(&director, expect_file!["golden/icmp_nat.txt"]);
}

#[test]
fn errors_about_connections_by_direct_routing_and_tunnels() {
    let mut director = Director::new(16);
    let tunnel = tunnel_to(tunnel::IPIP, "10.2.0.1");
    for (vip, method) in [(VIP, Method::Direct), ("10.1.0.101:80", tunnel)] {
        director.add_by(vip, "10.2.0.11:80", method);
        director.see("client", segment(CLIENT, vip, "S").octets());
        let answered = segment(vip, CLIENT, "A").octets();
        let host = socket(vip).ip().to_string();
        let error = Error::new(3, 4, 1200).about("10.1.0.9", &host, &packet(&answered)[..28]);
        director.see("router", error);
    }
    check(
        &director,
        expect_file!["golden/icmp_direct_and_tunnels.txt"],
    );
}

/// A router, or the real server, about a packet in a tunnel.
#[test]
fn errors_about_packets_in_tunnels() {
    for (kind, name) in [
        (tunnel::IPIP, "ipip"),
        (tunnel::GUE, "gue"),
        (tunnel::GRE, "gre"),
        (tunnel::GUE | tunnel::CHECKSUM, "gue_with_checksum"),
        (tunnel::GRE | tunnel::CHECKSUM, "gre_with_checksum"),
    ] {
        let mut director = Director::new(16);
        director.add_by(VIP, "10.2.0.11:80", tunnel_to(kind, "10.2.0.1"));
        let sent = director.see("client", segment(CLIENT, VIP, "S").octets());
        let too_big = Error::new(3, 4, 1300);
        let about = |error: Error, octets: &[u8]| error.about("10.2.0.15", "10.2.0.1", octets);
        director.heading("too short to tell whose it was");
        director.see("router", about(too_big, &packet(&sent)[..28]));
        let mut foreign = sent.clone();
        foreign[33] = 12;
        let foreign = about(too_big, packet(&foreign));
        assert_eq!(director.process(foreign).verdict, Verdict::Pass);
        let mut wrong = about(too_big, packet(&sent));
        wrong[36] ^= 1;
        assert_eq!(director.process(wrong).verdict, Verdict::Pass);
        director.heading("before, a large one goes through");
        director.see("client", of_octets(CLIENT, VIP, "A", 1400).octets());
        director.heading("too large, and the protocol is not known");
        director.see("router", about(too_big, packet(&sent)));
        director.see("server", about(Error::new(3, 2, 0), packet(&sent)));
        director.heading("from now on clients are told here");
        director.see("client", of_octets(CLIENT, VIP, "A", 1400).octets());
        director.see("client", of_octets(CLIENT, VIP, "A", 1200).octets());
        let may_be_cut = Segment {
            dont_fragment: false,
            ..of_octets(CLIENT, VIP, "A", 1400)
        };
        let frame = HostFrame::new(may_be_cut.octets(), routes as fn(&Journey) -> Route);
        assert_eq!(director.process_frame(frame).verdict, Verdict::Leave);
        director.heading("and for ten minutes");
        for _ in 0..12 {
            director.wait(50 * SECOND);
            director.process(segment(CLIENT, VIP, "S").octets());
        }
        director.see("client", of_octets(CLIENT, VIP, "A", 1400).octets());
        check(
            &director,
            expect_file![format!("golden/icmp_in_{name}.txt")],
        );
    }
}

/// The families of the tunnel and of what is in it differ.
#[test]
fn errors_about_tunnels_of_other_families() {
    let mut director = Director::new(16);
    let cases = [
        (
            VIP,
            CLIENT,
            "[fd00:2::11]:80",
            "fd00:2::1",
            "fd00:2::15",
            [Error::new(2, 0, 1400), Error::new(1, 0, 0)],
        ),
        (
            VIP6,
            CLIENT6,
            "10.2.0.11:80",
            "10.2.0.1",
            "10.2.0.15",
            [Error::new(3, 4, 1400), Error::new(3, 2, 0)],
        ),
        (
            "[fd00:1::101]:80",
            CLIENT6,
            "[fd00:2::11]:80",
            "fd00:2::1",
            "fd00:2::15",
            [Error::new(2, 0, 1400), Error::new(1, 4, 0)],
        ),
    ];
    for (vip, client, server, source, router, errors) in cases {
        for kind in [tunnel::IPIP, tunnel::GUE] {
            director.heading(&format!("{vip} to {server}"));
            let id = director.add_by(vip, server, tunnel_to(kind, source));
            director.set_members(director.destination(id).service(), &[id]);
            let port = 1000 + id;
            let client = format!("{}:{port}", client.rsplit_once(':').unwrap().0);
            let sent = director.see("client", segment(&client, vip, "S").octets());
            for error in errors {
                director.see("router", error.about(router, source, packet(&sent)));
            }
        }
    }
    check(&director, expect_file!["golden/icmp_other_families.txt"]);
}
