//! The processes of a director: what they may do, and what is done when they die. Needs root.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const VIP: &str = "10.66.0.100/32";

const CONFIGURATION: &str = "\
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        10.66.0.100
    }
}
virtual_server 10.66.0.100 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.66.0.2 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 1
        }
    }
}
";

struct Site {
    director: Program,
    host: Host,
    _lab: Lab,
}

impl Site {
    /// A director that is master.
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interface = ("eth0", "10.66.0.1/24");
        let (host, peer) = lab.host_and_peer("director", &[interface]).expect("hosts");
        peer.add_address("eth0", "10.66.0.2/24")
            .expect("an address");
        let file = lab.directory().join("elver.conf");
        std::fs::write(&file, CONFIGURATION).expect("a file");
        let mut command = host.command(ELVER).expect("a command");
        command.arg("run").arg("-f").arg(file);
        command.env("ELVER_INSTANCE", host.namespace_name());
        let director = host.start("elver", command).expect("elver starts");
        let site = Site {
            director,
            host,
            _lab: lab,
        };
        site.wait_for_vip(true);
        site
    }

    fn wait_for_vip(&self, there: bool) {
        let awaited = format!("the VIP to be {}", if there { "here" } else { "gone" });
        let looks = || Ok(self.host.has_address("eth0", VIP)? == there);
        until_true(&awaited, LIMIT, looks, || self.director.log()).expect("the VIP");
    }

    fn wait_for_log(&self, words: &str) {
        let looks = || Ok(self.director.log().contains(words));
        until_true(words, LIMIT, looks, || self.director.log()).expect("a line");
    }

    fn status(&self) -> String {
        let mut command = self.host.command(ELVER).expect("a command");
        command.args(["ctl", "status"]);
        command.env("ELVER_INSTANCE", self.host.namespace_name());
        let output = self.host.output(command, LIMIT).expect("elver runs");
        output.success().expect("a status")
    }

    /// The process id of a child.
    fn child(&self, role: &str) -> Pid {
        let status = self.status();
        let words = status.lines().map(|line| line.split_whitespace().collect());
        words
            .filter_map(|words: Vec<&str>| match words[..] {
                [name, id] if name == role => Pid::from_raw(id.parse().ok()?),
                _ => None,
            })
            .next()
            .unwrap_or_else(|| panic!("no {role} process in:\n{status}"))
    }

    fn run_directory(&self) -> PathBuf {
        PathBuf::from("/run/elver").join(self.host.namespace_name())
    }
}

#[test]
fn the_check_process_may_do_nothing() {
    let site = Site::new("children-check");
    let check = site.child("check").as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{check}/status")).unwrap();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {status}"))
            .trim_start_matches(':')
            .trim()
            .to_owned()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    assert_eq!(value("NoNewPrivs"), "1");
    assert_eq!(value("Groups"), "");
    assert!(value("Uid").split_whitespace().all(|uid| uid != "0"));
    assert!(value("Gid").split_whitespace().all(|gid| gid != "0"));

    // Its socket to the director, what epoll needs, what it connects with: no file.
    for entry in std::fs::read_dir(format!("/proc/{check}/fd")).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        // One that is closed meanwhile cannot be looked at.
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy();
        let expected = match number {
            0 => target == "/dev/null",
            1 | 2 => true,
            _ => target.starts_with("socket:") || target.starts_with("anon_inode:"),
        };
        assert!(expected, "descriptor {number} is {target}");
    }
}

#[test]
fn the_control_socket_is_roots_alone() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new("children-control");
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(site.run_directory()), 0o700);
    assert_eq!(mode(site.run_directory().join("control")), 0o600);
}

#[test]
fn a_request_that_is_none_gets_an_answer() {
    use std::io::{BufRead, BufReader, Write};
    let site = Site::new("children-request");
    let path = site.run_directory().join("control");
    let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
    let mut answers = BufReader::new(socket.try_clone().unwrap());
    for (request, expected) in [
        ("walk", "Failed"),
        ("", "Failed"),
        ("{\"Edit\":1}", "Failed"),
        ("\"Status\"", "Status"),
    ] {
        writeln!(socket, "{request}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert!(answer.contains(expected), "{request:?}: {answer}");
    }
}

#[test]
fn the_director_withdraws_for_a_vrrp_process_that_does_not_come_back() {
    let site = Site::new("children-withdraw");
    let lock = OpenOptions::new()
        .write(true)
        .open(site.run_directory().join("vrrp"))
        .unwrap();
    // Whoever waits for the lock of the dying process keeps the next one from starting.
    let (release, released) = mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        elver_sys::process::lock(&lock).unwrap();
        let _ = released.recv();
    });
    let waiting = || {
        let locks = std::fs::read_to_string("/proc/locks").expect("a list");
        let own = std::process::id().to_string();
        Ok(locks.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(1) == Some(&"->") && words.contains(&own.as_str())
        }))
    };
    until_true("the lock to be waited for", LIMIT, waiting, String::new).expect("a waiter");

    kill_process(site.child("vrrp"), Signal::KILL).unwrap();
    site.wait_for_log("no vrrp process in time: 1 virtual addresses removed for it");
    site.wait_for_vip(false);
    drop(release);
    holder.join().unwrap();
    site.wait_for_vip(true);
}

/// Its address goes before a peer can have it, and does not come back with the process.
#[test]
fn a_vrrp_process_that_was_stopped_loses_its_addresses() {
    let site = Site::new("stopped");
    let first = site.child("vrrp");
    kill_process(first, Signal::STOP).expect("stopped");
    site.wait_for_vip(false);
    site.wait_for_log("the vrrp process has not answered for");
    site.wait_for_vip(true);
    assert_ne!(site.child("vrrp"), first);
    assert!(kill_process(first, Signal::CONT).is_err(), "it has ended");
    // It was backup in between, and has waited for a master.
    let log = site.director.log();
    assert_eq!(
        log.matches("Entering BACKUP STATE (init)").count(),
        2,
        "{log}"
    );
    assert!(!log.contains("Resuming MASTER"), "{log}");
}

#[test]
fn an_interrupt_of_the_terminal_is_the_directors_alone() {
    let site = Site::new("children-group");
    for role in ["vrrp", "check"] {
        let child = site.child(role);
        assert_eq!(
            rustix::process::getpgid(Some(child)).unwrap(),
            child,
            "{role}"
        );
    }
    site.director.signal(Signal::INT).unwrap();
    let status = site.director.wait(LIMIT).unwrap();
    assert!(status.success(), "{}", site.director.log());
    assert!(!site.host.has_address("eth0", VIP).unwrap());
    assert!(!site.run_directory().exists(), "files are left");
    let listing = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let name = format!("--instance {}", site.host.namespace_name());
    assert!(!String::from_utf8_lossy(&listing.stdout).contains(&name));
}
