//! Where the services' member lists stand.
//!
//! A service has room for two lists of the same size. A new list is written where the old
//! one is not, and taken into use by one store; a program that has just read where the old
//! one is may still read from it.

use std::collections::BTreeMap;

use elver_packet::table::{Words, service};
use elver_sys::bpf::Maps;

use super::Slots;

/// The room of a service: a power of two of places, the lower half and the upper half one
/// list each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    start: u32,
    places: u32,
}

/// Which places are in use.
#[derive(Debug)]
pub(super) struct MemberPlaces {
    /// Room by the service's id.
    rooms: BTreeMap<u32, Room>,
    /// Starts of rooms that were given back, by their size.
    free: BTreeMap<u32, Vec<u32>>,
    /// The first place that was never used.
    next: u32,
    capacity: u32,
}

impl MemberPlaces {
    /// Finds out what an earlier director used.
    pub(super) fn read<'a>(maps: &Maps, all: impl Iterator<Item = &'a Slots>) -> MemberPlaces {
        let mut rooms = BTreeMap::new();
        for slots in all {
            let Some(words) = maps.service(slots.service) else {
                continue;
            };
            let word = words.load(service::ROOM_WORD);
            let room = Room {
                start: word as u32,
                places: (word >> 32) as u32,
            };
            if room.places != 0 {
                rooms.insert(slots.service, room);
            }
        }
        let next = rooms
            .values()
            .map(|room| room.start + room.places)
            .max()
            .unwrap_or(0);
        MemberPlaces {
            rooms,
            free: BTreeMap::new(),
            next,
            capacity: maps.member_places(),
        }
    }

    /// A service is gone.
    pub(super) fn release(&mut self, service: u32) {
        if let Some(room) = self.rooms.remove(&service) {
            self.free.entry(room.places).or_default().push(room.start);
        }
    }

    /// Writes a service's list of members, and takes it into use. False if there is no room.
    pub(super) fn write(&mut self, maps: &Maps, service_id: u32, members: &[u32]) -> bool {
        let Some(words) = maps.service(service_id) else {
            return false;
        };
        let Some(room) = self.room(service_id, members.len()) else {
            return false;
        };
        words.store(
            service::ROOM_WORD,
            u64::from(room.start) | u64::from(room.places) << 32,
        );
        let upper = room.start + room.places / 2;
        let old = words.load(service::MEMBERS_WORD);
        let start = if old as u32 == upper {
            room.start
        } else {
            upper
        };
        for (place, member) in (start..).zip(members) {
            maps.set_member(place, *member);
        }
        let before = read(maps, old);
        words.store(
            service::CURSOR_WORD,
            cursor_after(&before, words.load(service::CURSOR_WORD), members),
        );
        words.exchange(
            service::MEMBERS_WORD,
            u64::from(start) | (members.len() as u64) << 32,
        );
        true
    }

    fn room(&mut self, service: u32, members: usize) -> Option<Room> {
        let places = u32::try_from(members.next_power_of_two() * 2).ok()?;
        if let Some(room) = self.rooms.get(&service)
            && room.places >= places
        {
            return Some(*room);
        }
        let reused = self.free.get_mut(&places).and_then(Vec::pop);
        let start = match reused {
            Some(start) => start,
            None => {
                let start = self.next;
                let end = start
                    .checked_add(places)
                    .filter(|end| *end <= self.capacity)?;
                self.next = end;
                start
            }
        };
        self.release(service);
        let room = Room { start, places };
        self.rooms.insert(service, room);
        Some(room)
    }
}

fn read(maps: &Maps, word: u64) -> Vec<u32> {
    let (start, members) = (word as u32, (word >> 32) as u32);
    (start..start.saturating_add(members))
        .filter_map(|place| maps.member(place))
        .collect()
}

/// Where round robin goes on in a new list: after the member that it used last or, if that
/// is gone, after the one before it (`ip_vs_rr_del_dest` in the kernel).
fn cursor_after(before: &[u32], cursor: u64, after: &[u32]) -> u64 {
    if before.is_empty() || cursor == 0 {
        return 0;
    }
    let last = ((cursor - 1) % before.len() as u64) as usize;
    let survivor = before[..=last]
        .iter()
        .rev()
        .find_map(|member| after.iter().position(|new| new == member));
    survivor.map_or(0, |position| position as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_robin_goes_on_where_it_was() {
        // Nothing used yet.
        assert_eq!(cursor_after(&[3, 2, 1], 0, &[4, 3, 2, 1]), 0);
        // 2 was last; a new one came in front.
        assert_eq!(cursor_after(&[3, 2, 1], 2, &[4, 3, 2, 1]), 3);
        // 2 was last, and is gone: on after 3.
        assert_eq!(cursor_after(&[3, 2, 1], 2, &[3, 1]), 1);
        // 3, the first, was last and is gone: from the beginning.
        assert_eq!(cursor_after(&[3, 2, 1], 1, &[2, 1]), 0);
        // Several turns later.
        assert_eq!(cursor_after(&[3, 2, 1], 3 * 7, &[3, 2, 1]), 3);
    }
}
