//! Containers of a real Docker engine as real servers.
//!
//! The program under test is the one that the variable `ELVER` names, or else the one
//! that `cargo build -p elver` put beside the tests.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use elver_lab::client::Conversation;
use elver_lab::director::unload_leftovers;
use elver_lab::docker::{CONTAINER, HOST, LABELS, SERVICE, Site};
use elver_lab::engine::{Engine, IMAGE};
use elver_lab::service::Service;
use elver_lab::traffic::Traffic;
use elver_lab::wait::{self, Look};
use elver_lab::{Lab, Program, docker};
use rustix::process::Signal;

/// How long anything may take that has to happen; generous, for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The program under test.
fn elver() -> PathBuf {
    let path = match std::env::var_os("ELVER") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/PROFILE/deps/TEST
            let test = std::env::current_exe().expect("the path of this program");
            let profile = test.ancestors().nth(2).expect("target/PROFILE");
            profile.join("elver")
        }
    };
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build -p elver`, or name the program in ELVER",
        path.display()
    );
    path
}

fn site(name: &str) -> (Site, Program, Lab) {
    unload_leftovers(name, &elver()).expect("the leftovers go");
    let lab = Lab::new(name).expect("a lab");
    let site = Site::set_up(&lab, &elver()).expect("a network");
    site.is_ready().expect("a director");
    let role = site.start_role(&lab, "role").expect("a role");
    (site, role, lab)
}

/// The address that a container of the engine's bridge has, in the order of starting.
fn container(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(172, 18, 0, 1 + number), CONTAINER.port())
}

fn until_log(program: &Program, words: &str) {
    wait::until(words, LIMIT, || {
        let log = program.log();
        Ok(if log.contains(words) {
            Look::Met(())
        } else {
            Look::NotYet(log)
        })
    })
    .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_lab_of_containers() {
    docker::run(true, &elver()).unwrap_or_else(|error| panic!("{error}"));
}

/// Fifty containers come and go beside two that stay. Whoever talks to those goes on, and every
/// new client is answered.
#[test]
fn fifty_starts_and_stops_disturb_nobody() {
    let (site, role, _lab) = site("docker-fifty");
    let lasting = [container(1), container(2)];
    for name in ["stays1", "stays2"] {
        let run = site.engine.run(name, CONTAINER.port(), &LABELS);
        run.expect("a container");
    }
    site.balances(&lasting).expect("both");
    let traffic = Traffic::start(&site.client, SERVICE, 16, LIMIT).expect("clients");
    let mut names = BTreeSet::new();
    for round in 0..50 {
        let name = format!("passes{round}");
        let run = site.engine.run(&name, CONTAINER.port(), &LABELS);
        run.unwrap_or_else(|error| panic!("{error}"));
        site.balances(&[lasting[0], lasting[1], container(3)])
            .unwrap_or_else(|error| panic!("round {round}: {error}\n{}", role.log()));
        let greeting = site.greet();
        names.insert(greeting.expect("an answer").name);
        // As whoever stops a container that takes no notice: told to end, and then killed.
        // Between the two it gets no more clients.
        let stop = ["stop", "--time", "1", &name];
        site.engine.docker(&stop).expect("a stop");
        site.engine.docker(&["rm", &name]).expect("its end");
        let greeting = site.greet();
        let after = greeting.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(
            after.name.starts_with("stays"),
            "{after:?} in round {round}"
        );
        traffic
            .flows_on(LIMIT)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    site.balances(&lasting).expect("both");
    traffic.finish().expect("all that was sent");
    assert!(
        names.iter().any(|name| name.starts_with("passes")),
        "none of those that passed has served: {names:?}"
    );
}

/// Whatever happens to the engine: what is there afterwards is what it has then.
#[test]
fn engines_that_die_and_directors_that_die_come_to_the_same() {
    let (mut site, role, lab) = site("docker-death");
    let run = |name: &str, site: &Site, options: &[&str]| {
        let all = [&LABELS, options].concat();
        let run = site.engine.run(name, CONTAINER.port(), &all);
        run.unwrap_or_else(|error| panic!("{error}"));
    };
    run("web1", &site, &["--restart", "always"]);
    run("web2", &site, &[]);
    site.balances(&[container(1), container(2)]).expect("both");

    // The engine dies with its containers, and starts the one that is always to run.
    site.engine.restart().expect("an engine");
    let (table, address) = wait::until("web1 alone", LIMIT, || {
        let running = site.engine.docker(&[
            "inspect",
            "--format",
            "{{.State.Running}} {{.NetworkSettings.IPAddress}}",
            "web1",
        ])?;
        let address = running.trim().strip_prefix("true ");
        let address = address.and_then(|ip| ip.parse::<Ipv4Addr>().ok());
        let table = site.table()?;
        Ok(match address {
            Some(ip)
                if table.contains(&format!("{ip}:22"))
                    && table.matches("172.18.0.").count() == 1 =>
            {
                Look::Met((table, ip))
            }
            _ => Look::NotYet(format!("{running}{table}")),
        })
    })
    .unwrap_or_else(|error| panic!("{error}\n{}\n{}", role.log(), site.engine.log()));
    assert!(table.contains("172.17.42.200:36000"), "{table}");
    assert_eq!(site.greet().expect("an answer").name, "web1");

    // The real server is killed: connections go on, and the next one takes all up.
    let traffic = Traffic::start(&site.client, SERVICE, 4, LIMIT).expect("clients");
    role.signal(Signal::KILL).expect("a signal");
    role.wait(LIMIT).expect("an end");
    traffic.flows_on(LIMIT).expect("it goes on without");
    let role = site.start_role(&lab, "role-again").expect("a role");
    traffic.flows_on(LIMIT).expect("it goes on with");
    site.balances(&[SocketAddrV4::new(address, CONTAINER.port())])
        .expect("the same");
    traffic.finish().expect("all that was sent");
    // Stopped, it leaves nothing.
    role.signal(Signal::TERM).expect("a signal");
    assert!(
        role.wait(LIMIT).expect("an end").success(),
        "{}",
        role.log()
    );
    let lo = site.host.ip(&["address", "show", "dev", "lo"]).expect("lo");
    assert!(!lo.contains("172.17.42.200"), "{lo}");
}

/// What labels may not claim, or do not say rightly, is named and comes to nothing.
#[test]
fn labels_claim_what_they_may() {
    let (site, role, _lab) = site("docker-claims");
    let label = |name: &str, labels: &[&str]| {
        let options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        let run = site.engine.run(name, 80, &options);
        run.unwrap_or_else(|error| panic!("{error}"));
    };
    label("greedy", &["elver.vip=172.17.42.111:80"]);
    label(
        "wrong",
        &["elver.vip=172.17.42.200:36000", "elver.port=ssh"],
    );
    label("nothing", &["com.example=x"]);
    until_log(&role, "container greedy: it claims 172.17.42.111:80");
    until_log(
        &role,
        "container wrong: the label elver.port=ssh is not understood",
    );
    assert_eq!(site.table().expect("a table").matches("->").count(), 1);

    // In the host's own network, it has the host's address.
    let run = site.engine.run(
        "of-host",
        8022,
        &[
            "--network",
            "host",
            "--label",
            "elver.vip=172.17.42.200:36000",
            "--label",
            "elver.port=8022",
        ],
    );
    run.unwrap_or_else(|error| panic!("{error}"));
    let own = SocketAddrV4::new(HOST, 8022);
    let seen = site.balances(&[own]);
    seen.unwrap_or_else(|error| panic!("{error}\n{}", role.log()));
}

/// Who is ill for its health check, or for the check that its label asks for, gets no clients;
/// who is in another network is found there.
#[test]
fn containers_serve_while_they_are_well_wherever_they_are() {
    let (site, role, _lab) = site("docker-well");
    let run = |name: &str, port: u16, options: &[&str]| {
        let all = [&LABELS, options].concat();
        let run = site.engine.run(name, port, &all);
        run.unwrap_or_else(|error| panic!("{error}"));
    };
    let serve = |destinations: &[SocketAddrV4]| {
        let seen = site.balances(destinations);
        seen.unwrap_or_else(|error| panic!("{error}\n{}", role.log()));
    };
    let docker = |arguments: &[&str]| {
        let done = site.engine.docker(arguments);
        done.unwrap_or_else(|error| panic!("{error}"));
    };
    let ill = ["--health-cmd", "cat /healthy", "--health-retries", "1"];
    run("well", CONTAINER.port(), &[]);
    run("ill", CONTAINER.port(), &ill);
    // It listens elsewhere, which its own health check does not mind.
    run("deaf", 23, &["--label", "elver.check=tcp"]);
    serve(&[container(1)]);
    docker(&["exec", "ill", "sh", "-c", ": > /healthy"]);
    serve(&[container(1), container(2)]);
    docker(&["exec", "ill", "busybox", "rm", "/healthy"]);
    serve(&[container(1)]);
    docker(&[
        "exec",
        "--detach",
        "deaf",
        "nc",
        "-ll",
        "-p",
        "22",
        "-e",
        "/bin/serve",
    ]);
    serve(&[container(1), container(3)]);

    docker(&["network", "create", "--subnet", "172.19.0.0/24", "second"]);
    let second = ["--label", "elver.network=second"];
    run("apart", CONTAINER.port(), &second);
    until_log(&role, "it is not in the network second");
    docker(&["network", "connect", "second", "apart"]);
    let apart = SocketAddrV4::new(Ipv4Addr::new(172, 19, 0, 2), CONTAINER.port());
    serve(&[container(1), container(3), apart]);
    docker(&["rm", "--force", "well", "ill", "deaf"]);
    serve(&[apart]);
    assert_eq!(site.greet().expect("an answer").name, "apart");
    docker(&["network", "disconnect", "second", "apart"]);
    serve(&[]);
}

/// A director without a virtual server in its file watches its host's engine, by TLS: the host is
/// a real server for as long as it has a container, with the weights of all.
#[test]
fn a_director_finds_its_real_servers() {
    let name = "docker-watching";
    unload_leftovers(name, &elver()).expect("the leftovers go");
    let lab = Lab::new(name).expect("a lab");
    let site = Site::set_up_watching(&lab, &elver()).expect("a network");
    let _role = site.start_role(&lab, "role").expect("a role");
    let has = |words: &str| {
        wait::until(words, LIMIT, || {
            let table = site.director.command(&["ipvsadm", "-Ln"])?.stdout;
            let flat: Vec<&str> = table.split_whitespace().collect();
            Ok(if flat.join(" ").contains(words) {
                Look::Met(())
            } else {
                Look::NotYet(format!("{table}{}", site.director.program().log()))
            })
        })
        .unwrap_or_else(|error| panic!("{error}"));
    };
    let run = |name: &str, options: &[&str]| {
        let all = [&LABELS, options].concat();
        let run = site.engine.run(name, CONTAINER.port(), &all);
        run.unwrap_or_else(|error| panic!("{error}"));
    };
    run("web1", &[]);
    has("172.17.42.200:36000 wrr -> 172.17.42.40:36000 Tunnel 1 0 0");
    site.balances(&[container(1)])
        .expect("the host's own table");
    // Until the director is master, nobody is.
    let who = wait::until("an answer", LIMIT, || {
        Ok(match site.greet() {
            Ok(greeting) => Look::Met(greeting.name),
            Err(error) => Look::NotYet(error.to_string()),
        })
    });
    assert_eq!(who.unwrap_or_else(|error| panic!("{error}")), "web1");
    run("web2", &["--label", "elver.weight=5"]);
    has("172.17.42.40:36000 Tunnel 6");
    for name in ["web1", "web2"] {
        let remove = ["rm", "--force", name];
        site.engine.docker(&remove).expect("its end");
    }
    wait::until("no real server", LIMIT, || {
        let table = site.director.command(&["ipvsadm", "-Ln"])?.stdout;
        Ok(if table.contains("172.17.42.40") {
            Look::NotYet(table)
        } else {
            Look::Met(())
        })
    })
    .unwrap_or_else(|error| panic!("{error}"));
}

/// The command line of the book, word by word.
fn of_the_book() -> Vec<String> {
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let text = std::fs::read_to_string(book).expect("the chapter");
    let (_, command) = text.split_once("```\ndocker run").expect("the command");
    let (command, _) = command.split_once("```").expect("its end");
    let words = command.split_whitespace().filter(|word| *word != "\\");
    words.map(str::to_owned).collect()
}

#[test]
fn a_director_runs_in_a_container_with_the_capabilities_of_the_book() {
    let name = "docker-director";
    unload_leftovers(name, &elver()).expect("the leftovers go");
    let lab = Lab::new(name).expect("a lab");
    let host = |name| lab.host(name).expect("a host");
    let (client, director, server) = (host("client"), host("director"), host("server"));
    lab.link((&client, "eth0"), (&director, "eth0"))
        .expect("a link");
    lab.link((&director, "eth1"), (&server, "eth0"))
        .expect("a link");
    for (host, interface, address) in [
        (&client, "eth0", "10.1.0.2/24"),
        (&director, "eth0", "10.1.0.1/24"),
        (&director, "eth1", "10.2.0.1/24"),
        (&server, "eth0", "10.2.0.2/24"),
    ] {
        host.add_address(interface, address).expect("an address");
    }
    let gateway = Ipv4Addr::new(10, 2, 0, 1);
    server.add_default_route(gateway).expect("a route");
    director
        .set_sysctl("net/ipv4/ip_forward", "1")
        .expect("forwarding");
    let real = SocketAddrV4::new(Ipv4Addr::new(10, 2, 0, 2), 8080);
    let _service = Service::start(&server, "server", real).expect("a service");
    let folder = lab.directory().join("keepalived");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(
        folder.join("keepalived.conf"),
        "vrrp_instance one {\ninterface eth0\nvirtual_router_id 51\npriority 100\n\
         virtual_ipaddress {\n10.1.0.100\n}\n}\n\
         virtual_server 10.1.0.100 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n\
         real_server 10.2.0.2 8080 {\nTCP_CHECK {\nalpha\n}\n}\n}\n",
    )
    .expect("a file");

    // An image has the program and its libraries; this one borrows them.
    let program = elver().display().to_string();
    let (instance, folder) = (director.namespace_name(), folder.display());
    let borrowed = format!(
        "--detach --name director --env ELVER_INSTANCE={instance} \
         --volume {program}:/opt/keepalived:ro --volume /lib:/lib:ro --volume /lib64:/lib64:ro \
         --volume /etc/passwd:/etc/passwd:ro"
    );
    let mut words: Vec<String> = vec!["run".to_owned()];
    words.extend(borrowed.split(' ').map(str::to_owned));
    let engine = Engine::start(&lab, &director, None).expect("an engine");
    let version = engine.docker(&["version", "--format", "{{.Server.Version}}"]);
    let is_old = version.expect("a version").starts_with("20.");
    for word in of_the_book() {
        match &*word {
            // As the book says of this version.
            "BPF" | "PERFMON" if is_old => words.push("SYS_ADMIN".to_owned()),
            "IMAGE" => words.push(IMAGE.to_owned()),
            "keepalived" => words.push("/opt/keepalived".to_owned()),
            "/etc/keepalived:/etc/keepalived:ro" => {
                words.push(format!("{folder}:/etc/keepalived:ro"));
            }
            word => words.push(word.to_owned()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    engine.docker(&words).expect("a container");
    let ask = |arguments: &[&str]| {
        let mut command = director.command(elver()).expect("a command");
        command.args(arguments).env("ELVER_INSTANCE", instance);
        director.output(command, LIMIT).expect("it ends")
    };
    let vip = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 100), 80);
    let answered = wait::until("an answer", LIMIT, || {
        Ok(match Conversation::open(&client, vip, LIMIT) {
            Ok(conversation) => Look::Met(conversation.greeting().at),
            Err(error) => {
                let status = ask(&["ctl", "status"]);
                let mut command = director.command("docker")?;
                let socket = format!("unix://{}", engine.socket().display());
                command.args(["--host", &socket, "logs", "director"]);
                let log = director.output(command, LIMIT)?.stderr;
                Look::NotYet(format!("{error}\n{status:?}\n{log}"))
            }
        })
    })
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answered, real.into());
    let status = ask(&["ctl", "status"]);
    assert!(status.stdout.contains("MASTER"), "{status:?}");
    engine.docker(&["stop", "director"]).expect("its end");
    let left = director.has_address("eth0", "10.1.0.100");
    assert!(!left.expect("addresses"), "the address is taken away");
}
