//! Virtual services and their destinations, as an operator thinks of them.
//!
//! One vocabulary for all that speaks of services: `keepalived.conf`,
//! `ipvsadm`, the control socket and the data plane.

mod sync_daemon;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use sync_daemon::{SyncDaemon, SyncDaemonSettings, SyncRole};

/// A transport protocol that a virtual service can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// Transmission Control Protocol, IP protocol 6.
    Tcp,
    /// User Datagram Protocol, IP protocol 17.
    Udp,
    /// Stream Control Transmission Protocol, IP protocol 132.
    Sctp,
}

impl Protocol {
    /// The number in the IP header's protocol field.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// The protocol of an IP protocol number, if it is one of ours.
    pub const fn from_number(number: u8) -> Option<Protocol> {
        match number {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            132 => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// The address family of a service that has no address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// What identifies a virtual service: an address or a firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceKey {
    /// Protocol, virtual address and virtual port; port 0 takes every port of the address.
    Address {
        /// The transport protocol.
        protocol: Protocol,
        /// VIP and vport.
        address: SocketAddr,
    },
    /// Packets that carry this firewall mark.
    Mark {
        /// The mark, never 0.
        mark: u32,
        /// The family of packets that the service takes.
        family: Family,
    },
}

/// How a packet gets from the director to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ForwardingMethod {
    /// Masquerading: the destination is rewritten, and the source of the answers.
    Nat,
    /// Direct routing (gatewaying): only the next hop is the real server.
    DirectRouting,
    /// The packet travels inside another one to the real server.
    Tunnel(Tunnel),
}

/// The outer headers of the tunnel method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port of the real server.
        port: u16,
        /// What is done about checksums.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation; never with [`TunnelChecksum::Remote`].
    Gre {
        /// What is done about checksums.
        checksum: TunnelChecksum,
    },
}

/// Checksum of an encapsulation header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TunnelChecksum {
    /// None (`--tun-nocsum`).
    #[default]
    None,
    /// Computed (`--tun-csum`).
    Full,
    /// Remote checksum offload (`--tun-remcsum`).
    Remote,
}

/// The algorithm that chooses a destination for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are ipvsadm's own")]
pub enum Scheduler {
    Rr,
    Wrr,
    Lc,
    #[default]
    Wlc,
    Lblc,
    Lblcr,
    Dh,
    Sh,
    Sed,
    Nq,
    Fo,
    Ovf,
    Mh,
    Twos,
}

impl Scheduler {
    /// Every scheduler with the name that ipvsadm and keepalived use for it.
    pub const NAMES: [(Scheduler, &'static str); 14] = [
        (Scheduler::Rr, "rr"),
        (Scheduler::Wrr, "wrr"),
        (Scheduler::Lc, "lc"),
        (Scheduler::Wlc, "wlc"),
        (Scheduler::Lblc, "lblc"),
        (Scheduler::Lblcr, "lblcr"),
        (Scheduler::Dh, "dh"),
        (Scheduler::Sh, "sh"),
        (Scheduler::Sed, "sed"),
        (Scheduler::Nq, "nq"),
        (Scheduler::Fo, "fo"),
        (Scheduler::Ovf, "ovf"),
        (Scheduler::Mh, "mh"),
        (Scheduler::Twos, "twos"),
    ];

    /// The scheduler of that name.
    pub fn from_name(name: &str) -> Option<Scheduler> {
        Self::NAMES
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(s, _)| *s)
    }

    /// The name that ipvsadm and keepalived use.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(s, _)| *s == self)
            .map_or("", |(_, n)| n)
    }
}

/// A client keeps its destination for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Persistence {
    /// How long after its last new connection a client is remembered.
    pub timeout: Duration,
    /// Clients that agree in this many leading address bits are one client: 32 or 128 for each alone.
    pub prefix_length: u8,
    /// IPv4 address bits that tell clients apart where they are not the leading ones, as
    /// `ipvsadm -M 0.0.0.24` allows; it then takes the place of the prefix length.
    #[serde(default)]
    pub scattered_mask: Option<Ipv4Addr>,
}

impl Persistence {
    /// IPv4 persistence in which clients that agree in the bits of `mask` are one client.
    pub fn with_netmask(timeout: Duration, mask: Ipv4Addr) -> Persistence {
        let bits = mask.to_bits();
        let leading = bits.leading_ones();
        let contiguous = bits.count_ones() == leading;
        Persistence {
            timeout,
            prefix_length: leading as u8,
            scattered_mask: (!contiguous).then_some(mask),
        }
    }

    /// The IPv4 netmask; of no meaning for a service that takes IPv6 packets.
    pub fn netmask(&self) -> Ipv4Addr {
        self.scattered_mask.unwrap_or_else(|| {
            let host_bits = 32 - u32::from(self.prefix_length.min(32));
            Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
        })
    }
}

/// What can be changed of a virtual service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceSettings {
    /// How a destination is chosen.
    pub scheduler: Scheduler,
    /// The scheduler's flag 1: `sh-fallback`, `mh-fallback`.
    pub scheduler_flag_1: bool,
    /// The scheduler's flag 2: `sh-port`, `mh-port`.
    pub scheduler_flag_2: bool,
    /// The scheduler's flag 3; no scheduler uses it.
    pub scheduler_flag_3: bool,
    /// Whether a client keeps its destination.
    pub persistence: Option<Persistence>,
    /// The persistence engine, if one is named (`sip`).
    pub persistence_engine: Option<String>,
    /// Every packet is scheduled by itself (UDP).
    pub one_packet: bool,
}

/// What can be changed of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationSettings {
    /// How packets get there.
    pub method: ForwardingMethod,
    /// Share of new connections; 0 takes no new ones (quiescent).
    pub weight: u32,
    /// At this many connections it counts as overloaded; 0: never.
    pub upper_threshold: u32,
    /// Below this many connections it is no longer overloaded; 0: three quarters of the upper one.
    pub lower_threshold: u32,
}

/// Running totals of a service or destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Connections that were scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets from real servers, seen only with NAT.
    pub packets_out: u64,
    /// Bytes from clients, IP headers included.
    pub bytes_in: u64,
    /// Bytes from real servers, IP headers included.
    pub bytes_out: u64,
}

/// How fast the totals of a service or destination grow, averaged over the last seconds
/// (`ip_vs_est.c`: a new sample every 2 seconds, of which a quarter goes into the average).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Connections per second.
    pub connections: u64,
    /// Packets from clients per second.
    pub packets_in: u64,
    /// Packets from real servers per second.
    pub packets_out: u64,
    /// Bytes from clients per second.
    pub bytes_in: u64,
    /// Bytes from real servers per second.
    pub bytes_out: u64,
}

/// Who put a service or destination into the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Origin {
    /// An operator, by `ipvsadm`: stays until an operator takes it away.
    #[default]
    Operator,
    /// The configuration file: goes when the file no longer has it.
    Configuration,
}

/// A destination as it is in the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationState {
    /// RIP and rport.
    pub address: SocketAddr,
    /// Its settings.
    pub settings: DestinationSettings,
    /// Who put it there.
    pub origin: Origin,
    /// Connections in a state that IPVS counts as active.
    pub active: u32,
    /// The other connections.
    pub inactive: u32,
    /// Clients that persistence keeps here.
    pub persistent: u32,
    /// How long it takes for TCP's handshake, smoothed; `None` if none has been seen.
    #[serde(default)]
    pub handshake: Option<Duration>,
    /// Its totals.
    pub statistics: Statistics,
    /// How fast they grow.
    #[serde(default)]
    pub rates: Rates,
}

/// A virtual service as it is in the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// What identifies it.
    pub key: ServiceKey,
    /// Its settings.
    pub settings: ServiceSettings,
    /// Who put it there.
    pub origin: Origin,
    /// Its destinations, in the order in which the scheduler sees them (newest first).
    pub destinations: Vec<DestinationState>,
    /// Its totals.
    pub statistics: Statistics,
    /// How fast they grow.
    #[serde(default)]
    pub rates: Rates,
}

/// How long an idle connection stays, as far as an operator can say (`ipvsadm --set`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// TCP in state ESTABLISHED.
    pub tcp: Duration,
    /// TCP after a FIN, in state FIN_WAIT.
    pub tcp_fin: Duration,
    /// UDP.
    pub udp: Duration,
}

impl Default for Timeouts {
    /// The defaults of `ip_vs_proto_tcp.c` and `ip_vs_proto_udp.c`.
    fn default() -> Self {
        Timeouts {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}

impl Timeouts {
    /// These timeouts with those of `changes` in their place that are not zero.
    pub fn changed_by(self, changes: Timeouts) -> Timeouts {
        let choose = |old, new: Duration| if new.is_zero() { old } else { new };
        Timeouts {
            tcp: choose(self.tcp, changes.tcp),
            tcp_fin: choose(self.tcp_fin, changes.tcp_fin),
            udp: choose(self.udp, changes.udp),
        }
    }
}

/// One change of the table of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are named as the types that they hold")]
pub enum Edit {
    /// A new service without destinations.
    AddService {
        service: ServiceKey,
        settings: ServiceSettings,
    },
    /// New settings for an existing service; its destinations and connections stay.
    EditService {
        service: ServiceKey,
        settings: ServiceSettings,
    },
    /// A service goes, with its destinations; its connections stay until they time out.
    RemoveService { service: ServiceKey },
    /// A new destination.
    AddDestination {
        service: ServiceKey,
        address: SocketAddr,
        settings: DestinationSettings,
    },
    /// New settings for an existing destination.
    EditDestination {
        service: ServiceKey,
        address: SocketAddr,
        settings: DestinationSettings,
    },
    /// A destination goes.
    RemoveDestination {
        service: ServiceKey,
        address: SocketAddr,
    },
    /// All services go.
    Flush,
    /// Totals of one service, or of all, start again from 0.
    Zero { service: Option<ServiceKey> },
    /// Other timeouts; one of zero leaves what is.
    SetTimeouts(Timeouts),
    /// A sync daemon begins.
    StartSyncDaemon(SyncDaemonSettings),
    /// A sync daemon ends.
    StopSyncDaemon { role: SyncRole },
}

/// Why the table of services did not take an edit. The words that a user reads are
/// those of ipvsadm where it has words for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum EditError {
    /// EEXIST for a service.
    #[error("Service already exists")]
    ServiceExists,
    /// ESRCH where a service is named to be changed.
    #[error("No such service")]
    NoSuchService,
    /// ESRCH where a service is named because of its destination.
    #[error("Service not defined")]
    ServiceNotDefined,
    /// EEXIST for a destination.
    #[error("Destination already exists")]
    DestinationExists,
    /// ENOENT for a destination.
    #[error("No such destination")]
    NoSuchDestination,
    /// ENOENT for a scheduler or persistence engine.
    #[error("Scheduler or persistence engine not found")]
    SchedulerNotFound,
    /// EINVAL.
    #[error("Invalid operation.  Possibly wrong module version, address not unicast, ...")]
    Invalid,
    /// ERANGE, thresholds.
    #[error("Numerical result out of range")]
    OutOfRange,
    /// EEXIST for a sync daemon.
    #[error("Daemon has already run")]
    DaemonExists,
    /// ESRCH for a sync daemon.
    #[error("No daemon is running")]
    NoSuchDaemon,
    /// ENODEV, the interface of a sync daemon.
    #[error("No such device")]
    NoSuchDevice,
    /// A table of the data plane is full; which one, and the setting that makes it larger.
    #[error("{table} is full ({capacity} entries)")]
    Full {
        /// The table.
        table: String,
        /// Its size.
        capacity: u32,
    },
    /// The kernel refused a map operation.
    #[error("the data plane cannot be changed: {0}")]
    System(String),
}

/// A connection as `ipvsadm -Lc` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionState {
    /// IP protocol number (0 for a persistence template of a firewall mark).
    pub protocol: u8,
    /// Time until it expires.
    pub expires_in: Duration,
    /// The state's name as IPVS prints it.
    pub state: String,
    /// The client.
    pub client: SocketAddr,
    /// The virtual service.
    pub virtual_address: SocketAddr,
    /// The real server.
    pub destination: SocketAddr,
    /// What a persistence engine keeps with it: the engine's name and its data.
    #[serde(default)]
    pub engine_data: Option<(String, String)>,
}

impl ServiceKey {
    /// The VIP, unless the service is that of a firewall mark.
    pub fn virtual_address(&self) -> Option<SocketAddr> {
        match self {
            ServiceKey::Address { address, .. } => Some(*address),
            ServiceKey::Mark { .. } => None,
        }
    }

    /// The address family of the packets that the service takes.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address { address, .. } => Family::of(address.ip()),
            ServiceKey::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address { protocol, address } => write!(f, "{protocol} {address}"),
            ServiceKey::Mark {
                mark,
                family: Family::Inet,
            } => write!(f, "FWM {mark}"),
            ServiceKey::Mark {
                mark,
                family: Family::Inet6,
            } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

impl Family {
    /// The bits of an address.
    pub fn address_bits(self) -> u8 {
        match self {
            Family::Inet => 32,
            Family::Inet6 => 128,
        }
    }

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Inet,
            IpAddr::V6(_) => Family::Inet6,
        }
    }

    /// The wildcard address of the family.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Family::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::Inet6 => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        }
    }
}
