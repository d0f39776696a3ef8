//! The links between the nodes, and the time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use elver_core::vrrp::addresses_of;

use crate::node::{Datagram, Node, Process};
use crate::random::Random;

/// How badly the links behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Packets lost, in percent.
    pub(crate) loss: u64,
    /// Packets that arrive twice, in percent.
    pub(crate) duplication: u64,
    /// Packets arrive after up to this time, each after its own: so they overtake.
    pub(crate) delay: Duration,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Coming {
    Arrival { to: usize, datagram: Datagram },
    Start(usize),
    Withdraw(usize),
    Resume(usize),
}

pub(crate) struct Network {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Duration,
    pub(crate) weather: Weather,
    pub(crate) random: Random,
    /// Directions that carry nothing: from, to.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    coming: BinaryHeap<Reverse<(Duration, u64)>>,
    /// What `coming` stands for, by sequence number.
    events: std::collections::BTreeMap<u64, Coming>,
    sequence: u64,
}

impl Network {
    pub(crate) fn new(nodes: Vec<Node>, weather: Weather, random: Random) -> Network {
        Network {
            nodes,
            now: Duration::ZERO,
            weather,
            random,
            cut: BTreeSet::new(),
            coming: BinaryHeap::new(),
            events: std::collections::BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Lets time pass until `end`, looking after every step.
    pub(crate) fn run_until(&mut self, end: Duration, mut look: impl FnMut(&Network)) {
        loop {
            let wake = self
                .nodes
                .iter()
                .enumerate()
                .filter_map(|(position, node)| Some((node.wake_at()?, position)))
                .min();
            let coming = self.coming.peek().map(|Reverse((at, _))| *at);
            let next = [wake.map(|(at, _)| at), coming].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if coming == Some(next) {
                self.happen();
            } else if let Some((_, position)) = wake {
                let sent = self.guard(position, |node, now| node.wake(now));
                self.transmit(position, sent);
            }
            look(self);
        }
        self.now = end;
    }

    /// Does something with a node; if that panics, its trace is shown.
    fn guard<T>(&mut self, position: usize, act: impl FnOnce(&mut Node, Duration) -> T) -> T {
        let now = self.now;
        let node = &mut self.nodes[position];
        catch_unwind(AssertUnwindSafe(|| act(node, now))).unwrap_or_else(|panic| {
            eprintln!("{}", self.trace());
            resume_unwind(panic)
        })
    }

    /// All that the nodes have reported, in order.
    pub(crate) fn trace(&self) -> String {
        let mut lines: Vec<_> = self.nodes.iter().flat_map(|node| &node.trace).collect();
        lines.sort_by_key(|(at, _)| *at);
        let lines = lines
            .into_iter()
            .map(|(at, line)| format!("{at:>14.3?} {line}\n"));
        lines.collect()
    }

    fn happen(&mut self) {
        let Some(Reverse((_, sequence))) = self.coming.pop() else {
            return;
        };
        match self.events.remove(&sequence) {
            Some(Coming::Arrival { to, datagram }) => {
                let sent = self.guard(to, |node, now| node.receive(now, datagram));
                self.transmit(to, sent);
            }
            Some(Coming::Start(node)) => self.start(node),
            Some(Coming::Withdraw(node)) => self.nodes[node].withdraw_if_dead(),
            Some(Coming::Resume(node)) => self.resume(node),
            None => {}
        }
    }

    fn schedule(&mut self, after: Duration, coming: Coming) {
        self.sequence += 1;
        self.coming.push(Reverse((self.now + after, self.sequence)));
        self.events.insert(self.sequence, coming);
    }

    fn transmit(&mut self, from: usize, datagrams: Vec<Datagram>) {
        for datagram in datagrams {
            for to in (0..self.nodes.len()).filter(|to| *to != from) {
                if self.cut.contains(&(from, to)) || self.random.percent(self.weather.loss) {
                    continue;
                }
                let copies = 1 + u32::from(self.random.percent(self.weather.duplication));
                for _ in 0..copies {
                    let delay = self.random.up_to(self.weather.delay);
                    self.schedule(
                        delay,
                        Coming::Arrival {
                            to,
                            datagram: datagram.clone(),
                        },
                    );
                }
            }
        }
    }

    pub(crate) fn start(&mut self, node: usize) {
        if self.nodes[node].process == Process::Dead {
            let sent = self.guard(node, |node, now| node.start(now));
            self.transmit(node, sent);
        }
    }

    /// Kills a process; its director starts another one after a while, and takes the
    /// addresses away if that takes longer than 100 ms.
    pub(crate) fn kill(&mut self, node: usize, restart_after: Duration) {
        if self.nodes[node].process != Process::Dead {
            self.nodes[node].kill(self.now);
            self.schedule(Duration::from_millis(100), Coming::Withdraw(node));
            self.schedule(restart_after, Coming::Start(node));
        }
    }

    pub(crate) fn stop(&mut self, node: usize, restart_after: Duration) {
        if self.nodes[node].process == Process::Running {
            let sent = self.guard(node, |node, now| node.stop(now));
            self.transmit(node, sent);
            self.schedule(restart_after, Coming::Start(node));
        }
    }

    pub(crate) fn pause(&mut self, node: usize, duration: Duration) {
        if self.nodes[node].process == Process::Running {
            self.nodes[node].process = Process::Paused;
            self.schedule(duration, Coming::Resume(node));
        }
    }

    fn resume(&mut self, node: usize) {
        if self.nodes[node].process == Process::Paused {
            let sent = self.guard(node, |node, now| node.resume(now));
            self.transmit(node, sent);
        }
    }

    pub(crate) fn reload(&mut self, node: usize) {
        if self.nodes[node].process == Process::Running {
            let sent = self.guard(node, |node, now| node.reload(now));
            self.transmit(node, sent);
        }
    }

    pub(crate) fn set_carrier(&mut self, node: usize, interface: usize, carrier: bool) {
        let sent = self.guard(node, |node, now| node.set_carrier(now, interface, carrier));
        self.transmit(node, sent);
    }

    /// Everything works again.
    pub(crate) fn heal(&mut self, weather: Weather) {
        self.weather = weather;
        self.cut.clear();
        for node in 0..self.nodes.len() {
            self.resume(node);
            self.start(node);
            for interface in 0..self.nodes[node].instances.len() {
                self.set_carrier(node, interface, true);
            }
        }
    }

    /// The nodes whose hosts have an address of this virtual router, whether or not their
    /// processes live.
    pub(crate) fn holders(&self, router: usize) -> Vec<usize> {
        let holds = |node: &Node| {
            addresses_of(&node.instances[router])
                .iter()
                .any(|held| node.host.contains(held))
        };
        (0..self.nodes.len())
            .filter(|node| holds(&self.nodes[*node]))
            .collect()
    }
}
