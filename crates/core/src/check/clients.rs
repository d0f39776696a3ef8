//! What clients meet at real servers, seen from the table of connections (`passive_check`).
//!
//! No check sees everything: a real server can answer its checks, and lose or refuse the
//! connections of clients. Where more of these fail than the configuration allows, the real
//! server's weight is lowered to the share that succeeds; where they wait longer for their
//! handshake than it allows (`passive_handshake`), to the part that the allowed time is of
//! that. It is never lowered to 0: with nobody there, nothing would show that the real server
//! is well again.

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

/// What clients have met at a real server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encounter {
    /// How their connections have ended, as totals since some time.
    pub endings: Endings,
    /// How long TCP's handshake takes now; `None` if none has been seen.
    pub handshake: Option<Duration>,
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
    /// How long a handshake takes, in [`coarse`] steps.
    handshake: Duration,
}

impl Clients {
    /// Takes in what clients have met. At which real servers that has changed.
    pub(super) fn observe(
        &mut self,
        encounters: impl Iterator<Item = (SocketAddr, Encounter)>,
    ) -> BTreeSet<SocketAddr> {
        let mut before = std::mem::take(&mut self.0);
        let mut changed = BTreeSet::new();
        for (place, now) in encounters {
            let earlier = before.remove(&place).unwrap_or_default();
            let observed = earlier.and(&now);
            if observed.failing != earlier.failing || observed.handshake != earlier.handshake {
                changed.insert(place);
            }
            self.0.insert(place, observed);
        }
        // Of those that are gone nothing is known any more.
        let gone = before
            .into_iter()
            .filter(|(_, observed)| observed.failing != 0 || !observed.handshake.is_zero());
        changed.extend(gone.map(|(place, _)| place));
        changed
    }

    /// The weight of a real server that has `weight` otherwise.
    pub(super) fn weigh(&self, service: &ServiceKey, real: &RealServer, weight: u32) -> u32 {
        let Some(observed) = self.0.get(&place_of(service, real)) else {
            return weight;
        };
        let failing = match real.passive_check {
            Some(percent) if observed.failing > u32::from(percent) * 10 => observed.failing,
            _ => 0,
        };
        let lowered = u128::from(weight) * u128::from(1000 - failing) / 1000;
        let lowered = match real.passive_handshake {
            Some(limit) if observed.handshake > limit => {
                lowered * limit.as_nanos() / observed.handshake.as_nanos()
            }
            _ => lowered,
        };
        // No more than the weight, which fits.
        (lowered as u32).max(weight.min(1))
    }
}

impl Observed {
    /// With what has been seen since.
    fn and(self, now: &Encounter) -> Observed {
        let handshake = coarse(now.handshake.unwrap_or_default());
        let (ended, judged) = (now.endings, self.judged);
        // Totals begin anew with a real server that comes back.
        let since = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        let failed = since(ended.unanswered, judged.unanswered) + since(ended.reset, judged.reset);
        let all = failed + since(ended.completed, judged.completed);
        if all < FEWEST {
            return Observed { handshake, ..self };
        }
        Observed {
            judged: ended,
            failing: (failed * 1000 / all) as u32,
            handshake,
        }
    }
}

/// A time in steps of a sixteenth to an eighth of it: a weight does not follow every stir.
fn coarse(time: Duration) -> Duration {
    let microseconds = time.as_micros() as u64;
    let digits = u64::BITS - microseconds.leading_zeros();
    let step = digits.saturating_sub(4);
    Duration::from_micros(microseconds >> step << step)
}

/// Where a real server takes the packets of a service.
pub(super) fn place_of(service: &ServiceKey, real: &RealServer) -> SocketAddr {
    destination_of(service, real.address, real.settings.method).unwrap_or(real.address)
}
