//! The addresses whose fragments the programs look after: virtual ones, and those of real
//! servers whose answers pass here; and the ports from which those answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use elver_core::service::{DestinationSettings, ForwardingMethod, ServiceKey};
use elver_packet::table::fragment::Endpoint;
use elver_sys::bpf::BpfError;

use super::{DataPlane, layout};

/// What the programs have been told.
#[derive(Default)]
pub(super) struct Endpoints {
    told: BTreeSet<Endpoint>,
    /// Whether some may be there that nothing has any more.
    has_leftovers: bool,
}

impl DataPlane {
    /// Tells the programs of a service's address.
    pub(super) fn tell_of_service(&mut self, key: &ServiceKey) -> Result<(), BpfError> {
        match key.virtual_address() {
            Some(address) => self.tell_of([endpoint(address.ip())]),
            None => Ok(()),
        }
    }

    /// Tells the programs of a service's real server, if its answers pass here.
    pub(super) fn tell_of_real_server(
        &mut self,
        service: &ServiceKey,
        address: SocketAddr,
        settings: &DestinationSettings,
    ) -> Result<(), BpfError> {
        match settings.method {
            ForwardingMethod::Nat => self.tell_of(real_server(service, address)),
            _ => Ok(()),
        }
    }

    fn tell_of(&mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Result<(), BpfError> {
        for endpoint in endpoints {
            if self.endpoints.told.insert(endpoint) {
                self.inventory.maps.add_endpoint(endpoint)?;
            }
        }
        Ok(())
    }

    /// Something has gone; its address may have been the last one of its kind.
    pub(super) fn endpoint_may_go(&mut self) {
        self.endpoints.has_leftovers = true;
    }

    /// Takes out what nothing has any more. To be called now and then.
    pub(super) fn forget_endpoints(&mut self) {
        if std::mem::take(&mut self.endpoints.has_leftovers)
            && let Err(error) = self.collect_endpoints()
        {
            tracing::error!("{error}");
        }
    }

    /// Tells the programs of all addresses, and of no others.
    pub(super) fn collect_endpoints(&mut self) -> Result<(), BpfError> {
        let mut wanted = BTreeSet::new();
        for (key, slots) in &self.inventory.services {
            wanted.extend(key.virtual_address().map(|address| endpoint(address.ip())));
            for id in &slots.destinations {
                let Some(words) = self.inventory.maps.destination(*id) else {
                    continue;
                };
                let settings = layout::destination_settings(words);
                if settings.method == ForwardingMethod::Nat {
                    wanted.extend(real_server(key, layout::destination_address(words)));
                }
            }
        }
        let present = self.inventory.maps.endpoints();
        for gone in present.difference(&wanted) {
            self.inventory.maps.remove_endpoint(*gone)?;
        }
        for new in wanted.difference(&present) {
            self.inventory.maps.add_endpoint(*new)?;
        }
        self.endpoints.told = wanted;
        Ok(())
    }
}

fn endpoint(address: IpAddr) -> Endpoint {
    Endpoint {
        address: layout::octets(address),
        port: [0; 2],
        protocol: 0,
        family: if address.is_ipv4() { 4 } else { 6 },
    }
}

/// A real server's address, and that with the port from which it answers for a service.
fn real_server(service: &ServiceKey, address: SocketAddr) -> [Endpoint; 2] {
    let own = endpoint(address.ip());
    let protocol = match service {
        ServiceKey::Address { protocol, .. } => protocol.number(),
        ServiceKey::Mark { .. } => 0,
    };
    [own, own.at_port(address.port().to_be_bytes(), protocol)]
}
