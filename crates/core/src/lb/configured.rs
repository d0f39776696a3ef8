//! What the configuration has made of the table of services.

use std::collections::BTreeMap;

use super::DesiredService;
use crate::service::{Edit, EditError, Origin, ServiceKey, ServiceState};

/// The services and destinations that the configuration has put into the table, as it last
/// put them there, whatever operators have done to them since.
///
/// keepalived remembers the same (it is what `check_data` was at the last reload), and
/// compares its file with that and never with the table. So what an operator changes by
/// ipvsadm stays until the file says something else about it, or until a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configured(BTreeMap<ServiceKey, DesiredService>);

impl Configured {
    /// What an earlier director has left in the table.
    pub fn of_table(services: &[ServiceState]) -> Configured {
        let ours = services
            .iter()
            .filter(|service| service.origin == Origin::Configuration);
        let services = ours.map(|service| {
            // The newest stands first.
            let destinations = service.destinations.iter().rev();
            let destinations = destinations.filter(|each| each.origin == Origin::Configuration);
            let desired = DesiredService {
                key: service.key,
                settings: service.settings.clone(),
                destinations: destinations
                    .map(|each| (each.address, each.settings))
                    .collect(),
            };
            (service.key, desired)
        });
        Configured(services.collect())
    }

    /// Every service, in the order of their keys.
    pub fn services(&self) -> Vec<DesiredService> {
        self.0.values().cloned().collect()
    }

    /// Those of some services that there are.
    pub fn of(&self, keys: impl IntoIterator<Item = ServiceKey>) -> Vec<DesiredService> {
        let found = keys.into_iter().filter_map(|key| self.0.get(&key));
        found.cloned().collect()
    }

    /// Remembers an edit of the configuration's and what became of it.
    ///
    /// One that the table had no need of counts as made: an operator was faster. One that
    /// could not be made does not, and comes up again with the next plan.
    pub fn record(&mut self, edit: &Edit, outcome: &Result<(), EditError>) {
        if let Err(EditError::Full { .. } | EditError::System(_)) = outcome {
            return;
        }
        match edit {
            Edit::AddService { service, settings } => {
                let desired = DesiredService {
                    key: *service,
                    settings: settings.clone(),
                    destinations: Vec::new(),
                };
                self.0.insert(*service, desired);
            }
            Edit::EditService { service, settings } => {
                if let Some(known) = self.0.get_mut(service) {
                    known.settings = settings.clone();
                }
            }
            Edit::RemoveService { service } => {
                self.0.remove(service);
            }
            Edit::AddDestination {
                service,
                address,
                settings,
            }
            | Edit::EditDestination {
                service,
                address,
                settings,
            } => {
                if let Some(known) = self.0.get_mut(service) {
                    let mut destinations = known.destinations.iter_mut();
                    match destinations.find(|(other, _)| other == address) {
                        Some((_, known)) => *known = *settings,
                        None => known.destinations.push((*address, *settings)),
                    }
                }
            }
            Edit::RemoveDestination { service, address } => {
                if let Some(known) = self.0.get_mut(service) {
                    known.destinations.retain(|(other, _)| other != address);
                }
            }
            // No configuration says these.
            Edit::Flush
            | Edit::Zero { .. }
            | Edit::SetTimeouts(_)
            | Edit::StartSyncDaemon(_)
            | Edit::StopSyncDaemon { .. } => {}
        }
    }
}
