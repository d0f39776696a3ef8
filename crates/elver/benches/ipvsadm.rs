//! What ipvsadm takes for large tables: 100,000 rules restored and saved, and a million
//! connections listed, with the memory of its own that the list needs. Needs root.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use elver_lab::wait::{Look, until};
use elver_lab::{Host, Lab};
use elver_packet::family::V4;
use elver_packet::table::connection::{Direction, Key, Life, Links, claim};
use elver_packet::table::destination::{Destination, method};
use elver_packet::table::settings::Settings;
use elver_sys::bpf::{Clock, Maps};
use rustix::process::Signal;
use serde_json::json;

const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const LIMIT: Duration = Duration::from_secs(120);
const SERVICES: u32 = 1000;
const DESTINATIONS: u32 = 99;
const RULES: u32 = SERVICES * (DESTINATIONS + 1);
const CONNECTIONS: u32 = 1_000_000;
const SETTINGS: &str = "\
[tables]
connections = 2097152
services = 4096
destinations = 131072
";

fn main() {
    let lab = Lab::new("bench-ipvsadm").expect("a lab");
    let host = lab.host("director").expect("a host");
    let leaver = host.clone();
    lab.on_farewell(move || {
        let mut unload = elver(&leaver);
        unload.arg("unload");
        let _ = leaver.output(unload, LIMIT);
    })
    .expect("a farewell");
    let (settings, rules) = (
        lab.directory().join("elver.toml"),
        lab.directory().join("rules"),
    );
    std::fs::write(&settings, SETTINGS).expect("a file");
    std::fs::write(&rules, all_rules()).expect("a file");
    let configuration = lab.directory().join("keepalived.conf");
    std::fs::write(&configuration, "global_defs {\n}\n").expect("a file");

    let mut command = elver(&host);
    command.arg("run").arg("-f").arg(&configuration);
    command.arg("--settings").arg(&settings);
    let director = host.start("elver", command).expect("a director");
    until("the director to answer", LIMIT, || {
        let mut status = elver(&host);
        status.args(["ctl", "status"]);
        Ok(match host.output(status, LIMIT)? {
            output if output.status.success() => Look::Met(()),
            output => Look::NotYet(output.stderr),
        })
    })
    .expect("a director");

    let printed = lab.directory().join("printed");
    let rules = File::open(&rules).expect("the rules");
    let restore = measure(&host, "-R", rules.into(), &printed, 0);
    let save = measure(&host, "-Sn", Stdio::null(), &printed, RULES);
    fill(host.namespace_name());
    // A title, and the names of the columns.
    let list = measure(&host, "-Lnc", Stdio::null(), &printed, CONNECTIONS + 2);

    println!("{:40} {:>8} {:>18}", "", "seconds", "KiB of its own");
    for (name, figures) in [
        ("100,000 rules restored", &restore),
        ("100,000 rules saved", &save),
        ("1,000,000 connections listed", &list),
    ] {
        let Figures { took, memory } = figures;
        println!("{name:40} {:8.2} {memory:18}", took.as_secs_f64());
    }
    record(&restore, &save, &list);
    director.signal(Signal::KILL).expect("a signal");
    director.wait(LIMIT).expect("an end");
}

/// A command of elver's in its own instance.
fn elver(host: &Host) -> Command {
    let mut command = host.command(ELVER).expect("a command");
    command.env("ELVER_INSTANCE", host.namespace_name());
    command
}

fn all_rules() -> String {
    let mut rules = String::new();
    for service in 0..SERVICES {
        let name = format!("-t 10.100.{}.{}:80", service / 256, service % 256);
        rules.push_str(&format!("-A {name} -s rr\n"));
        for destination in 0..DESTINATIONS {
            rules.push_str(&format!("-a {name} -r 10.1.0.{destination}:80 -m -w 1\n"));
        }
    }
    rules
}

struct Figures {
    took: Duration,
    /// The most memory that was not shared with the tables, in KiB.
    memory: u64,
}

/// Runs ipvsadm to its end; it has to print so many lines.
fn measure(host: &Host, option: &str, input: Stdio, printed: &Path, lines: u32) -> Figures {
    let mut command = elver(host);
    command.args(["ipvsadm", option]);
    command
        .stdin(input)
        .stdout(File::create(printed).expect("a file"));
    let start = Instant::now();
    let mut child = command.spawn().expect("ipvsadm");
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("an end") {
            break ended;
        }
        memory = memory.max(own_memory(&status));
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = start.elapsed();
    assert!(ended.success(), "ipvsadm {option}: {ended}");
    let text = std::fs::read(printed).expect("what it printed");
    let count = text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(count, lines as usize, "lines of ipvsadm {option}");
    Figures { took, memory }
}

/// The anonymous memory of a process, in KiB, by its status in /proc.
fn own_memory(status: &str) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// Enters connections into the table, as the programs in the kernel would.
fn fill(instance: &str) {
    let maps = Maps::open(instance).expect("the tables");
    let tables = &maps;
    let words = maps.settings().expect("the settings");
    let clock = Clock::from_settings(words);
    let now = clock.now();
    let links = Links {
        destination: 0,
        destination_generation: Destination(maps.destination(0).expect("a destination"))
            .heading()
            .generation(),
        ..Links::default()
    };
    let life = Life {
        expires: now.wrapping_add(clock.ticks(Duration::from_secs(900))),
        state: 1,
        flags: 0,
        generation: 0,
    };
    let address =
        |a: u8, b: u8, c: u8, d: u8| u32::from_ne_bytes(Ipv4Addr::new(a, b, c, d).octets());
    for number in 0..CONNECTIONS {
        let [_, high, middle, low] = (number / 32).to_be_bytes();
        let client_port = u32::from((1024 + (number % 32) as u16).to_be());
        let key = Key::<V4> {
            sender: address(10 + high, 200, middle, low),
            receiver: address(10, 100, 0, 0),
            ports: client_port | u32::from(80u16.to_be()) << 16,
            protocol: 6,
            template: false,
        };
        let place = key.place(Settings(words));
        let claimed = claim(&tables, &place, now).expect("room in the table");
        claimed.fill(
            &tables,
            &key,
            (Direction::Forward, method::NAT),
            life,
            &links,
        );
        claimed.publish(&tables);
    }
}

/// Writes the figures beside those of the other benchmarks.
fn record(restore: &Figures, save: &Figures, list: &Figures) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
    let mut all = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| json!({}));
    all["ipvsadm"] = json!({
        "rules": RULES,
        "restore_s": restore.took.as_secs_f64(),
        "save_s": save.took.as_secs_f64(),
        "connections": CONNECTIONS,
        "list_connections_s": list.took.as_secs_f64(),
        "list_connections_own_memory_kib": list.memory,
    });
    std::fs::write(&path, format!("{all:#}\n")).expect("target/bench.json");
}
