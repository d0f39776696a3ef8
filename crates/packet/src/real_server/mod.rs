//! What a real server of direct routing and tunnels does with packets.
//!
//! A director sends such a host packets for an address, the VIP, that the host has on its
//! loopback device and that only the director may tell the network that it has. So there is
//! less to do than on a director, and no state of connections:
//!
//! - [`arrive`] takes a director's packets out of their tunnels and lets the stack have them as
//!   if they had come without, and keeps the stack from answering who asks for a VIP;
//! - [`leave`] keeps the host from announcing a VIP, and has clients send segments that fit
//!   through the tunnel.
//!
//! | map | entry | |
//! |---|---|---|
//! | `VIPS` | hash: [`AddressKey`] to [`VIP_WORDS`] words | the VIPs |
//! | `DIRECTORS` | trie: [`AddressKey`] to nothing | networks from which tunnels may come |
//! | `DEVICES` | hash: a device's index to [`DEVICE_WORDS`] words | where the programs are |
//! | `ROLE` | one, [`ROLE_WORDS`] words | what holds for all |
//! | `OUTCOMES` | per processor, one word, by [`Outcome`] | |
//!
//! ```text
//! VIPS      word 0   VIP_ADDED: this program has put it on the loopback device
//!           word 1   the largest packet that came through a tunnel to it could have, in octets;
//!                    0 before the first
//! DEVICES   word 0   MTU 32 | address that is in no VIPS, as in a packet, or 0 32
//! ROLE      word 0   layout version
//!           word 1   four UDP ports 16, as in a packet, on which GUE arrives; 0 for none
//! ```

mod announce;
mod decapsulate;
mod outcome;
mod segment_size;

pub use outcome::Outcome;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::family::{Family, V4, V6};
use crate::frame::{Frame, Verdict};
use crate::table::Words;
use crate::wire::{EtherType, Ethernet};

/// Changes whenever a layout here does.
pub const LAYOUT_VERSION: u64 = 1;

/// Words of a VIP.
pub const VIP_WORDS: usize = 2;
/// The word with what the controller keeps with a VIP.
pub const VIP_FLAGS_WORD: usize = 0;
/// The word with the largest packet that came through a tunnel to it could have.
pub const VIP_ROOM_WORD: usize = 1;
/// The flag of a VIP that this program has put on the loopback device.
pub const VIP_ADDED: u64 = 1;
/// Words of a device.
pub const DEVICE_WORDS: usize = 1;
/// Words of what holds for all.
pub const ROLE_WORDS: usize = 2;
/// The word with the version of the layout.
pub const VERSION_WORD: usize = 0;
/// The word with the ports of GUE.
pub const GUE_PORTS_WORD: usize = 1;
/// How many ports there are for GUE.
pub const GUE_PORTS: usize = 4;

/// No header of an arriving frame is read that begins beyond this many octets of it, unless it
/// is reached for.
pub const REACH: u32 = 118;

/// An address as a key of the maps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AddressKey {
    /// 4 or 6.
    pub family: u32,
    /// The address, as in a packet; IPv4 in the first four octets, the others 0.
    pub address: [u8; 16],
}

impl AddressKey {
    /// Bits of a key before the address.
    pub const ADDRESS_BITS: u32 = 32;

    /// The key of an address.
    #[inline(always)]
    pub fn of<F: Family>(address: F::Address) -> AddressKey {
        AddressKey {
            family: F::NUMBER.into(),
            address: F::to_octets(address),
        }
    }
}

/// The maps of this role.
pub trait RoleTables {
    /// An entry of one of them.
    type Words: Words;

    /// What holds for all.
    fn role(&self) -> Option<Self::Words>;
    /// A virtual address.
    fn vip(&self, address: &AddressKey) -> Option<Self::Words>;
    /// Whether tunnels may come from an address.
    fn is_director(&self, address: &AddressKey) -> bool;
    /// A device, by its index.
    fn device(&self, index: u32) -> Option<Self::Words>;
    /// Adds one to an outcome's counter.
    fn count(&self, outcome: Outcome);
}

/// What is to be done with a frame that arrives at a device.
#[inline(always)]
pub fn arrive<P: Frame, T: RoleTables>(frame: &mut P, tables: &T) -> Verdict {
    // Of a VLAN's device the programs see the frame next.
    if frame.is_tagged() {
        return Verdict::Pass;
    }
    let Some(header) = frame.read::<Ethernet>(0) else {
        return Verdict::Pass;
    };
    let outcome = match header.ether_type() {
        EtherType::ARP => announce::asks(frame, tables),
        EtherType::IPV4 => decapsulate::arrive::<V4, P, T>(frame, tables),
        EtherType::IPV6 if announce::solicits(frame, tables) => Some(Outcome::RequestIgnored),
        EtherType::IPV6 => decapsulate::arrive::<V6, P, T>(frame, tables),
        _ => None,
    };
    conclude(tables, outcome)
}

/// What is to be done with a frame that leaves by a device.
#[inline(always)]
pub fn leave<P: Frame, T: RoleTables>(frame: &mut P, tables: &T) -> Verdict {
    let Some(header) = frame.read::<Ethernet>(0) else {
        return Verdict::Pass;
    };
    let outcome = match header.ether_type() {
        EtherType::ARP => announce::tells(frame, tables),
        EtherType::IPV4 => segment_size::clamp::<V4, P, T>(frame, tables),
        EtherType::IPV6 if announce::advertises(frame, tables) => {
            Some(Outcome::AnnouncementWithheld)
        }
        EtherType::IPV6 => segment_size::clamp::<V6, P, T>(frame, tables),
        _ => None,
    };
    conclude(tables, outcome)
}

/// Counts; the rest is for the stack.
#[inline(always)]
fn conclude<T: RoleTables>(tables: &T, outcome: Option<Outcome>) -> Verdict {
    let Some(outcome) = outcome else {
        return Verdict::Pass;
    };
    tables.count(outcome);
    if (outcome as u8) < Outcome::RequestIgnored as u8 {
        Verdict::Pass
    } else {
        Verdict::Drop
    }
}

#[inline(always)]
fn vip<F: Family, T: RoleTables>(tables: &T, address: F::Address) -> Option<T::Words> {
    tables.vip(&AddressKey::of::<F>(address))
}
