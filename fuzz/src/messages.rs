//! Packets of routers to routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use elver_core::bfd::ControlPacket;
use elver_core::vrrp::{Advertisement, Envelope};

/// VRRP, over either family: what was read is written again as it came.
pub(crate) fn advertisement(octets: &[u8]) {
    let of_ipv4 = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(224, 0, 0, 18));
    let of_ipv6 = (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
    );
    let envelopes: [(IpAddr, IpAddr); 2] = [
        (of_ipv4.0.into(), of_ipv4.1.into()),
        (of_ipv6.0.into(), of_ipv6.1.into()),
    ];
    let _ = Advertisement::peek_virtual_router_id(octets);
    for (source, destination) in envelopes {
        let envelope = Envelope {
            source,
            destination,
        };
        let Ok(advertisement) = Advertisement::decode(octets, envelope) else {
            continue;
        };
        let written = advertisement.encode(envelope);
        let again = Advertisement::decode(&written, envelope);
        assert_eq!(again.as_ref(), Ok(&advertisement), "{written:02x?}");
    }
}

/// BFD, likewise.
pub(crate) fn bfd(octets: &[u8]) {
    let Ok(packet) = ControlPacket::parse(octets) else {
        return;
    };
    let written = packet.to_octets();
    assert_eq!(ControlPacket::parse(&written).as_ref(), Ok(&packet));
}
