//! Looks for rules of netfilter that would have mattered to virtual services, by asking the
//! programs that show them: nft(8), iptables-save(8).

use std::io;
use std::process::{Command, Stdio};

use elver_core::config::model::Configuration;
use elver_core::firewall::{Finding, Table, Written, iptables, nft, review};
use elver_core::service::ServiceKey;
use elver_core::vrrp;
use elver_packet::table::access::Access;

use crate::settings::Settings;

/// Where these programs are, for those who have only the paths of users.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// The programs that show the rules of iptables, what they are called in findings, and whether
/// these are for IPv4. Those of nft's kind come first.
const IPTABLES: [(&str, &str, bool); 4] = [
    ("iptables-nft-save", "iptables", true),
    ("ip6tables-nft-save", "ip6tables", false),
    ("iptables-legacy-save", "iptables-legacy", true),
    ("ip6tables-legacy-save", "ip6tables-legacy", false),
];

/// What was found, and what could not be looked at, in words.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) findings: Vec<Finding>,
    pub(crate) failures: Vec<String>,
}

/// The services of a configuration.
pub(crate) fn services(configuration: &Configuration) -> Vec<ServiceKey> {
    let servers = configuration.virtual_servers.iter();
    servers.map(|server| server.key).collect()
}

/// Looks at the rules of this network namespace for what would have mattered to services, and
/// is not in `elver.toml` yet; `own` is the name of tables that elver makes itself. Takes as
/// long as the programs do.
pub(crate) fn look(services: &[ServiceKey], own: Option<&str>, settings: &Settings) -> Look {
    let mut look = Look::default();
    let mut tables = Vec::new();
    for (program, name, is_ipv4) in IPTABLES {
        if let Some(text) = look.printed(program, &[]) {
            tables.extend(iptables::tables(name, is_ipv4, &text));
        }
    }
    if let Some(json) = look.printed("nft", &["-j", "list", "ruleset"]) {
        let texts = look.printed("nft", &["-a", "list", "ruleset"]);
        match nft::tables(&json, &texts.unwrap_or_default()) {
            Ok(of_nft) => {
                let of_nft: Vec<Table> = of_nft
                    .into_iter()
                    .filter(|table| !is_shown(&tables, table) && !is_own(own, table))
                    .collect();
                tables.extend(of_nft);
            }
            Err(error) => look.failures.push(format!("nft -j: {error}")),
        }
    }
    look.findings = review(&tables, services, &written(settings));
    look
}

/// [`look`], beside all else: what there is to say goes to the log.
pub(crate) fn look_aside(services: Vec<ServiceKey>, own: Option<String>, settings: Settings) {
    let looking = std::thread::Builder::new()
        .name("netfilter".to_owned())
        .spawn(move || {
            let look = look(&services, own.as_deref(), &settings);
            for failure in look.failures {
                tracing::warn!("rules of netfilter could not be looked at: {failure}");
            }
            for finding in look.findings {
                tracing::warn!("{finding}");
            }
        });
    if let Err(error) = looking {
        tracing::warn!("rules of netfilter could not be looked at: {error}");
    }
}

/// The name of the tables that elver makes for a configuration.
pub(crate) fn own_table(configuration: &Configuration) -> Option<&str> {
    let nftables = &configuration.global.nftables;
    let refusal = vrrp::refusal(&configuration.instances, nftables);
    refusal.map(|_| nftables.table.as_str())
}

fn is_own(own: Option<&str>, table: &Table) -> bool {
    let is = |name| {
        ["ip", "ip6"]
            .iter()
            .any(|f| table.name == format!("nft: table {f} {name}"))
    };
    own.is_some_and(is)
}

/// Whether a table of nft's is one that iptables has made and shown, in its own words: nft
/// knows only half of them.
fn is_shown(by_iptables: &[Table], of_nft: &Table) -> bool {
    let Some((family, name)) = of_nft
        .name
        .strip_prefix("nft: table ")
        .and_then(|name| name.split_once(' '))
    else {
        return false;
    };
    let program = match family {
        "ip" => "iptables",
        "ip6" => "ip6tables",
        _ => return false,
    };
    let theirs = format!("{program}: table {name}");
    by_iptables.iter().any(|table| table.name == theirs)
}

fn written(settings: &Settings) -> Written {
    let lists = settings.access();
    let all = lists.all.iter().map(|entry| (None, entry));
    let single = lists
        .services
        .iter()
        .flat_map(|(key, networks)| networks.iter().map(|entry| (Some(*key), entry)));
    Written {
        marks: settings.mark_rules().iter().map(|rule| rule.mark).collect(),
        access: all
            .chain(single)
            .map(|(of, (network, access))| (of, *network, *access == Access::Allowed))
            .collect(),
    }
}

impl Look {
    /// What a program prints, if there is one.
    fn printed(&mut self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program)
            .args(arguments)
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Some(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let first = said.lines().next().unwrap_or("no reason given");
                self.failures.push(format!("{program}: {first}"));
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.failures.push(format!("{program}: {error}"));
                None
            }
        }
    }
}
