//! The part of the director that turns what the checks and the configuration say into the
//! services of the data plane, and tells others of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use elver_core::check::Health;
use elver_core::check::messages::{CheckChanges, Report};
use elver_core::config::model::{Configuration, FlushOnStop, VirtualServer};
use elver_core::lb::{self, DesiredService, Foreign, RealServerName};
use elver_core::notification::Notification;
use elver_core::reload;
use elver_core::service::{Edit, ServiceKey, ServiceState};

use super::{Director, words};

/// Where these lines of the log come from.
pub(super) const MODULE: &str = module_path!();

impl Director {
    pub(super) fn checked(&mut self, report: &Report) {
        let (service, real_server) = (report.name.service, report.name.real_server);
        let standing = self.health.standing(&report.name);
        match standing.and_then(|standing| words::of_report(report, &standing.check.probe)) {
            Some(line) => tracing::info!(cause = report.detail, "{line}"),
            None => tracing::debug!(
                "check of {}: {}",
                RealServerName {
                    service: &service,
                    address: &real_server
                },
                report.detail
            ),
        }
        let was = standing.map(|standing| standing.health);
        let changed = self.health.report(report);
        if changed.is_none() && was.is_some_and(|was| was != report.health) {
            self.mail_of_check(report);
        }
        if let Some(health) = changed {
            self.changed.insert(service);
            let place = self.servers.find(&service);
            if let Some(server) = place.map(|at| &self.configuration.virtual_servers[at])
                && let Some(real) = server
                    .real_servers
                    .iter()
                    .find(|r| r.address == real_server)
            {
                match health {
                    Health::Up => self.parts.came_up(Instant::now(), service, real),
                    Health::Down => self.parts.went_down(service, real_server),
                }
                let notification = lb::real_server_notification(server, real, health == Health::Up);
                self.notifications.tell(notification, &mut self.scripts);
            }
        }
    }

    /// One of several checks of a real server says something else, which changes nothing for
    /// the real server: keepalived mails it unless `no_checker_emails` says otherwise.
    fn mail_of_check(&mut self, report: &Report) {
        let place = self.servers.find(&report.name.service);
        let server = place.map(|at| &self.configuration.virtual_servers[at]);
        let mail = server.and_then(|server| {
            let mut real_servers = server.real_servers.iter();
            let real = real_servers.find(|real| real.address == report.name.real_server)?;
            lb::real_server_notification(server, real, report.health == Health::Up).mail
        });
        if let Some(mail) = mail.filter(|_| !self.configuration.global.mail_of_real_servers_only) {
            self.notifications.mail(mail);
        }
    }

    /// `rs_init_notifies`: scripts and pipes are told of real servers that are up at the start.
    pub(super) fn tell_of_start(&mut self) {
        if !self.configuration.global.notify_at_start {
            return;
        }
        for server in &self.configuration.virtual_servers {
            for real in &server.real_servers {
                if self.health.health(&server.key, &real.address) == Health::Up {
                    let notification = Notification {
                        mail: None,
                        ..lb::real_server_notification(server, real, true)
                    };
                    self.notifications.tell(notification, &mut self.scripts);
                }
            }
        }
    }

    /// `lvs_flush`: what others have put into the table goes. What the configuration has too
    /// stays, with its connections.
    pub(super) fn flush_foreign(&mut self) {
        for foreign in Foreign::of(&self.data_plane.services(), &self.configuration) {
            self.flush(&foreign.removal());
        }
    }

    /// `lvs_flush_on_stop`, once the configuration's own has been taken away.
    pub(super) fn flush_at_end(&mut self, configured: &[DesiredService]) {
        match self.configuration.global.flush_on_stop {
            FlushOnStop::No => {}
            FlushOnStop::Everything => self.flush(&[Edit::Flush]),
            FlushOnStop::ConfiguredServices => {
                let left = self.data_plane.services();
                let edits: Vec<Edit> = left
                    .iter()
                    .map(|service| service.key)
                    .filter(|key| configured.iter().any(|each| each.key == *key))
                    .map(|service| Edit::RemoveService { service })
                    .collect();
                self.flush(&edits);
            }
        }
    }

    fn flush(&mut self, edits: &[Edit]) {
        for edit in edits {
            let line = words::of_edit(edit, |_| None);
            match self.data_plane.apply(edit) {
                Ok(()) => tracing::info!("{line}"),
                Err(error) => tracing::error!("{line}: {error}"),
            }
        }
    }

    /// Says that the real servers of virtual servers with `omega` go down with them.
    fn tell_of_leaving(&mut self) {
        let virtual_servers = &self.configuration.virtual_servers;
        for server in virtual_servers.iter().filter(|server| server.omega) {
            for real in &server.real_servers {
                if self.health.health(&server.key, &real.address) == Health::Up {
                    let notification = lb::real_server_notification(server, real, false);
                    self.notifications.tell(notification, &mut self.scripts);
                }
            }
        }
    }

    /// What would change if `after` were the configuration.
    pub(super) fn plan(&self, after: &Configuration) -> reload::Plan {
        let running = reload::Running {
            configuration: &self.configuration,
            health: &self.health,
            quorums: &self.quorums,
            parts: &self.parts,
            configured: &self.data_plane.configured().services(),
        };
        reload::plan(running, after)
    }

    /// Brings into force what was discovered, beside the file.
    pub(super) fn discovered(&mut self) {
        let configuration = self.discovery.merged(&self.written);
        let plan = self.plan(&configuration);
        self.configuration = configuration;
        self.servers = ServerPlaces::of(&self.configuration);
        let checks = self.carry_out(plan);
        self.tell_checks(checks);
        self.end_check_paths();
        self.suspend_checks();
    }

    /// Carries a plan out, but for the checks, which are given back.
    pub(super) fn carry_out(&mut self, plan: reload::Plan) -> CheckChanges {
        for notification in plan.leaving {
            self.notifications.tell(notification, &mut self.scripts);
        }
        for (change, notification) in plan.quorum_changes {
            tracing::info!("{change}");
            self.notifications.tell(notification, &mut self.scripts);
        }
        self.quorums = plan.quorums;
        self.health = plan.health;
        self.apply(&plan.edits);
        if let Some(timeouts) = self.configuration.global.timeouts
            && let Err(error) = self.data_plane.apply(&Edit::SetTimeouts(timeouts))
        {
            tracing::error!("lvs_timeouts: {error}");
        }
        plan.checks
    }

    /// Makes the data plane what the configuration and the checks say of virtual servers, by
    /// their keys.
    pub(super) fn carry_out_plan(&mut self, changed: &BTreeSet<ServiceKey>) {
        let virtual_servers = changed.iter().filter_map(|key| self.servers.find(key));
        let virtual_servers: Vec<&VirtualServer> = virtual_servers
            .map(|place| &self.configuration.virtual_servers[place])
            .collect();
        let mut quorums = std::mem::take(&mut self.quorums);
        for server in &virtual_servers {
            let part_of = |server: &_, real: &_| self.part_of(server, real);
            if let Some(change) = quorums.count(server, part_of) {
                tracing::info!("{change}");
                let notification = lb::quorum_notification(server, change.has);
                self.notifications.tell(notification, &mut self.scripts);
            }
        }
        self.quorums = quorums;
        let part_of = |server: &_, real: &_| self.part_of(server, real);
        let desired = lb::desired(virtual_servers, part_of, &self.quorums);
        let keys = desired.iter().map(|service| service.key);
        let configured = self.data_plane.configured().of(keys);
        self.apply(&lb::plan(&desired, &configured));
    }

    pub(super) fn apply(&mut self, edits: &[Edit]) {
        for edit in edits {
            let line = words::of_edit(edit, |service| {
                let place = self.servers.find(service)?;
                self.configuration.virtual_servers.get(place)
            });
            match self.data_plane.configure(edit) {
                Ok(()) => tracing::info!("{line}"),
                Err(error) => tracing::error!("{line}: {error}"),
            }
        }
        self.watch_leaving();
    }

    /// Says that the virtual servers with `omega` go down with their real servers.
    pub(super) fn tell_of_end(&mut self) {
        self.tell_of_leaving();
        let virtual_servers = &self.configuration.virtual_servers;
        for server in virtual_servers.iter().filter(|server| server.omega) {
            if self.quorums.has(&server.key) {
                let notification = lb::quorum_notification(server, false);
                self.notifications.tell(notification, &mut self.scripts);
            }
        }
    }
}

/// Where the virtual servers of a configuration are in its list, by each of their services.
#[derive(Debug, Default)]
pub(super) struct ServerPlaces(BTreeMap<ServiceKey, usize>);

impl ServerPlaces {
    pub(super) fn of(configuration: &Configuration) -> ServerPlaces {
        let servers = configuration.virtual_servers.iter().enumerate();
        let services = servers.flat_map(|(place, server)| {
            let services = server.services();
            services.map(move |service| (service, place))
        });
        ServerPlaces(services.collect())
    }

    pub(super) fn find(&self, service: &ServiceKey) -> Option<usize> {
        self.0.get(service).copied()
    }
}

/// What a real server is taken to be when the daemon starts. One that an earlier run
/// had found down, or that the file has got meanwhile, is missing in the service that
/// was taken over: it must show first that it is up.
pub(super) fn presumed(
    present: &[ServiceState],
    service: &ServiceKey,
    real_server: &SocketAddr,
) -> Health {
    match present.iter().find(|known| known.key == *service) {
        Some(known) => match known
            .destinations
            .iter()
            .find(|d| d.address == *real_server)
        {
            Some(destination) if destination.settings.weight > 0 => Health::Up,
            // An inhibited one has weight 0.
            _ => Health::Down,
        },
        None => Health::Up,
    }
}
