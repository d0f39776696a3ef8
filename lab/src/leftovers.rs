//! What a killed run left behind: how it is recognised, and how it is removed.
//!
//! Namespaces are named `elver-LAB-PID-HOST`, and the directory of a run
//! `elver-LAB-PID` (with `-records` once it is kept for a reader). A run whose PID is
//! gone left its things behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::lab::{MARK, ip};
use crate::program::wait_for_exit;
use crate::{Error, Result, interrupt};

const NAMESPACES: &str = "/run/netns";

/// How long a killed process may take to vanish.
const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// Whether `name` can name a lab. Digits are left out so that a namespace's name can be
/// taken apart again in one way only.
pub(crate) fn names_lab(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// Whether `name` can name a host.
pub(crate) fn names_host(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Where the directory of a run goes when its records are kept.
pub(crate) fn kept_directory(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push("-records");
    PathBuf::from(name)
}

/// A namespace that a killed run left.
pub(crate) struct Leftover {
    pub(crate) namespace: String,
    /// Of the run that made it.
    prefix: String,
}

impl Leftover {
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.namespace)
    }

    /// Kills what the run had started in it.
    pub(crate) fn kill_marked(&self) {
        kill_marked(&self.namespace, &self.prefix);
    }
}

/// The namespaces that killed runs of the lab `name` left.
pub(crate) fn find(name: &str) -> Result<Vec<Leftover>> {
    let namespaces = names_in(Path::new(NAMESPACES))?.into_iter();
    let leftovers = namespaces.filter_map(|namespace| {
        let (owner, host) = owner_and_rest(&namespace, name)?;
        let prefix = format!("elver-{name}-{owner}");
        (!host.is_empty() && is_abandoned(owner, name)).then_some(Leftover { namespace, prefix })
    });
    Ok(leftovers.collect())
}

/// Removes processes, namespaces and directories of killed runs of the lab `name`.
pub(crate) fn remove(name: &str) -> Result<()> {
    for leftover in find(name)? {
        leftover.kill_marked();
        ip(&["netns", "del", &leftover.namespace])?;
    }
    let directories = std::env::temp_dir();
    for directory in names_in(&directories)? {
        let run = owner_and_rest(&directory, name);
        if matches!(run, Some((owner, "")) if is_abandoned(owner, name)) {
            let path = directories.join(&directory);
            std::fs::remove_dir_all(&path)
                .map_err(Error::system(format!("remove {}", path.display())))?;
        }
    }
    Ok(())
}

/// Kills every process in `namespace` that the lab with this prefix started, or that
/// such a one started in turn. A shell that somebody opened there is left alone.
pub(crate) fn kill_marked(namespace: &str, prefix: &str) {
    // A killed process's children may have been born after the list was made: look again.
    loop {
        let Ok(processes) = ip(&["netns", "pids", namespace]) else {
            return;
        };
        let marked: Vec<_> = processes
            .lines()
            .filter_map(|line| Pid::from_raw(line.trim().parse().ok()?))
            .filter_map(|process| {
                // The descriptor first: it stays with this process if the number is reused.
                let descriptor = pidfd_open(process, PidfdFlags::empty()).ok()?;
                is_marked(process, prefix).then_some(descriptor)
            })
            .collect();
        if marked.is_empty() {
            return;
        }
        for process in &marked {
            // It may have ended by itself.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        for process in &marked {
            if !wait_for_exit(process, DEATH_LIMIT) {
                eprintln!("elver-lab: a process in {namespace} does not die");
                return;
            }
        }
    }
}

fn is_marked(process: Pid, prefix: &str) -> bool {
    let mark = format!("{MARK}={prefix}");
    std::fs::read(format!("/proc/{}/environ", process.as_raw_nonzero())).is_ok_and(|environment| {
        environment
            .split(|&byte| byte == 0)
            .any(|it| it == mark.as_bytes())
    })
}

/// Takes `elver-LAB-PID` or `elver-LAB-PID-REST` apart, for the lab `name`.
fn owner_and_rest<'a>(candidate: &'a str, name: &str) -> Option<(u32, &'a str)> {
    let tail = candidate
        .strip_prefix("elver-")?
        .strip_prefix(name)?
        .strip_prefix('-')?;
    let (owner, rest) = tail.split_once('-').unwrap_or((tail, ""));
    Some((owner.parse().ok()?, rest))
}

/// Whether the run of `owner` is over: its process is gone, or is this one by chance of
/// numbers while no lab of the name runs here.
fn is_abandoned(owner: u32, name: &str) -> bool {
    if owner == std::process::id() {
        return !interrupt::is_registered(name);
    }
    !Path::new(&format!("/proc/{owner}")).exists()
}

fn names_in(directory: &Path) -> Result<Vec<String>> {
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        // No namespace has ever been named on this machine.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(Error::system(format!("list {}", directory.display()))(
                source,
            ));
        }
    };
    Ok(listing
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_in_one_way() {
        assert_eq!(
            owner_and_rest("elver-nat-12-client", "nat"),
            Some((12, "client"))
        );
        assert_eq!(
            owner_and_rest("elver-nat-12-real-server1", "nat"),
            Some((12, "real-server1"))
        );
        assert_eq!(owner_and_rest("elver-nat-12", "nat"), Some((12, "")));
        assert_eq!(owner_and_rest("elver-nat-failover-12-client", "nat"), None);
        assert_eq!(owner_and_rest("elver-nat-12-client", "nat-failover"), None);
        assert_eq!(owner_and_rest("elver-tun-12-client", "nat"), None);
    }

    #[test]
    fn names_that_would_be_ambiguous_are_refused() {
        assert!(names_lab("nat") && names_lab("nat-failover"));
        for name in ["", "nat-7", "Nat", "-nat", "nat/..", "nat failover"] {
            assert!(!names_lab(name), "{name:?}");
        }
        assert!(names_host("real-server1"));
        for name in ["", "1", "../client", "client one"] {
            assert!(!names_host(name), "{name:?}");
        }
    }
}
