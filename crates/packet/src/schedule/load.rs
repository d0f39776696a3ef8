//! Destinations compared by their connections.

use super::{Chosen, Client, is_open, open_bit};
use crate::table::destination::{Destination, flags, is_less};
use crate::table::service::{Service, scheduler};
use crate::table::settings::{Settings, Ticks, ticks_between};
use crate::table::{Tables, Words};

/// How many members are compared; a service with such a scheduler has no more of them.
pub const MOST_COMPARED: u32 = 256;

/// How long lblc remembers a choice that nobody asks for, in ticks: about a day, the default
/// of `lblc_expiration`.
const MEMORY: i32 = 86_400 * 8;

/// What a scheduler makes of a destination's connections.
///
/// Numbers and not branches, here and where loads are compared: the verifier in the kernel
/// would follow every branch anew at every member.
struct Scale {
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
    /// The scale of lc (`ip_vs_lc.c`), wlc, lblc, twos (`ip_vs_dest_conn_overhead` of
    /// `ip_vs.h`), sed (`ip_vs_sed.c`) or nq (`ip_vs_nq.c`).
    #[inline(always)]
    fn of(number: u8, unknown_zero: u64) -> Scale {
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

/// The member with the least load for its weight, the first one of equals.
#[inline(never)]
pub(super) fn least<T: Tables>(tables: &T, service_id: u32, client: &Client) -> Option<Chosen> {
    let unknown_zero = Settings(tables.settings()?).zero();
    let service = Service(tables.service(service_id)?);
    let number = service.scheduler();
    let scale = Scale::of(number, unknown_zero);
    let (first, members) = service.members();
    // No member yet: any other has less than infinitely many connections for its weight.
    let mut best = [unknown_zero, 1 ^ unknown_zero, unknown_zero];
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
        let member = [
            u64::from(id.wrapping_add(1)),
            scale.load(destination),
            scale.weight(destination),
        ];
        let [_, load, weight] = member;
        let [_, best_load, best_weight] = best;
        // load / weight < best load / best weight
        let has_less = is_less(
            load.wrapping_mul(best_weight),
            best_load.wrapping_mul(weight),
        );
        let is_better = has_less & open_bit(destination.heading());
        let mask = is_better.wrapping_neg() ^ unknown_zero;
        best = [
            best[0] ^ (best[0] ^ member[0]) & mask,
            best[1] ^ (best[1] ^ member[1]) & mask,
            best[2] ^ (best[2] ^ member[2]) & mask,
        ];
        place += 1;
    }
    let chosen = Chosen::new((best[0] as u32).wrapping_sub(1));
    if number != scheduler::LOCALITY_BASED {
        return chosen;
    }
    // A server that has more than its share is kept while no other has room to spare.
    if spare == 0
        && let Some(last) = remembered(tables, service, client.now)
    {
        return Some(last);
    }
    remember(tables, service, chosen?, client.now);
    chosen
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

/// The destination that lblc chose last, while it has no more active connections than its
/// weight (`ip_vs_lblc.c`). That it is overloaded by its thresholds does not matter there.
///
/// IPVS remembers a destination for each virtual address of a service; this is for services
/// that have one.
#[inline(always)]
pub(super) fn last_chosen<T: Tables>(
    tables: &T,
    service: Service<T::Words>,
    now: Ticks,
) -> Option<Chosen> {
    let last = remembered(tables, service, now)?;
    let destination = Destination(tables.destination(last.id())?);
    let (active, _) = destination.connections();
    (active <= destination.weight()).then_some(last)
}

/// What lblc chose last, if it may still be used; that counts as a use.
#[inline(always)]
fn remembered<T: Tables>(tables: &T, service: Service<T::Words>, now: Ticks) -> Option<Chosen> {
    let memory = service.cursor();
    let last = Chosen::new((memory as u32).wrapping_sub(1))?;
    let heading = Destination(tables.destination(last.id())?).heading();
    let is_fresh = ticks_between(service.last_use(), now) < MEMORY;
    let is_same = heading.generation() == (memory >> 32) as u16;
    let is_there = heading.flags() & (flags::AVAILABLE | flags::QUIESCENT) == flags::AVAILABLE;
    if !is_fresh || !is_same || !is_there {
        return None;
    }
    service.set_last_use(now);
    Some(last)
}

#[inline(always)]
fn remember<T: Tables>(tables: &T, service: Service<T::Words>, chosen: Chosen, now: Ticks) {
    let Some(words) = tables.destination(chosen.id()) else {
        return;
    };
    let generation = Destination(words).heading().generation();
    service.set_last_use(now);
    service.set_cursor(u64::from(chosen.id().wrapping_add(1)) | u64::from(generation) << 32);
}
