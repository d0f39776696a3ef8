//! Files that an operator asks for, at fixed places in directories that anybody may write to.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Writes a file that nobody else can read, over the one that an earlier call has written.
///
/// # Errors
/// `InvalidInput` where there is something that this process has not made: a symbolic link,
/// a file of another user or with a second name, anything that is no file. It stays as it
/// is. Otherwise what the kernel says.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let refused = |what: &str| {
        let words = format!("{} {what}; remove it", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, words)
    };
    // Not truncated before it is known whose it is, and not waited for where it is a pipe.
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let descriptor = match rustix::fs::open(path, flags, mode) {
        Err(rustix::io::Errno::LOOP) => return Err(refused("is a symbolic link")),
        opened => opened?,
    };
    let mut file = File::from(descriptor);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(refused("is no file"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("belongs to another user"));
    }
    if found.nlink() != 1 {
        return Err(refused("has another name as well"));
    }
    rustix::fs::fchmod(&file, mode)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_a_file_of_our_own_is_written_over() {
        let directory = std::env::temp_dir().join(format!("dump-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = |name: &str| directory.join(name);
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();

        write(&path("dump"), "the first one").unwrap();
        write(&path("dump"), "second").unwrap();
        assert_eq!(read("dump"), "second");
        let mode = std::fs::metadata(path("dump")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o7777, 0o600);

        std::fs::write(path("precious"), "precious").unwrap();
        symlink(path("precious"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        std::fs::hard_link(path("precious"), path("name")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), fifo, mode, 0).unwrap();
        // Somebody reads the pipe, so that it can be opened for writing.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let _reader = rustix::fs::open(path("pipe"), flags, Mode::empty()).unwrap();
        for name in ["link", "dangling", "name", "pipe"] {
            let error = write(&path(name), "spoilt").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
        }
        assert_eq!(read("precious"), "precious");
        assert!(!path("nowhere").exists());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
