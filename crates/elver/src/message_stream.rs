//! Messages between processes: one JSON value on a line of its own, over a Unix
//! stream socket.

use std::io;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// The messages that arrive.
#[derive(Debug)]
pub(crate) struct Messages<T> {
    lines: Lines<BufReader<OwnedReadHalf>>,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Messages<T> {
    pub(crate) fn new(socket: OwnedReadHalf) -> Messages<T> {
        Messages {
            lines: BufReader::new(socket).lines(),
            kind: PhantomData,
        }
    }

    /// The next message; `None` when the other side has gone. Nothing is lost when the
    /// future is dropped before it is ready.
    ///
    /// A line that is no message is `InvalidData`; the stream can still be read.
    pub(crate) async fn next(&mut self) -> io::Result<Option<T>> {
        let Some(line) = self.lines.next_line().await? else {
            return Ok(None);
        };
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Sends one message and waits until the kernel has it.
pub(crate) async fn send<T: Serialize>(socket: &mut OwnedWriteHalf, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    socket.write_all(&line).await
}

/// A queue of messages that are sent in order while others work. It never waits, so
/// two sides that both send much do not wait for each other.
///
/// When the sender is dropped, what is queued is sent and then the socket is shut down
/// for writing.
pub(crate) fn queue<T: Serialize + Send + Sync + 'static>(
    mut socket: OwnedWriteHalf,
) -> mpsc::UnboundedSender<T> {
    let (sender, mut messages) = mpsc::unbounded_channel::<T>();
    tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            // That the other side has gone shows on the reading side, where it is handled.
            if send(&mut socket, &message).await.is_err() {
                return;
            }
        }
    });
    sender
}

/// Makes a socket of the standard library one of this runtime, and takes it apart.
pub(crate) fn halves(
    socket: std::os::unix::net::UnixStream,
) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    socket.set_nonblocking(true)?;
    Ok(UnixStream::from_std(socket)?.into_split())
}
