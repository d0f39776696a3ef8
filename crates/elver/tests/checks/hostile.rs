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
    let dns = || "DNS_CHECK {; connect_timeout 2; name example.org; type A; }".to_owned();
    let udp = || "UDP_CHECK {; connect_timeout 2; require_reply 00; }".to_owned();
    let timed_out = "connection timed out";
    let reset = "connection reset";
    // What a server does, what asks it, and what is said of it.
    let checks = [
        ("byte_by_byte", plain(), timed_out),
        (
            "endless_headers",
            plain(),
            "the headers are longer than 64 KiB",
        ),
        // The first bound that is met: octets or time.
        ("giant_body", digest(), ""),
        ("body_byte_by_byte", digest(), timed_out),
        ("garbage", ssl(), "TLS handshake: "),
        ("half_handshake", ssl(), timed_out),
        ("reset_in_handshake", ssl(), ""),
        ("reset_at_once", plain(), ""),
        ("reset_after_request", plain(), reset),
        ("reset_in_headers", plain(), reset),
        ("reset_in_body", plain(), reset),
        ("end_in_body", plain(), "/ ended after 5 of 10 octets"),
        (
            "endless_greeting",
            smtp(),
            "the server sends a line longer than 2048 octets",
        ),
        ("endless_lines", smtp(), "a reply has more than 100 lines"),
        ("silence", smtp(), timed_out),
        ("greeting_byte_by_byte", smtp(), timed_out),
        ("reset_in_greeting", smtp(), reset),
        ("reset_after_helo", smtp(), reset),
        ("silence_after_quit", smtp(), timed_out),
        ("lying_names", dns(), timed_out),
        ("failing_names", dns(), "the answer is SERVFAIL"),
        ("wrong_datagrams", udp(), "the reply has "),
    ];
    let text: String = (1001..)
        .zip(&checks)
        .map(|(port, (_, check, _))| virtual_server(port, check))
        .collect();
    let site = Site::with("checks-hostile", &text, |_, real_server| {
        let mut command = real_server.command("python3").expect("a command");
        command.arg(SERVERS);
        command.args(checks.iter().map(|(server, ..)| server));
        let program = real_server.start("hostile", command).expect("it starts");
        let listens = || Ok(program.log().contains("everything listens"));
        until_true("servers", LIMIT, listens, || program.log()).expect("servers");
        vec![program]
    });
    for (port, (server, _, cause)) in (1001..).zip(&checks) {
        let line = format!("on service [10.66.0.2]:tcp:{port} failed.");
        site.wait_for_log(&line);
        let log = site.director.log();
        let said = log.lines().find(|said| said.contains(&line)).unwrap();
        assert!(said.contains(cause), "{server}: {said}");
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
