//! `elver lab -f`: configurations tried out as a user would.
//!
//! The program under test is the one that the variable `ELVER` names, or else the one
//! that `cargo build -p elver` put beside the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Labs of one name follow each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The program under test.
fn elver() -> PathBuf {
    let path = match std::env::var_os("ELVER") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/PROFILE/deps/TEST
            let test = std::env::current_exe().expect("the path of this program");
            let profile = test.ancestors().nth(2).expect("target/PROFILE");
            profile.join("elver")
        }
    };
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build -p elver`, or name the program in ELVER",
        path.display()
    );
    path
}

fn tried(file: &Path, options: &[&str]) -> Output {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(elver());
    command
        .args(["lab", "--once", "-f"])
        .arg(file)
        .args(options);
    command.output().expect("elver runs")
}

/// What came of a file, after holding the exit code against it.
fn report(file: &Path) -> Value {
    let output = tried(file, &["--json"]);
    let words = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{}: {error}: {words}", file.display()));
    let services = report["services"].as_array().expect("services");
    let is_complete = services
        .iter()
        .all(|service| service["answered"] == service["connections"])
        && report["unasked"].as_array().expect("a list").is_empty();
    assert_eq!(
        output.status.success(),
        is_complete,
        "{}: {report:#}",
        file.display()
    );
    report
}

/// Every service of the file answers; gives who answered what, by which way.
fn answers(file: &Path) -> Vec<(String, u64, Option<String>)> {
    let report = report(file);
    let services = report["services"].as_array().expect("services");
    assert!(!services.is_empty());
    for service in services {
        assert_eq!(service["answered"], service["connections"], "{report:#}");
    }
    let servers = services
        .iter()
        .flat_map(|service| service["servers"].as_array().expect("servers"));
    let servers = servers.map(|server| {
        (
            server["name"].as_str().expect("a name").to_owned(),
            server["answered"].as_u64().expect("a number"),
            server["way"].as_str().map(str::to_owned),
        )
    });
    servers.collect()
}

/// Configurations as people have them, which the language is tested with.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/core/tests/fixtures")
        .join(name)
}

/// A file for one test.
fn written(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file is written");
    path
}

/// All real servers of a file have answered, by this way.
fn all_answer(name: &str, way: &str) {
    for (server, answered, seen) in answers(&fixture(name)) {
        if server.starts_with("sorry-server") {
            assert_eq!((answered, seen), (0, None), "{name}: {server}");
        } else {
            assert!(answered > 0, "{name}: {server}");
            assert_eq!(seen.as_deref(), Some(way), "{name}: {server}");
        }
    }
}

#[test]
fn the_examples_answer_as_they_are() {
    for (name, way) in [
        ("nat/keepalived.conf", "through-director"),
        ("tun/keepalived.conf", "straight"),
        ("docker/keepalived.conf", "straight"),
    ] {
        all_answer(name, way);
    }
}

#[test]
fn a_web_farm_by_nat_answers_and_its_sorry_server_rests() {
    all_answer("corpus/web-sorry-server.conf", "through-director");
}

#[test]
fn real_servers_of_ipv6_answer() {
    all_answer("corpus/ipv6-web.conf", "through-director");
}

#[test]
fn packets_with_a_firewall_mark_are_answered() {
    all_answer("corpus/fwmark-web.conf", "straight");
}

#[test]
fn every_address_of_a_group_answers() {
    assert!(answers(&fixture("corpus/group-web.conf")).len() >= 12);
}

#[test]
fn a_tunnel_may_lead_from_one_family_to_the_other() {
    all_answer("corpus/ipv6-in-ipv4-tunnel.conf", "straight");
}

#[test]
fn checks_of_mail_servers_and_of_tls_are_satisfied() {
    for name in ["corpus/mail-hub.conf", "corpus/kubernetes-api-lvs.conf"] {
        answers(&fixture(name));
    }
}

#[test]
fn name_servers_by_direct_routing_answer_straight() {
    let file = written(
        "dns.conf",
        "vrrp_instance DNS {\n interface eth0\n virtual_router_id 53\n \
         virtual_ipaddress {\n 192.0.2.53/24\n }\n}\n\
         virtual_server 192.0.2.53 53 {\n delay_loop 1\n lb_algo rr\n lb_kind DR\n protocol UDP\n \
         real_server 192.0.2.54 53 {\n DNS_CHECK {\n name example.org\n }\n }\n \
         real_server 192.0.2.55 53 {\n DNS_CHECK {\n name example.org\n }\n }\n}\n",
    );
    for (name, answered, way) in answers(&file) {
        assert!(answered > 0, "{name}");
        assert_eq!(way.as_deref(), Some("straight"), "{name}");
    }
}

#[test]
fn a_sorry_server_answers_where_nobody_else_does() {
    let file = written(
        "sorry.conf",
        "vrrp_instance WEB {\n interface eth0\n virtual_router_id 80\n \
         virtual_ipaddress {\n 192.0.2.80/24\n }\n}\n\
         virtual_server 192.0.2.80 80 {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         sorry_server 10.0.0.99 80\n real_server 10.0.0.1 80 {\n weight 0\n }\n}\n",
    );
    let answers = answers(&file);
    let by_name = |name| {
        answers
            .iter()
            .find(|(server, ..)| server == name)
            .expect(name)
            .1
    };
    assert_eq!(by_name("real-server1"), 0);
    assert!(by_name("sorry-server1") > 0);
}

#[test]
fn what_does_not_answer_is_said_and_fails() {
    let file = written(
        "unanswered.conf",
        "virtual_server 192.0.2.80 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         real_server 10.0.0.1 80 {\n }\n}\n\
         virtual_server 192.0.2.80 81 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         real_server 10.0.0.1 81 {\n weight 0\n }\n}\n\
         virtual_server fe80::80 82 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         real_server 2001:db8::1 82 {\n }\n}\n",
    );
    let output = tried(&file, &[]);
    let words = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{words}");
    for part in [
        "ok: TCP 192.0.2.80:80: 4 of 4 connections answered",
        "FAILED: TCP 192.0.2.80:81: 0 of 4 connections answered",
        "its weight is 0",
        "TCP [fe80::80]:82: not asked: a client behind a router cannot reach fe80::80",
        "1 of 3 services answered.",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[test]
fn scripts_of_the_file_are_not_run() {
    let trace =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{}", std::process::id()));
    let script = format!("\"/usr/bin/touch {}\"", trace.display());
    let file = written(
        "scripts.conf",
        &format!(
            "global_defs {{\n script_user root\n}}\n\
             vrrp_instance V {{\n interface eth0\n virtual_router_id 80\n notify {script}\n \
             virtual_ipaddress {{\n 192.0.2.80/24\n }}\n}}\n\
             virtual_server 192.0.2.80 80 {{\n lb_kind NAT\n protocol TCP\n quorum_up {script}\n \
             real_server 10.0.0.1 80 {{\n notify_up {script}\n MISC_CHECK {{\n misc_path {script}\n }}\n }}\n}}\n"
        ),
    );
    let report = report(&file);
    assert!(!trace.exists(), "a script was run");
    let remarks = report["remarks"].to_string();
    for part in ["are not run", "MISC_CHECK is not made"] {
        assert!(remarks.contains(part), "{part}: {remarks}");
    }
}
