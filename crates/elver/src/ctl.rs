//! `elver ctl`: talking to a running director.

use std::io::{self, Write};
use std::path::Path;

use elver_core::api::{Request, Response, Status};
use elver_core::metrics::{self, Snapshot};
use elver_sys::bpf::BpfError;

use crate::configuration;
use crate::control;
use crate::data_plane::Inventory;
use crate::failure::Failure;
use crate::instance::Instance;

/// Makes the director read its file again.
pub(crate) fn reload(instance: &Instance) -> Result<(), Failure> {
    match control::ask(instance, &Request::Reload)? {
        Response::Done => Ok(()),
        other => Err(refused(other)),
    }
}

/// Prints what monitoring asks for: what the pinned maps tell, and what the director knows
/// beside that, if it answers.
pub(crate) fn metrics(instance: &Instance) -> Result<(), Failure> {
    let inventory = Inventory::open(instance).map_err(|error| match error {
        BpfError::NotLoaded(_) => Failure::NotRunning {
            instance: instance.clone(),
            error: io::Error::other(error),
        },
        other => other.into(),
    })?;
    let director = match control::ask(instance, &Request::Status) {
        Ok(Response::Status(status)) => Some(status),
        _ => None,
    };
    let snapshot = Snapshot {
        services: inventory.services(),
        packets: inventory.outcomes(),
        tables: inventory.table_use(),
        director,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = metrics::write(&mut out, &snapshot).and_then(|()| out.flush());
    written.map_err(Failure::system("output"))
}

/// Shows what a reload would change if `file` were the configuration.
pub(crate) fn difference(file: &Path, instance: &Instance) -> Result<(), Failure> {
    // What there is to say about the file is said here, where it is asked for.
    let origin = configuration::Origin {
        file: file.to_owned(),
        config_id: None,
        instance: instance.clone(),
    };
    configuration::load(&origin)?;
    let path = std::path::absolute(file).map_err(Failure::system(file.display().to_string()))?;
    match control::ask(instance, &Request::Difference(path))? {
        Response::Difference(lines) if lines.is_empty() => {
            println!("A reload would change nothing.");
            Ok(())
        }
        Response::Difference(lines) => {
            let mut out = io::stdout().lock();
            let write = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
            write.map_err(Failure::system("output"))
        }
        other => Err(refused(other)),
    }
}

/// Shows what runs.
pub(crate) fn status(instance: &Instance) -> Result<(), Failure> {
    match control::ask(instance, &Request::Status)? {
        Response::Status(status) => {
            write_status(&mut io::stdout().lock(), &status).map_err(Failure::system("output"))
        }
        other => Err(refused(other)),
    }
}

fn refused(response: Response) -> Failure {
    Failure::Refused(match response {
        Response::Failed(words) => words,
        Response::Done | Response::Edited(_) | Response::Difference(_) | Response::Status(_) => {
            "the director answered something else".to_owned()
        }
    })
}

fn write_status(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let Status {
        instances,
        checks,
        processes,
        devices,
        packets,
    } = status;
    writeln!(out, "Processes")?;
    for (role, id) in processes {
        writeln!(out, "  {role:<24} {id}")?;
    }
    writeln!(out, "Devices")?;
    for (device, kind) in devices {
        writeln!(out, "  {device:<24} {kind}")?;
    }
    writeln!(out, "VRRP instances")?;
    for (instance, state) in instances {
        writeln!(out, "  {instance:<24} {state}")?;
    }
    writeln!(out, "Real servers")?;
    for check in checks {
        let health = if check.up { "up" } else { "down" };
        let detail = if check.detail.is_empty() {
            "not checked yet"
        } else {
            &check.detail
        };
        writeln!(
            out,
            "  {:<24} {:<24} {health:<5} {detail}",
            check.service, check.real_server
        )?;
    }
    writeln!(out, "Packets")?;
    for (outcome, count) in packets {
        writeln!(out, "  {outcome:<24} {count}")?;
    }
    Ok(())
}
