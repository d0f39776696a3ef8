//! What differs between IPv4 and IPv6, so that nothing else has to.

mod extension;

use crate::checksum::{Difference, fold};
use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::Words;
use crate::table::connection::Hash;
use crate::wire::{EtherType, Ethernet, Ipv4, Ipv6, Ipv6Fragment, UdpHeader, protocol};

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

/// IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V4;

impl Family for V4 {
    type Address = u32;
    const NUMBER: u8 = 4;
    const ETHER_TYPE: EtherType = EtherType::IPV4;
    const IN_IP: u8 = protocol::IPIP;
    const HEADER: u32 = Ipv4::LENGTH;

    #[inline(always)]
    fn parse<P: Frame>(frame: &P) -> Result<Packet<V4>, Reason> {
        match Self::parse_piece(frame)? {
            (_, piece) if piece.is_fragment() => Err(Reason::Fragment),
            (packet, _) => Ok(packet),
        }
    }

    #[inline(always)]
    fn parse_first<P: Frame>(frame: &P) -> Result<Packet<V4>, Reason> {
        match Self::parse_piece(frame)? {
            (_, piece) if piece.offset != 0 => Err(Reason::Fragment),
            (packet, _) => Ok(packet),
        }
    }

    #[inline(always)]
    fn parse_piece<P: Frame>(frame: &P) -> Result<(Packet<V4>, Piece), Reason> {
        let header: Ipv4 = frame.read(Ethernet::LENGTH).ok_or(Reason::Malformed)?;
        let header_length = header.header_length();
        let total = u32::from(header.total_length.get());
        let room = frame.length().wrapping_sub(Ethernet::LENGTH);
        if header.version() != 4
            || header_length < Ipv4::LENGTH
            || total < header_length
            || total > room
        {
            return Err(Reason::Malformed);
        }
        let packet = Packet {
            source: u32::from_ne_bytes(header.source),
            destination: u32::from_ne_bytes(header.destination),
            protocol: header.protocol,
            time_to_live: header.time_to_live,
            transport: Ethernet::LENGTH + header_length,
            length: total,
        };
        let piece = Piece {
            identification: header.identification.get().into(),
            offset: header.fragment_offset(),
            more: header.more_fragments(),
        };
        Ok((packet, piece))
    }

    #[inline(always)]
    fn rewrite<P: Frame>(frame: &mut P, source: u32, destination: u32, hops: u8) -> bool {
        let Some(mut header) = frame.read::<Ipv4>(Ethernet::LENGTH) else {
            return false;
        };
        // TTL and protocol are one 16-bit word of the sum.
        let old_ttl = u16::from_ne_bytes([header.time_to_live, header.protocol]);
        header.time_to_live = header.time_to_live.wrapping_sub(hops);
        let new_ttl = u16::from_ne_bytes([header.time_to_live, header.protocol]);
        let difference = Difference::of_word(u32::from_ne_bytes(header.source), source)
            .add(Difference::of_word(
                u32::from_ne_bytes(header.destination),
                destination,
            ))
            .add(Difference::of_half(old_ttl, new_ttl));
        header.checksum = difference
            .apply(u16::from_ne_bytes(header.checksum))
            .to_ne_bytes();
        header.source = source.to_ne_bytes();
        header.destination = destination.to_ne_bytes();
        frame.write(Ethernet::LENGTH, &header)
    }

    #[inline(always)]
    fn enter_tunnel<P: Frame>(frame: &mut P) -> Result<Tunnelled, Reason> {
        let mut header: Ipv4 = frame.read(Ethernet::LENGTH).ok_or(Reason::Malformed)?;
        if header.time_to_live <= 1 {
            return Err(Reason::TimeToLive);
        }
        let old = u16::from_ne_bytes([header.time_to_live, header.protocol]);
        header.time_to_live -= 1;
        let new = u16::from_ne_bytes([header.time_to_live, header.protocol]);
        let checksum = u16::from_ne_bytes(header.checksum);
        header.checksum = Difference::of_half(old, new).apply(checksum).to_ne_bytes();
        if !frame.write(Ethernet::LENGTH, &header) {
            return Err(Reason::NotWritable);
        }
        Ok(Tunnelled {
            traffic_class: header.traffic_class,
            dont_fragment: header.dont_fragment(),
            hops: header.time_to_live,
            length: header.total_length.get().into(),
        })
    }

    #[inline(always)]
    fn sum_in_tunnel<P: Frame>(frame: &P) -> Option<u64> {
        let header: Ipv4 = frame.read(Ethernet::LENGTH)?;
        let (length, options_end) = (header.total_length.get(), header.header_length());
        let is_whole = !header.more_fragments() && !header.is_later_fragment();
        if !is_whole || !is_summed(frame, header.protocol, Ethernet::LENGTH + options_end)? {
            let is_finished = header.protocol != protocol::SCTP;
            let sum = || frame.sum(Ethernet::LENGTH, length.into());
            return is_finished.then(sum)?.map(u64::from);
        }
        // The header's own sum is 0 in one's complement, before and after.
        if header.protocol == protocol::ICMP {
            return Some(u16::MAX.into());
        }
        let payload = u32::from(length).wrapping_sub(options_end);
        let pseudo_header = u64::from(u32::from_ne_bytes(header.source))
            + u64::from(u32::from_ne_bytes(header.destination))
            + u64::from((payload + u32::from(header.protocol)).to_be());
        Some(u64::from(!fold(pseudo_header)) + u64::from(u16::MAX))
    }

    #[inline(always)]
    fn write_outer<P: Frame>(frame: &mut P, outer: &Outer<V4>) -> bool {
        let mut header = Ipv4::new(outer.protocol, outer.hops, outer.dont_fragment);
        header.traffic_class = outer.traffic_class;
        header
            .total_length
            .set((outer.payload + Ipv4::LENGTH) as u16);
        if !outer.dont_fragment {
            header.identification.set(frame.identification());
        }
        header.source = outer.source.to_ne_bytes();
        header.destination = outer.destination.to_ne_bytes();
        header.seal();
        frame.write(Ethernet::LENGTH, &header)
    }

    #[inline(always)]
    fn difference(old: u32, new: u32) -> Difference {
        Difference::of_word(old, new)
    }

    #[inline(always)]
    fn network(address: u32, granularity: u32) -> u32 {
        address & granularity
    }

    #[inline(always)]
    fn to_octets(address: u32) -> [u8; 16] {
        let [a, b, c, d] = address.to_ne_bytes();
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    #[inline(always)]
    fn folded(address: u32) -> u32 {
        u32::from_be(address)
    }

    #[inline(always)]
    fn from_words(first: u64, _second: u64) -> u32 {
        first as u32
    }

    #[inline(always)]
    fn to_words(address: u32) -> [u64; 2] {
        [address.into(), 0]
    }

    #[inline(always)]
    fn of_mark(mark: u32) -> u32 {
        mark.to_be()
    }

    #[inline(always)]
    fn store_addresses<W: Words>(line: W, sender: u32, receiver: u32) {
        line.store(
            ADDRESSES_WORD,
            u64::from(sender) | u64::from(receiver) << 32,
        );
    }

    #[inline(always)]
    fn load_addresses<W: Words>(line: W) -> (u32, u32) {
        let word = line.load(ADDRESSES_WORD);
        (word as u32, (word >> 32) as u32)
    }

    #[inline(always)]
    fn same_addresses<W: Words>(line: W, sender: u32, receiver: u32) -> bool {
        line.load(ADDRESSES_WORD) == u64::from(sender) | u64::from(receiver) << 32
    }

    #[inline(always)]
    fn fold(address: u32) -> u32 {
        address
    }

    #[inline(always)]
    fn hash(state: Hash, sender: u32, receiver: u32) -> Hash {
        state.absorb(u64::from(sender) | u64::from(receiver) << 32)
    }
}

/// IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V6;

impl Family for V6 {
    type Address = [u64; 2];
    const NUMBER: u8 = 6;
    const ETHER_TYPE: EtherType = EtherType::IPV6;
    const IN_IP: u8 = protocol::IPV6;
    const HEADER: u32 = Ipv6::LENGTH;

    #[inline(always)]
    fn parse<P: Frame>(frame: &P) -> Result<Packet<V6>, Reason> {
        match V6::parse_contents(frame)? {
            (_, true) => Err(Reason::Fragment),
            (packet, _) if packet.protocol == protocol::FRAGMENT => Err(Reason::Fragment),
            (packet, _) => Ok(packet),
        }
    }

    #[inline(always)]
    fn parse_first<P: Frame>(frame: &P) -> Result<Packet<V6>, Reason> {
        let (packet, _) = V6::parse_contents(frame)?;
        if packet.protocol == protocol::FRAGMENT {
            return Err(Reason::Fragment);
        }
        Ok(packet)
    }

    #[inline(always)]
    fn parse_piece<P: Frame>(frame: &P) -> Result<(Packet<V6>, Piece), Reason> {
        let (mut packet, is_first) = V6::parse_contents(frame)?;
        let mut piece = Piece {
            identification: 0,
            offset: 0,
            more: false,
        };
        if is_first {
            let at = packet.transport - Ipv6Fragment::LENGTH;
            let header: Ipv6Fragment = frame.read(at).ok_or(Reason::Malformed)?;
            piece.identification = u32::from_ne_bytes(header.identification);
            piece.more = header.more_fragments();
        } else if packet.protocol == protocol::FRAGMENT {
            let header: Ipv6Fragment = frame.read(packet.transport).ok_or(Reason::Malformed)?;
            packet.protocol = header.next_header;
            packet.transport += Ipv6Fragment::LENGTH;
            piece.identification = u32::from_ne_bytes(header.identification);
            piece.offset = header.fragment_offset();
            piece.more = header.more_fragments();
        }
        if packet.transport > Ethernet::LENGTH + packet.length {
            return Err(Reason::Malformed);
        }
        Ok((packet, piece))
    }

    #[inline(always)]
    fn rewrite<P: Frame>(frame: &mut P, source: [u64; 2], destination: [u64; 2], hops: u8) -> bool {
        // Field by field: a copy of the header would take too much of the stack.
        let hop_limit_at = Ethernet::LENGTH + Ipv6::HOP_LIMIT;
        let Some([hop_limit]) = frame.read::<[u8; 1]>(hop_limit_at) else {
            return false;
        };
        frame.write(hop_limit_at, &[hop_limit.wrapping_sub(hops)])
            && frame.write(Ethernet::LENGTH + Ipv6::SOURCE, &octets(source))
            && frame.write(Ethernet::LENGTH + Ipv6::DESTINATION, &octets(destination))
    }

    #[inline(always)]
    fn enter_tunnel<P: Frame>(frame: &mut P) -> Result<Tunnelled, Reason> {
        let mut header: Ipv6 = frame.read(Ethernet::LENGTH).ok_or(Reason::Malformed)?;
        if header.hop_limit <= 1 {
            return Err(Reason::TimeToLive);
        }
        header.hop_limit -= 1;
        if !frame.write(Ethernet::LENGTH, &header) {
            return Err(Reason::NotWritable);
        }
        Ok(Tunnelled {
            traffic_class: header.traffic_class(),
            dont_fragment: false,
            hops: header.hop_limit,
            length: Ipv6::LENGTH + u32::from(header.payload_length.get()),
        })
    }

    #[inline(always)]
    fn sum_in_tunnel<P: Frame>(frame: &P) -> Option<u64> {
        let header: Ipv6 = frame.read(Ethernet::LENGTH)?;
        let [first, second]: [u32; 2] = frame.read(Ethernet::LENGTH)?;
        let (payload, next) = (u32::from(header.payload_length.get()), header.next_header);
        // Both numbers, and not the addresses, stand in the pseudo-header in other places.
        if !is_summed(frame, next, Ethernet::LENGTH + Ipv6::LENGTH)? {
            return None;
        }
        let pseudo_header = u64::from((payload + u32::from(next)).to_be());
        let one_hop = u16::from_ne_bytes([0, 1]);
        Some(
            u64::from(first)
                + u64::from(second)
                + u64::from(!fold(pseudo_header))
                + u64::from(!one_hop),
        )
    }

    #[inline(always)]
    fn write_outer<P: Frame>(frame: &mut P, outer: &Outer<V6>) -> bool {
        let mut header = Ipv6::new(outer.protocol, outer.hops, outer.traffic_class);
        header.payload_length.set(outer.payload as u16);
        header.source = octets(outer.source);
        header.destination = octets(outer.destination);
        frame.write(Ethernet::LENGTH, &header)
    }

    #[inline(always)]
    fn difference(old: [u64; 2], new: [u64; 2]) -> Difference {
        let [old_first, old_second] = old;
        let [new_first, new_second] = new;
        Difference::of_word(old_first as u32, new_first as u32)
            .add(Difference::of_word(
                (old_first >> 32) as u32,
                (new_first >> 32) as u32,
            ))
            .add(Difference::of_word(old_second as u32, new_second as u32))
            .add(Difference::of_word(
                (old_second >> 32) as u32,
                (new_second >> 32) as u32,
            ))
    }

    #[inline(always)]
    fn network(address: [u64; 2], prefix: u32) -> [u64; 2] {
        let [first, second] = address;
        [
            first & leading_bits(prefix),
            second & leading_bits(prefix.saturating_sub(64)),
        ]
    }

    #[inline(always)]
    fn to_octets(address: [u64; 2]) -> [u8; 16] {
        octets(address)
    }

    #[inline(always)]
    fn folded([first, second]: [u64; 2]) -> u32 {
        let both = first ^ second;
        u32::from_be(both as u32 ^ (both >> 32) as u32)
    }

    #[inline(always)]
    fn from_words(first: u64, second: u64) -> [u64; 2] {
        [first, second]
    }

    #[inline(always)]
    fn to_words(address: [u64; 2]) -> [u64; 2] {
        address
    }

    #[inline(always)]
    fn of_mark(mark: u32) -> [u64; 2] {
        [mark.to_be().into(), 0]
    }

    #[inline(always)]
    fn store_addresses<W: Words>(line: W, sender: [u64; 2], receiver: [u64; 2]) {
        let ([a, b], [c, d]) = (sender, receiver);
        line.store(ADDRESSES_WORD, a);
        line.store(ADDRESSES_WORD + 1, b);
        line.store(ADDRESSES_WORD + 2, c);
        line.store(ADDRESSES_WORD + 3, d);
    }

    #[inline(always)]
    fn load_addresses<W: Words>(line: W) -> ([u64; 2], [u64; 2]) {
        (
            [line.load(ADDRESSES_WORD), line.load(ADDRESSES_WORD + 1)],
            [line.load(ADDRESSES_WORD + 2), line.load(ADDRESSES_WORD + 3)],
        )
    }

    #[inline(always)]
    fn same_addresses<W: Words>(line: W, sender: [u64; 2], receiver: [u64; 2]) -> bool {
        Self::load_addresses(line) == (sender, receiver)
    }

    #[inline(always)]
    fn fold([first, second]: [u64; 2]) -> u32 {
        let folded = first ^ second;
        (folded ^ folded >> 32) as u32
    }

    #[inline(always)]
    fn hash(state: Hash, sender: [u64; 2], receiver: [u64; 2]) -> Hash {
        let ([a, b], [c, d]) = (sender, receiver);
        state.absorb(a).absorb(b).absorb(c).absorb(d)
    }
}

impl V6 {
    /// Reads the headers up to the transport's, or to that of a later fragment; tells whether
    /// there is one of a first fragment among them.
    #[inline(always)]
    fn parse_contents<P: Frame>(frame: &P) -> Result<(Packet<V6>, bool), Reason> {
        let header: Ipv6 = frame.read(Ethernet::LENGTH).ok_or(Reason::Malformed)?;
        let total = Ipv6::LENGTH + u32::from(header.payload_length.get());
        let room = frame.length().wrapping_sub(Ethernet::LENGTH);
        if header.version() != 6 || total > room {
            return Err(Reason::Malformed);
        }
        let contents = extension::transport(frame, header.next_header)?;
        if contents.offset > Ethernet::LENGTH + total {
            return Err(Reason::Malformed);
        }
        let packet = Packet {
            source: words(header.source),
            destination: words(header.destination),
            protocol: contents.protocol,
            time_to_live: header.hop_limit,
            transport: contents.offset,
            length: total,
        };
        Ok((packet, contents.is_first_fragment))
    }

    /// An address as it stands in a packet.
    #[inline(always)]
    pub fn from_octets(octets: [u8; 16]) -> [u64; 2] {
        words(octets)
    }
}

#[inline(always)]
fn words(octets: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
    [
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
    ]
}

#[inline(always)]
fn octets(words: [u64; 2]) -> [u8; 16] {
    let [first, second] = words;
    let [a, b, c, d, e, f, g, h] = first.to_ne_bytes();
    let [i, j, k, l, m, n, o, p] = second.to_ne_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[inline(always)]
fn leading_bits(prefix: u32) -> u64 {
    match prefix {
        64.. => u64::MAX,
        0 => 0,
        _ => (u64::MAX << (64 - prefix)).to_be(),
    }
}
