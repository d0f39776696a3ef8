//! Destinations compared by their connections.

use super::{Chosen, is_open, open_bit};
use crate::table::destination::{Destination, flags, is_less};
use crate::table::service::{Service, scheduler};
use crate::table::settings::Settings;
use crate::table::{Tables, Words};

/// How many members are compared; a service with such a scheduler has no more of them.
pub const MOST_COMPARED: u32 = 256;

/// What a scheduler makes of a destination's connections.
///
/// Numbers and not branches, here and where loads are compared: the verifier in the kernel
/// would follow every branch anew at every member.
pub(super) struct Scale {
    active: u64,
    inactive: u64,
    /// Added where there is an active connection.
    busy: u64,
    /// Added where there is none.
    idle: u64,
    /// 1 if weights count, else 0.
    weighted: u64,
    /// The largest number of 32 bits.
    largest: u64,
    /// 0, of which the compiler knows nothing.
    nothing: u64,
}

impl Scale {
    /// The scale of lc (`ip_vs_lc.c`), wlc, lblc, lblcr, twos (`ip_vs_dest_conn_overhead` of
    /// `ip_vs.h`), sed (`ip_vs_sed.c`) or nq (`ip_vs_nq.c`).
    #[inline(always)]
    pub(super) fn of(number: u8, unknown_zero: u64) -> Scale {
        let is_delay = number == scheduler::SHORTEST_EXPECTED_DELAY;
        let never_queues = number == scheduler::NEVER_QUEUE;
        let by_active = u64::from(is_delay | never_queues);
        Scale {
            // An active connection is as much as 256 inactive ones, and counts among all.
            active: (257 - 256 * by_active) ^ unknown_zero,
            inactive: (1 - by_active) ^ unknown_zero,
            busy: by_active ^ unknown_zero,
            idle: u64::from(is_delay) ^ unknown_zero,
            weighted: u64::from(number != scheduler::LEAST_CONNECTION) ^ unknown_zero,
            largest: u64::from(u32::MAX) ^ unknown_zero,
            nothing: unknown_zero,
        }
    }

    #[inline(always)]
    fn load<W: Words>(&self, destination: Destination<W>) -> u64 {
        let (active, inactive) = destination.connections();
        let (active, inactive) = (u64::from(active), u64::from(inactive));
        let is_busy = active.wrapping_add(self.largest) >> 32;
        active
            .wrapping_mul(self.active)
            .wrapping_add(inactive.wrapping_mul(self.inactive))
            .wrapping_add(is_busy.wrapping_mul(self.busy))
            .wrapping_add((is_busy ^ 1).wrapping_mul(self.idle))
    }

    #[inline(always)]
    fn weight<W: Words>(&self, destination: Destination<W>) -> u64 {
        u64::from(destination.last_weight())
            .wrapping_mul(self.weighted)
            .wrapping_add(self.weighted ^ 1)
    }
}

/// That [`Best`] is the least loaded.
pub(super) const LEAST: bool = false;
/// That [`Best`] is the most loaded.
pub(super) const MOST: bool = true;

/// The best of those that were compared so far: whatever it is known by, or 0 for nobody; its
/// load; its weight.
pub(super) struct Best(pub(super) [u64; 3]);

impl Best {
    /// Nobody yet: any other has less than infinitely many connections for its weight.
    #[inline(always)]
    pub(super) fn none(unknown_zero: u64) -> Best {
        Best([unknown_zero, 1 ^ unknown_zero, unknown_zero])
    }

    /// Compares another one, if `is_candidate` is 1 and not 0.
    #[inline(always)]
    pub(super) fn offer<const MOST_WANTED: bool, W: Words>(
        &mut self,
        name: u64,
        destination: Destination<W>,
        scale: &Scale,
        is_candidate: u64,
    ) {
        let candidate = [name, scale.load(destination), scale.weight(destination)];
        let [_, load, weight] = candidate;
        let [best, best_load, best_weight] = self.0;
        let one = load.wrapping_mul(best_weight);
        let other = best_load.wrapping_mul(weight);
        // load / weight < best load / best weight, or the other way round
        let is_better = if MOST_WANTED {
            is_less(other, one) | is_less(best, 1)
        } else {
            is_less(one, other)
        };
        let mask = (is_better & is_candidate).wrapping_neg() ^ scale.nothing;
        for (best, candidate) in self.0.iter_mut().zip(candidate) {
            *best ^= (*best ^ candidate) & mask;
        }
    }
}

/// What comes of comparing all members of a service.
pub(super) struct Compared {
    /// The id of the least loaded one, and 1 more; 0 for nobody.
    least: u32,
    /// Whether a member has room to spare.
    pub(super) has_spare_room: bool,
}

impl Compared {
    /// The member with the least load for its weight, the first one of equals.
    #[inline(always)]
    pub(super) fn least(&self) -> Option<Chosen> {
        Chosen::new(self.least.wrapping_sub(1))
    }
}

/// Compares the members of a service.
#[inline(always)]
pub(super) fn compare<T: Tables>(tables: &T, service_id: u32) -> Compared {
    let compared = compared(tables, service_id);
    Compared {
        least: compared as u32,
        has_spare_room: compared >> 32 != 0,
    }
}

/// [`Compared`] as a number: the least loaded in the lower half, and in the upper one whether
/// there is room to spare.
#[inline(never)]
fn compared<T: Tables>(tables: &T, service_id: u32) -> u64 {
    let (Some(settings), Some(service)) = (tables.settings(), tables.service(service_id)) else {
        return 0;
    };
    let unknown_zero = Settings(settings).zero();
    let service = Service(service);
    let scale = Scale::of(service.scheduler(), unknown_zero);
    let (first, members) = service.members();
    let mut best = Best::none(unknown_zero);
    let mut spare = unknown_zero;
    // A whole word: of half of one that it puts on the stack, Linux 6.1 forgets the value.
    let mut place = 0u64;
    while place < u64::from(MOST_COMPARED) {
        if place >= u64::from(members) {
            break;
        }
        let Some(id) = tables.member(first.wrapping_add(place as u32)) else {
            break;
        };
        let Some(words) = tables.destination(id) else {
            break;
        };
        let destination = Destination(words);
        spare |= has_spare_room(destination, &scale);
        let is_open = open_bit(destination.heading());
        best.offer::<LEAST, _>(id.wrapping_add(1).into(), destination, &scale, is_open);
        place += 1;
    }
    best.0[0] & u64::from(u32::MAX) | spare << 32
}

/// 1 if the destination has less than half as many active connections as its weight, else 0.
#[inline(always)]
fn has_spare_room<W: Words>(destination: Destination<W>, scale: &Scale) -> u64 {
    let (active, _) = destination.connections();
    let is_quiescent = (destination.heading().0 >> flags::QUIESCENT.trailing_zeros()) & 1;
    let weight = u64::from(destination.last_weight()) ^ scale.nothing;
    is_less((u64::from(active) * 2) ^ scale.nothing, weight) & (is_quiescent ^ 1)
}

/// The less loaded of two members drawn by lot (`ip_vs_twos.c`); none if neither takes the
/// connection.
#[inline(always)]
pub(super) fn less_of_two<T: Tables>(
    tables: &T,
    first: u32,
    members: u32,
    lot: u32,
) -> Option<Chosen> {
    let scale = Scale::of(scheduler::POWER_OF_TWO_CHOICES, 0);
    let other_lot = (lot ^ lot >> 15).wrapping_mul(0x9e37_79b1).rotate_left(16);
    let one = tables.member(first.wrapping_add(lot % members))?;
    let other = tables.member(first.wrapping_add(other_lot % members))?;
    let (one_load, one_weight) = weighed(tables, &scale, one);
    let (other_load, other_weight) = weighed(tables, &scale, other);
    let id = if one_load.wrapping_mul(other_weight) > other_load.wrapping_mul(one_weight) {
        other
    } else {
        one
    };
    if one_weight | other_weight == 0 {
        return None;
    }
    Chosen::new(id)
}

/// Load and weight of a destination; more than any other's for none if it takes no
/// connection.
#[inline(always)]
fn weighed<T: Tables>(tables: &T, scale: &Scale, id: u32) -> (u64, u64) {
    match tables.destination(id) {
        Some(words) if is_open(Destination(words).heading()) => {
            let destination = Destination(words);
            (scale.load(destination), scale.weight(destination))
        }
        _ => (1, 0),
    }
}
