//! `elver migrate`: puts elver in the place of a keepalived that runs, and of the services that
//! the kernel's IPVS has; or only shows what that would mean.
//!
//! What runs is recorded before anything is touched. Then keepalived is stopped and the kernel's
//! table cleared, elver is started with keepalived's own options, what operators have made by
//! ipvsadm is made again, and the connections are taken over. In between the kernel drops their
//! packets, as of connections whose real server it does not have any more, and clients send them
//! again. If any of that fails, all is put back.

mod kernel_table;
mod predecessor;
mod report;
mod settings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use elver_core::api::{MOST_CONNECTIONS, MOST_EDITS, Request, Response, Status};
use elver_core::config::Diagnostic;
use elver_core::config::model::Configuration;
use elver_core::lb::Foreign;
use elver_core::service::{ConnectionState, Edit, ServiceState};
use rustix::process::{Pid, Signal};

use crate::configuration::{self, Errors};
use crate::control;
use crate::ctl::refused;
use crate::data_plane::Inventory;
use crate::director;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::keepalived;
use crate::settings::Settings;
use crate::unload;
use kernel_table::KernelTable;
use predecessor::Predecessor;

/// How long elver may take to end.
const END: Duration = Duration::from_secs(60);
/// How long real servers may take to be in the table, where checks come before that.
const REAL_SERVERS: Duration = Duration::from_secs(10);
/// How often something is looked at that takes its time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a migration begins with.
struct Migration {
    instance: Instance,
    predecessor: Option<Predecessor>,
    table: KernelTable,
    /// None: there is no file, and the table is ruled by ipvsadm alone.
    configuration: Option<Configuration>,
    /// What there is to say about the file.
    remarks: Vec<Diagnostic>,
    file: PathBuf,
    /// The folder that paths of the options are relative to.
    directory: PathBuf,
}

/// What became of connections that were handed over, counted.
#[derive(Debug, Default)]
struct HandedOver {
    entered: usize,
    without_real_server: usize,
    without_place: usize,
}

/// Shows what would become of what runs here; with `apply`, does it, where elver may take
/// so long to start.
///
/// `file` is keepalived.conf, unless it is the one that the running keepalived has.
pub(crate) fn run(
    file: Option<PathBuf>,
    apply: Option<Duration>,
    instance: &Instance,
) -> Result<(), Failure> {
    director::permission()?;
    let predecessor = Predecessor::find()?;
    let table = KernelTable::read()?;
    if predecessor.is_none() && table.services.is_empty() {
        return Err(Failure::Refused(
            "there is nothing to take over: in this network namespace runs no keepalived, and \
             the kernel's IPVS has no services; start elver"
                .to_owned(),
        ));
    }
    let mut arguments = predecessor
        .as_ref()
        .map_or_else(Vec::new, |predecessor| predecessor.arguments().to_vec());
    if let Some(file) = &file {
        let file =
            std::path::absolute(file).map_err(Failure::system(file.display().to_string()))?;
        arguments.extend(["--use-file".into(), file.into()]);
    }
    let directory = match &predecessor {
        Some(predecessor) => predecessor.directory().to_owned(),
        None => std::env::current_dir().map_err(Failure::system("the current folder"))?,
    };
    let mut origin = keepalived::origin(&arguments, instance);
    origin.file = directory.join(origin.file);
    let has_file = file.is_some() || predecessor.is_some() || origin.file.exists();
    let (mut configuration, mut remarks) = (None, Vec::new());
    if has_file {
        let considered = configuration::consider(&origin, Errors::LeftOut)?;
        remarks = considered.diagnostics;
        let usable = considered.configuration;
        configuration = Some(usable.inspect_err(|_| configuration::print(&remarks))?);
    }
    let settings = Settings::load(None)?;
    let instance = match &configuration {
        Some(configuration) => director::named(configuration, instance),
        None => instance.clone(),
    };
    let migration = Migration {
        instance,
        predecessor,
        table,
        configuration,
        remarks,
        file: origin.file,
        directory,
    };
    let is_doubtful = report::write(&migration, &settings)?;
    let Some(within) = apply else {
        println!("\nNothing was changed. `elver migrate --apply` does it.");
        return if is_doubtful {
            Err(Failure::Told { code: 5 })
        } else {
            Ok(())
        };
    };
    println!();
    migration.apply(arguments, within)
}

impl Migration {
    /// What operators have made.
    fn by_hand(&self) -> Vec<Foreign> {
        match &self.configuration {
            Some(configuration) => Foreign::of(&self.table.services, configuration),
            None => Foreign::of(&self.table.services, &Configuration::default()),
        }
    }

    fn apply(mut self, mut arguments: Vec<OsString>, within: Duration) -> Result<(), Failure> {
        if self.predecessor.is_none() {
            // Somebody ran ipvsadm; nobody waits for this one to go into the background.
            arguments.push("--dont-fork".into());
        }
        if let Some(words) = self.table.unknown.first() {
            return Err(Failure::Refused(format!(
                "{words}: clear that with the kernel's own ipvsadm, or leave it to IPVS"
            )));
        }
        if let Some(predecessor) = &self.predecessor {
            predecessor.can_return()?;
        }
        // One that runs in another network namespace, say.
        let free = director::take(&self.instance)?;
        free.remove(&self.instance)
            .map_err(Failure::system("the files of the instance"))?;
        // Who interrupts this would leave a host without either.
        let _deaf = Deaf::new().map_err(Failure::system("ignoring signals"))?;
        self.table.hold()?;
        let outcome = self.replace(&arguments, within);
        let let_go = self.table.let_go();
        outcome.and(let_go)
    }

    fn replace(&mut self, arguments: &[OsString], within: Duration) -> Result<(), Failure> {
        // Connections that open from here on are the only ones that the next one does not know.
        let connections = KernelTable::connections()?;
        if let Some(predecessor) = &self.predecessor {
            predecessor.stop()?;
            println!("stopped {}", predecessor.words());
        }
        let taken_over = self
            .table
            .clear()
            .and_then(|()| self.take_over(arguments, within, connections));
        taken_over.map_err(|failure| self.put_back(&failure))
    }

    fn take_over(
        &self,
        arguments: &[OsString],
        within: Duration,
        connections: Vec<ConnectionState>,
    ) -> Result<(), Failure> {
        let mut elver = start(arguments, &self.directory, &self.instance)?;
        let status = self.wait_until_it_answers(&mut elver, within)?;
        let process = status.processes.first().map_or(0, |(_, id)| *id);
        println!("started elver, process {process}");
        let mut edits: Vec<Edit> = self.by_hand().iter().flat_map(Foreign::addition).collect();
        edits.extend(self.table.timeouts.map(Edit::SetTimeouts));
        for edits in edits.chunks(MOST_EDITS) {
            self.edit(edits)?;
        }
        let total = connections.len();
        let handed_over = self.hand_over(connections)?;
        if total != 0 {
            println!("took {} of {total} connections over", handed_over.entered);
        }
        for (count, why) in [
            (
                handed_over.without_real_server,
                "have a real server that is not in the table",
            ),
            (
                handed_over.without_place,
                "found no place in the table of connections",
            ),
        ] {
            if count != 0 {
                println!("  {count} {why}");
            }
        }
        self.find_real_servers()?;
        println!(
            "elver balances now; `elver ctl status` shows how it is. It runs until this host \
             does: install the package for the next start."
        );
        Ok(())
    }

    /// Waits until a director that has been started answers, or ends.
    fn wait_until_it_answers(
        &self,
        elver: &mut Child,
        within: Duration,
    ) -> Result<Status, Failure> {
        let deadline = Instant::now() + within;
        loop {
            let ended = elver.try_wait().map_err(Failure::system("elver"))?;
            if let Some(status) = ended.filter(|status| !status.success()) {
                return Err(Failure::Refused(format!(
                    "elver does not start ({status}); its log says why"
                )));
            }
            match control::ask(&self.instance, &Request::Status) {
                Ok(Response::Status(status)) => return Ok(status),
                _ if Instant::now() >= deadline => {
                    return Err(Failure::Refused(format!(
                        "elver has not answered within {} s; its log says why, and --within \
                         gives it more time",
                        within.as_secs()
                    )));
                }
                _ => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    fn edit(&self, edits: &[Edit]) -> Result<(), Failure> {
        let outcomes = match control::ask(&self.instance, &Request::Edit(edits.to_vec()))? {
            Response::Edited(outcomes) => outcomes,
            other => return Err(refused(other)),
        };
        let mut refused = edits
            .iter()
            .zip(outcomes)
            .filter_map(|(edit, error)| Some((edit, error?)));
        match refused.next() {
            None => Ok(()),
            Some((edit, error)) => Err(Failure::Refused(format!(
                "what was made by ipvsadm cannot be made here: {error} ({edit:?})"
            ))),
        }
    }

    /// Hands connections over.
    fn hand_over(&self, connections: Vec<ConnectionState>) -> Result<HandedOver, Failure> {
        let (templates, connections): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|connection| connection.client.port() == 0);
        // Templates come first, so that connections find theirs.
        let mut left: Vec<ConnectionState> = templates.into_iter().chain(connections).collect();
        let mut handed_over = HandedOver::default();
        let deadline = Instant::now() + REAL_SERVERS;
        loop {
            let mut waiting = Vec::new();
            for some in left.chunks(MOST_CONNECTIONS) {
                match control::ask(&self.instance, &Request::Adopt(some.to_vec()))? {
                    Response::Adopted {
                        entered,
                        without_real_server,
                    } => {
                        handed_over.entered += entered;
                        handed_over.without_place +=
                            some.len() - entered - without_real_server.len();
                        waiting.extend(without_real_server.iter().map(|at| some[*at].clone()));
                    }
                    other => return Err(refused(other)),
                }
            }
            // A real server that has yet to pass its checks (alpha) comes later.
            let some_may_come = waiting.iter().any(|connection| self.may_come(connection));
            if !some_may_come || Instant::now() >= deadline {
                handed_over.without_real_server = waiting.len();
                return Ok(handed_over);
            }
            left = waiting;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Whether the real server of a connection is one that balanced until now.
    fn may_come(&self, connection: &ConnectionState) -> bool {
        let mut destinations = (self.table.services.iter()).flat_map(|each| &each.destinations);
        destinations.any(|each| each.address.ip() == connection.destination.ip())
    }

    /// Waits until every service that had a real server for new connections has one again.
    fn find_real_servers(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + REAL_SERVERS;
        loop {
            let now = Inventory::open(&self.instance)?.services();
            let serves = |service: &ServiceState| {
                let mut destinations = service.destinations.iter();
                destinations.any(|each| each.settings.weight != 0)
            };
            let mut missing = self.table.services.iter().filter(|before| {
                let after = now.iter().find(|after| after.key == before.key);
                serves(before) && !after.is_some_and(serves)
            });
            match missing.next() {
                None => return Ok(()),
                Some(service) if Instant::now() >= deadline => {
                    return Err(Failure::Refused(format!(
                        "{} has no real server that passes its checks",
                        service.key
                    )));
                }
                Some(_) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Brings back what ran before, and says what came of that.
    fn put_back(&mut self, because: &Failure) -> Failure {
        let put_back = (|| {
            stop(&self.instance)?;
            unload::remove(&self.instance)?;
            if let Some(predecessor) = &self.predecessor {
                predecessor.start()?;
            }
            let by_hand = self.by_hand();
            self.table.put_back(&by_hand)
        })();
        Failure::Refused(match put_back {
            Ok(()) => format!("{because}; all is as it was before, and runs again"),
            Err(failure) => format!(
                "{because}; and what ran before could not be brought back: {failure}. Start it by \
                 hand"
            ),
        })
    }
}

/// Starts a director with keepalived's options.
fn start(arguments: &[OsString], directory: &Path, instance: &Instance) -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(Failure::system("finding this program"))?;
    // One that goes into the background lets the terminal go, and says before that what is
    // wrong. Another one would hold it.
    let errors = if keepalived::is_foreground(arguments) {
        Stdio::null()
    } else {
        Stdio::inherit()
    };
    let mut command = Command::new(&program);
    command
        .args(["--instance", instance.name(), "keepalived"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .current_dir(directory);
    elver_sys::process::spawn_in_own_session(&mut command)
        .map_err(Failure::system(program.display().to_string()))
}

/// Ends the director of an instance, if there is one.
fn stop(instance: &Instance) -> Result<(), Failure> {
    let deadline = Instant::now() + END;
    let mut is_told = false;
    loop {
        match director::take(instance) {
            Ok(pid_file) => {
                return pid_file
                    .remove(instance)
                    .map_err(Failure::system("removing the files of the instance"));
            }
            Err(Failure::AlreadyRunning { process, .. }) if Instant::now() < deadline => {
                let process = process.and_then(|id| Pid::from_raw(id.cast_signed()));
                if let Some(process) = process.filter(|_| !is_told) {
                    is_told = rustix::process::kill_process(process, Signal::TERM).is_ok();
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// While this is there, signals that would end this program do nothing.
struct Deaf(Vec<signal_hook::SigId>);

impl Deaf {
    fn new() -> std::io::Result<Deaf> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let heard = Arc::new(AtomicBool::new(false));
        let mut deaf = Deaf(Vec::new());
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            deaf.0
                .push(signal_hook::flag::register(signal, heard.clone())?);
        }
        Ok(deaf)
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
