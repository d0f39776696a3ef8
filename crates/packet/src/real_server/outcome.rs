//! What became of a packet that a real server looked at.

use crate::reason::reasons;

reasons! {
    /// What became of a packet on a real server, and why. What is none of its business is not
    /// counted.
    enum Outcome;

    /// Taken out of the tunnel in which a director sent it.
    Decapsulated = 0, "decapsulated";
    /// The segment size that an answer announces was made to fit through the tunnel.
    SegmentSizeClamped = 1, "segment_size_clamped";
    /// The virtual address as the sender of an ARP request was replaced by the device's own.
    SenderReplaced = 2, "arp_sender_replaced";
    /// Dropped: somebody asks by ARP or neighbour discovery who has a virtual address; the
    /// director has it.
    RequestIgnored = 3, "drop_request_for_virtual_address";
    /// Dropped: the host was about to tell by ARP or neighbour discovery that it has a virtual
    /// address.
    AnnouncementWithheld = 4, "drop_announcement_of_virtual_address";
    /// Dropped: a packet to a virtual address in a tunnel that does not come from a director.
    NotFromDirector = 5, "drop_not_from_director";
    /// Dropped: a director's packet whose tunnel's header, or the packet inside, is cut off,
    /// contradicts itself or has options that are not known.
    MalformedTunnel = 6, "drop_malformed_tunnel";
    /// Dropped: a packet to a virtual address that is itself a tunnel.
    NestedTunnel = 7, "drop_nested_tunnel";
    /// Dropped: a fragment of a director's packet that carries another one; nobody puts those
    /// together before they are taken out.
    FragmentedTunnel = 8, "drop_fragmented_tunnel";
    /// Dropped: a router saw congestion, and the sender of the packet inside does not know what
    /// to make of that mark (RFC 6040, section 4.2).
    Congestion = 9, "drop_congestion";
    /// Dropped: the packet could not be rewritten.
    NotWritable = 10, "drop_not_writable";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions() {
        for (position, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, position, "{}", outcome.name());
        }
    }
}
