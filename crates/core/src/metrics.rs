//! What monitoring asks for, in the text format of Prometheus (version 0.0.4).
//!
//! Metrics that begin with `node_ipvs_` have the names, labels and meanings that node_exporter
//! gives them where it reads `/proc/net/ip_vs` and `/proc/net/ip_vs_stats` of the kernel's
//! IPVS, so that dashboards made for those go on working. Those that begin with `elver_` are
//! our own:
//!
//! | metric | labels | |
//! |---|---|---|
//! | `elver_director_up` | | 1 while the director answers; checks and VRRP are told only then |
//! | `elver_packets_total` | `outcome` | packets, and events beside them, by what became of them: `drop_…`, `punt_…`, `pass_…` and others |
//! | `elver_table_entries`, `elver_table_capacity` | `table` | how many entries a table has, and how many it can have |
//! | `elver_real_server_up` | `service`, `real_server` | 1 while every check of a real server succeeds |
//! | `elver_real_server_handshake_seconds` | those of a backend | how long TCP's handshake takes there, smoothed: by NAT until the real server's answer, else until the client acknowledges that |
//! | `elver_real_server_connections_ended_total` | `real_server`, `how` | TCP connections of clients that have left the table, by how they ended: `completed`, `unanswered`, `reset` |
//! | `elver_vrrp_state` | `instance`, `state` | 1 for the state that a VRRP instance is in, 0 for the others |

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use crate::api::Status;
use crate::service::{DestinationState, ServiceKey, ServiceState, Statistics};

/// Everything that is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Every service.
    pub services: Vec<ServiceState>,
    /// What became of packets: each outcome with its count, 0 as well.
    pub packets: Vec<(String, u64)>,
    /// How full the tables are.
    pub tables: Vec<TableUse>,
    /// What the director says, if there is one.
    pub director: Option<Status>,
}

/// How full a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// Its name in `elver.toml`.
    pub table: &'static str,
    /// How many entries it has.
    pub entries: u64,
    /// How many it can have.
    pub capacity: u64,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// Labels with their values.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes all of it.
///
/// # Errors
/// Output that could not be written.
pub fn write(out: &mut dyn Write, snapshot: &Snapshot) -> io::Result<()> {
    write_totals(out, &snapshot.services)?;
    write_backends(out, &snapshot.services)?;
    metric(
        out,
        "elver_director_up",
        Kind::Gauge,
        "Whether the director answers.",
        [(Vec::new(), u64::from(snapshot.director.is_some()))],
    )?;
    let packets = snapshot.packets.iter();
    metric(
        out,
        "elver_packets_total",
        Kind::Counter,
        "Packets, and events beside them, by what became of them.",
        packets.map(|(outcome, count)| (vec![("outcome", outcome.as_str())], *count)),
    )?;
    let tables = || snapshot.tables.iter();
    metric(
        out,
        "elver_table_entries",
        Kind::Gauge,
        "Entries that a table has.",
        tables().map(|usage| (vec![("table", usage.table)], usage.entries)),
    )?;
    metric(
        out,
        "elver_table_capacity",
        Kind::Gauge,
        "Entries that a table can have.",
        tables().map(|usage| (vec![("table", usage.table)], usage.capacity)),
    )?;
    match &snapshot.director {
        Some(status) => write_director(out, status),
        None => Ok(()),
    }
}

/// What node_exporter reads in `/proc/net/ip_vs_stats`.
fn write_totals(out: &mut dyn Write, services: &[ServiceState]) -> io::Result<()> {
    let total = |of: fn(&Statistics) -> u64| -> u64 {
        let statistics = services.iter().map(|service| &service.statistics);
        statistics.map(of).fold(0, u64::wrapping_add)
    };
    let totals = [
        (
            "node_ipvs_connections_total",
            "The total number of connections made.",
            total(|all| all.connections),
        ),
        (
            "node_ipvs_incoming_packets_total",
            "The total number of incoming packets.",
            total(|all| all.packets_in),
        ),
        (
            "node_ipvs_outgoing_packets_total",
            "The total number of outgoing packets.",
            total(|all| all.packets_out),
        ),
        (
            "node_ipvs_incoming_bytes_total",
            "The total amount of incoming data.",
            total(|all| all.bytes_in),
        ),
        (
            "node_ipvs_outgoing_bytes_total",
            "The total amount of outgoing data.",
            total(|all| all.bytes_out),
        ),
    ];
    totals.into_iter().try_for_each(|(name, help, value)| {
        metric(out, name, Kind::Counter, help, [(Vec::new(), value)])
    })
}

/// The states of VRRP instances, in the words of [`Status`].
const STATES: [&str; 4] = ["INIT", "BACKUP", "MASTER", "FAULT"];

/// The labels of a backend.
const BACKEND_LABELS: [&str; 6] = [
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "proto",
    "local_mark",
];

/// What node_exporter reads in `/proc/net/ip_vs`. Like there, backends whose labels are the
/// same are added up.
fn write_backends(out: &mut dyn Write, services: &[ServiceState]) -> io::Result<()> {
    let mut backends: BTreeMap<[String; 6], [u64; 3]> = BTreeMap::new();
    for service in services {
        for destination in &service.destinations {
            let sums = backends
                .entry(backend_labels(&service.key, destination))
                .or_default();
            let DestinationState {
                active, inactive, ..
            } = *destination;
            for (sum, part) in sums
                .iter_mut()
                .zip([active, inactive, destination.settings.weight])
            {
                *sum += u64::from(part);
            }
        }
    }
    let metrics = [
        (
            "node_ipvs_backend_connections_active",
            "The current active connections by local and remote address.",
        ),
        (
            "node_ipvs_backend_connections_inactive",
            "The current inactive connections by local and remote address.",
        ),
        (
            "node_ipvs_backend_weight",
            "The current backend weight by local and remote address.",
        ),
    ];
    for (position, (name, help)) in metrics.into_iter().enumerate() {
        let samples = backends.iter().map(|(labels, values)| {
            let labels = labels.iter().map(String::as_str);
            (
                BACKEND_LABELS.into_iter().zip(labels).collect(),
                values[position],
            )
        });
        metric(out, name, Kind::Gauge, help, samples)?;
    }
    let mut handshakes: BTreeMap<[String; 6], f64> = BTreeMap::new();
    for service in services {
        for destination in &service.destinations {
            if let Some(time) = destination.handshake {
                let labels = backend_labels(&service.key, destination);
                handshakes.insert(labels, time.as_secs_f64());
            }
        }
    }
    let samples = handshakes.iter().map(|(labels, seconds)| {
        let labels = labels.iter().map(String::as_str);
        (BACKEND_LABELS.into_iter().zip(labels).collect(), seconds)
    });
    metric(
        out,
        "elver_real_server_handshake_seconds",
        Kind::Gauge,
        "How long TCP's handshake takes at a real server, smoothed.",
        samples,
    )
}

fn backend_labels(service: &ServiceKey, destination: &DestinationState) -> [String; 6] {
    let (address, port, protocol, mark) = match service {
        ServiceKey::Address { protocol, address } => (
            address.ip().to_string(),
            address.port(),
            protocol.to_string(),
            String::new(),
        ),
        // The kernel writes a mark in eight hexadecimal digits, and node_exporter takes them
        // as they are.
        ServiceKey::Mark { mark, .. } => {
            (String::new(), 0, "FWM".to_owned(), format!("{mark:08X}"))
        }
    };
    [
        address,
        port.to_string(),
        destination.address.ip().to_string(),
        destination.address.port().to_string(),
        protocol,
        mark,
    ]
}

/// What only the director knows.
fn write_director(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    let mut real_servers: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for check in &status.checks {
        let name = (check.service.as_str(), check.real_server.as_str());
        *real_servers.entry(name).or_insert(true) &= check.up;
    }
    metric(
        out,
        "elver_real_server_up",
        Kind::Gauge,
        "Whether every check of a real server succeeds.",
        real_servers
            .into_iter()
            .map(|((service, real_server), up)| {
                let labels = vec![("service", service), ("real_server", real_server)];
                (labels, u64::from(up))
            }),
    )?;
    let real_servers = status.endings.iter().map(|ending| {
        let counts = [
            ("completed", ending.completed),
            ("unanswered", ending.unanswered),
            ("reset", ending.reset),
        ];
        (ending.real_server.to_string(), counts)
    });
    let real_servers: Vec<_> = real_servers.collect();
    metric(
        out,
        "elver_real_server_connections_ended_total",
        Kind::Counter,
        "TCP connections of clients that have left the table, by how they ended.",
        real_servers.iter().flat_map(|(real_server, counts)| {
            counts.map(|(how, count)| {
                let labels = vec![("real_server", real_server.as_str()), ("how", how)];
                (labels, count)
            })
        }),
    )?;
    let states = status.instances.iter().flat_map(|(instance, current)| {
        STATES.map(|state| {
            let labels = vec![("instance", instance.as_str()), ("state", state)];
            (labels, u64::from(state == current))
        })
    });
    metric(
        out,
        "elver_vrrp_state",
        Kind::Gauge,
        "The state of a VRRP instance: 1 for the one that it is in.",
        states,
    )
}

/// Writes a metric with all its samples; one without samples is left out.
fn metric<'a>(
    out: &mut dyn Write,
    name: &str,
    kind: Kind,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<'a>, impl Display)>,
) -> io::Result<()> {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_some() {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    }
    for (labels, value) in samples {
        write!(out, "{name}")?;
        for (position, (label, value)) in labels.iter().enumerate() {
            let before = if position == 0 { '{' } else { ',' };
            write!(out, "{before}{label}=\"{}\"", escaped(value))?;
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(out, "{end} {value}")?;
    }
    Ok(())
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests;
