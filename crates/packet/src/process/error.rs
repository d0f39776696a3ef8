//! An ICMP error about a connection (`ip_vs_in_icmp` and `ip_vs_out_icmp` in the kernel): it goes
//! to the end that sent the packet in it. It does not keep the connection alive.

use super::known::{self, Hand};
use super::{Decision, Stage};
use crate::family::Packet;
use crate::forward::{self, Exit, Outgoing, RewrittenError};
use crate::frame::{Frame, Notes};
use crate::icmp::{End, Icmp, Quoted, checksum_of};
use crate::reason::Reason;
use crate::table::connection::{
    self, Direction, Entry, Found, Key, destination_of, found_at, has_expired,
};
use crate::table::destination::{self, method};
use crate::table::settings::{Settings, Ticks, behaviour};
use crate::table::{Tables, Traffic};
use crate::wire::{Ethernet, IcmpHeader, Ipv6, TcpStart, UdpHeader, protocol};

/// Octets of an error that are read: its own header, and of the packet in it those up to the
/// ports, or, of one in a tunnel, up to the ports of the packet in that.
pub(super) const REACH: u32 =
    Ipv6::LENGTH + IcmpHeader::LENGTH + 60 + UdpHeader::LENGTH + 4 + 60 + TcpStart::CHECKSUM + 2;

/// An error and the packet in it.
pub(super) struct Message<F: Icmp> {
    pub(super) packet: Packet<F>,
    pub(super) header: IcmpHeader,
    pub(super) quoted: Quoted<F>,
}

impl<F: Icmp> Message<F> {
    /// Reads an error.
    ///
    /// # Errors
    /// It is none, or not one that is about a packet of a connection.
    #[inline(always)]
    pub(super) fn read<P: Frame, T: Tables>(
        frame: &P,
        tables: &T,
    ) -> Result<(Message<F>, Settings<T::Words>), Reason> {
        let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
        if !settings.ready() {
            return Err(Reason::NotReady);
        }
        let packet: Packet<F> = F::parse(frame)?;
        if packet.protocol != F::PROTOCOL {
            return Err(Reason::NotTransport);
        }
        // Behind the packet there can be padding, which is no header.
        if packet.transport + IcmpHeader::LENGTH > Ethernet::LENGTH + packet.length {
            return Err(Reason::Malformed);
        }
        let header: IcmpHeader = frame.read(packet.transport).ok_or(Reason::Malformed)?;
        if !F::is_error(header.number) {
            return Err(Reason::NotTransport);
        }
        let quoted = F::quoted(frame, packet.transport + IcmpHeader::LENGTH);
        let quoted = quoted.ok_or(Reason::Unrelated)?;
        // An error goes to who sent the packet in it (RFC 792, RFC 4443, section 2.2).
        if quoted.is_later_fragment || quoted.source != packet.destination {
            return Err(Reason::Unrelated);
        }
        let message = Message {
            packet,
            header,
            quoted,
        };
        Ok((message, settings))
    }

    /// The error as a packet that is forwarded.
    #[inline(always)]
    fn outgoing<'a, T: Tables>(
        &self,
        key: &'a Key<F>,
        settings: Settings<T::Words>,
        now: Ticks,
    ) -> Outgoing<'a, F> {
        Outgoing {
            key,
            time_to_live: self.packet.time_to_live,
            transport: self.packet.transport,
            length: self.packet.length,
            is_later_fragment: false,
            largest: self.packet.length,
            stamp: settings.next_hop_stamp(now),
            now,
        }
    }

    /// The error's own ends.
    #[inline(always)]
    fn key(&self) -> Key<F> {
        Key {
            sender: self.packet.source,
            receiver: self.packet.destination,
            ports: 0,
            protocol: F::PROTOCOL,
            template: false,
        }
    }
}

/// The key under which a packet that is in an error stands in the table; nothing of a protocol
/// that has no ports, or if they are cut off.
#[inline(always)]
pub(super) fn key_of<F: Icmp, P: Frame>(frame: &P, quoted: &Quoted<F>) -> Option<Key<F>> {
    checksum_of(quoted.protocol)?;
    let ports: [u8; 4] = frame.read(quoted.transport)?;
    Some(Key {
        sender: quoted.source,
        receiver: quoted.destination,
        ports: u32::from_ne_bytes(ports),
        protocol: quoted.protocol,
        template: false,
    })
}

/// A packet that may be an error about a connection.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn find<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
) -> Result<Decision, Reason> {
    let (message, settings) = Message::<F>::read(frame, tables)?;
    let quoted = &message.quoted;
    if let Some(key) = key_of(frame, quoted) {
        // The packet went the other way than those by which the entry is found.
        let key = key.reversed();
        if let Some(index) = connection::locate(tables, &key, &key.place(settings)) {
            let found = found_at(tables, index.get()).ok_or(Reason::Unrelated)?;
            frame.note(&[found.index.into(), found.generation.into(), 0, 0]);
            return Ok(Decision::Later(match found.entry.direction() {
                Direction::Forward if F::NUMBER == 4 => Stage::ErrorToServer4,
                Direction::Forward => Stage::ErrorToServer6,
                Direction::Reverse if F::NUMBER == 4 => Stage::ErrorToClient4,
                Direction::Reverse => Stage::ErrorToClient6,
            }));
        }
    }
    let opens = settings.behaviour() & behaviour::SCHEDULE_ICMP != 0;
    Ok(Decision::Later(
        match (super::tunnel_error::content(frame, quoted), F::NUMBER) {
            (protocol::IPIP, 4) => Stage::TunnelError44,
            (protocol::IPIP, _) => Stage::TunnelError46,
            (protocol::IPV6, 4) => Stage::TunnelError64,
            (protocol::IPV6, _) => Stage::TunnelError66,
            _ if !opens => return Err(Reason::Unrelated),
            _ => {
                frame.note(&Notes::default());
                if F::NUMBER == 4 {
                    Stage::OpenByError4
                } else {
                    Stage::OpenByError6
                }
            }
        },
    ))
}

/// The entry that the stage before has found.
#[inline(always)]
fn noted<P: Frame, T: Tables>(frame: &P, tables: &T) -> Result<Found<T::Words>, Reason> {
    let [index, generation, ..] = frame.noted();
    let found = found_at(tables, index as u32).ok_or(Reason::Unrelated)?;
    if found.generation != generation as u16 {
        return Err(Reason::Unrelated);
    }
    Ok(found)
}

/// An error about an answer of a real server, for that one.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn to_server<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let (message, settings) = Message::<F>::read(frame, tables)?;
    let found = noted(frame, tables)?;
    let (id, _) = found.entry.destination();
    let destination = destination_of(tables, found.entry).ok_or(Reason::Unrelated)?;
    let life = found.entry.life();
    let hand = Hand {
        method: found.entry.method(),
        family: destination.heading().family(),
    };
    if has_expired(life, now) || !found.is_same() {
        return Err(Reason::Unrelated);
    }
    if destination.heading().flags() & destination::flags::HELD == 0 {
        return Err(Reason::NotHeld);
    }
    let own = message.key();
    let packet = message.outgoing::<T>(&own, settings, now);
    let exit = known::exit_to_server(frame, &packet, hand, destination).blurred(settings);
    tables.count(id, Traffic::In(packet.length));
    tables.count_reason(Reason::RelatedError);
    exit.check()?;
    if hand.method != method::NAT {
        return known::to_server(frame, &packet, hand, (id, destination), exit, settings);
    }
    let address = forward::address_of::<F, _>(destination);
    let port = match destination.port() {
        0 => frame.read(message.quoted.transport).map(u16::from_ne_bytes),
        port => Some(port),
    };
    let new = RewrittenError {
        source: own.sender,
        destination: address,
        end: End::Source,
        address,
        port: port.ok_or(Reason::Malformed)?,
    };
    let verdict = forward::translate_error(frame, &packet, &message.quoted, &new, exit)?;
    Ok(Decision::Forwarded(verdict, known::forwarded(exit)))
}

/// An error about a packet that was sent to a real server, for the client that it came from.
/// Whoever on the way made the error, it comes from the virtual address: that is whom the
/// client has sent to.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn to_client<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let (message, settings) = Message::<F>::read(frame, tables)?;
    let found = noted(frame, tables)?;
    relay::<F, P, T, false>(frame, tables, &message, settings, found, now)
}

/// An error that a real server which is this host makes about a packet of a client, on its way
/// there.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn leaves<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let (message, settings) = Message::<F>::read(frame, tables)?;
    let key = key_of(frame, &message.quoted).ok_or(Reason::Unrelated)?;
    let key = key.reversed();
    let index = connection::locate(tables, &key, &key.place(settings)).ok_or(Reason::Unrelated)?;
    let found = found_at(tables, index.get()).ok_or(Reason::Unrelated)?;
    if found.entry.direction() != Direction::Reverse {
        return Err(Reason::Unrelated);
    }
    relay::<F, P, T, true>(frame, tables, &message, settings, found, now)
}

/// Has an error go on to the client of the connection that it is about.
#[inline(always)]
fn relay<F: Icmp, P: Frame, T: Tables, const LEAVING: bool>(
    frame: &mut P,
    tables: &T,
    message: &Message<F>,
    settings: Settings<T::Words>,
    found: Found<T::Words>,
    now: Ticks,
) -> Result<Decision, Reason> {
    let peer = tables.connection(found.entry.peer());
    let forward = Entry(peer.ok_or(Reason::Unrelated)?);
    let as_client_sends: Key<F> = forward.key();
    let (id, _) = forward.destination();
    let life = forward.life();
    if forward.peer() != found.index
        || has_expired(life, now)
        || life.has_ended()
        || !found.is_same()
    {
        return Err(Reason::Unrelated);
    }
    let own = message.key();
    let packet = message.outgoing::<T>(&own, settings, now);
    let exit = if LEAVING {
        Exit::AS_IT_GOES
    } else {
        forward::way_to_client(
            frame,
            tables,
            found.entry,
            &packet,
            as_client_sends.receiver,
        )
    };
    let exit = exit.blurred(settings);
    tables.count(id, Traffic::Out(packet.length));
    tables.count_reason(Reason::RelatedError);
    exit.check()?;
    let new = RewrittenError {
        source: as_client_sends.receiver,
        destination: own.receiver,
        end: End::Destination,
        address: as_client_sends.receiver,
        port: (as_client_sends.ports >> 16) as u16,
    };
    let verdict = forward::translate_error(frame, &packet, &message.quoted, &new, exit)?;
    Ok(Decision::Forwarded(verdict, Reason::ForwardedToClient))
}
