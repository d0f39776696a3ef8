//! A lab: what it made, and how all of that goes away again.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::capture::Record;
use crate::program::{Process, run_to_end};
use crate::{Error, Host, Result, interrupt, leftovers};

/// The environment variable by which a lab knows the processes that it started: its
/// value is the lab's prefix, and children hand it on.
pub(crate) const MARK: &str = "ELVER_LAB";

/// How long `ip` may take on a busy machine.
const IP_LIMIT: Duration = Duration::from_secs(30);

/// A network of namespaces, with everything that runs in it.
///
/// Dropping it takes all of it down. Only what this lab made is touched; what an earlier
/// run of the same name left behind, because it was killed, is removed by [`Lab::new`].
/// When the owner panics, or after [`Lab::keep_records`], logs and packet captures stay
/// and their directory is printed.
#[derive(Debug)]
pub struct Lab {
    estate: Arc<Estate>,
}

impl Lab {
    /// Sets up an empty lab, after removing what a killed earlier run of it left.
    ///
    /// `name` is lower-case letters and hyphens, and distinct among the labs of this process.
    pub fn new(name: &str) -> Result<Self> {
        if !leftovers::names_lab(name) {
            return Err(Error::BadName(name.to_owned()));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Unexpected {
                expected: "to run as root, which making network namespaces needs".to_owned(),
                seen: format!("user id {}", rustix::process::geteuid().as_raw()),
            });
        }
        leftovers::remove(name)?;
        let prefix = format!("elver-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(&prefix);
        let estate = Arc::new(Estate {
            name: name.to_owned(),
            prefix,
            directory,
            keep_records: AtomicBool::new(false),
            made: Mutex::new(Made::default()),
        });
        // Whoever registers the name owns the directory.
        interrupt::register(&estate)?;
        let lab = Self { estate };
        // Configurations have passwords in them.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(lab.directory())
            .map_err(Error::system(format!(
                "create {}",
                lab.directory().display()
            )))?;
        Ok(lab)
    }

    /// What the names of this lab's namespaces begin with.
    pub fn prefix(&self) -> &str {
        &self.estate.prefix
    }

    /// Where logs are written, and captures if they are kept. Configuration files of the
    /// lab belong here too: the directory goes away with it.
    pub fn directory(&self) -> &Path {
        &self.estate.directory
    }

    /// Makes a host: a namespace named PREFIX-`name`, with loopback up and forwarding off.
    pub fn host(&self, name: &str) -> Result<Host> {
        if !leftovers::names_host(name) {
            return Err(Error::BadName(name.to_owned()));
        }
        let namespace = format!("{}-{name}", self.estate.prefix);
        self.estate.while_standing(|made| {
            ip(&["netns", "add", &namespace])?;
            made.namespaces.push(namespace.clone());
            Ok(())
        })?;
        let host = Host::open(name, namespace, Arc::clone(&self.estate))?;
        host.ip(&["link", "set", "lo", "up"])?;
        // A new namespace takes these over from the machine, where Docker may have set them.
        host.set_sysctl("net/ipv4/ip_forward", "0")?;
        host.set_sysctl("net/ipv4/conf/all/rp_filter", "0")?;
        host.set_sysctl("net/ipv4/conf/default/rp_filter", "0")?;
        Ok(host)
    }

    /// Creates a host with these interfaces and their addresses, and another one, `peer`, which
    /// is at the other end of each cable by an interface of the same name.
    pub fn host_and_peer(&self, name: &str, interfaces: &[(&str, &str)]) -> Result<(Host, Host)> {
        let (host, peer) = (self.host(name)?, self.host("peer")?);
        for (interface, address) in interfaces {
            self.link((&host, interface), (&peer, interface))?;
            host.add_address(interface, address)?;
        }
        Ok((host, peer))
    }

    /// Connects two hosts by a cable: a veth pair, with the interface name given for each end.
    pub fn link(&self, one: (&Host, &str), other: (&Host, &str)) -> Result<()> {
        ip(&[
            "link",
            "add",
            one.1,
            "netns",
            one.0.namespace_name(),
            "type",
            "veth",
            "peer",
            "name",
            other.1,
            "netns",
            other.0.namespace_name(),
        ])?;
        one.0.set_up(one.1)?;
        other.0.set_up(other.1)
    }

    /// Connects any number of hosts by a switch: a bridge in a host of its own, which is
    /// returned. Port N of it, from 0, is `portN`, in the order of `ends`.
    pub fn segment(&self, name: &str, ends: &[(&Host, &str)]) -> Result<Host> {
        let switch = self.host(name)?;
        switch.ip(&[
            "link",
            "add",
            "bridge",
            "type",
            "bridge",
            "mcast_snooping",
            "0",
        ])?;
        // A switch is not a host: it has nothing to say in IPv6.
        switch.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        switch.set_up("bridge")?;
        for (number, &end) in ends.iter().enumerate() {
            let port = format!("port{number}");
            self.link((&switch, &port), end)?;
            switch.ip(&["link", "set", &port, "master", "bridge"])?;
        }
        Ok(switch)
    }

    /// Does `farewell` once the lab's programs have ended, while its namespaces still exist.
    pub fn on_farewell(&self, farewell: impl FnOnce() + Send + 'static) -> Result<()> {
        self.estate.while_standing(|made| {
            made.farewells.push(Box::new(farewell));
            Ok(())
        })
    }

    /// Keeps logs and captures when the lab goes, and prints where.
    pub fn keep_records(&self) {
        self.estate.keep_records.store(true, Ordering::Relaxed);
    }

    /// Waits until a signal has taken the lab down, for `limit` at the most; tells whether one has.
    ///
    /// SIGINT, SIGTERM and SIGHUP take down every lab of the process and then end it as
    /// they always do, unless somebody has waited here: then it is for them to end it.
    pub fn interrupted_within(&self, limit: Duration) -> bool {
        interrupt::wait(limit)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_records();
        }
        self.estate.take_down();
        interrupt::forget(&self.estate);
    }
}

/// What a lab has made so far; shared with its hosts and with the thread that waits for signals.
#[derive(Debug)]
pub(crate) struct Estate {
    name: String,
    prefix: String,
    directory: PathBuf,
    keep_records: AtomicBool,
    made: Mutex<Made>,
}

#[derive(Default)]
pub(crate) struct Made {
    taken_down: bool,
    pub(crate) namespaces: Vec<String>,
    pub(crate) processes: Vec<Weak<Process>>,
    pub(crate) records: Vec<Arc<Record>>,
    farewells: Vec<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made")
            .field("taken_down", &self.taken_down)
            .field("namespaces", &self.namespaces)
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}

impl Estate {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes something and notes it, so that nothing is made beside a take-down.
    pub(crate) fn while_standing<T>(&self, make: impl FnOnce(&mut Made) -> Result<T>) -> Result<T> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.taken_down {
            return Err(Error::TakenDown);
        }
        make(&mut made)
    }

    /// Ends and removes everything; a second call waits for the first and does nothing.
    ///
    /// Goes on past every failure, and says each on standard error.
    pub(crate) fn take_down(&self) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.taken_down {
            return;
        }
        made.taken_down = true;
        let made = &mut *made;
        for process in made
            .processes
            .drain(..)
            .rev()
            .filter_map(|process| process.upgrade())
        {
            process.stop();
        }
        for namespace in &made.namespaces {
            leftovers::kill_marked(namespace, &self.prefix);
        }
        for farewell in made.farewells.drain(..).rev() {
            farewell();
        }
        if self.keep_records.load(Ordering::Relaxed) {
            self.set_records_aside(&made.records);
        } else {
            complain(
                std::fs::remove_dir_all(&self.directory),
                "remove the lab's directory",
            );
        }
        for namespace in made.namespaces.drain(..).rev() {
            if let Err(error) = ip(&["netns", "del", &namespace]) {
                eprintln!("elver-lab: {error}");
            }
        }
    }

    /// Writes the captures beside the logs, and renames the directory so that it stays.
    fn set_records_aside(&self, records: &[Arc<Record>]) {
        for record in records {
            let path = self.directory.join(format!("{}.pcap", record.name()));
            complain(record.write_pcap(&path), "write a packet capture");
        }
        let kept = leftovers::kept_directory(&self.directory);
        match std::fs::rename(&self.directory, &kept) {
            Ok(()) => eprintln!(
                "elver-lab: logs and packet captures are in {}",
                kept.display()
            ),
            Err(error) => eprintln!("elver-lab: cannot keep the records: {error}"),
        }
    }
}

fn complain(outcome: std::io::Result<()>, doing: &str) {
    if let Err(error) = outcome {
        eprintln!("elver-lab: cannot {doing}: {error}");
    }
}

/// Runs `ip` (ip(8)) and gives back what it printed.
pub(crate) fn ip(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(arguments);
    run_to_end(&mut command, IP_LIMIT)?.success()
}
