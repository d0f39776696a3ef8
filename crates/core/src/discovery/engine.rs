//! What one container engine has.
//!
//! Events say which container may have changed, and nothing else is taken from them but that a
//! container has been told to end: then it gets no more connections while it still serves those
//! that it has. What a container is now is asked for. So events that were lost, doubled or late
//! do no harm: after the last one there is a question, and after every gap a list of all.
//!
//! ```text
//!          Connect ──► Connected ──► List ──► Listed
//!             ▲                      Event ──► Inspect ──► Inspected
//!             └── after a pause ◄── Lost, from anywhere
//! ```
//!
//! While the engine does not answer, what was known last holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::service::ServiceKey;

use super::claim::{Refusal, Rules, claim};
use super::{Container, Found, LabelledCheck};

/// The first pause before the engine is tried again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long a container that was told to end, and has not ended, gets no connections: longer
/// than anybody waits before killing it. Then it has taken the signal for something else.
pub const DRAIN: Duration = Duration::from_secs(300);
/// When all containers are asked for again after the first time: a stream of events does not say
/// when it begins, and by then it has.
const SECOND_LIST: Duration = Duration::from_secs(1);
/// How often all containers are asked for, in case that events were lost without a trace.
const RELIST: Duration = Duration::from_secs(60);
/// The signal that nobody survives (signal(7)).
const SIGKILL: i32 = 9;
/// The largest weight (ipvsadm(8)).
const LARGEST_WEIGHT: u32 = 65_535;

/// The number of a question, in the order of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question(u64);

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It has been asked for events, which come from now on, or from very soon.
    Connected,
    /// The engine cannot be reached, or has stopped answering.
    Lost,
    /// Something happened to a container.
    Event {
        /// Which.
        id: String,
        /// The signal, if it was sent one.
        signal: Option<i32>,
    },
    /// All containers.
    Listed(Question, Vec<Container>),
    /// A container; nothing, if there is none of that name.
    Inspected(Question, String, Option<Container>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Listen to events.
    Connect,
    /// Ask for all containers.
    List(Question),
    /// Ask for a container, by its identification.
    Inspect(Question, String),
    /// What [`Engine::found`] gives may be something else now.
    Changed,
}

/// What is known of a container.
#[derive(Debug, Clone)]
struct Known {
    /// By the answer to which question.
    asked: Question,
    /// Nothing once it is gone: kept until no older answer can come.
    container: Option<Container>,
}

/// What a container that was told to end is doing.
#[derive(Debug, Clone)]
struct Ending {
    /// Until when it gets no connections.
    until: Instant,
    /// The run that is to end: the next one is another matter.
    run: String,
}

/// One engine.
#[derive(Debug)]
pub struct Engine {
    containers: BTreeMap<String, Known>,
    /// Those who were told to end.
    ending: BTreeMap<String, Ending>,
    /// The number of the last question.
    last: u64,
    /// Questions that have no answer yet. An answer to any other is of a time before a gap.
    open: BTreeSet<Question>,
    is_listed: bool,
    pause: Duration,
    /// When the engine is tried again.
    retry: Option<Instant>,
    /// When all containers are asked for again.
    relist: Option<Instant>,
    effects: VecDeque<Effect>,
}

impl Engine {
    /// An engine of which nothing is known.
    pub fn new() -> Engine {
        Engine {
            containers: BTreeMap::new(),
            ending: BTreeMap::new(),
            last: 0,
            open: BTreeSet::new(),
            is_listed: false,
            pause: FIRST_PAUSE,
            retry: None,
            relist: None,
            effects: VecDeque::from([Effect::Connect]),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Connected => {
                self.retry = None;
                self.list();
                self.relist = Some(now + SECOND_LIST);
            }
            Input::Lost => {
                self.open.clear();
                self.relist = None;
                self.retry = Some(now + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
            Input::Event { id, signal } => self.event(now, id, signal),
            Input::Listed(question, containers) => {
                if self.open.remove(&question) {
                    self.listed(question, containers);
                }
            }
            Input::Inspected(question, id, container) => {
                if self.open.remove(&question) {
                    self.learn(question, id, container);
                    self.bury();
                    self.changed();
                }
            }
        }
    }

    /// Does what was due at [`Engine::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
            self.effects.push_back(Effect::Connect);
        }
        if self.relist.is_some_and(|at| at <= now) {
            self.list();
            self.relist = Some(now + RELIST);
        }
        let before = self.ending.len();
        self.ending.retain(|_, ending| ending.until > now);
        if self.ending.len() != before {
            self.changed();
        }
    }

    /// When [`Engine::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ending = self.ending.values().map(|ending| ending.until);
        ending.chain(self.retry).chain(self.relist).min()
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether everything that the engine has was heard of once.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The destinations that there are now, in their order, and whose labels come to nothing.
    ///
    /// Who shares an address with another, such as two containers behind one host, has the
    /// weight of both.
    pub fn found(&self, rules: &Rules) -> (Vec<Found>, Vec<(String, Refusal)>) {
        let mut found: BTreeMap<(ServiceKey, std::net::SocketAddr), Found> = BTreeMap::new();
        let mut refused = Vec::new();
        let containers = self.containers.iter();
        let containers = containers.filter_map(|(id, known)| Some((id, known.container.as_ref()?)));
        for (id, container) in containers.filter(|(_, container)| container.is_running) {
            let mut claimed = match claim(container, rules) {
                None => continue,
                Some(Ok(claimed)) => claimed,
                Some(Err(refusal)) => {
                    refused.push((container.name.clone(), refusal));
                    continue;
                }
            };
            let serves = !container.is_paused
                && container.is_healthy != Some(false)
                && !self.ending.contains_key(id);
            if !serves {
                claimed.weight = 0;
            }
            found
                .entry((claimed.service, claimed.address))
                .and_modify(|other| {
                    other.weight = (other.weight + claimed.weight).min(LARGEST_WEIGHT);
                    if claimed.check == LabelledCheck::Tcp {
                        other.check = claimed.check;
                    }
                })
                .or_insert(claimed);
        }
        (found.into_values().collect(), refused)
    }

    fn question(&mut self) -> Question {
        self.last += 1;
        let question = Question(self.last);
        self.open.insert(question);
        question
    }

    fn list(&mut self) {
        let question = self.question();
        self.effects.push_back(Effect::List(question));
    }

    fn event(&mut self, now: Instant, id: String, signal: Option<i32>) {
        let container = self.containers.get(&id);
        let container = container.and_then(|known| known.container.as_ref());
        let told = container.filter(|container| {
            signal.is_some_and(|signal| signal == container.stop_signal || signal == SIGKILL)
        });
        if let Some(container) = told {
            let run = container.run.clone();
            let until = now + DRAIN;
            self.ending.insert(id.clone(), Ending { until, run });
            self.changed();
        }
        let question = self.question();
        self.effects.push_back(Effect::Inspect(question, id));
    }

    fn listed(&mut self, question: Question, containers: Vec<Container>) {
        let there: BTreeSet<&String> = containers.iter().map(|container| &container.id).collect();
        let known = self.containers.keys();
        let gone: Vec<String> = known.filter(|id| !there.contains(id)).cloned().collect();
        for container in containers {
            self.learn(question, container.id.clone(), Some(container));
        }
        for id in gone {
            self.learn(question, id, None);
        }
        self.bury();
        self.is_listed = true;
        self.pause = FIRST_PAUSE;
        self.changed();
    }

    /// Takes over what an answer says, unless a later question has been answered before.
    fn learn(&mut self, question: Question, id: String, container: Option<Container>) {
        if self
            .containers
            .get(&id)
            .is_some_and(|known| known.asked > question)
        {
            return;
        }
        let goes_on = |ending: &Ending| {
            let container = container.as_ref();
            container.is_some_and(|container| container.is_running && container.run == ending.run)
        };
        if self.ending.get(&id).is_some_and(|ending| !goes_on(ending)) {
            self.ending.remove(&id);
        }
        let asked = question;
        self.containers.insert(id, Known { asked, container });
    }

    /// Forgets those that are gone, once no answer can speak of them that is older.
    fn bury(&mut self) {
        let oldest = self.open.first().copied();
        self.containers.retain(|_, known| {
            known.container.is_some() || oldest.is_some_and(|oldest| oldest < known.asked)
        });
    }

    fn changed(&mut self) {
        if self.effects.back() != Some(&Effect::Changed) {
            self.effects.push_back(Effect::Changed);
        }
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}
