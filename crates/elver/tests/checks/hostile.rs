//! Real servers that mean no good: the right verdict, in bounded time and memory.

use elver_lab::wait::until_true;

use crate::site::{LIMIT, Site, virtual_server};

const SERVERS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/support/hostile_servers.py"
);

#[test]
fn hostile_peers_are_judged_in_bounded_time_and_memory() {
    let http = |path: &str| format!("HTTP_GET {{; connect_timeout 2; url {{; {path}; }}; }}");
    let plain = || http("path /");
    let ssl = || plain().replace("HTTP_GET", "SSL_GET");
    let digest = || http("path /; digest 5d41402abc4b2a76b9719d911017c592; regex nothing");
    let smtp = || "SMTP_CHECK {; connect_timeout 2; }".to_owned();
    let timed_out = "connection timed out";
    let checks = [
        (plain(), timed_out),
        (plain(), "the headers are longer than 64 KiB"),
        // The first bound that is met: octets or time.
        (digest(), ""),
        (ssl(), "TLS handshake: "),
        (ssl(), timed_out),
        (plain(), ""),
        (plain(), "connection reset"),
        (plain(), "connection reset"),
        (plain(), "connection reset"),
        (plain(), "/ ended after 5 of 10 octets"),
        (smtp(), "the server sends a line longer than 2048 octets"),
        (smtp(), "a reply has more than 100 lines"),
        (smtp(), timed_out),
        (
            "DNS_CHECK {; connect_timeout 2; name example.org; type A; }".to_owned(),
            timed_out,
        ),
    ];
    let text: String = (1001..)
        .zip(&checks)
        .map(|(port, (check, _))| virtual_server(port, check))
        .collect();
    let site = Site::with("checks-hostile", &text, |_, real_server| {
        let mut command = real_server.command("python3").expect("a command");
        command.arg(SERVERS);
        let program = real_server.start("hostile", command).expect("it starts");
        let listens = || Ok(program.log().contains("everything listens"));
        until_true("servers", LIMIT, listens, || program.log()).expect("servers");
        vec![program]
    });
    for (port, (_, cause)) in (1001..).zip(&checks) {
        let line = format!("on service [10.66.0.2]:tcp:{port} failed.");
        site.wait_for_log(&line);
        let log = site.director.log();
        let said = log.lines().find(|said| said.contains(&line)).unwrap();
        assert!(said.contains(cause), "{port}: {said}");
        site.wait_for_destinations(port, &[]);
    }
    // All of them go on for as long as they may.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let status = site.elver(&["ctl", "status"]).expect("a status");
    let process = status
        .lines()
        .find_map(|line| line.trim().strip_prefix("check "))
        .expect("a check process")
        .trim();
    let memory = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let peak: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .expect("its peak");
    assert!(peak < 40 * 1024, "{peak} KiB");
}
