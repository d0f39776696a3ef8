//! Waiting for a condition, with a bound.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The pause between two looks at a condition that cannot announce itself.
const PAUSE: Duration = Duration::from_millis(50);

/// The environment variable that says how many times slower than usual this machine is.
pub const SLOWNESS: &str = "ELVER_LAB_SLOWNESS";

/// A limit as it is on this machine: as many times longer as [`SLOWNESS`] says.
pub fn limit_here(usual: Duration) -> Duration {
    static FACTOR: LazyLock<u32> = LazyLock::new(|| {
        let Ok(text) = std::env::var(SLOWNESS) else {
            return 1;
        };
        text.parse()
            .unwrap_or_else(|_| panic!("{SLOWNESS}={text}: not a whole number"))
    });
    usual * *FACTOR
}

/// What one look at a condition gave.
pub enum Look<T> {
    /// It holds.
    Met(T),
    /// It does not hold yet; this is what there is instead, in words.
    NotYet(String),
}

/// Looks again and again until the condition is met, for `limit` (as [`limit_here`]) at
/// the most.
///
/// `awaited` says in words what is waited for. Errors of `look` end the wait; once the
/// limit has passed, what was seen last becomes part of [`Error::Unmet`].
pub fn until<T>(
    awaited: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<T> {
    let limit = limit_here(limit);
    let end = Instant::now() + limit;
    loop {
        let seen = match look()? {
            Look::Met(value) => return Ok(value),
            Look::NotYet(seen) => seen,
        };
        if Instant::now() >= end {
            return Err(Error::Unmet {
                awaited: awaited.to_owned(),
                seen,
                limit,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

/// [`until`] for a condition that is only true or false.
///
/// `seen` is asked for what there is instead, when the limit has passed.
pub fn until_true(
    awaited: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool>,
    seen: impl Fn() -> String,
) -> Result<()> {
    until(awaited, limit, || {
        Ok(if condition()? {
            Look::Met(())
        } else {
            Look::NotYet(seen())
        })
    })
}
