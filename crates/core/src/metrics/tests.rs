use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::api::CheckStatus;
use crate::service::{
    DestinationSettings, Family, ForwardingMethod, Origin, Protocol, Rates, ServiceSettings,
};

fn destination(address: &str, weight: u32, active: u32, inactive: u32) -> DestinationState {
    DestinationState {
        handshake: None,
        address: address.parse().unwrap(),
        settings: DestinationSettings {
            method: ForwardingMethod::Nat,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        },
        origin: Origin::Operator,
        active,
        inactive,
        persistent: 0,
        statistics: Statistics::default(),
        rates: Rates::default(),
    }
}

fn service(key: ServiceKey, destinations: Vec<DestinationState>, seed: u64) -> ServiceState {
    ServiceState {
        key,
        settings: ServiceSettings::default(),
        origin: Origin::Operator,
        destinations,
        statistics: Statistics {
            connections: seed,
            packets_in: seed + 1,
            packets_out: seed + 2,
            bytes_in: seed + 3,
            bytes_out: seed + 4,
        },
        rates: Rates::default(),
    }
}

fn address(protocol: Protocol, address: &str) -> ServiceKey {
    let address: SocketAddr = address.parse().unwrap();
    ServiceKey::Address { protocol, address }
}

fn text(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    write(&mut out, snapshot).expect("writing to memory");
    String::from_utf8(out).expect("text")
}

/// Samples, without comments.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// As node_exporter 1.5 tells of the same table in `/proc/net/ip_vs`, where the mark stands as
/// `FWM  10001000` and the services without a port as `:0000`.
#[test]
fn services_are_told_as_node_exporter_tells_of_the_kernels() {
    let snapshot = Snapshot {
        services: vec![
            service(
                address(Protocol::Tcp, "192.168.0.22:3306"),
                vec![
                    destination("192.168.82.22:3306", 100, 248, 2),
                    destination("[2620::1]:3306", 0, 0, 1),
                ],
                100,
            ),
            service(
                ServiceKey::Mark {
                    mark: 0x1000_1000,
                    family: Family::Inet,
                },
                vec![destination("192.168.50.26:3306", 20, 7, 64)],
                200,
            ),
            service(
                ServiceKey::Mark {
                    mark: 0x1000_1000,
                    family: Family::Inet6,
                },
                vec![destination("192.168.50.26:3306", 1, 1, 1)],
                0,
            ),
        ],
        ..Snapshot::default()
    };
    let text = text(&snapshot);
    let expected = [
        "node_ipvs_connections_total 300",
        "node_ipvs_incoming_packets_total 303",
        "node_ipvs_outgoing_packets_total 306",
        "node_ipvs_incoming_bytes_total 309",
        "node_ipvs_outgoing_bytes_total 312",
    ];
    assert_eq!(&samples(&text)[..5], expected);
    let mark = r#"{local_address="",local_port="0",remote_address="192.168.50.26",remote_port="3306",proto="FWM",local_mark="10001000"}"#;
    let tcp = r#"{local_address="192.168.0.22",local_port="3306",remote_address="192.168.82.22",remote_port="3306",proto="TCP",local_mark=""}"#;
    let tcp6 = r#"{local_address="192.168.0.22",local_port="3306",remote_address="2620::1",remote_port="3306",proto="TCP",local_mark=""}"#;
    let active = "node_ipvs_backend_connections_active";
    let inactive = "node_ipvs_backend_connections_inactive";
    let weight = "node_ipvs_backend_weight";
    for (name, labels, value) in [
        (active, mark, 8),
        (active, tcp, 248),
        (active, tcp6, 0),
        (inactive, mark, 65),
        (inactive, tcp, 2),
        (inactive, tcp6, 1),
        (weight, mark, 21),
        (weight, tcp, 100),
        (weight, tcp6, 0),
    ] {
        let line = format!("{name}{labels} {value}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(text.contains(
        "# HELP node_ipvs_backend_weight The current backend weight by local and remote address.\n\
         # TYPE node_ipvs_backend_weight gauge\n"
    ));
}

#[test]
fn what_the_director_knows_is_told_once_for_each_label() {
    let check = |real_server: &str, up| CheckStatus {
        service: "[10.9.0.1]:tcp:80".to_owned(),
        real_server: real_server.to_owned(),
        up,
        detail: String::new(),
    };
    let snapshot = Snapshot {
        packets: vec![("drop_no_route".to_owned(), 3), ("punt_mark".to_owned(), 0)],
        tables: vec![TableUse {
            table: "services",
            entries: 2,
            capacity: 4096,
        }],
        director: Some(Status {
            instances: vec![("V\"I\\_1".to_owned(), "MASTER".to_owned())],
            checks: vec![check("a", true), check("a", false), check("b", true)],
            ..Status::default()
        }),
        ..Snapshot::default()
    };
    let text = text(&snapshot);
    let ours: Vec<&str> = samples(&text)
        .into_iter()
        .filter(|line| line.starts_with("elver_"))
        .collect();
    assert_eq!(
        ours,
        [
            "elver_director_up 1",
            "elver_packets_total{outcome=\"drop_no_route\"} 3",
            "elver_packets_total{outcome=\"punt_mark\"} 0",
            "elver_table_entries{table=\"services\"} 2",
            "elver_table_capacity{table=\"services\"} 4096",
            "elver_real_server_up{service=\"[10.9.0.1]:tcp:80\",real_server=\"a\"} 0",
            "elver_real_server_up{service=\"[10.9.0.1]:tcp:80\",real_server=\"b\"} 1",
            "elver_vrrp_state{instance=\"V\\\"I\\\\_1\",state=\"INIT\"} 0",
            "elver_vrrp_state{instance=\"V\\\"I\\\\_1\",state=\"BACKUP\"} 0",
            "elver_vrrp_state{instance=\"V\\\"I\\\\_1\",state=\"MASTER\"} 1",
            "elver_vrrp_state{instance=\"V\\\"I\\\\_1\",state=\"FAULT\"} 0",
        ]
    );
}

#[test]
fn without_a_director_the_maps_are_told_of() {
    let text = text(&Snapshot::default());
    assert!(text.contains("\nelver_director_up 0\n"), "{text}");
    assert!(!text.contains("elver_vrrp_state"), "{text}");
}

#[test]
fn the_time_of_handshakes_is_told_where_there_were_some() {
    let mut seen = destination("10.2.0.11:80", 1, 0, 0);
    seen.handshake = Some(Duration::from_micros(1_250));
    let unseen = destination("10.2.0.12:80", 1, 0, 0);
    let key = address(Protocol::Tcp, "10.9.0.1:80");
    let services = vec![service(key, vec![seen, unseen], 0)];
    let text = text(&Snapshot {
        services,
        ..Snapshot::default()
    });
    let told: Vec<&str> = samples(&text)
        .into_iter()
        .filter(|line| line.contains("handshake"))
        .collect();
    assert_eq!(
        told,
        [
            "elver_real_server_handshake_seconds{local_address=\"10.9.0.1\",local_port=\"80\",\
             remote_address=\"10.2.0.11\",remote_port=\"80\",proto=\"TCP\",local_mark=\"\"} 0.00125"
        ]
    );
}
