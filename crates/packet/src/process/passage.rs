//! What is known of a packet once its headers have been read.

use super::error::{Message, key_of};
use crate::family::{Family, Packet};
use crate::flow::Segment;
use crate::forward::Outgoing;
use crate::frame::Frame;
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::table::connection::{Key, Place};
use crate::table::settings::{Settings, Ticks};
use crate::table::{Tables, Traffic, Words};
use crate::wire::Ethernet;

/// A packet on its way through the pipeline.
pub(super) struct Passage<F: Family> {
    pub(super) key: Key<F>,
    pub(super) time_to_live: u8,
    /// Where the transport header begins, in octets from the start of the frame.
    pub(super) transport: u32,
    /// Octets of the packet.
    pub(super) length: u32,
    /// Whether it is a fragment behind the first, without a transport header.
    pub(super) is_later_fragment: bool,
    pub(super) segment: Segment,
    pub(super) place: Place,
    /// The largest packet on a link, in octets, that the frame becomes.
    pub(super) largest: u32,
    /// The stamp of next hops that are learned now.
    pub(super) stamp: u16,
    pub(super) now: Ticks,
}

impl<F: Family> Passage<F> {
    /// Reads a packet's headers.
    ///
    /// # Errors
    /// Why it is no business of ours; [`Reason::Fragment`] of every fragment.
    #[inline(always)]
    pub(super) fn read<P: Frame, T: Tables>(
        frame: &P,
        tables: &T,
        now: Ticks,
    ) -> Result<Passage<F>, Reason> {
        let settings = ready(tables)?;
        let packet = F::parse(frame)?;
        Passage::with_transport(frame, settings, packet, now)
    }

    /// The same, of the first fragment of a packet too.
    ///
    /// # Errors
    /// [`Reason::Fragment`] of later fragments.
    #[inline(always)]
    pub(super) fn read_first<P: Frame, T: Tables>(
        frame: &P,
        tables: &T,
        now: Ticks,
    ) -> Result<Passage<F>, Reason> {
        let settings = ready(tables)?;
        // All of the fast path is for whole packets.
        let packet = if P::IS_FAST_PATH {
            F::parse(frame)?
        } else {
            F::parse_first(frame)?
        };
        Passage::with_transport(frame, settings, packet, now)
    }

    /// The same, of any fragment. A later one has the ports that have been noted.
    #[inline(always)]
    pub(super) fn read_piece<P: Frame, T: Tables>(
        frame: &P,
        tables: &T,
        now: Ticks,
    ) -> Result<Passage<F>, Reason> {
        let settings = ready(tables)?;
        let (packet, piece) = F::parse_piece(frame)?;
        let [ports, ..] = frame.noted();
        if piece.offset == 0 {
            return Passage::with_transport(frame, settings, packet, now);
        }
        let packet = blurred(packet, settings);
        let segment = Segment {
            ports: ports as u32,
            event: 0,
            header_length: 0,
        };
        let mut passage = Passage::of(frame, settings, packet, segment, now);
        passage.is_later_fragment = true;
        Ok(passage)
    }

    /// The same, of the packet that a client sends whose answer an ICMP error is about.
    ///
    /// # Errors
    /// Why it is no business of ours.
    #[inline(always)]
    pub(super) fn read_error<P: Frame, T: Tables>(
        frame: &P,
        tables: &T,
        now: Ticks,
    ) -> Result<Passage<F>, Reason>
    where
        F: Icmp,
    {
        let (message, settings) = Message::<F>::read(frame, tables)?;
        let quoted = key_of(frame, &message.quoted).ok_or(Reason::Unrelated)?;
        let key = quoted.reversed();
        let packet = Packet {
            source: key.sender,
            destination: key.receiver,
            protocol: key.protocol,
            ..message.packet
        };
        let segment = Segment {
            ports: key.ports,
            event: 0,
            header_length: 0,
        };
        Ok(Passage::of(frame, settings, packet, segment, now))
    }

    #[inline(always)]
    fn with_transport<P: Frame, W: Words>(
        frame: &P,
        settings: Settings<W>,
        packet: Packet<F>,
        now: Ticks,
    ) -> Result<Passage<F>, Reason> {
        let packet = blurred(packet, settings);
        // Three protocols come together again here. The verifier in the kernel would go on to
        // the end of the program once for each if it knew which one it is.
        let end = Ethernet::LENGTH + packet.length;
        let mut segment = Segment::read(frame, packet.protocol, packet.transport..end)?;
        segment.event = settings.blur(segment.event.into()) as u8;
        segment.header_length = settings.blur(segment.header_length.into()) as u32;
        Ok(Passage::of(frame, settings, packet, segment, now))
    }

    #[inline(always)]
    fn of<P: Frame, W: Words>(
        frame: &P,
        settings: Settings<W>,
        packet: Packet<F>,
        segment: Segment,
        now: Ticks,
    ) -> Passage<F> {
        let key = Key::<F> {
            sender: packet.source,
            receiver: packet.destination,
            ports: segment.ports,
            protocol: settings.blur(packet.protocol.into()) as u8,
            template: false,
        };
        let place = key.place(settings);
        let largest = match frame.segment_payload() {
            0 => packet.length,
            payload => packet.transport - Ethernet::LENGTH + segment.header_length + payload,
        };
        Passage {
            key,
            time_to_live: packet.time_to_live,
            transport: packet.transport,
            length: packet.length,
            is_later_fragment: false,
            segment,
            place,
            largest,
            stamp: settings.next_hop_stamp(now),
            now,
        }
    }

    /// What of it is counted, if it comes from a client.
    #[inline(always)]
    pub(super) fn came_in(&self) -> Traffic {
        if self.is_later_fragment {
            Traffic::MoreIn(self.payload())
        } else {
            Traffic::In(self.length)
        }
    }

    /// What of it is counted, if it comes from a real server.
    #[inline(always)]
    pub(super) fn went_out(&self) -> Traffic {
        if self.is_later_fragment {
            Traffic::MoreOut(self.payload())
        } else {
            Traffic::Out(self.length)
        }
    }

    #[inline(always)]
    fn payload(&self) -> u32 {
        self.length + Ethernet::LENGTH - self.transport
    }

    /// What forwarding has to know of the packet.
    #[inline(always)]
    pub(super) fn outgoing(&self) -> Outgoing<'_, F> {
        Outgoing {
            key: &self.key,
            time_to_live: self.time_to_live,
            transport: self.transport,
            length: self.length,
            is_later_fragment: self.is_later_fragment,
            largest: self.largest,
            stamp: self.stamp,
            now: self.now,
        }
    }
}

#[inline(always)]
fn ready<T: Tables>(tables: &T) -> Result<Settings<T::Words>, Reason> {
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    if settings.ready() {
        Ok(settings)
    } else {
        Err(Reason::NotReady)
    }
}

/// The same holds for every way through the extension headers of IPv6.
#[inline(always)]
fn blurred<F: Family, W: Words>(mut packet: Packet<F>, settings: Settings<W>) -> Packet<F> {
    if F::NUMBER == 6 {
        let both = u64::from(packet.transport) | u64::from(packet.protocol) << 32;
        let both = settings.blur(both);
        packet.transport = both as u32;
        packet.protocol = (both >> 32) as u8;
    }
    packet
}
