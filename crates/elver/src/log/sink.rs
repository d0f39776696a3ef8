//! What takes entries: sockets of the system's log, and files.
//!
//! Each call of `write` is one entry. One that nobody takes is lost, and the next tries again:
//! a log that is restarted gets what comes after.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Sockets that the system's log is given entries by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemLog {
    /// The journal of systemd, by its native protocol.
    Journal,
    /// Syslog.
    Syslog,
}

impl SystemLog {
    /// The better one of those that are there.
    pub(super) fn here() -> Option<SystemLog> {
        [SystemLog::Journal, SystemLog::Syslog]
            .into_iter()
            .find(|log| {
                std::fs::metadata(log.path()).is_ok_and(|found| found.file_type().is_socket())
            })
    }

    fn path(self) -> &'static str {
        match self {
            SystemLog::Journal => "/run/systemd/journal/socket",
            SystemLog::Syslog => "/dev/log",
        }
    }
}

/// A connection to the system's log.
#[derive(Debug)]
pub(super) struct Connection {
    to: SystemLog,
    socket: Option<UnixDatagram>,
}

impl Connection {
    /// A connection that is made with the first entry.
    pub(super) fn new(to: SystemLog) -> Connection {
        Connection { to, socket: None }
    }

    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(self.to.path())?;
                socket
            }
        };
        socket.send(octets)?;
        self.socket = Some(socket);
        Ok(())
    }
}

impl Write for Connection {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        // The second attempt is for a log that has been restarted.
        if self.send(octets).is_err() {
            let _ = self.send(octets);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that entries are appended to, so that it can be rotated by copying and truncating.
#[derive(Debug)]
pub(super) struct LogFile(File);

impl LogFile {
    /// Opens it, or makes it for its owner and group; never through a symbolic link.
    pub(super) fn open(path: &Path) -> io::Result<LogFile> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        Ok(LogFile(file))
    }
}

impl Write for LogFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
