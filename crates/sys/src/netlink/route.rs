//! What the host's routes say about an address.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Netlink;

/// How this host would send something to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTo {
    /// Whether the address is this host's own.
    pub is_local: bool,
    /// Index of the interface.
    pub interface: u32,
    /// The router, if the address is not on the link.
    pub router: Option<IpAddr>,
    /// The source address that the host would use.
    pub source: Option<IpAddr>,
}

impl Netlink {
    /// The route to an address; none if there is none.
    ///
    /// # Errors
    /// What the kernel answers but that there is no way.
    pub fn route_to(&mut self, address: IpAddr) -> io::Result<Option<RouteTo>> {
        let mut question = RouteMessage::default();
        (
            question.header.address_family,
            question.header.destination_prefix_length,
        ) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        question
            .attributes
            .push(RouteAttribute::Destination(address.into()));
        let sequence = self
            .0
            .send(RouteNetlinkMessage::GetRoute(question), NLM_F_REQUEST)?;
        loop {
            for message in self.0.receive()? {
                if message.header.sequence_number != sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                        return Ok(read(&route));
                    }
                    NetlinkPayload::Error(error) => {
                        let error = error.to_io();
                        return match error.raw_os_error() {
                            Some(
                                libc::ENETUNREACH
                                | libc::EHOSTUNREACH
                                | libc::EACCES
                                | libc::EINVAL,
                            ) => Ok(None),
                            _ => Err(error),
                        };
                    }
                    _ => {}
                }
            }
        }
    }
}

fn read(route: &RouteMessage) -> Option<RouteTo> {
    let mut answer = RouteTo {
        is_local: route.header.kind == RouteType::Local,
        interface: 0,
        router: None,
        source: None,
    };
    if !answer.is_local && route.header.kind != RouteType::Unicast {
        return None;
    }
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => answer.interface = *index,
            RouteAttribute::Gateway(router) => answer.router = address(router),
            RouteAttribute::Via(RouteVia::Inet(router)) => answer.router = Some((*router).into()),
            RouteAttribute::Via(RouteVia::Inet6(router)) => answer.router = Some((*router).into()),
            RouteAttribute::PrefSource(source) => answer.source = address(source),
            _ => {}
        }
    }
    Some(answer)
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
