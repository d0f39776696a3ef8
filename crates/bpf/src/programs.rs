//! The entry points at tc hooks.

use aya_ebpf::bindings::{TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::TcContext;
use elver_packet::frame::Verdict;
use elver_packet::process::{Stage, Step, step};
use elver_packet::table::{Tables, Words};

use crate::maps::Maps;
use crate::skb::Skb;

/// The stages, by number, so that one can go on with another.
#[map]
static STAGES: ProgramArray = ProgramArray::pinned(Stage::COUNT, 0);

/// What arrives at a device.
#[classifier]
pub(crate) fn elver_arrive(context: TcContext) -> i32 {
    run(Stage::Arrive, context)
}

/// See [`Stage::Open4`].
#[classifier]
pub(crate) fn elver_open_4(context: TcContext) -> i32 {
    run(Stage::Open4, context)
}

/// See [`Stage::Arrive6`].
#[classifier]
pub(crate) fn elver_arrive_6(context: TcContext) -> i32 {
    run(Stage::Arrive6, context)
}

/// See [`Stage::Open6`].
#[classifier]
pub(crate) fn elver_open_6(context: TcContext) -> i32 {
    run(Stage::Open6, context)
}

/// What leaves by a device. See [`Stage::Leave`].
#[classifier]
pub(crate) fn elver_leave(context: TcContext) -> i32 {
    run(Stage::Leave, context)
}

/// See [`Stage::Leave6`].
#[classifier]
pub(crate) fn elver_leave_6(context: TcContext) -> i32 {
    run(Stage::Leave6, context)
}

/// See [`Stage::Tunnel44`].
#[classifier]
pub(crate) fn elver_tunnel_44(context: TcContext) -> i32 {
    run(Stage::Tunnel44, context)
}

/// See [`Stage::Tunnel46`].
#[classifier]
pub(crate) fn elver_tunnel_46(context: TcContext) -> i32 {
    run(Stage::Tunnel46, context)
}

/// See [`Stage::Tunnel64`].
#[classifier]
pub(crate) fn elver_tunnel_64(context: TcContext) -> i32 {
    run(Stage::Tunnel64, context)
}

/// See [`Stage::Tunnel66`].
#[classifier]
pub(crate) fn elver_tunnel_66(context: TcContext) -> i32 {
    run(Stage::Tunnel66, context)
}

/// See [`Stage::Enter4`].
#[classifier]
pub(crate) fn elver_enter_4(context: TcContext) -> i32 {
    run(Stage::Enter4, context)
}

/// See [`Stage::Enter6`].
#[classifier]
pub(crate) fn elver_enter_6(context: TcContext) -> i32 {
    run(Stage::Enter6, context)
}

/// See [`Stage::Search4`].
#[classifier]
pub(crate) fn elver_search_4(context: TcContext) -> i32 {
    run(Stage::Search4, context)
}

/// See [`Stage::Search6`].
#[classifier]
pub(crate) fn elver_search_6(context: TcContext) -> i32 {
    run(Stage::Search6, context)
}

/// See [`Stage::Answer4`].
#[classifier]
pub(crate) fn elver_answer_4(context: TcContext) -> i32 {
    run(Stage::Answer4, context)
}

/// See [`Stage::Answer6`].
#[classifier]
pub(crate) fn elver_answer_6(context: TcContext) -> i32 {
    run(Stage::Answer6, context)
}

/// See [`Stage::Error4`].
#[classifier]
pub(crate) fn elver_error_4(context: TcContext) -> i32 {
    run(Stage::Error4, context)
}

/// See [`Stage::Error6`].
#[classifier]
pub(crate) fn elver_error_6(context: TcContext) -> i32 {
    run(Stage::Error6, context)
}

/// See [`Stage::ErrorToServer4`].
#[classifier]
pub(crate) fn elver_error_to_server_4(context: TcContext) -> i32 {
    run(Stage::ErrorToServer4, context)
}

/// See [`Stage::ErrorToServer6`].
#[classifier]
pub(crate) fn elver_error_to_server_6(context: TcContext) -> i32 {
    run(Stage::ErrorToServer6, context)
}

/// See [`Stage::ErrorToClient4`].
#[classifier]
pub(crate) fn elver_error_to_client_4(context: TcContext) -> i32 {
    run(Stage::ErrorToClient4, context)
}

/// See [`Stage::ErrorToClient6`].
#[classifier]
pub(crate) fn elver_error_to_client_6(context: TcContext) -> i32 {
    run(Stage::ErrorToClient6, context)
}

/// See [`Stage::TunnelError44`].
#[classifier]
pub(crate) fn elver_tunnel_error_44(context: TcContext) -> i32 {
    run(Stage::TunnelError44, context)
}

/// See [`Stage::TunnelError46`].
#[classifier]
pub(crate) fn elver_tunnel_error_46(context: TcContext) -> i32 {
    run(Stage::TunnelError46, context)
}

/// See [`Stage::TunnelError64`].
#[classifier]
pub(crate) fn elver_tunnel_error_64(context: TcContext) -> i32 {
    run(Stage::TunnelError64, context)
}

/// See [`Stage::TunnelError66`].
#[classifier]
pub(crate) fn elver_tunnel_error_66(context: TcContext) -> i32 {
    run(Stage::TunnelError66, context)
}

/// See [`Stage::Reply6`].
#[classifier]
pub(crate) fn elver_reply_6(context: TcContext) -> i32 {
    run(Stage::Reply6, context)
}

/// See [`Stage::ToTunnel6`].
#[classifier]
pub(crate) fn elver_to_tunnel_6(context: TcContext) -> i32 {
    run(Stage::ToTunnel6, context)
}

/// See [`Stage::Fragment4`].
#[classifier]
pub(crate) fn elver_fragment_4(context: TcContext) -> i32 {
    run(Stage::Fragment4, context)
}

/// See [`Stage::Fragment6`].
#[classifier]
pub(crate) fn elver_fragment_6(context: TcContext) -> i32 {
    run(Stage::Fragment6, context)
}

/// See [`Stage::Piece4`].
#[classifier]
pub(crate) fn elver_piece_4(context: TcContext) -> i32 {
    run(Stage::Piece4, context)
}

/// See [`Stage::Piece6`].
#[classifier]
pub(crate) fn elver_piece_6(context: TcContext) -> i32 {
    run(Stage::Piece6, context)
}

/// See [`Stage::PieceReply6`].
#[classifier]
pub(crate) fn elver_piece_reply_6(context: TcContext) -> i32 {
    run(Stage::PieceReply6, context)
}

/// See [`Stage::PieceToTunnel6`].
#[classifier]
pub(crate) fn elver_piece_to_tunnel_6(context: TcContext) -> i32 {
    run(Stage::PieceToTunnel6, context)
}

/// See [`Stage::Cut4`].
#[classifier]
pub(crate) fn elver_cut_4(context: TcContext) -> i32 {
    run(Stage::Cut4, context)
}

/// See [`Stage::Stray4`].
#[classifier]
pub(crate) fn elver_stray_4(context: TcContext) -> i32 {
    run(Stage::Stray4, context)
}

/// See [`Stage::Stray6`].
#[classifier]
pub(crate) fn elver_stray_6(context: TcContext) -> i32 {
    run(Stage::Stray6, context)
}

/// See [`Stage::OpenByError4`].
#[classifier]
pub(crate) fn elver_open_by_error_4(context: TcContext) -> i32 {
    run(Stage::OpenByError4, context)
}

/// See [`Stage::OpenByError6`].
#[classifier]
pub(crate) fn elver_open_by_error_6(context: TcContext) -> i32 {
    run(Stage::OpenByError6, context)
}

/// See [`Stage::SearchByError4`].
#[classifier]
pub(crate) fn elver_search_by_error_4(context: TcContext) -> i32 {
    run(Stage::SearchByError4, context)
}

/// See [`Stage::SearchByError6`].
#[classifier]
pub(crate) fn elver_search_by_error_6(context: TcContext) -> i32 {
    run(Stage::SearchByError6, context)
}

/// See [`Stage::EnterByError4`].
#[classifier]
pub(crate) fn elver_enter_by_error_4(context: TcContext) -> i32 {
    run(Stage::EnterByError4, context)
}

/// See [`Stage::EnterByError6`].
#[classifier]
pub(crate) fn elver_enter_by_error_6(context: TcContext) -> i32 {
    run(Stage::EnterByError6, context)
}

/// See [`Stage::LeaveError4`].
#[classifier]
pub(crate) fn elver_leave_error_4(context: TcContext) -> i32 {
    run(Stage::LeaveError4, context)
}

/// See [`Stage::LeaveError6`].
#[classifier]
pub(crate) fn elver_leave_error_6(context: TcContext) -> i32 {
    run(Stage::LeaveError6, context)
}

/// See [`Stage::LeaveFragment4`].
#[classifier]
pub(crate) fn elver_leave_fragment_4(context: TcContext) -> i32 {
    run(Stage::LeaveFragment4, context)
}

/// See [`Stage::LeaveFragment6`].
#[classifier]
pub(crate) fn elver_leave_fragment_6(context: TcContext) -> i32 {
    run(Stage::LeaveFragment6, context)
}

/// See [`Stage::LeavePiece4`].
#[classifier]
pub(crate) fn elver_leave_piece_4(context: TcContext) -> i32 {
    run(Stage::LeavePiece4, context)
}

/// See [`Stage::LeavePiece6`].
#[classifier]
pub(crate) fn elver_leave_piece_6(context: TcContext) -> i32 {
    run(Stage::LeavePiece6, context)
}

#[inline(always)]
fn run(stage: Stage, context: TcContext) -> i32 {
    let Some(maps) = Maps::open() else {
        return TC_ACT_UNSPEC;
    };
    let now = maps.now();
    let mut frame = Skb::new(context.skb.skb, stage.reach());
    match step(stage, &mut frame, &maps, now) {
        // Other programs on the device, and then the stack.
        Step::Done(Verdict::Pass | Verdict::Punt) => TC_ACT_UNSPEC,
        Step::Done(Verdict::Drop) => TC_ACT_SHOT,
        Step::Done(Verdict::Leave) => TC_ACT_REDIRECT,
        Step::Next(stage) => {
            // SAFETY: does not come back, unless the stage is not there.
            let _ = unsafe { STAGES.tail_call(&context, stage as u32) };
            TC_ACT_UNSPEC
        }
    }
}

/// Shows the controller the clock of the programs: jiffies and nanoseconds of the same
/// moment, in the settings' own words. Run once by the loader, attached nowhere.
#[classifier]
pub(crate) fn elver_clock(_context: TcContext) -> i32 {
    let Some(settings) = Maps::open().and_then(|maps| maps.settings()) else {
        return 0;
    };
    // SAFETY: helpers without arguments.
    let (jiffies, nanoseconds) = unsafe { (bpf_jiffies64(), bpf_ktime_get_ns()) };
    settings.store(elver_packet::table::settings::JIFFIES_WORD, jiffies);
    settings.store(elver_packet::table::settings::NANOSECONDS_WORD, nanoseconds);
    1
}
