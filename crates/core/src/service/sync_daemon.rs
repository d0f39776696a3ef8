//! The daemons by which directors tell each other of their connections.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Which side of connection synchronisation a director plays; it can play both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncRole {
    /// Tells others of its connections.
    Master,
    /// Learns the connections of others.
    Backup,
}

impl SyncRole {
    /// Every role with the name that ipvsadm and keepalived use for it, the master first.
    pub const NAMES: [(SyncRole, &'static str); 2] =
        [(SyncRole::Master, "master"), (SyncRole::Backup, "backup")];

    /// The name that ipvsadm and keepalived use.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(role, _)| *role == self);
        named.map_or("", |(_, name)| name)
    }
}

/// What an operator asks of a sync daemon; what is `None` is the daemon's own choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemonSettings {
    /// The side that it plays.
    pub role: SyncRole,
    /// Interface of the messages.
    pub interface: String,
    /// Directors that synchronise carry the same id; 0 as a backup listens to any.
    pub sync_id: u8,
    /// Bytes of payload in a message.
    pub max_length: Option<u16>,
    /// Multicast group.
    pub group: Option<IpAddr>,
    /// UDP port.
    pub port: Option<u16>,
    /// Time to live, or hop limit.
    pub ttl: Option<u8>,
}

/// A sync daemon as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// The side that it plays.
    pub role: SyncRole,
    /// Interface of the messages.
    pub interface: String,
    /// Id of the directors that synchronise.
    pub sync_id: u8,
    /// Bytes of payload in a message.
    pub max_length: u16,
    /// Multicast group.
    pub group: IpAddr,
    /// UDP port.
    pub port: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
}

impl SyncDaemonSettings {
    /// The daemon that these settings make, with the defaults of `start_sync_thread`
    /// (`ip_vs_sync.c`): 224.0.0.81, port 8848, TTL 1, and messages of the size of an
    /// Ethernet frame, or as a backup of the interface's MTU, `interface_mtu` in bytes.
    pub fn resolve(&self, interface_mtu: u32) -> SyncDaemon {
        let group = self
            .group
            .unwrap_or(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81)));
        let headers = match group {
            IpAddr::V4(_) => 20 + 8,
            IpAddr::V6(_) => 40 + 8,
        };
        let (mtu, least) = match self.role {
            SyncRole::Master => (1500, 1),
            SyncRole::Backup => (interface_mtu.clamp(1500, 65535) as u16, 1024),
        };
        SyncDaemon {
            role: self.role,
            interface: self.interface.clone(),
            sync_id: self.sync_id,
            max_length: match self.max_length {
                Some(length) => length.clamp(least, u16::MAX - headers),
                None => mtu - headers,
            },
            group,
            port: self.port.unwrap_or(8848),
            ttl: self.ttl.unwrap_or(1),
        }
    }
}
