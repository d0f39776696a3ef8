//! Signals that end the process take its labs down first.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::lab::Estate;
use crate::{Error, Result};

struct Watch {
    /// Whether the thread that waits for signals runs.
    started: bool,
    estates: Vec<Weak<Estate>>,
    /// Whether somebody waits for the interruption, and will then end the process.
    awaited: bool,
    interrupted: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch {
    started: false,
    estates: Vec::new(),
    awaited: false,
    interrupted: false,
});
static INTERRUPTED: Condvar = Condvar::new();

fn watch() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes `estate` into care; fails if a lab of its name is in care already.
pub(crate) fn register(estate: &Arc<Estate>) -> Result<()> {
    let mut watch = watch();
    if !watch.started {
        let signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::system("listen for signals"))?;
        std::thread::Builder::new()
            .name("lab signals".to_owned())
            .spawn(move || listen(signals))
            .map_err(Error::system("start a thread for signals"))?;
        watch.started = true;
    }
    if watch.interrupted {
        return Err(Error::TakenDown);
    }
    if names(&watch, estate.name()) {
        return Err(Error::NameTaken(estate.name().to_owned()));
    }
    watch.estates.push(Arc::downgrade(estate));
    Ok(())
}

/// Whether a lab of this name is in care.
pub(crate) fn is_registered(name: &str) -> bool {
    names(&watch(), name)
}

fn names(watch: &Watch, name: &str) -> bool {
    watch
        .estates
        .iter()
        .filter_map(Weak::upgrade)
        .any(|estate| estate.name() == name)
}

/// Gives `estate` out of care; it has been taken down.
pub(crate) fn forget(estate: &Arc<Estate>) {
    watch()
        .estates
        .retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(estate)));
}

/// Waits for the interruption, for `limit` at the most, and tells whether it came.
pub(crate) fn wait(limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let mut watch = watch();
    watch.awaited = true;
    while !watch.interrupted {
        let Some(left) = end.checked_duration_since(Instant::now()) else {
            break;
        };
        watch = INTERRUPTED
            .wait_timeout(watch, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
    watch.interrupted
}

fn listen(mut signals: Signals) {
    for signal in signals.forever() {
        let (estates, awaited): (Vec<_>, bool) = {
            let mut watch = watch();
            watch.interrupted = true;
            (
                watch.estates.iter().filter_map(Weak::upgrade).collect(),
                watch.awaited,
            )
        };
        for estate in estates {
            estate.take_down();
        }
        INTERRUPTED.notify_all();
        if !awaited {
            // Ends the process as the signal does by default, so that its parent sees why.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }
}
