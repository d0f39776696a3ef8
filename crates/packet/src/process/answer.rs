//! A sender is told by ICMP why its packet goes nowhere (`icmp_send` in the kernel).
//!
//! The message is made in place of the packet, and leaves by the device over which that came,
//! to the station that sent it: a router there knows the way back.

use super::{Stage, Step, verdict_of};
use crate::checksum::fold;
use crate::family::Outer;
use crate::forward;
use crate::frame::{Frame, RouteQuery, Verdict};
use crate::icmp::{Icmp, Quoted, checksum_of};
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::settings::{Settings, Ticks};
use crate::wire::{Ethernet, IcmpHeader, IcmpKind, protocol};

/// Hops that a message may take.
const HOPS: u8 = 64;

/// What the sender of a packet is to be told.
#[derive(Clone, Copy)]
pub(super) struct Message {
    /// What it is.
    pub(super) kind: IcmpKind,
    /// What stands in the head behind the checksum.
    pub(super) rest: [u8; 4],
    /// Whether it is about a packet that came back in another error, not about the one that
    /// is there.
    pub(super) is_relayed: bool,
}

impl Message {
    /// Leaves the message for the stage that sends it.
    #[inline(always)]
    pub(super) fn send<F: Icmp, P: Frame>(&self, frame: &mut P) -> Stage {
        let kind = u64::from(self.kind.number) | u64::from(self.kind.code) << 8;
        let rest = u32::from_ne_bytes(self.rest).into();
        frame.note(&[kind, rest, self.is_relayed.into(), 0]);
        if F::NUMBER == 4 {
            Stage::Answer4
        } else {
            Stage::Answer6
        }
    }

    #[inline(always)]
    fn noted<P: Frame>(frame: &P) -> Message {
        let [kind, rest, is_relayed, _] = frame.noted();
        Message {
            kind: IcmpKind {
                number: kind as u8,
                code: (kind >> 8) as u8,
            },
            rest: (rest as u32).to_ne_bytes(),
            is_relayed: is_relayed != 0,
        }
    }
}

/// Turns a packet away: passes it, drops it, or drops it and has its sender told.
#[inline(always)]
pub(super) fn refuse<F: Icmp, P: Frame>(frame: &mut P, reason: Reason, largest: u32) -> Step {
    let kind = match reason {
        Reason::NoDestination => F::PORT_UNREACHABLE,
        Reason::NoRoute => F::HOST_UNREACHABLE,
        Reason::TimeToLive => F::TIME_EXCEEDED,
        Reason::TooBig => F::TOO_BIG,
        _ => return Step::Done(verdict_of(reason)),
    };
    let message = Message {
        kind,
        rest: F::naming_largest(largest),
        is_relayed: false,
    };
    Step::Next(message.send::<F, P>(frame))
}

/// Makes the message that the stage before has noted, and sends it.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn answer<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Verdict {
    let Some(settings) = tables.settings().map(Settings) else {
        return Verdict::Drop;
    };
    let message = Message::noted(frame);
    let Some(packet) = F::quoted(frame, Ethernet::LENGTH) else {
        return Verdict::Drop;
    };
    let Some(checksum) = checksum_of(packet.protocol) else {
        // Also no error about an error (RFC 1122, section 3.2.2).
        return Verdict::Drop;
    };
    let checksum = settings.blur(checksum.into()) as u32;
    let is_about_size = message.kind == F::TOO_BIG;
    if packet.is_later_fragment
        || !F::is_a_host(packet.source)
        || is_about_size && !packet.must_stay_whole
    {
        return Verdict::Drop;
    }
    // As in the kernel, those who send too large packets are always told: else they would
    // go on.
    if !is_about_size && !settings.may_answer(now) {
        tables.count_reason(Reason::AnswerWithheld);
        return Verdict::Drop;
    }
    let sent = match make::<F, P, T>(frame, settings, &message, &packet, checksum) {
        Some(length) if message.is_relayed => relay(frame, &packet, length),
        Some(_) => send_back::<F, P>(frame),
        None => None,
    };
    match sent {
        Some(verdict) => {
            tables.count_reason(Reason::Answered);
            verdict
        }
        None => Verdict::Drop,
    }
}

/// Makes a message about the packet that is there, in its place; gives its length in octets.
/// `checksum` is where the packet's transport header has its own.
#[inline(always)]
fn make<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    settings: Settings<T::Words>,
    message: &Message,
    packet: &Quoted<F>,
    checksum: u32,
) -> Option<u32> {
    if message.kind == F::TOO_BIG && !message.is_relayed {
        // The kernel finds out about the size after it has taken a hop away, about all else before.
        let is_written = F::rewrite(frame, packet.source, packet.destination, 1);
        is_written.then_some(())?;
    }
    let room = frame.length().checked_sub(Ethernet::LENGTH)?;
    let quote = packet.length.min(room).min(F::QUOTE);
    let quote = settings.blur(quote.into()) as u32;
    let mut end = quote;
    let mut rest = 0;
    let checksum = packet.transport + checksum;
    if !message.is_relayed && frame.is_unfinished(checksum) {
        if packet.protocol == protocol::SCTP {
            // What the device makes of it is no part of an Internet checksum.
            return None;
        }
        // Local checksum offload (Documentation/networking/checksum-offloads.rst in the
        // kernel): once the device is done, the sum from the transport header on is the
        // complement of what stands in the checksum's place now.
        let unfinished: [u8; 2] = frame.read(checksum)?;
        rest = u64::from(!u16::from_ne_bytes(unfinished));
        end = packet.transport - Ethernet::LENGTH;
    }
    frame.cut(Ethernet::LENGTH + quote).then_some(())?;
    let end = settings.blur(end.into()) as u32;
    let rest = settings.blur(rest);
    let sum_of_quote = u64::from(frame.sum(Ethernet::LENGTH, end)?) + rest;
    frame.insert(F::HEADER + IcmpHeader::LENGTH).then_some(())?;
    let length = IcmpHeader::LENGTH + quote;
    let outer = Outer::<F> {
        source: packet.destination,
        destination: packet.source,
        protocol: F::PROTOCOL,
        hops: HOPS,
        traffic_class: F::traffic_class_of_error(packet.traffic_class),
        dont_fragment: false,
        payload: length,
    };
    let kind = u16::from_ne_bytes([message.kind.number, message.kind.code]);
    let sum = sum_of_quote
        + u64::from(kind)
        + u64::from(u32::from_ne_bytes(message.rest))
        + F::pseudo_header(outer.source, outer.destination, length);
    let header = IcmpHeader {
        number: message.kind.number,
        code: message.kind.code,
        checksum: (!fold(sum)).to_ne_bytes(),
        rest: message.rest,
    };
    let is_written =
        F::write_outer(frame, &outer) && frame.write(Ethernet::LENGTH + F::HEADER, &header);
    is_written.then_some(F::HEADER + length)
}

/// Sends a frame back to the station that it came from.
#[inline(always)]
fn send_back<F: Icmp, P: Frame>(frame: &mut P) -> Option<Verdict> {
    let came: Ethernet = frame.read(0)?;
    let header = Ethernet::new(came.source, came.destination, F::ETHER_TYPE);
    frame.write(0, &header).then_some(())?;
    frame.transmit(frame.device());
    Some(Verdict::Leave)
}

/// Sends a message about a packet to the packet's source.
#[inline(always)]
fn relay<F: Icmp, P: Frame>(frame: &mut P, packet: &Quoted<F>, length: u32) -> Option<Verdict> {
    let query = RouteQuery::<F> {
        source: packet.destination,
        destination: packet.source,
        protocol: F::PROTOCOL,
        length,
    };
    let exit = forward::way_of_our_own(frame, &query);
    exit.check().ok()?;
    exit.send::<F, P>(frame).ok()
}
