use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::config::model::{CheckPath, Connection, Probe, Timing};

const INTERVAL: Duration = Duration::from_secs(6);
const RETRY: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 2;

fn check() -> Check {
    Check {
        connection: Connection {
            to: SocketAddr::from(([172, 18, 42, 121], 22)),
            timeout: TIMEOUT,
            source: None,
            source_port: None,
            interface: None,
            mark: 0,
            path: CheckPath::Direct,
        },
        probe: Probe::Tcp,
        timing: Timing {
            interval: INTERVAL,
            retries: RETRIES,
            delay_before_retry: RETRY,
            warmup: INTERVAL,
            alpha: false,
            log_all_failures: false,
        },
    }
}

fn with_retries(retries: u32) -> Check {
    let mut check = check();
    check.timing.retries = retries;
    check
}

fn running(now: Instant, health: Health, has_run: bool, retries_used: u32) -> Machine {
    Machine {
        check: Arc::new(check()),
        question: 0,
        failed_question: None,
        health,
        has_run,
        retries_used,
        phase: Phase::Running {
            until: now + TIMEOUT,
        },
        detail: String::new(),
    }
}

#[derive(Debug, PartialEq)]
struct After {
    health: Health,
    has_run: bool,
    retries_used: u32,
    next: Duration,
    news: Option<News>,
}

fn after(machine: &Machine, now: Instant, verdict: Option<Verdict>) -> After {
    if let Some(verdict) = &verdict {
        assert_eq!(verdict.health, machine.health());
    }
    After {
        health: machine.health,
        has_run: machine.has_run,
        retries_used: machine.retries_used,
        next: machine.poll_timeout() - now,
        news: verdict.map(|verdict| verdict.news),
    }
}

#[test]
fn every_state_meets_every_outcome() {
    use Health::{Down, Up};
    use News::{Detail, FailedFinally, NotMade, Succeeded};
    let connected = || Outcome::Passed("connected".to_owned());
    let refused = || Outcome::Failed(Failure::Refused);
    let not_run = || Outcome::NotRun("Too many open files".to_owned());
    let at_once = FailedFinally { retries: 0 };
    let finally = FailedFinally { retries: 2 };
    #[rustfmt::skip]
    let table = [
        // before               outcome      after
        (Up,   false, 0, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Up,   false, 1, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Up,   false, 2, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Up,   true,  0, connected(), Up,   true,  0, INTERVAL, Detail),
        (Up,   true,  1, connected(), Up,   true,  0, INTERVAL, Detail),
        (Up,   true,  2, connected(), Up,   true,  0, INTERVAL, Detail),
        (Down, false, 0, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Down, false, 1, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Down, false, 2, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Down, true,  0, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Down, true,  1, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Down, true,  2, connected(), Up,   true,  0, INTERVAL, Succeeded),
        (Up,   false, 0, refused(),   Up,   true,  1, RETRY,    Detail),
        (Up,   false, 1, refused(),   Up,   true,  2, RETRY,    Detail),
        (Up,   false, 2, refused(),   Down, true,  0, INTERVAL, at_once),
        (Up,   true,  0, refused(),   Up,   true,  1, RETRY,    Detail),
        (Up,   true,  1, refused(),   Up,   true,  2, RETRY,    Detail),
        (Up,   true,  2, refused(),   Down, true,  0, INTERVAL, finally),
        (Down, false, 0, refused(),   Down, true,  0, INTERVAL, Detail),
        (Down, false, 1, refused(),   Down, true,  1, INTERVAL, Detail),
        (Down, false, 2, refused(),   Down, true,  0, INTERVAL, at_once),
        (Down, true,  0, refused(),   Down, true,  0, INTERVAL, Detail),
        (Down, true,  1, refused(),   Down, true,  1, INTERVAL, Detail),
        (Down, true,  2, refused(),   Down, true,  2, INTERVAL, Detail),
        (Up,   false, 0, not_run(),   Up,   false, 0, INTERVAL, NotMade),
        (Up,   false, 1, not_run(),   Up,   false, 1, INTERVAL, NotMade),
        (Up,   false, 2, not_run(),   Up,   false, 2, INTERVAL, NotMade),
        (Up,   true,  0, not_run(),   Up,   true,  0, INTERVAL, NotMade),
        (Up,   true,  1, not_run(),   Up,   true,  1, INTERVAL, NotMade),
        (Up,   true,  2, not_run(),   Up,   true,  2, INTERVAL, NotMade),
        (Down, false, 0, not_run(),   Down, false, 0, INTERVAL, NotMade),
        (Down, false, 1, not_run(),   Down, false, 1, INTERVAL, NotMade),
        (Down, false, 2, not_run(),   Down, false, 2, INTERVAL, NotMade),
        (Down, true,  0, not_run(),   Down, true,  0, INTERVAL, NotMade),
        (Down, true,  1, not_run(),   Down, true,  1, INTERVAL, NotMade),
        (Down, true,  2, not_run(),   Down, true,  2, INTERVAL, NotMade),
    ];
    let start = Instant::now();
    for (health, has_run, used, outcome, then, then_run, then_used, next, news) in table {
        let now = start + Duration::from_secs(1);
        let expected = After {
            health: then,
            has_run: then_run,
            retries_used: then_used,
            next,
            news: Some(news),
        };
        let mut machine = running(start, health, has_run, used);
        let verdict = machine.handle(now, outcome.clone());
        assert_eq!(
            after(&machine, now, verdict),
            expected,
            "{health} has_run={has_run} used={used} {outcome:?}"
        );

        // Silence is a failure like any other.
        if outcome == refused() {
            let now = start + TIMEOUT;
            let mut machine = running(start, health, has_run, used);
            let Due::Abandon(verdict) = machine.handle_timeout(now) else {
                panic!("an attempt outlived its time");
            };
            assert_eq!(after(&machine, now, verdict), expected);
        }

        // And a machine that waits is not moved by an outcome.
        let mut machine = running(start, health, has_run, used);
        machine.phase = Phase::Waiting { until: now };
        assert_eq!(machine.handle(start, outcome), None);
        assert_eq!(machine.health, health);
        assert_eq!(machine.poll_timeout(), now);
    }
}

#[test]
fn nothing_happens_before_its_time() {
    let start = Instant::now();
    let mut machine = Machine::new(
        Arc::new(check()),
        Begin::Added(Health::Up),
        start + INTERVAL,
    );
    assert_eq!(machine.poll_timeout(), start + INTERVAL);
    let early = start + INTERVAL - Duration::from_nanos(1);
    assert_eq!(machine.handle_timeout(early), Due::Nothing);
    assert_eq!(machine.handle_timeout(start + INTERVAL), Due::Ask);
    assert_eq!(machine.poll_timeout(), start + INTERVAL + TIMEOUT);
    let early = start + INTERVAL + TIMEOUT - Duration::from_nanos(1);
    assert_eq!(machine.handle_timeout(early), Due::Nothing);
}

#[test]
fn where_a_check_begins() {
    let start = Instant::now();
    let begun = |begin| {
        let machine = Machine::new(Arc::new(check()), begin, start);
        (machine.health, machine.has_run, machine.retries_used)
    };
    assert_eq!(
        begun(Begin::Start(Health::Up)),
        (Health::Up, false, RETRIES)
    );
    assert_eq!(
        begun(Begin::Start(Health::Down)),
        (Health::Down, false, RETRIES)
    );
    assert_eq!(begun(Begin::Added(Health::Up)), (Health::Up, false, 0));
    assert_eq!(begun(Begin::Resume(Health::Up)), (Health::Up, true, 0));
    assert_eq!(begun(Begin::Resume(Health::Down)), (Health::Down, true, 0));
}

#[test]
fn a_failure_that_repeats_itself_is_told_once() {
    let start = Instant::now();
    let mut machine = Machine::new(Arc::new(check()), Begin::Resume(Health::Down), start);
    let mut told = 0;
    let mut now = start;
    for _ in 0..5 {
        now = machine.poll_timeout();
        assert_eq!(machine.handle_timeout(now), Due::Ask);
        told += usize::from(
            machine
                .handle(now, Outcome::Failed(Failure::Refused))
                .is_some(),
        );
    }
    assert_eq!(told, 1);
    assert_eq!(now, start + INTERVAL * 4);
}

#[test]
fn fewer_retries_leave_one_failure_to_go() {
    let start = Instant::now();
    for (used, retries, then) in [
        (2, 1, 0),
        (2, 2, 1),
        (1, 2, 1),
        (2, 4, 2),
        (2, 0, 2),
        (0, 3, 0),
    ] {
        let mut machine = running(start, Health::Up, true, used);
        machine.adopt(start, Arc::new(with_retries(retries)));
        assert_eq!(machine.retries_used, then, "{used} used, {retries} now");
    }
}

#[test]
fn a_shorter_interval_does_not_wait_for_the_longer_one() {
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    let mut machine = Machine::new(Arc::new(check()), Begin::Added(Health::Up), start + hour);
    machine.adopt(start, Arc::new(check()));
    assert_eq!(
        machine.poll_timeout(),
        start + BOOTSTRAP_DELAY + check().timing.warmup
    );
}

/// keepalived's `tcp_epilog`, as it stands in check_tcp.c of 2.4.3.
struct Epilog {
    retry: u32,
    retry_it: u32,
    is_up: bool,
    has_run: bool,
}

impl Epilog {
    /// Gives back the delay, and the log line if there is one.
    fn result(&mut self, is_success: bool) -> (Duration, Option<String>) {
        let mut delay = INTERVAL;
        let mut line = None;
        if is_success || ((self.is_up || !self.has_run) && self.retry_it >= self.retry) {
            self.retry_it = 0;
            if is_success && (!self.is_up || !self.has_run) {
                line = Some("success".to_owned());
                self.is_up = true;
            } else if !is_success && (self.is_up || !self.has_run) {
                line = Some(if self.retry > 0 && self.has_run {
                    format!("failed after {} retries", self.retry)
                } else {
                    "failed".to_owned()
                });
                self.is_up = false;
            }
        } else if self.is_up {
            delay = RETRY;
            self.retry_it += 1;
        }
        self.has_run = true;
        (delay, line)
    }
}

proptest! {
    #[test]
    fn agrees_with_keepalived(
        retries in 0u32..4,
        begins_up: bool,
        by_reload: bool,
        results in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let begin = match (by_reload, begins_up) {
            (true, _) => Begin::Added(Health::Up),
            (false, true) => Begin::Start(Health::Up),
            (false, false) => Begin::Start(Health::Down),
        };
        let mut epilog = Epilog {
            retry: retries,
            retry_it: if by_reload { 0 } else { retries },
            is_up: by_reload || begins_up,
            has_run: false,
        };
        let mut machine = Machine::new(Arc::new(with_retries(retries)), begin, Instant::now());
        for is_success in results {
            let now = machine.poll_timeout();
            prop_assert_eq!(machine.handle_timeout(now), Due::Ask);
            let verdict = if is_success {
                machine.handle(now, Outcome::Passed("connected".to_owned()))
            } else {
                machine.handle(now, Outcome::Failed(Failure::Refused))
            };
            let line = verdict.and_then(|verdict| match verdict.news {
                News::Succeeded => Some("success".to_owned()),
                News::FailedFinally { retries: 0 } => Some("failed".to_owned()),
                News::FailedFinally { retries } => Some(format!("failed after {retries} retries")),
                News::Detail | News::FailedOnce | News::NotMade => None,
            });
            let delay = machine.poll_timeout() - now;
            prop_assert_eq!((delay, line), epilog.result(is_success));
            prop_assert_eq!(machine.health() == Health::Up, epilog.is_up);
        }
    }
}

/// keepalived 2.2.7, seen in the virtual machine of the oracle: a page that comes back has to
/// be there twice.
#[test]
fn a_single_page_is_asked_for_anew_after_a_failure_too() {
    use crate::config::model::{HttpProbe, HttpVersion};
    let mut check = with_retries(0);
    check.probe = Probe::Http(HttpProbe {
        version: HttpVersion::Http10,
        tls: None,
        fast_recovery: false,
        urls: Vec::new(),
    });
    let mut now = Instant::now();
    let mut machine = Machine::new(Arc::new(check), Begin::Start(Health::Up), now);
    let mut news = Vec::new();
    for passes in [true, false, true, false, true, true] {
        now = machine.poll_timeout();
        assert_eq!(machine.handle_timeout(now), Due::Ask);
        let outcome = match passes {
            true => Outcome::Passed("fine".to_owned()),
            false => Outcome::Failed(Failure::Refused),
        };
        let verdict = machine.handle(now, outcome).map(|verdict| verdict.news);
        news.extend(verdict.filter(|news| *news != News::Detail));
        assert_eq!(machine.poll_timeout() - now, INTERVAL);
    }
    let failed = News::FailedFinally { retries: 0 };
    assert_eq!(news, [News::Succeeded, failed, News::Succeeded]);
    assert_eq!(machine.health(), Health::Up);
}

#[test]
fn pages_are_asked_for_in_turn_and_anew_after_a_failure() {
    use crate::config::model::{HttpProbe, HttpVersion, Url};
    let mut check = with_retries(0);
    let url = |path: &str| Url {
        path: path.to_owned(),
        virtual_host: None,
        status_codes: vec![(200, 299)],
        digest: None,
        regex: None,
        tls_compliant: None,
    };
    check.probe = Probe::Http(HttpProbe {
        version: HttpVersion::Http10,
        tls: None,
        fast_recovery: true,
        urls: vec![url("/a"), url("/b"), url("/c")],
    });
    let mut now = Instant::now();
    let mut machine = Machine::new(Arc::new(check), Begin::Start(Health::Up), now);
    let mut ask = |passes: bool| {
        let at = machine.poll_timeout();
        let pause = at - now;
        now = at;
        assert_eq!(machine.handle_timeout(now), Due::Ask);
        let question = machine.question();
        let outcome = match passes {
            true => Outcome::Passed("fine".to_owned()),
            false => Outcome::Failed(Failure::Refused),
        };
        let news = machine.handle(now, outcome).map(|verdict| verdict.news);
        (pause, question, news.filter(|news| *news != News::Detail))
    };
    let at_once = Duration::ZERO;
    assert_eq!(ask(true), (at_once, 0, None));
    assert_eq!(ask(true), (at_once, 1, None), "it has not run: no pause");
    assert_eq!(ask(true), (at_once, 2, Some(News::Succeeded)));
    assert_eq!(ask(true), (INTERVAL, 0, None));
    let failed = Some(News::FailedFinally { retries: 0 });
    assert_eq!(ask(false), (INTERVAL, 1, failed));
    assert_eq!(ask(false), (INTERVAL, 1, None), "the same page again");
    assert_eq!(ask(true), (INTERVAL, 1, None));
    assert_eq!(ask(true), (at_once, 0, None), "all pages anew");
    assert_eq!(ask(true), (at_once, 1, None));
    assert_eq!(ask(true), (at_once, 2, Some(News::Succeeded)));
}
