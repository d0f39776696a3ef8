//! The record of the virtual addresses that an instance may have put on interfaces.
//!
//! It is written before the vrrp process hears of an address, and an address leaves it
//! only after the vrrp process has said that it withdrew. So whoever finds the record
//! of an instance without a running director finds every address that may be left.

use std::io;

use elver_core::config::model::Configuration;
use elver_core::vrrp::{self, HeldAddress};
use elver_sys::netlink::Netlink;

use crate::instance::Instance;
use crate::record::Record;

/// The virtual addresses of a configuration, without repetition.
pub(crate) fn addresses_of(configuration: &Configuration) -> Vec<HeldAddress> {
    let instances = configuration.instances.iter();
    let mut all: Vec<HeldAddress> = instances.flat_map(vrrp::addresses_of).collect();
    all.sort();
    all.dedup();
    all
}

/// How a log line names an address.
pub(crate) fn words(address: &HeldAddress) -> String {
    let HeldAddress {
        interface,
        address,
        prefix_length,
        ..
    } = address;
    format!("{address}/{prefix_length} from {interface}")
}

/// The record of an instance.
#[derive(Debug)]
pub(crate) struct AddressRecord(Record<HeldAddress>);

impl AddressRecord {
    pub(crate) fn of(instance: &Instance) -> AddressRecord {
        AddressRecord(Record::at(instance.address_record()))
    }

    /// What it says; nothing, if there is none.
    pub(crate) fn read(&self) -> io::Result<Vec<HeldAddress>> {
        self.0.read()
    }

    /// Replaces what it says, at once or not at all.
    pub(crate) fn write(&self, addresses: &[HeldAddress]) -> io::Result<()> {
        self.0.write(addresses)
    }

    /// Makes it say these as well.
    pub(crate) fn add(&self, addresses: &[HeldAddress]) -> io::Result<()> {
        let mut all = self.read()?;
        all.extend_from_slice(addresses);
        all.sort();
        all.dedup();
        self.write(&all)
    }

    /// Makes it say that nothing is left.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.0.remove()
    }
}

/// Takes addresses off their interfaces. Gives back those that were there; goes on past
/// those that cannot be removed, of which the first error is given back.
pub(crate) fn withdraw(
    netlink: &mut Netlink,
    addresses: &[HeldAddress],
) -> (Vec<HeldAddress>, io::Result<()>) {
    let links = match netlink.links() {
        Ok(links) => links,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut removed, mut result) = (Vec::new(), Ok(()));
    for recorded in addresses {
        let Some(link) = links.iter().find(|link| link.name == recorded.interface) else {
            continue;
        };
        match netlink.remove_address(
            link.index,
            recorded.address,
            recorded.prefix_length,
            recorded.peer,
        ) {
            Ok(true) => removed.push(recorded.clone()),
            Ok(false) => {}
            Err(error) => result = result.and(Err(error)),
        }
    }
    (removed, result)
}
