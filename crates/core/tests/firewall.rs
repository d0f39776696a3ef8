//! Rules of netfilter, as nft and iptables have printed them, beside virtual services.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use elver_core::firewall::{Finding, Network, Table, Written, iptables, nft, review};
use elver_core::service::{Family, Protocol, ServiceKey};

const JSON: &str = include_str!("fixtures/firewall/nft.json");
const TEXT: &str = include_str!("fixtures/firewall/nft.txt");
const SAVED: &str = include_str!("fixtures/firewall/iptables.txt");

fn service(protocol: Protocol, address: &str) -> ServiceKey {
    let address: SocketAddr = address.parse().expect("an address");
    ServiceKey::Address { protocol, address }
}

fn tcp(address: &str) -> ServiceKey {
    service(Protocol::Tcp, address)
}

fn mark(mark: u32) -> ServiceKey {
    ServiceKey::Mark {
        mark,
        family: Family::Inet,
    }
}

fn by_nft() -> Vec<Table> {
    nft::tables(JSON, TEXT).expect("nft's own words")
}

fn by_iptables(text: &str) -> Vec<Table> {
    iptables::tables("iptables", true, text)
}

/// Of each finding the rule, and what is to be written instead.
fn found(tables: &[Table], services: &[ServiceKey]) -> Vec<(String, String)> {
    let findings = review(tables, services, &Written::default());
    let texts = |finding: Finding| (finding.rule, finding.instead.unwrap_or_default());
    findings.into_iter().map(texts).collect()
}

#[track_caller]
fn expect(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(rule, instead)| (&**rule, &**instead))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_chain_of_nft_that_drops_is_written_as_who_may_come() {
    expect(
        &found(&by_nft(), &[tcp("192.0.2.10:80")]),
        &[
            (
                "ip saddr @bad drop",
                "[access.services.\"tcp 192.0.2.10:80\"]\n\
                 deny = [\"10.5.0.1/32\", \"10.5.0.2/31\", \"10.5.0.4/30\", \"10.5.0.8/31\", \
                 \"198.51.100.0/24\", \"203.0.113.7/32\"]\n",
            ),
            // By the state of a connection: there is no word for it.
            ("ct state vmap { invalid : drop, established : accept }", ""),
            (
                "policy drop",
                "[access.services.\"tcp 192.0.2.10:80\"]\nallow = [\"10.0.0.0/8\"]\n",
            ),
        ],
    );
}

#[test]
fn a_chain_that_rules_lead_to_counts_as_well() {
    let rules = found(&by_nft(), &[service(Protocol::Udp, "192.0.2.10:53")]);
    expect(
        &rules[1..2],
        &[(
            "ip saddr 10.1.0.0-10.1.0.9 counter packets 0 bytes 0 drop",
            "[access.services.\"udp 192.0.2.10:53\"]\ndeny = [\"10.1.0.0/29\", \"10.1.0.8/31\"]\n",
        )],
    );
}

#[test]
fn rules_of_the_other_family_are_not_met() {
    expect(
        &found(&by_nft(), &[tcp("[2001:db8::10]:443")]),
        &[
            (
                "ip6 saddr != 2001:db8::/32 reject with icmpv6 port-unreachable",
                "[access.services.\"tcp [2001:db8::10]:443\"]\nallow = [\"2001:db8::/32\"]\n",
            ),
            ("ct state vmap { invalid : drop, established : accept }", ""),
            ("policy drop", ""),
        ],
    );
}

#[test]
fn what_is_accepted_for_everybody_meets_no_later_rule() {
    expect(
        &found(&by_nft(), &[tcp("192.0.2.10:22")]),
        &[(
            "ip saddr @bad drop",
            "[access.services.\"tcp 192.0.2.10:22\"]\n\
             deny = [\"10.5.0.1/32\", \"10.5.0.2/31\", \"10.5.0.4/30\", \"10.5.0.8/31\", \
             \"198.51.100.0/24\", \"203.0.113.7/32\"]\n",
        )],
    );
}

#[test]
fn marks_of_nft_become_rules_for_each_value() {
    expect(
        &found(&by_nft(), &[mark(7), mark(9)]),
        &[
            (
                "ip daddr 192.0.2.10 tcp dport { 80, 443 } meta mark set 0x00000007",
                "[[mark]]\nmark = 7\nprotocol = \"tcp\"\ndestination = \"192.0.2.10/32\"\n\
                 ports = \"80\"\n[[mark]]\nmark = 7\nprotocol = \"tcp\"\n\
                 destination = \"192.0.2.10/32\"\nports = \"443\"\n",
            ),
            (
                "udp dport 53 meta mark set meta mark & 0xffffff09 | 0x00000009",
                "[[mark]]\nmark = 9\nprotocol = \"udp\"\nports = \"53\"\n",
            ),
        ],
    );
    expect(&found(&by_nft(), &[mark(8)]), &[]);
}

#[test]
fn rules_of_iptables_are_read_with_their_options() {
    expect(
        &found(&by_iptables(SAVED), &[tcp("192.0.2.10:80")]),
        &[(
            "-A INPUT -s 10.2.0.0/16 -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -m comment \
             --comment \"a \\\"b\\\" c\" -j DROP",
            "[access.services.\"tcp 192.0.2.10:80\"]\ndeny = [\"10.2.0.0/16\"]\n",
        )],
    );
    expect(
        &found(
            &by_iptables(SAVED),
            &[service(Protocol::Udp, "192.0.2.10:1500")],
        ),
        &[(
            "-A INPUT ! -s 10.0.0.0/8 -p udp -m multiport --dports 53,1000:2000 -j REJECT \
             --reject-with icmp-port-unreachable",
            "[access.services.\"udp 192.0.2.10:1500\"]\nallow = [\"10.0.0.0/8\"]\n",
        )],
    );
    expect(
        &found(&by_iptables(SAVED), &[mark(5)]),
        &[(
            "-A PREROUTING -p tcp -m tcp --dport 3306 -j MARK --set-xmark 0x5/0xffffffff",
            "[[mark]]\nmark = 5\nprotocol = \"tcp\"\nports = \"3306\"\n",
        )],
    );
    // A packet that is led elsewhere.
    expect(
        &found(&by_iptables(SAVED), &[tcp("192.0.2.10:8080")]),
        &[(
            "-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80",
            "",
        )],
    );
    // Only one of them is in the mangle table: neither is met by the other's packets.
    expect(
        &found(&by_iptables(SAVED), &[tcp("192.0.2.10:81"), mark(6)]),
        &[],
    );
    expect(
        &found(&by_iptables(SAVED), &[tcp("[2001:db8::10]:80")]),
        &[],
    );
}

#[test]
fn a_rule_for_several_services_is_named_once() {
    let text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n-A INPUT -s 10.2.0.0/16 -j bad\n\
                -A bad -j DROP\nCOMMIT\n";
    let services = [tcp("192.0.2.10:80"), tcp("192.0.2.11:80")];
    let findings = review(&by_iptables(text), &services, &Written::default());
    let [finding] = &findings[..] else {
        panic!("{findings:#?}")
    };
    assert_eq!(finding.services, services);
    assert_eq!(
        finding.to_string(),
        "iptables: table filter, chain bad: `-A bad -j DROP` would keep packets from \
         tcp 192.0.2.10:80, tcp 192.0.2.11:80, but elver takes them before netfilter. Write to \
         elver.toml instead:\n\
         [access.services.\"tcp 192.0.2.10:80\"]\ndeny = [\"10.2.0.0/16\"]\n\
         [access.services.\"tcp 192.0.2.11:80\"]\ndeny = [\"10.2.0.0/16\"]"
    );
}

#[test]
fn what_is_written_already_is_not_asked_for_again() {
    let services = [tcp("192.0.2.10:80"), mark(5)];
    let network: Network = ("10.2.0.0".parse().expect("an address"), 16);
    let written = Written {
        marks: BTreeSet::from([5]),
        access: BTreeSet::from([(None, network, false)]),
    };
    assert_eq!(review(&by_iptables(SAVED), &services, &written), []);
    let allowed = Written {
        access: BTreeSet::from([(Some(services[0]), network, true)]),
        ..Written::default()
    };
    assert_eq!(review(&by_iptables(SAVED), &services, &allowed).len(), 2);
}

#[test]
fn chains_that_lead_to_each_other_end() {
    let text = "*filter\n:INPUT ACCEPT\n-A INPUT -j a\n-A a -j b\n-A b -g a\n-A INPUT -j DROP\n";
    expect(
        &found(&by_iptables(text), &[tcp("192.0.2.10:80")]),
        &[("-A INPUT -j DROP", "")],
    );
}

#[test]
fn what_is_no_list_of_rules_is_refused_or_passed_over() {
    for wrong in ["", "{}", "[1, 2]", "{\"nftables\": 7}"] {
        nft::tables(wrong, "").expect_err(wrong);
    }
    let odd = r#"{"nftables": [{"rule": {}}, {"chain": 3}, 7, {"rule": {"expr": [1, {}, {"match": 2}]}}]}"#;
    assert_eq!(
        review(
            &nft::tables(odd, "").expect("JSON"),
            &[tcp("192.0.2.10:80")],
            &Written::default()
        ),
        []
    );
    for odd in [
        "-A",
        "*",
        "*filter\n-A INPUT !",
        "*filter\n-A INPUT -s",
        ":INPUT DROP",
        "*\n:\n-A  ",
    ] {
        review(
            &by_iptables(odd),
            &[tcp("192.0.2.10:80")],
            &Written::default(),
        );
    }
}
