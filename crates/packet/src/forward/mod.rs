//! The forwarding methods: what a packet becomes, and where it leaves.
//!
//! Whichever the method, the hop count goes down by one, and nothing is written before the
//! way out is known.

mod direct;
mod error;
mod nat;
pub mod tunnel;

pub use direct::pass_on;
pub use error::{RewrittenError, translate_error};
pub use nat::{Rewritten, translate};

use crate::family::Family;
use crate::frame::{Frame, LOOPBACK, NextHop, Route, RouteQuery, Verdict, Way};
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::table::connection::{Entry, Key};
use crate::table::destination::{ADDRESS_WORD, Destination, flags};
use crate::table::settings::{Settings, Ticks};
use crate::table::{Tables, Words};
use crate::wire::Ethernet;

/// A packet of a connection, on its way out.
pub struct Outgoing<'a, F: Family> {
    /// Its addresses and ports as they are now.
    pub key: &'a Key<F>,
    /// Hops that are left.
    pub time_to_live: u8,
    /// Where its transport header begins, in octets from the start of the frame.
    pub transport: u32,
    /// Octets of the packet.
    pub length: u32,
    /// Whether it is a fragment behind the first, without a transport header.
    pub is_later_fragment: bool,
    /// The largest packet on the link, in octets, that the frame becomes.
    pub largest: u32,
    /// The stamp of next hops that are learned now.
    pub stamp: u16,
    /// When it arrived.
    pub now: Ticks,
}

impl<F: Family> Outgoing<'_, F> {
    /// # Errors
    /// The packet has not enough hops left to take so many more: none are left behind. One
    /// that stays here needs none.
    #[inline(always)]
    pub(crate) fn check_hops(&self, hops: u8) -> Result<(), Reason> {
        if hops != 0 && self.time_to_live <= hops {
            return Err(Reason::TimeToLive);
        }
        Ok(())
    }
}

impl<F: Family> Outgoing<'_, F> {
    /// A number that all packets of a connection have in common.
    #[inline(always)]
    pub fn flow(&self) -> u32 {
        F::fold(self.key.sender) ^ self.key.ports
    }
}

/// Where a packet leaves, or why it does not.
///
/// Three words that are always all there, where an enum would do: the verifier in the kernel
/// does not see that a field is read only where the variant that has it was written.
///
/// ```text
/// word 0   device 32 | kind 8 | family of the neighbour 8
/// word 1   first word of the next hop  | neighbour's address …  | largest packet 16
/// word 2   second word of the next hop | … neighbour's address
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub [u64; 3]);

impl Exit {
    /// Its destination is this host.
    const HERE: u64 = 0;
    /// By a next hop that is known.
    const NEIGHBOUR: u64 = 1;
    /// By a neighbour that the kernel has to resolve.
    const RESOLVE: u64 = 2;
    /// It is too big for the way.
    const TOO_BIG: u64 = 3;
    /// There is no way.
    const NO_ROUTE: u64 = 4;
    /// To a client on this host.
    const LOOPBACK: u64 = 5;

    /// On the way that it has: nothing is left to be done but to rewrite it.
    pub const AS_IT_GOES: Exit = Exit::of_kind(Self::HERE);

    /// To a client on this host: an answer that is there already, or one from elsewhere, which
    /// its stack takes over the loopback device alone, since it comes from an address that is
    /// the host's as well.
    #[inline(always)]
    pub fn to_client_here<P: Frame>(frame: &P) -> Exit {
        let is_there = frame.device() == LOOPBACK;
        Exit::of_kind(if is_there { Self::HERE } else { Self::LOOPBACK })
    }

    #[inline(always)]
    const fn of_kind(kind: u64) -> Exit {
        Exit([kind << 32, 0, 0])
    }

    #[inline(always)]
    fn neighbour(next_hop: &NextHop) -> Exit {
        let NextHop([first, second]) = *next_hop;
        let device = u64::from(next_hop.device());
        Exit([device | Self::NEIGHBOUR << 32, first, second])
    }

    #[inline(always)]
    fn resolve(way: &Way) -> Exit {
        let [first, second] = way.neighbour;
        let family = u64::from(way.family) << 40;
        Exit([
            u64::from(way.device) | Self::RESOLVE << 32 | family,
            first,
            second,
        ])
    }

    /// By a next hop that the routes have just told.
    ///
    /// Once per stamp the kernel itself sends a packet to the neighbour, so that it keeps on
    /// confirming the neighbour as it does for its own traffic. The fast path cannot have it
    /// do that; for its devices the controller sees to neighbours.
    #[inline(always)]
    fn learned<P: Frame>(next_hop: &NextHop, way: &Way) -> Exit {
        if P::IS_FAST_PATH {
            Exit::neighbour(next_hop)
        } else {
            Exit::resolve(way)
        }
    }

    #[inline(always)]
    fn too_big(largest: u16) -> Exit {
        Exit([Self::TOO_BIG << 32, largest.into(), 0])
    }

    /// Where the route of a packet that has to be forwarded leads.
    #[inline(always)]
    fn by(route: Route) -> Exit {
        match route {
            Route::Neighbour { way, .. } | Route::Unresolved(way) => Exit::resolve(&way),
            Route::TooBig(largest) => Exit::too_big(largest),
            Route::LocalOrNone | Route::NotForwarding | Route::None => {
                Exit::of_kind(Exit::NO_ROUTE)
            }
        }
    }

    /// The same for a packet that will be larger by so many octets when it leaves.
    #[inline(always)]
    pub fn narrowed(self, overhead: u32) -> Exit {
        let Exit([heading, first, second]) = self;
        if self.kind() == Self::TOO_BIG {
            Exit([heading, first.saturating_sub(overhead.into()), second])
        } else {
            self
        }
    }

    /// Whether the packet is to be cut into fragments that the way takes.
    #[inline(always)]
    pub fn cuts<F: Icmp, P: Frame>(self, frame: &P) -> bool {
        self.kind() == Self::TOO_BIG && !F::must_stay_whole(frame)
    }

    /// The largest packet that the way takes, in octets, if this one is too big.
    #[inline(always)]
    pub fn largest(self) -> u32 {
        let [_, first, _] = self.0;
        if self.kind() == Self::TOO_BIG {
            first as u32
        } else {
            0
        }
    }

    /// The same, of which the verifier in the kernel does not know how it came about.
    #[inline(always)]
    pub fn blurred<W: Words>(self, settings: Settings<W>) -> Exit {
        let Exit([heading, first, second]) = self;
        Exit([settings.blur(heading), first, second])
    }

    #[inline(always)]
    fn kind(self) -> u64 {
        let [heading, ..] = self.0;
        heading >> 32 & 0xff
    }

    /// # Errors
    /// The packet does not leave.
    #[inline(always)]
    pub fn check(self) -> Result<(), Reason> {
        match self.kind() {
            Self::TOO_BIG => Err(Reason::TooBig),
            Self::NO_ROUTE => Err(Reason::NoRoute),
            _ => Ok(()),
        }
    }

    /// On the fast path: makes sure that a packet leaves this way, from this hook. To be done
    /// before anything changes.
    ///
    /// # Errors
    /// Why it does not.
    #[inline(always)]
    pub fn claim<P: Frame>(self, frame: &P) -> Result<(), Reason> {
        self.check()?;
        match self.kind() {
            Self::HERE => Err(Reason::DeliveredHere),
            Self::NEIGHBOUR if frame.can_leave_by(self.device()) => Ok(()),
            Self::NEIGHBOUR => Err(Reason::PuntDevice),
            _ => Err(Reason::PuntUnresolved),
        }
    }

    /// The device that it leads to, by its index.
    #[inline(always)]
    fn device(self) -> u32 {
        let [heading, ..] = self.0;
        heading as u32
    }

    /// Whether the packet stays on this host.
    #[inline(always)]
    pub fn is_here(self) -> bool {
        self.kind() == Self::HERE
    }

    /// Hops that the way takes: a packet for this host goes no further.
    #[inline(always)]
    pub fn hops(self) -> u8 {
        match self.kind() {
            Self::HERE | Self::LOOPBACK => 0,
            _ => 1,
        }
    }

    /// Sends a frame that has been rewritten.
    #[inline(always)]
    pub fn send<F: Family, P: Frame>(self, frame: &mut P) -> Result<Verdict, Reason> {
        let [heading, first, second] = self.0;
        let device = self.device();
        match self.kind() {
            Self::NEIGHBOUR => {
                let next_hop = NextHop([first, second]);
                let header =
                    Ethernet::new(next_hop.destination(), next_hop.source(), F::ETHER_TYPE);
                if !frame.write(0, &header) {
                    return Err(Reason::NotWritable);
                }
                frame.transmit(device);
                Ok(Verdict::Leave)
            }
            Self::RESOLVE => {
                frame.resolve(&Way {
                    device,
                    family: (heading >> 40) as u8,
                    neighbour: [first, second],
                });
                Ok(Verdict::Leave)
            }
            Self::LOOPBACK => {
                let header = Ethernet::new([0; 6], [0; 6], F::ETHER_TYPE);
                if !frame.write(0, &header) {
                    return Err(Reason::NotWritable);
                }
                frame.loop_back();
                Ok(Verdict::Leave)
            }
            _ => Ok(Verdict::Pass),
        }
    }
}

/// The address of a destination.
#[inline(always)]
pub fn address_of<F: Family, W: Words>(destination: Destination<W>) -> F::Address {
    let first = destination.0.load(ADDRESS_WORD);
    let second = destination.0.load(ADDRESS_WORD + 1);
    F::from_words(first, second)
}

/// The way to a destination: by the next hop that it remembers, if that is still fresh,
/// else by the routes. `F` is the family of its address; `source` and `protocol` are what
/// the packet is going to have.
#[inline(always)]
pub fn way_to_server<F: Family, P: Frame, W: Words>(
    frame: &P,
    destination: Destination<W>,
    (source, protocol): (F::Address, u8),
    largest: u32,
    stamp: u16,
) -> Exit {
    if destination.heading().flags() & flags::LOCAL != 0 {
        return Exit::of_kind(Exit::HERE);
    }
    if let Some(next_hop) = destination.next_hop(stamp, largest) {
        return Exit::neighbour(&next_hop);
    }
    let query = RouteQuery::<F> {
        source,
        destination: address_of::<F, W>(destination),
        protocol,
        length: largest,
    };
    match frame.route(&query) {
        Route::Neighbour {
            next_hop,
            way,
            largest,
        } => {
            if is_remembered(frame, &next_hop) {
                destination.remember_next_hop(&next_hop, largest, stamp);
            }
            Exit::learned::<P>(&next_hop, &way)
        }
        Route::NotForwarding => match destination.way() {
            Way { device: 0, .. } => Exit::of_kind(Exit::NO_ROUTE),
            way => Exit::resolve(&way),
        },
        route => Exit::by(route),
    }
}

/// The way to a client, for an answer that was found by this entry.
#[inline(always)]
pub fn way_to_client<F: Family, P: Frame, T: Tables>(
    frame: &P,
    tables: &T,
    entry: Entry<T::Words>,
    packet: &Outgoing<'_, F>,
    source: F::Address,
) -> Exit {
    if let Some(next_hop) = entry.next_hop(tables, packet.stamp, packet.largest) {
        return Exit::neighbour(&next_hop);
    }
    let query = RouteQuery::<F> {
        source,
        destination: packet.key.receiver,
        protocol: packet.key.protocol,
        length: packet.largest,
    };
    match frame.route(&query) {
        Route::Neighbour {
            next_hop,
            way,
            largest,
        } => {
            if is_remembered(frame, &next_hop) {
                entry.remember_next_hop(tables, &next_hop, largest, packet.stamp);
            }
            Exit::learned::<P>(&next_hop, &way)
        }
        route => Exit::by(route),
    }
}

/// The way of a packet that this host has made for somebody.
#[inline(always)]
pub fn way_of_our_own<F: Family, P: Frame>(frame: &P, query: &RouteQuery<F>) -> Exit {
    Exit::by(frame.route(query))
}

/// Whether a next hop that the routes have just told is to be remembered. What cannot leave
/// from the fast path is not, or the packet of [`Exit::learned`] would be left out.
#[inline(always)]
fn is_remembered<P: Frame>(frame: &P, next_hop: &NextHop) -> bool {
    !P::IS_FAST_PATH || frame.can_leave_by(next_hop.device())
}
