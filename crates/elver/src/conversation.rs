//! The client's end of the control socket: requests that are answered in time, or not at all.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use elver_core::api::{Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A conversation with the director.
pub(crate) struct Conversation {
    socket: UnixStream,
    /// What has come after the last answer.
    received: Vec<u8>,
}

impl Conversation {
    /// Connects until `deadline`; a director that is busy may have its queue full for a while.
    pub(crate) fn connect(path: &Path, deadline: Instant) -> io::Result<Conversation> {
        let address = socket2::SockAddr::unix(path)?;
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        loop {
            match socket.connect(&address) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = time_left(deadline)?;
                    std::thread::sleep(left.min(Duration::from_millis(10)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Conversation {
            socket: UnixStream::from(socket),
            received: Vec::new(),
        })
    }

    /// Sends a request and waits until `deadline` for the answer.
    pub(crate) fn ask(&mut self, request: &Request, deadline: Instant) -> io::Result<Response> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => self.wait(error, PollFlags::OUT, deadline)?,
            }
        }
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) => self.wait(error, PollFlags::IN, deadline)?,
            }
        }
    }

    /// After `error`, waits until the socket is ready if that is all that is wrong.
    fn wait(&self, error: io::Error, ready: PollFlags, deadline: Instant) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => {
                let left = Timespec::try_from(time_left(deadline)?).map_err(io::Error::other)?;
                match poll(&mut [PollFd::new(&self.socket, ready)], Some(&left)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            _ => Err(error),
        }
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
