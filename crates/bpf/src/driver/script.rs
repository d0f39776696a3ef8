//! What the driver is told, as words of its only map entry.
//!
//! ```text
//! word 0    what to do with a packet: one of the numbers below
//! word 1    flows, less one: a power of two, less one
//! word 2    a flow's number is shifted left by this
//! word 3    packets so far
//! word 4    the end that is varied: 0 the source, 1 the destination, of IPv6 2 more
//! word 5    octets of a packet
//! words 8…17   the headers, of IPv4 54 octets, of IPv6 74
//! ```

/// Words of the script.
pub(crate) const WORDS: usize = 24;
/// The word that tells what to do.
pub(crate) const DEED_WORD: usize = 0;
/// The word with the number of flows.
pub(crate) const FLOWS_WORD: usize = 1;
/// The word with the shift of flows.
pub(crate) const SHIFT_WORD: usize = 2;
/// The word that counts packets.
pub(crate) const PACKETS_WORD: usize = 3;
/// The word that tells which end is varied.
pub(crate) const END_WORD: usize = 4;
/// The word with the length of a packet.
pub(crate) const OCTETS_WORD: usize = 5;
/// The first word of the headers.
pub(crate) const HEADERS_WORD: usize = 8;

/// Octets that are written of each packet: Ethernet, IPv6 and TCP without options, and padding.
pub(crate) const HEADERS: usize = 76;

/// Write the headers and return: what the driver itself costs.
pub(crate) const RETURN: u64 = 0;
/// Go on with the first stage of the pipeline.
pub(crate) const ARRIVE: u64 = 1;
/// Look a key up in a hash of the kernel's.
pub(crate) const LOOK_UP: u64 = 2;

/// The key that is looked up.
pub(crate) const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
