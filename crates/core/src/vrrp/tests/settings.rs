//! Settings that concern all instances, and those of single ones that are rare.

use std::net::Ipv6Addr;

use super::*;
use crate::config::model::{
    LinkDelay, TrailerAuthentication, TrailerKey, TrailerMode, UnicastChecksum, VirtualMac,
};

impl Bench {
    fn configure_with(&mut self, instances: &[VrrpInstance], settings: RouterSettings) -> String {
        self.handle(Input::Configure {
            instances: instances.to_vec(),
            sync_groups: Vec::new(),
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing: Pacing::default(),
            settings,
            start_delay: Duration::ZERO,
            resume: Vec::new(),
        })
    }

    fn state(&self) -> State {
        self.routers.instances().next().expect("an instance").state
    }

    fn at(&mut self, after: Duration) {
        self.now += after;
        self.routers.handle_timeout(self.now);
        self.effects();
    }

    /// What is sent when the next timer runs out.
    fn sent(&mut self) -> (IpAddr, IpAddr, Vec<u8>) {
        while self.routers.poll_effect().is_some() {}
        self.now = self.routers.poll_timeout().expect("a timer");
        self.routers.handle_timeout(self.now);
        let sent =
            std::iter::from_fn(|| self.routers.poll_effect()).find_map(|effect| match effect {
                Effect::Send {
                    source,
                    destination,
                    payload,
                    ..
                } => Some((source, destination, payload)),
                _ => None,
            });
        sent.expect("an advertisement")
    }
}

fn delays(down: u64, up: u64) -> RouterSettings {
    RouterSettings {
        link_delays: vec![LinkDelay {
            interface: "eth0".to_owned(),
            down: Duration::from_secs(down),
            up: Duration::from_secs(up),
        }],
        ..RouterSettings::default()
    }
}

#[test]
fn a_link_that_bounces_is_no_fault_before_its_delay_is_over() {
    let mut bench = Bench::new();
    bench.configure_with(&[instance("A", 51, 255)], delays(2, 3));
    assert_eq!(bench.state(), State::Master);
    let second = Duration::from_secs(1);

    bench.interface("eth0", false);
    bench.at(second);
    assert_eq!(bench.state(), State::Master);
    bench.interface("eth0", true);
    bench.at(second * 5);
    assert_eq!(bench.state(), State::Master, "it came back");

    bench.interface("eth0", false);
    bench.at(second);
    // Something else about it has changed.
    bench.interface("eth0", false);
    bench.at(second);
    assert_eq!(bench.state(), State::Fault);

    bench.interface("eth0", true);
    bench.at(second * 2);
    assert_eq!(bench.state(), State::Fault);
    bench.at(second);
    assert_eq!(bench.state(), State::Backup, "it takes part again");
}

#[test]
fn an_interface_that_goes_or_comes_is_not_delayed() {
    let mut bench = Bench::new();
    bench.configure_with(&[instance("A", 51, 255)], delays(2, 3));
    bench.handle(Input::InterfaceChanged {
        interface: "eth0".to_owned(),
        condition: None,
    });
    assert_eq!(bench.state(), State::Fault);
    bench.interface("eth0", false);
    bench.interface("eth0", true);
    assert_eq!(bench.state(), State::Backup, "it was not up before");
}

#[test]
fn unknown_virtual_routers_are_reported_where_that_is_asked_for() {
    let stranger = Advertisement {
        version: VrrpVersion::V2,
        virtual_router_id: 99,
        priority: 100,
        interval: Duration::from_secs(1),
        authentication: None,
        addresses: vec![IpAddr::V4(VIP)],
    };
    let reports = |bench: &mut Bench| {
        let envelope = Envelope {
            source: IpAddr::V4(LOWER),
            destination: IpAddr::V4(GROUP_IPV4),
        };
        let payload = stranger.encode(envelope);
        let input = Input::Received {
            interface: "eth0",
            packet: packet(&payload, LOWER),
        };
        bench.routers.handle(bench.now, input);
        let effects = std::iter::from_fn(|| bench.routers.poll_effect());
        let reports = effects.filter_map(|effect| match effect {
            Effect::Report(report) => Some(report.to_string()),
            _ => None,
        });
        reports.collect::<Vec<_>>()
    };
    let mut bench = Bench::with(&[instance("A", 51, 100)], &[]);
    assert_eq!(reports(&mut bench), [""; 0]);
    let settings = RouterSettings {
        logs_unknown: true,
        ..RouterSettings::default()
    };
    bench.configure_with(&[instance("A", 51, 100)], settings);
    assert_eq!(
        reports(&mut bench),
        ["Unknown VRID(99) received on interface(eth0). ignoring..."]
    );
    assert_eq!(reports(&mut bench), [""; 0], "once in a while");
    bench.at(Duration::from_secs(60));
    assert_eq!(reports(&mut bench).len(), 1);
}

#[test]
fn pipes_are_told_of_states_again_where_that_is_asked_for() {
    let lines = |bench: &mut Bench, tells_states_on_reload| {
        bench.effects();
        bench.routers.handle(
            bench.now,
            Input::Configure {
                instances: vec![instance("A", 51, 255)],
                sync_groups: vec![group_of_one()],
                statics: Statics::default(),
                trackers: Trackers::default(),
                pacing: Pacing::default(),
                settings: RouterSettings {
                    tells_states_on_reload,
                    ..RouterSettings::default()
                },
                start_delay: Duration::ZERO,
                resume: Vec::new(),
            },
        );
        let effects = std::iter::from_fn(|| bench.routers.poll_effect());
        let told = effects.filter_map(|effect| match effect {
            Effect::Notify(notification) => {
                assert!(notification.scripts.is_empty() && notification.mail.is_none());
                Some(notification.line)
            }
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let mut bench = Bench::with(&[instance("A", 51, 255)], &[group_of_one()]);
    assert_eq!(bench.state(), State::Master);
    assert_eq!(lines(&mut bench, false), [""; 0]);
    assert_eq!(
        lines(&mut bench, true),
        ["GROUP \"G\" MASTER 0", "INSTANCE \"A\" MASTER 255"]
    );
}

#[test]
fn an_instance_without_its_peers_is_in_fault() {
    let lonely = VrrpInstance {
        lacks_peers: true,
        ..instance("A", 51, 255)
    };
    let mut bench = Bench::new();
    let input = Input::Configure {
        instances: vec![lonely],
        sync_groups: Vec::new(),
        statics: Statics::default(),
        trackers: Trackers::default(),
        pacing: Pacing::default(),
        settings: RouterSettings::default(),
        start_delay: Duration::ZERO,
        resume: Vec::new(),
    };
    bench.routers.handle(bench.now, input);
    let said = std::iter::from_fn(|| bench.routers.poll_effect()).any(|effect| {
        matches!(effect, Effect::Report(report)
            if report.to_string().contains("Cannot use unicast without any peers"))
    });
    assert!(said);
    assert_eq!(bench.state(), State::Fault);
    bench.configure(&[instance("A", 51, 255)], &[]);
    assert_eq!(bench.state(), State::Backup);
}

fn of_version_3(unicast_checksum: UnicastChecksum) -> VrrpInstance {
    let peer = UnicastPeer {
        address: IpAddr::V4(LOWER),
        least_hop_limit: 0,
        most_hop_limit: 255,
    };
    VrrpInstance {
        version: VrrpVersion::V3,
        authentication: None,
        unicast_peers: vec![peer],
        unicast_checksum,
        ..instance("A", 51, 200)
    }
}

fn hear_old(bench: &mut Bench, priority: u8) -> u64 {
    let advertisement = Advertisement {
        version: VrrpVersion::V3,
        virtual_router_id: 51,
        priority,
        interval: Duration::from_secs(1),
        authentication: None,
        addresses: vec![IpAddr::V4(VIP)],
    };
    let payload = advertisement.encode(Envelope {
        source: IpAddr::V4(LOWER),
        destination: IpAddr::V4(GROUP_IPV4),
    });
    let packet = Packet {
        destination: IpAddr::V4(OURS),
        ..packet(&payload, LOWER)
    };
    bench.handle(Input::Received {
        interface: "eth0",
        packet,
    });
    let view = bench.routers.instances().next().expect("an instance");
    view.statistics.advertisements_received
}

/// Until 1.3.6 keepalived summed advertisements to a peer as if they went to the group.
#[test]
fn the_checksum_of_old_peers_is_learnt_unless_configured_otherwise() {
    let is_old = |(source, destination, payload): (IpAddr, IpAddr, Vec<u8>)| {
        assert_eq!(destination, IpAddr::V4(LOWER));
        let of = |destination| {
            Advertisement::decode(
                &payload,
                Envelope {
                    source,
                    destination,
                },
            )
        };
        let (packet, group) = (of(destination), of(IpAddr::V4(GROUP_IPV4)));
        assert_ne!(packet.is_ok(), group.is_ok());
        group.is_ok()
    };
    for (configured, takes_old, sends_old) in [
        (UnicastChecksum::Learnt, 1, true),
        (UnicastChecksum::OfGroup, 1, true),
        (UnicastChecksum::OfPacket, 0, false),
    ] {
        let mut bench = Bench::with(&[of_version_3(configured)], &[]);
        assert_eq!(hear_old(&mut bench, 100), takes_old, "{configured:?}");
        assert_eq!(is_old(bench.sent()), sends_old, "{configured:?}");
    }
    let mut bench = Bench::with(&[of_version_3(UnicastChecksum::Learnt)], &[]);
    assert!(!is_old(bench.sent()), "nobody has been heard");
}

#[test]
fn a_master_that_is_too_late_gives_way() {
    let late = |yields_when_late| VrrpInstance {
        preempt: false,
        yields_when_late,
        ..instance("A", 51, 200)
    };
    let second = Duration::from_secs(1);
    // Three intervals and (256 - 200) / 256 s after the last advertisement; the next one is due
    // one interval after it.
    let patience = second * 2 + Duration::from_micros(218_750);
    for (configured, waits, expected) in [
        (Some(200), patience, State::Backup),
        (
            Some(200),
            patience - Duration::from_millis(1),
            State::Master,
        ),
        (None, patience * 2, State::Master),
    ] {
        let mut bench = Bench::with(&[late(configured)], &[]);
        bench.timer();
        assert_eq!(bench.state(), State::Master);
        let due = bench
            .routers
            .poll_timeout()
            .expect("the next advertisement");
        bench.now = due + waits;
        bench.routers.handle_timeout(bench.now);
        let came = bench.effects();
        assert_eq!(bench.state(), expected, "{configured:?} {waits:?}: {came}");
        assert!(!came.contains("send(0)"), "it may not be master any more");
    }
}

#[test]
fn addresses_on_other_interfaces_are_announced_from_time_to_time() {
    let address = |last, interface: Option<&str>, virtual_mac| VirtualAddress {
        interface: interface.map(str::to_owned),
        virtual_mac,
        ..VirtualAddress::new(IpAddr::from([10, 0, 0, last]), 24)
    };
    let virtual_mac = VirtualMac {
        interface: "vrrp1.51".to_owned(),
        address: [0, 0, 0x5e, 0, 1, 51],
        transmit_on_base: false,
    };
    let configured = |elsewhere_all| VrrpInstance {
        announcements: Announcements {
            delay: Duration::ZERO,
            elsewhere: Duration::from_secs(30),
            elsewhere_all,
            ..Announcements::default()
        },
        excluded_addresses: vec![
            address(101, Some("eth0"), None),
            address(102, Some("eth1"), None),
            address(103, Some("eth1"), Some(virtual_mac.clone())),
        ],
        ..instance("A", 51, 255)
    };
    for (all, expected) in [(true, vec!["eth1", "vrrp1.51"]), (false, vec!["vrrp1.51"])] {
        let mut bench = Bench::with(&[configured(all)], &[]);
        let announced = |bench: &mut Bench, after| {
            bench.effects();
            bench.now += after;
            bench.routers.handle_timeout(bench.now);
            let effects = std::iter::from_fn(|| bench.routers.poll_effect());
            let interfaces = effects.filter_map(|effect| match effect {
                Effect::Announce { addresses, .. } => Some(addresses),
                _ => None,
            });
            let interfaces = interfaces.flatten().map(|held| held.interface);
            interfaces.collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(announced(&mut bench, Duration::from_secs(29)), none);
        assert_eq!(announced(&mut bench, Duration::from_secs(1)), expected);
        assert_eq!(announced(&mut bench, Duration::from_secs(29)), none);
        assert_eq!(announced(&mut bench, Duration::from_secs(1)), expected);
    }
}

fn group_of_one() -> SyncGroup {
    SyncGroup {
        name: "G".to_owned(),
        members: vec!["A".to_owned()],
        ..group()
    }
}

/// Two routers of each version and family: the one hears what the other signs, and nothing else.
#[test]
fn advertisements_with_a_trailer_are_taken_by_who_has_the_key() {
    let authentication = |secret, mode| {
        let key = TrailerKey {
            id: 7,
            secret: vec![secret; 32],
            file: None,
        };
        Some(TrailerAuthentication {
            keys: vec![key],
            active_key: 7,
            window: Some(Duration::from_secs(5)),
            mode,
        })
    };
    let link_local: Ipv6Addr = "fe80::5".parse().expect("an address");
    for (version, vip) in [
        (VrrpVersion::V2, IpAddr::V4(VIP)),
        (VrrpVersion::V3, IpAddr::V4(VIP)),
        (VrrpVersion::V3, "fe80::100".parse().expect("an address")),
    ] {
        let router = |priority, trailer| VrrpInstance {
            version,
            authentication: None,
            trailer,
            virtual_addresses: vec![VirtualAddress::new(vip, 32)],
            ..instance("A", 51, priority)
        };
        let bench = |instance| {
            let mut bench = Bench::new();
            bench.routers.tell_time(Duration::from_secs(1_795_000_000));
            bench.handle(Input::InterfaceChanged {
                interface: "eth0".to_owned(),
                condition: Some(InterfaceCondition {
                    up: true,
                    ipv4: Some(OURS),
                    ipv6_link_local: Some(link_local),
                    addresses: Vec::new(),
                }),
            });
            bench.configure(&[instance], &[]);
            bench
        };
        let heard = |sent_with, heard_with| {
            let mut sender = bench(router(255, sent_with));
            let (source, destination, payload) = sender.sent();
            let mut receiver = bench(router(100, heard_with));
            let input = Input::Received {
                interface: "eth0",
                packet: Packet {
                    source,
                    destination,
                    hop_limit: 255,
                    payload: &payload,
                    sealed: None,
                },
            };
            receiver.handle(input);
            let view = receiver.routers.instances().next().expect("an instance");
            view.statistics.advertisements_received == 1
        };
        let enforce = |secret| authentication(secret, TrailerMode::Enforce);
        assert!(heard(enforce(1), enforce(1)), "{version:?} {vip}");
        assert!(!heard(enforce(2), enforce(1)), "another key");
        assert!(!heard(None, enforce(1)), "no trailer");
        assert!(!heard(enforce(1), None), "who does not know trailers");
        let permissive = || authentication(1, TrailerMode::Permissive);
        assert!(heard(None, permissive()) && heard(permissive(), permissive()));
        let silent = authentication(1, TrailerMode::ReceiveOnly);
        assert!(heard(silent, None), "it looks like any other");
    }
}
