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

/// IP protocol number of VRRP.
const VRRP: i32 = 112;
/// TOS or traffic class of advertisements: internetwork control (keepalived sends the same).
const INTERNETWORK_CONTROL: u32 = 0xc0;
/// `TC_PRIO_CONTROL` of linux/pkt_sched.h: ahead of other traffic in the queue.
const PRIORITY_CONTROL: u32 = 7;
/// The longest advertisement has 4 088 octets behind at most 60 of IP header.
const LONGEST_PACKET: usize = 4608;

/// A VRRP packet that has come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedPacket {
    /// Source address of the IP header.
    pub source: IpAddr,
    /// Destination address of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit of the IP header.
    pub hop_limit: u8,
    /// What follows the IP header.
    pub payload: Vec<u8>,
}

/// Listens for VRRP on one interface.
#[derive(Debug)]
pub struct VrrpReceiver {
    socket: AsyncFd<Socket>,
}

impl VrrpReceiver {
    /// Joins `group` on an interface, by name and index, and listens.
    ///
    /// # Errors
    /// `ENODEV` if the interface is not there, `EPERM` without `CAP_NET_RAW`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO enabled.
    pub fn open(interface: &str, index: u32, group: IpAddr) -> io::Result<VrrpReceiver> {
        let socket = open_socket(group, interface)?;
        match group {
            IpAddr::V4(group) => {
                // Only what this socket has joined, not what others have on this host.
                socket.set_multicast_all_v4(false)?;
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?;
            }
            IpAddr::V6(group) => {
                socket.set_multicast_all_v6(false)?;
                socket.join_multicast_v6(&group, index)?;
                socket.set_recv_hoplimit_v6(true)?;
                turn_on(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
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
    /// Opens a socket for `source`, an address of the interface.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the host does not have the address, `ENODEV` if the interface
    /// is not there, `EPERM` without `CAP_NET_RAW`.
    pub fn open(interface: &str, index: u32, source: IpAddr) -> io::Result<VrrpSender> {
        let socket = open_socket(source, interface)?;
        let hop_limit = 255;
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

fn open_socket(family: IpAddr, interface: &str) -> io::Result<Socket> {
    let domain = if family.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(VRRP)))?;
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
    Some(ReceivedPacket {
        source: address(12),
        destination: address(16),
        hop_limit: header[8],
        payload: octets.get(header_length..)?.to_vec(),
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
    })
}
