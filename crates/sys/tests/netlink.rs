//! rtnetlink against the kernel and against iproute2. Needs root.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use elver_sys::netlink::{AddressOptions, Netlink, NetlinkEvent, NetlinkEvents, Scope, Topic};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace with a pair of veth devices, `left` and `right`.
struct Namespace(String);

impl Namespace {
    fn new() -> Namespace {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace(format!("elver-netlink-{}-{number}", std::process::id()));
        run(&["netns", "add", &namespace.0]);
        namespace.ip("link add left type veth peer name right");
        namespace
    }

    /// Runs an `ip` command in the namespace.
    fn ip(&self, arguments: &str) -> String {
        let mut all = vec!["-n", self.0.as_str()];
        all.extend(arguments.split_whitespace());
        run(&all)
    }

    /// Runs a test on a thread that is in the namespace.
    fn enter<T: Send>(&self, test: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
        let entered = move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            test()
        };
        std::thread::scope(|scope| scope.spawn(entered).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn links_are_as_iproute2_shows_them() {
    let namespace = Namespace::new();
    namespace.ip("link set left mtu 1400 address 02:00:00:00:00:07");
    namespace.ip("link add bridge type bridge");
    namespace.ip("link set right master bridge");
    namespace.ip("link set left up");
    let links = namespace.enter(|| Netlink::open().unwrap().links().unwrap());
    let named = |name: &str| links.iter().find(|link| link.name == name).unwrap();
    let left = named("left");
    assert_eq!(left.mac, Some([2, 0, 0, 0, 0, 7]));
    assert_eq!(left.mtu, 1400);
    assert_eq!(left.kind.as_deref(), Some("veth"));
    // Its other end is down.
    assert_eq!((left.up, left.running), (true, false));
    assert_eq!(named("right").controller, Some(named("bridge").index));
    assert_eq!(named("bridge").kind.as_deref(), Some("bridge"));
    assert!(named("lo").loopback);

    namespace.ip("link set right up");
    let links = namespace.enter(|| Netlink::open().unwrap().links().unwrap());
    let left = links.iter().find(|link| link.name == "left").unwrap();
    assert!(left.up && left.running);
}

#[test]
fn addresses_are_added_once_and_removed_once() {
    let namespace = Namespace::new();
    let (ipv4, ipv6) = (address("172.17.42.200"), address("fd00::200"));
    let changes = namespace.enter(|| {
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        let left = links.iter().find(|link| link.name == "left").unwrap().index;
        let changes = [
            netlink
                .add_address(left, ipv4, 32, AddressOptions::default())
                .unwrap(),
            netlink
                .add_address(left, ipv4, 32, AddressOptions::default())
                .unwrap(),
            netlink
                .add_address(
                    left,
                    ipv6,
                    128,
                    AddressOptions {
                        preferred_lifetime: Some(Duration::ZERO),
                        ..AddressOptions::default()
                    },
                )
                .unwrap(),
            netlink
                .add_address(
                    left,
                    address("172.17.42.201"),
                    16,
                    AddressOptions {
                        label: Some("left:vip"),
                        ..AddressOptions::default()
                    },
                )
                .unwrap(),
        ];
        let addresses = netlink.addresses().unwrap();
        let labelled = addresses
            .iter()
            .find(|a| a.address == address("172.17.42.201"))
            .unwrap();
        assert_eq!(labelled.label.as_deref(), Some("left:vip"));
        assert_eq!(
            (labelled.prefix_length, labelled.scope),
            (16, Scope::Global)
        );
        assert_eq!(labelled.interface, left);
        changes
    });
    assert_eq!(changes, [true, false, true, true]);
    let shown = namespace.ip("-o addr show dev left");
    assert!(
        shown.contains("inet 172.17.42.200/32 scope global left\\"),
        "{shown}"
    );
    assert!(
        shown.contains("inet 172.17.42.201/16 scope global left:vip\\"),
        "{shown}"
    );
    // No detection of duplicates, and no source of new connections.
    let ipv6_line = shown
        .lines()
        .find(|line| line.contains("fd00::200/128"))
        .unwrap();
    assert!(ipv6_line.contains("nodad deprecated"), "{shown}");
    assert!(!ipv6_line.contains("tentative"), "{shown}");

    let changes = namespace.enter(|| {
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        let left = links.iter().find(|link| link.name == "left").unwrap().index;
        [
            // With another prefix length it is another address.
            netlink.remove_address(left, ipv4, 24, None).unwrap(),
            netlink.remove_address(left, ipv4, 32, None).unwrap(),
            netlink.remove_address(left, ipv4, 32, None).unwrap(),
            netlink.remove_address(left, ipv6, 128, None).unwrap(),
            netlink.remove_address(9_999, ipv4, 32, None).unwrap(),
        ]
    });
    assert_eq!(changes, [false, true, false, true, false]);
    assert!(!namespace.ip("-o addr show dev left").contains(".200/"));
}

#[test]
fn an_unknown_interface_is_an_error() {
    let namespace = Namespace::new();
    let error = namespace
        .enter(|| {
            Netlink::open().unwrap().add_address(
                9_999,
                address("10.0.0.1"),
                32,
                AddressOptions::default(),
            )
        })
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn a_thousand_addresses_are_all_listed() {
    let namespace = Namespace::new();
    let listed = namespace.enter(|| {
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        let left = links.iter().find(|link| link.name == "left").unwrap().index;
        for number in 0..1_000u32 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            netlink
                .add_address(left, IpAddr::V4(address), 32, AddressOptions::default())
                .unwrap();
        }
        netlink.addresses().unwrap()
    });
    assert_eq!(
        listed
            .iter()
            .filter(|address| address.address.is_ipv4())
            .count(),
        1_000
    );
}

/// The first event that is wanted, of those that come.
async fn event(events: &mut NetlinkEvents, wanted: impl Fn(&NetlinkEvent) -> bool) -> NetlinkEvent {
    let found = async {
        loop {
            let event = events.next().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .expect("the event never came")
}

#[test]
fn events_tell_what_happens() {
    let namespace = Namespace::new();
    namespace.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let topics = [Topic::Links, Topic::Addresses, Topic::Routes, Topic::Neighbours];
            let mut events = NetlinkEvents::open(&topics).unwrap();
            namespace.ip("link set left up");
            namespace.ip("link set right up");
            event(&mut events, |event| {
                matches!(event, NetlinkEvent::LinkChanged(link)
                    if link.name == "left" && link.up && link.running)
            })
            .await;

            let vip = address("10.5.0.1");
            namespace.ip("addr add 10.5.0.1/24 dev left");
            let added = event(&mut events, |event| {
                matches!(event, NetlinkEvent::AddressAdded(added) if added.address == vip)
            })
            .await;
            let NetlinkEvent::AddressAdded(added) = added else { unreachable!() };
            assert_eq!((added.prefix_length, added.scope), (24, Scope::Global));
            event(&mut events, |event| *event == NetlinkEvent::RoutesChanged).await;

            namespace.ip("neigh add 10.5.0.9 lladdr 02:00:00:00:00:09 dev left");
            let host = address("10.5.0.9");
            let of_host = |event: &NetlinkEvent| {
                matches!(event, NetlinkEvent::NeighbourChanged(changed) if changed.address == host)
            };
            let known = event(&mut events, of_host).await;
            let NetlinkEvent::NeighbourChanged(known) = known else { unreachable!() };
            assert_eq!(known.mac, Some([2, 0, 0, 0, 0, 9]));
            namespace.ip("neigh del 10.5.0.9 dev left");
            event(&mut events, |event| {
                of_host(event)
                    && matches!(event, NetlinkEvent::NeighbourChanged(gone) if gone.mac.is_none())
            })
            .await;

            namespace.ip("addr del 10.5.0.1/24 dev left");
            event(&mut events, |event| {
                matches!(event, NetlinkEvent::AddressRemoved(gone) if gone.address == vip)
            })
            .await;
            namespace.ip("link del left");
            event(&mut events, |event| {
                matches!(event, NetlinkEvent::LinkRemoved(gone) if gone.name == "left")
            })
            .await;
        });
    });
}

/// A listener that does not listen is told that it missed something.
#[test]
fn lost_events_are_an_overrun() {
    let namespace = Namespace::new();
    namespace.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut events = NetlinkEvents::open(&[Topic::Addresses]).unwrap();
            let mut netlink = Netlink::open().unwrap();
            let left = netlink
                .links()
                .unwrap()
                .iter()
                .find(|l| l.name == "left")
                .unwrap()
                .index;
            for _ in 0..10_000 {
                netlink
                    .add_address(left, address("10.5.0.1"), 32, AddressOptions::default())
                    .unwrap();
                netlink
                    .remove_address(left, address("10.5.0.1"), 32, None)
                    .unwrap();
            }
            event(&mut events, |event| *event == NetlinkEvent::Overrun).await;
        });
    });
}
