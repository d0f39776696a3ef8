//! What keepalived.conf says of VRRP beside the protocol, with a whole director and with real
//! keepalived, in network namespaces. Needs root, keepalived, nft, ping, tcpdump and tshark.

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::director::Director;
use support::{Network, eventually, sh};

const VIP: &str = "10.66.0.100";
const VIP6: &str = "2001:db8:66::100";

fn configuration(global: &str, priority: u8, lines: &str) -> String {
    format!(
        "global_defs {{
          {global}
        }}
        vrrp_instance VI_1 {{
          interface eth0
          virtual_router_id 51
          priority {priority}
          {lines}
        }}\n"
    )
}

fn addresses(addresses: &[&str]) -> String {
    format!("virtual_ipaddress {{\n{}\n}}", addresses.join("\n"))
}

/// The table of one family, with single blanks, or nothing.
fn table(network: &Network, router: usize, family: &str) -> String {
    let router = &network.routers[router];
    let shown = sh(&format!("ip netns exec {router} nft list ruleset {family}"));
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a ping from the other router is answered.
fn answers(network: &Network, address: &str) -> bool {
    let router = &network.routers[1];
    let status = Command::new("ip")
        .args(["netns", "exec", router, "ping", "-c1", "-W1", address])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    match status.code() {
        Some(0) => true,
        // ping(8): "if ping does not receive any reply packets at all it will exit with code 1".
        Some(1) => false,
        _ => panic!("ping {address}: {status}"),
    }
}

/// A second prefix for IPv6, so that the virtual address can be reached.
fn with_ipv6(network: &Network) {
    for (host, router) in network.routers.iter().enumerate() {
        sh(&format!(
            "ip -n {router} addr add 2001:db8:66::{}/64 dev eth0 nodad",
            host + 1
        ));
    }
}

#[test]
fn who_does_not_own_the_addresses_takes_no_packets_to_them() {
    let network = Network::new();
    with_ipv6(&network);
    let ipv6 = format!(
        "vrrp_instance VI_6 {{
          interface eth0
          virtual_router_id 51
          priority 150
          no_accept
          {}
        }}",
        addresses(&["fe80::66", VIP6])
    );
    let text = |accept: &str| {
        let lines = format!(
            "{accept}\n{}\nvirtual_ipaddress_excluded {{\n10.66.0.111\n}}",
            addresses(&[VIP, "10.66.0.101"])
        );
        configuration("nftables_counters", 150, &lines).replace("advert_int 1", "")
            + &ipv6.replace("no_accept", accept)
    };
    let keepalived = network.keepalived(0, &text("no_accept"));
    keepalived.says("(VI_1) setting VIPs.");
    keepalived.says("(VI_6) setting VIPs.");
    eventually("keepalived has made its rules", || {
        table(&network, 0, "ip").contains("10.66.0.111")
    });
    let theirs = table(&network, 0, "ip");
    assert!(!answers(&network, VIP) && !answers(&network, VIP6));
    keepalived.stop();
    assert_eq!(table(&network, 0, ""), "");

    let mut director = Director::start(&network, 0, &text("no_accept"));
    network.held_by(0, "eth0", VIP);
    network.held_by(0, "eth0", VIP6);
    let without_counts = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let counts = |word: &str| word.parse::<u64>().is_ok();
        let kept = words.iter().filter(|word| !counts(word));
        kept.copied().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        without_counts(&table(&network, 0, "ip")),
        without_counts(&theirs)
    );
    for address in [VIP, "10.66.0.101", "10.66.0.111", VIP6] {
        assert!(!answers(&network, address), "{address}");
    }
    // Its own address is, and neighbours still find the others.
    assert!(answers(&network, "10.66.0.1") && answers(&network, "2001:db8:66::1"));
    for address in [VIP, VIP6] {
        let router = &network.routers[1];
        let neighbour = sh(&format!("ip -n {router} neigh show to {address} dev eth0"));
        assert!(neighbour.contains("lladdr"), "{neighbour}");
    }

    // What one that was killed has left goes with the configuration that wants it no more.
    director.kill();
    assert_ne!(table(&network, 0, ""), "");
    drop(director);
    let director = Director::start(&network, 0, &text("accept"));
    network.held_by(0, "eth0", VIP);
    network.held_by(0, "eth0", VIP6);
    assert_eq!(table(&network, 0, ""), "");
    eventually("it answers", || {
        answers(&network, VIP) && answers(&network, VIP6)
    });
    drop(director);
}

#[test]
fn the_rules_go_with_the_director_and_come_with_a_reload() {
    let network = Network::new();
    let text = |accept: &str| configuration("", 150, &format!("{accept}\n{}", addresses(&[VIP])));
    let director = Director::start(&network, 0, &text("accept"));
    network.held_by(0, "eth0", VIP);
    assert!(answers(&network, VIP));
    director.reload(&text("no_accept"));
    director.says("Reload complete");
    assert!(!answers(&network, VIP));
    drop(director);
    assert_eq!(table(&network, 0, ""), "");
}

/// keepalived hears ours and ours hears it, in groups of their own.
#[test]
fn advertisements_go_to_the_groups_of_the_file() {
    for (group, lines, vip, source_mac) in [
        ("224.0.0.30", "", VIP, None),
        (
            "ff02::30",
            "use_vmac",
            "fe80::66",
            Some("00:00:5e:00:02:33"),
        ),
    ] {
        let network = Network::new();
        let capture = network.capture(1, "eth0", "proto 112 or ip6 proto 112");
        let global = "vrrp_mcast_group4 224.0.0.30\nvrrp_mcast_group6 ff02::30";
        let lines = format!("{lines}\n{}", addresses(&[vip]));
        let keepalived = network.keepalived(1, &configuration(global, 100, &lines));
        keepalived.says("Entering MASTER STATE");
        let director = Director::start(&network, 0, &configuration(global, 150, &lines));
        keepalived.says("with higher priority 150, ours 100");
        director.says("Entering MASTER STATE");
        drop(director);
        keepalived.says("Backup received priority 0 advertisement");
        let packets = capture
            .stop()
            .fields("vrrp", &["eth.src", "ip.dst", "ipv6.dst", "vrrp.prio"]);
        let ours: Vec<_> = packets.iter().filter(|packet| packet[3] == "150").collect();
        assert!(!ours.is_empty(), "{packets:?}");
        for packet in &packets {
            assert!(packet[1] == group || packet[2] == group, "{packet:?}");
        }
        for packet in ours {
            assert!(source_mac.is_none_or(|mac| packet[0] == mac), "{packet:?}");
        }
    }
}

#[test]
fn unicast_advertisements_have_the_ttl_of_the_file() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "proto 112");
    let lines = |peer: &str| format!("{peer}\n{}", addresses(&[VIP]));
    let theirs = lines("unicast_peer {\n10.66.0.1 min_ttl 60 max_ttl 64\n}");
    let ours = lines("unicast_ttl 61\nunicast_peer {\n10.66.0.2\n}");
    let keepalived = network.keepalived(1, &configuration("", 100, &theirs));
    keepalived.says("Entering MASTER STATE");
    let director = Director::start(&network, 0, &configuration("", 150, &ours));
    keepalived.says("with higher priority 150, ours 100");
    drop(director);
    let packets = capture.stop().fields("vrrp.prio == 150", &["ip.ttl"]);
    assert!(!packets.is_empty());
    assert!(
        packets.iter().all(|packet| packet[0] == "61"),
        "{packets:?}"
    );
}

#[test]
fn a_source_address_that_goes_is_a_fault_where_it_is_tracked() {
    let network = Network::new();
    let router = &network.routers[0];
    let lines = format!(
        "track_src_ip\nmcast_src_ip 10.66.0.77\n{}",
        addresses(&[VIP])
    );
    let director = Director::start(&network, 0, &configuration("", 150, &lines));
    director.says("(VI_1) Entering FAULT STATE (init)");
    sh(&format!("ip -n {router} addr add 10.66.0.77/32 dev eth0"));
    network.held_by(0, "eth0", VIP);
    sh(&format!("ip -n {router} addr del 10.66.0.77/32 dev eth0"));
    director.says("(VI_1) Entering FAULT STATE\n");
    eventually("the address goes", || !network.has(0, "eth0", VIP));
}

#[test]
fn addresses_are_promoted_where_the_file_says_so_and_as_before_afterwards() {
    let network = Network::new();
    let router = &network.routers[0];
    let setting = || {
        let path = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries";
        sh(&format!("ip netns exec {router} cat {path}"))
            .trim()
            .to_owned()
    };
    sh(&format!(
        "ip netns exec {router} sh -c 'echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries'"
    ));
    let lines = format!("promote_secondaries\n{}", addresses(&[VIP]));
    let director = Director::start(&network, 0, &configuration("", 150, &lines));
    network.held_by(0, "eth0", VIP);
    assert_eq!(setting(), "1");
    drop(director);
    assert_eq!(setting(), "0");
}

#[test]
fn announcements_keep_the_gap_of_the_file() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "arp");
    let vips: Vec<String> = (0..4).map(|n| format!("10.66.0.{}", 100 + n)).collect();
    let vips: Vec<&str> = vips.iter().map(String::as_str).collect();
    let lines = format!("garp_master_delay 0\n{}", addresses(&vips));
    let text = configuration("vrrp_garp_interval 0.1", 255, &lines);
    let director = Director::start(&network, 0, &text);
    director.says("Entering MASTER STATE");
    std::thread::sleep(Duration::from_secs(4));
    drop(director);
    let fields = ["frame.time_epoch", "arp.src.proto_ipv4"];
    let announced = capture.stop().fields("arp.isgratuitous == 1", &fields);
    // Five rounds of four addresses.
    assert_eq!(announced.len(), 20, "{announced:?}");
    for (position, frame) in announced.iter().enumerate() {
        assert_eq!(frame[1], vips[position % 4], "{announced:?}");
    }
    let times: Vec<f64> = announced.iter().map(|f| f[0].parse().unwrap()).collect();
    for pair in times.windows(2) {
        // The clock of the capture may step by what a busy machine is late in taking packets.
        assert!(pair[1] - pair[0] > 0.05, "{times:?}");
    }
    assert!(times[19] - times[0] > 1.8, "{times:?}");
}

#[test]
fn vrrp_starts_when_the_delay_is_over() {
    let network = Network::new();
    let start = Instant::now();
    let delay = "vrrp_startup_delay 3";
    let text = configuration(delay, 255, &addresses(&[VIP]));
    let director = Director::start(&network, 0, &text);
    director.says("(VI_1) Entering BACKUP STATE (init)");
    network.held_by(0, "eth0", VIP);
    assert!(
        start.elapsed() > Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert!(director.log().contains("Delaying startup for"));
    // One that takes over from a dead vrrp process waits no more.
    drop(director);
}

/// Both directions, and with a wrong password.
#[test]
fn authentication_headers_are_those_of_keepalived() {
    let network = Network::new();
    let capture = network.capture(1, "eth0", "ip");
    let text = |priority, password: &str| {
        let lines = format!(
            "authentication {{\nauth_type AH\nauth_pass {password}\n}}\n{}",
            addresses(&[VIP])
        );
        configuration("", priority, &lines)
    };
    let keepalived = network.keepalived(1, &text(100, "secret12"));
    keepalived.says("Entering MASTER STATE");
    // Ours hears keepalived's, is heard, and gives way in the end.
    let director = Director::start(&network, 0, &text(150, "secret12"));
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
    network.held_by(0, "eth0", VIP);
    drop(director);
    keepalived.says("Backup received priority 0 advertisement");
    network.held_by(1, "eth0", VIP);
    let director = Director::start(&network, 0, &text(50, "secret12"));
    director.says("(VI_1) Entering BACKUP STATE (init)");
    std::thread::sleep(Duration::from_secs(5));
    assert!(!network.has(0, "eth0", VIP), "{}", director.log());
    drop(director);

    let director = Director::start(&network, 0, &text(50, "other"));
    director.says("invalid IPSEC HMAC-MD5 value");
    drop(director);
    let packets = capture
        .stop()
        .fields("vrrp", &["ip.src", "ip.proto", "ah.spi", "vrrp.auth_type"]);
    for source in ["10.66.0.1", "10.66.0.2"] {
        assert!(packets.iter().any(|packet| packet[0] == source));
    }
    for packet in &packets {
        let spi = if packet[0] == "10.66.0.1" {
            "0x0a420001"
        } else {
            "0x0a420002"
        };
        assert_eq!(packet[1..], ["51", spi, "2"], "{packets:?}");
    }
}

/// keepalived says the same of the file, and is master beside the same advertisements.
#[test]
fn strict_mode_takes_back_what_it_takes_back_with_keepalived() {
    let network = Network::new();
    let lines = format!(
        "authentication {{\nauth_type PASS\nauth_pass secret12\n}}
        preempt_delay 3
        down_timer_adverts 10
        higher_prio_send_advert
        lower_prio_no_advert off
        accept
        {}",
        addresses(&[VIP])
    );
    let text = |priority| configuration("vrrp_strict", priority, &lines);
    let keepalived = network.keepalived(1, &text(100));
    keepalived.says("Entering MASTER STATE");
    let told = keepalived.log();
    let capture = network.capture(1, "eth0", "proto 112");
    let director = Director::start(&network, 0, &text(150));
    // Without authentication, and without a delay: it is heard, and takes over.
    keepalived.says("with higher priority 150, ours 100");
    network.held_by(0, "eth0", VIP);
    assert!(!answers(&network, VIP));
    for (theirs, ours) in [
        (
            "Strict mode does not support authentication",
            "authentication does not go with strict mode",
        ),
        (
            "preempt_delay is incompatible with strict mode",
            "preempt_delay does not go with strict mode",
        ),
        (
            "down_timer_adverts is incompatible with strict mode",
            "`down_timer_adverts` does not go with strict mode",
        ),
        (
            "strict mode requires higher_prio_send_advert to be clear",
            "`higher_prio_send_advert` does not go with strict mode",
        ),
        (
            "Strict mode requires no lower priority advert",
            "`lower_prio_no_advert off` does not go with strict mode",
        ),
        (
            "accept mode for VRRP version 2 does not comply",
            "`accept` in version 2 does not go with strict mode",
        ),
    ] {
        assert!(told.contains(theirs), "{told}");
        assert!(director.log().contains(ours), "{}", director.log());
    }
    drop(director);
    let packets = capture.stop().fields("vrrp", &["vrrp.auth_type"]);
    assert!(packets.iter().all(|packet| packet[0] == "0"), "{packets:?}");
}
