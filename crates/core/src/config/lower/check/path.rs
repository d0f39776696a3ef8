//! The way that the packets of a check take.

use std::net::SocketAddr;

use super::ReadCheck;
use crate::config::diagnostic::Report;
use crate::config::model::CheckPath;
use crate::config::source::Span;
use crate::service::{ForwardingMethod, ServiceKey};

/// How clients come to a real server.
#[derive(Clone, Copy)]
pub(in super::super) struct ClientSide<'a> {
    /// The virtual service; of a group, its first.
    pub(in super::super) service: &'a ServiceKey,
    /// How it forwards to the real server.
    pub(in super::super) method: ForwardingMethod,
}

impl ReadCheck {
    /// The way of a check that is to go as clients' packets do.
    pub(super) fn path(
        &self,
        span: Span,
        server: SocketAddr,
        ClientSide { service, method }: ClientSide<'_>,
        report: &mut Report,
    ) -> CheckPath {
        if method == ForwardingMethod::Nat {
            // Clients' packets become such as go to the real server's own address.
            return CheckPath::Direct;
        }
        let Some(virtual_address) = service.virtual_address() else {
            report
                .error(span, "a firewall mark has no address to check by this way")
                .help("write `check_path direct`");
            return CheckPath::Direct;
        };
        let mut cannot = |what: &str, help: &str| {
            report.error(span, what).help(help);
            CheckPath::Direct
        };
        if virtual_address.is_ipv4() != server.is_ipv4() {
            return cannot(
                "a check cannot go this way to a real server of another address family",
                "write `check_path direct`",
            );
        }
        let is_elsewhere = self.connect_ip.is_some_and(|ip| ip != server.ip());
        if is_elsewhere || self.interface.is_some() {
            return cannot(
                "this check is told another way too",
                "take away either `check_path forwarding`, or `connect_ip` and `bind_if`",
            );
        }
        CheckPath::Forwarding {
            virtual_address: virtual_address.ip(),
        }
    }
}
