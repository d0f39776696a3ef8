//! Addresses as the file writes them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::config::directive::Context;
use crate::config::model::{AddressFlag, UnicastPeer, VirtualAddress};
use crate::config::reader::Word;
use crate::config::route_names::RouteName;
use crate::config::tree::Statement;

/// The longest prefix of an address's family.
pub(super) fn longest_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `ADDRESS[/PREFIX]`; what is wrong with it is in the report.
pub(super) fn address_and_prefix(context: &mut Context<'_>, word: &Word) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match word.text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (&*word.text, None),
    };
    let address: IpAddr = match address.parse() {
        Ok(address) => address,
        Err(_) => {
            not_an_address(context, word);
            return None;
        }
    };
    let longest = longest_prefix(address);
    let prefix_length = match prefix.map(str::parse::<u8>) {
        None => longest,
        Some(Ok(length)) if length <= longest => length,
        Some(_) => {
            context
                .report
                .warning(
                    word.span,
                    format!(
                        "the prefix length of `{}` is not from 0 to {longest}: {longest} is used",
                        word.text
                    ),
                )
                .help(format!("write {address}/{longest} for the address alone"));
            longest
        }
    };
    Some((address, prefix_length))
}

pub(super) fn not_an_address(context: &mut Context<'_>, word: &Word) {
    let finding = context
        .report
        .error(word.span, format!("`{}` is no IP address", word.text));
    if word.text.contains('$') {
        finding.help("within a word a definition is written ${NAME}; $NAME has to stand alone");
    } else if word.text.contains(|c: char| c.is_ascii_alphabetic()) && !word.text.contains(':') {
        finding.help("host names are not looked up here: write the address");
    } else {
        finding.help("write it like 192.0.2.1 or 2001:db8::1");
    }
}

/// A line of `virtual_ipaddress`: an address, then what ip-address(8) calls options.
pub(super) fn virtual_address(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<VirtualAddress> {
    address(context, statement, AddressKind::Virtual)
}

/// A line of `static_ipaddress`.
pub(super) fn static_address(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<VirtualAddress> {
    address(context, statement, AddressKind::Static)
}

/// Whose address a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressKind {
    Virtual,
    Static,
}

fn address(
    context: &mut Context<'_>,
    statement: &Statement,
    kind: AddressKind,
) -> Option<VirtualAddress> {
    let mut words = statement.words.iter();
    let first = words.next()?;
    let errors_before = context.report.errors();
    let (address, prefix_length) = address_and_prefix(context, first)?;
    let mut virtual_address = VirtualAddress::new(address, prefix_length);
    let mut written_lifetime = None;
    while let Some(option) = words.next() {
        let name = &*option.text;
        let takes_value = matches!(
            name,
            "dev" | "label" | "scope" | "brd" | "broadcast" | "peer" | "preferred_lft"
        );
        let value = if takes_value { words.next() } else { None };
        if takes_value && value.is_none() {
            context
                .report
                .error(option.span, format!("`{name}` needs a value"));
            continue;
        }
        match (name, value) {
            ("dev", Some(device)) => set_interface(context, &mut virtual_address, device),
            ("label", Some(label)) => set_label(context, &mut virtual_address, label),
            ("scope", Some(scope)) => set_scope(context, &mut virtual_address, scope),
            ("brd" | "broadcast", Some(broadcast)) => {
                set_broadcast(context, &mut virtual_address, broadcast);
            }
            ("peer", Some(peer)) => set_peer(context, &mut virtual_address, peer),
            ("preferred_lft", Some(lifetime)) => {
                written_lifetime = lifetime_of(context, lifetime).or(written_lifetime);
            }
            ("no_track", _) => virtual_address.restore = false,
            // Of an instance, which sees to it.
            ("use_vmac", _) if kind == AddressKind::Virtual => {}
            _ => {
                let mut flags = AddressFlag::ALL.into_iter();
                let flag = flags.find(|flag| flag.keyword() == name);
                if let Some(flag) = flag {
                    virtual_address.flags.insert(flag);
                    continue;
                }
                let finding = context.report.warning(
                    option.span,
                    format!("`{name}` is no option of an address: ignored"),
                );
                if name.parse::<IpAddr>().is_ok() || name.contains('/') {
                    finding.help("every address stands on a line of its own");
                } else {
                    finding.help("the options are dev, label, scope, brd, peer, home, -nodad, mngtmpaddr, noprefixroute, autojoin, no_track, preferred_lft and use_vmac");
                }
            }
        }
    }
    let VirtualAddress {
        prefix_length,
        peer,
        ..
    } = virtual_address;
    if peer.is_some() && virtual_address.broadcast.take().is_some() {
        context
            .report
            .warning(
                first.span,
                format!("{address} has a peer, so its broadcast address is ignored"),
            )
            .help("a link between two has no broadcast address: take it, or the peer, away");
    }
    virtual_address.preferred_lifetime = match written_lifetime {
        Some(lifetime) if address.is_ipv6() => lifetime,
        _ => VirtualAddress::usual_lifetime(address, prefix_length),
    };
    // What is wrong about an address is the end of it, here as with keepalived.
    (context.report.errors() == errors_before).then_some(virtual_address)
}

/// The other end of the link; the address itself then has no subnet.
fn set_peer(context: &mut Context<'_>, address: &mut VirtualAddress, word: &Word) {
    let Ok(peer) = word.text.parse::<IpAddr>() else {
        context
            .report
            .warning(
                word.span,
                format!("`{}` is no IP address: ignored", word.text),
            )
            .help("write the other end's address, without a prefix length");
        return;
    };
    if peer.is_ipv6() != address.address.is_ipv6() {
        context
            .report
            .warning(
                word.span,
                format!(
                    "{peer} is not of the family of {}: ignored",
                    address.address
                ),
            )
            .help("the two ends of a link are both IPv4 or both IPv6");
    } else if address.peer.is_some() {
        context
            .report
            .warning(word.span, "there is a peer already: this one is ignored")
            .help("a link between two has one other end");
    } else {
        let longest = longest_prefix(peer);
        if address.prefix_length != longest {
            context
                .report
                .warning(
                    word.span,
                    format!(
                        "the prefix length {} is ignored beside a peer",
                        address.prefix_length
                    ),
                )
                .help("a link between two has no subnet: take the prefix length away");
        }
        address.prefix_length = longest;
        address.peer = Some(peer);
    }
}

/// `forever` (an inner none), or seconds; none if it is neither.
fn lifetime_of(context: &mut Context<'_>, word: &Word) -> Option<Option<Duration>> {
    if &*word.text == "forever" {
        return Some(None);
    }
    match word.text.parse::<u32>() {
        // The kernel's number for ever.
        Ok(u32::MAX) => Some(None),
        Ok(seconds) => Some(Some(Duration::from_secs(seconds.into()))),
        Err(_) => {
            context
                .report
                .warning(
                    word.span,
                    format!("`{}` is no lifetime: ignored", word.text),
                )
                .help("write a number of seconds, or forever");
            None
        }
    }
}

/// IFNAMSIZ with its zero: the longest label that the kernel takes.
const LONGEST_LABEL: usize = 15;

fn set_label(context: &mut Context<'_>, address: &mut VirtualAddress, label: &Word) {
    if address.address.is_ipv6() {
        context
            .report
            .warning(label.span, "an IPv6 address cannot have a label: ignored");
    } else if label.text.len() > LONGEST_LABEL {
        context
            .report
            .error(
                label.span,
                format!("`{}` is longer than {LONGEST_LABEL} characters", label.text),
            )
            .help("the kernel takes no longer label");
    } else {
        address.label = Some(label.text.to_string());
    }
}

/// A line of `unicast_peer`: an address, then bounds of the TTL.
pub(super) fn unicast_peer(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<UnicastPeer> {
    let mut words = statement.words.iter();
    let first = words.next()?;
    let Ok(address) = first.text.parse() else {
        not_an_address(context, first);
        return None;
    };
    let mut peer = UnicastPeer {
        address,
        least_hop_limit: 0,
        most_hop_limit: u8::MAX,
    };
    while let Some(option) = words.next() {
        let bound = match &*option.text {
            "min_ttl" => &mut peer.least_hop_limit,
            "max_ttl" => &mut peer.most_hop_limit,
            other => {
                context
                    .report
                    .warning(
                        option.span,
                        format!("`{other}` is no option of a peer: ignored"),
                    )
                    .help("the options are min_ttl and max_ttl; every peer stands on a line of its own");
                continue;
            }
        };
        match words.next().map(|word| (word, word.text.parse())) {
            Some((_, Ok(value))) => *bound = value,
            Some((word, Err(_))) => {
                context
                    .report
                    .error(word.span, format!("`{}` is not from 0 to 255", word.text));
            }
            None => {
                context
                    .report
                    .error(option.span, format!("`{}` needs a value", option.text));
            }
        }
    }
    if peer.least_hop_limit > peer.most_hop_limit {
        context
            .report
            .error(first.span, format!("no TTL is right for {address}"))
            .help("min_ttl is larger than max_ttl");
    }
    Some(peer)
}

fn set_interface(context: &mut Context<'_>, address: &mut VirtualAddress, device: &Word) {
    if let Some(first) = &address.interface {
        context
            .report
            .error(
                device.span,
                format!("{} is on {first} already", address.address),
            )
            .help("an address lives on one interface: take one `dev` away");
        return;
    }
    address.interface = Some(device.text.to_string());
}

fn set_scope(context: &mut Context<'_>, address: &mut VirtualAddress, scope: &Word) {
    let Some(value) = scope_of(context, scope) else {
        context
            .report
            .warning(scope.span, format!("`{}` is no scope: ignored", scope.text))
            .help(SCOPES);
        return;
    };
    if address.address.is_ipv6() && value != 0 {
        context
            .report
            .warning(
                scope.span,
                "the scope of an IPv6 address is in the address itself: ignored",
            )
            .help("take it away");
        return;
    }
    address.scope = value;
}

/// The names of `/etc/iproute2/rt_scopes`, and numbers.
pub(super) fn scope_of(context: &mut Context<'_>, scope: &Word) -> Option<u8> {
    let number = context.route_number(RouteName::Scope, &scope.text);
    number.and_then(|number| u8::try_from(number).ok())
}

/// What scopes there are.
pub(super) const SCOPES: &str = "write global, site, link, host, or a number from 0 to 255";

/// In a subnet of two addresses or one there is none for a broadcast (RFC 3021).
const LONGEST_WITH_BROADCAST: u8 = 30;

/// `+` and `-` stand for the address of the subnet with all host bits set, or none.
fn set_broadcast(context: &mut Context<'_>, address: &mut VirtualAddress, broadcast: &Word) {
    let IpAddr::V4(own) = address.address else {
        context
            .report
            .warning(broadcast.span, "IPv6 has no broadcast address: ignored");
        return;
    };
    if matches!(&*broadcast.text, "+" | "-") && address.prefix_length > LONGEST_WITH_BROADCAST {
        context
            .report
            .warning(
                broadcast.span,
                format!(
                    "a subnet of {} bits has no broadcast address: ignored",
                    address.prefix_length
                ),
            )
            .help("write the prefix length of the subnet behind the address, or the broadcast address itself");
        return;
    }
    let host_bits = u32::MAX
        .checked_shr(u32::from(address.prefix_length))
        .unwrap_or(0);
    address.broadcast = match &*broadcast.text {
        "+" => Some(Ipv4Addr::from(own.to_bits() | host_bits)),
        "-" => Some(Ipv4Addr::from(own.to_bits() & !host_bits)),
        written => match written.parse() {
            Ok(written) => Some(written),
            Err(_) => {
                context
                    .report
                    .error(broadcast.span, format!("`{written}` is no IPv4 address"))
                    .help("write an address, or + for the last one of the subnet");
                None
            }
        },
    };
}
