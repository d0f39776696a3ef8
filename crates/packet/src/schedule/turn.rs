//! Members of a list in turn: one after the other, or from a place on.

use super::{Chosen, Client, hash, takes_connection};
use crate::table::destination::Destination;
use crate::table::service::{Service, scheduler};
use crate::table::settings::Settings;
use crate::table::{Tables, Words};

/// How many members are looked at for one that takes a connection.
///
/// Of a longer list of wrr it is half as many from the cursor on, and then as many at the end
/// of the list, where every destination stands once: with up to 64 destinations the one
/// that is left is found, however long the list is.
const LOOKS: u32 = 128;

/// The place whose turn it is (`ip_vs_rr.c`, `ip_vs_wrr.c`).
#[inline(always)]
pub(super) fn next<W: Words>(service: Service<W>, members: u32) -> u32 {
    (service.advance_cursor() % u64::from(members)) as u32
}

/// The first member that takes a connection: from the cursor on (rr, wrr), from the
/// beginning (fo, ovf), from the slot that follows a client's own in its order (sh), or from
/// one drawn by lot (twos).
#[inline(never)]
pub(super) fn walk<T: Tables>(tables: &T, service_id: u32, client: &Client) -> Option<Chosen> {
    let nothing = Settings(tables.settings()?).zero();
    let unknown_zero = nothing as u32;
    let service = Service(tables.service(service_id)?);
    let (first, members) = service.members();
    if members == 0 {
        return None;
    }
    let number = service.scheduler();
    let is_weighted = number == scheduler::WEIGHTED_ROUND_ROBIN;
    let is_turn = number == scheduler::ROUND_ROBIN || is_weighted;
    let start = match number {
        _ if is_turn => (service.cursor() % u64::from(members)) as u32,
        // `ip_vs_sh_get_fallback` adds the slot to itself before it goes on.
        scheduler::SOURCE_HASHING => 2 * hash::source_slot(client, service.flags()) % members,
        scheduler::POWER_OF_TWO_CHOICES => client.lot % members,
        _ => 0,
    };
    let resume = if is_weighted && members > LOOKS {
        members - LOOKS
    } else {
        start
    };
    let limit = if number == scheduler::OVERFLOW {
        u32::MAX
    } else {
        0
    };
    let search = Walk {
        first: first ^ unknown_zero,
        members: members ^ unknown_zero,
        start: start ^ unknown_zero,
        resume: resume ^ unknown_zero,
        limit: limit ^ unknown_zero,
        nothing,
    };
    let found = search.find(tables).unwrap_or(0);
    let mut turns = 0;
    if is_turn && found == 0 {
        // The turn stays where it was: one was taken before.
        service.give_turns_back(1);
    } else if is_turn {
        let looks = ((found >> 32) as u32).wrapping_add(members - start) % members + 1;
        service.advance_cursor_by(looks.into());
        turns = looks + 1;
    }
    Chosen::by_turns((found as u32).wrapping_sub(1), turns)
}

struct Walk {
    first: u32,
    members: u32,
    start: u32,
    resume: u32,
    limit: u32,
    /// 0, of which the compiler knows nothing.
    nothing: u64,
}

impl Walk {
    /// The id, and 1 more, of the member that is found, with its place in the upper half.
    #[inline(always)]
    fn find<T: Tables>(&self, tables: &T) -> Option<u64> {
        // A whole word, as where loads are compared.
        let mut look = 0u64;
        while look < u64::from(LOOKS) {
            if look >= u64::from(self.members) {
                break;
            }
            let origin = if look < u64::from(LOOKS / 2) {
                self.start
            } else {
                self.resume
            };
            let place = origin.wrapping_add(look as u32) % self.members;
            // No list has such a member; to end here keeps the loop to one way through it.
            let id = tables.member(self.first.wrapping_add(place))?;
            let destination = Destination(tables.destination(id)?);
            if takes_connection(destination, self.limit, self.nothing) {
                return Some(u64::from(place) << 32 | u64::from(id.wrapping_add(1)));
            }
            look += 1;
        }
        None
    }
}
