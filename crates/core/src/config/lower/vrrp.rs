//! VRRP instances and sync groups.

use std::net::IpAddr;
use std::time::Duration;

use super::election::Election;
use super::tracking::{ReadScript, ReadTracked, finish_tracked, tracked_interface, tracked_script};
use super::{Placed, address, list_words, name_of, review};
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{
    Authentication, InitialState, NotifyScripts, SyncGroup, Tracked, UnicastPeer, VirtualAddress,
    VrrpInstance, VrrpVersion,
};
use crate::config::reader::Word;
use crate::config::source::Span;
use crate::config::tree::Statement;

/// RFC 3768 section 5.3.4: the default priority of a backup.
const DEFAULT_PRIORITY: u8 = 100;
/// RFC 3768 section 5.3.4: the priority of the owner of the addresses.
const OWNER: u8 = 255;
/// RFC 2338 section 5.3.6: the authentication data field is eight octets.
const PASSWORD_LENGTH: usize = 8;
/// The Count IP Addrs field is one octet.
const MOST_ADDRESSES: usize = 255;

/// A sync group with the places of its members.
pub(super) struct ReadSyncGroup {
    name: Placed<String>,
    members: Vec<Placed<String>>,
    tracked: Vec<Placed<ReadTracked>>,
    notify: NotifyScripts,
    notify_priority_changes: Option<bool>,
}

/// An instance as the file has it.
pub(super) struct ReadInstance {
    name: Placed<String>,
    initial_state: Option<InitialState>,
    interface: Option<Placed<String>>,
    virtual_router_id: Option<Placed<u8>>,
    priority: Option<Placed<u8>>,
    advertisement_interval: Placed<Duration>,
    version: Option<Placed<VrrpVersion>>,
    authentication: ReadAuthentication,
    virtual_addresses: Vec<Placed<VirtualAddress>>,
    excluded_addresses: Vec<Placed<VirtualAddress>>,
    nopreempt: Option<Span>,
    preempt_delay: Option<Placed<Duration>>,
    source: Option<Placed<IpAddr>>,
    unicast_peers: Vec<Placed<UnicastPeer>>,
    dont_track_primary: bool,
    tracked: Vec<Placed<ReadTracked>>,
    election: Election,
    smtp_alert: bool,
    notify: NotifyScripts,
    notify_priority_changes: Option<bool>,
    /// Whether an argument could not be read: what is missing then was meant to be there.
    broken: bool,
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

/// A `vrrp_sync_group`.
pub(super) fn sync_group(
    context: &mut Context<'_>,
    block: &Directive<'_>,
    others: &[ReadSyncGroup],
) -> Option<ReadSyncGroup> {
    let name = name_of(block)?;
    let (mut members, mut tracked) = (Vec::new(), Vec::new());
    let (mut notify, mut notify_priority_changes) = (NotifyScripts::default(), None);
    for directive in context.directives(BlockKind::SyncGroup, block.statements()) {
        if notify.take(context, &directive) {
            continue;
        }
        match directive.keyword.name {
            "group" => members.extend(list_words(&directive).map(|word: &Word| Placed {
                value: word.text.to_string(),
                span: word.span,
            })),
            "track_interface" => tracked.extend(listed(context, &directive, tracked_interface)),
            "track_script" => tracked.extend(listed(context, &directive, tracked_script)),
            "notify_priority_changes" => notify_priority_changes = Some(directive.boolean()),
            _ => {}
        }
    }
    let taken = others.iter().map(|group| group.name.clone());
    (!is_taken(context, "sync group", &name, taken)).then_some(ReadSyncGroup {
        name,
        members,
        tracked,
        notify,
        notify_priority_changes,
    })
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
        virtual_router_id: None,
        priority: None,
        version: None,
        authentication: ReadAuthentication::default(),
        virtual_addresses: Vec::new(),
        excluded_addresses: Vec::new(),
        nopreempt: None,
        preempt_delay: None,
        source: None,
        unicast_peers: Vec::new(),
        dont_track_primary: false,
        tracked: Vec::new(),
        election: Election::default(),
        smtp_alert: false,
        notify: NotifyScripts::default(),
        notify_priority_changes: None,
        broken: false,
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
        if self.election.take(directive) || self.notify.take(context, directive) {
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
            "virtual_ipaddress" => {
                self.virtual_addresses
                    .extend(listed(context, directive, address::virtual_address));
            }
            "virtual_ipaddress_excluded" => {
                self.excluded_addresses.extend(listed(
                    context,
                    directive,
                    address::virtual_address,
                ));
            }
            "unicast_peer" => {
                self.unicast_peers
                    .extend(listed(context, directive, address::unicast_peer));
            }
            "unicast_src_ip" | "mcast_src_ip" => {
                self.source = directive.address().map(|source| placed(directive, source));
            }
            "preempt_delay" => {
                self.preempt_delay = directive.time().map(|delay| placed(directive, delay));
            }
            "track_interface" => {
                self.tracked
                    .extend(listed(context, directive, tracked_interface));
            }
            "track_script" => self
                .tracked
                .extend(listed(context, directive, tracked_script)),
            "dont_track_primary" => self.dont_track_primary = true,
            "nopreempt" => self.nopreempt = Some(directive.name().span),
            "preempt" => self.nopreempt = None,
            "smtp_alert" => self.smtp_alert = directive.boolean(),
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

    /// The family of the addresses; IPv4 without any.
    fn is_ipv6(&self) -> bool {
        self.virtual_addresses
            .first()
            .is_some_and(|address| address.value.address.is_ipv6())
    }

    fn finish(
        mut self,
        default_version: VrrpVersion,
        global: &Election,
        notify_priority_changes: bool,
        scripts: &[ReadScript],
        report: &mut Report,
    ) -> Option<VrrpInstance> {
        let name = self.name.value.clone();
        let ipv6 = self.is_ipv6();
        let version = match &self.version {
            Some(version) if ipv6 && version.value == VrrpVersion::V2 => {
                report
                    .warning(
                        version.span,
                        format!("({name}) VRRP version 2 has no IPv6 addresses"),
                    )
                    .label("version 3 is used");
                VrrpVersion::V3
            }
            Some(version) => version.value,
            None if ipv6 => VrrpVersion::V3,
            None => default_version,
        };
        let missing = |what: &str| format!("({name}) this instance has no {what}");
        if self.interface.is_none() && !self.broken {
            report
                .error(self.name.span, missing("interface"))
                .help("add `interface NAME`: the interface on which its advertisements are sent");
        }
        if self.virtual_router_id.is_none() && !self.broken {
            report
                .error(self.name.span, missing("virtual_router_id"))
                .help("add `virtual_router_id N`, 1 to 255, the same on all directors of this instance and on no other");
        }
        let preempt = self.preempt(&name, report);
        let authentication = self.finish_authentication(&name, version, report);
        let virtual_addresses = self.finish_addresses(&name, version, report);
        let excluded_addresses = self.finish_excluded(&name, &virtual_addresses, report);
        let advertisement_interval = self.finish_interval(&name, version, report);
        let preempt_delay = self.finish_preempt_delay(&name, report);
        let source = self.finish_source(&name, report);
        let unicast_peers = self.finish_peers(&name, report);
        let tracked = finish_tracked(&name, std::mem::take(&mut self.tracked), scripts, report);
        let election = self.election.or(global);
        let bounded = |peer: &UnicastPeer| (peer.least_hop_limit, peer.most_hop_limit) != (0, 255);
        let priority = match (&self.priority, self.initial_state) {
            (Some(priority), _) => priority.value,
            // keepalived takes an instance that is to begin as master, without a
            // priority, for the owner of the addresses.
            (None, Some(InitialState::Master)) => OWNER,
            (None, _) => DEFAULT_PRIORITY,
        };
        let initial_state = self.initial_state.unwrap_or(if priority == OWNER {
            InitialState::Master
        } else {
            InitialState::Backup
        });
        Some(VrrpInstance {
            name,
            initial_state,
            interface: self.interface?.value,
            virtual_router_id: self.virtual_router_id?.value,
            priority,
            advertisement_interval,
            version,
            authentication,
            virtual_addresses,
            preempt,
            preempt_delay,
            excluded_addresses,
            source,
            check_unicast_source: election.check_unicast_source()
                || unicast_peers.iter().any(bounded),
            unicast_peers,
            announcements: election.announcements(),
            down_timer_advertisements: election.down_timer_advertisements(),
            answer_lower_priority: election.answer_lower_priority(),
            advertise_before_yielding: election.advertise_before_yielding(),
            trust_known_master: election.trust_known_master(),
            track_primary: !self.dont_track_primary,
            tracked,
            smtp_alert: self.smtp_alert,
            notify: self.notify,
            notify_priority_changes: self
                .notify_priority_changes
                .unwrap_or(notify_priority_changes),
        })
    }

    fn preempt(&self, name: &str, report: &mut Report) -> bool {
        let Some(nopreempt) = self.nopreempt else {
            return true;
        };
        let reason = if self.initial_state == Some(InitialState::Master) {
            "`state MASTER`"
        } else if self.priority.as_ref().is_some_and(|p| p.value == OWNER) {
            "priority 255"
        } else {
            return false;
        };
        report
            .warning(
                nopreempt,
                format!("({name}) nopreempt does not go with {reason}: ignored"),
            )
            .help("write `state BACKUP` on all directors to have no preemption");
        true
    }

    /// keepalived takes no delay from an instance that is to begin as master.
    fn finish_preempt_delay(&self, name: &str, report: &mut Report) -> Duration {
        let Some(delay) = &self.preempt_delay else {
            return Duration::ZERO;
        };
        if self.initial_state == Some(InitialState::Master) {
            report
                .warning(
                    delay.span,
                    format!("({name}) preempt_delay does not go with `state MASTER`: ignored"),
                )
                .help("write `state BACKUP`; the priority decides all the same");
            return Duration::ZERO;
        }
        delay.value
    }

    fn finish_source(&self, name: &str, report: &mut Report) -> Option<IpAddr> {
        let source = self.source.as_ref()?;
        if source.value.is_ipv6() == self.is_ipv6() {
            return Some(source.value);
        }
        report
            .error(
                source.span,
                format!(
                    "({name}) {} is not of the family of the virtual addresses",
                    source.value
                ),
            )
            .help("advertisements are sent in the family of the first virtual address");
        None
    }

    fn finish_peers(&self, name: &str, report: &mut Report) -> Vec<UnicastPeer> {
        let mut peers: Vec<UnicastPeer> = Vec::new();
        for peer in &self.unicast_peers {
            let address = peer.value.address;
            if address.is_ipv6() != self.is_ipv6() {
                report
                    .error(
                        peer.span,
                        format!("({name}) {address} is not of the family of the virtual addresses"),
                    )
                    .help("advertisements are sent in the family of the first virtual address");
            } else if peers.iter().any(|other| other.address == address) {
                report
                    .advice(
                        peer.span,
                        format!("({name}) {address} is a peer already: ignored"),
                    )
                    .help("take one of the two lines away");
            } else {
                peers.push(peer.value.clone());
            }
        }
        peers
    }

    fn finish_excluded(
        &self,
        name: &str,
        advertised: &[VirtualAddress],
        report: &mut Report,
    ) -> Vec<VirtualAddress> {
        let mut excluded: Vec<VirtualAddress> = Vec::new();
        for address in &self.excluded_addresses {
            let same = |other: &VirtualAddress| {
                other.address == address.value.address && other.interface == address.value.interface
            };
            if advertised.iter().chain(&excluded).any(same) {
                report
                    .advice(
                        address.span,
                        format!(
                            "({name}) {} is there already: ignored",
                            address.value.address
                        ),
                    )
                    .help("take one of the two lines away");
            } else {
                excluded.push(address.value.clone());
            }
        }
        excluded
    }

    fn finish_authentication(
        &self,
        name: &str,
        version: VrrpVersion,
        report: &mut Report,
    ) -> Option<Authentication> {
        let ReadAuthentication { kind, password } = &self.authentication;
        let Some(kind) = kind else {
            if let Some(password) = password {
                report
                    .advice(
                        password.span,
                        format!("({name}) without `auth_type PASS` the password is not used"),
                    )
                    .help("add `auth_type PASS` if the other directors have it");
            }
            return None;
        };
        if version == VrrpVersion::V3 {
            report
                .warning(
                    kind.span,
                    format!("({name}) VRRP version 3 has no authentication: ignored"),
                )
                .help("RFC 5798 section 9 took it away; take the authentication block away too");
            return None;
        }
        let Some(password) = password.as_ref().filter(|p| p.value[0] != 0) else {
            report
                .warning(
                    kind.span,
                    format!("({name}) there is no password: authentication is ignored"),
                )
                .help("add `auth_pass PASSWORD`");
            return None;
        };
        if kind.value == "AH" {
            report
                .error(
                    kind.span,
                    format!("({name}) authentication by IPsec AH is not supported yet"),
                )
                .help("use `auth_type PASS` on all directors; without it each would take the others for strangers, and all would be master");
            return None;
        }
        Some(Authentication::Password(password.value))
    }

    fn finish_addresses(
        &self,
        name: &str,
        version: VrrpVersion,
        report: &mut Report,
    ) -> Vec<VirtualAddress> {
        let mut addresses: Vec<VirtualAddress> = Vec::new();
        let ipv6 = self.is_ipv6();
        for placed in &self.virtual_addresses {
            let address = placed.value.address;
            if address.is_ipv6() != ipv6 {
                report
                    .warning(
                        placed.span,
                        format!("({name}) {address} is not of the family of the first address: ignored"),
                    )
                    .help("one instance has addresses of one family; make another instance for it, or write it into virtual_ipaddress_excluded");
            } else if addresses.iter().any(|a| a.address == address) {
                report
                    .advice(
                        placed.span,
                        format!("({name}) {address} is there already: ignored"),
                    )
                    .help("take one of the two lines away");
            } else if addresses.len() == MOST_ADDRESSES {
                report.error(
                    placed.span,
                    format!("({name}) an advertisement has no room for more than {MOST_ADDRESSES} addresses"),
                );
                break;
            } else {
                addresses.push(placed.value.clone());
            }
        }
        if addresses.is_empty() && !self.broken {
            let message = format!("({name}) this instance has no virtual address");
            let finding = if version == VrrpVersion::V3 {
                report.error(self.name.span, message)
            } else {
                report.warning(self.name.span, message)
            };
            finding.help("add a virtual_ipaddress block");
        }
        addresses
    }

    /// RFC 3768 section 5.3.7: version 2 counts whole seconds, 1 to 255.
    /// RFC 9568 section 5.2.7: version 3 counts centiseconds, in 12 bits.
    fn finish_interval(&self, name: &str, version: VrrpVersion, report: &mut Report) -> Duration {
        let Placed { value, span } = self.advertisement_interval;
        let (unit, most) = match version {
            VrrpVersion::V2 => (Duration::from_secs(1), Duration::from_secs(255)),
            VrrpVersion::V3 => (Duration::from_millis(10), Duration::from_millis(40_950)),
        };
        let units = (value.as_micros() + unit.as_micros() / 2) / unit.as_micros();
        let rounded = unit
            .saturating_mul(u32::try_from(units).unwrap_or(u32::MAX).max(1))
            .min(most);
        if rounded != value {
            report
                .warning(
                    span,
                    format!(
                        "({name}) this version of VRRP cannot say an interval of {} s",
                        value.as_secs_f64()
                    ),
                )
                .label(format!("{} s is used", rounded.as_secs_f64()))
                .help(match version {
                    VrrpVersion::V2 => "version 2 counts whole seconds from 1 to 255; `version 3` counts hundredths",
                    VrrpVersion::V3 => "version 3 counts hundredths of a second up to 40.95",
                });
        }
        rounded
    }
}

/// The instances with everything that they inherit, and the place of each.
pub(super) fn finish_instances(
    instances: Vec<ReadInstance>,
    default_version: VrrpVersion,
    global: &Election,
    notify_priority_changes: bool,
    scripts: &[ReadScript],
    report: &mut Report,
) -> Vec<Placed<VrrpInstance>> {
    let mut routers: Vec<(Placed<u8>, String, bool, String)> = Vec::new();
    for instance in &instances {
        let (Some(id), Some(interface)) = (&instance.virtual_router_id, &instance.interface) else {
            continue;
        };
        let ipv6 = instance.is_ipv6();
        let same = routers.iter().find(|(other, on, family, _)| {
            other.value == id.value && *on == interface.value && *family == ipv6
        });
        if let Some((other, _, _, name)) = same {
            report
                .error(
                    id.span,
                    format!(
                        "({}) virtual_router_id {} is taken on {} by {name}",
                        instance.name.value, id.value, interface.value
                    ),
                )
                .related(other.span, "taken here")
                .help("each instance on an interface needs an id of its own");
        }
        routers.push((
            id.clone(),
            interface.value.clone(),
            ipv6,
            instance.name.value.clone(),
        ));
    }
    instances
        .into_iter()
        .filter_map(|instance| {
            let span = instance.name.span;
            let password = instance.authentication.password.as_ref().map(|p| p.span);
            let value = instance.finish(
                default_version,
                global,
                notify_priority_changes,
                scripts,
                report,
            )?;
            review::instance(&value, password.unwrap_or(span), report);
            Some(Placed { value, span })
        })
        .collect()
}

/// The sync groups, with only those members that exist and are in no other group.
pub(super) fn finish_sync_groups(
    groups: Vec<ReadSyncGroup>,
    instances: &mut [Placed<VrrpInstance>],
    scripts: &[ReadScript],
    report: &mut Report,
) -> Vec<SyncGroup> {
    let mut taken: Vec<Placed<String>> = Vec::new();
    let mut finished = Vec::new();
    for group in groups {
        let name = group.name.value;
        let mut members = Vec::new();
        for member in group.members {
            let exists = instances.iter().any(|i| i.value.name == member.value);
            if let Some(first) = taken.iter().find(|other| other.value == member.value) {
                report
                    .warning(
                        member.span,
                        format!(
                            "({name}) {} is in a sync group already: ignored",
                            member.value
                        ),
                    )
                    .related(first.span, "it is a member here")
                    .help("an instance can be in one sync group only");
            } else if exists {
                members.push(member.value.clone());
                taken.push(member);
            } else if !report.has_errors() {
                report
                    .warning(
                        member.span,
                        format!(
                            "({name}) there is no VRRP instance `{}`: ignored",
                            member.value
                        ),
                    )
                    .help("compare the names of the vrrp_instance blocks");
            }
        }
        if members.len() < 2 {
            report
                .warning(
                    group.name.span,
                    format!(
                        "({name}) a sync group of {} does nothing",
                        match members.len() {
                            0 => "no instance",
                            _ => "one instance",
                        }
                    ),
                )
                .help("name at least two instances in its `group` block");
        }
        let tracked = finish_tracked(&name, group.tracked, scripts, report);
        for instance in instances.iter_mut() {
            if members.contains(&instance.value.name) {
                track_in_group(instance, &tracked, report);
                instance.value.notify_priority_changes |=
                    group.notify_priority_changes.unwrap_or(false);
            }
        }
        if !members.is_empty() {
            finished.push(SyncGroup {
                name,
                members,
                notify: group.notify,
            });
        }
    }
    finished
}

/// The members of a group track what it tracks. As in keepalived, nothing has a weight in
/// a group: it would turn the members' priorities against each other.
fn track_in_group(instance: &mut Placed<VrrpInstance>, tracked: &[Tracked], report: &mut Report) {
    let own = &mut instance.value.tracked;
    own.extend(tracked.iter().cloned());
    let before = own.len();
    own.retain(|tracked| tracked.weight == 0);
    if own.len() < before {
        report
            .warning(
                instance.span,
                format!(
                    "({}) what has a weight is not tracked in a sync group: ignored",
                    instance.value.name
                ),
            )
            .help("write weight 0, by which a failure takes the whole group to FAULT");
    }
}
