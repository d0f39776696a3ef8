//! `elver lab dr`: direct routing to three real servers in the clients' network, what ARP does
//! to that, and the remedy, shown step by step.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::capture::Capture;
use crate::client::Conversation;
use crate::director::unload_leftovers;
use crate::nat::{expect, holds, show, title};
use crate::real_servers::{
    CLIENTS, DIRECTOR, REAL_SERVERS, RealServers, SERVICE, STEP_LIMIT, VIP, count,
};
use crate::tun::stay;
use crate::{Lab, Result};

/// Octets that each client sends, and then gets.
const TRANSFER: u64 = 4 << 20;

/// Builds the network, runs `elver` in it, and shows and checks each step on standard output;
/// stays up until a signal comes, unless it is to run `once`.
pub fn run(once: bool, elver: &Path) -> Result<()> {
    unload_leftovers("dr", elver)?;
    let lab = Lab::new("dr")?;
    let outcome = demonstrate(&lab, once, elver);
    if outcome.is_err() {
        lab.keep_records();
    }
    outcome
}

fn demonstrate(lab: &Lab, once: bool, elver: &Path) -> Result<()> {
    title("The network");
    let network = RealServers::set_up(lab, elver, "DR")?;
    println!("client         {} and two more", CLIENTS[0]);
    println!("director       {DIRECTOR}, VIP {VIP}");
    for (host, address) in network.real_servers.iter().zip(REAL_SERVERS) {
        println!("{:<14} {address}, a service on port 3306", host.name());
    }
    show(
        "director",
        "ipvsadm -Ln",
        &network.is_ready(REAL_SERVERS.len())?,
    );

    title("The ARP problem: the virtual address on lo, and nothing else");
    for host in &network.real_servers {
        host.ip(&["address", "add", &format!("{VIP}/32"), "dev", "lo"])?;
    }
    show(
        "real-server1 … 3",
        &format!("ip address add {VIP}/32 dev lo"),
        "",
    );
    breaks(&network)?;

    title("What is wrong?");
    let verdict = network.ask_role(0, "check")?;
    show("real-server1", "elver real-server check …", &verdict.stdout);
    expect(
        "that the check finds it",
        true,
        verdict.stdout.contains("eth0 answers ARP for it"),
    )?;
    holds("elver real-server check names it, and says what to do");

    title("Solved by elver real-server");
    let mut roles = Vec::new();
    for number in 0..REAL_SERVERS.len() {
        roles.push(network.start_role(lab, number, "role")?);
    }
    show(
        "real-server1",
        &format!("elver real-server -f keepalived.conf --director {DIRECTOR}"),
        &roles[0].log(),
    );
    solved(&network)?;
    stay(lab, once, &network)
}

/// Everybody answers for the virtual address, and clients pass by the director.
fn breaks(network: &RealServers) -> Result<()> {
    let answers = network.who_has_vip()?;
    for mac in &answers {
        println!("client: somebody answers ARP for {VIP}: {}", words(*mac));
    }
    expect("hosts that answer", 1 + REAL_SERVERS.len(), answers.len())?;
    // As when the director's machine is exchanged: for a moment it does not answer first.
    network.switch.set_down("port1")?;
    network.who_has_vip()?;
    network.switch.set_up("port1")?;
    let at_director = Capture::start(&network.host, "eth0")?;
    let mut conversation = Conversation::open(&network.client, SERVICE, STEP_LIMIT)?;
    conversation.echo("who are you?")?;
    let passed = count(&at_director.finish());
    println!(
        "client: {} answers; at the director: {} packets of this connection",
        conversation.greeting().name,
        passed.requests
    );
    expect("packets at the director", 0, passed.requests)?;
    holds(
        "as expected it is broken: every host answers ARP for the virtual address, and a \
         client's connection goes around the director",
    );
    Ok(())
}

/// The director alone answers, and every client comes by it.
fn solved(network: &RealServers) -> Result<()> {
    let director = network.mac(&network.host)?;
    wait_for_director(network, director)?;
    let at_director = Capture::start(&network.host, "eth0")?;
    let at_client = Capture::start(&network.client, "eth0")?;
    let greetings = network.converse(TRANSFER)?;
    for greeting in &greetings {
        println!(
            "{} at {} sees {}",
            greeting.name, greeting.at, greeting.sees
        );
    }
    let names: BTreeSet<_> = greetings.iter().map(|greeting| &greeting.name).collect();
    expect(
        "real servers that answered",
        REAL_SERVERS.len(),
        names.len(),
    )?;
    let (passed, came) = (count(&at_director.finish()), count(&at_client.finish()));
    println!(
        "at the director: {} packets to the virtual address (each arrives and leaves), {} answers",
        passed.requests, passed.answers
    );
    println!("at the client:   {} answers", came.answers);
    expect("requests at the director", true, passed.requests > 0)?;
    expect("answers at the director", 0, passed.answers)?;
    expect("answers at the client", true, came.answers > 0)?;
    holds("the director alone answers ARP, and no answer of a real server passes it");
    Ok(())
}

/// Only the director's answers are left, once it is heard again.
fn wait_for_director(network: &RealServers, director: [u8; 6]) -> Result<()> {
    use crate::wait::{Look, until};
    let only = BTreeSet::from([director]);
    until("the director alone to answer ARP", STEP_LIMIT, || {
        let answers = network.who_has_vip()?;
        if answers == only {
            return Ok(Look::Met(()));
        }
        std::thread::sleep(Duration::from_millis(500));
        let all: Vec<_> = answers.into_iter().map(words).collect();
        Ok(Look::NotYet(all.join(", ")))
    })?;
    println!("client: {} alone answers ARP for {VIP}", words(director));
    Ok(())
}

fn words(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}
