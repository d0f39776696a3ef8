//! Configuration files as users have them: what they mean, and what is said about them.

use std::collections::BTreeMap;

use elver_core::config::{Loaded, Secrets, Severity, Source, dump, load, render};
use expect_test::{Expect, expect};

/// Files in memory.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Vec<u8>>,
    config_id: Option<String>,
}

impl Source for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| "No such file or directory".to_owned())
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let prefix = match directory {
            "." => String::new(),
            directory => format!("{}/", directory.trim_end_matches('/')),
        };
        self.files
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "VIP").then(|| "192.0.2.77".to_owned())
    }

    fn config_id(&self) -> Option<String> {
        self.config_id.clone()
    }
}

const PATH: &str = "keepalived.conf";

fn memory(files: &[(&str, &str)]) -> Memory {
    Memory {
        files: files
            .iter()
            .map(|(path, text)| (path.to_string(), text.as_bytes().to_vec()))
            .collect(),
        config_id: Some("one".to_owned()),
    }
}

fn loaded(text: &str) -> Loaded {
    load(&memory(&[(PATH, text)]), PATH)
}

fn rendered(loaded: &Loaded) -> String {
    loaded
        .diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, false) + "\n\n")
        .collect()
}

/// One line for each diagnostic.
fn summary(loaded: &Loaded) -> String {
    loaded
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.to_string() + "\n")
        .collect()
}

fn check_model(text: &str, expected: &Expect) {
    let loaded = loaded(text);
    let configuration = loaded.configuration.as_ref();
    expected.assert_debug_eq(&configuration.unwrap_or_else(|| panic!("{}", rendered(&loaded))));
}

const NAT: &str = include_str!("fixtures/nat/keepalived.conf");
const TUN: &str = include_str!("fixtures/tun/keepalived.conf");
const DOCKER: &str = include_str!("fixtures/docker/keepalived.conf");

#[test]
fn the_nat_directors_file_means_what_its_author_meant() {
    check_model(
        NAT,
        &expect![[r#"
            Configuration {
                global: Global {
                    router_id: Some(
                        "LVS_DEVEL",
                    ),
                    notification_email: [
                        "acassen@firewall.loc",
                        "failover@firewall.loc",
                        "sysadmin@firewall.loc",
                    ],
                    notification_email_from: Some(
                        "Alexandre.Cassen@firewall.loc",
                    ),
                    smtp_server: Some(
                        (
                            "192.168.200.1",
                            25,
                        ),
                    ),
                    smtp_connect_timeout: Some(
                        30s,
                    ),
                    vrrp_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    check_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    bfd_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    process_name: None,
                    automatic_priority: AutomaticPriority {
                        most: 0,
                        lateness: 1s,
                    },
                    network_namespace: None,
                    forwarding_namespace: None,
                    instance: None,
                    dynamic_interfaces: false,
                    routers: RouterSettings {
                        logs_unknown: false,
                        tells_states_on_reload: false,
                        no_local_reports: false,
                        link_delays: [],
                    },
                    address_mac_prefix: None,
                    supplementary_groups: false,
                    reloading: Reloading {
                        time_file: None,
                        repeats: false,
                        busy_file: None,
                    },
                    copies: None,
                    smtp_helo_name: None,
                    no_mail_of_faults: false,
                    script_security: false,
                    notify_fifo: None,
                    vrrp_notify_fifo: None,
                    lvs_notify_fifo: None,
                    startup_delay: 0ns,
                    delay_after_boot: 0ns,
                    timeouts: None,
                    nftables: Nftables {
                        table: "keepalived",
                        priority: -1,
                        counters: false,
                    },
                    startup: None,
                    shutdown: None,
                    patience: 5s,
                    flush: false,
                    flush_on_stop: No,
                    dump_files: DumpFiles {
                        data: "/tmp/keepalived.data",
                        statistics: "/tmp/keepalived.stats",
                        json: "/tmp/keepalived.json",
                        json_version: First,
                    },
                    dumps_by_instance: false,
                    umask: None,
                    mail_of_real_servers_only: false,
                    notify_at_start: false,
                },
                sync_groups: [
                    SyncGroup {
                        name: "VG1",
                        members: [
                            "VI_1",
                            "VI_GATEWAY",
                        ],
                        weights: false,
                        smtp_alert: false,
                        notify: NotifyScripts {
                            master: None,
                            backup: None,
                            fault: None,
                            stop: None,
                            deleted: None,
                            lower_priority: None,
                            any: None,
                        },
                    },
                ],
                instances: [
                    VrrpInstance {
                        name: "VI_1",
                        initial_state: Master,
                        interface: "eth0",
                        virtual_mac: None,
                        ipvlan: None,
                        virtual_router_id: 51,
                        priority: 100,
                        advertisement_interval: 1s,
                        version: V2,
                        authentication: Some(
                            Password(redacted),
                        ),
                        trailer: None,
                        virtual_addresses: [
                            VirtualAddress {
                                address: 172.17.42.200,
                                prefix_length: 32,
                                interface: None,
                                label: None,
                                scope: 0,
                                broadcast: None,
                                peer: None,
                                preferred_lifetime: None,
                                flags: {},
                                restore: true,
                                virtual_mac: None,
                            },
                        ],
                        preempt: true,
                        preempt_delay: 0ns,
                        routes: [],
                        rules: [],
                        excluded_addresses: [],
                        source: None,
                        unicast_peers: [],
                        multicast_group: None,
                        lacks_peers: false,
                        unicast_checksum: Learnt,
                        unicast_hop_limit: 255,
                        track_source: false,
                        accept: true,
                        strict: false,
                        promote_secondaries: false,
                        check_unicast_source: false,
                        announcements: Announcements {
                            delay: 5s,
                            repeat: 5,
                            refresh: 0ns,
                            refresh_repeat: 1,
                            lower_priority_delay: 5s,
                            lower_priority_repeat: 5,
                            elsewhere: 0ns,
                            elsewhere_all: false,
                        },
                        down_timer_advertisements: 3,
                        yields_when_late: None,
                        answer_lower_priority: true,
                        advertise_before_yielding: false,
                        trust_known_master: false,
                        sums_message_alone: false,
                        deaf_as_owner: false,
                        track_primary: true,
                        tracked: [],
                        smtp_alert: false,
                        notify: NotifyScripts {
                            master: None,
                            backup: None,
                            fault: None,
                            stop: None,
                            deleted: None,
                            lower_priority: None,
                            any: None,
                        },
                        notify_priority_changes: false,
                    },
                    VrrpInstance {
                        name: "VI_GATEWAY",
                        initial_state: Master,
                        interface: "eth1",
                        virtual_mac: None,
                        ipvlan: None,
                        virtual_router_id: 52,
                        priority: 150,
                        advertisement_interval: 1s,
                        version: V2,
                        authentication: Some(
                            Password(redacted),
                        ),
                        trailer: None,
                        virtual_addresses: [
                            VirtualAddress {
                                address: 172.18.42.200,
                                prefix_length: 32,
                                interface: None,
                                label: None,
                                scope: 0,
                                broadcast: None,
                                peer: None,
                                preferred_lifetime: None,
                                flags: {},
                                restore: true,
                                virtual_mac: None,
                            },
                        ],
                        preempt: true,
                        preempt_delay: 0ns,
                        routes: [],
                        rules: [],
                        excluded_addresses: [],
                        source: None,
                        unicast_peers: [],
                        multicast_group: None,
                        lacks_peers: false,
                        unicast_checksum: Learnt,
                        unicast_hop_limit: 255,
                        track_source: false,
                        accept: true,
                        strict: false,
                        promote_secondaries: false,
                        check_unicast_source: false,
                        announcements: Announcements {
                            delay: 5s,
                            repeat: 5,
                            refresh: 0ns,
                            refresh_repeat: 1,
                            lower_priority_delay: 5s,
                            lower_priority_repeat: 5,
                            elsewhere: 0ns,
                            elsewhere_all: false,
                        },
                        down_timer_advertisements: 3,
                        yields_when_late: None,
                        answer_lower_priority: true,
                        advertise_before_yielding: false,
                        trust_known_master: false,
                        sums_message_alone: false,
                        deaf_as_owner: false,
                        track_primary: true,
                        tracked: [],
                        smtp_alert: true,
                        notify: NotifyScripts {
                            master: None,
                            backup: None,
                            fault: None,
                            stop: None,
                            deleted: None,
                            lower_priority: None,
                            any: None,
                        },
                        notify_priority_changes: false,
                    },
                ],
                statics: Statics {
                    addresses: [],
                    routes: [],
                    rules: [],
                },
                trackers: Trackers {
                    scripts: [],
                    files: [],
                    processes: [],
                    sessions: [],
                },
                pacing: Pacing {
                    usual: Gaps {
                        gratuitous_arp: 0ns,
                        neighbour_advertisement: 0ns,
                    },
                    groups: [],
                },
                client_certificate: None,
                virtual_servers: [
                    VirtualServer {
                        key: Address {
                            protocol: Tcp,
                            address: 172.17.42.200:3306,
                        },
                        group: None,
                        settings: ServiceSettings {
                            scheduler: Rr,
                            scheduler_flag_1: false,
                            scheduler_flag_2: false,
                            scheduler_flag_3: false,
                            persistence: Some(
                                Persistence {
                                    timeout: 50s,
                                    prefix_length: 32,
                                    scattered_mask: None,
                                },
                            ),
                            persistence_engine: None,
                            one_packet: false,
                        },
                        real_servers: [
                            RealServer {
                                address: 172.18.42.121:3306,
                                settings: DestinationSettings {
                                    method: Nat,
                                    weight: 1,
                                    upper_threshold: 0,
                                    lower_threshold: 0,
                                },
                                inhibit_on_failure: false,
                                smtp_alert: true,
                                notify_up: None,
                                notify_down: None,
                                slow_start: 0ns,
                                passive_check: None,
                                passive_handshake: None,
                                checks: [
                                    Check {
                                        connection: Connection {
                                            to: 172.18.42.121:22,
                                            timeout: 3s,
                                            source: None,
                                            source_port: None,
                                            interface: None,
                                            mark: 0,
                                            path: Direct,
                                        },
                                        probe: Tcp,
                                        timing: Timing {
                                            interval: 6s,
                                            retries: 1,
                                            delay_before_retry: 3s,
                                            warmup: 6s,
                                            alpha: false,
                                            log_all_failures: false,
                                        },
                                    },
                                ],
                            },
                        ],
                        quorum: 1,
                        hysteresis: 0,
                        sorry_server: None,
                        quorum_up: None,
                        quorum_down: None,
                        smtp_alert: false,
                        omega: false,
                        ha_suspend: false,
                    },
                ],
            }
        "#]],
    );
}

#[test]
fn the_nat_directors_flaws_are_explained_and_harmless() {
    let loaded = loaded(NAT);
    assert!(loaded.configuration.is_some());
    assert!(
        loaded
            .diagnostics
            .iter()
            .all(|d| d.severity != Severity::Error)
    );
    expect![[r#"
        note: (VI_1) the password is sent in the clear in every advertisement
          --> keepalived.conf:28:19
           |
        28 |         auth_pass <redacted>
           |                   ^^^^^^^^^^
           |
           = help: it keeps misconfigured directors apart, not attackers

        warning: unknown keyword `lvs_sync_daemon_inteface`: this line is ignored
          --> keepalived.conf:38:9
           |
        38 |         lvs_sync_daemon_inteface eth1 
           |         ^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `lvs_sync_daemon_interface`?
           |
           = help: write `lvs_sync_daemon_interface`

        note: (VI_GATEWAY) the password is sent in the clear in every advertisement
          --> keepalived.conf:45:27
           |
        45 |                 auth_pass <redacted>
           |                           ^^^^^^^^^^
           |
           = help: it keeps misconfigured directors apart, not attackers

        warning: `nat_mask` is ignored: keepalived has dropped it
          --> keepalived.conf:56:5
           |
        56 |     nat_mask 255.255.0.0
           |     ^^^^^^^^
           |
           = help: take the line away: NAT never needs the netmask of an address

        note: port 3306 of this real server is never checked
          --> keepalived.conf:60:5
           |
        60 |     real_server 172.18.42.121 3306 {
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ its check connects to port 22
           |
           = help: while that port answers, clients are sent here even if their own port is dead

        warning: `nb_get_retry` is ignored: TCP_CHECK never had it
          --> keepalived.conf:64:17
           |
        64 |                 nb_get_retry 3
           |                 ^^^^^^^^^^^^
           |
           = help: write `retry` if a failed check is to be repeated that often; nb_get_retry was the name of `retry` in HTTP_GET and SSL_GET only, and old versions of keepalived skipped it here without a word

        warning: this `}` closes nothing: every block is closed already
          --> keepalived.conf:70:1
           |
        70 | }
           | ^ no block is open here
           |
          ::: keepalived.conf:62:9
           |
        62 |         TCP_CHECK {
           |         --------- `TCP_CHECK` starts here
           |
          ::: keepalived.conf:67:13
           |
        67 |             }
           |             - and is closed here, in another column: perhaps this brace is the one too many
           |
           = help: take one of the two braces away

    "#]].assert_eq(&rendered(&loaded));
}

#[test]
fn the_tunnel_directors_file_means_what_its_author_meant() {
    check_model(
        TUN,
        &expect![[r#"
            Configuration {
                global: Global {
                    router_id: Some(
                        "LVS_DEVEL",
                    ),
                    notification_email: [
                        "acassen@firewall.loc",
                        "failover@firewall.loc",
                        "sysadmin@firewall.loc",
                    ],
                    notification_email_from: Some(
                        "Alexandre.Cassen@firewall.loc",
                    ),
                    smtp_server: Some(
                        (
                            "192.168.200.1",
                            25,
                        ),
                    ),
                    smtp_connect_timeout: Some(
                        30s,
                    ),
                    vrrp_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    check_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    bfd_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    process_name: None,
                    automatic_priority: AutomaticPriority {
                        most: 0,
                        lateness: 1s,
                    },
                    network_namespace: None,
                    forwarding_namespace: None,
                    instance: None,
                    dynamic_interfaces: false,
                    routers: RouterSettings {
                        logs_unknown: false,
                        tells_states_on_reload: false,
                        no_local_reports: false,
                        link_delays: [],
                    },
                    address_mac_prefix: None,
                    supplementary_groups: false,
                    reloading: Reloading {
                        time_file: None,
                        repeats: false,
                        busy_file: None,
                    },
                    copies: None,
                    smtp_helo_name: None,
                    no_mail_of_faults: false,
                    script_security: false,
                    notify_fifo: None,
                    vrrp_notify_fifo: None,
                    lvs_notify_fifo: None,
                    startup_delay: 0ns,
                    delay_after_boot: 0ns,
                    timeouts: None,
                    nftables: Nftables {
                        table: "keepalived",
                        priority: -1,
                        counters: false,
                    },
                    startup: None,
                    shutdown: None,
                    patience: 5s,
                    flush: false,
                    flush_on_stop: No,
                    dump_files: DumpFiles {
                        data: "/tmp/keepalived.data",
                        statistics: "/tmp/keepalived.stats",
                        json: "/tmp/keepalived.json",
                        json_version: First,
                    },
                    dumps_by_instance: false,
                    umask: None,
                    mail_of_real_servers_only: false,
                    notify_at_start: false,
                },
                sync_groups: [],
                instances: [
                    VrrpInstance {
                        name: "VI_1",
                        initial_state: Master,
                        interface: "eth0",
                        virtual_mac: None,
                        ipvlan: None,
                        virtual_router_id: 51,
                        priority: 100,
                        advertisement_interval: 1s,
                        version: V2,
                        authentication: Some(
                            Password(redacted),
                        ),
                        trailer: None,
                        virtual_addresses: [
                            VirtualAddress {
                                address: 172.17.42.200,
                                prefix_length: 32,
                                interface: None,
                                label: None,
                                scope: 0,
                                broadcast: None,
                                peer: None,
                                preferred_lifetime: None,
                                flags: {},
                                restore: true,
                                virtual_mac: None,
                            },
                        ],
                        preempt: true,
                        preempt_delay: 0ns,
                        routes: [],
                        rules: [],
                        excluded_addresses: [],
                        source: None,
                        unicast_peers: [],
                        multicast_group: None,
                        lacks_peers: false,
                        unicast_checksum: Learnt,
                        unicast_hop_limit: 255,
                        track_source: false,
                        accept: true,
                        strict: false,
                        promote_secondaries: false,
                        check_unicast_source: false,
                        announcements: Announcements {
                            delay: 5s,
                            repeat: 5,
                            refresh: 0ns,
                            refresh_repeat: 1,
                            lower_priority_delay: 5s,
                            lower_priority_repeat: 5,
                            elsewhere: 0ns,
                            elsewhere_all: false,
                        },
                        down_timer_advertisements: 3,
                        yields_when_late: None,
                        answer_lower_priority: true,
                        advertise_before_yielding: false,
                        trust_known_master: false,
                        sums_message_alone: false,
                        deaf_as_owner: false,
                        track_primary: true,
                        tracked: [],
                        smtp_alert: false,
                        notify: NotifyScripts {
                            master: None,
                            backup: None,
                            fault: None,
                            stop: None,
                            deleted: None,
                            lower_priority: None,
                            any: None,
                        },
                        notify_priority_changes: false,
                    },
                ],
                statics: Statics {
                    addresses: [],
                    routes: [],
                    rules: [],
                },
                trackers: Trackers {
                    scripts: [],
                    files: [],
                    processes: [],
                    sessions: [],
                },
                pacing: Pacing {
                    usual: Gaps {
                        gratuitous_arp: 0ns,
                        neighbour_advertisement: 0ns,
                    },
                    groups: [],
                },
                client_certificate: None,
                virtual_servers: [
                    VirtualServer {
                        key: Address {
                            protocol: Tcp,
                            address: 172.17.42.200:3306,
                        },
                        group: None,
                        settings: ServiceSettings {
                            scheduler: Rr,
                            scheduler_flag_1: false,
                            scheduler_flag_2: false,
                            scheduler_flag_3: false,
                            persistence: Some(
                                Persistence {
                                    timeout: 50s,
                                    prefix_length: 32,
                                    scattered_mask: None,
                                },
                            ),
                            persistence_engine: None,
                            one_packet: false,
                        },
                        real_servers: [
                            RealServer {
                                address: 172.17.42.120:3306,
                                settings: DestinationSettings {
                                    method: Tunnel(
                                        Ipip,
                                    ),
                                    weight: 1,
                                    upper_threshold: 0,
                                    lower_threshold: 0,
                                },
                                inhibit_on_failure: false,
                                smtp_alert: true,
                                notify_up: None,
                                notify_down: None,
                                slow_start: 0ns,
                                passive_check: None,
                                passive_handshake: None,
                                checks: [
                                    Check {
                                        connection: Connection {
                                            to: 172.17.42.120:3306,
                                            timeout: 3s,
                                            source: None,
                                            source_port: None,
                                            interface: None,
                                            mark: 0,
                                            path: Direct,
                                        },
                                        probe: Tcp,
                                        timing: Timing {
                                            interval: 6s,
                                            retries: 1,
                                            delay_before_retry: 3s,
                                            warmup: 6s,
                                            alpha: false,
                                            log_all_failures: false,
                                        },
                                    },
                                ],
                            },
                        ],
                        quorum: 1,
                        hysteresis: 0,
                        sorry_server: None,
                        quorum_up: None,
                        quorum_down: None,
                        smtp_alert: false,
                        omega: false,
                        ha_suspend: false,
                    },
                ],
            }
        "#]],
    );
}

#[test]
fn the_container_directors_file_means_what_its_author_meant() {
    check_model(
        DOCKER,
        &expect![[r#"
            Configuration {
                global: Global {
                    router_id: Some(
                        "LVS_DEVEL",
                    ),
                    notification_email: [
                        "acassen@firewall.loc",
                        "failover@firewall.loc",
                        "sysadmin@firewall.loc",
                    ],
                    notification_email_from: Some(
                        "Alexandre.Cassen@firewall.loc",
                    ),
                    smtp_server: Some(
                        (
                            "192.168.200.1",
                            25,
                        ),
                    ),
                    smtp_connect_timeout: Some(
                        30s,
                    ),
                    vrrp_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    check_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    bfd_process: ProcessSettings {
                        name: None,
                        nice: 0,
                        real_time: None,
                        real_time_limit: None,
                        no_swap: false,
                        processors: [],
                    },
                    process_name: None,
                    automatic_priority: AutomaticPriority {
                        most: 0,
                        lateness: 1s,
                    },
                    network_namespace: None,
                    forwarding_namespace: None,
                    instance: None,
                    dynamic_interfaces: false,
                    routers: RouterSettings {
                        logs_unknown: false,
                        tells_states_on_reload: false,
                        no_local_reports: false,
                        link_delays: [],
                    },
                    address_mac_prefix: None,
                    supplementary_groups: false,
                    reloading: Reloading {
                        time_file: None,
                        repeats: false,
                        busy_file: None,
                    },
                    copies: None,
                    smtp_helo_name: None,
                    no_mail_of_faults: false,
                    script_security: false,
                    notify_fifo: None,
                    vrrp_notify_fifo: None,
                    lvs_notify_fifo: None,
                    startup_delay: 0ns,
                    delay_after_boot: 0ns,
                    timeouts: None,
                    nftables: Nftables {
                        table: "keepalived",
                        priority: -1,
                        counters: false,
                    },
                    startup: None,
                    shutdown: None,
                    patience: 5s,
                    flush: false,
                    flush_on_stop: No,
                    dump_files: DumpFiles {
                        data: "/tmp/keepalived.data",
                        statistics: "/tmp/keepalived.stats",
                        json: "/tmp/keepalived.json",
                        json_version: First,
                    },
                    dumps_by_instance: false,
                    umask: None,
                    mail_of_real_servers_only: false,
                    notify_at_start: false,
                },
                sync_groups: [],
                instances: [
                    VrrpInstance {
                        name: "VI_1",
                        initial_state: Master,
                        interface: "eth0",
                        virtual_mac: None,
                        ipvlan: None,
                        virtual_router_id: 51,
                        priority: 100,
                        advertisement_interval: 1s,
                        version: V2,
                        authentication: Some(
                            Password(redacted),
                        ),
                        trailer: None,
                        virtual_addresses: [
                            VirtualAddress {
                                address: 172.17.42.200,
                                prefix_length: 32,
                                interface: None,
                                label: None,
                                scope: 0,
                                broadcast: None,
                                peer: None,
                                preferred_lifetime: None,
                                flags: {},
                                restore: true,
                                virtual_mac: None,
                            },
                        ],
                        preempt: true,
                        preempt_delay: 0ns,
                        routes: [],
                        rules: [],
                        excluded_addresses: [],
                        source: None,
                        unicast_peers: [],
                        multicast_group: None,
                        lacks_peers: false,
                        unicast_checksum: Learnt,
                        unicast_hop_limit: 255,
                        track_source: false,
                        accept: true,
                        strict: false,
                        promote_secondaries: false,
                        check_unicast_source: false,
                        announcements: Announcements {
                            delay: 5s,
                            repeat: 5,
                            refresh: 0ns,
                            refresh_repeat: 1,
                            lower_priority_delay: 5s,
                            lower_priority_repeat: 5,
                            elsewhere: 0ns,
                            elsewhere_all: false,
                        },
                        down_timer_advertisements: 3,
                        yields_when_late: None,
                        answer_lower_priority: true,
                        advertise_before_yielding: false,
                        trust_known_master: false,
                        sums_message_alone: false,
                        deaf_as_owner: false,
                        track_primary: true,
                        tracked: [],
                        smtp_alert: false,
                        notify: NotifyScripts {
                            master: None,
                            backup: None,
                            fault: None,
                            stop: None,
                            deleted: None,
                            lower_priority: None,
                            any: None,
                        },
                        notify_priority_changes: false,
                    },
                ],
                statics: Statics {
                    addresses: [],
                    routes: [],
                    rules: [],
                },
                trackers: Trackers {
                    scripts: [],
                    files: [],
                    processes: [],
                    sessions: [],
                },
                pacing: Pacing {
                    usual: Gaps {
                        gratuitous_arp: 0ns,
                        neighbour_advertisement: 0ns,
                    },
                    groups: [],
                },
                client_certificate: None,
                virtual_servers: [
                    VirtualServer {
                        key: Address {
                            protocol: Tcp,
                            address: 172.17.42.200:36000,
                        },
                        group: None,
                        settings: ServiceSettings {
                            scheduler: Rr,
                            scheduler_flag_1: false,
                            scheduler_flag_2: false,
                            scheduler_flag_3: false,
                            persistence: Some(
                                Persistence {
                                    timeout: 50s,
                                    prefix_length: 32,
                                    scattered_mask: None,
                                },
                            ),
                            persistence_engine: None,
                            one_packet: false,
                        },
                        real_servers: [
                            RealServer {
                                address: 172.17.42.40:36000,
                                settings: DestinationSettings {
                                    method: Tunnel(
                                        Ipip,
                                    ),
                                    weight: 1,
                                    upper_threshold: 0,
                                    lower_threshold: 0,
                                },
                                inhibit_on_failure: false,
                                smtp_alert: true,
                                notify_up: None,
                                notify_down: None,
                                slow_start: 0ns,
                                passive_check: None,
                                passive_handshake: None,
                                checks: [
                                    Check {
                                        connection: Connection {
                                            to: 172.17.42.40:22,
                                            timeout: 3s,
                                            source: None,
                                            source_port: None,
                                            interface: None,
                                            mark: 0,
                                            path: Direct,
                                        },
                                        probe: Tcp,
                                        timing: Timing {
                                            interval: 6s,
                                            retries: 1,
                                            delay_before_retry: 3s,
                                            warmup: 6s,
                                            alpha: false,
                                            log_all_failures: false,
                                        },
                                    },
                                ],
                            },
                        ],
                        quorum: 1,
                        hysteresis: 0,
                        sorry_server: None,
                        quorum_up: None,
                        quorum_down: None,
                        smtp_alert: false,
                        omega: false,
                        ha_suspend: false,
                    },
                ],
            }
        "#]],
    );
}

#[test]
fn the_other_files_of_the_seed_have_three_flaws_each() {
    expect![[r#"
        keepalived.conf:21:19: note: (VI_1) the password is sent in the clear in every advertisement; it keeps misconfigured directors apart, not attackers
        keepalived.conf:32:5: warning: `nat_mask` is ignored: keepalived has dropped it; take the line away: NAT never needs the netmask of an address
        keepalived.conf:40:17: warning: `nb_get_retry` is ignored: TCP_CHECK never had it; write `retry` if a failed check is to be repeated that often; nb_get_retry was the name of `retry` in HTTP_GET and SSL_GET only, and old versions of keepalived skipped it here without a word
        keepalived.conf:46:1: warning: this `}` closes nothing: every block is closed already; take one of the two braces away
    "#]].assert_eq(&summary(&loaded(TUN)));
    expect![[r#"
        keepalived.conf:21:19: note: (VI_1) the password is sent in the clear in every advertisement; it keeps misconfigured directors apart, not attackers
        keepalived.conf:32:5: warning: `nat_mask` is ignored: keepalived has dropped it; take the line away: NAT never needs the netmask of an address
        keepalived.conf:36:5: note: port 36000 of this real server is never checked; while that port answers, clients are sent here even if their own port is dead
        keepalived.conf:40:17: warning: `nb_get_retry` is ignored: TCP_CHECK never had it; write `retry` if a failed check is to be repeated that often; nb_get_retry was the name of `retry` in HTTP_GET and SSL_GET only, and old versions of keepalived skipped it here without a word
        keepalived.conf:46:1: warning: this `}` closes nothing: every block is closed already; take one of the two braces away
    "#]].assert_eq(&summary(&loaded(DOCKER)));
}

/// Each file says in its first line what Debian's keepalived 2.2.7 answered to it in a
/// network namespace with an interface eth0 and the config-id `one`.
#[test]
fn keepalived_and_elver_judge_alike() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/verdicts");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().unwrap().rsplit(' ').next().unwrap();
        let loaded = loaded(&text);
        let got = loaded.keepalived().exit_code().to_string();
        count += 1;
        if got != expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!(
                "{name}: {got}, keepalived {expected}\n{}",
                summary(&loaded)
            ));
        }
    }
    assert!(count > 90, "only {count} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a file means, written out, means the same, and keepalived finds nothing to complain of in it.
#[test]
fn a_dump_loads_as_the_same_configuration() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/verdicts");
    let mut texts: Vec<String> = [NAT, TUN, DOCKER].map(str::to_owned).to_vec();
    for entry in std::fs::read_dir(directory).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let mut dumped = 0;
    for text in texts {
        let Some(configuration) = loaded(&text).configuration else {
            continue;
        };
        let dump = dump(&configuration, Secrets::Shown);
        let again = loaded(&dump);
        assert_eq!(
            again.configuration.as_ref(),
            Some(&configuration),
            "{dump}\n{}",
            summary(&again)
        );
        dumped += 1;
    }
    assert!(dumped > 60, "only {dumped} were dumped");
}

#[test]
fn a_dump_without_secrets_has_none() {
    let configuration = loaded(&NAT.replace("1111", "pa$$wd!"))
        .configuration
        .unwrap();
    assert!(dump(&configuration, Secrets::Shown).contains("auth_pass \"pa$$wd\""));
    let hidden = dump(&configuration, Secrets::Hidden);
    assert!(!hidden.contains("pa$$"), "{hidden}");
    assert!(loaded(&hidden).configuration.is_some());
}

#[test]
fn a_dump_reads_like_a_file() {
    let configuration = loaded(TUN).configuration.unwrap();
    expect![[r#"
        global_defs {
            router_id LVS_DEVEL
            notification_email {
                acassen@firewall.loc
                failover@firewall.loc
                sysadmin@firewall.loc
            }
            notification_email_from Alexandre.Cassen@firewall.loc
            smtp_server 192.168.200.1 25
            smtp_connect_timeout 30
        }

        vrrp_instance VI_1 {
            state MASTER
            interface eth0
            virtual_router_id 51
            priority 100
            advert_int 1
            version 2
            garp_master_delay 5
            garp_master_refresh 0
            garp_lower_prio_delay 5
            garp_master_repeat 5
            garp_master_refresh_repeat 1
            garp_lower_prio_repeat 5
            down_timer_adverts 3
            lower_prio_no_advert false
            higher_prio_send_advert false
            skip_check_adv_addr false
            smtp_alert false
            authentication {
                auth_type PASS
                auth_pass redacted
            }
            virtual_ipaddress {
                172.17.42.200/32
            }
        }

        virtual_server 172.17.42.200 3306 {
            protocol TCP
            lvs_sched rr
            persistence_timeout 50
            smtp_alert false
            quorum 1
            hysteresis 0
            real_server 172.17.42.120 3306 {
                weight 1
                lvs_method TUN type ipip
                smtp_alert true
                TCP_CHECK {
                    connect_ip 172.17.42.120
                    connect_port 3306
                    connect_timeout 3
                    delay_loop 6
                    retry 1
                    delay_before_retry 3
                    warmup 6
                }
            }
        }

    "#]]
    .assert_eq(&dump(&configuration, Secrets::Hidden));
}

/// An instance with these lines in its `virtual_ipaddress` block.
fn with_addresses(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {{\n{lines}\n    }}\n}}\n"
    )
}

fn addresses(loaded: &Loaded) -> Vec<String> {
    let Some(configuration) = &loaded.configuration else {
        panic!("{}", rendered(loaded));
    };
    configuration.instances[0]
        .virtual_addresses
        .iter()
        .map(|address| format!("{}/{}", address.address, address.prefix_length))
        .collect()
}

#[test]
fn definitions_stand_for_text_lines_and_each_other() {
    let text = "$NET=10.0\n$VIP=${NET}.0.1\n$ALL= \\\n  $VIP \\\n  10.0.0.2/24 \\\n  ${NET}.0.3\n"
        .to_owned()
        + &with_addresses("$ALL\n${_ENV VIP}");
    assert_eq!(
        addresses(&loaded(&text)),
        ["10.0.0.1/32", "10.0.0.2/24", "10.0.0.3/32", "192.0.2.77/32"]
    );
}

#[test]
fn a_definition_can_hold_whole_blocks() {
    let text = "$BLOCK= \\\nvrrp_instance $NAME { \\\n  interface eth0 \\\n  virtual_router_id $ID \\\n  virtual_ipaddress { \\\n    10.0.0.$ID \\\n  } \\\n}\n\n$NAME=A\n$ID=1\n$BLOCK\n$NAME=B\n$ID=2\n$BLOCK\n";
    let configuration = loaded(text).configuration.unwrap();
    let seen: Vec<_> = configuration
        .instances
        .iter()
        .map(|i| (i.name.as_str(), i.virtual_router_id))
        .collect();
    assert_eq!(seen, [("A", 1), ("B", 2)]);
}

#[test]
fn repetitions_count_and_go_through_lists() {
    let text = with_addresses(
        "~SEQ(N, 3) 10.0.0.$N\n~SEQ(N, 30, -10, 10) 10.0.1.$N\n~SEQx(N, 9, 11) fd00::$N\n~LST({A, B}, {1, 2}, {3}) 10.${A}.0.${B}9\n~SEQ(A, 1, 2) ~SEQ(B, 1, 2) 10.2.${A}.$B",
    );
    let found = loaded(&text);
    assert_eq!(
        addresses(&found).join(" "),
        "10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 10.0.1.30/32 10.0.1.20/32 10.0.1.10/32 10.1.0.29/32 10.3.0.9/32 10.2.1.1/32 10.2.1.2/32 10.2.2.1/32 10.2.2.2/32"
    );
    // The three of the other family are ignored, each.
    assert_eq!(summary(&found).matches("not of the family").count(), 3);
}

#[test]
fn conditions_keep_the_lines_of_this_director() {
    let text = with_addresses("@one 10.0.0.1\n@two 10.0.0.2\n@^one 10.0.0.3\n@^two 10.0.0.4");
    assert_eq!(addresses(&loaded(&text)), ["10.0.0.1/32", "10.0.0.4/32"]);
}

#[test]
fn comments_quotes_and_braces_stand_anywhere() {
    let text = "vrrp_instance \"A B\" { interface eth0 # the first\n virtual_router_id 1 ! one\n virtual_ipaddress { 10.0.0.1 } authentication { auth_type PASS\n auth_pass \"a#b! c\" } }\n";
    let loaded = loaded(text);
    assert_eq!(
        loaded.configuration.as_ref().unwrap().instances[0].name,
        "A B"
    );
    let dump = dump(loaded.configuration.as_ref().unwrap(), Secrets::Shown);
    assert!(dump.contains("auth_pass \"a#b! c\""), "{dump}");
}

#[test]
fn included_files_are_found_beside_the_file_that_names_them() {
    let instance = with_addresses("10.0.0.1");
    let source = memory(&[
        (
            "/etc/keepalived/keepalived.conf",
            "include conf.d/*.conf\ninclude missing.conf\n",
        ),
        (
            "/etc/keepalived/conf.d/b.conf",
            "global_defs {\n  router_id b\n}\n",
        ),
        (
            "/etc/keepalived/conf.d/a.conf",
            "include more/a.inc\nglobal_defs {\n  router_id a\n}\n",
        ),
        ("/etc/keepalived/conf.d/more/a.inc", &instance),
    ]);
    let loaded = load(&source, "/etc/keepalived/keepalived.conf");
    let configuration = loaded.configuration.as_ref().unwrap();
    assert_eq!(configuration.instances.len(), 1);
    assert_eq!(configuration.global.router_id.as_deref(), Some("b"));
    expect![[r#"
        /etc/keepalived/keepalived.conf:2:9: warning: no file matches /etc/keepalived/missing.conf; keepalived goes on without the file; `includea` insists on it
    "#]].assert_eq(&summary(&loaded));
}

#[test]
fn files_that_include_each_other_are_refused() {
    let source = memory(&[
        ("a.conf", "include b.conf\n"),
        ("b.conf", "include a.conf\n"),
    ]);
    let loaded = load(&source, "a.conf");
    assert_eq!(loaded.configuration, None);
    expect![[r#"
        a.conf:1:1: warning: the configuration is empty; nothing will run; has the file been written completely?
        b.conf:1:9: error: a.conf includes itself; take this line away
    "#]].assert_eq(&summary(&loaded));
}

#[test]
fn definitions_that_never_end_are_refused() {
    for text in [
        "$A=$B $B\n$B=$A $A\n$A\n",
        "$A=$A\n$A\n",
        "$A= \\\n$A \\\n$A\n$A\n",
        "~SEQ(N, 1, 9000000000) x $N\n",
        "~SEQ(A, 1, 9000000) ~SEQ(B, 1, 9000000) ~SEQ(C, 1, 9000000) x\n",
    ] {
        let loaded = loaded(text);
        assert_eq!(loaded.configuration, None, "{text}");
        assert!(loaded.diagnostics.len() < 2000, "{text}");
    }
}

/// Ends at once, however it is done: each of these took minutes when it was done naively.
#[test]
fn hostile_files_are_answered_in_time() {
    let mut texts: Vec<String> = [
        "}",
        "a}",
        "\\#",
        "${a ",
        "$A ",
        "\"",
        "a ",
        "auth_pass x ",
        "{",
    ]
    .iter()
    .map(|piece| format!("$A=b\n{}", piece.repeat(4_000_000 / piece.len())))
    .collect();
    texts.push(format!("$A=b\n{}", ("$A ".repeat(4000) + "\n").repeat(200)));
    texts.push("a {\n".repeat(500_000));
    texts.push("authentcation {\n".repeat(50_000));
    for text in texts {
        let loaded = loaded(&text);
        assert!(loaded.diagnostics.len() < 2000);
        assert_eq!(loaded.configuration, None, "{}", &text[..40]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_error() {
    let loaded = load(&memory(&[]), "/etc/keepalived/keepalived.conf");
    assert_eq!(loaded.configuration, None);
    expect![[r#"
        error: /etc/keepalived/keepalived.conf cannot be read: No such file or directory
         |
         = help: name another file with -f, or make this one readable

    "#]]
    .assert_eq(&rendered(&loaded));
}

/// What cannot be acted on is an error, each with its place and a way out, and all at once.
#[test]
fn errors_are_all_found_in_one_pass() {
    let loaded = loaded(
        "vrrp_instance A {\n    interfac eth0\n    virtual_router_id 300\n    priority high\n    virtual_ipaddress {\n        10.0.0.300\n        vip.example\n        10.0.0.1/33\n    }\n}\nvrrp_instance B {\n}\nvirtual_server 10.0.0.1 http {\n    lb_algo rrr\n    lb_kind TUN type gue\n    protocol ICMP\n    persistence_granularity 255.0.255.0\n    real_server 10.1.0.1 {\n        weight -1\n        TCP_CHECK {\n            connect_port 0\n            connect_timeout soon\n        }\n    }\n}\n",
    );
    assert_eq!(loaded.configuration, None);
    expect![[r#"
        warning: unknown keyword `interfac`: this line is ignored
         --> keepalived.conf:2:5
          |
        2 |     interfac eth0
          |     ^^^^^^^^ did you mean `interface`?
          |
          = help: write `interface`

        error: `virtual_router_id` takes a number from 1 to 255, not `300`
         --> keepalived.conf:3:23
          |
        3 |     virtual_router_id 300
          |                       ^^^

        error: `priority` takes a number from 1 to 255, and `high` is no whole number
         --> keepalived.conf:4:14
          |
        4 |     priority high
          |              ^^^^

        error: `10.0.0.300` is no IP address
         --> keepalived.conf:6:9
          |
        6 |         10.0.0.300
          |         ^^^^^^^^^^
          |
          = help: write it like 192.0.2.1 or 2001:db8::1

        error: `vip.example` is no IP address
         --> keepalived.conf:7:9
          |
        7 |         vip.example
          |         ^^^^^^^^^^^
          |
          = help: host names are not looked up here: write the address

        warning: the prefix length of `10.0.0.1/33` is not from 0 to 32: 32 is used
         --> keepalived.conf:8:9
          |
        8 |         10.0.0.1/33
          |         ^^^^^^^^^^^
          |
          = help: write 10.0.0.1/32 for the address alone

        error: (B) this instance has no interface
          --> keepalived.conf:11:15
           |
        11 | vrrp_instance B {
           |               ^
           |
           = help: add `interface NAME`: the interface on which its advertisements are sent

        error: (B) this instance has no virtual_router_id
          --> keepalived.conf:11:15
           |
        11 | vrrp_instance B {
           |               ^
           |
           = help: add `virtual_router_id N`, 1 to 255, the same on all directors of this instance and on no other

        warning: (B) this instance has no virtual address
          --> keepalived.conf:11:15
           |
        11 | vrrp_instance B {
           |               ^
           |
           = help: add a virtual_ipaddress block

        error: `http` is no port
          --> keepalived.conf:13:25
           |
        13 | virtual_server 10.0.0.1 http {
           |                         ^^^^
           |
           = help: write a number from 1 to 65535

        error: `rrr` is no scheduler
          --> keepalived.conf:14:13
           |
        14 |     lb_algo rrr
           |             ^^^ did you mean `rr`?
           |
           = help: the schedulers are rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh, twos

        error: a gue tunnel needs a port
          --> keepalived.conf:15:5
           |
        15 |     lb_kind TUN type gue
           |     ^^^^^^^^^^^^^^^^^^^^
           |
           = help: TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]

        error: `ICMP` is no protocol
          --> keepalived.conf:16:14
           |
        16 |     protocol ICMP
           |              ^^^^
           |
           = help: the protocols are TCP, UDP and SCTP

        error: `weight` takes a number from 0 up, not `-1`
          --> keepalived.conf:19:16
           |
        19 |         weight -1
           |                ^^

        error: `connect_port` takes a port from 1 to 65535, not `0`
          --> keepalived.conf:21:26
           |
        21 |             connect_port 0
           |                          ^

        error: `connect_timeout` takes a number of seconds above 0, and `soon` is none
          --> keepalived.conf:22:29
           |
        22 |             connect_timeout soon
           |                             ^^^^

    "#]].assert_eq(&rendered(&loaded));
}

#[test]
fn missing_braces_cost_nothing_but_a_warning() {
    let text = "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        10.0.0.1\n}\nvirtual_server 10.0.0.1 80 {\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    real_server 10.1.0.1 80 {\n        weight 2\n";
    let loaded = loaded(text);
    let configuration = loaded.configuration.as_ref().unwrap();
    assert_eq!(configuration.instances.len(), 1);
    assert_eq!(
        configuration.virtual_servers[0].real_servers[0]
            .settings
            .weight,
        2
    );
    expect![[r#"
        warning: a `}` is missing before this `virtual_server`, which is never inside a block
         --> keepalived.conf:7:1
          |
        7 | virtual_server 10.0.0.1 80 {
          | ^^^^^^^^^^^^^^ taken as the end of `virtual_ipaddress`
          |
         ::: keepalived.conf:4:5
          |
        4 |     virtual_ipaddress {
          |     ----------------- `virtual_ipaddress` is not closed
          |
         ::: keepalived.conf:6:1
          |
        6 | }
          | - the `}` here seems to be meant for an outer block
          |
          = help: add the missing brace at the end of `virtual_ipaddress`

        warning: 2 `}` are missing: the file ends inside `real_server`
          --> keepalived.conf:11:5
           |
        11 |     real_server 10.1.0.1 80 {
           |     ^^^^^^^^^^^ this block is not closed
           |
           = help: add the missing brace at the end of `real_server`

    "#]]
    .assert_eq(&rendered(&loaded));
}

/// Passwords are in no diagnostic, also where their keyword is misspelt, misplaced, or in an unknown block.
#[test]
fn no_diagnostic_shows_a_secret() {
    for text in [
        "vrrp_instance A {\n authentication {\n auth_type PASS\n auth_pass s3cr3t-and-long\n }\n}\n",
        "vrrp_instance A {\n authentication {\n auth_pas s3cr3t\n }\n}\n",
        "vrrp_instance A {\n auth_pass s3cr3t\n}\n",
        "auth_pass \"s3cr3t\n",
        "vrrp_instanc A {\n authentication {\n auth_pass s3cr3t } }\n",
        "vrrp_instance A {\n authentication { auth_type PASS auth_pass s3cr3t }\n}\n",
        "vrrp_instance A {\n auth_hmac {\n key 300 s3cr3t\n active_key 1\n }\n}\n",
        "SSL {\n password s3cr3t more\n pasword s3cr3t\n}\n",
        "vrrp_instance A {\n authentication {\n auth_pass { s3cr3t }\n auth_pass {\n s3cr3t\n }\n }\n}\n",
        "$P=s3cr3t\nvrrp_instance A {\n authentication {\n auth_pass $P $P\n auth_tipe $P\n }\n}\n",
    ] {
        let loaded = loaded(text);
        let shown = rendered(&loaded) + &summary(&loaded);
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

mod property {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use elver_core::config::model::*;
    use elver_core::service::*;
    use proptest::prelude::*;

    use super::*;

    /// Pieces of which configurations are made, right and wrong.
    fn piece() -> impl Strategy<Value = String> {
        let keywords: Vec<&str> = elver_core::config::keyword::BLOCKS
            .iter()
            .flat_map(|block| elver_core::config::keyword::keywords(*block))
            .map(|keyword| keyword.name)
            .collect();
        prop_oneof![
            4 => prop::sample::select(keywords).prop_map(str::to_owned),
            4 => prop::sample::select(vec![
                "{", "}", "\n", "\n", "\n", "{\n", "}\n", "\"", "'", "\\", "#", "!", "$A=", "$A",
                "${A}", "${A", "$A=x\\\n", "\\\n", "@one ", "@^one ", "~SEQ(A, 1, 3) ",
                "~SEQx(A, 5) ", "~LST(A, b, c) ", "~LST({A,B},{1,2},{é,4}) ", "~SEQ(", "${_PWD}",
                "${_RANDOM 9 1}", "${_RANDOM 0 18446744073709551615}", "${_ENV VIP}", "include keepalived.conf\n",
                "include ?\n", "includea x{y,z}*\n", "\u{feff}", "é", "\u{0}", "\r\n", "\t",
                "TUN type gue port 5 csum", "0.0000001", "99999999999999999999",
            ]).prop_map(str::to_owned),
            2 => prop::sample::select(vec![
                "1", "255", "0", "-1", "10.0.0.1", "10.0.0.1/24", "fd00::1", "fd00::1/64", "80",
                "fwmark", "group", "rr", "sh", "NAT", "DR", "TUN", "TCP", "MASTER", "dev", "label",
                "PASS", "AH", "0.5", "on",
            ]).prop_map(str::to_owned),
            1 => "\\PC{0,8}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        /// Whatever is in a file, there is an answer, every diagnostic can be shown,
        /// and there is a configuration exactly if there is no error.
        #[test]
        fn every_input_has_an_answer(pieces in prop::collection::vec(piece(), 0..60)) {
            let text = pieces.join(" ");
            let loaded = loaded(&text);
            let errors = loaded.diagnostics.iter().any(|d| d.severity == Severity::Error);
            prop_assert_eq!(loaded.configuration.is_none(), errors);
            for diagnostic in &loaded.diagnostics {
                prop_assert!(!render(diagnostic, true).is_empty());
                prop_assert!(!diagnostic.to_string().is_empty());
            }
        }

        #[test]
        fn every_byte_string_has_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut memory = memory(&[]);
            memory.files.insert(PATH.to_owned(), bytes);
            for diagnostic in load(&memory, PATH).diagnostics {
                prop_assert!(!render(&diagnostic, false).is_empty());
            }
        }
    }

    fn address(ipv6: bool) -> BoxedStrategy<IpAddr> {
        if ipv6 {
            any::<u128>()
                .prop_map(|bits| IpAddr::V6(bits.into()))
                .boxed()
        } else {
            any::<u32>()
                .prop_map(|bits| IpAddr::V4(bits.into()))
                .boxed()
        }
    }

    fn time() -> impl Strategy<Value = Duration> {
        (1u64..10_000_000_000).prop_map(Duration::from_micros)
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof!["[A-Za-z][A-Za-z0-9_.-]{0,12}", "[ a-z#!{}$'é]{1,8}"]
    }

    fn script(words: &[&str]) -> Script {
        Script {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            user: None,
        }
    }

    fn route(kind: RouteKind, hops: &[(&str, Option<u16>)]) -> Route {
        let hop = |(interface, weight): &(&str, Option<u16>)| NextHop {
            router: Some(Ipv4Addr::new(192, 0, 2, 254).into()),
            interface: Some((*interface).to_owned()),
            on_link: true,
            weight: *weight,
            realms: Some(Realms {
                source: 3,
                destination: 4,
            }),
            encapsulation: Some(Encapsulation::Mpls(vec![100, 200])),
        };
        Route {
            kind,
            destination: Prefix {
                address: Ipv4Addr::new(198, 51, 100, 0).into(),
                length: 24,
            },
            hops: hops.iter().map(hop).collect(),
            source: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
            table: RoutingTable::Number(100),
            metric: Some(5),
            scope: Some(0),
            protocol: Some(4),
            metrics: RouteMetric::ALL
                .into_iter()
                .map(|metric| {
                    let (value, locked) = match metric {
                        RouteMetric::Mtu => (1400, true),
                        RouteMetric::RoundTripTime => (1600, false),
                        RouteMetric::RoundTripTimeVariance => (800, false),
                        RouteMetric::LeastRetransmissionTimeout => (200, true),
                        _ => (1, false),
                    };
                    (metric, MetricValue { value, locked })
                })
                .collect(),
            congestion_control: Some(MetricValue {
                value: "reno".to_owned(),
                locked: true,
            }),
            tos: 0x10,
            from: None,
            lifetime: None,
            router_preference: None,
            propagate_ttl: Some(false),
            insertion: Insertion::Append,
            restore: false,
        }
    }

    fn instance(id: u8) -> impl Strategy<Value = VrrpInstance> {
        let addresses = any::<bool>().prop_flat_map(|ipv6| {
            let one = (
                address(ipv6),
                0..=if ipv6 { 128u8 } else { 32 },
                prop::option::of(word()),
            );
            prop::collection::btree_map(address(ipv6), one, 1..4)
        });
        (
            word(),
            2..=254u8,
            addresses,
            any::<(bool, bool, bool)>(),
            1..=255u32,
            "[a-z0-9]{1,8}",
            any::<(bool, bool, (u8, bool))>(),
            prop::array::uniform6(0..4000u32),
        )
            .prop_map(
                move |(
                    interface,
                    priority,
                    addresses,
                    (v3, preempt, alert),
                    interval,
                    password,
                    (unicast, excluded, scopes),
                    numbers,
                )| {
                    let addresses: Vec<_> = addresses
                        .into_iter()
                        .map(|(address, (_, prefix_length, interface))| VirtualAddress {
                            label: (address.is_ipv4() && interface.is_none())
                                .then(|| format!("eth0:{id}")),
                            interface,
                            scope: if address.is_ipv4() { scopes.0 } else { 0 },
                            restore: scopes.1,
                            broadcast: match address {
                                IpAddr::V4(address) if scopes.1 => Some(address),
                                _ => None,
                            },
                            flags: AddressFlag::ALL
                                .into_iter()
                                .skip(usize::from(priority % 6))
                                .collect(),
                            preferred_lifetime: match address {
                                IpAddr::V6(_) if scopes.1 => None,
                                IpAddr::V6(_) => Some(Duration::from_secs(numbers[0].into())),
                                IpAddr::V4(_) => None,
                            },
                            ..VirtualAddress::new(address, prefix_length)
                        })
                        .map(|mut address| {
                            if priority % 3 == 0 {
                                let own = address.address;
                                let whole = if own.is_ipv6() { 128 } else { 32 };
                                (address.peer, address.prefix_length) = (Some(own), whole);
                                address.broadcast = None;
                            }
                            address
                        })
                        .collect();
                    let ipv6 = addresses[0].address.is_ipv6();
                    let peer = if ipv6 {
                        IpAddr::V6(Ipv6Addr::LOCALHOST)
                    } else {
                        IpAddr::V4(Ipv4Addr::LOCALHOST)
                    };
                    let v3 = v3 || addresses[0].address.is_ipv6();
                    let mut octets = [0; 8];
                    octets[..password.len()].copy_from_slice(password.as_bytes());
                    VrrpInstance {
                        name: format!("instance {id}"),
                        initial_state: if preempt {
                            InitialState::Master
                        } else {
                            InitialState::Backup
                        },
                        interface,
                        virtual_mac: alert.then(|| VirtualMac {
                            interface: format!("vmac{id}"),
                            address: [0, 0, 0x5e, 0, 1, id],
                            transmit_on_base: id == 1,
                        }),
                        ipvlan: (!alert && unicast).then(|| Ipvlan {
                            interface: format!("ipvlan{id}"),
                            address: Some((peer, if ipv6 { 64 } else { 24 })),
                            neighbourhood: match numbers[2] % 3 {
                                0 => IpvlanNeighbourhood::Bridge,
                                1 => IpvlanNeighbourhood::Private,
                                _ => IpvlanNeighbourhood::Vepa,
                            },
                        }),
                        virtual_router_id: id,
                        priority,
                        advertisement_interval: if v3 {
                            Duration::from_millis(u64::from(interval) * 10)
                        } else {
                            Duration::from_secs(u64::from(interval))
                        },
                        version: if v3 { VrrpVersion::V3 } else { VrrpVersion::V2 },
                        authentication: (!v3).then_some(Authentication::Password(octets)),
                        trailer: (v3 && alert).then(|| TrailerAuthentication {
                            keys: vec![TrailerKey {
                                id: priority,
                                secret: octets.repeat(4),
                                file: None,
                            }],
                            active_key: priority,
                            window: excluded.then_some(Duration::from_secs(300)),
                            mode: match id {
                                1 => TrailerMode::Permissive,
                                _ => TrailerMode::ReceiveOnly,
                            },
                        }),
                        virtual_addresses: addresses,
                        preempt,
                        preempt_delay: if preempt {
                            Duration::ZERO
                        } else {
                            Duration::from_millis(u64::from(interval))
                        },
                        routes: vec![
                            route(RouteKind::Unicast, &[("eth0", None)]),
                            route(
                                RouteKind::Unicast,
                                &[("eth0", Some(1)), ("eth1", Some(256))],
                            ),
                            route(RouteKind::Blackhole, &[]),
                            Route {
                                table: RoutingTable::OfVrf("blue".to_owned()),
                                hops: vec![NextHop {
                                    interface: Some("eth0".to_owned()),
                                    encapsulation: Some(Encapsulation::Ila(numbers[4].into())),
                                    ..NextHop::default()
                                }],
                                ..Route::to(Prefix {
                                    address: Ipv6Addr::LOCALHOST.into(),
                                    length: 128,
                                })
                            },
                        ],
                        rules: vec![Rule {
                            from: Some(Prefix {
                                address: Ipv4Addr::new(192, 0, 2, 0).into(),
                                length: 25,
                            }),
                            to: Some(Prefix {
                                address: Ipv4Addr::UNSPECIFIED.into(),
                                length: 0,
                            }),
                            tos: priority & 0xfc,
                            tunnel: Some(7),
                            users: Some((1000, 1999)),
                            protocol: Some(17),
                            source_ports: Some((1024, 65535)),
                            destination_ports: Some((53, 53)),
                            realms: Some(Realms {
                                source: 0,
                                destination: 7,
                            }),
                            suppressed_length: Some(0),
                            suppressed_group: Some(3),
                            ..Rule::of(false, 16384, RuleAction::Table(100))
                        }],
                        multicast_group: alert.then_some(if ipv6 {
                            IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x30))
                        } else {
                            IpAddr::V4(Ipv4Addr::new(224, 0, 0, 30))
                        }),
                        unicast_hop_limit: priority,
                        track_source: preempt,
                        accept: excluded,
                        strict: false,
                        promote_secondaries: alert,
                        excluded_addresses: excluded
                            .then(|| VirtualAddress::new("192.0.2.99".parse().unwrap(), 24))
                            .into_iter()
                            .collect(),
                        source: unicast.then_some(peer),
                        unicast_peers: unicast
                            .then_some(UnicastPeer {
                                address: peer,
                                least_hop_limit: id,
                                most_hop_limit: 255,
                            })
                            .into_iter()
                            .collect(),
                        check_unicast_source: unicast || excluded,
                        announcements: Announcements {
                            delay: Duration::from_secs(numbers[0].into()),
                            repeat: numbers[1],
                            refresh: Duration::from_secs(numbers[2].into()),
                            refresh_repeat: numbers[3],
                            lower_priority_delay: Duration::from_secs(numbers[4].into()),
                            lower_priority_repeat: numbers[5],
                            elsewhere: Duration::from_secs(if alert {
                                numbers[0].into()
                            } else {
                                0
                            }),
                            elsewhere_all: alert && excluded && numbers[0] > 0,
                        },
                        lacks_peers: alert && !unicast,
                        unicast_checksum: match numbers[1] % 3 {
                            0 => UnicastChecksum::Learnt,
                            1 => UnicastChecksum::OfGroup,
                            _ => UnicastChecksum::OfPacket,
                        },
                        yields_when_late: (!preempt).then_some(priority),
                        down_timer_advertisements: interval % 100 + 1,
                        answer_lower_priority: alert,
                        advertise_before_yielding: excluded,
                        trust_known_master: unicast,
                        sums_message_alone: excluded,
                        deaf_as_owner: excluded,
                        track_primary: alert,
                        tracked: vec![
                            Tracked {
                                tracker: Tracker::Interface("eth9".to_owned()),
                                weight: 0,
                                reverse: alert,
                            },
                            Tracked {
                                tracker: Tracker::Script("check".to_owned()),
                                weight: 0,
                                reverse: excluded,
                            },
                            Tracked {
                                tracker: Tracker::File("file".to_owned()),
                                weight: 254,
                                reverse: false,
                            },
                            Tracked {
                                tracker: Tracker::Process("process".to_owned()),
                                weight: -5,
                                reverse: true,
                            },
                        ],
                        smtp_alert: alert,
                        notify: NotifyScripts {
                            master: Some(script(&["/bin/master", "a b"])),
                            lower_priority: Some(script(&["/bin/lower"])),
                            deleted: (id == 2).then_some(None),
                            ..NotifyScripts::default()
                        },
                        notify_priority_changes: id == 1,
                    }
                },
            )
    }

    fn method() -> impl Strategy<Value = ForwardingMethod> {
        let checksum = prop::sample::select(vec![TunnelChecksum::None, TunnelChecksum::Full]);
        prop_oneof![
            Just(ForwardingMethod::Nat),
            Just(ForwardingMethod::DirectRouting),
            Just(ForwardingMethod::Tunnel(Tunnel::Ipip)),
            checksum.prop_map(|checksum| ForwardingMethod::Tunnel(Tunnel::Gre { checksum })),
            (1..=65535u16).prop_map(|port| {
                ForwardingMethod::Tunnel(Tunnel::Gue {
                    port,
                    checksum: TunnelChecksum::Remote,
                })
            }),
        ]
    }

    /// A virtual server, or several that share its real servers.
    fn server_or_group() -> impl Strategy<Value = VirtualServer> {
        let range = prop::option::of((any::<[u8; 4]>(), 0u8..20, any::<u16>()));
        let more = (range, prop::option::of(1u32..), any::<bool>());
        (server(), prop::option::of(more)).prop_map(|(mut server, more)| {
            let Some((range, mark, inet6)) = more else {
                return server;
            };
            let ServiceKey::Address { address, .. } = server.key else {
                return server;
            };
            let single = GroupMember::Addresses {
                first: address.ip(),
                last: address.ip(),
                port: address.port(),
            };
            let range = range.map(|([a, b, c, d], more, port)| GroupMember::Addresses {
                first: [a, b, c, d].into(),
                last: [a, b, c, d.saturating_add(more)].into(),
                // Every port would make it persistent.
                port: port.max(1),
            });
            let mark = mark.map(|mark| GroupMember::Mark {
                mark,
                family: if inet6 { Family::Inet6 } else { Family::Inet },
            });
            server.group = Some(ServiceGroup {
                name: "G 1".to_owned(),
                number: 0,
                members: std::iter::once(single).chain(range).chain(mark).collect(),
            });
            server
        })
    }

    fn server() -> impl Strategy<Value = VirtualServer> {
        let check = (
            any::<u32>(),
            1..=65535u16,
            time(),
            time(),
            any::<u32>(),
            time(),
            time(),
        );
        let real = (
            method(),
            any::<u16>(),
            any::<(u32, u32)>(),
            1..=65535u16,
            prop::option::of(check),
        );
        (
            any::<bool>().prop_flat_map(address),
            1..=65535u16,
            prop::sample::select(Scheduler::NAMES.to_vec()),
            any::<(bool, bool, bool)>(),
            prop::option::of((1u64..2_678_400, 1u8..=32)),
            prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]),
            prop::collection::btree_map(any::<u32>(), real, 1..4),
        )
            .prop_map(
                |(address, port, scheduler, flags, persistence, protocol, reals)| {
                    let real_servers =
                        reals
                            .into_iter()
                            .map(|(ip, (method, weight, limits, own_port, check))| {
                                let port = if method == ForwardingMethod::Nat {
                                    own_port
                                } else {
                                    port
                                };
                                RealServer {
                                    address: SocketAddr::new(IpAddr::V4(ip.into()), port),
                                    settings: DestinationSettings {
                                        method,
                                        weight: u32::from(weight),
                                        upper_threshold: limits.0,
                                        lower_threshold: limits.1,
                                    },
                                    inhibit_on_failure: false,
                                    smtp_alert: true,
                                    notify_up: None,
                                    notify_down: Some(script(&["/bin/down"])),
                                    slow_start: Duration::from_secs(u64::from(limits.0)),
                                    passive_check: (port > 9).then_some((port % 100) as u8),
                                    passive_handshake: (port > 19)
                                        .then_some(Duration::from_millis(u64::from(port))),
                                    checks: check
                                        .map(
                                            |(
                                                ip,
                                                port,
                                                connect_timeout,
                                                interval,
                                                retries,
                                                delay_before_retry,
                                                warmup,
                                            )| {
                                                Check {
                                                    connection: Connection {
                                                        to: SocketAddr::new(
                                                            IpAddr::V4(ip.into()),
                                                            port,
                                                        ),
                                                        timeout: connect_timeout,
                                                        source: None,
                                                        source_port: None,
                                                        interface: None,
                                                        mark: u32::from(port),
                                                        path: CheckPath::Direct,
                                                    },
                                                    probe: Probe::Tcp,
                                                    timing: Timing {
                                                        interval,
                                                        retries,
                                                        delay_before_retry,
                                                        warmup,
                                                        alpha: false,
                                                        log_all_failures: false,
                                                    },
                                                }
                                            },
                                        )
                                        .into_iter()
                                        .collect(),
                                }
                            });
                    VirtualServer {
                        key: ServiceKey::Address {
                            protocol,
                            address: SocketAddr::new(address, port),
                        },
                        group: None,
                        settings: ServiceSettings {
                            scheduler: scheduler.0,
                            scheduler_flag_1: flags.0,
                            scheduler_flag_2: flags.1,
                            scheduler_flag_3: flags.2,
                            persistence: persistence.map(|(seconds, prefix_length)| Persistence {
                                timeout: Duration::from_secs(seconds),
                                prefix_length,
                                scattered_mask: None,
                            }),
                            persistence_engine: None,
                            one_packet: protocol == Protocol::Udp && flags.2,
                        },
                        real_servers: real_servers.collect(),
                        quorum: 1,
                        hysteresis: 0,
                        sorry_server: None,
                        smtp_alert: true,
                        quorum_up: None,
                        quorum_down: flags.0.then(|| script(&["/bin/down", "a b"])),
                        omega: flags.1,
                        ha_suspend: flags.0,
                    }
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// Whatever can be configured can be written down, and means the same when it is read.
        #[test]
        fn every_configuration_survives_a_dump(
            first in instance(1),
            second in instance(2),
            server in server_or_group(),
            router_id in prop::option::of(word()),
        ) {
            let router_id_is_long = router_id.as_ref().is_some_and(|id| id.len() > 3);
            let gaps = Gaps {
                gratuitous_arp: Duration::from_micros(1500),
                neighbour_advertisement: Duration::ZERO,
            };
            let configuration = Configuration {
                pacing: Pacing {
                    usual: gaps,
                    groups: vec![PacedTogether {
                        interfaces: vec!["eth0".to_owned(), "eth1".to_owned()],
                        gaps,
                    }],
                },
                global: Global {
                    startup_delay: Duration::from_millis(5500),
                    delay_after_boot: Duration::from_secs(7),
                    timeouts: router_id_is_long.then_some(Timeouts {
                        tcp: Duration::from_secs(7200),
                        tcp_fin: Duration::ZERO,
                        udp: Duration::from_secs(60),
                    }),
                    nftables: Nftables {
                        table: "vips".to_owned(),
                        priority: -7,
                        counters: true,
                    },
                    router_id,
                    script_security: router_id_is_long,
                    notify_fifo: Some(NotifyFifo {
                        path: "/run/fifo".to_owned(),
                        user: None,
                        reader: Some(script(&["/bin/reader", "-v"])),
                    }),
                    vrrp_process: ProcessSettings {
                        name: Some("routers".to_owned()),
                        nice: -5,
                        real_time: Some(50),
                        real_time_limit: Some(Duration::from_millis(10)),
                        no_swap: true,
                        processors: vec![0, 1],
                    },
                    startup: Some(AwaitedScript {
                        script: script(&["/bin/begin", "now"]),
                        timeout: Duration::from_secs(20),
                    }),
                    bfd_process: ProcessSettings {
                        real_time: Some(7),
                        ..ProcessSettings::default()
                    },
                    process_name: Some("balancer".to_owned()),
                    automatic_priority: AutomaticPriority {
                        most: 40,
                        lateness: Duration::from_micros(5_000),
                    },
                    network_namespace: Some("red".to_owned()),
                    forwarding_namespace: router_id_is_long
                        .then(|| ForwardingNamespace::Named("front".to_owned())),
                    instance: Some("second one".to_owned()),
                    dynamic_interfaces: router_id_is_long,
                    routers: RouterSettings {
                        logs_unknown: true,
                        tells_states_on_reload: true,
                        no_local_reports: true,
                        link_delays: vec![LinkDelay {
                            interface: "eth 7".to_owned(),
                            down: Duration::from_micros(10),
                            up: Duration::from_secs(255),
                        }],
                    },
                    supplementary_groups: true,
                    reloading: Reloading {
                        time_file: Some("/run/when to reload".to_owned()),
                        repeats: router_id_is_long,
                        busy_file: Some(if router_id_is_long {
                            BusyFile::Usual
                        } else {
                            BusyFile::At("/run/busy".to_owned())
                        }),
                    },
                    copies: Some("/var/lib/copies".to_owned()),
                    patience: Duration::from_secs(9),
                    flush: true,
                    flush_on_stop: FlushOnStop::ConfiguredServices,
                    dump_files: DumpFiles {
                        data: "/run/all data".to_owned(),
                        json_version: JsonVersion::Second,
                        ..DumpFiles::default()
                    },
                    dumps_by_instance: true,
                    umask: Some(0o027),
                    mail_of_real_servers_only: true,
                    notify_at_start: true,
                    ..Global::default()
                },
                client_certificate: router_id_is_long.then(|| ClientCertificate {
                    certificate: Some("/etc/elver/client.pem".to_owned()),
                    key: Some("/etc/elver/client.key".to_owned()),
                    password: Some("of the key".to_owned()),
                    authorities: None,
                }),
                sync_groups: vec![SyncGroup {
                    weights: true,
                    smtp_alert: true,
                    name: "both".to_owned(),
                    members: vec![first.name.clone(), second.name.clone()],
                    notify: NotifyScripts {
                        any: Some(script(&["/bin/any"])),
                        ..NotifyScripts::default()
                    },
                }],
                instances: vec![first, second],
                statics: Statics {
                    addresses: vec![VirtualAddress {
                        interface: Some("eth2".to_owned()),
                        ..VirtualAddress::new(Ipv4Addr::new(192, 0, 2, 77).into(), 24)
                    }],
                    routes: vec![route(RouteKind::Throw, &[])],
                    rules: vec![Rule {
                        inverted: true,
                        input: Some("eth2".to_owned()),
                        output: Some("eth3".to_owned()),
                        mark: Some((7, 0xff)),
                        maker: Some(12),
                        restore: false,
                        ..Rule::of(true, 100, RuleAction::Goto(200))
                    }, Rule::of(true, 101, RuleAction::TableOfInterface)],
                },
                trackers: Trackers {
                scripts: vec![TrackedScript {
                    name: "check".to_owned(),
                    script: Script { command: ["/usr/bin/env", "A=b c", "true"].map(str::to_owned).to_vec(),
                    user: router_id_is_long.then(|| ScriptUser {
                        name: "nobody".to_owned(),
                        group: Some("nogroup".to_owned()),
                    }),
    },
                    interval: Duration::from_millis(1_500),
                    timeout: Duration::from_secs(1),
                    rise: 2,
                    fall: 3,
                    starts_failed: router_id_is_long,
                }],
                files: vec![TrackedFile {
                    name: "file".to_owned(),
                    path: "/run/a number".to_owned(),
                    initial: router_id_is_long.then_some(InitialContent {
                        value: -7,
                        overwrite: true,
                    }),
                }],
                processes: vec![TrackedProcess {
                    name: "process".to_owned(),
                    program: "/usr/sbin/daemon".to_owned(),
                    by_command_line: router_id_is_long,
                    parameters: if router_id_is_long {
                        vec!["-f".to_owned(), "a file".to_owned()]
                    } else {
                        Vec::new()
                    },
                    parameter_match: router_id_is_long.then_some(ParameterMatch::Initial),
                    least: 2,
                    most: router_id_is_long.then_some(3),
                    rise_delay: Duration::from_millis(500),
                    fall_delay: Duration::ZERO,
                }],
                sessions: vec![
                    BfdInstance {
                        name: "far".to_owned(),
                        neighbor: Ipv4Addr::new(192, 0, 2, 2).into(),
                        source: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
                        min_rx: Duration::from_micros(33_500),
                        min_tx: Duration::from_micros(4_294_967_000),
                        idle_tx: Duration::from_micros(1_000_001),
                        multiplier: 255,
                        passive: true,
                        hop_limit: 255,
                        max_hops: 255,
                        multihop: true,
                        for_vrrp: true,
                        for_checks: false,
                    },
                    BfdInstance {
                        name: "a b".to_owned(),
                        neighbor: Ipv6Addr::LOCALHOST.into(),
                        source: None,
                        min_rx: Duration::from_millis(1),
                        min_tx: Duration::from_millis(10),
                        idle_tx: Duration::from_secs(1),
                        multiplier: 1,
                        passive: false,
                        hop_limit: 64,
                        max_hops: 3,
                        multihop: false,
                        for_vrrp: true,
                        for_checks: true,
                    },
                ],
                },
                virtual_servers: vec![server],
            };
            let text = dump(&configuration, Secrets::Shown);
            let again = loaded(&text);
            prop_assert_eq!(again.configuration.as_ref(), Some(&configuration), "{}\n{}", text, summary(&again));
            let json = serde_json::to_string(&configuration).unwrap();
            let again: Configuration = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(again, configuration, "{}", json);
        }
       }
}

/// A virtual server with one real server that has these checks.
fn checked(checks: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 443 {{\n lb_algo rr\n lb_kind DR\n protocol TCP\n sorry_server 192.0.2.8\n sorry_server_lvs_method NAT\n sorry_server_inhibit\n inhibit_on_failure\n virtualhost www.example.org\n alpha\n ha_suspend\n slow_start 90\n real_server 192.0.2.2 443 {{\n{checks}\n}}\n}}\n"
    )
}

#[test]
fn every_check_reads_back_from_its_dump() {
    let tracked = "track_file load {\n file /run/load\n weight -3\n}\n".to_owned();
    let text = tracked
        + &checked(
            r#"SSL_GET {
            url {
                path /a
                status_code 200-204 301
                digest 5d41402abc4b2a76b9719d911017c592
            }
            url {
                path /b
                virtualhost other.example.org
                regex "^o+k"
                regex_options caseless multiline
                regex_no_match
                regex_min_offset 3
                regex_max_offset 90
                tls_compliant off
            }
            http_protocol 1.1
            enable_sni
            fast_recovery
            tls_compliant
            bindto 192.0.2.9
            bind_if eth1
            log_all_failures
        }
        HTTP_GET { url { } connect_port 80 }
        SMTP_CHECK { helo_name me.example.org }
        SMTP_CHECK {
            helo_name hosts.example.org
            retry 4
            host {
                connect_ip 192.0.2.50
            }
            host {
                connect_port 2525
                bindto 192.0.2.9
                connect_timeout 7
            }
        }
        FILE_CHECK {
            track_file load
        }
        FILE_CHECK {
            track_file load
            weight 0 reverse
        }
        DNS_CHECK {
            type AAAA
            name example.org.
        }
        UDP_CHECK {
            payload 01ff
            require_reply a0xx0f
            min_reply_length 1
        }
        PING_CHECK { retry 7 }
        TCP_CHECK {
            bind_port 1234
            alpha off
        }"#,
        );
    let read = loaded(&text);
    assert_eq!(summary(&read), "");
    let configuration = read.configuration.unwrap();
    assert_eq!(
        configuration.virtual_servers[0].real_servers[0]
            .checks
            .len(),
        11
    );
    let text = dump(&configuration, Secrets::Shown);
    let again = loaded(&text);
    assert_eq!(again.configuration.unwrap(), configuration, "{text}");
}

#[test]
fn what_checks_follow_has_to_be_there() {
    let read = loaded(&checked("FILE_CHECK { track_file load }\nFILE_CHECK { }"));
    assert_eq!(read.configuration, None);
    let said = rendered(&read);
    for words in [
        "error: there is no track_file `load`",
        "help: add `track_file load { file /path/to/it }` beside the virtual servers",
        "error: this check has no file",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn checks_of_a_firewall_mark_cannot_rest() {
    let check = "TCP_CHECK {\nconnect_port 443\n}";
    let text = checked(check).replace("192.0.2.1 443", "fwmark 7");
    let text = text.replace("protocol TCP", "");
    let read = loaded(&text);
    let said = rendered(&read);
    let words = "warning: a firewall mark has no address that could be elsewhere: ignored";
    assert!(said.contains(words), "{said}");
    assert!(!read.configuration.unwrap().virtual_servers[0].ha_suspend);
}
