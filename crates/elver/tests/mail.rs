//! Mail about changes, received by a real mail server. Needs root and exim4.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use elver_lab::Lab;
use elver_lab::wait::until_true;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");

/// A mail server that takes everything, and puts it into one file.
fn mail_server(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "primary_hostname = mail.example.org
        spool_directory = {directory}/spool
        log_file_path = {directory}/log-%s
        pid_file_path = {directory}/exim.pid
        keep_environment =
        tls_advertise_hosts =
        acl_smtp_rcpt = all
        begin acl
        all:
          accept
        begin routers
        all:
          driver = accept
          transport = file
        begin transports
        file:
          driver = appendfile
          file = {directory}/mail
          create_file = anywhere
          user = Debian-exim
          group = Debian-exim
          mode = 0644
          no_mode_fail_narrower
        "
    )
}

const CONFIGURATION: &str = "
global_defs {
    router_id first
    notification_email {
        admin@example.org
        night@example.org
    }
    notification_email_from director@example.org
    smtp_server 10.9.0.2
    smtp_helo_name director.example.org
    smtp_alert
    no_email_faults
}
vrrp_sync_group G {
    group {
        VI_1
        VI_2
    }
}
vrrp_instance VI_1 {
    interface e0
    virtual_router_id 51
    virtual_ipaddress {
        10.9.0.100
    }
}
vrrp_instance VI_2 {
    interface e0
    virtual_router_id 52
    smtp_alert off
    virtual_ipaddress {
        10.9.0.101
    }
}
virtual_server 10.9.0.100 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.9.0.2 25 {
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 10.9.0.2 81 {
        smtp_alert off
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
";

/// The subjects of all mails so far.
fn subjects(directory: &Path) -> Vec<String> {
    let mails = std::fs::read_to_string(directory.join("mail")).unwrap_or_default();
    // A long line of a header goes on in the next one.
    let mails = mails.replace("\n ", " ");
    let subjects = mails
        .lines()
        .filter_map(|line| line.strip_prefix("Subject: "));
    subjects.map(str::to_owned).collect()
}

#[test]
fn changes_are_mailed_in_the_words_of_keepalived() {
    let lab = Lab::new("mail").expect("a lab");
    let director = lab.host("director").expect("a host");
    let mail = lab.host("mail").expect("a host");
    lab.link((&director, "e0"), (&mail, "e0")).expect("a cable");
    director
        .add_address("e0", "10.9.0.1/24")
        .expect("an address");
    mail.add_address("e0", "10.9.0.2/24").expect("an address");

    // Where the server may go as its own user.
    let directory = std::env::temp_dir().join(director.namespace_name());
    std::fs::create_dir(&directory).expect("a directory");
    let mut owned = Command::new("chown");
    owned.arg("Debian-exim").arg(&directory);
    assert!(owned.status().expect("chown runs").success());
    std::fs::write(directory.join("exim.conf"), mail_server(&directory)).expect("a file");
    let log = || {
        let read = |name| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        ["log-main", "log-panic"].map(read).concat()
    };
    let starts = std::cell::Cell::new(0);
    let serve = || {
        let mut command = mail.command("exim4").expect("a command");
        command
            .arg("-C")
            .arg(directory.join("exim.conf"))
            .args(["-bdf", "-oX", "[10.9.0.2]:25"]);
        let server = mail.start("exim4", command).expect("it starts");
        let started = || Ok(log().matches("daemon started").count() > starts.get());
        until_true("the mail server listens", LIMIT, started, log).expect("it listens");
        starts.set(starts.get() + 1);
        server
    };
    let server = serve();

    let file = lab.directory().join("keepalived.conf");
    std::fs::write(&file, CONFIGURATION).expect("a file");
    let mut command = director.command(ELVER).expect("a command");
    command.arg("run").arg("-f").arg(&file);
    command.env("ELVER_INSTANCE", director.namespace_name());
    let elver = director.start("elver", command).expect("it starts");

    let all = |what: &str, wanted: &[&str]| {
        let here = || {
            Ok(wanted
                .iter()
                .all(|w| subjects(&directory).iter().any(|s| s == w)))
        };
        let explain = || format!("{:?}\n{}\n{}", subjects(&directory), log(), elver.log());
        until_true(what, LIMIT, here, explain).expect("mails");
    };
    all(
        "what happens at the start is mailed",
        &[
            "[first] VRRP Instance VI_1 - Entering BACKUP state",
            "[first] VRRP Group G - Entering BACKUP state",
            "[first] VRRP Instance VI_1 - Entering MASTER state",
            "[first] VRRP Group G - Entering MASTER state",
        ],
    );
    // The mail server is its own real server: it is down, and then up for the mail to arrive.
    server.signal(Signal::TERM).expect("a signal");
    let sees = || Ok(elver.log().contains("not mailed: Realserver"));
    until_true(
        "a mail that has nowhere to go is in the log",
        LIMIT,
        sees,
        || elver.log(),
    )
    .expect("a line");
    drop(server);
    let _server = serve();
    let name = "Realserver [10.9.0.2]:tcp:25 of virtual server [10.9.0.100]:tcp:80";
    all(
        "that it is up again is mailed",
        &[&format!("[first] {name} - UP")],
    );

    let subjects = subjects(&directory);
    let none = ["VI_2", "FAULT", "tcp:81"];
    for subject in &subjects {
        assert!(none.iter().all(|word| !subject.contains(word)), "{subject}");
    }
    let mails = std::fs::read_to_string(directory.join("mail")).expect("mails");
    let first = mails.split("\nFrom ").next().expect("a mail");
    for line in [
        "From: director@example.org",
        "To: admin@example.org, night@example.org",
        "=> VRRP Instance is no longer owning VRRP VIPs <=",
    ] {
        assert!(mails.contains(line), "{line}:\n{mails}");
    }
    // The server writes how its client has called itself.
    assert!(first.contains("(helo=director.example.org)"), "{first}");
    elver.signal(Signal::TERM).expect("a signal");
    std::fs::remove_dir_all(&directory).expect("removed");
}
