//! What is allowed and yet most likely a mistake.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Placed;
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
        if server.is_at(real.address.ip(), real.address.port()) {
            report
                .advice(*place, "this real server is the virtual server itself")
                .related(span, "the virtual server")
                .help("write the real server's own address");
        }
        if let ServiceKey::Address { .. } = server.key {
            other_port(real.address.port(), &real.checks, *place, report);
        }
        for check in &real.checks {
            unreachable(server, check, *place, report);
        }
    }
    if let Some(sorry) = &server.sorry_server
        && server.is_at(sorry.address.ip(), sorry.address.port())
    {
        report
            .advice(span, "its sorry server is the virtual server itself")
            .help("write the sorry server's own address");
    }
}

/// A check that asks where nobody can answer.
fn unreachable(server: &VirtualServer, check: &Check, place: Span, report: &mut Report) {
    let to = check.connection.to;
    let needs_port = !matches!(check.probe, Probe::Ping | Probe::Misc(_));
    if needs_port && to.port() == 0 {
        report
            .advice(
                place,
                format!("{} has no port to connect to", check.probe.keyword()),
            )
            .label("it always fails")
            .help("add `connect_port PORT` to the check, or a port to the real server");
    } else if needs_port && server.is_at(to.ip(), to.port()) {
        report
            .advice(
                place,
                format!("{} asks the virtual server itself", check.probe.keyword()),
            )
            .label("it says nothing of this real server")
            .help("write the real server's own address as `connect_ip`");
    }
    if let Some(source) = check.connection.source
        && source.is_ipv4() != to.is_ipv4()
    {
        report
            .advice(
                place,
                format!("{to} cannot be reached from {source}, which is of the other family"),
            )
            .label("this check always fails")
            .help("write a `bindto` of the family that the check connects to");
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
        && first != 0
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

/// Looks at all instances together.
pub(super) fn instances(instances: &[Placed<VrrpInstance>], report: &mut Report) {
    let mut holders: BTreeMap<IpAddr, &Placed<VrrpInstance>> = BTreeMap::new();
    for instance in instances {
        let value = &instance.value;
        for address in value
            .virtual_addresses
            .iter()
            .chain(&value.excluded_addresses)
        {
            let address = address.address;
            // Each link has link-local addresses of its own.
            if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
                continue;
            }
            match holders.get(&address) {
                Some(first) if first.value.name != value.name => {
                    report
                        .advice(
                            instance.span,
                            format!(
                                "({}) {address} is a virtual address of {} as well",
                                value.name, first.value.name
                            ),
                        )
                        .related(first.span, "this instance")
                        .help("whichever of the two gives it up takes it from the other");
                }
                _ => {
                    holders.insert(address, instance);
                }
            }
        }
    }
}
