//! The link-layer addresses that this host has on its devices: its own, and those of virtual
//! routers. Only the fast path needs them told; later hooks hear from the kernel whom a
//! frame is for.
//!
//! A set-associative table in a plain array, since every frame at XDP is looked up here, and a
//! hash of the kernel's takes as long as a third of all that is done for a packet.
//!
//! ```text
//! STATION_SETS   array of sets of eight ways   word 2w      address, as in a frame 48; 0 for a free way
//!                                              word 2w + 1  device 32
//! ```

use super::Words;
use crate::frame::Frame;
use crate::wire::MacAddress;

/// Sets of the table.
pub const SETS: u32 = 1024;
/// Words of a set.
pub const WORDS: usize = 2 * WAYS;
const WAYS: usize = 8;

/// The link-layer address that a frame is sent to, or one of this host, in the lower 48 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Station {
    /// The device, by its index.
    pub device: u32,
    address: u64,
}

impl Station {
    const ADDRESS: u64 = 0xffff_ffff_ffff;

    /// The station with this address at a device.
    pub fn new(device: u32, address: MacAddress) -> Station {
        let [a, b, c, d, e, f] = address;
        Station::of_octets(device, [a, b, c, d, e, f, 0, 0])
    }

    /// The station that a frame is for; none if there is no whole header.
    #[inline(always)]
    pub fn of_frame<P: Frame>(frame: &P) -> Option<Station> {
        // The destination comes first, and the source after it.
        let octets = frame.read::<[u8; 8]>(0)?;
        Some(Station::of_octets(frame.device(), octets))
    }

    #[inline(always)]
    fn of_octets(device: u32, octets: [u8; 8]) -> Station {
        let address = u64::from_le_bytes(octets) & Self::ADDRESS;
        Station { device, address }
    }

    /// The number of the set in which it stands.
    #[inline(always)]
    pub fn set(self) -> u32 {
        let mixed =
            (self.address ^ u64::from(self.device) << 24).wrapping_mul(0x9fb2_1c65_1e98_df25);
        (mixed >> (64 - SETS.trailing_zeros())) as u32
    }

    /// Whether it is in its set.
    #[inline(always)]
    pub fn is_in<W: Words>(self, set: W) -> bool {
        self.way_in(set).is_some()
    }

    #[inline(always)]
    fn way_in<W: Words>(self, set: W) -> Option<usize> {
        let mut way = 0;
        while way < WAYS {
            if set.load(2 * way) == self.address && set.load(2 * way + 1) == self.device.into() {
                return Some(way);
            }
            way += 1;
        }
        None
    }

    /// Enters it into its set, once; false if there is no room. A program may look between any
    /// two words: the address comes last.
    pub fn enter<W: Words>(self, set: W) -> bool {
        if self.is_in(set) {
            return true;
        }
        let Some(free) = (0..WAYS).find(|way| set.load(2 * way) == 0) else {
            return false;
        };
        set.store(2 * free + 1, self.device.into());
        set.exchange(2 * free, self.address);
        true
    }

    /// Takes everything out of a set that is not wanted. The address goes first.
    pub fn retain<W: Words>(set: W, is_wanted: impl Fn(Station) -> bool) {
        for way in 0..WAYS {
            let (address, device) = (set.load(2 * way), set.load(2 * way + 1) as u32);
            if address != 0 && !is_wanted(Station { device, address }) {
                set.exchange(2 * way, 0);
            }
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::host::SharedWords;

    /// What a director with two devices and every virtual router of both families has, and then
    /// one with half of that.
    #[test]
    fn what_was_entered_is_found_and_nothing_else() {
        let sets = SharedWords::new(SETS as usize * WORDS);
        let set = |station: Station| sets.entry(station.set(), WORDS).unwrap();
        let all: BTreeSet<Station> = (0..2)
            .flat_map(|device| {
                (0..=255).flat_map(move |router| {
                    [1, 2].map(|family| Station::new(device + 3, [0, 0, 0x5e, 0, family, router]))
                })
            })
            .collect();
        for station in all.iter().chain(&all) {
            assert!(station.enter(set(*station)));
        }
        assert!(all.iter().all(|station| station.is_in(set(*station))));
        let used = (0..SETS * WAYS as u32).filter(|way| {
            let entry = sets.entry(way / WAYS as u32, WORDS).unwrap();
            entry.load(2 * (*way as usize % WAYS)) != 0
        });
        assert_eq!(used.count(), all.len(), "entered once each");
        let is_wanted = |station: Station| station.device == 3;
        for number in 0..SETS {
            Station::retain(sets.entry(number, WORDS).unwrap(), is_wanted);
        }
        for station in &all {
            assert_eq!(station.is_in(set(*station)), is_wanted(*station));
        }
    }

    #[test]
    fn a_set_without_room_says_so() {
        let set = SharedWords::new(WORDS);
        let set = set.entry(0, WORDS).unwrap();
        for router in 0..8 {
            assert!(Station::new(3, [0, 0, 0x5e, 0, 1, router]).enter(set));
        }
        assert!(!Station::new(3, [0, 0, 0x5e, 0, 1, 8]).enter(set));
        assert!(Station::new(3, [0, 0, 0x5e, 0, 1, 7]).enter(set));
    }
}
