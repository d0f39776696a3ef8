//! STAND-IN for the data plane, to be replaced by the one in eBPF: the same
//! functions over a list in memory, which a file keeps over a restart. No packet is
//! forwarded.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use elver_core::service::{
    ConnectionState, DestinationState, Edit, EditError, Origin, Rates, ServiceKey, ServiceState,
    Statistics, SyncDaemon, Timeouts,
};

/// How large the tables are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Device {
    /// Its index.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
}

/// Why there is no data plane.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataPlaneError {
    /// The kernel has not what is needed, in words.
    #[error("{0}")]
    #[expect(dead_code, reason = "stand-in")]
    Kernel(String),
    /// A system call failed.
    #[error("{0}")]
    System(String),
}

/// The tables of an instance.
#[derive(Debug)]
pub(crate) struct DataPlane {
    file: PathBuf,
    services: Vec<ServiceState>,
}

fn file(instance: &str) -> PathBuf {
    PathBuf::from(format!("/run/elver/{instance}/stand-in.json"))
}

impl DataPlane {
    pub(crate) fn open(instance: &str, _sizes: &Sizes) -> Result<DataPlane, DataPlaneError> {
        match DataPlane::open_pinned(instance) {
            Ok(found) => Ok(found),
            Err(_) => Ok(DataPlane {
                file: file(instance),
                services: Vec::new(),
            }),
        }
    }

    pub(crate) fn open_pinned(instance: &str) -> Result<DataPlane, DataPlaneError> {
        let file = file(instance);
        let text = std::fs::read(&file).map_err(|e| DataPlaneError::System(e.to_string()))?;
        let services =
            serde_json::from_slice(&text).map_err(|e| DataPlaneError::System(e.to_string()))?;
        Ok(DataPlane { file, services })
    }

    pub(crate) fn apply(&mut self, edit: &Edit, origin: Origin) -> Result<(), EditError> {
        self.change(edit, origin)?;
        let text = serde_json::to_vec(&self.services).expect("services are JSON");
        std::fs::write(&self.file, text).map_err(|e| EditError::System(e.to_string()))
    }

    fn change(&mut self, edit: &Edit, origin: Origin) -> Result<(), EditError> {
        match edit {
            Edit::AddService { service, settings } => {
                if self.services.iter().any(|known| known.key == *service) {
                    return Err(EditError::ServiceExists);
                }
                self.services.push(ServiceState {
                    key: *service,
                    settings: settings.clone(),
                    origin,
                    destinations: Vec::new(),
                    statistics: Statistics::default(),
                    rates: Rates::default(),
                });
            }
            Edit::EditService { service, settings } => {
                self.service(service, EditError::NoSuchService)?.settings = settings.clone();
            }
            Edit::RemoveService { service } => {
                self.service(service, EditError::NoSuchService)?;
                self.services.retain(|known| known.key != *service);
            }
            Edit::AddDestination {
                service,
                address,
                settings,
            } => {
                let service = self.service(service, EditError::ServiceNotDefined)?;
                if service.destinations.iter().any(|d| d.address == *address) {
                    return Err(EditError::DestinationExists);
                }
                let destination = DestinationState {
                    address: *address,
                    settings: *settings,
                    origin,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    statistics: Statistics::default(),
                    rates: Rates::default(),
                };
                service.destinations.insert(0, destination);
            }
            Edit::EditDestination {
                service,
                address,
                settings,
            } => {
                let service = self.service(service, EditError::ServiceNotDefined)?;
                let found = service.destinations.iter_mut();
                found
                    .into_iter()
                    .find(|d| d.address == *address)
                    .ok_or(EditError::NoSuchDestination)?
                    .settings = *settings;
            }
            Edit::RemoveDestination { service, address } => {
                let service = self.service(service, EditError::ServiceNotDefined)?;
                let before = service.destinations.len();
                service.destinations.retain(|d| d.address != *address);
                if service.destinations.len() == before {
                    return Err(EditError::NoSuchDestination);
                }
            }
            Edit::Flush => self.services.clear(),
            Edit::Zero { .. }
            | Edit::SetTimeouts(_)
            | Edit::StartSyncDaemon(_)
            | Edit::StopSyncDaemon { .. } => {}
        }
        Ok(())
    }

    fn service(
        &mut self,
        key: &ServiceKey,
        error: EditError,
    ) -> Result<&mut ServiceState, EditError> {
        let mut services = self.services.iter_mut();
        services.find(|known| known.key == *key).ok_or(error)
    }

    pub(crate) fn services(&self) -> Vec<ServiceState> {
        self.services.clone()
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionState> {
        std::iter::empty()
    }

    pub(crate) fn set_held(&mut self, addresses: &BTreeSet<IpAddr>) {
        tracing::debug!(?addresses, "stand-in: addresses held here");
    }

    pub(crate) fn attach(&mut self, _device: &Device) -> Result<&'static str, DataPlaneError> {
        Ok("stand-in")
    }

    pub(crate) fn detach(&mut self, _index: u32) {}

    pub(crate) fn routes_changed(&mut self) {}

    pub(crate) fn sweep(&mut self) {}

    pub(crate) fn unload(instance: &str) -> Result<Vec<String>, DataPlaneError> {
        let file = file(instance);
        match std::fs::remove_file(&file) {
            Ok(()) => Ok(vec![file.display().to_string()]),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(DataPlaneError::System(error.to_string())),
        }
    }
}

impl crate::ipvsadm::Reader for DataPlane {
    fn services(&self) -> Vec<ServiceState> {
        DataPlane::services(self)
    }

    fn connections(&self) -> Box<dyn Iterator<Item = ConnectionState> + '_> {
        Box::new(DataPlane::connections(self))
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts::default()
    }

    fn sync_daemons(&self) -> Vec<SyncDaemon> {
        Vec::new()
    }
}
