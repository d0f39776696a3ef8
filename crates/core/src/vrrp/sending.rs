//! The advertisements of an instance: when they leave, and what is in them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use super::addressing::{group_of, hears_on};
use super::advertisement::{Advertisement, Envelope, HOP_LIMIT};
use super::authentication_header::seal;
use super::effect::Effect;
use super::instance::Instance;
use super::timers::master_down_interval;
use super::trailer::Speaker;
use crate::config::model::{Authentication, VrrpVersion};

impl Instance {
    /// Sends an advertisement and starts the Adver_Timer anew.
    pub(super) fn advertise(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        self.send(self.priority, effects);
        self.deadline = Some(now + self.configuration.advertisement_interval);
    }

    /// As master whose next advertisement is due: whether it comes so late that a router of the
    /// configured priority may have missed three of them and taken over.
    pub(super) fn is_too_late(&self, now: Instant) -> bool {
        let Some(priority) = self.configuration.yields_when_late else {
            return false;
        };
        let interval = self.configuration.advertisement_interval;
        let patience = master_down_interval(self.configuration.version, priority, interval, 3);
        // The last one left an interval before this one was due.
        self.deadline
            .is_some_and(|due| now + interval >= due + patience)
    }

    /// 9568-6.4.3-i, 3768-6.4.3-e: the Adver_Timer has fired: "Send an ADVERTISEMENT", "Reset
    /// the Adver_Timer to Advertisement_Interval". The next advertisement is due one interval after this one
    /// was, not after it was sent, so that being late does not add up.
    pub(super) fn handle_advertisement_timeout(
        &mut self,
        now: Instant,
        effects: &mut VecDeque<Effect>,
    ) {
        let interval = self.configuration.advertisement_interval;
        let next = self.deadline.map(|due| due + interval);
        self.advertise(now, effects);
        if next.is_some_and(|next| next > now) {
            self.deadline = next;
        }
    }

    /// 9568-7.2-a, 3768-7.2-a: "Fill in the VRRP packet fields with the appropriate virtual
    /// router configuration state".
    pub(super) fn send(&mut self, priority: u8, effects: &mut VecDeque<Effect>) {
        let Some(source) = self.source else { return };
        let mut destinations: Vec<IpAddr> = self
            .configuration
            .unicast_peers
            .iter()
            .map(|peer| peer.address)
            .collect();
        let mut hop_limit = self.configuration.unicast_hop_limit;
        if destinations.is_empty() {
            destinations.push(group_of(&self.configuration));
            hop_limit = HOP_LIMIT;
        }
        let advertisement = Advertisement {
            version: self.configuration.version,
            virtual_router_id: self.configuration.virtual_router_id,
            priority,
            interval: self.configuration.advertisement_interval,
            authentication: match self.configuration.version {
                VrrpVersion::V2 => self.configuration.authentication.clone(),
                VrrpVersion::V3 => None,
            },
            addresses: self
                .configuration
                .virtual_addresses
                .iter()
                .map(|a| a.address)
                .collect(),
        };
        self.statistics.advertisements_sent += 1;
        for destination in destinations {
            let summed_for = match self.sums_as_of_group {
                true => group_of(&self.configuration),
                false => destination,
            };
            let mut message = if self.configuration.sums_message_alone && source.is_ipv4() {
                advertisement.encode_alone()
            } else {
                advertisement.encode(Envelope {
                    source,
                    destination: summed_for,
                })
            };
            if let Some(trailer) = &self.configuration.trailer {
                let speaker = Speaker {
                    source,
                    version: self.configuration.version,
                    virtual_router_id: self.configuration.virtual_router_id,
                };
                self.trailers.sign(trailer, speaker, &mut message);
                if source.is_ipv6() {
                    let envelope = Envelope {
                        source,
                        destination,
                    };
                    Advertisement::sum_whole(&mut message, envelope);
                }
            }
            let (payload, sealed) = match (&self.configuration.authentication, source, destination)
            {
                (Some(Authentication::Header(key)), IpAddr::V4(from), IpAddr::V4(to)) => {
                    self.sequence = self.sequence.wrapping_add(1);
                    let packet = seal((from, to), hop_limit, self.sequence, key, &message);
                    (packet, true)
                }
                _ => (message, false),
            };
            effects.push_back(Effect::Send {
                instance: self.configuration.name.clone(),
                interface: self.sends_on().to_owned(),
                source,
                destination,
                hop_limit,
                sealed,
                payload,
            });
        }
    }

    /// 9568-7.2-b, 3768-7.2-b: "the source MAC address of VRRP advertisements is the Virtual Router MAC
    /// address".
    fn sends_on(&self) -> &str {
        match &self.configuration.virtual_mac {
            Some(mac) if !mac.transmit_on_base => &mac.interface,
            _ => hears_on(&self.configuration),
        }
    }
}
