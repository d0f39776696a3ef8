//! What a configuration file means, with every default filled in and every unit typed.

mod check;
mod director;
mod global;
mod group;
mod hmac;
mod netfilter;
mod pacing;
mod process;
mod routers;
mod routing;
mod tracking;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::check::{
    Check, CheckPath, Connection, DnsProbe, FileMeaning, FileProbe, HttpProbe, HttpVersion,
    MiscProbe, Probe, RECORD_TYPES, Regex, RegexOptions, Timing, Tls, UdpProbe, UdpReply, Url,
};
pub use self::director::{
    AwaitedScript, BusyFile, ClientCertificate, DumpFiles, FlushOnStop, JsonVersion, Reloading,
};
pub use self::global::{ForwardingNamespace, Global};
pub use self::group::{GroupMember, ServiceGroup, destination_of};
pub use self::hmac::{TrailerAuthentication, TrailerKey, TrailerMode};
pub use self::netfilter::Nftables;
pub use self::pacing::{Gaps, PacedTogether, Pacing};
pub use self::process::{AutomaticPriority, OwnSettings, ProcessSettings};
pub use self::routers::{LinkDelay, RouterSettings};
pub use self::routing::{
    Encapsulation, Envelope, Insertion, MetricValue, NextHop, Prefix, Realms, Route, RouteKind,
    RouteMetric, RoutingTable, Rule, RuleAction, Statics,
};
pub use self::tracking::{
    BfdInstance, InitialContent, ParameterMatch, Tracked, TrackedFile, TrackedProcess,
    TrackedScript, Tracker, Trackers,
};
use crate::service::{DestinationSettings, ServiceKey, ServiceSettings};

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// `global_defs`.
    pub global: Global,
    /// `vrrp_sync_group` blocks, in the order of the file.
    pub sync_groups: Vec<SyncGroup>,
    /// `vrrp_instance` blocks, in the order of the file.
    pub instances: Vec<VrrpInstance>,
    /// What is held whoever is master.
    pub statics: Statics,
    /// What instances track, besides interfaces.
    pub trackers: Trackers,
    /// How far announcements on interfaces are apart.
    pub pacing: Pacing,
    /// `SSL`: who the director is to servers that are asked over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// `virtual_server` blocks, in the order of the file.
    pub virtual_servers: Vec<VirtualServer>,
}

/// VRRP instances that change state together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// The group's name.
    pub name: String,
    /// Names of its instances.
    pub members: Vec<String>,
    /// `sync_group_tracking_weight`: what has a weight counts for its members too.
    pub weights: bool,
    /// Whether changes of state are mailed.
    pub smtp_alert: bool,
    /// What is run when it changes its state.
    pub notify: NotifyScripts,
}

/// The state that the file asks an instance to begin in; the protocol decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum InitialState {
    /// `state MASTER`.
    Master,
    /// `state BACKUP`.
    #[default]
    Backup,
}

/// Version of the protocol on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum VrrpVersion {
    /// RFC 3768.
    #[default]
    V2,
    /// RFC 9568.
    V3,
}

/// What the checksum of version 3 over IPv4 covers, in advertisements to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum UnicastChecksum {
    /// The addresses of the packet; or what [`UnicastChecksum::OfGroup`] is, once a peer has been
    /// heard that does so.
    #[default]
    Learnt,
    /// The group in the place of the peer, as keepalived had it until 1.3.6.
    OfGroup,
    /// The addresses of the packet, whatever a peer does.
    OfPacket,
}

/// How advertisements are authenticated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// `auth_type PASS`: eight octets, padded with zeros, in the clear.
    Password([u8; 8]),
    /// `auth_type AH`: the key of an IPsec authentication header.
    Header([u8; 8]),
}

impl std::fmt::Debug for Authentication {
    // A password is in no log and no dump.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Authentication::Password(_) => "Password(redacted)",
            Authentication::Header(_) => "Header(redacted)",
        })
    }
}

/// An address that follows a VRRP instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length; 32 or 128 unless the file says otherwise.
    pub prefix_length: u8,
    /// The interface, where it is not that of the instance.
    pub interface: Option<String>,
    /// The label, for IPv4.
    pub label: Option<String>,
    /// How far the address is valid, a value of rtnetlink(7): 0 is global, 253 link, 254
    /// host. The kernel takes it for IPv4 only.
    pub scope: u8,
    /// The broadcast address of its subnet, for IPv4.
    pub broadcast: Option<Ipv4Addr>,
    /// `peer`: the other end of a point-to-point link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// `preferred_lft`, for IPv6: how long connections from this host may choose the address
    /// as their source; none for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_lifetime: Option<Duration>,
    /// What else the kernel is told of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<AddressFlag>,
    /// `no_track` makes it false: an address that vanishes is not put back.
    pub restore: bool,
    /// `use_vmac`, `use_vmac_addr`: the device with a virtual MAC address that it lives on,
    /// above its interface, where that is not the device of its instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_mac: Option<VirtualMac>,
}

/// A flag of an address, `IFA_F_…` in the kernel's `if_addr.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressFlag {
    /// The home address of a mobile node (RFC 6275), for IPv6.
    Home,
    /// Duplicate address detection is done, which virtual addresses go without.
    DuplicateDetection,
    /// Temporary addresses are made beside it (RFC 8981), for IPv6.
    ManageTemporary,
    /// It brings no route to its subnet.
    NoPrefixRoute,
    /// The groups of its multicast address are joined.
    JoinGroups,
}

impl AddressFlag {
    /// All of them.
    pub const ALL: [AddressFlag; 5] = [
        AddressFlag::Home,
        AddressFlag::DuplicateDetection,
        AddressFlag::ManageTemporary,
        AddressFlag::NoPrefixRoute,
        AddressFlag::JoinGroups,
    ];

    /// How ip-address(8) and keepalived.conf(5) write it.
    pub fn keyword(self) -> &'static str {
        match self {
            AddressFlag::Home => "home",
            AddressFlag::DuplicateDetection => "-nodad",
            AddressFlag::ManageTemporary => "mngtmpaddr",
            AddressFlag::NoPrefixRoute => "noprefixroute",
            AddressFlag::JoinGroups => "autojoin",
        }
    }
}

impl VirtualAddress {
    /// An address as a line with nothing else makes it.
    pub fn new(address: IpAddr, prefix_length: u8) -> VirtualAddress {
        VirtualAddress {
            peer: None,
            preferred_lifetime: VirtualAddress::usual_lifetime(address, prefix_length),
            flags: BTreeSet::new(),
            address,
            prefix_length,
            interface: None,
            label: None,
            scope: 0,
            broadcast: None,
            restore: true,
            virtual_mac: None,
        }
    }

    /// The preferred lifetime where the file says nothing: an IPv6 address without a subnet is
    /// deprecated from the beginning, so that no connection from this host, a check for
    /// instance, has it as its source.
    pub fn usual_lifetime(address: IpAddr, prefix_length: u8) -> Option<Duration> {
        (address.is_ipv6() && prefix_length == 128).then_some(Duration::ZERO)
    }
}

/// A router that advertisements are exchanged with by unicast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnicastPeer {
    /// Its address.
    pub address: IpAddr,
    /// The least TTL or hop limit that its advertisements may arrive with.
    pub least_hop_limit: u8,
    /// The most.
    pub most_hop_limit: u8,
}

/// Whom a script runs as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScriptUser {
    /// Login name, or a number.
    pub name: String,
    /// Group, where it is not the user's own.
    pub group: Option<String>,
}

/// A program that is run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Script {
    /// The program and its arguments; at least one.
    pub command: Vec<String>,
    /// Whom it runs as, where somebody is named.
    pub user: Option<ScriptUser>,
}

/// What is run when an instance or a sync group changes its state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifyScripts {
    /// `notify_master`.
    pub master: Option<Script>,
    /// `notify_backup`.
    pub backup: Option<Script>,
    /// `notify_fault`.
    pub fault: Option<Script>,
    /// `notify_stop`: everything ends.
    pub stop: Option<Script>,
    /// `notify_deleted`: the instance is not in the file any more. There may be the keyword
    /// without a script.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub deleted: Option<Option<Script>>,
    /// `notify_master_rx_lower_pri`: a master has heard one of lower priority.
    pub lower_priority: Option<Script>,
    /// `notify`: whatever the state; it is told which.
    pub any: Option<Script>,
}

/// A value that may be null where it is there at all, which is not the same.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A named pipe that events are written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyFifo {
    /// Where it is; it is made where it is not.
    pub path: String,
    /// Whom it belongs to when it is made.
    pub user: Option<ScriptUser>,
    /// Its reader: a program that is started with the path as its last argument.
    pub reader: Option<Script>,
}

/// When neighbours are told where the addresses are (`garp_*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcements {
    /// `garp_master_delay`: from the first burst of a new master to its second; zero for
    /// no second one.
    pub delay: Duration,
    /// `garp_master_repeat`: announcements of each address in a burst.
    pub repeat: u32,
    /// `garp_master_refresh`: time between announcements of a master that stays master;
    /// zero for none.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`: announcements of each address in a refresh.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_delay`: from the burst after an advertisement of lower priority to
    /// the next; zero for no next one.
    pub lower_priority_delay: Duration,
    /// `garp_lower_prio_repeat`: announcements of each address in such a burst.
    pub lower_priority_repeat: u32,
    /// `garp_extra_if`: time between announcements of addresses on other interfaces than that
    /// of their instance; zero for none.
    pub elsewhere: Duration,
    /// Whether these are announced too where their device has no virtual MAC address.
    pub elsewhere_all: bool,
}

impl Default for Announcements {
    fn default() -> Announcements {
        Announcements {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_delay: Duration::from_secs(5),
            lower_priority_repeat: 5,
            elsewhere: Duration::ZERO,
            elsewhere_all: false,
        }
    }
}

/// A hardware address that goes with the role, and the device that has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VirtualMac {
    /// Name of the device, on the interface of the instance; the virtual addresses live on it.
    pub interface: String,
    /// The address.
    pub address: [u8; 6],
    /// `vmac_xmit_base`: advertisements are sent with the interface's own address.
    pub transmit_on_base: bool,
}

/// A device that shares the hardware address of the instance's interface (ipvlan in mode L2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ipvlan {
    /// Name of the device, on the interface of the instance; the virtual addresses live on it,
    /// and its advertisements go and come by it.
    pub interface: String,
    /// Its own address with the length of its prefix. Without one it has its link-local one
    /// alone.
    pub address: Option<(IpAddr, u8)>,
    /// What it has to do with other such devices on the same interface.
    pub neighbourhood: IpvlanNeighbourhood,
}

/// How ipvlan devices on one interface reach each other (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpvlanNeighbourhood {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// By a switch that sends frames back where they came from.
    Vepa,
}

impl IpvlanNeighbourhood {
    /// As keepalived.conf says it.
    pub fn word(self) -> &'static str {
        match self {
            IpvlanNeighbourhood::Bridge => "bridge",
            IpvlanNeighbourhood::Private => "private",
            IpvlanNeighbourhood::Vepa => "vepa",
        }
    }
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpInstance {
    /// Its name in this file.
    pub name: String,
    /// The state that the file asks for.
    pub initial_state: InitialState,
    /// The interface on which it speaks.
    pub interface: String,
    /// `use_vmac`: it has a hardware address of its own.
    pub virtual_mac: Option<VirtualMac>,
    /// `use_ipvlan`: it has a device of its own all the same. Not with a virtual MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipvlan: Option<Ipvlan>,
    /// VRID, 1 to 255.
    pub virtual_router_id: u8,
    /// Priority, 1 to 255.
    pub priority: u8,
    /// Time between two advertisements of the master.
    pub advertisement_interval: Duration,
    /// Version on the wire.
    pub version: VrrpVersion,
    /// Authentication, version 2 only.
    pub authentication: Option<Authentication>,
    /// `auth_hmac`: authentication of either version, by a trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailer: Option<TrailerAuthentication>,
    /// The addresses that it advertises and holds as master.
    pub virtual_addresses: Vec<VirtualAddress>,
    /// Whether a higher priority takes over from a lower one that is master.
    pub preempt: bool,
    /// Time that a lower priority stays master after it was first heard.
    pub preempt_delay: Duration,
    /// Routes that it holds as master.
    pub routes: Vec<Route>,
    /// Rules that it holds as master.
    pub rules: Vec<Rule>,
    /// Addresses that it holds as master and does not advertise, of any family.
    pub excluded_addresses: Vec<VirtualAddress>,
    /// The address that advertisements come from, where it is not the interface's own.
    pub source: Option<IpAddr>,
    /// With any, advertisements go to these and not to the group.
    pub unicast_peers: Vec<UnicastPeer>,
    /// The group that advertisements go to, where it is not the usual one.
    pub multicast_group: Option<IpAddr>,
    /// `unicast_fault_no_peer`: it is to speak with peers, and has none, so that it is in fault.
    pub lacks_peers: bool,
    /// `old_unicast_checksum`: what advertisements to peers are summed with.
    pub unicast_checksum: UnicastChecksum,
    /// `unicast_ttl`: TTL or hop limit of advertisements to peers.
    pub unicast_hop_limit: u8,
    /// `track_src_ip`: it is in fault while this host does not have its source address.
    pub track_source: bool,
    /// Whether packets to the virtual addresses are accepted by a master that does not own
    /// them.
    pub accept: bool,
    /// `strict_mode`: only what the RFC has. What follows from it is in the other fields.
    pub strict: bool,
    /// `promote_secondaries`: addresses stay on its interface when the first of their subnet
    /// goes.
    pub promote_secondaries: bool,
    /// Whether a unicast advertisement has to come from one of the peers.
    pub check_unicast_source: bool,
    /// When neighbours are told where the addresses are.
    pub announcements: Announcements,
    /// Intervals without an advertisement after which the master counts as gone.
    pub down_timer_advertisements: u32,
    /// `timer_expired_backup`: a master that is so late that a router of this priority may have
    /// taken over becomes a backup.
    pub yields_when_late: Option<u8>,
    /// Whether a master answers a lower priority by an advertisement at once.
    pub answer_lower_priority: bool,
    /// Whether a master sends one more advertisement before it gives way.
    pub advertise_before_yielding: bool,
    /// Whether the addresses in an advertisement are only compared with ours when it is
    /// from another router than the one before.
    pub trust_known_master: bool,
    /// Whether the checksum of version 3 over IPv4 is sent as RFC 9568 has it, over the message
    /// alone, and not as RFC 5798 and keepalived, over a pseudo-header as well.
    pub sums_message_alone: bool,
    /// `owner_ignore_adverts`: as the owner of the addresses it listens to nobody.
    pub deaf_as_owner: bool,
    /// Whether the instance is in fault while its own interface is down.
    pub track_primary: bool,
    /// What it tracks, with what its sync group tracks.
    pub tracked: Vec<Tracked>,
    /// Whether changes of state are mailed.
    pub smtp_alert: bool,
    /// What is run when it changes its state.
    pub notify: NotifyScripts,
    /// `notify_priority_changes`: they are written to the pipes of events.
    pub notify_priority_changes: bool,
}

impl VrrpInstance {
    /// An instance without addresses, with the defaults of keepalived.conf(5).
    pub fn new(name: &str, interface: &str, virtual_router_id: u8) -> VrrpInstance {
        VrrpInstance {
            name: name.to_owned(),
            initial_state: InitialState::Backup,
            interface: interface.to_owned(),
            virtual_mac: None,
            ipvlan: None,
            virtual_router_id,
            priority: 100,
            advertisement_interval: Duration::from_secs(1),
            version: VrrpVersion::V2,
            authentication: None,
            trailer: None,
            virtual_addresses: Vec::new(),
            preempt: true,
            preempt_delay: Duration::ZERO,
            routes: Vec::new(),
            rules: Vec::new(),
            excluded_addresses: Vec::new(),
            source: None,
            unicast_peers: Vec::new(),
            multicast_group: None,
            lacks_peers: false,
            unicast_checksum: UnicastChecksum::default(),
            unicast_hop_limit: 255,
            track_source: false,
            accept: true,
            strict: false,
            promote_secondaries: false,
            check_unicast_source: false,
            announcements: Announcements::default(),
            down_timer_advertisements: 3,
            yields_when_late: None,
            answer_lower_priority: true,
            advertise_before_yielding: false,
            trust_known_master: false,
            sums_message_alone: false,
            deaf_as_owner: false,
            track_primary: true,
            tracked: Vec::new(),
            smtp_alert: false,
            notify: NotifyScripts::default(),
            notify_priority_changes: false,
        }
    }
}

/// `virtual_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// What identifies it; of a group, its first service.
    pub key: ServiceKey,
    /// `virtual_server group`: the services that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ServiceGroup>,
    /// What the data plane needs to know of it.
    pub settings: ServiceSettings,
    /// Its real servers, in the order of the file.
    pub real_servers: Vec<RealServer>,
    /// `quorum`: the weight that is up must be this much, with [`Self::hysteresis`].
    pub quorum: u32,
    /// `hysteresis`: how far from the quorum the weight must be for a change.
    pub hysteresis: u32,
    /// `sorry_server`: who serves without a quorum.
    pub sorry_server: Option<SorryServer>,
    /// `quorum_up`: run when the quorum is there.
    pub quorum_up: Option<Script>,
    /// `quorum_down`: run when it is lost.
    pub quorum_down: Option<Script>,
    /// Whether it is mailed that the quorum is there, or lost.
    pub smtp_alert: bool,
    /// `omega`: at the end, real servers and quorums count as lost.
    pub omega: bool,
    /// `ha_suspend`: its checks rest while none of its addresses is held here.
    pub ha_suspend: bool,
}

/// `sorry_server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Its address and port.
    pub address: SocketAddr,
    /// Method and weight while it serves.
    pub settings: DestinationSettings,
    /// `sorry_server_inhibit`: while it does not serve it is there with weight 0.
    pub inhibit: bool,
}

/// `real_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// RIP and rport.
    pub address: SocketAddr,
    /// Method and weight.
    pub settings: DestinationSettings,
    /// `inhibit_on_failure`: while it is down it is there with weight 0.
    pub inhibit_on_failure: bool,
    /// Whether it is mailed that it comes up or goes down.
    pub smtp_alert: bool,
    /// `notify_up`: run when it comes up.
    pub notify_up: Option<Script>,
    /// `notify_down`: run when it goes down.
    pub notify_down: Option<Script>,
    /// `slow_start`: a real server that has come back gets its weight bit by bit over this
    /// time.
    pub slow_start: Duration,
    /// `passive_check`: the part of its clients' connections, in percent, that may fail before
    /// its weight is lowered; without it, all.
    pub passive_check: Option<u8>,
    /// `passive_handshake`: how long the handshake of its clients' connections may take before
    /// its weight is lowered; without it, as long as it likes.
    pub passive_handshake: Option<Duration>,
    /// Its health checks; without any it counts as up.
    pub checks: Vec<Check>,
}
