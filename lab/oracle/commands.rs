//! The same generated command lines to the real ipvsadm and to elver's: what they say, how
//! they end, and every list afterwards must be the same; and a restore of many rules must not
//! take longer.

use std::path::Path;
use std::time::{Duration, Instant};

use elver_lab::Lab;

use crate::balanced::{BalancedHost, Balancer};
use crate::random::Random;
use crate::steps::Steps;

/// Generated runs, each of this many command lines.
const RUNS: u64 = 3;
const COMMANDS: usize = 80;

/// Every list that does not change by itself. `--nosort` shows the order of the kernel's hash
/// tables, which differs from boot to boot.
const LISTS: [&str; 10] = [
    "-Ln",
    "-L",
    "-Sn",
    "-S",
    "-Ln --thresholds",
    "-Ln --persistent-conn",
    "-Ln --tun-info",
    "-Ln --stats",
    "-L --timeout",
    "-L --daemon",
];
/// Those that are compared after every command.
const OFTEN: usize = 1;

/// How many services the large restore has, and how many destinations each.
const SERVICES: u32 = 400;
const DESTINATIONS: u32 = 9;

/// A host without traffic.
struct Machine {
    host: BalancedHost,
    lab: Lab,
}

impl Machine {
    fn new(name: &str, balancer: Balancer<'_>) -> Machine {
        let lab = Lab::new(name).expect("a lab");
        let interface = ("eth0", "10.9.0.1/24");
        let (host, _peer) = lab.host_and_peer("director", &[interface]).expect("hosts");
        let host = BalancedHost::new(&lab, host, balancer);
        Machine { host, lab }
    }

    fn list(&self, line: &str) -> String {
        self.host.list(&words(line))
    }

    /// How long a file of rules takes to be restored.
    fn restore(&self, rules: &Path) -> Duration {
        let start = Instant::now();
        let said = self.host.restore(rules);
        assert_eq!(said.status, Some(0), "{said:?}");
        start.elapsed()
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The generated runs and the restore.
pub(crate) fn steps(steps: &mut Steps, elver: &Path, seed: u64) {
    if !steps.wanted("commands: ") {
        return;
    }
    let kernel = Machine::new("kernel-commands", Balancer::Kernel);
    let mut ours = Machine::new("elver-commands", Balancer::Elver(elver));
    ours.host.start(&ours.lab, elver, 1);
    for run in 0..RUNS {
        let seed = seed.wrapping_add(run);
        steps.step(&format!("commands: generated, ORACLE_SEED={seed}"), || {
            play(&kernel, &ours, &mut Random::new(seed));
        });
    }
    steps.step("commands: a large restore takes no longer", || {
        large_restore(&kernel, &ours);
    });
}

fn play(kernel: &Machine, ours: &Machine, random: &mut Random) {
    for machine in [kernel, ours] {
        machine.list("-C");
    }
    for number in 0..COMMANDS {
        let line = command(random);
        println!("{number:3} ipvsadm {line}");
        let said = [kernel, ours].map(|machine| machine.host.ipvsadm(&words(&line)));
        assert_eq!(said[0], said[1], "the kernel (left) and elver differ");
        let lists = match number % 10 {
            9 => LISTS.len(),
            _ => OFTEN,
        };
        for list in &LISTS[..lists] {
            let [kernel, ours] = [kernel, ours].map(|machine| machine.list(list));
            assert_eq!(
                kernel, ours,
                "ipvsadm {list}: the kernel (left) and elver differ"
            );
        }
    }
    for machine in [kernel, ours] {
        for role in ["master", "backup"] {
            // There may be none.
            machine.host.ipvsadm(&["--stop-daemon", role]);
        }
    }
}

fn large_restore(kernel: &Machine, ours: &Machine) {
    let mut rules = String::new();
    for service in 0..SERVICES {
        let name = format!("-t 10.100.{}.{}:80", service / 256, service % 256);
        rules.push_str(&format!("-A {name} -s rr\n"));
        for destination in 1..=DESTINATIONS {
            rules.push_str(&format!("-a {name} -r 10.2.0.{destination}:80 -m -w 1\n"));
        }
    }
    let path = ours.lab.directory().join("rules");
    std::fs::write(&path, &rules).expect("a file");
    let [by_kernel, by_elver] = [kernel, ours].map(|machine| {
        machine.list("-C");
        machine.restore(&path)
    });
    println!(
        "{} rules: the kernel's {:.1} s, elver {:.1} s",
        SERVICES * (DESTINATIONS + 1),
        by_kernel.as_secs_f64(),
        by_elver.as_secs_f64()
    );
    let [kernel, ours] = [kernel, ours].map(|machine| machine.list("-Sn"));
    assert!(kernel == ours && kernel.lines().count() == rules.lines().count());
    assert!(by_elver <= by_kernel, "elver takes longer");
}

/// A command line: most of them can be carried out, some are wrong.
fn command(random: &mut Random) -> String {
    match random.below(24) {
        0..5 => {
            let (service, is_ipv6) = service(random);
            format!("-A {service} {}", service_settings(random, is_ipv6))
        }
        5..7 => {
            let (service, is_ipv6) = service(random);
            format!("-E {service} {}", service_settings(random, is_ipv6))
        }
        7 => format!("-D {}", service(random).0),
        8..14 => format!("-a {} {}", service(random).0, destination(random)),
        14..17 => format!("-e {} {}", service(random).0, destination(random)),
        17 => format!("-d {} {}", service(random).0, real_server(random)),
        18 => format!(
            "-L {} {}",
            service(random).0,
            random.one_of(&["", "-n", "-n --stats"])
        ),
        19 => format!("-Z {}", service(random).0),
        20 => sync_daemon(random),
        21 => random
            .one_of(&[
                "--set 100 20 30",
                "--set 0 0 0",
                "--set 900 0 300",
                "--set 1 2",
                "--set x 1 2",
            ])
            .to_owned(),
        _ => random
            .one_of(&[
                "-Z",
                "-C",
                "-h",
                "-L -S",
                "-Ln --rate --stats",
                "-L --daemon --timeout",
                "-Ln --num",
                "-LnX --stats",
                "-A",
                "-a -t 10.9.0.1:80",
                "--list --numeric",
                "-L --exact=1",
                "-Ln extra",
                "-x",
            ])
            .to_owned(),
    }
}

/// A service, few enough that they meet each other; and whether it is of IPv6.
fn service(random: &mut Random) -> (&'static str, bool) {
    random.one_of(&[
        ("-t 10.9.0.1:80", false),
        ("-t 10.9.0.1:http", false),
        ("-t 10.9.0.1:443", false),
        ("--tcp-service=200.9.0.2:8080", false),
        ("-u 10.9.0.1:53", false),
        ("-u 10.9.0.1:domain", false),
        ("--sctp-service 10.9.0.1:5060", false),
        ("-t 10.9.0.3", false),
        ("-t 10.9.0.3:0", false),
        ("-t [fd00::1]:80", true),
        ("-u [fd00::1]:53", true),
        ("-f 7", false),
        ("-f 4294967295", false),
        ("-f 7 -6", true),
        ("-f 0", false),
        ("-t 300.9.0.1:80", false),
        ("-t 10.9.0.1:99999", false),
        ("-t 10.9.0.1:80 -u 10.9.0.1:80", false),
    ])
}

fn service_settings(random: &mut Random, is_ipv6: bool) -> String {
    let scheduler = random.one_of(&[
        "",
        "-s rr",
        "-s wrr",
        "-s lc",
        "-s wlc",
        "-s dh",
        "-s sh -b sh-port",
        "-s sh -b sh-fallback,sh-port",
        "-s lblc",
        "-s lblcr",
        "-s sed",
        "-s nq",
        "-s fo",
        "-s ovf",
        "-s mh -b mh-port",
        "-s mh -b flag-1",
        "-s rr -b flag-3",
        "-s rr -b nonsense",
        "-s nosuch",
        "-srr",
    ]);
    let persistence = match (random.below(4), is_ipv6) {
        (0, true) => random.one_of(&["-p 60 -M 64", "-p -M 128", "-p 60 -M 129", "-M 64"]),
        (0, false) => random.one_of(&[
            "-p 60 -M 255.255.255.0",
            "-p -M 255.255.0.0",
            "-p -M 0.0.0.24",
            "-p 30 -M 255.0.255.0",
            "-p 60 -M 255.255.255.255",
            "-M 255.0.0.0",
        ]),
        (1, _) => random.one_of(&[
            "-p",
            "-p 60",
            "-p 0",
            "-p60",
            "-p 2678401",
            "--persistent=5",
            "-p --pe sip",
            "--pe sip",
            "-p --pe nosuch",
        ]),
        _ => "",
    };
    let one_packet = random.one_of(&["", "", "", "-o"]);
    format!("{scheduler} {persistence} {one_packet}")
}

fn real_server(random: &mut Random) -> &'static str {
    random.one_of(&[
        "-r 10.2.0.1:80",
        "-r 10.2.0.1:80",
        "-r 10.2.0.2:8080",
        "-r 200.2.0.3:http",
        "-r 10.2.0.4",
        "-r [fd00:2::1]:80",
        "-r [fd00:2::1]:80",
        "-r [fd00:2::2]",
        "-r 224.0.0.1:80",
        "-r 0.0.0.0:80",
        "-r 10.2.0.256:80",
        "-r 10.2.0.1:80:80",
    ])
}

fn destination(random: &mut Random) -> String {
    // Not the checksums of tunnels, which elver does not have.
    let method = random.one_of(&[
        "",
        "",
        "-m",
        "-m",
        "-g",
        "-i",
        "-i --tun-type ipip",
        "-i --tun-type gue --tun-port 6080",
        "-i --tun-type gre --tun-nocsum",
        "-i --tun-type gue",
        "-i --tun-type gre --tun-port 5",
        "-g -m",
        "--masquerading",
        "--tun-type gue --tun-port 6080",
    ]);
    let weight = random.one_of(&[
        "",
        "",
        "-w 0",
        "-w 1",
        "-w 65535",
        "-w 2147483647",
        "-w 2147483648",
        "-w -1",
        "-w 1x",
    ]);
    let thresholds = random.one_of(&[
        "",
        "",
        "",
        "-x 5 -y 3",
        "-x 3 -y 5",
        "-y 2",
        "-x 65536",
        "-x -1",
    ]);
    format!("{} {method} {weight} {thresholds}", real_server(random))
}

fn sync_daemon(random: &mut Random) -> String {
    let role = random.one_of(&["master", "backup", "nonsense"]);
    if random.below(3) == 0 {
        return format!(
            "--stop-daemon {role} {}",
            random.one_of(&["", "--syncid 3"])
        );
    }
    let interface = random.one_of(&[
        "--mcast-interface lo",
        "--mcast-interface lo",
        "--mcast-interface eth0",
        "--mcast-interface nosuch",
        "",
    ]);
    let settings = random.one_of(&[
        "",
        "--syncid 255",
        "--syncid 256",
        "--sync-maxlen 1400",
        "--sync-maxlen 70000",
        "--mcast-group 224.0.0.82 --mcast-port 9000",
        "--mcast-ttl 5",
        "--mcast-ttl 0",
        "--mcast-group 10.0.0.1",
        "--mcast-group ff02::51",
    ]);
    format!("--start-daemon {role} {interface} {settings}")
}
