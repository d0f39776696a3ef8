//! What reading the configuration again changes, before it is changed.
//!
//! The director carries out exactly what [`plan`] says; `elver ctl diff` shows it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::check::messages::CheckChanges;
use crate::check::{Health, HealthRecord};
use crate::config::model::{Configuration, VirtualServer};
use crate::lb::{
    self, DesiredService, QuorumChange, Quorums, quorum_notification, real_server_notification,
};
use crate::notification::Notification;
use crate::service::{Edit, ServiceKey};

/// What runs.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The configuration in force.
    pub configuration: &'a Configuration,
    /// What is known of its real servers.
    pub health: &'a HealthRecord,
    /// Which services have their quorum.
    pub quorums: &'a Quorums,
    /// What the configuration has put into the data plane.
    pub configured: &'a [DesiredService],
}

/// What a reload changes, in the order of the fields.
#[derive(Debug)]
pub struct Plan {
    /// Of real servers that leave while they are up.
    pub leaving: Vec<Notification>,
    /// Quorums that are gained or lost, with whom to tell.
    pub quorum_changes: Vec<(QuorumChange, Notification)>,
    /// Changes of the data plane.
    pub edits: Vec<Edit>,
    /// Changes of the checks.
    pub checks: CheckChanges,
    /// What is known of the real servers afterwards.
    pub health: HealthRecord,
    /// Which services have their quorum afterwards.
    pub quorums: Quorums,
}

/// What has to change for `after` to be in force.
pub fn plan(running: Running<'_>, after: &Configuration) -> Plan {
    let mut health = running.health.clone();
    let checks = health.reload(after);
    let servers: BTreeMap<ServiceKey, &VirtualServer> = after
        .virtual_servers
        .iter()
        .map(|server| (server.key, server))
        .collect();
    let mut quorums = running.quorums.clone();
    quorums.retain(|service| servers.contains_key(service));
    let is_up =
        |service: &ServiceKey, real: &SocketAddr| health.health(service, real) == Health::Up;
    let quorum_changes = after
        .virtual_servers
        .iter()
        .filter_map(|server| {
            let change = quorums.count(server, is_up)?;
            let notification = quorum_notification(server, change.has);
            Some((change, notification))
        })
        .collect();
    let desired = lb::desired(&after.virtual_servers, is_up, &quorums);
    Plan {
        leaving: leaving(running, &servers),
        quorum_changes,
        edits: lb::plan(&desired, running.configured),
        checks,
        health,
        quorums,
    }
}

/// Real servers that are up and not in the file any more.
fn leaving(
    running: Running<'_>,
    after: &BTreeMap<ServiceKey, &VirtualServer>,
) -> Vec<Notification> {
    let mut notifications = Vec::new();
    for server in &running.configuration.virtual_servers {
        let staying = after.get(&server.key).map(|other| &other.real_servers);
        for real in &server.real_servers {
            let stays = staying
                .is_some_and(|reals| reals.iter().any(|other| other.address == real.address));
            if !stays && running.health.health(&server.key, &real.address) == Health::Up {
                notifications.push(real_server_notification(server, real, false));
            }
        }
    }
    notifications
}
