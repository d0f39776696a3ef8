//! The layout of the maps, and the operations on them that several processors do at once.
//!
//! Every map but the hashes is an array of 64-bit words, shared between
//! the programs in the kernel and the controller, which maps it into its memory. A
//! field narrower than a word is a part of one; words are in host byte order,
//! addresses and ports inside them as they stand in a packet.
//!
//! | map | entry | module |
//! |---|---|---|
//! | `SETTINGS` | one, 64 words | [`settings`] |
//! | `SERVICE_INDEX` | hash: [`service::ServiceKey`] to a service's id | [`service`] |
//! | `ACCESS` | trie: [`access::AccessKey`] to an [`access::Access`] | [`access`] |
//! | `SERVICES` | 16 words | [`service`] |
//! | `MARK_RULES` | 16 words | [`mark`] |
//! | `MEMBERS` | one word: a destination's id | [`service`] |
//! | `DESTINATIONS` | 16 words | [`destination`] |
//! | `CONNECTIONS` | 8 words, eight entries to a set | [`connection`] |
//! | `STATISTICS` | per processor, 5 words, by a destination's id | [`destination`] |
//! | `NEXT_HOPS` | array | [`hop`] |
//! | `FRAGMENTS`, `ENDPOINTS` | hashes | [`fragment`] |
//! | `LOCALITY` | hash: [`locality::LocalityKey`] to 16 words | [`locality`] |
//! | `STATION_SETS` | 16 words | [`station`] |
//! | `ESTIMATES` | 16 words, by a destination's id; the controller's alone | [`destination`] |
//! | `REASONS` | per processor, one word, by [`Reason`](crate::reason::Reason) | |

pub mod access;
pub mod connection;
pub mod destination;
pub mod fragment;
pub mod hop;
pub mod locality;
pub mod mark;
pub mod service;
pub mod settings;
pub mod station;

use crate::reason::Reason;
use access::AccessKey;
use fragment::{Endpoint, FragmentKey, Remembered};
use locality::LocalityKey;
use service::ServiceKey;

/// Changes whenever a layout does: state that was pinned by another version is not misread.
pub const LAYOUT_VERSION: u32 = 6;

/// Words that several processors read and write at the same time.
///
/// `load` and `store` are single, untorn accesses without ordering; the read-modify-write
/// operations are full barriers. A word outside the entry reads as 0 and is not written.
pub trait Words: Copy {
    /// The word.
    fn load(self, word: usize) -> u64;
    /// Writes the word.
    fn store(self, word: usize, value: u64);
    /// Writes the word and gives what it was.
    fn exchange(self, word: usize, value: u64) -> u64;
    /// Writes `new` if the word is `expected`; tells whether it did.
    fn compare_exchange(self, word: usize, expected: u64, new: u64) -> bool;
    /// Adds, wrapping, and gives what the word was.
    fn fetch_add(self, word: usize, amount: u64) -> u64;
}

/// The maps of a data plane. Indexes outside a map have no entry.
pub trait Tables {
    /// An entry of one of the shared maps.
    type Words: Words;

    /// Nanoseconds since some moment before now, for measuring how long something took.
    fn nanoseconds(&self) -> u64;
    /// The settings.
    fn settings(&self) -> Option<Self::Words>;
    /// The id of the service with this key.
    fn service_id(&self, key: &ServiceKey) -> Option<u32>;
    /// What the longest prefix of a key in the lists of access says, or 0 if there is none.
    fn access(&self, key: &AccessKey) -> u32;
    /// What is remembered of the packet that a fragment belongs to.
    fn fragment(&self, key: &FragmentKey) -> Option<Remembered>;
    /// Remembers a packet that comes in fragments, where there is room.
    fn remember_fragment(&self, key: &FragmentKey, remembered: Remembered);
    /// Whether packets of this address may be connections' that are known here.
    fn is_endpoint(&self, endpoint: &Endpoint) -> bool;
    /// What lblc and lblcr remember of an address.
    fn locality(&self, key: &LocalityKey) -> Option<Self::Words>;
    /// The same of an address of which nothing has been remembered, all 0, where there is room.
    fn new_locality(&self, key: &LocalityKey) -> Option<Self::Words>;
    /// A place for the next hop of clients.
    fn next_hop(&self, place: u32) -> Option<Self::Words>;
    /// A rule that gives packets a firewall mark.
    fn mark_rule(&self, number: u32) -> Option<Self::Words>;
    /// A service.
    fn service(&self, id: u32) -> Option<Self::Words>;
    /// The destination that stands at a place of the services' member lists.
    fn member(&self, place: u32) -> Option<u32>;
    /// A destination.
    fn destination(&self, id: u32) -> Option<Self::Words>;
    /// An eighth of a set of the connection table: way 0 is the set's header.
    fn connection(&self, index: u32) -> Option<Self::Words>;
    /// Adds to the totals of a destination.
    fn count(&self, destination: u32, event: Traffic);
    /// Adds one to a reason's counter.
    fn count_reason(&self, reason: Reason);
}

/// What is counted for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// A connection was scheduled.
    Connection,
    /// A packet of this many octets, its IP header included, came from a client.
    In(u32),
    /// A later fragment of a packet, with so many octets of payload, came from a client.
    MoreIn(u32),
    /// A packet of this many octets, its IP header included, came from the real server.
    Out(u32),
    /// A later fragment of a packet, with so many octets of payload, came from the real server.
    MoreOut(u32),
}

/// The part of `word` that begins at bit `shift`, as wide as `mask`.
#[inline(always)]
pub(crate) const fn part(word: u64, shift: u32, mask: u64) -> u64 {
    (word >> shift) & mask
}
