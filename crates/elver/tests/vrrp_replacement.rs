//! Directors of keepalived are replaced by elver and back, with the same file, beside another of
//! keepalived: in every version, family, way of sending and setting of preemption. Needs root,
//! keepalived, tcpdump and tshark.

mod support;

use std::time::Duration;

use support::director::Director;
use support::{Capture, Network, eventually};

/// A way to send: the lines of the file, and the address of each router.
struct Way {
    name: &'static str,
    lines: &'static str,
    unicast: bool,
    vip: &'static str,
    routers: [&'static str; 2],
    interval: Duration,
}

const IPV4: [&str; 2] = ["10.66.0.1", "10.66.0.2"];
const IPV6: [&str; 2] = ["fe80::1", "fe80::2"];
const PASSWORD: &str = "version 2\nauthentication {\nauth_type PASS\nauth_pass secret12\n}";
const VERSION_3: &str = "version 3\nadvert_int 0.5";

const fn way(name: &'static str, version_3: bool, ipv6: bool, unicast: bool) -> Way {
    Way {
        name,
        lines: if version_3 { VERSION_3 } else { PASSWORD },
        unicast,
        vip: if ipv6 { "fe80::66" } else { "10.66.0.100" },
        routers: if ipv6 { IPV6 } else { IPV4 },
        interval: Duration::from_millis(if version_3 { 500 } else { 1000 }),
    }
}

const WAYS: [Way; 6] = [
    way("version 2, multicast", false, false, false),
    way("version 2, unicast", false, false, true),
    way("version 3, multicast", true, false, false),
    way("version 3, unicast", true, false, true),
    way("version 3 over IPv6, multicast", true, true, false),
    way("version 3 over IPv6, unicast", true, true, true),
];

impl Way {
    /// The file of a router.
    fn file(&self, router: usize, priority: u8, preemption: &str) -> String {
        let Way {
            lines,
            vip,
            routers,
            ..
        } = self;
        let peers = if self.unicast {
            let (own, other) = (routers[router], routers[1 - router]);
            format!("unicast_src_ip {own}\nunicast_peer {{\n{other}\n}}")
        } else {
            String::new()
        };
        format!(
            "vrrp_instance VI_1 {{
              state BACKUP
              interface eth0
              virtual_router_id 51
              priority {priority}
              {lines}
              {preemption}
              {peers}
              virtual_ipaddress {{\n{vip}\n}}
            }}\n"
        )
    }

    /// Longer than a backup waits for a master.
    fn patience(&self) -> Duration {
        self.interval * 5
    }

    /// Two of keepalived, of which the first is replaced by elver, and elver by keepalived;
    /// `takes_over` says whether one that comes back does.
    fn replace(&self, preemption: &str, takes_over: bool) {
        let what = format!("{}, `{preemption}`", self.name);
        let network = Network::new();
        let capture = network.capture(1, "eth0", "proto 112 or ip6 proto 112");
        let first = self.file(0, 150, preemption);
        let keepalived = network.keepalived(0, &first);
        keepalived.says("Entering MASTER STATE");
        let peer = network.keepalived(1, &self.file(1, 100, preemption));
        peer.says("Entering BACKUP STATE");

        keepalived.stop();
        network.held_by(1, "eth0", self.vip);
        let elver = Director::start(&network, 0, &first);
        elver.says("Entering BACKUP STATE (init)");
        self.assert_holds(&network, takes_over, &what);

        if !takes_over {
            // Then it takes over when the other one leaves.
            peer.stop();
            network.held_by(0, "eth0", self.vip);
        }
        let peer = network.keepalived(1, &self.file(1, 100, preemption));
        peer.says("Entering BACKUP STATE");
        std::thread::sleep(self.patience());
        assert!(network.has(0, "eth0", self.vip), "{what}");

        drop(elver);
        network.held_by(1, "eth0", self.vip);
        let keepalived = network.keepalived(0, &first);
        self.assert_holds(&network, takes_over, &what);
        drop(keepalived);
        network.held_by(1, "eth0", self.vip);
        drop(peer);
        self.assert_one_master(capture.stop(), &what);
    }

    fn assert_holds(&self, network: &Network, takes_over: bool, what: &str) {
        if takes_over {
            eventually(&format!("{what}: the first takes over"), || {
                network.has(0, "eth0", self.vip) && !network.has(1, "eth0", self.vip)
            });
        } else {
            std::thread::sleep(self.patience());
            assert!(!network.has(0, "eth0", self.vip), "{what}");
            assert!(network.has(1, "eth0", self.vip), "{what}");
        }
    }

    /// By what was seen on the link: no two have advertised for longer than an advertisement
    /// takes to come round.
    fn assert_one_master(&self, capture: Capture, what: &str) {
        let fields = ["frame.time_epoch", "vrrp.prio"];
        let packets = capture.fields("vrrp", &fields);
        assert!(packets.len() > 10, "{what}: {packets:?}");
        // Each has its own priority; what gives up advertises no more.
        let spans = ["150", "100"].map(|priority| {
            let mut spans: Vec<(f64, f64)> = Vec::new();
            for packet in &packets {
                if packet[1] != priority {
                    continue;
                }
                let time: f64 = packet[0].parse().unwrap();
                match spans.last_mut() {
                    Some((_, end)) if time - *end < 2.0 * self.interval.as_secs_f64() => {
                        *end = time;
                    }
                    _ => spans.push((time, time)),
                }
            }
            spans
        });
        assert!(spans.iter().all(|spans| !spans.is_empty()), "{spans:?}");
        for one in &spans[0] {
            for other in &spans[1] {
                let both = one.1.min(other.1) - one.0.max(other.0);
                let most = self.interval.as_secs_f64();
                assert!(both < most, "{what}: both for {both} s: {spans:?}");
            }
        }
    }
}

/// Every way to send, some at once, each in a network of its own.
fn replace_in_every_way(preemption: &str, takes_over: bool) {
    for ways in WAYS.chunks(2) {
        std::thread::scope(|scope| {
            let threads = ways
                .iter()
                .map(|way| scope.spawn(move || way.replace(preemption, takes_over)));
            for thread in threads.collect::<Vec<_>>() {
                thread.join().unwrap();
            }
        });
    }
}

#[test]
fn with_preemption() {
    replace_in_every_way("", true);
}

#[test]
fn without_preemption() {
    replace_in_every_way("nopreempt", false);
}

#[test]
fn with_preemption_later() {
    replace_in_every_way("preempt_delay 2", true);
}

#[test]
fn with_a_delay_of_no_preemption() {
    replace_in_every_way("nopreempt\npreempt_delay 2", false);
}
