//! What a table of services has that the configuration does not speak of: the work of operators.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::config::model::{Configuration, VirtualServer, destination_of};
use crate::service::{DestinationState, Edit, ServiceKey, ServiceState};

/// Something of a table that the configuration does not speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The service, with those destinations alone that are foreign.
    pub service: ServiceState,
    /// Whether the service itself is the configuration's.
    pub is_configured: bool,
}

impl Foreign {
    /// What is foreign in a table.
    pub fn of(table: &[ServiceState], configuration: &Configuration) -> Vec<Foreign> {
        let servers: BTreeMap<ServiceKey, &VirtualServer> = configuration
            .virtual_servers
            .iter()
            .flat_map(|server| server.services().map(move |service| (service, server)))
            .collect();
        let foreign = table.iter().filter_map(|service| {
            let Some(server) = servers.get(&service.key) else {
                return Some(Foreign {
                    service: service.clone(),
                    is_configured: false,
                });
            };
            let mut service = service.clone();
            let is_foreign = |each: &DestinationState| !names(server, &service.key, &each.address);
            service.destinations.retain(is_foreign);
            (!service.destinations.is_empty()).then_some(Foreign {
                service,
                is_configured: true,
            })
        });
        foreign.collect()
    }

    /// What takes it out of the table.
    pub fn removal(&self) -> Vec<Edit> {
        let service = self.service.key;
        if !self.is_configured {
            return vec![Edit::RemoveService { service }];
        }
        let destinations = self.service.destinations.iter();
        destinations
            .map(|each| Edit::RemoveDestination {
                service,
                address: each.address,
            })
            .collect()
    }

    /// What puts it into another table, which has the configuration's already.
    pub fn addition(&self) -> Vec<Edit> {
        let service = self.service.key;
        let added = (!self.is_configured).then(|| Edit::AddService {
            service,
            settings: self.service.settings.clone(),
        });
        // The newest stands first.
        let destinations = self.service.destinations.iter().rev();
        added
            .into_iter()
            .chain(destinations.map(|each| Edit::AddDestination {
                service,
                address: each.address,
                settings: each.settings,
            }))
            .collect()
    }
}

/// Whether a virtual server has this destination, as a real server or as the sorry server.
fn names(server: &VirtualServer, service: &ServiceKey, address: &SocketAddr) -> bool {
    let real_servers = server.real_servers.iter();
    let real_servers = real_servers.map(|real| (real.address, real.settings.method));
    let sorry_server = server.sorry_server.as_ref();
    let sorry_server = sorry_server.map(|sorry| (sorry.address, sorry.settings.method));
    real_servers
        .chain(sorry_server)
        .any(|(named, method)| destination_of(service, named, method) == Some(*address))
}
