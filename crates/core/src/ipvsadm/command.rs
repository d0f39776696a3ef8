//! From the words of a command line to what is to be done.

use super::Names;
use super::draft::{Draft, sync_role, timeout};
use super::options::{CommandName, Meaning};
use super::popt::{ScanError, Scanner};
use crate::service::{Edit, ServiceKey, Timeouts};

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Version,
    List(Listing, Format),
    Save {
        numeric: bool,
    },
    Restore,
    Edit(Edit),
    /// To add a service, or with `existing` to edit one, by a scheduler or persistence
    /// engine that there is not.
    EditByUnknownScheduler {
        service: ServiceKey,
        existing: bool,
    },
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    AllServices,
    Service(ServiceKey),
    Connections,
    Timeouts,
    SyncDaemons,
}

/// How services or connections are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) numeric: bool,
    pub(super) columns: Columns,
    pub(super) sorted: bool,
    pub(super) exact: bool,
}

/// What is told of a service and its destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    Ordinary,
    Statistics,
    Rates,
    Thresholds,
    PersistentConnections,
    Tunnels,
}

impl Default for Format {
    fn default() -> Self {
        Format {
            numeric: false,
            columns: Columns::Ordinary,
            sorted: true,
            exact: false,
        }
    }
}

/// Why a command line is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// What is said, without the end of its last line.
    pub(super) message: String,
    /// The exit status.
    pub(super) status: u8,
    /// Whether a restore ends here, or goes on with the next line.
    pub(super) ends_restore: bool,
}

impl Complaint {
    /// A mistake that ipvsadm finds by itself.
    pub(super) fn usage(message: impl Into<String>) -> Complaint {
        Complaint {
            message: message.into(),
            status: 2,
            ends_restore: true,
        }
    }

    /// No command, or one where none can be.
    pub(super) fn try_help(program: &str) -> Complaint {
        Complaint {
            message: format!("Try `{program} -h' or '{program} --help' for more information."),
            status: 255,
            ends_restore: true,
        }
    }

    /// A word that popt does not understand.
    fn scan(scanner: &Scanner<'_>, error: ScanError) -> Complaint {
        Complaint {
            message: format!("{}: {error}", scanner.last_word()),
            status: 255,
            ends_restore: false,
        }
    }
}

/// Reads a command line without the program's name. `program` is what messages call it.
pub(super) fn parse(
    words: &[String],
    program: &str,
    names: &dyn Names,
) -> Result<Command, Complaint> {
    let mut scanner = Scanner::new(words);
    let (spelling, argument) = match scanner.next_option() {
        Some(Ok(first)) => first,
        Some(Err(_)) | None => return Err(Complaint::try_help(program)),
    };
    let mut draft = Draft::new(names);
    let command = match spelling.meaning {
        Meaning::Command(command) => command,
        Meaning::Help => return Ok(Command::Help),
        Meaning::Version => return Ok(Command::Version),
        _ => return Err(Complaint::try_help(program)),
    };
    match command {
        CommandName::StartDaemon => {
            draft.sync_role = sync_role(argument, "illegal start-daemon parameter specified")?;
        }
        CommandName::StopDaemon => {
            draft.sync_role = sync_role(argument, "illegal start_daemon specified")?;
        }
        _ => {}
    }
    while let Some(option) = scanner.next_option() {
        let (spelling, argument) = option.map_err(|error| Complaint::scan(&scanner, error))?;
        draft.take(spelling, argument, scanner.last_word())?;
    }

    let mut operands = scanner.operands();
    if command == CommandName::Set {
        let Some(([tcp, tcp_fin, udp], rest)) = operands.split_first_chunk() else {
            return Err(Complaint::usage("--set option requires 3 timeout values"));
        };
        draft.timeouts = Timeouts {
            tcp: timeout(tcp, 0)?,
            tcp_fin: timeout(tcp_fin, 0)?,
            udp: timeout(udp, 0)?,
        };
        operands = rest;
    }
    if let Some(operand) = operands.first() {
        return Err(Complaint::usage(format!("unexpected argument {operand}")));
    }
    draft.read_scheduler_flags()?;
    command.check(draft.given).map_err(Complaint::usage)?;
    draft.finish(command)
}
