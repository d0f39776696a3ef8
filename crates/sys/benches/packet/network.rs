//! The director's devices, in a network namespace of their own.

use std::process::Command;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// A device of the director.
pub(crate) struct Device {
    pub(crate) index: u32,
    pub(crate) mac: [u8; 6],
}

/// The director's two sides. The neighbours on both are permanent entries.
pub(crate) struct Network {
    pub(crate) front: Device,
    pub(crate) back: Device,
    /// The other ends of both.
    pub(crate) far: [Device; 2],
}

impl Network {
    /// Enters a network namespace of its own and sets it up. It goes with this process.
    pub(crate) fn new() -> Network {
        // SAFETY: nothing but the network namespace is left, by the only thread.
        if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
            eprintln!("A network namespace cannot be made: {error}. Measuring takes root.");
            std::process::exit(1);
        }
        for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{forwarding}"), "1").expect("forwarding");
        }
        for (device, v4, v6) in [
            (
                "front",
                ["192.0.2.254/24", "192.0.2.1"],
                ["2001:db8:1::fe/64", "2001:db8:1::1"],
            ),
            (
                "back",
                ["198.51.100.254/24", "198.51.100.2"],
                ["2001:db8:2::fe/64", "2001:db8:2::2"],
            ),
        ] {
            let far = format!("{device}-far");
            ip(&format!("link add {device} type veth peer name {far}"));
            ip(&format!("link set {device} up"));
            ip(&format!("link set {far} up"));
            for [address, neighbour] in [v4, v6] {
                let how = if address.contains(':') { " nodad" } else { "" };
                ip(&format!("address add {address} dev {device}{how}"));
                ip(&format!(
                    "neighbour add {neighbour} lladdr 02:00:00:00:00:01 nud permanent dev {device}"
                ));
            }
        }
        ip("route add 10.0.0.0/8 via 192.0.2.1");
        ip("route add 2001:db8:a::/48 via 2001:db8:1::1");
        Network {
            front: Device::named("front"),
            back: Device::named("back"),
            far: [Device::named("front-far"), Device::named("back-far")],
        }
    }
}

impl Device {
    fn named(name: &str) -> Device {
        let listing = ip(&format!("-json link show dev {name}"));
        let listing: serde_json::Value = serde_json::from_str(&listing).expect("JSON of ip");
        let index = listing[0]["ifindex"].as_u64().expect("an index") as u32;
        let text = listing[0]["address"].as_str().expect("an address");
        let mut mac = [0; 6];
        for (octet, text) in mac.iter_mut().zip(text.split(':')) {
            *octet = u8::from_str_radix(text, 16).expect("a hexadecimal number");
        }
        Device { index, mac }
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
