//! What scripts and named pipes are told of VRRP, by elver and by real keepalived, for the
//! same file and the same events. Needs root and keepalived.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than scripts that are started take to write a line.
const SCRIPTS: Duration = Duration::from_secs(1);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const ADVERTISEMENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/support/lower_priority.py"
);

/// The file: two instances in a group, and two alone.
fn configuration(directory: &Path, with_single_instances: bool) -> String {
    let script = directory.join("told");
    let script = script.display();
    let instance = |name: &str, id: u8, more: &str| {
        format!(
            "vrrp_instance {name} {{
                interface e0
                virtual_router_id {id}
                priority 100
                virtual_ipaddress {{
                    10.9.1.{id}
                }}
                notify \"{script} any-{name}\"
                notify_master \"{script} master-{name} 'a b'\"
                notify_backup \"{script} backup-{name}\"
                notify_fault \"{script} fault-{name}\"
                notify_stop \"{script} stop-{name}\"
                notify_master_rx_lower_pri \"{script} lower-{name}\"
                {more}
            }}\n"
        )
    };
    let single = [
        instance(
            "C",
            3,
            &format!("notify_deleted \"{script} deleted-C\"\ntrack_script {{\nbad\n}}"),
        ),
        instance("D", 4, ""),
    ];
    format!(
        "global_defs {{
            script_user root
            enable_script_security
            vrrp_notify_priority_changes true
            vrrp_notify_fifo {}
        }}
        vrrp_script bad {{
            script \"/usr/bin/test ! -e {}\"
            interval 1
            weight -10
        }}
        vrrp_sync_group G1 {{
            group {{
                A
                B
            }}
            notify \"{script} any-group\"
            notify_master \"{script} master-group\"
            notify_backup \"{script} backup-group\"
            notify_fault \"{script} fault-group\"
            notify_stop \"{script} stop-group\"
        }}
        {}{}{}",
        directory.join("fifo").display(),
        directory.join("bad").display(),
        instance("A", 1, ""),
        instance("B", 2, ""),
        if with_single_instances {
            single.concat()
        } else {
            String::new()
        },
    )
}

/// A daemon beside a peer that only sends what it is asked to.
struct Site {
    daemon: Program,
    reader: Program,
    director: Host,
    peer: Host,
    directory: PathBuf,
    seen: usize,
    lab: Lab,
}

/// What was told after an event: lines in their order, where members of the group are not
/// told apart, and calls in the order of the alphabet, since scripts run beside each other.
type Told = (&'static str, Vec<String>, Vec<String>);

impl Site {
    fn new(name: &str, command: impl Fn(&Host, &Path, &Path) -> Command) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interface = ("e0", "10.9.0.1/24");
        let (director, peer) = lab.host_and_peer("director", &[interface]).expect("hosts");
        peer.add_address("e0", "10.9.0.2/24").expect("an address");

        let directory = lab.directory().to_owned();
        let calls = directory.join("calls");
        std::fs::write(&calls, "").expect("a file");
        let script = format!("#!/bin/sh\necho \"[$#] $*\" >> {}\n", calls.display());
        std::fs::write(directory.join("told"), script).expect("a script");
        let mut chmod = Command::new("chmod");
        assert!(
            chmod
                .arg("755")
                .arg(directory.join("told"))
                .status()
                .unwrap()
                .success()
        );
        let file = directory.join("keepalived.conf");
        std::fs::write(&file, configuration(&directory, true)).expect("a file");
        let mut mkfifo = Command::new("mkfifo");
        assert!(
            mkfifo
                .arg(directory.join("fifo"))
                .status()
                .unwrap()
                .success()
        );
        let mut read = director.command("sh").expect("a command");
        read.arg("-c")
            .arg(format!("exec cat <> {}", directory.join("fifo").display()));
        let reader = director.start("reader", read).expect("it starts");
        let daemon = director
            .start("daemon", command(&director, &file, &directory))
            .expect("it starts");
        Site {
            daemon,
            reader,
            director,
            peer,
            directory,
            seen: 0,
            lab,
        }
    }

    fn lines(&self) -> Vec<String> {
        self.reader.log().lines().map(str::to_owned).collect()
    }

    /// Waits until `count` more lines were told, and the scripts with them have run.
    fn told(&mut self, event: &'static str, count: usize) -> Told {
        let looks = || Ok(self.lines().len() >= self.seen + count);
        let explain = || format!("{:?}\n{}", self.lines(), self.daemon.log());
        until_true(event, LIMIT, looks, explain).expect("lines");
        std::thread::sleep(SCRIPTS);
        let lines = self.lines().split_off(self.seen);
        self.seen += lines.len();
        let calls = self.directory.join("calls");
        let text = std::fs::read_to_string(&calls).expect("calls");
        std::fs::write(&calls, "").expect("a file");
        let mut calls: Vec<String> = text.lines().map(str::to_owned).collect();
        calls.sort();
        let lines = lines
            .iter()
            .map(|line| line.replace("\"A\"", "member").replace("\"B\"", "member"))
            .collect();
        (event, lines, calls)
    }

    /// Everything that happens, and what is told of it.
    fn story(mut self) -> Vec<Told> {
        let bad = self.directory.join("bad");
        let mut story = vec![self.told("start", 10)];
        std::fs::write(&bad, "").expect("a file");
        story.push(self.told("the script fails", 1));
        std::fs::remove_file(&bad).expect("removed");
        story.push(self.told("the script succeeds", 1));
        let mut command = self.peer.command("python3").expect("a command");
        command.arg(ADVERTISEMENT);
        let sent = self.peer.output(command, LIMIT).expect("python runs");
        sent.success().expect("it is sent");
        story.push(self.told("a lower priority", 1));
        self.peer.set_down("e0").expect("down");
        story.push(self.told("the link goes down", 5));
        self.peer.set_up("e0").expect("up");
        story.push(self.told("the link comes up", 10));
        let file = self.directory.join("keepalived.conf");
        std::fs::write(file, configuration(&self.directory, false)).expect("a file");
        self.daemon.signal(Signal::HUP).expect("a signal");
        story.push(self.told("two instances are deleted", 2));
        self.daemon.signal(Signal::TERM).expect("a signal");
        story.push(self.told("the end", 3));
        let _ = (&self.director, &self.lab);
        story
    }
}

#[test]
fn scripts_and_pipes_are_told_what_keepalived_tells_them() {
    let keepalived = Site::new("notify-keepalived", |host, file, directory| {
        let mut command = host.command("keepalived").expect("a command");
        command.args(["-P", "-n", "-l", "-D", "-f"]).arg(file);
        command.arg("-p").arg(directory.join("pid"));
        command.arg("-r").arg(directory.join("vrrp-pid"));
        command
    });
    let wanted = keepalived.story();
    let elver = Site::new("notify-elver", |host, file, _| {
        let mut command = host.command(ELVER).expect("a command");
        command.arg("run").arg("-f").arg(file);
        command.env("ELVER_INSTANCE", host.namespace_name());
        command
    });
    let story = elver.story();
    assert!(
        wanted
            .iter()
            .all(|(_, lines, calls)| lines.len() + calls.len() > 0)
    );
    for (ours, theirs) in story.iter().zip(&wanted) {
        assert_eq!(ours, theirs);
    }
}
