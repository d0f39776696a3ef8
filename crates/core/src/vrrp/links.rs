//! When the link of an interface counts as up or down (`interface_up_down_delays`).

use std::time::Instant;

use super::addressing::hears_on;
use super::routers::{InterfaceCondition, VirtualRouters, tracks};
use crate::config::model::Tracker;

/// A link that is not any more what it counts as.
#[derive(Debug)]
pub(super) struct Bouncing {
    /// When it counts, unless it returns before.
    counts_at: Instant,
    condition: InterfaceCondition,
}

impl VirtualRouters {
    /// An interface is in another condition, or has gone. A link that was seen up before counts
    /// as down, and then as up, only after the delay that is configured for it.
    pub(super) fn interface_is(
        &mut self,
        now: Instant,
        interface: String,
        condition: Option<InterfaceCondition>,
    ) {
        let bounced = self.bouncing.remove(&interface);
        let (Some(known), Some(condition)) = (self.interfaces.get(&interface), &condition) else {
            return self.interface_changed(now, interface, condition);
        };
        if known.up == condition.up {
            return self.interface_changed(now, interface, Some(condition.clone()));
        }
        let delays = self.settings.link_delays.iter();
        let delay = delays
            .filter(|delay| delay.interface == interface)
            .map(|delay| if condition.up { delay.up } else { delay.down })
            .find(|delay| !delay.is_zero());
        let Some(delay) = delay.filter(|_| self.seen_up.contains(&interface)) else {
            return self.interface_changed(now, interface, Some(condition.clone()));
        };
        // What began to count down is not delayed by what else changes.
        let counts_at = bounced.map_or(now + delay, |bounced| bounced.counts_at);
        let bouncing = Bouncing {
            counts_at,
            condition: condition.clone(),
        };
        self.bouncing.insert(interface, bouncing);
    }

    /// An interface counts as in another condition, or as gone.
    fn interface_changed(
        &mut self,
        now: Instant,
        interface: String,
        condition: Option<InterfaceCondition>,
    ) {
        match condition {
            Some(condition) => {
                if condition.up {
                    self.seen_up.insert(interface.clone());
                }
                self.interfaces.insert(interface.clone(), condition)
            }
            None => {
                self.seen_up.remove(&interface);
                self.interfaces.remove(&interface)
            }
        };
        let tracker = Tracker::Interface(interface);
        for position in 0..self.instances.len() {
            let configuration = &self.instances[position].configuration;
            let Tracker::Interface(interface) = &tracker else {
                return;
            };
            if hears_on(configuration) == interface || tracks(configuration, &tracker) {
                self.assess(now, position);
            }
        }
    }

    /// When a link counts next.
    pub(super) fn next_link(&self) -> Option<Instant> {
        self.bouncing.values().map(|each| each.counts_at).min()
    }

    /// Lets links count that have been what they are for long enough.
    pub(super) fn let_links_count(&mut self, now: Instant) {
        let due = |(_, bouncing): &(&String, &Bouncing)| bouncing.counts_at <= now;
        while let Some((name, _)) = self.bouncing.iter().find(due) {
            let name = name.clone();
            if let Some(bouncing) = self.bouncing.remove(&name) {
                self.interface_changed(now, name, Some(bouncing.condition));
            }
        }
    }
}
