//! Looking at the files and processes that instances track, in threads of their own: a disk
//! that stalls, or a long table of processes, delays no advertisement.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use elver_core::config::model::{InitialContent, TrackedFile, TrackedProcess, Trackers};
use elver_sys::file_watch::FileWatch;
use elver_sys::process_watch::{ProcessWatch, SeenProcess};
use rustix::fs::OFlags;
use tokio::sync::mpsc;
use tracing::{error, warn};

/// The longest text of a number that is read.
const LONGEST_NUMBER: u64 = 127;

/// Something that was looked at.
#[derive(Debug)]
pub(crate) enum Observation {
    /// A file.
    File { name: String, value: i64 },
    /// Processes.
    Processes { name: String, count: u32 },
}

/// What is looked at.
pub(crate) struct Watches {
    files: Option<(Vec<TrackedFile>, FileWatch)>,
    processes: Option<(Vec<TrackedProcess>, ProcessWatch)>,
    sender: mpsc::UnboundedSender<Observation>,
    observations: mpsc::UnboundedReceiver<Observation>,
    /// Whether a configuration was taken up before.
    started: bool,
}

impl Watches {
    pub(crate) fn new() -> Watches {
        let (sender, observations) = mpsc::unbounded_channel();
        Watches {
            files: None,
            processes: None,
            sender,
            observations,
            started: false,
        }
    }

    /// Looks at these from now on, and says at once what is seen of those that are new.
    pub(crate) fn start(&mut self, trackers: &Trackers) {
        let reloaded = std::mem::replace(&mut self.started, true);
        if self.files.as_ref().map_or(&[][..], |(files, _)| files) != trackers.files {
            self.files = None;
            match self.watch_files(trackers.files.clone(), reloaded) {
                Ok(watch) => self.files = Some((trackers.files.clone(), watch)),
                Err(error) => error!("tracked files are not read: {error}"),
            }
        }
        if self.processes.as_ref().map_or(&[][..], |(known, _)| known) != trackers.processes {
            self.processes = None;
            match self.watch_processes(trackers.processes.clone()) {
                Ok(watch) => self.processes = Some((trackers.processes.clone(), watch)),
                Err(error) => error!("tracked processes are not looked for: {error}"),
            }
        }
    }

    /// The next thing that was seen. Nothing is lost when this is cancelled.
    pub(crate) async fn next(&mut self) -> Option<Observation> {
        self.observations.recv().await
    }

    fn watch_files(&self, files: Vec<TrackedFile>, reloaded: bool) -> io::Result<FileWatch> {
        let sender = self.sender.clone();
        let paths = files.iter().map(|file| PathBuf::from(&file.path)).collect();
        let mut initialised = vec![false; files.len()];
        FileWatch::start(paths, move |position| {
            let TrackedFile {
                name,
                path,
                initial,
            } = &files[position];
            if let Some(initial) = initial
                && !std::mem::replace(&mut initialised[position], true)
            {
                initialise(Path::new(path), *initial, reloaded);
            }
            match read_number(Path::new(path)) {
                Some(value) => {
                    let name = name.clone();
                    // Nobody listens when the process itself ends.
                    let _ = sender.send(Observation::File { name, value });
                }
                None => warn!("{path}: the number in it is too large: ignored"),
            }
        })
    }

    fn watch_processes(&self, tracked: Vec<TrackedProcess>) -> io::Result<ProcessWatch> {
        let sender = self.sender.clone();
        let command_lines = tracked.iter().any(|tracked| tracked.by_command_line);
        let mut told: BTreeMap<String, u32> = BTreeMap::new();
        ProcessWatch::start(command_lines, move |processes| {
            let mut matter = Vec::new();
            for tracked in &tracked {
                let before = matter.len();
                matter.extend(
                    processes
                        .iter()
                        .filter(|p| is_one(tracked, p))
                        .map(|p| p.id),
                );
                let count = u32::try_from(matter.len() - before).unwrap_or(u32::MAX);
                if told.insert(tracked.name.clone(), count) != Some(count) {
                    let name = tracked.name.clone();
                    let _ = sender.send(Observation::Processes { name, count });
                }
            }
            matter
        })
    }
}

fn is_one(tracked: &TrackedProcess, process: &SeenProcess) -> bool {
    let words: Vec<&str> = process.command_line.iter().map(String::as_str).collect();
    tracked.matches(&process.name, &words)
}

/// Writes the number that a file is to hold at the start. A file that is there stays unless it
/// is to be overwritten, which happens at the start only and to regular files only.
fn initialise(path: &Path, initial: InitialContent, reloaded: bool) {
    let written = match std::fs::symlink_metadata(path) {
        Ok(_) if !initial.overwrite || reloaded => return,
        Ok(found) if !found.is_file() => Err(io::Error::other("it is no regular file")),
        Ok(_) => std::fs::write(path, format!("{}\n", initial.value)),
        Err(_) => std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| {
                io::Write::write_all(&mut file, format!("{}\n", initial.value).as_bytes())
            }),
    };
    if let Err(error) = written {
        error!("{}: cannot be initialised: {error}", path.display());
    }
}

/// The number in a file, as strtol(3) reads it: 0 where there is none, and none where it has
/// more than 32 bits.
fn read_number(path: &Path) -> Option<i64> {
    let mut text = Vec::new();
    // A pipe without a writer must not hold the thread up.
    let opened = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    if let Ok(file) = opened {
        // What cannot be read counts as empty.
        let _ = std::fs::File::from(file)
            .take(LONGEST_NUMBER)
            .read_to_end(&mut text);
    }
    number(&String::from_utf8_lossy(&text))
}

fn number(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, base) = match hexadecimal {
        Some(rest) => (rest, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    let mut value: i64 = 0;
    for digit in digits.chars().map_while(|c| c.to_digit(base)) {
        value = value
            .checked_mul(i64::from(base))?
            .checked_add(i64::from(digit))?;
    }
    let value = if negative { -value } else { value };
    (i64::from(i32::MIN)..=i64::from(i32::MAX) + 1)
        .contains(&value)
        .then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtol_reads_them() {
        for (text, expected) in [
            ("", Some(0)),
            ("none", Some(0)),
            (" 12\n", Some(12)),
            ("-254 and more", Some(-254)),
            ("+7", Some(7)),
            ("0x1f", Some(31)),
            ("0x", Some(0)),
            ("017", Some(15)),
            ("2147483648", Some(2_147_483_648)),
            ("2147483649", None),
            ("99999999999999999999", None),
            ("-2147483648", Some(-2_147_483_648)),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
