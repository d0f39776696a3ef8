//! What of a configuration runs in a network made for it: not what would act on the machine
//! beside that network, or depends on what runs there.

use crate::config::model::{
    Check, Configuration, HttpProbe, NotifyScripts, Probe, Regex, Tracker, Url,
};

/// A configuration without scripts, pipes, and what no server can satisfy; says what is left out.
pub(super) fn without_side_effects(
    configuration: &Configuration,
    remarks: &mut Vec<String>,
) -> Configuration {
    let mut rehearsed = configuration.clone();
    let scripts = without_scripts(&mut rehearsed);
    if scripts > 0 {
        remarks.push(format!(
            "scripts and pipes that are told of changes ({scripts}) are not run: they would act on \
             this machine, and not in the lab"
        ));
    }
    for instance in &mut rehearsed.instances {
        let name = &instance.name;
        instance.tracked.retain(|tracked| {
            let keep = matches!(tracked.tracker, Tracker::Interface(_));
            if !keep {
                remarks.push(format!(
                    "{name}: {} {} counts as good: it is not looked at in the lab",
                    tracked.tracker.keyword(),
                    tracked.tracker.name()
                ));
            }
            keep
        });
    }
    rehearsed.trackers.scripts.clear();
    rehearsed.trackers.files.clear();
    rehearsed.trackers.processes.clear();
    rehearsed.trackers.sessions.clear();
    for server in &mut rehearsed.virtual_servers {
        for real_server in &mut server.real_servers {
            let name = format!("{} of {}", real_server.address, server.key);
            real_server
                .checks
                .retain_mut(|check| can_be_asked(check, &name, remarks));
        }
    }
    rehearsed
}

/// Takes out every script and pipe, and gives their number.
fn without_scripts(configuration: &mut Configuration) -> usize {
    let mut count = 0;
    let mut take = |is_there: bool| count += usize::from(is_there);
    let global = &mut configuration.global;
    take(global.notify_fifo.take().is_some());
    take(global.vrrp_notify_fifo.take().is_some());
    take(global.lvs_notify_fifo.take().is_some());
    take(global.startup.take().is_some());
    take(global.shutdown.take().is_some());
    let groups = configuration.sync_groups.iter_mut();
    let instances = configuration.instances.iter_mut();
    for notify in groups
        .map(|group| &mut group.notify)
        .chain(instances.map(|instance| &mut instance.notify))
    {
        let NotifyScripts {
            master,
            backup,
            fault,
            stop,
            deleted,
            lower_priority,
            any,
        } = std::mem::take(notify);
        for script in [master, backup, fault, stop, lower_priority, any] {
            take(script.is_some());
        }
        take(deleted.is_some());
    }
    for server in &mut configuration.virtual_servers {
        take(server.quorum_up.take().is_some());
        take(server.quorum_down.take().is_some());
        for real_server in &mut server.real_servers {
            take(real_server.notify_up.take().is_some());
            take(real_server.notify_down.take().is_some());
        }
    }
    count
}

/// Whether a check asks a server, and one of the lab can answer; takes out what it cannot.
fn can_be_asked(check: &mut Check, name: &str, remarks: &mut Vec<String>) -> bool {
    match &mut check.probe {
        Probe::Misc(_) | Probe::File(_) | Probe::Bfd { .. } => {
            remarks.push(format!(
                "{name}: {} is not made, and counts as passed",
                check.probe.keyword()
            ));
            false
        }
        Probe::Http(HttpProbe { urls, .. }) => {
            for url in urls {
                without_unknown_content(url, name, remarks);
            }
            true
        }
        _ => true,
    }
}

/// No page can be made for a digest, and none for most expressions.
fn without_unknown_content(url: &mut Url, name: &str, remarks: &mut Vec<String>) {
    let path = &url.path;
    if url.digest.take().is_some() {
        remarks.push(format!(
            "{name}: the digest of {path} is not compared: what page has it is not in the file"
        ));
    }
    if url
        .regex
        .as_ref()
        .is_some_and(|regex| literal(regex).is_none())
    {
        url.regex = None;
        remarks.push(format!(
            "{name}: the expression for {path} is not compared: only plain words can be served"
        ));
    }
}

/// The words that an expression looks for, where it is nothing but words.
pub(super) fn literal(regex: &Regex) -> Option<&str> {
    let is_plain = !regex.must_not_match
        && !regex.options.extended
        && regex.least_offset == 0
        && regex.offset_limit.is_none()
        && !regex
            .pattern
            .contains(|c: char| r"\.^$*+?()[]{}|".contains(c) || c.is_control());
    is_plain.then_some(regex.pattern.as_str())
}
