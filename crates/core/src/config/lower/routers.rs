//! What concerns all virtual routers together: delays of links, and what static addresses,
//! routes and rules mean to instances.

use std::time::Duration;

use super::{Placed, list};
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{LinkDelay, Tracked, Tracker, VrrpInstance};
use crate::config::reader::Word;
use crate::config::tree::Statement;

/// The longest delay of a link.
const LONGEST: Duration = Duration::from_secs(255);

/// The lines of `interface_up_down_delays`: `INTERFACE DOWN [UP]`.
pub(super) fn link_delays(context: &mut Context<'_>, block: &Directive<'_>) -> Vec<LinkDelay> {
    let delays = block.statements().iter();
    delays
        .filter_map(|line| link_delay(context, line))
        .collect()
}

fn link_delay(context: &mut Context<'_>, line: &Statement) -> Option<LinkDelay> {
    let (name, times) = line.words.split_first()?;
    let mut read = times.iter().map(|word| seconds(context, word));
    let down = match read.next() {
        Some(down) => down?,
        None => {
            drop(read);
            context
                .report
                .advice(name.span, format!("`{}` has no delay: ignored", name.text))
                .help("write the seconds that its link has to be down, and those that it has to be up");
            return None;
        }
    };
    let up = read.next().unwrap_or(Some(down))?;
    drop(read);
    if let Some(more) = times.get(2) {
        context
            .report
            .advice(more.span, format!("`{}` is too much here", more.text))
            .help("a line has an interface and one or two times");
    }
    Some(LinkDelay {
        interface: name.text.to_string(),
        down,
        up,
    })
}

fn seconds(context: &mut Context<'_>, word: &Word) -> Option<Duration> {
    let time = word.text.parse().ok().and_then(|seconds: f64| {
        let time = Duration::try_from_secs_f64(seconds).ok()?;
        // Microseconds are the finest that the language has.
        (time <= LONGEST).then(|| Duration::from_micros(time.as_micros() as u64))
    });
    if time.is_none() {
        context.report.error(
            word.span,
            format!("`{}` is no time up to 255 seconds", word.text),
        );
    }
    time
}

/// A link must not be down for so long unnoticed that a backup takes over for want of
/// advertisements: such delays are cut.
pub(super) fn cut_link_delays(
    delays: &mut [LinkDelay],
    instances: &[Placed<VrrpInstance>],
    report: &mut Report,
) {
    for delay in delays {
        for Placed { value, span } in instances {
            let patience = value.down_timer_advertisements.saturating_sub(1);
            let most = value.advertisement_interval * patience;
            if value.interface == delay.interface && delay.down > most {
                report
                    .advice(
                        *span,
                        format!(
                            "({}) the link of {} may be down for {} s unnoticed",
                            value.name,
                            delay.interface,
                            delay.down.as_secs_f64()
                        ),
                    )
                    .label(format!("{} s is used", most.as_secs_f64()))
                    .help("others take over meanwhile; shorten it in interface_up_down_delays");
                if delay.up == delay.down {
                    delay.up = most;
                }
                delay.down = most;
            }
        }
    }
}

/// `track_group`: instances that need what is in the group.
pub(super) struct StaticGroup {
    name: Placed<String>,
    instances: Vec<Placed<String>>,
}

/// The interface of something that a [`StaticGroup`] needs.
pub(super) struct Grouped {
    group: String,
    interface: Option<String>,
}

/// A `track_group`.
pub(super) fn track_group(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[StaticGroup],
) -> Option<StaticGroup> {
    let name = super::name_of(block)?;
    let mut instances = Vec::new();
    for directive in context.directives(BlockKind::TrackGroup, block.statements()) {
        let span = directive.name().span;
        let names = list(&directive).into_iter();
        instances.extend(names.map(|value| Placed { value, span }));
    }
    if let Some(first) = others.iter().find(|other| other.name.value == name.value) {
        context
            .report
            .warning(
                name.span,
                format!("there is a track_group `{}` already: ignored", name.value),
            )
            .related(first.name.span, "the first one")
            .help("give one of the two another name, or take it away");
        return None;
    }
    if instances.is_empty() {
        context
            .report
            .advice(
                name.span,
                format!("track_group `{}` has no instance: ignored", name.value),
            )
            .help("add `group { INSTANCE … }`");
        return None;
    }
    Some(StaticGroup { name, instances })
}

/// A line of static addresses, routes or rules without its `track_group NAME`, and that name.
pub(super) fn without_group(
    context: &mut Context<'_>,
    line: &Statement,
    groups: &[StaticGroup],
) -> (Statement, Option<String>) {
    let mut line = line.clone();
    let is_keyword = |word: &Word| &*word.text == "track_group";
    let Some(position) = line.words.iter().position(is_keyword) else {
        return (line, None);
    };
    let keyword = line.words.remove(position);
    if position == line.words.len() {
        context
            .report
            .error(keyword.span, "`track_group` needs a value");
        return (line, None);
    }
    let name = line.words.remove(position);
    let group = groups.iter().find(|group| *group.name.value == *name.text);
    if group.is_none() {
        context
            .report
            .warning(
                name.span,
                format!("there is no track_group `{}` above: ignored", name.text),
            )
            .help("a track_group has to be written before what it tracks");
    }
    (line, group.map(|group| group.name.value.clone()))
}

/// Says that something in a group is on an interface.
pub(super) fn grouped(
    group: Option<String>,
    interface: Option<&String>,
    restore: bool,
) -> Option<Grouped> {
    // What is not looked after cannot be missed.
    group.filter(|_| restore).map(|group| Grouped {
        group,
        interface: interface.cloned(),
    })
}

/// Lets instances track the interfaces of what they need; `usual` is where addresses are that
/// name none.
pub(super) fn track_grouped(
    instances: &mut [Placed<VrrpInstance>],
    groups: &[StaticGroup],
    grouped: &[Grouped],
    usual: &str,
    report: &mut Report,
) {
    for group in groups {
        for member in &group.instances {
            let named = |instance: &&mut Placed<VrrpInstance>| instance.value.name == member.value;
            let Some(instance) = instances.iter_mut().find(named) else {
                report
                    .advice(
                        member.span,
                        format!("there is no VRRP instance `{}`: ignored", member.value),
                    )
                    .help("take the name away, or add the instance");
                continue;
            };
            for needed in grouped.iter().filter(|each| each.group == group.name.value) {
                let interface = needed.interface.as_deref().unwrap_or(usual);
                let tracker = Tracker::Interface(interface.to_owned());
                let tracked = &mut instance.value.tracked;
                if tracked.iter().all(|each| each.tracker != tracker) {
                    tracked.push(Tracked {
                        tracker,
                        weight: 0,
                        reverse: false,
                    });
                }
            }
        }
    }
}
