//! What was found, beside what the configuration says.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::model::{
    Check, CheckPath, Configuration, Connection, Probe, RealServer, Timing, VirtualServer,
};
use crate::service::{
    DestinationSettings, ForwardingMethod, Scheduler, ServiceKey, ServiceSettings,
};

use super::{Found, LabelledCheck};

/// How often a check that a label asks for is made.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long its connection may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is repeated before its real server counts as down, and after which pause.
const RETRIES: u32 = 2;
const DELAY_BEFORE_RETRY: Duration = Duration::from_secs(1);

/// The configuration with the real servers that were found.
///
/// A virtual server of the file keeps its settings and its own real servers, which come first;
/// one that is not in the file has the scheduler wrr. Where the file has a real server already,
/// the file counts.
pub fn merge(configuration: &Configuration, found: &[Found]) -> Configuration {
    let mut merged = configuration.clone();
    for found in found {
        let servers = &mut merged.virtual_servers;
        let place = servers
            .iter()
            .position(|server| server.services().any(|key| key == found.service));
        let server = match place {
            Some(place) => &mut servers[place],
            None => {
                servers.push(virtual_server(found.service));
                let Some(last) = servers.last_mut() else {
                    continue;
                };
                last
            }
        };
        let mut reals = server.real_servers.iter();
        if !reals.any(|real| real.address == found.address) {
            server.real_servers.push(real_server(found));
        }
    }
    merged
}

fn virtual_server(key: ServiceKey) -> VirtualServer {
    VirtualServer {
        key,
        group: None,
        settings: ServiceSettings {
            scheduler: Scheduler::Wrr,
            ..ServiceSettings::default()
        },
        real_servers: Vec::new(),
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        quorum_up: None,
        quorum_down: None,
        smtp_alert: false,
        omega: false,
        ha_suspend: false,
    }
}

fn real_server(found: &Found) -> RealServer {
    RealServer {
        address: found.address,
        settings: DestinationSettings {
            method: found.method,
            weight: found.weight,
            upper_threshold: 0,
            lower_threshold: 0,
        },
        inhibit_on_failure: false,
        smtp_alert: false,
        notify_up: None,
        notify_down: None,
        slow_start: Duration::ZERO,
        passive_check: None,
        passive_handshake: None,
        checks: match found.check {
            LabelledCheck::None => Vec::new(),
            LabelledCheck::Tcp => vec![connecting(found)],
        },
    }
}

/// `TCP_CHECK`, by the way of clients' packets where the real server gets those unchanged: the
/// service is then at its virtual address alone.
fn connecting(found: &Found) -> Check {
    let virtual_address = match found.service {
        ServiceKey::Address { address, .. } => Some(address),
        ServiceKey::Mark { .. } => None,
    };
    let (to, path) = match (found.method, virtual_address) {
        (ForwardingMethod::DirectRouting | ForwardingMethod::Tunnel(_), Some(address)) => (
            SocketAddr::new(found.address.ip(), address.port()),
            CheckPath::Forwarding {
                virtual_address: address.ip(),
            },
        ),
        _ => (found.address, CheckPath::Direct),
    };
    Check {
        connection: Connection {
            to,
            timeout: TIMEOUT,
            source: None,
            source_port: None,
            interface: None,
            mark: 0,
            path,
        },
        probe: Probe::Tcp,
        timing: Timing {
            interval: INTERVAL,
            retries: RETRIES,
            delay_before_retry: DELAY_BEFORE_RETRY,
            warmup: Duration::ZERO,
            // What has only just started need not answer yet.
            alpha: true,
            log_all_failures: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Protocol;

    fn found(service: &str, address: &str) -> Found {
        Found {
            service: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: service.parse().unwrap(),
            },
            address: address.parse().unwrap(),
            method: ForwardingMethod::Nat,
            weight: 3,
            check: LabelledCheck::None,
        }
    }

    #[test]
    fn what_the_file_says_stays_and_counts_first() {
        let service = "192.0.2.10:80";
        let mut file = Configuration::default();
        let mut server = virtual_server(found(service, "10.0.0.1:80").service);
        server.settings.scheduler = Scheduler::Sh;
        server.real_servers = vec![RealServer {
            settings: DestinationSettings {
                weight: 9,
                ..real_server(&found(service, "10.0.0.1:80")).settings
            },
            ..real_server(&found(service, "10.0.0.1:80"))
        }];
        file.virtual_servers.push(server);
        let all = [
            found(service, "10.0.0.1:80"),
            found(service, "10.0.0.2:80"),
            found("192.0.2.10:81", "10.0.0.1:81"),
        ];
        let merged = merge(&file, &all);
        assert_eq!(merged.virtual_servers.len(), 2);
        let [first, second] = &merged.virtual_servers[..] else {
            panic!("two services");
        };
        assert_eq!(first.settings.scheduler, Scheduler::Sh);
        let weights: Vec<u32> = first
            .real_servers
            .iter()
            .map(|real| real.settings.weight)
            .collect();
        assert_eq!(weights, [9, 3]);
        assert_eq!(second.real_servers.len(), 1);
        assert_eq!(merge(&file, &[]), file);
    }
}
