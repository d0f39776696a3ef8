//! What `elver migrate` says before anything happens.

use std::io::Write;

use elver_core::config;
use elver_core::ipvsadm::rules;
use elver_core::lb::Foreign;
use elver_core::service::ServiceState;

use super::kernel_table::KernelTable;
use super::{Migration, settings};
use crate::failure::Failure;
use crate::firewall;
use crate::settings::Settings;

/// Writes the report; whether something will be different.
pub(super) fn write(migration: &Migration, elver_toml: &Settings) -> Result<bool, Failure> {
    let text = lines(migration, elver_toml)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.lines.join("\n")).map_err(Failure::system("output"))?;
    Ok(text.is_doubtful)
}

const GOING_ON: &str = "\
open connections, in their states, and where persistence sends clients;
between keepalived's end and elver's start packets are lost, and clients
send them again. By VRRP addresses are held again a little more than three
advertisements later, unless another director has become master";

/// A report as it comes about.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    is_doubtful: bool,
}

impl Report {
    fn heading(&mut self, words: &str) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
        self.lines.push(words.to_owned());
    }

    fn line(&mut self, words: impl AsRef<str>) {
        let words = words.as_ref().lines().map(|line| format!("  {line}"));
        self.lines.extend(words);
    }
}

fn lines(migration: &Migration, elver_toml: &Settings) -> Result<Report, Failure> {
    let mut report = Report::default();
    let table = &migration.table;
    report.heading("What runs here");
    match &migration.predecessor {
        Some(predecessor) => report.line(predecessor.words()),
        None => report.line("no keepalived"),
    }
    let connections = KernelTable::connections()?.len();
    let real_servers: usize = (table.services.iter())
        .map(|service| service.destinations.len())
        .sum();
    report.line(format!(
        "the kernel's IPVS: virtual services {}, real servers {real_servers}, connections \
         {connections}",
        table.services.len()
    ));

    report.heading("What goes on with elver");
    match &migration.configuration {
        Some(configuration) => report.line(format!(
            "{}: VRRP instances {}, virtual servers {}",
            migration.file.display(),
            configuration.instances.len(),
            configuration.virtual_servers.len()
        )),
        None => report.line("there is no keepalived.conf: ipvsadm alone rules"),
    }
    let by_hand = migration.by_hand();
    if !by_hand.is_empty() {
        report.line("what was made by ipvsadm, and is in no file:");
        report.line(indented(&rules_of(&by_hand)));
    }
    if let Some(timeouts) = table.timeouts {
        report.line(format!(
            "timeouts, as by `ipvsadm --set {} {} {}`",
            timeouts.tcp.as_secs(),
            timeouts.tcp_fin.as_secs(),
            timeouts.udp.as_secs()
        ));
    }
    report.line(GOING_ON);

    report.heading("What will be different, or deserves a look");
    let before = report.lines.len();
    for remark in &migration.remarks {
        report.line(config::render(remark, false));
    }
    for words in &table.unknown {
        report.line(format!("{words}, which elver does not know"));
    }
    let lines = settings::missing(elver_toml)?;
    if !lines.is_empty() {
        report.line("settings of IPVS; to keep them, write into /etc/elver/elver.toml:");
        report.line(indented(&format!("[ipvs]\n{}", lines.join("\n"))));
    }
    if table.is_synchronised {
        report.line(
            "connections are synchronised with another director, which elver does not do yet: \
             when it takes over, clients have to connect again",
        );
    }
    let mut keys: Vec<_> = table.services.iter().map(|service| service.key).collect();
    let mut own = None;
    if let Some(configuration) = &migration.configuration {
        keys.extend(firewall::services(configuration));
        own = firewall::own_table(configuration);
    }
    keys.sort_unstable();
    keys.dedup();
    let look = firewall::look(&keys, own, elver_toml);
    for failure in &look.failures {
        report.line(format!(
            "rules of netfilter could not be looked at: {failure}"
        ));
    }
    for finding in &look.findings {
        report.line(finding.to_string());
    }
    report.is_doubtful = report.lines.len() != before;
    if !report.is_doubtful {
        report.line("nothing that could be seen");
    }
    Ok(report)
}

/// Foreign services as commands of ipvsadm.
fn rules_of(by_hand: &[Foreign]) -> String {
    let of = |is_configured: bool| -> Vec<ServiceState> {
        let some = (by_hand.iter()).filter(|each| each.is_configured == is_configured);
        some.map(|each| each.service.clone()).collect()
    };
    // Of a service of the configuration's the destinations alone are foreign.
    let added = rules(of(true));
    let added = added.lines().filter(|line| line.starts_with("-a "));
    let own = rules(of(false));
    own.lines()
        .chain(added)
        .fold(String::new(), |text, line| text + line + "\n")
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |indented, line| {
        indented + "    " + line + "\n"
    })
}
