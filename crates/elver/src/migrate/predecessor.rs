//! The keepalived that runs, and how it is started again.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use elver_sys::process;
use rustix::process::{Pid, Signal};

use super::LOOK_AGAIN;
use crate::director;
use crate::failure::Failure;
use crate::firewall::PATH;

/// How long keepalived may take to leave, and to come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where systemd runs there is this folder (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

/// A keepalived that runs in this network namespace.
#[derive(Debug)]
pub(super) struct Predecessor {
    id: u32,
    program: PathBuf,
    /// The first of them is its name.
    command_line: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    /// The unit of systemd that it runs in.
    unit: Option<String>,
}

impl Predecessor {
    /// The one that there is.
    ///
    /// # Errors
    /// There are several.
    pub(super) fn find() -> Result<Option<Predecessor>, Failure> {
        let parents = director::keepalived_processes()?;
        match &*parents {
            [] => Ok(None),
            [parent] => Predecessor::read(parent.id)
                .map(Some)
                .map_err(Failure::system(format!("reading /proc/{}", parent.id))),
            several => {
                let ids: Vec<String> = several.iter().map(|each| each.id.to_string()).collect();
                Err(Failure::Refused(format!(
                    "several keepalived run in this network namespace (processes {}): stop all \
                     but one",
                    ids.join(", ")
                )))
            }
        }
    }

    fn read(id: u32) -> io::Result<Predecessor> {
        let folder = Path::new("/proc").join(id.to_string());
        let words = |name| -> io::Result<Vec<OsString>> {
            let octets = std::fs::read(folder.join(name))?;
            let octets = octets.strip_suffix(&[0]).unwrap_or(&octets);
            let words = octets.split(|octet| *octet == 0);
            Ok(words
                .filter(|_| !octets.is_empty())
                .map(|word| OsString::from_vec(word.to_vec()))
                .collect())
        };
        let environment = words("environ")?.into_iter().filter_map(|word| {
            let octets = word.into_vec();
            let end = octets.iter().position(|octet| *octet == b'=')?;
            let (name, value) = octets.split_at(end);
            let of = |octets: &[u8]| OsString::from_vec(octets.to_vec());
            Some((of(name), of(&value[1..])))
        });
        let groups = std::fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        Ok(Predecessor {
            id,
            program: std::fs::read_link(folder.join("exe"))?,
            command_line: words("cmdline")?,
            environment: environment.collect(),
            directory: std::fs::read_link(folder.join("cwd"))?,
            unit: Path::new(SYSTEMD)
                .exists()
                .then(|| unit_of(&groups))
                .flatten(),
        })
    }

    /// Its options.
    pub(super) fn arguments(&self) -> &[OsString] {
        self.command_line.get(1..).unwrap_or_default()
    }

    /// The folder that its paths are relative to.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it is, for a person to read.
    pub(super) fn words(&self) -> String {
        let words: Vec<_> = (self.command_line.iter())
            .map(|word| word.to_string_lossy())
            .collect();
        let unit = self.unit.as_ref().map(|unit| format!(", of {unit}"));
        format!(
            "keepalived, process {}{}: {}",
            self.id,
            unit.unwrap_or_default(),
            words.join(" ")
        )
    }

    /// Whether it could be started again.
    ///
    /// # Errors
    /// Its program has been removed, or replaced.
    pub(super) fn can_return(&self) -> Result<(), Failure> {
        let is_the_same = std::fs::metadata(&self.program).is_ok();
        let name = self.program.as_os_str().as_encoded_bytes();
        if is_the_same && !name.ends_with(b" (deleted)") {
            return Ok(());
        }
        Err(Failure::Refused(format!(
            "keepalived's program {} has been removed since it was started, so it could not be \
             brought back: install keepalived again, or stop it by hand and start elver",
            self.program.display()
        )))
    }

    /// Stops it, and waits until it and its children are gone.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        match &self.unit {
            Some(unit) => systemctl("stop", unit)?,
            None => {
                let id = Pid::from_raw(self.id.cast_signed())
                    .ok_or_else(|| Failure::Refused("keepalived has no process id".to_owned()))?;
                rustix::process::kill_process(id, Signal::TERM)
                    .map_err(|error| Failure::system("stopping keepalived")(error.into()))?;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while !director::keepalived_processes()?.is_empty() {
            if Instant::now() >= deadline {
                return Err(Failure::Refused(format!(
                    "keepalived (process {}) does not end; nothing else was changed",
                    self.id
                )));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Starts it as it was started, and waits until it is there.
    pub(super) fn start(&self) -> Result<(), Failure> {
        match &self.unit {
            Some(unit) => systemctl("start", unit)?,
            None => {
                let name = self.command_line.first();
                let mut command = Command::new(&self.program);
                command
                    .arg0(name.map_or(OsStr::new("keepalived"), OsString::as_os_str))
                    .args(self.arguments())
                    .env_clear()
                    .envs(self.environment.iter().cloned())
                    .current_dir(&self.directory)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                process::spawn_in_own_session(&mut command)
                    .map_err(Failure::system(self.program.display().to_string()))?;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while director::keepalived_processes()?.is_empty() {
            if Instant::now() >= deadline {
                return Err(Failure::Refused("keepalived does not start".to_owned()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// The service of systemd in `/proc/PID/cgroup`.
fn unit_of(groups: &str) -> Option<String> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let units = paths.flat_map(|path| path.split('/'));
    units
        .filter(|part| part.ends_with(".service"))
        .map(str::to_owned)
        .next()
}

fn systemctl(verb: &str, unit: &str) -> Result<(), Failure> {
    let output = Command::new("systemctl")
        .args([verb, unit])
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output()
        .map_err(Failure::system("systemctl"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Refused(format!(
        "systemctl {verb} {unit}: {}",
        said.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_that_of_the_control_group() {
        let unit = |groups| unit_of(groups);
        let keepalived = Some("keepalived.service".to_owned());
        assert_eq!(unit("0::/system.slice/keepalived.service\n"), keepalived);
        // Version 1 of control groups has a line for each controller.
        let legacy = "12:pids:/system.slice/keepalived.service\n0::/\n";
        assert_eq!(unit(legacy), keepalived);
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), None);
    }
}
