//! How long clients keep their real server.

use std::time::Duration;

use super::super::Placed;
use super::super::forwarding::prefix_length;
use super::ReadVirtualServer;
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::model::{GroupMember, ServiceGroup};
use crate::service::{Persistence, ServiceKey};

// The default of keepalived.conf(5).
const PERSISTENCE_TIMEOUT: Duration = Duration::from_secs(360);
/// keepalived's largest persistence_timeout: 31 days.
const LONGEST_PERSISTENCE: u64 = 31 * 86_400;

impl ReadVirtualServer {
    pub(super) fn persistence_timeout(
        &mut self,
        context: &mut Context<'_>,
        directive: &Directive<'_>,
    ) {
        let span = directive.argument_span(0);
        let value = match directive
            .word(0)
            .map(|word| (word, word.text.parse::<u64>()))
        {
            None => PERSISTENCE_TIMEOUT,
            Some((_, Ok(0))) => {
                // keepalived 1 took it for no persistence; today's complains and ignores it.
                context
                    .report
                    .warning(
                        span,
                        "a persistence_timeout of 0 means no persistence: ignored",
                    )
                    .help("take the line away");
                return;
            }
            Some((_, Ok(seconds))) if seconds <= LONGEST_PERSISTENCE => {
                Duration::from_secs(seconds)
            }
            Some((word, _)) => {
                context
                    .report
                    .error(
                        span,
                        format!("`{}` is no whole number of seconds up to {LONGEST_PERSISTENCE} (31 days)", word.text),
                    )
                    .help("write how long a client keeps its real server after its last connection, or nothing for 360");
                return;
            }
        };
        self.persistence_timeout = Some(Placed { value, span });
    }

    pub(super) fn persistence(
        &self,
        key: &ServiceKey,
        group: Option<&ServiceGroup>,
        report: &mut Report,
    ) -> Option<Persistence> {
        let every_port = match group {
            Some(group) => group
                .members
                .iter()
                .any(|member| matches!(member, GroupMember::Addresses { port: 0, .. })),
            None => matches!(key, ServiceKey::Address { address, .. } if address.port() == 0),
        };
        let timeout = match &self.persistence_timeout {
            Some(timeout) => timeout.value,
            None if self.granularity.is_some() => PERSISTENCE_TIMEOUT,
            None if every_port => {
                report
                    .warning(
                        self.identity.span,
                        "a virtual server for every port has to be persistent",
                    )
                    .label("persistence_timeout 360 is used")
                    .help("add `persistence_timeout SECONDS`, or a port");
                PERSISTENCE_TIMEOUT
            }
            None => return None,
        };
        let alone = key.family().address_bits();
        let prefix_length = match &self.granularity {
            None => alone,
            Some(granularity) => match prefix_length(&granularity.value, key.family()) {
                Some(length) => length,
                None => {
                    report
                        .error(
                            granularity.span,
                            format!("`{}` is no netmask", granularity.value),
                        )
                        .help("write a netmask like 255.255.255.0 for IPv4, or a prefix length from 1 to 128 for IPv6");
                    alone
                }
            },
        };
        Some(Persistence {
            timeout,
            prefix_length,
            scattered_mask: None,
        })
    }
}
