//! The part of the director that turns what the checks and the configuration say into the
//! services of the data plane, and tells others of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use elver_core::check::Health;
use elver_core::check::messages::Report;
use elver_core::config::model::{RealServer, VirtualServer};
use elver_core::lb::{self, RealServerName};
use elver_core::service::{Edit, ServiceKey, ServiceState};

use super::{Director, words};

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
        if let Some(health) = self.health.report(report) {
            self.changed.insert(service);
            let virtual_servers = &self.configuration.virtual_servers;
            let server = virtual_servers.iter().find(|each| each.key == service);
            if let Some(server) = server
                && let Some(real) = server
                    .real_servers
                    .iter()
                    .find(|r| r.address == real_server)
            {
                let notification = lb::real_server_notification(server, real, health == Health::Up);
                self.notifications.tell(notification, &mut self.scripts);
            }
        }
    }

    /// Says that real servers go down with all those that `concerns` holds for.
    pub(super) fn tell_of_leaving(
        &mut self,
        concerns: impl Fn(&VirtualServer, &RealServer) -> bool,
    ) {
        for server in &self.configuration.virtual_servers {
            for real in &server.real_servers {
                let is_up = self.health.health(&server.key, &real.address) == Health::Up;
                if is_up && concerns(server, real) {
                    let notification = lb::real_server_notification(server, real, false);
                    self.notifications.tell(notification, &mut self.scripts);
                }
            }
        }
    }

    /// Makes the data plane what the configuration and the checks say: all of it, or only
    /// some services.
    pub(super) fn carry_out_plan(&mut self, only: Option<&BTreeSet<ServiceKey>>) {
        let concerns = |key: &ServiceKey| only.is_none_or(|only| only.contains(key));
        if only.is_some_and(BTreeSet::is_empty) {
            return;
        }
        self.count_quorums(concerns);
        let is_up = |service: &ServiceKey, real_server: &SocketAddr| {
            self.health.health(service, real_server) == Health::Up
        };
        let mut desired = lb::desired(&self.configuration, is_up, &self.quorums);
        desired.retain(|service| concerns(&service.key));
        let configured = self.data_plane.configured();
        let configured = match only {
            Some(only) => configured.of(only.iter().copied()),
            None => configured.services(),
        };
        self.apply(&lb::plan(&desired, &configured));
    }

    /// Adds up again the weight that is up of services that `concerns` holds for.
    fn count_quorums(&mut self, concerns: impl Fn(&ServiceKey) -> bool) {
        let virtual_servers = &self.configuration.virtual_servers;
        for server in virtual_servers.iter().filter(|each| concerns(&each.key)) {
            let up = server
                .real_servers
                .iter()
                .filter(|real| self.health.health(&server.key, &real.address) == Health::Up);
            let weight = up.map(|real| u64::from(real.settings.weight)).sum();
            if let Some(change) = self.quorums.update(server, weight) {
                tracing::info!("{change}");
                let notification = lb::quorum_notification(server, change.has);
                self.notifications.tell(notification, &mut self.scripts);
            }
        }
    }

    pub(super) fn apply(&mut self, edits: &[Edit]) {
        for edit in edits {
            let line = words::of_edit(edit, &self.configuration);
            match self.data_plane.configure(edit) {
                Ok(()) => tracing::info!("{line}"),
                Err(error) => tracing::error!("{line}: {error}"),
            }
        }
    }

    /// Says that the virtual servers with `omega` go down with their real servers.
    pub(super) fn tell_of_end(&mut self) {
        self.tell_of_leaving(|server, _| server.omega);
        let virtual_servers = &self.configuration.virtual_servers;
        for server in virtual_servers.iter().filter(|server| server.omega) {
            if self.quorums.has(&server.key) {
                let notification = lb::quorum_notification(server, false);
                self.notifications.tell(notification, &mut self.scripts);
            }
        }
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
