//! What is allowed and yet most likely a mistake.

use elver_core::config::Severity;

use super::*;

fn server(head: &str, lines: &str) -> String {
    format!("virtual_server {head} {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n{lines}\n}}\n")
}

fn says(text: &str, words: &str) {
    let summary = summary(&loaded(text));
    assert!(summary.contains(words), "{summary}");
}

#[test]
fn a_real_server_is_not_its_virtual_server() {
    says(
        &server("192.0.2.1 80", "real_server 192.0.2.1 80 {\n}"),
        "this real server is the virtual server itself",
    );
    says(
        &server(
            "192.0.2.1 80",
            "sorry_server 192.0.2.1 80\nreal_server 10.0.0.1 80 {\n}",
        ),
        "its sorry server is the virtual server itself",
    );
}

#[test]
fn a_check_asks_where_its_real_server_can_answer() {
    says(
        &server("fwmark 3", "real_server 10.0.0.1 {\nTCP_CHECK {\n}\n}"),
        "TCP_CHECK has no port to connect to",
    );
    says(
        &server(
            "192.0.2.1 80",
            "real_server 10.0.0.1 80 {\nTCP_CHECK {\nconnect_ip 192.0.2.1\n}\n}",
        ),
        "TCP_CHECK asks the virtual server itself",
    );
    says(
        &server(
            "192.0.2.1 80",
            "real_server 10.0.0.1 80 {\nTCP_CHECK {\nconnect_port 22\n}\n}",
        ),
        "port 80 of this real server is never checked",
    );
    says(
        &server(
            "192.0.2.1 80",
            "real_server 10.0.0.1 80 {\nTCP_CHECK {\nbindto 2001:db8::1\n}\n}",
        ),
        "which is of the other family",
    );
}

#[test]
fn an_address_has_one_instance() {
    let instance = |name: &str, id: u8| {
        format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {id}\npriority 100\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        )
    };
    says(
        &(instance("A", 1) + &instance("B", 2)),
        "(B) 192.0.2.1 is a virtual address of A as well",
    );
}

#[test]
fn settings_that_defeat_each_other_are_found() {
    let findings = [
        (
            "real_server 10.0.0.1 80 {\nweight 0\n}",
            "every real server has weight 0",
        ),
        (
            "lb_kind DR\nreal_server 10.0.0.1 8080 {\n}",
            "only NAT translates ports",
        ),
        (
            "protocol UDP\nops\npersistence_timeout 5\nreal_server 10.0.0.1 80 {\n}",
            "with `ops` no client keeps its real server",
        ),
    ];
    for (lines, words) in findings {
        says(&server("192.0.2.1 80", lines), words);
    }
}

fn instance(name: &str, id: u8, lines: &str) -> String {
    format!(
        "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {id}\npriority 100\n{lines}\n\
         virtual_ipaddress {{\n192.0.2.{id}\n}}\n}}\n"
    )
}

fn severities(text: &str) -> Vec<Severity> {
    loaded(text)
        .diagnostics
        .iter()
        .map(|d| d.severity)
        .collect()
}

#[test]
fn a_virtual_router_id_stands_once_on_an_interface() {
    let twice = instance("A", 7, "") + &instance("B", 7, "").replace("192.0.2.7", "192.0.2.8");
    says(&twice, "(B) virtual_router_id 7 is taken on eth0 by A");
    assert_eq!(loaded(&twice).configuration, None);
    let elsewhere = instance("A", 7, "") + &instance("B", 8, "").replace("eth0", "eth1");
    let elsewhere = elsewhere.replace("virtual_router_id 8", "virtual_router_id 7");
    assert_eq!(severities(&elsewhere), [], "it is another link");
}

#[test]
fn a_password_has_eight_characters_at_the_most() {
    let with = |password: &str| {
        let block = format!("authentication {{\nauth_type PASS\nauth_pass {password}\n}}");
        instance("A", 1, &block)
    };
    says(
        &with("123456789"),
        "the password has 9 characters, and VRRP takes 8",
    );
    assert_eq!(
        severities(&with("12345678")),
        [Severity::Note],
        "it is only said that it goes in the clear"
    );
}

#[test]
fn a_password_in_the_clear_is_named_and_a_hashed_one_is_not() {
    let with = |kind: &str| {
        let block = format!("authentication {{\nauth_type {kind}\nauth_pass 1234\n}}");
        instance("A", 1, &block)
    };
    says(
        &with("PASS"),
        "(A) the password is sent in the clear in every advertisement",
    );
    assert_eq!(severities(&with("AH")), []);
}

#[test]
fn a_check_needs_a_port_that_can_be_connected_to() {
    says(
        &server(
            "192.0.2.1 80",
            "real_server 10.0.0.1 80 {\nTCP_CHECK {\nconnect_port 0\n}\n}",
        ),
        "connect_port",
    );
    says(
        &server(
            "192.0.2.1 80",
            "real_server 10.0.0.1 80 {\nTCP_CHECK {\nconnect_port 70000\n}\n}",
        ),
        "connect_port",
    );
}

#[test]
fn direct_routing_and_tunnels_do_not_translate_ports_and_nat_does() {
    for (kind, complains) in [("DR", true), ("TUN", true), ("NAT", false)] {
        let text = server(
            "192.0.2.1 80",
            &format!("lb_kind {kind}\nreal_server 10.0.0.1 8080 {{\n}}"),
        );
        let said = summary(&loaded(&text)).contains("only NAT translates ports");
        assert_eq!(said, complains, "{kind}");
    }
}

#[test]
fn a_single_real_server_of_weight_0_is_no_reason_to_complain() {
    let text = server(
        "192.0.2.1 80",
        "real_server 10.0.0.1 80 {\nweight 0\n}\nreal_server 10.0.0.2 80 {\nweight 1\n}",
    );
    assert_eq!(severities(&text), []);
}
