//! `elver unload`: removes what an instance has left in the kernel, without a daemon.

use std::io;
use std::time::Duration;

use elver_sys::netlink::Netlink;

use crate::data_plane::DataPlane;
use crate::director::{self, Acceptance, AddressRecord, HostRecord, withdraw};
use crate::failure::Failure;
use crate::instance::Instance;

/// How long a vrrp process may take to give its addresses up.
const WITHDRAWAL: Duration = Duration::from_secs(5);

/// [`remove`], which says what it removed.
pub(crate) fn run(instance: &Instance) -> Result<(), Failure> {
    let removed = remove(instance)?;
    for line in &removed {
        println!("{line}");
    }
    if removed.is_empty() {
        println!("instance {instance} had left nothing");
    }
    Ok(())
}

/// Removes every pin and filter, and what is on record of an instance that does not run:
/// virtual addresses, routes, rules, devices and settings of the kernel. Gives what it removed, in
/// words.
///
/// The records are those that the director keeps; what they name is looked for in the network
/// namespace of the caller.
pub(crate) fn remove(instance: &Instance) -> Result<Vec<String>, Failure> {
    director::permission()?;
    // A running director would put it all back.
    let pid_file = director::take(instance)?;
    // One whose director was killed just now is withdrawing.
    let vrrp = instance
        .lock_vrrp_within(WITHDRAWAL)
        .and_then(|lock| lock.ok_or_else(|| io::ErrorKind::TimedOut.into()))
        .map_err(Failure::system(format!(
            "a vrrp process of instance {instance} is left and does not end; kill it first"
        )))?;
    let record = AddressRecord::of(instance);
    let recorded = record
        .read()
        .map_err(Failure::system("the record of virtual addresses"))?;
    let mut netlink = Netlink::open().map_err(Failure::system("opening rtnetlink"))?;
    let (addresses, result) = withdraw(&mut netlink, &recorded);
    let mut removed: Vec<String> = addresses
        .iter()
        .map(|address| format!("removed {}", director::address_words(address)))
        .collect();
    result.map_err(Failure::system("removing virtual addresses"))?;
    let host_record = HostRecord::of(instance);
    let (undone, result) = host_record.undo(&mut netlink);
    removed.extend(undone.iter().map(|change| format!("took back {change}")));
    result
        .and_then(|()| host_record.remove())
        .map_err(Failure::system("taking back what was changed on the host"))?;
    Acceptance::of(instance).end();
    let pins = DataPlane::unload(instance)?;
    removed.extend(pins.iter().map(|pin| format!("removed {pin}")));
    record
        .remove()
        .map_err(Failure::system("the record of virtual addresses"))?;
    drop(vrrp);
    pid_file
        .remove(instance)
        .map_err(Failure::system("removing the files of the instance"))?;
    Ok(removed)
}
