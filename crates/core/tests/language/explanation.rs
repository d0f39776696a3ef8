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
fn what_follows_a_session_is_said_with_it() {
    let text = "\
bfd_instance FAR {
    neighbor_ip 192.0.2.2
    min_rx 50
    min_tx 33.5
    passive
}
virtual_server 192.0.2.10 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.0.0.11 80 {
        BFD_CHECK {
            name FAR
        }
    }
}
";
    expect![[r#"
        BFD session FAR with 192.0.2.2:
          the neighbour has to speak first
          up, it sends a packet every 0.034 s and hears one every 0.05 s, or less often where the neighbour wants that
          down, it sends one every 1 s
          the neighbour takes this side for gone once 5 packets in a row are lost; how many of its own, it says itself
        Virtual server TCP 192.0.2.10:80
          connections go to the real servers by round robin
          real server 10.0.0.11:80, weight 1, by NAT
            BFD_CHECK follows BFD session FAR
            it is out as soon as what is followed says so, and back likewise
    "#]].assert_eq(&explain(&configuration(text)));
}

#[test]
fn an_empty_configuration_says_so() {
    assert_eq!(
        explain(&Default::default()),
        "Nothing would run: there is no VRRP instance and no virtual server.\n"
    );
}
