//! What of plain routing's throughput is left through a virtual service.
//!
//! The same client, wires and real server: a gigabyte either way through the VIP and a
//! gigabyte routed by the same director, by turns. The ratio is what counts; everything
//! runs on one machine, and the ends' own work, checksums of all data included, is in both.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use elver_lab::client::Conversation;
use elver_lab::director::{Director, unload_leftovers};
use elver_lab::nat::{CHECKED, CONFIGURATION, REAL_SERVICE, SERVICE, Topology};
use elver_lab::service::Service;
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Lab};
use serde_json::json;

/// What is moved each time, in octets.
const BULK: u64 = 1 << 30;
/// How often.
const TURNS: usize = 3;
const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "throughput";

fn main() {
    let elver = elver();
    unload_leftovers(NAME, &elver).expect("the leftovers go");
    let lab = Lab::new(NAME).expect("a lab");
    let Topology {
        client,
        director,
        real_server,
    } = Topology::new(&lab).expect("a network");
    let _services = [REAL_SERVICE, CHECKED]
        .map(|address| Service::start(&real_server, "real-server", address).expect("a service"));
    let configuration = lab.directory().join("keepalived.conf");
    std::fs::write(&configuration, CONFIGURATION).expect("a file");
    let started = Director::start(&lab, &director, &elver, &configuration).expect("a director");
    client
        .ip(&["route", "add", "172.18.0.0/16", "via", "172.17.42.111"])
        .expect("a route");
    wait_until_served(&client, &started);

    let paths = [
        ("virtual service", SERVICE),
        ("plain routing", REAL_SERVICE),
    ];
    let mut times = paths.map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..TURNS {
        for ((name, address), [up, down]) in paths.iter().zip(&mut times) {
            let mut conversation = Conversation::open(&client, *address, LIMIT)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let start = Instant::now();
            conversation.upload(BULK).expect("an upload");
            up.push(start.elapsed());
            let start = Instant::now();
            conversation.download(BULK).expect("a download");
            down.push(start.elapsed());
        }
    }
    started.check_running().expect("the director lives");
    report(&times);
}

/// Waits until the client is answered through the virtual service.
fn wait_until_served(client: &Host, director: &Director) {
    wait::until("the virtual service to answer", LIMIT, || {
        director.check_running()?;
        Ok(
            match Conversation::open(client, SERVICE, Duration::from_secs(1)) {
                Ok(_) => Look::Met(()),
                Err(error) => Look::NotYet(error.to_string()),
            },
        )
    })
    .expect("a virtual service");
}

fn report(times: &[[Vec<Duration>; 2]; 2]) {
    // The quickest turn is the one that other work on the machine disturbed least.
    let rates = times.each_ref().map(|both| {
        both.each_ref().map(|times| {
            let quickest = times.iter().min().expect("there was a turn");
            BULK as f64 * 8e-9 / quickest.as_secs_f64()
        })
    });
    let [[service_up, service_down], [routed_up, routed_down]] = rates;
    println!(
        "{:32} {:>16} {:>16} {:>8}",
        "Gbit/s, 1 GB by TCP", "virtual service", "plain routing", "ratio"
    );
    for (name, service, routed) in [
        ("client to real server", service_up, routed_up),
        ("real server to client", service_down, routed_down),
    ] {
        println!(
            "{name:32} {service:16.1} {routed:16.1} {:8.2}",
            service / routed
        );
    }
    // Beside the figures of the packet benchmark, if that has been run.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench.json");
    let mut all = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| json!({}));
    all["throughput"] = json!({
        "octets": BULK,
        "turns": TURNS,
        "up": { "virtual_service_gbit_s": service_up, "plain_routing_gbit_s": routed_up },
        "down": { "virtual_service_gbit_s": service_down, "plain_routing_gbit_s": routed_down },
    });
    std::fs::write(&path, format!("{all:#}\n")).expect("target/bench.json");
}

/// The program that directs: that of `ELVER`, or the one beside this benchmark.
fn elver() -> PathBuf {
    let path = std::env::var_os("ELVER").map_or_else(
        || {
            // target/PROFILE/deps/BENCHMARK
            let this = std::env::current_exe().expect("the path of this program");
            this.ancestors()
                .nth(2)
                .expect("target/PROFILE")
                .join("elver")
        },
        PathBuf::from,
    );
    if !path.is_file() {
        eprintln!(
            "there is no {}: run `cargo build --release -p elver`, or name the program in ELVER",
            path.display()
        );
        std::process::exit(1);
    }
    path
}
