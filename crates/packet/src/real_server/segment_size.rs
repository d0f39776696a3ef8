//! Clients of a real server behind a tunnel are told to send segments that fit through it: the
//! maximum segment size (RFC 9293, section 3.7.1) in the answers that open connections.

use super::{Outcome, RoleTables, VIP_ROOM_WORD, vip};
use crate::checksum::Difference;
use crate::family::Family;
use crate::frame::{Frame, InternetChecksum};
use crate::table::Words;
use crate::wire::{TcpFlags, TcpStart, protocol};

/// Kinds of TCP's options (RFC 9293, section 3.2).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
/// Octets of that option.
const OCTETS: u8 = 4;
/// So many options are looked through: of those that stacks send, it is the first.
const MOST: u32 = 8;

/// Makes the segment size of a SYN-ACK from a virtual address fit, if one announces a larger one.
#[inline(always)]
pub(super) fn clamp<F: Family, P: Frame, T: RoleTables>(
    frame: &mut P,
    tables: &T,
) -> Option<Outcome> {
    let packet = F::parse(frame).ok()?;
    if packet.protocol != protocol::TCP {
        return None;
    }
    let start: TcpStart = frame.read(packet.transport)?;
    const OPENS: u8 = TcpFlags::SYN | TcpFlags::ACK;
    if start.flags & OPENS != OPENS {
        return None;
    }
    let room = vip::<F, T>(tables, packet.source)?.load(VIP_ROOM_WORD);
    let headers = F::HEADER + TcpStart::LEAST_LENGTH;
    let largest = (room as u32).checked_sub(headers)?.min(u16::MAX.into()) as u16;
    let end = packet.transport + start.header_length();
    replace(frame, packet.transport, end, largest)
}

/// Looks for the option from behind the header that begins at `transport` to `end`.
#[inline(never)]
fn replace<P: Frame>(frame: &mut P, transport: u32, end: u32, largest: u16) -> Option<Outcome> {
    let mut at = transport + TcpStart::LEAST_LENGTH;
    let mut turn = 0;
    while turn < MOST && at + u32::from(OCTETS) <= end {
        turn += 1;
        let [kind, length] = frame.read::<[u8; 2]>(at)?;
        match kind {
            END => return None,
            NO_OPERATION => at += 1,
            MAXIMUM_SEGMENT_SIZE if length == OCTETS => {
                let old = frame.read::<[u8; 2]>(at + 2)?;
                if u16::from_be_bytes(old) <= largest {
                    return None;
                }
                let new = largest.to_be_bytes();
                let halves = [old, new].map(|octets| {
                    // Across two words of the sum, each octet has the other's place.
                    let half = u16::from_ne_bytes(octets);
                    if (at - transport) & 1 == 0 {
                        half
                    } else {
                        half.swap_bytes()
                    }
                });
                let [before, after] = halves;
                let is_written = frame.write(at + 2, &new)
                    && frame.update_transport_checksum(
                        transport + TcpStart::CHECKSUM,
                        InternetChecksum::Always,
                        Difference::NONE,
                        Difference::of_half(before, after),
                    );
                return Some(if is_written {
                    Outcome::SegmentSizeClamped
                } else {
                    Outcome::NotWritable
                });
            }
            _ if length < 2 => return None,
            _ => at += u32::from(length),
        }
    }
    None
}
