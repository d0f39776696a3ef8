//! Scripts of the configuration: whom they run as, whether they may, and starting them.

use std::fmt;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::privilege::User;

/// Where a program without a directory is looked for.
const DIRECTORIES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

const SET_ID: u32 = 0o6000;
const EXECUTABLE: u32 = 0o111;
const GROUP_WRITABLE: u32 = 0o020;
const OTHERS_WRITABLE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a script is not run.
#[derive(Debug)]
pub enum Refusal {
    /// It has no words.
    Empty,
    /// Its program is not there, or cannot be looked at.
    Missing(String, io::Error),
    /// Its program is no file that can be executed.
    NotExecutable(PathBuf),
    /// Somebody other than root could change what runs as root.
    Insecure(PathBuf),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Empty => f.write_str("it names no program"),
            Refusal::Missing(program, error) => write!(f, "{program}: {error}"),
            Refusal::NotExecutable(path) => {
                write!(f, "{} is no executable file", path.display())
            }
            Refusal::Insecure(path) => write!(
                f,
                "it would run as root, and others than root can write to {}; \
                 take that permission away, or give the script a user",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// A command that runs a script: `words` are its program and arguments, at least one.
///
/// It becomes `user` with no group but the user's and `groups`, and unless that is root without any
/// capability. It inherits no descriptor, has `/dev/null` for its standard ones, and leads
/// a process group of its own.
///
/// With `secure` (`enable_script_security`), a script that would run as root is refused
/// where anybody else could replace it: its file or a directory above is writable by others.
/// Looked at is the file that is executed, with symbolic links resolved; whoever could change
/// it between the look and the execution is whom the look is for.
pub fn command(
    words: &[String],
    user: &User,
    groups: Vec<u32>,
    secure: bool,
) -> Result<Command, Refusal> {
    let (name, arguments) = words.split_first().ok_or(Refusal::Empty)?;
    let path = find(name).map_err(|error| Refusal::Missing(name.clone(), error))?;
    let metadata =
        std::fs::metadata(&path).map_err(|error| Refusal::Missing(name.clone(), error))?;
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & EXECUTABLE == 0 {
        return Err(Refusal::NotExecutable(path));
    }
    let is_set_id = mode & SET_ID != 0 && metadata.uid() == 0;
    if secure && (user.uid == 0 || is_set_id) {
        only_root_writes(&path)?;
    }
    let mut command = Command::new(&path);
    command
        .arg0(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .current_dir("/");
    let User { uid, gid, .. } = *user;
    // SAFETY: between fork and exec only system calls are made, which are async-signal-safe:
    // the process becomes the user, whose groups were found before, and descriptors are marked,
    // so that those that the program's own start needs until exec stay open.
    unsafe {
        command.pre_exec(move || {
            let became = libc::setgroups(groups.len(), groups.as_ptr()) == 0
                && libc::setresgid(gid, gid, gid) == 0
                && libc::setresuid(uid, uid, uid) == 0;
            if !became {
                return Err(io::Error::last_os_error());
            }
            let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
            match libc::close_range(3, libc::c_uint::MAX, flags) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    Ok(command)
}

/// Lets the files of a command get none of the permissions of `mask`.
pub fn set_umask(command: &mut Command, mask: u16) {
    // SAFETY: umask(2) is async-signal-safe, and cannot fail.
    unsafe {
        command.pre_exec(move || {
            libc::umask(mask.into());
            Ok(())
        });
    }
}

/// The file that a program's name means, without symbolic links.
///
/// # Errors
/// `NotFound` where there is none, or what the kernel says of its path.
pub fn find(name: &str) -> io::Result<PathBuf> {
    if name.contains('/') {
        return std::fs::canonicalize(name);
    }
    DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
        .and_then(std::fs::canonicalize)
}

/// Refuses a path that anybody but root can change, at its end or above.
fn only_root_writes(path: &Path) -> Result<(), Refusal> {
    for part in path.ancestors() {
        let metadata = std::fs::symlink_metadata(part)
            .map_err(|error| Refusal::Missing(part.display().to_string(), error))?;
        let mode = metadata.permissions().mode();
        // In a sticky directory nobody can replace what is root's.
        let is_sticky = metadata.is_dir() && mode & STICKY != 0;
        let others_write = mode & OTHERS_WRITABLE != 0 && !is_sticky;
        let group_writes = mode & GROUP_WRITABLE != 0 && metadata.gid() != 0 && !is_sticky;
        if metadata.uid() != 0 || others_write || group_writes {
            return Err(Refusal::Insecure(part.to_owned()));
        }
    }
    Ok(())
}

/// How a script is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Signals a script of [`command`] and all that it has started, by its process id. It must
/// not have been waited for yet, so that the id is its own.
pub fn signal(id: u32, signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    match i32::try_from(id).ok().and_then(Pid::from_raw) {
        Some(group) => Ok(rustix::process::kill_process_group(group, signal)?),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> User {
        User {
            name: "root".to_owned(),
            uid: 0,
            gid: 0,
        }
    }

    fn words(program: &Path) -> Vec<String> {
        vec![program.display().to_string()]
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_is_found_in_the_usual_directories_and_must_be_executable() {
        let found = command(&["true".to_owned()], &root(), Vec::new(), false).unwrap();
        assert!(Path::new(found.get_program()).is_absolute());
        let missing = command(
            &["no-such-program-here".to_owned()],
            &root(),
            Vec::new(),
            false,
        );
        assert!(matches!(missing, Err(Refusal::Missing(..))), "{missing:?}");
        let refused = command(&["/etc/passwd".to_owned()], &root(), Vec::new(), false);
        assert!(
            matches!(refused, Err(Refusal::NotExecutable(_))),
            "{refused:?}"
        );
        assert!(matches!(
            command(&[], &root(), Vec::new(), false),
            Err(Refusal::Empty)
        ));
    }

    /// Needs to be root: what root owns is what is trusted.
    #[test]
    fn what_others_can_write_does_not_run_as_root() {
        let directory = std::env::temp_dir().join(format!("script-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        set_mode(&directory, 0o755);
        let (script, link) = (directory.join("script"), directory.join("link"));
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        symlink(&script, &link).unwrap();
        let refused = |secure| match command(&words(&link), &root(), Vec::new(), secure) {
            Ok(_) => None,
            Err(Refusal::Insecure(path)) => Some(path),
            Err(other) => panic!("{other}"),
        };

        set_mode(&script, 0o755);
        assert_eq!(refused(true), None);
        set_mode(&script, 0o757);
        assert_eq!(refused(true), Some(script.clone()));
        assert_eq!(refused(false), None, "only with script security");
        let nobody = User {
            name: "nobody".to_owned(),
            uid: 65534,
            gid: 65534,
        };
        assert!(command(&words(&script), &nobody, Vec::new(), true).is_ok());

        set_mode(&script, 0o755);
        set_mode(&directory, 0o777);
        assert_eq!(refused(true), Some(directory.clone()));
        set_mode(&directory, 0o1777);
        assert_eq!(refused(true), None, "sticky");
        std::os::unix::fs::chown(&script, Some(65534), None).unwrap();
        assert_eq!(refused(true), Some(script.clone()));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    /// Needs to be root, since it becomes others.
    #[test]
    fn a_script_has_the_groups_that_it_is_given_and_no_other() {
        let groups = |user: User, groups: Vec<u32>| {
            let words = ["id", "-G"].map(str::to_owned);
            let mut command = command(&words, &user, groups, false).unwrap();
            let output = command.stdout(Stdio::piped()).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let nobody = || User {
            name: "nobody".to_owned(),
            uid: 65534,
            gid: 65534,
        };
        assert_eq!(groups(nobody(), Vec::new()), "65534");
        assert_eq!(groups(nobody(), vec![4, 20]), "65534 4 20");
        assert_eq!(groups(root(), Vec::new()), "0");
    }
}
