//! What must hold before a director may run on this host.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use elver_core::config::model::Configuration;
use elver_sys::netlink::Link;
use elver_sys::privilege;
use elver_sys::process::{self, RunningProcess};

use crate::failure::Failure;
use crate::instance::{Instance, PidFile, Taken};

/// How long the kernel may take to clear a killed process away.
const LAST_BREATH: Duration = Duration::from_millis(500);
/// The firewall mark of the service that `elver migrate` puts into the kernel's table for as long
/// as it needs the kernel there. It has no destinations, and harms no director.
pub(crate) const HOLDING_MARK: u32 = u32::MAX;

/// Whether this process may do what a director does.
pub(crate) fn permission() -> Result<(), Failure> {
    let missing =
        privilege::missing_capabilities().map_err(Failure::system("reading own capabilities"))?;
    if missing.is_empty() {
        return Ok(());
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    Err(Failure::NoPermission {
        missing: format!("{} {verb}", missing.join(", ")),
    })
}

/// Takes `instance` for this process. A director that was killed a moment ago may still hold it.
pub(crate) fn take(instance: &Instance) -> Result<PidFile, Failure> {
    const PAUSE: Duration = Duration::from_millis(10);
    let started = Instant::now();
    let taken = loop {
        match PidFile::acquire(instance) {
            Err(Taken::By(_)) if started.elapsed() < LAST_BREATH => std::thread::sleep(PAUSE),
            taken => break taken,
        }
    };
    taken.map_err(|taken| match taken {
        Taken::By(process) => Failure::AlreadyRunning {
            instance: instance.clone(),
            process,
        },
        Taken::Unusable(path, error) => Failure::system(path.display().to_string())(error),
    })
}

/// Whether nothing else balances or holds virtual addresses in this network namespace.
pub(crate) fn nothing_beside() -> Result<(), Failure> {
    no_keepalived()?;
    let table = Path::new("/proc/net/ip_vs");
    match std::fs::read_to_string(table) {
        Ok(text) => match services_of_kernel(&text) {
            0 => Ok(()),
            services => Err(Failure::KernelIpvsInUse { services }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::system("/proc/net/ip_vs")(error)),
    }
}

fn no_keepalived() -> Result<(), Failure> {
    match keepalived_processes()?.first() {
        Some(process) => Err(Failure::KeepalivedRuns {
            process: process.id,
        }),
        None => Ok(()),
    }
}

/// Every keepalived of this network namespace, without those that others of them have started.
///
/// One in another network namespace does no harm, and its pid file says nothing of its
/// namespace: so the processes are looked at.
pub(crate) fn keepalived_processes() -> Result<Vec<RunningProcess>, Failure> {
    let looking = "looking for a running keepalived";
    let here = process::own_network_namespace().map_err(Failure::system(looking))?;
    let mut all = process::running().map_err(Failure::system(looking))?;
    all.retain(|process| {
        process.name == "keepalived"
            && !is_elver(process)
            && process.network_namespace.as_ref() == Some(&here)
    });
    let ids: Vec<u32> = all.iter().map(|process| process.id).collect();
    all.retain(|process| !ids.contains(&process.parent));
    Ok(all)
}

/// Whether a process is elver, which may have been started by the name of keepalived, or even be
/// in a file of that name, as in a container.
fn is_elver(process: &RunningProcess) -> bool {
    let file = |id: &str| {
        let file = std::fs::metadata(format!("/proc/{id}/exe")).ok()?;
        Some((file.dev(), file.ino()))
    };
    let own = file("self");
    if own.is_some() && file(&process.id.to_string()) == own {
        return true;
    }
    let program = process.program.as_deref();
    let name = program.and_then(Path::file_name).unwrap_or_default();
    // A package that is upgraded has another beginning of the name for a moment.
    name.as_encoded_bytes().starts_with(b"elver")
}

/// The virtual services in `/proc/net/ip_vs`, whose other lines are headings and
/// destinations.
fn services_of_kernel(table: &str) -> usize {
    let holding = format!("FWM  {HOLDING_MARK:08X} ");
    let is_service = |line: &&str| {
        let mut words = ["TCP ", "UDP ", "SCTP ", "FWM "].iter();
        words.any(|word| line.starts_with(word)) && !line.starts_with(&holding)
    };
    table.lines().filter(is_service).count()
}

/// Whether the interfaces that the configuration names are here, or need not be.
pub(crate) fn interfaces(configuration: &Configuration, links: &[Link]) -> Result<(), Failure> {
    if configuration.global.dynamic_interfaces {
        return Ok(());
    }
    let missing = configuration.instances.iter().find_map(|instance| {
        let addresses = instance
            .virtual_addresses
            .iter()
            .chain(&instance.excluded_addresses);
        std::iter::once(&instance.interface)
            .chain(addresses.filter_map(|address| address.interface.as_ref()))
            .find(|name| links.iter().all(|link| link.name != **name))
            .map(|interface| (instance.name.clone(), interface.clone()))
    });
    match missing {
        None => Ok(()),
        Some((instance, interface)) => Err(Failure::NoSuchInterface {
            instance,
            interface,
            present: links
                .iter()
                .map(|link| link.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_counted_in_the_kernels_own_table() {
        let table = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  AC112AC8:0CEA rr persistent 50 FFFFFFFF
  -> AC122A79:0CEA      Masq    1      0          0
FWM  00000007 rr
FWM  FFFFFFFF rr
";
        assert_eq!(services_of_kernel(table), 2);
        let empty: String = table
            .lines()
            .take(3)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(services_of_kernel(&empty), 0);
    }
}
