//! Frames that clients, real servers and routers send, right but for some octets.

use crate::support::everything::{Twins, corpus};

/// Octets behind a packet.
const BEHIND: [u8; 6] = [0x55, 0xaa, 0, 0xff, 0x11, 0x80];

/// A history. Of each frame: two octets which of the right ones it is, one how many changes
/// follow, each of two octets for the place and one for the value, and one for what comes then:
/// the end of the frame (odd; the rest by sixteens), or a pause.
pub(crate) fn meet(octets: &[u8]) {
    let mut octets = octets.iter().copied();
    let mut twins = Twins::new();
    'history: loop {
        let mut next = || octets.next();
        let (Some(high), Some(low), Some(changes)) = (next(), next(), next()) else {
            break;
        };
        let which = usize::from(u16::from_be_bytes([high, low]));
        let mut frame = corpus()[which % corpus().len()].clone();
        for _ in 0..changes % 8 {
            let (Some(high), Some(low), Some(value)) = (next(), next(), next()) else {
                break 'history;
            };
            let place = usize::from(u16::from_be_bytes([high, low]));
            if let Some(octet) = frame.get_mut(place) {
                *octet = value;
            }
        }
        let last = next().unwrap_or(0);
        if last % 2 == 1 {
            frame.truncate(usize::from(last / 2) * 16);
        }
        twins.meet(frame, &BEHIND[..usize::from(last) % BEHIND.len()]);
        if last % 2 == 0 && last > 0 {
            twins.wait(u32::from(last) * 4);
        }
    }
    twins.assert_right();
}
