//! The network of `elver lab tun` and `elver lab dr`: the director and its real servers stand
//! in the same network as the client, and real servers answer the client themselves.
//!
//! ```text
//! client         director        real-server1 … 3
//! 172.17.42.110  172.17.42.111   172.17.42.120 … 122
//!      │              │                │
//!      └──────────────┴── 172.17/16 ───┘       VIP 172.17.42.200
//! ```

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::capture::{Capture, Frame};
use crate::client::{Conversation, Greeting};
use crate::decode::Decoded;
use crate::director::Director;
use crate::service::Service;
use crate::wait::{self, Look};
use crate::{Error, Host, Lab, Output, Program, Result};

/// The configuration, as the document has it that elver sets out from, with one real server.
const CONFIGURATION: &str = include_str!("../examples/tun/keepalived.conf");

/// The virtual service's address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(172, 17, 42, 200);
/// The virtual service.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(VIP, 3306);
/// The director's own address.
pub const DIRECTOR: Ipv4Addr = Ipv4Addr::new(172, 17, 42, 111);
/// The real servers' addresses.
pub const REAL_SERVERS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(172, 17, 42, 120),
    Ipv4Addr::new(172, 17, 42, 121),
    Ipv4Addr::new(172, 17, 42, 122),
];
/// The client's addresses: each is a client of its own for what is persistent.
pub const CLIENTS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(172, 17, 42, 110),
    Ipv4Addr::new(172, 17, 42, 112),
    Ipv4Addr::new(172, 17, 42, 113),
];

/// How long any one step may take: some wait for timers of the configuration.
pub const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The hosts of the network, and what runs in them.
#[derive(Debug)]
pub struct RealServers {
    /// The client.
    pub client: Host,
    /// The director's host.
    pub host: Host,
    /// The director, once it runs.
    pub director: Director,
    /// The real servers.
    pub real_servers: Vec<Host>,
    /// The switch; port 0 is the client's, port 1 the director's.
    pub switch: Host,
    services: Vec<Service>,
    elver: PathBuf,
    configuration: PathBuf,
}

/// The configuration for three real servers and a forwarding method, TUN or DR.
pub fn configuration(method: &str) -> String {
    let begin = CONFIGURATION
        .find("    real_server ")
        .unwrap_or(CONFIGURATION.len());
    // The block's own brace; those after it close what is around it.
    let end = CONFIGURATION
        .rfind("    }\n}")
        .unwrap_or(CONFIGURATION.len());
    let (head, tail) = (&CONFIGURATION[..begin], &CONFIGURATION[end..]);
    let block = CONFIGURATION.get(begin..end).unwrap_or_default();
    let [first, ..] = REAL_SERVERS.map(|address| address.to_string());
    let blocks: String = REAL_SERVERS
        .map(|address| block.replace(&first, &address.to_string()))
        .concat();
    format!("{head}{blocks}{tail}").replace("lb_kind TUN", &format!("lb_kind {method}"))
}

impl RealServers {
    /// Builds the network, starts the service on every real server, and the director.
    pub fn set_up(lab: &Lab, elver: &Path, method: &str) -> Result<Self> {
        let client = lab.host("client")?;
        let host = lab.host("director")?;
        let real_servers = (1..=REAL_SERVERS.len())
            .map(|number| lab.host(&format!("real-server{number}")))
            .collect::<Result<Vec<_>>>()?;
        let mut ends = vec![(&client, "eth0"), (&host, "eth0")];
        ends.extend(real_servers.iter().map(|host| (host, "eth0")));
        let switch = lab.segment("switch", &ends)?;
        for address in CLIENTS {
            client.add_address("eth0", &format!("{address}/16"))?;
        }
        host.add_address("eth0", &format!("{DIRECTOR}/16"))?;
        let mut services = Vec::new();
        for (real_server, address) in real_servers.iter().zip(REAL_SERVERS) {
            real_server.add_address("eth0", &format!("{address}/16"))?;
            let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVICE.port());
            services.push(Service::start(real_server, real_server.name(), everywhere)?);
        }
        let path = lab.directory().join("keepalived.conf");
        std::fs::write(&path, configuration(method))
            .map_err(Error::system(format!("write {}", path.display())))?;
        let director = Director::start(lab, &host, elver, &path)?;
        Ok(Self {
            client,
            host,
            director,
            real_servers,
            switch,
            services,
            elver: elver.to_owned(),
            configuration: path,
        })
    }

    /// Starts `elver real-server` on a real server, with the director's own file; its log has
    /// this name.
    pub fn start_role(&self, lab: &Lab, number: usize, log: &str) -> Result<Program> {
        let host = &self.real_servers[number];
        let (leaver, elver) = (host.clone(), self.elver.clone());
        lab.on_farewell(move || {
            let unload = leaver.command(&elver).and_then(|mut command| {
                let instance = leaver.namespace_name();
                command.args(["real-server", "unload", "--instance", instance]);
                leaver.output(command, STEP_LIMIT)?.success()
            });
            if let Err(error) = unload {
                eprintln!("elver-lab: {error}");
            }
        })?;
        let mut command = host.command(&self.elver)?;
        command.args(["real-server", "--instance", host.namespace_name(), "-f"]);
        command.arg(&self.configuration);
        command.args(["--director", &DIRECTOR.to_string()]);
        let program = host.start(log, command)?;
        wait::until("elver real-server to run", STEP_LIMIT, || {
            let log = program.log();
            Ok(if log.contains(" runs: ") {
                Look::Met(())
            } else {
                Look::NotYet(log)
            })
        })?;
        Ok(program)
    }

    /// Runs `elver real-server` with a further word, such as `check`, on a real server.
    pub fn ask_role(&self, number: usize, word: &str) -> Result<Output> {
        let host = &self.real_servers[number];
        let mut command = host.command(&self.elver)?;
        command.args([
            "real-server",
            word,
            "--instance",
            host.namespace_name(),
            "-f",
        ]);
        command.arg(&self.configuration);
        command.args(["--director", &DIRECTOR.to_string()]);
        host.output(command, STEP_LIMIT)
    }

    /// Waits until the director has so many real servers in its table, and its virtual address.
    pub fn is_ready(&self, real_servers: usize) -> Result<String> {
        wait::until("the director with its real servers", STEP_LIMIT, || {
            let output = self.director.command(&["ipvsadm", "-Ln"])?;
            let there = output.stdout.matches("  -> 172.17.42.").count();
            let vip = self.host.has_address("eth0", &format!("{VIP}/32"))?;
            Ok(if vip && there == real_servers {
                Look::Met(output.stdout)
            } else {
                Look::NotYet(format!("{}{}", output.stdout, output.stderr))
            })
        })
    }

    /// Connects from each of the client's addresses, and moves data; gives who answered.
    pub fn converse(&self, octets: u64) -> Result<Vec<Greeting>> {
        let mut all = Vec::new();
        for address in CLIENTS {
            let from = SocketAddrV4::new(address, 0);
            let mut conversation =
                Conversation::open_from(&self.client, from, SERVICE, STEP_LIMIT)?;
            conversation.echo("there and back")?;
            conversation.upload(octets)?;
            conversation.download(octets)?;
            all.push(conversation.greeting().clone());
        }
        Ok(all)
    }

    /// Has the client ask the network for the virtual address, and gives the link-layer
    /// addresses of all who answer.
    pub fn who_has_vip(&self) -> Result<BTreeSet<[u8; 6]>> {
        let capture = Capture::start(&self.client, "eth0")?;
        let is_answer = |decoded: &Decoded| matches!(decoded, Decoded::Arp(arp) if !arp.request && arp.sender == VIP);
        let knock = || {
            let limit = Duration::from_secs(1);
            std::net::TcpStream::connect_timeout(&SERVICE.into(), limit)
        };
        wait::until("an answer by ARP", STEP_LIMIT, || {
            // Whether it knew the neighbour or not.
            self.client.ip(&["neighbour", "flush", "all"])?;
            // Who answers is in the capture; whether the service does is not asked here.
            let _ = self.client.run(knock)?;
            let frames = capture.frames();
            Ok(if frames.iter().any(|frame| is_answer(&frame.decode())) {
                Look::Met(())
            } else {
                Look::NotYet(format!("{} other frames", frames.len()))
            })
        })?;
        // The others are not late: all are as near as the first.
        std::thread::sleep(wait::limit_here(Duration::from_millis(500)));
        let answers = capture.finish();
        Ok(answers
            .iter()
            .filter_map(|frame| match frame.decode() {
                Decoded::Arp(arp) if !arp.request && arp.sender == VIP => Some(arp.hardware),
                _ => None,
            })
            .collect())
    }

    /// The link-layer address of a host's eth0.
    pub fn mac(&self, host: &Host) -> Result<[u8; 6]> {
        let path = "/sys/class/net/eth0/address";
        let listing = host.ip(&["-oneline", "link", "show", "dev", "eth0"])?;
        let word = listing
            .split_whitespace()
            .skip_while(|word| *word != "link/ether")
            .nth(1);
        let octets = word.map(|word| {
            let octets = word.split(':').map(|octet| u8::from_str_radix(octet, 16));
            octets.collect::<std::result::Result<Vec<_>, _>>()
        });
        match octets {
            Some(Ok(octets)) if octets.len() == 6 => Ok(std::array::from_fn(|place| octets[place])),
            _ => Err(Error::Unexpected {
                expected: format!("the link-layer address that {path} has"),
                seen: listing,
            }),
        }
    }

    /// How many connections each real server has accepted.
    pub fn accepted(&self) -> Vec<u64> {
        self.services.iter().map(Service::accepted).collect()
    }
}

/// Packets of the service that a capture saw: what the client sent, and what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// From the client to the virtual address.
    pub requests: usize,
    /// From the virtual address to the client.
    pub answers: usize,
    /// Fragments of anything.
    pub fragments: usize,
    /// Packets that carry others: ipip.
    pub tunnelled: usize,
}

/// Counts what passed.
pub fn count(frames: &[Frame]) -> Counted {
    let mut counted = Counted::default();
    for frame in frames {
        match frame.decode() {
            Decoded::Tcp(tcp) if tcp.destination == SERVICE.into() => counted.requests += 1,
            Decoded::Tcp(tcp) if tcp.source == SERVICE.into() => counted.answers += 1,
            Decoded::Ip { protocol: 4, .. } => counted.tunnelled += 1,
            _ => {}
        }
        counted.fragments += usize::from(is_fragment(&frame.bytes));
    }
    counted
}

/// Whether an Ethernet frame carries a fragment of IPv4.
fn is_fragment(frame: &[u8]) -> bool {
    let is_ipv4 = frame.get(12..14) == Some(&[8, 0]);
    let word = frame
        .get(20..22)
        .map_or(0, |word| u16::from_be_bytes([word[0], word[1]]));
    // All but the flag that forbids it.
    is_ipv4 && word & 0x3fff != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_got_two_more_real_servers() {
        let text = configuration("DR");
        for address in REAL_SERVERS {
            assert_eq!(
                text.matches(&format!("real_server {address} 3306 {{"))
                    .count(),
                1
            );
        }
        assert_eq!(text.matches("TCP_CHECK").count(), 3);
        assert!(text.contains("lb_kind DR") && !text.contains("TUN"));
    }
}
