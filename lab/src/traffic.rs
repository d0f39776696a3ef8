//! Many connections at once, over which data flows in both directions without a pause.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Conversation;
use crate::service::{SILENCE_LIMIT, Stream};
use crate::wait::{self, Look, limit_here};
use crate::{Error, Host, Result};

/// What a connection sends at a time.
const CHUNK: usize = 1024;

/// How many chunks may be on their way there and back.
const WINDOW: usize = 4;

/// The pause between two chunks of a connection.
const PAUSE: Duration = Duration::from_millis(25);

/// Connections from a host to a [`crate::service::Service`] by which every octet comes back.
///
/// Each octet is held against the one that was sent: what is lost, doubled, moved or of
/// another connection is found, and so is a connection that ends. Dropping it closes them.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    is_ending: AtomicBool,
    progress: Vec<Progress>,
    failure: Mutex<Option<Error>>,
}

/// The octets of a connection so far.
#[derive(Debug, Default)]
struct Progress {
    sent: AtomicU64,
    returned: AtomicU64,
}

struct Connection {
    from: SocketAddr,
    stream: TcpStream,
    octets: Stream,
    /// What has been made and not yet sent.
    unsent: VecDeque<u8>,
    /// What has been sent and has not come back.
    under_way: VecDeque<u8>,
    is_over: bool,
}

impl Traffic {
    /// Connects so many times from `host` to `peer`, each for `limit` at the most, and lets
    /// data flow.
    pub fn start(
        host: &Host,
        peer: SocketAddrV4,
        connections: u32,
        limit: Duration,
    ) -> Result<Traffic> {
        let connections = (0..connections)
            .map(|number| Connection::open(host, peer, number, limit))
            .collect::<Result<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            is_ending: AtomicBool::new(false),
            progress: connections.iter().map(|_| Progress::default()).collect(),
            failure: Mutex::new(None),
        });
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("traffic".to_owned())
            .spawn(move || {
                if let Err(error) = ours.flow(connections) {
                    *ours.failure() = Some(error);
                }
            })
            .map_err(Error::system("start a thread"))?;
        Ok(Traffic {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until something that is sent after this call has come back by every connection.
    ///
    /// # Errors
    /// A connection has ended or changed what it carried, or one stands still.
    pub fn flows_on(&self, limit: Duration) -> Result<()> {
        let progress = &self.shared.progress;
        let sent: Vec<u64> = progress
            .iter()
            .map(|progress| progress.sent.load(Ordering::Relaxed))
            .collect();
        wait::until("data to flow by every connection", limit, || {
            self.check()?;
            let still = progress
                .iter()
                .zip(&sent)
                .filter(|(progress, sent)| progress.returned.load(Ordering::Relaxed) <= **sent);
            Ok(match still.count() {
                0 => Look::Met(()),
                count => Look::NotYet(format!("{count} of {} stand still", progress.len())),
            })
        })
    }

    /// Sends no more, waits for all that is under way, and gives how many octets came back.
    ///
    /// # Errors
    /// As of [`Traffic::flows_on`].
    pub fn finish(mut self) -> Result<u64> {
        self.end();
        self.check()?;
        let progress = self.shared.progress.iter();
        Ok(progress
            .map(|progress| progress.returned.load(Ordering::Relaxed))
            .sum())
    }

    fn check(&self) -> Result<()> {
        self.shared.failure().take().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flow(&self, mut connections: Vec<Connection>) -> Result<()> {
        let mut deadline = None;
        loop {
            let is_ending = self.is_ending.load(Ordering::Relaxed);
            for (connection, progress) in connections.iter_mut().zip(&self.progress) {
                connection
                    .step(progress, is_ending)
                    .map_err(Error::system(format!(
                        "go on with the connection from {}",
                        connection.from
                    )))?;
            }
            if is_ending {
                if connections.iter().all(|connection| connection.is_over) {
                    return Ok(());
                }
                let limit = limit_here(SILENCE_LIMIT);
                if Instant::now() > *deadline.get_or_insert(Instant::now() + limit) {
                    let left = connections.iter().filter(|connection| !connection.is_over);
                    return Err(Error::Unmet {
                        awaited: "every connection to give back the rest".to_owned(),
                        seen: format!("{} do not", left.count()),
                        limit,
                    });
                }
            }
            std::thread::sleep(limit_here(PAUSE));
        }
    }
}

impl Connection {
    fn open(host: &Host, peer: SocketAddrV4, number: u32, limit: Duration) -> Result<Connection> {
        let conversation = Conversation::open(host, peer, limit)?;
        let from = conversation.local_address()?;
        let stream = conversation.mirror()?;
        stream
            .set_nonblocking(true)
            .map_err(Error::system("set up a socket"))?;
        Ok(Connection {
            from,
            stream,
            octets: Stream::numbered(number),
            unsent: VecDeque::new(),
            under_way: VecDeque::new(),
            is_over: false,
        })
    }

    /// Takes what has come, and sends the next chunk, or the end.
    fn step(&mut self, progress: &Progress, is_ending: bool) -> io::Result<()> {
        if self.is_over {
            return Ok(());
        }
        self.take(progress)?;
        if is_ending && self.unsent.is_empty() {
            // A second time it does nothing.
            return match self.stream.shutdown(Shutdown::Write) {
                Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
                _ => Ok(()),
            };
        }
        if !is_ending && self.unsent.len() + self.under_way.len() + CHUNK <= WINDOW * CHUNK {
            let mut chunk = [0; CHUNK];
            self.octets.fill(&mut chunk);
            self.unsent.extend(chunk);
        }
        self.send(progress)
    }

    fn send(&mut self, progress: &Progress) -> io::Result<()> {
        let (unsent, _) = self.unsent.as_slices();
        match self.stream.write(unsent) {
            Ok(length) => {
                self.under_way.extend(self.unsent.drain(..length));
                progress.sent.fetch_add(length as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, progress: &Progress) -> io::Result<()> {
        let mut block = [0; WINDOW * CHUNK];
        loop {
            let length = match self.stream.read(&mut block) {
                Ok(0) if self.under_way.is_empty() && self.unsent.is_empty() => {
                    self.is_over = true;
                    return Ok(());
                }
                Ok(0) => {
                    let lost = self.under_way.len() + self.unsent.len();
                    return Err(io::Error::other(format!(
                        "it was closed with {lost} octets under way"
                    )));
                }
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if length > self.under_way.len()
                || !self
                    .under_way
                    .drain(..length)
                    .eq(block[..length].iter().copied())
            {
                return Err(io::Error::other("what came back is not what was sent"));
            }
            progress
                .returned
                .fetch_add(length as u64, Ordering::Relaxed);
        }
    }
}
