//! The comparison of services as they should be with services as the configuration made them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::DesiredService;
use crate::service::{DestinationSettings, Edit, ServiceKey};

/// The edits that make `configured` into `desired`, to be applied in order with
/// [`Origin::Configuration`](crate::service::Origin::Configuration).
///
/// What operators have made or changed is not looked at, as keepalived does not: see
/// [`Configured`](super::Configured). The table may refuse an edit for their sake, which
/// does no harm. A service that goes takes everything in it along, an operator's
/// destinations too.
///
/// Services that go come first, since they make room. Within a service, what is
/// added comes before what is removed, so that no client finds it empty between.
pub fn plan(desired: &[DesiredService], configured: &[DesiredService]) -> Vec<Edit> {
    let wanted: BTreeMap<ServiceKey, &DesiredService> = by_key(desired);
    let present: BTreeMap<ServiceKey, &DesiredService> = by_key(configured);

    let mut edits = Vec::new();
    for service in configured {
        if !wanted.contains_key(&service.key) {
            edits.push(Edit::RemoveService {
                service: service.key,
            });
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
                if present.settings != service.settings {
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

fn by_key(services: &[DesiredService]) -> BTreeMap<ServiceKey, &DesiredService> {
    let services = services.iter();
    services.map(|service| (service.key, service)).collect()
}

fn plan_destinations(
    desired: &DesiredService,
    configured: &[(SocketAddr, DestinationSettings)],
    edits: &mut Vec<Edit>,
) {
    let wanted: BTreeMap<SocketAddr, DestinationSettings> =
        desired.destinations.iter().copied().collect();
    let present: BTreeMap<SocketAddr, DestinationSettings> = configured.iter().copied().collect();
    let service = desired.key;
    for &(address, settings) in &desired.destinations {
        match present.get(&address) {
            None => edits.push(Edit::AddDestination {
                service,
                address,
                settings,
            }),
            Some(present) if *present != settings => edits.push(Edit::EditDestination {
                service,
                address,
                settings,
            }),
            Some(_) => {}
        }
    }
    for (address, _) in configured {
        if !wanted.contains_key(address) {
            edits.push(Edit::RemoveDestination {
                service,
                address: *address,
            });
        }
    }
}

#[cfg(test)]
mod tests;
