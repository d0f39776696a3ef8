//! What is allowed and yet most likely a mistake.

use crate::config::diagnostic::{Report, Verdict};
use crate::config::model::{Authentication, Check, Probe, VirtualServer, VrrpInstance};
use crate::config::source::Span;
use crate::service::ServiceKey;

/// Looks at a virtual server; `places` are those of its real servers, in their order.
pub(super) fn virtual_server(
    server: &VirtualServer,
    span: Span,
    places: &[Span],
    report: &mut Report,
) {
    let weights = server.real_servers.iter().map(|real| real.settings.weight);
    if weights.clone().all(|weight| weight == 0) {
        report
            .warning(span, "every real server has weight 0")
            .label("no client is served")
            .help("weight 0 takes a real server out of service; give one of them another weight");
    }
    for (real, place) in server.real_servers.iter().zip(places) {
        if server.key.virtual_address() == Some(real.address) {
            report
                .advice(*place, "this real server is the virtual server itself")
                .related(span, "the virtual server")
                .help("write the real server's own address");
        }
        if let ServiceKey::Address { .. } = server.key {
            other_port(real.address.port(), &real.checks, *place, report);
        }
    }
}

/// A check of another port says nothing about the service.
fn other_port(port: u16, checks: &[Check], place: Span, report: &mut Report) {
    let ports: Vec<u16> = checks
        .iter()
        .filter(|check| !matches!(check.probe, Probe::Ping | Probe::Misc(_)))
        .map(|check| check.connection.to.port())
        .collect();
    if let [first, ..] = ports[..]
        && port != 0
        && !ports.contains(&port)
    {
        report
            .note(
                place,
                format!("port {port} of this real server is never checked"),
            )
            .label(format!("its check connects to port {first}"))
            .help("while that port answers, clients are sent here even if their own port is dead");
    }
}

/// Looks at an instance.
pub(super) fn instance(instance: &VrrpInstance, span: Span, report: &mut Report) {
    if let Some(Authentication::Password(_)) = instance.authentication {
        report
            .note(
                span,
                format!(
                    "({}) the password is sent in the clear in every advertisement",
                    instance.name
                ),
            )
            .keepalived(Verdict::Accepts)
            .help("it keeps misconfigured directors apart, not attackers");
    }
}
