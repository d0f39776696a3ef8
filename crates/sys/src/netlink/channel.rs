//! A socket of netlink, whatever the messages on it are about: requests, and what the kernel
//! answers.

use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The kernel fills at most this much in one datagram of a dump.
pub(super) const RECEIVE_BUFFER: usize = 64 * 1024;
/// How often a dump is repeated that changes meanwhile have torn.
const DUMP_ATTEMPTS: usize = 10;

/// What is said on a socket.
pub(super) trait Message:
    NetlinkSerializable + NetlinkDeserializable + Clone + Debug
{
}

impl<M: NetlinkSerializable + NetlinkDeserializable + Clone + Debug> Message for M {}

/// A socket to ask and to change.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Channel {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Channel> {
        Ok(Channel {
            socket: open_socket(protocol, SocketFlags::CLOEXEC, 0)?,
            sequence: 0,
            buffer: vec![0; RECEIVE_BUFFER],
        })
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn request<M: Message>(&mut self, message: M, flags: u16) -> io::Result<()> {
        self.ask(message, flags).map(drop)
    }

    /// Asks for something that is answered by success or failure; what comes before that.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn ask<M: Message>(&mut self, message: M, flags: u16) -> io::Result<Vec<M>> {
        let sequence = self.send(message, flags)?;
        let mut answers = Vec::new();
        loop {
            for message in self.receive::<M>()? {
                if message.header.sequence_number != sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }

    /// Asks for all there is.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn dump<M: Message>(&mut self, message: M) -> io::Result<Vec<M>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(answers) = self.dump_once(message.clone())? {
                return Ok(answers);
            }
        }
        Err(io::Error::other(
            "the kernel's tables change faster than they can be read",
        ))
    }

    /// None if the tables changed meanwhile, so that the answer is not of one moment.
    fn dump_once<M: Message>(&mut self, message: M) -> io::Result<Option<Vec<M>>> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut answers = Vec::new();
        let mut torn = false;
        loop {
            for message in self.receive()? {
                if message.header.sequence_number != sequence {
                    continue;
                }
                torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Done(_) => return Ok((!torn).then_some(answers)),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }

    /// Sends a request; the number that its answers have.
    pub(super) fn send<M: Message>(&mut self, message: M, flags: u16) -> io::Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.socket, &octets, SendFlags::empty(), &kernel)?;
        Ok(self.sequence)
    }

    /// What has come, in one datagram; waits for it.
    pub(super) fn receive<M: Message>(&mut self) -> io::Result<Vec<NetlinkMessage<M>>> {
        loop {
            match receive(&self.socket, &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// A socket for a protocol of netlink; none is `NETLINK_ROUTE`.
pub(super) fn open_socket(
    protocol: Option<Protocol>,
    flags: SocketFlags,
    groups: u32,
) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        protocol,
    )?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// One datagram, taken apart. Messages that cannot be read (of a newer kernel) are left
/// out.
pub(super) fn receive<M: NetlinkDeserializable>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Vec<NetlinkMessage<M>>> {
    let (length, _) = rustix::net::recv(socket, &mut *buffer, RecvFlags::empty())?;
    let mut rest = &buffer[..length];
    let mut messages = Vec::new();
    while let Some(field) = rest.first_chunk::<4>() {
        let length = u32::from_ne_bytes(*field) as usize;
        let Some(message) = rest.get(..length).filter(|_| length >= 16) else {
            break;
        };
        match NetlinkMessage::deserialize(message) {
            Ok(message) => messages.push(message),
            Err(error) => tracing::debug!("netlink message of unknown form: {error}"),
        }
        // NLMSG_ALIGN: messages begin at multiples of four octets.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(messages)
}
