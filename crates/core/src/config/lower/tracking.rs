//! What instances track, and the scripts among it.

use std::time::Duration;

use super::script::{command, user};
use super::{Placed, name_of};
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{Script, ScriptUser, Tracked, TrackedScript, Tracker};
use crate::config::tree::Statement;

/// The largest weight of anything that is tracked.
const MOST_WEIGHT: i16 = 253;

/// A `vrrp_script` as the file has it.
pub(super) struct ReadScript {
    name: Placed<String>,
    command: Vec<String>,
    user: Option<ScriptUser>,
    interval: Duration,
    timeout: Option<Duration>,
    weight: i16,
    reverse: bool,
    rise: u32,
    fall: u32,
    starts_failed: bool,
}

/// A line of `track_interface` or `track_script`.
pub(super) struct ReadTracked {
    tracker: Tracker,
    /// None where that of the script itself counts.
    weight: Option<(i16, bool)>,
}

/// A `vrrp_script`.
pub(super) fn script(context: &mut Context<'_>, block: &Directive<'_>) -> Option<ReadScript> {
    let mut script = ReadScript {
        name: name_of(block)?,
        command: Vec::new(),
        user: None,
        interval: Duration::from_secs(1),
        timeout: None,
        weight: 0,
        reverse: false,
        rise: 1,
        fall: 1,
        starts_failed: false,
    };
    for directive in context.directives(BlockKind::Script, block.statements()) {
        let number = || directive.number().and_then(|n| u32::try_from(n).ok());
        match directive.keyword.name {
            "script" => script.command = command(directive.rest(0)),
            "user" => script.user = user(directive.rest(0)),
            "interval" => script.interval = directive.time().unwrap_or(script.interval),
            "timeout" => script.timeout = directive.time(),
            "weight" => {
                let weight = directive.number().and_then(|n| i16::try_from(n).ok());
                script.weight = weight.unwrap_or(0);
                script.reverse = directive
                    .rest(1)
                    .first()
                    .is_some_and(|w| &*w.text == "reverse");
            }
            "rise" => script.rise = number().unwrap_or(1),
            "fall" => script.fall = number().unwrap_or(1),
            "init_fail" => script.starts_failed = true,
            _ => {}
        }
    }
    if script.command.is_empty() {
        context
            .report
            .error(
                script.name.span,
                format!("({}) this script has no command", script.name.value),
            )
            .help("add `script \"/path/to/program argument …\"`");
        return None;
    }
    if script.interval.is_zero() {
        script.interval = Duration::from_secs(1);
    }
    Some(script)
}

/// A line of `track_script`.
pub(super) fn tracked_script(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<ReadTracked> {
    Some(ReadTracked {
        tracker: Tracker::Script(statement.name().text.to_string()),
        weight: weight(context, statement),
    })
}

/// A line of `track_interface`.
pub(super) fn tracked_interface(
    context: &mut Context<'_>,
    statement: &Statement,
) -> Option<ReadTracked> {
    Some(ReadTracked {
        tracker: Tracker::Interface(statement.name().text.to_string()),
        weight: weight(context, statement),
    })
}

/// `weight NUMBER [reverse|noreverse]`, behind the name.
fn weight(context: &mut Context<'_>, statement: &Statement) -> Option<(i16, bool)> {
    let mut words = statement.words[1..].iter();
    let keyword = words.next()?;
    let value = words.next().map(|word| (word, word.text.parse::<i16>()));
    match (&*keyword.text, value) {
        ("weight", Some((_, Ok(value)))) if value.abs() <= MOST_WEIGHT => Some((
            value,
            words.next().is_some_and(|word| &*word.text == "reverse"),
        )),
        ("weight", Some((word, _))) => {
            context.report.error(
                word.span,
                format!(
                    "`weight` takes a number from -{MOST_WEIGHT} to {MOST_WEIGHT}, not `{}`",
                    word.text
                ),
            );
            None
        }
        _ => {
            context
                .report
                .warning(
                    keyword.span,
                    format!("`{}` is ignored here", keyword.text),
                )
                .help("behind the name may stand `weight NUMBER [reverse]`; every name stands on a line of its own");
            None
        }
    }
}

/// What an instance or a group tracks, with the weights of the scripts themselves.
pub(super) fn finish_tracked(
    owner: &str,
    read: Vec<Placed<ReadTracked>>,
    scripts: &[ReadScript],
    report: &mut Report,
) -> Vec<Tracked> {
    let mut finished: Vec<Tracked> = Vec::new();
    for Placed { value, span } in read {
        let own = match &value.tracker {
            Tracker::Interface(_) => Some((0, false)),
            Tracker::Script(name) => scripts
                .iter()
                .find(|script| script.name.value == *name)
                .map(|script| (script.weight, script.reverse)),
        };
        let Some(own) = own else {
            report
                .warning(
                    span,
                    format!("({owner}) there is no such vrrp_script: ignored"),
                )
                .help("compare the names of the vrrp_script blocks");
            continue;
        };
        if finished.iter().any(|other| other.tracker == value.tracker) {
            report
                .advice(span, format!("({owner}) this is tracked already: ignored"))
                .help("take one of the two lines away");
            continue;
        }
        let (weight, reverse) = value.weight.unwrap_or(own);
        finished.push(Tracked {
            tracker: value.tracker,
            weight,
            reverse,
        });
    }
    finished
}

/// The scripts that something tracks; `user` is whom they run as otherwise.
pub(super) fn finish_scripts(
    scripts: Vec<ReadScript>,
    user: Option<&ScriptUser>,
    is_tracked: impl Fn(&Tracker) -> bool,
) -> Vec<TrackedScript> {
    let finish = |script: ReadScript| TrackedScript {
        name: script.name.value,
        script: Script {
            command: script.command,
            user: script.user.or_else(|| user.cloned()),
        },
        interval: script.interval,
        timeout: script
            .timeout
            .filter(|t| !t.is_zero())
            .unwrap_or(script.interval),
        rise: script.rise,
        fall: script.fall,
        starts_failed: script.starts_failed,
    };
    scripts
        .into_iter()
        .map(finish)
        .filter(|script| is_tracked(&Tracker::Script(script.name.clone())))
        .collect()
}
