//! What the machine wants done, as data.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::State;
use super::receipt::Rejection;
use super::script::ScriptAction;
use crate::config::model::{AddressFlag, Route, Rule};
use crate::notification::Notification;

/// A virtual address with the interface that it lives on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HeldAddress {
    /// Name of the interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix_length: u8,
    /// Its label, for IPv4.
    pub label: Option<String>,
    /// Its scope, a value of rtnetlink(7); 0 is global.
    pub scope: u8,
    /// The broadcast address of its subnet, for IPv4.
    pub broadcast: Option<Ipv4Addr>,
    /// The other end of a point-to-point link.
    #[serde(default)]
    pub peer: Option<IpAddr>,
    /// How long connections from this host may choose it as their source, for IPv6; none for
    /// ever.
    #[serde(default)]
    pub preferred_lifetime: Option<Duration>,
    /// What else the kernel is told of it.
    #[serde(default)]
    pub flags: BTreeSet<AddressFlag>,
    /// Whether it is put back when it vanishes.
    pub restore: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a VRRP packet from an interface: protocol 112.
    Send {
        /// The instance that speaks.
        instance: String,
        /// Name of the interface.
        interface: String,
        /// Source address of the packet, which the checksum of version 3 depends on.
        source: IpAddr,
        /// Where it goes.
        destination: IpAddr,
        /// Its TTL or hop limit.
        hop_limit: u8,
        /// Whether `payload` is a whole IPv4 packet with an authentication header in it
        /// (protocol 51), and not what follows the IP header.
        sealed: bool,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// Put addresses on interfaces; those that are there already are in order.
    AddAddresses {
        /// The instance that holds them.
        instance: String,
        /// What is added.
        addresses: Vec<HeldAddress>,
    },
    /// Take addresses off interfaces; those that are gone already are in order.
    RemoveAddresses {
        /// The instance that does not hold them.
        instance: String,
        /// What is removed.
        addresses: Vec<HeldAddress>,
    },
    /// Put routes and rules in force; those that are there already are in order.
    AddRoutes {
        /// The instance that holds them; none for those that are held whoever is master.
        instance: Option<String>,
        /// Routes that are added.
        routes: Vec<Route>,
        /// Rules that are added.
        rules: Vec<Rule>,
    },
    /// Take routes and rules out of force; those that are gone already are in order.
    RemoveRoutes {
        /// The instance that does not hold them.
        instance: Option<String>,
        /// Routes that are removed.
        routes: Vec<Route>,
        /// Rules that are removed.
        rules: Vec<Rule>,
    },
    /// Tell the neighbours where the addresses live: gratuitous ARP, or unsolicited
    /// neighbour advertisements.
    Announce {
        /// The instance that holds them.
        instance: String,
        /// What is announced.
        addresses: Vec<HeldAddress>,
        /// How often each; rounds go through all the addresses.
        repeat: u32,
    },
    /// An instance has changed its state.
    StateChanged {
        /// Its name.
        instance: String,
        /// The new state.
        state: State,
        /// Its effective priority.
        priority: u8,
    },
    /// A sync group has changed its state.
    GroupStateChanged {
        /// Its name.
        group: String,
        /// The new state.
        state: State,
    },
    /// Do something with a script.
    Script {
        /// Its name.
        name: String,
        /// What is to be done; the end of one that was started is an input.
        action: ScriptAction,
    },
    /// Tell others of a change.
    Notify(Notification),
    /// Something for the log.
    Report(Report),
}

/// Something for the log, in keepalived's words when displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Name of the instance, or of the group for [`Event::GroupSynced`].
    pub name: String,
    /// What has happened.
    pub event: Event,
}

/// What has happened to an instance or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The master was silent for the whole master down interval.
    AdvertisementTimeout,
    /// A state was entered.
    Entering(State),
    /// A state was entered at the start of the instance.
    EnteringAtStart(State),
    /// The process before this one was master until just now; so is this one.
    Resuming,
    /// The addresses are put on the interfaces.
    SettingAddresses,
    /// The addresses are taken off the interfaces.
    RemovingAddresses,
    /// The last advertisement of a master that gives up.
    SentPriorityZero,
    /// The master gave up.
    BackupReceivedPriorityZero,
    /// Another master gave up.
    MasterReceivedPriorityZero,
    /// A backup with a higher priority leaves its timer running.
    LowerPriorityDiscarded {
        /// Priority received.
        priority: u8,
        /// The sender.
        source: IpAddr,
    },
    /// What is tracked has changed the effective priority.
    PriorityChanged {
        /// Before.
        from: u8,
        /// Now.
        to: u8,
    },
    /// A lower priority is master, and stays it for this long.
    PreemptDelayStarted(Duration),
    /// A master that need not be preempted is there again.
    PreemptDelayStopped,
    /// A master has heard another one of lower priority, and answered it.
    LowerPriorityAnswered {
        /// Priority received.
        priority: u8,
        /// The sender.
        source: IpAddr,
        /// The priority of the instance.
        ours: u8,
    },
    /// A master gives way to a higher priority.
    HigherPriority {
        /// Priority received.
        priority: u8,
        /// The sender.
        source: IpAddr,
        /// The priority of the instance.
        ours: u8,
    },
    /// A master gives way to the same priority from a higher address.
    SamePriorityHigherAddress {
        /// Priority received.
        priority: u8,
        /// The sender.
        source: IpAddr,
    },
    /// Another host uses our address.
    OwnAddress,
    /// Another router believes that it owns the addresses.
    SecondOwner,
    /// The advertisement was not taken.
    Rejected(Rejection),
    /// The interval of a version 3 master is not the one known before.
    IntervalLearnt {
        /// Before, in milliseconds.
        from: u128,
        /// Now, in milliseconds.
        to: u128,
    },
    /// An address vanished from its interface while the instance holds it.
    AddressRestored {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// All the members of the group follow one of them.
    GroupSynced(State),
    /// An advertisement of a virtual router that is not configured on the interface, which the
    /// report is named after.
    UnknownRouter(u8),
    /// A master was so late that another one may be there.
    TooLate,
    /// A peer sums its advertisements as keepalived did until 1.3.6; so does this router now.
    OldChecksumLearnt,
    /// It is to speak with peers, and has none.
    LacksPeers,
}

impl Event {
    /// The state that was entered by it, if one was.
    pub fn state(&self) -> Option<State> {
        match self {
            Event::Entering(state) | Event::EnteringAtStart(state) => Some(*state),
            Event::Resuming => Some(State::Master),
            _ => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { name, event } = self;
        if let Event::GroupSynced(state) = event {
            return write!(f, "VRRP_Group({name}) Syncing instances to {state} state");
        }
        if let Event::UnknownRouter(id) = event {
            return write!(
                f,
                "Unknown VRID({id}) received on interface({name}). ignoring..."
            );
        }
        write!(f, "({name}) ")?;
        match event {
            Event::AdvertisementTimeout => f.write_str("Receive advertisement timeout"),
            Event::Entering(state) => write!(f, "Entering {state} STATE"),
            Event::EnteringAtStart(state) => write!(f, "Entering {state} STATE (init)"),
            Event::Resuming => f.write_str("Resuming MASTER STATE"),
            Event::SettingAddresses => f.write_str("setting VIPs."),
            Event::RemovingAddresses => f.write_str("removing VIPs."),
            Event::SentPriorityZero => f.write_str("sent 0 priority"),
            Event::BackupReceivedPriorityZero => {
                f.write_str("Backup received priority 0 advertisement")
            }
            Event::MasterReceivedPriorityZero => f.write_str("Master received priority 0 message"),
            Event::LowerPriorityDiscarded { priority, source } => {
                write!(
                    f,
                    "received lower priority ({priority}) advert from {source} - discarding"
                )
            }
            Event::PriorityChanged { from, to } => {
                write!(f, "Changing effective priority from {from} to {to}")
            }
            Event::PreemptDelayStarted(delay) => {
                let micros = delay.subsec_micros();
                write!(f, "start preempt delay ({}.{micros:06})", delay.as_secs())
            }
            Event::PreemptDelayStopped => f.write_str("stop preempt delay"),
            Event::LowerPriorityAnswered {
                priority,
                source,
                ours,
            } => write!(
                f,
                "Received advert from {source} with lower priority {priority}, ours {ours}, \
                 forcing new election"
            ),
            Event::HigherPriority {
                priority,
                source,
                ours,
            } => write!(
                f,
                "Master received advert from {source} with higher priority {priority}, ours {ours}"
            ),
            Event::SamePriorityHigherAddress { priority, source } => write!(
                f,
                "Master received advert from {source} with same priority {priority} but higher \
                 IP address than ours"
            ),
            Event::OwnAddress => f.write_str(
                "WARNING - equal priority advert received from remote host with our IP address.",
            ),
            Event::SecondOwner => f.write_str(
                "CONFIGURATION ERROR: local instance and a remote instance are both configured \
                 as address owner, please fix - reducing local priority",
            ),
            Event::Rejected(rejection) => write!(f, "{rejection}"),
            Event::IntervalLearnt { from, to } => {
                write!(
                    f,
                    "advertisement interval updated from {from}ms to {to}ms by master"
                )
            }
            Event::AddressRestored { address, interface } => {
                write!(f, "restoring {address}, which was removed from {interface}")
            }
            Event::TooLate => f.write_str("too late for its own advertisement: giving way"),
            Event::OldChecksumLearnt => {
                f.write_str("Setting unicast VRRPv3 checksum to old version")
            }
            Event::LacksPeers => {
                f.write_str("Cannot use unicast without any peers - going to fault state")
            }
            Event::GroupSynced(_) | Event::UnknownRouter(_) => Ok(()),
        }
    }
}
