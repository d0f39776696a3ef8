//! A director and a real server with a service of each kind, joined by a cable.

use std::time::Duration;

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const REAL_SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/real_servers.py");

pub(crate) struct Site {
    pub(crate) director: Program,
    pub(crate) host: Host,
    pub(crate) real_server: Host,
    /// What runs on the real server.
    pub(crate) programs: Vec<Program>,
    pub(crate) lab: Lab,
}

/// A virtual server on a port of its own with the real server 10.66.0.2 and one check, in
/// which semicolons end lines.
pub(crate) fn virtual_server(port: u16, check: &str) -> String {
    let check = check.replace(';', "\n");
    format!(
        "virtual_server 10.66.0.100 {port} {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.66.0.2 {port} {{
                {check}
            }}
        }}\n"
    )
}

impl Site {
    pub(crate) fn new(name: &str, configuration: &str) -> Site {
        Site::with(name, configuration, |_, _| Vec::new())
    }

    /// With programs on the real server that `prepare` starts and waits for.
    pub(crate) fn with(
        name: &str,
        configuration: &str,
        prepare: impl FnOnce(&Lab, &Host) -> Vec<Program>,
    ) -> Site {
        let lab = Lab::new(name).expect("a lab");
        let host = lab.host("director").expect("a host");
        let real_server = lab.host("real-server").expect("a host");
        lab.link((&host, "eth0"), (&real_server, "eth0"))
            .expect("a cable");
        host.add_address("eth0", "10.66.0.1/24")
            .expect("an address");
        host.add_address("eth0", "10.66.0.100/32").expect("the VIP");
        real_server
            .add_address("eth0", "10.66.0.2/24")
            .expect("an address");

        let (certificate, key) = (
            lab.directory().join("certificate.pem"),
            lab.directory().join("key.pem"),
        );
        let mut command = host.command("openssl").expect("a command");
        command.args("req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=example".split(' '));
        command
            .arg("-out")
            .arg(&certificate)
            .arg("-keyout")
            .arg(&key);
        let output = host.output(command, LIMIT).expect("openssl runs");
        output.success().expect("a certificate");

        let mut command = real_server.command("python3").expect("a command");
        command.arg(REAL_SERVERS).arg(certificate).arg(key);
        let services = real_server
            .start("services", command)
            .expect("services start");
        let looks = || Ok(services.log().contains("everything listens"));
        until_true("services", LIMIT, looks, || services.log()).expect("services");

        let mut programs = prepare(&lab, &real_server);
        programs.push(services);
        let file = lab.directory().join("elver.conf");
        let directory = lab.directory().display().to_string();
        std::fs::write(&file, configuration.replace("LAB", &directory)).expect("a file");
        let mut command = host.command(ELVER).expect("a command");
        command.arg("run").arg("-f").arg(file);
        command.env("ELVER_INSTANCE", host.namespace_name());
        let director = host.start("elver", command).expect("elver starts");
        let site = Site {
            director,
            host,
            real_server,
            programs,
            lab,
        };
        site.wait_for_log(" runs");
        site
    }

    /// Waits until a file of the lab has exactly these lines, which stand in the order of the
    /// alphabet: those who write them run beside each other.
    pub(crate) fn wait_for_lines(&self, file: &str, wanted: &[&str]) {
        let read = || std::fs::read_to_string(self.lab.directory().join(file)).unwrap_or_default();
        let looks = || {
            let text = read();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            Ok(lines == wanted)
        };
        let explain = || format!("{}\n{}", read(), self.director.log());
        until_true(file, LIMIT, looks, explain).expect("lines");
    }

    pub(crate) fn wait_for_log(&self, words: &str) {
        let looks = || Ok(self.director.log().contains(words));
        until_true(words, LIMIT, looks, || self.director.log()).expect("a line");
    }

    /// Waits until the virtual service on `port` has exactly these destinations, as
    /// `ADDRESS:PORT WEIGHT`.
    pub(crate) fn wait_for_destinations(&self, port: u16, wanted: &[&str]) {
        let awaited = format!("{wanted:?} on port {port}");
        let looks = || Ok(self.destinations(port) == wanted);
        until_true(&awaited, LIMIT, looks, || self.director.log()).expect("destinations");
    }

    /// What `elver` with these arguments prints, or why it fails.
    pub(crate) fn elver(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.host.command(ELVER).expect("a command");
        command.args(arguments);
        command.env("ELVER_INSTANCE", self.host.namespace_name());
        let output = self.host.output(command, LIMIT).expect("elver runs");
        output.success().map_err(|error| error.to_string())
    }

    /// Starts another director, in the place of one that has ended.
    pub(crate) fn start_director(&self, name: &str, configuration: &str) -> Program {
        let directory = self.lab.directory().display().to_string();
        let file = self.lab.directory().join(format!("{name}.conf"));
        std::fs::write(&file, configuration.replace("LAB", &directory)).expect("a file");
        let mut command = self.host.command(ELVER).expect("a command");
        command.arg("run").arg("-f").arg(file);
        command.env("ELVER_INSTANCE", self.host.namespace_name());
        self.host.start(name, command).expect("elver starts")
    }

    /// Starts a program that listens on a port of the real server.
    pub(crate) fn listen(&self, port: u16) -> Program {
        let mut command = self.real_server.command("python3").expect("a command");
        command.args(["-m", "http.server", &port.to_string()]);
        self.real_server
            .start(&format!("listener-{port}"), command)
            .expect("it starts")
    }

    pub(crate) fn destinations(&self, port: u16) -> Vec<String> {
        let service = format!("10.66.0.100:{port}");
        let mut found: Vec<String> = self
            .elver(&["ipvsadm", "-Ln", "-t", &service])
            .expect("a list")
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["->", address, _, weight, ..] if address.contains("10.") => {
                        Some(format!("{address} {weight}"))
                    }
                    _ => None,
                }
            })
            .collect();
        found.sort();
        found
    }
}
