//! What a configuration file means, with every default filled in and every unit typed.

mod check;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::check::{
    Check, Connection, DnsProbe, HttpProbe, HttpVersion, Probe, RECORD_TYPES, Regex, RegexOptions,
    Timing, Tls, UdpProbe, UdpReply, Url,
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
    /// `virtual_server` blocks, in the order of the file.
    pub virtual_servers: Vec<VirtualServer>,
}

/// `global_defs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Global {
    /// Name of this director in mails and logs.
    pub router_id: Option<String>,
    /// Who gets mail.
    pub notification_email: Vec<String>,
    /// Whom mail is from.
    pub notification_email_from: Option<String>,
    /// The mail server as written, with its port.
    pub smtp_server: Option<(String, u16)>,
    /// How long a mail connection may take to be made.
    pub smtp_connect_timeout: Option<Duration>,
}

/// VRRP instances that change state together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// The group's name.
    pub name: String,
    /// Names of its instances.
    pub members: Vec<String>,
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

/// How advertisements are authenticated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// `auth_type PASS`: eight octets, padded with zeros, in the clear.
    Password([u8; 8]),
}

impl std::fmt::Debug for Authentication {
    // A password is in no log and no dump.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(redacted)")
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
    /// The addresses that it advertises and holds as master.
    pub virtual_addresses: Vec<VirtualAddress>,
    /// Whether a higher priority takes over from a lower one that is master.
    pub preempt: bool,
    /// Whether changes of state are mailed.
    pub smtp_alert: bool,
}

/// `virtual_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// What identifies it.
    pub key: ServiceKey,
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
    /// Its health checks; without any it counts as up.
    pub checks: Vec<Check>,
}
