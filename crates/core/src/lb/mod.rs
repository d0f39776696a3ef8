//! From what should be balanced to what is: the edits that lie between.
//!
//! [`desired`] turns a configuration and the health of its real servers into the
//! services that the data plane should have; [`plan`] compares them with those that the
//! configuration has put there before, of which [`Configured`] keeps the record. All of it is
//! pure, so a plan can be shown before it is carried out, and one that was carried out leaves
//! nothing to plan.

mod configured;
mod foreign;
mod names;
mod notification;
mod part;
mod plan;
mod quorum;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::config::model::{RealServer, VirtualServer, destination_of};
use crate::service::{DestinationSettings, ServiceKey, ServiceSettings};

pub use configured::Configured;
pub use foreign::Foreign;
pub use names::{RealServerName, VirtualServerName, virtual_server_name};
pub use notification::{quorum_notification, real_server_notification};
pub use part::{Part, Parts, RealServerPattern, STEPS};
pub use plan::plan;
pub use quorum::{QuorumChange, Quorums};

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

/// The services that `virtual_servers` ask for, with their real servers as `part_of` says.
///
/// A real server that is down is left out, or has weight 0 where the file wants it
/// inhibited; one that drains has weight 0. A service without a quorum, by `quorums`, has its sorry server instead of
/// all of its real servers, if the file names one. The services of a group have the same
/// real servers, as far as their packets can go there.
///
/// A service whose real servers are all down is there nevertheless, without
/// destinations, as with keepalived: its clients hear that the port is unreachable.
/// Where the file names a service or a real server twice, the first counts.
pub fn desired<'a>(
    virtual_servers: impl IntoIterator<Item = &'a VirtualServer>,
    part_of: impl Fn(&VirtualServer, &RealServer) -> Part,
    quorums: &Quorums,
) -> Vec<DesiredService> {
    let mut services: Vec<DesiredService> = Vec::new();
    let mut known = BTreeSet::new();
    for virtual_server in virtual_servers {
        let key = virtual_server.key;
        let is_sorry = virtual_server.sorry_server.is_some() && !quorums.has(&key);
        let reals = virtual_server.real_servers.iter();
        let parts: Vec<Part> = reals.map(|real| part_of(virtual_server, real)).collect();
        let scale = part::scale(parts.iter().copied());
        let reals = virtual_server.real_servers.iter().zip(parts);
        let real_servers = reals.filter_map(|(real, part)| {
            let inhibit = real.inhibit_on_failure;
            let weight = match part {
                Part::Serving { weight, steps } if !is_sorry => part::share(weight, steps, scale),
                Part::Draining => 0,
                Part::Serving { .. } | Part::Down if inhibit => 0,
                Part::Serving { .. } | Part::Down | Part::Out => return None,
            };
            let settings = DestinationSettings {
                weight,
                ..real.settings
            };
            Some((real.address, settings))
        });
        let sorry_server = virtual_server.sorry_server.iter().filter_map(|sorry| {
            let weight = match (is_sorry, sorry.inhibit) {
                (true, _) => sorry.settings.weight,
                (false, true) => 0,
                (false, false) => return None,
            };
            let settings = DestinationSettings {
                weight,
                ..sorry.settings
            };
            Some((sorry.address, settings))
        });
        let serving: Vec<_> = if is_sorry {
            sorry_server.chain(real_servers).collect()
        } else {
            real_servers.chain(sorry_server).collect()
        };
        for key in virtual_server.services() {
            if !known.insert(key) {
                continue;
            }
            let mut named = BTreeSet::new();
            let destinations = serving.iter().filter_map(|(address, settings)| {
                let address = destination_of(&key, *address, settings.method)?;
                named.insert(address).then_some((address, *settings))
            });
            services.push(DesiredService {
                key,
                settings: virtual_server.settings_of(&key),
                destinations: destinations.collect(),
            });
        }
    }
    services
}
