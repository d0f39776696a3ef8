//! Blocks of VRRP: instances, sync groups, and what they track.

use super::Argument::{Address, Choice, Optional, Rest, Secret, Word};
use super::{
    BlockKind, INTERFACE, Keyword, LONGEST, MOST_SECONDS, OPTIONAL_BOOLEAN, PATH, SCRIPT, UNSIGNED,
    acted, idle, missing, number, seconds, whole_seconds,
};

const COUNT: super::Argument = number(0, UNSIGNED);
const SECONDS: super::Argument = whole_seconds(0, MOST_SECONDS / 1_000_000);

/// Of sizes of the kernel's queues.
pub(super) const QUEUES: &str =
    "queues are as large as they are to be, and after a loss everything is read anew";

/// `track_group`.
pub(super) const TRACK_GROUP: &[Keyword] = &[acted("group", &[]).list()];

/// `vrrp_script`.
pub(super) const SCRIPT_BLOCK: &[Keyword] = &[
    acted("script", &[Rest("a command")]),
    acted("interval", &[seconds(0, LONGEST)]),
    acted("timeout", &[seconds(0, LONGEST)]),
    acted(
        "weight",
        &[number(-253, 253), Optional(&Choice(&["reverse"]))],
    ),
    acted("rise", &[number(1, i32::MAX as i64)]),
    acted("fall", &[number(1, i32::MAX as i64)]),
    acted("user", &[Word("a user"), Optional(&Word("a group"))]),
    acted("init_fail", &[]),
];

/// `track_file`.
pub(super) const TRACK_FILE: &[Keyword] = &[
    acted("file", &[PATH]).complains_if_missing(),
    acted(
        "weight",
        &[number(-254, 254), Optional(&Choice(&["reverse"]))],
    )
    .complains_if_missing(),
    acted("init_file", &[Rest("[VALUE] [overwrite]")]),
];

/// `vrrp_track_process`.
pub(super) const TRACK_PROCESS: &[Keyword] = &[
    acted("process", &[Rest("COMMAND [arguments]")]).stops_if_missing(),
    acted("param_match", &[Optional(&Choice(&["initial", "partial"]))]),
    acted(
        "weight",
        &[number(-254, 254), Optional(&Choice(&["reverse"]))],
    )
    .complains_if_missing(),
    acted("quorum", &[number(1, 65535)]),
    acted("quorum_max", &[number(0, 65535)]),
    acted("delay", &[seconds(0, LONGEST)]),
    acted("terminate_delay", &[seconds(0, LONGEST)]),
    acted("fork_delay", &[seconds(0, LONGEST)]),
    acted("full_command", &[]),
];

/// `garp_group`.
pub(super) const GARP_GROUP: &[Keyword] = &[
    acted("garp_interval", &[seconds(0, LONGEST)]),
    acted("gna_interval", &[seconds(0, LONGEST)]),
    acted("interface", &[INTERFACE]),
    acted("interfaces", &[]).list(),
];

/// `vrrp_sync_group`.
pub(super) const SYNC_GROUP: &[Keyword] = &[
    acted("group", &[]).list(),
    acted("track_interface", &[]).list(),
    acted("track_script", &[]).list(),
    acted("track_file", &[]).list(),
    acted("track_process", &[]).list(),
    acted("track_bfd", &[]).list(),
    acted("notify", &[SCRIPT]).stops_if_missing(),
    acted("notify_master", &[SCRIPT]).stops_if_missing(),
    acted("notify_backup", &[SCRIPT]).stops_if_missing(),
    acted("notify_fault", &[SCRIPT]).stops_if_missing(),
    acted("notify_stop", &[SCRIPT]).stops_if_missing(),
    acted("notify_priority_changes", &[OPTIONAL_BOOLEAN]),
    acted("smtp_alert", &[OPTIONAL_BOOLEAN]),
    acted("global_tracking", &[]),
    acted("sync_group_tracking_weight", &[]),
];

/// `vrrp_instance`.
pub(super) const INSTANCE: &[Keyword] = &[
    acted("state", &[Choice(&["MASTER", "BACKUP"])]),
    acted("interface", &[INTERFACE]),
    acted("virtual_router_id", &[number(1, 255)]),
    acted("priority", &[number(1, 255)]),
    acted("advert_int", &[seconds(10_000, 255_000_000)]),
    acted("version", &[number(2, 3)]),
    acted("authentication", &[]).opens(BlockKind::Authentication),
    acted("auth_hmac", &[]).opens(BlockKind::AuthenticationHmac),
    acted("virtual_ipaddress", &[]).list(),
    acted("virtual_ipaddress_excluded", &[]).list(),
    acted("no_virtual_ipaddress", &[]),
    acted("virtual_routes", &[]).list(),
    acted("virtual_rules", &[]).list(),
    acted("preempt", &[]),
    acted("nopreempt", &[]),
    acted("preempt_delay", &[seconds(0, 1_000_000_000)]),
    acted("smtp_alert", &[OPTIONAL_BOOLEAN]),
    idle(
        "debug",
        &[number(0, 4)],
        "keepalived does nothing about it either",
    ),
    missing(
        "lvs_sync_daemon_interface",
        &[INTERFACE],
        "connections are not synchronised with the other director",
    )
    .use_instead("lvs_sync_daemon in global_defs"),
    acted("use_vmac", &[Rest("[NAME] [MAC] …")]),
    acted("use_vmac_addr", &[]),
    acted("vmac_xmit_base", &[]),
    acted("use_ipvlan", &[Rest("[NAME] [ADDRESS] …")]),
    acted("native_ipv6", &[]),
    acted("vrf", &[INTERFACE]),
    acted("dont_track_primary", &[]),
    acted("track_interface", &[]).list(),
    acted("track_script", &[]).list(),
    acted("track_file", &[]).list(),
    acted("track_process", &[]).list(),
    acted("track_bfd", &[]).list(),
    acted("mcast_src_ip", &[Address]),
    acted("unicast_src_ip", &[Address]),
    acted("mcast_dst_ip", &[Address]),
    acted("unicast_peer", &[]).list(),
    acted("unicast_fault_no_peer", &[]),
    acted("unicast_ttl", &[number(0, 255)]),
    acted("check_unicast_src", &[]),
    acted("old_unicast_checksum", &[Optional(&Choice(&["never"]))]),
    acted("track_src_ip", &[]),
    acted("promote_secondaries", &[]),
    idle(
        "linkbeat_use_polling",
        &[],
        "the kernel says when a link goes or comes, so that nothing is polled",
    ),
    acted("v3_checksum_as_v2", &[OPTIONAL_BOOLEAN]),
    acted("accept", &[]),
    acted("no_accept", &[]),
    acted("skip_check_adv_addr", &[OPTIONAL_BOOLEAN]),
    acted("strict_mode", &[OPTIONAL_BOOLEAN]),
    acted("notify", &[SCRIPT]).stops_if_missing(),
    acted("notify_master", &[SCRIPT]).stops_if_missing(),
    acted("notify_backup", &[SCRIPT]).stops_if_missing(),
    acted("notify_fault", &[SCRIPT]).stops_if_missing(),
    acted("notify_stop", &[SCRIPT]).stops_if_missing(),
    acted("notify_deleted", &[SCRIPT]),
    acted("notify_master_rx_lower_pri", &[SCRIPT]).stops_if_missing(),
    acted("notify_priority_changes", &[OPTIONAL_BOOLEAN]),
    acted("garp_master_delay", &[SECONDS]),
    acted("garp_master_repeat", &[COUNT]),
    acted("garp_master_refresh", &[SECONDS]),
    acted("garp_master_refresh_repeat", &[COUNT]),
    acted("garp_lower_prio_delay", &[SECONDS]),
    acted("garp_lower_prio_repeat", &[COUNT]),
    acted("garp_extra_if", &[Rest("[all] SECONDS")]),
    acted("vmac_garp_intvl", &[Rest("[all] SECONDS")]).use_instead("garp_extra_if"),
    acted("down_timer_adverts", &[number(1, 100)]),
    acted("timer_expired_backup", &[Optional(&number(1, 254))]),
    acted("thread_timer_expired", &[Optional(&number(1, 254))]).use_instead("timer_expired_backup"),
    acted("lower_prio_no_advert", &[OPTIONAL_BOOLEAN]),
    acted("higher_prio_send_advert", &[OPTIONAL_BOOLEAN]),
    acted("owner_ignore_adverts", &[OPTIONAL_BOOLEAN]),
    idle("kernel_rx_buf_size", &[COUNT], QUEUES).complains_if_missing(),
];

/// `authentication`.
pub(super) const AUTHENTICATION: &[Keyword] = &[
    acted("auth_type", &[Choice(&["PASS", "AH"])]),
    acted("auth_pass", &[Secret("a password")]),
];

/// `auth_hmac`.
pub(super) const AUTHENTICATION_HMAC: &[Keyword] = &[
    acted("key", &[number(1, 255), Secret("a key")]),
    acted("active_key", &[number(1, 255)]),
    acted("time_window", &[whole_seconds(1, 300)]),
    acted("anti_replay", &[Choice(&["time", "monotonic"])]),
    acted(
        "mode",
        &[Choice(&["enforce", "permissive", "receive-only"])],
    ),
];
