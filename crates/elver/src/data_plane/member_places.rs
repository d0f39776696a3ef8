//! Where the services' member lists stand.
//!
//! A service has room for two lists of the same size. A new list is written where the old
//! one is not, and taken into use by one store; a program that has just read where the old
//! one is may still read from it.

use std::collections::BTreeMap;

use elver_packet::schedule::list::{MemberList, Position};
use elver_packet::table::service::Service;
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

    /// Writes a service's list of members for a scheduler, and takes it into use. False if
    /// there is no room.
    pub(super) fn write(
        &mut self,
        maps: &Maps,
        service_id: u32,
        scheduler: u8,
        list: &MemberList,
    ) -> bool {
        let Some(words) = maps.service(service_id) else {
            return false;
        };
        let Some(room) = self.room(service_id, list.members.len()) else {
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
        for (place, member) in (start..).zip(&list.members) {
            maps.set_member(place, *member);
        }
        // Another scheduler's memory is of no use.
        let (before, position) = if Service(words).scheduler() == scheduler {
            read(maps, words)
        } else {
            Default::default()
        };
        let position = list.position_after(scheduler, &before, position);
        words.store(service::CURSOR_WORD, position.cursor);
        words.store(
            service::SCHEDULER_WORD,
            u64::from(position.begun_at) | u64::from(list.step) << 32,
        );
        words.exchange(
            service::MEMBERS_WORD,
            u64::from(start) | (list.members.len() as u64) << 32,
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

/// The list that a service has, and how far its scheduler has come in it.
fn read<W: Words>(maps: &Maps, words: W) -> (MemberList, Position) {
    let (start, members) = Service(words).members();
    let memory = words.load(service::SCHEDULER_WORD);
    let list = MemberList {
        members: (start..start.saturating_add(members))
            .filter_map(|place| maps.member(place))
            .collect(),
        step: (memory >> 32) as u32,
    };
    let position = Position {
        cursor: Service(words).cursor(),
        begun_at: memory as u32,
    };
    (list, position)
}
