//! What a reload would change, in words: `elver ctl diff`.

use elver_core::check::CheckName;
use elver_core::check::machine::asks_the_same;
use elver_core::check::messages::Assignment;
use elver_core::config::model::{Configuration, VirtualServer};
use elver_core::config::{self, Secrets};
use elver_core::lb::{RealServerName, virtual_server_name};
use elver_core::reload::Plan;

use super::Director;
use super::services::ServerPlaces;
use super::words;

impl Director {
    /// The changes that `take_up` makes for `after`, a line for each and in its
    /// order.
    pub(super) fn difference(&self, after: &Configuration) -> Vec<String> {
        let plan = self.plan(after);
        let places = ServerPlaces::of(after);
        let mut lines: Vec<String> = blocks(&self.configuration, after);
        lines.extend(
            plan.leaving
                .iter()
                .map(|told| format!("notify: {}", told.line)),
        );
        let quorums = plan.quorum_changes.iter();
        lines.extend(quorums.map(|(change, _)| change.to_string()));
        lines.extend(plan.edits.iter().map(|edit| {
            words::of_edit(edit, |service| {
                let new = places.find(service).map(|at| &after.virtual_servers[at]);
                let old = self.servers.find(service);
                new.or_else(|| Some(&self.configuration.virtual_servers[old?]))
            })
        }));
        lines.extend(blocks(&self.configuration, after));
        lines.extend(self.checks(after, &places, &plan));
        lines
    }

    fn checks(&self, after: &Configuration, places: &ServerPlaces, plan: &Plan) -> Vec<String> {
        let servers = |name: &CheckName| {
            let new = places
                .find(&name.service)
                .map(|at| &after.virtual_servers[at]);
            let old = self.servers.find(&name.service);
            new.or_else(|| Some(&self.configuration.virtual_servers[old?]))
        };
        let ended = plan.checks.ended.iter().map(|name| {
            let what = self.health.standing(name);
            let keyword = what.map_or("check", |standing| standing.check.probe.keyword());
            format!(
                "Ending {keyword} of {}",
                of_real_server(name, servers(name))
            )
        });
        let assigned = plan
            .checks
            .assigned
            .iter()
            .map(|Assignment { name, check, .. }| {
                let keyword = check.probe.keyword();
                let of = of_real_server(name, servers(name));
                match self.health.standing(name) {
                    Some(before) if asks_the_same(&before.check, check) => {
                        format!("Changing how often {keyword} of {of} asks; its state stays")
                    }
                    Some(_) => format!("Replacing the check of {of} by {keyword}"),
                    None => format!("Beginning {keyword} of {of}"),
                }
            });
        ended.chain(assigned).collect()
    }
}

fn of_real_server(name: &CheckName, server: Option<&VirtualServer>) -> String {
    let real = RealServerName {
        service: &name.service,
        address: &name.real_server,
    };
    match server {
        Some(server) => format!("{real} of VS {}", virtual_server_name(server)),
        None => real.to_string(),
    }
}

/// The blocks that are no virtual servers and differ, with their lines that do.
fn blocks(before: &Configuration, after: &Configuration) -> Vec<String> {
    let [before, after] = [before, after].map(|configuration| Configuration {
        virtual_servers: Vec::new(),
        ..configuration.clone()
    });
    let dump = |configuration, secrets| config::dump(configuration, secrets);
    let shown = [&before, &after].map(|each| dump(each, Secrets::Shown));
    let hidden = [&before, &after].map(|each| dump(each, Secrets::Hidden));
    // A block ends with an empty line; with and without secrets they are the same ones.
    let [old, new] = [0, 1].map(|at: usize| -> Vec<Block<'_>> {
        let shown = shown[at].split_terminator("\n\n");
        let hidden = hidden[at].split_terminator("\n\n");
        shown
            .zip(hidden)
            .map(|(shown, hidden)| Block { shown, hidden })
            .collect()
    });
    let mut lines = Vec::new();
    for block in &old {
        if new.iter().all(|other| other.head() != block.head()) {
            lines.push(format!("Removing {}", block.head()));
        }
    }
    for block in &new {
        match old.iter().find(|other| other.head() == block.head()) {
            None => {
                lines.push(format!("Adding {}", block.head()));
                lines.extend(
                    block
                        .hidden
                        .lines()
                        .skip(1)
                        .map(|line| format!("  + {line}")),
                );
            }
            Some(before) if before.shown != block.shown => {
                lines.push(format!("Changing {}", block.head()));
                lines.extend(changed_lines(before.hidden, block.hidden));
            }
            Some(_) => {}
        }
    }
    lines
}

struct Block<'t> {
    shown: &'t str,
    hidden: &'t str,
}

impl Block<'_> {
    /// Its first line without the brace.
    fn head(&self) -> &str {
        let first = self.hidden.lines().next().unwrap_or_default();
        first.trim_end_matches(" {")
    }
}

fn changed_lines(before: &str, after: &str) -> Vec<String> {
    let missing_in = |text: &str, line: &str| text.lines().all(|other| other != line);
    let gone = before.lines().filter(|line| missing_in(after, line));
    let come = after.lines().filter(|line| missing_in(before, line));
    let lines: Vec<String> = gone
        .map(|line| format!("  - {line}"))
        .chain(come.map(|line| format!("  + {line}")))
        .collect();
    match lines.is_empty() {
        true => vec!["  the order of its lines, or a password".to_owned()],
        false => lines,
    }
}

#[cfg(test)]
mod tests {
    use elver_core::config::model::{Authentication, VrrpInstance};

    use super::*;

    fn with(instances: &[VrrpInstance]) -> Configuration {
        Configuration {
            instances: instances.to_vec(),
            ..Configuration::default()
        }
    }

    #[test]
    fn blocks_are_compared_line_by_line_and_passwords_stay_hidden() {
        let one = VrrpInstance::new("VI_1", "eth0", 51);
        let higher = VrrpInstance {
            priority: 150,
            ..one.clone()
        };
        let [secret, other] = [b"11111111", b"22222222"].map(|password| VrrpInstance {
            authentication: Some(Authentication::Password(*password)),
            ..one.clone()
        });
        assert_eq!(
            blocks(
                &with(std::slice::from_ref(&one)),
                &with(std::slice::from_ref(&one))
            ),
            [""; 0]
        );
        assert_eq!(
            blocks(&with(std::slice::from_ref(&one)), &with(&[higher])),
            [
                "Changing vrrp_instance VI_1",
                "  -     priority 100",
                "  +     priority 150"
            ]
        );
        let words = blocks(&with(&[secret]), &with(&[other]));
        assert_eq!(words.len(), 2);
        assert!(!words.concat().contains("2222"), "{words:?}");
        assert_eq!(
            blocks(&with(&[one]), &with(&[])),
            ["Removing vrrp_instance VI_1"]
        );
    }
}
