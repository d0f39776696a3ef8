//! The program that is installed now takes the place of the director that runs.
//!
//! It does so in the same process. The vrrp process goes on until the new director has loaded
//! everything and starts another, so no advertisement is missed; connections are in the kernel
//! and need nobody. What the new director must know is in a file below `/run`, which it takes
//! away. A new director that cannot start ends, and the old vrrp process withdraws then.

use std::os::fd::{OwnedFd, RawFd};

use elver_core::vrrp::State;
use elver_sys::process;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::instance::Instance;
use crate::record::Record;

/// What a director leaves to the next one in its process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Testament {
    /// The process.
    pub(crate) process: u32,
    /// The socket to the vrrp process.
    pub(crate) socket: Option<RawFd>,
    /// Its children.
    pub(crate) children: Vec<u32>,
    /// What state each virtual router is in.
    pub(crate) states: Vec<(String, State)>,
}

/// The director before this one.
#[derive(Debug)]
pub(crate) struct Predecessor {
    testament: Testament,
    /// While this is open, its vrrp process goes on.
    _socket: Option<OwnedFd>,
}

impl Testament {
    fn record(instance: &Instance) -> Record<Testament> {
        Record::at(instance.directory().join("testament"))
    }

    /// Runs the program that is installed now in the place of this one. Comes back only if that
    /// cannot be done.
    pub(crate) fn carry_out(self, instance: &Instance) -> Failure {
        let record = Testament::record(instance);
        if let Err(error) = record.write(&[self]) {
            return Failure::system("what the next program has to know")(error);
        }
        let error = process::succeed_to_newest();
        // Nobody else reads it: it has the id of this process.
        let _ = record.remove();
        Failure::system("running the program that is installed now")(error)
    }
}

impl Predecessor {
    /// Whether this process was a director before it was this program.
    pub(crate) fn is_there(instance: &Instance) -> bool {
        let left = Testament::record(instance).read().ok();
        left.and_then(|mut left| left.pop())
            .is_some_and(|testament| testament.process == std::process::id())
    }

    /// The director that this process was before it was this program, if it was one.
    pub(crate) fn of(instance: &Instance) -> Option<Predecessor> {
        let record = Testament::record(instance);
        let testament = record.read().ok()?.pop()?;
        if testament.process != std::process::id() {
            return None;
        }
        let socket = testament.socket.map(process::inherited).transpose().ok()?;
        record.remove().ok()?;
        Some(Predecessor {
            testament,
            _socket: socket,
        })
    }

    /// Ends its processes, and gives back what state each virtual router was in until now.
    pub(crate) fn end(self) -> Vec<(String, State)> {
        for child in self.testament.children {
            if let Err(error) = process::end_child(child) {
                tracing::warn!("process {child} of the director before this one: {error}");
            }
        }
        self.testament.states
    }
}
