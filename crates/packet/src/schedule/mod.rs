//! The choice of a destination for a new connection.
//!
//! The controller writes the member list of a service so that its scheduler has little to
//! do; [`list`] makes the lists. `net/netfilter/ipvs/ip_vs_*.c` in Linux are what the
//! schedulers are like.
//!
//! | scheduler | member list | choice |
//! |---|---|---|
//! | rr | destinations, newest first, as in all lists | the next one ([`turn`]) |
//! | wrr | as often as their weights say, in the order of the turns | the next one |
//! | fo | by weight, the highest first | the first one |
//! | ovf | by weight, the highest first | the first with no more active connections than its weight |
//! | lc, wlc, sed, nq | destinations | the least loaded of all ([`load`]) |
//! | lblc, lblcr | destinations | who serves the virtual address, or the least loaded of all ([`locality`]) |
//! | sh, dh | 256 slots | that of a hash of the client's or the virtual address ([`hash`]) |
//! | mh | 4093 slots | that of a hash of the client's address |
//! | twos | as for wrr | the less loaded of two, drawn by lot |
//!
//! A destination whose weight is 0, or that is overloaded, takes no new connection.
//!
//! Where one look is enough the choice is [`settle`]d at once. What takes longer, because
//! many are compared or the first one found takes no connection, is left to [`search`],
//! which in the kernel is part of a program of its own.

pub mod hash;
#[cfg(feature = "host")]
pub mod list;
pub mod load;
mod locality;
pub mod turn;

use core::num::NonZeroU64;

use crate::family::Family;
use crate::table::connection::{Key, Place};
use crate::table::destination::{Destination, Heading, flags, is_less};
use crate::table::locality::LocalityKey;
use crate::table::service::{self, Service, scheduler};
use crate::table::settings::{Settings, Ticks};
use crate::table::{Tables, Words};

/// What a scheduler may know of the packet that opens a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address, folded to 32 bits, in the machine's byte order.
    pub address: u32,
    /// The client's port, in the machine's byte order.
    pub port: u32,
    /// The packet's destination address, folded alike.
    pub virtual_address: u32,
    /// A lot that nobody outside can foresee.
    pub lot: u32,
    /// The time.
    pub now: Ticks,
}

impl Client {
    /// The client that sends a packet with this key.
    #[inline(always)]
    pub fn of<F: Family>(key: &Key<F>, place: &Place, now: Ticks) -> Client {
        Client {
            address: F::folded(key.sender),
            port: u16::from_be(key.ports as u16).into(),
            virtual_address: F::folded(key.receiver),
            lot: place.tag,
            now,
        }
    }
}

/// The destination that was chosen: its id, and 1 more, in the lower half; in the upper one
/// how many turns of its service that has taken.
///
/// Only a number, so that in the kernel it travels in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen(NonZeroU64);

impl Chosen {
    /// The destination with this id; ids end long before the largest number.
    #[inline(always)]
    pub fn new(id: u32) -> Option<Chosen> {
        Chosen::by_turns(id, 0)
    }

    /// The same, chosen by taking so many turns.
    #[inline(always)]
    pub fn by_turns(id: u32, turns: u32) -> Option<Chosen> {
        let number = id.wrapping_add(1);
        if number == 0 {
            return None;
        }
        NonZeroU64::new(u64::from(number) | u64::from(turns) << 32).map(Chosen)
    }

    /// The destination's id.
    #[inline(always)]
    pub fn id(self) -> u32 {
        (self.0.get() as u32).wrapping_sub(1)
    }

    /// How many turns the choice has taken.
    #[inline(always)]
    pub fn turns(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// The choice as a note on the packet; never 0.
    #[inline(always)]
    pub fn to_note(self) -> u64 {
        self.0.get()
    }

    /// The choice in a note on a packet; none in 0.
    #[inline(always)]
    pub fn from_note(note: u64) -> Option<Chosen> {
        NonZeroU64::new(note).map(Chosen)
    }
}

/// The destination of a service that is to take a new connection: the one that was searched,
/// if the packet has such a note, else the one that one look tells, if it does.
///
/// A function of its own, and its answer a number of which the verifier in the kernel knows
/// nothing: else it would follow what comes after once for each scheduler.
#[inline(never)]
pub fn settle<T: Tables>(
    tables: &T,
    service_id: u32,
    client: &Client,
    note: u64,
) -> Option<Chosen> {
    let unknown_zero = Settings(tables.settings()?).zero();
    let chosen = match Chosen::from_note(note) {
        Some(searched) => searched,
        None => at_once(tables, service_id, client, unknown_zero)?,
    };
    NonZeroU64::new(chosen.0.get() ^ unknown_zero).map(Chosen)
}

#[inline(always)]
fn at_once<T: Tables>(
    tables: &T,
    service_id: u32,
    client: &Client,
    unknown_zero: u64,
) -> Option<Chosen> {
    let service = Service(tables.service(service_id)?);
    let (first, members) = service.members();
    if members == 0 {
        return None;
    }
    let number = service.scheduler();
    let is_turn = number == scheduler::ROUND_ROBIN || number == scheduler::WEIGHTED_ROUND_ROBIN;
    let (place, limit) = match number {
        _ if is_turn => (turn::next(service, members), 0),
        scheduler::FAILOVER => (0, 0),
        scheduler::OVERFLOW => (0, u32::MAX),
        scheduler::SOURCE_HASHING => {
            let slot = hash::source_slot(client, service.flags());
            (slot % members, 0)
        }
        scheduler::DESTINATION_HASHING => {
            let slot = hash::destination_slot(client);
            (slot % members, 0)
        }
        scheduler::MAGLEV_HASHING => {
            let slot = hash::maglev_slot(client, service.flags(), 0);
            (slot % members, 0)
        }
        _ => return None,
    };
    let id = tables.member(first.wrapping_add(place))?;
    let destination = Destination(tables.destination(id)?);
    if !takes_connection(destination, limit, unknown_zero) {
        return None;
    }
    Chosen::by_turns(id, is_turn.into())
}

/// The destination where one look does not tell, of a connection to `address`; none if nobody
/// takes it.
#[inline(never)]
pub fn search<F: Family, T: Tables>(
    tables: &T,
    service_id: u32,
    client: &Client,
    address: F::Address,
) -> Option<Chosen> {
    let service = Service(tables.service(service_id)?);
    let (first, members) = service.members();
    if members == 0 {
        return None;
    }
    let early = match service.scheduler() {
        scheduler::POWER_OF_TWO_CHOICES => load::less_of_two(tables, first, members, client.lot),
        scheduler::LOCALITY_BASED | scheduler::LOCALITY_BASED_WITH_REPLICATION => {
            let key = LocalityKey::of::<F>(address, service_id, service.scheduler());
            return locality::choose(tables, service_id, client, &key);
        }
        _ => None,
    };
    if early.is_some() {
        return early;
    }
    let falls_back = service.flags() & service::flags::SCHEDULER_1 != 0;
    match service.scheduler() {
        scheduler::SOURCE_HASHING | scheduler::MAGLEV_HASHING if !falls_back => None,
        scheduler::DESTINATION_HASHING => None,
        scheduler::MAGLEV_HASHING => hash::search_maglev(tables, service_id, client),
        scheduler::ROUND_ROBIN
        | scheduler::WEIGHTED_ROUND_ROBIN
        | scheduler::FAILOVER
        | scheduler::OVERFLOW
        | scheduler::SOURCE_HASHING
        | scheduler::POWER_OF_TWO_CHOICES => turn::walk(tables, service_id, client),
        _ => load::compare(tables, service_id).least(),
    }
}

/// Whether a destination takes a new connection: it is not quiescent, not overloaded, and,
/// where `limit` is all ones and not 0, has no more active connections than its weight.
///
/// With one branch at the end, since this is done in loops that the verifier follows; the
/// `unknown_zero` keeps the compiler from making others.
#[inline(always)]
fn takes_connection<W: Words>(destination: Destination<W>, limit: u32, unknown_zero: u64) -> bool {
    let (active, _) = destination.connections();
    let weight = u64::from(destination.last_weight()) ^ unknown_zero;
    let has_more = is_less(weight, u64::from(active & limit) ^ unknown_zero);
    open_bit(destination.heading()) & (has_more ^ 1) != 0
}

/// Whether a destination is neither quiescent nor overloaded, and belongs to its service.
#[inline(always)]
fn is_open(heading: Heading) -> bool {
    open_bit(heading) != 0
}

/// [`is_open`] as 1 or 0.
#[inline(always)]
fn open_bit(heading: Heading) -> u64 {
    const AVAILABLE: u32 = flags::AVAILABLE.trailing_zeros();
    const QUIESCENT: u32 = flags::QUIESCENT.trailing_zeros();
    const OVERLOADED: u32 = flags::OVERLOADED.trailing_zeros();
    (heading.0 >> AVAILABLE) & !(heading.0 >> QUIESCENT) & !(heading.0 >> OVERLOADED) & 1
}
