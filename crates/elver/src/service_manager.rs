//! What a service manager is told: that elver is ready, how it stands, that it still lives
//! (sd_notify(3), systemd.service(5) with `Type=notify` and `WatchdogSec=`).
//!
//! Without one, nothing is told and nothing goes wrong.

use std::time::Duration;

use sd_notify::NotifyState;

/// The way to the service manager.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    /// What it was told last.
    status: String,
}

impl ServiceManager {
    /// How often it wants to hear that this process lives, if at all: half the time after which
    /// it would kill it.
    pub(crate) fn heartbeat() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }

    /// Everything is up.
    pub(crate) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The configuration is being read again; [`ServiceManager::ready`] follows.
    pub(crate) fn reloading(&self) {
        let since_boot = crate::vrrp_process::monotonic_now().as_micros();
        let since_boot = i128::try_from(since_boot).unwrap_or_default();
        tell(&[
            NotifyState::Reloading,
            NotifyState::MonotonicUsec(since_boot),
        ]);
    }

    /// This process is about to end.
    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// This process lives.
    pub(crate) fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// How things stand, in a line; told when it differs from the last.
    pub(crate) fn status(&mut self, line: String) {
        if line != self.status {
            tell(&[NotifyState::Status(&line)]);
            self.status = line;
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // One that does not listen is not the director's trouble.
    let _ = sd_notify::notify(states);
}
