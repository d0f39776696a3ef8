//! What is configured in the tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use elver_packet::flow::tcp::TcpState;
use elver_packet::host::{Method, Persistence, RealServer, VirtualService};
use elver_packet::table::Words;
use elver_packet::table::destination::tunnel;
use elver_packet::table::settings::TCP_TIMEOUTS_WORD;
use elver_sys::bpf::{Clock, Maps};

use crate::cases::{Family, Tables};

/// The addresses of a family.
pub(crate) struct Addresses {
    pub(crate) vip: IpAddr,
    pub(crate) real_server: IpAddr,
    /// The director's towards the real server.
    source: IpAddr,
}

/// The addresses of a family.
pub(crate) const fn addresses(family: Family) -> Addresses {
    match family {
        Family::V4 => Addresses {
            vip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)),
            real_server: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
            source: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 254)),
        },
        Family::V6 => Addresses {
            vip: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x80)),
            real_server: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2)),
            source: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0xfe)),
        },
    }
}

/// A service by NAT.
pub(crate) const PLAIN: u16 = 80;
/// One with persistence.
pub(crate) const PERSISTENT: u16 = 81;
/// No service.
pub(crate) const NO_SERVICE: u16 = 82;
/// A service by direct routing.
pub(crate) const DIRECT: u16 = 83;
/// One by an ipip tunnel.
pub(crate) const TUNNEL: u16 = 84;
/// One by a tunnel of GUE.
pub(crate) const GUE: u16 = 85;
/// The ports of the services, which there are in both families.
pub(crate) const PORTS: [u16; 5] = [PLAIN, PERSISTENT, DIRECT, TUNNEL, GUE];

/// How many services there are where there are many.
pub(crate) const MANY_SERVICES: u32 = 10_000;
/// How many real servers each of them has.
const THEIR_SERVERS: u32 = 10;

/// How packets for a port are forwarded.
fn method(port: u16, source: IpAddr) -> Method {
    let tunnel = |kind| Method::Tunnel {
        kind,
        port: 6080,
        source,
    };
    match port {
        DIRECT => Method::Direct,
        TUNNEL => tunnel(tunnel::IPIP),
        GUE => tunnel(tunnel::GUE),
        _ => Method::Nat,
    }
}

/// The services, with a real server each, which is the same for all of a family; and beside them,
/// where there are many, those to which nobody sends.
pub(crate) fn write_services(maps: &mut Maps, tables: Tables) {
    let settings = maps.settings().expect("settings");
    let clock = Clock::from_settings(settings);
    for (state, seconds) in (0..).zip(TcpState::TIMEOUT_SECONDS) {
        let ticks = clock.ticks(Duration::from_secs(seconds.into()));
        settings.store(TCP_TIMEOUTS_WORD + state, u64::from(ticks));
    }
    let families = [Family::V4, Family::V6].into_iter();
    let services = families.flat_map(|family| PORTS.map(|port| (family, port)));
    let mut first = 0;
    for (id, (family, port)) in (0..).zip(services) {
        let Addresses {
            vip,
            real_server,
            source,
        } = addresses(family);
        write_destination(maps, id, id, (real_server, port), method(port, source));
        write_service(maps, &clock, id, (vip, port), (id, 1));
        first = id + 1;
    }
    if tables != Tables::ManyServices {
        return;
    }
    for number in 0..MANY_SERVICES {
        let id = first + number;
        let members = first + number * THEIR_SERVERS;
        for member in members..members + THEIR_SERVERS {
            let server = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + member);
            write_destination(maps, member, id, (server.into(), PLAIN), Method::Nat);
        }
        let vip = Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 0, 0)) + number);
        write_service(
            maps,
            &clock,
            id,
            (vip.into(), PLAIN),
            (members, THEIR_SERVERS),
        );
    }
}

fn write_destination(
    maps: &mut Maps,
    id: u32,
    service: u32,
    (address, port): (IpAddr, u16),
    method: Method,
) {
    let real_server = RealServer {
        service,
        address,
        port,
        method,
        generation: 0,
        available: true,
        held: true,
        local: false,
        weight: 1,
        thresholds: [0; 2],
    };
    real_server.write(maps.destination(id).expect("a destination"));
    maps.set_member(id, id);
}

/// Writes a service, of which so many destinations from one on are the members.
fn write_service(
    maps: &mut Maps,
    clock: &Clock,
    id: u32,
    (vip, port): (IpAddr, u16),
    (first, count): (u32, u32),
) {
    let persistence = Persistence {
        ticks: clock.ticks(Duration::from_secs(300)),
        prefix: if vip.is_ipv4() { 32 } else { 128 },
    };
    let service = VirtualService {
        persistence: (port == PERSISTENT).then_some(persistence),
        ..VirtualService::new(vip, port)
    };
    let words = maps.service(id).expect("a service");
    service.write(words);
    VirtualService::set_members(words, first, count);
    maps.index_service(&service.key(), id)
        .unwrap_or_else(|error| panic!("{error}"));
}
