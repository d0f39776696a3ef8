//! Packet captures: every frame of an interface, in memory, and as a pcap file if kept.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use elver_sys::capture::CaptureSocket;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::decode::{Decoded, decode};
use crate::wait::{self, Look};
use crate::{Error, Host, Result};

/// Bytes kept of each frame: headers and a little more.
const SNAP_LENGTH: usize = 256;

/// Frames kept of each capture; past that the oldest go.
const FRAME_LIMIT: usize = 100_000;

/// A frame that passed an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When, since the Unix epoch.
    pub time: Duration,
    /// Whether it left the host through the interface, rather than entered by it.
    pub outgoing: bool,
    /// Bytes on the wire; an offloaded segment counts whole.
    pub length: usize,
    /// Its first bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// What it says.
    pub fn decode(&self) -> Decoded {
        decode(&self.bytes)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.time.as_secs() % 86_400;
        let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let direction = if self.outgoing { "out" } else { "in " };
        write!(
            f,
            "{hours:02}:{minutes:02}:{seconds:02}.{:06} {direction} {}",
            self.time.subsec_micros(),
            self.decode()
        )
    }
}

/// A running capture of one interface of a host; it ends when it is dropped.
///
/// What it has seen stays with the lab, which writes it to `HOST-INTERFACE.pcap` when it
/// keeps its records.
#[derive(Debug)]
pub struct Capture {
    record: Arc<Record>,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts to capture what passes `interface` of `host`, in both directions.
    pub fn start(host: &Host, interface: &str) -> Result<Self> {
        let doing = format!("capture on {interface} of {}", host.name());
        let socket = host
            .run(|| CaptureSocket::open(interface))?
            .map_err(Error::system(&doing))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|error| Error::system(&doing)(error.into()))?;
        let stop = Arc::new(stop);
        let record = Arc::new(Record::new(format!("{}-{interface}", host.name())));
        host.estate().while_standing(|made| {
            made.records.push(Arc::clone(&record));
            Ok(())
        })?;
        let thread = {
            let (record, stop) = (Arc::clone(&record), Arc::clone(&stop));
            std::thread::Builder::new()
                .name("capture".to_owned())
                .spawn(move || record.fill(&socket, &stop))
                .map_err(Error::system(doing))?
        };
        Ok(Self {
            record,
            stop,
            thread: Some(thread),
        })
    }

    /// The frames seen so far, oldest first.
    ///
    /// A frame that passed a moment ago may be missing still: [`Capture::wait_for`] it, or
    /// [`Capture::finish`].
    pub fn frames(&self) -> Vec<Frame> {
        self.record.frames().iter().cloned().collect()
    }

    /// Forgets what was seen so far.
    pub fn clear(&self) {
        self.record.frames().clear();
    }

    /// Waits until a frame has been seen for which `is_it` holds, and gives back the first.
    ///
    /// `awaited` says in words which frame that is.
    pub fn wait_for(
        &self,
        awaited: &str,
        limit: Duration,
        is_it: impl Fn(&Decoded) -> bool,
    ) -> Result<Frame> {
        wait::until(awaited, limit, || {
            let frames = self.record.frames();
            Ok(match frames.iter().find(|frame| is_it(&frame.decode())) {
                Some(frame) => Look::Met(frame.clone()),
                None => Look::NotYet(format!("{} other frames", frames.len())),
            })
        })
    }

    /// Ends the capture and gives back every frame that passed until now.
    pub fn finish(mut self) -> Vec<Frame> {
        self.end();
        self.frames()
    }

    /// Frames that passed and are not among [`Capture::frames`]: too many came, or too fast.
    pub fn missed(&self) -> u64 {
        self.record.missed.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a capture has seen.
#[derive(Debug)]
pub(crate) struct Record {
    name: String,
    frames: Mutex<VecDeque<Frame>>,
    missed: AtomicU64,
}

impl Record {
    fn new(name: String) -> Self {
        Self {
            name,
            frames: Mutex::default(),
            missed: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn frames(&self) -> MutexGuard<'_, VecDeque<Frame>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives until `stop` is readable, and then what had arrived by then.
    fn fill(&self, socket: &CaptureSocket, stop: &OwnedFd) {
        loop {
            let mut ready = [
                PollFd::new(socket, PollFlags::IN),
                PollFd::new(stop, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            let stopped = !ready[1].revents().is_empty();
            self.drain(socket);
            if stopped {
                return;
            }
        }
    }

    fn drain(&self, socket: &CaptureSocket) {
        let mut buffer = [0; SNAP_LENGTH];
        loop {
            let received = match socket.receive(&mut buffer) {
                Ok(received) => received,
                // The interface went down: it may come up again.
                Err(error) if error.raw_os_error() == Some(Errno::NETDOWN.raw_os_error()) => {
                    continue;
                }
                Err(_) => break,
            };
            let mut frames = self.frames();
            if frames.len() == FRAME_LIMIT {
                frames.pop_front();
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            frames.push_back(Frame {
                time: received.time,
                outgoing: received.outgoing,
                length: received.length,
                bytes: buffer[..received.length.min(SNAP_LENGTH)].to_vec(),
            });
        }
        self.missed
            .fetch_add(u64::from(socket.lost().unwrap_or(0)), Ordering::Relaxed);
    }

    /// Writes the frames in the pcap format with nanoseconds, for Ethernet.
    ///
    /// File header (24 bytes): magic 0xa1b23c4d, version 2.4, time zone and accuracy 0,
    /// snap length, link type 1. Each frame (16 bytes before it): seconds, nanoseconds,
    /// bytes kept, bytes on the wire. All in the writer's byte order; times are 32 bits.
    pub(crate) fn write_pcap(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        let versions = u32::from_ne_bytes({
            let ([a, b], [c, d]) = (2_u16.to_ne_bytes(), 4_u16.to_ne_bytes());
            [a, b, c, d]
        });
        file.write_all(&words(&[
            0xa1b2_3c4d,
            versions,
            0,
            0,
            SNAP_LENGTH as u32,
            1,
        ]))?;
        for frame in self.frames().iter() {
            let (seconds, nanoseconds) = (frame.time.as_secs() as u32, frame.time.subsec_nanos());
            let (kept, length) = (frame.bytes.len() as u32, frame.length as u32);
            file.write_all(&words(&[seconds, nanoseconds, kept, length]))?;
            file.write_all(&frame.bytes)?;
        }
        file.flush()
    }
}
