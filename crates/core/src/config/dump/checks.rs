//! Health checks.

use std::time::Duration;

use super::scripts::{command, user};
use super::{Quoted, Seconds, Writer};
use crate::config::model::{
    Check, CheckPath, Connection, FileProbe, HttpProbe, HttpVersion, MiscProbe, Probe,
    RECORD_TYPES, UdpProbe, Url,
};

pub(super) fn check(w: &mut Writer, check: &Check) {
    w.block(format_args!("{}", check.probe.keyword()), |w| {
        match &check.probe {
            Probe::File(probe) => return file(w, probe),
            Probe::Bfd { instance } => {
                w.line(format_args!("name {}", Quoted(instance)));
                if check.timing.alpha {
                    w.line(format_args!("alpha"));
                }
                return;
            }
            _ => {}
        }
        let connection = &check.connection;
        if let Probe::Misc(probe) = &check.probe {
            misc(w, probe, connection.timeout);
        } else {
            connecting(w, connection);
        }
        let timing = &check.timing;
        w.line(format_args!("delay_loop {}", Seconds(timing.interval)));
        w.line(format_args!("retry {}", timing.retries));
        let delay = Seconds(timing.delay_before_retry);
        w.line(format_args!("delay_before_retry {delay}"));
        w.line(format_args!("warmup {}", Seconds(timing.warmup)));
        if timing.alpha {
            w.line(format_args!("alpha"));
        }
        if timing.log_all_failures {
            w.line(format_args!("log_all_failures"));
        }
        match &check.probe {
            Probe::Tcp | Probe::Ping | Probe::Misc(_) | Probe::File(_) | Probe::Bfd { .. } => {}
            Probe::Http(probe) => http(w, probe),
            Probe::Smtp { helo_name } => w.line(format_args!("helo_name {}", Quoted(helo_name))),
            Probe::Udp(probe) => udp(w, probe),
            Probe::Dns(probe) => {
                let record_type = RECORD_TYPES
                    .iter()
                    .find(|(_, number)| *number == probe.record_type);
                if let Some((name, _)) = record_type {
                    w.line(format_args!("type {name}"));
                }
                w.line(format_args!("name {}", Quoted(&probe.name)));
            }
        }
    });
}

fn file(w: &mut Writer, probe: &FileProbe) {
    w.line(format_args!("track_file {}", Quoted(&probe.file)));
    let reverse = if probe.reverse { " reverse" } else { "" };
    w.line(format_args!("weight {}{reverse}", probe.weight));
}

fn connecting(w: &mut Writer, connection: &Connection) {
    w.line(format_args!("connect_ip {}", connection.to.ip()));
    if connection.to.port() != 0 {
        w.line(format_args!("connect_port {}", connection.to.port()));
    }
    if let Some(source) = connection.source {
        w.line(format_args!("bindto {source}"));
    }
    if let Some(port) = connection.source_port {
        w.line(format_args!("bind_port {port}"));
    }
    if let Some(interface) = &connection.interface {
        w.line(format_args!("bind_if {}", Quoted(interface)));
    }
    if connection.mark != 0 {
        w.line(format_args!("fwmark {}", connection.mark));
    }
    if let CheckPath::Forwarding { .. } = connection.path {
        w.line(format_args!("check_path forwarding"));
    }
    w.line(format_args!(
        "connect_timeout {}",
        Seconds(connection.timeout)
    ));
}

fn misc(w: &mut Writer, probe: &MiscProbe, timeout: Duration) {
    w.line(format_args!("misc_path {}", command(&probe.script.command)));
    if probe.script.user.is_some() {
        w.line(format_args!("user{}", user(probe.script.user.as_ref())));
    }
    w.line(format_args!("misc_timeout {}", timeout.as_secs()));
    if probe.dynamic {
        w.line(format_args!("misc_dynamic"));
    }
}

fn http(w: &mut Writer, probe: &HttpProbe) {
    match probe.version {
        HttpVersion::Http10 => {}
        HttpVersion::Http10Close => w.line(format_args!("http_protocol 1.0C")),
        HttpVersion::Http11 => w.line(format_args!("http_protocol 1.1")),
    }
    if let Some(tls) = &probe.tls {
        if tls.enable_sni {
            w.line(format_args!("enable_sni"));
        }
        if let Some(name) = &tls.sni_name {
            w.line(format_args!("sni_name {}", Quoted(name)));
        }
        if tls.compliant {
            w.line(format_args!("tls_compliant"));
        }
    }
    if probe.fast_recovery {
        w.line(format_args!("fast_recovery"));
    }
    for each in &probe.urls {
        w.block(format_args!("url"), |w| url(w, each));
    }
}

fn url(w: &mut Writer, url: &Url) {
    w.line(format_args!("path {}", Quoted(&url.path)));
    if let Some(host) = &url.virtual_host {
        w.line(format_args!("virtualhost {}", Quoted(host)));
    }
    for (from, to) in &url.status_codes {
        w.line(format_args!("status_code {from}-{to}"));
    }
    if let Some(digest) = url.digest {
        w.line(format_args!("digest {:032x}", u128::from_be_bytes(digest)));
    }
    if let Some(compliant) = url.tls_compliant {
        w.line(format_args!("tls_compliant {compliant}"));
    }
    let Some(regex) = &url.regex else {
        return;
    };
    w.line(format_args!("regex {}", Quoted(&regex.pattern)));
    if regex.must_not_match {
        w.line(format_args!("regex_no_match"));
    }
    let options = regex.options;
    for (name, on) in [
        ("anchored", options.anchored),
        ("caseless", options.caseless),
        ("dotall", options.dot_matches_newline),
        ("extended", options.extended),
        ("multiline", options.multiline),
    ] {
        if on {
            w.line(format_args!("regex_options {name}"));
        }
    }
    if regex.least_offset != 0 {
        w.line(format_args!("regex_min_offset {}", regex.least_offset));
    }
    if let Some(limit) = regex.offset_limit {
        w.line(format_args!("regex_max_offset {limit}"));
    }
}

fn udp(w: &mut Writer, probe: &UdpProbe) {
    if let Some(payload) = &probe.payload {
        let digits: String = payload.iter().map(|octet| format!("{octet:02x}")).collect();
        w.line(format_args!("payload {digits}"));
    }
    if let Some(reply) = &probe.reply {
        let nibble = |value: u8, mask: u8| match mask & 0xf {
            0 => "x".to_owned(),
            _ => format!("{:x}", value & 0xf),
        };
        let digits: String = reply
            .prefix
            .iter()
            .map(|(octet, mask)| nibble(octet >> 4, mask >> 4) + &nibble(*octet, *mask))
            .collect();
        w.line(format_args!("require_reply {digits}"));
        w.line(format_args!("min_reply_length {}", reply.least_length));
        w.line(format_args!("max_reply_length {}", reply.greatest_length));
    }
}
