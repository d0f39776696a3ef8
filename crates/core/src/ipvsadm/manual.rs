//! The manual page ipvsadm(8), from the one table of options.

use roff::{Inline, Roff, bold, italic, roman};

use super::help::FORMS;
use super::options::{Argument, SCHEDULERS, SPELLINGS, Section, Spelling};
use crate::service::Scheduler;

/// An option of ipvsadm, for what completes command lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionSummary {
    /// Its name behind two dashes.
    pub long: &'static str,
    /// Its letters behind one.
    pub shorts: Vec<char>,
    /// Whether it takes an argument.
    pub takes_argument: bool,
    /// What it does, in a line.
    pub explanation: String,
}

/// Every option, in the order of the help text.
pub fn options() -> Vec<OptionSummary> {
    let mut options: Vec<OptionSummary> = Vec::new();
    for spelling in SPELLINGS {
        match options.iter_mut().find(|known| known.long == spelling.long) {
            Some(known) => known.shorts.extend(spelling.short),
            None => options.push(OptionSummary {
                long: spelling.long,
                shorts: spelling.short.into_iter().collect(),
                takes_argument: spelling.argument != Argument::None,
                explanation: super::help::explanation(spelling).replace('\n', " "),
            }),
        }
    }
    options
}

/// The page in the format of man(7), of this version of elver.
pub fn manual(version: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", ["IPVSADM", "8", "", version, "elver"]);
    page.control("SH", ["NAME"]);
    page.text([roman(
        "ipvsadm, ipvsadm-save, ipvsadm-restore - administration of the Linux Virtual Server",
    )]);
    synopsis(&mut page);
    page.control("SH", ["DESCRIPTION"]);
    paragraph(
        &mut page,
        "ipvsadm lists and changes the virtual services of elver, with the arguments, the \
         output, the messages and the exit statuses of ipvsadm 1.31. Commands in capitals are \
         about virtual services, those in small letters about their real servers. Lists are \
         read from the tables in the kernel and need no running director; changes are made by \
         the director.",
    );
    paragraph(
        &mut page,
        "ipvsadm-save prints all services as commands that make them again. ipvsadm-restore \
         clears the table and makes it from such commands on standard input, where lines that \
         begin with # are comments; it names the line of a rule that fails.",
    );
    for (section, title) in [
        (Section::Commands, "COMMANDS"),
        (Section::VirtualService, "VIRTUAL SERVICES"),
        (Section::Options, "OPTIONS"),
        (Section::DaemonOptions, "OPTIONS OF SYNC DAEMONS"),
    ] {
        page.control("SH", [title]);
        for spelling in SPELLINGS.iter().filter(|each| each.section == section) {
            explain(&mut page, spelling);
        }
    }
    page.control("SH", ["SCHEDULERS"]);
    for scheduler in SCHEDULERS {
        page.control("TP", []);
        page.text([bold(scheduler.name())]);
        page.text([roman(words_of(scheduler))]);
    }
    ending(&mut page);
    page.to_roff()
}

fn synopsis(page: &mut Roff) {
    page.control("SH", ["SYNOPSIS"]);
    for form in FORMS {
        page.text([bold("ipvsadm"), roman(format!(" {form}"))]);
        page.control("br", []);
    }
    page.text([bold("ipvsadm-save"), roman(" [-n]")]);
    page.control("br", []);
    page.text([bold("ipvsadm-restore")]);
}

fn explain(page: &mut Roff, spelling: &Spelling) {
    let long = spelling.long;
    let shorts = SPELLINGS.iter().filter(|each| each.long == long);
    let mut head: Vec<Inline> = Vec::new();
    for short in shorts.filter_map(|each| each.short) {
        head.extend([bold(format!("-{short}")), roman(", ")]);
    }
    head.push(bold(format!("--{long}")));
    let argument = spelling.shown.split_whitespace().last().unwrap_or("");
    match spelling.argument {
        Argument::None => {}
        _ if argument.starts_with('-') => head.push(roman(" master|backup")),
        _ => head.extend([roman(" "), italic(argument)]),
    }
    if long == "set" {
        head.extend([roman(" "), italic("tcp tcpfin udp")]);
    }
    page.control("TP", []);
    page.text(head);
    let explanation = super::help::explanation(spelling).replace('\n', " ");
    page.text([roman(explanation)]);
    if let Some(more) = more_about(long) {
        page.control("IP", []);
        page.text([roman(more)]);
    }
}

/// What the help text has no room for.
fn more_about(long: &str) -> Option<&'static str> {
    Some(match long {
        "clear" => "Services of keepalived.conf go as well, and come back with a restart.",
        "restore" => {
            "Each line of standard input is a command line, with or without the word ipvsadm \
             before it. A rule that is refused does not end the restore; one that cannot be \
             understood does."
        }
        "save" => {
            "Thresholds, timeouts and sync daemons are not among the rules, as in the original."
        }
        "set" => "In seconds; 0 leaves what there is.",
        "start-daemon" => {
            "The settings are kept and shown by -L --daemon, across restarts of the director as \
             well. Connections are not synchronised by elver yet, and its log says so."
        }
        "fwmark-service" => {
            "Marks of iptables and nft come too late for elver: elver.toml(5) has rules that \
             give packets a mark."
        }
        "persistent" => {
            "A client stays with its real server for so many seconds after its last connection; \
             without a number for 300."
        }
        "netmask" => "An IPv4 netmask, or the length of an IPv6 prefix.",
        "real-server" => {
            "By direct routing and tunnels the port is always that of the virtual service."
        }
        "weight" => "From 0, for no new connections, to 2147483647; 1 if it is left out.",
        "u-threshold" => {
            "With so many connections a real server gets no new ones; 0, the default, for any \
             number."
        }
        "l-threshold" => {
            "With fewer connections than this one that was overloaded gets new ones again; 0, \
             the default, for three quarters of the upper threshold."
        }
        "sched-flags" => {
            "sh-fallback and sh-port of sh, mh-fallback and mh-port of mh, or flag-1, flag-2 and flag-3."
        }
        "connection" => "Lists connections, and as NONE or ASSURED what persistence remembers.",
        _ => return None,
    })
}

/// Whom a scheduler chooses.
fn words_of(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Rr => "Round robin: one real server after the other.",
        Scheduler::Wrr => "Weighted round robin: by turns in proportion to the weights.",
        Scheduler::Lc => "Least connection: the one with the fewest connections.",
        Scheduler::Wlc => "Weighted least connection: the fewest in proportion to the weight.",
        Scheduler::Lblc => {
            "Locality-based least connection: the one that an address had last, unless it is \
             overloaded."
        }
        Scheduler::Lblcr => {
            "Locality-based least connection with replication: one of a set that an address has."
        }
        Scheduler::Dh => "Destination hashing: by a hash of the virtual address.",
        Scheduler::Sh => "Source hashing: by a hash of the client's address.",
        Scheduler::Sed => "Shortest expected delay: the one whose queue would be shortest.",
        Scheduler::Nq => "Never queue: an idle one if there is any, else as sed.",
        Scheduler::Fo => "Weighted failover: the one with the highest weight.",
        Scheduler::Ovf => {
            "Weighted overflow: the highest weight that has fewer connections than its weight."
        }
        Scheduler::Mh => "Maglev hashing: by a hash that changes little when servers change.",
        Scheduler::Twos => "Power of two choices: the less loaded of two chosen at random.",
    }
}

fn ending(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in [
        ("0", "Done; of a restore, that the last rule was."),
        ("1", "The service that was to be listed does not exist."),
        (
            "2",
            "The command line is wrong, or the tables or the director cannot be reached.",
        ),
        (
            "255",
            "The change was refused, or popt did not understand an option.",
        ),
    ] {
        page.control("TP", []);
        page.text([bold(status)]);
        page.text([roman(meaning)]);
    }
    page.control("SH", ["ENVIRONMENT"]);
    page.control("TP", []);
    page.text([bold("ELVER_INSTANCE")]);
    page.text([roman(
        "The instance of elver that is meant, where there are several.",
    )]);
    page.control("SH", ["FILES"]);
    page.control("TP", []);
    page.text([
        italic("/etc/ipvsadm.rules"),
        roman(", "),
        italic("/etc/sysconfig/ipvsadm"),
    ]);
    page.text([roman(
        "The rules that ipvsadm.service restores and saves, on Debian and on Red Hat.",
    )]);
    page.control("SH", ["DIFFERENCES"]);
    paragraph(
        page,
        "What differs from ipvsadm and the kernel's IPVS on purpose is listed in \
         elver-keepalived.conf(5). A service with something that elver cannot do yet is refused \
         by name.",
    );
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(
        "elver(8), elver.toml(5), elver-keepalived.conf(5), keepalived.conf(5)",
    )]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page as its reader sees it, nearly.
    fn text() -> String {
        manual("elver 0")
            .replace("\\fB", "")
            .replace("\\fI", "")
            .replace("\\fR", "")
            .replace("\\-", "-")
    }

    #[test]
    fn every_option_is_explained_in_all_its_spellings() {
        let text = text();
        for spelling in SPELLINGS
            .iter()
            .filter(|each| each.section != Section::Nowhere)
        {
            let head = text
                .lines()
                .find(|line| {
                    let mut words = line.split([' ', ',']);
                    words.any(|word| word == format!("--{}", spelling.long))
                })
                .unwrap_or_else(|| panic!("--{} is missing in\n{text}", spelling.long));
            if let Some(short) = spelling.short {
                assert!(head.contains(&format!("-{short}, ")), "{head}");
            }
        }
        assert!(text.contains("-L, -l, --list\n"), "{text}");
        assert!(text.contains("-p, --persistent [timeout]\n"), "{text}");
        assert!(text.contains("--start-daemon master|backup\n"), "{text}");
        assert!(text.contains("--set tcp tcpfin udp\n"), "{text}");
        assert!(
            text.contains("-t, --tcp-service service-address\n"),
            "{text}"
        );
        assert!(
            !text.contains('{') || text.contains("{master|backup}"),
            "{text}"
        );
    }

    #[test]
    fn no_option_is_explained_that_there_is_not() {
        let text = text();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        for word in words.filter_map(|word| word.strip_prefix("--")) {
            let known = SPELLINGS.iter().any(|spelling| spelling.long == word);
            assert!(known, "--{word}");
        }
        for (option, _) in SPELLINGS
            .iter()
            .filter_map(|s| Some((s.long, more_about(s.long)?)))
        {
            assert!(text.contains(&format!("--{option}")), "{option}");
        }
    }
}
