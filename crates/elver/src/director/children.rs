//! The part of the director that keeps its children running, and stands in for the vrrp
//! process while there is none.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use elver_core::check::Seen;
use elver_core::check::messages::{CertificateTexts, ToChecks};
use elver_core::config::model::Statics;
use elver_core::vrrp::messages::{Command, Notice};
use elver_sys::scheduling::permit_locked_memory;
use elver_sys::socket_passing::{self, Channel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;

use super::address_record::{self, addresses_of, withdraw};
use super::child::{Child, Ended, Restarts, Role};
use super::manner::Manner;
use super::pulse::{Beat, Pulse};
use super::{Director, HOST_RECORD, Inbox, RECORD};
use super::{check_sockets, pings};
use crate::client_certificate;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::succession::Testament;
use crate::vrrp_process::{monotonic_now, withdraw_routes};

/// When a process that could not even be started is tried again.
const START_AGAIN: Duration = Duration::from_secs(1);

/// What of the director its children start with.
struct Parent<'d> {
    instance: &'d Instance,
    manner: &'d Manner,
    ended: &'d UnboundedSender<Ended>,
}

/// Where a child is, or is missing.
pub(super) struct Post<Down> {
    pub(super) child: Option<Child<Down>>,
    restarts: Restarts,
    /// The real-time priority that the child has got because it came late.
    pub(super) raised: Option<u8>,
    /// When the next one starts, while there is none.
    start_at: Option<Instant>,
}

impl<Down> Default for Post<Down> {
    fn default() -> Self {
        Post {
            child: None,
            restarts: Restarts::default(),
            raised: None,
            start_at: None,
        }
    }
}

impl<Down: Serialize + Send + Sync + 'static> Post<Down> {
    /// Starts a child with its first message.
    fn start<Up: DeserializeOwned + Send + 'static>(
        &mut self,
        role: Role,
        parent: &Parent<'_>,
        descriptor: Option<OwnedFd>,
        said: &UnboundedSender<Up>,
        first: Down,
    ) {
        let Parent {
            instance,
            manner,
            ended,
        } = *parent;
        let (said, ended) = (said.clone(), ended.clone());
        match Child::start(role, instance, &manner.log, descriptor, said, ended) {
            Ok(child) => {
                tracing::info!("Starting {role} process, pid={}", child.id());
                manner.pid_files.child_started(role, child.id());
                child.tell(first);
                self.raised = None;
                self.child = Some(child);
            }
            Err(error) => {
                tracing::error!("the {role} process cannot be started: {error}");
                self.start_at = Some(Instant::now() + START_AGAIN);
            }
        }
    }

    /// The child has died: whether the next one is to be started at once; if not, when is set.
    fn lost(&mut self) -> bool {
        let lived = self.child.take().map(|child| child.age());
        let pause = self.restarts.pause_after(lived.unwrap_or_default());
        if pause.is_zero() {
            return true;
        }
        self.start_at = Some(Instant::now() + pause);
        false
    }
}

impl Director {
    /// Starts a vrrp process, if there is anything for it to do.
    pub(super) fn start_vrrp(&mut self) {
        self.vrrp.start_at = None;
        if !self.configuration.instances.is_empty()
            || self.configuration.statics != Statics::default()
            || !self.configuration.trackers.sessions.is_empty()
        {
            let command = self
                .virtual_routers
                .command(&self.configuration, &self.instance);
            let parent = Parent {
                instance: &self.instance,
                manner: &self.manner,
                ended: &self.outbox.ended,
            };
            self.vrrp
                .start(Role::Vrrp, &parent, None, &self.outbox.vrrp, command);
            self.schedule_children();
        }
    }

    /// Takes the place of the director that this process was before, if it was one: the next
    /// vrrp process goes on with what the last one did until now.
    pub(super) fn succeed(&mut self) {
        if let Some(predecessor) = self.manner.predecessor.take() {
            let states = predecessor.end();
            self.virtual_routers.succeed(
                states,
                &self.configuration,
                monotonic_now(),
                Instant::now(),
            );
            tracing::info!("in the place of the director that ran in this process");
        }
    }

    /// Lets the program that is installed now take this one's place. Comes back only if it
    /// cannot.
    pub(super) fn upgrade(&mut self) -> Failure {
        tracing::info!("the program that is installed now takes over");
        let vrrp = self.vrrp.child.as_ref();
        let socket = vrrp.map(Child::keep_across_exec).transpose();
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return Failure::system("keeping the vrrp process")(error),
        };
        let check = self.check.child.as_ref().map(Child::id);
        let testament = Testament {
            process: std::process::id(),
            socket,
            children: vrrp.map(Child::id).into_iter().chain(check).collect(),
            states: self.virtual_routers.known_states(),
        };
        testament.carry_out(&self.instance)
    }

    /// Starts a check process, if there is anything for it to do.
    pub(super) fn start_check(&mut self) {
        self.check.start_at = None;
        let assignments = self.health.assignments();
        if !assignments.is_empty() {
            pings::permit(&assignments);
            // It cannot do so itself. Where this cannot either, it says that it wants to.
            let _ = permit_locked_memory();
            let first = ToChecks::Certificate(self.certificate_texts());
            let sockets = self.socket_channel();
            let parent = Parent {
                instance: &self.instance,
                manner: &self.manner,
                ended: &self.outbox.ended,
            };
            self.check
                .start(Role::Check, &parent, sockets, &self.outbox.check, first);
            if let Some(child) = &self.check.child {
                child.tell(ToChecks::Configure(assignments));
            }
            self.schedule_children();
        }
    }

    /// What `SSL_GET` shows of itself; nothing, where its files are of no use.
    pub(super) fn certificate_texts(&self) -> CertificateTexts {
        let certificate = self.configuration.client_certificate.as_ref();
        let texts = certificate.map(client_certificate::read).transpose();
        texts
            .inspect_err(|error| {
                tracing::error!("SSL: checks show no certificate of this director: {error}");
            })
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// The check process's end of a channel by which sockets come from it.
    fn socket_channel(&self) -> Option<OwnedFd> {
        let channel = socket_passing::pair().and_then(|(ours, theirs)| {
            let ours = Channel::new(ours)?;
            tokio::spawn(check_sockets::serve(ours, self.outbox.sockets.clone()));
            Ok(theirs)
        });
        channel
            .inspect_err(|error| tracing::error!("a channel for sockets of checks: {error}"))
            .ok()
    }

    pub(super) fn vrrp_said(&mut self, notice: Notice) {
        if let Notice::Mail(mail) = notice {
            self.notifications.mail(mail);
            return;
        }
        if let Notice::SessionChanged { session, up } = notice {
            self.seen(&Seen::Session(session, up));
            return;
        }
        if let Notice::Late(late) = notice {
            self.came_late(Role::Vrrp, late);
            return;
        }
        if notice == Notice::Alive {
            self.pulse.answered(Instant::now());
            return;
        }
        let settled = self.virtual_routers.heard(notice);
        self.watch_vrrp();
        if settled {
            let now_ours = addresses_of(&self.configuration);
            if let Err(error) = self.address_record.write(&now_ours) {
                tracing::error!("{RECORD}: {error}");
            }
        }
    }

    pub(super) fn child_ended(&mut self, ended: &Ended) {
        tracing::error!("{} process {}", ended.role, ended.words());
        if !self.manner.respawn {
            match ended.role {
                Role::Vrrp => self.vrrp.child = None,
                Role::Check => self.check.child = None,
            }
            return;
        }
        match ended.role {
            Role::Vrrp => {
                self.virtual_routers.died(monotonic_now(), Instant::now());
                self.pulse = Pulse::default();
                if let Err(error) = self.withdraw_leftovers() {
                    tracing::error!("{error}");
                }
                if self.vrrp.lost() {
                    self.start_vrrp();
                }
            }
            Role::Check => {
                let at_once = self.check.lost();
                self.end_programs();
                if at_once {
                    self.start_check();
                }
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [
            self.virtual_routers.deadline(),
            self.pulse.deadline(),
            self.notifications.deadline(),
            self.timetable.deadline(),
            self.vrrp.start_at,
            self.check.start_at,
            self.parts.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn deadline_reached(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match self.pulse.deadline_reached(now) {
            Beat::Wait => {}
            Beat::Ask => {
                if let Some(child) = &self.vrrp.child {
                    child.tell(Command::ReportAlive);
                }
            }
            Beat::Hung(since) => self.end_hung_vrrp(now, since),
        }
        if due(self.virtual_routers.deadline()) {
            self.withdraw_for_vrrp();
        }
        if due(self.vrrp.start_at) {
            self.start_vrrp();
        }
        if due(self.check.start_at) {
            self.start_check();
        }
        if due(self.parts.poll_timeout()) {
            self.parts_due();
        }
        self.reload_in_time();
        if due(self.notifications.deadline()) {
            self.notifications.deadline_reached(&mut self.scripts);
        }
    }

    /// Watches the vrrp process as closely as the addresses that it holds need it.
    pub(super) fn watch_vrrp(&mut self) {
        let interval = self.virtual_routers.shortest_interval(&self.configuration);
        self.pulse.watch(Instant::now(), interval);
    }

    /// The vrrp process hangs, or was stopped: a peer is about to take its addresses over, so
    /// they go at once, and it must not come back to them.
    fn end_hung_vrrp(&mut self, now: Instant, since: Instant) {
        let silent = now.saturating_duration_since(since);
        tracing::error!(
            "the vrrp process has not answered for {} ms: killed",
            silent.as_millis()
        );
        // It has been dead since then: the next one resumes nothing.
        let died = monotonic_now().saturating_sub(silent);
        self.virtual_routers.died(died, since);
    }

    /// No vrrp process has taken the addresses over in time: nobody must hold them.
    fn withdraw_for_vrrp(&mut self) {
        // One that is not settled by now must not put them back.
        if let Some(child) = &self.vrrp.child {
            child.kill();
        }
        if let Err(error) = withdraw_routes(&mut self.netlink, &self.configuration) {
            tracing::error!("removing virtual routes: {error}");
        }
        let (removed, result) = withdraw(&mut self.netlink, &addresses_of(&self.configuration));
        tracing::error!(
            "no vrrp process in time: {} virtual addresses removed for it",
            removed.len()
        );
        if let Err(error) = result {
            tracing::error!("removing virtual addresses: {error}");
        }
        self.virtual_routers.withdrawn();
    }

    /// Removes recorded addresses that the configuration does not have: a process that was
    /// killed may have left them on interfaces. Those that it has are settled by the next
    /// vrrp process.
    pub(super) fn withdraw_leftovers(&mut self) -> Result<(), Failure> {
        let ours = addresses_of(&self.configuration);
        let mut left = self
            .address_record
            .read()
            .map_err(Failure::system(RECORD))?;
        left.retain(|address| !ours.contains(address));
        let (removed, result) = withdraw(&mut self.netlink, &left);
        result.map_err(Failure::system("removing virtual addresses"))?;
        for address in removed {
            tracing::info!(
                "removed {}, which a process that was killed had left",
                address_record::words(&address)
            );
        }
        self.address_record
            .write(&ours)
            .map_err(Failure::system(RECORD))?;
        let (undone, result) = self
            .host_record
            .keep_only(&self.configuration, &mut self.netlink);
        for change in undone {
            tracing::info!("took back {change}, which a process that was killed had left");
        }
        result
            .and_then(|()| self.host_record.add(&self.configuration))
            .map_err(Failure::system(HOST_RECORD))
    }

    /// Lets the children leave; those that do not in time are killed.
    pub(super) async fn dismiss(&mut self, inbox: &mut Inbox) {
        if let Some(child) = &self.vrrp.child {
            if self.manner.keep_addresses {
                // It would take them away, whatever it is told.
                child.kill();
            } else {
                child.tell(Command::Shutdown);
            }
        }
        if let Some(child) = &mut self.check.child {
            child.dismiss();
        }
        let patience = tokio::time::sleep(self.configuration.global.patience);
        tokio::pin!(patience);
        while self.vrrp.child.is_some() || self.check.child.is_some() {
            let ended = tokio::select! {
                Some(ended) = inbox.ended.recv() => ended,
                () = &mut patience, if !patience.is_elapsed() => {
                    tracing::error!("not every process leaves: killed");
                    self.vrrp.child.iter().for_each(Child::kill);
                    self.check.child.iter().for_each(Child::kill);
                    continue;
                }
            };
            let killed = ended.role == Role::Vrrp && self.manner.keep_addresses;
            if !ended.in_order() && !killed {
                tracing::error!("{} process {}", ended.role, ended.words());
            }
            match ended.role {
                Role::Vrrp => self.vrrp.child = None,
                Role::Check => self.check.child = None,
            }
        }
    }

    /// Takes addresses away that the vrrp process has not, since something went wrong with it.
    pub(super) fn withdraw_rest(&mut self) {
        if let Err(error) = withdraw_routes(&mut self.netlink, &self.configuration) {
            tracing::error!("removing virtual routes: {error}");
        }
        let (removed, result) = withdraw(&mut self.netlink, &addresses_of(&self.configuration));
        if !removed.is_empty() {
            tracing::error!(
                "{} virtual addresses removed for the vrrp process",
                removed.len()
            );
        }
        if let Err(error) = result {
            tracing::error!("removing virtual addresses: {error}");
        }
    }
}
