//! ICMP errors about connections by NAT (`ip_vs_nat_icmp` in the kernel): the packet in the error
//! is rewritten as that one was on its way here, but backwards, so that who sent it knows it.

use super::{Exit, Outgoing};
use crate::checksum::Difference;
use crate::family::Family;
use crate::frame::{Frame, InternetChecksum, Verdict};
use crate::icmp::{End, Icmp, Quoted};
use crate::reason::Reason;
use crate::wire::{IcmpHeader, TcpStart, UdpHeader, protocol};

/// What an error is to say after it has been rewritten.
#[derive(Clone, Copy)]
pub struct RewrittenError<F: Family> {
    /// Its source.
    pub source: F::Address,
    /// Its destination.
    pub destination: F::Address,
    /// Which end of the packet in it changes.
    pub end: End,
    /// The address at that end.
    pub address: F::Address,
    /// The port at that end, as in a packet.
    pub port: u16,
}

/// Rewrites an error and sends it.
///
/// The packet in it keeps right checksums: that of its header, and that of TCP and UDP if the
/// error has so much of it. SCTP's covers what is not there any more, and stays.
///
/// # Errors
/// The error does not leave.
#[inline(always)]
pub fn translate_error<F: Icmp, P: Frame>(
    frame: &mut P,
    packet: &Outgoing<'_, F>,
    quoted: &Quoted<F>,
    new: &RewrittenError<F>,
    exit: Exit,
) -> Result<Verdict, Reason> {
    let hops = exit.hops();
    if packet.time_to_live <= hops {
        return Err(Reason::TimeToLive);
    }
    let outer = F::difference(packet.key.sender, new.source)
        .add(F::difference(packet.key.receiver, new.destination));
    if !F::rewrite(frame, new.source, new.destination, hops) {
        return Err(Reason::NotWritable);
    }
    let content = readdress(frame, packet, quoted, new).ok_or(Reason::NotWritable)?;
    let outer = if F::COVERS_ADDRESSES {
        outer
    } else {
        Difference::NONE
    };
    let checksum = packet.transport + IcmpHeader::CHECKSUM;
    if !frame.update_transport_checksum(checksum, InternetChecksum::Always, outer, content) {
        return Err(Reason::NotWritable);
    }
    exit.send::<F, P>(frame)
}

/// Rewrites one end of the packet in an error; gives how the sum over the error changes.
#[inline(always)]
fn readdress<F: Icmp, P: Frame>(
    frame: &mut P,
    packet: &Outgoing<'_, F>,
    quoted: &Quoted<F>,
    new: &RewrittenError<F>,
) -> Option<Difference> {
    let (old, port_at) = match new.end {
        End::Source => (quoted.source, quoted.transport),
        End::Destination => (quoted.destination, quoted.transport + 2),
    };
    let begin = packet.transport + IcmpHeader::LENGTH;
    let header = F::readdress(frame, begin, new.end, old, new.address)?;
    let old_port = u16::from_ne_bytes(frame.read(port_at)?);
    let port = Difference::of_half(old_port, new.port);
    frame
        .write(port_at, &new.port.to_ne_bytes())
        .then_some(())?;
    let change = header.add(port);
    let checksum_at = quoted.transport
        + match quoted.protocol {
            protocol::TCP => TcpStart::CHECKSUM,
            protocol::UDP => UdpHeader::CHECKSUM,
            _ => return Some(change),
        };
    let Some(before) = frame.read::<[u8; 2]>(checksum_at) else {
        // It is cut off before.
        return Some(change);
    };
    let before = u16::from_ne_bytes(before);
    if quoted.protocol == protocol::UDP && before == 0 {
        return Some(change);
    }
    let after = match F::difference(old, new.address).add(port).apply(before) {
        0 if quoted.protocol == protocol::UDP => 0xffff,
        after => after,
    };
    frame
        .write(checksum_at, &after.to_ne_bytes())
        .then_some(())?;
    Some(change.add(Difference::of_half(before, after)))
}
