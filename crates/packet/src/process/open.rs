//! A packet that opens a connection.

mod choice;
mod matching;

use core::num::NonZeroU32;

use self::choice::{Choice, choose, template};
use self::matching::{Matched, find_service, is_held, mark};
use super::known::{Hand, exit_to_server, may_go_on, with_server_port};
use super::passage::Passage;
use super::{Decision, Stage};
use crate::family::Family;
use crate::flow;
use crate::forward;
use crate::frame::{Frame, LOOPBACK};
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::schedule::{self, Chosen, Client};
use crate::table::access::is_denied;
use crate::table::connection::{self, Claim, Direction, Key, Life, Place, flags, reclaim_seen};
use crate::table::destination::{Activity, Destination, method};
use crate::table::service::{self, Service};
use crate::table::settings::{Settings, Ticks};
use crate::table::{Tables, Traffic};
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
    if is_answered_here {
        connection::expect(tables, &answer_place);
    }

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
