//! What the packet function needs of a packet and of the network around it.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::checksum::Difference;
use crate::family::Family;
use crate::wire::MacAddress;

/// A packet that begins with an Ethernet header and can be rewritten.
///
/// Offsets are octets from the start of that header.
pub trait Frame {
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

    /// A header that begins there, if the frame is long enough.
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T>;

    /// Writes a header there; false if the frame is too short or cannot be written.
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> bool;

    /// Brings a transport checksum up to date: `addresses` changed in the pseudo-header,
    /// `ports` in the segment. A checksum that the device still has to finish covers the
    /// pseudo-header only, so the two are told apart. False if it cannot be written.
    fn update_transport_checksum(
        &mut self,
        offset: u32,
        addresses: Difference,
        ports: Difference,
    ) -> bool;

    /// Where the host's routes lead a packet that came in with this frame.
    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route;
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

/// A neighbour and the device that leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop {
    /// The device, by its index.
    pub device: u32,
    /// The neighbour's link-layer address.
    pub destination: MacAddress,
    /// The device's link-layer address.
    pub source: MacAddress,
}

/// What routes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To this neighbour; with the largest packet that the way takes, in octets.
    Neighbour(NextHop, u16),
    /// To a neighbour on this device, by index, that has yet to be resolved.
    Unresolved(u32),
    /// To this host itself.
    Local,
    /// The packet is larger than the link takes.
    TooBig,
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
    /// Leaves over this device with the Ethernet header that it has now.
    Transmit {
        /// The device, by its index.
        device: u32,
    },
    /// Leaves over this device to whatever neighbour its destination's route names; the
    /// kernel resolves the neighbour and writes the Ethernet header.
    Resolve {
        /// The device, by its index.
        device: u32,
    },
}
