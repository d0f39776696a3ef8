//! The director's side of VRRP: what the vrrp process has said, what a new one must
//! know, and what is done when there is none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::instance::Instance;
use elver_core::config::model::{Configuration, DumpFiles, Global, OwnSettings};
use elver_core::vrrp::State;
use elver_core::vrrp::messages::{Command, Notice, Notifying, Resume};

/// Within this time of the death of the vrrp process another one must have taken over its
/// addresses: keepalived does not hold them longer either. Beyond it a peer may believe
/// that they are free.
const TAKEOVER: Duration = Duration::from_millis(100);

/// The states of the virtual routers, as far as the director knows.
#[derive(Debug, Default)]
pub(crate) struct VirtualRouters {
    states: BTreeMap<String, State>,
    /// While there is no vrrp process that is settled after the death of another.
    death: Option<Death>,
    /// Configurations that were sent and not yet confirmed.
    unconfirmed: u32,
    /// When the first of them may become master, by the clock of [`Death::at`].
    not_before: Duration,
}

#[derive(Debug)]
struct Death {
    /// By the clock that the next process reads as well.
    at: Duration,
    /// When the addresses go; `None` once they have gone.
    withdraw: Option<Instant>,
    /// The process was ended so that another takes its place.
    is_succession: bool,
}

impl VirtualRouters {
    /// As a director starts them at `now`, which counts from the start of the host.
    pub(crate) fn start(now: Duration, global: &Global) -> VirtualRouters {
        let from_start = match global.startup_delay {
            Duration::ZERO => Duration::ZERO,
            delay => now + delay,
        };
        VirtualRouters {
            not_before: from_start.max(global.delay_after_boot),
            ..VirtualRouters::default()
        }
    }

    /// The vrrp process has said something. Gives back whether by that the configuration
    /// sent last has come into force.
    pub(crate) fn heard(&mut self, notice: Notice) -> bool {
        match notice {
            Notice::Configured => {
                self.death = None;
                self.unconfirmed = self.unconfirmed.saturating_sub(1);
                return self.unconfirmed == 0;
            }
            Notice::StateChanged {
                instance,
                state,
                priority,
            } => {
                tracing::debug!("({instance}) {state}, priority {priority}");
                self.states.insert(instance, state);
            }
            // Problems are in the log of the vrrp process already.
            Notice::GroupStateChanged { .. }
            | Notice::Statistics(_)
            | Notice::SessionChanged { .. }
            | Notice::Problem(_)
            | Notice::Mail(_)
            | Notice::Late(_)
            | Notice::Alive => {}
        }
        false
    }

    /// What is known of every instance.
    pub(crate) fn known_states(&self) -> Vec<(String, State)> {
        let states = self.states.iter();
        states.map(|(name, state)| (name.clone(), *state)).collect()
    }

    /// Another director's vrrp process had these states until just now, and has been ended.
    /// `clock` and `now` are the same moment.
    ///
    /// It has advertised until then, so that no peer takes over within twice the shortest
    /// interval: so long the next process may take to be there.
    pub(crate) fn succeed(
        &mut self,
        states: Vec<(String, State)>,
        configuration: &Configuration,
        clock: Duration,
        now: Instant,
    ) {
        self.states.extend(states);
        self.died(clock, now);
        let interval = self.shortest_interval(configuration).unwrap_or_default();
        if let Some(death) = &mut self.death {
            let patience = TAKEOVER.max(interval * 2);
            death.withdraw = death.withdraw.map(|_| now + patience);
            death.is_succession = true;
        }
    }

    /// The vrrp process has died. `clock` and `now` are the same moment.
    pub(crate) fn died(&mut self, clock: Duration, now: Instant) {
        self.unconfirmed = 0;
        let master = self.states.values().any(|state| *state == State::Master);
        // One that dies before it has settled does not make the first death younger.
        self.death.get_or_insert(Death {
            at: clock,
            withdraw: master.then_some(now + TAKEOVER),
            is_succession: false,
        });
    }

    /// The shortest interval in which a master of ours advertises, if there is one.
    pub(crate) fn shortest_interval(&self, configuration: &Configuration) -> Option<Duration> {
        let instances = configuration.instances.iter();
        instances
            .filter(|instance| self.states.get(&instance.name) == Some(&State::Master))
            .map(|instance| instance.advertisement_interval)
            .min()
    }

    /// When the addresses are to be taken away, unless a process settles before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.death.as_ref().and_then(|death| death.withdraw)
    }

    /// The addresses have been taken away: nothing is left to resume.
    pub(crate) fn withdrawn(&mut self) {
        self.states.clear();
        if let Some(death) = &mut self.death {
            death.withdraw = None;
        }
    }

    /// What a vrrp process is to be told, whether it is new or runs already.
    pub(crate) fn command(
        &mut self,
        configuration: &Configuration,
        instance: &Instance,
    ) -> Command {
        self.unconfirmed += 1;
        let resume = self.death.as_ref().map_or_else(Vec::new, |death| {
            let states = self.states.iter();
            states
                .map(|(instance, state)| Resume {
                    instance: instance.clone(),
                    state: *state,
                    died_at: death.at,
                    was_succeeded: death.is_succession,
                })
                .collect()
        });
        Command::Configure {
            instances: configuration.instances.clone(),
            sync_groups: configuration.sync_groups.clone(),
            statics: configuration.statics.clone(),
            trackers: configuration.trackers.clone(),
            pacing: configuration.pacing.clone(),
            not_before: self.not_before,
            settings: configuration.global.routers.clone(),
            own: own_settings(configuration),
            notifying: notifying(&configuration.global, instance),
            resume,
        }
    }

    /// Forgets instances that are not in the configuration any more.
    pub(crate) fn retain(&mut self, configuration: &Configuration) {
        self.states.retain(|name, _| {
            configuration
                .instances
                .iter()
                .any(|each| each.name == *name)
        });
    }

    /// Every instance of the configuration with its state in keepalived's words.
    pub(crate) fn states(&self, configuration: &Configuration) -> Vec<(String, String)> {
        let state = |name| self.states.get(name).copied().unwrap_or(State::Initialize);
        configuration
            .instances
            .iter()
            .map(|instance| (instance.name.clone(), state(&instance.name).to_string()))
            .collect()
    }
}

/// What the vrrp process has to see to itself.
fn own_settings(configuration: &Configuration) -> OwnSettings {
    let global = &configuration.global;
    let sessions = !configuration.trackers.sessions.is_empty();
    OwnSettings::of(&global.vrrp_process(sessions), global.automatic_priority)
}

/// What the vrrp process needs to know to tell others of changes.
fn notifying(global: &Global, instance: &Instance) -> Notifying {
    let fifos = [&global.notify_fifo, &global.vrrp_notify_fifo];
    Notifying {
        fifos: fifos
            .into_iter()
            .flatten()
            .map(|f| f.path.clone())
            .collect(),
        script_security: global.script_security,
        umask: global.umask,
        supplementary_groups: global.supplementary_groups,
        dump_files: dump_files(global, instance),
    }
}

/// Where the files of dumps of an instance are. keepalived-2.2.7: that of data alone has the
/// network namespace and the instance in its name.
fn dump_files(global: &Global, instance: &Instance) -> DumpFiles {
    let files = &global.dump_files;
    let name = Some(instance.name()).filter(|_| !instance.is_default());
    let namespace = global.network_namespace.as_deref();
    let parts: Vec<&str> = namespace.into_iter().chain(name).collect();
    if !global.dumps_by_instance || parts.is_empty() {
        return files.clone();
    }
    DumpFiles {
        data: with_name(&files.data, &parts.join("_")),
        ..files.clone()
    }
}

/// The path with a name before the end of the file's name.
fn with_name(path: &str, name: &str) -> String {
    match path.rsplit_once('.') {
        Some((stem, end)) if !end.contains('/') => format!("{stem}.{name}.{end}"),
        _ => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use elver_core::config::model::VrrpInstance;

    use super::*;

    fn changed(state: State) -> Notice {
        Notice::StateChanged {
            instance: "VI_1".to_owned(),
            state,
            priority: 100,
        }
    }

    fn resumed(routers: &mut VirtualRouters) -> Vec<Resume> {
        match routers.command(&Configuration::default(), &"test".parse().unwrap()) {
            Command::Configure { resume, .. } => resume,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_of_data_has_the_namespace_and_the_instance_in_its_name() {
        let data = |namespace: Option<&str>, instance: &str, is_asked_for| {
            let global = Global {
                network_namespace: namespace.map(str::to_owned),
                dumps_by_instance: is_asked_for,
                ..Global::default()
            };
            let files = dump_files(&global, &instance.parse().unwrap());
            let usual = DumpFiles::default();
            assert_eq!(
                (files.statistics, files.json),
                (usual.statistics, usual.json)
            );
            files.data
        };
        assert_eq!(data(None, "blue", true), "/tmp/keepalived.blue.data");
        assert_eq!(
            data(Some("ns"), "blue", true),
            "/tmp/keepalived.ns_blue.data"
        );
        assert_eq!(data(Some("ns"), "default", true), "/tmp/keepalived.ns.data");
        assert_eq!(data(None, "default", true), "/tmp/keepalived.data");
        assert_eq!(data(Some("ns"), "blue", false), "/tmp/keepalived.data");
        assert_eq!(with_name("/run/a.b/data", "blue"), "/run/a.b/data.blue");
    }

    #[test]
    fn a_master_that_died_is_resumed_or_withdrawn() {
        let (clock, now) = (Duration::from_secs(100), Instant::now());
        let mut routers = VirtualRouters::default();
        routers.heard(changed(State::Master));
        routers.heard(Notice::Configured);
        assert_eq!(resumed(&mut routers), [], "nothing has died");
        assert_eq!(routers.deadline(), None);

        routers.died(clock, now);
        let resume = Resume {
            instance: "VI_1".to_owned(),
            state: State::Master,
            died_at: clock,
            was_succeeded: false,
        };
        assert_eq!(resumed(&mut routers), std::slice::from_ref(&resume));
        assert_eq!(routers.deadline(), Some(now + TAKEOVER));

        // The one that was to take over dies as well: the addresses get no more time.
        let later = Duration::from_millis(60);
        routers.died(clock + later, now + later);
        assert_eq!(resumed(&mut routers), [resume]);
        assert_eq!(routers.deadline(), Some(now + TAKEOVER));

        routers.withdrawn();
        assert_eq!(resumed(&mut routers), []);
        assert_eq!(routers.deadline(), None);
        routers.heard(Notice::Configured);
        routers.died(clock, now);
        assert_eq!(routers.deadline(), None, "it held nothing");
    }

    #[test]
    fn only_the_last_of_several_configurations_settles() {
        let mut routers = VirtualRouters::default();
        for _ in 0..2 {
            routers.command(&Configuration::default(), &"test".parse().unwrap());
        }
        assert!(!routers.heard(Notice::Configured));
        assert!(!routers.heard(changed(State::Backup)));
        assert!(routers.heard(Notice::Configured));
        routers.command(&Configuration::default(), &"test".parse().unwrap());
        routers.died(Duration::ZERO, Instant::now());
        routers.command(&Configuration::default(), &"test".parse().unwrap());
        assert!(
            routers.heard(Notice::Configured),
            "the dead confirm nothing"
        );
    }

    #[test]
    fn who_takes_a_living_masters_place_has_time_until_a_peer_may() {
        let (clock, now) = (Duration::from_secs(100), Instant::now());
        let mut routers = VirtualRouters::default();
        let configuration = Configuration {
            instances: vec![VrrpInstance::new("VI_1", "eth0", 51)],
            ..Configuration::default()
        };
        let interval = configuration.instances[0].advertisement_interval;
        let states = vec![("VI_1".to_owned(), State::Master)];
        routers.succeed(states, &configuration, clock, now);
        assert_eq!(routers.deadline(), Some(now + 2 * interval));
        assert_eq!(resumed(&mut routers).len(), 1);

        let mut routers = VirtualRouters::default();
        let states = vec![("VI_1".to_owned(), State::Backup)];
        routers.succeed(states, &configuration, clock, now);
        assert_eq!(routers.deadline(), None, "it held nothing");
    }

    #[test]
    fn a_backup_that_died_holds_nothing_up() {
        let mut routers = VirtualRouters::default();
        routers.heard(changed(State::Backup));
        routers.died(Duration::from_secs(100), Instant::now());
        assert_eq!(routers.deadline(), None);
        assert_eq!(resumed(&mut routers).len(), 1);
    }
}
