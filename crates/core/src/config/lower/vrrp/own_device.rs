//! The device that an instance has for itself: `use_vmac` and `use_ipvlan`.

use std::net::IpAddr;

use super::ReadInstance;
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::lower::Placed;
use crate::config::lower::address::address_and_prefix;
use crate::config::model::{Ipvlan, IpvlanNeighbourhood, VirtualMac};
use crate::config::reader::Word;
use crate::config::source::Span;

/// IFNAMSIZ without its zero.
pub(super) const LONGEST_NAME: usize = 15;

/// What the file says of an instance's device.
pub(super) struct ReadDevice {
    /// The place of its keyword.
    span: Span,
    /// The name, where the file gives one.
    interface: Option<Placed<String>>,
    kind: Kind,
}

enum Kind {
    VirtualMac {
        address: Option<[u8; 6]>,
    },
    Ipvlan {
        address: Option<Placed<(IpAddr, u8)>>,
        neighbourhood: Option<IpvlanNeighbourhood>,
    },
}

impl ReadInstance {
    /// `use_vmac [[name] INTERFACE] [MAC] [netlink_notify_msg] [group NUMBER]` or
    /// `use_ipvlan [INTERFACE] [ADDRESS[/PREFIX]] [bridge|private|vepa]`.
    pub(super) fn take_device(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) {
        let span = directive.name().span;
        let read = match directive.keyword.name {
            "use_vmac" => virtual_mac(context, directive),
            _ => ipvlan(context, directive),
        };
        match &self.own_device {
            Some(first) if !(first.is_ipvlan() || read.is_ipvlan()) => self.own_device = Some(read),
            Some(first) => {
                let name = &self.name.value;
                context
                    .report
                    .error(span, format!("({name}) this instance has a device already"))
                    .related(first.span, "this one, which it keeps")
                    .help("write one use_vmac or one use_ipvlan");
            }
            None => self.own_device = Some(read),
        }
    }
}

fn virtual_mac(context: &mut Context<'_>, directive: &Directive<'_>) -> ReadDevice {
    let (mut interface, mut address) = (None, None);
    let mut words = directive.rest(0).iter();
    while let Some(word) = words.next() {
        match &*word.text {
            "name" => {}
            "netlink_notify_msg" => {}
            "group" => drop(words.next()),
            text if text.contains(':') => match mac_address(text) {
                Some(given) => address = Some(given),
                None => {
                    context
                        .report
                        .error(word.span, format!("`{text}` is no MAC address"))
                        .help("write it like 00:00:5e:00:01:33");
                }
            },
            _ => interface = name(context, word).or(interface),
        }
    }
    ReadDevice {
        span: directive.name().span,
        interface,
        kind: Kind::VirtualMac { address },
    }
}

fn mac_address(text: &str) -> Option<[u8; 6]> {
    let mut octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16));
    let mut address = [0; 6];
    for octet in &mut address {
        *octet = octets.next()?.ok()?;
    }
    octets.next().is_none().then_some(address)
}

/// keepalived takes the first word of each sort, in any order.
fn ipvlan(context: &mut Context<'_>, directive: &Directive<'_>) -> ReadDevice {
    let (mut interface, mut address, mut neighbourhood) = (None, None, None);
    for word in directive.rest(0) {
        let is_second = match of_word(&word.text) {
            Some(other) => neighbourhood
                .replace(other)
                .map(|first| neighbourhood = Some(first)),
            None if is_address(&word.text) && address.is_some() => Some(()),
            None if is_address(&word.text) => {
                let span = word.span;
                let read = address_and_prefix(context, word);
                address = read.map(|value| Placed { value, span });
                None
            }
            None if interface.is_some() => Some(()),
            None => {
                interface = name(context, word);
                None
            }
        };
        if is_second.is_some() {
            context
                .report
                .error(
                    word.span,
                    format!("`{}`: an ipvlan has one of these alone", word.text),
                )
                .help("use_ipvlan takes a name, an address, and bridge, private or vepa");
        }
    }
    ReadDevice {
        span: directive.name().span,
        interface,
        kind: Kind::Ipvlan {
            address,
            neighbourhood,
        },
    }
}

fn of_word(text: &str) -> Option<IpvlanNeighbourhood> {
    use IpvlanNeighbourhood::{Bridge, Private, Vepa};
    [Bridge, Private, Vepa]
        .into_iter()
        .find(|each| each.word() == text)
}

fn is_address(text: &str) -> bool {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse::<IpAddr>().is_ok()
}

/// The name of a device, if the kernel takes it.
fn name(context: &mut Context<'_>, word: &Word) -> Option<Placed<String>> {
    let (text, span) = (&word.text, word.span);
    if text.len() <= LONGEST_NAME {
        return Some(Placed {
            value: text.to_string(),
            span,
        });
    }
    context
        .report
        .error(
            span,
            format!("`{text}` is longer than {LONGEST_NAME} characters"),
        )
        .help("the kernel takes no longer name");
    None
}

impl ReadDevice {
    fn is_ipvlan(&self) -> bool {
        matches!(self.kind, Kind::Ipvlan { .. })
    }

    /// The hardware address, where the file names one.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        match self.kind {
            Kind::VirtualMac { address } => address,
            Kind::Ipvlan { .. } => None,
        }
    }

    /// Where it says by an address which family the instance is of: there keepalived does not look
    /// at the virtual addresses yet.
    pub(super) fn family(&self) -> Option<(Span, bool)> {
        match &self.kind {
            Kind::Ipvlan {
                address: Some(address),
                ..
            } => Some((address.span, address.value.0.is_ipv6())),
            _ => None,
        }
    }

    /// The name that the file gives it.
    pub(super) fn given_name(&self) -> Option<&Placed<String>> {
        self.interface.as_ref()
    }

    /// Takes the name away, which another instance has.
    pub(super) fn unname(&mut self) {
        self.interface = None;
    }

    /// What it comes to for the instance with this name, VRID and family. A name that the file does
    /// not give begins with the prefix, and is none of those that are taken.
    pub(super) fn finish(
        self,
        (instance, virtual_router_id, ipv6): (&str, u8, bool),
        transmit_on_base: bool,
        (prefix, taken): (&str, &mut Vec<String>),
        report: &mut Report,
    ) -> (Option<VirtualMac>, Option<Ipvlan>) {
        let interface = match self.interface {
            Some(name) => name.value,
            None => free_name(prefix, (virtual_router_id, ipv6), taken),
        };
        match self.kind {
            Kind::VirtualMac { address } => {
                // 9568-7.3-a, 3768-7.3-a: 00-00-5E-00-01-{VRID} for IPv4, 02 for IPv6.
                let family = if ipv6 { 2 } else { 1 };
                let usual = [0, 0, 0x5e, 0, family, virtual_router_id];
                let mac = VirtualMac {
                    interface,
                    address: address.unwrap_or(usual),
                    transmit_on_base,
                };
                (Some(mac), None)
            }
            Kind::Ipvlan {
                address,
                neighbourhood,
            } => {
                let address = ipvlan_address(address, (instance, self.span, ipv6), report);
                let ipvlan = Ipvlan {
                    interface,
                    address,
                    neighbourhood: neighbourhood.unwrap_or_default(),
                };
                (None, Some(ipvlan))
            }
        }
    }
}

/// An ipvlan's own address, if it is one from which the instance can speak.
fn ipvlan_address(
    given: Option<Placed<(IpAddr, u8)>>,
    (instance, span, ipv6): (&str, Span, bool),
    report: &mut Report,
) -> Option<(IpAddr, u8)> {
    let Some(given) = given else {
        if !ipv6 {
            report
                .error(
                    span,
                    format!("({instance}) an ipvlan of IPv4 needs an address: the instance stays in FAULT state"),
                )
                .help("write `use_ipvlan NAME ADDRESS/PREFIX`, with an address of this director alone");
        }
        return None;
    };
    let (address, _) = given.value;
    if address.is_ipv6() != ipv6 {
        report
            .error(
                given.span,
                format!("({instance}) {address} is not of the family of the virtual addresses"),
            )
            .help("advertisements are sent in the family of the first virtual address");
        return None;
    }
    Some(given.value)
}

/// The name of a device that the file does not name: the first that nobody else has, of which it is
/// one more from now on.
///
/// keepalived-2.2.7: `vrrp.51`, then for IPv6 `vrrp6.51`, then `vrrp1.51` and so on.
pub(super) fn free_name(
    prefix: &str,
    (virtual_router_id, ipv6): (u8, bool),
    taken: &mut Vec<String>,
) -> String {
    let numbers = (1..=u16::MAX).filter(|number| !ipv6 || *number != 6);
    let sixth = ipv6.then_some(6);
    let numbers = sixth.into_iter().chain(numbers).map(|n| n.to_string());
    let mut names = std::iter::once(String::new()).chain(numbers).map(|number| {
        let end = format!("{number}.{virtual_router_id}");
        let room = LONGEST_NAME - end.len();
        let beginning: String = prefix.chars().take(room).collect();
        beginning + &end
    });
    let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.push(name.clone());
    name
}
