//! How long clients go without an answer when the master's cable is pulled.
//!
//! Two directors and a client on a switch, VRRP version 3 at 10 ms. The client pings the
//! virtual address all the time; the port of the master goes down, and comes back once the
//! other director has answered. The same with two of real keepalived, in the same run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use elver_lab::director::unload_leftovers;
use elver_lab::{Host, Lab, Program};
use serde_json::json;

/// How often the cable is pulled.
const TURNS: usize = 20;
/// Time between two pings, in seconds.
const PING: &str = "0.002";
const VIP: &str = "10.8.0.100";
const LIMIT: Duration = Duration::from_secs(30);
/// A master that is back has taken over within this time, and is left alone for it.
const REST: Duration = Duration::from_millis(1500);
const NAME: &str = "failover";

fn main() {
    let elver = elver();
    unload_leftovers(NAME, &elver).expect("the leftovers go");
    let ours = measure("elver", |host, file, _| {
        let mut command = host.command(&elver).expect("a command");
        command.arg("run").arg("-f").arg(file);
        command.env("ELVER_INSTANCE", host.namespace_name());
        command
    });
    let theirs = measure("keepalived", |host, file, directory| {
        let mut command = host.command("keepalived").expect("a command");
        let pid = |what: &str| directory.join(format!("{}.{what}", host.name()));
        command
            .args(["--dont-fork", "--vrrp", "--log-console", "-f"])
            .arg(file)
            .arg("-p")
            .arg(pid("pid"))
            .arg("-r")
            .arg(pid("vrrp"));
        command
    });
    report(&ours, &theirs);
}

/// The pauses that the client saw, one for each time that the cable was pulled.
fn measure(
    name: &str,
    command: impl Fn(&Host, &Path, &Path) -> std::process::Command,
) -> Vec<Duration> {
    let lab = Lab::new(NAME).expect("a lab");
    let switch = lab.host("switch").expect("a host");
    let client = lab.host("client").expect("a host");
    let directors = ["first", "second"].map(|name| lab.host(name).expect("a host"));
    switch
        .ip(&["link", "add", "bridge", "type", "bridge"])
        .expect("a bridge");
    switch.set_up("bridge").expect("up");
    let hosts = [&client, &directors[0], &directors[1]];
    for (host, (port, address)) in hosts.into_iter().zip([
        ("client", "10.8.0.9/24"),
        ("first", "10.8.0.1/24"),
        ("second", "10.8.0.2/24"),
    ]) {
        lab.link((host, "eth0"), (&switch, port)).expect("a cable");
        switch
            .ip(&["link", "set", port, "master", "bridge"])
            .expect("a port");
        host.add_address("eth0", address).expect("an address");
    }
    let _running: Vec<Program> = directors
        .iter()
        .zip([200, 100])
        .map(|(host, priority)| {
            let file = lab.directory().join(format!("{}.conf", host.name()));
            std::fs::write(&file, configuration(priority)).expect("a file");
            let command = command(host, &file, lab.directory());
            host.start(name, command).expect("it starts")
        })
        .collect();

    let mut answers = Answers::start(&client);
    answers.settle();
    let mut pauses = Vec::new();
    for _ in 0..TURNS {
        switch.set_down("first").expect("down");
        pauses.push(answers.pause());
        switch.set_up("first").expect("up");
        answers.settle();
    }
    pauses.sort();
    pauses
}

fn configuration(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{
            interface eth0
            version 3
            advert_int 0.01
            virtual_router_id 51
            priority {priority}
            virtual_ipaddress {{
                {VIP}/24
            }}
        }}\n"
    )
}

/// Answers to pings that go on and on.
struct Answers {
    ping: Child,
    times: Receiver<Duration>,
}

impl Answers {
    fn start(client: &Host) -> Answers {
        let mut command = client.command("ping").expect("a command");
        command
            .args(["-D", "-n", "-i", PING, VIP])
            .stdout(Stdio::piped());
        let mut ping = command.spawn().expect("ping runs");
        let output = BufReader::new(ping.stdout.take().expect("its output"));
        let (sender, times) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // [1795344725.987634] 64 bytes from …
                let time = line
                    .strip_prefix('[')
                    .and_then(|line| line.split_once("] "));
                if let Some((time, answer)) = time
                    && answer.contains("bytes from")
                    && let Ok(seconds) = time.parse()
                    && sender.send(Duration::from_secs_f64(seconds)).is_err()
                {
                    break;
                }
            }
        });
        Answers { ping, times }
    }

    /// Waits until there are answers, and for a while after that.
    fn settle(&mut self) {
        self.times.recv_timeout(LIMIT).expect("an answer");
        let start = Instant::now();
        while start.elapsed() < REST {
            match self.times.recv_timeout(REST) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("ping has ended"),
            }
        }
    }

    /// The longest time between two answers, up to half a second after it has ended.
    fn pause(&mut self) -> Duration {
        let mut last = self.times.recv_timeout(LIMIT).expect("an answer");
        let mut longest = Duration::ZERO;
        let mut rest: Option<Duration> = None;
        loop {
            let now = self.times.recv_timeout(LIMIT).expect("an answer");
            let pause = now.saturating_sub(last);
            if pause > longest {
                longest = pause;
            }
            last = now;
            let since = *rest.get_or_insert(now);
            if now.saturating_sub(since) > Duration::from_millis(500) {
                return longest;
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let _ = self.ping.kill();
        let _ = self.ping.wait();
    }
}

fn report(ours: &[Duration], theirs: &[Duration]) {
    let figures = |pauses: &[Duration]| {
        let milliseconds = |pause: Duration| pause.as_secs_f64() * 1e3;
        let median = milliseconds(pauses[pauses.len() / 2]);
        let worst = milliseconds(*pauses.last().expect("there was a turn"));
        (median, worst)
    };
    println!(
        "{:48} {:>10} {:>10}",
        "ms without an answer, VRRP 3 at 10 ms, cable pulled", "median", "worst"
    );
    let (ours, theirs) = (figures(ours), figures(theirs));
    for (name, (median, worst)) in [("elver", ours), ("keepalived", theirs)] {
        println!("{name:48} {median:10.1} {worst:10.1}");
    }
    // Beside the other figures, if there are any.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench.json");
    let mut all = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| json!({}));
    let object = |(median, worst)| json!({ "median_ms": median, "worst_ms": worst });
    all["failover"] = json!({
        "turns": TURNS,
        "elver": object(ours),
        "keepalived": object(theirs),
    });
    std::fs::write(&path, format!("{all:#}\n")).expect("target/bench.json");
}

/// The program that directs: that of `ELVER`, or the one beside this benchmark.
fn elver() -> PathBuf {
    let path = std::env::var_os("ELVER").map_or_else(
        || {
            // target/PROFILE/deps/BENCHMARK
            let this = std::env::current_exe().expect("the path of this program");
            let profile = this.ancestors().nth(2).expect("target/PROFILE");
            profile.join("elver")
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
