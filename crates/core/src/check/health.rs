//! What the director knows of its real servers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;

use super::machine::asks_the_same;
use super::messages::{Assignment, Begin, CheckChanges, Report};
use super::{CheckName, Health};
use crate::config::model::{Check, Configuration, destination_of};
use crate::service::{ForwardingMethod, ServiceKey};

/// The last word of every check of a configuration.
///
/// It outlives the check process: a new one begins where this says the last one was.
#[derive(Debug, Clone, Default)]
pub struct HealthRecord {
    checks: BTreeMap<CheckName, Standing>,
}

/// Where a check stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What it does.
    pub check: Check,
    /// What its real server is taken to be.
    pub health: Health,
    /// Its last result in words; empty before the first.
    pub detail: String,
    begin: Begin,
}

impl HealthRecord {
    /// The checks of `configuration` when the daemon starts; until its first result, a
    /// real server is taken to be down where one of its checks is an `alpha` one, else as
    /// `presumed` says.
    pub fn start(
        configuration: &Configuration,
        presumed: impl Fn(&ServiceKey, &SocketAddr) -> Health,
    ) -> HealthRecord {
        let mut record = HealthRecord::default();
        for (name, method, check) in checks_of(configuration) {
            // What is known of it is known by the place where it takes packets.
            let destination = destination_of(&name.service, name.real_server, method);
            let health = match check.timing.alpha {
                true => Health::Down,
                false => presumed(&name.service, &destination.unwrap_or(name.real_server)),
            };
            record.checks.entry(name).or_insert_with(|| Standing {
                check: check.clone(),
                health,
                detail: String::new(),
                begin: Begin::Start(health),
            });
        }
        record
    }

    /// Goes on with the checks of another configuration. Those that ask the same as
    /// before keep their state; the real servers of others are taken to be up, or down where
    /// the check is an `alpha` one. What a check process that runs has to be told of it is
    /// given back.
    pub fn reload(&mut self, configuration: &Configuration) -> CheckChanges {
        let mut before = std::mem::take(&mut self.checks);
        let mut assigned = Vec::new();
        for (name, _, check) in checks_of(configuration) {
            let Entry::Vacant(place) = self.checks.entry(name) else {
                continue;
            };
            let standing = match before.remove(&name) {
                Some(standing) if standing.check == *check => {
                    place.insert(standing);
                    continue;
                }
                Some(standing) if asks_the_same(&standing.check, check) => Standing {
                    check: check.clone(),
                    ..standing
                },
                _ => {
                    let health = match check.timing.alpha {
                        true => Health::Down,
                        false => Health::Up,
                    };
                    Standing {
                        check: check.clone(),
                        health,
                        detail: String::new(),
                        begin: Begin::Added(health),
                    }
                }
            };
            assigned.push(Assignment {
                name,
                check: standing.check.clone(),
                begin: standing.begin,
            });
            place.insert(standing);
        }
        let ended = before.into_keys();
        CheckChanges {
            ended: ended
                .filter(|name| !self.checks.contains_key(name))
                .collect(),
            assigned,
        }
    }

    /// The checks for a check process, new or running.
    pub fn assignments(&self) -> Vec<Assignment> {
        self.checks
            .iter()
            .map(|(name, standing)| Assignment {
                name: *name,
                check: standing.check.clone(),
                begin: standing.begin,
            })
            .collect()
    }

    /// Takes in a report. Gives back what the real server is now taken to be, if that
    /// has changed; a report of a check that is no more changes nothing.
    pub fn report(&mut self, report: &Report) -> Option<Health> {
        let (service, real_server) = (report.name.service, report.name.real_server);
        let before = self.health(&service, &real_server);
        let standing = self.checks.get_mut(&report.name)?;
        standing.health = report.health;
        standing.detail.clone_from(&report.detail);
        standing.begin = Begin::Resume(report.health);
        let after = self.health(&service, &real_server);
        (before != after).then_some(after)
    }

    /// What a real server is taken to be: up while all of its checks say so.
    pub fn health(&self, service: &ServiceKey, real_server: &SocketAddr) -> Health {
        let name = |number| CheckName {
            service: *service,
            real_server: *real_server,
            number,
        };
        self.checks
            .range(name(0)..=name(u16::MAX))
            .map(|(_, standing)| standing.health)
            .min()
            .unwrap_or(Health::Up)
    }

    /// Where a check stands; `None` if there is no such check.
    pub fn standing(&self, name: &CheckName) -> Option<&Standing> {
        self.checks.get(name)
    }

    /// Every check with where it stands, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&CheckName, &Standing)> {
        self.checks.iter()
    }
}

fn checks_of(
    configuration: &Configuration,
) -> impl Iterator<Item = (CheckName, ForwardingMethod, &Check)> {
    configuration.virtual_servers.iter().flat_map(|service| {
        service.real_servers.iter().flat_map(|real_server| {
            (0..).zip(&real_server.checks).map(|(number, check)| {
                let name = CheckName {
                    service: service.key,
                    real_server: real_server.address,
                    number,
                };
                (name, real_server.settings.method, check)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::messages::News;
    use super::*;
    use crate::config::model::{Connection, Probe, RealServer, Timing, VirtualServer};
    use crate::service::{DestinationSettings, Protocol, ServiceSettings};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn service() -> ServiceKey {
        ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: address("172.17.42.200:3306"),
        }
    }

    fn tcp(to: &str) -> Check {
        Check {
            connection: Connection {
                to: address(to),
                timeout: Duration::from_secs(3),
                source: None,
                source_port: None,
                interface: None,
            },
            probe: Probe::Tcp,
            timing: Timing {
                interval: Duration::from_secs(6),
                retries: 3,
                delay_before_retry: Duration::from_secs(3),
                warmup: Duration::from_secs(6),
                alpha: false,
                log_all_failures: false,
            },
        }
    }

    fn configuration(real_servers: &[(&str, &[&str])]) -> Configuration {
        let real_servers = real_servers
            .iter()
            .map(|(real_server, checks)| RealServer {
                address: address(real_server),
                settings: DestinationSettings {
                    method: ForwardingMethod::Nat,
                    weight: 1,
                    upper_threshold: 0,
                    lower_threshold: 0,
                },
                inhibit_on_failure: false,
                notify_up: None,
                notify_down: None,
                checks: checks.iter().map(|to| tcp(to)).collect(),
            })
            .collect();
        Configuration {
            virtual_servers: vec![VirtualServer {
                key: service(),
                group: None,
                settings: ServiceSettings::default(),
                real_servers,
                quorum: 1,
                hysteresis: 0,
                sorry_server: None,
                quorum_up: None,
                quorum_down: None,
                omega: false,
            }],
            ..Configuration::default()
        }
    }

    fn report(real_server: &str, number: u16, health: Health) -> Report {
        Report {
            name: CheckName {
                service: service(),
                real_server: address(real_server),
                number,
            },
            health,
            news: News::Detail,
            detail: "words".to_owned(),
        }
    }

    fn begins(record: &HealthRecord) -> Vec<Begin> {
        let assignments = record.assignments();
        assignments.iter().map(|each| each.begin).collect()
    }

    const A: &str = "172.18.42.121:3306";
    const B: &str = "172.18.42.122:3306";

    #[test]
    fn a_real_server_is_up_while_all_of_its_checks_say_so() {
        let both = configuration(&[(A, &["1.1.1.1:1", "1.1.1.1:2"]), (B, &[])]);
        let mut record = HealthRecord::start(&both, |_, _| Health::Up);
        let health = |record: &HealthRecord, of| record.health(&service(), &address(of));
        assert_eq!(
            record.report(&report(A, 0, Health::Down)),
            Some(Health::Down)
        );
        assert_eq!(record.report(&report(A, 1, Health::Down)), None);
        assert_eq!(record.report(&report(A, 0, Health::Up)), None);
        assert_eq!(health(&record, A), Health::Down);
        assert_eq!(record.report(&report(A, 1, Health::Up)), Some(Health::Up));
        assert_eq!(health(&record, B), Health::Up, "nothing checks it");
        assert_eq!(record.report(&report(B, 0, Health::Down)), None);
        assert_eq!(health(&record, B), Health::Up);
    }

    #[test]
    fn a_check_process_that_comes_back_goes_on_where_the_last_one_was() {
        let file = configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]);
        let mut record = HealthRecord::start(&file, |_, real_server| {
            if *real_server == address(A) {
                Health::Up
            } else {
                Health::Down
            }
        });
        assert_eq!(
            begins(&record),
            [Begin::Start(Health::Up), Begin::Start(Health::Down)]
        );
        record.report(&report(A, 0, Health::Down));
        assert_eq!(
            begins(&record),
            [Begin::Resume(Health::Down), Begin::Start(Health::Down)]
        );
    }

    #[test]
    fn a_reload_keeps_the_answers_to_questions_that_stay() {
        let mut record = HealthRecord::start(
            &configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]),
            |_, _| Health::Up,
        );
        record.report(&report(A, 0, Health::Down));
        record.report(&report(B, 0, Health::Down));
        record.reload(&configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:9"])]));
        assert_eq!(
            begins(&record),
            [Begin::Resume(Health::Down), Begin::Added(Health::Up)]
        );
        assert_eq!(record.health(&service(), &address(B)), Health::Up);
        record.reload(&configuration(&[(B, &["1.1.1.2:9"])]));
        assert_eq!(begins(&record), [Begin::Added(Health::Up)]);
    }
}
