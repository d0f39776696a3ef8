//! Tunnels to their end: a real server that takes packets out of them, and answers the client
//! past the director.

use std::net::SocketAddr;
use std::process::Command;

use elver_lab::wait::{self, Look};
use elver_lab::{Host, Program};

use crate::network::{LIMIT, Network, PORT, REAL, VIP, elver};
use crate::{CONVERSATION, TRANSPORTS, TUNNELS};

/// The directors' ends of tunnels.
const DIRECTOR: [&str; 2] = ["10.2.0.1", "fd00:2::1"];

fn role(host: &Host, arguments: &[&str]) -> Command {
    let mut command = host.command(elver()).expect("a command");
    command
        .args(["real-server", "--instance", host.namespace_name()])
        .args(["--vip", VIP[0], "--vip", VIP[1], "--gue-port", "5555"])
        .args(arguments);
    command
}

/// Makes a host a real server that takes tunnels from these directors.
fn start(host: &Host, log: &str, directors: [&str; 2]) -> Program {
    let [first, second] = directors;
    let command = role(host, &["--director", first, "--director", second]);
    let program = host.start(log, command).expect("a real server");
    wait::until("the real server", LIMIT, || {
        let log = program.log();
        Ok(if log.contains(" runs: ") {
            Look::Met(())
        } else {
            Look::NotYet(log)
        })
    })
    .expect("a real server that runs");
    program
}

/// How often an outcome was counted.
fn count(host: &Host, outcome: &str) -> u64 {
    let output = host.output(role(host, &["status"]), LIMIT);
    let status = output
        .and_then(elver_lab::Output::success)
        .expect("a status");
    let mut lines = status.lines().filter_map(|line| line.split_once(' '));
    let (_, count) = lines
        .find(|(name, _)| *name == outcome)
        .unwrap_or_else(|| panic!("no {outcome} in {status}"));
    count.trim().parse().expect("a number")
}

fn every_tunnel(network: &Network) {
    let role = start(&network.server, "role", DIRECTOR);
    for (inner, outer) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let vip = SocketAddr::new(VIP[inner].parse().expect("an address"), PORT);
        let server = SocketAddr::new(REAL[outer].parse().expect("an address"), PORT);
        for (kind, options) in TUNNELS {
            for checksum in [&[][..], &["--tun-csum"]] {
                if kind == "ipip" && !checksum.is_empty() {
                    continue;
                }
                let method = [&["-i"], options, checksum].concat();
                for transport in TRANSPORTS {
                    let what = format!("{kind} {checksum:?}, {transport:?}, {vip} to {server}");
                    network.serve(transport, vip, server, &method);
                    let before = count(&network.server, "decapsulated");
                    network.converse(transport, vip, CONVERSATION);
                    let after = count(&network.server, "decapsulated");
                    assert!(after > before, "{what}: {before} to {after}");
                    network.cease(transport, vip);
                }
            }
        }
    }
    for outcome in [
        "drop_not_from_director",
        "drop_malformed_tunnel",
        "drop_nested_tunnel",
        "drop_fragmented_tunnel",
        "drop_not_writable",
    ] {
        assert_eq!(count(&network.server, outcome), 0, "{outcome}");
    }
    assert!(count(&network.server, "segment_size_clamped") > 0);
    assert!(role.is_running(), "{}", role.log());
}

#[test]
fn every_tunnel_at_tc() {
    every_tunnel(&Network::new("hooks-tunnels-tc", &["--hook", "tc"]));
}

#[test]
fn every_tunnel_at_xdp() {
    every_tunnel(&Network::new("hooks-tunnels-xdp", &["--hook", "xdp"]));
}

#[test]
fn tunnels_of_others_than_the_directors_are_dropped() {
    let network = Network::new("hooks-strangers", &["--hook", "tc"]);
    let _role = start(&network.server, "role", ["10.2.0.99", "fd00:2::99"]);
    for (inner, outer) in [(0, 0), (1, 1)] {
        let vip = SocketAddr::new(VIP[inner].parse().expect("an address"), PORT);
        let server = SocketAddr::new(REAL[outer].parse().expect("an address"), PORT);
        for (kind, options) in TUNNELS {
            network.serve(
                crate::Transport::Udp,
                vip,
                server,
                &[&["-i"], options].concat(),
            );
            let before = count(&network.server, "drop_not_from_director");
            network.send(vip, 5);
            wait::until(kind, LIMIT, || {
                let dropped = count(&network.server, "drop_not_from_director") - before;
                Ok(if dropped == 5 {
                    Look::Met(())
                } else {
                    Look::NotYet(format!("{dropped} of 5 dropped"))
                })
            })
            .expect("what is no director's is dropped");
            network.cease(crate::Transport::Udp, vip);
        }
    }
    assert_eq!(count(&network.server, "decapsulated"), 0);
}
