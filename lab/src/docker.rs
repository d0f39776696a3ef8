//! `elver lab docker`: the container of `lab/examples/docker` behind a virtual address, with a
//! real Docker engine, shown step by step.
//!
//! ```text
//! client 172.17.42.110 ──┬── director 172.17.42.111, VIP 172.17.42.200:36000
//!                        └── host 172.17.42.40 ── docker0 172.18.0.1 ── container 172.18.0.2:22
//! ```

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::capture::Capture;
use crate::client::{Conversation, Greeting};
use crate::decode::Decoded;
use crate::director::{Director, unload_leftovers};
use crate::engine::{Certificates, Engine};
use crate::nat::{expect, holds, show, title};
use crate::service::Service;
use crate::traffic::Traffic;
use crate::wait::{self, Look};
use crate::{Error, Host, Lab, Program, Result};

/// The director's configuration, as the document has it that elver sets out from.
const CONFIGURATION: &str = include_str!("../examples/docker/keepalived.conf");

/// The virtual service.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(172, 17, 42, 200), 36_000);
/// The first container of the engine, and the port that it serves on.
pub const CONTAINER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(172, 18, 0, 2), 22);
/// The director's own address.
pub const DIRECTOR: Ipv4Addr = Ipv4Addr::new(172, 17, 42, 111);
/// The address of the containers' host.
pub const HOST: Ipv4Addr = Ipv4Addr::new(172, 17, 42, 40);
/// The labels by which a container asks for its part of the virtual service.
pub const LABELS: [&str; 4] = [
    "--label",
    "elver.vip=172.17.42.200:36000",
    "--label",
    "elver.port=22",
];

/// How long any one step may take: some wait for timers of the configuration.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The hosts of the network, and what runs in them.
#[derive(Debug)]
pub struct Site {
    /// The client.
    pub client: Host,
    /// The director.
    pub director: Director,
    /// The containers' host.
    pub host: Host,
    /// Its engine.
    pub engine: Engine,
    /// What the director's check knocks at: the host's own port 22.
    _checked: Service,
    elver: PathBuf,
    configuration: PathBuf,
}

impl Site {
    /// Builds the network, and starts the engine and the director.
    pub fn set_up(lab: &Lab, elver: &Path) -> Result<Self> {
        Self::build(lab, elver, false)
    }

    /// [`Site::set_up`] with a director that has no virtual server in its file, and watches the
    /// engine.
    pub fn set_up_watching(lab: &Lab, elver: &Path) -> Result<Self> {
        Self::build(lab, elver, true)
    }

    fn build(lab: &Lab, elver: &Path, watches: bool) -> Result<Self> {
        let client = lab.host("client")?;
        let director = lab.host("director")?;
        let host = lab.host("docker")?;
        let ends = [(&client, "eth0"), (&director, "eth0"), (&host, "eth0")];
        lab.segment("switch", &ends)?;
        client.add_address("eth0", "172.17.42.110/16")?;
        director.add_address("eth0", &format!("{DIRECTOR}/16"))?;
        host.add_address("eth0", &format!("{HOST}/16"))?;
        let configuration = lab.directory().join("keepalived.conf");
        std::fs::write(&configuration, CONFIGURATION)
            .map_err(Error::system(format!("write {}", configuration.display())))?;
        let checked = Service::start(&host, "host", SocketAddrV4::new(HOST, 22))?;
        let certificates = match watches {
            true => Some(Certificates::make(lab, &host, HOST)?),
            false => None,
        };
        let engine = Engine::start(lab, &host, certificates.as_ref())?;
        let director = match certificates {
            None => Director::start(lab, &director, elver, &configuration)?,
            Some(certificates) => {
                let files = watching(lab, &certificates)?;
                let settings = files.1.display().to_string();
                let options = ["--settings", &settings];
                Director::start_with(lab, &director, elver, &files.0, &options)?
            }
        };
        Ok(Self {
            client,
            director,
            host,
            engine,
            _checked: checked,
            elver: elver.to_owned(),
            configuration,
        })
    }

    /// Waits until the director holds the virtual address and has the host in its table, which
    /// is given.
    pub fn is_ready(&self) -> Result<String> {
        wait::until("the director with its real server", STEP_LIMIT, || {
            self.director.check_running()?;
            let output = self.director.command(&["ipvsadm", "-Ln"])?;
            let vip = format!("{}/32", SERVICE.ip());
            let is_held = self.director.host().has_address("eth0", &vip)?;
            Ok(if is_held && output.stdout.contains("Tunnel") {
                Look::Met(output.stdout)
            } else {
                Look::NotYet(format!("{}{}", output.stdout, output.stderr))
            })
        })
    }

    /// Starts `elver real-server --docker` on the containers' host.
    pub fn start_role(&self, lab: &Lab, log: &str) -> Result<Program> {
        let instance = self.host.namespace_name();
        for part in [&["unload"][..], &["real-server", "unload"]] {
            let (leaver, elver) = (self.host.clone(), self.elver.clone());
            lab.on_farewell(move || {
                let unload = leaver.command(&elver).and_then(|mut command| {
                    command.args(part);
                    command.args(["--instance", leaver.namespace_name()]);
                    leaver.output(command, STEP_LIMIT)?.success()
                });
                if let Err(error) = unload {
                    eprintln!("elver-lab: {error}");
                }
            })?;
        }
        let mut command = self.host.command(&self.elver)?;
        command.args(["real-server", "--instance", instance, "-f"]);
        command.arg(&self.configuration);
        command.args(["--director", &DIRECTOR.to_string(), "--docker"]);
        let engine = format!("unix://{}", self.engine.socket().display());
        command.env("DOCKER_HOST", engine);
        let program = self.host.start(log, command)?;
        wait::until("elver real-server to run", STEP_LIMIT, || {
            let log = program.log();
            Ok(if log.contains(" runs: ") {
                Look::Met(())
            } else if program.is_running() {
                Look::NotYet(log)
            } else {
                return Err(Error::Unexpected {
                    expected: "elver real-server to run".to_owned(),
                    seen: log,
                });
            })
        })?;
        Ok(program)
    }

    /// The table of the containers' host.
    pub fn table(&self) -> Result<String> {
        let mut command = self.host.command(&self.elver)?;
        command.args(["ipvsadm", "-Ln"]);
        command.env("ELVER_INSTANCE", self.host.namespace_name());
        Ok(self.host.output(command, STEP_LIMIT)?.stdout)
    }

    /// Waits until the table of the containers' host has exactly these destinations that take
    /// connections, and gives it.
    pub fn balances(&self, destinations: &[SocketAddrV4]) -> Result<String> {
        let wanted: BTreeSet<String> = destinations.iter().map(ToString::to_string).collect();
        wait::until(&format!("the containers {wanted:?}"), STEP_LIMIT, || {
            let table = self.table()?;
            let rows = table.lines().map(|line| line.split_whitespace());
            let serving = rows.filter_map(|mut row| match (row.next(), row.next()) {
                (Some("->"), Some(address)) => {
                    let weight = row.nth(1)?;
                    (weight != "0" && address.parse::<SocketAddrV4>().is_ok())
                        .then(|| address.to_owned())
                }
                _ => None,
            });
            Ok(if serving.collect::<BTreeSet<_>>() == wanted {
                Look::Met(table)
            } else {
                Look::NotYet(table)
            })
        })
    }

    /// Connects the client to the virtual service, has a line come back, and gives who answered.
    pub fn greet(&self) -> Result<Greeting> {
        let mut conversation = Conversation::open(&self.client, SERVICE, STEP_LIMIT)?;
        conversation.echo("there and back")?;
        Ok(conversation.greeting().clone())
    }
}

/// The files of a director that finds its real servers: keepalived.conf, and elver.toml.
fn watching(lab: &Lab, certificates: &Certificates) -> Result<(PathBuf, PathBuf)> {
    let end = CONFIGURATION
        .find("virtual_server ")
        .unwrap_or(CONFIGURATION.len());
    let settings = format!(
        "[discovery.docker]\nvips = [\"{}\"]\n\n[[discovery.docker.hosts]]\nengine = \"{}\"\n\
         address = \"{HOST}\"\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
        SERVICE.ip(),
        certificates.engine(),
        certificates.file("ca.pem").display(),
        certificates.file("director.pem").display(),
        certificates.file("director-key.pem").display(),
    );
    let write = |name: &str, text: &str| {
        let path = lab.directory().join(name);
        std::fs::write(&path, text).map_err(Error::system(format!("write {}", path.display())))?;
        Ok(path)
    };
    Ok((
        write("director.conf", &CONFIGURATION[..end])?,
        write("elver.toml", &settings)?,
    ))
}

/// Builds the network, runs `elver` in it, and shows and checks each step on standard output;
/// stays up until a signal comes, unless it is to run `once`.
pub fn run(once: bool, elver: &Path) -> Result<()> {
    unload_leftovers("docker", elver)?;
    let lab = Lab::new("docker")?;
    let outcome = demonstrate(&lab, once, elver);
    if outcome.is_err() {
        lab.keep_records();
    }
    outcome
}

fn demonstrate(lab: &Lab, once: bool, elver: &Path) -> Result<()> {
    title("The network");
    let site = Site::set_up(lab, elver)?;
    println!("client    172.17.42.110");
    println!("director  {DIRECTOR}, VIP {}", SERVICE.ip());
    println!("docker    {HOST}, a Docker engine without iptables and without a proxy");
    show("director", "ipvsadm -Ln", &site.is_ready()?);

    title("A real server that watches its engine");
    let role = site.start_role(lab, "role")?;
    let command = format!("elver real-server -f keepalived.conf --director {DIRECTOR} --docker");
    show("docker", &command, &role.log());

    title("A container that asks for its part");
    site.engine.run("web1", CONTAINER.port(), &LABELS)?;
    let words = format!("docker run --detach --name web1 {} …", LABELS.join(" "));
    show("docker", &words, "");
    show("docker", "ipvsadm -Ln", &site.balances(&[CONTAINER])?);
    holds("the running container is a destination; no port of it is published");

    title("The client connects to the virtual address");
    answers_go_straight(&site)?;
    nothing_in_between(&site)?;

    title("A second container, and the end of the first");
    let second = SocketAddrV4::new(Ipv4Addr::new(172, 18, 0, 3), CONTAINER.port());
    site.engine.run("web2", CONTAINER.port(), &LABELS)?;
    show(
        "docker",
        "ipvsadm -Ln",
        &site.balances(&[CONTAINER, second])?,
    );
    let mut names = BTreeSet::new();
    for _ in 0..4 {
        names.insert(site.greet()?.name);
    }
    let both = BTreeSet::from(["web1".to_owned(), "web2".to_owned()]);
    expect("who answers", both, names)?;
    holds("both answer");
    site.engine.docker(&["rm", "--force", "web1"])?;
    site.balances(&[second])?;
    expect("who answers", "web2".to_owned(), site.greet()?.name)?;
    holds("the second alone answers");
    if once {
        println!("\nEvery step held.");
        return Ok(());
    }
    title("The lab stays up until you press Ctrl-C");
    for host in [&site.client, site.director.host(), &site.host] {
        println!("{:<60} # {}", host.shell_command(), host.name());
    }
    println!("docker --host unix://{} ps", site.engine.socket().display());
    while !lab.interrupted_within(Duration::from_secs(1)) {
        site.director.check_running()?;
    }
    println!("\nEverything is taken down.");
    Ok(())
}

/// The client talks to the container, and no answer passes the director.
fn answers_go_straight(site: &Site) -> Result<()> {
    let capture = Capture::start(site.director.host(), "eth0")?;
    let at_client = Capture::start(&site.client, "eth0")?;
    let greeting = site.greet()?;
    println!(
        "{} at {} sees {}",
        greeting.name, greeting.at, greeting.sees
    );
    expect("what answers", CONTAINER.into(), greeting.at)?;
    let client = Ipv4Addr::new(172, 17, 42, 110);
    expect(
        "whom it sees",
        client.to_string(),
        greeting.sees.ip().to_string(),
    )?;
    let traffic = Traffic::start(&site.client, SERVICE, 4, STEP_LIMIT)?;
    traffic.flows_on(STEP_LIMIT)?;
    traffic.finish()?;
    let missed = capture.missed() + at_client.missed();
    let (passed, came) = (capture.finish(), at_client.finish());
    expect("frames that the captures missed", 0, missed)?;
    let service = std::net::SocketAddr::from(SERVICE);
    let count = |frames: &[crate::capture::Frame], is_it: &dyn Fn(&Decoded) -> bool| {
        frames.iter().filter(|frame| is_it(&frame.decode())).count()
    };
    let is_request =
        |seen: &Decoded| matches!(seen, Decoded::Tcp(tcp) if tcp.destination == service);
    let is_answer = |seen: &Decoded| matches!(seen, Decoded::Tcp(tcp) if tcp.source == service);
    let (requests, answers) = (count(&passed, &is_request), count(&passed, &is_answer));
    let got = count(&came, &is_answer);
    println!("at the director: {requests} packets from the client, {answers} answers");
    println!("at the client:   {got} answers, from {SERVICE}");
    expect("packets at the director", true, requests > 0)?;
    expect("answers at the director", 0, answers)?;
    expect("answers at the client", true, got > 0)?;
    holds("the container answers the client itself, by the virtual address");
    Ok(())
}

/// No rule of netfilter, no proxy, and programs at the bridge alone.
fn nothing_in_between(site: &Site) -> Result<()> {
    let mut nft = site.host.command("nft")?;
    nft.args(["list", "ruleset"]);
    let rules = site.host.output(nft, STEP_LIMIT)?.success()?;
    show("docker", "nft list ruleset", &rules);
    expect("rules of netfilter", "", rules.trim())?;
    let published = site.engine.docker(&["port", "web1"])?;
    show("docker", "docker port web1", &published);
    expect("published ports", "", published.trim())?;
    let links = site
        .host
        .ip(&["-oneline", "link", "show", "master", "docker0"])?;
    for line in links.lines() {
        let port = line.split_whitespace().nth(1).unwrap_or_default();
        let port = port.split(['@', ':']).next().unwrap_or_default();
        for side in ["ingress", "egress"] {
            let mut tc = site.host.command("tc")?;
            tc.args(["filter", "show", "dev", port, side]);
            let filters = site.host.output(tc, STEP_LIMIT)?.success()?;
            expect(&format!("programs at {port}, {side}"), "", filters.trim())?;
        }
    }
    holds("no rule, no proxy, no published port; nothing is attached to ports of the bridge");
    Ok(())
}
