//! The trailer behind an advertisement that says who sent it, and when (`auth_hmac`).
//!
//! keepalived's own, since its development after 2.3; in no RFC:
//!
//! ```text
//! +---------------+---------------+-------------------------------+
//! |    type 1     |    key id     |               0               |
//! +---------------+---------------+-------------------------------+
//! |            seconds since 1970, UTC                            |
//! +-------------------------------+-------------------------------+
//! |  1/65536 of a second          |   counter within that         |
//! +-------------------------------+-------------------------------+
//! |      HMAC-SHA256, the first 16 octets                         |
//! +---------------------------------------------------------------+
//! ```
//!
//! The hash is of a header that is not sent (4 or 6 for the family, the version, the VRID, 0, and
//! the source address in 16 octets), of the advertisement with 0 for its checksum, and of the
//! trailer with zeros for the hash. Over IPv4 the advertisement's checksum does not cover the
//! trailer, over IPv6 it does.

use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::receipt::Rejection;
use crate::config::model::{TrailerAuthentication, TrailerKey, TrailerMode, VrrpVersion};

/// Length of the trailer.
pub(super) const TRAILER_LENGTH: usize = 28;
const HASH_LENGTH: usize = 16;
/// What is hashed of the trailer as it is.
const PREFIX_LENGTH: usize = TRAILER_LENGTH - HASH_LENGTH;
/// HMAC-SHA256, cut to 128 bits.
const TYPE: u8 = 1;
/// So many senders to the group are remembered; there is more than one only while they contend.
const SENDERS: usize = 4;
/// Where the checksum of an advertisement is.
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// What a router knows of trailers.
#[derive(Debug, Clone, Default)]
pub(super) struct TrailerState {
    /// The time of day, since 1970.
    pub(super) clock: Duration,
    /// The last sequence that was sent.
    sent: u64,
    /// The last sequence of each sender, who spoke last behind.
    heard: Vec<(IpAddr, u64)>,
}

/// Whose trailer it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaker {
    pub(super) source: IpAddr,
    pub(super) version: VrrpVersion,
    pub(super) virtual_router_id: u8,
}

/// RFC 1982: whether a serial number comes after another.
fn is_after(one: u64, other: u64) -> bool {
    let ahead = one.wrapping_sub(other);
    ahead != 0 && ahead < 1 << 63
}

/// By how many seconds one sequence is ahead of another.
fn seconds_ahead(one: u64, other: u64) -> i64 {
    let [one, other] = [one, other].map(|sequence| (sequence >> 32) as u32);
    i64::from(one.wrapping_sub(other) as i32)
}

impl TrailerState {
    fn now(&self) -> u64 {
        let fraction = (u64::from(self.clock.subsec_nanos()) << 16) / 1_000_000_000;
        (self.clock.as_secs() & 0xffff_ffff) << 32 | fraction << 16
    }

    /// The next sequence: that of the clock, or the one after the last. Where a clock was set
    /// back by more than others bear, the clock's again.
    fn next(&mut self, window: Option<Duration>) -> u64 {
        let now = self.now();
        let strands = window.is_some_and(|window| {
            let bearable = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
            seconds_ahead(self.sent, now) > bearable
        });
        self.sent = match is_after(now, self.sent) || strands {
            true => now,
            false => self.sent.wrapping_add(1),
        };
        self.sent
    }

    /// Puts a trailer behind an advertisement, unless none is to be sent.
    pub(super) fn sign(
        &mut self,
        authentication: &TrailerAuthentication,
        speaker: Speaker,
        advertisement: &mut Vec<u8>,
    ) {
        if authentication.mode == TrailerMode::ReceiveOnly {
            return;
        }
        let sequence = self.next(authentication.window);
        let active = authentication.active_key;
        let Some(key) = authentication.keys.iter().find(|key| key.id == active) else {
            return;
        };
        advertisement.extend([TYPE, active, 0, 0]);
        advertisement.extend(sequence.to_be_bytes());
        let hash = hash(key, speaker, advertisement);
        advertisement.extend(hash);
    }

    /// Judges an advertisement with its trailer, if there is one; what fails moves nothing.
    pub(super) fn check(
        &mut self,
        authentication: &TrailerAuthentication,
        speaker: Speaker,
        packet: &[u8],
        has_trailer: bool,
    ) -> Result<(), Rejection> {
        if !has_trailer {
            return match authentication.mode {
                TrailerMode::Enforce => Err(Rejection::NoTrailer),
                TrailerMode::Permissive | TrailerMode::ReceiveOnly => Ok(()),
            };
        }
        let (hashed, hash_received) = packet.split_at(packet.len() - HASH_LENGTH);
        let prefix = &hashed[hashed.len() - PREFIX_LENGTH..];
        let [kind, id, 0, 0, sequence @ ..] = prefix else {
            return Err(Rejection::TrailerMalformed);
        };
        let sequence = <[u8; 8]>::try_from(sequence).map(u64::from_be_bytes);
        let (TYPE, Ok(sequence)) = (*kind, sequence) else {
            return Err(Rejection::TrailerMalformed);
        };
        // Before the hash, which costs more: it only rejects.
        let far = |sequence| {
            let window = authentication.window?.as_secs();
            let skew = seconds_ahead(self.now(), sequence);
            (skew.unsigned_abs() > window).then_some((skew, window))
        };
        if let Some((skew, window)) = far(sequence) {
            return Err(Rejection::TrailerStale { skew, window });
        }
        let key = authentication.keys.iter().find(|key| key.id == *id);
        let key = key.ok_or(Rejection::TrailerKey(*id))?;
        let ours = hash(key, speaker, hashed);
        // Every octet is looked at, so that the time says nothing of them.
        let differs = ours.iter().zip(hash_received);
        if differs.fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs)) != 0 {
            return Err(Rejection::TrailerHash);
        }
        let same = |(source, _): &(IpAddr, u64)| *source == speaker.source;
        if let Some(position) = self.heard.iter().position(same) {
            let (_, last) = self.heard[position];
            // One that is too far from now orders nothing: a clock was set.
            if far(last).is_none() && !is_after(sequence, last) {
                return Err(Rejection::TrailerReplayed);
            }
            self.heard.remove(position);
        }
        self.heard.push((speaker.source, sequence));
        Ok(())
    }

    /// So many senders are remembered, `peers` of them where they are known.
    pub(super) fn forget_all_but(&mut self, peers: usize) {
        let most = peers.max(SENDERS);
        let surplus = self.heard.len().saturating_sub(most);
        self.heard.drain(..surplus);
    }
}

/// The hash of an advertisement and the beginning of its trailer.
fn hash(key: &TrailerKey, speaker: Speaker, hashed: &[u8]) -> [u8; HASH_LENGTH] {
    let version = match speaker.version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    };
    let mut header = [0; 20];
    header[1] = version;
    header[2] = speaker.virtual_router_id;
    match speaker.source {
        IpAddr::V4(source) => {
            header[0] = 4;
            header[4..8].copy_from_slice(&source.octets());
        }
        IpAddr::V6(source) => {
            header[0] = 6;
            header[4..].copy_from_slice(&source.octets());
        }
    }
    let mut hash = [0; HASH_LENGTH];
    // A key of any length is one.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.secret) {
        mac.update(&header);
        mac.update(&hashed[..CHECKSUM.start]);
        mac.update(&[0; 2]);
        mac.update(&hashed[CHECKSUM.end..]);
        mac.update(&[0; HASH_LENGTH]);
        hash.copy_from_slice(&mac.finalize().into_bytes()[..HASH_LENGTH]);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authentication(window: Option<u64>, mode: TrailerMode) -> TrailerAuthentication {
        let key = |id| TrailerKey {
            id,
            secret: vec![id; 32],
            file: None,
        };
        TrailerAuthentication {
            keys: vec![key(1), key(2)],
            active_key: 2,
            window: window.map(Duration::from_secs),
            mode,
        }
    }

    fn speaker() -> Speaker {
        Speaker {
            source: IpAddr::from([10, 0, 0, 1]),
            version: VrrpVersion::V3,
            virtual_router_id: 51,
        }
    }

    fn at(seconds: u64) -> TrailerState {
        TrailerState {
            clock: Duration::from_secs(seconds),
            ..TrailerState::default()
        }
    }

    const PDU: [u8; 12] = [0x31, 51, 100, 1, 0, 100, 0xab, 0xcd, 10, 0, 0, 9];

    fn signed(state: &mut TrailerState, authentication: &TrailerAuthentication) -> Vec<u8> {
        let mut packet = PDU.to_vec();
        state.sign(authentication, speaker(), &mut packet);
        packet
    }

    /// The hash is what hmac of Python makes of the same octets.
    #[test]
    fn a_trailer_has_the_layout_of_keepalived() {
        let packet = signed(
            &mut at(0x6500_0000),
            &authentication(Some(5), TrailerMode::Enforce),
        );
        assert_eq!(packet.len(), PDU.len() + TRAILER_LENGTH);
        assert_eq!(packet[..PDU.len()], PDU);
        assert_eq!(
            packet[PDU.len()..24],
            [1, 2, 0, 0, 0x65, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(packet[24..], EXPECTED);
    }

    const EXPECTED: [u8; 16] = [
        0x7f, 0x57, 0xcf, 0x93, 0xe5, 0xc2, 0xc2, 0xd1, 0x8e, 0x6c, 0x05, 0x09, 0x68, 0xb9, 0x81,
        0xd5,
    ];

    #[test]
    fn what_is_right_is_taken_once() {
        let authentication = authentication(Some(5), TrailerMode::Enforce);
        let (mut sender, mut receiver) = (at(1000), at(1000));
        let check = |receiver: &mut TrailerState, packet: &[u8]| {
            receiver.check(&authentication, speaker(), packet, true)
        };
        let first = signed(&mut sender, &authentication);
        let second = signed(&mut sender, &authentication);
        assert_eq!(check(&mut receiver, &first), Ok(()));
        assert_eq!(
            check(&mut receiver, &second),
            Ok(()),
            "the clock has not moved"
        );
        assert_eq!(
            check(&mut receiver, &second),
            Err(Rejection::TrailerReplayed)
        );
        assert_eq!(
            check(&mut receiver, &first),
            Err(Rejection::TrailerReplayed)
        );
        let mut elsewhere = receiver.clone();
        let other = Speaker {
            virtual_router_id: 52,
            ..speaker()
        };
        let third = signed(&mut sender, &authentication);
        let moved = elsewhere.check(&authentication, other, &third, true);
        assert_eq!(moved, Err(Rejection::TrailerHash), "of another router");
        for bit in 0..third.len() * 8 {
            let mut changed = third.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let judged = check(&mut receiver, &changed);
            let in_checksum = CHECKSUM.contains(&(bit / 8));
            assert_eq!(judged.is_ok(), in_checksum, "bit {bit}");
            if in_checksum {
                receiver.heard.clear();
            }
        }
        assert_eq!(
            check(&mut receiver, &third),
            Ok(()),
            "forgeries move nothing"
        );
    }

    #[test]
    fn clocks_may_be_as_far_apart_as_the_window_says() {
        for (window, at_receiver, expected) in [
            (Some(5), 1005, Ok(())),
            (Some(5), 995, Ok(())),
            (
                Some(5),
                1006,
                Err(Rejection::TrailerStale { skew: 6, window: 5 }),
            ),
            (
                Some(5),
                994,
                Err(Rejection::TrailerStale {
                    skew: -6,
                    window: 5,
                }),
            ),
            (None, 90_000, Ok(())),
        ] {
            let authentication = authentication(window, TrailerMode::Enforce);
            let packet = signed(&mut at(1000), &authentication);
            let judged = at(at_receiver).check(&authentication, speaker(), &packet, true);
            assert_eq!(judged, expected, "{window:?} {at_receiver}");
        }
    }

    #[test]
    fn a_sender_whose_clock_was_set_back_is_heard_again() {
        let authentication = authentication(Some(5), TrailerMode::Enforce);
        let (mut sender, mut receiver) = (at(2000), at(2000));
        let packet = signed(&mut sender, &authentication);
        assert_eq!(
            receiver.check(&authentication, speaker(), &packet, true),
            Ok(())
        );
        sender.clock = Duration::from_secs(1000);
        receiver.clock = sender.clock;
        let packet = signed(&mut sender, &authentication);
        assert_eq!(
            receiver.check(&authentication, speaker(), &packet, true),
            Ok(())
        );
    }

    #[test]
    fn modes_say_what_may_come_without_a_trailer_and_what_is_sent() {
        for (mode, may_come, sends) in [
            (TrailerMode::Enforce, false, true),
            (TrailerMode::Permissive, true, true),
            (TrailerMode::ReceiveOnly, true, false),
        ] {
            let authentication = authentication(Some(5), mode);
            let judged = at(0).check(&authentication, speaker(), &PDU, false);
            assert_eq!(judged.is_ok(), may_come, "{mode:?}");
            let packet = signed(&mut at(0), &authentication);
            assert_eq!(packet.len() > PDU.len(), sends, "{mode:?}");
        }
        let unknown = TrailerAuthentication {
            keys: vec![TrailerKey {
                id: 9,
                secret: vec![9; 32],
                file: None,
            }],
            active_key: 9,
            ..authentication(Some(5), TrailerMode::Enforce)
        };
        let packet = signed(&mut at(7), &unknown);
        let judged = at(7).check(
            &authentication(Some(5), TrailerMode::Permissive),
            speaker(),
            &packet,
            true,
        );
        assert_eq!(judged, Err(Rejection::TrailerKey(9)));
    }
}
