//! Telling when files change (inotify(7)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::pipe::{PipeFlags, pipe_with};

/// When a directory that is not there is looked for again.
const LOOK_AGAIN: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A thread that watches files; it ends when this is dropped.
#[derive(Debug)]
pub struct FileWatch {
    _end: OwnedFd,
}

impl FileWatch {
    /// Calls `changed`, in a thread of its own, with the position of a path for every path at
    /// once and whenever the file there may have another content: it was written and closed,
    /// has come, gone, or been replaced. Files and their directories need not be there.
    ///
    /// # Errors
    /// What the kernel says about the pipe, the queue of events or the thread.
    pub fn start(
        paths: Vec<PathBuf>,
        changed: impl FnMut(usize) + Send + 'static,
    ) -> io::Result<FileWatch> {
        let (ended, end) = pipe_with(PipeFlags::CLOEXEC)?;
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        std::thread::Builder::new()
            .name("file-watch".to_owned())
            .spawn(move || {
                if let Err(error) = watch(&paths, &queue, &ended, changed) {
                    tracing::error!("files are not watched any more: {error}");
                }
            })?;
        Ok(FileWatch { _end: end })
    }
}

fn watch(
    paths: &[PathBuf],
    queue: &OwnedFd,
    ended: &OwnedFd,
    mut changed: impl FnMut(usize),
) -> io::Result<()> {
    (0..paths.len()).for_each(&mut changed);
    // By path, the number of the watch of its directory.
    let mut watched: Vec<Option<i32>> = vec![None; paths.len()];
    let mut buffer = [MaybeUninit::uninit(); 4096];
    loop {
        for (position, path) in paths.iter().enumerate() {
            if watched[position].is_none() {
                watched[position] = watch_directory(queue, path);
                if watched[position].is_some() {
                    // It may have changed before it was watched.
                    changed(position);
                }
            }
        }
        let timeout = watched.contains(&None).then_some(&LOOK_AGAIN);
        let mut ready = [
            PollFd::new(queue, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut ready, timeout) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[1].revents().is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(queue, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let lost = event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
            let gone = event.events().contains(inotify::ReadFlags::IGNORED);
            for (position, path) in paths.iter().enumerate() {
                let here = watched[position] == Some(event.wd());
                let named = event.file_name().is_some_and(|name| {
                    path.file_name()
                        .is_some_and(|own| own.as_encoded_bytes() == name.to_bytes())
                });
                if here && gone {
                    watched[position] = None;
                }
                if lost || here && (gone || named) {
                    changed(position);
                }
            }
        }
    }
}

/// Watches the directory of a path; none if there is none.
fn watch_directory(queue: &OwnedFd, path: &std::path::Path) -> Option<i32> {
    let flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::ONLYDIR;
    inotify::add_watch(queue, path.parent()?, flags).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_is_seen_to_come_change_and_go() {
        let directory = std::env::temp_dir().join(format!("watch-{}", std::process::id()));
        let file = directory.join("inner/number");
        let read = file.clone();
        let (sender, receiver) = mpsc::channel();
        let watch = FileWatch::start(vec![file.clone()], move |position| {
            assert_eq!(position, 0);
            let _ = sender.send(std::fs::read_to_string(&read).unwrap_or_default());
        })
        .unwrap();
        let becomes = |wanted: &str| {
            while receiver.recv_timeout(Duration::from_secs(30)).unwrap() != wanted {}
        };
        becomes("");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "1").unwrap();
        becomes("1");
        std::fs::write(&file, "2").unwrap();
        becomes("2");
        std::fs::write(directory.join("other"), "3").unwrap();
        std::fs::rename(directory.join("other"), &file).unwrap();
        becomes("3");
        std::fs::remove_dir_all(&directory).unwrap();
        becomes("");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "4").unwrap();
        becomes("4");
        drop(watch);
        std::fs::remove_dir_all(&directory).unwrap();
        // The thread has ended with the watch: nobody can send any more.
        while receiver.recv_timeout(Duration::from_secs(30)).is_ok() {}
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
