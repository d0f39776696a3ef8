//! How elver comes to its devices on a kernel without tcx, and how it leaves them.

use std::net::SocketAddrV4;
use std::path::Path;

use elver_lab::director::kill;
use elver_lab::wait::{self, Look};
use rustix::process::Signal;

use crate::balanced::{Balancer, LIMIT};
use crate::kernel_table;
use crate::side::{CLIENTS, PORTS, Side, server, vip};
use crate::steps::Steps;

/// The interfaces of the director.
const INTERFACES: [&str; CLIENTS + 1] = ["eth0", "eth1", "eth2", "back"];

/// How many connections outlive processes at once.
const CONNECTIONS: u32 = 200;

/// From the first start to the last trace.
pub(crate) fn steps(steps: &mut Steps, elver: &Path) {
    if !steps.wanted("elver: ") {
        return;
    }
    let mut side = Side::new("attachment", Balancer::Elver(elver));
    steps.step("elver: a filled table of the kernel is refused", || {
        kernel_table::is_refused_where_it_is_filled(&side, elver);
    });
    steps.step(
        "elver: beside an empty table of the kernel it attaches by clsact",
        || {
            side.start(elver);
            expect_filters(&side, 1);
            expect_by_clsact(&side);
            serve(&side);
        },
    );
    steps.step("elver: killed, it leaves filters that forward", || {
        let killed = side.director.take_elver();
        killed.program().signal(Signal::KILL).expect("a signal");
        killed.program().wait(LIMIT).expect("an end");
        expect_filters(&side, 1);
        expect_answer(&side);
    });
    steps.step("elver: the next one takes the filters over", || {
        let before = programs(&side);
        side.start(elver);
        expect_filters(&side, 1);
        let after = programs(&side);
        assert_ne!(before, after, "the filters run the programs of the next");
        expect_answer(&side);
    });
    steps.step("elver: connections with data outlive every process", || {
        outlive(&mut side, elver);
    });
    steps.step("elver: SIGTERM leaves nothing", || {
        side.director.list(&["-C"]);
        let stopped = side.director.take_elver();
        stopped.program().signal(Signal::TERM).expect("a signal");
        let status = stopped.program().wait(LIMIT).expect("an end");
        assert!(status.success(), "{status}:\n{}", stopped.program().log());
        expect_nothing(&side);
    });
    steps.step("elver: unload removes what a killed one left", || {
        side.start(elver);
        serve(&side);
        let killed = side.director.take_elver();
        killed.program().signal(Signal::KILL).expect("a signal");
        killed.program().wait(LIMIT).expect("an end");
        let said = side.director.run(elver, &["unload"]);
        assert_eq!(said.status, Some(0), "{said:?}");
        expect_nothing(&side);
    });
}

/// Kills every process and starts the next under the traffic of many connections.
fn outlive(side: &mut Side, elver: &Path) {
    let traffic = side.traffic(0, service(), CONNECTIONS);
    let flows_on = || traffic.flows_on(LIMIT).expect("data flows");
    flows_on();
    let before = counted(side);
    let director = side.director.elver();
    for victim in director.children() {
        kill(victim).expect("a signal");
        flows_on();
        wait::until("another process in its place", LIMIT, || {
            director.check_running()?;
            let now = director.children();
            Ok(if now.len() == 2 && !now.contains(&victim) {
                Look::Met(())
            } else {
                Look::NotYet(format!("children {now:?}"))
            })
        })
        .expect("another process");
    }
    let killed = side.director.take_elver();
    killed.program().signal(Signal::KILL).expect("a signal");
    killed.program().wait(LIMIT).expect("an end");
    flows_on();
    side.start(elver);
    flows_on();
    let after = counted(side);
    assert_eq!(after[0], before[0], "no connection is new");
    for (after, before) in after.iter().zip(&before).skip(1) {
        assert!(after > before, "{before:?}, then {after:?}");
    }
    traffic.finish().expect("every octet came back");
}

/// Connections, packets in and out, octets in and out of the real server.
fn counted(side: &Side) -> Vec<u64> {
    let listing = side.director.list(&["-Ln", "--stats", "--exact"]);
    let server = listing
        .lines()
        .find(|line| line.contains(&format!("-> {}", server(0))))
        .unwrap_or_else(|| panic!("{listing}"));
    let numbers = server.split_whitespace().skip(2);
    numbers
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn service() -> SocketAddrV4 {
    SocketAddrV4::new(vip(0), PORTS[0])
}

/// Adds a service by which the client is answered.
fn serve(side: &Side) {
    let (service, destination) = (service().to_string(), server(0).to_string());
    side.director.list(&["-A", "-t", &service, "-s", "rr"]);
    side.director
        .list(&["-a", "-t", &service, "-r", &destination, "-m"]);
    expect_answer(side);
}

fn expect_answer(side: &Side) {
    let mut conversation = side.connect(0, service()).expect("a connection");
    assert_eq!(conversation.greeting().at, server(0).into());
    conversation.upload(1 << 18).expect("data passes intact");
    conversation.download(1 << 18).expect("data passes intact");
}

/// The filters at the ingress of an interface, as `tc` has them.
fn filters(side: &Side, interface: &str) -> Vec<String> {
    let said = side.director.run(
        Path::new("tc"),
        &["filter", "show", "dev", interface, "ingress"],
    );
    assert_eq!(said.status, Some(0), "{said:?}");
    said.output
        .lines()
        .filter(|line| line.contains(" handle "))
        .map(str::to_owned)
        .collect()
}

/// The line of each filter, which has the number of its program.
fn programs(side: &Side) -> Vec<String> {
    INTERFACES
        .iter()
        .flat_map(|interface| filters(side, interface))
        .collect()
}

fn expect_filters(side: &Side, count: usize) {
    for interface in INTERFACES {
        let filters = filters(side, interface);
        assert_eq!(filters.len(), count, "{interface}: {filters:#?}");
        for filter in filters {
            assert!(filter.contains("elver_arrive"), "{interface}: {filter}");
        }
    }
}

fn expect_by_clsact(side: &Side) {
    let status = side.director.elver().status().expect("a status");
    // The loopback device as well, over which clients on the director come.
    assert_eq!(
        status.matches("tc (clsact)").count(),
        INTERFACES.len() + 1,
        "{status}"
    );
}

fn expect_nothing(side: &Side) {
    expect_filters(side, 0);
    let pins = Path::new("/sys/fs/bpf/elver").join(side.director.host().namespace_name());
    assert!(!pins.exists(), "{} is left", pins.display());
}
