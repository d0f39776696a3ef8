//! Telling which processes run.
//!
//! The kernel's process events (`cn_proc`) reach the first network namespace only. So the
//! table of processes is read again and again, and the end of those that matter is told by
//! their descriptors (pidfd_open(2)) at once.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Time from one look at the table to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Looking at a table of very many processes takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// A process that runs; zombies do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenProcess {
    /// Its id.
    pub id: u32,
    /// Its name, at most 15 octets (`/proc/PID/comm`).
    pub name: String,
    /// The words of its command line, where they were asked for.
    pub command_line: Vec<String>,
}

/// A thread that watches processes; it ends when this is dropped.
#[derive(Debug)]
pub struct ProcessWatch {
    _end: OwnedFd,
}

impl ProcessWatch {
    /// Calls `look`, in a thread of its own, with all processes that run, at once, every
    /// second, and when one of those ends whose ids it has given back.
    ///
    /// `command_lines` says whether these are read: for that the kernel looks into the memory
    /// of the process.
    ///
    /// # Errors
    /// What the kernel says about the pipe or the thread.
    pub fn start(
        command_lines: bool,
        look: impl FnMut(&[SeenProcess]) -> Vec<u32> + Send + 'static,
    ) -> io::Result<ProcessWatch> {
        let (ended, end) = pipe_with(PipeFlags::CLOEXEC)?;
        std::thread::Builder::new()
            .name("process-watch".to_owned())
            .spawn(move || {
                if let Err(error) = watch(command_lines, &ended, look) {
                    tracing::error!("processes are not watched any more: {error}");
                }
            })?;
        Ok(ProcessWatch { _end: end })
    }
}

fn watch(
    command_lines: bool,
    ended: &OwnedFd,
    mut look: impl FnMut(&[SeenProcess]) -> Vec<u32>,
) -> io::Result<()> {
    loop {
        let start = Instant::now();
        let matter = look(&running(command_lines)?);
        let descriptors: Vec<OwnedFd> = matter.into_iter().filter_map(descriptor).collect();
        let pause = INTERVAL.max(start.elapsed() * SHARE);
        let mut ready = vec![PollFd::new(ended, PollFlags::IN)];
        ready.extend(descriptors.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let timeout = Timespec::try_from(pause).map_err(io::Error::other)?;
        match poll(&mut ready, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[0].revents().is_empty() {
            return Ok(());
        }
    }
}

fn descriptor(id: u32) -> Option<OwnedFd> {
    let id = Pid::from_raw(i32::try_from(id).ok()?)?;
    // One that has ended meanwhile is missed by the next look.
    pidfd_open(id, PidfdFlags::empty()).ok()
}

fn running(command_lines: bool) -> io::Result<Vec<SeenProcess>> {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since the directory was read.
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else {
            continue;
        };
        let Some(name) = name_if_alive(&String::from_utf8_lossy(&stat)) else {
            continue;
        };
        let mut command_line = Vec::new();
        if command_lines && let Ok(octets) = std::fs::read(entry.path().join("cmdline")) {
            let octets = octets.strip_suffix(&[0]).unwrap_or(&octets);
            if !octets.is_empty() {
                let words = octets.split(|octet| *octet == 0);
                command_line.extend(words.map(|w| String::from_utf8_lossy(w).into_owned()));
            }
        }
        seen.push(SeenProcess {
            id,
            name,
            command_line,
        });
    }
    Ok(seen)
}

/// The name in a line `PID (NAME) STATE …` (proc(5)); a name may have parentheses and blanks.
fn name_if_alive(stat: &str) -> Option<String> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(") ")?;
    (!rest.starts_with(['Z', 'X', 'x'])).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn names_are_read_from_proc() {
        assert_eq!(name_if_alive("7 (a) b) S 1").as_deref(), Some("a) b"));
        assert_eq!(name_if_alive("7 (a b) Z 1"), None);
        assert_eq!(name_if_alive(""), None);
    }

    #[test]
    fn a_process_is_seen_to_run_and_to_end() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000.25")
            .spawn()
            .unwrap();
        let (sender, receiver) = mpsc::channel();
        let _watch = ProcessWatch::start(true, move |processes| {
            let is_it = |process: &&SeenProcess| {
                process.name == "sleep" && process.command_line == ["sleep", "1000.25"]
            };
            let found: Vec<u32> = processes.iter().filter(is_it).map(|p| p.id).collect();
            let _ = sender.send(found.clone());
            found
        })
        .unwrap();
        let becomes = |wanted: &[u32]| {
            while receiver.recv_timeout(Duration::from_secs(30)).unwrap() != wanted {}
        };
        becomes(&[child.id()]);
        child.kill().unwrap();
        // Not waited for yet: what is left of it does not run.
        becomes(&[]);
        child.wait().unwrap();
    }
}
