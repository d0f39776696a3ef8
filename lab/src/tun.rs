//! `elver lab tun`: the tunnels of `lab/examples/tun` to three real servers, shown step by step.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::capture::Capture;
use crate::decode::Decoded;
use crate::director::unload_leftovers;
use crate::nat::{expect, holds, show, title};
use crate::real_servers::{
    CLIENTS, DIRECTOR, REAL_SERVERS, RealServers, SERVICE, STEP_LIMIT, VIP, count,
};
use crate::{Lab, Program, Result};

/// Octets that each client sends, and then gets.
const TRANSFER: u64 = 4 << 20;
/// The largest segment that fits through a tunnel of 1500 octets: an IPv4 header more than
/// without.
const LARGEST_SEGMENT: u16 = 1500 - 20 - 20 - 20;

/// Builds the network, runs `elver` in it, and shows and checks each step on standard output;
/// stays up until a signal comes, unless it is to run `once`.
pub fn run(once: bool, elver: &Path) -> Result<()> {
    unload_leftovers("tun", elver)?;
    let lab = Lab::new("tun")?;
    let outcome = demonstrate(&lab, once, elver);
    if outcome.is_err() {
        lab.keep_records();
    }
    outcome
}

fn demonstrate(lab: &Lab, once: bool, elver: &Path) -> Result<()> {
    title("The network");
    let network = RealServers::set_up(lab, elver, "TUN")?;
    println!("client         {} and two more", CLIENTS[0]);
    println!("director       {DIRECTOR}, VIP {VIP}");
    for (host, address) in network.real_servers.iter().zip(REAL_SERVERS) {
        println!("{:<14} {address}, a service on port 3306", host.name());
    }

    title("Real servers: no ipip module, no tunl0, no sysctl");
    let mut roles = Vec::new();
    for number in 0..REAL_SERVERS.len() {
        let role = network.start_role(lab, number, "role")?;
        show(
            network.real_servers[number].name(),
            &format!("elver real-server -f keepalived.conf --director {DIRECTOR}"),
            &role.log(),
        );
        roles.push(role);
    }
    show(
        "director",
        "ipvsadm -Ln",
        &network.is_ready(REAL_SERVERS.len())?,
    );
    let verdict = network.ask_role(0, "check")?.success()?;
    show("real-server1", "elver real-server check …", &verdict);
    holds("elver real-server check finds nothing wrong");

    title("Clients connect to the virtual address");
    answers_go_straight(&network)?;

    title("Who has the virtual address?");
    expect(
        "those who answer ARP for it",
        BTreeSet::from([network.mac(&network.host)?]),
        network.who_has_vip()?,
    )?;
    holds("the director alone answers ARP for it");

    title("A real server is killed, started again and stopped");
    death_and_return(lab, &network, &mut roles)?;
    stay(lab, once, &network)
}

/// Every client reaches a real server, and no answer passes the director.
fn answers_go_straight(network: &RealServers) -> Result<()> {
    let at_director = Capture::start(&network.host, "eth0")?;
    let at_client = Capture::start(&network.client, "eth0")?;
    let greetings = network.converse(TRANSFER)?;
    for greeting in &greetings {
        println!(
            "{} at {} sees {}",
            greeting.name, greeting.at, greeting.sees
        );
        expect("what answers", SERVICE.into(), greeting.at)?;
    }
    let names: BTreeSet<_> = greetings.iter().map(|greeting| &greeting.name).collect();
    expect(
        "real servers that answered",
        REAL_SERVERS.len(),
        names.len(),
    )?;
    let (missed, passed, came) = (
        at_director.missed(),
        count(&at_director.finish()),
        at_client.finish(),
    );
    expect("frames that the capture missed", 0, missed)?;
    let clients = count(&came);
    println!(
        "at the director: {} packets from clients, {} in tunnels to real servers, {} answers",
        passed.requests, passed.tunnelled, passed.answers
    );
    println!("at the client:   {} answers", clients.answers);
    expect("answers at the director", 0, passed.answers)?;
    expect(
        "packets that went on in tunnels",
        true,
        passed.tunnelled >= passed.requests,
    )?;
    expect("answers at the client", true, clients.answers > 0)?;
    holds("all three real servers answer, straight to the client: no answer passes the director");
    expect("fragments", 0, passed.fragments + clients.fragments)?;
    let announced: BTreeSet<u16> = came
        .iter()
        .filter(|frame| {
            matches!(frame.decode(), Decoded::Tcp(tcp) if tcp.syn && tcp.ack && tcp.source == SERVICE.into())
        })
        .filter_map(|frame| segment_size(&frame.bytes))
        .collect();
    expect(
        "segment sizes that real servers announce",
        BTreeSet::from([LARGEST_SEGMENT]),
        announced,
    )?;
    holds("clients are told to send segments of 1440 octets, and nothing is fragmented");
    Ok(())
}

/// The segment size of a SYN in an Ethernet frame, where it is the first option.
fn segment_size(frame: &[u8]) -> Option<u16> {
    match frame.get(14 + 20 + 20..14 + 20 + 24)? {
        [2, 4, high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

fn death_and_return(lab: &Lab, network: &RealServers, roles: &mut [Program]) -> Result<()> {
    let host = &network.real_servers[0];
    let has_vip = || host.has_address("lo", &format!("{VIP}/32"));
    let Some(first) = roles.first() else {
        return Ok(());
    };
    first.signal(Signal::KILL)?;
    first.wait(STEP_LIMIT)?;
    expect("the virtual address on lo", true, has_vip()?)?;
    network.converse(1 << 10)?;
    holds("killed: it goes on without its process");
    roles[0] = network.start_role(lab, 0, "role-again")?;
    roles[0].signal(Signal::TERM)?;
    roles[0].wait(STEP_LIMIT)?;
    expect("the virtual address on lo", false, has_vip()?)?;
    let hooks = host.command("tc").and_then(|mut command| {
        command.args(["filter", "show", "dev", "eth0", "ingress"]);
        host.output(command, STEP_LIMIT)?.success()
    })?;
    expect("filters on eth0", "", hooks.trim())?;
    holds("started and stopped: everything is as it was");
    roles[0] = network.start_role(lab, 0, "role-at-last")?;
    Ok(())
}

/// Ends, or stays up until interrupted.
pub(crate) fn stay(lab: &Lab, once: bool, network: &RealServers) -> Result<()> {
    if once {
        println!("\nEvery step held.");
        return Ok(());
    }
    title("The lab stays up until you press Ctrl-C");
    for host in [&network.client, &network.host]
        .into_iter()
        .chain(&network.real_servers)
    {
        println!("{:<60} # {}", host.shell_command(), host.name());
    }
    while !lab.interrupted_within(Duration::from_secs(1)) {
        network.director.check_running()?;
    }
    println!("\nEverything is taken down.");
    Ok(())
}
