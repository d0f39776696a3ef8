//! A frame in memory of our own.

use std::net::IpAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::checksum::{Difference, fold, sum};
use crate::family::Family;
use crate::frame::{
    Encapsulation, FARTHEST_HEADER, Frame, InternetChecksum, LARGEST_HANDED_OVER, Notes, Route,
    RouteQuery, Way, updated_checksum,
};
use crate::wire::Ethernet;

/// A frame, and the routes of the host that it arrives at; at the hook that does everything, or
/// on the fast path before it. Its checksums are complete, as they are when it comes from a
/// wire, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct HostFrame<R, const FAST: bool = false> {
    /// The frame, from its Ethernet header on.
    pub octets: Vec<u8>,
    /// Whether the link layer delivered it to this host.
    pub addressed_to_us: bool,
    /// Whether the device has taken a VLAN tag off it.
    pub is_tagged: bool,
    /// Octets of payload in each segment that it will be cut into; 0 if it stays whole.
    pub segment_payload: u32,
    /// Its firewall mark; 0 if none.
    pub mark: u32,
    /// What the next packet that may be fragmented is identified by.
    pub identification: u16,
    /// The device over which it came, by its index.
    pub device: u32,
    /// Whether a device still has to finish its transport checksum, which is the sum of the
    /// pseudo-header so far.
    pub is_unfinished: bool,
    /// Whether it is one that the programs sent to a client on this host.
    pub is_looped_back: bool,
    /// Given to the controller, to be cut into fragments of at most so many octets, or to be
    /// held if that is 0.
    pub handed_over: Option<u32>,
    /// How it leaves, if it does.
    pub departure: Option<Departure>,
    /// What a stage of the pipeline tells the next.
    pub notes: Notes,
    /// The only device that takes no frames from the fast path, by its index.
    pub closed_device: Option<u32>,
    /// Answers where a packet goes.
    pub routes: R,
}

/// How a frame leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Over this device, as it is.
    Transmit {
        /// The device, by its index.
        device: u32,
    },
    /// To this neighbour, which has yet to be resolved.
    Resolve(Way),
    /// To a client on this host.
    LoopBack,
}

/// What a frame asks the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journey {
    /// The packet's source.
    pub source: IpAddr,
    /// The packet's destination.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The largest packet that has to fit, in octets.
    pub length: u32,
}

impl<R: Fn(&Journey) -> Route> HostFrame<R> {
    /// A frame that was delivered to this host and stays whole.
    pub fn new(octets: Vec<u8>, routes: R) -> HostFrame<R> {
        HostFrame::at_hook(octets, routes)
    }
}

impl<R: Fn(&Journey) -> Route> HostFrame<R, true> {
    /// The same on the fast path, from which it can leave by every device.
    pub fn on_fast_path(octets: Vec<u8>, routes: R) -> HostFrame<R, true> {
        HostFrame::at_hook(octets, routes)
    }
}

impl<R, const FAST: bool> HostFrame<R, FAST> {
    /// The same at either.
    pub fn at_hook(octets: Vec<u8>, routes: R) -> HostFrame<R, FAST> {
        HostFrame {
            octets,
            addressed_to_us: true,
            is_tagged: false,
            segment_payload: 0,
            mark: 0,
            identification: 1,
            notes: Notes::default(),
            device: 3,
            is_unfinished: false,
            is_looped_back: false,
            handed_over: None,
            departure: None,
            closed_device: None,
            routes,
        }
    }
}

fn range(offset: u32, octets: usize) -> Option<std::ops::Range<usize>> {
    if offset > FARTHEST_HEADER {
        return None;
    }
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(octets)?)
}

fn address<F: Family>(address: F::Address) -> IpAddr {
    match F::to_octets(address) {
        [a, b, c, d, ..] if F::NUMBER == 4 => IpAddr::from([a, b, c, d]),
        octets => IpAddr::from(octets),
    }
}

impl<R: Fn(&Journey) -> Route, const FAST: bool> Frame for HostFrame<R, FAST> {
    const IS_FAST_PATH: bool = FAST;

    fn addressed_to_us(&self) -> bool {
        self.addressed_to_us
    }

    fn is_tagged(&self) -> bool {
        self.is_tagged
    }

    fn length(&self) -> u32 {
        u32::try_from(self.octets.len()).unwrap_or(u32::MAX)
    }

    fn segment_payload(&self) -> u32 {
        self.segment_payload
    }

    fn mark(&self) -> u32 {
        self.mark
    }

    fn reach(&self, _offset: u32) {}

    fn read<T: FromBytes>(&self, offset: u32) -> Option<T> {
        T::read_from_bytes(self.octets.get(range(offset, size_of::<T>())?)?).ok()
    }

    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> bool {
        let room = range(offset, size_of::<T>()).and_then(|range| self.octets.get_mut(range));
        room.is_some_and(|room| value.write_to(room).is_ok())
    }

    fn update_transport_checksum(
        &mut self,
        offset: u32,
        kind: InternetChecksum,
        addresses: Difference,
        ports: Difference,
    ) -> bool {
        let Some(old) = self.read(offset).map(u16::from_ne_bytes) else {
            return false;
        };
        let new = if !self.is_unfinished {
            updated_checksum(old, kind, addresses.add(ports))
        } else if kind == InternetChecksum::ZeroIsNone && old == 0 {
            0
        } else {
            // The sum itself, not its complement, and of nothing but the pseudo-header.
            !addresses.apply(!old)
        };
        self.write(offset, &new.to_ne_bytes())
    }

    fn grow(&mut self, room: Encapsulation) -> bool {
        self.insert(room.octets)
    }

    fn device(&self) -> u32 {
        self.device
    }

    fn sum(&self, offset: u32, octets: u32) -> Option<u16> {
        let octets = self.octets.get(range(offset, octets as usize)?)?;
        Some(fold(sum(octets)))
    }

    fn is_unfinished(&mut self, _offset: u32) -> bool {
        self.is_unfinished
    }

    fn cut(&mut self, length: u32) -> bool {
        let length = length as usize;
        if self.octets.len() < length {
            return false;
        }
        self.octets.truncate(length);
        self.segment_payload = 0;
        true
    }

    fn insert(&mut self, octets: u32) -> bool {
        let behind = Ethernet::LENGTH as usize;
        if self.octets.len() < behind {
            return false;
        }
        let zeros = std::iter::repeat_n(0, octets as usize);
        self.octets.splice(behind..behind, zeros);
        true
    }

    fn strip(&mut self, octets: u32, _outer: u8, _inner: u8) -> bool {
        let Some(range) = range(Ethernet::LENGTH, octets as usize) else {
            return false;
        };
        if self.octets.len() < range.end {
            return false;
        }
        self.octets.drain(range);
        true
    }

    fn identification(&self) -> u16 {
        self.identification
    }

    fn can_leave_by(&self, device: u32) -> bool {
        self.closed_device != Some(device)
    }

    fn loop_back(&mut self) {
        self.departure = Some(Departure::LoopBack);
    }

    fn is_looped_back(&self) -> bool {
        self.is_looped_back
    }

    fn hand_over(&mut self, largest: u32) -> bool {
        let fits = self.octets.len() <= LARGEST_HANDED_OVER as usize;
        if fits {
            self.handed_over = Some(largest);
        }
        fits
    }

    fn transmit(&mut self, device: u32) {
        self.departure = Some(Departure::Transmit { device });
    }

    fn resolve(&mut self, way: &Way) {
        self.departure = Some(Departure::Resolve(*way));
    }

    fn note(&mut self, notes: &Notes) {
        self.notes = *notes;
    }

    fn noted(&self) -> Notes {
        self.notes
    }

    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route {
        (self.routes)(&Journey {
            source: address::<F>(query.source),
            destination: address::<F>(query.destination),
            protocol: query.protocol,
            length: query.length,
        })
    }
}
