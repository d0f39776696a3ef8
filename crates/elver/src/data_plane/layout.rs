//! Services and destinations as the words of their maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use elver_core::service::{
    DestinationSettings, Family, ForwardingMethod, Origin, Persistence, Protocol, Scheduler,
    ServiceKey, ServiceSettings, Tunnel, TunnelChecksum,
};
use elver_packet::flow::tcp::TcpState;
use elver_packet::host::folded;
use elver_packet::schedule::list::Candidate;
use elver_packet::schedule::load::MOST_COMPARED;
use elver_packet::table::connection::handshake;
use elver_packet::table::destination::Destination;
use elver_packet::table::settings::default_timeouts;
use elver_packet::table::{Words, destination, service};
use elver_sys::bpf::{Clock, Maps, Totals};
use elver_sys::netlink::RouteTo;

use super::Slots;

/// The one persistence engine whose name can be kept with a service.
const SIP_ENGINE: &str = "sip";

pub(super) const ESTABLISHED: u8 = TcpState::ESTABLISHED.0;
pub(super) const FIN_WAIT: u8 = TcpState::FIN_WAIT.0;

/// Writes the timeouts that are not there yet.
pub(super) fn set_default_timeouts(maps: &Maps, clock: Clock) {
    for (word, seconds) in default_timeouts() {
        set_default_timeout(maps, clock, word, seconds);
    }
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
    let port_word = words.load(service::PORT_WORD);
    let family = family((port_word >> 16) as u8)?;
    let mark = (port_word >> 32) as u32;
    if mark != 0 {
        return Some(ServiceKey::Mark { mark, family });
    }
    let protocol = Protocol::from_number((words.load(service::FLAGS_WORD) >> 56) as u8)?;
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
    let persistence = (heading as u32 & service::flags::PERSISTENT != 0).then(|| {
        let timeout = timeout(words.load(service::PERSISTENCE_WORD));
        let granularity = words.load(service::GRANULARITY_WORD) as u32;
        let family = (words.load(service::PORT_WORD) >> 16) as u8;
        if family == family_number(Ipv4Addr::UNSPECIFIED.into()) {
            Persistence::with_netmask(timeout, Ipv4Addr::from_bits(u32::from_be(granularity)))
        } else {
            Persistence {
                timeout,
                prefix_length: granularity as u8,
                scattered_mask: None,
            }
        }
    });
    let scheduler = usize::from((heading >> 48) as u8);
    let scheduler = Scheduler::NAMES
        .get(scheduler)
        .map_or(Scheduler::default(), |(scheduler, _)| *scheduler);
    let has = |flag: u32| heading as u32 & flag != 0;
    ServiceSettings {
        scheduler,
        scheduler_flag_1: has(service::flags::SCHEDULER_1),
        scheduler_flag_2: has(service::flags::SCHEDULER_2),
        scheduler_flag_3: has(service::flags::SCHEDULER_3),
        persistence,
        one_packet: has(service::flags::ONE_PACKET),
        persistence_engine: has(service::flags::SIP_ENGINE).then(|| SIP_ENGINE.to_owned()),
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
) {
    let key = index_key(key);
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
    for (is_set, flag) in [
        (settings.one_packet, service::flags::ONE_PACKET),
        (
            settings.persistence_engine.is_some(),
            service::flags::SIP_ENGINE,
        ),
        (settings.scheduler_flag_1, service::flags::SCHEDULER_1),
        (settings.scheduler_flag_2, service::flags::SCHEDULER_2),
        (settings.scheduler_flag_3, service::flags::SCHEDULER_3),
    ] {
        if is_set {
            flags |= flag;
        }
    }
    let (first, second) = words_of(key.address);
    let granularity = persistence.map_or(0, |persistence| match key.family {
        4 => u32::from_ne_bytes(persistence.netmask().octets()),
        _ => persistence.prefix_length.into(),
    });
    words.store(
        service::PERSISTENCE_WORD,
        persistence.map_or(0, |persistence| timeout_word(clock, persistence.timeout)),
    );
    words.store(service::ADDRESS_WORD, first);
    words.store(service::ADDRESS_WORD + 1, second);
    words.store(
        service::PORT_WORD,
        u64::from(u16::from_ne_bytes(key.port))
            | u64::from(key.family) << 16
            | u64::from(key.mark) << 32,
    );
    words.store(service::GRANULARITY_WORD, granularity.into());
    let scheduler = scheduler_number(settings.scheduler);
    let heading = u64::from(flags) | u64::from(scheduler) << 48 | u64::from(key.protocol) << 56;
    words.exchange(service::FLAGS_WORD, heading);
}

/// The number of a scheduler in a service's first word: its place among the names.
pub(super) fn scheduler_number(scheduler: Scheduler) -> u8 {
    let position = Scheduler::NAMES
        .iter()
        .position(|(known, _)| *known == scheduler);
    position.unwrap_or_default() as u8
}

/// How many destinations a service with this scheduler has at the most, if not as many as
/// there are.
pub(super) fn most_destinations(scheduler: u8) -> Option<u32> {
    use elver_packet::table::service::scheduler::*;
    matches!(
        scheduler,
        LEAST_CONNECTION
            | WEIGHTED_LEAST_CONNECTION
            | LOCALITY_BASED
            | LOCALITY_BASED_WITH_REPLICATION
            | SHORTEST_EXPECTED_DELAY
            | NEVER_QUEUE
    )
    .then_some(MOST_COMPARED)
}

/// A destination as its scheduler sees it.
pub(super) fn candidate<W: Words>(id: u32, words: W) -> Candidate {
    let address = destination_address(words);
    Candidate {
        id,
        weight: Destination(words).weight(),
        last_weight: Destination(words).last_weight(),
        address: folded(address.ip()),
        port: address.port(),
    }
}

/// The key of the index of services.
pub(super) fn index_key(key: &ServiceKey) -> service::ServiceKey {
    match key {
        ServiceKey::Address { protocol, address } => service::ServiceKey {
            address: octets(address.ip()),
            mark: 0,
            port: address.port().to_be_bytes(),
            protocol: protocol.number(),
            family: family_number(address.ip()),
        },
        ServiceKey::Mark { mark, family } => {
            let family = match family {
                Family::Inet => 4,
                Family::Inet6 => 6,
            };
            service::ServiceKey::of_mark(*mark, family)
        }
    }
}

/// The settings of a destination.
pub(super) fn destination_settings<W: Words>(words: W) -> DestinationSettings {
    let thresholds = words.load(destination::THRESHOLDS_WORD);
    DestinationSettings {
        method: method(words),
        weight: Destination(words).weight(),
        upper_threshold: thresholds as u32,
        lower_threshold: (thresholds >> 32) as u32,
    }
}

fn method<W: Words>(words: W) -> ForwardingMethod {
    let destination = Destination(words);
    let octet = destination.tunnel_and_checksums();
    let checksum = if octet & destination::tunnel::CHECKSUM != 0 {
        TunnelChecksum::Full
    } else if octet & destination::tunnel::REMOTE_CHECKSUM != 0 {
        TunnelChecksum::Remote
    } else {
        TunnelChecksum::None
    };
    match (destination.heading().method(), destination.tunnel()) {
        (destination::method::DIRECT, _) => ForwardingMethod::DirectRouting,
        (destination::method::TUNNEL, destination::tunnel::GUE) => {
            let port = u16::from_be(destination.tunnel_port());
            ForwardingMethod::Tunnel(Tunnel::Gue { port, checksum })
        }
        (destination::method::TUNNEL, destination::tunnel::GRE) => {
            ForwardingMethod::Tunnel(Tunnel::Gre { checksum })
        }
        (destination::method::TUNNEL, _) => ForwardingMethod::Tunnel(Tunnel::Ipip),
        _ => ForwardingMethod::Nat,
    }
}

/// The method's number, and the kind, with its checksums, and UDP port of the tunnel.
fn method_numbers(method: ForwardingMethod) -> (u8, u8, u16) {
    match method {
        ForwardingMethod::Nat => (destination::method::NAT, 0, 0),
        ForwardingMethod::DirectRouting => (destination::method::DIRECT, 0, 0),
        ForwardingMethod::Tunnel(tunnel) => {
            let (kind, checksum, port) = match tunnel {
                Tunnel::Ipip => (destination::tunnel::IPIP, TunnelChecksum::None, 0),
                Tunnel::Gue { port, checksum } => (destination::tunnel::GUE, checksum, port),
                Tunnel::Gre { checksum } => (destination::tunnel::GRE, checksum, 0),
            };
            let checksum = match checksum {
                TunnelChecksum::None => 0,
                TunnelChecksum::Full => destination::tunnel::CHECKSUM,
                TunnelChecksum::Remote => destination::tunnel::REMOTE_CHECKSUM,
            };
            (destination::method::TUNNEL, kind | checksum, port)
        }
    }
}

/// RIP and rport.
pub(super) fn destination_address<W: Words>(words: W) -> SocketAddr {
    let first = words.load(destination::ADDRESS_WORD);
    let second = words.load(destination::ADDRESS_WORD + 1);
    let port = (words.load(destination::SERVICE_WORD) >> 32) as u16;
    let family = match Destination(words).heading().family() {
        6 => Family::Inet6,
        _ => Family::Inet,
    };
    SocketAddr::new(address(first, second, family), u16::from_be(port))
}

/// Writes how packets get to a destination, as the host's routes have it.
pub(super) fn write_way<W: Words>(words: W, route: Option<RouteTo>) {
    let kind = u64::from(Destination(words).tunnel_and_checksums()) << 32;
    let Some(route) = route else {
        words.store(destination::WAY_WORD, kind);
        change_flags(words, 0, destination::flags::LOCAL);
        return;
    };
    let neighbour = route
        .router
        .unwrap_or_else(|| destination_address(words).ip());
    // Without a device there is no way: what is read meanwhile is not half of each.
    words.store(destination::WAY_WORD, kind);
    write_address(words, destination::NEIGHBOUR_WORD, neighbour);
    if let Some(source) = route.source {
        write_address(words, destination::TUNNEL_SOURCE_WORD, source);
    }
    let family = u64::from(family_number(neighbour)) << 40;
    words.exchange(
        destination::WAY_WORD,
        u64::from(route.interface) | kind | family,
    );
    if route.is_local {
        change_flags(words, destination::flags::LOCAL, 0);
    } else {
        change_flags(words, 0, destination::flags::LOCAL);
    }
}

fn write_address<W: Words>(words: W, word: usize, address: IpAddr) {
    let (first, second) = address_words(address);
    words.store(word, first);
    words.store(word + 1, second);
}

/// When a destination came, compared with others.
pub(super) fn sequence<W: Words>(words: W) -> u32 {
    (words.load(destination::WEIGHT_WORD) >> 32) as u32
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
    words.store(destination::LARGEST_WORD, 0);
    let heading = u64::from(generation) << 32 | u64::from(family_number(address.ip())) << 56;
    words.exchange(destination::FLAGS_WORD, heading);
}

/// Writes what can be changed of a destination that is there.
pub(super) fn write_destination_settings<W: Words>(
    words: W,
    settings: &DestinationSettings,
    sequence: u32,
) {
    // A weight of 0 leaves the last one that was not: it is a destination's share of the
    // slots of mh.
    let weight = match settings.weight {
        0 => Destination(words).last_weight(),
        weight => weight,
    };
    write_share(words, settings, weight, sequence);
}

/// Writes the same of a destination that is new, or comes back.
pub(super) fn write_first_destination_settings<W: Words>(
    words: W,
    settings: &DestinationSettings,
    sequence: u32,
) {
    write_share(words, settings, settings.weight, sequence);
}

fn write_share<W: Words>(words: W, settings: &DestinationSettings, weight: u32, sequence: u32) {
    words.store(
        destination::WEIGHT_WORD,
        u64::from(weight) | u64::from(sequence) << 32,
    );
    let (method, kind, port) = method_numbers(settings.method);
    let service_word = words.load(destination::SERVICE_WORD) & !(0xffff << 48);
    words.store(
        destination::SERVICE_WORD,
        service_word | u64::from(port.to_be()) << 48,
    );
    let way_word = words.load(destination::WAY_WORD) & !(0xff << 32);
    words.store(destination::WAY_WORD, way_word | u64::from(kind) << 32);
    change_heading(words, |heading| {
        heading & !(0xff << 48) | u64::from(method) << 48
    });
    words.store(
        destination::THRESHOLDS_WORD,
        u64::from(settings.upper_threshold) | u64::from(settings.lower_threshold) << 32,
    );
    if settings.weight == 0 {
        change_flags(words, destination::flags::QUIESCENT, 0);
    } else {
        change_flags(words, 0, destination::flags::QUIESCENT);
    }
    Destination(words).judge_overload();
}

/// Sets and clears flags in the first word of a service or destination. Of the latter,
/// programs change one as well ([`destination::flags::OVERLOADED`]).
pub(super) fn change_flags<W: Words>(words: W, set: u32, clear: u32) {
    change_heading(words, |word| word & !u64::from(clear) | u64::from(set));
}

fn change_heading<W: Words>(words: W, change: impl Fn(u64) -> u64) {
    loop {
        let word = words.load(0);
        let changed = change(word);
        if words.compare_exchange(0, word, changed) {
            return;
        }
    }
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

/// How long TCP's handshake takes there, if one has been seen.
pub(super) fn handshake<W: Words>(destination: Destination<W>) -> Option<Duration> {
    let nanoseconds = u64::from(destination.handshake()) << handshake::UNIT_SHIFT;
    (nanoseconds != 0).then_some(Duration::from_nanos(nanoseconds))
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

pub(super) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            octets
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

pub(super) fn address_words(address: IpAddr) -> (u64, u64) {
    words_of(octets(address))
}

fn words_of(octets: [u8; 16]) -> (u64, u64) {
    let octets = u128::from_ne_bytes(octets);
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

#[cfg(test)]
mod tests {
    use elver_packet::table::service::scheduler as number;

    use super::*;

    #[test]
    fn schedulers_have_the_numbers_that_the_packet_function_knows() {
        for (scheduler, number) in [
            (Scheduler::Rr, number::ROUND_ROBIN),
            (Scheduler::Wrr, number::WEIGHTED_ROUND_ROBIN),
            (Scheduler::Lc, number::LEAST_CONNECTION),
            (Scheduler::Wlc, number::WEIGHTED_LEAST_CONNECTION),
            (Scheduler::Lblc, number::LOCALITY_BASED),
            (Scheduler::Lblcr, number::LOCALITY_BASED_WITH_REPLICATION),
            (Scheduler::Dh, number::DESTINATION_HASHING),
            (Scheduler::Sh, number::SOURCE_HASHING),
            (Scheduler::Sed, number::SHORTEST_EXPECTED_DELAY),
            (Scheduler::Nq, number::NEVER_QUEUE),
            (Scheduler::Fo, number::FAILOVER),
            (Scheduler::Ovf, number::OVERFLOW),
            (Scheduler::Mh, number::MAGLEV_HASHING),
            (Scheduler::Twos, number::POWER_OF_TWO_CHOICES),
        ] {
            assert_eq!(scheduler_number(scheduler), number, "{}", scheduler.name());
        }
    }
}
