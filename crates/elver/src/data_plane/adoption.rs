//! Connections of another director's, taken over from it while they live.
//!
//! They are entered as they were there: in their state, with the time that is left to them. What
//! a list of connections does not tell is taken as it mostly is: that the real server has
//! answered, and that a connection of a persistent client came under the client's template.

use std::net::{IpAddr, SocketAddr};

use elver_core::service::{ConnectionState, Family as OfService, Protocol, ServiceKey};
use elver_packet::family::{Family, V4, V6};
use elver_packet::flow;
use elver_packet::host::Slice;
use elver_packet::table::connection::{
    self, Direction, Found, Key, Life, Links, TEMPLATE_ASSURED, flags,
};
use elver_packet::table::destination::{Destination, method};
use elver_packet::table::service::{self, Service};
use elver_packet::table::settings::Settings;

use super::entering::{Opening, enter, key};
use super::{DataPlane, layout};

/// The states that a protocol can have.
const STATES: std::ops::Range<u8> = 0..32;

/// What became of a connection that was to be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It goes on here.
    Entered,
    /// Its real server is not in the table, or not yet.
    NoRealServer,
    /// There is no place for it, or it is here already.
    NoPlace,
    /// Its state is none that is known here.
    Unknown,
}

impl DataPlane {
    /// Takes a connection over, or a persistence template. Templates come first, so that
    /// connections find theirs.
    pub(crate) fn adopt(&self, connection: &ConnectionState) -> Adoption {
        match connection.client {
            SocketAddr::V4(_) => self.adopt_of::<V4>(connection),
            SocketAddr::V6(_) => self.adopt_of::<V6>(connection),
        }
    }

    fn adopt_of<F: Family>(&self, connection: &ConnectionState) -> Adoption {
        let Some((service, id)) = self.place_of(connection) else {
            return Adoption::NoRealServer;
        };
        if is_template(connection) {
            return self.adopt_template::<F>(connection, id);
        }
        let Some(state) = state_of(connection) else {
            return Adoption::Unknown;
        };
        let maps = &self.inventory.maps;
        let Some(words) = maps.destination(id) else {
            return Adoption::NoRealServer;
        };
        let is_nat = Destination(words).heading().method() == method::NAT;
        let is_here = self.held.contains(&connection.client.ip());
        let opening = Opening {
            protocol: connection.protocol,
            from: connection.client,
            to: connection.virtual_address,
            answered_from: is_nat.then_some(connection.destination),
            destination: id,
            state,
            flags: flags::ANSWERED | if is_here { flags::CLIENT_HERE } else { 0 },
            expires_in: Some(self.inventory.clock.ticks(connection.expires_in)),
            replaces: false,
        };
        let template = self.template_of::<F>(service, connection, id);
        match enter::<F>(maps, self.inventory.clock, &opening, template.as_ref()) {
            Some(_) => Adoption::Entered,
            None => Adoption::NoPlace,
        }
    }

    /// The service and the destination of a connection.
    fn place_of(&self, connection: &ConnectionState) -> Option<(u32, u32)> {
        let of = |key: &ServiceKey| {
            let slots = self.inventory.services.get(key)?;
            let any_port = SocketAddr::new(connection.destination.ip(), 0);
            let mut addresses = [connection.destination, any_port].into_iter();
            let id = addresses
                .find_map(|address| self.inventory.destination_at(&slots.destinations, address))?;
            Some((slots.service, id))
        };
        let virtual_address = connection.virtual_address;
        let family = OfService::of(virtual_address.ip());
        let Some(protocol) = Protocol::from_number(connection.protocol) else {
            // A template of a firewall mark, which stands in the place of the address.
            let mark = match virtual_address.ip() {
                IpAddr::V4(address) => address.to_bits(),
                IpAddr::V6(address) => (address.to_bits() >> 96) as u32,
            };
            return of(&ServiceKey::Mark { mark, family });
        };
        let any_port = SocketAddr::new(virtual_address.ip(), 0);
        let at = |address| of(&ServiceKey::Address { protocol, address });
        at(virtual_address).or_else(|| at(any_port)).or_else(|| {
            // A mark is not told: the first service that has the real server.
            let services = self.inventory.services.keys();
            let mut of_marks = services.filter(
                |key| matches!(key, ServiceKey::Mark { family: other, .. } if *other == family),
            );
            of_marks.find_map(of)
        })
    }

    fn adopt_template<F: Family>(&self, connection: &ConnectionState, id: u32) -> Adoption {
        let maps = &self.inventory.maps;
        let (Some(settings), Some(words)) = (maps.settings(), maps.destination(id)) else {
            return Adoption::NoRealServer;
        };
        let key = Key {
            template: true,
            ..key::<F>(
                connection.protocol,
                connection.client,
                connection.virtual_address,
            )
        };
        let place = key.place(Settings(settings));
        let now = self.inventory.clock.now();
        let Some(claim) = connection::claim(&maps, &place, now) else {
            return Adoption::NoPlace;
        };
        let destination = Destination(words);
        let life = Life {
            expires: now.wrapping_add(self.inventory.clock.ticks(connection.expires_in)),
            state: if connection.state == "ASSURED" {
                TEMPLATE_ASSURED
            } else {
                0
            },
            flags: 0,
            generation: 0,
        };
        let links = Links {
            destination: id,
            destination_generation: destination.heading().generation(),
            ..Links::default()
        };
        let kind = (Direction::Forward, destination.heading().method());
        claim.fill(&maps, &key, kind, life, &links);
        if connection::rival(&maps, &key, &place, claim).is_some() {
            claim.abandon(&maps);
            return Adoption::NoPlace;
        }
        destination.bind_template();
        claim.publish(&maps);
        Adoption::Entered
    }

    /// The template of a connection's client, if it leads where the connection goes.
    fn template_of<F: Family>(
        &self,
        id: u32,
        connection: &ConnectionState,
        destination: u32,
    ) -> Option<Found<Slice<'_>>> {
        let maps = &self.inventory.maps;
        let words = maps.service(id)?;
        let service = Service(words);
        if service.flags() & service::flags::PERSISTENT == 0 {
            return None;
        }
        let connection = key::<F>(
            connection.protocol,
            connection.client,
            connection.virtual_address,
        );
        let (receiver, port, protocol) = match layout::service_key(words)? {
            ServiceKey::Mark { mark, .. } => (F::of_mark(mark), 0, 0),
            ServiceKey::Address { address, .. } => (
                connection.receiver,
                address.port().to_be(),
                connection.protocol,
            ),
        };
        let key = Key::<F> {
            sender: F::network(connection.sender, service.granularity()),
            receiver,
            ports: u32::from(port) << 16,
            protocol,
            template: true,
        };
        let found = connection::find(&maps, &key, &key.place(Settings(maps.settings()?)))?;
        (found.entry.destination().0 == destination).then_some(found)
    }
}

/// Whether it is a persistence template: those have no port of the client.
fn is_template(connection: &ConnectionState) -> bool {
    connection.client.port() == 0
}

fn state_of(connection: &ConnectionState) -> Option<u8> {
    STATES
        .into_iter()
        .find(|state| flow::name(connection.protocol, *state) == connection.state)
}
