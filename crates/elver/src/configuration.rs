//! Reading the configuration file, and saying what is wrong with it.

mod host;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use elver_core::config::model::Configuration;
use elver_core::config::{
    self, Diagnostic, Loaded, Secrets, Severity, Source, Verdict, without_secrets,
};
use serde::Serialize;

use crate::command_line::DumpForm;
use crate::failure::Failure;
use crate::firewall;
use crate::instance::Instance;
use crate::settings::Settings;

/// What a configuration is read from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// keepalived.conf.
    pub(crate) file: PathBuf,
    /// The name that lines with `@` hold for, where it is not that of the host.
    pub(crate) config_id: Option<String>,
    /// Whose configuration it is.
    pub(crate) instance: Instance,
    /// Whether a file that is to be included and is not there is an error.
    pub(crate) all_includes: bool,
}

/// Where it is said what there is to say about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// On standard error, with the lines of the file.
    OnConsole,
    /// In the log, a line for each.
    InLog,
}

/// What becomes of lines in error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    /// The configuration cannot run: what is in force is better.
    Forbid,
    /// They are left out where keepalived leaves them out: nothing is in force yet, and whoever
    /// has run a file with keepalived can run it.
    LeftOut,
}

/// Reads a configuration. Whatever there is to say about the file is told; it fails only if
/// the configuration cannot run.
pub(crate) fn load(origin: &Origin, told: Told, errors: Errors) -> Result<Configuration, Failure> {
    let considered = consider(origin, errors)?;
    tell(&considered.diagnostics, told);
    considered.configuration
}

/// A configuration that was read, and what there is to say about it.
pub(crate) struct Considered {
    pub(crate) configuration: Result<Configuration, Failure>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// [`load`], for somebody who tells what there is to say.
pub(crate) fn consider(origin: &Origin, errors: Errors) -> Result<Considered, Failure> {
    let mut loaded = read(origin)?;
    let mut diagnostics = std::mem::take(&mut loaded.diagnostics);
    let remainder = loaded
        .remainder
        .take()
        .filter(|_| errors == Errors::LeftOut);
    let configuration = match remainder {
        Some(remainder) => {
            diagnostics.push(left_out(origin));
            Ok(remainder)
        }
        None => usable(loaded, origin),
    };
    Ok(Considered {
        configuration,
        diagnostics,
    })
}

fn tell(diagnostics: &[Diagnostic], told: Told) {
    match told {
        Told::OnConsole => print(diagnostics),
        Told::InLog => log(diagnostics),
    }
}

fn left_out(origin: &Origin) -> Diagnostic {
    let path = origin.file.display();
    Diagnostic::about_the_host(
        format!("{path}: what is in error is left out, and the rest runs, as with keepalived"),
        format!("mend it: a reload refuses a file with errors; `elver check {path}` shows them"),
    )
}

/// [`load`], for somebody who reads the file as well and is told there.
pub(crate) fn load_in_silence(origin: &Origin) -> Result<Configuration, Failure> {
    usable(read(origin)?, origin)
}

fn usable(loaded: Loaded, origin: &Origin) -> Result<Configuration, Failure> {
    loaded
        .configuration
        .ok_or_else(|| Failure::ConfigurationUnusable {
            path: origin.file.clone(),
        })
}

/// What `elver check` shows beside what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A summary in one line.
    Summary,
    /// What would run, in words.
    Explanation,
    /// What is in force.
    Dump(DumpForm),
    /// Everything that there is to say, for programs.
    Json,
}

/// `elver check`: [`load`], which also looks at this host and its rules of netfilter, and fails
/// if there was something to say.
///
/// With the file of another director, `peer`, what does not go together in the two is
/// said as well.
pub(crate) fn check(
    origin: &Origin,
    settings: Option<&Path>,
    peer: Option<&Origin>,
    shown: Shown,
) -> Result<(), Failure> {
    let mut loaded = read(origin)?;
    loaded.diagnostics.extend(host::review(&loaded));
    if loaded.remainder.is_some() {
        loaded.diagnostics.push(would_be_left_out(origin));
    }
    if let (Some(peer), Some(configuration)) = (peer, &loaded.configuration) {
        let other = load(peer, Told::OnConsole, Errors::Forbid)?;
        let name = peer.file.display().to_string();
        let found = config::compare(configuration, &other, &name);
        loaded.diagnostics.extend(found);
    }
    if shown == Shown::Json {
        print_json(&loaded).map_err(Failure::system("output"))?;
    } else {
        print(&loaded.diagnostics);
    }
    let path = origin.file.clone();
    let worst = loaded.diagnostics.iter().map(|each| each.severity).max();
    let Some(configuration) = loaded.configuration else {
        return Err(match shown {
            Shown::Json => Failure::Told { code: 4 },
            _ => Failure::ConfigurationUnusable { path },
        });
    };
    let settings = Settings::load(settings)?;
    let without_effect = settings.without_effect();
    for setting in &without_effect {
        eprintln!("{setting}");
    }
    let own = firewall::own_table(&configuration);
    let look = firewall::look(&firewall::services(&configuration), own, &settings);
    for failure in &look.failures {
        eprintln!("rules of netfilter could not be looked at: {failure}");
    }
    for finding in &look.findings {
        eprintln!("{finding}");
    }
    let is_doubtful = matches!(worst, Some(Severity::Warning | Severity::Error))
        || !look.findings.is_empty()
        || !without_effect.is_empty();
    let text = match shown {
        Shown::Json => String::new(),
        Shown::Explanation => config::explain(&configuration),
        Shown::Dump(DumpForm::Conf) => config::dump(&configuration, Secrets::Hidden),
        Shown::Dump(DumpForm::Json) => {
            let json = serde_json::to_string_pretty(&without_secrets(&configuration));
            json.map_err(|error| Failure::system("writing JSON")(error.into()))? + "\n"
        }
        Shown::Summary if is_doubtful => String::new(),
        Shown::Summary => format!(
            "{}: runs: {} VRRP instances, {} virtual servers\n",
            path.display(),
            configuration.instances.len(),
            configuration.virtual_servers.len()
        ),
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::system("output"))?;
    if !is_doubtful {
        return Ok(());
    }
    Err(match shown {
        Shown::Json => Failure::Told { code: 5 },
        _ => Failure::ConfigurationDoubtful { path },
    })
}

/// `keepalived --config-test`: writes to `output` what is wrong, and gives back keepalived's
/// exit code.
pub(crate) fn keepalived_test(origin: &Origin, output: &mut dyn Write) -> Result<u8, Failure> {
    let unwritten = "what is wrong with the configuration";
    let mut loaded = match read(origin) {
        Ok(loaded) => loaded,
        // keepalived-2.2.7: a file that is not there is no configuration.
        Err(error @ Failure::ConfigurationUnreadable { .. }) => {
            writeln!(output, "{error}").map_err(Failure::system(unwritten))?;
            return Ok(Verdict::NoConfiguration.exit_code());
        }
        Err(error) => return Err(error),
    };
    loaded.diagnostics.extend(host::review(&loaded));
    for diagnostic in &loaded.diagnostics {
        writeln!(output, "{}", config::render(diagnostic, false))
            .map_err(Failure::system(unwritten))?;
    }
    Ok(loaded.keepalived().exit_code())
}

/// Says each on standard error, with the lines of the file.
pub(crate) fn print(diagnostics: &[Diagnostic]) {
    let color = io::stderr().is_terminal();
    for diagnostic in diagnostics {
        eprintln!("{}", config::render(diagnostic, color));
    }
}

/// Says each in a line, with its place where it has one.
fn log(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        match diagnostic.severity {
            Severity::Error => tracing::error!("{diagnostic}"),
            Severity::Warning => tracing::warn!("{diagnostic}"),
            Severity::Note => tracing::info!("{diagnostic}"),
        }
    }
}

fn would_be_left_out(origin: &Origin) -> Diagnostic {
    let path = origin.file.display();
    Diagnostic::about_the_host(
        format!("{path}: a start would leave out what is in error, as keepalived does"),
        "mend it: a reload changes nothing with such a file",
    )
}

/// What `elver check --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether the configuration can run.
    runs: bool,
    /// What `keepalived --config-test` would exit with.
    keepalived_exit_code: u8,
    diagnostics: &'a [Diagnostic],
}

fn print_json(loaded: &Loaded) -> io::Result<()> {
    let report = Report {
        runs: loaded.configuration.is_some(),
        keepalived_exit_code: loaded.keepalived().exit_code(),
        diagnostics: &loaded.diagnostics,
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)
}

fn read(origin: &Origin) -> Result<Loaded, Failure> {
    // The language would say so as well, but not in a way that gives an exit code.
    std::fs::File::open(&origin.file)
        .and_then(|mut file| io::copy(&mut file, &mut io::sink()))
        .map_err(|error| Failure::ConfigurationUnreadable {
            path: origin.file.clone(),
            error,
        })?;
    Ok(config::load(
        &Files { origin },
        &origin.file.to_string_lossy(),
    ))
}

/// The world that a configuration is read in.
struct Files<'a> {
    origin: &'a Origin,
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
        if let Some(id) = &self.origin.config_id {
            return Some(id.clone());
        }
        let system = rustix::system::uname();
        let name = system.nodename().to_string_lossy();
        Some(name.split('.').next().unwrap_or_default().to_owned())
    }

    fn includes_all(&self) -> bool {
        self.origin.all_includes
    }

    fn instance(&self) -> Option<String> {
        Some(self.origin.instance.name().to_owned())
    }

    fn random(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |time| u64::from(time.subsec_nanos()))
    }
}
