//! The host that balances: by the kernel's IPVS or by elver, each with its ipvsadm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use elver_lab::director::Director;
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Lab, Output};

/// How long a step may take on a machine that is not slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How long a large restore may take there.
const RESTORE: Duration = Duration::from_secs(120);

/// What ipvsadm says of a director that it has given up waiting for.
const LATE: &str = "has not answered for";

/// Who balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balancer<'a> {
    /// The kernel's IPVS.
    Kernel,
    /// elver, the program of this path.
    Elver(&'a Path),
}

/// A host with its balancer.
pub(crate) struct BalancedHost {
    host: Host,
    /// elver, where it balances and runs.
    elver: Option<Director>,
    ipvsadm: PathBuf,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its standard output.
    pub(crate) output: String,
    /// Its standard error.
    pub(crate) errors: String,
    /// Its exit status.
    pub(crate) status: Option<i32>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            output: output.stdout,
            errors: output.stderr,
            status: output.status.code(),
        }
    }
}

impl BalancedHost {
    /// Makes a host of a lab the one that balances; elver is not started yet.
    pub(crate) fn new(lab: &Lab, host: Host, balancer: Balancer<'_>) -> BalancedHost {
        let ipvsadm = match balancer {
            Balancer::Kernel => PathBuf::from("ipvsadm"),
            Balancer::Elver(elver) => {
                let link = lab.directory().join("ipvsadm");
                std::os::unix::fs::symlink(elver, &link).expect("a link");
                link
            }
        };
        BalancedHost {
            host,
            elver: None,
            ipvsadm,
        }
    }

    /// Starts elver and waits until it serves so many interfaces.
    pub(crate) fn start(&mut self, lab: &Lab, elver: &Path, interfaces: usize) {
        self.start_with(lab, elver, interfaces, &[]);
    }

    /// [`BalancedHost::start`] with further options of `elver run`.
    pub(crate) fn start_with(
        &mut self,
        lab: &Lab,
        elver: &Path,
        interfaces: usize,
        options: &[&str],
    ) {
        let configuration = lab.directory().join("keepalived.conf");
        std::fs::write(&configuration, "global_defs {\n}\n").expect("a file");
        let director = Director::start_with(lab, &self.host, elver, &configuration, options)
            .expect("a director");
        wait::until("elver to attach to its devices", LIMIT * 3, || {
            director.check_running()?;
            let output = director.command(&["ctl", "status"])?;
            let attached = output.stdout.matches("tc (").count();
            Ok(if attached >= interfaces {
                Look::Met(())
            } else {
                Look::NotYet(format!(
                    "{}{}{}",
                    output.stdout,
                    output.stderr,
                    director.program().log()
                ))
            })
        })
        .expect("elver serves");
        self.elver = Some(director);
    }

    /// Waits until the balancer knows of every change to the network so far. The kernel
    /// does at once; elver has heard of it when it answers what it was asked later.
    pub(crate) fn settle(&self) {
        if let Some(elver) = &self.elver {
            elver.status().expect("a status");
        }
    }

    /// Whether elver balances here.
    pub(crate) fn is_elver(&self) -> bool {
        self.elver.is_some()
    }

    /// The elver that balances here.
    pub(crate) fn elver(&self) -> &Director {
        self.elver.as_ref().expect("it has been started")
    }

    /// Gives the elver that balances here away.
    pub(crate) fn take_elver(&mut self) -> Director {
        self.elver.take().expect("it has been started")
    }

    /// The host.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Runs a program on the host.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> Said {
        let mut command = self.host.command(program).expect("a command");
        command
            .args(arguments)
            .env("ELVER_INSTANCE", self.host.namespace_name());
        self.host.output(command, LIMIT).expect("it ends").into()
    }

    /// Runs the balancer's ipvsadm.
    ///
    /// On a slow machine a change may take elver longer than its ipvsadm waits. It is made all
    /// the same: then this waits until elver answers again, and gives what ipvsadm says of a
    /// change that was made. Where it was not made, the tables tell.
    pub(crate) fn ipvsadm(&self, arguments: &[&str]) -> Said {
        let said = self.run(&self.ipvsadm, arguments);
        if !said.errors.contains(LATE) {
            return said;
        }
        println!("      late: ipvsadm {arguments:?}");
        wait::until("elver to answer again", LIMIT, || {
            let output = self.elver().command(&["ctl", "status"])?;
            Ok(if output.status.success() {
                Look::Met(())
            } else {
                Look::NotYet(output.stderr)
            })
        })
        .unwrap_or_else(|error| panic!("{error}"));
        Said {
            output: String::new(),
            errors: String::new(),
            status: Some(0),
        }
    }

    /// `ipvsadm -R` with a file of rules on its standard input.
    pub(crate) fn restore(&self, rules: &Path) -> Said {
        let mut command = self.host.command("sh").expect("a command");
        command
            .args(["-c", "exec \"$0\" -R <\"$1\""])
            .args([self.ipvsadm.as_path(), rules])
            .env("ELVER_INSTANCE", self.host.namespace_name());
        self.host.output(command, RESTORE).expect("it ends").into()
    }

    /// [`BalancedHost::ipvsadm`], which has to succeed; gives what it printed.
    pub(crate) fn list(&self, arguments: &[&str]) -> String {
        let said = self.ipvsadm(arguments);
        assert_eq!(said.status, Some(0), "ipvsadm {arguments:?}: {said:?}");
        said.output
    }
}
