//! What a virtual server is the server of: an address, a firewall mark or a group.

use std::net::{IpAddr, SocketAddr};

use super::{ReadVirtualServer, ip_address, port};
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::lower::Placed;
use crate::config::lower::group::ReadGroup;
use crate::config::model::{GroupMember, ServiceGroup};
use crate::service::{Family, Protocol, ServiceKey};

/// What a virtual server identifies itself by, as far as its first line says.
pub(super) enum Identity {
    Address(SocketAddr),
    Mark(u32),
    /// `group NAME`.
    Group(String),
}

/// What the first line of a `virtual_server` says.
pub(super) fn identity(
    context: &mut Context<'_>,
    block: &Directive<'_>,
) -> Option<Placed<Identity>> {
    let first = block.word(0)?;
    let span = block.statement.span();
    let value = match &*first.text {
        "group" => match block.word(1) {
            Some(name) => Identity::Group(name.text.to_string()),
            None => {
                context
                    .report
                    .error(span, "`group` needs the name of a virtual_server_group")
                    .help("write `virtual_server group NAME`");
                return None;
            }
        },
        "fwmark" => match block.word(1).map(|word| (word, word.text.parse::<u32>())) {
            Some((_, Ok(mark))) if mark != 0 => Identity::Mark(mark),
            _ => {
                context
                    .report
                    .error(span, "`fwmark` needs a mark from 1 up")
                    .help("write `virtual_server fwmark N`");
                return None;
            }
        },
        _ => {
            let address = ip_address(context, first)?;
            let port = port(context, block.word(1)).ok()?;
            Identity::Address(SocketAddr::new(address, port.unwrap_or(0)))
        }
    };
    Some(Placed { value, span })
}

impl ReadVirtualServer {
    /// What identifies it, and the group that it is for, if it is for one.
    pub(super) fn services(
        &self,
        groups: &[ReadGroup],
        report: &mut Report,
    ) -> Option<(ServiceKey, Option<ServiceGroup>)> {
        match &self.identity.value {
            Identity::Address(address) => Some((
                ServiceKey::Address {
                    protocol: self.protocol(report),
                    address: *address,
                },
                None,
            )),
            Identity::Mark(mark) => {
                self.protocol_of_marks(report);
                let mark = ServiceKey::Mark {
                    mark: *mark,
                    family: self.family(),
                };
                Some((mark, None))
            }
            Identity::Group(name) => {
                let Some(read) = groups.iter().find(|group| group.name == *name) else {
                    report
                        .advice(
                            self.identity.span,
                            format!("there is no virtual_server_group {name}"),
                        )
                        .label("this virtual server does not run")
                        .help("add the group, or correct its name");
                    return None;
                };
                let group = read.finish(self.family());
                let protocol = match group.members.first()? {
                    GroupMember::Addresses { .. } => self.protocol(report),
                    GroupMember::Mark { .. } => {
                        if !read.names_family() {
                            self.protocol_of_marks(report);
                        }
                        Protocol::Udp
                    }
                };
                let key = group.members.first()?.services(protocol).next()?;
                Some((key, Some(group)))
            }
        }
    }

    fn protocol(&self, report: &mut Report) -> Protocol {
        match &self.protocol {
            Some(protocol) => protocol.value,
            None => {
                report
                    .warning(self.identity.span, "this virtual server names no protocol")
                    .label("UDP is used, as keepalived does")
                    .help("add `protocol TCP` or `protocol UDP`");
                Protocol::Udp
            }
        }
    }

    fn protocol_of_marks(&self, report: &mut Report) {
        if let Some(protocol) = &self.protocol {
            report
                .warning(
                    protocol.span,
                    "a firewall mark stands for every protocol: ignored",
                )
                .help("take the line away");
        }
    }

    /// The family of packets with a mark, where the file does not name one.
    fn family(&self) -> Family {
        let first = self.real_servers.first().map(|server| server.address);
        self.family.unwrap_or(match first {
            Some(IpAddr::V6(_)) => Family::Inet6,
            _ => Family::Inet,
        })
    }
}
