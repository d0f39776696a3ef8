//! `check_path`: the way that the packets of a check take.

use elver_core::config::model::{CheckPath, Configuration};

use super::*;

fn file(service: &str, method: &str, outer: &str, check: &str) -> String {
    format!(
        "virtual_server {service} {{
            lb_algo rr
            lb_kind {method}
            protocol TCP
            {outer}
            real_server 192.0.2.7 80 {{
                {check}
            }}
        }}\n"
    )
}

fn path(configuration: &Configuration) -> CheckPath {
    let real = &configuration.virtual_servers[0].real_servers[0];
    real.checks[0].connection.path
}

#[test]
fn a_check_takes_the_way_that_is_nearest_to_it() {
    let vip = CheckPath::Forwarding {
        virtual_address: "198.51.100.1".parse().unwrap(),
    };
    let (forwarding, direct) = ("check_path forwarding\n", "check_path direct\n");
    for (method, outer, inner, expected) in [
        ("DR", "", "", CheckPath::Direct),
        ("DR", "", forwarding, vip),
        ("TUN", "", forwarding, vip),
        // What NAT makes of clients' packets goes to the real server's own address.
        ("NAT", "", forwarding, CheckPath::Direct),
        ("DR", forwarding, "", vip),
        ("DR", forwarding, direct, CheckPath::Direct),
        ("DR", direct, forwarding, vip),
    ] {
        let check = format!("TCP_CHECK {{\n{inner}}}");
        let text = file("198.51.100.1 80", method, outer, &check);
        let configuration = loaded(&text).configuration.expect("a good file");
        assert_eq!(path(&configuration), expected, "{text}");
    }
    let ping = file(
        "198.51.100.1 80",
        "DR",
        forwarding,
        "PING_CHECK {\n}\nMISC_CHECK {\nmisc_path /bin/true\n}",
    );
    let configuration = loaded(&ping).configuration.expect("a good file");
    assert_eq!(path(&configuration), CheckPath::Direct);
}

#[test]
fn a_way_that_there_is_not_is_an_error() {
    let forwarding = |more: &str| format!("TCP_CHECK {{\ncheck_path forwarding\n{more}\n}}");
    for (service, method, check, words) in [
        (
            "fwmark 7",
            "DR",
            forwarding(""),
            "a firewall mark has no address to check by this way",
        ),
        (
            "2001:db8::1 80",
            "TUN",
            forwarding(""),
            "another address family",
        ),
        (
            "198.51.100.1 80",
            "DR",
            forwarding("connect_ip 192.0.2.9"),
            "this check is told another way too",
        ),
        (
            "198.51.100.1 80",
            "DR",
            forwarding("bind_if eth0"),
            "this check is told another way too",
        ),
        (
            "198.51.100.1 80",
            "DR",
            "TCP_CHECK {\ncheck_path around\n}".to_owned(),
            "check_path",
        ),
    ] {
        let text = file(service, method, "", &check);
        let loaded = loaded(&text);
        assert!(loaded.configuration.is_none(), "{text}");
        let said = format!("{:?}", loaded.diagnostics);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn no_check_goes_the_way_of_packets_that_are_forwarded_elsewhere() {
    let check = "TCP_CHECK {\ncheck_path forwarding\n}";
    let text = file("198.51.100.1 80", "DR", "", check);
    let loaded = loaded(&format!("net_namespace_ipvs front\n{text}"));
    assert!(loaded.configuration.is_none());
    let said = summary(&loaded);
    let words = "with net_namespace_ipvs no check goes the way of forwarded packets";
    assert!(said.contains(words), "{said}");
}

#[test]
fn failures_are_logged_where_the_file_says_so_for_all_or_for_one() {
    let text = "global_defs {\nchecker_log_all_failures\n}\n".to_owned()
        + &file(
            "198.51.100.1 80",
            "DR",
            "",
            "TCP_CHECK {\n}\nTCP_CHECK {\nlog_all_failures off\nfwmark 7\n}",
        );
    let configuration = loaded(&text).configuration.expect("a good file");
    let checks = &configuration.virtual_servers[0].real_servers[0].checks;
    let logged: Vec<bool> = checks.iter().map(|c| c.timing.log_all_failures).collect();
    assert_eq!(logged, [true, false]);
    assert_eq!(checks[1].connection.mark, 7);
}
