//! The kernel's IPVS table as ipvsadm sees it: a vector, under the rules for edits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use elver_core::edit_rules::{self, EditedTable};
use elver_core::ipvsadm::{Names, Table, Unavailable};
use elver_core::service::{
    ConnectionState, DestinationState, Edit, EditError, Family, Origin, Protocol, Rates,
    ServiceKey, ServiceState, Statistics, SyncDaemon, SyncRole, Timeouts,
};

/// A machine with IPVS and no interface but `lo`.
#[derive(Default)]
pub(crate) struct KernelTable {
    pub(crate) services: Vec<ServiceState>,
    pub(crate) connections: Vec<ConnectionState>,
    pub(crate) timeouts: Timeouts,
    pub(crate) sync_daemons: Vec<SyncDaemon>,
}

impl KernelTable {
    fn service(&self, key: &ServiceKey) -> Option<&ServiceState> {
        self.services.iter().find(|service| service.key == *key)
    }

    /// An existing service.
    fn service_mut(&mut self, key: &ServiceKey) -> &mut ServiceState {
        let mut services = self.services.iter_mut();
        let found = services.find(|service| service.key == *key);
        found.expect("the rules let edits of existing services pass alone")
    }

    /// Makes an edit that the rules let pass.
    fn change(&mut self, edit: &Edit) {
        match edit {
            Edit::AddService { service, settings } => self.services.push(ServiceState {
                key: *service,
                settings: settings.clone(),
                origin: Origin::Operator,
                destinations: Vec::new(),
                statistics: Statistics::default(),
                rates: Rates::default(),
            }),
            Edit::EditService { service, settings } => {
                self.service_mut(service).settings = settings.clone();
            }
            Edit::RemoveService { service } => self.services.retain(|other| other.key != *service),
            Edit::AddDestination {
                service,
                address,
                settings,
            } => {
                let destination = DestinationState {
                    handshake: None,
                    address: *address,
                    settings: *settings,
                    origin: Origin::Operator,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    statistics: Statistics::default(),
                    rates: Rates::default(),
                };
                self.service_mut(service)
                    .destinations
                    .insert(0, destination);
            }
            Edit::EditDestination {
                service,
                address,
                settings,
            } => {
                for destination in &mut self.service_mut(service).destinations {
                    if destination.address == *address {
                        destination.settings = *settings;
                    }
                }
            }
            Edit::RemoveDestination { service, address } => {
                let destinations = &mut self.service_mut(service).destinations;
                destinations.retain(|destination| destination.address != *address);
            }
            Edit::Flush => self.services.clear(),
            Edit::Zero { service } => {
                for state in &mut self.services {
                    if service.is_none_or(|key| key == state.key) {
                        state.statistics = Statistics::default();
                    }
                }
            }
            Edit::SetTimeouts(timeouts) => self.timeouts = self.timeouts.changed_by(*timeouts),
            Edit::StartSyncDaemon(settings) => {
                self.sync_daemons.push(settings.resolve(MTU_OF_LOOPBACK));
            }
            Edit::StopSyncDaemon { role } => {
                self.sync_daemons.retain(|daemon| daemon.role != *role);
            }
        }
    }
}

/// Bytes.
const MTU_OF_LOOPBACK: u32 = 65536;

impl EditedTable for KernelTable {
    fn has_service(&self, service: &ServiceKey) -> bool {
        self.service(service).is_some()
    }

    fn has_destination(&self, service: &ServiceKey, address: SocketAddr) -> bool {
        self.service(service).is_some_and(|service| {
            let mut destinations = service.destinations.iter();
            destinations.any(|destination| destination.address == address)
        })
    }

    fn has_mixed_families(&self) -> bool {
        self.services.iter().any(|service| {
            let mut destinations = service.destinations.iter();
            destinations.any(|d| Family::of(d.address.ip()) != service.key.family())
        })
    }

    fn has_sync_daemon(&self, role: SyncRole) -> bool {
        self.sync_daemons.iter().any(|daemon| daemon.role == role)
    }

    fn has_interface(&self, name: &str) -> bool {
        name == "lo"
    }

    fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback()
    }
}

impl Table for KernelTable {
    fn services(&mut self) -> Result<Vec<ServiceState>, Unavailable> {
        Ok(self.services.clone())
    }

    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = ConnectionState> + '_>, Unavailable> {
        Ok(Box::new(self.connections.iter().cloned()))
    }

    fn timeouts(&mut self) -> Result<Timeouts, Unavailable> {
        Ok(self.timeouts)
    }

    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Unavailable> {
        Ok(self.sync_daemons.clone())
    }

    fn edit(&mut self, edits: &[Edit]) -> Result<Vec<Option<EditError>>, Unavailable> {
        let outcomes = edits.iter().map(|edit| {
            let refused = edit_rules::check(edit, self).err();
            if refused.is_none() {
                self.change(edit);
            }
            refused
        });
        Ok(outcomes.collect())
    }
}

/// The names of the machine on which the transcripts were made, as far as they show.
pub(crate) struct Debian;

const PORTS: [(&str, u16, Protocol); 11] = [
    ("discard", 9, Protocol::Tcp),
    ("discard", 9, Protocol::Udp),
    ("ftp", 21, Protocol::Tcp),
    ("ssh", 22, Protocol::Tcp),
    ("domain", 53, Protocol::Udp),
    ("http", 80, Protocol::Tcp),
    ("snmp", 161, Protocol::Udp),
    ("https", 443, Protocol::Tcp),
    ("sip", 5060, Protocol::Tcp),
    ("sip", 5060, Protocol::Udp),
    ("http-alt", 8080, Protocol::Tcp),
];

impl Names for Debian {
    fn host_to_address(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "localhost").then_some(Ipv4Addr::LOCALHOST)
    }

    fn address_to_host(&self, address: IpAddr) -> Option<String> {
        (address == IpAddr::V4(Ipv4Addr::LOCALHOST)).then(|| "localhost".to_owned())
    }

    fn service_to_port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let found = PORTS.iter().find(|p| p.0 == name && p.2 == protocol)?;
        Some(found.1)
    }

    fn port_to_service(&self, port: u16, protocol: Protocol) -> Option<String> {
        let found = PORTS.iter().find(|p| p.1 == port && p.2 == protocol)?;
        Some(found.0.to_owned())
    }
}
