//! What a director changes on a host, beside addresses, goes whatever becomes of its processes.

mod support;

use support::director::Director;
use support::{Network, eventually, sh};

/// An instance with a device of its own, a route, rules, and settings of its interface.
const CONFIGURATION: &str = "
global_defs {
  disable_local_igmp
}
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 77
  priority 200
  state MASTER
  advert_int 1
  promote_secondaries
  use_vmac
  virtual_ipaddress {
    10.66.0.100/24
  }
  virtual_routes {
    10.1.0.0/24 via 10.66.0.9 dev eth0
    blackhole 10.4.0.0/24
  }
  virtual_rules {
    from 10.67.0.0/24 table 100
    from 2001:db8:1::/48 table 102 preference 500
  }
}
virtual_server 10.66.0.100 80 {
  protocol TCP
  lb_algo rr
  lb_kind NAT
  real_server 10.66.0.1 80 {
    PING_CHECK {
    }
  }
}
";

/// All of a router that the configuration changes.
fn state(network: &Network) -> String {
    let router = &network.routers[0];
    let settings = [
        "conf/eth0/arp_ignore",
        "conf/eth0/arp_filter",
        "conf/eth0/arp_announce",
        "conf/eth0/promote_secondaries",
        "igmp_link_local_mcast_reports",
        "ping_group_range",
    ];
    let settings = settings.map(|setting| {
        let value = sh(&format!(
            "ip netns exec {router} cat /proc/sys/net/ipv4/{setting}"
        ));
        format!("{setting} {value}")
    });
    let rest = sh(&format!(
        "ip -n {router} -br link | cut -d' ' -f1
         ip -n {router} -br -4 addr | cut -d' ' -f1,3-
         ip -n {router} rule show; ip -n {router} -6 rule show
         ip -n {router} route show table all proto keepalived"
    ));
    settings.concat() + &rest
}

/// Waits until all of it is there.
fn is_changed(network: &Network, director: &Director) {
    director.says("Entering MASTER STATE");
    eventually("all is in force", || {
        let now = state(network);
        [
            "65534\t65534",
            "vrrp.77",
            "10.66.0.100",
            "16384:",
            "500:",
            "10.1.0.0/24",
        ]
        .iter()
        .all(|part| now.contains(part))
    });
}

/// Kills a director with its children, none of which can tidy up.
fn kill_all(director: &mut Director) {
    let children = sh(&format!("pgrep -P {}", director.id())).replace('\n', " ");
    assert!(!children.trim().is_empty(), "it has children");
    // Stopped, it does not replace them.
    sh(&format!(
        "kill -STOP {}; kill -KILL {children}",
        director.id()
    ));
    director.kill();
    eventually("they are gone", || {
        children
            .split_whitespace()
            .all(|child| !std::path::Path::new(&format!("/proc/{child}")).exists())
    });
}

#[test]
fn unload_takes_back_what_a_killed_director_has_changed() {
    let network = Network::new();
    let before = state(&network);
    let mut director = Director::start(&network, 0, CONFIGURATION);
    is_changed(&network, &director);
    kill_all(&mut director);
    assert_ne!(state(&network), before, "nobody has tidied up");
    let said = director.unload();
    assert_eq!(state(&network), before, "{said}");
    for words in [
        "took back the device vrrp.77\n",
        "took back the rule preference 16384 from 10.67.0.0/24\n",
        "took back the rule preference 500 from 2001:db8:1::/48\n",
        "took back the route to 10.4.0.0/24\n",
        "took back the change of /proc/sys/net/ipv4/conf/eth0/arp_ignore, which is 0 again\n",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(director.unload().ends_with("had left nothing\n"));
}

#[test]
fn a_director_takes_back_what_a_killed_one_before_it_had_changed() {
    let network = Network::new();
    let before = state(&network);
    let mut killed = Director::start(&network, 0, CONFIGURATION);
    is_changed(&network, &killed);
    kill_all(&mut killed);
    // It finds the settings as they are now, and puts back what they were.
    let mut director = Director::start(&network, 0, CONFIGURATION);
    is_changed(&network, &director);
    director.stop();
    assert_eq!(state(&network), before, "{}", director.log());
}

#[test]
fn a_director_takes_back_what_its_file_no_longer_has() {
    let network = Network::new();
    let before = state(&network);
    let mut killed = Director::start(&network, 0, CONFIGURATION);
    is_changed(&network, &killed);
    kill_all(&mut killed);
    let mut director = Director::start(&network, 0, "global_defs {\n}\n");
    director.says(" runs");
    assert_eq!(state(&network), before, "{}", director.log());
    director.stop();
}
