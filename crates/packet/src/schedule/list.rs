//! The member lists that a controller writes for the schedulers.
//!
//! They are made anew with every change of a service's destinations, as the kernel's
//! schedulers make theirs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::hash::{MAGLEV_KEYS, MAGLEV_SLOTS, SLOTS, short_siphash};
use crate::table::service::scheduler;

/// How many places the list of wrr and twos takes at the most, unless there are more
/// destinations than that. Weights that would need more, divided by what they have in
/// common, are rounded to what fits.
pub const MOST_TURNS: usize = 4096;

/// A destination, as its scheduler sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// Its weight; 0 takes no new connections.
    pub weight: u32,
    /// The last weight that was not 0; 0 if there was none.
    pub last_weight: u32,
    /// The real server's address, folded to 32 bits, in the machine's byte order.
    pub address: u32,
    /// The real server's port.
    pub port: u16,
}

/// A member list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberList {
    /// Ids of destinations, by place.
    pub members: Vec<u32>,
    /// Of wrr: by how much the weight that a turn takes falls with each turn; else 0.
    pub step: u32,
}

/// Where the choice goes on in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The cursor.
    pub cursor: u64,
    /// Of wrr: the cursor at which this list was begun.
    pub begun_at: u32,
}

/// The list of a scheduler, of [`scheduler`], for destinations that stand newest first.
pub fn member_list(scheduler: u8, candidates: &[Candidate]) -> MemberList {
    let ids =
        |candidates: &[Candidate]| -> Vec<u32> { candidates.iter().map(|one| one.id).collect() };
    match scheduler {
        scheduler::WEIGHTED_ROUND_ROBIN | scheduler::POWER_OF_TWO_CHOICES => turns(candidates),
        scheduler::SOURCE_HASHING => slots(candidates, |one| one.weight).into(),
        scheduler::DESTINATION_HASHING => slots(candidates, |_| 1).into(),
        scheduler::MAGLEV_HASHING => maglev(candidates).into(),
        scheduler::FAILOVER | scheduler::OVERFLOW => {
            let mut by_weight = candidates.to_vec();
            by_weight.retain(|one| one.weight != 0);
            by_weight.sort_by_key(|one| Reverse(one.weight));
            ids(&by_weight).into()
        }
        _ => ids(candidates).into(),
    }
}

impl From<Vec<u32>> for MemberList {
    fn from(members: Vec<u32>) -> MemberList {
        MemberList { members, step: 0 }
    }
}

fn common_divisor(weights: impl Iterator<Item = u32>) -> u32 {
    weights.fold(0, |one, other| {
        let (mut one, mut other) = (one, other);
        while other != 0 {
            (one, other) = (other, one % other);
        }
        one
    })
}

/// Turns of weighted round robin (`ip_vs_wrr.c`): in each, the weight that it takes to have
/// a place is less by the weights' common divisor, down to 1; then it begins again.
fn turns(candidates: &[Candidate]) -> MemberList {
    let weighted: Vec<(u32, u32)> = candidates
        .iter()
        .filter(|one| one.weight != 0)
        .map(|one| (one.id, one.weight))
        .collect();
    let step = common_divisor(weighted.iter().map(|(_, weight)| *weight));
    if step == 0 {
        return MemberList::default();
    }
    let places: u64 = weighted
        .iter()
        .map(|(_, weight)| u64::from(weight / step))
        .sum();
    let room = MOST_TURNS.max(weighted.len()) as u64;
    // How many turns a destination has a place in, the last ones.
    let share = |weight: u32| -> u32 {
        let exact = u64::from(weight / step);
        if places <= room {
            return exact as u32;
        }
        (exact * room / places).max(1) as u32
    };
    let longest = weighted.iter().map(|(_, weight)| share(*weight)).max();
    let members = (1..=longest.unwrap_or(0))
        .rev()
        .flat_map(|needed| {
            weighted
                .iter()
                .filter(move |(_, weight)| share(*weight) >= needed)
        })
        .map(|(id, _)| *id)
        .collect();
    MemberList { members, step }
}

/// 256 slots, filled with destinations in turn, each as many slots at a time as its share
/// says, and one at the least (`ip_vs_sh_reassign`, `ip_vs_dh_reassign`).
fn slots(candidates: &[Candidate], share: impl Fn(&Candidate) -> u32) -> Vec<u32> {
    candidates
        .iter()
        .cycle()
        .flat_map(|one| std::iter::repeat_n(one.id, share(one).max(1) as usize))
        .take(SLOTS as usize)
        .collect()
}

/// The Maglev table (`ip_vs_mh.c`): every destination has an order of its own of all slots,
/// and takes the first free one of it as often in turn as its weight says. A destination
/// that takes no connections for now keeps its slots.
fn maglev(candidates: &[Candidate]) -> Vec<u32> {
    /// The slots' number takes twelve bits; half of them are for the turns of a destination.
    const TURN_BITS: u32 = 6;
    let divisor = common_divisor(candidates.iter().map(|one| one.last_weight));
    if divisor == 0 {
        return Vec::new();
    }
    let largest = candidates.iter().map(|one| one.last_weight / divisor).max();
    let shift = (u32::BITS - largest.unwrap_or(0).leading_zeros()).saturating_sub(TURN_BITS);
    let mut orders: Vec<MaglevOrder> = candidates
        .iter()
        .filter(|one| one.last_weight != 0)
        .map(|one| {
            let value = one.address.wrapping_add(one.port.into());
            MaglevOrder {
                id: one.id,
                slot: short_siphash(value, MAGLEV_KEYS[0]) % MAGLEV_SLOTS,
                skip: short_siphash(value, MAGLEV_KEYS[1]) % (MAGLEV_SLOTS - 1) + 1,
                turns: ((one.last_weight / divisor) >> shift).max(1),
            }
        })
        .collect();
    let mut table = vec![None; MAGLEV_SLOTS as usize];
    let mut free = table.len();
    while free > 0 {
        for order in &mut orders {
            for _ in 0..order.turns {
                if free > 0 {
                    order.take(&mut table);
                    free -= 1;
                }
            }
        }
    }
    table.into_iter().flatten().collect()
}

struct MaglevOrder {
    id: u32,
    slot: u32,
    skip: u32,
    turns: u32,
}

impl MaglevOrder {
    /// Takes the next free slot; there is one, and since their number is a prime it is found.
    fn take(&mut self, table: &mut [Option<u32>]) {
        while table[self.slot as usize].is_some() {
            self.slot = (self.slot + self.skip) % MAGLEV_SLOTS;
        }
        table[self.slot as usize] = Some(self.id);
    }
}

impl MemberList {
    /// Where a scheduler goes on in this list that has chosen from `before`, up to
    /// `position`.
    pub fn position_after(
        &self,
        scheduler: u8,
        before: &MemberList,
        position: Position,
    ) -> Position {
        match scheduler {
            scheduler::ROUND_ROBIN => Position {
                cursor: self.after_last_used(before, position.cursor),
                begun_at: 0,
            },
            scheduler::WEIGHTED_ROUND_ROBIN => {
                let begun_at = self.turn_after(before, position);
                Position {
                    cursor: begun_at.into(),
                    begun_at,
                }
            }
            // lblc remembers a destination there.
            scheduler::LOCALITY_BASED => position,
            _ => Position::default(),
        }
    }

    /// Round robin: after the member that was used last or, if that is gone, after the one
    /// before it (`ip_vs_rr_del_dest`).
    fn after_last_used(&self, before: &MemberList, cursor: u64) -> u64 {
        if before.members.is_empty() || cursor == 0 {
            return 0;
        }
        let last = ((cursor - 1) % before.members.len() as u64) as usize;
        let survivor = before.members[..=last]
            .iter()
            .rev()
            .find_map(|member| self.members.iter().position(|new| new == member));
        survivor.map_or(0, |position| position as u64 + 1)
    }

    /// Weighted round robin: the beginning of the turn that takes the same weight as the one
    /// that was under way, as far as there is such a turn (`ip_vs_wrr_dest_changed`).
    fn turn_after(&self, before: &MemberList, position: Position) -> u32 {
        let turns = self.turns_after();
        let takes = |turns_after: u32| 1 + turns_after * self.step;
        let highest = turns.first().map_or(0, |turns_after| takes(*turns_after));
        let needed = match before.needed_at(position) {
            0 => highest,
            needed if needed > highest => highest,
            needed if self.step > 1 => needed / self.step * self.step + 1,
            needed => needed,
        };
        let begin = turns
            .iter()
            .position(|turns_after| takes(*turns_after) <= needed);
        begin.unwrap_or(0) as u32
    }

    /// The weight that the turn took in which a member was chosen last; where none was, the
    /// one to begin with; 0 for an empty list.
    fn needed_at(&self, position: Position) -> u32 {
        let turns = self.turns_after();
        if turns.is_empty() {
            return 0;
        }
        let place = if position.cursor == u64::from(position.begun_at) {
            position.cursor
        } else {
            position.cursor.wrapping_sub(1)
        };
        1 + turns[(place % turns.len() as u64) as usize] * self.step
    }

    /// For each place, how many turns come after its own: a member stands once in each.
    fn turns_after(&self) -> Vec<u32> {
        let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
        let mut turns: Vec<u32> = (self.members.iter().rev())
            .map(|member| {
                let times = seen.entry(*member).or_default();
                *times += 1;
                *times - 1
            })
            .collect();
        turns.reverse();
        turns
    }
}

#[cfg(test)]
mod tests;
