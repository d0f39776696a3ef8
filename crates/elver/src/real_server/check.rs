//! `elver real-server check`: what keeps a host from being a real server, and what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use elver_core::service::{Protocol, ServiceKey};
use elver_sys::bpf::{LoadedRole, RealServer};
use elver_sys::netlink::{InterfaceAddress, Link, Netlink, Scope};

use super::listeners;
use super::wanted::{Sources, Wanted};
use crate::failure::Failure;
use crate::firewall;
use crate::instance::Instance;
use crate::settings::Settings;

/// What a tunnel adds to a packet at least: another IPv4 header.
const LEAST_OVERHEAD: u32 = 20;
/// The least MTU of a tunnel through which hosts expect to get packets whole: what every host
/// takes (RFC 1122, section 3.3.2), and what IPv6 demands of links (RFC 8200, section 5).
const LEAST_IPV4: u32 = 576;
const LEAST_IPV6: u32 = 1280;
/// Devices by which the kernel itself takes packets out of tunnels.
const TUNNEL_KINDS: [&str; 6] = ["ipip", "gre", "sit", "ip6tnl", "ip6gre", "gretap"];

/// Something that is wrong, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// The virtual address, or what else it is about.
    about: String,
    wrong: String,
    remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.about, self.wrong, self.remedy)
    }
}

/// What is asked of the host.
#[derive(Debug, Default)]
struct Host {
    links: Vec<Link>,
    addresses: Vec<InterfaceAddress>,
    /// What is listened to; for UDP, what is received at.
    listeners: BTreeSet<(Protocol, SocketAddr)>,
    /// The programs of this role, if they are there.
    loaded: Option<LoadedRole>,
    /// The settings of `/proc/sys/net/ipv4/conf`, by device and name.
    settings: BTreeMap<(String, &'static str), u32>,
    /// The device, by index, of the default route, for clients.
    to_clients: Option<u32>,
    /// The devices, by index, that lead to directors.
    to_directors: BTreeMap<IpAddr, u32>,
    /// Services that rules of netfilter keep packets from, with the place and the rule.
    kept_out: Vec<(SocketAddr, String)>,
}

/// The settings that are looked at.
const ARP_IGNORE: &str = "arp_ignore";
const ARP_ANNOUNCE: &str = "arp_announce";
const RP_FILTER: &str = "rp_filter";

/// Prints what is wrong, and fails if anything is.
pub(crate) fn check(sources: &Sources, instance: &Instance) -> Result<(), Failure> {
    let wanted = sources.wanted(instance)?;
    let host = Host::look(&wanted, instance)?;
    let findings = diagnose(&wanted, &host);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("this host is a real server: {wanted}");
        return Ok(());
    }
    Err(Failure::Told { code: 5 })
}

/// Says in the log, when the role starts, what it cannot mend itself.
pub(super) fn warn(wanted: &Wanted, instance: &Instance) {
    match Host::look(wanted, instance) {
        Ok(host) => {
            for finding in diagnose(wanted, &host) {
                tracing::warn!("{finding}");
            }
        }
        Err(error) => tracing::warn!("this host could not be looked at: {error}"),
    }
}

impl Host {
    fn look(wanted: &Wanted, instance: &Instance) -> Result<Host, Failure> {
        let reading = "reading interfaces, addresses and routes";
        let mut netlink = Netlink::open().map_err(Failure::system("opening rtnetlink"))?;
        let links = netlink.links().map_err(Failure::system(reading))?;
        let mut settings = BTreeMap::new();
        let names = links.iter().map(|link| link.name.as_str());
        for device in names.chain(["all"]) {
            for name in [ARP_IGNORE, ARP_ANNOUNCE, RP_FILTER] {
                let path = format!("/proc/sys/net/ipv4/conf/{device}/{name}");
                let text = std::fs::read_to_string(path).unwrap_or_default();
                if let Ok(value) = text.trim().parse() {
                    settings.insert((device.to_owned(), name), value);
                }
            }
        }
        let mut to_directors = BTreeMap::new();
        for (director, _) in &wanted.directors {
            if let Ok(Some(route)) = netlink.route_to(*director) {
                to_directors.insert(*director, route.interface);
            }
        }
        // An address of nobody (RFC 5737): where it leads, all do that have no nearer way.
        let anybody = netlink.route_to(Ipv4Addr::new(192, 0, 2, 1).into());
        let services: Vec<ServiceKey> = wanted
            .services
            .iter()
            .map(|(protocol, address)| ServiceKey::Address {
                protocol: *protocol,
                address: *address,
            })
            .collect();
        let rules = firewall::look(&services, None, &Settings::default());
        let mut kept_out = Vec::new();
        for finding in rules.findings.iter().filter(|rule| rule.keeps_out()) {
            for service in &finding.services {
                if let ServiceKey::Address { address, .. } = service {
                    kept_out.push((*address, format!("{}: `{}`", finding.place, finding.rule)));
                }
            }
        }
        Ok(Host {
            links,
            addresses: netlink.addresses().map_err(Failure::system(reading))?,
            listeners: listeners::read().map_err(Failure::system("reading sockets"))?,
            loaded: RealServer::loaded(instance.name())?,
            settings,
            to_clients: anybody.ok().flatten().map(|route| route.interface),
            to_directors,
            kept_out,
        })
    }

    /// A setting of a device, in which the larger of its own and the one for all counts.
    fn setting(&self, device: &str, name: &'static str) -> u32 {
        let value = |device: &str| self.settings.get(&(device.to_owned(), name)).copied();
        value(device).max(value("all")).unwrap_or(0)
    }

    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Whether the programs keep a virtual address quiet on a device.
    fn is_kept_quiet(&self, vip: IpAddr, device: u32) -> bool {
        self.loaded
            .as_ref()
            .is_some_and(|role| role.vips.contains(&vip) && role.devices.contains(&device))
    }

    fn takes_out(&self, vip: IpAddr) -> bool {
        self.loaded
            .as_ref()
            .is_some_and(|role| role.vips.contains(&vip))
    }
}

/// All that is wrong.
fn diagnose(wanted: &Wanted, host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for vip in &wanted.vips {
        missing(*vip, host, &mut findings);
        heard_of(*vip, host, &mut findings);
        listened_to(*vip, wanted, host, &mut findings);
    }
    tunnels(wanted, host, &mut findings);
    filtered(wanted, host, &mut findings);
    findings
}

fn missing(vip: IpAddr, host: &Host, findings: &mut Vec<Finding>) {
    if host.addresses.iter().any(|address| address.address == vip) {
        return;
    }
    let length = super::whole(vip);
    findings.push(Finding {
        about: vip.to_string(),
        wrong: "is not an address of this host, so packets for it are not taken".to_owned(),
        remedy: format!("run `elver real-server`, or `ip address add {vip}/{length} dev lo`"),
    });
}

/// Whether neighbours can learn from this host that it has the address.
fn heard_of(vip: IpAddr, host: &Host, findings: &mut Vec<Finding>) {
    let on: Vec<_> = host.addresses.iter().filter(|a| a.address == vip).collect();
    if on.is_empty() {
        return;
    }
    let speaks = |link: &&Link| link.up && !link.loopback && !link.no_arp && link.mac.is_some();
    for link in host.links.iter().filter(speaks) {
        if host.is_kept_quiet(vip, link.index) {
            continue;
        }
        let is_here = on.iter().any(|address| address.interface == link.index);
        if vip.is_ipv6() {
            // Neighbour discovery answers for a device's own addresses only.
            if is_here {
                findings.push(Finding {
                    about: vip.to_string(),
                    wrong: format!(
                        "is on {}, which answers neighbour solicitations for it",
                        link.name
                    ),
                    remedy: format!(
                        "run `elver real-server`, or move it: `ip address del {vip} dev {}; ip \
                         address add {vip}/128 dev lo`",
                        link.name
                    ),
                });
            }
            continue;
        }
        let is_of_host = on.iter().all(|address| address.scope == Scope::Host);
        // Documentation/networking/ip-sysctl.rst in the kernel.
        let answers = match host.setting(&link.name, ARP_IGNORE) {
            0 => true,
            1 | 2 => is_here,
            3 => !is_of_host,
            _ => false,
        };
        let announces = host.setting(&link.name, ARP_ANNOUNCE) < 2;
        let (wrong, remedy) = match (answers, announces) {
            (true, _) if is_here => (
                format!("is on {}, which answers ARP for it", link.name),
                "move it to lo, and set arp_ignore and arp_announce".to_owned(),
            ),
            (true, true) => (
                format!(
                    "{} answers ARP for it, and asks with it as the sender",
                    link.name
                ),
                "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"
                    .to_owned(),
            ),
            (true, false) => (
                format!("{} answers ARP for it", link.name),
                "sysctl -w net.ipv4.conf.all.arp_ignore=1".to_owned(),
            ),
            (false, true) => (
                format!("{} asks by ARP with it as the sender", link.name),
                "sysctl -w net.ipv4.conf.all.arp_announce=2".to_owned(),
            ),
            (false, false) => continue,
        };
        findings.push(Finding {
            about: vip.to_string(),
            wrong: format!("{wrong}: clients come here past the director"),
            remedy: format!("run `elver real-server`, or: {remedy}"),
        });
    }
}

fn listened_to(vip: IpAddr, wanted: &Wanted, host: &Host, findings: &mut Vec<Finding>) {
    let of_vip = wanted.services.iter();
    for (protocol, service) in of_vip.filter(|(_, service)| service.ip() == vip) {
        for (_, rule) in host.kept_out.iter().filter(|(kept, _)| kept == service) {
            findings.push(Finding {
                about: service.to_string(),
                wrong: format!("a rule of netfilter keeps clients from it: {rule}"),
                remedy: "let packets to this address and port in before that rule".to_owned(),
            });
        }
        // Port 0 stands for every port, and /proc does not tell of SCTP alike.
        if service.port() == 0 || *protocol == Protocol::Sctp || wanted.has_containers {
            continue;
        }
        let takes = |(of, at): &(Protocol, SocketAddr)| {
            let is_any = match at.ip() {
                IpAddr::V4(ip) => vip.is_ipv4() && ip == Ipv4Addr::UNSPECIFIED,
                // It takes IPv4 as well, unless it is told not to.
                IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED,
            };
            of == protocol && at.port() == service.port() && (at.ip() == vip || is_any)
        };
        if !host.listeners.iter().any(takes) {
            findings.push(Finding {
                about: service.to_string(),
                wrong: "nothing listens there".to_owned(),
                remedy: format!(
                    "start the service, and have it listen on {vip} or on every address; on the \
                     host's own address alone it does not see clients of {vip}"
                ),
            });
        }
    }
}

/// What there is for tunnels, if any are used.
fn tunnels(wanted: &Wanted, host: &Host, findings: &mut Vec<Finding>) {
    if !wanted.has_tunnels && wanted.directors.is_empty() {
        return;
    }
    let is_tunnel = |link: &&Link| {
        let kind = link.kind.as_deref();
        kind.is_some_and(|kind| TUNNEL_KINDS.contains(&kind))
    };
    let by_kernel: Vec<_> = host
        .links
        .iter()
        .filter(is_tunnel)
        .filter(|l| l.up)
        .collect();
    let by_hand = wanted.vips.iter().filter(|vip| !host.takes_out(**vip));
    let by_hand: Vec<_> = by_hand.map(IpAddr::to_string).collect();
    if !by_hand.is_empty() && by_kernel.is_empty() && wanted.has_tunnels {
        findings.push(Finding {
            about: by_hand.join(", "),
            wrong: "nothing on this host takes packets out of tunnels".to_owned(),
            remedy: "run `elver real-server`, or set up a device such as tunl0 (modprobe ipip)"
                .to_owned(),
        });
    }
    if !by_hand.is_empty() {
        for link in by_kernel {
            if host.setting(&link.name, RP_FILTER) == 1 {
                findings.push(Finding {
                    about: link.name.clone(),
                    wrong:
                        "rp_filter is strict: what comes out of the tunnel is dropped, since no \
                            answer leaves by it"
                            .to_owned(),
                    remedy: format!(
                        "run `elver real-server`, which needs no such device, or: sysctl -w \
                         net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{}.rp_filter=0",
                        link.name
                    ),
                });
            }
        }
    }
    let least = if wanted.vips.iter().any(IpAddr::is_ipv6) {
        LEAST_IPV6
    } else {
        LEAST_IPV4
    };
    let devices: BTreeSet<u32> = host.to_directors.values().copied().collect();
    for link in devices.iter().filter_map(|index| host.link(*index)) {
        if !link.loopback && link.mtu < least + LEAST_OVERHEAD {
            findings.push(Finding {
                about: link.name.clone(),
                wrong: format!(
                    "its MTU of {} octets leaves {} for packets in a tunnel, and {least} have to fit",
                    link.mtu,
                    link.mtu.saturating_sub(LEAST_OVERHEAD)
                ),
                remedy: format!(
                    "ip link set {} mtu {} or more, on the way from the director as well",
                    link.name,
                    least + LEAST_OVERHEAD
                ),
            });
        }
    }
}

/// Whether a strict filter of sources drops what arrives, because answers leave by another
/// device.
fn filtered(wanted: &Wanted, host: &Host, findings: &mut Vec<Finding>) {
    let Some(back) = host.to_clients.and_then(|index| host.link(index)) else {
        return;
    };
    if wanted.vips.iter().all(IpAddr::is_ipv6) {
        return;
    }
    let arriving: BTreeSet<u32> = host.to_directors.values().copied().collect();
    for link in arriving.iter().filter_map(|index| host.link(*index)) {
        if link.loopback || link.index == back.index || host.setting(&link.name, RP_FILTER) != 1 {
            continue;
        }
        findings.push(Finding {
            about: link.name.clone(),
            wrong: format!(
                "rp_filter is strict, and answers to clients leave by {}: packets of clients that \
                 the director sends by {} are dropped",
                back.name, link.name
            ),
            remedy: format!(
                "let the filter be loose: sysctl -w net.ipv4.conf.{}.rp_filter=2",
                link.name
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            running: true,
            loopback: index == 1,
            no_arp: false,
            kind: None,
            controller: None,
            lower: None,
            vrf_table: None,
        }
    }

    fn address(interface: u32, address: &str, scope: Scope) -> InterfaceAddress {
        InterfaceAddress {
            interface,
            address: address.parse().unwrap(),
            prefix_length: 32,
            scope,
            label: None,
            secondary: false,
            tentative: false,
        }
    }

    const VIP: &str = "172.17.42.200";

    fn wanted() -> Wanted {
        Wanted {
            vips: BTreeSet::from([VIP.parse().unwrap()]),
            directors: BTreeSet::from([("172.17.42.111".parse().unwrap(), 32)]),
            gue_ports: BTreeSet::new(),
            services: BTreeSet::from([(Protocol::Tcp, format!("{VIP}:3306").parse().unwrap())]),
            has_tunnels: true,
            has_containers: false,
        }
    }

    fn loaded(devices: BTreeSet<u32>) -> Option<LoadedRole> {
        let vips = [VIP.parse().unwrap()].into();
        Some(LoadedRole { vips, devices })
    }

    /// A host with all that it takes, as elver sets it up.
    fn sound() -> Host {
        Host {
            links: vec![link(1, "lo"), link(2, "eth0")],
            addresses: vec![
                address(2, "172.17.42.120", Scope::Global),
                address(1, VIP, Scope::Host),
            ],
            listeners: BTreeSet::from([(Protocol::Tcp, "0.0.0.0:3306".parse().unwrap())]),
            loaded: loaded([2].into()),
            settings: BTreeMap::new(),
            to_clients: Some(2),
            to_directors: BTreeMap::from([("172.17.42.111".parse().unwrap(), 2)]),
            kept_out: Vec::new(),
        }
    }

    fn words(host: &Host) -> Vec<String> {
        let findings = diagnose(&wanted(), host);
        findings.iter().map(Finding::to_string).collect()
    }

    #[track_caller]
    fn found(host: &Host, expected: &[&str]) {
        let words = words(host);
        assert_eq!(words.len(), expected.len(), "{words:#?}");
        for (words, expected) in words.iter().zip(expected) {
            assert!(words.contains(expected), "{words:?} lacks {expected:?}");
        }
    }

    #[test]
    fn a_sound_host_has_nothing_wrong() {
        found(&sound(), &[]);
    }

    /// tunl0 with the VIP and its own arp_ignore, as the sysctls of many a guide have it: eth0
    /// answers all the same.
    #[test]
    fn settings_of_the_tunnel_device_keep_no_other_device_quiet() {
        let mut host = sound();
        host.loaded = None;
        let mut tunnel = link(3, "tunl0");
        (tunnel.no_arp, tunnel.mac, tunnel.kind) = (true, None, Some("ipip".to_owned()));
        host.links.push(tunnel);
        host.addresses[1] = address(3, VIP, Scope::Global);
        for name in [ARP_IGNORE, ARP_ANNOUNCE] {
            host.settings.insert(("tunl0".to_owned(), name), 2);
        }
        found(&host, &["eth0 answers ARP for it, and asks with it"]);
        host.settings.insert(("all".to_owned(), ARP_IGNORE), 1);
        found(&host, &["eth0 asks by ARP with it"]);
        host.settings.insert(("eth0".to_owned(), ARP_ANNOUNCE), 2);
        found(&host, &[]);
        host.settings.insert(("all".to_owned(), RP_FILTER), 1);
        found(&host, &["tunl0: rp_filter is strict"]);
    }

    #[test]
    fn where_containers_come_and_go_nobody_has_to_listen() {
        let mut host = sound();
        host.listeners.clear();
        let with_containers = Wanted {
            has_containers: true,
            ..wanted()
        };
        assert_eq!(diagnose(&with_containers, &host).len(), 0);
        found(&host, &["nothing listens there"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut host = sound();
        host.addresses.pop();
        host.listeners.clear();
        found(
            &host,
            &["is not an address of this host", "nothing listens there"],
        );
        host = sound();
        host.loaded = None;
        host.settings.insert(("all".to_owned(), ARP_IGNORE), 8);
        host.settings.insert(("all".to_owned(), ARP_ANNOUNCE), 2);
        found(
            &host,
            &["nothing on this host takes packets out of tunnels"],
        );
    }

    #[test]
    fn a_listener_on_another_address_is_none() {
        let mut host = sound();
        host.listeners = [(Protocol::Tcp, "172.17.42.120:3306".parse().unwrap())].into();
        found(&host, &["nothing listens there"]);
        host.listeners = [(Protocol::Tcp, "[::]:3306".parse().unwrap())].into();
        found(&host, &[]);
    }

    #[test]
    fn a_strict_filter_hurts_where_answers_leave_by_another_device() {
        let mut host = sound();
        host.settings.insert(("eth0".to_owned(), RP_FILTER), 1);
        found(&host, &[]);
        host.links.push(link(3, "eth1"));
        host.loaded = loaded([2, 3].into());
        host.to_clients = Some(3);
        found(&host, &["answers to clients leave by eth1"]);
        host.settings.insert(("eth0".to_owned(), RP_FILTER), 2);
        found(&host, &[]);
    }

    #[test]
    fn a_device_on_which_the_programs_are_not_answers() {
        let mut host = sound();
        host.links.push(link(3, "eth1"));
        found(&host, &["eth1 answers ARP for it"]);
    }

    #[test]
    fn a_small_link_and_a_rule_are_named() {
        let mut host = sound();
        host.links[1].mtu = 590;
        host.kept_out = vec![(
            format!("{VIP}:3306").parse().unwrap(),
            "nft: `drop`".to_owned(),
        )];
        found(
            &host,
            &[
                "a rule of netfilter keeps clients from it: nft",
                "leaves 570",
            ],
        );
    }
}
