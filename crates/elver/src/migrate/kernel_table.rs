//! What the kernel's IPVS has, in this program's own words; and how it is taken away and put back.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use elver_core::ipvsadm::kernel_connections;
use elver_core::lb::Foreign;
use elver_core::service::{
    ConnectionState, DestinationSettings, DestinationState, Family, ForwardingMethod, Origin,
    Persistence, Protocol, Rates, Scheduler, ServiceKey, ServiceSettings, ServiceState, Statistics,
    Timeouts, Tunnel, TunnelChecksum,
};
use elver_sys::netlink::{KernelDestination, KernelIpvs, KernelService};

use crate::director::HOLDING_MARK;
use crate::failure::Failure;

/// Where the kernel lists its connections.
const CONNECTIONS: &str = "/proc/net/ip_vs_conn";

/// `IP_VS_SVC_F_*`.
const PERSISTENT: u32 = 1;
const ONE_PACKET: u32 = 4;
const SCHEDULER_FLAGS: [u32; 3] = [8, 16, 32];

/// 1 there ends connections whose real server has gone away, instead of waiting for it.
const EXPIRE_NODEST_CONN: &str = "/proc/sys/net/ipv4/vs/expire_nodest_conn";

/// The kernel's table.
pub(super) struct KernelTable {
    ipvs: Option<KernelIpvs>,
    original: Vec<KernelService>,
    /// Its services.
    pub(super) services: Vec<ServiceState>,
    /// What of it is not understood, in words.
    pub(super) unknown: Vec<String>,
    /// How long idle connections stay, where that is not the default.
    pub(super) timeouts: Option<Timeouts>,
    /// Whether connections are sent to other directors, or received from some.
    pub(super) is_synchronised: bool,
    /// What [`KernelTable::hold`] has changed.
    expire_nodest_conn: Option<String>,
}

impl KernelTable {
    /// Reads it; a kernel without IPVS has an empty one.
    pub(super) fn read() -> Result<KernelTable, Failure> {
        let reading = || Failure::system("reading the table of the kernel's IPVS");
        let mut ipvs = KernelIpvs::open().map_err(reading())?;
        let (mut original, mut timeouts, mut daemons) = (Vec::new(), None, (false, false));
        if let Some(ipvs) = &mut ipvs {
            original = ipvs.services().map_err(reading())?;
            // One that was killed has left it.
            original.retain(|service| service.mark != HOLDING_MARK);
            timeouts = Some(ipvs.timeouts().map_err(reading())?);
            daemons = ipvs.sync_daemons().map_err(reading())?;
        }
        let (mut services, mut unknown) = (Vec::new(), Vec::new());
        for service in &original {
            match state(service) {
                Ok(state) => services.push(state),
                Err(words) => unknown.push(words),
            }
        }
        let timeouts = timeouts.map(|timeouts| {
            let [tcp, tcp_fin, udp] =
                timeouts.map(|seconds| Duration::from_secs(u64::from(seconds)));
            Timeouts { tcp, tcp_fin, udp }
        });
        Ok(KernelTable {
            ipvs,
            original,
            services,
            unknown,
            timeouts: timeouts.filter(|timeouts| *timeouts != DEFAULT_TIMEOUTS),
            is_synchronised: daemons.0 || daemons.1,
            expire_nodest_conn: None,
        })
    }

    /// The connections that the kernel has now, and its persistence templates.
    pub(super) fn connections() -> Result<Vec<ConnectionState>, Failure> {
        match std::fs::read_to_string(CONNECTIONS) {
            Ok(text) => Ok(kernel_connections(&text).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Failure::system(CONNECTIONS)(error)),
        }
    }

    /// Has the kernel drop packets of connections whose real server goes away, until
    /// [`KernelTable::let_go`]: without any service its hooks would be gone, and the packets would
    /// be answered by this host's own stack, with a reset.
    pub(super) fn hold(&mut self) -> Result<(), Failure> {
        let families = self.families();
        let Some(ipvs) = &mut self.ipvs else {
            return Ok(());
        };
        for is_ipv4 in families {
            ipvs.add_mark(HOLDING_MARK, is_ipv4)
                .map_err(Failure::system("adding a service to the kernel's IPVS"))?;
        }
        if let Ok(before) = std::fs::read_to_string(EXPIRE_NODEST_CONN) {
            std::fs::write(EXPIRE_NODEST_CONN, "0").map_err(Failure::system(EXPIRE_NODEST_CONN))?;
            self.expire_nodest_conn = Some(before);
        }
        Ok(())
    }

    /// Ends what [`KernelTable::hold`] has begun.
    pub(super) fn let_go(&mut self) -> Result<(), Failure> {
        let families = self.families();
        if let Some(before) = self.expire_nodest_conn.take() {
            std::fs::write(EXPIRE_NODEST_CONN, before)
                .map_err(Failure::system(EXPIRE_NODEST_CONN))?;
        }
        let Some(ipvs) = &mut self.ipvs else {
            return Ok(());
        };
        for is_ipv4 in families {
            ipvs.remove_mark(HOLDING_MARK, is_ipv4)
                .map_err(Failure::system("clearing the table of the kernel's IPVS"))?;
        }
        Ok(())
    }

    /// The families of its services, IPv4 as true.
    fn families(&self) -> BTreeSet<bool> {
        let services = self.original.iter();
        services
            .map(|service| service.address.1.is_ipv4())
            .collect()
    }

    /// Takes every service away.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        let Some(ipvs) = &mut self.ipvs else {
            return Ok(());
        };
        self.original
            .iter()
            .try_for_each(|service| ipvs.remove(service))
            .map_err(Failure::system("clearing the table of the kernel's IPVS"))
    }

    /// Puts back what operators had made.
    pub(super) fn put_back(&mut self, by_hand: &[Foreign]) -> Result<(), Failure> {
        let Some(ipvs) = &mut self.ipvs else {
            return Ok(());
        };
        for foreign in by_hand {
            let key = foreign.service.key;
            let Some(original) = (self.original.iter())
                .find(|service| state(service).is_ok_and(|state| state.key == key))
            else {
                continue;
            };
            let mut service = original.clone();
            service.destinations.retain(|each| {
                let address = SocketAddr::new(each.address, each.port);
                let mut destinations = foreign.service.destinations.iter();
                destinations.any(|foreign| foreign.address == address)
            });
            let put_back = ipvs.put_back(&service);
            put_back.map_err(Failure::system(format!(
                "putting {key} back into the kernel's IPVS"
            )))?;
        }
        Ok(())
    }
}

/// What the kernel has unless `ipvsadm --set` says otherwise.
const DEFAULT_TIMEOUTS: Timeouts = Timeouts {
    tcp: Duration::from_secs(900),
    tcp_fin: Duration::from_secs(120),
    udp: Duration::from_secs(300),
};

/// A service in this program's words, or what of it has none.
fn state(service: &KernelService) -> Result<ServiceState, String> {
    let (number, address, port) = service.address;
    let key = if service.mark != 0 {
        ServiceKey::Mark {
            mark: service.mark,
            family: Family::of(address),
        }
    } else {
        let protocol = Protocol::from_number(number)
            .ok_or_else(|| format!("a service of IP protocol {number} at {address}"))?;
        ServiceKey::Address {
            protocol,
            address: SocketAddr::new(address, port),
        }
    };
    let scheduler = Scheduler::from_name(&service.scheduler)
        .ok_or_else(|| format!("{key} has the scheduler {}", service.scheduler))?;
    let timeout = Duration::from_secs(service.timeout.into());
    let persistence = (service.flags & PERSISTENT != 0).then(|| match address {
        IpAddr::V4(_) => {
            Persistence::with_netmask(timeout, Ipv4Addr::from_bits(u32::from_be(service.netmask)))
        }
        IpAddr::V6(_) => Persistence {
            timeout,
            prefix_length: service.netmask as u8,
            scattered_mask: None,
        },
    });
    let [flag_1, flag_2, flag_3] = SCHEDULER_FLAGS.map(|flag| service.flags & flag != 0);
    let destinations = service
        .destinations
        .iter()
        .map(|each| destination(&key, each));
    Ok(ServiceState {
        key,
        settings: ServiceSettings {
            scheduler,
            scheduler_flag_1: flag_1,
            scheduler_flag_2: flag_2,
            scheduler_flag_3: flag_3,
            persistence,
            persistence_engine: service.engine.clone(),
            one_packet: service.flags & ONE_PACKET != 0,
        },
        origin: Origin::Operator,
        destinations: destinations.collect::<Result<_, _>>()?,
        statistics: Statistics::default(),
        rates: Rates::default(),
    })
}

fn destination(key: &ServiceKey, each: &KernelDestination) -> Result<DestinationState, String> {
    let address = SocketAddr::new(each.address, each.port);
    // IP_VS_CONN_F_*: masquerading, local node, tunnel, direct routing.
    let method = match each.method & 7 {
        0 => ForwardingMethod::Nat,
        2 => ForwardingMethod::Tunnel(
            tunnel(each.tunnel)
                .ok_or_else(|| format!("{key} has a tunnel of another kind to {address}"))?,
        ),
        // The kernel makes a real server that is the director itself a local node.
        1 | 3 => ForwardingMethod::DirectRouting,
        other => return Err(format!("{key} forwards to {address} by method {other}")),
    };
    Ok(DestinationState {
        address,
        settings: DestinationSettings {
            method,
            weight: each.weight,
            upper_threshold: each.thresholds.0,
            lower_threshold: each.thresholds.1,
        },
        origin: Origin::Operator,
        active: 0,
        inactive: 0,
        persistent: 0,
        handshake: None,
        statistics: Statistics::default(),
        rates: Rates::default(),
    })
}

/// `IP_VS_CONN_F_TUNNEL_TYPE_*` with `IP_VS_TUNNEL_ENCAP_FLAG_*`.
fn tunnel((kind, port, flags): (u8, u16, u16)) -> Option<Tunnel> {
    let checksum = match flags {
        0 => TunnelChecksum::None,
        1 => TunnelChecksum::Full,
        2 => TunnelChecksum::Remote,
        _ => return None,
    };
    match kind {
        0 => Some(Tunnel::Ipip),
        1 => Some(Tunnel::Gue { port, checksum }),
        2 => Some(Tunnel::Gre { checksum }),
        _ => None,
    }
}
