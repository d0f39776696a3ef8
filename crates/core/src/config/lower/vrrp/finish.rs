//! What an instance comes to: what it inherits, and whether its parts go together.

use std::net::IpAddr;

use super::super::groups::MulticastGroups;
use std::time::Duration;

use super::super::alerts::Alerts;
use super::super::election::Election;
use super::super::tracking::{ReadTrackers, finish_tracked};
use super::super::{Placed, review};
use super::address_macs::{Devices, Wish};
use super::own_device::ReadDevice;
use super::{ReadAuthentication, ReadInstance};
use crate::config::diagnostic::Report;
use crate::config::model::{
    Authentication, InitialState, Ipvlan, TrailerAuthentication, UnicastPeer, VirtualAddress,
    VrrpInstance, VrrpVersion,
};

/// 3768-5.3.4-b: the default priority of a backup.
const DEFAULT_PRIORITY: u8 = 100;
/// 3768-5.3.4-a, 9568-5.2.4-a: the priority of the owner of the addresses "MUST be 255".
pub(super) const OWNER: u8 = 255;
/// The Count IP Addrs field is one octet.
const MOST_ADDRESSES: usize = 255;

impl ReadInstance {
    /// The family of the addresses; IPv4 without any.
    fn is_ipv6(&self) -> bool {
        self.virtual_addresses
            .first()
            .is_some_and(|address| address.value.address.is_ipv6())
    }

    /// `taken` has the names of devices, to which it adds its own.
    fn finish(
        mut self,
        file: &RestOfFile<'_>,
        taken: &mut Vec<String>,
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
            None => file.version,
        };
        let election = self.election.clone().or(file.election);
        let strict = election.is_strict();
        let election = if strict {
            self.comply(&name, version, report);
            election.strictly()
        } else {
            election
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
        let yields_when_late = self.finish_lateness(&name, preempt, report);
        let authentication = self.finish_authentication(&name, version, report);
        let trailer = self.finish_trailer(&name, strict, authentication.is_some(), report);
        let authentication = authentication.filter(|_| trailer.is_none());
        let virtual_addresses = self.finish_addresses(&name, version, report);
        let excluded_addresses = self.finish_excluded(&name, &virtual_addresses, report);
        let advertisement_interval = self.finish_interval(&name, version, report);
        let preempt_delay = self.finish_preempt_delay(&name, report);
        let source = self.finish_source(&name, report);
        let unicast_peers = self.finish_peers(&name, report);
        if let Some(span) = self.unicast
            && unicast_peers.is_empty()
            && !self.fault_without_peer
        {
            report
                .warning(
                    span,
                    format!("({name}) without a peer it advertises to the group"),
                )
                .help("add a unicast_peer block, or take what speaks of unicast away");
        }
        let multicast_group = self.finish_group(&name, file.groups, report);
        let tracked = finish_tracked(
            &name,
            std::mem::take(&mut self.tracked),
            file.trackers,
            report,
        );
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
        let deaf_as_owner = election.deaf_as_owner() || (strict && priority == OWNER);
        if let (Some(true), Some(span), false) =
            (self.election.owner_ignores(), self.deaf, priority == OWNER)
        {
            // keepalived since 2.3.
            report
                .warning(
                    span,
                    format!("({name}) owner_ignore_adverts does nothing with priority {priority}"),
                )
                .help("it is for the owner of the addresses, whose priority is 255");
        }
        let virtual_router_id = self.virtual_router_id?.value;
        let device = self.own_device.take();
        let family = device.as_ref().and_then(ReadDevice::family);
        // keepalived-2.2.7: the first address of all says the family. With none left of that
        // family an instance cannot be.
        let is_of_another = self.virtual_addresses.first().is_some_and(|first| {
            family.is_some_and(|(span, family)| family != ipv6 && span < first.span)
        });
        let (virtual_mac, ipvlan) = match device {
            Some(device) => {
                let of = (&*name, virtual_router_id, ipv6);
                let prefix = file.vmac_prefix.map_or("vrrp", |prefix| &prefix.value);
                device.finish(of, self.transmit_on_base, (prefix, taken), report)
            }
            None => (None, None),
        };
        let of_device = ipvlan.as_ref().and_then(|ipvlan: &Ipvlan| ipvlan.address);
        let source = source.or(of_device.map(|(address, _)| address));
        if is_of_another {
            return None;
        }
        Some(VrrpInstance {
            name,
            initial_state,
            virtual_mac,
            ipvlan,
            interface: self.interface?.value,
            virtual_router_id,
            priority,
            advertisement_interval,
            version,
            authentication,
            trailer,
            virtual_addresses,
            preempt,
            preempt_delay,
            routes: self.routes,
            rules: self.rules,
            excluded_addresses,
            source,
            check_unicast_source: election.check_unicast_source()
                || unicast_peers.iter().any(bounded),
            lacks_peers: self.fault_without_peer && unicast_peers.is_empty(),
            unicast_checksum: self.unicast_checksum,
            unicast_peers,
            multicast_group,
            unicast_hop_limit: self.unicast_hop_limit.unwrap_or(u8::MAX),
            track_source: self.track_source,
            accept: self.accept.map_or(!strict, |accept| accept.value),
            strict,
            promote_secondaries: self.promote_secondaries,
            announcements: election.announcements(),
            down_timer_advertisements: election.down_timer_advertisements(),
            yields_when_late,
            answer_lower_priority: election.answer_lower_priority(),
            advertise_before_yielding: election.advertise_before_yielding(),
            trust_known_master: election.trust_known_master(),
            sums_message_alone: election.sums_message_alone(),
            deaf_as_owner,
            track_primary: !self.dont_track_primary,
            tracked,
            smtp_alert: self.smtp_alert.unwrap_or(file.alerts.of_vrrp()),
            notify: self.notify,
            notify_priority_changes: self
                .notify_priority_changes
                .unwrap_or(file.notify_priority_changes),
        })
    }

    /// None for the usual one.
    fn finish_group(
        &self,
        name: &str,
        groups: MulticastGroups,
        report: &mut Report,
    ) -> Option<IpAddr> {
        let Some(own) = &self.multicast_group else {
            return groups.of(self.is_ipv6());
        };
        if own.value.is_multicast() && own.value.is_ipv6() == self.is_ipv6() {
            return Some(own.value);
        }
        report
            .error(
                own.span,
                format!(
                    "({name}) {} is no multicast group of the family of the virtual addresses",
                    own.value
                ),
            )
            .help("the usual groups are 224.0.0.18 and ff02::12");
        None
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

    /// A master that preempts would be master again at once.
    fn finish_lateness(&self, name: &str, preempt: bool, report: &mut Report) -> Option<u8> {
        let priority = self.yields_when_late.as_ref()?;
        if preempt {
            report
                .warning(
                    priority.span,
                    format!("({name}) timer_expired_backup does not go without nopreempt: ignored"),
                )
                .help("add `nopreempt`, or take this line away");
            return None;
        }
        Some(priority.value)
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

    fn finish_trailer(
        &mut self,
        name: &str,
        strict: bool,
        has_other: bool,
        report: &mut Report,
    ) -> Option<TrailerAuthentication> {
        let Placed { value, span } = self.trailer.take()?;
        if has_other {
            report
                .warning(
                    span,
                    format!(
                        "({name}) auth_hmac takes the place of authentication, which is ignored"
                    ),
                )
                .help("take the authentication block away");
        }
        match value.finish(self.advertisement_interval.value, strict) {
            Ok(trailer) => Some(trailer),
            Err(id) => {
                report
                    .warning(
                        span,
                        format!("({name}) there is no key {id}: auth_hmac is ignored"),
                    )
                    .help("name one of its keys as `active_key ID`");
                None
            }
        }
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
        Some(match kind.value {
            "AH" => Authentication::Header(password.value),
            _ => Authentication::Password(password.value),
        })
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
        if addresses.is_empty() && !self.may_be_empty && !self.broken {
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

    /// 3768-5.3.7-a: version 2 counts whole seconds, 1 to 255.
    /// 9568-5.2.7-a: version 3 counts centiseconds, in 12 bits.
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

/// What an instance needs to know of the rest of the file.
pub(in crate::config::lower) struct RestOfFile<'a> {
    pub(in crate::config::lower) version: VrrpVersion,
    pub(in crate::config::lower) election: &'a Election,
    pub(in crate::config::lower) groups: MulticastGroups,
    pub(in crate::config::lower) notify_priority_changes: bool,
    pub(in crate::config::lower) alerts: Alerts,
    pub(in crate::config::lower) trackers: &'a ReadTrackers,
    pub(in crate::config::lower) vmac_prefix: Option<&'a Placed<String>>,
    pub(in crate::config::lower) address_mac_prefix: Option<&'a str>,
}

/// The instances with everything that they inherit, and the place of each.
pub(in crate::config::lower) fn finish_instances(
    instances: Vec<ReadInstance>,
    file: &RestOfFile<'_>,
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
    let mut instances = instances;
    let mut taken = names_of_devices(&mut instances, report);
    let (mut finished, mut wishes) = (Vec::new(), Vec::new());
    for instance in instances {
        let span = instance.name.span;
        let password = instance.authentication.password.as_ref().map(|p| p.span);
        let wish = Wish::of(&instance);
        if let Some(value) = instance.finish(file, &mut taken, report) {
            review::instance(&value, password.unwrap_or(span), report);
            finished.push(Placed { value, span });
            wishes.push(wish);
        }
    }
    let mut devices = Devices::beside(taken);
    let of_instances = file.vmac_prefix.map(|prefix| &*prefix.value);
    let prefix = file.address_mac_prefix.or(of_instances).unwrap_or("vrrp");
    for (instance, wish) in finished.iter_mut().zip(&wishes) {
        devices.give(&mut instance.value, wish, prefix);
    }
    finished
}

/// The names that the file gives to devices; a second instance does not keep one.
fn names_of_devices(instances: &mut [ReadInstance], report: &mut Report) -> Vec<String> {
    let mut named: Vec<Placed<String>> = Vec::new();
    let devices = instances.iter_mut();
    for device in devices.filter_map(|instance| instance.own_device.as_mut()) {
        let Some(name) = device.given_name().cloned() else {
            continue;
        };
        match named.iter().find(|other| other.value == name.value) {
            Some(other) => {
                device.unname();
                report
                    .error(
                        name.span,
                        format!("`{}` is the device of another instance", name.value),
                    )
                    .related(other.span, "named here")
                    .help("give each instance a device of its own");
            }
            None => named.push(name),
        }
    }
    named.into_iter().map(|name| name.value).collect()
}
