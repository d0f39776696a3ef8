//! Reading the configuration file, and saying what is wrong with it.

use std::path::Path;

use elver_core::config::model::Configuration;

use crate::failure::Failure;

/// STAND-IN until the language of keepalived.conf is there: reads the model as JSON.
pub(crate) fn load(file: &Path) -> Result<Configuration, Failure> {
    let text = std::fs::read(file).map_err(|error| Failure::ConfigurationUnreadable {
        path: file.to_owned(),
        error,
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        eprintln!("{error}");
        Failure::ConfigurationUnusable {
            path: file.to_owned(),
        }
    })
}

/// `elver check`.
pub(crate) fn check(file: &Path) -> Result<(), Failure> {
    load(file).map(drop)
}
