//! `keepalived`, by its own name and options, for scripts and units that call it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::command_line::DEFAULT_FILE;
use crate::configuration::{self, Origin};
use crate::director;
use crate::failure::Failure;
use crate::instance::Instance;

/// keepalived's exit code where its options cannot be understood.
const USAGE: u8 = 1;

/// The options of keepalived(8) that elver takes.
#[derive(Debug, Parser)]
#[command(
    name = "keepalived",
    version,
    about = "elver, with the options of keepalived"
)]
struct Options {
    /// The configuration file
    #[arg(short = 'f', long = "use-file", default_value = DEFAULT_FILE, value_name = "FILE")]
    file: PathBuf,
    /// Say what is wrong with the configuration, on standard error, and exit with 0, 4, 5 or 6
    #[arg(short = 't', long = "config-test", num_args = 0..=1, require_equals = true)]
    config_test: Option<Option<PathBuf>>,
    /// The name that lines with @NAME hold for [default: the host name's first part]
    #[arg(short = 'i', long = "config-id", value_name = "ID")]
    config_id: Option<String>,
    /// Stay in the foreground, which elver always does
    #[arg(short = 'n', long = "dont-fork")]
    dont_fork: bool,
    /// Log to the console, which elver always does
    #[arg(short = 'l', long = "log-console")]
    log_console: bool,
    /// Log more; ELVER_LOG=debug does the same
    #[arg(short = 'D', long = "log-detail")]
    log_detail: bool,
    /// Do not log by syslog, which elver never does
    #[arg(short = 'G', long = "no-syslog")]
    no_syslog: bool,
}

/// Whether a program of this name is to be keepalived.
pub(crate) fn is_meant_by(name: &OsStr) -> bool {
    Path::new(name).file_name() == Some(OsStr::new("keepalived"))
}

/// Runs keepalived with these arguments, the program's name not among them.
pub(crate) fn main(arguments: &[OsString], instance: &Instance) -> ExitCode {
    let name = OsString::from("keepalived");
    let options = match Options::try_parse_from(std::iter::once(&name).chain(arguments)) {
        Ok(options) => options,
        Err(error) => {
            // Where to print, and nowhere to say that this failed.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    let origin = Origin {
        file: options.file,
        config_id: options.config_id,
        instance: instance.clone(),
    };
    let result = match options.config_test {
        Some(_) => configuration::keepalived_test(&origin).map(ExitCode::from),
        None if !options.dont_fork => Err(Failure::Refused(
            "elver stays in the foreground: start it with --dont-fork, or by a service manager"
                .to_owned(),
        )),
        None => {
            let files = director::Files {
                origin,
                may_be_absent: false,
                settings: None,
            };
            director::run(files, director::Hook::Auto, instance).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        eprintln!("keepalived: {failure}");
        failure.exit_code()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn options_are_read_as_keepalived_does() {
        let options = Options::parse_from(["keepalived", "-nlt", "-f", "x.conf", "-i", "one"]);
        assert_eq!(options.config_test, Some(None));
        assert_eq!(options.file, Path::new("x.conf"));
        assert_eq!(options.config_id.as_deref(), Some("one"));
        assert!(is_meant_by(OsStr::new("/usr/sbin/keepalived")));
        assert!(!is_meant_by(OsStr::new("elver")));
    }
}
