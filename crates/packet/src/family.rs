//! What differs between IPv4 and IPv6, so that nothing else has to.

mod extension;
mod v4;
mod v6;

pub use v4::V4;
pub use v6::V6;

use crate::checksum::Difference;
use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::Words;
use crate::table::connection::Hash;
use crate::wire::{EtherType, UdpHeader, protocol};

/// A packet whose network header has been read.
#[derive(Clone, Copy)]
pub struct Packet<F: Family> {
    /// Who sent it.
    pub source: F::Address,
    /// Whom it is for.
    pub destination: F::Address,
    /// IP protocol number of what follows.
    pub protocol: u8,
    /// Hops that are left.
    pub time_to_live: u8,
    /// Where the transport header begins, in octets from the start of the frame.
    pub transport: u32,
    /// Octets from the network header to the end of the packet.
    pub length: u32,
}

/// What a packet is of the one that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Tells which fragments belong together.
    pub identification: u32,
    /// Where it begins, in octets; 0 of the first, in which the transport header is.
    pub offset: u32,
    /// Whether there are others behind it.
    pub more: bool,
}

impl Piece {
    /// Whether it is not the whole.
    #[inline(always)]
    pub fn is_fragment(self) -> bool {
        self.more || self.offset != 0
    }
}

/// An Internet protocol.
pub trait Family: Copy {
    /// An address, as it stands in memory.
    type Address: Copy + PartialEq;
    /// 4 or 6.
    const NUMBER: u8;
    /// What an Ethernet header says before such a packet.
    const ETHER_TYPE: EtherType;
    /// The protocol number of such a packet inside another one.
    const IN_IP: u8;
    /// Octets of a header without options.
    const HEADER: u32;

    /// Reads the network header that begins after the Ethernet header.
    ///
    /// # Errors
    /// Why the packet is no business of ours; [`Reason::Fragment`] of every fragment.
    fn parse<P: Frame>(frame: &P) -> Result<Packet<Self>, Reason>;

    /// The same, of the first fragment of a packet too.
    ///
    /// # Errors
    /// Why the packet is no business of ours; [`Reason::Fragment`] of later fragments.
    fn parse_first<P: Frame>(frame: &P) -> Result<Packet<Self>, Reason>;

    /// The same, of all fragments. In those behind the first no transport header stands where
    /// it should.
    ///
    /// # Errors
    /// Why the packet is no business of ours.
    fn parse_piece<P: Frame>(frame: &P) -> Result<(Packet<Self>, Piece), Reason>;

    /// Writes a new source and destination address, takes `hops` away, and keeps the
    /// header's own checksum right. False if the frame cannot be written.
    fn rewrite<P: Frame>(
        frame: &mut P,
        source: Self::Address,
        destination: Self::Address,
        hops: u8,
    ) -> bool;

    /// Takes one hop away from a packet that is about to enter a tunnel, and reads what the
    /// tunnel's header takes over.
    ///
    /// # Errors
    /// The packet has no hop left, or cannot be read or written.
    fn enter_tunnel<P: Frame>(frame: &mut P) -> Result<Tunnelled, Reason>;

    /// The sum over a packet as it will be after [`enter_tunnel`](Self::enter_tunnel), as a
    /// number that [`fold`](crate::checksum::fold) takes; none if it cannot be told.
    ///
    /// A whole segment with a right checksum sums up to nothing but that checksum's
    /// pseudo-header, whether the device still has to finish it or not (the kernel calls
    /// this local checksum offload).
    fn sum_in_tunnel<P: Frame>(frame: &P) -> Option<u64>;

    /// Writes a header in front of a packet that has been encapsulated. False if the frame
    /// cannot be written.
    fn write_outer<P: Frame>(frame: &mut P, outer: &Outer<Self>) -> bool;

    /// How a checksum over the address changes.
    fn difference(old: Self::Address, new: Self::Address) -> Difference;

    /// The bits of the address that tell clients apart, the others 0. The granularity is IPv4's
    /// netmask, as in a packet, or the length of IPv6's prefix.
    fn network(address: Self::Address, granularity: u32) -> Self::Address;

    /// The address in the form of the service index.
    fn to_octets(address: Self::Address) -> [u8; 16];

    /// The address's 32-bit words, combined by exclusive or, in the machine's byte order: what
    /// hashing schedulers see of it.
    fn folded(address: Self::Address) -> u32;

    /// The address in two words of a service or destination.
    fn from_words(first: u64, second: u64) -> Self::Address;

    /// The two words of the address.
    fn to_words(address: Self::Address) -> [u64; 2];

    /// What stands for the virtual address in the templates of a firewall mark: the mark, in
    /// network byte order, as the first four octets (`ip_vs_sched_persist` in the kernel).
    fn of_mark(mark: u32) -> Self::Address;

    /// The words of an entry of the connection table that hold its two addresses.
    fn store_addresses<W: Words>(line: W, sender: Self::Address, receiver: Self::Address);

    /// The addresses of an entry: sender, receiver.
    fn load_addresses<W: Words>(line: W) -> (Self::Address, Self::Address);

    /// Whether the entry has these addresses.
    fn same_addresses<W: Words>(line: W, sender: Self::Address, receiver: Self::Address) -> bool;

    /// The address folded into 32 bits.
    fn fold(address: Self::Address) -> u32;

    /// Takes the addresses into a hash.
    fn hash(state: Hash, sender: Self::Address, receiver: Self::Address) -> Hash;
}

/// What of a packet's header a tunnel's header takes over.
#[derive(Debug, Clone, Copy)]
pub struct Tunnelled {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Whether routers may not fragment the packet; of IPv6, which they never may, false: that
    /// does not hold for the outer packet.
    pub dont_fragment: bool,
    /// Hops that are left.
    pub hops: u8,
    /// Octets of the packet.
    pub length: u32,
}

/// The header of a packet that carries another one.
#[derive(Clone, Copy)]
pub struct Outer<F: Family> {
    /// Its source.
    pub source: F::Address,
    /// Its destination.
    pub destination: F::Address,
    /// What follows.
    pub protocol: u8,
    /// Hops that are left.
    pub hops: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Whether routers may not fragment it.
    pub dont_fragment: bool,
    /// Octets after the header.
    pub payload: u32,
}

/// The first word of an entry of the connection table that holds addresses.
const ADDRESSES_WORD: usize = 1;

/// Whether a segment that begins there has a checksum of the whole of it.
#[inline(always)]
fn is_summed<P: Frame>(frame: &P, protocol: u8, at: u32) -> Option<bool> {
    Some(match protocol {
        protocol::TCP | protocol::ICMP | protocol::ICMPV6 => true,
        protocol::UDP => frame.read::<[u8; 2]>(at + UdpHeader::CHECKSUM)? != [0; 2],
        _ => false,
    })
}
