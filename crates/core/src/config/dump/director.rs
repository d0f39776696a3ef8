//! What `global_defs` and `SSL` say of the director itself.

use super::scripts::script;
use super::{Quoted, Seconds, Writer};
use crate::config::model::{ClientCertificate, DumpFiles, FlushOnStop, Global};

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
