//! Direct routing (`ip_vs_dr_xmit` in the kernel): the packet stays as it is but for its hop
//! count, and goes to the real server's own link-layer address.

use super::{Exit, Outgoing};
use crate::family::Family;
use crate::frame::{Frame, Verdict};
use crate::reason::Reason;

/// Sends a packet on unchanged.
#[inline(always)]
pub fn pass_on<F: Family, P: Frame>(
    frame: &mut P,
    packet: &Outgoing<'_, F>,
    exit: Exit,
) -> Result<Verdict, Reason> {
    let hops = exit.hops();
    packet.check_hops(hops)?;
    if hops != 0 && !F::rewrite(frame, packet.key.sender, packet.key.receiver, hops) {
        return Err(Reason::NotWritable);
    }
    exit.send::<F, P>(frame)
}
