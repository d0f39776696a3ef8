//! Checks that go the way of clients' packets (`check_path forwarding`).

use std::time::Duration;

use elver_lab::Program;
use elver_lab::wait::until_true;

use crate::site::{LIMIT, Site, virtual_server};

const VIP: &str = "10.66.0.100";

/// The end of an ipip tunnel on a real server whose kernel has none: gives what it carries to
/// the host.
const TUNNEL_END: &str = r#"
import fcntl, os, socket, struct
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"tunnel0", IFF_TUN | IFF_NO_PI))
outer = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
print("ready", flush=True)
while True:
    packet = outer.recv(65535)
    try:
        os.write(device, packet[(packet[0] & 15) * 4:])
    except OSError:
        pass
"#;

/// Sends datagrams to this address back.
const DATAGRAMS: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 7007))
print("ready", flush=True)
while True:
    octets, peer = s.recvfrom(2000)
    s.sendto(octets, peer)
"#;

fn program(site: &Site, name: &str, text: &str) -> Program {
    let mut command = site.real_server.command("python3").expect("a command");
    command.args(["-c", text, VIP]);
    let program = site.real_server.start(name, command).expect("it starts");
    let ready = || Ok(program.log().contains("ready"));
    until_true(name, LIMIT, ready, || program.log()).expect("it is ready");
    program
}

/// A virtual server as of [`virtual_server`], by another method.
fn by(method: &str, port: u16, check: &str) -> String {
    virtual_server(port, check).replace("lb_kind NAT", &format!("lb_kind {method}"))
}

#[test]
fn a_real_server_is_found_out_whose_virtual_address_or_tunnel_is_missing() {
    let usual = "connect_timeout 1; retry 0; delay_loop 1";
    let forwarding = format!("TCP_CHECK {{; check_path forwarding; {usual}; }}");
    let page = format!(
        "HTTP_GET {{; check_path forwarding; {usual}; url {{; path /; status_code 200; }}; }}"
    );
    let datagram = format!(
        "UDP_CHECK {{; check_path forwarding; {usual}; payload aabb; require_reply aabb; }}"
    );
    let inherited = by("DR", 25, "SMTP_CHECK {; connect_timeout 1; retry 0; }")
        .replace("protocol TCP", "protocol TCP\ncheck_path forwarding");
    let text = by("DR", 80, &forwarding)
        + &by("DR", 443, &format!("TCP_CHECK {{; {usual}; }}"))
        + &by("DR", 80, &page).replace("10.66.0.100 80", "10.66.0.103 80")
        + &by("DR", 7007, &datagram).replace("protocol TCP", "protocol UDP")
        + &by("TUN", 80, &forwarding).replace("10.66.0.100 80", "10.66.0.101 80")
        + &by("NAT", 80, &forwarding).replace("10.66.0.100 80", "10.66.0.102 80")
        + &inherited;
    let site = Site::new("checks-ways", &text);
    for address in ["10.66.0.101/32", "10.66.0.102/32", "10.66.0.103/32"] {
        site.host
            .add_address("eth0", address)
            .expect("a virtual address");
    }
    // The end of the tunnel below is no network card, which would finish checksums.
    let mut ethtool = site.host.command("ethtool").expect("a command");
    ethtool.args(["-K", "eth0", "tx", "off"]);
    let output = site.host.output(ethtool, LIMIT).expect("ethtool runs");
    output.success().expect("ethtool does it");
    let up = |address: &str, protocol: &str| {
        let list = site.elver(&["ipvsadm", "-Ln", protocol, address]);
        list.expect("a list").contains("-> 10.66.0.2:")
    };
    let wait = |what: &str, address: &str, protocol: &str, wanted: bool| {
        let looks = || Ok(up(address, protocol) == wanted);
        let explain = || {
            let status = site.elver(&["ctl", "status"]).unwrap_or_default();
            format!("{status}\n{}", site.director.log())
        };
        until_true(what, LIMIT, looks, explain).expect("it is seen");
    };
    let by_direct_routing = [
        ("10.66.0.100:80", "-t"),
        ("10.66.0.103:80", "-t"),
        ("10.66.0.100:25", "-t"),
        ("10.66.0.100:7007", "-u"),
    ];
    let tunnelled = ("10.66.0.101:80", "-t");
    let directly = [("10.66.0.100:443", "-t"), ("10.66.0.102:80", "-t")];

    // The real server answers at its own address, and that is all.
    for (address, protocol) in by_direct_routing.into_iter().chain([tunnelled]) {
        wait("a missing address", address, protocol, false);
    }
    let seen = || {
        let status = site.elver(&["ctl", "status"]).expect("a status");
        Ok(status.matches("connection timed out").count() >= 4)
    };
    until_true("the causes", LIMIT, seen, || site.director.log()).expect("causes");

    let own = |command: &str, address: &str| {
        let arguments = ["address", command, address, "dev", "lo"];
        site.real_server.ip(&arguments).expect("it can be");
    };
    site.real_server.set_up("lo").expect("it is there");
    own("add", "10.66.0.100/32");
    own("add", "10.66.0.101/32");
    own("add", "10.66.0.103/32");
    let _datagrams = program(&site, "datagrams", DATAGRAMS);
    for (address, protocol) in by_direct_routing {
        wait("an address that has come", address, protocol, true);
    }
    assert!(
        !up(tunnelled.0, tunnelled.1),
        "nothing takes the tunnel out"
    );

    let end = program(&site, "tunnel", TUNNEL_END);
    site.real_server.set_up("tunnel0").expect("it is there");
    site.real_server
        .set_sysctl("net/ipv4/conf/tunnel0/rp_filter", "0")
        .expect("a setting");
    wait("a tunnel that has come", tunnelled.0, tunnelled.1, true);
    for (address, protocol) in by_direct_routing.into_iter().chain(directly) {
        assert!(up(address, protocol), "{address}: {}", site.director.log());
    }
    // They stay so while nothing changes, and what checks do is nobody's traffic.
    std::thread::sleep(Duration::from_secs(4));
    let statistics = site.elver(&["ipvsadm", "-Ln", "--stats"]).expect("a list");
    let lines: Vec<&str> = statistics
        .lines()
        .filter(|line| line.contains("10.66.0."))
        .collect();
    assert!(lines.len() >= 12, "{statistics}");
    for line in lines {
        let numbers: Vec<&str> = line.split_whitespace().rev().take(5).collect();
        assert_eq!(numbers, ["0"; 5], "{statistics}");
    }
    let taken = || {
        let connections = site.elver(&["ipvsadm", "-Lnc"]).expect("a list");
        connections.matches("10.66.0.2:").count()
    };
    // One that has ended may stand beside its successor for a moment.
    let one_each = || Ok((1..=5).contains(&taken()));
    let explain = || format!("{} connections", taken());
    until_true("one for each check", LIMIT, one_each, explain).expect("no more");

    drop(end);
    wait("a tunnel that has gone", tunnelled.0, tunnelled.1, false);
    own("del", "10.66.0.100/32");
    own("del", "10.66.0.103/32");
    for (address, protocol) in by_direct_routing {
        wait("an address that has gone", address, protocol, false);
    }
    for (address, protocol) in directly {
        assert!(up(address, protocol), "{address}: {}", site.director.log());
    }
    // Nothing of checks that are no more stays.
    let file = site.lab.directory().join("elver.conf");
    std::fs::write(&file, by("DR", 443, "TCP_CHECK {; }")).expect("a file");
    site.elver(&["ctl", "reload"]).expect("it is read");
    assert_eq!(taken(), 0);
}

/// The end of a tunnel by GRE, or by GUE at port 5555.
const OTHER_TUNNEL_END: &str = r#"
import fcntl, os, socket, struct, sys
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"tunnel0", IFF_TUN | IFF_NO_PI))
if "KIND" == "gue":
    outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    outer.bind(("0.0.0.0", 5555))
else:
    outer = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
print("ready", flush=True)
while True:
    packet = outer.recv(65535)
    header = 4 if "KIND" == "gue" else (packet[0] & 15) * 4 + 4
    try:
        os.write(device, packet[header:])
    except OSError:
        pass
"#;

#[test]
fn checks_go_through_every_kind_of_tunnel_and_over_ipv6() {
    const FOUR: (&str, &str) = ("10.66.0.100:80", "-> 10.66.0.2:80");
    const SIX: (&str, &str) = ("[2001:db8::100]:8066", "-> [2001:db8::2]:8066");
    let check = "TCP_CHECK {; check_path forwarding; connect_timeout 1; retry 0; }";
    let ipv6 = by("DR", 8066, check)
        .replace("10.66.0.100", "2001:db8::100")
        .replace("10.66.0.2", "2001:db8::2");
    for (kind, method) in [("gre", "TUN type gre"), ("gue", "TUN type gue port 5555")] {
        let text = by(method, 80, check) + &ipv6;
        let site = Site::new(&format!("checks-ways-{kind}"), &text);
        // A virtual address of IPv6 is deprecated, so that nothing is sent from it unasked.
        for (host, address, lifetime) in [
            (&site.host, "2001:db8::1/64", "forever"),
            (&site.host, "2001:db8::100/128", "0"),
            (&site.real_server, "2001:db8::2/64", "forever"),
        ] {
            let of_address = ["address", "add", address, "dev", "eth0", "nodad"];
            let arguments = [&of_address[..], &["preferred_lft", lifetime]].concat();
            host.ip(&arguments).expect("an address");
        }
        let mut ethtool = site.host.command("ethtool").expect("a command");
        ethtool.args(["-K", "eth0", "tx", "off"]);
        let output = site.host.output(ethtool, LIMIT).expect("ethtool runs");
        output.success().expect("ethtool does it");
        let mut listener = site.real_server.command("python3").expect("a command");
        listener.args(["-m", "http.server", "8066", "--bind", "::"]);
        let _listener = site.real_server.start("six", listener).expect("it starts");
        let wait = |(service, line): (&str, &str), wanted: bool| {
            let looks = || {
                let list = site.elver(&["ipvsadm", "-Ln", "-t", service]);
                Ok(list.expect("a list").contains(line) == wanted)
            };
            let explain = || {
                let status = site.elver(&["ctl", "status"]).unwrap_or_default();
                format!("{status}\n{}", site.director.log())
            };
            until_true(service, LIMIT, looks, explain).expect("it is seen");
        };
        // Without an end of the tunnel, and without the virtual address.
        wait(FOUR, false);
        wait(SIX, false);
        site.real_server.set_up("lo").expect("it is there");
        for address in ["10.66.0.100/32", "2001:db8::100/128"] {
            let arguments = ["address", "add", address, "dev", "lo"];
            site.real_server.ip(&arguments).expect("an address");
        }
        wait(SIX, true);
        wait(FOUR, false);
        let end = program(&site, "tunnel", &OTHER_TUNNEL_END.replace("KIND", kind));
        site.real_server.set_up("tunnel0").expect("it is there");
        let strict = "net/ipv4/conf/tunnel0/rp_filter";
        site.real_server.set_sysctl(strict, "0").expect("a setting");
        wait(FOUR, true);
        drop(end);
        wait(FOUR, false);
        wait(SIX, true);
    }
}
