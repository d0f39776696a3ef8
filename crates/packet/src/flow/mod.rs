//! What a director follows of the transport protocols: which packet opens a connection,
//! and through which states it goes from there.
//!
//! A state is a number of its own protocol; UDP has one. A packet is an *event*: TCP's
//! flags, the kind of an SCTP packet's first chunk.

pub mod sctp;
pub mod tcp;

use core::ops::Range;

use zerocopy::FromBytes;

use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::destination::Activity;
use crate::table::settings::behaviour;
use crate::wire::{SctpChunk, SctpStart, TcpFlags, TcpStart, UdpHeader, protocol};
use sctp::{Chunk, SctpState};
use tcp::TcpState;

/// Who sent a packet, and whether both sides are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client, where the real server's answers pass here as well (NAT).
    Client,
    /// The real server.
    Server,
    /// The client, where the real server answers past us (direct routing, tunnels).
    ClientOnly,
}

/// What a packet says at the transport layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Source port in the lower half, destination port in the upper one, as in memory.
    pub ports: u32,
    /// TCP: the flags. SCTP: a [`Chunk`]. UDP: 0.
    pub event: u8,
    /// Octets of the transport header.
    pub header_length: u32,
}

impl Segment {
    /// Reads the transport header of a packet whose part after the network headers is there,
    /// in octets from the start of the frame.
    ///
    /// # Errors
    /// It is cut off, or of a protocol that no virtual service can have.
    #[inline(always)]
    pub fn read<P: Frame>(frame: &P, protocol: u8, within: Range<u32>) -> Result<Segment, Reason> {
        match protocol {
            protocol::TCP => {
                let header: TcpStart = header(frame, &within, TcpStart::LEAST_LENGTH)?;
                Ok(Segment {
                    ports: u32::from_ne_bytes(header.ports),
                    event: header.flags,
                    header_length: header.header_length(),
                })
            }
            protocol::UDP => {
                let header: UdpHeader = header(frame, &within, UdpHeader::LENGTH)?;
                Ok(Segment {
                    ports: u32::from_ne_bytes(header.ports),
                    event: 0,
                    header_length: UdpHeader::LENGTH,
                })
            }
            protocol::SCTP => {
                let least = SctpStart::COMMON_LENGTH + SctpChunk::LENGTH;
                let header: SctpStart = header(frame, &within, least)?;
                Ok(Segment {
                    ports: u32::from_ne_bytes(header.ports),
                    event: Chunk::of(frame, within.start, &header).0,
                    header_length: SctpStart::COMMON_LENGTH,
                })
            }
            _ => Err(Reason::NotTransport),
        }
    }

    /// Whether such a packet opens a connection where there is none.
    #[inline(always)]
    pub fn opens(&self, protocol: u8, behaviour: u32) -> bool {
        match protocol {
            protocol::TCP => {
                let is_sloppy = behaviour & behaviour::SLOPPY_TCP != 0;
                tcp::opens(self.event) || is_sloppy && self.event & TcpFlags::RST == 0
            }
            protocol::SCTP => {
                let is_sloppy = behaviour & behaviour::SLOPPY_SCTP != 0;
                let chunk = Chunk(self.event);
                chunk == Chunk::INIT || is_sloppy && chunk != Chunk::ABORT
            }
            _ => true,
        }
    }

    /// Whether such a packet is the first of a connection (`is_new_conn` in the kernel).
    #[inline(always)]
    pub fn is_first(&self, protocol: u8) -> bool {
        match protocol {
            protocol::TCP => self.event & TcpFlags::SYN != 0,
            protocol::SCTP => Chunk(self.event) == Chunk::INIT,
            _ => false,
        }
    }

    /// Whether such a packet ends a connection at once, with nothing to be said against it.
    #[inline(always)]
    pub fn aborts(&self, protocol: u8) -> bool {
        match protocol {
            protocol::TCP => self.event & TcpFlags::RST != 0,
            protocol::SCTP => Chunk(self.event) == Chunk::ABORT,
            _ => false,
        }
    }

    /// The state after such a packet. `zero` is 0, read from memory: see `look_up`.
    #[inline(always)]
    pub fn advance(&self, protocol: u8, side: Side, state: u8, behaviour: u32, zero: u64) -> u8 {
        match protocol {
            protocol::TCP => {
                let is_secure = behaviour & behaviour::SECURE_TCP != 0;
                tcp::next(side, self.event, TcpState(state), is_secure, zero).0
            }
            protocol::SCTP => sctp::next(side, Chunk(self.event), SctpState(state), zero).0,
            _ => state,
        }
    }
}

/// Whether a connection in this state gives way to a new one (`is_new_conn_expected` in the
/// kernel). Of one that is `half_seen` the real server's answers do not pass here.
#[inline(always)]
pub fn gives_way(protocol: u8, state: u8, half_seen: bool, behaviour: u32) -> bool {
    let if_ended = behaviour & behaviour::REUSE_ENDED != 0;
    match protocol {
        protocol::TCP => match TcpState(state) {
            TcpState::TIME_WAIT | TcpState::CLOSE => if_ended,
            TcpState::FIN_WAIT => half_seen && behaviour & behaviour::REUSE_FIN_WAIT != 0,
            _ => false,
        },
        protocol::SCTP => if_ended && SctpState(state) == SctpState::CLOSED,
        _ => false,
    }
}

/// The start of a transport header that has at least so many octets.
#[inline(always)]
fn header<P: Frame, T: FromBytes>(frame: &P, within: &Range<u32>, least: u32) -> Result<T, Reason> {
    // Behind the packet there can be padding, which is no header.
    if within.end.wrapping_sub(within.start) < least {
        return Err(Reason::Malformed);
    }
    frame.read(within.start).ok_or(Reason::Malformed)
}

/// An entry of a table of transitions.
///
/// The place is masked after `zero`, of which the compiler knows nothing, has come in: else it
/// would leave out masks that it need not have, but the verifier of Linux 6.1 does, which
/// forgets what is known of a number once that has been on the stack.
#[inline(always)]
fn look_up(table: &[[u8; 16]; 64], row: u8, state: u8, zero: u64) -> u8 {
    let place = (u64::from(row) << 4 | u64::from(state & 0xf)) ^ zero;
    let (row, column) = ((place >> 4 & 0x3f) as usize, (place & 0xf) as usize);
    let after = table.get(row).and_then(|states| states.get(column));
    after.copied().unwrap_or(0)
}

/// Whether a connection in this state counts as active.
#[inline(always)]
pub fn activity(protocol: u8, state: u8) -> Activity {
    match protocol {
        protocol::TCP => TcpState(state).activity(),
        protocol::SCTP if SctpState(state) == SctpState::ESTABLISHED => Activity::Active,
        _ => Activity::Inactive,
    }
}

/// Whether a connection that gets to this state by a packet from this side assures the
/// persistence template above it. Of UDP only an answer tells that it has come about.
#[inline(always)]
pub fn assures(protocol: u8, state: u8, side: Side) -> bool {
    match protocol {
        protocol::TCP => TcpState(state) == TcpState::ESTABLISHED,
        protocol::SCTP => SctpState(state) == SctpState::ESTABLISHED,
        _ => side == Side::Server,
    }
}

/// Whether a packet from this side, which takes a connection from one state to the other, is
/// the end of TCP's handshake as far as the real server has to do with it: its answer to the
/// first packet, or where that is not seen, the client's acknowledgement of it.
#[inline(always)]
pub fn completes_handshake(
    protocol: u8,
    side: Side,
    (before, after): (u8, u8),
    is_first_answer: bool,
) -> bool {
    let is_embryonic = |state: u8| TcpState(state).is_embryonic();
    protocol == protocol::TCP
        && match side {
            Side::Server => is_first_answer && is_embryonic(after),
            Side::ClientOnly => is_embryonic(before) && TcpState(after) == TcpState::ESTABLISHED,
            Side::Client => false,
        }
}

/// Whether a connection in this state has not come about yet. Where the real server's
/// answers pass here, `is_answered` tells whether there was one: that is all that is known
/// of UDP.
#[inline(always)]
pub fn is_embryonic(protocol: u8, state: u8, is_answered: bool) -> bool {
    match protocol {
        protocol::TCP => TcpState(state).is_embryonic(),
        protocol::SCTP => SctpState(state).is_embryonic(),
        _ => !is_answered,
    }
}

/// The state's name in `ipvsadm -Lc`.
pub fn name(protocol: u8, state: u8) -> &'static str {
    match protocol {
        protocol::TCP => TcpState(state).name(),
        protocol::SCTP => SctpState(state).name(),
        protocol::UDP => "UDP",
        _ => "NONE",
    }
}
