//! What concerns all virtual routers together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What concerns all virtual routers together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouterSettings {
    /// `log_unknown_vrids`: advertisements of virtual routers that are not configured are logged.
    pub logs_unknown: bool,
    /// `fifo_write_vrrp_states_on_reload`: the pipes are told of every state when the file has
    /// been read again.
    pub tells_states_on_reload: bool,
    /// `disable_local_igmp`: the kernel reports no membership in groups of 224.0.0.0/24.
    pub no_local_reports: bool,
    /// `interface_up_down_delays`.
    pub link_delays: Vec<LinkDelay>,
}

/// How long the link of an interface has to be up, or down, before that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDelay {
    /// Its name.
    pub interface: String,
    /// Time that it has to be down.
    pub down: Duration,
    /// Time that it has to be up.
    pub up: Duration,
}
