//! What a vrrp process may leave on the host if it is killed.

use std::collections::BTreeSet;

use elver_core::config::model::Configuration;

use super::instance_device;
use super::kernel_settings::{REPORTS, of_interface, path_of};

/// The devices of instances, by name.
pub(crate) fn devices_of(configuration: &Configuration) -> BTreeSet<String> {
    let instances = configuration.instances.iter();
    instances.flat_map(instance_device::names).collect()
}

/// The paths of settings that may be changed.
pub(crate) fn settings_of(configuration: &Configuration) -> BTreeSet<String> {
    let instances = configuration.instances.iter();
    let mut paths: BTreeSet<String> = instances
        .clone()
        .flat_map(instance_device::settings)
        .collect();
    let promoting = instances.filter(|instance| instance.promote_secondaries);
    paths
        .extend(promoting.map(|instance| of_interface(&instance.interface, "promote_secondaries")));
    if configuration.global.routers.no_local_reports {
        paths.insert(path_of(REPORTS));
    }
    paths
}
