//! `elver migrate` beside a real keepalived that does VRRP alone; with the kernel's IPVS,
//! `make oracle` tries it. Needs root.

use std::path::PathBuf;
use std::time::Duration;

use elver_lab::director::kill;
use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Output, Program};

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");

const CONFIGURATION: &str = "\
global_defs {
    enable_snmp_vrrp
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.66.0.100
    }
}
virtual_server 10.66.0.100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.66.0.2 80 {
        weight 1
    }
}
";

/// A host with one interface, `eth0`, and with a keepalived.
struct Site {
    host: Host,
    keepalived: Program,
    lab: Lab,
}

impl Site {
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interface = ("eth0", "10.66.0.1/24");
        let (host, _peer) = lab.host_and_peer("director", &[interface]).expect("hosts");
        let path = |name: &str| -> PathBuf { lab.directory().join(name) };
        std::fs::write(path("keepalived.conf"), CONFIGURATION).expect("a file");
        let mut command = host.command("keepalived").expect("a command");
        command.args(["-n", "-l", "-P"]);
        command.arg("-f").arg(path("keepalived.conf"));
        command.arg("-p").arg(path("pid"));
        command.arg("-r").arg(path("vrrp.pid"));
        let keepalived = host.start("keepalived", command).expect("keepalived");
        let site = Site {
            host,
            keepalived,
            lab,
        };
        site.wait_for_address();
        site
    }

    fn wait_for_address(&self) {
        let is_held = || {
            let shown = self.host.ip(&["-4", "address", "show", "dev", "eth0"])?;
            Ok(shown.contains("10.66.0.100/32"))
        };
        until_true("the address", LIMIT, is_held, || self.keepalived.log()).expect("it is held");
    }

    fn elver(&self, arguments: &[&str]) -> Output {
        let mut command = self.host.command(ELVER).expect("a command");
        command
            .args(arguments)
            .env("ELVER_INSTANCE", self.host.namespace_name());
        self.host.output(command, LIMIT).expect("elver runs")
    }
}

#[test]
fn a_keepalived_is_replaced_by_its_own_options() {
    let site = Site::new("migrate");
    let shown = site.elver(&["migrate"]);
    // SNMP is something that will be missed.
    assert_eq!(shown.status.code(), Some(5), "{shown:?}");
    let process = format!("keepalived, process {}: ", site.keepalived.id());
    let file = site.lab.directory().join("keepalived.conf");
    let file = format!("{}: VRRP instances 1, virtual servers 1", file.display());
    for words in [&*process, &file, "enable_snmp_vrrp", "Nothing was changed"] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    assert!(site.keepalived.is_running(), "{}", site.keepalived.log());

    let done = site.elver(&["migrate", "--apply"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    site.keepalived.wait(LIMIT).expect("keepalived has ended");
    let status = site.elver(&["ctl", "status"]).stdout;
    let director = status.lines().find(|line| line.contains("director"));
    let director = director.and_then(|line| line.split_whitespace().last()?.parse().ok());
    let director: u32 = director.unwrap_or_else(|| panic!("{status}"));
    site.wait_for_address();
    // keepalived's -P is elver's as well: no virtual servers.
    let listed = site.elver(&["ipvsadm", "-Ln"]).stdout;
    assert!(!listed.contains("10.66.0.100:80"), "{listed}");

    // There is nothing more to do, and what runs is left alone.
    let again = site.elver(&["migrate", "--apply"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(again.stderr.contains("nothing to take over"), "{again:?}");
    kill(director).expect("a signal");
    let unloaded = || Ok(site.elver(&["unload"]).status.success());
    until_true("the end", LIMIT, unloaded, String::new).expect("elver is gone");
}

#[test]
fn an_instance_that_runs_is_not_started_again() {
    let site = Site::new("migrate-twice");
    // It runs in another network namespace, where no keepalived is in its way.
    let elsewhere = site.lab.host("elsewhere").expect("a host");
    let mut command = elsewhere.command(ELVER).expect("a command");
    let empty = site.lab.directory().join("empty.conf");
    std::fs::write(&empty, "").expect("a file");
    command
        .args(["run", "-f"])
        .arg(&empty)
        .env("ELVER_INSTANCE", site.host.namespace_name());
    let elver = elsewhere.start("elver", command).expect("elver");
    let answers = || Ok(site.elver(&["ctl", "status"]).status.success());
    until_true("elver", LIMIT, answers, || elver.log()).expect("it answers");

    let refused = site.elver(&["migrate", "--apply"]);
    assert_eq!(refused.status.code(), Some(13), "{refused:?}");
    assert!(site.keepalived.is_running(), "{}", site.keepalived.log());
    assert!(elver.is_running(), "{}", elver.log());
}
