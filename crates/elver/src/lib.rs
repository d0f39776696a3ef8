//! The processes of elver: what the binary is made of, and what its tests drive.
//!
//! One program for all of them: `command_line` says by which names, and `failure` with
//! which exit codes.

mod background;
mod check_process;
mod client_certificate;
mod command_line;
mod completions;
mod configuration;
mod control;
mod conversation;
mod ctl;
mod data_plane;
mod director;
mod discovery;
mod failure;
mod firewall;
mod genhash;
mod instance;
mod ipvsadm;
mod keepalived;
mod log;
mod mailer;
mod manual;
mod message_stream;
mod migrate;
mod notify_fifos;
mod own_process;
mod real_server;
mod record;
mod scripts;
mod service_manager;
mod settings;
mod signals;
mod succession;
mod unload;
pub mod vrrp_process;

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use elver_sys::process;

use crate::command_line::{
    Command, CommandLine, Ctl, DEFAULT_FILE, DEFAULT_INSTANCE, INSTANCE, Lab, Part,
    RealServerCommand, Rehearsal,
};
use crate::configuration::Shown;
use crate::data_plane::Inventory;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::log::{Log, Process};

/// The program.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if let Some(program) = name.as_deref().and_then(ipvsadm::Program::from_path) {
        return match named_instance() {
            Ok(instance) => run_ipvsadm(program, &arguments.collect::<Vec<_>>(), &instance),
            Err(words) => {
                eprintln!("ipvsadm: {words}");
                ExitCode::FAILURE
            }
        };
    }
    if name.as_deref().is_some_and(keepalived::is_meant_by) {
        return match named_instance() {
            Ok(instance) => keepalived::main(&arguments.collect::<Vec<_>>(), &instance),
            Err(words) => {
                eprintln!("keepalived: {words}");
                ExitCode::FAILURE
            }
        };
    }
    if name.as_deref().is_some_and(genhash::is_meant_by) {
        let name = name.unwrap_or_default();
        return genhash::main(&name.to_string_lossy(), &arguments.collect::<Vec<_>>());
    }
    let line = CommandLine::parse();
    let instance = &line.instance;
    let _written = match &line.command {
        Command::Run { .. } => Some(Log::console().start(Process::Director)),
        // These begin to log when they know where, and have closed what they inherited.
        Command::Keepalived { .. }
        | Command::Process {
            part: Part::Vrrp { .. },
        } => None,
        // The check process has no thread before it has given its privileges up; nor has it
        // anything to say but why it ends.
        _ => {
            log::start_simply();
            None
        }
    };
    let origin = |file, config_id| configuration::Origin {
        file,
        config_id,
        instance: instance.clone(),
        all_includes: false,
    };
    let result = match line.command {
        Command::Run {
            file,
            config_id,
            settings,
            hook,
            docker,
        } => {
            let may_be_absent = file.is_none();
            let file = file.unwrap_or_else(|| DEFAULT_FILE.into());
            let files = director::Files {
                origin: origin(file, config_id),
                may_be_absent,
                settings,
                discovery: discovery::Asked { docker, vips: None },
            };
            director::run(
                files,
                hook,
                instance,
                director::Manner::foreground(),
                &mut || (),
            )
        }
        Command::Check {
            file,
            settings,
            explain,
            dump,
            json,
            config_id,
            peer,
            peer_config_id,
        } => {
            let peer = peer.map(|file| origin(file, peer_config_id));
            let origin = origin(file, config_id);
            let shown = match dump {
                _ if json => Shown::Json,
                _ if explain => Shown::Explanation,
                Some(form) => Shown::Dump(form),
                None => Shown::Summary,
            };
            configuration::check(&origin, settings.as_deref(), peer.as_ref(), shown)
        }
        Command::Keepalived { arguments } => return keepalived::main(&arguments, instance),
        Command::Genhash { arguments } => return genhash::main("genhash", &arguments),
        Command::Ctl { request } => match request {
            Ctl::Upgrade => ctl::upgrade(instance),
            Ctl::Status => ctl::status(instance),
            Ctl::Metrics => ctl::metrics(instance),
            Ctl::Reload => ctl::reload(instance),
            Ctl::Drain {
                which,
                deadline,
                no_wait,
            } => {
                let deadline = deadline.map(std::time::Duration::from_secs);
                ctl::drain(which, deadline, !no_wait, instance)
            }
            Ctl::Undrain { which } => ctl::undrain(which, instance),
            Ctl::Diff { file } => ctl::difference(&file, instance),
        },
        Command::Ipvsadm { arguments } => {
            return run_ipvsadm(ipvsadm::Program::Ipvsadm, &arguments, instance);
        }
        Command::IpvsadmSave { arguments } => {
            return run_ipvsadm(ipvsadm::Program::Save, &arguments, instance);
        }
        Command::IpvsadmRestore { arguments } => {
            return run_ipvsadm(ipvsadm::Program::Restore, &arguments, instance);
        }
        Command::Man { folder } => manual::write(&folder),
        Command::Completions { shell, program } => completions::write(shell, program),
        Command::Migrate {
            file,
            apply,
            within,
        } => {
            let within = apply.then(|| std::time::Duration::from_secs(within));
            migrate::run(file, within, instance)
        }
        Command::Unload => unload::run(instance),
        Command::RealServer { sources, command } => match command {
            None => real_server::run(&sources, instance),
            Some(RealServerCommand::Check) => real_server::check(&sources, instance),
            Some(RealServerCommand::Status) => real_server::status(instance),
            Some(RealServerCommand::Unload) => real_server::unload(instance),
        },
        Command::Lab { rehearsal, lab } => run_lab(&rehearsal, lab.as_ref(), instance),
        Command::Process { part } => run_part(&part, instance),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Said | Failure::Told { .. }) {
                eprintln!("elver: {failure}");
            }
            failure.exit_code()
        }
    }
}

/// The instance of a program that is started by another name and has other options.
fn named_instance() -> Result<Instance, String> {
    let name = std::env::var(INSTANCE).unwrap_or_else(|_| DEFAULT_INSTANCE.to_owned());
    name.parse()
        .map_err(|error| format!("{INSTANCE}={name}: {error}"))
}

fn run_ipvsadm(program: ipvsadm::Program, arguments: &[OsString], instance: &Instance) -> ExitCode {
    let name = instance.name();
    let open = || -> Result<Box<dyn ipvsadm::Reader>, String> {
        match Inventory::open(instance) {
            Ok(inventory) => Ok(Box::new(inventory)),
            Err(error) => Err(error.to_string()),
        }
    };
    let instance = ipvsadm::Instance {
        name,
        control_socket: instance.control_socket(),
        open: &open,
    };
    ipvsadm::main(program, arguments, instance)
}

fn run_lab(rehearsal: &Rehearsal, lab: Option<&Lab>, instance: &Instance) -> Result<(), Failure> {
    let elver = std::env::current_exe().map_err(Failure::system("finding this program"))?;
    let Some(lab) = lab else {
        return rehearse(rehearsal, &elver, instance);
    };
    let outcome = match *lab {
        Lab::Nat { once } => elver_lab::nat::run(elver_lab::nat::Options { once }, &elver),
        Lab::Tun { once } => elver_lab::tun::run(once, &elver),
        Lab::Dr { once } => elver_lab::direct_routing::run(once, &elver),
        Lab::Docker { once } => elver_lab::docker::run(once, &elver),
    };
    outcome.map_err(|error| Failure::Lab(error.to_string()))
}

/// Tries a configuration out in the network that it speaks of.
fn rehearse(rehearsal: &Rehearsal, elver: &Path, instance: &Instance) -> Result<(), Failure> {
    director::permission()?;
    let file = rehearsal
        .file
        .clone()
        .unwrap_or_else(|| DEFAULT_FILE.into());
    let file = file.canonicalize().unwrap_or(file);
    let origin = configuration::Origin {
        file: file.clone(),
        config_id: rehearsal.config_id.clone(),
        instance: instance.clone(),
        all_includes: false,
    };
    // As at a start, where nothing is in force yet.
    let (told, errors) = (
        configuration::Told::OnConsole,
        configuration::Errors::LeftOut,
    );
    let configuration = configuration::load(&origin, told, errors)?;
    let topology = elver_core::topology::plan(&configuration);
    let options = elver_lab::rehearsal::Options {
        file,
        config_id: rehearsal.config_id.clone(),
        once: rehearsal.once,
        json: rehearsal.json,
    };
    match elver_lab::rehearsal::run(&options, &topology, elver) {
        Ok(true) => Ok(()),
        // The report has said which.
        Ok(false) => Err(Failure::Said),
        Err(error) => Err(Failure::Lab(error.to_string())),
    }
}

fn run_part(part: &Part, instance: &Instance) -> Result<(), Failure> {
    let socket = process::parent_socket().map_err(Failure::system(
        "this command is for a running director alone",
    ))?;
    let name = match part {
        Part::Vrrp { .. } => vrrp_process::NAME,
        Part::Check => check_process::NAME,
    };
    process::set_name(name).map_err(Failure::system("the name of this process"))?;
    match part {
        Part::Vrrp { log } => {
            let log = log.clone().unwrap_or_else(Log::console);
            let _written = log.start(Process::Vrrp);
            run_vrrp(instance, socket)
        }
        Part::Check => check_process::run(socket).map_err(Failure::system("check process")),
    }
}

/// Runs the vrrp process once every other of the instance has ended: one whose director
/// was killed may still be withdrawing the addresses that this one is to take.
fn run_vrrp(instance: &Instance, socket: UnixStream) -> Result<(), Failure> {
    let lock = instance
        .lock_vrrp()
        .map_err(Failure::system("waiting for another vrrp process to end"))?;
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?
        .block_on(vrrp_process::run(socket));
    drop(lock);
    if ended == ExitCode::SUCCESS {
        Ok(())
    } else {
        Err(Failure::Said)
    }
}
