//! What the director knows of its real servers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::clients::{Clients, Encounter, place_of};
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
    /// What clients met at real servers, by where these take packets.
    clients: Clients,
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
        let weight = u32::try_from(weight.clamp(0, LARGEST)).ok()?;
        Some(self.clients.weigh(service, real, weight))
    }

    /// Takes in what clients have met at real servers, by where these take packets; to be called every [`OBSERVED`](super::OBSERVED). The services of
    /// `configuration` in which a real server weighs something else now.
    pub fn observe(
        &mut self,
        configuration: &Configuration,
        encounters: impl Iterator<Item = (SocketAddr, Encounter)>,
    ) -> BTreeSet<ServiceKey> {
        let changed = self.clients.observe(encounters);
        let servers = configuration.virtual_servers.iter();
        let concerned = servers.filter(|server| {
            let mut watched = server
                .real_servers
                .iter()
                .filter(|real| real.passive_check.is_some() || real.passive_handshake.is_some());
            watched.any(|real| changed.contains(&place_of(&server.key, real)))
        });
        concerned.map(|server| server.key).collect()
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
mod tests;
