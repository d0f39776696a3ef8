//! The signals of real time that keepalived gives a meaning.

/// The one that asks for statistics as JSON (`keepalived --signum=JSON`).
pub(crate) fn json() -> i32 {
    libc::SIGRTMIN() + 2
}

/// The one that asks for statistics and sets them to zero (`keepalived --signum=STATS_CLEAR`).
pub(crate) fn statistics_once() -> i32 {
    libc::SIGRTMAX() - 1
}
