//! `elver real-server` on real servers of the labs' own network.
//!
//! The program under test is the one that the variable `ELVER` names, or else the one
//! that `cargo build -p elver` put beside the tests.

mod containers;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use elver_lab::client::Conversation;
use elver_lab::director::unload_leftovers;
use elver_lab::real_servers::{CLIENTS, REAL_SERVERS, RealServers, SERVICE, VIP};
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Lab, direct_routing, tun};
use rustix::process::Signal;

/// How long anything may take that has to happen; generous, for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The program under test.
fn elver() -> PathBuf {
    let path = match std::env::var_os("ELVER") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/PROFILE/deps/TEST
            let test = std::env::current_exe().expect("the path of this program");
            let profile = test.ancestors().nth(2).expect("target/PROFILE");
            profile.join("elver")
        }
    };
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build -p elver`, or name the program in ELVER",
        path.display()
    );
    path
}

fn network(name: &str, method: &str) -> (RealServers, Lab) {
    unload_leftovers(name, &elver()).expect("the leftovers go");
    let lab = Lab::new(name).expect("a lab");
    let network = RealServers::set_up(&lab, &elver(), method).expect("a network");
    (network, lab)
}

#[test]
fn the_lab_of_tunnels() {
    tun::run(true, &elver()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_lab_of_direct_routing() {
    direct_routing::run(true, &elver()).unwrap_or_else(|error| panic!("{error}"));
}

/// A counter of IP in a host (`/proc/net/snmp`).
fn counter(host: &Host, name: &str) -> u64 {
    let text = host
        .run(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))
        .expect("a namespace")
        .expect("counters");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut both = names.split(' ').zip(values.split(' '));
    let (_, value) = both.find(|(found, _)| *found == name).expect("the counter");
    value.parse().expect("a number")
}

/// A transfer of a gigabyte through a tunnel, over links that take 1500 octets, cut into
/// segments by the client itself.
#[test]
fn a_gigabyte_comes_through_a_tunnel_in_no_fragments() {
    let (network, lab) = network("gigabyte", "TUN");
    // Strict filters of sources do not mind.
    let all = "net/ipv4/conf/all/rp_filter";
    let mut roles = Vec::new();
    for (number, host) in network.real_servers.iter().enumerate() {
        host.set_sysctl(all, "1").expect("a filter");
        roles.push(network.start_role(&lab, number, "role").expect("a role"));
    }
    network.is_ready(REAL_SERVERS.len()).expect("a director");
    let mut ethtool = network.client.command("ethtool").expect("a command");
    ethtool.args(["-K", "eth0", "tso", "off", "gso", "off"]);
    let output = network.client.output(ethtool, LIMIT).expect("ethtool");
    output.success().expect("no offloads");
    let hosts = [&network.client, &network.host];
    let hosts = || hosts.into_iter().chain(&network.real_servers);
    let fragments = || -> u64 {
        let names = ["FragCreates", "ReasmReqds"];
        let of = |host| names.iter().map(|name| counter(host, name)).sum::<u64>();
        hosts().map(of).sum()
    };
    let before = fragments();
    let from = SocketAddrV4::new(CLIENTS[0], 0);
    let mut conversation =
        Conversation::open_from(&network.client, from, SERVICE, LIMIT).expect("a connection");
    conversation.upload(1 << 30).expect("a gigabyte");
    assert_eq!(fragments(), before, "fragments were made or put together");
    let status = network.director.status().expect("a status");
    for reason in ["handed_over", "drop_too_big", "answered"] {
        let is_counted = status.lines().any(|line| line.trim().starts_with(reason));
        assert!(!is_counted, "{reason} in {status}");
    }
}

/// A device that comes later is as quiet as the others; a virtual address that somebody takes
/// away comes back; all of it goes when the role goes, and nothing else does.
#[test]
fn devices_and_addresses_that_come_and_go() {
    let (network, lab) = network("devices", "DR");
    let host = &network.real_servers[0];
    let settings = || -> String {
        let names = ["all", "eth0", "lo"].iter().flat_map(|device| {
            ["arp_ignore", "arp_announce", "rp_filter", "accept_local"]
                .map(|name| format!("/proc/sys/net/ipv4/conf/{device}/{name}"))
        });
        let read = |path: String| std::fs::read_to_string(&path).expect("a setting");
        host.run(|| names.map(read).collect()).expect("a namespace")
    };
    // Of an address of the link it takes a moment until it is known to be nobody else's.
    let addresses = || {
        host.ip(&["address"])
            .expect("a list")
            .replace(" tentative", "")
    };
    let before = (addresses(), settings());
    let role = network.start_role(&lab, 0, "role").expect("a role");
    let vip = format!("{VIP}/32");
    assert!(host.has_address("lo", &vip).expect("a list"));
    host.ip(&["address", "del", &vip, "dev", "lo"])
        .expect("it goes");
    wait::until_true(
        "the address again",
        LIMIT,
        || host.has_address("lo", &vip),
        || role.log(),
    )
    .expect("it comes back");
    lab.link((host, "late0"), (&network.client, "late0"))
        .expect("a device");
    wait::until("the new device", LIMIT, || {
        let log = role.log();
        Ok(if log.contains("late0: attached") {
            Look::Met(())
        } else {
            Look::NotYet(log)
        })
    })
    .expect("it is attached to");
    // The client asks over that cable who has an address.
    let is_answered = |address: &str| {
        let mut ping = network.client.command("ping").expect("a command");
        ping.args(["-c", "1", "-w", "2", "-I", "late0", address]);
        network.client.output(ping, LIMIT).expect("ping");
        let neighbour = ["neighbour", "show", address, "dev", "late0"];
        let neighbour = network.client.ip(&neighbour).expect("a list");
        neighbour.contains("lladdr")
    };
    for (end, address) in [(host, "10.9.0.2/24"), (&network.client, "10.9.0.1/24")] {
        end.add_address("late0", address).expect("an address");
    }
    assert!(is_answered("10.9.0.2"), "over this cable nobody answers");
    assert!(!is_answered(&VIP.to_string()));
    host.ip(&["link", "del", "late0"]).expect("it goes");
    wait::until("the device to be let go", LIMIT, || {
        let log = role.log();
        Ok(if log.contains("late0: detached") {
            Look::Met(())
        } else {
            Look::NotYet(log)
        })
    })
    .expect("it is detached");
    role.signal(Signal::TERM).expect("a signal");
    assert!(
        role.wait(LIMIT).expect("an end").success(),
        "{}",
        role.log()
    );
    assert_eq!((addresses(), settings()), before);
}

/// An address that was there before stays.
#[test]
fn an_address_of_somebody_else_stays() {
    let (network, lab) = network("stays", "DR");
    let host = &network.real_servers[0];
    let vip = format!("{VIP}/32");
    host.ip(&["address", "add", &vip, "dev", "lo"])
        .expect("an address");
    for number in 0..2 {
        let role = network
            .start_role(&lab, 0, &format!("role{number}"))
            .expect("a role");
        let signal = if number == 0 {
            Signal::KILL
        } else {
            Signal::TERM
        };
        role.signal(signal).expect("a signal");
        role.wait(LIMIT).expect("an end");
        assert!(host.has_address("lo", &vip).expect("a list"));
    }
}
