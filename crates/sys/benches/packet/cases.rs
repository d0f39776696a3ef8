//! The lines of the table: which packets, and what they meet.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use elver_packet::reason::Reason;
use elver_packet::wire::{TcpFlags, protocol};

use crate::network::Network;
use crate::script;
use crate::services::{Addresses, DIRECT, GUE, NO_SERVICE, PERSISTENT, PLAIN, TUNNEL, addresses};

/// Packets of a run over few flows.
const SHORT: u32 = 20_000;
/// Flows where there are many.
pub(crate) const MANY: u32 = 1 << 16;
/// New connections of a run.
const NEW: u32 = 10_000;

/// Flows of the matrix where there are most.
pub(crate) const MOST: u32 = 1 << 19;

/// Clients differ in the lower 24 bits, so that none of them is another's neighbour.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0);
const CLIENT_PORT: u16 = 0x8000;

pub(crate) const SYN: u8 = TcpFlags::SYN;
pub(crate) const ACK: u8 = TcpFlags::ACK;

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    RealServer,
}

/// What is done before every run, and is not measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    Nothing,
    /// Enough time passes for every connection's expiry to be put off again.
    ATick,
    /// Next hops are forgotten: each connection asks the routes again.
    RouteChange,
    /// The connection table is emptied when a quarter of it is in use.
    Room,
}

/// Where a packet arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Tc,
    Xdp,
}

/// The family of packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// What is configured beside the services that packets are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Nothing.
    Small,
    /// Ten thousand services with ten real servers each.
    ManyServices,
    /// Room for [`MOST`] connections by each method.
    ManyConnections,
}

/// A line of the table.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: Cow<'static, str>,
    pub(crate) family: Family,
    pub(crate) hook: Hook,
    pub(crate) tables: Tables,
    pub(crate) deed: u64,
    pub(crate) sender: Sender,
    pub(crate) port: u16,
    pub(crate) flags: u8,
    pub(crate) flows: u32,
    /// Flows are so many bits apart: 8 make each another client.
    pub(crate) shift: u32,
    pub(crate) packets: u32,
    pub(crate) before: Before,
    /// What each packet is counted as.
    pub(crate) reason: Option<Reason>,
}

const CASES: &[Case] = &[
    Case {
        name: Cow::Borrowed("established, client to real server, 1 flow"),
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("established, real server to client, 1 flow"),
        ..Case::ANSWER
    },
    Case {
        name: Cow::Borrowed("established, client to real server, 64k flows"),
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("established, real server to client, 64k flows"),
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ANSWER
    },
    Case {
        name: Cow::Borrowed("established, 64k flows, each asks the routes"),
        flows: MANY,
        packets: MANY,
        before: Before::RouteChange,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("10,000 services: established, 1 flow"),
        tables: Tables::ManyServices,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("10,000 services: its answer, 1 flow"),
        tables: Tables::ManyServices,
        ..Case::ANSWER
    },
    Case {
        name: Cow::Borrowed("10,000 services: established, 64k flows"),
        tables: Tables::ManyServices,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("new flow"),
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("10,000 services: new flow"),
        tables: Tables::ManyServices,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("new flow, persistence, client known"),
        port: PERSISTENT,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("new flow, persistence, client new"),
        port: PERSISTENT,
        shift: 8,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("new flow, table full of embryonic ones"),
        before: Before::Nothing,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("no virtual service, amid a connection"),
        port: NO_SERVICE,
        reason: Some(Reason::NotFirst),
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("no virtual service, first packet"),
        port: NO_SERVICE,
        flags: SYN,
        reason: Some(Reason::NoService),
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("XDP: established, client to real server, 1 flow"),
        hook: Hook::Xdp,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("XDP: established, real server to client, 1 flow"),
        hook: Hook::Xdp,
        ..Case::ANSWER
    },
    Case {
        name: Cow::Borrowed("XDP: established, client to real server, 64k flows"),
        hook: Hook::Xdp,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("XDP: established, real server to client, 64k flows"),
        hook: Hook::Xdp,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ANSWER
    },
    Case {
        name: Cow::Borrowed("XDP: established by direct routing, 1 flow"),
        hook: Hook::Xdp,
        port: DIRECT,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("XDP: established through an ipip tunnel, 1 flow"),
        hook: Hook::Xdp,
        port: TUNNEL,
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("XDP: new flow"),
        hook: Hook::Xdp,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("XDP: new flow by direct routing"),
        hook: Hook::Xdp,
        port: DIRECT,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("XDP: new flow through an ipip tunnel"),
        hook: Hook::Xdp,
        port: TUNNEL,
        ..Case::OPENING
    },
    Case {
        name: Cow::Borrowed("XDP: no virtual service, amid a connection: punted"),
        hook: Hook::Xdp,
        port: NO_SERVICE,
        reason: Some(Reason::PuntNoService),
        ..Case::ESTABLISHED
    },
    Case {
        name: Cow::Borrowed("yardstick: LRU_HASH look-up, hot 16-byte key"),
        deed: script::LOOK_UP,
        reason: None,
        ..Case::ESTABLISHED
    },
];

/// The forwarding methods: a name, and the port of a service.
pub(crate) const METHODS: [(&str, u16); 4] = [
    ("NAT", PLAIN),
    ("direct routing", DIRECT),
    ("ipip", TUNNEL),
    ("GUE", GUE),
];

/// Every line: those above, and at XDP every method of either family with few flows and many.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = CASES.to_vec();
    for (family_name, family) in [("IPv4", Family::V4), ("IPv6", Family::V6)] {
        for (method, port) in METHODS {
            let directions = [("", Case::ESTABLISHED), (", its answer", Case::ANSWER)];
            let seen = if port == PLAIN { 2 } else { 1 };
            for (direction, case) in directions.into_iter().take(seen) {
                for (flows, packets, amount) in [
                    (1, SHORT, "1 flow"),
                    (MANY, MANY, "64k flows"),
                    (MOST, MOST, "512k flows"),
                ] {
                    cases.push(Case {
                        name: format!("XDP {family_name} {method}{direction}: {amount}").into(),
                        family,
                        hook: Hook::Xdp,
                        tables: Tables::ManyConnections,
                        port,
                        flows,
                        packets,
                        ..case.clone()
                    });
                }
            }
            cases.push(Case {
                name: format!("XDP {family_name} {method}: new flow").into(),
                family,
                hook: Hook::Xdp,
                tables: Tables::ManyConnections,
                port,
                ..Case::OPENING
            });
        }
    }
    cases
}

impl Case {
    pub(crate) const ESTABLISHED: Case = Case {
        name: Cow::Borrowed(""),
        family: Family::V4,
        hook: Hook::Tc,
        tables: Tables::Small,
        deed: script::ARRIVE,
        sender: Sender::Client,
        port: PLAIN,
        flags: ACK,
        flows: 1,
        shift: 0,
        packets: SHORT,
        before: Before::Nothing,
        reason: Some(Reason::ForwardedToServer),
    };
    pub(crate) const ANSWER: Case = Case {
        sender: Sender::RealServer,
        reason: Some(Reason::ForwardedToClient),
        ..Case::ESTABLISHED
    };
    pub(crate) const OPENING: Case = Case {
        flags: SYN,
        flows: 1 << 31,
        packets: NEW,
        before: Before::Room,
        ..Case::ESTABLISHED
    };

    /// Whether it opens connections for which there is no room.
    pub(crate) fn is_of_full_table(&self) -> bool {
        self.opens() && self.before == Before::Nothing
    }

    /// Whether each of its packets opens a connection.
    pub(crate) fn opens(&self) -> bool {
        self.flows == Case::OPENING.flows
    }

    /// The headers of its packets.
    pub(crate) fn headers(&self, network: &Network) -> [u8; script::HEADERS] {
        let Addresses {
            vip, real_server, ..
        } = addresses(self.family);
        let client = match self.family {
            Family::V4 => IpAddr::from(CLIENT),
            Family::V6 => IpAddr::from(CLIENT6),
        };
        let (mac, from, to) = match self.sender {
            Sender::Client => (network.front.mac, (client, CLIENT_PORT), (vip, self.port)),
            Sender::RealServer => (
                network.back.mac,
                (real_server, self.port),
                (client, CLIENT_PORT),
            ),
        };
        let mut headers = [0; script::HEADERS];
        let mut write = |at: usize, octets: &[u8]| {
            headers[at..at + octets.len()].copy_from_slice(octets);
        };
        write(0, &mac);
        write(6, &[2, 0, 0, 0, 0, 1]);
        let mut at = match self.family {
            Family::V4 => {
                write(12, &[0x08, 0x00, 0x45]);
                write(16, &40u16.to_be_bytes());
                // Do not fragment; 64 hops.
                write(20, &[0x40, 0, 64, protocol::TCP]);
                26
            }
            Family::V6 => {
                write(12, &[0x86, 0xdd, 0x60]);
                write(18, &20u16.to_be_bytes());
                write(20, &[protocol::TCP, 64]);
                22
            }
        };
        for (address, _) in [from, to] {
            match address {
                IpAddr::V4(address) => write(at, &address.octets()),
                IpAddr::V6(address) => write(at, &address.octets()),
            }
            at += if address.is_ipv4() { 4 } else { 16 };
        }
        write(at, &from.1.to_be_bytes());
        write(at + 2, &to.1.to_be_bytes());
        write(at + 12, &[5 << 4, self.flags]);
        headers
    }
}
