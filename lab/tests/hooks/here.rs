//! Clients on the director.

use std::net::{SocketAddr, UdpSocket};

use elver_lab::wait;

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
