//! elver as a service of systemd, confined by its unit and by AppArmor: in the place of a
//! keepalived that runs with the kernel's IPVS, under traffic, and out of it again.
//!
//! The Debian of `tools/oracle-debian` is booted on the director.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use elver_lab::Program;
use elver_lab::traffic::Traffic;
use elver_lab::wait::until_true;

use crate::balanced::{Balancer, LIMIT, Said};
use crate::side::{PORTS, SERVERS, Side, server, vip};
use crate::steps::Steps;

const BOOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/systemd/boot");
const DEBIAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/oracle/debian");
const APPARMOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/apparmor/elver");

/// Connections that are to outlive all that happens.
const CONNECTIONS: u32 = 70;

struct Machine {
    side: Side,
    /// systemd, as this machine numbers it.
    process: u32,
    _systemd: Program,
}

/// From one to the other and back.
pub(crate) fn steps(steps: &mut Steps) {
    if !steps.wanted("systemd: ") {
        return;
    }
    let machine = Machine::boot();
    let mut traffic = None;
    steps.step("systemd: elver migrates from keepalived's unit", || {
        traffic = Some(machine.migrate());
    });
    steps.step(
        "systemd: the package's unit goes on with the connections",
        || {
            machine.install();
            flows(&traffic);
        },
    );
    steps.step("systemd: its unit and AppArmor let it work", || {
        machine.confine();
        flows(&traffic);
    });
    steps.step(
        "systemd: it comes back when killed, and when it hangs",
        || {
            machine.end_by("KILL");
            flows(&traffic);
            machine.end_by("STOP");
            flows(&traffic);
        },
    );
    steps.step(
        "systemd: purged, it gives keepalived its place again",
        || {
            machine.purge();
        },
    );
}

fn flows(traffic: &Option<Traffic>) {
    let traffic = traffic.as_ref().expect("the step before");
    traffic.flows_on(LIMIT).expect("data flows");
}

fn service() -> SocketAddrV4 {
    SocketAddrV4::new(vip(0), PORTS[0])
}

fn configuration() -> String {
    let mut text = format!(
        "vrrp_instance one {{\ninterface back\nvirtual_router_id 51\npriority 100\n\
         virtual_ipaddress {{\n10.9.0.100/32 dev eth0\n}}\n}}\n\
         virtual_server {} {} {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n",
        service().ip(),
        service().port()
    );
    for number in 0..SERVERS {
        let real = server(number);
        text += &format!(
            "real_server {} {} {{\nTCP_CHECK {{\nconnect_timeout 3\n}}\n}}\n",
            real.ip(),
            real.port()
        );
    }
    text + "}\n"
}

impl Machine {
    fn boot() -> Machine {
        assert!(
            Path::new(DEBIAN).exists(),
            "there is no {DEBIAN}: run tools/oracle-debian"
        );
        let side = Side::new("systemd", Balancer::Kernel);
        let host = side.director.host();
        let mut command = host.command("unshare").expect("a command");
        command
            .args(["--pid", "--fork", "--mount", "--uts", "--ipc", "--cgroup"])
            .args([BOOT, DEBIAN]);
        let etc = PathBuf::from(DEBIAN).join("etc/keepalived");
        std::fs::create_dir_all(&etc).expect("a folder");
        std::fs::write(etc.join("keepalived.conf"), configuration()).expect("a file");
        let systemd = host.start("systemd", command).expect("systemd");
        let child = || {
            let path = format!("/proc/{0}/task/{0}/children", systemd.id());
            let children = std::fs::read_to_string(path).ok()?;
            children.split_whitespace().next()?.parse::<u32>().ok()
        };
        until_true("systemd", LIMIT, || Ok(child().is_some()), || systemd.log())
            .expect("it is there");
        let machine = Machine {
            process: child().expect("systemd"),
            side,
            _systemd: systemd,
        };
        let runs = || Ok(machine.try_sh("systemctl is-system-running").output == "running\n");
        let explain = || format!("{:?}", machine.try_sh("systemctl --failed --no-pager"));
        until_true("systemd to have booted", LIMIT * 4, runs, explain).expect("it has");
        machine
    }

    fn try_sh(&self, line: &str) -> Said {
        let process = self.process.to_string();
        let arguments = [
            "--target",
            &process,
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--cgroup",
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND=noninteractive",
            "sh",
            "-c",
            line,
        ];
        let host = self.side.director.host();
        let mut command = host.command("nsenter").expect("a command");
        command.args(arguments);
        host.output(command, LIMIT * 4).expect("it ends").into()
    }

    /// What a command line prints that has to succeed.
    fn sh(&self, line: &str) -> String {
        let said = self.try_sh(line);
        assert_eq!(said.status, Some(0), "{line}: {said:?}");
        said.output
    }

    fn wait_for(&self, what: &str, line: &str, wanted: &str) {
        let is_there = || Ok(self.try_sh(line).output.contains(wanted));
        let explain = || {
            let journal = self.try_sh("journalctl --no-pager | tail -n 40").output;
            format!("{:?}\n{journal}", self.try_sh(line))
        };
        until_true(what, LIMIT * 2, is_there, explain).expect("it is so");
    }

    fn migrate(&self) -> Traffic {
        self.sh("systemctl start keepalived");
        self.wait_for("keepalived to serve", "ipvsadm -Ln", &server(2).to_string());
        let traffic = self.side.traffic(0, service(), CONNECTIONS);
        traffic.flows_on(LIMIT).expect("data flows");
        let said = self.sh("dpkg-deb -x /packages/elver.deb /tmp/elver
             /tmp/elver/usr/sbin/elver migrate --apply");
        println!("{said}");
        assert!(said.contains("of keepalived.service"), "{said}");
        let keepalived = self.try_sh("systemctl is-active keepalived").output;
        assert_eq!(keepalived, "inactive\n");
        traffic.flows_on(LIMIT).expect("data flows");
        traffic
    }

    fn install(&self) {
        let outside = self.sh("cat /run/keepalived.pid");
        self.sh("dpkg -r keepalived ipvsadm && dpkg -i /packages/elver.deb");
        self.wait_for(
            "the unit",
            "systemctl is-active elver keepalived",
            "active\nactive",
        );
        let now = self.sh("systemctl show --property MainPID --value elver");
        assert_ne!(outside, now);
        self.wait_for(
            "its status",
            "systemctl status elver",
            "VRRP instances are master",
        );
        assert_eq!(self.sh("systemctl is-enabled elver"), "enabled\n");
        let listed = self.sh("ipvsadm -Ln");
        assert!(listed.contains(&server(2).to_string()), "{listed}");
    }

    fn confine(&self) {
        let line = format!(
            "mount -t securityfs security /sys/kernel/security
             apparmor_parser --replace --skip-cache {APPARMOR}"
        );
        let said = self.side.director.run(Path::new("sh"), &["-ec", &line]);
        assert_eq!(said.status, Some(0), "{said:?}");
        // The next one is confined; a restart in order would end the connections.
        self.end_by("KILL");
        self.sh("systemctl reload keepalived");
        let process = self.sh("systemctl show --property MainPID --value elver");
        let confined = self.sh(&format!("cat /proc/{}/attr/current", process.trim()));
        assert_eq!(confined.trim(), "elver (enforce)");
        self.wait_for(
            "the address",
            "ip -4 address show dev eth0",
            "10.9.0.100/32",
        );
        self.sh("elver ctl status && elver ctl metrics && ipvsadm -Lnc && elver migrate; true");
        let denied = || -> Vec<String> {
            let said = self.side.director.run(Path::new("dmesg"), &[]).output;
            let lines = said.lines().filter(|line| line.contains("DENIED"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(denied(), [""; 0]);
    }

    /// Ends the director by a signal; systemd starts it again, the watchdog where it hangs.
    fn end_by(&self, signal: &str) {
        let process = self.sh("systemctl show --property MainPID --value elver");
        self.sh(&format!("kill -{signal} {process}"));
        let is_another = || {
            let now = self.sh("systemctl show --property MainPID --value elver");
            let state = self.try_sh("systemctl is-active elver").output;
            Ok(now != process && state == "active\n")
        };
        let explain = || self.try_sh("systemctl status elver --no-pager").output;
        until_true("another director", LIMIT * 4, is_another, explain).expect("there is one");
    }

    fn purge(&self) {
        self.sh("dpkg --purge elver");
        assert_eq!(self.sh("ls /sys/fs/bpf"), "", "pins");
        let filters = self.sh("tc filter show dev eth0 ingress; tc filter show dev eth0 egress");
        assert_eq!(filters.trim(), "");
        let addresses = self.sh("ip -4 address show dev eth0");
        assert!(!addresses.contains("10.9.0.100"), "{addresses}");
        self.sh("dpkg -i /packages/keepalived_*.deb /packages/ipvsadm_*.deb");
        self.wait_for(
            "keepalived's unit",
            "systemctl is-active keepalived",
            "active",
        );
        self.wait_for("keepalived to serve", "ipvsadm -Ln", &server(2).to_string());
        self.side.connect(0, service()).expect("a connection");
        self.sh("systemctl stop keepalived");
    }
}
