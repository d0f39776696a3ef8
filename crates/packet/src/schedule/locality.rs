//! Locality-based schedulers: connections to an address go where others to it went, as long
//! as the real server is not overloaded (`ip_vs_lblc.c`, `ip_vs_lblcr.c` in Linux).

use super::load::{self, Best, LEAST, MOST, Scale};
use super::{Chosen, Client, open_bit};
use crate::table::destination::{Destination, Heading, flags, is_less};
use crate::table::locality::{Locality, LocalityKey, SERVERS};
use crate::table::service::{Service, scheduler};
use crate::table::settings::{Settings, Ticks, ticks_between};
use crate::table::{Tables, Words};

/// The real server for a connection to an address.
#[inline(always)]
pub(super) fn choose<T: Tables>(
    tables: &T,
    service_id: u32,
    client: &Client,
    key: &LocalityKey,
) -> Option<Chosen> {
    let number = Service(tables.service(service_id)?).scheduler();
    let expiration = Settings(tables.settings()?).locality_expiration(number);
    let memory = tables.locality(key).map(Locality);
    let kept = match memory {
        Some(memory) => {
            let idle = ticks_between(memory.last_use(), client.now);
            if idle > expiration {
                forget(memory);
            }
            let kept = least_of_set(tables, memory.0, number);
            let unchanged = ticks_between(memory.last_change(), client.now);
            if number == scheduler::LOCALITY_BASED_WITH_REPLICATION && unchanged > expiration {
                drop_most_loaded(tables, memory.0, client.now);
            }
            memory.set_last_use(client.now);
            Chosen::from_note(kept)
        }
        None => None,
    };
    if let Some(kept) = kept {
        let destination = Destination(tables.destination(kept.id())?);
        let (active, _) = destination.connections();
        if active <= destination.weight() {
            return Some(kept);
        }
    }
    let compared = load::compare(tables, service_id);
    // Who has more than his share is kept while nobody else has room to spare.
    if kept.is_some() && !compared.has_spare_room {
        return kept;
    }
    let chosen = compared.least()?;
    let heading = Destination(tables.destination(chosen.id())?).heading();
    let memory = match memory {
        Some(memory) => memory.0,
        None => tables.new_locality(key)?,
    };
    Locality(memory).set_last_use(client.now);
    remember(memory, server(chosen.id(), heading), number, client.now);
    Some(chosen)
}

/// A real server as it is remembered.
#[inline(always)]
fn server(id: u32, heading: Heading) -> u64 {
    u64::from(id.wrapping_add(1)) | u64::from(heading.generation()) << 32
}

fn forget<W: Words>(memory: Locality<W>) {
    let mut place = 0;
    while place < SERVERS {
        memory.set_server(place, 0);
        place += 1;
    }
}

/// Enters a real server: of lblc in the place of the one before, of lblcr before all others,
/// unless it is in the set.
#[inline(never)]
fn remember<W: Words>(memory: W, server: u64, number: u8, now: Ticks) {
    let memory = Locality(memory);
    if number == scheduler::LOCALITY_BASED {
        memory.set_server(0, server);
        memory.set_last_change(now);
        return;
    }
    let mut place = 0;
    while place < SERVERS {
        if memory.server(place) == server {
            return;
        }
        place += 1;
    }
    let mut moved = server;
    let mut place = 0;
    while place < SERVERS && moved != 0 {
        let before = memory.server(place);
        memory.set_server(place, moved);
        moved = before;
        place += 1;
    }
    memory.set_last_change(now);
}

/// The least loaded real server of a set, the first one of equals, as a note; 0 for none
/// (`ip_vs_dest_set_min`). That it is overloaded by its thresholds does not matter to lblc.
#[inline(never)]
fn least_of_set<T: Tables>(tables: &T, memory: T::Words, number: u8) -> u64 {
    let Some(settings) = tables.settings() else {
        return 0;
    };
    let unknown_zero = Settings(settings).zero();
    let scale = Scale::of(number, unknown_zero);
    let is_single = number == scheduler::LOCALITY_BASED;
    let overlooked = u64::from(is_single) << flags::OVERLOADED.trailing_zeros() ^ unknown_zero;
    let mut best = Best::none(unknown_zero);
    let mut place = 0;
    while place < SERVERS {
        let server = Locality(memory).server(place);
        place += 1;
        let Some(destination) = remembered(tables, server) else {
            continue;
        };
        let heading = Heading(destination.heading().0 & !overlooked);
        best.offer::<LEAST, _>(server, destination, &scale, open_bit(heading));
    }
    best.0[0] & u64::from(u32::MAX)
}

/// Takes the most loaded real server out of a set of more than one (`ip_vs_dest_set_max`).
#[inline(never)]
fn drop_most_loaded<T: Tables>(tables: &T, memory: T::Words, now: Ticks) {
    let Some(settings) = tables.settings() else {
        return;
    };
    let unknown_zero = Settings(settings).zero();
    let memory = Locality(memory);
    let scale = Scale::of(scheduler::LOCALITY_BASED_WITH_REPLICATION, unknown_zero);
    let mut best = Best::none(unknown_zero);
    let mut servers = unknown_zero;
    let mut place = 0;
    while place < SERVERS {
        let server = memory.server(place);
        place += 1;
        let Some(destination) = remembered(tables, server) else {
            continue;
        };
        servers += 1;
        let has_weight = is_less(0, destination.weight().into());
        best.offer::<MOST, _>(server, destination, &scale, has_weight);
    }
    let most = best.0[0];
    if servers < 2 || most == 0 {
        return;
    }
    let mut place = 0;
    while place < SERVERS {
        if memory.server(place) == most {
            memory.set_server(place, 0);
        }
        place += 1;
    }
    memory.set_last_change(now);
}

/// The destination that was remembered, unless there is another in its place now.
#[inline(always)]
fn remembered<T: Tables>(tables: &T, server: u64) -> Option<Destination<T::Words>> {
    let id = (server as u32).wrapping_sub(1);
    let destination = Destination(tables.destination(id)?);
    (destination.heading().generation() == (server >> 32) as u16).then_some(destination)
}
