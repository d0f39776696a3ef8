//! Whether enough real servers of a service are up.

use std::collections::BTreeMap;
use std::fmt;

use super::{Part, virtual_server_name};
use crate::config::model::{RealServer, VirtualServer};
use crate::service::ServiceKey;

/// Which services have their quorum.
///
/// Gained with a weight of `quorum + hysteresis` or more, lost with less than
/// `quorum - hysteresis`, or with none (keepalived's `ipwrapper.c`,
/// `update_quorum_state`); between the two it stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Quorums {
    has: BTreeMap<ServiceKey, bool>,
}

/// A quorum that was gained or lost, in keepalived's words as its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumChange {
    /// Whose.
    pub service: ServiceKey,
    /// Its name in keepalived's words.
    name: String,
    /// Whether it is there now.
    pub has: bool,
    /// Whether the service is new, so that nothing was lost.
    pub is_new: bool,
    quorum: u32,
    hysteresis: u32,
    weight: u64,
}

impl Quorums {
    /// The real servers of a service that are up now have `weight` together. What has
    /// changed, if anything.
    pub fn update(&mut self, server: &VirtualServer, weight: u64) -> Option<QuorumChange> {
        let (quorum, hysteresis) = (u64::from(server.quorum), u64::from(server.hysteresis));
        let before = self.has.get(&server.key).copied();
        let has = match before {
            Some(true) => weight > 0 && weight >= quorum.saturating_sub(hysteresis),
            Some(false) | None => weight >= quorum + hysteresis,
        };
        self.has.insert(server.key, has);
        // ipwrapper.c, update_quorum_state: at the start, that there is none is news only
        // for the sake of a sorry server.
        let begins_sorry = before.is_none() && server.sorry_server.is_some();
        let is_news = before.unwrap_or(false) != has || begins_sorry;
        is_news.then_some(QuorumChange {
            service: server.key,
            name: virtual_server_name(server),
            has,
            is_new: before.is_none(),
            quorum: server.quorum,
            hysteresis: server.hysteresis,
            weight,
        })
    }

    /// Adds up the weight of a service's real servers that serve, also where they have only
    /// a part of it yet. What has changed, if anything.
    pub fn count(
        &mut self,
        server: &VirtualServer,
        part_of: impl Fn(&VirtualServer, &RealServer) -> Part,
    ) -> Option<QuorumChange> {
        let weights = server
            .real_servers
            .iter()
            .map(|real| match part_of(server, real) {
                Part::Serving { weight, .. } => u64::from(weight),
                Part::Down | Part::Draining | Part::Out => 0,
            });
        self.update(server, weights.sum())
    }

    /// Forgets services that `stays` does not hold for.
    pub fn retain(&mut self, stays: impl Fn(&ServiceKey) -> bool) {
        self.has.retain(|service, _| stays(service));
    }

    /// Whether a service has its quorum; one that was never looked at has.
    pub fn has(&self, service: &ServiceKey) -> bool {
        self.has.get(service).copied().unwrap_or(true)
    }
}

impl fmt::Display for QuorumChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuorumChange {
            ref name,
            quorum,
            hysteresis,
            weight,
            ..
        } = *self;
        let (quorum_wide, hysteresis_wide) = (i64::from(quorum), i64::from(hysteresis));
        match (self.has, self.is_new) {
            (true, _) => {
                let threshold = quorum_wide + hysteresis_wide;
                write!(
                    f,
                    "Gained quorum {quorum}+{hysteresis}={threshold} <= {weight} for VS {name}"
                )
            }
            (false, is_new) => {
                let what = if is_new {
                    "Starting with quorum down"
                } else {
                    "Lost quorum"
                };
                let threshold = quorum_wide - hysteresis_wide;
                write!(
                    f,
                    "{what} {quorum}-{hysteresis}={threshold} > {weight} for VS {name}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::SorryServer;
    use crate::service::{DestinationSettings, ForwardingMethod, Protocol, ServiceSettings};

    fn server(quorum: u32, hysteresis: u32) -> VirtualServer {
        VirtualServer {
            group: None,
            key: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: "10.9.0.100:80".parse().unwrap(),
            },
            settings: ServiceSettings::default(),
            real_servers: Vec::new(),
            quorum,
            hysteresis,
            sorry_server: Some(SorryServer {
                address: "10.9.0.9:80".parse().unwrap(),
                settings: DestinationSettings {
                    method: ForwardingMethod::Nat,
                    weight: 1,
                    upper_threshold: 0,
                    lower_threshold: 0,
                },
                inhibit: false,
            }),
            smtp_alert: false,
            quorum_up: None,
            quorum_down: None,
            omega: false,
            ha_suspend: false,
        }
    }

    /// What is said when the weight takes these values in turn.
    fn said(quorum: u32, hysteresis: u32, weights: &[u64]) -> Vec<String> {
        let (server, mut quorums) = (server(quorum, hysteresis), Quorums::default());
        weights
            .iter()
            .map(|weight| {
                let change = quorums.update(&server, *weight);
                if let Some(change) = &change {
                    assert_eq!(change.has, quorums.has(&server.key));
                }
                change.map_or(String::new(), |change| change.to_string())
            })
            .collect()
    }

    #[test]
    fn a_quorum_is_gained_and_lost_in_the_words_of_keepalived() {
        assert_eq!(
            said(1, 0, &[4, 3, 0, 0, 3]),
            [
                // Lines of keepalived 2.2.7's own log.
                "Gained quorum 1+0=1 <= 4 for VS [10.9.0.100]:tcp:80",
                "",
                "Lost quorum 1-0=1 > 0 for VS [10.9.0.100]:tcp:80",
                "",
                "Gained quorum 1+0=1 <= 3 for VS [10.9.0.100]:tcp:80",
            ]
        );
    }

    #[test]
    fn nobody_is_told_of_a_start_without_quorum_and_sorry_server() {
        let mut server = server(1, 0);
        server.sorry_server = None;
        let mut quorums = Quorums::default();
        assert_eq!(quorums.update(&server, 0), None);
        assert!(!quorums.has(&server.key));
        assert!(quorums.update(&server, 1).is_some_and(|change| change.has));
    }

    #[test]
    fn hysteresis_keeps_a_quorum_as_it_is() {
        let said = said(10, 2, &[11, 12, 8, 7, 11, 12]);
        let words: Vec<&str> = said
            .iter()
            .map(|line| line.split(" for").next().unwrap())
            .collect();
        assert_eq!(
            words,
            [
                "Starting with quorum down 10-2=8 > 11",
                "Gained quorum 10+2=12 <= 12",
                "",
                "Lost quorum 10-2=8 > 7",
                "",
                "Gained quorum 10+2=12 <= 12",
            ]
        );
    }
}
