//! What the labels of a container ask for.
//!
//! | label | what it says |
//! |---|---|
//! | `elver.vip` | the virtual service: `ADDRESS:PORT`, of IPv6 `[ADDRESS]:PORT` |
//! | `elver.port` | the container's own port; without it that of the virtual service |
//! | `elver.protocol` | `tcp`, `udp` or `sctp`; without it tcp |
//! | `elver.weight` | its weight, from 0 to 65535; without it 1 |
//! | `elver.check` | `tcp`, or `none`, which is what holds without it |
//! | `elver.network` | the network of which its address is taken, where it is in several |

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::service::{ForwardingMethod, Protocol, ServiceKey};

use super::{Container, Found, LabelledCheck};

/// What all labels begin with that are meant for us.
pub const PREFIX: &str = "elver.";
/// The label that makes a container part of a virtual service.
pub const VIP: &str = "elver.vip";

/// The largest weight (ipvsadm(8)).
const LARGEST_WEIGHT: u32 = 65_535;

/// Who may claim what, and how packets get to who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The networks of virtual addresses that labels may claim.
    pub allowed: Vec<(IpAddr, u8)>,
    /// Where the containers are, seen from who balances.
    pub place: Place,
}

/// Where containers are, seen from who balances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this host: packets go to the containers themselves, by NAT.
    Here {
        /// The host's own addresses, for containers in its own network.
        host: Vec<IpAddr>,
    },
    /// On another host that is a real server, and does the same there.
    There {
        /// Its address.
        host: IpAddr,
        /// How packets get to it.
        method: ForwardingMethod,
    },
}

/// Why a container's labels come to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A label says something that is not understood.
    #[error("the label {label}={value} is not understood: {expected}")]
    BadLabel {
        /// Its name.
        label: String,
        /// What it says.
        value: String,
        /// What it could say.
        expected: &'static str,
    },
    /// The virtual address is not among those that labels may claim.
    #[error(
        "it claims {0}, which nobody has allowed: if it is to be there, name its address in \
         elver.toml under [discovery.docker] vips"
    )]
    NotAllowed(SocketAddr),
    /// There is no address to send packets to.
    #[error("it has no address for packets to {service}: {reason}")]
    NoAddress {
        /// The virtual service.
        service: SocketAddr,
        /// Why.
        reason: String,
    },
}

/// What a container asks for; nothing if it has no label [`VIP`].
///
/// # Errors
/// It asks for something that it cannot have.
pub fn claim(container: &Container, rules: &Rules) -> Option<Result<Found, Refusal>> {
    let labels = Labels(&container.labels);
    let service = labels.0.get(VIP)?;
    Some(claim_of(container, &labels, service, rules))
}

fn claim_of(
    container: &Container,
    labels: &Labels<'_>,
    service: &str,
    rules: &Rules,
) -> Result<Found, Refusal> {
    let bad = |expected| Labels::bad(VIP, service, expected);
    let virtual_address: SocketAddr = service
        .trim()
        .parse()
        .map_err(|_| bad("write ADDRESS:PORT, like 192.0.2.10:80 or [2001:db8::10]:80"))?;
    if virtual_address.port() == 0 {
        return Err(bad("a label names one port, from 1 to 65535"));
    }
    for name in labels.0.keys().filter(|name| name.starts_with(PREFIX)) {
        if !KNOWN.contains(&name.as_str()) {
            let value = labels.0.get(name).map_or("", String::as_str);
            return Err(Labels::bad(
                name,
                value,
                "known are elver.vip, port, protocol, weight, check and network",
            ));
        }
    }
    let protocol = labels.of("elver.protocol", "write tcp, udp or sctp", |text| {
        Some(match text {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return None,
        })
    })?;
    let port = labels.of("elver.port", "write a port, from 1 to 65535", |text| {
        text.parse().ok().filter(|port| *port != 0)
    })?;
    let weight = labels.of("elver.weight", "write a number from 0 to 65535", |text| {
        text.parse().ok().filter(|weight| *weight <= LARGEST_WEIGHT)
    })?;
    let check = labels.of("elver.check", "write tcp or none", |text| match text {
        "tcp" => Some(LabelledCheck::Tcp),
        "none" => Some(LabelledCheck::None),
        _ => None,
    })?;
    let vip = virtual_address.ip();
    let may = rules.allowed.iter().any(|network| holds(*network, vip));
    if !may {
        return Err(Refusal::NotAllowed(virtual_address));
    }
    let port = port.unwrap_or(virtual_address.port());
    let (address, method) = match &rules.place {
        Place::Here { host } => {
            let ip = own_address(container, labels, host, virtual_address)?;
            (SocketAddr::new(ip, port), ForwardingMethod::Nat)
        }
        // The other host knows the port of its container.
        Place::There { host, method } => (SocketAddr::new(*host, virtual_address.port()), *method),
    };
    Ok(Found {
        service: ServiceKey::Address {
            protocol: protocol.unwrap_or(Protocol::Tcp),
            address: virtual_address,
        },
        address,
        method,
        weight: weight.unwrap_or(1),
        check: check.unwrap_or(LabelledCheck::None),
    })
}

const KNOWN: [&str; 6] = [
    VIP,
    "elver.port",
    "elver.protocol",
    "elver.weight",
    "elver.check",
    "elver.network",
];

/// The labels of a container.
struct Labels<'a>(&'a BTreeMap<String, String>);

impl Labels<'_> {
    fn of<T>(
        &self,
        label: &str,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        match self.0.get(label) {
            None => Ok(None),
            Some(text) => match read(text.trim()) {
                Some(value) => Ok(Some(value)),
                None => Err(Labels::bad(label, text, expected)),
            },
        }
    }

    fn bad(label: &str, value: &str, expected: &'static str) -> Refusal {
        Refusal::BadLabel {
            label: label.to_owned(),
            value: value.to_owned(),
            expected,
        }
    }
}

/// The address of a container for packets to a virtual address: of the same family, in the
/// network that is named, or else in the first that has one.
fn own_address(
    container: &Container,
    labels: &Labels<'_>,
    host: &[IpAddr],
    service: SocketAddr,
) -> Result<IpAddr, Refusal> {
    let nowhere = |reason: &dyn fmt::Display| Refusal::NoAddress {
        service,
        reason: reason.to_string(),
    };
    let fits = |ip: &&IpAddr| ip.is_ipv4() == service.is_ipv4();
    if container.is_on_host_network {
        let mut own = host.iter().filter(|ip| **ip != service.ip());
        return own.find(fits).copied().ok_or_else(|| {
            nowhere(&"it is in the network of its host, which has none of that family")
        });
    }
    let wanted = labels.0.get("elver.network").map(|name| name.trim());
    if let Some(name) = wanted {
        let Some(addresses) = container.networks.get(name) else {
            return Err(nowhere(&format_args!("it is not in the network {name}")));
        };
        let found = addresses.iter().find(fits).copied();
        return found.ok_or_else(|| {
            nowhere(&format_args!(
                "in the network {name} it has none of that family"
            ))
        });
    }
    let mut all = container.networks.values().flatten();
    all.find(fits)
        .copied()
        .ok_or_else(|| nowhere(&"none of its networks has given it one of that family"))
}

/// Whether a network has an address.
fn holds((network, length): (IpAddr, u8), address: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let differing = bits(network) ^ bits(address);
    network.is_ipv4() == address.is_ipv4() && differing.leading_zeros() >= u32::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(labels: &[(&str, &str)]) -> Container {
        Container {
            id: "c0ffee".to_owned(),
            name: "web".to_owned(),
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            run: String::new(),
            is_running: true,
            is_paused: false,
            is_healthy: None,
            is_on_host_network: false,
            networks: BTreeMap::from([
                (
                    "bridge".to_owned(),
                    vec!["172.18.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
                ),
                ("other".to_owned(), vec!["10.9.0.2".parse().unwrap()]),
            ]),
            stop_signal: 15,
        }
    }

    fn here() -> Rules {
        Rules {
            allowed: vec![
                ("172.17.42.192".parse().unwrap(), 28),
                ("2001:db8::".parse().unwrap(), 64),
            ],
            place: Place::Here {
                host: vec![
                    "172.17.42.200".parse().unwrap(),
                    "172.17.42.40".parse().unwrap(),
                ],
            },
        }
    }

    fn found(labels: &[(&str, &str)], rules: &Rules) -> Result<Found, Refusal> {
        claim(&container(labels), rules).expect("a claim")
    }

    #[test]
    fn without_a_virtual_address_nothing_is_claimed() {
        assert_eq!(claim(&container(&[]), &here()), None);
        let others = [("elver.port", "22"), ("com.example", "x")];
        assert_eq!(claim(&container(&others), &here()), None);
    }

    #[test]
    fn labels_say_where_packets_go() {
        let labels = [
            (VIP, "172.17.42.200:36000"),
            ("elver.port", "22"),
            ("elver.weight", "7"),
            ("elver.check", "tcp"),
        ];
        let found = found(&labels, &here()).unwrap();
        assert_eq!(found.address, "172.18.0.2:22".parse().unwrap());
        assert_eq!(found.weight, 7);
        assert_eq!(found.check, LabelledCheck::Tcp);
        assert_eq!(found.method, ForwardingMethod::Nat);
        assert_eq!(
            found.service,
            ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: "172.17.42.200:36000".parse().unwrap(),
            }
        );
    }

    #[test]
    fn an_address_is_of_the_family_and_the_network_that_are_wanted() {
        let of = |labels: &[(&str, &str)]| found(labels, &here()).map(|found| found.address);
        let six = (VIP, "[2001:db8::10]:80");
        assert_eq!(of(&[six]).unwrap(), "[fd00::2]:80".parse().unwrap());
        let four = (VIP, "172.17.42.200:80");
        let other = ("elver.network", "other");
        assert_eq!(of(&[four, other]).unwrap(), "10.9.0.2:80".parse().unwrap());
        assert!(matches!(of(&[six, other]), Err(Refusal::NoAddress { .. })));
        let absent = ("elver.network", "absent");
        assert!(matches!(
            of(&[four, absent]),
            Err(Refusal::NoAddress { .. })
        ));
    }

    #[test]
    fn who_is_in_the_network_of_the_host_has_its_address_and_not_the_virtual_one() {
        let labels = [(VIP, "172.17.42.200:80"), ("elver.port", "8080")];
        let mut container = container(&labels);
        container.is_on_host_network = true;
        container.networks = BTreeMap::from([("host".to_owned(), Vec::new())]);
        let found = claim(&container, &here()).unwrap().unwrap();
        assert_eq!(found.address, "172.17.42.40:8080".parse().unwrap());
    }

    #[test]
    fn another_host_is_reached_at_the_virtual_port() {
        let rules = Rules {
            place: Place::There {
                host: "172.17.42.40".parse().unwrap(),
                method: ForwardingMethod::DirectRouting,
            },
            ..here()
        };
        let labels = [(VIP, "172.17.42.200:36000"), ("elver.port", "22")];
        let found = found(&labels, &rules).unwrap();
        assert_eq!(found.address, "172.17.42.40:36000".parse().unwrap());
        assert_eq!(found.method, ForwardingMethod::DirectRouting);
    }

    #[test]
    fn only_what_is_allowed_is_claimed() {
        for vip in [
            "172.17.42.208:80",
            "172.17.42.191:80",
            "[2001:db8:0:1::1]:80",
        ] {
            let refused = found(&[(VIP, vip)], &here());
            assert_eq!(refused, Err(Refusal::NotAllowed(vip.parse().unwrap())));
        }
        let nobody = Rules {
            allowed: Vec::new(),
            ..here()
        };
        assert!(found(&[(VIP, "172.17.42.200:80")], &nobody).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused_whole() {
        let vip = (VIP, "172.17.42.200:80");
        for labels in [
            &[(VIP, "172.17.42.200")][..],
            &[(VIP, "172.17.42.200:0")],
            &[vip, ("elver.port", "0")],
            &[vip, ("elver.port", "http")],
            &[vip, ("elver.weight", "65536")],
            &[vip, ("elver.weight", "-1")],
            &[vip, ("elver.protocol", "icmp")],
            &[vip, ("elver.check", "smtp")],
            &[vip, ("elver.prot", "22")],
        ] {
            let refused = found(labels, &here());
            assert!(
                matches!(refused, Err(Refusal::BadLabel { .. })),
                "{labels:?}"
            );
        }
    }
}
