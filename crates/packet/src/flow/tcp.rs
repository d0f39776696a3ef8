//! States of a TCP connection, seen by someone in the middle.
//!
//! The tables are those of the kernel (`net/netfilter/ipvs/ip_vs_proto_tcp.c`): rows are
//! events, columns the state in which the event happens. The second half of the table holds
//! while `secure_tcp` defends against floods: a connection comes about only with an answer of
//! the real server to the client's last step.

use super::Side;
use crate::table::destination::Activity;
use crate::wire::TcpFlags;

/// A state. The numbers are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpState(pub u8);

#[allow(
    missing_docs,
    reason = "the names are those of RFC 9293 and of the kernel"
)]
impl TcpState {
    pub const NONE: TcpState = TcpState(0);
    pub const ESTABLISHED: TcpState = TcpState(1);
    pub const SYN_SENT: TcpState = TcpState(2);
    pub const SYN_RECEIVED: TcpState = TcpState(3);
    pub const FIN_WAIT: TcpState = TcpState(4);
    pub const TIME_WAIT: TcpState = TcpState(5);
    pub const CLOSE: TcpState = TcpState(6);
    pub const CLOSE_WAIT: TcpState = TcpState(7);
    pub const LAST_ACK: TcpState = TcpState(8);
    pub const LISTEN: TcpState = TcpState(9);
    pub const SYN_ACK: TcpState = TcpState(10);

    /// How many states there are.
    pub const COUNT: usize = 11;

    /// How long a connection stays in each state without a packet, in seconds
    /// (`tcp_timeouts` in the kernel).
    pub const TIMEOUT_SECONDS: [u32; Self::COUNT] =
        [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120];

    const NAMES: [&'static str; Self::COUNT] = [
        "NONE",
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "SYNACK",
    ];

    /// Whether a connection in this state counts as active (`tcp_state_active_table`).
    #[inline(always)]
    pub fn activity(self) -> Activity {
        match self {
            Self::ESTABLISHED | Self::SYN_SENT | Self::SYN_RECEIVED | Self::SYN_ACK => {
                Activity::Active
            }
            _ => Activity::Inactive,
        }
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).unwrap_or(&"ERR!")
    }

    /// Whether the connection has not come about yet.
    #[inline(always)]
    pub fn is_embryonic(self) -> bool {
        matches!(
            self,
            Self::NONE | Self::SYN_SENT | Self::SYN_RECEIVED | Self::SYN_ACK
        )
    }
}

const NO: u8 = TcpState::NONE.0;
const ES: u8 = TcpState::ESTABLISHED.0;
const SS: u8 = TcpState::SYN_SENT.0;
const SR: u8 = TcpState::SYN_RECEIVED.0;
const FW: u8 = TcpState::FIN_WAIT.0;
const TW: u8 = TcpState::TIME_WAIT.0;
const CL: u8 = TcpState::CLOSE.0;
const CW: u8 = TcpState::CLOSE_WAIT.0;
const LA: u8 = TcpState::LAST_ACK.0;
const LI: u8 = TcpState::LISTEN.0;
const SA: u8 = TcpState::SYN_ACK.0;

/// Rows are padded to 16 states, and sides to eight rows, so that an index is a shift.
const UNUSED: [u8; 16] = [NO; 16];
const CLOSED: [u8; 16] = [CL; 16];

#[rustfmt::skip]
static TRANSITIONS: [[u8; 16]; 64] = [
    // from the client
    //         NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, NO, NO, NO, NO, NO],
    /* fin */ [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW, NO, NO, NO, NO, NO],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, NO, NO, NO, NO, NO],
    /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR, NO, NO, NO, NO, NO],
    /* none */ CLOSED, UNUSED, UNUSED, UNUSED,
    // from the real server
    //         NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR, NO, NO, NO, NO, NO],
    /* fin */ [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW, NO, NO, NO, NO, NO],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES, NO, NO, NO, NO, NO],
    /* rst */ [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL, NO, NO, NO, NO, NO],
    /* none */ CLOSED, UNUSED, UNUSED, UNUSED,
    // from the client, where the real server answers past us
    //         NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, NO, NO, NO, NO, NO],
    /* fin */ [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW, NO, NO, NO, NO, NO],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, NO, NO, NO, NO, NO],
    /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, NO, NO, NO, NO, NO],
    /* none */ CLOSED, UNUSED, UNUSED, UNUSED,
    // padding
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED,
    // secure_tcp: from the client
    //         NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA, NO, NO, NO, NO, NO],
    /* fin */ [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA, NO, NO, NO, NO, NO],
    /* ack */ [ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA, NO, NO, NO, NO, NO],
    /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, NO, NO, NO, NO, NO],
    /* none */ CLOSED, UNUSED, UNUSED, UNUSED,
    // secure_tcp: from the real server
    //         NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA, NO, NO, NO, NO, NO],
    /* fin */ [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW, NO, NO, NO, NO, NO],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES, NO, NO, NO, NO, NO],
    /* rst */ [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL, NO, NO, NO, NO, NO],
    /* none */ CLOSED, UNUSED, UNUSED, UNUSED,
    // secure_tcp: from the client, where the real server answers past us
    //         NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA, NO, NO, NO, NO, NO],
    /* fin */ [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW, NO, NO, NO, NO, NO],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, NO, NO, NO, NO, NO],
    /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, NO, NO, NO, NO, NO],
    /* none */ CLOSED, UNUSED, UNUSED, UNUSED,
    // padding
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED,
];

/// The rows of events, four bits each, by which of FIN, SYN, RST and ACK are set: of
/// several, RST counts before SYN, FIN and ACK, in this order.
const EVENTS: u64 = {
    let mut events = 0;
    let mut set = 0;
    while set < 16 {
        let event: u64 = match set {
            0 => 4,
            _ if set & 0b0100 != 0 => 3,
            _ if set & 0b0010 != 0 => 0,
            _ if set & 0b0001 != 0 => 1,
            _ => 2,
        };
        events |= event << (4 * set);
        set += 1;
    }
    events
};

/// Whether a segment with these flags opens a connection: SYN, whatever else, but no RST.
#[inline(always)]
pub fn opens(flags: u8) -> bool {
    flags & (TcpFlags::SYN | TcpFlags::RST) == TcpFlags::SYN
}

/// The state after a segment with these flags.
///
/// A segment with none of the flags that count closes the connection, as in the kernel.
/// `is_secure` is what `secure_tcp` comes to; `zero` is 0, as [`super::Segment::advance`] has it.
#[inline(always)]
pub fn next(side: Side, flags: u8, state: TcpState, is_secure: bool, zero: u64) -> TcpState {
    const {
        assert!(
            TcpFlags::FIN == 1 && TcpFlags::SYN == 2 && TcpFlags::RST == 4 && TcpFlags::ACK == 16
        )
    };
    let set = flags & 0b0111 | flags >> 1 & 0b1000;
    let event = (EVENTS >> (4 * u32::from(set)) & 0b0111) as u8;
    let row = match side {
        Side::Client => event,
        Side::Server => 8 | event,
        Side::ClientOnly => 16 | event,
    };
    let row = row | u8::from(is_secure) << 5;
    TcpState(super::look_up(&TRANSITIONS, row, state.0, zero))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = TcpFlags::SYN;
    const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;
    const ACK: u8 = TcpFlags::ACK;
    const FIN: u8 = TcpFlags::FIN | TcpFlags::ACK;
    const RST: u8 = TcpFlags::RST;

    fn trace(events: &[(Side, u8)]) -> Vec<&'static str> {
        let mut state = TcpState::NONE;
        let step = |(side, flags): &(Side, u8)| {
            state = next(*side, *flags, state, false, 0);
            state.name()
        };
        events.iter().map(step).collect()
    }

    /// As traced on kernel IPVS: the client closes first.
    #[test]
    fn client_closes() {
        let states = trace(&[
            (Side::Client, SYN),
            (Side::Server, SYN_ACK),
            (Side::Client, ACK),
            (Side::Client, FIN),
            (Side::Server, FIN),
        ]);
        assert_eq!(
            states,
            [
                "SYN_RECV",
                "SYN_RECV",
                "ESTABLISHED",
                "CLOSE_WAIT",
                "TIME_WAIT"
            ]
        );
    }

    /// As traced on kernel IPVS: the real server closes first.
    #[test]
    fn server_closes() {
        let states = trace(&[
            (Side::Client, SYN),
            (Side::Client, ACK),
            (Side::Server, FIN),
            (Side::Client, FIN),
        ]);
        assert_eq!(states, ["SYN_RECV", "ESTABLISHED", "FIN_WAIT", "TIME_WAIT"]);
    }

    #[test]
    fn server_resets() {
        assert_eq!(
            trace(&[(Side::Client, SYN), (Side::Server, RST)]),
            ["SYN_RECV", "CLOSE"]
        );
    }

    /// As traced on kernel IPVS by direct routing: a FIN tells only of the client's half.
    #[test]
    fn client_closes_past_us() {
        let states = trace(&[
            (Side::ClientOnly, SYN),
            (Side::ClientOnly, ACK),
            (Side::ClientOnly, FIN),
            (Side::ClientOnly, SYN),
            (Side::ClientOnly, RST),
        ]);
        let expected = [
            "SYN_RECV",
            "ESTABLISHED",
            "FIN_WAIT",
            "SYN_RECV",
            "SYN_RECV",
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn a_segment_without_flags_closes() {
        assert_eq!(
            next(Side::Client, 0, TcpState::ESTABLISHED, false, 0),
            TcpState::CLOSE
        );
    }

    /// No event leads out of the states that exist.
    #[test]
    fn every_transition_ends_in_a_state() {
        for side in [Side::Client, Side::Server, Side::ClientOnly] {
            for flags in 0..=255 {
                for state in 0..=255 {
                    let after = next(side, flags, TcpState(state), false, 0);
                    assert!(usize::from(after.0) < TcpState::COUNT);
                }
            }
        }
    }
}
