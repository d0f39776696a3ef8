//! What the director does about connections: lists them, and takes expired ones out.
//!
//! The programs treat an expired entry as absent, so this is for the numbers and for the
//! room, and nothing waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use elver_core::check::{Encounter, Endings};
use elver_core::service::ConnectionState;
use elver_packet::family::{Family, V4, V6};
use elver_packet::flow;
use elver_packet::host::Slice;
use elver_packet::table::connection::{
    Control, Direction, Entry, Key, Life, STRIDE, TEMPLATE_ASSURED, WAYS, control, free_abandoned,
    has_expired, reclaim,
};
use elver_packet::table::destination::{self, Destination};
use elver_packet::table::settings::{Settings, behaviour, ticks_between};
use elver_sys::bpf::{Clock, Maps};

use super::observation::Observations;
use super::{DataPlane, layout};

/// Sets that are swept at a time, so that a large table does not hold the director up.
const SETS_AT_ONCE: u32 = 1 << 16;
/// How much longer a template stays whose time is over while connections are under it
/// (`ip_vs_conn_expire` in the kernel).
const HELD_TEMPLATE: Duration = Duration::from_secs(60);

/// How far sweeping has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    next_set: u32,
    /// Ways that somebody was at work on when we came by.
    busy: HashMap<u32, Control>,
    /// What was seen of real servers on the way.
    observations: Observations,
}

impl DataPlane {
    /// Takes expired connections out, and slots that nothing refers to any more. To be
    /// called about once a second.
    pub(crate) fn sweep(&mut self) {
        let maps = &self.inventory.maps;
        let clock = self.inventory.clock;
        let now = clock.now();
        let sets = maps.connection_lines() / STRIDE;
        let expires_nodest = maps.settings().is_some_and(|settings| {
            Settings(settings).behaviour() & behaviour::EXPIRE_NODEST_CONN != 0
        });
        let end = self.sweep.next_set.saturating_add(SETS_AT_ONCE).min(sets);
        for index in (self.sweep.next_set * STRIDE)..(end * STRIDE) {
            if index.is_multiple_of(STRIDE) {
                continue;
            }
            let Some(control) = control(&maps, index) else {
                continue;
            };
            if control.is_busy() {
                // A program is done within microseconds; a director can be killed in between.
                if self.sweep.busy.insert(index, control) == Some(control) {
                    free_abandoned(&maps, index, control);
                }
                continue;
            }
            self.sweep.busy.remove(&index);
            if control.is_live()
                && let Some(entry) = maps.connection(index).map(Entry)
                && entry.direction() == Direction::Forward
            {
                let life = entry.life();
                let is_over = has_expired(life, now) || expires_nodest && is_nodest(maps, entry);
                if !is_over {
                    continue;
                }
                if entry.is_template() && entry.held_connections() != 0 {
                    let expires = now.wrapping_add(clock.ticks(HELD_TEMPLATE));
                    entry.renew(life, Life { expires, ..life });
                } else {
                    let (id, _) = entry.destination();
                    if let Some(destination) = maps.destination(id)
                        && Destination(destination).heading().flags()
                            & destination::flags::FOR_CHECKS
                            == 0
                    {
                        let address = layout::destination_address(destination);
                        self.sweep.observations.ended(entry, address);
                    }
                    reclaim(&maps, index);
                }
            }
        }
        self.sweep.next_set = if end == sets { 0 } else { end };
        if end == sets {
            let present = self.destination_addresses();
            self.sweep.observations.retain(&present);
        }
        self.judge_overloads();
        self.bury();
        self.forget_endpoints();
    }
}

/// Whether an entry is a connection to a real server that has been removed.
fn is_nodest(maps: &Maps, entry: Entry<Slice<'_>>) -> bool {
    let (id, _) = entry.destination();
    let is_available = maps.destination(id).is_some_and(|words| {
        Destination(words).heading().flags() & destination::flags::AVAILABLE != 0
    });
    !entry.is_template() && !is_available
}

impl DataPlane {
    /// How connections of real servers have ended, as far as that was seen since the start.
    pub(crate) fn endings(&self) -> impl Iterator<Item = (&SocketAddr, &Endings)> {
        self.sweep.observations.iter()
    }

    /// What clients have met at real servers. Of one in several services, the one where the
    /// handshake takes longest tells how long.
    pub(crate) fn encounters(&self) -> BTreeMap<SocketAddr, Encounter> {
        let mut encounters: BTreeMap<SocketAddr, Encounter> = self
            .endings()
            .map(|(address, endings)| {
                let encounter = Encounter {
                    endings: *endings,
                    handshake: None,
                };
                (*address, encounter)
            })
            .collect();
        let maps = &self.inventory.maps;
        let services = self.inventory.services.values();
        let destinations = services.flat_map(|slots| &slots.destinations);
        for words in destinations.filter_map(|id| maps.destination(*id)) {
            if let Some(handshake) = layout::handshake(Destination(words)) {
                let address = layout::destination_address(words);
                let encounter = encounters.entry(address).or_default();
                encounter.handshake = encounter.handshake.max(Some(handshake));
            }
        }
        encounters
    }

    fn destination_addresses(&self) -> BTreeSet<SocketAddr> {
        let maps = &self.inventory.maps;
        let services = self.inventory.services.values();
        services
            .flat_map(|slots| &slots.destinations)
            .filter_map(|id| maps.destination(*id).map(layout::destination_address))
            .collect()
    }

    /// A destination can be left overloaded where processors bind and unbind at the same
    /// moment; that lasts until now.
    fn judge_overloads(&self) {
        let maps = &self.inventory.maps;
        let services = self.inventory.services.values();
        for id in services.flat_map(|slots| &slots.destinations) {
            if let Some(destination) = maps.destination(*id).map(Destination)
                && destination.heading().flags() & destination::flags::OVERLOADED != 0
            {
                destination.judge_overload();
            }
        }
    }
}

/// How many entries of the connection table are taken, and how many there are.
pub(super) fn occupancy(maps: &Maps) -> (u64, u32) {
    let ways = || (0..maps.connection_lines()).filter(|index| !index.is_multiple_of(STRIDE));
    let is_taken = |index: &u32| control(&maps, *index).is_some_and(|control| control.is_live());
    let capacity = maps.connection_lines() / STRIDE * WAYS;
    (ways().filter(is_taken).count() as u64, capacity)
}

/// Every connection and template, in the order of the table.
pub(super) fn connections(maps: &Maps, clock: Clock) -> impl Iterator<Item = ConnectionState> + '_ {
    let now = clock.now();
    (0..maps.connection_lines()).filter_map(move |index| {
        if index.is_multiple_of(STRIDE) || !control(&maps, index)?.is_live() {
            return None;
        }
        let entry = Entry(maps.connection(index)?);
        let held = entry.is_template() && entry.held_connections() != 0;
        if entry.direction() == Direction::Reverse || has_expired(entry.life(), now) && !held {
            return None;
        }
        let left = ticks_between(now, entry.life().expires).max(0) as u32;
        match entry.family() {
            4 => state::<V4>(maps, entry, clock.duration(left)),
            6 => state::<V6>(maps, entry, clock.duration(left)),
            _ => None,
        }
    })
}

fn state<F: Family>(
    maps: &Maps,
    entry: Entry<Slice<'_>>,
    expires_in: Duration,
) -> Option<ConnectionState> {
    let key: Key<F> = entry.key();
    let (id, _) = entry.destination();
    let words = maps.destination(id)?;
    let mut destination = layout::destination_address(words);
    let virtual_address = socket_address::<F>(key.receiver, (key.ports >> 16) as u16);
    if Destination(words).port() == 0 {
        destination.set_port(virtual_address.port());
    }
    Some(ConnectionState {
        protocol: key.protocol,
        expires_in,
        state: state_name(entry).to_owned(),
        client: socket_address::<F>(key.sender, key.ports as u16),
        virtual_address,
        destination,
        engine_data: None,
    })
}

/// The state as `ipvsadm -Lc` names it; of a template, whether a connection has come about
/// under it.
fn state_name(entry: Entry<Slice<'_>>) -> &'static str {
    let state = entry.life().state;
    if !entry.is_template() {
        flow::name(entry.protocol(), state)
    } else if state == TEMPLATE_ASSURED {
        "ASSURED"
    } else {
        "NONE"
    }
}

/// An address and a port as they stand in a packet.
fn socket_address<F: Family>(address: F::Address, port: u16) -> SocketAddr {
    let octets = F::to_octets(address);
    let ip = match octets {
        [a, b, c, d, ..] if F::NUMBER == 4 => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(octets),
    };
    SocketAddr::new(ip, u16::from_be(port))
}
