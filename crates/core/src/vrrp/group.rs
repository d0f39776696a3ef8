//! A sync group: what binds instances, and what is told of it.

use std::collections::VecDeque;

use super::State;
use super::effect::Effect;
use super::notification::{Occasion, of_group};
use crate::config::model::NotifyScripts;
use crate::notification::Notification;

/// A sync group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// Positions of its members.
    pub(super) members: Vec<usize>,
    pub(super) state: State,
    /// Whether what has a weight counts for its members.
    pub(super) weights: bool,
    pub(super) smtp_alert: bool,
    pub(super) scripts: NotifyScripts,
}

impl Group {
    /// Says in which state the group is now.
    pub(super) fn state_changed(&self, effects: &mut VecDeque<Effect>) {
        effects.push_back(Effect::GroupStateChanged {
            group: self.name.clone(),
            state: self.state,
        });
        self.notify(Occasion::Entered(self.state), effects);
    }

    /// What is told of it.
    pub(super) fn notification(&self, occasion: Occasion) -> Option<Notification> {
        of_group(&self.name, &self.scripts, self.smtp_alert, occasion)
    }

    pub(super) fn notify(&self, occasion: Occasion, effects: &mut VecDeque<Effect>) {
        effects.extend(self.notification(occasion).map(Effect::Notify));
    }
}
