//! How the processes of the director run.

use std::time::Duration;

use crate::config::directive::{Context, Directive};
use crate::config::model::{Global, ProcessSettings};

/// TASK_COMM_LEN without its zero: the longest name that the kernel keeps.
const LONGEST_NAME: usize = 15;
/// The highest real-time priority.
const HIGHEST: u8 = 99;

/// Whether the directive is about how a process runs, and is taken in.
pub(super) fn take(
    global: &mut Global,
    context: &mut Context<'_>,
    directive: &Directive<'_>,
) -> bool {
    match directive.keyword.name {
        "process_names" => {
            // keepalived-2.2.7: its parent keeps its name, which is that of the program.
            global.vrrp_process.name = Some("keepalived_vrrp".to_owned());
            global.check_process.name = Some("keepalived_lvs".to_owned());
            return true;
        }
        "process_name" => {
            global.process_name = name(context, directive);
            return true;
        }
        "max_auto_priority" => {
            let most = directive
                .number()
                .map(|most| u8::try_from(most).unwrap_or(0));
            global.automatic_priority.most = most.unwrap_or(HIGHEST);
            return true;
        }
        "min_auto_priority_delay" => {
            let lateness = directive.number().and_then(|n| u64::try_from(n).ok());
            let usual = global.automatic_priority.lateness;
            global.automatic_priority.lateness = lateness.map_or(usual, Duration::from_micros);
            return true;
        }
        _ => {}
    }
    let Some((process, what)) = directive.keyword.name.split_once('_') else {
        return false;
    };
    let process = match process {
        "vrrp" => &mut global.vrrp_process,
        "checker" | "lvs" => &mut global.check_process,
        "bfd" => &mut global.bfd_process,
        _ => return false,
    };
    take_one(process, what, context, directive)
}

fn take_one(
    process: &mut ProcessSettings,
    what: &str,
    context: &mut Context<'_>,
    directive: &Directive<'_>,
) -> bool {
    let number = directive.number();
    match what {
        "process_name" => process.name = name(context, directive),
        "priority" => process.nice = number.and_then(|n| i8::try_from(n).ok()).unwrap_or(0),
        "rt_priority" => {
            let priority = number.and_then(|n| u8::try_from(n).ok());
            process.real_time = priority.filter(|priority| *priority != 0);
        }
        "rlimit_rttime" | "rlimit_rtime" => {
            let microseconds = number.and_then(|n| u64::try_from(n).ok());
            process.real_time_limit = microseconds.map(Duration::from_micros);
        }
        "no_swap" => process.no_swap = true,
        "cpu_affinity" => {
            process.processors.clear();
            for word in directive.rest(0) {
                match word.text.parse() {
                    Ok(processor) => process.processors.push(processor),
                    Err(_) => {
                        context
                            .report
                            .error(word.span, format!("`{}` is no processor", word.text))
                            .help("processors are numbered from 0");
                    }
                }
            }
        }
        _ => return false,
    }
    true
}

/// A name that the kernel keeps as it is.
fn name(context: &mut Context<'_>, directive: &Directive<'_>) -> Option<String> {
    let word = directive.word(0)?;
    let mut name = word.text.to_string();
    if name.len() > LONGEST_NAME {
        context
            .report
            .warning(
                word.span,
                format!("`{name}` is longer than {LONGEST_NAME} characters"),
            )
            .label("the kernel cuts it off")
            .help("take a shorter name");
        let end = (0..=LONGEST_NAME)
            .rev()
            .find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(0));
    }
    Some(name)
}
