//! IPv6 (RFC 8200).

use super::{ADDRESSES_WORD, Family, Outer, Packet, Piece, Tunnelled, extension, is_summed};
use crate::checksum::{Difference, fold};
use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::Words;
use crate::table::connection::Hash;
use crate::wire::{EtherType, Ethernet, Ipv6, Ipv6Fragment, protocol};

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
