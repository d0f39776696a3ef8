//! Scripts, and the pipes of events.

use super::{Quoted, Seconds, Writer};
use crate::config::model::{Global, NotifyFifo, NotifyScripts, Script, ScriptUser, TrackedScript};

/// The words of a command as one word of the language: each of them in single quotes, so
/// that blanks stay where they are.
pub(super) fn command(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("\"{}\"", words.join(" "))
}

/// ` USER GROUP`, or nothing.
pub(super) fn user(user: Option<&ScriptUser>) -> String {
    let Some(ScriptUser { name, group }) = user else {
        return String::new();
    };
    let group = group.as_deref().map(|group| format!(" {}", Quoted(group)));
    format!(" {}{}", Quoted(name), group.unwrap_or_default())
}

/// A line `KEYWORD SCRIPT [USER [GROUP]]`, if there is a script.
pub(super) fn script(w: &mut Writer, keyword: &str, script: Option<&Script>) {
    if let Some(script) = script {
        let (command, user) = (command(&script.command), user(script.user.as_ref()));
        w.line(format_args!("{keyword} {command}{user}"));
    }
}

/// `vrrp_script`.
pub(super) fn tracked(w: &mut Writer, tracked: &TrackedScript) {
    w.block(format_args!("vrrp_script {}", Quoted(&tracked.name)), |w| {
        w.line(format_args!("script {}", command(&tracked.script.command)));
        if tracked.script.user.is_some() {
            w.line(format_args!("user{}", user(tracked.script.user.as_ref())));
        }
        w.line(format_args!("interval {}", Seconds(tracked.interval)));
        w.line(format_args!("timeout {}", Seconds(tracked.timeout)));
        w.line(format_args!("rise {}", tracked.rise));
        w.line(format_args!("fall {}", tracked.fall));
        if tracked.starts_failed {
            w.line(format_args!("init_fail"));
        }
    });
}

/// What an instance or a sync group runs.
pub(super) fn notify(w: &mut Writer, scripts: &NotifyScripts) {
    for (keyword, script_of_it) in [
        ("notify_master", &scripts.master),
        ("notify_backup", &scripts.backup),
        ("notify_fault", &scripts.fault),
        ("notify_stop", &scripts.stop),
        ("notify_master_rx_lower_pri", &scripts.lower_priority),
        ("notify", &scripts.any),
    ] {
        script(w, keyword, script_of_it.as_ref());
    }
    match &scripts.deleted {
        Some(Some(deleted)) => script(w, "notify_deleted", Some(deleted)),
        Some(None) => w.line(format_args!("notify_deleted")),
        None => {}
    }
}

/// What `global_defs` says of scripts and pipes.
pub(super) fn global(w: &mut Writer, global: &Global) {
    if global.script_security {
        w.line(format_args!("enable_script_security"));
    }
    for (keyword, fifo) in [
        ("notify_fifo", &global.notify_fifo),
        ("vrrp_notify_fifo", &global.vrrp_notify_fifo),
        ("lvs_notify_fifo", &global.lvs_notify_fifo),
    ] {
        if let Some(NotifyFifo {
            path,
            user: owner,
            reader,
        }) = fifo
        {
            let owner = user(owner.as_ref());
            w.line(format_args!("{keyword} {}{owner}", Quoted(path)));
            script(w, &format!("{keyword}_script"), reader.as_ref());
        }
    }
}
