//! The pipeline: what happens to a frame that arrives.
//!
//! ```text
//! for us? → IPv4 or IPv6 → TCP → connection table
//!   ├ as the client sends       → state → to the real server
//!   ├ as a real server answers  → state → to the client
//!   └ none → opens one? → service → held here? → persistence, or scheduler → new connection
//! ```

use core::num::NonZeroU32;

use crate::family::{Family, Packet, V4, V6};
use crate::flow::tcp::{self, Side, TcpState};
use crate::forward::{self, Outgoing, Rewritten};
use crate::frame::{Frame, Verdict};
use crate::reason::Reason;
use crate::schedule;
use crate::table::connection::{
    self, Claim, Direction, Entry, Found, Key, Life, Links, Place, destination_of, flags,
    has_expired, reclaim_seen,
};
use crate::table::destination::{self, Activity, Destination, method};
use crate::table::service::{self, Service, ServiceKey};
use crate::table::settings::{Settings, Ticks};
use crate::table::{Tables, Traffic, Words};
use crate::wire::{EtherType, Ethernet, TcpFlags, TcpStart, protocol};

/// Decides what becomes of a frame, rewrites it if it is forwarded, and counts why.
pub fn process<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Verdict {
    let mut stage = Stage::Arrive;
    loop {
        match step(stage, frame, tables, now) {
            Step::Done(verdict) => return verdict,
            Step::Next(next) => stage = next,
        }
    }
}

/// A stage of the pipeline. In the kernel each is a program with a stack of its own, which
/// reads the packet anew; nothing else goes from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// A frame arrives: all that is done for packets of IPv4 connections that are known.
    Arrive = 0,
    /// An IPv4 packet may open a connection.
    Open4 = 1,
    /// An IPv6 packet arrives.
    Arrive6 = 2,
    /// An IPv6 packet may open a connection.
    Open6 = 3,
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: u32 = 4;
}

/// How a stage ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// With a verdict.
    Done(Verdict),
    /// With another stage.
    Next(Stage),
}

/// One stage of the pipeline.
#[inline(always)]
pub fn step<P: Frame, T: Tables>(stage: Stage, frame: &mut P, tables: &T, now: Ticks) -> Step {
    let decision = match stage {
        Stage::Arrive => arrive(frame, tables, now),
        Stage::Arrive6 => known::<V6, P, T>(frame, tables, now),
        Stage::Open4 => open::<V4, P, T>(frame, tables, now),
        Stage::Open6 => open::<V6, P, T>(frame, tables, now),
    };
    let (verdict, reason) = match decision {
        Ok(Decision::Forwarded(verdict, reason)) => (verdict, reason),
        Ok(Decision::Later(stage)) => return Step::Next(stage),
        Err(reason) => (verdict_of(reason), reason),
    };
    tables.count_reason(reason);
    Step::Done(verdict)
}

/// What a packet that is not forwarded gets.
#[inline(always)]
fn verdict_of(reason: Reason) -> Verdict {
    if (reason as u8) < Reason::DestinationRemoved as u8 {
        Verdict::Pass
    } else {
        Verdict::Drop
    }
}

/// What a stage decides about a packet that is not turned away.
enum Decision {
    Forwarded(Verdict, Reason),
    Later(Stage),
}

#[inline(always)]
fn arrive<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Result<Decision, Reason> {
    if !frame.addressed_to_us() {
        return Err(Reason::NotForUs);
    }
    if frame.is_tagged() {
        return Err(Reason::Tagged);
    }
    let header: Ethernet = frame.read(0).ok_or(Reason::Malformed)?;
    match header.ether_type() {
        EtherType::IPV4 => known::<V4, P, T>(frame, tables, now),
        EtherType::IPV6 => Ok(Decision::Later(Stage::Arrive6)),
        _ => Err(Reason::NotIp),
    }
}

/// A packet on its way through the pipeline.
struct Passage<F: Family> {
    key: Key<F>,
    time_to_live: u8,
    /// Where the transport header begins, in octets from the start of the frame.
    transport: u32,
    /// Octets of the packet.
    length: u32,
    flags: TcpFlags,
    place: Place,
    /// The largest packet on a link, in octets, that the frame becomes.
    largest: u32,
    /// The stamp of next hops that are learned now.
    stamp: u16,
    now: Ticks,
}

impl<F: Family> Passage<F> {
    /// What forwarding has to know of a packet that found this entry.
    #[inline(always)]
    fn outgoing<W: Words>(&self, entry: Entry<W>) -> Outgoing<'_, F, W> {
        Outgoing {
            key: &self.key,
            time_to_live: self.time_to_live,
            transport: self.transport,
            largest: self.largest,
            entry,
            stamp: self.stamp,
        }
    }
}

impl<F: Family> Passage<F> {
    /// Reads a packet's headers.
    #[inline(always)]
    fn read<P: Frame, T: Tables>(frame: &P, tables: &T, now: Ticks) -> Result<Passage<F>, Reason> {
        let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
        if !settings.ready() {
            return Err(Reason::NotReady);
        }
        let packet: Packet<F> = F::parse(frame)?;
        if packet.protocol != protocol::TCP {
            return Err(Reason::NotTransport);
        }
        let segment: TcpStart = frame.read(packet.transport).ok_or(Reason::Malformed)?;
        let key = Key::<F> {
            sender: packet.source,
            receiver: packet.destination,
            ports: u32::from_ne_bytes(segment.ports),
            protocol: packet.protocol,
            template: false,
        };
        let place = key.place(settings);
        let largest = match frame.segment_payload() {
            0 => packet.length,
            payload => packet.transport - Ethernet::LENGTH + segment.header_length() + payload,
        };
        Ok(Passage {
            key,
            time_to_live: packet.time_to_live,
            transport: packet.transport,
            length: packet.length,
            flags: TcpFlags(segment.flags),
            place,
            largest,
            stamp: settings.next_hop_stamp(now),
            now,
        })
    }
}

/// A packet that may belong to a connection in the table.
#[inline(always)]
fn known<F: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = Passage::<F>::read(frame, tables, now)?;
    if let Some(found) = connection::find(tables, &passage.key, &passage.place) {
        let known = match found.entry.direction() {
            Direction::Forward => from_client(frame, tables, &passage, found)?,
            Direction::Reverse => from_server(frame, tables, &passage, found)?,
        };
        if let Known::Forwarded(verdict, reason) = known {
            return Ok(Decision::Forwarded(verdict, reason));
        }
    }
    if !passage.flags.any(TcpFlags::SYN) || passage.flags.any(TcpFlags::RST) {
        return Err(Reason::NotFirst);
    }
    Ok(Decision::Later(if F::NUMBER == 4 {
        Stage::Open4
    } else {
        Stage::Open6
    }))
}

/// What became of a packet of a connection that is in the table.
enum Known {
    /// It is forwarded.
    Forwarded(Verdict, Reason),
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
    let life = found.entry.life();
    // `conn_reuse_mode` 1: a SYN that meets a connection which is over begins a new one.
    let is_reuse = passage.flags.any(TcpFlags::SYN)
        && matches!(TcpState(life.state), TcpState::TIME_WAIT | TcpState::CLOSE);
    if has_expired(life, passage.now) || is_reuse {
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
    if heading.flags() & destination::flags::AVAILABLE == 0 {
        return Err(Reason::DestinationRemoved);
    }
    advance(
        tables,
        passage,
        found.entry,
        life,
        Side::Client,
        destination,
    );
    let verdict = to_server(frame, tables, passage, found.entry, id, destination)?;
    Ok(Known::Forwarded(verdict, Reason::ForwardedToServer))
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
    if let Some(destination) = destination {
        advance(tables, passage, forward, life, Side::Server, destination);
        tables.count(id, Traffic::Out(passage.length));
    }
    let new = Rewritten {
        source: as_client_sends.receiver,
        destination: passage.key.receiver,
        ports: as_client_sends.ports.rotate_left(16),
    };
    let verdict = forward::translate(frame, &passage.outgoing(found.entry), &new)?;
    Ok(Known::Forwarded(verdict, Reason::ForwardedToClient))
}

/// Sends a client's packet to the real server of its connection.
#[inline(always)]
fn to_server<F: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    passage: &Passage<F>,
    entry: Entry<T::Words>,
    id: u32,
    destination: Destination<T::Words>,
) -> Result<Verdict, Reason> {
    tables.count(id, Traffic::In(passage.length));
    let new = Rewritten {
        source: passage.key.sender,
        destination: address_of::<F, _>(destination),
        ports: with_server_port(passage.key.ports, destination.port()),
    };
    forward::translate(frame, &passage.outgoing(entry), &new)
}

#[inline(always)]
fn address_of<F: Family, W: Words>(destination: Destination<W>) -> F::Address {
    let first = destination.0.load(destination::ADDRESS_WORD);
    let second = destination.0.load(destination::ADDRESS_WORD + 1);
    F::from_words(first, second)
}

/// The client's ports with the real server's instead of the virtual one.
#[inline(always)]
fn with_server_port(ports: u32, server: u16) -> u32 {
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
    let state = tcp::next(side, passage.flags, TcpState(life.state));
    let expires = passage
        .now
        .wrapping_add(Settings(settings).tcp_timeout(state.0));
    let activity = state.activity();
    let inactive = if activity == Activity::Inactive {
        flags::INACTIVE
    } else {
        0
    };
    let new = Life {
        expires,
        state: state.0,
        flags: life.flags & !flags::INACTIVE | inactive,
        ..life
    };
    // Whoever is second has read an older state; the next packet puts that right.
    if new != life && entry.renew(life, new) && new.flags != life.flags {
        destination.rebind(activity);
    }
}

/// A packet that opens a connection, if there is a service for it.
#[inline(always)]
fn open<F: Family, P: Frame, T: Tables>(
    frame: &P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = Passage::<F>::read(frame, tables, now)?;
    let (service_id, vport) = find_service(tables, &passage).ok_or(Reason::NoService)?;
    let service = Service(tables.service(service_id).ok_or(Reason::NoService)?);
    if service.flags() & service::flags::HELD == 0 {
        return Err(Reason::NotHeld);
    }
    let (choice, template) = if service.flags() & service::flags::PERSISTENT == 0 {
        (choose(tables, service_id, service)?, None)
    } else {
        let template = template(tables, &passage, service_id, service, vport)?;
        (
            Choice::of(tables, template.entry).ok_or(Reason::NoDestination)?,
            NonZeroU32::new(template.index),
        )
    };
    enter(tables, &passage, &choice, template)?;
    // From here on it is a packet of a known connection.
    Ok(Decision::Later(if F::NUMBER == 4 {
        Stage::Arrive
    } else {
        Stage::Arrive6
    }))
}

/// The id of the packet's service and the service's port: the one with the packet's own
/// port, else the one for every port of the address.
#[inline(always)]
fn find_service<F: Family, T: Tables>(tables: &T, passage: &Passage<F>) -> Option<(u32, u16)> {
    let port = (passage.key.ports >> 16) as u16;
    let mut key = ServiceKey {
        address: F::to_octets(passage.key.receiver),
        mark: 0,
        port: port.to_ne_bytes(),
        protocol: passage.key.protocol,
        family: F::NUMBER,
    };
    if let Some(id) = tables.service_id(&key) {
        return Some((id, port));
    }
    key.port = [0; 2];
    tables.service_id(&key).map(|id| (id, 0))
}

/// A destination that has been chosen.
struct Choice<W> {
    id: u32,
    generation: u16,
    destination: Destination<W>,
}

impl<W: Words> Choice<W> {
    /// The destination of an entry, if it takes connections.
    #[inline(always)]
    fn of<T: Tables<Words = W>>(tables: &T, entry: Entry<W>) -> Option<Choice<W>> {
        let (id, generation) = entry.destination();
        let destination = destination_of(tables, entry)?;
        let available = destination.heading().flags() & destination::flags::AVAILABLE != 0;
        available.then_some(Choice {
            id,
            generation,
            destination,
        })
    }
}

impl<W> Choice<W> {
    /// What an entry that is bound to it refers to.
    #[inline(always)]
    fn links(&self) -> Links {
        Links {
            destination: self.id,
            destination_generation: self.generation,
            ..Links::default()
        }
    }
}

#[inline(always)]
fn choose<T: Tables>(
    tables: &T,
    service_id: u32,
    service: Service<T::Words>,
) -> Result<Choice<T::Words>, Reason> {
    let id = schedule::choose(tables, service).ok_or(Reason::NoDestination)?;
    let destination = Destination(tables.destination(id).ok_or(Reason::NoDestination)?);
    let heading = destination.heading();
    // A member list that was replaced while we read it may have another service's members by now.
    if destination.service() != service_id || heading.flags() & destination::flags::AVAILABLE == 0 {
        return Err(Reason::NoDestination);
    }
    Ok(Choice {
        id,
        generation: heading.generation(),
        destination,
    })
}

/// The template that ties the packet's client to a destination: the one there is, if its
/// destination still takes connections, or a new one.
#[inline(always)]
fn template<F: Family, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    service_id: u32,
    service: Service<T::Words>,
    vport: u16,
) -> Result<Found<T::Words>, Reason> {
    let key = Key::<F> {
        sender: F::network(passage.key.sender, service.persistence_prefix()),
        receiver: passage.key.receiver,
        ports: u32::from(vport) << 16,
        protocol: passage.key.protocol,
        template: true,
    };
    let place = key.place(Settings(tables.settings().ok_or(Reason::NotReady)?));
    let expires = passage.now.wrapping_add(service.persistence_ticks());
    if let Some(index) = connection::locate(tables, &key, &place) {
        let found = connection::found_at(tables, index.get()).ok_or(Reason::Contended)?;
        let life = found.entry.life();
        let lives = !has_expired(life, passage.now) || found.entry.held_connections() != 0;
        if lives && Choice::of(tables, found.entry).is_some() && found.is_same() {
            found.entry.renew(life, Life { expires, ..life });
            return Ok(found);
        }
        reclaim_seen(tables, found.index, found.generation);
    }
    let choice = choose(tables, service_id, service)?;
    let claim = connection::claim(tables, &place, passage.now).ok_or(Reason::Contended)?;
    let life = Life {
        expires,
        state: 0,
        flags: 0,
        generation: 0,
    };
    claim.fill(tables, &key, Direction::Forward, life, &choice.links());
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
    connection::found_at(tables, index).ok_or(Reason::Contended)
}

/// Enters a new connection under the tuples of both directions.
#[inline(always)]
fn enter<F: Family, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    choice: &Choice<T::Words>,
    template: Option<NonZeroU32>,
) -> Result<(), Reason> {
    let server = Key::<F> {
        receiver: address_of::<F, _>(choice.destination),
        ports: with_server_port(passage.key.ports, choice.destination.port()),
        ..passage.key
    };
    let answer = server.reversed();
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let answer_place = answer.place(settings);
    debug_assert_eq!(choice.destination.heading().method(), method::NAT);

    let forward =
        connection::claim(tables, &passage.place, passage.now).ok_or(Reason::Contended)?;
    let Some(reverse) = connection::claim(tables, &answer_place, passage.now) else {
        forward.abandon(tables);
        return Err(Reason::Contended);
    };
    let state = tcp::next(Side::Client, passage.flags, TcpState::NONE);
    let mut life = Life {
        expires: passage.now.wrapping_add(settings.tcp_timeout(state.0)),
        state: state.0,
        flags: 0,
        generation: 0,
    };
    let mut links = choice.links();
    links.peer = forward.index();
    reverse.fill(tables, &answer, Direction::Reverse, life, &links);
    links.peer = reverse.index();
    // Of the template only the index is kept: of a pointer that only one of two ways has
    // set, Linux 6.1 forgets that it is one.
    if let Some(index) = template
        && let Some(found) = connection::found_at(tables, index.get())
        && connection::hold(&found)
    {
        life.flags = flags::CONTROLLED;
        links.template = found.index;
        links.template_generation = found.generation;
    }
    forward.fill(tables, &passage.key, Direction::Forward, life, &links);

    // The same client's packet may have come over another processor just now; or one to
    // another virtual address that leads to the same real server.
    let rival = match connection::rival(tables, &passage.key, &passage.place, forward) {
        None if !make_unique(tables, &answer, &answer_place, reverse) => Some(0),
        rival => rival,
    };
    if let Some(rival) = rival {
        reverse.abandon(tables);
        forward.abandon(tables);
        if let Some(found) = connection::found_at(tables, links.template)
            && found.generation == links.template_generation
        {
            connection::release(&found);
        }
        return if rival == 0 {
            Err(Reason::Contended)
        } else {
            Ok(())
        };
    }
    choice.destination.bind(state.activity());
    tables.count(choice.id, Traffic::Connection);
    reverse.publish(tables);
    forward.publish(tables);
    Ok(())
}

/// Makes the claim for answers the only one of its key: two virtual addresses can lead the
/// same client port to the same real server, and answers can be told apart only by who came
/// last. False if another processor is about to enter, and this one has to step back.
#[inline(always)]
fn make_unique<F: Family, T: Tables>(
    tables: &T,
    answer: &Key<F>,
    place: &Place,
    claim: Claim,
) -> bool {
    if connection::is_contended(tables, place, claim) {
        return false;
    }
    match connection::find(tables, answer, place) {
        Some(older) => reclaim_seen(tables, older.index, older.generation),
        None => true,
    }
}
