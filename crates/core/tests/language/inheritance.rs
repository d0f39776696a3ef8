//! Options of checks that are said at several levels: the nearest one counts, as in keepalived.

use std::time::Duration;

use elver_core::config::model::{Check, Probe};

use super::*;

/// Where an option stands; each level is nearer to the check than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Global,
    VirtualServer,
    RealServer,
    Check,
}

use Level::{Global, RealServer, VirtualServer};

const CHECKS: [&str; 6] = [
    "TCP_CHECK",
    "HTTP_GET",
    "SMTP_CHECK",
    "DNS_CHECK",
    "UDP_CHECK",
    "PING_CHECK",
];

/// The check of a file that says these lines at these levels.
fn check(kind: &str, lines: &[(Level, &str)]) -> Check {
    let at = |level: Level| -> String {
        let lines = lines.iter().filter(|(other, _)| *other == level);
        lines.map(|(_, line)| format!("{line}\n")).collect()
    };
    let url = match kind {
        "HTTP_GET" | "SSL_GET" => "url {\npath /\n}\n",
        "MISC_CHECK" => "misc_path /bin/true\n",
        _ => "",
    };
    let text = format!(
        "global_defs {{\nrouter_id x\n{}}}\n\
         virtual_server 192.0.2.1 80 {{\nprotocol TCP\n{}\
         real_server 10.0.0.1 80 {{\n{}{kind} {{\n{url}{}}}\n}}\n}}\n",
        at(Global),
        at(VirtualServer),
        at(RealServer),
        at(Level::Check)
    );
    let configuration = configuration(&text);
    configuration.virtual_servers[0].real_servers[0].checks[0].clone()
}

/// Says one more level each time, with another value, and looks which one counts.
fn nearest_counts(
    kind: &str,
    levels: &[Level],
    keyword: &str,
    values: [&str; 4],
    expected: [String; 5],
    read: impl Fn(&Check) -> String,
) {
    assert_eq!(read(&check(kind, &[])), expected[4], "{kind} {keyword}");
    let lines: Vec<(Level, String)> = levels
        .iter()
        .map(|level| (*level, format!("{keyword} {}", values[*level as usize])))
        .collect();
    for count in 1..=lines.len() {
        let said: Vec<(Level, &str)> = lines[..count]
            .iter()
            .map(|(level, line)| (*level, line.as_str()))
            .collect();
        let nearest = said[count - 1].0;
        let found = read(&check(kind, &said));
        assert_eq!(found, expected[nearest as usize], "{kind} {said:?}");
        // And without those that are further away.
        let alone = read(&check(kind, &said[count - 1..]));
        assert_eq!(alone, found, "{kind} {nearest:?}");
    }
}

const ALL: [Level; 3] = [VirtualServer, RealServer, Level::Check];

#[test]
fn times_and_retries_come_from_the_nearest_level() {
    let seconds = |n: u64| format!("{:?}", Duration::from_secs(n));
    for kind in CHECKS {
        let times = |usual: u64| [0, 11, 12, 13, usual].map(seconds);
        let values = ["10", "11", "12", "13"];
        nearest_counts(kind, &ALL, "delay_loop", values, times(60), |check| {
            format!("{:?}", check.timing.interval)
        });
        nearest_counts(kind, &ALL, "connect_timeout", values, times(5), |check| {
            format!("{:?}", check.connection.timeout)
        });
        let before_retry = match kind {
            // keepalived-2.2.7: HTTP waits longer, and DNS as long as between two checks.
            "HTTP_GET" => 3,
            "DNS_CHECK" => 60,
            _ => 1,
        };
        nearest_counts(
            kind,
            &ALL,
            "delay_before_retry",
            values,
            times(before_retry),
            |check| format!("{:?}", check.timing.delay_before_retry),
        );
        nearest_counts(kind, &ALL, "warmup", values, times(60), |check| {
            format!("{:?}", check.timing.warmup)
        });
        let usual = if kind == "DNS_CHECK" { 3 } else { 1 };
        let counts = [0, 11, 12, 13, usual].map(|n: u32| n.to_string());
        nearest_counts(kind, &ALL, "retry", values, counts, |check| {
            check.timing.retries.to_string()
        });
    }
}

#[test]
fn a_real_server_begins_down_as_the_nearest_level_says() {
    let expected = ["", "true", "false", "true", "false"].map(str::to_owned);
    for kind in CHECKS {
        let values = ["", "on", "off", "on"];
        nearest_counts(kind, &ALL, "alpha", values, expected.clone(), |check| {
            check.timing.alpha.to_string()
        });
    }
}

#[test]
fn failures_are_logged_as_the_check_or_else_the_whole_file_says() {
    let expected = ["", "", "", "false", "false"].map(str::to_owned);
    let log = |check: &Check| check.timing.log_all_failures.to_string();
    let global = [(Global, "checker_log_all_failures")];
    for kind in CHECKS {
        let values = ["", "", "", "off"];
        let levels = [Level::Check];
        nearest_counts(
            kind,
            &levels,
            "log_all_failures",
            values,
            expected.clone(),
            log,
        );
        assert!(check(kind, &global).timing.log_all_failures, "{kind}");
        let both = [global[0], (Level::Check, "log_all_failures off")];
        assert!(!check(kind, &both).timing.log_all_failures, "{kind}");
    }
}

#[test]
fn the_name_of_a_page_comes_from_the_nearest_level() {
    let host = |check: &Check| match &check.probe {
        Probe::Http(probe) => format!("{:?}", probe.urls[0].virtual_host),
        other => panic!("{other:?}"),
    };
    let named = |name: &str| format!("Some({name:?})");
    let expected = [
        String::new(),
        named("one.example"),
        named("two.example"),
        named("three.example"),
        "None".to_owned(),
    ];
    let values = ["", "one.example", "two.example", "three.example"];
    for kind in ["HTTP_GET", "SSL_GET"] {
        nearest_counts(kind, &ALL, "virtualhost", values, expected.clone(), host);
    }
}

#[test]
fn a_program_takes_the_times_of_its_level_as_well() {
    let check = check(
        "MISC_CHECK",
        &[
            (VirtualServer, "delay_loop 7"),
            (RealServer, "retry 4"),
            (Level::Check, "delay_before_retry 2"),
        ],
    );
    assert_eq!(check.timing.interval, Duration::from_secs(7));
    assert_eq!(check.timing.retries, 4);
    assert_eq!(check.timing.delay_before_retry, Duration::from_secs(2));
}
