//! The link-layer addresses that this host has on its devices: its own, and those of virtual
//! routers. Only the fast path needs them told; later hooks hear from the kernel whom a
//! frame is for.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::wire::MacAddress;

/// A key of the map of stations.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Station {
    /// The device, by its index.
    pub device: u32,
    /// The address.
    pub address: MacAddress,
    unused: [u8; 2],
}

impl Station {
    /// The station with this address at a device.
    #[inline(always)]
    pub fn new(device: u32, address: MacAddress) -> Station {
        Station {
            device,
            address,
            unused: [0; 2],
        }
    }
}
