//! What the director does for packets in fragments, which the programs in the kernel cannot:
//! it holds fragments that came before the first of their packet, and cuts packets that are
//! too large for their way.

use std::collections::VecDeque;
use std::time::Duration;

use elver_packet::checksum::fold;
use elver_packet::family::{V4, V6};
use elver_packet::frame::Route;
use elver_packet::host::HostFrame;
use elver_packet::table::fragment::FragmentKey;
use elver_packet::wire::{EtherType, Ethernet};

/// So many fragments are held at most; of more, those that came first are given up.
const MOST: usize = 1024;
/// So long is a fragment held. The kernel waits for 30 seconds (`ipfrag_time`), but for whole
/// packets; those whose first fragment overtakes no others are only out of order.
const LIMIT: Duration = Duration::from_secs(5);
/// How long after one look the next one is.
const INTERVAL: Duration = Duration::from_millis(2);

/// Fragments that wait for the first of their packet. Times are on any clock that does not
/// jump.
#[derive(Debug, Default)]
pub struct WaitingFragments {
    waiting: VecDeque<Waiting>,
    next_look: Duration,
}

#[derive(Debug)]
struct Waiting {
    key: FragmentKey,
    since: Duration,
    frame: Vec<u8>,
}

impl WaitingFragments {
    /// Holds a frame, from its Ethernet header on. What is no fragment is not held.
    pub fn hold(&mut self, now: Duration, frame: Vec<u8>) {
        let Some(key) = key_of(&frame) else {
            return;
        };
        if self.waiting.is_empty() {
            self.next_look = now + INTERVAL;
        }
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting {
            key,
            since: now,
            frame,
        });
    }

    /// When [`Self::release`] is to be called next, if fragments wait.
    pub fn poll_timeout(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.next_look)
    }

    /// Takes those out whose first fragment has come, in the order in which they came, and
    /// gives those up that have waited for too long.
    pub fn release(
        &mut self,
        now: Duration,
        has_come: impl Fn(&FragmentKey) -> bool,
    ) -> Vec<Vec<u8>> {
        let mut released = Vec::new();
        self.waiting.retain_mut(|waiting| {
            let comes = has_come(&waiting.key);
            if comes {
                released.push(std::mem::take(&mut waiting.frame));
            }
            !comes && now.saturating_sub(waiting.since) < LIMIT
        });
        self.next_look = now + INTERVAL;
        released
    }
}

fn key_of(frame: &[u8]) -> Option<FragmentKey> {
    use elver_packet::family::Family;
    use elver_packet::frame::Frame;
    let frame = HostFrame::new(frame.to_vec(), |_: &_| Route::None);
    match frame.read::<Ethernet>(0)?.ether_type() {
        EtherType::IPV4 => {
            let (packet, piece) = V4::parse_piece(&frame).ok()?;
            piece.is_fragment().then(|| FragmentKey::of(&packet, piece))
        }
        EtherType::IPV6 => {
            let (packet, piece) = V6::parse_piece(&frame).ok()?;
            piece.is_fragment().then(|| FragmentKey::of(&packet, piece))
        }
        _ => None,
    }
}

/// Cuts an IPv4 packet into fragments of at most `largest` octets (RFC 791, section 3.2), which
/// may itself be one. `frame` begins with an Ethernet header, and so do the fragments. None if
/// the packet may not be cut, or not that small.
pub fn cut(frame: &[u8], largest: u32) -> Option<Vec<Vec<u8>>> {
    const DONT_FRAGMENT: u16 = 0x4000;
    const MORE_FRAGMENTS: u16 = 0x2000;
    const OFFSET: u16 = 0x1fff;
    let (ethernet, packet) = frame.split_at_checked(Ethernet::LENGTH as usize)?;
    let header_length = usize::from(packet.first()? & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let flags = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
    let (header, payload) = packet.get(..total)?.split_at_checked(header_length)?;
    if packet.first()? >> 4 != 4 || header_length < 20 || flags & DONT_FRAGMENT != 0 {
        return None;
    }
    // Where a fragment begins is counted in units of eight octets.
    let room = (largest as usize).checked_sub(header_length)? & !7;
    if room == 0 {
        return None;
    }
    let pieces = payload.len().div_ceil(room);
    let mut fragments = Vec::with_capacity(pieces);
    for (number, piece) in payload.chunks(room).enumerate() {
        let mut header = if number == 0 {
            header.to_vec()
        } else {
            header_of_later(header)
        };
        let is_last = number + 1 == pieces;
        let more = if is_last {
            flags & MORE_FRAGMENTS
        } else {
            MORE_FRAGMENTS
        };
        let offset = (flags & OFFSET) + u16::try_from(number * room / 8).ok()?;
        let length = u16::try_from(header.len() + piece.len()).ok()?;
        header[0] = 0x40 | u8::try_from(header.len() / 4).ok()?;
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header[6..8].copy_from_slice(&(more | offset).to_be_bytes());
        header[10..12].copy_from_slice(&[0; 2]);
        let sum: u64 = header
            .chunks_exact(2)
            .map(|two| u64::from(u16::from_ne_bytes([two[0], two[1]])))
            .sum();
        header[10..12].copy_from_slice(&(!fold(sum)).to_ne_bytes());
        fragments.push([ethernet, &header, piece].concat());
    }
    Some(fragments)
}

/// The header of fragments behind the first: of options only those with the copied flag
/// (RFC 791, section 3.1).
fn header_of_later(header: &[u8]) -> Vec<u8> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const COPIED: u8 = 0x80;
    let (fixed, mut options) = header.split_at(20);
    let mut later = fixed.to_vec();
    while let [kind, rest @ ..] = options {
        match *kind {
            END => break,
            NO_OPERATION => options = rest,
            kind => {
                let length = rest.first().map_or(0, |length| usize::from(*length));
                let Some((option, behind)) = options.split_at_checked(length.max(2)) else {
                    break;
                };
                if kind & COPIED != 0 {
                    later.extend(option);
                }
                options = behind;
            }
        }
    }
    later.resize(later.len().next_multiple_of(4), END);
    later
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet without options, of so many octets in all.
    fn packet(total: u16, flags: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0x12, 0x34]);
        frame.extend(flags.to_be_bytes());
        frame.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend((0..total - 20).map(|octet| octet as u8));
        frame
    }

    fn describe(frame: &[u8]) -> (usize, u16, bool) {
        let flags = u16::from_be_bytes([frame[20], frame[21]]);
        let sum: u64 = frame[14..14 + usize::from(frame[14] & 0xf) * 4]
            .chunks_exact(2)
            .map(|two| u64::from(u16::from_ne_bytes([two[0], two[1]])))
            .sum();
        assert_eq!(fold(sum), 0xffff, "the header's checksum");
        (frame.len() - 14, (flags & 0x1fff) * 8, flags & 0x2000 != 0)
    }

    #[test]
    fn a_packet_is_cut_into_what_fits() {
        let whole = packet(1500, 0);
        let fragments = cut(&whole, 576).unwrap();
        let described: Vec<_> = fragments.iter().map(|frame| describe(frame)).collect();
        assert_eq!(
            described,
            [(572, 0, true), (572, 552, true), (396, 1104, false)]
        );
        let payload: Vec<u8> = fragments
            .iter()
            .flat_map(|frame| frame[34..].to_vec())
            .collect();
        assert_eq!(payload, whole[34..]);
    }

    #[test]
    fn a_fragment_is_cut_into_fragments_of_the_same_packet() {
        // The second of three, from octet 800 on.
        let fragments = cut(&packet(820, 0x2000 | 100), 500).unwrap();
        let described: Vec<_> = fragments.iter().map(|frame| describe(frame)).collect();
        assert_eq!(described, [(500, 800, true), (340, 1280, true)]);
    }

    #[test]
    fn what_must_stay_whole_stays_whole() {
        assert_eq!(cut(&packet(1500, 0x4000), 576), None);
        assert_eq!(cut(&packet(1500, 0), 24), None);
        assert_eq!(cut(&packet(1500, 0)[..60], 576), None);
        assert_eq!(cut(&[], 576), None);
    }

    #[test]
    fn options_that_are_to_be_copied_are_in_every_fragment() {
        let mut frame = packet(1500, 0);
        // Record route, which is not copied; and a router alert, which is.
        let options = [7, 3, 4, 1, 0x94, 4, 0, 0];
        frame.splice(34..34, options);
        frame[14] = 0x47;
        frame[16..18].copy_from_slice(&1508u16.to_be_bytes());
        let fragments = cut(&frame, 1000).unwrap();
        assert_eq!(fragments[0][34..42], options);
        assert_eq!(fragments[1][14], 0x46);
        assert_eq!(fragments[1][34..38], [0x94, 4, 0, 0]);
        assert_eq!(
            describe(&fragments[1]).1,
            describe(&fragments[0]).0 as u16 - 28
        );
    }

    #[test]
    fn a_fragment_waits_for_the_first_and_not_for_ever() {
        let mut waiting = WaitingFragments::default();
        assert_eq!(waiting.poll_timeout(), None);
        let start = Duration::from_secs(100);
        let later = packet(500, 100);
        waiting.hold(start, later.clone());
        // No fragment.
        waiting.hold(start, packet(500, 0));
        assert_eq!(waiting.poll_timeout(), Some(start + INTERVAL));
        assert!(waiting.release(start + INTERVAL, |_| false).is_empty());
        let key = key_of(&later).unwrap();
        assert_eq!(
            waiting.release(start + 2 * INTERVAL, |come| *come == key),
            std::slice::from_ref(&later)
        );
        assert_eq!(waiting.poll_timeout(), None);
        waiting.hold(start, later);
        assert!(waiting.release(start + LIMIT, |_| false).is_empty());
        assert_eq!(waiting.poll_timeout(), None);
    }

    #[test]
    fn a_flood_of_fragments_is_held_in_part() {
        let mut waiting = WaitingFragments::default();
        for _ in 0..2 * MOST {
            waiting.hold(Duration::ZERO, packet(500, 100));
        }
        assert_eq!(waiting.release(Duration::ZERO, |_| true).len(), MOST);
    }
}
