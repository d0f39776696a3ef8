//! What a reload after a change of one line costs a running director of 10,000 virtual servers
//! with 10 real servers each, beside reading the file. Needs root.
//!
//! A file with a mistake is read to its end and changes nothing: that is what reading costs.
//! It fails where the rest takes [`MOST`] of a processor's time.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use elver_lab::Lab;
use elver_lab::director::Director;
use elver_lab::wait::until_true;
use rustix::process::Signal;
use serde_json::json;

const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const LIMIT: Duration = Duration::from_secs(300);
const VIRTUAL_SERVERS: usize = 10_000;
const REAL_SERVERS: usize = 10;
/// The quickest of so many is the one that other work on the machine disturbed least.
const TURNS: usize = 3;
const MOST: Duration = Duration::from_secs(1);
const SETTINGS: &str = "[tables]\nconnections = 65536\nservices = 16384\ndestinations = 131072\n";
const MISTAKE: &str = "vrrp_instance none {\n}\n";

fn main() {
    let lab = Lab::new("bench-reload").expect("a lab");
    let host = lab.host("director").expect("a host");
    let (file, settings) = (
        lab.directory().join("keepalived.conf"),
        lab.directory().join("elver.toml"),
    );
    let write = |text: &str| std::fs::write(&file, text).expect("a file");
    let usual = configuration(1);
    write(&usual);
    std::fs::write(&settings, SETTINGS).expect("a file");
    let options = ["--settings", settings.to_str().expect("a path")];
    let director = Director::start_with(&lab, &host, Path::new(ELVER), &file, &options)
        .expect("a director starts");
    let answers = || Ok(director.status().is_ok());
    until_true("an answer", LIMIT, answers, || director.program().log()).expect("a director");
    let reload = |text: &str, works: bool| {
        write(text);
        let before = processor_time(&director);
        let output = director.command(&["ctl", "reload"]).expect("elver runs");
        assert_eq!(output.status.success(), works, "{}", output.stderr);
        processor_time(&director).saturating_sub(before)
    };
    let wrong = usual.clone() + MISTAKE;
    let reading = (0..TURNS).map(|_| reload(&wrong, false)).min();
    let reading = reading.expect("there are turns");
    let changes = [7, 1, 7].map(|weight| reload(&configuration(weight), true));
    let changing = changes.into_iter().min().expect("there are turns");
    let beside = changing.saturating_sub(reading);

    println!(
        "{:52} {:>10}",
        "reload of 10,000 x 10 real servers", "seconds"
    );
    for (what, time) in [
        ("processor, a change of one line", changing),
        ("processor, the same file with a mistake", reading),
        ("processor, beside reading", beside),
    ] {
        println!("{what:52} {:>10.2}", time.as_secs_f64());
    }
    record(json!({
        "one_line_processor_s": changing.as_secs_f64(),
        "reading_processor_s": reading.as_secs_f64(),
        "beside_reading_processor_s": beside.as_secs_f64(),
    }));
    director.program().signal(Signal::KILL).expect("a signal");
    director.program().wait(LIMIT).expect("an end");
    assert!(beside < MOST, "a reload takes too long beside reading");
}

/// `weight` is that of one real server in the middle. Nothing is checked while this lasts.
fn configuration(weight: u32) -> String {
    let mut text = String::new();
    for server in 0..VIRTUAL_SERVERS {
        let (high, low) = (server >> 8, server & 255);
        let _ = writeln!(
            text,
            "virtual_server 10.{high}.{low}.1 80 {{\n    delay_loop 1000000\n    lb_algo wlc\n    \
             lb_kind NAT\n    persistence_timeout 50\n    protocol TCP"
        );
        for real in 0..REAL_SERVERS {
            let weight = match (server, real) {
                (5_000, 7) => weight,
                _ => 1,
            };
            let _ = writeln!(
                text,
                "    real_server 172.{}.{low}.{} 8080 {{\n        weight {weight}\n        \
                 TCP_CHECK {{\n            connect_timeout 3\n            retry 2\n            \
                 delay_before_retry 3\n        }}\n    }}",
                16 + (high & 15),
                real + 10,
            );
        }
        text.push_str("}\n");
    }
    text
}

/// What the director and its children have used of processors.
fn processor_time(director: &Director) -> Duration {
    let mut processes = director.children();
    processes.insert(director.program().id());
    let ticks: u64 = processes.iter().map(|process| ticks_of(*process)).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// utime and stime of proc_pid_stat(5), its fields 14 and 15; the name before may hold blanks.
fn ticks_of(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let (_, rest) = text.rsplit_once(')').unwrap_or_default();
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Writes the figures beside those of the other benchmarks.
fn record(figures: serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
    let mut all = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| json!({}));
    all["reload"] = figures;
    std::fs::write(&path, format!("{all:#}\n")).expect("target/bench.json");
}
