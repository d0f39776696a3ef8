//! `virtual_server_group`: several addresses and firewall marks with one list of real servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::name_of;
use super::servers::{ip_address, port};
use crate::config::diagnostic::{Report, Verdict};
use crate::config::directive::{Context, Directive};
use crate::config::model::{GroupMember, ServiceGroup};
use crate::config::reader::Word;
use crate::config::source::Span;
use crate::config::tree::Statement;
use crate::service::{Family, ForwardingMethod};

/// A group may stand for this many services; a mistyped range would exhaust every table.
const MOST_SERVICES: u128 = 65536;

/// A group as the file has it.
pub(super) struct ReadGroup {
    pub(super) name: String,
    span: Span,
    addresses: Vec<GroupMember>,
    /// Marks, with the family where the file names it.
    marks: Vec<(u32, Option<Family>)>,
}

/// A `virtual_server_group`, unless there is nothing in it.
pub(super) fn read(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[ReadGroup],
) -> Option<ReadGroup> {
    let name = name_of(block)?;
    let mut group = ReadGroup {
        name: name.value,
        span: name.span,
        addresses: Vec::new(),
        marks: Vec::new(),
    };
    for statement in block.statements() {
        group.line(context, statement);
    }
    let report = &mut *context.report;
    if let Some(first) = others.iter().find(|other| other.name == group.name) {
        report
            .advice(
                group.span,
                format!("there is a virtual_server_group {} already", group.name),
            )
            .label("this one is ignored")
            .related(first.span, "the first one")
            .help("give one of the two another name");
        return None;
    }
    let count: u128 = group.addresses.iter().map(GroupMember::count).sum();
    if count > MOST_SERVICES {
        report
            .error(
                group.span,
                format!("this group has {count} addresses, more than {MOST_SERVICES}"),
            )
            .keepalived(Verdict::Accepts)
            .help("use a firewall mark for as many addresses");
        return None;
    }
    if group.addresses.is_empty() && group.marks.is_empty() {
        report
            .warning(group.span, "this group has no addresses: ignored")
            .help("write an address, a range or `fwmark N` on each line of its block");
        return None;
    }
    if group.has(Family::Inet)
        && group.has(Family::Inet6)
        && group.marks.iter().any(|(_, family)| family.is_none())
    {
        report
            .warning(
                group.span,
                "a group with IPv4 and IPv6 has a mark without a family: ignored",
            )
            .help("write `fwmark N inet` or `fwmark N inet6`");
        return None;
    }
    Some(group)
}

impl ReadGroup {
    fn line(&mut self, context: &mut Context<'_>, statement: &Statement) {
        let [first, rest @ ..] = &statement.words[..] else {
            return;
        };
        if &*first.text == "fwmark" {
            self.marks.extend(mark(context, first, rest));
            return;
        }
        let Some((from, to)) = range(context, first) else {
            return;
        };
        let Ok(port) = port(context, rest.first()) else {
            return;
        };
        self.addresses.push(GroupMember::Addresses {
            first: from,
            last: to,
            port: port.unwrap_or(0),
        });
    }

    fn has(&self, family: Family) -> bool {
        let of_address = |member: &GroupMember| match member {
            GroupMember::Addresses { first, .. } => Family::of(*first) == family,
            GroupMember::Mark { .. } => false,
        };
        self.addresses.iter().any(of_address)
            || self.marks.iter().any(|(_, of)| *of == Some(family))
    }

    /// Whether it says of a mark which family it is for.
    pub(super) fn names_family(&self) -> bool {
        self.marks.iter().any(|(_, family)| family.is_some())
    }

    /// The group; marks without a family are of `family`.
    pub(super) fn finish(&self, family: Family) -> ServiceGroup {
        let marks = self.marks.iter().map(|(mark, of)| GroupMember::Mark {
            mark: *mark,
            family: of.unwrap_or(family),
        });
        ServiceGroup {
            name: self.name.clone(),
            number: 0,
            members: self.addresses.iter().copied().chain(marks).collect(),
        }
    }
}

fn mark(
    context: &mut Context<'_>,
    keyword: &Word,
    words: &[Word],
) -> Option<(u32, Option<Family>)> {
    let report = &mut *context.report;
    let Some(number) = words.first() else {
        report
            .error(keyword.span, "`fwmark` needs a mark")
            .keepalived(Verdict::Stops)
            .help("write `fwmark N`");
        return None;
    };
    let mark = match number.text.parse::<u32>() {
        Ok(0) => {
            report
                .error(number.span, "mark 0 is that of every packet without one")
                .keepalived(Verdict::Accepts)
                .help("write a mark from 1 up");
            return None;
        }
        Ok(mark) => mark,
        Err(_) => {
            report
                .error(number.span, format!("`{}` is no mark", number.text))
                .help("write a number from 1 up");
            return None;
        }
    };
    let family = match words.get(1).map(|word| (word, &*word.text)) {
        None => None,
        Some((_, "inet")) => Some(Family::Inet),
        Some((_, "inet6")) => Some(Family::Inet6),
        Some((word, text)) => {
            report
                .error(word.span, format!("`{text}` is no address family"))
                .help("write inet or inet6");
            return None;
        }
    };
    Some((mark, family))
}

/// An address, or the addresses from a first to a last one.
///
/// keepalived.conf(5): `192.168.200.1-10`, `192.168.200.250-192.168.201.10`,
/// `192.168.202.8/29`, and the same for IPv6, where the number behind a `-` is hexadecimal.
fn range(context: &mut Context<'_>, word: &Word) -> Option<(IpAddr, IpAddr)> {
    let text = &*word.text;
    if let Some((address, length)) = text.split_once('/') {
        return prefix(context, word, address, length);
    }
    let Some((first, last)) = text.split_once('-') else {
        let address = ip_address(context, word)?;
        return Some((address, address));
    };
    let complain = |context: &mut Context<'_>, message: String, help: &str| {
        context.report.error(word.span, message).help(help);
    };
    const FORM: &str = "write FIRST-LAST, as in 192.0.2.1-10 or 192.0.2.250-192.0.3.10";
    let Ok(first) = first.parse::<IpAddr>() else {
        complain(context, format!("`{first}` is no address"), FORM);
        return None;
    };
    let end = if last.contains(['.', ':']) {
        last.parse().ok()
    } else {
        with_last_part(first, last)
    };
    let Some(end) = end else {
        complain(context, format!("`{last}` does not end a range"), FORM);
        return None;
    };
    if Family::of(first) != Family::of(end) || end < first {
        complain(
            context,
            format!("no addresses go from {first} to {end}"),
            "the last address of a range is above the first and of the same family",
        );
        return None;
    }
    // keepalived wants a range in its short form to have two addresses.
    if end == first && !last.contains(['.', ':']) {
        complain(
            context,
            format!("this range has the one address {first}"),
            "write the address alone",
        );
        return None;
    }
    Some((first, end))
}

/// `first` with another last octet, or for IPv6 another last group.
fn with_last_part(first: IpAddr, last: &str) -> Option<IpAddr> {
    Some(match first {
        IpAddr::V4(first) => {
            let [a, b, c, _] = first.octets();
            Ipv4Addr::new(a, b, c, last.parse().ok()?).into()
        }
        IpAddr::V6(first) => {
            let mut segments = first.segments();
            segments[7] = u16::from_str_radix(last, 16).ok()?;
            Ipv6Addr::from(segments).into()
        }
    })
}

/// Every address of a network.
fn prefix(
    context: &mut Context<'_>,
    word: &Word,
    address: &str,
    length: &str,
) -> Option<(IpAddr, IpAddr)> {
    let report = &mut *context.report;
    let Ok(first) = address.parse::<IpAddr>() else {
        report
            .error(word.span, format!("`{address}` is no address"))
            .help("write ADDRESS/LENGTH, as in 192.0.2.8/29");
        return None;
    };
    let bits = Family::of(first).address_bits();
    let host_bits = match length.parse::<u8>() {
        Ok(length) if (1..=bits).contains(&length) => u32::from(bits - length),
        _ => {
            report
                .error(word.span, format!("`/{length}` is no prefix length"))
                .help(format!("write a number from 1 to {bits}"));
            return None;
        }
    };
    let hosts = 1u128.checked_shl(host_bits).map_or(u128::MAX, |n| n - 1);
    let (is_network, last) = match first {
        IpAddr::V4(first) => {
            let number = u32::from(first);
            let hosts = hosts as u32;
            (number & hosts == 0, Ipv4Addr::from(number | hosts).into())
        }
        IpAddr::V6(first) => {
            let number = u128::from(first);
            (number & hosts == 0, Ipv6Addr::from(number | hosts).into())
        }
    };
    if !is_network {
        report
            .error(
                word.span,
                format!("{first} is not the first address of its network"),
            )
            .help("write the network's own address before the slash, or a range with `-`");
        return None;
    }
    Some((first, last))
}

/// Packets of a service keep their port on the way to a real server, unless by NAT.
pub(super) fn review_port(
    group: &ServiceGroup,
    port: Option<u16>,
    method: ForwardingMethod,
    span: Span,
    report: &mut Report,
) {
    let Some(port) = port.filter(|_| method != ForwardingMethod::Nat) else {
        return;
    };
    let differs = group.members.iter().any(|member| match member {
        GroupMember::Addresses {
            port: virtual_port, ..
        } => *virtual_port != port,
        GroupMember::Mark { .. } => true,
    });
    if differs {
        report
            .warning(
                span,
                format!(
                    "only NAT translates ports, and not all of group {} have port {port}",
                    group.name
                ),
            )
            .label("packets keep the port that they were sent to")
            .help("leave the port out, or use `lb_kind NAT`");
    }
}
