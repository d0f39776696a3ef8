//! Virtual routers in a simulated network: loss, delay, reordering, duplication,
//! asymmetric partitions, clocks that drift, processes that pause, die and return.
//!
//! Every run follows from its seed alone. A failure names it; the same run with a trace
//! is `ELVER_SIM_SEED=seed cargo test -p elver-core --test sim`. With `ELVER_SIM_RUNS=number`
//! there are more runs than usual.

mod network;
mod node;
mod random;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use elver_core::config::model::{
    NotifyScripts, SyncGroup, VirtualAddress, VrrpInstance, VrrpVersion,
};
use elver_core::vrrp::State;
use elver_core::vrrp::timers::master_down_interval;
use expect_test::expect;
use network::{Network, Weather};
use node::Node;
use random::Random;

/// Runs of each kind, unless more are asked for.
const RUNS: u64 = 400;

struct Kind {
    version: VrrpVersion,
    /// Two virtual routers in a group, in place of one.
    grouped: bool,
    preempt: bool,
}

struct Simulation {
    network: Network,
    interval: Duration,
    /// Virtual routers of each node.
    routers: usize,
    priorities: Vec<u8>,
    preempt: bool,
    preempt_delay: Duration,
}

fn instance(
    number: usize,
    version: VrrpVersion,
    interval: Duration,
    priority: u8,
    preempt: bool,
) -> VrrpInstance {
    VrrpInstance {
        priority,
        advertisement_interval: interval,
        version,
        virtual_addresses: vec![VirtualAddress::new(
            IpAddr::V4(Ipv4Addr::new(10, 0, number as u8, 200)),
            32,
        )],
        preempt,
        ..VrrpInstance::new(&format!("VI_{number}"), &format!("eth{number}"), 51)
    }
}

impl Simulation {
    fn new(seed: u64, kind: &Kind) -> Simulation {
        let mut random = Random::new(seed);
        let interval = match kind.version {
            VrrpVersion::V2 => Duration::from_secs(*random.choose(&[1, 1, 1, 2, 5])),
            VrrpVersion::V3 => Duration::from_millis(*random.choose(&[10, 50, 100, 500, 1000])),
        };
        let routers = if kind.grouped { 2 } else { 1 };
        let count = random.between(2, 5) as u8;
        let origin = Instant::now();
        // Sometimes equal, so that addresses decide; sometimes one owns the addresses.
        let priorities: Vec<u8> = (0..count)
            .map(|number| match random.between(0, 9) {
                0 if number == 0 && kind.preempt => 255,
                1..=4 => 100,
                _ => random.between(1, 254) as u8,
            })
            .collect();
        let preempt_delay = interval * *random.choose(&[0, 0, 1, 7]);
        let nodes = priorities.iter().zip(1..).map(|(priority, number)| {
            let instances: Vec<_> = (0..routers)
                .map(|router| VrrpInstance {
                    preempt_delay,
                    ..instance(router, kind.version, interval, *priority, kind.preempt)
                })
                .collect();
            let groups = if kind.grouped {
                let members = instances
                    .iter()
                    .map(|instance| instance.name.clone())
                    .collect();
                vec![SyncGroup {
                    weights: false,
                    smtp_alert: false,
                    notify: NotifyScripts::default(),
                    name: "VG".to_owned(),
                    members,
                }]
            } else {
                Vec::new()
            };
            let drift = random.between(0, 2_000) as i64 - 1_000;
            Node::new(number, instances, groups, drift, origin)
        });
        let nodes = nodes.collect();
        let network = Network::new(nodes, calm(interval), random);
        Simulation {
            network,
            interval,
            routers,
            priorities,
            preempt: kind.preempt,
            preempt_delay,
        }
    }

    /// Time after which a network that behaves must have settled, whatever was before:
    /// the longest down timer twice (members of a group wait for each other), and some
    /// advertisements.
    fn settling(&self) -> Duration {
        let longest = master_down_interval(VrrpVersion::V2, 1, self.interval, 3);
        longest * 2 + self.interval * 3 + self.preempt_delay
    }

    fn masters(network: &Network, router: usize, among: &[usize]) -> Vec<usize> {
        let is_master = |node: &usize| network.nodes[*node].state_of(router) == State::Master;
        among.iter().copied().filter(is_master).collect()
    }

    /// Lets the time pass in which `islands` are connected and nothing fails: after the
    /// settling, each has one master at every instant, and the right one.
    fn assert_settles(&mut self, islands: &[Vec<usize>]) {
        let settled = self.network.now + self.settling();
        self.network.run_until(settled, |_| {});
        let end = settled + self.interval * 10;
        let (routers, preempt) = (self.routers, self.preempt);
        let priorities = self.priorities.clone();
        self.network.run_until(end, |network| {
            for island in islands {
                let able: Vec<usize> = island
                    .iter()
                    .copied()
                    .filter(|node| network.nodes[*node].is_able())
                    .collect();
                if able.is_empty() {
                    continue;
                }
                let highest = able.iter().map(|node| priorities[*node]).max();
                for router in 0..routers {
                    let masters = Self::masters(network, router, &able);
                    assert_eq!(
                        masters.len(),
                        1,
                        "masters of router {router} among {able:?} at {:?}: {masters:?}\n{}",
                        network.now,
                        network.trace(),
                    );
                    if preempt {
                        assert_eq!(
                            Some(priorities[masters[0]]),
                            highest,
                            "the master is not of the highest priority\n{}",
                            network.trace()
                        );
                    }
                }
            }
        });
    }

    /// A time of trouble.
    fn disturb(&mut self) {
        let delay = self.interval * 2;
        let network = &mut self.network;
        network.weather = Weather {
            loss: *network.random.choose(&[0, 5, 30, 80]),
            duplication: *network.random.choose(&[0, 10, 50]),
            delay: network.random.up_to(delay),
        };
        for _ in 0..network.random.between(1, 12) {
            let node = network.random.between(0, network.nodes.len() as u64 - 1) as usize;
            let other = network.random.between(0, network.nodes.len() as u64 - 1) as usize;
            let while_ = network.random.up_to(self.interval * 8);
            match network.random.between(0, 8) {
                0 => network.kill(node, Duration::from_millis(5)),
                1 => network.kill(node, while_),
                2 => network.stop(node, while_),
                3 => network.pause(node, while_),
                4 => network.set_carrier(node, other, false),
                5 => network.set_carrier(node, other, true),
                6 => network.reload(node),
                7 => {
                    network.cut.remove(&(node, other));
                }
                _ => {
                    // One direction only.
                    network.cut.insert((node, other));
                }
            }
            let pause = network.random.up_to(self.interval * 3);
            let until = network.now + pause;
            network.run_until(until, |_| {});
        }
    }

    /// The nodes fall apart into two islands, each of which works.
    fn split(&mut self) -> Vec<Vec<usize>> {
        let count = self.network.nodes.len();
        let border = self.network.random.between(1, count as u64 - 1) as usize;
        let islands = vec![
            (0..border).collect::<Vec<_>>(),
            (border..count).collect::<Vec<_>>(),
        ];
        for inside in &islands[0] {
            for outside in &islands[1] {
                self.network.cut.insert((*inside, *outside));
                self.network.cut.insert((*outside, *inside));
            }
        }
        islands
    }

    fn run(seed: u64, kind: &Kind) -> Network {
        let mut simulation = Simulation::new(seed, kind);
        let everyone = vec![(0..simulation.network.nodes.len()).collect::<Vec<_>>()];
        for node in 0..simulation.network.nodes.len() {
            let later = simulation.network.random.up_to(simulation.interval * 2);
            let until = simulation.network.now + later;
            simulation.network.start(node);
            simulation.network.run_until(until, |_| {});
        }
        simulation.assert_settles(&everyone);
        for _ in 0..3 {
            simulation.disturb();
            simulation.network.heal(calm(simulation.interval));
            let islands = if simulation.network.random.percent(50) {
                simulation.split()
            } else {
                everyone.clone()
            };
            simulation.assert_settles(&islands);
        }
        simulation.network
    }
}

/// Links as they should be: whatever is sent arrives, within a tenth of an interval.
fn calm(interval: Duration) -> Weather {
    Weather {
        loss: 0,
        duplication: 0,
        delay: interval / 10,
    }
}

fn run_all(kind: &Kind) {
    replay_or_all(|seed| Simulation::run(seed, kind));
}

fn replay_or_all(run: impl Fn(u64) -> Network + std::panic::RefUnwindSafe) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let replay = number("ELVER_SIM_SEED");
    let seeds = match replay {
        Some(seed) => seed..seed + 1,
        None => 0..number("ELVER_SIM_RUNS").unwrap_or(RUNS),
    };
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        match result {
            Ok(network) if replay.is_some() => eprintln!("{}", network.trace()),
            Ok(_) => {}
            Err(panic) => {
                eprintln!("seed {seed}: replay it with ELVER_SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn one_master_version_2() {
    run_all(&Kind {
        version: VrrpVersion::V2,
        grouped: false,
        preempt: true,
    });
}

#[test]
fn one_master_version_3() {
    run_all(&Kind {
        version: VrrpVersion::V3,
        grouped: false,
        preempt: true,
    });
}

#[test]
fn one_master_without_preemption() {
    run_all(&Kind {
        version: VrrpVersion::V2,
        grouped: false,
        preempt: false,
    });
}

#[test]
fn one_master_of_a_group_version_2() {
    run_all(&Kind {
        version: VrrpVersion::V2,
        grouped: true,
        preempt: true,
    });
}

#[test]
fn one_master_of_a_group_version_3() {
    run_all(&Kind {
        version: VrrpVersion::V3,
        grouped: true,
        preempt: true,
    });
}

/// Kills the vrrp process of a master that is followed by another one at any time after
/// that. No host holds the addresses beside another at any instant: the new process goes
/// on only if no peer can have noticed, and the addresses of a dead one are taken away
/// before any peer's timer runs out. (With preemption, a peer may come at any time, and
/// find the addresses of the dead still there for up to 100 ms.)
#[test]
fn a_killed_master_never_makes_two_holders() {
    let kind = Kind {
        version: VrrpVersion::V2,
        grouped: false,
        preempt: false,
    };
    replay_or_all(|seed| {
        let mut simulation = Simulation::new(seed, &kind);
        let network = &mut simulation.network;
        // What two masters of equal priority do to each other is another matter.
        network.weather.delay = Duration::from_millis(1);
        (0..network.nodes.len()).for_each(|node| network.start(node));
        let mut until = network.now + simulation.interval * 8;
        network.run_until(until, |_| {});
        for _ in 0..20 {
            for master in network.holders(0) {
                let longest = *network.random.choose(&[
                    Duration::from_millis(100),
                    Duration::from_millis(300),
                    simulation.interval * 5,
                ]);
                let restart_after = network.random.up_to(longest);
                network.kill(master, restart_after);
            }
            until += network.random.up_to(simulation.interval * 8);
            network.run_until(until, |network| {
                let holders = network.holders(0);
                assert!(
                    holders.len() <= 1 || is_giving_way(network, &holders),
                    "held by {holders:?} at {:?}\n{}",
                    network.now,
                    network.trace()
                );
            });
        }
        simulation.network
    });
}

/// Two masters that live, of which one has just taken over by its higher priority: its
/// advertisement is on its way to the other.
fn is_giving_way(network: &Network, holders: &[usize]) -> bool {
    holders.iter().all(|node| {
        network.nodes[*node].is_able() && network.nodes[*node].state_of(0) == State::Master
    }) && network
        .nodes
        .iter()
        .flat_map(|node| &node.trace)
        .any(|(at, line)| {
            line.contains("Entering MASTER") && network.now - *at <= network.weather.delay
        })
}

/// The time from the last sign of life of a master to the next one, over links without
/// delay.
fn failover(version: VrrpVersion, interval: Duration, priority: u8, farewell: bool) -> Duration {
    let origin = Instant::now();
    let nodes = [200, priority]
        .into_iter()
        .zip(1..)
        .map(|(priority, number)| {
            let instances = vec![instance(0, version, interval, priority, true)];
            Node::new(number, instances, Vec::new(), 0, origin)
        })
        .collect();
    let weather = Weather {
        loss: 0,
        duplication: 0,
        delay: Duration::ZERO,
    };
    let mut network = Network::new(nodes, weather, Random::new(0));
    network.start(0);
    network.run_until(interval * 5, |_| {});
    network.start(1);
    // Up to an instant at which the master has just advertised.
    let wake = network.nodes[0].wake_at().unwrap();
    network.run_until(wake, |_| {});
    assert_eq!(network.holders(0), [0]);
    let last = network.now;
    let never = Duration::from_secs(1_000);
    if farewell {
        network.stop(0, never)
    } else {
        network.kill(0, never)
    }
    let mut taken = None;
    network.run_until(last + interval * 10, |network| {
        if taken.is_none() && network.holders(0).contains(&1) {
            taken = Some(network.now);
        }
    });
    // The simulation wakes a node up to two microseconds late.
    let after = taken.unwrap() - last;
    Duration::from_micros(u64::try_from(after.as_micros()).unwrap() / 10 * 10)
}

#[test]
fn failover_times() {
    let mut table = String::from("version interval priority  killed    stopped\n");
    for (version, milliseconds) in [
        (VrrpVersion::V2, 1_000),
        (VrrpVersion::V2, 5_000),
        (VrrpVersion::V3, 1_000),
        (VrrpVersion::V3, 100),
        (VrrpVersion::V3, 10),
    ] {
        for priority in [1, 100, 199] {
            let interval = Duration::from_millis(milliseconds);
            let [killed, stopped] = [false, true]
                .map(|farewell| failover(version, interval, priority, farewell).as_secs_f64());
            table += &format!(
                "{version:?}      {:>7.2}s {priority:>8} {killed:>8.5}s {stopped:>8.5}s\n",
                interval.as_secs_f64()
            );
        }
    }
    expect![[r#"
        version interval priority  killed    stopped
        V2         1.00s        1  3.99609s  0.99609s
        V2         1.00s      100  3.60937s  0.60937s
        V2         1.00s      199  3.22265s  0.22265s
        V2         5.00s        1 15.99609s  0.99609s
        V2         5.00s      100 15.60937s  0.60937s
        V2         5.00s      199 15.22265s  0.22265s
        V3         1.00s        1  3.99609s  0.99609s
        V3         1.00s      100  3.60937s  0.60937s
        V3         1.00s      199  3.22265s  0.22265s
        V3         0.10s        1  0.39961s  0.09961s
        V3         0.10s      100  0.36093s  0.06093s
        V3         0.10s      199  0.32226s  0.02226s
        V3         0.01s        1  0.03996s  0.00996s
        V3         0.01s      100  0.03609s  0.00609s
        V3         0.01s      199  0.03222s  0.00222s
    "#]]
    .assert_eq(&table);
}
