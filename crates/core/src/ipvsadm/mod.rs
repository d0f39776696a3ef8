//! ipvsadm: its command line, its messages, its lists and its exit statuses, byte for byte
//! those of ipvsadm 1.31 as Debian 12 has it.
//!
//! [`run`] reads a command line and carries it out on a [`Table`]. It does no input or output
//! by itself: what it reads and writes is handed to it in a [`Session`].
//!
//! ```text
//! words ──popt──▶ options ──draft──▶ Command ─┬─ Edit ──────────────▶ Table::edit
//!          (options: the one table)           ├─ List ──order──list──▶ output
//!           (rules: what goes together)       └─ Restore ──restore──▶ words …
//! ```
//!
//! # Differences
//!
//! - The program calls itself `ipvsadm` in its messages, whatever the path that it is started
//!   by: it has several.
//! - `-b ,`, a list of no flags, is refused like an unknown flag. The original crashes.
//! - `-s none`, a service that cannot be used, is refused as a scheduler that there is not.
//! - popt's `!#:+`, and its other order of words under `POSIXLY_CORRECT`, are not known.
//! - `ipvsadm-restore` tells which line failed, after the original's words for why.
//! - Where the table cannot be reached, the words after "Can't initialize ipvs:" are elver's
//!   own, except for a user who is not root. `-h`, `-v` and mistakes in the command line need
//!   no table.
//! - The original compares addresses by a signed difference, which can go round in a circle:
//!   three or more addresses, each "less" than the next and the last than the first. Then the
//!   order of a list depends on the order before sorting, which in the kernel is that of its
//!   hash tables and differs from boot to boot.

mod command;
mod draft;
mod help;
mod kernel_connections;
mod list;
mod manual;
mod notation;
mod options;
mod order;
mod popt;
mod restore;
mod rules;

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};

use crate::api::MOST_EDITS;
use crate::service::{
    ConnectionState, Edit, EditError, Protocol, ServiceKey, ServiceState, SyncDaemon, Timeouts,
};
use command::{Command, Complaint, Format, Listing};
use restore::{Rule, Rules};

pub use kernel_connections::kernel_connections;
pub use manual::{OptionSummary, manual, options};

/// The director's table of services, as far as ipvsadm reads and changes it.
pub trait Table {
    /// Every service, in no particular order, with its destinations newest first.
    fn services(&mut self) -> Result<Vec<ServiceState>, Unavailable>;

    /// One service.
    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceState>, Unavailable> {
        let services = self.services()?;
        Ok(services.into_iter().find(|service| service.key == *key))
    }

    /// Every connection, one after the other.
    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = ConnectionState> + '_>, Unavailable>;

    /// The timeouts of connections.
    fn timeouts(&mut self) -> Result<Timeouts, Unavailable>;

    /// The sync daemons that run.
    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Unavailable>;

    /// Makes changes, one after the other, each of which may be refused by itself. Gives for
    /// each why, if it was.
    fn edit(&mut self, edits: &[Edit]) -> Result<Vec<Option<EditError>>, Unavailable>;
}

/// The table cannot be read or changed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Can't initialize ipvs: {reason}\n{remedy}")]
pub struct Unavailable {
    /// What is wrong.
    pub reason: String,
    /// What can be done about it.
    pub remedy: String,
}

/// Names of hosts and ports.
pub trait Names {
    /// The IPv4 address of a host (`gethostbyname`).
    fn host_to_address(&self, name: &str) -> Option<Ipv4Addr>;
    /// The name of an address (`gethostbyaddr`).
    fn address_to_host(&self, address: IpAddr) -> Option<String>;
    /// The port of a service of /etc/services (`getservbyname`).
    fn service_to_port(&self, name: &str, protocol: Protocol) -> Option<u16>;
    /// The service of a port (`getservbyport`).
    fn port_to_service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// What a run of ipvsadm has to do with the world.
pub struct Session<'a> {
    /// The program's name in messages: `ipvsadm`.
    pub program: &'a str,
    /// Whether root runs it. Without, nothing is done, not even `-h`.
    pub privileged: bool,
    /// The table of services.
    pub table: &'a mut dyn Table,
    /// Names of hosts and ports.
    pub names: &'a dyn Names,
    /// Standard input, which only `-R` reads.
    pub input: &'a mut dyn BufRead,
    /// Standard output.
    pub output: &'a mut dyn Write,
    /// Standard error.
    pub errors: &'a mut dyn Write,
}

/// Exit status after a kernel's refusal: -1 in eight bits.
const REFUSED: u8 = 255;
/// Exit status where a service to be listed does not exist.
const NOT_LISTED: u8 = 1;
/// Exit status where the table cannot be reached.
const UNAVAILABLE: u8 = 2;

/// Carries out a command line, given without the program's name. Gives the exit status.
///
/// # Errors
/// Output that could not be written.
pub fn run(words: &[String], session: &mut Session<'_>) -> io::Result<u8> {
    if !session.privileged {
        return session.refuse_unprivileged();
    }
    let (mut execution, input) = session.split();
    let end = if words.is_empty() {
        execution.list(Listing::AllServices, Format::default())?
    } else {
        execution.process(words, Some(input))?
    };
    Ok(end.status())
}

/// `ipvsadm-save`: writes the rules; `-n` in numbers.
///
/// # Errors
/// Output that could not be written.
pub fn save(words: &[String], session: &mut Session<'_>) -> io::Result<u8> {
    if words
        .iter()
        .any(|word| word.starts_with('-') && word != "-n")
    {
        writeln!(
            session.errors,
            "ipvsadm-save: Script to save the IPVS table to stdout.\n   \
             With the -n option, prints out the table in numeric format."
        )?;
        return Ok(NOT_LISTED);
    }
    if !session.privileged {
        return session.refuse_unprivileged();
    }
    let numeric = words.iter().any(|word| word == "-n");
    let (mut execution, _) = session.split();
    Ok(execution.save(numeric)?.status())
}

/// `ipvsadm-restore`: clears the table and makes it from the rules on standard input, where
/// lines that begin with `#` are comments. Unlike `-R` it says which line failed.
///
/// # Errors
/// Input that could not be read, before anything is cleared; output that could not be written.
pub fn restore(session: &mut Session<'_>) -> io::Result<u8> {
    if !session.privileged {
        return session.refuse_unprivileged();
    }
    let (mut execution, input) = session.split();
    let mut rules = Vec::new();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        // An empty line in the place of a comment keeps the numbers of those after it.
        if line.first() != Some(&b'#') {
            rules.extend_from_slice(line.trim_ascii_end());
        }
        rules.push(b'\n');
        line.clear();
    }
    match execution.edit(Edit::Flush)? {
        End::Exit(status) => Ok(status),
        End::Done(_) => {
            let end = execution.restore(&mut rules.as_slice(), LineNumbers::Told)?;
            Ok(end.status())
        }
    }
}

/// What `ipvsadm-save -n` writes of services.
pub fn rules(services: Vec<ServiceState>) -> String {
    let mut rules = Vec::new();
    // Nothing is ever wrong with memory.
    let _ = list::write_rules(&mut rules, services, true, &Nameless);
    String::from_utf8_lossy(&rules).into_owned()
}

/// A world in which nothing has a name.
struct Nameless;

impl Names for Nameless {
    fn host_to_address(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }

    fn address_to_host(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn service_to_port(&self, _: &str, _: Protocol) -> Option<u16> {
        None
    }

    fn port_to_service(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}

/// How a command line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With this exit status; a restore goes on with its next line.
    Done(u8),
    /// With this exit status, a restore too.
    Exit(u8),
}

impl End {
    fn status(self) -> u8 {
        match self {
            End::Done(status) | End::Exit(status) => status,
        }
    }
}

/// Whether a restore says which line failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineNumbers {
    Told,
    Untold,
}

/// A [`Session`] without its input, which only one of all the commands in it reads.
struct Execution<'a> {
    program: &'a str,
    table: &'a mut dyn Table,
    names: &'a dyn Names,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
}

impl Session<'_> {
    /// The words of the original: scripts look for them.
    fn refuse_unprivileged(&mut self) -> io::Result<u8> {
        let unavailable = Unavailable {
            reason: "Permission denied (you must be root)".to_owned(),
            remedy: "Are you sure that IP Virtual Server is built in the kernel or as module?"
                .to_owned(),
        };
        writeln!(self.errors, "{unavailable}")?;
        Ok(UNAVAILABLE)
    }

    fn split(&mut self) -> (Execution<'_>, &mut dyn BufRead) {
        let execution = Execution {
            program: self.program,
            table: self.table,
            names: self.names,
            output: self.output,
            errors: self.errors,
        };
        (execution, self.input)
    }
}

impl Execution<'_> {
    /// Carries out one command line.
    fn process(&mut self, words: &[String], input: Option<&mut dyn BufRead>) -> io::Result<End> {
        let command = command::parse(words, self.program, self.names);
        self.carry_out(command, input)
    }

    /// Carries out a command. One of a rule that is restored comes without an input.
    fn carry_out(
        &mut self,
        command: Result<Command, Complaint>,
        input: Option<&mut dyn BufRead>,
    ) -> io::Result<End> {
        let command = match command {
            Ok(command) => command,
            Err(complaint) => return self.complain(&complaint),
        };
        match command {
            Command::Help => {
                help::write_help(self.output, self.program)?;
                Ok(End::Exit(0))
            }
            Command::Version => {
                help::write_version(self.output)?;
                Ok(End::Exit(0))
            }
            Command::List(listing, format) => self.list(listing, format),
            Command::Save { numeric } => self.save(numeric),
            Command::Restore => match input {
                Some(input) => self.restore(input, LineNumbers::Untold),
                None => self.complain(&Complaint::try_help(self.program)),
            },
            Command::Edit(edit) => self.edit(edit),
            Command::EditByUnknownScheduler { service, existing } => {
                self.refuse_scheduler(&service, existing)
            }
        }
    }

    fn list(&mut self, listing: Listing, format: Format) -> io::Result<End> {
        let (output, names) = (&mut *self.output, self.names);
        let listed = match listing {
            Listing::AllServices => self
                .table
                .services()
                .map(|services| list::write_services(output, services, format, names)),
            Listing::Service(key) => match self.table.service(&key) {
                Ok(None) => {
                    writeln!(self.errors, "{}", EditError::NoSuchService)?;
                    return Ok(End::Exit(NOT_LISTED));
                }
                Ok(Some(service)) => Ok(list::write_one_service(output, service, format, names)),
                Err(unavailable) => Err(unavailable),
            },
            Listing::Connections => self.table.connections().map(|mut connections| {
                list::write_connections(output, &mut connections, format, names)
            }),
            Listing::Timeouts => self
                .table
                .timeouts()
                .map(|timeouts| list::write_timeouts(output, timeouts)),
            Listing::SyncDaemons => self
                .table
                .sync_daemons()
                .map(|daemons| list::write_sync_daemons(output, &daemons)),
        };
        match listed {
            Ok(written) => written.map(|()| End::Done(0)),
            Err(unavailable) => self.give_up(&unavailable),
        }
    }

    fn save(&mut self, numeric: bool) -> io::Result<End> {
        match self.table.services() {
            Ok(services) => {
                list::write_rules(self.output, services, numeric, self.names)?;
                Ok(End::Done(0))
            }
            Err(unavailable) => self.give_up(&unavailable),
        }
    }

    /// Carries out rules until one of them ends it. The last one's exit status is the whole's.
    ///
    /// Rules that change something are handed to the table many at a time, which takes a
    /// fraction of the time that one after the other would.
    fn restore(&mut self, input: &mut dyn BufRead, numbers: LineNumbers) -> io::Result<End> {
        let mut last = End::Done(0);
        let mut waiting: Vec<(Rule, Edit)> = Vec::new();
        for rule in Rules::new(input) {
            if rule.words.is_empty() {
                continue;
            }
            let command = command::parse(&rule.words, self.program, self.names);
            if let Ok(Command::Edit(edit)) = command {
                waiting.push((rule, edit));
                if waiting.len() < MOST_EDITS {
                    continue;
                }
                last = self.edit_by_rules(&mut waiting, numbers)?;
            } else {
                last = self.edit_by_rules(&mut waiting, numbers)?;
                if let End::Done(_) = last {
                    last = self.carry_out(command, None)?;
                    self.tell_line(&rule, last, numbers)?;
                }
            }
            if let End::Exit(_) = last {
                return Ok(last);
            }
        }
        match waiting.is_empty() {
            true => Ok(last),
            false => self.edit_by_rules(&mut waiting, numbers),
        }
    }

    /// Makes the edits of rules, which are taken from `waiting`.
    fn edit_by_rules(
        &mut self,
        waiting: &mut Vec<(Rule, Edit)>,
        numbers: LineNumbers,
    ) -> io::Result<End> {
        let mut last = End::Done(0);
        if waiting.is_empty() {
            return Ok(last);
        }
        let (rules, edits): (Vec<Rule>, Vec<Edit>) = waiting.drain(..).unzip();
        match self.table.edit(&edits) {
            Ok(outcomes) => {
                for (rule, outcome) in rules.iter().zip(&outcomes) {
                    last = self.end_of_edit(outcome.as_ref())?;
                    self.tell_line(rule, last, numbers)?;
                }
            }
            Err(unavailable) => {
                last = self.give_up(&unavailable)?;
                self.tell_line(&rules[0], last, numbers)?;
            }
        }
        Ok(last)
    }

    /// Says where a rule stands that has failed.
    fn tell_line(&mut self, rule: &Rule, end: End, numbers: LineNumbers) -> io::Result<()> {
        if numbers == LineNumbers::Told && end.status() != 0 {
            let Rule { line, words } = rule;
            let rule = words.join(" ");
            writeln!(self.errors, "ipvsadm-restore: in line {line}: {rule}")?;
        }
        Ok(())
    }

    fn edit(&mut self, edit: Edit) -> io::Result<End> {
        match self.table.edit(&[edit]) {
            Ok(outcomes) => self.end_of_edit(outcomes.iter().flatten().next()),
            Err(unavailable) => self.give_up(&unavailable),
        }
    }

    fn end_of_edit(&mut self, refused: Option<&EditError>) -> io::Result<End> {
        match refused {
            None => Ok(End::Done(0)),
            Some(error) => self.refuse(error),
        }
    }

    /// Refuses to add or edit a service by a scheduler or persistence engine that there is
    /// not. Like the kernel, it looks for the service first.
    fn refuse_scheduler(&mut self, service: &ServiceKey, existing: bool) -> io::Result<End> {
        match self.table.service(service) {
            Ok(found) => self.refuse(&match (found, existing) {
                (Some(_), false) => EditError::ServiceExists,
                (None, true) => EditError::NoSuchService,
                (Some(_), true) | (None, false) => EditError::SchedulerNotFound,
            }),
            Err(unavailable) => self.give_up(&unavailable),
        }
    }

    fn refuse(&mut self, error: &EditError) -> io::Result<End> {
        writeln!(self.errors, "{error}")?;
        Ok(End::Done(REFUSED))
    }

    fn give_up(&mut self, unavailable: &Unavailable) -> io::Result<End> {
        writeln!(self.errors, "{unavailable}")?;
        Ok(End::Exit(UNAVAILABLE))
    }

    fn complain(&mut self, complaint: &Complaint) -> io::Result<End> {
        writeln!(self.errors, "{}", complaint.message)?;
        Ok(if complaint.ends_restore {
            End::Exit(complaint.status)
        } else {
            End::Done(complaint.status)
        })
    }
}
