//! Directors that are not meant: a backup that hears what is for the master, and hosts that
//! are directors and real servers at once.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use elver_lab::capture::Capture;
use elver_lab::client::Conversation;
use elver_lab::decode::Decoded;
use elver_lab::director::Director;
use elver_lab::nat::{DIP, SERVICE, VIP};
use elver_lab::service::Service;
use elver_lab::wait::{self, Look};

use crate::configuration::Configuration;
use crate::site::{LIMIT, Site, elver, wait_for_real_servers};

/// What a director has counted by this name.
fn counted(director: &Director, name: &str) -> u64 {
    let status = director.status().expect("a status");
    let line = status.lines().find(|line| line.trim().starts_with(name));
    line.and_then(|line| line.split_whitespace().last()?.parse().ok())
        .unwrap_or(0)
}

#[test]
fn a_director_that_does_not_hold_the_vip_forwards_nothing() {
    let site = Site::new("silence", 2);
    let master = site.serve();
    let backup = Configuration {
        priority: 100,
        ..Configuration::new(&site.addresses())
    };
    let backup = site.start(1, &backup);
    wait_for_real_servers(&backup, &site.addresses());
    // Switches that know nobody send everything to everybody.
    for switch in &site.switches {
        let hub = [
            "link",
            "set",
            "bridge",
            "type",
            "bridge",
            "ageing_time",
            "0",
        ];
        switch.ip(&hub).expect("a hub");
    }
    let captures = ["eth0", "eth1"]
        .map(|interface| Capture::start(backup.host(), interface).expect("a capture"));
    let mut conversation = site.connect().expect("a connection");
    conversation.upload(1 << 20).expect("data passes intact");
    conversation.download(1 << 20).expect("data passes intact");
    for capture in captures {
        let of_service: Vec<_> = capture
            .finish()
            .into_iter()
            .filter(|frame| {
                matches!(frame.decode(), Decoded::Tcp(tcp)
                    if tcp.source.port() == 3306 || tcp.destination.port() == 3306)
            })
            .collect();
        assert!(!of_service.is_empty(), "it has heard nothing");
        let sent = of_service.iter().find(|frame| frame.outgoing);
        assert!(sent.is_none(), "{}", sent.expect("a frame"));
    }
    for name in ["forwarded_to_server", "forwarded_to_client", "drop_"] {
        assert_eq!(counted(&backup, name), 0, "{name}");
    }
    assert!(counted(&master, "forwarded_to_server") > 0);
}

/// Two hosts, each a director for both by direct routing, and each with the virtual address
/// on its loopback device as a real server has it.
#[test]
fn directors_that_are_real_servers_do_not_send_in_circles() {
    let site = Site::new("circles", 2);
    let own = [111, 112].map(|host| Ipv4Addr::new(172, 17, 42, host));
    let mut configuration = Configuration::new(&[])
        .vrrp()
        .replace(&DIP.to_string(), "172.18.42.99");
    configuration += &format!(
        "virtual_server {VIP} 3306 {{\n    lb_algo rr\n    lb_kind DR\n    protocol TCP\n"
    );
    for address in own {
        configuration += &format!("    real_server {address} 3306 {{\n        weight 1\n    }}\n");
    }
    configuration += "}\n";
    let _services: Vec<Service> = site
        .directors
        .iter()
        .map(|host| {
            host.add_address("lo", &format!("{VIP}/32"))
                .expect("an address");
            for (name, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
                let name = format!("net/ipv4/conf/all/{name}");
                host.set_sysctl(&name, value).expect("silence");
            }
            let address = SocketAddrV4::new(VIP, 3306);
            Service::start(host, host.name(), address).expect("a service")
        })
        .collect();
    let start = |index: usize, priority: &str| {
        let text = configuration.replace("priority 150", priority);
        let path = site.write(index, &text);
        Director::start(&site.lab, &site.directors[index], &elver(), &path).expect("a director")
    };
    let master = start(0, "priority 150");
    wait::until("the first to be master", LIMIT, || {
        master.check_running()?;
        let held = master.host().has_address("eth0", &format!("{VIP}/32"))?;
        Ok(if held {
            Look::Met(())
        } else {
            Look::NotYet(master.program().log())
        })
    })
    .expect("a master");
    let backup = start(1, "priority 100");
    wait::until("the second to have the service", LIMIT, || {
        backup.check_running()?;
        let listing = backup.command(&["ipvsadm", "-Ln"])?;
        Ok(if listing.stdout.contains(&SERVICE.to_string()) {
            Look::Met(())
        } else {
            Look::NotYet(listing.stderr)
        })
    })
    .expect("a backup");

    let answers: BTreeSet<String> = (0..8)
        .map(|_| {
            let mut conversation =
                Conversation::open(&site.client, SERVICE, LIMIT).expect("a connection");
            conversation.upload(1 << 16).expect("data passes intact");
            conversation.greeting().name.clone()
        })
        .collect();
    assert_eq!(answers.len(), 2, "both answer: {answers:?}");
    assert_eq!(counted(&backup, "forwarded_to_server"), 0);
    for director in [&master, &backup] {
        assert_eq!(counted(director, "drop_time_to_live"), 0);
    }
}
