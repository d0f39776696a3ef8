//! The processes of elver: what the binary is made of, and what its tests drive.
//!
//! One program for all of them: `command_line` says by which names, and `failure` with
//! which exit codes.

mod check_process;
mod command_line;
mod configuration;
mod control;
mod ctl;
mod data_plane;
mod director;
mod failure;
mod instance;
mod message_stream;
mod unload;
pub mod vrrp_process;

use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use clap::Parser;
use elver_sys::process;
use tracing_subscriber::EnvFilter;

use crate::command_line::{Command, CommandLine, Ctl, Part};
use crate::failure::Failure;
use crate::instance::Instance;

/// The program.
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    log_to_standard_error();
    let result = match line.command {
        Command::Run { file, which } => director::run(&file, &which.instance),
        Command::Check { file } => configuration::check(&file),
        Command::Ctl { request, which } => match request {
            Ctl::Status => ctl::status(&which.instance),
            Ctl::Reload => ctl::reload(&which.instance),
        },
        Command::Ipvsadm { .. } => unreachable!("merged later"),
        Command::Unload { which } => unload::run(&which.instance),
        Command::Process { part } => run_part(&part),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Said) {
                eprintln!("elver: {failure}");
            }
            failure.exit_code()
        }
    }
}

fn run_part(part: &Part) -> Result<(), Failure> {
    let socket = process::parent_socket().map_err(Failure::system(
        "this command is for a running director alone",
    ))?;
    match part {
        Part::Vrrp { which } => run_vrrp(&which.instance, socket),
        Part::Check { .. } => check_process::run(socket).map_err(Failure::system("check process")),
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

/// Log lines go to standard error, which service managers collect; `ELVER_LOG` says which,
/// in the language of `RUST_LOG`.
fn log_to_standard_error() {
    let filter = EnvFilter::try_from_env("ELVER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
