//! Virtual servers and real servers.

use super::Argument::{Choice, Optional, Rest, Secret, Word};
use super::checks::CHECK_PATH;
use super::{
    BlockKind, Keyword, LONGEST, NAME, OPTIONAL_BOOLEAN, PATH, SCRIPT, UNSIGNED, acted, dropped,
    known, number, seconds,
};

/// ip_vs takes a weight as an int.
const LARGEST_WEIGHT: i64 = i32::MAX as i64;
const SCHEDULER: super::Argument = Word("a scheduler");
const METHOD: super::Argument = Choice(&["NAT", "DR", "TUN"]);
const TUNNEL: super::Argument = Rest("[type ipip|gue port N|gre] [nocsum|csum|remcsum]");

/// `SSL`.
pub(super) const SSL: &[Keyword] = &[
    acted("password", &[Secret("a password")]),
    acted("ca", &[PATH]),
    acted("certificate", &[PATH]),
    acted("key", &[PATH]),
];

/// `virtual_server`.
pub(super) const VIRTUAL_SERVER: &[Keyword] = &[
    acted("delay_loop", &[seconds(1, LONGEST)]),
    acted("lvs_sched", &[SCHEDULER]),
    acted("lb_algo", &[SCHEDULER]),
    acted("lvs_method", &[METHOD, TUNNEL]),
    acted("lb_kind", &[METHOD, TUNNEL]),
    acted("protocol", &[Word("a protocol")]),
    acted("persistence_timeout", &[Optional(&Word("seconds"))]),
    acted(
        "persistence_granularity",
        &[Word("a netmask or prefix length")],
    ),
    acted("persistence_engine", &[NAME]),
    acted("ip_family", &[Choice(&["inet", "inet6"])]),
    acted("hashed", &[]),
    acted("ops", &[]),
    acted("flag-1", &[]),
    acted("flag-2", &[]),
    acted("flag-3", &[]),
    acted("sh-fallback", &[]),
    acted("sh-port", &[]),
    acted("mh-fallback", &[]),
    acted("mh-port", &[]),
    acted("weight", &[number(1, LARGEST_WEIGHT)]),
    acted("connect_timeout", &[seconds(1, LONGEST)]),
    acted("retry", &[number(1, UNSIGNED)]),
    acted("delay_before_retry", &[seconds(0, LONGEST)]),
    acted("warmup", &[seconds(0, LONGEST)]),
    acted(
        "real_server",
        &[Word("an address"), Optional(&Word("a port"))],
    )
    .opens(BlockKind::RealServer),
    acted(
        "sorry_server",
        &[Word("an address"), Optional(&Word("a port"))],
    ),
    acted("sorry_server_inhibit", &[]),
    acted("sorry_server_lvs_method", &[METHOD, TUNNEL]).complains_if_missing(),
    acted("ha_suspend", &[]),
    acted("slow_start", &[seconds(1, LONGEST)]),
    acted("check_path", &[CHECK_PATH]),
    acted("passive_check", &[number(0, 99)]),
    acted("passive_handshake", &[seconds(1, LONGEST)]),
    acted("alpha", &[OPTIONAL_BOOLEAN]),
    acted("omega", &[OPTIONAL_BOOLEAN]),
    acted("quorum", &[number(1, UNSIGNED)]),
    acted("hysteresis", &[number(0, UNSIGNED)]),
    acted("quorum_up", &[SCRIPT]).stops_if_missing(),
    acted("quorum_down", &[SCRIPT]).stops_if_missing(),
    acted("inhibit_on_failure", &[OPTIONAL_BOOLEAN]),
    acted("smtp_alert", &[OPTIONAL_BOOLEAN]),
    acted("virtualhost", &[NAME]).complains_if_missing(),
    known("snmp_name", &[NAME]).complains_if_missing(),
    dropped(
        "nat_mask",
        "keepalived has dropped it",
        "take the line away: NAT never needs the netmask of an address",
    ),
];

/// `real_server`.
pub(super) const REAL_SERVER: &[Keyword] = &[
    acted("weight", &[number(0, LARGEST_WEIGHT)]),
    acted("lvs_method", &[METHOD, TUNNEL]),
    acted("uthreshold", &[number(0, UNSIGNED)]),
    acted("lthreshold", &[number(0, UNSIGNED)]),
    acted("delay_loop", &[seconds(1, LONGEST)]),
    acted("connect_timeout", &[seconds(1, LONGEST)]),
    acted("retry", &[number(1, UNSIGNED)]),
    acted("delay_before_retry", &[seconds(0, LONGEST)]),
    acted("warmup", &[seconds(0, LONGEST)]),
    acted("inhibit_on_failure", &[OPTIONAL_BOOLEAN]),
    acted("alpha", &[OPTIONAL_BOOLEAN]),
    acted("slow_start", &[seconds(1, LONGEST)]),
    acted("check_path", &[CHECK_PATH]),
    acted("passive_check", &[number(0, 99)]),
    acted("passive_handshake", &[seconds(1, LONGEST)]),
    acted("notify_up", &[SCRIPT]).stops_if_missing(),
    acted("notify_down", &[SCRIPT]).stops_if_missing(),
    acted("smtp_alert", &[OPTIONAL_BOOLEAN]),
    acted("virtualhost", &[NAME]).complains_if_missing(),
    known("snmp_name", &[NAME]).complains_if_missing(),
    acted("TCP_CHECK", &[]).opens(BlockKind::TcpCheck),
    acted("HTTP_GET", &[]).opens(BlockKind::HttpGet),
    acted("SSL_GET", &[]).opens(BlockKind::HttpGet),
    acted("SMTP_CHECK", &[]).opens(BlockKind::SmtpCheck),
    acted("DNS_CHECK", &[]).opens(BlockKind::DnsCheck),
    acted("MISC_CHECK", &[]).opens(BlockKind::MiscCheck),
    acted("BFD_CHECK", &[]).opens(BlockKind::BfdCheck),
    acted("PING_CHECK", &[]).opens(BlockKind::PingCheck),
    acted("UDP_CHECK", &[]).opens(BlockKind::UdpCheck),
    acted("FILE_CHECK", &[]).opens(BlockKind::FileCheck),
];
