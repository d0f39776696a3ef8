//! What a packet costs: the instructions that the processor executes for it, by IPVS and by
//! elver, on the same kernel.
//!
//! To be run in a machine whose clock counts instructions, one to a nanosecond
//! (`ORACLE_COUNTS_INSTRUCTIONS` of `tools/oracle-vm`), with one processor: then a packet has
//! passed the director when the system call that sends it returns, and the time that this
//! took is the number of instructions. What a frame costs that nobody takes is subtracted:
//! the system call, and the way through the first veth. What is left is the way through the
//! director from the device on, and that through the second veth.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Place;
use super::compare::{self, GUE_PORT};
use super::network::{End, FAMILIES, Family, Network};
use super::packet::Packet;
use crate::balanced::Balancer;

/// How often everything is counted: other processes of the machine add to some of the rounds,
/// and the lower quartile tells of the others.
const ROUNDS: u16 = 25;
/// Packets of a round.
const PACKETS: u16 = 100;
/// Octets of data in each packet.
const DATA: usize = 64;
/// How long nothing happens before.
const QUIET: Duration = Duration::from_millis(1500);
/// How often the processor is given to others that wait for it.
const YIELDS: u32 = 4;
/// The first port of a client whose connections are new.
const FIRST_PORT: u16 = 10_000;

/// A side of the comparison.
struct Side {
    network: Network,
    /// Instructions for a frame that nobody takes.
    in_vain: f64,
}

impl Side {
    fn new(name: &str, balancer: Balancer<'_>, hook: &str) -> Side {
        let mut network = Network::new(name, balancer);
        if let Balancer::Elver(elver) = balancer {
            // What XDP sends to a veth is taken by a peer that has GRO.
            network.receive_in_batches();
            network.start_with(elver, &["--hook", hook]);
        }
        let mut side = Side {
            network,
            in_vain: 0.0,
        };
        let place = Place {
            run: 0,
            family: Family::V4,
        };
        let length = udp(place, 1).octets().len();
        side.in_vain = side.count(|network, _| {
            for _ in 0..PACKETS {
                network.send_in_vain(End::Clients, length);
            }
        });
        side
    }

    /// The instructions of some work of a round, for each of its packets.
    fn count(&mut self, mut work: impl FnMut(&mut Network, u16)) -> f64 {
        self.network.deafen();
        // Who still has something to do about changes does it now. Where there is nothing to do
        // the clock jumps.
        std::thread::sleep(QUIET);
        let mut rounds: Vec<u128> = (0..ROUNDS)
            .map(|round| {
                let start = Instant::now();
                work(&mut self.network, round);
                // What the kernel has left for a thread of its own is done as well.
                for _ in 0..YIELDS {
                    std::thread::yield_now();
                }
                start.elapsed().as_nanos()
            })
            .collect();
        self.network.listen();
        rounds.sort_unstable();
        rounds[rounds.len() / 4] as f64 / f64::from(PACKETS)
    }

    /// The instructions for each of these packets, which all have to be forwarded out of the
    /// other end: as many as a round has, and then again from the first, or one round after
    /// the other.
    fn forwarded(&mut self, end: End, packets: &[Vec<u8>]) -> f64 {
        let out = match end {
            End::Clients => End::Servers,
            End::Servers => End::Clients,
        };
        let before = self.network.sent(out);
        let instructions = self.count(|network, round| {
            let first = usize::from(round) * usize::from(PACKETS);
            for number in first..first + usize::from(PACKETS) {
                network.send_only(end, &packets[number % packets.len()]);
            }
        });
        let (sent, forwarded) = (
            u64::from(ROUNDS) * u64::from(PACKETS),
            self.network.sent(out) - before,
        );
        assert!(
            forwarded >= sent,
            "{forwarded} of {sent} packets were forwarded"
        );
        instructions - self.in_vain
    }

    /// Instructions for a packet of an established connection, for its answer where that
    /// passes the director, and for the first of a connection.
    fn method(&mut self, place: Place, options: &str) -> [Option<f64>; 3] {
        self.network.director.list(&["-C"]);
        let service = place.vip(80).to_string();
        let list = |line: String| {
            let words: Vec<&str> = line.split_whitespace().collect();
            self.network.director.list(&words);
        };
        list(format!("-A -u {service} -s rr"));
        for number in 0..3 {
            list(format!(
                "-a -u {service} -r {} {options}",
                place.server(number, 80)
            ));
        }
        let packet = udp(place, 2000);
        let out = self.network.send(End::Clients, &packet.octets());
        let established = self.forwarded(End::Clients, &[packet.octets()]);
        let back = (options == "-m").then(|| {
            let frame = out.servers.last().expect("a packet to a real server");
            let (_, server) = compare::destination(frame).expect("a UDP packet");
            let answer = Packet::udp(server, place.client(2000)).payload(DATA);
            self.forwarded(End::Servers, &[answer.octets()])
        });
        let first: Vec<Vec<u8>> = (0..ROUNDS * PACKETS)
            .map(|number| udp(place, FIRST_PORT + number).octets())
            .collect();
        let new = self.forwarded(End::Clients, &first);
        [Some(established), back, Some(new)]
    }
}

fn udp(place: Place, port: u16) -> Packet {
    Packet::udp(place.client(port), place.vip(80)).payload(DATA)
}

/// Prints the table.
pub(crate) fn print(elver: &Path) {
    let mut sides = [
        Side::new("cost-ipvs", Balancer::Kernel, ""),
        Side::new("cost-tc", Balancer::Elver(elver), "tc"),
        Side::new("cost-xdp", Balancer::Elver(elver), "xdp"),
    ];
    let gue = format!("-i --tun-type gue --tun-port {GUE_PORT}");
    println!(
        "instructions per packet, UDP with {DATA} octets of data\n\n\
         {:<34} {:>8} {:>8} {:>6} {:>8} {:>6}",
        "", "IPVS", "tc", "of it", "XDP", "of it"
    );
    let mut run = 0;
    for family in FAMILIES {
        for (method, options) in [("NAT", "-m"), ("DR", "-g"), ("ipip", "-i"), ("gue", &gue)] {
            run += 1;
            let place = Place { run, family };
            let [ipvs, tc, xdp] = sides.each_mut().map(|side| side.method(place, options));
            let what = ["established", "its answer", "new"];
            for (((what, ipvs), tc), xdp) in what.iter().zip(ipvs).zip(tc).zip(xdp) {
                let (Some(ipvs), Some(tc), Some(xdp)) = (ipvs, tc, xdp) else {
                    continue;
                };
                println!(
                    "{:<34} {ipvs:>8.0} {tc:>8.0} {:>6} {xdp:>8.0} {:>6}",
                    format!("{method}, {family}, {what}"),
                    percent(tc, ipvs),
                    percent(xdp, ipvs),
                );
            }
        }
    }
    let in_vain = sides.each_ref().map(|side| side.in_vain);
    println!(
        "{:<34} {:>8.0} {:>8.0} {:>6} {:>8.0}\n",
        "a frame that nobody takes", in_vain[0], in_vain[1], "", in_vain[2]
    );
    match octets_of_ipvs() {
        Some(octets) => {
            println!("octets per connection: IPVS {octets}, and what its hash table takes")
        }
        None => println!("octets per connection: the kernel does not tell those of IPVS"),
    }
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", part / whole * 100.0)
}

/// The octets of an object of the kernel's connection table, with what surrounds it
/// (slabinfo(5)).
fn octets_of_ipvs() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/slabinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("ip_vs_conn "))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
