//! Rules of netfilter that do not hold for virtual services are named, as real nft and
//! iptables show them.

use elver_lab::Host;
use elver_lab::director::Director;
use elver_lab::wait::{self, Look};

use crate::site::{LIMIT, Site, elver};

fn run(host: &Host, line: &str) {
    let mut words = line.split_whitespace();
    let mut command = host
        .command(words.next().expect("a program"))
        .expect("a command");
    command.args(words);
    host.output(command, LIMIT)
        .expect("it ends")
        .success()
        .unwrap_or_else(|error| panic!("{error}"));
}

/// What `elver check` says, and its exit code.
fn check(site: &Site, settings: &str) -> (i32, String) {
    let host = &site.directors[0];
    // Of which there is nothing else to say.
    let configuration = site.write(
        0,
        "virtual_server 172.17.42.200 3306 {\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
         real_server 172.18.42.121 3306 {\n        TCP_CHECK {\n        }\n    }\n}\n",
    );
    let path = site.lab.directory().join("elver.toml");
    std::fs::write(&path, settings).expect("a file");
    let mut command = host.command(elver()).expect("a command");
    command
        .arg("check")
        .arg(configuration)
        .arg("--settings")
        .arg(path);
    let output = host.output(command, LIMIT).expect("it ends");
    (output.status.code().expect("an exit"), output.stderr)
}

const INSTEAD: &str = "[access.services.\"tcp 172.17.42.200:3306\"]\ndeny = [\"172.17.99.0/24\"]\n";

#[test]
fn rules_that_will_not_hold_are_named_with_what_to_write() {
    let site = Site::new("firewall", 1);
    let host = &site.directors[0];
    let (code, said) = check(&site, "");
    assert_eq!((code, &*said), (0, ""), "there is no rule");

    let by_iptables = "iptables -A INPUT -s 172.17.99.0/24 -p tcp --dport 3306 -j REJECT";
    for (add, named, remove) in [
        (
            "nft add table inet wall; add chain inet wall in { type filter hook input priority 0 ; }; \
             add rule inet wall in ip saddr 172.17.99.0/24 tcp dport 3306 drop",
            "nft: table inet wall, chain in: `ip saddr 172.17.99.0/24 tcp dport 3306 drop`",
            "nft delete table inet wall",
        ),
        (
            by_iptables,
            "iptables: table filter, chain INPUT: `-A INPUT -s 172.17.99.0/24 -p tcp -m tcp --dport 3306 -j REJECT",
            "iptables -F INPUT",
        ),
    ] {
        run(host, add);
        let (code, said) = check(&site, "");
        assert_eq!(code, 5, "{said}");
        assert_eq!(said.matches("would keep packets from").count(), 1, "{said}");
        for part in [named, INSTEAD.trim_end()] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        let (code, said) = check(&site, INSTEAD);
        assert_eq!((code, &*said), (0, ""), "it has been written");
        run(host, remove);
    }
    // Of another port, of others' packets, or behind what IPVS sees.
    run(host, "iptables -A INPUT -p tcp --dport 22 -j DROP");
    run(host, "iptables -A OUTPUT -p tcp --dport 3306 -j DROP");
    run(host, "ip6tables -P INPUT DROP");
    let (code, said) = check(&site, "");
    assert_eq!((code, &*said), (0, ""), "none of them matters");
}

#[test]
fn marks_that_come_too_late_are_named_at_the_start() {
    let site = Site::new("late-marks", 1);
    let host = &site.directors[0];
    run(
        host,
        "iptables -t mangle -A PREROUTING -p tcp --dport 3306 -j MARK --set-mark 7",
    );
    run(
        host,
        "iptables -t mangle -A PREROUTING -p tcp --dport 3307 -j MARK --set-mark 8",
    );
    let path = site.write(
        0,
        "virtual_server fwmark 7 {\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
         real_server 172.18.42.121 3306 {\n    }\n}\n",
    );
    let director = Director::start(&site.lab, host, &elver(), &path).expect("a director");
    let log = wait::until("the rule to be named", LIMIT, || {
        director.check_running()?;
        let log = director.program().log();
        Ok(if log.contains("too late") {
            Look::Met(log)
        } else {
            Look::NotYet(log)
        })
    })
    .expect("the rule is named");
    for part in [
        "iptables: table mangle, chain PREROUTING: `-A PREROUTING -p tcp -m tcp --dport 3306 \
         -j MARK --set-xmark 0x7/0xffffffff` gives its mark too late for fwmark 7",
        "[[mark]]\nmark = 7\nprotocol = \"tcp\"\nports = \"3306\"",
    ] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
    assert!(
        !log.contains("3307"),
        "nobody asks for the other mark: {log}"
    );
}
