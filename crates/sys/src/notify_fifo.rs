//! Named pipes that events are written to, without ever waiting for a reader.

use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};

use crate::privilege::User;

/// A named pipe that is open for writing. It is open for reading as well, so that lines
/// wait for a reader that comes later, and none that goes breaks it.
#[derive(Debug)]
pub struct NotifyFifo(std::fs::File);

impl NotifyFifo {
    /// Makes the pipe where there is none, readable for all and writable for `owner`.
    ///
    /// Whether there was none.
    pub fn create(path: &Path, owner: &User) -> io::Result<bool> {
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        match rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let fifo = Self::open(path)?;
        rustix::fs::fchmod(&fifo.0, mode)?;
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&fifo.0, Some(uid), Some(gid))?;
        Ok(true)
    }

    /// Opens a pipe that is there.
    ///
    /// # Errors
    /// `InvalidInput` where there is something else: nothing is ever written to a file, nor
    /// through a symbolic link.
    pub fn open(path: &Path) -> io::Result<NotifyFifo> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode);
        if kind != FileType::Fifo {
            let words = format!("{} is no named pipe", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        Ok(NotifyFifo(std::fs::File::from(descriptor)))
    }

    /// Writes a line as a whole: Linux does not divide what is at most a page (pipe(7)).
    ///
    /// # Errors
    /// `WouldBlock` where nobody has read for long and the pipe is full: the line is lost.
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        match self.0.write(line.as_bytes())? {
            written if written == line.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn lines_wait_for_their_reader_and_files_are_refused() {
        let directory = std::env::temp_dir().join(format!("fifo-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let (path, file) = (directory.join("fifo"), directory.join("file"));
        let owner = User {
            name: String::new(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        assert!(NotifyFifo::create(&path, &owner).unwrap());
        assert!(!NotifyFifo::create(&path, &owner).unwrap());
        let mut fifo = NotifyFifo::open(&path).unwrap();
        fifo.write_line("VS [10.9.0.100]:tcp:80 UP").unwrap();
        let mut reader = NotifyFifo::open(&path).unwrap();
        let mut read = [0; 64];
        let length = reader.0.read(&mut read).unwrap();
        assert_eq!(&read[..length], b"VS [10.9.0.100]:tcp:80 UP\n");

        while fifo.write_line("and so on").is_ok() {}
        let full = fifo.write_line("and so on").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);

        std::fs::write(&file, "").unwrap();
        let refused = NotifyFifo::open(&file).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
