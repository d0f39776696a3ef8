//! Packets that come in fragments, and packets that have to leave in some.

use std::net::{SocketAddr, UdpSocket};

use elver_lab::wait::{self, Look};
use elver_sys::frame_sender::FrameSender;

use crate::network::{DIRECT, Hosts, LIMIT, Network, PORT, REAL, Transport, VIP};

/// Octets of a datagram that takes several frames.
const LARGE: usize = 4000;

fn every_method_in_fragments(network: &Network) {
    for family in [0, 1] {
        let vip = SocketAddr::new(VIP[family].parse().expect("an address"), PORT);
        for (option, server) in [("-m", REAL), ("-g", DIRECT)] {
            let server = SocketAddr::new(server[family].parse().expect("an address"), PORT);
            network.serve(Transport::Udp, vip, server, &[option]);
            for octets in [LARGE, 1473, 20_000] {
                network.exchange(vip, octets);
            }
            network.cease(Transport::Udp, vip);
        }
    }
}

#[test]
fn datagrams_in_fragments_come_through_at_tc() {
    every_method_in_fragments(&Network::new("fragments-tc", &["--hook", "tc"]));
}

#[test]
fn datagrams_in_fragments_come_through_behind_xdp() {
    let network = Network::new("fragments-xdp", &["--hook", "xdp"]);
    every_method_in_fragments(&network);
    assert!(network.packets()["punt_fragment"] > 0);
}

/// Statistics are those of whole packets, as if they had been put together first.
#[test]
fn a_packet_in_fragments_counts_as_one() {
    let network = Network::new("fragments-counted", &[]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(REAL[0].parse().expect("an address"), PORT);
    network.serve(Transport::Udp, vip, server, &["-m"]);
    network.exchange(vip, LARGE);
    let listing = network
        .director
        .ipvsadm(&["-L", "-n", "--stats", "--exact"])
        .expect("a listing");
    let line = listing
        .lines()
        .find(|line| line.contains("-> 10.2.0.2:8080"))
        .expect("the real server");
    let counts: Vec<&str> = line.split_whitespace().skip(2).collect();
    let octets = (20 + 8 + LARGE).to_string();
    assert_eq!(counts, ["1", "1", "1", &octets, &octets]);
}

/// The Ethernet address of the director's device.
fn director_mac(network: &Network) -> [u8; 6] {
    let shown = network.host.ip(&["-o", "link", "show", "dev", "eth0"]);
    let shown = shown.expect("a link");
    let mut words = shown
        .split_whitespace()
        .skip_while(|word| *word != "link/ether");
    let text = words.nth(1).expect("an address");
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16));
    let octets: Result<Vec<u8>, _> = octets.collect();
    octets.expect("digits").try_into().expect("six octets")
}

/// A datagram of the client's in two IPv4 frames, the first of so many octets of payload.
fn two_fragments(mac: [u8; 6], client_port: u16, payload: &[u8], first: usize) -> [Vec<u8>; 2] {
    let mut datagram = Vec::new();
    datagram.extend(client_port.to_be_bytes());
    datagram.extend(PORT.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    // No checksum.
    datagram.extend([0; 2]);
    datagram.extend(payload);
    let frame = |octets: &[u8], flags: u16| {
        let mut header = vec![0x45, 0];
        header.extend((20 + octets.len() as u16).to_be_bytes());
        header.extend([0xab, 0xcd]);
        header.extend(flags.to_be_bytes());
        header.extend([64, 17, 0, 0, 10, 1, 0, 2, 10, 1, 0, 100]);
        let sum: u32 = header
            .chunks(2)
            .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        header[10..12].copy_from_slice(&(!folded as u16).to_be_bytes());
        [&mac[..], &[2, 0, 0, 0, 0, 9], &[8, 0], &header, octets].concat()
    };
    let (start, rest) = datagram.split_at(first);
    [frame(start, 0x2000), frame(rest, (first / 8) as u16)]
}

/// The socket of the client, and its device's number.
fn client(network: &Network, vip: SocketAddr) -> (UdpSocket, FrameSender, u32) {
    let socket = network.datagrams(vip);
    let shown = network.client.ip(&["-o", "link", "show", "dev", "eth0"]);
    let shown = shown.expect("a link");
    let index = shown.split(':').next().expect("a number");
    let index = index.parse().expect("a number");
    let sender = network.client.run(FrameSender::open);
    (
        socket,
        sender.expect("a namespace").expect("a socket"),
        index,
    )
}

/// A later fragment that overtakes the first waits for it, and is not lost.
#[test]
fn fragments_out_of_order_come_through() {
    let network = Network::new("fragments-order", &[]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(REAL[0].parse().expect("an address"), PORT);
    network.serve(Transport::Udp, vip, server, &["-m"]);
    let (socket, sender, device) = client(&network, vip);
    let port = socket.local_addr().expect("an address").port();
    let payload: Vec<u8> = (0..1200).map(|octet| octet as u8).collect();
    let [first, later] = two_fragments(director_mac(&network), port, &payload, 808);
    let before = network.packets().get("handed_over").copied().unwrap_or(0);
    sender.send(device, &later).expect("a frame leaves");
    wait::until("the fragment to be held", LIMIT, || {
        let after = network.packets().get("handed_over").copied().unwrap_or(0);
        Ok(if after == before + 1 {
            Look::Met(())
        } else {
            Look::NotYet(format!("{after}"))
        })
    })
    .expect("a fragment that is held");
    sender.send(device, &first).expect("a frame leaves");
    let mut back = vec![0; 1 << 16];
    let length = socket.recv(&mut back).expect("a datagram comes back");
    assert_eq!(back[..length], payload);
}

/// A fragment that has nothing to do with a service is none of the director's business.
#[test]
fn fragments_for_nobody_are_not_held() {
    let network = Network::new("fragments-others", &[]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let (socket, sender, device) = client(&network, vip);
    let port = socket.local_addr().expect("an address").port();
    let [_, later] = two_fragments(director_mac(&network), port, &[7; 1200], 808);
    let before = network.packets();
    sender.send(device, &later).expect("a frame leaves");
    wait::until("the fragment to pass", LIMIT, || {
        let after = network.packets();
        Ok(
            if after.get("pass_fragment") > before.get("pass_fragment") {
                Look::Met(())
            } else {
                Look::NotYet(format!("{after:?}"))
            },
        )
    })
    .expect("a fragment that passes");
    assert_eq!(network.packets().get("handed_over"), None);
}

/// What is too large for its way, and may be cut, arrives in fragments.
#[test]
fn packets_that_may_be_cut_are_cut() {
    let network = Network::new("fragments-cut", &[]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(REAL[0].parse().expect("an address"), PORT + 1);
    network.serve(Transport::Udp, vip, server, &["-m"]);
    // Datagrams of these hosts may be cut on their way: those of sockets that are made now.
    for host in [&network.client, &network.server] {
        host.set_sysctl("net/ipv4/ip_no_pmtu_disc", "1")
            .expect("no discovery");
    }
    Hosts::answer_datagrams(&network.server, server);
    for (network_address, device) in [("10.2.0.0/24", "eth1"), ("10.1.0.0/24", "eth0")] {
        let route = ["route", "replace", network_address, "dev", device];
        let narrow = [&route[..], &["mtu", "lock", "900"]].concat();
        network.host.ip(&narrow).expect("a narrow way");
        let before = network.packets().get("handed_over").copied().unwrap_or(0);
        network.exchange(vip, 1400);
        let after = network.packets()["handed_over"];
        assert!(after > before, "nothing was cut");
        network.host.ip(&route).expect("a wide way");
    }
}
