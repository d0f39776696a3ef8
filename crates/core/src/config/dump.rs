//! A configuration in the words of `keepalived.conf`, with every default written out.

mod checks;
mod director;
mod routing;
mod scripts;
mod tracking;
mod vrrp;

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::model::{
    Authentication, Configuration, Global, GroupMember, ProcessSettings, ServiceGroup,
    VirtualServer,
};
use crate::service::{
    Family, ForwardingMethod, Scheduler, ServiceKey, ServiceSettings, Tunnel, TunnelChecksum,
};

/// What a dump says instead of a password.
///
/// It reads back as a password, so that the file can be loaded; the eight
/// characters are the protocol's longest.
const REDACTED: &str = "redacted";

/// Whether a dump shows passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They are replaced by a word.
    Hidden,
    /// They are written out: such a dump parses back to the same configuration.
    Shown,
}

/// The configuration as a file that, with [`Secrets::Shown`], loads as the same configuration.
pub fn dump(configuration: &Configuration, secrets: Secrets) -> String {
    let hidden = (secrets == Secrets::Hidden).then(|| without_secrets(configuration));
    let configuration = hidden.as_ref().unwrap_or(configuration);
    let mut writer = Writer {
        text: String::new(),
        depth: 0,
    };
    writer.global(&configuration.global);
    let patience = configuration.global.patience;
    if patience != Global::default().patience {
        writer.line(format_args!("child_wait_time {}", Seconds(patience)));
    }
    if let Some(certificate) = &configuration.client_certificate {
        director::client_certificate(&mut writer, certificate);
    }
    writer.pacing(&configuration.pacing);
    for group in &configuration.sync_groups {
        writer.sync_group(group);
    }
    routing::statics(&mut writer, &configuration.statics);
    tracking::trackers(&mut writer, &configuration.trackers);
    for instance in &configuration.instances {
        writer.instance(instance);
    }
    let mut groups = BTreeSet::new();
    for server in &configuration.virtual_servers {
        if let Some(group) = &server.group
            && groups.insert(&group.name)
        {
            writer.service_group(group);
        }
    }
    for server in &configuration.virtual_servers {
        writer.virtual_server(server);
    }
    writer.text
}

/// The configuration with a word in the place of every password.
pub fn without_secrets(configuration: &Configuration) -> Configuration {
    let mut configuration = configuration.clone();
    for instance in &mut configuration.instances {
        match &mut instance.authentication {
            Some(Authentication::Password(secret) | Authentication::Header(secret)) => {
                secret.copy_from_slice(REDACTED.as_bytes());
            }
            None => {}
        }
    }
    let certificate = configuration.client_certificate.as_mut();
    if let Some(password) = certificate.and_then(|certificate| certificate.password.as_mut()) {
        REDACTED.clone_into(password);
    }
    configuration
}

struct Writer {
    text: String,
    depth: usize,
}

/// A word as the language reads it, in double quotes where it has to be.
///
/// A double quote itself cannot be written, and neither can a reference to a definition
/// that is not one; no word that was read has either.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || "@._-:/+,=%".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "\"{}\"", self.0)
        }
    }
}

/// A time in seconds, to the microsecond.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_micros() {
            0 => write!(f, "{}", self.0.as_secs()),
            micros => {
                let decimals = format!("{micros:06}");
                write!(f, "{}.{}", self.0.as_secs(), decimals.trim_end_matches('0'))
            }
        }
    }
}

impl Writer {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        for _ in 0..self.depth {
            self.text.push_str("    ");
        }
        // Writing into a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn block(&mut self, head: fmt::Arguments<'_>, body: impl FnOnce(&mut Self)) {
        self.line(format_args!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line(format_args!("}}"));
        if self.depth == 0 {
            self.text.push('\n');
        }
    }

    fn global(&mut self, global: &Global) {
        if *global == Global::default() {
            return;
        }
        self.block(format_args!("global_defs"), |w| {
            if let Some(name) = &global.router_id {
                w.line(format_args!("router_id {}", Quoted(name)));
            }
            if !global.notification_email.is_empty() {
                w.block(format_args!("notification_email"), |w| {
                    for address in &global.notification_email {
                        w.line(format_args!("{}", Quoted(address)));
                    }
                });
            }
            if let Some(from) = &global.notification_email_from {
                w.line(format_args!("notification_email_from {}", Quoted(from)));
            }
            if let Some((host, port)) = &global.smtp_server {
                w.line(format_args!("smtp_server {} {port}", Quoted(host)));
            }
            if let Some(name) = &global.smtp_helo_name {
                w.line(format_args!("smtp_helo_name {}", Quoted(name)));
            }
            if global.no_mail_of_faults {
                w.line(format_args!("no_email_faults"));
            }
            if let Some(timeout) = global.smtp_connect_timeout {
                w.line(format_args!("smtp_connect_timeout {}", Seconds(timeout)));
            }
            for (prefix, process) in [
                ("vrrp", &global.vrrp_process),
                ("checker", &global.check_process),
            ] {
                w.process(prefix, process);
            }
            for (keyword, delay) in [
                ("vrrp_startup_delay", global.startup_delay),
                ("vrrp_delay_after_boot", global.delay_after_boot),
            ] {
                if !delay.is_zero() {
                    w.line(format_args!("{keyword} {}", Seconds(delay)));
                }
            }
            if let Some(timeouts) = global.timeouts {
                w.line(format_args!(
                    "lvs_timeouts tcp {} tcpfin {} udp {}",
                    timeouts.tcp.as_secs(),
                    timeouts.tcp_fin.as_secs(),
                    timeouts.udp.as_secs()
                ));
            }
            w.nftables(&global.nftables);
            scripts::global(w, global);
            director::global(w, global);
        });
    }

    fn process(&mut self, prefix: &str, process: &ProcessSettings) {
        if process.nice != 0 {
            self.line(format_args!("{prefix}_priority {}", process.nice));
        }
        if let Some(priority) = process.real_time {
            self.line(format_args!("{prefix}_rt_priority {priority}"));
        }
        if let Some(limit) = process.real_time_limit {
            let limit = limit.as_micros();
            self.line(format_args!("{prefix}_rlimit_rttime {limit}"));
        }
        if process.no_swap {
            self.line(format_args!("{prefix}_no_swap"));
        }
        if !process.processors.is_empty() {
            let processors: Vec<String> = process.processors.iter().map(u16::to_string).collect();
            self.line(format_args!(
                "{prefix}_cpu_affinity {}",
                processors.join(" ")
            ));
        }
    }

    fn service_group(&mut self, group: &ServiceGroup) {
        let head = format_args!("virtual_server_group {}", Quoted(&group.name));
        self.block(head, |w| {
            for member in &group.members {
                match *member {
                    GroupMember::Addresses { first, last, port } => {
                        let range = match first == last {
                            true => first.to_string(),
                            false => format!("{first}-{last}"),
                        };
                        match port {
                            0 => w.line(format_args!("{range}")),
                            port => w.line(format_args!("{range} {port}")),
                        }
                    }
                    GroupMember::Mark { mark, family } => {
                        w.line(format_args!("fwmark {mark} {}", family_word(family)));
                    }
                }
            }
        });
    }

    fn virtual_server(&mut self, server: &VirtualServer) {
        let head = match (&server.group, server.key) {
            (Some(group), _) => format!("group {}", Quoted(&group.name)),
            (None, ServiceKey::Address { address, .. }) => address_and_port(address),
            (None, ServiceKey::Mark { mark, .. }) => format!("fwmark {mark}"),
        };
        self.block(format_args!("virtual_server {head}"), |w| {
            match server.key {
                ServiceKey::Address { protocol, .. } => w.line(format_args!("protocol {protocol}")),
                // The marks of a group say it themselves.
                ServiceKey::Mark { .. } if server.group.is_some() => {}
                ServiceKey::Mark { family, .. } => {
                    w.line(format_args!("ip_family {}", family_word(family)));
                }
            }
            w.service(&server.settings, server.key.family());
            w.quorum(server);
            for real in &server.real_servers {
                let head = address_and_port(real.address);
                w.block(format_args!("real_server {head}"), |w| {
                    w.line(format_args!("weight {}", real.settings.weight));
                    w.method("lvs_method", real.settings.method);
                    if real.settings.upper_threshold != 0 {
                        w.line(format_args!("uthreshold {}", real.settings.upper_threshold));
                    }
                    if real.settings.lower_threshold != 0 {
                        w.line(format_args!("lthreshold {}", real.settings.lower_threshold));
                    }
                    if real.inhibit_on_failure {
                        w.line(format_args!("inhibit_on_failure"));
                    }
                    if !real.slow_start.is_zero() {
                        w.line(format_args!("slow_start {}", Seconds(real.slow_start)));
                    }
                    if let Some(percent) = real.passive_check {
                        w.line(format_args!("passive_check {percent}"));
                    }
                    if let Some(time) = real.passive_handshake {
                        w.line(format_args!("passive_handshake {}", Seconds(time)));
                    }
                    w.line(format_args!("smtp_alert {}", real.smtp_alert));
                    scripts::script(w, "notify_up", real.notify_up.as_ref());
                    scripts::script(w, "notify_down", real.notify_down.as_ref());
                    for check in &real.checks {
                        checks::check(w, check);
                    }
                });
            }
        });
    }

    fn quorum(&mut self, server: &VirtualServer) {
        self.line(format_args!("smtp_alert {}", server.smtp_alert));
        scripts::script(self, "quorum_up", server.quorum_up.as_ref());
        scripts::script(self, "quorum_down", server.quorum_down.as_ref());
        if server.omega {
            self.line(format_args!("omega"));
        }
        if server.ha_suspend {
            self.line(format_args!("ha_suspend"));
        }
        self.line(format_args!("quorum {}", server.quorum));
        self.line(format_args!("hysteresis {}", server.hysteresis));
        if let Some(sorry) = &server.sorry_server {
            let address = address_and_port(sorry.address);
            self.line(format_args!("sorry_server {address}"));
            self.method("sorry_server_lvs_method", sorry.settings.method);
            if sorry.inhibit {
                self.line(format_args!("sorry_server_inhibit"));
            }
        }
    }

    fn service(&mut self, settings: &ServiceSettings, family: Family) {
        self.line(format_args!("lvs_sched {}", settings.scheduler.name()));
        if settings.scheduler_flag_1 {
            self.line(format_args!(
                "{}",
                flag(settings.scheduler, "fallback", "flag-1")
            ));
        }
        if settings.scheduler_flag_2 {
            self.line(format_args!(
                "{}",
                flag(settings.scheduler, "port", "flag-2")
            ));
        }
        if settings.scheduler_flag_3 {
            self.line(format_args!("flag-3"));
        }
        if let Some(persistence) = settings.persistence {
            let timeout = Seconds(persistence.timeout);
            self.line(format_args!("persistence_timeout {timeout}"));
            let length = u32::from(persistence.prefix_length);
            match family {
                Family::Inet if length < 32 => {
                    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                    let mask = std::net::Ipv4Addr::from(mask);
                    self.line(format_args!("persistence_granularity {mask}"));
                }
                Family::Inet6 if length < 128 => {
                    self.line(format_args!("persistence_granularity {length}"));
                }
                _ => {}
            }
        }
        if let Some(engine) = &settings.persistence_engine {
            self.line(format_args!("persistence_engine {}", Quoted(engine)));
        }
        if settings.one_packet {
            self.line(format_args!("ops"));
        }
    }

    fn method(&mut self, keyword: &str, method: ForwardingMethod) {
        let checksum = |checksum| match checksum {
            TunnelChecksum::None => "nocsum",
            TunnelChecksum::Full => "csum",
            TunnelChecksum::Remote => "remcsum",
        };
        match method {
            ForwardingMethod::Nat => self.line(format_args!("{keyword} NAT")),
            ForwardingMethod::DirectRouting => self.line(format_args!("{keyword} DR")),
            ForwardingMethod::Tunnel(Tunnel::Ipip) => {
                self.line(format_args!("{keyword} TUN type ipip"));
            }
            ForwardingMethod::Tunnel(Tunnel::Gue { port, checksum: c }) => {
                let checksum = checksum(c);
                self.line(format_args!(
                    "{keyword} TUN type gue port {port} {checksum}"
                ));
            }
            ForwardingMethod::Tunnel(Tunnel::Gre { checksum: c }) => {
                let checksum = checksum(c);
                self.line(format_args!("{keyword} TUN type gre {checksum}"));
            }
        }
    }
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::Inet => "inet",
        Family::Inet6 => "inet6",
    }
}

fn address_and_port(address: SocketAddr) -> String {
    match address.port() {
        0 => address.ip().to_string(),
        port => format!("{} {port}", address.ip()),
    }
}

/// keepalived's name for a scheduler's flag.
fn flag(scheduler: Scheduler, meaning: &str, plain: &str) -> String {
    match scheduler {
        Scheduler::Sh | Scheduler::Mh => format!("{}-{meaning}", scheduler.name()),
        _ => plain.to_owned(),
    }
}
