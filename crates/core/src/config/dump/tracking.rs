//! Files and processes that are tracked, and lists of what an instance tracks.

use std::net::IpAddr;

use super::{Quoted, Seconds, Writer, scripts};
use crate::config::model::{
    BfdInstance, ParameterMatch, Tracked, TrackedFile, TrackedProcess, Tracker, Trackers,
};

/// Every block of something to track.
pub(super) fn trackers(w: &mut Writer, trackers: &Trackers) {
    for script in &trackers.scripts {
        scripts::tracked(w, script);
    }
    for tracked in &trackers.files {
        file(w, tracked);
    }
    for tracked in &trackers.processes {
        process(w, tracked);
    }
    for tracked in &trackers.sessions {
        session(w, tracked);
    }
}

fn file(w: &mut Writer, file: &TrackedFile) {
    w.block(format_args!("track_file {}", Quoted(&file.name)), |w| {
        w.line(format_args!("file {}", Quoted(&file.path)));
        if let Some(initial) = file.initial {
            let overwrite = if initial.overwrite { " overwrite" } else { "" };
            w.line(format_args!("init_file {}{overwrite}", initial.value));
        }
    });
}

fn process(w: &mut Writer, process: &TrackedProcess) {
    let head = format_args!("vrrp_track_process {}", Quoted(&process.name));
    w.block(head, |w| {
        let parameters: String = process
            .parameters
            .iter()
            .map(|parameter| format!(" {}", Quoted(parameter)))
            .collect();
        w.line(format_args!(
            "process {}{parameters}",
            Quoted(&process.program)
        ));
        match process.parameter_match {
            None if process.by_command_line => w.line(format_args!("full_command")),
            None => {}
            Some(ParameterMatch::Exact) if !process.parameters.is_empty() => {}
            Some(ParameterMatch::Exact) => w.line(format_args!("param_match")),
            Some(ParameterMatch::Partial) => w.line(format_args!("param_match partial")),
            Some(ParameterMatch::Initial) => w.line(format_args!("param_match initial")),
        }
        if process.least > 0 {
            w.line(format_args!("quorum {}", process.least));
        }
        if let Some(most) = process.most {
            w.line(format_args!("quorum_max {most}"));
        }
        w.line(format_args!("fork_delay {}", Seconds(process.rise_delay)));
        w.line(format_args!(
            "terminate_delay {}",
            Seconds(process.fall_delay)
        ));
    });
}

fn session(w: &mut Writer, session: &BfdInstance) {
    w.block(
        format_args!("bfd_instance {}", Quoted(&session.name)),
        |w| {
            w.line(format_args!("neighbor_ip {}", session.neighbor));
            if let Some(source) = session.source {
                w.line(format_args!("source_ip {source}"));
            }
            for (keyword, time) in [
                ("min_rx", session.min_rx),
                ("min_tx", session.min_tx),
                ("idle_tx", session.idle_tx),
            ] {
                w.line(format_args!("{keyword} {}", Seconds(time * 1000)));
            }
            w.line(format_args!("multiplier {}", session.multiplier));
            let limit = match session.neighbor {
                IpAddr::V4(_) => "ttl",
                IpAddr::V6(_) => "hoplimit",
            };
            w.line(format_args!("{limit} {}", session.hop_limit));
            w.line(format_args!("max_hops {}", session.max_hops));
            for (keyword, is_set) in [
                ("passive", session.passive),
                ("multihop", session.multihop),
                ("vrrp", session.for_vrrp && !session.for_checks),
                ("checker", session.for_checks && !session.for_vrrp),
            ] {
                if is_set {
                    w.line(format_args!("{keyword}"));
                }
            }
        },
    );
}

/// The lists of what an instance tracks, a block for each kind.
pub(super) fn lists(w: &mut Writer, tracked: &[Tracked]) {
    let name = || String::new();
    for kind in [
        Tracker::Interface(name()),
        Tracker::Script(name()),
        Tracker::File(name()),
        Tracker::Process(name()),
        Tracker::Session(name()),
    ] {
        let keyword = kind.keyword();
        let of_kind = || tracked.iter().filter(|t| t.tracker.keyword() == keyword);
        if of_kind().next().is_some() {
            w.block(format_args!("{keyword}"), |w| {
                for tracked in of_kind() {
                    let reverse = if tracked.reverse {
                        " reverse"
                    } else {
                        " noreverse"
                    };
                    let name = Quoted(tracked.tracker.name());
                    w.line(format_args!("{name} weight {}{reverse}", tracked.weight));
                }
            });
        }
    }
}
