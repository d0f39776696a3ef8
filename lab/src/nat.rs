//! `elver lab nat`: the NAT director of `lab/examples/nat`, shown step by step.
//!
//! ```text
//! client ── eth0 ┌──────────┐ eth1 ── real server
//! 172.17.42.110  │ director │        172.18.42.121, 172.18.42.200 its gateway
//!            .111└──────────┘.111
//!  VIP 172.17.42.200      DIP 172.18.42.200
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::capture::{Capture, Frame};
use crate::client::Conversation;
use crate::decode::{Decoded, Vrrp};
use crate::director::{Director, unload_leftovers};
use crate::service::Service;
use crate::wait::{self, Look};
use crate::{Error, Host, Lab, Result};

/// The configuration, as the document has it that elver sets out from: flaws and all.
pub const CONFIGURATION: &str = include_str!("../examples/nat/keepalived.conf");

/// The client's address.
pub const CIP: Ipv4Addr = Ipv4Addr::new(172, 17, 42, 110);
/// The virtual service's address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(172, 17, 42, 200);
/// The director's address for the real server, which is that one's gateway.
pub const DIP: Ipv4Addr = Ipv4Addr::new(172, 18, 42, 200);
/// The real server's address.
pub const RIP: Ipv4Addr = Ipv4Addr::new(172, 18, 42, 121);
/// The virtual service.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(VIP, 3306);
/// The real server's service behind it.
pub const REAL_SERVICE: SocketAddrV4 = SocketAddrV4::new(RIP, 3306);
/// Where the check knocks.
pub const CHECKED: SocketAddrV4 = SocketAddrV4::new(RIP, 22);

/// How long any one step may take: some wait for timers of the configuration (a check
/// every 6 s, three advertisements of 1 s), all of them for a busy machine.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// How a lab is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// End after the last step, rather than stay up until interrupted.
    pub once: bool,
}

/// The hosts and cables of the lab.
#[derive(Debug)]
pub struct Topology {
    /// The client.
    pub client: Host,
    /// The director.
    pub director: Host,
    /// The real server.
    pub real_server: Host,
}

impl Topology {
    /// Sets the hosts up with the addresses of the example.
    pub fn new(lab: &Lab) -> Result<Self> {
        let topology = Self {
            client: lab.host("client")?,
            director: lab.host("director")?,
            real_server: lab.host("real-server")?,
        };
        let Self {
            client,
            director,
            real_server,
        } = &topology;
        lab.link((client, "eth0"), (director, "eth0"))?;
        lab.link((director, "eth1"), (real_server, "eth0"))?;
        client.add_address("eth0", "172.17.42.110/16")?;
        director.add_address("eth0", "172.17.42.111/16")?;
        director.add_address("eth1", "172.18.42.111/16")?;
        director.set_sysctl("net/ipv4/ip_forward", "1")?;
        real_server.add_address("eth0", "172.18.42.121/16")?;
        real_server.add_default_route(DIP)?;
        Ok(topology)
    }
}

/// Builds the network, runs `elver` on the example in it, and shows and checks each step
/// on standard output.
///
/// The first step that does not hold ends it with an error. Otherwise it stays up until a
/// signal comes, or ends by itself if `options` say so. Either way nothing is left behind,
/// except logs and captures of a failure.
pub fn run(options: Options, elver: &Path) -> Result<()> {
    unload_leftovers("nat", elver)?;
    let lab = Lab::new("nat")?;
    let outcome = Demonstration::set_up(&lab, elver)
        .and_then(|demonstration| demonstration.run(&lab, options));
    if outcome.is_err() {
        lab.keep_records();
    }
    outcome
}

struct Demonstration {
    topology: Topology,
    director: Director,
    configuration: PathBuf,
    /// The services that the real server offers, for as long as this lives.
    _services: [Service; 2],
    front: Capture,
    back: Capture,
}

impl Demonstration {
    fn set_up(lab: &Lab, elver: &Path) -> Result<Self> {
        title("The network");
        let topology = Topology::new(lab)?;
        let Topology {
            client,
            director,
            real_server,
        } = &topology;
        println!("client       {CIP}/16 on eth0");
        println!("director     172.17.42.111/16 on eth0, 172.18.42.111/16 on eth1, ip_forward 1");
        println!("real server  {RIP}/16 on eth0, default gateway {DIP}");
        println!("\nTo look around in another terminal:");
        for host in [client, director, real_server] {
            println!("  {:<60} # the {}", host.shell_command(), host.name());
        }
        let services = [
            Service::start(real_server, "real-server", REAL_SERVICE)?,
            Service::start(real_server, "real-server", CHECKED)?,
        ];
        let front = Capture::start(director, "eth0")?;
        let back = Capture::start(director, "eth1")?;

        title("The director starts on the example's configuration");
        let configuration = lab.directory().join("keepalived.conf");
        std::fs::write(&configuration, CONFIGURATION)
            .map_err(Error::system(format!("write {}", configuration.display())))?;
        let started = Director::start(lab, director, elver, &configuration)?;
        println!(
            "director# elver run -f {} --instance {}",
            configuration.display(),
            started.instance()
        );
        Ok(Self {
            topology,
            director: started,
            configuration,
            _services: services,
            front,
            back,
        })
    }

    fn run(&self, lab: &Lab, options: Options) -> Result<()> {
        self.flaws_are_diagnosed()?;
        self.instances_become_master()?;
        self.advertisements_are_sent()?;
        self.addresses_are_held()?;
        self.service_is_in_the_table()?;
        let conversation = self.client_is_answered()?;
        self.connection_is_in_the_table(&conversation)?;
        self.addresses_are_translated(&conversation)?;
        drop(conversation);
        if options.once {
            self.director_leaves()?;
            println!("\nEvery step held.");
            return Ok(());
        }
        self.stay(lab)
    }

    /// Looks until `seen` is right, and gives up early if the director has ended.
    fn until<T>(&self, awaited: &str, mut look: impl FnMut() -> Result<Look<T>>) -> Result<T> {
        wait::until(awaited, STEP_LIMIT, || {
            self.director.check_running()?;
            look()
        })
    }

    fn flaws_are_diagnosed(&self) -> Result<()> {
        let file = self
            .configuration
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let places: Vec<_> = flaws(CONFIGURATION)
            .iter()
            .map(|line| format!("{file}:{line}:"))
            .collect();
        let log = self.until("the flaws of the configuration to be diagnosed", || {
            let log = self.director.program().log();
            let missing: Vec<_> = places
                .iter()
                .filter(|place| !log.contains(*place))
                .collect();
            Ok(if missing.is_empty() {
                Look::Met(log)
            } else {
                Look::NotYet(format!("nothing of {missing:?} in its log:\n{log}"))
            })
        })?;
        println!("{}", log.trim_end());
        holds(
            "the file's four flaws are named by line and column, and do not keep it from running",
        );
        Ok(())
    }

    fn instances_become_master(&self) -> Result<()> {
        title("Both VRRP instances become master, by their sync group");
        let status = self.until("VI_1 and VI_GATEWAY to be MASTER", || {
            // Until its socket is there, the daemon cannot answer.
            let output = self.director.command(&["ctl", "status"])?;
            let is_master = |name| {
                let mut lines = output.stdout.lines();
                lines.any(|line| {
                    let words: Vec<_> = line.split_whitespace().collect();
                    words.contains(&name) && words.contains(&"MASTER")
                })
            };
            Ok(if is_master("VI_1") && is_master("VI_GATEWAY") {
                Look::Met(output.stdout)
            } else {
                Look::NotYet(format!("{}{}", output.stdout, output.stderr))
            })
        })?;
        show("director", "elver ctl status", &status);
        holds("VI_1 and VI_GATEWAY are MASTER");
        Ok(())
    }

    fn advertisements_are_sent(&self) -> Result<()> {
        title("Advertisements on both sides");
        for (capture, interface, router, priority, address) in [
            (&self.front, "eth0", 51, 100, VIP),
            (&self.back, "eth1", 52, 150, DIP),
        ] {
            let awaited = format!(
                "an advertisement on {interface} of router {router}, priority {priority}, TTL 255, for {address}"
            );
            let frame = capture.wait_for(&awaited, STEP_LIMIT, |frame| {
                matches!(frame, Decoded::Vrrp(Vrrp { version: 2, ttl: 255, router: r, priority: p, addresses, .. })
                    if (*r, *p) == (router, priority) && addresses == &[address])
            })?;
            println!("{interface}  {frame}");
            let awaited = format!("a gratuitous ARP for {address} on {interface}");
            let frame = capture.wait_for(&awaited, STEP_LIMIT, |frame| {
                matches!(frame, Decoded::Arp(arp) if arp.is_gratuitous() && arp.sender == address)
            })?;
            println!("{interface}  {frame}");
        }
        holds("each instance advertises and announces its address");
        Ok(())
    }

    fn addresses_are_held(&self) -> Result<()> {
        title("The director holds VIP and DIP");
        let host = &self.topology.director;
        for (interface, address) in [("eth0", VIP), ("eth1", DIP)] {
            let address = format!("{address}/32");
            self.until(&format!("{address} on {interface}"), || {
                let listing = host.ip(&["-oneline", "address", "show", "dev", interface])?;
                Ok(if host.has_address(interface, &address)? {
                    Look::Met(())
                } else {
                    Look::NotYet(listing)
                })
            })?;
        }
        show("director", "ip a", &host.ip(&["-4", "address"])?);
        holds("172.17.42.200/32 is on eth0 and 172.18.42.200/32 on eth1");
        Ok(())
    }

    fn service_is_in_the_table(&self) -> Result<()> {
        title("The virtual service and its real server");
        let table = self.until("the service with its real server in the table", || {
            let output = self.director.command(&["ipvsadm", "-l"])?;
            let rows = rows(&output.stdout);
            let service = rows.iter().any(|row| {
                matches!(row[..], ["TCP", service, "rr", "persistent", "50"] if names(service, VIP))
            });
            let real_server = rows.iter().any(
                |row| matches!(row[..], ["->", server, "Masq", "1", _, _] if names(server, RIP)),
            );
            Ok(if service && real_server {
                Look::Met(output.stdout)
            } else {
                Look::NotYet(format!("{}{}", output.stdout, output.stderr))
            })
        })?;
        show("director", "ipvsadm -l", &table);
        holds("172.17.42.200:3306 goes to 172.18.42.121:3306 by masquerading, weight 1");
        Ok(())
    }

    fn client_is_answered(&self) -> Result<Conversation> {
        title("The client connects to the virtual service");
        let mut conversation = Conversation::open(&self.topology.client, SERVICE, STEP_LIMIT)?;
        let greeting = conversation.greeting().clone();
        let client = conversation.local_address()?;
        println!("client# connect {SERVICE}, from {client}");
        println!(
            "{} at {} sees {}",
            greeting.name, greeting.at, greeting.sees
        );
        expect(
            "the real server's address in the greeting",
            REAL_SERVICE.into(),
            greeting.at,
        )?;
        expect(
            "the client's address in the greeting",
            client,
            greeting.sees,
        )?;
        conversation.echo("through the director and back")?;
        conversation.upload(1 << 20)?;
        conversation.download(1 << 20)?;
        holds("the real server answers, sees the client's own address, and data passes intact");
        Ok(conversation)
    }

    fn connection_is_in_the_table(&self, conversation: &Conversation) -> Result<()> {
        title("The connection in the director's table");
        let client = conversation.local_address()?.to_string();
        let (service, real) = (SERVICE.to_string(), REAL_SERVICE.to_string());
        let connections = self.until("the connection in the table, ESTABLISHED", || {
            let output = self.director.command(&["ipvsadm", "-lnc"])?;
            let listed = rows(&output.stdout).iter().any(|row| {
                matches!(row[..], ["TCP", _, "ESTABLISHED", from, to, at]
                    if (from, to, at) == (&client, &service, &real))
            });
            Ok(if listed {
                Look::Met(output.stdout)
            } else {
                Look::NotYet(format!("{}{}", output.stdout, output.stderr))
            })
        })?;
        show("director", "ipvsadm -lnc", &connections);
        let table = self.until("one active connection of the real server", || {
            let output = self.director.command(&["ipvsadm", "-l"])?;
            let counted = rows(&output.stdout).iter().any(
                |row| matches!(row[..], ["->", server, "Masq", "1", "1", "0"] if names(server, RIP)),
            );
            Ok(if counted {
                Look::Met(output.stdout)
            } else {
                Look::NotYet(format!("{}{}", output.stdout, output.stderr))
            })
        })?;
        show("director", "ipvsadm -l", &table);
        holds("the connection is ESTABLISHED, and counted as active");
        Ok(())
    }

    fn addresses_are_translated(&self, conversation: &Conversation) -> Result<()> {
        title("Its packets on both sides of the director");
        let client = conversation.local_address()?;
        let (service, real) = (SERVICE.into(), REAL_SERVICE.into());
        // The handshake's way: where, in which direction, between whom, SYN or SYN-ACK.
        let way = [
            (&self.front, "eth0", false, client, service, "SYN"),
            (&self.back, "eth1", true, client, real, "SYN"),
            (&self.back, "eth1", false, real, client, "SYN-ACK"),
            (&self.front, "eth0", true, service, client, "SYN-ACK"),
        ];
        for (capture, interface, outgoing, source, destination, kind) in way {
            let awaited = format!("a {kind} from {source} to {destination} on {interface}");
            let frame = capture.wait_for(&awaited, STEP_LIMIT, |frame| {
                matches!(frame, Decoded::Tcp(tcp)
                    if (tcp.source, tcp.destination) == (source, destination)
                        && tcp.syn
                        && tcp.ack == (kind == "SYN-ACK"))
            })?;
            expect(
                "whether that packet leaves the director",
                outgoing,
                frame.outgoing,
            )?;
        }
        let (front, back) = (self.front.frames(), self.back.frames());
        for (frames, side, hidden) in [(&front, "client", RIP), (&back, "real server", VIP)] {
            let leak = frames.iter().find(|frame| {
                matches!(frame.decode(), Decoded::Tcp(tcp)
                    if [tcp.source.ip(), tcp.destination.ip()].contains(&IpAddr::V4(hidden)))
            });
            if let Some(frame) = leak {
                return Err(Error::Unexpected {
                    expected: format!("no packet with {hidden} on the {side}'s side"),
                    seen: frame.to_string(),
                });
            }
        }
        let mut shown: Vec<(&str, &Frame)> = [("eth0", &front), ("eth1", &back)]
            .into_iter()
            .flat_map(|(interface, frames)| frames.iter().map(move |frame| (interface, frame)))
            .filter(|(_, frame)| {
                matches!(frame.decode(), Decoded::Tcp(tcp)
                    if tcp.source == client || tcp.destination == client)
            })
            .collect();
        shown.sort_by_key(|(_, frame)| frame.time);
        const SHOWN: usize = 16;
        for (interface, frame) in shown.iter().take(SHOWN) {
            println!("{interface}  {frame}");
        }
        println!("… and {} more", shown.len().saturating_sub(SHOWN));
        holds("what comes for the VIP leaves for the RIP, what the RIP answers leaves as the VIP");
        Ok(())
    }

    fn director_leaves(&self) -> Result<()> {
        title("The director leaves");
        self.director.program().signal(Signal::TERM)?;
        let status = self.director.program().wait(STEP_LIMIT)?;
        if !status.success() {
            return Err(Error::Unexpected {
                expected: "elver to end with 0 after SIGTERM".to_owned(),
                seen: format!("{status}, after saying:\n{}", self.director.program().log()),
            });
        }
        for (capture, interface, router) in [(&self.front, "eth0", 51), (&self.back, "eth1", 52)] {
            let awaited = format!("router {router} giving up on {interface}, by priority 0");
            let frame = capture.wait_for(&awaited, STEP_LIMIT, |frame| {
                matches!(frame, Decoded::Vrrp(vrrp) if (vrrp.router, vrrp.priority) == (router, 0))
            })?;
            println!("{interface}  {frame}");
        }
        let host = &self.topology.director;
        for (interface, address) in [("eth0", VIP), ("eth1", DIP)] {
            let held = host.has_address(interface, &format!("{address}/32"))?;
            expect(
                &format!("{address} to be held on {interface} afterwards"),
                false,
                held,
            )?;
        }
        holds("it ends with 0, gives up by priority 0, and VIP and DIP are gone");
        Ok(())
    }

    fn stay(&self, lab: &Lab) -> Result<()> {
        title("The lab stays up until you interrupt it (Ctrl-C)");
        let Topology {
            client,
            director,
            real_server,
        } = &self.topology;
        println!("{:<60} # a shell on the client", client.shell_command());
        println!("  bash -c 'exec 3<>/dev/tcp/{VIP}/3306; head -n 1 <&3'");
        println!("{:<60} # a shell on the director", director.shell_command());
        println!("  export ELVER_INSTANCE={}", self.director.instance());
        println!("  elver ipvsadm -l; elver ctl status; ip a");
        println!(
            "{:<60} # a shell on the real server",
            real_server.shell_command()
        );
        println!(
            "log of the director: {}",
            self.director.program().log_path().display()
        );
        while !lab.interrupted_within(Duration::from_secs(1)) {
            let running = self.director.check_running();
            // The interruption ends it, too.
            if running.is_err() && !lab.interrupted_within(Duration::ZERO) {
                return running;
            }
        }
        println!("\nEverything is taken down.");
        Ok(())
    }
}

/// The lines, from 1, on which a parser finds something wrong in the example: three
/// keywords that keepalived does not know (today), and a brace that closes nothing.
fn flaws(configuration: &str) -> Vec<usize> {
    let unknown = ["lvs_sync_daemon_inteface", "nat_mask", "nb_get_retry"];
    let mut flaws = Vec::new();
    let mut depth = 0_usize;
    for (number, line) in (1..).zip(configuration.lines()) {
        if unknown
            .iter()
            .any(|keyword| line.split_whitespace().next() == Some(keyword))
        {
            flaws.push(number);
        }
        for brace in line.chars() {
            match brace {
                '{' => depth += 1,
                '}' if depth == 0 => flaws.push(number),
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    flaws
}

/// The words of each line.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// Whether `endpoint` is port 3306 of `address`, which /etc/services may call mysql.
fn names(endpoint: &str, address: Ipv4Addr) -> bool {
    endpoint == format!("{address}:mysql") || endpoint == format!("{address}:3306")
}

pub(crate) fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: T,
    seen: T,
) -> Result<()> {
    if expected == seen {
        return Ok(());
    }
    Err(Error::Unexpected {
        expected: format!("{what}: {expected:?}"),
        seen: format!("{seen:?}"),
    })
}

pub(crate) fn title(text: &str) {
    println!("\n== {text}");
}

pub(crate) fn show(host: &str, command: &str, output: &str) {
    println!("{host}# {command}\n{}", output.trim_end());
}

pub(crate) fn holds(what: &str) {
    println!("ok: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_the_flaws_that_it_had() {
        let lines: Vec<_> = CONFIGURATION.lines().collect();
        let flawed: Vec<_> = flaws(CONFIGURATION)
            .iter()
            .map(|&number| lines[number - 1].trim())
            .collect();
        assert_eq!(
            flawed,
            [
                "lvs_sync_daemon_inteface eth1",
                "nat_mask 255.255.0.0",
                "nb_get_retry 3",
                "}"
            ]
        );
    }
}
