//! Programs that the file names, and whom they run as.

use crate::config::directive::{Context, Directive};
use crate::config::model::{NotifyFifo, NotifyScripts, Script, ScriptUser};
use crate::config::reader::Word;

/// `USER [GROUP]`.
pub(super) fn user(words: &[Word]) -> Option<ScriptUser> {
    let mut words = words.iter().map(|word| word.text.to_string());
    Some(ScriptUser {
        name: words.next()?,
        group: words.next(),
    })
}

/// The words of a command: a single one is taken apart at its blanks, except within
/// quotes.
pub(super) fn command(words: &[Word]) -> Vec<String> {
    let [word] = words else {
        return words.iter().map(|word| word.text.to_string()).collect();
    };
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    for letter in word.text.chars() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                current.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => found.extend(current.take()),
            (_, letter) => current.get_or_insert_default().push(letter),
        }
    }
    found.extend(current);
    found
}

/// `SCRIPT [USER [GROUP]]`; a script with arguments is one word, in quotes.
pub(super) fn script(context: &mut Context<'_>, directive: &Directive<'_>) -> Option<Script> {
    let (first, rest) = directive.rest(0).split_first()?;
    if let Some(word) = rest.get(2) {
        context
            .report
            .warning(word.span, format!("`{}` is ignored", word.text))
            .help("a program with its arguments stands in quotes; a user and a group may follow");
    }
    Some(Script {
        command: command(std::slice::from_ref(first)),
        user: user(rest),
    })
    .filter(|script| !script.command.is_empty())
}

impl NotifyScripts {
    /// Whether the directive was one of these, and is taken in.
    pub(super) fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) -> bool {
        let place = match directive.keyword.name {
            "notify_master" => &mut self.master,
            "notify_backup" => &mut self.backup,
            "notify_fault" => &mut self.fault,
            "notify_stop" => &mut self.stop,
            "notify_deleted" => self.deleted.get_or_insert_default(),
            "notify_master_rx_lower_pri" => &mut self.lower_priority,
            "notify" => &mut self.any,
            _ => return false,
        };
        *place = script(context, directive);
        true
    }

    /// Lets scripts without a user run as `usual`.
    pub(super) fn run_as(&mut self, usual: Option<&ScriptUser>) {
        let scripts = [
            &mut self.master,
            &mut self.backup,
            &mut self.fault,
            &mut self.stop,
            &mut self.lower_priority,
            &mut self.any,
        ];
        for script in scripts.into_iter().chain(&mut self.deleted) {
            run_as(script, usual);
        }
    }
}

/// Lets a script without a user run as `usual`.
pub(super) fn run_as(script: &mut Option<Script>, usual: Option<&ScriptUser>) {
    if let Some(script) = script
        && script.user.is_none()
    {
        script.user = usual.cloned();
    }
}

/// The pipes of events as the file has them; what names the reader may stand above the path.
#[derive(Default)]
pub(super) struct ReadFifo {
    path: Option<(String, Option<ScriptUser>)>,
    reader: Option<Script>,
}

impl ReadFifo {
    /// Takes `PATH [USER [GROUP]]` in, or, where the keyword is one of a script, that.
    pub(super) fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) {
        if directive.keyword.name.ends_with("_script") {
            self.reader = script(context, directive);
        } else if let Some((path, rest)) = directive.rest(0).split_first() {
            self.path = Some((path.text.to_string(), user(rest)));
        }
    }

    /// The pipe, if there is one; its reader runs as `usual` unless it has a user.
    pub(super) fn finish(mut self, usual: Option<&ScriptUser>) -> Option<NotifyFifo> {
        run_as(&mut self.reader, usual);
        let (path, user) = self.path?;
        Some(NotifyFifo {
            path,
            user,
            reader: self.reader,
        })
    }
}
