//! What `global_defs` and `SSL` say of the director itself.

use std::time::Duration;

use super::script::{run_as, script};
use super::without_value;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{
    AwaitedScript, BusyFile, ClientCertificate, DumpFiles, FlushOnStop, Global, JsonVersion,
    Reloading, Script, ScriptUser,
};

/// keepalived's time for a script at the start or the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The settings as the file has them.
#[derive(Default)]
pub(super) struct ReadDirector {
    startup: (Option<Script>, Option<Duration>),
    shutdown: (Option<Script>, Option<Duration>),
    data: Option<String>,
    statistics: Option<String>,
    json: Option<String>,
    json_version: JsonVersion,
    reloading: Reloading,
    copies: Option<String>,
    dynamic_interfaces: bool,
    supplementary_groups: bool,
    dumps_by_instance: bool,
    flush: bool,
    flush_on_stop: Option<FlushOnStop>,
    umask: Option<u16>,
    mail_of_real_servers_only: bool,
    notify_at_start: bool,
}

impl ReadDirector {
    /// Whether the directive of `global_defs` was one of these, and is taken in.
    pub(super) fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) -> bool {
        let path = || directive.word(0).map(|word| word.text.to_string());
        match directive.keyword.name {
            "startup_script" => self.startup.0 = script(context, directive),
            "startup_script_timeout" => self.startup.1 = directive.time(),
            "shutdown_script" => self.shutdown.0 = script(context, directive),
            "shutdown_script_timeout" => self.shutdown.1 = directive.time(),
            "state_dump_file" => self.data = path(),
            "stats_dump_file" => self.statistics = path(),
            "json_dump_file" => self.json = path(),
            "json_version" => {
                self.json_version = match directive.number() {
                    Some(2) => JsonVersion::Second,
                    _ => JsonVersion::First,
                };
            }
            "reload_time_file" => {
                self.reloading.time_file = path();
                if path().is_none() {
                    without_value(context, directive);
                }
            }
            "reload_repeat" => self.reloading.repeats = true,
            "reload_file" => {
                self.reloading.busy_file = Some(path().map_or(BusyFile::Usual, BusyFile::At));
            }
            "config_save_dir" => self.copies = path(),
            "dynamic_interfaces" => self.dynamic_interfaces = true,
            "set_supplementary_groups" => self.supplementary_groups = directive.boolean(),
            "data_use_instance" => self.dumps_by_instance = directive.boolean(),
            "lvs_flush" => self.flush = true,
            "lvs_flush_on_stop" | "lvs_flush_onstop" => {
                self.flush_on_stop = Some(match directive.choice() {
                    Some(_) => FlushOnStop::ConfiguredServices,
                    None => FlushOnStop::Everything,
                });
            }
            "umask" => self.umask = umask(context, directive),
            "no_checker_emails" => self.mail_of_real_servers_only = directive.boolean(),
            "rs_init_notifies" => self.notify_at_start = directive.boolean(),
            _ => return false,
        }
        true
    }

    /// Fills `global` in; scripts run as `usual` unless they say otherwise.
    pub(super) fn finish(self, global: Global, usual: Option<&ScriptUser>) -> Global {
        let awaited = |(mut script, timeout): (Option<Script>, Option<Duration>)| {
            run_as(&mut script, usual);
            script.map(|script| AwaitedScript {
                script,
                timeout: timeout.unwrap_or(PATIENCE),
            })
        };
        let files = DumpFiles::default();
        Global {
            startup: awaited(self.startup),
            shutdown: awaited(self.shutdown),
            dump_files: DumpFiles {
                data: self.data.unwrap_or(files.data),
                statistics: self.statistics.unwrap_or(files.statistics),
                json: self.json.unwrap_or(files.json),
                json_version: self.json_version,
            },
            reloading: self.reloading,
            copies: self.copies,
            dynamic_interfaces: self.dynamic_interfaces,
            supplementary_groups: self.supplementary_groups,
            dumps_by_instance: self.dumps_by_instance,
            flush: self.flush,
            flush_on_stop: self.flush_on_stop.unwrap_or(FlushOnStop::No),
            umask: self.umask,
            mail_of_real_servers_only: self.mail_of_real_servers_only,
            notify_at_start: self.notify_at_start,
            ..global
        }
    }
}

/// The names of sys/stat.h that `umask` takes, without their `S_`.
const PERMISSIONS: [(&str, u16); 12] = [
    ("IRUSR", 0o400),
    ("IWUSR", 0o200),
    ("IXUSR", 0o100),
    ("IRWXU", 0o700),
    ("IRGRP", 0o040),
    ("IWGRP", 0o020),
    ("IXGRP", 0o010),
    ("IRWXG", 0o070),
    ("IROTH", 0o004),
    ("IWOTH", 0o002),
    ("IXOTH", 0o001),
    ("IRWXO", 0o007),
];

/// A number as C writes it, or names with `|` between them.
fn umask(context: &mut Context<'_>, directive: &Directive<'_>) -> Option<u16> {
    let mut mask = 0;
    for word in directive.rest(0) {
        for part in word.text.split('|').filter(|part| !part.is_empty()) {
            let named = PERMISSIONS.iter().find(|(name, _)| *name == part);
            let bits = named.map_or_else(|| number(part), |(_, bits)| Some(*bits));
            let Some(bits) = bits.filter(|bits| *bits <= 0o777) else {
                context
                    .report
                    .error(word.span, format!("`{part}` is no mask of permissions"))
                    .help("write an octal number like 0177, or IRUSR, IWGRP, IRWXO … with | between them");
                return None;
            };
            mask |= bits;
        }
    }
    (!directive.rest(0).is_empty()).then_some(mask)
}

/// As strtoul(3) reads it with base 0.
fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u16::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

/// `SSL`.
pub(super) fn client_certificate(
    context: &mut Context<'_>,
    block: &Directive<'_>,
) -> ClientCertificate {
    let mut read = ClientCertificate::default();
    for directive in context.directives(BlockKind::Ssl, block.statements()) {
        let place = match directive.keyword.name {
            "password" => &mut read.password,
            "ca" => &mut read.authorities,
            "certificate" => &mut read.certificate,
            "key" => &mut read.key,
            _ => continue,
        };
        *place = directive.word(0).map(|word| word.text.to_string());
    }
    if read.certificate.is_some() && read.key.is_none() {
        context
            .report
            .warning(block.name().span, "this certificate has no key")
            .help("add `key FILE`, which may be the same file");
    }
    read
}
