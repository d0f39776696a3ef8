//! Files in which an instance keeps what must outlive its director.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::instance::remove_if_there;

/// A file with a list of `T` in JSON, for root alone.
#[derive(Debug)]
pub(crate) struct Record<T> {
    path: PathBuf,
    items: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Record<T> {
    /// The record at `path`, which need not be there.
    pub(crate) fn at(path: PathBuf) -> Record<T> {
        Record {
            path,
            items: PhantomData,
        }
    }

    /// What it says; nothing, if there is none.
    pub(crate) fn read(&self) -> io::Result<Vec<T>> {
        match std::fs::read(&self.path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Replaces what it says, at once or not at all.
    pub(crate) fn write(&self, items: &[T]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(items)?)?;
        std::fs::rename(&temporary, &self.path)
    }

    /// Makes it say that there is nothing.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_if_there(&self.path)
    }
}
