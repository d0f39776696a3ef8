//! The destination of a new connection, by a scheduler or by a template of persistence.

use super::super::passage::Passage;
use super::matching::Matched;
use super::{Scheduling, Unopened};
use crate::family::Family;
use crate::frame::Frame;
use crate::reason::Reason;
use crate::schedule;
use crate::table::connection::{
    Direction, Entry, Found, Key, Life, Links, destination_of, has_expired, reclaim_seen,
};
use crate::table::destination::Destination;
use crate::table::service::Service;
use crate::table::settings::{Settings, behaviour};
use crate::table::{Tables, Words, connection, destination};

/// A destination that has been chosen.
pub(super) struct Choice<W> {
    pub(super) id: u32,
    /// Turns of its service that the choice has taken.
    pub(super) turns: u32,
    pub(super) generation: u16,
    pub(super) destination: Destination<W>,
}

impl<W: Words> Choice<W> {
    /// The destination of an entry, if it takes connections.
    #[inline(always)]
    pub(super) fn of<T: Tables<Words = W>>(tables: &T, entry: Entry<W>) -> Option<Choice<W>> {
        let (id, generation) = entry.destination();
        let destination = destination_of(tables, entry)?;
        let available = destination.heading().flags() & destination::flags::AVAILABLE != 0;
        available.then_some(Choice {
            id,
            turns: 0,
            generation,
            destination,
        })
    }

    /// Its id in the lower half, the turns in the upper one.
    #[inline(always)]
    pub(super) fn to_note(&self) -> u64 {
        u64::from(self.id) | u64::from(self.turns) << 32
    }

    /// How its connections are forwarded.
    #[inline(always)]
    pub(super) fn method(&self) -> u8 {
        self.destination.heading().method()
    }

    /// Whether clients that a template ties to it come there, whatever its weight.
    #[inline(always)]
    pub(super) fn keeps_clients(&self, behaviour: u32) -> bool {
        let is_quiescent = self.destination.heading().flags() & destination::flags::QUIESCENT != 0;
        !is_quiescent || behaviour & behaviour::EXPIRE_QUIESCENT_TEMPLATE == 0
    }

    /// What an entry that is bound to it refers to.
    #[inline(always)]
    pub(super) fn links(&self) -> Links {
        Links {
            destination: self.id,
            destination_generation: self.generation,
            ..Links::default()
        }
    }
}

/// The destination for a new connection: the one that was searched for this packet, or one
/// that is found at once.
#[inline(always)]
pub(super) fn choose<T: Tables>(
    tables: &T,
    scheduling: &Scheduling,
) -> Result<Choice<T::Words>, Unopened> {
    let Scheduling {
        service_id,
        client,
        note,
        ..
    } = scheduling;
    let chosen = schedule::settle(tables, *service_id, client, *note);
    let chosen = chosen.ok_or(Unopened::Unsettled)?;
    let id = chosen.id();
    let destination = Destination(tables.destination(id).ok_or(Reason::NoDestination)?);
    let heading = destination.heading();
    // A member list that was replaced while we read it may have another service's members by now.
    if destination.service() != *service_id || heading.flags() & destination::flags::AVAILABLE == 0
    {
        return Err(Reason::NoDestination.into());
    }
    Ok(Choice {
        id,
        turns: chosen.turns(),
        generation: heading.generation(),
        destination,
    })
}

/// The template that ties the packet's client to a destination: the one there is, if its
/// destination still takes connections, or a new one.
#[inline(always)]
pub(super) fn template<F: Family, P: Frame, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    service: Service<T::Words>,
    matched: Matched,
    scheduling: &Scheduling,
) -> Result<Found<T::Words>, Unopened> {
    // A mark stands for every address, port and protocol that it is on.
    let (receiver, vport, protocol) = match matched {
        Matched::Mark(mark) => (F::of_mark(mark), 0, 0),
        Matched::Port(vport) => (passage.key.receiver, vport, passage.key.protocol),
    };
    let key = Key::<F> {
        sender: F::network(passage.key.sender, service.granularity()),
        receiver,
        ports: u32::from(vport) << 16,
        protocol,
        template: true,
    };
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let place = key.place(settings);
    if let Some(index) = connection::locate(tables, &key, &place) {
        let found = connection::found_at(tables, index.get()).ok_or(Reason::Contended)?;
        let life = found.entry.life();
        let lives = !has_expired(life, passage.now) || found.entry.held_connections() != 0;
        let holds = Choice::of(tables, found.entry)
            .is_some_and(|choice| choice.keeps_clients(settings.behaviour()));
        if lives && holds && found.is_same() {
            if P::IS_FAST_PATH && !scheduling.is_claimed {
                let (id, _) = found.entry.destination();
                return Err(Unopened::Unclaimed(u64::from(id)));
            }
            // IPVS: a template lasts as long as its service said when it was made
            // (ip_vs_sched_persist).
            let persistence = match found.entry.persistence() {
                0 => service.persistence_ticks(),
                ticks => ticks,
            };
            let expires = passage.now.wrapping_add(persistence);
            found.entry.renew(life, Life { expires, ..life });
            return Ok(found);
        }
        reclaim_seen(tables, found.index, found.generation);
    }
    let choice = choose(tables, scheduling)?;
    if P::IS_FAST_PATH && !scheduling.is_claimed {
        return Err(Unopened::Unclaimed(choice.to_note()));
    }
    let claim = connection::claim(tables, &place, passage.now).ok_or(Reason::Contended)?;
    let persistence = service.persistence_ticks();
    let life = Life {
        expires: passage.now.wrapping_add(persistence),
        state: 0,
        flags: 0,
        generation: 0,
    };
    let kind = (Direction::Forward, choice.method());
    let links = Links {
        persistence,
        ..choice.links()
    };
    claim.fill(tables, &key, kind, life, &links);
    let index = match connection::rival(tables, &key, &place, claim) {
        None => {
            choice.destination.bind_template();
            claim.publish(tables);
            claim.index()
        }
        Some(rival) => {
            claim.abandon(tables);
            rival
        }
    };
    // Index 0 stands for one that another processor is making.
    Ok(connection::found_at(tables, index).ok_or(Reason::Contended)?)
}
