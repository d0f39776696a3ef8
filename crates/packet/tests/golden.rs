//! What becomes of packets, one by one: the transcripts are in `tests/golden`.
//!
//! Each says what arrived, what left (read by `etherparse`, checksums verified), and every
//! counter that moved; a counter that is not named did not move.
//! `UPDATE_EXPECT=1 cargo test -p elver-packet --test golden` writes them anew.

mod support;

use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{HostFrame, Journey, Persistence};
use elver_packet::table::Tables;
use elver_packet::table::connection::{Direction, Entry, Life};
use expect_test::{ExpectFile, expect_file};
use support::packet::{Segment, segment, transport_error};
use support::{Director, SECOND, routes, socket};

const CLIENT: &str = "10.1.0.2:1000";
const VIP: &str = "10.1.0.100:80";
const SERVER: &str = "10.2.0.11:8080";

/// A service with one real server on another port.
fn one_server() -> Director {
    let mut director = Director::new(16);
    director.add(socket(VIP), None, &[socket(SERVER)]);
    director
}

/// A service with two real servers on the port of the service.
fn two_servers(persistence: Option<Persistence>) -> Director {
    let mut director = Director::new(16);
    director.add(
        socket(VIP),
        persistence,
        &[socket("10.2.0.11:80"), socket("10.2.0.12:80")],
    );
    director
}

fn check(director: &Director, golden: ExpectFile) {
    golden.assert_eq(director.transcript.trim_start());
}

impl Director {
    fn client(&mut self, flags: &'static str) -> Vec<u8> {
        self.send("client", segment(CLIENT, VIP, flags).octets())
            .octets
    }

    fn server(&mut self, flags: &'static str) -> Vec<u8> {
        self.send("server", segment(SERVER, CLIENT, flags).octets())
            .octets
    }
}

#[test]
fn a_whole_connection_over_ipv4() {
    let mut director = one_server();
    director.client("S");
    director.server("SA");
    director.client("A");
    director.send(
        "client",
        segment(CLIENT, VIP, "PA").payload(*b"GET /").octets(),
    );
    director.send(
        "server",
        segment(SERVER, CLIENT, "PA").payload(*b"200 OK.").octets(),
    );
    director.client("FA");
    director.server("FA");
    director.client("A");
    check(&director, expect_file!["golden/connection_ipv4.txt"]);
}

#[test]
fn a_whole_connection_over_ipv6() {
    let mut director = Director::new(16);
    let (client, vip, server) = ("[fd00:1::2]:1000", "[fd00:1::100]:80", "[fd00:2::11]:8080");
    director.add(socket(vip), None, &[socket(server)]);
    director.send("client", segment(client, vip, "S").octets());
    director.send("server", segment(server, client, "SA").octets());
    director.send(
        "client",
        segment(client, vip, "PA").payload(*b"GET /").octets(),
    );
    director.send("server", segment(server, client, "RA").octets());
    check(&director, expect_file!["golden/connection_ipv6.txt"]);
}

/// Fields that are not the director's business stay as they are.
#[test]
fn fields_are_kept() {
    let mut director = one_server();
    director.heading("DSCP, ECN and DF");
    director.client("S");
    for (traffic_class, dont_fragment) in [(0x12, true), (0x03, false), (0xb8, true)] {
        let original = Segment {
            traffic_class,
            dont_fragment,
            ..segment(CLIENT, VIP, "A")
        };
        director.send("client", original.octets());
    }
    director.heading("options in the IPv4 header");
    let router_alert = vec![0x94, 0x04, 0, 0];
    let longest = vec![1; 40];
    for options in [router_alert, longest] {
        let original = Segment {
            options,
            ..segment(CLIENT, VIP, "PA")
        }
        .payload(*b"odd");
        director.send("client", original.octets());
    }
    director.heading("octets after the packet");
    director.send(
        "client",
        Segment {
            padding: 6,
            ..segment(CLIENT, VIP, "A")
        }
        .octets(),
    );
    check(&director, expect_file!["golden/fields.txt"]);
}

#[test]
fn the_port_can_stay() {
    let mut director = Director::new(16);
    director.add(socket("10.1.0.100:0"), None, &[socket("10.2.0.11:0")]);
    director.send("client", segment(CLIENT, "10.1.0.100:443", "S").octets());
    director.send("server", segment("10.2.0.11:443", CLIENT, "SA").octets());
    director.heading("an exact service goes before one for every port");
    director.add(socket("10.1.0.100:8443"), None, &[socket("10.2.0.12:0")]);
    director.send("client", segment(CLIENT, "10.1.0.100:8443", "S").octets());
    check(&director, expect_file!["golden/every_port.txt"]);
}

/// Checksums next to both zeros of one's complement, before and after.
#[test]
fn checksums_at_their_edges() {
    let mut director = one_server();
    director.client("S");
    let toward_server = |outgoing: u16| {
        let after = segment(CLIENT, SERVER, "PA").with_checksum(outgoing);
        segment(CLIENT, VIP, "PA").payload(after.payload)
    };
    director.heading("the sum that arrives is at an edge");
    for incoming in [0x0000, 0x0001, 0xfffe] {
        director.send(
            "client",
            segment(CLIENT, VIP, "PA").with_checksum(incoming).octets(),
        );
    }
    director.heading("the sum that leaves is at an edge");
    for outgoing in [0x0000, 0x0001, 0xfffe] {
        let outcome = director.send("client", toward_server(outgoing).octets());
        assert_eq!(transport_error(&outcome.octets), 0);
    }
    director.heading("an odd number of octets, all ones");
    for octets in [1, 3, 255] {
        let original = segment(CLIENT, VIP, "PA").payload(vec![0xff; octets]);
        director.send("client", original.octets());
    }
    director.heading("a wrong sum stays wrong by as much");
    for checksum_error in [1, 0x8000, 0xfffe] {
        let original = Segment {
            checksum_error,
            ..segment(CLIENT, VIP, "A")
        }
        .octets();
        let outcome = director.send("client", original.clone());
        assert_eq!(transport_error(&outcome.octets), transport_error(&original));
    }
    check(&director, expect_file!["golden/checksums.txt"]);
}

#[test]
fn time_to_live() {
    let mut director = one_server();
    director.send("client", segment(CLIENT, VIP, "S").time_to_live(2).octets());
    director.send("client", segment(CLIENT, VIP, "A").time_to_live(1).octets());
    director.send("client", segment(CLIENT, VIP, "A").time_to_live(0).octets());
    director.send(
        "server",
        segment(SERVER, CLIENT, "A").time_to_live(2).octets(),
    );
    director.send(
        "server",
        segment(SERVER, CLIENT, "A").time_to_live(1).octets(),
    );
    check(&director, expect_file!["golden/time_to_live.txt"]);
}

#[test]
fn what_is_no_business_of_ours() {
    let mut director = one_server();
    let syn = segment(CLIENT, VIP, "S").octets();
    director.heading("past this host");
    let past = HostFrame {
        addressed_to_us: false,
        ..HostFrame::new(syn.clone(), routes as fn(&Journey) -> Route)
    };
    director.send_frame("client", past);
    director.heading("tagged for a VLAN");
    let tagged = HostFrame {
        is_tagged: true,
        ..HostFrame::new(syn.clone(), routes as fn(&Journey) -> Route)
    };
    director.send_frame("client", tagged);
    director.heading("neither IPv4 nor IPv6");
    let mut arp = syn.clone();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    director.send("client", arp);
    director.heading("no TCP");
    let mut udp = syn.clone();
    udp[23] = 17;
    director.send("client", udp);
    director.heading("cut off");
    for length in [13, 14, 33, 34, 47, 53] {
        director.send("client", syn[..length].to_vec());
    }
    director.heading("contradictions: version, header length, total length");
    for (at, value) in [(14, 0x55), (14, 0x44), (17, 0x13), (17, 0xff)] {
        let mut malformed = syn.clone();
        malformed[at] = value;
        director.send("client", malformed);
    }
    director.heading("fragments: the first, the next");
    for fragment in [[0x20, 0], [0, 1]] {
        let mut part = syn.clone();
        part[20..22].copy_from_slice(&fragment);
        director.send("client", part);
    }
    director.heading("no service");
    director.send("client", segment(CLIENT, "10.1.0.100:81", "S").octets());
    director.send("client", segment(CLIENT, "10.1.0.101:80", "S").octets());
    director.heading("tables that nobody has set up");
    director.tables = elver_packet::host::HostTables::new(16, 32, 16);
    director.client("S");
    check(&director, expect_file!["golden/passed.txt"]);
}

#[test]
fn which_segments_open_a_connection() {
    for (flags, opens) in [
        ("S", true),
        ("SA", true),
        ("SF", true),
        ("SPU", true),
        ("A", false),
        ("FA", false),
        ("RA", false),
        ("SR", false),
        ("", false),
        ("P", false),
    ] {
        let mut director = one_server();
        let outcome = director.process(segment(CLIENT, VIP, flags).octets());
        if opens {
            assert_eq!(outcome.verdict, Verdict::Leave, "[{flags}]");
            assert_eq!(
                outcome.counted,
                "forwarded_to_server 1; real server 0: connections +1, packets in +1, octets in +40, active +1",
                "[{flags}]"
            );
            assert_eq!(director.entries().len(), 2);
        } else {
            assert_eq!(outcome.verdict, Verdict::Pass, "[{flags}]");
            assert_eq!(outcome.counted, "pass_not_first 1", "[{flags}]");
            assert_eq!(director.entries().len(), 0);
        }
    }
}

#[test]
fn a_virtual_address_that_is_not_held() {
    let mut director = one_server();
    director.client("S");
    director.heading("the address goes to another director");
    director.hold_service(0, false);
    director.rewrite(0, |server| server.held = false);
    director.client("A");
    director.server("SA");
    director.send(
        "another client",
        segment("10.1.0.3:1000", VIP, "S").octets(),
    );
    director.heading("and comes back");
    director.hold_service(0, true);
    director.rewrite(0, |server| server.held = true);
    director.client("A");
    director.send(
        "another client",
        segment("10.1.0.3:1000", VIP, "S").octets(),
    );
    check(&director, expect_file!["golden/not_held.txt"]);
}

#[test]
fn a_real_server_that_is_removed() {
    let mut director = one_server();
    director.client("S");
    director.rewrite(0, |server| server.available = false);
    director.heading(
        "its client's packets are dropped, its answers are translated and count for nobody",
    );
    director.client("A");
    director.server("A");
    director.heading("nobody takes new connections");
    director.send(
        "another client",
        segment("10.1.0.3:1000", VIP, "S").octets(),
    );
    director.heading("the slot is another's: its connections count for nothing");
    director.rewrite(0, |server| {
        (server.available, server.generation) = (true, 8)
    });
    director.client("A");
    director.server("A");
    check(&director, expect_file!["golden/removed.txt"]);
}

#[test]
fn no_destination() {
    let mut director = Director::new(16);
    director.add(socket(VIP), None, &[]);
    let outcome = director.process(segment(CLIENT, VIP, "S").octets());
    assert_eq!(
        (outcome.verdict, outcome.counted.as_str()),
        (Verdict::Leave, "drop_no_destination 1; answered 1")
    );
}

#[test]
fn ways_out() {
    let mut director = Director::new(16);
    let servers = [
        "10.2.0.96:80",
        "10.2.0.97:80",
        "10.2.0.98:80",
        "10.2.0.99:80",
    ];
    for (service, server) in servers.iter().enumerate() {
        director.add(
            socket(&format!("10.1.0.{}:80", 100 + service)),
            None,
            &[socket(server)],
        );
    }
    director.heading("a small link: too big, then not");
    let big = segment(CLIENT, "10.1.0.100:80", "S").payload(vec![0; 561]);
    director.send("client", big.octets());
    director.send(
        "client",
        segment(CLIENT, "10.1.0.100:80", "S")
            .payload(vec![7; 560])
            .octets(),
    );
    director.heading("the next hop that is remembered does not let a larger one through");
    director.send("client", segment(CLIENT, "10.1.0.100:80", "A").octets());
    director.send(
        "client",
        segment(CLIENT, "10.1.0.100:80", "A")
            .payload(vec![0; 561])
            .octets(),
    );
    director.heading("a packet that will be cut into segments fits by its segments");
    let whole = segment(CLIENT, "10.1.0.100:80", "A")
        .payload(vec![7; 1120])
        .octets();
    for segment_payload in [560, 561] {
        let frame = HostFrame {
            segment_payload,
            ..HostFrame::new(whole.clone(), routes as fn(&Journey) -> Route)
        };
        director.send_frame("client", frame);
    }
    director.heading("no route");
    director.send("client", segment(CLIENT, "10.1.0.101:80", "S").octets());
    director.heading("this host itself");
    director.send("client", segment(CLIENT, "10.1.0.102:80", "S").octets());
    director.heading("a neighbour that is not resolved, asked for each time");
    director.send("client", segment(CLIENT, "10.1.0.103:80", "S").octets());
    director.send("client", segment(CLIENT, "10.1.0.103:80", "A").octets());
    director.heading("a next hop is forgotten after a second");
    director.send("client", segment(CLIENT, "10.1.0.100:80", "A").octets());
    director.wait(SECOND);
    director.send("client", segment(CLIENT, "10.1.0.100:80", "A").octets());
    director.send("client", segment(CLIENT, "10.1.0.100:80", "A").octets());
    check(&director, expect_file!["golden/ways_out.txt"]);
}

/// `conn_reuse_mode` 1, as traced on kernel IPVS.
#[test]
fn a_syn_begins_a_new_connection_where_one_is_over() {
    let mut director = two_servers(None);
    director.heading("the client closed: TIME_WAIT");
    director.client("S");
    director.client("A");
    director.send("server", segment("10.2.0.12:80", CLIENT, "FA").octets());
    director.client("FA");
    director.client("S");
    director.heading("the server refused: CLOSE");
    director.send("server", segment("10.2.0.11:80", CLIENT, "RA").octets());
    director.client("S");
    director.heading("on a live one a SYN changes nothing");
    director.client("S");
    director.heading("SYN and RST is no SYN");
    director.send("server", segment("10.2.0.12:80", CLIENT, "RA").octets());
    director.client("SR");
    check(&director, expect_file!["golden/reuse.txt"]);
}

#[test]
fn an_expired_connection_is_none() {
    let mut director = one_server();
    director.client("S");
    director.wait(60 * SECOND - 1);
    director.heading("the last moment");
    director.server("SA");
    director.heading("over: from the client, from the server");
    director.wait(60 * SECOND);
    director.client("A");
    director.client("S");
    director.wait(60 * SECOND);
    director.server("SA");
    check(&director, expect_file!["golden/expired.txt"]);
}

/// Round robin begins with the server that was added last.
#[test]
fn round_robin_is_newest_first() {
    let mut director = Director::new(16);
    let servers = ["10.2.0.11:80", "10.2.0.12:80", "10.2.0.13:80"];
    director.add(socket(VIP), None, &servers.map(socket));
    let mut order = Vec::new();
    for port in 1000..1005 {
        let syn = segment(&format!("10.1.0.2:{port}"), VIP, "S");
        order.push(director.process(syn.octets()).octets[33]);
    }
    assert_eq!(order, [13, 12, 11, 13, 12]);
}

#[test]
fn persistence() {
    let mut director = two_servers(Some(Persistence {
        ticks: 50 * SECOND,
        prefix: 24,
    }));
    director.heading("a new client, then two of its network");
    director.client("S");
    director.send("neighbour", segment("10.1.0.200:1000", VIP, "S").octets());
    director.send("client", segment("10.1.0.2:1001", VIP, "S").octets());
    director.heading("a client of another network");
    director.send("stranger", segment("10.1.1.2:1000", VIP, "S").octets());
    director.heading("connections hold the template beyond its time");
    director.wait(55 * SECOND);
    director.sweep();
    director.send("client", segment("10.1.0.2:1002", VIP, "S").octets());
    director.heading("without connections it is over after its time");
    director.wait(61 * SECOND);
    director.sweep();
    // A template that was met before its last connection is given another minute.
    let is_template = |(index, _, _): &(u32, Direction, Life)| {
        Entry((&director.tables).connection(*index).unwrap()).is_template()
    };
    assert!(director.entries().iter().all(is_template));
    director.wait(61 * SECOND);
    director.sweep();
    assert_eq!(director.entries().len(), 0);
    director.client("S");
    director.heading("its server is removed, and gone from the list: another one");
    director.set_members(0, &[0]);
    director.rewrite(1, |server| server.available = false);
    let outcome = director.send("client", segment("10.1.0.2:1003", VIP, "S").octets());
    assert_eq!(outcome.octets[33], 11);
    check(&director, expect_file!["golden/persistence.txt"]);
}

/// Two virtual addresses lead the same client port to the same real server: answers go to
/// the connection that came last, and the older one is gone as a whole.
#[test]
fn two_virtual_addresses_of_one_real_server() {
    let mut director = Director::new(16);
    director.add(socket("10.1.0.100:80"), None, &[socket(SERVER)]);
    director.add(socket("10.1.0.101:80"), None, &[socket(SERVER)]);
    director.send("client", segment(CLIENT, "10.1.0.100:80", "S").octets());
    director.send("client", segment(CLIENT, "10.1.0.101:80", "S").octets());
    director.server("SA");
    director.send("client", segment(CLIENT, "10.1.0.100:80", "A").octets());
    assert_eq!(director.entries().len(), 2);
    check(&director, expect_file!["golden/shared_server.txt"]);
}
