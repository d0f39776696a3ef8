//! What a director is configured by, and how it is read.

use std::io;
use std::path::PathBuf;

use elver_core::config::model::Configuration;
use elver_core::config::{self, Secrets};

use super::Manner;
use crate::configuration::{self, Errors, Told};
use crate::discovery;
use crate::failure::Failure;

/// What a director is configured by.
pub(crate) struct Files {
    /// keepalived.conf.
    pub(crate) origin: configuration::Origin,
    /// Whether there is a director without that file: one that ipvsadm alone rules.
    pub(crate) may_be_absent: bool,
    /// elver.toml, if one is named.
    pub(crate) settings: Option<PathBuf>,
    /// What is discovered beside them.
    pub(crate) discovery: discovery::Asked,
}

impl Files {
    /// The configuration as keepalived.conf has it now, or an empty one.
    pub(super) fn configuration(
        &mut self,
        manner: &Manner,
        errors: Errors,
    ) -> Result<Configuration, Failure> {
        if manner.of_real_server {
            return Ok(Configuration::default());
        }
        let is_absent = || match self.origin.file.symlink_metadata() {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(_) => false,
        };
        if self.may_be_absent && is_absent() {
            tracing::info!(
                "there is no {}: ipvsadm alone says what is balanced",
                self.origin.file.display()
            );
            return Ok(Configuration::default());
        }
        let told = match manner.log.console {
            true => Told::OnConsole,
            false => Told::InLog,
        };
        let configuration = configuration::load(&self.origin, told, errors)?;
        // One that goes later is no reason to give up what it said.
        self.may_be_absent = false;
        let configuration = manner.left_out.of(configuration);
        if manner.dump {
            for line in config::dump(&configuration, Secrets::Hidden).lines() {
                tracing::info!("{line}");
            }
        }
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nobody_named_may_be_absent_until_it_was_there() {
        let folder = std::env::temp_dir().join(format!("elver-files-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("keepalived.conf");
        let manner = Manner::foreground();
        let files = |may_be_absent| Files {
            origin: configuration::Origin {
                file: file.clone(),
                config_id: None,
                instance: "test".parse().unwrap(),
                all_includes: false,
            },
            may_be_absent,
            settings: None,
            discovery: discovery::Asked::default(),
        };
        assert!(files(false).configuration(&manner, Errors::Forbid).is_err());
        let empty = Configuration::default();
        let mut files = files(true);
        assert_eq!(files.configuration(&manner, Errors::Forbid).unwrap(), empty);

        let text = "vrrp_instance VI_1 {\n    interface lo\n    virtual_router_id 1\n}\n";
        std::fs::write(&file, text).unwrap();
        assert_ne!(files.configuration(&manner, Errors::Forbid).unwrap(), empty);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(
            files.configuration(&manner, Errors::Forbid).is_err(),
            "it was there"
        );
    }
}
