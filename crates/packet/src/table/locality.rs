//! What the schedulers lblc and lblcr remember of an address: which real servers serve it.
//!
//! ```text
//! LOCALITY    hash: LocalityKey to 16 words; the one not asked for longest is forgotten first
//! word 0       when a real server was chosen last 32 | when the set was changed last 32
//! words 1…15   real servers, the one added last first: id, and 1 more 32 | its generation 16
//! ```
//!
//! lblc has one real server for an address, lblcr a set of them. IPVS bounds neither the
//! addresses nor a set; here an address has up to [`SERVERS`], and the one that was added
//! first leaves a full set.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Words;
use super::settings::Ticks;
use crate::family::Family;

/// How many addresses are remembered, for all services.
pub const ADDRESSES: u32 = 1 << 14;
/// Words of what is remembered of an address.
pub const WORDS: usize = 16;
/// How many real servers are remembered for an address.
pub const SERVERS: usize = WORDS - FIRST_SERVER;

const TIMES_WORD: usize = 0;
const FIRST_SERVER: usize = 1;

/// An address that a service has connections to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LocalityKey {
    address: [u64; 2],
    service: u32,
    /// A service begins with nothing when it gets the other scheduler.
    scheduler: u32,
}

impl LocalityKey {
    /// The key of an address of a service.
    #[inline(always)]
    pub fn of<F: Family>(address: F::Address, service: u32, scheduler: u8) -> LocalityKey {
        LocalityKey {
            address: F::to_words(address),
            service,
            scheduler: scheduler.into(),
        }
    }
}

/// What is remembered of an address, read where it is used.
#[derive(Clone, Copy)]
pub struct Locality<W>(pub W);

impl<W: Words> Locality<W> {
    /// When a real server was chosen last.
    #[inline(always)]
    pub fn last_use(self) -> Ticks {
        self.0.load(TIMES_WORD) as u32
    }

    /// When a real server was added or left last.
    #[inline(always)]
    pub fn last_change(self) -> Ticks {
        (self.0.load(TIMES_WORD) >> 32) as u32
    }

    /// A real server is chosen now.
    #[inline(always)]
    pub fn set_last_use(self, now: Ticks) {
        let times = self.0.load(TIMES_WORD);
        self.0.store(TIMES_WORD, times >> 32 << 32 | u64::from(now));
    }

    /// The set is changed now, which is a use as well.
    #[inline(always)]
    pub fn set_last_change(self, now: Ticks) {
        self.0
            .store(TIMES_WORD, u64::from(now) << 32 | u64::from(now));
    }

    /// A place of the set; 0 is nobody.
    #[inline(always)]
    pub fn server(self, place: usize) -> u64 {
        self.0.load(FIRST_SERVER + place)
    }

    /// Writes a place of the set.
    #[inline(always)]
    pub fn set_server(self, place: usize, server: u64) {
        self.0.store(FIRST_SERVER + place, server);
    }
}
