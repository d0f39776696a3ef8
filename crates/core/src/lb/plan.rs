//! The comparison of services as they should be with services as they are.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::DesiredService;
use crate::service::{
    DestinationSettings, DestinationState, Edit, Origin, ServiceKey, ServiceState,
};

/// The edits that make `actual` into `desired`, to be applied in order with
/// [`Origin::Configuration`].
///
/// What an operator made is left alone: a service of his keeps its settings and
/// stays, though the destinations that the file asks for are added to it; a
/// destination of his keeps its settings and stays, even if the file names the same
/// one and its check fails. A service of ours that has a destination of his stays
/// for that destination's sake when the file drops it.
///
/// Services that go come first, since they make room. Within a service, what is
/// added comes before what is removed, so that no client finds it empty between.
pub fn plan(desired: &[DesiredService], actual: &[ServiceState]) -> Vec<Edit> {
    let wanted: BTreeMap<ServiceKey, &DesiredService> = desired
        .iter()
        .map(|service| (service.key, service))
        .collect();
    let present: BTreeMap<ServiceKey, &ServiceState> = actual
        .iter()
        .map(|service| (service.key, service))
        .collect();

    let mut edits = Vec::new();
    for service in actual {
        if !wanted.contains_key(&service.key) {
            withdraw(service, &mut edits);
        }
    }
    for service in desired {
        let destinations = match present.get(&service.key) {
            None => {
                edits.push(Edit::AddService {
                    service: service.key,
                    settings: service.settings.clone(),
                });
                &[]
            }
            Some(present) => {
                if present.origin == Origin::Configuration && present.settings != service.settings {
                    edits.push(Edit::EditService {
                        service: service.key,
                        settings: service.settings.clone(),
                    });
                }
                present.destinations.as_slice()
            }
        };
        plan_destinations(service, destinations, &mut edits);
    }
    edits
}

/// Takes away what the configuration brought of a service that it no longer has.
fn withdraw(service: &ServiceState, edits: &mut Vec<Edit>) {
    let ours = |destination: &&DestinationState| destination.origin == Origin::Configuration;
    if service.origin == Origin::Configuration && service.destinations.iter().all(|d| ours(&d)) {
        edits.push(Edit::RemoveService {
            service: service.key,
        });
        return;
    }
    edits.extend(service.destinations.iter().filter(ours).map(|destination| {
        Edit::RemoveDestination {
            service: service.key,
            address: destination.address,
        }
    }));
}

fn plan_destinations(desired: &DesiredService, actual: &[DestinationState], edits: &mut Vec<Edit>) {
    let wanted: BTreeMap<SocketAddr, DestinationSettings> =
        desired.destinations.iter().copied().collect();
    let present: BTreeMap<SocketAddr, &DestinationState> = actual
        .iter()
        .map(|destination| (destination.address, destination))
        .collect();
    let service = desired.key;
    for &(address, settings) in &desired.destinations {
        match present.get(&address) {
            None => edits.push(Edit::AddDestination {
                service,
                address,
                settings,
            }),
            Some(present)
                if present.origin == Origin::Configuration && present.settings != settings =>
            {
                edits.push(Edit::EditDestination {
                    service,
                    address,
                    settings,
                });
            }
            Some(_) => {}
        }
    }
    for destination in actual {
        if destination.origin == Origin::Configuration && !wanted.contains_key(&destination.address)
        {
            edits.push(Edit::RemoveDestination {
                service,
                address: destination.address,
            });
        }
    }
}

#[cfg(test)]
mod tests;
