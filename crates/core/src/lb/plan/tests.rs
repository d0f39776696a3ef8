use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::model::{Configuration, RealServer, SorryServer, VirtualServer};
use crate::lb::{Part, Quorums, STEPS, desired};
use crate::service::{
    EditError, ForwardingMethod, Persistence, Protocol, Rates, Scheduler, ServiceSettings,
    Statistics,
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

/// The table of services as a model: what each edit means, and when it is refused.
#[derive(Debug, Clone, Default)]
struct Table(Vec<ServiceState>);

impl Table {
    fn apply(&mut self, edit: &Edit, origin: Origin) -> Result<(), EditError> {
        match edit {
            Edit::AddService { service, settings } => {
                if self.0.iter().any(|known| known.key == *service) {
                    return Err(EditError::ServiceExists);
                }
                self.0.push(ServiceState {
                    key: *service,
                    settings: settings.clone(),
                    origin,
                    destinations: Vec::new(),
                    statistics: Statistics::default(),
                    rates: Rates::default(),
                });
            }
            Edit::EditService { service, settings } => {
                self.service(service)?.settings = settings.clone();
            }
            Edit::RemoveService { service } => {
                self.service(service)?;
                self.0.retain(|known| known.key != *service);
            }
            Edit::AddDestination {
                service,
                address,
                settings,
            } => {
                let service = self.service(service)?;
                if service.destinations.iter().any(|d| d.address == *address) {
                    return Err(EditError::DestinationExists);
                }
                service.destinations.insert(
                    0,
                    DestinationState {
                        address: *address,
                        settings: *settings,
                        origin,
                        active: 0,
                        inactive: 0,
                        persistent: 0,
                        statistics: Statistics::default(),
                        rates: Rates::default(),
                    },
                );
            }
            Edit::EditDestination {
                service,
                address,
                settings,
            } => {
                self.service(service)?
                    .destinations
                    .iter_mut()
                    .find(|d| d.address == *address)
                    .ok_or(EditError::NoSuchDestination)?
                    .settings = *settings;
            }
            Edit::RemoveDestination { service, address } => {
                let service = self.service(service)?;
                let before = service.destinations.len();
                service.destinations.retain(|d| d.address != *address);
                if service.destinations.len() == before {
                    return Err(EditError::NoSuchDestination);
                }
            }
            Edit::Flush
            | Edit::Zero { .. }
            | Edit::SetTimeouts(_)
            | Edit::StartSyncDaemon(_)
            | Edit::StopSyncDaemon { .. } => panic!("a plan has no {edit:?}"),
        }
        Ok(())
    }

    fn service(&mut self, key: &ServiceKey) -> Result<&mut ServiceState, EditError> {
        self.0
            .iter_mut()
            .find(|known| known.key == *key)
            .ok_or(EditError::NoSuchService)
    }

    fn with(mut self, origin: Origin, edits: &[Edit]) -> Table {
        for edit in edits {
            self.apply(edit, origin).unwrap();
        }
        self
    }

    /// What operators made, in a form that can be compared.
    fn operators(&self) -> Vec<(ServiceKey, Option<ServiceSettings>, Vec<DestinationState>)> {
        self.0
            .iter()
            .map(|service| {
                let settings =
                    (service.origin == Origin::Operator).then(|| service.settings.clone());
                let destinations = service.destinations.iter();
                let theirs = destinations.filter(|d| d.origin == Origin::Operator);
                (service.key, settings, theirs.cloned().collect())
            })
            .filter(|(_, settings, destinations): &(_, _, Vec<_>)| {
                settings.is_some() || !destinations.is_empty()
            })
            .collect()
    }
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
    let table = Table::default().with(Origin::Configuration, &before);
    let desired = [service(80, Scheduler::Wrr, &[(122, 5), (123, 1)])];
    assert_eq!(
        plan(&desired, &table.0),
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
    let table = Table::default().with(Origin::Configuration, &before);
    assert_eq!(
        plan(&[], &table.0),
        [Edit::RemoveService { service: key(80) }]
    );
}

#[test]
fn what_an_operator_made_is_left_alone() {
    let theirs = [add_service(Scheduler::Sh), added(121, 7)];
    let table = Table::default().with(Origin::Operator, &theirs);
    assert_eq!(plan(&[], &table.0), []);
    let desired = [service(80, Scheduler::Rr, &[(121, 1), (122, 1)])];
    assert_eq!(plan(&desired, &table.0), [added(122, 1)]);
    let table = table.with(Origin::Configuration, &[added(122, 1)]);
    assert_eq!(plan(&[], &table.0), [removed(122)]);
}

#[test]
fn a_service_stays_for_the_sake_of_an_operators_destination() {
    let table = Table::default()
        .with(
            Origin::Configuration,
            &[add_service(Scheduler::Rr), added(121, 1)],
        )
        .with(Origin::Operator, &[added(122, 1)]);
    assert_eq!(plan(&[], &table.0), [removed(121)]);
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

fn any_origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Operator), Just(Origin::Configuration)]
}

fn any_table() -> impl Strategy<Value = Table> {
    let destinations = prop::collection::btree_map(1u8..8, (0u32..4, any_origin()), 0..6);
    prop::collection::btree_map(1u16..6, (any_settings(), any_origin(), destinations), 0..5)
        .prop_map(|services| {
            let mut table = Table::default();
            for (port, (settings, origin, destinations)) in services {
                let service = key(port);
                let edit = Edit::AddService { service, settings };
                table.apply(&edit, origin).unwrap();
                for (host, (weight, origin)) in destinations {
                    let edit = Edit::AddDestination {
                        service,
                        address: real_server(host),
                        settings: weighing(weight),
                    };
                    table.apply(&edit, origin).unwrap();
                }
            }
            table
        })
}

proptest! {
    /// Every edit of a plan is taken, and none takes away for a while what is to stay;
    /// afterwards there is nothing left to plan, and nothing that an operator made has
    /// changed.
    #[test]
    fn a_plan_carried_out_leaves_nothing_to_plan(
        desired in any_desired(),
        mut table in any_table(),
    ) {
        let theirs = table.operators();
        let mut before = table.clone();
        for edit in plan(&desired, &table.0) {
            prop_assert_eq!(table.apply(&edit, Origin::Configuration), Ok(()));
            for service in &desired {
                let Ok(had) = before.service(&service.key) else { continue };
                for (address, _) in &service.destinations {
                    if had.destinations.iter().any(|d| d.address == *address) {
                        let has = table.service(&service.key).unwrap();
                        prop_assert!(has.destinations.iter().any(|d| d.address == *address));
                    }
                }
            }
        }
        prop_assert_eq!(plan(&desired, &table.0), []);
        prop_assert_eq!(table.operators(), theirs);
        for service in &desired {
            let present = table.service(&service.key).unwrap();
            for (address, _) in &service.destinations {
                prop_assert!(present.destinations.iter().any(|d| d.address == *address));
            }
        }
    }

    /// Without operators, carrying out a plan makes the table what was desired.
    #[test]
    fn without_operators_desired_and_actual_agree(
        first in any_desired(),
        second in any_desired(),
    ) {
        let mut table = Table::default();
        for desired in [&first, &second] {
            for edit in plan(desired, &table.0) {
                table.apply(&edit, Origin::Configuration).unwrap();
            }
        }
        let mut actual: Vec<_> = table.0.iter().map(|service| {
            let destinations: BTreeMap<_, _> = service
                .destinations
                .iter()
                .map(|d| (d.address, d.settings.weight))
                .collect();
            (service.key, service.settings.clone(), destinations)
        }).collect();
        actual.sort_by_key(|(key, _, _)| *key);
        let wanted: Vec<_> = second.iter().map(|service| {
            let destinations: BTreeMap<_, _> = service
                .destinations
                .iter()
                .map(|(address, settings)| (*address, settings.weight))
                .collect();
            (service.key, service.settings.clone(), destinations)
        }).collect();
        prop_assert_eq!(actual, wanted);
    }
}
