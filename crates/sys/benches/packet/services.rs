//! What is configured in the tables.

use std::net::Ipv4Addr;
use std::time::Duration;

use elver_packet::flow::tcp::TcpState;
use elver_packet::table::Words;
use elver_packet::table::destination::{self, method};
use elver_packet::table::service::{self, ServiceKey};
use elver_packet::table::settings::TCP_TIMEOUTS_WORD;
use elver_packet::wire::protocol;
use elver_sys::bpf::{Clock, Maps};

use crate::cases::Tables;

pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
pub(crate) const REAL_SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// A service without persistence.
pub(crate) const PLAIN: u16 = 80;
/// A service with persistence.
pub(crate) const PERSISTENT: u16 = 81;
/// No service.
pub(crate) const NO_SERVICE: u16 = 82;
/// A service without persistence, by direct routing.
pub(crate) const DIRECT: u16 = 83;
/// A service without persistence, by an ipip tunnel.
pub(crate) const TUNNEL: u16 = 84;

/// The ports of the services, and how packets for them are forwarded.
pub(crate) const SERVICES: [(u16, u8); 4] = [
    (PLAIN, method::NAT),
    (PERSISTENT, method::NAT),
    (DIRECT, method::DIRECT),
    (TUNNEL, method::TUNNEL),
];

/// How many services there are where there are many.
pub(crate) const MANY_SERVICES: u32 = 10_000;
/// How many real servers each of them has.
const THEIR_SERVERS: u32 = 10;

/// The services, with a real server each, which is the same for all; and beside them, where
/// there are many, those to which nobody sends.
pub(crate) fn write_services(maps: &mut Maps, tables: Tables) {
    let settings = maps.settings().expect("settings");
    let clock = Clock::from_settings(settings);
    for (state, seconds) in (0..).zip(TcpState::TIMEOUT_SECONDS) {
        let ticks = clock.ticks(Duration::from_secs(seconds.into()));
        settings.store(TCP_TIMEOUTS_WORD + state, u64::from(ticks));
    }
    for (id, (port, method)) in (0..).zip(SERVICES) {
        write_destination(maps, id, id, (REAL_SERVER, port), method);
        write_service(maps, &clock, id, (VIP, port), (id, 1));
    }
    if tables == Tables::Small {
        return;
    }
    let first = SERVICES.len() as u32;
    for number in 0..MANY_SERVICES {
        let id = first + number;
        let members = first + number * THEIR_SERVERS;
        for member in members..members + THEIR_SERVERS {
            let server = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + member);
            write_destination(maps, member, id, (server, PLAIN), method::NAT);
        }
        let vip = Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 0, 0)) + number);
        write_service(maps, &clock, id, (vip, PLAIN), (members, THEIR_SERVERS));
    }
}

fn write_destination(
    maps: &mut Maps,
    id: u32,
    service: u32,
    (address, port): (Ipv4Addr, u16),
    method: u8,
) {
    let words = maps.destination(id).expect("a destination");
    let port_word = u64::from(port.to_be());
    words.store(
        destination::SERVICE_WORD,
        u64::from(service) | port_word << 32,
    );
    words.store(destination::ADDRESS_WORD, u64::from(in_memory(address)));
    words.store(destination::WEIGHT_WORD, 1);
    let flags = destination::flags::LIVE | destination::flags::AVAILABLE | destination::flags::HELD;
    let heading = u64::from(flags) | u64::from(method) << 48 | 4 << 56;
    words.exchange(destination::FLAGS_WORD, heading);
    maps.set_member(id, id);
}

/// Writes a service, of which so many destinations from one on are the members.
fn write_service(
    maps: &mut Maps,
    clock: &Clock,
    id: u32,
    (vip, port): (Ipv4Addr, u16),
    (first, count): (u32, u32),
) {
    let words = maps.service(id).expect("a service");
    words.store(
        service::MEMBERS_WORD,
        u64::from(first) | u64::from(count) << 32,
    );
    let ticks = clock.ticks(Duration::from_secs(300));
    words.store(service::PERSISTENCE_WORD, u64::from(ticks));
    let port_word = u64::from(port.to_be());
    words.store(service::PORT_WORD, port_word | 4 << 16 | 32 << 24);
    let mut flags = service::flags::LIVE | service::flags::HELD;
    if port == PERSISTENT {
        flags |= service::flags::PERSISTENT;
    }
    words.exchange(
        service::FLAGS_WORD,
        u64::from(flags) | u64::from(protocol::TCP) << 56,
    );
    let mut address = [0; 16];
    address[..4].copy_from_slice(&vip.octets());
    let key = ServiceKey {
        address,
        mark: 0,
        port: port.to_be_bytes(),
        protocol: protocol::TCP,
        family: 4,
    };
    maps.index_service(&key, id)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// An address as the tables hold it.
fn in_memory(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}
