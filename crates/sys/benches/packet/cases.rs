//! The lines of the table: which packets, and what they meet.

use elver_packet::reason::Reason;
use elver_packet::wire::{TcpFlags, protocol};

use crate::network::Network;
use crate::script;
use crate::services::{DIRECT, NO_SERVICE, PERSISTENT, PLAIN, REAL_SERVER, TUNNEL, VIP};

/// Packets of a run over few flows.
const SHORT: u32 = 20_000;
/// Flows where there are many.
pub(crate) const MANY: u32 = 1 << 16;
/// New connections of a run.
const NEW: u32 = 10_000;

/// Clients differ in the lower 24 bits, so that none of them is another's neighbour.
const CLIENT: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 0);
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

/// What is configured beside the services that packets are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Nothing.
    Small,
    /// Ten thousand services with ten real servers each.
    Large,
}

/// A line of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
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

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "established, client to real server, 1 flow",
        ..Case::ESTABLISHED
    },
    Case {
        name: "established, real server to client, 1 flow",
        ..Case::ANSWER
    },
    Case {
        name: "established, client to real server, 64k flows",
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: "established, real server to client, 64k flows",
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ANSWER
    },
    Case {
        name: "established, 64k flows, each asks the routes",
        flows: MANY,
        packets: MANY,
        before: Before::RouteChange,
        ..Case::ESTABLISHED
    },
    Case {
        name: "10,000 services: established, 1 flow",
        tables: Tables::Large,
        ..Case::ESTABLISHED
    },
    Case {
        name: "10,000 services: its answer, 1 flow",
        tables: Tables::Large,
        ..Case::ANSWER
    },
    Case {
        name: "10,000 services: established, 64k flows",
        tables: Tables::Large,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: "new flow",
        ..Case::OPENING
    },
    Case {
        name: "10,000 services: new flow",
        tables: Tables::Large,
        ..Case::OPENING
    },
    Case {
        name: "new flow, persistence, client known",
        port: PERSISTENT,
        ..Case::OPENING
    },
    Case {
        name: "new flow, persistence, client new",
        port: PERSISTENT,
        shift: 8,
        ..Case::OPENING
    },
    Case {
        name: "new flow, table full of embryonic ones",
        before: Before::Nothing,
        ..Case::OPENING
    },
    Case {
        name: "no virtual service, amid a connection",
        port: NO_SERVICE,
        reason: Some(Reason::NotFirst),
        ..Case::ESTABLISHED
    },
    Case {
        name: "no virtual service, first packet",
        port: NO_SERVICE,
        flags: SYN,
        reason: Some(Reason::NoService),
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established, client to real server, 1 flow",
        hook: Hook::Xdp,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established, real server to client, 1 flow",
        hook: Hook::Xdp,
        ..Case::ANSWER
    },
    Case {
        name: "XDP: established, client to real server, 64k flows",
        hook: Hook::Xdp,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established, real server to client, 64k flows",
        hook: Hook::Xdp,
        flows: MANY,
        packets: MANY,
        before: Before::ATick,
        ..Case::ANSWER
    },
    Case {
        name: "XDP: established by direct routing, 1 flow",
        hook: Hook::Xdp,
        port: DIRECT,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: established through an ipip tunnel, 1 flow",
        hook: Hook::Xdp,
        port: TUNNEL,
        ..Case::ESTABLISHED
    },
    Case {
        name: "XDP: new flow",
        hook: Hook::Xdp,
        ..Case::OPENING
    },
    Case {
        name: "XDP: new flow by direct routing",
        hook: Hook::Xdp,
        port: DIRECT,
        ..Case::OPENING
    },
    Case {
        name: "XDP: new flow through an ipip tunnel",
        hook: Hook::Xdp,
        port: TUNNEL,
        ..Case::OPENING
    },
    Case {
        name: "XDP: no virtual service, amid a connection: punted",
        hook: Hook::Xdp,
        port: NO_SERVICE,
        reason: Some(Reason::PuntNoService),
        ..Case::ESTABLISHED
    },
    Case {
        name: "yardstick: LRU_HASH look-up, hot 16-byte key",
        deed: script::LOOK_UP,
        reason: None,
        ..Case::ESTABLISHED
    },
];

impl Case {
    pub(crate) const ESTABLISHED: Case = Case {
        name: "",
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
        let (mac, from, to) = match self.sender {
            Sender::Client => (network.front.mac, (CLIENT, CLIENT_PORT), (VIP, self.port)),
            Sender::RealServer => (
                network.back.mac,
                (REAL_SERVER, self.port),
                (CLIENT, CLIENT_PORT),
            ),
        };
        let mut headers = [0; script::HEADERS];
        let mut write = |at: usize, octets: &[u8]| {
            headers[at..at + octets.len()].copy_from_slice(octets);
        };
        write(0, &mac);
        write(6, &[2, 0, 0, 0, 0, 1]);
        write(12, &[0x08, 0x00, 0x45]);
        write(16, &40u16.to_be_bytes());
        // Do not fragment; 64 hops.
        write(20, &[0x40, 0, 64, protocol::TCP]);
        write(26, &from.0.octets());
        write(30, &to.0.octets());
        write(34, &from.1.to_be_bytes());
        write(36, &to.1.to_be_bytes());
        write(46, &[5 << 4, self.flags]);
        headers
    }
}
