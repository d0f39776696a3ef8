//! IPv6 extension headers (RFC 8200, section 4): what can stand between the IPv6 header and
//! the transport's.
//!
//! ```text
//! hop-by-hop options, routing, destination options
//!                  | 0 next header | 1 units of eight octets after the first eight | 2 …
//! authentication   | 0 next header | 1 words after the first eight octets | 2 …        RFC 4302
//! fragment         | 0 next header | 1 0 | 2 offset 13, 0 2, more 1 | 4 identification (4)
//! ```
//!
//! What they say is not looked at, nor does the kernel's IPVS (`ipv6_find_hdr`): options are
//! for the director's own stack, which gets the packet only if it is not forwarded.

use crate::frame::{FARTHEST_HEADER, Frame};
use crate::reason::Reason;
use crate::wire::{Ethernet, Ipv6, Ipv6Fragment, protocol};

/// So many headers are walked at most. RFC 8200, section 4.1, recommends five at most.
const MOST: u32 = 8;

/// No transport header begins beyond this many octets of a frame: its fields have to be where
/// headers are read and written, also when that of a fragment comes before it.
const FARTHEST_TRANSPORT: u32 = FARTHEST_HEADER - 28;

/// For each protocol number how far its length field is to be shifted to make octets; 0 of
/// what is no extension header, or the last one that is looked at.
///
/// A table and no comparisons: of a number from memory the verifier in the kernel knows
/// nothing, so it does not follow each kind of header on its own.
static LENGTH_SHIFT: [u8; 256] = {
    let mut shift = [0; 256];
    shift[protocol::HOP_BY_HOP as usize] = 3;
    shift[protocol::ROUTING as usize] = 3;
    shift[protocol::DESTINATION_OPTIONS as usize] = 3;
    shift[protocol::AUTHENTICATION as usize] = 2;
    shift
};

/// What a packet carries behind its headers. `first` is the IPv6 header's next header.
///
/// # Errors
/// The headers are cut off or too long.
#[inline(always)]
pub(super) fn transport<P: Frame>(frame: &P, first: u8) -> Result<Contents, Reason> {
    let is_extension = matches!(
        first,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
    );
    if !is_extension {
        return Ok(Contents {
            protocol: first,
            offset: Ethernet::LENGTH + Ipv6::LENGTH,
            is_first_fragment: false,
        });
    }
    let end = walk(frame, first);
    if end == CUT_OFF {
        return Err(Reason::Malformed);
    }
    Ok(Contents {
        protocol: (end >> 32) as u8,
        offset: end as u32,
        is_first_fragment: end >> 40 != 0,
    })
}

/// What a packet carries.
pub(super) struct Contents {
    /// Its protocol number; that of a fragment's header if it is a later one.
    pub(super) protocol: u8,
    /// Where it begins, in octets from the start of the frame.
    pub(super) offset: u32,
    /// Whether the header of a first fragment stands before it.
    pub(super) is_first_fragment: bool,
}

/// What [`walk`] says of headers that it did not get through.
const CUT_OFF: u64 = 0;

/// The end of the walk: offset 32 | protocol 8 | first fragment 8, in one number, since it is a
/// function of its own.
#[inline(never)]
fn walk<P: Frame>(frame: &P, first: u8) -> u64 {
    frame.reach(FARTHEST_HEADER);
    let mut protocol = first;
    let mut offset = Ethernet::LENGTH + Ipv6::LENGTH;
    let mut turn = 0;
    while turn < MOST {
        let shift = LENGTH_SHIFT.get(usize::from(protocol)).copied();
        let shift = u32::from(shift.unwrap_or(0));
        if shift == 0 {
            break;
        }
        let Some([next, length]) = frame.read::<[u8; 2]>(offset) else {
            return CUT_OFF;
        };
        protocol = next;
        offset += 8 + (u32::from(length) << (shift & 3));
        if offset > FARTHEST_TRANSPORT {
            return CUT_OFF;
        }
        turn += 1;
    }
    let mut is_first = 0;
    if protocol == protocol::FRAGMENT {
        let Some(header) = frame.read::<Ipv6Fragment>(offset) else {
            return CUT_OFF;
        };
        if header.fragment_offset() == 0 {
            protocol = header.next_header;
            offset += Ipv6Fragment::LENGTH;
            is_first = 1;
        }
    }
    u64::from(offset) | u64::from(protocol) << 32 | is_first << 40
}
