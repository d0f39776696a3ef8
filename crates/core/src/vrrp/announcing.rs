//! When an instance tells the neighbours where its addresses are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::addressing;
use super::effect::{Effect, HeldAddress};
use super::instance::Instance;
use crate::config::model::Announcements;

impl Instance {
    /// Announces addresses in one burst.
    pub(super) fn announce(
        &self,
        addresses: Vec<HeldAddress>,
        repeat: u32,
        effects: &mut VecDeque<Effect>,
    ) {
        if repeat > 0 && !addresses.is_empty() {
            effects.push_back(Effect::Announce {
                instance: self.configuration.name.clone(),
                addresses,
                repeat,
            });
        }
    }

    /// Sets the time of the burst after this one; zero is for none.
    pub(super) fn announce_again(&mut self, now: Instant, delay: Duration, repeat: u32) {
        self.announce_at = (!delay.is_zero()).then(|| (now + delay, repeat));
    }

    /// Announces again because another router may have led the neighbours astray; at
    /// most once in an advertisement interval, whatever the other one sends.
    pub(super) fn announce_after_conflict(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        let interval = self.configuration.advertisement_interval;
        if self
            .answered_at
            .is_some_and(|answered| now < answered + interval)
        {
            return;
        }
        self.answered_at = Some(now);
        let Announcements {
            lower_priority_delay: delay,
            lower_priority_repeat: repeat,
            ..
        } = self.configuration.announcements;
        if repeat > 0 {
            self.announce(self.addresses(), repeat, effects);
            self.announce_again(now, delay, repeat);
        }
    }

    /// The addresses on other interfaces than the instance's: those with a virtual MAC address
    /// there, or all of them, as is configured.
    fn addresses_elsewhere(&self) -> Vec<HeldAddress> {
        let configuration = &self.configuration;
        let own = addressing::interface_of(configuration);
        let addresses = configuration.virtual_addresses.iter();
        addresses
            .chain(&configuration.excluded_addresses)
            .filter(|address| {
                configuration.announcements.elsewhere_all || address.virtual_mac.is_some()
            })
            .map(|address| {
                let home = addressing::home_of(address, configuration);
                addressing::held_on(home, address)
            })
            .filter(|held| held.interface != own)
            .collect()
    }

    /// Carries out the announcements that are due.
    pub(super) fn handle_announce_timeout(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        if let Some((_, repeat)) = self.announce_at.filter(|(at, _)| *at <= now) {
            self.announce_at = None;
            self.announce(self.addresses(), repeat, effects);
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            let Announcements {
                refresh,
                refresh_repeat,
                ..
            } = self.configuration.announcements;
            self.announce(self.addresses(), refresh_repeat, effects);
            self.refresh_at = (!refresh.is_zero()).then(|| now + refresh);
        }
        if self.announce_elsewhere_at.is_some_and(|at| at <= now) {
            let elsewhere = self.configuration.announcements.elsewhere;
            self.announce(self.addresses_elsewhere(), 1, effects);
            self.announce_elsewhere_at = (!elsewhere.is_zero()).then(|| now + elsewhere);
        }
    }
}
