//! `vrrp_mcast_group4` and `vrrp_mcast_group6`.

use std::net::IpAddr;

use crate::config::directive::{Context, Directive};

/// The groups of instances that have none of their own; none for the usual ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MulticastGroups {
    ipv4: Option<IpAddr>,
    ipv6: Option<IpAddr>,
}

impl MulticastGroups {
    /// Whether the directive was one of these, and is taken in.
    pub(super) fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) -> bool {
        let (group, ipv6, example) = match directive.keyword.name {
            "vrrp_mcast_group4" => (&mut self.ipv4, false, "224.0.0.18"),
            "vrrp_mcast_group6" => (&mut self.ipv6, true, "ff02::12"),
            _ => return false,
        };
        let address = directive.address();
        *group = address.filter(|address| address.is_multicast() && address.is_ipv6() == ipv6);
        if let (Some(address), None) = (address, group) {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            context
                .report
                .error(
                    directive.argument_span(0),
                    format!("{address} is no multicast group of {family}"),
                )
                .help(format!("the usual one is {example}"));
        }
        true
    }

    pub(super) fn of(self, ipv6: bool) -> Option<IpAddr> {
        if ipv6 { self.ipv6 } else { self.ipv4 }
    }
}
