//! What the director knows of its real servers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::machine::asks_the_same;
use super::messages::{Assignment, Begin, CheckChanges, News, Report};
use super::{CheckName, Health};
use crate::config::model::{Check, Configuration, FileMeaning, Probe, RealServer, destination_of};
use crate::service::{ForwardingMethod, ServiceKey};

/// The last word of every check of a configuration.
///
/// It outlives the check process: a new one begins where this says the last one was.
#[derive(Debug, Clone, Default)]
pub struct HealthRecord {
    checks: BTreeMap<CheckName, Standing>,
    /// The numbers in files, and which BFD sessions are up, as far as they were seen.
    files: BTreeMap<String, i64>,
    sessions: BTreeMap<String, bool>,
    /// The virtual servers whose checks rest.
    suspended: BTreeSet<ServiceKey>,
}

/// Something that the director sees and that checks follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The number in the `track_file` of this name.
    File(String, i64),
    /// Whether the session of the `bfd_instance` of this name is up.
    Session(String, bool),
}

/// What a check says of the weight of its real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// Nothing.
    None,
    /// It is this.
    To(u32),
    /// It is so much more than the file says.
    By(i64),
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
    weighing: Weighing,
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
                weighing: Weighing::None,
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
                    let unseen = match check.timing.alpha {
                        true => Health::Down,
                        false => Health::Up,
                    };
                    let (health, weighing) = follow(&check.probe, &self.files, &self.sessions)
                        .unwrap_or((unseen, Weighing::None));
                    Standing {
                        check: check.clone(),
                        health,
                        detail: String::new(),
                        begin: Begin::Added(health),
                        weighing,
                    }
                }
            };
            if standing.is_asked() && !self.suspended.contains(&name.service) {
                assigned.push(standing.assignment(name));
            }
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
            .filter(|(name, standing)| {
                standing.is_asked() && !self.suspended.contains(&name.service)
            })
            .map(|(name, standing)| standing.assignment(*name))
            .collect()
    }

    /// From now on the checks of these virtual servers rest, and no others. What a check
    /// process has to be told.
    pub fn suspend(&mut self, services: BTreeSet<ServiceKey>) -> CheckChanges {
        let before = std::mem::replace(&mut self.suspended, services);
        let mut changes = CheckChanges::default();
        let asked = self.checks.iter().filter(|(_, each)| each.is_asked());
        for (name, standing) in asked {
            let rests = |services: &BTreeSet<ServiceKey>| services.contains(&name.service);
            match (rests(&before), rests(&self.suspended)) {
                (false, true) => changes.ended.push(*name),
                (true, false) => changes.assigned.push(standing.assignment(*name)),
                _ => {}
            }
        }
        changes
    }

    /// Takes in what the director has seen. The reports of checks that say something else
    /// now, for [`Self::report`]; and the services of which real servers weigh something else.
    pub fn follow(&mut self, seen: &Seen) -> (Vec<Report>, BTreeSet<ServiceKey>) {
        let detail = match seen {
            Seen::File(file, number) => {
                self.files.insert(file.clone(), *number);
                format!("the number in {file} is {number}")
            }
            Seen::Session(instance, up) => {
                self.sessions.insert(instance.clone(), *up);
                let state = if *up { "up" } else { "down" };
                format!("BFD session {instance} is {state}")
            }
        };
        let (mut reports, mut reweighed) = (Vec::new(), BTreeSet::new());
        for (name, standing) in &mut self.checks {
            let probe = &standing.check.probe;
            let concerns = match (seen, probe) {
                (Seen::File(file, _), Probe::File(probe)) => *file == probe.file,
                (Seen::Session(seen, _), Probe::Bfd { instance }) => seen == instance,
                _ => false,
            };
            let Some((health, weighing)) = follow(probe, &self.files, &self.sessions) else {
                continue;
            };
            if !concerns {
                continue;
            }
            if standing.weighing != weighing {
                standing.weighing = weighing;
                reweighed.insert(name.service);
            }
            let is_news = standing.health != health || !matches!(standing.begin, Begin::Resume(_));
            let news = match health {
                _ if !is_news => News::Detail,
                Health::Up => News::Succeeded,
                Health::Down => News::FailedFinally { retries: 0 },
            };
            reports.push(Report {
                name: *name,
                health,
                news,
                detail: detail.clone(),
            });
        }
        (reports, reweighed)
    }

    /// A check says another weight of its real server. Whether that is news.
    pub fn weigh(&mut self, name: &CheckName, weighing: Weighing) -> bool {
        self.checks
            .get_mut(name)
            .is_some_and(|standing| std::mem::replace(&mut standing.weighing, weighing) != weighing)
    }

    /// The weight of a real server by the file and its checks; none while it is down.
    pub fn weight(&self, service: &ServiceKey, real: &RealServer) -> Option<u32> {
        /// IPVS_WEIGHT_MAX of keepalived's ipvswrapper.h.
        const LARGEST: i64 = i32::MAX as i64 - 1;
        let usual = i64::from(real.settings.weight);
        let mut weight = usual;
        for (_, standing) in self.checks_of(service, &real.address) {
            if standing.health == Health::Down {
                return None;
            }
            weight = weight.saturating_add(match standing.weighing {
                Weighing::None => 0,
                Weighing::To(other) => i64::from(other) - usual,
                Weighing::By(more) => more,
            });
        }
        u32::try_from(weight.clamp(0, LARGEST)).ok()
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
        if report.health == Health::Down {
            // What it said while it was well.
            standing.weighing = Weighing::None;
        }
        let after = self.health(&service, &real_server);
        (before != after).then_some(after)
    }

    /// What a real server is taken to be: up while all of its checks say so.
    pub fn health(&self, service: &ServiceKey, real_server: &SocketAddr) -> Health {
        let checks = self.checks_of(service, real_server);
        let healths = checks.map(|(_, standing)| standing.health);
        healths.min().unwrap_or(Health::Up)
    }

    fn checks_of(
        &self,
        service: &ServiceKey,
        real_server: &SocketAddr,
    ) -> impl Iterator<Item = (&CheckName, &Standing)> {
        let name = |number| CheckName {
            service: *service,
            real_server: *real_server,
            number,
        };
        self.checks.range(name(0)..=name(u16::MAX))
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

impl Standing {
    /// Whether a check process asks for it.
    fn is_asked(&self) -> bool {
        !self.check.probe.follows()
    }

    fn assignment(&self, name: CheckName) -> Assignment {
        Assignment {
            name,
            check: self.check.clone(),
            begin: self.begin,
        }
    }
}

/// What a probe that follows says, if what it follows was seen.
fn follow(
    probe: &Probe,
    files: &BTreeMap<String, i64>,
    sessions: &BTreeMap<String, bool>,
) -> Option<(Health, Weighing)> {
    match probe {
        Probe::File(probe) => Some(match probe.meaning(*files.get(&probe.file)?) {
            FileMeaning::Fault => (Health::Down, Weighing::None),
            FileMeaning::Weight(0) => (Health::Up, Weighing::None),
            FileMeaning::Weight(more) => (Health::Up, Weighing::By(more)),
        }),
        Probe::Bfd { instance } => match sessions.get(instance)? {
            true => Some((Health::Up, Weighing::None)),
            false => Some((Health::Down, Weighing::None)),
        },
        _ => None,
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

    use super::*;
    use crate::config::model::{CheckPath, Connection, FileProbe, Timing, VirtualServer};
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
                mark: 0,
                path: CheckPath::Direct,
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
                smtp_alert: false,
                notify_up: None,
                notify_down: None,
                slow_start: Duration::ZERO,
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
                smtp_alert: false,
                quorum_up: None,
                quorum_down: None,
                omega: false,
                ha_suspend: false,
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

    fn following(probe: Probe) -> Configuration {
        let mut file = configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]);
        let reals = &mut file.virtual_servers[0].real_servers;
        reals[0].settings.weight = 5;
        reals[0].checks[0].probe = probe;
        file
    }

    fn weight(record: &HealthRecord, file: &Configuration) -> Option<u32> {
        record.weight(&service(), &file.virtual_servers[0].real_servers[0])
    }

    #[test]
    fn a_file_says_whether_a_real_server_is_up_and_how_much_it_weighs() {
        let probe = |weight, reverse| {
            let file = "load".to_owned();
            Probe::File(FileProbe {
                file,
                weight,
                reverse,
            })
        };
        for (weight_of_file, reverse, numbers) in [
            (2, false, &[(0, Some(5)), (1, Some(7)), (-3, Some(0))][..]),
            (2, true, &[(1, Some(3)), (-1, Some(7))]),
            (
                0,
                false,
                &[(0, Some(5)), (1, None), (0, Some(5)), (-1, None)],
            ),
            (0, true, &[(0, None), (1, Some(5))]),
            (1, false, &[(i64::from(i32::MIN), None), (4, Some(9))]),
        ] {
            let file = following(probe(weight_of_file, reverse));
            let mut record = HealthRecord::start(&file, |_, _| Health::Up);
            assert_eq!(record.assignments().len(), 1, "nobody asks for it");
            for (number, expected) in numbers {
                let seen = Seen::File("load".to_owned(), *number);
                let (reports, _) = record.follow(&seen);
                reports.iter().for_each(|report| {
                    record.report(report);
                });
                assert_eq!(
                    weight(&record, &file),
                    *expected,
                    "{weight_of_file} {reverse} {number}"
                );
            }
            // A file that stays as it is says the same after a reload.
            let before = weight(&record, &file);
            record.reload(&configuration(&[]));
            record.reload(&file);
            assert_eq!(weight(&record, &file), before);
        }
    }

    #[test]
    fn a_bfd_session_takes_its_real_servers_with_it() {
        let instance = "far".to_owned();
        let file = following(Probe::Bfd {
            instance: instance.clone(),
        });
        let mut record = HealthRecord::start(&file, |_, _| Health::Up);
        let mut see = |up| {
            let (reports, _) = record.follow(&Seen::Session(instance.clone(), up));
            let news: Vec<News> = reports.iter().map(|report| report.news).collect();
            let changes = reports.iter().filter_map(|report| record.report(report));
            (changes.collect::<Vec<_>>(), news)
        };
        let down = News::FailedFinally { retries: 0 };
        assert_eq!(see(true), (vec![], vec![News::Succeeded]));
        assert_eq!(see(false), (vec![Health::Down], vec![down]));
        assert_eq!(see(false), (vec![], vec![News::Detail]));
        assert_eq!(see(true), (vec![Health::Up], vec![News::Succeeded]));
        let (reports, _) = record.follow(&Seen::Session("near".to_owned(), false));
        assert_eq!(reports, []);
    }

    #[test]
    fn a_program_says_a_weight_until_it_says_none_or_fails() {
        let file = configuration(&[(A, &["1.1.1.1:1", "1.1.1.1:2"])]);
        let mut record = HealthRecord::start(&file, |_, _| Health::Up);
        let first = report(A, 0, Health::Up).name;
        assert!(record.weigh(&first, Weighing::To(7)));
        assert!(!record.weigh(&first, Weighing::To(7)));
        assert_eq!(weight(&record, &file), Some(7));
        // Weights of several checks add.
        let second = report(A, 1, Health::Up).name;
        record.weigh(&second, Weighing::By(-3));
        assert_eq!(weight(&record, &file), Some(4));
        record.report(&report(A, 0, Health::Down));
        assert_eq!(weight(&record, &file), None);
        record.report(&report(A, 0, Health::Up));
        assert_eq!(weight(&record, &file), Some(0), "1 and -3");
    }

    #[test]
    fn checks_of_a_service_rest_and_go_on() {
        let file = configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]);
        let mut record = HealthRecord::start(&file, |_, _| Health::Up);
        record.report(&report(A, 0, Health::Down));
        let changes = record.suspend(BTreeSet::from([service()]));
        assert_eq!((changes.ended.len(), changes.assigned.len()), (2, 0));
        assert_eq!(record.assignments(), []);
        assert!(record.suspend(BTreeSet::from([service()])).is_empty());
        // What was known stays known meanwhile, and also a reload wakes nothing.
        assert_eq!(record.health(&service(), &address(A)), Health::Down);
        assert!(
            record
                .reload(&configuration(&[(B, &["1.1.1.2:9"])]))
                .assigned
                .is_empty()
        );
        let changes = record.suspend(BTreeSet::new());
        assert_eq!((changes.ended.len(), changes.assigned.len()), (0, 1));
    }
}
