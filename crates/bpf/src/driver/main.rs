//! Drives the programs of the data plane when they are measured.
//!
//! A program that changes its packet sees its own output when the kernel runs it again
//! and again (`BPF_PROG_TEST_RUN`). This one stands before it in every turn: it writes the
//! headers anew, those of another flow each time, and goes on with the pipeline by a tail
//! call. It is loaded by the benchmark only.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod script;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod program {
    use core::hint::black_box;

    use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
    use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
    use aya_ebpf::helpers::generated::bpf_xdp_adjust_head;
    use aya_ebpf::macros::{classifier, map, xdp};
    use aya_ebpf::maps::{Array, LruHashMap, ProgramArray};
    use aya_ebpf::programs::{TcContext, XdpContext};
    use elver_packet::process::Stage;

    use crate::script;

    /// The stages of the data plane that is measured.
    #[map]
    static STAGES: ProgramArray = ProgramArray::pinned(Stage::COUNT, 0);
    #[map]
    static SCRIPT: Array<[u64; script::WORDS]> = Array::with_max_entries(1, 0);
    /// The yardstick of the machine.
    #[map]
    static YARDSTICK: LruHashMap<[u64; 2], u64> = LruHashMap::with_max_entries(1 << 16, 0);

    /// The stages at XDP hooks.
    #[map]
    static XDP_STAGES: ProgramArray = ProgramArray::pinned(Stage::COUNT, 0);

    #[classifier]
    fn elver_drive(context: TcContext) -> i32 {
        match next(context.data(), context.data_end()) {
            Some(script::ARRIVE) => {
                // SAFETY: does not come back, unless there is no such stage.
                unsafe { STAGES.tail_call(&context, Stage::Arrive as u32) };
                TC_ACT_SHOT
            }
            Some(script::LOOK_UP) => {
                if YARDSTICK.get_ptr(&script::KEY).is_some() {
                    TC_ACT_UNSPEC
                } else {
                    TC_ACT_SHOT
                }
            }
            Some(_) => TC_ACT_UNSPEC,
            None => TC_ACT_SHOT,
        }
    }

    #[xdp(frags)]
    fn elver_drive_xdp(context: XdpContext) -> u32 {
        // What a tunnel has put in front of the packet goes again.
        // SAFETY: the entry is this program's alone while it runs.
        let octets = SCRIPT
            .get_ptr(0)
            .map_or(0, |script| unsafe { (*script)[script::OCTETS_WORD] });
        // The compiler would subtract from the pointer, which the verifier does not allow.
        let length = black_box(context.data_end() - context.data()) as u64;
        // SAFETY: the context is valid.
        if length > octets
            && unsafe { bpf_xdp_adjust_head(context.ctx, (length - octets) as i32) } != 0
        {
            return XDP_ABORTED;
        }
        match next(context.data(), context.data_end()) {
            Some(script::ARRIVE) => {
                // SAFETY: does not come back, unless there is no such stage.
                unsafe { XDP_STAGES.tail_call(&context, Stage::Arrive as u32) };
                XDP_ABORTED
            }
            Some(_) => XDP_PASS,
            None => XDP_ABORTED,
        }
    }

    /// Writes the next packet's headers; gives what is to be done with it, or none if it is
    /// too short.
    #[inline(always)]
    fn next(data: usize, end: usize) -> Option<u64> {
        let script = SCRIPT.get_ptr_mut(0)?;
        // SAFETY: the entry is this program's alone while it runs.
        let script = unsafe { &mut *script };
        if data + script::HEADERS > end {
            return None;
        }
        let turn = script[script::PACKETS_WORD];
        script[script::PACKETS_WORD] = turn + 1;
        // An odd factor: every flow once, and no two neighbours after each other.
        let flow = turn.wrapping_mul(0x9e37_79b1) & script[script::FLOWS_WORD];
        let flow = (flow << (script[script::SHIFT_WORD] & 31)) as u32;
        let headers = script[script::HEADERS_WORD..].as_ptr().cast::<u32>();
        let packet = data as *mut u32;
        let mut word = 0;
        while word < script::HEADERS / 4 {
            // SAFETY: the packet has as many octets, and so have the headers.
            unsafe {
                packet
                    .add(word)
                    .write_unaligned(headers.add(word).read_unaligned())
            };
            word += 1;
        }
        // The last four octets of the address, and the port.
        let (address, port) = match script[script::END_WORD] {
            0 => (26, 34),
            1 => (30, 36),
            2 => (34, 54),
            _ => (50, 56),
        };
        // SAFETY: all of this lies within the headers.
        unsafe {
            let address = packet.byte_add(address);
            address.write_unaligned(address.read_unaligned() ^ (flow >> 8).to_be());
            let port = packet.byte_add(port).cast::<u16>();
            port.write_unaligned(port.read_unaligned() ^ (flow as u16 & 0xff).to_be());
        }
        Some(script[script::DEED_WORD])
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        // The verifier would refuse a program in which this can be reached.
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
