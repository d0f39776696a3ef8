//! Sessions of BFD.

use std::net::IpAddr;
use std::time::Duration;

use super::{Placed, name_of};
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::BfdInstance;

// The defaults of keepalived.conf(5).
const INTERVAL: Duration = Duration::from_millis(10);
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
const MULTIPLIER: u8 = 5;
const TTL: u8 = 255;
const HOP_LIMIT: u8 = 64;
/// keepalived's BFD_INAME_MAX, without the zero at the end.
const LONGEST_NAME: usize = 31;

/// A `bfd_instance` as the file has it.
pub(super) struct ReadSession {
    pub(super) name: Placed<String>,
    pub(super) instance: BfdInstance,
    pub(super) weight: i16,
    pub(super) reverse: bool,
}

/// A `bfd_instance`.
pub(super) fn session(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[ReadSession],
) -> Option<ReadSession> {
    let name = name_of(block)?;
    let (mut neighbor, mut source) = (None, None);
    let (mut min_rx, mut min_tx, mut idle_tx) = (INTERVAL, INTERVAL, IDLE_INTERVAL);
    let (mut multiplier, mut hop_limit, mut max_hops) = (MULTIPLIER, None, None);
    let (mut passive, mut multihop) = (false, false);
    let (mut vrrp, mut checker) = (false, false);
    let (mut weight, mut reverse) = (0, false);
    for directive in context.directives(BlockKind::Bfd, block.statements()) {
        let small = || directive.number().and_then(|n| u8::try_from(n).ok());
        let placed = |address: IpAddr| Placed {
            value: address,
            span: directive.argument_span(0),
        };
        match directive.keyword.name {
            "neighbor_ip" | "neighbour_ip" => neighbor = directive.address().map(placed),
            "source_ip" => source = directive.address().map(placed),
            "min_rx" => min_rx = directive.time().unwrap_or(INTERVAL),
            "min_tx" => min_tx = directive.time().unwrap_or(INTERVAL),
            "idle_tx" => idle_tx = directive.time().unwrap_or(IDLE_INTERVAL),
            "multiplier" => multiplier = small().unwrap_or(MULTIPLIER),
            "ttl" | "hoplimit" => hop_limit = small(),
            // keepalived takes -1 for the largest number.
            "max_hops" => {
                max_hops = Some(Placed {
                    value: small().unwrap_or(u8::MAX),
                    span: directive.argument_span(0),
                });
            }
            "passive" => passive = true,
            "multihop" => multihop = directive.boolean(),
            "vrrp" => vrrp = true,
            "checker" => checker = true,
            "weight" => (weight, reverse) = super::tracking::own_weight(&directive),
            _ => {}
        }
    }
    if name.value.chars().count() > LONGEST_NAME {
        context
            .report
            .warning(
                name.span,
                format!("keepalived takes names of sessions up to {LONGEST_NAME} characters"),
            )
            .label("it would ignore this session")
            .help("shorten the name if keepalived is to read this file as well");
    }
    let Some(neighbor) = neighbor else {
        context
            .report
            .error(
                name.span,
                format!("({}) this bfd_instance has no neighbour", name.value),
            )
            .help("add `neighbor_ip ADDRESS`");
        return None;
    };
    if let Some(source) = &source
        && source.value.is_ipv4() != neighbor.value.is_ipv4()
    {
        context
            .report
            .error(
                source.span,
                format!(
                    "({}) {} cannot be reached from {}",
                    name.value, neighbor.value, source.value
                ),
            )
            .related(neighbor.span, "the neighbour")
            .help("let both addresses be of one family");
        return None;
    }
    if let Some(first) = others.iter().find(|other| other.name.value == name.value) {
        context
            .report
            .error(
                name.span,
                format!("there is a bfd_instance `{}` already", name.value),
            )
            .related(first.name.span, "the first one")
            .help("give one of the two another name, or take it away");
        return None;
    }
    let is_same = |other: &&ReadSession| {
        (other.instance.neighbor, other.instance.multihop) == (neighbor.value, multihop)
    };
    if let Some(first) = others.iter().find(is_same) {
        context
            .report
            .error(
                neighbor.span,
                format!(
                    "({}) there is a session with {} already",
                    name.value, neighbor.value
                ),
            )
            .related(first.name.span, "this one")
            .help("follow that one, or take one of the two away");
        return None;
    }
    let hop_limit = hop_limit.unwrap_or(match neighbor.value {
        IpAddr::V4(_) => TTL,
        IpAddr::V6(_) => HOP_LIMIT,
    });
    let max_hops =
        match max_hops {
            Some(most) if most.value > hop_limit => {
                context
                .report
                .warning(
                    most.span,
                    format!("({}) no packet can have passed {} routers", name.value, most.value),
                )
                .help(format!(
                    "packets leave with a hop limit of {hop_limit}: {hop_limit} is for any number"
                ));
                hop_limit
            }
            Some(most) => most.value,
            None => 0,
        };
    let for_all = vrrp == checker;
    Some(ReadSession {
        instance: BfdInstance {
            name: name.value.clone(),
            neighbor: neighbor.value,
            source: source.map(|source| source.value),
            min_rx,
            min_tx,
            idle_tx,
            multiplier,
            passive,
            hop_limit,
            max_hops,
            multihop,
            for_vrrp: for_all || vrrp,
            for_checks: for_all || checker,
        },
        name,
        weight,
        reverse,
    })
}
