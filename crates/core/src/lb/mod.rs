//! From what should be balanced to what is: the edits that lie between.
//!
//! [`desired`] turns a configuration and the health of its real servers into the
//! services that the data plane should have; [`plan`] compares them with what it
//! has. Both are pure, so a plan can be shown before it is carried out, and one
//! that was carried out leaves nothing to plan.

mod names;
mod plan;

use std::net::SocketAddr;

use crate::config::model::Configuration;
use crate::service::{DestinationSettings, ServiceKey, ServiceSettings};

pub use names::{RealServerName, VirtualServerName};
pub use plan::plan;

/// A virtual service as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredService {
    /// What identifies it.
    pub key: ServiceKey,
    /// Its settings.
    pub settings: ServiceSettings,
    /// Its destinations, in the order in which they are to be added.
    pub destinations: Vec<(SocketAddr, DestinationSettings)>,
}

/// The services that `configuration` asks for, with those real servers that `is_up`.
///
/// A service whose real servers are all down is there nevertheless, without
/// destinations, as with keepalived: its clients hear that the port is unreachable.
/// Where the file names a service or a real server twice, the first counts.
pub fn desired(
    configuration: &Configuration,
    is_up: impl Fn(&ServiceKey, &SocketAddr) -> bool,
) -> Vec<DesiredService> {
    let mut services: Vec<DesiredService> = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for virtual_server in &configuration.virtual_servers {
        if !known.insert(virtual_server.key) {
            continue;
        }
        let mut named = std::collections::BTreeSet::new();
        services.push(DesiredService {
            key: virtual_server.key,
            settings: virtual_server.settings.clone(),
            destinations: virtual_server
                .real_servers
                .iter()
                .filter(|real_server| named.insert(real_server.address))
                .filter(|real_server| is_up(&virtual_server.key, &real_server.address))
                .map(|real_server| (real_server.address, real_server.settings))
                .collect(),
        });
    }
    services
}
