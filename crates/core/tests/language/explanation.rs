//! `elver check --explain`.

use elver_core::config::explain;
use expect_test::expect;

use super::*;

#[test]
fn a_configuration_is_said_in_words() {
    let text = "\
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    track_interface {
        eth1 weight -20
    }
    virtual_ipaddress {
        192.0.2.10/24
    }
}
virtual_server 192.0.2.10 80 {
    delay_loop 6
    lb_algo wlc
    lb_kind NAT
    protocol TCP
    persistence_timeout 50
    sorry_server 10.0.0.9 80
    real_server 10.0.0.11 80 {
        TCP_CHECK {
            connect_timeout 3
            retry 2
            delay_before_retry 1
        }
    }
    real_server 10.0.0.12 80 {
        inhibit_on_failure
        UDP_CHECK {
        }
    }
}
";
    expect![[r#"
        VRRP instance VI_1: virtual router 51 on eth0, version 2, priority 100
          as master it advertises to the multicast group every 1 s
          as backup it takes over 3.61 s after the last advertisement of a dead master
          it takes over from a master of lower priority at once
          its priority is 20 lower while interface eth1 is down
          the master holds 192.0.2.10/24 on eth0
        Virtual server TCP 192.0.2.10:80
          connections go to the real servers by wlc; a client keeps its real server until 50 s after its last connection
          without a quorum of 1 (in weight) the sorry server 10.0.0.9:80 serves alone
          real server 10.0.0.11:80, weight 1, by NAT
            TCP_CHECK 10.0.0.11:80 every 6 s, given up after 3 s, repeated 2 times 1 s apart
            dead, it is out 17 s later at the latest
            alive again, it is back 12 s later at the latest
          real server 10.0.0.12:80, weight 1, by NAT
            UDP_CHECK 10.0.0.12:80 every 6 s, given up after 5 s, repeated once 1 s later
            dead, it still gets connections: no check would notice
    "#]]
    .assert_eq(&explain(&configuration(text)));
}

#[test]
fn an_empty_configuration_says_so() {
    assert_eq!(
        explain(&Default::default()),
        "Nothing would run: there is no VRRP instance and no virtual server.\n"
    );
}
