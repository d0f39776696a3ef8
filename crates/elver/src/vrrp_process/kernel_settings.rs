//! Settings of the kernel for an interface (ip-sysctl), which are put back in the end.

use std::collections::BTreeMap;
use std::path::Path;

use tracing::warn;

/// Whether memberships of groups that no router forwards are reported.
pub(super) const REPORTS: &str = "igmp_link_local_mcast_reports";

/// Where it is set what IPv4 does on an interface.
pub(super) fn of_interface(interface: &str, setting: &str) -> String {
    path_of(&format!("conf/{interface}/{setting}"))
}

/// Where it is set what IPv4 does on all interfaces.
pub(super) fn path_of(setting: &str) -> String {
    format!("/proc/sys/net/ipv4/{setting}")
}

/// What this process has changed.
#[derive(Debug, Default)]
pub(super) struct KernelSettings {
    /// By path, what a setting was before.
    changed: BTreeMap<String, String>,
}

impl KernelSettings {
    /// Sets what IPv4 does on an interface.
    pub(super) fn set(&mut self, interface: &str, setting: &str, value: &str) {
        self.write(of_interface(interface, setting), value);
    }

    /// Sets what IPv6 does on an interface, where the kernel has it.
    pub(super) fn set_ipv6(&mut self, interface: &str, setting: &str, value: &str) {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/{setting}");
        if Path::new(&path).exists() {
            self.write(path, value);
        }
    }

    /// Sets what IPv4 does on all interfaces.
    pub(super) fn set_all(&mut self, setting: &str, value: &str) {
        self.write(path_of(setting), value);
    }

    fn write(&mut self, path: String, value: &str) {
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        if before.trim() == value {
            return;
        }
        match std::fs::write(&path, value) {
            Ok(()) => {
                self.changed.entry(path).or_insert(before);
            }
            Err(error) => warn!("{path} cannot be set to {value}: {error}"),
        }
    }

    /// Leaves all as it was. What has gone with its interface needs nothing.
    pub(super) fn restore(&mut self) {
        for (path, before) in std::mem::take(&mut self.changed) {
            let _ = std::fs::write(path, before);
        }
    }
}
