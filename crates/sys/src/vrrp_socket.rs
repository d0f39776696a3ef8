//! Raw sockets for IP protocol 112.
//!
//! One receiver listens on one interface; one sender sends from one source address
//! of one interface. Both families look alike from outside. Sockets belong to the
//! network namespace of the thread that opens them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::task::{Context, Poll, ready};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::received_message::{ReceivedMessage, turn_on};

/// IP protocol number of VRRP (9568-7.2-d, 3768-7.2-d).
const VRRP: i32 = 112;
/// TOS or traffic class of advertisements: internetwork control (keepalived sends the same).
const INTERNETWORK_CONTROL: u32 = 0xc0;
/// `TC_PRIO_CONTROL` of linux/pkt_sched.h: ahead of other traffic in the queue.
const PRIORITY_CONTROL: u32 = 7;
/// IP protocol number of the IPsec authentication header.
const AH: i32 = 51;
/// Octets of the authentication header around an advertisement: HMAC-MD5-96.
const AH_LENGTH: usize = 24;
/// The longest advertisement has 4 088 octets behind at most 60 of IP header.
const LONGEST_PACKET: usize = 4608;

/// What advertisements are carried by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// IP alone.
    Plain,
    /// IPv4 with an IPsec authentication header.
    AuthenticationHeader,
}

/// A VRRP packet that has come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedPacket {
    /// Source address of the IP header.
    pub source: IpAddr,
    /// Destination address of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit of the IP header.
    pub hop_limit: u8,
    /// What follows the IP header, and an authentication header.
    pub payload: Vec<u8>,
    /// The whole packet, where it has an authentication header.
    pub sealed: Option<Vec<u8>>,
}

/// Listens for VRRP on one interface.
#[derive(Debug)]
pub struct VrrpReceiver {
    socket: AsyncFd<Socket>,
}

impl VrrpReceiver {
    /// Joins `groups`, at least one and all of one family, on an interface, by name and index,
    /// and listens.
    ///
    /// # Errors
    /// `ENODEV` if the interface is not there, `EPERM` without `CAP_NET_RAW`, `EINVAL` without
    /// a group.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO enabled.
    pub fn open(
        interface: &str,
        index: u32,
        groups: &[IpAddr],
        carrier: Carrier,
    ) -> io::Result<VrrpReceiver> {
        let family = *groups.first().ok_or(io::ErrorKind::InvalidInput)?;
        let socket = open_socket(family, interface, carrier)?;
        // Only what this socket has joined, not what others have on this host.
        if family.is_ipv4() {
            socket.set_multicast_all_v4(false)?;
        } else {
            socket.set_multicast_all_v6(false)?;
            socket.set_recv_hoplimit_v6(true)?;
            turn_on(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
        }
        for group in groups {
            match group {
                IpAddr::V4(group) => {
                    socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index))?;
                }
                IpAddr::V6(group) => socket.join_multicast_v6(group, index)?,
            }
        }
        // SAFETY: the AsyncFd owns the socket and is never taken apart, so its descriptor stays
        // open and the same until it is deregistered.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(VrrpReceiver { socket })
    }

    /// The next packet, or a wake-up of this context when there is one.
    ///
    /// # Errors
    /// What the kernel says about the socket, for instance `ENETDOWN` once when the
    /// interface goes down; the socket stays usable.
    pub fn poll_receive(&self, context: &mut Context<'_>) -> Poll<io::Result<ReceivedPacket>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(context))?;
            if let Ok(received) = guard.try_io(|socket| receive(socket.get_ref())) {
                return Poll::Ready(received);
            }
        }
    }

    /// A packet that the kernel holds at this moment, if there is one, whether or not the
    /// runtime has noticed.
    ///
    /// # Errors
    /// As [`poll_receive`](Self::poll_receive).
    pub fn try_receive(&self) -> io::Result<Option<ReceivedPacket>> {
        match receive(self.socket.get_ref()) {
            Ok(packet) => Ok(Some(packet)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Sends VRRP from one address of one interface.
#[derive(Debug)]
pub struct VrrpSender {
    socket: Socket,
}

impl VrrpSender {
    /// Opens a socket for `source`, an address of the interface; its packets have this TTL or
    /// hop limit. With an authentication header, what is sent is whole IPv4 packets.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the host does not have the address, `ENODEV` if the interface
    /// is not there, `EPERM` without `CAP_NET_RAW`.
    pub fn open(
        interface: &str,
        index: u32,
        source: IpAddr,
        hop_limit: u8,
        carrier: Carrier,
    ) -> io::Result<VrrpSender> {
        let socket = open_socket(source, interface, carrier)?;
        if carrier == Carrier::AuthenticationHeader {
            socket.set_header_included_v4(true)?;
        }
        // 9568-5.1.1.3-a, 9568-5.1.2.3-a, 3768-5.2.3-a: "The TTL MUST be set to 255", which
        // the caller sees to.
        let hop_limit = u32::from(hop_limit);
        match source {
            IpAddr::V4(source) => {
                socket.set_tos_v4(INTERNETWORK_CONTROL)?;
                rustix::net::sockopt::set_ip_multicast_if_with_ifindex(
                    &socket,
                    &Ipv4Addr::UNSPECIFIED,
                    &source,
                    index,
                )?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(hop_limit)?;
                socket.set_ttl_v4(hop_limit)?;
                let fragment = rustix::net::sockopt::Ipv4PathMtuDiscovery::DONT;
                rustix::net::sockopt::set_ip_mtu_discover(&socket, fragment)?;
            }
            IpAddr::V6(_) => {
                socket.set_tclass_v6(INTERNETWORK_CONTROL)?;
                socket.set_multicast_if_v6(index)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(hop_limit)?;
                socket.set_unicast_hops_v6(hop_limit)?;
            }
        }
        socket.set_priority(PRIORITY_CONTROL)?;
        socket.bind(&socket_address(source, index))?;
        // Nothing is ever read from this socket: let it queue as little as possible.
        socket.set_recv_buffer_size(0)?;
        Ok(VrrpSender { socket })
    }

    /// Sends a packet, now or not at all.
    ///
    /// # Errors
    /// `ENETDOWN` or `ENETUNREACH` while the interface is down, `EWOULDBLOCK` while its
    /// queue is full.
    pub fn send(&self, destination: IpAddr, payload: &[u8]) -> io::Result<()> {
        // Raw sockets take the port for a protocol: 0 leaves it alone.
        let destination = SockAddr::from(SocketAddr::new(destination, 0));
        self.socket.send_to(payload, &destination).map(drop)
    }
}

fn open_socket(family: IpAddr, interface: &str, carrier: Carrier) -> io::Result<Socket> {
    let domain = if family.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let protocol = match carrier {
        Carrier::Plain => VRRP,
        Carrier::AuthenticationHeader => AH,
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    Ok(socket)
}

fn socket_address(address: IpAddr, index: u32) -> SockAddr {
    match address {
        IpAddr::V4(address) => SocketAddrV4::new(address, 0).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, index).into(),
    }
}

/// The next packet that can be made sense of.
fn receive(socket: &Socket) -> io::Result<ReceivedPacket> {
    loop {
        match receive_any(socket) {
            Ok(Some(packet)) => return Ok(packet),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn receive_any(socket: &Socket) -> io::Result<Option<ReceivedPacket>> {
    let Some(received) = ReceivedMessage::receive::<LONGEST_PACKET>(socket)? else {
        return Ok(None);
    };
    Ok(match received.source.as_socket() {
        Some(SocketAddr::V6(source)) => packet_v6(*source.ip(), &received),
        _ => packet_v4(&received.octets),
    })
}

/// An IPv4 raw socket delivers the header too (raw(7)).
fn packet_v4(octets: &[u8]) -> Option<ReceivedPacket> {
    let header = octets.first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_length < 20 {
        return None;
    }
    let address =
        |at: usize| IpAddr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let is_sealed = i32::from(header[9]) == AH;
    let payload_from = if is_sealed {
        header_length + AH_LENGTH
    } else {
        header_length
    };
    Some(ReceivedPacket {
        source: address(12),
        destination: address(16),
        hop_limit: header[8],
        payload: octets.get(payload_from..)?.to_vec(),
        sealed: is_sealed.then(|| octets.to_vec()),
    })
}

/// An IPv6 raw socket delivers the payload; the rest is in control messages (RFC 3542).
fn packet_v6(source: std::net::Ipv6Addr, received: &ReceivedMessage) -> Option<ReceivedPacket> {
    let hop_limit = received.number(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)?;
    let destination = received.control(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?;
    Some(ReceivedPacket {
        source: IpAddr::V6(source),
        destination: IpAddr::from(*destination.first_chunk::<16>()?),
        hop_limit: u8::try_from(hop_limit).ok()?,
        payload: received.octets.clone(),
        sealed: None,
    })
}
