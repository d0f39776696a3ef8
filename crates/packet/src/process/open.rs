//! A packet that opens a connection.

use core::num::NonZeroU32;

use super::known::{Hand, exit_to_server, may_go_on, with_server_port};
use super::passage::Passage;
use super::{Decision, Stage};
use crate::family::Family;
use crate::flow;
use crate::forward;
use crate::frame::{Frame, LOOPBACK, Route, RouteQuery};
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::schedule::{self, Chosen, Client};
use crate::table::access::is_denied;
use crate::table::connection::{
    self, Claim, Direction, Entry, Found, Key, Life, Links, Place, destination_of, flags,
    has_expired, reclaim_seen,
};
use crate::table::destination::{self, Activity, Destination, method};
use crate::table::mark::mark_of;
use crate::table::service::{self, Service, ServiceKey};
use crate::table::settings::{Settings, Ticks, behaviour};
use crate::table::{Tables, Traffic, Words};
use crate::wire::protocol;

/// The port from which an FTP server opens its data connections. They are never scheduled
/// (`ip_vs_schedule` in the kernel).
const FTP_DATA: u16 = 20;

/// The packet that opens a connection: the one that is there, or the client's whose answer an
/// ICMP error is about.
#[inline(always)]
fn opening<F: Icmp, P: Frame, T: Tables, const BY_ERROR: bool>(
    frame: &P,
    tables: &T,
    now: Ticks,
) -> Result<Passage<F>, Reason> {
    if BY_ERROR {
        Passage::read_error(frame, tables, now)
    } else {
        Passage::read_first(frame, tables, now)
    }
}

/// A packet that opens a connection, if there is a service for it; an ICMP error about a packet
/// of no connection, with `schedule_icmp`.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn open<F: Icmp, P: Frame, T: Tables, const BY_ERROR: bool>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = opening::<F, P, T, BY_ERROR>(frame, tables, now)?;
    if P::IS_FAST_PATH && Settings(tables.settings().ok_or(Reason::NotReady)?).has_mark_services() {
        return Err(Reason::PuntMark);
    }
    let mark = mark(frame, tables, &passage);
    let (service_id, matched) = find_service(tables, &passage, mark)?;
    let service = Service(tables.service(service_id).ok_or(Reason::NoService)?);
    if passage.key.ports as u16 == FTP_DATA.to_be() {
        return Err(Reason::NotFirst);
    }
    if !is_held(frame, &passage, service, matched) {
        return Err(Reason::NotHeld);
    }
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    if settings.has_access_lists() && is_denied::<F, T>(tables, service_id, &passage.key.sender) {
        return Err(Reason::AccessDenied);
    }
    let [note, is_claimed, ..] = frame.noted();
    // The packet comes here once more when a destination has been searched.
    if note == 0 && settings.is_sacrificed() {
        return Err(Reason::Sacrificed);
    }
    let scheduling = Scheduling {
        service_id,
        client: Client::of(&passage.key, &passage.place, now),
        note,
        is_claimed: is_claimed != 0,
    };
    let (choice, template) =
        match chosen_or_template::<F, P, T>(tables, &passage, service, matched, &scheduling) {
            Ok(chosen) => chosen,
            Err(Unopened::Unsettled) => {
                frame.note(&[0, service_id.into(), 0, 0]);
                return Ok(Decision::Later(match (F::NUMBER, BY_ERROR) {
                    (4, false) => Stage::Search4,
                    (4, true) => Stage::SearchByError4,
                    (_, false) => Stage::Search6,
                    (_, true) => Stage::SearchByError6,
                }));
            }
            Err(Unopened::Unclaimed(choice)) => {
                frame.note(&[choice, TEMPLATE_COMES, 0, 0]);
                return Ok(claiming::<F>());
            }
            Err(Unopened::Refused(reason)) => return Err(reason),
        };
    // A service of a firewall mark has packets of other protocols as well.
    let is_one_packet =
        service.flags() & service::flags::ONE_PACKET != 0 && passage.key.protocol == protocol::UDP;
    frame.note(&[
        choice.to_note(),
        choice.generation.into(),
        template.map_or(0, NonZeroU32::get).into(),
        is_one_packet.into(),
    ]);
    if P::IS_FAST_PATH && !scheduling.is_claimed {
        return Ok(claiming::<F>());
    }
    Ok(Decision::Later(match (F::NUMBER, BY_ERROR) {
        (4, false) => Stage::Enter4,
        (4, true) => Stage::EnterByError4,
        (_, false) => Stage::Enter6,
        (_, true) => Stage::EnterByError6,
    }))
}

/// Noted in the place of a destination's generation, which is smaller: the packet can leave for
/// the destination, or not, before a template is made or renewed.
const TEMPLATE_COMES: u64 = 1 << 16;

#[inline(always)]
fn claiming<F: Family>() -> Decision {
    Decision::Later(if F::NUMBER == 4 {
        Stage::Claim4
    } else {
        Stage::Claim6
    })
}

/// On the fast path: makes sure that a packet can leave for the destination that has been
/// chosen for it, before anything is entered.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn claim<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = Passage::<F>::read_first(frame, tables, now)?;
    let [choice, generation, ..] = frame.noted();
    let (id, turns) = (choice as u32, (choice >> 32) as u32);
    let destination = Destination(tables.destination(id).ok_or(Reason::NoDestination)?);
    let hand = Hand {
        method: destination.heading().method(),
        family: destination.heading().family(),
    };
    let packet = passage.outgoing();
    let claimed = may_go_on(frame, &packet, hand, destination)
        .and_then(|()| exit_to_server(frame, &packet, hand, destination).claim(frame));
    if let Err(reason) = claimed {
        // The hook behind this one chooses anew, and is to choose the same.
        if let Some(words) = tables.service(destination.service()) {
            Service(words).give_turns_back(turns);
        }
        return Err(reason);
    }
    if generation != TEMPLATE_COMES {
        return Ok(Decision::Later(if F::NUMBER == 4 {
            Stage::Enter4
        } else {
            Stage::Enter6
        }));
    }
    let chosen = Chosen::by_turns(id, turns).ok_or(Reason::NoDestination)?;
    frame.note(&[chosen.to_note(), 1, 0, 0]);
    Ok(Decision::Later(if F::NUMBER == 4 {
        Stage::Open4
    } else {
        Stage::Open6
    }))
}

/// What it takes to schedule a packet's connection.
struct Scheduling {
    service_id: u32,
    client: Client,
    /// The choice that an earlier stage has made, or 0.
    note: u64,
    /// On the fast path: whether the packet is sure to leave.
    is_claimed: bool,
}

/// Why there is no destination for a connection.
enum Unopened {
    /// There is none.
    Refused(Reason),
    /// It has to be searched.
    Unsettled,
    /// There is this one, as in a note; but whether the packet can leave is not known yet.
    Unclaimed(u64),
}

impl From<Reason> for Unopened {
    #[inline(always)]
    fn from(reason: Reason) -> Unopened {
        Unopened::Refused(reason)
    }
}

/// The destination of a new connection, and the template that it comes under.
#[inline(always)]
fn chosen_or_template<F: Family, P: Frame, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    service: Service<T::Words>,
    matched: Matched,
    scheduling: &Scheduling,
) -> Result<(Choice<T::Words>, Option<NonZeroU32>), Unopened> {
    if service.flags() & service::flags::PERSISTENT == 0 {
        return Ok((choose(tables, scheduling)?, None));
    }
    let template = template::<F, P, T>(tables, passage, service, matched, scheduling)?;
    let choice = Choice::of(tables, template.entry).ok_or(Reason::NoDestination)?;
    Ok((choice, NonZeroU32::new(template.index)))
}

/// Searches a destination for a packet that opens a connection.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn search<F: Icmp, P: Frame, T: Tables, const BY_ERROR: bool>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = opening::<F, P, T, BY_ERROR>(frame, tables, now)?;
    let [_, service_id, ..] = frame.noted();
    let service_id = service_id as u32;
    let client = Client::of(&passage.key, &passage.place, now);
    let chosen = schedule::search::<F, T>(tables, service_id, &client, passage.key.receiver)
        .ok_or(Reason::NoDestination)?;
    frame.note(&[chosen.to_note(), 0, 0, 0]);
    Ok(Decision::Later(match (F::NUMBER, BY_ERROR) {
        (4, false) => Stage::Open4,
        (4, true) => Stage::OpenByError4,
        (_, false) => Stage::Open6,
        (_, true) => Stage::OpenByError6,
    }))
}

/// How long a connection stays that an ICMP error has opened, without a packet of its own, in
/// ticks: about three seconds (`ip_vs_conn_new` in the kernel).
const BY_ERROR_STAYS: Ticks = 3 * 8;

/// A packet for which a destination has been chosen, and a template found or made.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn enter<F: Icmp, P: Frame, T: Tables, const BY_ERROR: bool>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = opening::<F, P, T, BY_ERROR>(frame, tables, now)?;
    let [id, generation, template, is_one_packet] = frame.noted();
    let destination = tables.destination(id as u32);
    let choice = Choice {
        id: id as u32,
        turns: 0,
        generation: generation as u16,
        destination: Destination(destination.ok_or(Reason::NoDestination)?),
    };
    if choice.destination.heading().generation() != choice.generation {
        return Err(Reason::Contended);
    }
    let mut flags = 0;
    if is_one_packet != 0 {
        flags |= flags::ONE_PACKET;
    }
    // What the controller hands in again there has a connection already.
    if frame.device() == LOOPBACK {
        flags |= flags::CLIENT_HERE;
    }
    let stays = BY_ERROR.then_some(BY_ERROR_STAYS);
    insert(tables, &passage, &choice, template as u32, flags, stays)?;
    // From here on it is a packet of a known connection.
    Ok(Decision::Later(match (F::NUMBER, BY_ERROR) {
        (4, false) => Stage::Arrive,
        (4, true) => Stage::Error4,
        (_, false) => Stage::Arrive6,
        (_, true) => Stage::Error6,
    }))
}

/// By what a packet was found to be a service's.
#[derive(Clone, Copy)]
enum Matched {
    /// By its firewall mark.
    Mark(u32),
    /// By its address and port, as in a packet; port 0: by its address.
    Port(u16),
}

/// The packet's firewall mark: the one that it came with, else the one that a rule gives it.
#[inline(always)]
fn mark<F: Family, P: Frame, T: Tables>(frame: &P, tables: &T, passage: &Passage<F>) -> u32 {
    let has_rules = tables
        .settings()
        .is_some_and(|settings| Settings(settings).has_mark_rules());
    match frame.mark() {
        0 if has_rules => mark_of(tables, &passage.key),
        mark => mark,
    }
}

/// The id of the packet's service: that of its firewall mark, else the one with the packet's
/// own port, else the one for every port of the address (`ip_vs_service_find` in the kernel).
#[inline(always)]
fn find_service<F: Family, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    mark: u32,
) -> Result<(u32, Matched), Reason> {
    if mark != 0
        && let Some(id) = tables.service_id(&ServiceKey::of_mark(mark, F::NUMBER))
    {
        return Ok((id, Matched::Mark(mark)));
    }
    let port = (passage.key.ports >> 16) as u16;
    let mut key = ServiceKey {
        address: F::to_octets(passage.key.receiver),
        mark: 0,
        port: port.to_ne_bytes(),
        protocol: passage.key.protocol,
        family: F::NUMBER,
    };
    if let Some(id) = tables.service_id(&key) {
        return Ok((id, Matched::Port(port)));
    }
    key.port = [0; 2];
    let id = tables.service_id(&key).ok_or(Reason::NoService)?;
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    Ok((id, Matched::Port(settings.blur(0) as u16)))
}

/// Whether the packet's destination is one of this host's addresses. Of services with an
/// address the controller says so; a mark can be on packets to any.
#[inline(always)]
fn is_held<F: Family, P: Frame, W: Words>(
    frame: &P,
    passage: &Passage<F>,
    service: Service<W>,
    matched: Matched,
) -> bool {
    match matched {
        Matched::Port(_) => service.flags() & service::flags::HELD != 0,
        Matched::Mark(_) => {
            let query = RouteQuery::<F> {
                source: passage.key.sender,
                destination: passage.key.receiver,
                protocol: passage.key.protocol,
                length: 0,
            };
            frame.route(&query) == Route::LocalOrNone
        }
    }
}

/// A destination that has been chosen.
struct Choice<W> {
    id: u32,
    /// Turns of its service that the choice has taken.
    turns: u32,
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
            turns: 0,
            generation,
            destination,
        })
    }
}

impl<W: Words> Choice<W> {
    /// Its id in the lower half, the turns in the upper one.
    #[inline(always)]
    fn to_note(&self) -> u64 {
        u64::from(self.id) | u64::from(self.turns) << 32
    }

    /// How its connections are forwarded.
    #[inline(always)]
    fn method(&self) -> u8 {
        self.destination.heading().method()
    }

    /// Whether clients that a template ties to it come there, whatever its weight.
    #[inline(always)]
    fn keeps_clients(&self, behaviour: u32) -> bool {
        let is_quiescent = self.destination.heading().flags() & destination::flags::QUIESCENT != 0;
        !is_quiescent || behaviour & behaviour::EXPIRE_QUIESCENT_TEMPLATE == 0
    }

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

/// The destination for a new connection: the one that was searched for this packet, or one
/// that is found at once.
#[inline(always)]
fn choose<T: Tables>(tables: &T, scheduling: &Scheduling) -> Result<Choice<T::Words>, Unopened> {
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
fn template<F: Family, P: Frame, T: Tables>(
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

/// Enters a new connection, by NAT under the tuples of both directions.
#[inline(always)]
fn insert<F: Family, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    choice: &Choice<T::Words>,
    template: u32,
    flags: u8,
    stays: Option<Ticks>,
) -> Result<(), Reason> {
    let method = choice.method();
    let is_answered_here = method == method::NAT && flags & flags::ONE_PACKET == 0;
    let server = Key::<F> {
        receiver: forward::address_of::<F, _>(choice.destination),
        ports: with_server_port(passage.key.ports, choice.destination.port()),
        ..passage.key
    };
    let answer = server.reversed();
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let answer_place = answer.place(settings);

    let forward =
        connection::claim(tables, &passage.place, passage.now).ok_or(Reason::Contended)?;
    let mut reverse = None;
    if is_answered_here {
        reverse = connection::claim(tables, &answer_place, passage.now);
        if reverse.is_none() {
            forward.abandon(tables);
            return Err(Reason::Contended);
        }
    }
    let transport = passage.key.protocol;
    // The packet is looked at once more, as one of a known connection, and takes it to its
    // first state then: INIT twice would be another one of SCTP.
    let state = 0;
    let mut life = Life {
        expires: passage
            .now
            .wrapping_add(stays.unwrap_or_else(|| settings.timeout(transport, state))),
        state,
        flags,
        generation: 0,
    };
    let mut links = choice.links();
    if let Some(reverse) = reverse {
        links.peer = forward.index();
        let kind = (Direction::Reverse, method);
        reverse.fill(tables, &answer, kind, life, &links);
        links.peer = reverse.index();
    }
    let activity = flow::activity(transport, state);
    if activity == Activity::Inactive {
        life.flags |= flags::INACTIVE;
    }
    if template != 0
        && let Some(found) = connection::found_at(tables, template)
        && connection::hold(&found)
    {
        life.flags |= flags::CONTROLLED;
        links.template = found.index;
        links.template_generation = found.generation;
    }
    let kind = (Direction::Forward, method);
    forward.fill(tables, &passage.key, kind, life, &links);
    if transport == protocol::TCP {
        connection::handshake::begin(tables, forward.index());
    }

    // The same client's packet may have come over another processor just now; or one to
    // another virtual address that leads to the same real server.
    let mut rival = connection::rival(tables, &passage.key, &passage.place, forward);
    if rival.is_none()
        && let Some(reverse) = reverse
        && !make_unique(tables, &answer, &answer_place, reverse)
    {
        rival = Some(0);
    }
    if let Some(rival) = rival {
        if let Some(reverse) = reverse {
            reverse.abandon(tables);
        }
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
    choice.destination.bind(activity);
    tables.count(choice.id, Traffic::Connection);
    if let Some(reverse) = reverse {
        reverse.publish(tables);
    }
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
