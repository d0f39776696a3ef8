//! What happens to links, addresses, routes, rules and neighbours.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::net::SocketFlags;
use tokio::io::unix::AsyncFd;

use super::channel::{RECEIVE_BUFFER, open_socket, receive};
use super::{InterfaceAddress, Link, Neighbour, read_address, read_link, read_neighbour};

/// Room for bursts of events, in octets.
const EVENT_QUEUE: usize = 1024 * 1024;

/// What to listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Interfaces.
    Links,
    /// Addresses, of both families.
    Addresses,
    /// Routes, of both families.
    Routes,
    /// Rules that choose their table, of both families.
    Rules,
    /// Neighbours (ARP and neighbour discovery).
    Neighbours,
}

impl Topic {
    /// The `RTMGRP_` bits of linux/rtnetlink.h.
    fn groups(self) -> u32 {
        match self {
            Topic::Links => 0x1,
            Topic::Neighbours => 0x4,
            Topic::Addresses => 0x10 | 0x100,
            Topic::Routes => 0x40 | 0x400,
            Topic::Rules => 0x80 | 0x4_0000,
        }
    }
}

/// Something that has happened in the network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetlinkEvent {
    /// A link has appeared or changed.
    LinkChanged(Link),
    /// A link is gone.
    LinkRemoved(Link),
    /// An address has appeared or changed.
    AddressAdded(InterfaceAddress),
    /// An address is gone.
    AddressRemoved(InterfaceAddress),
    /// Some route, or some rule, has appeared, changed or gone.
    RoutesChanged,
    /// A neighbour has changed.
    NeighbourChanged(Neighbour),
    /// Events were lost: all that was known from events must be asked anew.
    Overrun,
}

/// A socket that listens; it needs a tokio runtime.
#[derive(Debug)]
pub struct NetlinkEvents {
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
    ready: VecDeque<NetlinkEvent>,
}

impl NetlinkEvents {
    /// Listens in the network namespace of the calling thread. What happens after this
    /// returns is not missed: open it before asking for the present state.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO enabled.
    pub fn open(topics: &[Topic]) -> io::Result<NetlinkEvents> {
        let groups = topics
            .iter()
            .fold(0, |groups, topic| groups | topic.groups());
        let socket = open_socket(None, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, groups)?;
        // Needs CAP_NET_ADMIN beyond the system's limit; without it, overruns are only likelier.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, EVENT_QUEUE).is_err() {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, EVENT_QUEUE)?;
        }
        // SAFETY: the AsyncFd owns the descriptor and is never taken apart, so it stays open
        // and the same until it is deregistered.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(NetlinkEvents {
            socket,
            buffer: vec![0; RECEIVE_BUFFER],
            ready: VecDeque::new(),
        })
    }

    /// The next event. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// What the kernel says about the socket, except for lost events, which are
    /// [`NetlinkEvent::Overrun`].
    pub async fn next(&mut self) -> io::Result<NetlinkEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let mut guard = self.socket.readable().await?;
            match guard.try_io(|socket| receive(socket.get_ref(), &mut self.buffer)) {
                Err(_would_block) => {}
                Ok(Ok(messages)) => self
                    .ready
                    .extend(messages.into_iter().filter_map(read_event)),
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.ready.push_back(NetlinkEvent::Overrun);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

fn read_event(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<NetlinkEvent> {
    let NetlinkPayload::InnerMessage(message) = message.payload else {
        return None;
    };
    match message {
        // Ports tell their bridge's view of them in messages of the bridge's family; these
        // neither add nor remove links.
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)
            if link.header.interface_family == AddressFamily::Bridge =>
        {
            None
        }
        RouteNetlinkMessage::NewLink(link) => Some(NetlinkEvent::LinkChanged(read_link(&link))),
        RouteNetlinkMessage::DelLink(link) => Some(NetlinkEvent::LinkRemoved(read_link(&link))),
        RouteNetlinkMessage::NewAddress(address) => {
            read_address(&address).map(NetlinkEvent::AddressAdded)
        }
        RouteNetlinkMessage::DelAddress(address) => {
            read_address(&address).map(NetlinkEvent::AddressRemoved)
        }
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(NetlinkEvent::RoutesChanged),
        RouteNetlinkMessage::NewNeighbour(neighbour) => {
            read_neighbour(&neighbour, true).map(NetlinkEvent::NeighbourChanged)
        }
        RouteNetlinkMessage::DelNeighbour(neighbour) => {
            read_neighbour(&neighbour, false).map(NetlinkEvent::NeighbourChanged)
        }
        _ => None,
    }
}
