//! Control packets on the wire.

use std::fmt;
use std::time::Duration;

use super::{Diagnostic, State};

/// What one side tells the other of a session (RFC 5880 section 4.1):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
/// |                       My Discriminator                        |
/// |                      Your Discriminator                       |
/// |            Desired Min TX Interval, in microseconds           |
/// |            Required Min RX Interval, in microseconds          |
/// |            Required Min Echo RX Interval                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlPacket {
    /// Why the sender's session has last left Up.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: the sender wants an answer with F.
    pub poll: bool,
    /// F: this is such an answer.
    pub is_final: bool,
    /// D: the sender wants no packets but those of polls while both are up.
    pub demand: bool,
    /// As many packets may be lost in a row before the session is down.
    pub multiplier: u8,
    /// What the sender calls the session; not 0.
    pub my_discriminator: u32,
    /// What the receiver calls it, as far as the sender knows; else 0.
    pub your_discriminator: u32,
    /// The shortest time between two packets at which the sender wants to send, in whole
    /// microseconds.
    pub desired_min_tx: Duration,
    /// The shortest time between two packets at which it can receive; 0 for none at all.
    pub required_min_rx: Duration,
}

/// Why octets are no control packet for this side (RFC 5880 section 6.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Its length, or the length that it says, is not that of a packet.
    Length,
    /// Its version is not 1.
    Version(u8),
    /// Its detection multiplier is 0.
    NoMultiplier,
    /// It is for several receivers.
    Multipoint,
    /// It does not say what its sender calls the session.
    NoDiscriminator,
    /// It is authenticated, and no session here is.
    Authenticated,
    /// It does not say whose session it is about, and is of one that is not down.
    NobodysSession,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Length => f.write_str("its length is wrong"),
            Malformed::Version(version) => write!(f, "its version is {version}"),
            Malformed::NoMultiplier => f.write_str("its detection multiplier is 0"),
            Malformed::Multipoint => f.write_str("it has the multipoint flag"),
            Malformed::NoDiscriminator => f.write_str("its discriminator is 0"),
            Malformed::Authenticated => f.write_str("it is authenticated"),
            Malformed::NobodysSession => f.write_str("it names no session and is not down"),
        }
    }
}

const VERSION: u8 = 1;
const LENGTH: usize = 24;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

impl ControlPacket {
    /// Reads a packet: the payload of a UDP datagram.
    ///
    /// # Errors
    /// What RFC 5880 section 6.8.6 says is to be discarded before a session is looked for.
    pub fn parse(octets: &[u8]) -> Result<ControlPacket, Malformed> {
        let head = octets.first_chunk::<LENGTH>().ok_or(Malformed::Length)?;
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let interval = |at| Duration::from_micros(u64::from(word(at)));
        // "If the version number is not correct (1), the packet MUST be discarded."
        if head[0] >> 5 != VERSION {
            return Err(Malformed::Version(head[0] >> 5));
        }
        // "If the Length field is less than the minimum correct value (24 if the A bit is
        // clear, or 26 if the A bit is set), the packet MUST be discarded. If the Length field
        // is greater than the payload of the encapsulating protocol, the packet MUST be
        // discarded."
        let flags = head[1];
        let least = match flags & AUTHENTICATED {
            0 => LENGTH,
            _ => LENGTH + 2,
        };
        let length = usize::from(head[3]);
        if length < least || length > octets.len() {
            return Err(Malformed::Length);
        }
        // "If the Detect Mult field is zero, the packet MUST be discarded. If the Multipoint
        // (M) bit is nonzero, the packet MUST be discarded. If the My Discriminator field is
        // zero, the packet MUST be discarded."
        let (multiplier, my_discriminator, your_discriminator) = (head[2], word(4), word(8));
        if multiplier == 0 {
            return Err(Malformed::NoMultiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        if my_discriminator == 0 {
            return Err(Malformed::NoDiscriminator);
        }
        let state = match flags >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        // "If the Your Discriminator field is zero and the State field is not Down or
        // AdminDown, the packet MUST be discarded."
        if your_discriminator == 0 && state > State::Down {
            return Err(Malformed::NobodysSession);
        }
        // "If the A bit is set and no authentication is in use (bfd.AuthType is zero), the
        // packet MUST be discarded."
        if flags & AUTHENTICATED != 0 {
            return Err(Malformed::Authenticated);
        }
        Ok(ControlPacket {
            diagnostic: Diagnostic(head[0] & 0x1f),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            demand: flags & DEMAND != 0,
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: interval(12),
            required_min_rx: interval(16),
        })
    }

    /// The octets of a packet. Intervals that do not fit are written as the longest that does.
    pub fn to_octets(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        octets[0] = VERSION << 5 | self.diagnostic.0 & 0x1f;
        octets[1] = state << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.demand, DEMAND);
        octets[2] = self.multiplier;
        octets[3] = LENGTH as u8;
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let words = [
            self.my_discriminator,
            self.your_discriminator,
            micros(self.desired_min_tx),
            micros(self.required_min_rx),
            // "If this value is zero, the transmitting system does not support the receipt of
            // BFD Echo packets."
            0,
        ];
        for (place, word) in octets[4..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As keepalived 2.2.7 sends one in the first second of a session.
    const KEEPALIVED: [u8; LENGTH] = [
        0x20, 0x40, 5, 24, 0xdd, 0x6a, 0x44, 0x12, 0, 0, 0, 0, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50,
        0, 0, 0, 0,
    ];

    fn keepalived() -> ControlPacket {
        ControlPacket {
            diagnostic: Diagnostic::NONE,
            state: State::Down,
            poll: false,
            is_final: false,
            demand: false,
            multiplier: 5,
            my_discriminator: 0xdd6a_4412,
            your_discriminator: 0,
            desired_min_tx: Duration::from_millis(50),
            required_min_rx: Duration::from_millis(50),
        }
    }

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        assert_eq!(ControlPacket::parse(&KEEPALIVED), Ok(keepalived()));
        assert_eq!(keepalived().to_octets(), KEEPALIVED);
    }

    #[test]
    fn what_is_to_be_discarded_is() {
        let with = |at: usize, octet: u8| {
            let mut octets = KEEPALIVED;
            octets[at] = octet;
            ControlPacket::parse(&octets)
        };
        assert_eq!(with(0, 0x40), Err(Malformed::Version(2)));
        assert_eq!(with(2, 0), Err(Malformed::NoMultiplier));
        assert_eq!(with(3, 23), Err(Malformed::Length));
        assert_eq!(with(3, 25), Err(Malformed::Length));
        assert_eq!(
            with(1, 0x44),
            Err(Malformed::Length),
            "no room for authentication"
        );
        assert_eq!(with(1, 0x41), Err(Malformed::Multipoint));
        assert_eq!(with(1, 0x80), Err(Malformed::NobodysSession));
        assert_eq!(with(1, 0xc0), Err(Malformed::NobodysSession));
        assert_eq!(
            ControlPacket::parse(&KEEPALIVED[..23]),
            Err(Malformed::Length)
        );
        let mut octets = KEEPALIVED;
        octets[4..8].fill(0);
        assert_eq!(
            ControlPacket::parse(&octets),
            Err(Malformed::NoDiscriminator)
        );
        let mut octets = KEEPALIVED.to_vec();
        octets.extend([1, 8, 0, 0]);
        (octets[1], octets[3]) = (0x44, 28);
        assert_eq!(ControlPacket::parse(&octets), Err(Malformed::Authenticated));
    }

    proptest! {
        #[test]
        fn whatever_can_be_read_can_be_written(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(packet) = ControlPacket::parse(&octets) {
                prop_assert_eq!(ControlPacket::parse(&packet.to_octets()), Ok(packet));
            }
        }
    }
}
