//! Clients and real servers on the director.

use std::net::{SocketAddr, UdpSocket};

use elver_lab::wait;
use rustix::process::Signal;

use crate::network::{Hosts, LIMIT, Network, PORT, REAL, Transport, VIP};

/// Octets that a client sends and wants back.
const CONVERSATION: usize = 100_001;

#[test]
fn a_client_on_the_director_reaches_the_real_servers() {
    let network = Network::new("hooks-here", &[]);
    for family in [0, 1] {
        let vip = SocketAddr::new(VIP[family].parse().expect("an address"), PORT);
        let server = SocketAddr::new(REAL[family].parse().expect("an address"), PORT);
        // Such a client has the virtual address; a server that has it too keeps its answers.
        let length = if vip.is_ipv4() { 32 } else { 128 };
        let address = format!("{}/{length}", vip.ip());
        let remove = ["address", "delete", &address, "dev", "lo"];
        network.server.ip(&remove).expect("an address that goes");
        network.serve(Transport::Tcp, vip, server, &["-m"]);
        Hosts::open_from(&network.host, vip).echo(CONVERSATION);
        network.cease(Transport::Tcp, vip);

        network.serve(Transport::Udp, vip, server, &["-m"]);
        let own = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = network.host.run(|| {
            let socket = UdpSocket::bind(own)?;
            socket.connect(vip)?;
            socket.set_read_timeout(Some(wait::limit_here(LIMIT)))?;
            socket.send(b"a datagram")?;
            std::io::Result::Ok(socket)
        });
        let socket = socket.expect("a namespace").expect("a socket");
        let mut back = [0; 64];
        let length = socket
            .recv(&mut back)
            .unwrap_or_else(|error| panic!("nothing comes back: {error}; {:?}", network.packets()));
        assert_eq!(&back[..length], b"a datagram");
        network.cease(Transport::Udp, vip);
    }
}

/// The director is the real server, at another address and port: its answers are seen as they
/// leave, and a client that asks it directly is answered as ever.
#[test]
fn the_director_is_a_real_server_by_nat() {
    const SERVER: [&str; 2] = ["10.1.0.1", "fd00:1::1"];
    let mut network = Network::new("hooks-here-nat", &[]);
    let answer = |network: &Network| {
        let packets = network.packets();
        let count = packets.get("forwarded_to_client").copied();
        count.unwrap_or(0)
    };
    for family in [0, 1] {
        let vip = SocketAddr::new(VIP[family].parse().expect("an address"), PORT);
        let server = SocketAddr::new(SERVER[family].parse().expect("an address"), PORT + 1);
        Hosts::answer_streams(&network.host, server);
        Hosts::answer_datagrams(&network.host, server);
        for transport in [Transport::Tcp, Transport::Udp] {
            network.serve(transport, vip, server, &["-m"]);
            let before = answer(&network);
            network.converse(transport, vip, CONVERSATION);
            assert!(answer(&network) > before, "{:?}", network.packets());
            let listed = network
                .director
                .ipvsadm(&["-Ln", "--stats"])
                .expect("a list");
            let server_line = listed
                .lines()
                .find(|line| line.contains("->") && line.contains("8081"));
            let counts: Vec<&str> = server_line
                .expect("a real server")
                .split_whitespace()
                .collect();
            assert!(counts.iter().all(|count| *count != "0"), "{listed}");
            // A client of the real server itself meets nobody on the way.
            if matches!(transport, Transport::Tcp) {
                Hosts::open_from(&network.client, server).echo(CONVERSATION);
            }
            network.cease(transport, vip);
        }
    }
    // The next director takes over what leaves, and puts nothing there that nobody needs.
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(SERVER[0].parse().expect("an address"), PORT + 1);
    network.serve(Transport::Tcp, vip, server, &["-m"]);
    let mut conversation = network.open(vip);
    conversation.echo(CONVERSATION);
    network
        .director
        .program()
        .signal(Signal::KILL)
        .expect("a signal");
    network.director.program().wait(LIMIT).expect("its end");
    conversation.echo(CONVERSATION);
    network.start(&[]);
    conversation.echo(CONVERSATION);
    network.converse(Transport::Tcp, vip, CONVERSATION);
}

/// What leaves in fragments, and the error of a port that nobody listens at, are the virtual
/// service's as well.
#[test]
fn fragments_and_errors_of_the_director_reach_its_clients() {
    const SERVER: [&str; 2] = ["10.1.0.1", "fd00:1::1"];
    const DATAGRAM: usize = 5001;
    let network = Network::new("hooks-here-pieces", &[]);
    for family in [0, 1] {
        let vip = SocketAddr::new(VIP[family].parse().expect("an address"), PORT);
        let server = SocketAddr::new(SERVER[family].parse().expect("an address"), PORT + 1);
        Hosts::answer_datagrams(&network.host, server);
        network.serve(Transport::Udp, vip, server, &["-m"]);
        for _ in 0..3 {
            network.exchange(vip, DATAGRAM);
        }
        let closed_vip = SocketAddr::new(vip.ip(), PORT + 5);
        let closed = SocketAddr::new(server.ip(), PORT + 6);
        network.serve(Transport::Udp, closed_vip, closed, &["-m"]);
        let socket = network.datagrams(closed_vip);
        // The first may be lost while somebody looks for a neighbour.
        let refused = (0..5).any(|_| {
            let sent = socket.send(b"a datagram");
            let error = sent.and_then(|_| socket.recv(&mut [0; 64])).err();
            error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
        });
        assert!(refused, "{closed_vip}: {:?}", network.packets());
    }
}
