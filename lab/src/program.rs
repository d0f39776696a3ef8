//! Programs that the lab starts, and their end.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::lab::Estate;
use crate::wait::limit_here;
use crate::{Error, Result};

/// How long a program may take to end after SIGTERM, before SIGKILL.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// A program that runs in the background in a host of a lab; dropping it ends it.
#[derive(Debug)]
pub struct Program {
    process: Arc<Process>,
}

impl Program {
    /// Starts `command`, whose output and errors go to the log `name`.log of the lab; `farewell`
    /// is the signal that ends it.
    pub(crate) fn start(
        estate: &Estate,
        name: &str,
        command: &mut Command,
        farewell: Signal,
    ) -> Result<Self> {
        let log = estate.directory().join(format!("{name}.log"));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::system(format!("open {}", log.display())))?;
        let errors = file
            .try_clone()
            .map_err(Error::system("copy a descriptor"))?;
        // In a process group of its own, so that Ctrl-C reaches the lab alone, which then
        // ends its programs in order.
        command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0);
        estate.while_standing(|made| {
            let line = command_line(command);
            let child = command
                .spawn()
                .map_err(Error::system(format!("start `{line}`")))?;
            let process = Arc::new(Process::new(line, child, log, farewell)?);
            made.processes.retain(|other| other.strong_count() > 0);
            made.processes.push(Arc::downgrade(&process));
            Ok(Self { process })
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// What the program has written so far, output and errors in the order written.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.process.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The file of [`Program::log`].
    pub fn log_path(&self) -> &Path {
        &self.process.log
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        !wait_for_exit(&self.process.descriptor, Duration::ZERO)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.process.descriptor, signal)
            .map_err(|error| Error::system(format!("signal `{}`", self.process.line))(error.into()))
    }

    /// Waits for the program to end by itself.
    pub fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let limit = limit_here(limit);
        if !wait_for_exit(&self.process.descriptor, limit) {
            return Err(Error::Unmet {
                awaited: format!("`{}` to end", self.process.line),
                seen: "it still runs".to_owned(),
                limit,
            });
        }
        self.process
            .reap()
            .map_err(Error::system("wait for a child"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.stop();
    }
}

/// A started process, whose descriptor keeps its number from being mistaken for another's.
#[derive(Debug)]
pub(crate) struct Process {
    line: String,
    id: u32,
    descriptor: OwnedFd,
    child: Mutex<Child>,
    log: PathBuf,
    farewell: Signal,
}

impl Process {
    fn new(line: String, mut child: Child, log: PathBuf, farewell: Signal) -> Result<Self> {
        let id = child.id();
        match descriptor_of(&child) {
            Ok(descriptor) => Ok(Self {
                line,
                id,
                descriptor,
                child: Mutex::new(child),
                log,
                farewell,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Error::system(format!("open process {id}"))(error))
            }
        }
    }

    /// Ends the process: asks first, kills when it takes too long.
    pub(crate) fn stop(&self) {
        // An error says that it has ended, which is what is wanted.
        let _ = pidfd_send_signal(&self.descriptor, self.farewell);
        if !wait_for_exit(&self.descriptor, limit_here(LEAVE_LIMIT)) {
            eprintln!(
                "elver-lab: `{}` does not end when asked to, and is killed",
                self.line
            );
            let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
        }
        let _ = self.reap();
    }

    fn reap(&self) -> io::Result<ExitStatus> {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait()
    }
}

/// What a program left that ran to its end.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a program that succeeded; an error from any other.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let complaint = if self.stderr.trim().is_empty() {
            self.stdout
        } else {
            self.stderr
        };
        Err(Error::Command {
            command: self.command,
            status: self.status,
            complaint: complaint.trim().to_owned(),
        })
    }
}

/// Runs `command` to its end, and kills it if that takes longer than `limit`.
pub(crate) fn run_to_end(command: &mut Command, limit: Duration) -> Result<Output> {
    let limit = limit_here(limit);
    let line = command_line(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .map_err(Error::system(format!("start `{line}`")))?;
    let descriptor = descriptor_of(&child).map_err(Error::system(format!("open `{line}`")))?;
    let (output, in_time) = std::thread::scope(|scope| {
        let watchdog = scope.spawn(|| {
            let in_time = wait_for_exit(&descriptor, limit);
            if !in_time {
                let _ = pidfd_send_signal(&descriptor, Signal::KILL);
            }
            in_time
        });
        (child.wait_with_output(), watchdog.join().unwrap_or(false))
    });
    let output = output.map_err(Error::system(format!("read from `{line}`")))?;
    let output = Output {
        command: line,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if !in_time {
        return Err(Error::Unmet {
            awaited: format!("`{}` to end", output.command),
            seen: format!("{}{}", output.stdout, output.stderr),
            limit,
        });
    }
    Ok(output)
}

/// Waits until the process of `descriptor` has ended, and tells whether it has.
pub(crate) fn wait_for_exit(descriptor: impl AsFd, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        // A process descriptor becomes readable when its process ends (pidfd_open(2)).
        match poll(
            &mut [PollFd::new(&descriptor, PollFlags::IN)],
            timeout.as_ref(),
        ) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn descriptor_of(child: &Child) -> io::Result<OwnedFd> {
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
