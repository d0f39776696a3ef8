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

mod cases;
mod network;
mod report;
mod services;

use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use elver_packet::table::settings::SIZE_AND_EPOCH_WORD;
use elver_packet::table::{Words, connection, destination};
use elver_sys::bpf::{Attachments, Maps, Sizes, load, unload};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cases::{
    ACK, Before, Case, Family, Hook, MANY, METHODS, MOST, SYN, Sender, Tables, all,
};
use crate::network::{Device, Network};
use crate::report::{Samples, report};
use crate::services::{DIRECT, MANY_SERVICES, PLAIN, PORTS, TUNNEL, write_services};

#[path = "../../../bpf/src/driver/script.rs"]
mod script;

const DRIVER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/elver-bpf-driver.o"));

/// How often each line is measured, where `BENCH_RUNS` does not say so. In a machine whose clock
/// counts instructions, where nothing disturbs, three are enough.
const RUNS: usize = 41;

fn main() {
    if DRIVER.is_empty() {
        eprintln!("There is nothing to measure with: elver was built with ELVER_BPF_OBJECT set.");
        std::process::exit(1);
    }
    pin_to_a_processor();
    let network = Network::new();
    let mut bench = Bench::new(&network, Tables::Small);
    bench.establish();
    // As with other benchmarks, an argument names the lines that are wanted by a part of them.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let runs = std::env::var("BENCH_RUNS").map_or(RUNS, |runs| runs.parse().expect("a number"));
    let is_wanted =
        |case: &&Case| wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part));
    let cases = all();
    let mut results: Vec<(&Case, Samples)> = cases
        .iter()
        .filter(is_wanted)
        .map(|case| (case, Samples::default()))
        .collect();
    // Beside it, if need be, those with many services, over the same flows, and with many
    // connections.
    let mut others: Vec<Bench<'_>> = [Tables::ManyServices, Tables::ManyConnections]
        .into_iter()
        .filter(|tables| results.iter().any(|(case, _)| case.tables == *tables))
        .map(|tables| {
            let mut bench = Bench::new(&network, tables);
            bench.establish();
            bench
        })
        .collect();
    // Lines that need a full table disturb the others: they come when those are through.
    for full in [false, true] {
        if full && results.iter().any(|(case, _)| case.is_of_full_table()) {
            bench.fill();
        }
        for _ in 0..runs {
            for (case, samples) in results
                .iter_mut()
                .filter(|(case, _)| case.is_of_full_table() == full)
            {
                let other = others.iter_mut().find(|other| other.tables == case.tables);
                other.unwrap_or(&mut bench).measure(case, samples);
            }
        }
    }
    report(&bench.verified, &bench.pinned.0, &results);
}

/// The data plane under measurement, with its driver.
struct Bench<'a> {
    network: &'a Network,
    tables: Tables,
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
    fn new(network: &'a Network, tables: Tables) -> Bench<'a> {
        let pinned = Pinned(format!("bench-{tables:?}-{}", std::process::id()));
        let sizes = match tables {
            Tables::Small => Sizes::default(),
            Tables::ManyServices => Sizes {
                services: 2 * MANY_SERVICES,
                destinations: 16 * MANY_SERVICES,
                ..Sizes::default()
            },
            // By NAT each takes two entries, and there has to be room for new ones.
            Tables::ManyConnections => Sizes {
                connections: 16 * MOST,
                ..Sizes::default()
            },
        };
        let (mut maps, mut attachments) =
            load(&pinned.0, sizes).unwrap_or_else(|error| panic!("{error}"));
        write_services(&mut maps, tables);
        // The kernel sends from XDP only where it is attached, which it is once; and programs of
        // XDP are loaded when they are attached first.
        match tables {
            Tables::Small => attach_xdp(&mut attachments, [&network.front, &network.back]),
            Tables::ManyConnections => attach_xdp(&mut attachments, network.far.each_ref()),
            Tables::ManyServices => {}
        }
        tell_xdp(&mut attachments, network);
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
            tables,
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
        let flows: Vec<(Family, u16, u32)> = match self.tables {
            Tables::ManyConnections => [Family::V4, Family::V6]
                .into_iter()
                .flat_map(|family| METHODS.map(|(_, port)| (family, port, MOST)))
                .collect(),
            _ => [(PLAIN, MANY), (DIRECT, 1), (TUNNEL, 1)]
                .map(|(port, flows)| (Family::V4, port, flows))
                .into(),
        };
        for (family, port, flows) in flows {
            for flags in [SYN, ACK] {
                let case = Case {
                    // At XDP the driver takes tunnels' headers away again.
                    hook: match self.tables {
                        Tables::ManyConnections => Hook::Xdp,
                        _ => Hook::Tc,
                    },
                    family,
                    port,
                    flags,
                    flows,
                    packets: flows,
                    // Some meet two full sets whose entries all live.
                    reason: None,
                    ..Case::ESTABLISHED
                };
                self.run(&case, case.deed, 0);
            }
        }
        self.entries = 0;
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
        for id in 0..2 * PORTS.len() as u32 {
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
        words[script::END_WORD] =
            u64::from(case.sender == Sender::RealServer) + 2 * u64::from(case.family == Family::V6);
        for (word, octets) in words[script::HEADERS_WORD..]
            .iter_mut()
            .zip(headers.chunks(8))
        {
            let mut padded = [0; 8];
            padded[..octets.len()].copy_from_slice(octets);
            *word = u64::from_ne_bytes(padded);
        }
        let mut packet = [0; 80];
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

/// Attaches XDP to both of these.
fn attach_xdp(attachments: &mut Attachments, devices: [&Device; 2]) {
    for device in devices {
        attachments
            .attach_xdp(device.index, "a veth")
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Tells XDP of both sides: it forwards between those alone.
fn tell_xdp(attachments: &mut Attachments, network: &Network) {
    let sides = [&network.front, &network.back];
    let stations = sides.map(|side| (side.index, side.mac));
    attachments
        .set_stations(&stations.into())
        .and_then(|()| attachments.set_redirects(&sides.map(|side| side.index).into()))
        .unwrap_or_else(|error| panic!("{error}"));
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
