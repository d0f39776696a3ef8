//! Real servers that show themselves: containers that say by labels which virtual service they
//! are part of.
//!
//! - [`engine`]: what one container engine has, kept true over lost events and restarts.
//! - [`claim`]: what a container's labels ask for, and whether they may.
//! - [`merge`]: what is found beside what the configuration says.

pub mod claim;
pub mod engine;
pub mod merge;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::service::{ForwardingMethod, ServiceKey};

/// What an engine says of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's own identification.
    pub id: String,
    /// The name that people use.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What tells one run of it from the next: when it was started, in the engine's words.
    pub run: String,
    /// Whether it runs, or is paused.
    pub is_running: bool,
    /// Whether it is paused: it keeps its connections, and answers nobody.
    pub is_paused: bool,
    /// What its health check says, if it has one.
    pub is_healthy: Option<bool>,
    /// Whether it has the network of its host, and so none of its own.
    pub is_on_host_network: bool,
    /// Its addresses, by the names of its networks.
    pub networks: BTreeMap<String, Vec<IpAddr>>,
    /// The signal that asks it to end (signal(7)).
    pub stop_signal: i32,
}

/// A check that a label asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LabelledCheck {
    /// None: the engine's own health check is enough.
    None,
    /// That a connection can be made.
    Tcp,
}

/// A destination that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The virtual service that it is part of.
    pub service: ServiceKey,
    /// Where packets are sent.
    pub address: SocketAddr,
    /// How.
    pub method: ForwardingMethod,
    /// Its weight; 0 while it drains.
    pub weight: u32,
    /// The check that is asked for.
    pub check: LabelledCheck,
}
