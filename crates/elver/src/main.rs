//! elver: the Linux Virtual Server in Rust and eBPF.
//!
//! One program with many names for its parts: see [`command_line`]. Exit codes are in
//! [`failure`].

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

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use elver_sys::process;
use tracing_subscriber::EnvFilter;

use crate::command_line::{Command, CommandLine, Ctl, Part};
use crate::failure::Failure;

fn main() -> ExitCode {
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
            eprintln!("elver: {failure}");
            failure.exit_code()
        }
    }
}

fn run_part(part: &Part) -> Result<(), Failure> {
    let socket = process::parent_socket().map_err(Failure::system(
        "this command is for a running director alone",
    ))?;
    match part {
        Part::Vrrp { .. } => unreachable!("merged later"),
        Part::Check { .. } => check_process::run(socket).map_err(Failure::system("check process")),
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
