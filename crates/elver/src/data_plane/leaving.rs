//! What leaves this host: answers of real servers that are this host itself.
//!
//! They come from no device, so programs at what leaves see to them. All that the host sends
//! passes these, so they are there only once there is such a real server.

use elver_packet::frame::LOOPBACK;
use elver_packet::table::Words;
use elver_packet::table::destination::{Destination, flags, method};
use elver_sys::bpf::{BpfError, Direction};

use super::DataPlane;

/// Whether packets that leave are looked at.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// There is, or was since the start, a real server whose answers have to be rewritten.
    is_needed: bool,
    /// The programs are on every device.
    pub(super) is_watched: bool,
}

impl Leaving {
    /// Looks whether a destination's answers leave from this host.
    pub(super) fn look_at<W: Words>(&mut self, destination: W) {
        let heading = Destination(destination).heading();
        let is_here = heading.flags() & flags::LOCAL != 0;
        self.is_needed |= is_here && heading.method() == method::NAT;
    }
}

impl DataPlane {
    /// Puts programs on what leaves by these devices, given by index and name, if a real server
    /// needs them and they are not there yet.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn watch_leaving<'a>(
        &mut self,
        devices: impl Iterator<Item = (u32, &'a str)>,
    ) -> Result<(), BpfError> {
        if !self.leaving.is_needed || self.leaving.is_watched {
            return Ok(());
        }
        for (index, name) in devices {
            self.watch_leaving_by(index, name)?;
        }
        self.leaving.is_watched = true;
        tracing::info!("a real server is this host: what leaves is looked at as well");
        Ok(())
    }

    /// On the loopback device answers to clients on this host arrive, and are seen to then.
    pub(super) fn watch_leaving_by(&mut self, index: u32, name: &str) -> Result<(), BpfError> {
        if index == LOOPBACK {
            return Ok(());
        }
        self.attachments.attach(index, name, Direction::Leaving)?;
        Ok(())
    }
}
