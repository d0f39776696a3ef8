//! VRRP against real keepalived, in network namespaces. Needs root, keepalived,
//! tcpdump and tshark.

mod support;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use elver::vrrp_process::{monotonic_now, withdraw_addresses};
use elver_core::config::model::{
    AddressFlag, Authentication, NotifyScripts, OwnSettings, Pacing, RouterSettings, Script,
    ScriptUser, Statics, SyncGroup, Tracked, TrackedScript, Tracker, Trackers, UnicastPeer,
    VirtualAddress, VrrpInstance, VrrpVersion,
};
use elver_core::config::{self, Source};
use elver_core::vrrp::messages::{Command, Dump, Notice, Notifying, Resume};
use elver_core::vrrp::{Advertisement, Envelope, GROUP_IPV4, RejectionKind, State};
use elver_sys::vrrp_socket::{Carrier, VrrpSender};
use support::{Network, eventually, instance, keepalived_instance, left_in_tmp, sh};

/// The process under test, started by the other tests with a channel as its standard
/// input.
#[test]
#[ignore = "not a test: the other tests start it as a process of its own"]
fn the_vrrp_process() {
    assert_eq!(std::env::var("ELVER_VRRP_TEST").as_deref(), Ok("stdin"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let channel: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .unwrap();
    let code = runtime.block_on(elver::vrrp_process::run(UnixStream::from(channel)));
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}

const VIP: &str = "10.66.0.100";

#[test]
fn the_higher_priority_is_master_and_the_lower_takes_over_when_it_stops() {
    let network = Network::new();
    let ours = instance("VI_1", "eth0", 51, 150, VIP);
    let theirs = instance("VI_1", "eth0", 51, 100, VIP);
    let elver = network.elver(0);
    elver.configure(std::slice::from_ref(&ours), &[]);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);

    elver.shut_down();
    keepalived.says("Backup received priority 0 advertisement");
    network.held_by(1, "eth0", VIP);

    let elver = network.elver(0);
    elver.configure(&[ours], &[]);
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);
}

#[test]
fn the_lower_priority_waits_takes_over_and_gives_way() {
    let network = Network::new();
    let ours = instance("VI_1", "eth0", 51, 100, VIP);
    let theirs = instance("VI_1", "eth0", 51, 150, VIP);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    keepalived.says("Entering MASTER STATE");
    let elver = network.elver(0);
    elver.configure(&[ours], &[]);
    elver.state("VI_1", State::Backup);
    // Longer than the master down interval of 3.6 s: the advertisements hold it back.
    std::thread::sleep(Duration::from_secs(5));
    elver.state("VI_1", State::Backup);
    network.held_by(1, "eth0", VIP);

    keepalived.stop();
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);

    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    keepalived.says("Entering MASTER STATE");
    elver.state("VI_1", State::Backup);
    network.held_by(1, "eth0", VIP);
}

#[test]
fn a_master_that_falls_silent_is_replaced() {
    let network = Network::new();
    let keepalived = network.keepalived(
        1,
        &keepalived_instance(&instance("VI_1", "eth0", 51, 150, VIP)),
    );
    keepalived.says("Entering MASTER STATE");
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 100, VIP)], &[]);
    elver.state("VI_1", State::Backup);
    keepalived.signal("STOP");
    elver.state("VI_1", State::Master);
    assert!(network.has(0, "eth0", VIP));
    keepalived.signal("CONT");
    elver.state("VI_1", State::Backup);
    network.held_by(1, "eth0", VIP);
}

#[test]
fn our_packets_are_dissected_as_correct() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "proto 112 or arp");
    let elver = network.elver(0);
    let mut ours = instance("VI_1", "eth0", 51, 150, VIP);
    ours.virtual_addresses
        .push(ours.virtual_addresses[0].clone());
    ours.virtual_addresses[1].address = "10.66.0.101".parse().unwrap();
    elver.configure(&[ours], &[]);
    elver.state("VI_1", State::Master);
    std::thread::sleep(Duration::from_secs(7));
    elver.shut_down();
    std::thread::sleep(Duration::from_millis(200));

    let file = capture.stop();
    let adverts = file.fields(
        "vrrp",
        &[
            "eth.dst",
            "ip.src",
            "ip.dst",
            "ip.ttl",
            "ip.dsfield",
            "ip.flags.df",
            "ip.checksum.status",
            "vrrp.version",
            "vrrp.virt_rtr_id",
            "vrrp.auth_type",
            "vrrp.auth_string",
            "vrrp.adver_int",
            "vrrp.checksum.status",
            "vrrp.ip_addr",
            "vrrp.prio",
        ],
    );
    let expected = [
        "01:00:5e:00:00:12",
        "10.66.0.1",
        "224.0.0.18",
        "255",
        "0xc0",
        "0",
        "1",
        "2",
        "51",
        "1",
        "secret12",
        "1",
        "1",
        "10.66.0.100,10.66.0.101",
    ];
    for advert in &adverts {
        assert_eq!(advert[..14], expected, "{advert:?}");
    }
    let priorities: Vec<&str> = adverts.iter().map(|advert| advert[14].as_str()).collect();
    assert!(
        (7..=9).contains(&priorities.len()),
        "one a second for 7 s: {priorities:?}"
    );
    let (last, before) = priorities.split_last().unwrap();
    assert_eq!(*last, "0");
    assert!(
        before.iter().all(|priority| *priority == "150"),
        "{priorities:?}"
    );

    // Two bursts of five rounds, five seconds apart; in a round each address once.
    let announced = file.fields(
        "arp.isgratuitous == 1",
        &[
            "eth.dst",
            "arp.opcode",
            "arp.dst.hw_mac",
            "arp.src.proto_ipv4",
            "arp.dst.proto_ipv4",
        ],
    );
    assert_eq!(announced.len(), 20, "{announced:?}");
    for (position, frame) in announced.iter().enumerate() {
        let address = ["10.66.0.100", "10.66.0.101"][position % 2];
        let broadcast = "ff:ff:ff:ff:ff:ff";
        assert_eq!(*frame, [broadcast, "1", broadcast, address, address]);
    }
}

/// Adds lines to the block of an instance in keepalived's language.
fn with(block: &str, lines: &str) -> String {
    let end = block.rfind('}').unwrap();
    format!("{}{lines}\n}}\n", &block[..end])
}

#[test]
fn unicast_peers_elect_by_priority_and_nothing_is_multicast() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "proto 112");
    let mut ours = instance("VI_1", "eth0", 51, 150, VIP);
    ours.source = Some("10.66.0.1".parse().unwrap());
    ours.unicast_peers = vec![UnicastPeer {
        address: "10.66.0.2".parse().unwrap(),
        least_hop_limit: 255,
        most_hop_limit: 255,
    }];
    ours.check_unicast_source = true;
    let theirs = with(
        &keepalived_instance(&instance("VI_1", "eth0", 51, 100, VIP)),
        "unicast_src_ip 10.66.0.2\ncheck_unicast_src\nunicast_peer {\n 10.66.0.1\n }",
    );
    let keepalived = network.keepalived(1, &theirs);
    keepalived.says("Entering MASTER STATE");
    let elver = network.elver(0);
    elver.configure(std::slice::from_ref(&ours), &[]);
    // keepalived is master first, so ours hears it and takes over from it.
    elver.state("VI_1", State::Master);
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
    network.held_by(0, "eth0", VIP);
    elver.shut_down();
    keepalived.says("Backup received priority 0 advertisement");
    network.held_by(1, "eth0", VIP);

    let packets = capture
        .stop()
        .fields("vrrp", &["ip.src", "ip.dst", "vrrp.checksum.status"]);
    for (source, destination) in [("10.66.0.1", "10.66.0.2"), ("10.66.0.2", "10.66.0.1")] {
        let expected = [source, destination, "1"];
        assert!(
            packets.iter().any(|packet| *packet == expected),
            "{packets:?}"
        );
    }
    assert!(
        packets.iter().all(|packet| packet[1] != "224.0.0.18"),
        "{packets:?}"
    );
}

#[test]
fn addresses_carry_their_options_and_excluded_ones_are_not_advertised() {
    let network = Network::new();
    let mut ours = instance("VI_1", "eth0", 51, 150, VIP);
    ours.virtual_addresses[0] = VirtualAddress {
        prefix_length: 25,
        label: Some("eth0:vip".to_owned()),
        scope: 253,
        broadcast: Some("10.66.0.127".parse().unwrap()),
        ..ours.virtual_addresses[0].clone()
    };
    ours.excluded_addresses = vec![
        VirtualAddress::new("fd00:66::9".parse().unwrap(), 64),
        VirtualAddress {
            peer: Some("10.77.1.1".parse().unwrap()),
            ..VirtualAddress::new("10.77.1.2".parse().unwrap(), 32)
        },
        VirtualAddress {
            preferred_lifetime: None,
            flags: [AddressFlag::Home, AddressFlag::NoPrefixRoute].into(),
            ..VirtualAddress::new("fd00:67::9".parse().unwrap(), 128)
        },
        VirtualAddress {
            interface: Some("eth1".to_owned()),
            restore: false,
            ..VirtualAddress::new("10.77.0.9".parse().unwrap(), 24)
        },
    ];
    // keepalived compares the addresses, so it is backup only if the advertisement has one.
    let theirs = instance("VI_1", "eth0", 51, 100, VIP);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    keepalived.says("Entering BACKUP STATE");
    let elver = network.elver(0);
    elver.configure(&[ours], &[]);
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);
    eventually("the excluded addresses are held", || {
        network.has(0, "eth0", "fd00:66::9") && network.has(0, "eth1", "10.77.0.9")
    });
    let router = &network.routers[0];
    let shown = sh(&format!("ip -n {router} -o -4 addr show dev eth0 to {VIP}"));
    assert!(
        shown.contains("10.66.0.100/25 brd 10.66.0.127 scope link eth0:vip"),
        "{shown}"
    );

    let shown = sh(&format!("ip -n {router} -o -4 addr show dev eth0"));
    assert!(shown.contains("10.77.1.2 peer 10.77.1.1/32"), "{shown}");
    let shown = sh(&format!("ip -n {router} -o -6 addr show dev eth0"));
    let line = shown.lines().find(|line| line.contains("fd00:67::9/128"));
    let line = line.expect(&shown);
    assert!(
        line.contains("nodad home noprefixroute") || line.contains("home nodad noprefixroute"),
        "{line}"
    );
    assert!(line.contains("preferred_lft forever"), "{line}");

    // What is not tracked stays away; the others come back.
    sh(&format!(
        "ip -n {router} addr del 10.77.0.9/24 dev eth1
         ip -n {router} addr del fd00:66::9/64 dev eth0"
    ));
    eventually("the tracked address is back", || {
        network.has(0, "eth0", "fd00:66::9")
    });
    assert!(!network.has(0, "eth1", "10.77.0.9"));
    elver.shut_down();
    for address in [VIP, "fd00:66::9", "10.77.1.2", "fd00:67::9"] {
        assert!(!network.has(0, "eth0", address), "{address} is left");
    }
    keepalived.says("Backup received priority 0 advertisement");
}

/// Ours and then keepalived's: a higher priority leaves a lower one alone for the delay.
#[test]
fn preemption_is_delayed_as_keepalived_delays_it() {
    let waited = |elver_waits: bool| {
        let network = Network::new();
        let low = instance("VI_1", "eth0", 51, 100, VIP);
        let mut high = instance("VI_1", "eth0", 51, 200, VIP);
        high.preempt_delay = Duration::from_secs(3);
        let block = keepalived_instance(if elver_waits { &low } else { &high });
        let block = if elver_waits {
            block
        } else {
            with(&block, "preempt_delay 3")
        };
        let elver = network.elver(0);
        let start = if elver_waits {
            let keepalived = network.keepalived(1, &block);
            keepalived.says("Entering MASTER STATE");
            elver.configure(&[high], &[]);
            let start = Instant::now();
            elver.state("VI_1", State::Master);
            start
        } else {
            elver.configure(&[low], &[]);
            elver.state("VI_1", State::Master);
            let keepalived = network.keepalived(1, &block);
            keepalived.says("start preempt delay (3.000000)");
            let start = Instant::now();
            keepalived.says("Entering MASTER STATE");
            start
        };
        start.elapsed()
    };
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| waited(true));
        let theirs = scope.spawn(|| waited(false));
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    // Both wait for the delay, then for the rest of the down timer of 3.2 s.
    let least = Duration::from_secs(5);
    assert!(ours > least && theirs > least, "{ours:?} {theirs:?}");
}

/// Ours gives way while its script fails and takes over again; that it hangs is a failure
/// too, and does not delay an advertisement.
#[test]
fn a_tracked_script_decides_who_is_master() {
    let network = Network::new();
    let file = std::env::temp_dir().join(format!("elver-tracked-{}", std::process::id()));
    std::fs::write(&file, "exit 0").unwrap();
    let mut ours = instance("VI_1", "eth0", 51, 150, VIP);
    ours.tracked = vec![Tracked {
        tracker: Tracker::Script("check".to_owned()),
        weight: -100,
        reverse: false,
    }];
    let script = TrackedScript {
        name: "check".to_owned(),
        script: Script {
            command: vec!["/bin/sh".to_owned(), file.display().to_string()],
            user: Some(ScriptUser {
                name: "nobody".to_owned(),
                group: None,
            }),
        },
        interval: Duration::from_millis(500),
        timeout: Duration::from_millis(500),
        rise: 1,
        fall: 1,
        starts_failed: false,
    };
    let theirs = instance("VI_1", "eth0", 51, 100, VIP);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    let elver = network.elver(0);
    elver.order(&Command::Configure {
        instances: vec![ours],
        sync_groups: Vec::new(),
        statics: Statics::default(),
        trackers: Trackers {
            scripts: vec![script],
            ..Trackers::default()
        },
        pacing: Pacing::default(),
        not_before: Duration::ZERO,
        settings: RouterSettings::default(),
        own: OwnSettings::default(),
        notifying: Notifying::default(),
        resume: Vec::new(),
    });
    elver.state("VI_1", State::Master);
    for (text, master) in [
        ("exit 1", 1),
        ("exit 0", 0),
        ("sleep 1000", 1),
        ("exit 0", 0),
    ] {
        std::fs::write(&file, text).unwrap();
        network.held_by(master, "eth0", VIP);
    }
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
    std::fs::remove_file(&file).unwrap();
}

/// Two configurations of an instance, read from keepalived's language, of which the one with
/// the higher priority is ours and loses it when what it tracks says so.
fn tracked(blocks: &str, list: &str) -> config::model::Configuration {
    let text = format!(
        "{blocks}
        vrrp_instance VI_1 {{
          interface eth0
          virtual_router_id 51
          priority 150
          authentication {{
            auth_type PASS
            auth_pass secret12
          }}
          virtual_ipaddress {{
            {VIP}
          }}
          {list}
        }}"
    );
    let loaded = config::load(&Text(text.leak()), "tracked.conf");
    loaded.configuration.unwrap()
}

fn order(configuration: config::model::Configuration) -> Command {
    Command::Configure {
        instances: configuration.instances,
        sync_groups: configuration.sync_groups,
        statics: configuration.statics,
        trackers: configuration.trackers,
        pacing: Pacing::default(),
        not_before: Duration::ZERO,
        settings: RouterSettings::default(),
        own: OwnSettings::default(),
        notifying: Notifying::default(),
        resume: Vec::new(),
    }
}

/// The same file moves keepalived and then ours, in the same way.
#[test]
fn a_tracked_file_moves_the_priority_as_with_keepalived() {
    let file = std::env::temp_dir().join(format!("elver-number-{}", std::process::id()));
    let blocks = format!(
        "track_file number {{\n file {}\n weight 2\n init_file 3 overwrite\n}}",
        file.display()
    );
    let list = "track_file {\n number\n }";
    // The number, and the priority that it makes; 0 for a fault.
    let steps = [("-40", 70), ("0x14", 190), ("-127", 0), ("none", 150)];

    let network = Network::new();
    let theirs = with(
        &keepalived_instance(&instance("VI_1", "eth0", 51, 150, VIP)),
        list,
    );
    let keepalived = network.keepalived(0, &format!("{blocks}\n{theirs}"));
    keepalived.says("Changing effective priority from 150 to 156");
    for (number, priority) in steps {
        std::fs::write(&file, number).unwrap();
        match priority {
            0 => keepalived.says("Entering FAULT STATE"),
            // From a fault the priority is set without a word.
            150 => keepalived.says("(VI_1) Entering BACKUP STATE"),
            _ => keepalived.says(&format!("to {priority}")),
        }
    }
    keepalived.stop();

    let backup = network.keepalived(
        1,
        &keepalived_instance(&instance("VI_1", "eth0", 51, 100, VIP)),
    );
    let elver = network.elver(0);
    elver.order(&order(tracked(&blocks, list)));
    elver.tells("156 at the start", |notice| {
        matches!(notice, Notice::StateChanged { priority: 156, .. })
    });
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "3\n");
    network.held_by(0, "eth0", VIP);
    for (number, priority) in steps {
        std::fs::write(&file, number).unwrap();
        network.held_by(usize::from(priority < 100), "eth0", VIP);
    }
    backup.says("Master received advert from 10.66.0.1 with higher priority 190, ours 100");
    // One that is put in its place is seen too.
    let other = file.with_extension("new");
    std::fs::write(&other, "-127").unwrap();
    std::fs::rename(&other, &file).unwrap();
    elver.state("VI_1", State::Fault);
    network.held_by(1, "eth0", VIP);
    std::fs::remove_file(&file).unwrap();
    network.held_by(0, "eth0", VIP);
}

#[test]
fn a_tracked_process_that_ends_gives_the_address_away() {
    let network = Network::new();
    let marker = format!("{}.5", 100_000 + std::process::id());
    let start = || {
        std::process::Command::new("sleep")
            .arg(&marker)
            .spawn()
            .unwrap()
    };
    let blocks = format!("vrrp_track_process daemon {{\n process sleep {marker}\n}}");
    let keepalived = network.keepalived(
        1,
        &keepalived_instance(&instance("VI_1", "eth0", 51, 100, VIP)),
    );
    let elver = network.elver(0);
    elver.order(&order(tracked(&blocks, "track_process {\n daemon\n }")));
    elver.state("VI_1", State::Fault);
    network.held_by(1, "eth0", VIP);
    for _ in 0..2 {
        let mut daemon = start();
        elver.state("VI_1", State::Master);
        network.held_by(0, "eth0", VIP);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        elver.state("VI_1", State::Fault);
        network.held_by(1, "eth0", VIP);
    }
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
}

/// What the kernel shows of routes and rules that were made for keepalived.
fn routing(network: &Network, router: usize) -> String {
    let router = &network.routers[router];
    sh(&format!(
        "ip -n {router} route show table all proto keepalived
         ip -n {router} -6 route show table all proto keepalived
         ip -n {router} rule show | grep -e 'pref\\|lookup 1\\|5..:' || true
         ip -n {router} -6 rule show | grep -e '5..:\\|163..:' || true"
    ))
}

/// keepalived and then ours, with the same lines: the kernel shows the same.
#[test]
fn virtual_routes_and_rules_are_those_of_keepalived() {
    let lines = "virtual_routes {
      10.1.0.0/24 via 10.77.0.9 dev eth1 src 10.66.0.100 metric 7
      src 10.66.0.100 to 10.2.0.0/16 via 10.77.0.9 table 100
      10.3.0.0/24 dev eth1 mtu 1400
      blackhole 10.4.0.0/24
      10.5.0.0/24 nexthop via 10.77.0.8 dev eth1 weight 2 nexthop via 10.77.0.9 dev eth1 weight 3
      2001:db8:9::/48 via fe80::2 dev eth1
      default via 10.77.0.9 table 101
      10.6.0.0/24 dev eth1 table 6909 tos 0x04 scope link priority 12 mtu lock 1000 hoplimit 100 advmss 101 rtt 102 rttvar 3s reordering 104 window 105 cwnd 106 ssthresh lock 107 realms 3/0x14 rto_min 300ms initcwnd 109 initrwnd 110 features ecn quickack 1 congctl reno fastopen_no_cookie 1 add
      10.7.0.0/24 nexthop via 10.77.0.8 dev eth1 realms 5 nexthop via 10.77.0.9 dev eth1
      local 10.9.9.0/24 dev lo scope host table 102
      10.1.0.0/24 via 10.77.0.8 dev eth1 src 10.66.0.100 metric 7 append
      10.10.0.0/24 dev eth1 encap ip id 7 dst 192.0.2.1 tos 4 ttl 9
      2001:db8:a::/48 dev eth1 encap ip6 id 8 dst 2001:db8::1 hoplimit 9
      2001:db8:b::/48 from 2001:db8:c::/48 dev eth1 pref high initrwnd 10
    }
    virtual_rules {
      from 10.66.0.0/24 table 100 preference 500
      to 10.9.0.0/16 iif eth1 fwmark 0x7/0xff table 101 preference 501
      from 2001:db8::/32 table 102 preference 502
      from 10.67.0.0/24 table 100
      from 10.68.0.0/24 table 101
      from 2001:db8:1::/48 table 102
      from 10.1.0.0/16 iif eth1 oif eth0 tos 4 goto 40000 preference 503
      from 10.8.0.0/16 realms 30/20 lookup 100 preference 510
      to 2001:db8:2::/48 uidrange 10000-19999 table 102 preference 504
      from 2001:db8:3::/48 l3mdev preference 505
      from 10.2.0.0/16 ipproto udp sport 10-20 dport 20-30 tunnel-id 7 table 100 preference 506
      from 10.3.0.0/16 table 100 suppress_prefixlength 8 suppress_ifgroup 2 preference 507
      not from 10.4.0.0/16 type nop preference 508
      from 10.5.0.0/16 blackhole preference 509
    }";
    let network = Network::new();
    let keepalived = network.keepalived(
        0,
        &with(
            &keepalived_instance(&instance("VI_1", "eth0", 51, 150, VIP)),
            lines,
        ),
    );
    keepalived.says("Entering MASTER STATE");
    eventually("keepalived has set its rules", || {
        routing(&network, 0).contains("502:")
    });
    std::thread::sleep(Duration::from_millis(300));
    let theirs = routing(&network, 0);
    keepalived.stop();
    assert_eq!(routing(&network, 0), "");
    assert_eq!(theirs.lines().count(), 35, "{theirs}");

    let statics = "static_routes {\n 10.8.0.0/24 dev eth1 proto static\n}";
    let configuration = tracked(statics, lines);
    let elver = network.elver(0);
    elver.order(&order(configuration));
    elver.state("VI_1", State::Master);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(routing(&network, 0), theirs);

    // What somebody takes away comes back, and nothing comes twice: a rule without a preference
    // of its own would be another one each time.
    let router = &network.routers[0];
    let is_static =
        || sh(&format!("ip -n {router} route show proto static")).contains("10.8.0.0/24");
    assert!(is_static());
    sh(&format!(
        "ip -n {router} route del 10.1.0.0/24; ip -n {router} route del 10.8.0.0/24
         ip -n {router} rule del preference 500"
    ));
    eventually("all are back", || {
        routing(&network, 0) == theirs && is_static()
    });
    sh(&format!(
        "ip -n {router} link set eth1 down; ip -n {router} link set eth1 up"
    ));
    eventually("all are back with their interface", || {
        routing(&network, 0) == theirs && is_static()
    });

    // They go with the role, and what is static does not.
    let other = network.keepalived(
        1,
        &keepalived_instance(&instance("VI_1", "eth0", 51, 200, VIP)),
    );
    other.says("Entering MASTER STATE");
    elver.state("VI_1", State::Backup);
    eventually("nothing is left", || routing(&network, 0).is_empty());
    assert!(is_static());
    elver.shut_down();
    assert!(!is_static());
}

/// The MAC address goes with the role, in both directions, and no neighbour has to learn.
#[test]
fn the_virtual_mac_address_goes_with_the_role() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "proto 112 or arp");
    let theirs = with(
        &keepalived_instance(&instance("VI_1", "eth0", 51, 100, VIP)),
        "use_vmac",
    );
    let elver = network.elver(0);
    elver.order(&order(tracked("", "use_vmac")));
    elver.state("VI_1", State::Master);
    let holds = |router: usize| {
        let router = &network.routers[router];
        let shown = sh(&format!("ip -n {router} -o addr show"));
        shown
            .lines()
            .any(|line| line.contains("vrrp.51") && line.contains(VIP))
    };
    eventually("ours holds it", || holds(0) && !holds(1));
    let router = &network.routers[0];
    let shown = sh(&format!("ip -n {router} -d link show vrrp.51"));
    assert!(shown.contains("00:00:5e:00:01:33"), "{shown}");
    assert!(shown.contains("macvlan mode private"), "{shown}");

    // The neighbour reaches the address by the virtual MAC address, and only by that.
    let other = &network.routers[1];
    sh(&format!("ip netns exec {other} ping -c 2 -W 5 {VIP}"));
    let neighbour = sh(&format!("ip -n {other} neigh show {VIP}"));
    assert!(neighbour.contains("00:00:5e:00:01:33"), "{neighbour}");

    let keepalived = network.keepalived(1, &theirs);
    keepalived.says("Entering BACKUP STATE");
    std::thread::sleep(Duration::from_secs(2));
    elver.state("VI_1", State::Master);
    elver.shut_down();
    keepalived.says("Backup received priority 0 advertisement");
    eventually("keepalived holds it", || holds(1));
    let links = sh(&format!("ip -n {router} link show"));
    assert!(!links.contains("vrrp.51"), "{links}");
    let ignore = format!("ip netns exec {router} cat /proc/sys/net/ipv4/conf/eth0/arp_ignore");
    assert_eq!(sh(&ignore).trim(), "0");

    let elver = network.elver(0);
    elver.order(&order(tracked("", "use_vmac")));
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
    elver.state("VI_1", State::Master);
    // With its interface the device goes, and comes back.
    sh(&format!(
        "ip -n {router} link del eth0
         ip -n {router} link add eth0 type veth peer name spare netns {other}
         ip -n {router} addr add 10.66.0.1/24 dev eth0
         ip -n {router} link set eth0 up; ip -n {other} link set spare up"
    ));
    elver.state("VI_1", State::Master);
    eventually("the address is back", || holds(0));

    let packets = capture.stop().fields("vrrp", &["eth.src", "ip.src"]);
    assert!(packets.len() > 5, "{packets:?}");
    let ours = |packet: &&Vec<String>| packet[1] == "10.66.0.1";
    for packet in packets.iter().filter(ours) {
        assert_eq!(packet[0], "00:00:5e:00:01:33");
    }
}

fn group(members: [&str; 2]) -> SyncGroup {
    SyncGroup {
        name: "VG1".to_owned(),
        weights: false,
        smtp_alert: false,
        members: members.map(str::to_owned).to_vec(),
        notify: NotifyScripts::default(),
    }
}

fn pair(priority: u8) -> [VrrpInstance; 2] {
    [
        instance("VI_1", "eth0", 51, priority, VIP),
        instance("VI_GATEWAY", "eth1", 52, priority, "10.77.0.100"),
    ]
}

#[test]
fn a_sync_group_moves_both_instances() {
    let network = Network::new();
    let elver = network.elver(0);
    elver.configure(&pair(150), &[group(["VI_1", "VI_GATEWAY"])]);
    let configuration = format!(
        "vrrp_sync_group VG1 {{\n group {{\n VI_1\n VI_GATEWAY\n }}\n }}\n{}{}",
        keepalived_instance(&pair(100)[0]),
        keepalived_instance(&pair(100)[1]),
    );
    let keepalived = network.keepalived(1, &configuration);
    let both_held_by = |router| {
        network.held_by(router, "eth0", VIP);
        network.held_by(router, "eth1", "10.77.0.100");
    };
    elver.state("VI_1", State::Master);
    elver.state("VI_GATEWAY", State::Master);
    both_held_by(0);

    // Only one of the two links fails, seen from us: a veth loses its carrier at both ends,
    // so the peer's end of the other link must stay.
    let router = &network.routers[0];
    sh(&format!("ip -n {router} addr del 10.77.0.1/24 dev eth1"));
    elver.state("VI_1", State::Fault);
    elver.state("VI_GATEWAY", State::Fault);
    keepalived.says("VRRP_Group(VG1) Syncing instances to MASTER state");
    both_held_by(1);

    sh(&format!("ip -n {router} addr add 10.77.0.1/24 dev eth1"));
    elver.state("VI_1", State::Master);
    elver.state("VI_GATEWAY", State::Master);
    both_held_by(0);
    let moved = elver
        .notices()
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::GroupStateChanged { state, .. } => Some(state),
            _ => None,
        });
    let expected = [
        State::Backup,
        State::Master,
        State::Fault,
        State::Backup,
        State::Master,
    ];
    assert_eq!(moved.collect::<Vec<_>>(), expected);
}

#[test]
fn a_link_that_fails_is_a_fault_and_one_that_returns_a_new_election() {
    let network = Network::new();
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 150, VIP)], &[]);
    elver.state("VI_1", State::Master);
    let router = &network.routers[0];
    sh(&format!("ip -n {router} link set eth0 down"));
    elver.state("VI_1", State::Fault);
    eventually("the address is gone", || !network.has(0, "eth0", VIP));
    sh(&format!("ip -n {router} link set eth0 up"));
    elver.state("VI_1", State::Backup);
    elver.state("VI_1", State::Master);
    eventually("the address is back", || network.has(0, "eth0", VIP));
}

#[test]
fn an_interface_that_is_missing_is_named_and_awaited() {
    let network = Network::new();
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth7", 51, 150, VIP)], &[]);
    elver.state("VI_1", State::Fault);
    let problem = elver.tells("a problem", |notice| matches!(notice, Notice::Problem(_)));
    assert_eq!(
        problem,
        Notice::Problem(
            "(VI_1) interface eth7 doesn't exist; the instance stays in FAULT state until the \
             interface appears"
                .to_owned()
        )
    );
    let [a, b] = &network.routers;
    sh(&format!(
        "ip -n {a} link add eth7 type veth peer name eth7 netns {b}
         ip -n {b} link set eth7 up
         ip -n {a} addr add 10.66.7.1/24 dev eth7
         ip -n {a} link set eth7 up"
    ));
    elver.state("VI_1", State::Master);
    eventually("the address is set", || network.has(0, "eth7", VIP));
    // The interface goes for good and comes back as another one of the same name.
    sh(&format!("ip -n {a} link del eth7"));
    elver.state("VI_1", State::Fault);
    sh(&format!(
        "ip -n {a} link add eth7 type veth peer name eth7 netns {b}
         ip -n {b} link set eth7 up
         ip -n {a} addr add 10.66.7.1/24 dev eth7
         ip -n {a} link set eth7 up"
    ));
    elver.state("VI_1", State::Master);
    eventually("the address is set again", || network.has(0, "eth7", VIP));
}

#[test]
fn an_interface_that_is_renamed_takes_no_addresses_along() {
    let network = Network::new();
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 150, VIP)], &[]);
    elver.state("VI_1", State::Master);
    let router = &network.routers[0];
    sh(&format!(
        "ip -n {router} link set eth0 down; ip -n {router} link set eth0 name other"
    ));
    elver.state("VI_1", State::Fault);
    sh(&format!("ip -n {router} link set other up"));
    eventually("the address is gone", || !network.has(0, "other", VIP));
    sh(&format!(
        "ip -n {router} link set other down; ip -n {router} link set other name eth0"
    ));
    sh(&format!("ip -n {router} link set eth0 up"));
    elver.state("VI_1", State::Master);
    assert!(network.has(0, "eth0", VIP));
    // In one step, while it is in use.
    sh(&format!("ip -n {router} link set eth0 name other"));
    elver.state("VI_1", State::Fault);
    eventually("the address is gone again", || {
        !network.has(0, "other", VIP)
    });
}

#[test]
fn a_killed_process_that_is_replaced_at_once_stays_master() {
    let network = Network::new();
    let ours = [instance("VI_1", "eth0", 51, 150, VIP)];
    let mut elver = network.elver(0);
    elver.configure(&ours, &[]);
    elver.state("VI_1", State::Master);
    let theirs = instance("VI_1", "eth0", 51, 100, VIP);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    keepalived.says("Entering BACKUP STATE");
    // The next process waits for its orders already, as the reading of the clock must be
    // fresh however slow this machine is.
    let next = network.elver(0);
    eventually("the next process is ready", || {
        sh(&format!("ls /proc/{}/task", next.child.id()))
            .lines()
            .count()
            > 1
    });
    std::thread::sleep(Duration::from_millis(500));

    elver.child.kill().unwrap();
    elver.child.wait().unwrap();
    let died_at = monotonic_now();
    let resume = Resume {
        instance: "VI_1".to_owned(),
        state: State::Master,
        died_at,
        was_succeeded: false,
    };
    next.resume(&ours, &[], vec![resume]);
    next.tells("the configuration is in force", |notice| {
        *notice == Notice::Configured
    });
    let states: Vec<_> = next.notices();
    assert_eq!(
        states[0],
        Notice::StateChanged {
            instance: "VI_1".to_owned(),
            state: State::Master,
            priority: 150,
        }
    );
    std::thread::sleep(Duration::from_secs(5));
    assert!(network.has(0, "eth0", VIP));
    assert!(
        !keepalived.log().contains("Entering MASTER STATE"),
        "{}",
        keepalived.log()
    );
}

#[test]
fn a_killed_process_that_is_replaced_too_late_gives_its_addresses_up() {
    let network = Network::new();
    let ours = [instance("VI_1", "eth0", 51, 150, VIP)];
    let mut elver = network.elver(0);
    elver.configure(&ours, &[]);
    elver.state("VI_1", State::Master);
    elver.child.kill().unwrap();
    elver.child.wait().unwrap();
    assert!(network.has(0, "eth0", VIP), "kill -9 leaves the address");
    let died_at = monotonic_now()
        .checked_sub(Duration::from_millis(150))
        .unwrap();
    let next = network.elver(0);
    let resume = Resume {
        instance: "VI_1".to_owned(),
        state: State::Master,
        died_at,
        was_succeeded: false,
    };
    next.resume(&ours, &[], vec![resume]);
    next.state("VI_1", State::Backup);
    next.tells("the configuration is in force", |notice| {
        *notice == Notice::Configured
    });
    // It becomes master again by its timer alone, 3.4 s later.
    assert!(!network.has(0, "eth0", VIP));
    next.state("VI_1", State::Master);
}

#[test]
fn the_director_can_withdraw_what_a_dead_process_left() {
    let network = Network::new();
    let ours = [instance("VI_1", "eth0", 51, 150, VIP)];
    let mut elver = network.elver(0);
    elver.configure(&ours, &[]);
    elver.state("VI_1", State::Master);
    elver.child.kill().unwrap();
    elver.child.wait().unwrap();
    assert!(network.has(0, "eth0", VIP));
    let namespace = std::fs::File::open(format!("/run/netns/{}", network.routers[0])).unwrap();
    let removed = std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            namespace.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
        [
            withdraw_addresses(&ours).unwrap(),
            withdraw_addresses(&ours).unwrap(),
        ]
    });
    assert_eq!(removed.join().unwrap(), [1, 0]);
    assert!(!network.has(0, "eth0", VIP));
}

#[test]
fn without_its_director_the_process_withdraws_at_once() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "proto 112");
    let mut elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 150, VIP)], &[]);
    elver.state("VI_1", State::Master);
    elver.abandon();
    assert!(elver.child.wait().unwrap().success());
    assert!(!network.has(0, "eth0", VIP));
    std::thread::sleep(Duration::from_millis(200));
    let priorities = capture.stop().fields("vrrp", &["vrrp.prio"]);
    assert_eq!(priorities.last().unwrap(), &["0"]);
}

#[test]
fn sigterm_is_an_orderly_end() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "proto 112");
    let mut elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 150, VIP)], &[]);
    elver.state("VI_1", State::Master);
    sh(&format!("kill -INT {}", elver.child.id()));
    std::thread::sleep(Duration::from_millis(200));
    elver.state("VI_1", State::Master);
    sh(&format!("kill -TERM {}", elver.child.id()));
    assert!(elver.child.wait().unwrap().success());
    elver.state("VI_1", State::Initialize);
    assert!(!network.has(0, "eth0", VIP));
    std::thread::sleep(Duration::from_millis(200));
    let priorities = capture.stop().fields("vrrp", &["vrrp.prio"]);
    assert_eq!(priorities.last().unwrap(), &["0"]);
}

#[test]
fn a_fresh_start_removes_what_an_earlier_process_left() {
    let network = Network::new();
    sh(&format!(
        "ip -n {} addr add {VIP}/32 dev eth0",
        network.routers[0]
    ));
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 150, VIP)], &[]);
    elver.tells("the configuration is in force", |notice| {
        *notice == Notice::Configured
    });
    assert!(!network.has(0, "eth0", VIP));
    elver.state("VI_1", State::Master);
    assert!(network.has(0, "eth0", VIP));
}

#[test]
fn a_new_configuration_moves_only_what_it_changes() {
    let network = Network::new();
    let elver = network.elver(0);
    let [first, second] = pair(150);
    elver.configure(&[first.clone(), second], &[]);
    elver.state("VI_1", State::Master);
    elver.state("VI_GATEWAY", State::Master);

    let mut changed = first;
    changed
        .virtual_addresses
        .push(changed.virtual_addresses[0].clone());
    changed.virtual_addresses[0].address = "10.66.0.111".parse().unwrap();
    let third = instance("VI_3", "eth1", 53, 150, "10.77.0.103");
    elver.configure(&[changed, third], &[]);
    elver.state("VI_GATEWAY", State::Initialize);
    elver.state("VI_3", State::Backup);
    eventually("the new addresses are set", || {
        network.has(0, "eth0", "10.66.0.111")
    });
    assert!(network.has(0, "eth0", VIP));
    eventually("the old ones are gone", || {
        !network.has(0, "eth1", "10.77.0.100")
    });
    let of_first = |notice: &Notice| matches!(notice, Notice::StateChanged { instance, .. } if instance == "VI_1");
    assert_eq!(
        elver
            .notices()
            .iter()
            .filter(|notice| of_first(notice))
            .count(),
        2
    );
    elver.state("VI_3", State::Master);
}

#[test]
fn an_address_taken_off_by_hand_is_restored() {
    let network = Network::new();
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 150, VIP)], &[]);
    elver.state("VI_1", State::Master);
    eventually("the address is set", || network.has(0, "eth0", VIP));
    sh(&format!(
        "ip -n {} addr del {VIP}/32 dev eth0",
        network.routers[0]
    ));
    eventually("the address is set again", || network.has(0, "eth0", VIP));
}

#[test]
fn another_password_moves_nothing_and_is_counted() {
    let network = Network::new();
    let ours = instance("VI_1", "eth0", 51, 100, VIP);
    let mut theirs = instance("VI_1", "eth0", 51, 150, VIP);
    theirs.authentication = Some(Authentication::Password(*b"another1"));
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    keepalived.says("Entering MASTER STATE");
    let elver = network.elver(0);
    elver.configure(&[ours], &[]);
    elver.state("VI_1", State::Master);
    keepalived.says("received an invalid passwd!");
    elver.order(&Command::ReportStatistics);
    let told = elver.tells("statistics", |notice| {
        matches!(notice, Notice::Statistics(_))
    });
    let Notice::Statistics(statistics) = told else {
        unreachable!()
    };
    let counted = &statistics[0].1;
    assert!(
        counted.rejected[&RejectionKind::AuthenticationFailure] >= 2,
        "{counted:?}"
    );
    assert_eq!(counted.rejected.len(), 1, "{counted:?}");
    assert_eq!(counted.advertisements_received, 0);
}

#[test]
fn of_equal_priorities_the_higher_address_is_master() {
    let network = Network::new();
    let both = instance("VI_1", "eth0", 51, 100, VIP);
    let elver = network.elver(0);
    elver.configure(std::slice::from_ref(&both), &[]);
    elver.state("VI_1", State::Master);
    // While ours is stopped, the other one becomes master too.
    sh(&format!("kill -STOP {}", elver.child.id()));
    let keepalived = network.keepalived(1, &keepalived_instance(&both));
    keepalived.says("Entering MASTER STATE");
    sh(&format!("kill -CONT {}", elver.child.id()));
    elver.state("VI_1", State::Backup);
    network.held_by(1, "eth0", VIP);
}

#[test]
fn nopreempt_leaves_a_lower_priority_in_charge() {
    let network = Network::new();
    let keepalived = network.keepalived(
        1,
        &keepalived_instance(&instance("VI_1", "eth0", 51, 100, VIP)),
    );
    keepalived.says("Entering MASTER STATE");
    let elver = network.elver(0);
    let mut ours = instance("VI_1", "eth0", 51, 150, VIP);
    ours.preempt = false;
    elver.configure(&[ours], &[]);
    elver.state("VI_1", State::Backup);
    std::thread::sleep(Duration::from_secs(5));
    elver.state("VI_1", State::Backup);
    network.held_by(1, "eth0", VIP);
    keepalived.stop();
    elver.state("VI_1", State::Master);
}

fn version_3(vip: &str) -> impl Fn(u8) -> VrrpInstance {
    move |priority| VrrpInstance {
        version: VrrpVersion::V3,
        authentication: None,
        advertisement_interval: Duration::from_millis(200),
        ..instance("VI_1", "eth0", 51, priority, vip)
    }
}

fn fails_over_both_ways(vip: &str) {
    let network = Network::new();
    let with = version_3(vip);
    let elver = network.elver(0);
    elver.configure(&[with(150)], &[]);
    let keepalived = network.keepalived(1, &keepalived_instance(&with(100)));
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", vip);
    elver.shut_down();
    network.held_by(1, "eth0", vip);
    let elver = network.elver(0);
    elver.configure(&[with(50)], &[]);
    elver.state("VI_1", State::Backup);
    std::thread::sleep(Duration::from_secs(2));
    elver.state("VI_1", State::Backup);
    keepalived.stop();
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", vip);
}

#[test]
fn version_3_over_ipv4_fails_over_both_ways() {
    fails_over_both_ways(VIP);
}

#[test]
fn version_3_over_ipv6_fails_over_both_ways() {
    fails_over_both_ways("fe80::1:100");
}

/// A process that was stopped has packets waiting and a timer that ran out long ago: the
/// packets count.
#[test]
fn a_backup_that_was_stopped_does_not_take_over_when_it_goes_on() {
    let network = Network::new();
    let theirs = instance("VI_1", "eth0", 51, 150, VIP);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    keepalived.says("Entering MASTER STATE");
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 100, VIP)], &[]);
    elver.state("VI_1", State::Backup);
    sh(&format!("kill -STOP {}", elver.child.id()));
    std::thread::sleep(Duration::from_secs(6));
    sh(&format!("kill -CONT {}", elver.child.id()));
    std::thread::sleep(Duration::from_secs(2));
    let masters = elver.notices().into_iter().filter(|notice| {
        matches!(
            notice,
            Notice::StateChanged {
                state: State::Master,
                ..
            }
        )
    });
    assert_eq!(masters.count(), 0);
    assert!(!network.has(0, "eth0", VIP));
}

#[test]
fn a_master_that_was_stopped_gives_way_or_takes_back_at_once() {
    for (ours, winner) in [(100, 1), (200, 0)] {
        let network = Network::new();
        let elver = network.elver(0);
        let mut configuration = instance("VI_1", "eth0", 51, ours, VIP);
        configuration.preempt = false;
        elver.configure(&[configuration], &[]);
        elver.state("VI_1", State::Master);
        // Without preemption of its own, it takes over only when we fall silent.
        let mut theirs = instance("VI_1", "eth0", 51, 150, VIP);
        theirs.preempt = false;
        let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
        keepalived.says("Entering BACKUP STATE");
        sh(&format!("kill -STOP {}", elver.child.id()));
        keepalived.says("Entering MASTER STATE");
        sh(&format!("kill -CONT {}", elver.child.id()));
        network.held_by(winner, "eth0", VIP);
    }
}

/// Forged advertisements of the highest priority, with a wrong password, as fast as they
/// can be sent.
#[test]
fn a_flood_of_forged_advertisements_moves_nothing() {
    let network = Network::new();
    let elver = network.elver(0);
    elver.configure(&[instance("VI_1", "eth0", 51, 100, VIP)], &[]);
    elver.state("VI_1", State::Master);
    let keepalived = network.keepalived(
        1,
        &keepalived_instance(&instance("VI_1", "eth0", 51, 90, VIP)),
    );
    keepalived.says("Entering BACKUP STATE");

    let ours = network.capture(1, "eth0", "proto 112 and src 10.66.0.1");
    let namespace = std::fs::File::open(format!("/run/netns/{}", network.routers[1])).unwrap();
    let flood = std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            namespace.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
        let index = index_of("eth0");
        let source = "10.66.0.2".parse().unwrap();
        let sender = VrrpSender::open("eth0", index, source, 255, Carrier::Plain).unwrap();
        let envelope = Envelope {
            source,
            destination: GROUP_IPV4.into(),
        };
        let forged = Advertisement {
            version: VrrpVersion::V2,
            virtual_router_id: 51,
            priority: 254,
            interval: Duration::from_secs(1),
            authentication: Some(Authentication::Password(*b"forged!!")),
            addresses: vec![VIP.parse().unwrap()],
        }
        .encode(envelope);
        let start = std::time::Instant::now();
        let mut sent = 0u64;
        while start.elapsed() < Duration::from_secs(6) {
            sent += u64::from(sender.send(envelope.destination, &forged).is_ok());
        }
        sent
    });
    let sent = flood.join().unwrap();
    let gaps = ours.stop().fields("vrrp", &["frame.time_delta"]);
    let gaps = gaps
        .iter()
        .skip(1)
        .map(|fields| fields[0].parse::<f64>().unwrap());
    let worst = gaps.fold(0.0, f64::max);
    elver.order(&Command::ReportStatistics);
    let told = elver.tells("statistics", |notice| {
        matches!(notice, Notice::Statistics(_))
    });
    let Notice::Statistics(statistics) = told else {
        unreachable!()
    };
    let rejected = statistics[0].1.rejected[&RejectionKind::AuthenticationFailure];
    eprintln!("{sent} forged advertisements sent, {rejected} looked at, worst gap {worst} s");
    // An idle router's is one second.
    assert!(worst < 2.0, "worst gap {worst} s");
    assert!(rejected > 10_000, "{rejected} of {sent}");
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);
    assert!(
        !keepalived.log().contains("Entering MASTER STATE"),
        "{}",
        keepalived.log()
    );
}

fn index_of(interface: &str) -> u32 {
    let links = elver_sys::netlink::Netlink::open()
        .unwrap()
        .links()
        .unwrap();
    links
        .iter()
        .find(|link| link.name == interface)
        .unwrap()
        .index
}

/// The median time between two advertisements at an interval of 10 ms, in seconds.
fn median_gap(start: impl FnOnce(&Network, &VrrpInstance) -> Box<dyn std::any::Any>) -> f64 {
    let network = Network::new();
    let mut configuration = version_3(VIP)(150);
    configuration.advertisement_interval = Duration::from_millis(10);
    let capture = network.capture(1, "eth0", "proto 112");
    let router = start(&network, &configuration);
    eventually("the router is master", || network.has(0, "eth0", VIP));
    std::thread::sleep(Duration::from_secs(4));
    drop(router);
    let mut gaps: Vec<f64> = capture
        .stop()
        .fields("vrrp.prio == 150", &["frame.time_delta_displayed"])
        .iter()
        .skip(1)
        .map(|fields| fields[0].parse().unwrap())
        .collect();
    assert!(gaps.len() > 100, "{gaps:?}");
    gaps.sort_by(f64::total_cmp);
    gaps[gaps.len() / 2]
}

#[test]
fn at_ten_milliseconds_we_are_as_regular_as_keepalived() {
    let ours = median_gap(|network, configuration| {
        let elver = network.elver(0);
        elver.configure(std::slice::from_ref(configuration), &[]);
        Box::new(elver)
    });
    let theirs = median_gap(|network, configuration| {
        Box::new(network.keepalived(0, &keepalived_instance(configuration)))
    });
    eprintln!("median gap: ours {ours} s, keepalived's {theirs} s");
    assert!(
        ours <= theirs * 1.05,
        "ours {ours} s, keepalived's {theirs} s"
    );
}

/// A file in memory.
struct Text(&'static str);

impl Source for Text {
    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn list(&self, _directory: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What every field of a dump can be, and instances in three states.
const DUMPED: &str = "
vrrp_script bad {
  script \"/usr/bin/false 'two words' one\"
  interval 1
  init_fail
}
vrrp_script worse {
  script /usr/bin/false
  interval 1
  weight -10
}
vrrp_instance M {
  state BACKUP
  interface eth0
  virtual_router_id 60
  priority 100
  version 3
  advert_int 0.5
  virtual_ipaddress {
    10.66.0.100/24 dev eth0 label eth0:1
    10.66.0.101 brd 10.66.0.255 scope link
    10.66.0.102/24 dev eth1 scope site no_track
  }
  virtual_ipaddress_excluded {
    10.66.0.200 scope host
    fd00::5/64
  }
  track_script {
    worse
  }
  track_interface {
    eth1
    lo weight 5
  }
  notify /usr/bin/true
  notify_priority_changes true
}
vrrp_instance B {
  state BACKUP
  interface eth0
  virtual_router_id 61
  priority 50
  preempt_delay 500
  garp_master_delay 7
  garp_master_repeat 3
  garp_master_refresh 11
  garp_master_refresh_repeat 2
  garp_lower_prio_delay 4
  garp_lower_prio_repeat 1
  down_timer_adverts 4
  lower_prio_no_advert true
  higher_prio_send_advert true
  skip_check_adv_addr true
  dont_track_primary
  authentication {
    auth_type PASS
    auth_pass secret12
  }
  virtual_ipaddress {
    10.66.0.110
  }
  notify_master \"/usr/bin/true m\"
  notify_backup \"/usr/bin/true b\"
  notify_fault \"/usr/bin/true f\"
  notify_stop \"/usr/bin/true s\"
  notify_deleted \"/usr/bin/true d\"
  notify_master_rx_lower_pri \"/usr/bin/true l\"
  notify \"/usr/bin/true 'any thing'\"
}
vrrp_instance L {
  state BACKUP
  interface eth0
  virtual_router_id 63
  priority 50
  version 3
  nopreempt
  virtual_ipaddress {
    10.66.0.112
  }
}
vrrp_instance F {
  state MASTER
  interface eth0
  virtual_router_id 62
  priority 120
  virtual_ipaddress {
    10.66.0.111
  }
  track_script {
    bad
  }
  notify_deleted
}
";

/// The higher priorities for two of these.
const ABOVE: &str = "
vrrp_instance B {
  interface eth0
  virtual_router_id 61
  priority 200
  authentication {
    auth_type PASS
    auth_pass secret12
  }
  virtual_ipaddress {
    10.66.0.110
  }
}
vrrp_instance L {
  interface eth0
  virtual_router_id 63
  priority 201
  version 3
  advert_int 0.7
  virtual_ipaddress {
    10.66.0.112
  }
}
";

/// A dump in lines, without what time makes of it. Of counts it keeps whether they are zero.
fn normalised(dump: &str) -> Vec<String> {
    let line = |line: &str| match line.rsplit_once([':', ' ']) {
        Some((name, value)) if name.ends_with("last_transition\"") => {
            let (whole, fraction) = value.split_once('.').unwrap();
            assert!(whole.parse::<u64>().unwrap() > 1_700_000_000, "{line}");
            assert!(fraction.len() <= 6, "{line}");
            name.to_owned()
        }
        Some((name, value))
            if ["_rcvd\"", "_sent\"", "  Received:", "  Sent:"]
                .iter()
                .any(|end| name.ends_with(end)) =>
        {
            let digits = value.trim_end_matches(['}', ']']);
            let none = digits.parse::<u64>().unwrap() == 0;
            format!("{name} none: {none} {}", &value[digits.len()..])
        }
        _ => line.to_owned(),
    };
    dump.split([',', '\n']).map(line).collect()
}

/// The sections of a `keepalived.data` that are about instances, groups and scripts, without
/// what time makes of them and what is keepalived's own inside.
fn topology(dump: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut section = "";
    for line in dump.lines() {
        if let Some(title) = line.strip_prefix("------< ") {
            section = title;
        }
        let inside = [
            "   fd_in ",
            // Who runs a script, and counts of a script that is run once a second.
            "   Weight = ",
            "   Result = ",
            "   Insecure = ",
            "   Script uid:gid = ",
            "   Timeout = ",
            "   State = ",
        ];
        let of_scripts = section.starts_with("VRRP Scripts");
        let is_inside = |start: &&str| line.starts_with(*start);
        let skipped = line.starts_with(inside[0]) || of_scripts && inside.iter().any(is_inside);
        if !["VRRP Topology", "VRRP Sync groups", "VRRP Scripts"]
            .iter()
            .any(|known| section.starts_with(known))
            || skipped
        {
            continue;
        }
        let line = line.split(", uid:gid").next().unwrap();
        let timed = ["   Last transition = ", "   Read timeout = "];
        let line = match timed.iter().find(|timed| line.starts_with(**timed)) {
            Some(timed) if line.contains("20") => (*timed).to_owned(),
            _ => line.to_owned(),
        };
        lines.push(line);
    }
    lines
}

#[test]
fn dumps_are_those_of_keepalived() {
    let mut network = Network::new();
    network.private_tmp = true;
    let above = network.keepalived(1, ABOVE);
    above.says("(L) Entering MASTER STATE");
    above.says("(B) Entering MASTER STATE");

    let global = "global_defs {\n  script_user root\n}\n";
    let keepalived = network.keepalived(0, &format!("{global}{DUMPED}"));
    keepalived.says("(M) Entering MASTER STATE");
    std::thread::sleep(Duration::from_secs(3));
    let json_signal = sh("keepalived --signum=JSON");
    keepalived.signal("USR1");
    keepalived.signal("USR2");
    keepalived.signal(json_signal.trim());
    let whole = |text: &str| text.ends_with("}}]\n") || text.ends_with("}}]");
    let theirs = left_in_tmp(keepalived.id(), "keepalived.json", whole);
    let counted = |text: &str| text.matches("Priority Zero:\n    Received: ").count() == 4;
    let theirs_counted = left_in_tmp(keepalived.id(), "keepalived.stats", counted);
    let finished = |text: &str| text.contains("---< VRRP Scripts >---") && text.ends_with('\n');
    let their_data = left_in_tmp(keepalived.id(), "keepalived.data", finished);
    keepalived.stop();
    assert!(theirs.contains("secret12"), "{theirs}");

    let loaded = config::load(&Text(DUMPED), "dumped.conf");
    let configuration = loaded.configuration.unwrap();
    let elver = network.elver(0);
    elver.order(&Command::Configure {
        instances: configuration.instances,
        sync_groups: configuration.sync_groups,
        statics: configuration.statics,
        trackers: configuration.trackers,
        pacing: Pacing::default(),
        not_before: Duration::ZERO,
        settings: RouterSettings::default(),
        own: OwnSettings::default(),
        notifying: Notifying::default(),
        resume: Vec::new(),
    });
    elver.state("M", State::Master);
    elver.state("B", State::Backup);
    elver.state("L", State::Backup);
    elver.state("F", State::Fault);
    std::thread::sleep(Duration::from_secs(3));
    elver.order(&Command::Dump(Dump::Data));
    elver.order(&Command::Dump(Dump::Statistics));
    elver.order(&Command::Dump(Dump::Json));
    let ours = left_in_tmp(elver.child.id(), "keepalived.json", whole);
    let ours_counted = left_in_tmp(elver.child.id(), "keepalived.stats", counted);
    assert!(!ours.contains("secret12"), "{ours}");

    let theirs = theirs.replace("secret12", "redacted");
    assert_eq!(normalised(&ours), normalised(&theirs));
    assert_eq!(normalised(&ours_counted), normalised(&theirs_counted));

    let our_data = left_in_tmp(elver.child.id(), "keepalived.data", finished);
    assert!(!our_data.contains("secret12"), "{our_data}");
    let their_data = their_data.replace("secret12", "redacted");
    let (ours, theirs) = (topology(&our_data), topology(&their_data));
    assert!(theirs.len() > 150, "{their_data}");
    assert_eq!(ours.join("\n"), theirs.join("\n"));

    // What is written once begins anew.
    elver.order(&Command::Dump(Dump::StatisticsOnce));
    elver.order(&Command::Dump(Dump::Statistics));
    left_in_tmp(elver.child.id(), "keepalived.stats", |text| {
        text.matches("Became master: 0").count() == 4
    });
}
