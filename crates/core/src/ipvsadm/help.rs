//! `-h` and `-v`.

use std::io::{self, Write};

use super::options::{PERSISTENCE_ENGINES, SCHEDULERS, SPELLINGS, Section, Spelling};
use crate::service::Scheduler;

/// The version of ipvsadm whose behaviour this is, and of the IPVS that it would be built for.
const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)";

/// The forms of a command line, without the program's name.
pub(super) const FORMS: [&str; 13] = [
    "-A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] \
     [--pe persistence_engine] [-b sched-flags]",
    "-D virtual-service",
    "-C",
    "-R",
    "-S [-n]",
    "-a|e virtual-service -r server-address [options]",
    "-d virtual-service -r server-address",
    "-L|l [virtual-service] [options]",
    "-Z [virtual-service]",
    "--set tcp tcpfin udp",
    "--start-daemon {master|backup} [daemon-options]",
    "--stop-daemon {master|backup}",
    "-h",
];

pub(super) fn write_version(output: &mut dyn Write) -> io::Result<()> {
    writeln!(output, "{VERSION}")
}

pub(super) fn write_help(output: &mut dyn Write, program: &str) -> io::Result<()> {
    write_version(output)?;
    writeln!(output, "Usage:")?;
    for form in FORMS {
        writeln!(output, "  {program} {form}")?;
    }
    writeln!(
        output,
        "\nCommands:\nEither long or short options are allowed."
    )?;
    write_section(output, Section::Commands, 28)?;
    writeln!(output, "\nvirtual-service:")?;
    write_section(output, Section::VirtualService, 36)?;
    writeln!(output, "\nOptions:")?;
    write_section(output, Section::Options, 36)?;
    writeln!(output, "Daemon Options:")?;
    write_section(output, Section::DaemonOptions, 36)
}

/// Writes the options of a section; their explanations begin `width` columns after them.
fn write_section(output: &mut dyn Write, section: Section, width: usize) -> io::Result<()> {
    for spelling in SPELLINGS.iter().filter(|s| s.section == section) {
        let mut left = spelling.shown;
        for line in explanation(spelling).lines() {
            writeln!(output, "  {left:<width$}{line}")?;
            left = "";
        }
    }
    Ok(())
}

/// What an option does, in one or more lines.
pub(super) fn explanation(spelling: &Spelling) -> String {
    let schedulers = SCHEDULERS.map(Scheduler::name).join("|");
    spelling
        .explanation
        .replace("{schedulers}", &schedulers)
        .replace("{scheduler}", Scheduler::default().name())
        .replace("{engines}", &PERSISTENCE_ENGINES.join("|"))
}
