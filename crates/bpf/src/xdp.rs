//! A frame at an XDP hook: as it came from the wire, before anything of the kernel's.

use core::mem::offset_of;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_action::XDP_REDIRECT, xdp_md};
use aya_ebpf::helpers::generated as helpers;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMapHash};
use elver_packet::checksum::Difference;
use elver_packet::family::Family;
use elver_packet::frame::{
    Encapsulation, Frame, InternetChecksum, Notes, Route, RouteQuery, Way, updated_checksum,
};
use elver_packet::table::station::{self, Station};
use elver_packet::wire::{EtherType, Ethernet};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::notes;
use crate::octets::Octets;
use crate::route::route;
use crate::shared::Entry;

/// Devices that take frames from here, each under its own index.
#[map]
static REDIRECTS: DevMapHash = DevMapHash::pinned(1, 0);
/// The link-layer addresses that this host has on its devices.
#[map]
static STATION_SETS: Array<[u64; station::WORDS]> = Array::pinned(station::SETS, BPF_F_MMAPABLE);

/// A frame whose first buffer begins with an Ethernet header. What does not lie in that
/// buffer looks cut off.
pub(crate) struct Xdp {
    frame: *mut xdp_md,
}

impl Xdp {
    #[inline(always)]
    pub(crate) fn new(frame: *mut xdp_md) -> Xdp {
        Xdp { frame }
    }

    #[inline(always)]
    fn octets(&self) -> Octets {
        const DATA: usize = offset_of!(xdp_md, data);
        const END: usize = offset_of!(xdp_md, data_end);
        // SAFETY: the context is valid, and these are its members.
        unsafe { Octets::of_context::<_, DATA, END>(self.frame) }
    }
}

impl Frame for Xdp {
    const IS_FAST_PATH: bool = true;

    #[inline(always)]
    fn addressed_to_us(&self) -> bool {
        let Some(station) = Station::of_frame(self) else {
            return false;
        };
        STATION_SETS
            .get_ptr_mut(station.set())
            .is_some_and(|set| station.is_in(Entry(set)))
    }

    #[inline(always)]
    fn is_tagged(&self) -> bool {
        let header = self.octets().read::<Ethernet>(0);
        header.is_some_and(|header| {
            matches!(
                header.ether_type(),
                EtherType::VLAN | EtherType::SERVICE_VLAN
            )
        })
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        let Octets { data, end } = self.octets();
        (end - data) as u32
    }

    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        0
    }

    /// All that a program sees of a frame can be read at once.
    #[inline(always)]
    fn reach(&self, _offset: u32) {}

    #[inline(always)]
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T> {
        self.octets().read(offset)
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> bool {
        self.octets().write(offset, value)
    }

    #[inline(always)]
    fn update_transport_checksum(
        &mut self,
        offset: u32,
        kind: InternetChecksum,
        addresses: Difference,
        ports: Difference,
    ) -> bool {
        let Some(old) = self.octets().read(offset).map(u16::from_ne_bytes) else {
            return false;
        };
        let new = updated_checksum(old, kind, addresses.add(ports));
        self.octets().write(offset, &new.to_ne_bytes())
    }

    #[inline(always)]
    fn grow(&mut self, room: Encapsulation) -> bool {
        // SAFETY: the context is valid.
        unsafe { helpers::bpf_xdp_adjust_head(self.frame, -(room.octets as i32)) == 0 }
    }

    #[inline(always)]
    fn device(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.frame).ingress_ifindex }
    }

    #[inline(always)]
    fn sum(&self, _offset: u32, _octets: u32) -> Option<u16> {
        None
    }

    #[inline(always)]
    fn is_unfinished(&mut self, _offset: u32) -> bool {
        false
    }

    #[inline(always)]
    fn cut(&mut self, _length: u32) -> bool {
        false
    }

    #[inline(always)]
    fn insert(&mut self, _octets: u32) -> bool {
        false
    }

    #[inline(always)]
    fn strip(&mut self, _octets: u32, _outer: u8, _inner: u8) -> bool {
        false
    }

    #[inline(always)]
    fn identification(&self) -> u16 {
        // SAFETY: a helper without arguments.
        unsafe { helpers::bpf_get_prandom_u32() as u16 }
    }

    #[inline(always)]
    fn can_leave_by(&self, device: u32) -> bool {
        // Without a device, what the flags say is returned: XDP_ABORTED.
        REDIRECTS.redirect(device, 0) == Ok(XDP_REDIRECT)
    }

    /// The kernel keeps what [`Frame::can_leave_by`] asked for until the last program for the
    /// frame is done.
    #[inline(always)]
    fn transmit(&mut self, _device: u32) {}

    #[inline(always)]
    fn resolve(&mut self, _way: &Way) {}

    #[inline(always)]
    fn loop_back(&mut self) {}

    #[inline(always)]
    fn is_looped_back(&self) -> bool {
        false
    }

    #[inline(always)]
    fn hand_over(&mut self, _largest: u32) -> bool {
        false
    }

    #[inline(always)]
    fn note(&mut self, notes: &Notes) {
        notes::keep(notes);
    }

    #[inline(always)]
    fn noted(&self) -> Notes {
        notes::kept()
    }

    #[inline(always)]
    fn route<F: Family>(&self, query: &RouteQuery<F>) -> Route {
        route(self.frame.cast(), self.device(), query)
    }
}
