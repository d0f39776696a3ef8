//! Two directors: of elver's, or one of elver's and one of keepalived's.

use std::net::Ipv4Addr;
use std::time::Duration;

use elver_lab::capture::{Capture, Frame};
use elver_lab::director::kill;
use elver_lab::nat::VIP;
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Program};
use rustix::process::{Pid, Signal, kill_process};

use crate::configuration::Configuration;
use crate::site::{
    LIMIT, Site, holds_addresses, wait_for_addresses, wait_for_real_servers, wait_until_master,
};

/// The interval of advertisements: until the next one, an old master may not know of a new one.
const ADVERT_INTERVAL: Duration = Duration::from_secs(1);

fn with_priority(site: &Site, priority: u8) -> Configuration {
    Configuration {
        priority,
        ..Configuration::new(&site.addresses())
    }
}

/// Starts real keepalived, VRRP only, on the director at `index`.
pub(crate) fn start_keepalived(
    site: &Site,
    index: usize,
    configuration: &Configuration,
) -> Program {
    let path = site.write(index, &configuration.vrrp());
    let host = &site.directors[index];
    let mut command = host.command("keepalived").expect("a command");
    command
        .args(["--dont-fork", "--log-console", "--vrrp", "--use-file"])
        .arg(path);
    for (option, name) in [("--pid", "parent"), ("--vrrp_pid", "vrrp")] {
        command
            .arg(option)
            .arg(site.lab.directory().join(format!("{name}.pid")));
    }
    host.start("keepalived", command).expect("keepalived")
}

/// Records when a host gains and loses the VIP.
struct Holding {
    monitor: Program,
    held_at_first: bool,
}

impl Holding {
    fn watch(host: &Host) -> Self {
        let mut command = host.command("ip").expect("a command");
        command.args(["-timestamp", "-tshort", "-4", "monitor", "address"]);
        let monitor = host.start("monitor", command).expect("a monitor");
        // The monitor says nothing when it begins: an address of its own is its sign.
        host.ip(&[
            "link", "add", "probe", "type", "veth", "peer", "name", "probed",
        ])
        .expect("an interface");
        wait::until("the monitor to see an address", LIMIT, || {
            host.ip(&["address", "replace", "192.0.2.1/32", "dev", "probe"])?;
            let log = monitor.log();
            host.ip(&["address", "del", "192.0.2.1/32", "dev", "probe"])?;
            Ok(if log.contains("192.0.2.1/32") {
                Look::Met(())
            } else {
                Look::NotYet(log)
            })
        })
        .expect("the monitor works");
        Self {
            monitor,
            held_at_first: holds_addresses(host)[0],
        }
    }

    fn spans(&self) -> Vec<Span> {
        spans(&self.monitor.log(), self.held_at_first)
    }
}

/// From when until when the VIP was held, in seconds; an open end is infinite.
type Span = (f64, f64);

/// The spans in which the VIP was held, by what `ip -timestamp -tshort monitor address` wrote.
fn spans(log: &str, held_at_first: bool) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut since = held_at_first.then_some(0.0);
    for line in log
        .lines()
        .filter(|line| line.contains(&format!("{VIP}/32")))
    {
        let time = seconds(line);
        match (line.contains("Deleted"), since) {
            (false, None) => since = Some(time),
            (true, Some(start)) => {
                spans.push((start, time));
                since = None;
            }
            // Adding it again renews it.
            (false, Some(_)) | (true, None) => {}
        }
    }
    spans.extend(since.map(|start| (start, f64::INFINITY)));
    spans
}

/// Reads `[2026-11-22T16:33:43.741155] …`, as seconds that keep the order of times.
fn seconds(line: &str) -> f64 {
    let stamp = line
        .strip_prefix('[')
        .and_then(|line| line.split_once(']'))
        .expect("a time")
        .0;
    let (date, clock) = stamp.split_once('T').expect("a date and a time of day");
    let numbers = |text: &str, mark, base| {
        text.split(mark).fold(0.0, |sum, part| {
            sum * base + part.parse::<f64>().expect("a number")
        })
    };
    // Days that do not exist (a month of 32) do not hurt: what is apart stays apart.
    numbers(date, '-', 32.0) * 86_400.0 + numbers(clock, ':', 60.0)
}

/// Fails if both held the VIP for longer than an advertisement takes to come round.
fn assert_never_both(one: &Holding, other: &Holding) {
    let (one, other) = (one.spans(), other.spans());
    assert!(
        !one.is_empty() && !other.is_empty(),
        "each was to hold it in its turn; one: {one:?}, other: {other:?}"
    );
    let both = longest_overlap(&one, &other);
    assert!(
        both < ADVERT_INTERVAL.as_secs_f64(),
        "both held the VIP for {both} s; one: {one:?}, other: {other:?}"
    );
}

fn longest_overlap(one: &[Span], other: &[Span]) -> f64 {
    let pairs = one
        .iter()
        .flat_map(|span| other.iter().map(move |other| (span, other)));
    pairs
        .map(|(&(a, b), &(c, d))| b.min(d) - a.max(c))
        .fold(0.0, f64::max)
}

#[test]
fn a_vip_in_two_places_is_seen() {
    let stamped =
        |time, what| format!("[2026-11-30T{time}] {what}2: eth0 inet {VIP}/32 scope global eth0\n");
    let other_address =
        "[2026-11-30T23:59:00.000000] 2: eth0 inet 192.0.2.1/32 scope global eth0\n";
    let first = [
        stamped("23:59:10.000000", ""),
        stamped("23:59:11.000000", ""),
        other_address.to_owned(),
        stamped("23:59:20.500000", "Deleted "),
    ]
    .concat();
    let second = stamped("23:59:18.000000", "");
    assert_eq!(spans(&first, false).len(), 1);
    assert_eq!(spans(&second, false)[0].1, f64::INFINITY);
    let overlap = longest_overlap(&spans(&first, false), &spans(&second, false));
    assert!((overlap - 2.5).abs() < 1e-3, "{overlap}");

    let next_month = second.replace("2026-11-30T23:59:18", "2026-12-01T00:00:01");
    assert_eq!(
        longest_overlap(&spans(&first, false), &spans(&next_month, false)),
        0.0
    );
    let held_before = spans(&stamped("23:59:30.000000", "Deleted "), true);
    assert!(longest_overlap(&spans(&first, false), &held_before) > 10.0);
}

#[test]
fn two_directors_of_elver_relieve_each_other() {
    let site = Site::new("two", 2);
    let first = site.start(0, &with_priority(&site, 150));
    wait_until_master(&first);
    let second = site.start(1, &with_priority(&site, 100));
    for director in [&first, &second] {
        wait_for_real_servers(director, &site.addresses());
    }
    assert_ne!(first.instance(), second.instance());
    assert_eq!(holds_addresses(second.host()), [false; 2]);
    let holding = [Holding::watch(first.host()), Holding::watch(second.host())];
    site.connect().expect("a connection through the first");

    first.program().signal(Signal::TERM).expect("a signal");
    first.program().wait(LIMIT).expect("an end");
    wait_until_master(&second);
    site.connect().expect("a connection through the second");

    let first = site.start(0, &with_priority(&site, 150));
    wait_until_master(&first);
    wait_for_addresses(second.host(), false);
    wait_for_real_servers(&first, &site.addresses());
    site.connect()
        .expect("a connection through the first again");
    second.check_running().expect("the second stands by");
    assert_never_both(&holding[0], &holding[1]);
}

#[test]
fn keepalived_stands_by_for_elver() {
    let site = Site::new("above-keepalived", 2);
    let elver = site.start(0, &with_priority(&site, 150));
    wait_until_master(&elver);
    let keepalived = start_keepalived(&site, 1, &with_priority(&site, 100));
    let holding = [
        Holding::watch(elver.host()),
        Holding::watch(&site.directors[1]),
    ];

    elver.program().signal(Signal::TERM).expect("a signal");
    elver.program().wait(LIMIT).expect("an end");
    wait_for_addresses(&site.directors[1], true);

    let elver = site.start(0, &with_priority(&site, 150));
    wait_until_master(&elver);
    wait_for_addresses(&site.directors[1], false);
    assert!(keepalived.is_running(), "{}", keepalived.log());
    assert_never_both(&holding[0], &holding[1]);
}

#[test]
fn elver_stands_by_for_keepalived() {
    let site = Site::new("below-keepalived", 2);
    let keepalived = start_keepalived(&site, 1, &with_priority(&site, 150));
    wait_for_addresses(&site.directors[1], true);
    let elver = site.start(0, &with_priority(&site, 100));
    wait_for_real_servers(&elver, &site.addresses());
    let holding = [
        Holding::watch(elver.host()),
        Holding::watch(&site.directors[1]),
    ];
    assert_eq!(holds_addresses(elver.host()), [false; 2]);

    keepalived.signal(Signal::TERM).expect("a signal");
    keepalived.wait(LIMIT).expect("an end");
    wait_until_master(&elver);
    site.connect().expect("a connection through elver");

    let keepalived = start_keepalived(&site, 1, &with_priority(&site, 150));
    wait_for_addresses(&site.directors[1], true);
    wait_for_addresses(elver.host(), false);
    elver.check_running().expect("elver stands by");
    assert!(keepalived.is_running(), "{}", keepalived.log());
    assert_never_both(&holding[0], &holding[1]);
}

/// The spans in which a director has said on the link that it is master.
fn spans_by_advertisements(frames: &[Frame], source: Ipv4Addr) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for frame in frames {
        let Some((from, priority)) = advertisement(&frame.bytes) else {
            continue;
        };
        if from != source {
            continue;
        }
        let time = frame.time.as_secs_f64();
        let patience = 2.0 * ADVERT_INTERVAL.as_secs_f64();
        match spans.last_mut() {
            Some((_, end)) if time - *end < patience => *end = time,
            // One that gives up, or was not heard for a while.
            _ if priority == 0 => {}
            _ => spans.push((time, time)),
        }
    }
    spans
}

/// Source and priority of an advertisement over IPv4, without options in front of it.
fn advertisement(frame: &[u8]) -> Option<(Ipv4Addr, u8)> {
    const VRRP: u8 = 112;
    let is_one = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&VRRP);
    let source = frame.get(26..30)?.first_chunk::<4>()?;
    is_one.then_some((Ipv4Addr::from(*source), *frame.get(36)?))
}

/// Fails if both have said on the link that they are master, for longer than an advertisement
/// takes to come round.
fn assert_one_master_on_the_link(frames: &[Frame]) {
    let of = |director: u8| {
        let source = Ipv4Addr::new(172, 17, 42, 110 + director);
        spans_by_advertisements(frames, source)
    };
    let (one, other) = (of(1), of(2));
    assert!(
        !one.is_empty() && !other.is_empty(),
        "each was to be master in its turn; one: {one:?}, other: {other:?}"
    );
    let both = longest_overlap(&one, &other);
    assert!(
        both < ADVERT_INTERVAL.as_secs_f64(),
        "both were master for {both} s; one: {one:?}, other: {other:?}"
    );
}

/// The vrrp process is stopped for ten seconds and continued, beside real keepalived.
#[test]
fn a_vrrp_process_that_was_stopped_leaves_the_vip_in_one_place() {
    let site = Site::new("stopped-vrrp", 2);
    let elver = site.start(0, &with_priority(&site, 150));
    wait_until_master(&elver);
    let _keepalived = start_keepalived(&site, 1, &with_priority(&site, 100));
    let capture = Capture::start(&site.client, "eth0").expect("a capture");
    let holding = [
        Holding::watch(elver.host()),
        Holding::watch(&site.directors[1]),
    ];
    let before = elver.children();
    let vrrp = vrrp_process(&elver);
    kill_process(vrrp, Signal::STOP).expect("a signal");
    // The director does not let it come back to its addresses.
    wait_for_addresses(elver.host(), false);
    wait_for_addresses(&site.directors[1], true);
    std::thread::sleep(Duration::from_secs(10));
    let _ = kill_process(vrrp, Signal::CONT);
    wait_until_master(&elver);
    wait_for_addresses(&site.directors[1], false);
    assert_ne!(elver.children(), before, "another one runs");
    assert_never_both(&holding[0], &holding[1]);
    assert_one_master_on_the_link(&capture.finish());
}

/// Of a director's processes, the one for VRRP.
fn vrrp_process(director: &elver_lab::director::Director) -> Pid {
    let is_vrrp = |process: &u32| {
        let words = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        words.split(|octet| *octet == 0).any(|word| word == b"vrrp")
    };
    let children = director.children();
    let found = children.iter().copied().find(is_vrrp).expect("one");
    Pid::from_raw(i32::try_from(found).expect("an id")).expect("an id")
}

#[test]
fn no_death_leaves_the_vip_in_two_places() {
    let site = Site::new("split-brain", 2);
    let capture = Capture::start(&site.client, "eth0").expect("a capture");
    let mut elver = site.start(0, &with_priority(&site, 150));
    wait_until_master(&elver);
    let _keepalived = start_keepalived(&site, 1, &with_priority(&site, 100));
    let holding = [
        Holding::watch(elver.host()),
        Holding::watch(&site.directors[1]),
    ];

    for victim in elver.children() {
        kill(victim).expect("a signal");
        // Whoever takes over meanwhile, in the end it is the one of the higher priority.
        wait_until_one_holds(&site);
        wait_until_master(&elver);
        wait_for_addresses(&site.directors[1], false);
    }

    elver.program().signal(Signal::KILL).expect("a signal");
    elver.program().wait(LIMIT).expect("an end");
    wait_for_addresses(&site.directors[1], true);
    wait_for_addresses(&site.directors[0], false);

    elver = site.start(0, &with_priority(&site, 150));
    wait_until_master(&elver);
    wait_for_addresses(&site.directors[1], false);
    assert_never_both(&holding[0], &holding[1]);
    assert_one_master_on_the_link(&capture.finish());
}

/// Waits until exactly one of the two holds both addresses.
fn wait_until_one_holds(site: &Site) {
    wait::until("one director to hold VIP and DIP", LIMIT, || {
        let held: Vec<_> = site.directors.iter().map(holds_addresses).collect();
        let settled = held.contains(&[true; 2]) && held.contains(&[false; 2]);
        Ok(if settled {
            Look::Met(())
        } else {
            Look::NotYet(format!("{held:?}"))
        })
    })
    .expect("one director");
}
