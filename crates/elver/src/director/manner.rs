//! How a director runs, where the command line says it: what keepalived(8) has options for and
//! keepalived.conf no words.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use elver_core::config::model::{Configuration, Statics, Tracker};

use elver_sys::namespace::NetworkNamespace;

use super::child::Role;
use crate::failure::Failure;
use crate::instance::{Instance, remove_if_there};
use crate::log::Log;
use crate::succession::Predecessor;

/// How a director runs.
#[derive(Debug)]
pub(crate) struct Manner {
    /// Where it logs, and its children with it.
    pub(crate) log: Log,
    /// What of the configuration it leaves alone.
    pub(crate) left_out: LeftOut,
    /// Whether the configuration in force goes into the log.
    pub(crate) dump: bool,
    /// Whether a child that dies is followed by another.
    pub(crate) respawn: bool,
    /// Whether virtual addresses stay at the end.
    pub(crate) keep_addresses: bool,
    /// Whether the virtual services of the configuration stay at the end.
    pub(crate) keep_services: bool,
    /// Whether addresses that come and go are logged.
    pub(crate) report_addresses: bool,
    /// Files beside the instance's own, for those who look for keepalived's.
    pub(crate) pid_files: PidFiles,
    /// What it is called in the kernel's list of processes, where the file does not say so.
    pub(crate) process_name: CString,
    /// Whether the command line has named a network namespace, which it runs in already.
    pub(crate) is_in_namespace: bool,
    /// Whether it is a part of `elver real-server`, which has no file of its own, and balances
    /// what was discovered alone.
    pub(crate) of_real_server: bool,
    /// The director whose place this one takes.
    pub(crate) predecessor: Option<Predecessor>,
}

impl Manner {
    /// That of `elver run`: in the foreground, logging to standard error.
    pub(crate) fn foreground() -> Manner {
        Manner {
            log: Log::console(),
            left_out: LeftOut::default(),
            dump: false,
            respawn: true,
            keep_addresses: false,
            keep_services: false,
            report_addresses: false,
            pid_files: PidFiles::default(),
            process_name: c"elver".to_owned(),
            is_in_namespace: false,
            predecessor: None,
            of_real_server: false,
        }
    }

    /// Goes into the network namespace that the file names, unless the command line has named
    /// one. Has to come before the process has threads of its own.
    pub(crate) fn enter_namespace(&self, configuration: &Configuration) -> Result<(), Failure> {
        match &configuration.global.network_namespace {
            Some(name) if !self.is_in_namespace => enter_namespace(name),
            _ => Ok(()),
        }
    }

    /// Says what of a configuration that is read again cannot change any more.
    pub(super) fn hold_fast(
        &self,
        configuration: &Configuration,
        running: &Configuration,
        instance: &Instance,
    ) {
        let global = &configuration.global;
        let other = |name: &&String| Instance::like(name) != *instance;
        if let Some(name) = global.instance.as_ref().filter(other) {
            tracing::warn!("instance {name}: this one stays {instance} until it is started anew");
        }
        if global.forwarding_namespace != running.global.forwarding_namespace {
            tracing::warn!(
                "net_namespace_ipvs: packets are forwarded where they were until this director is started anew"
            );
        }
    }
}

/// The instance by the name that the file gives it, unless the command line has named one.
pub(crate) fn named(configuration: &Configuration, given: &Instance) -> Instance {
    match &configuration.global.instance {
        Some(name) if given.is_default() => Instance::like(name),
        _ => given.clone(),
    }
}

/// Goes into a network namespace below `/run/netns`.
pub(crate) fn enter_namespace(name: &str) -> Result<(), Failure> {
    let path = Path::new("/run/netns").join(name);
    let entered = NetworkNamespace::open(&path).and_then(|namespace| namespace.enter());
    entered.map_err(Failure::system(format!("network namespace {name}")))
}

/// Parts of a configuration that do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LeftOut {
    /// Instances of VRRP, and what is held whoever is master.
    pub(crate) vrrp: bool,
    /// Virtual servers.
    pub(crate) virtual_servers: bool,
    /// Sessions of BFD, and what follows them.
    pub(crate) bfd: bool,
}

impl LeftOut {
    /// Takes these parts out of a configuration.
    pub(crate) fn of(self, mut configuration: Configuration) -> Configuration {
        if self.virtual_servers {
            configuration.virtual_servers.clear();
        }
        if self.vrrp {
            configuration.instances.clear();
            configuration.sync_groups.clear();
            configuration.statics = Statics::default();
        }
        if self.bfd {
            configuration.trackers.sessions.clear();
            for instance in &mut configuration.instances {
                let tracked = &mut instance.tracked;
                tracked.retain(|each| !matches!(each.tracker, Tracker::Session(_)));
            }
        }
        configuration
    }
}

/// The pid files of keepalived's processes; those that are named are written.
#[derive(Debug, Default)]
pub(crate) struct PidFiles {
    pub(crate) director: Option<PathBuf>,
    /// Of VRRP; the second is that of BFD, which the same process does.
    pub(crate) vrrp: [Option<PathBuf>; 2],
    pub(crate) check: Option<PathBuf>,
}

impl PidFiles {
    /// Writes that of the director.
    pub(super) fn started(&self) {
        write_all(&self.director, std::process::id());
    }

    /// Writes those of a child.
    pub(super) fn child_started(&self, role: Role, id: u32) {
        match role {
            Role::Vrrp => write_all(self.vrrp.iter().flatten(), id),
            Role::Check => write_all(&self.check, id),
        }
    }

    /// Removes all of them.
    pub(super) fn ended(&self) {
        let all = [&self.director, &self.check].into_iter().chain(&self.vrrp);
        for path in all.flatten() {
            if let Err(error) = remove_if_there(path) {
                tracing::warn!("{} is not removed: {error}", path.display());
            }
        }
    }
}

fn write_all<'p>(paths: impl IntoIterator<Item = &'p PathBuf>, id: u32) {
    for path in paths {
        if let Err(error) = write(path, id) {
            tracing::warn!("{} is not written: {error}", path.display());
        }
    }
}

fn write(path: &Path, id: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    writeln!(file, "{id}")
}

#[cfg(test)]
mod tests {
    use elver_core::config::{self, Source};

    use super::*;

    const TEXT: &str = "
bfd_instance one {
    neighbor_ip 192.0.2.1
}
vrrp_instance VI_1 {
    interface lo
    virtual_router_id 1
    track_bfd {
        one
    }
}
virtual_server 192.0.2.10 80 {
    real_server 192.0.2.20 80 {
    }
}
";

    struct Text;

    impl Source for Text {
        fn read(&self, _: &str) -> Result<Vec<u8>, String> {
            Ok(TEXT.into())
        }

        fn list(&self, _: &str) -> Vec<String> {
            Vec::new()
        }
    }

    fn left(left_out: LeftOut) -> [usize; 4] {
        let loaded = config::load(&Text, "keepalived.conf");
        let configuration = left_out.of(loaded.configuration.expect("it runs"));
        [
            configuration.instances.len(),
            configuration.virtual_servers.len(),
            configuration.trackers.sessions.len(),
            configuration
                .instances
                .iter()
                .map(|i| i.tracked.len())
                .sum(),
        ]
    }

    #[test]
    fn what_is_left_out_is_followed_by_nobody() {
        let none = LeftOut::default();
        assert_eq!(left(none), [1, 1, 1, 1]);
        assert_eq!(left(LeftOut { vrrp: true, ..none }), [0, 1, 1, 0]);
        let virtual_servers = LeftOut {
            virtual_servers: true,
            ..none
        };
        assert_eq!(left(virtual_servers), [1, 0, 1, 1]);
        assert_eq!(left(LeftOut { bfd: true, ..none }), [1, 1, 0, 0]);
    }
}
