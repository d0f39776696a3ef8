//! The network of the director whose programs are run.

use std::net::IpAddr;
use std::process::Command;

use elver_packet::frame::{NextHop, Route, Way};
use elver_packet::host::Journey;
use elver_sys::namespace::NetworkNamespace;

/// The largest packet on the link to the real servers.
const MTU: u16 = 1400;

/// A director's namespace: device 1 towards the clients, device 2 towards the real servers.
pub(crate) struct Namespace {
    name: String,
    pub(crate) devices: [u32; 2],
}

impl Namespace {
    pub(crate) fn new(purpose: &str) -> Namespace {
        let name = format!("elver-differential-{purpose}-{}", std::process::id());
        ip(&format!("netns add {name}"));
        let mut namespace = Namespace {
            name,
            devices: [0; 2],
        };
        for side in [1, 2] {
            let device = format!("side{side}");
            namespace.ip(&format!(
                "link add {device} address 02:00:00:00:0{side}:01 type veth peer name peer{side}"
            ));
            // The peers say nothing of their own accord: XDP would count it.
            namespace.enter(|| {
                let path = format!("/proc/sys/net/ipv6/conf/peer{side}/disable_ipv6");
                std::fs::write(path, "1").unwrap();
            });
            namespace.ip(&format!("link set peer{side} up"));
            namespace.ip(&format!("link set {device} up"));
            namespace.ip(&format!("addr add 10.{side}.0.1/16 dev {device}"));
            namespace.ip(&format!("addr add fd00:{side}::1/32 dev {device} nodad"));
            for host in (2..8).chain(11..15) {
                let neighbour =
                    format!("lladdr 02:00:00:00:0{side}:{host:02} dev {device} nud permanent");
                namespace.ip(&format!("neigh replace 10.{side}.0.{host} {neighbour}"));
                namespace.ip(&format!("neigh replace fd00:{side}::{host} {neighbour}"));
            }
            let shown = namespace.ip(&format!("-o link show {device}"));
            let index = shown
                .split(':')
                .next()
                .and_then(|index| index.trim().parse().ok());
            namespace.devices[side - 1] = index.expect("the device has an index");
        }
        namespace.ip(&format!("link set side2 mtu {MTU}"));
        namespace.ip(&format!("link set peer2 mtu {MTU}"));
        namespace.enter(|| {
            for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{forwarding}"), "1").unwrap();
            }
        });
        namespace
    }

    fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = std::path::PathBuf::from(format!("/run/netns/{}", self.name));
        NetworkNamespace::open(&path).unwrap().run(work).unwrap()
    }

    /// What the namespace's routes and neighbours say.
    pub(crate) fn routes(&self) -> impl Fn(&Journey) -> Route + Clone + 'static {
        let devices = self.devices;
        move |journey: &Journey| {
            let (side, host) = match journey.destination {
                IpAddr::V4(address) => match address.octets() {
                    [10, side @ (1 | 2), 0, host] => (side, host),
                    [10, side @ (1 | 2), ..] => (side, 0),
                    // For bpf_fib_lookup no route and a local one are the same.
                    _ => return Route::LocalOrNone,
                },
                IpAddr::V6(address) => match address.segments() {
                    [0xfd00, side @ (1 | 2), 0, 0, 0, 0, 0, host] if host < 0x100 => {
                        // Hosts are written in decimal digits, and so read.
                        (side as u8, (host / 16 * 10 + host % 16) as u8)
                    }
                    [0xfd00, side @ (1 | 2), ..] => (side as u8, 0),
                    _ => return Route::LocalOrNone,
                },
            };
            if host == 1 {
                return Route::LocalOrNone;
            }
            let mtu = if side == 1 { 1500 } else { MTU };
            let device = devices[usize::from(side) - 1];
            let way = way(device, journey.destination);
            if journey.length > u32::from(mtu) {
                return Route::TooBig(mtu);
            }
            if !matches!(host, 2..8 | 11..15) {
                return Route::Unresolved(way);
            }
            let in_decimal_digits = host / 10 * 16 + host % 10;
            let next_hop = NextHop::new(
                device,
                [2, 0, 0, 0, side, in_decimal_digits],
                [2, 0, 0, 0, side, 1],
            );
            Route::Neighbour {
                next_hop,
                way,
                largest: mtu,
            }
        }
    }
}

/// The way to a neighbour on a device.
fn way(device: u32, neighbour: IpAddr) -> Way {
    let octets = match neighbour {
        IpAddr::V4(address) => u128::from(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => u128::from_ne_bytes(address.octets()),
    };
    Way {
        device,
        family: if neighbour.is_ipv4() { 4 } else { 6 },
        neighbour: [octets as u64, (octets >> 64) as u64],
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
