//! The named pipes that a process writes events to.

use std::path::{Path, PathBuf};

use elver_sys::notify_fifo::NotifyFifo;
use tracing::warn;

/// The pipes that are open.
#[derive(Debug, Default)]
pub(crate) struct NotifyFifos {
    open: Vec<(PathBuf, NotifyFifo)>,
}

impl NotifyFifos {
    /// Writes to these from now on, which the director has made. One that cannot be opened
    /// is left out, which is logged.
    pub(crate) fn open<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let mut before = std::mem::take(&mut self.open);
        for path in paths {
            if let Some(position) = before.iter().position(|(other, _)| other == path) {
                self.open.push(before.swap_remove(position));
                continue;
            }
            match NotifyFifo::open(path) {
                Ok(fifo) => self.open.push((path.to_owned(), fifo)),
                Err(error) => warn!("{}: nothing is written to it: {error}", path.display()),
            }
        }
    }

    /// Writes a line to all of them.
    pub(crate) fn write(&mut self, line: &str) {
        for (path, fifo) in &mut self.open {
            if let Err(error) = fifo.write_line(line) {
                warn!("{}: lost {line}: {error}", path.display());
            }
        }
    }
}
