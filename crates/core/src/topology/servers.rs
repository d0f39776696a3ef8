//! Real servers, sorry servers and whom checks ask: which there are, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::calls::Calls;
use super::network::is_routable;
use super::segments::{Segments, Ways};
use super::{Call, Destination, Role, Server};
use crate::config::model::Configuration;
use crate::service::{ForwardingMethod, Tunnel};

/// What a server is for.
#[derive(Debug, Default)]
struct Uses {
    by_nat: bool,
    by_tunnel: bool,
    /// The virtual addresses that it is asked for by direct routing, and those by either.
    routed: BTreeSet<IpAddr>,
    vips: BTreeSet<IpAddr>,
    gue_ports: BTreeSet<u16>,
    is_real: bool,
    is_sorry: bool,
}

impl Uses {
    /// It is one of those who may answer a call.
    fn take(&mut self, call: &Call, destination: &Destination) {
        self.is_real |= !destination.is_sorry;
        self.is_sorry |= destination.is_sorry;
        let vip = call.to.ip();
        match destination.method {
            ForwardingMethod::Nat => self.by_nat = true,
            ForwardingMethod::DirectRouting => {
                self.routed.insert(vip);
                self.vips.insert(vip);
            }
            ForwardingMethod::Tunnel(tunnel) => {
                self.by_tunnel = true;
                self.vips.insert(vip);
                if let Tunnel::Gue { port, .. } = tunnel {
                    self.gue_ports.insert(port);
                }
            }
        }
    }
}

/// Finds a place for every server, and fills in who answers which call.
pub(super) fn plan(
    configuration: &Configuration,
    calls: &mut Calls,
    segments: &mut Segments,
    remarks: &mut Vec<String>,
) -> Vec<Server> {
    let (order, uses) = uses(configuration, calls);
    let mut names = Names::default();
    let mut numbers = BTreeMap::new();
    let mut servers: Vec<Server> = Vec::new();
    // Those whose place the file tells come first; direct routing needs its own segment.
    let mut by_need: Vec<IpAddr> = order.clone();
    by_need.sort_by_key(|address| {
        let uses = &uses[address];
        (
            segments.with(*address).is_none(),
            uses.routed.is_empty(),
            !uses.by_nat,
        )
    });
    let mut places = BTreeMap::new();
    for address in by_need {
        let uses = &uses[&address];
        if segments.is_on_director(address) || !is_routable(address) {
            continue;
        }
        let place = match segments.with(address) {
            Some(place) => Some(place),
            None => match uses.routed.first() {
                Some(vip) => segments.beside(*vip, address),
                None if uses.by_tunnel && !uses.by_nat => segments.far_away(address),
                None => segments.behind_director(address),
            },
        };
        places.extend(place.map(|place| (address, place)));
    }
    for address in order {
        let uses = &uses[&address];
        let is_here = segments.is_on_director(address);
        let place = places.get(&address);
        if !is_here && place.is_none() {
            remarks.push(format!(
                "{address} cannot be a host of its own in this network: nobody answers there"
            ));
            continue;
        }
        let node = place.map(|place| {
            let ways = Ways {
                director: uses.by_nat,
                router: !uses.vips.is_empty(),
            };
            segments.host(address, *place, ways)
        });
        let role = (node.is_some() && !uses.vips.is_empty()).then(|| Role {
            vips: uses.vips.clone(),
            directors: BTreeSet::new(),
            gue_ports: uses.gue_ports.clone(),
        });
        numbers.insert(address, servers.len());
        servers.push(Server {
            name: names.next(uses),
            address,
            node,
            role,
            listeners: BTreeMap::new(),
        });
    }
    for (call, destinations) in calls.calls.iter_mut().zip(&mut calls.destinations) {
        for mut destination in std::mem::take(destinations) {
            if let Some(server) = numbers.get(&destination.address.ip()) {
                destination.server = *server;
                call.destinations.push(destination);
            }
        }
    }
    servers
}

/// All addresses that are asked, in the order of the file, and what for.
fn uses(configuration: &Configuration, calls: &Calls) -> (Vec<IpAddr>, BTreeMap<IpAddr, Uses>) {
    let mut order = Vec::new();
    let mut all: BTreeMap<IpAddr, Uses> = BTreeMap::new();
    let mut note = |address: IpAddr, use_: &dyn Fn(&mut Uses)| {
        let uses = all.entry(address).or_insert_with(|| {
            order.push(address);
            Uses::default()
        });
        use_(uses);
    };
    for (call, destinations) in calls.calls.iter().zip(&calls.destinations) {
        for destination in destinations {
            note(destination.address.ip(), &|uses| {
                uses.take(call, destination)
            });
        }
    }
    for server in &configuration.virtual_servers {
        for real_server in &server.real_servers {
            note(real_server.address.ip(), &|uses| uses.is_real = true);
            for check in &real_server.checks {
                note(check.connection.to.ip(), &|_| ());
            }
        }
    }
    (order, all)
}

/// Names by what servers are for, each with a number.
#[derive(Debug, Default)]
struct Names {
    real_servers: usize,
    sorry_servers: usize,
    others: usize,
}

impl Names {
    fn next(&mut self, uses: &Uses) -> String {
        let (count, kind) = if uses.is_real {
            (&mut self.real_servers, "real-server")
        } else if uses.is_sorry {
            (&mut self.sorry_servers, "sorry-server")
        } else {
            (&mut self.others, "checked")
        };
        *count += 1;
        format!("{kind}{count}")
    }
}
