//! `elver real-server` as it is asked: what it takes from files, what it refuses, and what its
//! check finds on hosts set up by hand. Needs root.

use std::path::PathBuf;
use std::time::Duration;

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Output, Program};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");

/// A director's file that names the host as a real server by tunnels, and the director.
const TUNNELS: &str = "\
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    unicast_src_ip 10.66.0.2
    unicast_peer {
        10.66.0.3
    }
    virtual_ipaddress {
        10.66.0.100
    }
}
virtual_server 10.66.0.100 80 {
    lb_algo rr
    lb_kind TUN
    protocol TCP
    real_server 10.66.0.1 80 {
    }
    real_server 10.66.0.9 80 {
    }
}
virtual_server 10.66.0.101 80 {
    lb_algo rr
    lb_kind TUN
    protocol TCP
    real_server 10.66.0.9 80 {
    }
}
";

/// A host with two interfaces, `eth0` and `eth1`.
struct Site {
    host: Host,
    lab: Lab,
}

impl Site {
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interfaces = [("eth0", "10.66.0.1/24"), ("eth1", "10.67.0.1/24")];
        let (host, _peer) = lab.host_and_peer("server", &interfaces).expect("hosts");
        let leaver = host.clone();
        lab.on_farewell(move || {
            let mut command = leaver.command(ELVER).expect("a command");
            command.args([
                "real-server",
                "unload",
                "--instance",
                leaver.namespace_name(),
            ]);
            let _ = leaver.output(command, LIMIT);
        })
        .expect("a lab that stands");
        Site { host, lab }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.lab.directory().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.host.command(ELVER).expect("a command");
        command
            .args(["real-server", "--instance", self.host.namespace_name()])
            .args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let output = self.host.output(self.command(arguments), LIMIT);
        output.expect("an end")
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let program = self
            .host
            .start("role", self.command(arguments))
            .expect("a role");
        let runs = || Ok(program.log().contains(" runs: ") || !program.is_running());
        until_true("the role", LIMIT, runs, || program.log()).expect("the role runs");
        assert!(program.is_running(), "{}", program.log());
        program
    }

    fn sysctl(&self, name: &str, value: &str) {
        let path = format!("net/ipv4/conf/{name}");
        self.host.set_sysctl(&path, value).expect("a setting");
    }
}

#[track_caller]
fn assert_ended(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    for words in words {
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn a_directors_file_says_it_all() {
    let site = Site::new("role-file");
    let file = site.file("keepalived.conf", TUNNELS);
    let file = file.display().to_string();
    let role = site.start(&["-f", &file]);
    let log = role.log();
    let expected = "virtual addresses 10.66.0.100; tunnels from 10.66.0.2, 10.66.0.3\n";
    assert!(log.contains(expected), "{log}");
    assert!(
        site.host
            .has_address("lo", "10.66.0.100/32")
            .expect("a list")
    );
    assert!(
        !site
            .host
            .has_address("lo", "10.66.0.101/32")
            .expect("a list")
    );
    assert_ended(&site.output(&["-f", &file]), 13, &["runs already"]);
    // What the file says anew is taken up; what it does not say any more goes.
    site.file(
        "keepalived.conf",
        &TUNNELS.replace("10.66.0.100", "10.66.0.102"),
    );
    role.signal(Signal::HUP).expect("a signal");
    let has_new = || site.host.has_address("lo", "10.66.0.102/32");
    until_true("the new address", LIMIT, has_new, || role.log()).expect("it is taken up");
    let has_old = || site.host.has_address("lo", "10.66.0.100/32");
    assert!(!has_old().expect("a list"), "{}", role.log());
    // A file that cannot be used changes nothing.
    site.file("keepalived.conf", "virtual_server {\n");
    role.signal(Signal::HUP).expect("a signal");
    let is_told = || Ok(role.log().contains("not read again"));
    until_true("that it says so", LIMIT, is_told, || role.log()).expect("it says so");
    assert!(has_new().expect("a list"));
    role.signal(Signal::TERM).expect("a signal");
    assert!(
        role.wait(LIMIT).expect("an end").success(),
        "{}",
        role.log()
    );
    assert!(!has_new().expect("a list"));
}

#[test]
fn settings_say_it_as_well() {
    let site = Site::new("role-settings");
    let text = "[real-server]\nvips = [\"10.66.0.100\", \"fd00::100\"]\n\
                directors = [\"10.66.0.0/24\"]\n";
    let settings = site.file("elver.toml", text);
    let role = site.start(&["--settings", &settings.display().to_string()]);
    let expected = "virtual addresses 10.66.0.100, fd00::100; tunnels from 10.66.0.0/24\n";
    assert!(role.log().contains(expected), "{}", role.log());
    assert!(
        site.host
            .has_address("lo", "fd00::100/128")
            .expect("a list")
    );
}

#[test]
fn what_nothing_is_said_of_is_refused() {
    let site = Site::new("role-unclear");
    let file = |text: &str| site.file("keepalived.conf", text).display().to_string();
    let no_director = TUNNELS.replace(
        "unicast_src_ip 10.66.0.2\n    unicast_peer {\n        10.66.0.3\n    }",
        "",
    );
    let output = site.output(&["-f", &file(&no_director)]);
    assert_ended(
        &output,
        4,
        &["from which addresses directors send them", "--director"],
    );
    let of_others = TUNNELS.replace("10.66.0.1 ", "10.66.0.8 ");
    let output = site.output(&["-f", &file(&of_others)]);
    assert_ended(
        &output,
        4,
        &["to an address of this host (10.66.0.1, 10.67.0.1", "--vip"],
    );
    let output = site.output(&["--vip", "10.66.0.100", "--director", "10.66.0.0/33"]);
    assert_ended(&output, 2, &["32 bits at the most"]);
    let output = site.output(&["-f", "/nonexistent"]);
    assert_ended(&output, 3, &["/nonexistent"]);
    assert_ended(&site.output(&["status"]), 16, &["does not run"]);
    assert!(
        !site
            .host
            .ip(&["address"])
            .expect("a list")
            .contains("10.66.0.100")
    );
}

/// A host whose administrator has done it all without elver, bit by bit.
#[test]
fn the_check_leads_by_hand_to_a_sound_host() {
    let site = Site::new("role-check");
    let file = site.file(
        "keepalived.conf",
        &TUNNELS.replace("lb_kind TUN", "lb_kind DR"),
    );
    let file = file.display().to_string();
    let check = || site.output(&["check", "-f", &file]);
    assert_ended(
        &check(),
        5,
        &[
            "10.66.0.100: is not an address of this host",
            "10.66.0.100:80: nothing listens there",
        ],
    );
    site.host
        .ip(&["address", "add", "10.66.0.100/32", "dev", "lo"])
        .expect("an address");
    let listener = site
        .host
        .run(|| std::net::TcpListener::bind("10.66.0.100:80"))
        .expect("a namespace")
        .expect("a listener");
    let answers = [
        "eth0 answers ARP for it",
        "eth1 answers ARP for it",
        "arp_ignore=1",
    ];
    assert_ended(&check(), 5, &answers);
    site.sysctl("all/arp_ignore", "1");
    assert_ended(
        &check(),
        5,
        &["eth0 asks by ARP with it as the sender", "arp_announce=2"],
    );
    site.sysctl("all/arp_announce", "2");
    assert_ended(&check(), 0, &["this host is a real server"]);
    // Answers to clients leave by another device than the one to the directors.
    site.host
        .ip(&["route", "add", "default", "via", "10.67.0.2"])
        .expect("a route");
    assert_ended(&check(), 0, &[]);
    site.sysctl("eth0/rp_filter", "1");
    assert_ended(
        &check(),
        5,
        &["eth0: rp_filter is strict", "eth0.rp_filter=2"],
    );
    site.sysctl("eth0/rp_filter", "2");
    assert_ended(&check(), 0, &[]);
    let mut nft = site.host.command("nft").expect("a command");
    nft.arg(
        "add table inet guard; add chain inet guard input { type filter hook input priority 0; }; \
         add rule inet guard input tcp dport 80 drop",
    );
    site.host
        .output(nft, LIMIT)
        .and_then(Output::success)
        .expect("a rule");
    assert_ended(
        &check(),
        5,
        &[
            "10.66.0.100:80: a rule of netfilter keeps clients from it",
            "tcp dport 80 drop",
        ],
    );
    drop(listener);
    assert_ended(&check(), 5, &["nothing listens there"]);
}
