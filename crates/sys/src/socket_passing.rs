//! Sockets that one process passes to another, with a few words beside each.
//!
//! A process without privileges can so have a socket of its own made ready by one that may:
//! both then hold the same open socket (`SCM_RIGHTS`, unix(7)). The words go over a channel of
//! packets (`SOCK_SEQPACKET`), so that they stay with their socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The most octets beside a socket.
pub const MOST_OCTETS: usize = 4096;

/// One end of a channel.
#[derive(Debug)]
pub struct Channel(AsyncFd<OwnedFd>);

/// Makes a channel: one end for [`give`], and one to keep.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?)
}

/// Gives the process at the other end of `stream` a descriptor. Nothing else may have been
/// written there.
pub fn give(stream: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    send(stream.as_fd(), b"\n", Some(descriptor)).map(drop)
}

/// Takes what the process at the other end has given by [`give`], and waits for it. Nothing
/// else may have been read there.
///
/// # Errors
/// `InvalidData` if something else comes.
pub fn take(stream: &UnixStream) -> io::Result<OwnedFd> {
    match receive(stream.as_fd(), &mut [0])? {
        (1, Some(descriptor)) => Ok(descriptor),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the other process gives no descriptor",
        )),
    }
}

impl Channel {
    /// One end, within a runtime.
    pub fn new(end: OwnedFd) -> io::Result<Channel> {
        // SAFETY: the AsyncFd owns the descriptor and is never taken apart, so it stays open
        // for as long as it is registered.
        let end = unsafe { AsyncFd::register(end) }?;
        Ok(Channel(end))
    }

    /// Sends words, up to [`MOST_OCTETS`], with a socket or without one.
    pub async fn send(&self, words: &[u8], socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let sent = self
            .0
            .async_io(Interest::WRITABLE, |end| send(end.as_fd(), words, socket));
        sent.await.map(drop)
    }

    /// The next words, with their socket if they have one; none when the other end has gone.
    pub async fn receive(&self) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut words = vec![0; MOST_OCTETS];
        let received = self
            .0
            .async_io(Interest::READABLE, |end| receive(end.as_fd(), &mut words));
        let (length, socket) = received.await?;
        words.truncate(length);
        Ok((length != 0).then_some((words, socket)))
    }
}

fn send(
    end: BorrowedFd<'_>,
    words: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: &[BorrowedFd<'_>] = descriptor.as_slice();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let words = [IoSlice::new(words)];
    Ok(rustix::net::sendmsg(
        end,
        &words,
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?)
}

fn receive(end: BorrowedFd<'_>, words: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut words = [IoSliceMut::new(words)];
    let received = rustix::net::recvmsg(end, &mut words, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    // Those that are too many are closed.
    let first = descriptors.flatten().next();
    Ok((received.bytes, first))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_that_is_passed_on_is_the_same_one() {
        let (here, there) = UnixStream::pair().expect("a stream");
        let (ours, theirs) = pair().expect("a channel");
        give(&here, theirs.as_fd()).expect("it takes it");
        let theirs = take(&there).expect("it comes");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let socket = TcpStream::connect(address).expect("a connection");
        let passed = runtime.block_on(async {
            let (ours, theirs) = (Channel::new(ours)?, Channel::new(theirs)?);
            ours.send(b"first", Some(socket.as_fd())).await?;
            ours.send(b"second", None).await?;
            let (words, passed) = theirs.receive().await?.expect("a packet");
            assert_eq!(words, b"first");
            let (words, none) = theirs.receive().await?.expect("a packet");
            assert!(words == b"second" && none.is_none());
            drop(ours);
            assert!(theirs.receive().await?.is_none());
            io::Result::Ok(passed)
        });
        let passed = passed.expect("it works").expect("a socket");
        drop(socket);
        let mut passed = TcpStream::from(passed);
        passed.write_all(b"still open").expect("it is");
        drop(passed);
        let mut heard = String::new();
        let (mut peer, _) = listener.accept().expect("a connection");
        peer.read_to_string(&mut heard).expect("octets");
        assert_eq!(heard, "still open");
    }

    #[test]
    fn a_stream_that_brings_no_descriptor_is_an_error() {
        let (mut here, there) = UnixStream::pair().expect("a stream");
        here.write_all(b"{}").expect("it goes");
        let error = take(&there).expect_err("nothing came");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
