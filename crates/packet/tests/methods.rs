//! Forwarding methods, protocols and kinds of service, packet by packet: the transcripts are
//! in `tests/golden`, as those of `golden.rs`.

mod support;

use elver_packet::family::{Family, V4, V6};
use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{Departure, HostFrame, Journey, Method, Persistence, VirtualService};
use elver_packet::process::leave;
use elver_packet::reason::Reason;
use elver_packet::table::connection::{Direction, Entry, TEMPLATE_ASSURED};
use elver_packet::table::destination::{self, tunnel};
use elver_packet::table::service::PERSISTENCE_WORD;
use elver_packet::table::{Tables, Words};
use elver_packet::wire::protocol;
use expect_test::{ExpectFile, expect_file};
use support::datagram::{Datagram, Transport, datagram};
use support::packet::GUE_PORT;
use support::{Director, SECOND, address, routes, socket, way};

const CLIENT: &str = "10.1.0.2:1000";
const VIP: &str = "10.1.0.100:80";
const SERVER: &str = "10.2.0.11:80";
const CLIENT6: &str = "[fd00:1::2]:1000";
const VIP6: &str = "[fd00:1::100]:80";
const SERVER6: &str = "[fd00:2::11]:80";

fn check(director: &Director, golden: ExpectFile) {
    golden.assert_eq(director.transcript.trim_start());
}

/// A tunnel to a real server of that family.
fn tunnel(kind: u8, server: &str) -> Method {
    let source = if server.starts_with('[') {
        "fd00:2::1"
    } else {
        "10.2.0.1"
    };
    Method::Tunnel {
        kind,
        port: if kind == tunnel::GUE { GUE_PORT } else { 0 },
        source: address(source),
    }
}

fn service(protocol: u8, vip: &str) -> VirtualService {
    VirtualService {
        protocol,
        ..VirtualService::new(socket(vip).ip(), socket(vip).port())
    }
}

/// A service with one real server.
fn one(protocol: u8, vip: &str, server: &str, method: Method) -> Director {
    let mut director = Director::new(16);
    director.add_service(&service(protocol, vip), &[(socket(server), method)]);
    director
}

/// What a client sends by one method: DSCP and ECT(0) with DF, congestion experienced without
/// DF, the last hop, and the last but one.
fn from_client(director: &mut Director, client: &str, vip: &str) {
    let syn = |port: u16| {
        let mut syn = datagram(client, vip, Transport::Tcp("S")).payload([]);
        syn.source.set_port(port);
        syn
    };
    director.send(
        "client",
        Datagram {
            traffic_class: 0x12,
            identification: 0x4321,
            ..syn(1000)
        }
        .octets(),
    );
    director.send(
        "client",
        Datagram {
            traffic_class: 0x03,
            identification: 0x4322,
            dont_fragment: false,
            transport: Transport::Tcp("A"),
            ..syn(1000)
        }
        .payload(*b"data")
        .octets(),
    );
    director.send("client", syn(1001).time_to_live(1).octets());
    director.send("client", syn(1002).time_to_live(2).octets());
}

#[test]
fn direct_routing() {
    let mut director = one(protocol::TCP, VIP, SERVER, Method::Direct);
    from_client(&mut director, CLIENT, VIP);
    director.heading("the real server's answer is no business of ours");
    let answer = datagram(VIP, CLIENT, Transport::Tcp("SA"));
    director.send("server", answer.octets());
    director.heading("IPv4 options stay");
    let mut options = datagram(CLIENT, VIP, Transport::Tcp("A"));
    options.options = vec![0x94, 0x04, 0, 0];
    director.send("client", options.octets());
    let mut director6 = one(protocol::TCP, VIP6, SERVER6, Method::Direct);
    from_client(&mut director6, CLIENT6, VIP6);
    director.heading("IPv6");
    director.transcript += &director6.transcript;
    check(&director, expect_file!["golden/direct.txt"]);
}

#[test]
fn nat_over_ipv6() {
    let mut director = one(protocol::TCP, VIP6, "[fd00:2::11]:8080", Method::Nat);
    from_client(&mut director, CLIENT6, VIP6);
    let answer = |hops| {
        datagram("[fd00:2::11]:8080", CLIENT6, Transport::Tcp("SA"))
            .payload([])
            .time_to_live(hops)
    };
    director.send("server", answer(64).octets());
    director.send("server", answer(1).octets());
    check(&director, expect_file!["golden/nat_ipv6.txt"]);
}

#[test]
fn every_tunnel() {
    let mut all = Director::new(1);
    for (name, kind) in [
        ("ipip", tunnel::IPIP),
        ("gue", tunnel::GUE),
        ("gre", tunnel::GRE),
    ] {
        for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
            for server in [SERVER, SERVER6] {
                let mut director = one(protocol::TCP, vip, server, tunnel(kind, server));
                from_client(&mut director, client, vip);
                all.heading(&format!("{name}, {vip} by {server}"));
                all.transcript += &director.transcript;
            }
        }
    }
    check(&all, expect_file!["golden/tunnels.txt"]);
}

/// The outer headers that kernel IPVS sends, octet by octet; GUE's source port is anyone's.
#[test]
fn tunnels_have_the_headers_of_ipvs() {
    for (kind, headers) in [
        (tunnel::IPIP, "4500003c000040003f0427af0a0200010a02000b"),
        (
            tunnel::GUE,
            "45000048000040003f1127960a0200010a02000b....17c00034000000040000",
        ),
        (
            tunnel::GRE,
            "45000040000040003f2f27800a0200010a02000b00000800",
        ),
    ] {
        let mut director = one(protocol::TCP, VIP, SERVER, tunnel(kind, SERVER));
        let syn = datagram(CLIENT, VIP, Transport::Tcp("S")).payload([]);
        let outcome = director.process(syn.octets());
        let end = 14 + headers.len() / 2;
        let hex: String = outcome.octets[14..end]
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        for (at, (left, wanted)) in hex.chars().zip(headers.chars()).enumerate() {
            assert!(wanted == '.' || left == wanted, "{hex} at {at}");
        }
        assert_eq!(outcome.octets[end..], {
            let mut inner = syn.time_to_live(63).octets();
            inner.split_off(14)
        });
    }
}

/// GUE's source port is the same for all packets of a connection, whichever headers they have,
/// and within the range from which the kernel gives ports out.
#[test]
fn gue_tells_connections_apart() {
    let mut director = one(protocol::TCP, VIP6, SERVER, tunnel(tunnel::GUE, SERVER));
    let mut port = |client_port: u16, flags, extensions: &[(u8, Vec<u8>)]| {
        let mut packet = datagram(CLIENT6, VIP6, Transport::Tcp(flags));
        packet.source.set_port(client_port);
        packet.extensions = extensions.to_vec();
        let left = director.process(packet.octets()).octets;
        u16::from_be_bytes([left[34], left[35]])
    };
    let options = (protocol::DESTINATION_OPTIONS, vec![0, 0, 1, 4, 0, 0, 0, 0]);
    let first = port(1000, "S", &[]);
    assert_eq!(port(1000, "A", std::slice::from_ref(&options)), first);
    let mut ports: Vec<u16> = (1001..1101).map(|client| port(client, "S", &[])).collect();
    assert!(ports.iter().all(|port| (32768..=60999).contains(port)));
    ports.sort_unstable();
    ports.dedup();
    assert!(
        ports.len() > 90,
        "{} ports for 100 connections",
        ports.len()
    );
}

#[test]
fn udp_by_nat() {
    let server = "10.2.0.11:5353";
    let mut director = one(protocol::UDP, VIP, server, Method::Nat);
    let query = |transport| datagram(CLIENT, VIP, transport);
    let answer = |transport| datagram(server, CLIENT, transport);
    director.send("client", query(Transport::Udp).octets());
    director.send("server", answer(Transport::Udp).octets());
    director.heading("no checksum");
    director.send("client", query(Transport::UdpUnsummed).octets());
    director.send("server", answer(Transport::UdpUnsummed).octets());
    director.heading("a checksum that comes to 0 is written as 0xffff");
    let comes_to_zero = |last: u16| {
        let sent = query(Transport::Udp).payload(last.to_be_bytes());
        let mut left = sent.clone();
        left.destination = socket(server);
        (left.octets()[40..42] == [0xff, 0xff]).then_some(sent)
    };
    let sent = (0..=u16::MAX).find_map(comes_to_zero).unwrap();
    let left = director.send("client", sent.octets());
    assert_eq!(left.octets[40..42], [0xff, 0xff]);
    director.heading("cut off: the header is in the padding");
    let mut short = query(Transport::Udp).octets();
    short[17] = 20 + 7;
    let checksum = u16::from_be_bytes([short[24], short[25]]) + 6;
    short[24..26].copy_from_slice(&checksum.to_be_bytes());
    director.send("client", short);
    let (client, vip, server) = (CLIENT6, VIP6, "[fd00:2::11]:5353");
    let mut director6 = one(protocol::UDP, vip, server, Method::Nat);
    director6.send("client", datagram(client, vip, Transport::Udp).octets());
    director6.send("server", datagram(server, client, Transport::Udp).octets());
    director.heading("IPv6");
    director.transcript += &director6.transcript;
    check(&director, expect_file!["golden/udp.txt"]);
}

#[test]
fn udp_past_us() {
    let mut director = one(protocol::UDP, VIP, SERVER, Method::Direct);
    for transport in [Transport::Udp, Transport::UdpUnsummed] {
        director.send("client", datagram(CLIENT, VIP, transport).octets());
    }
    check(&director, expect_file!["golden/udp_direct.txt"]);
}

/// An association as traced on kernel IPVS, with another port: the checksum is brought up to
/// date, and the witness computes it whole.
#[test]
fn sctp_by_nat() {
    let server = "10.2.0.11:8080";
    let mut director = one(protocol::SCTP, VIP, server, Method::Nat);
    for (from_client, chunk) in [
        (true, 1),
        (false, 2),
        (true, 10),
        (false, 11),
        (true, 0),
        (true, 7),
        (false, 8),
        (true, 14),
    ] {
        let (who, source, destination) = if from_client {
            ("client", CLIENT, VIP)
        } else {
            ("server", server, CLIENT)
        };
        let packet = datagram(source, destination, Transport::Sctp(chunk));
        director.send(who, packet.octets());
    }
    director.heading("no INIT opens nothing");
    let data = datagram("10.1.0.3:1000", VIP, Transport::Sctp(0));
    director.send("another client", data.octets());
    check(&director, expect_file!["golden/sctp.txt"]);
}

/// The packet that opens an association takes it one step, not two: INIT comes after INIT1.
#[test]
fn one_init_leaves_init1() {
    const INIT1: u8 = 1;
    for method in [Method::Nat, Method::Direct] {
        let mut director = one(protocol::SCTP, VIP, SERVER, method);
        director.process(datagram(CLIENT, VIP, Transport::Sctp(1)).octets());
        let entries = director.entries();
        let forward = entries.iter().find(|entry| entry.1 == Direction::Forward);
        assert_eq!(forward.expect("an association").2.state, INIT1);
    }
}

/// The chunk behind a cookie counts if it is an ABORT, and the cookie's length is one.
#[test]
fn sctp_abort_behind_a_cookie() {
    let state = |cookie_length: u8| {
        let mut director = one(protocol::SCTP, VIP, SERVER, Method::Direct);
        director.process(datagram(CLIENT, VIP, Transport::Sctp(1)).octets());
        let abort = [6, 0, 0, 4];
        let mut echo = datagram(CLIENT, VIP, Transport::Sctp(10))
            .payload(abort)
            .octets();
        echo[14 + 20 + 12 + 3] = cookie_length;
        director.process(echo);
        director.entries()[0].2.state
    };
    const ESTABLISHED: u8 = 8;
    const CLOSED: u8 = 13;
    assert_eq!(state(4), CLOSED);
    assert_eq!(state(3), ESTABLISHED);
    assert_eq!(state(8), ESTABLISHED);
}

#[test]
fn one_packet_scheduling() {
    let mut director = Director::new(16);
    let virtual_service = VirtualService {
        one_packet: true,
        ..service(protocol::UDP, VIP)
    };
    let servers = ["10.2.0.11:5353", "10.2.0.12:5353"];
    director.add_service(
        &virtual_service,
        &servers.map(|server| (socket(server), Method::Nat)),
    );
    for _ in 0..3 {
        director.send("client", datagram(CLIENT, VIP, Transport::Udp).octets());
        assert_eq!(director.entries().len(), 0);
    }
    director.heading("an answer is not rewritten");
    let answer = datagram(servers[1], CLIENT, Transport::Udp);
    director.send("server", answer.octets());
    director.heading("the last hop leaves no entry either");
    let last = datagram(CLIENT, VIP, Transport::Udp).time_to_live(1);
    director.send("client", last.octets());
    assert_eq!(director.entries().len(), 0);
    check(&director, expect_file!["golden/one_packet.txt"]);
}

/// A packet with a firewall mark.
fn marked(mark: u32, packet: &Datagram) -> HostFrame<fn(&Journey) -> Route> {
    HostFrame {
        mark,
        ..HostFrame::new(packet.octets(), local_vips as fn(&Journey) -> Route)
    }
}

/// The virtual addresses are this host's own.
fn local_vips(journey: &Journey) -> Route {
    let is_ours = [VIP, "10.1.0.101:80", VIP6]
        .iter()
        .any(|vip| socket(vip).ip() == journey.destination);
    if is_ours {
        Route::LocalOrNone
    } else {
        routes(journey)
    }
}

#[test]
fn services_of_firewall_marks() {
    let mut director = Director::new(16);
    let (marked_service, _) = director.add_service(
        &service(0, "10.1.0.100:0"),
        &[(socket("10.2.0.13:0"), Method::Nat)],
    );
    director.mark(marked_service, 7, 4);
    director.add(socket("10.1.0.100:443"), None, &[socket("10.2.0.12:443")]);
    let tcp = |client: &str, vip| datagram(client, vip, Transport::Tcp("S")).payload([]);
    director.heading("the mark goes before an exact service");
    let packet = tcp(CLIENT, "10.1.0.100:443");
    director.send_frame("client", marked(7, &packet));
    director.heading("without a mark, or with another, the exact service has it");
    for (client, mark) in [("10.1.0.3:1000", 0), ("10.1.0.4:1000", 8)] {
        director.send_frame("client", marked(mark, &tcp(client, "10.1.0.100:443")));
    }
    director.heading("any port, protocol and address of ours");
    director.send_frame("client", marked(7, &tcp("10.1.0.5:1000", "10.1.0.101:99")));
    let udp = datagram(CLIENT, "10.1.0.100:53", Transport::Udp);
    director.send_frame("client", marked(7, &udp));
    director.heading("an address that is not ours");
    let packet = tcp("10.1.0.6:1000", "10.1.0.50:80");
    director.send_frame("client", marked(7, &packet));
    director.heading("the other family has marks of its own");
    let packet = datagram(CLIENT6, VIP6, Transport::Tcp("S"));
    director.send_frame("client", marked(7, &packet));
    check(&director, expect_file!["golden/marks.txt"]);
}

/// One template for every address, port and protocol of a mark, with protocol 0 and the mark
/// as its address.
#[test]
fn a_mark_keeps_its_clients() {
    let mut director = Director::new(16);
    let virtual_service = VirtualService {
        persistence: Some(Persistence {
            ticks: 50 * SECOND,
            prefix: 32,
        }),
        ..service(0, "10.1.0.100:0")
    };
    let servers = ["10.2.0.11:0", "10.2.0.12:0"].map(|server| (socket(server), Method::Nat));
    let (id, _) = director.add_service(&virtual_service, &servers);
    director.mark(id, 7, 4);
    for packet in [
        datagram(CLIENT, "10.1.0.100:80", Transport::Tcp("S")),
        datagram(CLIENT, "10.1.0.101:443", Transport::Tcp("S")),
        datagram(CLIENT, "10.1.0.100:53", Transport::Udp),
    ] {
        let outcome = director.process_frame(marked(7, &packet));
        assert_eq!(outcome.verdict, Verdict::Leave, "{}", outcome.counted);
        assert_eq!(outcome.octets[33], 12);
    }
    let entries = director.entries();
    let all = entries
        .iter()
        .map(|(index, ..)| Entry((&director.tables).connection(*index).unwrap()));
    let templates: Vec<_> = all.filter(|entry| entry.is_template()).collect();
    assert_eq!(templates.len(), 1);
    let key = templates[0].key::<V4>();
    assert_eq!((key.protocol, key.ports), (0, 0));
    assert_eq!(V4::to_octets(key.receiver)[..4], [0, 0, 0, 7]);
    assert_eq!(V6::to_octets(V6::of_mark(7))[..8], [0, 0, 0, 7, 0, 0, 0, 0]);
}

/// One-packet scheduling is for UDP: a mark's other packets are of connections.
#[test]
fn one_packet_scheduling_of_a_mark_is_for_udp_only() {
    let mut director = Director::new(16);
    let virtual_service = VirtualService {
        one_packet: true,
        ..service(0, "10.1.0.100:0")
    };
    let (id, _) = director.add_service(&virtual_service, &[(socket("10.2.0.11:0"), Method::Nat)]);
    director.mark(id, 7, 4);
    director.process_frame(marked(7, &datagram(CLIENT, VIP, Transport::Udp)));
    assert_eq!(director.entries().len(), 0);
    director.process_frame(marked(7, &datagram(CLIENT, VIP, Transport::Tcp("S"))));
    assert_eq!(director.entries().len(), 2);
}

#[test]
fn every_port_of_other_protocols() {
    let mut director = one(protocol::UDP, "10.1.0.100:0", "10.2.0.11:0", Method::Nat);
    director.add_service(
        &service(protocol::SCTP, "10.1.0.100:0"),
        &[(socket("10.2.0.12:0"), Method::Nat)],
    );
    for transport in [Transport::Udp, Transport::Sctp(1), Transport::Tcp("S")] {
        let packet = datagram(CLIENT, "10.1.0.100:4321", transport);
        director.send("client", packet.octets());
    }
    director.send(
        "server",
        datagram("10.2.0.12:4321", CLIENT, Transport::Sctp(2)).octets(),
    );
    check(&director, expect_file!["golden/every_port_protocols.txt"]);
}

/// The real server is this host: the packet goes on to its stack and loses no hop.
#[test]
fn a_real_server_on_the_director_itself() {
    let mut all = Director::new(1);
    for (name, method) in [
        ("NAT", Method::Nat),
        ("direct routing", Method::Direct),
        ("tunnel", tunnel(tunnel::IPIP, SERVER)),
    ] {
        let server = if method == Method::Nat {
            "10.1.0.1:8080"
        } else {
            "10.1.0.1:80"
        };
        let mut director = one(protocol::TCP, VIP, server, method);
        director.rewrite(0, |server| server.local = true);
        all.heading(name);
        for hops in [64, 1, 0] {
            let mut packet = datagram(CLIENT, VIP, Transport::Tcp("S")).time_to_live(hops);
            packet.payload.clear();
            let outcome = director.process(packet.octets());
            assert_eq!(outcome.verdict, Verdict::Pass);
            assert_eq!(outcome.octets[22], hops);
            let left = support::packet::describe(&outcome.octets);
            all.transcript += &format!("{left}\n  counted: {}\n", outcome.counted);
        }
    }
    check(&all, expect_file!["golden/local.txt"]);
}

/// The device does not forward: what the host itself sends it would send, as IPVS does.
#[test]
fn a_device_that_does_not_forward() {
    fn not_forwarding(_: &Journey) -> Route {
        Route::NotForwarding
    }
    for method in [Method::Nat, Method::Direct, tunnel(tunnel::IPIP, SERVER)] {
        for knows_the_way in [false, true] {
            let mut director = one(protocol::TCP, VIP, SERVER, method);
            let neighbour = way(2, address("10.2.0.11"));
            if knows_the_way {
                let words = director.destination(0).0;
                let kind = words.load(destination::WAY_WORD) & 0xff << 32;
                words.store(
                    destination::WAY_WORD,
                    u64::from(neighbour.device) | kind | 4 << 40,
                );
                let [first, second] = neighbour.neighbour;
                words.store(destination::NEIGHBOUR_WORD, first);
                words.store(destination::NEIGHBOUR_WORD + 1, second);
            }
            let syn = datagram(CLIENT, VIP, Transport::Tcp("S")).octets();
            let frame = HostFrame::new(syn, not_forwarding as fn(&Journey) -> Route);
            let outcome = director.process_frame(frame);
            if knows_the_way {
                assert_eq!(outcome.departure, Some(Departure::Resolve(neighbour)));
            } else {
                assert_eq!(outcome.verdict, Verdict::Leave, "the client is told");
                assert_eq!(director.tables.reason(Reason::NoRoute), 1);
            }
        }
    }
}

#[test]
fn ipv6_extension_headers() {
    let hop_by_hop = (protocol::HOP_BY_HOP, vec![0, 0, 1, 4, 0, 0, 0, 0]);
    let routing = (protocol::ROUTING, [vec![0, 2, 4, 0], vec![0; 20]].concat());
    let destination_options = (
        protocol::DESTINATION_OPTIONS,
        [vec![0, 1, 1, 12], vec![0; 12]].concat(),
    );
    let authentication = (protocol::AUTHENTICATION, [vec![0, 4], vec![7; 22]].concat());
    let fragment = (protocol::FRAGMENT, vec![0, 0, 0, 1, 0, 0, 0, 9]);
    let server = "[fd00:2::11]:8080";
    let mut director = Director::new(16);
    for kind in [protocol::TCP, protocol::UDP, protocol::SCTP] {
        let servers = [(socket(server), Method::Nat)];
        director.add_service(&service(kind, VIP6), &servers);
    }
    let client = |transport, extensions: &[&(u8, Vec<u8>)]| Datagram {
        extensions: extensions.iter().map(|header| (*header).clone()).collect(),
        ..datagram(CLIENT6, VIP6, transport)
    };
    for (name, extensions) in [
        ("one", vec![&hop_by_hop]),
        (
            "every one",
            vec![&hop_by_hop, &destination_options, &routing, &authentication],
        ),
        ("as many as are walked", vec![&destination_options; 8]),
    ] {
        director.heading(name);
        for transport in [Transport::Tcp("S"), Transport::Udp, Transport::Sctp(1)] {
            director.send("client", client(transport, &extensions).octets());
        }
    }
    director.heading("the answer");
    let mut answer = datagram(server, CLIENT6, Transport::Udp);
    answer.extensions = vec![destination_options.clone()];
    director.send("server", answer.octets());
    director.heading("fragments, a header too many, headers without an end");
    let udp = |extensions: &[&(u8, Vec<u8>)]| client(Transport::Udp, extensions);
    director.send("client", udp(&[&fragment]).octets());
    director.send("client", udp(&[&hop_by_hop, &fragment]).octets());
    director.send("client", udp(&[&hop_by_hop; 9]).octets());
    let long = (protocol::DESTINATION_OPTIONS, vec![0; 256]);
    let mut too_long = udp(&[&long]);
    too_long.extensions[0].1[1] = 31;
    director.send("client", too_long.octets());
    let mut beyond = udp(&[&hop_by_hop]).octets();
    beyond[14 + 40 + 1] = 4;
    director.send("client", beyond);
    check(&director, expect_file!["golden/extension_headers.txt"]);
}

/// FTP servers open data connections from port 20; no service takes them.
#[test]
fn ftp_data_is_never_scheduled() {
    for (kind, transport) in [
        (protocol::TCP, Transport::Tcp("S")),
        (protocol::UDP, Transport::Udp),
    ] {
        let mut director = one(kind, VIP, SERVER, Method::Nat);
        let packet = datagram("10.1.0.2:20", VIP, transport);
        let outcome = director.process(packet.octets());
        assert_eq!(outcome.counted, "pass_not_first 1");
    }
}

fn persistent(kind: u8, method: Method) -> Director {
    let mut director = Director::new(16);
    let virtual_service = VirtualService {
        persistence: Some(Persistence {
            ticks: 50 * SECOND,
            prefix: 32,
        }),
        ..service(kind, VIP)
    };
    director.add_service(&virtual_service, &[(socket(SERVER), method)]);
    director
}

/// A client's first packet by UDP is no proof that anything came about; an answer is.
#[test]
fn an_answer_by_udp_assures_the_template() {
    let mut director = persistent(protocol::UDP, Method::Nat);
    let state = |director: &Director| {
        let entries = director.entries();
        let is_template =
            |index: u32| Entry((&director.tables).connection(index).unwrap()).is_template();
        let template = entries.iter().find(|(index, ..)| is_template(*index));
        template.expect("a template").2.state
    };
    director.process(datagram(CLIENT, VIP, Transport::Udp).octets());
    director.process(datagram(CLIENT, VIP, Transport::Udp).octets());
    assert_eq!(state(&director), 0);
    director.process(datagram(SERVER, CLIENT, Transport::Udp).octets());
    assert_eq!(state(&director), TEMPLATE_ASSURED);
}

/// A service whose persistence is edited leaves the templates that it has as they are.
#[test]
fn a_template_lasts_as_long_as_its_service_said_when_it_was_made() {
    let mut director = persistent(protocol::TCP, Method::Nat);
    let other_client = "10.1.0.3:2000";
    let expires = |director: &Director, client: &str| {
        let client = socket(client).ip();
        let entries = director.entries();
        let mut templates = entries.iter().filter_map(|(index, _, life)| {
            let entry = Entry((&director.tables).connection(*index).unwrap());
            let key = entry.key::<V4>();
            let is_its =
                entry.is_template() && std::net::IpAddr::from(key.sender.to_ne_bytes()) == client;
            is_its.then_some(life.expires)
        });
        templates
            .next()
            .expect("a template")
            .wrapping_sub(director.now)
    };
    director.process(datagram(CLIENT, VIP, Transport::Tcp("S")).octets());
    assert_eq!(expires(&director, CLIENT), 50 * SECOND);
    let words = (&director.tables).service(0).unwrap();
    words.store(PERSISTENCE_WORD, (70_000 * SECOND).into());
    director.wait(10 * SECOND);
    director.process(datagram("10.1.0.2:2001", VIP, Transport::Tcp("S")).octets());
    assert_eq!(expires(&director, CLIENT), 50 * SECOND);
    director.process(datagram(other_client, VIP, Transport::Tcp("S")).octets());
    assert_eq!(expires(&director, other_client), 70_000 * SECOND);
    director.wait(10 * SECOND);
    director.process(datagram("10.1.0.3:2001", VIP, Transport::Tcp("S")).octets());
    assert_eq!(expires(&director, other_client), 70_000 * SECOND);
}

/// Of a client that keeps its destination a SYN goes on with the connection that was over.
#[test]
fn a_syn_under_a_template_begins_no_new_connection() {
    let mut director = persistent(protocol::TCP, Method::Nat);
    let client = |flags| datagram(CLIENT, VIP, Transport::Tcp(flags)).octets();
    director.process(client("S"));
    director.process(client("R"));
    director.process(datagram(SERVER, CLIENT, Transport::Tcp("R")).octets());
    let outcome = director.process(client("S"));
    assert_eq!(outcome.verdict, Verdict::Leave);
    assert!(
        !outcome.counted.contains("connections"),
        "{}",
        outcome.counted
    );
}

/// By NAT the answers of a real server that is this host leave as the virtual service's, whole,
/// with no hop less; nothing else that leaves is touched or counted.
#[test]
fn answers_of_this_host_leave_as_the_virtual_service_s() {
    for (client, vip, server) in [
        (CLIENT, VIP, "10.2.0.11:8080"),
        (CLIENT6, VIP6, "[fd00:2::11]:8080"),
    ] {
        for transport in [Transport::Tcp("SA"), Transport::Udp] {
            let protocol = match transport {
                Transport::Udp => protocol::UDP,
                _ => protocol::TCP,
            };
            let mut director = one(protocol, vip, server, Method::Nat);
            director.rewrite(0, |server| server.local = true);
            let opening = match transport {
                Transport::Udp => Transport::Udp,
                _ => Transport::Tcp("S"),
            };
            let arrived = director.process(datagram(client, vip, opening.clone()).octets());
            assert_eq!(arrived.verdict, Verdict::Pass);
            assert_eq!(arrived.octets, datagram(client, server, opening).octets());

            let leaving = |from: &str, to: &str| {
                let octets = datagram(from, to, transport.clone()).octets();
                let mut frame = HostFrame::new(octets, routes as fn(&Journey) -> Route);
                let counted = director.tables.reason(Reason::ForwardedToClient);
                let verdict = leave(&mut frame, &&director.tables, director.now);
                assert_eq!(verdict, Verdict::Pass);
                let counted = director.tables.reason(Reason::ForwardedToClient) - counted;
                (frame.octets, counted)
            };
            let (octets, counted) = leaving(server, client);
            assert_eq!(octets, datagram(vip, client, transport.clone()).octets());
            assert_eq!(counted, 1);
            for (from, to) in [(client, vip), (client, server), (vip, client)] {
                let (octets, counted) = leaving(from, to);
                assert_eq!(octets, datagram(from, to, transport.clone()).octets());
                assert_eq!(counted, 0);
            }
            // Of a real server elsewhere the programs have seen answers when they arrived.
            director.rewrite(0, |server| server.local = false);
            let octets = datagram(server, client, transport.clone()).octets();
            let mut frame = HostFrame::new(octets.clone(), routes as fn(&Journey) -> Route);
            leave(&mut frame, &&director.tables, director.now);
            assert_eq!(frame.octets, octets);
        }
    }
}
