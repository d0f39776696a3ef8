//! A host of a lab: a network namespace with a role.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use elver_sys::namespace::NetworkNamespace;
use rustix::process::Signal;

use crate::lab::{Estate, MARK, ip};
use crate::program::{Output, Program, run_to_end};
use crate::{Error, Result};

/// A host of a lab. Clones are the same host.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    namespace_name: String,
    namespace: Arc<NetworkNamespace>,
    estate: Arc<Estate>,
}

impl Host {
    pub(crate) fn open(name: &str, namespace_name: String, estate: Arc<Estate>) -> Result<Self> {
        let path = Path::new("/run/netns").join(&namespace_name);
        let namespace = NetworkNamespace::open(&path)
            .map_err(Error::system(format!("open {}", path.display())))?;
        Ok(Self {
            name: name.to_owned(),
            namespace_name,
            namespace: Arc::new(namespace),
            estate,
        })
    }

    /// The name within the lab, such as `director`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the namespace, as `ip netns` lists it.
    pub fn namespace_name(&self) -> &str {
        &self.namespace_name
    }

    /// The command that opens a shell on this host.
    ///
    /// `ip netns exec` would do too, but gives its shell another `/sys`, without the
    /// pinned maps of `/sys/fs/bpf`.
    pub fn shell_command(&self) -> String {
        format!("nsenter --net=/run/netns/{} bash", self.namespace_name)
    }

    pub(crate) fn estate(&self) -> &Arc<Estate> {
        &self.estate
    }

    /// Runs `work` on a thread of its own in this host. Sockets that it opens are the host's.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.namespace.run(work).map_err(Error::system(format!(
            "enter the namespace {}",
            self.namespace_name
        )))
    }

    /// A command that runs `program` in this host; only the network namespace differs.
    ///
    /// The program receives SIGTERM when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        command.env(MARK, self.estate.prefix());
        self.namespace
            .host(&mut command, Signal::TERM)
            .map_err(Error::system(format!(
                "use the namespace {}",
                self.namespace_name
            )))?;
        Ok(command)
    }

    /// Starts a [`Host::command`] in the background; it writes to the log `HOST-name.log`.
    pub fn start(&self, name: &str, command: Command) -> Result<Program> {
        self.start_ended_by(name, command, Signal::TERM)
    }

    /// [`Host::start`] for a program that is ended by another signal than SIGTERM.
    pub fn start_ended_by(
        &self,
        name: &str,
        mut command: Command,
        farewell: Signal,
    ) -> Result<Program> {
        let name = format!("{}-{name}", self.name);
        Program::start(&self.estate, &name, &mut command, farewell)
    }

    /// Runs a [`Host::command`] to its end, for `limit` at the most.
    pub fn output(&self, mut command: Command, limit: Duration) -> Result<Output> {
        run_to_end(&mut command, limit)
    }

    /// Runs `ip` for this host, with these arguments, and gives back what it printed.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["-n", &self.namespace_name];
        all.extend_from_slice(arguments);
        ip(&all)
    }

    /// Sets an interface up.
    pub fn set_up(&self, interface: &str) -> Result<()> {
        self.ip(&["link", "set", interface, "up"]).map(drop)
    }

    /// Sets an interface down: its peer sees the carrier go.
    pub fn set_down(&self, interface: &str) -> Result<()> {
        self.ip(&["link", "set", interface, "down"]).map(drop)
    }

    /// Adds an address, written with its prefix length.
    pub fn add_address(&self, interface: &str, address: &str) -> Result<()> {
        self.ip(&["address", "add", address, "brd", "+", "dev", interface])
            .map(drop)
    }

    /// Sends what has no nearer route to `gateway`.
    pub fn add_default_route(&self, gateway: Ipv4Addr) -> Result<()> {
        self.ip(&["route", "add", "default", "via", &gateway.to_string()])
            .map(drop)
    }

    /// Writes a value to a file below `/proc/sys`, such as `net/ipv4/ip_forward`.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(name);
        // Which namespace's value it is depends on the thread that opens the file.
        self.run(|| std::fs::write(&path, value))?
            .map_err(Error::system(format!("set {} to {value}", path.display())))
    }

    /// Reads a value from a file below `/proc/sys`.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        let path = Path::new("/proc/sys").join(name);
        let value = self
            .run(|| std::fs::read_to_string(&path))?
            .map_err(Error::system(format!("read {}", path.display())))?;
        Ok(value.trim_end().to_owned())
    }

    /// Whether `address` is on `interface`, written with its prefix length.
    pub fn has_address(&self, interface: &str, address: &str) -> Result<bool> {
        let listing = self.ip(&["-oneline", "address", "show", "dev", interface])?;
        Ok(listing.split_whitespace().any(|word| word == address))
    }
}
