//! What every check understands: where it goes, from where, and when.

use elver_lab::wait::until_true;
use elver_lab::{Host, Program};

use crate::site::{LIMIT, Site, virtual_server};

/// Prints who comes to which port of an address: TCP on 7001 to 7003, UDP on 7004 and 7005.
const WHO: &str = r#"
import select, socket, sys
sockets = {}
for port in (7001, 7002, 7003):
    sockets[socket.create_server((sys.argv[1], port))] = port
for port in (7004, 7005):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((sys.argv[1], port))
    sockets[s] = port
print("listens", flush=True)
while True:
    for s in select.select(list(sockets), [], [])[0]:
        if s.type == socket.SOCK_STREAM:
            peer = s.accept()[1]
        else:
            peer = s.recvfrom(2000)[1]
        print("%s:%d at %d" % (peer[0], peer[1], sockets[s]), flush=True)
"#;

fn who(real_server: &Host, address: &str) -> Program {
    let mut command = real_server.command("python3").expect("a command");
    command.args(["-c", WHO, address]);
    let program = real_server.start("who", command).expect("it starts");
    let listens = || Ok(program.log().contains("listens"));
    until_true("a listener", LIMIT, listens, || program.log()).expect("a listener");
    program
}

/// Waits until [`WHO`], the first program of the real server, has printed it.
fn wait_for_visitor(site: &Site, line: &str) {
    let who = &site.programs[0];
    let came = || Ok(who.log().contains(line));
    let explain = || format!("{}\n{}", who.log(), site.director.log());
    until_true(line, LIMIT, came, explain).expect("a visitor");
}

#[test]
fn checks_go_where_and_come_from_where_they_are_told() {
    // The real server itself is where nobody is.
    let from = "connect_ip 10.66.0.2; bindto 10.66.0.1; bind_if eth0; connect_timeout 1";
    let checks = [
        format!("TCP_CHECK {{; {from}; connect_port 7001; bind_port 5001; }}"),
        format!("HTTP_GET {{; {from}; connect_port 7002; bind_port 5002; url {{; path /; }}; }}"),
        format!("SMTP_CHECK {{; {from}; connect_port 7003; bind_port 5003; }}"),
        format!("DNS_CHECK {{; {from}; connect_port 7004; bind_port 5004; }}"),
        format!("UDP_CHECK {{; {from}; connect_port 7005; bind_port 5005; }}"),
        "PING_CHECK {; connect_ip 10.66.0.2; bindto 10.66.0.1; bind_if eth0; }".to_owned(),
    ];
    let text: String = (1..)
        .zip(&checks)
        .map(|(port, check)| virtual_server(port, check).replace("10.66.0.2 ", "10.66.0.77 "))
        .map(|text| text.replace("connect_ip 10.66.0.77 ", "connect_ip 10.66.0.2 "))
        .collect();
    let text = text.replace("connect_ip 10.66.0.77\n", "connect_ip 10.66.0.2\n");
    let site = Site::with("checks-where", &text, |_, real_server| {
        vec![who(real_server, "10.66.0.2")]
    });
    for number in 1..=5 {
        wait_for_visitor(&site, &format!("10.66.0.1:500{number} at 700{number}"));
    }
    site.wait_for_log("ICMP connection to [10.66.0.77]:tcp:6 success.");
}

#[test]
fn packets_of_checks_have_the_mark_that_they_are_told() {
    // Only packets with the mark find a way there.
    let to = "connect_ip 10.99.0.2; bindto 10.66.0.1; connect_timeout 1";
    let checks = |mark: &str, ports: u16| {
        [
            format!("TCP_CHECK {{; {to}; connect_port 7001; bind_port {ports}1; {mark}; }}"),
            format!(
                "HTTP_GET {{; {to}; connect_port 7002; bind_port {ports}2; {mark}; url {{; path /; }}; }}"
            ),
            format!("SMTP_CHECK {{; {to}; connect_port 7003; bind_port {ports}3; {mark}; }}"),
            format!("DNS_CHECK {{; {to}; connect_port 7004; bind_port {ports}4; {mark}; }}"),
            format!("UDP_CHECK {{; {to}; connect_port 7005; bind_port {ports}5; {mark}; }}"),
            format!("PING_CHECK {{; connect_ip 10.99.0.2; bindto 10.66.0.1; {mark}; }}"),
        ]
    };
    let (marked, others) = (checks("fwmark 107", 510), checks("", 520));
    let text: String = (1..)
        .zip(marked.iter().chain(&others))
        .map(|(port, check)| virtual_server(port, check))
        .collect();
    let site = Site::with("checks-mark", &text, |_, real_server| {
        real_server.set_up("lo").expect("it is there");
        real_server
            .add_address("lo", "10.99.0.2/32")
            .expect("an address");
        vec![who(real_server, "10.99.0.2")]
    });
    let rule = ["rule", "add", "fwmark", "107", "lookup", "99"];
    site.host.ip(&rule).expect("a rule");
    let route = [
        "route",
        "add",
        "10.99.0.2",
        "via",
        "10.66.0.2",
        "table",
        "99",
    ];
    site.host.ip(&route).expect("a route");
    for number in 1..=5 {
        wait_for_visitor(&site, &format!("10.66.0.1:510{number} at 700{number}"));
    }
    site.wait_for_log("ICMP connection to [10.66.0.2]:tcp:6 success.");
    // Those without have been made as often, and have not come.
    let status = || site.elver(&["ctl", "status"]).expect("a status");
    let unreachable = || Ok(status().matches("network unreachable").count() >= 5);
    until_true("the others", LIMIT, unreachable, status).expect("they fail");
    assert!(
        !site.programs[0].log().contains(":520"),
        "{}",
        site.programs[0].log()
    );
}

#[test]
fn failures_are_repeated_and_logged_as_told() {
    let text = virtual_server(
        81,
        "alpha; TCP_CHECK {; retry 2; delay_before_retry 1; warmup 0; log_all_failures; }",
    );
    let site = Site::new("checks-when", &text);
    let failed = "TCP_CHECK on service [10.66.0.2]:tcp:81 failed";
    // Nothing stands for it before its first success.
    assert_eq!(site.destinations(81), [""; 0]);
    let status = || site.elver(&["ctl", "status"]).expect("a status");
    let refused = || Ok(status().contains("connection refused"));
    until_true("a cause", LIMIT, refused, status).expect("it is checked");
    assert_eq!(site.destinations(81), [""; 0]);

    let listener = site.listen(81);
    site.wait_for_destinations(81, &["10.66.0.2:81 1"]);
    let before = site.director.log().len();
    drop(listener);
    site.wait_for_log(&format!("{failed} after 2 retries."));
    let log = site.director.log();
    let lines: Vec<&str> = log[before..]
        .lines()
        .filter(|line| line.contains(failed))
        .collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains("failed: connection refused, retry 1 of 2 to come."));
    assert!(lines[1].contains("failed: connection refused, retry 2 of 2 to come."));
    site.wait_for_destinations(81, &[]);
}

#[test]
fn a_source_that_is_not_there_says_nothing_of_the_real_server() {
    let text = virtual_server(80, "TCP_CHECK {; bindto 10.66.0.55; }")
        + &virtual_server(25, "TCP_CHECK {; bind_if eth9; }");
    let site = Site::new("checks-no-source", &text);
    let known = || {
        let status = site.elver(&["ctl", "status"]).expect("a status");
        Ok(status.matches("not checked: ").count() == 2)
    };
    until_true("both causes", LIMIT, known, || {
        site.elver(&["ctl", "status"]).unwrap_or_default()
    })
    .expect("causes");
    site.wait_for_destinations(80, &["10.66.0.2:80 1"]);
    site.wait_for_destinations(25, &["10.66.0.2:25 1"]);
}
