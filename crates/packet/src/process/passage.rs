//! What is known of a packet once its headers have been read.

use crate::family::{Family, Packet};
use crate::flow::Segment;
use crate::forward::Outgoing;
use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::connection::{Key, Place};
use crate::table::settings::{Settings, Ticks};
use crate::wire::Ethernet;

/// A packet on its way through the pipeline.
pub(super) struct Passage<F: Family> {
    pub(super) key: Key<F>,
    pub(super) time_to_live: u8,
    /// Where the transport header begins, in octets from the start of the frame.
    pub(super) transport: u32,
    /// Octets of the packet.
    pub(super) length: u32,
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
    #[inline(always)]
    pub(super) fn read<P: Frame, T: Tables>(
        frame: &P,
        tables: &T,
        now: Ticks,
    ) -> Result<Passage<F>, Reason> {
        let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
        if !settings.ready() {
            return Err(Reason::NotReady);
        }
        let mut packet: Packet<F> = F::parse(frame)?;
        if F::NUMBER == 6 {
            // The same holds for every way through the extension headers.
            let both = u64::from(packet.transport) | u64::from(packet.protocol) << 32;
            let both = settings.blur(both);
            packet.transport = both as u32;
            packet.protocol = (both >> 32) as u8;
        }
        // Three protocols come together again here. The verifier in the kernel would go on to
        // the end of the program once for each if it knew which one it is.
        let end = Ethernet::LENGTH + packet.length;
        let mut segment = Segment::read(frame, packet.protocol, packet.transport..end)?;
        segment.event = settings.blur(segment.event.into()) as u8;
        segment.header_length = settings.blur(segment.header_length.into()) as u32;
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
        Ok(Passage {
            key,
            time_to_live: packet.time_to_live,
            transport: packet.transport,
            length: packet.length,
            segment,
            place,
            largest,
            stamp: settings.next_hop_stamp(now),
            now,
        })
    }

    /// A number that all packets of a connection have in common.
    #[inline(always)]
    pub(super) fn flow(&self) -> u32 {
        F::fold(self.key.sender) ^ self.key.ports
    }

    /// What forwarding has to know of the packet.
    #[inline(always)]
    pub(super) fn outgoing(&self) -> Outgoing<'_, F> {
        Outgoing {
            key: &self.key,
            time_to_live: self.time_to_live,
            transport: self.transport,
            length: self.length,
            largest: self.largest,
            stamp: self.stamp,
        }
    }
}
