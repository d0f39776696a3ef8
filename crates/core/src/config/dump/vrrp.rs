//! VRRP: instances, sync groups, and how they announce.

use super::{Quoted, Seconds, Writer, routing, scripts, tracking};
use crate::config::model::{
    Authentication, Gaps, InitialState, Ipvlan, Nftables, Pacing, SyncGroup, TrailerAuthentication,
    TrailerKey, TrailerMode, UnicastChecksum, VirtualAddress, VirtualMac, VrrpInstance,
    VrrpVersion,
};

impl Writer {
    pub(super) fn nftables(&mut self, nftables: &Nftables) {
        let usual = Nftables::default();
        if nftables.table != usual.table {
            self.line(format_args!("nftables {}", Quoted(&nftables.table)));
        }
        if nftables.priority != usual.priority {
            self.line(format_args!("nftables_priority {}", nftables.priority));
        }
        if nftables.counters {
            self.line(format_args!("nftables_counters"));
        }
    }

    /// The gaps on all interfaces; those of `global_defs` in a block of their own.
    pub(super) fn pacing(&mut self, pacing: &Pacing) {
        let gaps = |w: &mut Self, prefix: &str, gaps: Gaps| {
            for (keyword, gap) in [
                ("garp_interval", gaps.gratuitous_arp),
                ("gna_interval", gaps.neighbour_advertisement),
            ] {
                if !gap.is_zero() {
                    w.line(format_args!("{prefix}{keyword} {}", Seconds(gap)));
                }
            }
        };
        if pacing.usual != Gaps::default() {
            self.block(format_args!("global_defs"), |w| {
                gaps(w, "vrrp_", pacing.usual);
            });
        }
        for group in &pacing.groups {
            self.block(format_args!("garp_group"), |w| {
                gaps(w, "", group.gaps);
                w.block(format_args!("interfaces"), |w| {
                    for interface in &group.interfaces {
                        w.line(format_args!("{}", Quoted(interface)));
                    }
                });
            });
        }
    }

    pub(super) fn sync_group(&mut self, group: &SyncGroup) {
        self.block(
            format_args!("vrrp_sync_group {}", Quoted(&group.name)),
            |w| {
                w.block(format_args!("group"), |w| {
                    for member in &group.members {
                        w.line(format_args!("{}", Quoted(member)));
                    }
                });
                w.line(format_args!("smtp_alert {}", group.smtp_alert));
                if group.weights {
                    w.line(format_args!("sync_group_tracking_weight"));
                }
                scripts::notify(w, &group.notify);
            },
        );
    }

    pub(super) fn instance(&mut self, instance: &VrrpInstance) {
        let head = format_args!("vrrp_instance {}", Quoted(&instance.name));
        self.block(head, |w| {
            w.line(format_args!(
                "state {}",
                match instance.initial_state {
                    InitialState::Master => "MASTER",
                    InitialState::Backup => "BACKUP",
                }
            ));
            w.line(format_args!("interface {}", Quoted(&instance.interface)));
            if let Some(mac) = &instance.virtual_mac {
                w.virtual_mac(mac);
            }
            if let Some(ipvlan) = &instance.ipvlan {
                w.ipvlan(ipvlan);
            }
            w.line(format_args!(
                "virtual_router_id {}",
                instance.virtual_router_id
            ));
            w.line(format_args!("priority {}", instance.priority));
            w.line(format_args!(
                "advert_int {}",
                Seconds(instance.advertisement_interval)
            ));
            w.line(format_args!(
                "version {}",
                match instance.version {
                    VrrpVersion::V2 => 2,
                    VrrpVersion::V3 => 3,
                }
            ));
            if !instance.preempt {
                w.line(format_args!("nopreempt"));
            }
            w.election(instance);
            w.line(format_args!("smtp_alert {}", instance.smtp_alert));
            scripts::notify(w, &instance.notify);
            if instance.notify_priority_changes {
                w.line(format_args!("notify_priority_changes"));
            }
            if let Some(authentication) = &instance.authentication {
                w.authentication(authentication);
            }
            if let Some(trailer) = &instance.trailer {
                w.trailer(trailer);
            }
            if instance.virtual_addresses.is_empty() {
                w.line(format_args!("no_virtual_ipaddress"));
            }
            for (block, addresses) in [
                ("virtual_ipaddress", &instance.virtual_addresses),
                ("virtual_ipaddress_excluded", &instance.excluded_addresses),
            ] {
                if !addresses.is_empty() || block == "virtual_ipaddress" {
                    w.block(format_args!("{block}"), |w| {
                        for address in addresses {
                            w.virtual_address(address);
                        }
                    });
                }
            }
            routing::routes(w, "virtual_routes", &instance.routes);
            routing::rules(w, "virtual_rules", &instance.rules);
        });
    }

    pub(super) fn virtual_mac(&mut self, mac: &VirtualMac) {
        let octets = mac.address.map(|octet| format!("{octet:02x}"));
        self.line(format_args!(
            "use_vmac name {} {}",
            Quoted(&mac.interface),
            octets.join(":")
        ));
        if mac.transmit_on_base {
            self.line(format_args!("vmac_xmit_base"));
        }
    }

    fn ipvlan(&mut self, ipvlan: &Ipvlan) {
        let address = ipvlan
            .address
            .map(|(address, prefix_length)| format!(" {address}/{prefix_length}"));
        self.line(format_args!(
            "use_ipvlan {}{} {}",
            Quoted(&ipvlan.interface),
            address.unwrap_or_default(),
            ipvlan.neighbourhood.word()
        ));
    }

    pub(super) fn election(&mut self, instance: &VrrpInstance) {
        if !instance.preempt_delay.is_zero() {
            self.line(format_args!(
                "preempt_delay {}",
                Seconds(instance.preempt_delay)
            ));
        }
        if let Some(source) = instance.source {
            let keyword = match instance.unicast_peers.len() {
                0 => "mcast_src_ip",
                _ => "unicast_src_ip",
            };
            self.line(format_args!("{keyword} {source}"));
        }
        if let Some(group) = instance.multicast_group {
            self.line(format_args!("mcast_dst_ip {group}"));
        }
        if instance.unicast_hop_limit != u8::MAX {
            self.line(format_args!("unicast_ttl {}", instance.unicast_hop_limit));
        }
        if instance.strict {
            self.line(format_args!("strict_mode"));
        }
        for (keyword, on) in [
            ("accept", instance.accept && instance.strict),
            ("no_accept", !instance.accept && !instance.strict),
            ("track_src_ip", instance.track_source),
            ("promote_secondaries", instance.promote_secondaries),
            ("check_unicast_src", instance.check_unicast_source),
        ] {
            if on {
                self.line(format_args!("{keyword}"));
            }
        }
        if !instance.unicast_peers.is_empty() {
            self.block(format_args!("unicast_peer"), |w| {
                for peer in &instance.unicast_peers {
                    w.line(format_args!(
                        "{} min_ttl {} max_ttl {}",
                        peer.address, peer.least_hop_limit, peer.most_hop_limit
                    ));
                }
            });
        }
        if instance.lacks_peers {
            self.line(format_args!("unicast_fault_no_peer"));
        }
        match instance.unicast_checksum {
            UnicastChecksum::Learnt => {}
            UnicastChecksum::OfGroup => self.line(format_args!("old_unicast_checksum")),
            UnicastChecksum::OfPacket => self.line(format_args!("old_unicast_checksum never")),
        }
        if !instance.track_primary {
            self.line(format_args!("dont_track_primary"));
        }
        tracking::lists(self, &instance.tracked);
        let announcements = &instance.announcements;
        for (keyword, time) in [
            ("garp_master_delay", announcements.delay),
            ("garp_master_refresh", announcements.refresh),
            ("garp_lower_prio_delay", announcements.lower_priority_delay),
        ] {
            self.line(format_args!("{keyword} {}", Seconds(time)));
        }
        for (keyword, number) in [
            ("garp_master_repeat", announcements.repeat),
            ("garp_master_refresh_repeat", announcements.refresh_repeat),
            (
                "garp_lower_prio_repeat",
                announcements.lower_priority_repeat,
            ),
            ("down_timer_adverts", instance.down_timer_advertisements),
        ] {
            self.line(format_args!("{keyword} {number}"));
        }
        for (keyword, on) in [
            ("lower_prio_no_advert", !instance.answer_lower_priority),
            (
                "higher_prio_send_advert",
                instance.advertise_before_yielding,
            ),
            ("skip_check_adv_addr", instance.trust_known_master),
        ] {
            self.line(format_args!("{keyword} {on}"));
        }
        if !announcements.elsewhere.is_zero() {
            let all = if announcements.elsewhere_all {
                "all "
            } else {
                ""
            };
            let time = Seconds(announcements.elsewhere);
            self.line(format_args!("garp_extra_if {all}{time}"));
        }
        // keepalived knows these since 2.3.
        if let Some(priority) = instance.yields_when_late {
            self.line(format_args!("timer_expired_backup {priority}"));
        }
        if instance.deaf_as_owner {
            self.line(format_args!("owner_ignore_adverts"));
        }
        if instance.sums_message_alone {
            self.line(format_args!("v3_checksum_as_v2"));
        }
    }

    pub(super) fn authentication(&mut self, authentication: &Authentication) {
        let (kind, octets) = match authentication {
            Authentication::Password(octets) => ("PASS", octets),
            Authentication::Header(octets) => ("AH", octets),
        };
        let length = octets.iter().rposition(|octet| *octet != 0);
        let password = String::from_utf8_lossy(&octets[..length.map_or(0, |last| last + 1)]);
        self.block(format_args!("authentication"), |w| {
            w.line(format_args!("auth_type {kind}"));
            w.line(format_args!("auth_pass {}", Quoted(&password)));
        });
    }

    fn trailer(&mut self, trailer: &TrailerAuthentication) {
        self.block(format_args!("auth_hmac"), |w| {
            for TrailerKey { id, secret, file } in &trailer.keys {
                let octets = secret.iter().map(|octet| format!("{octet:02x}"));
                let value = match file {
                    Some(path) => format!("file:{path}"),
                    None => format!("hex:{}", octets.collect::<String>()),
                };
                w.line(format_args!("key {id} {}", Quoted(&value)));
            }
            w.line(format_args!("active_key {}", trailer.active_key));
            match trailer.window {
                Some(window) => w.line(format_args!("time_window {}", Seconds(window))),
                None => w.line(format_args!("anti_replay monotonic")),
            }
            let mode = match trailer.mode {
                TrailerMode::Enforce => "enforce",
                TrailerMode::Permissive => "permissive",
                TrailerMode::ReceiveOnly => "receive-only",
            };
            w.line(format_args!("mode {mode}"));
        });
    }

    pub(super) fn virtual_address(&mut self, address: &VirtualAddress) {
        let mut line = match address.peer {
            // The subnet is that of the peer then, which has no other.
            Some(peer) => format!("{} peer {peer}", address.address),
            None => format!("{}/{}", address.address, address.prefix_length),
        };
        if let Some(interface) = &address.interface {
            line += &format!(" dev {}", Quoted(interface));
        }
        if let Some(label) = &address.label {
            line += &format!(" label {}", Quoted(label));
        }
        if address.scope != 0 {
            line += &format!(" scope {}", address.scope);
        }
        if let Some(broadcast) = address.broadcast {
            line += &format!(" brd {broadcast}");
        }
        for flag in &address.flags {
            line += &format!(" {}", flag.keyword());
        }
        let usual = VirtualAddress::usual_lifetime(address.address, address.prefix_length);
        match address.preferred_lifetime {
            lifetime if lifetime == usual => {}
            None => line += " preferred_lft forever",
            Some(lifetime) => line += &format!(" preferred_lft {}", lifetime.as_secs()),
        }
        if !address.restore {
            line += " no_track";
        }
        if address.virtual_mac.is_some() {
            line += " use_vmac";
        }
        self.line(format_args!("{line}"));
    }
}
