//! The words for schedulers, protocols, forwarding methods and netmasks.

use super::Placed;
use crate::config::directive::{Context, Directive};
use crate::config::keyword;
use crate::config::reader::Word;
use crate::service::{Family, ForwardingMethod, Protocol, Scheduler, Tunnel, TunnelChecksum};

/// `rr`, `wrr` …
pub(super) fn scheduler(context: &mut Context<'_>, word: &Word) -> Option<Scheduler> {
    let scheduler = Scheduler::from_name(&word.text);
    if scheduler.is_none() {
        let nearest = Scheduler::NAMES
            .iter()
            .filter_map(|(_, name)| Some((keyword::distance(&word.text, name, 1)?, *name)))
            .min();
        let finding = context
            .report
            .error(word.span, format!("`{}` is no scheduler", word.text));
        if let Some((_, nearest)) = nearest {
            finding.label(format!("did you mean `{nearest}`?"));
        }
        let names: Vec<_> = Scheduler::NAMES.iter().map(|(_, name)| *name).collect();
        finding.help(format!("the schedulers are {}", names.join(", ")));
    }
    scheduler
}

/// `TCP`, `UDP` or `SCTP`, in any case.
pub(super) fn protocol(context: &mut Context<'_>, word: &Word) -> Option<Placed<Protocol>> {
    let value = match word.text.to_ascii_uppercase().as_str() {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => {
            context
                .report
                .error(word.span, format!("`{}` is no protocol", word.text))
                .help("the protocols are TCP, UDP and SCTP");
            return None;
        }
    };
    Some(Placed {
        value,
        span: word.span,
    })
}

/// `NAT`, `DR` or `TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]`.
pub(super) fn method(
    context: &mut Context<'_>,
    directive: &Directive<'_>,
) -> Option<ForwardingMethod> {
    let mut kind = "ipip";
    let mut port = None;
    let mut checksum = TunnelChecksum::None;
    let mut words = directive.rest(1).iter();
    while let Some(word) = words.next() {
        match (&*word.text, words.as_slice().first()) {
            ("type", Some(next)) if matches!(&*next.text, "ipip" | "gue" | "gre") => {
                kind = &*next.text;
                words.next();
            }
            ("port", Some(next)) if next.text.parse::<u16>().is_ok_and(|port| port != 0) => {
                port = next.text.parse().ok();
                words.next();
            }
            ("nocsum", _) => checksum = TunnelChecksum::None,
            ("csum", _) => checksum = TunnelChecksum::Full,
            ("remcsum", _) => checksum = TunnelChecksum::Remote,
            (text, _) => {
                context
                    .report
                    .error(word.span, format!("`{text}` is no option of a tunnel"))
                    .help("TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]");
                return None;
            }
        }
    }
    let refuse = |context: &mut Context<'_>, why: &str| {
        context
            .report
            .error(directive.statement.span(), why)
            .help("TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]");
    };
    match directive.choice()? {
        "NAT" => Some(ForwardingMethod::Nat),
        "DR" => Some(ForwardingMethod::DirectRouting),
        _ => match (kind, port, checksum) {
            ("gue", Some(port), checksum) => {
                Some(ForwardingMethod::Tunnel(Tunnel::Gue { port, checksum }))
            }
            ("gue", None, _) => {
                refuse(context, "a gue tunnel needs a port");
                None
            }
            (_, Some(_), _) => {
                refuse(context, "only a gue tunnel has a port");
                None
            }
            ("gre", None, TunnelChecksum::Remote) => {
                refuse(context, "a gre tunnel has no remote checksum");
                None
            }
            ("gre", None, checksum) => Some(ForwardingMethod::Tunnel(Tunnel::Gre { checksum })),
            (_, None, TunnelChecksum::None) => Some(ForwardingMethod::Tunnel(Tunnel::Ipip)),
            (_, None, _) => {
                refuse(context, "an ipip tunnel has no checksum");
                None
            }
        },
    }
}

/// The length of a netmask that has its ones at the front; a plain length for IPv6.
pub(super) fn prefix_length(text: &str, family: Family) -> Option<u8> {
    match family {
        Family::Inet => {
            let mask = u32::from(text.parse::<std::net::Ipv4Addr>().ok()?);
            let length = mask.leading_ones();
            (mask.count_ones() == length && length > 0).then_some(length as u8)
        }
        Family::Inet6 => text
            .parse()
            .ok()
            .filter(|length| (1..=128).contains(length)),
    }
}
