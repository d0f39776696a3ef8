//! What IPVS has a setting for and does only if it is asked to: `drop_packet`, `secure_tcp`,
//! `nat_icmp_send`, `schedule_icmp`, `backup_only`. What the kernel does was recorded in traces.

mod support;

use elver_packet::flow;
use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{HostFrame, Journey, Method, Persistence, VirtualService};
use elver_packet::process::leave;
use elver_packet::reason::Reason;
use elver_packet::table::connection::{Entry, has_expired};
use elver_packet::table::fragment::Endpoint;
use elver_packet::table::settings::{
    BEHAVIOUR_WORD, DROP_RATE_WORD, ON_STANDBY, VERSION_WORD, behaviour,
};
use elver_packet::table::{Tables, Words};
use elver_packet::wire::protocol;
use support::datagram::{Transport, datagram};
use support::icmp::{Error, describe, packet};
use support::packet::segment;
use support::{Director, SECOND, routes, socket};

const CLIENT: &str = "10.1.0.2:1000";
const VIP: &str = "10.1.0.100:80";
const SERVER: &str = "10.2.0.11:8080";
const CLIENT6: &str = "[fd00:1::2]:1000";
const VIP6: &str = "[fd00:1::100]:80";
const SERVER6: &str = "[fd00:2::11]:8080";
const FAMILIES: [[&str; 3]; 2] = [[CLIENT, VIP, SERVER], [CLIENT6, VIP6, SERVER6]];

fn with(flags: u32) -> Director {
    let director = Director::new(16);
    let settings = (&director.tables).settings().unwrap();
    settings.store(BEHAVIOUR_WORD, (behaviour::DEFAULT | flags).into());
    director
}

/// The address of `address:port`.
fn host(text: &str) -> String {
    socket(text).ip().to_string()
}

/// An error about a packet, from its receiver.
fn unreachable(from: &str, to: &str, about: &[u8]) -> Vec<u8> {
    let [number, code] = if socket(to).is_ipv4() { [3, 3] } else { [1, 4] };
    Error::new(number, code, 0).about(&host(from), &host(to), packet(about))
}

/// The state of the connection that there is, by its name.
fn state(director: &Director) -> &'static str {
    let (index, ..) = director.entries()[0];
    let entry = Entry((&director.tables).connection(index).unwrap());
    let peer = Entry((&director.tables).connection(entry.peer()).unwrap());
    let forward = if matches!(
        entry.direction(),
        elver_packet::table::connection::Direction::Forward
    ) {
        entry
    } else {
        peer
    };
    flow::name(protocol::TCP, forward.life().state)
}

/// As traced: with `am_droprate` 3 the packets 1, 4, 7 and 10 of twelve are dropped.
#[test]
fn one_of_so_many_opening_packets_is_dropped() {
    for [client, vip, server] in FAMILIES {
        let mut director = with(0);
        director.add(socket(vip), None, &[socket(server)]);
        let settings = (&director.tables).settings().unwrap();
        settings.store(DROP_RATE_WORD, 3);
        let mut fates = String::new();
        for port in 1..=12u16 {
            let mut from = socket(client);
            from.set_port(2000 + port);
            let outcome = director.process(segment(&from.to_string(), vip, "S").octets());
            fates.push(match outcome.verdict {
                Verdict::Drop => '-',
                Verdict::Leave => '+',
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(fates, "-++-++-++-++");
        assert_eq!(director.tables.reason(Reason::Sacrificed), 4);
        // Packets of connections that there are never are.
        let mut from = socket(client);
        from.set_port(2002);
        let known = segment(&from.to_string(), vip, "A").octets();
        for _ in 0..6 {
            assert_eq!(director.process(known.clone()).verdict, Verdict::Leave);
        }
    }
}

/// As traced: with `secure_tcp` 3 a handshake by NAT is over once the real server has sent
/// something after it.
#[test]
fn secure_connections_come_about_by_an_answer() {
    let mut director = with(behaviour::SECURE_TCP);
    director.add(socket(VIP), None, &[socket(SERVER)]);
    let from_client = |flags| segment(CLIENT, VIP, flags).octets();
    let from_server = |flags| segment(SERVER, CLIENT, flags).octets();
    let mut states = Vec::new();
    for octets in [
        from_client("S"),
        from_server("SA"),
        from_client("A"),
        from_client("A"),
        from_server("A"),
    ] {
        director.process(octets);
        states.push(state(&director));
    }
    assert_eq!(
        states,
        ["SYN_RECV", "SYNACK", "SYNACK", "SYNACK", "ESTABLISHED"]
    );
}

fn tell_of_real_server(director: &Director, server: &str, protocol: u8) {
    let server = socket(server);
    let endpoint = match server.ip() {
        std::net::IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            (octets, 4)
        }
        std::net::IpAddr::V6(address) => (address.octets(), 6),
    };
    let endpoint = Endpoint {
        address: endpoint.0,
        port: server.port().to_be_bytes(),
        protocol,
        family: endpoint.1,
    };
    director.tables.endpoints.lock().unwrap().insert(endpoint);
}

/// What a real server sends without a connection is answered, unless it is a reset; other ports
/// and hosts are left alone, and so is everything without `nat_icmp_send`.
#[test]
fn a_real_server_is_told_of_what_belongs_to_no_connection() {
    for [client, _, server] in FAMILIES {
        for transport in [Transport::Tcp("A"), Transport::Tcp("S"), Transport::Udp] {
            let protocol = match transport {
                Transport::Udp => protocol::UDP,
                _ => protocol::TCP,
            };
            // Of a service with a firewall mark any protocol is a real server's.
            for known_as in [protocol, 0] {
                let mut director = with(behaviour::NAT_ICMP_SEND);
                tell_of_real_server(&director, server, known_as);
                let stray = datagram(server, client, transport.clone()).octets();
                let outcome = director.process(stray.clone());
                assert_eq!(outcome.verdict, Verdict::Leave);
                assert_eq!(outcome.counted, "drop_stray 1; answered 1");
                let expected = unreachable(client, server, &stray);
                let (said, expected) = (describe(&outcome.octets), describe(&expected));
                assert!(!said.contains("WRONG"), "{said}");
                // Its own header is not the same: class and DF of errors.
                let about = |text: &str| text[text.find("ICMP").unwrap()..].to_owned();
                assert_eq!(about(&said), about(&expected));
                let ends = format!("{} > {}", host(client), host(server));
                assert!(said.starts_with(&ends), "{said}");

                let passes = |director: &mut Director, octets: Vec<u8>| {
                    let outcome = director.process(octets);
                    assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.counted);
                };
                let mut other = socket(server);
                other.set_port(8081);
                let other = other.to_string();
                passes(
                    &mut director,
                    datagram(&other, client, transport.clone()).octets(),
                );
                if protocol == protocol::TCP {
                    let reset = datagram(server, client, Transport::Tcp("RA"));
                    passes(&mut director, reset.octets());
                }
                let mut director = with(0);
                tell_of_real_server(&director, server, known_as);
                passes(&mut director, stray);
            }
        }
    }
}

/// An error about no connection opens one, of the kernel's three seconds in state NONE, and goes
/// to its real server; as traced.
#[test]
fn an_error_opens_the_connection_that_it_is_about() {
    for [client, vip, server] in FAMILIES {
        for method in [Method::Nat, Method::Direct] {
            let mut director = with(behaviour::SCHEDULE_ICMP);
            let (_, id) = director.add(socket(vip), None, &[socket(server)]);
            director.rewrite(id, |server| server.method = method);
            let answer = segment(vip, client, "A").octets();
            let outcome = director.process(unreachable(client, vip, &answer));
            assert_eq!(outcome.verdict, Verdict::Leave, "{}", outcome.counted);
            let said = describe(&outcome.octets);
            assert!(!said.contains("WRONG"), "{said}");
            let (to, about) = match method {
                Method::Nat => (server, server),
                _ => (vip, vip),
            };
            assert!(
                said.starts_with(&format!("{} > {}", host(client), host(to))),
                "{said}"
            );
            let about = format!("{{{} > {}", host(about), host(client));
            assert!(said.contains(&about), "{said}");
            assert_eq!(state(&director), "NONE");
            let (_, _, life) = director.entries()[0];
            assert!(!has_expired(
                life,
                director.now.wrapping_add(3 * SECOND - 1)
            ));
            assert!(has_expired(life, director.now.wrapping_add(3 * SECOND + 1)));
            // It is the client's connection: its next segment follows it.
            let outcome = director.process(segment(client, vip, "A").octets());
            assert_eq!(outcome.verdict, Verdict::Leave);
        }
        let mut director = with(0);
        director.add(socket(vip), None, &[socket(server)]);
        let answer = segment(vip, client, "A").octets();
        let outcome = director.process(unreachable(client, vip, &answer));
        assert_eq!(outcome.verdict, Verdict::Pass);
        assert_eq!(outcome.counted, "pass_unrelated_error 1");
    }
}

/// An error about a packet to no service opens nothing.
#[test]
fn an_error_about_no_service_is_left_alone() {
    for [client, vip, server] in FAMILIES {
        let mut director = with(behaviour::SCHEDULE_ICMP);
        director.add(socket(vip), None, &[socket(server)]);
        let mut other = socket(vip);
        other.set_port(81);
        let answer = segment(&other.to_string(), client, "A").octets();
        let outcome = director.process(unreachable(client, vip, &answer));
        assert_eq!(outcome.verdict, Verdict::Pass);
        assert_eq!(director.entries(), []);
    }
}

/// With `expire_nodest_conn` a client that persistence leads to a real server of weight 0 is still
/// served there: its connection was opened and taken out again without end.
#[test]
fn a_template_leads_to_a_quiescent_real_server() {
    for [client, vip, server] in FAMILIES {
        let mut director = with(behaviour::EXPIRE_NODEST_CONN);
        let prefix = if socket(vip).is_ipv4() { 32 } else { 128 };
        let persistence = Persistence {
            ticks: 300 * SECOND,
            prefix,
        };
        let (_, id) = director.add(socket(vip), Some(persistence), &[socket(server)]);
        let syn = segment(client, vip, "S").octets();
        assert_eq!(director.process(syn.clone()).verdict, Verdict::Leave);
        director.rewrite(id, |server| server.weight = 0);
        for _ in 0..2 {
            assert_eq!(director.process(syn.clone()).verdict, Verdict::Leave);
        }
        assert_eq!(director.tables.reason(Reason::ForwardedToServer), 3);
    }
}

/// On standby everything is left alone, connections that there are as well.
#[test]
fn a_director_on_standby_touches_nothing() {
    for [client, vip, server] in FAMILIES {
        let mut director = with(0);
        director.add(socket(vip), None, &[socket(server)]);
        director.process(segment(client, vip, "S").octets());
        let settings = (&director.tables).settings().unwrap();
        let version = settings.load(VERSION_WORD);
        settings.store(VERSION_WORD, version | ON_STANDBY);
        for octets in [
            segment(client, vip, "A").octets(),
            segment(server, client, "SA").octets(),
        ] {
            let outcome = director.process(octets.clone());
            assert_eq!(outcome.verdict, Verdict::Pass);
            assert_eq!(outcome.counted, "pass_not_ready 1");
            assert_eq!(outcome.octets, octets);
        }
        let settings = (&director.tables).settings().unwrap();
        settings.store(VERSION_WORD, version);
        let outcome = director.process(segment(client, vip, "A").octets());
        assert_eq!(outcome.verdict, Verdict::Leave);
    }
}

/// A real server by NAT that is this host, with a connection of UDP.
fn here(client: &str, vip: &str, server: &str) -> Director {
    let mut director = with(0);
    let service = VirtualService {
        protocol: protocol::UDP,
        ..VirtualService::new(socket(vip).ip(), socket(vip).port())
    };
    director.add_service(&service, &[(socket(server), Method::Nat)]);
    director.rewrite(0, |server| server.local = true);
    let arrived = director.process(datagram(client, vip, Transport::Udp).octets());
    assert_eq!(arrived.verdict, Verdict::Pass);
    director
}

fn leaving(director: &Director, octets: Vec<u8>) -> Vec<u8> {
    let mut frame = HostFrame::new(octets, routes as fn(&Journey) -> Route);
    let verdict = leave(&mut frame, &&director.tables, director.now);
    assert_eq!(verdict, Verdict::Pass);
    frame.octets
}

/// A port that nobody listens at, on a real server that is this host: the client hears of it from
/// the virtual address, about the packet that it sent.
#[test]
fn errors_of_this_host_leave_as_the_virtual_service_s() {
    for [client, vip, server] in FAMILIES {
        let director = here(client, vip, server);
        let arrived = datagram(client, server, Transport::Udp).octets();
        let left = leaving(&director, unreachable(server, client, &arrived));
        let sent = datagram(client, vip, Transport::Udp).octets();
        assert_eq!(describe(&left), describe(&unreachable(vip, client, &sent)));
        // About another's packet it leaves as it is.
        let other = server.replace("8080", "8081");
        let other = datagram(client, &other, Transport::Udp).octets();
        let error = unreachable(server, client, &other);
        assert_eq!(leaving(&director, error.clone()), error);
    }
}

/// A datagram that leaves in pieces: each has the virtual address.
#[test]
fn fragments_of_this_host_leave_as_the_virtual_service_s() {
    let director = here(CLIENT, VIP, SERVER);
    tell_of_real_server(&director, SERVER, protocol::UDP);
    let own = Endpoint {
        port: [0; 2],
        protocol: 0,
        ..*director
            .tables
            .endpoints
            .lock()
            .unwrap()
            .iter()
            .next()
            .unwrap()
    };
    director.tables.endpoints.lock().unwrap().insert(own);
    let mut first = datagram(SERVER, CLIENT, Transport::Udp).octets();
    set_fragment(&mut first, [0x20, 0]);
    let mut second = datagram(SERVER, CLIENT, Transport::Udp).octets();
    set_fragment(&mut second, [0, 3]);
    // The second one without the first is nobody's.
    assert_eq!(leaving(&director, second.clone()), second);
    for fragment in [first, second] {
        let left = leaving(&director, fragment);
        assert!(describe(&left).starts_with("10.1.0.100 > 10.1.0.2"));
        assert!(describe(&left).contains("header sum right"));
    }
    assert_eq!(director.tables.reason(Reason::ForwardedToClient), 2);
}

fn set_fragment(frame: &mut [u8], flags: [u8; 2]) {
    frame[20..22].copy_from_slice(&flags);
    frame[24..26].copy_from_slice(&[0, 0]);
    let sum = frame[14..34]
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}
