//! BFD with a real keepalived as the neighbour: what follows it here, and what it sees. Needs
//! root and keepalived.

use std::time::Duration;

use elver_lab::director::{Director, kill};
use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");

/// The real server has an address of its own, so that its check says nothing but what the
/// session does.
const OURS: &str = "
bfd_instance FOUR {
    neighbor_ip 10.9.0.2
    source_ip 10.9.0.1
    min_rx 50
    min_tx 50
}
bfd_instance SIX {
    neighbor_ip fd09::2
    min_rx 100
    min_tx 33.5
    weight -30
}
vrrp_instance VI_1 {
    interface e0
    virtual_router_id 51
    priority 100
    track_bfd {
        FOUR weight 20
        SIX
    }
    virtual_ipaddress {
        10.9.0.100
    }
}
vrrp_sync_group G {
    group {
        VI_2
        VI_3
    }
    track_bfd {
        FOUR weight 0
    }
}
vrrp_instance VI_2 {
    interface e0
    virtual_router_id 52
    virtual_ipaddress {
        10.9.0.102
    }
}
vrrp_instance VI_3 {
    interface e0
    virtual_router_id 53
    virtual_ipaddress {
        10.9.0.103
    }
}
virtual_server 10.9.0.100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.9.0.2 80 {
        BFD_CHECK {
            name FOUR
        }
    }
}
";

const THEIRS: &str = "
bfd_instance FOUR {
    neighbor_ip 10.9.0.1
    source_ip 10.9.0.2
    min_rx 60
    min_tx 40
    multiplier 4
}
bfd_instance SIX {
    neighbor_ip fd09::1
    source_ip fd09::2
    min_rx 50
    min_tx 50
}
";

struct Site {
    lab: Lab,
    director: Host,
    neighbor: Host,
}

impl Site {
    fn new(name: &str) -> Site {
        let lab = Lab::new(name).unwrap();
        let (director, neighbor) = (lab.host("director").unwrap(), lab.host("neighbor").unwrap());
        lab.link((&director, "e0"), (&neighbor, "e0")).unwrap();
        for (host, number) in [(&director, 1), (&neighbor, 2)] {
            host.add_address("e0", &format!("10.9.0.{number}/24"))
                .unwrap();
            let address = format!("fd09::{number}/64");
            host.ip(&["address", "add", &address, "dev", "e0", "nodad"])
                .unwrap();
        }
        Site {
            lab,
            director,
            neighbor,
        }
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.lab.directory().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn elver(&self, text: &str) -> Director {
        let file = self.file("elver.conf", text);
        let elver = std::path::Path::new(ELVER);
        Director::start(&self.lab, &self.director, elver, &file).unwrap()
    }

    /// keepalived, whose pid files begin with `name`: one that ends takes its own away.
    fn keepalived(&self, name: &str, text: &str) -> Program {
        let file = self.file("keepalived.conf", text);
        let mut command = self.neighbor.command("keepalived").unwrap();
        command.args(["-n", "-l", "-D", "-P", "-f"]).arg(file);
        for (option, process) in [("-p", "parent"), ("-r", "vrrp"), ("-b", "bfd")] {
            let file = format!("{name}.{process}");
            command.arg(option).arg(self.lab.directory().join(file));
        }
        self.neighbor.start(name, command).unwrap()
    }
}

fn eventually(awaited: &str, seen: &Program, condition: impl Fn() -> bool) {
    until_true(awaited, LIMIT, || Ok(condition()), || seen.log()).unwrap();
}

/// Waits until the status has a line with all these words.
fn shows(director: &Director, words: &[&str]) {
    let awaited = format!("a status with {words:?}");
    eventually(&awaited, director.program(), || {
        let status = director.status().unwrap_or_default();
        let mut lines = status.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    });
}

/// How often a program has said something.
fn count(program: &Program, words: &str) -> usize {
    program.log().matches(words).count()
}

/// Waits until it has said it so often.
fn says(program: &Program, words: &str, times: usize) {
    eventually(words, program, || count(program, words) >= times);
}

#[test]
fn a_neighbour_that_dies_and_returns_takes_all_with_it_that_follows_its_session() {
    let site = Site::new("bfd-keepalived");
    let director = site.elver(OURS);
    // Nobody is there yet.
    shows(&director, &["10.9.0.2", "down", "BFD session FOUR is down"]);
    shows(&director, &["VI_2", "FAULT"]);
    for round in 1..=2 {
        let name = format!("keepalived-{round}");
        let keepalived = site.keepalived(&name, THEIRS);
        let ours = director.program();
        says(ours, "BFD_Instance(FOUR) Entering Up state", round);
        says(ours, "BFD_Instance(SIX) Entering Up state", round);
        says(ours, " to 120", round);
        for session in ["FOUR", "SIX"] {
            says(&keepalived, &format!("({session}) Entering Up state"), 1);
        }
        shows(&director, &["10.9.0.2", "up", "BFD session FOUR is up"]);
        let destinations = director.ipvsadm(&["-Ln"]).unwrap();
        assert!(destinations.contains("10.9.0.2:80"), "{destinations}");
        shows(&director, &["VI_2", "MASTER"]);
        shows(&director, &["VI_3", "MASTER"]);

        // All of it: its parent would start another process for BFD.
        let file = site.lab.directory().join(format!("{name}.bfd"));
        let bfd = std::fs::read_to_string(file).unwrap();
        keepalived.signal(Signal::STOP).unwrap();
        kill(bfd.trim().parse().unwrap()).unwrap();
        says(ours, "BFD_Instance(FOUR) Entering Down state", round);
        says(ours, "BFD_Instance(SIX) Entering Down state", round);
        shows(&director, &["10.9.0.2", "down", "BFD session FOUR is down"]);
        shows(&director, &["VI_1", "MASTER"]);
        shows(&director, &["VI_2", "FAULT"]);
        shows(&director, &["VI_3", "FAULT"]);
        says(ours, " to 70", round);
        let destinations = director.ipvsadm(&["-Ln"]).unwrap();
        assert!(!destinations.contains("10.9.0.2:80"), "{destinations}");
        keepalived.signal(Signal::CONT).unwrap();
        drop(keepalived);
    }
}

#[test]
fn keepalived_hears_of_our_end() {
    let site = Site::new("bfd-end");
    let keepalived = site.keepalived("keepalived", THEIRS);
    for (ending, diagnostic) in [
        (Signal::TERM, "Neighbor Signaled Session Down"),
        (Signal::KILL, "Neighbor Signaled Session Down"),
    ] {
        let before = count(&keepalived, diagnostic);
        let ups = count(&keepalived, "(FOUR) Entering Up state");
        let director = site.elver(OURS);
        says(&keepalived, "(FOUR) Entering Up state", ups + 1);
        director.program().signal(ending).unwrap();
        says(&keepalived, diagnostic, before + 1);
        director.program().wait(LIMIT).unwrap();
    }
}

#[test]
fn a_reload_lets_sessions_go_on() {
    let site = Site::new("bfd-reload");
    let director = site.elver(OURS);
    let keepalived = site.keepalived("keepalived", THEIRS);
    says(
        director.program(),
        "BFD_Instance(FOUR) Entering Up state",
        1,
    );
    says(director.program(), "BFD_Instance(SIX) Entering Up state", 1);
    shows(&director, &["10.9.0.2", "up"]);
    let slower = OURS
        .replace("min_rx 50", "min_rx 200")
        .replace("weight 20", "weight 40");
    site.file("elver.conf", &slower);
    director
        .command(&["ctl", "reload"])
        .unwrap()
        .success()
        .unwrap();
    says(director.program(), "to 140", 1);
    // keepalived takes the new interval in, by a poll.
    says(&keepalived, "200000", 1);
    assert_eq!(count(director.program(), "Entering Down state"), 0);
    assert_eq!(count(&keepalived, "Entering Down state"), 0);
}
