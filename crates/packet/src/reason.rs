//! Why a packet went where it went. Every outcome has a name: it is a counter in the
//! kernel, a metric outside, and a word in a trace.

/// An enum of what can become of a packet.
macro_rules! reasons {
    (
        $(#[doc = $of:literal])+ enum $enum:ident;
        $($(#[doc = $doc:literal])+ $name:ident = $number:literal, $word:literal;)+
    ) => {
        $(#[doc = $of])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl $enum {
            /// All of them, in the order of their numbers.
            pub const ALL: &[$enum] = &[$($enum::$name,)+];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its name for metrics and traces.
            pub const fn name(self) -> &'static str {
                match self { $($enum::$name => $word,)+ }
            }
        }
    };
}

pub(crate) use reasons;

reasons! {
    /// What became of a packet, and why.
    enum Reason;

    /// Forwarded to a real server.
    ForwardedToServer = 0, "forwarded_to_server";
    /// Forwarded to a client, as an answer of a real server.
    ForwardedToClient = 1, "forwarded_to_client";

    /// Passed: the link layer says that it is not for this host.
    NotForUs = 2, "pass_not_for_us";
    /// Passed: neither IPv4 nor IPv6.
    NotIp = 3, "pass_not_ip";
    /// Passed: a transport protocol that no virtual service can have.
    NotTransport = 4, "pass_not_transport";
    /// Passed: headers that are cut off or contradict themselves; the stack counts them.
    Malformed = 5, "pass_malformed";
    /// Passed: no connection and no virtual service.
    NoService = 6, "pass_no_service";
    /// Passed: a fragment of a packet that is no connection's, or whose ports are not known.
    Fragment = 7, "pass_fragment";
    /// Passed: a virtual service, but its address is not held here.
    NotHeld = 8, "pass_not_held";
    /// Passed: no connection, and the packet cannot open one; the stack answers with a reset.
    NotFirst = 9, "pass_not_first";
    /// Passed: the data plane has not been set up yet, or is on standby (`backup_only`).
    NotReady = 10, "pass_not_ready";
    /// Passed: tagged for a VLAN, at whose own device it arrives next.
    Tagged = 11, "pass_tagged";

    /// Passed: an ICMP error about no connection that is known here.
    Unrelated = 12, "pass_unrelated_error";
    /// Passed: an answer of a real server that cannot go on to the client; the stack tells it why.
    LeftToStack = 13, "pass_left_to_stack";
    /// Passed: an answer for a client on this host, on its way there over the loopback device.
    LoopedBack = 14, "pass_looped_back";

    /// Dropped: a connection to a real server that has been removed.
    DestinationRemoved = 15, "drop_destination_removed";
    /// Dropped: a virtual service without a real server that can take the connection.
    NoDestination = 16, "drop_no_destination";
    /// Dropped: the time to live ran out here.
    TimeToLive = 17, "drop_time_to_live";
    /// Dropped: no route to the real server or client.
    NoRoute = 18, "drop_no_route";
    /// Dropped: larger than the next link takes.
    TooBig = 19, "drop_too_big";
    /// Dropped: two processors opened the same connection at once, or its sets were full of claims.
    Contended = 20, "drop_contended";
    /// Dropped: the frame could not be rewritten.
    NotWritable = 21, "drop_not_writable";
    /// Dropped: a list of access keeps the client from the virtual service.
    AccessDenied = 22, "drop_access_denied";
    /// Given to the director: a fragment that came before the first of its packet, or a packet to be cut into fragments.
    HandedOver = 23, "handed_over";
    /// Dropped: a fragment that came before the first of its packet, or a packet to be cut into fragments; the director had no room for it.
    NotHandedOver = 24, "drop_not_handed_over";
    /// Dropped: it would open a connection, and `drop_packet` has one of so many dropped.
    Sacrificed = 25, "drop_sacrificed";
    /// Dropped: sent by a real server, of no connection; it was told so (`nat_icmp_send`).
    Stray = 26, "drop_stray";

    /// Delivered to this host, which is the real server itself.
    DeliveredHere = 27, "delivered_here";

    /// Counted beside the outcome: an expired entry gave its place to a new one.
    ReplacedExpired = 28, "replaced_expired";
    /// Counted beside the outcome: a connection that never came about gave its place to a new one.
    ReplacedEmbryonic = 29, "replaced_embryonic";
    /// Counted beside the outcome: a live connection, the one idle longest, gave its place to a new one.
    ReplacedLive = 30, "replaced_live";
    /// Counted beside the outcome: a persistence template gave its place to a new entry.
    ReplacedTemplate = 31, "replaced_template";

    /// Counted beside the outcome: the sender was told by ICMP why its packet was dropped.
    Answered = 32, "answered";
    /// Counted beside the outcome: the sender would have been told, but others were told too often.
    AnswerWithheld = 33, "answer_withheld";
    /// Counted beside the outcome: an ICMP error about a connection.
    RelatedError = 34, "related_error";
    /// The client was told of an error about a packet in a tunnel.
    TunnelError = 35, "tunnel_error_to_client";

    /// Left by the fast path to the hook behind: the destination MAC is none of this host's on the device.
    PuntNotForUs = 36, "punt_not_for_us";
    /// Left by the fast path: a VLAN tag.
    PuntTagged = 37, "punt_tagged";
    /// Left by the fast path: neither IPv4 nor IPv6.
    PuntNotIp = 38, "punt_not_ip";
    /// Left by the fast path: neither TCP nor UDP.
    PuntNotTransport = 39, "punt_not_transport";
    /// Left by the fast path: a fragment.
    PuntFragment = 40, "punt_fragment";
    /// Left by the fast path: headers that are cut off or contradict themselves, or a frame in several buffers.
    PuntMalformed = 41, "punt_malformed";
    /// Left by the fast path: no connection, and no virtual service that is held here and could open one.
    PuntNoService = 42, "punt_no_service";
    /// Left by the fast path: no connection, and its firewall mark, which only a later hook sees, may be a service's.
    PuntMark = 43, "punt_mark";
    /// Left by the fast path: the data plane has not been set up yet, or is on standby.
    PuntNotReady = 44, "punt_not_ready";
    /// Left by the fast path: no real server that can take it.
    PuntNoDestination = 45, "punt_no_destination";
    /// Left by the fast path: this host is the real server.
    PuntLocal = 46, "punt_local";
    /// Left by the fast path: the time to live runs out here.
    PuntTimeToLive = 47, "punt_time_to_live";
    /// Left by the fast path: no route to the real server or client.
    PuntNoRoute = 48, "punt_no_route";
    /// Left by the fast path: larger than the next link takes.
    PuntTooBig = 49, "punt_too_big";
    /// Left by the fast path: the link-layer address of the next hop is not known, or the device does not forward.
    PuntUnresolved = 50, "punt_unresolved";
    /// Left by the fast path: the device that it would leave by takes no frames from XDP.
    PuntDevice = 51, "punt_device";
    /// Left by the fast path: the tunnel to the real server has checksums.
    PuntTunnelChecksum = 52, "punt_tunnel_checksum";
}

impl Reason {
    /// As what a packet is counted that the fast path, which only forwards, leaves to the hook
    /// behind it, where it comes to this outcome or a better one. None for what has been
    /// changed already, or would fare no better there.
    #[inline(always)]
    pub(crate) const fn punt(self) -> Option<Reason> {
        Some(match self {
            Reason::NotForUs => Reason::PuntNotForUs,
            Reason::Tagged => Reason::PuntTagged,
            Reason::NotIp => Reason::PuntNotIp,
            Reason::NotTransport => Reason::PuntNotTransport,
            Reason::Fragment => Reason::PuntFragment,
            Reason::Malformed => Reason::PuntMalformed,
            Reason::NoService | Reason::NotFirst | Reason::NotHeld => Reason::PuntNoService,
            Reason::NotReady => Reason::PuntNotReady,
            Reason::DestinationRemoved | Reason::NoDestination => Reason::PuntNoDestination,
            Reason::DeliveredHere => Reason::PuntLocal,
            Reason::TimeToLive => Reason::PuntTimeToLive,
            Reason::NoRoute => Reason::PuntNoRoute,
            Reason::TooBig => Reason::PuntTooBig,
            Reason::PuntMark
            | Reason::PuntUnresolved
            | Reason::PuntDevice
            | Reason::PuntTunnelChecksum => self,
            _ => return None,
        })
    }

    /// Whether it tells why the fast path left a packet to the hook behind it; what became of
    /// the packet there is counted beside it.
    pub const fn is_punt(self) -> bool {
        self as u8 >= Reason::PuntNotForUs as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions() {
        for (position, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, position, "{}", reason.name());
        }
    }
}
