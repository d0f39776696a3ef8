//! The settings of sync daemons, as `ipvsadm --start-daemon` gives them.
//!
//! They are kept beside the pinned maps, and like them for as long as an operator does not
//! take them away: a director that is started anew has them again. The protocol that would
//! carry connections to another director is not there yet, and the log says so.

use std::io;

use elver_core::service::{SyncDaemon, SyncRole};

use crate::instance::Instance;
use crate::record::Record;

/// The sync daemons of an instance.
pub(super) struct SyncDaemons {
    record: Record<SyncDaemon>,
    daemons: Vec<SyncDaemon>,
}

impl SyncDaemons {
    /// Those that are on record for an instance.
    pub(super) fn of(instance: &Instance) -> SyncDaemons {
        let record = Record::at(instance.sync_daemons());
        let daemons = record.read().unwrap_or_else(|error| {
            tracing::error!("the record of sync daemons cannot be read, there are none: {error}");
            Vec::new()
        });
        SyncDaemons { record, daemons }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[SyncDaemon] {
        &self.daemons
    }

    /// Whether there is one for `role`.
    pub(super) fn has(&self, role: SyncRole) -> bool {
        self.daemons.iter().any(|daemon| daemon.role == role)
    }

    /// Adds one; there is none for its role yet.
    pub(super) fn start(&mut self, daemon: SyncDaemon) -> io::Result<()> {
        let mut daemons = self.daemons.clone();
        daemons.push(daemon);
        self.replace(daemons)
    }

    /// Takes the one for `role` away.
    pub(super) fn stop(&mut self, role: SyncRole) -> io::Result<()> {
        let mut daemons = self.daemons.clone();
        daemons.retain(|daemon| daemon.role != role);
        self.replace(daemons)
    }

    /// Forgets all of them.
    pub(super) fn forget(instance: &Instance) -> io::Result<()> {
        Record::<SyncDaemon>::at(instance.sync_daemons()).remove()
    }

    /// Says in the log what is kept and what it does not do.
    pub(super) fn tell(&self) {
        for daemon in &self.daemons {
            tracing::warn!(
                "sync daemon ({}) on {}: its settings are kept and shown, but connections are \
                 not synchronised yet",
                daemon.role.name(),
                daemon.interface
            );
        }
    }

    fn replace(&mut self, daemons: Vec<SyncDaemon>) -> io::Result<()> {
        if daemons.is_empty() {
            self.record.remove()?;
        } else {
            self.record.write(&daemons)?;
        }
        self.daemons = daemons;
        Ok(())
    }
}
