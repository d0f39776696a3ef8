//! Who sends mail when nothing is said about it at the place itself.

use crate::config::directive::Directive;

/// `smtp_alert`, `smtp_alert_vrrp` and `smtp_alert_checker` of `global_defs`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alerts {
    all: Option<bool>,
    vrrp: Option<bool>,
    checks: Option<bool>,
}

impl Alerts {
    /// Whether the directive was one of these, and is taken in.
    pub(super) fn take(&mut self, directive: &Directive<'_>) -> bool {
        let place = match directive.keyword.name {
            "smtp_alert" => &mut self.all,
            "smtp_alert_vrrp" => &mut self.vrrp,
            "smtp_alert_checker" => &mut self.checks,
            _ => return false,
        };
        *place = Some(directive.boolean());
        true
    }

    /// Whether instances and groups do.
    pub(super) fn of_vrrp(self) -> bool {
        self.vrrp.or(self.all).unwrap_or(false)
    }

    /// Whether virtual servers do.
    pub(super) fn of_virtual_servers(self) -> bool {
        self.checks.or(self.all).unwrap_or(false)
    }

    /// Whether real servers do; as in keepalived, they alone do unless it is said.
    pub(super) fn of_real_servers(self) -> bool {
        self.checks.or(self.all).unwrap_or(true)
    }
}
