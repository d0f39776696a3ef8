//! How a process is scheduled, and whether its memory stays in place.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit};
use rustix::thread::CpuSet;

/// How a process is scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scheduling {
    /// Nice value, -20 to 19; 0 is usual.
    pub nice: i32,
    /// Real-time priority, 1 to 99 (`SCHED_RR`); none for the usual scheduling.
    pub real_time: Option<u8>,
    /// How long it may compute in real time without waiting for anything, before it is told
    /// to stop.
    pub real_time_limit: Option<Duration>,
    /// Numbers of the processors that it may run on; any, where there are none.
    pub processors: Vec<u16>,
}

/// Schedules a process like this from now on. Its children do not inherit real time.
///
/// It has to have a single thread, since Linux keeps this by thread.
///
/// # Errors
/// What the kernel says: `EPERM` without `CAP_SYS_NICE`, `ESRCH` for a process that has ended,
/// `EINVAL` for processors that are not there.
pub fn schedule(process: u32, scheduling: &Scheduling) -> io::Result<()> {
    let id = i32::try_from(process)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(rustix::io::Errno::SRCH)?;
    rustix::process::setpriority_process(Some(id), scheduling.nice)?;
    if let Some(limit) = scheduling.real_time_limit {
        let microseconds = u64::try_from(limit.as_micros()).ok();
        let limit = Rlimit {
            current: microseconds,
            maximum: None,
        };
        rustix::process::prlimit(Some(id), Resource::Rttime, limit)?;
    }
    if !scheduling.processors.is_empty() {
        let mut set = CpuSet::new();
        for processor in &scheduling.processors {
            let processor = usize::from(*processor);
            if processor >= CpuSet::MAX_CPU {
                return Err(rustix::io::Errno::INVAL.into());
            }
            set.set(processor);
        }
        rustix::thread::sched_setaffinity(Some(id), &set)?;
    }
    let (policy, priority) = match scheduling.real_time {
        Some(priority) => (
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            libc::c_int::from(priority),
        ),
        None => (libc::SCHED_OTHER, 0),
    };
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameters live through the call, which only reads them.
    let result =
        unsafe { libc::sched_setscheduler(id.as_raw_nonzero().get(), policy, &parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets this process, and those that it starts from now on, keep as much memory from being
/// swapped out as they like.
///
/// # Errors
/// `EPERM` without `CAP_SYS_RESOURCE`, where there is less to be had.
pub fn permit_locked_memory() -> io::Result<()> {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    Ok(rustix::process::setrlimit(Resource::Memlock, unlimited)?)
}

/// Keeps all memory of this process, also what it will have, from being swapped out, or lets
/// it be swapped out again.
///
/// # Errors
/// `EPERM` or `ENOMEM` where it may not have that much.
pub fn lock_memory(lock: bool) -> io::Result<()> {
    use rustix::mm::{MlockAllFlags, mlockall, munlockall};
    if lock {
        let limit = rustix::process::getrlimit(Resource::Memlock);
        let most = Rlimit {
            current: limit.maximum,
            ..limit
        };
        rustix::process::setrlimit(Resource::Memlock, most)?;
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    } else {
        munlockall()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of `/proc/PID/stat` behind the name (proc(5)): 16 is the nice value, 37 the
    /// real-time priority, 38 the policy.
    fn field(process: u32, number: usize) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(number).unwrap().to_owned()
    }

    #[test]
    fn a_process_is_scheduled_as_it_is_asked_for() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let process = child.id();
        let scheduling = Scheduling {
            nice: -3,
            real_time: Some(7),
            real_time_limit: Some(Duration::from_millis(200)),
            processors: vec![0],
        };
        let done = schedule(process, &scheduling);
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let fields = [16, 37, 38].map(|number| field(process, number));
        let usual = schedule(process, &Scheduling::default());
        let after = [16, 37, 38].map(|number| field(process, number));
        child.kill().unwrap();
        child.wait().unwrap();
        done.unwrap();
        usual.unwrap();
        assert_eq!(fields, ["-3", "7", "2"]);
        let limit = limits
            .lines()
            .find(|l| l.starts_with("Max realtime timeout"));
        assert!(limit.unwrap().contains("200000"), "{limit:?}");
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        assert_eq!(after, ["0", "0", "0"]);
        let gone = schedule(process, &Scheduling::default()).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    }
}
