//! The interfaces of this host, as far as VRRP has to do with them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use elver_core::config::model::{self, Route, RouterSettings, Rule, Tracker, VrrpInstance};
use elver_core::vrrp::{HeldAddress, InterfaceCondition, PRIORITY_STOP, SEALED_FROM, addresses_of};
use elver_sys::gratuitous_arp::GratuitousArp;
use elver_sys::netlink::{
    AddressFlag, AddressOptions, InterfaceAddress, Link, Netlink, NetlinkEvent, NetlinkEvents,
    Scope, Topic,
};
pub(super) use elver_sys::vrrp_socket::ReceivedPacket;
use tracing::{debug, info, warn};

use super::instance_device::InstanceDevices;
use super::kernel_settings::{KernelSettings, REPORTS};
use super::routing;
use super::sockets::Sockets;

/// Something that has happened on this host.
#[derive(Debug)]
pub(super) enum Happening {
    /// A VRRP packet has come in.
    Packet {
        interface: String,
        packet: ReceivedPacket,
    },
    /// An interface in use has changed.
    InterfaceChanged {
        interface: String,
        condition: Option<InterfaceCondition>,
    },
    /// A virtual address was taken off an interface.
    AddressRemoved { interface: String, address: IpAddr },
    /// Some route or rule has come or gone.
    RoutesChanged,
    /// The kernel could not tell all that has happened.
    EventsLost,
    /// Nothing that matters.
    Nothing,
}

/// The interfaces, and the sockets on them.
pub(super) struct Host {
    netlink: Netlink,
    events: NetlinkEvents,
    devices: InstanceDevices,
    /// Settings that the file asks for.
    kernel: KernelSettings,
    arp: GratuitousArp,
    links: BTreeMap<u32, Link>,
    /// In the kernel's order.
    addresses: Vec<InterfaceAddress>,
    sockets: Sockets,
    /// Interfaces that only are looked at.
    tracked: BTreeSet<String>,
    /// Addresses that are not an interface's own. With another prefix length the same
    /// address is: that of a router that owns what it advertises. With the other end of its
    /// link, where it has one.
    virtual_addresses: BTreeMap<(String, IpAddr, u8), Option<IpAddr>>,
    /// What one event means beyond its first happening.
    queue: VecDeque<Happening>,
}

impl Host {
    pub(super) fn open() -> io::Result<Host> {
        // Listening begins before asking, so that no change falls in between.
        let events =
            NetlinkEvents::open(&[Topic::Links, Topic::Addresses, Topic::Routes, Topic::Rules])?;
        let mut host = Host {
            netlink: Netlink::open()?,
            events,
            devices: InstanceDevices::default(),
            kernel: KernelSettings::default(),
            arp: GratuitousArp::open()?,
            links: BTreeMap::new(),
            addresses: Vec::new(),
            sockets: Sockets::default(),
            tracked: BTreeSet::new(),
            virtual_addresses: BTreeMap::new(),
            queue: VecDeque::new(),
        };
        host.refresh()?;
        Ok(host)
    }

    /// Asks the kernel for all links and addresses.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        self.links = self
            .netlink
            .links()?
            .into_iter()
            .map(|link| (link.index, link))
            .collect();
        self.addresses = self.netlink.addresses()?;
        self.sockets.open(&self.links);
        Ok(())
    }

    /// Makes ready for these instances; returns what an operator must know.
    pub(super) fn prepare(
        &mut self,
        instances: &[VrrpInstance],
        settings: &RouterSettings,
    ) -> io::Result<Vec<String>> {
        self.sockets.configure(instances);
        self.tracked = instances
            .iter()
            .flat_map(|instance| &instance.tracked)
            .filter_map(|tracked| match &tracked.tracker {
                Tracker::Interface(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        self.virtual_addresses = instances
            .iter()
            .flat_map(addresses_of)
            .map(|held| {
                let key = (held.interface, held.address, held.prefix_length);
                (key, held.peer)
            })
            .collect();
        self.kernel.restore();
        if settings.no_local_reports {
            self.kernel.set_all(REPORTS, "0");
        }
        for instance in instances
            .iter()
            .filter(|instance| instance.promote_secondaries)
        {
            let interface = &instance.interface;
            self.kernel.set(interface, "promote_secondaries", "1");
        }
        self.devices.configure(&mut self.netlink, instances);
        let mut problems = self.make_devices();
        self.refresh()?;
        for instance in instances {
            let mut interfaces: BTreeSet<String> = addresses_of(instance)
                .into_iter()
                .map(|held| held.interface)
                .collect();
            interfaces.insert(instance.interface.clone());
            for interface in interfaces {
                if self.link(&interface).is_none() {
                    let consequence = if interface == instance.interface {
                        "the instance stays in FAULT state until the interface appears"
                    } else {
                        "its addresses there cannot be set until the interface appears"
                    };
                    problems.push(format!(
                        "({}) interface {interface} doesn't exist; {consequence}",
                        instance.name
                    ));
                }
            }
        }
        Ok(problems)
    }

    /// Removes what was made for the instances.
    pub(super) fn close(&mut self) {
        self.devices.remove(&mut self.netlink);
        self.kernel.restore();
    }

    /// Makes devices of instances that are not there.
    fn make_devices(&mut self) -> Vec<String> {
        let sources: BTreeMap<String, Ipv6Addr> = self
            .links
            .values()
            .filter_map(|link| {
                let condition = self.condition(&link.name)?;
                Some((link.name.clone(), condition.ipv6_link_local?))
            })
            .collect();
        let source = |name: &str| sources.get(name).copied();
        self.devices.make(&mut self.netlink, source)
    }

    /// Makes a device again that went with its interface, or gives it the address that has
    /// come there.
    fn look_after_devices(&mut self, changed: &str) {
        if self.devices.concerns(changed) {
            for problem in self.make_devices() {
                warn!("{problem}");
            }
        }
    }

    /// Every interface in use with its condition; none if it is not there.
    pub(super) fn conditions(&self) -> Vec<(String, Option<InterfaceCondition>)> {
        let names: BTreeSet<&String> = self.sockets.interfaces().chain(&self.tracked).collect();
        names
            .into_iter()
            .map(|name| (name.clone(), self.condition(name)))
            .collect()
    }

    /// Whether an interface has an address now.
    pub(super) fn has(&self, held: &HeldAddress) -> bool {
        self.link(&held.interface).is_some_and(|link| {
            self.addresses
                .iter()
                .any(|address| address.interface == link.index && address.address == held.address)
        })
    }

    /// The next thing that happens. Nothing is lost when this is cancelled.
    pub(super) async fn next(&mut self) -> io::Result<Happening> {
        if let Some(happening) = self.queue.pop_front() {
            return Ok(happening);
        }
        tokio::select! {
            event = self.events.next() => {
                self.learn(event?);
                Ok(self.queue.pop_front().unwrap_or(Happening::Nothing))
            }
            (interface, packet) = self.sockets.next() => {
                match packet {
                    Ok(packet) => Ok(Happening::Packet { interface, packet }),
                    // ENETDOWN comes here before netlink tells of it.
                    Err(error) => {
                        debug!("receiving on {interface}: {error}");
                        Ok(Happening::Nothing)
                    }
                }
            }
        }
    }

    /// The packets that have come in by now, a bounded number.
    pub(super) fn pending_packets(&self) -> Vec<(String, ReceivedPacket)> {
        self.sockets.pending()
    }

    /// Sends an advertisement, as a whole packet where it is sealed. `source` is an address of
    /// the interface and the TTL or hop limit.
    pub(super) fn send(
        &mut self,
        instance: &str,
        interface: &str,
        source: (IpAddr, u8),
        destination: IpAddr,
        (payload, sealed): (&[u8], bool),
    ) {
        let sent = self.index(interface).and_then(|index| {
            self.sockets
                .send((interface, index), source, destination, (payload, sealed))
        });
        if let Err(error) = sent {
            // The farewell of an instance whose interface went down cannot arrive.
            let advertisement = if sealed { SEALED_FROM } else { 0 };
            if payload.get(advertisement + 2) == Some(&PRIORITY_STOP) {
                debug!("({instance}) send advert error on {interface}: {error}");
            } else {
                warn!("({instance}) send advert error on {interface}: {error}");
            }
        }
    }

    /// Puts addresses on interfaces.
    ///
    /// # Errors
    /// In words, which and why.
    pub(super) fn add_addresses(
        &mut self,
        instance: &str,
        addresses: &[HeldAddress],
    ) -> Result<(), String> {
        let mut failures = Vec::new();
        for held in addresses {
            let flags: Vec<AddressFlag> = held.flags.iter().map(|flag| to_kernel(*flag)).collect();
            let options = AddressOptions {
                label: held.label.as_deref(),
                scope: held.scope,
                broadcast: held.broadcast,
                peer: held.peer,
                preferred_lifetime: held.preferred_lifetime,
                flags: &flags,
            };
            let added = self.index(&held.interface).and_then(|index| {
                self.netlink
                    .add_address(index, held.address, held.prefix_length, options)
            });
            if let Err(error) = added {
                failures.push(failure("add", "to", held, &error));
            }
        }
        collect(instance, failures)
    }

    /// Takes addresses off interfaces.
    ///
    /// # Errors
    /// In words, which and why.
    pub(super) fn remove_addresses(
        &mut self,
        instance: &str,
        addresses: &[HeldAddress],
    ) -> Result<(), String> {
        let mut failures = Vec::new();
        for held in addresses {
            if let Some(index) = self.link(&held.interface).map(|link| link.index) {
                let removed =
                    self.netlink
                        .remove_address(index, held.address, held.prefix_length, held.peer);
                if let Err(error) = removed {
                    failures.push(failure("remove", "from", held, &error));
                }
            }
        }
        collect(instance, failures)
    }

    /// Puts routes and rules in force.
    ///
    /// # Errors
    /// In words, which and why.
    pub(super) fn add_routes(
        &mut self,
        instance: Option<&str>,
        routes: &[Route],
        rules: &[Rule],
    ) -> Result<(), String> {
        let Host { netlink, links, .. } = self;
        let failures = routing::add(netlink, routes, rules, |name| {
            routing::named(links.values(), name)
        });
        collect(instance.unwrap_or("static"), failures)
    }

    /// Takes routes and rules out of force.
    ///
    /// # Errors
    /// In words, which and why.
    pub(super) fn remove_routes(
        &mut self,
        instance: Option<&str>,
        routes: &[Route],
        rules: &[Rule],
    ) -> Result<(), String> {
        let Host { netlink, links, .. } = self;
        let failures = routing::remove(netlink, routes, rules, |name| {
            routing::named(links.values(), name)
        });
        collect(instance.unwrap_or("static"), failures)
    }

    /// Tells the neighbours where addresses are: 9568-8.1.2-c, 9568-8.2.2-b.
    pub(super) fn announce(&mut self, instance: &str, addresses: &[HeldAddress], repeat: u32) {
        let mut announced = Vec::new();
        for HeldAddress {
            interface, address, ..
        } in addresses
        {
            let Some(link) = self.link(interface) else {
                continue;
            };
            let Some(mac) = link.mac.filter(|_| !link.no_arp && !link.loopback) else {
                continue;
            };
            let (message, router) = match address {
                IpAddr::V4(_) => ("gratuitous ARP", false),
                IpAddr::V6(_) => ("Unsolicited Neighbour Advert", forwards_ipv6(interface)),
            };
            info!("({instance}) Sending/queueing {message}s on {interface} for {address}");
            announced.push((link.index, mac, *address, router, interface, message));
        }
        for _ in 0..repeat {
            for (index, mac, address, router, interface, message) in &announced {
                debug!("Sending {message} on {interface} for {address}");
                if let Err(error) = self.arp.announce(*index, *mac, *address, *router) {
                    warn!("Error sending {message} on {interface} for {address}: {error}");
                }
            }
        }
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        routing::named(self.links.values(), name).map(|link| link.index)
    }

    fn condition(&self, name: &str) -> Option<InterfaceCondition> {
        let link = self.link(name)?;
        let own = |address: &&InterfaceAddress| {
            let key = (name.to_owned(), address.address, address.prefix_length);
            address.interface == link.index && !self.virtual_addresses.contains_key(&key)
        };
        let mut ipv4 = None;
        let mut ipv6_link_local = None;
        let own: Vec<&InterfaceAddress> = self.addresses.iter().filter(own).collect();
        for address in &own {
            match address.address {
                IpAddr::V4(address) => ipv4 = ipv4.or(Some(address)),
                IpAddr::V6(ipv6) if address.scope == Scope::Link && !address.tentative => {
                    ipv6_link_local = ipv6_link_local.or(Some(ipv6));
                }
                IpAddr::V6(_) => {}
            }
        }
        Some(InterfaceCondition {
            up: link.up && link.running,
            ipv4,
            ipv6_link_local,
            addresses: own.iter().map(|address| address.address).collect(),
        })
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.tracked.contains(name) || self.sockets.interfaces().any(|wanted| wanted == name)
    }

    /// Takes in an event and queues what it means.
    fn learn(&mut self, event: NetlinkEvent) {
        match event {
            NetlinkEvent::LinkChanged(link) => {
                let name = link.name.clone();
                let works = link.up && link.running;
                let before = self.links.insert(link.index, link);
                let worked = before.as_ref().is_some_and(|link| link.up && link.running);
                if works != worked && self.is_wanted(&name) {
                    info!(
                        "Netlink reports {name} {}",
                        if works { "up" } else { "down" }
                    );
                }
                if let Some(before) = before.filter(|before| before.name != name) {
                    self.renamed(&before);
                }
                self.look_after_devices(&name);
                self.changed(&name);
                // With a link its routes go, of IPv4 without a word.
                self.routes_changed();
            }
            NetlinkEvent::LinkRemoved(link) => {
                self.links.remove(&link.index);
                self.addresses
                    .retain(|address| address.interface != link.index);
                self.changed(&link.name);
            }
            NetlinkEvent::AddressAdded(address) => {
                let same = |known: &&mut InterfaceAddress| {
                    known.interface == address.interface
                        && known.address == address.address
                        && known.prefix_length == address.prefix_length
                };
                let interface = address.interface;
                match self.addresses.iter_mut().find(same) {
                    Some(known) => *known = address,
                    None => self.addresses.push(address),
                }
                let name = self.links.get(&interface).map(|link| link.name.clone());
                self.look_after_devices(&name.unwrap_or_default());
                self.changed_index(interface);
            }
            NetlinkEvent::AddressRemoved(address) => {
                self.addresses.retain(|known| {
                    known.interface != address.interface
                        || known.address != address.address
                        || known.prefix_length != address.prefix_length
                });
                self.changed_index(address.interface);
                if let Some(link) = self.links.get(&address.interface) {
                    self.queue.push_back(Happening::AddressRemoved {
                        interface: link.name.clone(),
                        address: address.address,
                    });
                }
            }
            NetlinkEvent::Overrun => self.queue.push_back(Happening::EventsLost),
            NetlinkEvent::RoutesChanged => self.routes_changed(),
            NetlinkEvent::NeighbourChanged(_) => {}
        }
    }

    /// An interface has another name now: what it had under the old one is not there any
    /// more, and its virtual addresses must not stay behind.
    fn renamed(&mut self, before: &Link) {
        let left_behind = self
            .virtual_addresses
            .iter()
            .filter(|((name, ..), _)| *name == before.name);
        for ((name, address, prefix_length), peer) in left_behind {
            if let Err(error) =
                self.netlink
                    .remove_address(before.index, *address, *prefix_length, *peer)
            {
                warn!("cannot remove {address}/{prefix_length} from what was {name}: {error}");
            }
        }
        self.changed(&before.name);
    }

    fn routes_changed(&mut self) {
        // One of several in a row says as much.
        if !matches!(self.queue.back(), Some(Happening::RoutesChanged)) {
            self.queue.push_back(Happening::RoutesChanged);
        }
    }

    fn changed_index(&mut self, index: u32) {
        if let Some(name) = self.links.get(&index).map(|link| link.name.clone()) {
            self.changed(&name);
        }
    }

    fn changed(&mut self, name: &str) {
        if self.is_wanted(name) {
            self.sockets.open(&self.links);
            self.queue.push_back(Happening::InterfaceChanged {
                interface: name.to_owned(),
                condition: self.condition(name),
            });
        }
    }
}

/// Whether this host is a router on an interface (ip-sysctl, `forwarding`).
fn forwards_ipv6(interface: &str) -> bool {
    std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding"))
        .is_ok_and(|setting| setting.trim() != "0")
}

fn to_kernel(flag: model::AddressFlag) -> AddressFlag {
    match flag {
        model::AddressFlag::Home => AddressFlag::Home,
        model::AddressFlag::DuplicateDetection => AddressFlag::DuplicateDetection,
        model::AddressFlag::ManageTemporary => AddressFlag::ManageTemporary,
        model::AddressFlag::NoPrefixRoute => AddressFlag::NoPrefixRoute,
        model::AddressFlag::JoinGroups => AddressFlag::JoinGroups,
    }
}

fn failure(verb: &str, preposition: &str, held: &HeldAddress, error: &io::Error) -> String {
    let HeldAddress {
        interface,
        address,
        prefix_length,
        ..
    } = held;
    format!("cannot {verb} {address}/{prefix_length} {preposition} {interface}: {error}")
}

fn collect(instance: &str, failures: Vec<String>) -> Result<(), String> {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("({instance}) {}", failures.join("; ")))
    }
}

/// Takes the virtual addresses of instances off the interfaces of the calling thread's
/// network namespace: for the director, when no vrrp process is there to do it.
/// Addresses and interfaces that are not there are in order. Returns how many were
/// removed.
///
/// # Errors
/// The first that could not be removed, after the others have been.
pub fn withdraw_addresses(instances: &[VrrpInstance]) -> io::Result<usize> {
    let mut netlink = Netlink::open()?;
    let links = netlink.links()?;
    let mut removed = 0;
    let mut failed = Ok(());
    for held in instances.iter().flat_map(addresses_of) {
        let Some(link) = links.iter().find(|link| link.name == held.interface) else {
            continue;
        };
        match netlink.remove_address(link.index, held.address, held.prefix_length, held.peer) {
            Ok(was_there) => removed += usize::from(was_there),
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed.map(|()| removed)
}
