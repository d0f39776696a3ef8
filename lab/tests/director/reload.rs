//! SIGHUP reads the configuration again.

use std::collections::BTreeSet;

use elver_lab::capture::Capture;
use elver_lab::decode::{Decoded, Vrrp};
use elver_lab::wait::until_true;
use rustix::process::Signal;

use crate::configuration::Configuration;
use crate::site::{LIMIT, Site, holds_addresses, wait_for_real_servers, wait_until_master};

#[test]
fn real_servers_come_and_go_without_disturbing_the_others() {
    let site = Site::new("reload", 1);
    let [first, second] = site.addresses()[..] else {
        panic!("two real servers")
    };
    let director = site.start(0, &Configuration::new(&[first]));
    wait_until_master(&director);
    wait_for_real_servers(&director, &[first]);
    let mut conversation = site.connect().expect("a connection");
    let front = Capture::start(director.host(), "eth0").expect("a capture");

    site.write(0, &Configuration::new(&[first, second]).text());
    director.program().signal(Signal::HUP).expect("a signal");
    wait_for_real_servers(&director, &[first, second]);
    conversation
        .echo("after one came")
        .expect("the connection goes on");
    let answers: BTreeSet<_> = (0..4).map(|_| site.who_answers()).collect();
    assert_eq!(answers.len(), 2, "the new one takes part: {answers:?}");

    site.write(0, &Configuration::new(&[first]).text());
    director.program().signal(Signal::HUP).expect("a signal");
    wait_for_real_servers(&director, &[first]);
    conversation
        .echo("after one went")
        .expect("the connection goes on");
    let answers: BTreeSet<_> = (0..4).map(|_| site.who_answers()).collect();
    assert_eq!(answers, BTreeSet::from(["real-server1".to_owned()]));

    assert_eq!(holds_addresses(director.host()), [true; 2]);
    let resigned = front
        .finish()
        .into_iter()
        .find(|frame| matches!(frame.decode(), Decoded::Vrrp(Vrrp { priority: 0, .. })));
    assert_eq!(resigned, None, "VRRP has nothing to do with it");
}

#[test]
fn a_difference_says_what_the_reload_then_does() {
    let site = Site::new("reload-diff", 1);
    let [first, second] = site.addresses()[..] else {
        panic!("two real servers")
    };
    let director = site.start(0, &Configuration::new(&[first]));
    wait_until_master(&director);
    wait_for_real_servers(&director, &[first]);
    let after = Configuration {
        priority: 160,
        persistence: Some(50),
        ..Configuration::new(&[second])
    };
    let path = site.write(0, &after.text());
    let difference = || {
        let arguments = ["ctl", "diff", &*path.to_string_lossy()];
        let output = director.command(&arguments).expect("elver runs");
        output.success().expect("a difference")
    };
    let said = difference();
    let before = director.program().log().len();
    wait_for_real_servers(&director, &[first]);
    director.program().signal(Signal::HUP).expect("a signal");
    wait_for_real_servers(&director, &[second]);

    let is_edit = |line: &&str| line.contains("service");
    let announced: Vec<&str> = said.lines().filter(is_edit).collect();
    assert_eq!(announced.len(), 3, "{said}");
    let log = director.program().log();
    let done: Vec<&str> = log[before..]
        .lines()
        .filter_map(|line| line.split_once(" INFO ").map(|(_, words)| words.trim()))
        .filter(|words| announced.contains(words))
        .collect();
    assert_eq!(done, announced, "{log}");
    for line in [
        "-     priority 150",
        "+     priority 160",
        "Beginning TCP_CHECK",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(difference(), "A reload would change nothing.\n");
}

#[test]
fn an_unreadable_configuration_changes_nothing() {
    let site = Site::new("reload-broken", 1);
    let director = site.serve();
    let mut conversation = site.connect().expect("a connection");
    let path = site.write(0, "");
    std::fs::remove_file(&path).expect("the file goes");
    let before = director.program().log().len();
    director.program().signal(Signal::HUP).expect("a signal");
    let complained = || {
        director.check_running()?;
        let log = director.program().log();
        Ok(log[before..].contains(&*path.to_string_lossy()))
    };
    until_true("a complaint that names the file", LIMIT, complained, || {
        director.program().log()
    })
    .expect("a complaint");
    wait_for_real_servers(&director, &site.addresses());
    assert_eq!(holds_addresses(director.host()), [true; 2]);
    conversation
        .echo("still here")
        .expect("the connection goes on");
    site.connect().expect("a new connection");
}
