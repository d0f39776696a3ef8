//! What is known of a container engine, over lost events, late answers and restarts: the same
//! as somebody knows who asks for a list now.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use elver_core::discovery::claim::{Place, Rules, VIP};
use elver_core::discovery::engine::{DRAIN, Effect, Engine, Input};
use elver_core::discovery::{Container, Found};
use proptest::prelude::*;

/// What happens at the engine, or between it and who watches.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A container of this number is made, if need be, and started.
    Start(u8),
    /// It is told to end, and goes on for now.
    Tell(u8),
    /// It ends.
    End(u8),
    /// It is removed, however it was.
    Remove(u8),
    /// Its health check says so.
    Health(u8, bool),
    /// It comes into a second network, or leaves it.
    Network(u8),
    /// It is paused, or goes on.
    Pause(u8),
    /// The stream breaks: events are lost until there is another.
    BreakStream,
    /// Events are lost from now on, or come again, and nobody notices.
    Deafen(bool),
    /// The oldest question is answered, as things are now; the answer is under way.
    Serve(u8),
    /// An answer that is under way arrives.
    Arrive(u8),
    /// Time passes.
    Pass(u8),
}

/// The engine itself, and what is under way between it and who watches.
struct World {
    containers: BTreeMap<u8, Container>,
    runs: u64,
    watcher: Engine,
    now: Instant,
    is_connected: bool,
    is_deaf: bool,
    questions: VecDeque<Effect>,
    answers: VecDeque<Input>,
}

fn rules() -> Rules {
    Rules {
        allowed: vec![("192.0.2.0".parse().unwrap(), 24)],
        place: Place::Here { host: Vec::new() },
    }
}

fn id(number: u8) -> String {
    format!("container{number}")
}

impl World {
    fn new() -> World {
        World {
            containers: BTreeMap::new(),
            runs: 0,
            watcher: Engine::new(),
            now: Instant::now(),
            is_connected: false,
            is_deaf: false,
            questions: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    fn list(&self) -> Vec<Container> {
        self.containers.values().cloned().collect()
    }

    fn handle(&mut self, input: Input) {
        self.watcher.handle(self.now, input);
        self.effects();
    }

    fn effects(&mut self) {
        while let Some(effect) = self.watcher.poll_effect() {
            match effect {
                Effect::Connect => {
                    self.is_connected = true;
                    self.handle(Input::Connected);
                }
                Effect::Changed => {}
                question => self.questions.push_back(question),
            }
        }
    }

    fn event(&mut self, number: u8, signal: Option<i32>) {
        if self.is_connected && !self.is_deaf {
            self.handle(Input::Event {
                id: id(number),
                signal,
            });
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        while let Some(at) = self.watcher.poll_timeout().filter(|at| *at <= self.now) {
            self.watcher.handle_timeout(at);
            self.effects();
        }
    }

    fn serve(&mut self, place: usize) {
        let Some(question) = self.questions.remove(place) else {
            return;
        };
        let answer = match question {
            Effect::List(question) => Input::Listed(question, self.list()),
            Effect::Inspect(question, id) => {
                let container = self.list().into_iter().find(|each| each.id == id);
                Input::Inspected(question, id, container)
            }
            other => panic!("{other:?} is no question"),
        };
        self.answers.push_back(answer);
    }

    fn arrive(&mut self, place: usize) {
        if let Some(answer) = self.answers.remove(place) {
            self.handle(answer);
        }
    }

    fn change(&mut self, number: u8, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(&number) {
            change(container);
            self.event(number, None);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Start(number) => {
                self.runs += 1;
                let run = self.runs.to_string();
                let container = self
                    .containers
                    .entry(number)
                    .or_insert_with(|| created(number));
                if !container.is_running {
                    container.is_running = true;
                    container.run = run;
                    self.event(number, None);
                }
            }
            Step::Tell(number) => {
                if self
                    .containers
                    .get(&number)
                    .is_some_and(|each| each.is_running)
                {
                    self.event(number, Some(15));
                }
            }
            Step::End(number) => self.change(number, |each| {
                each.is_running = false;
                each.is_paused = false;
            }),
            Step::Remove(number) => {
                if self.containers.remove(&number).is_some() {
                    self.event(number, None);
                }
            }
            Step::Health(number, is_healthy) => {
                self.change(number, |each| each.is_healthy = Some(is_healthy));
            }
            Step::Network(number) => self.change(number, |each| {
                let second = "a-second".to_owned();
                if each.networks.remove(&second).is_none() {
                    let ip = format!("10.9.0.{number}").parse().unwrap();
                    each.networks.insert(second, vec![ip]);
                }
            }),
            Step::Pause(number) => {
                self.change(number, |each| {
                    each.is_paused = each.is_running && !each.is_paused
                });
            }
            Step::BreakStream => {
                if self.is_connected {
                    self.is_connected = false;
                    self.questions.clear();
                    self.handle(Input::Lost);
                }
            }
            Step::Deafen(is_deaf) => self.is_deaf = is_deaf,
            Step::Serve(place) => self.serve(usize::from(place)),
            Step::Arrive(place) => self.arrive(usize::from(place)),
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds.into())),
        }
    }

    /// Lets everything that is under way come, and all waiting end.
    fn settle(&mut self) {
        self.pass(DRAIN + Duration::from_secs(60));
        while !self.questions.is_empty() || !self.answers.is_empty() {
            self.serve(0);
            self.arrive(0);
        }
    }
}

fn created(number: u8) -> Container {
    let labels = [(VIP, "192.0.2.10:80"), ("elver.port", "8080")];
    Container {
        id: id(number),
        name: format!("web{number}"),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        run: String::new(),
        is_running: false,
        is_paused: false,
        is_healthy: None,
        is_on_host_network: false,
        networks: BTreeMap::from([(
            "bridge".to_owned(),
            vec![format!("172.18.0.{number}").parse().unwrap()],
        )]),
        stop_signal: 15,
    }
}

/// What somebody knows who begins now.
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

fn step() -> impl Strategy<Value = Step> {
    let number = 1..6_u8;
    prop_oneof![
        4 => number.clone().prop_map(Step::Start),
        2 => number.clone().prop_map(Step::Tell),
        3 => number.clone().prop_map(Step::End),
        1 => number.clone().prop_map(Step::Remove),
        1 => (number.clone(), any::<bool>()).prop_map(|(number, is)| Step::Health(number, is)),
        1 => number.clone().prop_map(Step::Network),
        1 => number.prop_map(Step::Pause),
        1 => Just(Step::BreakStream),
        1 => any::<bool>().prop_map(Step::Deafen),
        6 => (0..3_u8).prop_map(Step::Serve),
        6 => (0..3_u8).prop_map(Step::Arrive),
        2 => (0..20_u8).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_in_the_end_it_is_what_a_fresh_list_says(
        steps in proptest::collection::vec(step(), 0..120)
    ) {
        let mut world = World::new();
        world.effects();
        for step in steps {
            world.step(step);
        }
        world.settle();
        prop_assert!(world.watcher.is_listed());
        prop_assert_eq!(world.watcher.found(&rules()).0, afresh(world.list()));
    }
}

/// 1,000 starts and ends, with the events as an engine has them (`kill`, `die`, `start`), the
/// stream broken now and then, and the answers late.
#[test]
fn a_thousand_starts_and_ends_come_to_what_a_fresh_list_says() {
    let mut world = World::new();
    world.effects();
    let mut state = 1_u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from((state >> 16) % below).unwrap()
    };
    for round in 0..1000 {
        let number = 1 + random(40);
        world.step(Step::Start(number));
        for _ in 0..random(4) {
            world.step(Step::Serve(random(3)));
            world.step(Step::Arrive(random(3)));
        }
        let number = 1 + random(40);
        world.step(Step::Tell(number));
        world.step(Step::End(number));
        if random(25) == 0 {
            world.step(Step::BreakStream);
        }
        world.step(Step::Pass(random(3)));
        if round % 100 == 99 {
            world.settle();
            let found = world.watcher.found(&rules()).0;
            assert_eq!(found, afresh(world.list()));
            assert!(found.iter().any(|found| found.weight > 0), "round {round}");
        }
    }
}

/// Between being told to end and ending it keeps its connections, and gets no others.
#[test]
fn who_is_told_to_end_drains() {
    let mut world = World::new();
    world.effects();
    world.step(Step::Start(1));
    let deliver = |world: &mut World| {
        while !world.questions.is_empty() || !world.answers.is_empty() {
            world.serve(0);
            world.arrive(0);
        }
    };
    let weights = |world: &World| -> Vec<u32> {
        let found = world.watcher.found(&rules()).0;
        found.iter().map(|found| found.weight).collect()
    };
    deliver(&mut world);
    assert_eq!(weights(&world), [1]);
    world.step(Step::Tell(1));
    assert_eq!(weights(&world), [0], "before anything is asked");
    deliver(&mut world);
    assert_eq!(weights(&world), [0]);
    world.step(Step::End(1));
    deliver(&mut world);
    assert_eq!(weights(&world), [] as [u32; 0]);
    // The next run is another matter.
    world.step(Step::Start(1));
    deliver(&mut world);
    assert_eq!(weights(&world), [1]);
    // A signal that it survives is none after a while.
    world.step(Step::Tell(1));
    deliver(&mut world);
    assert_eq!(weights(&world), [0]);
    world.pass(DRAIN);
    assert_eq!(weights(&world), [1]);
}
