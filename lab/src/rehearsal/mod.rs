//! `elver lab -f`: a configuration tried out with real packets.
//!
//! The network that the configuration speaks of ([`elver_core::topology`]) is built of
//! namespaces, the director runs in it, and a client asks every service. What answered, and by
//! which way, is the [`Report`].

mod ask;
mod listen;
mod network;
mod report;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use elver_core::config::{Secrets, dump};
use elver_core::service::Protocol;
use elver_core::topology::Topology;

use self::ask::Asking;
use self::listen::{Servers, Witness};
use self::network::Network;
pub use self::report::{Report, ServerReport, ServiceReport, Way};
use crate::capture::Capture;
use crate::director::{Director, unload_leftovers};
use crate::nat::{show, title};
use crate::{Error, Host, Lab, Program, Result};

/// How long a command of elver's may take on a busy machine.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// What every start takes, beside the times of the configuration.
const LEAST_PATIENCE: Duration = Duration::from_secs(20);
/// Longer than that nobody waits for a dry run.
const MOST_PATIENCE: Duration = Duration::from_secs(240);
/// How often the director is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How a configuration is tried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub file: PathBuf,
    /// The name that lines with `@` hold for, where it is not that of the host.
    pub config_id: Option<String>,
    /// End after the report, rather than stay up until interrupted.
    pub once: bool,
    /// Print the report as JSON, and nothing else, to standard output.
    pub json: bool,
}

/// Builds the network, runs `elver` in it, asks every service, and prints what answered.
///
/// Gives whether every service answered. Nothing is left behind, but logs and captures where one
/// did not.
pub fn run(options: &Options, topology: &Topology, elver: &Path) -> Result<bool> {
    unload_leftovers("file", elver)?;
    let lab = Lab::new("file")?;
    let outcome = rehearse(&lab, options, topology, elver);
    if !matches!(outcome, Ok(true)) {
        lab.keep_records();
    }
    outcome
}

fn rehearse(lab: &Lab, options: &Options, topology: &Topology, elver: &Path) -> Result<bool> {
    let talks = !options.json;
    let network = Network::build(lab, topology)?;
    if talks {
        tell_network(&network, topology);
    }
    let witness = Witness::default();
    let _servers = Servers::start(&network, topology, &witness)?;
    let _roles = start_roles(lab, &network, topology, elver)?;
    let director = start_director(lab, &network.director, options, topology, elver)?;
    let status = wait_until_ready(&director, topology, talks)?;
    if talks {
        show("director", "elver ctl status", &status);
        show("director", "ipvsadm -Ln", &director.ipvsadm(&["-Ln"])?);
        title("A client asks every service");
    }
    let captures: Vec<Capture> = topology
        .router
        .interfaces
        .iter()
        .map(|interface| Capture::start(&network.router, &interface.name))
        .collect::<Result<_>>()?;
    let answers: Vec<_> = topology
        .calls
        .iter()
        .map(|call| Asking::new(&network.client, topology, &witness).ask(call))
        .collect::<Result<_>>()?;
    director.check_running()?;
    let frames: Vec<_> = captures.into_iter().flat_map(Capture::finish).collect();
    let report = Report::new(topology, &answers, &frames, &network.own_macs()?, &status);
    if options.json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    if !options.once {
        stay(lab, &network, &director, talks)?;
    }
    Ok(report.is_complete())
}

fn tell_network(network: &Network, topology: &Topology) {
    title("The network");
    for (name, node, _) in network.nodes(topology) {
        let mut line = format!("{name:<16}");
        for interface in &node.interfaces {
            let shown: Vec<String> = interface
                .addresses
                .iter()
                .filter(|prefix| prefix.address != elver_core::topology::ROUTER)
                .map(|prefix| prefix.to_string())
                .collect();
            // A client has many, of which one says enough.
            let (shown, more) = match &shown[..] {
                [first, rest @ ..] if rest.len() > 4 => (first.clone(), " …"),
                _ => (shown.join(" "), ""),
            };
            // Writing into a String does not fail.
            let _ = write!(line, " {}: {shown}{more}", interface.name);
        }
        println!("{line}");
    }
    for server in topology
        .servers
        .iter()
        .filter(|server| server.node.is_none())
    {
        println!(
            "{:<16} {}, on the director itself",
            server.name, server.address
        );
    }
    if !topology.remarks.is_empty() {
        title("What is not as in the file");
        for remark in &topology.remarks {
            println!("- {remark}");
        }
    }
    title("The director starts");
}

/// `elver real-server` on every host that gets packets by direct routing or tunnels.
fn start_roles(
    lab: &Lab,
    network: &Network,
    topology: &Topology,
    elver: &Path,
) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    let settings = empty_settings(lab)?;
    for (server, host) in topology.servers.iter().zip(&network.servers) {
        let (Some(role), Some(host)) = (&server.role, host) else {
            continue;
        };
        let (leaver, binary) = (host.clone(), elver.to_owned());
        lab.on_farewell(move || {
            let unload = leaver.command(&binary).and_then(|mut command| {
                let instance = leaver.namespace_name();
                command.args(["real-server", "unload", "--instance", instance]);
                leaver.output(command, STEP_LIMIT)?.success()
            });
            if let Err(error) = unload {
                eprintln!("elver-lab: {error}");
            }
        })?;
        let mut command = host.command(elver)?;
        command.args(["real-server", "--instance", host.namespace_name()]);
        command.arg("--settings").arg(&settings);
        for vip in &role.vips {
            command.args(["--vip", &vip.to_string()]);
        }
        for director in &role.directors {
            command.args(["--director", &director.to_string()]);
        }
        for port in &role.gue_ports {
            command.args(["--gue-port", &port.to_string()]);
        }
        programs.push(host.start("role", command)?);
    }
    for program in &programs {
        crate::wait::until("elver real-server to run", STEP_LIMIT, || {
            let log = program.log();
            Ok(match log.contains(" runs: ") {
                true => crate::wait::Look::Met(()),
                false => crate::wait::Look::NotYet(log),
            })
        })?;
    }
    Ok(programs)
}

/// Settings of this machine are none of the lab's.
fn empty_settings(lab: &Lab) -> Result<PathBuf> {
    write(lab, "real-server.toml", "")
}

fn write(lab: &Lab, name: &str, text: &str) -> Result<PathBuf> {
    let path = lab.directory().join(name);
    std::fs::write(&path, text).map_err(Error::system(format!("write {}", path.display())))?;
    Ok(path)
}

/// Starts the director on the file itself, or on what is left of it.
fn start_director(
    lab: &Lab,
    host: &Host,
    options: &Options,
    topology: &Topology,
    elver: &Path,
) -> Result<Director> {
    let file = if topology.is_changed {
        let text = dump(&topology.configuration, Secrets::Shown);
        write(lab, "keepalived.conf", &text)?
    } else {
        options.file.clone()
    };
    let settings = write(lab, "elver.toml", &marks(topology))?;
    let settings = settings.display().to_string();
    let mut words = vec!["--settings", &settings];
    if let Some(id) = options
        .config_id
        .as_deref()
        .filter(|_| !topology.is_changed)
    {
        words.extend(["--config-id", id]);
    }
    Director::start_with(lab, host, elver, &file, &words)
}

/// The rules of elver.toml that mark what the client sends.
fn marks(topology: &Topology) -> String {
    let rules = topology.marks.iter().map(|mark| {
        let protocol = match mark.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        format!(
            "[[mark]]\nmark = {}\nprotocol = \"{protocol}\"\ndestination = \"{}\"\nports = \"{}\"\n",
            mark.mark,
            mark.to.ip(),
            mark.to.port()
        )
    });
    rules.collect()
}

/// How long the configuration itself may take until everything is up.
fn patience(topology: &Topology) -> Duration {
    let configuration = &topology.configuration;
    let checks = configuration
        .virtual_servers
        .iter()
        .flat_map(|server| &server.real_servers)
        .flat_map(|server| &server.checks)
        .map(|check| {
            let timing = &check.timing;
            let tries = timing.retries + 1;
            timing.warmup
                + timing.interval
                + (timing.delay_before_retry + check.connection.timeout) * tries
        });
    let instances = configuration
        .instances
        .iter()
        .map(|instance| instance.advertisement_interval * (instance.down_timer_advertisements + 1));
    let longest = checks.chain(instances).max().unwrap_or_default();
    (LEAST_PATIENCE + longest + configuration.global.startup_delay).min(MOST_PATIENCE)
}

/// Waits until every instance is master and every real server is up, and gives what the director
/// says; also if it is not so after the time that the configuration takes.
fn wait_until_ready(director: &Director, topology: &Topology, talks: bool) -> Result<String> {
    let limit = crate::wait::limit_here(patience(topology));
    if talks {
        println!(
            "waiting until it is master, and has checked every real server: {} s at the most",
            limit.as_secs()
        );
    }
    let end = std::time::Instant::now() + limit;
    loop {
        director.check_running()?;
        // Until its socket is there, it cannot answer.
        let output = director.command(&["ctl", "status"])?;
        let is_late = std::time::Instant::now() >= end;
        if output.status.success() && (is_late || is_ready(&output.stdout, topology)) {
            if is_late && talks {
                println!("not everything is up, and it is not waited for longer");
            }
            return Ok(output.stdout);
        }
        if is_late {
            return Err(Error::Unmet {
                awaited: "the director to answer".to_owned(),
                seen: output.stderr,
                limit,
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Whether what `elver ctl status` prints says that everything is up.
fn is_ready(status: &str, topology: &Topology) -> bool {
    let masters = part(status, "VRRP instances")
        .filter(|line| line.split_whitespace().next_back() == Some("MASTER"))
        .count();
    let mut checked = part(status, "Real servers");
    masters == topology.configuration.instances.len()
        && checked.all(|line| {
            let is_down = line.split_whitespace().any(|word| word == "down");
            !is_down && !line.contains("not checked yet")
        })
}

/// The lines under a heading.
fn part<'a>(status: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = status
        .lines()
        .skip_while(move |line| *line != heading)
        .skip(1);
    lines.take_while(|line| line.starts_with(' '))
}

/// Stays up until interrupted.
fn stay(lab: &Lab, network: &Network, director: &Director, talks: bool) -> Result<()> {
    if talks {
        title("The lab stays up until you press Ctrl-C");
        let hosts = [&network.client, &network.router, &network.director];
        let mut seen = BTreeSet::new();
        for host in hosts.into_iter().chain(network.servers.iter().flatten()) {
            if seen.insert(host.name()) {
                println!("{:<60} # {}", host.shell_command(), host.name());
            }
        }
    }
    while !lab.interrupted_within(Duration::from_secs(1)) {
        director.check_running()?;
    }
    if talks {
        println!("\nEverything is taken down.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_part_end_with_the_next_heading() {
        let status =
            "VRRP instances\n  A  MASTER\nReal servers\n  S  R  up  fine\nPackets\n  x 1\n";
        let lines: Vec<_> = part(status, "VRRP instances").collect();
        assert_eq!(lines, ["  A  MASTER"]);
        assert_eq!(part(status, "Devices").count(), 0);
    }
}
