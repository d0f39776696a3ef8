//! Destinations: one real server of one service each.
//!
//! ```text
//! word 0   flags 32 | generation 16 | method 8 | family 8 (4 or 6)
//! word 1   service id 32 | rport 16 (0: the packet's own) | port of a GUE tunnel 16
//! word 2   RIP (IPv4: its first 32 bits) …
//! word 3   … RIP
//! word 4   weight 32, of a quiescent one the last that was not 0 | sequence number 32: destinations that came later have a higher one
//! word 5   active connections 32 | inactive connections 32
//! word 6   persistence templates 32 | smoothed time of handshakes, in 128 ns 32
//! word 7   upper threshold 32 | lower threshold 32
//! word 8   the way there, as the controller knows it: device 32 | kind of tunnel 4 | its checksums 4 | family of the neighbour 8 | spare
//! word 9   … the neighbour: the router, or the real server itself (IPv4: the first 32 bits) …
//! word 10  … the neighbour
//! word 11  source address of tunnel packets (IPv4: the first 32 bits) …
//! word 12  … source address
//! word 13  the way there, as the programs learned it: largest packet 16 | stamp 16
//!          | largest packet that a router beyond it takes 16 | until when that holds, in eight ticks 16
//! word 14  … neighbour's MAC 48 | our MAC, first 16
//! word 15  … our MAC, last 32 | device 32
//! ```

use super::hop::{self, NextHopWords};
use super::settings::Ticks;
use super::{Words, part};
use crate::frame::{NextHop, Way};

/// Words of a destination.
pub const WORDS: usize = 16;
/// The word with flags, generation, method and family.
pub const FLAGS_WORD: usize = 0;
/// The word with the service and the port.
pub const SERVICE_WORD: usize = 1;
/// The first word of the address.
pub const ADDRESS_WORD: usize = 2;
/// The word with the weight.
pub const WEIGHT_WORD: usize = 4;
/// The word with the numbers of connections.
pub const CONNECTIONS_WORD: usize = 5;
/// The word with the number of persistence templates, and the time of handshakes.
pub const TEMPLATES_WORD: usize = 6;
/// The word with the thresholds.
pub const THRESHOLDS_WORD: usize = 7;
/// The word with the device and the kind of tunnel that lead there.
pub const WAY_WORD: usize = 8;
/// The first word of the neighbour that leads there.
pub const NEIGHBOUR_WORD: usize = 9;
/// The first word of the source address of tunnel packets.
pub const TUNNEL_SOURCE_WORD: usize = 11;
/// The words of the next hop that the programs learned.
const NEXT_HOP: NextHopWords = NextHopWords { stamp: 13, hop: 14 };

/// The word with what the programs learned of the largest packet.
pub const LARGEST_WORD: usize = NEXT_HOP.stamp;
/// How long it is remembered that a router on the way takes smaller packets only, in eight
/// ticks, which are about a second (`mtu_expires` in the kernel).
const LARGEST_LASTS: u16 = 600;

/// Words of a destination's totals: connections, packets in, out, octets in, out.
pub const STATISTICS_WORDS: usize = 5;

/// Words of what the controller keeps to estimate rates: five totals at the last time, then
/// five averages.
pub const ESTIMATE_WORDS: usize = 16;

/// Bits of a destination's flags.
pub mod flags {
    /// The entry is in use, if only as a tombstone that connections still refer to.
    pub const LIVE: u32 = 1 << 0;
    /// The destination belongs to its service; connections to it are forwarded.
    pub const AVAILABLE: u32 = 1 << 1;
    /// The service's virtual address is one of this host's.
    pub const HELD: u32 = 1 << 2;
    /// The configuration file put it here, not an operator.
    pub const FROM_CONFIGURATION: u32 = 1 << 3;
    /// The real server is this host itself.
    pub const LOCAL: u32 = 1 << 4;
    /// It is for the director's own checks of the real server, and in no member list.
    pub const FOR_CHECKS: u32 = 1 << 5;
    /// The weight is 0: the destination takes no new connections.
    pub const QUIESCENT: u32 = 1 << 8;
    /// It has as many connections as its upper threshold, or had and has not gone below the
    /// lower one since. Who binds or unbinds a connection sets and clears it.
    pub const OVERLOADED: u32 = 1 << 9;
}

/// Numbers of the forwarding methods in a destination's first word and in connections; the
/// kernel's (`IP_VS_CONN_F_FWD_MASK`).
pub mod method {
    /// Masquerading.
    pub const NAT: u8 = 0;
    /// Tunnels.
    pub const TUNNEL: u8 = 2;
    /// Direct routing.
    pub const DIRECT: u8 = 3;
}

/// Numbers of the kinds of tunnel in [`WAY_WORD`].
pub mod tunnel {
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213).
    pub const IPIP: u8 = 0;
    /// Generic UDP encapsulation.
    pub const GUE: u8 = 1;
    /// Generic routing encapsulation (RFC 2784).
    pub const GRE: u8 = 2;

    /// Beside a kind: with a checksum, the UDP header's or GRE's.
    pub const CHECKSUM: u8 = 1 << 4;
    /// Beside GUE: checksums inside may be left to the other end (`IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM`).
    /// Whether any are is the sender's choice; here none is.
    pub const REMOTE_CHECKSUM: u8 = 1 << 5;
    /// The kind without what is beside it.
    pub(super) const KIND: u8 = 0xf;
}

/// The bit of [`flags::OVERLOADED`].
const OVERLOADED: u32 = flags::OVERLOADED.trailing_zeros();

/// 1 if the first number is less than the second, else 0, where both have at most 63 bits.
#[inline(always)]
pub(crate) fn is_less(one: u64, other: u64) -> u64 {
    one.wrapping_sub(other) >> 63
}

/// What one connection is to [`CONNECTIONS_WORD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// In a state that counts as active.
    Active,
    /// In any other state.
    Inactive,
}

impl Activity {
    #[inline(always)]
    const fn unit(self) -> u64 {
        match self {
            Activity::Active => 1,
            Activity::Inactive => 1 << 32,
        }
    }
}

/// A destination, read where it is used.
#[derive(Clone, Copy)]
pub struct Destination<W>(pub W);

impl<W: Words> Destination<W> {
    /// Flags, generation, method and family in one look.
    #[inline(always)]
    pub fn heading(self) -> Heading {
        Heading(self.0.load(FLAGS_WORD))
    }

    /// The id of its service.
    #[inline(always)]
    pub fn service(self) -> u32 {
        self.0.load(SERVICE_WORD) as u32
    }

    /// The real server's port as in a packet; 0 keeps the packet's own.
    #[inline(always)]
    pub fn port(self) -> u16 {
        part(self.0.load(SERVICE_WORD), 32, 0xffff) as u16
    }

    /// The UDP port of a GUE tunnel, as in a packet.
    #[inline(always)]
    pub fn tunnel_port(self) -> u16 {
        part(self.0.load(SERVICE_WORD), 48, 0xffff) as u16
    }

    /// The kind of tunnel, of [`tunnel`].
    #[inline(always)]
    pub fn tunnel(self) -> u8 {
        self.tunnel_and_checksums() & tunnel::KIND
    }

    /// The kind of tunnel with what is beside it in [`tunnel`].
    #[inline(always)]
    pub fn tunnel_and_checksums(self) -> u8 {
        part(self.0.load(WAY_WORD), 32, 0xff) as u8
    }

    /// Whether the packets of the tunnel have a checksum of their own.
    #[inline(always)]
    pub fn has_tunnel_checksum(self) -> bool {
        self.tunnel_and_checksums() & tunnel::CHECKSUM != 0
    }

    /// The way there, as the controller knows it.
    #[inline(always)]
    pub fn way(self) -> Way {
        let word = self.0.load(WAY_WORD);
        Way {
            device: word as u32,
            family: part(word, 40, 0xff) as u8,
            neighbour: [self.0.load(NEIGHBOUR_WORD), self.0.load(NEIGHBOUR_WORD + 1)],
        }
    }

    /// The next hop, if it was learned under this stamp and takes packets of `length` octets.
    #[inline(always)]
    pub fn next_hop(self, stamp: u16, length: u32) -> Option<NextHop> {
        hop::read(self.0, NEXT_HOP, stamp, length)
    }

    /// Remembers a next hop and the largest packet that it takes.
    #[inline(always)]
    pub fn remember_next_hop(self, next_hop: &NextHop, largest: u16, stamp: u16) {
        hop::write(self.0, NEXT_HOP, next_hop, largest, stamp);
    }

    /// Its share of new connections; 0 takes none.
    #[inline(always)]
    pub fn weight(self) -> u32 {
        if self.heading().flags() & flags::QUIESCENT != 0 {
            0
        } else {
            self.last_weight()
        }
    }

    /// The last weight that was not 0; 0 if there was none.
    #[inline(always)]
    pub fn last_weight(self) -> u32 {
        self.0.load(WEIGHT_WORD) as u32
    }

    /// The largest packet that a router beyond the next hop has said that it takes, in octets;
    /// `u32::MAX` if none has lately.
    #[inline(always)]
    pub fn largest_beyond(self, now: Ticks) -> u32 {
        let word = self.0.load(LARGEST_WORD);
        let largest = part(word, 32, 0xffff) as u32;
        if largest == 0 {
            return u32::MAX;
        }
        let left = (part(word, 48, 0xffff) as u16).wrapping_sub((now >> 3) as u16);
        if left == 0 || left > LARGEST_LASTS {
            // Else it would hold again when the clock comes round.
            self.0
                .compare_exchange(LARGEST_WORD, word, word & 0xffff_ffff);
            return u32::MAX;
        }
        largest
    }

    /// A router beyond the next hop says how large a packet it takes.
    #[inline(always)]
    pub fn learn_largest_beyond(self, largest: u16, now: Ticks) {
        let before = self.0.load(LARGEST_WORD);
        // Whoever writes the next hop at this moment is not disturbed; another error will come.
        if before & 0xffff_ffff == hop::WRITING {
            return;
        }
        let until = ((now >> 3) as u16).wrapping_add(LARGEST_LASTS);
        let after = before & 0xffff_ffff | u64::from(largest) << 32 | u64::from(until) << 48;
        self.0.compare_exchange(LARGEST_WORD, before, after);
    }

    /// A connection is bound to the destination.
    #[inline(always)]
    pub fn bind(self, activity: Activity) {
        self.0.fetch_add(CONNECTIONS_WORD, activity.unit());
        if self.0.load(THRESHOLDS_WORD) as u32 != 0 {
            self.judge_overload();
        }
    }

    /// A connection leaves the destination.
    #[inline(always)]
    pub fn unbind(self, activity: Activity) {
        self.0
            .fetch_add(CONNECTIONS_WORD, activity.unit().wrapping_neg());
        if self.heading().flags() & flags::OVERLOADED != 0 {
            self.judge_overload();
        }
    }

    /// Makes [`flags::OVERLOADED`] what the connections and thresholds say
    /// (`ip_vs_dest_update_overload` in `ip_vs_conn.c`): true from the upper threshold on,
    /// false below the lower one, which is three quarters of the upper one if none is given,
    /// and as it is in between.
    ///
    /// Without branches, which the verifier in the kernel would follow through all of what
    /// comes after.
    #[inline(never)]
    pub fn judge_overload(self) {
        /// Once more than it takes: a connection may leave while the flag is being set, whose
        /// processor saw no reason to clear it; and others may change the word as well.
        const ATTEMPTS: u32 = 3;
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let heading = self.heading().0;
            let was = heading >> OVERLOADED & 1;
            let judged = heading & !(1 << OVERLOADED) | self.is_overloaded(was) << OVERLOADED;
            self.0.compare_exchange(FLAGS_WORD, heading, judged);
            attempt += 1;
        }
    }

    /// 1 or 0, for what it was.
    #[inline(always)]
    fn is_overloaded(self, was: u64) -> u64 {
        let thresholds = self.0.load(THRESHOLDS_WORD);
        let (upper, given) = (thresholds & 0xffff_ffff, thresholds >> 32);
        let (active, inactive) = self.connections();
        let connections = u64::from(active) + u64::from(inactive);
        let lower = given + is_less(given, 1) * (upper - upper / 4);
        let stays = was & (is_less(connections, lower) ^ 1);
        is_less(0, upper) & (is_less(connections, upper) ^ 1 | stays)
    }

    /// A connection becomes active or inactive.
    #[inline(always)]
    pub fn rebind(self, now: Activity) {
        let change = match now {
            Activity::Active => 1u64.wrapping_sub(1 << 32),
            Activity::Inactive => (1u64 << 32).wrapping_sub(1),
        };
        self.0.fetch_add(CONNECTIONS_WORD, change);
    }

    /// Active and inactive connections.
    #[inline(always)]
    pub fn connections(self) -> (u32, u32) {
        let word = self.0.load(CONNECTIONS_WORD);
        (word as u32, (word >> 32) as u32)
    }

    /// How long TCP's handshake takes there, in units of 128 ns ([`handshake`]); 0 if none
    /// has been seen.
    ///
    /// [`handshake`]: super::connection::handshake
    #[inline(always)]
    pub fn handshake(self) -> u32 {
        (self.0.load(TEMPLATES_WORD) >> 32) as u32
    }

    /// A handshake has taken as long. What is kept follows such times as a TCP's smoothed
    /// round-trip time does: by an eighth of the difference (RFC 6298, section 2.3).
    #[inline(always)]
    pub fn learn_handshake(self, took: u32) {
        let before = self.0.load(TEMPLATES_WORD);
        let smoothed = (before >> 32) as i64;
        let took = i64::from(took);
        let next = if smoothed == 0 {
            took
        } else {
            smoothed + ((took - smoothed) >> 3)
        };
        // 0 is for none. Where another processor is faster, one handshake is not counted.
        let next = (next as u64).max(1) << 32;
        self.0
            .compare_exchange(TEMPLATES_WORD, before, before & 0xffff_ffff | next);
    }

    /// Persistence templates that refer to the destination.
    #[inline(always)]
    pub fn templates(self) -> u32 {
        self.0.load(TEMPLATES_WORD) as u32
    }

    /// A persistence template comes to refer to the destination.
    #[inline(always)]
    pub fn bind_template(self) {
        self.0.fetch_add(TEMPLATES_WORD, 1);
    }

    /// A persistence template no longer refers to the destination.
    #[inline(always)]
    pub fn unbind_template(self) {
        self.0.fetch_add(TEMPLATES_WORD, 1u64.wrapping_neg());
    }
}

/// The first word of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading(pub u64);

impl Heading {
    /// Its flags.
    #[inline(always)]
    pub fn flags(self) -> u32 {
        self.0 as u32
    }

    /// Changes when the entry is given to another destination.
    #[inline(always)]
    pub fn generation(self) -> u16 {
        part(self.0, 32, 0xffff) as u16
    }

    /// The family of its address: 4 or 6.
    #[inline(always)]
    pub fn family(self) -> u8 {
        part(self.0, 56, 0xff) as u8
    }

    /// The forwarding method of new connections, of [`method`].
    #[inline(always)]
    pub fn method(self) -> u8 {
        part(self.0, 48, 0xff) as u8
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;
    use crate::host::SharedWords;

    #[test]
    fn both_numbers_of_connections_live_in_one_word() {
        let words = SharedWords::new(WORDS);
        let destination = Destination(words.entry(0, WORDS).unwrap());
        destination.bind(Activity::Active);
        destination.bind(Activity::Active);
        destination.bind(Activity::Inactive);
        assert_eq!(destination.connections(), (2, 1));
        destination.rebind(Activity::Inactive);
        assert_eq!(destination.connections(), (1, 2));
        destination.rebind(Activity::Active);
        destination.unbind(Activity::Active);
        destination.unbind(Activity::Active);
        destination.unbind(Activity::Inactive);
        assert_eq!(destination.connections(), (0, 0));
    }

    /// What came of it on Linux 6.1: with an upper threshold of 4 and a lower one of 2, or none.
    #[test]
    fn a_destination_is_overloaded_from_the_upper_threshold_to_below_the_lower_one() {
        for (lower, freed_at) in [(2u64, 1), (0, 2), (4, 3), (1, 0)] {
            let words = SharedWords::new(WORDS);
            let destination = Destination(words.entry(0, WORDS).unwrap());
            destination.0.store(THRESHOLDS_WORD, 4 | lower << 32);
            let is_overloaded = || destination.heading().flags() & flags::OVERLOADED != 0;
            for _ in 0..3 {
                destination.bind(Activity::Inactive);
                assert!(!is_overloaded());
            }
            destination.bind(Activity::Inactive);
            assert!(is_overloaded());
            for left in (freed_at + 1..4).rev() {
                destination.unbind(Activity::Inactive);
                assert!(is_overloaded(), "with {left} and {lower}");
            }
            destination.unbind(Activity::Inactive);
            assert!(!is_overloaded(), "with {lower}");
            destination.bind(Activity::Inactive);
            assert_eq!(is_overloaded(), freed_at == 3);
        }
    }

    #[test]
    fn a_threshold_that_is_taken_away_frees() {
        let words = SharedWords::new(WORDS);
        let destination = Destination(words.entry(0, WORDS).unwrap());
        destination.0.store(THRESHOLDS_WORD, 1);
        destination.bind(Activity::Active);
        assert_eq!(destination.heading().flags(), flags::OVERLOADED);
        destination.0.store(THRESHOLDS_WORD, 0);
        destination.judge_overload();
        assert_eq!(destination.heading().flags(), 0);
    }
}
