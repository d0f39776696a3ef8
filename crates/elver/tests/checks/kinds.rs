//! Every kind of check, and quorums.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use elver_lab::wait::until_true;
use rustix::process::Signal;

use crate::site::{LIMIT, Site, virtual_server};

#[test]
fn every_kind_of_check_sees_a_real_server_that_is_well() {
    // `printf hello | md5sum`
    let page = "url { path /; digest 5d41402abc4b2a76b9719d911017c592; regex \"^hel+o\" }";
    let checks = [
        (
            80,
            format!("HTTP_GET {{ {page} }}"),
            "Remote Web server [10.66.0.2]:tcp:80 succeed on service.",
        ),
        (
            443,
            format!("SSL_GET {{ {page} enable_sni; virtualhost www.example.org }}"),
            "Remote Web server [10.66.0.2]:tcp:443 succeed on service.",
        ),
        (
            25,
            "SMTP_CHECK { }".to_owned(),
            "Remote SMTP server [10.66.0.2]:tcp:25 succeed on service.",
        ),
        (
            53,
            "DNS_CHECK { type A; name example.org }".to_owned(),
            "DNS_CHECK ([10.66.0.2]:tcp:53) succeed on service.",
        ),
        (
            7,
            "UDP_CHECK { payload 0102; require_reply 01x2; bindto 10.66.0.1 }".to_owned(),
            "UDP connection to [10.66.0.2]:tcp:7 success.",
        ),
        (
            99,
            "PING_CHECK { bind_if eth0 }".to_owned(),
            "ICMP connection to [10.66.0.2]:tcp:99 success.",
        ),
    ];
    let text: String = checks
        .iter()
        .map(|(port, check, _)| virtual_server(*port, check))
        .collect();
    let site = Site::new("checks-well", &text);
    for (_, _, line) in &checks {
        site.wait_for_log(line);
    }
    assert!(
        !site.director.log().contains("failed"),
        "{}",
        site.director.log()
    );
}

#[test]
fn every_kind_of_check_sees_a_real_server_that_is_not_well() {
    let page = |path: &str| format!("url {{ path {path} }} connect_port 80; connect_timeout 1");
    let checks = [
        (
            1,
            format!("HTTP_GET {{ {} }}", page("/broken")),
            "HTTP_CHECK",
            "/broken has HTTP status 503",
        ),
        (
            2,
            format!("HTTP_GET {{ {} }}", page("/slow")),
            "HTTP_CHECK",
            "connection timed out",
        ),
        (
            3,
            "SSL_GET { url { path / } connect_port 80 }".to_owned(),
            "SSL_CHECK",
            "TLS handshake: ",
        ),
        (
            4,
            "SMTP_CHECK { connect_port 80; connect_timeout 1 }".to_owned(),
            "SMTP_CHECK",
            "connection timed out",
        ),
        (
            5,
            "DNS_CHECK { connect_port 7; connect_timeout 1 }".to_owned(),
            "DNS_CHECK",
            "connection timed out",
        ),
        (
            6,
            "UDP_CHECK { connect_port 9 }".to_owned(),
            "UDP_CHECK",
            "connection refused",
        ),
        (
            8,
            "PING_CHECK { connect_ip 10.66.0.3; connect_timeout 1 }".to_owned(),
            "PING_CHECK",
            "connection timed out",
        ),
    ];
    let text: String = checks
        .iter()
        .map(|(port, check, _, _)| virtual_server(*port, check))
        .collect();
    let site = Site::new("checks-ill", &text);
    for (port, _, check, cause) in &checks {
        let line = format!("{check} on service [10.66.0.2]:tcp:{port} failed.");
        site.wait_for_log(&line);
        let log = site.director.log();
        let said = log.lines().find(|said| said.contains(&line)).unwrap();
        assert!(said.contains(cause), "{said}");
        site.wait_for_destinations(*port, &[]);
    }
}

#[test]
fn checks_that_connect_to_nothing_or_are_no_connections_say_what_failed() {
    let misc = |command: &str, more: &str| {
        format!("MISC_CHECK {{; misc_path \"{command}\"; user nobody; {more}; }}")
    };
    let tcp = |lines: &str| format!("TCP_CHECK {{; {lines}; connect_timeout 1; }}");
    let checks = [
        (tcp("connect_port 11"), "connection refused"),
        (tcp("connect_ip 10.66.0.3"), "connection timed out"),
        (misc("/bin/false", ""), "exited with status 1"),
        (misc("/bin/sleep 60", "misc_timeout 1"), "timed out"),
        (misc("/bin/sh -c 'kill -9 $$'", ""), "signal: 9 (SIGKILL)"),
        (
            "FILE_CHECK {; track_file broken; }".to_owned(),
            "the number in broken is 1",
        ),
        (
            "BFD_CHECK {; name silent; }".to_owned(),
            "BFD session silent is down",
        ),
    ];
    let text: String = (1..)
        .zip(&checks)
        .map(|(port, (check, _))| virtual_server(port, check))
        .collect();
    let text = format!(
        "track_file broken {{\nfile LAB/broken\nweight 0\ninit_file 1\n}}\n\
         bfd_instance silent {{\nneighbor_ip 10.66.0.2\n}}\n{text}"
    );
    let site = Site::new("checks-causes", &text);
    for (port, (check, cause)) in (1..).zip(&checks) {
        let name = format!("[10.66.0.2]:tcp:{port}");
        let says = || {
            let log = site.director.log();
            let mut lines = log.lines().filter(|line| line.contains(&name));
            Ok(lines.any(|line| line.contains("failed") && line.contains(cause)))
        };
        until_true(check, LIMIT, says, || site.director.log()).expect("a cause");
        site.wait_for_destinations(port, &[]);
    }
}

#[test]
fn the_sorry_server_serves_while_there_is_no_quorum() {
    let text = "virtual_server 10.66.0.100 80 {
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            quorum 2
            sorry_server 10.66.0.9 8080
            real_server 10.66.0.2 80 {
                TCP_CHECK {
                }
            }
            real_server 10.66.0.2 81 {
                inhibit_on_failure
                TCP_CHECK {
                }
            }
        }\n";
    let site = Site::new("checks-sorry", text);
    site.wait_for_destinations(80, &["10.66.0.2:81 0", "10.66.0.9:8080 1"]);
    site.wait_for_log("Lost quorum 2-0=2 > 1 for VS [10.66.0.100]:tcp:80");
    site.wait_for_log("Adding sorry server [10.66.0.9]:tcp:8080 to VS [10.66.0.100]:tcp:80");
    site.wait_for_log("Disabling service [10.66.0.2]:tcp:81 of VS [10.66.0.100]:tcp:80");

    let mut command = site.real_server.command("python3").expect("a command");
    command.args(["-m", "http.server", "81"]);
    let listener = site
        .real_server
        .start("listener", command)
        .expect("it starts");
    site.wait_for_destinations(80, &["10.66.0.2:80 1", "10.66.0.2:81 1"]);
    site.wait_for_log("Gained quorum 2+0=2 <= 2 for VS [10.66.0.100]:tcp:80");
    site.wait_for_log("Removing sorry server [10.66.0.9]:tcp:8080 from VS [10.66.0.100]:tcp:80");

    drop(listener);
    site.wait_for_destinations(80, &["10.66.0.2:81 0", "10.66.0.9:8080 1"]);
}

#[test]
fn a_sorry_server_has_its_own_forwarding_method() {
    let sorry = "sorry_server 10.66.0.9 80; sorry_server_lvs_method DR; ";
    let text = virtual_server(80, "TCP_CHECK { connect_port 11 }")
        .replace("real_server", &format!("{sorry}real_server"))
        .replace(';', "\n");
    let site = Site::new("checks-sorry-method", &text);
    site.wait_for_destinations(80, &["10.66.0.9:80 1"]);
    let table = site.elver(&["ipvsadm", "-Ln"]).expect("a list");
    let line = table.lines().find(|line| line.contains("10.66.0.9:80"));
    assert!(line.unwrap().contains(" Route "), "{table}");
}

#[test]
fn hysteresis_holds_a_quorum_and_inhibited_servers_stay_with_weight_zero() {
    // Gained with 3 + 1, lost below 3 - 1.
    let real_server = |port: u16| {
        format!("real_server 10.66.0.2 {port} {{\nweight 2\nTCP_CHECK {{\nretry 1\n}}\n}}\n")
    };
    let text = format!(
        "virtual_server 10.66.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            quorum 3
            hysteresis 1
            inhibit_on_failure
            sorry_server 10.66.0.9 8080
            sorry_server_inhibit
            {}{}{}
        }}\n",
        real_server(80),
        real_server(81),
        real_server(82)
    );
    let site = Site::new("checks-quorum", &text);
    let listen = |port: u16| {
        let mut command = site.real_server.command("python3").expect("a command");
        command.args(["-m", "http.server", &port.to_string()]);
        site.real_server
            .start(&format!("listener-{port}"), command)
            .expect("it starts")
    };
    // 80 alone weighs 2, which keeps a quorum that is there.
    site.wait_for_destinations(
        80,
        &[
            "10.66.0.2:80 2",
            "10.66.0.2:81 0",
            "10.66.0.2:82 0",
            "10.66.0.9:8080 0",
        ],
    );
    assert!(
        !site.director.log().contains("Lost quorum"),
        "{}",
        site.director.log()
    );

    let listener = listen(81);
    site.wait_for_destinations(
        80,
        &[
            "10.66.0.2:80 2",
            "10.66.0.2:81 2",
            "10.66.0.2:82 0",
            "10.66.0.9:8080 0",
        ],
    );
    drop(listener);
    site.wait_for_destinations(
        80,
        &[
            "10.66.0.2:80 2",
            "10.66.0.2:81 0",
            "10.66.0.2:82 0",
            "10.66.0.9:8080 0",
        ],
    );
    assert!(
        !site.director.log().contains("Lost quorum"),
        "{}",
        site.director.log()
    );
}

#[test]
fn programs_check_and_weigh_real_servers_and_others_are_told() {
    let told = |what: &str| format!("\"/bin/sh -c 'echo {what} >> LAB/told'\"");
    let text = format!(
        "global_defs {{
            script_user root
            enable_script_security
            lvs_notify_fifo LAB/fifo
            lvs_notify_fifo_script \"/bin/sed -u -n 'w LAB/lines'\"
        }}
        virtual_server 10.66.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            omega
            quorum_up {}
            quorum_down {}
            real_server 10.66.0.2 80 {{
                notify_up {}
                notify_down {}
                MISC_CHECK {{
                    misc_path \"/bin/sh -c 'exit `cat LAB/status || echo 1`'\"
                    misc_dynamic
                }}
            }}
        }}
        virtual_server 10.66.0.100 81 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.66.0.2 81 {{
                MISC_CHECK {{
                    misc_path \"/bin/sleep 3600\"
                    misc_timeout 1
                    user nobody
                }}
            }}
        }}\n",
        told("quorum-up"),
        told("quorum-down"),
        told("up"),
        told("down")
    );
    let site = Site::new("checks-programs", &text);
    let status = |code: &str| {
        std::fs::write(site.lab.directory().join("status"), code).expect("a file");
    };
    site.wait_for_destinations(80, &[]);
    site.wait_for_log("Misc check for [[10.66.0.2]:tcp:80 VS [10.66.0.100]:tcp:80] by [/bin/sh] failed (exited with status 1).");
    site.wait_for_destinations(81, &[]);
    site.wait_for_log("by [/bin/sleep] failed (timed out).");
    status("5");
    site.wait_for_destinations(80, &["10.66.0.2:80 3"]);
    status("9");
    site.wait_for_destinations(80, &["10.66.0.2:80 7"]);
    // The weight of the file again.
    status("0");
    site.wait_for_destinations(80, &["10.66.0.2:80 1"]);

    site.director.signal(Signal::TERM).expect("a signal");
    site.wait_for_lines(
        "told",
        &[
            "down",
            "down",
            "quorum-down",
            "quorum-down",
            "quorum-up",
            "quorum-up",
            "up",
        ],
    );
    let lines = std::fs::read_to_string(site.lab.directory().join("lines")).expect("lines");
    let of_80: Vec<&str> = lines.lines().filter(|line| line.contains(":80 ")).collect();
    assert_eq!(
        of_80,
        [
            "VS [10.66.0.100]:tcp:80 UP",
            "RS [10.66.0.2]:tcp:80 [10.66.0.100]:tcp:80 DOWN",
            "VS [10.66.0.100]:tcp:80 DOWN",
            "RS [10.66.0.2]:tcp:80 [10.66.0.100]:tcp:80 UP",
            "VS [10.66.0.100]:tcp:80 UP",
            "RS [10.66.0.2]:tcp:80 [10.66.0.100]:tcp:80 DOWN",
            "VS [10.66.0.100]:tcp:80 DOWN",
        ]
    );
    site.director.wait(LIMIT).expect("it ends");
    assert!(!site.lab.directory().join("fifo").exists());
}

/// A program of a MISC_CHECK inherits neither descriptors nor rights, and is looked at each
/// time before it runs.
#[test]
fn a_program_inherits_nothing_and_is_looked_at_each_time() {
    const PROGRAM: &str = "#!/bin/sh\n\
        ls -l /proc/$$/fd > LAB/open/descriptors.new\n\
        grep -E '^(Cap|Uid|Groups)' /proc/$$/status > LAB/open/rights.new\n\
        mv LAB/open/descriptors.new LAB/open/descriptors\n\
        mv LAB/open/rights.new LAB/open/rights\n";
    let text = "global_defs {
            script_user root
            enable_script_security
        }"
    .to_owned()
        + &virtual_server(80, "MISC_CHECK { misc_path LAB/program; user nobody }")
        + &virtual_server(81, "MISC_CHECK { misc_path \"LAB/other x\" }");
    let site = Site::with("checks-program", &text, |lab, _| {
        let directory = lab.directory();
        let put = |name: &str, mode| {
            let permissions = Permissions::from_mode(mode);
            std::fs::set_permissions(directory.join(name), permissions).expect("a mode");
        };
        std::fs::create_dir(directory.join("open")).expect("a folder");
        put("open", 0o777);
        put("", 0o755);
        let script = PROGRAM.replace("LAB", &directory.display().to_string());
        for (name, text) in [("program", &*script), ("other", "#!/bin/sh\n")] {
            std::fs::write(directory.join(name), text).expect("a program");
            put(name, 0o755);
        }
        Vec::new()
    });
    let directory = site.lab.directory();
    let read = |name: &str| std::fs::read_to_string(directory.join("open").join(name));
    let has_run = || Ok(read("rights").is_ok());
    until_true("rights", LIMIT, has_run, || site.director.log()).expect("it runs");
    site.wait_for_destinations(81, &["10.66.0.2:81 1"]);

    // Beside what the shell has opened itself.
    let descriptors = read("descriptors").expect("its descriptors");
    let mut targets = descriptors
        .lines()
        .filter_map(|line| line.split_once(" -> "));
    let own = directory.display().to_string();
    assert!(
        targets.all(|(_, target)| target == "/dev/null" || target.starts_with(&own)),
        "{descriptors}"
    );
    let rights = read("rights").expect("its rights");
    let of = |name: &str| {
        let line = rights.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().last())
    };
    assert_eq!(of("Uid"), Some("65534"), "{rights}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(of(set), Some("0000000000000000"), "{rights}");
    }

    // Somebody else may change it from now on: it says nothing of the real server any more.
    let everybody = Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.join("other"), everybody).expect("a mode");
    site.wait_for_log("did not run (not checked: it would run as root, and others than root");
    site.wait_for_destinations(81, &["10.66.0.2:81 1"]);
}
