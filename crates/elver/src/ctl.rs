//! `elver ctl`: talking to a running director.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use elver_core::api::{Request, Response, Status};
use elver_core::lb::RealServerPattern;
use elver_core::metrics::{self, Snapshot};
use elver_sys::bpf::BpfError;

use crate::configuration;
use crate::control;
use crate::data_plane::Inventory;
use crate::failure::Failure;
use crate::instance::Instance;

/// How long a program may take to be in another's place.
const TAKE_OVER: Duration = Duration::from_secs(30);
/// How often it is looked for until then.
const LOOK_FOR_SUCCESSOR: Duration = Duration::from_millis(50);
/// How often a drain is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Makes the director read its file again.
pub(crate) fn reload(instance: &Instance) -> Result<(), Failure> {
    carry_out(&Request::Reload, instance)
}

/// Lets the program that is installed now take the director's place, and waits until it answers.
pub(crate) fn upgrade(instance: &Instance) -> Result<(), Failure> {
    match control::ask(instance, &Request::Upgrade) {
        Ok(Response::Failed(words)) => return Err(Failure::Refused(words)),
        Err(failure @ Failure::NotRunning { .. }) => return Err(failure),
        // The end of the conversation is that of the old program.
        _ => {}
    }
    let deadline = Instant::now() + TAKE_OVER;
    loop {
        match control::ask(instance, &Request::Status) {
            Ok(_) => return Ok(()),
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(_) => std::thread::sleep(LOOK_FOR_SUCCESSOR),
        }
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
        all_includes: false,
    };
    configuration::load(
        &origin,
        configuration::Told::OnConsole,
        configuration::Errors::Forbid,
    )?;
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

/// Drains real servers; if so told, until they have no connection left or the deadline has
/// come.
pub(crate) fn drain(
    which: RealServerPattern,
    deadline: Option<Duration>,
    wait: bool,
    instance: &Instance,
) -> Result<(), Failure> {
    carry_out(&Request::Drain { which, deadline }, instance)?;
    if !wait {
        return Ok(());
    }
    let mut shown = None;
    loop {
        let status = match control::ask(instance, &Request::Status)? {
            Response::Status(status) => status,
            other => return Err(refused(other)),
        };
        let mut drains = status.drains.iter();
        let Some(drain) = drains.find(|drain| drain.which == which) else {
            println!("{which}: not drained any more");
            return Ok(());
        };
        if drain.is_over {
            println!("{which}: taken out at the deadline");
            return Ok(());
        }
        if shown != Some(drain.connections) {
            println!("{which}: {} connections left", drain.connections);
            shown = Some(drain.connections);
        }
        if drain.connections == 0 {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Lets real servers that were drained serve again.
pub(crate) fn undrain(which: RealServerPattern, instance: &Instance) -> Result<(), Failure> {
    carry_out(&Request::Undrain(which), instance)
}

fn carry_out(request: &Request, instance: &Instance) -> Result<(), Failure> {
    match control::ask(instance, request)? {
        Response::Done => Ok(()),
        other => Err(refused(other)),
    }
}

/// Why a director did not do what it was asked for.
pub(crate) fn refused(response: Response) -> Failure {
    Failure::Refused(match response {
        Response::Failed(words) => words,
        _ => "the director answered something else".to_owned(),
    })
}

fn write_status(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let Status {
        instances,
        checks,
        processes,
        devices,
        endings,
        drains,
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
    if !endings.is_empty() {
        writeln!(out, "Connections that have ended")?;
    }
    for ending in endings {
        writeln!(
            out,
            "  {:<24} {} in order, {} unanswered, {} reset",
            ending.real_server.to_string(),
            ending.completed,
            ending.unanswered,
            ending.reset
        )?;
    }
    if !drains.is_empty() {
        writeln!(out, "Drained real servers")?;
    }
    for drain in drains {
        let over = if drain.is_over { "taken out, " } else { "" };
        writeln!(
            out,
            "  {:<24} {over}{} connections left",
            drain.which.to_string(),
            drain.connections
        )?;
    }
    writeln!(out, "Packets")?;
    for (outcome, count) in packets {
        writeln!(out, "  {outcome:<24} {count}")?;
    }
    Ok(())
}
