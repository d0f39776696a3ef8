//! Which way answers take: by NAT through the director, else past it.

use std::net::SocketAddr;

use elver_lab::Program;
use elver_lab::capture::Capture;
use elver_lab::decode::Decoded;
use elver_lab::wait::{self, Look};

use crate::network::{DIRECT, LIMIT, Network, PORT, REAL, Transport, VIP, ethtool};
use crate::{CONVERSATION, TRANSPORTS, TUNNELS};

/// The end of a tunnel on a real server, where the kernel has none: takes what the tunnel
/// carries out and gives it to the host. Its arguments are the kind and, of GUE, the port.
const TUNNEL_END: &str = r#"
import fcntl, os, socket, struct, sys
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"tunnel0", IFF_TUN | IFF_NO_PI))
kind = sys.argv[1]
if kind == "gue":
    incoming = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    incoming.bind(("0.0.0.0", int(sys.argv[2])))
else:
    protocol = {"ipip": 4, "gre": 47}[kind]
    incoming = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
while True:
    packet = incoming.recv(65536)
    header = 0 if kind == "gue" else (packet[0] & 15) * 4
    header += 0 if kind == "ipip" else 4
    os.write(device, packet[header:])
"#;

fn tunnel_end(network: &Network, kind: &str) -> Program {
    let mut command = network.server.command("python3").expect("a command");
    command.args(["-c", TUNNEL_END, kind, "5555"]);
    let program = network.server.start(kind, command).expect("a program");
    wait::until("the device of the tunnel's end", LIMIT, || {
        Ok(match network.server.set_up("tunnel0") {
            Ok(()) => Look::Met(()),
            Err(error) => Look::NotYet(format!("{error}{}", program.log())),
        })
    })
    .expect("an end of the tunnel");
    program
}

/// How many packets of a service came to a client from the director, and how many came from
/// somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answers {
    from_director: usize,
    from_others: usize,
}

/// Lets a client converse, and looks at who sends it the answers.
fn answers(network: &Network, transport: Transport, vip: SocketAddr) -> Answers {
    let forwarded = || {
        let packets = network.packets();
        packets.get("forwarded_to_server").copied().unwrap_or(0)
    };
    let before = forwarded();
    let capture = Capture::start(&network.client, "eth0").expect("a capture");
    network.converse(transport, vip, CONVERSATION);
    let forwarded = forwarded() - before;
    assert!(
        forwarded > 50,
        "{transport:?}, {vip}: {forwarded} packets were forwarded"
    );
    let director = hardware_address(network);
    let mut answers = Answers {
        from_director: 0,
        from_others: 0,
    };
    for frame in capture.finish() {
        let source = match frame.decode() {
            Decoded::Tcp(tcp) => tcp.source,
            Decoded::Udp { source, .. } => source,
            _ => continue,
        };
        if source != vip {
            continue;
        }
        if frame.bytes[6..12] == director {
            answers.from_director += 1;
        } else {
            answers.from_others += 1;
        }
    }
    answers
}

/// The hardware address of the director towards the client.
fn hardware_address(network: &Network) -> Vec<u8> {
    let shown = network.host.ip(&["-o", "link", "show", "dev", "eth0"]);
    let shown = shown.expect("a link");
    let mut words = shown.split_whitespace();
    let address = words
        .by_ref()
        .skip_while(|word| *word != "link/ether")
        .nth(1)
        .expect("an address");
    address
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).expect("an octet"))
        .collect()
}

fn answers_take_their_way(network: &Network) {
    // The end of a tunnel takes no segments that are yet to be parted.
    ethtool(&network.client, &["-K", "eth0", "tso", "off", "gso", "off"]);
    let at = |address: &str| SocketAddr::new(address.parse().expect("an address"), PORT);
    for transport in TRANSPORTS {
        for family in [0, 1] {
            let vip = at(VIP[family]);
            network.serve(transport, vip, at(REAL[family]), &["-m"]);
            let nat = answers(network, transport, vip);
            assert!(
                nat.from_director > 0 && nat.from_others == 0,
                "NAT: {nat:?}"
            );
            network.cease(transport, vip);

            network.serve(transport, vip, at(DIRECT[family]), &["-g"]);
            let direct = answers(network, transport, vip);
            assert!(
                direct.from_director == 0 && direct.from_others > 0,
                "DR: {direct:?}"
            );
            network.cease(transport, vip);
        }
    }
    for (kind, options) in TUNNELS {
        let _end = tunnel_end(network, kind);
        for transport in TRANSPORTS {
            let vip = at(VIP[0]);
            // A client of TCP begins with segments that are too large for a tunnel, and has to
            // be told.
            network.serve(transport, vip, at(REAL[0]), &[&["-i"], options].concat());
            let past = answers(network, transport, vip);
            assert!(
                past.from_director == 0 && past.from_others > 0,
                "{kind}: {past:?}"
            );
            network.cease(transport, vip);
        }
    }
}

#[test]
fn at_tc_answers_take_their_way() {
    answers_take_their_way(&Network::new("ways-tc", &["--hook", "tc"]));
}

#[test]
fn at_xdp_answers_take_their_way() {
    answers_take_their_way(&Network::new("ways-xdp", &["--hook", "xdp"]));
}
