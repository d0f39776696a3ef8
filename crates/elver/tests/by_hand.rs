//! What operators do with ipvsadm, beside keepalived.conf and beside each other, while the
//! director runs, hangs, or is dead. Needs root.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use elver_lab::wait::{Look, until};
use elver_lab::{Host, Lab, Output, Program};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");

/// A host with a virtual address, on which elver runs, or not.
struct Site {
    host: Host,
    lab: Lab,
}

impl Site {
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interface = ("eth0", "10.0.0.1/24");
        let (host, _peer) = lab.host_and_peer("director", &[interface]).expect("hosts");
        let leaver = host.clone();
        lab.on_farewell(move || {
            let mut unload = elver(&leaver);
            unload.arg("unload");
            let _ = leaver.output(unload, LIMIT);
        })
        .expect("a farewell");
        Site { host, lab }
    }

    fn file(&self) -> PathBuf {
        self.lab.directory().join("keepalived.conf")
    }

    /// Writes a file with one service, 10.0.0.1:80, and real servers with their weights.
    fn write(&self, scheduler: &str, real_servers: &[(&str, u32)]) {
        let real_servers: String = real_servers
            .iter()
            .map(|(address, weight)| {
                format!("    real_server {address} 80 {{\n        weight {weight}\n    }}\n")
            })
            .collect();
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\n    lb_algo {scheduler}\n    lb_kind NAT\n    \
             protocol TCP\n{real_servers}}}\n"
        );
        std::fs::write(self.file(), text).expect("a file");
    }

    fn write_nothing(&self) {
        std::fs::write(self.file(), "global_defs {\n}\n").expect("a file");
    }

    /// Starts a director and waits until it answers.
    fn start(&self) -> Program {
        let mut command = elver(&self.host);
        command.arg("run").arg("-f").arg(self.file());
        let director = self.host.start("elver", command).expect("a director");
        until("the director to answer", LIMIT, || {
            Ok(match self.elver(&["ctl", "status"]) {
                output if output.status.success() => Look::Met(()),
                output => Look::NotYet(format!("{}{}", output.stderr, director.log())),
            })
        })
        .expect("a director");
        director
    }

    fn stop(&self, director: &Program) {
        director.signal(Signal::TERM).expect("a signal");
        let status = director.wait(LIMIT).expect("an end");
        assert!(status.success(), "{}", director.log());
    }

    fn kill(&self, director: &Program) {
        director.signal(Signal::KILL).expect("a signal");
        director.wait(LIMIT).expect("an end");
    }

    fn reload(&self) {
        let reloaded = self.elver(&["ctl", "reload"]);
        assert!(reloaded.status.success(), "{}", reloaded.stderr);
    }

    /// Runs elver to its end.
    fn elver(&self, arguments: &[&str]) -> Output {
        let mut command = elver(&self.host);
        command.args(arguments);
        self.host.output(command, LIMIT).expect("elver runs")
    }

    /// Runs ipvsadm with the words of a line.
    fn ipvsadm(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split(' ').collect();
        self.elver(&[&["ipvsadm"], words.as_slice()].concat())
    }

    /// The same, which has to succeed; what it prints.
    fn do_ipvsadm(&self, line: &str) -> String {
        let output = self.ipvsadm(line);
        assert!(output.status.success(), "ipvsadm {line}: {}", output.stderr);
        output.stdout
    }

    /// The rules there are, without what they have in common.
    fn rules(&self) -> Vec<String> {
        let rules = self
            .do_ipvsadm("-Sn")
            .replace("10.0.", "")
            .replace(":80", "");
        rules.lines().map(str::to_owned).collect()
    }
}

/// A command of elver's in its own instance.
fn elver(host: &Host) -> Command {
    let mut command = host.command(ELVER).expect("a command");
    command.env("ELVER_INSTANCE", host.namespace_name());
    command
}

/// What the file says of timeouts holds from the start and from each reload on; of what it does
/// not say, what was set by hand.
#[test]
fn timeouts_of_the_file_and_by_hand_live_side_by_side() {
    let site = Site::new("by-hand-timeouts");
    let write = |words: &str| {
        let text = format!("global_defs {{\n    lvs_timeouts {words}\n}}\n");
        std::fs::write(site.file(), text).expect("a file");
    };
    let timeouts = || {
        let list = site.do_ipvsadm("-L --timeout");
        let (_, numbers) = list.trim().split_once(": ").expect("three numbers");
        numbers.to_owned()
    };
    write("tcp 7200 udp 60");
    let director = site.start();
    assert_eq!(timeouts(), "7200 120 60");
    site.do_ipvsadm("--set 1000 30 40");
    assert_eq!(timeouts(), "1000 30 40");
    write("udp 70");
    site.reload();
    assert_eq!(timeouts(), "1000 30 70");
    site.stop(&director);
}

/// Every line was seen with keepalived 2.2.7 and ipvsadm 1.31 on Linux 6.1, step by step as
/// here.
#[test]
fn what_is_made_by_hand_lives_beside_the_file_as_with_keepalived() {
    let site = Site::new("by-hand");
    site.write("rr", &[("10.0.1.1", 1), ("10.0.1.2", 2)]);
    let director = site.start();

    // What is there already, and what is changed by hand, stays.
    site.do_ipvsadm("-A -t 10.0.0.9:80 -s lc");
    site.do_ipvsadm("-a -t 10.0.0.9:80 -r 10.0.1.9 -m");
    site.do_ipvsadm("-a -t 10.0.0.1:80 -r 10.0.1.7:80 -m -w 7");
    site.do_ipvsadm("-e -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 55");
    site.do_ipvsadm("-E -t 10.0.0.1:80 -s wlc");
    site.reload();
    let theirs = ["-A -t 0.9 -s lc", "-a -t 0.9 -r 1.9 -m -w 1"];
    let with_theirs = |ours: &[&str]| -> Vec<String> {
        ours.iter()
            .chain(&theirs)
            .map(|&rule| rule.to_owned())
            .collect()
    };
    assert_eq!(
        site.rules(),
        with_theirs(&[
            "-A -t 0.1 -s wlc",
            "-a -t 0.1 -r 1.1 -m -w 55",
            "-a -t 0.1 -r 1.2 -m -w 2",
            "-a -t 0.1 -r 1.7 -m -w 7",
        ])
    );

    // Until the file says something else about it.
    site.write("wrr", &[("10.0.1.1", 3), ("10.0.1.2", 2)]);
    site.do_ipvsadm("-d -t 10.0.0.1:80 -r 10.0.1.2:80");
    site.reload();
    assert_eq!(
        site.rules(),
        with_theirs(&[
            "-A -t 0.1 -s wrr",
            "-a -t 0.1 -r 1.1 -m -w 3",
            "-a -t 0.1 -r 1.7 -m -w 7",
        ])
    );
    site.write("wrr", &[("10.0.1.1", 3), ("10.0.1.2", 5)]);
    site.reload();
    assert!(
        site.rules()
            .contains(&"-a -t 0.1 -r 1.2 -m -w 5".to_owned())
    );

    // What the file takes up is its own from then on, but stays as it was.
    site.write("wrr", &[("10.0.1.1", 3), ("10.0.1.7", 4)]);
    site.reload();
    assert!(
        site.rules()
            .contains(&"-a -t 0.1 -r 1.7 -m -w 7".to_owned())
    );
    site.write("wrr", &[("10.0.1.1", 3)]);
    site.reload();
    assert_eq!(
        site.rules(),
        with_theirs(&["-A -t 0.1 -s wrr", "-a -t 0.1 -r 1.1 -m -w 3"])
    );

    // A service that was removed by hand comes back with a restart only.
    site.do_ipvsadm("-D -t 10.0.0.1:80");
    site.reload();
    site.write("wlc", &[("10.0.1.1", 3)]);
    site.reload();
    assert_eq!(site.rules(), theirs);
    site.stop(&director);
    assert_eq!(site.rules(), theirs);

    // A service goes with all that is in it.
    let director = site.start();
    site.do_ipvsadm("-a -t 10.0.0.1:80 -r 10.0.1.7:80 -m -w 7");
    assert_eq!(site.rules().len(), 5);
    site.stop(&director);
    assert_eq!(site.rules(), theirs);

    // So does one that was made by hand before, and keeps its scheduler until then.
    let director = site.start();
    site.do_ipvsadm("-A -t 10.0.0.2:80 -s sh");
    site.do_ipvsadm("-a -t 10.0.0.2:80 -r 10.0.1.8:80 -m -w 8");
    let text = std::fs::read_to_string(site.file()).expect("the file");
    let second = text.replace("10.0.0.1", "10.0.0.2").replace("wlc", "rr");
    std::fs::write(site.file(), format!("{text}{second}")).expect("a file");
    site.reload();
    let rules = site.rules();
    assert_eq!(
        rules[2..5],
        [
            "-A -t 0.2 -s sh",
            "-a -t 0.2 -r 1.1 -m -w 3",
            "-a -t 0.2 -r 1.8 -m -w 8"
        ]
    );
    std::fs::write(site.file(), text).expect("a file");
    site.reload();
    assert_eq!(
        site.rules(),
        with_theirs(&["-A -t 0.1 -s wlc", "-a -t 0.1 -r 1.1 -m -w 3"])
    );
    site.stop(&director);
}

#[test]
fn a_dead_directors_tables_can_be_read_but_not_changed() {
    let site = Site::new("by-hand-dead");
    let nothing = site.ipvsadm("-L");
    assert_eq!(nothing.status.code(), Some(2));
    assert!(
        nothing.stderr.contains("has no data plane"),
        "{}",
        nothing.stderr
    );
    assert!(nothing.stderr.contains("elver run"), "{}", nothing.stderr);

    assert_eq!(site.elver(&["ctl", "metrics"]).status.code(), Some(16));

    site.write_nothing();
    let director = site.start();
    site.do_ipvsadm("-A -t 10.0.0.1:80 -s rr -p 60");
    site.do_ipvsadm("-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 3 -x 9 -y 2");
    site.do_ipvsadm("--set 100 0 20");
    site.do_ipvsadm("--start-daemon backup --mcast-interface lo --syncid 7");
    let lists = [
        "-Ln",
        "-L -t 10.0.0.1:80 -n",
        "-Ln --stats",
        "-Ln --rate --exact",
        "-Ln --thresholds",
        "-Ln --persistent-conn",
        "-Ln --tun-info",
        "-Ln --nosort",
        "-Lnc",
        "-L --timeout",
        "-L --daemon",
        "-Sn",
    ];
    let alive = lists.map(|list| site.do_ipvsadm(list));
    assert!(alive[0].contains("10.0.1.1:80"), "{}", alive[0]);
    assert_eq!(alive[9], "Timeout (tcp tcpfin udp): 100 120 20\n");
    assert_eq!(
        alive[10],
        "backup sync daemon (mcast=lo, syncid=7, maxlen=65507, group=224.0.0.81, port=8848, \
         ttl=1)\n"
    );
    let metrics = |up: u8| {
        let metrics = site.elver(&["ctl", "metrics"]);
        assert!(metrics.status.success(), "{}", metrics.stderr);
        for line in [
            "node_ipvs_backend_weight{local_address=\"10.0.0.1\",local_port=\"80\",\
             remote_address=\"10.0.1.1\",remote_port=\"80\",proto=\"TCP\",local_mark=\"\"} 3\n",
            "elver_table_entries{table=\"destinations\"} 1\n",
            "elver_packets_total{outcome=\"drop_no_route\"} 0\n",
            &format!("elver_director_up {up}\n"),
        ] {
            assert!(metrics.stdout.contains(line), "{line}{}", metrics.stdout);
        }
    };
    metrics(1);

    site.kill(&director);
    assert_eq!(lists.map(|list| site.do_ipvsadm(list)), alive);
    metrics(0);
    for change in ["-C", "-D -t 10.0.0.1:80", "--stop-daemon backup", "-Z"] {
        let refused = site.ipvsadm(change);
        assert_eq!(refused.status.code(), Some(2), "{change}");
        for words in ["is not running, so nothing can be changed", "elver run"] {
            assert!(
                refused.stderr.contains(words),
                "{change}: {}",
                refused.stderr
            );
        }
    }

    // The next one takes it all up, and what was made by hand stays when it goes.
    let director = site.start();
    assert!(
        director.log().contains("not synchronised yet"),
        "{}",
        director.log()
    );
    assert_eq!(lists.map(|list| site.do_ipvsadm(list)), alive);
    site.stop(&director);
    assert_eq!(site.do_ipvsadm("-L --daemon"), alive[10]);
    let director = site.start();
    site.do_ipvsadm("--stop-daemon backup");
    site.do_ipvsadm("-C");
    site.stop(&director);
    assert_eq!(site.ipvsadm("-L --daemon").status.code(), Some(2));
}

#[test]
fn nobody_waits_for_a_director_that_hangs() {
    let site = Site::new("by-hand-hung");
    site.write_nothing();
    let director = site.start();
    site.do_ipvsadm("-A -t 10.0.0.1:80 -s rr");
    director.signal(Signal::STOP).expect("a signal");
    assert_eq!(site.rules(), ["-A -t 0.1 -s rr"]);
    let waited = site.ipvsadm("-C");
    assert_eq!(waited.status.code(), Some(2));
    assert!(
        waited.stderr.contains("has not answered for 5 s"),
        "{}",
        waited.stderr
    );
    let waited = site.elver(&["ctl", "status"]);
    assert_eq!(waited.status.code(), Some(1));
    assert!(
        waited.stderr.contains("has not answered for 5 s"),
        "{}",
        waited.stderr
    );
    director.signal(Signal::CONT).expect("a signal");
    site.stop(&director);
}

#[test]
fn callers_at_once_do_not_disturb_each_other() {
    const CALLERS: u32 = 6;
    const SERVICES: u32 = 20;
    let site = Site::new("by-hand-crowd");
    site.write_nothing();
    let director = site.start();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let site = &site;
            scope.spawn(move || {
                for service in 0..SERVICES {
                    let name = format!("-t 10.0.{caller}.{service}:80");
                    site.do_ipvsadm(&format!("-A {name} -s rr"));
                    site.do_ipvsadm(&format!("-a {name} -r 10.1.{caller}.1:80 -m -w {service}"));
                    site.do_ipvsadm(&format!("-a {name} -r 10.1.{caller}.2:80 -m -w 9"));
                    site.do_ipvsadm(&format!("-d {name} -r 10.1.{caller}.2:80"));
                }
            });
        }
        // Whoever reads meanwhile sees services as a whole.
        for _ in 0..20 {
            let rules = site.do_ipvsadm("-Sn");
            assert!(
                rules.lines().all(|rule| rule.contains("-t 10.0.")),
                "{rules}"
            );
        }
    });
    let mut expected: Vec<String> = (0..CALLERS)
        .flat_map(|caller| {
            (0..SERVICES).flat_map(move |service| {
                let name = format!("-t 10.0.{caller}.{service}:80");
                [
                    format!("-A {name} -s rr"),
                    format!("-a {name} -r 10.1.{caller}.1:80 -m -w {service}"),
                ]
            })
        })
        .collect();
    expected.sort();
    let rules = site.do_ipvsadm("-Sn");
    let mut rules: Vec<&str> = rules.lines().collect();
    rules.sort();
    assert_eq!(rules, expected);
    site.do_ipvsadm("-C");
    site.stop(&director);
}

/// The commands of a unit file, in order.
fn commands<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .collect()
}

/// Runs the commands of a unit file as systemd does: until one fails.
fn carry_out(site: &Site, commands: &[&str], rules: &str) -> Result<(), String> {
    let folder = site.lab.directory().display();
    for command in commands {
        let command = command
            .replace("/usr/sbin/", &format!("{folder}/"))
            .replace(rules, &format!("{folder}/rules"));
        let mut shell = site.host.command("sh").expect("a shell");
        shell.args(["-c", &command]);
        shell.env("ELVER_INSTANCE", site.host.namespace_name());
        let output = site.host.output(shell, LIMIT).expect("an end");
        if !output.status.success() {
            return Err(output.stderr);
        }
    }
    Ok(())
}

#[test]
fn the_units_restore_at_the_start_and_save_at_the_stop() {
    let site = Site::new("by-hand-unit");
    for name in ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"] {
        let link = site.lab.directory().join(name);
        std::os::unix::fs::symlink(ELVER, link).expect("a link");
    }
    site.write_nothing();
    let director = site.start();
    for (unit, rules, file) in [
        (
            include_str!("../../../packaging/systemd/ipvsadm.service"),
            "/etc/ipvsadm.rules",
            // As Debian's /etc/init.d/ipvsadm saves.
            "# ipvsadm.rules\n-A -t 10.0.0.5:80 -s rr\n\
             -a -t 10.0.0.5:80 -r 10.0.1.5:80 -m -w 1\n",
        ),
        (
            include_str!("../../../packaging/redhat/ipvsadm.service"),
            "/etc/sysconfig/ipvsadm",
            // As `ipvsadm-save` without -n does, and people write.
            "-A -t 10.0.0.5:http -s rr\n\n\
             ipvsadm -a -t 10.0.0.5:http -r 10.0.1.5:http -m -w 1\n",
        ),
    ] {
        let path = site.lab.directory().join("rules");
        let [start, stop] = ["ExecStart", "ExecStop"].map(|name| commands(unit, name));
        // Nothing to restore is no failure, nor is anything cleared for it.
        let _ = std::fs::remove_file(&path);
        site.do_ipvsadm("-A -t 10.0.0.4:80 -s lc");
        carry_out(&site, &start, rules).expect("a first start");
        assert_eq!(site.rules(), ["-A -t 0.4 -s lc"]);

        std::fs::write(&path, file).expect("a file");
        carry_out(&site, &start, rules).expect("a start");
        let restored = ["-A -t 0.5 -s rr", "-a -t 0.5 -r 1.5 -m -w 1"];
        assert_eq!(site.rules(), restored);
        site.do_ipvsadm("-A -t 10.0.0.6:443 -s wlc -p 60");
        let before = site.do_ipvsadm("-Sn");
        carry_out(&site, &stop, rules).expect("a stop");
        assert_eq!(site.rules(), Vec::<String>::new());
        assert_eq!(std::fs::read_to_string(&path).expect("rules"), before);
        carry_out(&site, &start, rules).expect("another start");
        assert_eq!(site.do_ipvsadm("-Sn"), before);
        site.do_ipvsadm("-C");

        // A rule that is wrong is a failure, and its line is named.
        std::fs::write(&path, "# one\n-A -t 10.0.0.5:80 -s rr\n-A -t nonsense\n").expect("a file");
        let failure = carry_out(&site, &start, rules).expect_err("a failure");
        assert!(failure.contains("in line 3: -A -t nonsense"), "{failure}");
        site.do_ipvsadm("-C");
    }
    site.stop(&director);
}
