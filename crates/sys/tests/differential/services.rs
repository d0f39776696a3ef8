//! Services of every protocol, with real servers by every method.

use elver_packet::host::{Method, Persistence, RealServer, VirtualService};
use elver_packet::table::destination::tunnel;
use elver_packet::wire::protocol::{SCTP, TCP, UDP};

use crate::pair::SECOND;

/// A service, by its mark if it has one, and its real servers.
pub(crate) struct Offer {
    pub(crate) mark: u32,
    pub(crate) service: VirtualService,
    pub(crate) servers: Vec<RealServer>,
}

impl Offer {
    fn new(protocol: u8, address: &str, port: u16) -> Offer {
        Offer {
            mark: 0,
            service: VirtualService {
                protocol,
                ..VirtualService::new(address.parse().unwrap(), port)
            },
            servers: Vec::new(),
        }
    }

    fn of_mark(mark: u32, any_address: &str) -> Offer {
        Offer {
            mark,
            ..Offer::new(0, any_address, 0)
        }
    }

    fn persistent(mut self, prefix: u8) -> Offer {
        self.service.persistence = Some(Persistence {
            ticks: 50 * SECOND,
            prefix,
        });
        self
    }

    fn one_packet(mut self) -> Offer {
        self.service.one_packet = true;
        self
    }

    fn by(mut self, method: Method, servers: &[&str]) -> Offer {
        for server in servers {
            // Some keep the port of the packet, as all do whose packets are not rewritten.
            let keeps = server.ends_with('2') || method != Method::Nat || self.mark != 0;
            self.servers.push(RealServer {
                service: 0,
                address: server.parse().unwrap(),
                port: if keeps { 0 } else { 8080 },
                method,
                generation: 3,
                available: true,
                held: true,
                local: false,
                weight: 1,
                thresholds: [0; 2],
            });
        }
        self
    }

    /// The last one is the director itself.
    fn local(mut self) -> Offer {
        self.servers.last_mut().unwrap().local = true;
        self
    }

    /// Every kind of tunnel, over both families.
    fn by_tunnels(mut self) -> Offer {
        for (host, kind) in [
            (11, tunnel::IPIP),
            (12, tunnel::GUE),
            (13, tunnel::GRE),
            (14, tunnel::GUE | tunnel::CHECKSUM),
            (10, tunnel::GRE | tunnel::CHECKSUM),
        ] {
            for (network, source) in [("10.2.0.", "10.2.0.1"), ("fd00:2::", "fd00:2::1")] {
                let method = Method::Tunnel {
                    kind,
                    port: if kind & 0xf == tunnel::GUE { 6080 } else { 0 },
                    source: source.parse().unwrap(),
                };
                self = self.by(method, &[&format!("{network}{host}")]);
            }
        }
        self
    }
}

/// All of them. Real servers 14 and lower have neighbours, 99 has none, 1 is the director,
/// and there is no way to 10.9.0.1.
pub(crate) fn all() -> Vec<Offer> {
    use Method::{Direct, Nat};
    let three = &["10.2.0.11", "10.2.0.12", "10.2.0.13"];
    let two = &["10.2.0.11", "10.2.0.12"];
    let three6 = &["fd00:2::11", "fd00:2::12", "fd00:2::99"];
    let sometimes_there = &["10.2.0.11", "10.2.0.12", "10.2.0.99"];
    let sometimes_here = &["10.2.0.1", "10.9.0.1", "10.2.0.11"];
    vec![
        Offer::new(TCP, "10.1.0.100", 80).by(Nat, three),
        Offer::new(TCP, "10.1.0.100", 0).by(Nat, &["10.2.0.14"]),
        Offer::new(TCP, "10.1.0.101", 80)
            .persistent(31)
            .by(Nat, sometimes_there),
        Offer::new(TCP, "10.1.0.102", 80),
        Offer::new(TCP, "10.1.0.103", 80).by(Nat, sometimes_here),
        Offer::new(TCP, "fd00:1::100", 80).by(Nat, three6),
        Offer::new(TCP, "fd00:1::101", 80)
            .persistent(127)
            .by(Nat, &["fd00:2::11", "fd00:2::13", "fd00:2::1"]),
        Offer::new(UDP, "10.1.0.100", 80).by(Nat, two),
        Offer::new(UDP, "10.1.0.101", 0)
            .persistent(32)
            .by(Direct, &["10.2.0.11", "10.2.0.13"]),
        Offer::new(UDP, "10.1.0.102", 80).one_packet().by(Nat, two),
        Offer::new(UDP, "fd00:1::100", 80).by(Nat, &["fd00:2::11"]),
        Offer::new(UDP, "fd00:1::101", 80).one_packet().by_tunnels(),
        Offer::new(SCTP, "10.1.0.100", 80).by(Nat, &["10.2.0.11", "10.2.0.14"]),
        Offer::new(SCTP, "10.1.0.101", 80).by(Direct, two),
        Offer::new(SCTP, "10.1.0.102", 80).by_tunnels(),
        Offer::new(SCTP, "fd00:1::100", 80).by(Nat, &["fd00:2::11"]),
        Offer::new(TCP, "10.1.0.103", 443)
            .by(Direct, &["10.2.0.11", "10.2.0.99", "10.2.0.1"])
            .local(),
        Offer::new(TCP, "10.1.0.102", 443).by_tunnels(),
        Offer::new(UDP, "10.1.0.102", 443).by_tunnels(),
        Offer::new(TCP, "fd00:1::102", 80).by_tunnels(),
        Offer::new(TCP, "fd00:1::103", 80)
            .by(Direct, &["fd00:2::11", "fd00:2::12", "fd00:2::1"])
            .local(),
        Offer::of_mark(7, "10.1.0.100")
            .persistent(32)
            .by(Nat, &["10.2.0.11", "10.2.0.13"]),
        Offer::of_mark(7, "fd00:1::100").by(Direct, &["fd00:2::11"]),
        Offer::of_mark(9, "10.1.0.100")
            .one_packet()
            .by(Direct, &["10.2.0.12"]),
        Offer::of_mark(11, "10.1.0.100")
            .by(Nat, &["10.2.0.1"])
            .local(),
        Offer::of_mark(11, "fd00:1::100")
            .persistent(128)
            .by_tunnels(),
    ]
}
