//! Announcements at no more than the pace that the configuration allows.
//!
//! Interfaces that are paced together form a lane for each family. What is announced on a lane
//! with a gap leaves it one by one; what has not left yet and is not held any more is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::effect::{Effect, HeldAddress};
use crate::config::model::Pacing;

/// Interfaces that share a gap, in one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// Those of a `garp_group`, by its position.
    Group(usize, bool),
    /// A single one.
    Interface(String, bool),
}

#[derive(Debug)]
struct Waiting {
    instance: String,
    address: HeldAddress,
}

#[derive(Debug)]
struct Queue {
    /// When the next announcement may leave.
    free_at: Instant,
    waiting: VecDeque<Waiting>,
}

/// What is announced and has to wait.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    pacing: Pacing,
    lanes: BTreeMap<Lane, Queue>,
}

impl Pacer {
    /// Paces like this from now on.
    pub(super) fn configure(&mut self, pacing: Pacing) {
        if pacing != self.pacing {
            // Positions of groups may mean others now. What waited is announced again in the
            // second burst.
            self.lanes.clear();
            self.pacing = pacing;
        }
    }

    /// When something may leave that waits.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let busy = self.lanes.values().filter(|lane| !lane.waiting.is_empty());
        busy.map(|lane| lane.free_at).min()
    }

    /// Takes announcements on paced lanes out of `effects`, and puts those in that may leave
    /// now.
    pub(super) fn pace(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        if self.pacing == Pacing::default() {
            return;
        }
        for effect in std::mem::take(effects) {
            match effect {
                Effect::Announce {
                    instance,
                    addresses,
                    repeat,
                } => {
                    let (paced, free) = addresses
                        .into_iter()
                        .partition::<Vec<_>, _>(|address| self.gap(&self.lane(address)).is_some());
                    if !free.is_empty() {
                        effects.push_back(Effect::Announce {
                            instance: instance.clone(),
                            addresses: free,
                            repeat,
                        });
                    }
                    self.enqueue(now, &instance, &paced, repeat);
                }
                Effect::RemoveAddresses {
                    instance,
                    addresses,
                } => {
                    self.forget(&instance, &addresses);
                    effects.push_back(Effect::RemoveAddresses {
                        instance,
                        addresses,
                    });
                }
                other => effects.push_back(other),
            }
        }
        self.release(now, effects);
    }

    fn lane(&self, address: &HeldAddress) -> Lane {
        let ipv6 = address.address.is_ipv6();
        let mut groups = self.pacing.groups.iter();
        match groups.position(|group| group.interfaces.contains(&address.interface)) {
            Some(position) => Lane::Group(position, ipv6),
            None => Lane::Interface(address.interface.clone(), ipv6),
        }
    }

    /// None for a lane without one.
    fn gap(&self, lane: &Lane) -> Option<std::time::Duration> {
        let gap = match lane {
            Lane::Group(position, ipv6) => {
                let group = self.pacing.groups.get(*position)?;
                group.gaps.of(*ipv6)
            }
            Lane::Interface(_, ipv6) => self.pacing.usual.of(*ipv6),
        };
        (!gap.is_zero()).then_some(gap)
    }

    fn enqueue(&mut self, now: Instant, instance: &str, addresses: &[HeldAddress], repeat: u32) {
        // A burst takes the place of what is left of the one before: a lane that cannot keep
        // up does not grow.
        self.forget(instance, addresses);
        for _ in 0..repeat {
            for address in addresses {
                let lane = self.lanes.entry(self.lane(address)).or_insert(Queue {
                    free_at: now,
                    waiting: VecDeque::new(),
                });
                lane.waiting.push_back(Waiting {
                    instance: instance.to_owned(),
                    address: address.clone(),
                });
            }
        }
    }

    fn forget(&mut self, instance: &str, addresses: &[HeldAddress]) {
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|waiting| {
                waiting.instance != instance || !addresses.contains(&waiting.address)
            });
        }
    }

    fn release(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        let gaps: Vec<_> = self.lanes.keys().map(|lane| self.gap(lane)).collect();
        for (lane, gap) in self.lanes.values_mut().zip(gaps) {
            while lane.free_at <= now
                && let Some(Waiting { instance, address }) = lane.waiting.pop_front()
            {
                effects.push_back(Effect::Announce {
                    instance,
                    addresses: vec![address],
                    repeat: 1,
                });
                // Late is late: the neighbours get the gap all the same.
                lane.free_at = now + gap.unwrap_or_default();
            }
        }
    }
}
