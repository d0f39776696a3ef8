//! Where log lines go: the console, the journal or syslog, and a file.
//!
//! The journal and syslog are given what keepalived gives them: its names (`Keepalived`,
//! `Keepalived_vrrp`, `Keepalived_healthcheckers`, `Keepalived_bfd`) and the bare words. In the
//! journal the fields of an event stand beside the words, each by its name in capitals
//! (`INSTANCE=VI_1`, `STATE=MASTER`), so that `journalctl INSTANCE=VI_1` finds them.
//!
//! Lines are written by a thread of their own: whoever collects them, or the disk below, may
//! stall, and no advertisement waits for that. Lines that nobody takes are kept up to a number,
//! and then lost. The last ones are written when the [`Written`] is dropped.

mod entry;
mod sink;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use self::entry::Entry;
use self::sink::{Connection, LogFile, SystemLog};
use crate::{director, vrrp_process};

/// The file of `keepalived --log-file`, where none is named.
pub(crate) const DEFAULT_FILE: &str = "/tmp/keepalived.log";

/// Where a process writes its log, and how much of it. The director tells its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// Whether standard error gets it.
    pub(crate) console: bool,
    /// The facility by which the journal or syslog gets it, if at all.
    pub(crate) system: Option<Facility>,
    /// A file that gets it; each process has its own, with its name in it.
    pub(crate) file: Option<PathBuf>,
    /// Whether details are of interest, where `ELVER_LOG` does not say.
    pub(crate) detail: bool,
}

impl Log {
    /// Standard error alone, which service managers collect.
    pub(crate) fn console() -> Log {
        Log {
            console: true,
            system: None,
            file: None,
            detail: false,
        }
    }

    /// Begins to log, as this process.
    pub(crate) fn start(&self, process: Process) -> Written {
        let mut written = Written { guards: Vec::new() };
        let system = self.system.zip(SystemLog::here()).map(|(facility, log)| {
            let form = match log {
                SystemLog::Journal => Form::Journal(facility),
                SystemLog::Syslog => Form::Syslog(facility),
            };
            written.layer(Connection::new(log), form, process)
        });
        // Where there is no system log, nobody should be left without words.
        let console = self.console || (self.system.is_some() && system.is_none());
        let file = self.file.as_ref().and_then(|path| {
            let path = process.insert_into(path);
            match LogFile::open(&path) {
                Ok(file) => Some(written.layer(file, Form::File, process)),
                Err(error) => {
                    eprintln!("{}: cannot be written: {error}", path.display());
                    None
                }
            }
        });
        let console = console.then(|| {
            let writer = written.non_blocking(io::stderr());
            tracing_subscriber::fmt::layer()
                .fmt_fields(format::debug_fn(|writer, field, value| {
                    match field.name() {
                        "message" => write!(writer, "{value:?}"),
                        // The words have these already; they are fields for the journal.
                        "instance" | "state" => Ok(()),
                        name => write!(writer, " {name}={value:?}"),
                    }
                }))
                .with_writer(writer)
                .with_ansi(io::stderr().is_terminal())
                .with_target(false)
        });
        tracing_subscriber::registry()
            .with(system)
            .with(file)
            .with(console)
            .with(self.filter())
            .init();
        written
    }

    /// `ELVER_LOG` says which lines there are, in the language of `RUST_LOG`.
    fn filter(&self) -> EnvFilter {
        let otherwise = match self.detail {
            // What libraries have to say of themselves is no detail of ours.
            true => "info,elver=debug",
            false => "info",
        };
        EnvFilter::try_from_env("ELVER_LOG").unwrap_or_else(|_| EnvFilter::new(otherwise))
    }
}

impl FromStr for Log {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Log, serde_json::Error> {
        serde_json::from_str(json)
    }
}

/// Logs to standard error without a thread: for processes that give their privileges up, and
/// for commands that end soon.
pub(crate) fn start_simply() {
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal())
                .with_target(false),
        )
        .with(Log::console().filter())
        .init();
}

/// What is written by the time this is dropped: everything.
#[derive(Debug)]
pub(crate) struct Written {
    guards: Vec<WorkerGuard>,
}

impl Written {
    fn non_blocking(&mut self, sink: impl Write + Send + 'static) -> NonBlocking {
        let (writer, guard) = tracing_appender::non_blocking(sink);
        self.guards.push(guard);
        writer
    }

    fn layer(
        &mut self,
        sink: impl Write + Send + 'static,
        form: Form,
        process: Process,
    ) -> LogLayer {
        LogLayer {
            writer: self.non_blocking(sink),
            form,
            process,
        }
    }
}

/// Which process of elver logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// The director, which also speaks for the checks.
    Director,
    /// The vrrp process, which also speaks for BFD.
    Vrrp,
}

impl Process {
    /// keepalived's name for whoever would have said this, where `module` is where elver did.
    fn identity(self, module: &str) -> &'static str {
        match self {
            Process::Director if director::MODULES_OF_CHECKS.contains(&module) => {
                "Keepalived_healthcheckers"
            }
            Process::Director => "Keepalived",
            Process::Vrrp if module == vrrp_process::MODULE_OF_BFD => "Keepalived_bfd",
            Process::Vrrp => "Keepalived_vrrp",
        }
    }

    /// The file of this process, where all are asked to write to `path`: as keepalived does,
    /// the process stands before the last dot.
    fn insert_into(self, path: &Path) -> PathBuf {
        let Process::Vrrp = self else {
            return path.to_owned();
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = match path.extension() {
            Some(extension) => format!("{stem}_vrrp.{}", extension.to_string_lossy()),
            None => format!("{stem}_vrrp"),
        };
        path.with_file_name(name)
    }
}

/// A facility of syslog(3) that keepalived can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facility(u8);

impl Facility {
    /// That of daemons.
    pub(crate) const DAEMON: Facility = Facility(3);
    const USER: Facility = Facility(1);
    const LOCAL_0: u8 = 16;
}

impl FromStr for Facility {
    type Err = ();

    /// `daemon`, `user`, `local0` to `local7`, or 0 to 7 for these.
    fn from_str(text: &str) -> Result<Facility, ()> {
        match text {
            "daemon" => return Ok(Facility::DAEMON),
            "user" => return Ok(Facility::USER),
            _ => {}
        }
        match text.strip_prefix("local").unwrap_or(text).as_bytes() {
            [digit @ b'0'..=b'7'] => Ok(Facility(Facility::LOCAL_0 + (digit - b'0'))),
            _ => Err(()),
        }
    }
}

/// How entries are written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Journal(Facility),
    Syslog(Facility),
    File,
}

/// Writes events in one of the forms.
struct LogLayer {
    writer: NonBlocking,
    form: Form,
    process: Process,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let entry = Entry::of(event);
        let identity = self.process.identity(event.metadata().target());
        let octets = match self.form {
            Form::Journal(Facility(facility)) => entry.for_journal(identity, facility),
            Form::Syslog(Facility(facility)) => entry.for_syslog(identity, facility),
            Form::File => entry.for_file(),
        };
        // One that is lost is lost: there is nowhere to say so.
        let _ = self.writer.clone().write_all(&octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_are_named_as_keepalived_does() {
        for (text, code) in [
            ("daemon", 3),
            ("user", 1),
            ("0", 16),
            ("7", 23),
            ("local3", 19),
        ] {
            assert_eq!(text.parse(), Ok(Facility(code)), "{text}");
        }
        for text in ["8", "local8", "mail", "", "00", "local"] {
            assert_eq!(text.parse::<Facility>(), Err(()), "{text}");
        }
    }

    #[test]
    fn every_process_has_a_file_of_its_own() {
        let path = Path::new("/var/log/keepalived.log");
        assert_eq!(Process::Director.insert_into(path), path);
        assert_eq!(
            Process::Vrrp.insert_into(path),
            Path::new("/var/log/keepalived_vrrp.log")
        );
        assert_eq!(
            Process::Vrrp.insert_into(Path::new("/x/log")),
            Path::new("/x/log_vrrp")
        );
    }
}
