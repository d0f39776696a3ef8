//! What VRRP needs of a kernel that has more kinds of devices than most: elver beside keepalived,
//! with the same file, one after the other in the same network.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use elver_lab::capture::Capture;
use elver_lab::decode::Decoded;
use elver_lab::director::Director;
use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use rustix::process::Signal;

use crate::balanced::LIMIT;
use crate::steps::Steps;

/// Each kind of device.
pub(crate) fn steps(steps: &mut Steps, elver: &Path) {
    if !steps.wanted("vrrp: ") {
        return;
    }
    steps.step("vrrp: an ipvlan of IPv4", || {
        let lines = "use_ipvlan own51 10.66.0.9/24 private";
        let seen = both(elver, &instance(lines, "10.66.0.100/24"), &["10.66.0.100"]);
        assert!(seen.contains("ipvlan mode l2 private"), "{seen}");
        assert!(seen.contains("advertised from 10.66.0.9\n"), "{seen}");
    });
    steps.step(
        "vrrp: an ipvlan of IPv6, without a name or an address",
        || {
            let addresses = "fe80::100\n2001:db8::100/64";
            let seen = both(
                elver,
                &instance("use_ipvlan", addresses),
                &["2001:db8::100"],
            );
            assert!(seen.contains("ipvlan mode l2 bridge"), "{seen}");
            assert!(seen.contains("advertised from fe80:"), "{seen}");
        },
    );
    steps.step("vrrp: an ipvlan of IPv6 with an address", || {
        let lines = "use_ipvlan own51 fe80::9/64 vepa";
        let addresses = "fe80::100\n2001:db8::100/64";
        let seen = both(elver, &instance(lines, addresses), &["2001:db8::100"]);
        assert!(seen.contains("advertised from fe80::9\n"), "{seen}");
    });
    steps.step(
        "vrrp: routes of a VRF, and with identifiers and locators",
        || {
            // Not every kernel finds it by itself.
            crate::run(Path::new("modprobe"), &["ila"]);
            let routes = "virtual_routes {\n10.88.0.0/24 dev eth0 vrf blue\n\
             2001:db8:8:0:2000::/80 dev eth0 encap ila 2001:db8:1:2\n}";
            let wanted = ["10.66.0.100", "10.88.0.0/24", "2001:db8:8:0:2000::"];
            let seen = both(elver, &instance(routes, "10.66.0.100/24"), &wanted);
            assert!(seen.contains("10.88.0.0/24 dev eth0 table 77"), "{seen}");
            assert!(seen.contains("encap ila 2001:db8:1:2"), "{seen}");
        },
    );
}

fn instance(lines: &str, addresses: &str) -> String {
    format!(
        "global_defs {{\nscript_user root\nenable_script_security\n}}\n\
         vrrp_instance one {{\ninterface eth0\nvirtual_router_id 51\npriority 150\n\
         advert_int 1\n{lines}\nvirtual_ipaddress {{\n{addresses}\n}}\n}}\n"
    )
}

struct Site {
    lab: Lab,
    host: Host,
    peer: Host,
    file: PathBuf,
}

/// Has keepalived and then elver run a file until each holds all of `wanted`, and gives back
/// what both of them have made of the network; neither leaves anything of it.
fn both(elver: &Path, text: &str, wanted: &[&str]) -> String {
    let site = Site::new(text);
    let untouched = site.shown();
    let capture = Capture::start(&site.peer, "eth0").expect("a capture");
    let mut seen = Vec::new();
    for what in ["keepalived", "elver"] {
        capture.clear();
        let (program, director) = match what {
            "keepalived" => (Some(site.keepalived()), None),
            _ => {
                let started = Director::start(&site.lab, &site.host, elver, &site.file);
                (None, Some(started.expect("elver")))
            }
        };
        let program = program
            .as_ref()
            .or(director.as_ref().map(Director::program));
        let program = program.expect("one of the two runs");
        let holds = || Ok(wanted.iter().all(|one| site.shown().contains(one)));
        let state = || format!("{}{}", site.shown(), program.log());
        until_true(&format!("{what} to hold all"), LIMIT, holds, state).expect("it is master");
        let is_advertisement = |frame: &Decoded| advertiser(frame).is_some();
        let frame = capture.wait_for("an advertisement", LIMIT, is_advertisement);
        let source = advertiser(&frame.expect("it advertises").decode()).expect("a source");
        seen.push(format!("{}advertised from {source}\n", site.shown()));
        program.signal(Signal::TERM).expect("a signal");
        program.wait(LIMIT).expect("it ends");
        assert_eq!(site.shown(), untouched, "{what} leaves nothing");
    }
    assert_eq!(seen[1], seen[0], "elver's, and keepalived's");
    println!("{}", seen[0]);
    seen.swap_remove(0)
}

/// The source of an advertisement.
fn advertiser(frame: &Decoded) -> Option<IpAddr> {
    const VRRP: u8 = 112;
    match frame {
        Decoded::Vrrp(advertisement) => Some(advertisement.source),
        Decoded::Ip {
            source, protocol, ..
        } => (*protocol == VRRP).then_some(*source),
        _ => None,
    }
}

impl Site {
    fn new(text: &str) -> Site {
        let lab = Lab::new("oracle-vrrp").expect("a lab");
        let interface = ("eth0", "10.66.0.1/24");
        let (host, peer) = lab.host_and_peer("router", &[interface]).expect("hosts");
        for arguments in ["link add blue type vrf table 77", "link set blue up"] {
            let words: Vec<&str> = arguments.split(' ').collect();
            host.ip(&words).expect("a VRF");
        }
        let file = lab.directory().join("keepalived.conf");
        std::fs::write(&file, text).expect("a file");
        let settled = || {
            Ok(!host
                .ip(&["-6", "addr", "show", "tentative"])?
                .contains("fe80"))
        };
        until_true("the link-local address", LIMIT, settled, String::new).expect("it is there");
        Site {
            lab,
            host,
            peer,
            file,
        }
    }

    fn keepalived(&self) -> Program {
        let mut command = self.host.command("keepalived").expect("a command");
        command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]);
        command.arg(&self.file);
        for option in ["--pid", "--vrrp_pid"] {
            let file = self.lab.directory().join(option.trim_start_matches('-'));
            command.arg(option).arg(file);
        }
        self.host.start("keepalived", command).expect("keepalived")
    }

    /// Devices, addresses and routes, without numbers and times.
    fn shown(&self) -> String {
        let ip = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            self.host.ip(&words).expect("ip")
        };
        let mut shown = String::new();
        for link in ip("-d -o link show type ipvlan").lines() {
            let name = link.split_whitespace().nth(1).unwrap_or_default();
            let kind = link.split_once(" ipvlan ").map_or("", |(_, rest)| rest);
            let kind = kind
                .split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ");
            let state = if link.contains("LOWER_UP") {
                "up"
            } else {
                "down"
            };
            let _ = writeln!(shown, "{name} {state} ipvlan {kind}");
        }
        for line in ip("-o addr show").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let end = words.iter().position(|word| word.ends_with('\\'));
            let _ = writeln!(shown, "{}", words[1..end.unwrap_or(words.len())].join(" "));
        }
        for routes in ["-4 route show table all", "-6 route show table all"] {
            for line in ip(routes)
                .lines()
                .filter(|line| line.contains("keepalived"))
            {
                let words: Vec<&str> = line.split_whitespace().collect();
                let _ = writeln!(shown, "{}", words.join(" "));
            }
        }
        shown
    }
}
