//! The IPsec authentication header around an advertisement of version 2 (`auth_type AH`).
//!
//! RFC 2338 had it, RFC 3768 has not; this is what keepalived 2.2 sends, over IPv4 alone:
//!
//! ```text
//! +---------------------------------------------------------------+
//! |          IPv4 header without options, protocol 51             |
//! +---------------+---------------+-------------------------------+
//! | next hdr. 112 |   length 4    |              0                |
//! +---------------+---------------+-------------------------------+
//! |         security parameters index: the source address         |
//! +---------------------------------------------------------------+
//! |                        sequence number                        |
//! +---------------------------------------------------------------+
//! |          integrity check value, 12 octets: HMAC-MD5-96        |
//! +---------------------------------------------------------------+
//! |   the advertisement, with authentication type 2 and no data   |
//! +---------------------------------------------------------------+
//! ```
//!
//! The value is computed over all of it, with zeros in the place of the type of service, of
//! flags and fragment offset, of the header's checksum, and of itself. (RFC 2402 counts the TTL
//! among what may change on the way; keepalived does not, and on a link it does not.)

use std::net::Ipv4Addr;

use hmac::{Hmac, Mac};
use md5::Md5;

/// IP protocol number of the authentication header.
pub const PROTOCOL_AH: u8 = 51;

const IP_HEADER: usize = 20;
/// The header before the advertisement.
const HEADER: usize = 24;
/// Where the advertisement begins in a packet.
pub const SEALED_FROM: usize = IP_HEADER + HEADER;
const CHECK_VALUE: std::ops::Range<usize> = IP_HEADER + 12..SEALED_FROM;
const SEQUENCE: std::ops::Range<usize> = IP_HEADER + 8..IP_HEADER + 12;
/// Type of service, flags and fragment offset, checksum.
const CHANGING: [usize; 5] = [1, 6, 7, 10, 11];

/// Length of the key: that of the authentication data of version 2.
const KEY_LENGTH: usize = 8;

/// The whole IPv4 packet around an advertisement, but for the checksum of its header, which the
/// kernel computes.
pub(super) fn seal(
    (source, destination): (Ipv4Addr, Ipv4Addr),
    hop_limit: u8,
    sequence: u32,
    key: &[u8; KEY_LENGTH],
    advertisement: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(SEALED_FROM + advertisement.len()).unwrap_or(u16::MAX);
    // The kernel puts a number of its own in the place of zero.
    let identification = (sequence as u16).max(1);
    let mut packet = Vec::with_capacity(usize::from(length));
    packet.extend([0x45, super::advertisement::SERVICE]);
    packet.extend(length.to_be_bytes());
    packet.extend(identification.to_be_bytes());
    packet.extend([0, 0, hop_limit, PROTOCOL_AH, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend([super::advertisement::PROTOCOL, 4, 0, 0]);
    packet.extend(source.octets());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(advertisement);
    let value = check_value(&packet, key);
    packet[CHECK_VALUE].copy_from_slice(&value);
    packet
}

/// The sequence number of a packet, if it was made with this key and not changed since.
pub(super) fn open(packet: &[u8], key: &[u8; KEY_LENGTH]) -> Option<u32> {
    let value = packet.get(CHECK_VALUE)?;
    let sequence = packet.get(SEQUENCE)?.first_chunk::<4>()?;
    // With options, what is where is not known: keepalived sends none.
    let is_plain = packet[0] == 0x45;
    // A difference tells nobody more than that there is one, however long it takes to see.
    (is_plain && value == check_value(packet, key)).then_some(u32::from_be_bytes(*sequence))
}

fn check_value(packet: &[u8], key: &[u8; KEY_LENGTH]) -> [u8; 12] {
    let mut covered = packet.to_vec();
    for position in CHANGING {
        covered[position] = 0;
    }
    covered[CHECK_VALUE].fill(0);
    // RFC 2104 fills keys up with zeros to a block of the hash.
    let mut block = [0; 64];
    block[..KEY_LENGTH].copy_from_slice(key);
    let mut hmac = Hmac::<Md5>::new(&block.into());
    hmac.update(&covered);
    let digest = hmac.finalize().into_bytes();
    let mut value = [0; 12];
    value.copy_from_slice(&digest[..12]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What keepalived 2.2.7 has sent with the password `secret`.
    const KEEPALIVEDS: [u8; 64] = [
        0x45, 0xc0, 0x00, 0x40, 0x00, 0x06, 0x00, 0x00, 0xff, 0x33, 0xd0, 0x6f, 0x0a, 0x42, 0x00,
        0x01, 0xe0, 0x00, 0x00, 0x12, 0x70, 0x04, 0x00, 0x00, 0x0a, 0x42, 0x00, 0x01, 0x00, 0x00,
        0x00, 0x06, 0xe0, 0xed, 0xfb, 0x28, 0xae, 0x9f, 0xb5, 0xeb, 0xf6, 0x17, 0x17, 0x16, 0x21,
        0x33, 0x96, 0x01, 0x02, 0x01, 0x3c, 0x24, 0x0a, 0x42, 0x00, 0x64, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00,
    ];
    const KEY: [u8; 8] = *b"secret\0\0";

    #[test]
    fn keepalived_s_packets_open_and_ours_are_the_same() {
        assert_eq!(open(&KEEPALIVEDS, &KEY), Some(6));
        let addresses = (Ipv4Addr::new(10, 66, 0, 1), Ipv4Addr::new(224, 0, 0, 18));
        let mut ours = seal(addresses, 255, 6, &KEY, &KEEPALIVEDS[SEALED_FROM..]);
        // The kernel's.
        ours[10..12].copy_from_slice(&KEEPALIVEDS[10..12]);
        assert_eq!(ours, KEEPALIVEDS);
    }

    #[test]
    fn whatever_is_changed_does_not_open() {
        for position in 0..KEEPALIVEDS.len() {
            let mut packet = KEEPALIVEDS;
            packet[position] ^= 1;
            let may_change = CHANGING.contains(&position);
            assert_eq!(open(&packet, &KEY).is_some(), may_change, "{position}");
        }
        assert_eq!(open(&KEEPALIVEDS, b"secret\0\x01"), None);
        for length in 0..KEEPALIVEDS.len() {
            assert_eq!(open(&KEEPALIVEDS[..length], &KEY), None, "{length}");
        }
    }
}
