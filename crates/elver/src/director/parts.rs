//! The part of the director that changes what real servers take part in: operators drain
//! them, they start slowly, their checks rest while the virtual address is elsewhere, or
//! follow files.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use elver_core::api::{DrainStatus, EndingStatus, Response};
use elver_core::check::Seen;
use elver_core::check::messages::{CheckChanges, ToChecks};
use elver_core::config::model::{Configuration, Probe, RealServer, Trackers, VirtualServer};
use elver_core::lb::{Part, RealServerName, RealServerPattern, virtual_server_name};
use elver_core::service::{DestinationState, Protocol, ServiceKey, ServiceState};

use super::{Director, pings};

/// Where these lines of the log come from.
pub(super) const MODULE: &str = module_path!();

impl Director {
    /// What part a real server has in its virtual server now.
    pub(super) fn part_of(&self, server: &VirtualServer, real: &RealServer) -> Part {
        let weight = self.health.weight(&server.key, real);
        self.parts.of(server, real, weight)
    }

    /// The director has seen something that checks follow.
    pub(super) fn seen(&mut self, seen: &Seen) {
        let (reports, reweighed) = self.health.follow(seen);
        for report in &reports {
            self.checked(report);
        }
        self.changed.extend(reweighed);
        self.carry_out_changes();
    }

    /// Watches the files that checks follow.
    pub(super) fn watch_files(&mut self) {
        let followed = followed_files(&self.configuration);
        self.watches.start(&followed);
    }

    /// Lets checks rest whose virtual addresses are all elsewhere, and others go on.
    pub(super) fn suspend_checks(&mut self) {
        let (servers, held) = (&self.configuration.virtual_servers, &self.held);
        let is_here = |server: &VirtualServer| {
            let mut addresses = server.services().filter_map(|key| key.virtual_address());
            addresses.any(|address| held.contains(&address.ip()))
        };
        let suspended = servers
            .iter()
            .filter(|server| server.ha_suspend && !is_here(server));
        let changes = self
            .health
            .suspend(suspended.map(|server| server.key).collect());
        let assigned = changes.assigned.iter().map(|each| &each.name);
        let told = assigned
            .map(|name| ("Activating", name))
            .chain(changes.ended.iter().map(|name| ("Suspending", name)));
        for (word, name) in told {
            let place = self.servers.find(&name.service);
            if let Some(server) = place.map(|at| &self.configuration.virtual_servers[at]) {
                tracing::info!(
                    "{word} healthchecker for service {} for VS {}",
                    RealServerName {
                        service: &name.service,
                        address: &name.real_server,
                    },
                    virtual_server_name(server)
                );
            }
        }
        self.tell_checks(changes);
    }

    /// Tells the check process of changes; starts one where there is none and one is needed.
    pub(super) fn tell_checks(&mut self, changes: CheckChanges) {
        match &self.check.child {
            _ if changes.is_empty() => {}
            Some(child) => {
                pings::permit(&changes.assigned);
                child.tell(ToChecks::Change(changes));
            }
            None if !changes.assigned.is_empty() => self.start_check(),
            None => {}
        }
    }

    /// The parts of real servers may be others now.
    pub(super) fn parts_due(&mut self) {
        self.changed.extend(self.concerned());
        self.parts.handle_timeout(Instant::now());
        self.carry_out_changes();
    }

    /// The services of which a real server has not all of its weight.
    fn concerned(&self) -> BTreeSet<ServiceKey> {
        let servers = self.configuration.virtual_servers.iter();
        let concerned = servers.filter(|server| {
            let mut reals = server.real_servers.iter();
            reals.any(|real| self.parts.concern(server.key, real.address))
        });
        concerned.map(|server| server.key).collect()
    }

    pub(super) fn drain(
        &mut self,
        which: RealServerPattern,
        deadline: Option<Duration>,
    ) -> Response {
        let mut reals = self
            .configuration
            .virtual_servers
            .iter()
            .flat_map(|server| &server.real_servers);
        if !reals.any(|real| which.matches(&real.address)) {
            return Response::Failed(format!(
                "the configuration has no real server {which}; one that was made by hand is \
                 drained with `elver ipvsadm -e … -w 0`"
            ));
        }
        tracing::info!("draining {which}");
        let deadline = deadline.and_then(|time| Instant::now().checked_add(time));
        self.parts.drain(which, deadline);
        self.parts_due();
        Response::Done
    }

    pub(super) fn undrain(&mut self, which: &RealServerPattern) -> Response {
        let concerned = self.concerned();
        if !self.parts.undrain(which) {
            return Response::Failed(format!("{which} is not drained"));
        }
        tracing::info!("{which} serves again");
        self.changed.extend(concerned);
        self.carry_out_changes();
        Response::Done
    }

    /// Lets what clients have met weigh real servers that are watched for that.
    pub(super) fn observe_clients(&mut self) {
        let encounters = self.data_plane.encounters().into_iter();
        let changed = self.health.observe(&self.configuration, encounters);
        self.changed.extend(changed);
        self.carry_out_changes();
    }

    pub(super) fn endings(&self) -> Vec<EndingStatus> {
        let endings = self.data_plane.endings();
        let status = endings.map(|(real_server, endings)| EndingStatus {
            real_server: *real_server,
            completed: endings.completed,
            unanswered: endings.unanswered,
            reset: endings.reset,
        });
        status.collect()
    }

    pub(super) fn drains(&self) -> Vec<DrainStatus> {
        if self.parts.drained().next().is_none() {
            return Vec::new();
        }
        let services = self.data_plane.services();
        let drained = self.parts.drained().map(|(which, is_over)| {
            let connections = services.iter().flat_map(|service| {
                let all = service.destinations.iter();
                let drained = all.filter(|destination| which.matches(&destination.address));
                drained.map(|destination| connections(service, destination))
            });
            DrainStatus {
                which: *which,
                connections: connections.sum(),
                is_over,
            }
        });
        drained.collect()
    }
}

/// The connections that keep a destination from being drained. Of TCP and SCTP those that are
/// being closed, which stay in the table for minutes, are done for; of others nobody knows.
fn connections(service: &ServiceState, destination: &DestinationState) -> u64 {
    let closing = match service.key {
        ServiceKey::Address {
            protocol: Protocol::Tcp | Protocol::Sctp,
            ..
        } => 0,
        ServiceKey::Address { .. } | ServiceKey::Mark { .. } => destination.inactive,
    };
    u64::from(destination.active) + u64::from(closing)
}

/// The files that checks follow. Where there is a vrrp process, it is for that to write what
/// they hold at the start.
fn followed_files(configuration: &Configuration) -> Trackers {
    let checks = || {
        let servers = configuration.virtual_servers.iter();
        servers
            .flat_map(|server| &server.real_servers)
            .flat_map(|real| &real.checks)
    };
    let is_followed = |name: &str| {
        checks().any(|check| matches!(&check.probe, Probe::File(probe) if probe.file == name))
    };
    let files = configuration.trackers.files.iter();
    let mut files: Vec<_> = files
        .filter(|file| is_followed(&file.name))
        .cloned()
        .collect();
    if !configuration.instances.is_empty() {
        files.iter_mut().for_each(|file| file.initial = None);
    }
    Trackers {
        files,
        ..Trackers::default()
    }
}
