//! What a received packet must be, before an instance believes it.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::addressing::group_of;
use super::advertisement::{Advertisement, DecodeError, Envelope, HOP_LIMIT};
use super::authentication_header;
use super::trailer::{Speaker, TRAILER_LENGTH, TrailerState};
use crate::config::model::{Authentication, UnicastChecksum, VrrpInstance, VrrpVersion};

/// A VRRP packet as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Source address of the IP header.
    pub source: IpAddr,
    /// Destination address of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit of the IP header.
    pub hop_limit: u8,
    /// The advertisement: what follows the IP header, and an authentication header.
    pub payload: &'a [u8],
    /// The whole packet, where there is an authentication header in it.
    pub sealed: Option<&'a [u8]>,
}

/// Why an instance did not take an advertisement; displayed in keepalived's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is not an advertisement.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// It was forwarded by a router, or forged from afar.
    #[error("invalid TTL/HL. Received {0} and expect 255")]
    HopLimit(u8),
    /// It is of the other version.
    #[error("wrong version. Received {received} and expect {expected}")]
    Version {
        /// Version received.
        received: u8,
        /// Version configured.
        expected: u8,
    },
    /// It is authenticated in another way than the instance.
    #[error("received a {received} auth, expecting {expected}!")]
    AuthenticationType {
        /// Type received.
        received: u8,
        /// Type configured.
        expected: u8,
    },
    /// The password is another one.
    #[error("received an invalid passwd!")]
    Password,
    /// It is to have an authentication header and has none, or the other way round.
    #[error("No AH header but auth type is AH")]
    NoHeader,
    /// Its authentication header is not right: it was made with another password, or changed.
    #[error("invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !")]
    HeaderValue,
    /// It was sent before: another one with a later number has come already.
    #[error(
        "IPSEC-AH : sequence number {received} already processed. Packet dropped. Local({ours})"
    )]
    Replayed {
        /// The sequence number received.
        received: u32,
        /// The last one sent or received.
        ours: u32,
    },
    /// It is to have a trailer and has none.
    #[error("missing authentication trailer")]
    NoTrailer,
    /// Its trailer is of another kind.
    #[error("malformed authentication trailer")]
    TrailerMalformed,
    /// Its trailer was made with a key that is not known here.
    #[error("unknown authentication key id {0}")]
    TrailerKey(u8),
    /// Its trailer was made with another key, or it was changed.
    #[error("invalid authentication HMAC")]
    TrailerHash,
    /// Its trailer is too old, or the clocks differ.
    #[error("stale authentication trailer, clock skew {skew} sec exceeds window {window} sec")]
    TrailerStale {
        /// Seconds by which the clock here is ahead.
        skew: i64,
        /// Seconds by which it may be.
        window: u64,
    },
    /// It was sent before.
    #[error("replayed authentication trailer")]
    TrailerReplayed,
    /// Version 2: the sender advertises in another interval.
    #[error("advertisement interval mismatch mine={} sec rcv'd={} sec", mine.as_secs(), received.as_secs())]
    Interval {
        /// The interval configured.
        mine: Duration,
        /// The interval received.
        received: Duration,
    },
    /// Version 3: the interval of the sender is zero, by which every backup would take over at
    /// once.
    #[error("received an advertisement interval of 0")]
    NoInterval,
    /// It has another number of addresses.
    #[error("received an unexpected ip number count {received}, expected {expected}!")]
    AddressCount {
        /// Addresses received.
        received: usize,
        /// Addresses configured.
        expected: usize,
    },
    /// It does not have one of our addresses.
    #[error(
        "ip address associated with VRID {virtual_router_id} not present in MASTER advert: {address}"
    )]
    AddressMissing {
        /// The VRID.
        virtual_router_id: u8,
        /// The address that the instance has and the advertisement has not.
        address: IpAddr,
    },
    /// It was sent to this host alone.
    #[error("Expected multicast packet but received unicast packet")]
    Unicast,
    /// It was sent to the group, and the instance speaks with its peers only.
    #[error("Expected unicast packet but received multicast packet")]
    Multicast,
    /// It is from a router that is no peer of the instance.
    #[error("unicast source address {0} not a unicast peer")]
    NotAPeer(IpAddr),
    /// It has come from too near or too far for this peer.
    #[error("TTL/HL {received} of unicast peer is not from {least} to {most}")]
    PeerHopLimit {
        /// TTL or hop limit received.
        received: u8,
        /// The least configured.
        least: u8,
        /// The most configured.
        most: u8,
    },
}

/// What rejections are counted by, in the terms of keepalived's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is named after the field that is wrong")]
pub enum RejectionKind {
    Length,
    HopLimit,
    Version,
    Type,
    Checksum,
    AuthenticationTypeInvalid,
    AuthenticationTypeMismatch,
    AuthenticationFailure,
    Interval,
    AddressList,
}

impl Rejection {
    /// What it is counted as.
    pub fn kind(&self) -> RejectionKind {
        match self {
            Rejection::Malformed(error) => match error {
                DecodeError::Length { .. } => RejectionKind::Length,
                DecodeError::Version(_) => RejectionKind::Version,
                DecodeError::Type(_) => RejectionKind::Type,
                DecodeError::Checksum(_) => RejectionKind::Checksum,
                DecodeError::AuthenticationType(_) => RejectionKind::AuthenticationTypeInvalid,
            },
            Rejection::HopLimit(_) | Rejection::PeerHopLimit { .. } => RejectionKind::HopLimit,
            Rejection::Version { .. } => RejectionKind::Version,
            Rejection::AuthenticationType { .. } | Rejection::NoHeader => {
                RejectionKind::AuthenticationTypeMismatch
            }
            Rejection::Password
            | Rejection::HeaderValue
            | Rejection::Replayed { .. }
            | Rejection::NoTrailer
            | Rejection::TrailerMalformed
            | Rejection::TrailerKey(_)
            | Rejection::TrailerHash
            | Rejection::TrailerStale { .. }
            | Rejection::TrailerReplayed => RejectionKind::AuthenticationFailure,
            Rejection::Interval { .. } | Rejection::NoInterval => RejectionKind::Interval,
            Rejection::AddressCount { .. }
            | Rejection::AddressMissing { .. }
            | Rejection::Unicast
            | Rejection::Multicast
            | Rejection::NotAPeer(_) => RejectionKind::AddressList,
        }
    }
}

/// What an instance knows from packets before.
pub(super) struct Known<'i> {
    /// Who sent the last advertisement that was taken.
    pub(super) master: Option<IpAddr>,
    /// The number in the last authentication header that was sent or taken.
    pub(super) sequence: &'i mut u32,
    /// Whether peers sum advertisements as if they went to the group.
    pub(super) sums_as_of_group: &'i mut bool,
    /// What is known of `auth_hmac`.
    pub(super) trailers: &'i mut TrailerState,
}

/// The checks on receipt, RFC 3768 section 7.1 and RFC 9568 section 7.1. What fails one is
/// discarded, and logged by the caller (9568-7.1-h, 3768-7.1-g).
///
/// What is known is learnt from the packet, if it passes.
pub(super) fn verify(
    configuration: &VrrpInstance,
    packet: Packet<'_>,
    known: Known<'_>,
) -> Result<Advertisement, Rejection> {
    let Known {
        master: known_master,
        sequence,
        sums_as_of_group,
        trailers,
    } = known;
    if configuration.unicast_peers.is_empty() {
        // 3768-7.1-a, 9568-7.1-a, 9568-5.1.1.3-b, 9568-5.1.2.3-b: "MUST verify that the IP TTL is 255."
        if packet.hop_limit != HOP_LIMIT {
            return Err(Rejection::HopLimit(packet.hop_limit));
        }
    } else {
        verify_peer(configuration, packet)?;
    }
    // 9568-7.1-d, 3768-7.1-c: "MUST verify that the received packet contains the complete VRRP
    // packet"; 9568-7.1-e, 3768-7.1-d: "MUST verify the VRRP checksum"; version here is any that
    // exists.
    let length = Advertisement::length_of(packet.payload, packet.source.is_ipv6());
    let has_trailer = configuration.trailer.is_some()
        && length.is_some_and(|length| packet.payload.len() == length + TRAILER_LENGTH);
    let behind = if has_trailer { TRAILER_LENGTH } else { 0 };
    let advertisement = decode(configuration, packet, behind, sums_as_of_group)?;
    // 9568-7.1-b, 3768-7.1-b: "MUST verify the VRRP version is 2", or 3.
    if advertisement.version != configuration.version {
        let number = |version| match version {
            VrrpVersion::V2 => 2,
            VrrpVersion::V3 => 3,
        };
        return Err(Rejection::Version {
            received: number(advertisement.version),
            expected: number(configuration.version),
        });
    }
    if configuration.unicast_peers.is_empty() && !packet.destination.is_multicast() {
        return Err(Rejection::Unicast);
    }
    if let Some(trailer) = &configuration.trailer {
        let peers = &configuration.unicast_peers;
        let is_known = peers.is_empty() || peers.iter().any(|p| p.address == packet.source);
        if has_trailer && !is_known {
            return Err(Rejection::NotAPeer(packet.source));
        }
        let speaker = Speaker {
            source: packet.source,
            version: configuration.version,
            virtual_router_id: configuration.virtual_router_id,
        };
        trailers.check(trailer, speaker, packet.payload, has_trailer)?;
        trailers.forget_all_but(peers.len());
    }
    if configuration.version == VrrpVersion::V2 {
        // 3768-7.1-e: "MUST verify that the Auth Type matches the locally configured authentication
        // method for the virtual router and perform that authentication method".
        match (&advertisement.authentication, &configuration.authentication) {
            (None, None) => {}
            (Some(Authentication::Password(theirs)), Some(Authentication::Password(ours))) => {
                if theirs != ours {
                    return Err(Rejection::Password);
                }
            }
            (Some(Authentication::Header(_)), Some(Authentication::Header(key))) => {
                let sealed = packet.sealed.ok_or(Rejection::NoHeader)?;
                let received = authentication_header::open(sealed, key);
                let received = received.ok_or(Rejection::HeaderValue)?;
                if received <= *sequence {
                    let ours = *sequence;
                    return Err(Rejection::Replayed { received, ours });
                }
                *sequence = received;
            }
            (theirs, ours) => {
                let kind = |authentication: &Option<Authentication>| match authentication {
                    None => 0,
                    Some(Authentication::Password(_)) => 1,
                    Some(Authentication::Header(_)) => 2,
                };
                return Err(Rejection::AuthenticationType {
                    received: kind(theirs),
                    expected: kind(ours),
                });
            }
        }
        // 3768-7.1-f: "MUST verify that the Adver Interval in the packet is the same as the locally
        // configured for this virtual router".
        if advertisement.interval != configuration.advertisement_interval {
            return Err(Rejection::Interval {
                mine: configuration.advertisement_interval,
                received: advertisement.interval,
            });
        }
    }
    if configuration.version == VrrpVersion::V3 {
        // 9568-7.1-g: "MUST verify that the Max Advertise Interval is non zero" (erratum 8301).
        if advertisement.interval.is_zero() {
            return Err(Rejection::NoInterval);
        }
        // 9568-5.2.5-a: "If the received count is 0, the VRRP advertisement MUST be ignored"
        // (erratum 8299).
        if advertisement.addresses.is_empty() {
            return Err(Rejection::AddressCount {
                received: 0,
                expected: configuration.virtual_addresses.len(),
            });
        }
    }
    // 9568-7.1-i, 3768-7.1-h: "MAY verify that "Count IP Addrs" and the list of IP Address matches the IP_Addresses
    // configured for the VRID": keepalived does, whoever sends.
    if configuration.trust_known_master && known_master == Some(packet.source) {
        return Ok(advertisement);
    }
    let ours = &configuration.virtual_addresses;
    if advertisement.addresses.len() != ours.len() {
        return Err(Rejection::AddressCount {
            received: advertisement.addresses.len(),
            expected: ours.len(),
        });
    }
    match ours
        .iter()
        .find(|ours| !advertisement.addresses.contains(&ours.address))
    {
        None => Ok(advertisement),
        Some(missing) => Err(Rejection::AddressMissing {
            virtual_router_id: configuration.virtual_router_id,
            address: missing.address,
        }),
    }
}

/// Reads an advertisement. keepalived until 1.3.6 summed those to a peer as if they went to the
/// group: once one has come, so does this router, unless it is configured otherwise.
fn decode(
    configuration: &VrrpInstance,
    packet: Packet<'_>,
    behind: usize,
    sums_as_of_group: &mut bool,
) -> Result<Advertisement, DecodeError> {
    let decode = |envelope| Advertisement::decode_before(packet.payload, behind, envelope);
    let of_packet = Envelope {
        source: packet.source,
        destination: packet.destination,
    };
    let of_group = Envelope {
        destination: group_of(configuration),
        ..of_packet
    };
    if *sums_as_of_group {
        return decode(of_group);
    }
    let read = decode(of_packet);
    let may_learn = configuration.unicast_checksum == UnicastChecksum::Learnt
        && !configuration.unicast_peers.is_empty()
        && packet.source.is_ipv4();
    if !may_learn || !matches!(read, Err(DecodeError::Checksum(3))) {
        return read;
    }
    let old = decode(of_group);
    *sums_as_of_group = old.is_ok();
    old.or(read)
}

/// Unicast is keepalived's own: the TTL is whatever the way between the peers makes of it,
/// unless bounds are configured.
fn verify_peer(configuration: &VrrpInstance, packet: Packet<'_>) -> Result<(), Rejection> {
    if packet.destination.is_multicast() {
        return Err(Rejection::Multicast);
    }
    let peer = configuration
        .unicast_peers
        .iter()
        .find(|peer| peer.address == packet.source);
    let Some(peer) = peer else {
        return if configuration.check_unicast_source {
            Err(Rejection::NotAPeer(packet.source))
        } else {
            Ok(())
        };
    };
    if (peer.least_hop_limit..=peer.most_hop_limit).contains(&packet.hop_limit) {
        Ok(())
    } else {
        Err(Rejection::PeerHopLimit {
            received: packet.hop_limit,
            least: peer.least_hop_limit,
            most: peer.most_hop_limit,
        })
    }
}
