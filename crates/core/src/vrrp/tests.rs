//! The transitions of one instance and of a group, as tables.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use proptest::prelude::*;

mod settings;

use super::messages::Resume;
use super::*;
use crate::config::model::{
    Announcements, Authentication, Gaps, NotifyScripts, PacedTogether, Pacing, Prefix, Route,
    RouteKind, RouterSettings, Script, Statics, SyncGroup, Tracked, TrackedScript, Tracker,
    Trackers, UnicastPeer, VirtualAddress, VrrpInstance, VrrpVersion,
};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const LOWER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HIGHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

fn instance(name: &str, vrid: u8, priority: u8) -> VrrpInstance {
    VrrpInstance {
        priority,
        authentication: Some(Authentication::Password(*b"1111\0\0\0\0")),
        virtual_addresses: vec![VirtualAddress::new(IpAddr::V4(VIP), 32)],
        ..VrrpInstance::new(name, "eth0", vrid)
    }
}

/// A machine with a clock that only moves when told.
struct Bench {
    routers: VirtualRouters,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        let start = Instant::now();
        let mut bench = Bench {
            routers: VirtualRouters::new(),
            start,
            now: start,
        };
        bench.interface("eth0", true);
        bench
    }

    fn with(instances: &[VrrpInstance], groups: &[SyncGroup]) -> Bench {
        let mut bench = Bench::new();
        bench.configure(instances, groups);
        bench
    }

    /// Does something, and tells in a line what came of it.
    fn handle(&mut self, input: Input<'_>) -> String {
        self.routers.handle(self.now, input);
        self.effects()
    }

    fn interface(&mut self, name: &str, up: bool) -> String {
        let condition = InterfaceCondition {
            up,
            ipv4: Some(OURS),
            ipv6_link_local: None,
            addresses: Vec::new(),
        };
        self.handle(Input::InterfaceChanged {
            interface: name.to_owned(),
            condition: Some(condition),
        })
    }

    fn configure(&mut self, instances: &[VrrpInstance], groups: &[SyncGroup]) -> String {
        self.handle(Input::Configure {
            instances: instances.to_vec(),
            sync_groups: groups.to_vec(),
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing: Pacing::default(),
            settings: RouterSettings::default(),
            start_delay: Duration::ZERO,
            resume: Vec::new(),
        })
    }

    fn hear(&mut self, advertisement: &Advertisement, source: Ipv4Addr) -> String {
        let envelope = Envelope {
            source: IpAddr::V4(source),
            destination: IpAddr::V4(GROUP_IPV4),
        };
        let payload = advertisement.encode(envelope);
        self.handle(Input::Received {
            interface: "eth0",
            packet: packet(&payload, source),
        })
    }

    /// Lets the next timer run out.
    fn timer(&mut self) -> String {
        match self.routers.poll_timeout() {
            None => "no timer".to_owned(),
            Some(deadline) => {
                self.now = deadline;
                self.routers.handle_timeout(deadline);
                self.effects()
            }
        }
    }

    /// The states, the next timeout from now, and the effects.
    fn effects(&mut self) -> String {
        let mut line = String::new();
        while let Some(effect) = self.routers.poll_effect() {
            let _ = match effect {
                Effect::AddRoutes { routes, .. } => write!(line, " add({} routes)", routes.len()),
                Effect::RemoveRoutes { routes, .. } => {
                    write!(line, " remove({} routes)", routes.len())
                }
                Effect::Send { payload, .. } => write!(line, " send({})", payload[2]),
                Effect::AddAddresses { .. } => write!(line, " add"),
                Effect::RemoveAddresses { addresses, .. } if addresses.is_empty() => Ok(()),
                Effect::RemoveAddresses { .. } => write!(line, " remove"),
                Effect::Announce { repeat, .. } => write!(line, " announce×{repeat}"),
                Effect::StateChanged {
                    instance, state, ..
                } => {
                    write!(line, " {instance}→{state}")
                }
                Effect::GroupStateChanged { group, state } => write!(line, " {group}→{state}"),
                Effect::Script { .. } | Effect::Notify(_) | Effect::Report(_) => Ok(()),
            };
        }
        let states: Vec<String> = self
            .routers
            .instances()
            .map(|instance| instance.state.to_string())
            .collect();
        let timer = match self.routers.poll_timeout() {
            None => "-".to_owned(),
            Some(deadline) => format!("{:.3?}", deadline - self.now),
        };
        format!("{:<7} {timer:>6} {line}", states.join(","))
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

fn packet(payload: &[u8], source: Ipv4Addr) -> Packet<'_> {
    Packet {
        source: IpAddr::V4(source),
        destination: IpAddr::V4(GROUP_IPV4),
        hop_limit: 255,
        payload,
        sealed: None,
    }
}

fn advertisement(vrid: u8, priority: u8) -> Advertisement {
    Advertisement {
        version: VrrpVersion::V2,
        virtual_router_id: vrid,
        priority,
        interval: Duration::from_secs(1),
        authentication: Some(Authentication::Password(*b"1111\0\0\0\0")),
        addresses: vec![IpAddr::V4(VIP)],
    }
}

/// A way to an instance (VRID 51, priority 100) in a state.
fn in_state(state: State, preempt: bool) -> Bench {
    let configuration = VrrpInstance {
        preempt,
        ..instance("A", 51, 100)
    };
    let mut bench = Bench::with(&[configuration], &[]);
    match state {
        State::Initialize => {
            bench.configure(&[], &[]);
        }
        State::Backup => {}
        State::Master => {
            bench.timer();
        }
        State::Fault => {
            bench.interface("eth0", false);
        }
    }
    // Between two timers, so that it shows whether one was started anew.
    bench.now += Duration::from_millis(100);
    bench
}

/// An input with a name.
type Named = (&'static str, fn(&mut Bench) -> String);

const INPUTS: [Named; 14] = [
    ("timer", |bench| bench.timer()),
    ("priority 0", |bench| {
        bench.hear(&advertisement(51, 0), HIGHER)
    }),
    ("lower priority", |bench| {
        bench.hear(&advertisement(51, 99), HIGHER)
    }),
    ("same, lower address", |bench| {
        bench.hear(&advertisement(51, 100), LOWER)
    }),
    ("same, own address", |bench| {
        bench.hear(&advertisement(51, 100), OURS)
    }),
    ("same, higher address", |bench| {
        bench.hear(&advertisement(51, 100), HIGHER)
    }),
    ("higher priority", |bench| {
        bench.hear(&advertisement(51, 101), LOWER)
    }),
    ("other password", |bench| {
        let authentication = Some(Authentication::Password(*b"2222\0\0\0\0"));
        bench.hear(
            &Advertisement {
                authentication,
                ..advertisement(51, 255)
            },
            HIGHER,
        )
    }),
    ("other VRID", |bench| {
        bench.hear(&advertisement(52, 255), HIGHER)
    }),
    ("interface down", |bench| bench.interface("eth0", false)),
    ("interface gone", |bench| {
        bench.handle(Input::InterfaceChanged {
            interface: "eth0".to_owned(),
            condition: None,
        })
    }),
    ("interface up", |bench| bench.interface("eth0", true)),
    ("address taken off", |bench| {
        let (interface, address) = ("eth0".to_owned(), IpAddr::V4(VIP));
        bench.handle(Input::AddressRemoved { interface, address })
    }),
    ("shutdown", |bench| bench.handle(Input::Shutdown)),
];

fn table(preempt: bool, expected: &Expect) {
    let mut table = String::new();
    for state in [State::Backup, State::Master, State::Fault] {
        let _ = writeln!(table, "{state}");
        for (name, input) in INPUTS {
            let mut bench = in_state(state, preempt);
            let came = input(&mut bench);
            let _ = writeln!(table, "  {name:<21} {}", came.trim_end());
        }
    }
    expected.assert_eq(&table);
}

/// RFC 3768 section 6.4, with keepalived's Fault. Columns: the input; the state after it;
/// the time to the next timer; the effects.
#[test]
fn transitions() {
    table(
        true,
        &expect![[r#"
        BACKUP
          timer                 MASTER  1.000s  send(100) add announce×5 A→MASTER
          priority 0            BACKUP  609.375ms
          lower priority        BACKUP  3.509s
          same, lower address   BACKUP  3.609s
          same, own address     BACKUP  3.609s
          same, higher address  BACKUP  3.609s
          higher priority       BACKUP  3.609s
          other password        BACKUP  3.509s
          other VRID            BACKUP  3.509s
          interface down        FAULT        -  A→FAULT
          interface gone        FAULT        -  A→FAULT
          interface up          BACKUP  3.509s
          address taken off     BACKUP  3.509s
          shutdown                           -  A→INIT
        MASTER
          timer                 MASTER  1.000s  send(100)
          priority 0            MASTER  1.000s  send(100)
          lower priority        MASTER  1.000s  send(100) announce×5
          same, lower address   MASTER  1.000s  send(100) announce×5
          same, own address     MASTER  900.000ms
          same, higher address  BACKUP  3.609s  remove A→BACKUP
          higher priority       BACKUP  3.609s  remove A→BACKUP
          other password        MASTER  900.000ms
          other VRID            MASTER  900.000ms
          interface down        FAULT        -  send(0) remove A→FAULT
          interface gone        FAULT        -  send(0) remove A→FAULT
          interface up          MASTER  900.000ms
          address taken off     MASTER  900.000ms  add announce×5
          shutdown                           -  send(0) remove A→INIT
        FAULT
          timer                 no timer
          priority 0            FAULT        -
          lower priority        FAULT        -
          same, lower address   FAULT        -
          same, own address     FAULT        -
          same, higher address  FAULT        -
          higher priority       FAULT        -
          other password        FAULT        -
          other VRID            FAULT        -
          interface down        FAULT        -
          interface gone        FAULT        -
          interface up          BACKUP  3.609s  A→BACKUP
          address taken off     FAULT        -
          shutdown                           -  A→INIT
    "#]],
    );
}

#[test]
fn transitions_without_preemption() {
    table(
        false,
        &expect![[r#"
        BACKUP
          timer                 MASTER  1.000s  send(100) add announce×5 A→MASTER
          priority 0            BACKUP  609.375ms
          lower priority        BACKUP  3.609s
          same, lower address   BACKUP  3.609s
          same, own address     BACKUP  3.609s
          same, higher address  BACKUP  3.609s
          higher priority       BACKUP  3.609s
          other password        BACKUP  3.509s
          other VRID            BACKUP  3.509s
          interface down        FAULT        -  A→FAULT
          interface gone        FAULT        -  A→FAULT
          interface up          BACKUP  3.509s
          address taken off     BACKUP  3.509s
          shutdown                           -  A→INIT
        MASTER
          timer                 MASTER  1.000s  send(100)
          priority 0            MASTER  1.000s  send(100)
          lower priority        MASTER  1.000s  send(100) announce×5
          same, lower address   MASTER  1.000s  send(100) announce×5
          same, own address     MASTER  900.000ms
          same, higher address  BACKUP  3.609s  remove A→BACKUP
          higher priority       BACKUP  3.609s  remove A→BACKUP
          other password        MASTER  900.000ms
          other VRID            MASTER  900.000ms
          interface down        FAULT        -  send(0) remove A→FAULT
          interface gone        FAULT        -  send(0) remove A→FAULT
          interface up          MASTER  900.000ms
          address taken off     MASTER  900.000ms  add announce×5
          shutdown                           -  send(0) remove A→INIT
        FAULT
          timer                 no timer
          priority 0            FAULT        -
          lower priority        FAULT        -
          same, lower address   FAULT        -
          same, own address     FAULT        -
          same, higher address  FAULT        -
          higher priority       FAULT        -
          other password        FAULT        -
          other VRID            FAULT        -
          interface down        FAULT        -
          interface gone        FAULT        -
          interface up          BACKUP  3.609s  A→BACKUP
          address taken off     FAULT        -
          shutdown                           -  A→INIT
    "#]],
    );
}

#[test]
fn starts() {
    let mut table = String::new();
    let mut start = |name: &str, bench: &mut Bench, priority: u8| {
        let came = bench.configure(&[instance("A", 51, priority)], &[]);
        let _ = writeln!(table, "{name:<21} {}", came.trim_end());
    };
    start("priority 100", &mut Bench::new(), 100);
    start("priority 255", &mut Bench::new(), 255);
    let mut bench = Bench::new();
    bench.interface("eth0", false);
    start("interface down", &mut bench, 255);
    start(
        "no interface",
        &mut Bench {
            routers: VirtualRouters::new(),
            ..Bench::new()
        },
        255,
    );
    expect![[r#"
        priority 100          BACKUP  3.609s  remove A→BACKUP
        priority 255          MASTER  1.000s  send(255) add announce×5 A→MASTER
        interface down        FAULT        -  remove A→FAULT
        no interface          FAULT        -  remove A→FAULT
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_master_announces_once_more_after_five_seconds() {
    let mut bench = in_state(State::Master, true);
    let since = bench.elapsed();
    let announced = std::iter::from_fn(|| {
        let came = bench.timer();
        Some((bench.elapsed() - since, came))
    });
    let at: Vec<Duration> = announced
        .take(20)
        .filter(|(_, came)| came.contains("announce×5"))
        .map(|(at, _)| at)
        .collect();
    // The state was entered 0.1 s before.
    assert_eq!(at, [Duration::from_millis(4_900)]);
}

/// A flood of valid advertisements must not make a flood of announcements.
#[test]
fn lower_priorities_are_answered_each_but_announced_once_an_interval() {
    let mut bench = in_state(State::Master, true);
    let answers: Vec<String> = (0..100)
        .map(|_| bench.hear(&advertisement(51, 1), LOWER))
        .collect();
    assert!(answers.iter().all(|answer| answer.contains("send(100)")));
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.contains("announce"))
            .count(),
        1
    );
}

#[test]
fn two_owners_do_not_both_stay_master() {
    let mut bench = Bench::with(&[instance("A", 51, 255)], &[]);
    let came = bench.hear(&advertisement(51, 255), LOWER);
    assert!(came.contains("A→BACKUP"), "{came}");
    assert_eq!(bench.routers.instances().next().unwrap().priority, 254);
}

#[test]
fn an_owner_that_is_told_to_listens_to_nobody() {
    let mut owner = instance("A", 51, 255);
    owner.deaf_as_owner = true;
    let mut bench = Bench::with(&[owner], &[]);
    let came = bench.hear(&advertisement(51, 255), LOWER);
    assert!(came.starts_with("MASTER "), "{came}");
    assert_eq!(bench.routers.instances().next().unwrap().priority, 255);
    // Who is no owner listens all the same.
    let mut other = instance("A", 51, 100);
    other.deaf_as_owner = true;
    let mut bench = Bench::with(&[other], &[]);
    bench.hear(&advertisement(51, 0), LOWER);
    let instance = bench.routers.instances().next().unwrap();
    assert_eq!(instance.statistics.priority_zero_received, 1);
}

/// Each check of RFC 3768 section 7.1, with the counter that it moves, and no other.
#[test]
fn checks_on_receipt() {
    type Check = (fn(&mut Advertisement), fn(&mut Packet<'_>), RejectionKind);
    let unchanged = |_: &mut Packet<'_>| {};
    let checks: [Check; 9] = [
        (
            |_| {},
            |packet| packet.hop_limit = 254,
            RejectionKind::HopLimit,
        ),
        (
            |_| {},
            |packet| packet.payload = &packet.payload[..19],
            RejectionKind::Length,
        ),
        (
            |_| {},
            |packet| packet.destination = IpAddr::V4(OURS),
            RejectionKind::AddressList,
        ),
        (
            |a| a.authentication = None,
            unchanged,
            RejectionKind::AuthenticationTypeMismatch,
        ),
        (
            |a| a.authentication = Some(Authentication::Password([0; 8])),
            unchanged,
            RejectionKind::AuthenticationFailure,
        ),
        (
            |a| a.interval = Duration::from_secs(2),
            unchanged,
            RejectionKind::Interval,
        ),
        (
            |a| a.addresses.clear(),
            unchanged,
            RejectionKind::AddressList,
        ),
        (
            |a| a.addresses = vec![IpAddr::V4(OURS)],
            unchanged,
            RejectionKind::AddressList,
        ),
        (
            |a| {
                a.version = VrrpVersion::V3;
                a.authentication = None;
            },
            unchanged,
            RejectionKind::Version,
        ),
    ];
    for (change_advertisement, change_packet, kind) in checks {
        for state in [State::Backup, State::Master] {
            let mut bench = in_state(state, true);
            let timeout = bench.routers.poll_timeout();
            let mut wrong = advertisement(51, 254);
            change_advertisement(&mut wrong);
            let payload = wrong.encode(Envelope {
                source: IpAddr::V4(HIGHER),
                destination: IpAddr::V4(GROUP_IPV4),
            });
            let mut packet = packet(&payload, HIGHER);
            change_packet(&mut packet);
            bench.handle(Input::Received {
                interface: "eth0",
                packet,
            });
            let instance = bench.routers.instances().next().unwrap();
            assert_eq!(instance.state, state, "{kind:?}");
            let rejected: Vec<_> = instance.statistics.rejected.iter().collect();
            assert_eq!(rejected, [(&kind, &1)]);
            assert_eq!(instance.statistics.advertisements_received, 0);
            assert_eq!(bench.routers.poll_timeout(), timeout, "{kind:?}");
        }
    }
}

#[test]
fn a_rejection_is_reported_once_a_minute_and_counted_always() {
    let mut bench = in_state(State::Backup, true);
    let mut reports = 0;
    for _ in 0..61 {
        let mut wrong = advertisement(51, 200);
        wrong.authentication = Some(Authentication::Password([0; 8]));
        let payload = wrong.encode(Envelope {
            source: IpAddr::V4(HIGHER),
            destination: IpAddr::V4(GROUP_IPV4),
        });
        let input = Input::Received {
            interface: "eth0",
            packet: packet(&payload, HIGHER),
        };
        bench.routers.handle(bench.now, input);
        while let Some(effect) = bench.routers.poll_effect() {
            if let Effect::Report(report) = effect {
                assert_eq!(report.to_string(), "(A) received an invalid passwd!");
                reports += 1;
            }
        }
        bench.now += Duration::from_secs(1);
    }
    assert_eq!(reports, 2);
    let instance = bench.routers.instances().next().unwrap();
    assert_eq!(
        instance.statistics.rejected[&RejectionKind::AuthenticationFailure],
        61
    );
}

fn group() -> SyncGroup {
    SyncGroup {
        weights: false,
        smtp_alert: false,
        notify: NotifyScripts::default(),
        name: "G".to_owned(),
        members: vec!["A".to_owned(), "B".to_owned()],
    }
}

/// A on eth0 with priority 100, B on eth1 with priority 150: B's timer runs out first.
fn grouped() -> Bench {
    let mut bench = Bench::new();
    bench.interface("eth1", true);
    let b = VrrpInstance {
        interface: "eth1".to_owned(),
        ..instance("B", 52, 150)
    };
    bench.configure(&[instance("A", 51, 100), b], &[group()]);
    bench
}

/// The group becomes master when the last of its members would, as with keepalived; the
/// first one waits for another down interval.
#[test]
fn a_group_becomes_master_when_every_member_would() {
    let mut bench = grouped();
    let mut table = String::new();
    for _ in 0..2 {
        let came = bench.timer();
        let _ = writeln!(table, "{:<9.3?}{}", bench.elapsed(), came.trim_end());
    }
    expect![[r#"
        3.414s   BACKUP,BACKUP 195.312ms
        3.609s   MASTER,MASTER 1.000s  send(100) add announce×5 A→MASTER send(150) add announce×5 B→MASTER G→MASTER
    "#]].assert_eq(&table);
}

#[test]
fn a_member_that_hears_its_master_holds_the_group_back() {
    let mut bench = grouped();
    for _ in 0..20 {
        bench.now += Duration::from_secs(1);
        bench.routers.handle_timeout(bench.now);
        let came = bench.hear(&advertisement(51, 200), HIGHER);
        assert!(came.starts_with("BACKUP,BACKUP"), "{came}");
    }
}

fn group_table(inputs: &[Named], expected: &Expect) {
    let mut table = String::new();
    for (name, input) in inputs {
        let mut bench = grouped();
        bench.timer();
        bench.timer();
        bench.now += Duration::from_millis(100);
        let came = input(&mut bench);
        let _ = writeln!(table, "{name:<21} {}", came.trim_end());
    }
    expected.assert_eq(&table);
}

#[test]
fn a_master_group_follows_each_member() {
    group_table(
        &[
            ("A gives way", |bench| {
                bench.hear(&advertisement(51, 101), HIGHER)
            }),
            ("A's interface fails", |bench| {
                bench.interface("eth0", false)
            }),
            ("and returns", |bench| {
                bench.interface("eth0", false);
                bench.interface("eth0", true)
            }),
            ("both fail, A returns", |bench| {
                bench.interface("eth0", false);
                bench.interface("eth1", false);
                bench.interface("eth0", true)
            }),
            ("and B too", |bench| {
                bench.interface("eth0", false);
                bench.interface("eth1", false);
                bench.interface("eth0", true);
                bench.interface("eth1", true)
            }),
            ("shutdown", |bench| bench.handle(Input::Shutdown)),
        ],
        &expect![[r#"
            A gives way           BACKUP,BACKUP 3.414s  remove A→BACKUP remove B→BACKUP G→BACKUP
            A's interface fails   FAULT,FAULT      -  send(0) remove A→FAULT send(0) remove B→FAULT G→FAULT
            and returns           BACKUP,BACKUP 3.414s  A→BACKUP B→BACKUP G→BACKUP
            both fail, A returns  FAULT,FAULT      -
            and B too             BACKUP,BACKUP 3.414s  B→BACKUP A→BACKUP G→BACKUP
            shutdown                           -  send(0) remove A→INIT send(0) remove B→INIT
        "#]],
    );
}

#[test]
fn a_new_configuration_keeps_what_is_the_same() {
    group_table(
        &[
            ("the same", |bench| {
                let b = VrrpInstance {
                    interface: "eth1".to_owned(),
                    ..instance("B", 52, 150)
                };
                bench.configure(&[instance("A", 51, 100), b], &[group()])
            }),
            ("B is gone", |bench| {
                bench.configure(&[instance("A", 51, 100)], &[])
            }),
            ("A has another VRID", |bench| {
                let b = VrrpInstance {
                    interface: "eth1".to_owned(),
                    ..instance("B", 52, 150)
                };
                bench.configure(&[instance("A", 61, 100), b], &[group()])
            }),
            ("A has a new address", |bench| {
                let mut a = instance("A", 51, 100);
                a.virtual_addresses[0].address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101));
                let b = VrrpInstance {
                    interface: "eth1".to_owned(),
                    ..instance("B", 52, 150)
                };
                bench.configure(&[a, b], &[group()])
            }),
            ("no group, B failed", |bench| {
                bench.interface("eth1", false);
                let b = VrrpInstance {
                    interface: "eth1".to_owned(),
                    ..instance("B", 52, 150)
                };
                bench.configure(&[instance("A", 51, 100), b], &[])
            }),
        ],
        &expect![[r#"
            the same              MASTER,MASTER 900.000ms
            B is gone             MASTER  900.000ms  send(0) remove B→INIT
            A has another VRID    BACKUP,BACKUP 3.414s  send(0) remove A→INIT remove A→BACKUP remove B→BACKUP G→BACKUP
            A has a new address   MASTER,MASTER 900.000ms  remove add announce×5
            no group, B failed    BACKUP,FAULT 3.609s  A→BACKUP
        "#]],
    );
}

#[test]
fn a_changed_priority_moves_the_timer_of_a_backup_by_the_difference() {
    let mut bench = in_state(State::Backup, true);
    let before = bench.routers.poll_timeout().unwrap();
    bench.configure(&[instance("A", 51, 228)], &[]);
    let after = bench.routers.poll_timeout().unwrap();
    assert_eq!(before - after, Duration::from_millis(500));
}

/// How long the process before may have been dead: at most 100 ms, and no longer than
/// leaves one interval before a peer's timer runs out.
#[test]
fn resuming() {
    let states = [
        (1_000, State::Master, 99, State::Master),
        (1_000, State::Master, 100, State::Master),
        (1_000, State::Master, 101, State::Backup),
        (1_000, State::Backup, 0, State::Backup),
        (1_000, State::Fault, 0, State::Backup),
        (50, State::Master, 50, State::Master),
        (50, State::Master, 51, State::Backup),
        (10, State::Master, 10, State::Master),
        (10, State::Master, 11, State::Backup),
    ];
    for (interval, last, elapsed, expected) in states {
        let mut configuration = instance("A", 51, 100);
        if interval < 1_000 {
            configuration.version = VrrpVersion::V3;
            configuration.authentication = None;
        }
        configuration.advertisement_interval = Duration::from_millis(interval);
        let mut bench = Bench::new();
        let last = Resume {
            instance: "A".to_owned(),
            state: last,
            died_at: Duration::ZERO,
            was_succeeded: false,
        };
        let came = bench.handle(Input::Configure {
            instances: vec![configuration],
            sync_groups: Vec::new(),
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing: Pacing::default(),
            settings: RouterSettings::default(),
            start_delay: Duration::ZERO,
            resume: vec![(last.clone(), Duration::from_millis(elapsed))],
        });
        let state = bench.routers.instances().next().unwrap().state;
        assert_eq!(state, expected, "{last:?} {elapsed} ms ago: {came}");
        if state == State::Master {
            assert!(came.contains("send(100) add A→MASTER"), "{came}");
        } else {
            assert!(came.contains("remove A→BACKUP"), "{came}");
        }
    }
}

/// On a busy machine a successor needs more than a tenth of a second to begin: an upgrade cost the
/// addresses.
#[test]
fn a_successor_may_take_as_long_as_peers_wait() {
    for (elapsed, expected) in [
        (101, State::Master),
        (900, State::Master),
        (1_001, State::Backup),
    ] {
        let mut bench = Bench::new();
        let last = Resume {
            instance: "A".to_owned(),
            state: State::Master,
            died_at: Duration::ZERO,
            was_succeeded: true,
        };
        bench.handle(Input::Configure {
            instances: vec![instance("A", 51, 100)],
            sync_groups: Vec::new(),
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing: Pacing::default(),
            settings: RouterSettings::default(),
            start_delay: Duration::ZERO,
            resume: vec![(last, Duration::from_millis(elapsed))],
        });
        let state = bench.routers.instances().next().unwrap().state;
        assert_eq!(state, expected, "{elapsed} ms");
    }
}

/// A group resumes as one, or not at all.
#[test]
fn a_group_of_which_one_member_was_not_master_does_not_resume() {
    for (last_of_b, expected) in [
        (State::Master, "MASTER,MASTER"),
        (State::Backup, "BACKUP,BACKUP"),
    ] {
        let mut bench = Bench::new();
        let resume = [("A", State::Master), ("B", last_of_b)].map(|(name, state)| {
            let last = Resume {
                instance: name.to_owned(),
                state,
                died_at: Duration::ZERO,
                was_succeeded: false,
            };
            (last, Duration::from_millis(10))
        });
        let came = bench.handle(Input::Configure {
            instances: vec![instance("A", 51, 100), instance("B", 52, 150)],
            sync_groups: vec![group()],
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing: Pacing::default(),
            settings: RouterSettings::default(),
            start_delay: Duration::ZERO,
            resume: resume.to_vec(),
        });
        assert!(came.starts_with(expected), "{came}");
    }
}

/// Removing an instance must not take away an address that another one
/// has just put there.
#[test]
fn an_address_that_moves_to_another_master_stays() {
    let mut bench = Bench::with(&[instance("A", 51, 100), instance("B", 52, 255)], &[]);
    while bench.elapsed() < Duration::from_secs(4) {
        bench.timer();
    }
    let came = bench.hear(&advertisement(51, 200), HIGHER);
    assert!(came.starts_with("BACKUP,MASTER"), "{came}");
    assert!(
        came.contains("A→BACKUP") && !came.contains("remove"),
        "{came}"
    );
}

#[test]
fn version_3_learns_the_interval_of_the_master() {
    let mut configuration = instance("A", 51, 100);
    configuration.version = VrrpVersion::V3;
    configuration.authentication = None;
    let mut bench = Bench::with(&[configuration], &[]);
    let mut heard = advertisement(51, 200);
    heard.version = VrrpVersion::V3;
    heard.authentication = None;
    heard.interval = Duration::from_millis(100);
    bench.hear(&heard, HIGHER);
    let timeout = bench.routers.poll_timeout().unwrap() - bench.now;
    assert_eq!(
        timeout,
        timers::master_down_interval(VrrpVersion::V3, 100, heard.interval, 3)
    );
}

/// What comes of hearing an advertisement, as the instance of [`in_state`] with another
/// configuration.
fn heard_with(
    state: State,
    change: impl Fn(&mut VrrpInstance),
    priority: u8,
    source: Ipv4Addr,
) -> String {
    let mut bench = in_state(state, true);
    let mut configuration = instance("A", 51, 100);
    change(&mut configuration);
    bench.configure(&[configuration], &[]);
    bench.hear(&advertisement(51, priority), source)
}

#[test]
fn a_lower_priority_is_answered_only_where_it_should_be() {
    let silent = |configuration: &mut VrrpInstance| configuration.answer_lower_priority = false;
    let came = heard_with(State::Master, silent, 99, HIGHER);
    assert_eq!(came, "MASTER  900.000ms  announce×5");
    let quiet = |configuration: &mut VrrpInstance| {
        configuration.announcements.lower_priority_repeat = 0;
    };
    let came = heard_with(State::Master, quiet, 99, HIGHER);
    assert_eq!(came, "MASTER  1.000s  send(100)");
}

#[test]
fn a_master_that_gives_way_may_advertise_once_more() {
    let polite = |configuration: &mut VrrpInstance| configuration.advertise_before_yielding = true;
    let came = heard_with(State::Master, polite, 101, HIGHER);
    assert_eq!(came, "BACKUP  3.609s  send(100) remove A→BACKUP");
}

#[test]
fn the_down_timer_counts_as_many_advertisements_as_configured() {
    let patient = |configuration: &mut VrrpInstance| configuration.down_timer_advertisements = 10;
    let came = heard_with(State::Backup, patient, 200, HIGHER);
    assert_eq!(came, "BACKUP  10.609s ");
}

/// The first advertisement of a lower priority starts the delay; while it lasts, that
/// master is as good as any.
#[test]
fn preemption_waits_for_its_delay() {
    let configuration = VrrpInstance {
        preempt_delay: Duration::from_millis(2_500),
        ..instance("A", 51, 100)
    };
    let mut bench = Bench::with(&[configuration], &[]);
    let start = bench.now;
    for second in 1..=4 {
        bench.now = start + Duration::from_secs(second);
        let came = bench.hear(&advertisement(51, 50), HIGHER);
        let timeout = if second == 4 { "2.609s" } else { "3.609s" };
        assert_eq!(came, format!("BACKUP  {timeout} "), "second {second}");
    }
    assert!(bench.timer().starts_with("MASTER"));

    // A master that need not be preempted ends the delay.
    let mut bench = Bench::with(
        &[VrrpInstance {
            preempt_delay: Duration::from_millis(2_500),
            ..instance("A", 51, 100)
        }],
        &[],
    );
    let start = bench.now;
    for (second, priority) in [(1, 50), (2, 150), (3, 50), (4, 50), (5, 50)] {
        bench.now = start + Duration::from_secs(second);
        let came = bench.hear(&advertisement(51, priority), HIGHER);
        assert_eq!(came, "BACKUP  3.609s ", "second {second}");
    }
}

#[test]
fn announcements_come_when_they_are_configured() {
    let announcing = |change: fn(&mut Announcements)| {
        let mut configuration = instance("A", 51, 100);
        change(&mut configuration.announcements);
        let mut bench = Bench::with(&[configuration], &[]);
        let start = bench.now;
        let mut times = Vec::new();
        while bench.now < start + Duration::from_secs(13) {
            let came = bench.timer();
            if let Some(at) = came.find("announce×") {
                let repeat = came[at..].split_whitespace().next().unwrap().to_owned();
                times.push(((bench.now - start).as_millis(), repeat));
            }
        }
        format!("{times:?}")
    };
    assert_eq!(
        announcing(|_| {}),
        r#"[(3609, "announce×5"), (8609, "announce×5")]"#
    );
    assert_eq!(
        announcing(|a| a.delay = Duration::ZERO),
        r#"[(3609, "announce×5")]"#
    );
    assert_eq!(
        announcing(|a| {
            a.repeat = 2;
            a.refresh = Duration::from_secs(4);
        }),
        r#"[(3609, "announce×2"), (7609, "announce×1"), (8609, "announce×2"), (11609, "announce×1")]"#
    );
}

fn unicast(change: impl Fn(&mut VrrpInstance)) -> Bench {
    let mut configuration = instance("A", 51, 100);
    configuration.unicast_peers = [HIGHER, LOWER]
        .map(|address| UnicastPeer {
            address: IpAddr::V4(address),
            least_hop_limit: 0,
            most_hop_limit: 255,
        })
        .to_vec();
    change(&mut configuration);
    Bench::with(&[configuration], &[])
}

#[test]
fn advertisements_go_to_every_peer_and_not_to_the_group() {
    let mut bench = unicast(|configuration| configuration.source = Some(IpAddr::V4(OURS)));
    bench.now = bench.routers.poll_timeout().unwrap();
    bench.routers.handle_timeout(bench.now);
    let mut sent = Vec::new();
    while let Some(effect) = bench.routers.poll_effect() {
        if let Effect::Send {
            source,
            destination,
            ..
        } = effect
        {
            sent.push((source, destination));
        }
    }
    let ours = IpAddr::V4(OURS);
    assert_eq!(sent, [(ours, HIGHER.into()), (ours, LOWER.into())]);
}

#[test]
fn peers_are_held_to_their_addresses_and_bounds() {
    const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
    let cases = [
        // Checked and bounded, source, destination, TTL → taken.
        (false, HIGHER, OURS, 64, true),
        (false, STRANGER, OURS, 64, true),
        (false, HIGHER, GROUP_IPV4, 255, false),
        (true, HIGHER, OURS, 250, true),
        (true, HIGHER, OURS, 249, false),
        (true, LOWER, OURS, 1, true),
        (true, STRANGER, OURS, 255, false),
    ];
    for (strict, source, destination, hop_limit, taken) in cases {
        let mut bench = unicast(|configuration| {
            configuration.check_unicast_source = strict;
            configuration.unicast_peers[0].least_hop_limit = if strict { 250 } else { 0 };
        });
        let envelope = Envelope {
            source: IpAddr::V4(source),
            destination: IpAddr::V4(destination),
        };
        let payload = advertisement(51, 200).encode(envelope);
        bench.handle(Input::Received {
            interface: "eth0",
            packet: Packet {
                source: envelope.source,
                destination: envelope.destination,
                hop_limit,
                payload: &payload,
                sealed: None,
            },
        });
        let statistics = bench.routers.instances().next().unwrap().statistics.clone();
        assert_eq!(
            (
                statistics.advertisements_received,
                statistics.rejected.values().sum::<u64>()
            ),
            (u64::from(taken), u64::from(!taken)),
            "{source} → {destination}, {hop_limit}"
        );
    }
}

#[test]
fn a_known_master_may_change_its_addresses_where_that_is_skipped() {
    for (trust, expected) in [(false, 1), (true, 2)] {
        let configuration = VrrpInstance {
            trust_known_master: trust,
            ..instance("A", 51, 100)
        };
        let mut bench = Bench::with(&[configuration], &[]);
        bench.hear(&advertisement(51, 200), HIGHER);
        let mut other = advertisement(51, 200);
        other.addresses.push(IpAddr::V4(OURS));
        bench.hear(&other, HIGHER);
        bench.hear(&other, LOWER);
        let instance = bench.routers.instances().next().unwrap();
        assert_eq!(instance.statistics.advertisements_received, expected);
    }
}

#[test]
fn an_interface_that_is_not_tracked_may_go_down() {
    let configuration = VrrpInstance {
        track_primary: false,
        ..instance("A", 51, 100)
    };
    let mut bench = Bench::with(&[configuration], &[]);
    assert!(bench.interface("eth0", false).starts_with("BACKUP"));
}

#[test]
fn excluded_addresses_are_held_and_not_advertised() {
    let excluded: IpAddr = "fd00::1".parse().unwrap();
    let configuration = VrrpInstance {
        excluded_addresses: vec![VirtualAddress::new(excluded, 64)],
        ..instance("A", 51, 100)
    };
    let mut bench = Bench::with(&[configuration], &[]);
    bench.now = bench.routers.poll_timeout().unwrap();
    bench.routers.handle_timeout(bench.now);
    let (mut held, mut advertised) = (Vec::new(), 0);
    while let Some(effect) = bench.routers.poll_effect() {
        match effect {
            Effect::AddAddresses { addresses, .. } => {
                held.extend(addresses.into_iter().map(|held| held.address));
            }
            Effect::Send { payload, .. } => advertised = payload[3],
            _ => {}
        }
    }
    assert_eq!(held, [IpAddr::V4(VIP), excluded]);
    assert_eq!(advertised, 1);
}

/// Version 3 over IPv4, as keepalived or, where the file says so, as RFC 9568 sums it.
#[test]
fn the_checksum_of_version_3_is_the_one_that_is_told() {
    for alone in [false, true] {
        let mut bench = unicast(|configuration| {
            configuration.version = VrrpVersion::V3;
            configuration.authentication = None;
            configuration.source = Some(IpAddr::V4(OURS));
            configuration.sums_message_alone = alone;
        });
        let mut sent = Vec::new();
        while sent.is_empty() {
            bench.now = bench.routers.poll_timeout().unwrap();
            bench.routers.handle_timeout(bench.now);
            while let Some(effect) = bench.routers.poll_effect() {
                if let Effect::Send { payload, .. } = effect {
                    sent.push(payload);
                }
            }
        }
        let words = sent[0]
            .chunks(2)
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16) == 0xffff, alone);
    }
}

fn script(name: &str) -> TrackedScript {
    TrackedScript {
        name: name.to_owned(),
        script: Script {
            command: vec!["/bin/true".to_owned()],
            user: None,
        },
        interval: Duration::from_millis(300),
        timeout: Duration::from_millis(300),
        rise: 1,
        fall: 1,
        starts_failed: false,
    }
}

/// An instance that tracks a script with a weight, in a machine that has just begun.
fn tracking(weight: i16) -> Bench {
    let mut configuration = instance("A", 51, 100);
    configuration.tracked = vec![Tracked {
        tracker: Tracker::Script("s".to_owned()),
        weight,
        reverse: false,
    }];
    let mut bench = Bench::new();
    bench.handle(Input::Configure {
        instances: vec![configuration],
        sync_groups: Vec::new(),
        statics: Statics::default(),
        trackers: Trackers {
            scripts: vec![script("s")],
            ..Trackers::default()
        },
        pacing: Pacing::default(),
        settings: RouterSettings::default(),
        start_delay: Duration::ZERO,
        resume: Vec::new(),
    });
    bench
}

/// Lets the script run when it is due, and end at once.
fn outcome(bench: &mut Bench, succeeded: bool) -> String {
    loop {
        bench.now = bench.routers.poll_timeout().unwrap();
        bench.routers.handle_timeout(bench.now);
        let mut runs = false;
        while let Some(effect) = bench.routers.poll_effect() {
            runs |= matches!(
                effect,
                Effect::Script {
                    action: ScriptAction::Run,
                    ..
                }
            );
        }
        if runs {
            return bench.handle(Input::ScriptEnded {
                name: "s",
                succeeded,
            });
        }
    }
}

fn state_and_priority(bench: &Bench) -> (State, u8) {
    let instance = bench.routers.instances().next().unwrap();
    (instance.state, instance.priority)
}

#[test]
fn an_instance_begins_when_its_scripts_have_run() {
    let mut bench = tracking(0);
    assert_eq!(state_and_priority(&bench), (State::Initialize, 100));
    assert!(outcome(&mut bench, true).contains("A→BACKUP"));
    let mut bench = tracking(0);
    assert!(outcome(&mut bench, false).contains("A→FAULT"));
    assert!(outcome(&mut bench, true).contains("A→BACKUP"));
}

#[test]
fn a_script_without_weight_takes_a_master_to_fault() {
    let mut bench = tracking(0);
    for _ in 0..20 {
        outcome(&mut bench, true);
    }
    assert_eq!(state_and_priority(&bench), (State::Master, 100));
    let came = outcome(&mut bench, false);
    assert!(came.contains("send(0) remove A→FAULT"), "{came}");
}

#[test]
fn a_weight_changes_the_priority_and_what_is_left_of_the_down_timer() {
    let mut bench = tracking(-60);
    outcome(&mut bench, true);
    assert_eq!(state_and_priority(&bench), (State::Backup, 100));
    outcome(&mut bench, false);
    assert_eq!(state_and_priority(&bench), (State::Backup, 40));
    for _ in 0..20 {
        outcome(&mut bench, false);
    }
    assert_eq!(state_and_priority(&bench), (State::Master, 40));
    let came = bench.hear(&advertisement(51, 50), LOWER);
    assert!(came.contains("A→BACKUP"), "{came}");
}

#[test]
fn a_tracked_interface_counts_like_a_script() {
    let mut configuration = instance("A", 51, 100);
    configuration.tracked = ["eth1", "eth2"]
        .map(|name| Tracked {
            tracker: Tracker::Interface(name.to_owned()),
            weight: if name == "eth1" { 0 } else { 20 },
            reverse: false,
        })
        .to_vec();
    let mut bench = Bench::with(&[configuration], &[]);
    assert_eq!(state_and_priority(&bench), (State::Fault, 100));
    bench.interface("eth2", true);
    bench.interface("eth1", true);
    assert_eq!(state_and_priority(&bench), (State::Backup, 120));
    bench.interface("eth1", false);
    assert_eq!(state_and_priority(&bench), (State::Fault, 120));
}

/// Something that may happen to a group of two, at any time.
#[derive(Debug, Clone)]
enum Happening {
    Wait(Duration),
    Hear {
        vrid: u8,
        priority: u8,
        source: u8,
        damage: Option<(usize, u8)>,
    },
    Interface {
        number: u8,
        up: bool,
    },
    AddressRemoved,
    Configure {
        grouped: bool,
        priority: u8,
        preempt: bool,
        both: bool,
    },
    Shutdown,
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let damage = proptest::option::weighted(0.2, (0usize..20, any::<u8>()));
    prop_oneof![
        6 => (0u64..5_000).prop_map(|wait| Happening::Wait(Duration::from_millis(wait))),
        6 => (51u8..53, any::<u8>(), any::<u8>(), damage).prop_map(
            |(vrid, priority, source, damage)| Happening::Hear { vrid, priority, source, damage }
        ),
        3 => (0u8..2, any::<bool>()).prop_map(|(number, up)| Happening::Interface { number, up }),
        1 => Just(Happening::AddressRemoved),
        2 => (any::<bool>(), 1u8..=255, any::<bool>(), any::<bool>()).prop_map(
            |(grouped, priority, preempt, both)| Happening::Configure {
                grouped, priority, preempt, both
            }
        ),
        1 => Just(Happening::Shutdown),
    ]
}

fn apply(bench: &mut Bench, happening: &Happening) {
    match happening {
        Happening::Wait(time) => {
            let end = bench.now + *time;
            while let Some(deadline) = bench.routers.poll_timeout().filter(|at| *at <= end) {
                bench.now = deadline.max(bench.now);
                bench.routers.handle_timeout(bench.now);
                assert!(
                    bench
                        .routers
                        .poll_timeout()
                        .is_none_or(|next| next > bench.now)
                );
            }
            bench.now = end;
        }
        Happening::Hear {
            vrid,
            priority,
            source,
            damage,
        } => {
            let source = Ipv4Addr::new(10, 0, 0, *source);
            let envelope = Envelope {
                source: IpAddr::V4(source),
                destination: IpAddr::V4(GROUP_IPV4),
            };
            let mut payload = advertisement(*vrid, *priority).encode(envelope);
            if let Some((position, octet)) = damage {
                payload[*position] = *octet;
            }
            let interface = if *vrid == 51 { "eth0" } else { "eth1" };
            let packet = packet(&payload, source);
            bench
                .routers
                .handle(bench.now, Input::Received { interface, packet });
        }
        Happening::Interface { number, up } => {
            let condition = InterfaceCondition {
                up: *up,
                ipv4: Some(OURS),
                ipv6_link_local: None,
                addresses: Vec::new(),
            };
            let input = Input::InterfaceChanged {
                interface: format!("eth{number}"),
                condition: Some(condition),
            };
            bench.routers.handle(bench.now, input);
        }
        Happening::AddressRemoved => {
            let (interface, address) = ("eth0".to_owned(), IpAddr::V4(VIP));
            bench
                .routers
                .handle(bench.now, Input::AddressRemoved { interface, address });
        }
        Happening::Configure {
            grouped,
            priority,
            preempt,
            both,
        } => {
            let mut instances = vec![VrrpInstance {
                preempt: *preempt,
                ..instance("A", 51, *priority)
            }];
            if *both {
                let mut b = instance("B", 52, *priority);
                b.interface = "eth1".to_owned();
                instances.push(b);
            }
            let sync_groups = if *grouped { vec![group()] } else { Vec::new() };
            let input = Input::Configure {
                instances,
                sync_groups,
                statics: Statics::default(),
                trackers: Trackers::default(),
                pacing: Pacing::default(),
                settings: RouterSettings::default(),
                start_delay: Duration::ZERO,
                resume: Vec::new(),
            };
            bench.routers.handle(bench.now, input);
        }
        Happening::Shutdown => bench.routers.handle(bench.now, Input::Shutdown),
    }
}

proptest! {
    /// Whatever happens: an address is on its interface if and only if its instance is
    /// master; members of a group are in one state; a master advertises within an interval
    /// and a backup waits no longer than its down interval; Fault is where an interface is
    /// down and nowhere else.
    #[test]
    fn whatever_happens(happenings in proptest::collection::vec(any_happening(), 0..60)) {
        let mut bench = Bench::new();
        bench.interface("eth1", true);
        let mut held = std::collections::BTreeSet::new();
        let mut up = [true, true];
        for happening in &happenings {
            apply(&mut bench, happening);
            if let Happening::Interface { number, up: now } = happening {
                up[usize::from(*number)] = *now;
            }
            while let Some(effect) = bench.routers.poll_effect() {
                match effect {
                    Effect::AddAddresses { addresses, .. } => held.extend(addresses),
                    Effect::RemoveAddresses { addresses, .. } => {
                        held.retain(|address| !addresses.contains(address));
                    }
                    _ => {}
                }
            }
            let instances: Vec<_> = bench.routers.instances().collect();
            let should_be: std::collections::BTreeSet<_> = instances
                .iter()
                .filter(|instance| instance.state == State::Master)
                .flat_map(InstanceView::addresses)
                .collect();
            prop_assert_eq!(&held, &should_be);
            let grouped = bench.routers.groups().next().is_some();
            if grouped && instances.len() == 2 {
                prop_assert_eq!(instances[0].state, instances[1].state);
            }
            for (position, instance) in instances.iter().enumerate() {
                let fellow_is_down = grouped && instances.len() == 2 && !up[1 - position];
                prop_assert_eq!(instance.state == State::Fault, !up[position] || fellow_is_down);
            }
            if instances.iter().any(|instance| instance.state != State::Fault) {
                let timeout = bench.routers.poll_timeout();
                prop_assert!(timeout.is_some_and(|at| at <= bench.now + Duration::from_secs(4)));
            }
        }
    }
}

/// A route to a network that is 10.0.N.0/24.
fn route(number: u8) -> Route {
    Route {
        kind: RouteKind::Blackhole,
        ..Route::to(Prefix {
            address: Ipv4Addr::new(10, 0, number, 0).into(),
            length: 24,
        })
    }
}

#[test]
fn routes_go_with_the_addresses_and_come_back_when_they_vanish() {
    let mut bench = Bench::new();
    let with = |bench: &mut Bench, routes: &[u8]| {
        let mut configuration = instance("A", 51, 255);
        configuration.routes = routes.iter().copied().map(route).collect();
        bench.configure(&[configuration], &[])
    };
    let started = with(&mut bench, &[1]);
    assert!(started.contains(" add add(1 routes) announce"), "{started}");
    let reloaded = with(&mut bench, &[2, 3]);
    assert!(
        reloaded.contains(" remove(1 routes) add(2 routes)"),
        "{reloaded}"
    );

    // However many changes there are, one look follows them, a moment later.
    for _ in 0..3 {
        assert!(!bench.handle(Input::RoutesChanged).contains("routes)"));
    }
    bench.now = bench.routers.poll_timeout().unwrap();
    bench.routers.handle_timeout(bench.now);
    let looked = bench.effects();
    assert!(looked.contains(" add(2 routes)"), "{looked}");
    let left = bench.handle(Input::Shutdown);
    assert!(left.contains(" remove(2 routes) remove"), "{left}");
    bench.handle(Input::RoutesChanged);
    assert_eq!(bench.routers.poll_timeout(), None);
}

impl Bench {
    /// As [`Bench::configure`], with what is said for all instances.
    fn configure_all(
        &mut self,
        instances: &[VrrpInstance],
        pacing: Pacing,
        start_delay: Duration,
    ) -> String {
        self.handle(Input::Configure {
            instances: instances.to_vec(),
            sync_groups: Vec::new(),
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing,
            settings: RouterSettings::default(),
            start_delay,
            resume: Vec::new(),
        })
    }
}

#[test]
fn nobody_becomes_master_before_the_delay_of_the_start_is_over() {
    let delay = Duration::from_secs(5);
    for (priority, expected) in [(255, 5.0), (100, 5.0 + 3.609_375)] {
        let mut bench = Bench::new();
        let configuration = instance("A", 51, priority);
        bench.configure_all(&[configuration], Pacing::default(), delay);
        assert_eq!(
            bench.routers.instances().next().unwrap().state,
            State::Backup
        );
        if priority < 255 {
            // What happens meanwhile changes nothing.
            bench.hear(&advertisement(51, 0), LOWER);
            bench.interface("eth0", false);
            bench.interface("eth0", true);
        }
        let line = bench.timer();
        assert!(line.starts_with("MASTER"), "{line}");
        assert_eq!(bench.elapsed().as_secs_f64(), expected);
    }
}

#[test]
fn a_tracked_source_is_one_that_this_host_has() {
    let mut bench = Bench::new();
    let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 77));
    let mut configuration = instance("A", 51, 100);
    configuration.source = Some(source);
    configuration.track_source = true;
    let line = bench.configure(&[configuration], &[]);
    assert!(line.starts_with("FAULT"), "{line}");
    for (addresses, state) in [(vec![source], "BACKUP"), (vec![], "FAULT")] {
        let condition = InterfaceCondition {
            up: true,
            ipv4: Some(OURS),
            ipv6_link_local: None,
            addresses,
        };
        let line = bench.handle(Input::InterfaceChanged {
            interface: "eth0".to_owned(),
            condition: Some(condition),
        });
        assert!(line.starts_with(state), "{line}");
    }
}

#[test]
fn an_instance_listens_to_its_own_group() {
    let mut bench = Bench::new();
    let mut configuration = instance("A", 51, 100);
    configuration.multicast_group = Some(Ipv4Addr::new(224, 0, 0, 30).into());
    bench.configure(&[configuration], &[]);
    bench.now += Duration::from_secs(1);
    // Sent to the usual group.
    let line = bench.hear(&advertisement(51, 200), HIGHER);
    assert!(line.contains("2.609s"), "{line}");
}

/// The times of announcements, in milliseconds, and their last octets, until no timer but that of
/// a master is left.
fn announced(bench: &mut Bench, until: Duration) -> Vec<(u128, u8)> {
    let mut announced = Vec::new();
    let end = bench.now + until;
    while let Some(at) = bench.routers.poll_timeout().filter(|at| *at <= end) {
        bench.now = at;
        bench.routers.handle_timeout(at);
        while let Some(effect) = bench.routers.poll_effect() {
            if let Effect::Announce {
                addresses, repeat, ..
            } = effect
            {
                assert_eq!((addresses.len(), repeat), (1, 1));
                let IpAddr::V4(address) = addresses[0].address else {
                    panic!("{addresses:?}");
                };
                announced.push((bench.elapsed().as_millis(), address.octets()[3]));
            }
        }
    }
    announced
}

#[test]
fn announcements_of_a_group_of_interfaces_share_a_gap() {
    let gaps = Gaps {
        gratuitous_arp: Duration::from_millis(200),
        neighbour_advertisement: Duration::ZERO,
    };
    let pacing = Pacing {
        usual: Gaps::default(),
        groups: vec![PacedTogether {
            interfaces: vec!["eth0".to_owned(), "eth1".to_owned()],
            gaps,
        }],
    };
    let mut bench = Bench::new();
    bench.interface("eth1", true);
    let on = |name: &str, interface: &str, octet: u8| {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, octet));
        let mut configuration = instance(name, octet, 100);
        interface.clone_into(&mut configuration.interface);
        configuration.virtual_addresses = vec![VirtualAddress::new(address, 32)];
        configuration.announcements.repeat = 2;
        configuration
    };
    let instances = [on("A", "eth0", 100), on("B", "eth1", 101)];
    bench.configure_all(&instances, pacing, Duration::ZERO);
    let got = announced(&mut bench, Duration::from_secs(5));
    let expected = [(3609, 100), (3809, 100), (4009, 101), (4209, 101)];
    // The second instance is master in the same moment, and waits for the first one's gap.
    assert_eq!(got.len(), 4, "{got:?}");
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got.0, expected.0, "{got:?}");
    }

    // What waits and is not held any more is not announced.
    let second = announced(&mut bench, Duration::from_millis(4300));
    assert!(!second.is_empty() && second.len() < 4, "{second:?}");
    bench.interface("eth0", false);
    bench.interface("eth1", false);
    assert_eq!(announced(&mut bench, Duration::from_secs(5)), []);
}

/// What a router with an authentication header sends, by itself.
fn sealed_packets(priority: u8, sends: usize) -> Vec<Vec<u8>> {
    let mut bench = Bench::new();
    let mut configuration = instance("A", 51, priority);
    configuration.authentication = Some(Authentication::Header(*b"secret\0\0"));
    bench.configure(&[configuration], &[]);
    let mut packets = Vec::new();
    while packets.len() < sends {
        bench.now = bench.routers.poll_timeout().unwrap();
        bench.routers.handle_timeout(bench.now);
        while let Some(effect) = bench.routers.poll_effect() {
            if let Effect::Send {
                payload, sealed, ..
            } = effect
            {
                assert!(sealed);
                packets.push(payload);
            }
        }
    }
    packets
}

#[test]
fn an_authentication_header_counts_once_and_only_as_it_was_made() {
    let packets = sealed_packets(200, 3);
    let mut bench = Bench::new();
    let mut configuration = instance("A", 51, 100);
    configuration.authentication = Some(Authentication::Header(*b"secret\0\0"));
    bench.configure(&[configuration], &[]);
    let hear = |bench: &mut Bench, sealed: Option<&[u8]>, payload: &[u8]| {
        bench.now += Duration::from_millis(100);
        let packet = Packet {
            sealed,
            ..packet(payload, HIGHER)
        };
        bench.handle(Input::Received {
            interface: "eth0",
            packet,
        });
        let instance = bench.routers.instances().next().unwrap();
        let counted = &instance.statistics.rejected;
        let of = |kind| counted.get(&kind).copied().unwrap_or(0);
        (
            instance.statistics.advertisements_received,
            of(RejectionKind::AuthenticationFailure),
            of(RejectionKind::AuthenticationTypeMismatch),
        )
    };
    let payload = |packet: &[u8]| packet[SEALED_FROM..].to_vec();
    let [first, second, third] = &packets[..] else {
        panic!("{packets:?}");
    };
    let whole = |bench: &mut Bench, packet: &[u8]| hear(bench, Some(packet), &payload(packet));
    assert_eq!(whole(&mut bench, second), (1, 0, 0));
    // Again, and one that was sent before it.
    assert_eq!(whole(&mut bench, second), (1, 1, 0));
    assert_eq!(whole(&mut bench, first), (1, 2, 0));
    let mut changed = third.clone();
    changed[SEALED_FROM + 2] = 254;
    assert_eq!(hear(&mut bench, Some(&changed), &payload(third)), (1, 3, 0));
    // Without the header.
    assert_eq!(hear(&mut bench, None, &payload(third)), (1, 3, 1));
    assert_eq!(whole(&mut bench, third), (2, 3, 1));
}
