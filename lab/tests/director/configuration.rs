//! Configurations of the directors under test, in keepalived's language.

use std::fmt::Write;
use std::net::Ipv4Addr;

use elver_lab::nat::{DIP, VIP};

/// A NAT director on `eth0` and `eth1`, like the example's, but quicker to check.
#[derive(Clone)]
pub(crate) struct Configuration {
    /// The priority of both VRRP instances.
    pub(crate) priority: u8,
    /// The servers behind the VIP, in order.
    pub(crate) real_servers: Vec<Ipv4Addr>,
    /// `persistence_timeout`, if clients are to stay with their real server.
    pub(crate) persistence: Option<u32>,
}

impl Configuration {
    pub(crate) fn new(real_servers: &[Ipv4Addr]) -> Self {
        Self {
            priority: 150,
            real_servers: real_servers.to_vec(),
            persistence: None,
        }
    }

    /// The part that real keepalived understands without IPVS.
    pub(crate) fn vrrp(&self) -> String {
        let mut text = String::from(
            "vrrp_sync_group VG1 {\n    group {\n        VI_1\n        VI_GATEWAY\n    }\n}\n\n",
        );
        for (name, interface, router, address) in
            [("VI_1", "eth0", 51, VIP), ("VI_GATEWAY", "eth1", 52, DIP)]
        {
            let priority = self.priority;
            writeln!(
                text,
                "vrrp_instance {name} {{\n    state BACKUP\n    interface {interface}\n    \
                 virtual_router_id {router}\n    priority {priority}\n    advert_int 1\n    \
                 authentication {{\n        auth_type PASS\n        auth_pass 1111\n    }}\n    \
                 virtual_ipaddress {{\n        {address}\n    }}\n}}\n"
            )
            .expect("memory takes it");
        }
        text
    }

    /// The whole.
    pub(crate) fn text(&self) -> String {
        let mut text = self.vrrp();
        writeln!(
            text,
            "virtual_server {VIP} 3306 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    \
             protocol TCP"
        )
        .expect("memory takes it");
        if let Some(seconds) = self.persistence {
            writeln!(text, "    persistence_timeout {seconds}").expect("memory takes it");
        }
        for address in &self.real_servers {
            writeln!(
                text,
                "\n    real_server {address} 3306 {{\n        weight 1\n        TCP_CHECK {{\n            \
                 connect_timeout 1\n            retry 1\n            delay_before_retry 1\n            \
                 connect_port 22\n        }}\n    }}"
            )
            .expect("memory takes it");
        }
        text.push_str("}\n");
        text
    }
}
