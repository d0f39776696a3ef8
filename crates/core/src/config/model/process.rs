//! How the processes of the director run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessSettings {
    /// `…_process_name`: its name in the kernel's list, where it is not the usual one.
    pub name: Option<String>,
    /// `…_priority`: its nice value, -20 to 19.
    pub nice: i8,
    /// `…_rt_priority`: its real-time priority, 1 to 99.
    pub real_time: Option<u8>,
    /// `…_rlimit_rttime`: how long it may compute in real time without waiting.
    pub real_time_limit: Option<Duration>,
    /// `…_no_swap`: its memory is not swapped out.
    pub no_swap: bool,
    /// `…_cpu_affinity`: the processors that it runs on; any, where there are none.
    pub processors: Vec<u16>,
}

impl ProcessSettings {
    /// The settings of a process that does the work of another one as well: where it has none of
    /// its own, those of the other.
    pub fn or(&self, other: &ProcessSettings) -> ProcessSettings {
        let list = |own: &Vec<u16>, other: &Vec<u16>| match own.is_empty() {
            true => other.clone(),
            false => own.clone(),
        };
        ProcessSettings {
            name: self.name.clone(),
            nice: if self.nice == 0 {
                other.nice
            } else {
                self.nice
            },
            real_time: self.real_time.or(other.real_time),
            real_time_limit: self.real_time_limit.or(other.real_time_limit),
            no_swap: self.no_swap || other.no_swap,
            processors: list(&self.processors, &other.processors),
        }
    }
}

/// `max_auto_priority`, `min_auto_priority_delay`: a process that comes too late gets a
/// real-time priority, and each time a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticPriority {
    /// The highest that it gets by itself; 0 for none.
    pub most: u8,
    /// How late is too late.
    pub lateness: Duration,
}

impl Default for AutomaticPriority {
    fn default() -> AutomaticPriority {
        AutomaticPriority {
            most: 0,
            lateness: Duration::from_secs(1),
        }
    }
}

/// What a process has to see to itself; the rest of its settings is done to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnSettings {
    /// Its name in the kernel's list, where it is not the usual one.
    pub name: Option<String>,
    /// Whether its memory is not swapped out.
    pub no_swap: bool,
    /// How late it may come without saying so; none where nobody wants to know.
    pub lateness: Option<Duration>,
}

impl OwnSettings {
    /// Of a process with these settings.
    pub fn of(process: &ProcessSettings, priority: AutomaticPriority) -> OwnSettings {
        OwnSettings {
            name: process.name.clone(),
            no_swap: process.no_swap,
            lateness: (priority.most > 0).then_some(priority.lateness),
        }
    }
}
