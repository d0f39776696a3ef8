//! Processes of this program: starting one, and being one.
//!
//! A child is a fresh exec of the running program (`/proc/self/exe`, so the same
//! version even when the file on disk has been replaced). It has one stream socket
//! to its parent, on descriptor 0, and its parent's standard output and error;
//! nothing else is inherited.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit};

/// A command that runs this program again with `arguments`, and this side's end of
/// the socket that the new process has for [`parent_socket`].
pub fn this_program<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> io::Result<(Command, UnixStream)> {
    let (here, there) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("elver")
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(there)))
        // The terminal interrupts the parent alone, which ends its children in order.
        .process_group(0)
        .current_dir("/");
    Ok((command, here))
}

/// The child's end of the socket to its parent.
///
/// To be called once, first of all: it closes every other inherited descriptor but
/// standard output and error, and leaves `/dev/null` as standard input. Fails with
/// `ENOTSOCK` if the process was not started by [`this_program`].
pub fn parent_socket() -> io::Result<UnixStream> {
    // A type that is no stream socket's, or no socket at all, is not from our parent.
    let standard_input = rustix::stdio::stdin();
    let kind = rustix::net::sockopt::socket_type(standard_input)?;
    if kind != rustix::net::SocketType::STREAM {
        return Err(rustix::io::Errno::NOTSOCK.into());
    }
    close_inherited();
    let socket = rustix::io::fcntl_dupfd_cloexec(standard_input, 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null)?;
    Ok(UnixStream::from(socket))
}

fn close_inherited() {
    // SAFETY: called before this process has opened anything of its own, so no owner
    // of a descriptor loses it; the three standard descriptors stay open.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}

/// Lets this process have as many open descriptors as the system allows it.
///
/// Gives back how many that is; `None`: without a limit.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(limit.maximum)
}

/// The process at the other end of a connected Unix socket: its process and user id.
pub fn peer(socket: &impl AsFd) -> io::Result<(u32, u32)> {
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    let process = credentials.pid.as_raw_nonzero().get();
    Ok((process.unsigned_abs(), credentials.uid.as_raw()))
}

/// A running process, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningProcess {
    /// Its process id.
    pub id: u32,
    /// The first 15 bytes of the name of its program (`/proc/PID/comm`).
    pub name: String,
    /// Its network namespace, as an identity to compare (`/proc/PID/ns/net`); `None`
    /// where it is a zombie or not ours to see.
    pub network_namespace: Option<PathBuf>,
}

/// All processes that this one can see, in no particular order.
pub fn running() -> io::Result<Vec<RunningProcess>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let directory = entry?.path();
        let id = directory.file_name().and_then(OsStr::to_str);
        let Some(id) = id.and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since the directory was read.
        let Ok(name) = std::fs::read_to_string(directory.join("comm")) else {
            continue;
        };
        found.push(RunningProcess {
            id,
            name: name.trim_end_matches('\n').to_owned(),
            network_namespace: std::fs::read_link(directory.join("ns/net")).ok(),
        });
    }
    Ok(found)
}

/// This process's network namespace, to compare with
/// [`RunningProcess::network_namespace`].
pub fn own_network_namespace() -> io::Result<PathBuf> {
    std::fs::read_link("/proc/thread-self/ns/net")
}

/// Takes the lock of an open file for this process, without waiting.
///
/// Whether it was free. It is held until `file` and its copies are closed, so also
/// when the process is killed.
pub fn try_lock(file: &impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock of an open file for this process, and waits for it if need be.
pub fn lock(file: &impl AsFd) -> io::Result<()> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(())
}

/// Sends SIGKILL. The process must be a child of this one that was not waited for yet,
/// so that its id is its own; one that has ended is left alone.
pub fn kill(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}
