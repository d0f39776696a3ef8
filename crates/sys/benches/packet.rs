//! What a packet costs, in nanoseconds, without the driver and the network around it.
//!
//! The kernel runs the programs again and again over one packet (`BPF_PROG_TEST_RUN`). In
//! every turn a driver writes the packet's headers anew and goes on with the pipeline; the
//! same driver returning at once is measured beside it and subtracted. Short runs with
//! pauses, the driver alone and the pipeline by turns, on one processor; the median of
//! many, and the 10th percentile, which other work on the machine disturbs least.
//!
//! Routes, neighbours and devices are real ones, in a network namespace of its own. What
//! packets became is read from the counters of reasons after every run, so that nothing
//! else than what a line says is measured.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use elver_packet::flow::tcp::TcpState;
use elver_packet::reason::Reason;
use elver_packet::table::destination::{self, method};
use elver_packet::table::service::{self, ServiceKey};
use elver_packet::table::settings::{SIZE_AND_EPOCH_WORD, TCP_TIMEOUTS_WORD};
use elver_packet::table::{Words, connection};
use elver_packet::wire::{TcpFlags, protocol};
use elver_sys::bpf::{Attachments, Clock, Maps, Sizes, load, unload};
use rustix::thread::{CpuSet, UnshareFlags, sched_getaffinity, sched_setaffinity, unshare_unsafe};
use serde_json::json;

#[path = "../../bpf/src/driver/script.rs"]
mod script;

const DRIVER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/elver-bpf-driver.o"));

/// How often each line is measured.
const RUNS: usize = 41;
/// Packets of a run over few flows.
const SHORT: u32 = 20_000;
/// Flows where there are many.
const MANY: u32 = 1 << 16;
/// New connections of a run.
const NEW: u32 = 10_000;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
const REAL_SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Clients differ in the lower 24 bits, so that none of them is another's neighbour.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const CLIENT_PORT: u16 = 0x8000;
/// A service without persistence.
const PLAIN: u16 = 80;
/// A service with persistence.
const PERSISTENT: u16 = 81;
/// No service.
const NO_SERVICE: u16 = 82;
/// A service without persistence, by direct routing.
const DIRECT: u16 = 83;
/// A service without persistence, by an ipip tunnel.
const TUNNEL: u16 = 84;

const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    RealServer,
}

/// What is done before every run, and is not measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Nothing,
    /// Enough time passes for every connection's expiry to be put off again.
    ATick,
    /// Next hops are forgotten: each connection asks the routes again.
    RouteChange,
    /// The connection table is emptied when a quarter of it is in use.
    Room,
}

/// Where a packet arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    Tc,
    Xdp,
}

/// A line of the table.
struct Case {
    name: &'static str,
    hook: Hook,
    deed: u64,
    sender: Sender,
    port: u16,
    flags: u8,
    flows: u32,
    /// Flows are so many bits apart: 8 make each another client.
    shift: u32,
    packets: u32,
    before: Before,
    /// What each packet is counted as.
    reason: Option<Reason>,
}

const CASES: &[Case] = &[
    Case {
        name: "established, client to real server, 1 flow",
        ..Case::ESTABLISHED
    },
    Case {
        name: "established, real server to client, 1 flow",
        ..Case::ANSWER
    },
    Case {
        name: "established, client to real server, 64k flows",
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: "established, real server to client, 64k flows",
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ANSWER
    },
    Case {
        name: "established, 64k flows, each asks the routes",
        flows: MANY,
        packets: MANY,
        before: Before::RouteChange,
        ..Case::ESTABLISHED
    },
    Case {
        name: "new flow",
        ..Case::OPENING
    },
    Case {
        name: "new flow, persistence, client known",
        port: PERSISTENT,
        ..Case::OPENING
    },
    Case {
        name: "new flow, persistence, client new",
        port: PERSISTENT,
        shift: 8,
        ..Case::OPENING
    },
    Case {
        name: "new flow, table full of embryonic ones",
        before: Before::Nothing,
        ..Case::OPENING
    },
    Case {
        name: "no virtual service, amid a connection",
        port: NO_SERVICE,
        reason: Some(Reason::NotFirst),
        ..Case::ESTABLISHED
    },
    Case {
        name: "no virtual service, first packet",
        port: NO_SERVICE,
        flags: SYN,
        reason: Some(Reason::NoService),
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established, client to real server, 1 flow",
        hook: Hook::Xdp,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established, real server to client, 1 flow",
        hook: Hook::Xdp,
        ..Case::ANSWER
    },
    Case {
        name: "XDP: established, client to real server, 64k flows",
        hook: Hook::Xdp,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established, real server to client, 64k flows",
        hook: Hook::Xdp,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ANSWER
    },
    Case {
        name: "XDP: established by direct routing, 1 flow",
        hook: Hook::Xdp,
        port: DIRECT,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established through an ipip tunnel, 1 flow",
        hook: Hook::Xdp,
        port: TUNNEL,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: new flow",
        hook: Hook::Xdp,
        ..Case::OPENING
    },
    Case {
        name: "XDP: new flow by direct routing",
        hook: Hook::Xdp,
        port: DIRECT,
        ..Case::OPENING
    },
    Case {
        name: "XDP: new flow through an ipip tunnel",
        hook: Hook::Xdp,
        port: TUNNEL,
        ..Case::OPENING
    },
    Case {
        name: "XDP: no virtual service, amid a connection: punted",
        hook: Hook::Xdp,
        port: NO_SERVICE,
        reason: Some(Reason::PuntNoService),
        ..Case::ESTABLISHED
    },
    Case {
        name: "yardstick: LRU_HASH look-up, hot 16-byte key",
        deed: script::LOOK_UP,
        reason: None,
        ..Case::ESTABLISHED
    },
];

impl Case {
    const ESTABLISHED: Case = Case {
        name: "",
        hook: Hook::Tc,
        deed: script::ARRIVE,
        sender: Sender::Client,
        port: PLAIN,
        flags: ACK,
        flows: 1,
        shift: 0,
        packets: SHORT,
        before: Before::Nothing,
        reason: Some(Reason::ForwardedToServer),
    };
    const ANSWER: Case = Case {
        sender: Sender::RealServer,
        reason: Some(Reason::ForwardedToClient),
        ..Case::ESTABLISHED
    };
    const OPENING: Case = Case {
        flags: SYN,
        flows: 1 << 31,
        packets: NEW,
        before: Before::Room,
        ..Case::ESTABLISHED
    };

    /// Whether it opens connections for which there is no room.
    fn is_of_full_table(&self) -> bool {
        self.opens() && self.before == Before::Nothing
    }

    /// Whether each of its packets opens a connection.
    fn opens(&self) -> bool {
        self.flows == Case::OPENING.flows
    }

    /// The headers of its packets.
    fn headers(&self, network: &Network) -> [u8; script::HEADERS] {
        let (mac, from, to) = match self.sender {
            Sender::Client => (network.front.mac, (CLIENT, CLIENT_PORT), (VIP, self.port)),
            Sender::RealServer => (
                network.back.mac,
                (REAL_SERVER, self.port),
                (CLIENT, CLIENT_PORT),
            ),
        };
        let mut headers = [0; script::HEADERS];
        let mut write = |at: usize, octets: &[u8]| {
            headers[at..at + octets.len()].copy_from_slice(octets);
        };
        write(0, &mac);
        write(6, &[2, 0, 0, 0, 0, 1]);
        write(12, &[0x08, 0x00, 0x45]);
        write(16, &40u16.to_be_bytes());
        // Do not fragment; 64 hops.
        write(20, &[0x40, 0, 64, protocol::TCP]);
        write(26, &from.0.octets());
        write(30, &to.0.octets());
        write(34, &from.1.to_be_bytes());
        write(36, &to.1.to_be_bytes());
        write(46, &[5 << 4, self.flags]);
        headers
    }
}

fn main() {
    if DRIVER.is_empty() {
        eprintln!("There is nothing to measure with: elver was built with ELVER_BPF_OBJECT set.");
        std::process::exit(1);
    }
    pin_to_a_processor();
    let network = Network::new();
    let mut bench = Bench::new(&network);
    bench.establish();
    // As with other benchmarks, an argument names the lines that are wanted by a part of them.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted =
        |case: &&Case| wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part));
    let mut results: Vec<(&Case, Samples)> = CASES
        .iter()
        .filter(is_wanted)
        .map(|case| (case, Samples::default()))
        .collect();
    // Lines that need a full table disturb the others: they come when those are through.
    for full in [false, true] {
        if full && results.iter().any(|(case, _)| case.is_of_full_table()) {
            bench.fill();
        }
        for _ in 0..RUNS {
            for (case, samples) in results
                .iter_mut()
                .filter(|(case, _)| case.is_of_full_table() == full)
            {
                bench.measure(case, samples);
            }
        }
    }
    report(&bench, &results);
}

/// The data plane under measurement, with its driver.
struct Bench<'a> {
    network: &'a Network,
    maps: Maps,
    driver: Ebpf,
    script: Array<MapData, [u64; script::WORDS]>,
    /// Turns of the driver so far, so that no connection is opened twice.
    turns: u64,
    /// Entries made since the table was emptied last.
    entries: u32,
    /// Programs, and the instructions that the verifier followed.
    verified: Vec<(String, u32)>,
    pinned: Pinned,
}

/// Removes what was pinned, whatever happens.
struct Pinned(String);

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = unload(&self.0) {
            eprintln!("{error}");
        }
    }
}

impl<'a> Bench<'a> {
    fn new(network: &'a Network) -> Bench<'a> {
        let pinned = Pinned(format!("bench-{}", std::process::id()));
        let (mut maps, mut attachments) =
            load(&pinned.0, Sizes::default()).unwrap_or_else(|error| panic!("{error}"));
        write_services(&mut maps);
        attach_xdp(&mut attachments, network);
        let mut verified = attachments.verified_instructions();
        verified.sort();
        let mut driver = EbpfLoader::new()
            .default_map_pin_directory(Path::new("/sys/fs/bpf/elver").join(&pinned.0))
            .load(DRIVER)
            .expect("the driver is an object");
        classifier(&mut driver)
            .load()
            .expect("the kernel takes the driver");
        xdp(&mut driver)
            .load()
            .expect("the kernel takes the driver at XDP");
        let script = driver.take_map("SCRIPT").expect("the driver has a script");
        let script = Array::try_from(script).expect("the script is an array");
        let yardstick = driver
            .map_mut("YARDSTICK")
            .expect("the driver has a yardstick");
        HashMap::<_, [u64; 2], u64>::try_from(yardstick)
            .expect("the yardstick is a hash")
            .insert(script::KEY, 1, 0)
            .expect("the yardstick has room");
        Bench {
            network,
            maps,
            driver,
            script,
            turns: 0,
            entries: 0,
            verified,
            pinned,
        }
    }

    /// Opens the connections that the lines about established ones need.
    fn establish(&mut self) {
        for (port, flows) in [(PLAIN, MANY), (DIRECT, 1), (TUNNEL, 1)] {
            for flags in [SYN, ACK] {
                let case = Case {
                    port,
                    flags,
                    flows,
                    packets: flows,
                    ..Case::ESTABLISHED
                };
                self.run(&case, case.deed, 0);
            }
        }
        self.entries = 2 * MANY;
    }

    /// Fills the table with connections that never came about.
    fn fill(&mut self) {
        let lines = self.maps.connection_lines();
        let opening = Case {
            packets: lines,
            ..Case::OPENING
        };
        self.run(&opening, script::ARRIVE, self.turns);
        self.turns += u64::from(lines);
    }

    /// One run of the driver alone, and one of the case.
    fn measure(&mut self, case: &Case, samples: &mut Samples) {
        std::thread::sleep(Duration::from_millis(3));
        if case.before == Before::Room && self.entries > self.maps.connection_lines() / 4 {
            self.empty();
        }
        let start = if case.opens() { self.turns } else { 0 };
        let bare = |bench: &mut Bench| bench.run(case, script::RETURN, start);
        let first = bare(self);
        match case.before {
            Before::Nothing | Before::Room => {}
            Before::ATick => {
                // Next hops are remembered for about a second; the line before took longer.
                self.run(case, case.deed, start);
                std::thread::sleep(Duration::from_millis(150));
            }
            Before::RouteChange => {
                let settings = self.maps.settings().expect("settings");
                settings.fetch_add(SIZE_AND_EPOCH_WORD, 1 << 32);
            }
        }
        let whole = self.run(case, case.deed, start);
        let second = bare(self);
        if case.opens() {
            self.turns += u64::from(case.packets);
            self.entries += 3 * case.packets;
        }
        samples.bare.push(first.min(second));
        samples.whole.push(whole);
    }

    /// Takes every entry but those of established connections out of the table.
    fn empty(&mut self) {
        for line in 0..self.maps.connection_lines() {
            for word in 0..connection::WORDS {
                self.maps.connection(line).expect("a line").store(word, 0);
            }
        }
        for id in 0..SERVICES.len() as u32 {
            let words = self.maps.destination(id).expect("a destination");
            words.store(destination::CONNECTIONS_WORD, 0);
            words.store(destination::TEMPLATES_WORD, 0);
        }
        self.establish();
    }

    /// Runs the driver over so many packets of a case, beginning with this turn: the time
    /// that a packet takes, in nanoseconds.
    fn run(&mut self, case: &Case, deed: u64, start: u64) -> f64 {
        let headers = case.headers(self.network);
        let mut words = [0; script::WORDS];
        words[script::DEED_WORD] = deed;
        words[script::FLOWS_WORD] = u64::from(case.flows - 1);
        words[script::SHIFT_WORD] = u64::from(case.shift);
        words[script::PACKETS_WORD] = start;
        words[script::END_WORD] = u64::from(case.sender == Sender::RealServer);
        for (word, octets) in words[script::HEADERS_WORD..]
            .iter_mut()
            .zip(headers.chunks(8))
        {
            let mut padded = [0; 8];
            padded[..octets.len()].copy_from_slice(octets);
            *word = u64::from_ne_bytes(padded);
        }
        let mut packet = [0; 64];
        words[script::OCTETS_WORD] = packet.len() as u64;
        self.script
            .set(0, words, 0)
            .expect("the script has an entry");
        packet[..script::HEADERS].copy_from_slice(&headers);
        let device = match case.sender {
            Sender::Client => self.network.front.index,
            Sender::RealServer => self.network.back.index,
        };
        let mut options = TestRunOptions::new();
        options.data_in = Some(&packet);
        let context = match case.hook {
            Hook::Tc => tc_context(device),
            Hook::Xdp => xdp_context(device, packet.len() as u32),
        };
        options.ctx_in = Some(&context);
        options.repeat = case.packets;
        let reason = case.reason.filter(|_| deed == script::ARRIVE);
        let before = reason.map(|reason| self.maps.reason(reason));
        let (result, gave_up) = match case.hook {
            Hook::Tc => (classifier(&mut self.driver).test_run(options), 2),
            Hook::Xdp => (xdp(&mut self.driver).test_run(options), 0),
        };
        let result = result.expect("a run");
        if let (Some(reason), Some(before)) = (reason, before) {
            let counted = self.maps.reason(reason) - before;
            // New connections may meet two full sets whose entries all live.
            let all = u64::from(case.packets);
            assert!(
                counted == all || case.flags == SYN && counted > all - all / 100,
                "{}: {counted} of {all} packets were counted as {}",
                case.name,
                reason.name(),
            );
        }
        assert_ne!(
            result.return_value, gave_up,
            "{}: the driver gave up",
            case.name
        );
        result.duration.as_nanos() as f64
    }
}

fn classifier(driver: &mut Ebpf) -> &mut SchedClassifier {
    let program = driver
        .program_mut("elver_drive")
        .expect("the driver has a program");
    program.try_into().expect("the driver is a classifier")
}

fn xdp(driver: &mut Ebpf) -> &mut Xdp {
    let program = driver
        .program_mut("elver_drive_xdp")
        .expect("the driver has a program for XDP");
    program.try_into().expect("the driver is a program for XDP")
}

/// A `__sk_buff` in which only the device is set.
fn tc_context(device: u32) -> Vec<u8> {
    let mut context = vec![0; 192];
    context[40..44].copy_from_slice(&device.to_ne_bytes());
    context
}

/// An `xdp_md` of a frame of so many octets.
fn xdp_context(device: u32, octets: u32) -> Vec<u8> {
    let mut context = vec![0; 24];
    context[4..8].copy_from_slice(&octets.to_ne_bytes());
    context[12..16].copy_from_slice(&device.to_ne_bytes());
    context
}

/// Attaches XDP on both sides, without which the kernel runs it for neither, and lets it send
/// to both.
fn attach_xdp(attachments: &mut Attachments, network: &Network) {
    let sides = [("front", &network.front), ("back", &network.back)];
    for (name, side) in sides {
        attachments
            .attach_xdp(side.index, name)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let stations = sides.map(|(_, side)| (side.index, side.mac));
    attachments
        .set_stations(&stations.into())
        .and_then(|()| attachments.set_redirects(&sides.map(|(_, side)| side.index).into()))
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The ports of the services, and how packets for them are forwarded.
const SERVICES: [(u16, u8); 4] = [
    (PLAIN, method::NAT),
    (PERSISTENT, method::NAT),
    (DIRECT, method::DIRECT),
    (TUNNEL, method::TUNNEL),
];

/// The services, with a real server each, which is the same for all.
fn write_services(maps: &mut Maps) {
    let settings = maps.settings().expect("settings");
    let clock = Clock::from_settings(settings);
    for (state, seconds) in (0..).zip(TcpState::TIMEOUT_SECONDS) {
        let ticks = clock.ticks(Duration::from_secs(seconds.into()));
        settings.store(TCP_TIMEOUTS_WORD + state, u64::from(ticks));
    }
    for (id, (port, method)) in (0..).zip(SERVICES) {
        let words = maps.destination(id).expect("a destination");
        let port_word = u64::from(port.to_be());
        words.store(destination::SERVICE_WORD, u64::from(id) | port_word << 32);
        words.store(destination::ADDRESS_WORD, u64::from(in_memory(REAL_SERVER)));
        words.store(destination::WEIGHT_WORD, 1);
        let flags =
            destination::flags::LIVE | destination::flags::AVAILABLE | destination::flags::HELD;
        let heading = u64::from(flags) | u64::from(method) << 48 | 4 << 56;
        words.exchange(destination::FLAGS_WORD, heading);
        maps.set_member(id, id);
        let words = maps.service(id).expect("a service");
        words.store(service::MEMBERS_WORD, u64::from(id) | 1 << 32);
        let ticks = clock.ticks(Duration::from_secs(300));
        words.store(service::PERSISTENCE_WORD, u64::from(ticks));
        words.store(service::PORT_WORD, port_word | 4 << 16 | 32 << 24);
        let mut flags = service::flags::LIVE | service::flags::HELD;
        if port == PERSISTENT {
            flags |= service::flags::PERSISTENT;
        }
        words.exchange(
            service::FLAGS_WORD,
            u64::from(flags) | u64::from(protocol::TCP) << 56,
        );
        let mut address = [0; 16];
        address[..4].copy_from_slice(&VIP.octets());
        let key = ServiceKey {
            address,
            mark: 0,
            port: port.to_be_bytes(),
            protocol: protocol::TCP,
            family: 4,
        };
        maps.index_service(&key, id)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// An address as the tables hold it.
fn in_memory(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// A device of the director.
struct Device {
    index: u32,
    mac: [u8; 6],
}

/// The director's two sides. The neighbours on both are permanent entries.
struct Network {
    front: Device,
    back: Device,
}

impl Network {
    /// Enters a network namespace of its own and sets it up. It goes with this process.
    fn new() -> Network {
        // SAFETY: nothing but the network namespace is left, by the only thread.
        if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
            eprintln!("A network namespace cannot be made: {error}. Measuring takes root.");
            std::process::exit(1);
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
        for (device, address, neighbour) in [
            ("front", "192.0.2.254/24", "192.0.2.1"),
            ("back", "198.51.100.254/24", "198.51.100.2"),
        ] {
            let far = format!("{device}-far");
            ip(&format!("link add {device} type veth peer name {far}"));
            ip(&format!("link set {device} up"));
            ip(&format!("link set {far} up"));
            ip(&format!("address add {address} dev {device}"));
            ip(&format!(
                "neighbour add {neighbour} lladdr 02:00:00:00:00:01 nud permanent dev {device}"
            ));
        }
        ip("route add 10.0.0.0/8 via 192.0.2.1");
        Network {
            front: Device::named("front"),
            back: Device::named("back"),
        }
    }
}

impl Device {
    fn named(name: &str) -> Device {
        let listing = ip(&format!("-json link show dev {name}"));
        let listing: serde_json::Value = serde_json::from_str(&listing).expect("JSON of ip");
        let index = listing[0]["ifindex"].as_u64().expect("an index") as u32;
        let text = listing[0]["address"].as_str().expect("an address");
        let mut mac = [0; 6];
        for (octet, text) in mac.iter_mut().zip(text.split(':')) {
            *octet = u8::from_str_radix(text, 16).expect("a hexadecimal number");
        }
        Device { index, mac }
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pin_to_a_processor() {
    let allowed = sched_getaffinity(None).expect("the processors of this process");
    let last = (0..CpuSet::MAX_CPU)
        .rev()
        .find(|processor| allowed.is_set(*processor));
    let mut one = CpuSet::new();
    one.set(last.expect("a processor"));
    sched_setaffinity(None, &one).expect("one of the processors of this process");
}

/// Nanoseconds per packet, run by run.
#[derive(Default)]
struct Samples {
    bare: Vec<f64>,
    whole: Vec<f64>,
}

impl Samples {
    /// The cost without the driver's, at a percentile of both.
    fn net(&self, percent: usize) -> f64 {
        percentile(&self.whole, percent) - percentile(&self.bare, percent)
    }
}

fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

fn report(bench: &Bench, results: &[(&Case, Samples)]) {
    let yardstick = results
        .iter()
        .find(|(case, _)| case.deed == script::LOOK_UP);
    let yardstick = yardstick.map_or(f64::NAN, |(_, samples)| samples.net(50).max(1.0));
    println!(
        "{:52} {:>8} {:>8} {:>12} {:>8}",
        "ns per packet, net of the driver", "median", "10th %", "look-ups", "driver"
    );
    let mut lines = Vec::new();
    for (case, samples) in results {
        let (median, tenth, bare) = (
            samples.net(50),
            samples.net(10),
            percentile(&samples.bare, 50),
        );
        println!(
            "{:52} {median:8.0} {tenth:8.0} {:12.2} {bare:8.0}",
            case.name,
            median / yardstick
        );
        lines.push(json!({
            "case": case.name,
            "median_ns": median,
            "tenth_percentile_ns": tenth,
            "look_ups": median / yardstick,
            "driver_ns": bare,
            "packets_per_run": case.packets,
            "runs": samples.whole.len(),
        }));
    }
    println!("\ninstructions that the verifier followed");
    for (program, instructions) in &bench.verified {
        println!("{program:52} {instructions:8}");
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let whole = json!({
        "kernel": kernel.trim(),
        "instance": bench.pinned.0,
        "lines": lines,
        "verified_instructions": bench.verified.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
    std::fs::write(&path, format!("{whole:#}\n")).expect("target/bench.json");
    println!("\ntarget/bench.json has these figures");
}
