//! How rules of netfilter are made.

use serde::{Deserialize, Serialize};

/// `nftables` and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nftables {
    /// `nftables`: name of the tables, one for each family.
    pub table: String,
    /// `nftables_priority`: place of the chains among others, a priority of nft(8).
    pub priority: i32,
    /// `nftables_counters`: rules count what they drop.
    pub counters: bool,
}

impl Default for Nftables {
    fn default() -> Nftables {
        Nftables {
            table: "keepalived".to_owned(),
            priority: -1,
            counters: false,
        }
    }
}
