//! A router of the simulation: the machine, its host, and the director beside it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use elver_core::config::model::{
    Pacing, RouterSettings, Statics, SyncGroup, Trackers, VrrpInstance,
};
use elver_core::vrrp::messages::Resume;
use elver_core::vrrp::{
    Effect, HeldAddress, Input, InterfaceCondition, Packet, State, VirtualRouters, addresses_of,
};

/// A packet on a link.
#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    pub(crate) interface: String,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) payload: Vec<u8>,
}

/// What the vrrp process of a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Running,
    /// Stopped as by SIGSTOP: its packets queue up.
    Paused,
    /// Killed; its addresses stay on the host until the director acts.
    Dead,
}

pub(crate) struct Node {
    pub(crate) instances: Vec<VrrpInstance>,
    pub(crate) groups: Vec<SyncGroup>,
    pub(crate) process: Process,
    /// The interfaces without a carrier.
    pub(crate) unplugged: BTreeSet<String>,
    /// The addresses on its interfaces.
    pub(crate) host: BTreeSet<HeldAddress>,
    /// What it has reported, and when.
    pub(crate) trace: Vec<(Duration, String)>,
    routers: VirtualRouters,
    number: u8,
    interfaces: Vec<String>,
    /// What came in while paused.
    queue: Vec<Datagram>,
    /// Its clock goes so many parts in a million too fast.
    drift: i64,
    origin: Instant,
    died_at: Option<(Duration, Vec<Resume>)>,
}

impl Node {
    pub(crate) fn new(
        number: u8,
        instances: Vec<VrrpInstance>,
        groups: Vec<SyncGroup>,
        drift: i64,
        origin: Instant,
    ) -> Node {
        let interfaces: BTreeSet<String> = instances
            .iter()
            .map(|instance| instance.interface.clone())
            .collect();
        Node {
            instances,
            groups,
            process: Process::Dead,
            unplugged: BTreeSet::new(),
            host: BTreeSet::new(),
            trace: Vec::new(),
            routers: VirtualRouters::new(),
            number,
            interfaces: interfaces.into_iter().collect(),
            queue: Vec::new(),
            drift,
            origin,
            died_at: None,
        }
    }

    fn local(&self, now: Duration) -> Instant {
        let nanos = now.as_nanos() as i128;
        let local = nanos + nanos * i128::from(self.drift) / 1_000_000;
        self.origin + Duration::from_nanos(local as u64)
    }

    /// When the machine wants to be woken, in the time of the simulation.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        if self.process != Process::Running {
            return None;
        }
        let local = self
            .routers
            .poll_timeout()?
            .duration_since(self.origin)
            .as_nanos() as i128;
        // Rounded up, so that the local clock has really reached the deadline.
        let global = local * 1_000_000 / (1_000_000 + i128::from(self.drift)) + 1_000;
        Some(Duration::from_nanos(global as u64))
    }

    pub(crate) fn state_of(&self, instance: usize) -> State {
        let running = self
            .routers
            .instances()
            .nth(instance)
            .map(|instance| instance.state);
        running.unwrap_or(State::Initialize)
    }

    /// Whether it can be expected to be master of something.
    pub(crate) fn is_able(&self) -> bool {
        self.unplugged.is_empty() && self.process == Process::Running
    }

    /// A process starts, with what the director knows of one that died.
    pub(crate) fn start(&mut self, now: Duration) -> Vec<Datagram> {
        self.routers = VirtualRouters::new();
        self.process = Process::Running;
        let resume = match self.died_at.take() {
            None => Vec::new(),
            Some((died_at, last)) => last
                .into_iter()
                .map(|resume| (resume, now - died_at))
                .collect(),
        };
        let mut sent = self.tell_interfaces(now);
        let (instances, sync_groups) = (self.instances.clone(), self.groups.clone());
        sent.extend(self.handle(
            now,
            Input::Configure {
                instances,
                sync_groups,
                statics: Statics::default(),
                trackers: Trackers::default(),
                pacing: Pacing::default(),
                settings: RouterSettings::default(),
                start_delay: Duration::ZERO,
                resume,
            },
        ));
        sent
    }

    /// The same process gets its configuration again.
    pub(crate) fn reload(&mut self, now: Duration) -> Vec<Datagram> {
        let (instances, sync_groups) = (self.instances.clone(), self.groups.clone());
        self.handle(
            now,
            Input::Configure {
                instances,
                sync_groups,
                statics: Statics::default(),
                trackers: Trackers::default(),
                pacing: Pacing::default(),
                settings: RouterSettings::default(),
                start_delay: Duration::ZERO,
                resume: Vec::new(),
            },
        )
    }

    pub(crate) fn kill(&mut self, now: Duration) {
        let last = self.routers.instances().map(|instance| Resume {
            instance: instance.configuration.name.clone(),
            state: instance.state,
            died_at: now,
            was_succeeded: false,
        });
        self.died_at = Some((now, last.collect()));
        self.process = Process::Dead;
        self.queue.clear();
    }

    /// The director takes the addresses of a dead process away, as no new one has come.
    pub(crate) fn withdraw_if_dead(&mut self) {
        if self.process != Process::Dead {
            return;
        }
        let ours: Vec<HeldAddress> = self.instances.iter().flat_map(addresses_of).collect();
        self.host.retain(|held| !ours.contains(held));
    }

    pub(crate) fn stop(&mut self, now: Duration) -> Vec<Datagram> {
        let sent = self.handle(now, Input::Shutdown);
        self.process = Process::Dead;
        self.died_at = None;
        self.queue.clear();
        sent
    }

    /// Goes on after a pause: what has come in meanwhile is looked at first.
    pub(crate) fn resume(&mut self, now: Duration) -> Vec<Datagram> {
        self.process = Process::Running;
        let queue = std::mem::take(&mut self.queue);
        let mut sent = self.tell_interfaces(now);
        for datagram in queue {
            sent.extend(self.receive(now, datagram));
        }
        sent.extend(self.wake(now));
        sent
    }

    /// Pulls or plugs one of its cables.
    pub(crate) fn set_carrier(
        &mut self,
        now: Duration,
        interface: usize,
        carrier: bool,
    ) -> Vec<Datagram> {
        let name = self.interfaces[interface % self.interfaces.len()].clone();
        if carrier {
            self.unplugged.remove(&name);
        } else {
            self.unplugged.insert(name);
        }
        if self.process == Process::Running {
            self.tell_interfaces(now)
        } else {
            Vec::new()
        }
    }

    fn tell_interfaces(&mut self, now: Duration) -> Vec<Datagram> {
        let mut sent = Vec::new();
        for (position, interface) in self.interfaces.clone().into_iter().enumerate() {
            let condition = InterfaceCondition {
                up: !self.unplugged.contains(&interface),
                ipv4: Some(Ipv4Addr::new(10, 0, position as u8, self.number)),
                addresses: Vec::new(),
                ipv6_link_local: Some(Ipv6Addr::new(
                    0xfe80,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    u16::from(self.number),
                )),
            };
            let condition = Some(condition);
            sent.extend(self.handle(
                now,
                Input::InterfaceChanged {
                    interface,
                    condition,
                },
            ));
        }
        sent
    }

    pub(crate) fn receive(&mut self, now: Duration, datagram: Datagram) -> Vec<Datagram> {
        if self.unplugged.contains(&datagram.interface) {
            return Vec::new();
        }
        match self.process {
            Process::Dead => Vec::new(),
            Process::Paused => {
                // A socket's buffer is bounded.
                if self.queue.len() < 100 {
                    self.queue.push(datagram);
                }
                Vec::new()
            }
            Process::Running => {
                let packet = Packet {
                    source: datagram.source,
                    destination: datagram.destination,
                    hop_limit: 255,
                    payload: &datagram.payload,
                    sealed: None,
                };
                self.handle(
                    now,
                    Input::Received {
                        interface: &datagram.interface,
                        packet,
                    },
                )
            }
        }
    }

    /// The clock has reached what the machine waits for.
    pub(crate) fn wake(&mut self, now: Duration) -> Vec<Datagram> {
        let local = self.local(now);
        self.routers.handle_timeout(local);
        if let Some(next) = self.routers.poll_timeout() {
            assert!(
                next > local,
                "a timeout that was handled is due again at once"
            );
        }
        self.carry_out(now)
    }

    fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Datagram> {
        let local = self.local(now);
        self.routers.handle(local, input);
        self.carry_out(now)
    }

    fn carry_out(&mut self, now: Duration) -> Vec<Datagram> {
        let mut sent = Vec::new();
        while let Some(effect) = self.routers.poll_effect() {
            match effect {
                Effect::AddRoutes { .. } | Effect::RemoveRoutes { .. } => {}
                Effect::Send {
                    interface,
                    source,
                    destination,
                    payload,
                    ..
                } => {
                    sent.push(Datagram {
                        interface,
                        source,
                        destination,
                        payload,
                    });
                }
                Effect::AddAddresses { addresses, .. } => self.host.extend(addresses),
                Effect::RemoveAddresses { addresses, .. } => {
                    self.host.retain(|held| !addresses.contains(held));
                }
                Effect::Announce { addresses, .. } => {
                    for address in addresses {
                        assert!(
                            self.host.contains(&address),
                            "announced but not held: {address:?}"
                        );
                    }
                }
                Effect::Script { .. } => unreachable!("no node tracks a script"),
                Effect::Report(report) => {
                    self.trace
                        .push((now, format!("node {} {report}", self.number)));
                }
                Effect::StateChanged { .. }
                | Effect::GroupStateChanged { .. }
                | Effect::Notify(_) => {}
            }
        }
        self.assert_held_is_master();
        self.assert_groups_are_alike();
        sent.retain(|datagram| !self.unplugged.contains(&datagram.interface));
        sent
    }

    /// The members of a group never differ.
    fn assert_groups_are_alike(&self) {
        for group in &self.groups {
            let states: BTreeSet<State> = self
                .routers
                .instances()
                .filter(|instance| group.members.contains(&instance.configuration.name))
                .map(|instance| instance.state)
                .collect();
            assert!(
                states.len() <= 1,
                "node {}: members are {states:?}",
                self.number
            );
        }
    }

    /// The addresses are on the host if and only if their instance is master.
    fn assert_held_is_master(&self) {
        for instance in self.routers.instances() {
            for address in instance.addresses() {
                assert_eq!(
                    self.host.contains(&address),
                    instance.state == State::Master,
                    "node {}: {} is {}, {address:?}",
                    self.number,
                    instance.configuration.name,
                    instance.state,
                );
            }
        }
    }
}
