//! Letting checks send ICMP echo requests.
//!
//! A process without capabilities may do so through datagram sockets, if its group lies
//! in the network namespace's `net.ipv4.ping_group_range` (icmp(7)), which also holds for
//! IPv6. Linux begins with an empty range. keepalived widens it as well.

use elver_core::check::messages::Assignment;
use elver_core::config::model::{Configuration, Probe};

use crate::check_process;

const RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Widens the range to the group of the check process, if one of these checks pings.
///
/// Where that fails, those checks say so themselves, and leave their real servers as
/// they are; so it is only logged here.
pub(super) fn permit(assignments: &[Assignment]) {
    if !assignments
        .iter()
        .any(|assignment| assignment.check.probe == Probe::Ping)
    {
        return;
    }
    if let Err(error) = widen() {
        tracing::error!("{RANGE}: {error}; PING_CHECK cannot work");
    }
}

/// The path of the range, if this configuration has it widened.
pub(super) fn setting_of(configuration: &Configuration) -> Option<&'static str> {
    let servers = configuration.virtual_servers.iter();
    let mut checks = servers
        .flat_map(|server| &server.real_servers)
        .flat_map(|real| &real.checks);
    checks
        .any(|check| check.probe == Probe::Ping)
        .then_some(RANGE)
}

fn widen() -> std::io::Result<()> {
    let group = check_process::user()?.gid;
    if let Some(range) = widened(&std::fs::read_to_string(RANGE)?, group) {
        std::fs::write(RANGE, &range)?;
        tracing::info!("{RANGE} is now {range}, for PING_CHECK");
    }
    Ok(())
}

/// The least range that has `group` and what `range` has; `None` if it has it already.
fn widened(range: &str, group: u32) -> Option<String> {
    let mut ends = range.split_whitespace().map(|end| end.parse::<u32>().ok());
    match (ends.next().flatten(), ends.next().flatten()) {
        (Some(least), Some(most)) if least <= most => {
            let has_it = (least..=most).contains(&group);
            (!has_it).then(|| format!("{} {}", least.min(group), most.max(group)))
        }
        // The range is empty: "1 0".
        _ => Some(format!("{group} {group}")),
    }
}

#[cfg(test)]
mod tests {
    use super::widened;

    #[test]
    fn ranges_only_grow() {
        assert_eq!(widened("1\t0\n", 65534).as_deref(), Some("65534 65534"));
        assert_eq!(widened("100\t200\n", 50).as_deref(), Some("50 200"));
        assert_eq!(widened("100\t200\n", 300).as_deref(), Some("100 300"));
        assert_eq!(widened("0\t2147483647\n", 65534), None);
    }
}
