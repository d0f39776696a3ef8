//! Virtual servers have the values that they have in keepalived: its dumps of data, taken in
//! a virtual machine with IPVS (`fixtures/corpus/record`), stand beside the files.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use elver_core::config::model::{Check, HttpProbe, HttpVersion, Probe, VirtualServer};
use elver_core::lb::{RealServerName, virtual_server_name};
use elver_core::service::{
    DestinationSettings, Family, ForwardingMethod, ServiceKey, Tunnel, TunnelChecksum,
};

use super::*;

/// What is compared: the words before ` = ` of a line of the dump.
const COMPARED: &[&str] = &[
    "VS VIP",
    "VS GROUP",
    "VS FWMARK",
    "lvs_sched",
    "One packet scheduling",
    "persistence timeout",
    "persistence granularity",
    "protocol",
    "quorum",
    "sorry server",
    "RIP",
    "connection limit range",
    "Dest",
    "Timeout",
    "Keepalive method",
];

#[test]
fn virtual_servers_have_the_values_that_they_have_in_keepalived() {
    let (mut wrong, mut compared) = (String::new(), 0);
    for (name, text) in corpus::files() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/corpus");
        let Ok(dump) = std::fs::read_to_string(format!("{directory}/{name}.data")) else {
            continue;
        };
        let Some(configuration) = loaded(&text).configuration else {
            continue;
        };
        let (ours, theirs) = (ours(&configuration), theirs(&dump));
        compared += configuration.virtual_servers.len();
        if ours != theirs {
            let _ = writeln!(wrong, "{name}:");
            for line in theirs.iter().filter(|line| !ours.contains(line)) {
                let _ = writeln!(wrong, "  keepalived: {line}");
            }
            for line in ours.iter().filter(|line| !theirs.contains(line)) {
                let _ = writeln!(wrong, "  elver:      {line}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(
        compared > 40,
        "only {compared} virtual servers were compared"
    );
}

/// Where keepalived itself is wrong, and what it ought to say.
const PUT_RIGHT: &[(&str, &str)] = &[
    // A `host` of SMTP_CHECK inherits no timeout, so that every check would time out.
    ("Timeout = 0.000000", "Timeout = 5.000000"),
    // With weights that are all 0 its quorum becomes 0, and one less than that.
    (
        "quorum = 0, hysteresis = 4294967295",
        "quorum = 1, hysteresis = 0",
    ),
];

/// The lines of a dump that are compared, without what comes before and after them.
fn theirs(dump: &str) -> Vec<String> {
    let (mut is_check, mut is_destination) = (false, false);
    dump.lines()
        .filter_map(|line| {
            is_check |= line.contains("Health checkers");
            let words = line.trim();
            if is_check && words.contains(" -> [") {
                return Some(words.to_owned());
            }
            let (name, _) = words.split_once(" = ")?;
            match name {
                "VS VIP" | "VS GROUP" | "VS FWMARK" => is_destination = false,
                "RIP" | "sorry server" => is_destination = true,
                _ => {}
            }
            let is_compared = match name {
                // These are also said of those who only pass them on.
                "forwarding method" => is_destination,
                "Alpha" | "Delay loop" | "Warmup" | "Retries" | "Delay before retry" => is_check,
                name => COMPARED.contains(&name),
            };
            let right = PUT_RIGHT.iter().find(|(wrong, _)| *wrong == words);
            is_compared.then(|| right.map_or(words, |(_, right)| right).to_owned())
        })
        .collect()
}

/// The same lines of a configuration.
fn ours(configuration: &Configuration) -> Vec<String> {
    let servers = configuration.virtual_servers.iter();
    let topology = servers.clone().flat_map(topology);
    topology.chain(servers.flat_map(checks)).collect()
}

fn topology(server: &VirtualServer) -> Vec<String> {
    let settings = &server.settings;
    let heading = match (&server.group, server.key) {
        (Some(_), _) => format!("VS GROUP = {}", virtual_server_name(server)),
        (None, ServiceKey::Address { address, .. }) => {
            format!("VS VIP = {}, VPORT = {}", address.ip(), address.port())
        }
        (None, ServiceKey::Mark { mark, .. }) => format!("VS FWMARK = {mark}"),
    };
    let one_packet = match settings.one_packet {
        true => "enabled",
        false => "disabled",
    };
    let mut lines = vec![
        heading,
        format!("lvs_sched = {}", settings.scheduler.name()),
        format!("One packet scheduling = {one_packet}"),
    ];
    if let Some(persistence) = &settings.persistence {
        lines.push(format!(
            "persistence timeout = {}",
            persistence.timeout.as_secs()
        ));
        let length = u32::from(persistence.prefix_length);
        match server.key.family() {
            Family::Inet if length < 32 => {
                let mask = std::net::Ipv4Addr::from(!(u32::MAX >> length));
                lines.push(format!("persistence granularity = {mask}"));
            }
            Family::Inet6 if length < 128 => {
                lines.push(format!("persistence granularity = {length}"));
            }
            _ => {}
        }
    }
    lines.push(match server.key {
        ServiceKey::Address { protocol, .. } => format!("protocol = {protocol}"),
        ServiceKey::Mark { .. } => "protocol = none".to_owned(),
    });
    lines.push(format!(
        "quorum = {}, hysteresis = {}",
        server.quorum, server.hysteresis
    ));
    if let Some(sorry) = &server.sorry_server {
        lines.push(format!(
            "sorry server = {}",
            name_of(server, &sorry.address)
        ));
        lines.push(method(&sorry.settings));
    }
    for real in &server.real_servers {
        let DestinationSettings {
            weight,
            upper_threshold,
            lower_threshold,
            ..
        } = real.settings;
        lines.push(format!(
            "RIP = {}, RPORT = {}, WEIGHT = {weight} EFF WEIGHT = {weight}",
            real.address.ip(),
            real.address.port()
        ));
        lines.push(method(&real.settings));
        lines.push(format!(
            "connection limit range = {lower_threshold} -> {upper_threshold}"
        ));
    }
    lines
}

fn name_of(server: &VirtualServer, address: &SocketAddr) -> String {
    RealServerName {
        service: &server.key,
        address,
    }
    .to_string()
}

fn method(settings: &DestinationSettings) -> String {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "no checksum",
        TunnelChecksum::Full => "checksum",
        TunnelChecksum::Remote => "remote checksum",
    };
    let method = match settings.method {
        ForwardingMethod::Nat => "NAT".to_owned(),
        ForwardingMethod::DirectRouting => "DR".to_owned(),
        ForwardingMethod::Tunnel(Tunnel::Ipip) => "TUN, type = IPIP".to_owned(),
        ForwardingMethod::Tunnel(Tunnel::Gue { port, checksum: c }) => {
            format!("TUN, type = GUE, port = {port}, {}", checksum(c))
        }
        ForwardingMethod::Tunnel(Tunnel::Gre { checksum: c }) => {
            format!("TUN, type = GRE, {}", checksum(c))
        }
    };
    format!("forwarding method = {method}")
}

fn checks(server: &VirtualServer) -> Vec<String> {
    let reals = server.real_servers.iter();
    let checks = reals.flat_map(|real| real.checks.iter().map(move |check| (real, check)));
    // keepalived leaves out the checks whose program is not there.
    let checks = checks.filter(|(_, check)| match &check.probe {
        Probe::Misc(program) => std::path::Path::new(&program.script.command[0]).exists(),
        _ => true,
    });
    checks
        .flat_map(|(real, check)| {
            let heading = format!(
                "{} -> {}",
                virtual_server_name(server),
                name_of(server, &real.address)
            );
            std::iter::once(heading).chain(of_check(check))
        })
        .collect()
}

fn of_check(check: &Check) -> Vec<String> {
    let timing = &check.timing;
    let micros = |time: Duration| format!("{} us", time.as_micros());
    let mut lines = vec![
        format!("Alpha = {}", if timing.alpha { "yes" } else { "no" }),
        format!("Delay loop = {}", micros(timing.interval)),
        format!("Warmup = {}", micros(timing.warmup)),
        format!("Retries = {}", timing.retries),
    ];
    if timing.retries > 0 {
        lines.push(format!(
            "Delay before retry = {}",
            micros(timing.delay_before_retry)
        ));
    }
    if !matches!(check.probe, Probe::Misc(_)) {
        let to = check.connection.to;
        lines.push(format!("Dest = [{}]:{}", to.ip(), to.port()));
        lines.push(format!(
            "Timeout = {:.6}",
            check.connection.timeout.as_secs_f64()
        ));
    }
    let keyword = check.probe.keyword();
    lines.push(match &check.probe {
        Probe::Http(HttpProbe { version, .. }) => {
            let version = match version {
                HttpVersion::Http10 => "1.0",
                HttpVersion::Http11 => "1.1",
                HttpVersion::Http10Close => "1.0C",
            };
            format!("Keepalive method = {keyword}, http protocol {version}")
        }
        _ => format!("Keepalive method = {keyword}"),
    });
    lines
}

/// The verdicts are those of keepalived 2.2.7, which goes on without what it does not take.
#[test]
fn timeouts_of_connections_are_judged_as_by_keepalived() {
    for (words, exit_code, seconds) in [
        ("tcp 7200 tcpfin 30 udp 60", 0, [7200, 30, 60]),
        ("udp 5 udp 7", 0, [0, 0, 7]),
        ("tcp 0", 0, [0; 3]),
        ("tcp 2678400", 0, [2_678_400, 0, 0]),
        ("tcp 2678401 udp 1", 5, [0, 0, 1]),
        ("tcp x", 5, [0; 3]),
        ("tcp -1", 5, [0; 3]),
        ("tcp", 5, [0; 3]),
        ("foo 3", 5, [0; 3]),
    ] {
        let loaded = loaded(&format!("global_defs {{\n lvs_timeouts {words}\n}}\n"));
        let verdict = loaded.diagnostics.iter().map(|each| each.keepalived).max();
        let verdict = verdict.map_or(0, |verdict| verdict.exit_code());
        assert_eq!(verdict, exit_code, "{words}: {}", summary(&loaded));
        let timeouts = loaded.configuration.unwrap().global.timeouts.unwrap();
        let taken = [timeouts.tcp, timeouts.tcp_fin, timeouts.udp].map(|time| time.as_secs());
        assert_eq!(taken, seconds, "{words}");
    }
}
