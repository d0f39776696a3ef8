//! What `-L` and `-S` print, column by column.

use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use super::Names;
use super::command::{Columns, Format};
use super::notation::{endpoint_text, push_endpoint, shortened};
use super::order::{sort_destinations, sort_services};
use crate::service::{
    ConnectionState, DestinationState, Family, ForwardingMethod, Persistence, Protocol, Rates,
    Scheduler, ServiceKey, ServiceSettings, ServiceState, Statistics, SyncDaemon, SyncRole,
    Timeouts, Tunnel, TunnelChecksum,
};

/// The first line of a list of all services. The size is that of IPVS's connection hash
/// table by default, which scripts expect there.
const IPVS_VERSION: &str = "IP Virtual Server version 1.2.1 (size=4096)";

/// The columns in which the address of an IPv4 service or destination ends.
const SERVICE_WIDTH: usize = 33;
const DESTINATION_WIDTH: usize = 28;

/// `-L`.
pub(super) fn write_services(
    output: &mut dyn Write,
    mut services: Vec<ServiceState>,
    format: Format,
    names: &dyn Names,
) -> io::Result<()> {
    writeln!(output, "{IPVS_VERSION}")?;
    write_title(output, format.columns)?;
    if format.sorted {
        sort_services(&mut services);
    }
    for service in services {
        write_service(output, service, format, names)?;
    }
    Ok(())
}

/// `-L` with a service.
pub(super) fn write_one_service(
    output: &mut dyn Write,
    service: ServiceState,
    format: Format,
    names: &dyn Names,
) -> io::Result<()> {
    write_title(output, format.columns)?;
    write_service(output, service, format, names)
}

fn write_title(output: &mut dyn Write, columns: Columns) -> io::Result<()> {
    let service = "Prot LocalAddress:Port";
    let destination = "  -> RemoteAddress:Port";
    match columns {
        Columns::Ordinary => writeln!(
            output,
            "{service} Scheduler Flags\n\
             {destination:<34}Forward Weight ActiveConn InActConn"
        ),
        Columns::Tunnels => writeln!(
            output,
            "{service} Scheduler Flags\n\
             {destination:<34}Forward TunnelInfo    Weight ActiveConn InActConn"
        ),
        Columns::Statistics => writeln!(
            output,
            "{service:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{destination}",
            "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"
        ),
        Columns::Rates => writeln!(
            output,
            "{service:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{destination}",
            "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"
        ),
        Columns::Thresholds => writeln!(
            output,
            "{service:<33} {:<10} {:<10} {:<10} {:<10}\n{destination}",
            "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
        ),
        Columns::PersistentConnections => writeln!(
            output,
            "{service:<33} {:<9} {:<11} {:<10} {:<10}\n{destination}",
            "Weight", "PersistConn", "ActiveConn", "InActConn"
        ),
    }
}

fn write_service(
    output: &mut dyn Write,
    mut service: ServiceState,
    format: Format,
    names: &dyn Names,
) -> io::Result<()> {
    let name = listed_name(&service.key, format, names);
    match format.columns {
        Columns::Statistics => {
            write!(output, "{name:<SERVICE_WIDTH$}")?;
            write_numbers(output, &totals(service.statistics), format)?;
        }
        Columns::Rates => {
            write!(output, "{name:<SERVICE_WIDTH$}")?;
            write_numbers(output, &rates(service.rates), format)?;
        }
        _ => write_settings(output, &name, &service)?,
    }
    writeln!(output)?;
    if format.sorted {
        sort_destinations(&mut service.destinations);
    }
    for destination in &service.destinations {
        write_destination(output, protocol(&service.key), destination, format, names)?;
    }
    Ok(())
}

/// Protocol, address and port, or the mark, of a service.
fn listed_name(service: &ServiceKey, format: Format, names: &dyn Names) -> String {
    match *service {
        ServiceKey::Address { protocol, address } => {
            let endpoint = endpoint_text(address, Some(protocol), format.numeric, names);
            let name = format!("{:<4} {endpoint}", protocol.to_string());
            match address.ip() {
                IpAddr::V4(_) => shortened(&name, SERVICE_WIDTH).to_owned(),
                IpAddr::V6(_) => name,
            }
        }
        ServiceKey::Mark { mark, family } => match family {
            Family::Inet => format!("FWM  {}", mark.cast_signed()),
            Family::Inet6 => format!("FWM  {} IPv6", mark.cast_signed()),
        },
    }
}

/// The protocol whose port names the destinations of a service have; those of a mark have
/// none.
fn protocol(service: &ServiceKey) -> Option<Protocol> {
    match service {
        ServiceKey::Address { protocol, .. } => Some(*protocol),
        ServiceKey::Mark { .. } => None,
    }
}

fn write_settings(output: &mut dyn Write, name: &str, service: &ServiceState) -> io::Result<()> {
    let settings = &service.settings;
    write!(output, "{name} {}", settings.scheduler.name())?;
    if let Some(flags) = scheduler_flags(settings) {
        write!(output, " ({flags})")?;
    }
    if let Some(persistence) = settings.persistence {
        write!(output, " persistent {}", persistence.timeout.as_secs())?;
        if let Some(granularity) = granularity(&persistence, service.key.family()) {
            write!(output, " mask {granularity}")?;
        }
        if let Some(engine) = &settings.persistence_engine {
            write!(output, " pe {engine}")?;
        }
    }
    if settings.one_packet {
        write!(output, " ops")?;
    }
    Ok(())
}

/// The scheduler's flags by their names, if any is set. Two schedulers have names for the
/// first two, and none for the third, which then has no text at all.
fn scheduler_flags(settings: &ServiceSettings) -> Option<String> {
    let set = [
        settings.scheduler_flag_1,
        settings.scheduler_flag_2,
        settings.scheduler_flag_3,
    ];
    if !set.contains(&true) {
        return None;
    }
    let names: &[&str] = match settings.scheduler {
        Scheduler::Sh => &["sh-fallback", "sh-port"],
        Scheduler::Mh => &["mh-fallback", "mh-port"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let names: Vec<&str> = names
        .iter()
        .zip(set)
        .filter(|(_, set)| *set)
        .map(|(name, _)| *name)
        .collect();
    Some(names.join(","))
}

/// The netmask or prefix length of persistence, unless each client stands for itself.
fn granularity(persistence: &Persistence, family: Family) -> Option<String> {
    match family {
        Family::Inet => {
            let mask = persistence.netmask();
            (!mask.is_broadcast()).then(|| mask.to_string())
        }
        Family::Inet6 => {
            let length = persistence.prefix_length;
            (length != 128).then(|| length.to_string())
        }
    }
}

fn write_destination(
    output: &mut dyn Write,
    protocol: Option<Protocol>,
    destination: &DestinationState,
    format: Format,
    names: &dyn Names,
) -> io::Result<()> {
    let settings = &destination.settings;
    let (active, inactive) = (destination.active, destination.inactive);
    let name = endpoint_text(destination.address, protocol, format.numeric, names);
    let name = match destination.address.ip() {
        IpAddr::V4(_) => shortened(&name, DESTINATION_WIDTH),
        IpAddr::V6(_) => &name,
    };
    write!(output, "  -> {name:<DESTINATION_WIDTH$}")?;
    match format.columns {
        Columns::Statistics => {
            write_numbers(output, &totals(destination.statistics), format)?;
            writeln!(output)
        }
        Columns::Rates => {
            // The first three are never abbreviated here.
            let [connections, packets_in, packets_out, bytes @ ..] = rates(destination.rates);
            write!(output, " {connections:>8} {packets_in:>8} {packets_out:>8}")?;
            write_numbers(output, &bytes, format)?;
            writeln!(output)
        }
        Columns::Thresholds => writeln!(
            output,
            " {:<10} {:<10} {active:<10} {inactive:<10}",
            settings.upper_threshold, settings.lower_threshold
        ),
        Columns::PersistentConnections => writeln!(
            output,
            " {:<9} {:<11} {active:<10} {inactive:<10}",
            settings.weight, destination.persistent
        ),
        Columns::Tunnels => writeln!(
            output,
            " {:<7} {:<13} {:<6} {active:<10} {inactive:<10}",
            method_name(settings.method),
            tunnel_information(settings.method),
            settings.weight
        ),
        Columns::Ordinary => writeln!(
            output,
            " {:<7} {:<6} {active:<10} {inactive:<10}",
            method_name(settings.method),
            settings.weight
        ),
    }
}

fn method_name(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "Masq",
        ForwardingMethod::DirectRouting => "Route",
        ForwardingMethod::Tunnel(_) => "Tunnel",
    }
}

fn tunnel_information(method: ForwardingMethod) -> String {
    let mark = |checksum| match checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Full => "+c",
        TunnelChecksum::Remote => "r+c",
    };
    match method {
        ForwardingMethod::Tunnel(Tunnel::Ipip) => "ipip".to_owned(),
        ForwardingMethod::Tunnel(Tunnel::Gue { port, checksum }) => {
            format!("gue:{port}:{}", mark(checksum))
        }
        ForwardingMethod::Tunnel(Tunnel::Gre { checksum }) => format!("gre:{}", mark(checksum)),
        ForwardingMethod::Nat | ForwardingMethod::DirectRouting => "n/a".to_owned(),
    }
}

/// Totals in the order of their columns.
fn totals(all: Statistics) -> [u64; 5] {
    [
        all.connections,
        all.packets_in,
        all.packets_out,
        all.bytes_in,
        all.bytes_out,
    ]
}

/// Rates in the order of their columns.
fn rates(all: Rates) -> [u64; 5] {
    [
        all.connections,
        all.packets_in,
        all.packets_out,
        all.bytes_in,
        all.bytes_out,
    ]
}

fn write_numbers(output: &mut dyn Write, numbers: &[u64], format: Format) -> io::Result<()> {
    numbers
        .iter()
        .try_for_each(|number| write_number(output, *number, format))
}

/// Writes a number into nine columns, cut to thousands or more where it is too long for
/// them, or whole with `--exact`.
fn write_number(output: &mut dyn Write, number: u64, format: Format) -> io::Result<()> {
    const K: u64 = 1000;
    const M: u64 = 1000 * K;
    const G: u64 = 1000 * M;
    const T: u64 = 1000 * G;
    if format.exact {
        let digits = number.to_string();
        let width = if digits.len() <= 8 {
            9
        } else {
            digits.len() + 1
        };
        return write!(output, "{digits:>width$}");
    }
    match number {
        _ if number < 100 * M => write!(output, "{number:>9}"),
        _ if number < G => write!(output, "{:>8}K", number / K),
        _ if number < 100 * G => write!(output, "{:>8}M", number / M),
        _ if number < 100 * T => write!(output, "{:>8}G", number / G),
        _ => write!(output, "{:>8}T", number / T),
    }
}

/// `-S`: the services as commands that make them again. Thresholds are not among them,
/// nor are timeouts and sync daemons.
pub(super) fn write_rules(
    output: &mut dyn Write,
    mut services: Vec<ServiceState>,
    numeric: bool,
    names: &dyn Names,
) -> io::Result<()> {
    sort_services(&mut services);
    for mut service in services {
        let name = rule_name(&service.key, numeric, names);
        write_service_rule(output, &name, &service)?;
        sort_destinations(&mut service.destinations);
        for destination in &service.destinations {
            let protocol = protocol(&service.key);
            let address = endpoint_text(destination.address, protocol, numeric, names);
            write_destination_rule(output, &name, &address, destination)?;
        }
    }
    Ok(())
}

fn rule_name(service: &ServiceKey, numeric: bool, names: &dyn Names) -> String {
    match *service {
        ServiceKey::Address { protocol, address } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            let endpoint = endpoint_text(address, Some(protocol), numeric, names);
            format!("{option} {endpoint}")
        }
        ServiceKey::Mark { mark, family } => match family {
            Family::Inet => format!("-f {}", mark.cast_signed()),
            Family::Inet6 => format!("-f {} -6", mark.cast_signed()),
        },
    }
}

fn write_service_rule(
    output: &mut dyn Write,
    name: &str,
    service: &ServiceState,
) -> io::Result<()> {
    let settings = &service.settings;
    write!(output, "-A {name} -s {}", settings.scheduler.name())?;
    if let Some(persistence) = settings.persistence {
        write!(output, " -p {}", persistence.timeout.as_secs())?;
        if let Some(granularity) = granularity(&persistence, service.key.family()) {
            write!(output, " -M {granularity}")?;
        }
    }
    if let Some(engine) = &settings.persistence_engine {
        write!(output, " --pe {engine}")?;
    }
    if settings.one_packet {
        write!(output, " -o")?;
    }
    if let Some(flags) = scheduler_flags(settings) {
        write!(output, " -b {flags}")?;
    }
    writeln!(output)
}

fn write_destination_rule(
    output: &mut dyn Write,
    service: &str,
    address: &str,
    destination: &DestinationState,
) -> io::Result<()> {
    let settings = &destination.settings;
    let option = match settings.method {
        ForwardingMethod::Nat => "-m",
        ForwardingMethod::DirectRouting => "-g",
        ForwardingMethod::Tunnel(_) => "-i",
    };
    write!(
        output,
        "-a {service} -r {address} {option} -w {}",
        settings.weight
    )?;
    let checksum_option = |checksum| match checksum {
        TunnelChecksum::None => "--tun-nocsum",
        TunnelChecksum::Full => "--tun-csum",
        TunnelChecksum::Remote => "--tun-remcsum",
    };
    match settings.method {
        ForwardingMethod::Nat | ForwardingMethod::DirectRouting => {}
        ForwardingMethod::Tunnel(Tunnel::Ipip) => write!(output, " --tun-type ipip")?,
        ForwardingMethod::Tunnel(Tunnel::Gue { port, checksum }) => write!(
            output,
            " --tun-type gue --tun-port {port} {}",
            checksum_option(checksum)
        )?,
        ForwardingMethod::Tunnel(Tunnel::Gre { checksum }) => {
            write!(output, " --tun-type gre {}", checksum_option(checksum))?;
        }
    }
    writeln!(output)
}

/// `-L -c`. Connections are written as they come, none is kept.
pub(super) fn write_connections(
    output: &mut dyn Write,
    connections: &mut dyn Iterator<Item = ConnectionState>,
    format: Format,
    names: &dyn Names,
) -> io::Result<()> {
    let with_engine = format.columns == Columns::PersistentConnections;
    writeln!(output, "IPVS connection entries")?;
    write!(
        output,
        "pro expire {:<11} {:<18} {:<18} ",
        "state", "source", "virtual"
    )?;
    if with_engine {
        writeln!(output, "{:<18} {:<16} pe_data", "destination", "pe name")?;
    } else {
        writeln!(output, "destination")?;
    }
    // There can be millions of them: one buffer does for all lines.
    let mut line = String::new();
    for connection in connections {
        let protocol = Protocol::from_number(connection.protocol);
        let push = |line: &mut String, endpoint| {
            push_endpoint(line, endpoint, protocol, format.numeric, names);
        };
        line.clear();
        column(&mut line, 3, |line| {
            push_protocol(line, connection.protocol)
        });
        column(&mut line, 6, |line| push_time(line, connection.expires_in));
        column(&mut line, 11, |line| line.push_str(&connection.state));
        column(&mut line, 18, |line| push(line, connection.client));
        column(&mut line, 18, |line| push(line, connection.virtual_address));
        match connection.engine_data.filter(|_| with_engine) {
            Some((engine, data)) => {
                column(&mut line, 16, |line| push(line, connection.destination));
                column(&mut line, 18, |line| line.push_str(&engine));
                line.push_str(&data);
            }
            None => push(&mut line, connection.destination),
        }
        line.push('\n');
        output.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Appends what `push` does, blanks up to `width`, and the blank between columns.
fn column(line: &mut String, width: usize, push: impl FnOnce(&mut String)) {
    let start = line.len();
    push(line);
    let missing = width.saturating_sub(line.len() - start);
    line.extend(std::iter::repeat_n(' ', missing + 1));
}

/// Appends minutes and seconds; there can be more than 99 minutes.
fn push_time(line: &mut String, time: Duration) {
    let seconds = time.as_secs();
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    // Writing to a string does not fail.
    let _ = fmt::Write::write_fmt(line, format_args!("{minutes:02}:{seconds:02}"));
}

/// Appends the name of an IP protocol (`ip_vs_proto_name`).
fn push_protocol(line: &mut String, number: u8) {
    match number {
        0 => line.push_str("IP"),
        1 => line.push_str("ICMP"),
        6 => line.push_str("TCP"),
        17 => line.push_str("UDP"),
        58 => line.push_str("ICMPv6"),
        132 => line.push_str("SCTP"),
        _ => {
            // Writing to a string does not fail.
            let _ = fmt::Write::write_fmt(line, format_args!("IP_{number}"));
        }
    }
}

/// `-L --timeout`.
pub(super) fn write_timeouts(output: &mut dyn Write, timeouts: Timeouts) -> io::Result<()> {
    let [tcp, tcp_fin, udp] =
        [timeouts.tcp, timeouts.tcp_fin, timeouts.udp].map(|timeout| timeout.as_secs());
    writeln!(output, "Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}")
}

/// `-L --daemon`, the master first.
pub(super) fn write_sync_daemons(output: &mut dyn Write, daemons: &[SyncDaemon]) -> io::Result<()> {
    for (role, name) in SyncRole::NAMES {
        for daemon in daemons.iter().filter(|daemon| daemon.role == role) {
            writeln!(
                output,
                "{name} sync daemon (mcast={}, syncid={}, maxlen={}, group={}, port={}, ttl={})",
                daemon.interface,
                daemon.sync_id,
                daemon.max_length,
                daemon.group,
                daemon.port,
                daemon.ttl
            )?;
        }
    }
    Ok(())
}
