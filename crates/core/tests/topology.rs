//! Networks that are planned from configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use elver_core::config::model::{Configuration, Prefix};
use elver_core::config::{Source, load};
use elver_core::service::{ForwardingMethod, Protocol};
use elver_core::topology::{Listener, ROUTER, Topology, plan};
use proptest::prelude::*;

/// A file in memory, or one on the disk with what it includes.
struct Files<'a>(Option<&'a str>);

impl Source for Files<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match self.0 {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => std::fs::read(path).map_err(|error| error.to_string()),
        }
    }

    fn list(&self, _directory: &str) -> Vec<String> {
        Vec::new()
    }
}

fn read(text: &str) -> Configuration {
    let loaded = load(&Files(Some(text)), "keepalived.conf");
    let configuration = loaded.configuration;
    configuration.unwrap_or_else(|| panic!("{:?}\n{text}", loaded.diagnostics))
}

/// Every address of a host once, no address on two hosts, and no network on two segments.
fn holds_together(configuration: &Configuration, topology: &Topology) {
    let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
    let mut networks: Vec<(Prefix, usize)> = Vec::new();
    let servers = topology.servers.iter();
    let servers = servers.filter_map(|server| Some((server.name.as_str(), server.node.as_ref()?)));
    let nodes = [
        ("director", &topology.director),
        ("router", &topology.router),
        ("client", &topology.client),
    ];
    for (name, node) in nodes.into_iter().chain(servers) {
        let segments: Vec<usize> = node.interfaces.iter().map(|one| one.segment).collect();
        assert!(
            segments
                .iter()
                .all(|segment| *segment < topology.segments.len())
        );
        for interface in &node.interfaces {
            assert!(interface.name.len() < 16, "{}", interface.name);
            for prefix in &interface.addresses {
                if prefix.address == IpAddr::from(ROUTER) {
                    continue;
                }
                let before = owners.insert(prefix.address, name.to_owned());
                assert_eq!(before, None, "{} is on {name} too", prefix.address);
                networks.push((*prefix, interface.segment));
            }
        }
        for route in &node.routes {
            assert!(route.interface < node.interfaces.len());
            if let Some(via) = route.via.filter(|via| *via != IpAddr::from(ROUTER)) {
                let segment = node.interfaces[route.interface].segment;
                let held = configuration.instances.iter();
                let mut held = held.flat_map(|instance| &instance.virtual_addresses);
                let is_there = [&topology.router, &topology.director].iter().any(|node| {
                    node.interfaces.iter().any(|interface| {
                        interface.segment == segment
                            && interface.addresses.iter().any(|own| own.address == via)
                    })
                });
                assert!(
                    is_there || held.any(|own| own.address == via),
                    "{name}: {route:?}"
                );
            }
        }
    }
    let masked = |prefix: &Prefix, length: u8| match prefix.address {
        IpAddr::V4(address) => u128::from(address.to_bits()) >> (32 - u32::from(length)),
        IpAddr::V6(address) => address.to_bits() >> (128 - u32::from(length)),
    };
    for (one, here) in &networks {
        for (other, there) in &networks {
            // An address alone has no network; virtual addresses may be in another's.
            let alone = |prefix: &Prefix| {
                prefix.length >= 32 && prefix.address.is_ipv4() || prefix.length == 128
            };
            let length = one.length.min(other.length);
            if here != there
                && one.address.is_ipv4() == other.address.is_ipv4()
                && !alone(one)
                && !alone(other)
            {
                assert_ne!(
                    masked(one, length),
                    masked(other, length),
                    "{one} and {other}"
                );
            }
        }
    }
    // Whoever is asked is there: on a host of its own, on the director, or said to be nowhere.
    for server in &configuration.virtual_servers {
        for real_server in &server.real_servers {
            let address = real_server.address.ip();
            let found = topology
                .servers
                .iter()
                .filter(|one| one.address == address)
                .count();
            let is_said = topology
                .remarks
                .iter()
                .any(|remark| remark.contains(&address.to_string()));
            assert!(found == 1 || is_said, "{address}: {found} servers");
        }
    }
    for call in &topology.calls {
        let vip = call.to.ip();
        let instances = configuration.instances.iter();
        let mut by_vrrp = instances
            .flat_map(|instance| {
                instance
                    .virtual_addresses
                    .iter()
                    .chain(&instance.excluded_addresses)
            })
            .chain(&configuration.statics.addresses);
        let is_held = by_vrrp.any(|address| address.address == vip)
            || topology
                .director
                .addresses()
                .any(|address| address.address == vip);
        assert!(is_held, "{vip} is nowhere");
        for destination in &call.destinations {
            let server = &topology.servers[destination.server];
            assert_eq!(server.address, destination.address.ip());
            let place = (call.protocol, destination.address.port());
            assert!(
                server.listeners.contains_key(&place),
                "{} {place:?}",
                server.name
            );
            if destination.method != ForwardingMethod::Nat && server.node.is_some() {
                let role = server.role.as_ref().expect("a role");
                assert!(role.vips.contains(&vip) && !role.directors.is_empty());
            }
        }
    }
    let services: usize = configuration
        .virtual_servers
        .iter()
        .map(|server| server.services().take(64).count())
        .sum();
    assert_eq!(topology.calls.len() + topology.unasked.len(), services);
    let names: BTreeSet<_> = topology.servers.iter().map(|server| &server.name).collect();
    assert_eq!(names.len(), topology.servers.len());
    // It is the same again, and what has been planned is what would be planned of it.
    assert_eq!(plan(configuration), *topology);
    let again = plan(&topology.configuration);
    assert!(!again.is_changed);
    assert_eq!(again.calls, topology.calls);
}

#[test]
fn every_file_of_the_corpus_has_a_network() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut planned = 0;
    for folder in ["corpus", "nat", "tun", "docker"] {
        for entry in std::fs::read_dir(fixtures.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "conf") {
                continue;
            }
            let path = path.to_str().expect("a name");
            let Some(configuration) = load(&Files(None), path).configuration else {
                continue;
            };
            planned += 1;
            let outcome = std::panic::catch_unwind(|| {
                holds_together(&configuration, &plan(&configuration));
            });
            assert!(outcome.is_ok(), "{path}");
        }
    }
    assert!(planned > 60, "{planned}");
}

#[test]
fn the_examples_run_as_they_are() {
    for folder in ["nat", "tun", "docker"] {
        let path = format!(
            "{}/tests/fixtures/{folder}/keepalived.conf",
            env!("CARGO_MANIFEST_DIR")
        );
        let configuration = load(&Files(None), &path)
            .configuration
            .expect("it can be used");
        let topology = plan(&configuration);
        assert!(!topology.is_changed, "{folder}: {:?}", topology.remarks);
        assert_eq!(topology.remarks, Vec::<String>::new(), "{folder}");
        assert_eq!(topology.calls.len(), 1);
    }
}

#[test]
fn real_servers_of_nat_answer_by_the_virtual_address_that_is_their_gateway() {
    let path = format!(
        "{}/tests/fixtures/nat/keepalived.conf",
        env!("CARGO_MANIFEST_DIR")
    );
    let topology = plan(
        &load(&Files(None), &path)
            .configuration
            .expect("it can be used"),
    );
    let [server] = &topology.servers[..] else {
        panic!("{:?}", topology.servers);
    };
    let node = server.node.as_ref().expect("a host");
    assert_eq!(topology.segments[node.interfaces[0].segment], "eth1");
    let gateways: Vec<_> = node.routes.iter().filter_map(|route| route.via).collect();
    assert!(
        gateways.contains(&"172.18.42.200".parse().unwrap()),
        "{gateways:?}"
    );
    let ports: Vec<_> = server.listeners.keys().copied().collect();
    assert_eq!(ports, [(Protocol::Tcp, 22), (Protocol::Tcp, 3306)]);
}

#[test]
fn what_acts_on_the_machine_is_left_out_and_said() {
    let configuration = read(
        "global_defs {\n script_user root\n notify_fifo /tmp/fifo\n}\n\
         vrrp_script S {\n script /bin/false\n}\n\
         vrrp_instance V {\n interface eth0\n virtual_router_id 1\n notify /bin/true\n\
         track_script {\n S\n}\n virtual_ipaddress {\n 192.0.2.10\n}\n}\n\
         virtual_server 192.0.2.10 80 {\n lb_kind NAT\n protocol TCP\n quorum_up /bin/true\n\
         real_server 10.0.0.1 80 {\n notify_up /bin/true\n MISC_CHECK {\n misc_path /bin/false\n}\n}\n\
         real_server 10.0.0.2 80 {\n HTTP_GET {\n url {\n path /d\n\
         digest 640205b7b0fc66c1ea91c463fac6334d\n}\n url {\n path /s\n status_code 404\n}\n}\n}\n}\n",
    );
    let topology = plan(&configuration);
    assert!(topology.is_changed);
    let text =
        elver_core::config::dump(&topology.configuration, elver_core::config::Secrets::Shown);
    for word in ["/bin/", "fifo", "digest"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let remarks = topology.remarks.join("\n");
    for words in [
        "scripts and pipes that are told of changes (4) are not run",
        "V: track_script S counts as good",
        "10.0.0.1:80 of TCP 192.0.2.10:80: MISC_CHECK is not made",
        "the digest of /d is not compared",
    ] {
        assert!(remarks.contains(words), "{words}: {remarks}");
    }
    let Some(Listener::Web { pages }) = topology.servers[1].listeners.get(&(Protocol::Tcp, 80))
    else {
        panic!("{:?}", topology.servers);
    };
    assert_eq!(pages["/s"].status, 404);
}

#[test]
fn marks_are_given_to_packets_of_an_address_that_no_service_has() {
    let topology = plan(&read(
        "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n\
         virtual_ipaddress {\n 192.0.2.10/24\n 192.0.2.11\n}\n}\n\
         virtual_server 192.0.2.10 80 {\n lb_kind DR\n protocol TCP\n real_server 192.0.2.21 80 {\n}\n}\n\
         virtual_server fwmark 7 {\n lb_kind DR\n real_server 192.0.2.21 {\n TCP_CHECK {\n connect_port 80\n}\n}\n}\n\
         virtual_server fwmark 8 {\n ip_family inet6\n lb_kind NAT\n real_server 2001:db8::9 80 {\n}\n}\n",
    ));
    let marks: Vec<_> = topology
        .marks
        .iter()
        .map(|mark| (mark.mark, mark.to.to_string()))
        .collect();
    assert_eq!(
        marks,
        [
            (7, "192.0.2.11:80".to_owned()),
            (8, "[2001:db8:fada::1]:80".to_owned())
        ]
    );
}

#[test]
fn a_director_has_an_address_of_the_family_of_far_real_servers() {
    let topology = plan(&read(
        "virtual_server 192.0.2.10 80 {\n lb_kind TUN\n protocol TCP\n\
         real_server 2001:db8:2::1 80 {\n}\n}\n",
    ));
    let role = topology.servers[0].role.as_ref().expect("a role");
    assert!(role.directors.iter().any(IpAddr::is_ipv6), "{role:?}");
    assert_eq!(topology.segments, ["eth0", "remote", "outside"]);
}

/// Addresses from few networks, so that they meet.
fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..3_u8, 1..40_u8).prop_map(|(net, host)| format!("10.0.{net}.{host}")),
        (0..2_u8, 1..40_u8).prop_map(|(net, host)| format!("192.168.{net}.{host}")),
        (0..2_u8, 1..40_u8).prop_map(|(net, host)| format!("2001:db8:{net}::{host:x}")),
        Just("127.0.0.1".to_owned()),
        Just("fe80::7".to_owned()),
    ]
}

prop_compose! {
    fn instance()(
        interface in 0..3_u8,
        addresses in proptest::collection::vec((address(), 8..=32_u8, any::<bool>()), 0..4),
    ) -> (u8, Vec<(String, u8, bool)>) {
        (interface, addresses)
    }
}

prop_compose! {
    fn virtual_server()(
        address in address(),
        port in 0..3_u16,
        method in prop_oneof![Just("NAT"), Just("DR"), Just("TUN")],
        protocol in prop_oneof![Just("TCP"), Just("UDP")],
        real_servers in proptest::collection::vec((address(), any::<bool>()), 0..4),
        sorry in proptest::option::of(address()),
    ) -> String {
        let mut text = format!(
            "virtual_server {address} {port} {{\n lb_kind {method}\n protocol {protocol}\n"
        );
        for (address, is_checked) in real_servers {
            let check = if is_checked { "TCP_CHECK {\n}\n" } else { "" };
            text += &format!(" real_server {address} {} {{\n{check}}}\n", port.max(1));
        }
        if let Some(sorry) = sorry {
            text += &format!(" sorry_server {sorry} 80\n");
        }
        text + "}\n"
    }
}

proptest! {
    #[test]
    fn every_network_holds_together(
        instances in proptest::collection::vec(instance(), 0..3),
        servers in proptest::collection::vec(virtual_server(), 0..5),
    ) {
        let mut text = String::new();
        for (number, (interface, addresses)) in (1..).zip(instances) {
            text += &format!(
                "vrrp_instance V{number} {{\n interface eth{interface}\n \
                 virtual_router_id {number}\n virtual_ipaddress {{\n"
            );
            for (address, length, has_length) in addresses {
                let length = if has_length { format!("/{length}") } else { String::new() };
                text += &format!("  {address}{length}\n");
            }
            text += "}\n}\n";
        }
        text.extend(servers);
        // What cannot be used has no network.
        if let Some(configuration) = load(&Files(Some(&text)), "keepalived.conf").configuration {
            holds_together(&configuration, &plan(&configuration));
        }
    }
}
