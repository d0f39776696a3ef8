//! A TCP service that says who it is, and moves bulk data.
//!
//! It greets with one line, `NAME at ADDRESS:PORT sees ADDRESS:PORT`, from which a client
//! learns which real server answers and whom that takes for its client. Then it obeys one
//! command a line:
//!
//! | line | answer |
//! |---|---|
//! | `echo TEXT` | `TEXT` |
//! | `send BYTES` | that many bytes of [`Stream`], then `CHECKSUM` |
//! | `receive BYTES` | after that many bytes: `CHECKSUM` of them |
//! | `mirror` | all that follows, as it comes, until the client has sent its last |

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::wait::limit_here;
use crate::{Error, Host, Result};

/// How long either side of a conversation may be silent amid a transfer.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The longest transfer that is served.
const TRANSFER_LIMIT: u64 = 8 << 30;

/// The longest command line.
const LINE_LIMIT: u64 = 4096;

const BLOCK: usize = 1 << 17;

/// A running service; dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    accepted: AtomicU64,
    /// By the number under which each was accepted.
    open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Service {
    /// Listens on `address` in `host` and serves as `name`.
    pub fn start(host: &Host, name: &str, address: SocketAddrV4) -> Result<Self> {
        let doing = format!("listen on {address} of {}", host.name());
        let listener = host
            .run(|| TcpListener::bind(address))?
            .map_err(Error::system(&doing))?;
        listener
            .set_nonblocking(true)
            .map_err(Error::system(&doing))?;
        let address = listener.local_addr().map_err(Error::system(&doing))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|error| Error::system(&doing)(error.into()))?;
        let stop = Arc::new(stop);
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            accepted: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let thread = {
            let (stop, shared) = (Arc::clone(&stop), Arc::clone(&shared));
            std::thread::Builder::new()
                .name("service".to_owned())
                .spawn(move || accept_until(&listener, &stop, &shared))
                .map_err(Error::system(doing))?
        };
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
            shared,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for connection in self.shared.open().values() {
            // The other end may have closed it already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept_until(listener: &TcpListener, stop: &OwnedFd, shared: &Arc<Shared>) {
    loop {
        let mut ready = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        // An error is of one connection, which was gone before it was accepted.
        let Ok((connection, client)) = listener.accept() else {
            continue;
        };
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(copy) = connection.try_clone() else {
            continue;
        };
        shared.open().insert(number, copy);
        let service = Arc::clone(shared);
        let serving = std::thread::Builder::new()
            .name("conversation".to_owned())
            .spawn(move || {
                // An error is of the connection, and the other end sees it as well.
                let _ = serve(&service.name, &connection, client);
                service.open().remove(&number);
            });
        if let Err(error) = serving {
            eprintln!("elver-lab: cannot serve a connection: {error}");
        }
    }
}

fn serve(name: &str, connection: &TcpStream, client: SocketAddr) -> io::Result<()> {
    connection.set_nonblocking(false)?;
    connection.set_nodelay(true)?;
    connection.set_write_timeout(Some(limit_here(SILENCE_LIMIT)))?;
    let mut output = connection;
    let mut input = BufReader::with_capacity(BLOCK, connection);
    say(
        output,
        &format!("{name} at {} sees {client}", connection.local_addr()?),
    )?;
    loop {
        // A conversation may rest between commands for as long as the client likes.
        connection.set_read_timeout(None)?;
        let mut line = String::new();
        if input.by_ref().take(LINE_LIMIT).read_line(&mut line)? == 0 {
            return Ok(());
        }
        connection.set_read_timeout(Some(limit_here(SILENCE_LIMIT)))?;
        let (command, argument) = line
            .trim_end()
            .split_once(' ')
            .unwrap_or((line.trim_end(), ""));
        let bytes = argument
            .parse()
            .ok()
            .filter(|&bytes| bytes <= TRANSFER_LIMIT);
        match (command, bytes) {
            ("echo", _) => say(output, argument)?,
            ("send", Some(bytes)) => {
                let checksum = send(&mut output, bytes)?;
                say(output, &format!("{checksum:08x}"))?;
            }
            ("receive", Some(bytes)) => {
                let checksum = receive(&mut input, bytes)?;
                say(output, &format!("{checksum:08x}"))?;
            }
            ("mirror", _) => return mirror(&mut input, output),
            _ => say(output, "unknown command")?,
        }
    }
}

/// Gives back all that comes until there is no more.
fn mirror(input: &mut impl BufRead, mut output: &TcpStream) -> io::Result<()> {
    loop {
        let block = input.fill_buf()?;
        if block.is_empty() {
            return output.shutdown(Shutdown::Write);
        }
        output.write_all(block)?;
        let length = block.len();
        input.consume(length);
    }
}

/// Writes one line, in one segment.
pub(crate) fn say(mut output: &TcpStream, line: &str) -> io::Result<()> {
    output.write_all(format!("{line}\n").as_bytes())
}

/// Writes the first `bytes` of a [`Stream`]; gives back their CRC-32.
pub(crate) fn send(output: &mut impl Write, bytes: u64) -> io::Result<u32> {
    let mut checksum = crc32fast::Hasher::new();
    let mut stream = Stream::new();
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let part = &mut block[..usize::try_from(left).unwrap_or(BLOCK).min(BLOCK)];
        stream.fill(part);
        checksum.update(part);
        output.write_all(part)?;
        left -= part.len() as u64;
    }
    output.flush()?;
    Ok(checksum.finalize())
}

/// Reads `bytes`; gives back their CRC-32.
pub(crate) fn receive(input: &mut impl Read, bytes: u64) -> io::Result<u32> {
    let mut checksum = crc32fast::Hasher::new();
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let part = &mut block[..usize::try_from(left).unwrap_or(BLOCK).min(BLOCK)];
        input.read_exact(part)?;
        checksum.update(part);
        left -= part.len() as u64;
    }
    Ok(checksum.finalize())
}

/// Bytes that do not repeat, so that a lost, doubled or moved part changes the checksum:
/// the output of xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled").
#[derive(Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    fn new() -> Self {
        Self::numbered(0)
    }

    /// One of many that differ from each other.
    pub(crate) fn numbered(number: u32) -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15 ^ u64::from(number),
        }
    }

    /// Fills `block`, whose length is a multiple of 8 except at the stream's end.
    pub(crate) fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_mut(8) {
            self.state ^= self.state >> 12;
            self.state ^= self.state << 25;
            self.state ^= self.state >> 27;
            let value = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            word.copy_from_slice(&value[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        for bytes in [0, 1, 7, 8, BLOCK as u64, BLOCK as u64 + 13] {
            let mut passed = Vec::new();
            let sent = send(&mut passed, bytes).expect("memory takes it");
            assert_eq!(passed.len() as u64, bytes);
            assert_eq!(
                receive(&mut passed.as_slice(), bytes).expect("memory gives it"),
                sent
            );
        }
    }

    #[test]
    fn a_change_shows_in_the_checksum() {
        let mut passed = Vec::new();
        let bytes = 3 * BLOCK as u64;
        let sent = send(&mut passed, bytes).expect("memory takes it");
        passed.swap(100, BLOCK + 100);
        assert_ne!(
            receive(&mut passed.as_slice(), bytes).expect("memory gives it"),
            sent
        );
    }
}
