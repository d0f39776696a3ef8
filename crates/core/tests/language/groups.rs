//! `virtual_server_group`.

use elver_core::lb::{Part, Quorums, STEPS, desired};

use super::*;

const GROUP: &str = "\
virtual_server_group WEB {
    192.0.2.1 80
    192.0.2.10-11 8080
    192.0.2.64/31 443
    fwmark 7
}
virtual_server group WEB {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.0.0.1 81 {
        weight 1
    }
    real_server 10.0.0.2 {
        weight 1
    }
}
";

fn services(text: &str) -> Vec<String> {
    let configuration = configuration(text);
    desired(
        &configuration.virtual_servers,
        |_, real| Part::Serving {
            weight: real.settings.weight,
            steps: STEPS,
        },
        &Quorums::default(),
    )
    .iter()
    .map(|service| {
        let destinations = service.destinations.iter();
        let destinations: Vec<String> = destinations.map(|(to, _)| to.to_string()).collect();
        format!("{} -> {}", service.key, destinations.join(", "))
    })
    .collect()
}

#[test]
fn the_services_of_a_group_share_its_real_servers() {
    assert_eq!(
        services(GROUP),
        [
            "TCP 192.0.2.1:80 -> 10.0.0.1:81, 10.0.0.2:80",
            "TCP 192.0.2.10:8080 -> 10.0.0.1:81, 10.0.0.2:8080",
            "TCP 192.0.2.11:8080 -> 10.0.0.1:81, 10.0.0.2:8080",
            "TCP 192.0.2.64:443 -> 10.0.0.1:81, 10.0.0.2:443",
            "TCP 192.0.2.65:443 -> 10.0.0.1:81, 10.0.0.2:443",
            "FWM 7 -> 10.0.0.1:81, 10.0.0.2:0",
        ]
    );
    assert_eq!(
        services(&GROUP.replace("NAT", "DR").replace(" 81 {", " {"))[1],
        "TCP 192.0.2.10:8080 -> 10.0.0.1:8080, 10.0.0.2:8080"
    );
}

#[test]
fn a_service_of_the_other_family_has_only_real_servers_by_tunnel() {
    let mixed = GROUP.replace("    fwmark 7\n", "    2001:db8::1 80\n");
    assert_eq!(services(&mixed)[5], "TCP [2001:db8::1]:80 -> ");
    let tunnelled = mixed.replace("NAT", "TUN");
    assert_eq!(
        services(&tunnelled)[5],
        "TCP [2001:db8::1]:80 -> 10.0.0.1:80, 10.0.0.2:80"
    );
}

#[test]
fn a_group_and_a_virtual_server_do_not_share_an_address() {
    let both = format!(
        "{GROUP}virtual_server 192.0.2.11 8080 {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n\
         real_server 10.0.0.1 80 {{\n}}\n}}\n"
    );
    let loaded = loaded(&both);
    assert!(loaded.configuration.is_none());
    assert!(
        summary(&loaded).contains("there is a virtual server for TCP 192.0.2.11:8080 already"),
        "{}",
        summary(&loaded)
    );
}

#[test]
fn a_mistyped_range_does_not_exhaust_the_memory() {
    let huge = GROUP.replace("192.0.2.64/31", "2001:db8::/32");
    let loaded = loaded(&huge);
    assert!(loaded.configuration.is_none());
    assert!(
        summary(&loaded).contains("more than 65536"),
        "{}",
        summary(&loaded)
    );
    let whole = loaded_bytes(GROUP.replace("192.0.2.64/31", "::/1").as_bytes());
    assert!(whole.configuration.is_none());
}

#[test]
fn a_group_that_is_not_there_is_named() {
    let loaded = loaded(&GROUP.replace("server_group WEB", "server_group WEP"));
    let configuration = loaded.configuration.as_ref().unwrap();
    assert_eq!(configuration.virtual_servers, []);
    assert!(summary(&loaded).contains("there is no virtual_server_group WEB"));
}
