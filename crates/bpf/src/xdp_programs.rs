//! The entry points at XDP hooks.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::XdpContext;
use elver_packet::frame::Verdict;
use elver_packet::process::{Stage, Step, step};

use crate::maps::Maps;
use crate::xdp::Xdp;

/// The stages, by number; a program goes on only with its own kind.
#[map]
static XDP_STAGES: ProgramArray = ProgramArray::pinned(Stage::COUNT, 0);

/// What arrives at a device.
#[xdp(frags)]
pub(crate) fn elver_xdp_arrive(context: XdpContext) -> u32 {
    run(Stage::Arrive, context)
}

/// See [`Stage::Open4`].
#[xdp(frags)]
pub(crate) fn elver_xdp_open_4(context: XdpContext) -> u32 {
    run(Stage::Open4, context)
}

/// See [`Stage::Arrive6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_arrive_6(context: XdpContext) -> u32 {
    run(Stage::Arrive6, context)
}

/// See [`Stage::Open6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_open_6(context: XdpContext) -> u32 {
    run(Stage::Open6, context)
}

/// See [`Stage::Tunnel46`].
#[xdp(frags)]
pub(crate) fn elver_xdp_tunnel_46(context: XdpContext) -> u32 {
    run(Stage::Tunnel46, context)
}

/// See [`Stage::Tunnel64`].
#[xdp(frags)]
pub(crate) fn elver_xdp_tunnel_64(context: XdpContext) -> u32 {
    run(Stage::Tunnel64, context)
}

/// See [`Stage::Tunnel66`].
#[xdp(frags)]
pub(crate) fn elver_xdp_tunnel_66(context: XdpContext) -> u32 {
    run(Stage::Tunnel66, context)
}

/// See [`Stage::Enter4`].
#[xdp(frags)]
pub(crate) fn elver_xdp_enter_4(context: XdpContext) -> u32 {
    run(Stage::Enter4, context)
}

/// See [`Stage::Enter6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_enter_6(context: XdpContext) -> u32 {
    run(Stage::Enter6, context)
}

/// See [`Stage::Search4`].
#[xdp(frags)]
pub(crate) fn elver_xdp_search_4(context: XdpContext) -> u32 {
    run(Stage::Search4, context)
}

/// See [`Stage::Search6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_search_6(context: XdpContext) -> u32 {
    run(Stage::Search6, context)
}

/// See [`Stage::Reply6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_reply_6(context: XdpContext) -> u32 {
    run(Stage::Reply6, context)
}

/// See [`Stage::ToTunnel6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_to_tunnel_6(context: XdpContext) -> u32 {
    run(Stage::ToTunnel6, context)
}

/// See [`Stage::Claim4`].
#[xdp(frags)]
pub(crate) fn elver_xdp_claim_4(context: XdpContext) -> u32 {
    run(Stage::Claim4, context)
}

/// See [`Stage::Claim6`].
#[xdp(frags)]
pub(crate) fn elver_xdp_claim_6(context: XdpContext) -> u32 {
    run(Stage::Claim6, context)
}

#[inline(always)]
fn run(stage: Stage, context: XdpContext) -> u32 {
    let Some(maps) = Maps::open() else {
        return XDP_PASS;
    };
    let now = maps.now();
    let mut frame = Xdp::new(context.ctx);
    match step(stage, &mut frame, &maps, now) {
        Step::Done(Verdict::Pass | Verdict::Punt) => XDP_PASS,
        Step::Done(Verdict::Drop) => XDP_DROP,
        Step::Done(Verdict::Leave) => XDP_REDIRECT,
        Step::Next(stage) => {
            // SAFETY: does not come back, unless the stage is not there.
            let _ = unsafe { XDP_STAGES.tail_call(&context, stage as u32) };
            XDP_PASS
        }
    }
}
