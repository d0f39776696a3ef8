use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::model::{Configuration, RealServer, SorryServer, VirtualServer};
use crate::lb::{Configured, Part, Quorums, STEPS, desired};
use crate::service::{
    DestinationState, EditError, ForwardingMethod, Origin, Persistence, Protocol, Rates, Scheduler,
    ServiceSettings, ServiceState, Statistics,
};

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: SocketAddr::from(([172, 17, 42, 200], port)),
    }
}

fn real_server(host: u8) -> SocketAddr {
    SocketAddr::from(([172, 18, 42, host], 3306))
}

fn weighing(weight: u32) -> DestinationSettings {
    DestinationSettings {
        method: ForwardingMethod::Nat,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn scheduled(scheduler: Scheduler) -> ServiceSettings {
    ServiceSettings {
        scheduler,
        ..ServiceSettings::default()
    }
}

/// What the configuration has made by these edits.
fn made(edits: &[Edit]) -> Vec<DesiredService> {
    let mut configured = Configured::default();
    for edit in edits {
        configured.record(edit, &Ok(()));
    }
    configured.services()
}

fn service(port: u16, scheduler: Scheduler, destinations: &[(u8, u32)]) -> DesiredService {
    DesiredService {
        key: key(port),
        settings: scheduled(scheduler),
        destinations: destinations
            .iter()
            .map(|(host, weight)| (real_server(*host), weighing(*weight)))
            .collect(),
    }
}

fn serving_if(real: &RealServer, is_up: bool) -> Part {
    match is_up {
        true => Part::Serving {
            weight: real.settings.weight,
            steps: STEPS,
        },
        false => Part::Down,
    }
}

fn added(host: u8, weight: u32) -> Edit {
    Edit::AddDestination {
        service: key(80),
        address: real_server(host),
        settings: weighing(weight),
    }
}

fn removed(host: u8) -> Edit {
    Edit::RemoveDestination {
        service: key(80),
        address: real_server(host),
    }
}

fn add_service(scheduler: Scheduler) -> Edit {
    Edit::AddService {
        service: key(80),
        settings: scheduled(scheduler),
    }
}

#[test]
fn an_empty_table_is_filled_in_the_order_of_the_file() {
    let desired = [service(80, Scheduler::Rr, &[(121, 1), (122, 3)])];
    assert_eq!(
        plan(&desired, &[]),
        [add_service(Scheduler::Rr), added(121, 1), added(122, 3)]
    );
}

#[test]
fn replacements_come_before_what_they_replace() {
    let before = [add_service(Scheduler::Rr), added(121, 1), added(122, 1)];
    let configured = made(&before);
    let desired = [service(80, Scheduler::Wrr, &[(122, 5), (123, 1)])];
    assert_eq!(
        plan(&desired, &configured),
        [
            Edit::EditService {
                service: key(80),
                settings: scheduled(Scheduler::Wrr),
            },
            Edit::EditDestination {
                service: key(80),
                address: real_server(122),
                settings: weighing(5),
            },
            added(123, 1),
            removed(121),
        ]
    );
}

#[test]
fn a_service_that_the_file_drops_goes_with_its_destinations() {
    let before = [add_service(Scheduler::Rr), added(121, 1)];
    let configured = made(&before);
    assert_eq!(
        plan(&[], &configured),
        [Edit::RemoveService { service: key(80) }]
    );
}

/// Transcribed from keepalived 2.2.7 beside the kernel's IPVS: of what an operator has changed
/// by ipvsadm it knows nothing, and goes by what it did itself.
#[test]
fn edits_that_an_operator_forestalled_count_as_made() {
    let mut configured = Configured::default();
    let file = [service(80, Scheduler::Rr, &[(121, 1)])];
    for (edit, outcome) in plan(&file, &[]).iter().zip([
        Err(EditError::ServiceExists),
        Err(EditError::DestinationExists),
    ]) {
        configured.record(edit, &outcome);
    }
    assert_eq!(configured.services(), file);
    // So an operator's service goes with the file that names it as well.
    assert_eq!(
        plan(&[], &configured.services()),
        [Edit::RemoveService { service: key(80) }]
    );
    configured.record(&removed(121), &Err(EditError::NoSuchDestination));
    assert_eq!(configured.services(), [service(80, Scheduler::Rr, &[])]);
}

#[test]
fn edits_that_could_not_be_made_come_up_again() {
    let full = Err(EditError::Full {
        table: "the table of destinations".to_owned(),
        capacity: 1,
    });
    let mut configured = Configured::default();
    configured.record(&add_service(Scheduler::Rr), &Ok(()));
    configured.record(&added(121, 1), &full);
    let file = [service(80, Scheduler::Rr, &[(121, 1)])];
    assert_eq!(plan(&file, &configured.services()), [added(121, 1)]);
}

#[test]
fn of_a_table_that_is_taken_over_only_the_configurations_is_known() {
    let destination = |host, origin| DestinationState {
        handshake: None,
        address: real_server(host),
        settings: weighing(3),
        origin,
        active: 0,
        inactive: 0,
        persistent: 0,
        statistics: Statistics::default(),
        rates: Rates::default(),
    };
    let state = |port, origin| ServiceState {
        key: key(port),
        settings: scheduled(Scheduler::Rr),
        origin,
        destinations: vec![
            destination(3, Origin::Configuration),
            destination(2, Origin::Operator),
            destination(1, Origin::Configuration),
        ],
        statistics: Statistics::default(),
        rates: Rates::default(),
    };
    let table = [
        state(80, Origin::Configuration),
        state(81, Origin::Operator),
    ];
    assert_eq!(
        Configured::of_table(&table).services(),
        [service(80, Scheduler::Rr, &[(1, 3), (3, 3)])]
    );
}

#[test]
fn a_real_server_that_is_down_is_not_desired() {
    let virtual_server = VirtualServer {
        key: key(80),
        group: None,
        settings: scheduled(Scheduler::Rr),
        real_servers: [121, 122, 121]
            .map(|host| RealServer {
                address: real_server(host),
                settings: weighing(1),
                inhibit_on_failure: false,
                smtp_alert: false,
                notify_up: None,
                notify_down: None,
                slow_start: Duration::ZERO,
                passive_check: None,
                passive_handshake: None,
                checks: Vec::new(),
            })
            .to_vec(),
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        smtp_alert: false,
        quorum_up: None,
        quorum_down: None,
        omega: false,
        ha_suspend: false,
    };
    let configuration = Configuration {
        virtual_servers: vec![virtual_server.clone(), virtual_server],
        ..Configuration::default()
    };
    assert_eq!(
        super::super::desired(
            &configuration.virtual_servers,
            |_, real| serving_if(real, real.address == real_server(121)),
            &Quorums::default()
        ),
        [service(80, Scheduler::Rr, &[(121, 1)])]
    );
    assert_eq!(
        super::super::desired(
            &configuration.virtual_servers,
            |_, _| Part::Down,
            &Quorums::default()
        ),
        [service(80, Scheduler::Rr, &[])]
    );
}

#[test]
fn without_a_quorum_the_sorry_server_serves_alone() {
    let mut virtual_server = VirtualServer {
        key: key(80),
        group: None,
        settings: scheduled(Scheduler::Rr),
        real_servers: [121, 122]
            .map(|host| RealServer {
                address: real_server(host),
                settings: weighing(3),
                inhibit_on_failure: host == 122,
                smtp_alert: false,
                notify_up: None,
                notify_down: None,
                slow_start: Duration::ZERO,
                passive_check: None,
                passive_handshake: None,
                checks: Vec::new(),
            })
            .to_vec(),
        quorum: 4,
        hysteresis: 0,
        sorry_server: Some(SorryServer {
            address: real_server(9),
            settings: weighing(1),
            inhibit: false,
        }),
        smtp_alert: false,
        quorum_up: None,
        quorum_down: None,
        omega: false,
        ha_suspend: false,
    };
    let mut quorums = Quorums::default();
    let mut wanted = |virtual_server: &VirtualServer, up: &[u8]| {
        quorums.update(virtual_server, 3 * up.len() as u64);
        let configuration = Configuration {
            virtual_servers: vec![virtual_server.clone()],
            ..Configuration::default()
        };
        let part_of = |_: &VirtualServer, real: &RealServer| match up
            .iter()
            .any(|host| real_server(*host) == real.address)
        {
            true => Part::Serving {
                weight: real.settings.weight,
                steps: STEPS,
            },
            false => Part::Down,
        };
        desired(&configuration.virtual_servers, part_of, &quorums)
    };
    let with = |destinations: &[(u8, u32)]| vec![service(80, Scheduler::Rr, destinations)];
    assert_eq!(
        wanted(&virtual_server, &[121, 122]),
        with(&[(121, 3), (122, 3)])
    );
    // The one that is still up goes as well; the inhibited one stays for its clients.
    assert_eq!(wanted(&virtual_server, &[121]), with(&[(9, 1), (122, 0)]));
    assert_eq!(wanted(&virtual_server, &[]), with(&[(9, 1), (122, 0)]));
    virtual_server.sorry_server.as_mut().unwrap().inhibit = true;
    assert_eq!(
        wanted(&virtual_server, &[121, 122]),
        with(&[(121, 3), (122, 3), (9, 0)])
    );
    virtual_server.sorry_server = None;
    assert_eq!(wanted(&virtual_server, &[121]), with(&[(121, 3), (122, 0)]));
}

fn any_settings() -> impl Strategy<Value = ServiceSettings> {
    (0usize..14, any::<bool>(), prop::option::of(1u64..400)).prop_map(|(at, flag, timeout)| {
        ServiceSettings {
            scheduler: Scheduler::NAMES[at].0,
            scheduler_flag_1: flag,
            persistence: timeout.map(|seconds| Persistence {
                timeout: Duration::from_secs(seconds),
                prefix_length: 32,
                scattered_mask: None,
            }),
            ..ServiceSettings::default()
        }
    })
}

fn any_destinations() -> impl Strategy<Value = BTreeMap<u8, u32>> {
    prop::collection::btree_map(1u8..8, 0u32..4, 0..6)
}

fn any_desired() -> impl Strategy<Value = Vec<DesiredService>> {
    prop::collection::btree_map(1u16..6, (any_settings(), any_destinations()), 0..5).prop_map(
        |services| {
            services
                .into_iter()
                .map(|(port, (settings, destinations))| DesiredService {
                    key: key(port),
                    settings,
                    destinations: destinations
                        .into_iter()
                        .map(|(host, weight)| (real_server(host), weighing(weight)))
                        .collect(),
                })
                .collect()
        },
    )
}

proptest! {
    /// Carrying out a plan makes what the configuration has made the same as what is desired,
    /// takes nothing away for a while that is to stay, and leaves nothing to plan.
    #[test]
    fn a_plan_carried_out_leaves_nothing_to_plan(
        first in any_desired(),
        second in any_desired(),
    ) {
        let mut configured = Configured::default();
        for desired in [&first, &second] {
            let before = configured.services();
            for edit in plan(desired, &before) {
                configured.record(&edit, &Ok(()));
                for service in desired {
                    let had = before.iter().find(|known| known.key == service.key);
                    for (address, _) in had.iter().flat_map(|had| &had.destinations) {
                        let wanted = service.destinations.iter().any(|(other, _)| other == address);
                        let now = configured.of([service.key]);
                        let has = now[0].destinations.iter().any(|(other, _)| other == address);
                        prop_assert!(has || !wanted);
                    }
                }
            }
            prop_assert_eq!(plan(desired, &configured.services()), []);
            let sorted = |mut services: Vec<DesiredService>| {
                for service in &mut services {
                    service.destinations.sort_by_key(|(address, _)| *address);
                }
                services
            };
            prop_assert_eq!(sorted(configured.services()), sorted(desired.clone()));
        }
    }
}
