//! Network namespaces: entering one, and starting programs in one.
//!
//! Only the network namespace changes. The mount namespace stays the caller's, so
//! that `/sys/fs/bpf` and `/run` are the same on both sides (`ip netns exec` gives
//! its program another `/sys`, in which pinned maps cannot be seen).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use rustix::thread::LinkNameSpaceType;

/// An open network namespace.
///
/// It exists for as long as this descriptor does, whatever becomes of its name.
#[derive(Debug)]
pub struct NetworkNamespace {
    descriptor: OwnedFd,
}

impl NetworkNamespace {
    /// Opens the namespace at `path`: `/run/netns/NAME` or `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            descriptor: File::open(path)?.into(),
        })
    }

    /// Moves the calling thread, and no other, into the namespace.
    ///
    /// Sockets opened from then on belong to it, and keep belonging to it on
    /// whichever thread they are used. Needs CAP_SYS_ADMIN.
    pub fn enter(&self) -> io::Result<()> {
        enter(self.descriptor.as_fd())
    }

    /// Runs `work` on a thread of its own inside the namespace, and gives back its result.
    ///
    /// A panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, || {
                self.enter()?;
                Ok(work())
            })?;
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes `command` start in the namespace, and receive `farewell` when its parent dies.
    ///
    /// The parent, to the kernel, is the *thread* that spawns `command`
    /// (PR_SET_PDEATHSIG(2const)): spawn from one that lives as long as the program should.
    pub fn host(&self, command: &mut Command, farewell: Signal) -> io::Result<()> {
        let descriptor = self.descriptor.try_clone()?;
        let parent = rustix::process::getpid();
        let before_exec = move || {
            enter(descriptor.as_fd())?;
            rustix::process::set_parent_process_death_signal(Some(farewell))?;
            // The parent may have died before the request was made.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe));
            }
            Ok(())
        };
        // SAFETY: between fork and exec only async-signal-safe work is allowed. The closure
        // makes three system calls (setns, prctl, getppid), takes no lock and allocates
        // nothing: its errors are plain error numbers or kinds. The descriptor that it
        // owns stays open until `command` is dropped.
        unsafe { command.pre_exec(before_exec) };
        Ok(())
    }
}

impl AsFd for NetworkNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
        .map_err(io::Error::from)
}
