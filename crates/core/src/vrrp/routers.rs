//! All the virtual routers of a process, and the sync groups that bind them.
//!
//! The rules of a group are keepalived's: a member that cannot work takes all to
//! Fault; a member that gives way takes all to Backup; and all become master only
//! when every one of them would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::State;
use super::addressing;
use super::effect::{Effect, Event, HeldAddress, Report};
use super::group::Group;
use super::instance::{Instance, Statistics};
use super::links::Bouncing;
use super::messages::Resume;
use super::notification::Occasion;
use super::pacing::Pacer;
use super::process::ProcessTracker;
use super::receipt::Packet;
use super::script::ScriptTracker;
use super::tracking::{Reading, Verdict, weigh};
use crate::config::model::{
    Pacing, RouterSettings, Statics, SyncGroup, Tracker, Trackers, VrrpInstance,
};

/// What is known of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceCondition {
    /// It is up and has a carrier.
    pub up: bool,
    /// Its primary IPv4 address, which is none of the virtual ones.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 link-local address.
    pub ipv6_link_local: Option<Ipv6Addr>,
    /// All its addresses that are none of the virtual ones.
    pub addresses: Vec<IpAddr>,
}

/// Something that happens to the virtual routers.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "configurations are few, and moved once"
)]
pub enum Input<'a> {
    /// The instances and groups to run from now on. The conditions of their interfaces
    /// are told before.
    Configure {
        /// The instances, in the order of the configuration.
        instances: Vec<VrrpInstance>,
        /// The groups.
        sync_groups: Vec<SyncGroup>,
        /// What is held whoever is master.
        statics: Statics,
        /// What they track.
        trackers: Trackers,
        /// How far announcements are apart.
        pacing: Pacing,
        /// What concerns all instances together.
        settings: RouterSettings,
        /// How long instances that are new wait before they wait for a master.
        start_delay: Duration,
        /// The last states of a process that has just died, and how long ago it did.
        resume: Vec<(Resume, Duration)>,
    },
    /// An interface has come, changed, or gone (no condition).
    InterfaceChanged {
        /// Its name.
        interface: String,
        /// Its condition.
        condition: Option<InterfaceCondition>,
    },
    /// A VRRP packet has come in.
    Received {
        /// Name of the interface.
        interface: &'a str,
        /// The packet.
        packet: Packet<'a>,
    },
    /// An address was taken off an interface.
    AddressRemoved {
        /// Name of the interface.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// A script that was started has ended, or could not be started.
    ScriptEnded {
        /// Its name.
        name: &'a str,
        /// Whether it has succeeded.
        succeeded: bool,
    },
    /// Some route or rule has come or gone, or an interface by which routes went.
    RoutesChanged,
    /// A tracked file was read, after its content changed or when it was first looked at.
    FileRead {
        /// Its name.
        name: &'a str,
        /// The number in it; 0 where there is none.
        value: i64,
    },
    /// Tracked processes were counted, after their number changed or for the first time.
    ProcessesCounted {
        /// The name that they are tracked by.
        name: &'a str,
        /// How many there are.
        count: u32,
    },
    /// A session of BFD has come up, or is down.
    SessionChanged {
        /// Its name.
        name: &'a str,
        /// Whether it is up.
        up: bool,
    },
    /// Give everything up.
    Shutdown,
}

/// What can be seen of an instance from outside.
#[derive(Debug, Clone, Copy)]
pub struct InstanceView<'a> {
    /// Its configuration.
    pub configuration: &'a VrrpInstance,
    /// Its state.
    pub state: State,
    /// Its effective priority.
    pub priority: u8,
    /// Whether only its group keeps it from being master.
    pub wants_master: bool,
    /// When it entered its state; none before the first.
    pub entered_at: Option<Instant>,
    /// The priority of the master that it last heard as a backup; 0 for none.
    pub master_priority: u8,
    /// The interval of the current master.
    pub master_interval: Duration,
    /// What it has counted.
    pub statistics: &'a Statistics,
}

impl InstanceView<'_> {
    /// The state that it would be in without its group.
    pub(super) fn wanted_state(&self) -> State {
        match self.state {
            State::Backup if self.wants_master => State::Master,
            state => state,
        }
    }

    /// Its virtual addresses, with their interfaces.
    pub fn addresses(&self) -> Vec<HeldAddress> {
        addressing::addresses_of(self.configuration)
    }
}

/// The machine of all virtual routers in a process.
#[derive(Debug, Default)]
pub struct VirtualRouters {
    pub(super) settings: RouterSettings,
    pub(super) interfaces: BTreeMap<String, InterfaceCondition>,
    /// Those that have been up since they came.
    pub(super) seen_up: BTreeSet<String>,
    pub(super) bouncing: BTreeMap<String, Bouncing>,
    /// When an unknown virtual router was last reported, by interface and VRID.
    pub(super) strangers: BTreeMap<(String, u8), Instant>,
    pub(super) scripts: Vec<ScriptTracker>,
    /// What is held whoever is master.
    pub(super) statics: Statics,
    pub(super) look_after_routes_at: Option<Instant>,
    /// The numbers in files, by name.
    pub(super) files: BTreeMap<String, i64>,
    /// Which sessions of BFD are up, as far as that is known.
    pub(super) sessions: BTreeMap<String, bool>,
    pub(super) processes: Vec<ProcessTracker>,
    pub(super) instances: Vec<Instance>,
    pub(super) groups: Vec<Group>,
    pub(super) effects: VecDeque<Effect>,
    /// The time of day, as far as somebody has said it.
    pub(super) since_epoch: Duration,
    pacer: Pacer,
}

impl VirtualRouters {
    /// A machine without instances.
    pub fn new() -> VirtualRouters {
        VirtualRouters::default()
    }

    /// Whether it has to know the time of day ([`tell_time`](Self::tell_time)).
    pub fn asks_for_time(&self) -> bool {
        let mut instances = self.instances.iter();
        instances.any(|instance| instance.configuration.trailer.is_some())
    }

    /// It is this long since 1970, until something else is said.
    pub fn tell_time(&mut self, since_epoch: Duration) {
        self.since_epoch = since_epoch;
        for instance in &mut self.instances {
            instance.trailers.clock = since_epoch;
        }
    }

    /// Takes in what has happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.take_in(now, input);
        self.pacer.pace(now, &mut self.effects);
    }

    fn take_in(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Configure {
                instances,
                sync_groups,
                statics,
                trackers,
                pacing,
                settings,
                start_delay,
                resume,
            } => {
                self.pacer.configure(pacing);
                self.settings = settings;
                self.hold(statics);
                self.configure_trackers(now, trackers);
                let begins_at = (!start_delay.is_zero()).then(|| now + start_delay);
                self.configure(now, instances, sync_groups, begins_at, &resume);
            }
            Input::InterfaceChanged {
                interface,
                condition,
            } => {
                self.interface_is(now, interface, condition);
            }
            Input::Received { interface, packet } => self.received(now, interface, packet),
            Input::AddressRemoved { interface, address } => {
                for instance in &self.instances {
                    instance.restore_address(&interface, address, &mut self.effects);
                }
                self.restore_static_address(&interface, address);
            }
            Input::ScriptEnded { name, succeeded } => {
                let ended = |script: &&mut ScriptTracker| script.configuration.name == name;
                if let Some(script) = self.scripts.iter_mut().find(ended)
                    && script.ended(now, succeeded)
                {
                    self.assess_trackers(now, &Tracker::Script(name.to_owned()));
                }
            }
            Input::RoutesChanged => self.routes_changed(now),
            Input::FileRead { name, value } => {
                if self.files.insert(name.to_owned(), value) != Some(value) {
                    self.assess_trackers(now, &Tracker::File(name.to_owned()));
                }
            }
            Input::ProcessesCounted { name, count } => {
                let named = |process: &&mut ProcessTracker| process.configuration.name == name;
                if let Some(process) = self.processes.iter_mut().find(named)
                    && process.counted(now, count)
                {
                    self.assess_trackers(now, &Tracker::Process(name.to_owned()));
                }
            }
            Input::SessionChanged { name, up } => {
                if self.sessions.insert(name.to_owned(), up) != Some(up) {
                    self.assess_trackers(now, &Tracker::Session(name.to_owned()));
                }
            }
            Input::Shutdown => {
                for instance in &mut self.instances {
                    instance.stop(now, Occasion::Stopped, &mut self.effects);
                }
                for group in &self.groups {
                    if group.state != State::Initialize {
                        group.notify(Occasion::Stopped, &mut self.effects);
                    }
                }
                self.hold(Statics::default());
                self.instances.clear();
                self.groups.clear();
                self.scripts.clear();
                self.files.clear();
                self.processes.clear();
                self.sessions.clear();
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens
    /// before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.instances
            .iter()
            .filter_map(Instance::next_timeout)
            .chain(self.scripts.iter().filter_map(ScriptTracker::next_timeout))
            .chain(
                self.processes
                    .iter()
                    .filter_map(ProcessTracker::next_timeout),
            )
            .chain(self.look_after_routes_at)
            .chain(self.pacer.next_timeout())
            .chain(self.next_link())
            .min()
    }

    /// Lets the timers run out that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.let_links_count(now);
        for instance in &mut self.instances {
            instance.handle_announce_timeout(now, &mut self.effects);
        }
        self.handle_tracker_timeouts(now);
        self.look_after_routes(now);
        // The earliest first: in a group, the order decides who waits for whom.
        while let Some(position) = self.most_overdue(now) {
            let instance = &mut self.instances[position];
            match instance.state {
                State::Master if instance.is_too_late(now) => {
                    instance.report(&mut self.effects, Event::TooLate);
                    instance.leave_master(now, State::Backup, false, &mut self.effects);
                    self.lead_group(now, position, State::Backup);
                }
                State::Master => instance.handle_advertisement_timeout(now, &mut self.effects),
                _ => {
                    instance.report(&mut self.effects, Event::AdvertisementTimeout);
                    instance.wants_master = true;
                    self.try_master(now, position);
                }
            }
        }
        self.pacer.pace(now, &mut self.effects);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front()?;
        let Effect::RemoveAddresses {
            instance,
            mut addresses,
        } = effect
        else {
            return Some(effect);
        };
        // An address that has moved to another instance stays where that one is master.
        addresses.retain(|address| {
            !self.instances.iter().any(|instance| {
                instance.state == State::Master && instance.addresses().contains(address)
            })
        });
        Some(Effect::RemoveAddresses {
            instance,
            addresses,
        })
    }

    /// The instances, in the order of the configuration.
    pub fn instances(&self) -> impl Iterator<Item = InstanceView<'_>> {
        self.instances.iter().map(Instance::view)
    }

    /// The sync groups with their states, in the order of the configuration.
    pub fn groups(&self) -> impl Iterator<Item = (&str, State)> {
        self.groups
            .iter()
            .map(|group| (group.name.as_str(), group.state))
    }

    fn most_overdue(&self, now: Instant) -> Option<usize> {
        let due = |(position, instance): (usize, &Instance)| {
            instance
                .deadline()
                .filter(|deadline| *deadline <= now)
                .map(|at| (at, position))
        };
        self.instances
            .iter()
            .enumerate()
            .filter_map(due)
            .min()
            .map(|(_, position)| position)
    }

    fn handle_tracker_timeouts(&mut self, now: Instant) {
        let mut changed = Vec::new();
        for script in &mut self.scripts {
            let (another, action) = script.handle_timeout(now);
            let name = &script.configuration.name;
            if let Some(action) = action {
                let name = name.clone();
                self.effects.push_back(Effect::Script { name, action });
            }
            if another {
                changed.push(Tracker::Script(name.clone()));
            }
        }
        for process in &mut self.processes {
            if process.handle_timeout(now) {
                changed.push(Tracker::Process(process.configuration.name.clone()));
            }
        }
        for tracker in changed {
            self.assess_trackers(now, &tracker);
        }
    }

    /// Something that is tracked says something else now.
    fn assess_trackers(&mut self, now: Instant, tracker: &Tracker) {
        for position in 0..self.instances.len() {
            if tracks(&self.instances[position].configuration, tracker) {
                self.assess(now, position);
            }
        }
        self.start_known(now);
    }

    /// What something that is tracked says, as far as is known.
    fn reading(&self, tracker: &Tracker) -> Option<Reading> {
        match tracker {
            Tracker::Interface(name) => {
                let up = self.interfaces.get(name).is_some_and(|i| i.up);
                Some(Reading::Good(up))
            }
            Tracker::Script(name) => {
                let mut scripts = self.scripts.iter();
                let script = scripts.find(|s| s.configuration.name == *name);
                script
                    .map_or(Some(false), |script| script.good)
                    .map(Reading::Good)
            }
            Tracker::File(name) => self.files.get(name).copied().map(Reading::Number),
            // As with keepalived, one that nothing is known of is down.
            Tracker::Session(name) => Some(Reading::Good(self.sessions.get(name) == Some(&true))),
            Tracker::Process(name) => {
                let mut processes = self.processes.iter();
                let process = processes.find(|p| p.configuration.name == *name);
                process
                    .map_or(Some(false), |process| process.good)
                    .map(Reading::Good)
            }
        }
    }

    /// What all that an instance tracks comes to.
    pub(super) fn verdict(&self, instance: &Instance) -> Verdict {
        let tracked = &instance.configuration.tracked;
        weigh(instance.base_priority, tracked, |t| self.reading(t))
    }

    /// Begins to count anew.
    pub fn clear_statistics(&mut self) {
        for instance in &mut self.instances {
            instance.statistics = Statistics::default();
        }
    }

    /// What an instance's interface and all that it tracks make of it.
    pub(super) fn assess(&mut self, now: Instant, position: usize) {
        let instance = &self.instances[position];
        let interface = addressing::hears_on(&instance.configuration);
        let condition = self.interfaces.get(interface);
        let source = instance.source_on(condition);
        let verdict = self.verdict(instance);
        let instance = &mut self.instances[position];
        instance.set_priority(verdict.priority, &mut self.effects);
        let falls = instance.is_usable() && (source.is_none() || verdict.faults > 0);
        if falls && instance.state == State::Master {
            // Sent while the old source is still known: the interface may work in this
            // direction, or only the address may be gone.
            instance.leave_master(now, State::Fault, true, &mut self.effects);
        } else if falls && instance.state == State::Backup {
            instance.enter_fault(now, &mut self.effects);
        }
        instance.source = source;
        instance.tracks_fault = verdict.faults > 0;
        instance.tracks_unknown = verdict.unknown > 0;
        match instance.state {
            State::Fault if falls => self.lead_group(now, position, State::Fault),
            State::Fault if instance.is_usable() => self.leave_fault(now, position),
            _ => {}
        }
    }

    /// An instance has lost its own reason to be in Fault; its group may have others.
    pub(super) fn leave_fault(&mut self, now: Instant, position: usize) {
        if self
            .fellows(position)
            .all(|member| self.instances[member].is_usable())
        {
            self.instances[position].enter_backup(now, &mut self.effects);
            self.lead_group(now, position, State::Backup);
        }
    }

    /// Positions of the other members of an instance's group.
    pub(super) fn fellows(&self, position: usize) -> impl Iterator<Item = usize> + use<> {
        let members = match self.instances[position].group {
            Some(group) => self.groups[group].members.clone(),
            None => Vec::new(),
        };
        members
            .into_iter()
            .filter(move |member| *member != position)
    }

    /// Makes an instance master whose down timer has run out, unless its group holds it
    /// back.
    fn try_master(&mut self, now: Instant, position: usize) {
        let group_is_master = self.instances[position]
            .group
            .is_some_and(|group| self.groups[group].state == State::Master);
        let ready = group_is_master
            || self
                .fellows(position)
                .all(|m| self.instances[m].wants_master);
        if ready {
            self.instances[position].enter_master(now, &mut self.effects);
            self.lead_group(now, position, State::Master);
        } else {
            self.instances[position].restart_down_timer(now);
        }
    }

    /// One member has changed to `state`: the others follow.
    pub(super) fn lead_group(&mut self, now: Instant, leader: usize, state: State) {
        let Some(position) = self.instances[leader].group else {
            return;
        };
        if self.groups[position].state == state {
            return;
        }
        self.groups[position].state = state;
        let name = self.groups[position].name.clone();
        let effects = &mut self.effects;
        effects.push_back(Effect::Report(Report {
            name,
            event: Event::GroupSynced(state),
        }));
        for member in self.groups[position]
            .members
            .iter()
            .filter(|member| **member != leader)
        {
            let member = &mut self.instances[*member];
            match (member.state, state) {
                (from, to) if from == to => {}
                (State::Master, State::Backup) => {
                    member.leave_master(now, State::Backup, false, effects);
                }
                (State::Master, _) => member.leave_master(now, state, true, effects),
                (_, State::Master) => member.enter_master(now, effects),
                (_, State::Backup) => member.enter_backup(now, effects),
                (_, State::Fault) => member.enter_fault(now, effects),
                (_, State::Initialize) => member.stop(now, Occasion::Stopped, effects),
            }
        }
        self.groups[position].state_changed(effects);
    }
}

pub(super) fn tracks(configuration: &VrrpInstance, tracker: &Tracker) -> bool {
    configuration
        .tracked
        .iter()
        .any(|tracked| tracked.tracker == *tracker)
}
