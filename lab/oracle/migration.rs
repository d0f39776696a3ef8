//! elver in the place of a keepalived that runs, with the kernel's IPVS, under traffic; and
//! keepalived in its place again.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use elver_lab::Program;
use elver_lab::wait::until_true;
use rustix::process::Signal;

use crate::balanced::{Balancer, LIMIT, Said};
use crate::side::{CLIENTS, PORTS, SERVERS, Side, server, vip};
use crate::steps::Steps;

/// Connections to each service that are to survive.
const CONNECTIONS: u32 = 70;
/// The address that keepalived holds by VRRP.
const HELD: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);
/// The kernel's own ipvsadm.
const IPVSADM: &str = "/usr/sbin/ipvsadm";

struct Site<'a> {
    side: Side,
    elver: &'a Path,
    folder: PathBuf,
}

/// Forth and back.
pub(crate) fn steps(steps: &mut Steps, elver: &Path) {
    if !steps.wanted("migrate: ") {
        return;
    }
    let site = Site::new(elver);
    let keepalived = site.keepalived();
    steps.step("migrate: it says what will be different", || site.look());
    steps.step("migrate: what cannot be served is put back", || {
        site.put_back(&keepalived);
    });
    steps.step("migrate: connections go on in elver", || {
        site.take_over();
    });
    steps.step("migrate: keepalived serves again after elver", || {
        site.back()
    });
}

impl<'a> Site<'a> {
    fn new(elver: &'a Path) -> Site<'a> {
        let side = Side::new("migration", Balancer::Kernel);
        let folder = std::env::temp_dir().join("oracle-migration");
        std::fs::create_dir_all(&folder).expect("a folder");
        Site {
            side,
            elver,
            folder,
        }
    }

    fn configuration(&self, check: &str) {
        let mut text = format!(
            "global_defs {{\nscript_user root\nenable_script_security\nvrrp_garp_master_delay 1\n}}\n\
             vrrp_instance one {{\ninterface back\nvirtual_router_id 51\npriority 100\n\
             advert_int 1\nvirtual_ipaddress {{\n{HELD}/32 dev eth0\n}}\n}}\n"
        );
        for address in [vip(0), HELD] {
            text += &format!(
                "virtual_server {address} {} {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n\
                 delay_loop 1\n",
                PORTS[0]
            );
            for number in 0..SERVERS {
                let real = server(number);
                text += &format!(
                    "real_server {} {} {{\n{check}\n}}\n",
                    real.ip(),
                    real.port()
                );
            }
            text += "}\n";
        }
        std::fs::write(self.folder.join("keepalived.conf"), text).expect("a file");
    }

    /// Starts the real one, and makes a service beside it by hand.
    fn keepalived(&self) -> Program {
        self.configuration("TCP_CHECK {\nconnect_timeout 3\n}");
        let program = self.start_keepalived();
        let service = by_hand().to_string();
        self.ipvsadm(&["-A", "-t", &service, "-s", "rr", "-p", "600"]);
        for number in 0..SERVERS {
            let real = server(number).to_string();
            self.ipvsadm(&["-a", "-t", &service, "-r", &real, "-m"]);
        }
        self.ipvsadm(&["--set", "700", "0", "0"]);
        program
    }

    fn start_keepalived(&self) -> Program {
        let host = self.side.director.host();
        let mut command = host.command("keepalived").expect("a command");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--use-file"]);
        command.arg(self.folder.join("keepalived.conf"));
        for (option, name) in [
            ("--pid", "pid"),
            ("--vrrp_pid", "vrrp"),
            ("--checkers_pid", "checkers"),
        ] {
            command.arg(option).arg(self.folder.join(name));
        }
        let program = host.start("keepalived", command).expect("keepalived");
        until_true(
            "keepalived to serve and to be master",
            LIMIT,
            || Ok(self.is_held() && self.kernel_serves(HELD) && self.kernel_serves(vip(0))),
            || program.log(),
        )
        .expect("it serves");
        program
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Said {
        self.side.director.run(Path::new(program), arguments)
    }

    fn migrate(&self, arguments: &[&str]) -> Said {
        let arguments = [&["migrate"], arguments].concat();
        let said = self.side.director.run(self.elver, &arguments);
        println!("{}{}", said.output, said.errors);
        said
    }

    fn ipvsadm(&self, arguments: &[&str]) -> String {
        let said = self.run(IPVSADM, arguments);
        assert_eq!(said.status, Some(0), "ipvsadm {arguments:?}: {said:?}");
        said.output
    }

    /// elver's ipvsadm.
    fn listed(&self, arguments: &[&str]) -> String {
        let arguments = [&["ipvsadm"], arguments].concat();
        let said = self.side.director.run(self.elver, &arguments);
        assert_eq!(said.status, Some(0), "{said:?}");
        said.output
    }

    fn is_held(&self) -> bool {
        let said = self.run("ip", &["-4", "address", "show", "dev", "eth0"]);
        said.output.contains(&format!("{HELD}/32"))
    }

    fn kernel_serves(&self, address: Ipv4Addr) -> bool {
        let table = self.ipvsadm(&["-S", "-n"]);
        let real = format!("-a -t {address}:{} -r ", PORTS[0]);
        table.matches(&real).count() == usize::from(SERVERS)
    }

    fn look(&self) {
        self.side
            .director
            .host()
            .set_sysctl("net/ipv4/vs/expire_nodest_conn", "1")
            .expect("a setting");
        let said = self.migrate(&[]);
        self.side
            .director
            .host()
            .set_sysctl("net/ipv4/vs/expire_nodest_conn", "0")
            .expect("a setting");
        assert_eq!(said.status, Some(5), "{said:?}");
        let by_hand = by_hand();
        for words in [
            "keepalived --dont-fork --log-console",
            "virtual services 3, real servers 9",
            &format!("-A -t {by_hand} -s rr -p 600"),
            &format!("-a -t {by_hand} -r {} -m -w 1", server(2)),
            "ipvsadm --set 700 120 300",
            "[ipvs]\n      expire_nodest_conn = 1",
            "Nothing was changed",
        ] {
            assert!(said.output.contains(words), "{words}: {}", said.output);
        }
        assert!(self.kernel_serves(vip(0)));
    }

    /// Checks that pass in keepalived and never in elver: nothing would be served.
    fn put_back(&self, keepalived: &Program) {
        // As of somebody who is in a hurry to be rid of them.
        let host = self.side.director.host();
        let setting = "net/ipv4/vs/expire_nodest_conn";
        host.set_sysctl(setting, "1").expect("a setting");
        let traffic = self.side.traffic(0, by_hand(), CONNECTIONS);
        traffic.flows_on(LIMIT).expect("data flows");
        let script = self.folder.join("not-by-elver");
        std::fs::write(
            &script,
            "#!/bin/sh\n! readlink /proc/$PPID/exe | grep -q elver\n",
        )
        .expect("a script");
        let made = std::process::Command::new("chmod")
            .arg("700")
            .arg(&script)
            .status();
        assert!(made.expect("chmod").success());
        self.configuration(&format!(
            "MISC_CHECK {{\nmisc_path \"{}\"\nalpha\n}}",
            script.display()
        ));
        let before = self.ipvsadm(&["-S", "-n"]);
        let said = self.migrate(&["--apply", "--within", "600"]);
        assert_eq!(said.status, Some(1), "{said:?}");
        let why = "has no real server that passes its checks; all is as it was before";
        assert!(said.errors.contains(why), "{said:?}");
        keepalived.wait(LIMIT).expect("the first one has ended");
        let table = || self.ipvsadm(&["-S", "-n"]);
        let is_back = || Ok(table() == before && self.is_held());
        until_true("all that was there", LIMIT, is_back, table).expect("it is back");
        traffic.flows_on(LIMIT).expect("data flows");
        traffic.finish().expect("every octet came back");
        self.expect_no_elver();
    }

    fn take_over(&self) {
        self.configuration("TCP_CHECK {\nconnect_timeout 3\n}");
        let services = [service(vip(0)), service(HELD), by_hand()];
        let traffic: Vec<_> = services
            .map(|to| self.side.traffic(0, to, CONNECTIONS))
            .into();
        for each in &traffic {
            each.flows_on(LIMIT).expect("data flows");
        }
        let sent_to = self.side.connect(1, by_hand()).expect("a connection");
        let sent_to = sent_to.greeting().at;
        let said = self.migrate(&["--apply", "--within", "600"]);
        assert_eq!(said.status, Some(0), "{said:?}");
        let table = self.listed(&["-Ln"]);
        for (each, to) in traffic.iter().zip(services) {
            each.flows_on(LIMIT)
                .unwrap_or_else(|error| panic!("{to}: {error}\n{table}"));
        }
        for each in traffic {
            each.finish().expect("every octet came back");
        }
        assert_eq!(self.ipvsadm(&["-S", "-n"]), "", "the kernel's table");
        assert!(table.contains("persistent 600"), "{table}");
        let timeouts = self.listed(&["-L", "--timeout"]);
        assert!(timeouts.contains("700 120 300"), "{timeouts}");
        // Whom persistence remembers goes where it went.
        for _ in 0..4 {
            let again = self.side.connect(1, by_hand()).expect("a connection");
            assert_eq!(again.greeting().at, sent_to);
        }
        for to in services {
            self.side.connect(0, to).expect("a new connection");
        }
    }

    fn back(&self) {
        let status = self.run(&self.elver.display().to_string(), &["ctl", "status"]);
        let line = status
            .output
            .lines()
            .find(|line| line.contains("director"))
            .unwrap_or_else(|| panic!("{status:?}"));
        let process: u32 = line
            .split_whitespace()
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("{status:?}"));
        // As after a crash: nobody takes anything away.
        elver_lab::director::kill(process).expect("a signal");
        let unloaded = || {
            let said = self.run(&self.elver.display().to_string(), &["unload"]);
            Ok(said.status == Some(0))
        };
        until_true("elver to be unloaded", LIMIT, unloaded, String::new).expect("it is");
        self.expect_no_elver();
        assert!(!self.is_held(), "the address is taken away");
        let keepalived = self.start_keepalived();
        for address in [vip(0), HELD] {
            let mut conversation = self
                .side
                .connect(0, service(address))
                .expect("a connection");
            conversation.upload(1 << 16).expect("data passes intact");
        }
        keepalived.signal(Signal::TERM).expect("a signal");
        keepalived.wait(LIMIT).expect("an end");
    }

    /// Neither pins nor filters.
    fn expect_no_elver(&self) {
        let pins = Path::new("/sys/fs/bpf/elver").join(self.side.director.host().namespace_name());
        assert!(!pins.exists(), "{} is left", pins.display());
        let links = ["back".to_owned(), "lo".to_owned()]
            .into_iter()
            .chain((0..CLIENTS).map(|number| format!("eth{number}")));
        for link in links {
            for way in ["ingress", "egress"] {
                let said = self.run("tc", &["filter", "show", "dev", &link, way]);
                assert_eq!(said.output.trim(), "", "{link} {way}");
            }
        }
    }
}

fn service(address: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(address, PORTS[0])
}

fn by_hand() -> SocketAddrV4 {
    SocketAddrV4::new(vip(1), PORTS[1])
}
