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
            },
            sync_groups: [
                SyncGroup {
                    name: "VG1",
                    members: [
                        "VI_1",
                        "VI_GATEWAY",
                    ],
                },
            ],
            instances: [
                VrrpInstance {
                    name: "VI_1",
                    initial_state: Master,
                    interface: "eth0",
                    virtual_router_id: 51,
                    priority: 100,
                    advertisement_interval: 1s,
                    version: V2,
                    authentication: Some(
                        Password(redacted),
                    ),
                    virtual_addresses: [
                        VirtualAddress {
                            address: 172.17.42.200,
                            prefix_length: 32,
                            interface: None,
                            label: None,
                        },
                    ],
                    preempt: true,
                    smtp_alert: false,
                },
                VrrpInstance {
                    name: "VI_GATEWAY",
                    initial_state: Master,
                    interface: "eth1",
                    virtual_router_id: 52,
                    priority: 150,
                    advertisement_interval: 1s,
                    version: V2,
                    authentication: Some(
                        Password(redacted),
                    ),
                    virtual_addresses: [
                        VirtualAddress {
                            address: 172.18.42.200,
                            prefix_length: 32,
                            interface: None,
                            label: None,
                        },
                    ],
                    preempt: true,
                    smtp_alert: true,
                },
            ],
            virtual_servers: [
                VirtualServer {
                    key: Address {
                        protocol: Tcp,
                        address: 172.17.42.200:3306,
                    },
                    settings: ServiceSettings {
                        scheduler: Rr,
                        scheduler_flag_1: false,
                        scheduler_flag_2: false,
                        scheduler_flag_3: false,
                        persistence: Some(
                            Persistence {
                                timeout: 50s,
                                prefix_length: 32,
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
                            checks: [
                                Tcp(
                                    TcpCheck {
                                        connect_to: 172.18.42.121:22,
                                        connect_timeout: 3s,
                                        interval: 6s,
                                        retries: 1,
                                        delay_before_retry: 3s,
                                        warmup: 6s,
                                    },
                                ),
                            ],
                        },
                    ],
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
        note: `notification_email` is accepted but not acted on yet
         --> keepalived.conf:2:4
          |
        2 |    notification_email {
          |    ^^^^^^^^^^^^^^^^^^

        note: `notification_email_from` is accepted but not acted on yet
         --> keepalived.conf:7:4
          |
        7 |    notification_email_from Alexandre.Cassen@firewall.loc
          |    ^^^^^^^^^^^^^^^^^^^^^^^

        note: `smtp_server` is accepted but not acted on yet
         --> keepalived.conf:8:4
          |
        8 |    smtp_server 192.168.200.1
          |    ^^^^^^^^^^^

        note: `smtp_connect_timeout` is accepted but not acted on yet
         --> keepalived.conf:9:4
          |
        9 |    smtp_connect_timeout 30
          |    ^^^^^^^^^^^^^^^^^^^^

        note: `router_id` is accepted but not acted on yet
          --> keepalived.conf:10:4
           |
        10 |    router_id LVS_DEVEL
           |    ^^^^^^^^^

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

        note: `smtp_alert` is accepted but not acted on yet
          --> keepalived.conf:42:9
           |
        42 |         smtp_alert 
           |         ^^^^^^^^^^

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
            },
            sync_groups: [],
            instances: [
                VrrpInstance {
                    name: "VI_1",
                    initial_state: Master,
                    interface: "eth0",
                    virtual_router_id: 51,
                    priority: 100,
                    advertisement_interval: 1s,
                    version: V2,
                    authentication: Some(
                        Password(redacted),
                    ),
                    virtual_addresses: [
                        VirtualAddress {
                            address: 172.17.42.200,
                            prefix_length: 32,
                            interface: None,
                            label: None,
                        },
                    ],
                    preempt: true,
                    smtp_alert: false,
                },
            ],
            virtual_servers: [
                VirtualServer {
                    key: Address {
                        protocol: Tcp,
                        address: 172.17.42.200:3306,
                    },
                    settings: ServiceSettings {
                        scheduler: Rr,
                        scheduler_flag_1: false,
                        scheduler_flag_2: false,
                        scheduler_flag_3: false,
                        persistence: Some(
                            Persistence {
                                timeout: 50s,
                                prefix_length: 32,
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
                            checks: [
                                Tcp(
                                    TcpCheck {
                                        connect_to: 172.17.42.120:3306,
                                        connect_timeout: 3s,
                                        interval: 6s,
                                        retries: 1,
                                        delay_before_retry: 3s,
                                        warmup: 6s,
                                    },
                                ),
                            ],
                        },
                    ],
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
            },
            sync_groups: [],
            instances: [
                VrrpInstance {
                    name: "VI_1",
                    initial_state: Master,
                    interface: "eth0",
                    virtual_router_id: 51,
                    priority: 100,
                    advertisement_interval: 1s,
                    version: V2,
                    authentication: Some(
                        Password(redacted),
                    ),
                    virtual_addresses: [
                        VirtualAddress {
                            address: 172.17.42.200,
                            prefix_length: 32,
                            interface: None,
                            label: None,
                        },
                    ],
                    preempt: true,
                    smtp_alert: false,
                },
            ],
            virtual_servers: [
                VirtualServer {
                    key: Address {
                        protocol: Tcp,
                        address: 172.17.42.200:36000,
                    },
                    settings: ServiceSettings {
                        scheduler: Rr,
                        scheduler_flag_1: false,
                        scheduler_flag_2: false,
                        scheduler_flag_3: false,
                        persistence: Some(
                            Persistence {
                                timeout: 50s,
                                prefix_length: 32,
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
                            checks: [
                                Tcp(
                                    TcpCheck {
                                        connect_to: 172.17.42.40:22,
                                        connect_timeout: 3s,
                                        interval: 6s,
                                        retries: 1,
                                        delay_before_retry: 3s,
                                        warmup: 6s,
                                    },
                                ),
                            ],
                        },
                    ],
                },
            ],
        }
    "#]],
    );
}

#[test]
fn the_other_files_of_the_seed_have_three_flaws_each() {
    expect![[r#"
        keepalived.conf:2:4: note: `notification_email` is accepted but not acted on yet
        keepalived.conf:7:4: note: `notification_email_from` is accepted but not acted on yet
        keepalived.conf:8:4: note: `smtp_server` is accepted but not acted on yet
        keepalived.conf:9:4: note: `smtp_connect_timeout` is accepted but not acted on yet
        keepalived.conf:10:4: note: `router_id` is accepted but not acted on yet
        keepalived.conf:21:19: note: (VI_1) the password is sent in the clear in every advertisement; it keeps misconfigured directors apart, not attackers
        keepalived.conf:32:5: warning: `nat_mask` is ignored: keepalived has dropped it; take the line away: NAT never needs the netmask of an address
        keepalived.conf:40:17: warning: `nb_get_retry` is ignored: TCP_CHECK never had it; write `retry` if a failed check is to be repeated that often; nb_get_retry was the name of `retry` in HTTP_GET and SSL_GET only, and old versions of keepalived skipped it here without a word
        keepalived.conf:46:1: warning: this `}` closes nothing: every block is closed already; take one of the two braces away
    "#]].assert_eq(&summary(&loaded(TUN)));
    expect![[r#"
        keepalived.conf:2:4: note: `notification_email` is accepted but not acted on yet
        keepalived.conf:7:4: note: `notification_email_from` is accepted but not acted on yet
        keepalived.conf:8:4: note: `smtp_server` is accepted but not acted on yet
        keepalived.conf:9:4: note: `smtp_connect_timeout` is accepted but not acted on yet
        keepalived.conf:10:4: note: `router_id` is accepted but not acted on yet
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
            real_server 172.17.42.120 3306 {
                weight 1
                lvs_method TUN type ipip
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

mod property {
    use super::*;
    use proptest::prelude::*;

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
}
