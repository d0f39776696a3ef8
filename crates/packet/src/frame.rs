//! What the packet function needs of a packet and of the network around it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Difference;
use crate::family::Family;
use crate::wire::MacAddress;

/// The index of the loopback device in every network namespace (`LOOPBACK_IFINDEX` in the
/// kernel).
pub const LOOPBACK: u32 = 1;

/// No header is read or written that begins beyond this many octets of a frame.
pub const FARTHEST_HEADER: u32 = 256;

/// No frame with more octets is given to the controller.
pub const LARGEST_HANDED_OVER: u32 = 9216;

/// Octets of the ring through which frames are given to the controller.
pub const HANDED_OVER_ROOM: u32 = 1 << 21;

/// A frame that is given to the controller.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HandedOver {
    /// Octets that the fragments may have into which it is to be cut; 0 if it is to be held
    /// until the first fragment of its packet has come.
    pub largest: u32,
    /// Octets of the frame.
    pub length: u32,
    /// The frame, and then anything.
    pub octets: [u8; LARGEST_HANDED_OVER as usize],
}

/// A packet that begins with an Ethernet header and can be rewritten.
///
/// Offsets are octets from the start of that header.
pub trait Frame {
    /// Whether another hook sees the frame after this one, and does everything. Then only
    /// what is sure to leave from here is touched here; all else is left to that hook, before
    /// anything has been changed or counted that anybody could notice.
    const IS_FAST_PATH: bool;

    /// Whether the link layer delivered the frame to this host, not past it.
    fn addressed_to_us(&self) -> bool;

    /// Whether the device has taken a VLAN tag off the frame: then it is for the VLAN's
    /// own device, where it arrives next.
    fn is_tagged(&self) -> bool;

    /// Octets of the frame.
    fn length(&self) -> u32;

    /// Octets of payload in each of the segments that the frame will be cut into; 0 if it
    /// stays whole.
    fn segment_payload(&self) -> u32;

    /// The firewall mark that the packet has; 0 if none.
    fn mark(&self) -> u32;

    /// Makes headers readable that begin at this offset at the latest, where some lie behind
    /// those that every packet has.
    fn reach(&self, offset: u32);

    /// A header that begins there, if the frame is long enough, and not beyond
    /// [`FARTHEST_HEADER`].
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T>;

    /// Writes a header there; false if the frame is too short or cannot be written.
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> bool;

    /// Brings the transport checksum at `offset` up to date: `addresses` changed in the
    /// pseudo-header, `ports` in the segment. A checksum that the device still has to finish
    /// covers the pseudo-header only, so the two are told apart. False if it cannot be
    /// written.
    fn update_transport_checksum(
        &mut self,
        offset: u32,
        kind: InternetChecksum,
        addresses: Difference,
        ports: Difference,
    ) -> bool;

    /// Makes room behind the Ethernet header, for headers that encapsulate what was there.
    /// False if there is none. On the fast path the Ethernet header is void after that.
    fn grow(&mut self, room: Encapsulation) -> bool;

    /// The device over which the frame came, by its index.
    fn device(&self) -> u32;

    /// The one's complement sum over so many octets from an even offset on, as it stands in
    /// memory. None if the frame is too short, or it is more than a packet that is not cut
    /// into segments can have.
    fn sum(&self, offset: u32, octets: u32) -> Option<u16>;

    /// Whether the transport checksum at `offset` is one that the device still has to finish.
    fn is_unfinished(&mut self, offset: u32) -> bool;

    /// Cuts the frame off after so many octets. It will not be cut into segments any more.
    /// False if it is shorter, or cannot be cut. Not asked of the fast path, which makes no
    /// packets of its own; so with what follows.
    fn cut(&mut self, length: u32) -> bool;

    /// Makes room for so many octets behind the Ethernet header. False if there is none.
    fn insert(&mut self, octets: u32) -> bool;

    /// Takes so many octets away from behind the Ethernet header, which leaves a packet of the
    /// family `inner` where one of the family `outer` was, 4 or 6. False if it has not as
    /// many, or cannot be changed.
    fn strip(&mut self, octets: u32, outer: u8, inner: u8) -> bool;

    /// A number for a packet that may be fragmented, hard to guess.
    fn identification(&self) -> u16;

    /// Keeps what a stage of the pipeline tells the next.
    fn note(&mut self, notes: &Notes);

    /// What the stage before has told.
    fn noted(&self) -> Notes;

    /// Whether a device, by its index, takes frames from this hook. To be asked before
    /// [`Frame::transmit`].
    fn can_leave_by(&self, device: u32) -> bool;

    /// The frame is to leave over a device, by its index, with the Ethernet header that it
    /// has now.
    fn transmit(&mut self, device: u32);

    /// The frame is to leave to a neighbour that the kernel resolves, and to which it writes
    /// the Ethernet header. Not asked of the fast path.
    fn resolve(&mut self, way: &Way);

    /// The frame is to arrive at the loopback device, with the Ethernet header that it has now,
    /// and to be [known](Self::is_looped_back) there. Not asked of the fast path.
    fn loop_back(&mut self);

    /// Whether it comes from [`Self::loop_back`].
    fn is_looped_back(&self) -> bool;

    /// Gives the frame to the controller, which hands it in again over the loopback device: as
    /// it is once the first fragment of its packet has come, for `largest` 0, else in
    /// fragments of at most so many octets. False if the controller has no room. Not asked of
    /// the fast path.
    fn hand_over(&mut self, largest: u32) -> bool;

    /// Where the host's routes lead a packet that came in with this frame.
    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route;
}

/// What a stage of the pipeline tells the next.
pub type Notes = [u64; 4];

/// How a protocol uses the Internet checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InternetChecksum {
    /// Every packet has one.
    Always,
    /// 0 stands for none, and a sum that comes to 0 is written as 0xffff (RFC 768).
    ZeroIsNone,
}

/// What is put around a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encapsulation {
    /// Octets of the new headers.
    pub octets: u32,
    /// The outer Internet protocol: 4 or 6.
    pub family: u8,
    /// The protocol after the outer header.
    pub protocol: u8,
}

/// A packet to be routed.
#[derive(Clone, Copy)]
pub struct RouteQuery<F: Family> {
    /// Its source.
    pub source: F::Address,
    /// Its destination.
    pub destination: F::Address,
    /// IP protocol number.
    pub protocol: u8,
    /// The largest packet that has to fit, in octets.
    pub length: u32,
}

/// A neighbour and the device that leads to it, ready to be sent to.
///
/// Two words, as they stand in the tables; octets one by one would take a register each.
///
/// ```text
/// neighbour's MAC 48 | our MAC, first 16
/// our MAC, last 32   | device 32
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop(pub [u64; 2]);

impl NextHop {
    /// The neighbour with the link-layer address `destination`, over a device, by its index,
    /// that has the address `source`.
    #[inline(always)]
    pub fn new(device: u32, destination: MacAddress, source: MacAddress) -> NextHop {
        let [a, b, c, d, e, f] = destination;
        let [g, h, i, j, k, l] = source;
        let [m, n, o, p] = device.to_ne_bytes();
        NextHop([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// The device, by its index.
    #[inline(always)]
    pub fn device(self) -> u32 {
        let NextHop([_, second]) = self;
        let [_, _, _, _, device @ ..] = second.to_ne_bytes();
        u32::from_ne_bytes(device)
    }

    /// The neighbour's link-layer address.
    #[inline(always)]
    pub fn destination(self) -> MacAddress {
        let NextHop([first, _]) = self;
        let [destination @ .., _, _] = first.to_ne_bytes();
        destination
    }

    /// The device's link-layer address.
    #[inline(always)]
    pub fn source(self) -> MacAddress {
        let NextHop([first, second]) = self;
        let [.., a, b] = first.to_ne_bytes();
        let [c, d, e, f, ..] = second.to_ne_bytes();
        [a, b, c, d, e, f]
    }
}

/// A neighbour and the device that leads to it, by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The device, by its index.
    pub device: u32,
    /// The family of the neighbour's address: 4 or 6.
    pub family: u8,
    /// The neighbour's address, as in a packet; IPv4 in the first four octets.
    pub neighbour: [u64; 2],
}

/// What routes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To this neighbour.
    Neighbour {
        /// Its link-layer address.
        next_hop: NextHop,
        /// Its own.
        way: Way,
        /// The largest packet that the way takes, in octets.
        largest: u16,
    },
    /// To a neighbour that has yet to be resolved.
    Unresolved(Way),
    /// To this host itself, or nowhere: the kernel does not tell the two apart.
    LocalOrNone,
    /// The packet is larger than the link takes: this many octets.
    TooBig(u16),
    /// The host does not forward what comes in here; what it sends itself it would send.
    NotForwarding,
    /// Nowhere.
    None,
}

/// What is to be done with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on to the host's stack as it is now.
    Pass,
    /// Is dropped.
    Drop,
    /// Leaves, as the frame has been told.
    Leave,
    /// Goes on, as it came, to the hook behind this one, which decides.
    Punt,
}

/// A complete checksum after what it covers has changed (RFC 1624).
#[inline(always)]
pub fn updated_checksum(old: u16, kind: InternetChecksum, difference: Difference) -> u16 {
    let zero_is_none = kind == InternetChecksum::ZeroIsNone;
    if zero_is_none && old == 0 {
        return 0;
    }
    match difference.apply(old) {
        0 if zero_is_none => 0xffff,
        new => new,
    }
}
