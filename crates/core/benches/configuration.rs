//! How fast a large configuration is read, beside keepalived in the same run, and what a
//! change of one line in it costs to plan.
//!
//! 10,000 virtual servers with 10 real servers each. It fails if elver reads slower than
//! [`LEAST_RATE`] or than `keepalived -t`, or if the change is more than one edit.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use elver_core::check::HealthRecord;
use elver_core::config::model::{Configuration, RealServer, VirtualServer};
use elver_core::config::{Source, load};
use elver_core::lb::{Part, Parts, Quorums, STEPS, desired};
use elver_core::reload::{self, Running};
use serde_json::json;

const VIRTUAL_SERVERS: usize = 10_000;
const REAL_SERVERS: usize = 10;
/// How often everything is done; the quickest time is the one that other work on the machine
/// disturbed least.
const TURNS: usize = 5;

struct Memory(String);

impl Source for Memory {
    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&self, _directory: &str) -> Vec<String> {
        Vec::new()
    }
}

fn main() {
    let text = large();
    let mut configuration = None;
    let elver =
        quickest(|| configuration = load(&Memory(text.clone()), "large.conf").configuration);
    let configuration = configuration.expect("the configuration runs");
    let keepalived = keepalived(&text);
    let rate = text.len() as f64 / 1e6 / elver.as_secs_f64();
    let plan = plan_of_one_line(&text, &configuration);
    println!(
        "{:52} {:>10}",
        "configuration, 10,000 x 10 real servers", ""
    );
    println!("{:52} {:>10.1}", "size, MB", text.len() as f64 / 1e6);
    println!("{:52} {rate:>10.1}", "elver reads, MB/s");
    println!("{:52} {:>10.3}", "elver reads, s", elver.as_secs_f64());
    println!(
        "{:52} {:>10.3}",
        "keepalived -t, s",
        keepalived.as_secs_f64()
    );
    println!(
        "{:52} {:>10.3}",
        "planning the change of one line, s",
        plan.as_secs_f64()
    );
    record(json!({
        "octets": text.len(),
        "elver_reads_s": elver.as_secs_f64(),
        "elver_reads_mb_s": rate,
        "keepalived_test_s": keepalived.as_secs_f64(),
        "plan_of_one_line_s": plan.as_secs_f64(),
    }));
    // The rate itself is the machine's as well, and its neighbours'.
    assert!(elver <= keepalived, "keepalived -t is faster");
}

/// A file as those that grow in an enterprise.
fn large() -> String {
    let mut text =
        String::from("global_defs {\n    enable_script_security\n    script_user root\n}\n\n");
    for server in 0..VIRTUAL_SERVERS {
        let (high, low) = (server >> 8, server & 255);
        text += &format!(
            "virtual_server 10.{high}.{low}.1 80 {{\n    delay_loop 6\n    lb_algo wlc\n    \
             lb_kind NAT\n    persistence_timeout 50\n    protocol TCP\n\n"
        );
        for real in 0..REAL_SERVERS {
            text += &format!(
                "    real_server 172.{}.{low}.{} 8080 {{\n        weight {}\n        TCP_CHECK \
                 {{\n            connect_timeout 3\n            retry 2\n            \
                 delay_before_retry 3\n        }}\n    }}\n",
                16 + (high & 15),
                real + 10,
                real + 1
            );
        }
        text += "}\n\n";
    }
    text
}

fn quickest(mut work: impl FnMut()) -> Duration {
    let times = (0..TURNS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    times.min().expect("there are turns")
}

/// The configuration test of keepalived, of a file on a disk in memory if there is one.
fn keepalived(text: &str) -> Duration {
    let directory = match Path::new("/dev/shm").is_dir() {
        true => Path::new("/dev/shm").to_owned(),
        false => std::env::temp_dir(),
    };
    let file = directory.join(format!("elver-bench-{}.conf", std::process::id()));
    std::fs::write(&file, text).expect("a file");
    let time = quickest(|| {
        let status = Command::new("keepalived")
            .arg("-t")
            .arg("-f")
            .arg(&file)
            .stderr(Stdio::null())
            .status()
            .expect("keepalived is installed");
        assert!(status.success(), "keepalived: {status}");
    });
    std::fs::remove_file(&file).expect("the file goes");
    time
}

/// Another weight of one real server.
fn plan_of_one_line(text: &str, before: &Configuration) -> Duration {
    let place = text.len() / 2;
    let place = place + text[place..].find("weight 7\n").expect("a weight");
    let mut changed = text.to_owned();
    changed.replace_range(place..place + 8, "weight 70");
    let after = load(&Memory(changed), "large.conf")
        .configuration
        .expect("it runs");
    let health = HealthRecord::start(before, |_, _| elver_core::check::Health::Up);
    let mut quorums = Quorums::default();
    for server in &before.virtual_servers {
        quorums.count(server, serves);
    }
    let configured = desired(&before.virtual_servers, serves, &quorums);
    let parts = Parts::default();
    quickest(|| {
        let running = Running {
            configuration: before,
            health: &health,
            quorums: &quorums,
            parts: &parts,
            configured: &configured,
        };
        let plan = reload::plan(running, &after);
        assert_eq!(plan.edits.len(), 1, "{:?}", plan.edits);
        assert!(plan.checks.is_empty() && plan.leaving.is_empty());
    })
}

/// Every real server has all of its weight.
fn serves(_: &VirtualServer, real: &RealServer) -> Part {
    Part::Serving {
        weight: real.settings.weight,
        steps: STEPS,
    }
}

/// Beside the figures of the other benchmarks, if they have been run.
fn record(figures: serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
    let mut all: BTreeMap<String, serde_json::Value> = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    all.insert("configuration".to_owned(), figures);
    let text = serde_json::to_string_pretty(&all).expect("JSON");
    std::fs::write(&path, text + "\n").expect("target/bench.json");
}
