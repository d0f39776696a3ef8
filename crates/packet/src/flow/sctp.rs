//! States of an SCTP association, seen by someone in the middle.
//!
//! The tables are those of the kernel (`net/netfilter/ipvs/ip_vs_proto_sctp.c`): rows are
//! events, columns the state in which the event happens.

use super::Side;
use crate::frame::{FARTHEST_HEADER, Frame};
use crate::wire::{SctpChunk, SctpStart};

/// A state. The numbers are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SctpState(pub u8);

impl SctpState {
    /// An association that its client has asked for.
    pub const INIT1: SctpState = SctpState(1);
    /// One that its client has asked for again.
    pub const INIT: SctpState = SctpState(2);
    /// Data may flow.
    pub const ESTABLISHED: SctpState = SctpState(8);
    /// Over.
    pub const CLOSED: SctpState = SctpState(13);

    /// How many states there are.
    pub const COUNT: usize = 14;

    /// How long an association stays in each state without a packet, in seconds
    /// (`sctp_timeouts` in the kernel).
    pub const TIMEOUT_SECONDS: [u32; Self::COUNT] =
        [2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61];

    const NAMES: [&'static str; Self::COUNT] = [
        "NONE",
        "INIT1",
        "INIT",
        "C-SENT",
        "C-REPLIED",
        "C-WAIT",
        "COOKIE",
        "C-ECHOED",
        "ESTABLISHED",
        "S-SENT",
        "S-RECEIVED",
        "S-ACK-SENT",
        "REJECTED",
        "CLOSED",
    ];

    /// Whether the association has not come about yet.
    #[inline(always)]
    pub fn is_embryonic(self) -> bool {
        self.0 < Self::ESTABLISHED.0
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).unwrap_or(&"ERR!")
    }
}

/// What a packet's first chunk is to the states: a row of their tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk(pub u8);

impl Chunk {
    /// The first chunk of an association.
    pub const INIT: Chunk = Chunk(1);
    const COOKIE_ECHO: Chunk = Chunk(3);
    const COOKIE_ACK: Chunk = Chunk(4);
    pub(super) const ABORT: Chunk = Chunk(9);

    /// By the chunk types of RFC 9260, section 3.2, four bits each: what carries no news
    /// of the association counts as data.
    const BY_TYPE: u64 = 0x0700_4386_5900_0210;
    const ABORT_TYPE: u8 = 6;

    /// The kind of the packet whose common header begins at `offset`. Behind a cookie the
    /// chunk that is bundled with it counts if it is an ABORT, and not too far away.
    #[inline(always)]
    pub(super) fn of<P: Frame>(frame: &P, offset: u32, header: &SctpStart) -> Chunk {
        let first = &header.chunk;
        let kind = Chunk::of_type(first.kind);
        let is_whole = u32::from(first.length.get()) >= SctpChunk::LENGTH;
        if is_whole && (kind == Self::COOKIE_ECHO || kind == Self::COOKIE_ACK) {
            frame.reach(FARTHEST_HEADER);
            let next = offset
                .wrapping_add(SctpStart::COMMON_LENGTH)
                .wrapping_add(u32::from(first.length.get()).wrapping_add(3) & !3);
            // A number in either case, or the verifier in the kernel finds none in one of them.
            let bundled = frame
                .read::<SctpChunk>(next)
                .map_or(u8::MAX, |chunk| chunk.kind);
            if bundled == Self::ABORT_TYPE {
                return Self::ABORT;
            }
        }
        kind
    }

    #[inline(always)]
    fn of_type(kind: u8) -> Chunk {
        if kind > 14 {
            return Chunk(0);
        }
        Chunk((Self::BY_TYPE >> (4 * u32::from(kind)) & 0xf) as u8)
    }
}

const NO: u8 = 0;
const I1: u8 = 1;
const IN: u8 = 2;
const CS: u8 = 3;
const CR: u8 = 4;
const CW: u8 = 5;
const CO: u8 = 6;
const CE: u8 = 7;
const ES: u8 = SctpState::ESTABLISHED.0;
const SS: u8 = 9;
const SR: u8 = 10;
const SA: u8 = 11;
const RJ: u8 = 12;
const CL: u8 = SctpState::CLOSED.0;

/// Rows are padded to 16 states, and sides to 16 rows, so that an index is a shift.
const UNUSED: [u8; 16] = [NO; 16];

#[rustfmt::skip]
static TRANSITIONS: [[u8; 16]; 64] = [
    // from the client
    //                      NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
    /* data */             [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* init */             [I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN, NO, NO],
    /* init ack */         [CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* cookie echo */      [CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* cookie ack */       [ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* shutdown */         [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL, NO, NO],
    /* shutdown ack */     [CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL, NO, NO],
    /* shutdown complete */[CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL, NO, NO],
    /* error */            [CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* abort */            [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, NO, NO],
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED,
    // from the real server
    //                      NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
    /* data */             [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* init */             [CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW, NO, NO],
    /* init ack */         [CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* cookie echo */      [CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* cookie ack */       [ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* shutdown */         [SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL, NO, NO],
    /* shutdown ack */     [SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL, NO, NO],
    /* shutdown complete */[CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* error */            [CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* abort */            [CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, NO, NO],
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED,
    // from the client, where the real server answers past us
    //                      NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
    /* data */             [ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* init */             [I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN, NO, NO],
    /* init ack */         [CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* cookie echo */      [ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* cookie ack */       [ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* shutdown */         [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL, NO, NO],
    /* shutdown ack */     [CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL, NO, NO],
    /* shutdown complete */[CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL, NO, NO],
    /* error */            [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL, NO, NO],
    /* abort */            [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, NO, NO],
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED,
    // padding
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, 
    UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED,
];

/// The state after a packet. `zero` is 0, as [`super::Segment::advance`] has it.
#[inline(always)]
pub fn next(side: Side, chunk: Chunk, state: SctpState, zero: u64) -> SctpState {
    let side = match side {
        Side::Client => 0u8,
        Side::Server => 16,
        Side::ClientOnly => 32,
    };
    let row = side | chunk.0 & 0xf;
    SctpState(super::look_up(&TRANSITIONS, row, state.0, zero))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: u8 = 0;
    const INIT: u8 = 1;
    const INIT_ACK: u8 = 2;
    const SACK: u8 = 3;
    const ABORT: u8 = 6;
    const SHUTDOWN: u8 = 7;
    const SHUTDOWN_ACK: u8 = 8;
    const COOKIE_ECHO: u8 = 10;
    const COOKIE_ACK: u8 = 11;
    const SHUTDOWN_COMPLETE: u8 = 14;

    fn trace(events: &[(Side, u8)]) -> Vec<&'static str> {
        let mut state = SctpState(NO);
        let step = |(side, kind): &(Side, u8)| {
            state = next(*side, Chunk::of_type(*kind), state, 0);
            state.name()
        };
        events.iter().map(step).collect()
    }

    #[test]
    fn an_association_by_nat() {
        use Side::{Client, Server};
        let states = trace(&[
            (Client, INIT),
            (Server, INIT_ACK),
            (Client, COOKIE_ECHO),
            (Server, COOKIE_ACK),
            (Client, DATA),
            (Server, SACK),
            (Client, SHUTDOWN),
            (Server, SHUTDOWN_ACK),
            (Client, SHUTDOWN_COMPLETE),
        ]);
        assert_eq!(
            states,
            [
                "INIT1",
                "C-SENT",
                "C-REPLIED",
                "ESTABLISHED",
                "ESTABLISHED",
                "ESTABLISHED",
                "S-RECEIVED",
                "S-ACK-SENT",
                "CLOSED"
            ]
        );
    }

    #[test]
    fn one_side_of_an_association() {
        use Side::ClientOnly;
        let states = trace(&[
            (ClientOnly, INIT),
            (ClientOnly, COOKIE_ECHO),
            (ClientOnly, ABORT),
        ]);
        assert_eq!(states, ["INIT1", "ESTABLISHED", "CLOSED"]);
    }

    /// No event leads out of the states that exist.
    #[test]
    fn every_transition_ends_in_a_state() {
        for side in [Side::Client, Side::Server, Side::ClientOnly] {
            for kind in 0..=255 {
                for state in 0..=255 {
                    let after = next(side, Chunk::of_type(kind), SctpState(state), 0);
                    assert!(usize::from(after.0) < SctpState::COUNT);
                }
            }
        }
    }
}
