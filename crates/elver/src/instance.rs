//! An instance of elver: a name that keeps several directors on one host apart.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::command_line::DEFAULT_INSTANCE;
use elver_sys::process;

/// The name of an instance.
///
/// Pins, sockets, lock and records of an instance have paths of their own, made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance(String);

/// The most characters of a name.
const LONGEST_NAME: usize = 64;

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

impl Instance {
    /// The instance by the name that keepalived.conf gives it, which may have any characters:
    /// those that a name cannot have are replaced.
    pub(crate) fn like(name: &str) -> Instance {
        let replace = |character| match is_allowed(character) {
            true => character,
            false => '_',
        };
        Instance(name.chars().map(replace).take(LONGEST_NAME).collect())
    }

    /// The name, for paths and messages.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is the one that nobody has named.
    pub(crate) fn is_default(&self) -> bool {
        self.0 == DEFAULT_INSTANCE
    }

    /// Where the files of the running instance are: readable and writable by root alone.
    pub(crate) fn directory(&self) -> PathBuf {
        PathBuf::from("/run/elver").join(&self.0)
    }

    /// Names the files of a real server beside those of directors: no director can have a name
    /// with a dot.
    pub(crate) fn of_real_server(&self) -> Instance {
        Instance(format!("real-server.{}", self.0))
    }

    /// The socket of the control protocol.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory().join("control")
    }

    /// The record of the addresses that this instance may have put on interfaces.
    pub(crate) fn address_record(&self) -> PathBuf {
        self.directory().join("addresses")
    }

    /// The record of what else this instance may have changed on the host.
    pub(crate) fn host_record(&self) -> PathBuf {
        self.directory().join("host")
    }

    /// The record of the real servers that were discovered.
    pub(crate) fn discovered(&self) -> PathBuf {
        self.directory().join("discovered")
    }

    /// The record of the settings of sync daemons.
    pub(crate) fn sync_daemons(&self) -> PathBuf {
        self.directory().join("sync_daemons")
    }

    /// The record of the tables of nft that this instance may have made.
    pub(crate) fn nftables_record(&self) -> PathBuf {
        self.directory().join("nftables")
    }

    /// What a vrrp process holds locked for as long as it may hold addresses.
    fn vrrp_lock(&self) -> PathBuf {
        self.directory().join("vrrp")
    }

    /// Waits until no other vrrp process of this instance runs, and keeps others waiting
    /// until the lock is dropped.
    pub(crate) fn lock_vrrp(&self) -> io::Result<VrrpLock> {
        let lock = self.open_vrrp_lock()?;
        process::lock(&lock.file)?;
        Ok(lock)
    }

    /// [`Instance::lock_vrrp`] for those who cannot wait for ever; `None` if another vrrp
    /// process runs for longer than `patience`.
    pub(crate) fn lock_vrrp_within(&self, patience: Duration) -> io::Result<Option<VrrpLock>> {
        const PAUSE: Duration = Duration::from_millis(10);
        let lock = self.open_vrrp_lock()?;
        let start = Instant::now();
        while !process::try_lock(&lock.file)? {
            if start.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Some(lock))
    }

    fn open_vrrp_lock(&self) -> io::Result<VrrpLock> {
        self.create_directory()?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.vrrp_lock())?;
        Ok(VrrpLock { file })
    }

    fn pid_file(&self) -> PathBuf {
        self.directory().join("pid")
    }

    /// Makes the directory of the instance, if it is not there.
    pub(crate) fn create_directory(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create("/run/elver")?;
        match DirBuilder::new().mode(0o700).create(self.directory()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Instance {
    type Err = &'static str;

    /// Letters, digits, `-` and `_`, at most 64: what may stand in a path everywhere
    /// that the name is used (the BPF file system allows no dot).
    fn from_str(name: &str) -> Result<Instance, Self::Err> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err("the name of an instance has 1 to 64 characters");
        }
        if !name.chars().all(is_allowed) {
            return Err("the name of an instance has letters, digits, - and _ only");
        }
        Ok(Instance(name.to_owned()))
    }
}

/// Held by the one vrrp process of an instance that may touch its addresses.
#[derive(Debug)]
pub(crate) struct VrrpLock {
    file: File,
}

/// The mark of a running director: a locked file with its process id.
///
/// The lock, not the file, says that the instance runs, so nothing is left behind by
/// one that was killed.
#[derive(Debug)]
pub(crate) struct PidFile {
    file: File,
    path: PathBuf,
}

/// Why an instance is not ours.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A process holds it; its id, if it has written it already.
    By(Option<u32>),
    /// The file cannot be used.
    Unusable(PathBuf, io::Error),
}

impl PidFile {
    /// Takes the instance for this process.
    pub(crate) fn acquire(instance: &Instance) -> Result<PidFile, Taken> {
        let path = instance.pid_file();
        let unusable = |error| Taken::Unusable(path.clone(), error);
        instance.create_directory().map_err(unusable)?;
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(&path)
                .map_err(unusable)?;
            if !process::try_lock(&file).map_err(unusable)? {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(unusable)?;
                return Err(Taken::By(text.trim().parse().ok()));
            }
            // A director that was just leaving may have removed the file before it let
            // go of the lock; then this one has no name, and the next comer another.
            let ours = file.metadata().map_err(unusable)?;
            match std::fs::metadata(&path) {
                Ok(named) if named.ino() == ours.ino() && named.dev() == ours.dev() => {
                    let mut pid_file = PidFile { file, path };
                    pid_file
                        .write()
                        .map_err(|error| Taken::Unusable(pid_file.path.clone(), error))?;
                    return Ok(pid_file);
                }
                _ => {}
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", std::process::id())
    }

    /// Gives the instance back: its socket, its lock and its directory go, if nothing
    /// else is in there.
    pub(crate) fn remove(self, instance: &Instance) -> io::Result<()> {
        remove_if_there(&instance.control_socket())?;
        // A vrrp process whose director was killed may hold it still; the next one must meet it.
        if instance.lock_vrrp_within(Duration::ZERO)?.is_some() {
            remove_if_there(&instance.vrrp_lock())?;
        }
        std::fs::remove_file(&self.path)?;
        match std::fs::remove_dir(instance.directory()) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => other,
        }
    }
}

/// Removes a file; that there is none is fine.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_paths() {
        for good in ["default", "lab-1", "A_b", "0"] {
            assert_eq!(good.parse::<Instance>().unwrap().name(), good);
        }
        for bad in ["", ".", "..", "a/b", "a.b", "a b", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<Instance>().is_err(), "{bad:?}");
        }
    }
}
