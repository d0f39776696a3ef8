//! Who may use a virtual service: lists of networks, the longest prefix of which decides.
//!
//! The map is a trie of prefixes. Its key, as long as a prefix says:
//!
//! ```text
//! octets 0…3    service id, or all ones for the list of every service
//! octets 4…7    family: 4 or 6
//! octets 8…23   address (IPv4: its first four)
//! ```
//!
//! The list of a service is asked first; where it has nothing to say of a client, the one
//! for all. Who is in neither may. Lists are asked when a connection opens.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Tables;
use crate::family::Family;

/// Bits of a key before the address.
pub const ADDRESS_BITS: u32 = 64;

/// The list of every service.
pub const EVERY_SERVICE: u32 = u32::MAX;

/// What a list says of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Access {
    /// Its clients may use the service.
    Allowed = 1,
    /// They may not.
    Denied = 2,
}

/// A key of the trie, without the length of the prefix.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AccessKey {
    /// The service's id, or [`EVERY_SERVICE`].
    pub service: u32,
    /// 4 or 6.
    pub family: u32,
    /// The address, as in a packet; IPv4 in the first four octets, the others 0.
    pub address: [u64; 2],
}

/// Whether a client may open a connection to a service.
#[inline(never)]
pub fn is_denied<F: Family, T: Tables>(tables: &T, service: u32, client: &F::Address) -> bool {
    let mut service = service;
    loop {
        let key = AccessKey {
            service,
            family: F::NUMBER.into(),
            address: F::to_words(*client),
        };
        let found = tables.access(&key);
        if found != 0 || service == EVERY_SERVICE {
            return found == Access::Denied as u32;
        }
        service = EVERY_SERVICE;
    }
}
