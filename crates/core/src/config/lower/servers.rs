//! Virtual servers, real servers and their checks.

mod identity;
mod persistence;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::alerts::Alerts;
use super::check::{ClientSide, Inherited, ReadCheck, checks};
use super::forwarding::{method, protocol, scheduler};
use super::group::{self, ReadGroup};
use super::quorum::ReadQuorum;
use super::script::{run_as, script};
use super::tracking::ReadTrackers;
use super::{Placed, address, review};
use crate::config::diagnostic::{Report, Verdict};
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{RealServer, Script, ScriptUser, ServiceGroup, VirtualServer};
use crate::config::reader::Word;
use crate::config::source::Span;
use crate::service::{
    DestinationSettings, Family, ForwardingMethod, Protocol, Scheduler, ServiceKey, ServiceSettings,
};
use identity::{Identity, identity};

// The defaults of keepalived.conf(5).
const WEIGHT: u32 = 1;

/// What virtual servers take from the rest of the file.
#[derive(Clone, Copy)]
pub(super) struct RestOfFile<'a> {
    /// Whose changes are mailed, where nothing else is said.
    pub(super) alerts: Alerts,
    /// As whom scripts run that name nobody.
    pub(super) usual_user: Option<&'a ScriptUser>,
    /// Whether checks log failures that do not count yet, where they do not say so themselves.
    pub(super) log_all_failures: bool,
    /// What checks can follow.
    pub(super) trackers: &'a ReadTrackers,
    /// Whether packets are forwarded in another network namespace than checks are made in.
    pub(super) forwards_elsewhere: bool,
}

/// A virtual server as the file has it.
pub(super) struct ReadVirtualServer {
    identity: Placed<Identity>,
    protocol: Option<Placed<Protocol>>,
    scheduler: Option<Scheduler>,
    settings: ServiceSettings,
    persistence_timeout: Option<Placed<Duration>>,
    granularity: Option<Placed<String>>,
    method: Option<ForwardingMethod>,
    family: Option<Family>,
    one_packet: Option<Span>,
    weight: u32,
    inhibit_on_failure: bool,
    quorum: ReadQuorum,
    quorum_up: Option<Script>,
    quorum_down: Option<Script>,
    omega: bool,
    ha_suspend: Option<Span>,
    slow_start: Duration,
    passive_check: Option<u8>,
    passive_handshake: Option<Duration>,
    smtp_alert: Option<bool>,
    inherited: Inherited,
    real_servers: Vec<ReadRealServer>,
}

struct ReadRealServer {
    address: IpAddr,
    port: Option<u16>,
    span: Span,
    method: Option<ForwardingMethod>,
    weight: Option<u32>,
    inhibit_on_failure: Option<bool>,
    upper_threshold: u32,
    lower_threshold: u32,
    notify_up: Option<Script>,
    notify_down: Option<Script>,
    slow_start: Option<Duration>,
    passive_check: Option<u8>,
    passive_handshake: Option<Duration>,
    smtp_alert: Option<bool>,
    inherited: Inherited,
    checks: Vec<ReadCheck>,
}

/// A port where 0 and nothing mean every port.
pub(super) fn port(context: &mut Context<'_>, word: Option<&Word>) -> Result<Option<u16>, ()> {
    let Some(word) = word else {
        return Ok(None);
    };
    match word.text.parse::<u16>() {
        Ok(0) => Ok(None),
        Ok(port) => Ok(Some(port)),
        Err(_) => {
            context
                .report
                .error(word.span, format!("`{}` is no port", word.text))
                .help("write a number from 1 to 65535");
            Err(())
        }
    }
}

pub(super) fn ip_address(context: &mut Context<'_>, word: &Word) -> Option<IpAddr> {
    match word.text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            address::not_an_address(context, word);
            None
        }
    }
}

/// A `virtual_server`.
pub(super) fn virtual_server(
    context: &mut Context<'_>,
    block: &Directive<'_>,
) -> Option<ReadVirtualServer> {
    let identity = identity(context, block);
    let mut server = ReadVirtualServer {
        identity: Placed {
            value: Identity::Mark(0),
            span: block.statement.span(),
        },
        protocol: None,
        scheduler: None,
        settings: ServiceSettings::default(),
        persistence_timeout: None,
        granularity: None,
        method: None,
        family: None,
        one_packet: None,
        weight: WEIGHT,
        inhibit_on_failure: false,
        quorum: ReadQuorum::default(),
        smtp_alert: None,
        quorum_up: None,
        quorum_down: None,
        omega: false,
        ha_suspend: None,
        slow_start: Duration::ZERO,
        passive_check: None,
        passive_handshake: None,
        inherited: Inherited::default(),
        real_servers: Vec::new(),
    };
    for directive in context.directives(BlockKind::VirtualServer, block.statements()) {
        server.take(context, &directive);
    }
    // Its block has been looked at even if nobody knows what it is the block of.
    server.identity = identity?;
    Some(server)
}

impl ReadVirtualServer {
    fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) {
        if self.inherited.take(directive) || self.quorum.take(context, directive) {
            return;
        }
        let name = directive.keyword.name;
        match name {
            "lvs_sched" | "lb_algo" => {
                if let Some(word) = directive.word(0) {
                    self.scheduler = scheduler(context, word).or(self.scheduler);
                }
            }
            "lvs_method" | "lb_kind" => self.method = method(context, directive),
            "protocol" => {
                if let Some(word) = directive.word(0) {
                    self.protocol = protocol(context, word);
                }
            }
            "persistence_timeout" => self.persistence_timeout(context, directive),
            "persistence_granularity" => {
                self.granularity = directive.word(0).map(|word| Placed {
                    value: word.text.to_string(),
                    span: word.span,
                });
            }
            "persistence_engine" => {
                self.settings.persistence_engine =
                    directive.word(0).map(|word| word.text.to_string());
            }
            "ip_family" => {
                self.family = directive.choice().map(|family| match family {
                    "inet6" => Family::Inet6,
                    _ => Family::Inet,
                });
            }
            "ops" => self.one_packet = Some(directive.name().span),
            "flag-1" => self.settings.scheduler_flag_1 = true,
            "flag-2" => self.settings.scheduler_flag_2 = true,
            "flag-3" => self.settings.scheduler_flag_3 = true,
            "sh-fallback" | "sh-port" | "mh-fallback" | "mh-port" => {
                self.scheduler_flag(context, directive);
            }
            "weight" => {
                self.weight = directive
                    .number()
                    .and_then(|n| u32::try_from(n).ok())
                    .unwrap_or(WEIGHT);
            }
            "inhibit_on_failure" => self.inhibit_on_failure = directive.boolean(),
            "smtp_alert" => self.smtp_alert = Some(directive.boolean()),
            "quorum_up" => self.quorum_up = script(context, directive),
            "quorum_down" => self.quorum_down = script(context, directive),
            "omega" => self.omega = directive.boolean(),
            "ha_suspend" => self.ha_suspend = Some(directive.name().span),
            "slow_start" => self.slow_start = directive.time().unwrap_or_default(),
            "passive_check" => self.passive_check = percent(directive),
            "passive_handshake" => self.passive_handshake = directive.time(),
            "real_server" => self.real_servers.extend(real_server(context, directive)),
            _ => {}
        }
    }

    /// The names that keepalived has for flags, which hold for one scheduler each.
    fn scheduler_flag(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) {
        let name = directive.keyword.name;
        let (scheduler, flag) = name.split_once('-').unwrap_or((name, ""));
        if self.scheduler.map(Scheduler::name) != Some(scheduler) {
            context
                .report
                .warning(
                    directive.name().span,
                    format!("`{name}` is ignored: the scheduler above it is not {scheduler}"),
                )
                .help(format!("write it below `lb_algo {scheduler}`"));
            return;
        }
        match flag {
            "fallback" => self.settings.scheduler_flag_1 = true,
            _ => self.settings.scheduler_flag_2 = true,
        }
    }
}

fn real_server(context: &mut Context<'_>, block: &Directive<'_>) -> Option<ReadRealServer> {
    let address = block.word(0).and_then(|word| ip_address(context, word));
    let port = port(context, block.word(1));
    let mut server = ReadRealServer {
        address: address.unwrap_or(Family::Inet.unspecified()),
        port: port.unwrap_or(None),
        span: block.statement.span(),
        method: None,
        weight: None,
        inhibit_on_failure: None,
        upper_threshold: 0,
        lower_threshold: 0,
        smtp_alert: None,
        notify_up: None,
        notify_down: None,
        slow_start: None,
        passive_check: None,
        passive_handshake: None,
        inherited: Inherited::default(),
        checks: Vec::new(),
    };
    for directive in context.directives(BlockKind::RealServer, block.statements()) {
        if server.inherited.take(&directive) {
            continue;
        }
        let number = || directive.number().and_then(|n| u32::try_from(n).ok());
        match directive.keyword.name {
            "weight" => server.weight = number(),
            "inhibit_on_failure" => server.inhibit_on_failure = Some(directive.boolean()),
            "lvs_method" => server.method = method(context, &directive),
            "uthreshold" => server.upper_threshold = number().unwrap_or(0),
            "lthreshold" => server.lower_threshold = number().unwrap_or(0),
            "slow_start" => server.slow_start = directive.time(),
            "passive_check" => server.passive_check = percent(&directive),
            "passive_handshake" => server.passive_handshake = directive.time(),
            "smtp_alert" => server.smtp_alert = Some(directive.boolean()),
            "notify_up" => server.notify_up = script(context, &directive),
            "notify_down" => server.notify_down = script(context, &directive),
            _ => server.checks.extend(checks(context, &directive)),
        }
    }
    address?;
    port.ok()?;
    Some(server)
}

impl ReadVirtualServer {
    /// With everything that is inherited and not said.
    fn finish(
        mut self,
        groups: &[ReadGroup],
        rest: RestOfFile<'_>,
        report: &mut Report,
    ) -> Option<Placed<VirtualServer>> {
        let span = self.identity.span;
        let (key, group) = self.services(groups, report)?;
        if self.scheduler.is_none() {
            report
                .warning(span, "this virtual server names no scheduler")
                .label("wlc is used")
                .help("add `lb_algo wlc`, or another one");
        }
        let persistence = self.persistence(&key, group.as_ref(), report);
        let method = self.default_method(report);
        let settings = ServiceSettings {
            scheduler: self.scheduler.unwrap_or_default(),
            persistence,
            one_packet: self.one_packet(&key, report),
            ..std::mem::take(&mut self.settings)
        };
        let mut real_servers: Vec<(Span, RealServer)> = Vec::new();
        for read in &self.real_servers {
            let mut server = self.real_server(read, &key, group.as_ref(), method, rest, report);
            server.smtp_alert = read.smtp_alert.unwrap_or(rest.alerts.of_real_servers());
            match real_servers
                .iter()
                .find(|(_, other)| other.address == server.address)
            {
                Some((first, _)) => {
                    report
                        .warning(
                            read.span,
                            format!(
                                "the real server {} is there already: ignored",
                                server.address
                            ),
                        )
                        .related(*first, "the first one")
                        .help("take one of the two away");
                }
                None => real_servers.push((read.span, server)),
            }
        }
        if real_servers.is_empty() {
            report
                .warning(span, format!("{key} has no real server: ignored"))
                .help("add a real_server block");
            return None;
        }
        let (places, real_servers): (Vec<Span>, Vec<RealServer>) = real_servers.into_iter().unzip();
        let (quorum, hysteresis) = self.quorum.finish(&real_servers, report);
        let sorry_server = self.quorum.sorry_server(&key, group.as_ref(), method);
        let ha_suspend = self.ha_suspend(&key, report);
        let value = VirtualServer {
            key,
            group,
            settings,
            real_servers,
            quorum,
            hysteresis,
            sorry_server,
            smtp_alert: self.smtp_alert.unwrap_or(rest.alerts.of_virtual_servers()),
            quorum_up: self.quorum_up.take(),
            quorum_down: self.quorum_down.take(),
            omega: self.omega,
            ha_suspend,
        };
        review::virtual_server(&value, span, &places, report);
        Some(Placed { value, span })
    }

    fn ha_suspend(&self, key: &ServiceKey, report: &mut Report) -> bool {
        if let (ServiceKey::Mark { .. }, Some(span)) = (key, self.ha_suspend) {
            report
                .warning(
                    span,
                    "a firewall mark has no address that could be elsewhere: ignored",
                )
                .help("take the line away");
            return false;
        }
        self.ha_suspend.is_some()
    }

    fn one_packet(&self, key: &ServiceKey, report: &mut Report) -> bool {
        let Some(span) = self.one_packet else {
            return false;
        };
        if let ServiceKey::Address { protocol, .. } = key
            && *protocol != Protocol::Udp
        {
            report
                .warning(
                    span,
                    format!("`ops` is for UDP, not for {protocol}: ignored"),
                )
                .help("take the line away");
            return false;
        }
        if let Some(persistence) = &self.persistence_timeout {
            report
                .advice(span, "with `ops` no client keeps its real server")
                .related(persistence.span, "this has no effect")
                .help("take one of the two lines away");
        }
        true
    }

    fn default_method(&self, report: &mut Report) -> ForwardingMethod {
        self.method.unwrap_or_else(|| {
            if self.real_servers.iter().any(|s| s.method.is_none()) {
                report
                    .warning(
                        self.identity.span,
                        "this virtual server names no forwarding method",
                    )
                    .label("NAT is used")
                    .help("add `lb_kind NAT`, or another one");
            }
            ForwardingMethod::Nat
        })
    }

    fn real_server(
        &self,
        read: &ReadRealServer,
        key: &ServiceKey,
        group: Option<&ServiceGroup>,
        default_method: ForwardingMethod,
        rest: RestOfFile<'_>,
        report: &mut Report,
    ) -> RealServer {
        let method = read.method.unwrap_or(default_method);
        let port = match group {
            // Each of its services may have another port: that of the file stands for all.
            Some(group) => {
                group::review_port(group, read.port, method, read.span, report);
                read.port.unwrap_or(0)
            }
            None => port_of_real_server(read, key, method, report),
        };
        let address = SocketAddr::new(read.address, port);
        // A check connects to where the file says, even if packets go elsewhere.
        let asked = SocketAddr::new(read.address, read.port.unwrap_or(port));
        let inherited = read.inherited.or(&self.inherited);
        let client_side = ClientSide {
            service: key,
            method,
        };
        RealServer {
            address,
            settings: DestinationSettings {
                method,
                weight: read.weight.unwrap_or(self.weight),
                upper_threshold: read.upper_threshold,
                lower_threshold: read.lower_threshold,
            },
            inhibit_on_failure: read.inhibit_on_failure.unwrap_or(self.inhibit_on_failure),
            smtp_alert: false,
            notify_up: read.notify_up.clone(),
            notify_down: read.notify_down.clone(),
            slow_start: read.slow_start.unwrap_or(self.slow_start),
            passive_check: read.passive_check.or(self.passive_check),
            passive_handshake: read.passive_handshake.or(self.passive_handshake),
            checks: read
                .checks
                .iter()
                .map(|check| check.finish((asked, client_side), &inherited, rest, report))
                .collect(),
        }
    }
}

fn percent(directive: &Directive<'_>) -> Option<u8> {
    directive.number().and_then(|n| u8::try_from(n).ok())
}

/// The port of a real server of a single service.
fn port_of_real_server(
    read: &ReadRealServer,
    key: &ServiceKey,
    method: ForwardingMethod,
    report: &mut Report,
) -> u16 {
    let virtual_port = key.virtual_address().map_or(0, |address| address.port());
    match read.port {
        None => virtual_port,
        Some(port) if method != ForwardingMethod::Nat && port != virtual_port => {
            report
                .warning(
                    read.span,
                    format!(
                        "only NAT translates ports, and the virtual server's is {virtual_port}"
                    ),
                )
                .label(format!("port {virtual_port} is used"))
                .help("write the virtual server's port here, or use `lb_kind NAT`");
            virtual_port
        }
        Some(port) => port,
    }
}

/// The virtual servers that are complete and there once.
///
/// Scripts without a user run as that of `rest`.
pub(super) fn finish(
    servers: Vec<ReadVirtualServer>,
    groups: &[ReadGroup],
    rest: RestOfFile<'_>,
    report: &mut Report,
) -> Vec<VirtualServer> {
    let usual_user = rest.usual_user;
    let mut places: BTreeMap<ServiceKey, Span> = BTreeMap::new();
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut finished = Vec::new();
    for server in servers {
        let finished_server = server.finish(groups, rest, report);
        let Some(Placed { mut value, span }) = finished_server else {
            continue;
        };
        if let Some(group) = &mut value.group {
            let number = numbers.entry(group.name.clone()).or_default();
            group.number = *number;
            *number += 1;
        }
        run_as(&mut value.quorum_up, usual_user);
        run_as(&mut value.quorum_down, usual_user);
        for real in &mut value.real_servers {
            run_as(&mut real.notify_up, usual_user);
            run_as(&mut real.notify_down, usual_user);
        }
        let first = value
            .services()
            .find_map(|key| Some((key, *places.get(&key)?)));
        if let Some((key, first)) = first {
            report
                .error(span, format!("there is a virtual server for {key} already"))
                .keepalived(Verdict::Accepts)
                .related(first, "the first one")
                .help("put the real servers of both into one block");
            continue;
        }
        places.extend(value.services().map(|key| (key, span)));
        finished.push(value);
    }
    finished
}
