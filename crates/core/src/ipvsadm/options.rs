//! Every command and option of ipvsadm in one table: the parser, the rules about which
//! options go together, the messages and the help text are all made from it.

use crate::service::{Protocol, Scheduler};

/// Schedulers that can be named, in the order of the help text. Debian's kernel is built
/// without `twos`, and so its ipvsadm gets "not found" for it.
pub(super) const SCHEDULERS: [Scheduler; 13] = [
    Scheduler::Rr,
    Scheduler::Wrr,
    Scheduler::Lc,
    Scheduler::Wlc,
    Scheduler::Lblc,
    Scheduler::Lblcr,
    Scheduler::Dh,
    Scheduler::Sh,
    Scheduler::Sed,
    Scheduler::Nq,
    Scheduler::Fo,
    Scheduler::Ovf,
    Scheduler::Mh,
];

/// Persistence engines that can be named.
pub(super) const PERSISTENCE_ENGINES: [&str; 1] = ["sip"];

/// Whether an option takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    None,
    Required,
    /// Taken from the same word, or from the next one unless that begins with a dash.
    Optional,
}

/// A command as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandName {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
}

/// An option as messages name it. Several spellings can be one option: `-t` and `-f` both
/// give the service address. The order is the one in which combinations are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OptionName {
    Numeric,
    Connection,
    ServiceAddress,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    ForwardingMethod,
    Weight,
    UpperThreshold,
    LowerThreshold,
    MulticastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConnections,
    NoSort,
    SyncId,
    Exact,
    OnePacket,
    PersistenceEngine,
    SchedulerFlags,
    MulticastGroup,
    MulticastPort,
    MulticastTtl,
    SyncMaxLength,
    TunnelInfo,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
}

/// What a spelling asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Command(CommandName),
    Help,
    Version,
    Service(Protocol),
    FirewallMark,
    Ipv6,
    Masquerading,
    Ipip,
    Gatewaying,
    /// Accepted and without effect: `--sort`.
    Nothing,
    /// What its name in messages says.
    Named,
}

/// The part of the help text in which a spelling is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Commands,
    VirtualService,
    Options,
    DaemonOptions,
    /// Known, but not explained.
    Nowhere,
}

/// One option as it is typed.
#[derive(Debug)]
pub(super) struct Spelling {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) argument: Argument,
    pub(super) meaning: Meaning,
    pub(super) name: Option<OptionName>,
    pub(super) section: Section,
    /// The spelling as the help text shows it.
    pub(super) shown: &'static str,
    /// Its explanation; `{schedulers}` and the like stand for lists and defaults.
    pub(super) explanation: &'static str,
}

const fn command(
    long: &'static str,
    short: Option<char>,
    name: CommandName,
    shown: &'static str,
    explanation: &'static str,
) -> Spelling {
    let argument = match name {
        CommandName::StartDaemon | CommandName::StopDaemon => Argument::Required,
        _ => Argument::None,
    };
    Spelling {
        long,
        short,
        argument,
        meaning: Meaning::Command(name),
        name: None,
        section: Section::Commands,
        shown,
        explanation,
    }
}

const fn service(
    long: &'static str,
    short: Option<char>,
    meaning: Meaning,
    shown: &'static str,
    explanation: &'static str,
) -> Spelling {
    Spelling {
        long,
        short,
        argument: Argument::Required,
        meaning,
        name: Some(OptionName::ServiceAddress),
        section: Section::VirtualService,
        shown,
        explanation,
    }
}

const fn option(
    long: &'static str,
    short: Option<char>,
    argument: Argument,
    name: OptionName,
    shown: &'static str,
    explanation: &'static str,
) -> Spelling {
    Spelling {
        long,
        short,
        argument,
        meaning: Meaning::Named,
        name: Some(name),
        section: Section::Options,
        shown,
        explanation,
    }
}

const fn daemon_option(
    long: &'static str,
    name: OptionName,
    shown: &'static str,
    explanation: &'static str,
) -> Spelling {
    Spelling {
        section: Section::DaemonOptions,
        ..option(long, None, Argument::Required, name, shown, explanation)
    }
}

const fn method(
    long: &'static str,
    short: char,
    meaning: Meaning,
    shown: &'static str,
    explanation: &'static str,
) -> Spelling {
    Spelling {
        meaning,
        ..option(
            long,
            Some(short),
            Argument::None,
            OptionName::ForwardingMethod,
            shown,
            explanation,
        )
    }
}

const NONE: Argument = Argument::None;
const REQUIRED: Argument = Argument::Required;

/// Every spelling, section by section in the order of the help text. Where a long name
/// stands twice, the first one is found.
#[rustfmt::skip]
pub(super) static SPELLINGS: &[Spelling] = &[
    command("add-service", Some('A'), CommandName::AddService,
        "--add-service     -A", "add virtual service with options"),
    command("edit-service", Some('E'), CommandName::EditService,
        "--edit-service    -E", "edit virtual service with options"),
    command("delete-service", Some('D'), CommandName::DeleteService,
        "--delete-service  -D", "delete virtual service"),
    command("clear", Some('C'), CommandName::Flush,
        "--clear           -C", "clear the whole table"),
    command("restore", Some('R'), CommandName::Restore,
        "--restore         -R", "restore rules from stdin"),
    command("save", Some('S'), CommandName::Save,
        "--save            -S", "save rules to stdout"),
    command("add-server", Some('a'), CommandName::AddServer,
        "--add-server      -a", "add real server with options"),
    command("edit-server", Some('e'), CommandName::EditServer,
        "--edit-server     -e", "edit real server with options"),
    command("delete-server", Some('d'), CommandName::DeleteServer,
        "--delete-server   -d", "delete real server"),
    command("list", Some('L'), CommandName::List,
        "--list            -L|-l", "list the table"),
    Spelling {
        section: Section::Nowhere,
        ..command("list", Some('l'), CommandName::List, "-l", "")
    },
    command("zero", Some('Z'), CommandName::Zero,
        "--zero            -Z", "zero counters in a service or all services"),
    command("set", None, CommandName::Set,
        "--set tcp tcpfin udp", "set connection timeout values"),
    command("start-daemon", None, CommandName::StartDaemon,
        "--start-daemon", "start connection sync daemon"),
    command("stop-daemon", None, CommandName::StopDaemon,
        "--stop-daemon", "stop connection sync daemon"),
    Spelling {
        long: "help", short: Some('h'), argument: NONE, meaning: Meaning::Help, name: None,
        section: Section::Commands,
        shown: "--help            -h", explanation: "display this help message",
    },
    Spelling {
        long: "version", short: Some('v'), argument: NONE, meaning: Meaning::Version, name: None,
        section: Section::Nowhere, shown: "--version -v", explanation: "",
    },

    service("tcp-service", Some('t'), Meaning::Service(Protocol::Tcp),
        "--tcp-service|-t  service-address", "service-address is host[:port]"),
    service("udp-service", Some('u'), Meaning::Service(Protocol::Udp),
        "--udp-service|-u  service-address", "service-address is host[:port]"),
    service("sctp-service", None, Meaning::Service(Protocol::Sctp),
        "--sctp-service    service-address", "service-address is host[:port]"),
    service("fwmark-service", Some('f'), Meaning::FirewallMark,
        "--fwmark-service|-f fwmark", "fwmark is an integer greater than zero"),

    Spelling {
        long: "ipv6", short: Some('6'), argument: NONE, meaning: Meaning::Ipv6, name: None,
        section: Section::Options,
        shown: "--ipv6         -6", explanation: "fwmark entry uses IPv6",
    },
    option("scheduler", Some('s'), REQUIRED, OptionName::Scheduler,
        "--scheduler    -s scheduler",
        "one of {schedulers},\nthe default scheduler is {scheduler}."),
    option("pe", None, REQUIRED, OptionName::PersistenceEngine,
        "--pe            engine",
        "alternate persistence engine may be {engines},\nnot set by default."),
    option("persistent", Some('p'), Argument::Optional, OptionName::Persistent,
        "--persistent   -p [timeout]", "persistent service"),
    option("netmask", Some('M'), REQUIRED, OptionName::Netmask,
        "--netmask      -M netmask", "persistent granularity mask"),
    option("real-server", Some('r'), REQUIRED, OptionName::RealServer,
        "--real-server  -r server-address", "server-address is host (and port)"),
    method("gatewaying", 'g', Meaning::Gatewaying,
        "--gatewaying   -g", "gatewaying (direct routing) (default)"),
    method("ipip", 'i', Meaning::Ipip,
        "--ipip         -i", "ipip encapsulation (tunneling)"),
    method("masquerading", 'm', Meaning::Masquerading,
        "--masquerading -m", "masquerading (NAT)"),
    option("tun-type", None, REQUIRED, OptionName::TunnelType,
        "--tun-type      type", "one of ipip|gue|gre,\nthe default tunnel type is ipip."),
    option("tun-port", None, REQUIRED, OptionName::TunnelPort,
        "--tun-port      port", "tunnel destination port"),
    option("tun-nocsum", None, NONE, OptionName::TunnelNoChecksum,
        "--tun-nocsum", "tunnel encapsulation without checksum"),
    option("tun-csum", None, NONE, OptionName::TunnelChecksum,
        "--tun-csum", "tunnel encapsulation with checksum"),
    option("tun-remcsum", None, NONE, OptionName::TunnelRemoteChecksum,
        "--tun-remcsum", "tunnel encapsulation with remote checksum"),
    option("weight", Some('w'), REQUIRED, OptionName::Weight,
        "--weight       -w weight", "capacity of real server"),
    option("u-threshold", Some('x'), REQUIRED, OptionName::UpperThreshold,
        "--u-threshold  -x uthreshold", "upper threshold of connections"),
    option("l-threshold", Some('y'), REQUIRED, OptionName::LowerThreshold,
        "--l-threshold  -y lthreshold", "lower threshold of connections"),
    option("connection", Some('c'), NONE, OptionName::Connection,
        "--connection   -c", "output of current IPVS connections"),
    option("timeout", None, NONE, OptionName::Timeout,
        "--timeout", "output of timeout (tcp tcpfin udp)"),
    option("daemon", None, NONE, OptionName::Daemon,
        "--daemon", "output of daemon information"),
    option("stats", None, NONE, OptionName::Stats,
        "--stats", "output of statistics information"),
    option("rate", None, NONE, OptionName::Rate,
        "--rate", "output of rate information"),
    option("exact", Some('X'), NONE, OptionName::Exact,
        "--exact", "expand numbers (display exact values)"),
    option("thresholds", None, NONE, OptionName::Thresholds,
        "--thresholds", "output of thresholds information"),
    option("persistent-conn", None, NONE, OptionName::PersistentConnections,
        "--persistent-conn", "output of persistent connection info"),
    option("tun-info", None, NONE, OptionName::TunnelInfo,
        "--tun-info", "output of tunnel information"),
    option("nosort", None, NONE, OptionName::NoSort,
        "--nosort", "disable sorting output of service/server entries"),
    Spelling {
        long: "sort", short: None, argument: NONE, meaning: Meaning::Nothing, name: None,
        section: Section::Options,
        shown: "--sort", explanation: "does nothing, for backwards compatibility",
    },
    option("ops", Some('o'), NONE, OptionName::OnePacket,
        "--ops          -o", "one-packet scheduling"),
    option("numeric", Some('n'), NONE, OptionName::Numeric,
        "--numeric      -n", "numeric output of addresses and ports"),
    option("sched-flags", Some('b'), REQUIRED, OptionName::SchedulerFlags,
        "--sched-flags  -b flags", "scheduler flags (comma-separated)"),

    daemon_option("syncid", OptionName::SyncId,
        "--syncid sid", "syncid for connection sync (default=255)"),
    daemon_option("sync-maxlen", OptionName::SyncMaxLength,
        "--sync-maxlen length", "Max sync message length (default=1472)"),
    daemon_option("mcast-interface", OptionName::MulticastInterface,
        "--mcast-interface interface", "multicast interface for connection sync"),
    daemon_option("mcast-group", OptionName::MulticastGroup,
        "--mcast-group address", "IPv4/IPv6 group (default=224.0.0.81)"),
    daemon_option("mcast-port", OptionName::MulticastPort,
        "--mcast-port port", "UDP port (default=8848)"),
    daemon_option("mcast-ttl", OptionName::MulticastTtl,
        "--mcast-ttl ttl", "Multicast TTL (default=1)"),
];

impl OptionName {
    /// Every option, in the order in which combinations are checked.
    pub(super) const ALL: [(OptionName, &'static str); 34] = [
        (OptionName::Numeric, "numeric"),
        (OptionName::Connection, "connection"),
        (OptionName::ServiceAddress, "service-address"),
        (OptionName::Scheduler, "scheduler"),
        (OptionName::Persistent, "persistent"),
        (OptionName::Netmask, "netmask"),
        (OptionName::RealServer, "real-server"),
        (OptionName::ForwardingMethod, "forwarding-method"),
        (OptionName::Weight, "weight"),
        (OptionName::UpperThreshold, "u-threshold"),
        (OptionName::LowerThreshold, "l-threshold"),
        (OptionName::MulticastInterface, "mcast-interface"),
        (OptionName::Timeout, "timeout"),
        (OptionName::Daemon, "daemon"),
        (OptionName::Stats, "stats"),
        (OptionName::Rate, "rate"),
        (OptionName::Thresholds, "thresholds"),
        (OptionName::PersistentConnections, "persistent-conn"),
        (OptionName::NoSort, "nosort"),
        (OptionName::SyncId, "syncid"),
        (OptionName::Exact, "exact"),
        (OptionName::OnePacket, "ops"),
        (OptionName::PersistenceEngine, "pe"),
        (OptionName::SchedulerFlags, "sched-flags"),
        (OptionName::MulticastGroup, "mcast-group"),
        (OptionName::MulticastPort, "mcast-port"),
        (OptionName::MulticastTtl, "mcast-ttl"),
        (OptionName::SyncMaxLength, "sync-maxlen"),
        (OptionName::TunnelInfo, "tun-info"),
        (OptionName::TunnelType, "tun-type"),
        (OptionName::TunnelPort, "tun-port"),
        (OptionName::TunnelNoChecksum, "tun-nocsum"),
        (OptionName::TunnelChecksum, "tun-csum"),
        (OptionName::TunnelRemoteChecksum, "tun-remcsum"),
    ];

    /// The name in messages.
    pub(super) fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_text_shows_the_names_of_every_option() {
        for spelling in SPELLINGS {
            if spelling.section == Section::Nowhere {
                continue;
            }
            let words: Vec<&str> = spelling.shown.split([' ', '|']).collect();
            assert_eq!(words[0], format!("--{}", spelling.long));
            // --exact has its -X in silence, as in the original.
            if let Some(short) = spelling.short.filter(|short| *short != 'X') {
                assert!(
                    words.contains(&format!("-{short}").as_str()),
                    "{spelling:?}"
                );
            }
        }
    }

    #[test]
    fn names_stand_in_the_order_of_the_checks() {
        for (position, (option, _)) in OptionName::ALL.iter().enumerate() {
            assert_eq!(*option as usize, position);
        }
    }

    #[test]
    fn no_spelling_is_there_twice() {
        for (position, spelling) in SPELLINGS.iter().enumerate() {
            for other in &SPELLINGS[position + 1..] {
                assert!(spelling.long != other.long || spelling.long == "list");
                assert!(spelling.short.is_none() || spelling.short != other.short);
            }
        }
    }
}
