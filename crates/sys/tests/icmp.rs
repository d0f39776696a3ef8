//! A sender that leaves checksums to its device is told by ICMP why its packets go nowhere, in
//! messages whose checksum its own kernel finds right. Needs root.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use elver_packet::host::{Ground, VirtualService};
use elver_packet::reason::Reason;
use elver_packet::wire::protocol;
use elver_sys::bpf::{Direction, Sizes, load, unload};
use elver_sys::namespace::NetworkNamespace;

/// A namespace for as long as the test lasts.
struct Namespace(String);

impl Namespace {
    fn new(role: &str) -> Namespace {
        let name = format!("elver-icmp-{role}-{}", std::process::id());
        run(&format!("ip netns add {name}"));
        Namespace(name)
    }

    fn run(&self, command: &str) -> String {
        run(&format!("ip netns exec {} {command}", self.0))
    }

    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = PathBuf::from(format!("/run/netns/{}", self.0));
        NetworkNamespace::open(&path).unwrap().run(work).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn run(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Takes the pins away, whatever happens.
struct Instance(String);

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = unload(&self.0) {
            eprintln!("{error}");
        }
    }
}

#[test]
fn a_sender_whose_checksums_are_unfinished_is_told() {
    let director = Namespace::new("director");
    let client = Namespace::new("client");
    director.run(&format!(
        "ip link add here address 02:00:00:00:01:01 type veth peer name there netns {}",
        client.0
    ));
    director.run("ip link set here up");
    client.run("ip link set there up");
    // The director's device finishes no checksum, so the kernel does before it sends; the
    // client's leaves all of them unfinished.
    director.run("ethtool -K here tx off");
    client.run("ethtool -K there tx on");
    client.run("ip addr add 10.1.0.2/16 dev there");
    client.run("ip addr add fd00:1::2/32 dev there nodad");
    client.run("ip neigh replace 10.1.0.100 lladdr 02:00:00:00:01:01 dev there");
    client.run("ip neigh replace fd00:1::100 lladdr 02:00:00:00:01:01 dev there");
    let shown = director.run("ip -o link show here");
    let index = shown.split(':').next().unwrap().trim().parse().unwrap();

    let instance = Instance(format!("test-icmp-{}", std::process::id()));
    let sizes = Sizes::default();
    let (mut maps, mut programs) = load(&instance.0, sizes).unwrap();
    let ground = Ground {
        seeds: 1,
        sets: maps.connection_lines() / 8,
        ticks_per_second: 8,
    };
    ground.write(maps.settings().unwrap());
    let mut id = 0;
    for vip in ["10.1.0.100", "fd00:1::100"] {
        for protocol in [protocol::TCP, protocol::UDP] {
            let address: IpAddr = vip.parse().unwrap();
            let service = VirtualService {
                protocol,
                ..VirtualService::new(address, 80)
            };
            service.write(maps.service(id).unwrap());
            maps.index_service(&service.key(), id).unwrap();
            id += 1;
        }
    }
    director.enter(|| programs.attach(index, "here", Direction::Arriving).unwrap());

    let patience = Duration::from_secs(20);
    for vip in ["10.1.0.100:80", "[fd00:1::100]:80"] {
        let vip: SocketAddr = vip.parse().unwrap();
        let error = client.enter(|| TcpStream::connect_timeout(&vip, patience).unwrap_err());
        let kind = error.kind();
        assert_eq!(kind, ErrorKind::ConnectionRefused, "TCP to {vip}: {error}");
        // Short, and longer than what is quoted of it.
        for octets in [1, 400, 1401] {
            let error = client.enter(|| {
                let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).unwrap();
                socket.set_read_timeout(Some(patience)).unwrap();
                socket.connect(vip).unwrap();
                socket.send(&vec![7; octets]).unwrap();
                socket.recv(&mut [0; 16]).unwrap_err()
            });
            let kind = error.kind();
            assert_eq!(
                kind,
                ErrorKind::ConnectionRefused,
                "UDP, {octets} to {vip}: {error}"
            );
        }
    }
    // Some came more than once: a socket does not hear of an error while it is still at work.
    let dropped = maps.reason(Reason::NoDestination);
    assert!(dropped >= 8, "{dropped}");
    assert_eq!(maps.reason(Reason::Answered), dropped);
    let snmp = client.run("cat /proc/net/snmp6 /proc/net/snmp");
    let bad = |line: &&str| line.starts_with("Icmp6InCsumErrors");
    let line = snmp.lines().find(bad).expect("the kernel counts them");
    assert!(line.ends_with("\t0"), "{line:?}");
    let mut icmp = snmp.lines().filter(|line| line.starts_with("Icmp:"));
    let (names, counts) = (icmp.next().unwrap(), icmp.next().unwrap());
    let position = names.split(' ').position(|name| name == "InCsumErrors");
    assert_eq!(counts.split(' ').nth(position.unwrap()), Some("0"));
}
