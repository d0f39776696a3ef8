//! `garp_group`, `vrrp_garp_interval` and `vrrp_gna_interval`.

use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{PacedTogether, Pacing};

use super::list;

/// Whether the directive of `global_defs` is about pacing, and is taken in.
pub(super) fn take(pacing: &mut Pacing, directive: &Directive<'_>) -> bool {
    let gap = directive.time().unwrap_or_default();
    match directive.keyword.name {
        "vrrp_garp_interval" => pacing.usual.gratuitous_arp = gap,
        "vrrp_gna_interval" => pacing.usual.neighbour_advertisement = gap,
        _ => return false,
    }
    true
}

/// A `garp_group`.
pub(super) fn group(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[PacedTogether],
) -> Option<PacedTogether> {
    let mut group = PacedTogether::default();
    for directive in context.directives(BlockKind::GarpGroup, block.statements()) {
        let gap = directive.time().unwrap_or_default();
        match directive.keyword.name {
            "garp_interval" => group.gaps.gratuitous_arp = gap,
            "gna_interval" => group.gaps.neighbour_advertisement = gap,
            "interface" => {
                let name = directive.word(0).map(|word| word.text.to_string());
                group.interfaces.extend(name);
            }
            "interfaces" => group.interfaces.extend(list(&directive)),
            _ => {}
        }
    }
    let span = block.name().span;
    if group.interfaces.is_empty() {
        context
            .report
            .warning(span, "this garp_group has no interface: ignored")
            .help("add `interfaces { NAME … }`");
        return None;
    }
    let taken = |name: &&String| others.iter().any(|other| other.interfaces.contains(name));
    if let Some(name) = group.interfaces.iter().find(taken) {
        context
            .report
            .warning(span, format!("{name} is in a garp_group already"))
            .label("the first one counts for it")
            .help("name each interface in one garp_group only");
    }
    Some(group)
}
