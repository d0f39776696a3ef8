//! Who may use which service: the lists of elver.toml in the map that the programs ask.

use std::collections::BTreeMap;
use std::net::IpAddr;

use elver_core::service::ServiceKey;
use elver_packet::host::Slice;
use elver_packet::table::access::{Access, AccessKey, EVERY_SERVICE};
use elver_packet::table::connection::{Direction, Entry, STRIDE, control, reclaim};
use elver_packet::table::destination::Destination;
use elver_packet::table::settings::HAS_ACCESS_LISTS;
use elver_sys::bpf::{AccessNetwork, BpfError, Maps};

use super::{DataPlane, layout};

/// A network: an address and the length of its prefix.
pub(crate) type Network = (IpAddr, u8);

/// What the lists say of networks, for every service and for single ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AccessLists {
    /// For every service.
    pub(crate) all: BTreeMap<Network, Access>,
    /// For services that have lists of their own.
    pub(crate) services: BTreeMap<ServiceKey, BTreeMap<Network, Access>>,
}

impl DataPlane {
    /// Makes these lists those that the programs ask, and ends connections of clients that may
    /// not use their service.
    ///
    /// # Errors
    /// The lists are longer than the map.
    pub(crate) fn set_access(&mut self, lists: AccessLists) -> Result<(), BpfError> {
        let before = std::mem::replace(&mut self.access, lists);
        if let Err(error) = self.write_access() {
            self.access = before;
            // They were there, so there is room.
            let _ = self.write_access();
            return Err(error);
        }
        self.end_denied();
        Ok(())
    }

    /// Brings the map to what the lists say of the services that there are now.
    pub(super) fn write_access(&mut self) -> Result<(), BpfError> {
        let mut wanted: BTreeMap<AccessNetwork, Access> = BTreeMap::new();
        let all = [(EVERY_SERVICE, &self.access.all)];
        let single = self.access.services.iter().filter_map(|(key, networks)| {
            let slots = self.inventory.services.get(key)?;
            Some((slots.service, networks))
        });
        for (service, networks) in all.into_iter().chain(single) {
            for ((address, length), access) in networks {
                wanted.insert(network(service, *address, *length), *access);
            }
        }
        let maps = &mut self.inventory.maps;
        // Denials first: nobody comes in while the lists change.
        for wanted_now in [Access::Denied, Access::Allowed] {
            for (network, access) in &wanted {
                if *access == wanted_now {
                    maps.set_access(network, *access)?;
                }
            }
        }
        for network in maps.access_networks() {
            if !wanted.contains_key(&network) {
                maps.clear_access(&network)?;
            }
        }
        let has_lists = if wanted.is_empty() {
            0
        } else {
            HAS_ACCESS_LISTS
        };
        self.replace_behaviour(HAS_ACCESS_LISTS, has_lists);
        Ok(())
    }

    /// Takes connections and templates of clients out that may not use their service.
    fn end_denied(&self) {
        if self.access == AccessLists::default() {
            return;
        }
        let maps = &self.inventory.maps;
        let by_slot: BTreeMap<u32, &ServiceKey> = self
            .inventory
            .services
            .iter()
            .map(|(key, slots)| (slots.service, key))
            .collect();
        for index in (0..maps.connection_lines()).filter(|index| !index.is_multiple_of(STRIDE)) {
            if !control(&maps, index).is_some_and(|control| control.is_live()) {
                continue;
            }
            let Some(entry) = maps.connection(index).map(Entry) else {
                continue;
            };
            if entry.direction() == Direction::Forward
                && let Some(key) = service_of(maps, entry).and_then(|id| by_slot.get(&id))
                && self.access.denies(key, client_of(entry))
            {
                reclaim(&maps, index);
            }
        }
    }
}

impl AccessLists {
    /// Whether they keep a client from a service, as the programs decide.
    fn denies(&self, service: &ServiceKey, client: IpAddr) -> bool {
        let of_service = self.services.get(service);
        let says = of_service
            .and_then(|networks| longest(networks, client))
            .or_else(|| longest(&self.all, client));
        says == Some(Access::Denied)
    }
}

fn longest(networks: &BTreeMap<Network, Access>, client: IpAddr) -> Option<Access> {
    networks
        .iter()
        .filter(|((address, length), _)| {
            address.is_ipv4() == client.is_ipv4()
                && masked(*address, *length) == masked(client, *length)
        })
        .max_by_key(|((_, length), _)| *length)
        .map(|(_, access)| *access)
}

/// An address's first bits, the others 0.
pub(super) fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

fn network(service: u32, address: IpAddr, length: u8) -> AccessNetwork {
    let address = masked(address, length);
    let key = AccessKey {
        service,
        family: if address.is_ipv4() { 4 } else { 6 },
        address: layout::address_words(address).into(),
    };
    (key, length.into())
}

fn service_of(maps: &Maps, entry: Entry<Slice<'_>>) -> Option<u32> {
    let (id, _) = entry.destination();
    Some(Destination(maps.destination(id)?).service())
}

fn client_of(entry: Entry<Slice<'_>>) -> IpAddr {
    use elver_packet::family::{Family, V4, V6};
    if entry.family() == 4 {
        let [a, b, c, d, ..] = V4::to_octets(entry.key::<V4>().sender);
        IpAddr::from([a, b, c, d])
    } else {
        IpAddr::from(V6::to_octets(entry.key::<V6>().sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides_and_a_service_s_own_list_comes_first() {
        let network = |text: &str, length| (text.parse::<IpAddr>().unwrap(), length);
        let service = ServiceKey::Mark {
            mark: 1,
            family: elver_core::service::Family::Inet,
        };
        let other = ServiceKey::Mark {
            mark: 2,
            family: elver_core::service::Family::Inet,
        };
        let lists = AccessLists {
            all: BTreeMap::from([
                (network("10.0.0.0", 8), Access::Denied),
                (network("10.1.0.0", 16), Access::Allowed),
                (network("fd00::", 8), Access::Denied),
            ]),
            services: BTreeMap::from([(
                service,
                BTreeMap::from([
                    (network("10.2.0.0", 16), Access::Allowed),
                    (network("0.0.0.0", 0), Access::Denied),
                ]),
            )]),
        };
        for (key, client, denied) in [
            (&other, "10.9.0.1", true),
            (&other, "10.1.0.1", false),
            (&other, "192.0.2.1", false),
            (&other, "fd01::1", true),
            (&other, "2001:db8::1", false),
            (&service, "10.2.0.1", false),
            (&service, "10.1.0.1", true),
            (&service, "192.0.2.1", true),
            (&service, "fd01::1", true),
        ] {
            assert_eq!(
                lists.denies(key, client.parse().unwrap()),
                denied,
                "{client}"
            );
        }
    }
}
