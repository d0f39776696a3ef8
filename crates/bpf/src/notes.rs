//! What a stage tells the next.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use elver_packet::frame::Notes;

#[map]
static NOTES: PerCpuArray<Notes> = PerCpuArray::with_max_entries(1, 0);

/// Keeps notes on the packet that this processor is at.
#[inline(always)]
pub(crate) fn keep(notes: &Notes) {
    if let Some(kept) = NOTES.get_ptr_mut(0) {
        // SAFETY: the pointer is that of this processor's value, and nothing else runs here
        // until the packet is done with.
        unsafe { kept.write(*notes) };
    }
}

/// The notes on that packet.
#[inline(always)]
pub(crate) fn kept() -> Notes {
    // SAFETY: as in `keep`.
    NOTES
        .get_ptr(0)
        .map_or(Notes::default(), |kept| unsafe { kept.read() })
}
