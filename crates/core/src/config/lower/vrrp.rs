//! VRRP instances and sync groups.

mod address_macs;
mod finish;
mod hmac;
mod own_device;
mod strict;
mod sync_group;

use std::net::IpAddr;
use std::time::Duration;

pub(super) use self::finish::{RestOfFile, finish_instances};
use self::own_device::ReadDevice;
pub(super) use self::sync_group::{ReadSyncGroup, finish_sync_groups, sync_group};
use super::election::Election;
use super::tracking::{ReadTracked, take_tracked};
use super::{Placed, address, name_of, routing};
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{
    InitialState, NotifyScripts, Route, Rule, UnicastChecksum, UnicastPeer, VirtualAddress,
    VrrpVersion,
};
use crate::config::source::Span;
use crate::config::tree::Statement;

/// RFC 2338 section 5.3.6: the authentication data field is eight octets.
const PASSWORD_LENGTH: usize = 8;

/// The highest priority of a router that does not own the addresses.
const HIGHEST_OF_OTHERS: u8 = 254;

/// Keywords by which an instance is to speak with peers.
const UNICAST: [&str; 6] = [
    "unicast_src_ip",
    "unicast_peer",
    "unicast_ttl",
    "unicast_fault_no_peer",
    "check_unicast_src",
    "old_unicast_checksum",
];

/// An instance as the file has it.
pub(super) struct ReadInstance {
    name: Placed<String>,
    initial_state: Option<InitialState>,
    interface: Option<Placed<String>>,
    own_device: Option<ReadDevice>,
    transmit_on_base: bool,
    virtual_router_id: Option<Placed<u8>>,
    priority: Option<Placed<u8>>,
    advertisement_interval: Placed<Duration>,
    version: Option<Placed<VrrpVersion>>,
    authentication: ReadAuthentication,
    trailer: Option<Placed<hmac::ReadTrailer>>,
    virtual_addresses: Vec<Placed<VirtualAddress>>,
    excluded_addresses: Vec<Placed<VirtualAddress>>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
    nopreempt: Option<Span>,
    preempt_delay: Option<Placed<Duration>>,
    source: Option<Placed<IpAddr>>,
    unicast_peers: Vec<Placed<UnicastPeer>>,
    multicast_group: Option<Placed<IpAddr>>,
    unicast_hop_limit: Option<u8>,
    /// The first keyword that speaks of peers.
    unicast: Option<Span>,
    fault_without_peer: bool,
    /// `owner_ignore_adverts`.
    deaf: Option<Span>,
    unicast_checksum: UnicastChecksum,
    yields_when_late: Option<Placed<u8>>,
    /// `use_vmac_addr`.
    virtual_macs_elsewhere: bool,
    /// The places of addresses whose line says `use_vmac`.
    on_virtual_macs: Vec<Span>,
    track_source: bool,
    /// `accept` or `no_accept`.
    accept: Option<Placed<bool>>,
    promote_secondaries: bool,
    dont_track_primary: bool,
    tracked: Vec<Placed<ReadTracked>>,
    election: Election,
    smtp_alert: Option<bool>,
    notify: NotifyScripts,
    notify_priority_changes: Option<bool>,
    /// Whether an argument could not be read: what is missing then was meant to be there.
    broken: bool,
    /// `no_virtual_ipaddress`.
    may_be_empty: bool,
}

#[derive(Default)]
struct ReadAuthentication {
    kind: Option<Placed<&'static str>>,
    password: Option<Placed<[u8; PASSWORD_LENGTH]>>,
}

fn placed<T>(directive: &Directive<'_>, value: T) -> Placed<T> {
    Placed {
        value,
        span: directive.argument_span(0),
    }
}

/// Says that a name is taken. Whether it is, is the answer.
fn is_taken(
    context: &mut Context<'_>,
    what: &str,
    name: &Placed<String>,
    taken: impl Iterator<Item = Placed<String>>,
) -> bool {
    let mut taken = taken;
    let Some(first) = taken.find(|other| other.value == name.value) else {
        return false;
    };
    context
        .report
        .error(
            name.span,
            format!("there is a {what} `{}` already", name.value),
        )
        .related(first.span, "the first one")
        .help("give one of the two another name, or take it away");
    true
}

/// What the lines of a block say, each with its place.
fn listed<T>(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    read: impl Fn(&mut Context<'_>, &Statement) -> Option<T>,
) -> Vec<Placed<T>> {
    let mut found = Vec::new();
    for statement in block.statements() {
        if let Some(value) = read(context, statement) {
            let span = statement.name().span;
            found.push(Placed { value, span });
        }
    }
    found
}

/// The places of lines that say `use_vmac`.
fn with_virtual_mac(block: &Directive<'_>) -> Vec<Span> {
    let says = |line: &&Statement| {
        line.words
            .iter()
            .skip(1)
            .any(|word| &*word.text == "use_vmac")
    };
    let lines = block.statements().iter().filter(says);
    lines.map(|line| line.name().span).collect()
}

/// A `vrrp_instance`.
pub(super) fn instance(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[ReadInstance],
) -> Option<ReadInstance> {
    let name = name_of(block)?;
    let errors_before = context.report.errors();
    let mut instance = ReadInstance {
        advertisement_interval: Placed {
            value: Duration::from_secs(1),
            span: name.span,
        },
        name,
        initial_state: None,
        interface: None,
        own_device: None,
        transmit_on_base: false,
        virtual_router_id: None,
        priority: None,
        version: None,
        authentication: ReadAuthentication::default(),
        trailer: None,
        virtual_addresses: Vec::new(),
        excluded_addresses: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        nopreempt: None,
        preempt_delay: None,
        source: None,
        unicast_peers: Vec::new(),
        multicast_group: None,
        unicast_hop_limit: None,
        unicast: None,
        fault_without_peer: false,
        deaf: None,
        unicast_checksum: UnicastChecksum::Learnt,
        yields_when_late: None,
        virtual_macs_elsewhere: false,
        on_virtual_macs: Vec::new(),
        track_source: false,
        accept: None,
        promote_secondaries: false,
        dont_track_primary: false,
        tracked: Vec::new(),
        election: Election::default(),
        smtp_alert: None,
        notify: NotifyScripts::default(),
        notify_priority_changes: None,
        broken: false,
        may_be_empty: false,
    };
    for directive in context.directives(BlockKind::Instance, block.statements()) {
        instance.take(context, &directive);
    }
    instance.broken = context.report.errors() > errors_before;
    let taken = others.iter().map(|instance| instance.name.clone());
    (!is_taken(context, "VRRP instance", &instance.name, taken)).then_some(instance)
}

impl ReadInstance {
    fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) {
        if directive.keyword.name == "owner_ignore_adverts" {
            self.deaf = Some(directive.name().span);
        }
        if UNICAST.contains(&directive.keyword.name) {
            self.unicast.get_or_insert(directive.name().span);
        }
        if self.election.take(context, directive)
            || self.notify.take(context, directive)
            || take_tracked(&mut self.tracked, context, directive)
        {
            return;
        }
        let octet = || directive.number().and_then(|n| u8::try_from(n).ok());
        match directive.keyword.name {
            "state" => {
                self.initial_state = directive.choice().map(|state| match state {
                    "MASTER" => InitialState::Master,
                    _ => InitialState::Backup,
                });
            }
            "interface" => {
                self.interface = directive
                    .word(0)
                    .map(|word| placed(directive, word.text.to_string()));
            }
            "virtual_router_id" => {
                self.virtual_router_id = octet().map(|id| placed(directive, id));
            }
            "use_vmac" | "use_ipvlan" => self.take_device(context, directive),
            "no_virtual_ipaddress" => self.may_be_empty = true,
            "vmac_xmit_base" => self.transmit_on_base = true,
            "priority" => self.priority = octet().map(|priority| placed(directive, priority)),
            "advert_int" => {
                if let Some(interval) = directive.time() {
                    self.advertisement_interval = placed(directive, interval);
                }
            }
            "version" => {
                let version = match directive.number() {
                    Some(3) => VrrpVersion::V3,
                    _ => VrrpVersion::V2,
                };
                self.version = Some(placed(directive, version));
            }
            "authentication" => self.authentication(context, directive),
            "auth_hmac" => {
                let read = hmac::read(context, directive);
                let span = directive.name().span;
                self.trailer.get_or_insert(Placed { value: read, span });
            }
            "virtual_ipaddress" => {
                self.on_virtual_macs.extend(with_virtual_mac(directive));
                self.virtual_addresses
                    .extend(listed(context, directive, address::virtual_address));
            }
            "virtual_ipaddress_excluded" => {
                self.on_virtual_macs.extend(with_virtual_mac(directive));
                self.excluded_addresses.extend(listed(
                    context,
                    directive,
                    address::virtual_address,
                ));
            }
            "virtual_routes" => {
                let lines = directive.statements().iter();
                self.routes
                    .extend(lines.filter_map(|line| routing::kept_route(context, line)));
            }
            "virtual_rules" => {
                let lines = directive.statements().iter();
                self.rules
                    .extend(lines.filter_map(|line| routing::rule(context, line)));
            }
            "unicast_peer" => {
                self.unicast_peers
                    .extend(listed(context, directive, address::unicast_peer));
            }
            "unicast_src_ip" | "mcast_src_ip" => {
                self.source = directive.address().map(|source| placed(directive, source));
            }
            "mcast_dst_ip" => {
                self.multicast_group = directive.address().map(|group| placed(directive, group));
            }
            "unicast_ttl" => self.unicast_hop_limit = octet(),
            "unicast_fault_no_peer" => self.fault_without_peer = true,
            "old_unicast_checksum" => {
                self.unicast_checksum = match directive.choice() {
                    Some(_) => UnicastChecksum::OfPacket,
                    None => UnicastChecksum::OfGroup,
                };
            }
            "timer_expired_backup" | "thread_timer_expired" => {
                let priority = octet().unwrap_or(HIGHEST_OF_OTHERS);
                self.yields_when_late = Some(placed(directive, priority));
            }
            "vrf" => {
                context
                    .report
                    .warning(
                        directive.name().span,
                        format!("({}) vrf does not go with interface: ignored", self.name.value),
                    )
                    .help("take it away: an instance speaks on its interface, in whichever VRF that is");
            }
            "use_vmac_addr" => self.virtual_macs_elsewhere = true,
            "track_src_ip" => self.track_source = true,
            "accept" | "no_accept" => {
                self.accept = Some(Placed {
                    value: directive.keyword.name == "accept",
                    span: directive.name().span,
                });
            }
            "promote_secondaries" => self.promote_secondaries = true,
            "preempt_delay" => {
                self.preempt_delay = directive.time().map(|delay| placed(directive, delay));
            }
            "dont_track_primary" => self.dont_track_primary = true,
            "nopreempt" => self.nopreempt = Some(directive.name().span),
            "preempt" => self.nopreempt = None,
            "smtp_alert" => self.smtp_alert = Some(directive.boolean()),
            "notify_priority_changes" => {
                self.notify_priority_changes = Some(directive.boolean());
            }
            _ => {}
        }
    }

    fn authentication(&mut self, context: &mut Context<'_>, block: &Directive<'_>) {
        for directive in context.directives(BlockKind::Authentication, block.statements()) {
            match directive.keyword.name {
                "auth_type" => {
                    self.authentication.kind =
                        directive.choice().map(|kind| placed(&directive, kind));
                }
                "auth_pass" => {
                    let Some(word) = directive.word(0) else {
                        continue;
                    };
                    let given = word.text.as_bytes();
                    if given.len() > PASSWORD_LENGTH {
                        context
                            .report
                            .warning(
                                word.span,
                                format!(
                                    "the password has {} characters, and VRRP takes {PASSWORD_LENGTH}",
                                    given.len()
                                ),
                            )
                            .label(format!("only the first {PASSWORD_LENGTH} count"))
                            .help("cut it, so that nobody believes it to be longer than it is");
                    }
                    let mut password = [0; PASSWORD_LENGTH];
                    for (octet, given) in password.iter_mut().zip(given) {
                        *octet = *given;
                    }
                    self.authentication.password = Some(placed(&directive, password));
                }
                _ => {}
            }
        }
    }
}
