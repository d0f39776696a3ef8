//! The network namespace in which packets are forwarded, where that is another than the one in
//! which all else is done (`net_namespace_ipvs`).

use std::io;
use std::path::{Path, PathBuf};

use elver_core::config::model::{Configuration, ForwardingNamespace};
use elver_sys::namespace::NetworkNamespace;

use crate::failure::Failure;

/// What cannot be entered where [`Forwarding::run`] fails.
pub(super) const THERE: &str = "the network namespace of net_namespace_ipvs";

/// Where packets are forwarded.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    /// That namespace, and the one in which this process is.
    elsewhere: Option<(NetworkNamespace, NetworkNamespace)>,
}

impl Forwarding {
    /// Where a configuration wants it.
    pub(super) fn of(configuration: &Configuration) -> Result<Forwarding, Failure> {
        let Some(wanted) = &configuration.global.forwarding_namespace else {
            return Ok(Forwarding::default());
        };
        let path = path_of(wanted);
        let open = |path: &Path| {
            let failed = Failure::system(format!("network namespace {}", path.display()));
            NetworkNamespace::open(path).map_err(failed)
        };
        // Of the thread: the first one's is what `self` shows, whoever asks.
        let here = Path::new("/proc/thread-self/ns/net");
        Ok(Forwarding {
            elsewhere: Some((open(&path)?, open(here)?)),
        })
    }

    /// Does `work` there. What it opens belongs there and stays so; what it calls must not
    /// await anything.
    ///
    /// # Errors
    /// That namespace, or afterwards the own one, cannot be entered.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        let Some((there, here)) = &self.elsewhere else {
            return Ok(work());
        };
        there.enter()?;
        let done = work();
        here.enter()?;
        Ok(done)
    }
}

fn path_of(namespace: &ForwardingNamespace) -> PathBuf {
    match namespace {
        ForwardingNamespace::OfTheSystem => PathBuf::from("/proc/1/ns/net"),
        ForwardingNamespace::Named(name) => Path::new("/run/netns").join(name),
    }
}
