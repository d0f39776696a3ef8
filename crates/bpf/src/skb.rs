//! A packet at a tc hook.

use core::mem::size_of;

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_GRE, BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO,
    BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, bpf_redir_neigh,
};
use aya_ebpf::helpers::generated as helpers;
use elver_packet::checksum::Difference;
use elver_packet::family::Family;
use elver_packet::frame::{Encapsulation, Frame, InternetChecksum, Notes, Route, RouteQuery, Way};
use elver_packet::wire::protocol;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::notes;
use crate::octets::Octets;
use crate::route::{AF_INET, AF_INET6, route};

/// `PACKET_HOST` of `linux/if_packet.h`.
const PACKET_HOST: u32 = 0;
/// Where the transport's header begins at the latest, with IPv4 options.
const TRANSPORT: u32 = 14 + 60;
/// Octets of the largest header that is read behind the network header.
const LARGEST_HEADER: u32 = 20;

/// A socket buffer whose data begin with an Ethernet header.
pub(crate) struct Skb {
    skb: *mut __sk_buff,
}

impl Skb {
    /// A frame of the buffer, with its headers in linear memory.
    #[inline(always)]
    pub(crate) fn new(skb: *mut __sk_buff) -> Skb {
        let frame = Skb { skb };
        frame.reach(TRANSPORT);
        frame
    }

    #[inline(always)]
    fn octets(&self) -> Octets {
        // SAFETY: the context is valid.
        unsafe {
            Octets {
                data: (*self.skb).data as usize,
                end: (*self.skb).data_end as usize,
            }
        }
    }
}

impl Frame for Skb {
    const IS_FAST_PATH: bool = false;

    #[inline(always)]
    fn addressed_to_us(&self) -> bool {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).pkt_type == PACKET_HOST }
    }

    #[inline(always)]
    fn is_tagged(&self) -> bool {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).vlan_present != 0 }
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).gso_size }
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.skb).mark }
    }

    #[inline(always)]
    fn reach(&self, offset: u32) {
        let wanted = self.length().min(offset + LARGEST_HEADER);
        if self.octets().at(0, wanted as usize).is_none() {
            // SAFETY: the context is valid; a failure shows when the headers are read.
            unsafe { helpers::bpf_skb_pull_data(self.skb, wanted) };
        }
    }

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
        let zero = match kind {
            InternetChecksum::Always => 0,
            InternetChecksum::ZeroIsNone => u64::from(BPF_F_MARK_MANGLED_0),
        };
        let replace = |difference: Difference, flags: u64| {
            // SAFETY: the context is valid. A field width of 0 makes `to` a difference.
            unsafe {
                helpers::bpf_l4_csum_replace(
                    self.skb,
                    offset,
                    0,
                    difference.folded_to_word().into(),
                    flags | zero,
                ) == 0
            }
        };
        (addresses == Difference::NONE || replace(addresses, BPF_F_PSEUDO_HDR.into()))
            && (ports == Difference::NONE || replace(ports, 0))
    }

    #[inline(always)]
    fn grow(&mut self, room: Encapsulation) -> bool {
        let outer = if room.family == 4 {
            BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
        } else {
            BPF_F_ADJ_ROOM_ENCAP_L3_IPV6
        };
        let between = match room.protocol {
            protocol::UDP => BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
            protocol::GRE => BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
            _ => 0,
        };
        // SAFETY: the context is valid.
        unsafe {
            helpers::bpf_skb_adjust_room(
                self.skb,
                room.octets as i32,
                BPF_ADJ_ROOM_MAC,
                (BPF_F_ADJ_ROOM_FIXED_GSO | outer | between).into(),
            ) == 0
        }
    }

    #[inline(always)]
    fn identification(&self) -> u16 {
        // SAFETY: a helper without arguments.
        unsafe { helpers::bpf_get_prandom_u32() as u16 }
    }

    #[inline(always)]
    fn can_leave_by(&self, _device: u32) -> bool {
        true
    }

    #[inline(always)]
    fn transmit(&mut self, device: u32) {
        // SAFETY: a helper that takes numbers only. It keeps them for when the program is done.
        unsafe { helpers::bpf_redirect(device, 0) };
    }

    #[inline(always)]
    fn resolve(&mut self, way: &Way) {
        // SAFETY: all zeros is a valid parameter block.
        let mut parameters: bpf_redir_neigh = unsafe { core::mem::zeroed() };
        let [first, second] = way.neighbour;
        parameters.nh_family = if way.family == 4 { AF_INET } else { AF_INET6 }.into();
        parameters.__bindgen_anon_1.ipv6_nh = [
            first as u32,
            (first >> 32) as u32,
            second as u32,
            (second >> 32) as u32,
        ];
        // SAFETY: the kernel copies the block.
        unsafe {
            helpers::bpf_redirect_neigh(
                way.device,
                &mut parameters,
                size_of::<bpf_redir_neigh>() as i32,
                0,
            )
        };
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
        // SAFETY: the context is valid.
        let device = unsafe { (*self.skb).ifindex };
        route(self.skb.cast(), device, query)
    }
}
