//! VRRP against real keepalived, in network namespaces. Needs root, keepalived,
//! tcpdump and tshark.

mod support;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use elver_core::vrrp::State;
use support::{Network, instance, keepalived_instance};

/// The process under test, started by the other tests with a channel as its standard
/// input.
#[test]
#[ignore = "not a test: the other tests start it as a process of its own"]
fn the_vrrp_process() {
    assert_eq!(std::env::var("ELVER_VRRP_TEST").as_deref(), Ok("stdin"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let channel: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .unwrap();
    let code = runtime.block_on(elver::vrrp_process::run(UnixStream::from(channel)));
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}

const VIP: &str = "10.66.0.100";

#[test]
fn the_higher_priority_is_master_and_the_lower_takes_over_when_it_stops() {
    let network = Network::new();
    let ours = instance("VI_1", "eth0", 51, 150, VIP);
    let theirs = instance("VI_1", "eth0", 51, 100, VIP);
    let elver = network.elver(0);
    elver.configure(std::slice::from_ref(&ours), &[]);
    let keepalived = network.keepalived(1, &keepalived_instance(&theirs));
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);

    elver.shut_down();
    keepalived.says("Backup received priority 0 advertisement");
    network.held_by(1, "eth0", VIP);

    let elver = network.elver(0);
    elver.configure(&[ours], &[]);
    keepalived.says("Master received advert from 10.66.0.1 with higher priority 150, ours 100");
    elver.state("VI_1", State::Master);
    network.held_by(0, "eth0", VIP);
}
