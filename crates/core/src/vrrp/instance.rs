//! One virtual router: its timers and its transitions. What it makes of the
//! advertisements of others is in [`super::hearing`].
//!
//! An instance knows nothing of the others; what a sync group makes of a
//! transition is decided in [`super::routers`].

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::addressing::{addresses_of, is_ipv6};
use super::advertisement::{PRIORITY_OWNER, PRIORITY_STOP};
use super::effect::{Effect, Event, HeldAddress, Report};
use super::notification::{Occasion, of_instance};
use super::receipt::RejectionKind;
use super::timers::master_down_interval;
use super::trailer::TrailerState;
use super::{InstanceView, InterfaceCondition, State};
use crate::config::model::{Announcements, UnicastChecksum, VrrpInstance};
use crate::notification::Notification;

/// What an instance has counted since it was configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Advertisements that passed every check.
    pub advertisements_received: u64,
    /// Advertisements sent.
    pub advertisements_sent: u64,
    /// Times that the instance became master.
    pub became_master: u64,
    /// Times that it gave up being master.
    pub released_master: u64,
    /// Advertisements of priority 0 received.
    pub priority_zero_received: u64,
    /// Advertisements of priority 0 sent.
    pub priority_zero_sent: u64,
    /// Advertisements not taken.
    pub rejected: BTreeMap<RejectionKind, u64>,
}

/// One virtual router.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) configuration: VrrpInstance,
    pub(super) state: State,
    /// When it entered its state; none before the first.
    pub(super) entered_at: Option<Instant>,
    /// The group that it belongs to, by position.
    pub(super) group: Option<usize>,
    /// Its down timer has run out, and only its group holds it back.
    pub(super) wants_master: bool,
    /// The address that it sends from; none while the interface cannot be used.
    pub(super) source: Option<IpAddr>,
    pub(super) statistics: Statistics,
    /// Its effective priority.
    pub(super) priority: u8,
    /// Its priority without weights.
    pub(super) base_priority: u8,
    /// Something that it tracks keeps it from taking part.
    pub(super) tracks_fault: bool,
    /// Something that it tracks is not known yet.
    pub(super) tracks_unknown: bool,
    /// The interval of the current master, as version 3 advertises it.
    pub(super) master_interval: Duration,
    /// Adver_Timer of a master, Master_Down_Timer of a backup.
    pub(super) deadline: Option<Instant>,
    /// When the addresses are announced once more, and how often.
    pub(super) announce_at: Option<(Instant, u32)>,
    /// When a master that stays master announces again.
    pub(super) refresh_at: Option<Instant>,
    /// When it announces addresses on other interfaces again.
    pub(super) announce_elsewhere_at: Option<Instant>,
    /// Whether a peer was heard that sums its advertisements as of the group.
    pub(super) sums_as_of_group: bool,
    /// Until when a lower priority may stay master.
    pub(super) preempt_at: Option<Instant>,
    /// As a backup it waits for a master from then on, not from before.
    begins_at: Option<Instant>,
    /// Who sent the last advertisement that was taken.
    pub(super) known_master: Option<IpAddr>,
    /// The priority in the last advertisement that a backup took; 0 where there is none.
    pub(super) master_priority: u8,
    /// When a lower priority was last answered with announcements.
    pub(super) answered_at: Option<Instant>,
    /// The number in the last authentication header that was sent or taken.
    pub(super) sequence: u32,
    /// What it knows of `auth_hmac`.
    pub(super) trailers: TrailerState,
    /// When a rejection of each kind was last reported.
    pub(super) reported: BTreeMap<RejectionKind, Instant>,
}

impl Instance {
    /// An instance that becomes master at `begins_at` at the earliest.
    pub(super) fn new(configuration: VrrpInstance, begins_at: Option<Instant>) -> Instance {
        Instance {
            state: State::Initialize,
            entered_at: None,
            group: None,
            wants_master: false,
            source: None,
            statistics: Statistics::default(),
            priority: configuration.priority,
            base_priority: configuration.priority,
            tracks_fault: false,
            tracks_unknown: false,
            master_interval: configuration.advertisement_interval,
            deadline: None,
            announce_at: None,
            refresh_at: None,
            announce_elsewhere_at: None,
            sums_as_of_group: configuration.unicast_checksum == UnicastChecksum::OfGroup,
            preempt_at: None,
            begins_at,
            known_master: None,
            master_priority: 0,
            answered_at: None,
            sequence: 0,
            trailers: TrailerState::default(),
            reported: BTreeMap::new(),
            configuration,
        }
    }

    /// What can be seen of it from outside.
    pub(super) fn view(&self) -> InstanceView<'_> {
        InstanceView {
            configuration: &self.configuration,
            state: self.state,
            priority: self.priority,
            wants_master: self.wants_master,
            entered_at: self.entered_at,
            master_priority: self.master_priority,
            master_interval: self.master_interval,
            statistics: &self.statistics,
        }
    }

    /// Whether its virtual addresses are IPv6.
    pub(super) fn is_ipv6(&self) -> bool {
        is_ipv6(&self.configuration)
    }

    pub(super) fn is_owner(&self) -> bool {
        self.priority == PRIORITY_OWNER
    }

    pub(super) fn is_usable(&self) -> bool {
        self.source.is_some() && !self.tracks_fault && !self.configuration.lacks_peers
    }

    /// The address to send from on an interface in this condition; none if the interface
    /// cannot be used.
    ///
    /// 9568-7.2-c, 3768-7.2-c: the primary IPv4 address of the interface, or its link-local
    /// IPv6 address.
    pub(super) fn source_on(&self, interface: Option<&InterfaceCondition>) -> Option<IpAddr> {
        let interface =
            interface.filter(|interface| interface.up || !self.configuration.track_primary)?;
        let is_there = |source: &IpAddr| interface.addresses.contains(source);
        if let Some(source) = self.configuration.source {
            Some(source).filter(|source| !self.configuration.track_source || is_there(source))
        } else if self.is_ipv6() {
            interface.ipv6_link_local.map(IpAddr::from)
        } else {
            interface.ipv4.map(IpAddr::from)
        }
    }

    /// The addresses with their interfaces.
    pub(super) fn addresses(&self) -> Vec<HeldAddress> {
        addresses_of(&self.configuration)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let announce_at = self.announce_at.map(|(at, _)| at);
        [
            self.deadline,
            announce_at,
            self.refresh_at,
            self.announce_elsewhere_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn report(&self, effects: &mut VecDeque<Effect>, event: Event) {
        effects.push_back(Effect::Report(Report {
            name: self.configuration.name.clone(),
            event,
        }));
    }

    fn state_changed(&self, effects: &mut VecDeque<Effect>) {
        effects.push_back(Effect::StateChanged {
            instance: self.configuration.name.clone(),
            state: self.state,
            priority: self.priority,
        });
        self.notify(Occasion::Entered(self.state), effects);
    }

    /// What is told of its state.
    pub(super) fn notification(&self) -> Option<Notification> {
        of_instance(
            &self.configuration,
            Occasion::Entered(self.state),
            self.priority,
        )
    }

    pub(super) fn notify(&self, occasion: Occasion, effects: &mut VecDeque<Effect>) {
        let notification = of_instance(&self.configuration, occasion, self.priority);
        effects.extend(notification.map(Effect::Notify));
    }

    pub(super) fn master_down_interval(&self) -> Duration {
        master_down_interval(
            self.configuration.version,
            self.priority,
            self.master_interval,
            self.configuration.down_timer_advertisements,
        )
    }

    /// Starts the Master_Down_Timer anew.
    pub(super) fn restart_down_timer(&mut self, now: Instant) {
        self.wait_for_master(now, self.master_down_interval());
    }

    /// Whether it must not become master yet.
    pub(super) fn is_delayed(&self, now: Instant) -> bool {
        self.begins_at.is_some_and(|begins_at| begins_at > now)
    }

    /// As a backup: lets the Master_Down_Timer run out after this time.
    pub(super) fn wait_for_master(&mut self, now: Instant, patience: Duration) {
        let from = self.begins_at.map_or(now, |begins_at| begins_at.max(now));
        self.deadline = Some(from + patience);
    }

    /// Enters Backup, from any state but Master.
    pub(super) fn enter_backup(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        let at_start = self.state == State::Initialize;
        self.state = State::Backup;
        self.entered_at = Some(now);
        self.wants_master = false;
        self.master_interval = self.configuration.advertisement_interval;
        self.preempt_at = None;
        // 3768-6.4.1-b, 9568-6.4.1-b: "Set the Master_Down_Timer to Master_Down_Interval", "Transition to
        // the {Backup} state".
        self.restart_down_timer(now);
        self.report(
            effects,
            if at_start {
                Event::EnteringAtStart(State::Backup)
            } else {
                Event::Entering(State::Backup)
            },
        );
        self.state_changed(effects);
    }

    /// Enters Fault, from any state but Master.
    pub(super) fn enter_fault(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        let at_start = self.state == State::Initialize;
        self.state = State::Fault;
        self.entered_at = Some(now);
        self.master_priority = 0;
        self.wants_master = false;
        self.deadline = None;
        self.report(
            effects,
            if at_start {
                Event::EnteringAtStart(State::Fault)
            } else {
                Event::Entering(State::Fault)
            },
        );
        self.state_changed(effects);
    }

    /// Becomes master.
    pub(super) fn enter_master(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        // 3768-6.4.2-e, 9568-6.4.2-g: "Send an ADVERTISEMENT", "Broadcast a gratuitous ARP request
        // containing the virtual router MAC address for each IP address associated with the
        // virtual router", "Set the Adver_Timer to Advertisement_Interval", "Transition to the
        // {Master} state". The advertisement comes first, so that an old master has let go of
        // the addresses before they are announced.
        self.take_over(now, effects);
        self.report(effects, Event::Entering(State::Master));
        self.report(effects, Event::SettingAddresses);
        self.add_addresses(self.addresses(), effects);
        self.add_routes(effects);
        let Announcements { repeat, delay, .. } = self.configuration.announcements;
        self.announce(self.addresses(), repeat, effects);
        self.announce_again(now, delay, repeat);
        self.state_changed(effects);
    }

    /// Goes on as master in the place of a process that has just died: its addresses
    /// are still on the interfaces, and no peer has missed an advertisement yet.
    pub(super) fn resume_master(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        self.take_over(now, effects);
        self.report(effects, Event::Resuming);
        self.add_addresses(self.addresses(), effects);
        self.add_routes(effects);
        self.state_changed(effects);
    }

    fn take_over(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        self.state = State::Master;
        self.entered_at = Some(now);
        self.wants_master = true;
        self.master_interval = self.configuration.advertisement_interval;
        self.answered_at = None;
        self.preempt_at = None;
        self.known_master = None;
        self.master_priority = 0;
        let Announcements {
            refresh, elsewhere, ..
        } = self.configuration.announcements;
        self.refresh_at = (!refresh.is_zero()).then(|| now + refresh);
        self.announce_elsewhere_at = (!elsewhere.is_zero()).then(|| now + elsewhere);
        self.statistics.became_master += 1;
        self.advertise(now, effects);
    }

    /// Stops being master and goes to another state; `stop` sends the advertisement of
    /// priority 0 that lets a backup take over at once.
    pub(super) fn leave_master(
        &mut self,
        now: Instant,
        next: State,
        stop: bool,
        effects: &mut VecDeque<Effect>,
    ) {
        self.state = next;
        self.entered_at = Some(now);
        self.wants_master = false;
        self.announce_at = None;
        self.refresh_at = None;
        self.announce_elsewhere_at = None;
        self.statistics.released_master += 1;
        if next != State::Initialize {
            self.report(effects, Event::Entering(next));
        }
        if stop {
            // 3768-6.4.3-d, 9568-6.4.3-h: "Cancel the Adver_Timer", "Send an ADVERTISEMENT with Priority = 0".
            self.send(PRIORITY_STOP, effects);
            self.statistics.priority_zero_sent += 1;
            self.report(effects, Event::SentPriorityZero);
        }
        self.remove_addresses(effects);
        self.deadline = None;
        if next == State::Backup {
            self.restart_down_timer(now);
        }
        self.state_changed(effects);
    }

    /// Takes the addresses off, wherever they come from.
    pub(super) fn remove_addresses(&self, effects: &mut VecDeque<Effect>) {
        self.report(effects, Event::RemovingAddresses);
        self.remove_routes(effects);
        effects.push_back(Effect::RemoveAddresses {
            instance: self.configuration.name.clone(),
            addresses: self.addresses(),
        });
    }

    /// Ends the instance, from any state; `occasion` is why.
    pub(super) fn stop(
        &mut self,
        now: Instant,
        occasion: Occasion,
        effects: &mut VecDeque<Effect>,
    ) {
        match self.state {
            State::Initialize => return,
            State::Master => self.leave_master(now, State::Initialize, true, effects),
            // 9568-6.4.2-f, 3768-6.4.2-d: "Cancel the Master_Down_Timer", "Transition to the
            // {Initialize} state".
            State::Backup | State::Fault => {
                self.state = State::Initialize;
                self.deadline = None;
                self.state_changed(effects);
            }
        }
        self.notify(occasion, effects);
    }

    fn add_addresses(&self, addresses: Vec<HeldAddress>, effects: &mut VecDeque<Effect>) {
        effects.push_back(Effect::AddAddresses {
            instance: self.configuration.name.clone(),
            addresses,
        });
    }

    /// Takes a new effective priority.
    pub(super) fn set_priority(&mut self, priority: u8, effects: &mut VecDeque<Effect>) {
        if priority == self.priority {
            return;
        }
        let down_before = self.master_down_interval();
        let from = std::mem::replace(&mut self.priority, priority);
        if self.state != State::Initialize {
            self.report(effects, Event::PriorityChanged { from, to: priority });
            self.notify(Occasion::PriorityChanged(self.state), effects);
        }
        self.shift_down_timer(down_before);
    }

    /// The time that has passed counts: only the difference of the intervals is added.
    fn shift_down_timer(&mut self, down_before: Duration) {
        if self.state == State::Backup {
            self.deadline = self
                .deadline
                .map(|deadline| deadline + self.master_down_interval())
                .and_then(|deadline| deadline.checked_sub(down_before));
        }
    }

    /// Takes a new configuration of the same virtual router without leaving its state.
    pub(super) fn reconfigure(
        &mut self,
        configuration: VrrpInstance,
        effects: &mut VecDeque<Effect>,
    ) {
        let before = self.addresses();
        let previous = std::mem::replace(&mut self.configuration, configuration);
        let interval = self.configuration.advertisement_interval;
        if previous.advertisement_interval != interval {
            let down_before = self.master_down_interval();
            self.master_interval = interval;
            self.shift_down_timer(down_before);
        }
        if previous.unicast_checksum != self.configuration.unicast_checksum {
            let checksum = self.configuration.unicast_checksum;
            self.sums_as_of_group = checksum == UnicastChecksum::OfGroup;
        }
        if previous.priority != self.configuration.priority {
            self.base_priority = self.configuration.priority;
        }
        if self.state == State::Master {
            self.remove_old_routes(&previous, effects);
            let after = self.addresses();
            let gone: Vec<_> = before
                .iter()
                .filter(|a| !after.contains(a))
                .cloned()
                .collect();
            let new: Vec<_> = after.into_iter().filter(|a| !before.contains(a)).collect();
            if !gone.is_empty() {
                effects.push_back(Effect::RemoveAddresses {
                    instance: self.configuration.name.clone(),
                    addresses: gone,
                });
            }
            if !new.is_empty() {
                self.report(effects, Event::SettingAddresses);
                self.add_addresses(new.clone(), effects);
                let repeat = self.configuration.announcements.repeat;
                self.announce(new, repeat, effects);
            }
            self.add_new_routes(&previous, effects);
        }
    }

    /// Puts an address back that someone has taken off while this master holds it.
    pub(super) fn restore_address(
        &self,
        interface: &str,
        address: IpAddr,
        effects: &mut VecDeque<Effect>,
    ) {
        let lost: Vec<_> = self
            .addresses()
            .into_iter()
            .filter(|held| held.restore && held.interface == interface && held.address == address)
            .collect();
        if self.state == State::Master && !lost.is_empty() {
            self.report(
                effects,
                Event::AddressRestored {
                    address,
                    interface: interface.to_owned(),
                },
            );
            self.add_addresses(lost.clone(), effects);
            let repeat = self.configuration.announcements.repeat;
            self.announce(lost, repeat, effects);
        }
    }
}
