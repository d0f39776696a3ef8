//! The network that hooks are tested in.
//!
//! ```text
//!  client 10.1.0.2 ──┐ front ┌── eth0 director, 10.1.0.1 and the VIP, eth1 10.2.0.1 ── eth0 10.2.0.2
//!                    └───┬───┘                                                         real server
//!                        └──────────────────────────────────────────────────────────── eth1 10.1.0.3
//! ```
//!
//! IPv6 alike: fd00:1:: and fd00:2::. By direct routing the real server is met on the front,
//! so that it answers past the director.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use elver_lab::director::{Director, unload_leftovers};
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Lab};
use rustix::io::Errno;

/// How long anything may take that has to happen; generous, for a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The port of the virtual services, and of the real server.
pub(crate) const PORT: u16 = 8080;
/// The virtual addresses.
pub(crate) const VIP: [&str; 2] = ["10.1.0.100", "fd00:1::100"];
/// The real server on the back.
pub(crate) const REAL: [&str; 2] = ["10.2.0.2", "fd00:2::2"];
/// The real server on the front.
pub(crate) const DIRECT: [&str; 2] = ["10.1.0.3", "fd00:1::3"];
const CLIENT: [&str; 2] = ["10.1.0.2", "fd00:1::2"];

/// A transport protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// The option of ipvsadm for a virtual service.
    fn option(self) -> &'static str {
        match self {
            Transport::Tcp => "-t",
            Transport::Udp => "-u",
        }
    }
}

/// The program under test.
pub(crate) fn elver() -> PathBuf {
    let path = match std::env::var_os("ELVER") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/PROFILE/deps/TEST
            let test = std::env::current_exe().expect("the path of this program");
            test.ancestors()
                .nth(2)
                .expect("target/PROFILE")
                .join("elver")
        }
    };
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build -p elver`, or name the program in ELVER",
        path.display()
    );
    path
}

/// The hosts, without a director that runs.
pub(crate) struct Hosts {
    pub(crate) host: Host,
    pub(crate) server: Host,
    pub(crate) client: Host,
    /// Last, so that it goes last.
    lab: Lab,
}

/// The network with a running director.
pub(crate) struct Network {
    pub(crate) director: Director,
    hosts: Hosts,
}

impl std::ops::Deref for Network {
    type Target = Hosts;

    fn deref(&self) -> &Hosts {
        &self.hosts
    }
}

impl Network {
    /// The network, and a director started with these options.
    pub(crate) fn new(name: &str, options: &[&str]) -> Network {
        Network::without_director(name).with_director(options)
    }

    pub(crate) fn without_director(name: &str) -> Hosts {
        Hosts::new(name)
    }

    /// Starts another director in the place of one that has ended.
    pub(crate) fn start(&mut self, options: &[&str]) {
        self.director = self.hosts.direct(options);
    }

    /// Makes a virtual service with one real server.
    pub(crate) fn serve(
        &self,
        transport: Transport,
        vip: SocketAddr,
        server: SocketAddr,
        method: &[&str],
    ) {
        let (vip, server) = (vip.to_string(), server.to_string());
        let option = transport.option();
        let ipvsadm = |arguments: &[&str]| self.director.ipvsadm(arguments).expect("an edit");
        ipvsadm(&["-A", option, &vip, "-s", "rr"]);
        ipvsadm(&[&["-a", option, &vip, "-r", &server], method].concat());
    }

    /// Takes a virtual service away.
    pub(crate) fn cease(&self, transport: Transport, vip: SocketAddr) {
        let arguments = ["-D", transport.option(), &vip.to_string()];
        self.director.ipvsadm(&arguments).expect("an edit");
    }

    /// Sends a datagram of so many octets through a virtual service, and wants it back.
    pub(crate) fn exchange(&self, vip: SocketAddr, octets: usize) {
        let socket = self.datagrams(vip);
        let datagram = pattern(octets);
        socket.send(&datagram).expect("a datagram leaves");
        let mut back = vec![0; 1 << 16];
        let length = socket
            .recv(&mut back)
            .unwrap_or_else(|error| panic!("nothing comes back: {error}; {:?}", self.packets()));
        assert!(back[..length] == *datagram, "another datagram came back");
    }

    /// What became of packets, by name.
    pub(crate) fn packets(&self) -> BTreeMap<String, u64> {
        let status = self.director.status().expect("a status");
        let (_, packets) = status.split_once("Packets\n").expect("packets");
        packets
            .lines()
            .filter_map(|line| {
                let (name, count) = line.trim().split_once(char::is_whitespace)?;
                Some((name.to_owned(), count.trim().parse().ok()?))
            })
            .collect()
    }
}

impl Hosts {
    fn new(name: &str) -> Hosts {
        unload_leftovers(name, &elver()).expect("the leftovers go");
        let lab = Lab::new(name).expect("a lab");
        let host = |name: &str| lab.host(name).expect("a host");
        let (client, director, server) = (host("client"), host("director"), host("server"));
        let ends = [(&client, "eth0"), (&director, "eth0"), (&server, "eth1")];
        let switch = lab.segment("front", &ends).expect("a segment");
        lab.link((&director, "eth1"), (&server, "eth0"))
            .expect("a link");
        for sysctl in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            director.set_sysctl(sysctl, "1").expect("forwarding");
        }
        for (host, device, addresses) in [
            (
                &client,
                "eth0",
                [format!("{}/24", CLIENT[0]), format!("{}/64", CLIENT[1])],
            ),
            (
                &director,
                "eth0",
                ["10.1.0.1/24".to_owned(), "fd00:1::1/64".to_owned()],
            ),
            (
                &director,
                "eth0",
                [format!("{}/32", VIP[0]), format!("{}/128", VIP[1])],
            ),
            (
                &director,
                "eth1",
                ["10.2.0.1/24".to_owned(), "fd00:2::1/64".to_owned()],
            ),
            (
                &server,
                "eth0",
                [format!("{}/24", REAL[0]), format!("{}/64", REAL[1])],
            ),
            (
                &server,
                "eth1",
                [format!("{}/24", DIRECT[0]), format!("{}/64", DIRECT[1])],
            ),
            (
                &server,
                "lo",
                [format!("{}/32", VIP[0]), format!("{}/128", VIP[1])],
            ),
        ] {
            for address in addresses {
                let mut arguments = vec!["address", "add", &address, "dev", device, "nodad"];
                if address.ends_with("/128") {
                    // A virtual address is nobody's source.
                    arguments.extend(["preferred_lft", "0"]);
                }
                host.ip(&arguments).expect("an address");
            }
        }
        // The real server has the VIP, and does not say so; a client that it met by NAT is
        // answered through the director, the same client met directly past it.
        for (sysctl, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
            server
                .set_sysctl(&format!("net/ipv4/conf/all/{sysctl}"), value)
                .expect("silence");
        }
        for (family, back, gateway) in [("-4", REAL[0], "10.2.0.1"), ("-6", REAL[1], "fd00:2::1")] {
            server
                .ip(&[family, "rule", "add", "from", back, "lookup", "100"])
                .expect("a rule");
            let route = ["route", "add", "default", "via", gateway, "table", "100"];
            server
                .ip(&[&[family], &route[..]].concat())
                .expect("a route");
        }
        // XDP takes no unfinished checksums; and a veth takes frames from XDP only if its peer
        // polls for them.
        for (host, device) in [(&client, "eth0"), (&server, "eth0"), (&server, "eth1")] {
            ethtool(host, &["-K", device, "tx", "off"]);
        }
        for (host, device) in [(&switch, "port1"), (&server, "eth0")] {
            ethtool(host, &["-K", device, "gro", "on"]);
        }
        let hosts = Hosts {
            host: director,
            server,
            client,
            lab,
        };
        hosts.answer();
        hosts
    }

    /// The network with a director started with these options.
    pub(crate) fn with_director(self, options: &[&str]) -> Network {
        Network {
            director: self.direct(options),
            hosts: self,
        }
    }

    /// Writes a configuration without services, and says where.
    pub(crate) fn configuration(&self) -> PathBuf {
        let path = self.lab.directory().join("director.conf");
        std::fs::write(&path, "global_defs {\n    router_id hooks\n}\n").expect("a file");
        path
    }

    fn direct(&self, options: &[&str]) -> Director {
        let configuration = self.configuration();
        let director =
            Director::start_with(&self.lab, &self.host, &elver(), &configuration, options);
        let director = director.expect("a director");
        wait::until("the director to answer", LIMIT, || {
            director.check_running()?;
            Ok(match director.status() {
                Ok(_) => Look::Met(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .expect("a director that runs");
        for neighbour in [CLIENT, REAL, DIRECT].concat() {
            let mut ping = self.host.command("ping").expect("a command");
            ping.args(["-c", "1", "-w", "20", neighbour]);
            let output = self.host.output(ping, LIMIT).expect("a ping");
            output.success().expect("an answer");
        }
        director
    }

    /// Whether the director's device has a program at XDP.
    pub(crate) fn has_xdp(&self) -> bool {
        let shown = self.host.ip(&["link", "show", "dev", "eth0"]);
        shown.expect("a link").contains("xdp")
    }

    /// Lets the real server send back whatever it is sent.
    fn answer(&self) {
        let any = SocketAddr::new("::".parse().expect("an address"), PORT);
        Self::answer_streams(&self.server, any);
        // Datagrams are answered from the address that they were sent to.
        for address in [REAL, DIRECT, VIP].concat() {
            let address = SocketAddr::new(address.parse().expect("an address"), PORT);
            Self::answer_datagrams(&self.server, address);
        }
    }

    /// Lets a host send back all that comes by connections to an address.
    pub(crate) fn answer_streams(host: &Host, address: SocketAddr) {
        let listeners = host.run(|| TcpListener::bind(address).expect("a listener"));
        let listener = listeners.expect("a namespace");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let mut out = stream.try_clone().expect("a clone");
                    // The lab takes it down, or the client ends it.
                    let _ = std::io::copy(&mut stream, &mut out);
                });
            }
        });
    }

    /// Lets a host send back all datagrams to an address.
    pub(crate) fn answer_datagrams(host: &Host, address: SocketAddr) {
        let socket = host
            .run(|| UdpSocket::bind(address).expect("a socket"))
            .expect("a namespace");
        std::thread::spawn(move || {
            let mut datagram = vec![0; 1 << 16];
            while let Ok((length, sender)) = socket.recv_from(&mut datagram) {
                let _ = socket.send_to(&datagram[..length], sender);
            }
        });
    }

    /// Opens a connection of the client.
    pub(crate) fn open(&self, vip: SocketAddr) -> Conversation {
        Self::open_from(&self.client, vip)
    }

    /// Opens a connection of any host.
    pub(crate) fn open_from(host: &Host, vip: SocketAddr) -> Conversation {
        let stream = host
            .run(|| TcpStream::connect_timeout(&vip, wait::limit_here(LIMIT)))
            .expect("a namespace")
            .expect("a connection");
        stream
            .set_read_timeout(Some(wait::limit_here(LIMIT)))
            .expect("a limit");
        Conversation(stream)
    }

    /// Sends so many octets through a virtual service, and wants them back.
    pub(crate) fn converse(&self, transport: Transport, vip: SocketAddr, octets: usize) {
        match transport {
            Transport::Tcp => self.open(vip).echo(octets),
            Transport::Udp => {
                let socket = self.datagrams(vip);
                for datagram in pattern(octets).chunks(1400) {
                    socket.send(datagram).expect("a datagram leaves");
                    let mut back = [0; 2048];
                    let length = socket.recv(&mut back).expect("a datagram comes back");
                    assert!(back[..length] == *datagram, "another datagram came back");
                }
            }
        }
    }

    /// Sends so many datagrams to a virtual service.
    pub(crate) fn send(&self, vip: SocketAddr, datagrams: usize) {
        let socket = self.datagrams(vip);
        for number in 0..datagrams {
            let datagram = pattern(64 * number);
            // A real server without an end of the tunnel says so, and the client is told. Its
            // socket reports that once, in the place of sending.
            while let Err(error) = socket.send(&datagram) {
                let told = [Errno::NOPROTOOPT, Errno::PROTO, Errno::CONNREFUSED].map(Some);
                assert!(told.contains(&Errno::from_io_error(&error)), "{error}");
            }
        }
    }

    pub(crate) fn datagrams(&self, vip: SocketAddr) -> UdpSocket {
        let own = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = self.client.run(|| {
            let socket = UdpSocket::bind(own)?;
            socket.connect(vip)?;
            socket.set_read_timeout(Some(wait::limit_here(LIMIT)))?;
            std::io::Result::Ok(socket)
        });
        socket.expect("a namespace").expect("a socket")
    }
}

/// A connection through a virtual service.
pub(crate) struct Conversation(TcpStream);

impl Conversation {
    /// Sends so many octets, and wants them back.
    pub(crate) fn echo(&mut self, octets: usize) {
        let sent = pattern(octets);
        let mut out = self.0.try_clone().expect("a clone");
        let sending = sent.clone();
        let sender = std::thread::spawn(move || out.write_all(&sending).expect("octets leave"));
        let mut back = vec![0; octets];
        self.0.read_exact(&mut back).expect("octets come back");
        sender.join().expect("all has left");
        assert!(back == sent, "something else came back");
    }
}

/// So many octets, none like its neighbour.
fn pattern(octets: usize) -> Vec<u8> {
    (0..octets).map(|number| (number % 251) as u8).collect()
}

pub(crate) fn ethtool(host: &Host, arguments: &[&str]) {
    let mut command = host.command("ethtool").expect("a command");
    command.args(arguments);
    let output = host.output(command, LIMIT).expect("ethtool runs");
    output.success().expect("ethtool does it");
}
