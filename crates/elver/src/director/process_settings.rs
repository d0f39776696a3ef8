//! How the director and its children run: their priorities, names and memory.

use std::time::Duration;

use elver_core::check::messages::ToChecks;
use elver_core::config::model::{OwnSettings, ProcessSettings};
use elver_sys::process;
use elver_sys::scheduling::{Scheduling, schedule};

use super::Director;
use super::child::{Child, Role};
use crate::own_process::name_process;

/// The lowest real-time priority.
const LOWEST: u8 = 1;

impl Director {
    /// Lets the children run as the configuration says.
    pub(super) fn schedule_children(&self) {
        let global = &self.configuration.global;
        let sessions = !self.configuration.trackers.sessions.is_empty();
        let vrrp = self.vrrp.child.as_ref().map(Child::id);
        let check = self.check.child.as_ref().map(Child::id);
        self.schedule(
            Role::Vrrp,
            vrrp,
            &global.vrrp_process(sessions),
            self.vrrp.raised,
        );
        self.schedule(Role::Check, check, &global.check_process, self.check.raised);
        if let Some(child) = &self.check.child {
            let own = OwnSettings::of(&global.check_process, global.automatic_priority);
            child.tell(ToChecks::Own(own));
        }
    }

    fn schedule(
        &self,
        role: Role,
        process: Option<u32>,
        settings: &ProcessSettings,
        raised: Option<u8>,
    ) {
        let scheduling = Scheduling {
            nice: settings.nice.into(),
            real_time: settings.real_time.max(raised),
            real_time_limit: settings.real_time_limit,
            processors: settings.processors.clone(),
        };
        let done = process.map(|process| schedule(process, &scheduling));
        if let Some(Err(error)) = done {
            tracing::error!("the {role} process is not scheduled as configured: {error}");
        }
    }

    /// A child came too late for what was due: it gets a higher priority than it has.
    pub(super) fn came_late(&mut self, role: Role, late: Duration) {
        let global = &self.configuration.global;
        let most = global.automatic_priority.most;
        let (raised, settings) = match role {
            Role::Vrrp => (&mut self.vrrp.raised, &global.vrrp_process),
            Role::Check => (&mut self.check.raised, &global.check_process),
        };
        let Some(priority) = next_priority(settings.real_time.max(*raised), most) else {
            return;
        };
        *raised = Some(priority);
        tracing::warn!(
            "the {role} process came {} s too late: it gets the real-time priority {priority}",
            late.as_secs_f32()
        );
        self.schedule_children();
    }

    /// Names this process as the configuration says.
    pub(super) fn name_process(&self) {
        let named = match &self.configuration.global.process_name {
            Some(name) => name_process(name),
            None => process::set_name(&self.manner.process_name),
        };
        if let Err(error) = named {
            tracing::warn!("the name of this process: {error}");
        }
    }
}

/// The priority above this one, up to `most`; none where there is none.
fn next_priority(now: Option<u8>, most: u8) -> Option<u8> {
    let next = now.map_or(LOWEST, |now| now.saturating_add(1));
    (next <= most).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_rises_by_one_up_to_the_highest() {
        assert_eq!(next_priority(None, 0), None, "not asked for");
        assert_eq!(next_priority(None, 2), Some(1));
        assert_eq!(next_priority(Some(1), 2), Some(2));
        assert_eq!(next_priority(Some(2), 2), None);
        assert_eq!(next_priority(Some(50), 40), None);
    }
}
