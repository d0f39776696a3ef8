//! `elver real-server`: makes this host a real server for direct routing and tunnels.
//!
//! The programs in the kernel do the work, and their maps are the only record: that a virtual
//! address was put on the loopback device is written there before it is done. So a process
//! that is killed leaves a real server that goes on, and whoever starts next finds what to
//! take up, and in the end what to take away.
//!
//! No setting of the kernel is changed. What has no other way into the stack than a setting
//! is diagnosed instead, by `check`.

mod check;
mod containers;
mod listeners;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use elver_sys::bpf::{BpfError, DeviceOfRole, RealServer};
use elver_sys::netlink::{AddressOptions, Netlink, NetlinkEvent, NetlinkEvents, Topic};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::check::check;
pub(crate) use self::wanted::Sources;

use self::containers::Containers;
use self::wanted::Wanted;
use crate::director::{Network, permission};
use crate::failure::Failure;
use crate::instance::{Instance, PidFile, Taken};

/// `RT_SCOPE_HOST` of linux/rtnetlink.h: no connection from this host chooses such an address
/// as its source.
const SCOPE_HOST: u8 = 254;

/// Runs the role in the foreground until it is told to stop.
pub(crate) fn run(sources: &Sources, instance: &Instance) -> Result<(), Failure> {
    permission()?;
    let wanted = sources.wanted(instance)?;
    let pid_file = take(instance)?;
    let containers = match wanted.has_containers {
        true => Some(Containers::start(sources, instance)?),
        false => None,
    };
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?
        .block_on(run_as_owner(sources, instance, wanted, containers));
    pid_file
        .remove(&instance.of_real_server())
        .map_err(Failure::system("removing the files of the instance"))?;
    ended
}

/// Prints what became of packets.
pub(crate) fn status(instance: &Instance) -> Result<(), Failure> {
    let outcomes = RealServer::outcomes(instance.name()).map_err(|error| match error {
        BpfError::NotLoaded(_) => Failure::NotRunning {
            instance: instance.clone(),
            error: std::io::Error::other("nothing is loaded for it"),
        },
        other => other.into(),
    })?;
    for (outcome, count) in outcomes {
        println!("{:<40} {count}", outcome.name());
    }
    Ok(())
}

/// Puts back what an instance that does not run has left.
pub(crate) fn unload(instance: &Instance) -> Result<(), Failure> {
    permission()?;
    let pid_file = take(instance)?;
    let mut role = RealServer::load(instance.name())?;
    let mut netlink = Netlink::open().map_err(Failure::system("opening rtnetlink"))?;
    let outcome = forget(&mut role, &mut netlink, &BTreeSet::new());
    drop(role);
    for pin in RealServer::unload(instance.name())? {
        println!("removed {pin}");
    }
    pid_file
        .remove(&instance.of_real_server())
        .map_err(Failure::system("removing the files of the instance"))?;
    outcome
}

fn take(instance: &Instance) -> Result<PidFile, Failure> {
    PidFile::acquire(&instance.of_real_server()).map_err(|taken| match taken {
        Taken::By(process) => Failure::AlreadyRunning {
            instance: instance.clone(),
            process,
        },
        Taken::Unusable(path, error) => Failure::system(path.display().to_string())(error),
    })
}

async fn run_as_owner(
    sources: &Sources,
    instance: &Instance,
    wanted: Wanted,
    mut containers: Option<Containers>,
) -> Result<(), Failure> {
    let listening = "listening to the network";
    let mut events = NetlinkEvents::open(&[Topic::Links, Topic::Addresses])
        .map_err(Failure::system(listening))?;
    let signals = "listening to signals";
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::system(signals))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::system(signals))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::system(signals))?;
    let mut role = Role {
        role: RealServer::load(instance.name())?,
        netlink: Netlink::open().map_err(Failure::system("opening rtnetlink"))?,
        network: Network::default(),
        attached: BTreeMap::new(),
        refused: BTreeMap::new(),
        wanted,
    };
    role.configure()?;
    check::warn(&role.wanted, instance);
    tracing::info!("real server {instance} runs: {}", role.wanted);
    let ended = loop {
        tokio::select! {
            ended = end_of(&mut containers), if containers.is_some() => {
                containers = None;
                break ended;
            }
            event = events.next() => {
                let mut event = Some(event.map_err(Failure::system(listening))?);
                // What is there already is taken in one go.
                while let Some(seen) = event {
                    if seen == NetlinkEvent::Overrun {
                        tracing::debug!("events were lost");
                    }
                    event = tokio::select! {
                        biased;
                        event = events.next() => {
                            Some(event.map_err(Failure::system(listening))?)
                        }
                        () = std::future::ready(()) => None,
                    };
                }
                role.converge()?;
            }
            _ = hangup.recv() => match sources.wanted(instance) {
                Ok(wanted) => {
                    role.wanted = wanted;
                    role.configure()?;
                    tracing::info!("read again: {}", role.wanted);
                }
                Err(error) => tracing::error!("not read again: {error}"),
            },
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
        }
    };
    if let Some(containers) = containers {
        containers.join();
    }
    let outcome = forget(&mut role.role, &mut role.netlink, &BTreeSet::new());
    drop(role);
    RealServer::unload(instance.name())?;
    tracing::info!("real server {instance} has ended");
    outcome.and(ended)
}

async fn end_of(containers: &mut Option<Containers>) -> Result<(), Failure> {
    match containers {
        Some(containers) => containers.ended().await,
        None => std::future::pending().await,
    }
}

/// Takes the virtual addresses off the loopback device that this role has put there, but for
/// those that are to stay, and has the programs forget all others.
fn forget(
    role: &mut RealServer,
    netlink: &mut Netlink,
    stay: &BTreeSet<IpAddr>,
) -> Result<(), Failure> {
    for (vip, is_added) in role.vips()? {
        if stay.contains(&vip) {
            continue;
        }
        if is_added {
            netlink
                .remove_address(elver_packet::frame::LOOPBACK, vip, whole(vip), None)
                .map_err(Failure::system(format!("removing {vip}")))?;
            tracing::info!("{vip}: taken off lo");
        }
        // Last: until then nobody may hear of it.
        role.forget_vip(vip)?;
    }
    Ok(())
}

/// The length of the prefix that is an address alone.
fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The running role.
struct Role {
    role: RealServer,
    netlink: Netlink,
    network: Network,
    /// The devices that the programs are on, by index.
    attached: BTreeMap<u32, String>,
    /// Devices that cannot be attached to, and why, so that it is said once.
    refused: BTreeMap<u32, String>,
    wanted: Wanted,
}

impl Role {
    /// Has the programs know what is wanted now, and nothing else.
    fn configure(&mut self) -> Result<(), Failure> {
        self.role.set_gue_ports(&self.wanted.gue_ports)?;
        self.role.set_directors(&self.wanted.directors)?;
        let known = self.role.vips()?;
        for vip in &self.wanted.vips {
            // Whether it has to be added shows when the addresses are looked at.
            self.role
                .set_vip(*vip, known.get(vip).copied().unwrap_or(false))?;
        }
        forget(&mut self.role, &mut self.netlink, &self.wanted.vips)?;
        self.converge()
    }

    /// Puts the programs on every device, and then every virtual address on the loopback device.
    fn converge(&mut self) -> Result<(), Failure> {
        self.network
            .read(&mut self.netlink)
            .map_err(Failure::system("reading interfaces and addresses"))?;
        self.attach()?;
        let present = self.network.held(&[]);
        for vip in &self.wanted.vips {
            if present.contains(vip) {
                continue;
            }
            // Before it is done: who is killed between the two leaves no address behind.
            self.role.set_vip(*vip, true)?;
            let options = AddressOptions {
                scope: SCOPE_HOST,
                preferred_lifetime: Some(Duration::ZERO),
                ..AddressOptions::default()
            };
            self.netlink
                .add_address(elver_packet::frame::LOOPBACK, *vip, whole(*vip), options)
                .map_err(Failure::system(format!("putting {vip} on lo")))?;
            tracing::info!("{vip}: put on lo");
        }
        Ok(())
    }

    fn attach(&mut self) -> Result<(), Failure> {
        let suitable = self.network.suitable();
        let suitable: BTreeMap<u32, _> = suitable
            .into_iter()
            .filter(|(_, link)| !link.loopback)
            .collect();
        let gone = self
            .attached
            .iter()
            .filter(|(index, name)| suitable.get(index).is_none_or(|link| link.name != **name));
        for index in gone.map(|(index, _)| *index).collect::<Vec<_>>() {
            self.role.detach(index)?;
            if let Some(name) = self.attached.remove(&index) {
                tracing::info!("{name}: detached");
            }
        }
        self.refused.retain(|index, _| suitable.contains_key(index));
        for (index, link) in suitable {
            let own = own_address(&self.network, index, &self.wanted.vips);
            let device = DeviceOfRole { mtu: link.mtu, own };
            self.role.set_device(index, device)?;
            if self.attached.contains_key(&index) {
                continue;
            }
            match self.role.attach(index, &link.name) {
                Ok(kind) => {
                    tracing::info!("{}: attached ({})", link.name, kind.name());
                    self.refused.remove(&index);
                    self.attached.insert(index, link.name.clone());
                }
                Err(error) => {
                    let words = error.to_string();
                    if self.refused.get(&index) != Some(&words) {
                        tracing::error!("{}: cannot be attached to: {words}", link.name);
                        self.refused.insert(index, words);
                    }
                }
            }
        }
        Ok(())
    }
}

/// An address of a device that the host may ask its neighbours from.
fn own_address(network: &Network, index: u32, vips: &BTreeSet<IpAddr>) -> Option<Ipv4Addr> {
    network
        .addresses_of(index)
        .find_map(|address| match address {
            IpAddr::V4(own) if !vips.contains(&address) => Some(own),
            _ => None,
        })
}
