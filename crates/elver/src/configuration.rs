//! Reading the configuration file, and saying what is wrong with it.

use std::io::{self, IsTerminal};
use std::path::Path;

use elver_core::config::model::Configuration;
use elver_core::config::{self, Loaded, Severity, Source};

use crate::failure::Failure;
use crate::firewall;
use crate::instance::Instance;
use crate::settings::Settings;

/// Reads the configuration for `instance`. Whatever there is to say about the file goes
/// to standard error; it fails only if the configuration cannot run.
pub(crate) fn load(file: &Path, instance: &Instance) -> Result<Configuration, Failure> {
    let loaded = read(file, instance)?;
    loaded
        .configuration
        .ok_or_else(|| Failure::ConfigurationUnusable {
            path: file.to_owned(),
        })
}

/// `elver check`: [`load`], which also fails if there was something to say, of the files or of
/// rules of netfilter that will not hold.
pub(crate) fn check(
    file: &Path,
    settings: Option<&Path>,
    instance: &Instance,
) -> Result<(), Failure> {
    let loaded = read(file, instance)?;
    let path = file.to_owned();
    let Some(configuration) = loaded.configuration else {
        return Err(Failure::ConfigurationUnusable { path });
    };
    let settings = Settings::load(settings)?;
    let look = firewall::look(&firewall::services(&configuration), &settings);
    for failure in &look.failures {
        eprintln!("rules of netfilter could not be looked at: {failure}");
    }
    for finding in &look.findings {
        eprintln!("{finding}");
    }
    let worst = loaded.diagnostics.iter().map(|each| each.severity).max();
    let is_doubtful = matches!(worst, Some(Severity::Warning | Severity::Error));
    if is_doubtful || !look.findings.is_empty() {
        return Err(Failure::ConfigurationDoubtful { path });
    }
    println!(
        "{}: runs: {} VRRP instances, {} virtual servers",
        path.display(),
        configuration.instances.len(),
        configuration.virtual_servers.len()
    );
    Ok(())
}

fn read(file: &Path, instance: &Instance) -> Result<Loaded, Failure> {
    // The language would say so as well, but not in a way that gives an exit code.
    std::fs::File::open(file)
        .and_then(|mut file| io::copy(&mut file, &mut io::sink()))
        .map_err(|error| Failure::ConfigurationUnreadable {
            path: file.to_owned(),
            error,
        })?;
    let loaded = config::load(&Files { instance }, &file.to_string_lossy());
    let color = io::stderr().is_terminal();
    for diagnostic in &loaded.diagnostics {
        eprintln!("{}", config::render(diagnostic, color));
    }
    Ok(loaded)
}

/// The world that a configuration is read in.
struct Files<'a> {
    instance: &'a Instance,
}

impl Source for Files<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn config_id(&self) -> Option<String> {
        let system = rustix::system::uname();
        let name = system.nodename().to_string_lossy();
        Some(name.split('.').next().unwrap_or_default().to_owned())
    }

    fn instance(&self) -> Option<String> {
        Some(self.instance.name().to_owned())
    }

    fn random(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |time| u64::from(time.subsec_nanos()))
    }
}
