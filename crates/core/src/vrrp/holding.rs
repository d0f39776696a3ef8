//! What an instance holds as master besides its addresses, and what is held whoever is master.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::effect::{Effect, HeldAddress};
use super::instance::Instance;
use super::routers::VirtualRouters;
use super::{State, addressing};
use crate::config::model::{Route, Rule, Statics, VrrpInstance};

/// Routes are looked after this long after some have changed: in a flood of changes often
/// enough, and not for each.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// The name in the log of who holds what is held whoever is master.
const STATIC: &str = "static";

pub(super) fn add_routes(
    instance: Option<&str>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
    effects: &mut VecDeque<Effect>,
) {
    if !routes.is_empty() || !rules.is_empty() {
        effects.push_back(Effect::AddRoutes {
            instance: instance.map(str::to_owned),
            routes,
            rules,
        });
    }
}

fn remove_routes(
    instance: Option<&str>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
    effects: &mut VecDeque<Effect>,
) {
    if !routes.is_empty() || !rules.is_empty() {
        effects.push_back(Effect::RemoveRoutes {
            instance: instance.map(str::to_owned),
            routes,
            rules,
        });
    }
}

/// What is in one list and not in the other.
fn without<T: PartialEq + Clone>(these: &[T], those: &[T]) -> Vec<T> {
    let mut left = these.to_vec();
    left.retain(|each| !those.contains(each));
    left
}

impl Instance {
    /// Puts its routes and rules in force.
    pub(super) fn add_routes(&self, effects: &mut VecDeque<Effect>) {
        let VrrpInstance {
            name,
            routes,
            rules,
            ..
        } = &self.configuration;
        add_routes(Some(name), routes.clone(), rules.clone(), effects);
    }

    /// Takes them out of force, wherever they come from.
    pub(super) fn remove_routes(&self, effects: &mut VecDeque<Effect>) {
        let VrrpInstance {
            name,
            routes,
            rules,
            ..
        } = &self.configuration;
        remove_routes(Some(name), routes.clone(), rules.clone(), effects);
    }

    /// As master: takes those out of force that it has no more.
    pub(super) fn remove_old_routes(&self, before: &VrrpInstance, effects: &mut VecDeque<Effect>) {
        let now = &self.configuration;
        let routes = without(&before.routes, &now.routes);
        let rules = without(&before.rules, &now.rules);
        remove_routes(Some(&now.name), routes, rules, effects);
    }

    /// As master: puts those in force that are new.
    pub(super) fn add_new_routes(&self, before: &VrrpInstance, effects: &mut VecDeque<Effect>) {
        let now = &self.configuration;
        let routes = without(&now.routes, &before.routes);
        let rules = without(&now.rules, &before.rules);
        add_routes(Some(&now.name), routes, rules, effects);
    }
}

impl VirtualRouters {
    /// Holds these from now on, whoever is master.
    pub(super) fn hold(&mut self, statics: Statics) {
        let before = std::mem::replace(&mut self.statics, statics);
        let after = &self.statics;
        let routes = without(&before.routes, &after.routes);
        let rules = without(&before.rules, &after.rules);
        remove_routes(None, routes, rules, &mut self.effects);
        let gone = without(&before.addresses, &after.addresses);
        if !gone.is_empty() {
            self.effects.push_back(Effect::RemoveAddresses {
                instance: STATIC.to_owned(),
                addresses: gone.iter().map(held).collect(),
            });
        }
        let new = without(&after.addresses, &before.addresses);
        if !new.is_empty() {
            self.effects.push_back(Effect::AddAddresses {
                instance: STATIC.to_owned(),
                addresses: new.iter().map(held).collect(),
            });
        }
        let routes = without(&after.routes, &before.routes);
        let rules = without(&after.rules, &before.rules);
        add_routes(None, routes, rules, &mut self.effects);
    }

    /// Puts a static address back that someone has taken off.
    pub(super) fn restore_static_address(&mut self, interface: &str, address: std::net::IpAddr) {
        let lost = self.statics.addresses.iter().map(held);
        let addresses: Vec<HeldAddress> = lost
            .filter(|held| held.restore && held.interface == interface && held.address == address)
            .collect();
        if !addresses.is_empty() {
            self.effects.push_back(Effect::AddAddresses {
                instance: STATIC.to_owned(),
                addresses,
            });
        }
    }

    /// Some route or rule, of whomever, has changed.
    pub(super) fn routes_changed(&mut self, now: Instant) {
        let holds = |instance: &Instance| {
            let configuration = &instance.configuration;
            instance.state == State::Master
                && !(configuration.routes.is_empty() && configuration.rules.is_empty())
        };
        let held = !(self.statics.routes.is_empty() && self.statics.rules.is_empty())
            || self.instances.iter().any(holds);
        if held {
            self.look_after_routes_at.get_or_insert(now + LOOK_AFTER);
        }
    }

    /// Puts routes and rules back that someone may have taken away.
    pub(super) fn look_after_routes(&mut self, now: Instant) {
        if self.look_after_routes_at.is_none_or(|at| at > now) {
            return;
        }
        self.look_after_routes_at = None;
        let restorable = |routes: &[Route], rules: &[Rule]| {
            let (mut routes, mut rules) = (routes.to_vec(), rules.to_vec());
            routes.retain(|route| route.restore);
            rules.retain(|rule| rule.restore);
            (routes, rules)
        };
        let (routes, rules) = restorable(&self.statics.routes, &self.statics.rules);
        add_routes(None, routes, rules, &mut self.effects);
        for instance in &self.instances {
            if instance.state == State::Master {
                let configuration = &instance.configuration;
                let (routes, rules) = restorable(&configuration.routes, &configuration.rules);
                let name = Some(configuration.name.as_str());
                add_routes(name, routes, rules, &mut self.effects);
            }
        }
    }
}

/// An address that has its own interface, as it is held.
fn held(address: &crate::config::model::VirtualAddress) -> HeldAddress {
    let interface = address.interface.as_deref().unwrap_or_default();
    addressing::held_on(interface, address)
}
