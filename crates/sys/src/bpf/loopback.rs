//! Answers for clients on this host arrive over the loopback device, from an address that is
//! the host's as well. The stack takes those only where it is told to
//! (`accept_local`, `Documentation/networking/ip-sysctl.rst` in the kernel).

use std::{fs, io};

use elver_packet::table::Words;
use elver_packet::table::settings::{BEHAVIOUR_WORD, HAS_SET_ACCEPT_LOCAL};

use super::{BpfError, Maps};

const ACCEPT_LOCAL: &str = "/proc/sys/net/ipv4/conf/lo/accept_local";

/// Has the stack accept them, and remembers with the maps that it did not before.
pub(super) fn accept_local(maps: &Maps) -> Result<(), BpfError> {
    let failed = |error| BpfError::kernel(ACCEPT_LOCAL, error);
    let Some(settings) = maps.settings() else {
        return Ok(());
    };
    if fs::read_to_string(ACCEPT_LOCAL).map_err(failed)?.trim() == "0" {
        match fs::write(ACCEPT_LOCAL, "1") {
            // In a container settings may be for reading alone.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                tracing::warn!(
                    "{ACCEPT_LOCAL}: {error}: clients on this host itself get no answers by NAT \
                     until it is 1"
                );
                return Ok(());
            }
            other => other.map_err(failed)?,
        }
        let behaviour = settings.load(BEHAVIOUR_WORD);
        settings.exchange(BEHAVIOUR_WORD, behaviour | HAS_SET_ACCEPT_LOCAL);
    }
    Ok(())
}

/// Puts back what [`accept_local`] has changed.
pub(super) fn restore(instance: &str) -> Result<(), BpfError> {
    let Ok(maps) = Maps::open(instance) else {
        // What another version set is nothing that this one knows.
        return Ok(());
    };
    let behaviour = maps
        .settings()
        .map_or(0, |settings| settings.load(BEHAVIOUR_WORD));
    if behaviour & HAS_SET_ACCEPT_LOCAL == 0 {
        return Ok(());
    }
    fs::write(ACCEPT_LOCAL, "0").map_err(|error| BpfError::kernel(ACCEPT_LOCAL, error))
}
