//! What a real server does with packets: all that comes out of tunnels, and what must not; who
//! hears of virtual addresses; what clients are told of segments.
//!
//! Packets are built by `etherparse`, which shares no code with what is tested.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use elver_packet::frame::{Route, Verdict};
use elver_packet::host::{HostFrame, Journey, SharedWords, Slice};
use elver_packet::real_server::{
    AddressKey, DEVICE_WORDS, GUE_PORTS_WORD, Outcome, ROLE_WORDS, RoleTables, VIP_ROOM_WORD,
    VIP_WORDS, arrive, leave,
};
use elver_packet::table::Words;
use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder,
    SlicedPacket, TcpOptionElement, TransportSlice, UdpHeader,
};
use proptest::prelude::*;

const CLIENT: [&str; 2] = ["172.17.42.110", "fd00::110"];
const DIRECTOR: [&str; 2] = ["172.17.42.111", "fd00::111"];
const STRANGER: [&str; 2] = ["172.17.42.99", "fd00::99"];
const SERVER: [&str; 2] = ["172.17.42.120", "fd00::120"];
const VIP: [&str; 2] = ["172.17.42.200", "fd00::200"];
const OTHER: [&str; 2] = ["172.17.42.201", "fd00::201"];
const GUE_PORT: u16 = 5555;
/// The device that [`HostFrame`] came by.
const DEVICE: u32 = 3;
const MTU: u64 = 1500;

/// A real server of both virtual addresses.
struct Host {
    role: SharedWords,
    vips: BTreeMap<([u8; 16], u32), SharedWords>,
    directors: BTreeSet<([u8; 16], u32)>,
    device: SharedWords,
    outcomes: RefCell<Vec<Outcome>>,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(address: IpAddr) -> ([u8; 16], u32) {
    match address {
        IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            (octets, 4)
        }
        IpAddr::V6(address) => (address.octets(), 6),
    }
}

impl Host {
    fn new() -> Host {
        let host = Host {
            role: SharedWords::new(ROLE_WORDS),
            vips: VIP
                .map(|vip| (key(ip(vip)), SharedWords::new(VIP_WORDS)))
                .into(),
            directors: DIRECTOR.map(|director| key(ip(director))).into(),
            device: SharedWords::new(DEVICE_WORDS),
            outcomes: RefCell::default(),
        };
        let [high, low] = GUE_PORT.to_be_bytes();
        let ports = u64::from_ne_bytes([0, 0, high, low, 0, 0, 0, 0]);
        (&*host.role).store(GUE_PORTS_WORD, ports);
        let own = u32::from_ne_bytes([172, 17, 42, 120]);
        (&*host.device).store(0, MTU | u64::from(own) << 32);
        host
    }

    /// The verdict, what was counted, and the frame afterwards.
    fn arrives(&self, octets: &[u8]) -> (Verdict, Vec<Outcome>, Vec<u8>) {
        self.arrives_with(octets, |_| {})
    }

    fn arrives_with(
        &self,
        octets: &[u8],
        change: impl FnOnce(&mut HostFrame<fn(&Journey) -> Route>),
    ) -> (Verdict, Vec<Outcome>, Vec<u8>) {
        let mut frame = HostFrame::new(octets.to_vec(), routes as fn(&Journey) -> Route);
        change(&mut frame);
        let verdict = arrive(&mut frame, &self);
        (verdict, self.outcomes.take(), frame.octets)
    }

    fn leaves(&self, octets: &[u8]) -> (Verdict, Vec<Outcome>, Vec<u8>) {
        let mut frame = HostFrame::new(octets.to_vec(), routes as fn(&Journey) -> Route);
        let verdict = leave(&mut frame, &self);
        (verdict, self.outcomes.take(), frame.octets)
    }

    fn room(&self, vip: &str) -> u64 {
        (&*self.vips[&key(ip(vip))]).load(VIP_ROOM_WORD)
    }

    #[track_caller]
    fn drops(&self, octets: &[u8], outcome: Outcome) {
        let (verdict, outcomes, after) = self.arrives(octets);
        assert_eq!((verdict, outcomes), (Verdict::Drop, vec![outcome]));
        assert_eq!(after, octets, "what is dropped is not changed");
    }

    #[track_caller]
    fn leaves_alone(&self, octets: &[u8]) {
        let (verdict, outcomes, after) = self.arrives(octets);
        assert_eq!(
            (verdict, outcomes, after),
            (Verdict::Pass, vec![], octets.to_vec())
        );
    }
}

/// The host's own addresses are local; all others are on the link.
fn routes(journey: &Journey) -> Route {
    if SERVER
        .iter()
        .any(|server| ip(server) == journey.destination)
    {
        Route::LocalOrNone
    } else {
        Route::None
    }
}

impl<'a> RoleTables for &'a Host {
    type Words = Slice<'a>;

    fn role(&self) -> Option<Slice<'a>> {
        Some(&self.role)
    }

    fn vip(&self, address: &AddressKey) -> Option<Slice<'a>> {
        let words = self.vips.get(&(address.address, address.family));
        words.map(|words| &**words)
    }

    fn is_director(&self, address: &AddressKey) -> bool {
        self.directors.contains(&(address.address, address.family))
    }

    fn device(&self, index: u32) -> Option<Slice<'a>> {
        (index == DEVICE).then_some(&*self.device)
    }

    fn count(&self, outcome: Outcome) {
        self.outcomes.borrow_mut().push(outcome);
    }
}

/// A TCP segment of a client for an address, from its IP header on.
fn segment(source: &str, destination: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    match (ip(source), ip(destination)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 61)
            .tcp(1000, 80, 7, 512)
            .write(&mut octets, b"payload"),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 61)
            .tcp(1000, 80, 7, 512)
            .write(&mut octets, b"payload"),
        _ => panic!("two families"),
    }
    .unwrap();
    octets
}

/// A kind of tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ipip,
    Gre,
    GreWithChecksum,
    Gue,
}

const KINDS: [Kind; 4] = [Kind::Ipip, Kind::Gre, Kind::GreWithChecksum, Kind::Gue];

impl Kind {
    /// Octets of what stands between the headers.
    fn octets(self) -> usize {
        match self {
            Kind::Ipip => 0,
            Kind::Gre => 4,
            Kind::GreWithChecksum => 8,
            Kind::Gue => 12,
        }
    }
}

/// A packet in a tunnel, in an Ethernet frame.
#[derive(Debug, Clone)]
struct Tunnelled {
    kind: Kind,
    source: IpAddr,
    destination: IpAddr,
    traffic_class: u8,
    inner: Vec<u8>,
}

impl Tunnelled {
    /// From the director of that family, 0 or 1, to this host.
    fn new(kind: Kind, outer: usize, inner: Vec<u8>) -> Tunnelled {
        Tunnelled {
            kind,
            source: ip(DIRECTOR[outer]),
            destination: ip(SERVER[outer]),
            traffic_class: 0,
            inner,
        }
    }

    fn is_inner_ipv6(&self) -> bool {
        self.inner[0] >> 4 == 6
    }

    /// What follows the outer header, and its protocol.
    fn carried(&self) -> (IpNumber, Vec<u8>) {
        let number = if self.is_inner_ipv6() { 41 } else { 4 };
        let ether_type: [u8; 2] = if self.is_inner_ipv6() {
            [0x86, 0xdd]
        } else {
            [8, 0]
        };
        let inner = self.inner.as_slice();
        match self.kind {
            Kind::Ipip => (IpNumber(number), inner.to_vec()),
            Kind::Gre => (IpNumber::GRE, [&[0, 0], &ether_type[..], inner].concat()),
            // Whatever the checksum is: it is not looked at.
            Kind::GreWithChecksum => (
                IpNumber::GRE,
                [&[0x80, 0], &ether_type[..], &[1, 2, 0, 0], inner].concat(),
            ),
            Kind::Gue => {
                let payload = [&[0, number, 0, 0], inner].concat();
                let header =
                    UdpHeader::without_ipv4_checksum(40_000, GUE_PORT, payload.len()).unwrap();
                (IpNumber::UDP, [&header.to_bytes()[..], &payload].concat())
            }
        }
    }

    fn frame(&self) -> Vec<u8> {
        let (number, carried) = self.carried();
        packet(
            self.source,
            self.destination,
            self.traffic_class,
            number,
            &carried,
        )
    }
}

fn ethernet(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header {
        source: [2, 0, 0, 0, 0, 1],
        destination: [2, 0, 0, 0, 0, 2],
        ether_type,
    };
    [&header.to_bytes()[..], payload].concat()
}

/// A packet in an Ethernet frame.
fn packet(from: IpAddr, to: IpAddr, class: u8, number: IpNumber, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = payload.len().try_into().unwrap();
            let mut header =
                Ipv4Header::new(length, 60, number, from.octets(), to.octets()).unwrap();
            header.dscp = (class >> 2).try_into().unwrap();
            header.ecn = (class & 3).try_into().unwrap();
            header.header_checksum = header.calc_header_checksum();
            ethernet(EtherType::IPV4, &[&header.to_bytes()[..], payload].concat())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: class,
                payload_length: payload.len().try_into().unwrap(),
                next_header: number,
                hop_limit: 60,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            ethernet(EtherType::IPV6, &[&header.to_bytes()[..], payload].concat())
        }
        _ => panic!("two families"),
    }
}

/// The frame in which a packet goes on to the stack.
fn alone(inner: &[u8]) -> Vec<u8> {
    let is_ipv6 = inner[0] >> 4 == 6;
    ethernet(
        if is_ipv6 {
            EtherType::IPV6
        } else {
            EtherType::IPV4
        },
        inner,
    )
}

/// Every kind of tunnel, over and with packets of every family: kind, outer, inner.
fn every_tunnel() -> impl Iterator<Item = (Kind, usize, usize)> {
    let families = [(0, 0), (0, 1), (1, 0), (1, 1)];
    KINDS
        .into_iter()
        .flat_map(move |kind| families.map(|(outer, inner)| (kind, outer, inner)))
}

#[test]
fn a_packet_comes_out_of_every_tunnel_as_it_went_in() {
    for (kind, outer, inner) in every_tunnel() {
        let host = Host::new();
        let packet = segment(CLIENT[inner], VIP[inner]);
        let frame = Tunnelled::new(kind, outer, packet.clone()).frame();
        let (verdict, outcomes, after) = host.arrives(&frame);
        assert_eq!(
            (verdict, outcomes),
            (Verdict::Pass, vec![Outcome::Decapsulated]),
            "{kind:?} {outer} {inner}"
        );
        assert_eq!(after, alone(&packet), "{kind:?} {outer} {inner}");
        let overhead = [20, 40][outer] + kind.octets();
        assert_eq!(host.room(VIP[inner]), MTU - overhead as u64);
    }
}

#[test]
fn fragments_of_a_packet_come_out_each_by_itself() {
    let host = Host::new();
    for (offset, more) in [(0, true), (2, true), (4, false)] {
        let mut header =
            Ipv4Header::new(16, 61, IpNumber::UDP, ip4(CLIENT[0]), ip4(VIP[0])).unwrap();
        header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        header.more_fragments = more;
        header.dont_fragment = false;
        header.header_checksum = header.calc_header_checksum();
        // As ports, those of a tunnel: only of the first fragment they are.
        let [high, low] = if offset == 0 {
            [0, 53]
        } else {
            GUE_PORT.to_be_bytes()
        };
        let payload = [[0, 1, high, low], [0; 4], [1; 4], [2; 4]].concat();
        let inner = [&header.to_bytes()[..], &payload].concat();
        for kind in KINDS {
            let (verdict, outcomes, after) =
                host.arrives(&Tunnelled::new(kind, 0, inner.clone()).frame());
            assert_eq!(
                (verdict, outcomes),
                (Verdict::Pass, vec![Outcome::Decapsulated])
            );
            assert_eq!(after, alone(&inner));
        }
    }
}

fn ip4(text: &str) -> [u8; 4] {
    match ip(text) {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => panic!("{text} is IPv6"),
    }
}

#[test]
fn a_tunnel_in_fragments_is_dropped() {
    let host = Host::new();
    for kind in KINDS {
        let whole = Tunnelled::new(kind, 0, segment(CLIENT[0], VIP[0])).frame();
        let mut first = whole.clone();
        first[20] |= 0x20;
        host.drops(&first, Outcome::FragmentedTunnel);
        let mut later = whole.clone();
        later[21] = 3;
        if kind == Kind::Gue {
            // Without ports it may be anything.
            host.leaves_alone(&later);
        } else {
            host.drops(&later, Outcome::FragmentedTunnel);
        }
        let mut of_others = Tunnelled::new(kind, 0, segment(CLIENT[0], VIP[0]));
        of_others.source = ip(STRANGER[0]);
        let mut of_others = of_others.frame();
        of_others[20] |= 0x20;
        host.leaves_alone(&of_others);
    }
    // IPv6: the carrier stands in the fragment's header.
    let fragment = [&[41, 0, 0, 9, 0, 0, 0, 1][..], &[0; 24]].concat();
    let frame = packet(ip(DIRECTOR[1]), ip(SERVER[1]), 0, IpNumber(44), &fragment);
    host.drops(&frame, Outcome::FragmentedTunnel);
}

#[test]
fn a_stranger_sends_nothing_to_a_virtual_address() {
    let host = Host::new();
    for (kind, outer, inner) in every_tunnel() {
        let mut tunnel = Tunnelled::new(kind, outer, segment(CLIENT[inner], VIP[inner]));
        tunnel.source = ip(STRANGER[outer]);
        host.drops(&tunnel.frame(), Outcome::NotFromDirector);
        assert_eq!(host.room(VIP[inner]), 0, "nothing is learned from it");
        // Tunnels of others are theirs, whatever is in them.
        tunnel.inner = segment(CLIENT[inner], OTHER[inner]);
        host.leaves_alone(&tunnel.frame());
        tunnel.inner = segment(CLIENT[inner], VIP[inner]);
        tunnel.inner.truncate(12);
        host.leaves_alone(&tunnel.frame());
    }
}

#[test]
fn what_is_for_somebody_else_is_left_alone() {
    let host = Host::new();
    for (kind, outer, inner) in every_tunnel() {
        let mut tunnel = Tunnelled::new(kind, outer, segment(CLIENT[inner], VIP[inner]));
        let frame = tunnel.frame();
        let (verdict, outcomes, after) =
            host.arrives_with(&frame, |frame| frame.addressed_to_us = false);
        assert_eq!(
            (verdict, outcomes, after),
            (Verdict::Pass, vec![], frame.clone())
        );
        let (verdict, outcomes, after) = host.arrives_with(&frame, |frame| frame.is_tagged = true);
        assert_eq!(
            (verdict, outcomes, after),
            (Verdict::Pass, vec![], frame.clone())
        );
        // A router that is a real server itself.
        let next = |_: &Journey| {
            Route::Unresolved(elver_packet::frame::Way {
                device: 4,
                family: 4,
                neighbour: [0; 2],
            })
        };
        let (verdict, outcomes, after) = host.arrives_with(&frame, |frame| frame.routes = next);
        assert_eq!((verdict, outcomes, after), (Verdict::Pass, vec![], frame));
        tunnel.inner = segment(CLIENT[inner], OTHER[inner]);
        host.leaves_alone(&tunnel.frame());
    }
    for family in [0, 1] {
        host.leaves_alone(&alone(&segment(CLIENT[family], VIP[family])));
        host.leaves_alone(&alone(&segment(CLIENT[family], SERVER[family])));
    }
}

#[test]
fn a_tunnel_in_a_tunnel_is_dropped() {
    let host = Host::new();
    for (kind, outer, inner) in every_tunnel() {
        for second in KINDS {
            let mut nested = Tunnelled::new(second, inner, segment(CLIENT[0], VIP[0]));
            nested.destination = ip(VIP[inner]);
            let packet = nested.frame().split_off(14);
            let frame = Tunnelled::new(kind, outer, packet).frame();
            host.drops(&frame, Outcome::NestedTunnel);
        }
    }
}

#[test]
fn headers_that_contradict_themselves_are_dropped() {
    let host = Host::new();
    for (kind, outer, inner) in every_tunnel() {
        let packet = segment(CLIENT[inner], VIP[inner]);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = packet.clone();
            change(&mut packet);
            let mut tunnel = Tunnelled::new(kind, outer, segment(CLIENT[inner], VIP[inner]));
            // What the tunnel says of the family stays.
            let (number, carried) = tunnel.carried();
            let headers = carried[..carried.len() - tunnel.inner.len()].to_vec();
            tunnel.inner = packet;
            let all = [&headers[..], &tunnel.inner].concat();
            self::packet(tunnel.source, tunnel.destination, 0, number, &all)
        };
        // Cut off within its header.
        host.drops(
            &with(&|packet| packet.truncate(19)),
            Outcome::MalformedTunnel,
        );
        // Another version.
        host.drops(&with(&|packet| packet[0] ^= 0x10), Outcome::MalformedTunnel);
        // Longer than what carries it.
        host.drops(
            &with(&|packet| packet.truncate(packet.len() - 1)),
            Outcome::MalformedTunnel,
        );
        if inner == 0 {
            // A header shorter than any.
            host.drops(&with(&|packet| packet[0] = 0x44), Outcome::MalformedTunnel);
            // A packet shorter than its header.
            host.drops(
                &with(&|packet| packet[2..4].fill(0)),
                Outcome::MalformedTunnel,
            );
        }
    }
    // GUE with extensions, a control message, another version.
    for (place, value) in [(0, 1), (0, 0x20), (0, 0x40), (2, 1), (1, 6)] {
        let mut frame = Tunnelled::new(Kind::Gue, 0, segment(CLIENT[0], VIP[0])).frame();
        frame[14 + 20 + 8 + place] = value;
        host.drops(&frame, Outcome::MalformedTunnel);
    }
    // GRE with a key, or with Ethernet in it, is another one's.
    for (place, value) in [(0, 0x20), (3, 1)] {
        let mut frame = Tunnelled::new(Kind::Gre, 0, segment(CLIENT[0], VIP[0])).frame();
        frame[14 + 20 + place] = value;
        host.leaves_alone(&frame);
    }
    // The same port over TCP, and another port.
    let mut frame = Tunnelled::new(Kind::Gue, 0, segment(CLIENT[0], VIP[0])).frame();
    frame[14 + 20 + 3] ^= 1;
    host.leaves_alone(&frame);
}

/// RFC 6040, section 4.2, as the kernel does it.
#[test]
fn congestion_on_the_way_is_told_to_whom_it_concerns() {
    const CONGESTION: u8 = 3;
    for (kind, outer, inner) in every_tunnel() {
        let host = Host::new();
        let shift = [0, 4][inner];
        for class in [0_u8, 1, 2, 3] {
            let mut packet = segment(CLIENT[inner], VIP[inner]);
            packet[1] |= class << shift;
            seal(&mut packet);
            let mut tunnel = Tunnelled::new(kind, outer, packet.clone());
            tunnel.traffic_class = CONGESTION;
            if class == 0 {
                host.drops(&tunnel.frame(), Outcome::Congestion);
                continue;
            }
            let (verdict, _, after) = host.arrives(&tunnel.frame());
            assert_eq!(verdict, Verdict::Pass);
            packet[1] |= CONGESTION << shift;
            seal(&mut packet);
            assert_eq!(after, alone(&packet), "{kind:?} {outer} {inner} {class}");
        }
    }
}

/// Makes the checksum of an IPv4 header right.
fn seal(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        let (header, _) = Ipv4Header::from_slice(packet).unwrap();
        packet[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
    }
}

/// An ARP packet: who speaks for which address, and asks for which.
fn arp(operation: u8, sender: &str, target: &str) -> Vec<u8> {
    let (sender, target) = (ip4(sender), ip4(target));
    let payload = [
        &[0, 1, 8, 0, 6, 4, 0, operation][..],
        &[2, 0, 0, 0, 0, 1],
        &sender,
        &[0; 6],
        &target,
    ]
    .concat();
    ethernet(EtherType::ARP, &payload)
}

#[test]
fn nobody_hears_by_arp_that_this_host_has_a_virtual_address() {
    let host = Host::new();
    host.drops(&arp(1, CLIENT[0], VIP[0]), Outcome::RequestIgnored);
    // Another one's announcement is a request for its own address.
    host.drops(&arp(1, VIP[0], VIP[0]), Outcome::RequestIgnored);
    for frame in [
        arp(1, CLIENT[0], SERVER[0]),
        arp(1, VIP[0], SERVER[0]),
        arp(2, CLIENT[0], SERVER[0]),
    ] {
        host.leaves_alone(&frame);
    }
    for frame in [
        arp(2, VIP[0], CLIENT[0]),
        arp(1, VIP[0], VIP[0]),
        arp(2, VIP[0], VIP[0]),
    ] {
        let (verdict, outcomes, _) = host.leaves(&frame);
        assert_eq!(
            (verdict, outcomes),
            (Verdict::Drop, vec![Outcome::AnnouncementWithheld])
        );
    }
    let (verdict, outcomes, after) = host.leaves(&arp(1, VIP[0], CLIENT[0]));
    assert_eq!(
        (verdict, outcomes),
        (Verdict::Pass, vec![Outcome::SenderReplaced])
    );
    assert_eq!(
        after,
        arp(1, SERVER[0], CLIENT[0]),
        "it asks with its own address"
    );
    (&*host.device).store(0, MTU);
    let (_, _, after) = host.leaves(&arp(1, VIP[0], CLIENT[0]));
    assert_eq!(after, arp(1, "0.0.0.0", CLIENT[0]), "or with none");
    for frame in [arp(1, SERVER[0], CLIENT[0]), arp(2, SERVER[0], VIP[0])] {
        assert_eq!(host.leaves(&frame), (Verdict::Pass, vec![], frame));
    }
}

/// A neighbour solicitation, 135, or advertisement, 136.
fn neighbour(kind: u8, target: &str, hop_limit: u8) -> Vec<u8> {
    let (target, _) = key(ip(target));
    let message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target].concat();
    let mut frame = packet(
        ip(CLIENT[1]),
        ip(SERVER[1]),
        0,
        IpNumber::IPV6_ICMP,
        &message,
    );
    frame[14 + 7] = hop_limit;
    frame
}

#[test]
fn nor_by_neighbour_discovery() {
    let host = Host::new();
    let of_group = |frame: &[u8]| host.arrives_with(frame, |frame| frame.addressed_to_us = false);
    let (verdict, outcomes, _) = of_group(&neighbour(135, VIP[1], 255));
    assert_eq!(
        (verdict, outcomes),
        (Verdict::Drop, vec![Outcome::RequestIgnored])
    );
    for frame in [neighbour(135, SERVER[1], 255), neighbour(136, VIP[1], 255)] {
        assert_eq!(of_group(&frame), (Verdict::Pass, vec![], frame.clone()));
    }
    let (verdict, outcomes, _) = host.leaves(&neighbour(136, VIP[1], 255));
    assert_eq!(
        (verdict, outcomes),
        (Verdict::Drop, vec![Outcome::AnnouncementWithheld])
    );
    for frame in [neighbour(136, SERVER[1], 255), neighbour(135, VIP[1], 255)] {
        assert_eq!(host.leaves(&frame), (Verdict::Pass, vec![], frame.clone()));
    }
}

/// A SYN-ACK from a virtual address with these options, in an Ethernet frame.
fn answer(family: usize, options: &[TcpOptionElement]) -> Vec<u8> {
    let mut octets = Vec::new();
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let builder = match (ip(VIP[family]), ip(CLIENT[family])) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("two families"),
    };
    builder
        .tcp(80, 1000, 7, 512)
        .syn()
        .ack(8)
        .options(options)
        .unwrap()
        .write(&mut octets, &[])
        .unwrap();
    octets
}

/// The segment size that a frame announces; its checksum has to be right.
#[track_caller]
fn announced(frame: &[u8]) -> Option<u16> {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
        panic!("no TCP");
    };
    let sum = match sliced.net.unwrap() {
        etherparse::NetSlice::Ipv4(ip) => {
            tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination())
        }
        etherparse::NetSlice::Ipv6(ip) => {
            tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
        }
        etherparse::NetSlice::Arp(_) => panic!("ARP"),
    };
    assert_eq!(tcp.checksum(), sum.unwrap(), "the checksum");
    tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(size)) => Some(size),
        _ => None,
    })
}

#[test]
fn clients_are_told_of_segments_that_fit_through_the_tunnel() {
    use TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, WindowScale,
    };
    for (family, headers) in [(0, 40), (1, 60)] {
        let host = Host::new();
        let direct = answer(family, &[MaximumSegmentSize(1460)]);
        assert_eq!(
            host.leaves(&direct),
            (Verdict::Pass, vec![], direct.clone()),
            "no tunnel yet"
        );
        host.arrives(&Tunnelled::new(Kind::Gue, 0, segment(CLIENT[family], VIP[family])).frame());
        let largest = 1500 - 32 - headers;
        for options in [
            &[MaximumSegmentSize(1460)][..],
            &[Noop, MaximumSegmentSize(1460)],
            &[
                WindowScale(7),
                MaximumSegmentSize(1460),
                SelectiveAcknowledgementPermitted,
            ],
            &[Noop, Noop, MaximumSegmentSize(65_535)],
        ] {
            let frame = answer(family, options);
            let (verdict, outcomes, after) = host.leaves(&frame);
            assert_eq!(
                (verdict, outcomes),
                (Verdict::Pass, vec![Outcome::SegmentSizeClamped]),
                "{options:?}"
            );
            assert_eq!(announced(&after), Some(largest), "{options:?}");
        }
        for options in [&[MaximumSegmentSize(536)][..], &[Noop], &[]] {
            let frame = answer(family, options);
            assert_eq!(host.leaves(&frame), (Verdict::Pass, vec![], frame.clone()));
        }
        // Through a larger tunnel, too, others may come.
        host.arrives(&Tunnelled::new(Kind::Ipip, 0, segment(CLIENT[family], VIP[family])).frame());
        assert_eq!(host.room(VIP[family]), 1500 - 32);
    }
}

proptest! {
    /// Whatever comes, nothing panics, and what is passed uncounted is not changed.
    #[test]
    fn nothing_is_changed_in_silence(
        (kind, outer, inner) in (0..4_usize, 0..2_usize, 0..2_usize),
        flips in proptest::collection::vec((0..90_usize, any::<u8>()), 0..4),
        cut in 0..100_usize,
    ) {
        let host = Host::new();
        let mut frame =
            Tunnelled::new(KINDS[kind], outer, segment(CLIENT[inner], VIP[inner])).frame();
        for (place, flip) in flips {
            if let Some(octet) = frame.get_mut(place) {
                *octet ^= flip;
            }
        }
        frame.truncate(frame.len().max(100) - cut);
        let (verdict, outcomes, after) = host.arrives(&frame);
        match outcomes[..] {
            [] => prop_assert_eq!((verdict, after), (Verdict::Pass, frame.clone())),
            [Outcome::Decapsulated] => prop_assert!(after.len() < frame.len()),
            [_] => prop_assert_eq!((verdict, after), (Verdict::Drop, frame.clone())),
            _ => prop_assert!(false, "counted twice: {:?}", outcomes),
        }
        let (_, outcomes, _) = host.leaves(&frame);
        prop_assert!(outcomes.len() <= 1);
    }
}
