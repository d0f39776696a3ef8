//! The same commands and the same frames, through the kernel's IPVS and through elver: what
//! comes out, at both ends, and what the tables show must be the same.

mod cases;
mod compare;
mod complaint;
pub(crate) mod cost;
mod errors;
mod generate;
mod network;
mod packet;
mod settings;
mod walks;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use elver_lab::wait::{self, Look};

use self::complaint::Complaint;
use self::network::{End, Family, Network, Out, RUNS, at};
use self::packet::Packet;
use crate::balanced::Balancer;
use crate::listing::{self, Connection};
use crate::random::Random;
use crate::steps::Steps;

/// Generated runs, where `ORACLE_GENERATED` does not say how many, and actions of each.
const GENERATED: u64 = 3;
const ACTIONS: usize = 150;

/// How long the kernel's counters may take to be shown (it looks every 2 s), on a machine
/// that is not slow.
const SETTLED: Duration = Duration::from_secs(4);

/// Something that is done on both sides.
#[derive(Debug, Clone)]
enum Action {
    /// ipvsadm with these words.
    Command(String),
    /// What clients send from now on to the virtual addresses of the run has this firewall
    /// mark.
    Mark(u32),
    /// A client sends a packet.
    Send(Packet),
    /// A client sends a packet in a frame that is longer.
    SendPadded(Packet),
    /// The real server sends a packet to which the client's packets of this connection went;
    /// the source is the virtual service.
    Answer(Packet),
    /// A real server sends a packet that belongs to no connection. What is told it of that comes
    /// from another address with elver, so only how much comes out is compared.
    Stray(Packet),
    /// A setting of IPVS has this value from now on.
    Set(&'static str, &'static str),
    /// Somebody sends an ICMP error.
    Complain(Complaint),
    /// So large may packets towards the real servers be from now on.
    Mtu(u16),
    /// From now on the tables are compared without statistics: IPVS counts ICMP that it makes
    /// itself as answers, where real servers do not answer through it.
    NoStatistics,
    /// Compares the tables.
    Tables,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Command(line) => write!(f, "ipvsadm {line}"),
            Action::Mark(mark) => write!(f, "mark {mark}"),
            Action::Send(packet) => write!(f, "client {packet}"),
            Action::SendPadded(packet) => write!(f, "client {packet}, padded"),
            Action::Answer(packet) => write!(f, "server {packet}"),
            Action::Stray(packet) => write!(f, "server {packet}, of no connection"),
            Action::Set(setting, value) => write!(f, "{setting} = {value}"),
            Action::Complain(complaint) => write!(f, "{complaint}"),
            Action::Mtu(mtu) => write!(f, "packets of {mtu} octets"),
            Action::NoStatistics => write!(f, "no statistics"),
            Action::Tables => write!(f, "tables"),
        }
    }
}

/// Where a run takes place: it has addresses of its own, since connections of earlier ones stay
/// in the tables.
#[derive(Debug, Clone, Copy)]
struct Place {
    run: u8,
    family: Family,
}

impl Place {
    /// A port of the virtual address.
    fn vip(self, port: u16) -> SocketAddr {
        at(self.family.vip(self.run), port)
    }

    /// A port of the client.
    fn client(self, port: u16) -> SocketAddr {
        at(self.family.client(self.run, 0), port)
    }

    /// A port of another client.
    fn other_client(self, number: u8, port: u16) -> SocketAddr {
        at(self.family.client(self.run, number), port)
    }

    /// A port of a real server.
    fn server(self, number: u8, port: u16) -> SocketAddr {
        at(self.family.server(number), port)
    }

    /// A firewall mark.
    fn mark(self) -> u32 {
        1000 + u32::from(self.run)
    }

    /// Whether a virtual address in a table is one of this run.
    fn has(self, address: IpAddr) -> bool {
        // Templates of a mark have it in the place of an address.
        let mark: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::from(self.mark()).into(),
            Family::V6 => std::net::Ipv6Addr::from(u128::from(self.mark())).into(),
        };
        address == self.family.vip(self.run) || address == mark
    }
}

/// Both sides.
struct Pair {
    kernel: Network,
    elver: Network,
    runs: u8,
    /// Where packets of a connection went last: by protocol, client and service.
    servers: BTreeMap<(u8, SocketAddr, SocketAddr), SocketAddr>,
    /// The last packet that came out of either director, the kernel's first.
    last: BTreeMap<End, [Vec<u8>; 2]>,
    /// How many frames came out in this run.
    passed: usize,
    /// Whether statistics are compared in this run.
    has_statistics: bool,
}

/// The written and the generated runs.
pub(crate) fn steps(steps: &mut Steps, elver: &Path, seed: u64) {
    if !steps.wanted("packets: ") {
        return;
    }
    let mut pair = Pair {
        kernel: Network::new("kernel-packets", Balancer::Kernel),
        elver: Network::new("elver-packets", Balancer::Elver(elver)),
        runs: 0,
        servers: BTreeMap::new(),
        last: BTreeMap::new(),
        passed: 0,
        has_statistics: true,
    };
    pair.elver.start(elver);
    let cases = cases::all().into_iter();
    let cases = cases.chain(walks::all()).chain(settings::all());
    // What they leave lies in the kernel's memory of routes, so they come last.
    for case in cases.chain(errors::all()) {
        for family in case.families {
            let place = pair.next(*family);
            let name = format!("packets: {}, {family}", case.name);
            steps.step(&name, || pair.play(place, &(case.actions)(place)));
        }
    }
    for run in 0..generated() {
        let seed = seed.wrapping_add(run);
        let place = pair.next(if run % 2 == 0 { Family::V4 } else { Family::V6 });
        steps.step(&format!("packets: generated, ORACLE_SEED={seed}"), || {
            let actions = generate::actions(&mut Random::new(seed), place, ACTIONS);
            pair.play(place, &actions);
        });
    }
}

fn generated() -> u64 {
    std::env::var("ORACLE_GENERATED").map_or(GENERATED, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("ORACLE_GENERATED={text}: not a number"))
    })
}

impl Pair {
    fn next(&mut self, family: Family) -> Place {
        let run = self.runs;
        assert!(run < RUNS, "more runs than virtual addresses");
        self.runs += 1;
        Place { run, family }
    }

    /// Does the same on both sides, from no service on, and compares all that comes out, and
    /// the tables at the end.
    fn play(&mut self, place: Place, actions: &[Action]) {
        self.servers.clear();
        self.last.clear();
        self.passed = 0;
        self.has_statistics = true;
        for side in [&mut self.kernel, &mut self.elver] {
            side.director.list(&["-C"]);
            side.unmark();
            side.reset_mtu();
            side.reset_settings();
        }
        for (number, action) in actions.iter().enumerate() {
            println!("{number:3} {action}");
            self.act(place, action);
        }
        self.tables(place);
        assert!(self.passed > 0, "nothing came out in the whole run");
    }

    fn act(&mut self, place: Place, action: &Action) {
        match action {
            Action::Command(line) => {
                let words: Vec<&str> = line.split_whitespace().collect();
                let kernel = self.kernel.director.ipvsadm(&words);
                let elver = self.elver.director.ipvsadm(&words);
                assert_eq!(kernel, elver, "the kernel (left) and elver differ");
            }
            Action::Mark(mark) => {
                for side in [&mut self.kernel, &mut self.elver] {
                    side.mark(*mark);
                }
            }
            Action::Send(packet) => {
                self.exchange(End::Clients, packet, 0);
            }
            Action::SendPadded(packet) => {
                self.exchange(End::Clients, packet, 6);
            }
            Action::Answer(packet) => {
                let connection = (packet.protocol(), packet.destination(), packet.source());
                match self.servers.get(&connection) {
                    Some(server) => {
                        let packet = packet.clone().from(*server);
                        self.exchange(End::Servers, &packet, 0);
                    }
                    None => println!("      no real server has the connection"),
                }
            }
            Action::Stray(packet) => {
                let octets = packet.octets();
                let [kernel, elver] = [&mut self.kernel, &mut self.elver]
                    .map(|side| side.send(End::Servers, &octets))
                    .map(|out| (out.servers.len(), out.clients.len()));
                println!("      {} to servers, {} to clients", kernel.0, kernel.1);
                assert_eq!(kernel, elver, "the kernel (left) and elver differ");
                self.passed += kernel.0 + kernel.1;
            }
            Action::Set(setting, value) => {
                for side in [&mut self.kernel, &mut self.elver] {
                    side.set(setting, value);
                }
            }
            Action::Complain(complaint) => self.complain(complaint),
            Action::Mtu(mtu) => {
                for side in [&mut self.kernel, &mut self.elver] {
                    side.set_mtu(*mtu);
                }
            }
            Action::NoStatistics => self.has_statistics = false,
            Action::Tables => self.tables(place),
        }
    }

    fn complain(&mut self, complaint: &Complaint) {
        let last = self.last.get(&complaint.end);
        let packets = [0, 1]
            .map(|side| complaint.octets(last.map(|packets: &[Vec<u8>; 2]| &packets[side][..])));
        if complaint.is_compared {
            self.pass(complaint.end, &packets, false);
        } else {
            for (who, side, packet) in [
                ("kernel", &mut self.kernel, &packets[0]),
                ("elver", &mut self.elver, &packets[1]),
            ] {
                let out = side.send(complaint.end, packet);
                let (servers, clients) = (out.servers.len(), out.clients.len());
                println!("      {who}: {servers} to servers, {clients} to clients");
            }
        }
    }

    /// Sends a packet on both sides, with so many octets after it, and compares what comes
    /// out.
    fn exchange(&mut self, end: End, packet: &Packet, padding: usize) {
        let mut octets = packet.octets();
        octets.resize(octets.len() + padding, 0);
        let kernel = self.pass(end, &[octets.clone(), octets], packet.is_unchecked());
        if end == End::Clients {
            self.learn(packet, &kernel);
        }
    }

    /// Sends octets into either side, the kernel's first, and compares what comes out.
    /// `unchecked` says that they are a UDP datagram without a checksum. Gives what came out of
    /// the kernel.
    fn pass(&mut self, end: End, packets: &[Vec<u8>; 2], unchecked: bool) -> Out {
        let kernel = self.kernel.send(end, &packets[0]);
        let elver = self.elver.send(end, &packets[1]);
        println!(
            "      {} to servers, {} to clients",
            kernel.servers.len(),
            kernel.clients.len()
        );
        self.passed += kernel.servers.len() + kernel.clients.len();
        for (who, kernel, elver) in [
            (End::Servers, &kernel.servers, &elver.servers),
            (End::Clients, &kernel.clients, &elver.clients),
        ] {
            compare::difference(kernel, elver, unchecked)
                .unwrap_or_else(|difference| panic!("to the end of {who:?}: {difference}"));
            if let (Some(kernel), Some(elver)) = (kernel.last(), elver.last()) {
                let packets = [kernel, elver].map(|frame| compare::packet(frame).to_vec());
                self.last.insert(who, packets);
            }
        }
        kernel
    }

    /// Notes where a packet went.
    fn learn(&mut self, packet: &Packet, out: &Out) {
        if let [frame] = &out.servers[..]
            && let Some((protocol, server)) = compare::destination(frame)
            && protocol == packet.protocol()
            // By direct routing answers go another way.
            && server.ip() != packet.destination().ip()
        {
            let connection = (protocol, packet.source(), packet.destination());
            self.servers.insert(connection, server);
        }
    }

    /// Waits until both tables show the same: the kernel's counters are late.
    fn tables(&self, place: Place) {
        wait::until("the tables of both to be the same", SETTLED, || {
            let [kernel, elver] = [&self.kernel, &self.elver].map(|side| {
                let mut services = side.director.list(&["-Ln"]);
                if self.has_statistics {
                    services += &side.director.list(&["-Ln", "--stats", "--exact"]);
                }
                (services, connections(side, place))
            });
            Ok(
                if kernel.0 == elver.0 && listing::same(&kernel.1, &elver.1) {
                    Look::Met(())
                } else {
                    Look::NotYet(format!(
                        "the kernel:\n{}{}\nelver:\n{}{}",
                        kernel.0,
                        listing::text(&kernel.1),
                        elver.0,
                        listing::text(&elver.1)
                    ))
                },
            )
        })
        .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The connections of a run. Clients have the same ports on both sides.
fn connections(side: &Network, place: Place) -> Vec<Connection> {
    listing::connections(
        &side.director.list(&["-Lnc"]),
        |address| place.has(address),
        |client| Some(client.to_string()),
    )
}
