//! The devices that instances have for themselves, and the tables that routes are in.

use elver_core::config::model::{
    Encapsulation, Ipvlan, IpvlanNeighbourhood, RoutingTable, VrrpInstance,
};

use elver_core::vrrp::interface_of;

use super::*;

fn file(name: &str, id: u8, lines: &str, address: &str) -> String {
    format!(
        "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {id}\n{lines}\n\
         virtual_ipaddress {{\n{address}\n}}\n}}\n"
    )
}

fn instance(lines: &str, address: &str) -> VrrpInstance {
    let loaded = loaded(&file("one", 51, lines, address));
    let summary = summary(&loaded);
    loaded.configuration.expect(&summary).instances.remove(0)
}

#[test]
fn what_an_ipvlan_is_called_and_like_may_be_said_in_any_order() {
    use IpvlanNeighbourhood::{Bridge, Private, Vepa};
    let (own, prefixed) = ("192.0.2.9", "192.0.2.9/24");
    for (lines, address, name, prefix_length, neighbourhood) in [
        ("use_ipvlan blue 192.0.2.9", own, "blue", 32, Bridge),
        (
            "use_ipvlan vepa 192.0.2.9/24",
            prefixed,
            "vrrp.51",
            24,
            Vepa,
        ),
        (
            "use_ipvlan 192.0.2.9/24 private x",
            prefixed,
            "x",
            24,
            Private,
        ),
    ] {
        let instance = instance(lines, "192.0.2.1");
        let own = address.split('/').next().unwrap().parse().unwrap();
        let expected = Ipvlan {
            interface: name.to_owned(),
            address: Some((own, prefix_length)),
            neighbourhood,
        };
        assert_eq!(instance.ipvlan, Some(expected), "{lines}");
        assert_eq!(
            instance.source,
            Some(own),
            "its advertisements come from there"
        );
    }
    let instance = instance("use_ipvlan", "fe80::1");
    let ipvlan = instance.ipvlan.unwrap();
    assert_eq!((&*ipvlan.interface, ipvlan.address), ("vrrp.51", None));
    assert_eq!(instance.source, None, "its own link-local address");
}

#[test]
fn a_source_that_the_file_names_stays_beside_an_ipvlan() {
    let lines = "mcast_src_ip 192.0.2.7\nuse_ipvlan blue 192.0.2.9";
    let instance = instance(lines, "192.0.2.1");
    assert_eq!(instance.source, Some("192.0.2.7".parse().unwrap()));
}

#[test]
fn an_ipvlan_that_cannot_be_is_an_error() {
    for (lines, words) in [
        (
            "use_ipvlan blue",
            "(one) an ipvlan of IPv4 needs an address",
        ),
        (
            "use_ipvlan blue 2001:db8::9",
            "not of the family of the virtual addresses",
        ),
        (
            "use_ipvlan a b 192.0.2.9",
            "`b`: an ipvlan has one of these alone",
        ),
        (
            "use_ipvlan 192.0.2.8 192.0.2.9",
            "`192.0.2.9`: an ipvlan has one of these alone",
        ),
        (
            "use_ipvlan bridge vepa 192.0.2.9",
            "`vepa`: an ipvlan has one of these alone",
        ),
        (
            "use_ipvlan sixteencharacter 192.0.2.9",
            "longer than 15 characters",
        ),
        (
            "use_ipvlan 192.0.2.9\nuse_ipvlan 192.0.2.9",
            "has a device already",
        ),
        ("use_vmac\nuse_ipvlan 192.0.2.9", "has a device already"),
    ] {
        let loaded = loaded(&file("one", 51, lines, "192.0.2.1"));
        assert!(loaded.configuration.is_none(), "{lines}");
        let said = summary(&loaded);
        assert!(said.contains(words), "{lines}: {said}");
    }
}

#[test]
fn a_device_is_of_one_instance() {
    for (one, other) in [
        ("use_ipvlan blue 192.0.2.8", "use_ipvlan blue 192.0.2.9"),
        ("use_vmac blue", "use_ipvlan blue 192.0.2.9"),
    ] {
        let text = file("one", 51, one, "192.0.2.1") + &file("two", 52, other, "192.0.2.2");
        let loaded = loaded(&text);
        assert!(loaded.configuration.is_none(), "{text}");
        let said = summary(&loaded);
        assert!(
            said.contains("`blue` is the device of another instance"),
            "{said}"
        );
    }
}

#[test]
fn devices_that_the_file_does_not_name_have_different_names() {
    let instance = |name: &str, interface: &str, address: &str, device: &str| {
        file(name, 51, device, address).replace("eth0", interface)
    };
    let text = instance("one", "eth0", "192.0.2.1", "use_vmac")
        + &instance("two", "eth1", "192.0.2.2", "use_vmac")
        + &instance("three", "eth0", "fe80::1", "use_vmac")
        + &instance("four", "eth1", "fe80::2", "use_ipvlan")
        + &instance("five", "eth2", "192.0.2.5", "use_vmac vrrp2.51");
    let loaded = loaded(&text);
    let summary = summary(&loaded);
    let configuration = loaded.configuration.expect(&summary);
    let names: Vec<&str> = configuration.instances.iter().map(interface_of).collect();
    let ipvlan = configuration.instances[3].ipvlan.as_ref().unwrap();
    // As of keepalived 2.2.7.
    assert_eq!(
        names,
        ["vrrp.51", "vrrp1.51", "vrrp6.51", "vrrp3.51", "vrrp2.51"]
    );
    assert_eq!(ipvlan.interface, "vrrp3.51");
}

#[test]
fn a_route_is_in_the_table_of_its_vrf_and_has_a_locator() {
    let routes = "virtual_routes {\n2001:db8:8:0:1::/80 dev eth0 vrf red encap ila 2001:db8:0:2\n}";
    let instance = instance(routes, "192.0.2.1");
    let route = &instance.routes[0];
    assert_eq!(route.table, RoutingTable::OfVrf("red".to_owned()));
    let locator = Encapsulation::Ila(0x2001_0db8_0000_0002);
    assert_eq!(route.hops[0].encapsulation, Some(locator));
    for wrong in ["2001:db8:2", "2001:db8:0:0:2", "2001::2", "10000:0:0:2"] {
        let lines = format!("virtual_routes {{\n2001:db8:8::/80 dev eth0 encap ila {wrong}\n}}");
        let loaded = loaded(&file("one", 51, &lines, "192.0.2.1"));
        assert!(loaded.configuration.is_none(), "{wrong}");
        let said = summary(&loaded);
        assert!(said.contains("is no locator"), "{said}");
    }
}
