//! Who listens where, and says what checks want to hear.

use std::collections::BTreeMap;

use super::rehearsed::literal;
use super::{Call, Listener, Page, Server};
use crate::config::model::{Check, Configuration, HttpProbe, Probe, Url};
use crate::service::Protocol;

/// The status that most checks take for good.
const GOOD: u16 = 200;

/// Gives every server its listeners.
pub(super) fn plan(
    configuration: &Configuration,
    calls: &[Call],
    servers: &mut [Server],
    remarks: &mut Vec<String>,
) {
    let real_servers = configuration
        .virtual_servers
        .iter()
        .flat_map(|server| &server.real_servers);
    for check in real_servers.flat_map(|real_server| &real_server.checks) {
        let to = check.connection.to;
        let Some((protocol, listener)) = wanted(check) else {
            continue;
        };
        let mut found = servers.iter_mut();
        let Some(server) = found.find(|server| server.address == to.ip()) else {
            continue;
        };
        let place = (protocol, to.port());
        match server.listeners.get_mut(&place) {
            None => {
                server.listeners.insert(place, listener);
            }
            Some(there) => {
                if !there.take(listener) {
                    remarks.push(format!(
                        "{to} cannot satisfy every check: {} does not go with the others",
                        check.probe.keyword()
                    ));
                }
            }
        }
    }
    for call in calls {
        for destination in &call.destinations {
            let place = (call.protocol, destination.address.port());
            let listeners = &mut servers[destination.server].listeners;
            listeners
                .entry(place)
                .or_insert_with(|| match call.protocol {
                    Protocol::Tcp => Listener::Web {
                        pages: BTreeMap::new(),
                    },
                    Protocol::Udp => Listener::Datagrams { reply: None },
                    Protocol::Sctp => Listener::Associations,
                });
        }
    }
}

impl Listener {
    /// Does what another one would as well; false if that cannot be.
    fn take(&mut self, other: Listener) -> bool {
        match (self, other) {
            (Listener::Web { pages }, Listener::Web { pages: others }) => {
                let mut goes_together = true;
                for (path, page) in others {
                    let there = pages.entry(path).or_insert_with(|| page.clone());
                    goes_together &= *there == page;
                }
                goes_together
            }
            // A connection is all that is asked.
            (Listener::Mail, Listener::Web { pages }) => pages.is_empty(),
            (this @ Listener::Web { .. }, Listener::Mail) => {
                let is_free = matches!(this, Listener::Web { pages } if pages.is_empty());
                if is_free {
                    *this = Listener::Mail;
                }
                is_free
            }
            (Listener::Datagrams { reply }, Listener::Datagrams { reply: other }) => {
                if reply.is_none() {
                    *reply = other;
                    return true;
                }
                other.is_none() || *reply == other
            }
            (this, other) => *this == other,
        }
    }
}

/// What a check wants to find, and by which protocol; nothing where the kernel answers, or
/// nobody is asked.
fn wanted(check: &Check) -> Option<(Protocol, Listener)> {
    let listener = match &check.probe {
        Probe::Tcp => Listener::Web {
            pages: BTreeMap::new(),
        },
        Probe::Http(HttpProbe { urls, .. }) => Listener::Web {
            pages: urls.iter().filter_map(page).collect(),
        },
        Probe::Smtp { .. } => Listener::Mail,
        Probe::Dns(_) => Listener::Datagrams { reply: None },
        Probe::Udp(probe) => Listener::Datagrams {
            reply: probe.reply.as_ref().map(|reply| {
                let mut octets: Vec<u8> = reply.prefix.iter().map(|(octet, _)| *octet).collect();
                octets.resize(octets.len().max(reply.least_length), 0);
                octets
            }),
        },
        Probe::Ping | Probe::Misc(_) | Probe::File(_) | Probe::Bfd { .. } => return None,
    };
    let protocol = match check.probe {
        Probe::Udp(_) | Probe::Dns(_) => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    Some((protocol, listener))
}

/// What has to be at a path, if not what is at any other.
fn page(url: &Url) -> Option<(String, Page)> {
    let is_usual = url
        .status_codes
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&GOOD));
    let status = match url.status_codes.iter().find(|(_, to)| *to > GOOD) {
        _ if is_usual || url.status_codes.is_empty() => GOOD,
        Some((from, _)) => *(from.max(&GOOD)),
        None => return None,
    };
    let text = url.regex.as_ref().and_then(literal).unwrap_or_default();
    let is_as_any = status == GOOD && text.is_empty();
    let page = Page {
        status,
        text: text.to_owned(),
    };
    (!is_as_any).then(|| (url.path.clone(), page))
}
