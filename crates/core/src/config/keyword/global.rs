//! Outside of every block, `global_defs` and `bfd_instance`.

use super::Argument::{Address, Boolean, Choice, Optional, Rest, Word};
use super::{
    BlockKind, INTERFACE, Keyword, LONGEST, MOST_SECONDS, NAME, OPTIONAL_BOOLEAN, PATH, SCRIPT,
    UNSIGNED, acted, dropped, idle, known, missing, number, seconds, whole_seconds,
};

/// Of `linkbeat_…`.
const LINKS: &str = "the kernel says when a link goes or comes, so that nothing is polled";

/// Outside of every block.
pub(super) const OUTERMOST: &[Keyword] = &[
    acted("global_defs", &[]).opens(BlockKind::GlobalDefs),
    acted("vrrp_instance", &[NAME])
        .opens(BlockKind::Instance)
        .takes_no_other_words(),
    acted("vrrp_sync_group", &[NAME])
        .opens(BlockKind::SyncGroup)
        .takes_no_other_words(),
    acted(
        "virtual_server",
        &[
            Word("an address, fwmark or group"),
            Optional(&Word("a port, mark or name")),
        ],
    )
    .opens(BlockKind::VirtualServer),
    acted("virtual_server_group", &[NAME]).list(),
    acted("vrrp_script", &[NAME]).opens(BlockKind::Script),
    acted("track_file", &[NAME]).opens(BlockKind::TrackFile),
    acted("vrrp_track_file", &[NAME])
        .opens(BlockKind::TrackFile)
        .now_called("track_file"),
    acted("vrrp_track_process", &[NAME]).opens(BlockKind::TrackProcess),
    acted("bfd_instance", &[NAME]).opens(BlockKind::Bfd),
    acted("garp_group", &[]).opens(BlockKind::GarpGroup),
    acted("SSL", &[]).opens(BlockKind::Ssl),
    acted("track_group", &[NAME]).opens(BlockKind::TrackGroup),
    acted("static_ipaddress", &[]).list(),
    acted("static_routes", &[]).list(),
    acted("static_rules", &[]).list(),
    idle("linkbeat_interfaces", &[], LINKS).list(),
    acted("interface_up_down_delays", &[]).list(),
    acted("net_namespace", &[NAME]),
    acted("net_namespace_ipvs", &[Optional(&NAME)]),
    idle(
        "namespace_with_ipsets",
        &[],
        "sets are those of nft, which every namespace has",
    ),
    acted("instance", &[Optional(&NAME)]),
    idle(
        "use_pid_dir",
        &[],
        "the pid file is in a folder of the instance under /run/elver",
    ),
    idle("linkbeat_use_polling", &[], LINKS),
    acted(
        "child_wait_time",
        &[whole_seconds(0, MOST_SECONDS / 1_000_000)],
    ),
];

const NICE: super::Argument = number(-20, 19);
const REALTIME: super::Argument = number(0, 99);
const MICROSECONDS: super::Argument = number(1, UNSIGNED);
const BYTES: super::Argument = number(0, UNSIGNED);
const COUNT: super::Argument = number(0, UNSIGNED);
const SECONDS: super::Argument = whole_seconds(0, MOST_SECONDS / 1_000_000);
const WITH_VRRP: &str = "BFD is done in the vrrp process, which has a name";
/// Of `nftables_ipvs…`.
const GROUPS: &str =
    "the services of a group share all that costs something, without a mark and rules of netfilter";
const QUEUES: &str = super::vrrp::QUEUES;
const CPUS: super::Argument = Rest("CPU …");

/// `global_defs`.
pub(super) const GLOBAL_DEFS: &[Keyword] = &[
    acted("router_id", &[NAME]).complains_if_missing(),
    dropped(
        "lvs_id",
        "keepalived has dropped it",
        "write `router_id` with the same name",
    ),
    acted("notification_email", &[]).list(),
    acted("notification_email_from", &[Rest("an address")]).complains_if_missing(),
    acted(
        "smtp_server",
        &[Word("a host"), Optional(&Word("a port or service"))],
    ),
    acted("smtp_helo_name", &[NAME]).ignored_if_missing(),
    acted("smtp_connect_timeout", &[SECONDS]),
    acted("smtp_alert", &[OPTIONAL_BOOLEAN]),
    acted("smtp_alert_vrrp", &[OPTIONAL_BOOLEAN]),
    acted("smtp_alert_checker", &[OPTIONAL_BOOLEAN]),
    acted("no_email_faults", &[]),
    acted("no_checker_emails", &[OPTIONAL_BOOLEAN]),
    acted("checker_log_all_failures", &[OPTIONAL_BOOLEAN]),
    acted("vrrp_version", &[number(2, 3)]),
    acted("vrrp_mcast_group4", &[Address]),
    acted("vrrp_mcast_group6", &[Address]),
    acted("default_interface", &[INTERFACE]).complains_if_missing(),
    missing(
        "lvs_sync_daemon",
        &[INTERFACE, Rest("INSTANCE and options")],
        "connections are not synchronised with the other director",
    )
    .complains_if_missing(),
    acted("lvs_timeouts", &[Rest("[tcp S] [tcpfin S] [udp S]")]),
    acted("lvs_flush", &[]),
    acted("lvs_flush_on_stop", &[Optional(&Choice(&["VS"]))]),
    acted("lvs_flush_onstop", &[Optional(&Choice(&["VS"]))]).now_called("lvs_flush_on_stop"),
    acted("vrrp_garp_master_delay", &[SECONDS]),
    acted("vrrp_garp_master_repeat", &[COUNT]),
    acted("vrrp_garp_master_refresh", &[SECONDS]),
    acted("vrrp_garp_master_refresh_repeat", &[COUNT]),
    acted("vrrp_garp_lower_prio_delay", &[SECONDS]),
    acted("vrrp_garp_lower_prio_repeat", &[COUNT]),
    acted("vrrp_garp_interval", &[seconds(1, LONGEST)]),
    acted("vrrp_gna_interval", &[seconds(1, LONGEST)]),
    acted("vrrp_min_garp", &[OPTIONAL_BOOLEAN]),
    acted("vrrp_garp_extra_if", &[Rest("[all] SECONDS")]),
    acted("vrrp_vmac_garp_intvl", &[Rest("[all] SECONDS")]).use_instead("vrrp_garp_extra_if"),
    acted("vrrp_down_timer_adverts", &[number(1, 100)]),
    acted("vrrp_lower_prio_no_advert", &[OPTIONAL_BOOLEAN]),
    acted("vrrp_higher_prio_send_advert", &[OPTIONAL_BOOLEAN]),
    acted("vrrp_owner_ignore_adverts", &[OPTIONAL_BOOLEAN]),
    acted("v3_checksum_as_v2", &[OPTIONAL_BOOLEAN]),
    idle(
        "vrrp_iptables",
        &[Rest("[IN [OUT]]")],
        "rules are made by nft, in a table of their own",
    ),
    idle(
        "vrrp_ipsets",
        &[Rest("names")],
        "rules are made by nft, in a table of their own",
    ),
    acted("nftables", &[Optional(&Word("a table"))]),
    acted(
        "nftables_priority",
        &[number(i32::MIN as i64, i32::MAX as i64)],
    ),
    acted("nftables_counters", &[]),
    idle(
        "nftables_ifindex",
        &[],
        "rules name interfaces, and hold for one that is made anew",
    ),
    idle("nftables_ipvs", &[Optional(&Word("a table"))], GROUPS),
    idle(
        "nftables_ipvs_priority",
        &[number(i32::MIN as i64, i32::MAX as i64)],
        GROUPS,
    ),
    idle("nftables_ipvs_start_fwmark", &[number(1, UNSIGNED)], GROUPS),
    acted("disable_local_igmp", &[]),
    acted("vrrp_check_unicast_src", &[]),
    acted("vrrp_skip_check_adv_addr", &[OPTIONAL_BOOLEAN]),
    acted("vrrp_strict", &[OPTIONAL_BOOLEAN]),
    acted("vrrp_priority", &[NICE]).complains_if_missing(),
    acted("checker_priority", &[NICE]).complains_if_missing(),
    acted("bfd_priority", &[NICE]).complains_if_missing(),
    acted("vrrp_no_swap", &[]),
    acted("checker_no_swap", &[]),
    acted("bfd_no_swap", &[]),
    acted("vrrp_rt_priority", &[REALTIME]).complains_if_missing(),
    acted("checker_rt_priority", &[REALTIME]).complains_if_missing(),
    acted("bfd_rt_priority", &[REALTIME]).complains_if_missing(),
    acted("vrrp_cpu_affinity", &[CPUS]).complains_if_missing(),
    acted("checker_cpu_affinity", &[CPUS]).complains_if_missing(),
    acted("bfd_cpu_affinity", &[CPUS]).complains_if_missing(),
    acted("vrrp_rlimit_rttime", &[MICROSECONDS]),
    acted("checker_rlimit_rttime", &[MICROSECONDS]),
    acted("bfd_rlimit_rttime", &[MICROSECONDS]),
    acted("vrrp_rlimit_rtime", &[MICROSECONDS]).now_called("vrrp_rlimit_rttime"),
    acted("checker_rlimit_rtime", &[MICROSECONDS]).now_called("checker_rlimit_rttime"),
    acted("bfd_rlimit_rtime", &[MICROSECONDS]).now_called("bfd_rlimit_rttime"),
    acted("max_auto_priority", &[Optional(&number(-1, 99))]),
    acted("min_auto_priority_delay", &[number(1, 10_000_000)]).complains_if_missing(),
    acted("process_names", &[]),
    acted("process_name", &[NAME]),
    acted("vrrp_process_name", &[NAME]),
    acted("checker_process_name", &[NAME]),
    acted("lvs_process_name", &[NAME]).now_called("checker_process_name"),
    idle("bfd_process_name", &[Optional(&NAME)], WITH_VRRP),
    idle(
        "use_symlink_paths",
        &[OPTIONAL_BOOLEAN],
        "a script is told the name that the file gives it, and its target is what is looked at",
    ),
    acted("set_supplementary_groups", &[OPTIONAL_BOOLEAN]),
    acted("startup_script", &[SCRIPT]).complains_if_missing(),
    acted("startup_script_timeout", &[whole_seconds(1, 1000)]).complains_if_missing(),
    acted("shutdown_script", &[SCRIPT]).complains_if_missing(),
    acted("shutdown_script_timeout", &[whole_seconds(1, 1000)]).complains_if_missing(),
    acted("script_user", &[Word("a user"), Optional(&Word("a group"))]).complains_if_missing(),
    acted("enable_script_security", &[]),
    acted("notify_fifo", &[Rest("PATH [USER [GROUP]]")]).complains_if_missing(),
    acted("notify_fifo_script", &[SCRIPT]).complains_if_missing(),
    acted("vrrp_notify_fifo", &[Rest("PATH [USER [GROUP]]")]).complains_if_missing(),
    acted("vrrp_notify_fifo_script", &[SCRIPT]).complains_if_missing(),
    acted("vrrp_notify_priority_changes", &[OPTIONAL_BOOLEAN]),
    acted("fifo_write_vrrp_states_on_reload", &[]),
    acted("lvs_notify_fifo", &[Rest("PATH [USER [GROUP]]")]).complains_if_missing(),
    acted("lvs_notify_fifo_script", &[SCRIPT]).complains_if_missing(),
    known("snmp_socket", &[Optional(&Word("a socket"))]),
    known("enable_traps", &[]),
    known("enable_snmp_vrrp", &[]),
    known("enable_snmp_keepalived", &[]).now_called("enable_snmp_vrrp"),
    known("enable_snmp_checker", &[]),
    known("enable_snmp_rfc", &[]),
    known("enable_snmp_rfcv2", &[]),
    known("enable_snmp_rfcv3", &[]),
    known(
        "snmp_vs_stats_update_interval",
        &[seconds(1_000, 30_000_000)],
    ),
    known(
        "snmp_rs_stats_update_interval",
        &[seconds(1_000, 30_000_000)],
    ),
    known("enable_dbus", &[]),
    known("dbus_service_name", &[NAME]).complains_if_missing(),
    known("dbus_no_interface_name", &[NAME]),
    idle("vrrp_netlink_cmd_rcv_bufs", &[BYTES], QUEUES).complains_if_missing(),
    idle(
        "vrrp_netlink_cmd_rcv_bufs_force",
        &[OPTIONAL_BOOLEAN],
        QUEUES,
    ),
    idle("vrrp_netlink_monitor_rcv_bufs", &[BYTES], QUEUES).complains_if_missing(),
    idle(
        "vrrp_netlink_monitor_rcv_bufs_force",
        &[OPTIONAL_BOOLEAN],
        QUEUES,
    ),
    idle("lvs_netlink_cmd_rcv_bufs", &[BYTES], QUEUES).complains_if_missing(),
    idle(
        "lvs_netlink_cmd_rcv_bufs_force",
        &[OPTIONAL_BOOLEAN],
        QUEUES,
    ),
    idle("lvs_netlink_monitor_rcv_bufs", &[BYTES], QUEUES).complains_if_missing(),
    idle(
        "lvs_netlink_monitor_rcv_bufs_force",
        &[OPTIONAL_BOOLEAN],
        QUEUES,
    ),
    idle("process_monitor_rcv_bufs", &[BYTES], QUEUES).complains_if_missing(),
    idle(
        "process_monitor_rcv_bufs_force",
        &[OPTIONAL_BOOLEAN],
        QUEUES,
    ),
    idle(
        "vrrp_rx_bufs_policy",
        &[Rest("MTU, ADVERT or a size")],
        QUEUES,
    )
    .complains_if_missing(),
    idle("vrrp_rx_bufs_multiplier", &[number(1, UNSIGNED)], QUEUES).complains_if_missing(),
    acted("rs_init_notifies", &[OPTIONAL_BOOLEAN]),
    acted(
        "dynamic_interfaces",
        &[Optional(&Choice(&["allow_if_changes"]))],
    ),
    acted("log_unknown_vrids", &[]),
    acted("vmac_prefix", &[NAME]),
    acted("vmac_addr_prefix", &[NAME]),
    acted("umask", &[Rest("a number or names of bits")]).stops_if_missing(),
    acted("vrrp_startup_delay", &[seconds(1_000, LONGEST)]),
    acted("vrrp_delay_after_boot", &[seconds(1_000, LONGEST)]),
    acted("random_seed", &[number(0, UNSIGNED)]),
    idle(
        "reload_check_config",
        &[Optional(&PATH)],
        "a file with errors changes nothing in any case, and the log says why",
    ),
    acted("reload_time_file", &[Optional(&PATH)]),
    acted("reload_repeat", &[]),
    acted("reload_file", &[Optional(&PATH)]),
    acted(
        "include_check",
        &[Rest("[+-][readable match wildcard_match brace_match]")],
    ),
    idle(
        "tmp_config_directory",
        &[PATH],
        "no copy of the files is made",
    )
    .complains_if_missing(),
    acted("config_save_dir", &[PATH]),
    acted("data_use_instance", &[OPTIONAL_BOOLEAN]),
    acted("state_dump_file", &[PATH]),
    acted("stats_dump_file", &[PATH]),
    acted("json_dump_file", &[PATH]),
    acted("json_version", &[number(1, 2)]).complains_if_missing(),
    acted("iproute_usr_dir", &[PATH]),
    acted("iproute_etc_dir", &[PATH]),
];

/// Microseconds: from a millisecond to what keepalived keeps in an unsigned int.
const SHORT: super::Argument = super::Argument::Milliseconds {
    least: 1_000,
    most: UNSIGNED as u64 / 1_000 * 1_000,
};
/// The same, from a second up.
const IDLE: super::Argument = super::Argument::Milliseconds {
    least: 1_000_000,
    most: UNSIGNED as u64 / 1_000 * 1_000,
};

/// `bfd_instance`.
pub(super) const BFD: &[Keyword] = &[
    acted("neighbor_ip", &[Address]),
    acted("neighbour_ip", &[Address]),
    acted("source_ip", &[Address]),
    acted("min_rx", &[SHORT]),
    acted("min_tx", &[SHORT]),
    acted("idle_tx", &[IDLE]),
    acted("multiplier", &[number(1, 255)]),
    acted("passive", &[]),
    acted("ttl", &[number(1, 255)]),
    acted("hoplimit", &[number(1, 255)]),
    acted("max_hops", &[number(-1, 255)]),
    acted("multihop", &[Optional(&Boolean)]),
    acted(
        "weight",
        &[
            number(-253, 253),
            Optional(&Choice(&["reverse", "noreverse"])),
        ],
    ),
    acted("vrrp", &[]),
    acted("checker", &[]),
];
