//! What instances track, and the scripts among it.

use std::time::Duration;

use super::script::{command, user};
use super::session::{ReadSession, session};
use super::{Placed, name_of};
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{
    InitialContent, ParameterMatch, Script, ScriptUser, Tracked, TrackedFile, TrackedProcess,
    TrackedScript, Tracker, Trackers,
};
use crate::config::tree::Statement;

/// The largest weight of interfaces, scripts and sessions.
const MOST_WEIGHT: i16 = 253;
/// The largest weight of files and processes.
const MOST_WEIGHT_OF_COUNTED: i16 = 254;

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

/// Blocks of things to track as the file has them.
#[derive(Default)]
pub(super) struct ReadTrackers {
    pub(super) scripts: Vec<ReadScript>,
    files: Vec<Weighted<TrackedFile>>,
    processes: Vec<Weighted<TrackedProcess>>,
    pub(super) sessions: Vec<ReadSession>,
}

/// With the weight that it has unless who tracks it says otherwise.
struct Weighted<T> {
    value: T,
    weight: i16,
    reverse: bool,
}

impl ReadTrackers {
    /// Takes the block in if it is of something to track.
    pub(super) fn take(&mut self, context: &mut Context<'_>, block: &Directive<'_>) {
        match block.keyword.name {
            "vrrp_script" => self.scripts.extend(script(context, block)),
            "track_file" | "vrrp_track_file" => self.files.extend(file(context, block)),
            "vrrp_track_process" => self.processes.extend(process(context, block)),
            "bfd_instance" => {
                self.sessions
                    .extend(session(context, block, &self.sessions));
            }
            _ => {}
        }
    }

    /// Weight and whether it is reversed, where no line says so; none for what there is not.
    pub(super) fn usual_weight(&self, tracker: &Tracker) -> Option<(i16, bool)> {
        match tracker {
            Tracker::Interface(_) => Some((0, false)),
            Tracker::Script(name) => {
                let mut scripts = self.scripts.iter();
                let script = scripts.find(|script| script.name.value == *name)?;
                Some((script.weight, script.reverse))
            }
            Tracker::File(name) => {
                let file = self.files.iter().find(|file| file.value.name == *name)?;
                Some((file.weight, file.reverse))
            }
            Tracker::Process(name) => {
                let mut processes = self.processes.iter();
                let process = processes.find(|process| process.value.name == *name)?;
                Some((process.weight, process.reverse))
            }
            Tracker::Session(name) => {
                let mut sessions = self.sessions.iter();
                let session = sessions
                    .find(|session| session.name.value == *name && session.instance.for_vrrp)?;
                Some((session.weight, session.reverse))
            }
        }
    }

    /// Those that something tracks; scripts run as `user` unless they say otherwise.
    pub(super) fn finish(
        self,
        user: Option<&ScriptUser>,
        is_tracked: impl Fn(&Tracker) -> bool,
    ) -> (Trackers, Vec<Script>) {
        let (scripts, untracked) = finish_scripts(self.scripts, user, &is_tracked);
        let trackers = Trackers {
            scripts,
            files: self
                .files
                .into_iter()
                .map(|file| file.value)
                .filter(|file| is_tracked(&Tracker::File(file.name.clone())))
                .collect(),
            processes: self
                .processes
                .into_iter()
                .map(|process| process.value)
                .filter(|process| is_tracked(&Tracker::Process(process.name.clone())))
                .collect(),
            sessions: self
                .sessions
                .into_iter()
                .map(|session| session.instance)
                .collect(),
        };
        (trackers, untracked)
    }
}

/// The first one counts.
fn there_is_one(context: &mut Context<'_>, directive: &Directive<'_>) {
    let name = directive.name();
    context
        .report
        .warning(
            name.span,
            format!("there is a `{}` already: ignored", name.text),
        )
        .help("write a block for each");
}

/// `weight NUMBER [reverse]` in a block of its own.
pub(super) fn own_weight(directive: &Directive<'_>) -> (i16, bool) {
    let weight = directive.number().and_then(|n| i16::try_from(n).ok());
    let mut options = directive.rest(1).iter();
    let reverse = options.any(|word| &*word.text == "reverse");
    (weight.unwrap_or(0), reverse)
}

/// A `track_file`.
fn file(context: &mut Context<'_>, block: &Directive<'_>) -> Option<Weighted<TrackedFile>> {
    let name = name_of(block)?;
    let (mut path, mut initial) = (None, None);
    let (mut weight, mut reverse) = (1, false);
    for directive in context.directives(BlockKind::TrackFile, block.statements()) {
        match directive.keyword.name {
            "file" if path.is_some() => there_is_one(context, &directive),
            "file" => path = directive.word(0).map(|word| word.text.to_string()),
            "weight" => (weight, reverse) = own_weight(&directive),
            "init_file" => initial = Some(initial_content(context, &directive)),
            _ => {}
        }
    }
    let Some(path) = path else {
        context
            .report
            .error(
                name.span,
                format!("({}) this track_file has no file", name.value),
            )
            .help("add `file /path/to/the/file`");
        return None;
    };
    Some(Weighted {
        value: TrackedFile {
            name: name.value,
            path,
            initial,
        },
        weight,
        reverse,
    })
}

/// `init_file [VALUE] [overwrite]`.
fn initial_content(context: &mut Context<'_>, directive: &Directive<'_>) -> InitialContent {
    let mut content = InitialContent {
        value: 0,
        overwrite: false,
    };
    for word in directive.rest(0) {
        match (&*word.text, word.text.parse()) {
            (_, Ok(value)) => content.value = value,
            ("overwrite", _) => content.overwrite = true,
            (other, _) => {
                context
                    .report
                    .warning(word.span, format!("`{other}` is ignored here"))
                    .help("behind `init_file` may stand a number and `overwrite`");
            }
        }
    }
    content
}

/// A `vrrp_track_process`.
fn process(context: &mut Context<'_>, block: &Directive<'_>) -> Option<Weighted<TrackedProcess>> {
    let name = name_of(block)?;
    let mut process = TrackedProcess {
        name: name.value,
        program: String::new(),
        by_command_line: false,
        parameters: Vec::new(),
        parameter_match: None,
        least: 1,
        most: None,
        rise_delay: Duration::ZERO,
        fall_delay: Duration::ZERO,
    };
    let (mut weight, mut reverse) = (0, false);
    for directive in context.directives(BlockKind::TrackProcess, block.statements()) {
        let number = || directive.number().and_then(|n| u32::try_from(n).ok());
        match directive.keyword.name {
            "process" if !process.program.is_empty() => there_is_one(context, &directive),
            "process" => {
                let mut words = directive.rest(0).iter().map(|word| word.text.to_string());
                process.program = words.next().unwrap_or_default();
                process.parameters = words.collect();
                if !process.parameters.is_empty() {
                    process.by_command_line = true;
                    process.parameter_match.get_or_insert(ParameterMatch::Exact);
                }
            }
            "param_match" => {
                process.by_command_line = true;
                process.parameter_match = Some(match directive.choice() {
                    Some("initial") => ParameterMatch::Initial,
                    Some("partial") => ParameterMatch::Partial,
                    _ => ParameterMatch::Exact,
                });
            }
            "weight" => (weight, reverse) = own_weight(&directive),
            "quorum" => process.least = number().unwrap_or(1),
            "quorum_max" => process.most = number(),
            "delay" => {
                let delay = directive.time().unwrap_or_default();
                (process.rise_delay, process.fall_delay) = (delay, delay);
            }
            "fork_delay" => process.rise_delay = directive.time().unwrap_or_default(),
            "terminate_delay" => process.fall_delay = directive.time().unwrap_or_default(),
            "full_command" => process.by_command_line = true,
            _ => {}
        }
    }
    // `quorum_max 0` says that there may be none.
    if process.most == Some(0) {
        process.least = 0;
    }
    let problem = if process.program.is_empty() {
        Some(("no process", "add `process NAME`"))
    } else if process.most.is_some_and(|most| most < process.least) {
        Some((
            "a quorum that is larger than quorum_max",
            "no number of processes would be right; write a larger quorum_max",
        ))
    } else {
        None
    };
    if let Some((problem, help)) = problem {
        let message = format!("({}) this vrrp_track_process has {problem}", process.name);
        context.report.error(name.span, message).help(help);
        return None;
    }
    Some(Weighted {
        value: process,
        weight,
        reverse,
    })
}

/// A line of `track_interface`, `track_script` and their like.
pub(super) struct ReadTracked {
    tracker: Tracker,
    /// None where that of the script itself counts, which is also so for its `reverse`.
    weight: Option<(i16, Option<bool>)>,
}

/// A `vrrp_script`.
fn script(context: &mut Context<'_>, block: &Directive<'_>) -> Option<ReadScript> {
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
            "weight" => (script.weight, script.reverse) = own_weight(&directive),
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

/// Whether the directive was a list of what is tracked, and is taken in.
pub(super) fn take_tracked(
    into: &mut Vec<Placed<ReadTracked>>,
    context: &mut Context<'_>,
    directive: &Directive<'_>,
) -> bool {
    let tracker = match directive.keyword.name {
        "track_interface" => Tracker::Interface,
        "track_script" => Tracker::Script,
        "track_file" => Tracker::File,
        "track_process" => Tracker::Process,
        "track_bfd" => Tracker::Session,
        _ => return false,
    };
    for statement in directive.statements() {
        let name = statement.name();
        let tracker = tracker(name.text.to_string());
        into.push(Placed {
            value: ReadTracked {
                weight: weight(context, statement, most_weight(&tracker)),
                tracker,
            },
            span: name.span,
        });
    }
    true
}

fn most_weight(tracker: &Tracker) -> i16 {
    match tracker {
        Tracker::Interface(_) | Tracker::Script(_) | Tracker::Session(_) => MOST_WEIGHT,
        Tracker::File(_) | Tracker::Process(_) => MOST_WEIGHT_OF_COUNTED,
    }
}

/// `weight NUMBER [reverse|noreverse]`, behind the name.
fn weight(
    context: &mut Context<'_>,
    statement: &Statement,
    most: i16,
) -> Option<(i16, Option<bool>)> {
    let mut words = statement.words[1..].iter();
    let keyword = words.next()?;
    let value = words.next().map(|word| (word, word.text.parse::<i16>()));
    match (&*keyword.text, value) {
        ("weight", Some((_, Ok(value)))) if value.abs() <= most => Some((
            value,
            words.next().and_then(|word| match &*word.text {
                "reverse" => Some(true),
                "noreverse" => Some(false),
                _ => None,
            }),
        )),
        ("weight", Some((word, _))) => {
            context.report.error(
                word.span,
                format!(
                    "`weight` takes a number from -{most} to {most}, not `{}`",
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
    trackers: &ReadTrackers,
    report: &mut Report,
) -> Vec<Tracked> {
    let mut finished: Vec<Tracked> = Vec::new();
    for Placed { value, span } in read {
        let own = trackers.usual_weight(&value.tracker);
        let Some(own) = own else {
            report
                .warning(
                    span,
                    format!(
                        "({owner}) there is no such {}: ignored",
                        block_of(&value.tracker)
                    ),
                )
                .help(format!(
                    "compare the names of the {} blocks",
                    block_of(&value.tracker)
                ));
            continue;
        };
        if finished.iter().any(|other| other.tracker == value.tracker) {
            report
                .advice(span, format!("({owner}) this is tracked already: ignored"))
                .help("take one of the two lines away");
            continue;
        }
        let (weight, reverse) = value.weight.map_or(own, |(weight, reverse)| {
            // As in keepalived, another weight has the same direction unless it says so.
            (weight, reverse.unwrap_or(own.1))
        });
        finished.push(Tracked {
            tracker: value.tracker,
            weight,
            reverse,
        });
    }
    finished
}

/// The keyword of the block in which something to track is described.
fn block_of(tracker: &Tracker) -> &'static str {
    match tracker {
        Tracker::Interface(_) => "interface",
        Tracker::Script(_) => "vrrp_script",
        Tracker::File(_) => "track_file",
        Tracker::Process(_) => "vrrp_track_process",
        Tracker::Session(_) => "bfd_instance",
    }
}

/// The scripts that something tracks; `user` is whom they run as otherwise.
fn finish_scripts(
    scripts: Vec<ReadScript>,
    user: Option<&ScriptUser>,
    is_tracked: impl Fn(&Tracker) -> bool,
) -> (Vec<TrackedScript>, Vec<Script>) {
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
    let (tracked, untracked): (Vec<_>, Vec<_>) = scripts
        .into_iter()
        .map(finish)
        .partition(|script| is_tracked(&Tracker::Script(script.name.clone())));
    let untracked = untracked.into_iter().map(|script| script.script);
    (tracked, untracked.collect())
}
