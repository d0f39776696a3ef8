//! A packet that a real server sends from a port that it serves at, but that is of no connection
//! (`handle_response_ipvs` and `ip_vs_has_real_service` in the kernel): with `nat_icmp_send` it is
//! told, so that it ends what it believes to be open.

use super::Decision;
use super::answer::Message;
use super::passage::Passage;
use crate::frame::Frame;
use crate::icmp::Icmp;
use crate::reason::Reason;
use crate::table::Tables;
use crate::table::fragment::Endpoint;
use crate::table::settings::Ticks;

/// A packet of which an earlier stage has noted why it is nothing for that.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn stray<F: Icmp, P: Frame, T: Tables>(
    frame: &mut P,
    tables: &T,
    now: Ticks,
) -> Result<Decision, Reason> {
    let [is_not_first, ..] = frame.noted();
    let passed = if is_not_first != 0 {
        Reason::NotFirst
    } else {
        Reason::NoService
    };
    let passage = Passage::<F>::read(frame, tables, now).map_err(|_| passed)?;
    let protocol = passage.key.protocol;
    let port = (passage.key.ports as u16).to_ne_bytes();
    let own = Endpoint::of::<F>(passage.key.sender);
    let is_real_server = tables.is_endpoint(&own.at_port(port, protocol))
        || tables.is_endpoint(&own.at_port(port, 0));
    if passage.segment.aborts(protocol) || !is_real_server {
        return Err(passed);
    }
    tables.count_reason(Reason::Stray);
    let message = Message {
        kind: F::PORT_UNREACHABLE,
        rest: [0; 4],
        is_relayed: false,
    };
    Ok(Decision::Later(message.send::<F, P>(frame)))
}
