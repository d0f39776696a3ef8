//! Connections that the director enters itself, as if a packet had opened them.

use std::net::SocketAddr;

use elver_packet::family::Family;
use elver_packet::flow;
use elver_packet::host::Slice;
use elver_packet::table::connection::{
    self, Direction, Found, Key, Life, Links, flags, found_at, reclaim_seen, rival,
};
use elver_packet::table::destination::{Activity, Destination};
use elver_packet::table::settings::{Settings, Ticks};
use elver_sys::bpf::{Clock, Maps};

use super::layout;

/// A connection to be entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// IP protocol number.
    pub(super) protocol: u8,
    /// The client.
    pub(super) from: SocketAddr,
    /// The virtual address and port.
    pub(super) to: SocketAddr,
    /// Where answers come from, if there is to be an entry for them.
    pub(super) answered_from: Option<SocketAddr>,
    /// The destination's id.
    pub(super) destination: u32,
    /// The state, by the numbers of its protocol.
    pub(super) state: u8,
    /// Flags of the entry.
    pub(super) flags: u8,
    /// After how many ticks it expires; none: as its state has it.
    pub(super) expires_in: Option<Ticks>,
    /// Whether it takes the place of what an earlier connection of the same ports has left.
    pub(super) replaces: bool,
}

/// A key of the connection table.
pub(super) fn key<F: Family>(protocol: u8, sender: SocketAddr, receiver: SocketAddr) -> Key<F> {
    let address = |address: SocketAddr| {
        let (first, second) = layout::address_words(address.ip());
        F::from_words(first, second)
    };
    Key {
        sender: address(sender),
        receiver: address(receiver),
        ports: u32::from(sender.port().to_be()) | u32::from(receiver.port().to_be()) << 16,
        protocol,
        template: false,
    }
}

/// Enters a connection, under `template` if there is one; its entry and the entry's generation.
/// None where the table has no place for it just now, or has it already.
pub(super) fn enter<F: Family>(
    maps: &Maps,
    clock: Clock,
    opening: &Opening,
    template: Option<&Found<Slice<'_>>>,
) -> Option<(u32, u16)> {
    let key = key::<F>(opening.protocol, opening.from, opening.to);
    let answer = opening
        .answered_from
        .map(|address| self::key::<F>(opening.protocol, address, opening.from));
    // What is missing shows before anything is claimed.
    let settings = Settings(maps.settings()?);
    let destination = Destination(maps.destination(opening.destination)?);
    let place = key.place(settings);
    let answer = answer.map(|answer| (answer, answer.place(settings)));
    if opening.replaces {
        for (key, place) in
            std::iter::once((&key, &place)).chain(answer.iter().map(|(k, p)| (k, p)))
        {
            if let Some(found) = connection::find(&maps, key, place) {
                reclaim_seen(&maps, found.index, found.generation);
            }
        }
    }
    let now = clock.now();
    let forward = connection::claim(&maps, &place, now)?;
    let mut reverse = None;
    if let Some((_, place)) = &answer {
        reverse = connection::claim(&maps, place, now);
        if reverse.is_none() {
            forward.abandon(&maps);
            return None;
        }
    }
    let heading = destination.heading();
    let activity = flow::activity(opening.protocol, opening.state);
    let mut life = Life {
        expires: now.wrapping_add(
            opening
                .expires_in
                .unwrap_or_else(|| settings.timeout(opening.protocol, opening.state)),
        ),
        state: opening.state,
        flags: opening.flags,
        generation: 0,
    };
    if activity == Activity::Inactive {
        life.flags |= flags::INACTIVE;
    }
    let mut links = Links {
        destination: opening.destination,
        destination_generation: heading.generation(),
        ..Links::default()
    };
    let method = heading.method();
    if let (Some(reverse), Some((answer, _))) = (reverse, &answer) {
        links.peer = forward.index();
        reverse.fill(&maps, answer, (Direction::Reverse, method), life, &links);
        links.peer = reverse.index();
    }
    let held = template.filter(|template| connection::hold(template));
    if let Some(template) = held {
        life.flags |= flags::CONTROLLED;
        links.template = template.index;
        links.template_generation = template.generation;
    }
    forward.fill(&maps, &key, (Direction::Forward, method), life, &links);
    let is_alone = rival(&maps, &key, &place, forward).is_none()
        && reverse
            .zip(answer)
            .is_none_or(|(reverse, (answer, place))| {
                rival(&maps, &answer, &place, reverse).is_none()
            });
    if !is_alone {
        if let Some(reverse) = reverse {
            reverse.abandon(&maps);
        }
        forward.abandon(&maps);
        if let Some(template) = held {
            connection::release(template);
        }
        return None;
    }
    destination.bind(activity);
    if let Some(reverse) = reverse {
        reverse.publish(&maps);
    }
    forward.publish(&maps);
    let entered = found_at(&maps, forward.index())?;
    Some((entered.index, entered.generation))
}
