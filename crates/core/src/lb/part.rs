//! What part a real server has in its service, beside being up or down: drained by an
//! operator, or coming back bit by bit.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::model::{RealServer, VirtualServer};
use crate::service::ServiceKey;

/// In how many steps a slow start comes to the whole weight.
pub const STEPS: u32 = 20;

/// What part a real server has in its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// None: it is down.
    Down,
    /// It keeps the connections that it has, and gets no others.
    Draining,
    /// None any more: the time to drain is over, and it is taken out.
    Out,
    /// It serves.
    Serving {
        /// With this weight.
        weight: u32,
        /// Of which it gets so many of [`STEPS`] parts, at least one.
        steps: u32,
    },
}

/// Real servers that an operator means: by their address, in every service, or by address and
/// port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RealServerPattern {
    address: IpAddr,
    port: Option<u16>,
}

impl RealServerPattern {
    /// Whether the real server is one of them.
    pub fn matches(&self, real_server: &SocketAddr) -> bool {
        self.address == real_server.ip() && self.port.is_none_or(|port| port == real_server.port())
    }
}

impl FromStr for RealServerPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<RealServerPattern, String> {
        if let Ok(address) = text.parse() {
            let port = None;
            return Ok(RealServerPattern { address, port });
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(RealServerPattern {
                address: address.ip(),
                port: Some(address.port()),
            }),
            Err(_) => Err(
                "this is neither the address of a real server, like 192.0.2.7, nor one \
                 with its port, like 192.0.2.7:80 or [2001:db8::7]:80"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for RealServerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// Which real servers drain, and which come back bit by bit.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    drained: BTreeMap<RealServerPattern, Drain>,
    rising: BTreeMap<(ServiceKey, SocketAddr), Rise>,
}

#[derive(Debug, Clone, Copy)]
struct Drain {
    deadline: Option<Instant>,
    is_over: bool,
}

/// The way back of a real server.
#[derive(Debug, Clone, Copy)]
struct Rise {
    begun: Instant,
    whole: Duration,
    /// How many of its [`STEPS`] are done.
    steps: u32,
}

impl Parts {
    /// Lets real servers have no more new connections, and takes them out at `deadline`.
    pub fn drain(&mut self, which: RealServerPattern, deadline: Option<Instant>) {
        let drain = Drain {
            deadline,
            is_over: false,
        };
        self.drained.insert(which, drain);
    }

    /// Lets them serve again. Whether they were drained.
    pub fn undrain(&mut self, which: &RealServerPattern) -> bool {
        self.drained.remove(which).is_some()
    }

    /// Who is drained, and whether the time for it is over.
    pub fn drained(&self) -> impl Iterator<Item = (&RealServerPattern, bool)> {
        self.drained
            .iter()
            .map(|(which, drain)| (which, drain.is_over))
    }

    /// A real server has come up.
    pub fn came_up(&mut self, now: Instant, service: ServiceKey, real: &RealServer) {
        if !real.slow_start.is_zero() {
            let rise = Rise {
                begun: now,
                whole: real.slow_start,
                steps: 0,
            };
            self.rising.insert((service, real.address), rise);
        }
    }

    /// A real server has gone down.
    pub fn went_down(&mut self, service: ServiceKey, real_server: SocketAddr) {
        self.rising.remove(&(service, real_server));
    }

    /// Whether a real server has another part than all of its weight.
    pub fn concern(&self, service: ServiceKey, real_server: SocketAddr) -> bool {
        self.rising.contains_key(&(service, real_server))
            || self.drained.keys().any(|which| which.matches(&real_server))
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let steps = self.rising.values().map(Rise::next);
        let deadlines = self.drained.values().filter(|drain| !drain.is_over);
        steps
            .chain(deadlines.filter_map(|drain| drain.deadline))
            .min()
    }

    /// Time has come to `now`: the parts of those that [`Self::concern`] may be others.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.rising.retain(|_, rise| {
            rise.steps = rise.steps_at(now);
            rise.steps < STEPS
        });
        for drain in self.drained.values_mut() {
            drain.is_over = drain.deadline.is_some_and(|at| at <= now);
        }
    }

    /// The part of `real` in `server`, where it is up with `weight`, or down.
    pub fn of(&self, server: &VirtualServer, real: &RealServer, weight: Option<u32>) -> Part {
        let Some(weight) = weight else {
            return Part::Down;
        };
        let mut drained = self.drained.iter();
        match drained.find(|(which, _)| which.matches(&real.address)) {
            Some((_, drain)) if drain.is_over => Part::Out,
            Some(_) => Part::Draining,
            None => {
                let rise = self.rising.get(&(server.key, real.address));
                let steps = rise.map_or(STEPS, |rise| rise.steps.max(1));
                Part::Serving { weight, steps }
            }
        }
    }
}

impl Rise {
    fn step(&self) -> Duration {
        (self.whole / STEPS).max(Duration::from_nanos(1))
    }

    fn steps_at(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.begun).as_nanos();
        u32::try_from(passed / self.step().as_nanos())
            .unwrap_or(STEPS)
            .min(STEPS)
    }

    fn next(&self) -> Instant {
        self.begun + self.step() * (self.steps + 1)
    }
}

/// What the weights of a service are multiplied by whose real servers have these parts: while
/// one of them has but a part of its weight, so much that there are [`STEPS`] of it, since a
/// weight of 1 has no parts.
pub(super) fn scale(parts: impl Iterator<Item = Part> + Clone) -> u32 {
    /// keepalived's and the kernel's largest weight.
    const LARGEST: u32 = i32::MAX as u32;
    let serving = |part| match part {
        Part::Serving { weight, steps } => Some((weight, steps)),
        _ => None,
    };
    let rising = parts
        .clone()
        .filter_map(serving)
        .filter(|(weight, steps)| *steps < STEPS && *weight > 0);
    let wanted = rising.map(|(weight, _)| STEPS.div_ceil(weight)).max();
    let largest = parts.filter_map(serving).map(|(weight, _)| weight).max();
    wanted
        .unwrap_or(1)
        .min(LARGEST / largest.unwrap_or(1).max(1))
        .max(1)
}

/// The weight for the data plane, of a service that is scaled so.
pub(super) fn share(weight: u32, steps: u32, scale: u32) -> u32 {
    if weight == 0 {
        return 0;
    }
    let whole = u64::from(weight) * u64::from(scale);
    let share = whole * u64::from(steps) / u64::from(STEPS);
    u32::try_from(share.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
