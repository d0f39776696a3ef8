//! Every forwarding method over both hooks, with real traffic: at tc alone, and at XDP, where
//! nothing of it may be left to tc.
//!
//! The program under test is the one that the variable `ELVER` names, or else the one
//! that `cargo build -p elver` put beside the tests.

mod defence;
mod fragments;
mod here;
mod network;
mod tunnels;
mod ways;

use std::net::{IpAddr, SocketAddr};

use elver_lab::capture::Capture;
use elver_lab::decode::Decoded;
use elver_lab::wait::{self, Look};
use rustix::process::Signal;

use crate::network::{DIRECT, LIMIT, Network, PORT, REAL, Transport, VIP, elver, ethtool};

const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// Kinds of tunnels, with the options of ipvsadm for them and what packets look like.
const TUNNELS: [(&str, &[&str]); 3] = [
    ("ipip", &["--tun-type", "ipip"]),
    ("gre", &["--tun-type", "gre"]),
    ("gue", &["--tun-type", "gue", "--tun-port", "5555"]),
];

/// Octets that a client sends and wants back: some packets, the last one short.
const CONVERSATION: usize = 100_001;

/// What packets a hook sees that no virtual service has to do with: neighbours looking for
/// each other.
const UNCLAIMED: [&str; 3] = ["punt_not_for_us", "punt_not_ip", "punt_not_transport"];

/// Does something, and asserts that packets were forwarded meanwhile, and that XDP left none
/// that it claims to tc.
fn all_is_forwarded(network: &Network, what: &str, deed: impl FnOnce()) {
    let before = network.packets();
    deed();
    let after = network.packets();
    let moved = |name: &str| {
        let count = |packets: &std::collections::BTreeMap<String, u64>| {
            packets.get(name).copied().unwrap_or(0)
        };
        count(&after) - count(&before)
    };
    assert!(moved("forwarded_to_server") > 0, "{what}: {after:?}");
    for name in after.keys() {
        let is_trouble = name.starts_with("drop_")
            || name.starts_with("punt_") && !UNCLAIMED.contains(&name.as_str());
        assert!(
            !is_trouble || moved(name) == 0,
            "{what}: {name} {}",
            moved(name)
        );
    }
}

fn every_method(network: &Network) {
    for family in [0, 1] {
        let vip = SocketAddr::new(VIP[family].parse().expect("an address"), PORT);
        for transport in TRANSPORTS {
            for (name, option, server) in [("NAT", "-m", REAL), ("DR", "-g", DIRECT)] {
                let server = SocketAddr::new(server[family].parse().expect("an address"), PORT);
                let what = format!("{name}, {transport:?}, {vip}");
                network.serve(transport, vip, server, &[option]);
                all_is_forwarded(network, &what, || {
                    for _ in 0..3 {
                        network.converse(transport, vip, CONVERSATION);
                    }
                });
                network.cease(transport, vip);
            }
        }
        for (inner, outer) in [(family, 0), (family, 1)] {
            for (kind, options) in TUNNELS {
                let vip = SocketAddr::new(VIP[inner].parse().expect("an address"), PORT);
                let server = SocketAddr::new(REAL[outer].parse().expect("an address"), PORT);
                let what = format!("TUN {kind}, {vip} to {server}");
                network.serve(Transport::Udp, vip, server, &[&["-i"], options].concat());
                let capture = Capture::start(&network.server, "eth0").expect("a capture");
                all_is_forwarded(network, &what, || {
                    network.send(vip, 20);
                    arrive_in_tunnel(&capture, kind, server.ip(), 20, &what);
                });
                network.cease(Transport::Udp, vip);
            }
        }
    }
}

/// Waits until so many packets have arrived in a tunnel.
fn arrive_in_tunnel(capture: &Capture, kind: &str, server: IpAddr, packets: usize, what: &str) {
    let is_tunnelled = |decoded: Decoded| match decoded {
        Decoded::Ip {
            destination,
            protocol,
            ..
        } => destination == server && matches!((kind, protocol), ("ipip", 4 | 41) | ("gre", 47)),
        Decoded::Udp { destination, .. } => {
            kind == "gue" && destination == SocketAddr::new(server, 5555)
        }
        _ => false,
    };
    wait::until(what, LIMIT, || {
        let frames = capture.frames();
        let arrived = frames
            .iter()
            .filter(|frame| is_tunnelled(frame.decode()))
            .count();
        Ok(if arrived == packets {
            Look::Met(())
        } else {
            Look::NotYet(format!("{arrived} of {packets}, among {frames:?}"))
        })
    })
    .expect("packets in a tunnel");
}

#[test]
fn every_method_at_tc() {
    let network = Network::new("hooks-tc", &["--hook", "tc"]);
    let status = network.director.status().expect("a status");
    assert!(status.contains("no XDP: as told by --hook tc"), "{status}");
    every_method(&network);
    assert!(
        network
            .packets()
            .keys()
            .all(|name| !name.starts_with("punt_")),
        "XDP saw packets"
    );
}

#[test]
fn every_method_at_xdp() {
    let network = Network::new("hooks-xdp", &["--hook", "xdp"]);
    assert!(network.has_xdp());
    every_method(&network);
}

#[test]
fn veth_devices_are_left_to_tc() {
    let network = Network::new("hooks-auto", &[]);
    let status = network.director.status().expect("a status");
    assert!(
        status.contains("no XDP: veth devices are no network cards"),
        "{status}"
    );
    assert!(!network.has_xdp());
}

#[test]
fn a_device_that_cannot_have_xdp_ends_a_start_that_insists_on_it() {
    let network = Network::without_director("hooks-impossible");
    network
        .host
        .ip(&["link", "add", "bridge0", "type", "bridge"])
        .expect("a bridge");
    let mut command = network.host.command(elver()).expect("a command");
    command.args(["run", "--hook", "xdp", "-f"]);
    command.arg(network.configuration());
    command.args(["--instance", network.host.namespace_name()]);
    let output = network.host.output(command, LIMIT).expect("an end");
    assert!(
        output
            .stderr
            .contains("--hook xdp: bridge0 cannot have XDP"),
        "{}",
        output.stderr
    );
    assert!(!network.has_xdp(), "something was left behind");
}

/// What would leave by a device that takes no frames from XDP leaves from tc; and as soon as
/// the device takes them, it is sent there.
#[test]
fn a_device_that_takes_no_frames_from_xdp_is_left_to_tc() {
    let hosts = Network::without_director("hooks-closed");
    ethtool(&hosts.server, &["-K", "eth0", "gro", "off"]);
    let network = hosts.with_director(&["--hook", "xdp"]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(REAL[0].parse().expect("an address"), PORT);
    network.serve(Transport::Tcp, vip, server, &["-m"]);
    let mut conversation = network.open(vip);
    conversation.echo(CONVERSATION);
    let punts = network.packets()["punt_device"];
    assert!(punts > 10, "{punts}");
    ethtool(&network.server, &["-K", "eth0", "gro", "on"]);
    wait::until("XDP to send to the device", LIMIT, || {
        let before = network.packets()["punt_device"];
        conversation.echo(CONVERSATION);
        let after = network.packets()["punt_device"];
        Ok(if before == after {
            Look::Met(())
        } else {
            Look::NotYet(format!("{} punts", after - before))
        })
    })
    .expect("no more punts");
}

/// XDP goes on without a director, and the next one takes it over.
#[test]
fn connections_at_xdp_outlive_their_director() {
    let mut network = Network::new("hooks-death", &["--hook", "xdp"]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(REAL[0].parse().expect("an address"), PORT);
    network.serve(Transport::Tcp, vip, server, &["-m"]);
    let mut conversation = network.open(vip);
    conversation.echo(CONVERSATION);
    network
        .director
        .program()
        .signal(Signal::KILL)
        .expect("a signal");
    network.director.program().wait(LIMIT).expect("its end");
    assert!(network.has_xdp());
    conversation.echo(CONVERSATION);
    network.start(&["--hook", "xdp"]);
    all_is_forwarded(&network, "the next director", || {
        conversation.echo(CONVERSATION);
        network.converse(Transport::Tcp, vip, CONVERSATION);
    });
    // One that is told so takes it off.
    network
        .director
        .program()
        .signal(Signal::KILL)
        .expect("a signal");
    network.director.program().wait(LIMIT).expect("its end");
    network.start(&["--hook", "tc"]);
    assert!(!network.has_xdp());
    conversation.echo(CONVERSATION);
}
