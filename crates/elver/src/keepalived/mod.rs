//! `keepalived`, by its own name and options, for scripts and units that call it.

mod options;

use std::ffi::{CStr, OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use elver_sys::process;

use self::options::{Options, Wish};
use crate::background::{self, Side, Starter};
use crate::configuration::{self, Origin};
use crate::director::{self, Files, Hook, LeftOut, Manner, PidFiles};
use crate::failure::Failure;
use crate::genhash;
use crate::instance::Instance;
use crate::log::{Log, Process};
use crate::signals;
use crate::succession::Predecessor;

pub(crate) use self::options::command;

/// What the director is called in the kernel's list of processes.
const NAME: &CStr = c"keepalived";

/// keepalived's exit code where its options cannot be understood.
const USAGE: u8 = 1;
/// And where the configuration cannot be used.
const BAD_CONFIGURATION: u8 = 2;
/// And where it is not there.
const NO_CONFIGURATION: u8 = 6;

/// Whether a program of this name is to be keepalived.
pub(crate) fn is_meant_by(name: &OsStr) -> bool {
    Path::new(name).file_name() == Some(OsStr::new("keepalived"))
}

/// Runs keepalived with these arguments, the program's name not among them.
pub(crate) fn main(arguments: &[OsString], instance: &Instance) -> ExitCode {
    let wish = match options::parse(arguments) {
        Ok(wish) => wish,
        Err(complaint) => {
            eprintln!("{complaint}");
            return ExitCode::from(USAGE);
        }
    };
    match wish {
        Wish::Version => {
            eprint!("{}", version());
            ExitCode::SUCCESS
        }
        Wish::Help => {
            eprint!("{}", options::help());
            ExitCode::SUCCESS
        }
        Wish::Signal(function) => match signal(&function) {
            Some(number) => {
                println!("{number}");
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("Unknown sigfunc {function}");
                ExitCode::from(USAGE)
            }
        },
        Wish::Genhash(arguments) => genhash::main("genhash", &arguments),
        Wish::Run(options) => {
            for complaint in &options.complaints {
                eprintln!("{complaint}");
            }
            if !options.unexpected.is_empty() {
                println!("Unexpected argument(s): {} ", options.unexpected.join(" "));
            }
            run(*options, instance).unwrap_or_else(|failure| {
                if !matches!(failure, Failure::Said) {
                    eprintln!("keepalived: {failure}");
                }
                ExitCode::from(exit_code(&failure))
            })
        }
    }
}

/// What a run with these arguments reads its configuration from.
pub(crate) fn origin(arguments: &[OsString], instance: &Instance) -> Origin {
    let options = match options::parse(arguments) {
        Ok(Wish::Run(options)) => *options,
        // It runs with them, so they can be understood, by a newer keepalived at least.
        _ => Options::default(),
    };
    options.origin(instance)
}

/// Whether a run with these arguments stays in the foreground.
pub(crate) fn is_foreground(arguments: &[OsString]) -> bool {
    matches!(options::parse(arguments), Ok(Wish::Run(options)) if options.foreground)
}

/// What `keepalived --version` says: the version that scripts look for is that of the
/// keepalived whose place this takes, and elver's own stands behind it.
fn version() -> String {
    let system = rustix::system::uname();
    format!(
        "Keepalived v{} (elver {})\n\nRunning on {} {} {}\n",
        LIKE,
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.version().to_string_lossy(),
    )
}

/// The version of keepalived whose behaviour this program has.
const LIKE: &str = "2.2.7";

/// The number of the signal that makes keepalived do something, by keepalived's word for it.
fn signal(function: &str) -> Option<i32> {
    Some(match function {
        "STOP" => libc::SIGTERM,
        "RELOAD" => libc::SIGHUP,
        "DATA" => libc::SIGUSR1,
        "STATS" => libc::SIGUSR2,
        "STATS_CLEAR" => signals::statistics_once(),
        "JSON" => signals::json(),
        _ => return None,
    })
}

/// keepalived's exit code where it has one for this failure.
fn exit_code(failure: &Failure) -> u8 {
    match failure {
        Failure::ConfigurationUnreadable { .. } => NO_CONFIGURATION,
        Failure::ConfigurationUnusable { .. } | Failure::SettingsUnusable { .. } => {
            BAD_CONFIGURATION
        }
        // keepalived(8): who starts it a second time has what they want.
        Failure::AlreadyRunning { .. } => 0,
        other => other.code(),
    }
}

fn run(options: Options, instance: &Instance) -> Result<ExitCode, Failure> {
    let origin = options.origin(instance);
    if let Some(mask) = options.umask {
        process::set_umask(mask);
    }
    if let Some(name) = &options.namespace {
        director::enter_namespace(name)?;
    }
    if let Some(report) = &options.config_test {
        let mut output: Box<dyn Write> = match report {
            Some(path) => Box::new(
                std::fs::File::create(path).map_err(Failure::system(path.display().to_string()))?,
            ),
            None => Box::new(io::stderr()),
        };
        let code = configuration::keepalived_test(&origin, &mut output)?;
        return Ok(ExitCode::from(code));
    }
    if options.core_dump {
        process::permit_core_dumps().map_err(Failure::system("permitting core dumps"))?;
    }
    if let Some(pattern) = &options.core_pattern {
        let path = "/proc/sys/kernel/core_pattern";
        std::fs::write(path, pattern).map_err(Failure::system(path))?;
    }
    // pgrep and killall look for this name, however the program was started.
    process::set_name(NAME).map_err(Failure::system("the name of this process"))?;
    if options.foreground {
        return serve(origin, &options, None, instance);
    }
    // While whoever typed this is there to read it.
    let configuration = configuration::load(
        &origin,
        configuration::Told::OnConsole,
        configuration::Errors::LeftOut,
    )?;
    if Predecessor::is_there(&director::named(&configuration, instance)) {
        return serve(origin, &options, None, instance);
    }
    match background::go()? {
        Side::Daemon(starter) => serve(origin, &options, Some(starter), instance),
        Side::Started { code, words } => {
            if !words.is_empty() {
                eprintln!("keepalived: {words}");
            }
            Ok(ExitCode::from(code))
        }
    }
}

/// Runs a director as the options say.
fn serve(
    origin: Origin,
    options: &Options,
    mut starter: Option<Starter>,
    instance: &Instance,
) -> Result<ExitCode, Failure> {
    let log = Log {
        console: options.log_console,
        system: options.log_system.then_some(options.log_facility),
        file: options.log_file.clone(),
        detail: options.log_detail,
    };
    let written = log.start(Process::Director);
    let [vrrp_alone, checks_alone] = [options.vrrp_alone, options.checks_alone];
    let manner = Manner {
        log,
        // With both, keepalived runs both.
        left_out: LeftOut {
            vrrp: checks_alone && !vrrp_alone,
            virtual_servers: vrrp_alone && !checks_alone,
            bfd: options.no_bfd,
        },
        dump: options.dump,
        respawn: options.respawn,
        keep_addresses: options.keep_addresses,
        keep_services: options.keep_services,
        report_addresses: options.report_addresses,
        pid_files: pid_files(options),
        process_name: NAME.to_owned(),
        is_in_namespace: options.namespace.is_some(),
        predecessor: None,
        of_real_server: false,
    };
    let files = Files {
        origin,
        may_be_absent: options.file.is_none() && options.foreground,
        settings: None,
        discovery: Default::default(),
    };
    let mut ready = || {
        if let Some(starter) = starter.take() {
            starter.ready();
        }
    };
    let result = director::run(files, Hook::Auto, instance, manner, &mut ready);
    if let Err(failure) = &result {
        if !options.log_console {
            tracing::error!("{failure}");
        }
        if let Some(starter) = starter {
            starter.failed(&failure.to_string(), exit_code(failure));
        }
    }
    drop(written);
    result.map(|()| ExitCode::SUCCESS)
}

/// Where keepalived's pid files are: by default where Debian's keepalived has them.
fn pid_files(options: &Options) -> PidFiles {
    let or = |named: &Option<PathBuf>, name: &str| {
        let default = || Path::new("/run").join(name);
        Some(named.clone().unwrap_or_else(default))
    };
    PidFiles {
        director: or(&options.pid_file, "keepalived.pid"),
        vrrp: [
            or(&options.vrrp_pid_file, "vrrp.pid"),
            options.bfd_pid_file.clone(),
        ],
        check: or(&options.check_pid_file, "checkers.pid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_meant_by_its_name_in_any_folder() {
        assert!(is_meant_by(OsStr::new("/usr/sbin/keepalived")));
        assert!(!is_meant_by(OsStr::new("elver")));
    }

    #[test]
    fn signals_have_the_numbers_that_keepalived_names() {
        assert_eq!(signal("STOP"), Some(15));
        assert_eq!(signal("RELOAD"), Some(1));
        assert_eq!(signal("DATA"), Some(10));
        assert_eq!(signal("STATS"), Some(12));
        assert_eq!(signal("STATS_CLEAR"), Some(63));
        assert_eq!(signal("JSON"), Some(36));
        assert_eq!(signal("data"), None);
    }
}
