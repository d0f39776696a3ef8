//! The sockets of VRRP: for each interface and family one that listens, for each source one that
//! sends.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::Poll;

use elver_core::config::model::{Authentication, VrrpInstance};
use elver_core::vrrp::{group_of, hears_on, is_ipv6};
use elver_sys::netlink::Link;
use elver_sys::vrrp_socket::{Carrier, ReceivedPacket, VrrpReceiver, VrrpSender};
use tracing::warn;

/// At most this many packets of one socket are looked at before the timers are.
const PACKETS_BEFORE_TIMERS: usize = 256;

/// An interface on which instances speak, in one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listening {
    interface: String,
    ipv6: bool,
    carrier: Carrier,
}

/// A source of advertisements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Speaking {
    interface: String,
    source: IpAddr,
    hop_limit: u8,
    carrier: Carrier,
}

/// What an instance's advertisements are carried by.
fn carrier_of(instance: &VrrpInstance) -> Carrier {
    match instance.authentication {
        Some(Authentication::Header(_)) => Carrier::AuthenticationHeader,
        Some(Authentication::Password(_)) | None => Carrier::Plain,
    }
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Interfaces and families in use, with the groups that are listened to.
    wanted: BTreeMap<Listening, BTreeSet<IpAddr>>,
    /// With the index of the interface at the time of opening.
    receivers: BTreeMap<Listening, (u32, VrrpReceiver)>,
    senders: BTreeMap<Speaking, (u32, VrrpSender)>,
    /// The receiver that is asked first; a busy interface must not silence the others.
    turn: usize,
}

impl Sockets {
    /// These instances are to be heard from now on; [`Sockets::open`] opens what is missing.
    pub(super) fn configure(&mut self, instances: &[VrrpInstance]) {
        let before = std::mem::take(&mut self.wanted);
        for instance in instances {
            let listening = Listening {
                interface: hears_on(instance).to_owned(),
                ipv6: is_ipv6(instance),
                carrier: carrier_of(instance),
            };
            let groups = self.wanted.entry(listening).or_default();
            groups.insert(group_of(instance));
        }
        let wanted = &self.wanted;
        self.receivers
            .retain(|listening, _| wanted.get(listening) == before.get(listening));
        self.senders.clear();
    }

    /// The names of the interfaces in use.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &String> {
        self.wanted.keys().map(|listening| &listening.interface)
    }

    /// Opens what is to be heard and is not, on those interfaces that there are.
    pub(super) fn open(&mut self, links: &BTreeMap<u32, Link>) {
        for (wanted, groups) in &self.wanted {
            let link = links.values().find(|link| link.name == wanted.interface);
            let Some(link) = link else {
                self.receivers.remove(wanted);
                continue;
            };
            let receiver = self.receivers.get(wanted);
            if receiver.is_some_and(|(index, _)| *index == link.index) {
                continue;
            }
            let groups: Vec<IpAddr> = groups.iter().copied().collect();
            match VrrpReceiver::open(&link.name, link.index, &groups, wanted.carrier) {
                Ok(receiver) => {
                    self.receivers
                        .insert(wanted.clone(), (link.index, receiver));
                }
                Err(error) => {
                    self.receivers.remove(wanted);
                    warn!("cannot listen for VRRP on {}: {error}", link.name);
                }
            }
        }
    }

    /// The next packet with the name of its interface. Nothing is lost when this is cancelled.
    pub(super) async fn next(&mut self) -> (String, io::Result<ReceivedPacket>) {
        let Sockets {
            receivers, turn, ..
        } = self;
        poll_fn(|context| {
            *turn = turn.wrapping_add(1);
            let start = *turn % receivers.len().max(1);
            let receivers = receivers.iter().cycle().skip(start).take(receivers.len());
            for (listening, (_, receiver)) in receivers {
                if let Poll::Ready(packet) = receiver.poll_receive(context) {
                    return Poll::Ready((listening.interface.clone(), packet));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The packets that have come in by now, a bounded number.
    pub(super) fn pending(&self) -> Vec<(String, ReceivedPacket)> {
        let mut packets = Vec::new();
        for (listening, (_, receiver)) in &self.receivers {
            for _ in 0..PACKETS_BEFORE_TIMERS {
                match receiver.try_receive() {
                    Ok(Some(packet)) => packets.push((listening.interface.clone(), packet)),
                    Ok(None) | Err(_) => break,
                }
            }
        }
        packets
    }

    /// Sends a packet from a source on the interface of that name and index; a whole one where
    /// it is sealed.
    pub(super) fn send(
        &mut self,
        (interface, index): (&str, u32),
        (source, hop_limit): (IpAddr, u8),
        destination: IpAddr,
        (payload, sealed): (&[u8], bool),
    ) -> io::Result<()> {
        let carrier = match sealed {
            true => Carrier::AuthenticationHeader,
            false => Carrier::Plain,
        };
        let speaking = Speaking {
            interface: interface.to_owned(),
            source,
            hop_limit,
            carrier,
        };
        let known = self.senders.get(&speaking);
        if known.is_none_or(|(opened_for, _)| *opened_for != index) {
            let sender = VrrpSender::open(interface, index, source, hop_limit, carrier)?;
            self.senders.insert(speaking.clone(), (index, sender));
        }
        let sent = match self.senders.get(&speaking) {
            Some((_, sender)) => sender.send(destination, payload),
            None => Ok(()),
        };
        if sent.is_err() {
            self.senders.remove(&speaking);
        }
        sent
    }
}
