//! Sync groups.

use super::super::alerts::Alerts;
use super::super::tracking::{ReadTracked, ReadTrackers, finish_tracked, take_tracked};
use super::super::{Placed, list_words, name_of};
use super::is_taken;
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{NotifyScripts, SyncGroup, Tracked, Tracker, VrrpInstance};
use crate::config::reader::Word;

/// A sync group with the places of its members.
pub(in crate::config::lower) struct ReadSyncGroup {
    name: Placed<String>,
    members: Vec<Placed<String>>,
    tracked: Vec<Placed<ReadTracked>>,
    /// `sync_group_tracking_weight`.
    weights: bool,
    smtp_alert: Option<bool>,
    notify: NotifyScripts,
    notify_priority_changes: Option<bool>,
}

/// A `vrrp_sync_group`.
pub(in crate::config::lower) fn sync_group(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[ReadSyncGroup],
) -> Option<ReadSyncGroup> {
    let name = name_of(block)?;
    let (mut members, mut tracked) = (Vec::new(), Vec::new());
    let (mut notify, mut notify_priority_changes) = (NotifyScripts::default(), None);
    let (mut weights, mut smtp_alert) = (false, None);
    for directive in context.directives(BlockKind::SyncGroup, block.statements()) {
        if notify.take(context, &directive) || take_tracked(&mut tracked, context, &directive) {
            continue;
        }
        match directive.keyword.name {
            "group" => members.extend(list_words(&directive).map(|word: &Word| Placed {
                value: word.text.to_string(),
                span: word.span,
            })),
            "sync_group_tracking_weight" | "global_tracking" => weights = true,
            "smtp_alert" => smtp_alert = Some(directive.boolean()),
            "notify_priority_changes" => notify_priority_changes = Some(directive.boolean()),
            _ => {}
        }
    }
    let taken = others.iter().map(|group| group.name.clone());
    (!is_taken(context, "sync group", &name, taken)).then_some(ReadSyncGroup {
        name,
        members,
        tracked,
        weights,
        smtp_alert,
        notify,
        notify_priority_changes,
    })
}

/// The sync groups, with only those members that exist and are in no other group.
pub(in crate::config::lower) fn finish_sync_groups(
    groups: Vec<ReadSyncGroup>,
    instances: &mut [Placed<VrrpInstance>],
    alerts: Alerts,
    trackers: &ReadTrackers,
    report: &mut Report,
) -> Vec<SyncGroup> {
    let mut taken: Vec<Placed<String>> = Vec::new();
    let mut finished = Vec::new();
    for group in groups {
        let name = group.name.value;
        let mut members = Vec::new();
        for member in group.members {
            let exists = instances.iter().any(|i| i.value.name == member.value);
            if let Some(first) = taken.iter().find(|other| other.value == member.value) {
                report
                    .warning(
                        member.span,
                        format!(
                            "({name}) {} is in a sync group already: ignored",
                            member.value
                        ),
                    )
                    .related(first.span, "it is a member here")
                    .help("an instance can be in one sync group only");
            } else if exists {
                members.push(member.value.clone());
                taken.push(member);
            } else if !report.has_errors() {
                report
                    .warning(
                        member.span,
                        format!(
                            "({name}) there is no VRRP instance `{}`: ignored",
                            member.value
                        ),
                    )
                    .help("compare the names of the vrrp_instance blocks");
            }
        }
        if members.len() < 2 {
            report
                .warning(
                    group.name.span,
                    format!(
                        "({name}) a sync group of {} does nothing",
                        match members.len() {
                            0 => "no instance",
                            _ => "one instance",
                        }
                    ),
                )
                .help("name at least two instances in its `group` block");
        }
        let tracked = finish_tracked(&name, group.tracked, trackers, report);
        for instance in instances.iter_mut() {
            if members.contains(&instance.value.name) {
                track_in_group(instance, &tracked, group.weights, report);
                instance.value.notify_priority_changes |=
                    group.notify_priority_changes.unwrap_or(false);
            }
        }
        if !members.is_empty() {
            finished.push(SyncGroup {
                name,
                members,
                weights: group.weights,
                smtp_alert: group.smtp_alert.unwrap_or(alerts.of_vrrp()),
                notify: group.notify,
            });
        }
    }
    finished
}

/// The members of a group track what it tracks. As in keepalived, nothing has a weight in
/// a group unless it is asked for: it would turn the members' priorities against each other.
fn track_in_group(
    instance: &mut Placed<VrrpInstance>,
    tracked: &[Tracked],
    weights: bool,
    report: &mut Report,
) {
    let VrrpInstance {
        name,
        interface,
        track_primary,
        tracked: own,
        ..
    } = &mut instance.value;
    for tracked in tracked {
        if let Tracker::Interface(other) = &tracked.tracker
            && ((*track_primary && other == interface)
                || own.iter().any(|own| own.tracker == tracked.tracker))
        {
            report
                .warning(
                    instance.span,
                    format!("({name}) tracks interface {other} itself, and so does its sync group"),
                )
                .help("take it out of the track_interface block of one of the two");
        }
        if !own.iter().any(|own| own.tracker == tracked.tracker) {
            own.push(tracked.clone());
        }
    }
    if weights {
        return;
    }
    let before = own.len();
    own.retain(|tracked| tracked.weight == 0);
    if own.len() < before {
        report
            .warning(
                instance.span,
                format!(
                    "({}) what has a weight is not tracked in a sync group: ignored",
                    instance.value.name
                ),
            )
            .help("write weight 0, by which a failure takes the whole group to FAULT, or `sync_group_tracking_weight` into the group");
    }
}
