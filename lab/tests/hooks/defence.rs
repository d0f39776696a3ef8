//! A director that defends itself against floods.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use elver_lab::wait::{self, Look};

use crate::network::{LIMIT, Network, PORT, REAL, Transport, VIP};

/// Seconds that a connection in this state has left, for each that is listed.
fn left(network: &Network, state: &str) -> Vec<u32> {
    let listed = network.director.ipvsadm(&["-Lnc"]).expect("a list");
    let lines = listed.lines().filter(|line| line.contains(state));
    lines
        .map(|line| {
            let expires = line.split_whitespace().nth(1).expect("a time");
            let (minutes, seconds) = expires.split_once(':').expect("minutes and seconds");
            let number = |text: &str| text.parse::<u32>().expect("a number");
            60 * number(minutes) + number(seconds)
        })
        .collect()
}

/// With `drop_entry` 3 connections that have not come about go before their time, and those that
/// have stay.
#[test]
fn connections_that_do_not_come_about_are_given_up() {
    let hosts = Network::without_director("hooks-defence");
    let settings = hosts.configuration().with_extension("toml");
    std::fs::write(&settings, "[ipvs]\ndrop_entry = 3\n").expect("a file");
    let network = hosts.with_director(&["--settings", settings.to_str().expect("a name")]);
    let vip = SocketAddr::new(VIP[0].parse().expect("an address"), PORT);
    let server = SocketAddr::new(REAL[0].parse().expect("an address"), PORT);
    network.serve(Transport::Tcp, vip, server, &["-m"]);
    let mut conversation = network.open(vip);
    conversation.echo(1000);
    // Nobody has this address.
    let silent_vip = SocketAddr::new(vip.ip(), PORT + 1);
    let nobody: SocketAddr = "10.2.0.99:8080".parse().expect("an address");
    network.serve(Transport::Tcp, silent_vip, nobody, &["-m"]);
    let tried = network
        .client
        .run(|| TcpStream::connect_timeout(&silent_vip, Duration::from_millis(300)));
    tried
        .expect("a namespace")
        .expect_err("nobody is there to answer");

    let mut last_seen = left(&network, "SYN_RECV");
    assert_eq!(last_seen.len(), 1, "one connection is half open");
    wait::until("the connection to be given up", LIMIT, || {
        Ok(match &left(&network, "SYN_RECV")[..] {
            [] => Look::Met(()),
            seen => {
                last_seen = seen.to_vec();
                Look::NotYet(format!("{seen:?} seconds left"))
            }
        })
    })
    .expect("it goes");
    assert!(
        last_seen.iter().all(|seconds| *seconds > 10),
        "it went by itself: {last_seen:?} seconds were left"
    );
    assert_eq!(left(&network, "ESTABLISHED").len(), 1);
    conversation.echo(1000);
    let log = network.director.program().log();
    assert!(log.contains("(drop_entry)"), "{log}");
}
