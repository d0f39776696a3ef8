//! Health checks by real keepalived and by elver, of the same real servers: what they decide
//! and when, and what it costs.
//!
//! ```text
//! keepalived 10.66.0.1 ─┐
//!                       ├─ segment ─ 10.66.0.2 the real servers, a port for each behaviour
//!      elver 10.66.0.3 ─┘            10.70.0.0/16 as many as there are to be
//! ```

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use rustix::time::{ClockId, clock_gettime};

use crate::balanced::LIMIT;
use crate::steps::Steps;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/checks");
/// How far apart the two may be on this machine, in seconds; as many times as far on one that is
/// as many times slower (`ELVER_LAB_SLOWNESS`).
const TOLERANCE: f64 = 0.1;
/// So long both are watched.
const WATCHED: Duration = Duration::from_secs(40);
/// Real servers of the comparison of costs.
const MANY: usize = 2000;

/// Port, what is there, and how it is checked. All begin at the same time: one second after
/// the start.
const BEHAVIOURS: &[(u16, &str, &str)] = &[
    (9001, "well (TCP)", "TCP_CHECK {\nconnect_timeout 2\n}"),
    (
        9002,
        "refused",
        "TCP_CHECK {\nconnect_timeout 2\nretry 2\n}",
    ),
    (
        9003,
        "filtered",
        "TCP_CHECK {\nconnect_ip 10.66.0.77\nconnect_timeout 2\n}",
    ),
    (
        9004,
        "hung",
        "HTTP_GET {\nconnect_timeout 2\nurl {\npath /\n}\n}",
    ),
    (9005, "wrong status", "HTTP_GET {\nurl {\npath /\n}\n}"),
    (
        9006,
        "wrong digest",
        "HTTP_GET {\nurl {\npath /\ndigest 00000000000000000000000000000000\n}\n}",
    ),
    (
        9007,
        "expired certificate",
        "SSL_GET {\nurl {\npath /\n}\n}",
    ),
    (
        9008,
        "flapping",
        "HTTP_GET {\nretry 1\ndelay_before_retry 1\nurl {\npath /\n}\n}",
    ),
    (
        9009,
        "slow",
        "HTTP_GET {\nconnect_timeout 3\nurl {\npath /\n}\n}",
    ),
    (
        9010,
        "right digest",
        "HTTP_GET {\nurl {\npath /\ndigest 5d41402abc4b2a76b9719d911017c592\n}\n}",
    ),
    (9011, "mail", "SMTP_CHECK {\n}"),
    (9012, "mail that is busy", "SMTP_CHECK {\n}"),
    (
        9013,
        "program that fails",
        "MISC_CHECK {\nmisc_path \"/bin/false\"\n}",
    ),
    (9014, "well, from alpha", "TCP_CHECK {\nalpha\n}"),
];

/// Something that was seen, and when in seconds.
type Story = Vec<(f64, String)>;

pub(crate) fn steps(steps: &mut Steps, elver: &Path) {
    if !steps.wanted("checks: ") {
        return;
    }
    steps.step("checks: up and down as keepalived says, and when", || {
        behaviours(elver);
    });
    steps.step(
        "checks: 2000 of them cost no more than keepalived's",
        || {
            costs(elver);
        },
    );
}

struct Network {
    lab: Lab,
    real_servers: Host,
    /// keepalived's, elver's.
    directors: [(Host, &'static str); 2],
}

impl Network {
    fn new(name: &str) -> Network {
        let lab = Lab::new(name).expect("a lab");
        let host = |name| lab.host(name).expect("a host");
        let (real_servers, one, other) = (host("servers"), host("keepalived"), host("elver"));
        lab.segment(
            "segment",
            &[(&real_servers, "eth0"), (&one, "eth0"), (&other, "eth0")],
        )
        .expect("a segment");
        let directors = [(one, "10.66.0.1"), (other, "10.66.0.3")];
        let address = |host: &Host, address: &str| {
            host.add_address("eth0", &format!("{address}/24"))
                .expect("an address");
        };
        address(&real_servers, "10.66.0.2");
        real_servers
            .ip(&["route", "add", "local", "10.70.0.0/16", "dev", "lo"])
            .expect("a route");
        for (host, own) in &directors {
            address(host, own);
            host.ip(&["route", "add", "10.70.0.0/16", "via", "10.66.0.2"])
                .expect("a route");
            // Its packets go to nobody.
            host.ip(&[
                "neighbour",
                "add",
                "10.66.0.77",
                "lladdr",
                "02:00:00:00:00:77",
                "dev",
                "eth0",
            ])
            .expect("a neighbour");
        }
        Network {
            lab,
            real_servers,
            directors,
        }
    }

    fn serve(&self, script: &str, arguments: &[&str]) -> Program {
        let mut command = self.real_servers.command("python3").expect("a command");
        command.arg(format!("{FOLDER}/{script}")).args(arguments);
        let program = self
            .real_servers
            .start("servers", command)
            .expect("they start");
        let listens = || Ok(program.log().contains("everything listens"));
        until_true("real servers", LIMIT, listens, || program.log()).expect("they listen");
        program
    }

    /// Starts keepalived (0) or elver (1) with a configuration.
    fn direct(&self, which: usize, elver: &Path, text: &str) -> Program {
        let (host, _) = &self.directors[which];
        let of = |name: &str| self.lab.directory().join(format!("{name}-{which}"));
        std::fs::write(of("conf"), text).expect("a file");
        let mut command = match which {
            0 => {
                let mut command = host.command("keepalived").expect("a command");
                command.args(["-n", "-l", "-D", "-C", "-p"]).arg(of("pid"));
                command.arg("-c").arg(of("checkers-pid"));
                command
            }
            _ => {
                let mut command = host.command(elver).expect("a command");
                command.env("ELVER_INSTANCE", host.namespace_name());
                command.arg("run");
                command
            }
        };
        command.arg("-f").arg(of("conf"));
        host.start("director", command).expect("it starts")
    }
}

fn behaviours(elver: &Path) {
    let network = Network::new("checks");
    let (certificate, key) = expired_certificate(&network);
    let servers = network.serve("servers.py", &[&certificate, &key]);
    let directors: Vec<(Program, Arc<Mutex<Story>>)> = [0, 1]
        .into_iter()
        .map(|which| {
            let fifo = network.lab.directory().join(format!("fifo-{which}"));
            let told = listen_to(&fifo);
            let text = configuration(&fifo.display().to_string());
            (network.direct(which, elver, &text), told)
        })
        .collect();
    let begins = |which: usize| {
        let client = format!(" {} 9001", network.directors[which].1);
        let log = servers.log();
        let line = log.lines().find(|line| line.ends_with(&client))?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    let all_begin = || Ok(begins(0).is_some() && begins(1).is_some());
    let explain = || {
        let logs = directors.iter().map(|(program, _)| program.log());
        logs.collect::<Vec<_>>().join("\n\n")
    };
    until_true("first checks", LIMIT, all_begin, explain).expect("they begin");
    std::thread::sleep(WATCHED);

    let mut differences = Vec::new();
    for (port, behaviour, _) in BEHAVIOURS {
        let stories = [0, 1].map(|which| {
            let begin = begins(which).unwrap_or_default();
            let told = directors[which].1.lock().expect("no panic");
            let of_port = format!("[10.66.0.100]:tcp:{port} ");
            let of_port = told.iter().filter(|(_, line)| line.contains(&of_port));
            let story: Story = of_port
                .map(|(at, line)| {
                    let word = line.rsplit(' ').next().unwrap_or_default();
                    (at - begin, word.to_owned())
                })
                .collect();
            story
        });
        println!("{behaviour:<22} keepalived {}", words(&stories[0]));
        println!("{:<22} elver      {}", "", words(&stories[1]));
        if !agree(&stories[0], &stories[1]) {
            differences.push(*behaviour);
        }
    }
    assert_eq!(differences, [""; 0], "{}", explain());
}

fn tolerance() -> f64 {
    let slowness = std::env::var("ELVER_LAB_SLOWNESS").ok();
    let slowness = slowness.and_then(|text| text.parse::<f64>().ok());
    TOLERANCE * slowness.unwrap_or(1.0)
}

/// Whether the same was decided in the same order, and at the same times from the first check
/// on, as far as both have been watched.
fn agree(one: &Story, other: &Story) -> bool {
    let watched = WATCHED.as_secs_f64() - tolerance();
    let seen = |story: &Story| -> Story {
        let within = story.iter().filter(|(at, _)| *at < watched);
        within.cloned().collect()
    };
    let (one, other) = (seen(one), seen(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(a, b)| {
            // What is said before is a matter of how long a start takes.
            let at_start = a.0 < 0.0 && b.0 < 0.0;
            a.1 == b.1 && (at_start || (a.0 - b.0).abs() < tolerance())
        })
}

fn words(story: &Story) -> String {
    let words = story
        .iter()
        .map(|(at, what)| format!("{what} at {at:.2} s"));
    words.collect::<Vec<_>>().join(", ")
}

fn configuration(fifo: &str) -> String {
    let mut text = format!("global_defs {{\nlvs_notify_fifo {fifo}\nscript_user root\n}}\n");
    for (port, _, check) in BEHAVIOURS {
        text += &format!(
            "virtual_server 10.66.0.100 {port} {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
             delay_loop 3\nwarmup 0\nreal_server 10.66.0.2 {port} {{\n{check}\n}}\n}}\n"
        );
    }
    text
}

/// Collects what a director writes into its pipe of events, with the time.
fn listen_to(fifo: &Path) -> Arc<Mutex<Story>> {
    let status = std::process::Command::new("mkfifo").arg(fifo).status();
    assert!(status.expect("mkfifo runs").success());
    let told = Arc::new(Mutex::new(Story::new()));
    let collect = told.clone();
    // For writing as well, so that it has no end.
    let pipe: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open(fifo)
        .expect("a pipe");
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            collect.lock().expect("no panic").push((now(), line));
        }
    });
    told
}

/// The monotonic clock, in seconds.
fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn expired_certificate(network: &Network) -> (String, String) {
    let path = |name: &str| network.lab.directory().join(name).display().to_string();
    let openssl = |line: &str| {
        let mut command = network.real_servers.command("openssl").expect("a command");
        command.args(line.split(' '));
        let output = network.real_servers.output(command, LIMIT);
        output
            .expect("openssl runs")
            .success()
            .expect("a certificate");
    };
    let (new, key, old) = (path("new.pem"), path("key.pem"), path("old.pem"));
    openssl(&format!(
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=old -out {new} -keyout {key}"
    ));
    openssl(&format!(
        "x509 -days -1 -in {new} -signkey {key} -out {old}"
    ));
    (old, key)
}

/// Many checks by each of the two in turn.
fn costs(elver: &Path) {
    let network = Network::new("checks-many");
    let servers = network.serve("counter.py", &[]);
    let interval = 10.0;
    let mut text = String::new();
    for service in 0..MANY / 100 {
        text += &format!(
            "virtual_server 10.66.0.100 {} {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
             delay_loop 10\n",
            1000 + service
        );
        for number in 1..=100 {
            text += &format!(
                "real_server 10.70.{service}.{number} 80 {{\nTCP_CHECK {{\nconnect_timeout 5\n}}\n}}\n"
            );
        }
        text += "}\n";
    }
    let measured = [0, 1].map(|which| {
        let director = network.direct(which, elver, &text);
        let client = network.directors[which].1;
        let all_seen = || Ok(arrivals(&servers.log(), client, 0.0).len() >= MANY);
        until_true("all first checks", LIMIT, all_seen, || director.log()).expect("they come");
        let processes = children(director.id());
        let cpu = || processes.iter().map(|process| ticks(*process)).sum::<u64>();
        let (from, before) = (now(), cpu());
        std::thread::sleep(Duration::from_secs(45));
        let spent = (cpu() - before) as f64 * 10_000.0;
        let log = servers.log();
        let seen = arrivals(&log, client, from);
        let mut late = lateness(&seen, interval);
        late.sort_by(f64::total_cmp);
        let percentile = |part: f64| late[((late.len() - 1) as f64 * part) as usize] * 1000.0;
        let cost = spent / seen.len() as f64;
        println!(
            "{:<10} {} checks, {cost:.0} µs each, late by {:.1} ms (50 %), {:.1} ms (99 %), \
             {:.1} ms (most)",
            ["keepalived", "elver"][which],
            seen.len(),
            percentile(0.5),
            percentile(0.99),
            percentile(1.0)
        );
        drop(director);
        (cost, percentile(0.99))
    });
    let [(theirs, their_lateness), (ours, our_lateness)] = measured;
    assert!(ours <= theirs, "{ours:.0} µs and {theirs:.0} µs");
    // Where the machine has more to do than it can, both are late by what it pleases.
    let bound = their_lateness * 1.25 + tolerance() * 1000.0;
    assert!(
        our_lateness <= bound,
        "{our_lateness:.1} ms, at most {bound:.1} ms"
    );
}

/// When checks of `client` arrived after `from`, with where.
fn arrivals<'a>(log: &'a str, client: &str, from: f64) -> Vec<(f64, &'a str)> {
    let lines = log.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let at: f64 = words.next()?.parse().ok()?;
        let by_it = words.next()? == client && at >= from;
        by_it.then_some((at, words.next()?))
    });
    lines.collect()
}

/// How much more time than the interval there was between checks of the same real server.
fn lateness(seen: &[(f64, &str)], interval: f64) -> Vec<f64> {
    let mut last = std::collections::BTreeMap::new();
    let gaps = seen.iter().filter_map(|(at, address)| {
        let before = last.insert(*address, *at)?;
        Some(at - before - interval)
    });
    gaps.collect()
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = std::fs::read_to_string(path).expect("its children");
    let children: Vec<u32> = text
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect();
    assert!(!children.is_empty(), "{process} has no child that checks");
    children
}

/// The processor time of a process, in hundredths of a second.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(')').expect("its name");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    // utime and stime of proc(5), of which the fields after the name are here.
    number(11) + number(12)
}
