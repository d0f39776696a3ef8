//! A timer to the microsecond.
//!
//! The runtime's own timers count whole milliseconds and are late by one or more:
//! much, for a protocol whose intervals may be ten of them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel (`timerfd_create(2)`, `CLOCK_MONOTONIC`); it needs a tokio
/// runtime.
#[derive(Debug)]
pub struct Timer {
    descriptor: AsyncFd<OwnedFd>,
    /// What the kernel's timer is set to.
    armed: Option<Instant>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// What the kernel says.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO enabled.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the AsyncFd owns the descriptor and is never taken apart, so it stays open
        // and the same until it is deregistered.
        let descriptor = unsafe { AsyncFd::register(descriptor) }?;
        Ok(Timer {
            descriptor,
            armed: None,
        })
    }

    /// Waits until `deadline`, or for ever without one. It may be cancelled and called
    /// again, with the same deadline or another.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn until(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.armed != Some(deadline) {
                self.arm(left)?;
                self.armed = Some(deadline);
            }
            let mut guard = self.descriptor.readable().await?;
            // The kernel has no more to say about this deadline: if it is not reached after
            // all, or another one follows, the timer is set anew, which clears its readiness.
            guard.clear_ready();
            self.armed = None;
        }
    }

    fn arm(&self, left: Duration) -> io::Result<()> {
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let setting = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            },
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }
}
