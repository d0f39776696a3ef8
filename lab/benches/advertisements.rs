//! How regular a master's advertisements are under stress: the worst time between two of them,
//! idle and beside everything that must not delay them, in the same run.
//!
//! A director of VRRP version 3 at 10 ms, with real-time priority and locked memory; a host on
//! the same link takes the times. What is done to it, one after the other and then together:
//! 10 000 checks, reloads of the file that has them, scripts that hang, a file system that stalls
//! with the log and a tracked file on it, and 100 000 bad advertisements a second.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use elver_lab::director::unload_leftovers;
use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use elver_sys::vrrp_socket::{Carrier, VrrpSender};
use rustix::process::Signal;
use serde_json::json;

const NAME: &str = "advertisements";
const INTERVAL: Duration = Duration::from_millis(10);
const VIP: &str = "10.8.0.100";
const LIMIT: Duration = Duration::from_secs(60);
/// So long each kind of stress is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// Real servers with a check each: so many in a virtual server, and so many of these.
const CHECKS: (usize, usize) = (100, 100);
/// Time between two reloads.
const RELOAD: Duration = Duration::from_secs(2);
/// Bad advertisements a second.
const FLOOD: u64 = 100_000;
/// Threads that send them.
const SENDERS: u64 = 2;

fn main() {
    let elver = elver();
    unload_leftovers(NAME, &elver).expect("the leftovers go");
    let site = Site::new(&elver);
    let mut rows = Vec::new();
    println!(
        "{:48} {:>8} {:>10}",
        "ms between advertisements of VRRP 3 at 10 ms", "number", "worst"
    );
    let mut row = |name: &'static str, (number, worst): (usize, Duration)| {
        println!("{name:48} {number:8} {:10.1}", worst.as_secs_f64() * 1e3);
        rows.push((name, number, worst));
    };
    row("idle", site.measure(|| {}));
    site.start_checks();
    row("10 000 checks", site.measure(|| {}));
    row("and reloads of their file", site.measure(|| site.reload()));
    site.hang_scripts();
    row("and scripts that hang", site.measure(|| {}));
    let stalled = site.disk.stall();
    row("and a disk that stalls", site.measure(|| site.reload()));
    drop(stalled);
    site.rest();
    row("idle again", site.measure(|| {}));
    let flood = Flood::start(&site.peer);
    let flooded = site.measure(|| {});
    let sent = flood.stop();
    row("100 000 bad advertisements a second", flooded);
    println!("{sent} bad advertisements were sent a second");
    report(&rows, sent);
}

/// A master, and a host beside it.
struct Site {
    peer: Host,
    running: Program,
    file: PathBuf,
    disk: Disk,
    _lab: Lab,
}

impl Site {
    fn new(elver: &Path) -> Site {
        let lab = Lab::new(NAME).expect("a lab");
        let [director, peer] = ["director", "peer"].map(|name| lab.host(name).expect("a host"));
        lab.link((&director, "eth0"), (&peer, "eth0"))
            .expect("a cable");
        for (host, address) in [(&director, "10.8.0.1/24"), (&peer, "10.8.0.2/24")] {
            host.add_address("eth0", address).expect("an address");
        }
        // All of it is this host's, and refuses connections.
        director.set_up("lo").expect("up");
        director
            .add_address("lo", "10.9.0.1/16")
            .expect("an address");
        let disk = Disk::make(lab.directory());
        let file = lab.directory().join("elver.conf");
        std::fs::write(&file, configuration(&disk, false, 0)).expect("a file");
        // Its log, and that of its processes, is on the disk that stalls.
        let mut command = director.command("sh").expect("a command");
        command
            .args(["-c", "exec \"$0\" run -f \"$1\" >\"$2\" 2>&1"])
            .arg(elver)
            .arg(&file)
            .arg(disk.folder.join("log"))
            .env("ELVER_INSTANCE", director.namespace_name());
        let running = director.start("elver", command).expect("it starts");
        let held = || director.has_address("eth0", &format!("{VIP}/24"));
        until_true("the address to be held", LIMIT, held, || running.log()).expect("a master");
        Site {
            peer,
            running,
            file,
            disk,
            _lab: lab,
        }
    }

    fn start_checks(&self) {
        std::fs::write(&self.file, configuration(&self.disk, true, 1)).expect("a file");
        self.reload();
        std::thread::sleep(MEASURED);
    }

    fn hang_scripts(&self) {
        std::fs::write(self.file.with_extension("hang"), "").expect("a file");
    }

    /// What was done to it ends.
    fn rest(&self) {
        std::fs::write(&self.file, configuration(&self.disk, false, 2)).expect("a file");
        std::fs::remove_file(self.file.with_extension("hang")).expect("a file");
        self.reload();
        std::thread::sleep(MEASURED);
    }

    fn reload(&self) {
        self.running.signal(Signal::HUP).expect("a signal");
    }

    /// Counts advertisements, and takes the longest time between two of them; meanwhile does
    /// something now and then.
    fn measure(&self, now_and_then: impl Fn()) -> (usize, Duration) {
        let mut command = self.peer.command("tcpdump").expect("a command");
        command
            .args(["-n", "-tt", "-l", "--immediate-mode", "-i", "eth0"])
            .arg("ip proto 112 and src 10.8.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut capture = command.spawn().expect("tcpdump runs");
        let output = BufReader::new(capture.stdout.take().expect("its output"));
        let times = std::thread::spawn(move || {
            let times = output.lines().map_while(Result::ok).filter_map(|line| {
                // 1795398200.329902 IP 10.8.0.1 > …
                let time: f64 = line.split(' ').next()?.parse().ok()?;
                Some(Duration::from_secs_f64(time))
            });
            times.collect::<Vec<Duration>>()
        });
        let start = Instant::now();
        while start.elapsed() < MEASURED {
            now_and_then();
            std::thread::sleep(RELOAD);
        }
        let id = rustix::process::Pid::from_child(&capture);
        rustix::process::kill_process(id, Signal::INT).expect("a signal");
        capture.wait().expect("it ends");
        let times = times.join().expect("the times");
        let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        (times.len(), gaps.max().expect("two advertisements"))
    }
}

fn configuration(disk: &Disk, checks: bool, number: u32) -> String {
    let folder = disk.folder.display();
    let hang = disk.lab.join("elver.hang");
    let mut text = format!(
        "global_defs {{
            router_id number{number}
            vrrp_rt_priority 50
            vrrp_no_swap
            script_user root
        }}
        track_file number {{
            file {folder}/number
            init_file 0 overwrite
        }}
        vrrp_script hangs {{
            script \"/bin/sh -c 'while test -e {hang}; do sleep 1; done'\"
            interval 1
            timeout 3
            weight 1
        }}
        vrrp_instance VI_1 {{
            interface eth0
            version 3
            advert_int {interval}
            virtual_router_id 51
            priority 150
            notify \"/bin/sleep 1000\"
            track_script {{
                hangs
            }}
            track_file {{
                number weight 1
            }}
            virtual_ipaddress {{
                {VIP}/24
            }}
        }}\n",
        hang = hang.display(),
        interval = INTERVAL.as_secs_f64(),
    );
    for service in 0..if checks { CHECKS.0 } else { 0 } {
        text += &format!(
            "virtual_server {VIP} {} {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\ndelay_loop 10\n",
            1000 + service
        );
        for real in 0..CHECKS.1 {
            text += &format!(
                "real_server 10.9.{service}.{} 80 {{\nweight 1\nTCP_CHECK {{\nconnect_timeout 1\n}}\n}}\n",
                real + 1
            );
        }
        text += "}\n";
    }
    text
}

/// A file system that can be made to stall: whoever writes to it waits.
struct Disk {
    lab: PathBuf,
    folder: PathBuf,
}

impl Disk {
    fn make(lab: &Path) -> Disk {
        let (image, folder) = (lab.join("image"), lab.join("disk"));
        std::fs::create_dir(&folder).expect("a folder");
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(64 << 20).expect("an image");
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&folder));
        Disk {
            lab: lab.to_owned(),
            folder,
        }
    }

    /// It stalls until the guard is dropped.
    fn stall(&self) -> Stalled<'_> {
        run(Command::new("fsfreeze").arg("-f").arg(&self.folder));
        Stalled(self)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process may be at its end there still.
        run(Command::new("umount").arg("-l").arg(&self.folder));
    }
}

struct Stalled<'a>(&'a Disk);

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        run(Command::new("fsfreeze").arg("-u").arg(&self.0.folder));
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("it runs");
    assert!(status.success(), "{command:?}: {status}");
}

/// Bad advertisements, evenly spread over time.
struct Flood {
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    start: Instant,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Flood {
    fn start(peer: &Host) -> Flood {
        let (ends, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let start = Instant::now();
        let source: IpAddr = "10.8.0.2".parse().expect("an address");
        let open = |hop_limit| {
            let opened = peer.run(move || {
                let index = index_of("eth0");
                VrrpSender::open("eth0", index, source, hop_limit, Carrier::Plain)
            });
            opened.expect("a host").expect("a socket")
        };
        // One does not get as many away, since each is taken in on the other side meanwhile.
        let threads = (0..SENDERS).map(|_| {
            let (right, wrong) = (open(255), open(254));
            let (ends, sent) = (Arc::clone(&ends), Arc::clone(&sent));
            std::thread::spawn(move || flood(&right, &wrong, start, &ends, &sent))
        });
        let threads = threads.collect();
        Flood {
            ends,
            sent,
            start,
            threads,
        }
    }

    /// How many were sent a second.
    fn stop(self) -> u64 {
        let sent = self.sent.load(Ordering::Relaxed) as f64;
        let elapsed = self.start.elapsed().as_secs_f64();
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("the flood ends");
        }
        (sent / elapsed) as u64
    }
}

fn flood(
    right: &VrrpSender,
    wrong: &VrrpSender,
    start: Instant,
    ends: &AtomicBool,
    sent: &AtomicU64,
) {
    let group: IpAddr = "224.0.0.18".parse().expect("an address");
    // Version 3, the id of the instance, priority 254, one address; the checksum is wrong.
    let whole = [0x31, 51, 254, 1, 0, 1, 0xba, 0xad, 10, 8, 0, 100];
    let (mut state, mut done) = (1u64, 0u64);
    while !ends.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * (FLOOD / SENDERS) as f64) as u64;
        for number in done..due {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut octets = whole;
            let length = match number % 4 {
                // Too short.
                0 => (state >> 60) as usize % whole.len(),
                // Another router.
                1 => {
                    octets[1] = 52;
                    whole.len()
                }
                // Anything.
                2 => {
                    octets[..8].copy_from_slice(&state.to_be_bytes());
                    whole.len()
                }
                // As it is: from a sender with the right TTL, or the wrong one.
                _ => whole.len(),
            };
            let sender = if number % 8 == 7 { wrong } else { right };
            // A full queue loses one.
            let _ = sender.send(group, &octets[..length]);
            sent.fetch_add(1, Ordering::Relaxed);
        }
        done = done.max(due);
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn index_of(name: &str) -> u32 {
    let mut netlink = elver_sys::netlink::Netlink::open().expect("rtnetlink");
    let links = netlink.links().expect("links");
    let link = links.iter().find(|link| link.name == name);
    link.expect("the interface").index
}

fn report(rows: &[(&str, usize, Duration)], sent: u64) {
    // Beside the other figures, if there are any.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench.json");
    let mut all = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| json!({}));
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, number, worst)| {
            json!({ "stress": name, "number": number, "worst_ms": worst.as_secs_f64() * 1e3 })
        })
        .collect();
    all["advertisements"] = json!({
        "interval_ms": INTERVAL.as_secs_f64() * 1e3,
        "gaps": rows,
        "flood_per_second": sent,
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
