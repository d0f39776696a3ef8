//! What an engine (Docker 20.10, Debian's) has said while containers came and went: in two
//! networks, in the host's, with health checks, paused, killed, restarted and removed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, EventMessage};
use elver_core::discovery::claim::{Place, Rules};
use elver_core::discovery::engine::{DRAIN, Effect, Engine, Input};
use elver_core::discovery::{Container, Found};
use serde::Deserialize;

use super::{container_of, input_of};

/// An event, and the container that it is about as the engine described it right after.
#[derive(Deserialize)]
struct Recorded {
    event: EventMessage,
    container: Option<ContainerInspectResponse>,
}

const RECORD: &str = include_str!("../../../tests/fixtures/engine-events.jsonl");

fn rules() -> Rules {
    Rules {
        allowed: vec![("172.17.42.200".parse().unwrap(), 32)],
        place: Place::Here {
            host: vec!["172.17.42.40".parse().unwrap()],
        },
    }
}

/// The engine as far as it is known here, and who watches it.
struct World {
    containers: BTreeMap<String, Container>,
    watcher: Engine,
    now: Instant,
    questions: VecDeque<Effect>,
    /// How far the stream is behind what is so.
    is_lost: bool,
}

impl World {
    fn effects(&mut self) {
        while let Some(effect) = self.watcher.poll_effect() {
            match effect {
                Effect::Connect => {
                    self.is_lost = false;
                    self.watcher.handle(self.now, Input::Connected);
                }
                Effect::Changed => {}
                question => self.questions.push_back(question),
            }
        }
    }

    fn handle(&mut self, input: Input) {
        self.watcher.handle(self.now, input);
        self.effects();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        while let Some(at) = self.watcher.poll_timeout().filter(|at| *at <= self.now) {
            self.watcher.handle_timeout(at);
            self.effects();
        }
    }

    /// Answers the oldest question, as things are by now.
    fn answer(&mut self) {
        let answer = match self.questions.pop_front() {
            None => return,
            Some(Effect::List(question)) => Input::Listed(question, self.list()),
            Some(Effect::Inspect(question, id)) => {
                let container = self.containers.get(&id).cloned();
                Input::Inspected(question, id, container)
            }
            Some(other) => panic!("{other:?} is no question"),
        };
        self.handle(answer);
    }

    fn list(&self) -> Vec<Container> {
        self.containers.values().cloned().collect()
    }

    fn found(&self) -> Vec<Found> {
        self.watcher.found(&rules()).0
    }

    fn settle(&mut self) {
        self.pass(DRAIN + Duration::from_secs(60));
        while !self.questions.is_empty() {
            self.answer();
        }
    }
}

/// What somebody finds who begins now.
fn afresh(containers: Vec<Container>) -> Vec<Found> {
    let mut watcher = Engine::new();
    let now = Instant::now();
    assert_eq!(watcher.poll_effect(), Some(Effect::Connect));
    watcher.handle(now, Input::Connected);
    let Some(Effect::List(question)) = watcher.poll_effect() else {
        panic!("it asks for a list");
    };
    watcher.handle(now, Input::Listed(question, containers));
    watcher.found(&rules()).0
}

/// More than a thousand starts and ends: the record several times over, each time of other
/// containers, with late answers and streams that break.
#[test]
fn a_thousand_recorded_starts_and_ends_come_to_what_a_fresh_list_says() {
    let mut world = World {
        containers: BTreeMap::new(),
        watcher: Engine::new(),
        now: Instant::now(),
        questions: VecDeque::new(),
        is_lost: false,
    };
    world.effects();
    world.settle();
    let mut state = 1_u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    let (mut starts_and_ends, mut drained, mut served, mut compared) = (0, 0, 0, 0);
    for lap in 0.. {
        if starts_and_ends > 1000 {
            break;
        }
        for line in RECORD.lines() {
            let recorded: Recorded = serde_json::from_str(line).expect("a record");
            let Recorded { event, container } = recorded;
            let action = event.action.clone().unwrap_or_default();
            starts_and_ends += usize::from(matches!(&*action, "start" | "die"));
            let name = |id: &str| format!("{lap}-{id}");
            let actor = event.actor.as_ref().expect("an actor");
            let about = actor
                .attributes
                .as_ref()
                .and_then(|all| all.get("container"));
            let id = about.or(actor.id.as_ref()).expect("an id");
            match container.and_then(|said| container_of(id, said)) {
                Some(said) => {
                    let said = Container {
                        id: name(id),
                        ..said
                    };
                    world.containers.insert(name(id), said);
                }
                None => drop(world.containers.remove(&name(id))),
            }
            if let Some(Input::Event { id, signal }) = input_of(event)
                && !world.is_lost
            {
                world.handle(Input::Event {
                    id: name(&id),
                    signal,
                });
            }
            for _ in 0..random(4) {
                world.answer();
            }
            if !world.is_lost && random(60) == 0 {
                world.is_lost = true;
                world.questions.clear();
                world.handle(Input::Lost);
            }
            world.pass(Duration::from_millis(u64::from(random(700))));
            let found = world.found();
            drained += usize::from(found.iter().any(|found| found.weight == 0));
            served += usize::from(found.iter().any(|found| found.weight > 0));
            if random(40) == 0 {
                world.settle();
                assert_eq!(world.found(), afresh(world.list()), "lap {lap}, {action}");
                compared += 1;
            }
        }
        world.settle();
        assert_eq!(world.found(), afresh(world.list()), "lap {lap}");
        assert!(world.found().is_empty(), "all of them were removed");
    }
    assert!(drained > 50 && served > 500 && compared > 20);
}

/// What the record says of single containers.
#[test]
fn what_an_engine_says_is_understood() {
    let records = || {
        RECORD
            .lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
    };
    let mut signals = Vec::new();
    let (mut healthy, mut hosts, mut networks, mut paused, mut other_signals) = (0, 0, 0, 0, 0);
    for Recorded { event, container } in records() {
        let id = event
            .actor
            .as_ref()
            .and_then(|actor| actor.id.clone())
            .unwrap();
        if let Some(Input::Event {
            signal: Some(signal),
            ..
        }) = input_of(event)
        {
            signals.push(signal);
        }
        let Some(container) = container.and_then(|said| container_of(&id, said)) else {
            continue;
        };
        healthy += usize::from(container.is_healthy == Some(true));
        hosts += usize::from(container.is_on_host_network);
        other_signals += usize::from(container.stop_signal == libc::SIGUSR1);
        paused += usize::from(container.is_paused);
        let addressed = container.networks.values().filter(|all| !all.is_empty());
        networks = networks.max(addressed.count());
    }
    signals.sort_unstable();
    signals.dedup();
    assert_eq!(signals, [libc::SIGKILL, libc::SIGTERM]);
    assert!(healthy > 0 && hosts > 0 && paused > 0 && other_signals > 0);
    assert_eq!(networks, 2);
}
