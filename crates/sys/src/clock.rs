//! Clocks that processes of one host share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A reading of `CLOCK_MONOTONIC`: the time since the start of the host, which every
/// process of the host reads alike.
pub fn monotonic() -> Duration {
    let reading = clock_gettime(ClockId::Monotonic);
    // The kernel gives seconds from 0 and nanoseconds below a thousand million.
    Duration::new(
        u64::try_from(reading.tv_sec).unwrap_or_default(),
        u32::try_from(reading.tv_nsec).unwrap_or_default(),
    )
}
