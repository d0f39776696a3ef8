//! What holds for the whole data plane.
//!
//! ```text
//! word 0   layout version 32 | ready 1 | on standby 1: every packet is left alone
//! word 1   hash seeds 32, 32
//! word 2   sets of the connection table, less one 32 | route epoch 32
//! word 3   ticks: jiffies are shifted right by this 8 | HZ 16
//! word 4   always 0
//! word 5   jiffies …
//! word 6   … and nanoseconds of CLOCK_MONOTONIC at the same moment, when the loader asked
//! word 7    behaviour: flags 32 | there are lists of access 1 | there are rules of marks 1 |
//!          there are services of marks 1 | the loopback device was changed 1
//! word 8   the tick of the last answer by ICMP 32 | answers in that tick 32
//! word 9   after how many ticks lblc 32 and lblcr 32 forget
//! word 10  of how many packets that open connections one is dropped 32, 0 for none | how many
//!          come before the next one that is 32
//! words 16… timeouts of the TCP states: ticks 32 | seconds 32
//! word 32   timeout of UDP, alike
//! words 48… timeouts of the SCTP states, alike
//! ```

use super::Words;
use super::service::scheduler;
use crate::flow::sctp::SctpState;
use crate::flow::tcp::TcpState;
use crate::wire::protocol;

/// Words of the settings.
pub const WORDS: usize = 64;
/// The word with the layout version and whether the tables may be used.
pub const VERSION_WORD: usize = 0;
/// The word with the seeds of the hash.
pub const SEEDS_WORD: usize = 1;
/// The word with the size of the connection table and the route epoch.
pub const SIZE_AND_EPOCH_WORD: usize = 2;
/// The word that tells how long a tick is.
pub const CLOCK_WORD: usize = 3;
/// The word that is always 0.
const ZERO_WORD: usize = 4;
/// The word with jiffies at the moment that the loader asked for.
pub const JIFFIES_WORD: usize = 5;
/// The word with nanoseconds at the same moment.
pub const NANOSECONDS_WORD: usize = 6;
/// The word with the flags of [`behaviour`].
pub const BEHAVIOUR_WORD: usize = 7;
/// The word that counts what the programs tell senders.
pub const ANSWERS_WORD: usize = 8;
/// The word that tells after how long lblc and lblcr forget an address.
pub const LOCALITY_WORD: usize = 9;
/// The word that tells of how many packets that open connections one is dropped.
pub const DROP_RATE_WORD: usize = 10;
/// After how long lblc and lblcr forget an address by default (`lblc_expiration` in the kernel).
pub const LOCALITY_SECONDS: u32 = 86_400;
/// How often senders are told by ICMP why their packets are dropped, in a tick: about a thousand
/// times a second in all (`icmp_msgs_per_sec` in the kernel).
pub const ANSWERS_PER_TICK: u32 = 125;
/// The first of the TCP timeouts.
pub const TCP_TIMEOUTS_WORD: usize = 16;

/// The timeout of UDP.
pub const UDP_TIMEOUT_WORD: usize = 32;
/// How long UDP stays without a packet by default (`udp_timeouts` in the kernel).
const UDP_TIMEOUT_SECONDS: u32 = 300;
/// The first of the SCTP timeouts.
pub const SCTP_TIMEOUTS_WORD: usize = 48;

/// The default timeouts: which word has how many seconds.
pub fn default_timeouts() -> impl Iterator<Item = (usize, u32)> {
    let tcp = (TCP_TIMEOUTS_WORD..).zip(TcpState::TIMEOUT_SECONDS);
    let sctp = (SCTP_TIMEOUTS_WORD..).zip(SctpState::TIMEOUT_SECONDS);
    tcp.chain(sctp)
        .chain([(UDP_TIMEOUT_WORD, UDP_TIMEOUT_SECONDS)])
}

/// The bit of [`VERSION_WORD`] that tells that every packet is left alone.
pub const ON_STANDBY: u64 = 1 << 33;

/// The bit of [`BEHAVIOUR_WORD`] that tells that there are lists of access.
pub const HAS_ACCESS_LISTS: u64 = 1 << 32;
/// The bit that tells that there are rules that give packets a firewall mark.
pub const HAS_MARK_RULES: u64 = 1 << 33;

/// The bit that tells that there are services of firewall marks.
pub const HAS_MARK_SERVICES: u64 = 1 << 34;

/// The bit that tells that the loader has changed how the loopback device accepts packets.
pub const HAS_SET_ACCEPT_LOCAL: u64 = 1 << 35;

/// Bits of [`BEHAVIOUR_WORD`], by the names of IPVS's settings
/// (`Documentation/networking/ipvs-sysctl.rst` in the kernel).
pub mod behaviour {
    /// Connections to a removed destination end with their next packet.
    pub const EXPIRE_NODEST_CONN: u32 = 1 << 0;
    /// Templates of a destination with weight 0 do not hold new connections.
    pub const EXPIRE_QUIESCENT_TEMPLATE: u32 = 1 << 1;
    /// Any TCP segment but RST opens a connection.
    pub const SLOPPY_TCP: u32 = 1 << 2;
    /// Any SCTP packet but ABORT opens a connection.
    pub const SLOPPY_SCTP: u32 = 1 << 3;
    /// `conn_reuse_mode` other than 0: a connection that is over gives way to a new one.
    pub const REUSE_ENDED: u32 = 1 << 4;
    /// `conn_reuse_mode` 2: so does one in FIN_WAIT whose answers are not seen.
    pub const REUSE_FIN_WAIT: u32 = 1 << 5;
    /// `pmtu_disc` 0: tunnel packets may be fragmented whatever their content says.
    pub const NO_PMTU_DISC: u32 = 1 << 6;
    /// `secure_tcp` is in force: TCP connections go through stricter states.
    pub const SECURE_TCP: u32 = 1 << 7;
    /// Real servers that send what belongs to no connection are told (`nat_icmp_send`).
    pub const NAT_ICMP_SEND: u32 = 1 << 8;
    /// ICMP errors about no connection open one (`schedule_icmp`).
    pub const SCHEDULE_ICMP: u32 = 1 << 9;

    /// The kernel's defaults.
    pub const DEFAULT: u32 = REUSE_ENDED;
}

/// A coarse time: jiffies shifted right, so that a tick is about an eighth of a second.
/// Differences wrap.
pub type Ticks = u32;

/// Ticks from `earlier` to `later`; negative where they are the other way round.
#[inline(always)]
pub const fn ticks_between(earlier: Ticks, later: Ticks) -> i32 {
    later.wrapping_sub(earlier) as i32
}

/// The settings, read where they are used.
#[derive(Clone, Copy)]
pub struct Settings<W>(pub W);

impl<W: Words> Settings<W> {
    /// Whether a controller of this layout has set the tables up, and wants packets forwarded.
    #[inline(always)]
    pub fn ready(self) -> bool {
        self.0.load(VERSION_WORD) == (1 << 32) | super::LAYOUT_VERSION as u64
    }

    /// Seeds of the connection table's hash.
    #[inline(always)]
    pub fn seeds(self) -> u64 {
        self.0.load(SEEDS_WORD)
    }

    /// A mask for the number of a set of the connection table.
    #[inline(always)]
    pub fn set_mask(self) -> u32 {
        self.0.load(SIZE_AND_EPOCH_WORD) as u32
    }

    /// A stamp for a next hop that is learned now. It changes about once a second and
    /// with every change of routes and neighbours, so that a next hop is used without
    /// asking the kernel only for as long as that, and never after such a change while
    /// a controller watches. Never 0.
    #[inline(always)]
    pub fn next_hop_stamp(self, now: Ticks) -> u16 {
        let epoch = (self.0.load(SIZE_AND_EPOCH_WORD) >> 32) as u32;
        (epoch.wrapping_add(now >> 3) as u16) | 0x8000
    }

    /// The value, of which the verifier in the kernel no longer knows anything: where ways
    /// through a program join again, it takes up only one of them.
    #[inline(always)]
    pub fn blur(self, value: u64) -> u64 {
        value ^ self.zero()
    }

    /// 0, read from memory.
    #[inline(always)]
    pub fn zero(self) -> u64 {
        self.0.load(ZERO_WORD)
    }

    /// Whether another sender may be told by ICMP why its packet is dropped; counts it.
    #[inline(always)]
    pub fn may_answer(self, now: Ticks) -> bool {
        let before = self.0.load(ANSWERS_WORD);
        let answers = if before as u32 == now {
            (before >> 32) as u32
        } else {
            0
        };
        let after = u64::from(now) | u64::from(answers + 1) << 32;
        // Another processor that was faster has used this turn up.
        answers < ANSWERS_PER_TICK && self.0.compare_exchange(ANSWERS_WORD, before, after)
    }

    /// Whether a packet that would open a connection is one of those that are dropped
    /// (`ip_vs_todrop` in the kernel); counts it.
    #[inline(always)]
    pub fn is_sacrificed(self) -> bool {
        let before = self.0.load(DROP_RATE_WORD);
        let (rate, to_come) = (before as u32, (before >> 32) as u32);
        if rate == 0 {
            return false;
        }
        let is_dropped = to_come <= 1;
        let to_come = if is_dropped { rate } else { to_come - 1 };
        let after = u64::from(rate) | u64::from(to_come) << 32;
        // Another processor that was faster has counted instead.
        self.0.compare_exchange(DROP_RATE_WORD, before, after) && is_dropped
    }

    /// How far jiffies are shifted right to make ticks.
    #[inline(always)]
    pub fn tick_shift(self) -> u32 {
        (self.0.load(CLOCK_WORD) & 0x3f) as u32
    }

    /// Whether there are services of firewall marks.
    #[inline(always)]
    pub fn has_mark_services(self) -> bool {
        self.0.load(BEHAVIOUR_WORD) & HAS_MARK_SERVICES != 0
    }

    /// Whether there are lists of who may use services.
    #[inline(always)]
    pub fn has_access_lists(self) -> bool {
        self.0.load(BEHAVIOUR_WORD) & HAS_ACCESS_LISTS != 0
    }

    /// Whether there are rules that give packets a firewall mark.
    #[inline(always)]
    pub fn has_mark_rules(self) -> bool {
        self.0.load(BEHAVIOUR_WORD) & HAS_MARK_RULES != 0
    }

    /// The flags of [`behaviour`].
    #[inline(always)]
    pub fn behaviour(self) -> u32 {
        self.0.load(BEHAVIOUR_WORD) as u32
    }

    /// After how many ticks a scheduler, lblc or lblcr, forgets an address that nobody asks for.
    #[inline(always)]
    pub fn locality_expiration(self, number: u8) -> i32 {
        let shift = 32 * u32::from(number == scheduler::LOCALITY_BASED_WITH_REPLICATION);
        (self.0.load(LOCALITY_WORD) >> shift) as i32
    }

    /// How long a connection of a protocol stays in a state without a packet.
    #[inline(always)]
    pub fn timeout(self, protocol: u8, state: u8) -> Ticks {
        let first = match protocol {
            protocol::TCP => TCP_TIMEOUTS_WORD,
            protocol::SCTP => SCTP_TIMEOUTS_WORD,
            _ => UDP_TIMEOUT_WORD,
        };
        self.0.load(first + usize::from(state & 0xf)) as Ticks
    }
}
