//! Services and destinations as the words of their maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use elver_core::service::{
    DestinationSettings, EditError, Family, ForwardingMethod, Origin, Persistence, Protocol,
    Scheduler, ServiceKey, ServiceSettings,
};
use elver_packet::flow::tcp::TcpState;
use elver_packet::table::settings::{TCP_TIMEOUTS_WORD, UDP_TIMEOUT_WORD};
use elver_packet::table::{Words, destination, service};
use elver_sys::bpf::{Clock, Maps, Totals};

use super::Slots;

pub(super) const ESTABLISHED: u8 = TcpState::ESTABLISHED.0;
pub(super) const FIN_WAIT: u8 = TcpState::FIN_WAIT.0;

/// The kernel's default for UDP (`udp_timeouts` in `ip_vs_proto_udp.c`).
const UDP_SECONDS: u32 = 300;

/// Writes the timeouts that are not there yet.
pub(super) fn set_default_timeouts(maps: &Maps, clock: Clock) {
    for (state, seconds) in TcpState::TIMEOUT_SECONDS.into_iter().enumerate() {
        set_default_timeout(maps, clock, TCP_TIMEOUTS_WORD + state, seconds);
    }
    set_default_timeout(maps, clock, UDP_TIMEOUT_WORD, UDP_SECONDS);
}

fn set_default_timeout(maps: &Maps, clock: Clock, word: usize, seconds: u32) {
    if let Some(settings) = maps.settings()
        && settings.load(word) == 0
    {
        settings.store(
            word,
            timeout_word(clock, Duration::from_secs(seconds.into())),
        );
    }
}

/// A timeout as a word of the settings.
pub(super) fn timeout_word(clock: Clock, timeout: Duration) -> u64 {
    let seconds = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
    u64::from(clock.ticks(timeout)) | u64::from(seconds) << 32
}

/// The timeout in a word of the settings or of a service.
pub(super) fn timeout(word: u64) -> Duration {
    Duration::from_secs(word >> 32)
}

/// Whether a service exists, not only its slot.
pub(super) fn is_live<W: Words>(words: W) -> bool {
    words.load(service::FLAGS_WORD) as u32 & service::flags::LIVE != 0
}

/// The key that a slot has or had; none for one that was never used.
pub(super) fn service_key<W: Words>(words: W) -> Option<ServiceKey> {
    let protocol = Protocol::from_number((words.load(service::FLAGS_WORD) >> 56) as u8)?;
    let port_word = words.load(service::PORT_WORD);
    let family = family((port_word >> 16) as u8)?;
    let address = address(
        words.load(service::ADDRESS_WORD),
        words.load(service::ADDRESS_WORD + 1),
        family,
    );
    let port = u16::from_be(port_word as u16);
    Some(ServiceKey::Address {
        protocol,
        address: SocketAddr::new(address, port),
    })
}

/// The settings of a service.
pub(super) fn service_settings<W: Words>(words: W) -> ServiceSettings {
    let heading = words.load(service::FLAGS_WORD);
    let persistence = (heading as u32 & service::flags::PERSISTENT != 0).then(|| Persistence {
        timeout: timeout(words.load(service::PERSISTENCE_WORD)),
        prefix_length: (words.load(service::PORT_WORD) >> 24) as u8,
        scattered_mask: None,
    });
    let scheduler = usize::from((heading >> 48) as u8);
    let scheduler = Scheduler::NAMES
        .get(scheduler)
        .map_or(Scheduler::default(), |(scheduler, _)| *scheduler);
    ServiceSettings {
        scheduler,
        persistence,
        ..ServiceSettings::default()
    }
}

/// Writes a whole service but for its member list.
pub(super) fn write_service<W: Words>(
    words: W,
    key: &ServiceKey,
    settings: &ServiceSettings,
    origin: Origin,
    held: bool,
    clock: Clock,
) -> Result<(), EditError> {
    let (protocol, address) = supported_key(key)?;
    let persistence = settings.persistence;
    let mut flags = service::flags::LIVE;
    if held {
        flags |= service::flags::HELD;
    }
    if persistence.is_some() {
        flags |= service::flags::PERSISTENT;
    }
    if origin == Origin::Configuration {
        flags |= service::flags::FROM_CONFIGURATION;
    }
    let (first, second) = address_words(address.ip());
    let prefix = persistence.map_or(0, |persistence| persistence.prefix_length);
    words.store(
        service::PERSISTENCE_WORD,
        persistence.map_or(0, |persistence| timeout_word(clock, persistence.timeout)),
    );
    words.store(service::ADDRESS_WORD, first);
    words.store(service::ADDRESS_WORD + 1, second);
    words.store(
        service::PORT_WORD,
        u64::from(address.port().to_be())
            | u64::from(family_number(address.ip())) << 16
            | u64::from(prefix) << 24,
    );
    let scheduler = scheduler_number(settings.scheduler)?;
    let heading =
        u64::from(flags) | u64::from(scheduler) << 48 | u64::from(protocol.number()) << 56;
    words.exchange(service::FLAGS_WORD, heading);
    Ok(())
}

fn scheduler_number(scheduler: Scheduler) -> Result<u8, EditError> {
    let position = Scheduler::NAMES
        .iter()
        .position(|(known, _)| *known == scheduler);
    match (scheduler, position) {
        (Scheduler::Rr, Some(position)) => Ok(position as u8),
        _ => Err(EditError::Unsupported(format!(
            "the scheduler {}",
            scheduler.name()
        ))),
    }
}

/// What this data plane can do with a service.
pub(super) fn check_service(key: &ServiceKey, settings: &ServiceSettings) -> Result<(), EditError> {
    supported_key(key)?;
    scheduler_number(settings.scheduler)?;
    let unsupported = |what: &str| Err(EditError::Unsupported(what.to_owned()));
    if settings.one_packet {
        return unsupported("one-packet scheduling");
    }
    if settings
        .persistence
        .is_some_and(|persistence| persistence.scattered_mask.is_some())
    {
        return unsupported("a persistence netmask that is no prefix");
    }
    if settings.persistence_engine.is_some() {
        return unsupported("persistence engines");
    }
    Ok(())
}

fn supported_key(key: &ServiceKey) -> Result<(Protocol, SocketAddr), EditError> {
    match key {
        ServiceKey::Address {
            protocol: Protocol::Tcp,
            address,
        } => Ok((Protocol::Tcp, *address)),
        ServiceKey::Address { protocol, .. } => Err(EditError::Unsupported(format!(
            "virtual services of {protocol}"
        ))),
        ServiceKey::Mark { .. } => Err(EditError::Unsupported(
            "virtual services of firewall marks".to_owned(),
        )),
    }
}

/// The key of the index of services.
pub(super) fn index_key(key: &ServiceKey) -> Result<service::ServiceKey, EditError> {
    let (protocol, address) = supported_key(key)?;
    Ok(service::ServiceKey {
        address: octets(address.ip()),
        mark: 0,
        port: address.port().to_be_bytes(),
        protocol: protocol.number(),
        family: family_number(address.ip()),
    })
}

/// What this data plane can do with a destination of a service.
pub(super) fn check_destination(settings: &DestinationSettings) -> Result<(), EditError> {
    let unsupported = |what: &str| Err(EditError::Unsupported(what.to_owned()));
    match settings.method {
        ForwardingMethod::Nat => {}
        ForwardingMethod::DirectRouting => return unsupported("direct routing"),
        ForwardingMethod::Tunnel(_) => return unsupported("tunnels"),
    }
    if settings.upper_threshold != 0 {
        return unsupported("connection thresholds");
    }
    Ok(())
}

/// The settings of a destination.
pub(super) fn destination_settings<W: Words>(words: W) -> DestinationSettings {
    let thresholds = words.load(destination::THRESHOLDS_WORD);
    DestinationSettings {
        method: ForwardingMethod::Nat,
        weight: words.load(destination::WEIGHT_WORD) as u32,
        upper_threshold: thresholds as u32,
        lower_threshold: (thresholds >> 32) as u32,
    }
}

/// RIP and rport.
pub(super) fn destination_address<W: Words>(words: W, family: Family) -> SocketAddr {
    let first = words.load(destination::ADDRESS_WORD);
    let second = words.load(destination::ADDRESS_WORD + 1);
    let port = (words.load(destination::SERVICE_WORD) >> 32) as u16;
    SocketAddr::new(address(first, second, family), u16::from_be(port))
}

/// When a destination came, compared with others.
pub(super) fn sequence<W: Words>(words: W) -> u32 {
    (words.load(destination::WEIGHT_WORD) >> 32) as u32
}

/// Whether a destination takes new connections.
pub(super) fn takes_connections<W: Words>(words: W) -> bool {
    words.load(destination::WEIGHT_WORD) as u32 != 0
}

/// Writes a destination that nobody refers to yet, of the slot's next generation.
pub(super) fn write_destination<W: Words>(words: W, service: u32, address: SocketAddr) {
    let generation = ((words.load(destination::FLAGS_WORD) >> 32) as u16).wrapping_add(1);
    let (first, second) = address_words(address.ip());
    words.store(
        destination::SERVICE_WORD,
        u64::from(service) | u64::from(address.port().to_be()) << 32,
    );
    words.store(destination::ADDRESS_WORD, first);
    words.store(destination::ADDRESS_WORD + 1, second);
    words.store(destination::CONNECTIONS_WORD, 0);
    words.store(destination::TEMPLATES_WORD, 0);
    let heading = u64::from(generation) << 32
        | u64::from(destination::method::NAT) << 48
        | u64::from(family_number(address.ip())) << 56;
    words.exchange(destination::FLAGS_WORD, heading);
}

/// Writes what can be changed of a destination.
pub(super) fn write_destination_settings<W: Words>(
    words: W,
    settings: &DestinationSettings,
    sequence: u32,
) {
    words.store(
        destination::WEIGHT_WORD,
        u64::from(settings.weight) | u64::from(sequence) << 32,
    );
    words.store(
        destination::THRESHOLDS_WORD,
        u64::from(settings.upper_threshold) | u64::from(settings.lower_threshold) << 32,
    );
}

/// Sets and clears flags in the first word of a service or destination, which only the
/// director writes.
pub(super) fn change_flags<W: Words>(words: W, set: u32, clear: u32) {
    let word = words.load(0);
    words.exchange(0, word & !u64::from(clear) | u64::from(set));
}

/// Tells a service and its destinations whether their address is one of this host's.
pub(super) fn set_held(maps: &Maps, slots: &Slots, held: bool) {
    let change = |words, flag| {
        if held {
            change_flags(words, flag, 0)
        } else {
            change_flags(words, 0, flag)
        }
    };
    if let Some(words) = maps.service(slots.service) {
        change(words, service::flags::HELD);
    }
    for id in slots.destinations.iter().chain(&slots.tombstones) {
        if let Some(words) = maps.destination(*id) {
            change(words, destination::flags::HELD);
        }
    }
}

/// Who put it there.
pub(super) fn origin(flags: u32, from_configuration: u32) -> Origin {
    if flags & from_configuration != 0 {
        Origin::Configuration
    } else {
        Origin::Operator
    }
}

/// Totals of a service's destinations that are gone.
pub(super) fn past_totals<W: Words>(words: W) -> Totals {
    std::array::from_fn(|position| words.load(service::PAST_WORD + position))
}

/// Writes what [`past_totals`] reads.
pub(super) fn write_past_totals<W: Words>(words: W, totals: &Totals) {
    for (position, total) in totals.iter().enumerate() {
        words.store(service::PAST_WORD + position, *total);
    }
}

fn family(number: u8) -> Option<Family> {
    match number {
        4 => Some(Family::Inet),
        6 => Some(Family::Inet6),
        _ => None,
    }
}

fn family_number(address: IpAddr) -> u8 {
    if address.is_ipv4() { 4 } else { 6 }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            octets
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn address_words(address: IpAddr) -> (u64, u64) {
    let octets = u128::from_ne_bytes(octets(address));
    (octets as u64, (octets >> 64) as u64)
}

fn address(first: u64, second: u64, family: Family) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::from((first as u32).to_ne_bytes())),
        Family::Inet6 => {
            let octets = (u128::from(first) | u128::from(second) << 64).to_ne_bytes();
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    }
}
