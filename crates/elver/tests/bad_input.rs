//! What elver says, and with which exit code it ends, where it cannot run. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Output, Program};

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");

const SERVICE: &str = "\
virtual_server 10.66.0.100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.66.0.2 80 {
        weight 1
    }
}
";

fn instance(interface: &str) -> String {
    format!(
        "\
vrrp_instance VI_1 {{
    interface {interface}
    virtual_router_id 51
    priority 100
    virtual_ipaddress {{
        10.66.0.100
    }}
}}
"
    )
}

/// A host with one interface, `eth0`.
struct Site {
    host: Host,
    lab: Lab,
}

impl Site {
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interface = ("eth0", "10.66.0.1/24");
        let (host, _peer) = lab.host_and_peer("director", &[interface]).expect("hosts");
        Site { host, lab }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.lab.directory().join("elver.conf");
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn elver(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(ELVER).expect("a command");
        command
            .args(arguments)
            .env("ELVER_INSTANCE", self.host.namespace_name());
        command
    }

    /// Runs elver to its end.
    fn output(&self, arguments: &[&str]) -> Output {
        let command = self.elver(arguments);
        self.host.output(command, LIMIT).expect("elver runs")
    }

    /// Runs a director that cannot run.
    fn run(&self, file: &Path) -> Output {
        self.output(&["run", "-f", &file.to_string_lossy()])
    }

    /// Starts a director that can, and waits until it answers.
    fn start(&self, text: &str) -> Program {
        let file = self.file(text);
        let command = self.elver(&["run", "-f", &file.to_string_lossy()]);
        let program = self.host.start("elver", command).expect("elver starts");
        let answers = || Ok(self.output(&["ctl", "status"]).status.success());
        until_true("the director to answer", LIMIT, answers, || program.log()).expect("an answer");
        program
    }
}

/// The end of a program with this exit code, which said all of this in one line.
fn assert_ended(output: &Output, code: i32, words: &[&str]) {
    let text = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let line = text
        .lines()
        .find(|line| line.starts_with("elver: "))
        .unwrap_or_else(|| panic!("no line from elver in:\n{text}"));
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let site = Site::new("bad-unreadable");
    let missing = site.lab.directory().join("missing.conf");
    let words = [missing.to_str().unwrap(), "cannot be read"];
    assert_ended(&site.run(&missing), 3, &words);
    assert_ended(&site.run(site.lab.directory()), 3, &["cannot be read"]);
}

/// A start leaves out what is in error, as keepalived does; a reload refuses the whole file.
#[test]
fn a_file_with_errors() {
    let site = Site::new("bad-errors");
    let broken = SERVICE.replace("NAT", "NATS");
    let file = site.file(&broken);
    let place = format!("{}:3:13", file.display());
    let output = site.output(&["check", &file.to_string_lossy()]);
    assert_ended(&output, 4, &[file.to_str().unwrap()]);
    assert!(output.stderr.contains(&place), "{}", output.stderr);
    let director = site.start(&broken);
    assert!(director.log().contains(&place), "{}", director.log());
    assert!(director.log().contains("is left out"), "{}", director.log());
    let services = site.output(&["ipvsadm", "-Ln"]).stdout;
    assert!(services.contains("10.66.0.2:80"), "{services}");
    drop(director);

    // A director that runs keeps what it has, and says so.
    let director = site.start(SERVICE);
    let before = site.output(&["ipvsadm", "-Ln"]).stdout;
    assert!(before.contains("10.66.0.2:80"), "{before}");
    for bad in [&broken, &instance("eth7")] {
        site.file(bad);
        assert_ended(&site.output(&["ctl", "reload"]), 1, &[]);
        assert!(director.is_running(), "{}", director.log());
        assert_eq!(site.output(&["ipvsadm", "-Ln"]).stdout, before);
    }
    assert!(director.log().contains(&place), "{}", director.log());
    assert!(director.log().contains("eth7"), "{}", director.log());
}

#[test]
fn what_elver_check_says() {
    let site = Site::new("bad-check");
    let file = site.file(SERVICE);
    let path = file.to_string_lossy();
    let output = site.output(&["check", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert!(
        output.stdout.contains("1 virtual servers"),
        "{}",
        output.stdout
    );
    site.file(&format!("{SERVICE}nat_mask 255.255.0.0\n"));
    assert_ended(&site.output(&["check", &path]), 5, &[&path]);
}

#[test]
fn an_interface_that_is_not_there() {
    let site = Site::new("bad-interface");
    let file = site.file(&instance("eth7"));
    assert_ended(&site.run(&file), 10, &["VI_1", "eth7", "lo, eth0"]);
}

#[test]
fn a_user_who_may_not() {
    let site = Site::new("bad-user");
    let file = site.file(SERVICE);
    // Root without what makes root: it still owns the file.
    let mut command = site.host.command("setpriv").expect("a command");
    command.args(["--bounding-set=-all", "--inh-caps=-all", ELVER, "run", "-f"]);
    command.arg(&file);
    let output = site.host.output(command, LIMIT).expect("elver runs");
    assert_ended(&output, 11, &["CAP_NET_ADMIN", "CAP_BPF", "root"]);
}

#[test]
fn a_second_director_of_one_instance() {
    let site = Site::new("bad-second");
    let first = site.start(SERVICE);
    let file = site.file(SERVICE);
    let id = first.id().to_string();
    let name = site.host.namespace_name().to_owned();
    assert_ended(&site.run(&file), 13, &[&name, &id, "--instance"]);
    assert!(first.is_running(), "{}", first.log());
    assert_ended(&site.output(&["unload"]), 13, &[&name]);
}

#[test]
fn a_keepalived_beside_it() {
    let site = Site::new("bad-keepalived");
    let directory = site.lab.directory();
    let file = site.file(&instance("eth0"));
    let mut command = site.host.command("keepalived").expect("a command");
    command.args(["-n", "-l", "-P", "-f"]).arg(&file);
    command.arg("-p").arg(directory.join("keepalived.pid"));
    command.arg("-r").arg(directory.join("vrrp.pid"));
    let keepalived = site.host.start("keepalived", command).expect("keepalived");
    let runs = || Ok(keepalived.log().contains("Entering BACKUP STATE"));
    until_true("keepalived to run", LIMIT, runs, || keepalived.log()).expect("it runs");
    let id = keepalived.id().to_string();
    assert_ended(&site.run(&file), 14, &["keepalived", &id]);

    // One in another network namespace is somebody else's.
    let elsewhere = Site::new("bad-keepalived-elsewhere");
    elsewhere.start(SERVICE);
}

#[test]
fn nobody_to_talk_to() {
    let site = Site::new("bad-absent");
    let name = site.host.namespace_name().to_owned();
    for request in ["status", "reload"] {
        let words = [name.as_str(), "does not run"];
        assert_ended(&site.output(&["ctl", request]), 16, &words);
    }
}

#[test]
fn parts_that_are_not_for_people() {
    let site = Site::new("bad-part");
    for part in ["vrrp", "check"] {
        let words = ["for a running director alone"];
        assert_ended(&site.output(&["process", part]), 1, &words);
    }
}

#[test]
fn a_command_line_that_says_nothing() {
    for arguments in [&["walk"][..], &["--instance", "a/b", "ctl", "status"]] {
        let output = Command::new(ELVER)
            .args(arguments)
            .output()
            .expect("elver runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
