//! From statements to the model.

mod address;
mod alerts;
mod check;
mod director;
mod election;
mod forwarding;
mod group;
mod groups;
mod pacing;
mod process;
mod quorum;
mod review;
mod routers;
mod routing;
mod script;
mod servers;
mod session;
mod timeouts;
mod tracking;
mod vrrp;

use super::diagnostic::Report;
use super::directive::{Context, Directive, NotActedOn, RulePreferences};
use super::keyword::BlockKind;
use super::model::{
    ClientCertificate, Configuration, ForwardingNamespace, Global, Nftables, Pacing, Probe, Script,
    ScriptUser, Statics, Tracker, VirtualServer, VrrpVersion,
};
use super::reader::Word;
use super::route_names::RouteNames;
use super::source::{Source, Span};
use super::tree::Statement;
use script::ReadFifo;

/// A value with the place that it was read at.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// The model while it is being read, one outermost statement at a time.
#[derive(Default)]
pub(crate) struct Lowering {
    global: Global,
    version: VrrpVersion,
    election: election::Election,
    alerts: alerts::Alerts,
    checker_log_all_failures: bool,
    sync_groups: Vec<vrrp::ReadSyncGroup>,
    instances: Vec<vrrp::ReadInstance>,
    trackers: tracking::ReadTrackers,
    statics: Statics,
    script_user: Option<ScriptUser>,
    notify_priority_changes: bool,
    multicast_groups: groups::MulticastGroups,
    pacing: Pacing,
    notify_fifo: ReadFifo,
    vrrp_notify_fifo: ReadFifo,
    lvs_notify_fifo: ReadFifo,
    director: director::ReadDirector,
    client_certificate: Option<ClientCertificate>,
    default_interface: Option<String>,
    vmac_prefix: Option<Placed<String>>,
    random_seed: Option<u32>,
    static_groups: Vec<routers::StaticGroup>,
    /// Which of these groups tracks what is held whoever is master.
    grouped: Vec<routers::Grouped>,
    groups: Vec<group::ReadGroup>,
    virtual_servers: Vec<servers::ReadVirtualServer>,
    not_acted_on: NotActedOn,
    route_names: RouteNames,
    rule_preferences: RulePreferences,
    /// How many statements had a keyword that the language knows, and how many had none.
    understood: usize,
    not_understood: usize,
}

impl Lowering {
    /// Takes a statement of the outermost level in.
    pub(crate) fn statement(
        &mut self,
        statement: &Statement,
        source: &dyn Source,
        report: &mut Report,
    ) {
        let mut not_acted_on = std::mem::take(&mut self.not_acted_on);
        let mut route_names = std::mem::take(&mut self.route_names);
        let mut rule_preferences = std::mem::take(&mut self.rule_preferences);
        let mut context = Context {
            report,
            not_acted_on: &mut not_acted_on,
            source,
            route_names: &mut route_names,
            rule_preferences: &mut rule_preferences,
        };
        match context.directive(BlockKind::Outermost, statement) {
            Some(directive) => {
                self.understood += 1;
                self.outermost(&mut context, &directive);
            }
            None if super::keyword::find(BlockKind::Outermost, &statement.name().text)
                .is_some() =>
            {
                self.understood += 1;
            }
            None => self.not_understood += 1,
        }
        self.not_acted_on = not_acted_on;
        self.route_names = route_names;
        self.rule_preferences = rule_preferences;
    }

    /// What random numbers begin with from here on, if that has just been said.
    pub(crate) fn new_random_seed(&mut self) -> Option<u32> {
        self.random_seed.take()
    }

    /// The name of the instance, if the file has given it one so far.
    pub(crate) fn instance(&self) -> Option<&str> {
        self.global.instance.as_deref()
    }

    /// The user of scripts that name none, if the file has given one.
    pub(crate) fn script_user(&self) -> Option<&ScriptUser> {
        self.script_user.as_ref()
    }

    fn outermost(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) {
        match directive.keyword.name {
            "global_defs" => self.global(context, directive),
            "vrrp_sync_group" => {
                self.sync_groups
                    .extend(vrrp::sync_group(context, directive, &self.sync_groups));
            }
            "vrrp_instance" => {
                self.instances
                    .extend(vrrp::instance(context, directive, &self.instances));
            }
            "virtual_server_group" => {
                self.groups
                    .extend(group::read(context, directive, &self.groups));
            }
            "virtual_server" => {
                self.virtual_servers
                    .extend(servers::virtual_server(context, directive));
            }
            "static_ipaddress" => {
                for line in directive.statements() {
                    let (line, group) = routers::without_group(context, line, &self.static_groups);
                    let Some(address) = address::static_address(context, &line) else {
                        continue;
                    };
                    let interface = address.interface.as_ref();
                    let grouped = routers::grouped(group, interface, address.restore);
                    self.grouped.extend(grouped);
                    self.statics.addresses.push(address);
                }
            }
            "static_routes" => {
                for line in directive.statements() {
                    let (line, group) = routers::without_group(context, line, &self.static_groups);
                    let Some(route) = routing::kept_route(context, &line) else {
                        continue;
                    };
                    for hop in route.hops.iter().filter(|hop| hop.interface.is_some()) {
                        let interface = hop.interface.as_ref();
                        let grouped = routers::grouped(group.clone(), interface, route.restore);
                        self.grouped.extend(grouped);
                    }
                    self.statics.routes.push(route);
                }
            }
            "static_rules" => {
                for line in directive.statements() {
                    let (line, group) = routers::without_group(context, line, &self.static_groups);
                    let Some(rule) = routing::rule(context, &line) else {
                        continue;
                    };
                    if rule.input.is_some() {
                        let input = rule.input.as_ref();
                        let grouped = routers::grouped(group, input, rule.restore);
                        self.grouped.extend(grouped);
                    }
                    self.statics.rules.push(rule);
                }
            }
            "SSL" => {
                let certificate = director::client_certificate(context, directive);
                self.client_certificate = Some(certificate);
            }
            "instance" => {
                self.global.instance = name_of(directive).map(|name| name.value);
                if self.global.instance.is_none() {
                    without_value(context, directive);
                }
            }
            "net_namespace" => {
                self.global.network_namespace = name_of(directive).map(|name| name.value);
            }
            "net_namespace_ipvs" => {
                self.global.forwarding_namespace = Some(match name_of(directive) {
                    Some(name) => ForwardingNamespace::Named(name.value),
                    None => ForwardingNamespace::OfTheSystem,
                });
            }
            "interface_up_down_delays" => {
                let delays = routers::link_delays(context, directive);
                self.global.routers.link_delays.extend(delays);
            }
            "track_group" => self.static_groups.extend(routers::track_group(
                context,
                directive,
                &self.static_groups,
            )),
            "child_wait_time" => {
                self.global.patience = directive.time().unwrap_or(self.global.patience);
            }
            "garp_group" => {
                let group = pacing::group(context, directive, &self.pacing.groups);
                self.pacing.groups.extend(group);
            }
            _ => self.trackers.take(context, directive),
        }
    }

    fn global(&mut self, context: &mut Context<'_>, block: &Directive<'_>) {
        let global = &mut self.global;
        for directive in context.directives(BlockKind::GlobalDefs, block.statements()) {
            if process::take(global, context, &directive)
                || self.election.take(context, &directive)
                || self.alerts.take(&directive)
                || self.multicast_groups.take(context, &directive)
                || pacing::take(&mut self.pacing, &directive)
                || self.director.take(context, &directive)
                || take_nftables(&mut global.nftables, context, &directive)
            {
                continue;
            }
            let word = directive.word(0).map(|word| word.text.to_string());
            match directive.keyword.name {
                "router_id" => global.router_id = word,
                "notification_email" => global.notification_email = list(&directive),
                "notification_email_from" => {
                    let from = directive.rest(0).iter().map(|word| &*word.text);
                    global.notification_email_from = Some(from.collect::<Vec<_>>().join(" "));
                }
                "smtp_server" => {
                    global.smtp_server = word.map(|host| (host, smtp_port(context, &directive)));
                }
                "smtp_helo_name" => global.smtp_helo_name = word,
                "no_email_faults" => global.no_mail_of_faults = true,
                "script_user" => self.script_user = script::user(directive.rest(0)),
                "enable_script_security" => global.script_security = true,
                "checker_log_all_failures" => {
                    self.checker_log_all_failures = directive.boolean();
                }
                "vrrp_notify_priority_changes" => {
                    self.notify_priority_changes = directive.boolean();
                }
                "notify_fifo" | "notify_fifo_script" => {
                    self.notify_fifo.take(context, &directive);
                }
                "vrrp_notify_fifo" | "vrrp_notify_fifo_script" => {
                    self.vrrp_notify_fifo.take(context, &directive);
                }
                "lvs_notify_fifo" | "lvs_notify_fifo_script" => {
                    self.lvs_notify_fifo.take(context, &directive);
                }
                "smtp_connect_timeout" => global.smtp_connect_timeout = directive.time(),
                "lvs_timeouts" => {
                    global.timeouts = Some(timeouts::timeouts(context, &directive));
                }
                "random_seed" => {
                    self.random_seed = directive.number().and_then(|n| u32::try_from(n).ok());
                }
                "default_interface" => self.default_interface = word,
                "vmac_prefix" => self.vmac_prefix = name_of(&directive),
                "iproute_etc_dir" => {
                    context.route_names.own = word;
                    context.route_names.forget();
                }
                "iproute_usr_dir" => {
                    context.route_names.packaged = word;
                    context.route_names.forget();
                }
                "vmac_addr_prefix" => global.address_mac_prefix = word,
                "log_unknown_vrids" => global.routers.logs_unknown = true,
                "disable_local_igmp" => global.routers.no_local_reports = true,
                "fifo_write_vrrp_states_on_reload" => {
                    global.routers.tells_states_on_reload = true;
                }
                "vrrp_startup_delay" => {
                    global.startup_delay = directive.time().unwrap_or_default();
                }
                "vrrp_delay_after_boot" => {
                    global.delay_after_boot = directive.time().unwrap_or_default();
                }
                "vrrp_version" => {
                    self.version = match directive.number() {
                        Some(3) => VrrpVersion::V3,
                        _ => VrrpVersion::V2,
                    };
                }
                _ => {}
            }
        }
    }

    /// The configuration without what is in error, none where keepalived would not go on
    /// without it either, or would go on with it; and the scripts that nothing tracks.
    pub(crate) fn finish(
        mut self,
        start: Option<Span>,
        report: &mut Report,
    ) -> (Option<Configuration>, Vec<Script>) {
        self.not_acted_on.report(report);
        if self.understood == 0
            && self.not_understood > 0
            && let Some(start) = start
        {
            report
                .error(start, "nothing in this file is understood")
                .help("is it a keepalived.conf at all? One begins with global_defs, vrrp_instance, virtual_server …");
        } else if self.understood == 0
            && let Some(start) = start
        {
            report
                .advice(start, "the configuration is empty")
                .help("nothing will run; has the file been written completely?");
        }
        let rest_of_file = vrrp::RestOfFile {
            version: self.version,
            election: &self.election,
            groups: self.multicast_groups,
            notify_priority_changes: self.notify_priority_changes,
            alerts: self.alerts,
            trackers: &self.trackers,
            vmac_prefix: self.vmac_prefix.as_ref(),
            address_mac_prefix: self.global.address_mac_prefix.as_deref(),
        };
        let mut instances = vrrp::finish_instances(self.instances, &rest_of_file, report);
        review::instances(&instances, report);
        let usual_interface = self
            .default_interface
            .as_deref()
            .unwrap_or(DEFAULT_INTERFACE);
        let (groups, grouped) = (&self.static_groups, &self.grouped);
        routers::track_grouped(&mut instances, groups, grouped, usual_interface, report);
        let delays = &mut self.global.routers.link_delays;
        routers::cut_link_delays(delays, &instances, report);
        let usual_user = self.script_user.as_ref();
        let rest = servers::RestOfFile {
            alerts: self.alerts,
            log_all_failures: self.checker_log_all_failures,
            usual_user,
            trackers: &self.trackers,
            forwards_elsewhere: self.global.forwarding_namespace.is_some(),
        };
        let virtual_servers = servers::finish(self.virtual_servers, &self.groups, rest, report);
        let mut sync_groups = vrrp::finish_sync_groups(
            self.sync_groups,
            &mut instances,
            self.alerts,
            &self.trackers,
            report,
        );
        let (trackers, untracked) = self.trackers.finish(usual_user, |tracker| {
            instances
                .iter()
                .flat_map(|instance| &instance.value.tracked)
                .any(|tracked| tracked.tracker == *tracker)
                || is_checked(&virtual_servers, tracker)
        });
        let of_groups = sync_groups.iter_mut().map(|group| &mut group.notify);
        let of_instances = instances.iter_mut().map(|read| &mut read.value.notify);
        for notify in of_groups.chain(of_instances) {
            notify.run_as(usual_user);
        }
        let is_nothing = self.understood == 0 && report.has_errors();
        if is_nothing || !report.keepalived_leaves_errors_out() {
            return (None, untracked);
        }
        for address in &mut self.statics.addresses {
            address
                .interface
                .get_or_insert_with(|| usual_interface.to_owned());
        }
        let global = Global {
            notify_fifo: self.notify_fifo.finish(usual_user),
            vrrp_notify_fifo: self.vrrp_notify_fifo.finish(usual_user),
            lvs_notify_fifo: self.lvs_notify_fifo.finish(usual_user),
            ..self.global
        };
        let configuration = Configuration {
            global: self.director.finish(global, usual_user),
            sync_groups,
            instances: instances.into_iter().map(|read| read.value).collect(),
            statics: self.statics,
            trackers,
            pacing: self.pacing,
            client_certificate: self.client_certificate,
            virtual_servers,
        };
        (Some(configuration), untracked)
    }
}

/// Where static addresses without an interface go, unless `default_interface` says otherwise.
const DEFAULT_INTERFACE: &str = "eth0";

/// Says that a keyword means nothing without what it takes.
fn without_value(context: &mut Context<'_>, directive: &Directive<'_>) {
    let name = directive.name();
    context
        .report
        .warning(name.span, format!("`{}` has no value: ignored", name.text))
        .help("write one behind it, or take the line away");
}

/// Whether a `FILE_CHECK` follows it.
fn is_checked(virtual_servers: &[VirtualServer], tracker: &Tracker) -> bool {
    let Tracker::File(name) = tracker else {
        return false;
    };
    virtual_servers
        .iter()
        .flat_map(|server| &server.real_servers)
        .flat_map(|real| &real.checks)
        .any(|check| matches!(&check.probe, Probe::File(probe) if probe.file == *name))
}

/// Whether the directive is about how rules of netfilter are made, and is taken in.
fn take_nftables(
    nftables: &mut Nftables,
    context: &mut Context<'_>,
    directive: &Directive<'_>,
) -> bool {
    match directive.keyword.name {
        "nftables" => match directive.word(0) {
            Some(name) if is_table(&name.text) => nftables.table = name.text.to_string(),
            Some(name) => {
                context
                    .report
                    .error(name.span, format!("`{}` is no name of a table", name.text))
                    .help("nft has letters, digits, `_`, `-` and `.` in names, and a letter first");
            }
            None => {}
        },
        "nftables_priority" => {
            let priority = directive.number().and_then(|n| i32::try_from(n).ok());
            nftables.priority = priority.unwrap_or(nftables.priority);
        }
        "nftables_counters" => nftables.counters = true,
        _ => return false,
    }
    true
}

/// Whether nft(8) takes it for the name of a table.
fn is_table(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// The name behind the keyword of a block.
fn name_of(block: &Directive<'_>) -> Option<Placed<String>> {
    block.word(0).map(|word| Placed {
        value: word.text.to_string(),
        span: word.span,
    })
}

/// The words of a block without keywords, however they are spread over lines.
fn list_words<'t>(directive: &Directive<'t>) -> impl Iterator<Item = &'t Word> {
    directive
        .statements()
        .iter()
        .flat_map(|statement| statement.words.iter())
}

fn list(directive: &Directive<'_>) -> Vec<String> {
    list_words(directive)
        .map(|word| word.text.to_string())
        .collect()
}

/// The port of `smtp_server`; 25 unless there is one.
fn smtp_port(context: &mut Context<'_>, directive: &Directive<'_>) -> u16 {
    const SMTP: u16 = 25;
    match directive.word(1) {
        None => SMTP,
        Some(word) => match word.text.parse() {
            Ok(port) if port != 0 => port,
            _ => {
                context
                    .report
                    .warning(word.span, format!("`{}` is no port", word.text))
                    .label(format!("port {SMTP} is used"));
                SMTP
            }
        },
    }
}
