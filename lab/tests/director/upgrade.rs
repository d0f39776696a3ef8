//! Every process is killed, and another build takes over, under the traffic of many
//! connections.

use elver_lab::director::{Director, kill};
use elver_lab::nat::SERVICE;
use elver_lab::traffic::Traffic;
use elver_lab::wait::{self, Look};
use rustix::process::Signal;

use crate::configuration::Configuration;
use crate::site::{
    LIMIT, Site, elver, holds_addresses, is_named_below, wait_for_addresses, wait_for_real_servers,
    wait_until_master,
};

const CONNECTIONS: u32 = 200;

/// Connections, packets in and out, octets in and out, of all real servers together.
fn totals(director: &Director) -> [u64; 5] {
    let listing = director
        .ipvsadm(&["-Ln", "--stats", "--exact"])
        .expect("a listing");
    let mut totals = [0; 5];
    for line in listing.lines().filter(|line| line.starts_with("  -> 172.")) {
        let numbers = line.split_whitespace().skip(2);
        for (total, number) in totals.iter_mut().zip(numbers) {
            *total += number.parse::<u64>().expect("a number");
        }
    }
    totals
}

/// The totals, which have to have gone on from what they were, without a new connection.
fn expect_to_go_on(director: &Director, before: [u64; 5]) -> [u64; 5] {
    let now = totals(director);
    assert_eq!(now[0], u64::from(CONNECTIONS), "{now:?}");
    for (now, before) in now.iter().zip(&before).skip(1) {
        assert!(now > before, "{now:?} after {before:?}");
    }
    now
}

fn wait_for_children(director: &Director, but: u32) {
    wait::until("another process in its place", LIMIT, || {
        director.check_running()?;
        let now = director.children();
        Ok(if now.len() == 2 && !now.contains(&but) {
            Look::Met(())
        } else {
            Look::NotYet(format!("children {now:?}"))
        })
    })
    .expect("another process");
}

#[test]
fn connections_with_data_outlive_every_process_and_an_upgrade() {
    let site = Site::new("outlive", 1);
    let director = site.serve();
    let traffic =
        Traffic::start(&site.client, SERVICE, CONNECTIONS, LIMIT).expect("the connections");
    traffic.flows_on(LIMIT).expect("data flows");
    let mut counted = totals(&director);
    assert_eq!(counted[0], u64::from(CONNECTIONS), "{counted:?}");

    for victim in director.children() {
        kill(victim).expect("a signal");
        traffic.flows_on(LIMIT).expect("data flows without it");
        wait_for_children(&director, victim);
        wait_until_master(&director);
        traffic.flows_on(LIMIT).expect("data flows with the next");
        counted = expect_to_go_on(&director, counted);
    }

    let mut running = director;
    // The one that was killed, and then another file: `ELVER_NEWER` can name one that was built
    // from another version.
    for program in [elver(), newer(&site)] {
        running.program().signal(Signal::KILL).expect("a signal");
        running.program().wait(LIMIT).expect("an end");
        traffic
            .flows_on(LIMIT)
            .expect("data flows without a director");
        wait_for_addresses(running.host(), false);
        traffic
            .flows_on(LIMIT)
            .expect("data flows without addresses");
        let path = site.write(0, &Configuration::new(&site.addresses()).text());
        running =
            Director::start(&site.lab, &site.directors[0], &program, &path).expect("a director");
        wait_until_master(&running);
        wait_for_real_servers(&running, &site.addresses());
        traffic.flows_on(LIMIT).expect("data flows with the next");
        counted = expect_to_go_on(&running, counted);
    }
    let octets = traffic.finish().expect("every octet came back");
    let [_, _, _, bytes_in, bytes_out] = totals(&running);
    assert!(
        bytes_in > octets && bytes_out > octets,
        "{octets} octets of data, and counted {bytes_in} in, {bytes_out} out"
    );
    let pins = std::path::Path::new("/sys/fs/bpf/elver").join(running.instance());
    assert!(
        !is_named_below(&pins, "succeeded"),
        "programs of an earlier director are left"
    );
}

#[test]
fn an_upgrade_in_place_loses_no_connection_and_no_address() {
    let site = Site::new("in-place", 1);
    let program = newer(&site);
    let path = site.write(0, &Configuration::new(&site.addresses()).text());
    let director =
        Director::start(&site.lab, &site.directors[0], &program, &path).expect("a director");
    wait_until_master(&director);
    wait_for_real_servers(&director, &site.addresses());
    let traffic =
        Traffic::start(&site.client, SERVICE, CONNECTIONS, LIMIT).expect("the connections");
    traffic.flows_on(LIMIT).expect("data flows");
    let mut counted = totals(&director);
    let before = director.children();

    // As a package manager does it: another file gets the name.
    let other = program.with_extension("new");
    std::fs::copy(elver(), &other).expect("a copy");
    std::fs::rename(&other, &program).expect("another file by the same name");
    let upgraded = director.command(&["ctl", "upgrade"]).expect("it ends");
    assert!(upgraded.status.success(), "{}", upgraded.stderr);
    assert_eq!(holds_addresses(director.host()), [true; 2]);
    traffic.flows_on(LIMIT).expect("data flows with the next");
    counted = expect_to_go_on(&director, counted);

    director.check_running().expect("the process is the same");
    assert!(director.children().is_disjoint(&before));
    let text = std::fs::read_link(format!("/proc/{}/exe", director.program().id()));
    assert_eq!(text.expect("it runs"), program, "the newer file");
    let log = director.program().log();
    assert_eq!(log.matches("Entering MASTER STATE").count(), 2, "{log}");
    assert_eq!(log.matches("Resuming MASTER STATE").count(), 2, "{log}");
    assert!(!log.contains("sent 0 priority"), "{log}");
    // New connections are balanced by the successor.
    site.connect().expect("an answer");
    traffic.finish().expect("every octet came back");
    assert!(counted[0] >= u64::from(CONNECTIONS));
}

/// The program that takes over.
fn newer(site: &Site) -> std::path::PathBuf {
    std::env::var_os("ELVER_NEWER").map_or_else(
        || {
            let copy = site.lab.directory().join("elver");
            std::fs::copy(elver(), &copy).expect("a copy");
            copy
        },
        std::path::PathBuf::from,
    )
}
