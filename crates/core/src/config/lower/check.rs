//! Health checks, and what they inherit.

mod http;
mod path;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Placed;
use super::script::{command, user};
use super::servers::RestOfFile;
use super::tracking::ReadTrackers;
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::{BlockKind, Body};
use crate::config::model::{
    self, Check, CheckPath, Connection, DnsProbe, FileProbe, MiscProbe, Probe, RECORD_TYPES,
    Script, Tracker, UdpProbe, UdpReply,
};
use crate::config::reader::Word;
use crate::config::source::Span;

pub(super) use path::ClientSide;

// The defaults of keepalived.conf(5).
const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 1;
const DNS_RETRIES: u32 = 3;
const MISC_RETRIES: u32 = 0;
const DELAY_BEFORE_RETRY: Duration = Duration::from_secs(1);
const HTTP_DELAY_BEFORE_RETRY: Duration = Duration::from_secs(3);
const HELO_NAME: &str = "smtpchecker.keepalived.org";
const GREATEST_REPLY: usize = 255;

/// Settings of checks: each level takes from the one above what it does not say itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    delay_loop: Option<Duration>,
    connect_timeout: Option<Duration>,
    retries: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
    alpha: Option<bool>,
    virtual_host: Option<String>,
    forwarding: Option<Placed<bool>>,
}

impl Inherited {
    /// Whether the directive was one of these settings, and is taken in.
    pub(super) fn take(&mut self, directive: &Directive<'_>) -> bool {
        match directive.keyword.name {
            "delay_loop" => self.delay_loop = directive.time(),
            "connect_timeout" => self.connect_timeout = directive.time(),
            "retry" | "nb_get_retry" => {
                self.retries = directive.number().and_then(|n| u32::try_from(n).ok());
            }
            "delay_before_retry" => self.delay_before_retry = directive.time(),
            "warmup" => self.warmup = directive.time(),
            "alpha" => self.alpha = Some(directive.boolean()),
            "virtualhost" => self.virtual_host = directive.word(0).map(text),
            "check_path" => {
                self.forwarding = directive.choice().map(|path| Placed {
                    value: path == "forwarding",
                    span: directive.statement.span(),
                });
            }
            _ => return false,
        }
        true
    }

    pub(super) fn or(&self, outer: &Inherited) -> Inherited {
        Inherited {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retries: self.retries.or(outer.retries),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
            alpha: self.alpha.or(outer.alpha),
            virtual_host: self
                .virtual_host
                .clone()
                .or_else(|| outer.virtual_host.clone()),
            forwarding: self.forwarding.clone().or_else(|| outer.forwarding.clone()),
        }
    }
}

/// A check as the file has it.
#[derive(Clone)]
pub(super) struct ReadCheck {
    span: Span,
    connect_ip: Option<IpAddr>,
    connect_port: Option<u16>,
    source: Option<IpAddr>,
    source_port: Option<u16>,
    interface: Option<String>,
    mark: u32,
    log_all_failures: Option<bool>,
    /// How long a program may run.
    timeout: Option<Duration>,
    /// Whether a `FILE_CHECK` says its weight.
    has_weight: bool,
    settings: Inherited,
    probe: Probe,
}

fn text(word: &Word) -> String {
    word.text.to_string()
}

/// The checks of `block`, if it is one of a kind that elver carries out: one, unless a
/// `SMTP_CHECK` names several hosts.
pub(super) fn checks(context: &mut Context<'_>, block: &Directive<'_>) -> Vec<ReadCheck> {
    let Some((check, hosts)) = check(context, block) else {
        return Vec::new();
    };
    // check_smtp.c, smtp_check_end_handler: a check of the real server itself is left out
    // where there are hosts and nothing says how to reach it.
    let itself = (hosts.is_empty() || check.says_how()).then_some(check);
    itself.into_iter().chain(hosts).collect()
}

fn check(context: &mut Context<'_>, block: &Directive<'_>) -> Option<(ReadCheck, Vec<ReadCheck>)> {
    let Body::Keywords(kind) = block.keyword.body else {
        return None;
    };
    let probe = match (kind, block.keyword.name) {
        (BlockKind::TcpCheck, _) => Probe::Tcp,
        (BlockKind::HttpGet, name) => Probe::Http(http::unread(name == "SSL_GET")),
        (BlockKind::SmtpCheck, _) => Probe::Smtp {
            helo_name: HELO_NAME.to_owned(),
        },
        (BlockKind::UdpCheck, _) => Probe::Udp(UdpProbe {
            payload: None,
            reply: None,
        }),
        (BlockKind::DnsCheck, _) => Probe::Dns(DnsProbe {
            name: ".".to_owned(),
            record_type: RECORD_TYPES
                .iter()
                .find(|(name, _)| *name == "SOA")
                .map_or(0, |(_, number)| *number),
        }),
        (BlockKind::PingCheck, _) => Probe::Ping,
        (BlockKind::MiscCheck, _) => Probe::Misc(MiscProbe {
            script: Script {
                command: Vec::new(),
                user: None,
            },
            dynamic: false,
        }),
        (BlockKind::FileCheck, _) => Probe::File(FileProbe {
            file: String::new(),
            weight: 0,
            reverse: false,
        }),
        (BlockKind::BfdCheck, _) => Probe::Bfd {
            instance: String::new(),
        },
        _ => return None,
    };
    let mut check = ReadCheck {
        span: block.name().span,
        connect_ip: None,
        connect_port: None,
        source: None,
        source_port: None,
        interface: None,
        mark: 0,
        log_all_failures: None,
        timeout: None,
        has_weight: false,
        settings: Inherited::default(),
        probe,
    };
    let mut lengths = (0, GREATEST_REPLY);
    let mut hosts = Vec::new();
    for directive in context.directives(kind, block.statements()) {
        if check.take(&directive) {
            continue;
        }
        match directive.keyword.name {
            "host" => hosts.push(host(context, &directive, &check)),
            "min_reply_length" => lengths.0 = length(&directive),
            "max_reply_length" => lengths.1 = length(&directive),
            _ => match &mut check.probe {
                Probe::Http(probe) => http::take(context, probe, &directive),
                Probe::Smtp { helo_name } => {
                    if let ("helo_name", Some(word)) = (directive.keyword.name, directive.word(0)) {
                        *helo_name = text(word);
                    }
                }
                Probe::Udp(probe) => take_udp(context, probe, &directive),
                Probe::Dns(probe) => take_dns(context, probe, &directive),
                Probe::Misc(probe) => {
                    check.timeout = misc_timeout(&directive).or(check.timeout);
                    take_misc(probe, &directive);
                }
                Probe::File(probe) => match directive.keyword.name {
                    "track_file" => probe.file = directive.word(0).map(text).unwrap_or_default(),
                    "weight" => {
                        let weight = directive.number().and_then(|n| i32::try_from(n).ok());
                        let mut options = directive.rest(1).iter();
                        probe.weight = weight.unwrap_or(0);
                        probe.reverse = options.any(|word| &*word.text == "reverse");
                        check.has_weight = true;
                    }
                    _ => {}
                },
                Probe::Bfd { instance } => {
                    *instance = directive.word(0).map(text).unwrap_or_default();
                }
                Probe::Tcp | Probe::Ping => {}
            },
        }
    }
    check.review(context, lengths);
    for host in &mut hosts {
        host.probe = check.probe.clone();
        host.settings = host.settings.or(&check.settings);
        host.log_all_failures = host.log_all_failures.or(check.log_all_failures);
    }
    Some((check, hosts))
}

/// `host` in `SMTP_CHECK`: another check that differs in how it is reached.
fn host(context: &mut Context<'_>, block: &Directive<'_>, check: &ReadCheck) -> ReadCheck {
    let mut host = ReadCheck {
        span: block.name().span,
        connect_ip: None,
        connect_port: None,
        source: None,
        source_port: None,
        interface: None,
        mark: 0,
        log_all_failures: None,
        settings: Inherited::default(),
        ..check.clone()
    };
    for directive in context.directives(BlockKind::SmtpHost, block.statements()) {
        host.take(&directive);
    }
    host
}

fn length(directive: &Directive<'_>) -> usize {
    directive
        .number()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
}

/// `misc_timeout`, if the directive is that; 0 is for the time between two checks.
fn misc_timeout(directive: &Directive<'_>) -> Option<Duration> {
    let is_it = directive.keyword.name == "misc_timeout";
    let seconds = directive.number().and_then(|n| u64::try_from(n).ok());
    seconds
        .filter(|seconds| is_it && *seconds > 0)
        .map(Duration::from_secs)
}

fn take_misc(probe: &mut MiscProbe, directive: &Directive<'_>) {
    match directive.keyword.name {
        "misc_path" => probe.script.command = command(directive.rest(0)),
        "misc_dynamic" => probe.dynamic = true,
        "user" => probe.script.user = user(directive.rest(0)),
        _ => {}
    }
}

fn take_udp(context: &mut Context<'_>, probe: &mut UdpProbe, directive: &Directive<'_>) {
    match directive.keyword.name {
        "payload" => {
            let octets = octets(context, directive, false);
            probe.payload = octets.map(|octets| octets.iter().map(|(octet, _)| *octet).collect());
        }
        "require_reply" => {
            probe.reply = octets(context, directive, true).map(|prefix| UdpReply {
                prefix,
                least_length: 0,
                greatest_length: GREATEST_REPLY,
            });
        }
        _ => {}
    }
}

/// Hexadecimal digits, with space anywhere between octets. Where `masked`, an `x` stands
/// for any four bits. An octet and the bits of it that count.
fn octets(
    context: &mut Context<'_>,
    directive: &Directive<'_>,
    masked: bool,
) -> Option<Vec<(u8, u8)>> {
    let digits: String = directive.rest(0).iter().map(text).collect();
    let nibble = |digit: u8| match (digit as char).to_digit(16) {
        Some(value) => Some((value as u8, 0xf)),
        None if masked && digit.eq_ignore_ascii_case(&b'x') => Some((0, 0)),
        None => None,
    };
    let read: Option<Vec<(u8, u8)>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => {
                let ((high, high_mask), (low, low_mask)) = (nibble(*high)?, nibble(*low)?);
                Some((high << 4 | low, high_mask << 4 | low_mask))
            }
            _ => None,
        })
        .collect();
    if read.is_none() {
        let anything = if masked { ", or x for any digit" } else { "" };
        context
            .report
            .error(
                directive.argument_span(0),
                format!("`{digits}` is no row of octets"),
            )
            .help(format!(
                "write two hexadecimal digits for each octet{anything}"
            ));
    }
    read
}

fn take_dns(context: &mut Context<'_>, probe: &mut DnsProbe, directive: &Directive<'_>) {
    let Some(word) = directive.word(0) else {
        return;
    };
    match directive.keyword.name {
        "type" => {
            let known = RECORD_TYPES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&word.text));
            match known {
                Some((_, number)) => probe.record_type = *number,
                None => {
                    let names: Vec<&str> = RECORD_TYPES.iter().map(|(name, _)| *name).collect();
                    context
                        .report
                        .error(word.span, format!("`{}` is no record type", word.text))
                        .help(format!("write one of {}", names.join(", ")));
                }
            }
        }
        "name" => {
            // RFC 1035 section 2.3.4: labels "63 octets or less", names "255 octets or less",
            // with the length octets of its labels and that of the root.
            let name = word.text.strip_suffix('.').unwrap_or(&word.text);
            let fits = |label: &str| (1..=63).contains(&label.len());
            if name.len() > 253 || !(name.is_empty() || name.split('.').all(fits)) {
                context
                    .report
                    .error(word.span, format!("`{}` is no domain name", word.text))
                    .help("its labels have 1 to 63 octets each, and all of it at most 253");
            } else {
                probe.name = text(word);
            }
        }
        _ => {}
    }
}

impl ReadCheck {
    /// Takes a directive in that every check understands. Whether it was one.
    fn take(&mut self, directive: &Directive<'_>) -> bool {
        if self.settings.take(directive) {
            return true;
        }
        match directive.keyword.name {
            "connect_ip" => self.connect_ip = directive.address(),
            "connect_port" => self.connect_port = directive.port(),
            "bindto" => self.source = directive.address(),
            "bind_port" => self.source_port = directive.port(),
            "bind_if" => self.interface = directive.word(0).map(text),
            "fwmark" => {
                let mark = directive.number().and_then(|n| u32::try_from(n).ok());
                self.mark = mark.unwrap_or(0);
            }
            "log_all_failures" => self.log_all_failures = Some(directive.boolean()),
            _ => return false,
        }
        true
    }

    /// Whether anything is said about how the real server is reached.
    fn says_how(&self) -> bool {
        self.connect_ip.is_some()
            || self.connect_port.is_some()
            || self.source.is_some()
            || self.source_port.is_some()
            || self.interface.is_some()
            || self.settings.connect_timeout.is_some()
    }

    /// What shows only when the whole block has been read.
    fn review(&mut self, context: &mut Context<'_>, (least, greatest): (usize, usize)) {
        match &mut self.probe {
            Probe::Http(probe) if probe.urls.is_empty() => {
                context
                    .report
                    .error(self.span, "this check has no url")
                    .help("add `url { path / }`");
            }
            Probe::Misc(probe) if probe.script.command.is_empty() => {
                context
                    .report
                    .error(self.span, "this check has no program")
                    .help("add `misc_path \"/path/to/program argument …\"`");
            }
            Probe::Udp(UdpProbe {
                reply: Some(reply), ..
            }) => {
                reply.least_length = least;
                reply.greatest_length = greatest;
                if least > greatest {
                    context
                        .report
                        .error(
                            self.span,
                            format!(
                                "min_reply_length {least} is above max_reply_length {greatest}"
                            ),
                        )
                        .help("no reply can have both");
                }
            }
            Probe::File(probe) if probe.file.is_empty() => {
                context
                    .report
                    .error(self.span, "this check has no file")
                    .help("add `track_file NAME`, with the name of a track_file block");
            }
            Probe::Bfd { instance } if instance.is_empty() => {
                context
                    .report
                    .error(self.span, "this check has no BFD session")
                    .help("add `name NAME`, with the name of a bfd_instance block");
            }
            _ => {}
        }
    }

    /// Gives a check of a file the weight that the file has for everybody.
    fn finish_file(&self, probe: &mut FileProbe, trackers: &ReadTrackers, report: &mut Report) {
        match trackers.usual_weight(&Tracker::File(probe.file.clone())) {
            Some((weight, reverse)) if !self.has_weight => {
                (probe.weight, probe.reverse) = (i32::from(weight), reverse);
            }
            Some(_) => {}
            None if probe.file.is_empty() => {}
            None => {
                report
                    .error(
                        self.span,
                        format!("there is no track_file `{}`", probe.file),
                    )
                    .help(format!(
                        "add `track_file {} {{ file /path/to/it }}` beside the virtual servers",
                        probe.file
                    ));
            }
        }
    }

    /// A check follows a session that there is.
    fn finish_session(&self, instance: &str, trackers: &ReadTrackers, report: &mut Report) {
        let mut sessions = trackers.sessions.iter();
        let named = sessions.find(|session| session.name.value == instance);
        match named {
            Some(session) if session.instance.for_checks => {}
            Some(session) => {
                report
                    .error(
                        self.span,
                        format!("the BFD session `{instance}` is for VRRP alone"),
                    )
                    .related(session.name.span, "because of its `vrrp`")
                    .help("add `checker` to it, or take its `vrrp` away");
            }
            None if instance.is_empty() => {}
            None => {
                report
                    .error(self.span, format!("there is no bfd_instance `{instance}`"))
                    .help(format!(
                        "add `bfd_instance {instance} {{ neighbor_ip ADDRESS }}` beside the virtual servers"
                    ));
            }
        }
    }

    /// With everything that it inherits.
    pub(super) fn finish(
        &self,
        (server, client_side): (SocketAddr, ClientSide<'_>),
        outer: &Inherited,
        rest: RestOfFile<'_>,
        report: &mut Report,
    ) -> Check {
        let settings = self.settings.or(outer);
        let interval = settings.delay_loop.unwrap_or(DELAY_LOOP);
        let to = SocketAddr::new(
            self.connect_ip.unwrap_or(server.ip()),
            self.connect_port.unwrap_or(server.port()),
        );
        let mut probe = self.probe.clone();
        let is_portless = matches!(probe, Probe::Ping | Probe::Misc(_)) || probe.follows();
        if to.port() == 0 && !is_portless {
            report
                .error(
                    self.span,
                    "this check does not know which port to connect to",
                )
                .help("add `connect_port N`, or a port to the real server");
        }
        if let Some(source) = self.source
            && source.is_ipv4() != to.is_ipv4()
        {
            report
                .error(self.span, format!("{to} cannot be reached from {source}"))
                .help("let `bindto` and the address that is checked be of one family");
        }
        let path = match &settings.forwarding {
            Some(forwarding) if forwarding.value && !is_portless => {
                let path = self.path(forwarding.span, server, client_side, report);
                if path != CheckPath::Direct && rest.forwards_elsewhere {
                    report
                        .error(
                            forwarding.span,
                            "with net_namespace_ipvs no check goes the way of forwarded packets",
                        )
                        .help("checks are made in another network namespace; take one of the two away");
                    CheckPath::Direct
                } else {
                    path
                }
            }
            _ => CheckPath::Direct,
        };
        let (retries, delay_before_retry) = match &mut probe {
            Probe::Http(probe) => {
                http::inherit(probe, settings.virtual_host.as_deref());
                (RETRIES, HTTP_DELAY_BEFORE_RETRY)
            }
            Probe::Dns(_) => (DNS_RETRIES, interval),
            Probe::Misc(probe) => {
                let script = &mut probe.script;
                script.user = script.user.take().or_else(|| rest.usual_user.cloned());
                (MISC_RETRIES, DELAY_BEFORE_RETRY)
            }
            Probe::File(probe) => {
                self.finish_file(probe, rest.trackers, report);
                (RETRIES, DELAY_BEFORE_RETRY)
            }
            Probe::Bfd { instance } => {
                self.finish_session(instance, rest.trackers, report);
                (RETRIES, DELAY_BEFORE_RETRY)
            }
            Probe::Tcp | Probe::Smtp { .. } | Probe::Udp(_) | Probe::Ping => {
                (RETRIES, DELAY_BEFORE_RETRY)
            }
        };
        let timeout = match probe {
            Probe::Misc(_) => self.timeout.unwrap_or(interval),
            _ => settings.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        };
        Check {
            connection: Connection {
                to,
                timeout,
                source: self.source,
                source_port: self.source_port,
                interface: self.interface.clone(),
                mark: self.mark,
                path,
            },
            probe,
            timing: model::Timing {
                interval,
                retries: settings.retries.unwrap_or(retries),
                delay_before_retry: settings.delay_before_retry.unwrap_or(delay_before_retry),
                warmup: settings.warmup.unwrap_or(interval),
                // check_file.c: "Clear Alpha mode - we know the state of the checker immediately".
                alpha: settings.alpha.unwrap_or(false) && !matches!(self.probe, Probe::File(_)),
                log_all_failures: self.log_all_failures.unwrap_or(rest.log_all_failures),
            },
        }
    }
}
