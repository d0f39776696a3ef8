//! Processes of this program: starting one, and being one.
//!
//! A child is a fresh exec of the running program (`/proc/self/exe`, so the same
//! version even when the file on disk has been replaced). It has one stream socket
//! to its parent, on descriptor 0, and its parent's standard output and error;
//! nothing else is inherited.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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

/// A running process, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningProcess {
    /// Its process id.
    pub id: u32,
    /// That of its parent; 0 where that is not known.
    pub parent: u32,
    /// The first 15 bytes of the name of its program (`/proc/PID/comm`).
    pub name: String,
    /// Its network namespace, as an identity to compare (`/proc/PID/ns/net`); `None`
    /// where it is a zombie or not ours to see.
    pub network_namespace: Option<PathBuf>,
    /// The file that it runs (`/proc/PID/exe`), with ` (deleted)` behind it where it has been
    /// replaced since; `None` as before.
    pub program: Option<PathBuf>,
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
            parent: std::fs::read_to_string(directory.join("stat"))
                .ok()
                .and_then(|stat| parent(&stat))
                .unwrap_or(0),
            name: name.trim_end_matches('\n').to_owned(),
            network_namespace: std::fs::read_link(directory.join("ns/net")).ok(),
            program: std::fs::read_link(directory.join("exe")).ok(),
        });
    }
    Ok(found)
}

/// The parent in `/proc/PID/stat`: the second word behind the name, which may have spaces and
/// parentheses.
fn parent(stat: &str) -> Option<u32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
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

/// Makes another process of this one, in a session of its own; whether this is the new one is
/// the answer. It stays in its folder, so that paths mean to it what they meant.
///
/// # Errors
/// Where this process has more than one thread: the others would be missing in the new one.
pub fn fork_into_background() -> io::Result<bool> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other(
            "a process with several threads cannot go into the background",
        ));
    }
    // SAFETY: there is a single thread, so the new process is this one in every respect, and
    // no lock is held by a thread that it has not.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::setsid()?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Starts a program in a session of its own, which outlives the terminal of this one.
pub fn spawn_in_own_session(command: &mut Command) -> io::Result<Child> {
    // SAFETY: what runs between fork and exec makes a single system call.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    command.spawn()
}

/// Puts `/dev/null` in the place of standard input, output and error.
pub fn release_terminal() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Sets the bits of access that files made from now on do not have.
pub fn set_umask(mask: u32) {
    rustix::process::umask(Mode::from_bits_truncate(mask));
}

/// Lets a crash of this process and of its children leave a core file of any size.
pub fn permit_core_dumps() -> io::Result<()> {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    rustix::process::setrlimit(Resource::Core, unlimited)?;
    Ok(())
}

/// Lets a descriptor stay open when this process runs another program, and gives back the
/// number by which that program finds it ([`inherited`]).
pub fn keep_across_exec(descriptor: &impl AsFd) -> io::Result<RawFd> {
    rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
    Ok(descriptor.as_fd().as_raw_fd())
}

/// The stream socket that the program before this one in the same process has kept open under
/// this number.
///
/// To be called once for each number, and before this process has opened much.
///
/// # Errors
/// Where no socket is open under this number.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a descriptor that is not open gives an error, and is not closed by anybody: it
    // is borrowed for these two calls alone.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    if rustix::net::sockopt::socket_type(descriptor)? != rustix::net::SocketType::STREAM {
        return Err(rustix::io::Errno::NOTSOCK.into());
    }
    rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and nothing in this program has opened it, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Kills a child of this process that the program before this one has started, and waits for
/// its end.
pub fn end_child(id: u32) -> io::Result<()> {
    kill(id);
    let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    rustix::process::waitpid(Some(id), rustix::process::WaitOptions::empty())?;
    Ok(())
}

/// Runs the program at the place of this one, as it is there now, in this process and with the
/// arguments that this one was given. Comes back only if that cannot be done.
pub fn succeed_to_newest() -> io::Error {
    let path = match std::fs::read_link("/proc/self/exe") {
        Ok(path) => path,
        Err(error) => return error,
    };
    // The kernel says so of a file that was replaced.
    let text = path.as_os_str().as_encoded_bytes();
    let text = text.strip_suffix(b" (deleted)").unwrap_or(text);
    let path = OsStr::from_bytes(text);
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| path.to_owned());
    Command::new(path).arg0(name).args(arguments).exec()
}

/// Sets the name by which this process is listed (`/proc/PID/comm`), of at most 15 octets.
pub fn set_name(name: &CStr) -> io::Result<()> {
    rustix::thread::set_name(name)?;
    Ok(())
}
