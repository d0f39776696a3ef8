use std::time::Duration;

use super::*;
use crate::check::{Encounter, Endings};
use crate::config::model::{CheckPath, Connection, FileProbe, Timing, VirtualServer};
use crate::service::{DestinationSettings, Protocol, ServiceSettings};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn service() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: address("172.17.42.200:3306"),
    }
}

fn tcp(to: &str) -> Check {
    Check {
        connection: Connection {
            to: address(to),
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
            retries: 3,
            delay_before_retry: Duration::from_secs(3),
            warmup: Duration::from_secs(6),
            alpha: false,
            log_all_failures: false,
        },
    }
}

fn configuration(real_servers: &[(&str, &[&str])]) -> Configuration {
    let real_servers = real_servers
        .iter()
        .map(|(real_server, checks)| RealServer {
            address: address(real_server),
            settings: DestinationSettings {
                method: ForwardingMethod::Nat,
                weight: 1,
                upper_threshold: 0,
                lower_threshold: 0,
            },
            inhibit_on_failure: false,
            smtp_alert: false,
            notify_up: None,
            notify_down: None,
            slow_start: Duration::ZERO,
            passive_check: None,
            passive_handshake: None,
            checks: checks.iter().map(|to| tcp(to)).collect(),
        })
        .collect();
    Configuration {
        virtual_servers: vec![VirtualServer {
            key: service(),
            group: None,
            settings: ServiceSettings::default(),
            real_servers,
            quorum: 1,
            hysteresis: 0,
            sorry_server: None,
            smtp_alert: false,
            quorum_up: None,
            quorum_down: None,
            omega: false,
            ha_suspend: false,
        }],
        ..Configuration::default()
    }
}

fn report(real_server: &str, number: u16, health: Health) -> Report {
    Report {
        name: CheckName {
            service: service(),
            real_server: address(real_server),
            number,
        },
        health,
        news: News::Detail,
        detail: "words".to_owned(),
    }
}

fn begins(record: &HealthRecord) -> Vec<Begin> {
    let assignments = record.assignments();
    assignments.iter().map(|each| each.begin).collect()
}

const A: &str = "172.18.42.121:3306";
const B: &str = "172.18.42.122:3306";

#[test]
fn a_real_server_is_up_while_all_of_its_checks_say_so() {
    let both = configuration(&[(A, &["1.1.1.1:1", "1.1.1.1:2"]), (B, &[])]);
    let mut record = HealthRecord::start(&both, |_, _| Health::Up);
    let health = |record: &HealthRecord, of| record.health(&service(), &address(of));
    assert_eq!(
        record.report(&report(A, 0, Health::Down)),
        Some(Health::Down)
    );
    assert_eq!(record.report(&report(A, 1, Health::Down)), None);
    assert_eq!(record.report(&report(A, 0, Health::Up)), None);
    assert_eq!(health(&record, A), Health::Down);
    assert_eq!(record.report(&report(A, 1, Health::Up)), Some(Health::Up));
    assert_eq!(health(&record, B), Health::Up, "nothing checks it");
    assert_eq!(record.report(&report(B, 0, Health::Down)), None);
    assert_eq!(health(&record, B), Health::Up);
}

#[test]
fn a_check_process_that_comes_back_goes_on_where_the_last_one_was() {
    let file = configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]);
    let mut record = HealthRecord::start(&file, |_, real_server| {
        if *real_server == address(A) {
            Health::Up
        } else {
            Health::Down
        }
    });
    assert_eq!(
        begins(&record),
        [Begin::Start(Health::Up), Begin::Start(Health::Down)]
    );
    record.report(&report(A, 0, Health::Down));
    assert_eq!(
        begins(&record),
        [Begin::Resume(Health::Down), Begin::Start(Health::Down)]
    );
}

#[test]
fn a_reload_keeps_the_answers_to_questions_that_stay() {
    let mut record = HealthRecord::start(
        &configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]),
        |_, _| Health::Up,
    );
    record.report(&report(A, 0, Health::Down));
    record.report(&report(B, 0, Health::Down));
    record.reload(&configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:9"])]));
    assert_eq!(
        begins(&record),
        [Begin::Resume(Health::Down), Begin::Added(Health::Up)]
    );
    assert_eq!(record.health(&service(), &address(B)), Health::Up);
    record.reload(&configuration(&[(B, &["1.1.1.2:9"])]));
    assert_eq!(begins(&record), [Begin::Added(Health::Up)]);
}

fn following(probe: Probe) -> Configuration {
    let mut file = configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]);
    let reals = &mut file.virtual_servers[0].real_servers;
    reals[0].settings.weight = 5;
    reals[0].checks[0].probe = probe;
    file
}

fn weight(record: &HealthRecord, file: &Configuration) -> Option<u32> {
    record.weight(&service(), &file.virtual_servers[0].real_servers[0])
}

#[test]
fn a_file_says_whether_a_real_server_is_up_and_how_much_it_weighs() {
    let probe = |weight, reverse| {
        let file = "load".to_owned();
        Probe::File(FileProbe {
            file,
            weight,
            reverse,
        })
    };
    for (weight_of_file, reverse, numbers) in [
        (2, false, &[(0, Some(5)), (1, Some(7)), (-3, Some(0))][..]),
        (2, true, &[(1, Some(3)), (-1, Some(7))]),
        (
            0,
            false,
            &[(0, Some(5)), (1, None), (0, Some(5)), (-1, None)],
        ),
        (0, true, &[(0, None), (1, Some(5))]),
        (1, false, &[(i64::from(i32::MIN), None), (4, Some(9))]),
    ] {
        let file = following(probe(weight_of_file, reverse));
        let mut record = HealthRecord::start(&file, |_, _| Health::Up);
        assert_eq!(record.assignments().len(), 1, "nobody asks for it");
        for (number, expected) in numbers {
            let seen = Seen::File("load".to_owned(), *number);
            let (reports, _) = record.follow(&seen);
            reports.iter().for_each(|report| {
                record.report(report);
            });
            assert_eq!(
                weight(&record, &file),
                *expected,
                "{weight_of_file} {reverse} {number}"
            );
        }
        // A file that stays as it is says the same after a reload.
        let before = weight(&record, &file);
        record.reload(&configuration(&[]));
        record.reload(&file);
        assert_eq!(weight(&record, &file), before);
    }
}

#[test]
fn a_bfd_session_takes_its_real_servers_with_it() {
    let instance = "far".to_owned();
    let file = following(Probe::Bfd {
        instance: instance.clone(),
    });
    let mut record = HealthRecord::start(&file, |_, _| Health::Up);
    let mut see = |up| {
        let (reports, _) = record.follow(&Seen::Session(instance.clone(), up));
        let news: Vec<News> = reports.iter().map(|report| report.news).collect();
        let changes = reports.iter().filter_map(|report| record.report(report));
        (changes.collect::<Vec<_>>(), news)
    };
    let down = News::FailedFinally { retries: 0 };
    assert_eq!(see(true), (vec![], vec![News::Succeeded]));
    assert_eq!(see(false), (vec![Health::Down], vec![down]));
    assert_eq!(see(false), (vec![], vec![News::Detail]));
    assert_eq!(see(true), (vec![Health::Up], vec![News::Succeeded]));
    let (reports, _) = record.follow(&Seen::Session("near".to_owned(), false));
    assert_eq!(reports, []);
}

#[test]
fn a_program_says_a_weight_until_it_says_none_or_fails() {
    let file = configuration(&[(A, &["1.1.1.1:1", "1.1.1.1:2"])]);
    let mut record = HealthRecord::start(&file, |_, _| Health::Up);
    let first = report(A, 0, Health::Up).name;
    assert!(record.weigh(&first, Weighing::To(7)));
    assert!(!record.weigh(&first, Weighing::To(7)));
    assert_eq!(weight(&record, &file), Some(7));
    // Weights of several checks add.
    let second = report(A, 1, Health::Up).name;
    record.weigh(&second, Weighing::By(-3));
    assert_eq!(weight(&record, &file), Some(4));
    record.report(&report(A, 0, Health::Down));
    assert_eq!(weight(&record, &file), None);
    record.report(&report(A, 0, Health::Up));
    assert_eq!(weight(&record, &file), Some(0), "1 and -3");
}

#[test]
fn checks_of_a_service_rest_and_go_on() {
    let file = configuration(&[(A, &["1.1.1.1:1"]), (B, &["1.1.1.2:1"])]);
    let mut record = HealthRecord::start(&file, |_, _| Health::Up);
    record.report(&report(A, 0, Health::Down));
    let changes = record.suspend(BTreeSet::from([service()]));
    assert_eq!((changes.ended.len(), changes.assigned.len()), (2, 0));
    assert_eq!(record.assignments(), []);
    assert!(record.suspend(BTreeSet::from([service()])).is_empty());
    // What was known stays known meanwhile, and also a reload wakes nothing.
    assert_eq!(record.health(&service(), &address(A)), Health::Down);
    assert!(
        record
            .reload(&configuration(&[(B, &["1.1.1.2:9"])]))
            .assigned
            .is_empty()
    );
    let changes = record.suspend(BTreeSet::new());
    assert_eq!((changes.ended.len(), changes.assigned.len()), (0, 1));
}

#[test]
fn a_real_server_that_fails_clients_weighs_less_but_stays() {
    let mut file = configuration(&[(A, &["1.1.1.1:1"]), (B, &[])]);
    for real in &mut file.virtual_servers[0].real_servers {
        real.settings.weight = 20;
        real.passive_check = Some(30);
    }
    let mut record = HealthRecord::start(&file, |_, _| Health::Up);
    let endings = |completed, unanswered, reset| {
        let endings = Endings {
            completed,
            unanswered,
            reset,
        };
        let encounter = Encounter {
            endings,
            handshake: None,
        };
        [(address(A), encounter)].into_iter()
    };
    let all = BTreeSet::from([service()]);
    for (now, changed, expected) in [
        // Too few to say anything; with the next ones they are enough.
        ((0, 9, 0), false, 20),
        ((5, 10, 5), true, 5),
        // Nothing new, so that it stays as it is.
        ((5, 10, 5), false, 5),
        // As many as are allowed: 3 of 10.
        ((12, 12, 6), true, 20),
        ((12, 32, 6), true, 1),
        ((32, 32, 6), true, 20),
        // The totals begin anew.
        ((5, 5, 0), true, 10),
    ] {
        let services = record.observe(&file, endings(now.0, now.1, now.2));
        assert_eq!(
            services,
            if changed {
                all.clone()
            } else {
                BTreeSet::new()
            }
        );
        assert_eq!(weight(&record, &file), Some(expected), "{now:?}");
        let other = &file.virtual_servers[0].real_servers[1];
        assert_eq!(record.weight(&service(), other), Some(20));
    }
    // Whatever clients meet, one that is down weighs nothing, and one that nobody watches all.
    record.report(&report(A, 0, Health::Down));
    assert_eq!(weight(&record, &file), None);
    record.report(&report(A, 0, Health::Up));
    file.virtual_servers[0].real_servers[0].passive_check = None;
    assert_eq!(weight(&record, &file), Some(20));
    // A real server that has gone from the table is judged anew.
    assert_eq!(record.observe(&file, [].into_iter()), BTreeSet::new());
    file.virtual_servers[0].real_servers[0].passive_check = Some(30);
    assert_eq!(weight(&record, &file), Some(20));
}

#[test]
fn a_real_server_that_keeps_clients_waiting_weighs_less_but_stays() {
    let mut file = configuration(&[(A, &[]), (B, &[])]);
    for real in &mut file.virtual_servers[0].real_servers {
        real.settings.weight = 20;
        real.passive_handshake = Some(Duration::from_millis(100));
    }
    let mut record = HealthRecord::start(&file, |_, _| Health::Up);
    let takes = |milliseconds: u64| {
        let encounter = Encounter {
            handshake: (milliseconds != 0).then_some(Duration::from_millis(milliseconds)),
            ..Encounter::default()
        };
        [(address(A), encounter)].into_iter()
    };
    for (milliseconds, changed, expected) in [
        (0, false, 20),
        (80, true, 20),
        (100, true, 20),
        // Half as much: 200 ms are 196.6 ms in steps.
        (200, true, 10),
        // No change worth a word.
        (202, false, 10),
        (60_000, true, 1),
        (20, true, 20),
    ] {
        let services = record.observe(&file, takes(milliseconds));
        assert_eq!(!services.is_empty(), changed, "{milliseconds} ms");
        assert_eq!(weight(&record, &file), Some(expected), "{milliseconds} ms");
        let other = &file.virtual_servers[0].real_servers[1];
        assert_eq!(record.weight(&service(), other), Some(20));
    }
}
