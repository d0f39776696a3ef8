//! What the director writes into its log, where keepalived has words for it: people
//! and their tools look for these.

use std::net::SocketAddr;

use elver_core::check::messages::{News, Report};
use elver_core::config::model::{HttpProbe, Probe, VirtualServer, destination_of};
use elver_core::lb::{RealServerName, VirtualServerName};
use elver_core::service::{Edit, ServiceKey};

/// The line for a report of a check that is `probe`; none for news that keepalived keeps
/// to itself.
pub(crate) fn of_report(report: &Report, probe: &Probe) -> Option<String> {
    let name = RealServerName {
        service: &report.name.service,
        address: &report.name.real_server,
    };
    if let Probe::Misc(program) = probe {
        return of_program(report, &program.script.command);
    }
    let check = match probe {
        Probe::Http(HttpProbe { tls: None, .. }) => "HTTP_CHECK",
        Probe::Http(HttpProbe { tls: Some(_), .. }) => "SSL_CHECK",
        other => other.keyword(),
    };
    let kind = match probe {
        Probe::Udp(_) => "UDP",
        Probe::Ping => "ICMP",
        _ => "TCP",
    };
    let cause = &report.detail;
    Some(match (report.news, probe) {
        (News::Succeeded, Probe::Http(_)) => {
            format!("Remote Web server {name} succeed on service.")
        }
        (News::Succeeded, Probe::Smtp { .. }) => {
            format!("Remote SMTP server {name} succeed on service.")
        }
        (News::Succeeded, Probe::Dns(_)) => format!("DNS_CHECK ({name}) succeed on service."),
        (News::Succeeded, _) => format!("{kind} connection to {name} success."),
        (News::FailedFinally { retries: 0 }, _) => format!("{check} on service {name} failed."),
        (News::FailedFinally { retries }, _) => {
            format!("{check} on service {name} failed after {retries} retries.")
        }
        (News::FailedOnce, _) => format!("{check} on service {name} failed: {cause}."),
        (News::NotMade, _) => format!("{check} on service {name}: {cause}."),
        (News::Detail, _) => return None,
    })
}

/// The line for a report of a check that runs the program `command`.
fn of_program(report: &Report, command: &[String]) -> Option<String> {
    let name = RealServerName {
        service: &report.name.service,
        address: &report.name.real_server,
    };
    let service = VirtualServerName(&report.name.service);
    let path = command.first().map_or("", String::as_str);
    let how = match report.news {
        News::Succeeded => "succeeded".to_owned(),
        News::FailedFinally { retries: 0 } | News::FailedOnce => "failed".to_owned(),
        News::FailedFinally { retries } => format!("failed after {retries} retries"),
        News::NotMade => "did not run".to_owned(),
        News::Detail => return None,
    };
    let cause = &report.detail;
    Some(format!(
        "Misc check for [{name} VS {service}] by [{path}] {how} ({cause})."
    ))
}

/// The line for an edit that makes the data plane what the configuration says, in which
/// `server` finds the virtual server of a service.
pub(crate) fn of_edit<'c>(
    edit: &Edit,
    server: impl Fn(&ServiceKey) -> Option<&'c VirtualServer>,
) -> String {
    let role = |service: &ServiceKey, address: &SocketAddr| {
        server(service).map_or(Role::RealServer, |server| {
            Role::of(server, service, address)
        })
    };
    match edit {
        Edit::AddService { service, .. } => {
            format!("Adding virtual service {}", VirtualServerName(service))
        }
        Edit::EditService { service, .. } => {
            format!("Changing virtual service {}", VirtualServerName(service))
        }
        Edit::RemoveService { service } => {
            format!("Removing virtual service {}", VirtualServerName(service))
        }
        Edit::AddDestination {
            service, address, ..
        } => format!(
            "Adding {} {} to VS {}",
            role(service, address).word(),
            RealServerName { service, address },
            VirtualServerName(service)
        ),
        Edit::EditDestination {
            service,
            address,
            settings,
        } => {
            let role = role(service, address);
            let name = RealServerName { service, address };
            let service = VirtualServerName(service);
            let (word, weight) = (role.word(), settings.weight);
            match (role, weight) {
                (Role::Inhibited | Role::SorryServer, 0) => {
                    format!("Disabling {word} {name} of VS {service}")
                }
                (Role::Inhibited | Role::SorryServer, _) => {
                    format!("Enabling {word} {name} of VS {service} (weight {weight})")
                }
                (Role::RealServer, _) => {
                    format!("Changing {word} {name} of VS {service} (weight {weight})")
                }
            }
        }
        Edit::RemoveDestination { service, address } => format!(
            "Removing {} {} from VS {}",
            role(service, address).word(),
            RealServerName { service, address },
            VirtualServerName(service)
        ),
        Edit::Flush => "Removing every virtual service".to_owned(),
        // Plans have none of these; an operator's edits are not logged.
        Edit::Zero { .. }
        | Edit::SetTimeouts(_)
        | Edit::StartSyncDaemon(_)
        | Edit::StopSyncDaemon { .. } => format!("{edit:?}"),
    }
}

/// What a destination is to its service.
#[derive(Debug, Clone, Copy)]
enum Role {
    RealServer,
    /// A real server that stays with weight 0 while it is down.
    Inhibited,
    SorryServer,
}

impl Role {
    fn of(server: &VirtualServer, service: &ServiceKey, address: &SocketAddr) -> Role {
        let is_here = |written: SocketAddr, method| {
            destination_of(service, written, method) == Some(*address)
        };
        let real_server = server
            .real_servers
            .iter()
            .find(|real| is_here(real.address, real.settings.method));
        match (real_server, &server.sorry_server) {
            (Some(real_server), _) if real_server.inhibit_on_failure => Role::Inhibited,
            (None, Some(sorry)) if is_here(sorry.address, sorry.settings.method) => {
                Role::SorryServer
            }
            _ => Role::RealServer,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Role::RealServer | Role::Inhibited => "service",
            Role::SorryServer => "sorry server",
        }
    }
}

#[cfg(test)]
mod tests {
    use elver_core::check::{CheckName, Health};
    use elver_core::service::Protocol;

    use super::*;

    fn service() -> ServiceKey {
        ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: SocketAddr::from(([10, 9, 0, 100], 80)),
        }
    }

    fn real_server() -> SocketAddr {
        SocketAddr::from(([10, 9, 0, 2], 80))
    }

    #[test]
    fn reports_read_like_those_of_keepalived() {
        let line = |news| {
            let report = Report {
                name: CheckName {
                    service: service(),
                    real_server: real_server(),
                    number: 0,
                },
                health: Health::Down,
                news,
                detail: String::new(),
            };
            of_report(&report, &Probe::Tcp)
        };
        // Lines of keepalived 2.2.7's own log.
        assert_eq!(
            line(News::FailedFinally { retries: 0 }).unwrap(),
            "TCP_CHECK on service [10.9.0.2]:tcp:80 failed."
        );
        assert_eq!(
            line(News::FailedFinally { retries: 1 }).unwrap(),
            "TCP_CHECK on service [10.9.0.2]:tcp:80 failed after 1 retries."
        );
        assert_eq!(
            line(News::Succeeded).unwrap(),
            "TCP connection to [10.9.0.2]:tcp:80 success."
        );
        assert_eq!(line(News::Detail), None);
    }

    #[test]
    fn edits_read_like_those_of_keepalived() {
        let removal = Edit::RemoveDestination {
            service: service(),
            address: real_server(),
        };
        assert_eq!(
            of_edit(&removal, |_| None),
            "Removing service [10.9.0.2]:tcp:80 from VS [10.9.0.100]:tcp:80"
        );
    }
}
