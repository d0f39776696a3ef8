//! UDP sockets of Bidirectional Forwarding Detection (RFC 5881 section 4).
//!
//! One receiver listens on one port for every neighbour of a family; one sender sends to the
//! neighbour of one session. Sockets belong to the network namespace of the thread that opens
//! them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::received_message::{ReceivedMessage, turn_on};

/// "The source port MUST be in the range 49152 through 65535." Programs that dissect packets
/// take the first one for another protocol's.
const FIRST_SOURCE_PORT: u16 = 49153;
/// TOS or traffic class: internetwork control, as of the other protocols that keep routes.
const INTERNETWORK_CONTROL: u32 = 0xc0;
/// `TC_PRIO_CONTROL` of linux/pkt_sched.h: ahead of other traffic in the queue.
const PRIORITY_CONTROL: u32 = 7;
/// A control packet has 24 octets, with authentication up to 52.
const LONGEST: usize = 256;

/// A datagram that has come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdDatagram {
    /// Where it is from.
    pub source: IpAddr,
    /// Its TTL or hop limit on arrival.
    pub hop_limit: u8,
    /// What is behind its UDP header.
    pub payload: Vec<u8>,
}

/// Listens on a port.
#[derive(Debug)]
pub struct BfdReceiver {
    socket: AsyncFd<Socket>,
}

impl BfdReceiver {
    /// Listens on `port` of every address of a family.
    ///
    /// # Errors
    /// `EADDRINUSE` if another program does.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO enabled.
    pub fn open(ipv6: bool, port: u16) -> io::Result<BfdReceiver> {
        let any = match ipv6 {
            false => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            true => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let socket = open_socket(any)?;
        match ipv6 {
            false => turn_on(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL)?,
            true => socket.set_recv_hoplimit_v6(true)?,
        }
        socket.bind(&SockAddr::from(SocketAddr::new(any, port)))?;
        // SAFETY: the AsyncFd owns the socket and is never taken apart, so its descriptor stays
        // open and the same until it is deregistered.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(BfdReceiver { socket })
    }

    /// The next datagram, or a wake-up of this context when there is one.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    pub fn poll_receive(&self, context: &mut Context<'_>) -> Poll<io::Result<BfdDatagram>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(context))?;
            if let Ok(received) = guard.try_io(|socket| receive(socket.get_ref())) {
                return Poll::Ready(received);
            }
        }
    }

    /// A datagram that the kernel holds at this moment, if there is one.
    ///
    /// # Errors
    /// As [`poll_receive`](Self::poll_receive).
    pub fn try_receive(&self) -> io::Result<Option<BfdDatagram>> {
        match receive(self.socket.get_ref()) {
            Ok(datagram) => Ok(Some(datagram)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Sends to one neighbour.
#[derive(Debug)]
pub struct BfdSender {
    socket: Socket,
    neighbor: SocketAddr,
}

impl BfdSender {
    /// Opens a socket that sends to `neighbor` with `hop_limit` as TTL or hop limit, from
    /// `source` or from the address that the kernel chooses. "The same UDP source port number
    /// MUST be used for all BFD Control packets associated with a particular session": that
    /// of the socket.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if this host does not have the address `source`.
    pub fn open(
        source: Option<IpAddr>,
        neighbor: SocketAddr,
        hop_limit: u8,
    ) -> io::Result<BfdSender> {
        let any = match neighbor {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let source = source.unwrap_or(any);
        let socket = open_socket(source)?;
        match neighbor {
            SocketAddr::V4(_) => {
                socket.set_ttl_v4(hop_limit.into())?;
                socket.set_tos_v4(INTERNETWORK_CONTROL)?;
            }
            SocketAddr::V6(_) => {
                socket.set_unicast_hops_v6(hop_limit.into())?;
                socket.set_tclass_v6(INTERNETWORK_CONTROL)?;
            }
        }
        socket.set_priority(PRIORITY_CONTROL)?;
        // Nothing is ever read from this socket: let it queue as little as possible.
        socket.set_recv_buffer_size(0)?;
        let mut ports = FIRST_SOURCE_PORT..=u16::MAX;
        loop {
            let port = ports.next().ok_or(io::ErrorKind::AddrInUse)?;
            match socket.bind(&SockAddr::from(SocketAddr::new(source, port))) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(BfdSender { socket, neighbor }),
            }
        }
    }

    /// Sends a datagram, now or not at all.
    ///
    /// # Errors
    /// `ENETUNREACH` without a route, `EWOULDBLOCK` while the queue is full.
    pub fn send(&self, payload: &[u8]) -> io::Result<()> {
        let neighbor = SockAddr::from(self.neighbor);
        self.socket.send_to(payload, &neighbor).map(drop)
    }
}

fn open_socket(family: IpAddr) -> io::Result<Socket> {
    let domain = match family {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if family.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// The next datagram that can be made sense of.
fn receive(socket: &Socket) -> io::Result<BfdDatagram> {
    loop {
        let received = match ReceivedMessage::receive::<LONGEST>(socket) {
            Ok(Some(received)) => received,
            Ok(None) => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let hop_limit = received
            .number(libc::IPPROTO_IP, libc::IP_TTL)
            .or_else(|| received.number(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT))
            .and_then(|number| u8::try_from(number).ok());
        if let (Some(source), Some(hop_limit)) = (received.source.as_socket(), hop_limit) {
            return Ok(BfdDatagram {
                source: source.ip(),
                hop_limit,
                payload: received.octets,
            });
        }
    }
}
