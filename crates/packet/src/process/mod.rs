//! The pipeline: what happens to a frame that arrives, and to one of this host that leaves.
//!
//! ```text
//! for us? → IPv4 or IPv6 → TCP, UDP or SCTP → connection table
//!   ├ as the client sends       → state → to the real server
//!   ├ as a real server answers  → state → to the client
//!   └ none → opens one? → service → held here? → persistence, or scheduler → new connection
//!
//! cannot be forwarded → its sender is told by ICMP
//! leaves: connection table → if it answers for a real server that is this host, as its client expects
//! ICMP error → connection table, by the packet that it is about → to the other end
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the stages |
//! | `passage.rs` | a packet's headers |
//! | `known.rs` | a packet of a connection in the table |
//! | `fragment.rs` | a packet that comes in fragments, or has to leave in some |
//! | `open.rs` | a packet that opens one |
//! | `answer.rs` | a sender is told why its packet goes nowhere |
//! | `error.rs` | an ICMP error about a connection |
//! | `stray.rs` | a packet of a real server that is of no connection |
//! | `tunnel_error.rs` | an ICMP error about a packet in a tunnel |

mod answer;
mod error;
mod fragment;
mod known;
mod open;
mod passage;
mod stray;
pub(crate) mod tunnel_error;

use crate::family::{V4, V6};
use crate::frame::{Frame, Verdict};
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::settings::{Settings, Ticks, behaviour};
use crate::wire::{EtherType, Ethernet};
use answer::{answer, refuse};
use known::{known, part, tunnelled};
use open::{claim, enter, open, search};
use stray::stray;

/// Decides what becomes of a frame, rewrites it if it is forwarded, and counts why.
pub fn process<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Verdict {
    run(Stage::Arrive, frame, tables, now)
}

/// Gives a frame that leaves this host the addresses that its receiver expects, if it answers
/// for a real server that is this host.
pub fn leave<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Verdict {
    run(Stage::Leave, frame, tables, now)
}

fn run<P: Frame, T: Tables>(mut stage: Stage, frame: &mut P, tables: &T, now: Ticks) -> Verdict {
    loop {
        match step(stage, frame, tables, now) {
            Step::Done(verdict) => return verdict,
            Step::Next(next) => stage = next,
        }
    }
}

/// A stage of the pipeline. In the kernel each is a program with a stack of its own, which
/// reads the packet anew; only a few [notes](crate::frame::Notes) go from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// A frame arrives: all that is done for packets of IPv4 connections that are known.
    Arrive = 0,
    /// An IPv4 packet may open a connection.
    Open4 = 1,
    /// An IPv6 packet arrives.
    Arrive6 = 2,
    /// An IPv6 packet may open a connection.
    Open6 = 3,
    /// An IPv4 packet of a known connection goes through an IPv6 tunnel.
    Tunnel46 = 4,
    /// An IPv6 packet of a known connection goes through an IPv4 tunnel.
    Tunnel64 = 5,
    /// An IPv6 packet of a known connection goes through an IPv6 tunnel.
    Tunnel66 = 6,
    /// An IPv4 packet opens a connection to a destination that has been chosen.
    Enter4 = 7,
    /// An IPv6 packet opens a connection to a destination that has been chosen.
    Enter6 = 8,
    /// A destination is searched for an IPv4 packet that opens a connection.
    Search4 = 9,
    /// A destination is searched for an IPv6 packet that opens a connection.
    Search6 = 10,
    /// The sender of an IPv4 packet is told by ICMP why it goes nowhere.
    Answer4 = 11,
    /// The sender of an IPv6 packet is told by ICMP why it goes nowhere.
    Answer6 = 12,
    /// An IPv4 packet may be an ICMP error about a connection.
    Error4 = 13,
    /// An IPv6 packet may be an ICMP error about a connection.
    Error6 = 14,
    /// An ICMP error goes to an IPv4 connection's real server.
    ErrorToServer4 = 15,
    /// An ICMP error goes to an IPv6 connection's real server.
    ErrorToServer6 = 16,
    /// An ICMP error goes to an IPv4 connection's client.
    ErrorToClient4 = 17,
    /// An ICMP error goes to an IPv6 connection's client.
    ErrorToClient6 = 18,
    /// An ICMP error is about a packet of ours that carries an IPv4 packet in an IPv4 tunnel.
    TunnelError44 = 19,
    /// An ICMP error is about a packet of ours that carries an IPv4 packet in an IPv6 tunnel.
    TunnelError46 = 20,
    /// An ICMP error is about a packet of ours that carries an IPv6 packet in an IPv4 tunnel.
    TunnelError64 = 21,
    /// An ICMP error is about a packet of ours that carries an IPv6 packet in an IPv6 tunnel.
    TunnelError66 = 22,
    /// An IPv6 packet is a real server's answer.
    Reply6 = 23,
    /// An IPv6 packet is a client's, of a connection by a tunnel.
    ToTunnel6 = 24,
    /// Of the fast path: an IPv4 packet opens a connection, if it can leave for the destination
    /// that has been chosen.
    Claim4 = 25,
    /// The same for an IPv6 packet.
    Claim6 = 26,
    /// An IPv4 packet is a fragment.
    Fragment4 = 27,
    /// An IPv6 packet is a fragment.
    Fragment6 = 28,
    /// As [`Stage::Arrive`], for an IPv4 fragment whose ports are known.
    Piece4 = 29,
    /// As [`Stage::Arrive6`], for an IPv6 fragment whose ports are known.
    Piece6 = 30,
    /// As [`Stage::Reply6`].
    PieceReply6 = 31,
    /// As [`Stage::ToTunnel6`].
    PieceToTunnel6 = 32,
    /// An IPv4 packet is too large for its way, and may be cut into fragments.
    Cut4 = 33,
    /// An IPv4 packet of a known connection goes through an IPv4 tunnel with checksums.
    Tunnel44 = 34,
    /// A frame leaves this host; of IPv4 it may be the answer of a real server that is this host.
    Leave = 35,
    /// The same for an IPv6 packet.
    Leave6 = 36,
    /// An IPv4 packet is of no connection, and may come from a real server.
    Stray4 = 37,
    /// The same for an IPv6 packet.
    Stray6 = 38,
    /// An IPv4 packet of ICMP may open the connection that its error is about.
    OpenByError4 = 39,
    /// The same for an IPv6 packet.
    OpenByError6 = 40,
    /// As [`Stage::Search4`], for an ICMP error.
    SearchByError4 = 41,
    /// As [`Stage::Search6`], for an ICMP error.
    SearchByError6 = 42,
    /// As [`Stage::Enter4`], for an ICMP error.
    EnterByError4 = 43,
    /// As [`Stage::Enter6`], for an ICMP error.
    EnterByError6 = 44,
    /// An IPv4 packet that leaves may be an ICMP error about a connection.
    LeaveError4 = 45,
    /// The same for an IPv6 packet.
    LeaveError6 = 46,
    /// An IPv4 packet that leaves is a fragment.
    LeaveFragment4 = 47,
    /// The same for an IPv6 packet.
    LeaveFragment6 = 48,
    /// As [`Stage::Leave`], for an IPv4 fragment whose ports are known.
    LeavePiece4 = 49,
    /// As [`Stage::Leave6`], for an IPv6 fragment whose ports are known.
    LeavePiece6 = 50,
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: u32 = 51;

    /// Whether the packets that it is given are IPv4's.
    #[inline(always)]
    const fn is_of_ipv4(self) -> bool {
        matches!(
            self,
            Stage::Arrive
                | Stage::Open4
                | Stage::Search4
                | Stage::Enter4
                | Stage::Claim4
                | Stage::Fragment4
                | Stage::Stray4
                | Stage::OpenByError4
                | Stage::SearchByError4
                | Stage::EnterByError4
                | Stage::Piece4
                | Stage::Cut4
                | Stage::Tunnel44
                | Stage::Tunnel46
                | Stage::Answer4
                | Stage::Error4
                | Stage::ErrorToServer4
                | Stage::ErrorToClient4
                | Stage::TunnelError44
                | Stage::TunnelError64
        )
    }

    /// Whether the packets that it is given leave this host.
    #[inline(always)]
    const fn is_of_leaving(self) -> bool {
        matches!(
            self,
            Stage::Leave
                | Stage::Leave6
                | Stage::LeaveError4
                | Stage::LeaveError6
                | Stage::LeaveFragment4
                | Stage::LeaveFragment6
                | Stage::LeavePiece4
                | Stage::LeavePiece6
        )
    }

    /// Whether it decides about packets of no connection, for the last time.
    #[inline(always)]
    const fn is_of_strays(self) -> bool {
        matches!(self, Stage::Stray4 | Stage::Stray6)
    }

    /// Octets of a frame that the stage may read.
    pub const fn reach(self) -> u32 {
        match self {
            Stage::Error4
            | Stage::Error6
            | Stage::ErrorToServer4
            | Stage::ErrorToServer6
            | Stage::ErrorToClient4
            | Stage::ErrorToClient6
            | Stage::OpenByError4
            | Stage::OpenByError6
            | Stage::SearchByError4
            | Stage::SearchByError6
            | Stage::EnterByError4
            | Stage::EnterByError6
            | Stage::LeaveError4
            | Stage::LeaveError6
            | Stage::TunnelError44
            | Stage::TunnelError46
            | Stage::TunnelError64
            | Stage::TunnelError66 => Ethernet::LENGTH + error::REACH,
            // Headers up to the transport's fixed part, with IPv4 options.
            _ => Ethernet::LENGTH + 60 + 20,
        }
    }
}

/// How a stage ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// With a verdict.
    Done(Verdict),
    /// With another stage.
    Next(Stage),
}

/// One stage of the pipeline.
#[inline(always)]
pub fn step<P: Frame, T: Tables>(stage: Stage, frame: &mut P, tables: &T, now: Ticks) -> Step {
    let decision = match stage {
        Stage::Arrive => arrive(frame, tables, now),
        Stage::Arrive6 => known::<V6, P, T, { part::ARRIVAL }, false>(frame, tables, now),
        Stage::Leave => leaves(frame, tables, now),
        Stage::Leave6 => known::<V6, P, T, { part::LEAVING }, false>(frame, tables, now),
        Stage::Tunnel46 => tunnelled::<V4, V6, P, T>(frame, tables, now),
        Stage::Tunnel44 => tunnelled::<V4, V4, P, T>(frame, tables, now),
        Stage::Tunnel64 => tunnelled::<V6, V4, P, T>(frame, tables, now),
        Stage::Tunnel66 => tunnelled::<V6, V6, P, T>(frame, tables, now),
        Stage::LeaveError4 => error::leaves::<V4, P, T>(frame, tables, now),
        Stage::LeaveError6 => error::leaves::<V6, P, T>(frame, tables, now),
        Stage::LeaveFragment4 => fragment::find::<V4, P, T, true>(frame, tables, now),
        Stage::LeaveFragment6 => fragment::find::<V6, P, T, true>(frame, tables, now),
        Stage::LeavePiece4 => known::<V4, P, T, { part::LEAVING }, true>(frame, tables, now),
        Stage::LeavePiece6 => known::<V6, P, T, { part::LEAVING }, true>(frame, tables, now),
        Stage::Stray4 => stray::<V4, P, T>(frame, tables, now),
        Stage::Stray6 => stray::<V6, P, T>(frame, tables, now),
        Stage::OpenByError4 => open::<V4, P, T, true>(frame, tables, now),
        Stage::OpenByError6 => open::<V6, P, T, true>(frame, tables, now),
        Stage::SearchByError4 => search::<V4, P, T, true>(frame, tables, now),
        Stage::SearchByError6 => search::<V6, P, T, true>(frame, tables, now),
        Stage::EnterByError4 => enter::<V4, P, T, true>(frame, tables, now),
        Stage::EnterByError6 => enter::<V6, P, T, true>(frame, tables, now),
        Stage::Open4 => open::<V4, P, T, false>(frame, tables, now),
        Stage::ToTunnel6 => known::<V6, P, T, { part::TUNNELS }, false>(frame, tables, now),
        Stage::Reply6 => known::<V6, P, T, { part::ANSWERS }, false>(frame, tables, now),
        Stage::Open6 => open::<V6, P, T, false>(frame, tables, now),
        Stage::Search4 => search::<V4, P, T, false>(frame, tables, now),
        Stage::Search6 => search::<V6, P, T, false>(frame, tables, now),
        Stage::Claim4 => claim::<V4, P, T>(frame, tables, now),
        Stage::Claim6 => claim::<V6, P, T>(frame, tables, now),
        Stage::Enter4 => enter::<V4, P, T, false>(frame, tables, now),
        Stage::Enter6 => enter::<V6, P, T, false>(frame, tables, now),
        Stage::Fragment4 => fragment::find::<V4, P, T, false>(frame, tables, now),
        Stage::Fragment6 => fragment::find::<V6, P, T, false>(frame, tables, now),
        Stage::Piece4 => known::<V4, P, T, { part::ARRIVAL }, true>(frame, tables, now),
        Stage::Piece6 => known::<V6, P, T, { part::ARRIVAL }, true>(frame, tables, now),
        Stage::PieceReply6 => known::<V6, P, T, { part::ANSWERS }, true>(frame, tables, now),
        Stage::PieceToTunnel6 => known::<V6, P, T, { part::TUNNELS }, true>(frame, tables, now),
        Stage::Cut4 => fragment::cut(frame),
        Stage::Answer4 => Ok(Decision::Done(answer::<V4, P, T>(frame, tables, now))),
        Stage::Answer6 => Ok(Decision::Done(answer::<V6, P, T>(frame, tables, now))),
        Stage::Error4 => error::find::<V4, P, T>(frame, tables),
        Stage::Error6 => error::find::<V6, P, T>(frame, tables),
        Stage::ErrorToServer4 => error::to_server::<V4, P, T>(frame, tables, now),
        Stage::ErrorToServer6 => error::to_server::<V6, P, T>(frame, tables, now),
        Stage::ErrorToClient4 => error::to_client::<V4, P, T>(frame, tables, now),
        Stage::ErrorToClient6 => error::to_client::<V6, P, T>(frame, tables, now),
        Stage::TunnelError44 => tunnel_error::relay::<V4, V4, P, T>(frame, tables, now),
        Stage::TunnelError46 => tunnel_error::relay::<V4, V6, P, T>(frame, tables, now),
        Stage::TunnelError64 => tunnel_error::relay::<V6, V4, P, T>(frame, tables, now),
        Stage::TunnelError66 => tunnel_error::relay::<V6, V6, P, T>(frame, tables, now),
    };
    let (reason, largest) = match decision {
        Ok(Decision::Forwarded(verdict, reason)) => {
            tables.count_reason(reason);
            return Step::Done(verdict);
        }
        Ok(Decision::Done(verdict)) => return Step::Done(verdict),
        Ok(Decision::Later(stage)) => return Step::Next(stage),
        Ok(Decision::Cut(largest)) => {
            frame.note(&[largest.into(), 0, 0, 0]);
            return Step::Next(Stage::Cut4);
        }
        Ok(Decision::Refused(reason, largest)) => (reason, largest),
        Err(reason)
            if let Some(next) = continues(stage, reason)
                && !P::IS_FAST_PATH =>
        {
            return Step::Next(next);
        }
        // Whatever it is, it is none of ours.
        Err(_) if stage.is_of_leaving() => return Step::Done(Verdict::Pass),
        Err(reason @ (Reason::NoService | Reason::NotFirst))
            if !P::IS_FAST_PATH && !stage.is_of_strays() && tells_of_strays(tables) =>
        {
            frame.note(&[(reason == Reason::NotFirst).into(), 0, 0, 0]);
            return Step::Next(if stage.is_of_ipv4() {
                Stage::Stray4
            } else {
                Stage::Stray6
            });
        }
        Err(reason) => (reason, 0),
    };
    if P::IS_FAST_PATH {
        let (verdict, reason) = match reason.punt() {
            Some(punt) => (Verdict::Punt, punt),
            None => (verdict_of(reason), reason),
        };
        tables.count_reason(reason);
        return Step::Done(verdict);
    }
    tables.count_reason(reason);
    if stage.is_of_ipv4() {
        refuse::<V4, P>(frame, reason, largest)
    } else {
        refuse::<V6, P>(frame, reason, largest)
    }
}

/// The stage that deals with a packet which another one does not understand, if there is one.
#[inline(always)]
fn continues(stage: Stage, reason: Reason) -> Option<Stage> {
    Some(match (stage, reason) {
        // It may be an error about a packet of a connection.
        (Stage::Arrive, Reason::NotTransport) => Stage::Error4,
        (Stage::Arrive6, Reason::NotTransport) => Stage::Error6,
        (Stage::Leave, Reason::NotTransport) => Stage::LeaveError4,
        (Stage::Leave6, Reason::NotTransport) => Stage::LeaveError6,
        (Stage::Arrive, Reason::Fragment) => Stage::Fragment4,
        (Stage::Arrive6, Reason::Fragment) => Stage::Fragment6,
        (Stage::Leave, Reason::Fragment) => Stage::LeaveFragment4,
        (Stage::Leave6, Reason::Fragment) => Stage::LeaveFragment6,
        _ => return None,
    })
}

/// Whether real servers are told of packets that belong to no connection.
#[inline(always)]
fn tells_of_strays<T: Tables>(tables: &T) -> bool {
    tables
        .settings()
        .is_some_and(|settings| Settings(settings).behaviour() & behaviour::NAT_ICMP_SEND != 0)
}

/// What a packet that is not forwarded gets.
#[inline(always)]
fn verdict_of(reason: Reason) -> Verdict {
    if (reason as u8) < Reason::DestinationRemoved as u8 {
        Verdict::Pass
    } else {
        Verdict::Drop
    }
}

/// What a stage decides about a packet that is not turned away.
enum Decision {
    Forwarded(Verdict, Reason),
    /// All has been counted.
    Done(Verdict),
    Later(Stage),
    /// Too large for its way, which takes so many octets, and it may be cut into fragments.
    Cut(u32),
    /// Dropped, and where that is for its size: the largest packet that would fit, in octets.
    Refused(Reason, u32),
}

#[inline(always)]
fn arrive<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Result<Decision, Reason> {
    if !frame.addressed_to_us() {
        return Err(Reason::NotForUs);
    }
    if frame.is_looped_back() {
        return Err(Reason::LoopedBack);
    }
    if frame.is_tagged() {
        return Err(Reason::Tagged);
    }
    let header: Ethernet = frame.read(0).ok_or(Reason::Malformed)?;
    match header.ether_type() {
        EtherType::IPV4 => known::<V4, P, T, { part::ARRIVAL }, false>(frame, tables, now),
        EtherType::IPV6 => Ok(Decision::Later(Stage::Arrive6)),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
fn leaves<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Result<Decision, Reason> {
    let header: Ethernet = frame.read(0).ok_or(Reason::Malformed)?;
    match header.ether_type() {
        EtherType::IPV4 => known::<V4, P, T, { part::LEAVING }, false>(frame, tables, now),
        EtherType::IPV6 => Ok(Decision::Later(Stage::Leave6)),
        _ => Err(Reason::NotIp),
    }
}
