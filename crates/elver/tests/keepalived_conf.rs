//! The corpus of configurations, read by elver and by real keepalived. Needs root and
//! keepalived.

use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use elver_core::config::keyword::{Argument, BlockKind, Body, keywords};
use elver_core::config::model::{
    BfdInstance, Configuration, Tracked, VirtualAddress, VrrpInstance, VrrpVersion,
};
use elver_core::config::{Source, load};
use elver_lab::{Host, Lab};

const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/fixtures/corpus");
const CONFIG_ID: &str = "one";
/// What keepalived says where it needs the kernel's IPVS for more than a test.
const NO_IPVS: &str = "Can't initialize ipvs";
const LIMIT: Duration = Duration::from_secs(60);

/// A host with the interfaces that the corpus speaks of.
struct Site {
    host: Host,
    lab: Lab,
}

impl Site {
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let interfaces = [("eth0", "192.168.1.2/24"), ("eth1", "10.0.0.2/24")];
        let (host, _peer) = lab.host_and_peer("director", &interfaces).expect("hosts");
        Site { host, lab }
    }

    /// The exit code of a configuration test, and what was said.
    fn test(&self, program: &str, first: &[&str], file: &Path) -> (Option<i32>, String) {
        let mut command = self.host.command(program).expect("a command");
        command
            .args(first)
            .args(["-t", "-i", CONFIG_ID, "-f"])
            .arg(file);
        let output = self.host.output(command, LIMIT).expect("it runs");
        let words = format!("{}{}", output.stdout, output.stderr);
        (output.status.code(), words)
    }

    /// What keepalived says of its VRRP instances when it starts, without the times.
    fn topology(&self, file: &Path) -> String {
        let log = self.lab.directory().join("keepalived.log");
        let configured = std::fs::read_to_string(file).expect("the file");
        let mut command = self.host.command("keepalived").expect("a command");
        command.args(["-P", "-n", "-d", "-l", "-G", "-i", CONFIG_ID, "-f"]);
        command.arg(file);
        for (option, name) in [("-p", "parent"), ("-r", "vrrp"), ("-b", "bfd")] {
            command.arg(option).arg(self.lab.directory().join(name));
        }
        let written = std::fs::File::create(&log).expect("a file");
        command
            .stdout(written.try_clone().expect("a file"))
            .stderr(written)
            .stdin(Stdio::null());
        let mut child = command.spawn().expect("keepalived starts");
        let start = Instant::now();
        let mut ended = false;
        let text = loop {
            let text = std::fs::read_to_string(&log).expect("the log");
            // Its process for BFD dumps beside the one for VRRP; two lines end each session.
            let sessions = text.matches("BFD Instance = ").count();
            let has_sessions = text.matches("to checker process = ").count() == sessions
                && (sessions > 0 || !configured.contains("bfd_instance"));
            let has_said = has_sessions
                && (text.contains("------< Interfaces >------") || text.contains(NO_IPVS));
            if ended || has_said || start.elapsed() >= LIMIT {
                break text;
            }
            std::thread::sleep(Duration::from_millis(20));
            ended = child.try_wait().expect("its status").is_some();
        };
        if !ended {
            let id = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("a signal");
            child.wait().expect("its end");
        }
        // "Sun Nov 22 23:15:49 2026: words"
        let lines = text
            .lines()
            .map(|line| line.splitn(4, ':').nth(3).unwrap_or(line));
        lines
            .map(|line| format!("{}\n", &line[line.len().min(1)..]))
            .collect()
    }
}

fn corpus() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(CORPUS)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    files.sort();
    assert!(files.len() >= 60, "only {} files", files.len());
    files
}

#[test]
fn keepalived_and_elver_exit_alike() {
    let site = Site::new("language-verdicts");
    let mut wrong = String::new();
    for file in corpus() {
        let (theirs, said) = site.test("keepalived", &[], &file);
        let (ours, words) = site.test(ELVER, &["keepalived"], &file);
        if theirs != ours {
            let _ = writeln!(
                wrong,
                "{}: keepalived {theirs:?}, elver {ours:?}\n{said}{words}",
                file.display()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Files, each behind its name in a line of its own.
fn forms() -> Vec<&'static str> {
    const FORMS: &str = include_str!("../../core/tests/fixtures/forms.txt");
    let forms: Vec<&str> = FORMS.split("### ").skip(1).collect();
    assert!(forms.len() > 200, "only {}", forms.len());
    forms
}

/// The grammar in its forms, and keywords with what they take and what they do not.
#[test]
fn every_form_of_the_language_gets_keepalived_s_verdict() {
    let site = Site::new("language-forms");
    let file = site.lab.directory().join("form.conf");
    let mut wrong = String::new();
    for form in forms() {
        let (name, text) = form.split_once('\n').expect("a name");
        std::fs::write(&file, text).expect("a file");
        let (theirs, said) = site.test("keepalived", &[], &file);
        let (ours, words) = site.test(ELVER, &["keepalived"], &file);
        if theirs != ours {
            let _ = writeln!(
                wrong,
                "{name}: keepalived {theirs:?}, elver {ours:?}\n{said}{words}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Of 2.2.7, which these came after.
const NEWER: &[&str] = &[
    "slow_start",
    "check_path",
    "passive_check",
    "passive_handshake",
    "sni_name",
    "snmp_vs_stats_update_interval",
    "snmp_rs_stats_update_interval",
    "dbus_no_interface_name",
    "state_dump_file",
    "stats_dump_file",
    "json_dump_file",
    "json_version",
    "iproute_usr_dir",
    "iproute_etc_dir",
    "vrrp_delay_after_boot",
    "tmp_config_directory",
];
/// Other keywords that are not judged alike, and why.
const JUDGED_OTHERWISE: &[(&str, &str)] = &[
    ("vrrp_iptables", "Debian's keepalived is made without it"),
    ("vrrp_ipsets", "Debian's keepalived is made without it"),
    (
        "vrrp_rx_bufs_policy",
        "nothing to do: what it takes is not looked at",
    ),
    (
        "lvs_sync_daemon",
        "not acted on: what it takes is not looked at",
    ),
    ("smtp_server", "the name is looked up when there is mail"),
    ("neighbor_ip", "keepalived crashes where it is missing"),
    ("neighbour_ip", "keepalived crashes where it is missing"),
    ("script", "a second one is judged by the first"),
    ("misc_path", "a second one is judged by the first"),
    (
        "user",
        "without a name keepalived judges its scripts as well",
    ),
];

/// Every keyword of a block with nothing behind it, or nonsense.
#[test]
fn what_keywords_cannot_take_is_judged_as_by_keepalived() {
    const INSTANCE: &str = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 5\nvirtual_ipaddress {\n10.0.0.9\n}\n";
    const REAL: &str = "virtual_server 10.0.0.100 80 {\nreal_server 10.0.0.5 80 {\n";
    let blocks: [(BlockKind, String, &str); 16] = [
        (BlockKind::GlobalDefs, "global_defs {\n".to_owned(), "}"),
        (BlockKind::Instance, INSTANCE.to_owned(), "}"),
        (
            BlockKind::SyncGroup,
            format!("{INSTANCE}}}\nvrrp_sync_group G {{\ngroup {{\nV\n}}\n"),
            "}",
        ),
        (
            BlockKind::Script,
            format!("{INSTANCE}}}\nvrrp_script s {{\nscript /bin/true\n"),
            "}",
        ),
        (
            BlockKind::TrackFile,
            "track_file f {\nfile /tmp/x\n".to_owned(),
            "}",
        ),
        (
            BlockKind::TrackProcess,
            "vrrp_track_process p {\nprocess x\n".to_owned(),
            "}",
        ),
        (
            BlockKind::Bfd,
            "bfd_instance b {\nneighbor_ip 10.0.0.5\n".to_owned(),
            "}",
        ),
        (
            BlockKind::VirtualServer,
            "virtual_server 10.0.0.100 80 {\n".to_owned(),
            "real_server 10.0.0.5 80 {\n}\n}",
        ),
        (BlockKind::RealServer, REAL.to_owned(), "}\n}"),
        (
            BlockKind::HttpGet,
            format!("{REAL}HTTP_GET {{\nurl {{\npath /\nstatus_code 200\n}}\n"),
            "}\n}\n}",
        ),
        (
            BlockKind::Url,
            format!("{REAL}HTTP_GET {{\nurl {{\npath /\n"),
            "}\n}\n}\n}",
        ),
        (
            BlockKind::TcpCheck,
            format!("{REAL}TCP_CHECK {{\n"),
            "}\n}\n}",
        ),
        (
            BlockKind::SmtpCheck,
            format!("{REAL}SMTP_CHECK {{\n"),
            "}\n}\n}",
        ),
        (
            BlockKind::DnsCheck,
            format!("{REAL}DNS_CHECK {{\n"),
            "}\n}\n}",
        ),
        (
            BlockKind::PingCheck,
            format!("{REAL}PING_CHECK {{\n"),
            "}\n}\n}",
        ),
        (
            BlockKind::UdpCheck,
            format!("{REAL}UDP_CHECK {{\n"),
            "}\n}\n}",
        ),
    ];
    let site = Site::new("language-arguments");
    let file = site.lab.directory().join("form.conf");
    let (mut wrong, mut compared) = (String::new(), 0);
    for (block, before, behind) in &blocks {
        for keyword in keywords(*block) {
            let takes_something = keyword
                .arguments
                .first()
                .is_some_and(|first| !matches!(first, Argument::Optional(_)));
            let is_excepted = NEWER.contains(&keyword.name)
                || JUDGED_OTHERWISE
                    .iter()
                    .any(|(name, _)| *name == keyword.name);
            if !takes_something || keyword.body != Body::None || is_excepted {
                continue;
            }
            for words in ["", "x", "-1"] {
                let line = format!("{} {words}", keyword.name);
                std::fs::write(&file, format!("{before}{line}\n{behind}\n")).expect("a file");
                let (theirs, said) = site.test("keepalived", &[], &file);
                let (ours, _) = site.test(ELVER, &["keepalived"], &file);
                compared += 1;
                if theirs != ours {
                    let _ = writeln!(
                        wrong,
                        "{line}: keepalived {theirs:?}, elver {ours:?}\n{said}"
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 500, "only {compared} lines were compared");
}

/// What an instance with these lines is told by `elver check`.
fn told(site: &Site, outermost: &str, lines: &str) -> String {
    let file = site.lab.directory().join("told.conf");
    let text = format!(
        "{outermost}\nvrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\npriority 100\n\
         {lines}\n}}\n"
    );
    std::fs::write(&file, text).expect("a file");
    let (_, output, errors) = check(site, &[&file.display().to_string()]);
    output + &errors
}

#[test]
fn an_address_in_no_network_of_its_interface_is_named() {
    let site = Site::new("language-networks");
    let words = |address: &str| {
        let said = told(&site, "", &format!("virtual_ipaddress {{\n{address}\n}}"));
        said.lines()
            .find(|line| line.contains("is in no network of eth0"))
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
    };
    assert_eq!(words("192.168.1.100"), None);
    assert_eq!(words("192.168.1.100/24"), None);
    assert_eq!(words("192.168.1.100/16"), None);
    assert_eq!(words("10.0.0.100 dev eth1"), None);
    assert_eq!(words("192.168.2.100").as_deref(), Some("warning"));
    assert_eq!(words("192.168.2.100/32").as_deref(), Some("warning"));
    assert_eq!(words("192.168.2.100/24").as_deref(), Some("note"));
    assert_eq!(words("fe80::100"), None, "every link has that network");
}

#[test]
fn programs_that_are_not_here_are_named() {
    let site = Site::new("language-programs");
    let address = "virtual_ipaddress {\n192.168.1.100\n}\n";
    let script = |program: &str| format!("vrrp_script s {{\nscript \"{program} -x\"\n}}");
    let tracked = format!("{address}track_script {{\ns\n}}");
    for (outermost, lines, words) in [
        (
            script("/nowhere/s"),
            tracked.clone(),
            Some("/nowhere/s is not here"),
        ),
        (
            script("nowhere"),
            tracked.clone(),
            Some("nowhere is not here"),
        ),
        (
            script("/etc/passwd"),
            tracked.clone(),
            Some("/etc/passwd cannot be executed"),
        ),
        (script("true"), tracked.clone(), None),
        (
            String::new(),
            format!("{address}notify /nowhere/n"),
            Some("/nowhere/n is not here"),
        ),
    ] {
        let said = told(&site, &outermost, &lines);
        match words {
            Some(words) => assert!(said.contains(words), "{said}"),
            None => assert!(!said.contains("is not here"), "{said}"),
        }
        let file = site.lab.directory().join("told.conf");
        let (theirs, _) = site.test("keepalived", &[], &file);
        let (ours, _) = site.test(ELVER, &["keepalived"], &file);
        assert_eq!(theirs, ours, "{outermost} {lines}");
    }
}

/// `elver check` with these arguments: exit code, standard output, standard error.
fn check(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = site.host.command(ELVER).expect("a command");
    command.arg("check").args(arguments);
    let output = site.host.output(command, LIMIT).expect("it runs");
    (output.status.code(), output.stdout, output.stderr)
}

#[test]
fn check_speaks_to_people_and_to_programs() {
    let site = Site::new("language-check");
    let file = site.lab.directory().join("keepalived.conf");
    let text = std::fs::read_to_string(format!("{CORPUS}/haproxy-pair-master.conf"));
    std::fs::write(&file, text.expect("a file")).expect("a file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("a mode");
    let path = &*file.to_string_lossy();

    let (code, json, error) = check(&site, &[path, "--json"]);
    assert_eq!(
        (code, &*error),
        (Some(5), ""),
        "everybody can read the password"
    );
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["runs"], true);
    assert_eq!(report["keepalived_exit_code"], 0);
    let messages = report["diagnostics"]
        .as_array()
        .expect("diagnostics")
        .iter();
    let messages: Vec<&str> = messages
        .filter_map(|each| each["message"].as_str())
        .collect();
    let is_there = |words: &str| messages.iter().any(|message| message.contains(words));
    assert!(
        is_there("everybody on this host can read it"),
        "{messages:?}"
    );

    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode");
    let (code, words, error) = check(&site, &[path, "--explain"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        words.contains("priority is 30 lower while script chk_haproxy fails"),
        "{words}"
    );

    for form in ["conf", "json"] {
        let (code, dump, _) = check(&site, &[path, "--dump", form]);
        assert_eq!(code, Some(0));
        assert!(
            dump.contains("HAPROXY") && !dump.contains("hapr0xy"),
            "{dump}"
        );
        let again = site.lab.directory().join("dump");
        std::fs::write(&again, dump).expect("a file");
        if form == "conf" {
            let (theirs, said) = site.test("keepalived", &[], &again);
            assert_eq!(theirs, Some(0), "{said}");
        }
    }

    let peer = format!("{CORPUS}/haproxy-pair-backup.conf");
    assert_eq!(check(&site, &[path, "--peer", &peer]).0, Some(0));
    let (code, _, error) = check(&site, &[path, "--peer", path]);
    assert_eq!(code, Some(5));
    assert!(error.contains("its priority is 110 in"), "{error}");
}

struct Disk;

impl Source for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn list(&self, _directory: &str) -> Vec<String> {
        Vec::new()
    }

    fn config_id(&self) -> Option<String> {
        Some(CONFIG_ID.to_owned())
    }
}

/// The files whose instances are not compared, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "lvs-sync-daemon",
        "without the kernel's IPVS keepalived ends before its dump",
    ),
    ("lvs-sync-daemon-old", "the same"),
    (
        "missing-interface",
        "keepalived does not run without the interface",
    ),
];

/// The configuration of a file that has instances, unless it is left out.
fn configuration(file: &Path) -> Option<Configuration> {
    let name = file.file_stem().expect("a name").to_string_lossy();
    if LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) {
        return None;
    }
    let loaded = load(&Disk, &file.to_string_lossy());
    let configuration = loaded.configuration.or(loaded.remainder);
    let configuration = configuration.unwrap_or_else(|| panic!("{name}: {:?}", loaded.diagnostics));
    (!configuration.instances.is_empty()).then_some(configuration)
}

#[test]
fn instances_have_the_values_that_they_have_in_keepalived() {
    let site = Site::new("language-values");
    let (mut wrong, mut compared) = (String::new(), 0);
    for file in corpus() {
        let Some(configuration) = configuration(&file) else {
            continue;
        };
        let topology = site.topology(&file);
        let sessions = &configuration.trackers.sessions;
        let (ours, theirs_of_sessions) = (sessions_of(sessions), theirs_of_sessions(&topology));
        if ours != theirs_of_sessions {
            let _ = writeln!(
                wrong,
                "{}: {ours:#?}\nkeepalived: {theirs_of_sessions:#?}",
                file.display()
            );
        }
        let differences = differences(&configuration, &topology);
        for difference in differences {
            let _ = writeln!(wrong, "{}: {difference}", file.display());
        }
        compared += configuration.instances.len();
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 35, "only {compared} instances were compared");
}

/// What is in error is left out of a start as keepalived leaves it out.
#[test]
fn what_runs_of_a_file_with_errors_is_what_runs_with_keepalived() {
    let site = Site::new("language-remainders");
    let file = site.lab.directory().join("form.conf");
    let (mut wrong, mut compared) = (String::new(), 0);
    for form in forms() {
        let (name, text) = form.split_once('\n').expect("a name");
        std::fs::write(&file, text).expect("a file");
        let Some(remainder) = load(&Disk, &file.to_string_lossy()).remainder else {
            continue;
        };
        // Of a number with something behind it some of keepalived's keywords take the beginning.
        if name == "whole only" {
            continue;
        }
        let topology = site.topology(&file);
        for difference in differences(&remainder, &topology) {
            let _ = writeln!(wrong, "{name}: {difference}");
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 40, "only {compared} files were compared");
}

/// Where instances are not those that keepalived says it has.
fn differences(configuration: &Configuration, topology: &str) -> Vec<String> {
    let mut differences = Vec::new();
    // Both processes write into one log.
    let topology: String = topology
        .lines()
        .filter(|line| !is_of_session(line.trim()) && !line.contains("< BFD Topology >"))
        .map(|line| format!("{line}\n"))
        .collect();
    let blocks: Vec<&str> = topology.split("VRRP Instance = ").skip(1).collect();
    let named: Vec<&str> = blocks
        .iter()
        .filter_map(|block| block.lines().next())
        .collect();
    let instances = &configuration.instances;
    for name in &named {
        if !instances.iter().any(|instance| instance.name == *name) {
            differences.push(format!("keepalived has an instance {name}"));
        }
    }
    for instance in instances {
        let block = named.iter().position(|name| *name == instance.name);
        let Some(block) = block.map(|place| blocks[place]) else {
            differences.push(format!("no {}:\n{topology}", instance.name));
            continue;
        };
        let mut groups = configuration.sync_groups.iter();
        let in_group = groups.any(|group| group.members.contains(&instance.name));
        // What its group tracks is its own with elver, and the group's with keepalived.
        let tracked = (!in_group).then(|| all_tracked(instance));
        for (name, value) in values(instance)
            .into_iter()
            .chain(tracked.into_iter().flatten())
        {
            let theirs = theirs(block, name);
            if theirs.as_deref() != Some(&*value) {
                differences.push(format!(
                    "({}): {name} is {value}, with keepalived {theirs:?}",
                    instance.name
                ));
            }
        }
    }
    differences
}

/// Whether a line is one about a session of BFD.
fn is_of_session(line: &str) -> bool {
    const NAMES: [&str; 13] = [
        "BFD Instance",
        "Neighbor IP",
        "Source IP",
        "Required min RX interval",
        "Desired min TX interval",
        "Desired idle TX interval",
        "Detection multiplier",
        "TTL",
        "hoplimit",
        "max_hops",
        "passive",
        "send event to VRRP process",
        "send event to checker process",
    ];
    let name = line.split_once(" = ").map(|(name, _)| name);
    name.is_some_and(|name| NAMES.contains(&name))
}

/// What keepalived says of its sessions of BFD, wherever it stands between other lines.
fn theirs_of_sessions(topology: &str) -> Vec<String> {
    let lines = topology.lines().map(str::trim);
    lines
        .filter(|line| is_of_session(line))
        .map(str::to_owned)
        .collect()
}

/// The lines of a list up to the next line of its instance; between them may stand lines of
/// another process.
fn list<'t>(lines: impl Iterator<Item = &'t str>) -> impl Iterator<Item = &'t str> {
    let is_next = |line: &&str| line.starts_with("   ") && !line.starts_with("    ");
    lines
        .take_while(move |line| !is_next(line))
        .filter(|line| line.starts_with("     "))
}

/// The same of elver's.
fn sessions_of(sessions: &[BfdInstance]) -> Vec<String> {
    let yes = |is_so: bool| if is_so { "Yes" } else { "No" };
    let of_session = |session: &BfdInstance| {
        let limit = match session.neighbor.is_ipv4() {
            true => "TTL",
            false => "hoplimit",
        };
        let mut lines = vec![
            format!("BFD Instance = {}", session.name),
            format!("Neighbor IP = {}", session.neighbor),
        ];
        lines.extend(session.source.map(|source| format!("Source IP = {source}")));
        lines.extend([
            format!(
                "Required min RX interval = {} us",
                session.min_rx.as_micros()
            ),
            format!(
                "Desired min TX interval = {} us",
                session.min_tx.as_micros()
            ),
            format!(
                "Desired idle TX interval = {} us",
                session.idle_tx.as_micros()
            ),
            format!("Detection multiplier = {}", session.multiplier),
            format!("{limit} = {}", session.hop_limit),
            format!("max_hops = {}", session.max_hops),
            format!("passive = {}", session.passive),
            format!("send event to VRRP process = {}", yes(session.for_vrrp)),
            format!(
                "send event to checker process = {}",
                yes(session.for_checks)
            ),
        ]);
        lines
    };
    sessions.iter().flat_map(of_session).collect()
}

/// What keepalived says under that name; of a list of addresses all of them.
fn theirs(block: &str, name: &str) -> Option<String> {
    if let Some(kind) = name.strip_prefix("Tracked ") {
        let heading = format!("   Tracked {kind} :");
        let lines = block.lines().skip_while(|line| *line != heading).skip(1);
        let tracked = list(lines).map(str::trim);
        return Some(tracked.collect::<Vec<_>>().join("; "));
    }
    if name.starts_with("Virtual IP") {
        let is_heading = |line: &str| {
            let rest = line.trim_start().strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(" (") || rest.starts_with(" :"))
        };
        let mut lines = block.lines().skip_while(|line| !is_heading(line));
        lines.next();
        let addresses = list(lines).filter_map(|line| line.split_whitespace().next());
        return Some(addresses.collect::<Vec<_>>().join(" "));
    }
    let prefix = format!("   {name} = ");
    block
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        // "vrrp.154, vmac on eth0, xmit base i/f": that of the configuration.
        .map(|value| match value.split_once("vmac on ") {
            Some((_, interface)) => interface.split(',').next().unwrap_or(interface),
            None => value,
        })
        .map(str::to_owned)
}

fn addresses(addresses: &[VirtualAddress]) -> String {
    let words = addresses.iter().map(|each| {
        let full = if each.address.is_ipv4() { 32 } else { 128 };
        match each.prefix_length {
            length if length == full => each.address.to_string(),
            length => format!("{}/{length}", each.address),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What an instance tracks, under keepalived's names.
fn all_tracked(instance: &VrrpInstance) -> [(&'static str, String); 5] {
    [
        (
            "Tracked interfaces",
            tracked(instance, "track_interface", ""),
        ),
        ("Tracked scripts", tracked(instance, "track_script", "")),
        ("Tracked files", tracked(instance, "track_file", ",")),
        ("Tracked processes", tracked(instance, "track_process", ",")),
        ("Tracked BFDs", tracked(instance, "track_bfd", ":")),
    ]
}

/// What an instance tracks of a kind, in keepalived's words.
fn tracked(instance: &VrrpInstance, keyword: &str, behind_name: &str) -> String {
    let of_kind = |tracked: &&Tracked| tracked.tracker.keyword() == keyword;
    let words = instance.tracked.iter().filter(of_kind).map(|tracked| {
        let reverse = if tracked.reverse { " reverse" } else { "" };
        let (name, weight) = (tracked.tracker.name(), tracked.weight);
        format!("{name}{behind_name} weight {weight}{reverse}")
    });
    words.collect::<Vec<_>>().join("; ")
}

/// What elver has, under keepalived's names.
fn values(instance: &VrrpInstance) -> Vec<(&'static str, String)> {
    let seconds = |time: Duration| time.as_secs().to_string();
    let announcements = &instance.announcements;
    let version = match instance.version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    };
    let interval = match instance.version {
        VrrpVersion::V2 => format!("{} sec", instance.advertisement_interval.as_secs()),
        VrrpVersion::V3 => format!("{} milli-sec", instance.advertisement_interval.as_millis()),
    };
    let preempt = if instance.preempt {
        "enabled"
    } else {
        "disabled"
    };
    // A device with a virtual MAC address is made after this.
    let base = &instance.interface;
    let interface = match &instance.ipvlan {
        Some(ipvlan) => format!("{}, ipvlan on {base}", ipvlan.interface),
        None => base.clone(),
    };
    vec![
        ("VRRP Version", version.to_string()),
        ("Interface", interface),
        ("Gratuitous ARP delay", seconds(announcements.delay)),
        ("Gratuitous ARP repeat", announcements.repeat.to_string()),
        ("Gratuitous ARP refresh", seconds(announcements.refresh)),
        (
            "Gratuitous ARP refresh repeat",
            announcements.refresh_repeat.to_string(),
        ),
        (
            "Gratuitous ARP lower priority delay",
            seconds(announcements.lower_priority_delay),
        ),
        (
            "Gratuitous ARP lower priority repeat",
            announcements.lower_priority_repeat.to_string(),
        ),
        (
            "Down timer adverts",
            instance.down_timer_advertisements.to_string(),
        ),
        (
            "Send advert after receive lower priority advert",
            instance.answer_lower_priority.to_string(),
        ),
        (
            "Send advert after receive higher priority advert",
            instance.advertise_before_yielding.to_string(),
        ),
        ("Virtual Router ID", instance.virtual_router_id.to_string()),
        ("Priority", instance.priority.to_string()),
        ("Advert interval", interval),
        ("Preempt", preempt.to_owned()),
        ("Virtual IP", addresses(&instance.virtual_addresses)),
        (
            "Virtual IP Excluded",
            addresses(&instance.excluded_addresses),
        ),
    ]
}
