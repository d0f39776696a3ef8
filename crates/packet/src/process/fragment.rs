//! Fragments (`ip_vs_in_hook` in the kernel comes after reassembly; here each goes its own way).
//!
//! The first fragment of a packet has its ports, and goes where a whole packet would. They are
//! remembered for the later ones, which follow. A later one that comes before the first is
//! given to the controller, to be handed in again.

use super::{Decision, Stage};
use crate::family::Family;
use crate::frame::Frame;
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::fragment::{Endpoint, FragmentKey, Remembered};
use crate::table::settings::{Settings, Ticks};
use crate::wire::{Ethernet, protocol};

/// How long the ports of a packet hold, in ticks: about 30 seconds (`ipfrag_time`).
const LIFETIME: Ticks = 30 * 8;

/// Finds the ports of a fragment that arrives, or that leaves this host, and notes them.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn find<F: Family, P: Frame, T: Tables, const LEAVING: bool>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    let (packet, piece) = F::parse_piece(frame)?;
    // SCTP makes pieces of its own, and its checksum cannot be brought up to date from a part.
    if packet.protocol != protocol::TCP && packet.protocol != protocol::UDP {
        return Err(Reason::Fragment);
    }
    let is_endpoints = tables.is_endpoint(&Endpoint::of::<F>(packet.destination))
        || tables.is_endpoint(&Endpoint::of::<F>(packet.source));
    let key = FragmentKey::of(&packet, piece);
    let ports = if piece.offset == 0 {
        if !is_endpoints && !settings.has_mark_services() {
            return Err(Reason::Fragment);
        }
        if packet.transport + 4 > Ethernet::LENGTH + packet.length {
            return Err(Reason::Malformed);
        }
        let ports = frame.read(packet.transport).ok_or(Reason::Malformed)?;
        let ports = u32::from_ne_bytes(ports);
        tables.remember_fragment(&key, Remembered::new(ports, now));
        ports
    } else {
        let remembered = tables.fragment(&key);
        match remembered.and_then(|remembered| remembered.ports(now, LIFETIME)) {
            Some(ports) => ports,
            // Of what leaves the first one comes first.
            None if !is_endpoints || LEAVING => return Err(Reason::Fragment),
            None if frame.hand_over(0) => return Err(Reason::HandedOver),
            None => return Err(Reason::NotHandedOver),
        }
    };
    frame.note(&[ports.into(), 0, 0, 0]);
    Ok(Decision::Later(match (F::NUMBER, LEAVING) {
        (4, false) => Stage::Piece4,
        (4, true) => Stage::LeavePiece4,
        (_, false) => Stage::Piece6,
        (_, true) => Stage::LeavePiece6,
    }))
}

/// Has a packet cut into fragments that its way takes.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn cut<P: Frame>(frame: &mut P) -> Result<Decision, Reason> {
    let [largest, ..] = frame.noted();
    if frame.segment_payload() != 0 {
        return Err(Reason::TooBig);
    }
    Err(if frame.hand_over(largest as u32) {
        Reason::HandedOver
    } else {
        Reason::NotHandedOver
    })
}
