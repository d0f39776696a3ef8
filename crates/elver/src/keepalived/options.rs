//! The options of keepalived(8): one table, from which command lines are read and the help
//! text is made.

mod table;

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg;

use self::table::{Name, Row, TABLE, Value};
use crate::command_line::DEFAULT_FILE;
use crate::configuration::Origin;
use crate::instance::Instance;
use crate::log::{self, Facility};

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To run, or to test the configuration.
    Run(Box<Options>),
    /// `--version`.
    Version,
    /// `--help`.
    Help,
    /// `--signum`: the number of the signal with this name.
    Signal(String),
    /// `--genhash`: what comes after it is genhash's.
    Genhash(Vec<OsString>),
}

/// The options of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) file: Option<PathBuf>,
    pub(super) config_id: Option<String>,
    pub(super) all_includes: bool,
    /// `--config-test`, and the file that it writes to.
    pub(super) config_test: Option<Option<PathBuf>>,
    pub(super) vrrp_alone: bool,
    pub(super) checks_alone: bool,
    pub(super) no_bfd: bool,
    pub(super) foreground: bool,
    pub(super) dump: bool,
    pub(super) respawn: bool,
    pub(super) keep_addresses: bool,
    pub(super) keep_services: bool,
    pub(super) report_addresses: bool,
    pub(super) log_console: bool,
    pub(super) log_detail: bool,
    pub(super) log_system: bool,
    pub(super) log_facility: Facility,
    pub(super) log_file: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) vrrp_pid_file: Option<PathBuf>,
    pub(super) check_pid_file: Option<PathBuf>,
    pub(super) bfd_pid_file: Option<PathBuf>,
    pub(super) umask: Option<u32>,
    pub(super) namespace: Option<String>,
    pub(super) core_dump: bool,
    pub(super) core_pattern: Option<String>,
    /// What is to be said on standard error; keepalived goes on in spite of it.
    pub(super) complaints: Vec<String>,
    /// Words that are no options; they are ignored.
    pub(super) unexpected: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            file: None,
            config_id: None,
            all_includes: false,
            config_test: None,
            vrrp_alone: false,
            checks_alone: false,
            no_bfd: false,
            foreground: false,
            dump: false,
            respawn: true,
            keep_addresses: false,
            keep_services: false,
            report_addresses: false,
            log_console: false,
            log_detail: false,
            log_system: true,
            log_facility: Facility::DAEMON,
            log_file: None,
            pid_file: None,
            vrrp_pid_file: None,
            check_pid_file: None,
            bfd_pid_file: None,
            umask: None,
            namespace: None,
            core_dump: false,
            core_pattern: None,
            complaints: Vec::new(),
            unexpected: Vec::new(),
        }
    }
}

impl Options {
    /// What the configuration is read from.
    pub(super) fn origin(&self, instance: &Instance) -> Origin {
        Origin {
            file: self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into()),
            config_id: self.config_id.clone(),
            instance: instance.clone(),
            all_includes: self.all_includes,
        }
    }
}

/// The help text, laid out as keepalived's.
pub(super) fn help() -> String {
    const COLUMN: usize = 31;
    let mut text = "Usage: keepalived [OPTION...]\n".to_owned();
    for (_, letter, word, value, lines) in TABLE {
        let letter = letter.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let value = match value {
            Value::None => String::new(),
            Value::Needed(what) => format!("={what}"),
            Value::Possible(what) => format!("[={what}]"),
        };
        let option = format!("  {letter}--{word}{value}");
        let mut lines = lines.iter();
        if option.len() < COLUMN {
            let first = lines.next().expect("an explanation");
            text += &format!("{option:COLUMN$}{first}\n");
        } else {
            text += &format!("{option}\n");
        }
        for line in lines {
            text += &format!("{:COLUMN$}{line}\n", "");
        }
    }
    text
}

/// The options as clap would have them, for completions.
pub(crate) fn command() -> clap::Command {
    let options = TABLE.iter().map(|(_, letter, word, value, lines)| {
        let action = match value {
            Value::Needed(_) => clap::ArgAction::Set,
            _ => clap::ArgAction::SetTrue,
        };
        let option = clap::Arg::new(*word)
            .long(*word)
            .help(lines[0])
            .action(action);
        match letter {
            Some(letter) => option.short(*letter),
            None => option,
        }
    });
    clap::Command::new("keepalived")
        .about("The director of elver, by the name and with the options of keepalived")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options)
}

fn row_of_letter(letter: char) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.1 == Some(letter))
}

/// By a word or, as getopt_long(3) has it, by a beginning of one that no other has.
fn row_of_word(word: &str) -> Option<&'static Row> {
    let exact = TABLE.iter().find(|row| row.2 == word);
    exact.or_else(|| {
        let mut found = TABLE.iter().filter(|row| row.2.starts_with(word));
        found.next().filter(|_| found.next().is_none())
    })
}

/// Reads a command line, the program's name not among the arguments.
///
/// # Errors
/// What keepalived says of it.
pub(super) fn parse(arguments: &[OsString]) -> Result<Wish, String> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| format!("{error}"))? {
        let (row, spelling) = match argument {
            Arg::Short(letter) => (row_of_letter(letter), format!("-{letter}")),
            Arg::Long(word) => (row_of_word(word), format!("--{word}")),
            Arg::Value(value) => {
                options
                    .unexpected
                    .push(value.to_string_lossy().into_owned());
                continue;
            }
        };
        let Some((name, _, _, kind, _)) = row else {
            return Err(format!("Unknown option {spelling}"));
        };
        let value = match kind {
            Value::None => None,
            Value::Possible(_) => parser.optional_value(),
            Value::Needed(_) => Some(
                parser
                    .value()
                    .map_err(|_| format!("Missing parameter for option {spelling}"))?,
            ),
        };
        let text = || {
            value
                .clone()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let path = || value.clone().map(PathBuf::from);
        match name {
            Name::Version => return Ok(Wish::Version),
            Name::Help => return Ok(Wish::Help),
            Name::Signum => return Ok(Wish::Signal(text())),
            Name::Genhash => {
                let rest = parser.raw_args().map_err(|error| error.to_string())?;
                return Ok(Wish::Genhash(rest.collect()));
            }
            Name::UseFile => options.file = path(),
            Name::Vrrp => options.vrrp_alone = true,
            Name::Check => options.checks_alone = true,
            Name::NoBfd => options.no_bfd = true,
            Name::LogConsole => options.log_console = true,
            Name::LogDetail => options.log_detail = true,
            Name::LogFacility => match text().parse() {
                Ok(facility) => options.log_facility = facility,
                Err(()) => options
                    .complaints
                    .push(format!("Invalid log facility '{}'", text())),
            },
            Name::LogFile => {
                options.log_file = Some(path().unwrap_or_else(|| log::DEFAULT_FILE.into()));
            }
            Name::NoSyslog => options.log_system = false,
            Name::Umask => match number(&text()) {
                Some(mask) => options.umask = Some(mask),
                None => options
                    .complaints
                    .push(format!("Invalid --umask option {}", text())),
            },
            Name::DontReleaseVrrp => options.keep_addresses = true,
            Name::DontReleaseIpvs => options.keep_services = true,
            Name::DontRespawn => options.respawn = false,
            Name::DontFork => options.foreground = true,
            Name::DumpConf => options.dump = true,
            Name::Pid => options.pid_file = path(),
            Name::VrrpPid => options.vrrp_pid_file = path(),
            Name::CheckersPid => options.check_pid_file = path(),
            Name::BfdPid => options.bfd_pid_file = path(),
            Name::AddressMonitoring => options.report_addresses = true,
            Name::Snmp | Name::SnmpAgentSocket => options
                .complaints
                .push("elver answers no SNMP; its numbers are in `elver ctl metrics`".to_owned()),
            Name::Namespace => options.namespace = Some(text()),
            Name::CoreDump => options.core_dump = true,
            Name::CoreDumpPattern => {
                options.core_dump = true;
                let pattern = value.as_ref().map_or("core".to_owned(), |_| text());
                options.core_pattern = Some(pattern);
            }
            Name::AllConfig => options.all_includes = true,
            Name::ConfigId => options.config_id = Some(text()),
            Name::ConfigTest => options.config_test = Some(path()),
            // Explained in the table.
            Name::All | Name::FlushLogFile | Name::ReleaseVips | Name::IgnoreSigint => {}
        }
    }
    Ok(Wish::Run(Box::new(options)))
}

/// A number as strtol(3) reads it with base 0: decimal, `0x` hexadecimal or `0` octal.
fn number(text: &str) -> Option<u32> {
    let number = if let Some(digits) = text.strip_prefix("0x") {
        u32::from_str_radix(digits, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(&text[1..], 8)
    } else {
        text.parse()
    };
    number.ok().filter(|mask| *mask <= 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wish, String> {
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&arguments)
    }

    fn options(line: &str) -> Options {
        match read(line) {
            Ok(Wish::Run(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_units_and_scripts_pass_is_understood() {
        let read = options("-D -S 2 -f x.conf -p /run/p --vrrp_pid=/run/v -i one -ln -PR -u 022");
        assert!(read.log_detail && read.log_console && read.foreground && read.vrrp_alone);
        assert!(!read.respawn);
        assert_eq!(Ok(read.log_facility), "local2".parse());
        assert_eq!(read.file, Some("x.conf".into()));
        assert_eq!(read.vrrp_pid_file, Some("/run/v".into()));
        assert_eq!(read.config_id.as_deref(), Some("one"));
        assert_eq!(read.umask, Some(0o22));
        assert_eq!(read.complaints, [""; 0]);
    }

    #[test]
    fn a_value_that_need_not_be_there_is_attached_to_its_option() {
        assert_eq!(options("-t").config_test, Some(None));
        assert_eq!(options("-nlt -f x").config_test, Some(None));
        assert_eq!(options("-tlog").config_test, Some(Some("log".into())));
        assert_eq!(
            options("--config-test=log").config_test,
            Some(Some("log".into()))
        );
        let apart = options("-t log");
        assert_eq!(apart.config_test, Some(None));
        assert_eq!(apart.unexpected, ["log"]);
        assert_eq!(options("-M").core_pattern.as_deref(), Some("core"));
        assert_eq!(options("-g").log_file, Some(log::DEFAULT_FILE.into()));
    }

    #[test]
    fn words_may_be_cut_short_while_they_mean_one_option() {
        assert!(options("--dont-f").foreground);
        assert_eq!(read("--dont"), Err("Unknown option --dont".to_owned()));
        assert_eq!(read("--ver"), Ok(Wish::Version));
        assert!(options("--vrrp").vrrp_alone, "a whole word is no beginning");
    }

    #[test]
    fn the_rest_of_the_line_is_genhashs() {
        let arguments = ["-s", "127.0.0.1", "-v"].map(OsString::from).to_vec();
        assert_eq!(
            read("--genhash -s 127.0.0.1 -v"),
            Ok(Wish::Genhash(arguments))
        );
    }

    #[test]
    fn no_option_stands_twice_in_the_table() {
        for (at, row) in TABLE.iter().enumerate() {
            for other in &TABLE[..at] {
                assert_ne!(row.0, other.0);
                assert_ne!(row.2, other.2);
                assert!(row.1.is_none() || row.1 != other.1, "-{:?}", row.1);
            }
        }
    }
}
