use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::super::messages::{Begin, News};
use super::super::{Failure, Health};
use super::*;
use crate::config::model::{CheckPath, Connection, Probe, Timing};
use crate::service::{Protocol, ServiceKey};

fn name(host: u8) -> CheckName {
    CheckName {
        service: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: SocketAddr::from(([172, 17, 42, 200], 3306)),
        },
        real_server: SocketAddr::from(([172, 18, 42, host], 3306)),
        number: 0,
    }
}

fn assignment(host: u8) -> Assignment {
    Assignment {
        name: name(host),
        check: Check {
            connection: Connection {
                to: SocketAddr::from(([172, 18, 42, host], 22)),
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
                retries: 1,
                delay_before_retry: Duration::from_secs(2),
                warmup: Duration::from_secs(6),
                alpha: false,
                log_all_failures: false,
            },
        },
        begin: Begin::Start(Health::Up),
    }
}

fn effects(checks: &mut Checks) -> Vec<Effect> {
    std::iter::from_fn(|| checks.poll_effect()).collect()
}

fn only_attempt(checks: &mut Checks) -> Attempt {
    match effects(checks).as_slice() {
        [Effect::Ask { attempt, .. }] => *attempt,
        other => panic!("wanted one connect, saw {other:?}"),
    }
}

#[test]
fn first_checks_spread_over_the_warmup() {
    let start = Instant::now();
    let mut checks = Checks::new(1);
    checks.handle(start, Input::Configure((0..200).map(assignment).collect()));
    let mut firsts = Vec::new();
    while firsts.len() < 200 {
        let at = checks.poll_timeout().unwrap();
        checks.handle_timeout(at);
        for effect in effects(&mut checks) {
            // None is answered, so what has run out is a first check that was sent before.
            if let Effect::Ask { .. } = effect {
                firsts.push(at - start);
            }
        }
    }
    assert!(firsts[0] >= BOOTSTRAP_DELAY);
    assert!(firsts[199] <= BOOTSTRAP_DELAY + Duration::from_secs(6));
    // A fair sample of 200: no second without checks, none with more than half.
    for second in 1..7 {
        let here = firsts.iter().filter(|at| at.as_secs() == second).count();
        assert!((1..100).contains(&here), "{here} checks in second {second}");
    }
}

#[test]
fn a_check_runs_its_life() {
    let start = Instant::now();
    let mut checks = Checks::new(7);
    checks.handle(start, Input::Configure(vec![assignment(121)]));
    let first = checks.poll_timeout().unwrap();
    checks.handle_timeout(first);
    let attempt = only_attempt(&mut checks);
    checks.handle(
        first,
        Input::Ended(attempt, Outcome::Passed("connected".to_owned())),
    );
    assert_eq!(
        effects(&mut checks),
        [Effect::Report(Report {
            name: name(121),
            health: Health::Up,
            news: News::Succeeded,
            detail: "connected".to_owned(),
        })]
    );

    let second = first + Duration::from_secs(6);
    assert_eq!(checks.poll_timeout(), Some(second));
    checks.handle_timeout(second);
    let attempt = only_attempt(&mut checks);
    let refused = Outcome::Failed(Failure::Refused);
    checks.handle(second, Input::Ended(attempt, refused));
    assert_eq!(
        effects(&mut checks),
        [Effect::Report(Report {
            name: name(121),
            health: Health::Up,
            news: News::Detail,
            detail: "connection refused, retry 1 of 1 to come".to_owned(),
        })]
    );

    let third = second + Duration::from_secs(2);
    checks.handle_timeout(third);
    let attempt = only_attempt(&mut checks);
    let end = third + Duration::from_secs(3);
    assert_eq!(checks.poll_timeout(), Some(end));
    checks.handle_timeout(end);
    assert_eq!(
        effects(&mut checks),
        [
            Effect::Abandon(attempt),
            Effect::Report(Report {
                name: name(121),
                health: Health::Down,
                news: News::FailedFinally { retries: 1 },
                detail: "connection timed out".to_owned(),
            })
        ]
    );
    // The answer that comes too late is no answer.
    checks.handle(
        end,
        Input::Ended(attempt, Outcome::Passed("connected".to_owned())),
    );
    assert_eq!(effects(&mut checks), []);
    assert_eq!(checks.poll_timeout(), Some(end + Duration::from_secs(6)));
}

#[test]
fn a_reload_keeps_what_it_does_not_change() {
    let start = Instant::now();
    let mut checks = Checks::new(7);
    checks.handle(
        start,
        Input::Configure(vec![assignment(121), assignment(122)]),
    );
    let later = start + Duration::from_secs(8);
    checks.handle_timeout(later);
    let attempts: Vec<(Attempt, SocketAddr)> = effects(&mut checks)
        .iter()
        .map(|effect| match effect {
            Effect::Ask { attempt, check, .. } => (*attempt, check.connection.to),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(attempts.len(), 2);

    // 121 stays, 122 is asked elsewhere, 123 is new.
    let mut moved = assignment(122);
    let check = &mut moved.check;
    check.connection.to.set_port(23);
    checks.handle(
        later,
        Input::Configure(vec![assignment(121), moved, assignment(123)]),
    );
    let dropped = attempts
        .iter()
        .find(|(_, to)| *to == SocketAddr::from(([172, 18, 42, 122], 22)))
        .unwrap();
    assert_eq!(effects(&mut checks), [Effect::Abandon(dropped.0)]);
    let kept = attempts.iter().find(|pair| *pair != dropped).unwrap();
    checks.handle(
        later,
        Input::Ended(kept.0, Outcome::Passed("connected".to_owned())),
    );
    assert_eq!(effects(&mut checks).len(), 1);

    checks.handle(later, Input::Configure(Vec::new()));
    assert_eq!(checks.poll_timeout(), None);
    assert_eq!(effects(&mut checks), []);
}

#[test]
fn of_two_checks_with_one_name_the_first_counts() {
    let start = Instant::now();
    let mut checks = Checks::new(7);
    let mut second = assignment(121);
    let check = &mut second.check;
    check.connection.to.set_port(23);
    checks.handle(start, Input::Configure(vec![assignment(121), second]));
    checks.handle_timeout(start + Duration::from_secs(8));
    match effects(&mut checks).as_slice() {
        [Effect::Ask { check, .. }] => assert_eq!(check.connection.to.port(), 22),
        other => panic!("{other:?}"),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Configure(Vec<u8>),
    Pass(Duration),
    End(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::vec(0u8..6, 0..8).prop_map(Step::Configure),
        4 => (0u64..9000).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, up)| Step::End(which, up)),
    ]
}

proptest! {
    /// Whatever happens: one deadline per check, none in the past, and each attempt
    /// ends once, by its outcome or by being given up.
    #[test]
    fn deadlines_and_attempts_stay_true(seed: u64, steps in prop::collection::vec(step(), 1..120)) {
        let mut now = Instant::now();
        let mut checks = Checks::new(seed);
        let mut configured: BTreeSet<CheckName> = BTreeSet::new();
        let mut open: Vec<Attempt> = Vec::new();
        let mut ended: Vec<Attempt> = Vec::new();
        for step in steps {
            match step {
                Step::Configure(hosts) => {
                    // Those of two services share their checks.
                    let assignments: Vec<Assignment> = hosts
                        .into_iter()
                        .map(|host| of_service(host % 3, 80 + u16::from(host / 3)))
                        .collect();
                    configured = assignments.iter().map(|each| each.name).collect();
                    checks.handle(now, Input::Configure(assignments));
                }
                Step::Pass(time) => {
                    now += time;
                    checks.handle_timeout(now);
                    prop_assert!(checks.poll_timeout().is_none_or(|at| at > now));
                }
                Step::End(which, up) => {
                    let all = open.len() + ended.len();
                    if all == 0 {
                        continue;
                    }
                    let which = which % all;
                    let outcome = if up {
                        Outcome::Passed("connected".to_owned())
                    } else {
                        Outcome::Failed(Failure::Refused)
                    };
                    if which < open.len() {
                        let attempt = open.remove(which);
                        checks.handle(now, Input::Ended(attempt, outcome));
                        ended.push(attempt);
                    } else {
                        let attempt = ended[which - open.len()];
                        checks.handle(now, Input::Ended(attempt, outcome));
                        prop_assert_eq!(checks.poll_effect(), None);
                    }
                }
            }
            while let Some(effect) = checks.poll_effect() {
                match effect {
                    Effect::Ask { attempt, .. } => {
                        prop_assert!(!open.contains(&attempt) && !ended.contains(&attempt));
                        open.push(attempt);
                    }
                    Effect::Abandon(attempt) => {
                        let at = open.iter().position(|known| *known == attempt);
                        prop_assert!(at.is_some(), "gave up what was not under way");
                        ended.push(open.remove(at.unwrap()));
                    }
                    Effect::Report(report) => prop_assert!(configured.contains(&report.name)),
                }
            }
            prop_assert_eq!(checks.deadlines.len(), checks.runs.len());
            prop_assert_eq!(checks.names.len(), configured.len());
            prop_assert_eq!(checks.attempts.len(), open.len());
            prop_assert!(open.len() <= checks.runs.len());
            prop_assert_eq!(checks.shared.len(), checks.runs.len());
        }
    }
}

/// The check of `host` in the virtual service on `port`.
fn of_service(host: u8, port: u16) -> Assignment {
    let mut assignment = assignment(host);
    assignment.name.service = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: SocketAddr::from(([172, 17, 42, 200], port)),
    };
    assignment
}

fn reports(effects: &[Effect]) -> Vec<(CheckName, Health, News)> {
    let reports = effects.iter().filter_map(|effect| match effect {
        Effect::Report(report) => Some((report.name, report.health, report.news)),
        _ => None,
    });
    reports.collect()
}

#[test]
fn checks_that_ask_the_same_are_made_once_and_reported_for_each() {
    let start = Instant::now();
    let mut checks = Checks::new(7);
    let all: Vec<Assignment> = [80, 81, 82].map(|port| of_service(121, port)).into();
    checks.handle(start, Input::Configure(all.clone()));
    let first = checks.poll_timeout().unwrap();
    checks.handle_timeout(first);
    let attempt = only_attempt(&mut checks);
    checks.handle(
        first,
        Input::Ended(attempt, Outcome::Failed(Failure::Refused)),
    );
    let down = News::FailedFinally { retries: 0 };
    let expected: Vec<_> = all
        .iter()
        .map(|each| (each.name, Health::Down, down))
        .collect();
    assert_eq!(reports(&effects(&mut checks)), expected);

    // One that comes later hears at once what is known.
    let late = of_service(121, 83);
    let change = CheckChanges {
        ended: vec![all[0].name, all[1].name],
        assigned: vec![late.clone()],
    };
    checks.handle(first, Input::Change(change));
    assert_eq!(
        reports(&effects(&mut checks)),
        [(late.name, Health::Down, down)]
    );

    let second = checks.poll_timeout().unwrap();
    checks.handle_timeout(second);
    let attempt = only_attempt(&mut checks);
    let passed = Outcome::Passed("connected".to_owned());
    checks.handle(second, Input::Ended(attempt, passed));
    assert_eq!(
        reports(&effects(&mut checks)),
        [
            (all[2].name, Health::Up, News::Succeeded),
            (late.name, Health::Up, News::Succeeded)
        ]
    );
    let change = CheckChanges {
        ended: vec![all[2].name, late.name],
        assigned: Vec::new(),
    };
    checks.handle(second, Input::Change(change));
    assert_eq!(checks.poll_timeout(), None);
    assert!(checks.shared.is_empty() && checks.runs.is_empty());
}

#[test]
fn a_check_that_gets_other_times_leaves_those_that_keep_theirs() {
    let start = Instant::now();
    let mut checks = Checks::new(7);
    let both = [of_service(121, 80), of_service(121, 81)];
    checks.handle(start, Input::Configure(both.to_vec()));
    let first = checks.poll_timeout().unwrap();
    checks.handle_timeout(first);
    let attempt = only_attempt(&mut checks);
    let passed = Outcome::Passed("connected".to_owned());
    checks.handle(first, Input::Ended(attempt, passed));
    effects(&mut checks);

    let mut other = both[1].clone();
    other.check.timing.interval = Duration::from_secs(1);
    let change = CheckChanges {
        ended: Vec::new(),
        assigned: vec![other.clone()],
    };
    checks.handle(first, Input::Change(change));
    assert_eq!(checks.runs.len(), 2);
    // Both come due, and each is asked for by itself; what was known stays known.
    checks.handle_timeout(first + Duration::from_secs(8));
    let seen = effects(&mut checks);
    assert_eq!(reports(&seen), []);
    assert_eq!(seen.len(), 2, "{seen:?}");

    // The first follows: now they are one again.
    let mut first_too = other.clone();
    first_too.name = both[0].name;
    let change = CheckChanges {
        ended: Vec::new(),
        assigned: vec![first_too],
    };
    checks.handle(first, Input::Change(change));
    assert_eq!(checks.runs.len(), 1);
    assert_eq!(checks.names.len(), 2);
}
