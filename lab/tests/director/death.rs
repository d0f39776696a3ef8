//! kill -9 of any process, and the next start.

use std::collections::BTreeSet;

use elver_lab::capture::Capture;
use elver_lab::decode::Decoded;
use elver_lab::director::kill;
use elver_lab::nat::SERVICE;
use elver_lab::wait::{self, Look};
use rustix::process::Signal;

use crate::configuration::Configuration;
use crate::site::{LIMIT, Site, wait_for_real_servers, wait_until_master};

/// A capture in which no connection may have been reset.
struct NoResets(Capture);

impl NoResets {
    fn finish(self) {
        let reset = self
            .0
            .finish()
            .into_iter()
            .find(|frame| matches!(frame.decode(), Decoded::Tcp(tcp) if tcp.rst));
        assert!(reset.is_none(), "{}", reset.expect("a frame"));
    }
}

#[test]
fn each_child_is_replaced_and_connections_go_on() {
    let site = Site::new("child-killed", 1);
    let director = site.serve();
    let born = director.children();
    assert_eq!(born.len(), 2, "one process for VRRP, one for checks");
    let front = NoResets(Capture::start(&site.client, "eth0").expect("a capture"));
    let mut conversation = site.connect().expect("a connection");
    for victim in born {
        let others: BTreeSet<_> = director
            .children()
            .into_iter()
            .filter(|&child| child != victim)
            .collect();
        kill(victim).expect("a signal");
        conversation
            .echo("right after")
            .expect("the connection goes on");
        site.connect()
            .expect("a new connection")
            .echo("new")
            .expect("an echo");
        wait::until(
            "a new process in the place of the killed one",
            LIMIT,
            || {
                director.check_running()?;
                let now = director.children();
                let replaced = now.len() == 2 && !now.contains(&victim) && now.is_superset(&others);
                Ok(if replaced {
                    Look::Met(())
                } else {
                    Look::NotYet(format!("children {now:?}"))
                })
            },
        )
        .expect("a new process");
        wait_until_master(&director);
        wait_for_real_servers(&director, &site.addresses());
        conversation
            .echo("and later")
            .expect("the connection goes on");
        site.connect()
            .expect("a new connection")
            .echo("new")
            .expect("an echo");
    }
    front.finish();
}

#[test]
fn the_next_director_takes_up_what_a_killed_one_left() {
    let site = Site::new("killed-adopted", 1);
    let director = site.serve();
    let front = NoResets(Capture::start(&site.client, "eth0").expect("a capture"));
    let mut conversation = site.connect().expect("a connection");
    let client = conversation
        .local_address()
        .expect("an address")
        .to_string();
    // With the director go VIP and DIP, and who has not met them yet cannot find them any
    // more: let both real servers meet the DIP first.
    let met: BTreeSet<_> = (0..4).map(|_| site.who_answers()).collect();
    assert_eq!(met.len(), 2, "{met:?}");
    let orphans = director.children();

    director.program().signal(Signal::KILL).expect("a signal");
    director.program().wait(LIMIT).expect("an end");
    conversation
        .echo("without a director")
        .expect("the connection goes on");
    site.connect()
        .expect("a new connection")
        .echo("new")
        .expect("an echo");
    wait::until("the orphans to end", LIMIT, || {
        let left: Vec<_> = orphans
            .iter()
            .filter(|orphan| is_running(**orphan))
            .collect();
        Ok(if left.is_empty() {
            Look::Met(())
        } else {
            Look::NotYet(format!("{left:?} run"))
        })
    })
    .expect("children do not outlive their supervisor");
    crate::site::wait_for_addresses(director.host(), false);

    let next = site.start(0, &Configuration::new(&site.addresses()));
    wait_until_master(&next);
    wait_for_real_servers(&next, &site.addresses());
    conversation
        .echo("with the next")
        .expect("the connection goes on");
    let connections = next.ipvsadm(&["-Lnc"]).expect("a listing");
    let listed = connections.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.contains(&client.as_str()) && words.contains(&SERVICE.to_string().as_str())
    });
    assert!(
        listed,
        "the connection of {client} is known to the next:\n{connections}"
    );
    site.connect()
        .expect("a new connection")
        .echo("new")
        .expect("an echo");
    front.finish();
}

/// Whether a process runs; one that has ended and that nobody has noticed does not.
fn is_running(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().expect("a state").starts_with(" Z"))
}
