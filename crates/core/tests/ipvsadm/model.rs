//! The kernel's IPVS table as ipvsadm sees it: the checks of `ip_vs_ctl.c` on a vector.

use std::net::{IpAddr, Ipv4Addr};

use elver_core::ipvsadm::{Names, Table, TableError, Unavailable};
use elver_core::service::{
    ConnectionState, DestinationState, Edit, EditError, Family, Origin, Protocol, Rates,
    ServiceKey, ServiceState, Statistics, SyncDaemon, SyncDaemonSettings, Timeouts,
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
    fn find(&mut self, key: &ServiceKey) -> Option<&mut ServiceState> {
        self.services.iter_mut().find(|service| service.key == *key)
    }

    fn has_mixed_families(&self) -> bool {
        self.services.iter().any(|service| {
            service
                .destinations
                .iter()
                .any(|destination| family(destination.address.ip()) != service.key.family())
        })
    }

    fn start_daemon(&mut self, settings: &SyncDaemonSettings) -> Result<(), EditError> {
        if self.has_mixed_families() {
            return Err(EditError::Invalid);
        }
        if settings.interface != "lo" {
            return Err(EditError::NoSuchDevice);
        }
        if self.sync_daemons.iter().any(|d| d.role == settings.role) {
            return Err(EditError::DaemonExists);
        }
        self.sync_daemons.push(settings.resolve(65536));
        Ok(())
    }

    fn change(&mut self, edit: &Edit) -> Result<(), EditError> {
        let synchronised = !self.sync_daemons.is_empty();
        match edit {
            Edit::AddService { service, settings } => {
                if self.find(service).is_some() {
                    return Err(EditError::ServiceExists);
                }
                self.services.push(ServiceState {
                    key: *service,
                    settings: settings.clone(),
                    origin: Origin::Operator,
                    destinations: Vec::new(),
                    statistics: Statistics::default(),
                    rates: Rates::default(),
                });
            }
            Edit::EditService { service, settings } => {
                let found = self.find(service).ok_or(EditError::NoSuchService)?;
                found.settings = settings.clone();
            }
            Edit::RemoveService { service } => {
                self.find(service).ok_or(EditError::NoSuchService)?;
                self.services.retain(|other| other.key != *service);
            }
            Edit::AddDestination {
                service,
                address,
                settings,
            } => {
                let found = self.find(service).ok_or(EditError::ServiceNotDefined)?;
                if synchronised && family(address.ip()) != service.family() {
                    return Err(EditError::Invalid);
                }
                if settings.lower_threshold > settings.upper_threshold {
                    return Err(EditError::OutOfRange);
                }
                if found.destinations.iter().any(|d| d.address == *address) {
                    return Err(EditError::DestinationExists);
                }
                if !is_unicast(address.ip()) {
                    return Err(EditError::Invalid);
                }
                let destination = DestinationState {
                    address: *address,
                    settings: *settings,
                    origin: Origin::Operator,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    statistics: Statistics::default(),
                    rates: Rates::default(),
                };
                found.destinations.insert(0, destination);
            }
            Edit::EditDestination {
                service,
                address,
                settings,
            } => {
                let found = self.find(service).ok_or(EditError::ServiceNotDefined)?;
                if synchronised && family(address.ip()) != service.family() {
                    return Err(EditError::Invalid);
                }
                if settings.lower_threshold > settings.upper_threshold {
                    return Err(EditError::OutOfRange);
                }
                found
                    .destinations
                    .iter_mut()
                    .find(|d| d.address == *address)
                    .ok_or(EditError::NoSuchDestination)?
                    .settings = *settings;
            }
            Edit::RemoveDestination { service, address } => {
                let found = self.find(service).ok_or(EditError::ServiceNotDefined)?;
                let before = found.destinations.len();
                found.destinations.retain(|d| d.address != *address);
                if found.destinations.len() == before {
                    return Err(EditError::NoSuchDestination);
                }
            }
            Edit::Flush => self.services.clear(),
            Edit::Zero { service: None } => {
                for service in &mut self.services {
                    service.statistics = Statistics::default();
                }
            }
            Edit::Zero { service: Some(key) } => {
                let found = self.find(key).ok_or(EditError::NoSuchService)?;
                found.statistics = Statistics::default();
            }
            Edit::SetTimeouts(timeouts) => self.timeouts = self.timeouts.changed_by(*timeouts),
            Edit::StartSyncDaemon(settings) => self.start_daemon(settings)?,
            Edit::StopSyncDaemon { role } => {
                let before = self.sync_daemons.len();
                self.sync_daemons.retain(|daemon| daemon.role != *role);
                if self.sync_daemons.len() == before {
                    return Err(EditError::NoSuchDaemon);
                }
            }
        }
        Ok(())
    }
}

fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    }
}

fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local()),
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

    fn edit(&mut self, edit: &Edit) -> Result<(), TableError> {
        Ok(self.change(edit)?)
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
