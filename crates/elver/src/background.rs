//! Going into the background, as keepalived does without `--dont-fork`.
//!
//! Who started the daemon waits until it is ready and hears from it whether it is. keepalived
//! does not wait, and a start that fails a moment later is told to nobody but the log.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use elver_sys::process;

use crate::failure::Failure;

/// The way to the process that started this one, which waits at its other end.
#[derive(Debug)]
pub(crate) struct Starter(std::fs::File);

impl Starter {
    /// This process is ready: the other one ends.
    pub(crate) fn ready(mut self) {
        // It may have been killed.
        let _ = self.0.write_all(&[0]);
    }

    /// This process ends because of `failure`; the other one passes that on.
    pub(crate) fn failed(mut self, failure: &str, code: u8) {
        // Who started this process may have been killed.
        let _ = self.0.write_all(&[code]);
        let _ = self.0.write_all(failure.as_bytes());
    }
}

/// Which of the two processes this is, after [`go`].
#[derive(Debug)]
pub(crate) enum Side {
    /// The one that stays.
    Daemon(Starter),
    /// The one that was started; the other has told it with which code to end, and why.
    Started { code: u8, words: String },
}

/// Makes another process of this one, which stays in the background.
///
/// To be called while there is a single thread.
pub(crate) fn go() -> Result<Side, Failure> {
    let (mut heard, told) = io::pipe().map_err(Failure::system("going into the background"))?;
    let forked = process::fork_into_background();
    let is_daemon = forked.map_err(Failure::system("going into the background"))?;
    if is_daemon {
        drop(heard);
        // What goes wrong from here on goes by way of the starter. Children must not hold the
        // terminal either, or a pipe that somebody waits for the end of.
        process::release_terminal().map_err(Failure::system("letting the terminal go"))?;
        return Ok(Side::Daemon(Starter(OwnedFd::from(told).into())));
    }
    drop(told);
    let mut answer = Vec::new();
    heard
        .read_to_end(&mut answer)
        .map_err(Failure::system("waiting for the daemon"))?;
    Ok(match answer.split_first() {
        Some((code, words)) => Side::Started {
            code: *code,
            words: String::from_utf8_lossy(words).into_owned(),
        },
        None => Side::Started {
            code: 1,
            words: "the daemon died before it was ready".to_owned(),
        },
    })
}
