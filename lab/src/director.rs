//! elver as the director of a lab.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use elver_sys::namespace::NetworkNamespace;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::run_to_end;
use crate::{Error, Host, Lab, Output, Program, Result, leftovers};

/// How long a command of elver's may take on a busy machine.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// `elver run` in a host. Its instance is named as the host's namespace, so that
/// directors of several labs keep out of each other's way.
#[derive(Debug)]
pub struct Director {
    host: Host,
    elver: PathBuf,
    program: Program,
}

impl Director {
    /// Starts `elver run -f configuration` in `host`.
    ///
    /// When the lab goes, so does whatever of the instance is still pinned by then.
    pub fn start(lab: &Lab, host: &Host, elver: &Path, configuration: &Path) -> Result<Self> {
        Self::start_with(lab, host, elver, configuration, &[])
    }

    /// [`Director::start`] with further options of `elver run`.
    pub fn start_with(
        lab: &Lab,
        host: &Host,
        elver: &Path,
        configuration: &Path,
        options: &[&str],
    ) -> Result<Self> {
        let (leaver, binary) = (host.clone(), elver.to_owned());
        lab.on_farewell(move || {
            let unload = leaver.command(&binary).and_then(|mut command| {
                command.args(["unload", "--instance", leaver.namespace_name()]);
                leaver.output(command, COMMAND_LIMIT)?.success()
            });
            if let Err(error) = unload {
                eprintln!("elver-lab: {error}");
            }
        })?;
        let mut command = host.command(elver)?;
        command.arg("run").arg("-f").arg(configuration);
        command.args(options);
        command.args(["--instance", host.namespace_name()]);
        let program = host.start("elver", command)?;
        Ok(Self {
            host: host.clone(),
            elver: elver.to_owned(),
            program,
        })
    }

    /// The supervisor.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its processes but the supervisor: that for VRRP, and that for checks.
    pub fn children(&self) -> BTreeSet<u32> {
        children(self.program.id())
    }

    /// The host that it runs in.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The name of the instance.
    pub fn instance(&self) -> &str {
        self.host.namespace_name()
    }

    /// Runs another `elver` with these arguments beside the daemon, for its instance.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.host.command(&self.elver)?;
        command
            .args(arguments)
            .env("ELVER_INSTANCE", self.instance());
        self.host.output(command, COMMAND_LIMIT)
    }

    /// What `elver ipvsadm` prints with these arguments.
    pub fn ipvsadm(&self, arguments: &[&str]) -> Result<String> {
        self.command(&[&["ipvsadm"], arguments].concat())?.success()
    }

    /// What `elver ctl status` prints, once the daemon answers.
    pub fn status(&self) -> Result<String> {
        self.command(&["ctl", "status"])?.success()
    }

    /// An error, with the end of its log, unless the daemon runs.
    pub fn check_running(&self) -> Result<()> {
        if self.program.is_running() {
            return Ok(());
        }
        Err(Error::Unexpected {
            expected: "elver to run".to_owned(),
            seen: format!(
                "it has ended, after saying:\n{}",
                self.program.log().trim_end()
            ),
        })
    }
}

/// The direct children of a process.
fn children(process: u32) -> BTreeSet<u32> {
    // Each thread has its own list (proc(5)).
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return BTreeSet::new();
    };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|child| child.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Kills a process of a lab's director (SIGKILL).
pub fn kill(process: u32) -> Result<()> {
    let doing = || Error::system(format!("kill process {process}"));
    let id = Pid::from_raw(process.cast_signed())
        .ok_or_else(|| doing()(std::io::ErrorKind::InvalidInput.into()))?;
    kill_process(id, Signal::KILL).map_err(|error| doing()(error.into()))
}

/// Unloads what the directors and real servers of killed runs of the lab `name` left in the kernel. To be
/// called before [`Lab::new`], which removes their namespaces.
pub fn unload_leftovers(name: &str, elver: &Path) -> Result<()> {
    for leftover in leftovers::find(name)? {
        leftover.kill_marked();
        let path = leftover.path();
        let namespace = NetworkNamespace::open(&path)
            .map_err(Error::system(format!("open {}", path.display())))?;
        for role in [&["unload"][..], &["real-server", "unload"]] {
            let mut command = Command::new(elver);
            command.args(role).args(["--instance", &leftover.namespace]);
            namespace
                .host(&mut command, Signal::TERM)
                .map_err(Error::system(format!(
                    "use the namespace {}",
                    leftover.namespace
                )))?;
            run_to_end(&mut command, COMMAND_LIMIT)?.success()?;
        }
    }
    Ok(())
}
