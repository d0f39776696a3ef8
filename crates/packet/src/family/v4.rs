//! IPv4 (RFC 791).

use super::{ADDRESSES_WORD, Family, Outer, Packet, Piece, Tunnelled, is_summed};
use crate::checksum::{Difference, fold};
use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::Words;
use crate::table::connection::Hash;
use crate::wire::{EtherType, Ethernet, Ipv4, protocol};

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
