//! All the virtual routers of a process, and the sync groups that bind them.
//!
//! The rules of a group are keepalived's: a member that cannot work takes all to
//! Fault; a member that gives way takes all to Backup; and all become master only
//! when every one of them would.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::State;
use super::advertisement::Advertisement;
use super::effect::{Effect, Event, HeldAddress, Report};
use super::hearing::Heard;
use super::instance::{self, Instance, Statistics};
use super::messages::Resume;
use super::receipt::Packet;
use crate::config::model::{SyncGroup, VrrpInstance};

/// A process that has been dead for longer than this is not resumed: real peers of
/// keepalived never see its addresses held longer after its death.
const RESUME_WITHIN: Duration = Duration::from_millis(100);

/// What is known of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceCondition {
    /// It is up and has a carrier.
    pub up: bool,
    /// Its primary IPv4 address, which is none of the virtual ones.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 link-local address.
    pub ipv6_link_local: Option<Ipv6Addr>,
}

/// Something that happens to the virtual routers.
#[derive(Debug)]
pub enum Input<'a> {
    /// The instances and groups to run from now on. The conditions of their interfaces
    /// are told before.
    Configure {
        /// The instances, in the order of the configuration.
        instances: Vec<VrrpInstance>,
        /// The groups.
        sync_groups: Vec<SyncGroup>,
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
    /// What it has counted.
    pub statistics: &'a Statistics,
}

impl InstanceView<'_> {
    /// Its virtual addresses, with their interfaces.
    pub fn addresses(&self) -> Vec<HeldAddress> {
        instance::addresses_of(self.configuration)
    }
}

#[derive(Debug)]
struct Group {
    name: String,
    /// Positions of its members.
    members: Vec<usize>,
    state: State,
}

/// The machine of all virtual routers in a process.
#[derive(Debug, Default)]
pub struct VirtualRouters {
    interfaces: BTreeMap<String, InterfaceCondition>,
    instances: Vec<Instance>,
    groups: Vec<Group>,
    effects: VecDeque<Effect>,
}

impl VirtualRouters {
    /// A machine without instances.
    pub fn new() -> VirtualRouters {
        VirtualRouters::default()
    }

    /// Takes in what has happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Configure {
                instances,
                sync_groups,
                resume,
            } => {
                self.configure(now, instances, sync_groups, &resume);
            }
            Input::InterfaceChanged {
                interface,
                condition,
            } => {
                self.interface_changed(now, interface, condition);
            }
            Input::Received { interface, packet } => self.received(now, interface, packet),
            Input::AddressRemoved { interface, address } => {
                for instance in &self.instances {
                    instance.restore_address(&interface, address, &mut self.effects);
                }
            }
            Input::Shutdown => {
                for instance in &mut self.instances {
                    instance.stop(now, &mut self.effects);
                }
                self.instances.clear();
                self.groups.clear();
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens
    /// before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.instances
            .iter()
            .filter_map(Instance::next_timeout)
            .min()
    }

    /// Lets the timers run out that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for instance in &mut self.instances {
            instance.handle_announce_timeout(now, &mut self.effects);
        }
        // The earliest first: in a group, the order decides who waits for whom.
        while let Some(position) = self.most_overdue(now) {
            let instance = &mut self.instances[position];
            match instance.state {
                State::Master => instance.handle_advertisement_timeout(now, &mut self.effects),
                _ => {
                    instance.report(&mut self.effects, Event::AdvertisementTimeout);
                    instance.wants_master = true;
                    self.try_master(now, position);
                }
            }
        }
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
        self.instances.iter().map(|instance| InstanceView {
            configuration: &instance.configuration,
            state: instance.state,
            priority: instance.priority,
            statistics: &instance.statistics,
        })
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

    fn received(&mut self, now: Instant, interface: &str, packet: Packet<'_>) {
        let Some(vrid) = Advertisement::peek_virtual_router_id(packet.payload) else {
            return;
        };
        let addressed = |instance: &Instance| {
            instance.configuration.virtual_router_id == vrid
                && instance.is_ipv6() == packet.source.is_ipv6()
                && instance.configuration.interface == interface
        };
        // "MUST verify that the VRID is configured on the receiving interface" (RFC 3768 7.1).
        let Some(position) = self.instances.iter().position(addressed) else {
            return;
        };
        let heard = self.instances[position].receive(now, packet, &mut self.effects);
        match heard {
            Heard::Nothing => {}
            Heard::Answered => {
                for member in self.fellows(position) {
                    let member = &mut self.instances[member];
                    if member.state == State::Master {
                        member.announce_after_conflict(now, &mut self.effects);
                    }
                }
            }
            Heard::Superior => {
                let instance = &mut self.instances[position];
                instance.leave_master(now, State::Backup, false, &mut self.effects);
                self.lead_group(now, position, State::Backup);
            }
        }
    }

    fn interface_changed(
        &mut self,
        now: Instant,
        interface: String,
        condition: Option<InterfaceCondition>,
    ) {
        for position in 0..self.instances.len() {
            let instance = &mut self.instances[position];
            if instance.configuration.interface != interface {
                continue;
            }
            let source = instance.source_on(condition.as_ref());
            match (instance.is_usable(), source) {
                (true, None) => {
                    if instance.state == State::Master {
                        // Sent while the old source is still known: the interface may work
                        // in this direction, or only the address may be gone.
                        instance.leave_master(now, State::Fault, true, &mut self.effects);
                    } else if instance.state != State::Fault {
                        instance.enter_fault(&mut self.effects);
                    }
                    instance.source = None;
                    self.lead_group(now, position, State::Fault);
                }
                (_, source) => {
                    instance.source = source;
                    if source.is_some() && instance.state == State::Fault {
                        self.leave_fault(now, position);
                    }
                }
            }
        }
        match condition {
            Some(condition) => self.interfaces.insert(interface, condition),
            None => self.interfaces.remove(&interface),
        };
    }

    /// An instance has lost its own reason to be in Fault; its group may have others.
    fn leave_fault(&mut self, now: Instant, position: usize) {
        if self
            .fellows(position)
            .all(|member| self.instances[member].is_usable())
        {
            self.instances[position].enter_backup(now, &mut self.effects);
            self.lead_group(now, position, State::Backup);
        }
    }

    /// Positions of the other members of an instance's group.
    fn fellows(&self, position: usize) -> impl Iterator<Item = usize> + use<> {
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
    fn lead_group(&mut self, now: Instant, leader: usize, state: State) {
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
            name: name.clone(),
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
                (_, State::Fault) => member.enter_fault(effects),
                (_, State::Initialize) => member.stop(now, effects),
            }
        }
        effects.push_back(Effect::GroupStateChanged { group: name, state });
    }

    fn configure(
        &mut self,
        now: Instant,
        configurations: Vec<VrrpInstance>,
        sync_groups: Vec<SyncGroup>,
        resume: &[(Resume, Duration)],
    ) {
        let mut before = std::mem::take(&mut self.instances);
        let groups_before = std::mem::take(&mut self.groups);
        let mut kept = Vec::new();
        for configuration in &configurations {
            kept.push(
                before
                    .iter()
                    .position(|old| is_same_router(&old.configuration, configuration))
                    .map(|position| before.remove(position)),
            );
        }
        // What is gone goes first, so that its addresses are free for what is new.
        for mut gone in before {
            gone.stop(now, &mut self.effects);
        }
        for (configuration, kept) in configurations.into_iter().zip(kept) {
            let instance = match kept {
                Some(mut instance) => {
                    instance.reconfigure(configuration, &mut self.effects);
                    instance
                }
                None => Instance::new(configuration),
            };
            self.instances.push(instance);
        }
        for instance in &mut self.instances {
            instance.group = None;
            let condition = self.interfaces.get(&instance.configuration.interface);
            let source = instance.source_on(condition);
            // An instance that runs learns here of a new source, and of its loss by events.
            if instance.state == State::Initialize || (instance.is_usable() && source.is_some()) {
                instance.source = source;
            }
        }
        self.bind_groups(sync_groups, &groups_before);
        self.start_new(now, resume);
        for group in 0..self.groups.len() {
            self.settle_group(now, group);
        }
        for position in 0..self.instances.len() {
            let instance = &self.instances[position];
            // The fault was that of a fellow in a group which it has left.
            if instance.group.is_none() && instance.state == State::Fault && instance.is_usable() {
                self.leave_fault(now, position);
            }
        }
    }

    fn bind_groups(&mut self, sync_groups: Vec<SyncGroup>, before: &[Group]) {
        for SyncGroup { name, members } in sync_groups {
            let position = self.groups.len();
            let mut bound = Vec::new();
            for member in members {
                let found = self
                    .instances
                    .iter()
                    .position(|i| i.configuration.name == member && i.group.is_none());
                if let Some(found) = found {
                    self.instances[found].group = Some(position);
                    bound.push(found);
                }
            }
            let state = before
                .iter()
                .find(|group| group.name == name)
                .map_or(State::Initialize, |group| group.state);
            self.groups.push(Group {
                name,
                members: bound,
                state,
            });
        }
    }

    /// Starts every instance that is not running yet.
    fn start_new(&mut self, now: Instant, resume: &[(Resume, Duration)]) {
        let is_new = |routers: &Self, position: usize| {
            routers.instances[position].state == State::Initialize
        };
        let new: Vec<usize> = (0..self.instances.len())
            .filter(|position| is_new(self, *position))
            .collect();
        // Members of a group start alike, so each is decided with its whole group before any
        // of them moves.
        let starts: Vec<(usize, Start)> = new
            .iter()
            .map(|&position| (position, self.start_of(position, resume)))
            .collect();
        for (position, start) in starts {
            let instance = &mut self.instances[position];
            if start != Start::Resume {
                // Whatever an earlier process left: none of it is ours yet.
                instance.remove_addresses(&mut self.effects);
            }
            match start {
                Start::Fault => instance.enter_fault(&mut self.effects),
                Start::Backup => instance.enter_backup(now, &mut self.effects),
                // RFC 3768 6.4.1: "If the Priority = 255 (i.e., the router owns the IP
                // address(es) associated with the virtual router)" it is master at once.
                Start::Owner => instance.enter_master(now, &mut self.effects),
                Start::Resume => instance.resume_master(now, &mut self.effects),
            }
        }
    }

    fn start_of(&self, position: usize, resume: &[(Resume, Duration)]) -> Start {
        let whole_group: Vec<usize> = std::iter::once(position)
            .chain(self.fellows(position))
            .collect();
        let all = |condition: &dyn Fn(&Instance) -> bool| {
            whole_group
                .iter()
                .all(|member| condition(&self.instances[*member]))
        };
        if !all(&Instance::is_usable) {
            Start::Fault
        } else if all(&|instance| can_resume(instance, resume)) {
            Start::Resume
        } else if all(&Instance::is_owner) {
            Start::Owner
        } else {
            Start::Backup
        }
    }

    /// Brings the members of a group to one state after a new configuration.
    fn settle_group(&mut self, now: Instant, group: usize) {
        let members = &self.groups[group].members;
        let with = |state| {
            members
                .iter()
                .copied()
                .find(|member| self.instances[*member].state == state)
        };
        let leader = with(State::Fault)
            .map(|leader| (leader, State::Fault))
            .or_else(|| with(State::Backup).map(|leader| (leader, State::Backup)))
            .or_else(|| with(State::Master).map(|leader| (leader, State::Master)));
        let Some((leader, state)) = leader else {
            return;
        };
        // A leader in Fault only because of a fellow that has left the group is free.
        if state == State::Fault && members.iter().all(|m| self.instances[*m].is_usable()) {
            self.leave_fault(now, leader);
            return;
        }
        let alike = members
            .iter()
            .all(|member| self.instances[*member].state == state);
        if alike {
            if self.groups[group].state != state {
                self.groups[group].state = state;
                let group = self.groups[group].name.clone();
                self.effects
                    .push_back(Effect::GroupStateChanged { group, state });
            }
        } else {
            self.groups[group].state = State::Initialize;
            self.lead_group(now, leader, state);
        }
    }
}

/// How a new instance begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Fault,
    Backup,
    Owner,
    Resume,
}

/// Whether the death of the process before can have gone unnoticed by every peer.
///
/// The last advertisement is at most one interval older than that death, and a peer waits
/// for three intervals and more, unless configured otherwise; one is kept as a margin.
fn can_resume(instance: &Instance, resume: &[(Resume, Duration)]) -> bool {
    if instance.state != State::Initialize {
        return instance.state == State::Master;
    }
    let interval = instance.configuration.advertisement_interval;
    // What the peers have configured is not known; they most likely have the same.
    let intervals = instance.configuration.down_timer_advertisements;
    let patience = interval * intervals.saturating_sub(1);
    resume.iter().any(|(last, elapsed)| {
        last.instance == instance.configuration.name
            && last.state == State::Master
            && *elapsed <= RESUME_WITHIN
            && *elapsed + interval <= patience
    })
}

/// Whether two configurations are of the same virtual router, which keeps its state
/// when the file is read again.
fn is_same_router(one: &VrrpInstance, other: &VrrpInstance) -> bool {
    one.name == other.name
        && one.interface == other.interface
        && one.virtual_router_id == other.virtual_router_id
        && one.version == other.version
        && instance::is_ipv6(one) == instance::is_ipv6(other)
}
