//! `elver run`: the director.
//!
//! It reads the configuration, owns the data plane and the control socket, and starts
//! the processes that do the rest: `vrrp`, which holds virtual addresses, and `check`,
//! which asks real servers. One thread; everything that happens arrives at the loop of
//! [`Director::run`].
//!
//! - A child that dies is started again at once and told what the last one knew.
//! - A director that is killed leaves the data plane as it is, and packets are
//!   forwarded; vrrp withdraws the addresses. The next director takes up the services
//!   that it finds.
//! - A director that is stopped (SIGTERM, SIGINT) withdraws the addresses, then the
//!   services of the configuration, as keepalived does. Services of operators stay, and
//!   the data plane with them, as the kernel's IPVS would; without any, nothing of the
//!   data plane stays.

mod acceptance;
mod address_record;
mod check_sockets;
mod child;
mod children;
mod devices;
mod difference;
mod files;
mod forwarding;
mod fragments;
mod hook;
mod host_record;
mod manner;
mod network;
mod notifications;
mod parts;
mod pings;
mod preconditions;
mod process_settings;
mod programs;
mod pulse;
mod reloading;
mod requests;
mod services;
mod virtual_routers;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use elver_core::check::messages::{FromChecks, ToChecks};
use elver_core::check::{Attempt, CheckName, Health, HealthRecord, OBSERVED, Seen};
use elver_core::config::model::Configuration;
use elver_core::estimator;
use elver_core::lb::{self, Parts, Quorums};
use elver_core::service::ServiceKey;
use elver_core::vrrp::messages::{Command, Dump, Notice};
use elver_sys::netlink::{Netlink, NetlinkEvents, Topic};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::check_sockets::Unready;
use self::child::Ended;
use self::children::Post;
use self::forwarding::{Forwarding, THERE};
use self::fragments::Fragments;
use self::hook::FastPath;
use self::notifications::Notifications;
use self::pulse::Pulse;
use self::reloading::Timetable;
use self::services::{ServerPlaces, presumed};
use self::virtual_routers::VirtualRouters;
use crate::configuration::Errors;
use crate::control::{self, Asked};
use crate::data_plane::DataPlane;
use crate::discovery::{self, Discovery};
use crate::failure::Failure;
use crate::firewall;
use crate::instance::Instance;
use crate::scripts::{Scripts, run_awaited};
use crate::service_manager::ServiceManager;
use crate::settings::Settings;
use crate::signals;
use crate::succession::Predecessor;
use crate::vrrp_process::monotonic_now;
use crate::vrrp_process::trackers::{Observation, Watches};

pub(crate) use self::acceptance::Acceptance;
pub(crate) use self::address_record::{AddressRecord, withdraw, words as address_words};
pub(crate) use self::files::Files;
pub(crate) use self::hook::Hook;
pub(crate) use self::host_record::HostRecord;
pub(crate) use self::manner::{LeftOut, Manner, PidFiles, enter_namespace, named};
pub(crate) use self::network::Network;
pub(crate) use self::preconditions::{HOLDING_MARK, keepalived_processes, permission, take};

const RECORD: &str = "the record of virtual addresses";
const HOST_RECORD: &str = "the record of what is changed on the host";
/// How often connections that have expired are reclaimed.
const SWEEP: Duration = Duration::from_secs(1);

/// The parts of the director that speak for the checks, as keepalived's own process for them
/// does.
pub(crate) const MODULES_OF_CHECKS: [&str; 2] = [services::MODULE, parts::MODULE];

/// Runs a director until it is told to stop; `ready` is called when it does its work.
pub(crate) fn run(
    mut files: Files,
    hook: Hook,
    instance: &Instance,
    mut manner: Manner,
    ready: &mut dyn FnMut(),
) -> Result<(), Failure> {
    let configuration = files.configuration(&manner, Errors::LeftOut)?;
    let instance = &manner::named(&configuration, instance);
    manner.enter_namespace(&configuration)?;
    manner.predecessor = Predecessor::of(instance);
    let settings = Settings::load(files.settings.as_deref())?;
    permission()?;
    let pid_file = take(instance)?;
    let stopped = run_as_owner(
        files,
        hook,
        instance,
        manner,
        (configuration, settings),
        ready,
    );
    pid_file
        .remove(instance)
        .map_err(Failure::system("removing the files of the instance"))?;
    stopped
}

/// [`run`] once the instance is this process's.
fn run_as_owner(
    files: Files,
    hook: Hook,
    instance: &Instance,
    manner: Manner,
    (configuration, settings): (Configuration, Settings),
    ready: &mut dyn FnMut(),
) -> Result<(), Failure> {
    preconditions::nothing_beside()?;
    let forwarding = Forwarding::of(&configuration)?;
    forwarding
        .run(preconditions::nothing_beside)
        .map_err(Failure::system(THERE))??;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?
        .block_on(async {
            if let Some(script) = &configuration.global.startup
                && manner.predecessor.is_none()
            {
                run_awaited("startup_script", script, &configuration.global).await;
            }
            let (director, inbox) = Director::start(
                files,
                hook,
                instance,
                manner,
                (configuration, forwarding),
                &settings,
            )?;
            ready();
            director.run(inbox).await
        })
}

/// Says which settings nothing comes of.
fn warn_of(settings: &Settings) {
    for setting in settings.without_effect() {
        tracing::warn!("{setting}");
    }
}

/// A running director.
struct Director {
    files: Files,
    manner: Manner,
    service_manager: ServiceManager,
    instance: Instance,
    /// What is in force: the file, and what was discovered.
    configuration: Configuration,
    /// The file alone.
    written: Configuration,
    discovery: Discovery,
    servers: ServerPlaces,
    data_plane: DataPlane,
    health: HealthRecord,
    quorums: Quorums,
    parts: Parts,
    watches: Watches,
    virtual_routers: VirtualRouters,
    address_record: AddressRecord,
    host_record: HostRecord,
    acceptance: Acceptance,
    /// Of the network namespace in which VRRP and checks are.
    netlink: Netlink,
    forwarding: Forwarding,
    /// Of the network namespace in which packets are forwarded, as is [`Director::network`].
    network_netlink: Netlink,
    network: Network,
    held: BTreeSet<IpAddr>,
    hook: Hook,
    /// By index.
    attached: BTreeMap<u32, AttachedDevice>,
    /// The link-layer addresses that XDP has been told of, by device.
    stations: BTreeSet<(u32, [u8; 6])>,
    /// The devices that XDP sends to, by index.
    redirects: BTreeSet<u32>,
    /// By index: devices that cannot be attached to, and why, so that it is said once.
    refused: BTreeMap<u32, String>,
    vrrp: Post<Command>,
    check: Post<ToChecks>,
    /// Of the vrrp process.
    pulse: Pulse,
    timetable: Timetable,
    /// How many configurations have come into force.
    configurations: u32,
    outbox: Outbox,
    notifications: Notifications,
    scripts: Scripts<ScriptName>,
    fragments: Fragments,
    /// Services of which a real server has come or gone since the last plan.
    changed: BTreeSet<ServiceKey>,
}

/// A device that packets are met on.
struct AttachedDevice {
    name: String,
    /// The kind of attachment at tc.
    kind: &'static str,
    fast_path: FastPath,
}

/// What a script is run for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum ScriptName {
    /// Reading the pipe at this path.
    Reader(String),
    /// An attempt of a check, for the check process with this id.
    Check {
        process: u32,
        attempt: Attempt,
        check: Box<CheckName>,
    },
}

/// Everything that others send to the director.
struct Inbox {
    vrrp: mpsc::UnboundedReceiver<Notice>,
    check: mpsc::UnboundedReceiver<FromChecks>,
    sockets: mpsc::UnboundedReceiver<Unready>,
    ended: mpsc::UnboundedReceiver<Ended>,
    asked: mpsc::UnboundedReceiver<Asked>,
    discovered: mpsc::UnboundedReceiver<discovery::News>,
    network: NetlinkEvents,
}

/// The senders of an [`Inbox`] that children are given.
struct Outbox {
    vrrp: mpsc::UnboundedSender<Notice>,
    check: mpsc::UnboundedSender<FromChecks>,
    sockets: mpsc::UnboundedSender<Unready>,
    ended: mpsc::UnboundedSender<Ended>,
}

impl Director {
    fn start(
        mut files: Files,
        hook: Hook,
        instance: &Instance,
        manner: Manner,
        (written, forwarding): (Configuration, Forwarding),
        settings: &Settings,
    ) -> Result<(Director, Inbox), Failure> {
        let succeeds = manner.predecessor.is_some();
        let asked = std::mem::take(&mut files.discovery);
        let (discovery, discovered) = Discovery::start(asked, settings, instance)?;
        let configuration = discovery.merged(&written);
        let topics = [
            Topic::Links,
            Topic::Addresses,
            Topic::Routes,
            Topic::Neighbours,
        ];
        let netlink = || Netlink::open().map_err(Failure::system("opening rtnetlink"));
        let there = forwarding.run(|| (NetlinkEvents::open(&topics), netlink(), netlink()));
        let (network_events, network_netlink, ways) = there.map_err(Failure::system(THERE))?;
        let listening = Failure::system("listening to the network");
        let (network_events, mut network_netlink) =
            (network_events.map_err(listening)?, network_netlink?);
        let mut network = Network::default();
        let reading = "reading interfaces and addresses";
        network
            .read(&mut network_netlink)
            .map_err(Failure::system(reading))?;
        let mut netlink = netlink()?;
        let links = netlink.links().map_err(Failure::system(reading))?;
        preconditions::interfaces(&configuration, &links)?;

        let mut data_plane = DataPlane::open(instance, settings.sizes(), ways?)?;
        data_plane.set_behaviour(&settings.behaviour());
        data_plane.set_access(settings.access())?;
        data_plane.set_mark_rules(&settings.mark_rules());
        let listener = control::listen(&instance.control_socket())
            .map_err(Failure::system("opening the control socket"))?;
        let (asked, was_asked) = mpsc::unbounded_channel();
        tokio::spawn(control::serve(listener, asked));

        let (vrrp, from_vrrp) = mpsc::unbounded_channel();
        let (check, from_check) = mpsc::unbounded_channel();
        let (sockets, unready) = mpsc::unbounded_channel();
        let (ended, has_ended) = mpsc::unbounded_channel();
        let present = data_plane.services();
        manner.pid_files.started();
        let mut director = Director {
            files,
            manner,
            service_manager: ServiceManager::default(),
            instance: instance.clone(),
            health: HealthRecord::start(&configuration, |service, real_server| {
                presumed(&present, service, real_server)
            }),
            quorums: Quorums::default(),
            parts: Parts::default(),
            watches: Watches::new(),
            servers: ServerPlaces::of(&configuration),
            virtual_routers: VirtualRouters::start(monotonic_now(), &configuration.global),
            configuration,
            written,
            discovery,
            data_plane,
            address_record: AddressRecord::of(instance),
            host_record: HostRecord::of(instance),
            acceptance: Acceptance::of(instance),
            netlink,
            forwarding,
            network_netlink,
            network,
            held: BTreeSet::new(),
            hook,
            attached: BTreeMap::new(),
            stations: BTreeSet::new(),
            redirects: BTreeSet::new(),
            refused: BTreeMap::new(),
            vrrp: Post::default(),
            check: Post::default(),
            pulse: Pulse::default(),
            timetable: Timetable::default(),
            configurations: 0,
            outbox: Outbox {
                vrrp,
                check,
                sockets,
                ended,
            },
            notifications: Notifications::default(),
            scripts: Scripts::new(),
            fragments: Fragments::open(instance.name())?,
            changed: BTreeSet::new(),
        };
        director.name_process();
        director.follow_files();
        director.withdraw_leftovers()?;
        director.configure_notifications();
        director.addresses_changed();
        director.links_changed();
        if hook == Hook::Xdp {
            director.insist_on_xdp()?;
        }
        // What has not been taken over runs on with what it has.
        if director.refused.is_empty() {
            director.data_plane.end_succeeded();
        }
        // Services that are pinned and not in the file any more go as well.
        director.carry_out(director.plan(&director.configuration));
        if director.configuration.global.flush && !succeeds {
            director.flush_foreign();
        }
        warn_of(settings);
        director.look_at_firewall(settings);
        // Before any address that is not to be accepted can be held.
        director.acceptance.enforce(&director.configuration);
        director.succeed();
        director.start_vrrp();
        director.watch_files();
        director.start_check();
        if !succeeds {
            director.tell_of_start();
        }
        let inbox = Inbox {
            vrrp: from_vrrp,
            check: from_check,
            sockets: unready,
            ended: has_ended,
            asked: was_asked,
            discovered,
            network: network_events,
        };
        Ok((director, inbox))
    }

    async fn run(mut self, mut inbox: Inbox) -> Result<(), Failure> {
        let what = "listening to signals";
        let mut hangup = signal(SignalKind::hangup()).map_err(Failure::system(what))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::system(what))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::system(what))?;
        let mut data = signal(SignalKind::user_defined1()).map_err(Failure::system(what))?;
        let mut statistics = signal(SignalKind::user_defined2()).map_err(Failure::system(what))?;
        let mut statistics_once = signal(SignalKind::from_raw(signals::statistics_once()))
            .map_err(Failure::system(what))?;
        let mut json =
            signal(SignalKind::from_raw(signals::json())).map_err(Failure::system(what))?;
        let mut heartbeat = ServiceManager::heartbeat().map(tokio::time::interval);
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut observe = tokio::time::interval(OBSERVED);
        observe.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut estimate = tokio::time::interval(estimator::INTERVAL);
        estimate.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tracing::info!("instance {} runs", self.instance);
        self.service_manager.ready();
        let ended = loop {
            let deadline = self.deadline();
            tokio::select! {
                // First what is urgent: deaths, then the deadline that a death sets.
                biased;
                Some(ended) = inbox.ended.recv() => {
                    self.child_ended(&ended);
                    if !self.manner.respawn {
                        break Err(Failure::NotRespawned(ended.role.word()));
                    }
                }
                () = sleep_until(deadline), if deadline.is_some() => self.deadline_reached(),
                Some(notice) = inbox.vrrp.recv() => self.vrrp_said(notice),
                event = inbox.network.next() => {
                    let event = event.map_err(Failure::system("listening to the network"))?;
                    self.network_events(event, &mut inbox.network).await?;
                }
                Some(said) = inbox.check.recv() => {
                    self.check_said(said);
                    while let Ok(said) = inbox.check.try_recv() {
                        self.check_said(said);
                    }
                    self.carry_out_changes();
                }
                Some(unready) = inbox.sockets.recv() => self.make_ready(unready),
                Some(observed) = self.watches.next() => {
                    if let Observation::File { name, value } = observed {
                        self.seen(&Seen::File(name, value));
                    }
                }
                task = self.fragments.next() => {
                    let task = task.map_err(Failure::system("taking fragments"))?;
                    self.fragments.carry_out(task, self.data_plane.maps());
                }
                Some(ended) = self.scripts.next() => self.script_ended(&ended),
                Some(asked) = inbox.asked.recv() => {
                    let response = self.answer(asked.request);
                    // Who asked may have gone.
                    let _ = asked.answer.send(response);
                }
                Some(news) = inbox.discovered.recv() => {
                    let mut is_news = self.discovery.learn(news);
                    while let Ok(news) = inbox.discovered.try_recv() {
                        is_news |= self.discovery.learn(news);
                    }
                    if is_news {
                        self.discovered();
                    }
                }
                _ = sweep.tick() => {
                    self.data_plane.sweep();
                    self.timetable.look();
                    self.data_plane.defend();
                    self.tell_xdp();
                    self.tell_service_manager();
                }
                () = next_tick(&mut heartbeat), if heartbeat.is_some() => {
                    self.service_manager.alive();
                }
                _ = observe.tick() => self.observe_clients(),
                _ = estimate.tick() => self.data_plane.estimate(),
                _ = hangup.recv() => {
                    // What went wrong is in the log.
                    let _ = self.reload();
                }
                _ = data.recv() => self.dump(Dump::Data),
                _ = statistics_once.recv() => self.dump(Dump::StatisticsOnce),
                _ = statistics.recv() => self.dump(Dump::Statistics),
                _ = json.recv() => self.dump(Dump::Json),
                _ = terminate.recv() => break Ok(()),
                _ = interrupt.recv() => break Ok(()),
            }
        };
        self.stop(inbox).await.and(ended)
    }

    /// Says in a line how things stand.
    fn tell_service_manager(&mut self) {
        let states = self.virtual_routers.states(&self.configuration);
        let masters = states.iter().filter(|(_, state)| state == "MASTER").count();
        let up = self.health.iter().filter(|(_, s)| s.health == Health::Up);
        let line = format!(
            "{masters} of {} VRRP instances are master; {} of {} checks succeed; {} virtual services",
            states.len(),
            up.count(),
            self.health.iter().count(),
            self.configuration.virtual_servers.len(),
        );
        self.service_manager.status(line);
    }

    /// Says which rules of netfilter do not hold for the services that there are now.
    fn look_at_firewall(&self, settings: &Settings) {
        let services = self.data_plane.services();
        let mut keys = firewall::services(&self.configuration);
        keys.extend(services.iter().map(|service| service.key));
        keys.sort_unstable();
        keys.dedup();
        let own = firewall::own_table(&self.configuration).map(str::to_owned);
        let looking = || firewall::look_aside(keys, own, settings.clone());
        if let Err(error) = self.forwarding.run(looking) {
            tracing::error!("{THERE}: {error}");
        }
    }

    fn configure_notifications(&mut self) {
        self.notifications
            .configure(&self.configuration.global, &mut self.scripts);
    }

    fn dump(&self, dump: Dump) {
        if let Some(vrrp) = &self.vrrp.child {
            vrrp.tell(Command::Dump(dump));
        }
    }

    /// Leaves in the order in which clients lose least: first the addresses go, so that a
    /// peer takes over, then the services.
    async fn stop(mut self, mut inbox: Inbox) -> Result<(), Failure> {
        tracing::info!("Stopping");
        self.service_manager.stopping();
        self.dismiss(&mut inbox).await;
        if !self.manner.keep_addresses {
            self.withdraw_rest();
            self.acceptance.end();
        }
        self.tell_of_end();
        if !self.manner.keep_services {
            let configured = self.data_plane.configured().services();
            self.apply(&lb::plan(&[], &configured));
            self.flush_at_end(&configured);
            self.discovery.forget();
        }
        if self.data_plane.is_of_use() {
            tracing::info!(
                "what was made by hand or is to be kept stays in force ({} virtual services, {} sync daemons); \
                 `elver unload --instance {}` removes it",
                self.data_plane.services().len(),
                self.data_plane.sync_daemons().len(),
                self.instance
            );
        } else {
            drop(self.data_plane);
            self.forwarding
                .run(|| DataPlane::unload(&self.instance))
                .map_err(Failure::system(THERE))??;
        }
        if !self.manner.keep_addresses {
            self.address_record
                .remove()
                .map_err(Failure::system("removing the record of virtual addresses"))?;
            // The vrrp process has left, and put back what it knew of.
            let (undone, result) = self.host_record.undo(&mut self.netlink);
            for change in undone {
                tracing::info!("took back {change}");
            }
            result
                .and_then(|()| self.host_record.remove())
                .map_err(Failure::system(HOST_RECORD))?;
        }
        self.manner.pid_files.ended();
        self.notifications.finish(&mut self.scripts).await;
        let global = &self.configuration.global;
        if let Some(script) = &global.shutdown {
            run_awaited("shutdown_script", script, global).await;
        }
        tracing::info!("Stopped");
        Ok(())
    }
}

async fn next_tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
