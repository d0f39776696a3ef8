//! What part real servers take beside being up or down: weights from files, drains, slow
//! starts, and checks that rest.

use std::time::Duration;

use elver_lab::Host;
use elver_lab::wait::until_true;

use crate::site::{LIMIT, Site, virtual_server};

#[test]
fn numbers_in_files_weigh_real_servers_and_take_them_down() {
    let text = format!(
        "track_file load {{
            file LAB/load
            weight 2
            init_file 3
        }}
        track_file broken {{
            file LAB/broken
        }}
        {}",
        virtual_server(
            80,
            "weight 10; FILE_CHECK {; track_file load; }; FILE_CHECK {; track_file broken; weight 0; }"
        )
    );
    let site = Site::new("checks-file", &text);
    let write = |file: &str, number: &str| {
        std::fs::write(site.lab.directory().join(file), number).expect("a file");
    };
    site.wait_for_destinations(80, &["10.66.0.2:80 16"]);
    write("load", "-4");
    site.wait_for_destinations(80, &["10.66.0.2:80 2"]);
    write("load", "-400");
    site.wait_for_destinations(80, &["10.66.0.2:80 0"]);
    write("load", "1");
    write("broken", "1");
    site.wait_for_destinations(80, &[]);
    site.wait_for_log("FILE_CHECK on service [10.66.0.2]:tcp:80 failed.");
    write("broken", "0");
    site.wait_for_destinations(80, &["10.66.0.2:80 12"]);

    // What the files say holds after a reload as well.
    let file = site.lab.directory().join("elver.conf");
    let text = std::fs::read_to_string(&file).expect("the file");
    std::fs::write(&file, text.replace("weight 10", "weight 20")).expect("a file");
    site.elver(&["ctl", "reload"]).expect("it is read");
    site.wait_for_destinations(80, &["10.66.0.2:80 22"]);
}

/// Who listens on a port of a host.
fn listening(host: &Host, port: u16) -> String {
    let mut command = host.command("ss").expect("a command");
    command.args(["-ltnH", &format!("sport = :{port}")]);
    let output = host.output(command, LIMIT).expect("ss runs");
    output.success().expect("a list")
}

/// A client on a cable of its own, whose packets real servers answer through the director.
fn client_of(site: &Site) -> Host {
    let client = site.lab.host("client").expect("a host");
    site.lab
        .link((&site.host, "eth1"), (&client, "eth0"))
        .expect("a cable");
    site.host
        .add_address("eth1", "10.67.0.1/24")
        .expect("an address");
    client
        .add_address("eth0", "10.67.0.2/24")
        .expect("an address");
    client
        .add_default_route("10.67.0.1".parse().unwrap())
        .expect("a route");
    site.real_server
        .add_default_route("10.66.0.1".parse().unwrap())
        .expect("a route");
    site.host
        .set_sysctl("net/ipv4/ip_forward", "1")
        .expect("a setting");
    site.wait_for_log("eth1: attached");
    client
}

#[test]
fn a_real_server_is_drained_until_its_last_connection_has_ended() {
    let text = virtual_server(80, "TCP_CHECK {; }").replace(
        "real_server 10.66.0.2",
        "real_server 10.66.0.9 80 {\n}\nreal_server 10.66.0.2",
    );
    let site = Site::new("checks-drain", &text);
    let client = client_of(&site);
    site.wait_for_destinations(80, &["10.66.0.2:80 1", "10.66.0.9:80 1"]);
    // Only the one that there is.
    site.elver(&["ctl", "drain", "10.66.0.9", "--no-wait"])
        .expect("it drains");
    site.wait_for_destinations(80, &["10.66.0.2:80 1", "10.66.0.9:80 0"]);

    let stay = site.lab.directory().join("stay");
    std::fs::write(&stay, "").expect("a file");
    let mut command = client.command("python3").expect("a command");
    command.arg("-c").arg(
        "import os, socket, sys, time\n\
         s = socket.create_connection(('10.66.0.100', 80), 30)\n\
         print('connected', flush=True)\n\
         while os.path.exists(sys.argv[1]): time.sleep(0.1)\n\
         s.close()\n",
    );
    command.arg(&stay);
    let connection = client.start("connection", command).expect("a client");
    let connected = || Ok(connection.log().contains("connected"));
    until_true("a connection", LIMIT, connected, || connection.log()).expect("a connection");

    site.elver(&["ctl", "drain", "10.66.0.2:80", "--no-wait"])
        .expect("it drains");
    site.wait_for_destinations(80, &["10.66.0.2:80 0", "10.66.0.9:80 0"]);
    let status = site.elver(&["ctl", "status"]).expect("a status");
    assert!(status.contains("1 connections left"), "{status}");
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| site.elver(&["ctl", "drain", "10.66.0.2:80"]));
        std::thread::sleep(Duration::from_millis(300));
        std::fs::remove_file(&stay).expect("it is there");
        waiting.join().expect("a thread")
    });
    let said = waiting.expect("it is done");
    assert!(
        said.ends_with("10.66.0.2:80: 0 connections left\n"),
        "{said}"
    );

    // Until it is told to serve again; the deadline takes the other out.
    site.elver(&["ctl", "drain", "10.66.0.9", "--deadline", "1", "--no-wait"])
        .expect("it drains");
    site.wait_for_destinations(80, &["10.66.0.2:80 0"]);
    for which in ["10.66.0.9", "10.66.0.2:80"] {
        site.elver(&["ctl", "undrain", which]).expect("it serves");
    }
    site.wait_for_destinations(80, &["10.66.0.2:80 1", "10.66.0.9:80 1"]);
    let error = site.elver(&["ctl", "drain", "10.66.0.77"]).unwrap_err();
    assert!(error.contains("has no real server 10.66.0.77"), "{error}");
    let error = site.elver(&["ctl", "undrain", "10.66.0.2"]).unwrap_err();
    assert!(error.contains("10.66.0.2 is not drained"), "{error}");
}

#[test]
fn a_real_server_that_comes_back_gets_its_weight_bit_by_bit() {
    let text = virtual_server(80, "TCP_CHECK {; }").replace(
        "real_server 10.66.0.2",
        "slow_start 4\nreal_server 10.66.0.2 81 {\nweight 2\nTCP_CHECK {\n}\n}\nreal_server 10.66.0.2",
    );
    let site = Site::new("checks-slow-start", &text);
    site.wait_for_destinations(80, &["10.66.0.2:80 1"]);
    let _listener = site.listen(81);
    // Weights are ten times as large while a weight of 2 has twenty parts.
    site.wait_for_destinations(80, &["10.66.0.2:80 1", "10.66.0.2:81 2"]);
    let log = site.director.log();
    let changes = |port: u16| -> Vec<u32> {
        let start =
            format!("Changing service [10.66.0.2]:tcp:{port} of VS [10.66.0.100]:tcp:80 (weight ");
        log.lines()
            .filter_map(|line| line.split_once(&start))
            .filter_map(|(_, rest)| rest.split_once(')')?.0.parse().ok())
            .collect()
    };
    assert_eq!(changes(80), [10, 1], "{log}");
    let rising = changes(81);
    let (last, rising) = rising.split_last().expect("changes");
    assert_eq!(*last, 2);
    assert!(rising.len() > 5 && rising.is_sorted(), "{rising:?}");
    assert!(*rising.last().unwrap() <= 19, "{rising:?}");
}

#[test]
fn checks_rest_while_the_virtual_address_is_elsewhere() {
    let text = virtual_server(90, "TCP_CHECK {; }")
        .replace("10.66.0.100", "10.66.0.101")
        .replace("protocol TCP", "protocol TCP\nha_suspend");
    let site = Site::new("checks-suspend", &text);
    let suspends =
        "Suspending healthchecker for service [10.66.0.2]:tcp:90 for VS [10.66.0.101]:tcp:90";
    site.wait_for_log(suspends);
    let failed = "TCP_CHECK on service [10.66.0.2]:tcp:90 failed.";
    // Longer than the first check would take.
    std::thread::sleep(Duration::from_secs(4));
    assert!(!site.director.log().contains(failed));
    site.host
        .add_address("eth0", "10.66.0.101/32")
        .expect("an address");
    site.wait_for_log("Activating healthchecker for service [10.66.0.2]:tcp:90 for VS");
    site.wait_for_log(failed);
    site.host
        .ip(&["address", "del", "10.66.0.101/32", "dev", "eth0"])
        .expect("it goes");
    let twice = || Ok(site.director.log().matches(suspends).count() == 2);
    until_true("a second rest", LIMIT, twice, || site.director.log()).expect("it rests");
}

#[test]
fn equal_checks_of_a_real_server_are_made_once() {
    let check = "TCP_CHECK {; connect_port 7000; }";
    let text: String = (100..120).map(|port| virtual_server(port, check)).collect();
    let site = Site::with("checks-shared", &text, |_, real_server| {
        let mut command = real_server.command("python3").expect("a command");
        command.arg("-c").arg(
            "import socket\n\
             s = socket.create_server(('', 7000))\n\
             print('listens', flush=True)\n\
             while True: print('accepted', s.accept()[1][0], flush=True)\n",
        );
        let program = real_server.start("counter", command).expect("it starts");
        let listens = || Ok(program.log().contains("listens"));
        until_true("a listener", LIMIT, listens, || program.log()).expect("a listener");
        vec![program]
    });
    for port in 100..120 {
        site.wait_for_log(&format!(
            "TCP connection to [10.66.0.2]:tcp:{port} success."
        ));
    }
    // All of them have heard; nobody has asked as often.
    let accepted = site.programs[0].log().matches("accepted").count();
    assert!((1..10).contains(&accepted), "{accepted}");
}

#[test]
fn a_real_server_that_refuses_clients_weighs_less() {
    // Its check is of another port, where all is well.
    let check = "weight 10; TCP_CHECK {; connect_port 80; }";
    let text = virtual_server(81, check).replace("protocol TCP", "protocol TCP\npassive_check 20");
    let text = text + &virtual_server(82, check);
    let site = Site::new("checks-passive", &text);
    let client = client_of(&site);
    site.wait_for_destinations(81, &["10.66.0.2:81 10"]);
    let connect = |port: u16| {
        let mut command = client.command("python3").expect("a command");
        command.arg("-c").arg(format!(
            "import socket\n\
             for _ in range(20):\n\
             \ttry: socket.create_connection(('10.66.0.100', {port}), 30)\n\
             \texcept ConnectionRefusedError: pass\n"
        ));
        let output = client.output(command, LIMIT).expect("a client");
        output.success().expect("it is refused");
    };
    connect(81);
    connect(82);
    // As soon as the connections leave the table.
    site.wait_for_destinations(81, &["10.66.0.2:81 1"]);
    let metrics = site.elver(&["ctl", "metrics"]).expect("metrics");
    let counted =
        "elver_real_server_connections_ended_total{real_server=\"10.66.0.2:81\",how=\"reset\"} 20";
    assert!(metrics.contains(counted), "{metrics}");
    // Nobody watches this one.
    site.wait_for_destinations(82, &["10.66.0.2:82 10"]);
}

#[test]
fn a_real_server_that_keeps_clients_waiting_weighs_less() {
    let check = "weight 10; TCP_CHECK {; connect_port 80; }";
    let watched =
        virtual_server(81, check).replace("protocol TCP", "protocol TCP\npassive_handshake 0.5");
    let text = watched + &virtual_server(82, check);
    let site = Site::new("checks-handshake", &text);
    let client = client_of(&site);
    let listeners = [81, 82].map(|port| site.listen(port));
    for port in [81, 82] {
        site.wait_for_destinations(port, &[&format!("10.66.0.2:{port} 10")]);
        let server = &site.real_server;
        let listens = || Ok(!listening(server, port).is_empty());
        until_true("a listener", LIMIT, listens, || site.director.log()).expect("a listener");
        // Nothing comes back for the client's first packet, which it sends again after a second.
        server
            .ip(&["route", "add", "blackhole", "10.67.0.2"])
            .expect("no way back");
        let mut command = client.command("python3").expect("a command");
        command.arg("-c").arg(format!(
            "import socket\nsocket.create_connection(('10.66.0.100', {port}), 60)\n"
        ));
        let connection = client
            .start(&format!("client-{port}"), command)
            .expect("a client");
        let opened = || {
            let connections = site.elver(&["ipvsadm", "-Lnc"]).expect("a list");
            Ok(connections.contains(&format!("10.66.0.100:{port}")))
        };
        until_true("a connection", LIMIT, opened, || site.director.log()).expect("it is opened");
        server
            .ip(&["route", "del", "blackhole", "10.67.0.2"])
            .expect("a way back");
        connection.wait(LIMIT).expect("it connects");
    }
    let is_lower = || {
        let weights = site.destinations(81);
        let weight = weights[0].rsplit(' ').next().map(str::parse::<u32>);
        Ok(matches!(weight, Some(Ok(1..=5))))
    };
    until_true("a lower weight", LIMIT, is_lower, || site.director.log()).expect("it is lower");
    let metrics = site.elver(&["ctl", "metrics"]).expect("metrics");
    for port in [81, 82] {
        let line = metrics
            .lines()
            .find(|line| {
                line.starts_with("elver_real_server_handshake_seconds")
                    && line.contains(&format!("remote_port=\"{port}\""))
            })
            .unwrap_or_else(|| panic!("{metrics}"));
        let seconds: f64 = line.rsplit(' ').next().unwrap().parse().expect("a number");
        assert!(seconds > 0.9, "{line}");
    }
    // Nobody watches this one.
    site.wait_for_destinations(82, &["10.66.0.2:82 10"]);
    drop(listeners);
}
