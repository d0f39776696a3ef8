//! The pipeline: what happens to a frame that arrives.
//!
//! ```text
//! for us? → IPv4 or IPv6 → TCP, UDP or SCTP → connection table
//!   ├ as the client sends       → state → to the real server
//!   ├ as a real server answers  → state → to the client
//!   └ none → opens one? → service → held here? → persistence, or scheduler → new connection
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the stages |
//! | `passage.rs` | a packet's headers |
//! | `known.rs` | a packet of a connection in the table |
//! | `open.rs` | a packet that opens one |

mod known;
mod open;
mod passage;

use crate::family::{V4, V6};
use crate::frame::{Frame, Verdict};
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::settings::Ticks;
use crate::wire::{EtherType, Ethernet};
use known::{known, tunnelled};
use open::{claim, enter, open, search};

/// Decides what becomes of a frame, rewrites it if it is forwarded, and counts why.
pub fn process<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Verdict {
    let mut stage = Stage::Arrive;
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
    /// Of the fast path: an IPv4 packet opens a connection, if it can leave for the destination
    /// that has been chosen.
    Claim4 = 11,
    /// The same for an IPv6 packet.
    Claim6 = 12,
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: u32 = 13;
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
        Stage::Arrive6 => known::<V6, P, T>(frame, tables, now),
        Stage::Tunnel46 => tunnelled::<V4, V6, P, T>(frame, tables),
        Stage::Tunnel64 => tunnelled::<V6, V4, P, T>(frame, tables),
        Stage::Tunnel66 => tunnelled::<V6, V6, P, T>(frame, tables),
        Stage::Open4 => open::<V4, P, T>(frame, tables, now),
        Stage::Open6 => open::<V6, P, T>(frame, tables, now),
        Stage::Search4 => search::<V4, P, T>(frame, tables, now),
        Stage::Search6 => search::<V6, P, T>(frame, tables, now),
        Stage::Claim4 => claim::<V4, P, T>(frame, tables, now),
        Stage::Claim6 => claim::<V6, P, T>(frame, tables, now),
        Stage::Enter4 => enter::<V4, P, T>(frame, tables, now),
        Stage::Enter6 => enter::<V6, P, T>(frame, tables, now),
    };
    let (verdict, reason) = match decision {
        Ok(Decision::Forwarded(verdict, reason)) => (verdict, reason),
        Ok(Decision::Later(stage)) => return Step::Next(stage),
        Err(reason) => match reason.punt() {
            Some(punt) if P::IS_FAST_PATH => (Verdict::Punt, punt),
            _ => (verdict_of(reason), reason),
        },
    };
    tables.count_reason(reason);
    Step::Done(verdict)
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
    Later(Stage),
}

#[inline(always)]
fn arrive<P: Frame, T: Tables>(frame: &mut P, tables: &T, now: Ticks) -> Result<Decision, Reason> {
    if !frame.addressed_to_us() {
        return Err(Reason::NotForUs);
    }
    if frame.is_tagged() {
        return Err(Reason::Tagged);
    }
    let header: Ethernet = frame.read(0).ok_or(Reason::Malformed)?;
    match header.ether_type() {
        EtherType::IPV4 => known::<V4, P, T>(frame, tables, now),
        EtherType::IPV6 => Ok(Decision::Later(Stage::Arrive6)),
        _ => Err(Reason::NotIp),
    }
}
