//! What a process of the director sees to itself, since nobody else can: its name, whether its
//! memory stays, and noticing that it comes too late.

use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use elver_core::config::model::OwnSettings;
use elver_sys::{process, scheduling};

/// This process.
#[derive(Debug)]
pub(crate) struct OwnProcess {
    usual_name: &'static CStr,
    settings: OwnSettings,
}

impl OwnProcess {
    /// A process that has this name where nobody gives it another.
    pub(crate) fn named(usual_name: &'static CStr) -> OwnProcess {
        OwnProcess {
            usual_name,
            settings: OwnSettings::default(),
        }
    }

    /// These settings hold from now on. What of them could not be done is in words.
    pub(crate) fn configure(&mut self, settings: OwnSettings) -> Vec<String> {
        let before = std::mem::replace(&mut self.settings, settings);
        let mut problems = Vec::new();
        if self.settings.name != before.name {
            let named = match &self.settings.name {
                Some(name) => name_process(name),
                None => process::set_name(self.usual_name),
            };
            if let Err(error) = named {
                problems.push(format!("the name of the process: {error}"));
            }
        }
        if self.settings.no_swap != before.no_swap
            && let Err(error) = scheduling::lock_memory(self.settings.no_swap)
        {
            problems.push(format!("…_no_swap: the memory is not locked: {error}"));
        }
        problems
    }

    /// How much too late it comes at `now` for what was due, if that is too much.
    pub(crate) fn lateness(&self, due: Option<Instant>, now: Instant) -> Option<Duration> {
        let late = now.checked_duration_since(due?)?;
        let bearable = self.settings.lateness?;
        (late > bearable).then_some(late)
    }
}

/// Gives this process a name in the kernel's list.
pub(crate) fn name_process(name: &str) -> std::io::Result<()> {
    process::set_name(&CString::new(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_later_than_bearable_is_too_late() {
        let mut process = OwnProcess::named(c"test");
        let due = Instant::now();
        let later = due + Duration::from_millis(20);
        assert_eq!(process.lateness(Some(due), later), None, "nobody asks");
        let lateness = Some(Duration::from_millis(10));
        assert!(
            process
                .configure(OwnSettings {
                    lateness,
                    ..OwnSettings::default()
                })
                .is_empty()
        );
        assert_eq!(process.lateness(Some(due), later), Some(later - due));
        assert_eq!(process.lateness(Some(later), due), None, "not due yet");
        assert_eq!(
            process.lateness(Some(due), due + Duration::from_millis(10)),
            None
        );
        assert_eq!(process.lateness(None, later), None);
    }
}
