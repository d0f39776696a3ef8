//! Who may tell the network that it has a virtual address: the director, and no real server.
//!
//! The Linux stack answers ARP on every interface for every address of the host, and asks with
//! the address that it answers from. Settings (`arp_ignore`, `arp_announce`) change that for all
//! addresses alike, and outlive whoever made them; here it is changed for virtual addresses
//! alone, and for as long as the programs are there.

use super::{DEVICE_WORDS, Outcome, RoleTables, vip};
use crate::family::{V4, V6};
use crate::frame::Frame;
use crate::table::Words;
use crate::wire::{Arp, Ethernet, Ipv6, protocol};

/// What becomes of an ARP packet that arrives: a request for a virtual address is dropped.
#[inline(always)]
pub(super) fn asks<P: Frame, T: RoleTables>(frame: &P, tables: &T) -> Option<Outcome> {
    let packet: Arp = frame.read(Ethernet::LENGTH)?;
    let is_of_vip = packet.is_request() && is_vip(tables, packet.target);
    is_of_vip.then_some(Outcome::RequestIgnored)
}

/// What becomes of an ARP packet that leaves and says that the sender has a virtual address: a
/// reply, and a request for that address itself, which is an announcement (RFC 5227, section 3),
/// are dropped. In another request the device's own address takes its place; a device without
/// one asks as who has none yet (RFC 5227, section 1.1), whom nobody remembers.
#[inline(always)]
pub(super) fn tells<P: Frame, T: RoleTables>(frame: &mut P, tables: &T) -> Option<Outcome> {
    let packet: Arp = frame.read(Ethernet::LENGTH)?;
    if !is_vip(tables, packet.sender) {
        return None;
    }
    if packet.is_reply() || packet.target == packet.sender {
        return Some(Outcome::AnnouncementWithheld);
    }
    if !packet.is_request() {
        return None;
    }
    const { assert!(DEVICE_WORDS == 1) };
    let device = tables.device(frame.device());
    let own = device.map_or(0, |device| (device.load(0) >> 32) as u32);
    Some(
        if frame.write(Ethernet::LENGTH + Arp::SENDER, &own.to_ne_bytes()) {
            Outcome::SenderReplaced
        } else {
            Outcome::NotWritable
        },
    )
}

/// Whether a packet is a neighbour solicitation for a virtual address (RFC 4861, section 4.3).
#[inline(always)]
pub(super) fn solicits<P: Frame, T: RoleTables>(frame: &P, tables: &T) -> bool {
    is_about_vip(frame, tables, NEIGHBOUR_SOLICITATION)
}

/// Whether it is a neighbour advertisement of one (RFC 4861, section 4.4).
#[inline(always)]
pub(super) fn advertises<P: Frame, T: RoleTables>(frame: &P, tables: &T) -> bool {
    is_about_vip(frame, tables, NEIGHBOUR_ADVERTISEMENT)
}

/// Types of ICMPv6 (RFC 4861).
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Octets from the start of either message to the target address.
const TARGET: u32 = 8;

/// Their hop limit: with any other the packet has passed a router, and counts for nothing
/// (RFC 4861, sections 7.1.1 and 7.1.2).
const HOP_LIMIT: u8 = 255;

#[inline(always)]
fn is_about_vip<P: Frame, T: RoleTables>(frame: &P, tables: &T, kind: u8) -> bool {
    const MESSAGE: u32 = Ethernet::LENGTH + Ipv6::LENGTH;
    // Next header and hop limit.
    let header = frame.read::<[u8; 2]>(Ethernet::LENGTH + Ipv6::HOP_LIMIT - 1);
    if header != Some([protocol::ICMPV6, HOP_LIMIT]) || frame.read(MESSAGE) != Some([kind]) {
        return false;
    }
    frame
        .read::<[u8; 16]>(MESSAGE + TARGET)
        .is_some_and(|target| vip::<V6, T>(tables, V6::from_octets(target)).is_some())
}

#[inline(always)]
fn is_vip<T: RoleTables>(tables: &T, address: [u8; 4]) -> bool {
    vip::<V4, T>(tables, u32::from_ne_bytes(address)).is_some()
}
