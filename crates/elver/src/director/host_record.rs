//! The record of what an instance changes on the host for its VRRP and its checks, beside
//! addresses.
//!
//! It is written before any process acts on a configuration. So whoever finds the record
//! of an instance without a running director finds every route, rule and device that may be
//! left, and what settings of the kernel were before. A vrrp process that takes over from one
//! that was killed could not tell those: it finds them changed.

use std::collections::BTreeSet;
use std::io;

use elver_core::config::model::{Configuration, Route, Rule};
use elver_sys::netlink::Netlink;
use serde::{Deserialize, Serialize};

use super::pings;
use crate::instance::Instance;
use crate::record::Record;
use crate::vrrp_process::{
    devices_of, remove_device, remove_route, remove_rule, rule_words, settings_of,
};

/// A change of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Change {
    /// A device was made.
    Device(String),
    /// A route was added.
    Route(Route),
    /// A rule was added.
    Rule(Rule),
    /// A setting below `/proc/sys` may have been changed.
    Setting { path: String, before: String },
}

/// The devices, rules and routes of a configuration.
fn made_by(configuration: &Configuration) -> Vec<Change> {
    let statics = &configuration.statics;
    let instances = &configuration.instances;
    let rules = instances.iter().flat_map(|instance| &instance.rules);
    let routes = instances.iter().flat_map(|instance| &instance.routes);
    let devices = devices_of(configuration).into_iter().map(Change::Device);
    devices
        .chain(rules.chain(&statics.rules).cloned().map(Change::Rule))
        .chain(routes.chain(&statics.routes).cloned().map(Change::Route))
        .collect()
}

/// The paths of settings that a configuration changes.
fn settings(configuration: &Configuration) -> BTreeSet<String> {
    let mut paths = settings_of(configuration);
    paths.extend(pings::setting_of(configuration).map(str::to_owned));
    paths
}

/// The record of an instance.
#[derive(Debug)]
pub(crate) struct HostRecord(Record<Change>);

impl HostRecord {
    pub(crate) fn of(instance: &Instance) -> HostRecord {
        HostRecord(Record::at(instance.host_record()))
    }

    /// Makes it say what this configuration may change as well. Of a setting that is on record
    /// the first value stays.
    pub(crate) fn add(&self, configuration: &Configuration) -> io::Result<()> {
        let mut changes = self.0.read()?;
        let before = changes.len();
        for change in made_by(configuration) {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        for path in settings(configuration) {
            // One that is not there comes with its interface, and brings its own value.
            if !changes.iter().any(|change| change.is_of(&path))
                && let Ok(before) = std::fs::read_to_string(&path)
            {
                changes.push(Change::Setting { path, before });
            }
        }
        if changes.len() == before {
            return Ok(());
        }
        self.0.write(&changes)
    }

    /// Takes back what is on record and still there; says what that was. Goes on past what it
    /// cannot take back, of which the first error is given.
    pub(crate) fn undo(&self, netlink: &mut Netlink) -> (Vec<String>, io::Result<()>) {
        self.keep_only(&Configuration::default(), netlink)
    }

    /// The same with what this configuration does not have.
    pub(crate) fn keep_only(
        &self,
        configuration: &Configuration,
        netlink: &mut Netlink,
    ) -> (Vec<String>, io::Result<()>) {
        let changes = match self.0.read() {
            Ok(changes) => changes,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let (made, settings) = (made_by(configuration), settings(configuration));
        let (kept, others): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| {
            made.contains(change) || settings.iter().any(|path| change.is_of(path))
        });
        if others.is_empty() {
            return (Vec::new(), Ok(()));
        }
        let (mut undone, mut result) = (Vec::new(), Ok(()));
        for change in others {
            match change.undo(netlink) {
                Ok(true) => undone.push(change.words()),
                Ok(false) => {}
                Err(error) => {
                    let words = format!("{}: {error}", change.words());
                    result = result.and(Err(io::Error::new(error.kind(), words)));
                }
            }
        }
        let result = result.and_then(|()| self.0.write(&kept));
        (undone, result)
    }

    /// Makes it say that nothing is left.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.0.remove()
    }
}

impl Change {
    /// Whether it is of the setting at this path.
    fn is_of(&self, setting: &str) -> bool {
        matches!(self, Change::Setting { path, .. } if path == setting)
    }

    /// Takes it back; false if there was nothing to take back.
    fn undo(&self, netlink: &mut Netlink) -> io::Result<bool> {
        match self {
            Change::Device(name) => remove_device(netlink, name),
            Change::Route(route) => remove_route(netlink, route),
            Change::Rule(rule) => remove_rule(netlink, rule),
            Change::Setting { path, before } => match std::fs::read_to_string(path) {
                Ok(now) if now == *before => Ok(false),
                Ok(_) => std::fs::write(path, before).map(|()| true),
                // Its interface is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// What it is, with what has been changed back.
    fn words(&self) -> String {
        match self {
            Change::Device(name) => format!("the device {name}"),
            Change::Route(route) => format!("the route to {}", route.destination),
            Change::Rule(rule) => format!("the rule {}", rule_words(rule)),
            Change::Setting { path, before } => {
                format!("the change of {path}, which is {} again", before.trim())
            }
        }
    }
}
