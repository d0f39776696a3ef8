//! Taking a configuration in: which instances go, stay and come, and how they begin.

use std::time::{Duration, Instant};

use super::State;
use super::addressing;
use super::effect::{Effect, Event};
use super::group::Group;
use super::instance::Instance;
use super::messages::Resume;
use super::notification::Occasion;
use super::process::ProcessTracker;
use super::routers::VirtualRouters;
use super::script::{ScriptAction, ScriptTracker};
use crate::config::model::{SyncGroup, Trackers, VrrpInstance};
use crate::notification::Notification;

/// A process that has been dead for longer than this is not resumed: real peers of
/// keepalived never see its addresses held longer after its death. One that was ended for a
/// successor may have been gone for as long as peers wait.
const RESUME_WITHIN: Duration = Duration::from_millis(100);

impl VirtualRouters {
    pub(super) fn configure(
        &mut self,
        now: Instant,
        configurations: Vec<VrrpInstance>,
        sync_groups: Vec<SyncGroup>,
        begins_at: Option<Instant>,
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
            gone.stop(now, Occasion::Deleted, &mut self.effects);
        }
        for (configuration, kept) in configurations.into_iter().zip(kept) {
            let instance = match kept {
                Some(mut instance) => {
                    instance.reconfigure(configuration, &mut self.effects);
                    instance
                }
                None => Instance::new(configuration, begins_at),
            };
            let mut instance = instance;
            instance.trailers.clock = self.since_epoch;
            self.instances.push(instance);
        }
        for instance in &mut self.instances {
            instance.group = None;
        }
        self.bind_groups(sync_groups, &groups_before);
        for position in 0..self.instances.len() {
            self.assess(now, position);
        }
        if self.settings.tells_states_on_reload {
            self.tell_states();
        }
        self.start_new(now, resume);
        self.settle(now);
    }

    /// Writes to the pipes what instances and groups that go on are now.
    fn tell_states(&mut self) {
        let groups = self.groups.iter();
        let groups = groups.filter_map(|group| group.notification(Occasion::Entered(group.state)));
        let instances = self.instances.iter().filter_map(Instance::notification);
        let lines: Vec<String> = groups.chain(instances).map(|told| told.line).collect();
        self.effects.extend(lines.into_iter().map(|line| {
            Effect::Notify(Notification {
                line,
                scripts: Vec::new(),
                mail: None,
            })
        }));
    }

    /// Starts the instances that have waited for something that they track.
    pub(super) fn start_known(&mut self, now: Instant) {
        let waits = |instance: &Instance| instance.state == State::Initialize;
        if self.instances.iter().any(waits) {
            self.start_new(now, &[]);
            self.settle(now);
        }
    }

    /// Brings groups, and instances that have left one, to what they should be.
    fn settle(&mut self, now: Instant) {
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

    /// What is tracked as before goes on as it is.
    pub(super) fn configure_trackers(&mut self, now: Instant, trackers: Trackers) {
        let Trackers {
            scripts,
            files,
            processes,
            sessions,
        } = trackers;
        // The number of one that has moved is read anew in a moment.
        self.files
            .retain(|name, _| files.iter().any(|file| file.name == *name));
        self.sessions
            .retain(|name, _| sessions.iter().any(|session| session.name == *name));
        let mut counted = std::mem::take(&mut self.processes);
        for configuration in processes {
            let same = |old: &ProcessTracker| old.configuration == configuration;
            self.processes.push(match counted.iter().position(same) {
                Some(position) => counted.swap_remove(position),
                None => ProcessTracker::new(configuration),
            });
        }
        let mut before = std::mem::take(&mut self.scripts);
        for configuration in scripts {
            let same = |old: &ScriptTracker| old.configuration == configuration;
            self.scripts.push(match before.iter().position(same) {
                Some(position) => before.swap_remove(position),
                None => ScriptTracker::new(configuration, now),
            });
        }
        for gone in before {
            let (name, action) = (gone.configuration.name, ScriptAction::Kill);
            self.effects.push_back(Effect::Script { name, action });
        }
    }

    fn bind_groups(&mut self, sync_groups: Vec<SyncGroup>, before: &[Group]) {
        for SyncGroup {
            name,
            members,
            notify,
            weights,
            smtp_alert,
        } in sync_groups
        {
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
                weights,
                smtp_alert,
                scripts: notify,
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
        self.start_groups(&starts);
        for (position, start) in starts {
            let instance = &mut self.instances[position];
            if start != Start::Resume {
                // Whatever an earlier process left: none of it is ours yet.
                instance.remove_addresses(&mut self.effects);
            }
            match start {
                Start::Wait => {}
                Start::Fault => {
                    if instance.configuration.lacks_peers {
                        instance.report(&mut self.effects, Event::LacksPeers);
                    }
                    instance.enter_fault(now, &mut self.effects);
                }
                Start::Backup => instance.enter_backup(now, &mut self.effects),
                // 3768-6.4.1-a, 9568-6.4.1-a: "If the Priority = 255 (i.e., the router owns the IP
                // address(es) associated with the virtual router)" it is master at once.
                Start::Owner if instance.is_delayed(now) => {
                    instance.enter_backup(now, &mut self.effects);
                    instance.wait_for_master(now, Duration::ZERO);
                }
                Start::Owner => instance.enter_master(now, &mut self.effects),
                Start::Resume => instance.resume_master(now, &mut self.effects),
            }
        }
    }

    /// New groups are in the state of their members, and say so before these do.
    fn start_groups(&mut self, starts: &[(usize, Start)]) {
        for (position, start) in starts {
            let Some(group) = self.instances[*position].group else {
                continue;
            };
            let group = &mut self.groups[group];
            let starts_whole = group
                .members
                .iter()
                .all(|member| starts.iter().any(|(new, _)| new == member));
            let state = match start {
                Start::Wait => continue,
                Start::Fault => State::Fault,
                Start::Backup => State::Backup,
                Start::Owner | Start::Resume => State::Master,
            };
            if group.state == State::Initialize && starts_whole {
                group.state = state;
                group.state_changed(&mut self.effects);
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
        } else if !all(&|instance| !instance.tracks_unknown) {
            Start::Wait
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
                self.groups[group].state_changed(&mut self.effects);
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
    /// Something that is tracked is not known yet.
    Wait,
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
            && (last.was_succeeded || *elapsed <= RESUME_WITHIN)
            && *elapsed + interval <= patience
    })
}

/// Whether two configurations are of the same virtual router, which keeps its state
/// when the file is read again.
fn is_same_router(one: &VrrpInstance, other: &VrrpInstance) -> bool {
    one.name == other.name
        && one.interface == other.interface
        && one.virtual_mac == other.virtual_mac
        && one.ipvlan == other.ipvlan
        && one.virtual_router_id == other.virtual_router_id
        && one.version == other.version
        && addressing::is_ipv6(one) == addressing::is_ipv6(other)
        && addressing::group_of(one) == addressing::group_of(other)
}
