//! What is allowed and yet most likely a mistake.

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
