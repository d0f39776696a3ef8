//! What clients meet at real servers, seen from the table of connections (`passive_check`).
//!
//! No check sees everything: a real server can answer its checks, and lose or refuse the
//! connections of clients. Where more of these fail than the configuration allows, the real
//! server's weight is lowered to the share that succeeds. It is never lowered to 0: with
//! nobody there, nothing would show that the real server is well again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::model::{RealServer, destination_of};
use crate::service::ServiceKey;

/// How often endings are looked at.
pub const OBSERVED: Duration = Duration::from_secs(10);
/// Fewer connections say nothing: they are added to those of the next look.
const FEWEST: u64 = 10;

/// How TCP connections of a real server have ended.
///
/// By NAT both ways are seen, by direct routing and tunnels what clients send: a client that
/// has got an answer says so with its next packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endings {
    /// They came about, and ended in order or were left.
    pub completed: u64,
    /// Attempts that came to nothing: no answer, or one that the client did not confirm.
    pub unanswered: u64,
    /// Reset, by either side.
    pub reset: u64,
}

/// What was seen at each real server, by where it takes packets.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(BTreeMap<SocketAddr, Observed>);

#[derive(Debug, Clone, Copy, Default)]
struct Observed {
    /// The totals at the last look that had enough to say.
    judged: Endings,
    /// Of a thousand connections, how many failed then.
    failing: u32,
}

impl Clients {
    /// Takes in new totals. At which real servers the share of failures has changed.
    pub(super) fn observe(
        &mut self,
        endings: impl Iterator<Item = (SocketAddr, Endings)>,
    ) -> BTreeSet<SocketAddr> {
        let mut before = std::mem::take(&mut self.0);
        let mut changed = BTreeSet::new();
        for (place, now) in endings {
            let mut observed = before.remove(&place).unwrap_or_default();
            // Totals begin anew with a real server that comes back.
            let since = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
            let judged = observed.judged;
            let failed = since(now.unanswered, judged.unanswered) + since(now.reset, judged.reset);
            let all = failed + since(now.completed, judged.completed);
            if all >= FEWEST {
                let failing = (failed * 1000 / all) as u32;
                if failing != observed.failing {
                    changed.insert(place);
                }
                observed = Observed {
                    judged: now,
                    failing,
                };
            }
            self.0.insert(place, observed);
        }
        // Of those that are gone nothing is known any more.
        let gone = before
            .into_iter()
            .filter(|(_, observed)| observed.failing != 0);
        changed.extend(gone.map(|(place, _)| place));
        changed
    }

    /// The weight of a real server that has `weight` otherwise.
    pub(super) fn weigh(&self, service: &ServiceKey, real: &RealServer, weight: u32) -> u32 {
        let Some(percent) = real.passive_check else {
            return weight;
        };
        let observed = self.0.get(&place_of(service, real));
        let failing = observed.map_or(0, |observed| observed.failing);
        if weight == 0 || failing <= u32::from(percent) * 10 {
            return weight;
        }
        let share = u64::from(weight) * u64::from(1000 - failing) / 1000;
        (share as u32).max(1)
    }
}

/// Where a real server takes the packets of a service.
pub(super) fn place_of(service: &ServiceKey, real: &RealServer) -> SocketAddr {
    destination_of(service, real.address, real.settings.method).unwrap_or(real.address)
}
