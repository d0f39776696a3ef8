//! `strict_mode`: what an instance may not have then, because the RFC does not.

use super::ReadInstance;
use super::finish::OWNER;
use crate::config::diagnostic::Report;
use crate::config::model::{InitialState, VrrpVersion};
use crate::config::source::Span;

impl ReadInstance {
    /// Takes back what the RFC does not have, as keepalived does, and says so.
    pub(super) fn comply(&mut self, name: &str, version: VrrpVersion, report: &mut Report) {
        let mut ignored = |span: Span, what: &str, help: &str| {
            report
                .warning(
                    span,
                    format!("({name}) {what} does not go with strict mode: ignored"),
                )
                .help(help);
        };
        for keyword in self.election.not_strict() {
            ignored(
                self.name.span,
                &format!("`{keyword}`"),
                "take it away, or `vrrp_strict` and `strict_mode`",
            );
        }
        if let Some(kind) = self.authentication.kind.take() {
            ignored(
                kind.span,
                "authentication",
                "RFC 3768 section 5.3.6 took it away; the other directors must have none either",
            );
            self.authentication.password = None;
        }
        if let Some(delay) = self.preempt_delay.take() {
            ignored(
                delay.span,
                "preempt_delay",
                "take it away, or write `nopreempt`",
            );
        }
        if std::mem::take(&mut self.transmit_on_base) {
            ignored(
                self.name.span,
                "vmac_xmit_base",
                "advertisements have to come from the virtual MAC address",
            );
        }
        let is_owner = self.priority.as_ref().is_some_and(|p| p.value == OWNER);
        if self.initial_state == Some(InitialState::Master) && !is_owner && self.priority.is_some()
        {
            ignored(
                self.name.span,
                "`state MASTER` without priority 255",
                "write `state BACKUP`; the priority decides all the same",
            );
            self.initial_state = Some(InitialState::Backup);
        }
        if let Some(accept) = self.accept.take_if(|accept| accept.value) {
            match version {
                VrrpVersion::V2 => ignored(
                    accept.span,
                    "`accept` in version 2",
                    "RFC 3768 section 6.4.3 has a master take no packets to addresses that it does not own",
                ),
                VrrpVersion::V3 => self.accept = Some(accept),
            }
        }
        if self.virtual_addresses.is_empty() && !self.broken {
            report
                .error(
                    self.name.span,
                    format!("({name}) strict mode wants a virtual address"),
                )
                .help("add a virtual_ipaddress block");
        }
        let first = self.virtual_addresses.first();
        if let Some(first) = first.filter(|first| match first.value.address {
            std::net::IpAddr::V6(address) => !address.is_unicast_link_local(),
            std::net::IpAddr::V4(_) => false,
        }) {
            report
                .warning(
                    first.span,
                    format!("({name}) the first IPv6 address is not link-local"),
                )
                // 9568-5.2.9-a.
                .help("RFC 9568 section 5.2.9: it must be the link-local address of the virtual router");
        }
    }
}
