//! How far announcements are apart, so that no switch or neighbour drops them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The gaps on all interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pacing {
    /// `vrrp_garp_interval`, `vrrp_gna_interval`: on every interface that is in no group.
    pub usual: Gaps,
    /// `garp_group` blocks, in the order of the file.
    pub groups: Vec<PacedTogether>,
}

/// `garp_group`: interfaces that share their gaps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacedTogether {
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
    /// The gaps.
    pub gaps: Gaps,
}

/// Least times from one announcement to the next; zero for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gaps {
    /// Between gratuitous ARPs.
    pub gratuitous_arp: Duration,
    /// Between unsolicited neighbour advertisements.
    pub neighbour_advertisement: Duration,
}

impl Gaps {
    /// The one for a family.
    pub fn of(self, ipv6: bool) -> Duration {
        match ipv6 {
            false => self.gratuitous_arp,
            true => self.neighbour_advertisement,
        }
    }
}
