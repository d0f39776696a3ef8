//! SIGTERM, and `elver unload`.

use std::path::Path;

use elver_lab::capture::Capture;
use elver_lab::decode::Decoded;
use elver_lab::nat::{DIP, VIP};
use rustix::process::Signal;

use crate::site::{LIMIT, Site, holds_addresses, is_named_below};

#[test]
fn sigterm_gives_everything_up() {
    let site = Site::new("sigterm", 1);
    let director = site.serve();
    site.connect().expect("a connection");
    let children = director.children();
    assert!(
        !children.is_empty(),
        "VRRP and checks have processes of their own"
    );
    let front = Capture::start(director.host(), "eth0").expect("a capture");
    let back = Capture::start(director.host(), "eth1").expect("a capture");

    director.program().signal(Signal::TERM).expect("a signal");
    let status = director.program().wait(LIMIT).expect("an end");
    assert!(
        status.success(),
        "{status}; its log:\n{}",
        director.program().log()
    );

    for (capture, router, address) in [(&front, 51, VIP), (&back, 52, DIP)] {
        let awaited = format!("router {router} to give up by priority 0");
        let frame = capture.wait_for(&awaited, LIMIT, |frame| {
            matches!(frame, Decoded::Vrrp(vrrp) if (vrrp.router, vrrp.priority) == (router, 0))
        });
        let Decoded::Vrrp(vrrp) = frame.expect("an advertisement").decode() else {
            panic!("it was one")
        };
        assert_eq!((vrrp.ttl, vrrp.addresses), (255, vec![address]));
    }
    assert_eq!(holds_addresses(director.host()), [false; 2]);
    for child in children {
        assert!(
            !Path::new(&format!("/proc/{child}")).exists(),
            "process {child} stayed behind"
        );
    }
    // The route stays, the neighbour too: only the service is gone.
    let refused = elver_lab::client::Conversation::open(
        &site.client,
        elver_lab::nat::SERVICE,
        std::time::Duration::from_secs(2),
    );
    assert!(refused.is_err(), "the service is still forwarded");
}

#[test]
fn unload_removes_what_a_killed_director_left() {
    let site = Site::new("unload", 1);
    let director = site.serve();
    let instance = director.instance().to_owned();
    let pins = Path::new("/sys/fs/bpf");
    assert!(
        is_named_below(pins, &instance),
        "the tables are pinned under the instance's name"
    );
    for child in director.children() {
        let child = rustix::process::Pid::from_raw(child.cast_signed()).expect("a process");
        // Stopped first, they cannot tidy up when the supervisor dies.
        rustix::process::kill_process(child, Signal::STOP).expect("a signal");
        director.program().signal(Signal::KILL).expect("a signal");
        let _ = rustix::process::kill_process(child, Signal::KILL);
    }
    director.program().wait(LIMIT).expect("an end");

    let output = director
        .command(&["unload", "--instance", &instance])
        .expect("elver runs");
    output.success().expect("unload succeeds");
    assert!(!is_named_below(pins, &instance));
    assert_eq!(holds_addresses(director.host()), [false; 2]);
    for interface in ["eth0", "eth1"] {
        for direction in ["ingress", "egress"] {
            let mut tc = director.host().command("tc").expect("a command");
            tc.args(["filter", "show", "dev", interface, direction]);
            let filters = director.host().output(tc, LIMIT).expect("tc runs").stdout;
            assert_eq!(filters.trim(), "", "{interface} {direction}");
        }
        let link = director
            .host()
            .ip(&["-details", "link", "show", interface])
            .expect("a link");
        assert!(!link.contains("xdp"), "{link}");
    }
}
