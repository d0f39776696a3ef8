//! What this host has to say about a configuration: interfaces, programs and permissions.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use elver_core::config::model::{
    Configuration, Probe, Route, RoutingTable, Rule, Script, ScriptUser, Tracker, VirtualAddress,
    VrrpInstance,
};
use elver_core::config::{Diagnostic, Loaded, Severity, Verdict};
use elver_sys::namespace::NetworkNamespace;
use elver_sys::netlink::{InterfaceAddress, Link, Netlink};
use elver_sys::privilege::User;
use elver_sys::script;

/// What is doubtful about a configuration on this host. Nothing of it keeps a file from
/// being read, since it may be meant for another host.
pub(super) fn review(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut diagnostics: Vec<Diagnostic> = loaded
        .files_with_secrets
        .iter()
        .filter_map(|path| readable_by_others(path))
        .collect();
    let configuration = loaded.configuration.as_ref();
    let Some(configuration) = configuration.or(loaded.remainder.as_ref()) else {
        return diagnostics;
    };
    match devices(configuration.global.network_namespace.as_deref()) {
        Ok((links, addresses)) => {
            if !configuration.global.dynamic_interfaces {
                elsewhere(configuration, &links, &mut diagnostics);
            }
            for instance in &configuration.instances {
                if !configuration.global.dynamic_interfaces {
                    interfaces(instance, &links, &mut diagnostics);
                }
                networks(instance, &links, &addresses, &mut diagnostics);
            }
        }
        Err(error) => diagnostics.push(Diagnostic::about_the_host(
            format!("interfaces could not be looked at: {error}"),
            "whether the file goes with this host is not known",
        )),
    }
    diagnostics.extend(copies(configuration));
    // Without an instance keepalived has no process that would look at them.
    let untracked = match configuration.instances.is_empty() {
        true => &[],
        false => &loaded.untracked_scripts[..],
    };
    diagnostics.extend(programs(configuration, untracked));
    diagnostics.extend(users(loaded, configuration));
    diagnostics.extend(scripts(configuration, untracked));
    diagnostics
}

/// A folder for copies that there is not, and that cannot be made.
fn copies(configuration: &Configuration) -> Option<Diagnostic> {
    let folder = Path::new(configuration.global.copies.as_ref()?);
    let above = folder
        .parent()
        .filter(|above| !above.as_os_str().is_empty());
    if folder.is_dir() || (!folder.exists() && above.is_none_or(Path::is_dir)) {
        return None;
    }
    Some(Diagnostic {
        keepalived: Verdict::Complains,
        ..Diagnostic::about_the_host(
            format!("config_save_dir {} cannot be made", folder.display()),
            "make the folders above it, or name another",
        )
    })
}

/// The interfaces with their addresses, of a network namespace or of this one.
fn devices(namespace: Option<&str>) -> io::Result<(Vec<Link>, Vec<InterfaceAddress>)> {
    let look = || {
        let mut netlink = Netlink::open()?;
        Ok((netlink.links()?, netlink.addresses()?))
    };
    let Some(name) = namespace else { return look() };
    let opened = NetworkNamespace::open(&Path::new("/run/netns").join(name));
    opened
        .and_then(|namespace| namespace.run(look)?)
        .map_err(|error| io::Error::new(error.kind(), format!("net_namespace {name}: {error}")))
}

/// Interfaces that are named outside of instances.
fn elsewhere(configuration: &Configuration, links: &[Link], diagnostics: &mut Vec<Diagnostic>) {
    let statics = configuration.statics.addresses.iter();
    let statics =
        statics.filter_map(|address| Some(("static_ipaddress", address.interface.as_ref()?)));
    let delays = configuration.global.routers.link_delays.iter();
    let delays = delays.map(|delay| ("interface_up_down_delays", &delay.interface));
    let (routes, rules) = (&configuration.statics.routes, &configuration.statics.rules);
    let routes = over(routes, rules).map(|name| ("static routes and rules", name));
    let mut named: Vec<_> = statics.chain(delays).chain(routes).collect();
    named.sort();
    named.dedup();
    for (block, name) in named {
        if links.iter().all(|link| link.name != *name) {
            let keepalived = match block {
                "interface_up_down_delays" => Verdict::Refuses,
                _ => Verdict::Complains,
            };
            diagnostics.push(Diagnostic {
                keepalived,
                ..no_interface(block, name, links)
            });
        }
    }
}

/// The interfaces that routes and rules name.
fn over<'a>(routes: &'a [Route], rules: &'a [Rule]) -> impl Iterator<Item = &'a String> {
    let hops = routes.iter().flat_map(|route| &route.hops);
    let hops = hops.filter_map(|hop| hop.interface.as_ref());
    let vrfs = routes.iter().filter_map(|route| match &route.table {
        RoutingTable::OfVrf(name) => Some(name),
        RoutingTable::Number(_) => None,
    });
    hops.chain(vrfs).chain(
        rules
            .iter()
            .flat_map(|rule| rule.input.iter().chain(&rule.output)),
    )
}

fn no_interface(who: &str, name: &str, links: &[Link]) -> Diagnostic {
    let present: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    Diagnostic {
        keepalived: Verdict::Complains,
        ..Diagnostic::about_the_host(
            format!("{who}: there is no interface {name} here"),
            format!(
                "here are {}; `dynamic_interfaces` in global_defs lets interfaces come later",
                present.join(", ")
            ),
        )
    }
}

/// A password in a file that everybody can read is none.
fn readable_by_others(path: &str) -> Option<Diagnostic> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        Diagnostic::about_the_host(
            format!("{path} has a password in it, and everybody on this host can read it"),
            format!("chmod 600 {path}"),
        )
    })
}

fn addresses(instance: &VrrpInstance) -> impl Iterator<Item = &VirtualAddress> {
    instance
        .virtual_addresses
        .iter()
        .chain(&instance.excluded_addresses)
}

fn interfaces(instance: &VrrpInstance, links: &[Link], diagnostics: &mut Vec<Diagnostic>) {
    let tracked = instance
        .tracked
        .iter()
        .filter_map(|each| match &each.tracker {
            Tracker::Interface(name) => Some(name),
            _ => None,
        });
    let mut named: Vec<&String> = std::iter::once(&instance.interface)
        .chain(addresses(instance).filter_map(|address| address.interface.as_ref()))
        .chain(tracked)
        .chain(over(&instance.routes, &instance.rules))
        .collect();
    named.sort();
    named.dedup();
    for name in named {
        if links.iter().all(|link| link.name != *name) {
            let who = format!("vrrp_instance {}", instance.name);
            diagnostics.push(no_interface(&who, name, links));
        }
    }
}

/// A virtual address that its interface has no network for is one that no neighbour asks for.
fn networks(
    instance: &VrrpInstance,
    links: &[Link],
    present: &[InterfaceAddress],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for address in addresses(instance) {
        let interface = address.interface.as_ref().unwrap_or(&instance.interface);
        let Some(link) = links.iter().find(|link| link.name == *interface) else {
            continue;
        };
        let full = if address.address.is_ipv4() { 32 } else { 128 };
        let mut networks = present
            .iter()
            .filter(|each| each.interface == link.index)
            .filter(|each| each.address.is_ipv4() == address.address.is_ipv4())
            .filter(|each| each.prefix_length < full && !is_link_local(each.address))
            .peekable();
        if is_link_local(address.address) || networks.peek().is_none() {
            continue;
        }
        if networks.any(|each| is_within(address.address, each.address, each.prefix_length)) {
            continue;
        }
        let (severity, help) = match address.prefix_length < full {
            false => (
                Severity::Warning,
                "unless a router sends packets for it here, nobody will find it; a prefix length \
                 behind the address brings its network along",
            ),
            // It makes a network of its own, which may be meant.
            true => (
                Severity::Note,
                "its prefix length makes a network of its own, which only those reach who have an \
                 address or a route in it; is the address mistyped?",
            ),
        };
        diagnostics.push(Diagnostic {
            severity,
            ..Diagnostic::about_the_host(
                format!(
                    "vrrp_instance {}: {} is in no network of {interface}",
                    instance.name, address.address
                ),
                help,
            )
        });
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (one, other, bits) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(u32::from(one)), u128::from(u32::from(other)), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one), u128::from(other), 128),
        _ => return false,
    };
    let shift = u32::from(bits - length.min(bits));
    (one ^ other).checked_shr(shift).unwrap_or(0) == 0
}

/// Programs of scripts that are not here.
fn programs(configuration: &Configuration, untracked: &[Script]) -> Vec<Diagnostic> {
    let tracked = configuration.trackers.scripts.iter();
    let in_blocks: Vec<&Script> = tracked.map(|each| &each.script).chain(untracked).collect();
    let is_tracked = |program: &str| {
        let mut commands = in_blocks.iter().map(|each| &each.command);
        commands.any(|command| command.first().is_some_and(|first| first == program))
    };
    let scripts = all_scripts(configuration).into_iter().chain(untracked);
    let mut named: Vec<&String> = scripts.filter_map(|each| each.command.first()).collect();
    named.sort();
    named.dedup();
    let missing = named.into_iter().filter_map(|program| {
        let (what, keepalived) = match script::find(program) {
            // keepalived-2.2.7 looks whether it can run those that it runs all the time.
            Err(_) if is_tracked(program) => ("is not here", Verdict::Complains),
            Err(_) => ("is not here", Verdict::Accepts),
            Ok(path) if !is_executable(&path) => ("cannot be executed", Verdict::Accepts),
            Ok(_) => return None,
        };
        Some(Diagnostic {
            keepalived,
            ..Diagnostic::about_the_host(
                format!("{program} {what}"),
                "until it is, each run of it fails",
            )
        })
    });
    missing.collect()
}

/// Users and groups of scripts that are not here.
fn users(loaded: &Loaded, configuration: &Configuration) -> Vec<Diagnostic> {
    let scripts = all_scripts(configuration).into_iter();
    let scripts = scripts.chain(&loaded.untracked_scripts);
    let mut named: Vec<&ScriptUser> = scripts
        .filter_map(|script| script.user.as_ref())
        .chain(&loaded.script_user)
        .collect();
    named.sort();
    named.dedup();
    let unknown = named.into_iter().filter_map(|user| {
        let error = User::find(&user.name, user.group.as_deref()).err()?;
        Some(Diagnostic {
            keepalived: Verdict::Complains,
            ..Diagnostic::about_the_host(
                format!("the user of a script: {error}"),
                "until then, each run of such a script fails",
            )
        })
    });
    unknown.collect()
}

/// keepalived's warning of scripts that run without `enable_script_security`.
fn scripts(configuration: &Configuration, untracked: &[Script]) -> Option<Diagnostic> {
    if configuration.global.script_security {
        return None;
    }
    let is_known = |script: &&Script| {
        let user = script.user.as_ref();
        user.is_none_or(|user| User::find(&user.name, user.group.as_deref()).is_ok())
    };
    let mut there = all_scripts(configuration)
        .into_iter()
        .chain(untracked)
        .filter(is_known)
        .filter_map(|script| script.command.first())
        .filter(|program| script::find(program).is_ok_and(|path| path.is_file()));
    let first = there.next()?;
    Some(Diagnostic {
        keepalived: Verdict::Insecure,
        severity: Severity::Note,
        ..Diagnostic::about_the_host(
            format!(
                "{first} runs, and others, without enable_script_security: whoever may change it \
                 becomes its user"
            ),
            "add `enable_script_security` to global_defs",
        )
    })
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

fn all_scripts(configuration: &Configuration) -> Vec<&Script> {
    let global = &configuration.global;
    let fifos = [
        &global.notify_fifo,
        &global.vrrp_notify_fifo,
        &global.lvs_notify_fifo,
    ];
    let readers = fifos
        .into_iter()
        .flatten()
        .filter_map(|fifo| fifo.reader.as_ref());
    let groups = configuration.sync_groups.iter().map(|group| &group.notify);
    let instances = configuration.instances.iter().map(|each| &each.notify);
    let notify = groups.chain(instances).flat_map(|notify| {
        [
            &notify.master,
            &notify.backup,
            &notify.fault,
            &notify.stop,
            notify.deleted.as_ref().unwrap_or(&None),
            &notify.lower_priority,
            &notify.any,
        ]
    });
    let tracked = configuration
        .trackers
        .scripts
        .iter()
        .map(|each| &each.script);
    let servers = &configuration.virtual_servers;
    let quorums = servers
        .iter()
        .flat_map(|each| [&each.quorum_up, &each.quorum_down]);
    let reals = || servers.iter().flat_map(|each| &each.real_servers);
    let real_notify = reals().flat_map(|real| [&real.notify_up, &real.notify_down]);
    let programs = reals()
        .flat_map(|real| &real.checks)
        .filter_map(|check| match &check.probe {
            Probe::Misc(program) => Some(&program.script),
            _ => None,
        });
    readers
        .chain(tracked)
        .chain(programs)
        .chain(notify.chain(quorums).chain(real_notify).flatten())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_the_first_bits_of_its_addresses() {
        let within = |address: &str, network: &str, length| {
            is_within(address.parse().unwrap(), network.parse().unwrap(), length)
        };
        assert!(within("192.0.2.9", "192.0.2.1", 24));
        assert!(!within("192.0.3.9", "192.0.2.1", 24));
        assert!(within("192.0.3.9", "10.0.0.0", 0));
        assert!(!within("192.0.2.9", "192.0.2.8", 32));
        assert!(within("2001:db8::9", "2001:db8::1", 64));
        assert!(!within("2001:db8::9", "192.0.2.1", 0));
    }
}
