//! What XDP is told, beyond the tables.

use std::collections::BTreeSet;

use elver_packet::table::settings::HAS_MARK_SERVICES;
use elver_sys::bpf::BpfError;

use super::{DataPlane, Device};

impl DataPlane {
    /// Attaches XDP to a device that has tc already.
    ///
    /// # Errors
    /// The driver or the kernel refuses.
    pub(crate) fn attach_xdp(&mut self, device: &Device) -> Result<(), BpfError> {
        self.attachments.attach_xdp(device.index, &device.name)
    }

    /// Takes XDP off a device, whoever has put it there for this instance.
    pub(crate) fn detach_xdp(&mut self, index: u32) {
        if let Err(error) = self.attachments.detach_xdp(index) {
            tracing::warn!("{error}");
        }
    }

    /// Tells XDP which link-layer addresses this host has, and which devices take frames.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn tell_xdp(
        &mut self,
        stations: &BTreeSet<(u32, [u8; 6])>,
        redirects: &BTreeSet<u32>,
    ) -> Result<(), BpfError> {
        self.attachments.set_redirects(redirects)?;
        self.attachments.set_stations(stations)
    }

    /// Tells XDP, which sees no firewall marks, whether there are services that have one.
    pub(super) fn tell_marks(&mut self) {
        let mut services = self.inventory.services.keys();
        let has_marks = services.any(|key| key.virtual_address().is_none());
        let bits = if has_marks { HAS_MARK_SERVICES } else { 0 };
        self.replace_behaviour(HAS_MARK_SERVICES, bits);
    }
}
