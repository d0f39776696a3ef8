//! A configuration in words: what would run, and how soon it reacts.

use std::fmt::{self, Write};
use std::time::Duration;

use super::model::{
    BfdInstance, Check, Configuration, Probe, RealServer, SyncGroup, Tracked, Tracker,
    VirtualAddress, VirtualServer, VrrpInstance, VrrpVersion,
};
use crate::check::Outcome;
use crate::check::dialogue::silence;
use crate::check::machine::BOOTSTRAP_DELAY;
use crate::service::{ForwardingMethod, Scheduler, ServiceKey};
use crate::vrrp::timers::master_down_interval;

/// What would run, for a person to read.
pub fn explain(configuration: &Configuration) -> String {
    let mut words = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut words, configuration);
    words
}

fn write(out: &mut String, configuration: &Configuration) -> fmt::Result {
    for instance in &configuration.instances {
        write_instance(out, instance)?;
    }
    for group in &configuration.sync_groups {
        write_sync_group(out, group)?;
    }
    for session in &configuration.trackers.sessions {
        write_session(out, session)?;
    }
    for server in &configuration.virtual_servers {
        write_server(out, server)?;
    }
    if out.is_empty() {
        writeln!(
            out,
            "Nothing would run: there is no VRRP instance and no virtual server."
        )?;
    }
    Ok(())
}

/// A time as people say it, rounded up to the millisecond.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_micros().div_ceil(1000);
        let (whole, rest) = (millis / 1000, millis % 1000);
        match rest {
            0 => write!(f, "{whole} s"),
            _ => {
                let decimals = format!("{rest:03}");
                write!(f, "{whole}.{} s", decimals.trim_end_matches('0'))
            }
        }
    }
}

fn write_instance(out: &mut String, instance: &VrrpInstance) -> fmt::Result {
    let version = match instance.version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    };
    writeln!(
        out,
        "VRRP instance {}: virtual router {} on {}, version {version}, priority {}",
        instance.name, instance.virtual_router_id, instance.interface, instance.priority
    )?;
    let peers: Vec<String> = instance
        .unicast_peers
        .iter()
        .map(|peer| peer.address.to_string())
        .collect();
    let to = match peers.is_empty() {
        true => "the multicast group".to_owned(),
        false => peers.join(", "),
    };
    writeln!(
        out,
        "  as master it advertises to {to} every {}",
        Seconds(instance.advertisement_interval)
    )?;
    let silence = master_down_interval(
        instance.version,
        instance.priority,
        instance.advertisement_interval,
        instance.down_timer_advertisements,
    );
    writeln!(
        out,
        "  as backup it takes over {} after the last advertisement of a dead master",
        Seconds(silence)
    )?;
    match (instance.preempt, instance.preempt_delay) {
        (false, _) => writeln!(out, "  a master of lower priority stays master")?,
        (true, Duration::ZERO) => {
            writeln!(
                out,
                "  it takes over from a master of lower priority at once"
            )?;
        }
        (true, delay) => writeln!(
            out,
            "  it takes over from a master of lower priority after {}",
            Seconds(delay)
        )?,
    }
    for tracked in &instance.tracked {
        writeln!(out, "  {}", tracking(tracked))?;
    }
    for (count, what) in [
        (instance.routes.len(), "routes"),
        (instance.rules.len(), "rules for routes"),
    ] {
        if count > 0 {
            writeln!(out, "  the master has {count} {what} with it")?;
        }
    }
    for (addresses, words) in [
        (&instance.virtual_addresses, ""),
        (&instance.excluded_addresses, ", which is not advertised"),
    ] {
        for address in addresses {
            let interface = address.interface.as_ref().unwrap_or(&instance.interface);
            let VirtualAddress {
                address,
                prefix_length,
                ..
            } = address;
            writeln!(
                out,
                "  the master holds {address}/{prefix_length} on {interface}{words}"
            )?;
        }
    }
    Ok(())
}

fn tracking(tracked: &Tracked) -> String {
    let (what, good, bad) = match &tracked.tracker {
        Tracker::Interface(name) => (format!("interface {name}"), "is up", "is down"),
        Tracker::Script(name) => (format!("script {name}"), "succeeds", "fails"),
        Tracker::Process(name) => (format!("process {name}"), "runs", "does not run"),
        Tracker::Session(name) => (format!("BFD session {name}"), "is up", "is down"),
        Tracker::File(name) => {
            let sign = if tracked.reverse { "minus " } else { "" };
            return match tracked.weight {
                0 => format!("it is in fault while the number in file {name} is not 0"),
                weight => {
                    format!(
                        "{sign}{weight} times the number in file {name} is added to its priority"
                    )
                }
            };
        }
    };
    let (good, bad) = match tracked.reverse {
        true => (bad, good),
        false => (good, bad),
    };
    match tracked.weight {
        0 => format!("it is in fault while {what} {bad}"),
        weight @ 1.. => format!("its priority is {weight} higher while {what} {good}"),
        weight => format!(
            "its priority is {} lower while {what} {bad}",
            -i32::from(weight)
        ),
    }
}

fn write_sync_group(out: &mut String, group: &SyncGroup) -> fmt::Result {
    writeln!(
        out,
        "VRRP sync group {}: {} change their state together",
        group.name,
        group.members.join(" and ")
    )
}

fn write_session(out: &mut String, session: &BfdInstance) -> fmt::Result {
    let BfdInstance {
        name,
        neighbor,
        min_rx,
        min_tx,
        idle_tx,
        multiplier,
        ..
    } = session;
    writeln!(out, "BFD session {name} with {neighbor}:")?;
    if session.passive {
        writeln!(out, "  the neighbour has to speak first")?;
    }
    writeln!(
        out,
        "  up, it sends a packet every {} and hears one every {}, or less often where the neighbour wants that",
        Seconds(*min_tx),
        Seconds(*min_rx)
    )?;
    writeln!(out, "  down, it sends one every {}", Seconds(*idle_tx))?;
    writeln!(
        out,
        "  the neighbour takes this side for gone once {multiplier} packets in a row are lost; how many of its own, it says itself"
    )
}

fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "NAT",
        ForwardingMethod::DirectRouting => "direct routing",
        ForwardingMethod::Tunnel(_) => "a tunnel",
    }
}

fn write_server(out: &mut String, server: &VirtualServer) -> fmt::Result {
    match &server.group {
        Some(group) => {
            writeln!(out, "Virtual servers of group {}:", group.name)?;
            for member in &group.members {
                let mut services = member.services(match server.key {
                    ServiceKey::Address { protocol, .. } => protocol,
                    ServiceKey::Mark { .. } => crate::service::Protocol::Udp,
                });
                let first = services.next();
                let first = first.map_or(String::new(), |service| service.to_string());
                match member.count() {
                    1 => writeln!(out, "  {first}")?,
                    count => writeln!(out, "  {first} and {} addresses after it", count - 1)?,
                }
            }
        }
        None => writeln!(out, "Virtual server {}", server.key)?,
    }
    let settings = &server.settings;
    let scheduler: &str = match settings.scheduler {
        Scheduler::Rr => "round robin",
        other => other.name(),
    };
    write!(out, "  connections go to the real servers by {scheduler}")?;
    if settings.one_packet {
        write!(out, ", every packet for itself")?;
    }
    match &settings.persistence {
        Some(persistence) => writeln!(
            out,
            "; a client keeps its real server until {} after its last connection",
            Seconds(persistence.timeout)
        )?,
        None => writeln!(out)?,
    }
    if let Some(sorry) = &server.sorry_server {
        writeln!(
            out,
            "  without a quorum of {} (in weight) the sorry server {} serves alone",
            server.quorum.saturating_sub(server.hysteresis).max(1),
            sorry.address
        )?;
    }
    for real in &server.real_servers {
        write_real_server(out, real)?;
    }
    Ok(())
}

fn write_real_server(out: &mut String, real: &RealServer) -> fmt::Result {
    writeln!(
        out,
        "  real server {}, weight {}, by {}",
        real.address,
        real.settings.weight,
        method(real.settings.method)
    )?;
    for check in &real.checks {
        writeln!(out, "    {}", of_check(check))?;
    }
    let leaves = match real.inhibit_on_failure {
        true => "has weight 0",
        false => "is out",
    };
    let (followed, asking): (Vec<&Check>, Vec<&Check>) =
        real.checks.iter().partition(|check| check.probe.follows());
    match asking.iter().copied().filter_map(latest_exit).min() {
        Some(latest) => writeln!(
            out,
            "    dead, it {leaves} {} later at the latest",
            Seconds(latest)
        ),
        None if !followed.is_empty() => writeln!(
            out,
            "    it {leaves} as soon as what is followed says so, and back likewise"
        ),
        None => writeln!(
            out,
            "    dead, it still gets connections: no check would notice"
        ),
    }?;
    let noticing = || {
        asking
            .iter()
            .copied()
            .filter(|check| latest_exit(check).is_some())
    };
    if let Some(latest) = noticing().map(latest_return).max() {
        writeln!(
            out,
            "    alive again, it is back {} later at the latest",
            Seconds(latest)
        )?;
    }
    if real.checks.iter().any(|check| check.timing.alpha) {
        let first = real.checks.iter().map(|check| check.timing.warmup).max();
        writeln!(
            out,
            "    at the start it is out until its first success, up to {} later",
            Seconds(first.unwrap_or_default() + BOOTSTRAP_DELAY)
        )?;
    }
    Ok(())
}

fn of_check(check: &Check) -> String {
    let timing = &check.timing;
    let to = match &check.probe {
        Probe::File(probe) => {
            return format!("FILE_CHECK follows the number in file {}", probe.file);
        }
        Probe::Bfd { instance } => return format!("BFD_CHECK follows BFD session {instance}"),
        Probe::Misc(program) => program.script.command.join(" "),
        Probe::Ping => check.connection.to.ip().to_string(),
        _ => check.connection.to.to_string(),
    };
    let mut words = format!(
        "{} {to} every {}, given up after {}",
        check.probe.keyword(),
        Seconds(timing.interval),
        Seconds(check.connection.timeout)
    );
    if let Probe::Http(http) = &check.probe
        && http.urls.len() > 1
    {
        let _ = write!(words, ", one of {} pages each time", http.urls.len());
    }
    match timing.retries {
        0 => {}
        1 => {
            let _ = write!(
                words,
                ", repeated once {} later",
                Seconds(timing.delay_before_retry)
            );
        }
        times => {
            let delay = Seconds(timing.delay_before_retry);
            let _ = write!(words, ", repeated {times} times {delay} apart");
        }
    }
    words
}

/// From the death of a real server until this check has taken it out: it dies right after a
/// success, and every attempt lasts until it is given up. None where silence is no failure.
fn latest_exit(check: &Check) -> Option<Duration> {
    if matches!(silence(&check.probe), Outcome::Passed(_)) {
        return None;
    }
    let timing = &check.timing;
    let attempts = timing.retries.saturating_add(1);
    let latest = timing
        .interval
        .saturating_add(check.connection.timeout.saturating_mul(attempts))
        .saturating_add(timing.delay_before_retry.saturating_mul(timing.retries));
    Some(latest)
}

/// From the return of a real server until this check says so: it comes back while an attempt
/// waits in vain.
fn latest_return(check: &Check) -> Duration {
    let questions = u32::try_from(check.probe.questions()).unwrap_or(u32::MAX);
    let pauses = match check.probe.fast_recovery() {
        true => 1,
        false => questions,
    };
    let timeout = check.connection.timeout;
    timeout
        .saturating_add(check.timing.interval.saturating_mul(pauses))
        .saturating_add(timeout.saturating_mul(questions))
}
