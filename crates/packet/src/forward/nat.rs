//! NAT (`ip_vs_nat_xmit`, `handle_response` in the kernel): towards the real server the
//! destination is rewritten, towards the client the source, and every checksum is brought
//! up to date.

use super::{Exit, Outgoing};
use crate::checksum::Difference;
use crate::crc32c;
use crate::family::Family;
use crate::frame::{Frame, InternetChecksum, Verdict};
use crate::reason::Reason;
use crate::wire::{Ethernet, SctpStart, TcpStart, UdpHeader, protocol};

/// What a packet is to say after it has been rewritten.
#[derive(Clone, Copy)]
pub struct Rewritten<F: Family> {
    /// Its source.
    pub source: F::Address,
    /// Its destination.
    pub destination: F::Address,
    /// Source port in the lower half, destination port in the upper one, as in memory.
    pub ports: u32,
}

/// Rewrites a packet and sends it.
#[inline(always)]
pub fn translate<F: Family, P: Frame>(
    frame: &mut P,
    packet: &Outgoing<'_, F>,
    new: &Rewritten<F>,
    exit: Exit,
) -> Result<Verdict, Reason> {
    let hops = exit.hops();
    packet.check_hops(hops)?;
    if !F::rewrite(frame, new.source, new.destination, hops) {
        return Err(Reason::NotWritable);
    }
    if packet.is_later_fragment {
        return exit.send::<F, P>(frame);
    }
    let old = packet.key;
    if old.ports != new.ports && !frame.write(packet.transport, &new.ports.to_ne_bytes()) {
        return Err(Reason::NotWritable);
    }
    let addresses =
        F::difference(old.sender, new.source).add(F::difference(old.receiver, new.destination));
    let ports = Difference::of_word(old.ports, new.ports);
    let is_current = if packet.key.protocol == protocol::SCTP {
        update_crc(frame, packet, new.ports)
    } else {
        update_checksum(frame, packet, addresses, ports)
    };
    if !is_current {
        return Err(Reason::NotWritable);
    }
    exit.send::<F, P>(frame)
}

#[inline(always)]
fn update_checksum<F: Family, P: Frame>(
    frame: &mut P,
    packet: &Outgoing<'_, F>,
    addresses: Difference,
    ports: Difference,
) -> bool {
    let (offset, kind) = match packet.key.protocol {
        protocol::UDP => (UdpHeader::CHECKSUM, InternetChecksum::ZeroIsNone),
        _ => (TcpStart::CHECKSUM, InternetChecksum::Always),
    };
    frame.update_transport_checksum(packet.transport + offset, kind, addresses, ports)
}

/// SCTP's checksum covers no address, only the packet. Of all zeros it is one that the device
/// has yet to compute.
#[inline(always)]
fn update_crc<F: Family, P: Frame>(frame: &mut P, packet: &Outgoing<'_, F>, ports: u32) -> bool {
    if packet.key.ports == ports {
        return true;
    }
    let at = packet.transport + SctpStart::CHECKSUM;
    let Some(old) = frame.read::<[u8; 4]>(at).map(u32::from_le_bytes) else {
        return false;
    };
    if old == 0 {
        return true;
    }
    let after = packet.length + Ethernet::LENGTH - packet.transport - 4;
    let change = crc32c::change(packet.key.ports, ports, after);
    frame.write(at, &(old ^ change).to_le_bytes())
}
