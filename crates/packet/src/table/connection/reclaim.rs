//! How an entry goes out of the table.

use super::{
    Control, Direction, Entry, Place, STRIDE, activity_of, control_of, destination_of, flags,
    header_index,
};
use crate::flow;
use crate::reason::Reason;
use crate::table::settings::{Settings, Ticks, ticks_between};
use crate::table::{Tables, Words};

/// Takes a live entry out of the table, with its peer, and takes back what it counted for.
/// False if somebody else was faster.
pub fn reclaim<T: Tables>(tables: &T, index: u32) -> bool {
    super::found_at(tables, index)
        .is_some_and(|found| reclaim_seen(tables, index, found.generation))
}

/// The same for the entry that had this generation, and for no other that has come into its
/// way since.
#[inline(never)]
pub fn reclaim_seen<T: Tables>(tables: &T, index: u32, generation: u16) -> bool {
    let Some(line) = tables.connection(index) else {
        return false;
    };
    let entry = Entry(line);
    match entry.direction() {
        Direction::Forward => reclaim_forward(tables, index, generation),
        Direction::Reverse => {
            let peer = entry.peer();
            // The generation is read before the peer: if it still holds when the entry is
            // taken, so did the rest.
            let forward = tables
                .connection(peer)
                .map(Entry)
                .map(|forward| (forward.life(), forward.peer()));
            match forward {
                Some((life, back)) if back == index => {
                    entry.life().generation == generation
                        && reclaim_forward(tables, peer, life.generation)
                }
                // Without its forward entry it counts for nothing.
                _ => free(tables, index, generation),
            }
        }
    }
}

/// Makes a live entry of this generation ours alone; false if somebody else was faster.
#[inline(always)]
fn take<W: Words>(header: W, way: usize, generation: u16) -> Option<Control> {
    let control = Control(header.load(way));
    let is_it = control.is_live() && control.generation() as u16 == generation;
    (is_it && header.compare_exchange(way, control.0, control.busy().0)).then_some(control)
}

#[inline(always)]
fn reclaim_forward<T: Tables>(tables: &T, index: u32, generation: u16) -> bool {
    let Some((header, way)) = control_of(tables, index) else {
        return false;
    };
    let Some(control) = take(header, way, generation) else {
        return false;
    };
    if let Some(line) = tables.connection(index) {
        let entry = Entry(line);
        settle_accounts(tables, entry);
        if !entry.is_template() {
            let peer = entry.peer();
            if peer != 0
                && let Some(line) = tables.connection(peer)
            {
                let peer_generation = Entry(line).life().generation;
                if Entry(line).peer() == index {
                    free(tables, peer, peer_generation);
                }
            }
        }
        entry.clear_peer();
    }
    header.exchange(way, control.freed().0);
    true
}

/// Frees an entry that counts for nothing.
#[inline(always)]
fn free<T: Tables>(tables: &T, index: u32, generation: u16) -> bool {
    let Some((header, way)) = control_of(tables, index) else {
        return false;
    };
    let Some(control) = take(header, way, generation) else {
        return false;
    };
    if let Some(line) = tables.connection(index) {
        let entry = Entry(line);
        entry.end();
        entry.clear_peer();
    }
    header.exchange(way, control.freed().0);
    true
}

/// Frees a way on which nobody is at work any more: its owner died. What its entry counted
/// for may have been taken back or not.
pub fn free_abandoned<T: Tables>(tables: &T, index: u32, seen: Control) {
    if let Some((header, way)) = control_of(tables, index)
        && seen.is_busy()
    {
        header.compare_exchange(way, seen.0, seen.freed().0);
    }
}

/// Ends an entry's life, and takes back what it counted for at its destination and its template.
#[inline(always)]
fn settle_accounts<T: Tables>(tables: &T, entry: Entry<T::Words>) {
    let life = entry.end();
    if let Some(destination) = destination_of(tables, entry) {
        if entry.is_template() {
            destination.unbind_template();
        } else {
            destination.unbind(activity_of(life));
        }
    }
    if life.flags & flags::CONTROLLED != 0
        && let Some(line) = tables.connection(entry.template())
    {
        Entry(line).release(entry.template_generation());
    }
}

/// Who gave up its way, the least loss first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Replaced {
    Expired = 0,
    Embryonic = 1,
    Live = 2,
    Template = 3,
}

impl Replaced {
    pub(super) fn reason(self) -> Reason {
        match self {
            Replaced::Expired => Reason::ReplacedExpired,
            Replaced::Embryonic => Reason::ReplacedEmbryonic,
            Replaced::Live => Reason::ReplacedLive,
            Replaced::Template => Reason::ReplacedTemplate,
        }
    }
}

/// What would be lost with an entry, as one number: the less, the sooner it goes.
///
/// ```text
/// class 2 (bits 40, 41) | time that is left, biased 32 (bits 8…39) | candidate 4
/// ```
///
/// One number and not a struct, and computed in a function of its own, because the
/// verifier in the kernel follows every branch of a loop's body in every turn.
type Loss = u64;
const CLASS_SHIFT: u32 = 40;
const LEFT_SHIFT: u32 = 8;
const NOTHING_TO_LOSE: Loss = u64::MAX;

/// Frees one way of two full sets: an expired entry, else one whose connection never came
/// about, else the one idle longest; a template last. A flood of new connections so pushes
/// out its own kind first.
#[inline(never)]
pub(super) fn make_room<T: Tables>(tables: &T, place: &Place, now: Ticks) -> Option<Replaced> {
    // 0, but the verifier does not know: what it knows of a number, down to single bits, it
    // tells apart in every turn of the loop, and there are more combinations than it has
    // patience for.
    let unknown_zero = Settings(tables.settings()?).zero();
    let mut least = NOTHING_TO_LOSE;
    let mut candidate = 0;
    while candidate < 2 * STRIDE {
        let loss = loss(tables, candidate_index(place, candidate), now) | u64::from(candidate);
        least = least.min(loss ^ unknown_zero) ^ unknown_zero;
        candidate += 1;
    }
    let class = match least >> CLASS_SHIFT {
        0 => Replaced::Expired,
        1 => Replaced::Embryonic,
        2 => Replaced::Live,
        3 => Replaced::Template,
        _ => return None,
    };
    let index = candidate_index(place, (least & 0xf) as u32);
    reclaim(tables, index).then_some(class)
}

/// The index of one of the ways, headers counted, of both sets.
#[inline(always)]
fn candidate_index(place: &Place, candidate: u32) -> u32 {
    let [first, second] = place.sets;
    let set = if candidate < STRIDE { first } else { second };
    header_index(set) + (candidate & (STRIDE - 1))
}

/// What would be lost with the entry: its class, and among equals the time that is left to
/// it. Of a connection that is the time relative to its state's own timeout, so that the
/// one idle longest has least.
#[inline(never)]
fn loss<T: Tables>(tables: &T, index: u32, now: Ticks) -> Loss {
    let Some((header, way)) = control_of(tables, index) else {
        return NOTHING_TO_LOSE;
    };
    if way == 0 || !Control(header.load(way)).is_live() {
        return NOTHING_TO_LOSE;
    }
    let Some(line) = tables.connection(index) else {
        return NOTHING_TO_LOSE;
    };
    let mut owner = Entry(line);
    if owner.direction() == Direction::Reverse {
        // The forward entry knows; a reverse entry without one is as good as expired.
        match tables.connection(owner.peer()) {
            Some(line) if Entry(line).peer() == index => owner = Entry(line),
            _ => return 0,
        }
    }
    let Some(settings) = tables.settings() else {
        return NOTHING_TO_LOSE;
    };
    let life = owner.life();
    let left = ticks_between(now, life.expires);
    let idle = left.wrapping_sub(Settings(settings).timeout(owner.protocol(), life.state) as i32);
    let held = owner.is_template() && owner.held_connections() != 0;
    let (class, left) = if left <= 0 && !held {
        (Replaced::Expired, left)
    } else if owner.is_template() {
        (Replaced::Template, left)
    } else if flow::is_embryonic(
        owner.protocol(),
        life.state,
        life.flags & flags::ANSWERED != 0,
    ) {
        (Replaced::Embryonic, idle)
    } else {
        (Replaced::Live, idle)
    };
    let biased = (left as u32) ^ 0x8000_0000;
    (class as u64) << CLASS_SHIFT | u64::from(biased) << LEFT_SHIFT
}
