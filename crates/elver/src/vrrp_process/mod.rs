//! The vrrp process: it runs the machine of [`elver_core::vrrp`] on real interfaces.
//!
//! It is a child of the director and has nothing to do but VRRP, so that neither a
//! reload nor ten thousand health checks can delay an advertisement. Commands come
//! in and notices go out over one Unix stream socket ([`elver_core::vrrp::messages`]). When that
//! socket ends, the director is dead: the process gives all its addresses up at
//! once, so that a peer takes over.

mod bfd;
mod dumps;
mod host;
mod instance_device;
mod kernel_settings;
mod routing;
mod sockets;
mod traces;
pub(crate) mod trackers;

use std::ffi::CStr;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use elver_core::config::model::TrackedScript;
use elver_core::vrrp::messages::{Command, Dump, Notice};
use elver_core::vrrp::{Effect, Input, ScriptAction, VirtualRouters};
use elver_sys::script::Signal;
use elver_sys::timer::Timer;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use crate::notify_fifos::NotifyFifos;
use crate::own_process::OwnProcess;
use crate::scripts::{Ended, Rules, Scripts};
use crate::signals;
use bfd::Bfd;
use dumps::Dumps;
pub use host::withdraw_addresses;
use host::{Happening, Host};
pub(crate) use instance_device::remove_device;
pub(crate) use routing::{
    remove_route, remove_rule, withdraw as withdraw_routes, words as rule_words,
};
pub(crate) use traces::{devices_of, settings_of};
use trackers::{Observation, Watches};

/// The part of this process that is BFD's.
pub(crate) const MODULE_OF_BFD: &str = bfd::MODULE;
/// Its name in the kernel's list of processes, where it is given no other.
pub(crate) const NAME: &CStr = c"elver-vrrp";
/// How long the last notices may take to be written before the process ends without them.
const FAREWELL: Duration = Duration::from_millis(200);

/// The clock that [`elver_core::vrrp::messages::Resume::died_at`] is a reading of.
pub fn monotonic_now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// Runs until [`Command::Shutdown`], SIGTERM or the end of `channel`, whose other end
/// the director holds; then every address that is held is withdrawn.
///
/// It works in the network namespace of the calling thread, and needs `CAP_NET_ADMIN`,
/// `CAP_NET_RAW` and a current-thread tokio runtime with IO and time.
///
/// Returns failure if the process could not start or could not go on; what was wrong
/// has been logged and, if possible, told to the director.
pub async fn run(channel: UnixStream) -> ExitCode {
    match serve(channel).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("the vrrp process cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What nobody can guess, for discriminators and jitter.
fn seed() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
}

async fn serve(channel: UnixStream) -> io::Result<()> {
    channel.set_nonblocking(true)?;
    let (commands, notices) = tokio::net::UnixStream::from_std(channel)?.into_split();
    let mut commands = BufReader::new(commands).lines();
    let (director, writer) = Director::start(notices);
    let mut process = Process {
        routers: VirtualRouters::new(),
        host: Host::open()?,
        scripts: Scripts::new(),
        notify_fifos: NotifyFifos::default(),
        script_configurations: Vec::new(),
        watches: Watches::new(),
        bfd: Bfd::new(seed()),
        own: OwnProcess::named(NAME),
        dumps: Dumps::start(),
        director,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    // Interrupting `elver run` from a terminal reaches this process too; the director
    // decides what follows.
    let mut _interrupt = signal(SignalKind::interrupt())?;
    // Who reads a pid file of keepalived's vrrp process asks this one.
    let mut _hangup = signal(SignalKind::hangup())?;
    let mut data = signal(SignalKind::user_defined1())?;
    let mut statistics = signal(SignalKind::user_defined2())?;
    let mut statistics_once = signal(SignalKind::from_raw(signals::statistics_once()))?;
    let mut json = signal(SignalKind::from_raw(signals::json()))?;

    let mut timer = Timer::new()?;

    let ending = loop {
        let deadline = process.deadline();
        tokio::select! {
            // Packets are looked at before the clock: an advertisement that has come in
            // before a timer ran out counts, however late this process gets to it.
            biased;
            _ = terminate.recv() => {
                info!("Stopping");
                break Ok(());
            }
            line = commands.next_line() => match line {
                Ok(Some(line)) => match process.command(&line) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                },
                Ok(None) => {
                    warn!("the director is gone: withdrawing");
                    break Ok(());
                }
                Err(error) => break Err(error),
            },
            happening = process.host.next() => match happening {
                Ok(happening) => process.happened(happening),
                Err(error) => break Err(error),
            },
            received = process.bfd.next() => match received {
                Ok(()) => process.follow_sessions(),
                Err(error) => warn!("receiving BFD: {error}"),
            },
            Some(ended) = process.scripts.next() => process.script_ended(&ended),
            Some(observation) = process.watches.next() => process.observed(&observation),
            _ = data.recv() => process.dump(Dump::Data),
            _ = statistics.recv() => process.dump(Dump::Statistics),
            _ = statistics_once.recv() => process.dump(Dump::StatisticsOnce),
            _ = json.recv() => process.dump(Dump::Json),
            reached = timer.until(deadline) => if let Err(error) = reached {
                break Err(error);
            },
        }
        process.let_timers_run_out();
    };
    process.handle(Input::Shutdown);
    process.bfd.shut_down();
    process.host.close();
    let _ = tokio::time::timeout(FAREWELL, process.scripts.settled()).await;
    drop(process);
    let _ = tokio::time::timeout(FAREWELL, writer).await;
    ending
}

struct Process {
    routers: VirtualRouters,
    host: Host,
    scripts: Scripts<String>,
    notify_fifos: NotifyFifos,
    script_configurations: Vec<TrackedScript>,
    watches: Watches,
    bfd: Bfd,
    own: OwnProcess,
    dumps: Dumps,
    director: Director,
}

impl Process {
    /// Obeys the director; false when it wants this process to end.
    fn command(&mut self, line: &str) -> io::Result<bool> {
        match serde_json::from_str(line)? {
            Command::Configure {
                instances,
                sync_groups,
                statics,
                trackers,
                pacing,
                not_before,
                settings,
                own,
                notifying,
                resume,
            } => {
                for problem in self.own.configure(own) {
                    self.director.problem(problem);
                }
                self.script_configurations.clone_from(&trackers.scripts);
                self.scripts.configure(Rules {
                    security: notifying.script_security,
                    umask: notifying.umask,
                    supplementary_groups: notifying.supplementary_groups,
                });
                self.dumps.configure(notifying.dump_files);
                let fifos = notifying.fifos.iter().map(Path::new);
                self.notify_fifos.open(fifos);
                let problems = self.host.prepare(&instances, &settings)?;
                for (interface, condition) in self.host.conditions() {
                    self.handle(Input::InterfaceChanged {
                        interface,
                        condition,
                    });
                }
                let now = monotonic_now();
                let start_delay = not_before.saturating_sub(now);
                if !start_delay.is_zero() {
                    info!("Delaying startup for {} seconds", start_delay.as_secs_f32());
                }
                let resume = resume
                    .into_iter()
                    .map(|last| {
                        let elapsed = now.saturating_sub(last.died_at);
                        (last, elapsed)
                    })
                    .collect();
                self.handle(Input::Configure {
                    instances,
                    sync_groups,
                    statics,
                    trackers: trackers.clone(),
                    pacing,
                    settings,
                    start_delay,
                    resume,
                });
                self.watches.start(&trackers);
                let unheard = self.bfd.configure(trackers.sessions);
                for problem in problems.into_iter().chain(unheard) {
                    self.director.problem(problem);
                }
                self.director.tell(Notice::Configured);
            }
            Command::ReportAlive => self.director.tell(Notice::Alive),
            Command::ReportStatistics => {
                let statistics = self
                    .routers
                    .instances()
                    .map(|instance| {
                        (
                            instance.configuration.name.clone(),
                            instance.statistics.clone(),
                        )
                    })
                    .collect();
                self.director.tell(Notice::Statistics(statistics));
            }
            Command::Dump(dump) => self.dump(dump),
            Command::Shutdown => {
                info!("Stopping");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn dump(&mut self, dump: Dump) {
        self.dumps.write(&mut self.routers, dump);
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Packet { interface, packet } => {
                self.received(&interface, &packet);
                self.receive_pending();
            }
            Happening::InterfaceChanged {
                interface,
                condition,
            } => {
                self.handle(Input::InterfaceChanged {
                    interface,
                    condition,
                });
            }
            Happening::AddressRemoved { interface, address } => {
                self.handle(Input::AddressRemoved { interface, address });
            }
            Happening::RoutesChanged => self.handle(Input::RoutesChanged),
            Happening::Nothing => {}
            Happening::EventsLost => self.converge(),
        }
    }

    /// Says of a script how it ended where it did not succeed; what follows from it is the
    /// machine's.
    fn script_ended(&mut self, ended: &Ended<String>) {
        let name = &ended.name;
        let succeeded = match &ended.status {
            Ok(status) if status.success() => true,
            Ok(status) => {
                debug!("VRRP_Script({name}) failed ({status})");
                false
            }
            Err(error) => {
                warn!("VRRP_Script({name}) cannot be run: {error}");
                false
            }
        };
        self.handle(Input::ScriptEnded { name, succeeded });
    }

    fn script(&mut self, name: &str, action: ScriptAction) {
        match action {
            ScriptAction::Terminate => self.scripts.signal(&name.to_owned(), Signal::Terminate),
            ScriptAction::Kill => self.scripts.signal(&name.to_owned(), Signal::Kill),
            ScriptAction::Run => {
                let known = self.script_configurations.iter().find(|s| s.name == name);
                if let Some(TrackedScript { script, .. }) = known {
                    self.scripts.run(name.to_owned(), script.clone());
                }
            }
        }
    }

    fn observed(&mut self, observation: &Observation) {
        match observation {
            Observation::File { name, value } => self.handle(Input::FileRead {
                name,
                value: *value,
            }),
            Observation::Processes { name, count } => self.handle(Input::ProcessesCounted {
                name,
                count: *count,
            }),
        }
    }

    fn received(&mut self, interface: &str, packet: &host::ReceivedPacket) {
        let packet = elver_core::vrrp::Packet {
            source: packet.source,
            destination: packet.destination,
            hop_limit: packet.hop_limit,
            payload: &packet.payload,
            sealed: packet.sealed.as_deref(),
        };
        self.handle(Input::Received { interface, packet });
    }

    /// Takes what the kernel holds, without a way through the runtime for each packet.
    fn receive_pending(&mut self) {
        for (interface, packet) in self.host.pending_packets() {
            self.received(&interface, &packet);
        }
    }

    /// Compares what is with what should be, after events were lost.
    fn converge(&mut self) {
        if let Err(error) = self.host.refresh() {
            error!("cannot read the addresses of the interfaces: {error}");
            return;
        }
        for (interface, condition) in self.host.conditions() {
            self.handle(Input::InterfaceChanged {
                interface,
                condition,
            });
        }
        let held: Vec<_> = self
            .routers
            .instances()
            .filter(|instance| instance.state == elver_core::vrrp::State::Master)
            .flat_map(|instance| instance.addresses())
            .collect();
        for address in held {
            if !self.host.has(&address) {
                let (interface, address) = (address.interface, address.address);
                self.handle(Input::AddressRemoved { interface, address });
            }
        }
    }

    /// When the next timer runs out.
    fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.routers.poll_timeout(), self.bfd.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }

    /// Tells who follows sessions of BFD what has become of them.
    fn follow_sessions(&mut self) {
        while let Some((session, up)) = self.bfd.poll_news() {
            self.handle(Input::SessionChanged { name: &session, up });
            self.director.tell(Notice::SessionChanged { session, up });
        }
    }

    fn let_timers_run_out(&mut self) {
        let now = Instant::now();
        if let Some(late) = self.own.lateness(self.deadline(), now) {
            warn!("A thread timer expired {} seconds ago", late.as_secs_f32());
            self.director.tell(Notice::Late(late));
        }
        if self
            .bfd
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            self.bfd.receive_pending();
            self.bfd.handle_timeout();
            self.follow_sessions();
        }
        let is_due = |routers: &VirtualRouters| {
            routers
                .poll_timeout()
                .is_some_and(|deadline| deadline <= Instant::now())
        };
        if !is_due(&self.routers) {
            return;
        }
        self.receive_pending();
        self.tell_time(false);
        self.routers.handle_timeout(Instant::now());
        self.carry_out();
    }

    fn handle(&mut self, input: Input<'_>) {
        let configures = matches!(input, Input::Configure { .. });
        self.tell_time(configures);
        self.routers.handle(Instant::now(), input);
        self.carry_out();
    }

    /// Tells the machine the time of day, if it wants to know it or `always`.
    fn tell_time(&mut self, always: bool) {
        if always || self.routers.asks_for_time() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            self.routers.tell_time(since.unwrap_or_default());
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.routers.poll_effect() {
            let problem = match effect {
                Effect::Send {
                    instance,
                    interface,
                    source,
                    destination,
                    hop_limit,
                    sealed,
                    payload,
                } => {
                    let source = (source, hop_limit);
                    let packet = (&*payload, sealed);
                    self.host
                        .send(&instance, &interface, source, destination, packet);
                    None
                }
                Effect::AddAddresses {
                    instance,
                    addresses,
                } => self.host.add_addresses(&instance, &addresses).err(),
                Effect::RemoveAddresses {
                    instance,
                    addresses,
                } => self.host.remove_addresses(&instance, &addresses).err(),
                Effect::AddRoutes {
                    instance,
                    routes,
                    rules,
                } => self
                    .host
                    .add_routes(instance.as_deref(), &routes, &rules)
                    .err(),
                Effect::RemoveRoutes {
                    instance,
                    routes,
                    rules,
                } => self
                    .host
                    .remove_routes(instance.as_deref(), &routes, &rules)
                    .err(),
                Effect::Announce {
                    instance,
                    addresses,
                    repeat,
                } => {
                    self.host.announce(&instance, &addresses, repeat);
                    None
                }
                Effect::StateChanged {
                    instance,
                    state,
                    priority,
                } => {
                    self.director.tell(Notice::StateChanged {
                        instance,
                        state,
                        priority,
                    });
                    None
                }
                Effect::GroupStateChanged { group, state } => {
                    self.director
                        .tell(Notice::GroupStateChanged { group, state });
                    None
                }
                Effect::Script { name, action } => {
                    self.script(&name, action);
                    None
                }
                Effect::Notify(notification) => {
                    self.notify_fifos.write(&notification.line);
                    for script in notification.scripts {
                        self.scripts.notify(script);
                    }
                    if let Some(mail) = notification.mail {
                        self.director.tell(Notice::Mail(mail));
                    }
                    None
                }
                Effect::Report(report) => {
                    let instance = &report.name;
                    match report.event.state() {
                        Some(state) => info!(%instance, %state, "{report}"),
                        None => info!(%instance, "{report}"),
                    }
                    None
                }
            };
            if let Some(problem) = problem {
                self.director.problem(problem);
            }
        }
    }
}

/// The way to the director. Telling never waits: a director that does not read must not
/// delay an advertisement.
struct Director {
    lines: mpsc::UnboundedSender<String>,
}

impl Director {
    fn start(mut notices: OwnedWriteHalf) -> (Director, JoinHandle<()>) {
        let (lines, mut queue) = mpsc::unbounded_channel::<String>();
        let writer = tokio::spawn(async move {
            while let Some(line) = queue.recv().await {
                // If the director is gone, the end of the other direction says so.
                if notices.write_all(line.as_bytes()).await.is_err() {
                    break;
                }
            }
        });
        (Director { lines }, writer)
    }

    fn problem(&self, message: String) {
        error!("{message}");
        self.tell(Notice::Problem(message));
    }

    fn tell(&self, notice: Notice) {
        match serde_json::to_string(&notice) {
            // It fails only after the writer has, which means that the director is gone.
            Ok(line) => drop(self.lines.send(line + "\n")),
            Err(error) => error!("cannot tell the director {notice:?}: {error}"),
        }
    }
}
