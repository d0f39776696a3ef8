//! Settings of keepalived.conf that few files have, with a whole director beside real
//! keepalived, in network namespaces. Needs root, keepalived, tcpdump and tshark.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::director::Director;
use support::{Keepalived, Network, eventually, sh};

const VIP: &str = "10.66.0.100";

fn configuration(outermost: &str, global: &str, priority: u8, lines: &str) -> String {
    format!(
        "{outermost}
        global_defs {{
          {global}
        }}
        vrrp_instance VI_1 {{
          interface eth0
          virtual_router_id 51
          priority {priority}
          {lines}
          virtual_ipaddress {{
            {VIP}
          }}
        }}\n"
    )
}

/// The names of a process and of those that it has started.
fn names(process: u32) -> Vec<String> {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(children).unwrap();
    let all = std::iter::once(process.to_string());
    let all = all.chain(children.split_whitespace().map(str::to_owned));
    let name = |id: String| std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap();
    all.map(|id| name(id).trim().to_owned()).collect()
}

fn child(process: u32, name: &str) -> PathBuf {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(children).unwrap();
    let found = children.split_whitespace().find(|id| {
        let found = std::fs::read_to_string(format!("/proc/{id}/comm"));
        found.is_ok_and(|found| found.trim() == name)
    });
    Path::new("/proc").join(found.unwrap_or_else(|| panic!("no {name}")))
}

#[test]
fn processes_have_the_names_and_priorities_of_the_file() {
    let network = Network::new();
    let text = configuration("", "process_names\nprocess_name balancer", 150, "");
    let keepalived = network.keepalived(0, &text);
    keepalived.says("Entering MASTER STATE");
    let theirs = names(keepalived.id());
    keepalived.stop();
    assert_eq!(theirs, ["balancer", "keepalived_vrrp"]);

    let more = "process_names
        process_name balancer
        checker_no_swap
        bfd_rt_priority 7";
    let session = "bfd_instance peer {
          neighbor_ip 10.66.0.2
        }
        virtual_server 10.66.0.100 80 {
          protocol TCP
          real_server 10.66.0.2 80 {
            TCP_CHECK {
            }
          }
        }";
    let director = Director::start(&network, 0, &configuration(session, more, 150, ""));
    director.says("Entering MASTER STATE");
    let expected = ["balancer", "keepalived_vrrp", "keepalived_lvs"];
    eventually("all have their names", || names(director.id()) == expected);
    let vrrp = child(director.id(), "keepalived_vrrp");
    let stat = std::fs::read_to_string(vrrp.join("stat")).unwrap();
    let priority = stat.rsplit_once(") ").unwrap().1.split(' ').nth(37);
    assert_eq!(priority, Some("7"), "BFD is done there: {stat}");
    let checks = child(director.id(), "keepalived_lvs");
    let limits = std::fs::read_to_string(checks.join("limits")).unwrap();
    let limit = limits
        .lines()
        .find(|line| line.starts_with("Max locked memory"));
    if limit.unwrap().contains("unlimited") {
        eventually("the memory of the checks is locked", || {
            let status = std::fs::read_to_string(checks.join("status")).unwrap();
            let locked = status.lines().find(|line| line.starts_with("VmLck:"));
            locked.is_some_and(|line| !line.contains(" 0 kB"))
        });
    } else {
        // Nobody here may give it more.
        director.says("_no_swap: the memory is not locked: ");
    }
    director.reload(&configuration(session, "", 150, ""));
    director.says("Reload complete");
    eventually("all have their usual names again", || {
        names(director.id()) == ["elver", "elver-vrrp", "elver-check"]
    });
}

/// Devices of the kind macvlan: name, device below, hardware address and addresses.
fn macvlans(network: &Network) -> Vec<String> {
    let router = &network.routers[0];
    let links = sh(&format!("ip -n {router} -o link show type macvlan"));
    let mut found: Vec<String> = links
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.nth(1).unwrap().trim_end_matches(':');
            let mac = line.split("link/ether ").nth(1).unwrap();
            let mac = mac.split_whitespace().next().unwrap();
            let device = name.split('@').next().unwrap();
            let addresses = sh(&format!("ip -n {router} -o addr show dev {device}"));
            let addresses: Vec<&str> = addresses
                .lines()
                .filter_map(|line| line.split_whitespace().nth(3))
                .collect();
            format!("{name} {mac} {}", addresses.join(" "))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn addresses_on_other_interfaces_can_have_virtual_macs_of_their_own() {
    let lines = |how: &str, line: &str| {
        format!(
            "{how}
            virtual_ipaddress_excluded {{
              10.77.0.100/24 dev eth1 {line}
              10.77.0.101/24 dev eth1 {line}
              10.66.0.101/24
            }}"
        )
    };
    for (global, lines) in [
        ("", lines("use_vmac_addr", "")),
        ("", lines("use_vmac\nuse_vmac_addr", "")),
        ("vmac_addr_prefix other", lines("use_vmac", "use_vmac")),
    ] {
        let network = Network::new();
        let text = configuration("", global, 150, &lines);
        let keepalived = network.keepalived(0, &text);
        keepalived.says("Entering MASTER STATE");
        let mut theirs = Vec::new();
        eventually("keepalived has set all its addresses", || {
            theirs = macvlans(&network);
            theirs
                .iter()
                .any(|device| device.contains("10.77.0.101/24"))
        });
        keepalived.stop();
        assert_eq!(macvlans(&network), [""; 0]);
        let director = Director::start(&network, 0, &text);
        director.says("Entering MASTER STATE");
        eventually("elver has set the same", || macvlans(&network) == theirs);
        drop(director);
        assert_eq!(macvlans(&network), [""; 0]);
    }
}

#[test]
fn peers_with_the_old_checksum_are_understood() {
    let network = Network::new();
    let lines =
        |peer: u8, old: &str| format!("version 3\n{old}\nunicast_peer {{\n10.66.0.{peer}\n}}");
    let theirs = configuration("", "", 150, &lines(1, "old_unicast_checksum"));
    let keepalived = network.keepalived(1, &theirs);
    keepalived.says("Entering MASTER STATE");
    let director = Director::start(&network, 0, &configuration("", "", 100, &lines(2, "")));
    director.says("Setting unicast VRRPv3 checksum to old version");
    keepalived.stop();
    director.says("Entering MASTER STATE");
    drop(director);

    // And they understand ours.
    let ours = configuration("", "", 150, &lines(2, "old_unicast_checksum"));
    let director = Director::start(&network, 0, &ours);
    director.says("Entering MASTER STATE");
    let keepalived = network.keepalived(1, &configuration("", "", 100, &lines(1, "")));
    keepalived.says("Setting unicast VRRPv3 checksum to old version");
    drop(director);
    keepalived.says("Backup received priority 0 advertisement");
    keepalived.stop();
}

/// What both say of the same file.
fn both_say(network: &Network, text: &str, words: &[&str]) {
    let keepalived = network.keepalived(0, text);
    words.iter().for_each(|words| keepalived.says(words));
    keepalived.stop();
    let director = Director::start(network, 0, text);
    words.iter().for_each(|words| director.says(words));
}

#[test]
fn an_instance_that_has_no_peer_to_speak_with_is_in_fault() {
    let network = Network::new();
    let text = configuration("", "", 150, "unicast_fault_no_peer");
    let words = "(VI_1) Cannot use unicast without any peers - going to fault state";
    both_say(&network, &text, &[words]);
    let director = Director::start(&network, 0, &text);
    director.says("(VI_1) Entering FAULT STATE");
    // What is wrong stays wrong, whatever becomes of the link.
    let router = &network.routers[0];
    sh(&format!(
        "ip -n {router} link set eth0 down; ip -n {router} link set eth0 up"
    ));
    director.says("Netlink reports eth0 up");
    assert!(!director.log().contains("MASTER STATE"));
}

#[test]
fn virtual_routers_that_nobody_knows_are_logged() {
    let network = Network::new();
    let stranger =
        configuration("", "", 200, "").replace("virtual_router_id 51", "virtual_router_id 99");
    let keepalived = network.keepalived(1, &stranger);
    keepalived.says("Entering MASTER STATE");
    let text = configuration("", "log_unknown_vrids", 150, "");
    both_say(
        &network,
        &text,
        &["Unknown VRID(99) received on interface(eth0). ignoring..."],
    );
    keepalived.stop();
}

#[test]
fn what_a_track_group_needs_is_tracked() {
    let network = Network::new();
    let outermost = "track_group needed {
          group {
            VI_1
          }
        }
        static_ipaddress {
          10.77.0.50/24 dev eth1 track_group needed
        }";
    let text = configuration(outermost, "", 150, "");
    let router = &network.routers[0];
    let cut = |says: &dyn Fn(&str)| {
        says("(VI_1) Entering MASTER STATE");
        sh(&format!("ip -n {router} link set eth1 down"));
        says("(VI_1) Entering FAULT STATE");
        sh(&format!("ip -n {router} link set eth1 up"));
    };
    let keepalived = network.keepalived(0, &text);
    cut(&|words| keepalived.says(words));
    keepalived.stop();
    let director = Director::start(&network, 0, &text);
    cut(&|words| director.says(words));
}

#[test]
fn a_link_that_bounces_is_no_fault() {
    let network = Network::new();
    let text = |delay: &str| configuration(delay, "", 150, "advert_int 5");
    let router = &network.routers[0];
    let bounce = |says: &dyn Fn(&str), log: &dyn Fn() -> String, reports: &str| {
        says("(VI_1) Entering MASTER STATE");
        sh(&format!(
            "ip -n {router} link set eth0 down; ip -n {router} link set eth0 up"
        ));
        sh(&format!(
            "ip -n {router} link set eth1 down; ip -n {router} link set eth1 up"
        ));
        says(reports);
        log()
    };
    let delay = "interface_up_down_delays {\neth0 4 0.5\n}";
    let track = |text: String| {
        text.replace(
            "advert_int",
            "track_interface {\neth1 weight 1\n}\nadvert_int",
        )
    };
    let keepalived: Keepalived = network.keepalived(0, &track(text(delay)));
    let reports = "Netlink reports eth1 up";
    let log = bounce(
        &|words| keepalived.says(words),
        &|| keepalived.log(),
        reports,
    );
    assert!(!log.contains("FAULT STATE"), "{log}");
    keepalived.stop();
    for (delay, is_fault) in [(delay, false), ("", true)] {
        let director = Director::start(&network, 0, &track(text(delay)));
        let log = bounce(&|words| director.says(words), &|| director.log(), reports);
        if is_fault {
            director.says("FAULT STATE");
        } else {
            assert!(!log.contains("FAULT STATE"), "{log}");
        }
    }
}

#[test]
fn the_kernel_reports_no_local_memberships_where_the_file_says_so() {
    let network = Network::new();
    let router = &network.routers[0];
    let setting = || {
        let path = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";
        sh(&format!("ip netns exec {router} cat {path}"))
            .trim()
            .to_owned()
    };
    let before = setting();
    assert_eq!(before, "1");
    let text = configuration("", "disable_local_igmp", 150, "");
    let keepalived = network.keepalived(0, &text);
    keepalived.says("Entering MASTER STATE");
    assert_eq!(setting(), "0");
    keepalived.stop();
    sh(&format!(
        "ip netns exec {router} sysctl -qw net.ipv4.igmp_link_local_mcast_reports=1"
    ));
    let director = Director::start(&network, 0, &text);
    director.says("Entering MASTER STATE");
    assert_eq!(setting(), "0");
    drop(director);
    assert_eq!(setting(), before);
}

#[test]
fn pipes_hear_of_all_states_after_a_reload_where_the_file_says_so() {
    let network = Network::new();
    let folder = std::env::temp_dir();
    let path = folder.join(format!("{}.fifo", network.routers[0]));
    let global = format!(
        "vrrp_notify_fifo {}\nfifo_write_vrrp_states_on_reload",
        path.display()
    );
    let outermost = "vrrp_sync_group both {\ngroup {\nVI_1\n}\n}";
    let text = configuration(outermost, &global, 150, "");
    let director = Director::start(&network, 0, &text);
    director.says("(VI_1) Entering MASTER STATE");
    let mut reader = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    director.reload(&text);
    director.says("Reload complete");
    let mut lines = String::new();
    eventually("the states are told again", || {
        let mut octets = [0; 256];
        let count = std::io::Read::read(&mut reader, &mut octets).unwrap();
        lines += &String::from_utf8_lossy(&octets[..count]);
        lines.contains("GROUP \"both\" MASTER 0") && lines.contains("INSTANCE \"VI_1\" MASTER 150")
    });
    drop(director);
    let _ = std::fs::remove_file(path);
}

#[test]
fn a_file_can_name_its_instance_and_its_network_namespace() {
    let network = Network::new();
    let [there, here] = &network.routers;
    let instance = format!("{there}.named");
    let name = format!("{there}_named");
    let outermost = format!("net_namespace {there}\ninstance {instance}");
    let text = configuration(&outermost, "router_id ${_INSTANCE}", 150, "");
    let file = std::env::temp_dir().join(format!("{name}.conf"));
    std::fs::write(&file, text).unwrap();
    let elver = |arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{here}"))
            .arg(env!("CARGO_BIN_EXE_elver"))
            .args(arguments)
            .env_remove("ELVER_INSTANCE");
        command
    };
    let path = file.display().to_string();
    let dumped = elver(&["check", "--dump", "conf", &path]).output().unwrap();
    let dumped = String::from_utf8_lossy(&dumped.stdout).into_owned();
    assert!(
        dumped.contains(&format!("router_id {instance}\n")),
        "{dumped}"
    );
    let mut child = elver(&["run", "-f", &path]).spawn().unwrap();
    network.held_by(0, "eth0", VIP);
    let asked = elver(&["ctl", "--instance", &name, "status"])
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    support::terminate(&mut child);
    assert!(!network.has(0, "eth0", VIP));
    let _ = elver(&["unload", "--instance", &name]).output();
    let _ = std::fs::remove_file(file);
}

#[test]
fn the_file_is_read_again_at_the_time_that_another_file_says() {
    let network = Network::new();
    let folder = std::env::temp_dir().join(format!("{}-files", network.routers[0]));
    std::fs::create_dir(&folder).unwrap();
    let (time, busy) = (folder.join("time"), folder.join("busy"));
    let global = format!(
        "reload_time_file {}\nreload_file {}\nconfig_save_dir {}",
        time.display(),
        busy.display(),
        folder.join("copies").display()
    );
    let director = Director::start(&network, 0, &configuration("", &global, 150, ""));
    director.says("(VI_1) Entering MASTER STATE");
    std::fs::write(&busy, "somebody waits\n").unwrap();
    let at = sh("date -u -d '+2 seconds' '+%Y-%m-%d %H:%M:%SZ'");
    std::fs::write(&time, at).unwrap();
    director.says("it is the time that reload_time_file says");
    director.says("Reload complete");
    eventually("both files have gone", || !time.exists() && !busy.exists());
    let copies: Vec<PathBuf> = std::fs::read_dir(folder.join("copies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(copies.len(), 2, "{copies:?}");
    for copy in copies {
        let text = std::fs::read_to_string(copy).unwrap();
        assert!(text.contains("vrrp_instance VI_1 {"), "{text}");
    }
    drop(director);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn interfaces_may_come_later_where_the_file_says_so() {
    let network = Network::new();
    let router = &network.routers[0];
    let text = |global: &str| configuration("", global, 150, "").replace("eth0", "eth5");
    let director = Director::start(&network, 0, &text("dynamic_interfaces"));
    director.says("interface eth5 doesn't exist; the instance stays in FAULT state");
    sh(&format!(
        "ip netns exec {router} ip link add eth5 type veth peer name eth6
         ip -n {router} addr add 10.55.0.1/24 dev eth5
         ip -n {router} link set eth6 up; ip -n {router} link set eth5 up"
    ));
    director.says("(VI_1) Entering MASTER STATE");
    assert!(network.has(0, "eth5", VIP));
    drop(director);
    sh(&format!("ip -n {router} link del eth5"));
    let director = Director::start(&network, 0, &text(""));
    director.says("eth5");
    director.says("elver: ");
}

/// keepalived 2.2.7 does not know it: two of ours, and one of theirs that is not heard.
#[test]
fn advertisements_of_who_does_not_have_the_key_move_nothing() {
    let network = Network::new();
    let keys = |secret: char| {
        let secret = secret.to_string().repeat(32);
        format!("version 3\nauth_hmac {{\nkey 1 {secret}\nactive_key 1\n}}")
    };
    let capture = network.capture(1, "eth0", "proto 112");
    let master = Director::start(&network, 0, &configuration("", "", 100, &keys('a')));
    master.says("Entering MASTER STATE");
    let stranger = network.keepalived(1, &configuration("", "", 200, "version 3"));
    stranger.says("Entering MASTER STATE");
    master.says("(VI_1) missing authentication trailer");
    stranger.stop();
    // What is rejected is logged from time to time only.
    drop(master);
    let master = Director::start(&network, 0, &configuration("", "", 100, &keys('a')));
    master.says("Entering MASTER STATE");
    let forger = Director::start(&network, 1, &configuration("", "", 200, &keys('b')));
    master.says("(VI_1) invalid authentication HMAC");
    drop(forger);
    assert!(
        !master.log().contains("higher priority"),
        "{}",
        master.log()
    );
    let rightful = Director::start(&network, 1, &configuration("", "", 200, &keys('a')));
    master.says("with higher priority 200, ours 100");
    network.held_by(1, "eth0", VIP);
    drop(rightful);
    network.held_by(0, "eth0", VIP);
    drop(master);
    // Header, advertisement with one address, trailer.
    let lengths = capture.stop().fields("vrrp.prio == 100", &["ip.len"]);
    assert!(!lengths.is_empty());
    let unlike = lengths.iter().find(|length| length[0] != "60");
    assert_eq!(unlike, None);
}
