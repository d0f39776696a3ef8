//! Which edits a table of services takes, and how it refuses the others.
//!
//! The rules and their order are those of `ip_vs_ctl.c` (`ip_vs_genl_set_cmd` and what it
//! calls): where an edit is wrong in two ways, the error is the one that IPVS would give.

use std::net::{IpAddr, SocketAddr};

use crate::service::{
    DestinationSettings, Edit, EditError, Family, ForwardingMethod, ServiceKey, SyncRole, Tunnel,
};

/// What the rules have to know of a table and of the machine that it is on.
pub trait EditedTable {
    /// Whether there is a service.
    fn has_service(&self, service: &ServiceKey) -> bool;
    /// Whether an existing service has a destination.
    fn has_destination(&self, service: &ServiceKey, address: SocketAddr) -> bool;
    /// Whether a destination of any service is of another family than the service.
    fn has_mixed_families(&self) -> bool;
    /// Whether a sync daemon runs.
    fn has_sync_daemon(&self, role: SyncRole) -> bool;
    /// Whether there is an interface.
    fn has_interface(&self, name: &str) -> bool;
    /// Whether an address is one of this machine's own.
    fn is_local(&self, address: IpAddr) -> bool;
}

/// Whether `table` takes `edit`; nothing is changed.
///
/// # Errors
/// The one with which IPVS refuses it.
pub fn check(edit: &Edit, table: &impl EditedTable) -> Result<(), EditError> {
    let existing = |service: &ServiceKey, error| match table.has_service(service) {
        true => Ok(()),
        false => Err(error),
    };
    match edit {
        Edit::AddService { service, .. } => match table.has_service(service) {
            true => Err(EditError::ServiceExists),
            false => Ok(()),
        },
        Edit::EditService { service, .. } | Edit::RemoveService { service } => {
            existing(service, EditError::NoSuchService)
        }
        Edit::AddDestination {
            service,
            address,
            settings,
        } => {
            existing(service, EditError::ServiceNotDefined)?;
            check_destination(service, *address, settings, table)?;
            if table.has_destination(service, *address) {
                return Err(EditError::DestinationExists);
            }
            if !is_usable(address.ip(), table) {
                return Err(EditError::Invalid);
            }
            Ok(())
        }
        Edit::EditDestination {
            service,
            address,
            settings,
        } => {
            existing(service, EditError::ServiceNotDefined)?;
            check_destination(service, *address, settings, table)?;
            existing_destination(service, *address, table)
        }
        Edit::RemoveDestination { service, address } => {
            existing(service, EditError::ServiceNotDefined)?;
            existing_destination(service, *address, table)
        }
        Edit::Zero {
            service: Some(service),
        } => existing(service, EditError::NoSuchService),
        Edit::Flush | Edit::Zero { service: None } | Edit::SetTimeouts(_) => Ok(()),
        Edit::StartSyncDaemon(settings) => {
            // The messages of the sync protocol cannot say that a destination is of another
            // family than its service.
            if table.has_mixed_families() {
                Err(EditError::Invalid)
            } else if !table.has_interface(&settings.interface) {
                Err(EditError::NoSuchDevice)
            } else if table.has_sync_daemon(settings.role) {
                Err(EditError::DaemonExists)
            } else {
                Ok(())
            }
        }
        Edit::StopSyncDaemon { role } => match table.has_sync_daemon(*role) {
            true => Ok(()),
            false => Err(EditError::NoSuchDaemon),
        },
    }
}

fn existing_destination(
    service: &ServiceKey,
    address: SocketAddr,
    table: &impl EditedTable,
) -> Result<(), EditError> {
    match table.has_destination(service, address) {
        true => Ok(()),
        false => Err(EditError::NoSuchDestination),
    }
}

/// What holds for a new destination as for new settings of one.
fn check_destination(
    service: &ServiceKey,
    address: SocketAddr,
    settings: &DestinationSettings,
    table: &impl EditedTable,
) -> Result<(), EditError> {
    let is_synchronised = [SyncRole::Master, SyncRole::Backup]
        .into_iter()
        .any(|role| table.has_sync_daemon(role));
    let is_tunnel = matches!(settings.method, ForwardingMethod::Tunnel(_));
    if Family::of(address.ip()) != service.family() && (is_synchronised || !is_tunnel) {
        return Err(EditError::Invalid);
    }
    if settings.weight > i32::MAX.unsigned_abs()
        || settings.lower_threshold > settings.upper_threshold
    {
        return Err(EditError::OutOfRange);
    }
    if let ForwardingMethod::Tunnel(Tunnel::Gue { port: 0, .. }) = settings.method {
        return Err(EditError::Invalid);
    }
    Ok(())
}

/// Whether packets can be sent to an address: it is one host's (`ip_vs_new_dest`).
fn is_usable(address: IpAddr, table: &impl EditedTable) -> bool {
    let is_unicast = match address {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local()),
    };
    is_unicast || table.is_local(address)
}
