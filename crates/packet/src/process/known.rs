//! A packet of a connection that is in the table.

use super::passage::Passage;
use super::{Decision, Stage};
use crate::family::{Family, V4, V6};
use crate::flow::{self, Side};
use crate::forward::{self, Exit, Outgoing, Rewritten, tunnel};
use crate::frame::{Frame, Notes};
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::table::connection::{
    self, Direction, Entry, Found, Key, Life, assure_template, destination_of, flags, has_expired,
    reclaim_seen,
};
use crate::table::destination::{self, Activity, Destination, method};
use crate::table::settings::{Settings, Ticks, behaviour};
use crate::table::{Tables, Words};
use crate::wire::Ethernet;

/// Which packets of known connections a stage deals with. The kernel's stack has no room for
/// all of IPv6's ways in one program, and those that a stage leaves to another come to it anew.
pub(super) mod part {
    /// All that arrive; for IPv6 without the two below.
    pub(in super::super) const ARRIVAL: u8 = 0;
    /// Answers of real servers.
    pub(in super::super) const ANSWERS: u8 = 1;
    /// Packets of clients whose connections are by tunnels.
    pub(in super::super) const TUNNELS: u8 = 2;
    /// Answers that leave this host, of real servers that are this host (`ip_vs_local_reply4`
    /// in the kernel). Nothing else is counted or touched.
    pub(in super::super) const LEAVING: u8 = 3;
}

/// A packet that may belong to a connection in the table; or, for the stages of `PIECES`, a
/// fragment of one.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn known<F: Icmp, P: Frame, T: Tables, const PART: u8, const PIECES: bool>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let passage = if PIECES {
        Passage::<F>::read_piece(frame, tables, now)?
    } else {
        Passage::<F>::read(frame, tables, now)?
    };
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    if let Some(mut found) = connection::find(tables, &passage.key, &passage.place) {
        found.index = settings.blur(found.index.into()) as u32;
        let known = match found.entry.direction() {
            Direction::Forward if PART != part::ANSWERS && PART != part::LEAVING => {
                from_client::<F, P, T, PART, PIECES>(frame, tables, &passage, found)?
            }
            Direction::Reverse
                if F::NUMBER == 4 || PART == part::ANSWERS || PART == part::LEAVING =>
            {
                from_server::<F, P, T, PART>(frame, tables, &passage, found)?
            }
            Direction::Reverse if PART == part::ARRIVAL => {
                return Ok(Decision::Later(if PIECES {
                    Stage::PieceReply6
                } else {
                    Stage::Reply6
                }));
            }
            // Another connection since the stage before.
            _ => return Err(Reason::Contended),
        };
        if let Known::Decided(decision) = known {
            return Ok(decision);
        }
    }
    if PART == part::LEAVING {
        return Err(Reason::NoService);
    }
    unknown(frame, &passage, settings)
}

/// A packet of no connection that there is.
#[inline(always)]
fn unknown<F: Icmp, P: Frame, W: Words>(
    frame: &mut P,
    passage: &Passage<F>,
    settings: Settings<W>,
) -> Result<Decision, Reason> {
    if passage.is_later_fragment {
        return Err(Reason::Fragment);
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

/// How long a connection of one packet that comes in fragments is there for all of them, in
/// ticks: about a second.
const PIECES_TOGETHER: Ticks = 8;

/// What became of a packet of a connection that is in the table.
enum Known {
    /// It is forwarded, or all is ready for it.
    Decided(Decision),
    /// The connection is over; the packet may open a new one.
    Over,
}

/// A packet of a known connection, from its client.
#[inline(always)]
fn from_client<F: Icmp, P: Frame, T: Tables, const PART: u8, const PIECES: bool>(
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
        // A connection that this packet has just opened has no state yet: its template has led it
        // there, and would again.
        let is_old = life.state != 0;
        let is_quiescent = heading.flags() & destination::flags::QUIESCENT != 0;
        if is_removed || is_first && is_old && is_quiescent {
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
    if F::NUMBER == 6 && (PART == part::TUNNELS) != (hand.method == method::TUNNEL) {
        return match hand.method {
            method::TUNNEL => Ok(Known::Decided(Decision::Later(if PIECES {
                Stage::PieceToTunnel6
            } else {
                Stage::ToTunnel6
            }))),
            // Another connection since the stage before.
            _ => Err(Reason::Contended),
        };
    }
    let side = if hand.method == method::NAT {
        Side::Client
    } else {
        Side::ClientOnly
    };
    let packet = passage.outgoing();
    if P::IS_FAST_PATH {
        may_go_on(frame, &packet, hand, destination)?;
    }
    let exit = if F::NUMBER == 6 && PART != part::TUNNELS {
        straight_to_server(frame, &packet, destination)
    } else {
        exit_to_server(frame, &packet, hand, destination)
    };
    let exit = exit.blurred(settings);
    if P::IS_FAST_PATH {
        exit.claim(frame)?;
    }
    if exit.cuts::<F, P>(frame) {
        packet.check_hops(1)?;
        return Ok(Known::Decided(Decision::Cut(exit.largest())));
    }
    if life.flags & flags::ONE_PACKET != 0 && PIECES {
        // Its other fragments have to find it.
        let expires = passage.now.wrapping_add(PIECES_TOGETHER);
        found.entry.renew(life, Life { expires, ..life });
    } else {
        advance(
            tables,
            passage,
            (found.index, found.entry),
            life,
            side,
            destination,
        );
    }
    tables.count(id, passage.came_in());
    if life.flags & flags::ONE_PACKET != 0 && !PIECES {
        reclaim_seen(tables, found.index, found.generation);
    }
    if let Err(reason) = exit.check() {
        return Ok(Known::Decided(Decision::Refused(reason, exit.largest())));
    }
    to_server(frame, &packet, hand, (id, destination), exit, settings).map(Known::Decided)
}

/// A packet of a known connection, from its real server.
#[inline(always)]
fn from_server<F: Icmp, P: Frame, T: Tables, const PART: u8>(
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
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let is_available = |destination: Destination<T::Words>| {
        destination.heading().flags() & destination::flags::AVAILABLE != 0
    };
    // `ip_vs_expire_nodest_conn_flush` in the kernel.
    if settings.behaviour() & behaviour::EXPIRE_NODEST_CONN != 0
        && !destination.is_some_and(is_available)
    {
        reclaim_seen(tables, found.index, found.generation);
        return Ok(Known::Over);
    }
    let is_leaving = PART == part::LEAVING;
    let is_local = |destination: Destination<T::Words>| {
        destination.heading().flags() & destination::flags::LOCAL != 0
    };
    if is_leaving && !destination.is_some_and(is_local) {
        return Err(Reason::NoService);
    }
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
    let packet = passage.outgoing();
    let is_client_here = life.flags & flags::CLIENT_HERE != 0;
    if P::IS_FAST_PATH {
        if is_client_here {
            return Err(Reason::DeliveredHere);
        }
        packet.check_hops(1)?;
    }
    let exit = if is_leaving {
        Exit::AS_IT_GOES
    } else if is_client_here {
        Exit::to_client_here(frame)
    } else {
        forward::way_to_client(frame, tables, found.entry, &packet, new.source)
    };
    let exit = exit.blurred(settings);
    if P::IS_FAST_PATH {
        exit.claim(frame)?;
    }
    if exit.cuts::<F, P>(frame) {
        packet.check_hops(1)?;
        return Ok(Known::Decided(Decision::Cut(exit.largest())));
    }
    if let Some(destination) = destination {
        let forward = (found.entry.peer(), forward);
        advance(tables, passage, forward, life, Side::Server, destination);
        // One that has been removed still answers, but counts for nobody (`ip_vs_out_stats`).
        if is_available(destination) {
            tables.count(id, passage.went_out());
        }
    }
    let sent = match exit.check() {
        Ok(()) => forward::translate(frame, &packet, &new, exit),
        Err(reason) => Err(reason),
    };
    match sent {
        Ok(verdict) => {
            let forwarded = Decision::Forwarded(verdict, Reason::ForwardedToClient);
            Ok(Known::Decided(forwarded))
        }
        // The packet is as the real server sent it. The stack finds the same obstacle, and
        // tells the real server from an address of the director that it knows.
        Err(Reason::TimeToLive | Reason::NoRoute) => Err(Reason::LeftToStack),
        Err(Reason::TooBig) => Err(Reason::LeftToStack),
        Err(reason) => Err(reason),
    }
}

/// By what a client's packet goes to its real server.
#[derive(Clone, Copy)]
pub(super) struct Hand {
    /// Of [`method`].
    pub(super) method: u8,
    /// The family of the real server's address.
    pub(super) family: u8,
}

/// Where a client's packet leaves for the real server of its connection, not by a tunnel.
#[inline(always)]
fn straight_to_server<F: Icmp, P: Frame, W: Words>(
    frame: &P,
    packet: &Outgoing<'_, F>,
    destination: Destination<W>,
) -> Exit {
    let ends = (packet.key.sender, packet.key.protocol);
    forward::way_to_server::<F, P, W>(frame, destination, ends, packet.largest, packet.stamp)
}

/// Where a client's packet leaves for the real server of its connection.
#[inline(always)]
pub(super) fn exit_to_server<F: Icmp, P: Frame, W: Words>(
    frame: &P,
    packet: &Outgoing<'_, F>,
    hand: Hand,
    destination: Destination<W>,
) -> Exit {
    match hand.family {
        4 => exit_by::<F, V4, P, W>(frame, packet, hand, destination),
        _ => exit_by::<F, V6, P, W>(frame, packet, hand, destination),
    }
}

/// The same, by the routes of the family `O`: another one than the packet's only in a tunnel.
#[inline(always)]
fn exit_by<F: Icmp, O: Family, P: Frame, W: Words>(
    frame: &P,
    packet: &Outgoing<'_, F>,
    hand: Hand,
    destination: Destination<W>,
) -> Exit {
    let (ends, overhead) = if hand.method == method::TUNNEL {
        let source = tunnel::source::<O, W>(destination);
        let protocol = tunnel::outer_protocol::<F, W>(destination);
        ((source, protocol), tunnel::overhead::<O, W>(destination))
    } else {
        let [first, second] = F::to_words(packet.key.sender);
        ((O::from_words(first, second), packet.key.protocol), 0)
    };
    let largest = packet.largest + overhead;
    forward::way_to_server::<O, P, W>(frame, destination, ends, largest, packet.stamp)
        .narrowed(overhead)
}

/// Sends a client's packet to the real server of its connection, or has a later stage put it
/// into a tunnel that has anything to do with IPv6, or with checksums.
#[inline(always)]
pub(super) fn to_server<F: Icmp, P: Frame, W: Words>(
    frame: &mut P,
    packet: &Outgoing<'_, F>,
    hand: Hand,
    (id, destination): (u32, Destination<W>),
    exit: Exit,
    settings: Settings<W>,
) -> Result<Decision, Reason> {
    let verdict = match hand.method {
        method::DIRECT => forward::pass_on(frame, packet, exit)?,
        method::TUNNEL
            if F::NUMBER == 4 && hand.family == 4 && !destination.has_tunnel_checksum() =>
        {
            let (largest, now) = (|_: &P| packet.largest, packet.now);
            let flow = packet.flow();
            return enter_tunnel::<F, V4, P, W, false>(
                frame,
                (destination, flow),
                exit,
                settings,
                largest,
                now,
            );
        }
        method::TUNNEL => {
            let Exit([heading, first, second]) = exit;
            let id_and_flow = u64::from(id) | u64::from(packet.flow()) << 32;
            frame.note(&[id_and_flow, heading, first, second]);
            return Ok(Decision::Later(match hand.family {
                4 if F::NUMBER == 4 => Stage::Tunnel44,
                4 => Stage::Tunnel64,
                _ if F::NUMBER == 4 => Stage::Tunnel46,
                _ => Stage::Tunnel66,
            }));
        }
        _ => {
            let new = Rewritten {
                source: packet.key.sender,
                destination: forward::address_of::<F, _>(destination),
                ports: with_server_port(packet.key.ports, destination.port()),
            };
            forward::translate(frame, packet, &new, exit)?
        }
    };
    Ok(Decision::Forwarded(verdict, forwarded(exit)))
}

/// Puts a packet into a tunnel whose way out has been found.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn tunnelled<F: Icmp, O: Family, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let [id_and_flow, heading, first, second] = frame.noted();
    let exit = Exit([heading, first, second]);
    let flow = (id_and_flow >> 32) as u32;
    let destination = tables.destination(id_and_flow as u32);
    let destination = Destination(destination.ok_or(Reason::DestinationRemoved)?);
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    // An ICMP error has no segments.
    let largest = |frame: &P| match Passage::<F>::read(frame, tables, now) {
        Ok(passage) => passage.largest,
        Err(_) => frame.length() - Ethernet::LENGTH,
    };
    enter_tunnel::<F, O, P, T::Words, true>(
        frame,
        (destination, flow),
        exit,
        settings,
        largest,
        now,
    )
}

/// Puts a packet into a tunnel, unless a router in there is known not to take it.
#[inline(always)]
fn enter_tunnel<F: Icmp, O: Family, P: Frame, W: Words, const SUMS: bool>(
    frame: &mut P,
    (destination, flow): (Destination<W>, u32),
    exit: Exit,
    settings: Settings<W>,
    largest: impl FnOnce(&P) -> u32,
    now: Ticks,
) -> Result<Decision, Reason> {
    if !exit.is_here()
        && let Some(fits) = too_big_beyond::<F, O, P, W>(frame, destination, largest, now)
    {
        return Ok(Decision::Refused(Reason::TooBig, fits));
    }
    let verdict =
        tunnel::encapsulate::<F, O, P, W, SUMS>(frame, destination, exit, flow, settings)?;
    Ok(Decision::Forwarded(verdict, forwarded(exit)))
}

/// The largest packet that a tunnel takes, in octets, if a router in there is known not to
/// take this one.
#[inline(always)]
fn too_big_beyond<F: Icmp, O: Family, P: Frame, W: Words>(
    frame: &P,
    destination: Destination<W>,
    largest: impl FnOnce(&P) -> u32,
    now: Ticks,
) -> Option<u32> {
    let beyond = destination.largest_beyond(now);
    let overhead = tunnel::overhead::<O, W>(destination);
    let is_too_big =
        beyond != u32::MAX && F::must_stay_whole(frame) && largest(frame) + overhead > beyond;
    is_too_big.then(|| beyond.saturating_sub(overhead))
}

/// On the fast path: whether a client's packet may go on to its real server, as far as that is
/// known before its way is looked up.
///
/// # Errors
/// It may not.
#[inline(always)]
pub(super) fn may_go_on<F: Icmp, P: Frame, W: Words>(
    frame: &P,
    packet: &Outgoing<'_, F>,
    hand: Hand,
    destination: Destination<W>,
) -> Result<(), Reason> {
    packet.check_hops(1)?;
    if hand.method != method::TUNNEL {
        return Ok(());
    }
    if destination.has_tunnel_checksum() {
        return Err(Reason::PuntTunnelChecksum);
    }
    let largest = |_: &P| packet.largest;
    let too_big = match hand.family {
        4 => too_big_beyond::<F, V4, P, W>(frame, destination, largest, packet.now),
        _ => too_big_beyond::<F, V6, P, W>(frame, destination, largest, packet.now),
    };
    too_big.map_or(Ok(()), |_| Err(Reason::TooBig))
}

/// What a packet that leaves there counts as.
#[inline(always)]
pub(super) fn forwarded(exit: Exit) -> Reason {
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
    (index, entry): (u32, Entry<T::Words>),
    life: Life,
    side: Side,
    destination: Destination<T::Words>,
) {
    let Some(settings) = tables.settings() else {
        return;
    };
    if passage.is_later_fragment {
        return;
    }
    let protocol = passage.key.protocol;
    let settings = Settings(settings);
    let (behaviour, zero) = (settings.behaviour(), settings.zero());
    let state = passage
        .segment
        .advance(protocol, side, life.state, behaviour, zero);
    let expires = passage.now.wrapping_add(settings.timeout(protocol, state));
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
    let is_first_answer = (new.flags & !life.flags) & flags::ANSWERED != 0;
    if flow::completes_handshake(protocol, side, (life.state, state), is_first_answer) {
        count_handshake(tables, index, life.generation, destination);
    }
    let has_news = state != life.state || is_first_answer;
    if life.flags & flags::CONTROLLED != 0 && has_news && flow::assures(protocol, state, side) {
        assure_template(tables, entry);
    }
}

/// Counts how long a handshake took for its destination, if that was measured.
///
/// A function of its own: it comes once in a connection's life, and the verifier in the kernel
/// would follow the rest of the program once for each of its ways.
#[inline(never)]
fn count_handshake<T: Tables>(
    tables: &T,
    index: u32,
    generation: u16,
    destination: Destination<T::Words>,
) {
    if let Some(took) = connection::handshake::end(tables, index, generation) {
        destination.learn_handshake(took);
    }
}
