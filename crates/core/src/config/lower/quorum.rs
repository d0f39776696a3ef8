//! How many real servers are enough, and who serves when they are not.

use std::net::{IpAddr, SocketAddr};

use super::Placed;
use super::forwarding::method;
use super::servers::{ip_address, port};
use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::model::{RealServer, ServiceGroup, SorryServer};
use crate::service::{DestinationSettings, ForwardingMethod, ServiceKey};

/// keepalived's weight of a sorry server.
const SORRY_WEIGHT: u32 = 1;

/// The quorum of a virtual server as the file has it.
#[derive(Default)]
pub(super) struct ReadQuorum {
    quorum: Option<Placed<u32>>,
    hysteresis: Option<Placed<u32>>,
    sorry_server: Option<(IpAddr, Option<u16>)>,
    sorry_method: Option<ForwardingMethod>,
    sorry_inhibit: bool,
}

impl ReadQuorum {
    /// Whether the directive was one of these, and is taken in.
    pub(super) fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) -> bool {
        let number = || {
            Some(Placed {
                value: directive.number().and_then(|n| u32::try_from(n).ok())?,
                span: directive.name().span,
            })
        };
        match directive.keyword.name {
            "quorum" => self.quorum = number(),
            "hysteresis" => self.hysteresis = number(),
            "sorry_server" => {
                let address = directive.word(0).and_then(|word| ip_address(context, word));
                let port = port(context, directive.word(1));
                self.sorry_server = address.zip(port.ok());
            }
            "sorry_server_lvs_method" => self.sorry_method = method(context, directive),
            "sorry_server_inhibit" => self.sorry_inhibit = true,
            _ => return false,
        }
        true
    }

    /// Quorum and hysteresis; what can never be met is put right, as keepalived does.
    pub(super) fn finish(&self, real_servers: &[RealServer], report: &mut Report) -> (u32, u32) {
        let weights = real_servers
            .iter()
            .map(|real| u64::from(real.settings.weight));
        let all = u32::try_from(weights.sum::<u64>()).unwrap_or(u32::MAX);
        let mut quorum = 1;
        if let Some(Placed { value, span }) = self.quorum {
            quorum = value;
            if value > all.max(1) {
                quorum = all.max(1);
                report
                    .warning(
                        span,
                        format!("the real servers have a weight of {all} together, less than this"),
                    )
                    .label(format!("a quorum of {quorum} is used"))
                    .help("lower the quorum, or raise weights");
            }
        }
        let mut hysteresis = 0;
        if let Some(Placed { value, span }) = self.hysteresis {
            hysteresis = value;
            if value >= quorum {
                hysteresis = quorum - 1;
                report
                    .warning(
                        span,
                        format!("with this hysteresis a quorum of {quorum} is never lost"),
                    )
                    .label(format!("{hysteresis} is used"))
                    .help("it has to be below the quorum");
            } else if u64::from(quorum) + u64::from(value) > u64::from(all) {
                report
                    .advice(
                        span,
                        format!("with this hysteresis a quorum of {quorum} is never gained"),
                    )
                    .related(
                        self.quorum.as_ref().map_or(span, |quorum| quorum.span),
                        "the quorum",
                    )
                    .help(format!("the real servers have a weight of {all} together"));
            }
        }
        (quorum, hysteresis)
    }

    /// The sorry server of the service `key`, or of its group, whose method is `method`.
    pub(super) fn sorry_server(
        &self,
        key: &ServiceKey,
        group: Option<&ServiceGroup>,
        method: ForwardingMethod,
    ) -> Option<SorryServer> {
        let (address, port) = self.sorry_server?;
        let method = self.sorry_method.unwrap_or(method);
        let virtual_port = key.virtual_address().map_or(0, |address| address.port());
        // Only NAT translates ports.
        let port = match method {
            _ if group.is_some() => port.unwrap_or(0),
            ForwardingMethod::Nat => port.unwrap_or(virtual_port),
            _ => virtual_port,
        };
        Some(SorryServer {
            address: SocketAddr::new(address, port),
            settings: DestinationSettings {
                method,
                weight: SORRY_WEIGHT,
                upper_threshold: 0,
                lower_threshold: 0,
            },
            inhibit: self.sorry_inhibit,
        })
    }
}
