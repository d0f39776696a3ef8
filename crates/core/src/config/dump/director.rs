//! What `global_defs` and `SSL` say of the director itself.

use super::scripts::script;
use super::{Quoted, Seconds, Writer};
use crate::config::model::{
    AutomaticPriority, BusyFile, ClientCertificate, DumpFiles, FlushOnStop, ForwardingNamespace,
    Global, JsonVersion, LinkDelay,
};

/// The lines of `global_defs`.
pub(super) fn global(w: &mut Writer, global: &Global) {
    for (keyword, awaited) in [
        ("startup_script", &global.startup),
        ("shutdown_script", &global.shutdown),
    ] {
        if let Some(awaited) = awaited {
            script(w, keyword, Some(&awaited.script));
            w.line(format_args!(
                "{keyword}_timeout {}",
                Seconds(awaited.timeout)
            ));
        }
    }
    let (files, usual) = (&global.dump_files, DumpFiles::default());
    for (keyword, path, usual) in [
        ("state_dump_file", &files.data, &usual.data),
        ("stats_dump_file", &files.statistics, &usual.statistics),
        ("json_dump_file", &files.json, &usual.json),
    ] {
        if path != usual {
            w.line(format_args!("{keyword} {}", Quoted(path)));
        }
    }
    if files.json_version == JsonVersion::Second {
        w.line(format_args!("json_version 2"));
    }
    automatic_priority(w, &global.automatic_priority);
    for (keyword, value) in [
        ("process_name", &global.process_name),
        ("reload_time_file", &global.reloading.time_file),
        ("config_save_dir", &global.copies),
        ("vmac_addr_prefix", &global.address_mac_prefix),
    ] {
        if let Some(value) = value {
            w.line(format_args!("{keyword} {}", Quoted(value)));
        }
    }
    match &global.reloading.busy_file {
        Some(BusyFile::Usual) => w.line(format_args!("reload_file")),
        Some(BusyFile::At(path)) => w.line(format_args!("reload_file {}", Quoted(path))),
        None => {}
    }
    for (keyword, is_on) in [
        ("reload_repeat", global.reloading.repeats),
        ("dynamic_interfaces", global.dynamic_interfaces),
        ("log_unknown_vrids", global.routers.logs_unknown),
        ("disable_local_igmp", global.routers.no_local_reports),
        ("set_supplementary_groups", global.supplementary_groups),
        (
            "fifo_write_vrrp_states_on_reload",
            global.routers.tells_states_on_reload,
        ),
    ] {
        if is_on {
            w.line(format_args!("{keyword}"));
        }
    }
    if global.dumps_by_instance {
        w.line(format_args!("data_use_instance"));
    }
    if global.flush {
        w.line(format_args!("lvs_flush"));
    }
    match global.flush_on_stop {
        FlushOnStop::No => {}
        FlushOnStop::ConfiguredServices => w.line(format_args!("lvs_flush_on_stop VS")),
        FlushOnStop::Everything => w.line(format_args!("lvs_flush_on_stop")),
    }
    if let Some(mask) = global.umask {
        w.line(format_args!("umask 0{mask:o}"));
    }
    if global.mail_of_real_servers_only {
        w.line(format_args!("no_checker_emails"));
    }
    if global.notify_at_start {
        w.line(format_args!("rs_init_notifies"));
    }
}

fn automatic_priority(w: &mut Writer, priority: &AutomaticPriority) {
    let usual = AutomaticPriority::default();
    if priority.most != usual.most {
        w.line(format_args!("max_auto_priority {}", priority.most));
    }
    if priority.lateness != usual.lateness {
        let lateness = priority.lateness.as_micros();
        w.line(format_args!("min_auto_priority_delay {lateness}"));
    }
}

/// Delays of links.
pub(super) fn link_delays(w: &mut Writer, delays: &[LinkDelay]) {
    if !delays.is_empty() {
        w.block(format_args!("interface_up_down_delays"), |w| {
            for delay in delays {
                let (down, up) = (Seconds(delay.down), Seconds(delay.up));
                w.line(format_args!("{} {down} {up}", Quoted(&delay.interface)));
            }
        });
    }
}

/// What stands outside of every block.
pub(super) fn outermost(w: &mut Writer, global: &Global) {
    for (keyword, value) in [
        ("net_namespace", &global.network_namespace),
        ("instance", &global.instance),
    ] {
        if let Some(value) = value {
            w.line(format_args!("{keyword} {}", Quoted(value)));
        }
    }
    match &global.forwarding_namespace {
        Some(ForwardingNamespace::Named(name)) => {
            w.line(format_args!("net_namespace_ipvs {}", Quoted(name)));
        }
        Some(ForwardingNamespace::OfTheSystem) => w.line(format_args!("net_namespace_ipvs")),
        None => {}
    }
    if global.patience != Global::default().patience {
        w.line(format_args!("child_wait_time {}", Seconds(global.patience)));
    }
}

/// `SSL`.
pub(super) fn client_certificate(w: &mut Writer, certificate: &ClientCertificate) {
    w.block(format_args!("SSL"), |w| {
        for (keyword, value) in [
            ("certificate", &certificate.certificate),
            ("key", &certificate.key),
            ("password", &certificate.password),
            ("ca", &certificate.authorities),
        ] {
            if let Some(value) = value {
                w.line(format_args!("{keyword} {}", Quoted(value)));
            }
        }
    });
}
