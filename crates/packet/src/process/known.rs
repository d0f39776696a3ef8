//! A packet of a connection that is in the table.

use super::passage::Passage;
use super::{Decision, Stage};
use crate::family::{Family, V4, V6};
use crate::flow::{self, Side};
use crate::forward::{self, Exit, Rewritten, tunnel};
use crate::frame::{Frame, Notes};
use crate::reason::Reason;
use crate::table::connection::{
    self, Direction, Entry, Found, Key, Life, assure_template, destination_of, flags, has_expired,
    reclaim_seen,
};
use crate::table::destination::{self, Activity, Destination, method};
use crate::table::settings::{Settings, Ticks, behaviour};
use crate::table::{Tables, Traffic, Words};
use crate::wire::protocol;

/// A packet that may belong to a connection in the table.
#[inline(always)]
pub(super) fn known<F: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = Passage::<F>::read(frame, tables, now)?;
    if P::IS_FAST_PATH && passage.key.protocol == protocol::SCTP {
        return Err(Reason::NotTransport);
    }
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    if let Some(mut found) = connection::find(tables, &passage.key, &passage.place) {
        found.index = settings.blur(found.index.into()) as u32;
        let known = match found.entry.direction() {
            Direction::Forward => from_client(frame, tables, &passage, found)?,
            Direction::Reverse => from_server(frame, tables, &passage, found)?,
        };
        if let Known::Decided(decision) = known {
            return Ok(decision);
        }
    }
    if !passage
        .segment
        .opens(passage.key.protocol, settings.behaviour())
    {
        return Err(Reason::NotFirst);
    }
    frame.note(&Notes::default());
    Ok(Decision::Later(if F::NUMBER == 4 {
        Stage::Open4
    } else {
        Stage::Open6
    }))
}

/// What became of a packet of a connection that is in the table.
enum Known {
    /// It is forwarded, or all is ready for it.
    Decided(Decision),
    /// The connection is over; the packet may open a new one.
    Over,
}

/// A packet of a known connection, from its client.
#[inline(always)]
fn from_client<F: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    passage: &Passage<F>,
    found: Found<T::Words>,
) -> Result<Known, Reason> {
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let life = found.entry.life();
    let behaviour = settings.behaviour();
    let is_first = passage.segment.is_first(passage.key.protocol);
    let half_seen = found.entry.method() != method::NAT;
    // Of a client that keeps its destination a new connection would get the same one.
    let gives_way = is_first
        && life.flags & flags::CONTROLLED == 0
        && flow::gives_way(passage.key.protocol, life.state, half_seen, behaviour);
    if has_expired(life, passage.now) || gives_way {
        reclaim_seen(tables, found.index, found.generation);
        return Ok(Known::Over);
    }
    let (id, _) = found.entry.destination();
    let destination = destination_of(tables, found.entry);
    if !found.is_same() {
        return Ok(Known::Over);
    }
    let destination = destination.ok_or(Reason::DestinationRemoved)?;
    let heading = destination.heading();
    if heading.flags() & destination::flags::HELD == 0 {
        return Err(Reason::NotHeld);
    }
    let is_removed = heading.flags() & destination::flags::AVAILABLE == 0;
    if behaviour & behaviour::EXPIRE_NODEST_CONN != 0 {
        let is_quiescent = heading.flags() & destination::flags::QUIESCENT != 0;
        if is_removed || is_first && is_quiescent {
            reclaim_seen(tables, found.index, found.generation);
            return Ok(Known::Over);
        }
    }
    if is_removed {
        return Err(Reason::DestinationRemoved);
    }
    let hand = Hand {
        method: found.entry.method(),
        family: heading.family(),
    };
    let side = if hand.method == method::NAT {
        Side::Client
    } else {
        Side::ClientOnly
    };
    forward::claim_hop::<P>(passage.time_to_live)?;
    let exit = exit_to_server(frame, passage, hand, destination).blurred(settings);
    exit.claim(frame)?;
    advance(tables, passage, found.entry, life, side, destination);
    tables.count(id, Traffic::In(passage.length));
    if life.flags & flags::ONE_PACKET != 0 {
        reclaim_seen(tables, found.index, found.generation);
    }
    exit.check()?;
    to_server(frame, passage, hand, (id, destination), exit, settings).map(Known::Decided)
}

/// A packet of a known connection, from its real server.
#[inline(always)]
fn from_server<F: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    passage: &Passage<F>,
    found: Found<T::Words>,
) -> Result<Known, Reason> {
    let forward = Entry(
        tables
            .connection(found.entry.peer())
            .ok_or(Reason::Malformed)?,
    );
    let life = forward.life();
    if forward.peer() != found.index || has_expired(life, passage.now) {
        reclaim_seen(tables, found.index, found.generation);
        return Ok(Known::Over);
    }
    let (id, _) = forward.destination();
    let destination = destination_of(tables, forward);
    let as_client_sends: Key<F> = forward.key();
    // The forward entry goes only after this one.
    if life.has_ended() || !found.is_same() {
        return Ok(Known::Over);
    }
    let new = Rewritten {
        source: as_client_sends.receiver,
        destination: passage.key.receiver,
        ports: as_client_sends.ports.rotate_left(16),
    };
    let account = || {
        if let Some(destination) = destination {
            advance(tables, passage, forward, life, Side::Server, destination);
            tables.count(id, Traffic::Out(passage.length));
        }
    };
    let verdict = if P::IS_FAST_PATH {
        forward::claim_hop::<P>(passage.time_to_live)?;
        let packet = passage.outgoing();
        let exit = forward::way_to_client(frame, found.entry, &packet, new.source);
        exit.claim(frame)?;
        account();
        forward::translate(frame, &packet, &new, exit)?
    } else {
        // In this order there is less to be kept in mind, and the kernel's stack is small.
        account();
        forward::answer(frame, &passage.outgoing(), found.entry, &new)?
    };
    let forwarded = Decision::Forwarded(verdict, Reason::ForwardedToClient);
    Ok(Known::Decided(forwarded))
}

/// By what a client's packet goes to its real server.
#[derive(Clone, Copy)]
pub(super) struct Hand {
    /// Of [`method`].
    pub(super) method: u8,
    /// The family of the real server's address.
    pub(super) family: u8,
}

/// Where a client's packet leaves for the real server of its connection.
#[inline(always)]
pub(super) fn exit_to_server<F: Family, P: Frame, W: Words>(
    frame: &P,
    passage: &Passage<F>,
    hand: Hand,
    destination: Destination<W>,
) -> Exit {
    match hand.family {
        4 => exit_by::<F, V4, P, W>(frame, passage, hand, destination),
        _ => exit_by::<F, V6, P, W>(frame, passage, hand, destination),
    }
}

/// The same, by the routes of the family `O`: another one than the packet's only in a tunnel.
#[inline(always)]
fn exit_by<F: Family, O: Family, P: Frame, W: Words>(
    frame: &P,
    passage: &Passage<F>,
    hand: Hand,
    destination: Destination<W>,
) -> Exit {
    let (packet, largest) = if hand.method == method::TUNNEL {
        let source = tunnel::source::<O, W>(destination);
        let protocol = tunnel::outer_protocol::<F, W>(destination);
        let overhead = tunnel::overhead::<O, W>(destination);
        ((source, protocol), passage.largest + overhead)
    } else {
        let [first, second] = F::to_words(passage.key.sender);
        let source = O::from_words(first, second);
        ((source, passage.key.protocol), passage.largest)
    };
    forward::way_to_server::<O, P, W>(frame, destination, packet, largest, passage.stamp)
}

/// Sends a client's packet to the real server of its connection, or has a later stage put it
/// into a tunnel that has anything to do with IPv6.
#[inline(always)]
fn to_server<F: Family, P: Frame, W: Words>(
    frame: &mut P,
    passage: &Passage<F>,
    hand: Hand,
    (id, destination): (u32, Destination<W>),
    exit: Exit,
    settings: Settings<W>,
) -> Result<Decision, Reason> {
    let packet = passage.outgoing();
    let verdict = match hand.method {
        method::DIRECT => forward::pass_on(frame, &packet, exit)?,
        method::TUNNEL if F::NUMBER == 4 && hand.family == 4 => {
            tunnel::encapsulate::<F, V4, P, W>(frame, destination, exit, passage.flow(), settings)?
        }
        method::TUNNEL => {
            let Exit([heading, first, second]) = exit;
            let id_and_flow = u64::from(id) | u64::from(passage.flow()) << 32;
            frame.note(&[id_and_flow, heading, first, second]);
            return Ok(Decision::Later(match hand.family {
                4 => Stage::Tunnel64,
                _ if F::NUMBER == 4 => Stage::Tunnel46,
                _ => Stage::Tunnel66,
            }));
        }
        _ => {
            let new = Rewritten {
                source: passage.key.sender,
                destination: forward::address_of::<F, _>(destination),
                ports: with_server_port(passage.key.ports, destination.port()),
            };
            forward::translate(frame, &packet, &new, exit)?
        }
    };
    Ok(Decision::Forwarded(verdict, forwarded(exit)))
}

/// Puts a packet into a tunnel whose way out has been found.
#[inline(always)]
pub(super) fn tunnelled<F: Family, O: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
) -> Result<Decision, Reason> {
    let [id_and_flow, heading, first, second] = frame.noted();
    let exit = Exit([heading, first, second]);
    let flow = (id_and_flow >> 32) as u32;
    let destination = tables.destination(id_and_flow as u32);
    let destination = Destination(destination.ok_or(Reason::DestinationRemoved)?);
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let verdict =
        tunnel::encapsulate::<F, O, P, T::Words>(frame, destination, exit, flow, settings)?;
    Ok(Decision::Forwarded(verdict, forwarded(exit)))
}

/// What a packet that leaves there counts as.
#[inline(always)]
fn forwarded(exit: Exit) -> Reason {
    if exit.is_here() {
        Reason::DeliveredHere
    } else {
        Reason::ForwardedToServer
    }
}

/// The client's ports with the real server's instead of the virtual one.
#[inline(always)]
pub(super) fn with_server_port(ports: u32, server: u16) -> u32 {
    if server == 0 {
        ports
    } else {
        ports & 0xffff | u32::from(server) << 16
    }
}

/// Takes a connection to its next state and puts its expiry off, if either changes.
#[inline(always)]
fn advance<F: Family, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    entry: Entry<T::Words>,
    life: Life,
    side: Side,
    destination: Destination<T::Words>,
) {
    let Some(settings) = tables.settings() else {
        return;
    };
    let protocol = passage.key.protocol;
    let state = passage.segment.advance(protocol, side, life.state);
    let expires = passage
        .now
        .wrapping_add(Settings(settings).timeout(protocol, state));
    let activity = flow::activity(protocol, state);
    let mut new_flags = life.flags & !flags::INACTIVE;
    if activity == Activity::Inactive {
        new_flags |= flags::INACTIVE;
    }
    if side == Side::Server {
        new_flags |= flags::ANSWERED;
    }
    let new = Life {
        expires,
        state,
        flags: new_flags,
        ..life
    };
    // Whoever is second has read an older state; the next packet puts that right.
    if new == life || !entry.renew(life, new) {
        return;
    }
    if (new.flags ^ life.flags) & flags::INACTIVE != 0 {
        destination.rebind(activity);
    }
    let has_news = state != life.state || (new.flags & !life.flags) & flags::ANSWERED != 0;
    if life.flags & flags::CONTROLLED != 0 && has_news && flow::assures(protocol, state, side) {
        assure_template(tables, entry);
    }
}
